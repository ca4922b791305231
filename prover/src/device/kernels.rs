//! The loops of sumchecks, eq tables and fingerprints, written once for any [`Lanes`], and the list of all kernels.
//!
//! Slices in one call are equally long, a multiple of [`Lanes::COUNT`].

use super::lanes::{INTEGER_TERMS, Lanes};
use ark_bn254::Fr;
use ark_ff::AdditiveGroup;

/// What [`Lanes::load_integers`] adds.
pub(super) const OFFSET: u64 = 1 << 31;

/// Gives the signatures of the kernels below to a macro.
macro_rules! kernel_list {
    ($apply:ident) => {
        $apply! {
            fn bind(lo: &mut [Fr], hi: &[Fr], r: &Fr);
            fn bind_into(lo: &[Fr], hi: &[Fr], out: &mut [Fr], r: &Fr);
            fn bind_i32(lo: &[i32], hi: &[i32], out: &mut [Fr], weights: &[Fr; 2]);
            fn product_round(a: [&[Fr]; 2], b: [&[Fr]; 2]) -> [Fr; 2];
            fn product_round_i32(a: [&[i32]; 2], b: [&[Fr]; 2]) -> [Fr; 2];
            fn product_bind_round(factors: [Quarters<'_>; 2], r: &Fr) -> [Fr; 2];
            fn key_fingerprints(keys: &[i32], out: &mut [Fr], start: &Fr, weight: &Fr);
            fn fingerprints(keys: &[i32], values: &[i32], out: &mut [Fr], start: &Fr, weights: &[Fr; 2]);
            fn axis_lines_i32(out: &mut [Fr], data: &[i32], inner: usize, row: &[(usize, Fr)], start: &Fr);
            fn axis_dots_i32(weights: &[Fr], data: &[i32], stride: usize, out: &mut [Fr]);
            fn axis_lines_fr(out: &mut [Fr], data: &[Fr], inner: usize, row: &[(usize, Fr)]);
            fn add_products(out: &mut [Fr], start: usize, terms: &[(&[Fr], Fr)]);
            fn dot(weights: &[Fr], data: &[Fr]) -> Fr;
            fn eq_grow(lo: &mut [Fr], hi: &mut [Fr], r: &Fr);
            fn eq_grow_into(from: &[Fr], lo: &mut [Fr], hi: &mut [Fr], r: &Fr);
            fn fraction_layer(p: [&[Fr]; 2], q: [&[Fr]; 2], out: [&mut [Fr]; 2]);
            fn fraction_layer_i32(p: [&[i32]; 2], q: [&[Fr]; 2], out: [&mut [Fr]; 2]);
            fn fraction_slope(lo: [&[Fr]; 4], hi: [&[Fr]; 4], eq: &[Fr], lambda: &Fr) -> Fr;
            fn fraction_slope_i32(p: [[&[i32]; 2]; 2], q: [[&[Fr]; 2]; 2], eq: &[Fr], lambda: &Fr) -> Fr;
            fn fraction_round(lo: [&[Fr]; 4], hi: [&[Fr]; 4], eq: &[Fr]) -> [Fr; 2];
            fn fraction_bind_round(layer: [Quarters<'_>; 4], r: &Fr, scale: Option<&Fr>, eq: &[Fr]) -> [Fr; 2];
            fn bind_scaled(lo: &mut [Fr], hi: &[Fr], r: &Fr, scale: &Fr);
        }
    };
}
pub(super) use kernel_list;

pub(super) use super::axis_kernels::{add_products, axis_dots_i32, axis_lines_fr, axis_lines_i32, dot};
pub(super) use super::fraction_kernels::{
    bind_scaled, fraction_bind_round, fraction_layer, fraction_layer_i32, fraction_round, fraction_slope,
    fraction_slope_i32,
};

/// The four quarters of an array that is bound in place: the first two are overwritten with the bound halves.
pub(super) type Quarters<'a> = ([&'a mut [Fr]; 2], [&'a [Fr]; 2]);

/// Elements between two folds of the sums.
#[inline(always)]
pub(super) fn stride<L: Lanes>() -> usize {
    L::COUNT.saturating_mul(L::FOLD)
}

/// `lo + r (hi - lo)`, canonical; `r` is scaled by the excess.
#[inline(always)]
fn bound<L: Lanes>(lo: L::Value, hi: L::Value, r: L::Value) -> L::Value {
    L::reduce_add(L::mul(r, L::sub(hi, lo)), lo)
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
pub(super) fn broadcast_scaled<L: Lanes>(x: &Fr) -> L::Value {
    L::broadcast(&(*x * L::excess()))
}

/// `[sum lo lo', sum (hi - lo)(hi' - lo')]` for the two factors' halves.
#[inline(always)]
pub(super) fn product_round<L: Lanes>(a: [&[Fr]; 2], b: [&[Fr]; 2]) -> [Fr; 2] {
    let len = a[0].len();
    let ([a0, a1], [b0, b1]) = (a.map(|half| &half[..len]), b.map(|half| &half[..len]));
    let (mut zero, mut infinity) = (L::sum(), L::sum());
    let mut start = 0;
    while start < len {
        let end = start.saturating_add(stride::<L>()).min(len);
        for at in (start..end).step_by(L::COUNT) {
            let (a_low, b_low) = (L::load(a0, at), L::load(b0, at));
            L::accumulate(&mut zero, a_low, b_low);
            L::accumulate(&mut infinity, L::sub(L::load(a1, at), a_low), L::sub(L::load(b1, at), b_low));
        }
        L::fold(&mut zero);
        L::fold(&mut infinity);
        start = end;
    }
    [L::finish(zero), L::finish(infinity)]
}

/// Binds the two halves of one array at `at`, and gives the bound values.
#[inline(always)]
pub(super) fn bind_quarters<L: Lanes>(array: &mut Quarters<'_>, at: usize, r: L::Value) -> (L::Value, L::Value) {
    let ([to0, to1], [hi0, hi1]) = array;
    let low = bound::<L>(L::load(to0, at), L::load(hi0, at), r);
    L::store(low, to0, at);
    let high = bound::<L>(L::load(to1, at), L::load(hi1, at), r);
    L::store(high, to1, at);
    (low, high)
}

/// The first `len` entries of each quarter.
#[inline(always)]
pub(super) fn cut<'a>((to, hi): Quarters<'a>, len: usize) -> Quarters<'a> {
    (to.map(|half| &mut half[..len]), hi.map(|half| &half[..len]))
}

/// Binds both factors in place, then [`product_round`] of what they became.
#[inline(always)]
pub(super) fn product_bind_round<L: Lanes>(factors: [Quarters<'_>; 2], r: &Fr) -> [Fr; 2] {
    let len = factors[0].0[0].len();
    let [mut a, mut b] = factors.map(|factor| cut(factor, len));
    let r = broadcast_scaled::<L>(r);
    let (mut zero, mut infinity) = (L::sum(), L::sum());
    let mut start = 0;
    while start < len {
        let end = start.saturating_add(stride::<L>()).min(len);
        for at in (start..end).step_by(L::COUNT) {
            let (a_low, a_high) = bind_quarters::<L>(&mut a, at, r);
            let (b_low, b_high) = bind_quarters::<L>(&mut b, at, r);
            L::accumulate(&mut zero, a_low, b_low);
            L::accumulate(&mut infinity, L::sub(a_high, a_low), L::sub(b_high, b_low));
        }
        L::fold(&mut zero);
        L::fold(&mut infinity);
        start = end;
    }
    [L::finish(zero), L::finish(infinity)]
}

/// An eq table grows by one variable, in place: `hi = r lo` and `lo = lo - hi`.
#[inline(always)]
pub(super) fn eq_grow<L: Lanes>(lo: &mut [Fr], hi: &mut [Fr], r: &Fr) {
    let hi = &mut hi[..lo.len()];
    let r = broadcast_scaled::<L>(r);
    for at in (0..lo.len()).step_by(L::COUNT) {
        let value = L::load(lo, at);
        let product = L::reduce_canonical(L::mul(r, value));
        L::store(product, hi, at);
        L::store(L::canonical(L::sub(value, product)), lo, at);
    }
}

/// [`eq_grow`] into a new table.
#[inline(always)]
pub(super) fn eq_grow_into<L: Lanes>(from: &[Fr], lo: &mut [Fr], hi: &mut [Fr], r: &Fr) {
    lo.copy_from_slice(from);
    eq_grow::<L>(lo, hi, r);
}

/// Sums of two integers with weights, out of place.
#[inline(always)]
pub(super) fn bind_i32<L: Lanes>(lo: &[i32], hi: &[i32], out: &mut [Fr], weights: &[Fr; 2]) {
    let (lo, hi) = (&lo[..out.len()], &hi[..out.len()]);
    let scale = L::integer_scale();
    let (low_weight, high_weight) = (L::broadcast(&(weights[0] * scale)), L::broadcast(&(weights[1] * scale)));
    let shift = L::broadcast(&-((weights[0] + weights[1]) * Fr::from(OFFSET) * scale));
    let (zero, low_one, high_one) = (L::broadcast(&Fr::ZERO), L::broadcast(&weights[0]), L::broadcast(&weights[1]));
    for at in (0..out.len()).step_by(L::COUNT) {
        if let (Some(low), Some(high)) = (L::load_bits(lo, at), L::load_bits(hi, at)) {
            let value = L::add_signed(zero, low, low_one, zero);
            L::store(L::canonical(L::add_signed(value, high, high_one, zero)), out, at);
        } else {
            let mut sum = L::integer_sum(shift);
            L::integer_add(&mut sum, low_weight, L::load_integers(lo, at));
            L::integer_add(&mut sum, high_weight, L::load_integers(hi, at));
            L::store(L::integer_finish(sum), out, at);
        }
    }
}

/// `[sum a_lo b_lo, sum (a_hi - a_lo)(b_hi - b_lo)]` for an integer factor.
#[inline(always)]
pub(super) fn product_round_i32<L: Lanes>(a: [&[i32]; 2], b: [&[Fr]; 2]) -> [Fr; 2] {
    let len = a[0].len();
    let ([a0, a1], [b0, b1]) = (a.map(|half| &half[..len]), b.map(|half| &half[..len]));
    let zero = L::broadcast(&Fr::ZERO);
    let offset = Fr::from(OFFSET);
    let mut h = [Fr::ZERO; 2];
    let mut start = 0;
    while start < len {
        let end = (start + L::COUNT * INTEGER_TERMS).min(len);
        // The offsets of the integers are taken back by the plain sums of the weights.
        let (mut low, mut low_weights) = (L::integer_sum(zero), L::integer_sum(zero));
        let (mut slope, mut slope_weights) = (L::integer_sum(zero), L::integer_sum(zero));
        for at in (start..end).step_by(L::COUNT) {
            let (a_low, b_low) = (L::load_integers(a0, at), L::load(b0, at));
            L::integer_add(&mut low, b_low, a_low);
            L::integer_add_one(&mut low_weights, b_low);
            let b_slope = L::sub(L::load(b1, at), b_low);
            L::integer_add(&mut slope, b_slope, L::integer_sub(L::load_integers(a1, at), a_low));
            L::integer_add_one(&mut slope_weights, b_slope);
        }
        h[0] += L::integer_total(low) - L::integer_total(low_weights) * offset;
        h[1] += L::integer_total(slope) - L::integer_total(slope_weights) * (offset + offset);
        start = end;
    }
    h
}

/// `out[i] = start - weight * keys[i]`.
#[inline(always)]
pub(super) fn key_fingerprints<L: Lanes>(keys: &[i32], out: &mut [Fr], start: &Fr, weight: &Fr) {
    let keys = &keys[..out.len()];
    let scale = L::integer_scale();
    let start = L::broadcast(&((*start + Fr::from(OFFSET) * weight) * scale));
    let weight = L::broadcast(&-(scale * weight));
    for at in (0..out.len()).step_by(L::COUNT) {
        let mut sum = L::integer_sum(start);
        L::integer_add(&mut sum, weight, L::load_integers(keys, at));
        L::store(L::integer_finish(sum), out, at);
    }
}

/// `out[i] = start - weights[0] * keys[i] - weights[1] * values[i]`.
#[inline(always)]
pub(super) fn fingerprints<L: Lanes>(keys: &[i32], values: &[i32], out: &mut [Fr], start: &Fr, weights: &[Fr; 2]) {
    let (keys, values) = (&keys[..out.len()], &values[..out.len()]);
    let scale = L::integer_scale();
    let start = L::broadcast(&((*start + Fr::from(OFFSET) * (weights[0] + weights[1])) * scale));
    let (key_weight, value_weight) = (L::broadcast(&-(scale * weights[0])), L::broadcast(&-(scale * weights[1])));
    for at in (0..out.len()).step_by(L::COUNT) {
        let mut sum = L::integer_sum(start);
        L::integer_add(&mut sum, key_weight, L::load_integers(keys, at));
        L::integer_add(&mut sum, value_weight, L::load_integers(values, at));
        L::store(L::integer_finish(sum), out, at);
    }
}
