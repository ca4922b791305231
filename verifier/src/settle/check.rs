//! The native check of settled proofs: what the contract computes, step by step (docs/protocol.md#settled-verification).

use super::{
    argument::{Halo2Proof, SettledArgument},
    descriptor::{Descriptor, rows},
    gates::{RESERVED, Row, gates},
};
use crate::{
    Fr, G1Affine,
    keccak::{KeccakTranscript, digest_to_fr, keccak256},
    native::public_sum,
    opening::{OpeningError, PairingInput, combine_rows, pairing_terms},
    transcript::Permutation,
};
use ark_bn254::Bn254;
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use ark_ff::{AdditiveGroup, Field, MontFp, Zero};
use assay_circuits::ring::eq_table;

/// Domain of the statement's digest.
pub const STATEMENT_DOMAIN: &[u8] = b"assay.settle.v1";

/// halo2curves' `DELTA`: `7^(2^28)`, which tells the columns of the permutation apart.
pub const DELTA: Fr = MontFp!("4131629893567559867359510883348571134090853742863529169391034518566172092834");

/// Why a settled proof is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
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
        lo: i64,
        /// Largest possible.
        hi: i64,
    },
    /// Rows that are not those of the stack that the public values name.
    #[error("given stack {stack}: the public values name {expected}, the rows are those of {got}")]
    StackId {
        /// Index among the given stacks.
        stack: usize,
        /// The id in the public values, in hex.
        expected: String,
        /// The id of the rows, in hex.
        got: String,
    },
    /// A challenge that makes a denominator zero.
    #[error("a challenge makes a denominator zero")]
    Degenerate,
    /// The opening.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The pairing equation, which joins circuit and opening.
    #[error("pairing check failed: the settled proof does not prove its statement")]
    Pairing,
    /// The library's Poseidon parameters.
    #[error("the Poseidon parameters are missing")]
    Parameters,
}

/// Bytes of the values of public tensors: all in order, 8 bytes a value, big-endian two's complement.
pub fn public_bytes(values: &[Vec<i64>]) -> Vec<u8> {
    values.iter().flatten().flat_map(|v| v.to_be_bytes()).collect()
}

/// Ids of given stacks, and the values of public tensors.
pub type Said = (Vec<[u8; 32]>, Vec<Vec<i64>>);

/// Takes the public values of a contract apart: the ids of the descriptor's given stacks, 32 bytes each, and what [`public_bytes`]
/// made of its tensors; `None` for another length. Whether the ids are those of the rows is for [`check`] to say.
pub fn public_from_bytes(descriptor: &Descriptor, bytes: &[u8]) -> Option<Said> {
    if bytes.len() != descriptor.public_bytes() {
        return None;
    }
    let (ids, values) = bytes.split_at_checked(descriptor.given().count().checked_mul(32)?)?;
    let mut values = values.as_chunks::<8>().0.iter().map(|c| i64::from_be_bytes(*c));
    let values = descriptor.public.iter().map(|p| values.by_ref().take(p.count).collect()).collect();
    Some((ids.as_chunks::<32>().0.to_vec(), values))
}

/// The ids of given stacks, from their rows (docs/protocol.md#stack-id).
pub fn given_ids(descriptor: &Descriptor, given: &[Vec<G1Affine>]) -> Vec<[u8; 32]> {
    descriptor.given().zip(given).map(|(s, rows)| descriptor.stack_id(s, rows)).collect()
}

/// Digest of everything that is fixed before the first challenge.
pub fn statement(
    id: &[u8; 32],
    context: &[u8; 32],
    stacks: &[[u8; 32]],
    public: &[Vec<i64>],
    rows: &[G1Affine],
    mask: &G1Affine,
) -> [u8; 32] {
    let points: Vec<u8> = rows.iter().chain([mask]).flat_map(crate::curve::g1_to_bytes).collect();
    let public = keccak256(&[&stacks.concat(), &public_bytes(public)]);
    keccak256(&[&keccak256(&[STATEMENT_DOMAIN]), id, context, &public, &points])
}

/// The coefficients of the rows of all stacks, mask and blinder in the commitment that is opened.
pub fn coefficients(descriptor: &Descriptor, point: &[Fr], gamma: Fr, beta: Fr) -> Coefficients {
    let high = |bits: usize| {
        let tail = point.get(point.len().saturating_sub(bits)..).unwrap_or(&[]);
        eq_table(tail.get(..bits.saturating_sub(descriptor.row_bits)).unwrap_or(&[]))
    };
    let times = |bits: usize, power: Fr| high(bits).into_iter().map(|c| c * power).collect::<Vec<_>>();
    let model = times(descriptor.model_bits, gamma);
    let mut power = gamma.square();
    let mut stacks = Vec::with_capacity(descriptor.stacks.len());
    for s in &descriptor.stacks {
        stacks.push(times(s.bits, power));
        power *= gamma;
    }
    Coefficients { witness: high(descriptor.witness_bits), model, stacks, mask: power, blinder: -beta }
}

