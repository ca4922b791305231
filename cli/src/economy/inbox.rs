//! Openings of confidential jobs: stack files in a folder or behind an address, by their ids
//! (docs/protocol.md#confidential-jobs).
//!
//! A requester writes them, a worker reads them, and keeps those of the jobs that it leases. Nothing that is in one of them is ever
//! printed.

mod kept;
mod source;

pub(crate) use source::Location;

use crate::{error::Outcome, stacks};
use assay_circuits::{Tensor, canonical, stack::Schema};
use assay_contracts::B256;
use assay_prover::{Stack, StackError};
use kept::Kept;
use source::Mark;
pub(crate) use source::Source;
use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
};

/// Openings that are kept in memory, the last ones: what was checked before a lease is what is proven.
const HELD: usize = 64;
/// Bits of a pad from which on two equal ones are no chance.
const PAD_BITS: usize = 128;
/// Bytes of a stack file besides values and rows, with room for a schema.
const OVERHEAD: usize = 1 << 20;
/// Bytes of a row: its blinding factor and its commitment, with room.
const ROW_BYTES: usize = 256;

/// Openings, from where requesters put them.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    source: Option<Source>,
    /// What outlives the process.
    kept: Option<Kept>,
    /// What was read and found good.
    held: VecDeque<(B256, Stack)>,
    /// What was found bad, and what it was: it is not looked at again before it changes.
    bad: BTreeMap<B256, (Mark, String)>,
    /// Digests of pads, and whose they are.
    pads: BTreeMap<[u8; 32], B256>,
}

/// Why there is no opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It did not come yet.
    Absent,
    /// There is something under its name that is none.
    Bad(String),
    /// Nobody knows whether it came.
    Unreachable(String),
}

/// The name under which the opening of a stack lies.
fn name(id: B256) -> String {
    format!("{}.stack", id.to_string().trim_start_matches("0x"))
}

/// Where the opening of a stack lies in a folder.
pub(crate) fn path(folder: &Path, id: B256) -> PathBuf {
    folder.join(name(id))
}

/// Writes a new opening that nobody else may read, in one step.
pub(crate) fn write(folder: &Path, stack: &Stack) -> Outcome<PathBuf> {
    let path = path(folder, stack.id()?.into());
    stacks::write(&path, stack)?;
    Ok(path)
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("its opening is not in the inbox"),
            Self::Bad(why) | Self::Unreachable(why) => f.write_str(why),
        }
    }
}

impl Inbox {
    /// Openings of a place; without one there are none.
    pub(crate) fn new(location: Option<&Location>) -> Outcome<Self> {
        Ok(Self { source: location.map(Location::open).transpose()?, ..Self::default() })
    }

    /// The same, with a folder of its own for openings that are needed until their jobs are over, and for digests of the pads that were
    /// used. `idle` says that no job is begun, so nothing in it is needed.
    pub(crate) fn keeping(location: Option<&Location>, folder: PathBuf, idle: bool) -> Outcome<Self> {
        let mut inbox = Self::new(location)?;
        if inbox.source.is_some() {
            let kept = Kept::new(folder, idle)?;
            inbox.pads = kept.pads()?;
            inbox.kept = Some(kept);
        }
        Ok(inbox)
    }

    /// Makes sure that an opening stays until its job is over, whatever becomes of where it came from.
    pub(crate) fn keep(&mut self, job: u64, id: B256) -> Outcome<()> {
        let (Some(kept), Some((_, stack))) = (&mut self.kept, self.held.iter().find(|(held, _)| *held == id)) else {
            return Ok(());
        };
        let pad = self.pads.iter().find(|(_, of)| **of == id).map(|(digest, _)| *digest);
        kept.keep(job, id, stack, pad)
    }

    /// Forgets openings of jobs that are over.
    pub(crate) fn forget(&mut self, jobs: &[u64]) {
        if let Some(kept) = &mut self.kept {
            kept.forget(jobs);
        }
    }

