//! `assay inspect`: what is in an ONNX model, and what of it can be proven.

use crate::{
    App,
    args::ReadArgs,
    error::{Failure, Outcome},
    files, flow,
    output::{count, table},
    split::{Split, check},
    training,
};
use assay_circuits::{
    Program, Visibility,
    onnx::{self, Inspection, NodeInfo, training::trainable},
};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The ONNX model, or the folder of a split model
    model: PathBuf,
    /// List what can be trained: which operators have a gradient rule
    #[arg(long)]
    train: bool,
    #[command(flatten)]
    read: ReadArgs,
}

pub(crate) fn run(app: &App, args: &InspectArgs) -> Outcome<()> {
    if Split::is_at(&args.model) {
        return segments(app, args);
    }
    if args.train {
        return train(app, args);
    }
    let float = flow::load_onnx(&args.model, &args.read)?;
    let seen = onnx::inspect(&float);
    say(app, &seen);
    let bad: Vec<&NodeInfo> = seen.nodes.iter().filter(|n| !n.supported).collect();
    let fields = json!({
        "supported": seen.supported(),
        "parameters": seen.parameters,
        "macs": u64::try_from(seen.multiply_adds).unwrap_or(u64::MAX),
        "inputs": seen.inputs.iter().map(|(n, s)| json!({ "name": n, "shape": s })).collect::<Value>(),
        "outputs": seen.outputs.iter().map(|(n, s)| json!({ "name": n, "shape": s })).collect::<Value>(),
        "nodes": seen.nodes.iter().map(|n| json!({
            "name": n.name, "op": n.op, "shape": n.shape, "supported": n.supported, "help": n.help,
        })).collect::<Value>(),
        "problem": seen.problem.as_ref().map(ToString::to_string),
        "notes": seen.notes,
    });
    if seen.supported() {
        app.output.result(fields);
        return Ok(());
    }
    app.output.event("inspection", fields);
    let f = match (bad.first(), &seen.problem) {
        (Some(n), _) => {
            let more = if bad.len() > 1 { format!(" (and {} more nodes)", bad.len() - 1) } else { String::new() };
            Failure::new(format!("this model cannot be proven: node '{}' ({}){more}", n.name, n.op))
                .help(n.help.as_deref().unwrap_or("replace it by operators that can be proven"))
        }
        (None, Some(p)) => {
            let f = Failure::from(p.clone());
            Failure::new(format!("this model cannot be proven: {f}")).help(&f.help)
        }
        (None, None) => return Ok(()),
    };
    Err(f.in_file(&args.model))
}

/// Whether each segment of a split model can be laid out as a proof, beside the boundaries that it is about.
fn segments(app: &App, args: &InspectArgs) -> Outcome<()> {
    if args.train {
        return Err(Failure::new("--train is not possible with a split model").help("training is proven as a whole"));
    }
    if args.read != ReadArgs::default() {
        return Err(Failure::new("a split model is compiled already")
            .help("options for reading an ONNX model belong to `assay split MODEL.onnx`"));
    }
    let o = &app.output;
    let split = Split::read(&args.model)?;
    let mut rows =
        vec![["segment", "nodes", "parameters", "multiply-adds", "can be proven"].map(str::to_owned).to_vec()];
    let (mut parts, mut problem) = (Vec::with_capacity(split.len()), None);
    let (mut parameters, mut macs) = (0u64, 0u64);
    for k in 0..split.len() {
        let graph = split.model(k)?.graph;
        let laid_out = split
            .stacks(k, 1, split.row_bits())
            .and_then(|stacks| Ok(Program::linked(&graph, 1, Visibility::default(), &stacks)?));
        let one = u64::try_from(graph.multiply_adds()).unwrap_or(u64::MAX);
        parameters += graph.parameters() as u64;
        macs = macs.saturating_add(one);
        let verdict = laid_out.as_ref().map_or_else(|f| format!("NO: {f}"), |_| "yes".to_owned());
        rows.push(vec![
            (k + 1).to_string(),
            count(graph.nodes().len() as u64),
            count(graph.parameters() as u64),
            count(one),
            verdict,
        ]);
        parts.push(json!({
            "segment": k + 1,
            "model_id": split.segment_id(k),
            "nodes": graph.nodes().len(),
            "parameters": graph.parameters(),
            "macs": one,
            "supported": laid_out.is_ok(),
            "help": laid_out.as_ref().err().map(|f| f.help.clone()),
        }));
        if let Err(f) = laid_out {
            problem.get_or_insert(check::at(k, f));
        }
    }
    o.answer(table(&rows));
    o.answer(format!("size    {} parameters, {} multiply-adds", count(parameters), count(macs)));
    let fields = json!({
        "supported": problem.is_none(),
        "model_id": split.model_id(),
        "parameters": parameters,
        "macs": macs,
        "segments": parts,
    });
    match problem {
        None => {
            o.result(fields);
            Ok(())
        }
        Some(f) => {
            o.event("inspection", fields);
            Err(f.in_file(&args.model))
        }
    }
}

/// What `assay train` can do with the model.
fn train(app: &App, args: &InspectArgs) -> Outcome<()> {
    let kind = files::kind(&args.model)?;
    if !kind.may_be_onnx() {
        return Err(files::wrong_kind(&args.model, files::Kind::Onnx, kind));
    }
    let (rules, network) = trainable(&args.model).map_err(|e| Failure::from(e).in_file(&args.model))?;
    let mut rows = vec![["node", "operator", "can be trained"].map(str::to_owned).to_vec()];
    for r in &rules {
        let verdict = r.help.as_ref().map_or("yes".to_owned(), |h| format!("NO: {h}"));
        rows.push(vec![r.name.clone(), r.op.clone(), verdict]);
    }
    app.output.answer(table(&rows));
    let parameters: usize = network.iter().flat_map(|n| &n.weights).map(Vec::len).sum();
    let fields = json!({
        "trainable": network.is_some(),
        "parameters": parameters,
        "nodes": rules.iter().map(|r| json!({ "name": r.name, "op": r.op, "trainable": r.help.is_none(), "help": r.help }))
            .collect::<Value>(),
    });
    if network.is_some() {
        app.output.answer(format!("size    {} trainable parameters", count(parameters as u64)));
        app.output.result(fields);
        return Ok(());
    }
    app.output.event("inspection", fields);
    training::load(&args.model).map(|_| ())
}

fn shape(s: Option<&Vec<usize>>) -> String {
    s.map_or("-".to_owned(), |s| format!("{s:?}"))
}

fn say(app: &App, seen: &Inspection) {
    let o = &app.output;
    let mut rows = vec![["node", "operator", "shape", "can be proven"].map(str::to_owned).to_vec()];
    for n in &seen.nodes {
        let verdict = match (&n.help, n.supported) {
            (_, true) => "yes".to_owned(),
            (Some(h), false) => format!("NO: {h}"),
            (None, false) => "NO".to_owned(),
        };
        rows.push(vec![n.name.clone(), n.op.clone(), shape(n.shape.as_ref()), verdict]);
    }
    o.answer(table(&rows));
    for (name, s) in &seen.inputs {
        o.answer(format!("input   '{name}' {s:?}"));
    }
    for (name, s) in &seen.outputs {
        o.answer(format!("output  '{name}' {}", shape(s.as_ref())));
    }
    o.answer(format!(
        "size    {} parameters, {} multiply-adds",
        count(seen.parameters),
        count(u64::try_from(seen.multiply_adds).unwrap_or(u64::MAX))
    ));
    seen.notes.iter().for_each(|n| o.answer(format!("note    {n}")));
}
