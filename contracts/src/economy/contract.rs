//! A contract at an address: calls whose answers must be exactly of their type, transactions, events.

use crate::{
    Error,
    chain::{Call, Chain, Event, Filter, Receipt},
};
use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolCall, SolEvent};

/// A transaction that is part of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its identity.
    pub hash: B256,
    /// The block that has it.
    pub block: u64,
    /// Gas charged.
    pub gas_used: u64,
}

impl From<&Receipt> for Done {
    fn from(r: &Receipt) -> Self {
        Self { hash: r.hash, block: r.block, gas_used: r.gas_used }
    }
}

/// Where a contract is, and what it is called in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contract {
    pub(super) address: Address,
    pub(super) name: &'static str,
}

impl Contract {
    pub(super) fn call_of(&self, call: &impl SolCall) -> Call {
        Call::new(self.address, call.abi_encode())
    }

    /// Calls and reads the answer; an answer that is not exactly of its type is refused.
    pub(super) fn ask<C: SolCall>(&self, chain: &mut dyn Chain, call: &C) -> Result<C::Return, Error> {
        let answer = chain.call(&self.call_of(call))?;
        if answer.is_empty() {
            self.check_something(chain)?;
        }
        C::abi_decode_returns_validate(&answer)
            .map_err(|e| self.unexpected(chain, &format!("{} returned {} bytes: {e}", C::SIGNATURE, answer.len())))
    }

    /// Sends a transaction that must succeed.
    pub(super) fn send(&self, chain: &mut dyn Chain, call: &impl SolCall) -> Result<Receipt, Error> {
        chain.send(&self.call_of(call))?.success(chain.place())
    }

    /// The events of a kind in a receipt that this contract itself wrote.
    pub(super) fn events_in<E: SolEvent>(&self, receipt: &Receipt) -> Vec<E> {
        let own = receipt.logs.iter().filter(|l| l.address == self.address);
        own.filter_map(|l| E::decode_log_data_validate(&l.data).ok()).collect()
    }

    /// The one event of a kind that a transaction must leave.
    pub(super) fn event_in<E: SolEvent>(&self, chain: &dyn Chain, receipt: &Receipt) -> Result<E, Error> {
        let event = self.events_in::<E>(receipt).into_iter().next();
        event.ok_or_else(|| self.unexpected(chain, &format!("it did not report {}", E::SIGNATURE)))
    }

    /// Events of a kind in a range of blocks, both ends included. `topics` are those behind the signature.
    pub(super) fn events<E: SolEvent>(
        &self,
        chain: &mut dyn Chain,
        blocks: (u64, u64),
        topics: &[Option<B256>],
    ) -> Result<Vec<(Event, E)>, Error> {
        let topics = [&[Some(E::SIGNATURE_HASH)], topics].concat();
        let filter = Filter { address: self.address, from: blocks.0, to: blocks.1, topics };
        let events = chain.events(&filter)?;
        let decode = |event: Event| {
            let decoded = E::decode_log_data_validate(&event.log.data)
                .map_err(|e| self.unexpected(chain, &format!("its event {}: {e}", E::SIGNATURE)))?;
            Ok((event, decoded))
        };
        events.into_iter().map(decode).collect()
    }

    fn check_something(&self, chain: &mut dyn Chain) -> Result<(), Error> {
        if chain.code(self.address)?.is_empty() {
            return Err(Error::NoContract { address: self.address, place: chain.place().to_owned() });
        }
        Ok(())
    }

    pub(super) fn unexpected(&self, chain: &dyn Chain, what: &str) -> Error {
        Error::NotAsDeclared {
            name: self.name,
            address: self.address,
            place: chain.place().to_owned(),
            what: what.to_owned(),
        }
    }
}
