//! `assay show`: what is in a file.

mod split;

use crate::{
    App, accuracy,
    error::{Failure, Outcome},
    files::{self, Kind},
    flow,
    output::{bytes, count, table},
    settlement,
    split::{Split, check},
    srs,
};
use assay_circuits::{
    Graph,
    model::{Model, TensorSpec},
    stack::NamedStack,
};
use assay_verifier::{
    CoreProof,
    core::hex,
    opening::VerifierSrs,
    segments::{SegmentKeys, SegmentProofs},
};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A compiled model, the folder of a split model, a verifying key, a proof, a stack or powers of tau
    file: PathBuf,
    /// Also list the nodes of the integer graph
    #[arg(long)]
    nodes: bool,
}

pub(crate) fn run(app: &App, args: &ShowArgs) -> Outcome<()> {
    let path = &args.file;
    if Split::is_at(path) {
        return split::run(app, path, args.nodes);
    }
    let size = files::open(path, u64::MAX)?.metadata().map(|m| m.len()).map_err(|e| files::unreadable(path, &e))?;
    let kind = files::kind(path)?;
    match kind {
        Kind::Model => model(app, path, size, args.nodes),
        Kind::Key => key(app, path, size, args.nodes),
        Kind::Proof => proof(app, path, size),
        Kind::SettlementKey => settlement_key(app, path, size, args.nodes),
        Kind::SettledProof => settled_proof(app, path, size),
        Kind::Srs => powers(app, path, size),
        Kind::SegmentKeys => segment_keys(app, path, size),
        Kind::SegmentProofs => segment_proofs(app, path, size),
        Kind::Stack => super::stack::show(app, path),
        Kind::Ptau => Err(Failure::new(format!("'{}' is a ceremony file", path.display()))
            .help("import it: assay srs import FILE.ptau --power K -o SRS")),
        Kind::Onnx | Kind::Other | Kind::Json | Kind::Npy | Kind::Npz | Kind::Empty => {
            let help = match kind {
                Kind::Json | Kind::Npy | Kind::Npz => {
                    "it holds numbers: pass it to prove, run or settle behind the model"
                }
                Kind::Empty => "whatever was to write it did not come to its end",
                _ => "an ONNX model is described by `assay inspect MODEL.onnx`",
            };
            let name = if kind == Kind::Empty { "an empty file" } else { kind.name() };
            Err(Failure::new(format!("'{}' is {name}, which `show` does not describe", path.display())).help(help))
        }
    }
}

fn specs_json(specs: &[TensorSpec]) -> Value {
    let one = |s: &TensorSpec| {
        let mut out = json!({ "name": s.name, "shape": s.shape, "scale_bits": s.scale_bits });
        if let Some(f) = &s.features {
            out["features"] = json!({ "axis": f.axis, "scale": f.scale, "offset": f.offset });
        }
        out
    };
    specs.iter().map(one).collect()
}

fn say_specs(app: &App, what: &str, specs: &[TensorSpec]) {
    for s in specs {
        let own = match &s.features {
            Some(f) if f.scale.len() > 1 => {
                format!(", after a scale and an offset for each of {} features", f.scale.len())
            }
            Some(f) => format!(", after subtracting {} and dividing by {}", f.offset[0], f.scale[0]),
            None => String::new(),
        };
        app.output.answer(format!("{what:<8}'{}' {:?}, steps of 2^{}{own}", s.name, s.shape, -s.scale_bits));
    }
}

fn say_nodes(app: &App, graph: &Graph) {
    let mut rows = vec![["node", "operator", "shape", "range"].map(str::to_owned).to_vec()];
    for n in graph.nodes() {
        let range = format!("{} .. {}", n.range.lo, n.range.hi);
        rows.push(vec![n.name.clone(), n.op.name().to_owned(), format!("{:?}", n.shape), range]);
    }
    app.output.answer(table(&rows));
}

