//! The loops over field elements, written once for any [`Lanes`].
//!
//! Slices in one call are equally long, a multiple of [`Lanes::COUNT`].

use super::lanes::Lanes;
use super::mac::{IntegerSum, Limbs, ProductSum, add, element, limbs, mul_wide, add_wide, redc, sub_loose};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// The four quarters of an array that is bound in place: the first two are overwritten with the bound halves.
pub(super) type Quarters<'a> = ([&'a mut [Fr]; 2], [&'a [Fr]; 2]);

/// Calls `body` with `0, COUNT, 2 COUNT, ...` below `len`, and `fold` often enough for the sums.
#[inline(always)]
fn sweep<L: Lanes, S>(len: usize, sums: &mut S, body: impl Fn(&mut S, usize), fold: impl Fn(&mut S)) {
    let stride = L::COUNT.saturating_mul(L::FOLD);
    let mut at = 0;
    while at < len {
        let end = at.saturating_add(stride).min(len);
        while at < end {
            body(sums, at);
            at += L::COUNT;
        }
        fold(sums);
    }
}

#[inline(always)]
fn fold_both<L: Lanes>(sums: &mut [L::Sum; 2]) {
    for sum in sums {
        L::fold(sum);
    }
}

/// `lo + r (hi - lo)`, canonical; `r` is scaled by the excess.
#[inline(always)]
fn bound<L: Lanes>(lo: L::Value, hi: L::Value, r: L::Value) -> L::Value {
    L::canonical4(L::add(lo, L::reduce(L::mul(r, L::sub(hi, lo)))))
}

/// Binds in place: `lo` becomes `lo + r (hi - lo)`.
#[inline(always)]
pub(super) fn bind<L: Lanes>(lo: &mut [Fr], hi: &[Fr], r: &Fr) {
    let hi = &hi[..lo.len()];
    let r = broadcast_scaled::<L>(r);
    for at in (0..lo.len()).step_by(L::COUNT) {
        let value = bound::<L>(L::load(lo, at), L::load(hi, at), r);
        L::store(value, lo, at);
    }
}

/// Binds out of place.
#[inline(always)]
pub(super) fn bind_into<L: Lanes>(lo: &[Fr], hi: &[Fr], out: &mut [Fr], r: &Fr) {
    let (lo, hi) = (&lo[..out.len()], &hi[..out.len()]);
    let r = broadcast_scaled::<L>(r);
    for at in (0..out.len()).step_by(L::COUNT) {
        let value = bound::<L>(L::load(lo, at), L::load(hi, at), r);
        L::store(value, out, at);
    }
}

/// `E x` in all lanes.
#[inline(always)]
fn broadcast_scaled<L: Lanes>(x: &Fr) -> L::Value {
    L::broadcast(&(*x * Fr::from(L::EXCESS)))
}

/// `[sum lo lo', sum (hi - lo)(hi' - lo')]` for the two factors' halves.
#[inline(always)]
pub(super) fn product_round<L: Lanes>(a: [&[Fr]; 2], b: [&[Fr]; 2]) -> [Fr; 2] {
    let len = a[0].len();
    let (a, b) = (a.map(|half| &half[..len]), b.map(|half| &half[..len]));
    let mut sums = [L::sum(), L::sum()];
    sweep::<L, _>(
        len,
        &mut sums,
        |sums, at| {
            let [a0, a1] = a.map(|half| L::load(half, at));
            let [b0, b1] = b.map(|half| L::load(half, at));
            L::accumulate(&mut sums[0], a0, b0);
            L::accumulate(&mut sums[1], L::sub(a1, a0), L::sub(b1, b0));
        },
        fold_both::<L>,
    );
    sums.map(L::finish)
}

/// Binds the two halves of one array at `at`, and gives the bound values.
#[inline(always)]
fn bind_quarters<L: Lanes>(array: &mut Quarters<'_>, at: usize, r: L::Value) -> [L::Value; 2] {
    let (to, hi) = array;
    std::array::from_fn(|half| {
        let value = bound::<L>(L::load(to[half], at), L::load(hi[half], at), r);
        L::store(value, to[half], at);
        value
    })
}

#[inline(always)]
fn cut<'a>((to, hi): Quarters<'a>, len: usize) -> Quarters<'a> {
    (to.map(|half| &mut half[..len]), hi.map(|half| &half[..len]))
}