/// See [`coefficients`].
#[derive(Clone, Debug)]
pub struct Coefficients {
    /// Of the witness rows.
    pub witness: Vec<Fr>,
    /// Of the model rows.
    pub model: Vec<Fr>,
    /// Of the rows of each named stack.
    pub stacks: Vec<Vec<Fr>>,
    /// Of the mask row.
    pub mask: Fr,
    /// Of `[tau^(2^row_bits)]_1`.
    pub blinder: Fr,
}

/// A linear combination of points, not yet computed.
#[derive(Clone, Debug, Default)]
struct Terms {
    points: Vec<G1Affine>,
    scalars: Vec<Fr>,
    /// Coefficient of the generator.
    generator: Fr,
}

impl Terms {
    fn add(&mut self, point: G1Affine, scalar: Fr) {
        self.points.push(point);
        self.scalars.push(scalar);
    }

    fn scale(&mut self, by: Fr) {
        self.scalars.iter_mut().for_each(|s| *s *= by);
        self.generator *= by;
    }
}

/// Checks a settled proof under a descriptor, whose own validity is checked apart (docs/protocol.md#settlement-keys). The ids of
/// the given stacks come back, for whoever relies on the proof to compare.
///
/// # Errors
/// The first thing found wrong.
pub fn check(
    descriptor: &Descriptor,
    public: &[Vec<i64>],
    context: &[u8; 32],
    argument: &SettledArgument,
) -> Result<Vec<[u8; 32]>, SettleError> {
    let count = |what, expected: usize, got: usize| {
        if expected == got { Ok(()) } else { Err(SettleError::Count { what, expected, got }) }
    };
    count("witness rows", descriptor.witness_rows(), argument.rows.len())?;
    count("model rows", rows(descriptor.model_bits, descriptor.row_bits), descriptor.model_rows.len())?;
    count("coordinates", descriptor.rounds(), argument.point.len())?;
    let named = named_rows(descriptor, &argument.given)?;
    count("public tensors", descriptor.public.len(), public.len())?;
    for (range, values) in descriptor.public.iter().zip(public) {
        count("public values", range.count, values.len())?;
        if let Some(v) = values.iter().find(|v| **v < range.lo || **v > range.hi) {
            return Err(SettleError::PublicRange { value: *v, lo: range.lo, hi: range.hi });
        }
    }
    let ids = given_ids(descriptor, &argument.given);
    let digest = statement(&descriptor.id(), context, &ids, public, &argument.rows, &argument.mask);
    let mut instances =
        vec![digest_to_fr(&digest), argument.zeta, public_sum(public, &argument.zeta), argument.gamma, argument.value];
    instances.extend_from_slice(&argument.point);

    let mut transcript = KeccakTranscript::from_state(digest);
    let mut left = halo2_terms(descriptor, &instances, &argument.halo2, &mut transcript)?;

    transcript.absorb_fr(&argument.beta);
    let low = argument.point.get(argument.point.len().saturating_sub(descriptor.row_bits)..).unwrap_or(&[]);
    let opened = pairing_terms(low, argument.value, &argument.opening, &mut transcript)?;
    let rho = transcript.challenge();

    let c = coefficients(descriptor, &argument.point, argument.gamma, argument.beta);
    let mut opening = Terms { generator: opened.generator, ..Terms::default() };
    let rows = argument.rows.iter().zip(c.witness).chain(descriptor.model_rows.iter().zip(c.model));
    let named = named.into_iter().zip(c.stacks).flat_map(|(rows, c)| rows.iter().zip(c));
    let rows = rows.chain(named).chain([(&argument.mask, c.mask), (&descriptor.blinder, c.blinder)]);
    rows.for_each(|(p, s)| opening.add(*p, s * opened.commitment));
    argument.opening.folds.iter().zip(opened.folds).for_each(|(p, s)| opening.add(*p, s));
    opening.add(argument.opening.quotient, opened.quotient);
    opening.add(argument.opening.linearised, opened.linearised);
    opening.scale(rho);

    left.points.append(&mut opening.points);
    left.scalars.append(&mut opening.scalars);
    left.add(G1Affine::generator(), left.generator + opening.generator);
    let left = combine_rows(&left.points, &left.scalars)?.into_affine();
    let right = (argument.halo2.w_prime.into_group() + argument.opening.linearised * rho).into_affine();
    let input = PairingInput { left, right };
    let negated = (-input.right.into_group()).into_affine();
    let product = Bn254::multi_pairing([input.left, negated], [ark_bn254::G2Affine::generator(), descriptor.tau_g2]);
    if product.is_zero() { Ok(ids) } else { Err(SettleError::Pairing) }
}

/// The rows of all named stacks, in the order of the layout.
fn named_rows<'a>(descriptor: &'a Descriptor, given: &'a [Vec<G1Affine>]) -> Result<Vec<&'a [G1Affine]>, SettleError> {
    let count = |what, expected: usize, got: usize| {
        if expected == got { Ok(()) } else { Err(SettleError::Count { what, expected, got }) }
    };
    count("given stacks", descriptor.given().count(), given.len())?;
    let mut given = given.iter();
    let mut out = Vec::with_capacity(descriptor.stacks.len());
    for s in &descriptor.stacks {
        let rows_of = s.pinned.as_ref().or_else(|| given.next()).map_or(&[][..], Vec::as_slice);
        count("rows of a named stack", rows(s.bits, descriptor.row_bits), rows_of.len())?;
        out.push(rows_of);
    }
    Ok(out)
}

