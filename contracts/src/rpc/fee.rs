//! What a transaction offers for gas, and how an offer is raised.

use super::{GWEI, METHOD_NOT_FOUND, Rpc, wire::FeeHistory};
use crate::Error;
use alloy_primitives::U256;

/// What a transaction offers for gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fee {
    /// Priority fee and most in total, wei per gas.
    Dynamic(u128, u128),
    /// Before EIP-1559.
    Legacy(u128),
}

impl Fee {
    pub(super) fn most(&self) -> u128 {
        match self {
            Self::Dynamic(_, most) | Self::Legacy(most) => *most,
        }
    }

    /// The least offer that nodes take in place of this one, or the market's if that is higher: nodes ask for an eighth
    /// more at most, in both parts.
    pub(super) fn raised(&self, market: &Self) -> Self {
        let more = |x: u128| x.saturating_add(x / 4).saturating_add(1);
        match *self {
            Self::Dynamic(tip, most) => {
                let asked = if let Self::Dynamic(tip, _) = market { *tip } else { 0 };
                let most = more(most).max(market.most());
                Self::Dynamic(more(tip).max(asked).min(most), most)
            }
            Self::Legacy(price) => Self::Legacy(more(price).max(market.most())),
        }
    }
}

impl Rpc {
    pub(super) fn quantity(&self, what: &str, value: U256) -> Result<u128, Error> {
        u128::try_from(value).map_err(|_| self.bad(&format!("its {what} is out of all proportion")))
    }

    /// The price of the next block with room for it to double, within the limit.
    pub(super) fn fee(&self) -> Result<Fee, Error> {
        let history: Result<FeeHistory, Error> =
            self.ask("eth_feeHistory", (U256::from(1), "latest", Vec::<u8>::new()));
        let base = match history {
            Ok(history) => history.base_fee_per_gas.last().copied().unwrap_or_default(),
            Err(Error::Refused { .. }) => U256::ZERO,
            Err(e) => return Err(e),
        };
        let base = self.quantity("base fee", base)?;
        let fee = if base == 0 {
            Fee::Legacy(self.quantity("gas price", self.ask("eth_gasPrice", ())?)?)
        } else {
            let tip = match self.ask("eth_maxPriorityFeePerGas", ()) {
                Ok(tip) => self.quantity("priority fee", tip)?,
                Err(Error::Refused { code: METHOD_NOT_FOUND, .. }) => GWEI,
                Err(e) => return Err(e),
            };
            Fee::Dynamic(tip, base.saturating_mul(2).saturating_add(tip))
        };
        let limit = self.options.max_fee_per_gas;
        match fee {
            // Room to double is given up before the transaction is.
            Fee::Dynamic(tip, most) if most > limit && base.saturating_add(tip) <= limit => {
                Ok(Fee::Dynamic(tip, limit))
            }
            fee if fee.most() > limit => Err(Error::FeeTooHigh { endpoint: self.shown(), asked: fee.most(), limit }),
            fee => Ok(fee),
        }
    }

    /// A higher offer, if a limit allows one.
    pub(super) fn raise(&self, fee: &Fee, limit: u128) -> Option<Fee> {
        let market = self.fee().unwrap_or(*fee);
        let raised = fee.raised(&market);
        (raised.most() <= limit).then_some(raised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_offer_is_an_eighth_higher_in_both_parts() {
        for (tip, most) in [(0, 1), (1, 7), (3, 1_000), (GWEI, 40 * GWEI), (u128::MAX / 2, u128::MAX - 1)] {
            let fee = Fee::Dynamic(tip, most);
            let Fee::Dynamic(t, m) = fee.raised(&fee) else { panic!("another kind") };
            assert!(t <= m && m > most - most / 8 && (m >= most.saturating_add(most / 8)), "{tip} {most}");
            assert!(t >= tip.saturating_add(tip / 8).min(m), "{tip} {most}");
        }
        assert_eq!(Fee::Legacy(8).raised(&Fee::Legacy(100)), Fee::Legacy(100));
        assert_eq!(Fee::Dynamic(1, 10).raised(&Fee::Dynamic(9, 100)), Fee::Dynamic(9, 100));
    }
}
