//! What a chain knows about one circuit: the words that the contract keeps (docs/protocol.md#descriptor).

use crate::{
    Fr, G1Affine, G2Affine,
    curve::{CodecError, FIELD_BYTES, G1_BYTES, Reader, fr_to_bytes, g1_to_bytes, g2_to_bytes},
    keccak::keccak256,
    opening::is_development,
    stack::id_of_digest,
};
use ark_ec::AffineRepr;
use ark_ff::{Field, MontFp};
use assay_circuits::stack::MAX_STACKS;

/// halo2curves' generator of the largest domain, `7^((r - 1) / 2^28)`.
pub const ROOT_OF_UNITY: Fr = MontFp!("1748695177688661943023146337482803886740723238769601073607632802312037301404");

/// Version of the words of a circuit without named stacks.
pub const VERSION: usize = 1;
/// Version of the words with named stacks.
pub const STACKS_VERSION: usize = 2;
/// Largest domain and row length, as powers of two.
pub const MAX_BITS: usize = 28;
/// Most rows of one stack, as a power of two: every row is a multiplication on chain.
pub const MAX_ROW_BITS: usize = 10;
/// Most rows of a model, as a power of two: more of them do not fit into the code of a contract, which holds the words.
pub const MAX_MODEL_ROW_BITS: usize = 8;
/// Most public tensors.
pub const MAX_PUBLIC: usize = 64;
/// Most public values of a tensor.
pub const MAX_VALUES: usize = 1 << 20;

/// Commitments to the columns that make a circuit what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitKey {
    /// log2 of the number of rows.
    pub k: usize,
    /// Columns `A, B, S, c0, c1, c2`.
    pub fixed: [G1Affine; 6],
    /// Copy constraints of the columns `a3, a4, a5`.
    pub permutation: [G1Affine; 3],
}

/// The shape and range of a public tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicRange {
    /// Number of values.
    pub count: usize,
    /// Smallest value.
    pub lo: i64,
    /// Largest value.
    pub hi: i64,
}

/// What the chain knows of a named stack (docs/protocol.md#descriptor).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedStack {
    /// Index bits, padded to whole rows.
    pub bits: usize,
    /// Digest of the schema.
    pub schema: [u8; 32],
    /// The rows of a *pinned* stack, which every proof is about; `None` for a stack that is *given* with each proof.
    pub pinned: Option<Vec<G1Affine>>,
}

/// Everything that a settled proof is checked against. Its digest is the *settlement id*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Whether tau is known to somebody.
    pub insecure_dev: bool,
    /// Binds graph, visibility, batch and kind.
    pub program: [u8; 32],
    /// The circuit.
    pub circuit: CircuitKey,
    /// log2 of the length of a row.
    pub row_bits: usize,
    /// Index bits of the witness stack, padded to whole rows.
    pub witness_bits: usize,
    /// Index bits of the model stack, padded to whole rows.
    pub model_bits: usize,
    /// `[tau^(2^row_bits)]_1`, which blinds rows.
    pub blinder: G1Affine,
    /// `[tau]_2`.
    pub tau_g2: G2Affine,
    /// Public tensors: inputs, then outputs.
    pub public: Vec<PublicRange>,
    /// Named stacks, in the order of the layout.
    pub stacks: Vec<DescribedStack>,
    /// Blinded commitments to the rows of the model stack.
    pub model_rows: Vec<G1Affine>,
}

fn word(n: usize) -> [u8; 32] {
    signed(i128::try_from(n).unwrap_or(i128::MAX))
}

/// Two's complement.
fn signed(n: i128) -> [u8; 32] {
    let mut out = if n < 0 { [0xff; 32] } else { [0; 32] };
    if let Some(low) = out.last_chunk_mut::<16>() {
        *low = n.to_be_bytes();
    }
    out
}

fn unexpected(field: &'static str) -> CodecError {
    CodecError::UnexpectedValue { field, got: 0 }
}

