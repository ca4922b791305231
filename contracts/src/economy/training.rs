//! The market for training: tasks, and the rounds that their heads advance in.

use super::{
    abi::TrainingMarket,
    contract::{Contract, Done},
    ledger::Ledger,
    market::MAX_LEASE,
};
use crate::{
    Error,
    chain::{Chain, Event, Filter},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolEventInterface, SolValue};

pub use TrainingMarket::{
    Evaluated, Opened, Phase, Revealed, Round, Spec as TaskSpec, Status as TaskStatus, Task, Trained,
    TrainingMarketEvents as TaskEvent,
};

/// A sealed part of a sponsor's held-out data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number: shard `n` is for the `n`th proof of training.
    pub index: u64,
    /// The stack.
    pub stack_id: B256,
    /// What keeps whoever has guessed the stack from knowing that it is this one.
    pub salt: B256,
}

impl Shard {
    /// Its leaf under a task's `holdout`.
    pub fn leaf(&self) -> B256 {
        keccak256(keccak256((U256::from(self.index), self.stack_id, self.salt).abi_encode()))
    }
}

/// The leaf of a dataset's entry under a task's `datasets`.
pub fn dataset_leaf(dataset_id: B256) -> B256 {
    keccak256(keccak256(dataset_id.abi_encode()))
}

/// A proof of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundProof {
    /// That the trained weights are what the steps make of the head.
    Training,
    /// The losses of both on the revealed shard.
    Evaluation,
}

impl RoundProof {
    const fn domain(self) -> &'static str {
        match self {
            Self::Training => "assay.train.v1",
            Self::Evaluation => "assay.evaluate.v1",
        }
    }

    /// The proof that a round waits for, if it waits for one.
    pub const fn due(phase: Phase) -> Option<Self> {
        match phase {
            Phase::Leased | Phase::Seeded => Some(Self::Training),
            Phase::Revealed => Some(Self::Evaluation),
            _ => None,
        }
    }

    /// The `job` of the proof's context, for the present round of a task.
    pub fn job(self, id: u64, task: &Task) -> B256 {
        keccak256((self.domain().to_owned(), U256::from(id), task.heads, task.rounds).abi_encode_params())
    }
}

/// A lease as it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Which round of the task.
    pub round: u32,
    /// What its proof of training is paid.
    pub price: u128,
    /// When it ends.
    pub until: u64,
    /// The block whose hash makes the seed.
    pub pinned: u64,
}

/// How a round ended without a proof of evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// Training was not proven in time: what of the bond is burned, and what waits for the next proof or the sponsor.
    Lost {
        /// Burned.
        burned: u128,
        /// Kept.
        kept: u128,
    },
    /// The sponsor revealed no shard, and paid this.
    NotRevealed {
        /// The most that the round could have gained.
        gain: u128,
    },
    /// Nobody proved the evaluation.
    NotEvaluated,
    /// A verifier of the task has ended.
    Void,
}

/// A `TrainingMarket` at an address. Amounts are in units of 10^-18 tokens, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training(Contract);

impl Training {
    /// The market at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "TrainingMarket" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// Its accounts, what waits to be burned, and whether it is paused.
    pub const fn ledger(&self) -> Ledger {
        Ledger(self.0)
    }

    /// Opens a task; the sender pays its escrow. Gives the task's id.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the task is not allowed or cannot be paid, or what the chain says.
    pub fn open(&self, chain: &mut dyn Chain, spec: &TaskSpec, uri: &str) -> Result<(u64, Done), Error> {
        let receipt = self.send(chain, &TrainingMarket::openCall { spec: spec.clone(), uri: uri.to_owned() })?;
        let event: Opened = self.0.event_in(chain, &receipt)?;
        Ok((self.small(chain, event.taskId)?, (&receipt).into()))
    }

