//! Checking core proofs: transcript side and curve side together (docs/protocol.md#verification).

use crate::{
    Fr, G1Affine, VerifyingKey,
    channel::ProtocolError,
    keccak::{KeccakTranscript, commitments_digest, digest_to_fr},
    native::NativeChannel,
    opening::{self, OpeningError},
    proof::{Argument, CoreProof, public_bytes},
    protocol::{self, Mode, OpeningClaim, padded_bits},
    stack::stack_id,
};
use ark_ec::CurveGroup;
use ark_ff::Field;
use assay_circuits::{
    GraphError, Program, Tensor, canonical,
    program::{MODEL, NAMED, WITNESS},
    ring::eq_table,
    stack::{NamedStack, Role, open},
};

/// Why a proof is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Made for another key: another model, other powers of tau or another visibility.
    #[error("the proof was made for another key (expected {expected}, got {got})")]
    OtherKey {
        /// Digest of this key, in hex.
        expected: String,
        /// Digest in the proof, in hex.
        got: String,
    },
    /// A count that the statement fixes.
    #[error("{what}: expected {expected}, got {got}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// Number asked for.
        expected: usize,
        /// Number present.
        got: usize,
    },
    /// A public value outside the range in which the statement means anything.
    #[error("public value {value} is outside [{lo}, {hi}]")]
    PublicRange {
        /// The value.
        value: i64,
        /// Smallest possible.
        lo: i128,
        /// Largest possible.
        hi: i128,
    },
    /// The protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The opening.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The graph cannot be laid out.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// What a valid proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of inferences.
    pub batch: usize,
    /// The ids of the named stacks, in the order of the key. A proof says nothing about other stacks: whoever relies on it
    /// compares them with the ids that it should be about.
    pub stacks: Vec<[u8; 32]>,
    /// Public inputs over the batch, if public.
    pub inputs: Vec<Tensor>,
    /// Public outputs over the batch, if public.
    pub outputs: Vec<Tensor>,
}

/// What a proof is about, besides its commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A batch of inferences.
    Inference,
    /// The registration of a model.
    Registration,
}

impl Kind {
    fn domain(self) -> &'static str {
        match self {
            Self::Inference => "assay.inference.v1",
            Self::Registration => "assay.registration.v1",
        }
    }
}

/// Digest of the statement: what both transcripts start from. `context` binds what the proof is for; zero for none.
pub fn statement_digest(
    kind: Kind,
    key_digest: &[u8; 32],
    batch: u32,
    public: &[Vec<i64>],
    rows: &[G1Affine],
    context: &[u8; 32],
) -> [u8; 32] {
    linked_digest(kind, key_digest, batch, &[], public, rows, context)
}

/// [`statement_digest`] of a proof about named stacks. Their ids are the first words of the public values; how many there are
/// follows from the key.
pub fn linked_digest(
    kind: Kind,
    key_digest: &[u8; 32],
    batch: u32,
    ids: &[[u8; 32]],
    public: &[Vec<i64>],
    rows: &[G1Affine],
    context: &[u8; 32],
) -> [u8; 32] {
    let values = [ids.concat(), public_bytes(public)].concat();
    let parts: [&[u8]; 3] = [key_digest, &batch.to_be_bytes(), &values];
    commitments_digest(&canonical::digest(kind.domain(), &parts), rows, context)
}

/// The transcript of the opening, bound to the claim that the core protocol ends in and to the combined commitment, which
/// follows from it. All lengths are fixed by what `statement` is the digest of.
pub fn opening_transcript(
    statement: &[u8; 32],
    claim: &OpeningClaim<Fr>,
    commitment: impl Into<G1Affine>,
) -> KeccakTranscript {
    let mut t = KeccakTranscript::new(b"assay.opening.v1");
    t.absorb_bytes(statement);
    claim.high.iter().for_each(|high| t.absorb_frs(high));
    t.absorb_frs(&claim.low);
    t.absorb_fr(&claim.gamma);
    t.absorb_point(&commitment.into());
    t.absorb_fr(&claim.value);
    t
}

/// The point and the value of the opening of a combined row that carries blinding factors (docs/protocol.md#named-stacks).
///
/// A blinded row has its factor times `[tau^(2^m)]_1`, so the combined commitment is that of `2^(m+1)` coefficients: the row, and
/// behind it the combined factor `beta` and zeros. `tail` is claimed to be the second half's value at the point, `beta` times
/// `prod (1 - low_i)`; a challenge `y` drawn after it combines the two claims into one of one variable more.
pub fn blinded_point(transcript: &mut KeccakTranscript, claim: &OpeningClaim<Fr>, tail: &Fr) -> (Vec<Fr>, Fr) {
    transcript.absorb_fr(tail);
    let y = transcript.challenge();
    let point = core::iter::once(y).chain(claim.low.iter().copied()).collect();
    (point, claim.value + y * (*tail - claim.value))
}

/// For each stack the coefficients of its rows in the combined row.
pub fn row_coefficients(claim: &OpeningClaim<Fr>) -> Vec<Vec<Fr>> {
    let mut power = Fr::ONE;
    let scaled = claim.high.iter().map(|high| {
        let coefficients = eq_table(high).into_iter().map(|c| c * power).collect();
        power *= claim.gamma;
        coefficients
    });
    scaled.collect()
}

