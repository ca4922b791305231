//! `assay demo --train`: a task of training on real digits, two contributors, proven gains, and cheats that fail.

use crate::{
    App,
    args::SettleArgs,
    demo_data,
    economy::{
        explained,
        training_story::{Stage, Who, say as say_balances},
        units,
    },
    error::{Failure, Outcome},
    output::{bytes, count, peak_memory_bytes, seconds},
    settlement,
    training::{self, Runs, SETTLED_ROW_BITS},
};
use assay_circuits::{
    Tensor,
    stack::Schema,
    train::{ACTIVATION_BITS, Layer, Loss, Network, Spec, data_schema, reference, weights_schema},
};
use assay_contracts::{
    B256, Error, Revert, U256,
    abi::ContractError,
    economy::{NumberedTree, RoundProof, Shard},
    keccak256,
};
use assay_prover::Stack;
use assay_verifier::{core::hex, settle::key::SettledProof};
use serde_json::{Value, json};

/// Images of each contributor.
const SHARE: usize = 120;
/// Images of each held-out shard.
const HELD_OUT: usize = 60;

/// 64-32-10, cross-entropy, 32 steps of 32 rows.
fn spec(seed: [u8; 32]) -> Spec {
    let dense = |inputs, outputs| Layer::Dense { inputs, outputs };
    let layers = vec![dense(64, 32), Layer::Relu, dense(32, 10)];
    let network = Network { input: vec![64], layers };
    let (steps, batch_bits, rate_bits) = (32, 5, 1);
    Spec { network, loss: Loss::CrossEntropy, steps, batch_bits, rate_bits, momentum_bits: None, rows: SHARE, seed }
}

/// Weights that nobody has trained: uniform, from a digest, so that the demo is the same every time.
fn first_weights(spec: &Spec) -> Outcome<Vec<Tensor>> {
    let mut out = Vec::new();
    for (k, shape) in spec.network.weights().into_iter().enumerate() {
        let n: usize = shape.iter().product();
        // Biases begin at zero.
        let spread = if shape.len() == 1 { 0 } else { (4096.0 * (6.0 / shape[0] as f64).sqrt()) as i64 };
        let value = |i: usize| {
            let d = keccak256([&k.to_be_bytes()[..], &i.to_be_bytes()[..]].concat());
            i64::from(u32::from_be_bytes([d[0], d[1], d[2], d[3]])) * 2 * spread / i64::from(u32::MAX) - spread
        };
        out.push(Tensor::new(shape, (0..n).map(value).collect())?);
    }
    Ok(out)
}

/// So many images from one on, as integers with one-hot targets.
fn examples(images: &[Vec<f32>], labels: &[usize], from: usize, rows: usize) -> Outcome<Vec<Tensor>> {
    let one = f64::from(1u32 << ACTIVATION_BITS);
    let all = || images.iter().zip(labels).skip(from).take(rows);
    let data: Vec<i64> = all().flat_map(|(i, _)| i.iter().map(|v| (f64::from(*v) * one).round() as i64)).collect();
    let target = |label: usize| (0..10).map(move |k| if k == label { 1i64 << ACTIVATION_BITS } else { 0 });
    let targets = all().flat_map(|(_, l)| target(*l)).collect();
    Ok(vec![Tensor::new(vec![rows, 64], data)?, Tensor::new(vec![rows, 10], targets)?])
}

/// A cheat that the contract refused, and how it said so.
struct Refused(&'static str, String);

/// The story while it is told.
struct Teller<'a> {
    app: &'a App,
    stage: Stage,
    train: Runs,
    evaluate: Runs,
    refused: Vec<Refused>,
    gas: Vec<(String, u64)>,
}

