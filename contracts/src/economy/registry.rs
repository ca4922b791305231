//! Which verifiers may release rewards, and offers of models.

use super::{
    abi::{ModelRegistry, VerifierRegistry},
    contract::{Contract, Done},
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};

pub use ModelRegistry::Offer;
pub use VerifierRegistry::Entry;

/// Most entries that are listed.
pub const MAX_LISTED: u64 = 10_000;

/// What a new entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The `AssayVerifier`.
    pub verifier: Address,
    /// keccak256 of the key.
    pub settlement_id: B256,
    /// Identity of graph and weights.
    pub model_id: B256,
    /// Inferences in one proof.
    pub batch: u32,
    /// Multiply-adds of one inference.
    pub work_units: u64,
}

impl NewEntry {
    fn call(&self) -> VerifierRegistry::addCall {
        VerifierRegistry::addCall {
            verifier: self.verifier,
            settlementId: self.settlement_id,
            modelId: self.model_id,
            batch: self.batch,
            workUnits: self.work_units,
        }
    }

    /// The calldata that adds it: what a vote or a scheduled operation carries.
    pub fn calldata(&self) -> Bytes {
        self.call().abi_encode().into()
    }
}

/// A `VerifierRegistry` at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registry(Contract);

impl Registry {
    /// The registry at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "VerifierRegistry" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// Adds an entry; the sender must be a curator. Gives its id.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the sender may not do that or the entry is wrong, or what the chain says.
    pub fn add(&self, chain: &mut dyn Chain, entry: &NewEntry) -> Result<(B256, Done), Error> {
        let receipt = self.0.send(chain, &entry.call())?;
        let event: VerifierRegistry::Added = self.0.event_in(chain, &receipt)?;
        Ok((event.verifierId, (&receipt).into()))
    }

    /// Ends an entry for good; the sender must be the guardian.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the sender may not do that, or what the chain says.
    pub fn tombstone(&self, chain: &mut dyn Chain, id: B256) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &VerifierRegistry::tombstoneCall { verifierId: id })?).into())
    }

    /// Whether proofs for an id may release rewards.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn is_active(&self, chain: &mut dyn Chain, id: B256) -> Result<bool, Error> {
        self.0.ask(chain, &VerifierRegistry::isActiveCall { verifierId: id })
    }

    /// An entry.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with `UnknownVerifier`, or what the chain says.
    pub fn entry(&self, chain: &mut dyn Chain, id: B256) -> Result<Entry, Error> {
        self.0.ask(chain, &VerifierRegistry::entryCall { verifierId: id })
    }

    /// The number of entries, active or not: it only rises.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn count(&self, chain: &mut dyn Chain) -> Result<u64, Error> {
        let count = self.0.ask(chain, &VerifierRegistry::countCall {})?;
        u64::try_from(count).map_err(|_| self.0.unexpected(chain, "it counts more entries than fit"))
    }

    /// All entries with their ids, in the order of their addition, active or not; at most [`MAX_LISTED`], the newest.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn entries(&self, chain: &mut dyn Chain) -> Result<Vec<(B256, Entry)>, Error> {
        let count = self.count(chain)?;
        let one = |i: u64| {
            let id = self.0.ask(chain, &VerifierRegistry::idAtCall { index: U256::from(i) })?;
            Ok((id, self.entry(chain, id)?))
        };
        (count.saturating_sub(MAX_LISTED)..count).map(one).collect()
    }

    pub(super) const fn contract(&self) -> Contract {
        self.0
    }
}

/// The terms of an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The owner's part of prices in 1/10000.
    pub royalty_bps: u16,
    /// Who is paid for training data; zero if nobody is.
    pub data_recipient: Address,
    /// The part for the data in 1/10000.
    pub data_bps: u16,
    /// Where to read about the model.
    pub uri: String,
}

/// The id of an offer: everything is in it.
pub fn offer_id(model_id: B256, owner: Address, terms: &Terms) -> B256 {
    let (royalty, data) = (U256::from(terms.royalty_bps), U256::from(terms.data_bps));
    keccak256((model_id, owner, royalty, terms.data_recipient, data).abi_encode())
}

/// A `ModelRegistry` at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Models(Contract);

impl Models {
    /// The registry at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "ModelRegistry" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// Makes an offer of the sender. Gives its id.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the terms are not allowed or the offer exists, or what the chain says.
    pub fn offer(&self, chain: &mut dyn Chain, verifier_id: B256, terms: &Terms) -> Result<(B256, Done), Error> {
        let call = ModelRegistry::offerCall {
            verifierId: verifier_id,
            royaltyBps: terms.royalty_bps,
            dataRecipient: terms.data_recipient,
            dataBps: terms.data_bps,
            uri: terms.uri.clone(),
        };
        let receipt = self.0.send(chain, &call)?;
        let event: ModelRegistry::Offered = self.0.event_in(chain, &receipt)?;
        Ok((event.offerId, (&receipt).into()))
    }

    /// An offer.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] with `UnknownOffer`, or what the chain says.
    pub fn get(&self, chain: &mut dyn Chain, id: B256) -> Result<Offer, Error> {
        self.0.ask(chain, &ModelRegistry::getCall { offerId: id })
    }

    /// The offers for a model, oldest first, from their events in a range of blocks, both ends included: others may make as
    /// many offers for other models as they like.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn offers_for(
        &self,
        chain: &mut dyn Chain,
        model: B256,
        from: u64,
        to: u64,
    ) -> Result<Vec<(B256, Offer)>, Error> {
        let events = self.0.events::<ModelRegistry::Offered>(chain, (from, to), &[None, Some(model)])?;
        events.into_iter().map(|(_, e)| Ok((e.offerId, self.get(chain, e.offerId)?))).collect()
    }

    /// All offers with their ids, in the order of their making; at most [`MAX_LISTED`], the newest.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn offers(&self, chain: &mut dyn Chain) -> Result<Vec<(B256, Offer)>, Error> {
        let count = self.0.ask(chain, &ModelRegistry::countCall {})?;
        let count = u64::try_from(count).map_err(|_| self.0.unexpected(chain, "it counts more offers than fit"))?;
        let one = |i: u64| {
            let id = self.0.ask(chain, &ModelRegistry::idAtCall { index: U256::from(i) })?;
            Ok((id, self.get(chain, id)?))
        };
        (count.saturating_sub(MAX_LISTED)..count).map(one).collect()
    }

    pub(super) const fn contract(&self) -> Contract {
        self.0
    }
}
