//! Named stacks in the clear: values, blinding factors, rows (docs/protocol.md#named-stacks).
//!
//! | file | what |
//! |---|---|
//! | here | committing, checking, the cells |
//! | `file` | the stack file |

mod file;

use crate::{
    device::{AnyDevice, Device, zeroed_integers},
    srs::Srs,
    witness::scatter,
};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, UniformRand};
use assay_circuits::{GraphError, Tensor, stack::Schema};
use assay_verifier::{Fr, G1Affine, opening::VerifierSrs, stack::stack_id};
use rand::{
    SeedableRng,
    rngs::{OsRng, StdRng},
};
use rayon::prelude::*;
use std::collections::HashMap;

pub use file::{MAGIC, MAX_FILE_BYTES, VERSION};

/// Why there is no stack, or not this one.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The schema or a value.
    #[error("stack: {0}")]
    Graph(#[from] GraphError),
    /// Fewer powers of tau than a blinded row needs.
    #[error(
        "a blinded row of 2^{row_bits} values needs one power of tau more than that, the SRS has {got}; use a larger SRS"
    )]
    SrsTooSmall {
        /// log2 of the row length.
        row_bits: u8,
        /// Powers present.
        got: usize,
    },
    /// Committed under other powers of tau.
    #[error("the stack was committed with other powers of tau (expected SRS {expected}, got {got})")]
    OtherSrs {
        /// Hash of the powers asked for.
        expected: String,
        /// Hash of the stack's.
        got: String,
    },
    /// A stack of another schema than the key declares.
    #[error("stack '{name}' has another schema than the key declares: other names, shapes, widths or row length")]
    OtherSchema {
        /// The name in the key.
        name: String,
    },
    /// Rows that are not commitments to the values.
    #[error(
        "row {row} of the stack is no commitment to its values and blinding factor: the file is damaged or was altered"
    )]
    Row {
        /// The first such row.
        row: usize,
    },
    /// Values that are not those that the graph computes.
    #[error(
        "the stack's '{name}' differs from the computed output at position {position}: expected {expected}, got {got}"
    )]
    OtherOutput {
        /// Name of the tensor.
        name: String,
        /// Row-major index of the first difference.
        position: usize,
        /// The computed value.
        expected: i64,
        /// The value in the stack.
        got: i64,
    },
    /// A stack that the prover is to make holds something that is not computed.
    #[error("stack '{name}' holds '{tensor}', which is no output of this model: commit it first and give it")]
    NotComputed {
        /// The stack.
        name: String,
        /// The tensor.
        tensor: String,
    },
    /// Another stack than the key pins.
    #[error(
        "stack '{name}' is pinned in the settlement key, and this is another one; leave it out or make a key for it"
    )]
    OtherPinned {
        /// The name in the key.
        name: String,
    },
    /// A stack that cannot be pinned.
    #[error(
        "stack '{name}' holds an output, which differs from proof to proof, so it cannot be pinned in a settlement key"
    )]
    PinnedOutput {
        /// The name in the key.
        name: String,
    },
    /// Another number of stacks than the key has.
    #[error("the key is about {expected} named stacks, {got} were given")]
    Count {
        /// Stacks of the key.
        expected: usize,
        /// Stacks given.
        got: usize,
    },
    /// A row that is not blinded in a stack that is.
    #[error("row {row} of the stack has no blinding factor, and others have one; commit it again")]
    NoFactor {
        /// The row.
        row: usize,
    },
    /// Blinding factors that do not hide.
    #[error(
        "rows {first} and {second} of the stack have the same blinding factor, so their difference is not hidden; commit it again"
    )]
    SharedFactor {
        /// A row.
        first: usize,
        /// Another with the same factor.
        second: usize,
    },
    /// The system's random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(String),
    /// Not a stack file.
    #[error("not a stack file: {0}")]
    File(String),
    /// Written by another version of the format.
    #[error("stack file of version {got}; this program reads version {expected}")]
    Version {
        /// Version that this program reads.
        expected: u16,
        /// Version found.
        got: u16,
    },
}

/// How rows are blinded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blinding {
    /// Not at all: anyone who knows the values recomputes the id.
    Public,
    /// By a factor for each row, from the system's generator: the id says nothing about the values.
    Random,
}