fn say_srs(app: &App, srs: &VerifierSrs) {
    let kind = if srs.insecure_dev {
        "DEVELOPMENT powers of tau: INSECURE"
    } else {
        "no development powers; whose they are, `verify --srs` compares"
    };
    app.output.answer(format!("srs     {} ({kind})", hex(&srs.srs_hash)));
}

fn model(app: &App, path: &Path, size: u64, nodes: bool) -> Outcome<()> {
    let o = &app.output;
    let bytes_in = files::read_kind(path, Kind::Model)?;
    let m = Model::from_bytes(&bytes_in).map_err(|e| Failure::from(e).in_file(path))?;
    let id = hex(&m.model_id()?);
    let macs = u64::try_from(m.graph.multiply_adds()).unwrap_or(u64::MAX);
    let parameters = m.graph.parameters();
    o.answer(format!("compiled model, {}", bytes(size)));
    o.answer(format!("model   {id}"));
    say_specs(app, "input", &m.inputs);
    say_specs(app, "output", &m.outputs);
    o.answer(format!(
        "graph   {} nodes, {} parameters, {} multiply-adds, {} tables",
        m.graph.nodes().len(),
        count(parameters as u64),
        count(macs),
        m.graph.tables().len()
    ));
    accuracy::lines(&m).iter().for_each(|l| o.answer(l));
    if nodes {
        say_nodes(app, &m.graph);
    }
    o.result(json!({
        "kind": "model",
        "model_id": id,
        "file_bytes": size,
        "parameters": parameters,
        "nodes": m.graph.nodes().len(),
        "macs": macs,
        "inputs": specs_json(&m.inputs),
        "outputs": specs_json(&m.outputs),
        "report": accuracy::to_json(&m),
    }));
    Ok(())
}

fn key(app: &App, path: &Path, size: u64, nodes: bool) -> Outcome<()> {
    let o = &app.output;
    let k = flow::read_key(path)?;
    let (id, digest) = (hex(&k.model_id()?), hex(&k.digest()?));
    let v = k.visibility;
    let word = |public: bool| if public { "public" } else { "private" };
    o.answer(format!("verifying key, {}", bytes(size)));
    o.answer(format!("key     {digest}"));
    o.answer(format!("model   {id}"));
    say_specs(app, "input", &k.inputs);
    say_specs(app, "output", &k.outputs);
    o.answer(format!(
        "proofs  inputs {}, weights {}, outputs {} (core proofs are NOT hiding even where it says private)",
        word(v.inputs),
        word(v.weights),
        word(v.outputs)
    ));
    o.answer(format!("rows    {} commitments to 2^{} values each", k.rows.len(), k.row_bits));
    k.stacks.iter().for_each(|n| o.answer(stack_line(n, "given with each proof")));
    say_srs(app, &k.srs);
    o.answer("the key's registration proof is checked by every `assay verify`");
    if nodes {
        say_nodes(app, &k.graph);
    }
    o.result(json!({
        "kind": "key",
        "key_digest": digest,
        "model_id": id,
        "file_bytes": size,
        "inputs": specs_json(&k.inputs),
        "outputs": specs_json(&k.outputs),
        "visibility": { "inputs": v.inputs, "weights": v.weights, "outputs": v.outputs },
        "model_rows": k.rows.len(),
        "row_bits": k.row_bits,
        "stacks": k.stacks.iter().map(|n| n.name.clone()).collect::<Vec<_>>(),
        "srs_hash": hex(&k.srs.srs_hash),
        "insecure_srs": k.srs.insecure_dev,
    }));
    Ok(())
}

