//! The arithmetic of the folds: their number and arity, the points at which each is tested, and the weights that tie
//! one fold to the next.
//!
//! A point's coordinates are consumed from the last to the first, two a fold; with an odd number of them the last fold
//! has one. Lists over all folds are flat: four test points a fold, three evaluations a fold, and two or one for a last
//! fold of arity 2, so cutting a list in chunks of four or three gives the folds' parts.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, MontFp, Zero, batch_inversion};

/// Coordinates that a fold binds, except perhaps the last.
pub const FOLD_VARIABLES: usize = 2;
/// Parts that a fold merges, except perhaps the last: `2^FOLD_VARIABLES`.
pub const ARITY: usize = 4;
/// Evaluations that a proof holds for a fold, except perhaps for the last.
const EVALUATIONS: usize = ARITY - 1;

/// The powers of `7^((r - 1) / 4)`, a primitive fourth root of unity. Their even ones are the square roots.
const ROOTS: [Fr; ARITY] = [
    Fr::ONE,
    MontFp!("21888242871839275217838484774961031246007050428528088939761107053157389710902"),
    MontFp!("-1"),
    MontFp!("-21888242871839275217838484774961031246007050428528088939761107053157389710902"),
];

/// Folds of a polynomial in `variables` variables: as many commitments are involved, the opened one included.
pub const fn fold_count(variables: usize) -> usize {
    variables.div_ceil(FOLD_VARIABLES)
}

/// Evaluations in a proof about `variables` variables: an arity less one for each fold.
pub const fn evaluation_count(variables: usize) -> usize {
    (variables / FOLD_VARIABLES).saturating_mul(EVALUATIONS).saturating_add(variables % FOLD_VARIABLES)
}

/// Where one fold is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldPoints {
    /// `u_i`, the arity's roots of unity times `z_j`, which comes first: all points whose power is [`Self::next`].
    pub points: Vec<Fr>,
    /// `z_(j+1)`, the power of `z_j` to the arity: the test point of the next fold.
    pub next: Fr,
}

impl FoldPoints {
    /// The fold's arity, 4 or 2.
    fn arity(&self) -> u64 {
        u64::try_from(self.points.len()).unwrap_or(u64::MAX)
    }
}

/// The test points of all folds of a polynomial in `variables` variables.
pub fn fold_points(z: Fr, variables: usize) -> Vec<FoldPoints> {
    let mut z_j = z;
    let mut left = variables;
    let mut out = Vec::with_capacity(fold_count(variables));
    while left > 0 {
        let bound = left.min(FOLD_VARIABLES);
        let points = roots(bound).map(|root| root * z_j).collect();
        z_j = (0..bound).fold(z_j, |power, _| power.square());
        out.push(FoldPoints { points, next: z_j });
        left = left.saturating_sub(bound);
    }
    out
}

/// The roots of unity whose order is the arity of a fold of `bound` coordinates, from 1 by powers of one of them.
fn roots(bound: usize) -> impl Iterator<Item = Fr> {
    ROOTS.into_iter().step_by(if bound < FOLD_VARIABLES { 2 } else { 1 })
}

/// The weights `s_j = nu^j / (zeta^n_j - z_(j+1))` of the folds in the linearised polynomial. `None` when a denominator
/// is zero.
pub fn fold_weights(folds: &[FoldPoints], nu: Fr, zeta: Fr) -> Option<Vec<Fr>> {
    let mut distances: Vec<Fr> = folds.iter().flat_map(|fold| distances(fold, zeta)).collect();
    invert_all(&mut distances)?;
    Some(weights(distances.chunks(ARITY), nu))
}

/// `zeta - u_i` for a fold's test points. Their product is `zeta^n - z_(j+1)`.
fn distances(fold: &FoldPoints, zeta: Fr) -> impl Iterator<Item = Fr> {
    fold.points.iter().map(move |point| zeta - point)
}

