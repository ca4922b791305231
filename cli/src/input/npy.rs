//! NumPy's `.npy` files: plain numbers in C or Fortran order (NEP 1, versions 1 to 3).
//!
//! Nothing is allocated by a length that the file only claims: the values must be there.

use super::MAX_VALUES;
use crate::error::{Failure, Outcome};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header, in bytes: that of a plain array is about a hundred.
const MAX_HEADER: usize = 1 << 14;

/// An array in C order.
#[derive(Clone, Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// Reads a whole `.npy` file.
pub(super) fn read(bytes: &[u8]) -> Outcome<Array> {
    let bad = |what: &str| {
        Failure::new(format!("not a .npy file that can be read: {what}"))
            .help("save it again: numpy.save(FILE, array.astype(numpy.float32))")
    };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| bad("it does not start with NUMPY"))?;
    let short = || bad("it is cut short");
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let (length, rest) = match version[0] {
        1 => rest.split_first_chunk::<2>().map(|(n, r)| (usize::from(u16::from_le_bytes(*n)), r)),
        2 | 3 => rest.split_first_chunk::<4>().map(|(n, r)| (u32::from_le_bytes(*n) as usize, r)),
        v => return Err(bad(&format!("version {v}"))),
    }
    .ok_or_else(short)?;
    if length > MAX_HEADER {
        return Err(bad("its header is too long"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(short)?;
    let header = std::str::from_utf8(header).map_err(|_| bad("its header is no text"))?;
    let Header { descr, fortran, shape } = Header::parse(header).ok_or_else(|| bad("its header is malformed"))?;
    let count = shape
        .iter()
        .try_fold(1u64, |n, d| n.checked_mul(*d as u64))
        .filter(|n| *n <= MAX_VALUES)
        .ok_or_else(|| bad(&format!("shape {shape:?} has more than {MAX_VALUES} values")))? as usize;
    let element = Element::parse(&descr).ok_or_else(|| {
        let (what, help) = foreign(&descr);
        bad(&format!("it holds {what} (NumPy's '{descr}')")).help(help)
    })?;
    let expected = count * element.size;
    if data.len() != expected {
        return Err(bad(&format!("shape {shape:?} needs {expected} bytes, it holds {}", data.len())));
    }
    let mut values: Vec<f32> = data.chunks_exact(element.size).map(|b| element.value(b)).collect();
    if fortran && shape.len() > 1 {
        values = from_fortran(&shape, &values);
    }
    Ok(Array { shape, values })
}

/// What an array of a type that holds no plain numbers holds, and what to do about it.
fn foreign(descr: &str) -> (&'static str, &'static str) {
    let cast = "save it as numbers: array.astype(numpy.float32)";
    match descr.trim_start_matches(['<', '>', '|', '=']).as_bytes().first() {
        Some(b'c') => ("complex numbers", "save the part that the model reads: array.real.astype(numpy.float32)"),
        Some(b'U' | b'S' | b'a') => ("text", cast),
        Some(b'M' | b'm') => ("dates or times", "make numbers of them as the model was trained on, float32 or int64"),
        Some(b'O') => (
            "Python objects",
            "rows of unlike length or columns of unlike types: make one array of numbers, of float32",
        ),
        Some(b'f') => ("floats of an unusual width", cast),
        _ => ("values of a type of its own", cast),
    }
}

/// Puts values stored with the first axis fastest into C order.
fn from_fortran(shape: &[usize], values: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for i in 0..values.len() {
        let (mut rest, mut at, mut stride) = (i, 0, values.len());
        for d in shape.iter().rev() {
            stride /= (*d).max(1);
            at += rest % d * stride;
            rest /= d;
        }
        out.push(values[at]);
    }
    out
}

struct Element {
    kind: u8,
    size: usize,
    big: bool,
}

impl Element {
    fn parse(descr: &str) -> Option<Self> {
        let (order, rest) = match descr.as_bytes() {
            [o @ (b'<' | b'>' | b'|' | b'='), rest @ ..] => (*o, rest),
            rest => (b'=', rest),
        };
        let (kind, size) = match rest {
            [k, s @ b'0'..=b'9'] => (*k, usize::from(s - b'0')),
            _ => return None,
        };
        let known = match kind {
            b'f' => [2, 4, 8].contains(&size),
            b'i' | b'u' => [1, 2, 4, 8].contains(&size),
            b'b' => size == 1,
            _ => false,
        };
        known.then_some(Self { kind, size, big: order == b'>' })
    }

    fn value(&self, bytes: &[u8]) -> f32 {
        let mut word = [0u8; 8];
        for (i, b) in bytes.iter().enumerate() {
            word[if self.big { self.size - 1 - i } else { i }] = *b;
        }
        let raw = u64::from_le_bytes(word);
        let unused = 64 - 8 * self.size as u32;
        match (self.kind, self.size) {
            (b'f', 2) => half(raw as u16),
            (b'f', 4) => f32::from_bits(raw as u32),
            (b'f', _) => f64::from_bits(raw) as f32,
            (b'i', _) => (((raw << unused) as i64) >> unused) as f32,
            _ => raw as f32,
        }
    }
}

/// A 16-bit float (IEEE 754 binary16), exactly.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * (-24f32).exp2(),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1024.0 + fraction) * ((e - 25) as f32).exp2(),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// The header: a Python dictionary with three members.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let mut p = Parser(text.trim());
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        p.eat('{')?;
        while !p.next_is('}') {
            let key = p.string()?;
            p.eat(':')?;
            match key {
                "descr" => descr = Some(p.string()?.to_owned()),
                "fortran_order" => fortran = Some(p.boolean()?),
                "shape" => shape = Some(p.tuple()?),
                _ => return None,
            }
            if !p.next_is('}') {
                p.eat(',')?;
            }
        }
        p.eat('}')?;
        p.0.is_empty().then_some(Self { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    fn next_is(&self, c: char) -> bool {
        self.0.starts_with(c)
    }

    fn eat(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?.trim_start();
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = self.0.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (text, rest) = self.0.get(1..)?.split_once(quote)?;
        self.0 = rest.trim_start();
        Some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.0.strip_prefix(word) {
                self.0 = rest.trim_start();
                return Some(value);
            }
        }
        None
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        let mut out = Vec::new();
        self.eat('(')?;
        while !self.next_is(')') {
            let digits = self.0.len() - self.0.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.0.split_at(digits);
            out.push(number.parse().ok()?);
            // Python 2 wrote long integers with an L.
            self.0 = rest.strip_prefix('L').unwrap_or(rest).trim_start();
            if out.len() > 32 {
                return None;
            }
            if !self.next_is(')') {
                self.eat(',')?;
            }
        }
        self.eat(')')?;
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut out = MAGIC.to_vec();
        out.extend([1, 0]);
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn types_and_byte_orders() {
        let values = |descr: &str, data: &[u8]| read(&file(descr, false, "(1,)", data)).unwrap().values[0];
        assert_eq!(values("<f4", &1.5f32.to_le_bytes()), 1.5);
        assert_eq!(values(">f4", &1.5f32.to_be_bytes()), 1.5);
        assert_eq!(values("<f8", &(-2.25f64).to_le_bytes()), -2.25);
        assert_eq!(values("<i8", &(-7i64).to_le_bytes()), -7.0);
        assert_eq!(values(">i2", &(-7i16).to_be_bytes()), -7.0);
        assert_eq!(values("|u1", &[200]), 200.0);
        assert_eq!(values("|b1", &[1]), 1.0);
        // 1.5, the largest, the smallest normal and subnormal number, minus two.
        for (bits, expected) in
            [(0x3e00u16, 1.5), (0x7bff, 65504.0), (0x0400, 6.103_515_6e-5), (0x0001, 5.960_464_5e-8), (0xc000, -2.0)]
        {
            assert_eq!(values("<f2", &bits.to_le_bytes()), expected, "{bits:x}");
            assert_eq!(values(">f2", &bits.to_be_bytes()), expected, "{bits:x}");
        }
        assert!(
            values("<f2", &0x7c00u16.to_le_bytes()).is_infinite() && values("<f2", &0x7e00u16.to_le_bytes()).is_nan()
        );
        for descr in ["<c8", "|O", "<U4", "<f1", "<f3", "f", "", "[('a', '<f4')]"] {
            assert!(read(&file(descr, false, "(1,)", &[0; 8])).is_err(), "{descr}");
        }
    }

    #[test]
    fn what_is_no_number_is_named() {
        for (descr, what, help) in [
            ("<c8", "complex numbers", "array.real"),
            ("<U4", "text", "astype"),
            ("<M8[s]", "dates or times", "float32"),
            ("|O", "Python objects", "one array"),
        ] {
            let failure = read(&file(descr, false, "(1,)", &[0; 8])).unwrap_err();
            assert!(failure.message.contains(what) && failure.message.contains(descr), "{failure:?}");
            assert!(failure.help.contains(help), "{failure:?}");
        }
    }

    #[test]
    fn fortran_order() {
        let data: Vec<u8> = (0..6u8).collect();
        let a = read(&file("|u1", true, "(2, 3)", &data)).unwrap();
        assert_eq!(a.values, [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    }

    #[test]
    fn hostile_headers() {
        for (shape, data) in [
            ("(2,)", &[0u8; 3][..]),
            ("(18446744073709551615, 2)", &[]),
            ("(4294967296, 4294967296)", &[]),
            ("(-1,)", &[]),
            ("(1.0,)", &[0; 4]),
            ("((1,),)", &[0; 4]),
            ("(", &[]),
        ] {
            assert!(read(&file("<f4", false, shape, data)).is_err(), "{shape}");
        }
        let good = file("<f4", false, "(2,)", &[0; 8]);
        assert!(read(&good).is_ok());
        for n in 0..good.len() {
            assert!(read(&good[..n]).is_err(), "cut to {n} bytes");
        }
        let mut long = MAGIC.to_vec();
        long.extend([2, 0, 255, 255, 255, 255]);
        assert!(read(&long).is_err());
    }
}
