//! A chain with the whole system, keys of training and evaluation, data sets, held-out shards and weights, for tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use ark_ec::AffineRepr;
use assay_circuits::{
    Tensor, Visibility, canonical,
    model::Model,
    program::WITNESS,
    stack::{NamedStack, Schema},
    train::{Layer, Loss, Network, Spec, data_schema, weights_schema},
};
use assay_contracts::{
    Address, B256, Chain, Embedded, Error, U256, Verifier,
    economy::{
        DatasetTerms, Deployment, NewEntry, NumberedTree, Parameters, RoundProof, Shard, TaskSpec, amount, deploy, time,
    },
    keccak256,
};
use assay_prover::{
    Blinding, Recorder, Stack,
    device::Cpu,
    settle::{
        Optimize, SettleFailure, SettledStack, SettlementOptions, SettlementProver, settle_linked, setup_settlement,
    },
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::{
    curve::{g1_to_bytes, g2_to_bytes},
    settle::{
        argument::SettledArgument,
        key::{Context, SettledProof},
    },
};
use std::sync::{Arc, OnceLock};

pub const CURATOR: Address = Embedded::ACCOUNTS[0];
pub const SPONSOR: Address = Embedded::ACCOUNTS[1];
pub const ANNE: Address = Embedded::ACCOUNTS[2];
pub const BEN: Address = Embedded::ACCOUNTS[3];
pub const OWNER: Address = Embedded::ACCOUNTS[4];
pub const TOKEN: u128 = 1_000_000_000_000_000_000;
pub const BOND: u128 = TOKEN;
pub const PRICE: u128 = 10 * TOKEN;
pub const RATE: u128 = 2 * TOKEN;
/// A step of the gain, in the loss's unit.
pub const ETA: u64 = 100_000;
/// log2 of the row length of all stacks.
pub const ROW_BITS: u8 = 16;
/// Rows of a shard.
pub const HELD_OUT: usize = 16;

pub fn srs() -> &'static Srs {
    static SRS: OnceLock<Srs> = OnceLock::new();
    SRS.get_or_init(|| Srs::development(18, DEVELOPMENT_SEED).unwrap())
}

/// Three classes of points of four values.
pub fn spec() -> Spec {
    let dense = |inputs, outputs| Layer::Dense { inputs, outputs };
    let network = Network { input: vec![4], layers: vec![dense(4, 6), Layer::Relu, dense(6, 3)] };
    let (steps, batch_bits, rate_bits, rows) = (6, 3, 2, 20);
    Spec { network, loss: Loss::CrossEntropy, steps, batch_bits, rate_bits, momentum_bits: None, rows, seed: [0; 32] }
}

/// A settlement key, which is costly to make, and that it is made once for a specification.
#[derive(Clone)]
pub struct Key(Arc<SettlementProver>);

impl Key {
    fn new(model: &Model, stacks: Vec<NamedStack>) -> Self {
        let options = SettlementOptions {
            visibility: Visibility { inputs: true, weights: false, outputs: true },
            batch: 1,
            row_bits: None,
            optimize: Optimize::Gas,
            stacks: stacks.into_iter().map(|named| SettledStack { named, pinned: None }).collect(),
            secret: [7; 32],
        };
        Self(Arc::new(setup_settlement(&Cpu::default(), model, srs(), &options, &Recorder::default()).unwrap()))
    }

    pub fn training(spec: &Spec) -> Self {
        let training = spec.training().unwrap();
        Self::new(&training.blank().unwrap(), training.stacks(ROW_BITS).unwrap())
    }

    pub fn evaluation(spec: &Spec, rows: usize) -> Self {
        let evaluation = spec.evaluation(rows).unwrap();
        Self::new(&evaluation.blank().unwrap(), evaluation.stacks(ROW_BITS).unwrap())
    }

    pub fn id(&self) -> [u8; 32] {
        self.0.key.id()
    }

    /// For each row of a proof's witness whether it is at infinity, and whether by the graph nothing is laid out in it.
    pub fn empty_rows(&self, proof: &SettledProof) -> Vec<(bool, bool)> {
        let d = &self.0.key.descriptor;
        let filled = self.0.key.program().unwrap().stack_filled(WITNESS).div_ceil(1 << d.row_bits);
        let rows = SettledArgument::from_bytes(d, &proof.argument).unwrap().rows;
        rows.iter().enumerate().map(|(i, row)| (row.is_zero(), i >= filled)).collect()
    }

