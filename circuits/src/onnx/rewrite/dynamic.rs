//! Operators of dynamically quantized models: what their integers stand for.
//!
//! `DynamicQuantizeLinear` scales a tensor by its own extremes, `MatMulInteger` or `ConvInteger` multiplies the integers with
//! constant ones, and the product of both scales makes floats of the result. Up to the rounding of the input this is a product with
//! the weights `(w - zero) scale`, and that is what is proven: the input is rounded as every activation is. The integers of the
//! input must not be seen by anything else.

use super::{
    Rule,
    builder::{Builder, Result, int, ints},
    qdq::{input, standard},
    quantized::VENDOR,
    table,
};
use crate::onnx::{error::ImportError, nodes::mentioned};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

pub(super) fn rule(node: &NodeProto) -> Option<(Rule, bool)> {
    let rules: &[(&str, Rule, bool)] = &[("DynamicQuantizeLSTM", lstm, true), ("DynamicQuantizeMatMul", matmul, true)];
    if node.domain == VENDOR { table(node, rules) } else { None }
}

fn is(n: &NodeProto, op: &str) -> bool {
    n.op_type == op && standard(n)
}

/// Everything that reads a tensor.
struct Readers<'g> {
    nodes: HashMap<&'g str, Vec<usize>>,
    /// Outputs of the model, and what subgraphs mention.
    elsewhere: HashSet<&'g str>,
}

impl<'g> Readers<'g> {
    fn of(graph: &'g GraphProto) -> Self {
        let mut nodes: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut inner = Vec::new();
        for (i, n) in graph.node.iter().enumerate() {
            n.input.iter().for_each(|x| nodes.entry(x).or_default().push(i));
            n.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|g| mentioned(g, &mut inner));
        }
        let elsewhere = graph.output.iter().map(|o| o.name.as_str()).chain(inner).collect();
        Self { nodes, elsewhere }
    }

    /// The nodes that read a tensor; `None` if something else does too.
    fn only(&self, name: &str) -> Option<&[usize]> {
        if self.elsewhere.contains(name) {
            return None;
        }
        Some(self.nodes.get(name).map_or(&[], Vec::as_slice))
    }
}

/// Whether a product of the quantized tensor becomes a product of floats: its integers go into its first operand alone, and its
/// result is read as floats alone.
fn becomes_float(graph: &GraphProto, readers: &Readers<'_>, product: &NodeProto, [y, zero]: [&str; 2]) -> bool {
    let op = is(product, "MatMulInteger") || is(product, "ConvInteger");
    let places =
        input(product, 0) == y && input(product, 2) == zero && input(product, 1) != y && input(product, 3) != zero;
    let to_float = |n: &NodeProto| is(n, "Cast") && n.attribute.iter().any(|a| a.name == "to" && a.i == 1);
    let result = product.output.first().and_then(|o| readers.only(o));
    op && places && result.is_some_and(|r| r.iter().all(|i| to_float(&graph.node[*i])))
}

/// Whether the results of the products, as floats, are multiplied by the scale once and the scale serves nothing else: it may be
/// multiplied with constants first.
fn scaled_once<'g>(
    graph: &'g GraphProto,
    readers: &Readers<'g>,
    constants: &HashSet<&str>,
    products: &[usize],
    scale: &'g str,
) -> bool {
    let results = products.iter().filter_map(|i| readers.only(graph.node[*i].output.first()?));
    let casts: HashSet<&str> =
        results.flatten().filter_map(|i| graph.node[*i].output.first().map(String::as_str)).collect();
    let mut scales = vec![scale];
    let mut next = 0;
    while let Some(name) = scales.get(next).copied() {
        next += 1;
        let Some(of_scale) = readers.only(name) else { return false };
        for n in of_scale.iter().map(|i| &graph.node[*i]) {
            let other = if input(n, 0) == name { input(n, 1) } else { input(n, 0) };
            match n.output.first() {
                Some(product) if is(n, "Mul") && constants.contains(other) => scales.push(product),
                Some(_) if is(n, "Mul") && casts.contains(other) => {}
                _ => return false,
            }
        }
    }
    let scales: HashSet<&str> = scales.into_iter().collect();
    casts.iter().all(|cast| {
        let by_scale = |n: &NodeProto| {
            let other = if input(n, 0) == *cast { input(n, 1) } else { input(n, 0) };
            is(n, "Mul") && scales.contains(other)
        };
        readers.only(cast).is_some_and(|r| r.iter().all(|i| by_scale(&graph.node[*i])))
    })
}

