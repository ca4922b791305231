//! What the worker has at hand, and which keys it can make proofs under.

use super::{super::policy::Pace, Trainer};
use crate::{
    App,
    cmd::{doctor::memory, task::work::Work},
    economy::explained,
    error::{Failure, Outcome},
    output::bytes,
    stacks as named,
    training::{self, Runs},
};
use assay_circuits::train::{MAX_ROWS, Spec, base_schema, data_schema, weights_schema};
use assay_contracts::{B256, Verifier, economy::Task};
use assay_prover::Stack;
use assay_verifier::settle::descriptor::Descriptor;
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub(super) struct Stacks {
    /// Weights that are trained, by their ids.
    pub(super) weights: BTreeMap<B256, Stack>,
    /// Rows, by their ids: the dataset, and revealed shards.
    pub(super) rows: BTreeMap<B256, Stack>,
    pub(super) dataset: (B256, Stack),
    /// Weights that stay as they are, with adapters.
    pub(super) base: Option<Stack>,
}

impl Stacks {
    /// Stacks by what they hold, and the length of their rows.
    pub(super) fn sort(app: &App, args: &Work, spec: &Spec) -> Outcome<(Self, u8)> {
        let (mut weights, mut rows) = (BTreeMap::new(), BTreeMap::new());
        let (mut dataset, mut base) = (None, None);
        for path in &args.stacks {
            let stack = named::read(path)?;
            let bits = stack.schema().row_bits;
            let id = B256::from(stack.id()?);
            if *stack.schema() == weights_schema(spec, bits)? {
                weights.insert(id, stack);
            } else if base_schema(spec, bits)?.is_some_and(|s| s == *stack.schema()) {
                base = base.or(Some((path, stack)));
            } else {
                training::data_of(spec, &stack, path)?;
                dataset = dataset.or_else(|| Some((id, stack.clone())));
                rows.insert(id, stack);
            }
        }
        let Some(dataset) = dataset else {
            return Err(Failure::new("no stack holds rows to train on")
                .help("assay dataset commit DATA.npz --model MODEL.onnx -o data.stack"));
        };
        let bits = dataset.1.schema().row_bits;
        let base = base_of(spec, base, bits)?;
        if weights.is_empty() {
            app.output.warn("no stack holds weights of this network: only rounds that are begun can go on");
        }
        Ok((Self { weights, rows, dataset, base }, bits))
    }
}

/// The weights that stay as they are, if any do: the task's keys pin them, so nobody can train without them.
fn base_of(spec: &Spec, found: Option<(&PathBuf, Stack)>, bits: u8) -> Outcome<Option<Stack>> {
    let Some((path, stack)) = found else {
        if base_schema(spec, bits)?.is_none() {
            return Ok(None);
        }
        return Err(Failure::new("no stack holds the weights that stay as they are").help(
            "adapters are trained over the stack that the task's keys pin: pass the sponsor's base.stack with --stack",
        ));
    };
    if stack.schema().row_bits != bits {
        return Err(Failure::new(format!(
            "'{}' has rows of 2^{}, and the dataset has rows of 2^{bits}",
            path.display(),
            stack.schema().row_bits
        ))
        .help("commit to the dataset with rows of that length: assay dataset commit --row-bits N"));
    }
    training::base_of(spec, Some(stack), Path::new(path))
}

/// The number of held-out rows of an evaluation of this network in rows of `2^row_bits`, by the words of its key; none for a key of
/// something else.
fn evaluated_rows(key: &Descriptor, spec: &Spec, row_bits: u8) -> Outcome<Option<usize>> {
    let given: Vec<_> = key.given().collect();
    let [before, after, held] = given[..] else { return Ok(None) };
    let weights = weights_schema(spec, row_bits)?.digest()?;
    if key.row_bits != usize::from(row_bits) || before.schema != weights || after.schema != weights {
        return Ok(None);
    }
    // A key says no more of the rows than the digest of their schema. Each row takes at least as many values as the network has inputs.
    let values = 1usize.checked_shl(u32::try_from(held.bits).unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
    let most = MAX_ROWS.min(values / spec.network.input.iter().product::<usize>().max(1));
    for rows in 1..=most {
        if data_schema(spec, rows, row_bits)?.digest()? == held.schema {
            return Ok(Some(rows));
        }
    }
    Ok(None)
}

impl Trainer<'_> {
    /// Whether a verifier is that of the steps.
    pub(super) fn is_ours(&mut self, verifier: B256) -> Outcome<bool> {
        if let Some(known) = self.ours.get(&verifier) {
            return Ok(*known);
        }
        let entry = self.system.at.registry().entry(self.system.chain.as_mut(), verifier).map_err(explained)?;
        let ours = entry.settlementId == self.train_id;
        self.ours.insert(verifier, ours);
        Ok(ours)
    }

    /// Whether this worker can prove a task's evaluation, and in time; says once of a verifier why not.
    pub(super) fn evaluates(&mut self, id: u64, task: &Task) -> Outcome<bool> {
        let verifier = task.ids.evaluateId;
        if !self.evaluations.contains_key(&verifier) {
            let pace = match self.pace_of(verifier)? {
                Ok(pace) => Some(pace),
                Err(why) => {
                    let text = format!("task {id}: a gain could not be proven: {why}");
                    let fields = json!({ "task_id": id, "verifier_id": verifier.to_string(), "reason": why });
                    self.log("left_alone", &text, fields);
                    None
                }
            };
            self.evaluations.insert(verifier, pace);
        }
        let Some(Some(pace)) = self.evaluations.get(&verifier) else { return Ok(false) };
        // Two blocks until the reveal is seen, two for the proof's way.
        let needed = pace.bound().ceil() as u64 + 4 * self.system.moment()?.interval;
        Ok(needed <= u64::from(task.evaluateSeconds))
    }

    /// How long proofs of an evaluation take, if this worker makes the same key as a verifier has; or why it cannot make them.
    fn pace_of(&mut self, verifier: B256) -> Outcome<Result<Pace, String>> {
        let chain = self.system.chain.as_mut();
        let entry = self.system.at.registry().entry(chain, verifier).map_err(explained)?;
        let bits = self.row_bits;
        let other = || -> Outcome<Result<Pace, String>> {
            Ok(Err(format!(
                "verifier {verifier} is of no evaluation of this network over stacks with rows of 2^{bits}"
            )))
        };
        let words = match Verifier::at_unchecked(entry.verifier).key(chain, entry.settlementId) {
            Ok(words) => words,
            Err(e) if e.is_transient() => return Err(explained(e)),
            // A contract of another kind.
            Err(_) => return other(),
        };
        let Ok(key) = Descriptor::from_bytes(&words) else { return other() };
        let Some(rows) = evaluated_rows(&key, &self.spec, bits)? else { return other() };
        let runs = self.evaluation(rows)?;
        let (pace, needed) = Pace::over(self.app, &runs.model().graph, runs.named(), key.circuit.k)?;
        if let Some((has, _)) = memory().filter(|(has, _)| needed > *has) {
            return Ok(Err(format!("{rows} rows take {}, and this machine has {}", bytes(needed), bytes(has))));
        }
        let made = runs.prepared(self.app, self.args.srs.as_deref(), &self.args.settlement)?;
        if entry.settlementId == B256::from(made.prover.key.id()) { Ok(Ok(pace)) } else { other() }
    }

    /// An evaluation on so many rows.
    pub(super) fn evaluation(&self, rows: usize) -> Outcome<Runs> {
        Ok(Runs::evaluation(&self.spec.evaluation(rows)?, self.row_bits)?.over(self.stacks.base.clone()))
    }
}
