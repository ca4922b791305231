//! Proofs of training and of its evaluation, paid by `TrainingMarket` on the embedded EVM: both keys registered, rows of data registered,
//! a task, two rounds by two contributors, the second from the first's head; and everything that a cheat would hand in instead.

use crate::training_world;

use assay_circuits::train::{Spec, reference};
use assay_contracts::economy::{Phase, RoundProof, abi::Economy::EconomyErrors as E};
use assay_contracts::{Error, U256};
use assay_prover::{ProveError, StackError, settle::SettleFailure};
use training_world::{ANNE, BEN, BOND, CURATOR, ETA, Key, PRICE, RATE, SPONSOR, World, spec};

fn invalid(what: &str, e: &Error) {
    assert!(e.to_string().contains("InvalidProof"), "{what}: {e}");
}

/// The rows behind the last tensor of the witness are at infinity, and no others are: which they are follows from the graph.
#[test]
fn rows_at_infinity_say_what_the_graph_says() {
    let mut w = World::new();
    let id = w.open();
    let (run, evaluation) = w.evaluated(id, ANNE, 0);
    let mut empty = 0;
    for (key, proof) in [(&w.train, &run.proof), (&w.evaluate, &evaluation.proof)] {
        let rows = key.empty_rows(proof);
        assert!(rows.iter().all(|(at_infinity, by_graph)| at_infinity == by_graph), "{rows:?}");
        empty += rows.iter().filter(|(_, by_graph)| *by_graph).count();
    }
    assert!(empty > 0, "a test of nothing");
}

#[test]
fn two_contributors_are_paid_for_proven_gains() {
    let mut w = World::new();
    let market = w.at.training();
    let id = w.open();
    for (who, data) in [(ANNE, 0), (BEN, 1)] {
        let before = market.task(&mut w.chain, id).unwrap().ids.head;
        assert_eq!(before.0, w.head.id().unwrap(), "the next round starts from the last one's weights");
        w.lease(id, who, data).unwrap();
        let run = w.train(id);
        // What is proven is what the plain trainer computes.
        let end =
            reference::train(&run.spec, w.head.values().to_vec(), &w.data[data].values()[0], &w.data[data].values()[1]);
        let end = end.unwrap();
        assert_eq!((run.trained.values(), &run.losses), (end.weights.as_slice(), &end.losses));
        let (paid, gas) = w.submit(id, &run).unwrap();
        println!("submitTrain: {gas} gas, {} bytes", run.proof.argument.len());
        assert_eq!(paid, PRICE - PRICE / 50);
        let shard = w.reveal(id);
        let evaluation = w.evaluate(id, &run.trained, shard);
        let holdout = w.shards[shard].values();
        let losses = [w.head.values(), run.trained.values()]
            .map(|weights| reference::evaluate(&run.spec, weights, &holdout[0], &holdout[1]).unwrap() as u64);
        assert_eq!([evaluation.losses.0, evaluation.losses.1], losses);
        assert!(losses[0] > losses[1] + ETA, "nothing was learned: {losses:?}");
        let steps = ((losses[0] - losses[1]) / ETA).min(30);
        let (gain, gas) = w.settle(id, &evaluation).unwrap();
        println!("settleEval: {gas} gas, {} bytes; losses {losses:?}", evaluation.proof.argument.len());
        assert_eq!(gain, u128::from(steps) * RATE);
        let owed = market.ledger().claimable(&mut w.chain, who).unwrap();
        assert_eq!(owed, U256::from(PRICE - PRICE / 50 + gain - gain / 50 + BOND));
        // A second settle, and a second submission.
        let e = w.settle(id, &evaluation).unwrap_err();
        assert!(matches!(e.economy(), Some(E::WrongPhase(_))), "{e}");
        let e = w.submit(id, &run).unwrap_err();
        assert!(matches!(e.economy(), Some(E::WrongPhase(_))), "{e}");
        w.head = run.trained;
    }
    let task = market.task(&mut w.chain, id).unwrap();
    assert_eq!((task.ids.head.0, task.heads, task.used), (w.head.id().unwrap(), 2, 2));
    for who in [ANNE, BEN] {
        let before = w.at.token().balance(&mut w.chain, who).unwrap();
        let (got, _) = market.ledger().withdraw(&mut w.chain, who).unwrap();
        assert_eq!(w.at.token().balance(&mut w.chain, who).unwrap(), before + got);
    }
    // The sponsor takes what is left.
    w.chain.set_sender(SPONSOR);
    market.refund(&mut w.chain, id).unwrap();
}

