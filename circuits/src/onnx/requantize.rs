//! Materializing a pointwise function by one lookup: rounding, clamp and the function itself.

use super::{
    error::ImportError,
    expr::Form,
    lower::{Lazy, Lowering, MAX_OFFSET, Result, Root, fit_exponent, to_int},
    ops::einsum::MASK,
    tables::Function,
};
use crate::{ops::lookup::MAX_SHIFT, table::MAX_TABLE_BITS};

/// Room above the calibrated maximum.
const HEADROOM: f64 = 1.03;

/// Most keys of a table of all values that an integer tensor can have.
const EXACT_KEYS: u32 = 1 << 16;
/// Farthest key from zero that a table may have where keys are counted from zero.
const LARGEST_KEY: i64 = 1 << 28;
/// Largest magnitude of a tabulated integer.
const LARGEST_INTEGER: i64 = 1 << 24;

/// Integer bounds of a table's output.
fn bounds(bits: u32, unsigned: bool) -> (i64, i64) {
    if unsigned { (0, (1 << bits) - 1) } else { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) }
}

/// Adds the lookup that commits a tensor, in the given width.
pub(crate) fn commit(c: &mut Lowering<'_>, l: &Lazy, bits: u32) -> Result<Root> {
    if !c.is_integer(l)
        && let Form::Clamp { a, b, lo, hi } = l.form
        && let Some(root) = commit_clamp(c, l, bits, Affine { a, b, lo, hi })?
    {
        return Ok(root);
    }
    commit_general(c, l, bits, None)
}

/// `clamp(a*x + b, lo, hi)`.
#[derive(Clone, Copy)]
struct Affine {
    a: f64,
    b: f64,
    lo: f64,
    hi: f64,
}

/// `clamp(a*x + b, lo, hi)` with keys in units of the output, so that one table serves many layers. `None` where the
/// scale of `x` is no power of two and aligning it costs more than a table of its own.
fn commit_clamp(c: &mut Lowering<'_>, l: &Lazy, bits: u32, f: Affine) -> Result<Option<Root>> {
    let Affine { a, b, lo, hi } = f;
    let node = c.g.node(l.root.node);
    let elements: usize = node.shape.iter().product();
    let scale = (a * l.root.scale).abs();
    let unsigned = lo >= 0.0 || (a > 0.0 && b >= 0.0 && node.range.lo >= 0 && hi > 0.0);
    let (t_lo, t_hi) = bounds(bits, unsigned);
    let own = l.range.1.max(-l.range.0);
    let before = l.root.range.1.max(-l.root.range.0) * a.abs();
    let top = (if own > 0.0 { own * c.headroom } else { before } * HEADROOM).min(hi.max(-lo));
    let mut e = fit_exponent(top, t_hi as f64 + 0.5);
    let power = scale.log2();
    let exact = (power - power.round()).abs() < 1e-12;
    if (-f64::from(e)).exp2() < scale {
        // The source is coarser than the output could be: no shift at all.
        e = -(power.ceil() as i32);
    }
    let unit = (-f64::from(e)).exp2();
    let (factor, key_unit) = if exact {
        (1, scale)
    } else {
        let room = (unit / scale).log2().floor() as i64;
        let limb = i64::from(c.widths.limb);
        let used = room.rem_euclid(limb);
        let free = if used == 0 && room > 0 { 0 } else { limb - used };
        let extra = if elements <= 1 << bits { 12 } else { free.min(12) };
        if extra < 8 {
            return Ok(None);
        }
        // factor * key_unit = scale with a power of two as key_unit.
        let key_unit = (power.floor() - extra as f64).exp2();
        (to_int(scale / key_unit)?, key_unit)
    };
    let shift = (unit / key_unit).log2().round();
    if !(0.0..=40.0).contains(&shift) {
        return Ok(None);
    }
    if (b / key_unit).abs() >= MAX_OFFSET {
        return Ok(None);
    }
    let sign = if a < 0.0 { -factor } else { factor };
    let input = c.linear(&[(l.root.node, sign)], to_int(b / key_unit)?)?;
    let bound = |v: f64, default: i64| {
        if v.is_finite() { (v / unit).round().clamp(t_lo as f64, t_hi as f64) as i64 } else { default }
    };
    let (f_lo, f_hi) = (lo, hi);
    let (lo, hi) = (bound(lo, t_lo), bound(hi, t_hi));
    if lo >= hi {
        return Ok(None);
    }
    // A bound that the function itself has is no saturation.
    let inherent = |v: f64, edge: i64| v.is_finite() && (v / unit).round() as i64 == edge;
    let limits = (if inherent(f_lo, lo) { i64::MIN } else { lo }, if inherent(f_hi, hi) { i64::MAX } else { hi });
    let node = c.clamp(input, shift as u32, (lo, hi))?;
    c.limits.insert(node, limits);
    Ok(Some(Root { node, scale: unit, range: l.range }))
}