    /// Takes the lease of a task's next round and its bond from the sender. `head` is the task's as the caller knows it, `path`
    /// leads from the dataset to those that the task takes (empty if it takes any), `max_bond` is the most that may be bonded, and
    /// the lease must last `min_seconds` from the block that includes the call, at most [`MAX_LEASE`].
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the task cannot be leased on these terms, [`Error::LeaseTooLong`] if none can, or what the chain says.
    #[allow(clippy::too_many_arguments, reason = "the terms of a lease, each of which the worker states")]
    pub fn lease(
        &self,
        chain: &mut dyn Chain,
        id: u64,
        head: B256,
        dataset: (B256, &[B256]),
        payout: Address,
        max_bond: u128,
        min_seconds: u64,
    ) -> Result<(Leased, Done), Error> {
        // The contract would take it for a block time, which every lease reaches.
        if min_seconds > MAX_LEASE {
            return Err(Error::LeaseTooLong { asked: min_seconds, longest: MAX_LEASE });
        }
        let call = TrainingMarket::leaseCall {
            taskId: U256::from(id),
            head,
            datasetId: dataset.0,
            allowed: dataset.1.to_vec(),
            payout,
            maxBond: max_bond,
            minUntil: super::time(min_seconds),
        };
        let receipt = self.send(chain, &call)?;
        let e: TrainingMarket::RoundLeased = self.0.event_in(chain, &receipt)?;
        let leased = Leased { round: e.round, price: e.price, until: e.until.to(), pinned: e.pinned.to() };
        Ok((leased, (&receipt).into()))
    }

    /// Fixes the seed of a task's round; anybody may, once its block is over and for 256 blocks. Gives the seed.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if it is too early, too late or done, or what the chain says.
    pub fn pin_seed(&self, chain: &mut dyn Chain, id: u64) -> Result<(B256, Done), Error> {
        let receipt = self.send(chain, &TrainingMarket::pinSeedCall { taskId: U256::from(id) })?;
        let event: TrainingMarket::Seeded = self.0.event_in(chain, &receipt)?;
        Ok((event.seed, (&receipt).into()))
    }

    /// Pays the price of a round for a proof of training, whoever sends it. `losses` are those of the steps, 8 bytes each as in the
    /// proof's public values; `uri` says where the trained weights are.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the proof is not accepted or the round takes none, or what the chain says.
    pub fn submit(
        &self,
        chain: &mut dyn Chain,
        id: u64,
        trained: B256,
        losses: &[u8],
        proof: &[u8],
        uri: &str,
    ) -> Result<(Trained, Done), Error> {
        let call = TrainingMarket::submitTrainCall {
            taskId: U256::from(id),
            trained,
            losses: Bytes::copy_from_slice(losses),
            proof: Bytes::copy_from_slice(proof),
            uri: uri.to_owned(),
        };
        let receipt = self.send(chain, &call)?;
        Ok((self.0.event_in(chain, &receipt)?, (&receipt).into()))
    }

    /// Opens the shard that a round's evaluation is about; `path` leads from it to the task's `holdout`.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if it is another shard, or the round waits for none, or what the chain says.
    pub fn reveal(
        &self,
        chain: &mut dyn Chain,
        id: u64,
        shard: &Shard,
        path: &[B256],
        uri: &str,
    ) -> Result<(Revealed, Done), Error> {
        let call = TrainingMarket::revealCall {
            taskId: U256::from(id),
            stackId: shard.stack_id,
            salt: shard.salt,
            path: path.to_vec(),
            uri: uri.to_owned(),
        };
        let receipt = self.send(chain, &call)?;
        Ok((self.0.event_in(chain, &receipt)?, (&receipt).into()))
    }

    /// Pays for the gain that a proof of evaluation shows, whoever sends it, and ends the round. `losses` are those of the head and of
    /// the trained weights, as in the proof's public values.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the proof is not accepted or the round takes none, or what the chain says.
    pub fn settle(
        &self,
        chain: &mut dyn Chain,
        id: u64,
        losses: (u64, u64),
        proof: &[u8],
    ) -> Result<(Evaluated, Done), Error> {
        let call = TrainingMarket::settleEvalCall {
            taskId: U256::from(id),
            before: losses.0,
            later: losses.1,
            proof: Bytes::copy_from_slice(proof),
        };
        let receipt = self.send(chain, &call)?;
        Ok((self.0.event_in(chain, &receipt)?, (&receipt).into()))
    }

    /// Ends a round whose time is over, or one of whose verifiers has ended; anybody may.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if there is no round or it has time, or what the chain says.
    pub fn finish(&self, chain: &mut dyn Chain, id: u64) -> Result<(RoundEnd, Done), Error> {
        let receipt = self.send(chain, &TrainingMarket::finishCall { taskId: U256::from(id) })?;
        let c = &self.0;
        let lost = c.events_in::<TrainingMarket::RoundLost>(&receipt).into_iter().next();
        let hidden = c.events_in::<TrainingMarket::NotRevealed>(&receipt).into_iter().next();
        let end = if let Some(e) = lost {
            RoundEnd::Lost { burned: e.burned, kept: e.kept }
        } else if let Some(e) = hidden {
            RoundEnd::NotRevealed { gain: e.gain }
        } else if !c.events_in::<TrainingMarket::NotEvaluated>(&receipt).is_empty() {
            RoundEnd::NotEvaluated
        } else if !c.events_in::<TrainingMarket::RoundVoid>(&receipt).is_empty() {
            RoundEnd::Void
        } else {
            return Err(c.unexpected(chain, "it did not report how the round ended"));
        };
        Ok((end, (&receipt).into()))
    }

