//! The whole market on the embedded EVM, for the demo: a requester posts jobs, a worker proves them, a thief fails, everybody
//! is paid.

use crate::{
    App,
    economy::{explained, units, work},
    error::{Failure, Outcome},
    flow::timed,
    output::{count, table},
    settlement::{Prepared, Settled},
};
use assay_circuits::model::Model;
use assay_contracts::{
    Address, B256, Chain, Embedded, Measured, Registered, U256,
    economy::{
        Deployed, Fulfilled, Name, NewEntry, Parameters, Spec, Terms, amount, context_job, deploy, input_commitment,
        time,
    },
};
use assay_verifier::{keccak::keccak256, settle::key::Context};
use serde_json::{Value, json};

/// Most jobs that the demo posts; further images are slots that nobody pays for. More would not fit in one transaction.
const JOBS: usize = 64;
const PRICE: u128 = 2_000_000_000_000_000_000;
const BOND: u128 = PRICE / 10;
const ROYALTY_BPS: u16 = 500;
const HOUR: u64 = 3_600;

/// Who takes part.
const CURATOR: Address = Embedded::ACCOUNTS[0];
const OWNER: Address = Embedded::ACCOUNTS[1];
const REQUESTER: Address = Embedded::ACCOUNTS[2];
const WORKER: Address = Embedded::ACCOUNTS[3];
const THIEF: Address = Embedded::ACCOUNTS[4];

/// A market with jobs that a worker has leased.
pub(crate) struct Story {
    chain: Embedded,
    deployed: Deployed,
    registered: Registered,
    verifier_id: B256,
    offer_id: B256,
    /// A slot for each inference of the proof, and the salts of those that are jobs.
    slots: Vec<u64>,
    salts: Vec<B256>,
    before: Balances,
    work_fee: u128,
    post_gas: u64,
    lease_gas: u64,
    seconds: f64,
}

/// What everybody has, in units of 10^-18 tokens.
#[derive(Clone, Copy, Debug)]
struct Balances {
    requester: U256,
    worker: U256,
    owner: U256,
    treasury: U256,
    supply: U256,
}

/// How it ended.
pub(crate) struct Told {
    story: Story,
    verified: Measured,
    paid: Vec<Fulfilled>,
    fulfil_gas: u64,
    theft: String,
    burned: U256,
    reward: U256,
    after: Balances,
}

impl Story {
    /// Deploys everything, registers the model, posts a job for each input and leases them.
    pub(crate) fn begin(model: &Model, prepared: &Prepared, inputs: &[Vec<u8>]) -> Outcome<Self> {
        let (story, seconds) = timed(|| Self::set_up(model, prepared, inputs));
        Ok(Self { seconds, ..story? })
    }

    fn set_up(model: &Model, prepared: &Prepared, inputs: &[Vec<u8>]) -> Outcome<Self> {
        let mut chain = Embedded::new();
        let deployed = deploy(&mut chain, &Parameters::development(CURATOR), None, false, &mut |_| {})?;
        let at = &deployed.deployment;
        let (token, market) = (at.token(), at.market());
        token.transfer(&mut chain, REQUESTER, amount::whole(200))?;
        token.transfer(&mut chain, WORKER, amount::whole(20))?;
        let registered = at.verifier().register(&mut chain, &prepared.prover.key.descriptor.to_bytes())?;
        let entry = NewEntry {
            verifier: at.contracts.verifier,
            settlement_id: registered.model_id,
            model_id: B256::from(model.model_id()?),
            batch: u32::try_from(inputs.len()).unwrap_or(u32::MAX),
            work_units: u64::try_from(model.graph.multiply_adds()).unwrap_or(u64::MAX),
        };
        let (verifier_id, _) = at.registry().add(&mut chain, &entry).map_err(explained)?;
        chain.set_sender(OWNER);
        let terms = Terms { royalty_bps: ROYALTY_BPS, ..Terms::default() };
        let (offer_id, _) = at.models().offer(&mut chain, verifier_id, &terms).map_err(explained)?;
        let before = Balances::read(&mut chain, &deployed)?;

        chain.set_sender(REQUESTER);
        token.approve(&mut chain, market.address(), U256::MAX)?;
        let work_fee = market.ledger().work_fee(&mut chain, verifier_id)?;
        let (mut slots, mut salts, mut post_gas) = (Vec::new(), Vec::new(), 0);
        for (i, input) in inputs.iter().take(JOBS).enumerate() {
            // Fixed, so that the demo is the same every time; a real requester draws it.
            let salt = B256::from(keccak256(&[b"assay demo salt", &(i as u64).to_be_bytes()]));
            let now = chain.head()?.timestamp;
            let spec = Spec {
                verifierId: verifier_id,
                offerId: offer_id,
                inputCommitment: input_commitment(salt, input),
                minPrice: PRICE,
                maxPrice: PRICE,
                rampStart: time(now),
                rampEnd: time(now),
                deadline: time(now + HOUR),
                leaseSeconds: 600,
                bond: BOND,
            };
            let (id, done) = market.post(&mut chain, &spec, salt, input).map_err(explained)?;
            post_gas = done.gas_used;
            slots.push(id);
            salts.push(salt);
        }
        chain.set_sender(WORKER);
        token.approve(&mut chain, market.address(), U256::MAX)?;
        let (_, leased) = market.lease(&mut chain, &slots, WORKER, &vec![BOND; slots.len()], 0).map_err(explained)?;
        slots.resize(inputs.len(), 0);
        Ok(Self {
            chain,
            deployed,
            registered,
            verifier_id,
            offer_id,
            slots,
            salts,
            before,
            work_fee,
            post_gas,
            lease_gas: leased.gas_used,
            seconds: 0.0,
        })
    }

