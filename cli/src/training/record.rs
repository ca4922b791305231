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
    /// Of weights that stay as they are; none where all are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
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

/// What a proof turned out to be of, beside a record.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) kind: Kind,
    /// For people.
    pub(crate) line: String,
    /// What of the record was compared with the proof and is equal; in an evaluation, that its rows are other ones.
    pub(crate) compared: &'static [&'static str],
    /// What the record says and the proof does not show.
    pub(crate) not_compared: &'static [&'static str],
}

impl Record {
    /// The record of a run between these stacks.
    pub(crate) fn new(
        spec: Spec,
        [weights, trained, dataset]: [&Stack; 3],
        base: Option<&Stack>,
        end: &reference::State,
        (mean, scale): (Vec<f32>, Vec<f32>),
    ) -> Outcome<Self> {
        Ok(Self {
            format: FORMAT.to_owned(),
            spec,
            weights: named::id(weights)?,
            trained: named::id(trained)?,
            dataset: named::id(dataset)?,
            base: base.map(named::id).transpose()?,
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

    fn beside(&self, path: &Path, name: &str, id: &str) -> Outcome<Stack> {
        let path = path.parent().unwrap_or(Path::new(".")).join(name);
        let stack = named::read(&path)?;
        if named::id(&stack)? != id {
            return Err(Failure::new(format!("'{}' is another stack than the record's", path.display()))
                .help("keep the files of a run in one folder, as `assay train` wrote them"));
        }
        Ok(stack)
    }

    /// The stacks of weights of this run, which lie beside the record.
    pub(crate) fn weights_beside(&self, path: &Path) -> Outcome<[Stack; 2]> {
        let one = |name: &str, id: &str| self.beside(path, name, id);
        Ok([one("weights.stack", &self.weights)?, one("trained.stack", &self.trained)?])
    }

    /// The stack of weights that stay as they are, beside the record.
    pub(crate) fn base_beside(&self, path: &Path) -> Outcome<Option<Stack>> {
        let Some(id) = &self.base else { return Ok(None) };
        self.beside(path, "base.stack", id).map(Some)
    }

    /// Checks that a valid proof shows this run, or losses of its weights: the key's graph, stacks and units are those that
    /// follow from the specification, and what the proof shows are the record's ids, walk and losses. Returns a line for people.
    pub(crate) fn check(&self, key: Statement<'_>, shown: &Verified) -> Outcome<Checked> {
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
            if ids.get(3) != self.base.as_ref() {
                return Err(invalid("other weights stay as they are"));
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
            let compared = &["graph", "units", "weights", "trained", "base", "dataset", "rows", "losses"];
            return Ok(Checked { kind: Kind::Training, line, compared, not_compared: &[] });
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
        let [before, after] = pair.ok_or_else(|| invalid("it does not show the losses before and after"))?;
        let line = format!(
            "loss on {rows} held-out rows: {:.4} to {:.4}",
            mean_loss(s.loss, before, rows),
            mean_loss(s.loss, after, rows)
        );
        // The record says nothing of other rows than those of the training, and the evaluation nothing of the steps.
        let compared = &["graph", "units", "weights", "trained", "base", "another dataset"];
        Ok(Checked { kind: Kind::Evaluation, line, compared, not_compared: &["dataset", "rows", "losses"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_circuits::{
        Tensor,
        model::Model,
        stack::Role,
        train::{Layer, Loss, Network},
    };

    fn spec() -> Spec {
        let network = Network { input: vec![3], layers: vec![Layer::Dense { inputs: 3, outputs: 2 }] };
        let (steps, batch_bits, rate_bits, rows) = (2, 1, 2, 5);
        Spec {
            network,
            loss: Loss::SquaredError,
            steps,
            batch_bits,
            rate_bits,
            momentum_bits: None,
            rows,
            seed: [3; 32],
        }
    }

    fn record() -> Record {
        let id = |byte: u8| hex(&[byte; 32]);
        Record {
            format: FORMAT.to_owned(),
            spec: spec(),
            weights: id(1),
            trained: id(2),
            dataset: id(3),
            base: None,
            losses: vec![70, 60],
            mean: vec![],
            scale: vec![],
        }
    }

    /// What a key of the record's run, or of an evaluation of it, says.
    struct Key {
        model: Model,
        stacks: Vec<NamedStack>,
        visibility: Visibility,
    }

    impl Key {
        fn training() -> Self {
            let t = spec().training().unwrap();
            let visibility = Visibility { inputs: true, weights: false, outputs: true };
            Self { model: t.blank().unwrap(), stacks: t.stacks(8).unwrap(), visibility }
        }

        fn evaluation() -> Self {
            let e = spec().evaluation(4).unwrap();
            Self { model: e.blank().unwrap(), stacks: e.stacks(8).unwrap(), ..Self::training() }
        }

        fn said(&self) -> Statement<'_> {
            let (graph, inputs, outputs) = (&self.model.graph, &self.model.inputs[..], &self.model.outputs[..]);
            Statement { graph, stacks: &self.stacks, inputs, outputs, visibility: self.visibility }
        }
    }

    fn shown(third: u8, inputs: Vec<Tensor>, outputs: Vec<i64>) -> Verified {
        let outputs = vec![Tensor::new(vec![1, outputs.len()], outputs).unwrap()];
        Verified { batch: 1, stacks: vec![[1; 32], [2; 32], [third; 32]], inputs, outputs }
    }

    #[test]
    fn keys_of_something_else_are_refused() {
        let walk = || vec![spec().sampler().tensor()];
        let run = shown(3, walk(), vec![70, 60]);
        let check = |key: &Key, shown: &Verified| record().check(key.said(), shown);
        assert_eq!(check(&Key::training(), &run).unwrap().kind, Kind::Training);
        assert!(check(&Key::training(), &run).unwrap().not_compared.is_empty());
        let refused = |what: &str, edit: &dyn Fn(&mut Key), words: &str| {
            let mut key = Key::training();
            edit(&mut key);
            let f = check(&key, &run).unwrap_err();
            assert!(f.message.contains(words), "{what}: {}", f.message);
        };
        refused("a stack called otherwise", &|k| k.stacks[1].name = "weights".to_owned(), "called, made or used");
        refused("a decoy in front", &|k| k.stacks.insert(0, k.stacks[0].clone()), "called, made or used");
        refused("a tensor that is not read", &|k| k.stacks[0].roles[1] = None, "called, made or used");
        refused("tensors exchanged", &|k| k.stacks[2].roles.reverse(), "called, made or used");
        refused("trained weights that are given", &|k| k.stacks[1].roles[0] = Some(Role::Input(0)), "called, made");
        refused("another tensor's name", &|k| k.stacks[2].schema.tensors[0].name.push('x'), "called, made or used");
        refused("another unit of losses", &|k| k.model.outputs.last_mut().unwrap().name.push('x'), "other units");
        refused("other units", &|k| k.model.inputs[0] = TensorSpec::uniform("0.weight.initial", &[3, 2], 11), "units");
        refused("hidden losses", &|k| k.visibility.outputs = false, "does not show");
        refused("hidden walk", &|k| k.visibility.inputs = false, "does not show");
        refused(
            "another graph",
            &|k| k.model.graph = Spec { rate_bits: 3, ..spec() }.training().unwrap().graph,
            "neither",
        );
        let other = |what: &str, shown: Verified, words: &str| {
            let f = check(&Key::training(), &shown).unwrap_err();
            assert!(f.message.contains(words), "{what}: {}", f.message);
        };
        other("another walk", shown(3, vec![Tensor::new(vec![2], vec![1, 1]).unwrap()], vec![70, 60]), "another seed");
        other("no walk", shown(3, vec![], vec![70, 60]), "another seed");
        other("other losses", shown(3, walk(), vec![70, 61]), "other losses");
        other("a loss less", shown(3, walk(), vec![70]), "other losses");
        other("other data", shown(9, walk(), vec![70, 60]), "other data");
        let mut twice = shown(3, walk(), vec![70, 60]);
        twice.batch = 2;
        other("a batch", twice, "one run");
    }

    /// An evaluation is of held-out rows only where its stack is another than the data's.
    #[test]
    fn held_out_rows_are_other_rows() {
        let check = |third: u8| record().check(Key::evaluation().said(), &shown(third, vec![], vec![90, 80]));
        let Checked { kind, line, compared, not_compared } = check(4).unwrap();
        assert_eq!(kind, Kind::Evaluation);
        assert!(compared.contains(&"trained") && not_compared == ["dataset", "rows", "losses"], "{compared:?}");
        // Losses that are not two are no losses before and after.
        for losses in [vec![], vec![90], vec![90, 80, 70]] {
            let f = record().check(Key::evaluation().said(), &shown(4, vec![], losses)).unwrap_err();
            assert!(f.message.contains("losses before and after"), "{}", f.message);
        }
        assert!(line.contains("4 held-out rows"), "{line}");
        assert!(check(3).unwrap_err().message.contains("those that were trained on"));
        let mut key = Key::evaluation();
        key.stacks[2].name = "dataset".to_owned();
        let f = record().check(key.said(), &shown(4, vec![], vec![90, 80])).unwrap_err();
        assert!(f.message.contains("called, made or used"), "{}", f.message);
    }
}
