//! Events of a node, asked for in parts that it can answer.

use super::{
    Rpc,
    wire::{LogsRequest, NodeEvent},
};
use crate::{
    Error,
    chain::{Event, Filter, MAX_EVENTS},
};
use alloy_primitives::U256;

/// Most blocks of one question. Public nodes refuse more.
const BLOCKS: u64 = 10_000;
/// Most questions for one range: a node that refuses everything ends the search.
const QUESTIONS: usize = 1 << 14;

/// All events of a filter, in order; a part that the node refuses or that is too long is halved.
pub(super) fn events(rpc: &Rpc, filter: &Filter) -> Result<Vec<Event>, Error> {
    let mut found = Vec::new();
    let mut from = filter.from;
    let mut step = BLOCKS;
    for _ in 0..QUESTIONS {
        if from > filter.to {
            return Ok(found);
        }
        let to = from.saturating_add(step - 1).min(filter.to);
        match part(rpc, filter, from, to) {
            Ok(events) => {
                if found.len() + events.len() > MAX_EVENTS {
                    break;
                }
                found.extend(events);
                if to == u64::MAX {
                    return Ok(found);
                }
                from = to + 1;
                step = step.saturating_mul(2).min(BLOCKS);
            }
            Err(Error::Refused { .. } | Error::TooLarge { .. } | Error::Timeout { .. }) if to > from => {
                step = (to - from + 1).div_ceil(2);
            }
            Err(e) => return Err(e),
        }
    }
    Err(Error::TooManyEvents { place: rpc.place.clone(), limit: MAX_EVENTS })
}

/// One question. What is answered and was not asked for is an error, not an event.
fn part(rpc: &Rpc, filter: &Filter, from: u64, to: u64) -> Result<Vec<Event>, Error> {
    let request = LogsRequest {
        address: filter.address,
        from_block: U256::from(from),
        to_block: U256::from(to),
        topics: filter.topics.clone(),
    };
    let answer: Vec<NodeEvent> = rpc.ask("eth_getLogs", (request,))?;
    let mut events = Vec::with_capacity(answer.len().min(MAX_EVENTS));
    for e in answer.into_iter().filter(|e| !e.removed) {
        let (block, index) = (u64::try_from(e.block_number), u64::try_from(e.log_index));
        let (Ok(block), Ok(index)) = (block, index) else {
            return Err(rpc.bad("an event's place is out of all proportion"));
        };
        let event = Event { block, transaction: e.transaction_hash, index, log: e.log.into() };
        if !(from..=to).contains(&block) || !filter.matches(&event.log) {
            return Err(rpc.bad("it sends events that were not asked for"));
        }
        events.push(event);
    }
    events.sort_by_key(|e| (e.block, e.index));
    events.dedup_by_key(|e| (e.block, e.index));
    Ok(events)
}