/// A stack in the clear. Whoever has it can prove about it; whoever has the id alone learns nothing from it if it is blinded.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    schema: Schema,
    values: Vec<Tensor>,
    blinds: Vec<Fr>,
    rows: Vec<G1Affine>,
    srs: VerifierSrs,
}

impl Stack {
    /// Commits to the values of a schema's tensors, in its order.
    ///
    /// # Errors
    /// Values of other shapes or outside of their widths, too few powers of tau, no random numbers.
    pub fn commit<'d>(
        device: impl Into<AnyDevice<'d>>,
        schema: &Schema,
        values: Vec<Tensor>,
        srs: &Srs,
        blinding: Blinding,
    ) -> Result<Self, StackError> {
        Self::commit_on(device.into(), schema, values, &srs.g1_powers, srs.verifier(), blinding)
    }

    pub(crate) fn commit_on(
        device: AnyDevice<'_>,
        schema: &Schema,
        values: Vec<Tensor>,
        powers: &[G1Affine],
        srs: VerifierSrs,
        blinding: Blinding,
    ) -> Result<Self, StackError> {
        schema.validate()?;
        check_values(schema, &values)?;
        let blinds = match blinding {
            Blinding::Public => vec![Fr::ZERO; schema.rows()],
            Blinding::Random => {
                let mut rng = StdRng::from_rng(OsRng).map_err(|e| StackError::Random(e.to_string()))?;
                (0..schema.rows()).map(|_| Fr::rand(&mut rng)).collect()
            }
        };
        check_factors(&blinds)?;
        let mut stack = Self { schema: schema.clone(), values, blinds, rows: vec![], srs };
        stack.rows = stack.compute_rows(device, powers)?;
        Ok(stack)
    }

    /// Commits to any 32-bit values under factors of the caller's choice, without complaint. This is how the soundness tests
    /// cheat: a verifier must not rely on what the maker of a stack checks.
    ///
    /// # Errors
    /// Values of other shapes or beyond 32 bits, another number of factors, too few powers of tau.
    pub fn commit_unchecked<'d>(
        device: impl Into<AnyDevice<'d>>,
        schema: &Schema,
        values: Vec<Tensor>,
        srs: &Srs,
        blinds: Vec<Fr>,
    ) -> Result<Self, StackError> {
        schema.validate()?;
        let shapes = schema.tensors.iter().zip(&values);
        if values.len() != schema.tensors.len() || shapes.into_iter().any(|(t, v)| t.shape != v.shape) {
            return Err(GraphError::Arity { expected: schema.tensors.len(), got: values.len() }.into());
        }
        if blinds.len() != schema.rows() {
            return Err(StackError::Count { expected: schema.rows(), got: blinds.len() });
        }
        let mut stack = Self { schema: schema.clone(), values, blinds, rows: vec![], srs: srs.verifier() };
        stack.rows = stack.compute_rows(device.into(), &srs.g1_powers)?;
        Ok(stack)
    }

    /// The commitments to the rows, from values and factors.
    fn compute_rows(&self, device: AnyDevice<'_>, powers: &[G1Affine]) -> Result<Vec<G1Affine>, StackError> {
        let row_bits = self.schema.row_bits;
        let size = 1usize << row_bits;
        let (Some(bases), Some(blinder)) = (powers.get(..size), powers.get(size)) else {
            return Err(StackError::SrsTooSmall { row_bits, got: powers.len() });
        };
        let rows = device.commit_rows(&device.points(bases), &device.integers(&self.cells()?), size);
        let blinded = rows
            .par_iter()
            .zip(&self.blinds)
            .map(|(row, b)| if *b == Fr::ZERO { *row } else { (*blinder * b + row).into_affine() });
        Ok(blinded.collect())
    }

    /// Checks that the rows are commitments to the values under these powers of tau. A file says what its maker likes; the
    /// verifier does not rely on it, but a proof about a stack whose rows are others is refused only after it was made.
    ///
    /// # Errors
    /// Other powers of tau, or the first row that is no commitment.
    pub fn check<'d>(&self, device: impl Into<AnyDevice<'d>>, srs: &Srs) -> Result<(), StackError> {
        self.under(&srs.verifier())?;
        self.check_rows(device.into(), &srs.g1_powers)
    }

    /// As [`Self::check`], by a row's powers and the blinder behind them.
    pub(crate) fn check_rows(&self, device: AnyDevice<'_>, powers: &[G1Affine]) -> Result<(), StackError> {
        let rows = self.compute_rows(device, powers)?;
        match rows.iter().zip(&self.rows).position(|(a, b)| a != b) {
            Some(row) => Err(StackError::Row { row }),
            None => Ok(()),
        }
    }

    /// Whether the stack was committed under these powers of tau.
    pub(crate) fn under(&self, srs: &VerifierSrs) -> Result<(), StackError> {
        if *srs == self.srs {
            return Ok(());
        }
        let hex = |s: &VerifierSrs| assay_verifier::core::hex(&s.srs_hash);
        Err(StackError::OtherSrs { expected: hex(srs), got: hex(&self.srs) })
    }

    /// The powers of tau that the rows are commitments under.
    pub fn srs(&self) -> &VerifierSrs {
        &self.srs
    }

    /// What the stack holds.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The values, in the order of the schema.
    pub fn values(&self) -> &[Tensor] {
        &self.values
    }

    /// The commitments to the rows.
    pub fn rows(&self) -> &[G1Affine] {
        &self.rows
    }

    /// The blinding factors of the rows, zero in a public stack.
    pub fn blinds(&self) -> &[Fr] {
        &self.blinds
    }

    /// Whether the rows hide the values.
    pub fn blinded(&self) -> bool {
        self.blinds.iter().all(|b| *b != Fr::ZERO)
    }

    /// The identity (docs/protocol.md#stack-id).
    ///
    /// # Errors
    /// Never for a schema that was checked.
    pub fn id(&self) -> Result<[u8; 32], GraphError> {
        stack_id(&self.schema, &self.srs.tau_g2, &self.rows)
    }

    /// The values at their places, in whole rows.
    pub(crate) fn cells(&self) -> Result<Vec<i32>, GraphError> {
        let mut cells = zeroed_integers(self.schema.rows() << self.schema.row_bits);
        for ((t, at), value) in self.schema.tensors.iter().zip(self.schema.offsets()).zip(&self.values) {
            let entries: Vec<i32> = value
                .data
                .iter()
                .map(|v| {
                    i32::try_from(*v).map_err(|_| GraphError::OutOfRange {
                        value: *v,
                        lo: t.range().lo,
                        hi: t.range().hi,
                    })
                })
                .collect::<Result<_, _>>()?;
            scatter(&t.shape, &entries, &mut cells[at..at + (1 << t.padded_bits())]);
        }
        Ok(cells)
    }
}