/// `max(d, 0)` of an integer node that never exceeds `cap`: the same table as a ReLU's.
pub(crate) fn relu_exact(c: &mut Lowering<'_>, node: crate::graph::NodeId, cap: i64) -> Result<crate::graph::NodeId> {
    c.clamp(node, 0, (0, cap))
}

/// The keys `[0, 2^k)` or `[-2^k, 2^k)` around the given ones, so that layers of like scale share a table; the given keys
/// where that would more than double the table.
fn shareable(lo: i64, hi: i64) -> (i64, i64) {
    let power = |v: i64| v.unsigned_abs().next_power_of_two() as i64;
    let wide = if lo < 0 { (-power((hi + 1).max(-lo)), power((hi + 1).max(-lo)) - 1) } else { (0, power(hi + 1) - 1) };
    if wide.1 - wide.0 < 4 * (hi - lo + 1) { wide } else { (lo, hi) }
}

/// A unit and a signed width that a result must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// Signed width.
    pub(crate) bits: u32,
    /// The unit is two to the minus this.
    pub(crate) exponent: i32,
}

/// [`commit`] to a given unit and width, whatever the calibrated range: a state must come out as it went in.
pub(crate) fn commit_fixed(c: &mut Lowering<'_>, l: &Lazy, fixed: Fixed) -> Result<Root> {
    commit_general(c, l, fixed.bits, Some(fixed))
}

