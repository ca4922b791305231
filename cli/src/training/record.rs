//! The record of a training run, and whether a proof is about it.

use super::mean_loss;
use crate::{
    error::{Failure, Outcome},
    files, stacks as named,
};
use assay_circuits::{
    Graph, Visibility,
    model::TensorSpec,
    stack::NamedStack,
    train::{Spec, reference},
};
use assay_prover::Stack;
use assay_verifier::{
    VerifyingKey,
    core::{Verified, hex},
    settle::key::SettlementKey,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The first field of a record, which says how to read the rest.
const FORMAT: &str = "assay training 2";
/// Largest record, in bytes.
const MAX_RECORD: u64 = 1 << 28;

/// What a run did: `training.json`. Nothing in it is trusted: a proof is checked against what follows from the specification, and
/// against the ids.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    format: String,
    /// What was trained and how.
    pub(crate) spec: Spec,
    /// Id of the stack of weights at the start, in hexadecimal.
    pub(crate) weights: String,
    /// Of those at the end.
    pub(crate) trained: String,
    /// Of rows and targets.
    pub(crate) dataset: String,
    /// Losses of the steps, in integers.
    pub(crate) losses: Vec<i64>,
    /// What was taken off each feature of the data before training; empty where nothing was.
    pub(crate) mean: Vec<f32>,
    /// What each feature was divided by then.
    pub(crate) scale: Vec<f32>,
}

/// What a key says, core or settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    graph: &'a Graph,
    stacks: &'a [NamedStack],
    inputs: &'a [TensorSpec],
    outputs: &'a [TensorSpec],
    visibility: Visibility,
}

impl<'a> From<&'a VerifyingKey> for Statement<'a> {
    fn from(k: &'a VerifyingKey) -> Self {
        let (graph, stacks, inputs, outputs) = (&k.graph, &k.stacks[..], &k.inputs[..], &k.outputs[..]);
        Self { graph, stacks, inputs, outputs, visibility: k.visibility }
    }
}

impl<'a> From<&'a SettlementKey> for Statement<'a> {
    fn from(k: &'a SettlementKey) -> Self {
        let (graph, stacks, inputs, outputs) = (&k.graph, &k.stacks[..], &k.inputs[..], &k.outputs[..]);
        Self { graph, stacks, inputs, outputs, visibility: k.visibility }
    }
}

/// What a proof turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of the steps.
    Training,
    /// Of losses on held-out rows.
    Evaluation,
}

fn invalid(what: &str) -> Failure {
    Failure::new(format!("the proof is not about this training run: {what}"))
        .help("do not take the weights for what the record says")
        .invalid()
}

impl Record {
    /// The record of a run between these stacks.
    pub(crate) fn new(
        spec: Spec,
        [weights, trained, dataset]: [&Stack; 3],
        end: &reference::State,
        (mean, scale): (Vec<f32>, Vec<f32>),
    ) -> Outcome<Self> {
        Ok(Self {
            format: FORMAT.to_owned(),
            spec,
            weights: named::id(weights)?,
            trained: named::id(trained)?,
            dataset: named::id(dataset)?,
            losses: end.losses.clone(),
            mean,
            scale,
        })
    }

