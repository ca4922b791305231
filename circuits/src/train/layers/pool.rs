//! Pools of squares that do not overlap.

use super::{
    super::nodes::{Nodes, Result},
    positive,
};
use crate::{
    graph::NodeId,
    ops::{Concat, Op, Window},
    table::Table,
};

/// Means of squares.
pub(super) fn average(n: &mut Nodes, name: &str, x: NodeId, size: usize) -> Result<NodeId> {
    let mut sum = x;
    for axis in [3, 4] {
        let len = n.shape(x)[axis] / size;
        let squares = Window { axis, len, stride: size as i64, kernel: size, dilation: 1, offset: 0 };
        sum = n.g.push(name, Op::Window(squares), &[sum])?;
    }
    n.keep(name, sum, 2 * size.trailing_zeros())
}

/// Each value once for every entry of its square, and zeros where the input fills none.
fn spread(n: &mut Nodes, name: &str, small: NodeId, size: usize) -> Result<NodeId> {
    let mut wide = small;
    for axis in [3, 4] {
        wide = n.repeat(name, wide, axis + 1, size)?;
        wide = n.join(name, wide, axis)?;
    }
    Ok(wide)
}

/// Zeros behind what the squares fill, up to the extents of `like`.
fn filled(n: &mut Nodes, name: &str, id: NodeId, like: NodeId) -> Result<NodeId> {
    let mut id = id;
    for axis in [3, 4] {
        let (have, want) = (n.shape(id)[axis], n.shape(like)[axis]);
        if have < want {
            id = n.g.push(name, Op::Window(Window::pad(axis, have, 0, want - have)), &[id])?;
        }
    }
    Ok(id)
}

/// The error of the input of means.
pub(super) fn average_back(n: &mut Nodes, name: &str, (x, error): (NodeId, NodeId), size: usize) -> Result<NodeId> {
    let small = n.keep(name, error, 2 * size.trailing_zeros())?;
    let wide = spread(n, name, small, size)?;
    filled(n, name, wide, x)
}

/// The largest of each square and, where it is asked for, 1 at the first place that has it and 0 elsewhere (of what squares fill).
pub(super) fn largest(
    n: &mut Nodes,
    name: &str,
    x: NodeId,
    size: usize,
    learns: bool,
) -> Result<(NodeId, Option<NodeId>)> {
    let shape = n.shape(x);
    let mut places = vec![];
    for y in 0..size {
        let rows = Window::slice(3, y as i64, size as i64, shape[3] / size);
        let rows = n.g.push(name, Op::Window(rows), &[x])?;
        for z in 0..size {
            let place = Window::slice(4, z as i64, size as i64, shape[4] / size);
            places.push(n.g.push(name, Op::Window(place), &[rows])?);
        }
    }
    let range = n.range(x);
    let bits = 129 - (range.hi - range.lo).leading_zeros();
    let mut tree = places.clone();
    while tree.len() > 1 {
        let mut next = vec![];
        for pair in tree.chunks(2) {
            next.push(match pair {
                [a, b] => n.larger(name, *a, *b, bits)?,
                _ => pair[0],
            });
        }
        tree = next;
    }
    let largest = tree[0];
    if !learns {
        return Ok((largest, None));
    }
    let name = format!("{name}.first");
    let mut same = vec![];
    let mut rows = vec![];
    for line in places.chunks(size) {
        let mut row = vec![];
        for place in line {
            let below = n.g.linear(&name, &[(largest, 1), (*place, -1)], 0)?;
            let equal = n.g.lookup(&name, below, 0, Table::tabulate("same", 0, 1, |t| 1 - t as i32))?;
            // Not where one before it is as large.
            let mut terms = vec![(equal, 1)];
            terms.extend(same.iter().map(|s| (*s, -1)));
            same.push(equal);
            let first = if terms.len() == 1 {
                equal
            } else {
                let sum = n.g.linear(&name, &terms, 0)?;
                n.g.lookup(&name, sum, 0, positive())?
            };
            row.push(n.split(&name, first, 4, 1)?);
        }
        let row = concat(n, &name, &row, 5)?;
        let row = n.join(&name, row, 4)?;
        rows.push(n.split(&name, row, 3, 1)?);
    }
    let all = concat(n, &name, &rows, 4)?;
    Ok((largest, Some(n.join(&name, all, 3)?)))
}

fn concat(n: &mut Nodes, name: &str, parts: &[NodeId], axis: usize) -> Result<NodeId> {
    if let [one] = parts {
        return Ok(*one);
    }
    Ok(n.g.push(name, Op::Concat(Concat { axis }), parts)?)
}

/// The error of the input of maxima: all of it goes to the first place that has the largest value.
pub(super) fn largest_back(
    n: &mut Nodes,
    name: &str,
    (x, error): (NodeId, NodeId),
    first: NodeId,
    size: usize,
) -> Result<NodeId> {
    let wide = spread(n, name, error, size)?;
    let product = n.product(name, wide, first)?;
    let kept = n.keep(name, product, 0)?;
    filled(n, name, kept, x)
}
