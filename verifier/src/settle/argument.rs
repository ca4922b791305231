//! What a settled proof consists of, in the order in which it is hashed (docs/protocol.md#settled-proof).

use super::descriptor::Descriptor;
use crate::{
    Fr, G1Affine,
    curve::{CodecError, FIELD_BYTES, G1_BYTES, Reader, fr_to_bytes, g1_to_bytes},
    opening::{OpeningError, OpeningProof},
};

/// Evaluations in a Halo2 proof: nine of advice, six fixed, the random polynomial, three of the permutation, two of its
/// product.
pub const EVALUATIONS: usize = 21;

/// A Halo2 proof of the settlement circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halo2Proof {
    /// Columns `a0..a5`.
    pub advice: [G1Affine; 6],
    /// The permutation's product.
    pub product: G1Affine,
    /// The random polynomial that hides the quotient.
    pub random: G1Affine,
    /// Pieces of the quotient.
    pub quotient: [G1Affine; 4],
    /// Values at the challenge: `a0..a5`, `a0..a2` one row on, fixed, random, permutation, product, product one row on.
    pub evaluations: [Fr; EVALUATIONS],
    /// SHPLONK's first quotient.
    pub w: G1Affine,
    /// SHPLONK's second quotient.
    pub w_prime: G1Affine,
}

/// A settled proof without its statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledArgument {
    /// The rows of each given stack.
    pub given: Vec<Vec<G1Affine>>,
    /// Blinded commitments to the rows of the witness stack.
    pub rows: Vec<G1Affine>,
    /// Blinded commitment to the mask row.
    pub mask: G1Affine,
    /// The challenge that weighs public values.
    pub zeta: Fr,
    /// The challenge that combines stacks and mask.
    pub gamma: Fr,
    /// The value that the combined row opens to.
    pub value: Fr,
    /// The point, most significant coordinate first.
    pub point: Vec<Fr>,
    /// The proof that a core verifier ends in these.
    pub halo2: Halo2Proof,
    /// The combined blinding factor.
    pub beta: Fr,
    /// The opening of the combined row.
    pub opening: OpeningProof,
}

/// Why bytes are no settled argument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not canonical, truncated or too long.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The opening's shape.
    #[error(transparent)]
    Opening(#[from] OpeningError),
}

fn points<const N: usize>(r: &mut Reader<'_>) -> Result<[G1Affine; N], CodecError> {
    let mut out = [G1Affine::default(); N];
    for p in &mut out {
        *p = r.g1()?;
    }
    Ok(out)
}

impl Halo2Proof {
    /// Bytes of a proof.
    pub const BYTES: usize = 14 * G1_BYTES + EVALUATIONS * FIELD_BYTES;

    /// Appends the bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let before = self.advice.iter().chain([&self.product, &self.random]).chain(&self.quotient);
        before.for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
        self.evaluations.iter().for_each(|e| out.extend_from_slice(&fr_to_bytes(e)));
        [&self.w, &self.w_prime].into_iter().for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
    }

    /// Reads [`Self::BYTES`] bytes.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        let advice = points(r)?;
        let [product, random] = points(r)?;
        let quotient = points(r)?;
        let mut evaluations = [Fr::default(); EVALUATIONS];
        for e in &mut evaluations {
            *e = r.fr()?;
        }
        let [w, w_prime] = points(r)?;
        Ok(Self { advice, product, random, quotient, evaluations, w, w_prime })
    }
}

impl SettledArgument {
    /// The bytes that the contract is given.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let rows = self.given.iter().flatten().chain(&self.rows);
        rows.chain([&self.mask]).for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
        let scalars = [&self.zeta, &self.gamma, &self.value];
        scalars.into_iter().chain(&self.point).for_each(|s| out.extend_from_slice(&fr_to_bytes(s)));
        self.halo2.write(&mut out);
        out.extend_from_slice(&fr_to_bytes(&self.beta));
        out.extend_from_slice(&self.opening.to_bytes());
        out
    }

    /// Bytes of a proof under a descriptor.
    pub fn byte_len(descriptor: &Descriptor) -> usize {
        let given = descriptor.given_rows().into_iter().fold(0, usize::saturating_add);
        let rows = descriptor.witness_rows().saturating_add(given).saturating_add(1).saturating_mul(G1_BYTES);
        let scalars = descriptor.rounds().saturating_add(4).saturating_mul(FIELD_BYTES);
        rows.saturating_add(scalars)
            .saturating_add(Halo2Proof::BYTES)
            .saturating_add(OpeningProof::byte_len(descriptor.row_bits))
    }

    /// Reads a proof under a descriptor; every byte must be used.
    ///
    /// # Errors
    /// Another length, or bytes that are not canonical.
    pub fn from_bytes(descriptor: &Descriptor, bytes: &[u8]) -> Result<Self, ArgumentError> {
        let mut r = Reader::new(bytes);
        let given = descriptor.given_rows().into_iter().map(|n| r.g1s(n)).collect::<Result<_, _>>()?;
        let rows = r.g1s(descriptor.witness_rows())?;
        let mask = r.g1()?;
        let (zeta, gamma, value) = (r.fr()?, r.fr()?, r.fr()?);
        let point = r.frs(descriptor.rounds())?;
        let halo2 = Halo2Proof::read(&mut r)?;
        let beta = r.fr()?;
        let opening = OpeningProof::read(descriptor.row_bits, &mut r)?;
        r.finish()?;
        Ok(Self { given, rows, mask, zeta, gamma, value, point, halo2, beta, opening })
    }
}