/// Any function, tabulated at keys of its own.
fn commit_general(c: &mut Lowering<'_>, l: &Lazy, bits: u32, fixed: Option<Fixed>) -> Result<Root> {
    let bits = fixed.map_or(bits, |f| f.bits);
    let integer = c.is_integer(l);
    // A step function of floats needs keys as fine as can be had.
    let key_bits = if integer { 14 } else { (bits + 2).clamp(8, 14) };
    let scale = l.root.scale;
    // Neither an uncalibrated nor a calibrated range can pass the worst case.
    let worst = c.g.node(l.root.node).range;
    let worst = (worst.lo as f64 * scale, worst.hi as f64 * scale);
    let (mut lo, mut hi) = (l.root.range.0.clamp(worst.0, worst.1), l.root.range.1.clamp(worst.0, worst.1));
    if hi - lo < scale {
        // Constant throughout calibration: the worst case is all there is to go by.
        (lo, hi) = (lo.min(worst.0), hi.max(worst.1));
    }
    let pad = (0.05 + (c.headroom - 1.0) / 2.0) * (hi - lo);
    let (mut lo, mut hi) = (lo - if lo < 0.0 { pad } else { 0.0 }, hi + pad);
    let exact_root = c.exact.contains(&l.root.node);
    // Integers made of floats are steps: every value of the tensor is a key where a table can hold them.
    let all_keys = integer && !exact_root && (worst.1 - worst.0) / scale < f64::from(EXACT_KEYS);
    if all_keys {
        (lo, hi) = worst;
    } else if !exact_root {
        let tolerance = (l.range.1 - l.range.0) * (-f64::from(bits) - 1.0).exp2();
        let near = settled(&l.expr, lo, hi, tolerance)?;
        let far = settled(&l.expr, hi, near, tolerance)?;
        if far - near >= scale {
            (lo, hi) = (near, far);
        }
    }
    // A mask masks, whether calibration data had anything to mask or not.
    let mut range = l.range;
    if exact_root && (worst.1 - worst.0) / scale < f64::from(EXACT_KEYS) {
        let (first, last) = ((worst.0 / scale).round() as i64, (worst.1 / scale).round() as i64);
        let all = l.expr.eval(&(first..=last).map(|k| (k as f64 * scale) as f32).collect::<Vec<_>>())?;
        if all.iter().all(|v| *v == 0.0 || f64::from(v.abs()) >= MASK) {
            range = all.iter().fold((0.0, 0.0), |(lo, hi), v| (f64::from(*v).min(lo), f64::from(*v).max(hi)));
        }
    }
    let fraction = -scale.log2();
    let shift = if all_keys {
        0.0
    } else if exact_root {
        // Keys are the integers themselves, all of them where a table can hold them.
        if worst.1 - worst.0 < f64::from(EXACT_KEYS) {
            (lo, hi) = worst;
        }
        if fraction > 0.0 && fraction.fract() == 0.0 { fraction.min(f64::from(MAX_SHIFT)) } else { 0.0 }
    } else {
        (((hi - lo) / scale).log2() - f64::from(key_bits)).ceil().clamp(0.0, f64::from(MAX_SHIFT))
    };
    let unit = scale * shift.exp2();
    let (k_lo, k_hi) = (to_int((lo / unit).floor())?, to_int((hi / unit).ceil())?);
    if k_hi.saturating_sub(k_lo) >= 1 << MAX_TABLE_BITS {
        let keys = k_hi.saturating_sub(k_lo);
        return Err(ImportError::unsupported(format!(
            "a table of {keys} keys, for values of {lo:e} to {hi:e} in units of {unit:e}; rescale the model"
        )));
    }
    // Keys are counted from here: from zero unless that is far from all of them.
    let origin = if k_lo.abs().max(k_hi.abs()) > LARGEST_KEY { k_lo } else { 0 };
    let base = shareable(k_lo - origin, (k_hi - origin).max(k_lo - origin + 1));
    let sample: Vec<f32> = (base.0..=base.1).map(|k| ((k + origin) as f64 * unit) as f32).collect();
    let values = l.expr.eval(&sample)?;
    let unsigned = fixed.is_none() && range.0 >= 0.0 && values.iter().all(|v| *v >= 0.0 || v.is_nan());
    let (mut t_lo, mut t_hi) = bounds(bits, unsigned);
    let top = range.1.max(-range.0) * HEADROOM * c.headroom;
    let mut e = fixed.map_or_else(|| fit_exponent(top, t_hi as f64 + 0.5), |f| f.exponent);
    if integer {
        (t_lo, t_hi, e) = (-LARGEST_INTEGER, LARGEST_INTEGER, 0);
        if let Some(v) = values.iter().find(|v| v.abs() > LARGEST_INTEGER as f32) {
            return Err(ImportError::unsupported(format!("an integer of {v}; at most {LARGEST_INTEGER}")));
        }
    }
    let out_unit = (-f64::from(e)).exp2();
    let expr = l.expr.clone();
    let tabulate = move |keys: &[i64]| -> std::result::Result<Vec<i32>, ImportError> {
        let points: Vec<f32> = keys.iter().map(|k| ((*k + origin) as f64 * unit) as f32).collect();
        let floats = expr.eval(&points)?;
        // Outside the function's domain the nearest defined value stands in.
        let first = floats.iter().copied().find(|v| !v.is_nan()).unwrap_or(0.0);
        let mut last = first;
        Ok(floats
            .into_iter()
            .map(|v| {
                last = if v.is_nan() { last } else { v };
                (f64::from(last) / out_unit).round().clamp(t_lo as f64, t_hi as f64) as i32
            })
            .collect())
    };
    let kind = if integer { "integers".to_owned() } else { format!("{bits} bits") };
    let from = if origin == 0 { String::new() } else { format!(" from {origin}") };
    let f = Function {
        name: format!("function {unit:e}{from} -> 2^{}, {kind}{}", -e, if unsigned { "" } else { " signed" }),
        digest: l.expr.digest(),
        base,
        values: Box::new(tabulate),
    };
    let shown =
        Shown { values: &values, base, unit: out_unit, bounds: (t_lo as f64 * out_unit, t_hi as f64 * out_unit) };
    let calibrated = (l.root.range.0 / unit, l.root.range.1 / unit);
    let near = |v: f64| ((v.round().clamp(-1e15, 1e15) as i64).saturating_sub(origin)).clamp(base.0, base.1);
    // Between the last key and the farthest value that the tensor can have.
    let far = |key: i64, end: f64| -> Result<Vec<f32>> {
        let edge = (key + origin) as f64 * unit;
        let at = |t: f64| (edge + (end - edge) * t) as f32;
        let points: Vec<f32> =
            (0..=64).map(|i| at(f64::from(i) / 64.0)).chain((1..32).map(|k| at(f64::from(-k).exp2()))).collect();
        // Nothing lies behind the key.
        if (end - edge).abs() < unit { Ok(vec![]) } else { l.expr.eval(&points) }
    };
    let below = if worst.0 < (base.0 + origin) as f64 * unit { far(base.0, worst.0)? } else { vec![] };
    let above = if worst.1 > (base.1 + origin) as f64 * unit { far(base.1, worst.1)? } else { vec![] };
    let limits = (shown.until(near(calibrated.0), -1, &below), shown.until(near(calibrated.1), 1, &above));
    let steps = origin.checked_mul(1 << shift as u32).ok_or_else(|| {
        ImportError::unsupported(format!(
            "a function of values from {lo:e} to {hi:e} in units of {unit:e}; rescale the model"
        ))
    })?;
    let keyed = if origin == 0 { l.root.node } else { c.linear(&[(l.root.node, 1)], -steps)? };
    let node = c.lookup(keyed, shift as u32, &f)?;
    c.limits.insert(node, limits);
    Ok(Root { node, scale: out_unit, range })
}

