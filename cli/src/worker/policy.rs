//! What is worth taking: time, price and luck, as functions of numbers alone.

use crate::{
    App,
    cost::{self, Machine},
    economy::work::Served,
    error::{Failure, Outcome},
    training,
};
use assay_circuits::{Graph, Visibility, stack::NamedStack};
use assay_contracts::U256;
use std::collections::VecDeque;

/// Blocks until a transaction is included: one of them may miss it.
pub(super) const INCLUSION: u64 = 2;
/// Proofs whose times are remembered.
const REMEMBERED: usize = 8;
/// How much longer than the longest of them a proof may take: other work on the machine.
const MEASURED: f64 = 1.5;
/// How much longer than the estimate the first proof may take.
const ESTIMATED: f64 = 3.0;
/// Seconds per row of a settlement circuit, two cores.
const SETTLE_ROW: f64 = 150e-6;
/// Bytes a second that a proof travels with at least.
const UPLOAD: u64 = 1 << 16;
/// Gas of a lease of one job, and of a fulfilment of one job, before any was measured.
const LEASE_GAS: u64 = 180_000;
const FULFIL_GAS: u64 = 900_000;

/// How long proofs of one verifier take on this machine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pace {
    estimate: f64,
    measured: VecDeque<f64>,
}

impl Pace {
    /// A pace that rests on an estimate, in seconds.
    pub(super) fn estimated(estimate: f64) -> Self {
        Self { estimate, measured: VecDeque::new() }
    }

    /// The estimate of `assay estimate`, and the settlement's rows.
    pub(super) fn of(app: &App, served: &Served) -> Outcome<Self> {
        let descriptor = &served.prepared.prover.key.descriptor;
        let core = cost::estimate(
            &app.machine(),
            &served.model().graph,
            served.batch(),
            visibility(),
            Some(descriptor.row_bits),
        )?;
        let settle = (descriptor.circuit.k as f64).exp2() * SETTLE_ROW;
        Ok(Self::estimated(core.prove_seconds() + settle * Machine::slowdown()))
    }

    /// The same for training or an evaluation over stacks, whose settlement's circuit has `2^k` rows; and the bytes of memory that a
    /// proof takes.
    pub(super) fn over(app: &App, graph: &Graph, stacks: &[NamedStack], k: usize) -> Outcome<(Self, u64)> {
        let visibility = training::shape().visibility();
        let core = cost::estimate_linked(&app.machine(), graph, 1, visibility, None, stacks)?;
        let settle = (k as f64).exp2() * SETTLE_ROW;
        let memory = cost::settlement::memory(core.memory_bytes()?, core.meter.multiplications, k);
        Ok((Self::estimated(core.prove_seconds() + settle * Machine::slowdown()), memory))
    }

    /// A proof took so many seconds.
    pub(super) fn measure(&mut self, seconds: f64) {
        self.measured.push_back(seconds);
        if self.measured.len() > REMEMBERED {
            self.measured.pop_front();
        }
    }

    /// Seconds that the next proof takes at most, as far as one can tell.
    pub(super) fn bound(&self) -> f64 {
        let longest = self.measured.iter().copied().reduce(f64::max);
        longest.map_or(self.estimate * ESTIMATED, |s| s * MEASURED)
    }
}

fn visibility() -> Visibility {
    Visibility { inputs: true, outputs: true, weights: false }
}

/// Seconds that must be left when a lease begins: the proof, its way to the chain, and the blocks until it is included.
pub(super) fn needed(pace: &Pace, interval: u64, proof_bytes: usize) -> u64 {
    let proof = (pace.bound().ceil() as u64).saturating_add(1);
    let way = (proof_bytes as u64).div_ceil(UPLOAD);
    proof.saturating_add(way).saturating_add(INCLUSION * interval)
}

/// Gas that was charged for leases and fulfilments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gas {
    /// A job.
    lease: Option<u64>,
    /// A proof.
    fulfil: Option<u64>,
}

impl Gas {
    pub(super) fn leased(&mut self, gas: u64, jobs: usize) {
        self.lease = Some(gas.div_ceil(jobs.max(1) as u64));
    }

    pub(super) fn fulfilled(&mut self, gas: u64) {
        self.fulfil = Some(gas.max(self.fulfil.unwrap_or(0)));
    }

    /// Gas to lease so many jobs and hand in their proof.
    pub(super) fn of(&self, jobs: usize) -> u64 {
        let jobs = jobs.max(1) as u64;
        let more = 60_000 * (jobs - 1);
        self.lease.unwrap_or(LEASE_GAS) * jobs + self.fulfil.map_or(FULFIL_GAS + more, |g| g + g / 8)
    }
}

