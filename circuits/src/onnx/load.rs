//! Reading ONNX files: untrusted protobuf bytes to a typed, simplified tract model with fixed shapes.

use super::{
    audit,
    check::{check_graph, volume},
    convert::{self, Converted},
    error::ImportError,
    external, fold,
    guard::guarded,
    narrow,
    nodes::{SourceNode, blocked, list_nodes},
    own,
    partial::known_shapes,
    prune, rewrite,
    shapes::{self, LoadOptions},
};
use prost::{Message, bytes::Bytes};
use rayon::prelude::*;
use std::{
    collections::{HashMap, HashSet},
    io::Read,
    path::Path,
};
use tract_onnx::{
    pb::{GraphProto, ModelProto, NodeProto},
    prelude::*,
};

/// Largest ONNX file, in bytes (the limit of protobuf itself).
pub const MAX_FILE_BYTES: u64 = 1 << 31;

/// A float model with fixed shapes.
#[derive(Clone, Debug)]
pub struct FloatModel {
    pub(crate) typed: Result<TypedModel, ImportError>,
    /// The first node that is known to be impossible, if there is one.
    pub(crate) refused: Option<ImportError>,
    /// Shapes of tensors by the names of their nodes, as far as they follow, where the model as a whole has no types.
    pub(crate) shapes: HashMap<String, Vec<usize>>,
    /// Nodes in the file's order.
    pub nodes: Vec<SourceNode>,
    /// Names and shapes of the inputs, batch 1.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Number of float constants in the file.
    pub parameters: u64,
    /// Remarks made while reading ("input 'x': batch fixed to 1").
    pub notes: Vec<String>,
    /// For each input, whether it holds integers or booleans.
    pub(crate) integral: Vec<bool>,
    /// Whether a constant is infinite (see [`convert::STAND_IN`]).
    pub(crate) infinities: bool,
}

/// Reads an ONNX file.
///
/// # Errors
/// A file that cannot be read, is too large, or is no ONNX model with usable shapes. An operator that tract or the
/// compiler does not know is reported by [`super::compile()`], so that [`super::inspect()`] can still list the model.
pub fn load(path: impl AsRef<Path>) -> Result<FloatModel, ImportError> {
    load_with(path, &LoadOptions::default())
}

/// [`load()`] with symbolic extents given. Weights beside the file ("external data") are read from its folder.
pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions) -> Result<FloatModel, ImportError> {
    let path = path.as_ref();
    let read = |e: std::io::Error| ImportError::Read { path: path.display().to_string(), reason: e.to_string() };
    let meta = std::fs::metadata(path).map_err(read)?;
    if meta.is_dir() {
        return Err(ImportError::Read { path: path.display().to_string(), reason: "it is a directory".to_owned() });
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(ImportError::TooLarge { got: meta.len(), limit: MAX_FILE_BYTES });
    }
    let mut file = std::fs::File::open(path).map_err(read)?;
    let bytes = if meta.is_file() {
        read_whole(&file, meta.len() as usize).map_err(read)?
    } else {
        // Pipes do not tell their length.
        let mut bytes = Vec::new();
        (&mut file).take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
        bytes
    };
    let mut proto = decode(bytes.into())?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    external::read(&mut proto, folder)?;
    load_proto(&mut proto, options)
}

/// Reads an ONNX model from memory; errors as [`load()`].
pub fn load_bytes(bytes: &[u8]) -> Result<FloatModel, ImportError> {
    load_bytes_with(bytes, &LoadOptions::default())
}

/// [`load_bytes()`] with symbolic extents given.
pub fn load_bytes_with(bytes: &[u8], options: &LoadOptions) -> Result<FloatModel, ImportError> {
    load_proto(&mut decode(Bytes::copy_from_slice(bytes))?, options)
}

/// The first `len` bytes of a file, by all threads: most of the time goes into memory that was not used before.
#[cfg(unix)]
fn read_whole(file: &std::fs::File, len: usize) -> std::io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    const PART: usize = 1 << 22;
    let mut bytes = vec![0; len];
    let parts = bytes.par_chunks_mut(PART).enumerate();
    parts.try_for_each(|(k, part)| file.read_exact_at(part, (k * PART) as u64))?;
    Ok(bytes)
}