impl Teller<'_> {
    /// What should not be paid.
    fn cheat<T>(&mut self, what: &'static str, outcome: Result<T, Error>) -> Outcome<()> {
        match outcome {
            Ok(_) => Err(Failure::new(format!("the contract paid for a cheat: {what}")).bug()),
            Err(e) => {
                // Only the contract's word counts, and not that a node cannot be reached.
                let invalid =
                    matches!(e.revert(), Some(Revert::Contract(c)) if matches!(**c, ContractError::InvalidProof(_)));
                let why = match e.economy() {
                    _ if invalid => "InvalidProof".to_owned(),
                    Some(e) => format!("{e:?}").split('(').next().unwrap_or_default().to_owned(),
                    None => return Err(explained(e)),
                };
                self.app.output.say(format!("cheat   {what}: refused ({why})"));
                self.refused.push(Refused(what, why));
                Ok(())
            }
        }
    }

    /// A settled proof of training for the round that is leased.
    fn prove(&mut self, spec: &Spec, head: &Stack, data: &Stack) -> Outcome<(SettledProof, Stack)> {
        let context = self.stage.context(RoundProof::Training)?;
        let witness = (vec![spec.sampler().tensor()], vec![Some(head.clone()), None, Some(data.clone())]);
        let options = (None, &SettleArgs::default());
        let (prepared, settled, _, mut stacks) =
            training::prove_settled(self.app, &self.train, witness.0, witness.1, options, context)?;
        self.time("training", &prepared, &settled);
        let trained = if stacks.len() == 3 { stacks.swap_remove(1) } else { return Err(Failure::new("stacks").bug()) };
        Ok((settled.proof, trained))
    }

    fn time(&self, what: &str, prepared: &settlement::Prepared, settled: &settlement::Settled) {
        self.app.output.say(format!(
            "proof   of {what}: {} (key {}), {}",
            seconds(settled.prove_seconds + settled.settle_seconds),
            seconds(prepared.seconds),
            bytes(settled.bytes.len() as u64)
        ));
    }

    /// A settled proof of the losses of head and trained weights on a shard.
    fn evaluate(&mut self, head: &Stack, trained: &Stack, shard: &Stack) -> Outcome<(SettledProof, (u64, u64))> {
        let context = self.stage.context(RoundProof::Evaluation)?;
        let about = vec![Some(head.clone()), Some(trained.clone()), Some(shard.clone())];
        let options = (None, &SettleArgs::default());
        let (prepared, settled, shown, _) =
            training::prove_settled(self.app, &self.evaluate, vec![], about, options, context)?;
        self.time("evaluation", &prepared, &settled);
        let loss = |k: usize| shown.outputs.first().and_then(|t| t.data.get(k)).and_then(|l| u64::try_from(*l).ok());
        let losses = loss(0).zip(loss(1)).ok_or_else(|| Failure::new("an evaluation without losses").bug())?;
        Ok((settled.proof, losses))
    }
}

