//! Rounding constants to weights, once: choosing tables lowers a model several times at the same widths.

use super::{
    error::ImportError,
    lower::{Lowering, Result, Root, fit_exponent},
    ops::einsum::{NOT_FINITE, with_all_floats},
};
use crate::{
    parallel::{PART, in_parts},
    tensor::Tensor,
};
use rayon::prelude::*;
use std::{borrow::Cow, cell::RefCell, collections::HashMap, rc::Rc};
use tract_onnx::prelude::{Arc, Tensor as Constant};

/// What the entries of a constant are multiplied by: entry `i` by `mul[(i / inner % len) % mul.len()]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Factors {
    /// One factor, or as many as there are indices on an axis.
    pub(crate) mul: Vec<f64>,
    /// Extent of the axis.
    pub(crate) len: usize,
    /// Entries behind the axis.
    pub(crate) inner: usize,
}

/// Constants of a model, by address: rounded ones, and how large they are, which is asked for at all widths.
#[derive(Debug, Default)]
pub(crate) struct Rounded {
    made: RefCell<HashMap<(usize, u32), Entry>>,
    largest: RefCell<HashMap<usize, Largest>>,
}

impl Rounded {
    /// Keeps what depends on no width.
    pub(crate) fn give_up(&self) {
        self.made.borrow_mut().clear();
    }
}

#[derive(Debug)]
struct Largest {
    /// As in [`Entry`].
    source: Arc<Constant>,
    factors: Factors,
    max: f64,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Holds the constant, so that no other one gets its address.
    source: Arc<Constant>,
    factors: Factors,
    made: Weight,
}

/// A rounded constant.
#[derive(Clone, Debug)]
struct Weight {
    data: Rc<Tensor>,
    bits: u32,
    /// Integers by floats.
    scale: f64,
    max: f64,
}

/// A constant times factors as a weight of a given width and a power-of-two scale. `read` brings the
/// constant into the order of `shape`.
pub(crate) fn weight(
    c: &mut Lowering<'_>,
    source: &Arc<Constant>,
    shape: &[usize],
    factors: Factors,
    bits: u32,
    read: impl FnOnce(&Constant) -> Result<Cow<'_, Constant>>,
) -> Result<Root> {
    let address = Arc::as_ptr(source) as usize;
    let key = (address, bits);
    let known =
        c.rounded.made.borrow().get(&key).filter(|e| e.factors == factors && e.made.data.shape == shape).cloned();
    let made = match known {
        Some(e) => e.made,
        None => {
            let largest = c.rounded.largest.borrow().get(&address).filter(|l| l.factors == factors).map(|l| l.max);
            let made = round(&*read(source)?, shape, &factors, bits, largest)?;
            let known = Largest { source: source.clone(), factors: factors.clone(), max: made.max };
            let entry = Entry { source: source.clone(), factors, made: made.clone() };
            debug_assert!([&known.source, &entry.source].map(Arc::as_ptr) == [Arc::as_ptr(source); 2]);
            c.rounded.largest.borrow_mut().insert(address, known);
            c.rounded.made.borrow_mut().insert(key, entry);
            made
        }
    };
    let node = c.shared_weight("weight", made.bits, made.data)?;
    Ok(Root { node, scale: 1.0 / made.scale, range: (-made.max, made.max) })
}

/// Signed width of whole numbers up to this magnitude, at least 2.
pub(crate) fn whole_bits(max: f64) -> u32 {
    max.max(1.0).log2().floor() as u32 + 2
}

/// Width, limit and scale of integers for floats up to `max`; `whole` tells whether all floats are whole numbers, which stay so.
pub(crate) fn fit(max: f64, bits: u32, whole: impl FnOnce() -> bool) -> (u32, f64, f64) {
    let bits = if max < f64::from(1 << 19) && whole() { bits.max(whole_bits(max).min(20)) } else { bits };
    let limit = f64::from((1u32 << (bits - 1)) - 1);
    (bits, limit, f64::from(fit_exponent(max, limit + 0.49)).exp2())
}

/// `known` is the largest magnitude, if it was found before.
fn round(constant: &Constant, shape: &[usize], factors: &Factors, bits: u32, known: Option<f64>) -> Result<Weight> {
    with_all_floats(constant, |values| round_floats(values, shape, factors, bits, known))?
}

fn round_floats(values: &[f32], shape: &[usize], factors: &Factors, bits: u32, known: Option<f64>) -> Result<Weight> {
    // Runs of entries with one factor.
    let first = factors.mul.first().copied().unwrap_or(1.0);
    let uniform = factors.mul.iter().all(|m| *m == first);
    let run = if uniform { values.len() } else { factors.inner }.max(1);
    let factor = |entry: usize| {
        if uniform { first } else { factors.mul[entry / run % factors.len.max(1) % factors.mul.len()] }
    };
    let parts = || values.par_chunks(PART).enumerate().map(|(k, v)| (k * PART, v));
    let most = |(at, v): (usize, &[f32])| {
        runs(at, v.len(), run).try_fold(0.0f64, |m, r| {
            let largest = largest(&v[r.clone()]);
            largest.is_finite().then(|| m.max((f64::from(largest) * factor(at + r.start)).abs()))
        })
    };
    let max = match known {
        Some(max) => Some(max),
        None => parts().map(most).try_reduce(|| 0.0, |a, b| Some(f64::max(a, b))),
    };
    let max = max.ok_or_else(|| ImportError::unsupported(NOT_FINITE))?;
    let whole = || {
        parts().all(|(at, v)| {
            runs(at, v.len(), run).all(|r| {
                let f = factor(at + r.start);
                v[r].iter().all(|v| (f64::from(*v) * f).fract() == 0.0)
            })
        })
    };
    let (bits, limit, scale) = fit(max, bits, whole);
    let data = in_parts(values.len(), 1, |at, out: &mut [i64]| {
        let v = &values[at..at + out.len()];
        for r in runs(at, v.len(), run) {
            round_run(&v[r.clone()], factor(at + r.start), limit, scale, &mut out[r]);
        }
    });
    Ok(Weight { data: Rc::new(Tensor::new(shape.to_vec(), data)?), bits, scale, max })
}