/// Everything about the Halo2 proof but the multi-scalar multiplication: what is paired with `[1]_2`. The second quotient is
/// paired with `[tau]_2`.
fn halo2_terms(
    descriptor: &Descriptor,
    instances: &[Fr],
    proof: &Halo2Proof,
    transcript: &mut KeccakTranscript,
) -> Result<Terms, SettleError> {
    let permutation = Permutation::standard().ok_or(SettleError::Parameters)?;
    let (k, omega) = (u64::try_from(descriptor.circuit.k).unwrap_or(0), descriptor.omega());
    transcript.absorb_frs(instances);
    transcript.absorb_points(&proof.advice);
    // Halo2 draws a challenge for lookups, of which there are none.
    transcript.challenge();
    let beta = transcript.challenge();
    let gamma = transcript.challenge();
    transcript.absorb_points(&[proof.product, proof.random]);
    let y = transcript.challenge();
    transcript.absorb_points(&proof.quotient);
    let x = transcript.challenge();
    transcript.absorb_frs(&proof.evaluations);
    let y_open = transcript.challenge();
    let v = transcript.challenge();
    transcript.absorb_point(&proof.w);
    let u = transcript.challenge();
    transcript.absorb_point(&proof.w_prime);

    let [a0, a1, a2, a3, a4, a5, n0, n1, n2, f0, f1, f2, f3, f4, f5, random, s0, s1, s2, z, z_next] = proof.evaluations;
    let n = Fr::from(2u64).pow([k]);
    let xn = (0..k).fold(x, |power, _| power.square());
    let vanishing = xn - Fr::ONE;
    if vanishing.is_zero() {
        return Err(SettleError::Degenerate);
    }
    let lagrange = |i: i64| -> Result<Fr, SettleError> {
        let power = omega.pow([i.unsigned_abs()]);
        let at = if i < 0 { power.inverse().ok_or(SettleError::Degenerate)? } else { power };
        (n * (x - at)).inverse().map(|d| at * vanishing * d).ok_or(SettleError::Degenerate)
    };
    let mut instance = Fr::ZERO;
    for (i, value) in (0..).zip(instances) {
        instance += lagrange(i)? * value;
    }
    let reserved = i64::try_from(RESERVED).unwrap_or(0);
    let mut blind = Fr::ZERO;
    for i in 1..reserved {
        blind += lagrange(-i)?;
    }
    let (first, last) = (lagrange(0)?, lagrange(-reserved)?);

    let row = Row { a: [a0, a1, a2, a3, a4, a5], next: [n0, n1, n2], fixed: [f0, f1, f2, f3, f4, f5], instance };
    let mut constraints = gates(&permutation, &row);
    constraints.push(first * (Fr::ONE - z));
    constraints.push(last * (z.square() - z));
    let (mut numerator, mut denominator, mut place) = (z_next, z, beta * x);
    for (a, s) in [(a3, s0), (a4, s1), (a5, s2)] {
        numerator *= a + beta * s + gamma;
        denominator *= a + place + gamma;
        place *= DELTA;
    }
    constraints.push((numerator - denominator) * (Fr::ONE - last - blind));
    let total = constraints.iter().fold(Fr::ZERO, |acc, c| acc * y + c);
    let quotient_value = total * vanishing.inverse().ok_or(SettleError::Degenerate)?;

    // SHPLONK: one set at {x, omega x}, one at {x}.
    let x_next = omega * x;
    let slope = (u - x) * (x_next - x).inverse().ok_or(SettleError::Degenerate)?;
    let mut terms = Terms::default();
    let mut power = Fr::ONE;
    let both = [(0, a0, n0), (1, a1, n1), (2, a2, n2)];
    for (i, e, next) in both {
        terms.add(proof.advice.get(i).copied().unwrap_or_default(), power);
        terms.generator -= power * (e + (next - e) * slope);
        power *= y_open;
    }
    terms.add(proof.product, power);
    terms.generator -= power * (z + (z_next - z) * slope);

    let mut weight = v * (u - x_next);
    let circuit = &descriptor.circuit;
    let advice = proof.advice.iter().skip(3).zip([a3, a4, a5]);
    let fixed = circuit.fixed.iter().zip([f0, f1, f2, f3, f4, f5]);
    let copies = circuit.permutation.iter().zip([s0, s1, s2]);
    for (point, value) in advice.chain(fixed).chain(copies) {
        terms.add(*point, weight);
        terms.generator -= weight * value;
        weight *= y_open;
    }
    let mut piece = weight;
    for h in &proof.quotient {
        terms.add(*h, piece);
        piece *= xn;
    }
    terms.generator -= weight * quotient_value;
    weight *= y_open;
    terms.add(proof.random, weight);
    terms.generator -= weight * random;

    terms.add(proof.w, -((u - x) * (u - x_next)));
    terms.add(proof.w_prime, u);
    Ok(terms)
}