    fn entry(&self, chain: &mut Embedded, at: &Deployment, salt: &str) -> B256 {
        let verifier = Verifier::at(chain, at.contracts.verifier).unwrap();
        let descriptor = self.0.key.descriptor.to_bytes();
        let registered = verifier.register(chain, &descriptor).unwrap();
        assert_eq!(registered.model_id.0, self.id());
        let entry = NewEntry {
            verifier: at.contracts.verifier,
            settlement_id: registered.model_id,
            model_id: keccak256(salt),
            batch: 1,
            work_units: u64::try_from(self.0.key.graph.multiply_adds()).unwrap(),
        };
        at.registry().add(chain, &entry).unwrap().0
    }
}

fn keys() -> &'static [Key; 2] {
    static KEYS: OnceLock<[Key; 2]> = OnceLock::new();
    KEYS.get_or_init(|| [Key::training(&spec()), Key::evaluation(&spec(), HELD_OUT)])
}

/// A training that was run and proven.
#[derive(Clone, Debug)]
pub struct Run {
    pub spec: Spec,
    pub trained: Stack,
    pub losses: Vec<i64>,
    pub proof: SettledProof,
}

/// An evaluation that was proven.
#[derive(Clone, Debug)]
pub struct Evaluated {
    pub losses: (u64, u64),
    pub proof: SettledProof,
}

pub struct World {
    pub chain: Embedded,
    pub at: Deployment,
    pub train: Key,
    pub evaluate: Key,
    pub train_entry: B256,
    pub evaluate_entry: B256,
    pub head: Stack,
    pub data: [Stack; 2],
    datasets: [B256; 2],
    pub shards: [Stack; 2],
}

/// Pseudo-random numbers.
fn noise(seed: u64) -> impl FnMut(i64) -> i64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    move |size| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as i64).rem_euclid(2 * size + 1) - size
    }
}

fn commit_stack(schema: &Schema, values: Vec<Tensor>) -> Stack {
    Stack::commit(&Cpu::default(), schema, values, srs(), Blinding::Random).unwrap()
}

fn examples(spec: &Spec, rows: usize, seed: u64) -> Stack {
    let mut rng = noise(seed);
    let (mut data, mut targets) = (vec![], vec![]);
    for row in 0..rows {
        let class = row % 3;
        data.extend((0..4).map(|k| if k == class { 512 } else { 0 } + rng(150)));
        targets.extend((0..3).map(|k| if k == class { 256 } else { 0 }));
    }
    let values = vec![Tensor::new(vec![rows, 4], data).unwrap(), Tensor::new(vec![rows, 3], targets).unwrap()];
    commit_stack(&data_schema(spec, rows, ROW_BITS).unwrap(), values)
}

fn weights(seed: u64) -> Stack {
    let spec = spec();
    let mut rng = noise(seed);
    let values = spec.network.weights().into_iter().map(|shape| {
        let n = shape.iter().product();
        Tensor::new(shape, (0..n).map(|_| rng(1_500)).collect()).unwrap()
    });
    commit_stack(&weights_schema(&spec, ROW_BITS).unwrap(), values.collect())
}

impl World {
    pub fn new() -> Self {
        let mut chain = Embedded::new();
        let at = deploy(&mut chain, &Parameters::development(CURATOR), None, false, &mut |_| {}).unwrap().deployment;
        let [train, evaluate] = keys().clone();
        let train_entry = train.entry(&mut chain, &at, "train");
        let evaluate_entry = evaluate.entry(&mut chain, &at, "evaluate");
        for account in [SPONSOR, ANNE, BEN] {
            chain.set_sender(CURATOR);
            at.token().transfer(&mut chain, account, amount::whole(10_000)).unwrap();
            chain.set_sender(account);
            at.token().approve(&mut chain, at.contracts.training, U256::MAX).unwrap();
        }
        let spec = spec();
        let data = [1, 2].map(|seed| examples(&spec, spec.rows, seed));
        chain.set_sender(OWNER);
        let terms = DatasetTerms { licenceHash: keccak256("licence"), royaltyBps: 0, recipient: Address::ZERO };
        let datasets = [0, 1].map(|k: usize| {
            let stack = &data[k];
            let schema = canonical::to_bytes(stack.schema()).unwrap();
            let points: Vec<u8> = stack.rows().iter().flat_map(g1_to_bytes).collect();
            let srs_hash = keccak256(g2_to_bytes(&srs().tau_g2));
            at.datasets().register(&mut chain, (&schema, srs_hash, &points), &terms, "").unwrap().0
        });
        let shards = [3, 4].map(|seed| examples(&spec, HELD_OUT, seed));
        Self { chain, at, train, evaluate, train_entry, evaluate_entry, head: weights(0), data, datasets, shards }
    }

