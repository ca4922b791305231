//! Affine additions that share an inversion (Montgomery's trick).

use ark_bn254::{Fq, G1Affine};
use ark_ff::{AdditiveGroup, Field, Zero};

/// Independent product chains: one chain would wait for each multiplication's latency.
const LANES: usize = 4;

/// Replaces each segment of `points` by its sum. Segment k is the next `lens[k]` points; afterwards `points` holds one
/// point for each segment that was not empty, and `lens[k]` is 0 or 1. A sum may be the point at infinity.
///
/// Neighbours are added in rounds, every round with one inversion for all segments. `prefix` is scratch.
pub(super) fn sum_segments(points: &mut Vec<G1Affine>, lens: &mut [u32], prefix: &mut Vec<Fq>) {
    loop {
        let pairs: usize = lens.iter().map(|&len| len as usize / 2).sum();
        if pairs == 0 {
            return;
        }
        // Backwards, so that the forward pass below can write over what it has read.
        prefix.clear();
        let mut products = [Fq::ONE; LANES];
        let mut end = points.len();
        for &len in lens.iter().rev() {
            let start = end - len as usize;
            for pair in points[start..end].chunks_exact(2).rev() {
                let product = &mut products[prefix.len() % LANES];
                prefix.push(*product);
                *product *= denominator(&pair[0], &pair[1]);
            }
            end = start;
        }

        let mut inverses = invert_lanes(products);
        let (mut read, mut write) = (0, 0);
        let mut prefixes = prefix.iter().enumerate().rev();
        for len in lens.iter_mut() {
            for (lane, before) in prefixes.by_ref().take(*len as usize / 2) {
                let (a, b) = (points[read], points[read + 1]);
                let inverse = &mut inverses[lane % LANES];
                let this = *before * *inverse;
                *inverse *= denominator(&a, &b);
                points[write] = add_given_inverse(&a, &b, this);
                read += 2;
                write += 1;
            }
            if *len % 2 == 1 {
                points[write] = points[read];
                read += 1;
                write += 1;
            }
            *len = len.div_ceil(2);
        }
        points.truncate(write);
    }
}

fn invert_lanes(mut lanes: [Fq; LANES]) -> [Fq; LANES] {
    ark_ff::batch_inversion(&mut lanes);
    lanes
}

/// What the addition divides by; never zero, so that no pair spoils the shared product.
#[inline(always)]
fn denominator(a: &G1Affine, b: &G1Affine) -> Fq {
    let dx = b.x - a.x;
    if dx.is_zero() || a.x.is_zero() || b.x.is_zero() { special_denominator(a, b) } else { dx }
}

#[cold]
fn special_denominator(a: &G1Affine, b: &G1Affine) -> Fq {
    let dx = b.x - a.x;
    if is_infinity(a) || is_infinity(b) {
        Fq::ONE
    } else if !dx.is_zero() {
        dx
    } else if a.y == b.y {
        // The group has odd order, so y is not zero.
        a.y.double()
    } else {
        Fq::ONE
    }
}

#[inline(always)]
fn add_given_inverse(a: &G1Affine, b: &G1Affine, inverse: Fq) -> G1Affine {
    if a.x == b.x || a.x.is_zero() || b.x.is_zero() {
        return special_add(a, b, inverse);
    }
    finish(a, b, (b.y - a.y) * inverse)
}

#[cold]
fn special_add(a: &G1Affine, b: &G1Affine, inverse: Fq) -> G1Affine {
    if is_infinity(a) {
        *b
    } else if is_infinity(b) {
        *a
    } else if a.x != b.x {
        finish(a, b, (b.y - a.y) * inverse)
    } else if a.y == b.y {
        let square = a.x.square();
        finish(a, b, (square.double() + square) * inverse)
    } else {
        G1Affine::identity()
    }
}

#[inline(always)]
fn finish(a: &G1Affine, b: &G1Affine, slope: Fq) -> G1Affine {
    let x = slope.square() - a.x - b.x;
    G1Affine::new_unchecked(x, slope * (a.x - x) - a.y)
}

/// (0, 0), which is not on the curve.
fn is_infinity(point: &G1Affine) -> bool {
    point.x.is_zero() && point.y.is_zero()
}
