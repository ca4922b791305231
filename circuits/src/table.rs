//! Lookup tables: a function of one integer variable, with saturating ends.

use crate::{error::GraphError, interval::Interval};
use serde::{Deserialize, Serialize};

/// Index of a table within its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub usize);

/// `values[t - key_min]` for keys `t` in `key_min .. key_min + values.len()`; a key below or above takes the first or
/// last value. The number of keys is a power of two.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Table {
    /// What the table computes, for people ("relu", "sigmoid 2^-8 -> 2^-10").
    pub name: String,
    /// The smallest key.
    pub key_min: i64,
    /// One value a key; each fits 32 bits.
    pub values: Vec<i32>,
}

/// The largest number of key bits of a table.
pub const MAX_TABLE_BITS: usize = 20;

impl Table {
    /// Tabulates a function on `2^key_bits` keys from `key_min` on.
    pub fn tabulate(name: &str, key_min: i64, key_bits: usize, f: impl Fn(i64) -> i32) -> Self {
        let values = (0..1i64 << key_bits).map(|i| f(key_min + i)).collect();
        Self { name: name.to_owned(), key_min, values }
    }

    /// `max(t, 0)` with the result capped at `cap`.
    pub fn relu(key_min: i64, key_bits: usize, cap: i32) -> Self {
        Self::tabulate("relu", key_min, key_bits, |t| t.clamp(0, i64::from(cap)) as i32)
    }

    /// log2 of the number of keys.
    pub fn key_bits(&self) -> usize {
        self.values.len().trailing_zeros() as usize
    }

    /// The keys that do not saturate.
    pub fn domain(&self) -> Interval {
        let lo = i128::from(self.key_min);
        Interval { lo, hi: lo + self.values.len() as i128 - 1 }
    }

    /// All values that the table can return.
    pub fn image(&self) -> Interval {
        let lo = self.values.iter().copied().min().unwrap_or(0);
        let hi = self.values.iter().copied().max().unwrap_or(0);
        Interval::new(i128::from(lo), i128::from(hi))
    }

    /// The value at a key, saturating at both ends.
    #[inline]
    pub fn get(&self, key: i64) -> i32 {
        let first = self.key_min;
        let last = first.saturating_add(self.values.len() as i64 - 1);
        self.values.get((key.clamp(first, last) - first) as usize).copied().unwrap_or(0)
    }

    /// Checks size, domain and values.
    pub fn validate(&self) -> Result<(), GraphError> {
        if !self.values.len().is_power_of_two() || self.key_bits() > MAX_TABLE_BITS {
            return Err(GraphError::Parameter(format!(
                "table '{}' has {} keys; a power of two up to 2^{MAX_TABLE_BITS} is needed",
                self.name,
                self.values.len()
            )));
        }
        if self.key_min.unsigned_abs() > 1 << 29 {
            return Err(GraphError::Parameter(format!("table '{}' starts at key {}", self.name, self.key_min)));
        }
        Ok(())
    }
}
