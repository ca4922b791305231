//! Named stacks: tensors that are committed once, by their owner, and that any number of proofs are about
//! (docs/protocol.md#named-stacks).
//!
//! A [`Schema`] is what is known of a stack without its values, and it alone fixes where each value lies. A [`NamedStack`]
//! says which of its tensors are inputs, weights or outputs of a graph.

use crate::{
    canonical,
    error::GraphError,
    graph::printable,
    interval::Interval,
    program::MAX_STACK_BITS,
    ring::index_bits,
    tensor::{MAX_EXTENT, element_count},
};
use serde::{Deserialize, Serialize};

/// The row lengths that a stack may have, as log2. All stacks of a proof share one, so they are few.
pub const ROW_BITS: [u8; 6] = [8, 10, 12, 14, 16, 18];
/// Most tensors of a stack.
pub const MAX_TENSORS: usize = 1 << 10;
/// Most bytes of a tensor's or a stack's name.
pub const MAX_NAME: usize = 256;
/// Most named stacks of a proof.
pub const MAX_STACKS: usize = 16;
/// log2 of the most rows of a stack.
pub const MAX_ROWS_BITS: usize = 20;

/// One tensor of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaTensor {
    /// Its name, unique within the stack.
    pub name: String,
    /// Its extents; a tensor over a batch has the batch's axis in front.
    pub shape: Vec<usize>,
    /// Its values lie in `[-2^(bits-1), 2^(bits-1))`, 1 to 20.
    pub bits: u32,
}

impl SchemaTensor {
    /// The declared range.
    pub fn range(&self) -> Interval {
        let half = 1i128 << self.bits.clamp(1, 20).saturating_sub(1);
        Interval { lo: -half, hi: half - 1 }
    }

    /// Index bits of the tensor, each axis padded to a power of two.
    pub fn padded_bits(&self) -> usize {
        self.shape.iter().map(|d| index_bits(*d)).sum()
    }
}

/// What a stack holds: names, shapes, ranges and the length of its rows. It fixes the layout, whatever graph uses the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// log2 of the length of a row, one of [`ROW_BITS`].
    pub row_bits: u8,
    /// The tensors.
    pub tensors: Vec<SchemaTensor>,
}

impl Schema {
    /// A schema of checked tensors.
    ///
    /// # Errors
    /// What [`Self::validate`] refuses.
    pub fn new(row_bits: u8, tensors: Vec<SchemaTensor>) -> Result<Self, GraphError> {
        let schema = Self { row_bits, tensors };
        schema.validate()?;
        Ok(schema)
    }

    /// Checks every limit; schemas may come from anybody.
    ///
    /// # Errors
    /// A row length that is not offered, no tensor or too many, names that are empty, long or used twice, widths other than
    /// 1 to 20, empty or too large tensors.
    pub fn validate(&self) -> Result<(), GraphError> {
        let bad = |what: String| Err(GraphError::Parameter(format!("stack: {what}")));
        if !ROW_BITS.contains(&self.row_bits) {
            return bad(format!(
                "rows of 2^{} values; 2^8, 2^10, 2^12, 2^14, 2^16 and 2^18 are possible",
                self.row_bits
            ));
        }
        if self.tensors.is_empty() || self.tensors.len() > MAX_TENSORS {
            return bad(format!("{} tensors; 1 to {MAX_TENSORS} are possible", self.tensors.len()));
        }
        let mut names = std::collections::BTreeSet::new();
        let mut total = 0u64;
        for t in &self.tensors {
            if t.name.is_empty() || t.name.len() > MAX_NAME {
                return bad(format!("a name of {} bytes; 1 to {MAX_NAME} are possible", t.name.len()));
            }
            if !printable(&t.name) {
                return bad(format!("a name with control characters: '{}'", t.name.escape_debug()));
            }
            if !names.insert(t.name.as_str()) {
                return bad(format!("two tensors named '{}'", t.name));
            }
            if !(1..=20).contains(&t.bits) {
                return bad(format!("tensor '{}': a width of {} bits; 1 to 20 are possible", t.name, t.bits));
            }
            if t.shape.len() > 12 || t.shape.iter().any(|d| *d > MAX_EXTENT) || element_count(&t.shape)? == 0 {
                return bad(format!("tensor '{}' of shape {:?} is empty or has too many axes", t.name, t.shape));
            }
            let bits = u32::try_from(t.padded_bits()).unwrap_or(u32::MAX);
            total = total.saturating_add(1u64.checked_shl(bits).unwrap_or(u64::MAX));
        }
        let limit = MAX_STACK_BITS.min(usize::from(self.row_bits) + MAX_ROWS_BITS);
        if total > 1 << limit {
            return bad(format!("{total} values with padding; at most 2^{limit} in rows of 2^{}", self.row_bits));
        }
        Ok(())
    }