/// Either no row is blinded, or each by a factor of its own.
fn check_factors(blinds: &[Fr]) -> Result<(), StackError> {
    if blinds.iter().all(|b| *b == Fr::ZERO) {
        return Ok(());
    }
    let mut seen = HashMap::new();
    for (second, b) in blinds.iter().enumerate() {
        if *b == Fr::ZERO {
            return Err(StackError::NoFactor { row: second });
        }
        if let Some(first) = seen.insert(*b, second) {
            return Err(StackError::SharedFactor { first, second });
        }
    }
    Ok(())
}

fn check_values(schema: &Schema, values: &[Tensor]) -> Result<(), GraphError> {
    if values.len() != schema.tensors.len() {
        return Err(GraphError::Arity { expected: schema.tensors.len(), got: values.len() });
    }
    for (t, value) in schema.tensors.iter().zip(values) {
        let at = |e: GraphError| e.at(&t.name, "stack tensor");
        if value.shape != t.shape {
            return Err(at(GraphError::Shape { expected: t.shape.clone(), got: value.shape.clone() }));
        }
        let expected = t.shape.iter().product();
        if value.data.len() != expected {
            return Err(at(GraphError::Length { expected, got: value.data.len() }));
        }
        let range = t.range();
        if let Some(v) = value.data.iter().find(|v| i128::from(**v) < range.lo || i128::from(**v) > range.hi) {
            return Err(at(GraphError::OutOfRange { value: *v, lo: range.lo, hi: range.hi }));
        }
    }
    Ok(())
}
