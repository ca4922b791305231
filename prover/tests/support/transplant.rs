//! Statements of one graph with the witness of a run of another: a prover that runs another algorithm.

use super::{
    forge::{Forge, Lie},
    key,
};
use assay_circuits::{
    Graph, GraphBuilder, NodeId, Op, Tensor,
    graph::Node,
    model::Model,
    program::{Content, Visibility},
};
use assay_prover::{ProvingKey, SetupOptions};
use std::collections::HashMap;

pub fn options() -> SetupOptions {
    // Weights at the start and at the end are what a proof of training shows.
    let visibility = Visibility { inputs: true, weights: false, outputs: true };
    SetupOptions { row_bits: Some(8), visibility }
}

/// The graph with its nodes changed, in an order of computation that still exists. Tables keep their places.
pub fn edited(graph: &Graph, edit: &dyn Fn(&mut Vec<Node>)) -> Graph {
    let mut nodes = graph.nodes().to_vec();
    edit(&mut nodes);
    let mut g = GraphBuilder::new(graph.limb_bits());
    for t in graph.tables() {
        g.table(t.clone()).unwrap();
    }
    let mut map: HashMap<usize, NodeId> = HashMap::new();
    while map.len() < nodes.len() {
        let before = map.len();
        for (i, node) in nodes.iter().enumerate() {
            let known = if matches!(node.op, Op::Delay(_)) { &node.inputs[..1] } else { &node.inputs[..] };
            if !map.contains_key(&i) && known.iter().all(|k| map.contains_key(&k.0)) {
                let inputs: Vec<NodeId> = known.iter().map(|k| map[&k.0]).collect();
                map.insert(i, g.push(&node.name, node.op.clone(), &inputs).unwrap());
            }
        }
        assert!(map.len() > before, "no order of computation is left");
    }
    for (i, node) in nodes.iter().enumerate().filter(|(_, n)| matches!(n.op, Op::Delay(_))) {
        g.connect(map[&i], map[&node.inputs[1].0]).unwrap();
    }
    let of = |ids: &[NodeId]| ids.iter().map(|i| map[&i.0]).collect::<Vec<_>>();
    g.finish(of(graph.inputs()), of(graph.outputs())).unwrap()
}

/// What a committed tensor is, whatever the number of its node.
pub fn label(f: &Forge, tensor: usize) -> String {
    let t = &f.program.tensors[tensor];
    let name = |id: &NodeId| f.program.graph.node(*id).name.clone();
    let what = match &t.content {
        Content::Node(id) => format!("value of {}", name(id)),
        Content::Remainder { node, low, bits } => format!("remainder of {} {low} {bits}", name(node)),
        Content::Limb { node, check, low, bits } => format!("limb of {} {check} {low} {bits}", name(node)),
        Content::High(id) => format!("high of {}", name(id)),
        Content::Side(id) => format!("side of {}", name(id)),
        other => format!("{other:?}"),
    };
    format!("{} {what} {:?}", t.stack, t.shape)
}

/// The statement of `honest` with the witness of a run of `cheat`.
pub fn transplant(honest: (&ProvingKey, &[Vec<Tensor>]), cheat: (&Model, &[Vec<Tensor>])) -> Forge {
    let other = Forge::inference(&key(cheat.0, options()), cheat.1);
    let mut f = Forge::inference(honest.0, honest.1);
    let mut from: HashMap<String, Vec<usize>> = HashMap::new();
    (0..other.contents.len()).rev().for_each(|t| from.entry(label(&other, t)).or_default().push(t));
    for t in 0..f.contents.len() {
        // What the key commits to cannot be changed, and multiplicities are counted anew.
        let tensor = &f.program.tensors[t];
        let counted = matches!(tensor.content, Content::Multiplicity { .. } | Content::RowCounts(_));
        if counted || tensor.stack != assay_circuits::program::WITNESS {
            continue;
        }
        // A clamp that the cheat's graph does not need keeps the honest run's values.
        let Some(source) = from.get_mut(&label(&f, t)).and_then(Vec::pop) else { continue };
        f.contents[t] = other.contents[source].clone();
    }
    // The initial weights are public; the result is what the cheat wants to be paid for.
    let inputs = f.program.graph.inputs().len();
    f.public = f.public[..inputs].iter().chain(&other.public[inputs..]).cloned().collect();
    f.recount();
    f
}

pub fn refused(what: &str, honest: &ProvingKey, f: &Forge) {
    assert!(f.relation().is_err(), "{what}: the naive checker accepts");
    assert!(f.with(Lie::Leaves).verdict(&honest.verifying).is_err(), "{what}: the verifier accepts");
}

pub fn find(nodes: &[Node], name: &str) -> usize {
    nodes.iter().position(|n| n.name == name).unwrap_or_else(|| panic!("no node {name}"))
}

/// Replaces every factor `from` of a linear node's terms.
pub fn factor(nodes: &mut [Node], name: &str, term: usize, change: &dyn Fn(i64) -> i64) {
    let i = nodes.iter().position(|n| n.name == name && matches!(n.op, Op::Linear(_))).unwrap();
    let Op::Linear(op) = &mut nodes[i].op else { unreachable!() };
    op.coefficients[term] = change(op.coefficients[term]);
}
