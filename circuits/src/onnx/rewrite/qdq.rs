//! Quantized models in the form of DequantizeLinear, an operator, QuantizeLinear: read as the operator on integers that they stand for.
//!
//! onnxruntime fuses these groups, and what it computes then (integer accumulators, one rounding) is what runs in production.
//! Here the same groups become QLinearConv, QLinearMatMul, QGemm, QLinearAdd, QLinearMul, QLinearGlobalAveragePool and
//! QLinearConcat. A Relu or Clip in between becomes bounds of the result. A Conv, MatMul or Gemm of quantized tensors without a
//! QuantizeLinear behind it keeps its integer accumulators and gives floats.

use super::{
    builder::float,
    quantized::{HIGH, LOW, VENDOR},
};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// A quantized tensor: integers, scale, zero point (which may be empty), and the axis of several scales.
#[derive(Clone, Debug)]
struct Quantized {
    x: String,
    scale: String,
    zero: String,
    axis: i64,
}

/// What is known of a graph.
struct View<'g> {
    graph: &'g GraphProto,
    producer: HashMap<&'g str, usize>,
    readers: HashMap<&'g str, Vec<usize>>,
    outputs: HashSet<&'g str>,
    constants: HashMap<&'g str, &'g TensorProto>,
}

/// What follows an operator up to its quantization.
struct Tail {
    /// Nodes between, and the QuantizeLinear last.
    nodes: Vec<usize>,
    scale: String,
    zero: String,
    low: Option<f32>,
    high: Option<f32>,
}

/// Whether a node is of the ONNX standard.
pub(super) fn standard(n: &NodeProto) -> bool {
    matches!(n.domain.as_str(), "" | "ai.onnx")
}

fn attribute<'n>(n: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    n.attribute.iter().find(|a| a.name == name)
}

/// The name of a node's input; empty where it is left out.
pub(super) fn input(n: &NodeProto, i: usize) -> &str {
    n.input.get(i).map_or("", String::as_str)
}

/// The one value of a constant of floats.
fn single(t: &TensorProto) -> Option<f32> {
    let n: i64 = t.dims.iter().product();
    if n != 1 || t.data_type != 1 {
        return None;
    }
    match t.raw_data.first_chunk::<4>() {
        Some(b) => Some(f32::from_le_bytes(*b)),
        None => t.float_data.first().copied(),
    }
}

