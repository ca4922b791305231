//! Reading the fixtures.

use std::{collections::BTreeMap, path::PathBuf};

/// A file of the repository, by its path from the root.
pub(crate) fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(relative)
}

/// All arrays of an npz file as flat floats, with their shapes.
pub(crate) fn npz(relative: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut archive = npyz::npz::NpzArchive::open(path(relative)).expect("the fixture exists");
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let mut out = BTreeMap::new();
    for name in names {
        let npy = archive.by_name(&name).expect("readable").expect("present");
        let shape: Vec<usize> = npy.shape().iter().map(|d| *d as usize).collect();
        let kind = npy.dtype().descr();
        let values: Vec<f32> = match kind.trim_matches('\'') {
            "<f4" => npy.into_vec::<f32>().expect("floats"),
            "<i8" => npy.into_vec::<i64>().expect("integers").into_iter().map(|v| v as f32).collect(),
            other => panic!("{relative}: array '{name}' has type {other}"),
        };
        out.insert(name, (shape, values));
    }
    out
}
