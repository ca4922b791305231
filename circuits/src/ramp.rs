//! Tighter worst cases behind a ramp.
//!
//! Maxima, minima and clamps are built as `a + relu(b - a)`. The interval of that sum, taken term by term, is as wide as both
//! together, although the value is never outside of `a` and `b`. Where `r` is between `0` and `max(d, 0)`, as a ramp's table says,
//! `base + c r` lies between `base` and `base + c d`; both are integer combinations, in which what is in `d` and in `base` at
//! once cancels before intervals are taken.

use crate::{
    graph::Node,
    interval::Interval,
    ops::{Linear, Lookup, Op},
    table::Table,
};
use std::collections::BTreeMap;

/// What a lookup does to its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ramp {
    /// `max(d, 0)` for every `d` that is possible.
    Exact,
    /// Something between `0` and `max(d, 0)`.
    Below,
}

impl Ramp {
    /// Reads the keys that an input within `input` can reach; `None` where the table is no ramp on them.
    pub(crate) fn of(op: &Lookup, input: Interval, tables: &[Table]) -> Option<Self> {
        let table = tables.get(op.table.0).filter(|_| op.shift == 0)?;
        let d = table.domain();
        let place = |key: i128| (key.clamp(d.lo, d.hi) - d.lo) as usize;
        let first = place(input.lo);
        let reached = table.values.get(first..=place(input.hi))?;
        let keys = (d.lo + first as i128)..;
        let above = |key: i128, v: &i32| i128::from(*v).cmp(&key.max(0));
        let mut exact = true;
        for (key, v) in keys.zip(reached) {
            if *v < 0 || above(key, v).is_gt() {
                return None;
            }
            exact &= above(key, v).is_eq();
        }
        // Keys outside of the table take its first or last value.
        let (low, high) = (reached.first()?, reached.last()?);
        if input.lo < d.lo {
            if above(input.lo, low).is_gt() {
                return None;
            }
            exact &= *low == 0 && d.lo <= 0;
        }
        exact &= input.hi <= d.hi || (*high == 0 && input.hi <= 0);
        Some(if exact { Self::Exact } else { Self::Below })
    }
}

/// An integer combination of nodes.
struct Combination {
    terms: BTreeMap<usize, i128>,
    offset: i128,
}

impl Combination {
    fn new(op: &Linear, inputs: impl Iterator<Item = usize>) -> Self {
        let mut out = Self { terms: BTreeMap::new(), offset: i128::from(op.offset) };
        for (c, id) in op.coefficients.iter().zip(inputs) {
            *out.terms.entry(id).or_default() += i128::from(*c);
        }
        out
    }

    fn range(&self, done: &[Node]) -> Option<Interval> {
        let mut out = Interval { lo: self.offset, hi: self.offset };
        for (id, c) in self.terms.iter().filter(|(_, c)| **c != 0) {
            out = out.plus(done.get(*id)?.range.scale(*c).ok()?).ok()?;
        }
        Some(out)
    }
}

/// Most terms of the combinations that are looked at. A hostile graph may have any number, and each would be read once for every ramp.
const MOST_TERMS: usize = 8;

/// The interval of a combination that reads a ramp, as far as it is narrower than the sum of its terms' intervals.
pub(crate) fn refine(op: &Linear, node: &Node, done: &[Node]) -> Option<Interval> {
    if node.inputs.len() > MOST_TERMS {
        return None;
    }
    let ids = || node.inputs.iter().map(|i| i.0);
    let mut out: Option<Interval> = None;
    for (ramp, id) in ids().filter_map(|id| Some((done.get(id)?.ramp?, id))) {
        let mut base = Combination::new(op, ids());
        let slope = base.terms.remove(&id).unwrap_or(0);
        let key = done.get(id)?.inputs.first()?.0;
        let mut moved = Combination { terms: base.terms.clone(), offset: base.offset };
        match &done.get(key)?.op {
            Op::Linear(inner) if inner.coefficients.len() <= MOST_TERMS => {
                let inner = Combination::new(inner, done[key].inputs.iter().map(|i| i.0));
                for (id, c) in inner.terms {
                    *moved.terms.entry(id).or_default() += c.checked_mul(slope)?;
                }
                moved.offset += inner.offset.checked_mul(slope)?;
            }
            _ => *moved.terms.entry(key).or_default() += slope,
        }
        let (Some(a), Some(b)) = (base.range(done), moved.range(done)) else { continue };
        let mut both = a.union(b);
        // `base + c max(d, 0)` is the larger of the two, or the smaller one where `c` is negative.
        match ramp {
            Ramp::Exact if slope >= 0 => both.lo = a.lo.max(b.lo),
            Ramp::Exact => both.hi = a.hi.min(b.hi),
            Ramp::Below => {}
        }
        out = Some(out.map_or(both, |o| Interval { lo: o.lo.max(both.lo), hi: o.hi.min(both.hi) }));
    }
    out
}
