//! A compiled model cut into segments: a folder with a model file for each and `split.json`, which says how they hang together
//! (docs/protocol.md#segments).

pub(crate) mod check;
pub(crate) mod own;
pub(crate) mod prove;

use crate::{
    App,
    cost::{self, Machine},
    error::{Failure, Outcome},
    files::{self, Kind},
    settlement,
};
use assay_circuits::{
    Graph, Program, Visibility,
    model::{Model, QuantReport, TensorSpec},
    split::{self, Held, Segment, Wires},
    stack::{NamedStack, ROW_BITS},
};
use assay_prover::setup::choose_row_bits;
use assay_verifier::core::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The file of a split model's folder that says how its segments hang together.
pub(crate) const MANIFEST: &str = "split.json";
/// The first field of the manifest, which says how to read the rest.
const FORMAT: &str = "assay split 1";
/// Largest manifest, in bytes.
const MAX_MANIFEST: u64 = 1 << 24;

/// One segment of the manifest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// Its model file, in the folder.
    file: String,
    /// Id of that model, in hexadecimal.
    pub(crate) model_id: String,
    wires: Wires,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    /// Id of the model that was cut, in hexadecimal.
    model_id: String,
    /// log2 of the length of a row, of core proofs of all segments.
    row_bits: u8,
    segments: Vec<Part>,
}

/// A split model on disk. Models are read one at a time.
#[derive(Debug)]
pub(crate) struct Split {
    folder: PathBuf,
    manifest: Manifest,
    wires: Vec<Wires>,
}

/// The shortest row of stacks that is no shorter than a proof wants its own.
pub(crate) fn rows_of_stacks(wanted: usize) -> u8 {
    let longest = ROW_BITS[ROW_BITS.len() - 1];
    ROW_BITS.into_iter().find(|m| usize::from(*m) >= wanted).unwrap_or(longest)
}

impl Split {
    /// Whether a path is a folder with a split model.
    pub(crate) fn is_at(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// Reads the manifest of a folder.
    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let path = folder.join(MANIFEST);
        let again = "cut the model again: assay split MODEL --segments N -o FOLDER";
        let wrong = |what: String| Failure::new(format!("'{}' is no split model: {what}", path.display())).help(again);
        let bytes = files::read(&path, MAX_MANIFEST)?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if manifest.format != FORMAT {
            return Err(wrong(format!("its format is '{}'; this program reads '{FORMAT}'", manifest.format)));
        }
        if !(2..=split::MAX_SEGMENTS).contains(&manifest.segments.len()) {
            return Err(wrong(format!("it has {} segments", manifest.segments.len())));
        }
        let plain = |name: &str| !name.is_empty() && Path::new(name).file_name().is_some_and(|n| n == name);
        if settlement::parse_hex::<32>(&manifest.model_id).is_none() {
            return Err(wrong("it does not name the model that was cut".to_owned()));
        }
        if let Some(part) = manifest.segments.iter().find(|p| !plain(&p.file)) {
            return Err(wrong(format!("'{}' is no name of a file in its folder", part.file)));
        }
        let wires: Vec<Wires> = manifest.segments.iter().map(|p| p.wires.clone()).collect();
        let this = Self { folder: folder.to_owned(), manifest, wires };
        for k in 0..this.len() {
            this.stacks(k, 1, this.manifest.row_bits).map_err(|f| wrong(f.message))?;
        }
        Ok(this)
    }