    /// The opening of a stack. `schema` is what it must hold, `pads` says which of its tensors mask an output, `check` whether its
    /// rows are commitments to its values under the key's powers of tau.
    pub(crate) fn open(
        &mut self,
        id: B256,
        schema: &Schema,
        pads: std::ops::Range<usize>,
        check: impl Fn(&Stack) -> Result<(), String>,
    ) -> Result<Stack, Missing> {
        if let Some((_, stack)) = self.held.iter().find(|(held, _)| *held == id) {
            return if stack.schema() == schema {
                Ok(stack.clone())
            } else {
                Err(Missing::Bad("its opening is for another model".to_owned()))
            };
        }
        let limit = OVERHEAD + 4 * schema.values() + ROW_BYTES * schema.rows();
        if let Some(bytes) = self.kept.as_ref().and_then(|k| k.read(id, limit))
            && let Ok(stack) = self.accept(&bytes, id, schema, pads.clone(), &check)
        {
            return Ok(self.hold(id, stack));
        }
        let Some(source) = &mut self.source else { return Err(Missing::Absent) };
        let known = self.bad.get(&id);
        let (shown, found) = match source.fetch(id, limit, known.map(|(mark, _)| mark))? {
            source::Found::Known => return Err(Missing::Bad(known.map(|(_, why)| why.clone()).unwrap_or_default())),
            source::Found::Bad { mark, shown, why } => (shown, Err((mark, why))),
            source::Found::File { mark, shown, bytes } => {
                (shown, self.accept(&bytes, id, schema, pads, &check).map_err(|why| (mark, why)))
            }
        };
        match found {
            Ok(stack) => Ok(self.hold(id, stack)),
            Err((mark, why)) => {
                let why = format!("'{shown}' is no opening of it: {why}");
                self.bad.insert(id, (mark, why.clone()));
                Err(Missing::Bad(why))
            }
        }
    }

    fn hold(&mut self, id: B256, stack: Stack) -> Stack {
        self.bad.remove(&id);
        if self.held.len() >= HELD {
            self.held.pop_front();
        }
        self.held.push_back((id, stack.clone()));
        stack
    }

    fn accept(
        &mut self,
        bytes: &[u8],
        id: B256,
        schema: &Schema,
        pads: std::ops::Range<usize>,
        check: &impl Fn(&Stack) -> Result<(), String>,
    ) -> Result<Stack, String> {
        let stack = parse(bytes, id, schema)?;
        check(&stack)?;
        self.alone(id, stack, pads)
    }

    /// Refuses a pad that another stack has: two masked values under one pad show the difference of the outputs.
    fn alone(&mut self, id: B256, stack: Stack, pads: std::ops::Range<usize>) -> Result<Stack, String> {
        let tensors = stack.schema().tensors.get(pads.clone()).unwrap_or_default();
        let bits: usize = tensors.iter().map(|t| t.bits as usize * t.shape.iter().product::<usize>()).sum();
        if bits < PAD_BITS {
            return Ok(stack);
        }
        let bytes: Vec<u8> = stack.values().get(pads).unwrap_or_default().iter().flat_map(bytes_of).collect();
        let digest = canonical::digest("assay.pad.v1", &[&bytes]);
        match self.pads.get(&digest) {
            Some(other) if *other != id => Err(format!("its pad is that of the stack {other}, and a pad is used once")),
            _ => {
                self.pads.insert(digest, id);
                Ok(stack)
            }
        }
    }
}

fn bytes_of(t: &Tensor) -> Vec<u8> {
    t.data.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// A stack of a schema and an id.
fn parse(bytes: &[u8], id: B256, schema: &Schema) -> Result<Stack, String> {
    // What is in a file is not printed, also where it is wrong.
    let stack = Stack::from_bytes(bytes).map_err(|e| match e {
        StackError::Graph(_) => "it holds a value outside of its width".to_owned(),
        e => e.to_string(),
    })?;
    if stack.schema() != schema {
        return Err("it holds other tensors than an input and pads of this model".to_owned());
    }
    let own = B256::from(stack.id().map_err(|e| e.to_string())?);
    if own != id {
        return Err(format!("it is of the stack {own}"));
    }
    if !stack.blinded() {
        return Err("it is not blinded, so its id would show guesses of it".to_owned());
    }
    Ok(stack)
}

#[cfg(test)]
mod tests;
