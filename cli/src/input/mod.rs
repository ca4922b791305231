//! Model inputs from files: JSON `{"input_data": [[...], ...]}`, `.npy` and `.npz`.

mod json;
mod npy;
mod npz;

use crate::{
    App,
    error::{Failure, Outcome},
    files::{self, Kind},
};
use assay_circuits::model::TensorSpec;
use std::path::Path;

/// Largest number of values in one file.
const MAX_VALUES: u64 = 1 << 28;

/// Numbers as a file has them.
#[derive(Debug)]
enum Data {
    /// Lists without shapes: one for each input, or one for each input of each sample.
    Lists(Vec<Vec<f32>>),
    /// Arrays with names and shapes.
    Arrays(Vec<(String, npy::Array)>),
}

/// `samples[i][k]`: the values of input `k` of sample `i`.
pub(crate) type Samples = Vec<Vec<Vec<f32>>>;

/// What the data is for: decides which array of an archive is taken, and what is said in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Input,
    Calibration,
    Output,
}

impl Role {
    /// Names of arrays, and of members of a JSON object, in order of preference after the tensor's own name.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Input => &["input_data", "input", "x"],
            Self::Calibration => &["calibration", "input_data", "input", "x"],
            Self::Output => &["output_data", "outputs", "output"],
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Output => "output",
            _ => "input",
        }
    }
}