    /// Writes the segments of a model into a new folder.
    pub(crate) fn write(folder: &Path, whole: &Model, segments: Vec<Segment>) -> Outcome<Self> {
        std::fs::create_dir_all(folder).map_err(|e| {
            Failure::new(format!("cannot make the folder '{}': {e}", folder.display()))
                .help("choose a folder where this user may write and that has room left")
        })?;
        let model_id = hex(&whole.model_id()?);
        let count = segments.len();
        clear(folder)?;
        let mut parts = Vec::with_capacity(count);
        let mut row_bits = ROW_BITS[0];
        for (k, segment) in segments.into_iter().enumerate() {
            let wires = segment.wires.clone();
            let model = model_of(whole, segment, k, count)?;
            let wanted = choose_row_bits(&Program::inference(&model.graph, 1, Visibility::default())?);
            row_bits = row_bits.max(rows_of_stacks(wanted));
            let file = file_name(k);
            let (_, model_id) = files::write_model(&folder.join(&file), &model)?;
            parts.push(Part { file, model_id, wires });
        }
        let manifest = Manifest { format: FORMAT.to_owned(), model_id, row_bits, segments: parts };
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| Failure::new(format!("the manifest cannot be written: {e}")).bug())?;
        files::write(&folder.join(MANIFEST), &text)?;
        Self::read(folder)
    }

    /// Number of segments.
    pub(crate) fn len(&self) -> usize {
        self.wires.len()
    }

    /// Id of the model that was cut.
    pub(crate) fn model_id(&self) -> &str {
        &self.manifest.model_id
    }

    /// Id of the model of segment `k`, counted from zero.
    pub(crate) fn segment_id(&self, k: usize) -> &str {
        self.manifest.segments.get(k).map_or("", |p| &p.model_id)
    }

    /// log2 of the length of a row of core proofs.
    pub(crate) fn row_bits(&self) -> u8 {
        self.manifest.row_bits
    }

    /// How the segments hang together.
    pub(crate) fn wires(&self) -> &[Wires] {
        &self.wires
    }

    /// The model of segment `k`, counted from zero; its file must be the one that the manifest names.
    pub(crate) fn model(&self, k: usize) -> Outcome<Model> {
        Ok(self.file(k)?.0)
    }

    /// The model of segment `k`, and the bytes of its file.
    pub(crate) fn file(&self, k: usize) -> Outcome<(Model, Vec<u8>)> {
        let part = self
            .manifest
            .segments
            .get(k)
            .ok_or_else(|| Failure::new(format!("there is no segment {}", k + 1)).bug())?;
        let path = self.folder.join(&part.file);
        // Nobody feeds a pipe that came with a folder.
        if !std::fs::metadata(&path).is_ok_and(|m| m.is_file()) {
            return Err(Failure::new(format!("'{}' is missing, or no file", path.display()))
                .help("cut the model again: assay split MODEL --segments N -o FOLDER"));
        }
        let bytes = files::read_kind(&path, Kind::Model)?;
        let model = Model::from_bytes(&bytes).map_err(|e| Failure::from(e).in_file(&path))?;
        let id = hex(&model.model_id()?);
        if id != part.model_id {
            return Err(Failure::new(format!(
                "'{}' is model {id}, not {}, which was cut off",
                path.display(),
                part.model_id
            ))
            .help("cut the model again: assay split MODEL --segments N -o FOLDER"));
        }
        split::fits(&self.wires, k, &model.graph).map_err(|e| {
            Failure::new(format!(
                "'{}' does not hang together as its segments do: {e}",
                self.folder.join(MANIFEST).display()
            ))
            .help("cut the model again: assay split MODEL --segments N -o FOLDER")
        })?;
        Ok((model, bytes))
    }

    /// The stacks of the key of segment `k`.
    pub(crate) fn stacks(&self, k: usize, batch: usize, row_bits: u8) -> Outcome<Vec<NamedStack>> {
        Ok(split::named(&self.wires, k, batch, row_bits)?)
    }

    /// For each stack of the key of segment `k` the boundary that it is.
    pub(crate) fn boundaries(&self, k: usize) -> Outcome<Vec<usize>> {
        let number = |n: &NamedStack| (0..self.len()).find(|b| split::boundary_name(*b) == n.name);
        Ok(self.stacks(k, 1, self.row_bits())?.iter().filter_map(number).collect())
    }
}

