//! Tokens for bonds, ether for gas, and the pay.

use super::{Trouble, Worker, choose::Batch, policy::in_tokens};
use crate::{
    economy::{explained, units},
    error::Outcome,
};
use assay_contracts::U256;
use serde_json::json;

/// Ether is there for so many times what leasing and handing in would cost now: prices rise while a proof is made.
const RESERVE: u64 = 2;
/// Gas of an approval and a withdrawal.
const APPROVE_GAS: u64 = 60_000;
const WITHDRAW_GAS: u64 = 80_000;
/// A withdrawal pays if it brings so many times its gas.
const WORTH: u128 = 20;

impl Worker<'_> {
    /// Tokens that bonds can be paid with: what the account has, and what the market owes it.
    pub(super) fn purse(&mut self) -> Result<U256, Trouble> {
        let mut all = self.system.at.token().balance(self.system.chain.as_mut(), self.sender)?;
        if self.payout == self.sender {
            all += self.system.at.market().ledger().claimable(self.system.chain.as_mut(), self.payout)?;
        }
        Ok(all)
    }

    /// Whether the account can pay the gas of a batch, lease to payment. A lease without that would cost its bond.
    pub(super) fn has_ether(&mut self, jobs: usize) -> Result<bool, Trouble> {
        let price = self.system.chain.gas_price()?;
        let gas = (self.gas.of(jobs) + APPROVE_GAS) * RESERVE;
        let needed = U256::from(gas) * U256::from(price);
        let balance = self.system.chain.balance(self.sender)?;
        if balance >= needed {
            return Ok(true);
        }
        let text = format!(
            "account {} has {balance} wei and {needed} are needed before a job is taken: send it ether; what is begun is \
             still handed in",
            self.sender
        );
        let fields =
            json!({ "account": self.sender.to_string(), "balance": balance.to_string(), "needed": needed.to_string() });
        self.log("out_of_ether", &text, fields);
        Ok(false)
    }

    /// Has the tokens for bonds at hand and lets the market take exactly as many.
    pub(super) fn fund(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let (token, market) = (self.system.at.token(), self.system.at.market());
        if token.balance(self.system.chain.as_mut(), self.sender)? < batch.bonds && self.payout == self.sender {
            self.try_withdraw()?;
        }
        let chain = self.system.chain.as_mut();
        token.ensure_allowance(chain, market.address(), batch.bonds, batch.bonds)?;
        Ok(())
    }

    /// Collects the pay if that is worth its gas, or at the end. It is not lost if that fails: it stays in the market, and
    /// the next time collects all.
    pub(super) fn withdraw(&mut self, end: bool) {
        let done = match self.is_worth_withdrawing(end) {
            Ok(true) => self.try_withdraw(),
            Ok(false) => return,
            Err(e) => Err(e),
        };
        if let Err(e) = done {
            let market = self.system.at.market().address();
            let e = match e {
                Trouble::Node(e) => explained(e),
                Trouble::Fatal(f) => f,
            };
            self.app.output.warn(format!("the pay is still in the market {market}: {e}"));
        }
    }

    fn is_worth_withdrawing(&mut self, end: bool) -> Result<bool, Trouble> {
        let owed = self.system.at.market().ledger().claimable(self.system.chain.as_mut(), self.payout)?;
        if owed.is_zero() {
            return Ok(false);
        }
        let price = self.system.chain.gas_price()?;
        let cost = in_tokens(WITHDRAW_GAS, price, self.args.ether_price.unwrap_or(0));
        let least = if end { cost } else { self.args.withdraw_at.unwrap_or(cost.saturating_mul(WORTH)) };
        Ok(owed >= U256::from(least))
    }

    fn try_withdraw(&mut self) -> Result<(), Trouble> {
        let (market, payout) = (self.system.at.market(), self.payout);
        let chain = self.system.chain.as_mut();
        if market.ledger().claimable(chain, payout)?.is_zero() {
            return Ok(());
        }
        let (amount, _) = market.ledger().withdraw(chain, payout)?;
        self.counts.withdrawn += amount;
        let fields = json!({ "amount": amount.to_string(), "payout": payout.to_string() });
        self.log("withdrawn", &format!("{} to {payout}", units::shown(amount)), fields);
        Ok(())
    }

    pub(super) fn say_short(&self, needed: U256, has: U256) {
        self.app.output.warn(format!(
            "account {} has {} and needs {} for the bonds; send it tokens to take more jobs",
            self.sender,
            units::shown(has),
            units::shown(needed)
        ));
    }

    /// The verifier of jobs has ended: nobody can be paid for them, and bonds go back to who has leases.
    pub(super) fn bonds_back(&mut self, ids: &[u64]) -> Outcome<U256> {
        let market = self.system.at.market();
        let before = market.ledger().claimable(self.system.chain.as_mut(), self.payout)?;
        market.refund(self.system.chain.as_mut(), ids).map_err(explained)?;
        Ok(market.ledger().claimable(self.system.chain.as_mut(), self.payout)?.saturating_sub(before))
    }
}