vectors! {
    /// The largest magnitude; an infinity is larger than all numbers, and a NaN than that.
    pub(super) fn largest(values: &[f32]) -> f32 {
        // Magnitudes are in the order of their bits.
        let mut most = 0;
        for v in values {
            most = most.max((v.to_bits() & (u32::MAX >> 1)) as i32);
        }
        f32::from_bits(most as u32)
    }

    /// Entries times a factor and a scale, rounded and clamped to a limit.
    fn round_run(values: &[f32], factor: f64, limit: f64, scale: f64, out: &mut [i64]) {
        for (o, v) in out.iter_mut().zip(values) {
            *o = nearest((f64::from(*v) * factor * scale).max(-limit).min(limit));
        }
    }
}

/// The runs, each of `run` entries, that `len` entries from `at` on are of; counted from `at`.
fn runs(at: usize, len: usize, run: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let first = next;
        next = (first + run - (at + first) % run).min(len);
        (first < len).then_some(first..next)
    })
}

/// `v.round() as i64` of a number below 2^51 in magnitude, half away from zero, in operations that compilers put into
/// vectors. A number plus 1.5 * 2^52 has no room for a fraction: the processor rounds it, half to even, and its last bits are
/// the integer.
#[inline(always)]
fn nearest(v: f64) -> i64 {
    const BASE: f64 = 6_755_399_441_055_744.0;
    let sum = v + BASE;
    let even = sum.to_bits().wrapping_sub(BASE.to_bits()) as i64;
    let rest = v - (sum - BASE);
    even + i64::from(rest == 0.5 && v > 0.0) - i64::from(rest == -0.5 && v < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: every entry times its factor, in f64.
    fn obvious(values: &[f32], factors: &Factors, bits: u32) -> (Vec<i64>, u32, f64, f64) {
        let all: Vec<f64> = values
            .iter()
            .enumerate()
            .map(|(i, v)| f64::from(*v) * factors.mul[i / factors.inner % factors.len % factors.mul.len()])
            .collect();
        let max = all.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let (bits, limit, scale) = fit(max, bits, || all.iter().all(|v| v.fract() == 0.0));
        (all.iter().map(|v| (v * scale).round().clamp(-limit, limit) as i64).collect(), bits, scale, max)
    }

    proptest! {
        #[test]
        fn the_largest_magnitude_tells_whether_all_are_finite(values in prop::collection::vec(any::<f32>(), 0..70)) {
            let all = values.iter().all(|v| v.is_finite());
            prop_assert_eq!(largest(&values).is_finite(), all);
            if all {
                prop_assert_eq!(largest(&values), values.iter().fold(0.0, |m, v| v.abs().max(m)));
            }
        }

        #[test]
        fn rounding_is_the_definition(
            shape in prop::array::uniform3(1usize..5),
            axis in 0usize..3,
            one in any::<bool>(),
            whole in any::<bool>(),
            bits in 2u32..17,
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let mut draw = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 33) as f64 / f64::from(1u32 << 30)) - 1.0
            };
            let n: usize = shape.iter().product();
            let values: Vec<f32> =
                (0..n).map(|_| if whole { (draw() * 9.0).round() as f32 } else { (draw() * 3.0) as f32 }).collect();
            let len = shape[axis];
            let inner = shape[axis + 1..].iter().product::<usize>().max(1);
            let mul: Vec<f64> = (0..if one { 1 } else { len }).map(|_| if whole { 2.0 } else { draw() }).collect();
            let factors = Factors { mul, len, inner };
            let made = round(&Constant::from_shape(&shape, &values).unwrap(), &shape, &factors, bits, None).unwrap();
            let again = round(&Constant::from_shape(&shape, &values).unwrap(), &shape, &factors, bits, Some(made.max));
            prop_assert_eq!(&again.unwrap().data, &made.data);
            let (data, bits, scale, max) = obvious(&values, &factors, bits);
            prop_assert_eq!((&made.data.data, made.bits, made.scale, made.max), (&data, bits, scale, max));
        }

        #[test]
        fn the_nearest_integer_is_that_of_the_library(bits in any::<u64>()) {
            let v = f64::from_bits(bits);
            if v.abs() < 2_251_799_813_685_248.0 {
                prop_assert_eq!(nearest(v), v.round() as i64);
            }
        }
    }

    #[test]
    fn halves_go_away_from_zero() {
        for (v, n) in [(0.5, 1), (-0.5, -1), (2.5, 3), (-2.5, -3), (0.499_999_999_999_999_94, 0), (0.0, 0), (-7.0, -7)]
        {
            assert_eq!(nearest(v), n, "{v}");
        }
        for k in 0..40 {
            let half = f64::from(2).powi(k) + 0.5;
            assert_eq!((nearest(half), nearest(-half)), (half.round() as i64, (-half).round() as i64));
        }
    }
}
