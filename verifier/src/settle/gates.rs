//! The gates of the settlement circuit, written once for every interpreter (docs/protocol.md#gates).
//!
//! Six advice columns `a0..a5`, six fixed columns `A, B, S, c0, c1, c2`, one column of public inputs; the copy constraints are on
//! `a3, a4, a5`. A row is of one of these kinds:
//!
//! | kind | A | B | S | meaning |
//! |---|---|---|---|---|
//! | blank | 0 | 0 | 0 | nothing |
//! | full | 1 | 0 | 0 | a full round of Poseidon: state `a0..a2`, squares `a3..a5`, constants `c0..c2`, next state in the next row |
//! | partial | 0 | 0 | 1 | two partial rounds if `c2 = 1`, one if `c2 = 0`; constants `c0, c1` (those of `s1, s2` are moved into later rounds) |
//! | absorb | 0 | 1 | 0 | next state is the state plus `c2 (0, a3, a4)`; `a5 = c0 a1 + c1 a2 + public input` |
//! | continue | 1 | 1 | 0 | next `a0` is `a0 + c0 a3 a4 + c1 a3 + c2 + a5` |
//! | last | -1 | 1 | 0 | `a5 = a0 + c0 a3 a4 + c1 a3 + c2`, next `a0` is 0 |
//!
//! The degree is 5, selectors included: the S-box is split by committing the square.

use crate::{Fr, transcript::Permutation};
use assay_circuits::Ring;

/// Advice columns.
pub const ADVICE: usize = 6;
/// Fixed columns.
pub const FIXED: usize = 6;
/// The advice columns that copy constraints reach.
pub const COPYABLE: [usize; 3] = [3, 4, 5];
/// Largest degree of a gate.
pub const DEGREE: usize = 5;
/// Rows at the end that Halo2 fills with randomness or keeps for itself.
pub const RESERVED: usize = 6;

/// A field element that gates can be evaluated over.
pub trait GateElement: Ring {
    /// A constant.
    fn constant(value: Fr) -> Self;
}

impl GateElement for Fr {
    fn constant(value: Fr) -> Self {
        value
    }
}

/// What a gate sees of a row and the next.
#[derive(Clone, Debug)]
pub struct Row<E> {
    /// Advice of this row.
    pub a: [E; ADVICE],
    /// `a0, a1, a2` of the next row.
    pub next: [E; 3],
    /// `A, B, S, c0, c1, c2`.
    pub fixed: [E; FIXED],
    /// The public input of this row.
    pub instance: E,
}

/// The names of [`gates`], in order.
pub const NAMES: [&str; 18] = [
    "full round: square of s0",
    "full round: square of s1",
    "full round: square of s2",
    "full round: next s0",
    "full round: next s1",
    "full round: next s2",
    "partial round: square",
    "partial round: fifth power",
    "second partial round: square",
    "partial rounds: next s0",
    "partial rounds: next s1",
    "partial rounds: next s2",
    "absorb: next s0",
    "absorb: next s1",
    "absorb: next s2",
    "absorb: output",
    "arithmetic",
    "arithmetic: end of a sum",
];

/// Every constraint of a row; all must be zero.
pub fn gates<E: GateElement>(permutation: &Permutation, row: &Row<E>) -> Vec<E> {
    let [a0, a1, a2, a3, a4, a5] = row.a.clone();
    let [n0, n1, n2] = row.next.clone();
    let [kind, b, s, c0, c1, c2] = row.fixed.clone();
    let one = E::one();
    let m: [[E; 3]; 3] = permutation.matrix.map(|r| r.map(E::constant));
    let mix = |row: &[E; 3], v: [&E; 3]| {
        let [x, y, z] = row.clone();
        x * v[0].clone() + y * v[1].clone() + z * v[2].clone()
    };
    let square = |x: &E| x.clone() * x.clone();
    let mut out = Vec::with_capacity(NAMES.len());

    let full = kind.clone() * (one.clone() - b.clone());
    let keys = [a0.clone() + c0.clone(), a1.clone() + c1.clone(), a2.clone() + c2.clone()];
    let squares = [&a3, &a4, &a5];
    for (q, k) in squares.iter().zip(&keys) {
        out.push(full.clone() * ((*q).clone() - square(k)));
    }
    let [y0, y1, y2] = {
        let [k0, k1, k2] = keys.clone();
        [square(&a3) * k0, square(&a4) * k1, square(&a5) * k2]
    };
    for (n, r) in [&n0, &n1, &n2].into_iter().zip(&m) {
        out.push(full.clone() * (n.clone() - mix(r, [&y0, &y1, &y2])));
    }

    let [d0, ..] = keys;
    out.push(s.clone() * (a3.clone() - square(&d0)));
    out.push(s.clone() * (a4.clone() - square(&a3) * d0));
    let first: [E; 3] = [0, 1, 2].map(|j| m.get(j).map_or_else(E::zero, |r| mix(r, [&a4, &a1, &a2])));
    let d1 = first[0].clone() + c1.clone();
    out.push(s.clone() * (a5.clone() - square(&d1)));
    let y = square(&a5) * d1;
    for ((n, r), f) in [&n0, &n1, &n2].into_iter().zip(&m).zip(&first) {
        let second = mix(r, [&y, &first[1], &first[2]]);
        out.push(s.clone() * (n.clone() - f.clone() - c2.clone() * (second - f.clone())));
    }

    let absorb = b.clone() * (one.clone() - square(&kind));
    out.push(absorb.clone() * (n0.clone() - a0.clone()));
    out.push(absorb.clone() * (n1 - a1.clone() - c2.clone() * a3.clone()));
    out.push(absorb.clone() * (n2 - a2.clone() - c2.clone() * a4.clone()));
    out.push(absorb * (a5.clone() - c0.clone() * a1 - c1.clone() * a2 - row.instance.clone()));

    let sum = a0 + c0 * a3.clone() * a4 + c1 * a3 + c2;
    let arithmetic = b.clone() * kind.clone();
    let half = E::pow2(-1);
    out.push(
        arithmetic.clone() * sum + arithmetic.clone() * kind.clone() * a5
            - arithmetic.clone() * (kind.clone() + one.clone()) * half * n0.clone(),
    );
    out.push(arithmetic * (kind - one) * n0);
    out
}