/// A word that is a number of at most 32 bits.
fn small(reader: &mut Reader<'_>, field: &'static str, limit: usize) -> Result<usize, CodecError> {
    let bytes: [u8; 32] = reader.array()?;
    let value = bytes
        .last_chunk::<4>()
        .filter(|_| bytes.iter().take(28).all(|b| *b == 0))
        .and_then(|low| usize::try_from(u32::from_be_bytes(*low)).ok());
    value.filter(|n| *n <= limit).ok_or(unexpected(field))
}

fn small_signed(reader: &mut Reader<'_>) -> Result<i64, CodecError> {
    let bytes: [u8; 32] = reader.array()?;
    let value = bytes.last_chunk::<8>().map_or(0, |low| i64::from_be_bytes(*low));
    if signed(i128::from(value)) == bytes { Ok(value) } else { Err(unexpected("bound of a public tensor")) }
}

impl Descriptor {
    /// Generator of the circuit's domain.
    pub fn omega(&self) -> Fr {
        (self.circuit.k..MAX_BITS).fold(ROOT_OF_UNITY, |w, _| w.square())
    }

    /// Coordinates of the opening point.
    pub fn rounds(&self) -> usize {
        let named = self.stacks.iter().map(|s| s.bits);
        named.fold(self.witness_bits.max(self.model_bits), usize::max)
    }

    /// The stacks that come with each proof.
    pub fn given(&self) -> impl Iterator<Item = &DescribedStack> {
        self.stacks.iter().filter(|s| s.pinned.is_none())
    }

    /// Number of rows of each stack that comes with the proof.
    pub fn given_rows(&self) -> Vec<usize> {
        self.given().map(|s| rows(s.bits, self.row_bits)).collect()
    }

    /// The identity of a stack with these rows.
    pub fn stack_id(&self, stack: &DescribedStack, rows: &[G1Affine]) -> [u8; 32] {
        id_of_digest(&stack.schema, self.row_bits, &self.tau_g2, rows)
    }

    /// Bytes of the public values: ids of given stacks, then all tensors.
    pub fn public_bytes(&self) -> usize {
        let ids = self.given().count().saturating_mul(32);
        self.values().saturating_mul(8).saturating_add(ids)
    }

    /// Rows of the witness stack.
    pub fn witness_rows(&self) -> usize {
        rows(self.witness_bits, self.row_bits)
    }

    /// Number of public values.
    pub fn values(&self) -> usize {
        self.public.iter().map(|p| p.count).sum()
    }

    /// Number of public inputs of the circuit.
    pub fn instances(&self) -> usize {
        super::tape::instance::POINT.saturating_add(self.rounds())
    }