    /// Credits a sponsor with what is left of a task and closes it: his own at any time between rounds, anybody's after the deadline
    /// or when one of its verifiers has ended. Gives what was credited.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the task is closed or it is not the time, or what the chain says.
    pub fn refund(&self, chain: &mut dyn Chain, id: u64) -> Result<(U256, Done), Error> {
        let receipt = self.send(chain, &TrainingMarket::refundCall { taskId: U256::from(id) })?;
        let event: TrainingMarket::TaskRefunded = self.0.event_in(chain, &receipt)?;
        Ok((event.amount, (&receipt).into()))
    }

    /// What the next proof of a task's round must be bound to.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if no proof is due, or what the chain says.
    pub fn context(&self, chain: &mut dyn Chain, id: u64) -> Result<B256, Error> {
        self.ask(chain, &TrainingMarket::contextOfCall { taskId: U256::from(id) })
    }

    /// Factor and start of the walk through the dataset's examples that the seed of a task's round gives.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if there is no seed, or what the chain says.
    pub fn walk(&self, chain: &mut dyn Chain, id: u64) -> Result<(u64, u64), Error> {
        let walk = self.ask(chain, &TrainingMarket::walkOfCall { taskId: U256::from(id) })?;
        Ok((walk.factor, walk.start))
    }

    /// What a lease now would lock, or the present round has locked.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with `NotOpen`, or what the chain says.
    pub fn current_price(&self, chain: &mut dyn Chain, id: u64) -> Result<u128, Error> {
        self.ask(chain, &TrainingMarket::currentPriceCall { taskId: U256::from(id) })
    }

    /// A task.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with `NotOpen` if there is none, or what the chain says.
    pub fn task(&self, chain: &mut dyn Chain, id: u64) -> Result<Task, Error> {
        self.ask(chain, &TrainingMarket::taskCall { taskId: U256::from(id) })
    }

    /// The present round of a task; all zero if there is none.
    ///
    /// # Errors
    ///
    /// As [`task`](Self::task).
    pub fn round(&self, chain: &mut dyn Chain, id: u64) -> Result<Round, Error> {
        self.ask(chain, &TrainingMarket::roundCall { taskId: U256::from(id) })
    }

    /// The number of tasks ever opened; ids count from 1.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn tasks(&self, chain: &mut dyn Chain) -> Result<u64, Error> {
        let tasks = self.ask(chain, &TrainingMarket::tasksCall {})?;
        self.small(chain, tasks)
    }

    /// What happened to a task in a range of blocks, both ends included, in order.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn history(
        &self,
        chain: &mut dyn Chain,
        id: u64,
        from: u64,
        to: u64,
    ) -> Result<Vec<(Event, TaskEvent)>, Error> {
        let topics = vec![None, Some(U256::from(id).into())];
        let events = chain.events(&Filter { address: self.0.address, from, to, topics })?;
        let decode = |event: Event| {
            let log = &event.log.data;
            let decoded = TaskEvent::decode_raw_log(log.topics(), &log.data)
                .map_err(|e| self.0.unexpected(chain, &format!("one of its events: {e}")))?;
            Ok((event, decoded))
        };
        events.into_iter().map(decode).collect()
    }

    /// The shards that any task showed in a range of blocks, both ends included, in order.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn revealed(&self, chain: &mut dyn Chain, from: u64, to: u64) -> Result<Vec<Revealed>, Error> {
        let events = self.0.events::<Revealed>(chain, (from, to), &[])?;
        Ok(events.into_iter().map(|(_, e)| e).collect())
    }

    fn send(&self, chain: &mut dyn Chain, call: &impl SolCall) -> Result<crate::chain::Receipt, Error> {
        self.0.send(chain, call).map_err(Error::of_training)
    }

    fn ask<C: SolCall>(&self, chain: &mut dyn Chain, call: &C) -> Result<C::Return, Error> {
        self.0.ask(chain, call).map_err(Error::of_training)
    }

    fn small(&self, chain: &dyn Chain, id: U256) -> Result<u64, Error> {
        u64::try_from(id).map_err(|_| self.0.unexpected(chain, "a task's id does not fit in 64 bits"))
    }

    pub(super) const fn contract(&self) -> Contract {
        self.0
    }
}
