//! The market: posting, leasing, fulfilling, refunds and withdrawals.

use super::{
    abi::JobMarket,
    contract::{Contract, Done},
    ledger::Ledger,
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;

pub use JobMarket::{Job, Spec, Status};

/// Seconds of the longest lease.
pub const MAX_LEASE: u64 = 7 * 86_400;
/// What is hashed into the context of a batch before its ids.
const BATCH_DOMAIN: &str = "assay.batch.v1";

/// The `job` of a proof's context: the id itself for one slot, else a hash of all of them.
pub fn context_job(ids: &[u64]) -> B256 {
    match ids {
        [one] => U256::from(*one).into(),
        _ => {
            let ids: Vec<U256> = ids.iter().map(|i| U256::from(*i)).collect();
            keccak256((BATCH_DOMAIN.to_owned(), ids).abi_encode_params())
        }
    }
}

/// What hides an input until it is proven: keccak256 of a salt and the input's public values.
pub fn input_commitment(salt: B256, input: &[u8]) -> B256 {
    keccak256([salt.as_slice(), input].concat())
}

/// A job as it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The job.
    pub id: u64,
    /// The block.
    pub block: u64,
    /// Who pays.
    pub requester: Address,
    /// What is asked for.
    pub spec: Spec,
    /// Burned when it is settled.
    pub work_fee: u128,
    /// The salt, if the input is public.
    pub salt: B256,
    /// The input's values; empty if only workers are told.
    pub input: Bytes,
}

impl Posted {
    /// Whether salt and input are public.
    pub fn is_public(&self) -> bool {
        !self.input.is_empty()
    }
}

/// A job that was paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fulfilled {
    /// The job.
    pub id: u64,
    /// Who was paid.
    pub payout: Address,
    /// The whole price.
    pub price: u128,
    /// What was credited to the worker: his part of the price, his bond, and what others lost.
    pub to_worker: u128,
    /// The proven outputs, 8 bytes each, big-endian two's complement.
    pub output: Bytes,
    /// The transaction.
    pub transaction: B256,
}

/// A `JobMarket` at an address. Amounts are in units of 10^-18 tokens, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market(Contract);

impl Market {
    /// The market at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "JobMarket" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// Its accounts, what waits to be burned, and whether it is paused.
    pub const fn ledger(&self) -> Ledger {
        Ledger(self.0)
    }

    /// Posts a job; the sender pays. With an empty input only its commitment is public. Gives the job's id.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the job is not allowed or cannot be paid, or what the chain says.
    pub fn post(&self, chain: &mut dyn Chain, spec: &Spec, salt: B256, input: &[u8]) -> Result<(u64, Done), Error> {
        let call = JobMarket::postCall { spec: spec.clone(), salt, input: Bytes::copy_from_slice(input) };
        let receipt = self.0.send(chain, &call)?;
        let event: JobMarket::Posted = self.0.event_in(chain, &receipt)?;
        Ok((self.small(chain, event.jobId)?, (&receipt).into()))
    }

    /// Takes leases on jobs and their bonds from the sender, all or none. `max_bonds` has, for each job, the most that may be
    /// bonded for it; each lease must last at least `min_seconds` from the block that includes the call, or it does nothing. A
    /// lease lasts at most [`MAX_LEASE`] seconds, and more is not asked for. Gives when the first of them ends.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if one of them cannot be leased on these terms, [`Error::LeaseTooLong`] if none can, or what the chain
    /// says.
    pub fn lease(
        &self,
        chain: &mut dyn Chain,
        ids: &[u64],
        payout: Address,
        max_bonds: &[u128],
        min_seconds: u64,
    ) -> Result<(u64, Done), Error> {
        // The contract would take it for a block time, which every lease reaches.
        if min_seconds > MAX_LEASE {
            return Err(Error::LeaseTooLong { asked: min_seconds, longest: MAX_LEASE });
        }
        let call = JobMarket::leaseCall {
            jobIds: numbers(ids),
            payout,
            maxBonds: max_bonds.to_vec(),
            minUntil: super::time(min_seconds),
        };
        let receipt = self.0.send(chain, &call)?;
        let leased = self.0.events_in::<JobMarket::Leased>(&receipt);
        let until = leased.iter().filter(|e| e.payout == payout).map(|e| e.until.to::<u64>()).min();
        let until = until.ok_or_else(|| self.0.unexpected(chain, "it did not report the lease"))?;
        Ok((until, (&receipt).into()))
    }

    /// Pays for proven jobs; anybody may send it. `ids` has a slot for each inference of the proof, zeros at the end for
    /// those that nobody pays for; `salts` has one for each id that is not zero.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the proof is not accepted or a job cannot be paid, or what the chain says.
    pub fn fulfil(
        &self,
        chain: &mut dyn Chain,
        ids: &[u64],
        salts: &[B256],
        payout: Address,
        public_values: &[u8],
        proof: &[u8],
    ) -> Result<(Vec<Fulfilled>, Done), Error> {
        let call = JobMarket::fulfilCall {
            jobIds: numbers(ids),
            salts: salts.to_vec(),
            payout,
            publicValues: Bytes::copy_from_slice(public_values),
            proof: Bytes::copy_from_slice(proof),
        };
        let receipt = self.0.send(chain, &call)?;
        let events = self.0.events_in::<JobMarket::Fulfilled>(&receipt);
        let paid = events.into_iter().map(|e| self.fulfilled(chain, e, receipt.hash)).collect::<Result<Vec<_>, _>>()?;
        let wanted = ids.iter().filter(|id| **id != 0);
        if !wanted.clone().all(|id| paid.iter().any(|p| p.id == *id && p.payout == payout)) {
            return Err(self.0.unexpected(chain, "it did not report the payment of every job"));
        }
        Ok((paid, (&receipt).into()))
    }