/// Proofs of something else than the round asks for: each is a valid proof, and none is paid.
#[test]
fn other_runs_are_not_paid() {
    let mut w = World::new();
    let market = w.at.training();
    let id = w.open();
    w.lease(id, ANNE, 0).unwrap();
    let honest = w.train(id);
    let context = w.context(id, RoundProof::Training);
    let refused = |w: &mut World, what: &str, run: &training_world::Run| {
        let e = w.submit(id, run).unwrap_err();
        invalid(what, &e);
        assert_eq!(market.task(&mut w.chain, id).unwrap().phase, Phase::Seeded, "{what}");
    };
    // Weights' stack swapped: from other weights, and from the same weights under other blinding factors.
    let key = w.train.clone();
    let other = w.weights(99);
    let run = w.run(&key, &honest.spec, &other, &w.data[0], &context);
    refused(&mut w, "other weights", &run);
    let again = w.commit(w.head.schema(), w.head.values().to_vec());
    let run = w.run(&key, &honest.spec, &again, &w.data[0], &context);
    assert_eq!(run.trained.values(), honest.trained.values());
    refused(&mut w, "the same weights, committed to anew", &run);
    let run = w.run(&key, &honest.spec, &w.head, &w.data[1], &context);
    refused(&mut w, "another data set", &run);
    let other = Spec { seed: [9; 32], ..honest.spec.clone() };
    assert_ne!(other.sampler(), honest.spec.sampler());
    let run = w.run(&key, &other, &w.head, &w.data[0], &context);
    refused(&mut w, "rows of another seed", &run);
    // Bound to something else.
    type Edit = fn(&mut assay_verifier::settle::key::Context);
    let edits: [(&str, Edit); 4] = [
        ("another payout", |c| c.recipient = BEN.into_array()),
        ("another chain", |c| c.chain_id += 1),
        ("another task", |c| c.job[31] ^= 1),
        ("another contract", |c| c.consumer[0] ^= 1),
    ];
    for (what, edit) in edits {
        let mut bound = context.clone();
        edit(&mut bound);
        let run = w.run(&key, &honest.spec, &w.head, &w.data[0], &bound);
        refused(&mut w, what, &run);
    }
    // Other results under the honest proof.
    let mut run = honest.clone();
    run.trained = other_weights(&mut w);
    refused(&mut w, "other trained weights", &run);
    let mut run = honest.clone();
    run.losses[0] += 1;
    refused(&mut w, "another loss", &run);
    // Other keys: a step less, another learning rate.
    for (what, other) in [
        ("a step less", Spec { steps: honest.spec.steps - 1, ..honest.spec.clone() }),
        ("another learning rate", Spec { rate_bits: honest.spec.rate_bits - 1, ..honest.spec.clone() }),
    ] {
        let key = Key::training(&other);
        assert_ne!(key.id(), w.train.id(), "{what}");
        let mut run = w.run(&key, &other, &w.head, &w.data[0], &context);
        if run.losses.len() < honest.losses.len() {
            let e = w.submit(id, &run).unwrap_err();
            assert!(matches!(e.economy(), Some(E::WrongLosses(_))), "{e}");
            run.losses.push(*run.losses.last().unwrap());
        }
        refused(&mut w, what, &run);
    }
    // A data set of another size is no stack of this key.
    let large = Spec { rows: honest.spec.rows + 1, ..honest.spec.clone() };
    let large = w.examples(&large, large.rows, 5);
    let e = w.try_run(&key, &honest.spec, &w.head, &large, &context).unwrap_err();
    assert!(matches!(e, SettleFailure::Prove(ProveError::Stack(StackError::OtherSchema { .. }))), "{e}");
    // The honest one is paid after all of them, to its payout address whoever sends it.
    w.submit(id, &honest).unwrap();

    // Evaluation before the reveal, of another shard, of other weights, and with other losses.
    let bound = w.context_of(id, RoundProof::Evaluation, ANNE);
    let early = w.evaluate_with(&honest.trained, 0, &bound);
    let e = w.settle(id, &early).unwrap_err();
    assert!(matches!(e.economy(), Some(E::WrongPhase(_))), "{e}");
    let shard = w.reveal(id);
    let context = w.context(id, RoundProof::Evaluation);
    let honest_evaluation = w.evaluate_with(&honest.trained, shard, &context);
    let settle = |w: &mut World, what: &str, e: &training_world::Evaluated| {
        invalid(what, &w.settle(id, e).unwrap_err());
        assert_eq!(market.task(&mut w.chain, id).unwrap().phase, Phase::Revealed, "{what}");
    };
    let other = w.evaluate_with(&honest.trained, 1 - shard, &context);
    settle(&mut w, "another shard", &other);
    let better = other_weights(&mut w);
    let other = w.evaluate_with(&better, shard, &context);
    settle(&mut w, "other trained weights", &other);
    let bound = w.context_of(id, RoundProof::Evaluation, BEN);
    let other = w.evaluate_with(&honest.trained, shard, &bound);
    settle(&mut w, "another payout", &other);
    let mut other = honest_evaluation.clone();
    other.losses.1 = 0;
    settle(&mut w, "no loss", &other);
    let mut other = honest_evaluation.clone();
    other.proof = honest.proof.clone();
    settle(&mut w, "a proof of training", &other);
    w.settle(id, &honest_evaluation).unwrap();
}

fn other_weights(w: &mut World) -> assay_prover::Stack {
    w.weights(77)
}

#[test]
fn shards_serve_once_and_ended_verifiers_never() {
    let mut w = World::new();
    let market = w.at.training();
    // The second shard is the first again.
    w.shards[1] = w.shards[0].clone();
    let id = w.open();
    let (run, evaluation) = w.evaluated(id, ANNE, 0);
    w.settle(id, &evaluation).unwrap();
    w.head = run.trained;
    w.lease(id, BEN, 1).unwrap();
    let run = w.train(id);
    w.submit(id, &run).unwrap();
    let e = w.try_reveal(id).unwrap_err();
    assert!(matches!(e.economy(), Some(E::ShardUsed(_))), "{e}");
    // The round ends without a reveal, and the next one meets a tombstone.
    w.chain.advance(2 * 7_200);
    market.finish(&mut w.chain, id).unwrap();

    let mut w = World::new();
    let id = w.open();
    w.lease(id, ANNE, 0).unwrap();
    let run = w.train(id);
    w.chain.set_sender(CURATOR);
    w.at.registry().tombstone(&mut w.chain, w.evaluate_entry).unwrap();
    let e = w.submit(id, &run).unwrap_err();
    assert!(matches!(e.economy(), Some(E::VerifierEnded(_))), "{e}");
}

/// One key serves all seeds and all data of one size; it is the same whoever makes it.
#[test]
fn keys_depend_on_nothing_but_the_specification() {
    let one = Key::training(&spec());
    let other = Key::training(&Spec { seed: [200; 32], ..spec() });
    assert_eq!(one.id(), other.id());
}
