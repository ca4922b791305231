//! `assay estimate`: what a proof will cost, before making it.

mod segments;
mod training;

use crate::{
    App,
    args::{OptimizeFor, QuantArgs, ShapeArgs},
    cost::{
        self, Estimate, Machine,
        settlement::{Asked, Settlement},
    },
    error::{Failure, Outcome},
    files::{self, Kind},
    flow,
    output::{bytes, count, seconds, table},
    progress::Progress,
    split::Split,
    stacks::CommitArgs,
};
use assay_circuits::{
    Graph, Visibility,
    model::TensorSpec,
    stack::{NamedStack, Role},
};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EstimateArgs {
    /// An ONNX model, a compiled model, a verifying key, or the folder of a split model; with --train, an ONNX model
    file: PathBuf,
    /// Number of inferences in one proof; with --train, rows of a step [default: 1; with --train 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch: Option<u32>,
    /// What the row length of the settled proof is chosen for
    #[arg(long, value_enum, default_value = "gas", value_name = "WHAT")]
    optimize: OptimizeFor,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    stacks: CommitArgs,
    #[command(flatten)]
    quant: QuantArgs,
    #[command(flatten)]
    training: training::TrainingArgs,
}

/// What is estimated.
struct Subject {
    graph: Graph,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    visibility: Visibility,
    /// Of the core proof's rows, if fixed.
    row_bits: Option<usize>,
    /// Of the settled proof's rows, if fixed.
    settled_row_bits: Option<usize>,
    batch: u32,
    stacks: Vec<NamedStack>,
}

/// Whether a settlement key pins a stack: one that holds weights, as `settle` does.
fn pinned(n: &NamedStack) -> bool {
    n.roles.iter().any(|r| matches!(r, Some(Role::Weight(_))))
}

pub(crate) fn run(app: &App, args: &EstimateArgs) -> Outcome<()> {
    if args.training.train {
        return training::run(app, args);
    }
    if Split::is_at(&args.file) {
        return segments::run(app, args);
    }
    let batch = args.batch.unwrap_or(1);
    let subject = if files::kind(&args.file)? == Kind::Key {
        let key = flow::read_key(&args.file)?;
        if args.stacks.is_used() {
            return Err(Failure::new("a key says itself which stacks it is about")
                .help("leave out --commit, or name the model instead of the key"));
        }
        Subject {
            graph: key.graph,
            inputs: key.inputs,
            outputs: key.outputs,
            visibility: key.visibility,
            row_bits: Some(key.row_bits),
            settled_row_bits: None,
            batch,
            stacks: key.stacks,
        }
    } else {
        let model = flow::load_model(app, &args.file, &args.quant, args.shape.private_outputs)?.model;
        let row_bits = args.shape.row_bits.map(usize::from);
        let batch = if batch > 1 { Some(batch as usize) } else { None };
        let (named, batch) = args.stacks.resolve(&model, batch, None)?;
        Subject {
            graph: model.graph,
            inputs: model.inputs,
            outputs: model.outputs,
            visibility: args.shape.visibility(),
            row_bits,
            settled_row_bits: row_bits,
            batch: u32::try_from(batch).unwrap_or(u32::MAX),
            stacks: named.named,
        }
    };
    let machine = app.machine();
    let progress = Progress::start(&app.output, "estimate", 0.0);
    progress.stage("laying out the settlement circuit", 0.0);
    let e = core(&machine, &subject)?;
    // Not every model can be settled; what a core proof costs is worth knowing all the same.
    let s = settled(&machine, &subject, args.optimize);
    drop(progress);
    let memory = e.memory_bytes()?;
    say(app, &e, memory);
    match &s {
        Ok(s) => say_settlement(app, s),
        Err(f) => app.output.warn(format!("this cannot be settled: {f}; {}", f.help)),
    }
    basis(app, machine.measured);
    let mut out = fields(&e, &s, memory);
    out["measured"] = json!(machine.measured);
    app.output.result(out);
    Ok(())
}

/// What a core proof costs.
fn core(machine: &Machine, subject: &Subject) -> Outcome<Estimate> {
    let Subject { graph, visibility, batch, stacks, .. } = subject;
    cost::estimate_linked(machine, graph, *batch as usize, *visibility, subject.row_bits, stacks)
}

