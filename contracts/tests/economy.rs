//! The token economy on the embedded EVM: from a job to new tokens, with one real proof, and the ways that lead elsewhere.

use assay_contracts::{
    Address, B256, Bytes, Call, Chain, Embedded, Error, Filter, Revert, U256,
    economy::{
        ADMIN, CURATOR, Deployment, GUARDIAN, Name, NewEntry, Parameters, Spec, Status, Terms,
        abi::{AccessManager, Economy::EconomyErrors as E},
        amount, context_job, deploy, input_commitment, offer_id, time,
    },
};
use std::{fs, path::Path};

const CURATOR_ACCOUNT: Address = Embedded::ACCOUNTS[0];
const OWNER: Address = Embedded::ACCOUNTS[1];
const REQUESTER: Address = Embedded::ACCOUNTS[2];
const WORKER: Address = Embedded::ACCOUNTS[3];
const OTHER: Address = Embedded::ACCOUNTS[4];
const PRICE: u128 = 2_000_000_000_000_000_000;
const BOND: u128 = 200_000_000_000_000_000;
const LEASE: u64 = 600;
const DEADLINE: u64 = 3_600;

/// A proof of the real prover for job 1 of the market that a fresh chain's first account deploys, paid to [`WORKER`].
struct Work {
    settlement_id: B256,
    model_id: B256,
    units: u64,
    salt: B256,
    key: Bytes,
    input: Bytes,
    values: Bytes,
    proof: Bytes,
}

fn work() -> Work {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/market_job.json");
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON");
    let bytes = |name: &str| json[name].as_str().expect(name).parse::<Bytes>().expect(name);
    let values = bytes("publicValues");
    let length = usize::try_from(json["inputBytes"].as_u64().expect("a length")).expect("a length");
    Work {
        settlement_id: B256::from_slice(&bytes("settlementId")),
        model_id: B256::from_slice(&bytes("modelId")),
        units: json["workUnits"].as_u64().expect("units"),
        salt: B256::from_slice(&bytes("salt")),
        key: bytes("key"),
        input: Bytes::copy_from_slice(&values[..length]),
        values,
        proof: bytes("proof"),
    }
}

/// A market with one model and accounts that have tokens.
struct World {
    chain: Embedded,
    at: Deployment,
    work: Work,
    verifier_id: B256,
    offer_id: B256,
}

impl World {
    fn new() -> Self {
        let mut chain = Embedded::new();
        let deployed = deploy(&mut chain, &Parameters::development(CURATOR_ACCOUNT), None, false, &mut |_| {});
        let at = deployed.expect("a deployment").deployment;
        let work = work();
        for account in [REQUESTER, WORKER, OTHER] {
            at.token().transfer(&mut chain, account, amount::whole(100)).expect("tokens");
        }
        let registered = at.verifier().register(&mut chain, &work.key).expect("a key");
        assert_eq!(registered.model_id, work.settlement_id);
        let entry = NewEntry {
            verifier: at.contracts.verifier,
            settlement_id: work.settlement_id,
            model_id: work.model_id,
            batch: 1,
            work_units: work.units,
        };
        let (verifier_id, _) = at.registry().add(&mut chain, &entry).expect("an entry");
        chain.set_sender(OWNER);
        let terms = Terms { royalty_bps: 500, ..Terms::default() };
        let (offer, _) = at.models().offer(&mut chain, verifier_id, &terms).expect("an offer");
        assert_eq!(offer, offer_id(work.model_id, OWNER, &terms));
        for account in [REQUESTER, WORKER, OTHER] {
            chain.set_sender(account);
            at.token().approve(&mut chain, at.contracts.market, U256::MAX).expect("an approval");
        }
        Self { chain, at, work, verifier_id, offer_id: offer }
    }

    fn post(&mut self) -> u64 {
        self.chain.set_sender(REQUESTER);
        let now = self.chain.head().expect("a block").timestamp;
        let spec = Spec {
            verifierId: self.verifier_id,
            offerId: self.offer_id,
            inputCommitment: input_commitment(self.work.salt, &self.work.input),
            minPrice: PRICE,
            maxPrice: PRICE,
            rampStart: time(now),
            rampEnd: time(now),
            deadline: time(now + DEADLINE),
            leaseSeconds: u32::try_from(LEASE).expect("seconds"),
            bond: BOND,
        };
        self.at.market().post(&mut self.chain, &spec, self.work.salt, &self.work.input).expect("a job").0
    }