/// [`fold_weights`] from the inverse distances of each fold.
fn weights<'a>(inverse_distances: impl Iterator<Item = &'a [Fr]>, nu: Fr) -> Vec<Fr> {
    let powers = core::iter::successors(Some(Fr::ONE), |power| Some(*power * nu));
    inverse_distances
        .zip(powers)
        .map(|(inverses, power)| inverses.iter().fold(power, |product, i| product * i))
        .collect()
}

/// `n z_j^(n-1) K_i`, where `P_(j+1)(z_(j+1)) = sum_i K_i P_j(u_i)`, for the fold of arity n that binds `coordinates`,
/// of which the last is the least significant index bit.
///
/// With `P_j = sum_k X^k Q_k(X^n)` the values at the test points give `Q_k(z_(j+1)) = sum_i u_i^-k P_j(u_i) / n`, so
/// `K_i = prod_t ((1 - x_t) + x_t u_i^(-2^t)) / n`. A factor `z_j^(2^t)` each leaves no inverse but that of a root.
fn relation(z_j: Fr, coordinates: &[Fr]) -> Vec<Fr> {
    let weight = |root: Fr| {
        // The inverse of a fourth root of unity is its cube.
        let (mut power, mut inverse) = (z_j, root.square() * root);
        let mut product = Fr::ONE;
        for x in coordinates.iter().rev() {
            product *= power * (Fr::ONE - x) + inverse * x;
            power.square_in_place();
            inverse.square_in_place();
        }
        product
    };
    roots(coordinates.len()).map(weight).collect()
}

/// What the folds contribute to the linearised polynomial.
pub(super) struct Linearisation {
    /// `s_j`, from that of the opened polynomial on.
    pub weights: Vec<Fr>,
    /// `sum_j s_j l_j(zeta)`, `l_j` being the polynomial of degree below the arity through `P_j`'s values at the test
    /// points.
    pub constant: Fr,
}

/// Derives the values `P_j(z_j)` from the claimed value and the evaluations of the proof, then the linearisation.
/// `None` when a denominator is zero.
pub(super) fn linearise(point: &[Fr], value: Fr, evaluations: &[Fr], [z, nu, zeta]: [Fr; 3]) -> Option<Linearisation> {
    let folds = fold_points(z, point.len());
    let relations: Vec<Vec<Fr>> = folds
        .iter()
        .zip(point.rchunks(FOLD_VARIABLES))
        .map(|(fold, coordinates)| relation(*fold.points.first().unwrap_or(&Fr::ZERO), coordinates))
        .collect();

    let firsts = relations.iter().filter_map(|relation| relation.first().copied());
    let scales = folds.iter().map(|fold| fold.next * Fr::from(fold.arity()));
    let mut inverses: Vec<Fr> =
        firsts.chain(scales).chain(folds.iter().flat_map(|fold| distances(fold, zeta))).collect();
    invert_all(&mut inverses)?;
    let (firsts, rest) = inverses.split_at_checked(folds.len())?;
    let (scales, distances) = rest.split_at_checked(folds.len())?;

    let weights = weights(distances.chunks(ARITY), nu);
    let powers = core::iter::successors(Some(Fr::ONE), |power| Some(*power * nu));
    let mut terms: Vec<_> = folds
        .iter()
        .zip(&relations)
        .zip(evaluations.chunks(EVALUATIONS))
        .zip(firsts.iter().zip(scales))
        .zip(distances.chunks(ARITY))
        .zip(powers)
        .collect();
    terms.reverse();

    let mut next = value;
    let mut constant = Fr::ZERO;
    for (((((fold, relation), sent), (first, scale)), distances), power) in terms {
        let z_j = fold.points.first()?;
        let known: Fr = relation.iter().skip(1).zip(sent).map(|(weight, value)| *weight * value).sum();
        let full = z_j.pow([fold.arity().saturating_sub(1)]) * Fr::from(fold.arity()) * next;
        next = (full - known) * first;
        // s_j l_j(zeta) = nu^j / (n z_(j+1)) sum_i P_j(u_i) u_i / (zeta - u_i): the vanishing polynomial cancels.
        let values = core::iter::once(&next).chain(sent);
        let sum: Fr = values.zip(&fold.points).zip(distances).map(|((v, u), inverse)| *v * u * inverse).sum();
        constant += power * scale * sum;
    }
    Some(Linearisation { weights, constant })
}

