//! Networks that can be trained, from ONNX files and back: layers in a row, each with a gradient rule, and residual branches.
//!
//! Read: Gemm, MatMul with Add, Conv, Relu, smooth activations and attention however they are written, AveragePool, MaxPool,
//! GlobalAveragePool, layer, group and instance normalization, two branches that an Add joins, Flatten, Reshape to one axis,
//! Identity and Dropout, and a Softmax or LogSoftmax at the end, which belongs to the loss. Everything else is refused by name.

mod adapt;
mod attention;
mod attributes;
mod chain;
mod walk;
mod write;

use super::{
    check::check_graph,
    convert::{self, Converted},
    error::ImportError,
    external,
    load::{MAX_FILE_BYTES, decode},
    narrow, prune, rewrite,
};
use crate::train::{Layer, Network};
use std::{collections::HashMap, io::Read, path::Path};
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension::Value as Dim, type_proto,
};
use walk::Walk;

pub use adapt::Adapters;

/// A network of a file, with its weights.
#[derive(Clone, Debug)]
pub struct Trainable {
    /// Its layers.
    pub network: Network,
    /// Weights and biases in the order and shapes of [`Network::weights`].
    pub weights: Vec<Vec<f32>>,
    /// Those that stay as they are, as in [`Network::base`]: none until [`Self::adapt`].
    pub base: Vec<Vec<f32>>,
    /// Names of the nodes of dense layers, in their order.
    pub titles: Vec<String>,
    /// Operator at the end that belongs to the loss: `Softmax` or `LogSoftmax`.
    pub tail: Option<String>,
    input: ValueInfoProto,
    output: ValueInfoProto,
}

/// A node of a file, and why it cannot be trained where it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Name of the node, or of its first output.
    pub name: String,
    /// The ONNX operator.
    pub op: String,
    /// What would help; `None` where there is a gradient rule.
    pub help: Option<String>,
}

const ROW: &str = "networks that can be trained are layers in a row and residual branches: Gemm, MatMul with Add, Conv, \
    Relu, Gelu, Silu, Sigmoid, Tanh, AveragePool, MaxPool, LayerNormalization, GroupNormalization, attention, Add, Flatten";

fn malformed(reason: impl Into<String>) -> ImportError {
    ImportError::Malformed { reason: reason.into() }
}

fn title(n: &NodeProto) -> String {
    let first = n.output.iter().find(|o| !o.is_empty());
    if n.name.is_empty() { first.cloned().unwrap_or_default() } else { n.name.clone() }
}

/// The graph of a file, and the version of the operators that it uses.
fn read(path: &Path) -> Result<(GraphProto, i64), ImportError> {
    let failed = |e: std::io::Error| ImportError::Read { path: path.display().to_string(), reason: e.to_string() };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    let mut proto = decode(bytes.into())?;
    external::read(&mut proto, path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let own = |o: &&tract_onnx::pb::OperatorSetIdProto| matches!(o.domain.as_str(), "" | "ai.onnx");
    let opset = proto.opset_import.iter().find(own).map_or(17, |o| o.version);
    rewrite::functions::inline(&mut proto)?;
    let mut graph = proto.graph.take().ok_or_else(|| malformed("it holds no graph"))?;
    prune::unused(&mut graph);
    check_graph(&graph, 0)?;
    convert::convert(&mut graph, &mut Converted::default())?;
    narrow::read(&mut graph)?;
    // Constants that are nodes become initializers.
    for n in &graph.node {
        if n.op_type == "Constant"
            && let (Some(name), Some(value)) =
                (n.output.first(), n.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.as_ref()))
        {
            graph.initializer.push(TensorProto { name: name.clone(), ..value.clone() });
        }
    }
    graph.node.retain(|n| n.op_type != "Constant");
    Ok((graph, opset))
}

/// A float constant: shape and values.
type Constant = (Vec<usize>, Vec<f32>);

fn floats(t: &TensorProto) -> Result<Constant, String> {
    let shape = t.dims.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect::<Vec<_>>();
    let bytes = |b: &[u8]| <[u8; 4]>::try_from(b).map(f32::from_le_bytes).unwrap_or(f32::NAN);
    let values: Vec<f32> =
        if t.raw_data.is_empty() { t.float_data.clone() } else { t.raw_data.chunks(4).map(bytes).collect() };
    let fits = t.data_type == 1 && Some(values.len()) == shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    if !fits || values.iter().any(|v| !v.is_finite()) {
        return Err(format!("its constant '{}' must hold finite floats", t.name));
    }
    Ok((shape, values))
}

