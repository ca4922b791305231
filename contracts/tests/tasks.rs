//! Datasets and training on the embedded EVM, with a stand-in for the verifier of proofs: the whole of a round, and the ways that lead
//! elsewhere.

#[path = "support/stand_in.rs"]
mod stand_in;

use ark_ec::AffineRepr;
use assay_circuits::{
    canonical,
    stack::{Schema, SchemaTensor},
    train::Sampler,
};
use assay_contracts::{
    Address, B256, Chain, Embedded, Error, U256,
    economy::{
        DatasetTerms, Deployment, NumberedTree, Parameters, Phase, RoundEnd, RoundProof, Shard, TaskEvent, TaskSpec,
        TaskStatus, Tree, abi::Economy::EconomyErrors as E, amount, dataset_id, dataset_leaf, deploy, time,
    },
    keccak256,
};
use assay_verifier::{
    Fr, G1Affine, G2Affine,
    curve::{g1_to_bytes, g2_to_bytes},
    stack::stack_id,
};
use stand_in::StandIn;

const CURATOR: Address = Embedded::ACCOUNTS[0];
const SPONSOR: Address = Embedded::ACCOUNTS[1];
const ANNE: Address = Embedded::ACCOUNTS[2];
const BEN: Address = Embedded::ACCOUNTS[3];
const OWNER: Address = Embedded::ACCOUNTS[4];
const TOKEN: u128 = 1_000_000_000_000_000_000;
const BOND: u128 = TOKEN;
const LEASE: u64 = 3_600;
const SHARDS: u64 = 5;
const EXAMPLES: usize = 1_797;

fn head() -> B256 {
    keccak256("weights")
}

/// The held-out data of every task here.
fn shards() -> (Vec<Shard>, NumberedTree) {
    let all: Vec<Shard> = (0..SHARDS)
        .map(|index| Shard {
            index,
            stack_id: keccak256(format!("shard {index}")),
            salt: keccak256(format!("salt {index}")),
        })
        .collect();
    let tree = NumberedTree::new(all.iter().map(Shard::leaf).collect()).expect("leaves");
    (all, tree)
}

struct World {
    chain: Embedded,
    at: Deployment,
    train: StandIn,
    evaluate: StandIn,
    dataset: B256,
}

/// A dataset's schema, and commitments to its rows: which do not matter, as nobody opens them.
fn data(name: &str, examples: usize) -> (Schema, Vec<G1Affine>) {
    let tensor =
        |name: &str, width: usize, bits| SchemaTensor { name: name.to_owned(), shape: vec![examples, width], bits };
    let schema = Schema::new(10, vec![tensor(name, 64, 9), tensor("y", 10, 2)]).expect("a schema");
    let rows = (1..=schema.rows()).map(|i| (G1Affine::generator() * Fr::from(i as u64)).into()).collect();
    (schema, rows)
}

fn terms(royalty: u16) -> DatasetTerms {
    let recipient = if royalty == 0 { Address::ZERO } else { OWNER };
    DatasetTerms { licenceHash: keccak256("licence"), royaltyBps: royalty, recipient }
}

impl World {
    fn new() -> Self {
        let mut chain = Embedded::new();
        let deployed = deploy(&mut chain, &Parameters::development(CURATOR), None, false, &mut |_| {});
        let at = deployed.expect("a deployment").deployment;
        let train = StandIn::new(&mut chain, &at, (14, 3), 40_000_000, 1);
        let evaluate = StandIn::new(&mut chain, &at, (12, 2), 3_000_000, 2);
        for account in [SPONSOR, ANNE, BEN] {
            at.token().transfer(&mut chain, account, amount::whole(10_000)).expect("tokens");
        }
        let mut w = Self { chain, at, train, evaluate, dataset: B256::ZERO };
        for account in [SPONSOR, ANNE, BEN] {
            w.chain.set_sender(account);
            w.at.token().approve(&mut w.chain, w.at.contracts.training, U256::MAX).expect("an approval");
        }
        w.dataset = w.register("x", EXAMPLES, 1_000).expect("a dataset");
        w
    }