/// Checks an argument about a laid-out program.
pub fn check_argument(
    key: &VerifyingKey,
    program: &Program,
    statement: &[u8; 32],
    public: &[Vec<i64>],
    argument: &Argument,
) -> Result<(), VerifyError> {
    let count = |what, expected: usize, got: usize| {
        if expected == got { Ok(()) } else { Err(VerifyError::Count { what, expected, got }) }
    };
    let m = key.row_bits;
    count("row bits", m, argument.row_bits)?;
    let rows =
        |bits: usize| 1usize.checked_shl(u32::try_from(padded_bits(bits, m) - m).unwrap_or(u32::MAX)).unwrap_or(0);
    count("witness rows", rows(program.stack_bits(WITNESS)), argument.rows.len())?;
    count("named stacks", program.stacks.len().saturating_sub(NAMED), argument.given.rows.len())?;
    for (stack, given) in program.stacks.iter().skip(NAMED).zip(&argument.given.rows) {
        count("rows of a named stack", rows(stack.bits), given.len())?;
    }
    count("model rows", rows(program.stack_bits(MODEL)), key.rows.len())?;
    count("public tensors", program.public.len(), public.len())?;
    for (p, values) in program.public.iter().zip(public) {
        count("public values", p.shape.iter().product(), values.len())?;
        let outside = |v: &&i64| i128::from(**v) < p.range.lo || i128::from(**v) > p.range.hi;
        if let Some(value) = values.iter().find(outside) {
            return Err(VerifyError::PublicRange { value: *value, lo: p.range.lo, hi: p.range.hi });
        }
    }
    let mut channel = NativeChannel::new(&argument.messages, public)?;
    let claim = protocol::verify(&mut channel, program, m, Mode::Core, &digest_to_fr(statement))?;
    count("unread messages", 0, channel.unread())?;
    let coefficients = row_coefficients(&claim).concat();
    let points: Vec<G1Affine> =
        argument.rows.iter().chain(&key.rows).chain(argument.given.rows.iter().flatten()).copied().collect();
    let commitment = opening::combine_rows(&points, &coefficients)?.into_affine();
    let mut transcript = opening_transcript(statement, &claim, commitment);
    let (point, value) = if argument.given.rows.is_empty() {
        (claim.low, claim.value)
    } else {
        blinded_point(&mut transcript, &claim, &argument.given.tail)
    };
    opening::verify(&key.srs, commitment, &point, value, &argument.opening, &mut transcript)?;
    Ok(())
}

/// The ids of the named stacks of an argument, from their rows.
///
/// # Errors
/// Another number of stacks than the key has.
pub fn given_ids(key: &VerifyingKey, argument: &Argument) -> Result<Vec<[u8; 32]>, VerifyError> {
    let (expected, got) = (key.stacks.len(), argument.given.rows.len());
    if expected != got {
        return Err(VerifyError::Count { what: "named stacks", expected, got });
    }
    let id = |(s, rows): (&NamedStack, &Vec<G1Affine>)| Ok(stack_id(&s.schema, &key.srs.tau_g2, rows)?);
    key.stacks.iter().zip(&argument.given.rows).map(id).collect()
}

/// Checks that a key is what it says: weights in range, tables as in the graph. Once per key, before any proof is trusted.
pub fn check_registration(key: &VerifyingKey) -> Result<(), VerifyError> {
    let program = Program::registration_beside(&key.graph, &key.stacks)?;
    let public = program.registration_public();
    let digest = statement_digest(Kind::Registration, &key.digest()?, 1, &public, &key.registration.rows, &[0; 32]);
    check_argument(key, &program, &digest, &public, &key.registration)
}

/// Checks a core proof against a key whose registration has been checked.
pub fn verify(key: &VerifyingKey, proof: &CoreProof) -> Result<Verified, VerifyError> {
    let expected = key.digest()?;
    if expected != proof.key_digest {
        return Err(VerifyError::OtherKey { expected: hex(&expected), got: hex(&proof.key_digest) });
    }
    let batch = usize::try_from(proof.batch).unwrap_or(usize::MAX);
    let program = key.program(batch)?;
    let stacks = given_ids(key, &proof.argument)?;
    let (kind, rows) = (Kind::Inference, &proof.argument.rows);
    let digest = linked_digest(kind, &expected, proof.batch, &stacks, &proof.public, rows, &[0; 32]);
    check_argument(key, &program, &digest, &proof.public, &proof.argument)?;
    let mut tensors = program.public.iter().zip(&proof.public).map(|(p, v)| Tensor::new(p.shape.clone(), v.clone()));
    let inputs = if key.visibility.inputs { open(&key.stacks, Role::Input, key.graph.inputs()).len() } else { 0 };
    let inputs = tensors.by_ref().take(inputs).collect::<Result<_, _>>()?;
    let outputs = tensors.collect::<Result<_, _>>()?;
    Ok(Verified { batch, stacks, inputs, outputs })
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
