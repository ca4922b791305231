//! What a verifier's memory and time are bounded by; graphs may come from anybody (docs/protocol.md#limits).

use super::{Content, MODEL, Program, Source};
use crate::{
    error::GraphError,
    functional::Functional,
    graph::NodeId,
    ops::{Contraction, Op, contraction::Side},
    pullback::{Term, pull_back_within, spend},
    ring::Ring,
};

/// Largest supported size of a stack or of the fraction tree, in index bits.
pub const MAX_STACK_BITS: usize = 30;

/// Most weights of all functionals of a layout, and most entries of all rows of its contractions: what a verifier's
/// memory and time are proportional to.
pub const MAX_WEIGHTS: u64 = 1 << 25;

/// Most rows of all table blocks, and most entries of all tables of the model.
pub const MAX_TABLE_ROWS: usize = 1 << 23;

impl Program {
    /// Carries a symbolic claim through the whole graph, so that a graph through which claims cannot be carried, or not
    /// with reasonable work, is rejected before any commitment is made.
    pub(super) fn rehearse(&self) -> Result<(), GraphError> {
        let ones = |shape: &[usize]| Functional::from_axes(shape.iter().map(|d| vec![Unit; *d]).collect::<Vec<_>>());
        let mut terms = Vec::new();
        let mut budget = MAX_WEIGHTS;
        for s in &self.segments {
            for k in &s.key {
                match k.source {
                    Source::Node(node) => {
                        terms.push(Term { node, coefficient: Unit, functional: ones(&self.graph.node(node).shape) });
                    }
                    Source::Product(a, b) => {
                        let c = Contraction::elementwise(&s.shape);
                        self.rehearse_contraction(&c, [a, b], &ones(&s.shape), &mut budget)?;
                    }
                    Source::Tensor(_) => {}
                }
            }
        }
        for v in &self.vectors {
            for node in [v.index, v.table] {
                let functional = ones(&self.graph.node(node).shape);
                terms.push(Term { node, coefficient: Unit, functional });
            }
        }
        for p in &self.public {
            if let Source::Node(node) = p.source {
                terms.push(Term { node, coefficient: Unit, functional: ones(&p.shape) });
            }
        }
        for l in &self.links {
            terms.push(Term { node: l.node, coefficient: Unit, functional: ones(&l.shape) });
        }
        let pulled = pull_back_within(&self.graph, terms, &mut budget)?;
        for t in &pulled.bilinear {
            let node = self.graph.node(t.node);
            let Op::Contraction(c) = &node.op else { continue };
            self.rehearse_contraction(c, [node.inputs[0], node.inputs[1]], &t.functional, &mut budget)
                .map_err(|e| e.at(&node.name, node.op.name()))?;
        }
        Ok(())
    }

    fn rehearse_contraction(
        &self,
        c: &Contraction,
        operands: [NodeId; 2],
        functional: &Functional<Unit>,
        budget: &mut u64,
    ) -> Result<(), GraphError> {
        spend(budget, c.row_entries())?;
        for (side, operand) in [Side::Lhs, Side::Rhs].into_iter().zip(operands) {
            let rows = c.rows(side, &self.graph.node(operand).shape, functional)?;
            let functional = c.operand_functional(&rows, &vec![Unit; c.rounds()]);
            let term = Term { node: operand, coefficient: Unit, functional };
            pull_back_within(&self.graph, vec![term], budget)?;
        }
        Ok(())
    }
}

impl Program {
    /// Bounds what a verifier allocates for a layout; graphs may come from anybody.
    pub(super) fn check_size(&self) -> Result<(), GraphError> {
        let tables = self.tensors.iter().filter(|t| !matches!(t.content, Content::Node(_)) && t.stack == MODEL);
        let entries: usize = tables.map(|t| 1usize << t.bits()).sum();
        let rows = self.table_rows().max(entries);
        if rows > MAX_TABLE_ROWS {
            return Err(GraphError::Parameter(format!("{rows} table rows; at most {MAX_TABLE_ROWS}")));
        }
        let mut budget = MAX_WEIGHTS;
        for s in &self.segments {
            // One functional per summand of the key, and those of the value and the side.
            let terms = s.key.len() as u64 + 2;
            spend(&mut budget, terms.saturating_mul(s.shape.iter().map(|d| *d as u64).sum()))?;
        }
        for t in &self.links {
            spend(&mut budget, t.shape.iter().map(|d| 2 * *d as u64).sum())?;
        }
        for v in &self.vectors {
            // The index, the output, the table and the row counts.
            let extents = |shape: &[usize]| shape.iter().map(|d| *d as u64).sum::<u64>();
            let (index, rows, row) = (extents(&v.index_shape), extents(&v.rows_shape), extents(&v.row_shape));
            spend(&mut budget, 2 * (index + rows + row))?;
        }
        for t in &self.public {
            spend(&mut budget, t.shape.iter().map(|d| *d as u64).sum())?;
        }
        Ok(())
    }
}

/// The ring with one element: claims about it only have a shape.
#[derive(Clone, Copy, Debug)]
struct Unit;

impl core::ops::Add for Unit {
    type Output = Self;
    fn add(self, _: Self) -> Self {
        self
    }
}
impl core::ops::Sub for Unit {
    type Output = Self;
    fn sub(self, _: Self) -> Self {
        self
    }
}
impl core::ops::Mul for Unit {
    type Output = Self;
    fn mul(self, _: Self) -> Self {
        self
    }
}
impl Ring for Unit {
    fn from_i128(_: i128) -> Self {
        Self
    }
    fn pow2(_: i32) -> Self {
        Self
    }
}

pub(super) fn size(bits: usize) -> Result<usize, GraphError> {
    if bits > MAX_STACK_BITS {
        return Err(GraphError::Parameter(format!("2^{bits} values; at most 2^{MAX_STACK_BITS} are supported")));
    }
    Ok(1 << bits)
}