/// Number of values in a boundary.
pub(crate) fn boundary_values(boundary: &[Held]) -> u64 {
    boundary.iter().map(|h| h.shape.iter().product::<usize>() as u64).sum()
}

/// The tensors of a boundary, for programs.
pub(crate) fn boundary_json(boundary: &[Held]) -> Value {
    boundary.iter().map(|h| json!({ "name": h.name, "shape": h.shape, "bits": h.bits, "shift": h.shift })).collect()
}

/// Removes what an earlier split left in a folder, the manifest first: without it nothing takes the folder for a split model.
fn clear(folder: &Path) -> Outcome<()> {
    if !Split::is_at(folder) {
        return Ok(());
    }
    let cannot = |path: &Path, e: std::io::Error| {
        Failure::new(format!("cannot remove '{}', which an earlier split left: {e}", path.display()))
            .help("remove it, or name another folder")
    };
    let remove = |path: &Path| std::fs::remove_file(path).map_err(|e| cannot(path, e));
    remove(&folder.join(MANIFEST))?;
    for entry in folder.read_dir().map_err(|e| cannot(folder, e))? {
        let path = entry.map_err(|e| cannot(folder, e))?.path();
        if path.file_name().and_then(|n| n.to_str()).is_some_and(is_segment) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// The name of the file of segment `k`, counted from zero.
fn file_name(k: usize) -> String {
    format!("segment-{}.assay", k + 1)
}

/// Whether a file has a name that [`file_name`] gives.
fn is_segment(name: &str) -> bool {
    let number = name.strip_prefix("segment-").and_then(|n| n.strip_suffix(".assay"));
    number.and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n > 0 && file_name(n - 1) == name)
}

/// A segment as a model. At boundaries a step is 1: values are the integers of the graph.
fn model_of(whole: &Model, segment: Segment, k: usize, count: usize) -> Outcome<Model> {
    let at_boundary = |ids: &[assay_circuits::NodeId]| -> Vec<TensorSpec> {
        ids.iter()
            .map(|id| {
                let node = segment.graph.node(*id);
                TensorSpec::uniform(&node.name, &node.shape, 0)
            })
            .collect()
    };
    let inputs = if k == 0 { whole.inputs.clone() } else { at_boundary(segment.graph.inputs()) };
    let outputs = if k + 1 == count { whole.outputs.clone() } else { at_boundary(segment.graph.outputs()) };
    let missing = || Failure::new("a segment has a weight that the model lacks").bug();
    let weights =
        segment.weights.iter().map(|w| whole.weights.get(*w).cloned().ok_or_else(missing)).collect::<Outcome<_>>()?;
    // The accuracy that was measured is the whole's.
    Ok(Model { graph: segment.graph, weights, inputs, outputs, report: QuantReport::default() })
}

/// Cuts for so many segments that cost about the same.
pub(crate) fn balanced(app: &App, graph: &Graph, segments: usize) -> Outcome<Vec<usize>> {
    let machine: Machine = app.machine();
    let costs = cost::node_seconds(&machine, graph)?;
    Ok(split::balance(graph, segments, &costs, cost::boundary_seconds(&machine))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments_are_told_from_others() {
        for k in [0, 8, 63] {
            assert!(is_segment(&file_name(k)));
        }
        for other in
            ["segment-0.assay", "segment-01.assay", "segment-+1.assay", "segment-.assay", "segment-1.assay.bak", "x"]
        {
            assert!(!is_segment(other), "{other}");
        }
    }

    #[test]
    fn an_earlier_split_is_removed_and_nothing_else() {
        let dir = std::env::temp_dir().join(format!("assay-split-clear-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for name in ["segment-1.assay", "segment-3.assay", "notes.txt"] {
            std::fs::write(dir.join(name), name).unwrap();
        }
        // Without a manifest they are somebody else's.
        clear(&dir).unwrap();
        assert!(dir.join("segment-3.assay").exists());
        std::fs::write(dir.join(MANIFEST), "{}").unwrap();
        clear(&dir).unwrap();
        let left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