/// Where gas costs something, a worker must know what a job has to leave: jobs that pay a millionth of a token each, posted by
/// the hundred, would have it burn its ether.
pub(super) fn check_terms(local: bool, min_price: Option<u128>, ether_price: Option<u128>) -> Outcome<()> {
    if local || min_price.is_some_and(|p| p > 0) || ether_price.is_some_and(|p| p > 0) {
        return Ok(());
    }
    Err(Failure::new("gas costs something on this chain, and nothing says which jobs are worth it").help(
        "pass what an ether is worth in tokens, --ether-price TOKENS, or the least that a job must leave, --min-price TOKENS",
    ))
}

/// What gas costs in tokens: units of 10^-18 tokens for `gas`, at a price in wei per gas and of an ether in such units.
pub(super) fn in_tokens(gas: u64, wei_per_gas: u128, ether: u128) -> u128 {
    let wei = U256::from(gas) * U256::from(wei_per_gas);
    let tokens = wei.saturating_mul(U256::from(ether)) / U256::from(10u128.pow(18));
    u128::try_from(tokens).unwrap_or(u128::MAX)
}

/// What a price leaves to the worker: without the parts of owner, data and treasury, in 1/10000, and the gas.
pub(super) fn net(price: u128, parts_bps: u32, cost: u128) -> u128 {
    let parts = U256::from(price) * U256::from(parts_bps) / U256::from(10_000);
    // Each part is rounded down, so the worker gets no less.
    price.saturating_sub(u128::try_from(parts).unwrap_or(u128::MAX)).saturating_sub(cost)
}

/// Seconds until a rising price leaves `least` to the worker; none if it never does.
pub(super) fn until_worth(
    ramp: (u64, u64),
    prices: (u128, u128),
    now: u64,
    least: u128,
    net: impl Fn(u128) -> u128,
) -> Option<u64> {
    if net(prices.1) < least {
        return None;
    }
    let price_at = |t: u64| {
        let (start, end) = ramp;
        if t < start {
            prices.0
        } else if t >= end {
            prices.1
        } else {
            let part = U256::from(prices.1 - prices.0) * U256::from(t - start) / U256::from(end - start);
            prices.0 + u128::try_from(part).unwrap_or(u128::MAX)
        }
    };
    // Prices never fall with time.
    let (mut low, mut high) = (now, ramp.1.max(now));
    while low < high {
        let middle = low + (high - low) / 2;
        if net(price_at(middle)) >= least {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low - now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_times_take_the_place_of_the_estimate() {
        let mut pace = Pace::estimated(10.0);
        assert_eq!(pace.bound(), 30.0);
        pace.measure(2.0);
        assert_eq!(pace.bound(), 3.0);
        pace.measure(8.0);
        assert_eq!(pace.bound(), 12.0);
        // A slow proof is forgotten in the end.
        (0..REMEMBERED).for_each(|_| pace.measure(4.0));
        assert_eq!(pace.bound(), 6.0);
    }

    #[test]
    fn a_lease_leaves_time_for_proof_and_two_blocks() {
        let mut pace = Pace::estimated(1.0);
        pace.measure(2.0);
        assert_eq!(needed(&pace, 12, 4_000), 3 + 1 + 1 + 24);
        // The deadline trap: 35 s and blocks of 12 s. The lease's own inclusion comes on top.
        assert!(needed(&pace, 12, 4_000) + INCLUSION * 12 > 35);
    }

    #[test]
    fn nets() {
        assert_eq!(net(10_000, 700, 0), 9_300);
        assert_eq!(net(10_000, 700, 9_400), 0);
        assert_eq!(in_tokens(1_000_000, 10_000_000_000, 2_000 * 10u128.pow(18)), 20 * 10u128.pow(18));
        assert_eq!(in_tokens(u64::MAX, u128::MAX, u128::MAX), u128::MAX);
    }

    #[test]
    fn dust_needs_terms() {
        for (local, min, ether, fine) in [
            (true, None, None, true),
            (false, None, None, false),
            (false, Some(0), Some(0), false),
            (false, Some(1), None, true),
            (false, None, Some(1), true),
        ] {
            assert_eq!(check_terms(local, min, ether).is_ok(), fine, "{local} {min:?} {ether:?}");
        }
    }

    #[test]
    fn waiting_for_a_price() {
        let net = |p: u128| p - p / 10;
        let wait = |now, least| until_worth((100, 200), (10, 110), now, least, net);
        assert_eq!(wait(100, 9), Some(0));
        assert_eq!(wait(50, 9), Some(0));
        assert_eq!(wait(100, 100), None);
        let seconds = wait(100, 54).unwrap();
        assert!(net(10 + u128::from(seconds)) >= 54 && net(10 + u128::from(seconds) - 1) < 54);
        assert_eq!(wait(150, 45), Some(0));
        // A step instead of a ramp.
        assert_eq!(until_worth((100, 100), (10, 110), 40, 50, net), Some(60));
    }
}
