//! How a system is set up.

use super::amount;
use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

const DAY: u32 = 86_400;

/// The constructors' arguments. Amounts are in units of 10^-18 tokens, and written as tokens; times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// The verifier takes keys for development powers of tau, and the deployer may add verifiers at once: for local chains.
    pub development: bool,
    /// Who gets the first tokens.
    pub genesis_holder: Address,
    /// How many.
    #[serde(with = "units")]
    pub genesis_amount: U256,
    /// Highest supply.
    #[serde(with = "units")]
    pub cap: U256,
    /// Highest part of burned fees that is made anew for workers, in 1/10000; at most 5000.
    pub kappa_bps: u16,
    /// Length of an epoch.
    pub epoch_seconds: u32,
    /// Most that workers get in the first epoch.
    #[serde(with = "units")]
    pub budget: U256,
    /// Most that votes can release in the first epoch.
    #[serde(with = "units")]
    pub public_budget: U256,
    /// Factor of both budgets from one epoch to the next, in 1/10000.
    pub decay_bps: u16,
    /// The treasury's part of prices, in 1/10000.
    pub protocol_bps: u16,
    /// Burned for 10^9 multiply-adds of proven work.
    #[serde(with = "units")]
    pub fee_per_billion_units: U256,
    /// Delay between a vote and its execution.
    pub timelock_seconds: u32,
    /// From a proposal to its vote.
    pub voting_delay: u32,
    /// Length of a vote.
    pub voting_period: u32,
    /// Votes that a proposal takes.
    #[serde(with = "units")]
    pub proposal_threshold: U256,
    /// Part of the supply that must vote, in percent.
    pub quorum_percent: u8,
    /// Least time to vote after the quorum is reached.
    pub late_extension: u32,
    /// Who can end verifiers and pause posting and leasing.
    pub guardian: Address,
    /// Who may add verifiers besides the timelock; zero for nobody.
    pub curator: Address,
    /// How long before that must be scheduled.
    pub curator_seconds: u32,
    /// Delay for changes of who may call what.
    pub admin_seconds: u32,
}

impl Parameters {
    /// A system for real use: verifiers are added by votes alone.
    pub fn standard(genesis_holder: Address, guardian: Address) -> Self {
        Self {
            development: false,
            genesis_holder,
            genesis_amount: amount::whole(100_000_000),
            cap: amount::whole(1_000_000_000),
            kappa_bps: 5_000,
            epoch_seconds: 7 * DAY,
            budget: amount::whole(1_000_000),
            public_budget: amount::whole(500_000),
            decay_bps: 9_900,
            protocol_bps: 200,
            fee_per_billion_units: amount::whole(1),
            timelock_seconds: 2 * DAY,
            voting_delay: DAY,
            voting_period: 5 * DAY,
            proposal_threshold: amount::whole(100_000),
            quorum_percent: 4,
            late_extension: 2 * DAY,
            guardian,
            curator: Address::ZERO,
            curator_seconds: 0,
            admin_seconds: 3 * DAY,
        }
    }

    /// A system to try things on a local chain: the deployer holds the tokens and adds verifiers without delay, epochs take an
    /// hour, and fees are high enough to be seen for small models. Nothing of value may depend on it.
    pub fn development(deployer: Address) -> Self {
        Self {
            development: true,
            epoch_seconds: 3_600,
            fee_per_billion_units: amount::whole(1_000),
            timelock_seconds: 60,
            voting_delay: 60,
            voting_period: 600,
            late_extension: 60,
            curator: deployer,
            admin_seconds: 0,
            ..Self::standard(deployer, deployer)
        }
    }
}

/// Amounts as text in tokens.
mod units {
    use crate::economy::amount;
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &U256, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&amount::tokens(*value).replace(',', ""))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<U256, D::Error> {
        let text = String::deserialize(d)?;
        amount::parse(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is no amount of tokens")))
    }
}