impl<'g> View<'g> {
    fn new(graph: &'g GraphProto) -> Self {
        let mut producer = HashMap::new();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, n) in graph.node.iter().enumerate() {
            n.output.iter().for_each(|o| {
                producer.insert(o.as_str(), i);
            });
            n.input.iter().filter(|x| !x.is_empty()).for_each(|x| readers.entry(x).or_default().push(i));
        }
        let mut constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
        for n in graph.node.iter().filter(|n| n.op_type == "Constant") {
            if let (Some(o), Some(t)) = (n.output.first(), attribute(n, "value").and_then(|a| a.t.as_ref())) {
                constants.insert(o, t);
            }
        }
        Self { graph, producer, readers, outputs: graph.output.iter().map(|o| o.name.as_str()).collect(), constants }
    }

    /// The quantized tensor behind a float one.
    fn quantized(&self, name: &str) -> Option<Quantized> {
        let n = &self.graph.node[*self.producer.get(name)?];
        if n.op_type != "DequantizeLinear" || attribute(n, "block_size").is_some_and(|a| a.i != 0) {
            return None;
        }
        let axis = attribute(n, "axis").map_or(1, |a| a.i);
        let (x, scale, zero) = (input(n, 0).to_owned(), input(n, 1).to_owned(), input(n, 2).to_owned());
        self.constants.contains_key(scale.as_str()).then_some(Quantized { x, scale, zero, axis })
    }

    fn count(&self, constant: &str) -> Option<i64> {
        self.constants.get(constant).map(|t| t.dims.iter().product())
    }

    /// Whether there is one scale for all of the tensor.
    fn uniform(&self, q: &Quantized) -> bool {
        self.count(&q.scale) == Some(1)
    }

    /// The only reader of a tensor that is no output of the model.
    fn reader(&self, name: &str) -> Option<usize> {
        match self.readers.get(name)?.as_slice() {
            [one] if !self.outputs.contains(name) => Some(*one),
            _ => None,
        }
    }

    /// The quantization behind an operator, with a Relu or Clip in between.
    fn tail(&self, from: &NodeProto) -> Option<Tail> {
        let mut tail = Tail { nodes: vec![], scale: String::new(), zero: String::new(), low: None, high: None };
        let mut name = from.output.first()?.as_str();
        loop {
            let at = self.reader(name)?;
            let n = &self.graph.node[at];
            tail.nodes.push(at);
            let bound = |i: usize, attr: &str, default: f32| match (attribute(n, attr), input(n, i)) {
                (Some(a), _) => Some(a.f),
                (None, "") => Some(default),
                (None, c) => self.constants.get(c).and_then(|t| single(t)),
            };
            match n.op_type.as_str() {
                "Relu" if standard(n) && tail.nodes.len() == 1 => tail.low = Some(0.0),
                "Clip" if standard(n) && tail.nodes.len() == 1 => {
                    tail.low = Some(bound(1, "min", f32::MIN)?);
                    tail.high = Some(bound(2, "max", f32::MAX)?);
                }
                "QuantizeLinear" if input(n, 0) == name && self.count(input(n, 1)) == Some(1) => {
                    if attribute(n, "output_dtype").is_some_and(|a| a.i != 0) {
                        return None;
                    }
                    tail.scale = input(n, 1).to_owned();
                    tail.zero = input(n, 2).to_owned();
                    return Some(tail);
                }
                _ => return None,
            }
            name = n.output.first()?;
        }
    }

    /// A bias of integers in units of the product of both scales, as quantizers store it.
    fn bias(&self, name: &str, x: &Quantized, w: &Quantized) -> Option<String> {
        let q = self.quantized(name)?;
        let floats = |name: &str| -> Option<Vec<f32>> {
            let t = self.constants.get(name)?;
            match (t.data_type, t.raw_data.is_empty()) {
                (1, false) => {
                    Some(t.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
                }
                (1, true) => Some(t.float_data.clone()),
                _ => None,
            }
        };
        let (sx, sw, sb) = (floats(&x.scale)?, floats(&w.scale)?, floats(&q.scale)?);
        let near = |a: f32, b: f32| (a - b).abs() <= 1e-5 * b.abs();
        let fits = sb.len() == sw.len() && sb.iter().zip(&sw).all(|(b, w)| near(*b, sx[0] * w));
        let kind = self.constants.get(q.x.as_str()).map(|t| t.data_type)?;
        let zero = self
            .constants
            .get(q.zero.as_str())
            .is_none_or(|t| t.raw_data.iter().all(|b| *b == 0) && t.int32_data.iter().all(|v| *v == 0));
        (fits && kind == 6 && zero).then_some(q.x)
    }

    /// The operator that stands for a group, and the nodes that it replaces.
    fn group(&self, at: usize) -> Option<(NodeProto, Vec<usize>)> {
        let n = &self.graph.node[at];
        if !standard(n) {
            return None;
        }
        let tail = self.tail(n);
        let (op, inputs, vendor) = match n.op_type.as_str() {
            "Conv" | "MatMul" | "Gemm" => self.bilinear(n, tail.as_ref())?,
            "Add" | "Mul" => {
                let (a, b) = (self.quantized(input(n, 0))?, self.quantized(input(n, 1))?);
                let tail = tail.as_ref()?;
                if !self.uniform(&a) || !self.uniform(&b) {
                    return None;
                }
                let op = if n.op_type == "Add" { "QLinearAdd" } else { "QLinearMul" };
                (op, vec![a.x, a.scale, a.zero, b.x, b.scale, b.zero, tail.scale.clone(), tail.zero.clone()], true)
            }
            "GlobalAveragePool" => {
                let (a, tail) = (self.quantized(input(n, 0))?, tail.as_ref()?);
                if !self.uniform(&a) {
                    return None;
                }
                ("QLinearGlobalAveragePool", vec![a.x, a.scale, a.zero, tail.scale.clone(), tail.zero.clone()], true)
            }
            "Concat" => {
                let tail = tail.as_ref().filter(|t| t.nodes.len() == 1)?;
                let mut inputs = vec![tail.scale.clone(), tail.zero.clone()];
                for x in &n.input {
                    let q = self.quantized(x).filter(|q| self.uniform(q))?;
                    inputs.extend([q.x, q.scale, q.zero]);
                }
                if inputs.contains(&String::new()) {
                    return None;
                }
                ("QLinearConcat", inputs, true)
            }
            _ => return None,
        };
        let mut attributes: Vec<AttributeProto> =
            n.attribute.iter().filter(|a| !matches!(a.name.as_str(), "beta")).cloned().collect();
        let mut replaced = vec![at];
        let mut output = n.output.clone();
        if let Some(tail) = tail {
            for (name, bound) in [(LOW, tail.low), (HIGH, tail.high)] {
                attributes.extend(bound.map(|b| float(name, b)));
            }
            let last = *tail.nodes.last()?;
            output = self.graph.node[last].output.clone();
            replaced.extend(tail.nodes);
        }
        let node = NodeProto {
            input: inputs,
            output,
            name: n.name.clone(),
            op_type: op.to_owned(),
            domain: if vendor { VENDOR.to_owned() } else { String::new() },
            attribute: attributes,
            ..NodeProto::default()
        };
        Some((node, replaced))
    }

    fn bilinear(&self, n: &NodeProto, tail: Option<&Tail>) -> Option<(&'static str, Vec<String>, bool)> {
        let (x, w) = (self.quantized(input(n, 0))?, self.quantized(input(n, 1))?);
        let number = |name: &str, default: f32| attribute(n, name).map_or(default, |a| a.f);
        let transposed = |name: &str| attribute(n, name).is_some_and(|a| a.i != 0);
        // Several scales are one for each output, and need constants of that layout.
        let along = match n.op_type.as_str() {
            "Conv" => 0,
            "Gemm" if transposed("transB") => 0,
            _ => 1,
        };
        let rank = self.constants.get(w.x.as_str()).map(|t| t.dims.len());
        let fits = self.uniform(&w) || (w.axis == along && (along == 0 || rank == Some(2)));
        if !self.uniform(&x) || !fits || number("alpha", 1.0) != 1.0 || number("beta", 1.0) != 1.0 {
            return None;
        }
        let bias = match input(n, 2) {
            "" => None,
            name => Some(self.bias(name, &x, &w)?),
        };
        let (scale, zero) = tail.map_or((String::new(), String::new()), |t| (t.scale.clone(), t.zero.clone()));
        let mut inputs = vec![x.x, x.scale, x.zero, w.x, w.scale, w.zero];
        Some(match n.op_type.as_str() {
            "Gemm" => {
                inputs.extend([bias.unwrap_or_default(), scale, zero]);
                ("QGemm", inputs, true)
            }
            "Conv" => {
                inputs.extend([scale, zero]);
                inputs.extend(bias);
                ("QLinearConv", inputs, false)
            }
            _ => {
                inputs.extend([scale, zero]);
                ("QLinearMatMul", inputs, false)
            }
        })
    }
}

/// Replaces all groups of a graph.
pub(super) fn fold(graph: &mut GraphProto) {
    let mut made: HashMap<usize, NodeProto> = HashMap::new();
    let mut gone: HashSet<usize> = HashSet::new();
    {
        let view = View::new(graph);
        for at in 0..graph.node.len() {
            if let Some((node, replaced)) = view.group(at) {
                // All that the new node reads is there where the last of the old ones was.
                let place = replaced.iter().copied().max().unwrap_or(at);
                gone.extend(replaced);
                made.insert(place, node);
            }
        }
    }
    if made.is_empty() {
        return;
    }
    let old = std::mem::take(&mut graph.node);
    for (i, node) in old.into_iter().enumerate() {
        if let Some(new) = made.remove(&i) {
            graph.node.push(new);
        } else if !gone.contains(&i) {
            graph.node.push(node);
        }
    }
    crate::onnx::prune::unused(graph);
}
