//! Data that training can be paid for.

use super::{
    abi::DatasetRegistry,
    contract::{Contract, Done},
    registry::MAX_LISTED,
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;

pub use DatasetRegistry::{Dataset, Terms as DatasetTerms};

/// The id of an entry: everything is in it.
pub fn dataset_id(stack_id: B256, owner: Address, terms: &DatasetTerms) -> B256 {
    keccak256((stack_id, owner, terms.licenceHash, U256::from(terms.royaltyBps), terms.recipient).abi_encode())
}

/// An entry as it was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The entry.
    pub dataset_id: B256,
    /// The stack.
    pub stack_id: B256,
    /// Who registered it.
    pub owner: Address,
    /// Canonical bytes of the stack's schema.
    pub schema: Bytes,
    /// Where to read about it, in the owner's word.
    pub uri: String,
}

/// A `DatasetRegistry` at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datasets(Contract);

impl Datasets {
    /// The registry at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "DatasetRegistry" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// Registers a stack of the sender's: canonical bytes of its schema, keccak of `[tau]_2`, commitments to its rows of 64
    /// bytes each. The contract derives everything else. Gives the entry's id.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the stack is not well-formed, its tensors differ in their number of examples, the terms are not
    /// allowed or the entry exists, or what the chain says.
    pub fn register(
        &self,
        chain: &mut dyn Chain,
        stack: (&[u8], B256, &[u8]),
        terms: &DatasetTerms,
        uri: &str,
    ) -> Result<(B256, Done), Error> {
        let (schema, srs_hash, rows) = stack;
        let call = DatasetRegistry::registerCall {
            schema: Bytes::copy_from_slice(schema),
            srsHash: srs_hash,
            rows: Bytes::copy_from_slice(rows),
            terms: terms.clone(),
            uri: uri.to_owned(),
        };
        let receipt = self.0.send(chain, &call)?;
        let event: DatasetRegistry::Registered = self.0.event_in(chain, &receipt)?;
        Ok((event.datasetId, (&receipt).into()))
    }

    /// Ends new leases on a dataset, for good; the sender must be its owner.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if it is not or the dataset was retired before, or what the chain says.
    pub fn retire(&self, chain: &mut dyn Chain, id: B256) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &DatasetRegistry::retireCall { datasetId: id })?).into())
    }

    /// An entry.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with `UnknownDataset`, or what the chain says.
    pub fn get(&self, chain: &mut dyn Chain, id: B256) -> Result<Dataset, Error> {
        self.0.ask(chain, &DatasetRegistry::getCall { datasetId: id })
    }

    /// The number of entries, retired or not: it only rises.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn count(&self, chain: &mut dyn Chain) -> Result<u64, Error> {
        let count = self.0.ask(chain, &DatasetRegistry::countCall {})?;
        u64::try_from(count).map_err(|_| self.0.unexpected(chain, "it counts more datasets than fit"))
    }

    /// All entries with their ids, in the order of their registration; at most [`MAX_LISTED`], the newest.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn all(&self, chain: &mut dyn Chain) -> Result<Vec<(B256, Dataset)>, Error> {
        let count = self.count(chain)?;
        let one = |i: u64| {
            let id = self.0.ask(chain, &DatasetRegistry::idAtCall { index: U256::from(i) })?;
            Ok((id, self.get(chain, id)?))
        };
        (count.saturating_sub(MAX_LISTED)..count).map(one).collect()
    }

    /// How an entry was registered, if it was in a range of blocks, both ends included.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn registration(
        &self,
        chain: &mut dyn Chain,
        id: B256,
        from: u64,
        to: u64,
    ) -> Result<Option<Registered>, Error> {
        let events = self.0.events::<DatasetRegistry::Registered>(chain, (from, to), &[Some(id)])?;
        Ok(events.into_iter().next().map(|(_, e)| Registered {
            dataset_id: e.datasetId,
            stack_id: e.stackId,
            owner: e.owner,
            schema: e.schema,
            uri: e.uri,
        }))
    }
}