    fn lease(&mut self, id: u64, worker: Address) -> Result<u64, Error> {
        self.chain.set_sender(worker);
        self.at.market().lease(&mut self.chain, &[id], worker, &[BOND], 0).map(|(until, _)| until)
    }

    fn fulfil(&mut self, id: u64, payout: Address) -> Result<u128, Error> {
        let w = &self.work;
        let sent = self.at.market().fulfil(&mut self.chain, &[id], &[w.salt], payout, &w.values, &w.proof);
        sent.map(|(paid, done)| {
            println!("fulfil: {} gas", done.gas_used);
            assert_eq!((paid.len(), paid[0].id, paid[0].payout), (1, id, payout));
            assert_eq!(paid[0].output.as_ref(), &w.values[w.input.len()..]);
            paid[0].to_worker
        })
    }

    fn balance(&mut self, account: Address) -> U256 {
        self.at.token().balance(&mut self.chain, account).expect("a balance")
    }

    fn withdraw(&mut self, account: Address) -> U256 {
        self.at.market().ledger().withdraw(&mut self.chain, account).expect("a withdrawal").0
    }

    fn refused(&mut self, id: u64, payout: Address) -> E {
        economy(self.fulfil(id, payout).map(|_| ()))
    }
}

fn economy<T: std::fmt::Debug>(result: Result<T, Error>) -> E {
    let e = result.expect_err("refused");
    println!("{e}");
    e.economy().unwrap_or_else(|| panic!("{e}")).clone()
}

#[test]
fn proven_work_is_paid_once_and_only_to_its_worker() {
    let mut w = World::new();
    let id = w.post();
    let market = w.at.market();
    let fee = market.ledger().work_fee(&mut w.chain, w.verifier_id).expect("a fee");
    assert_eq!(w.balance(REQUESTER), amount::whole(100) - U256::from(PRICE + fee));
    let head = w.chain.head().expect("a block").number;
    let posted = market.posted(&mut w.chain, 0, head).expect("events");
    assert_eq!((posted.len(), posted[0].id, posted[0].requester, posted[0].is_public()), (1, id, REQUESTER, true));
    assert_eq!(input_commitment(posted[0].salt, &posted[0].input), posted[0].spec.inputCommitment);

    let until = w.lease(id, WORKER).expect("a lease");
    assert_eq!(until, w.chain.head().expect("a block").timestamp + LEASE);
    assert!(matches!(economy(w.lease(id, OTHER)), E::LeaseLive(_)));
    // A copied proof, sent by somebody else for himself.
    w.chain.set_sender(OTHER);
    assert!(matches!(w.refused(id, OTHER), E::WrongPayout(e) if e.expected == WORKER));
    // Sent by somebody else, it pays the worker.
    let to_worker = w.fulfil(id, WORKER).expect("a payment");
    assert_eq!(to_worker, BOND + PRICE - PRICE * 2 / 100 - PRICE * 5 / 100);
    assert!(matches!(w.refused(id, WORKER), E::NotOpen(_)), "paid twice");
    assert_eq!(market.job(&mut w.chain, id).expect("a job").status, Status::Fulfilled);
    let head = w.chain.head().expect("a block").number;
    assert_eq!(market.payments(&mut w.chain, Some(id), 0, head).expect("events").len(), 1);
    assert!(market.payments(&mut w.chain, Some(id + 1), 0, head).expect("events").is_empty());

    let before = w.balance(WORKER);
    assert_eq!(w.withdraw(WORKER), U256::from(to_worker));
    assert_eq!(w.balance(WORKER), before + U256::from(to_worker));
    assert_eq!(w.withdraw(WORKER), U256::ZERO);
    market.collect_royalties(&mut w.chain, w.offer_id).expect("royalties");
    assert_eq!(w.withdraw(OWNER), U256::from(PRICE * 5 / 100));
    let treasury = w.at.contracts.timelock;
    assert_eq!(w.withdraw(treasury), U256::from(PRICE * 2 / 100));

    // What is left in the market is the fee, which is burned; then an epoch passes, and half of it is made anew.
    assert_eq!(w.balance(market.address()), U256::from(fee));
    assert_eq!(market.ledger().unburned(&mut w.chain), Ok(U256::from(fee)));
    let supply = w.at.token().supply(&mut w.chain).expect("a supply");
    let emission = w.at.emission();
    let epoch = emission.epoch(&mut w.chain).expect("an epoch");
    assert_eq!(emission.owed(&mut w.chain, WORKER, 0), Ok(vec![]));
    assert!(matches!(economy(emission.claim(&mut w.chain, WORKER, &[epoch])), E::EpochNotOver(_)));
    let length = emission.epoch_length(&mut w.chain).expect("a length");
    w.chain.advance(length);
    assert_eq!(emission.owed(&mut w.chain, WORKER, 0), Ok(vec![epoch]));
    let (reward, done) = emission.claim(&mut w.chain, WORKER, &[epoch]).expect("a reward");
    println!("claim: {} gas", done.gas_used);
    assert_eq!(reward, U256::from(fee / 2));
    assert_eq!(w.at.token().supply(&mut w.chain), Ok(supply - U256::from(fee) + reward));
    assert_eq!(emission.owed(&mut w.chain, WORKER, 0), Ok(vec![]));
    assert_eq!(emission.claim(&mut w.chain, WORKER, &[epoch]).expect("nothing").0, U256::ZERO);
    let stats = emission.stats(&mut w.chain, epoch).expect("statistics");
    assert_eq!((stats.fees, stats.units, stats.workers), (U256::from(fee), U256::from(w.work.units), U256::from(1)));
    assert_eq!(w.balance(market.address()), U256::ZERO);
}