    fn register(&mut self, name: &str, examples: usize, royalty: u16) -> Result<B256, Error> {
        let (schema, rows) = data(name, examples);
        let tau = G2Affine::generator();
        self.chain.set_sender(OWNER);
        let bytes = canonical::to_bytes(&schema).expect("bytes");
        let points: Vec<u8> = rows.iter().flat_map(g1_to_bytes).collect();
        let srs = keccak256(g2_to_bytes(&tau));
        let (id, _) =
            self.at.datasets().register(&mut self.chain, (&bytes, srs, &points), &terms(royalty), "ipfs://data")?;
        let stack = B256::from(stack_id(&schema, &tau, &rows).expect("an id"));
        assert_eq!(id, dataset_id(stack, OWNER, &terms(royalty)), "the prover's id, and the contract's");
        Ok(id)
    }

    fn spec(&mut self) -> TaskSpec {
        let now = self.chain.head().expect("a block").timestamp;
        TaskSpec {
            trainId: self.train.verifier_id,
            evaluateId: self.evaluate.verifier_id,
            head: head(),
            holdout: shards().1.root(),
            shards: u32::try_from(SHARDS).expect("a number"),
            datasets: B256::ZERO,
            eta: 100,
            maxSteps: 30,
            ratePerStep: 2 * TOKEN,
            minPrice: 10 * TOKEN,
            maxPrice: 10 * TOKEN,
            rampStart: time(now),
            rampEnd: time(now),
            deadline: time(now + 10 * 86_400),
            leaseSeconds: u32::try_from(LEASE).expect("seconds"),
            bond: BOND,
            revealSeconds: 7_200,
            evaluateSeconds: 10_800,
            escrow: 1_000 * TOKEN,
        }
    }

    fn open(&mut self, spec: &TaskSpec) -> Result<u64, Error> {
        self.chain.set_sender(SPONSOR);
        self.at.training().open(&mut self.chain, spec, "https://task").map(|(id, _)| id)
    }

    fn lease(&mut self, id: u64, who: Address) -> Result<u64, Error> {
        self.chain.set_sender(who);
        let head = self.at.training().task(&mut self.chain, id)?.ids.head;
        let dataset = (self.dataset, &[][..]);
        let (leased, done) = self.at.training().lease(&mut self.chain, id, head, dataset, who, BOND, LEASE)?;
        println!("lease: {} gas", done.gas_used);
        Ok(leased.pinned)
    }

    /// Blocks until a seed can be fixed, and the seed.
    fn seed(&mut self, id: u64, pinned: u64) -> B256 {
        // Each transaction is a block.
        while self.chain.head().expect("a block").number < pinned {
            self.at.token().transfer(&mut self.chain, OWNER, U256::ZERO).expect("a block");
        }
        self.at.training().pin_seed(&mut self.chain, id).expect("a seed").0
    }

    fn values(&mut self, id: u64, trained: B256) -> Vec<u8> {
        let market = self.at.training();
        let (head, data) = (
            market.task(&mut self.chain, id).expect("it").ids.head,
            market.round(&mut self.chain, id).expect("it").dataset,
        );
        let (factor, start) = market.walk(&mut self.chain, id).expect("a walk");
        let ids = [head.0, trained.0, data.0].concat();
        [ids, [factor, start, 9, 7, 5].iter().flat_map(|v| v.to_be_bytes()).collect()].concat()
    }

    fn submit(&mut self, id: u64, trained: B256, values: &[u8]) -> Result<u128, Error> {
        let market = self.at.training();
        let context = market.context(&mut self.chain, id)?;
        let proof = self.train.proof(values, context);
        self.chain.set_sender(CURATOR);
        let (e, done) = market.submit(&mut self.chain, id, trained, &values[112..], &proof, "ipfs://weights")?;
        println!("submit: {} gas", done.gas_used);
        Ok(e.toWorker)
    }

    fn reveal(&mut self, id: u64) -> B256 {
        let market = self.at.training();
        let (all, tree) = shards();
        let index = market.round(&mut self.chain, id).expect("a round").shard as usize;
        self.chain.set_sender(SPONSOR);
        let path = tree.path(index).expect("a path");
        market.reveal(&mut self.chain, id, &all[index], &path, "").expect("a shard");
        all[index].stack_id
    }