/// The head that the second round starts from, and what the first was paid.
fn round(
    t: &mut Teller<'_>,
    (who, other): (Who, Who),
    (head, dataset, data, theirs): (&Stack, B256, &Stack, &Stack),
    (shards, sealed, holdout): (&[Stack], &[Shard], &NumberedTree),
    cheats: bool,
) -> Outcome<(Stack, u128)> {
    let app = t.app;
    let o = &app.output;
    let seed = t.stage.lease(who, dataset)?;
    o.say(format!("lease   {} has the round; seed {}, from a block that came later", who.name(), hex(seed.as_slice())));
    let spec = spec(seed.0);
    let [rows, targets] = data.values() else { return Err(Failure::new("data without targets").bug()) };
    let state = reference::train(&spec, head.values().to_vec(), rows, targets)?;
    let (proof, trained) = t.prove(&spec, head, data)?;
    if trained.values() != state.weights {
        return Err(Failure::new("the proof is about other weights than those that were trained").bug());
    }
    if cheats {
        let (on_theirs, _) = t.prove(&spec, head, theirs)?;
        let outcome = t.stage.submit(who, &on_theirs);
        t.cheat("trained on another's data", outcome)?;
        let chosen = Spec { seed: [1; 32], ..spec.clone() };
        let (on_other_rows, _) = t.prove(&chosen, head, data)?;
        let outcome = t.stage.submit(who, &on_other_rows);
        t.cheat("rows of a seed of one's own choice", outcome)?;
        let (from_trained, _) = t.prove(&spec, &trained, data)?;
        let outcome = t.stage.submit(who, &from_trained);
        t.cheat("started from other weights", outcome)?;
        let mut edited = proof.clone();
        if let Some(v) = edited.public.last_mut() {
            *v ^= 1;
        }
        let outcome = t.stage.submit(who, &edited);
        t.cheat("another loss under a true proof", outcome)?;
        let mut edited = proof.clone();
        edited.public.truncate(edited.public.len() - 8);
        let outcome = t.stage.submit(who, &edited);
        t.cheat("the loss of one step less", outcome)?;
    }
    // Whoever sends it, the leaseholder is paid.
    let (paid, gas) = t.stage.submit(other, &proof).map_err(explained)?;
    t.gas.push((format!("submitTrain, {}", who.name()), gas));
    t.app.output.say(format!(
        "paid    {} to {} for proven work, {} gas; the proof was sent by {}",
        units::shown(U256::from(paid.toWorker)),
        who.name(),
        count(gas),
        other.name()
    ));
    if cheats {
        let outcome = t.stage.submit(who, &proof);
        t.cheat("the same proof again", outcome)?;
        let outcome = t.stage.settle(who, (1 << 40, 0), &proof);
        t.cheat("a gain before the shard is opened", outcome)?;
        let next = usize::try_from(t.stage.state()?.1.shard).unwrap_or(usize::MAX).wrapping_add(1);
        let outcome = t.stage.reveal_another(sealed, holdout, next);
        t.cheat("another shard than the one in turn", outcome)?;
        let outcome = t.stage.take_back();
        t.cheat("the sponsor's escrow taken back in the middle", outcome)?;
    }
    let index = t.stage.reveal(sealed, holdout)?;
    let shard = shards.get(index).ok_or_else(|| Failure::new("no such shard").bug())?;
    let (evaluation, losses) = t.evaluate(head, &trained, shard)?;
    if cheats {
        let outcome = t.stage.settle(who, (losses.0, 0), &evaluation);
        t.cheat("a loss of nothing", outcome)?;
        let (on_trained, own) = t.evaluate(head, &trained, shards.get(1 - index).unwrap_or(shard))?;
        let outcome = t.stage.settle(who, own, &on_trained);
        t.cheat("evaluated on another shard", outcome)?;
    }
    let (gain, gas) = t.stage.settle(who, losses, &evaluation).map_err(explained)?;
    t.gas.push((format!("settleEval, {}", who.name()), gas));
    let mean = |l: u64| training::mean_loss(spec.loss, i64::try_from(l).unwrap_or(i64::MAX), HELD_OUT);
    t.app.output.say(format!(
        "gain    loss {:.4} to {:.4} on shard {index}: {} to {}, {} gas",
        mean(losses.0),
        mean(losses.1),
        units::shown(U256::from(t.stage.net(gain.gain))),
        who.name(),
        count(gas)
    ));
    if cheats {
        let outcome = t.stage.settle(who, losses, &evaluation);
        t.cheat("the same gain again", outcome)?;
    }
    if gain.gain == 0 || gain.head.as_slice() != trained.id()? {
        return Err(Failure::new("the demo's training gained nothing").bug());
    }
    Ok((trained, paid.toWorker + t.stage.net(gain.gain)))
}

