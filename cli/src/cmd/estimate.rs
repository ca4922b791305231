//! `assay estimate`: what a proof will cost, before making it.

use crate::{
    App,
    args::{QuantArgs, ShapeArgs},
    cost::{self, Estimate},
    error::Outcome,
    files::{self, Kind},
    flow,
    output::{bytes, count, seconds, table},
};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EstimateArgs {
    /// An ONNX model, a compiled model or a verifying key
    file: PathBuf,
    /// Number of inferences in one proof
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch: u32,
    #[command(flatten)]
    shape: ShapeArgs,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &EstimateArgs) -> Outcome<()> {
    let batch = args.batch as usize;
    let e = if files::kind(&args.file)? == Kind::Key {
        let key = flow::read_key(&args.file)?;
        cost::estimate(&key.graph, batch, key.visibility, Some(key.row_bits))?
    } else {
        let model = flow::load_model(app, &args.file, &args.quant, args.shape.private_outputs)?.model;
        cost::estimate(&model.graph, batch, args.shape.visibility(), args.shape.row_bits.map(usize::from))?
    };
    say(app, &e);
    app.output.result(json!({
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
        "memory_bytes": e.memory_bytes,
        "stage_seconds": flow::stages_json(&e.stages),
    }));
    Ok(())
}

fn say(app: &App, e: &Estimate) {
    let row = |name: &str, value: String, note: &str| vec![name.to_owned(), value, note.to_owned()];
    let n = |x: usize| count(x as u64);
    let m = &e.meter;
    let rows = vec![
        row("inferences", n(e.batch), ""),
        row("multiply-adds", count(e.macs), "of the contractions"),
        row("witness rows", n(m.witness_rows), &format!("of 2^{} values: {} values", e.row_bits, n(e.witness_entries))),
        row("model rows", n(m.model_rows), &format!("in the key: {} values", n(e.model_entries))),
        row("operands", n(e.operand_entries), "entries of contractions"),
        row("lookups", n(e.lookups), ""),
        row("table rows", n(e.table_rows), ""),
        row("leaves", n(e.leaves), "of the fraction tree"),
        row("messages", n(m.messages), "field elements in the proof"),
        row("permutations", n(m.permutations), "of the verifier's transcript: the price of settling"),
        row("proof", bytes(e.proof_bytes), "exact"),
        row("setup", seconds(e.setup_seconds), "predicted"),
        row("prove", seconds(e.prove_seconds()), &format!("predicted: {}", flow::stages_text(&e.stages))),
        row("memory", bytes(e.memory_bytes), "predicted"),
    ];
    app.output.answer(table(&rows));
}
