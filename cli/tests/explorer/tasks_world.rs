//! Datasets and tasks that a test makes up: a round of each outcome.

use super::{
    stub::{
        World, milli,
        sol::{IDatasetRegistry as Datasets, ILedger as Ledger, IVerifier},
        wide,
    },
    world::{FIRST_BLOCK, VERIFIER, add_verifier, base, hash, values, who},
};
use alloy_primitives::{
    Address, B256, Bytes, U256,
    aliases::{U24, U40},
};
use assay_contracts::economy::abi::TrainingMarket as Training;

/// The market for training and the registry of datasets of the made-up deployment.
pub(super) const AT: Address = super::world::TRAINING;
pub(super) const REGISTRY: Address = super::world::DATASETS;

fn u40(seconds: u64) -> U40 {
    U40::from(seconds)
}

fn small(amount: u128) -> alloy_primitives::aliases::U96 {
    alloy_primitives::aliases::U96::from(amount)
}

fn fee(amount: u128) -> alloy_primitives::aliases::U88 {
    alloy_primitives::aliases::U88::from(amount)
}

/// A dataset of 360 rows; what the registry says about it.
pub(super) fn add_dataset(w: &mut World, name: &str, royalty: u16, uri: &str) -> (B256, Datasets::Dataset) {
    let id = hash(name);
    let recipient = if royalty > 0 { who(70) } else { Address::ZERO };
    let dataset = Datasets::Dataset {
        owner: who(71),
        royaltyBps: royalty,
        since: u40(w.time - 9_000),
        retired: U40::ZERO,
        recipient,
        examples: 360,
        values: 26_640,
        stackId: hash(&format!("stack of {name}")),
        licenceHash: hash("licence"),
    };
    let terms = Datasets::Terms { licenceHash: dataset.licenceHash, royaltyBps: royalty, recipient };
    let event = Datasets::Registered {
        datasetId: id,
        stackId: dataset.stackId,
        owner: dataset.owner,
        terms,
        schema: Bytes::from_static(b"schema"),
        uri: uri.to_owned(),
    };
    w.event(REGISTRY, FIRST_BLOCK + 20, &event);
    w.result(REGISTRY, &Datasets::getCall { datasetId: id }, &dataset);
    w.result(REGISTRY, &Datasets::countCall {}, &U256::from(1));
    (id, dataset)
}

/// What a sponsor asks for in these tests, as it is stored: 10 tokens a round, 2 for each step of 100, at most 30 steps.
pub(super) fn task(w: &World, train: B256, evaluate: B256) -> Training::Task {
    Training::Task {
        status: Training::Status::Open,
        phase: Training::Phase::None,
        protocolBps: 200,
        heads: 0,
        rounds: 0,
        used: 0,
        trainFee: fee(milli(500)),
        restart: U40::ZERO,
        escrow: small(milli(84_000)),
        rescue: small(0),
        deadline: u40(w.time + 86_400 * 20),
        revealSeconds: U24::from(7_200),
        ratePerStep: small(milli(2_000)),
        maxSteps: 30,
        eta: 100,
        shards: 8,
        evaluateSeconds: 3_600,
        sponsor: who(72),
        evaluateFee: fee(milli(250)),
        bond: small(milli(1_000)),
        leaseSeconds: 86_400,
        ids: Training::Ids {
            head: hash("head 0"),
            trainId: train,
            evaluateId: evaluate,
            holdout: hash("holdout"),
            datasets: B256::ZERO,
        },
    }
}

pub(super) fn add_task(w: &mut World, id: u64, task: &Training::Task, uri: &str) {
    let spec = Training::Spec {
        trainId: task.ids.trainId,
        evaluateId: task.ids.evaluateId,
        head: hash("head 0"),
        holdout: task.ids.holdout,
        shards: task.shards,
        datasets: task.ids.datasets,
        eta: task.eta,
        maxSteps: task.maxSteps,
        ratePerStep: milli(2_000),
        minPrice: milli(10_000),
        maxPrice: milli(12_000),
        rampStart: U40::ZERO,
        rampEnd: U40::ZERO,
        deadline: task.deadline,
        leaseSeconds: task.leaseSeconds,
        bond: milli(1_000),
        revealSeconds: task.revealSeconds.to::<u32>(),
        evaluateSeconds: task.evaluateSeconds,
        escrow: milli(600_000),
    };
    let id = U256::from(id);
    let opened = Training::Opened { taskId: id, sponsor: task.sponsor, head: spec.head, spec, uri: uri.to_owned() };
    w.event(AT, FIRST_BLOCK + 30, &opened);
    set_task(w, id, task);
    w.result(AT, &Training::tasksCall {}, &id);
}

fn set_task(w: &mut World, id: U256, task: &Training::Task) {
    w.result(AT, &Training::taskCall { taskId: id }, task);
    w.result(AT, &Training::currentPriceCall { taskId: id }, &milli(10_500));
}

/// The lease of a round, its seed if it has one, and the proof of training.
pub(super) fn lease(w: &mut World, round: u32, worker: u8, head: &str, dataset: B256) {
    let leased = Training::RoundLeased {
        taskId: U256::from(1),
        round,
        payout: who(worker),
        head: hash(head),
        datasetId: dataset,
        price: milli(10_000),
        until: u40(w.time + 3_000),
        pinned: u40(FIRST_BLOCK + 42),
    };
    w.event(AT, FIRST_BLOCK + 40 + u64::from(round), &leased);
}