    /// Credits requesters with what is left of their jobs; anybody may, after deadlines. Gives what was credited.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if one of them has nothing to give back now, or what the chain says.
    pub fn refund(&self, chain: &mut dyn Chain, ids: &[u64]) -> Result<(U256, Done), Error> {
        let receipt = self.0.send(chain, &JobMarket::refundCall { jobIds: numbers(ids) })?;
        let amount = self.0.events_in::<JobMarket::Refunded>(&receipt).iter().map(|e| e.amount).sum();
        Ok((amount, (&receipt).into()))
    }

    /// Credits the royalties of an offer to its owner and its data recipient.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn collect_royalties(&self, chain: &mut dyn Chain, offer: B256) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &JobMarket::collectRoyaltiesCall { offerId: offer })?).into())
    }

    /// A job.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with `NotOpen` if there is none, or what the chain says.
    pub fn job(&self, chain: &mut dyn Chain, id: u64) -> Result<Job, Error> {
        self.0.ask(chain, &JobMarket::jobCall { jobId: U256::from(id) })
    }

    /// The number of jobs ever posted; ids count from 1.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn jobs(&self, chain: &mut dyn Chain) -> Result<u64, Error> {
        let jobs = self.0.ask(chain, &JobMarket::jobsCall {})?;
        self.small(chain, jobs)
    }

    /// What a lease or a fulfilment now would lock or pay.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with `NotOpen`, or what the chain says.
    pub fn current_price(&self, chain: &mut dyn Chain, id: u64) -> Result<u128, Error> {
        self.0.ask(chain, &JobMarket::currentPriceCall { jobId: U256::from(id) })
    }

    /// Jobs posted in a range of blocks, both ends included.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn posted(&self, chain: &mut dyn Chain, from: u64, to: u64) -> Result<Vec<Posted>, Error> {
        let events = self.0.events::<JobMarket::Posted>(chain, (from, to), &[])?;
        events.into_iter().map(|(at, e)| self.as_posted(chain, at.block, e)).collect()
    }

    /// Jobs of one verifier posted in a range of blocks, both ends included.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn posted_for(
        &self,
        chain: &mut dyn Chain,
        verifier_id: B256,
        from: u64,
        to: u64,
    ) -> Result<Vec<Posted>, Error> {
        let events = self.0.events::<JobMarket::Posted>(chain, (from, to), &[None, None, Some(verifier_id)])?;
        events.into_iter().map(|(at, e)| self.as_posted(chain, at.block, e)).collect()
    }

    /// How one job was posted, if it was in a range of blocks.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn posting(&self, chain: &mut dyn Chain, id: u64, from: u64, to: u64) -> Result<Option<Posted>, Error> {
        let events = self.0.events::<JobMarket::Posted>(chain, (from, to), &[Some(U256::from(id).into())])?;
        events.into_iter().next().map(|(at, e)| self.as_posted(chain, at.block, e)).transpose()
    }

    /// Payments in a range of blocks, both ends included: of one job, or of all.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn payments(
        &self,
        chain: &mut dyn Chain,
        id: Option<u64>,
        from: u64,
        to: u64,
    ) -> Result<Vec<Fulfilled>, Error> {
        let events = self.0.events::<JobMarket::Fulfilled>(chain, (from, to), &[id.map(|i| U256::from(i).into())])?;
        events.into_iter().map(|(at, e)| self.fulfilled(chain, e, at.transaction)).collect()
    }

    fn as_posted(&self, chain: &dyn Chain, block: u64, e: JobMarket::Posted) -> Result<Posted, Error> {
        Ok(Posted {
            id: self.small(chain, e.jobId)?,
            block,
            requester: e.requester,
            spec: e.spec,
            work_fee: e.workFee,
            salt: e.salt,
            input: e.input,
        })
    }

    fn fulfilled(&self, chain: &dyn Chain, e: JobMarket::Fulfilled, hash: B256) -> Result<Fulfilled, Error> {
        Ok(Fulfilled {
            id: self.small(chain, e.jobId)?,
            payout: e.payout,
            price: e.price,
            to_worker: e.toWorker,
            output: e.output,
            transaction: hash,
        })
    }

    fn small(&self, chain: &dyn Chain, id: U256) -> Result<u64, Error> {
        u64::try_from(id).map_err(|_| self.0.unexpected(chain, "a job's id does not fit in 64 bits"))
    }

    pub(super) const fn contract(&self) -> Contract {
        self.0
    }
}

fn numbers(ids: &[u64]) -> Vec<U256> {
    ids.iter().map(|i| U256::from(*i)).collect()
}