fn integers(t: &TensorProto) -> Vec<i64> {
    let bytes = |b: &[u8]| <[u8; 8]>::try_from(b).map(i64::from_le_bytes).unwrap_or(0);
    if t.raw_data.is_empty() { t.int64_data.clone() } else { t.raw_data.chunks(8).map(bytes).collect() }
}

/// What the nodes of a file are to training, in the file's order, and the network where all have a rule.
///
/// # Errors
/// A file that cannot be read, or that does not have one input and one output.
pub fn trainable(path: impl AsRef<Path>) -> Result<(Vec<Rule>, Option<Trainable>), ImportError> {
    let (graph, opset) = read(path.as_ref())?;
    let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|i| !constants.contains_key(i.name.as_str())).collect();
    let ([input], [output]) = (inputs.as_slice(), graph.output.as_slice()) else {
        return Err(malformed(format!(
            "{} inputs and {} outputs; training needs one of each",
            inputs.len(),
            graph.output.len()
        )));
    };
    let shape = sample_shape(input)?;
    let mut walk = Walk::new(&graph, &constants, &output.name, opset);
    let chain = walk.all(&input.name, &shape);
    let rules = walk.rules();
    let Some(chain) = chain.filter(|_| rules.iter().all(|r| r.help.is_none())) else { return Ok((rules, None)) };
    let network = Network { input: shape, layers: chain.layers };
    network.shapes().map_err(|e| malformed(e.to_string()))?;
    let (input, output) = ((*input).clone(), output.clone());
    let (weights, base, titles, tail) = (chain.weights, vec![], chain.titles, chain.tail);
    Ok((rules, Some(Trainable { network, weights, base, titles, tail, input, output })))
}

/// Extents of one sample: all axes but the first, which is the batch.
fn sample_shape(input: &ValueInfoProto) -> Result<Vec<usize>, ImportError> {
    let error = |reason: &str| ImportError::Tensor { tensor: input.name.clone(), reason: reason.to_owned() };
    let Some(type_proto::Value::TensorType(t)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(error("an input must be a tensor"));
    };
    let dims = t.shape.as_ref().map(|s| s.dim.as_slice()).unwrap_or_default();
    let extent = |d: &Option<Dim>| match d {
        Some(Dim::DimValue(n)) => usize::try_from(*n).ok().filter(|n| *n > 0),
        _ => None,
    };
    match dims.split_first() {
        Some((_, rest)) if !rest.is_empty() => {
            rest.iter().map(|d| extent(&d.value).ok_or_else(|| error("all axes but the first must be fixed"))).collect()
        }
        _ => Err(error("an input must have a batch axis and one more")),
    }
}

impl Trainable {
    /// Moves a standardization `(x - mean) / scale` of the data out of the first layer (`into` false: the weights are then for
    /// standardized data and compute the same) or back into it.
    ///
    /// # Errors
    /// A first layer that is not dense: its weights do not belong to single features.
    pub fn standardize(&self, weights: &mut [Vec<f32>], mean: &[f32], scale: &[f32], into: bool) -> Result<(), String> {
        let first = self.network.layers.iter().find(|l| l.trains());
        let (Some(Layer::Dense { inputs, outputs }), [w, b, ..]) = (first, weights) else {
            return Err("only networks that begin with a dense layer can take data that is standardized".to_owned());
        };
        if mean.len() != *inputs || scale.len() != *inputs {
            return Err(format!("{} means and {} scales for {inputs} features", mean.len(), scale.len()));
        }
        for o in 0..*outputs {
            let mut shift = 0f64;
            for (i, (m, s)) in mean.iter().zip(scale).enumerate() {
                let (m, s, w) = (f64::from(*m), f64::from(*s), &mut w[i * outputs + o]);
                if into {
                    *w = (f64::from(*w) / s) as f32;
                    shift -= f64::from(*w) * m;
                } else {
                    shift += f64::from(*w) * m;
                    *w = (f64::from(*w) * s) as f32;
                }
            }
            b[o] = (f64::from(b[o]) + shift) as f32;
        }
        Ok(())
    }
}