pub(super) fn train(w: &mut World, round: u32, worker: u8, shard: u32, losses: Bytes, uri: &str) {
    w.event(AT, FIRST_BLOCK + 45, &Training::Seeded { taskId: U256::from(1), round, seed: hash("seed") });
    let trained = Training::Trained {
        taskId: U256::from(1),
        round,
        payout: who(worker),
        trained: hash(&format!("head {round}")),
        shard,
        toWorker: milli(8_800),
        losses,
        uri: uri.to_owned(),
    };
    w.event(AT, FIRST_BLOCK + 50, &trained);
}

/// A task with a round of each outcome, one that was refunded, one that waits, and datasets.
pub(super) fn training() -> World {
    let mut w = World::new(12_500);
    base(&mut w, "ASSAY");
    w.result(VERIFIER, &IVerifier::acceptsDevelopmentSrsCall {}, &false);
    w.result(AT, &Ledger::unburnedCall {}, &wide(milli(3_250)));
    let (t, e) =
        (add_verifier(&mut w, "train", "train", 1, true), add_verifier(&mut w, "evaluate", "evaluate", 1, true));
    let (good, _) = add_dataset(&mut w, "digits", 1000, "https://data.example/digits");
    let (old, mut gone) = add_dataset(&mut w, "old", 0, "");
    gone.retired = u40(w.time - 4_000);
    w.result(REGISTRY, &Datasets::getCall { datasetId: old }, &gone);
    w.event(REGISTRY, FIRST_BLOCK + 25, &Datasets::Retired { datasetId: old });
    w.result(REGISTRY, &Datasets::countCall {}, &U256::from(2));
    let mut first = task(&w, t, e);
    add_task(&mut w, 1, &first, "https://tasks.example/1");
    let one = U256::from(1);
    // Gains two steps; loses its lease; the sponsor reveals nothing; gains nothing; waits for a shard.
    lease(&mut w, 1, 20, "head 0", good);
    train(&mut w, 1, 20, 0, values(&[900, 800, 700]), "ipfs://weights");
    let shard = Training::Revealed { taskId: one, round: 1, shard: 0, stackId: hash("shard 0"), uri: String::new() };
    w.event(AT, FIRST_BLOCK + 55, &shard);
    let evaluated = |round: u32, worker: u8, before: u64, later: u64, gain: u128, head: &str| Training::Evaluated {
        taskId: one,
        round,
        payout: who(worker),
        before,
        later,
        gain,
        head: hash(head),
    };
    w.event(AT, FIRST_BLOCK + 56, &evaluated(1, 20, 5_000, 4_750, milli(4_000), "head 1"));
    lease(&mut w, 2, 21, "head 1", old);
    let lost = Training::RoundLost { taskId: one, round: 2, payout: who(21), burned: milli(500), kept: milli(500) };
    w.event(AT, FIRST_BLOCK + 60, &lost);
    lease(&mut w, 3, 22, "head 1", good);
    train(&mut w, 3, 22, 1, values(&[700]), "");
    let held = Training::NotRevealed { taskId: one, round: 3, payout: who(22), gain: milli(60_000) };
    w.event(AT, FIRST_BLOCK + 61, &held);
    lease(&mut w, 4, 23, "head 1", good);
    train(&mut w, 4, 23, 2, values(&[700]), "");
    w.event(
        AT,
        FIRST_BLOCK + 62,
        &Training::Revealed { taskId: one, round: 4, shard: 2, stackId: hash("shard 2"), uri: String::new() },
    );
    w.event(AT, FIRST_BLOCK + 63, &evaluated(4, 23, 4_750, 4_700, 0, "head 1"));
    lease(&mut w, 5, 24, "head 1", good);
    train(&mut w, 5, 24, 3, values(&[650, 640]), "");
    (first.phase, first.heads, first.rounds, first.used) = (Training::Phase::Trained, 1, 5, 4);
    (first.ids.head, first.escrow) = (hash("head 1"), small(milli(421_000)));
    set_task(&mut w, one, &first);
    let round = Training::Round {
        payout: who(24),
        until: u40(w.time + 5_000),
        royaltyBps: 1000,
        shard: 3,
        recipient: who(70),
        price: small(milli(10_000)),
        reserved: small(milli(60_250)),
        bond: small(milli(1_000)),
        pinned: u40(FIRST_BLOCK + 42),
        examples: 360,
        dataset: hash("stack of digits"),
        seed: hash("seed"),
        trained: hash("head 5"),
        revealed: B256::ZERO,
    };
    w.result(AT, &Training::roundCall { taskId: one }, &round);
    let mut closed = task(&w, t, e);
    (closed.status, closed.escrow) = (Training::Status::Closed, small(0));
    add_task(&mut w, 2, &closed, "");
    let back = Training::TaskRefunded { taskId: U256::from(2), sponsor: who(72), amount: wide(milli(600_000)) };
    w.event(AT, FIRST_BLOCK + 70, &back);
    let mut expired = task(&w, t, e);
    expired.deadline = u40(w.time - 100);
    add_task(&mut w, 3, &expired, "");
    let open = task(&w, t, e);
    add_task(&mut w, 4, &open, "");
    w
}
