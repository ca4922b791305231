//! What stands at the leaves of a fraction tree.

use super::arena::zeroed;
use crate::witness::padded_runs;
use ark_bn254::Fr;
use std::borrow::Cow;

/// The leaves of a fraction tree, by their runs. A leaf of no run is the fraction `0 / alpha`.
#[derive(Clone, Debug)]
pub struct Leaves<'a> {
    /// log2 of the number of leaves, at least 1.
    pub bits: usize,
    /// The lookup challenge from which keys are subtracted.
    pub alpha: Fr,
    /// The challenge that separates keys, values and tags.
    pub beta: Fr,
    /// Disjoint runs.
    pub runs: Vec<LeafRun<'a>>,
}

/// Lookups, or rows of a table: entry `i` is
/// `numerator_i / (alpha - keys[i] - beta * values[i] - beta^2 * (tag + sides[i]) - rows[i])`.
#[derive(Clone, Debug)]
pub struct LeafRun<'a> {
    /// Where the run's block begins: a multiple of its padded size.
    pub leaf: usize,
    /// Extents of the entries; each axis is padded to a power of two within the block.
    pub shape: Cow<'a, [usize]>,
    /// Keys, in row-major order of the shape.
    pub keys: Cow<'a, [i32]>,
    /// Values, or none for zeros.
    pub values: Cow<'a, [i32]>,
    /// What is added to the tag, or none for zeros.
    pub sides: &'a [i32],
    /// What a whole row adds to the fingerprint, or none for zeros.
    pub rows: Cow<'a, [Fr]>,
    /// Which table.
    pub tag: u64,
    /// What stands above the denominators.
    pub numerators: Numerators<'a>,
}

/// Numerators of a run.
#[derive(Clone, Copy, Debug)]
pub enum Numerators<'a> {
    /// One for each entry: lookups.
    Ones,
    /// Minus the multiplicity of each entry: rows of a table.
    Minus(&'a [i32]),
}

impl LeafRun<'_> {
    /// Places of the entries among the leaves: where contiguous pieces begin, and how long each is.
    pub fn places(&self) -> (Vec<usize>, usize) {
        let (mut starts, run) = padded_runs(&self.shape);
        starts.iter_mut().for_each(|start| *start += self.leaf);
        (starts, run)
    }
}

/// The sums of two rounds' parts.
pub(super) fn add_pairs(a: [Fr; 2], b: [Fr; 2]) -> [Fr; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// See [`super::Device::rearrange`].
pub(super) fn rearrange(data: &[Fr], source: &[usize], target: &[usize], len: usize) -> Vec<Fr> {
    assert_eq!(source.len(), target.len(), "a target for each source");
    let mut out = zeroed(len);
    source.iter().zip(target).for_each(|(s, t)| out[*t] = data[*s]);
    out
}
