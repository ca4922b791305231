//! Openings of confidential jobs: stack files in a folder, by their ids (docs/protocol.md#confidential-jobs).
//!
//! A requester writes them, a worker reads them. Nothing that is in one of them is ever printed.

use crate::{
    error::{Failure, Outcome},
    files, stacks,
};
use assay_circuits::{Tensor, canonical, stack::Schema};
use assay_contracts::B256;
use assay_prover::{Stack, StackError};
use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Openings that are kept in memory, the last ones: what was checked before a lease is what is proven.
const HELD: usize = 64;
/// Bits of a pad from which on two equal ones are no chance.
const PAD_BITS: usize = 128;
/// Bytes of a stack file besides values and rows, with room for a schema.
const OVERHEAD: usize = 1 << 20;
/// Bytes of a row: its blinding factor and its commitment, with room.
const ROW_BYTES: usize = 256;

/// A folder of openings.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    folder: Option<PathBuf>,
    /// What was read and found good.
    held: VecDeque<(B256, Stack)>,
    /// What was found bad, by the state of the file: it is not read again before it changes.
    bad: BTreeMap<B256, (Option<(SystemTime, u64)>, String)>,
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
}

/// Where the opening of a stack lies.
pub(crate) fn path(folder: &Path, id: B256) -> PathBuf {
    folder.join(format!("{}.stack", id.to_string().trim_start_matches("0x")))
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
            Self::Bad(why) => f.write_str(why),
        }
    }
}

impl Inbox {
    pub(crate) fn new(folder: Option<&Path>) -> Outcome<Self> {
        if let Some(path) = folder
            && !path.is_dir()
        {
            return Err(Failure::new(format!("there is no folder '{}' for openings", path.display()))
                .help("make it first, for your eyes only: mkdir -m 700 FOLDER"));
        }
        Ok(Self { folder: folder.map(Path::to_owned), ..Self::default() })
    }

    /// The opening of a stack. `schema` is what it must hold, `pads` says which of its tensors mask an output, `check` whether its
    /// rows are commitments to its values under the key's powers of tau.
    pub(crate) fn open(
        &mut self,
        id: B256,
        schema: &Schema,
        pads: std::ops::Range<usize>,
        check: impl FnOnce(&Stack) -> Result<(), String>,
    ) -> Result<Stack, Missing> {
        if let Some((_, stack)) = self.held.iter().find(|(held, _)| *held == id) {
            return if stack.schema() == schema {
                Ok(stack.clone())
            } else {
                Err(Missing::Bad("its opening is for another model".to_owned()))
            };
        }
        let Some(folder) = &self.folder else { return Err(Missing::Absent) };
        let path = path(folder, id);
        let Ok(meta) = std::fs::metadata(&path) else { return Err(Missing::Absent) };
        let state = meta.modified().ok().map(|t| (t, meta.len()));
        if let Some((then, why)) = self.bad.get(&id)
            && *then == state
        {
            return Err(Missing::Bad(why.clone()));
        }
        let found = if meta.is_file() {
            load(&path, id, schema).and_then(|s| check(&s).map(|()| s)).and_then(|s| self.alone(id, s, pads))
        } else {
            Err("it is no regular file".to_owned())
        };
        match found {
            Ok(stack) => {
                self.bad.remove(&id);
                if self.held.len() >= HELD {
                    self.held.pop_front();
                }
                self.held.push_back((id, stack.clone()));
                Ok(stack)
            }
            Err(why) => {
                let why = format!("'{}' is no opening of it: {why}", path.display());
                self.bad.insert(id, (state, why.clone()));
                Err(Missing::Bad(why))
            }
        }
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

/// Reads a stack of a schema and an id. Bounded by what such a stack can take.
fn load(path: &Path, id: B256, schema: &Schema) -> Result<Stack, String> {
    let limit = OVERHEAD + 4 * schema.values() + ROW_BYTES * schema.rows();
    let bytes = files::read(path, limit as u64).map_err(|f| f.message)?;
    // What is in a file is not printed, also where it is wrong.
    let stack = Stack::from_bytes(&bytes).map_err(|e| match e {
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
