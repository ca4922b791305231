//! Rewards for proven work.

use super::{
    abi::EmissionController,
    contract::{Contract, Done},
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, U256};

pub use EmissionController::Stats;

/// An `EmissionController` at an address. Amounts are in units of 10^-18 tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission(Contract);

/// Most epochs of one claim.
pub const MAX_EPOCHS: usize = 256;

impl Emission {
    /// The controller at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "EmissionController" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// The present epoch.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn epoch(&self, chain: &mut dyn Chain) -> Result<u64, Error> {
        let epoch = self.0.ask(chain, &EmissionController::currentEpochCall {})?;
        u64::try_from(epoch).map_err(|_| self.0.unexpected(chain, "its epoch does not fit in 64 bits"))
    }

    /// Seconds of an epoch.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn epoch_length(&self, chain: &mut dyn Chain) -> Result<u64, Error> {
        let length = self.0.ask(chain, &EmissionController::epochLengthCall {})?;
        u64::try_from(length).map_err(|_| self.0.unexpected(chain, "its epochs have no sensible length"))
    }

    /// What a worker is owed for an epoch; an estimate for the present one.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn reward(&self, chain: &mut dyn Chain, epoch: u64, worker: Address) -> Result<U256, Error> {
        self.0.ask(chain, &EmissionController::rewardCall { epoch: U256::from(epoch), worker })
    }

    /// Statistics of an epoch.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn stats(&self, chain: &mut dyn Chain, epoch: u64) -> Result<Stats, Error> {
        self.0.ask(chain, &EmissionController::statsCall { epoch: U256::from(epoch) })
    }

    /// Epochs that are over and owe a worker something, found from the events of his settlements since a block; at most
    /// [`MAX_EPOCHS`], the oldest.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn owed(&self, chain: &mut dyn Chain, worker: Address, since: u64) -> Result<Vec<u64>, Error> {
        let head = chain.head()?.number;
        let topics = [None, Some(worker.into_word())];
        let recorded = self.0.events::<EmissionController::Recorded>(chain, (since, head), &topics)?;
        let current = self.epoch(chain)?;
        let mut epochs: Vec<u64> = recorded.iter().filter_map(|(_, e)| u64::try_from(e.epoch).ok()).collect();
        epochs.retain(|e| *e < current);
        epochs.sort_unstable();
        epochs.dedup();
        let mut owed = Vec::new();
        for epoch in epochs {
            if owed.len() == MAX_EPOCHS {
                break;
            }
            if !self.reward(chain, epoch, worker)?.is_zero() {
                owed.push(epoch);
            }
        }
        Ok(owed)
    }

    /// Makes the rewards of epochs that are over, for a worker; anybody may. Gives what was made.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if an epoch is not over, or what the chain says.
    pub fn claim(&self, chain: &mut dyn Chain, worker: Address, epochs: &[u64]) -> Result<(U256, Done), Error> {
        let epochs = epochs.iter().map(|e| U256::from(*e)).collect();
        let receipt = self.0.send(chain, &EmissionController::claimCall { worker, epochs })?;
        let rewarded = self.0.events_in::<EmissionController::Rewarded>(&receipt);
        let amount = rewarded.iter().filter(|e| e.worker == worker).map(|e| e.amount).sum();
        Ok((amount, (&receipt).into()))
    }

    pub(super) const fn contract(&self) -> Contract {
        self.0
    }
}
