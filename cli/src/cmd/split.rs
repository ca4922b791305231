//! `assay split`: cuts a model into segments that are proven apart.

use super::verify::{Shown, VerifyArgs, check_id, check_inputs, check_outputs, need_public, say_stacks};
use crate::{
    App,
    args::QuantArgs,
    cost,
    error::{Failure, Outcome},
    flow,
    input::{self, Role},
    output::{bytes, count, seconds, table},
    split::{Split, balanced, boundary_json, boundary_values, check},
    stacks,
};
use assay_circuits::{Visibility, split};
use assay_verifier::core::hex;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// A compiled model, or an ONNX model
    model: PathBuf,
    /// Number of segments; the cuts are where segments cost about the same
    #[arg(long, value_name = "N", required_unless_present = "at", conflicts_with = "at")]
    segments: Option<u8>,
    /// Cut behind the node of this name; may be repeated. `assay show MODEL --nodes` lists them
    #[arg(long, value_name = "NAME")]
    at: Vec<String>,
    /// Folder to write the segments to
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    /// Round the outputs to the activation width, so that they can be kept private
    #[arg(long, alias = "private-output", help_heading = "Quantization")]
    private_outputs: bool,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &SplitArgs) -> Outcome<()> {
    let o = &app.output;
    if args.output.exists()
        && !Split::is_at(&args.output)
        && args.output.read_dir().is_ok_and(|mut d| d.next().is_some())
    {
        return Err(Failure::new(format!("'{}' is there and holds something else", args.output.display()))
            .help("name a folder that is empty, or not there yet"));
    }
    let model = flow::load_model(app, &args.model, &args.quant, args.private_outputs)?.model;
    let cuts = match args.segments {
        Some(n) => balanced(app, &model.graph, usize::from(n)),
        None => split::behind(&model.graph, &args.at).map_err(Failure::from),
    };
    let cuts =
        cuts.map_err(|f| f.help("choose other cuts, or fewer segments; `assay show MODEL --nodes` lists the nodes"))?;
    let segments = split::split(&model.graph, &cuts)?;
    let split = Split::write(&args.output, &model, segments)?;
    let machine = app.machine();
    let visibility = Visibility::default();
    let whole = cost::estimate(&machine, &model.graph, 1, visibility, None)?;
    let whole_memory = whole.memory_bytes()?;
    let mut rows =
        vec![["segment", "prove", "memory", "parameters", "hands on", "tensors", "values"].map(str::to_owned).to_vec()];
    let mut parts = Vec::new();
    for (k, wires) in split.wires().iter().enumerate() {
        let part = split.model(k)?;
        let stacks = split.stacks(k, 1, split.row_bits())?;
        let e = cost::estimate_linked(&machine, &part.graph, 1, visibility, None, &stacks)?;
        let memory = e.memory_bytes()?;
        let values = boundary_values(&wires.boundary);
        rows.push(vec![
            (k + 1).to_string(),
            seconds(e.prove_seconds()),
            bytes(memory),
            count(part.graph.parameters() as u64),
            wires.boundary.iter().map(|h| h.name.as_str()).take(3).collect::<Vec<_>>().join(", "),
            count(wires.boundary.len() as u64),
            count(values),
        ]);
        parts.push(json!({
            "segment": k + 1,
            "prove_seconds": e.prove_seconds(),
            "memory_bytes": memory,
            "parameters": part.graph.parameters(),
            "boundary": boundary_json(&wires.boundary),
        }));
    }
    o.answer(table(&rows));
    o.say(format!(
        "whole   {} and {}; all seconds and bytes are predicted, of core proofs of one inference",
        seconds(whole.prove_seconds()),
        bytes(whole_memory)
    ));
    o.say(format!(
        "wrote   {}/split.json and {} models; core proofs have rows of 2^{}",
        args.output.display(),
        split.len(),
        split.row_bits()
    ));
    o.result(json!({
        "model_id": split.model_id(),
        "segments": parts,
        "row_bits": split.row_bits(),
        "whole": { "prove_seconds": whole.prove_seconds(), "memory_bytes": whole_memory },
        "folder": args.output,
    }));
    Ok(())
}

