//! Accounts of a market, whatever is proven there: what it owes, what waits to be burned, and whether it takes anything new.

use super::{
    abi::JobMarket,
    contract::{Contract, Done},
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;

/// What both markets inherit from `Market.sol` and `Ledger.sol`. Amounts are in units of 10^-18 tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger(pub(super) Contract);

impl Ledger {
    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// What an account can withdraw.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn claimable(&self, chain: &mut dyn Chain, account: Address) -> Result<U256, Error> {
        self.0.ask(chain, &JobMarket::claimableCall { account })
    }

    /// Sends an account what it is owed; anybody may. Gives the amount.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn withdraw(&self, chain: &mut dyn Chain, account: Address) -> Result<(U256, Done), Error> {
        let receipt = self.0.send(chain, &JobMarket::withdrawCall { account })?;
        let sent = self.0.events_in::<JobMarket::Withdrawn>(&receipt);
        Ok((sent.iter().filter(|e| e.account == account).map(|e| e.amount).sum(), (&receipt).into()))
    }

    /// Burns fees of settled work and parts of lost bonds. Gives how much.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn burn_fees(&self, chain: &mut dyn Chain) -> Result<(U256, Done), Error> {
        let receipt = self.0.send(chain, &JobMarket::burnFeesCall {})?;
        Ok((self.0.events_in::<JobMarket::FeesBurned>(&receipt).iter().map(|e| e.amount).sum(), (&receipt).into()))
    }

    /// What waits to be burned.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn unburned(&self, chain: &mut dyn Chain) -> Result<U256, Error> {
        self.0.ask(chain, &JobMarket::unburnedCall {})
    }

    /// Stops what takes tokens; the sender must be the guardian.
    ///
    /// # Errors
    ///
    /// [`Error::Reverted`] if the sender may not do that or it is paused, or what the chain says.
    pub fn pause(&self, chain: &mut dyn Chain) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &JobMarket::pauseCall {})?).into())
    }

    /// Allows it again; the sender must be the admin.
    ///
    /// # Errors
    ///
    /// As [`pause`](Self::pause).
    pub fn unpause(&self, chain: &mut dyn Chain) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &JobMarket::unpauseCall {})?).into())
    }

    /// Whether what takes tokens is stopped.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn paused(&self, chain: &mut dyn Chain) -> Result<bool, Error> {
        self.0.ask(chain, &JobMarket::pausedCall {})
    }

    /// The calldata of stopping or allowing: what a vote carries.
    pub fn pause_data(stop: bool) -> Bytes {
        if stop { JobMarket::pauseCall {}.abi_encode().into() } else { JobMarket::unpauseCall {}.abi_encode().into() }
    }

    /// What work for a verifier that is posted now pays on top of its price.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn work_fee(&self, chain: &mut dyn Chain, verifier_id: alloy_primitives::B256) -> Result<u128, Error> {
        self.0.ask(chain, &JobMarket::workFeeCall { verifierId: verifier_id })
    }
}