#[test]
fn requesters_get_their_tokens_back() {
    let mut w = World::new();
    let market = w.at.market();
    let fee = market.ledger().work_fee(&mut w.chain, w.verifier_id).expect("a fee");
    let whole = U256::from(PRICE + fee);
    // Cancelled: only by the requester, and not while a worker works.
    let id = w.post();
    w.chain.set_sender(OTHER);
    assert!(matches!(economy(market.refund(&mut w.chain, &[id])), E::TooEarly(_)));
    w.chain.set_sender(REQUESTER);
    assert_eq!(market.refund(&mut w.chain, &[id]).expect("a refund").0, whole);
    assert!(matches!(economy(market.refund(&mut w.chain, &[id])), E::NothingLeft(_)));
    assert!(matches!(w.refused(id, WORKER), E::NotOpen(_)));
    let id = w.post();
    w.lease(id, WORKER).expect("a lease");
    w.chain.set_sender(REQUESTER);
    assert!(matches!(economy(market.refund(&mut w.chain, &[id])), E::LeaseLive(_)));
    // After the deadline anybody may ask; half of the worker's bond is the requester's.
    w.chain.advance(DEADLINE);
    w.chain.set_sender(OTHER);
    assert_eq!(market.refund(&mut w.chain, &[id]).expect("a refund").0, whole + U256::from(BOND / 2));
    let before = w.balance(REQUESTER);
    w.withdraw(REQUESTER);
    assert_eq!(w.balance(REQUESTER), before + whole + whole + U256::from(BOND / 2));
    assert_eq!(w.balance(REQUESTER), amount::whole(100) + U256::from(BOND / 2));
    assert!(matches!(economy(market.job(&mut w.chain, 99)), E::NotOpen(_)));
}

#[test]
fn late_work_is_paid_while_nobody_else_has_the_lease() {
    let mut w = World::new();
    let id = w.post();
    w.lease(id, WORKER).expect("a lease");
    w.chain.advance(LEASE);
    // Half of the bond is burned, the other half goes to whoever does the work: here the same worker.
    assert_eq!(w.fulfil(id, WORKER).expect("late"), BOND / 2 + PRICE - PRICE * 7 / 100);

    let mut w = World::new();
    let id = w.post();
    w.lease(id, WORKER).expect("a lease");
    w.chain.advance(LEASE);
    w.lease(id, OTHER).expect("the next lease");
    assert!(matches!(w.refused(id, WORKER), E::WrongPayout(e) if e.expected == OTHER));
    w.chain.advance(DEADLINE);
    assert!(matches!(w.refused(id, WORKER), E::DeadlineOver(_)));
}

