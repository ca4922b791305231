//! One sumcheck for all contractions (docs/protocol.md#bilinear).
//!
//! Instance `i` claims a share of the sum: `coefficient_i * sum_x A_i(x) B_i(x)`, over its own number of variables. Shorter
//! instances join when their variables come up: before that they count as constant in the missing leading variables,
//! which multiplies their sum by a power of two that `2^-(missing)` takes back.

use super::{
    get, half_power,
    root::{LinearClaim, ProductTerm, push_committed},
    sumcheck,
};
use crate::channel::{Channel, Check, ProtocolError};
use assay_circuits::{
    NodeId, Op, Program, Ring,
    ops::contraction::{AxisRows, Contraction, Side},
    pullback::{Term, pull_back},
};

/// A contraction under a claim: a node, or the product of two nodes that a lookup's key has.
#[derive(Clone, Debug)]
pub struct Instance<E> {
    /// The contraction's node; for a product its first factor.
    pub node: NodeId,
    /// Its operands.
    pub operands: [NodeId; 2],
    /// The operator.
    pub contraction: Contraction,
    /// Weight of this instance in the sum.
    pub coefficient: E,
    /// Rows of both operands' axes.
    pub rows: [Vec<AxisRows<E>>; 2],
    /// Number of variables.
    pub rounds: usize,
}

impl<E: Ring> Instance<E> {
    pub(crate) fn product(program: &Program, term: ProductTerm<E>) -> Result<Self, ProtocolError> {
        let [a, b] = term.nodes;
        let shape = &program.graph.node(a).shape;
        if shape != &program.graph.node(b).shape {
            return Err(ProtocolError::Layout("a product of two shapes"));
        }
        let contraction = Contraction::elementwise(shape);
        let rows = |side| contraction.rows(side, shape, &term.functional);
        Ok(Self {
            node: a,
            operands: term.nodes,
            rows: [rows(Side::Lhs)?, rows(Side::Rhs)?],
            rounds: contraction.rounds(),
            coefficient: term.coefficient,
            contraction,
        })
    }

    pub(crate) fn new(program: &Program, term: Term<E>) -> Result<Self, ProtocolError> {
        let node = program.graph.node(term.node);
        let Op::Contraction(contraction) = &node.op else {
            return Err(ProtocolError::Layout("a bilinear node that is no contraction"));
        };
        let [lhs, rhs] = node.inputs.as_slice() else {
            return Err(ProtocolError::Layout("a contraction without two operands"));
        };
        let rows = |side, id: &NodeId| contraction.rows(side, &program.graph.node(*id).shape, &term.functional);
        Ok(Self {
            node: term.node,
            operands: [*lhs, *rhs],
            rows: [rows(Side::Lhs, lhs)?, rows(Side::Rhs, rhs)?],
            rounds: contraction.rounds(),
            contraction: contraction.clone(),
            coefficient: term.coefficient,
        })
    }
}

/// Both operands' values at the end of the sumcheck, and the point.
#[derive(Clone, Debug)]
pub struct Operands<E> {
    /// The point of the longest instance; shorter ones take its end.
    pub point: Vec<E>,
    /// `(A_i, B_i)` for each instance.
    pub values: Vec<[E; 2]>,
}

/// Number of rounds of the batched sumcheck.
pub fn rounds<E>(instances: &[Instance<E>]) -> usize {
    instances.iter().map(|i| i.rounds).max().unwrap_or(0)
}

/// Verifies `sum_i coefficient_i * sum_x A_i(x) B_i(x) = sum`.
pub fn verify<C: Channel>(
    channel: &mut C,
    instances: &[Instance<C::Elem>],
    sum: C::Elem,
) -> Result<Operands<C::Elem>, ProtocolError> {
    let total = rounds(instances);
    let (point, claim) = sumcheck::verify(channel, total, sum)?;
    let mut values = Vec::with_capacity(instances.len());
    let mut expected = C::Elem::zero();
    for i in instances {
        let a = channel.receive("lhs")?;
        let b = channel.receive("rhs")?;
        let scale = i.coefficient.clone() * half_power(total.saturating_sub(i.rounds));
        expected = expected + scale * (a.clone() * b.clone());
        values.push([a, b]);
    }
    channel.assert_zero(Check::Bilinear, expected - claim)?;
    Ok(Operands { point, values })
}

/// Adds the operands' claims to the linear claim, with powers of `rho`.
pub fn add_operand_claims<E: Ring>(
    program: &Program,
    instances: &[Instance<E>],
    operands: &Operands<E>,
    rho: &E,
    claim: &mut LinearClaim<E>,
) -> Result<(), ProtocolError> {
    let mut power = rho.clone();
    for (index, instance) in instances.iter().enumerate() {
        let start = operands.point.len().saturating_sub(instance.rounds);
        let point = operands.point.get(start..).unwrap_or(&[]);
        let values = get(&operands.values, index)?;
        for ((rows, node), value) in instance.rows.iter().zip(instance.operands).zip(values) {
            let functional = instance.contraction.operand_functional(rows, point);
            let pulled = pull_back(&program.graph, vec![Term { node, coefficient: E::one(), functional }])?;
            if !pulled.bilinear.is_empty() {
                return Err(ProtocolError::Layout("an operand that is a contraction"));
            }
            claim.value = claim.value.clone() + power.clone() * (value.clone() - pulled.constant);
            push_committed(program, pulled.committed, &power, claim)?;
            power = power * rho.clone();
        }
    }
    Ok(())
}
