//! Reading ONNX files: untrusted protobuf bytes to a typed, simplified tract model with fixed shapes.

use super::error::ImportError;
use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Once,
};
use tract_onnx::{
    pb::{GraphProto, ModelProto, TensorProto, tensor_shape_proto::dimension::Value as Dim, type_proto},
    prelude::*,
    tract_hir::infer::{InferenceFact, InferenceOp},
};

/// Largest ONNX file, in bytes (the limit of protobuf itself).
pub const MAX_FILE_BYTES: u64 = 1 << 31;
const MAX_ELEMENTS: u64 = 1 << 28;
const MAX_NODES: usize = 1 << 16;

/// A node as the file has it.
#[derive(Clone, Debug)]
pub struct SourceNode {
    /// Its name, or that of its first output where it has none.
    pub name: String,
    /// The ONNX operator.
    pub op: String,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// Whether its value depends on the model's inputs (and not just on their shapes).
    pub dynamic: bool,
    /// Whether the operator exists in the ONNX standard that tract knows.
    pub known: bool,
}

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
}

/// What is done to a file while it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Leave out a Softmax or LogSoftmax that is the last operator: the output is then its input, and a note says so.
    pub drop_softmax: bool,
}

/// Reads an ONNX file as it is.
///
/// # Errors
/// Those of [`load_with()`].
pub fn load(path: impl AsRef<Path>) -> Result<FloatModel, ImportError> {
    load_with(path, &LoadOptions::default())
}

/// Reads an ONNX file.
///
/// # Errors
/// A file that cannot be read, is too large, or is no ONNX model with usable shapes. An operator that tract or the
/// compiler does not know is reported by [`super::compile()`], so that [`super::inspect()`] can still list the model.
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
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(read)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
    read_bytes(&bytes, options)
}

/// Reads an ONNX model from memory; errors as [`load()`].
pub fn load_bytes(bytes: &[u8]) -> Result<FloatModel, ImportError> {
    read_bytes(bytes, &LoadOptions::default())
}

fn read_bytes(bytes: &[u8], options: &LoadOptions) -> Result<FloatModel, ImportError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImportError::TooLarge { got: bytes.len() as u64, limit: MAX_FILE_BYTES });
    }
    if bytes.is_empty() {
        return Err(malformed("the file is empty"));
    }
    let mut proto = guarded("reading the ONNX protobuf", || {
        onnx().proto_model_for_read(&mut &*bytes).map_err(|e| malformed(&format!("{e:#}")))
    })?;
    load_proto(&mut proto, options)
}

fn load_proto(proto: &mut ModelProto, options: &LoadOptions) -> Result<FloatModel, ImportError> {
    let graph = proto.graph.as_mut().ok_or_else(|| malformed("it holds no graph"))?;
    if !proto.functions.is_empty() {
        return Err(malformed("it defines functions of its own; inline them (onnx.inliner.inline_local_functions)"));
    }
    if proto.opset_import.is_empty() {
        return Err(malformed("it names no operator set; the file may be cut short"));
    }
    check_graph(graph, 0)?;
    let mut notes = if options.drop_softmax { super::softmax::drop_last(graph) } else { Vec::new() };
    let inputs = fix_shapes(graph, &mut notes)?;
    let nodes = list_nodes(graph, &inputs);
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
    let refused = nodes.iter().find_map(|n| {
        let help = blocked(n)?.to_owned();
        Some(ImportError::Unsupported { node: n.name.clone(), op: n.op.clone(), help })
    });
    let refused = refused.or_else(|| super::audit::check(proto).err());
    let typed = guarded("analysing the model", || type_model(proto));
    let shapes = if typed.is_err() { known_shapes(proto) } else { HashMap::new() };
    let constants = proto.graph.iter().flat_map(|g| &g.initializer);
    let parameters = constants
        .filter(|t| matches!(t.data_type, 1 | 10 | 11))
        .map(|t| volume(t.dims.iter().copied()).unwrap_or(0))
        .sum();
    Ok(FloatModel { typed, refused, shapes, nodes, inputs, outputs, parameters, notes })
}

fn type_model(proto: &ModelProto) -> Result<TypedModel, ImportError> {
    // Declared shapes of inner tensors and outputs may be symbolic or wrong; tract infers them from the inputs.
    let framework = onnx().with_ignore_value_info(true);
    let fail = |stage: &'static str| move |e: TractError| ImportError::engine(stage, &e);
    let mut model = framework.model_for_proto_model(proto).map_err(fail("parsing the model"))?;
    super::fold::analyse(&mut model)?;
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
            volume(shape.iter().map(|d| *d as i64)).map_err(|reason| tensor(&node.name, reason))?;
        }
    }
    Ok(typed)
}

