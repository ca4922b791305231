//! Where to cut, so that the dearest segment is as cheap as can be.

use super::{MAX_SEGMENTS, Position, positions, split};
use crate::{error::GraphError, graph::Graph};

/// Most cuts that are looked at: of more, the one that the fewest values cross within each of so many equal shares of the cost.
const CANDIDATES: usize = 384;

/// Cuts for `parts` segments. `costs` are those of the nodes, `crossing` is that of a value at a boundary for each of the two segments
/// that it lies between; in any unit. Minimises the largest cost of a segment.
///
/// # Errors
/// Numbers of segments that are not possible: fewer than two, too many, or more than there are places to cut.
pub fn balance(graph: &Graph, parts: usize, costs: &[f64], crossing: f64) -> Result<Vec<usize>, GraphError> {
    if !(2..=MAX_SEGMENTS).contains(&parts) {
        return Err(GraphError::Parameter(format!("{parts} segments; 2 to {MAX_SEGMENTS} are possible")));
    }
    let mut before = vec![0.0f64];
    for c in costs {
        before.push(before.last().copied().unwrap_or(0.0) + c.max(0.0));
    }
    let before = |at: usize| before.get(at).or(before.last()).copied().unwrap_or(0.0);
    let mut places = thinned(positions(graph), &before, before(graph.nodes().len()));
    loop {
        let cuts = best(&places, parts, &before, before(graph.nodes().len()), crossing).ok_or_else(|| {
            GraphError::Parameter(format!(
                "the graph can be cut in {} places, which is too few for {parts} segments: only where all tensors that cross are narrow",
                places.len()
            ))
        })?;
        // A range that is wider behind a cut can forbid what the ranges of the whole allow.
        let Err(e) = split(graph, &cuts) else { return Ok(cuts) };
        let forbidden = cuts.iter().copied().find(|c| split(graph, &[*c]).is_err()).or(cuts.last().copied());
        let left = places.len();
        places.retain(|p| Some(p.at) != forbidden);
        if places.len() == left {
            return Err(e);
        }
    }
}

fn thinned(all: Vec<Position>, before: &impl Fn(usize) -> f64, total: f64) -> Vec<Position> {
    if all.len() <= CANDIDATES {
        return all;
    }
    let share = |p: &Position| ((before(p.at) / total.max(f64::MIN_POSITIVE)) * CANDIDATES as f64) as usize;
    let mut out: Vec<Position> = Vec::with_capacity(CANDIDATES);
    for p in all {
        match out.last_mut() {
            Some(l) if share(l) == share(&p) => {
                if p.values < l.values {
                    *l = p;
                }
            }
            _ => out.push(p),
        }
    }
    out
}

/// Dynamic programming over the places: for each number of segments the least largest cost up to each place.
fn best(
    places: &[Position],
    parts: usize,
    before: &impl Fn(usize) -> f64,
    total: f64,
    crossing: f64,
) -> Option<Vec<usize>> {
    let n = places.len();
    let edge = |p: &Position| crossing * p.values as f64;
    // Cost of a segment from one place (none: the beginning) to another (none: the end).
    let cost = |from: Option<&Position>, to: Option<&Position>| {
        let (start, enters) = from.map_or((0.0, 0.0), |p| (before(p.at), edge(p)));
        let (end, leaves) = to.map_or((total, 0.0), |p| (before(p.at), edge(p)));
        end - start + enters + leaves
    };
    let mut least: Vec<f64> = places.iter().map(|p| cost(None, Some(p))).collect();
    let mut from: Vec<Vec<Option<usize>>> = Vec::new();
    for _ in 2..parts {
        let mut next = vec![f64::INFINITY; n];
        let mut chosen = vec![None; n];
        for j in 0..n {
            for i in 0..j {
                let c = least[i].max(cost(Some(&places[i]), Some(&places[j])));
                if c < next[j] {
                    (next[j], chosen[j]) = (c, Some(i));
                }
            }
        }
        least = next;
        from.push(chosen);
    }
    let end = |i: &usize| least[*i].max(cost(Some(&places[*i]), None));
    let mut at = (0..n).filter(|i| least[*i].is_finite()).min_by(|a, b| end(a).total_cmp(&end(b)))?;
    let mut cuts = vec![places[at].at];
    for chosen in from.iter().rev() {
        at = chosen[at]?;
        cuts.push(places[at].at);
    }
    cuts.reverse();
    Some(cuts)
}
