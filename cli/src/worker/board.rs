//! What was posted: read in parts that a node can answer, from a block that is remembered.

use super::{Trouble, Worker};
use crate::{
    cmd::worker::WorkerArgs,
    economy::{System, clock::Moment, inputs::Secret},
    error::Outcome,
};
use assay_contracts::{
    B256, Error,
    economy::{Posted, input_commitment},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// Blocks that are read again at least, in case the chain was reorganised.
const OVERLAP: u64 = 3;
/// Blocks of one question at first.
const BLOCKS: u64 = 50_000;
const DAY: u64 = 86_400;

/// A job that may be taken.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) posted: Posted,
    /// Not looked at before, in seconds of the chain's time.
    pub(super) not_before: u64,
}

/// What was posted so far.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) cards: BTreeMap<u64, Card>,
    /// Jobs that are never looked at again.
    pub(super) dropped: BTreeSet<u64>,
    /// Since when a batch is being filled, by verifier and offer.
    pub(super) filling: BTreeMap<(B256, B256), Instant>,
    /// The first block that was not read, for each verifier.
    next: BTreeMap<B256, u64>,
    first: u64,
    overlap: u64,
    /// Blocks of one question.
    window: u64,
}

impl Board {
    /// An empty board: reading begins at a block, and so many blocks may still change.
    pub(super) fn new(first: u64, unsettled: u64) -> Self {
        Self {
            cards: BTreeMap::new(),
            dropped: BTreeSet::new(),
            filling: BTreeMap::new(),
            next: BTreeMap::new(),
            first,
            overlap: unsettled.max(OVERLAP),
            window: BLOCKS,
        }
    }

    /// Looks at a job again after some seconds.
    pub(super) fn defer(&mut self, id: u64, until: u64) {
        if let Some(card) = self.cards.get_mut(&id) {
            card.not_before = until;
        }
    }

    pub(super) fn drop_card(&mut self, id: u64) {
        self.cards.remove(&id);
        self.dropped.insert(id);
    }

    /// A posting that was read, perhaps again: after a reorganisation an id may stand for another job.
    fn pin(&mut self, posted: Posted) {
        let id = posted.id;
        if self.cards.get(&id).is_some_and(|c| c.posted != posted) {
            self.cards.remove(&id);
            self.dropped.remove(&id);
        }
        if !self.dropped.contains(&id) {
            self.cards.entry(id).or_insert(Card { posted, not_before: 0 });
        }
    }
}

/// The first block to read: the one that is named; else the first of the last days, or that of the last start if that is
/// later.
pub(super) fn first_block(system: &mut System, args: &WorkerArgs, before: Option<u64>, moment: Moment) -> Outcome<u64> {
    if let Some(block) = args.from_block {
        return Ok(block);
    }
    let since = moment.now.saturating_sub(args.days * DAY);
    // Times rise with numbers.
    let (mut low, mut high) = (system.at.block.max(before.unwrap_or(0)), moment.head.number);
    while low < high {
        let middle = low + (high - low) / 2;
        match system.chain.block(middle)? {
            Some(block) if block.timestamp < since => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(low.min(moment.head.number))
}

impl Worker<'_> {
    /// Reads what was posted since the last look, for the verifiers that are served.
    pub(super) fn read_board(&mut self) -> Result<(), Error> {
        let verifiers: Vec<B256> = self.bench.served().iter().map(|s| s.served.verifier_id).collect();
        for verifier in verifiers {
            self.read_for(verifier)?;
        }
        Ok(())
    }

    fn read_for(&mut self, verifier: B256) -> Result<(), Error> {
        let head = self.moment.head.number;
        let first = self.board.first;
        // A chain that was reorganised may be shorter than what was read.
        let mut from = match self.board.next.get(&verifier) {
            Some(next) => next.min(&(head + 1)).saturating_sub(self.board.overlap).max(first),
            None => first,
        };
        while from <= head {
            let to = from.saturating_add(self.board.window - 1).min(head);
            let market = self.system.at.market();
            match market.posted_for(self.system.chain.as_mut(), verifier, from, to) {
                Ok(list) => {
                    for posted in list {
                        if !self.journal.is_over(posted.id) {
                            self.board.pin(posted);
                        }
                    }
                    self.board.next.insert(verifier, to + 1);
                    from = to + 1;
                    self.board.window = self.board.window.saturating_mul(2).min(BLOCKS);
                }
                Err(Error::TooManyEvents { .. } | Error::TooLarge { .. }) if to > from => {
                    self.board.window = ((to - from) / 2).max(1);
                }
                // One block full of postings must not hide all that come after it.
                Err(e @ (Error::TooManyEvents { .. } | Error::TooLarge { .. })) => {
                    let text = format!("block {from} has more postings than can be read and is passed over: {e}");
                    self.log("passed_over", &text, json!({ "block": from, "error": e.to_string() }));
                    self.board.next.insert(verifier, to + 1);
                    from = to + 1;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Salt and input of a job: from a requester's file, or as posted.
    pub(super) fn secret(&mut self, id: u64, block: u64, commitment: B256) -> Result<Option<Secret>, Trouble> {
        if let Some(s) = self.secrets.open(commitment) {
            return Ok(Some(s.clone()));
        }
        if let Some(card) = self.board.cards.get(&id)
            && let Some(secret) = opened(&card.posted, commitment)
        {
            return Ok(Some(secret));
        }
        // Posted before this start, or dropped since; a reorganisation may have moved it by some blocks.
        let around = (block.saturating_sub(self.board.overlap), block.saturating_add(self.board.overlap));
        for (from, to) in [around, (block, self.moment.head.number)] {
            let to = to.min(self.moment.head.number);
            let posted = self.system.at.market().posting(self.system.chain.as_mut(), id, from, to)?;
            if let Some(secret) = posted.and_then(|p| opened(&p, commitment)) {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }
}

/// Salt and input of a posting that shows them.
fn opened(posted: &Posted, commitment: B256) -> Option<Secret> {
    let public = posted.is_public() && input_commitment(posted.salt, &posted.input) == commitment;
    public.then(|| Secret { salt: posted.salt, input: posted.input.clone() })
}
