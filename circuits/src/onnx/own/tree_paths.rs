//! Trees walked from the root: what a row costs is the depth of the trees, not the number of their splits.
//!
//! * Statement: as in [`super::trees`].
//! * Lowering: the nodes of each level are rows of a table: feature, threshold, place of the first child in the next level. For each
//!   row and tree one row of it is gathered by its place, then the feature, which is compared with the threshold; `first + decision`
//!   is the place in the next level. A leaf stands in every level below it. In the end a leaf's weights are gathered and added up.
//! * Lookups: for each row, tree and level two gathers and two lookups with a limb; a row of a table for each node.
//! * Soundness: a gathered row is a row of the table, at that place; decisions are signs at full width.
//! * Reference: docs/protocol.md#gather.

use super::{
    label::at_least_zero,
    trees::{Next, Split, Trees},
};
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        lower::{Lowering, Result},
    },
    ops::{Gather, Op, Remap, Reshape, Window},
};

/// Deepest tree.
const MAX_DEPTH: usize = 64;
/// Widest entry of a table of nodes.
const MAX_BITS: u32 = 20;
/// Bits of the low part of a leaf's weight.
const LOW_BITS: u32 = 16;

/// A node in a level: its row in the table.
#[derive(Clone, Copy)]
struct Row {
    feature: i64,
    /// The least integer of the feature that goes to the `no` side.
    first_no: i64,
    /// Place of the `no` child in the next level; the `yes` child follows.
    child: i64,
}

/// The levels of all trees, and the leaf of each node of the last one.
struct Levels {
    rows: Vec<Vec<Row>>,
    leaves: Vec<u32>,
}

/// What a split does within the range of its feature.
enum Decision {
    /// It compares: the least integer on the `no` side.
    At(i64),
    /// Every row goes there.
    Always(Next),
}

fn decision(split: &Split, last: i128, (lo, hi): (i64, i64)) -> Decision {
    match last {
        l if l < i128::from(lo) => Decision::Always(split.no),
        l if l >= i128::from(hi) => Decision::Always(split.yes),
        l => Decision::At(l as i64 + 1),
    }
}

impl Levels {
    /// `lo` is a value that no feature is below, so that a comparison with it always says `no`.
    fn of(trees: &Trees, last: &dyn Fn(&Split) -> i128, range: (i64, i64)) -> Result<Self> {
        let mut level: Vec<Next> = trees.roots.clone();
        let mut rows = Vec::new();
        for _ in 0..=MAX_DEPTH {
            if level.iter().all(|n| matches!(n, Next::Leaf(_))) {
                let leaves = level.iter().filter_map(|n| if let Next::Leaf(l) = n { Some(*l) } else { None });
                return Ok(Self { rows, leaves: leaves.collect() });
            }
            let mut next = Vec::with_capacity(2 * level.len());
            let mut table = Vec::with_capacity(level.len());
            for node in &level {
                let child = next.len() as i64;
                let split = match node {
                    Next::Split(s) => trees.splits.get(*s as usize),
                    Next::Leaf(_) => None,
                };
                let made = split.map(|s| (s, decision(s, last(s), range)));
                table.push(match made {
                    Some((s, Decision::At(first_no))) => {
                        next.extend([s.no, s.yes]);
                        Row { feature: i64::from(s.feature), first_no, child }
                    }
                    Some((_, Decision::Always(only))) => {
                        next.push(only);
                        Row { feature: 0, first_no: range.0, child }
                    }
                    None => {
                        next.push(*node);
                        Row { feature: 0, first_no: range.0, child }
                    }
                });
            }
            rows.push(table);
            level = next;
        }
        Err(ImportError::unsupported(format!("a tree of more than {MAX_DEPTH} levels")))
    }
}

/// Lookups that walking takes for so many rows.
pub(super) fn cost(trees: &Trees, rows: usize) -> usize {
    let (mut level, mut all, mut depth) = (trees.roots.clone(), 0usize, 0usize);
    while level.iter().any(|n| matches!(n, Next::Split(_))) && depth <= MAX_DEPTH {
        all += level.len();
        depth += 1;
        let children = |n: &Next| match n {
            Next::Split(s) => trees.splits.get(*s as usize).map_or(vec![], |s| vec![s.no, s.yes]),
            Next::Leaf(_) => vec![*n],
        };
        level = level.iter().flat_map(children).collect();
    }
    5 * rows * trees.roots.len() * depth + all + level.len()
}

