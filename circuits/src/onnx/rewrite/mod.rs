//! Operators spelled out in others, before tract reads the model.
//!
//! An operator that tract does not know, or reads differently from the standard, or that is best proven as a composition
//! of others, is replaced by nodes that compute the same. The names of the new nodes begin with that of the old one, so
//! messages still name the node of the file. One file a family; a rule that needs shapes gets them from tract's analysis
//! of everything before it.

mod attention;
pub(crate) mod batch_norm;
mod border;
pub(crate) mod builder;
mod control;
mod cumulative;
pub(crate) mod dynamic;
mod einsum;
mod features;
mod fourier;
pub(crate) mod functions;
mod fused;
mod fused_attention;
mod index;
mod loss;
mod norm;
mod order;
mod pointwise;
mod pool;
mod qdq;
mod quantized;
mod recurrent;
mod resize;
mod sample;
mod scatter;
mod shape;
mod softmax;
mod state;
mod svm;
mod tabular;
mod transposed;
mod trees;

use super::{error::ImportError, fold, own};
use builder::{Builder, Known, Result};
use tract_onnx::{
    pb::{
        GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{self, Dimension},
        type_proto,
    },
    prelude::*,
};

/// Replaces a node: the names of the values that stand for its outputs.
type Rule = fn(&mut Builder<'_>) -> Result<Vec<String>>;

/// Most rounds of replacing and analysing: the longest chain of replaced nodes.
const MAX_ROUNDS: usize = 512;

/// Most nodes of a model as it is written out.
const MAX_NODES: usize = 1 << 17;

/// The rule for a node, and whether it needs shapes.
fn rule(node: &NodeProto, opset: i64) -> Option<(Rule, bool)> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return match node.domain.as_str() {
            quantized::VENDOR => quantized::rule(node)
                .or_else(|| dynamic::rule(node))
                .or_else(|| fused::rule(node))
                .or_else(|| fused_attention::rule(node))
                .or_else(|| state::rule(node)),
            "ai.onnx.ml" => trees::rule(node)
                .or_else(|| tabular::rule(node))
                .or_else(|| features::rule(node))
                .or_else(|| svm::rule(node)),
            _ => None,
        };
    }
    pointwise::rule(node, opset)
        .or_else(|| softmax::rule(node, opset))
        .or_else(|| attention::rule(node))
        .or_else(|| state::rule(node))
        .or_else(|| loss::rule(node))
        .or_else(|| index::rule(node))
        .or_else(|| order::rule(node))
        .or_else(|| pool::rule(node))
        .or_else(|| norm::rule(node))
        .or_else(|| shape::rule(node))
        .or_else(|| resize::rule(node))
        .or_else(|| sample::rule(node))
        .or_else(|| fourier::rule(node))
        .or_else(|| border::rule(node))
        .or_else(|| transposed::rule(node))
        .or_else(|| quantized::rule(node))
        .or_else(|| recurrent::rule(node))
        .or_else(|| cumulative::rule(node))
        .or_else(|| scatter::rule(node))
        .or_else(|| einsum::rule(node))
        .or_else(|| control::rule(node))
}

/// Whether an operator is known by a rule.
pub(crate) fn knows(node: &NodeProto, opset: i64) -> bool {
    rule(node, opset).is_some()
}

/// Version of the ONNX standard that a model follows.
pub(crate) fn opset(proto: &ModelProto) -> i64 {
    let standard = proto.opset_import.iter().find(|o| matches!(o.domain.as_str(), "" | "ai.onnx"));
    standard.map_or(0, |o| o.version)
}

/// Replaces all nodes that have a rule.
///
/// # Errors
/// A rule that does not cover the node's attributes, by the node's name; shapes that stay unknown.
pub(crate) fn expand(proto: &mut ModelProto) -> Result<()> {
    let opset = opset(proto);
    proto.graph.iter_mut().for_each(qdq::fold);
    for _ in 0..MAX_ROUNDS {
        let Some(graph) = &proto.graph else { return Ok(()) };
        let waiting = graph.node.iter().any(|n| rule(n, opset).is_some());
        if !waiting {
            return Ok(());
        }
        let needs_shapes = graph.node.iter().any(|n| rule(n, opset).is_some_and(|r| r.1));
        let known = if needs_shapes { analyse(proto, opset)? } else { Known::default() };
        let Some(graph) = proto.graph.as_mut() else { return Ok(()) };
        let mut nodes = Vec::with_capacity(graph.node.len());
        let mut done = 0;
        let mut refused = None;
        for node in std::mem::take(&mut graph.node) {
            let ready = |needs: bool| !needs || node.input.iter().all(|i| i.is_empty() || known.shapes.contains_key(i));
            let Some((apply, _)) = rule(&node, opset).filter(|(_, needs)| ready(*needs)) else {
                nodes.push(node);
                continue;
            };
            let mut b = Builder::new(&node, opset, &known);
            let values = match apply(&mut b) {
                Ok(values) => values,
                Err(e) => {
                    // What it lacks may be known when others are replaced.
                    refused.get_or_insert_with(|| e.at(&node.name, &node.op_type));
                    nodes.push(node);
                    continue;
                }
            };
            for (value, output) in values.iter().zip(&node.output) {
                if !output.is_empty() {
                    let name = b.op("Identity", &[value], vec![]);
                    if let Some(last) = b.nodes.last_mut() {
                        last.output = vec![output.clone()];
                        last.name = name;
                    }
                }
            }
            if let Some(lost) = node.output.get(values.len()..).and_then(|o| o.iter().find(|o| !o.is_empty())) {
                let help = format!("its output '{lost}' cannot be proven; export the model without it");
                return Err(ImportError::unsupported(help).at(&node.name, &node.op_type));
            }
            graph.initializer.append(&mut b.constants);
            nodes.append(&mut b.nodes);
            if nodes.len() > MAX_NODES {
                let reason = format!("more than {MAX_NODES} nodes when composed operators and bodies are written out");
                return Err(ImportError::Malformed { reason });
            }
            done += 1;
        }
        graph.node = nodes;
        if done == 0 {
            if let Some(e) = refused {
                return Err(e);
            }
            let stuck = graph.node.iter().find(|n| rule(n, opset).is_some());
            let (name, op) = stuck.map_or(("", ""), |n| (n.name.as_str(), n.op_type.as_str()));
            let help = "the shapes of its inputs are not known; export the model with fixed shapes";
            return Err(ImportError::unsupported(help).at(name, op));
        }
    }
    Err(ImportError::Malformed { reason: format!("more than {MAX_ROUNDS} composed operators in a chain") })
}