    fn settle(&mut self, id: u64, losses: (u64, u64)) -> Result<u128, Error> {
        let market = self.at.training();
        let (task, round) = (market.task(&mut self.chain, id)?, market.round(&mut self.chain, id)?);
        let ids = [task.ids.head.0, round.trained.0, round.revealed.0].concat();
        let values = [ids, losses.0.to_be_bytes().to_vec(), losses.1.to_be_bytes().to_vec()].concat();
        let proof = self.evaluate.proof(&values, market.context(&mut self.chain, id)?);
        self.chain.set_sender(CURATOR);
        let (e, done) = market.settle(&mut self.chain, id, losses, &proof)?;
        println!("settle: {} gas", done.gas_used);
        Ok(e.gain)
    }

    /// A whole round.
    fn round(&mut self, id: u64, who: Address, trained: &str, losses: (u64, u64)) {
        let pinned = self.lease(id, who).expect("a lease");
        self.seed(id, pinned);
        let trained = keccak256(trained);
        let values = self.values(id, trained);
        self.submit(id, trained, &values).expect("a proof");
        self.reveal(id);
        self.settle(id, losses).expect("a gain");
    }

    fn claimable(&mut self, account: Address) -> U256 {
        self.at.training().ledger().claimable(&mut self.chain, account).expect("an amount")
    }
}

#[test]
fn a_task_from_the_first_head_to_the_last_token() {
    let mut w = World::new();
    let market = w.at.training();
    let spec = w.spec();
    let id = w.open(&spec).expect("a task");
    assert_eq!((id, market.tasks(&mut w.chain)), (1, Ok(1)));
    w.round(id, ANNE, "first", (5_000, 4_250));
    let task = market.task(&mut w.chain, id).expect("it");
    assert_eq!((task.ids.head, task.heads, task.used, task.phase), (keccak256("first"), 1, 1, Phase::None));
    // Ten tokens of price and seven steps of two, less royalty of 10 % and 2 % for the treasury, and the bond.
    let (price, gain) = (10 * TOKEN, 14 * TOKEN);
    let part = |amount: u128| amount - amount / 10 - amount / 50;
    assert_eq!(w.claimable(ANNE), U256::from(part(price) + part(gain) + BOND));
    assert_eq!(w.claimable(OWNER), U256::from((price + gain) / 10));
    // The second goes on from the first's head.
    w.round(id, BEN, "second", (4_300, 4_199));
    assert_eq!(w.claimable(BEN), U256::from(part(price) + part(2 * TOKEN) + BOND));
    w.round(id, BEN, "worse", (4_199, 4_300));
    let task = market.task(&mut w.chain, id).expect("it");
    assert_eq!((task.ids.head, task.heads, task.rounds), (keccak256("second"), 2, 3));

    let head = w.chain.head().expect("a block").number;
    let history = market.history(&mut w.chain, id, w.at.block, head).expect("events");
    let gains: Vec<u128> =
        history.iter().filter_map(|(_, e)| if let TaskEvent::Evaluated(e) = e { Some(e.gain) } else { None }).collect();
    assert_eq!((gains, history.len()), (vec![gain, 2 * TOKEN, 0], 1 + 5 * 3));

    w.chain.set_sender(SPONSOR);
    let (left, _) = market.refund(&mut w.chain, id).expect("the rest");
    let fees = task.trainFee.to::<u128>() + task.evaluateFee.to::<u128>();
    assert_eq!(left, U256::from(1_000 * TOKEN - 3 * price - gain - 2 * TOKEN - 3 * fees));
    for account in [SPONSOR, ANNE, BEN, OWNER, w.at.contracts.timelock] {
        assert!(market.ledger().withdraw(&mut w.chain, account).expect("tokens").0 > U256::ZERO, "{account}");
    }
    let unburned = market.ledger().unburned(&mut w.chain).expect("an amount");
    assert_eq!(unburned, U256::from(3 * fees));
    assert_eq!(w.at.token().balance(&mut w.chain, market.address()), Ok(unburned), "nothing is stuck");
    assert_eq!(market.task(&mut w.chain, id).expect("it").status, TaskStatus::Closed);

    // Both markets' fees are burned before the emission mints for either.
    let epoch = u64::from(w.at.parameters.epoch_seconds);
    w.chain.advance(epoch);
    let emission = w.at.emission();
    let owed = emission.owed(&mut w.chain, ANNE, w.at.block).expect("epochs");
    let (minted, _) = emission.claim(&mut w.chain, ANNE, &owed).expect("a rebate");
    let kappa = u128::from(w.at.parameters.kappa_bps);
    assert_eq!(minted, U256::from(fees * kappa / 10_000));
    assert_eq!(market.ledger().unburned(&mut w.chain), Ok(U256::ZERO));
}