#[test]
fn a_verifier_that_has_ended_pays_nobody() {
    let mut w = World::new();
    let id = w.post();
    w.lease(id, WORKER).expect("a lease");
    w.chain.set_sender(OTHER);
    assert!(matches!(economy(w.at.registry().tombstone(&mut w.chain, w.verifier_id)), E::AccessManagedUnauthorized(_)));
    w.chain.set_sender(CURATOR_ACCOUNT);
    w.at.registry().tombstone(&mut w.chain, w.verifier_id).expect("a tombstone");
    assert_eq!(w.at.registry().is_active(&mut w.chain, w.verifier_id), Ok(false));
    assert!(matches!(w.refused(id, WORKER), E::VerifierEnded(_)));
    // The requester gets everything back and the worker his bond: whether he would have done it is not known.
    let market = w.at.market();
    market.refund(&mut w.chain, &[id]).expect("a refund");
    assert_eq!(w.withdraw(WORKER), U256::from(BOND));
    w.withdraw(REQUESTER);
    assert_eq!((w.balance(REQUESTER), w.balance(WORKER)), (amount::whole(100), amount::whole(100)));
}

#[test]
fn proofs_and_inputs_must_be_the_jobs() {
    let mut w = World::new();
    let first = w.post();
    let second = w.post();
    // Made for job 1: worth nothing for job 2.
    let e = w.fulfil(second, WORKER).expect_err("refused");
    assert!(matches!(e.revert(), Some(Revert::Contract(_))), "{e}");
    assert!(e.to_string().contains("InvalidProof()"), "{e}");
    let salt = w.work.salt;
    w.work.salt = B256::ZERO;
    assert!(matches!(w.refused(first, WORKER), E::WrongInput(_)));
    w.work.salt = salt;
    w.fulfil(first, WORKER).expect("a payment without a lease");
    assert_eq!(context_job(&[7]), B256::from(U256::from(7)));
    assert_ne!(context_job(&[7, 0]), context_job(&[7]));
}

#[test]
fn contexts_of_batches_are_the_contracts() {
    use assay_contracts::economy::abi::JobMarket::contextJobCall;
    use assay_contracts::sol_types::SolCall;
    let mut w = World::new();
    for ids in [&[3][..], &[1, 2, 3], &[4, 0], &[9, 10, 0, 0]] {
        let call = contextJobCall { jobIds: ids.iter().map(|i| U256::from(*i)).collect() };
        let answer = w.chain.call(&Call::new(w.at.contracts.market, call.abi_encode())).expect("an answer");
        assert_eq!(answer.as_ref(), context_job(ids).as_slice(), "{ids:?}");
    }
}

#[test]
fn rights_are_handed_over() {
    use assay_contracts::sol_types::SolCall;
    let mut w = World::new();
    let mut member = |role: u64, account: Address| {
        let call = AccessManager::hasRoleCall { roleId: role, account };
        let answer = w.chain.call(&Call::new(w.at.contracts.manager, call.abi_encode())).expect("an answer");
        AccessManager::hasRoleCall::abi_decode_returns(&answer).expect("an answer").isMember
    };
    let timelock = w.at.contracts.timelock;
    assert!(!member(ADMIN, CURATOR_ACCOUNT) && member(ADMIN, timelock));
    assert!(member(CURATOR, timelock) && member(CURATOR, CURATOR_ACCOUNT) && member(GUARDIAN, CURATOR_ACCOUNT));
    w.chain.set_sender(OTHER);
    let entry = NewEntry {
        verifier: w.at.contracts.verifier,
        settlement_id: w.work.settlement_id,
        model_id: B256::repeat_byte(1),
        batch: 1,
        work_units: 1,
    };
    assert!(matches!(economy(w.at.registry().add(&mut w.chain, &entry)), E::AccessManagedUnauthorized(_)));
}

