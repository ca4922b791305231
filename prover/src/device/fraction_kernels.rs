//! The loops of fraction trees, written once for any [`Lanes`].

use super::kernels::{OFFSET, Quarters, bind_quarters, broadcast_scaled, cut, stride};
use super::lanes::Lanes;
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

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
        L::store(L::reduce_canonical(L::mul_add(L::mul(p_left, q_right), p_right, q_left)), p_out, at);
        L::store(L::reduce_canonical(L::mul(q_left, q_right)), q_out, at);
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
    let rescale = broadcast_scaled::<L>(&L::integer_scale());
    for at in (0..len).step_by(L::COUNT) {
        let (q_left, q_right) = (L::load(q0, at), L::load_scaled(q1, at));
        L::store(L::reduce_canonical(L::mul(q_left, q_right)), q_out, at);
        if let (Some(left), Some(right)) = (L::load_bits(p0, at), L::load_bits(p1, at)) {
            let sum = L::add_signed(zero, left, L::load(q1, at), zero);
            L::store(L::canonical(L::add_signed(sum, right, q_left, zero)), p_out, at);
        } else {
            let right = L::load(q1, at);
            let mut sum = L::integer_sum(zero);
            L::integer_add(&mut sum, right, L::load_integers(p0, at));
            L::integer_add(&mut sum, q_left, L::load_integers(p1, at));
            L::integer_add(&mut sum, L::sub(L::sub(zero, q_left), right), L::integer(OFFSET));
            L::store(L::reduce_canonical(L::mul(L::integer_finish(sum), rescale)), p_out, at);
        }
    }
}

/// `(lambda (p0 q1 + p1 q0) + q0 q1) / E`; `lambda` is scaled by the excess.
#[inline(always)]
fn combined<L: Lanes>([p0, p1, q0, q1]: [L::Value; 4], lambda: L::Value) -> L::Value {
    let cross = L::reduce(L::mul_add(L::mul(p0, q1), p1, q0));
    L::reduce(L::mul_add(L::mul(q0, q1), lambda, cross))
}

/// The leading coefficient of a fraction layer's round; `lo` and `hi` are the halves of `p0, p1, q0, q1`.
#[inline(always)]
pub(super) fn fraction_slope<L: Lanes>(lo: [&[Fr]; 4], hi: [&[Fr]; 4], eq: &[Fr], lambda: &Fr) -> Fr {
    let len = eq.len();
    let (lo, hi) = (lo.map(|half| &half[..len]), hi.map(|half| &half[..len]));
    let lambda = broadcast_scaled::<L>(lambda);
    let mut infinity = L::sum();
    let mut start = 0;
    while start < len {
        let end = start.saturating_add(stride::<L>()).min(len);
        for at in (start..end).step_by(L::COUNT) {
            let mut slope = [lambda; 4];
            for k in 0..4 {
                slope[k] = L::sub(L::load(hi[k], at), L::load(lo[k], at));
            }
            L::accumulate(&mut infinity, L::load(eq, at), combined::<L>(slope, lambda));
        }
        L::fold(&mut infinity);
        start = end;
    }
    L::finish(infinity) * L::excess()
}

/// `((q0 + P0) q1 + P1 q0) / E`, for values below `p`.
#[inline(always)]
fn scaled<L: Lanes>([p0, p1, q0, q1]: [L::Value; 4]) -> L::Value {
    L::reduce(L::mul_add(L::mul(L::add(q0, p0), q1), p1, q0))
}

/// [`scaled`] for differences, which are below `2p`.
#[inline(always)]
fn scaled_slope<L: Lanes>([p0, p1, q0, q1]: [L::Value; 4]) -> L::Value {
    L::reduce(L::mul_add(L::mul(L::shrunk(L::add(q0, p0)), q1), p1, q0))
}