#[test]
fn the_walk_is_the_samplers() {
    let mut w = World::new();
    let spec = w.spec();
    let id = w.open(&spec).expect("a task");
    let market = w.at.training();
    for turn in 0..8u64 {
        let pinned = w.lease(id, ANNE).expect("a lease");
        let seed = w.seed(id, pinned);
        let expected = Sampler::new(&seed.0, EXAMPLES as u64);
        assert_eq!(market.walk(&mut w.chain, id), Ok((expected.factor, expected.start)), "seed {turn}");
        w.chain.advance(LEASE);
        let (end, _) = market.finish(&mut w.chain, id).expect("an end");
        assert_eq!(end, RoundEnd::Lost { burned: BOND / 2, kept: BOND / 2 });
        // Another number of examples.
        w.dataset = w.register(&format!("x{turn}"), EXAMPLES, 0).expect("a dataset");
    }
}

#[test]
fn proofs_are_bound_as_the_client_says() {
    let mut w = World::new();
    let spec = w.spec();
    let id = w.open(&spec).expect("a task");
    let market = w.at.training();
    for trained in ["a", "b"] {
        let pinned = w.lease(id, BEN).expect("a lease");
        w.seed(id, pinned);
        for proof in [RoundProof::Training, RoundProof::Evaluation] {
            let task = market.task(&mut w.chain, id).expect("it");
            let context = assay_contracts::context(31_337, market.address(), proof.job(id, &task), BEN);
            assert_eq!(market.context(&mut w.chain, id), Ok(context.into()), "{proof:?}");
            assert_eq!(RoundProof::due(task.phase), Some(proof));
            if proof == RoundProof::Training {
                let trained = keccak256(trained);
                let values = w.values(id, trained);
                w.submit(id, trained, &values).expect("a proof");
                w.reveal(id);
            }
        }
        w.settle(id, (1_000, 0)).expect("a gain");
    }
}

/// What a cheat would change in the public values: nothing of it is accepted.
#[test]
fn other_statements_are_refused() {
    let mut w = World::new();
    let spec = w.spec();
    let id = w.open(&spec).expect("a task");
    let pinned = w.lease(id, ANNE).expect("a lease");
    w.seed(id, pinned);
    let trained = keccak256("trained");
    let values = w.values(id, trained);
    let refused = |e: Error| e.to_string().contains("InvalidProof");
    // Head, trained, dataset, factor, start; a proof of other values, and the right ones in the call.
    for at in [0, 32, 64, 96 + 7, 104 + 7] {
        let mut other = values.clone();
        other[at] ^= 1;
        let e = w.submit(id, trained, &other).expect_err("another statement");
        assert!(refused(e), "byte {at}");
    }
    let mut curve = values.clone();
    curve[119] ^= 1;
    let market = w.at.training();
    let context = market.context(&mut w.chain, id).expect("a context");
    let proof = w.train.proof(&values, context);
    let e = market.submit(&mut w.chain, id, trained, &curve[112..], &proof, "").expect_err("other losses");
    assert!(refused(e));
    let e = market.submit(&mut w.chain, id, trained, &values[120..], &proof, "").expect_err("a step less");
    assert!(matches!(e.economy(), Some(E::WrongLosses(_))), "{e}");
    w.submit(id, trained, &values).expect("as it was");
    let e = w.submit(id, trained, &values).expect_err("twice");
    assert!(matches!(e.economy(), Some(E::WrongPhase(_))), "{e}");
    w.reveal(id);
    w.settle(id, (1_000, 0)).expect("a gain");
    let e = w.settle(id, (1_000, 0)).expect_err("twice");
    assert!(e.economy().is_some(), "{e}");
}