fn proof(app: &App, path: &Path, size: u64) -> Outcome<()> {
    let o = &app.output;
    let bytes_in = files::read_kind(path, Kind::Proof)?;
    let p = CoreProof::from_bytes(&bytes_in).map_err(|e| Failure::from(e).in_file(path))?;
    let a = &p.argument;
    o.answer(format!("core proof, {}: sound, but NOT hiding", bytes(size)));
    o.answer("it may reveal information about inputs, activations and weights to whoever holds it");
    o.answer(format!("key     {}", hex(&p.key_digest)));
    o.answer(format!("batch   {} inferences", p.batch));
    o.answer(format!("public  {} values", count(p.public.iter().map(|v| v.len() as u64).sum())));
    o.answer(format!("rows    {} commitments to 2^{} values each", a.rows.len(), a.row_bits));
    o.answer(format!("sent    {} field elements", count(a.messages.len() as u64)));
    o.answer("nothing was checked: use `assay verify PROOF --key KEY`");
    o.result(json!({
        "kind": "proof",
        "hiding": false,
        "key_digest": hex(&p.key_digest),
        "batch": p.batch,
        "proof_bytes": size,
        "public_values": p.public.iter().map(Vec::len).sum::<usize>(),
        "witness_rows": a.rows.len(),
        "row_bits": a.row_bits,
        "messages": a.messages.len(),
    }));
    Ok(())
}

fn settlement_key(app: &App, path: &Path, size: u64, nodes: bool) -> Outcome<()> {
    let o = &app.output;
    let k = settlement::read_key(path)?;
    let d = &k.descriptor;
    let v = k.visibility;
    let word = |public: bool| if public { "public" } else { "hidden" };
    o.answer(format!("settlement key, {}", bytes(size)));
    o.answer(format!("id      {}", hex(&k.id())));
    say_specs(app, "input", &k.inputs);
    say_specs(app, "output", &k.outputs);
    o.answer(format!("batch   {} inferences a proof", k.batch));
    o.answer(format!("proofs  inputs {}, weights {}, outputs {}", word(v.inputs), word(v.weights), word(v.outputs)));
    o.answer(format!(
        "rows    {} of witness, {} of weights, 2^{} values each",
        d.witness_rows(),
        d.model_rows.len(),
        d.row_bits
    ));
    for (n, known) in k.stacks.iter().zip(&d.stacks) {
        let kind = if known.pinned.is_some() { "pinned in the key" } else { "given with each proof" };
        o.answer(stack_line(n, kind));
    }
    o.answer(format!("circuit 2^{} rows; registration 2^{} rows", d.circuit.k, k.registration_circuit.k));
    let level = k.level()?;
    o.answer(format!("level   {level:.0} bits, that of the curve (docs/protocol.md, settled-soundness)"));
    say_srs(app, &k.srs());
    o.answer("circuits, weights' range and tables are recomputed by `assay verify`, not here");
    if nodes {
        say_nodes(app, &k.graph);
    }
    o.result(json!({
        "kind": "settlement_key",
        "settlement_id": hex(&k.id()),
        "file_bytes": size,
        "descriptor_bytes": d.to_bytes().len(),
        "batch": k.batch,
        "inputs": specs_json(&k.inputs),
        "outputs": specs_json(&k.outputs),
        "visibility": { "inputs": v.inputs, "weights": v.weights, "outputs": v.outputs },
        "row_bits": d.row_bits,
        "witness_rows": d.witness_rows(),
        "model_rows": d.model_rows.len(),
        "stacks": k.stacks.iter().zip(&d.stacks).map(|(n, known)| json!({
            "name": n.name, "pinned": known.pinned.is_some(), "schema_digest": hex(&known.schema),
        })).collect::<Vec<_>>(),
        "circuit_k": d.circuit.k,
        "security_bits": level,
        "srs_hash": hex(&k.srs().srs_hash),
        "insecure_srs": d.insecure_dev,
    }));
    Ok(())
}

/// What a key says of a named stack.
fn stack_line(n: &NamedStack, kind: &str) -> String {
    let (tensors, rows) = (n.schema.tensors.len(), n.schema.rows());
    format!("stack   '{}', {kind}: {tensors} tensors, {rows} rows of 2^{} values", n.name, n.schema.row_bits)
}