    pub fn examples(&self, spec: &Spec, rows: usize, seed: u64) -> Stack {
        examples(spec, rows, seed)
    }

    pub fn weights(&self, seed: u64) -> Stack {
        weights(seed)
    }

    pub fn commit(&self, schema: &Schema, values: Vec<Tensor>) -> Stack {
        commit_stack(schema, values)
    }

    fn sealed(&self) -> (Vec<Shard>, NumberedTree) {
        let shard = |(index, stack): (usize, &Stack)| Shard {
            index: index as u64,
            stack_id: stack.id().unwrap().into(),
            salt: keccak256(format!("salt {index}")),
        };
        let all: Vec<Shard> = self.shards.iter().enumerate().map(shard).collect();
        let tree = NumberedTree::new(all.iter().map(Shard::leaf).collect()).unwrap();
        (all, tree)
    }

    pub fn open(&mut self) -> u64 {
        let now = self.chain.head().unwrap().timestamp;
        let spec = TaskSpec {
            trainId: self.train_entry,
            evaluateId: self.evaluate_entry,
            head: self.head.id().unwrap().into(),
            holdout: self.sealed().1.root(),
            shards: 2,
            datasets: B256::ZERO,
            eta: ETA,
            maxSteps: 30,
            ratePerStep: RATE,
            minPrice: PRICE,
            maxPrice: PRICE,
            rampStart: time(now),
            rampEnd: time(now),
            deadline: time(now + 10 * 86_400),
            leaseSeconds: 3_600,
            bond: BOND,
            revealSeconds: 7_200,
            evaluateSeconds: 10_800,
            escrow: 1_000 * TOKEN,
        };
        self.chain.set_sender(SPONSOR);
        self.at.training().open(&mut self.chain, &spec, "").unwrap().0
    }

    /// Leases on a data set, and fixes the seed.
    pub fn lease(&mut self, id: u64, who: Address, data: usize) -> Result<(), Error> {
        self.chain.set_sender(who);
        let market = self.at.training();
        let head = self.head.id().unwrap().into();
        let (leased, _) = market.lease(&mut self.chain, id, head, (self.datasets[data], &[]), who, BOND, 60)?;
        while self.chain.head().unwrap().number < leased.pinned {
            self.at.token().transfer(&mut self.chain, OWNER, U256::ZERO).unwrap();
        }
        market.pin_seed(&mut self.chain, id).map(drop)
    }

    pub fn context(&mut self, id: u64, proof: RoundProof) -> Context {
        let payout = self.at.training().round(&mut self.chain, id).unwrap().payout;
        let context = self.context_of(id, proof, payout);
        assert_eq!(self.at.training().context(&mut self.chain, id).unwrap().0, context.digest());
        context
    }

    pub fn context_of(&mut self, id: u64, proof: RoundProof, payout: Address) -> Context {
        let task = self.at.training().task(&mut self.chain, id).unwrap();
        Context {
            chain_id: 31_337,
            consumer: self.at.training().address().into_array(),
            job: proof.job(id, &task).0,
            recipient: payout.into_array(),
        }
    }