#[test]
fn mistakes_have_words_for_tasks() {
    let mut w = World::new();
    let spec = w.spec();
    let words = |e: Error, words: &[&str]| {
        let text = e.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert!(!text.contains(" job"), "{text}");
    };
    words(w.open(&TaskSpec { eta: 0, ..spec.clone() }).expect_err("no step"), &["BadSpec(6)", "eta"]);
    words(w.open(&TaskSpec { bond: 1, ..spec.clone() }).expect_err("no bond"), &["BadSpec(15)", "bond"]);
    words(w.open(&TaskSpec { escrow: 1, ..spec.clone() }).expect_err("no escrow"), &["BadSpec(18)", "escrow"]);
    words(
        w.open(&TaskSpec { evaluateId: w.train.verifier_id, ..spec.clone() }).expect_err("another graph"),
        &["BadSpec(1)", "two losses"],
    );
    let market = w.at.training();
    words(market.task(&mut w.chain, 7).expect_err("none"), &["NotOpen(7)", "no such task"]);
    let id = w.open(&spec).expect("a task");
    words(market.pin_seed(&mut w.chain, id).expect_err("no lease"), &["WrongPhase", "no round"]);
    words(market.finish(&mut w.chain, id).expect_err("no round"), &["NotLive(1)"]);
    w.lease(id, ANNE).expect("a lease");
    words(w.lease(id, BEN).expect_err("leased"), &["RoundLive(1"]);
    words(market.finish(&mut w.chain, id).expect_err("it has time"), &["RoundLive(1"]);
    words(w.register("x", EXAMPLES, 1_000).expect_err("twice"), &["AlreadyRegistered"]);
    w.chain.set_sender(ANNE);
    let datasets = w.at.datasets();
    words(datasets.retire(&mut w.chain, w.dataset).expect_err("another's"), &["NotOwner", &OWNER.to_string()]);
    w.chain.set_sender(OWNER);
    datasets.retire(&mut w.chain, w.dataset).expect("retired");
    assert!(!datasets.get(&mut w.chain, w.dataset).expect("it").retired.is_zero());
    w.chain.advance(LEASE);
    words(w.lease(id, BEN).expect_err("retired"), &["DatasetRetired"]);
    assert!(matches!(
        market.lease(&mut w.chain, id, head(), (w.dataset, &[]), BEN, BOND, 8 * 86_400),
        Err(Error::LeaseTooLong { .. })
    ));
}

/// A task for certain datasets; a sponsor who keeps his shard; a worker who keeps his evaluation; a verifier that ends.
#[test]
fn other_ends() {
    let mut w = World::new();
    let market = w.at.training();
    let second = w.register("z", 64, 0).expect("a dataset");
    let tree = Tree::new(vec![dataset_leaf(w.dataset), dataset_leaf(second)]).expect("leaves");
    let spec = TaskSpec { datasets: tree.root(), ..w.spec() };
    let id = w.open(&spec).expect("a task");
    let e = w.lease(id, ANNE).expect_err("no path");
    assert!(matches!(e.economy(), Some(E::DatasetNotAllowed(_))), "{e}");
    let path = tree.path(0).expect("a path");
    w.chain.set_sender(ANNE);
    let dataset = (w.dataset, path.as_slice());
    let (leased, _) = market.lease(&mut w.chain, id, head(), dataset, ANNE, BOND, 0).expect("a lease");
    w.seed(id, leased.pinned);
    let trained = keccak256("trained");
    let values = w.values(id, trained);
    w.submit(id, trained, &values).expect("a proof");
    w.chain.advance(7_200);
    let (end, _) = market.finish(&mut w.chain, id).expect("an end");
    assert_eq!(end, RoundEnd::NotRevealed { gain: 60 * TOKEN });

    let spec = w.spec();
    let id = w.open(&spec).expect("a task");
    let pinned = w.lease(id, BEN).expect("a lease");
    w.seed(id, pinned);
    let values = w.values(id, trained);
    w.submit(id, trained, &values).expect("a proof");
    w.reveal(id);
    w.chain.advance(10_800);
    assert_eq!(market.finish(&mut w.chain, id).expect("an end").0, RoundEnd::NotEvaluated);

    w.lease(id, BEN).expect("a lease");
    w.chain.set_sender(CURATOR);
    w.at.registry().tombstone(&mut w.chain, w.evaluate.verifier_id).expect("ended");
    assert_eq!(market.finish(&mut w.chain, id).expect("an end").0, RoundEnd::Void);
    w.chain.set_sender(OWNER);
    market.refund(&mut w.chain, id).expect("anybody may");
}
