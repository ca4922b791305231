//! `assay show FOLDER`: the segments of a split model, and how they hang together.

use super::{say_nodes, say_specs, specs_json};
use crate::{
    App,
    error::Outcome,
    output::{bytes, count},
    split::{Split, boundary_json, boundary_values},
};
use assay_circuits::split::Wires;
use serde_json::json;
use std::path::Path;

/// Where a segment's inputs come from, one boundary after another.
fn sources(wires: &Wires) -> String {
    let mut from: Vec<usize> = wires.reads.iter().map(|(b, _)| b + 1).collect();
    from.sort_unstable();
    from.dedup();
    if from.is_empty() {
        return "the model's inputs".to_owned();
    }
    let names: Vec<String> = from.iter().map(|b| format!("boundary {b}")).collect();
    names.join(" and ")
}

pub(super) fn run(app: &App, folder: &Path, nodes: bool) -> Outcome<()> {
    let o = &app.output;
    let split = Split::read(folder)?;
    o.answer(format!("split model, {} segments", split.len()));
    o.answer(format!("model   {}", split.model_id()));
    o.answer(format!("rows    of core proofs 2^{} values", split.row_bits()));
    let last = split.len().saturating_sub(1);
    let mut parts = Vec::with_capacity(split.len());
    for (k, wires) in split.wires().iter().enumerate() {
        let (model, file) = split.file(k)?;
        let id = split.segment_id(k);
        let source = sources(wires);
        let (n, number) = (boundary_values(&wires.boundary), k + 1);
        let target = if k == last { "the model's outputs".to_owned() } else { format!("boundary {number}") };
        o.answer("");
        o.answer(format!("segment {number}, {}", bytes(file.len() as u64)));
        o.answer(format!("model   {id}"));
        o.answer(format!("claims  that {target} follows from {source} by its graph"));
        if k == 0 {
            say_specs(app, "input", &model.inputs);
        }
        if k == last {
            say_specs(app, "output", &model.outputs);
        }
        for h in &wires.boundary {
            o.answer(format!("hands   '{}' {:?}, {} bits from {}", h.name, h.shape, h.bits, h.shift));
        }
        o.answer(format!(
            "graph   {} nodes, {} parameters; {} values handed on",
            model.graph.nodes().len(),
            count(model.graph.parameters() as u64),
            count(n)
        ));
        if nodes {
            say_nodes(app, &model.graph);
        }
        let reads = wires.reads.iter().map(|(b, t)| json!({ "boundary": b + 1, "tensor": t })).collect::<Vec<_>>();
        parts.push(json!({
            "segment": number,
            "model_id": id,
            "file_bytes": file.len(),
            "nodes": model.graph.nodes().len(),
            "parameters": model.graph.parameters(),
            "reads": reads,
            "boundary": boundary_json(&wires.boundary),
            "inputs": specs_json(&model.inputs),
            "outputs": specs_json(&model.outputs),
        }));
    }
    o.answer("");
    o.answer("nothing is claimed before it is proven: use `assay prove FOLDER INPUT -o PROOFS`");
    o.result(json!({
        "kind": "split",
        "model_id": split.model_id(),
        "row_bits": split.row_bits(),
        "segments": parts,
    }));
    Ok(())
}