fn segment_keys(app: &App, path: &Path, size: u64) -> Outcome<()> {
    let o = &app.output;
    let keys = check::read_keys(path)?;
    let d = check::describe(&keys)?;
    let id = check::id(&keys)?;
    let settled = matches!(keys, SegmentKeys::Settled(_));
    flow::warn_insecure(app, d.insecure);
    let kind = if settled { "settlement keys" } else { "verifying keys" };
    o.answer(format!("{kind} of {} segments of a model, {}", keys.len(), bytes(size)));
    o.answer(format!("id      {id}"));
    say_specs(app, "input", d.inputs);
    say_specs(app, "output", d.outputs);
    keys.named().iter().for_each(|n| o.answer(stack_line(n, "given with each proof")));
    o.result(json!({
        "kind": "segment_keys",
        "settled": settled,
        "segments": keys.len(),
        "split_id": id,
        "stacks": keys.named().iter().map(|n| n.name.clone()).collect::<Vec<_>>(),
        "inputs": specs_json(d.inputs),
        "outputs": specs_json(d.outputs),
        "key_bytes": size,
        "insecure_srs": d.insecure,
    }));
    Ok(())
}

fn segment_proofs(app: &App, path: &Path, size: u64) -> Outcome<()> {
    let o = &app.output;
    let (proofs, _) = check::read_proofs(path)?;
    let (settled, n) = match &proofs {
        SegmentProofs::Core(p) => (false, p.len()),
        SegmentProofs::Settled(p) => (true, p.len()),
    };
    let kind = if settled { "settled proofs: zero-knowledge" } else { "core proofs: sound, NOT hiding" };
    o.answer(format!("proofs of {n} segments of a model, {}", bytes(size)));
    o.answer(kind);
    o.answer("nothing was checked: use `assay verify PROOFS --key KEYS`");
    o.result(json!({ "kind": "segment_proofs", "hiding": settled, "segments": n, "proof_bytes": size }));
    Ok(())
}

fn settled_proof(app: &App, path: &Path, size: u64) -> Outcome<()> {
    let o = &app.output;
    let p = settlement::read_proof(path)?;
    let c = &p.context;
    o.answer(format!("settled proof, {}: zero-knowledge", bytes(size)));
    o.answer(format!("key     {}", hex(&p.id)));
    o.answer(format!("for     chain {}, contract 0x{}", c.chain_id, hex(&c.consumer)));
    o.answer(format!("job     0x{}", hex(&c.job)));
    o.answer(format!("pays    0x{}", hex(&c.recipient)));
    o.answer(format!("public  {} bytes: ids of stacks, then 8 bytes a value", count(p.public.len() as u64)));
    o.answer("nothing was checked: use `assay verify PROOF --key SETTLEMENT_KEY`");
    o.result(json!({
        "kind": "settled_proof",
        "hiding": true,
        "settlement_id": hex(&p.id),
        "proof_bytes": size,
        "argument_bytes": p.argument.len(),
        "public_bytes": p.public.len(),
        "chain_id": c.chain_id,
        "consumer": hex(&c.consumer),
        "job": hex(&c.job),
        "recipient": hex(&c.recipient),
        "context": hex(&c.digest()),
    }));
    Ok(())
}

fn powers(app: &App, path: &Path, size: u64) -> Outcome<()> {
    // A few points are enough to learn what the file is.
    let s = srs::from_file(path, 1)?;
    let header = files::open(path, u64::MAX)?;
    let power = file_power(header)?;
    app.output.answer(format!("powers of tau, {}: 2^{power} points", bytes(size)));
    say_srs(app, &s.verifier());
    app.output.answer("the points were not checked: use `assay srs verify FILE`");
    app.output.result(json!({
        "kind": "srs",
        "srs_hash": hex(&s.hash),
        "power": power,
        "file_bytes": size,
        "insecure_srs": s.insecure_dev,
    }));
    Ok(())
}

/// The power in the header: magic 8, version 4, power 4, big-endian.
fn file_power(mut file: std::fs::File) -> Outcome<u32> {
    let mut head = [0u8; 16];
    std::io::Read::read_exact(&mut file, &mut head).map_err(|e| Failure::from(assay_prover::srs::SrsError::Io(e)))?;
    Ok(u32::from_be_bytes([head[12], head[13], head[14], head[15]]))
}
