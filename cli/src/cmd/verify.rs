//! `assay verify`: is this proof valid under this key, and is it about what is claimed?

use crate::{
    App,
    error::{Failure, Outcome},
    files::{self, Kind},
    flow,
    input::{self, Role},
    output::{bytes, seconds},
    settlement, srs,
    stacks::{self, CommitArgs},
    training::{self, Record, Statement},
};
use assay_circuits::{
    Graph, Tensor,
    model::TensorSpec,
    stack::{self, NamedStack},
};
use assay_verifier::{
    CoreProof,
    core::hex,
    proof::ProofError,
    settle::key::{SettledProof, SettlementError},
};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The proof
    pub(super) proof: PathBuf,
    /// The verifying key (of a settled proof: the settlement key; of a split model: its keys), from anybody or made from the model by yourself
    #[arg(long, value_name = "KEY")]
    pub(super) key: PathBuf,
    /// Also check that the proof is about these inputs (of a key with --public-inputs)
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// Also check that the proof shows these outputs: {"output_data": [[...]]}, .npy or .npz
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Also check that the key was made with these powers of tau; a settlement key with real ones is recomputed from them
    #[arg(long, value_name = "SRS")]
    pub(super) srs: Option<PathBuf>,
    /// Also check that the key is of this model (of a settled proof: the settlement id; of a split model: the id of its keys)
    #[arg(long, value_name = "HEX")]
    pub(super) model_id: Option<String>,
    /// Also check that the proof is of this training run, or of its evaluation: the record that `assay train` wrote
    #[arg(long, value_name = "RECORD")]
    pub(super) training: Option<PathBuf>,
    #[command(flatten)]
    pub(super) stacks: CommitArgs,
}

pub(crate) fn run(app: &App, args: &VerifyArgs) -> Outcome<()> {
    let o = &app.output;
    match files::kind(&args.proof)? {
        Kind::SettledProof => return settled(app, args),
        Kind::SegmentProofs => return super::split::verify(app, args),
        _ => {}
    }
    let key = flow::read_key(&args.key)?;
    let file = files::read_kind(&args.proof, Kind::Proof)?;
    let proof = CoreProof::from_bytes(&file).map_err(|e| {
        // Another version may be valid for another program; anything else is no proof at all.
        let unknown = matches!(e, ProofError::Version { .. } | ProofError::Kind(_));
        let f = Failure::from(e).in_file(&args.proof);
        if unknown { f } else { f.invalid() }
    })?;
    let id = hex(&key.model_id()?);
    check_id(args, &id, "the proof is about another model", |other| {
        format!("the key is of model {id}, not of {other}")
    })?;
    srs::compare(&key.srs, args.srs.as_deref())?;
    let checked = flow::check(app, &key, &proof)?;
    let v = &checked.verified;
    flow::warn_insecure(app, key.srs.insecure_dev);
    // What named stacks hold is not shown.
    let shown = Shown::of(&key.stacks, &key.inputs, &key.outputs);
    let outputs = flow::by_sample(&shown.outputs, &v.outputs, v.batch)?;
    shown.allows(args)?;
    args.stacks.compare(&key.stacks, &v.stacks)?;
    if let Some(path) = &args.input {
        let given = input::read(app, path, &key.inputs, Role::Input)?;
        need_public(key.visibility.inputs, path, "inputs", "--public-inputs")?;
        check_inputs(&key.graph, &key.inputs, (v.batch, &v.inputs), &given, path)?;
    }
    if let Some(path) = &args.output {
        need_public(key.visibility.outputs, path, "outputs", "no --private-outputs")?;
        let given = input::read(app, path, &key.outputs, Role::Output)?;
        check_outputs(&key.outputs, &outputs, &given, path)?;
    }
    let training = training_of(args, (&key).into(), v)?;
    let inputs = flow::by_sample(&shown.inputs, &v.inputs, v.batch)?;
    say_training(app, training.as_ref());
    o.say(format!("valid   {} inference{} of model {id}", v.batch, if v.batch == 1 { "" } else { "s" }));
    if key.visibility.inputs {
        flow::say_outputs(app, &shown.inputs, &inputs, "input");
    }
    if key.visibility.outputs {
        flow::say_outputs(app, &shown.outputs, &outputs, "output");
    } else {
        o.say("the outputs are private");
    }
    say_stacks(app, &key.stacks, &v.stacks);
    o.say(format!(
        "checked {} in {}; the key's registration in {}",
        bytes(file.len() as u64),
        seconds(checked.verify_seconds),
        seconds(checked.registration_seconds)
    ));
    let mut result = json!({
        "valid": true,
        "model_id": id,
        "key_digest": hex(&proof.key_digest),
        "batch": v.batch,
        "verify_seconds": checked.verify_seconds,
        "registration_seconds": checked.registration_seconds,
        "proof_bytes": file.len(),
        "inputs": if key.visibility.inputs { flow::samples_json(&inputs) } else { Value::Null },
        "outputs": if key.visibility.outputs { flow::samples_json(&outputs) } else { Value::Null },
        "stacks": stacks::ids_json(&key.stacks, &v.stacks),
        "shown": shown.json(),
        "insecure_srs": key.srs.insecure_dev,
        "hiding": false,
    });
    training_json(&mut result, training.as_ref());
    o.result(result);
    Ok(())
}