/// The first `len` bytes of a file.
#[cfg(not(unix))]
fn read_whole(mut file: &std::fs::File, len: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Decodes a file's bytes, whose tensors are copied out of them once.
pub(super) fn decode(bytes: Bytes) -> Result<ModelProto, ImportError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImportError::TooLarge { got: bytes.len() as u64, limit: MAX_FILE_BYTES });
    }
    if bytes.is_empty() {
        return Err(malformed("the file is empty"));
    }
    guarded("reading the ONNX protobuf", || ModelProto::decode(bytes).map_err(|e| malformed(&e.to_string())))
}

fn load_proto(proto: &mut ModelProto, options: &LoadOptions) -> Result<FloatModel, ImportError> {
    let opset = rewrite::opset(proto);
    rewrite::functions::inline(proto)?;
    let graph = proto.graph.as_mut().ok_or_else(|| malformed("it holds no graph"))?;
    if proto.opset_import.is_empty() {
        return Err(malformed("it names no operator set; the file may be cut short"));
    }
    let mut notes = if options.drop_softmax { super::softmax::drop_last(graph) } else { Vec::new() };
    prune::unused(graph);
    check_graph(graph, 0)?;
    let mut converted = Converted::default();
    convert::convert(graph, &mut converted)?;
    let narrow = narrow::read(graph)?;
    if narrow > 0 {
        notes.push(format!("{narrow} constants of a few bits are read as the floats that they stand for"));
    }
    if converted.floats {
        notes.push("floats of other widths are computed as float32".to_owned());
    }
    if converted.infinities {
        notes.push(format!("infinite constants count as {:e}", convert::STAND_IN));
    }
    prune::unique_names(graph);
    let inputs = shapes::fix(graph, options, &mut notes)?;
    let integral = inputs.iter().map(|(name, _)| shapes::is_integral(graph, name)).collect();
    let mut nodes = list_nodes(graph, &inputs, opset);
    drop_constant_outputs(graph, &nodes, &inputs, &mut notes);
    let outputs: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    if inputs.is_empty() || outputs.is_empty() {
        return Err(malformed("a model needs an input and an output"));
    }
    let known: HashSet<&str> = nodes
        .iter()
        .flat_map(|n| n.outputs.iter())
        .chain(inputs.iter().map(|(n, _)| n))
        .chain(graph.initializer.iter().map(|t| &t.name))
        .map(String::as_str)
        .collect();
    if let Some(o) = outputs.iter().find(|o| !known.contains(o.as_str())) {
        return Err(malformed(&format!("nothing computes the output '{o}'")));
    }
    let strict =
        |n: &&NodeProto| n.op_type == "OneHotEncoder" && n.attribute.iter().any(|a| a.name == "zeros" && a.i == 0);
    if let Some(n) = graph.node.iter().find(strict) {
        let name = if n.name.is_empty() { n.output.first().cloned().unwrap_or_default() } else { n.name.clone() };
        notes.push(format!(
            "node '{name}' (OneHotEncoder) gives zeros for a category that it does not know, not an error"
        ));
    }
    let folded = rewrite::dynamic::fold(graph);
    nodes.iter_mut().for_each(|n| n.folded = folded.contains(&n.name));
    if !folded.is_empty() {
        notes.push(format!(
            "the inputs of {} dynamically quantized operators are not rounded to 8 bits but as all activations are",
            folded.len()
        ));
    }
    let refused = nodes.iter().find_map(|n| {
        let help = blocked(n)?.to_owned();
        Some(ImportError::Unsupported { node: n.name.clone(), op: n.op.clone(), help })
    });
    let refused = refused.or_else(|| audit::check(proto).err());
    let typed = guarded("analysing the model", || {
        proto.graph.iter_mut().for_each(rewrite::batch_norm::fold);
        rewrite::expand(proto)?;
        type_model(proto)
    });
    let shapes = if typed.is_err() { known_shapes(proto) } else { HashMap::new() };
    let constants = proto.graph.iter().flat_map(|g| &g.initializer);
    let parameters = constants.filter(|t| t.data_type == 1).map(|t| volume(t.dims.iter().copied()).unwrap_or(0)).sum();
    let infinities = converted.infinities;
    Ok(FloatModel { typed, refused, shapes, nodes, inputs, outputs, parameters, notes, integral, infinities })
}

