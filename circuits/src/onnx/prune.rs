//! Leaves out what no output needs, and gives every node a name of its own.

use super::nodes::mentioned;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::GraphProto;

/// Drops nodes and constants that no output depends on. Inputs stay: they are part of the model's interface.
pub(crate) fn unused(graph: &mut GraphProto) {
    let mut needed: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let mut live = vec![false; graph.node.len()];
    let producers: HashMap<&str, usize> =
        graph.node.iter().enumerate().flat_map(|(i, n)| n.output.iter().map(move |o| (o.as_str(), i))).collect();
    let mut open: Vec<String> = needed.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let Some(i) = producers.get(name.as_str()) else { continue };
        if std::mem::replace(&mut live[*i], true) {
            continue;
        }
        let node = &graph.node[*i];
        let mut reads: Vec<&str> = node.input.iter().map(String::as_str).collect();
        node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|g| mentioned(g, &mut reads));
        for r in reads {
            if needed.insert(r.to_owned()) {
                open.push(r.to_owned());
            }
        }
    }
    let mut keep = live.into_iter();
    graph.node.retain(|_| keep.next().unwrap_or(true));
    graph.initializer.retain(|t| needed.contains(&t.name));
}

/// Renames nodes that share a name with another node, an input or a constant. Names of nodes mean nothing in ONNX; tensors
/// have names of their own.
pub(crate) fn unique_names(graph: &mut GraphProto) {
    let mut taken: HashSet<String> =
        graph.initializer.iter().map(|t| t.name.clone()).chain(graph.input.iter().map(|i| i.name.clone())).collect();
    for (i, n) in graph.node.iter_mut().enumerate() {
        let first = n.output.iter().find(|o| !o.is_empty()).cloned().unwrap_or_else(|| format!("node {i}"));
        let base = if n.name.is_empty() { first } else { n.name.clone() };
        let mut name = base.clone();
        let mut k = 1;
        while !taken.insert(name.clone()) {
            k += 1;
            name = format!("{base}#{k}");
        }
        n.name = name;
    }
}