/// What a table shows of a function.
struct Shown<'a> {
    /// The function at the keys `base.0..=base.1`.
    values: &'a [f32],
    base: (i64, i64),
    /// Unit of the results, and the ends of what the table can hold.
    unit: f64,
    bounds: (f64, f64),
}

impl Shown<'_> {
    /// The last key in a direction, from one on, up to which the table says what the function is, but for rounding; none where it does for
    /// all keys that there can be. `beyond` holds values of the function behind the table's last key in this direction.
    fn until(&self, from: i64, step: i64, beyond: &[f32]) -> i64 {
        let lost = |v: f32| {
            let v = f64::from(v);
            v > self.bounds.1 + self.unit || v < self.bounds.0 - self.unit
        };
        let at = |key: i64| self.values.get(usize::try_from(key - self.base.0).unwrap_or(usize::MAX)).copied();
        let last = if step < 0 { self.base.0 } else { self.base.1 };
        let mut key = from;
        while key != last {
            if at(key + step).is_some_and(lost) {
                return key;
            }
            key += step;
        }
        // Behind the last key the table stays where it is.
        let stays = at(last).unwrap_or(f32::NAN);
        let moves = |v: &f32| (f64::from(*v) - f64::from(stays)).abs() > self.unit;
        match (beyond.iter().any(moves), step < 0) {
            (true, _) => last,
            (false, true) => i64::MIN,
            (false, false) => i64::MAX,
        }
    }
}

/// The point nearest to zero (or to `other`, on the same side of zero) up to which the function, coming from `end`, has not
/// moved: a sigmoid of a masked value is zero long before -1e9, and keys out there would only make the others coarse.
fn settled(expr: &std::rc::Rc<super::expr::Expr>, end: f64, other: f64, tolerance: f64) -> Result<f64> {
    let anchor = if end * other < 0.0 { 0.0 } else { other };
    let at = |k: i32| anchor + (end - anchor) * f64::from(-k).exp2();
    let points: Vec<f32> = (0..48).map(|k| at(k) as f32).collect();
    let values = expr.eval(&points)?;
    let flat = |v: &f32| f64::from((*v - values[0]).abs()) <= tolerance;
    let mut k = values.iter().take_while(|v| flat(v)).count().saturating_sub(1) as i32;
    while k > 0 {
        // What lies between must be flat as well.
        let between: Vec<f32> = (0..=64).map(|i| (end + (at(k) - end) * f64::from(i) / 64.0) as f32).collect();
        if expr.eval(&between)?.iter().all(flat) {
            break;
        }
        k -= 1;
    }
    Ok(at(k))
}
