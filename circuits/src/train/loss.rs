//! Errors at the output of a network, and the losses that are published, as graph nodes.

use super::{
    ACTIVATION_BITS, ERROR_BITS, EXPONENTIAL_KEYS, LOGIT_WIDTH, Loss, PROBABILITY_BITS, Spec,
    nodes::{Nodes, Result},
    reference::{FARTHEST, exponential},
};
use crate::{
    graph::NodeId,
    ops::{AxisExpr, Contraction, Divide, Op, Window},
    table::Table,
};

/// Sums of the products of two tensors `[steps, batch, classes]`, one a step.
pub(super) fn squares(steps: usize, batch: usize, classes: usize) -> Contraction {
    Contraction {
        extents: vec![steps, batch, classes],
        lhs: AxisExpr::indices(&[0, 1, 2]),
        rhs: AxisExpr::indices(&[0, 1, 2]),
        out: AxisExpr::indices(&[0]),
    }
}

impl Nodes {
    /// The largest of the logits along the last axis, which keeps extent one: `max(a, b) = b + relu(a - b)` on halves, which share
    /// the middle one where their number is odd.
    fn largest(&mut self, name: &str, logits: NodeId, axis: usize) -> Result<NodeId> {
        let mut all = logits;
        loop {
            let count = self.shape(all)[axis];
            if count == 1 {
                return Ok(all);
            }
            let half = count.div_ceil(2);
            let a = self.g.push(name, Op::Window(Window::slice(axis, 0, 1, half)), &[all])?;
            let b = self.g.push(name, Op::Window(Window::slice(axis, (count - half) as i64, 1, half)), &[all])?;
            all = self.larger(name, a, b, LOGIT_WIDTH + 1)?;
        }
    }

    /// What logits of `LOGIT_WIDTH` bits lie below the largest one along an axis.
    pub(super) fn below(&mut self, prefix: &str, logits: NodeId, axis: usize) -> Result<NodeId> {
        let name = |part: &str| if prefix.is_empty() { part.to_owned() } else { format!("{prefix}.{part}") };
        let classes = self.shape(logits)[axis];
        let largest = self.largest(&name("largest"), logits, axis)?;
        let largest = self.g.push(&name("largest"), Op::Window(Window::broadcast(axis, classes)), &[largest])?;
        Ok(self.g.linear(&name("below"), &[(logits, 1), (largest, -1)], 0)?)
    }

    /// What part of their sum along an axis powers are, rounded: probabilities.
    pub(super) fn shares(&mut self, name: &str, powers: NodeId, axis: usize) -> Result<NodeId> {
        let classes = self.shape(powers)[axis];
        let sum = self.g.push("sum", Op::Window(Window::reduce(axis, classes)), &[powers])?;
        let sum = self.g.push("sum", Op::Window(Window::broadcast(axis, classes)), &[sum])?;
        // Half of the divisor rounds the quotient; the one more makes a divisor that cannot be zero whatever is proven
        // of the sum.
        let divisor = self.g.linear("divisor", &[(sum, 2)], 1)?;
        let scaled = self.g.linear("scaled", &[(powers, 1 << (PROBABILITY_BITS + 1)), (sum, 1)], 0)?;
        let p = self.g.push("quotients", Op::Divide(Divide {}), &[scaled, divisor])?;
        // Never above one, which nothing has proven yet: the range of what follows is read off this table.
        let share = Table::tabulate("share", 0, PROBABILITY_BITS as usize + 1, |t| t as i32);
        Ok(self.g.lookup(name, p, 0, share)?)
    }
}

impl Spec {
    /// The error at the output, and the difference whose squares are the published loss.
    pub(super) fn output_error(&self, n: &mut Nodes, output: NodeId, target: NodeId) -> Result<(NodeId, NodeId)> {
        let difference = match self.loss {
            Loss::SquaredError => n.g.linear("difference", &[(output, 1), (target, -1)], 0)?,
            Loss::CrossEntropy => {
                let half = 1i64 << (LOGIT_WIDTH - 1);
                let table = Table::tabulate("logit", -half, LOGIT_WIDTH as usize, |t| t as i32);
                let logits = n.g.lookup("logits", output, 0, table)?;
                let below = n.below("", logits, 2)?;
                let table = Table::tabulate("exponential", FARTHEST, EXPONENTIAL_KEYS, |t| exponential(t) as i32);
                let powers = n.g.lookup("powers", below, 0, table)?;
                let p = n.shares("probabilities", powers, 2)?;
                let up = 1 << (PROBABILITY_BITS - ACTIVATION_BITS);
                n.g.linear("difference", &[(p, 1), (target, -up)], 0)?
            }
        };
        let unit = ERROR_BITS - self.loss.difference_bits();
        let error = n.g.linear("error", &[(difference, 1 << unit)], 0)?;
        Ok((error, difference))
    }
}
