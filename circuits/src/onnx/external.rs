//! Tensors whose data lies in another file: the default of current exporters, and of every model over 2 GB.
//!
//! A model names files and places in them, so it is asked for no more than its own folder: relative paths without `..`,
//! whose target is a regular file inside the folder even where a link leads to it, and a range that the file has.

use super::error::ImportError;
use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

/// Most bytes read from other files for one model.
const MAX_BYTES: u64 = 1 << 33;

/// Reads the data of all tensors that are kept outside, into the model.
///
/// # Errors
/// A path that leaves the folder, a range that the file does not have, or more bytes than the tensor's shape asks for.
pub(crate) fn read(proto: &mut ModelProto, folder: &Path) -> Result<(), ImportError> {
    let mut files = Files { folder, open: HashMap::new(), left: MAX_BYTES };
    proto.graph.as_mut().map_or(Ok(()), |g| read_graph(g, &mut files, 0))
}

struct Files<'a> {
    folder: &'a Path,
    open: HashMap<PathBuf, (File, u64)>,
    left: u64,
}

fn read_graph(graph: &mut GraphProto, files: &mut Files<'_>, depth: usize) -> Result<(), ImportError> {
    if depth > 8 {
        return Err(ImportError::Malformed { reason: "subgraphs are nested more than 8 deep".to_owned() });
    }
    for t in &mut graph.initializer {
        read_tensor(t, files)?;
    }
    for a in graph.node.iter_mut().flat_map(|n| &mut n.attribute) {
        for t in a.t.iter_mut().chain(&mut a.tensors) {
            read_tensor(t, files)?;
        }
        for g in a.g.iter_mut().chain(&mut a.graphs) {
            read_graph(g, files, depth + 1)?;
        }
    }
    Ok(())
}

fn read_tensor(t: &mut TensorProto, files: &mut Files<'_>) -> Result<(), ImportError> {
    if t.data_location != Some(1) {
        return Ok(());
    }
    let bytes = files.bytes(t).map_err(|reason| ImportError::Tensor { tensor: t.name.clone(), reason })?;
    t.raw_data = bytes;
    t.data_location = None;
    t.external_data.clear();
    Ok(())
}

impl Files<'_> {
    fn bytes(&mut self, t: &TensorProto) -> Result<Vec<u8>, String> {
        let field = |key: &str| t.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| {
            let bad = |v: &str| format!("its {key} in the other file, '{v}', is no number");
            field(key).map(|v| v.parse::<u64>().map_err(|_| bad(v))).transpose()
        };
        let location = field("location").ok_or("its data is in another file, which it does not name")?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let path = self.inside(location)?;
        if !self.open.contains_key(&path) {
            let file = File::open(&path).map_err(|e| format!("its data file '{location}' cannot be read: {e}"))?;
            let size = file.metadata().map_err(|e| format!("its data file '{location}' cannot be read: {e}"))?.len();
            self.open.insert(path.clone(), (file, size));
        }
        let Some((file, size)) = self.open.get_mut(&path) else { return Err("its data file vanished".to_owned()) };
        let length = length.unwrap_or_else(|| size.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > *size) {
            return Err(format!("bytes {offset} to {offset} + {length} of '{location}', which has {size}"));
        }
        if length > self.left {
            return Err(format!("more than {MAX_BYTES} bytes of data in other files"));
        }
        self.left -= length;
        let mut out = vec![0; usize::try_from(length).map_err(|e| e.to_string())?];
        let read = |e: std::io::Error| format!("its data file '{location}' cannot be read: {e}");
        file.seek(SeekFrom::Start(offset)).map_err(read)?;
        file.read_exact(&mut out).map_err(read)?;
        Ok(out)
    }

    /// The file at a location, if it is a regular one inside the folder.
    fn inside(&self, location: &str) -> Result<PathBuf, String> {
        let plain = Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        let leaves = || format!("its data file '{location}' is not inside the model's folder");
        if location.is_empty() || !plain {
            return Err(leaves());
        }
        let folder = self.folder.canonicalize().map_err(|e| format!("the model's folder cannot be read: {e}"))?;
        let path = folder.join(location);
        let target = path.canonicalize().map_err(|e| format!("its data file '{location}' cannot be read: {e}"))?;
        if !target.starts_with(&folder) {
            return Err(leaves());
        }
        if !target.is_file() {
            return Err(format!("its data file '{location}' is no regular file"));
        }
        Ok(target)
    }
}