/// A settled proof: the key is recomputed once, then the proof is checked.
fn settled(app: &App, args: &VerifyArgs) -> Outcome<()> {
    let o = &app.output;
    let file = files::read_kind(&args.proof, Kind::SettledProof)?;
    let proof = SettledProof::from_bytes(&file).map_err(|e| {
        let unknown = matches!(e, SettlementError::Version { .. });
        let f = Failure::from(e).in_file(&args.proof);
        if unknown { f } else { f.invalid() }
    })?;
    let key = settlement::read_key(&args.key)?;
    let id = hex(&key.id());
    check_id(args, &id, "the proof is about another model", |other| {
        format!("the settlement key is {id}, not {other}")
    })?;
    srs::compare(&key.srs(), args.srs.as_deref())?;
    let checked = settlement::check(app, &key, &proof, args.srs.as_deref())?;
    flow::warn_insecure(app, key.descriptor.insecure_dev);
    let shown = Shown::of(&key.stacks, &key.inputs, &key.outputs);
    let verified = settlement::verified(&key, checked.public, checked.stacks);
    let batch = verified.batch;
    let outputs = flow::by_sample(&shown.outputs, &verified.outputs, batch)?;
    shown.allows(args)?;
    args.stacks.compare(&key.stacks, &verified.stacks)?;
    if let Some(path) = &args.input {
        need_public(key.visibility.inputs, path, "inputs", "--public-inputs")?;
        let given = input::read(app, path, &key.inputs, Role::Input)?;
        check_inputs(&key.graph, &key.inputs, (verified.batch, &verified.inputs), &given, path)?;
    }
    if let Some(path) = &args.output {
        need_public(key.visibility.outputs, path, "outputs", "no --private-outputs")?;
        check_outputs(&key.outputs, &outputs, &input::read(app, path, &key.outputs, Role::Output)?, path)?;
    }
    let training = training_of(args, (&key).into(), &verified)?;
    let inputs = flow::by_sample(&shown.inputs, &verified.inputs, batch)?;
    say_training(app, training.as_ref());
    o.say(format!("valid   {batch} inference{}, settlement id {id}", if batch == 1 { "" } else { "s" }));
    if key.visibility.inputs {
        flow::say_outputs(app, &shown.inputs, &inputs, "input");
    }
    if key.visibility.outputs {
        flow::say_outputs(app, &shown.outputs, &outputs, "output");
    } else {
        o.say("the outputs are private");
    }
    say_stacks(app, &key.stacks, &verified.stacks);
    let c = &proof.context;
    o.say(format!("for     chain {}, contract 0x{}, recipient 0x{}", c.chain_id, hex(&c.consumer), hex(&c.recipient)));
    o.say(format!("time    proof {}, key {}", seconds(checked.verify_seconds), seconds(checked.key_seconds)));
    let mut result = json!({
        "valid": true,
        "settlement_id": id,
        "batch": batch,
        "verify_seconds": checked.verify_seconds,
        "key_seconds": checked.key_seconds,
        "proof_bytes": file.len(),
        "inputs": if key.visibility.inputs { flow::samples_json(&inputs) } else { Value::Null },
        "outputs": if key.visibility.outputs { flow::samples_json(&outputs) } else { Value::Null },
        "stacks": stacks::ids_json(&key.stacks, &verified.stacks),
        "chain_id": c.chain_id,
        "consumer": hex(&c.consumer),
        "job": hex(&c.job),
        "recipient": hex(&c.recipient),
        "shown": shown.json(),
        "insecure_srs": key.descriptor.insecure_dev,
        "hiding": true,
    });
    training_json(&mut result, training.as_ref());
    o.result(result);
    Ok(())
}