/// One round of a fraction layer with scaled numerators; `lo` and `hi` are the halves of `p0, p1, q0, q1`.
#[inline(always)]
pub(super) fn fraction_round<L: Lanes>(lo: [&[Fr]; 4], hi: [&[Fr]; 4], eq: &[Fr]) -> [Fr; 2] {
    let len = eq.len();
    let (lo, hi) = (lo.map(|half| &half[..len]), hi.map(|half| &half[..len]));
    let (mut zero, mut infinity) = (L::sum(), L::sum());
    let mut start = 0;
    while start < len {
        let end = start.saturating_add(stride::<L>()).min(len);
        for at in (start..end).step_by(L::COUNT) {
            let weight = L::load(eq, at);
            let (mut low, mut slope) = ([weight; 4], [weight; 4]);
            for k in 0..4 {
                low[k] = L::load(lo[k], at);
                slope[k] = L::sub(L::load(hi[k], at), low[k]);
            }
            L::accumulate(&mut zero, weight, scaled::<L>(low));
            L::accumulate(&mut infinity, weight, scaled_slope::<L>(slope));
        }
        L::fold(&mut zero);
        L::fold(&mut infinity);
        start = end;
    }
    excess_removed::<L>(zero, infinity)
}

/// The two sums of values that carry a factor `1 / E`.
#[inline(always)]
fn excess_removed<L: Lanes>(zero: L::Sum, infinity: L::Sum) -> [Fr; 2] {
    let excess = L::excess();
    [L::finish(zero) * excess, L::finish(infinity) * excess]
}

/// Binds numerators in place, `lo` to `scale (lo + r (hi - lo))`.
#[inline(always)]
pub(super) fn bind_scaled<L: Lanes>(lo: &mut [Fr], hi: &[Fr], r: &Fr, scale: &Fr) {
    let hi = &hi[..lo.len()];
    let weights = scaled_weights::<L>(r, scale);
    for at in (0..lo.len()).step_by(L::COUNT) {
        let value = weighted::<L>(L::load(lo, at), L::load(hi, at), weights);
        L::store(value, lo, at);
    }
}

/// `scale (1 - r)` and `scale r`, as factors.
#[inline(always)]
fn scaled_weights<L: Lanes>(r: &Fr, scale: &Fr) -> [L::Value; 2] {
    let high = *scale * r;
    [broadcast_scaled::<L>(&(*scale - high)), broadcast_scaled::<L>(&high)]
}

/// A sum of two elements with weights, canonical.
#[inline(always)]
fn weighted<L: Lanes>(low: L::Value, high: L::Value, weights: [L::Value; 2]) -> L::Value {
    L::reduce_canonical(L::mul_add(L::mul(weights[0], low), weights[1], high))
}

/// Binds both halves of one array at `at`, as [`weighted`] says, and gives what they became.
#[inline(always)]
fn weighted_quarters<L: Lanes>(array: &mut Quarters<'_>, at: usize, weights: [L::Value; 2]) -> (L::Value, L::Value) {
    let ([to0, to1], [hi0, hi1]) = array;
    let low = weighted::<L>(L::load(to0, at), L::load(hi0, at), weights);
    L::store(low, to0, at);
    let high = weighted::<L>(L::load(to1, at), L::load(hi1, at), weights);
    L::store(high, to1, at);
    (low, high)
}