#[test]
fn standard_systems_add_verifiers_by_votes_alone() {
    let mut chain = Embedded::new();
    let parameters = Parameters::standard(CURATOR_ACCOUNT, OTHER);
    let at = deploy(&mut chain, &parameters, None, false, &mut |_| {}).expect("a deployment").deployment;
    let work = work();
    let e = at.verifier().register(&mut chain, &work.key).expect_err("development powers of tau");
    assert!(e.to_string().contains("DevelopmentSrs"), "{e}");
    let entry = NewEntry {
        verifier: at.contracts.verifier,
        settlement_id: work.settlement_id,
        model_id: work.model_id,
        batch: 1,
        work_units: 1,
    };
    assert!(matches!(economy(at.registry().add(&mut chain, &entry)), E::AccessManagedUnauthorized(_)));
}

#[test]
fn deployments_are_checked() {
    let w = World::new();
    let text = w.at.to_json();
    let read = Deployment::from_json(&text).expect("a file");
    assert_eq!((&read, read.to_json()), (&w.at, text.clone()));
    let mut chain = w.chain;
    read.check(&mut chain).expect("the contracts");
    // Elsewhere, swapped, of another chain, of another system.
    assert!(matches!(read.check(&mut Embedded::new()), Err(Error::NoContract { .. })));
    let mut swapped = read.clone();
    (swapped.contracts.token, swapped.contracts.market) = (read.contracts.market, read.contracts.token);
    assert!(matches!(swapped.check(&mut chain), Err(Error::OtherCode { name: "AssayToken", .. })));
    let other = Deployment { chain_id: 1, ..read.clone() };
    assert!(matches!(other.check(&mut chain), Err(Error::DeploymentChain { expected: 1, found: 31337, .. })));
    chain.set_sender(OTHER);
    let second =
        deploy(&mut chain, &Parameters::development(OTHER), None, false, &mut |_| {}).expect("a second system");
    let mut mixed = read.clone();
    mixed.contracts.token = second.deployment.contracts.token;
    let e = mixed.check(&mut chain).expect_err("two systems mixed");
    assert!(matches!(&e, Error::NotAsDeclared { name: "JobMarket", .. }), "{e}");
    for (bad, word) in [
        (text.replace("assay.deployment.v2", "assay.deployment.v1"), "format"),
        (text.replace("\"block\"", "\"blocks\""), "blocks"),
        (text.replace("\"cap\": \"1000000000\"", "\"cap\": \"-1\""), "tokens"),
        (text[..text.len() / 2].to_owned(), "EOF"),
        (" ".repeat(1 << 17), "bytes"),
    ] {
        let e = Deployment::from_json(&bad).expect_err("refused").to_string();
        assert!(e.contains(word) && e.contains("assay chain up"), "{e}");
    }
}

#[test]
fn the_same_account_deploys_to_the_same_addresses() {
    let mut chain = Embedded::new();
    let deployed = deploy(&mut chain, &Parameters::development(CURATOR_ACCOUNT), None, false, &mut |_| {}).expect("it");
    for (i, c) in deployed.created.iter().enumerate() {
        assert_eq!((c.name, c.address), (Name::ALL[i], CURATOR_ACCOUNT.create(i as u64)));
        println!("{:<20} {:>9} gas {:>6} bytes", c.name.as_str(), c.gas_used, c.code_bytes);
    }
    println!("wiring {} gas", deployed.wiring_gas);
}

#[test]
fn events_are_kept_with_their_blocks() {
    let mut w = World::new();
    let first = w.chain.head().expect("a block").number;
    let ids = [w.post(), w.post(), w.post()];
    let head = w.chain.head().expect("a block");
    let market = w.at.market();
    let all = market.posted(&mut w.chain, first + 1, head.number).expect("events");
    assert_eq!(all.iter().map(|p| p.id).collect::<Vec<_>>(), ids);
    assert_eq!(market.posted(&mut w.chain, head.number, head.number).expect("events").len(), 1);
    assert_eq!(market.posting(&mut w.chain, ids[1], 0, head.number).expect("events").map(|p| p.id), Some(ids[1]));
    let everything = Filter { address: w.at.contracts.market, from: 0, to: u64::MAX, topics: vec![] };
    let events = w.chain.events(&everything).expect("events");
    assert!(events.windows(2).all(|e| (e[0].block, e[0].index) < (e[1].block, e[1].index)));
    w.chain.advance(1_000);
    w.post();
    assert!(w.chain.head().expect("a block").timestamp >= head.timestamp + 1_000);
}