    /// What the round of a task asks for.
    pub fn train(&mut self, id: u64) -> Run {
        let round = self.at.training().round(&mut self.chain, id).unwrap();
        let data = self.data.iter().find(|d| d.id().unwrap() == round.dataset.0).unwrap().clone();
        let spec = Spec { seed: round.seed.0, ..spec() };
        let sampler = spec.sampler();
        let walk = self.at.training().walk(&mut self.chain, id).unwrap();
        assert_eq!(walk, (sampler.factor, sampler.start));
        let context = self.context(id, RoundProof::Training);
        self.run(&self.train, &spec, &self.head, &data, &context)
    }

    pub fn run(&self, key: &Key, spec: &Spec, head: &Stack, data: &Stack, context: &Context) -> Run {
        self.try_run(key, spec, head, data, context).unwrap()
    }

    pub fn try_run(
        &self,
        key: &Key,
        spec: &Spec,
        head: &Stack,
        data: &Stack,
        context: &Context,
    ) -> Result<Run, SettleFailure> {
        let stacks = vec![Some(head.clone()), None, Some(data.clone())];
        let walk = vec![vec![spec.sampler().tensor()]];
        let made = settle_linked(&Cpu::default(), &key.0, &walk, stacks, context.clone(), &Recorder::default())?;
        let shown = key.0.key.verify(&made.proof).unwrap();
        assert_eq!(shown.tensors.len(), 2);
        let ids = [head, &made.stacks[1], data].map(|s| s.id().unwrap());
        assert_eq!(shown.stacks, ids);
        let losses = shown.tensors[1].data.clone();
        Ok(Run { spec: spec.clone(), trained: made.stacks[1].clone(), losses, proof: made.proof })
    }

    /// A round up to its evaluation, which is not settled yet.
    pub fn evaluated(&mut self, id: u64, who: Address, data: usize) -> (Run, Evaluated) {
        self.lease(id, who, data).unwrap();
        let run = self.train(id);
        self.submit(id, &run).unwrap();
        let shard = self.reveal(id);
        let evaluation = self.evaluate(id, &run.trained, shard);
        (run, evaluation)
    }

    /// What is paid, and the gas.
    pub fn submit(&mut self, id: u64, run: &Run) -> Result<(u128, u64), Error> {
        self.chain.set_sender(OWNER);
        let losses: Vec<u8> = run.losses.iter().flat_map(|l| l.to_be_bytes()).collect();
        let trained = run.trained.id().unwrap().into();
        let market = self.at.training();
        let (e, done) = market.submit(&mut self.chain, id, trained, &losses, &run.proof.argument, "")?;
        Ok((e.toWorker, done.gas_used))
    }

    pub fn try_reveal(&mut self, id: u64) -> Result<usize, Error> {
        let (all, tree) = self.sealed();
        let market = self.at.training();
        let index = market.round(&mut self.chain, id)?.shard as usize;
        self.chain.set_sender(SPONSOR);
        market.reveal(&mut self.chain, id, &all[index], &tree.path(index).unwrap(), "")?;
        Ok(index)
    }

    pub fn reveal(&mut self, id: u64) -> usize {
        self.try_reveal(id).unwrap()
    }

    pub fn evaluate(&mut self, id: u64, trained: &Stack, shard: usize) -> Evaluated {
        let context = self.context(id, RoundProof::Evaluation);
        self.evaluate_with(trained, shard, &context)
    }

    pub fn evaluate_with(&self, trained: &Stack, shard: usize, context: &Context) -> Evaluated {
        let stacks = vec![Some(self.head.clone()), Some(trained.clone()), Some(self.shards[shard].clone())];
        let key = &self.evaluate.0;
        let made =
            settle_linked(&Cpu::default(), key, &[vec![]], stacks, context.clone(), &Recorder::default()).unwrap();
        let shown = key.key.verify(&made.proof).unwrap();
        assert_eq!(shown.tensors.len(), 1);
        let loss = |k: usize| u64::try_from(shown.tensors[0].data[k]).unwrap();
        Evaluated { losses: (loss(0), loss(1)), proof: made.proof }
    }

    /// The gain, and the gas.
    pub fn settle(&mut self, id: u64, e: &Evaluated) -> Result<(u128, u64), Error> {
        self.chain.set_sender(OWNER);
        let market = self.at.training();
        let (settled, done) = market.settle(&mut self.chain, id, e.losses, &e.proof.argument)?;
        Ok((settled.gain, done.gas_used))
    }
}