/// Binds both factors in place, then [`product_round`] of what they became.
#[inline(always)]
pub(super) fn product_bind_round<L: Lanes>(factors: [Quarters<'_>; 2], r: &Fr) -> [Fr; 2] {
    let len = factors[0].0[0].len();
    let mut state = (factors.map(|factor| cut(factor, len)), [L::sum(), L::sum()]);
    let r = broadcast_scaled::<L>(r);
    sweep::<L, _>(
        len,
        &mut state,
        |(factors, sums), at| {
            let [a0, a1] = bind_quarters::<L>(&mut factors[0], at, r);
            let [b0, b1] = bind_quarters::<L>(&mut factors[1], at, r);
            L::accumulate(&mut sums[0], a0, b0);
            L::accumulate(&mut sums[1], L::sub(a1, a0), L::sub(b1, b0));
        },
        |(_, sums)| fold_both::<L>(sums),
    );
    state.1.map(L::finish)
}

/// `hi = r from` and `lo = from - hi`: an eq table grows by one variable.
#[inline(always)]
pub(super) fn eq_double<L: Lanes>(from: &[Fr], lo: &mut [Fr], hi: &mut [Fr], r: &Fr) {
    let (lo, hi) = (&mut lo[..from.len()], &mut hi[..from.len()]);
    let r = broadcast_scaled::<L>(r);
    for at in (0..from.len()).step_by(L::COUNT) {
        let value = L::load(from, at);
        let product = L::canonical4(L::reduce(L::mul(r, value)));
        L::store(product, hi, at);
        L::store2(L::sub(value, product), lo, at);
    }
}

/// One layer up: `p' = p0 q1 + p1 q0`, `q' = q0 q1`.
#[inline(always)]
pub(super) fn fraction_layer<L: Lanes>(p: [&[Fr]; 2], q: [&[Fr]; 2], out: [&mut [Fr]; 2]) {
    let len = out[0].len();
    let [p0, p1] = p.map(|half| &half[..len]);
    let [q0, q1] = q.map(|half| &half[..len]);
    let [p_out, q_out] = out.map(|half| &mut half[..len]);
    for at in (0..len).step_by(L::COUNT) {
        let (p_left, p_right) = (L::load(p0, at), L::load_scaled(p1, at));
        let (q_left, q_right) = (L::load(q0, at), L::load_scaled(q1, at));
        L::store2(L::reduce(L::mul_add(L::mul(p_left, q_right), p_right, q_left)), p_out, at);
        L::store2(L::reduce(L::mul(q_left, q_right)), q_out, at);
    }
}

/// [`fraction_layer`] with integer numerators: no multiplication where they are 0 or 1.
#[inline(always)]
pub(super) fn fraction_layer_i32<L: Lanes>(p: [&[i32]; 2], q: [&[Fr]; 2], out: [&mut [Fr]; 2]) {
    let len = out[0].len();
    let [p0, p1] = p.map(|half| &half[..len]);
    let [q0, q1] = q.map(|half| &half[..len]);
    let [p_out, q_out] = out.map(|half| &mut half[..len]);
    let zero = L::broadcast(&Fr::ZERO);
    for at in (0..len).step_by(L::COUNT) {
        let (q_left, q_right) = (L::load(q0, at), L::load_scaled(q1, at));
        L::store2(L::reduce(L::mul(q_left, q_right)), q_out, at);
        if let (Some(left), Some(right)) = (L::load_bits(p0, at), L::load_bits(p1, at)) {
            let sum = L::add_signed(zero, left, L::load(q1, at), zero);
            L::store2(L::add_signed(sum, right, q_left, zero), p_out, at);
        } else {
            for i in at..at + L::COUNT {
                let mut sum = IntegerSum::default();
                add_integer(&mut sum, limbs(&q1[i]), p0[i]);
                add_integer(&mut sum, limbs(&q0[i]), p1[i]);
                p_out[i] = element(sum.finish());
            }
        }
    }
}

/// Adds `weight * x`, negating the weight for a negative integer.
#[inline(always)]
fn add_integer(sum: &mut IntegerSum, weight: &Limbs, x: i32) {
    let negated = sub_loose(&[0; 4], weight);
    sum.add(if x < 0 { &negated } else { weight }, u64::from(x.unsigned_abs()));
}

/// `(lambda (p0 q1 + p1 q0) + q0 q1) / E`; `lambda` is scaled by the excess.
#[inline(always)]
fn combined<L: Lanes>([p0, p1, q0, q1]: [L::Value; 4], lambda: L::Value) -> L::Value {
    let cross = L::reduce(L::mul_add(L::mul(p0, q1), p1, q0));
    L::reduce(L::mul_add(L::mul(q0, q1), lambda, cross))
}

/// One round of a fraction layer; `lo` and `hi` are the halves of `p0, p1, q0, q1`.
#[inline(always)]
pub(super) fn fraction_round<L: Lanes>(lo: [&[Fr]; 4], hi: [&[Fr]; 4], eq: &[Fr], lambda: &Fr) -> [Fr; 2] {
    let len = eq.len();
    let (lo, hi) = (lo.map(|half| &half[..len]), hi.map(|half| &half[..len]));
    let lambda = broadcast_scaled::<L>(lambda);
    let mut sums = [L::sum(), L::sum()];
    sweep::<L, _>(
        len,
        &mut sums,
        |sums, at| {
            let low = lo.map(|half| L::load(half, at));
            let slope = std::array::from_fn(|k| L::sub(L::load(hi[k], at), low[k]));
            let weight = L::load(eq, at);
            L::accumulate(&mut sums[0], weight, combined::<L>(low, lambda));
            L::accumulate(&mut sums[1], weight, combined::<L>(slope, lambda));
        },
        fold_both::<L>,
    );
    sums.map(|sum| L::finish(sum) * Fr::from(L::EXCESS))
}

/// Binds `p0, p1, q0, q1` in place, then [`fraction_round`] of what they became.
#[inline(always)]
pub(super) fn fraction_bind_round<L: Lanes>(layer: [Quarters<'_>; 4], r: &Fr, eq: &[Fr], lambda: &Fr) -> [Fr; 2] {
    let len = eq.len();
    let mut state = (layer.map(|array| cut(array, len)), [L::sum(), L::sum()]);
    let (r, lambda) = (broadcast_scaled::<L>(r), broadcast_scaled::<L>(lambda));
    sweep::<L, _>(
        len,
        &mut state,
        |(layer, sums), at| {
            let mut low = [r; 4];
            let mut slope = [r; 4];
            for (k, array) in layer.iter_mut().enumerate() {
                let [lo, hi] = bind_quarters::<L>(array, at, r);
                low[k] = lo;
                slope[k] = L::sub(hi, lo);
            }
            let weight = L::load(eq, at);
            L::accumulate(&mut sums[0], weight, combined::<L>(low, lambda));
            L::accumulate(&mut sums[1], weight, combined::<L>(slope, lambda));
        },
        |(_, sums)| fold_both::<L>(sums),
    );
    state.1.map(|sum| L::finish(sum) * Fr::from(L::EXCESS))
}

/// The first round of the leaf layer; halves of `p0, p1` and of `q0, q1`.
///
/// For numerators 0 and 1, `lambda (p0 q1 + p1 q0) + q0 q1 = (q0 + lambda p0)(q1 + lambda p1) - lambda^2 p0 p1` costs one
/// product, for the slopes in {-1, 0, 1} as well.
#[inline(always)]
pub(super) fn fraction_round_i32<L: Lanes>(
    p: [[&[i32]; 2]; 2],
    q: [[&[Fr]; 2]; 2],
    eq: &[Fr],
    lambda: &Fr,
) -> [Fr; 2] {
    let len = eq.len();
    let p = p.map(|child| child.map(|half| &half[..len]));
    let q = q.map(|child| child.map(|half| &half[..len]));
    let square = *lambda * lambda * Fr::from(L::EXCESS).inverse().unwrap_or(Fr::ONE);
    let (plus, minus) = (L::broadcast(lambda), L::broadcast(&-*lambda));
    let (plus_square, minus_square) = (L::broadcast(&square), L::broadcast(&-square));
    let point = |q0, q1, p0, p1| {
        let product = L::mul(L::add_signed(q0, p0, plus, minus), L::add_signed(q1, p1, plus, minus));
        L::add_signed(L::reduce(product), L::sign_mul(p0, p1), minus_square, plus_square)
    };
    let mut sums = ([L::sum(), L::sum()], [ProductSum::default(); 2]);
    sweep::<L, _>(
        len,
        &mut sums,
        |(sums, general), at| {
            let bits = p.map(|child| child.map(|half| L::load_bits(half, at)));
            if let [[Some(p00), Some(p01)], [Some(p10), Some(p11)]] = bits {
                let [[q00, q01], [q10, q11]] = q.map(|child| child.map(|half| L::load(half, at)));
                let weight = L::load(eq, at);
                L::accumulate(&mut sums[0], weight, point(q00, q10, p00, p10));
                let slope =
                    point(L::sub(q01, q00), L::sub(q11, q10), L::sign_sub(p01, p00), L::sign_sub(p11, p10));
                L::accumulate(&mut sums[1], weight, slope);
            } else {
                for i in at..at + L::COUNT {
                    let p = p.map(|child| child.map(|half| half[i]));
                    let q = q.map(|child| child.map(|half| *limbs(&half[i])));
                    general_leaf(general, p, q, limbs(&eq[i]), limbs(lambda));
                }
            }
        },
        |(sums, _)| fold_both::<L>(sums),
    );
    let [at_zero, at_infinity] = sums.0.map(|sum| L::finish(sum) * Fr::from(L::EXCESS));
    let [general_zero, general_infinity] = sums.1.map(ProductSum::finish);
    [at_zero + general_zero, at_infinity + general_infinity]
}

/// One pair of the leaf layer's first round for any numerators: `q0 (q1 + lambda p1) + (lambda p0) q1` at 0 and infinity.
#[inline(always)]
fn general_leaf(sums: &mut [ProductSum; 2], p: [[i32; 2]; 2], q: [[Limbs; 2]; 2], eq: &Limbs, lambda: &Limbs) {
    let scaled = p.map(|child| {
        child.map(|x| {
            let mut sum = IntegerSum::default();
            add_integer(&mut sum, lambda, x);
            sum.finish()
        })
    });
    let at_zero = |child: [Limbs; 2]| child[0];
    let at_infinity = |child: [Limbs; 2]| sub_loose(&child[1], &child[0]);
    let point = |p0: Limbs, p1: Limbs, q0: Limbs, q1: Limbs| {
        redc(add_wide(&mul_wide(&q0, &add(&q1, &p1)), &mul_wide(&p0, &q1)))
    };
    let [p0, p1] = scaled;
    let [q0, q1] = q;
    let value = point(at_zero(p0), at_zero(p1), at_zero(q0), at_zero(q1));
    sums[0].add(&mul_wide(eq, &value));
    let value = point(at_infinity(p0), at_infinity(p1), at_infinity(q0), at_infinity(q1));
    sums[1].add(&mul_wide(eq, &value));
}

/// Binds an integer array out of place.
#[inline(always)]
pub(super) fn bind_i32<L: Lanes>(lo: &[i32], hi: &[i32], out: &mut [Fr], r: &Fr) {
    let (lo, hi) = (&lo[..out.len()], &hi[..out.len()]);
    let complement = Fr::ONE - r;
    let (zero, one) = (L::broadcast(&Fr::ZERO), L::broadcast(&Fr::ONE));
    let (plus, minus) = (L::broadcast(r), L::broadcast(&-*r));
    for at in (0..out.len()).step_by(L::COUNT) {
        if let (Some(low), Some(high)) = (L::load_bits(lo, at), L::load_bits(hi, at)) {
            let value = L::add_signed(zero, low, one, zero);
            L::store2(L::add_signed(value, L::sign_sub(high, low), plus, minus), out, at);
        } else {
            for i in at..at + L::COUNT {
                let mut sum = IntegerSum::default();
                add_integer(&mut sum, limbs(&complement), lo[i]);
                add_integer(&mut sum, limbs(r), hi[i]);
                out[i] = element(sum.finish());
            }
        }
    }
}