/// Reads samples for the given tensors.
pub(crate) fn read(app: &App, path: &Path, specs: &[TensorSpec], role: Role) -> Outcome<Samples> {
    let bytes = files::read(path, files::MAX_DATA_BYTES)?;
    let parsed = parse(&bytes, specs, role).map_err(|f| f.in_file(path))?;
    if !parsed.ignored.is_empty() {
        app.output.warn(format!(
            "'{}' also holds {}, whose shape fits too and which is not used; an array named like the input is taken first",
            path.display(),
            parsed.ignored.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(parsed.samples)
}

/// What the formats are.
const FORMATS: &str =
    "input files are JSON {\"input_data\": [[...]]}, .npy or .npz; `assay inspect MODEL` lists the shapes";

/// What a file gave.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) samples: Samples,
    /// Arrays that could have been meant and were not taken.
    pub(crate) ignored: Vec<String>,
}

/// Samples from a file's bytes; the format is recognised by content.
pub(crate) fn parse(bytes: &[u8], specs: &[TensorSpec], role: Role) -> Outcome<Parsed> {
    let data = match Kind::of(bytes) {
        Kind::Npy => Data::Arrays(vec![(String::new(), npy::read(bytes)?)]),
        Kind::Npz => Data::Arrays(npz::read(bytes)?),
        Kind::Empty => return Err(Failure::new("the file is empty").help(FORMATS)),
        Kind::Json | Kind::Other => Data::Lists(json::read(bytes, role.names())?),
        kind => {
            let order = if matches!(kind, Kind::Model | Kind::Onnx) {
                "are the arguments swapped? MODEL comes before INPUT; "
            } else {
                ""
            };
            return Err(
                Failure::new(format!("it is {}; expected numbers", kind.name())).help(format!("{order}{FORMATS}"))
            );
        }
    };
    let parsed = match data {
        Data::Lists(lists) => Parsed { samples: from_lists(lists, specs, role)?, ignored: Vec::new() },
        Data::Arrays(arrays) => from_arrays(arrays, specs, role)?,
    };
    check_finite(&parsed.samples, specs, role)?;
    Ok(parsed)
}

/// The labels `y` or another array of integers, as numbers, from an archive.
pub(crate) fn array(bytes: &[u8], name: &str) -> Outcome<Vec<f32>> {
    let arrays = npz::read(bytes)?;
    let found = arrays.into_iter().find(|(n, _)| n == name);
    found.map(|(_, a)| a.values).ok_or_else(|| Failure::new(format!("there is no array '{name}'")).help(FORMATS))
}

/// An array of an archive: name, shape, values.
pub(crate) type Named = (String, Vec<usize>, Vec<f32>);

/// All arrays of an archive; all values are finite.
pub(crate) fn arrays(path: &Path) -> Outcome<Vec<Named>> {
    let bytes = files::read(path, files::MAX_DATA_BYTES)?;
    let kind = Kind::of(&bytes);
    if kind != Kind::Npz {
        return Err(files::wrong_kind(path, Kind::Npz, kind));
    }
    let all = npz::read(&bytes).map_err(|f| f.in_file(path))?;
    if let Some((name, _)) = all.iter().find(|(_, a)| a.values.iter().any(|v| !v.is_finite())) {
        return Err(Failure::new(format!("'{}': array '{name}' holds infinite values or none", path.display()))
            .help("every value must be a finite number; look for a division by zero"));
    }
    Ok(all.into_iter().map(|(name, a)| (name, a.shape, a.values)).collect())
}

fn from_lists(lists: Vec<Vec<f32>>, specs: &[TensorSpec], role: Role) -> Outcome<Samples> {
    let what = role.what();
    let k = specs.len();
    if lists.is_empty() {
        return Err(Failure::new("there are no values").help(FORMATS));
    }
    let shapes = || specs.iter().map(|s| format!("'{}' {:?}", s.name, s.shape)).collect::<Vec<_>>().join(", ");
    let mismatch = || {
        let lengths = if lists.len() <= 8 {
            format!("{:?} values", lists.iter().map(Vec::len).collect::<Vec<_>>())
        } else {
            format!("{} lists, the first of {} values", lists.len(), lists[0].len())
        };
        Failure::new(format!("wrong number of values: expected one list for each {what}, {}; got {lengths}", shapes()))
            .help(FORMATS)
    };
    // One list for each tensor, with all samples one after another ...
    if lists.len() == k && lists.iter().zip(specs).all(|(l, s)| !l.is_empty() && l.len().is_multiple_of(s.len().max(1)))
    {
        let counts: Vec<usize> = lists.iter().zip(specs).map(|(l, s)| l.len() / s.len().max(1)).collect();
        if counts.windows(2).any(|w| w[0] != w[1]) {
            return Err(mismatch());
        }
        return Ok((0..counts.first().copied().unwrap_or(0))
            .map(|i| lists.iter().zip(specs).map(|(l, s)| l[i * s.len()..(i + 1) * s.len()].to_vec()).collect())
            .collect());
    }
    // ... or, sample by sample, a list for each tensor.
    if k > 0 && lists.len().is_multiple_of(k) {
        let fits = lists.chunks(k).all(|c| c.iter().zip(specs).all(|(l, s)| l.len() == s.len()));
        if fits {
            return Ok(lists.chunks(k).map(<[Vec<f32>]>::to_vec).collect());
        }
    }
    Err(mismatch())
}

/// Names that arrays for something else usually have.
const OTHER_NAMES: [&str; 8] =
    ["calibration", "calibration_y", "y", "labels", "label", "target", "targets", "output_data"];

fn from_arrays(mut arrays: Vec<(String, npy::Array)>, specs: &[TensorSpec], role: Role) -> Outcome<Parsed> {
    let mut columns: Vec<Vec<Vec<f32>>> = Vec::with_capacity(specs.len());
    let single = specs.len() == 1;
    for (k, spec) in specs.iter().enumerate() {
        let at = |name: &str| arrays.iter().position(|(n, _)| n == name);
        let mut found = if role == Role::Calibration { None } else { at(&spec.name) };
        if found.is_none() && single {
            found = role.names().iter().find_map(|n| at(n));
        }
        found = found.or_else(|| at(&spec.name)).or_else(|| at(&format!("x{k}"))).or_else(|| at(&format!("arr_{k}")));
        if found.is_none() && single && arrays.len() == 1 {
            found = Some(0);
        }
        let Some(i) = found else {
            let names: Vec<&str> = arrays.iter().map(|(n, _)| n.as_str()).collect();
            return Err(Failure::new(format!(
                "there is no array for {} '{}'; there is {names:?}",
                role.what(),
                spec.name
            ))
            .help("name each array in the .npz like the model's input"));
        };
        let (_, array) = arrays.swap_remove(i);
        columns.push(split(array, spec, role)?);
    }
    let n = columns.first().map_or(0, Vec::len);
    if let Some((c, s)) = columns.iter().zip(specs).find(|(c, _)| c.len() != n) {
        let text = format!(
            "{} '{}' has {} samples, {} '{}' has {n}",
            role.what(),
            s.name,
            c.len(),
            role.what(),
            specs[0].name
        );
        return Err(Failure::new(text).help("give as many samples of each: the first axis of every array counts them"));
    }
    let ignored = arrays
        .into_iter()
        .filter(|(name, a)| {
            let other = OTHER_NAMES.contains(&name.as_str()) || role == Role::Calibration && is_name(name, role);
            !other && specs.iter().any(|s| fits(&a.shape, s))
        })
        .map(|(name, _)| name)
        .collect();
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    let samples = (0..n).map(|_| columns.iter_mut().filter_map(Iterator::next).collect()).collect();
    Ok(Parsed { samples, ignored })
}

/// Whether an array of that name is one that the role itself may take.
fn is_name(name: &str, role: Role) -> bool {
    role.names().contains(&name)
}

/// Whether an array of that shape holds samples of a tensor.
fn fits(shape: &[usize], spec: &TensorSpec) -> bool {
    let one = spec.len().max(1);
    let inner = spec.shape.strip_prefix(&[1]).unwrap_or(&spec.shape);
    shape == spec.shape
        || shape == inner
        || shape.split_first().is_some_and(|(_, rest)| {
            rest == spec.shape || rest == inner || (rest.len() == 1 && rest[0] == one) || (rest.is_empty() && one == 1)
        })
}

/// Cuts an array into samples: its shape is the tensor's, or the tensor's (with or without its axis of one in front)
/// with a batch axis in front; a flat list of the right length for each sample also does.
fn split(array: npy::Array, spec: &TensorSpec, role: Role) -> Outcome<Vec<Vec<f32>>> {
    let npy::Array { shape, values } = array;
    let one = spec.len().max(1);
    let inner = spec.shape.strip_prefix(&[1]).unwrap_or(&spec.shape);
    if !fits(&shape, spec) || values.is_empty() || !values.len().is_multiple_of(one) {
        return Err(Failure::new(format!(
            "{} '{}': expected shape {:?} or [N, {}], got {shape:?}",
            role.what(),
            spec.name,
            spec.shape,
            inner.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ))
        .help("reshape it: array.reshape(-1, ...) with the model's own axes behind the first"));
    }
    Ok(values.chunks(one).map(<[f32]>::to_vec).collect())
}

fn check_finite(samples: &Samples, specs: &[TensorSpec], role: Role) -> Outcome<()> {
    for (i, sample) in samples.iter().enumerate() {
        for (values, spec) in sample.iter().zip(specs) {
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                return Err(Failure::new(format!(
                    "sample {i}, {} '{}': value {at} is {}",
                    role.what(),
                    spec.name,
                    values[at]
                ))
                .help("every value must be a finite number that fits 32-bit floats"));
            }
        }
    }
    Ok(())
}

/// Takes `count` samples from `from` on.
pub(crate) fn take(samples: Samples, from: usize, count: Option<usize>, path: &Path) -> Outcome<Samples> {
    let n = samples.len();
    let wanted = count.unwrap_or(n.saturating_sub(from));
    if wanted == 0 || from.checked_add(wanted).is_none_or(|end| end > n) {
        return Err(Failure::new(format!(
            "'{}' holds {n} sample{}; asked for {} from number {from} on",
            path.display(),
            if n == 1 { "" } else { "s" },
            count.map_or("all".to_owned(), |c| c.to_string()),
        ))
        .help("choose --batch and --from so that they lie within the file"));
    }
    Ok(samples.into_iter().skip(from).take(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(shapes: &[&[usize]]) -> Vec<TensorSpec> {
        shapes.iter().enumerate().map(|(i, s)| TensorSpec::uniform(format!("in{i}"), s, 0)).collect()
    }

    #[test]
    fn json_lists() {
        let one = specs(&[&[1, 3]]);
        let read = |text: &str, specs: &[TensorSpec]| parse(text.as_bytes(), specs, Role::Input).map(|p| p.samples);
        assert_eq!(read(r#"{"input_data": [[1, 2.5, -3]]}"#, &one).unwrap(), [[[1.0, 2.5, -3.0]]]);
        // One list that is left out, of one sample or of two.
        assert_eq!(read(r#"{"input_data": [1, 2.5, -3]}"#, &one).unwrap(), [[[1.0, 2.5, -3.0]]]);
        assert_eq!(read("[1, 2, 3, 4, 5, 6]", &one).unwrap().len(), 2);
        assert_eq!(read(r#"[[1,2,3],[4,5,6]]"#, &one).unwrap(), [[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]);
        assert_eq!(read(r#"{"input_data": [[[1,2],[3,4],[5,6]]]}"#, &one).unwrap().len(), 2);
        let two = specs(&[&[2], &[1]]);
        let by_tensor = read(r#"{"input_data": [[1,2,3,4],[5,6]]}"#, &two).unwrap();
        assert_eq!(by_tensor, [[vec![1.0, 2.0], vec![5.0]], [vec![3.0, 4.0], vec![6.0]]]);
        assert_eq!(read(r#"{"input_data": [[1,2],[5],[3,4],[6]]}"#, &two).unwrap(), by_tensor);
        assert!(read("[1, 2, 5]", &two).is_err());
        for bad in [
            r#"{"input_data": [[1, 2]]}"#,
            r#"{"input_data": []}"#,
            r#"{"input_data": [1, 2]}"#,
            r#"{"input_data": [1, 2, [3]]}"#,
            r#"{"input_data": [[1, 2, 3], 4]}"#,
            r#"{"input_data": [["1", 2, 3]]}"#,
            r#"{"input_data": [[null, 2, 3]]}"#,
            r#"{"input_data": [[true, 2, 3]]}"#,
            r#"{"input_data": [[NaN, 2, 3]]}"#,
            r#"{"input_data": [[1e60, 2, 3]]}"#,
            r#"{"input_data": [[1e999, 2, 3]]}"#,
            r#"{"input_data": [[1, 2, 3]]} trailing"#,
            r#"{"input_data": [[1, 2, 3]"#,
            r#"{"input_data": [[1,2,3]], "input_data": [[1,2,3]]}"#,
            r#"{"data": [[1, 2, 3]]}"#,
            "",
        ] {
            assert!(read(bad, &one).is_err(), "{bad}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep, &one).is_err());
    }

    #[test]
    fn members_that_are_not_read_may_hold_anything() {
        let text = r#"{"input_shapes": {"a": [1, "x", null]}, "input_data": [[1, 2, 3]], "output_data": [["?"]]}"#;
        assert_eq!(parse(text.as_bytes(), &specs(&[&[3]]), Role::Input).unwrap().samples.len(), 1);
    }

    #[test]
    fn arrays_by_shape() {
        let a = |shape: &[usize]| npy::Array { shape: shape.to_vec(), values: vec![0.5; shape.iter().product()] };
        let spec = &specs(&[&[1, 2, 3]]);
        for (shape, n) in [(&[1, 2, 3][..], 1), (&[2, 3], 1), (&[5, 2, 3], 5), (&[4, 1, 2, 3], 4), (&[7, 6], 7)] {
            let samples = from_arrays(vec![(String::new(), a(shape))], spec, Role::Input).unwrap().samples;
            assert_eq!(samples.len(), n, "{shape:?}");
        }
        for shape in [&[6][..], &[3, 2], &[5, 3, 2], &[0, 2, 3], &[]] {
            assert!(from_arrays(vec![(String::new(), a(shape))], spec, Role::Input).is_err(), "{shape:?}");
        }
        let both = || vec![("x".to_owned(), a(&[2, 6])), ("calibration".to_owned(), a(&[3, 6]))];
        let taken = |arrays, role| {
            let p = from_arrays(arrays, spec, role).unwrap();
            (p.samples.len(), p.ignored)
        };
        assert_eq!(taken(both(), Role::Input), (2, vec![]));
        assert_eq!(taken(both(), Role::Calibration), (3, vec![]));
        // Another array of the right shape could have been meant; one of another shape, or of labels, could not.
        let more =
            || [both(), vec![("b".to_owned(), a(&[4, 6])), ("z".to_owned(), a(&[4])), ("y".to_owned(), a(&[1, 6]))]];
        assert_eq!(taken(more().concat(), Role::Input), (2, vec!["b".to_owned()]));
    }

    #[test]
    fn a_part_of_the_samples() {
        let samples = || vec![vec![vec![0.0]], vec![vec![1.0]], vec![vec![2.0]]];
        let p = Path::new("f");
        assert_eq!(take(samples(), 0, None, p).unwrap().len(), 3);
        assert_eq!(take(samples(), 1, Some(2), p).unwrap(), [[[1.0]], [[2.0]]]);
        for (from, n) in [(0, Some(0)), (0, Some(4)), (3, None), (usize::MAX, Some(2))] {
            assert!(take(samples(), from, n, p).is_err());
        }
    }
}
