//! The token.

use super::{
    abi::AssayToken,
    contract::{Contract, Done},
};
use crate::{Error, chain::Chain};
use alloy_primitives::{Address, U256};

/// An `AssayToken` at an address. Amounts are in units of 10^-18 tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(Contract);

impl Token {
    /// The token at an address, unchecked; [`Deployment::check`](super::Deployment::check) checks.
    pub const fn at(address: Address) -> Self {
        Self(Contract { address, name: "AssayToken" })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.0.address
    }

    /// What an account has.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn balance(&self, chain: &mut dyn Chain, account: Address) -> Result<U256, Error> {
        self.0.ask(chain, &AssayToken::balanceOfCall { account })
    }

    /// All tokens there are.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn supply(&self, chain: &mut dyn Chain) -> Result<U256, Error> {
        self.0.ask(chain, &AssayToken::totalSupplyCall {})
    }

    /// What an account lets another take.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn allowance(&self, chain: &mut dyn Chain, owner: Address, spender: Address) -> Result<U256, Error> {
        self.0.ask(chain, &AssayToken::allowanceCall { owner, spender })
    }

    /// Lets an account take tokens of the sender.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn approve(&self, chain: &mut dyn Chain, spender: Address, value: U256) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &AssayToken::approveCall { spender, value })?).into())
    }

    /// Approves `value` unless at least `needed` is approved already.
    ///
    /// # Errors
    ///
    /// [`Error::NoSigner`], or what the chain says.
    pub fn ensure_allowance(
        &self,
        chain: &mut dyn Chain,
        spender: Address,
        needed: U256,
        value: U256,
    ) -> Result<Option<Done>, Error> {
        let owner = chain.sender().ok_or_else(|| Error::NoSigner { place: chain.place().to_owned() })?;
        if self.allowance(chain, owner, spender)? >= needed {
            return Ok(None);
        }
        self.approve(chain, spender, value).map(Some)
    }

    /// Sends tokens.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn transfer(&self, chain: &mut dyn Chain, to: Address, value: U256) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &AssayToken::transferCall { to, value })?).into())
    }

    /// Lets an account vote with the sender's tokens; itself, too, must be named.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn delegate(&self, chain: &mut dyn Chain, to: Address) -> Result<Done, Error> {
        Ok((&self.0.send(chain, &AssayToken::delegateCall { delegatee: to })?).into())
    }

    /// Votes of an account: tokens of everybody who delegated to it.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn votes(&self, chain: &mut dyn Chain, account: Address) -> Result<U256, Error> {
        self.0.ask(chain, &AssayToken::getVotesCall { account })
    }

    pub(super) const fn contract(&self) -> Contract {
        self.0
    }
}