/// Inverts every element, or gives `None` when one is zero.
fn invert_all(values: &mut [Fr]) -> Option<()> {
    if values.iter().any(Fr::is_zero) {
        return None;
    }
    batch_inversion(values);
    Some(())
}

#[cfg(test)]
mod tests {
    use ark_ff::{BigInteger, PrimeField};
    use proptest::prelude::*;

    use super::*;
    use crate::keccak::KeccakTranscript;

    fn draws(seed: u64, n: usize) -> Vec<Fr> {
        let mut transcript = KeccakTranscript::new(&seed.to_be_bytes());
        (0..n).map(|_| transcript.challenge()).collect()
    }

    fn evaluate(polynomial: &[Fr], at: Fr) -> Fr {
        polynomial.iter().rev().fold(Fr::ZERO, |sum, c| sum * at + c)
    }

    /// Lagrange's formula.
    fn interpolate(points: &[Fr], values: &[Fr], at: Fr) -> Fr {
        let basis = |i: usize| -> Fr {
            let others = (0..points.len()).filter(|k| *k != i);
            others.map(|k| (at - points[k]) / (points[i] - points[k])).product()
        };
        values.iter().enumerate().map(|(i, value)| *value * basis(i)).sum()
    }

    /// Merges blocks of `2^coordinates.len()` coefficients, bit by bit from the least significant.
    fn fold(polynomial: &[Fr], coordinates: &[Fr]) -> Vec<Fr> {
        coordinates
            .iter()
            .rev()
            .fold(polynomial.to_vec(), |p, x| p.chunks(2).map(|pair| pair[0] * (Fr::ONE - x) + pair[1] * x).collect())
    }

    #[test]
    fn roots_are_the_documented_ones() {
        let mut exponent = Fr::MODULUS;
        assert!(!exponent.sub_with_borrow(&1u64.into()));
        exponent.div2();
        exponent.div2();
        let root = Fr::from(7u8).pow(exponent);
        assert_eq!(ROOTS, [Fr::ONE, root, root.square(), root.square() * root]);
        assert_eq!(root.square(), -Fr::ONE);
        assert_eq!(roots(1).collect::<Vec<_>>(), [Fr::ONE, -Fr::ONE]);
        assert_eq!(roots(2).collect::<Vec<_>>(), ROOTS);
    }

    #[test]
    fn counts_follow_the_arities() {
        for variables in 0..12 {
            let folds = fold_points(Fr::from(3u8), variables);
            assert_eq!(folds.len(), fold_count(variables));
            let arities: Vec<usize> = folds.iter().map(|fold| fold.points.len()).collect();
            assert_eq!(arities.iter().product::<usize>(), 1 << variables);
            assert_eq!(arities.iter().map(|n| n - 1).sum::<usize>(), evaluation_count(variables));
            let last = if variables % 2 == 1 { 2 } else { 4 };
            assert!(arities.iter().enumerate().all(|(j, n)| *n == if j + 1 == arities.len() { last } else { 4 }));
        }
        assert_eq!([0, 1, 2, 3, 4, 5].map(fold_count), [0, 1, 1, 2, 2, 3]);
        assert_eq!([0, 1, 2, 3, 4, 5].map(evaluation_count), [0, 1, 3, 4, 6, 7]);
    }

    #[test]
    fn test_points_are_the_roots_of_the_next_point() {
        let folds = fold_points(Fr::from(3u8), 5);
        let mut z = Fr::from(3u8);
        for (fold, arity) in folds.iter().zip([4u64, 4, 2]) {
            assert_eq!(fold.points[0], z);
            assert_eq!(fold.next, z.pow([arity]));
            for (i, u) in fold.points.iter().enumerate() {
                assert_eq!(u.pow([arity]), fold.next);
                assert!(fold.points[..i].iter().all(|other| other != u));
            }
            z = fold.next;
        }
    }

