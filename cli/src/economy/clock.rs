//! The chain's time, for whoever posts and whoever works.
//!
//! A contract sees the time of the block that it runs in, which is later than that of the newest block, by far on a chain
//! that makes blocks only when there is something in them. The clock of this machine may be wrong, or the chain's shifted.

use assay_contracts::{Chain, Error, Head};
use std::time::{SystemTime, UNIX_EPOCH};

/// Blocks whose distances are looked at.
const GAPS: u64 = 12;
/// Longest distance that is believed: a chain that waits for transactions makes longer pauses, and blocks at once.
const LONGEST: u64 = 15;

/// The chain at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The newest block.
    pub(crate) head: Head,
    /// The time of the next block if it were made now, in seconds since 1970.
    pub(crate) now: u64,
    /// Seconds between blocks.
    pub(crate) interval: u64,
}

/// Reads the chain's time, and remembers how far its blocks are apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// Seconds, and the block at which they were measured.
    interval: Option<(u64, u64)>,
}

impl Clock {
    /// Asks the chain.
    pub(crate) fn read(&mut self, chain: &mut dyn Chain) -> Result<Moment, Error> {
        let head = chain.head()?;
        let next = chain.next_timestamp()?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let interval = match self.interval {
            Some((seconds, at)) if head.number.abs_diff(at) < GAPS => seconds,
            _ => {
                let seconds = interval(chain, head)?;
                self.interval = Some((seconds, head.number));
                seconds
            }
        };
        Ok(Moment { head, now: next_time(head.timestamp, next, wall), interval })
    }
}

/// What the node says of the next block, if that is later than the newest; else what this machine says.
fn next_time(newest: u64, next: Option<u64>, wall: u64) -> u64 {
    match next {
        Some(next) if next > newest => next,
        _ => wall.max(newest.saturating_add(1)),
    }
}

/// The distance that three quarters of the last blocks have at least: blocks that are missing now and then, and pauses of a
/// chain that waits for transactions, do not count.
fn interval(chain: &mut dyn Chain, head: Head) -> Result<u64, Error> {
    let first = head.number.saturating_sub(GAPS);
    let mut times = Vec::new();
    for number in first..head.number {
        // A chain that was reorganised meanwhile may be shorter.
        times.extend(chain.block(number)?.map(|b| b.timestamp));
    }
    times.push(head.timestamp);
    Ok(quartile(&times))
}

fn quartile(times: &[u64]) -> u64 {
    let mut gaps: Vec<u64> = times.windows(2).map(|w| w[1].saturating_sub(w[0])).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 4).copied().unwrap_or(LONGEST).clamp(1, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_block_is_later_than_the_newest() {
        assert_eq!(next_time(100, Some(130), 90), 130);
        // A node that repeats the newest block, or does not know the next one.
        assert_eq!(next_time(100, Some(100), 150), 150);
        assert_eq!(next_time(100, None, 150), 150);
        // A chain that is ahead of this machine.
        assert_eq!(next_time(100, None, 50), 101);
    }

    #[test]
    fn pauses_are_no_interval() {
        assert_eq!(quartile(&[0, 12, 24, 48, 60, 72]), 12);
        // Ten blocks at once, then a day of nothing.
        assert_eq!(quartile(&[0, 0, 1, 1, 2, 2, 86_402]), 1);
        assert_eq!(quartile(&[0, 600, 1_200]), 15);
        assert_eq!(quartile(&[5]), 15);
    }
}