/// Outputs that no input reaches have nothing to prove; they are left out where others remain.
fn drop_constant_outputs(
    graph: &mut GraphProto,
    nodes: &[SourceNode],
    inputs: &[(String, Vec<usize>)],
    notes: &mut Vec<String>,
) {
    let constant = |name: &str| {
        let computed = nodes.iter().any(|n| !n.dynamic && n.outputs.iter().any(|o| o == name));
        computed || (graph.initializer.iter().any(|t| t.name == name) && !inputs.iter().any(|(n, _)| n == name))
    };
    let names: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).filter(|n| constant(n)).collect();
    if names.len() < graph.output.len() {
        for n in &names {
            notes.push(format!("output '{n}' is a constant: it is no part of the compiled model"));
        }
        graph.output.retain(|o| !names.contains(&o.name));
    }
}

pub(super) fn type_model(proto: &ModelProto) -> Result<TypedModel, ImportError> {
    // Declared shapes of inner tensors and outputs may be symbolic or wrong; tract infers them from the inputs.
    let framework = own::framework();
    let fail = |stage: &'static str| move |e: TractError| ImportError::engine(stage, &e);
    let mut model = framework.model_for_proto_model(proto).map_err(fail("parsing the model"))?;
    fold::analyse(&mut model)?;
    let typed = model.into_typed().map_err(fail("inferring types and shapes"))?;
    // Simplification only saves work, and some valid models make tract's rewriting fail: they are used as they are.
    let simplified = guarded("simplifying the model", || {
        let mut m = typed.clone().into_decluttered().map_err(fail("simplifying the model"))?;
        super::ops::norm::expand(&mut m).map_err(fail("simplifying the model"))?;
        Ok(m)
    });
    let typed = simplified.unwrap_or(typed);
    for node in typed.nodes() {
        for o in &node.outputs {
            let Some(shape) = o.fact.shape.as_concrete() else {
                return Err(ImportError::Tensor {
                    tensor: node.name.clone(),
                    reason: format!("its shape {:?} depends on data; export the model with fixed shapes", o.fact.shape),
                });
            };
            volume(shape.iter().map(|d| *d as i64))
                .map_err(|reason| ImportError::Tensor { tensor: node.name.clone(), reason })?;
        }
    }
    Ok(typed)
}

fn malformed(reason: &str) -> ImportError {
    ImportError::Malformed { reason: reason.to_owned() }
}

impl FloatModel {
    /// The tract model, or why there is none.
    pub(crate) fn typed(&self) -> Result<&TypedModel, ImportError> {
        match &self.refused {
            Some(e) => Err(e.clone()),
            None => self.typed.as_ref().map_err(Clone::clone),
        }
    }

    /// Name and operator of the node of the file from which a tract node comes.
    pub(crate) fn origin<'a>(&'a self, name: &'a str, op: &'a str) -> (&'a str, &'a str) {
        let best = self.nodes.iter().filter(|n| matches_prefix(name, n)).max_by_key(|n| n.name.len());
        best.map_or((name, op), |n| (n.name.as_str(), n.op.as_str()))
    }

    /// Runs the float model on one sample: one flat array per input.
    ///
    /// # Errors
    /// Inputs of the wrong number or length, and whatever tract reports.
    pub fn run(&self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, ImportError> {
        super::calibrate::check_samples(self, &[inputs.to_vec()])?;
        let model = self.typed()?;
        let mut out = vec![Vec::new(); model.outputs.len()];
        super::calibrate::run_float(self, model, inputs, &mut |outlet, values| {
            for (slot, id) in out.iter_mut().zip(&model.outputs) {
                if *id == outlet {
                    *slot = values.to_vec();
                }
            }
            Ok(())
        })?;
        Ok(out)
    }
}

fn matches_prefix(name: &str, n: &SourceNode) -> bool {
    let hit = |p: &str| name.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_', '-']));
    !n.name.is_empty() && (hit(&n.name) || n.outputs.iter().any(|o| !o.is_empty() && hit(o)))
}
