//! `{"input_data": [[1.0, ...], ...]}`: one list for each input, nested as deep as one likes. A bare list of lists does too,
//! and so does a flat list, for a model with one input.

use crate::error::{Failure, Outcome};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Reads the lists under the first of `names` that is there.
pub(super) fn read(bytes: &[u8], names: &'static [&'static str]) -> Outcome<Vec<Vec<f32>>> {
    let mut de = serde_json::Deserializer::from_slice(bytes);
    let bad = |e: serde_json::Error| {
        let f = Failure::new(format!("not a JSON file of numbers: {e}")).help(super::FORMATS);
        let text = String::from_utf8_lossy(bytes.get(..1 << 16).unwrap_or(bytes)).into_owned();
        if ["NaN", "Infinity", "nan", "inf"].iter().any(|w| text.contains(w)) {
            f.help("JSON has no NaN and no infinity, and no model input may be one")
        } else {
            f
        }
    };
    let lists = de.deserialize_any(Document { names }).map_err(bad)?;
    de.end().map_err(bad)?;
    Ok(lists)
}

struct Document {
    names: &'static [&'static str],
}

impl<'de> Visitor<'de> for Document {
    type Value = Vec<Vec<f32>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a member \"{}\"", self.names.first().unwrap_or(&"input_data"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Lists.visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut best: Option<(usize, Vec<Vec<f32>>)> = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.names.iter().position(|n| *n == key) {
                Some(rank) if best.as_ref().is_none_or(|(r, _)| rank <= *r) => {
                    if best.as_ref().is_some_and(|(r, _)| *r == rank) {
                        return Err(Error::custom(format!("\"{key}\" is there twice")));
                    }
                    best = Some((rank, map.next_value_seed(Lists)?));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        best.map(|(_, lists)| lists).ok_or_else(|| Error::custom(format!("there is no \"{}\"", self.names[0])))
    }
}

/// A list of lists.
struct Lists;

impl<'de> DeserializeSeed<'de> for Lists {
    type Value = Vec<Vec<f32>>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Lists {
    type Value = Vec<Vec<f32>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of lists of numbers, as in [[0.5, 1.0]]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        let mut flat = false;
        loop {
            let mut values = Vec::new();
            let Some(item) = seq.next_element_seed(Entry(&mut values))? else { return Ok(out) };
            match (item, out.last_mut()) {
                // `[1, 2, 3]` is the one list of `[[1, 2, 3]]`.
                (Nested::Number, None) => {
                    flat = true;
                    out.push(values);
                }
                (Nested::Number, Some(only)) if flat => only.append(&mut values),
                (Nested::List, _) if !flat => out.push(values),
                _ => return Err(Error::custom("numbers and lists side by side; write one list for each input")),
            }
        }
    }
}

/// What stands in a list of lists: a list, or a number where the one list has been left out.
struct Entry<'a>(&'a mut Vec<f32>);

enum Nested {
    Number,
    List,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = Nested;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Nested, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = Nested;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Nested, E> {
        Item(self.0).visit_f64(v).map(|()| Nested::Number)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Nested, E> {
        self.visit_f64(v as f64)
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Nested, E> {
        self.visit_f64(v as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Nested, A::Error> {
        List(self.0).visit_seq(seq).map(|()| Nested::List)
    }
}

/// A list of numbers or of lists, flattened.
struct List<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Item(self.0))?.is_some() {}
        Ok(())
    }
}

/// A number, or a list of them.
struct Item<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<(), E> {
        let v32 = v as f32;
        if !v32.is_finite() {
            return Err(E::custom(format!("the number {v:e} does not fit a 32-bit float")));
        }
        self.0.push(v32);
        Ok(())
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<(), E> {
        self.visit_f64(v as f64)
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<(), E> {
        self.visit_f64(v as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        List(self.0).visit_seq(seq)
    }
}