/// Binds `p0, p1, q0, q1` in place, numerators with a scale where there is one, then [`fraction_round`] of what they became.
#[inline(always)]
pub(super) fn fraction_bind_round<L: Lanes>(
    layer: [Quarters<'_>; 4],
    r: &Fr,
    scale: Option<&Fr>,
    eq: &[Fr],
) -> [Fr; 2] {
    let len = eq.len();
    let mut layer = layer.map(|array| cut(array, len));
    let weights = scaled_weights::<L>(r, scale.unwrap_or(&Fr::ONE));
    let r = broadcast_scaled::<L>(r);
    let (mut zero, mut infinity) = (L::sum(), L::sum());
    let mut start = 0;
    while start < len {
        let end = start.saturating_add(stride::<L>()).min(len);
        for at in (start..end).step_by(L::COUNT) {
            let (mut low, mut slope) = ([r; 4], [r; 4]);
            for k in 0..4 {
                let (bound_low, bound_high) = if k < 2 && scale.is_some() {
                    weighted_quarters::<L>(&mut layer[k], at, weights)
                } else {
                    bind_quarters::<L>(&mut layer[k], at, r)
                };
                low[k] = bound_low;
                slope[k] = L::sub(bound_high, bound_low);
            }
            let weight = L::load(eq, at);
            L::accumulate(&mut zero, weight, scaled::<L>(low));
            L::accumulate(&mut infinity, weight, scaled_slope::<L>(slope));
        }
        L::fold(&mut zero);
        L::fold(&mut infinity);
        start = end;
    }
    excess_removed::<L>(zero, infinity)
}

/// The leading coefficient of the leaf layer's first round; halves of `p0, p1` and of `q0, q1`.
///
/// For numerators 0 and 1, `lambda (p0 q1 + p1 q0) + q0 q1 = (q0 + lambda p0)(q1 + lambda p1) - lambda^2 p0 p1` costs one
/// product for the slopes in {-1, 0, 1}.
#[inline(always)]
pub(super) fn fraction_slope_i32<L: Lanes>(p: [[&[i32]; 2]; 2], q: [[&[Fr]; 2]; 2], eq: &[Fr], lambda: &Fr) -> Fr {
    let len = eq.len();
    let [[p00, p01], [p10, p11]] = p.map(|child| child.map(|half| &half[..len]));
    let [[q00, q01], [q10, q11]] = q.map(|child| child.map(|half| &half[..len]));
    let constants = LeafConstants::<L>::new(lambda);
    let mut infinity = L::sum();
    let mut start = 0;
    while start < len {
        let end = start.saturating_add(stride::<L>()).min(len);
        for at in (start..end).step_by(L::COUNT) {
            let weight = L::load(eq, at);
            let q0_slope = L::sub(L::load(q01, at), L::load(q00, at));
            let q1_slope = L::sub(L::load(q11, at), L::load(q10, at));
            if let (Some(p0_low), Some(p0_high), Some(p1_low), Some(p1_high)) =
                (L::load_bits(p00, at), L::load_bits(p01, at), L::load_bits(p10, at), L::load_bits(p11, at))
            {
                let (p0_slope, p1_slope) = (L::sign_sub(p0_high, p0_low), L::sign_sub(p1_high, p1_low));
                L::accumulate(&mut infinity, weight, constants.combined(q0_slope, q1_slope, p0_slope, p1_slope));
            } else {
                let (p0_slope, p1_slope) = (constants.scaled(p00, p01, at), constants.scaled(p10, p11, at));
                L::accumulate(&mut infinity, weight, general::<L>(q0_slope, q1_slope, p0_slope, p1_slope));
            }
        }
        L::fold(&mut infinity);
        start = end;
    }
    L::finish(infinity) * L::excess()
}

/// What the leaf layer's first round multiplies with: `lambda`, and `lambda^2 / E`, with both signs.
struct LeafConstants<L: Lanes> {
    /// `lambda` as a weight of integers.
    weight: L::Value,
    /// Takes `2^32 lambda` back.
    slope_shift: L::Value,
    plus: L::Value,
    minus: L::Value,
    plus_square: L::Value,
    minus_square: L::Value,
}

impl<L: Lanes> LeafConstants<L> {
    #[inline(always)]
    fn new(lambda: &Fr) -> Self {
        let square = *lambda * lambda * L::excess().inverse().unwrap_or(Fr::ONE);
        let weight = *lambda * L::integer_scale();
        let shift = weight * Fr::from(OFFSET);
        Self {
            weight: L::broadcast(&weight),
            slope_shift: L::broadcast(&-(shift + shift)),
            plus: L::broadcast(lambda),
            minus: L::broadcast(&-*lambda),
            plus_square: L::broadcast(&square),
            minus_square: L::broadcast(&-square),
        }
    }

    /// `lambda` times the numerators' slopes.
    #[inline(always)]
    fn scaled(&self, low: &[i32], high: &[i32], at: usize) -> L::Value {
        let (low, high) = (L::load_integers(low, at), L::load_integers(high, at));
        let mut slope = L::integer_sum(self.slope_shift);
        L::integer_add(&mut slope, self.weight, L::integer_sub(high, low));
        L::integer_finish(slope)
    }

    /// [`combined`] for numerators in {-1, 0, 1}.
    #[inline(always)]
    fn combined(&self, q0: L::Value, q1: L::Value, p0: L::Sign, p1: L::Sign) -> L::Value {
        let left = L::add_signed(q0, p0, self.plus, self.minus);
        let right = L::add_signed(q1, p1, self.plus, self.minus);
        let product = L::reduce(L::mul(left, right));
        L::shrunk(L::add_signed(product, L::sign_mul(p0, p1), self.minus_square, self.plus_square))
    }
}

/// [`combined`] for numerators that carry the factor `lambda`.
#[inline(always)]
fn general<L: Lanes>(q0: L::Value, q1: L::Value, p0: L::Value, p1: L::Value) -> L::Value {
    L::reduce(L::mul_add(L::mul(q0, L::add(q1, p1)), p0, q1))
}
