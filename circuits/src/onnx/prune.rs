//! Leaves out what no output needs, and gives every node a name of its own.

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
        let mut reads: Vec<String> = node.input.clone();
        node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|g| mentioned(g, &mut reads));
        for r in reads {
            if needed.insert(r.clone()) {
                open.push(r);
            }
        }
    }
    let mut keep = live.into_iter();
    graph.node.retain(|_| keep.next().unwrap_or(true));
    graph.initializer.retain(|t| needed.contains(&t.name));
}

/// All names that a subgraph reads; some may be its own.
fn mentioned(graph: &GraphProto, out: &mut Vec<String>) {
    out.extend(graph.output.iter().map(|o| o.name.clone()));
    for n in &graph.node {
        out.extend(n.input.iter().cloned());
        n.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).for_each(|g| mentioned(g, out));
    }
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
