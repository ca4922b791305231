//! Large matrices among the weights: held once, and without much padding.
//!
//! A committed tensor takes a block of powers of two for each axis, so that 768 rows take the place of 1,024. A large matrix is cut
//! into blocks that need little padding, and joined again by linear views.

use super::lower::{Lowering, Result};
use crate::{
    graph::NodeId,
    ops::{Concat, Op, Transpose},
    ring::index_bits,
    tensor::Tensor,
};

/// Entries from which on equal matrices are taken for one.
const TIED_ENTRIES: usize = 1 << 12;
/// Entries from which on a matrix is cut.
const CUT_ENTRIES: usize = 1 << 19;
/// Most parts of an axis.
const PARTS: usize = 3;
/// Padding of an axis that is not worth a part of its own, as a share of its extent.
const LITTLE: usize = 8;

/// A matrix that is committed, as one weight or as blocks.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    node: NodeId,
    bits: u32,
    shape: [usize; 2],
    /// First row and column of each block, and its place in the list of weights.
    blocks: Vec<([usize; 2], usize)>,
}

impl Matrix {
    /// Whether an entry-by-entry copy of it is given, or one with its axes swapped.
    fn equals(&self, weights: &[Tensor], bits: u32, shape: [usize; 2], data: &[i64], swapped: bool) -> bool {
        let [rows, columns] = if swapped { [shape[1], shape[0]] } else { shape };
        if self.bits != bits || self.shape != [rows, columns] {
            return false;
        }
        let at = |r: usize, c: usize| if swapped { data.get(c * rows + r) } else { data.get(r * columns + c) };
        self.blocks.iter().all(|([top, left], index)| {
            let Some(block) = weights.get(*index) else { return false };
            let width = block.shape.get(1).copied().unwrap_or(1).max(1);
            block.data.iter().enumerate().all(|(i, v)| at(top + i / width, left + i % width) == Some(v))
        })
    }
}

/// An axis in parts, each but the last a power of two.
fn parts(extent: usize) -> Vec<usize> {
    let (mut out, mut rest) = (vec![], extent);
    while rest > 1 && out.len() + 1 < PARTS {
        let padded = 1usize << index_bits(rest);
        if padded - rest <= extent / LITTLE {
            break;
        }
        out.push(padded / 2);
        rest -= padded / 2;
    }
    out.push(rest);
    out
}

/// Both axes in parts, where that saves a fifth of what is committed.
fn cut([rows, columns]: [usize; 2]) -> [Vec<usize>; 2] {
    let padded = |n: &usize| 1usize << index_bits(*n);
    let [r, c] = [parts(rows), parts(columns)];
    let after: usize = r.iter().map(padded).sum::<usize>() * c.iter().map(padded).sum::<usize>();
    if rows * columns < CUT_ENTRIES || after * 5 > padded(&rows) * padded(&columns) * 4 {
        return [vec![rows], vec![columns]];
    }
    [r, c]
}

/// Commits to a matrix, unless it is there already, as it is or with its axes swapped (an embedding that is the last layer's
/// matrix as well). Small ones are committed to again: that they are equal is a coincidence, and the list of weights must not
/// depend on their values.
pub(crate) fn matrix(c: &mut Lowering<'_>, name: &str, shape: [usize; 2], bits: u32, data: Vec<i64>) -> Result<NodeId> {
    if data.len() < TIED_ENTRIES {
        return c.new_weight(name, &shape, bits, data);
    }
    for swapped in [false, true] {
        let held = c.matrices.iter().find(|m| m.equals(&c.weights, bits, shape, &data, swapped));
        if let Some(node) = held.map(|m| m.node) {
            let swap = Op::Transpose(Transpose { permutation: vec![1, 0] });
            return if swapped { c.push(swap, &[node]) } else { Ok(node) };
        }
    }
    let [rows, columns] = cut(shape);
    let mut blocks = Vec::new();
    let mut stripes = Vec::new();
    let mut top = 0;
    for (i, height) in rows.iter().enumerate() {
        let mut stripe = Vec::new();
        let mut left = 0;
        for (j, width) in columns.iter().enumerate() {
            let part = if rows.len() * columns.len() == 1 { name.to_owned() } else { format!("{name}.{i}.{j}") };
            let row = |r: usize| &data[r * shape[1] + left..r * shape[1] + left + width];
            let entries: Vec<i64> = (top..top + height).flat_map(|r| row(r).iter().copied()).collect();
            blocks.push(([top, left], c.weights.len()));
            stripe.push(c.new_weight(&part, &[*height, *width], bits, entries)?);
            left += width;
        }
        stripes.push(joined(c, &stripe, 1)?);
        top += height;
    }
    let node = joined(c, &stripes, 0)?;
    c.matrices.push(Matrix { node, bits, shape, blocks });
    Ok(node)
}

fn joined(c: &mut Lowering<'_>, parts: &[NodeId], axis: usize) -> Result<NodeId> {
    match parts {
        [one] => Ok(*one),
        _ => c.push(Op::Concat(Concat { axis }), parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_extent_and_need_little_padding() {
        for extent in 1..5000usize {
            let parts = parts(extent);
            assert_eq!(parts.iter().sum::<usize>(), extent);
            assert!(parts.len() <= PARTS && parts.iter().all(|p| *p > 0));
            let (last, first) = parts.split_last().expect("at least one");
            assert!(first.iter().all(|p| p.is_power_of_two()));
            // Two powers of two taken off, what is left is padded by at most itself.
            assert!(last.next_power_of_two() - last <= extent / 4, "{extent}: {parts:?}");
        }
        assert_eq!(parts(768), [512, 256]);
        assert_eq!(parts(1024), [1024]);
        assert_eq!(parts(50257), [32768, 16384, 1105]);
        assert_eq!(cut([768, 3072]), [vec![512, 256], vec![2048, 1024]]);
        assert_eq!(cut([768, 768]), [vec![512, 256], vec![512, 256]]);
        assert_eq!(cut([384, 384]), [vec![384], vec![384]]);
        assert_eq!(cut([1000, 2000]), [vec![1000], vec![2000]]);
    }
}