/// Shapes that follow from the inputs' in a model that has no types as a whole; for people, and for nothing else.
fn known_shapes(proto: &ModelProto) -> HashMap<String, Vec<usize>> {
    let partial = guarded("analysing the model", || {
        let fail = |e: TractError| ImportError::engine("analysing the model", &e);
        let mut model = onnx().with_ignore_value_info(true).model_for_proto_model(proto).map_err(fail)?;
        // It stops where nothing follows any more, which is no reason to forget what did.
        let _ = model.analyse(true);
        let shape = |n: &Node<InferenceFact, Box<dyn InferenceOp>>| {
            let dims = n.outputs.first()?.fact.shape.as_concrete_finite().ok()??;
            Some((n.name.clone(), dims.to_vec()))
        };
        Ok(model.nodes().iter().filter_map(shape).collect())
    });
    partial.unwrap_or_default()
}

fn malformed(reason: &str) -> ImportError {
    ImportError::Malformed { reason: reason.to_owned() }
}

fn tensor(name: &str, reason: String) -> ImportError {
    ImportError::Tensor { tensor: name.to_owned(), reason }
}

fn volume(dims: impl Iterator<Item = i64>) -> Result<u64, String> {
    let mut n = 1u64;
    for d in dims {
        let d = u64::try_from(d).map_err(|_| format!("a negative extent {d}"))?;
        n = n.checked_mul(d).filter(|n| *n <= MAX_ELEMENTS).ok_or(format!("more than {MAX_ELEMENTS} values"))?;
    }
    Ok(n)
}

