//! Attention, in whichever operators it is written: what the nodes between one value and another compute is compared with what an
//! attention of so many heads does.

use super::{super::load_bytes, walk::Walk};
use crate::train::Layer;
use prost::Message;
use std::collections::HashSet;
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension::Value as Dim},
    type_proto,
};

/// Most nodes that one attention is written in.
const MAX_NODES: usize = 64;
/// What it may be written in.
const PARTS: [&str; 26] = [
    "Add",
    "Attention",
    "Cast",
    "Concat",
    "Constant",
    "Div",
    "Einsum",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "MatMul",
    "Max",
    "Mul",
    "ReduceMax",
    "ReduceSum",
    "Reshape",
    "Slice",
    "Softmax",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// What a region of nodes gives, and which those are.
pub(super) struct Region<'a> {
    pub(super) layer: Layer,
    pub(super) nodes: Vec<usize>,
    pub(super) exit: &'a str,
}

/// Values that tell attentions apart.
fn probe(n: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let value = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 22) as f32 - 2.0
    };
    (0..n).map(value).collect()
}

/// What an attention makes of queries, keys and values beside each other, for one token.
fn attention(x: &[f32], i: usize, (tokens, width): (usize, usize), heads: usize, causal: bool) -> Vec<f32> {
    let n = width / heads;
    let at = |t: usize, which: usize, h: usize, d: usize| f64::from(x[(t * 3 + which) * width + h * n + d]);
    let mut out = Vec::with_capacity(width);
    for h in 0..heads {
        let seen = if causal { i + 1 } else { tokens };
        let score = |j: usize| (0..n).map(|d| at(i, 0, h, d) * at(j, 1, h, d)).sum::<f64>() / (n as f64).sqrt();
        let scores: Vec<f64> = (0..seen).map(score).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let mix = |d: usize| powers.iter().enumerate().map(|(j, p)| p / sum * at(j, 2, h, d)).sum::<f64>() as f32;
        out.extend((0..n).map(mix));
    }
    out
}

fn value(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim =
        dims.iter().map(|d| Dimension { value: Some(Dim::DimValue(*d as i64)), ..Dimension::default() }).collect();
    let tensor = type_proto::Tensor { elem_type: 1, shape: Some(TensorShapeProto { dim }) };
    let of = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(of), ..ValueInfoProto::default() }
}

impl<'a> Walk<'a> {
    /// The attention that the nodes behind a value of shape `[tokens, 3 width]` write, if they write one.
    pub(super) fn attention(&self, from: &'a str, shape: &[usize]) -> Option<Region<'a>> {
        let [tokens, all] = shape[..] else { return None };
        let width = (all % 3 == 0 && all > 0 && tokens > 0).then_some(all / 3)?;
        let mut values: HashSet<&str> = HashSet::from([from]);
        let mut nodes: Vec<usize> = vec![];
        let mut found = None;
        let start = *self.readers.get(from)?.iter().min()?;
        for (i, node) in self.nodes.iter().enumerate().skip(start) {
            if !self.data(node).any(|n| values.contains(n)) {
                continue;
            }
            let product = node.op_type == "MatMul" && self.data(node).count() == 1;
            let open = self.data(node).any(|n| !values.contains(n));
            if product || open || nodes.len() == MAX_NODES || !PARTS.contains(&node.op_type.as_str()) {
                break;
            }
            values.extend(node.output.iter().map(String::as_str));
            nodes.push(i);
            let [exit] = node.output.as_slice() else { continue };
            let members: HashSet<usize> = nodes.iter().copied().collect();
            let within = |name: &str| {
                name != self.output && self.readers.get(name).is_some_and(|r| r.iter().all(|i| members.contains(i)))
            };
            let softmax = nodes.iter().any(|i| matches!(self.nodes[*i].op_type.as_str(), "Softmax" | "Attention"));
            // What only moves the result on is part of it: the last of all that compute the same.
            if softmax
                && values.iter().all(|name| *name == exit.as_str() || within(name))
                && let Some(layer) = self.compare(from, exit, &nodes, (tokens, width))
            {
                found = Some(Region { layer, nodes: nodes.clone(), exit });
            }
        }
        found
    }

    /// Which attention nodes compute, from what they make of some numbers.
    fn compare(&self, from: &str, exit: &str, nodes: &[usize], (tokens, width): (usize, usize)) -> Option<Layer> {
        let inside: Vec<NodeProto> = nodes.iter().map(|i| self.nodes[*i].clone()).collect();
        let read: HashSet<&str> = inside.iter().flat_map(|n| n.input.iter().map(String::as_str)).collect();
        let mut initializer: Vec<_> =
            self.constants.iter().filter(|(n, _)| read.contains(*n)).map(|(_, t)| (*t).clone()).collect();
        initializer.sort_by(|a, b| a.name.cmp(&b.name));
        let graph = GraphProto {
            name: "attention".to_owned(),
            input: vec![value(from, &[1, tokens, 3 * width])],
            output: vec![value(exit, &[1, tokens, width])],
            node: inside,
            initializer,
            ..GraphProto::default()
        };
        let opset = OperatorSetIdProto { domain: String::new(), version: self.opset };
        let model =
            ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() };
        let float = load_bytes(&model.encode_to_vec()).ok()?;
        let x = probe(tokens * 3 * width);
        let got = float.run(std::slice::from_ref(&x)).ok()?.into_iter().next()?;
        if got.len() != tokens * width {
            return None;
        }
        let near = |i: usize, heads: usize, causal: bool| {
            let wanted = attention(&x, i, (tokens, width), heads, causal);
            wanted.iter().zip(&got[i * width..]).all(|(a, b)| (a - b).abs() < 1e-3)
        };
        // The first and the last token tell nearly all apart.
        let all_near = |heads: usize, causal: bool| {
            near(0, heads, causal)
                && near(tokens - 1, heads, causal)
                && (1..tokens.saturating_sub(1)).all(|i| near(i, heads, causal))
        };
        // With one token there is nothing to hide.
        let heads = (1..=width).filter(|h| width % h == 0);
        let all = heads.flat_map(|h| [(h, false), (h, true)]);
        let (heads, causal) = all.into_iter().find(|(h, c)| all_near(*h, *c))?;
        Some(Layer::Attention { heads, width, causal })
    }
}
