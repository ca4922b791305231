//! A task of training, for the demo: a sponsor posts it, two contributors train on data of their own and are paid for proven gains,
//! the second from the first's weights, and cheats of each kind fail. On the embedded EVM, or on a local node.

use crate::{
    App,
    economy::{explained, units},
    error::{Failure, Outcome},
    output::table,
};
use assay_circuits::canonical;
use assay_contracts::{
    Address, B256, Chain, Embedded, Rpc, RpcOptions, Signer, U256,
    economy::{
        DatasetTerms, Deployment, Evaluated, NewEntry, NumberedTree, Parameters, Round, RoundProof, Shard, Task,
        TaskSpec, Trained, amount, deploy, time,
    },
    keccak256,
};
use assay_prover::Stack;
use assay_verifier::{
    curve::{g1_to_bytes, g2_to_bytes},
    settle::key::{Context, SettledProof, SettlementKey},
};

const TOKEN: u128 = 1_000_000_000_000_000_000;
const BOND: u128 = TOKEN;
const PRICE: u128 = 10 * TOKEN;
/// Paid for each step of the gain.
const RATE: u128 = 2 * TOKEN;
const HOUR: u32 = 3_600;
/// Public keys' secrets of every local development node, in the order of `Embedded::ACCOUNTS`.
const LOCAL_KEYS: [&str; 4] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Curator,
    Sponsor,
    Anne,
    Ben,
}

impl Who {
    pub(crate) fn address(self) -> Address {
        Embedded::ACCOUNTS[self as usize]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Curator => "curator",
            Self::Sponsor => "sponsor",
            Self::Anne => "anne",
            Self::Ben => "ben",
        }
    }
}

enum On {
    Embedded(Box<Embedded>),
    /// One connection for each account.
    Node(Vec<Rpc>),
}

impl On {
    fn by(&mut self, who: Who) -> Outcome<&mut dyn Chain> {
        match self {
            Self::Embedded(chain) => {
                chain.set_sender(who.address());
                Ok(chain.as_mut())
            }
            Self::Node(all) => {
                let one = all.get_mut(who as usize).ok_or_else(|| Failure::new("an account without a key").bug())?;
                Ok(one)
            }
        }
    }
}

/// Everything on chain.
pub(crate) struct Stage {
    on: On,
    at: Deployment,
    entries: [B256; 2],
    task: u64,
}

/// A key, the digest of its model, and its work.
pub(crate) type Entry<'a> = (&'a SettlementKey, [u8; 32]);