/// Checks what tract would take on trust: sizes of tensors, references outside the file, nesting.
fn check_graph(graph: &GraphProto, depth: usize) -> Result<(), ImportError> {
    if depth > 8 {
        return Err(malformed("subgraphs are nested more than 8 deep"));
    }
    if graph.node.len() > MAX_NODES {
        return Err(malformed(&format!("{} nodes; at most {MAX_NODES}", graph.node.len())));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(malformed("sparse initializers; store them densely"));
    }
    for t in &graph.initializer {
        check_tensor(t)?;
    }
    for node in &graph.node {
        for a in &node.attribute {
            for t in a.t.iter().chain(&a.tensors) {
                check_tensor(t)?;
            }
            for g in a.g.iter().chain(&a.graphs) {
                check_graph(g, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn check_tensor(t: &TensorProto) -> Result<(), ImportError> {
    let err = |reason: String| Err(tensor(&t.name, reason));
    if t.data_location == Some(1) || !t.external_data.is_empty() {
        return err("its data is in another file; save the model with its weights inside".to_owned());
    }
    if t.dims.len() > 12 {
        return err(format!("{} axes; at most 12", t.dims.len()));
    }
    let n = volume(t.dims.iter().copied()).or_else(err_of(&t.name))?;
    // Element sizes by ONNX data type number.
    let size = match t.data_type {
        2 | 3 | 9 => 1,
        4 | 5 | 10 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        8 => return if t.string_data.len() as u64 == n { Ok(()) } else { err("its data is cut short".to_owned()) },
        other => return err(format!("ONNX data type {other} is not supported; use float32")),
    };
    let (present, wanted) = if t.raw_data.is_empty() {
        let lists =
            [t.float_data.len(), t.int32_data.len(), t.int64_data.len(), t.double_data.len(), t.uint64_data.len()];
        (lists.into_iter().max().unwrap_or(0) as u64, n)
    } else {
        (t.raw_data.len() as u64, n * size)
    };
    if present != wanted {
        return err(format!("expected {wanted} bytes or values for shape {:?}, got {present}", t.dims));
    }
    let raw_bad = t.data_type == 1
        && t.raw_data.chunks_exact(4).any(|b| !f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite());
    if raw_bad || t.float_data.iter().any(|v| !v.is_finite()) || t.double_data.iter().any(|v| !v.is_finite()) {
        return err("it holds a NaN or an infinity".to_owned());
    }
    Ok(())
}

fn err_of<T>(name: &str) -> impl Fn(String) -> Result<T, ImportError> + '_ {
    move |reason| Err(tensor(name, reason))
}

/// Replaces a symbolic batch by 1, and returns the inputs' names and shapes.
fn fix_shapes(graph: &mut GraphProto, notes: &mut Vec<String>) -> Result<Vec<(String, Vec<usize>)>, ImportError> {
    let initialized: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    let mut out = Vec::new();
    // A symbol that is somebody's batch is the batch everywhere.
    let mut batch: HashSet<String> = HashSet::new();
    for input in graph.input.iter().filter(|i| !initialized.contains(&i.name)) {
        if let Some(type_proto::Value::TensorType(t)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
            && let Some(Dim::DimParam(p)) = t.shape.as_ref().and_then(|s| s.dim.first()).and_then(|d| d.value.as_ref())
        {
            batch.insert(p.clone());
        }
    }
    for input in graph.input.iter_mut().filter(|i| !initialized.contains(&i.name)) {
        let name = input.name.clone();
        let err = |reason: String| tensor(&name, reason);
        let Some(type_proto::Value::TensorType(t)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            return Err(err("an input must be a tensor".to_owned()));
        };
        if ![1, 10, 11].contains(&t.elem_type) {
            return Err(err(format!("an input must be of floats, not of ONNX data type {}", t.elem_type)));
        }
        let shape = t.shape.as_mut().ok_or_else(|| err("an input must have a shape".to_owned()))?;
        let mut dims = Vec::with_capacity(shape.dim.len());
        for (axis, d) in shape.dim.iter_mut().enumerate() {
            let fixed = match &d.value {
                Some(Dim::DimValue(v)) if *v > 0 => *v,
                Some(Dim::DimParam(p)) if batch.contains(p) => 1,
                _ if axis == 0 => 1,
                Some(Dim::DimParam(p)) => {
                    return Err(err(format!("axis {axis} has the symbolic extent '{p}'; export it with a fixed one")));
                }
                other => return Err(err(format!("axis {axis} has no extent ({other:?}); export it with a fixed one"))),
            };
            if !matches!(&d.value, Some(Dim::DimValue(v)) if *v == fixed) {
                notes.push(format!("input '{name}': axis {axis} fixed to 1"));
            }
            d.value = Some(Dim::DimValue(fixed));
            dims.push(fixed);
        }
        if dims.len() > 8 {
            return Err(err(format!("{} axes; at most 8", dims.len())));
        }
        volume(dims.iter().copied()).map_err(err)?;
        out.push((name.clone(), dims.into_iter().map(|d| d as usize).collect()));
    }
    Ok(out)
}

fn list_nodes(graph: &GraphProto, inputs: &[(String, Vec<usize>)]) -> Vec<SourceNode> {
    let mut dynamic: HashSet<&str> = inputs.iter().map(|(n, _)| n.as_str()).collect();
    let mut out = Vec::with_capacity(graph.node.len());
    let register = onnx().op_register.0;
    for (i, n) in graph.node.iter().enumerate() {
        let first = n.output.iter().find(|o| !o.is_empty());
        let name = match (n.name.is_empty(), first) {
            (false, _) => n.name.clone(),
            (true, Some(o)) => o.clone(),
            (true, None) => format!("node {i}"),
        };
        let static_shape = matches!(n.op_type.as_str(), "Shape" | "Size");
        let is_dynamic = !static_shape && n.input.iter().any(|x| dynamic.contains(x.as_str()));
        if is_dynamic {
            dynamic.extend(n.output.iter().map(String::as_str));
        }
        out.push(SourceNode {
            name,
            op: n.op_type.clone(),
            outputs: n.output.clone(),
            dynamic: is_dynamic,
            known: register.contains_key(&n.op_type),
        });
    }
    out
}

/// What would help with an operator that is known not to work; `None` for all others.
pub(crate) fn blocked(node: &SourceNode) -> Option<&'static str> {
    if !node.known {
        return Some("it is no operator of the ONNX standard that is known here; replace it by standard ones");
    }
    if !node.dynamic {
        return None;
    }
    Some(match node.op.as_str() {
        "Softmax" | "LogSoftmax" | "Hardmax" => {
            "as the last layer it can be left out: --drop-softmax proves what goes into it, which has the same order; inside of a \
             model it cannot be proven yet"
        }
        "GRU" | "LSTM" | "RNN" | "Scan" | "Loop" | "If" => {
            "recurrence and control flow cannot be proven; unroll the steps when exporting"
        }
        "TopK" | "ArgMax" | "ArgMin" | "NonZero" | "NonMaxSuppression" | "Unique" | "Compress" => {
            "its result depends on the order of the data; leave it to the program that reads the model's output"
        }
        "Resize" | "Upsample" | "GridSample" | "RoiAlign" | "ConvTranspose" | "MaxUnpool" => {
            "resampling is not supported; use Conv and pooling"
        }
        "GatherElements" | "GatherND" | "Scatter" | "ScatterElements" | "ScatterND" | "OneHot" => {
            "indexing by data is not supported; use Slice, Concat, or Gather with constant positions"
        }
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "QLinearConv"
        | "QLinearMatMul"
        | "ConvInteger"
        | "MatMulInteger" => "export the float model; the compiler quantizes it itself",
        "RandomNormal" | "RandomUniform" | "RandomNormalLike" | "RandomUniformLike" | "Multinomial" | "Bernoulli" => {
            "randomness cannot be proven; export the model for inference"
        }
        _ => return None,
    })
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs tract on untrusted data. tract checks most of what it reads, but some broken models reach an assertion deep in its
/// shape analysis; such a panic is turned into an error here, without printing a backtrace to the user.
pub(crate) fn guarded<T>(stage: &'static str, f: impl FnOnce() -> Result<T, ImportError>) -> Result<T, ImportError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.with(Cell::get) {
                previous(info);
            }
        }));
    });
    let before = QUIET.with(|q| q.replace(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.with(|q| q.set(before));
    result.unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        Err(ImportError::engine(stage, &format!("the model contradicts itself: {text}")))
    })
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
        })?;
        Ok(out)
    }
}

fn matches_prefix(name: &str, n: &SourceNode) -> bool {
    let hit = |p: &str| name.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_', '-']));
    !n.name.is_empty() && (hit(&n.name) || n.outputs.iter().any(|o| !o.is_empty() && hit(o)))
}
