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
    /// The largest of the logits along axis 2, which keeps extent one: `max(a, b) = b + relu(a - b)` on halves, which share the
    /// middle one where their number is odd.
    fn largest(&mut self, name: &str, logits: NodeId) -> Result<NodeId> {
        let mut all = logits;
        loop {
            let count = self.shape(all)[2];
            if count == 1 {
                return Ok(all);
            }
            let half = count.div_ceil(2);
            let a = self.g.push(name, Op::Window(Window::slice(2, 0, 1, half)), &[all])?;
            let b = self.g.push(name, Op::Window(Window::slice(2, (count - half) as i64, 1, half)), &[all])?;
            all = self.larger(name, a, b, LOGIT_WIDTH + 1)?;
        }
    }
}

impl Spec {
    /// The error at the output, and the difference whose squares are the published loss.
    pub(super) fn output_error(&self, n: &mut Nodes, output: NodeId, target: NodeId) -> Result<(NodeId, NodeId)> {
        let classes = n.shape(output)[2];
        let difference = match self.loss {
            Loss::SquaredError => n.g.linear("difference", &[(output, 1), (target, -1)], 0)?,
            Loss::CrossEntropy => {
                let half = 1i64 << (LOGIT_WIDTH - 1);
                let table = Table::tabulate("logit", -half, LOGIT_WIDTH as usize, |t| t as i32);
                let logits = n.g.lookup("logits", output, 0, table)?;
                let largest = n.largest("largest", logits)?;
                let largest = n.g.push("largest", Op::Window(Window::broadcast(2, classes)), &[largest])?;
                let below = n.g.linear("below", &[(logits, 1), (largest, -1)], 0)?;
                let table = Table::tabulate("exponential", FARTHEST, EXPONENTIAL_KEYS, |t| exponential(t) as i32);
                let powers = n.g.lookup("powers", below, 0, table)?;
                let sum = n.g.push("sum", Op::Window(Window::reduce(2, classes)), &[powers])?;
                let sum = n.g.push("sum", Op::Window(Window::broadcast(2, classes)), &[sum])?;
                // Half of the divisor rounds the quotient; the one more makes a divisor that cannot be zero whatever is proven
                // of the sum.
                let divisor = n.g.linear("divisor", &[(sum, 2)], 1)?;
                let scaled = n.g.linear("scaled", &[(powers, 1 << (PROBABILITY_BITS + 1)), (sum, 1)], 0)?;
                let p = n.g.push("quotients", Op::Divide(Divide {}), &[scaled, divisor])?;
                // Never above one, which nothing has proven yet: the range of what follows is read off this table.
                let share = Table::tabulate("share", 0, PROBABILITY_BITS as usize + 1, |t| t as i32);
                let p = n.g.lookup("probabilities", p, 0, share)?;
                let up = 1 << (PROBABILITY_BITS - ACTIVATION_BITS);
                n.g.linear("difference", &[(p, 1), (target, -up)], 0)?
            }
        };
        let unit = ERROR_BITS - self.loss.difference_bits();
        let error = n.g.linear("error", &[(difference, 1 << unit)], 0)?;
        Ok((error, difference))
    }
}