/// Whether the proof is of the training run that was named, or of its evaluation.
fn training_of(
    args: &VerifyArgs,
    statement: Statement<'_>,
    shown: &assay_verifier::Verified,
) -> Outcome<Option<training::Checked>> {
    args.training.as_deref().map(|path| Record::read(path)?.check(statement, shown)).transpose()
}

fn say_training(app: &App, training: Option<&training::Checked>) {
    let Some(t) = training else { return };
    app.output.say(format!("trained {}", t.line));
    app.output.say(format!("        compared with the record: {}", t.compared.join(", ")));
    if !t.not_compared.is_empty() {
        app.output.say(format!("        not shown by this proof, so not compared: {}", t.not_compared.join(", ")));
    }
}

/// The line, and what was compared.
fn training_json(result: &mut Value, training: Option<&training::Checked>) {
    result["training"] = json!(training.map(|t| &t.line));
    result["compared"] = json!(training.map(|t| t.compared));
    result["not_compared"] = json!(training.map(|t| t.not_compared));
}

/// What proofs under a key can show: descriptions of the inputs and outputs that no named stack holds.
pub(super) struct Shown {
    pub(super) inputs: Vec<TensorSpec>,
    pub(super) outputs: Vec<TensorSpec>,
    held: [bool; 2],
}