/// The smallest signed width that holds all values.
fn width(values: &[i64]) -> u32 {
    values.iter().map(|v| 65 - (v ^ (v >> 63)).leading_zeros()).max().unwrap_or(2).max(2)
}

/// The sums of leaves' weights (`weight(leaf, target)`) for each row and target, `[rows, targets]`; `None` where a table would be too
/// wide. `x` is `[rows, features]`, linear in committed tensors.
pub(super) fn scores(
    trees: &Trees,
    c: &mut Lowering<'_>,
    x: NodeId,
    last: &dyn Fn(&Split) -> i128,
    weight: &dyn Fn(usize, usize) -> i64,
) -> Result<Option<NodeId>> {
    let range = c.g.node(x).range;
    let (lo, hi) = (i64::try_from(range.lo).unwrap_or(i64::MIN), i64::try_from(range.hi).unwrap_or(i64::MAX));
    let limit = 1i64 << (MAX_BITS - 1);
    let levels = Levels::of(trees, last, (lo, hi))?;
    let most = levels.rows.iter().map(Vec::len).max().unwrap_or(0).max(levels.leaves.len());
    if c.g.node(x).bilinear || lo < -limit || hi >= limit || most >= limit as usize || levels.rows.is_empty() {
        return Ok(None);
    }
    let (rows, n, targets) = (c.shape(x)[0], trees.roots.len(), trees.targets as usize);
    let mut place: Option<NodeId> = None;
    for level in &levels.rows {
        let entries: Vec<i64> = level.iter().flat_map(|r| [r.feature, r.first_no, r.child]).collect();
        let (value, first_no, child) = match place {
            // Which nodes come first is known.
            None => {
                let features = level.iter().map(|r| Some(r.feature as u32));
                let value = c.push(Op::Remap(Remap::select(1, features)), &[x])?;
                let row = |c: &mut Lowering<'_>, name: &str, of: &dyn Fn(&Row) -> i64| {
                    let values: Vec<i64> = level.iter().map(of).collect();
                    let id = c.weight(name, &[1, n], width(&values), values)?;
                    c.broadcast(id, &[rows, n])
                };
                (value, row(c, "thresholds", &|r| r.first_no)?, row(c, "children", &|r| r.child)?)
            }
            Some(place) => {
                let table = c.weight("nodes", &[level.len(), 3], width(&entries), entries)?;
                let node = c.push(Op::Gather(Gather { leading: 0 }), &[table, place])?;
                let mut part = |k: i64| -> Result<NodeId> {
                    let one = c.push(Op::Window(Window::slice(2, k, 1, 1)), &[node])?;
                    c.push(Op::Reshape(Reshape { shape: vec![rows, n] }), &[one])
                };
                let (feature, first_no, child) = (part(0)?, part(1)?, part(2)?);
                let value = c.push(Op::Gather(Gather { leading: 1 }), &[x, feature])?;
                (value, first_no, child)
            }
        };
        let room = c.linear(&[(first_no, 1), (value, -1)], -1)?;
        let yes = at_least_zero(c, room)?;
        place = Some(c.linear(&[(child, 1), (yes, 1)], 0)?);
    }
    let Some(place) = place else { return Ok(None) };
    // The weights of a leaf in two parts, each of which a committed value holds.
    let half = 1i64 << (LOW_BITS - 1);
    let mut entries = Vec::with_capacity(2 * targets * levels.leaves.len());
    for leaf in &levels.leaves {
        let whole: Vec<i64> = (0..targets).map(|t| weight(*leaf as usize, t)).collect();
        let high = |w: &i64| (w + half) >> LOW_BITS;
        entries.extend(whole.iter().map(high));
        entries.extend(whole.iter().map(|w| w - (high(w) << LOW_BITS)));
    }
    let table = c.weight("leaves", &[levels.leaves.len(), 2 * targets], width(&entries), entries)?;
    let each = c.push(Op::Gather(Gather { leading: 0 }), &[table, place])?;
    let sum = c.push(Op::Window(Window::reduce(1, n)), &[each])?;
    let sum = c.push(Op::Reshape(Reshape { shape: vec![rows, 2 * targets] }), &[sum])?;
    let high = c.push(Op::Window(Window::slice(1, 0, 1, targets)), &[sum])?;
    let low = c.push(Op::Window(Window::slice(1, targets as i64, 1, targets)), &[sum])?;
    Ok(Some(c.linear(&[(high, 1 << LOW_BITS), (low, 1)], 0)?))
}