/// Entries from which on a constant's values are of no interest to a rule.
const LARGE: usize = 1 << 16;

/// The model with its large constants as inputs of the same type and shape: it is read once for every round.
fn without_data(proto: &ModelProto) -> ModelProto {
    let large = |t: &TensorProto| {
        t.dims.iter().try_fold(1usize, |n, d| n.checked_mul(usize::try_from(*d).ok()?)).is_none_or(|n| n > LARGE)
    };
    let graph = proto.graph.as_ref().map(|g| {
        let mut input = g.input.clone();
        for t in g.initializer.iter().filter(|t| large(t) && !g.input.iter().any(|i| i.name == t.name)) {
            let dims = t.dims.iter().map(|d| Dimension {
                value: Some(tensor_shape_proto::dimension::Value::DimValue(*d)),
                ..Dimension::default()
            });
            let shape = Some(TensorShapeProto { dim: dims.collect() });
            let kind = type_proto::Value::TensorType(type_proto::Tensor { elem_type: t.data_type, shape });
            let r#type = Some(TypeProto { value: Some(kind), ..TypeProto::default() });
            input.push(ValueInfoProto { name: t.name.clone(), r#type, ..ValueInfoProto::default() });
        }
        GraphProto {
            node: g.node.clone(),
            name: g.name.clone(),
            initializer: g.initializer.iter().filter(|t| !large(t)).cloned().collect(),
            input,
            output: g.output.clone(),
            value_info: g.value_info.clone(),
            ..GraphProto::default()
        }
    });
    ModelProto {
        ir_version: proto.ir_version,
        opset_import: proto.opset_import.clone(),
        graph,
        ..ModelProto::default()
    }
}

/// Shapes, types and small constants, as far as tract can follow the model.
fn analyse(proto: &ModelProto, opset: i64) -> Result<Known> {
    let mut known = Known::default();
    let mut masked = without_data(proto);
    for n in masked.graph.iter_mut().flat_map(|g| &mut g.node) {
        if rule(n, opset).is_some() {
            n.op_type = "Waiting".to_owned();
            n.attribute.clear();
        }
    }
    let framework = own::framework();
    let fail = |e: TractError| ImportError::engine("parsing the model", &e);
    let mut parsed = framework.parse(&masked, None).map_err(fail)?;
    fold::analyse(&mut parsed.model)?;
    for (name, outlet) in &parsed.outlets_by_name {
        let Ok(fact) = parsed.model.outlet_fact(*outlet) else { continue };
        if let Some(shape) = fact.shape.as_concrete_finite().ok().flatten() {
            known.shapes.insert(name.clone(), shape.to_vec());
        }
        if let Some(kind) = fact.datum_type() {
            known.floats.insert(name.clone(), kind.is_float());
            known.types.insert(name.clone(), kind);
        }
        let value = fold::constant(fact).filter(|t| t.len() <= LARGE);
        let value = value.and_then(|t| t.cast_to::<f64>().ok().map(|t| t.into_owned()));
        if let Some(t) = value
            && let Ok(view) = t.to_plain_array_view::<f64>()
        {
            known.values.insert(name.clone(), view.iter().copied().collect());
        }
    }
    Ok(known)
}

/// Rules by operator.
fn table(node: &NodeProto, rules: &[(&str, Rule, bool)]) -> Option<(Rule, bool)> {
    rules.iter().find(|(op, _, _)| *op == node.op_type).map(|(_, r, s)| (*r, *s))
}

/// A whole number for each entry.
fn whole(values: &[f64]) -> Vec<i64> {
    values.iter().map(|v| *v as i64).collect()
}

/// An axis counted from the front.
fn axis(axis: i64, rank: usize) -> Result<usize> {
    let a = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(a)
        .ok()
        .filter(|a| *a < rank)
        .ok_or_else(|| ImportError::unsupported(format!("axis {axis} of a tensor of rank {rank}")))
}