    /// What the worker's proof must be bound to.
    pub(crate) fn context(&self) -> Context {
        Context {
            chain_id: self.chain.chain_id(),
            consumer: self.deployed.deployment.contracts.market.into_array(),
            job: context_job(&self.slots).0,
            recipient: WORKER.into_array(),
        }
    }

    /// Whether the contract accepts other public values with the same proof.
    pub(crate) fn accepts(&mut self, public: &[u8], settled: &Settled) -> Outcome<bool> {
        let (verifier, p) = (self.deployed.deployment.verifier(), &settled.proof);
        Ok(verifier.verify(&mut self.chain, self.registered.model_id, public, p.context.digest(), &p.argument)?)
    }

    /// The theft fails, the worker is paid, an epoch passes, rewards are made.
    pub(crate) fn end(mut self, settled: &Settled) -> Outcome<Told> {
        let (told, seconds) = timed(|| {
            let theft = self.steal(settled)?;
            let at = &self.deployed.deployment;
            let (market, emission) = (at.market(), at.emission());
            let p = &settled.proof;
            let id = self.registered.model_id;
            let chain = &mut self.chain;
            let verified = at.verifier().verify_cost(chain, id, &p.public, p.context.digest(), &p.argument)?;
            chain.set_sender(WORKER);
            let (paid, done) =
                market.fulfil(chain, &self.slots, &self.salts, WORKER, &p.public, &p.argument).map_err(explained)?;
            market.collect_royalties(chain, self.offer_id).map_err(explained)?;
            for account in [WORKER, OWNER, at.contracts.timelock] {
                if !market.ledger().claimable(chain, account)?.is_zero() {
                    market.ledger().withdraw(chain, account).map_err(explained)?;
                }
            }
            let epoch = emission.epoch(chain)?;
            let (burned, _) = market.ledger().burn_fees(chain).map_err(explained)?;
            let length = emission.epoch_length(chain)?;
            chain.advance(length);
            let owed = emission.owed(chain, WORKER, at.block)?;
            if owed != [epoch] {
                return Err(Failure::new("the epoch that is over owes the worker nothing").bug());
            }
            let (reward, _) = emission.claim(chain, WORKER, &owed).map_err(explained)?;
            let after = Balances::read(chain, &self.deployed)?;
            Ok((theft, verified, paid, done.gas_used, burned, reward, after))
        });
        let (theft, verified, paid, fulfil_gas, burned, reward, after) = told?;
        self.seconds += seconds;
        Ok(Told { story: self, verified, paid, fulfil_gas, theft, burned, reward, after })
    }

    /// A thief copies the proof out of the worker's transaction and sends it first, with his own address. Says why it fails.
    fn steal(&mut self, settled: &Settled) -> Outcome<String> {
        let at = &self.deployed.deployment;
        let p = &settled.proof;
        let own = Context { recipient: THIEF.into_array(), ..p.context.clone() };
        let id = self.registered.model_id;
        if at.verifier().verify(&mut self.chain, id, &p.public, own.digest(), &p.argument)? {
            return Err(Failure::new("the proof verifies for another payout address").bug());
        }
        self.chain.set_sender(THIEF);
        let sent = at.market().fulfil(&mut self.chain, &self.slots, &self.salts, THIEF, &p.public, &p.argument);
        match sent {
            Ok(_) => Err(Failure::new("the market paid for a copied proof").bug()),
            Err(e) => Ok(e.revert().map_or_else(|| e.to_string(), ToString::to_string)),
        }
    }
}

impl Balances {
    fn read(chain: &mut Embedded, deployed: &Deployed) -> Outcome<Self> {
        let at = &deployed.deployment;
        let token = at.token();
        Ok(Self {
            requester: token.balance(chain, REQUESTER)?,
            worker: token.balance(chain, WORKER)?,
            owner: token.balance(chain, OWNER)?,
            treasury: token.balance(chain, at.contracts.timelock)?,
            supply: token.supply(chain)?,
        })
    }
}

/// Tokens as a number, for programs that only look.
fn number(units: U256) -> f64 {
    amount::tokens(units).replace(',', "").parse().unwrap_or(f64::NAN)
}

/// A change with its sign.
fn change(before: U256, after: U256) -> String {
    if after >= before {
        format!("+{}", amount::tokens(after - before))
    } else {
        format!("-{}", amount::tokens(before - after))
    }
}