/// Replaces dynamic quantization and the integer products that follow it by products of floats: names of the nodes that quantized.
pub(crate) fn fold(graph: &mut GraphProto) -> HashSet<String> {
    let mut done = HashSet::new();
    let mut ones = Vec::new();
    let mut replaced: HashMap<usize, Vec<NodeProto>> = HashMap::new();
    let readers = Readers::of(graph);
    let ranks: HashMap<&str, usize> = graph.initializer.iter().map(|t| (t.name.as_str(), t.dims.len())).collect();
    let made = graph.node.iter().filter(|n| is(n, "Constant")).flat_map(|n| &n.output);
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| &t.name).chain(made).map(String::as_str).collect();
    for (at, n) in graph.node.iter().enumerate().filter(|(_, n)| is(n, "DynamicQuantizeLinear")) {
        let [y, scale, zero] = [0, 1, 2].map(|i| n.output.get(i).map_or("", String::as_str));
        let (Some(of_y), Some(of_zero)) = (readers.only(y), readers.only(zero)) else { continue };
        let all = || of_y.iter().chain(of_zero).map(|i| &graph.node[*i]);
        let named = [y, scale, zero].iter().all(|o| !o.is_empty());
        if !named || !all().all(|p| becomes_float(graph, &readers, p, [y, zero])) {
            continue;
        }
        if !scaled_once(graph, &readers, &constants, of_y, scale) {
            continue;
        }
        let Some(products) =
            of_y.iter().map(|i| Some((*i, floats(&graph.node[*i], input(n, 0), &ranks)?))).collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        replaced.extend(products);
        replaced.insert(at, vec![]);
        let one = 1f32.to_le_bytes().to_vec();
        ones.push(TensorProto { name: scale.to_owned(), data_type: 1, raw_data: one, ..TensorProto::default() });
        done.insert(if n.name.is_empty() { y.to_owned() } else { n.name.clone() });
    }
    let nodes = std::mem::take(&mut graph.node).into_iter().enumerate();
    graph.node = nodes.flat_map(|(i, n)| replaced.remove(&i).unwrap_or_else(|| vec![n])).collect();
    graph.initializer.extend(ones);
    done
}

/// The product of the tensor `x` with what the constant integers of the second operand are above their zero point.
fn floats(product: &NodeProto, x: &str, ranks: &HashMap<&str, usize>) -> Option<Vec<NodeProto>> {
    let (w, zero) = (input(product, 1), input(product, 3));
    let label = if product.name.is_empty() { product.output.first()? } else { &product.name };
    let mut nodes = Vec::new();
    let mut push = |op: &str, inputs: &[&str], attribute| {
        let name = format!("{label}.float{}", nodes.len());
        nodes.push(NodeProto {
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.to_owned(),
            attribute,
            ..NodeProto::default()
        });
        name
    };
    let mut weights = push("Cast", &[w], vec![int("to", 1)]);
    if !zero.is_empty() {
        let mut zeros = push("Cast", &[zero], vec![int("to", 1)]);
        // One for a column of a matrix stands along its last axis; one for an output channel along the first of a kernel.
        let (rank, of_zero) = (*ranks.get(w)?, *ranks.get(zero)?);
        if of_zero > 1 {
            return None;
        }
        if is(product, "ConvInteger") && of_zero == 1 {
            let shape = (0..rank).map(|a| if a == 0 { -1 } else { 1 }).collect::<Vec<i64>>();
            let shape = push("Constant", &[], vec![ints("value_ints", &shape)]);
            zeros = push("Reshape", &[&zeros, &shape], vec![]);
        }
        weights = push("Sub", &[&weights, &zeros], vec![]);
    }
    let op = if is(product, "ConvInteger") { "Conv" } else { "MatMul" };
    push(op, &[x, &weights], product.attribute.clone());
    nodes.last_mut()?.output.clone_from(&product.output);
    Some(nodes)
}

/// `(w - zero) scale` as floats; scales and zero points are single, or lie along the last axis, or are rows of one for a direction.
fn weights(b: &mut Builder<'_>, [w, scale, zero]: [usize; 3]) -> Result<String> {
    let w = b.need(w)?;
    let shape = b.shape(&w)?;
    let mut y = b.cast(&w, 1);
    for (op, at) in [("Sub", zero), ("Mul", scale)] {
        let Some(name) = b.input(at) else { continue };
        let given = b.shape(&name)?;
        let along: Vec<usize> = match (given.as_slice(), shape.as_slice()) {
            ([] | [1], _) => vec![1; shape.len()],
            ([d], [first, _, _]) if d == first => vec![*d, 1, 1],
            ([d], [.., last]) if d == last => vec![*d],
            ([d, n], [first, _, last]) if d == first && n == last => vec![*d, 1, *n],
            _ => {
                return Err(ImportError::unsupported(format!(
                    "input {at} of shape {given:?} for weights of shape {shape:?}"
                )));
            }
        };
        let values = b.cast(&name, 1);
        let values = b.reshape(&values, &along);
        y = b.op(op, &[&y, &values], vec![]);
    }
    Ok(y)
}

/// The LSTM with its weights as floats; onnxruntime's operator has them with their last two axes in the other order.
fn lstm(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let (w, r) = (weights(b, [1, 8, 9])?, weights(b, [2, 10, 11])?);
    let (w, r) = (b.transpose(&w, &[0, 2, 1]), b.transpose(&r, &[0, 2, 1]));
    let mut inputs = vec![x, w, r];
    inputs.extend((3..8).map(|i| b.input(i).unwrap_or_default()));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = b.node.attribute.clone();
    let name = b.op("LSTM", &inputs, attributes);
    let names: Vec<String> = (0..3).map(|i| format!("{name}.{i}")).collect();
    if let Some(last) = b.nodes.last_mut() {
        last.output.clone_from(&names);
    }
    Ok(names)
}

fn matmul(b: &mut Builder<'_>) -> Result<Vec<String>> {
    let x = b.need(0)?;
    let w = weights(b, [1, 2, 3])?;
    let y = b.op("MatMul", &[&x, &w], vec![]);
    Ok(vec![match b.input(4) {
        Some(bias) => b.op("Add", &[&y, &bias], vec![]),
        None => y,
    }])
}
