//! Carrying claims backwards through the graph, as reverse-mode differentiation carries cotangents
//! (docs/protocol.md#pullback).

use crate::{
    error::GraphError,
    functional::Functional,
    graph::{Graph, NodeId},
    ops::OpClass,
    ring::Ring,
};
use std::collections::BTreeMap;

/// `coefficient * <value of node, functional>`, one summand of a claim.
#[derive(Clone, Debug)]
pub struct Term<E> {
    /// The node.
    pub node: NodeId,
    /// Its coefficient.
    pub coefficient: E,
    /// One weight vector per axis of the node's value.
    pub functional: Functional<E>,
}

/// A claim's terms once no linear operator is left.
#[derive(Clone, Debug)]
pub struct Pulled<E> {
    /// Terms on committed nodes, in decreasing order of node; the state of a delay follows the delay where it comes later.
    pub committed: Vec<Term<E>>,
    /// Terms on contractions, in decreasing order of node.
    pub bilinear: Vec<Term<E>>,
    /// What depends on no node.
    pub constant: E,
}

/// Rewrites a sum of terms until only committed nodes and contractions remain.
///
/// # Errors
/// [`GraphError::Pullback`] where the functional cannot be carried through an operator.
pub fn pull_back<E: Ring>(graph: &Graph, terms: Vec<Term<E>>) -> Result<Pulled<E>, GraphError> {
    let mut unlimited = u64::MAX;
    pull_back_within(graph, terms, &mut unlimited)
}

/// [`pull_back`] with a budget of weights, from which each rewritten term takes its own. Paths through a graph can be
/// exponentially many, so a layout is rehearsed with a budget before anything is computed from it.
///
/// # Errors
/// Those of [`pull_back`]; a budget that is used up.
pub fn pull_back_within<E: Ring>(
    graph: &Graph,
    terms: Vec<Term<E>>,
    budget: &mut u64,
) -> Result<Pulled<E>, GraphError> {
    let mut pending: BTreeMap<usize, Vec<Term<E>>> = BTreeMap::new();
    for t in terms {
        pending.entry(t.node.0).or_default().push(t);
    }
    let mut out = Pulled { committed: vec![], bilinear: vec![], constant: E::zero() };
    while let Some((index, terms)) = pending.pop_last() {
        let node = graph.node(NodeId(index));
        match node.op.class() {
            OpClass::Committed => out.committed.extend(terms),
            OpClass::Bilinear => out.bilinear.extend(terms),
            OpClass::Linear => {
                let shapes: Vec<&[usize]> = node.inputs.iter().map(|i| graph.node(*i).shape.as_slice()).collect();
                for t in terms {
                    let copies = t.functional.len().saturating_mul(node.inputs.len() as u64);
                    spend(budget, copies.saturating_add(node.op.window_steps(&t.functional)))?;
                    let pulled = node
                        .op
                        .pullback(&shapes, &node.shape, &t.functional)
                        .map_err(|e| e.at(&node.name, node.op.name()))?;
                    if let Some(c) = pulled.constant {
                        out.constant = out.constant + t.coefficient.clone() * c;
                    }
                    for p in pulled.pieces {
                        spend(budget, p.functional.len())?;
                        let node = node.inputs[p.input];
                        let coefficient = match p.coefficient {
                            1 => t.coefficient.clone(),
                            c => t.coefficient.clone() * E::from_i128(i128::from(c)),
                        };
                        pending.entry(node.0).or_default().push(Term { node, coefficient, functional: p.functional });
                    }
                }
            }
        }
    }
    Ok(out)
}

/// What a term costs besides its weights, in weights.
const TERM: u64 = 64;

/// Takes the weights of one term from a budget.
pub(crate) fn spend(budget: &mut u64, weights: u64) -> Result<(), GraphError> {
    *budget = budget.checked_sub(weights.saturating_add(TERM)).ok_or_else(|| {
        GraphError::Pullback("too many terms; a lookup on the way would commit an intermediate result".to_owned())
    })?;
    Ok(())
}
