//! Lookup: rounding division by a power of two, clamp and an arbitrary function of one variable, in one table.
//!
//! * Statement: `out = table[clamp(floor((in + 2^(shift-1)) / 2^shift))]`, the clamp being to the table's keys.
//! * Shapes: unchanged.
//! * Pullback: none; the output is committed and a claim on it goes to the opening.
//! * Lookups: with `t = floor((in + half) / 2^shift)` and remainder `rem`: each limb of `rem` in a range table; then,
//!   where the worst case of `t` stays within the keys, `(t, out)` in the table. Otherwise `t - key_min = lo + 2^k * hi`,
//!   `(hi, side)` in a small table that tells below / inside / above, and `(lo, out)` in the table of that side, which is
//!   constant for the outer two.
//! * Soundness: `in = 2^shift * t + rem - half` holds by substitution (neither `in` nor `t` is committed); the range of
//!   `rem` makes `t` unique, the key range of the table bounds `t`, and `lo` in a table of exactly `2^k` keys makes
//!   `(lo, hi)` unique. All magnitudes are below 2^62, so nothing wraps in the field.
//! * Reference: docs/protocol.md#lookups; logUp: Haböck, ePrint 2022/1530; Papini and Haböck, ePrint 2023/1284.

use crate::{
    error::GraphError,
    interval::Interval,
    parallel::in_parts,
    table::{Table, TableId},
    tensor::{Tensor, any_outside},
};
use serde::{Deserialize, Serialize};

/// Parameters of the lookup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The function.
    pub table: TableId,
    /// log2 of the divisor, 0 to 48.
    pub shift: u32,
}

/// Largest shift.
pub const MAX_SHIFT: u32 = 48;

impl Lookup {
    pub(crate) fn infer(&self, input: &[usize], tables: &[Table]) -> Result<Vec<usize>, GraphError> {
        if self.shift > MAX_SHIFT {
            return Err(GraphError::Parameter(format!("a shift of {} bits; at most {MAX_SHIFT}", self.shift)));
        }
        self.table(tables)?;
        Ok(input.to_vec())
    }

    /// The table looked up.
    pub fn table<'a>(&self, tables: &'a [Table]) -> Result<&'a Table, GraphError> {
        tables.get(self.table.0).ok_or_else(|| GraphError::Parameter(format!("table {} does not exist", self.table.0)))
    }

    pub(crate) fn range(&self, input: Interval, tables: &[Table]) -> Result<Interval, GraphError> {
        let table = self.table(tables)?;
        input.checked()?;
        let t = input.round_shift(self.shift);
        let d = table.domain();
        // The keys that can occur once clamped, as places in the table.
        let place = |key: i128| (key.clamp(d.lo, d.hi) - d.lo) as usize;
        let reached = table.values.get(place(t.lo)..=place(t.hi)).unwrap_or(&table.values);
        let (a, b) = if reached.is_empty() { (0, 0) } else { ends(reached) };
        Ok(Interval::new(i128::from(a), i128::from(b)))
    }

    /// The key before the clamp.
    #[inline]
    pub fn key(&self, value: i64) -> i64 {
        let half = if self.shift == 0 { 0 } else { 1i64 << (self.shift - 1) };
        (value + half) >> self.shift
    }

    /// Whether any of these values has a key that is not in `lo..=hi`.
    pub(crate) fn leaves(&self, values: &[i64], (lo, hi): (i64, i64)) -> bool {
        let half = if self.shift == 0 { 0 } else { 1i128 << (self.shift - 1) };
        let least = |key: i128| (key << self.shift) - half;
        let within = |v: i128| v.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        any_outside(values, within(least(i128::from(lo))), within(least(i128::from(hi) + 1) - 1))
    }

    pub(crate) fn eval(&self, input: &Tensor, tables: &[Table]) -> Result<Tensor, GraphError> {
        let table = self.table(tables)?;
        let data = in_parts(input.data.len(), 1, |first, out: &mut [i64]| {
            look_up(table, self, &input.data[first..], out);
        });
        Ok(Tensor { shape: input.shape.clone(), data })
    }
}

vectors! {
    /// The least and the largest of numbers; of none, the ends of 32 bits the wrong way round.
    fn ends(values: &[i32]) -> (i32, i32) {
        let (mut lo, mut hi) = (i32::MAX, i32::MIN);
        for v in values {
            lo = if *v < lo { *v } else { lo };
            hi = if *v > hi { *v } else { hi };
        }
        (lo, hi)
    }

    /// The table's values for as many inputs as there is room for.
    fn look_up(table: &Table, op: &Lookup, input: &[i64], out: &mut [i64]) {
        for (o, v) in out.iter_mut().zip(input) {
            *o = table.get(op.key(*v)).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TableId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_beyond_limits_are_found(
            values in prop::collection::vec((any::<i64>(), 2u32..64).prop_map(|(v, s)| v >> s), 0..20),
            shift in 0u32..=MAX_SHIFT,
            lo in prop_oneof![Just(i64::MIN), -9i64..9],
            hi in prop_oneof![Just(i64::MAX), -9i64..9],
        ) {
            let lookup = Lookup { table: TableId(0), shift };
            let obvious = values.iter().any(|v| !(lo..=hi).contains(&lookup.key(*v)));
            prop_assert_eq!(lookup.leaves(&values, (lo, hi)), obvious);
        }

        #[test]
        fn values_are_those_of_the_table(
            values in prop::collection::vec((-(1i64 << 61)..1 << 61, 0u32..62).prop_map(|(v, s)| v >> s), 0..40),
            shift in 0u32..=MAX_SHIFT,
            key_min in -40i64..40,
            bits in 0usize..6,
            seed in any::<u32>(),
        ) {
            let entry = |k: i64| (seed.wrapping_mul(k as u32 ^ 0x9e37_79b9) as i32) >> 4;
            let table = Table::tabulate("t", key_min, bits, entry);
            let lookup = Lookup { table: TableId(0), shift };
            let last = table.values.len() as i128 - 1;
            let place = |v: i64| (i128::from(lookup.key(v)) - i128::from(key_min)).clamp(0, last) as usize;
            let want: Vec<i64> = values.iter().map(|v| i64::from(table.values[place(*v)])).collect();
            let (lo, hi) = (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0));
            let input = Tensor::new(vec![values.len()], values).unwrap();
            prop_assert_eq!(&lookup.eval(&input, std::slice::from_ref(&table)).unwrap().data, &want);
            // Of all keys between the least and the largest, in the table or beyond its ends.
            let keys = lookup.key(lo).clamp(key_min, key_min + 63)..=lookup.key(hi).clamp(key_min, key_min + 63);
            let reached: Vec<i32> = keys.map(|k| table.get(k)).collect();
            let want = Interval::new(
                i128::from(*reached.iter().min().unwrap()),
                i128::from(*reached.iter().max().unwrap()),
            );
            let got = lookup.range(Interval::new(i128::from(lo), i128::from(hi)), std::slice::from_ref(&table)).unwrap();
            prop_assert_eq!((got.lo, got.hi), (want.lo, want.hi));
        }
    }
}