    pub(crate) fn write(&self, path: &Path) -> Outcome<()> {
        let text = serde_json::to_vec(self).map_err(|e| Failure::new(e).bug())?;
        files::write(path, &text)
    }

    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        const HELP: &str = "assay train writes such a file: OUT/training.json";
        let wrong = |what: String| {
            Failure::new(format!("'{}' is no record of a training run: {what}", path.display())).help(HELP)
        };
        let record: Self = serde_json::from_slice(&files::read(path, MAX_RECORD)?).map_err(|e| wrong(e.to_string()))?;
        if record.format != FORMAT {
            return Err(wrong(format!("its format is '{}', not '{FORMAT}'", record.format)));
        }
        record.spec.validate().map_err(|e| wrong(e.to_string()))?;
        if record.losses.len() != record.spec.steps {
            return Err(wrong("its losses are not those of its steps".to_owned()));
        }
        Ok(record)
    }

    /// The stacks of weights of this run, which lie beside the record.
    pub(crate) fn weights_beside(&self, path: &Path) -> Outcome<[Stack; 2]> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let one = |name: &str, id: &str| {
            let path = folder.join(name);
            let stack = named::read(&path)?;
            if named::id(&stack)? != id {
                return Err(Failure::new(format!("'{}' is another stack than the record's", path.display()))
                    .help("keep the files of a run in one folder, as `assay train` wrote them"));
            }
            Ok(stack)
        };
        Ok([one("weights.stack", &self.weights)?, one("trained.stack", &self.trained)?])
    }

    /// Checks that a valid proof shows this run, or losses of its weights: the key's graph, stacks and units are those that
    /// follow from the specification, and what the proof shows are the record's ids, walk and losses. Returns a line for people.
    pub(crate) fn check(&self, key: Statement<'_>, shown: &Verified) -> Outcome<(Kind, String)> {
        let s = &self.spec;
        if !key.visibility.inputs || !key.visibility.outputs || shown.batch != 1 {
            return Err(invalid("it does not show walk and losses of one run"));
        }
        let row_bits = key.stacks.first().map_or(0, |n| n.schema.row_bits);
        let ids: Vec<String> = shown.stacks.iter().map(|id| hex(id)).collect();
        let same = |stacks: &[NamedStack], inputs: &[TensorSpec], outputs: &[TensorSpec]| {
            if key.stacks != stacks || ids.len() != stacks.len() {
                return Err(invalid("its stacks are called, made or used otherwise"));
            }
            if key.inputs != inputs || key.outputs != outputs {
                return Err(invalid("its values have other units"));
            }
            if ids.first() != Some(&self.weights) {
                return Err(invalid("it starts from other weights"));
            }
            if ids.get(1) != Some(&self.trained) {
                return Err(invalid("it ends with other weights"));
            }
            Ok(())
        };
        let training = s.training()?;
        if *key.graph == training.graph {
            let stacks = training.stacks(row_bits).map_err(|_| invalid("it has no stacks"))?;
            let model = training.blank()?;
            same(&stacks, &model.inputs, &model.outputs)?;
            if ids.get(2) != Some(&self.dataset) {
                return Err(invalid("it was trained on other data"));
            }
            let (walk, losses) = (shown.inputs.first(), shown.outputs.first());
            if walk.map(|t| &t.data) != Some(&s.sampler().tensor().data) {
                return Err(invalid("its rows are those of another seed"));
            }
            if losses.map(|t| &t.data) != Some(&self.losses) {
                return Err(invalid("its steps have other losses"));
            }
            let loss = |k: Option<&i64>| k.map_or(0.0, |l| mean_loss(s.loss, *l, s.batch()));
            let line = format!(
                "{} steps of {} of {} rows, rate 2^-{}: loss {:.4} to {:.4}",
                s.steps,
                s.batch(),
                s.rows,
                s.rate_bits,
                loss(self.losses.first()),
                loss(self.losses.last())
            );
            return Ok((Kind::Training, line));
        }
        let rows = key.graph.weights().next().and_then(|id| key.graph.node(id).shape.first().copied()).unwrap_or(0);
        let evaluation = s.evaluation(rows).ok().filter(|e| e.graph == *key.graph);
        let Some(evaluation) = evaluation else {
            return Err(invalid("its graph is neither this specification's training nor an evaluation of it"));
        };
        let stacks = evaluation.stacks(row_bits).map_err(|_| invalid("it has no stacks"))?;
        let model = evaluation.blank()?;
        same(&stacks, &model.inputs, &model.outputs)?;
        if ids.get(2) == Some(&self.dataset) {
            return Err(invalid("its held-out rows are those that were trained on"));
        }
        let pair = shown.outputs.first().and_then(|l| <[i64; 2]>::try_from(l.data.as_slice()).ok());
        let [before, after] = pair.unwrap_or([0; 2]);
        let line = format!(
            "loss on {rows} held-out rows: {:.4} to {:.4}",
            mean_loss(s.loss, before, rows),
            mean_loss(s.loss, after, rows)
        );
        Ok((Kind::Evaluation, line))
    }
}
