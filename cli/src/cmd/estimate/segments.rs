//! `assay estimate FOLDER`: what proofs of all segments of a split model cost, each and together.

use super::{EstimateArgs, Subject, basis, core};
use crate::{
    App,
    error::{Failure, Outcome},
    output::{bytes, count, seconds, table},
    progress::Progress,
    split::{
        Split, check,
        own::Own,
        prove::{allows, settled_rows},
    },
};
use serde_json::{Value, json};

/// The sums; of memory the most, since segments are proven one after another.
#[derive(Default)]
struct Together {
    prove_seconds: f64,
    setup_seconds: f64,
    memory_bytes: u64,
    proof_bytes: u64,
}

#[derive(Default)]
struct Settled {
    settle_seconds: f64,
    key_seconds: f64,
    key_bytes: u64,
    proof_bytes: u64,
    gas: u64,
    register_gas: u64,
    memory_bytes: u64,
    cached_memory_bytes: u64,
}

pub(super) fn run(app: &App, args: &EstimateArgs) -> Outcome<()> {
    let o = &app.output;
    allows(&args.stacks, args.quant.is_used())?;
    if args.stacks.is_used() {
        return Err(Failure::new("--commit is not possible here: the boundaries of a split model are its stacks")
            .help("leave it out; stacks of inputs and outputs cost about what a boundary of their size does"));
    }
    let split = Split::read(&args.file)?;
    let batch = args.batch.unwrap_or(1);
    let n = batch as usize;
    let machine = app.machine();
    let progress = Progress::start(o, "estimate", 0.0);
    let core_rows = args.shape.row_bits.unwrap_or_else(|| split.row_bits());
    let settled_rows = settled_rows(&split, &Own::default(), n, &args.shape, args.optimize.into())?;
    let (mut all, mut settled, mut unsettled) = (Together::default(), Settled::default(), None);
    let mut rows =
        vec![["segment", "prove", "memory", "proof", "settle", "settle memory", "gas"].map(str::to_owned).to_vec()];
    let mut parts = Vec::with_capacity(split.len());
    for k in 0..split.len() {
        progress.share(&format!("segment {} of {}", k + 1, split.len()), k as u64, split.len() as u64);
        let model = split.model(k)?;
        let subject = |row_bits: u8, stacks| Subject {
            graph: model.graph.clone(),
            inputs: model.inputs.clone(),
            outputs: model.outputs.clone(),
            visibility: args.shape.visibility(),
            row_bits: Some(usize::from(row_bits)),
            settled_row_bits: None,
            batch,
            stacks,
        };
        // Core proofs and settled ones have rows of other lengths.
        let e = core(&machine, &subject(core_rows, split.stacks(k, n, core_rows)?)).map_err(|f| check::at(k, f))?;
        let s = super::settled(&machine, &subject(settled_rows, split.stacks(k, n, settled_rows)?), args.optimize);
        let memory = e.memory_bytes()?;
        all.prove_seconds += e.prove_seconds();
        all.setup_seconds += e.setup_seconds;
        all.memory_bytes = all.memory_bytes.max(memory);
        all.proof_bytes += e.proof_bytes;
        let mut line = vec![(k + 1).to_string(), seconds(e.prove_seconds()), bytes(memory), bytes(e.proof_bytes)];
        match &s {
            Ok(s) => {
                settled.settle_seconds += s.settle_seconds;
                settled.key_seconds += s.key_seconds;
                settled.key_bytes += s.key_bytes as u64;
                settled.proof_bytes += s.proof_bytes as u64;
                settled.gas += s.gas;
                settled.register_gas += s.register_gas;
                settled.memory_bytes = settled.memory_bytes.max(s.memory_bytes);
                settled.cached_memory_bytes = settled.cached_memory_bytes.max(s.cached_memory_bytes);
                line.extend([seconds(s.settle_seconds), bytes(s.cached_memory_bytes), count(s.gas)]);
            }
            Err(f) => {
                line.extend(["-", "-", "-"].map(str::to_owned));
                unsettled.get_or_insert_with(|| format!("segment {}: {f}; {}", k + 1, f.help));
            }
        }
        rows.push(line);
        let mut part = super::fields(&e, &s, memory);
        part["segment"] = json!(k + 1);
        parts.push(part);
    }
    drop(progress);
    let all_of =
        |s: &Settled| -> [String; 3] { [seconds(s.settle_seconds), bytes(s.cached_memory_bytes), count(s.gas)] };
    let mut line =
        vec!["together".to_owned(), seconds(all.prove_seconds), bytes(all.memory_bytes), bytes(all.proof_bytes)];
    line.extend(if unsettled.is_none() { all_of(&settled) } else { ["-", "-", "-"].map(str::to_owned) });
    rows.push(line);
    o.answer(table(&rows));
    o.answer("  Memory is the most of a segment, since they are proven one after another. Gas is that of each proof in a transaction");
    o.answer("  of its own, at most: `assay chain verify` takes all of them in one, which is charged once.");
    if let Some(f) = &unsettled {
        o.warn(format!("this cannot be settled: {f}"));
    }
    basis(app, machine.measured);
    let settlement = match unsettled {
        Some(_) => Value::Null,
        None => json!({
            "row_bits": settled_rows,
            "settle_seconds": settled.settle_seconds,
            "key_seconds": settled.key_seconds,
            "key_bytes": settled.key_bytes,
            "proof_bytes": settled.proof_bytes,
            "gas": settled.gas,
            "register_gas": settled.register_gas,
            "memory_bytes": settled.memory_bytes,
            "cached_memory_bytes": settled.cached_memory_bytes,
        }),
    };
    o.result(json!({
        "model_id": split.model_id(),
        "batch": batch,
        "row_bits": core_rows,
        "prove_seconds": all.prove_seconds,
        "setup_seconds": all.setup_seconds,
        "memory_bytes": all.memory_bytes,
        "proof_bytes": all.proof_bytes,
        "settlement": settlement,
        "segments": parts,
        "measured": machine.measured,
    }));
    Ok(())
}