/// `assay verify` of proofs of all segments.
pub(super) fn verify(app: &App, args: &VerifyArgs) -> Outcome<()> {
    let o = &app.output;
    if args.training.is_some() {
        return Err(Failure::new("--training is not possible with a split model").help("training is proven as a whole"));
    }
    let keys = check::read_keys(&args.key)?;
    let (proofs, size) = check::read_proofs(&args.proof)?;
    let id = check::id(&keys)?;
    check_id(args, &id, "the proofs are about another model, or another split of it", |other| {
        format!("the keys are {id}, not {other}")
    })?;
    let checked = check::check(app, &keys, &proofs, args.srs.as_deref())?;
    let (shown, d) = (&checked.shown, check::describe(&keys)?);
    flow::warn_insecure(app, d.insecure);
    let named: Vec<_> = keys.named().into_iter().cloned().collect();
    // What stacks hold is not shown.
    let open = Shown::between((d.first, d.inputs), (d.last, d.outputs));
    let inputs = flow::by_sample(&open.inputs, &shown.inputs, shown.batch)?;
    let outputs = flow::by_sample(&open.outputs, &shown.outputs, shown.batch)?;
    open.allows(args)?;
    args.stacks.compare(&named, &shown.stacks)?;
    if let Some(path) = &args.input {
        need_public(d.shows_inputs, path, "inputs", "--public-inputs")?;
        let given = input::read(app, path, d.inputs, Role::Input)?;
        check_inputs(d.graph, d.inputs, (shown.batch, &shown.inputs), &given, path)?;
    }
    if let Some(path) = &args.output {
        need_public(d.shows_outputs, path, "outputs", "no --private-outputs")?;
        check_outputs(d.outputs, &outputs, &input::read(app, path, d.outputs, Role::Output)?, path)?;
    }
    let n = shown.batch;
    o.say(format!("valid   {n} inference{} of split model {id}", if n == 1 { "" } else { "s" }));
    if d.shows_inputs {
        flow::say_outputs(app, &open.inputs, &inputs, "input");
    }
    if d.shows_outputs {
        flow::say_outputs(app, &open.outputs, &outputs, "output");
    } else {
        o.say("the outputs are private");
    }
    for (k, boundary) in shown.boundaries.iter().enumerate() {
        o.say(format!("about   boundary {}, id {}", k + 1, hex(boundary)));
    }
    say_stacks(app, &named, &shown.stacks);
    if let Some(c) = &shown.context {
        o.say(format!(
            "for     chain {}, contract 0x{}, recipient 0x{}",
            c.chain_id,
            hex(&c.consumer),
            hex(&c.recipient)
        ));
    }
    o.say(format!(
        "checked {} in {}; the keys in {}",
        bytes(size as u64),
        seconds(checked.verify_seconds),
        seconds(checked.key_seconds)
    ));
    let mut result = json!({
        "valid": true,
        "split_id": id,
        "segments": keys.len(),
        "batch": n,
        "verify_seconds": checked.verify_seconds,
        "key_seconds": checked.key_seconds,
        "proof_bytes": size,
        "inputs": if d.shows_inputs { flow::samples_json(&inputs) } else { Value::Null },
        "outputs": if d.shows_outputs { flow::samples_json(&outputs) } else { Value::Null },
        "boundaries": shown.boundaries.iter().map(|b| hex(b)).collect::<Vec<_>>(),
        "stacks": stacks::ids_json(&named, &shown.stacks),
        "shown": open.json(),
        "insecure_srs": d.insecure,
        "hiding": shown.context.is_some(),
    });
    if let Some(c) = &shown.context {
        result["chain_id"] = json!(c.chain_id);
        result["consumer"] = json!(hex(&c.consumer));
        result["job"] = json!(hex(&c.job));
        result["recipient"] = json!(hex(&c.recipient));
    }
    o.result(result);
    Ok(())
}