    #[test]
    fn zero_denominators_are_noticed() {
        let [z, nu, zeta] = [3u64, 5, 7].map(Fr::from);
        let evaluations = draws(1, 4);
        let point = [11u64, 13, 17].map(Fr::from);
        let run = |point: &[Fr], challenges| linearise(point, Fr::ONE, &evaluations, challenges).is_some();
        assert!(run(&point, [z, nu, zeta]));
        assert!(!run(&point, [Fr::ZERO, nu, zeta]));
        let folds = fold_points(z, 3);
        assert!(fold_weights(&folds, nu, zeta).is_some());
        for bad in folds.iter().flat_map(|fold| &fold.points) {
            assert!(!run(&point, [z, nu, *bad]));
            assert!(fold_weights(&folds, nu, *bad).is_none());
        }
        // z_j^(2^t) (1 - x) + x = 0 for each coordinate: t = 0, 1 in the first fold, t = 0 in the second.
        for (place, power) in [(2, 1u64), (1, 2), (0, 4)] {
            let power = z.pow([power]);
            let mut bad = point;
            bad[place] = power / (power - Fr::ONE);
            assert!(!run(&bad, [z, nu, zeta]), "coordinate {place}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// `K` against a polynomial that is folded by its coefficients.
        #[test]
        fn the_relation_is_the_fold(seed: u64, bound in 1usize..=2, blocks in 1usize..5) {
            let n = 1 << bound;
            let polynomial = draws(seed, n * blocks);
            let [z, x1, x0] = draws(!seed, 3)[..] else { unreachable!() };
            let coordinates = &[x1, x0][2 - bound..];
            let folds = fold_points(z, bound);
            let relation = relation(z, coordinates);
            let scale = Fr::from(n as u64) * z.pow([n as u64 - 1]);
            let mut sum = Fr::ZERO;
            for (i, u) in folds[0].points.iter().enumerate() {
                let mut k = Fr::from(n as u64).inverse().unwrap();
                for (t, x) in coordinates.iter().rev().enumerate() {
                    k *= Fr::ONE - x + *x / u.pow([1 << t]);
                }
                prop_assert_eq!(relation[i], scale * k);
                sum += k * evaluate(&polynomial, *u);
            }
            prop_assert_eq!(sum, evaluate(&fold(&polynomial, coordinates), folds[0].next));
        }

        /// Weights and constant against Lagrange interpolation through the values of honest folds.
        #[test]
        fn the_linearisation_is_the_interpolation(seed: u64, variables in 1usize..7) {
            let point = draws(seed, variables);
            let [z, nu, zeta] = draws(!seed, 3)[..] else { unreachable!() };
            let folds = fold_points(z, variables);
            let mut polynomial = draws(seed ^ 1, 1 << variables);
            let mut evaluations = Vec::new();
            let (mut weights, mut constant) = (Vec::new(), Fr::ZERO);
            for (j, (points, coordinates)) in folds.iter().zip(point.rchunks(2)).enumerate() {
                let values: Vec<Fr> = points.points.iter().map(|u| evaluate(&polynomial, *u)).collect();
                evaluations.extend(&values[1..]);
                let weight = nu.pow([j as u64]) / (zeta.pow([values.len() as u64]) - points.next);
                weights.push(weight);
                constant += weight * interpolate(&points.points, &values, zeta);
                polynomial = fold(&polynomial, coordinates);
            }
            prop_assert_eq!(polynomial.len(), 1);
            let derived = linearise(&point, polynomial[0], &evaluations, [z, nu, zeta]).unwrap();
            prop_assert_eq!(&derived.weights, &weights);
            prop_assert_eq!(derived.constant, constant);
            prop_assert_eq!(fold_weights(&folds, nu, zeta), Some(weights));
            // Another value or evaluation is another constant.
            let other = linearise(&point, polynomial[0] + Fr::ONE, &evaluations, [z, nu, zeta]).unwrap();
            prop_assert_ne!(other.constant, constant);
            for i in 0..evaluations.len() {
                let mut changed = evaluations.clone();
                changed[i] += Fr::ONE;
                let other = linearise(&point, polynomial[0], &changed, [z, nu, zeta]).unwrap();
                prop_assert_ne!(other.constant, constant);
            }
        }
    }
}