/// What a settled proof costs.
fn settled(machine: &Machine, subject: &Subject, optimize: OptimizeFor) -> Outcome<Settlement> {
    let stacks: Vec<(NamedStack, bool)> = subject.stacks.iter().map(|n| (n.clone(), pinned(n))).collect();
    let asked = Asked {
        graph: &subject.graph,
        specs: (&subject.inputs, &subject.outputs),
        batch: subject.batch,
        visibility: subject.visibility,
        row_bits: subject.settled_row_bits,
        optimize: optimize.into(),
        stacks: &stacks,
    };
    cost::settlement::estimate(machine, &asked)
}

/// What the seconds rest on.
fn basis(app: &App, measured: bool) {
    app.output.answer(if measured {
        "  Seconds are predicted from what `assay bench` measured on this machine."
    } else {
        "  Seconds are predicted for a processor like this one; `assay bench` measures it and makes them better."
    });
}

fn fields(e: &Estimate, s: &Outcome<Settlement>, memory: u64) -> Value {
    json!({
        "batch": e.batch,
        "row_bits": e.row_bits,
        "witness_rows": e.meter.witness_rows,
        "model_rows": e.meter.model_rows,
        "lookups": e.lookups,
        "table_rows": e.table_rows,
        "leaves": e.leaves,
        "macs": e.macs,
        "messages": e.meter.messages,
        "challenges": e.meter.challenges,
        "permutations": e.meter.permutations,
        "verifier_multiplications": e.meter.multiplications,
        "proof_bytes": e.proof_bytes,
        "prove_seconds": e.prove_seconds(),
        "setup_seconds": e.setup_seconds,
        "memory_bytes": memory,
        "stage_seconds": flow::stages_json(&e.stages),
        "settlement": s.as_ref().map_or(Value::Null, Settlement::json),
    })
}

fn row(name: &str, value: String, note: &str) -> Vec<String> {
    vec![name.to_owned(), value, note.to_owned()]
}

fn say(app: &App, e: &Estimate, memory: u64) {
    let n = |x: usize| count(x as u64);
    let m = &e.meter;
    let mut rows = vec![
        row("inferences", n(e.batch), ""),
        row("multiply-adds", count(e.macs), "of the contractions"),
        row("witness rows", n(m.witness_rows), &format!("of 2^{} values: {} values", e.row_bits, n(e.witness_entries))),
        row("model rows", n(m.model_rows), &format!("in the key: {} values", n(e.model_entries))),
        row("stacks", n(e.named_entries), "values of named stacks"),
        row("operands", n(e.operand_entries), "entries of contractions"),
        row("lookups", n(e.lookups), ""),
        row("table rows", n(e.table_rows), ""),
        row("leaves", n(e.leaves), "of the fraction tree"),
        row("messages", n(m.messages), "field elements in the proof"),
        row("permutations", n(m.permutations), "of the verifier's transcript: the price of settling"),
        row("proof", bytes(e.proof_bytes), "exact"),
        row("setup", seconds(e.setup_seconds), "predicted"),
        row("prove", seconds(e.prove_seconds()), &format!("predicted: {}", flow::stages_text(&e.stages))),
        row("memory", bytes(memory), "predicted, at the peak of a proof with a compiled model and its key"),
    ];
    if e.named_entries == 0 {
        rows.retain(|r| r[0] != "stacks");
    }
    app.output.answer(table(&rows));
}

fn say_settlement(app: &App, s: &Settlement) {
    let rows = vec![
        row("settle", seconds(s.settle_seconds), &format!("predicted: core and a circuit of 2^{} rows", s.circuit_k)),
        row("settlement key", seconds(s.key_seconds), "predicted, once a model and batch size"),
        row("", bytes(s.key_bytes as u64), "exact"),
        row("settled proof", bytes(s.proof_bytes as u64), &format!("exact; rows of 2^{} values", s.row_bits)),
        row("calldata", format!("{} bytes", count(s.calldata_bytes as u64)), "exact"),
        row(
            "gas",
            count(s.gas),
            &format!("to verify, at most; {} of it are the contract's code: exact", count(s.executed_gas)),
        ),
        row("", count(s.register_gas), "to register the key, once"),
        row("settle memory", bytes(s.cached_memory_bytes), "predicted, with a key that was made before"),
        row("", bytes(s.memory_bytes), "predicted, where the key is made too"),
    ];
    app.output.answer("");
    app.output.answer(table(&rows));
}
