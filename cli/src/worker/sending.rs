//! How workers send, and when what a transaction did is for good.

use crate::{
    economy::{EconomyArgs, System, units},
    error::Outcome,
};
use assay_contracts::is_local;
use clap::Args;
use std::time::Duration;

/// Where something is at stake.
const CONFIRMATIONS: u64 = 12;

/// What workers are told about their transactions.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SendingArgs {
    /// Most to pay for gas, in gwei: a proof waits while it is dearer, and a lease may end meanwhile
    #[arg(long, value_name = "GWEI", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) max_gas_price: u64,
    /// How long a transaction may wait until more is offered for its gas
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    pub(crate) raise_after: u64,
    /// How long a transaction may wait until the chain is asked anew what is true
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = units::duration)]
    pub(crate) receipt_timeout: u64,
    /// Blocks on top of a payment until it is for good, and its proof is dropped [default: 12; 0 on a local chain]
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) confirmations: Option<u64>,
}

impl SendingArgs {
    /// The deployed system, for a worker that has its account to itself: what waits is sent again with the same number and a
    /// higher offer.
    pub(crate) fn connect(&self, economy: &EconomyArgs) -> Outcome<System> {
        economy.connect_with(true, |o| {
            o.raise_after = Duration::from_secs(self.raise_after);
            o.receipt_timeout = Duration::from_secs(self.receipt_timeout);
            o.sole_sender = true;
            o.max_fee_per_gas = u128::from(self.max_gas_price) * 1_000_000_000;
        })
    }

    /// Blocks on top of a payment until it is for good.
    pub(crate) fn confirmations(&self, chain_id: u64) -> u64 {
        self.confirmations.unwrap_or(if is_local(chain_id) { 0 } else { CONFIRMATIONS })
    }
}

/// Whether a block has so many others on top of it.
pub(super) fn is_final(head: u64, block: u64, confirmations: u64) -> bool {
    head.checked_sub(block).is_some_and(|over| over >= confirmations)
}

#[cfg(test)]
mod tests {
    use super::is_final;

    #[test]
    fn a_block_beyond_the_head_is_not_final() {
        assert_eq!(
            [is_final(7, 7, 0), is_final(6, 7, 0), is_final(10, 7, 4), is_final(11, 7, 4)],
            [true, false, false, true]
        );
    }
}