impl Stage {
    /// Deploys everything, registers both keys, and gives everybody tokens.
    pub(crate) fn set_up(rpc: Option<&str>, keys: [Entry<'_>; 2]) -> Outcome<Self> {
        let mut on = match rpc {
            None => On::Embedded(Box::new(Embedded::new())),
            Some(url) => {
                let connect = |key: &&str| -> Outcome<Rpc> {
                    let secret = crate::settlement::parse_hex(key)
                        .ok_or_else(|| Failure::new("a development key is damaged").bug())?;
                    Ok(Rpc::connect(RpcOptions::new(url), Some(Signer::from_bytes(&secret)?))?)
                };
                On::Node(LOCAL_KEYS.iter().map(connect).collect::<Outcome<_>>()?)
            }
        };
        let chain = on.by(Who::Curator)?;
        let parameters = Parameters::development(Who::Curator.address());
        let at = deploy(chain, &parameters, None, false, &mut |_| {})?.deployment;
        let mut entries = [B256::ZERO; 2];
        for (entry, (key, model_id)) in entries.iter_mut().zip(keys) {
            let registered = at.verifier().register(chain, &key.descriptor.to_bytes())?;
            let new = NewEntry {
                verifier: at.contracts.verifier,
                settlement_id: registered.model_id,
                model_id: model_id.into(),
                batch: 1,
                work_units: u64::try_from(key.graph.multiply_adds()).unwrap_or(u64::MAX),
            };
            *entry = at.registry().add(chain, &new).map_err(explained)?.0;
        }
        for who in [Who::Sponsor, Who::Anne, Who::Ben] {
            at.token().transfer(on.by(Who::Curator)?, who.address(), amount::whole(1_000))?;
            at.token().approve(on.by(who)?, at.contracts.training, U256::MAX)?;
        }
        Ok(Self { on, at, entries, task: 0 })
    }

    /// Registers a data set of somebody's; its id in the registry.
    pub(crate) fn register(&mut self, who: Who, data: &Stack) -> Outcome<B256> {
        let schema = canonical::to_bytes(data.schema())?;
        let rows: Vec<u8> = data.rows().iter().flat_map(g1_to_bytes).collect();
        let srs = keccak256(g2_to_bytes(&data.srs().tau_g2));
        let terms = DatasetTerms { licenceHash: keccak256("demo"), royaltyBps: 0, recipient: Address::ZERO };
        let datasets = self.at.datasets();
        Ok(datasets.register(self.on.by(who)?, (&schema, srs, &rows), &terms, "").map_err(explained)?.0)
    }

    /// Opens a task from these weights; a gain counts in steps of `eta`.
    pub(crate) fn open(&mut self, head: &Stack, holdout: &NumberedTree, shards: u32, eta: u64) -> Outcome<()> {
        let chain = self.on.by(Who::Sponsor)?;
        let now = chain.head()?.timestamp;
        let spec = TaskSpec {
            trainId: self.entries[0],
            evaluateId: self.entries[1],
            head: head.id()?.into(),
            holdout: holdout.root(),
            shards,
            datasets: B256::ZERO,
            eta,
            maxSteps: 20,
            ratePerStep: RATE,
            minPrice: PRICE,
            maxPrice: PRICE,
            rampStart: time(now),
            rampEnd: time(now),
            deadline: time(now + 240 * u64::from(HOUR)),
            leaseSeconds: HOUR,
            bond: BOND,
            revealSeconds: HOUR,
            evaluateSeconds: HOUR,
            escrow: 500 * TOKEN,
        };
        self.task = self.at.training().open(chain, &spec, "").map_err(explained)?.0;
        Ok(())
    }

    /// Leases the task's next round, and fixes its seed by a block that nobody knew then.
    pub(crate) fn lease(&mut self, who: Who, dataset: B256) -> Outcome<B256> {
        let (market, task) = (self.at.training(), self.task);
        let chain = self.on.by(who)?;
        let head = market.task(chain, task)?.ids.head;
        let (leased, _) =
            market.lease(chain, task, head, (dataset, &[]), who.address(), BOND, 60).map_err(explained)?;
        while chain.head()?.number <= leased.pinned {
            // Each transaction is a block on a local chain.
            self.at.token().transfer(chain, who.address(), U256::ZERO)?;
        }
        Ok(market.pin_seed(chain, task).map_err(explained)?.0)
    }

    /// What a proof of the round is bound to.
    pub(crate) fn context(&mut self, proof: RoundProof) -> Outcome<Context> {
        let (task, round) = self.state()?;
        Ok(Context {
            chain_id: self.at.chain_id,
            consumer: self.at.training().address().into_array(),
            job: proof.job(self.task, &task).0,
            recipient: round.payout.into_array(),
        })
    }

    /// The task and its round.
    pub(crate) fn state(&mut self) -> Outcome<(Task, Round)> {
        let (market, task) = (self.at.training(), self.task);
        let chain = self.on.by(Who::Curator)?;
        Ok((market.task(chain, task)?, market.round(chain, task)?))
    }

    /// The chain as one of them, for calls whose refusal is what is shown.
    fn sender(&mut self, who: Who) -> Result<&mut dyn Chain, assay_contracts::Error> {
        self.on.by(who).map_err(|_| nobody())
    }

    /// Hands in a proof of training. Whatever it shows, the contract takes ids of head and data, and the walk, from its own state.
    pub(crate) fn submit(&mut self, who: Who, proof: &SettledProof) -> Result<(Trained, u64), assay_contracts::Error> {
        let (market, task) = (self.at.training(), self.task);
        let trained = B256::from_slice(proof.public.get(32..64).unwrap_or(&[0; 32]));
        let losses = proof.public.get(32 * 3 + 16..).unwrap_or_default();
        let chain = self.sender(who)?;
        market.submit(chain, task, trained, losses, &proof.argument, "").map(|(e, done)| (e, done.gas_used))
    }

    /// Opens the shard of the round.
    pub(crate) fn reveal(&mut self, shards: &[Shard], holdout: &NumberedTree) -> Outcome<usize> {
        let index = usize::try_from(self.state()?.1.shard).unwrap_or(usize::MAX);
        let missing = || Failure::new("the round asks for a shard that is not there").bug();
        let (shard, path) = shards.get(index).zip(holdout.path(index)).ok_or_else(missing)?;
        let (market, task) = (self.at.training(), self.task);
        market.reveal(self.on.by(Who::Sponsor)?, task, shard, &path, "").map_err(explained)?;
        Ok(index)
    }

    /// The sponsor opens another shard than the round's.
    pub(crate) fn reveal_another(
        &mut self,
        shards: &[Shard],
        holdout: &NumberedTree,
        index: usize,
    ) -> Result<(), assay_contracts::Error> {
        let (market, task) = (self.at.training(), self.task);
        let (shard, path) = shards.get(index).zip(holdout.path(index)).ok_or_else(nobody)?;
        let chain = self.sender(Who::Sponsor)?;
        market.reveal(chain, task, shard, &path, "").map(|_| ())
    }

    /// The sponsor asks for his escrow.
    pub(crate) fn take_back(&mut self) -> Result<(), assay_contracts::Error> {
        let (market, task) = (self.at.training(), self.task);
        let chain = self.sender(Who::Sponsor)?;
        market.refund(chain, task).map(|_| ())
    }

    /// Hands in a proof of evaluation.
    pub(crate) fn settle(
        &mut self,
        who: Who,
        losses: (u64, u64),
        proof: &SettledProof,
    ) -> Result<(Evaluated, u64), assay_contracts::Error> {
        let (market, task) = (self.at.training(), self.task);
        let chain = self.sender(who)?;
        market.settle(chain, task, losses, &proof.argument).map(|(e, done)| (e, done.gas_used))
    }

    /// What is left of a payment when the treasury has its part; the demo's data has no royalty.
    pub(crate) fn net(&self, amount: u128) -> u128 {
        amount - amount * u128::from(self.at.parameters.protocol_bps) / 10_000
    }

    /// Everybody collects what he is owed; the balances then, with those before the task.
    pub(crate) fn collect(&mut self) -> Outcome<Vec<(Who, U256)>> {
        let market = self.at.training();
        market.refund(self.on.by(Who::Sponsor)?, self.task).map_err(explained)?;
        let mut out = Vec::new();
        for who in [Who::Sponsor, Who::Anne, Who::Ben] {
            let chain = self.on.by(who)?;
            market.ledger().withdraw(chain, who.address()).map_err(explained)?;
            out.push((who, self.at.token().balance(chain, who.address())?));
        }
        Ok(out)
    }
}

fn nobody() -> assay_contracts::Error {
    assay_contracts::Error::NoSigner { place: String::new() }
}

/// Says what everybody has, having begun with 1,000.
pub(crate) fn say(app: &App, balances: &[(Who, U256)]) {
    let row = |(who, units): &(Who, U256)| vec![who.name().to_owned(), units::shown(*units)];
    let mut rows = vec![vec![String::new(), "began with 1,000, has now".to_owned()]];
    rows.extend(balances.iter().map(row));
    app.output.say(table(&rows).trim_end());
}