impl Shown {
    fn of(stacks: &[NamedStack], inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Self {
        Self::between((stacks, inputs), (stacks, outputs))
    }

    /// Of the key that has the inputs, and of the one that has the outputs.
    pub(super) fn between(
        (first, inputs): (&[NamedStack], &[TensorSpec]),
        (last, outputs): (&[NamedStack], &[TensorSpec]),
    ) -> Self {
        let open = |stacks: &[NamedStack], role: fn(usize) -> stack::Role, specs: &[TensorSpec]| -> Vec<TensorSpec> {
            stack::open(stacks, role, specs).into_iter().cloned().collect()
        };
        let open_inputs = open(first, stack::Role::Input, inputs);
        let open_outputs = open(last, stack::Role::Output, outputs);
        let held = [open_inputs.len() < inputs.len(), open_outputs.len() < outputs.len()];
        Self { inputs: open_inputs, outputs: open_outputs, held }
    }

    /// Names of the tensors that a proof shows.
    pub(super) fn json(&self) -> Value {
        let names = |all: &[TensorSpec]| all.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
        json!({ "inputs": names(&self.inputs), "outputs": names(&self.outputs) })
    }

    /// Inputs and outputs can be compared with files where the proof shows all of them.
    pub(super) fn allows(&self, args: &VerifyArgs) -> Outcome<()> {
        for ((held, path), what) in self.held.iter().zip([&args.input, &args.output]).zip(["inputs", "outputs"]) {
            if let (true, Some(path)) = (held, path) {
                return Err(Failure::new(format!(
                    "cannot compare with '{}': some of the {what} are in named stacks, which the proof does not show",
                    path.display()
                ))
                .help("compare the stack's id instead"));
            }
        }
        Ok(())
    }
}

pub(super) fn say_stacks(app: &App, named: &[NamedStack], ids: &[[u8; 32]]) {
    for (n, id) in named.iter().zip(ids) {
        app.output.say(format!("about   stack '{}', id {}", n.name, hex(id)));
    }
}

/// Compares the key's identity with the one that was asked for; `text` says that it is another.
pub(super) fn check_id(args: &VerifyArgs, id: &str, help: &str, text: impl FnOnce(&str) -> String) -> Outcome<()> {
    match &args.model_id {
        Some(other) if !other.trim_start_matches("0x").eq_ignore_ascii_case(id) => {
            Err(Failure::new(text(other)).help(help).invalid())
        }
        _ => Ok(()),
    }
}

pub(super) fn need_public(public: bool, path: &Path, what: &str, flag: &str) -> Outcome<()> {
    if public {
        return Ok(());
    }
    Err(Failure::new(format!("cannot compare with '{}': proofs under this key do not show the {what}", path.display()))
        .help(format!("make the key with {flag}")))
}

fn check_batch(batch: usize, given: usize, path: &Path, what: &str) -> Outcome<()> {
    if batch == given {
        return Ok(());
    }
    let text = format!("the proof is about {batch} inferences; '{}' holds {what} of {given}", path.display());
    Err(Failure::new(text).help("the proof is about something else").invalid())
}

/// Inputs are compared as the integers that the proof is about.
pub(super) fn check_inputs(
    graph: &Graph,
    specs: &[TensorSpec],
    (batch, verified): (usize, &[Tensor]),
    given: &input::Samples,
    path: &Path,
) -> Outcome<()> {
    check_batch(batch, given.len(), path, "inputs")?;
    for (i, sample) in given.iter().enumerate() {
        for (k, (spec, values)) in specs.iter().zip(sample).enumerate() {
            let range = graph.inputs().get(k).map(|id| graph.node(*id).range);
            let range = range.ok_or_else(|| {
                Failure::new("the key describes another number of inputs than its graph")
                    .help("the key is damaged: make it again")
            })?;
            let (wanted, _) = spec.quantize(values, range.lo as i64, range.hi as i64)?;
            let n = spec.len();
            let shown = verified.get(k).and_then(|t| t.data.get(i * n..(i + 1) * n)).unwrap_or(&[]);
            if let Some(at) = (0..n).find(|j| wanted.data.get(*j) != shown.get(*j)) {
                let text = format!(
                    "the proof is about another input: inference {i}, '{}', value {at} differs from '{}'",
                    spec.name,
                    path.display()
                );
                return Err(Failure::new(text).help("do not take its output for the output of this input").invalid());
            }
        }
    }
    Ok(())
}

/// Outputs are equal where they are nearest to the same step of the output's scale.
pub(super) fn check_outputs(
    specs: &[TensorSpec],
    shown: &[Vec<Vec<f32>>],
    given: &input::Samples,
    path: &Path,
) -> Outcome<()> {
    check_batch(shown.len(), given.len(), path, "outputs")?;
    for (i, (sample, proven)) in given.iter().zip(shown).enumerate() {
        for ((spec, wanted), values) in specs.iter().zip(sample).zip(proven) {
            let same = |(i, (a, b)): (usize, (&f32, &f32))| {
                a == b || (f64::from(*a) - f64::from(*b)).abs() < 0.5 * spec.step(i).0.abs()
            };
            if let Some(at) = wanted.iter().zip(values).enumerate().position(|v| !same(v)) {
                let text = format!(
                    "the proof shows another output: inference {i}, '{}', value {at} is {}, '{}' says {}",
                    spec.name,
                    values[at],
                    path.display(),
                    wanted[at]
                );
                return Err(Failure::new(text).help("the claimed output is not what the model computes").invalid());
            }
        }
    }
    Ok(())
}