impl Told {
    /// The proven outputs that the requester reads from the event of a job.
    pub(crate) fn answer(&self, model: &Model) -> Outcome<Vec<f32>> {
        work::output_floats(model, self.output()?)
            .ok_or_else(|| Failure::new("the event's output is not the model's").bug())
    }

    /// What the first job was paid for, as the chain has it.
    pub(crate) fn output(&self) -> Outcome<&[u8]> {
        let first = self.paid.first().ok_or_else(|| Failure::new("no job was paid").bug())?;
        Ok(&first.output[..])
    }

    /// Gas of the payment.
    pub(crate) fn fulfil_gas(&self) -> u64 {
        self.fulfil_gas
    }

    /// What the worker earned: his part of the prices, without the bonds he got back.
    fn earned(&self) -> U256 {
        let all: U256 = self.paid.iter().map(|p| U256::from(p.to_worker)).sum();
        all.saturating_sub(U256::from(BOND) * U256::from(self.paid.len()))
    }

    /// Tells it.
    pub(crate) fn say(&self, app: &App, digit: usize) {
        let o = &app.output;
        let s = &self.story;
        let n = self.paid.len();
        let plural = if n == 1 { "job" } else { "jobs" };
        let (m, r) = (&self.verified, s.registered.transaction.map_or(0, |t| t.measured.gas_used));
        o.say(format!(
            "chain   accepted by the contract on the embedded EVM: {} gas, {} bytes of calldata; contract {} bytes",
            count(m.gas_used),
            count(m.calldata_bytes as u64),
            count(m.contract_bytes as u64)
        ));
        o.say(format!(
            "        once: {} gas to deploy, {} gas to register the model",
            count(self.verifier_gas()),
            count(r)
        ));
        o.say("");
        o.say(format!(
            "market  a requester posted {n} {plural} at {} each, and a worker leased and proved them",
            units::shown(U256::from(PRICE))
        ));
        o.say(format!(
            "        post {} gas a job, lease {} gas, fulfil {} gas for all",
            count(s.post_gas),
            count(s.lease_gas),
            count(self.fulfil_gas)
        ));
        o.say(format!("theft   a copied proof with the thief's address: {}", self.theft));
        o.say(format!(
            "paid    {} to the worker, the answer to job {} is in the event: {digit}",
            units::shown(self.earned()),
            self.paid.first().map_or(0, |p| p.id)
        ));
        o.say(format!(
            "burned  {} of work fees; one epoch later {} of new tokens go to the worker",
            units::shown(self.burned),
            units::shown(self.reward)
        ));
        let (b, a) = (&s.before, &self.after);
        let row =
            |who: &str, b: U256, a: U256| vec![who.to_owned(), amount::tokens(b), amount::tokens(a), change(b, a)];
        o.say(table(&[
            ["ASSAY", "before", "after", "change"].map(str::to_owned).to_vec(),
            row("requester", b.requester, a.requester),
            row("worker", b.worker, a.worker),
            row("model owner", b.owner, a.owner),
            row("treasury", b.treasury, a.treasury),
            row("supply", b.supply, a.supply),
        ]));
    }

    fn verifier_gas(&self) -> u64 {
        self.story.deployed.created.iter().find(|c| c.name == Name::AssayVerifier).map_or(0, |c| c.gas_used)
    }

    /// Its fields for programs.
    pub(crate) fn json(&self, digit: usize) -> Value {
        let s = &self.story;
        let m = &self.verified;
        let balances = |b: &Balances| {
            json!({
                "requester": b.requester.to_string(),
                "worker": b.worker.to_string(),
                "model_owner": b.owner.to_string(),
                "treasury": b.treasury.to_string(),
                "supply": b.supply.to_string(),
            })
        };
        json!({
            "gas": m.gas_used,
            "calldata_bytes": m.calldata_bytes,
            "calldata_gas": m.calldata_gas,
            "contract_bytes": m.contract_bytes,
            "deploy_gas": self.verifier_gas(),
            "register_gas": s.registered.transaction.map(|t| t.measured.gas_used),
            "chain_seconds": s.seconds,
            "accepted": true,
            "job_id": self.paid.first().map(|p| p.id),
            "job_ids": self.paid.iter().map(|p| p.id).collect::<Vec<_>>(),
            "verifier_id": s.verifier_id.to_string(),
            "offer_id": s.offer_id.to_string(),
            "job_answer": digit,
            "payout": number(self.earned()),
            "payout_address": WORKER.to_string(),
            "worker_balance_before": number(s.before.worker),
            "worker_balance_after": number(self.after.worker),
            "work_fee": number(U256::from(s.work_fee)),
            "fees_burned": number(self.burned),
            "reward": number(self.reward),
            "theft_rejected": true,
            "post_gas": s.post_gas,
            "lease_gas": s.lease_gas,
            "fulfil_gas": self.fulfil_gas,
            "balances_before": balances(&s.before),
            "balances_after": balances(&self.after),
        })
    }
}
