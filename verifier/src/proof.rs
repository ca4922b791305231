//! The core proof and its file (docs/protocol.md#proof-file).
//!
//! ```text
//! magic "ASSAYPRF" | u16 version | u8 kind (0 = core, not hiding; 2 = the same about named stacks) | key digest 32 | u32 batch
//!   | u32 n | n x (u32 count, count x i64)                      public values
//!   | argument
//! argument: u8 row bits | u32 n, n x G1 | kind 2: given | u32 n, n x Fr | opening
//! given: u32 n > 0, n x (u32 count, count x G1) | Fr
//! ```
//! Integers are big-endian, field elements and coordinates 32 bytes big-endian and below their modulus.

use crate::{
    Fr, G1Affine,
    curve::{CodecError, FIELD_BYTES, G1_BYTES, Reader, fr_to_bytes, g1_to_bytes},
    opening::{MAX_VARIABLES, OpeningError, OpeningProof},
};

use assay_circuits::stack::MAX_STACKS;

/// First bytes of a proof file.
pub const MAGIC: &[u8; 8] = b"ASSAYPRF";
/// Version of the format.
pub const VERSION: u16 = 2;
/// Most row commitments of one stack.
pub const MAX_ROWS: usize = 1 << 20;
/// Most messages of a proof.
pub const MAX_MESSAGES: usize = 1 << 20;
/// Most public values of a proof.
pub const MAX_PUBLIC: usize = 1 << 26;

/// Kind byte of a core proof about named stacks.
const LINKED: u8 = 2;

/// The named stacks that an argument is about (docs/protocol.md#named-stacks).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// For each stack of the key the commitments to its rows.
    pub rows: Vec<Vec<G1Affine>>,
    /// The combined blinding factors, times what the opening's point makes of their place; see
    /// [`crate::core::blinded_point`]. Zero without stacks.
    pub tail: Fr,
}

impl Given {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&count_bytes(self.rows.len()));
        for rows in &self.rows {
            out.extend_from_slice(&count_bytes(rows.len()));
            rows.iter().for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
        }
        out.extend_from_slice(&fr_to_bytes(&self.tail));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ProofError> {
        let n = reader.count(MAX_STACKS, 4)?;
        if n == 0 {
            return Err(ProofError::NoStacks);
        }
        let mut rows = Vec::with_capacity(n);
        for _ in 0..n {
            let n = reader.count(MAX_ROWS, G1_BYTES)?;
            rows.push(reader.g1s(n)?);
        }
        Ok(Self { rows, tail: reader.fr()? })
    }
}

/// Commitments, messages and opening: what convinces, whatever the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// log2 of the length of a row.
    pub row_bits: usize,
    /// Commitments to the rows of the witness stack.
    pub rows: Vec<G1Affine>,
    /// The named stacks; empty if there are none.
    pub given: Given,
    /// The prover's messages, in the order of the protocol.
    pub messages: Vec<Fr>,
    /// The opening of the combined row; with named stacks of one variable more.
    pub opening: OpeningProof,
}

/// A proof of a batch of inferences. **Sound, but not hiding.**
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreProof {
    /// Digest of the verifying key it was made for.
    pub key_digest: [u8; 32],
    /// Number of inferences.
    pub batch: u32,
    /// Values of the public tensors: inputs, then outputs, each over the whole batch.
    pub public: Vec<Vec<i64>>,
    /// The argument.
    pub argument: Argument,
}

/// Why bytes are no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not canonical, truncated or too long.
    #[error("not a proof: {0}")]
    Codec(#[from] CodecError),
    /// The opening's shape.
    #[error("not a proof: {0}")]
    Opening(#[from] OpeningError),
    /// Other magic bytes.
    #[error("not a proof file: expected the first bytes 'ASSAYPRF'")]
    Magic,
    /// Another version.
    #[error("proof of format version {got}; this program reads version {expected}")]
    Version {
        /// Version that this program reads.
        expected: u16,
        /// Version found.
        got: u16,
    },
    /// A proof about named stacks without any.
    #[error("not a proof: it is said to be about named stacks and names none")]
    NoStacks,
    /// Another kind of proof.
    #[error("proof of unknown kind {0}")]
    Kind(u8),
}

pub(crate) fn count_bytes(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()
}

impl Argument {
    /// Appends the canonical bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.row_bits).unwrap_or(u8::MAX));
        out.extend_from_slice(&count_bytes(self.rows.len()));
        self.rows.iter().for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
        if !self.given.rows.is_empty() {
            self.given.write(out);
        }
        out.extend_from_slice(&count_bytes(self.messages.len()));
        self.messages.iter().for_each(|m| out.extend_from_slice(&fr_to_bytes(m)));
        out.extend_from_slice(&self.opening.to_bytes());
    }

    /// Reads canonical bytes of an argument without named stacks.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ProofError> {
        Self::read_kind(reader, false)
    }

    fn read_kind(reader: &mut Reader<'_>, linked: bool) -> Result<Self, ProofError> {
        let row_bits = usize::from(reader.u8()?);
        if row_bits > MAX_VARIABLES {
            return Err(OpeningError::TooManyVariables { limit: MAX_VARIABLES, got: row_bits }.into());
        }
        let n = reader.count(MAX_ROWS, G1_BYTES)?;
        let rows = reader.g1s(n)?;
        let given = if linked { Given::read(reader)? } else { Given::default() };
        let n = reader.count(MAX_MESSAGES, FIELD_BYTES)?;
        let messages = reader.frs(n)?;
        let opening = OpeningProof::read(row_bits.saturating_add(usize::from(linked)), reader)?;
        Ok(Self { row_bits, rows, given, messages, opening })
    }
}

impl CoreProof {
    /// The proof file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.push(if self.argument.given.rows.is_empty() { 0 } else { LINKED });
        out.extend_from_slice(&self.key_digest);
        out.extend_from_slice(&self.batch.to_be_bytes());
        out.extend_from_slice(&public_bytes(&self.public));
        self.argument.write(&mut out);
        out
    }

    /// Decodes a proof file; every byte must be used.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let mut r = Reader::new(bytes);
        if r.slice(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(ProofError::Magic);
        }
        let version = u16::from_be_bytes(r.array()?);
        if version != VERSION {
            return Err(ProofError::Version { expected: VERSION, got: version });
        }
        let linked = match r.u8()? {
            0 => false,
            LINKED => true,
            kind => return Err(ProofError::Kind(kind)),
        };
        let key_digest = r.array()?;
        let batch = r.u32()?;
        let n = r.count(1 << 16, 4)?;
        let mut public = Vec::with_capacity(n);
        for _ in 0..n {
            let count = r.count(MAX_PUBLIC, 8)?;
            let mut values = Vec::with_capacity(count);
            for _ in 0..count {
                values.push(i64::from_be_bytes(r.array()?));
            }
            public.push(values);
        }
        let argument = Argument::read_kind(&mut r, linked)?;
        r.finish()?;
        Ok(Self { key_digest, batch, public, argument })
    }
}

/// Canonical bytes of public values.
pub fn public_bytes(public: &[Vec<i64>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&count_bytes(public.len()));
    for values in public {
        out.extend_from_slice(&count_bytes(values.len()));
        values.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
    }
    out
}