pub(crate) fn run(app: &App, rpc: Option<&str>) -> Outcome<()> {
    let o = &app.output;
    let (images, labels) = (demo_data::images()?, demo_data::labels()?);
    if images.len() != labels.len() || images.len() < 2 * (SHARE + HELD_OUT) {
        return Err(Failure::new("the demo's data is damaged").bug());
    }
    let any = spec([0; 32]);
    let (training, evaluation) = (any.training()?, any.evaluation(HELD_OUT)?);
    let (train, evaluate) =
        (Runs::training(&training, SETTLED_ROW_BITS)?, Runs::evaluation(&evaluation, SETTLED_ROW_BITS)?);
    o.say("64-32-10, cross-entropy, 32 steps of 32 rows, on scikit-learn's handwritten digits; nobody shows data or weights");
    let commit = |schema: &Schema, values: Vec<Tensor>| training::commit(app, schema, values, None);
    let rows = data_schema(&any, SHARE, SETTLED_ROW_BITS)?;
    let data = [0, 1].map(|k| commit(&rows, examples(&images, &labels, k * SHARE, SHARE)?));
    let [anne, ben] = data;
    let (anne, ben) = (anne?, ben?);
    let shard = data_schema(&any, HELD_OUT, SETTLED_ROW_BITS)?;
    let shards = (0..2)
        .map(|k| commit(&shard, examples(&images, &labels, 2 * SHARE + k * HELD_OUT, HELD_OUT)?))
        .collect::<Outcome<Vec<_>>>()?;
    let head = commit(&weights_schema(&any, SETTLED_ROW_BITS)?, first_weights(&any)?)?;

    let keys = [train.settled_key(app)?, evaluate.settled_key(app)?];
    o.say(format!("keys    training {}, evaluation {}", seconds(keys[0].seconds), seconds(keys[1].seconds)));
    let ids = [train.model().model_id()?, evaluate.model().model_id()?];
    let stage = Stage::set_up(rpc, [(&keys[0].prover.key, ids[0]), (&keys[1].prover.key, ids[1])])?;
    let mut t = Teller { app, stage, train, evaluate, refused: vec![], gas: vec![] };
    let datasets = [t.stage.register(Who::Anne, &anne)?, t.stage.register(Who::Ben, &ben)?];
    let seal = |(index, stack): (usize, &Stack)| -> Outcome<Shard> {
        let salt = B256::from(settlement::random()?);
        Ok(Shard { index: index as u64, stack_id: stack.id()?.into(), salt })
    };
    let sealed = shards.iter().enumerate().map(seal).collect::<Outcome<Vec<_>>>()?;
    let holdout = NumberedTree::new(sealed.iter().map(Shard::leaf).collect())
        .ok_or_else(|| Failure::new("a task without shards").bug())?;
    // A step of the gain is a hundredth of a loss of one, for each row.
    let unit = f64::from(1u32 << any.loss.difference_bits()).powi(2);
    let eta = (0.01 * unit * HELD_OUT as f64) as u64;
    t.stage.open(&head, &holdout, 2, eta)?;
    o.say("task    posted by the sponsor, with 2 sealed shards of held-out digits");
    let about = (&shards[..], &sealed[..], &holdout);
    let (next, first) = round(&mut t, (Who::Anne, Who::Ben), (&head, datasets[0], &anne, &ben), about, true)?;
    o.say("next    the second round starts from the first's weights, which are a stack and no more to anybody else");
    let (_, second) = round(&mut t, (Who::Ben, Who::Anne), (&next, datasets[1], &ben, &anne), about, false)?;
    let balances = t.stage.collect()?;
    o.say("");
    say_balances(app, &balances);
    o.say(format!("memory  {} at most", bytes(peak_memory_bytes().unwrap_or(0))));
    o.say("What this is not: the powers of tau are DEVELOPMENT ones, whose secret is public, and the chain is a local one.");
    let gas: Value =
        t.gas.iter().map(|(what, gas)| (what.clone(), json!(gas))).collect::<serde_json::Map<_, _>>().into();
    let balances = balances.iter().map(|(who, units)| (who.name().to_owned(), json!(units.to_string())));
    o.result(json!({
        "valid": true,
        "paid": { "anne": first.to_string(), "ben": second.to_string() },
        "balances": balances.collect::<serde_json::Map<_, _>>(),
        "gas": gas,
        "cheats_refused": t.refused.iter().map(|Refused(what, why)| json!({ "cheat": what, "why": why })).collect::<Vec<_>>(),
        "insecure_srs": true,
        "hiding": true,
    }));
    Ok(())
}