    /// Where each tensor begins: largest first, tensors of one size in their order, each at a multiple of its padded size.
    pub fn offsets(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.tensors.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(self.tensors[*i].padded_bits()));
        let mut offsets = vec![0; self.tensors.len()];
        let mut at = 0;
        for i in order {
            offsets[i] = at;
            at += 1usize << self.tensors[i].padded_bits();
        }
        offsets
    }

    /// Index bits of the stack, without padding to whole rows.
    pub fn bits(&self) -> usize {
        index_bits(self.tensors.iter().map(|t| 1usize << t.padded_bits()).sum())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        1 << self.bits().saturating_sub(usize::from(self.row_bits))
    }

    /// Number of values, without padding.
    pub fn values(&self) -> usize {
        self.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum()
    }

    /// Digest of the canonical bytes: `keccak("assay.schema.v1", bytes)`, parts with their lengths.
    ///
    /// # Errors
    /// Never for a valid schema.
    pub fn digest(&self) -> Result<[u8; 32], GraphError> {
        Ok(canonical::digest("assay.schema.v1", &[&canonical::to_bytes(self)?]))
    }
}

/// What a tensor of a stack is to a graph; numbers count in the order of the graph's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// An input, over the whole batch.
    Input(usize),
    /// A weight tensor.
    Weight(usize),
    /// An output, over the whole batch.
    Output(usize),
}

/// A stack in the statement of a key: what it holds, and what its tensors are to the graph. Which stack it is comes with each
/// proof, as its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedStack {
    /// What it is called in messages.
    pub name: String,
    /// What it holds.
    pub schema: Schema,
    /// For each of its tensors what it is; `None` for one that this graph does not read.
    pub roles: Vec<Option<Role>>,
}

impl NamedStack {
    /// The place of a role among the stack's tensors.
    pub fn tensor(&self, role: Role) -> Option<usize> {
        self.roles.iter().position(|r| *r == Some(role))
    }
}

/// The stack and tensor that holds an input or a weight (of several the first).
pub fn find(stacks: &[NamedStack], role: Role) -> Option<(usize, usize)> {
    stacks.iter().enumerate().find_map(|(s, stack)| stack.tensor(role).map(|t| (s, t)))
}

/// Whether a role is given by some stack.
pub fn is_named(stacks: &[NamedStack], role: Role) -> bool {
    find(stacks, role).is_some()
}

/// Of a list of inputs, outputs or their descriptions those that no stack holds: what a proof can show.
pub fn open<'a, T>(stacks: &[NamedStack], role: fn(usize) -> Role, items: &'a [T]) -> Vec<&'a T> {
    items.iter().enumerate().filter(|(k, _)| !is_named(stacks, role(*k))).map(|(_, item)| item).collect()
}

/// Weights that no stack holds: what the key itself commits to, in order.
pub fn own_weights<'a, T>(stacks: &'a [NamedStack], weights: &'a [T]) -> impl Iterator<Item = &'a T> {
    weights.iter().enumerate().filter(|(k, _)| !is_named(stacks, Role::Weight(*k))).map(|(_, w)| w)
}