    /// The words.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&word(if self.stacks.is_empty() { VERSION } else { STACKS_VERSION }));
        out.extend_from_slice(&word(usize::from(self.insecure_dev)));
        out.extend_from_slice(&self.program);
        out.extend_from_slice(&word(self.circuit.k));
        out.extend_from_slice(&fr_to_bytes(&self.omega()));
        for n in [self.rounds(), self.row_bits, self.witness_bits, self.model_bits, self.public.len()] {
            out.extend_from_slice(&word(n));
        }
        out.extend_from_slice(&g1_to_bytes(&self.blinder));
        out.extend_from_slice(&g2_to_bytes(&self.tau_g2));
        for p in &self.public {
            out.extend_from_slice(&word(p.count));
            out.extend_from_slice(&signed(i128::from(p.lo)));
            out.extend_from_slice(&signed(i128::from(p.hi)));
        }
        if !self.stacks.is_empty() {
            out.extend_from_slice(&word(self.stacks.len()));
        }
        for s in &self.stacks {
            out.extend_from_slice(&word(usize::from(s.pinned.is_some())));
            out.extend_from_slice(&word(s.bits));
            out.extend_from_slice(&s.schema);
        }
        let points = self.circuit.fixed.iter().chain(&self.circuit.permutation).chain(&self.model_rows);
        let points = points.chain(self.stacks.iter().filter_map(|s| s.pinned.as_ref()).flatten());
        points.for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
        out
    }

    /// The settlement id: Keccak-256 of the words.
    pub fn id(&self) -> [u8; 32] {
        keccak256(&[&self.to_bytes()])
    }

    /// Decodes the words; every byte must be used.
    ///
    /// # Errors
    /// Words that are not canonical or out of bounds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        let out = Self::read(&mut r)?;
        r.finish()?;
        Ok(out)
    }

    /// Reads the words and leaves what follows.
    ///
    /// # Errors
    /// Those of [`Self::from_bytes`], but for trailing bytes.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let version = small(r, "descriptor version", 255)?;
        if version != VERSION && version != STACKS_VERSION {
            return Err(unexpected("descriptor version"));
        }
        let insecure_dev = small(r, "development flag", 1)? == 1;
        let program = r.array()?;
        let k = small(r, "circuit size", MAX_BITS)?;
        let omega = r.fr()?;
        let rounds = small(r, "number of coordinates", MAX_BITS.saturating_add(MAX_ROW_BITS))?;
        let row_bits = small(r, "row length", MAX_BITS)?;
        let limit = row_bits.saturating_add(MAX_ROW_BITS);
        let witness_bits = small(r, "witness stack", limit)?;
        let model_bits = small(r, "model stack", row_bits.saturating_add(MAX_MODEL_ROW_BITS))?;
        let count = small(r, "number of public tensors", MAX_PUBLIC)?;
        if witness_bits < row_bits || model_bits < row_bits {
            return Err(unexpected("stack shorter than a row"));
        }
        let blinder = r.g1()?;
        let tau_g2 = r.g2()?;
        if blinder.is_zero() || tau_g2.is_zero() {
            return Err(unexpected("infinite power of tau"));
        }
        if !insecure_dev && is_development(&tau_g2) {
            return Err(unexpected("unmarked development powers of tau"));
        }
        let mut public = Vec::with_capacity(count);
        for _ in 0..count {
            let count = small(r, "public values", MAX_VALUES)?;
            public.push(PublicRange { count, lo: small_signed(r)?, hi: small_signed(r)? });
        }
        let listed = if version == STACKS_VERSION { small(r, "number of named stacks", MAX_STACKS)? } else { 0 };
        if version == STACKS_VERSION && listed == 0 {
            return Err(unexpected("number of named stacks"));
        }
        let mut stacks = Vec::with_capacity(listed);
        for _ in 0..listed {
            let pinned = small(r, "kind of a named stack", 1)? == 1;
            let most = if pinned { MAX_MODEL_ROW_BITS } else { MAX_ROW_BITS };
            let bits = small(r, "named stack", row_bits.saturating_add(most))?;
            if bits < row_bits {
                return Err(unexpected("stack shorter than a row"));
            }
            stacks.push(DescribedStack { bits, schema: r.array()?, pinned: pinned.then(Vec::new) });
        }
        let mut points = r.g1s(9)?.into_iter();
        let mut next = || points.next().unwrap_or_default();
        let fixed = core::array::from_fn(|_| next());
        let permutation = core::array::from_fn(|_| next());
        let model_rows = r.g1s(rows(model_bits, row_bits))?;
        for s in &mut stacks {
            let n = rows(s.bits, row_bits);
            if let Some(pinned) = &mut s.pinned {
                *pinned = r.g1s(n)?;
            }
        }
        let circuit = CircuitKey { k, fixed, permutation };
        let out = Self {
            insecure_dev,
            program,
            circuit,
            row_bits,
            witness_bits,
            model_bits,
            blinder,
            tau_g2,
            public,
            stacks,
            model_rows,
        };
        if out.omega() != omega || out.rounds() != rounds || k == 0 {
            return Err(unexpected("domain of the circuit"));
        }
        Ok(out)
    }
}

/// Rows of a stack.
pub fn rows(bits: usize, row_bits: usize) -> usize {
    let bits = bits.saturating_sub(row_bits).min(MAX_ROW_BITS);
    1usize.checked_shl(u32::try_from(bits).unwrap_or(0)).unwrap_or(1)
}

/// Words of the fixed part, for size estimates.
pub const HEADER_BYTES: usize = 16 * FIELD_BYTES + 9 * G1_BYTES;
