//! From a tape to rows: which cell holds what, and which cells are equal (docs/protocol.md#circuit).
//!
//! Rows, from the top: one per public input; a zero; the sponge, permutation after permutation; sums of products. An operation
//! that several others use gets a cell of its own; the rest are folded into the sums that use them.

#![allow(clippy::indexing_slicing, reason = "indices are made here, from a tape that this crate recorded")]

use super::{
    gates::{ADVICE, FIXED, RESERVED},
    tape::{Operand, Operation, Tape},
};
use crate::{
    Fr,
    channel::ProtocolError,
    transcript::{DOMAIN, FULL_ROUNDS, PARTIAL_ROUNDS, Permutation, WIDTH, domain_tag},
};
use ark_ff::{AdditiveGroup, Field};

/// A cell of an advice column that copy constraints reach: row and column.
pub type Cell = (usize, usize);

/// The circuit with its witness: what Halo2 needs to know.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Fixed columns, row by row.
    pub fixed: Vec<[Fr; FIXED]>,
    /// Advice columns, row by row.
    pub advice: Vec<[Fr; ADVICE]>,
    /// Pairs of equal cells.
    pub copies: Vec<(Cell, Cell)>,
    /// Public inputs.
    pub instances: Vec<Fr>,
    /// For reports: where rows go.
    pub usage: Usage,
}

/// Rows by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Poseidon permutations.
    pub permutations: usize,
    /// Rows of the sponge.
    pub sponge: usize,
    /// Rows of sums of products.
    pub arithmetic: usize,
}

impl Rows {
    /// The smallest domain that fits, as a power of two.
    pub fn k(&self) -> u32 {
        self.fixed.len().saturating_add(RESERVED).saturating_add(1).next_power_of_two().trailing_zeros()
    }
}

/// `sum coefficient * x * y + sum coefficient * x + constant` over operations that have cells.
#[derive(Clone, Debug, Default)]
struct Expression {
    products: Vec<(Fr, usize, usize)>,
    linear: Vec<(Fr, usize)>,
    constant: Fr,
}

impl Expression {
    fn base(node: usize) -> Self {
        Self { linear: vec![(Fr::ONE, node)], ..Self::default() }
    }

    fn constant(constant: Fr) -> Self {
        Self { constant, ..Self::default() }
    }

    /// `coefficient * node + constant`, if it is no more than that.
    fn affine(&self) -> Option<(Fr, Option<usize>, Fr)> {
        match (self.products.as_slice(), self.linear.as_slice()) {
            ([], []) => Some((Fr::ZERO, None, self.constant)),
            ([], [(c, n)]) => Some((*c, Some(*n), self.constant)),
            _ => None,
        }
    }

    fn plus(mut self, mut other: Self, sign: Fr) -> Self {
        if sign != Fr::ONE {
            other.products.iter_mut().for_each(|p| p.0 *= sign);
            other.linear.iter_mut().for_each(|p| p.0 *= sign);
            other.constant *= sign;
        }
        // The longer list takes the shorter, so that long sums take linear time.
        if self.products.len() < other.products.len() {
            core::mem::swap(&mut self.products, &mut other.products);
        }
        if self.linear.len() < other.linear.len() {
            core::mem::swap(&mut self.linear, &mut other.linear);
        }
        self.products.append(&mut other.products);
        self.linear.append(&mut other.linear);
        self.constant += other.constant;
        self
    }

    /// Terms in the same cell become one.
    fn merge(&mut self) {
        self.linear.sort_by_key(|(_, n)| *n);
        self.linear.dedup_by(|b, a| {
            let same = a.1 == b.1;
            if same {
                a.0 += b.0;
            }
            same
        });
        self.linear.retain(|(c, _)| *c != Fr::ZERO);
    }
}

struct Builder<'a> {
    tape: &'a Tape,
    rows: Rows,
    /// The cell of each operation that has one.
    cells: Vec<Option<Cell>>,
    zero: Cell,
}

/// `A, B` of the row kinds.
const FULL: [i64; 2] = [1, 0];
const ABSORB: [i64; 2] = [0, 1];
const CONTINUE: [i64; 2] = [1, 1];
const LAST: [i64; 2] = [-1, 1];

fn fixed([a, b]: [i64; 2], c: [Fr; 3]) -> [Fr; FIXED] {
    let [c0, c1, c2] = c;
    [Fr::from(a), Fr::from(b), Fr::ZERO, c0, c1, c2]
}

/// Lays out a tape.
///
/// # Errors
/// A tape that is not that of a protocol run.
pub fn lay_out(tape: &Tape) -> Result<Rows, ProtocolError> {
    let instances = tape.instances();
    let rows = Rows { fixed: vec![], advice: vec![], copies: vec![], instances, usage: Usage::default() };
    let mut b = Builder { tape, rows, cells: vec![None; tape.operations.len()], zero: (0, 0) };
    b.instances()?;
    b.sponge()?;
    b.arithmetic()?;
    Ok(b.rows)
}

impl Builder<'_> {
    fn push(&mut self, fixed: [Fr; FIXED], advice: [Fr; ADVICE]) -> usize {
        self.rows.fixed.push(fixed);
        self.rows.advice.push(advice);
        self.rows.fixed.len() - 1
    }

    fn value(&self, node: usize) -> Fr {
        self.tape.values[node]
    }

    fn instances(&mut self) -> Result<(), ProtocolError> {
        let zero = [Fr::ZERO; 3];
        for (i, v) in self.rows.instances.clone().into_iter().enumerate() {
            let mut advice = [Fr::ZERO; ADVICE];
            advice[5] = v;
            let row = self.push(fixed(ABSORB, zero), advice);
            for (n, op) in self.tape.operations.iter().enumerate() {
                if *op == Operation::Instance(i) {
                    self.cells[n] = Some((row, 5));
                }
            }
        }
        // Makes the next a0 zero, whatever a0 is here; the cell itself is not used.
        self.push(fixed(LAST, zero), [Fr::ZERO; ADVICE]);
        let row = self.push(fixed(LAST, zero), [Fr::ZERO; ADVICE]);
        self.zero = (row, 5);
        Ok(())
    }

    /// The sponge: its state starts from the domain tag and is chained from row to row.
    fn sponge(&mut self) -> Result<(), ProtocolError> {
        let start = self.rows.fixed.len();
        let permutation = Permutation::standard().ok_or(ProtocolError::Layout("Poseidon parameters"))?;
        let rounds = Rounds::new(&permutation);
        let tag = domain_tag(DOMAIN);
        // The state of the next row: a0 = tag by a sum, a1 = a2 = 0 by outputs that are copies of zero.
        let row = self.push(fixed(CONTINUE, [Fr::ZERO, Fr::ZERO, tag]), [Fr::ZERO; ADVICE]);
        self.copy((row, 5), self.zero);
        let mut state = [tag, Fr::ZERO, Fr::ZERO];
        let blank = [tag, Fr::ZERO, Fr::ZERO, Fr::ZERO, Fr::ZERO, Fr::ZERO];
        for c in [[Fr::ONE, Fr::ZERO, Fr::ZERO], [Fr::ZERO, Fr::ONE, Fr::ZERO]] {
            let row = self.push(fixed(ABSORB, c), blank);
            self.copy((row, 5), self.zero);
        }
        let blocks = self.tape.blocks.clone();
        let mut outputs: Vec<usize> = vec![];
        for block in &blocks {
            self.absorb(&mut state, &outputs, &block.inputs);
            self.permute(&rounds, &permutation, &mut state);
            outputs.clone_from(&block.outputs);
        }
        self.absorb(&mut state, &outputs, &[]);
        self.rows.usage.permutations = blocks.len();
        self.rows.usage.sponge = self.rows.fixed.len() - start;
        Ok(())
    }

    /// Gives the outputs of the last permutation their cells and adds inputs to the rate.
    fn absorb(&mut self, state: &mut [Fr; WIDTH], outputs: &[usize], inputs: &[usize]) {
        let count = outputs.len().max(1);
        for turn in 0..count {
            let last = turn + 1 == count;
            let mut c = [Fr::ZERO; 3];
            let mut advice = [state[0], state[1], state[2], Fr::ZERO, Fr::ZERO, Fr::ZERO];
            if let Some(node) = outputs.get(turn) {
                c[turn] = Fr::ONE;
                advice[5] = state[1 + turn];
                self.cells[*node] = Some((self.rows.fixed.len(), 5));
            }
            if last && !inputs.is_empty() {
                c[2] = Fr::ONE;
            }
            let row = self.push(fixed(ABSORB, c), advice);
            if !last || inputs.is_empty() {
                continue;
            }
            for slot in 0..WIDTH - 1 {
                let cell = (row, 3 + slot);
                match inputs.get(slot) {
                    None => self.copy(cell, self.zero),
                    Some(node) => {
                        let v = self.value(*node);
                        self.rows.advice[row][3 + slot] = v;
                        state[1 + slot] += v;
                        match self.cells[*node] {
                            None => self.cells[*node] = Some(cell),
                            Some(first) => self.copy(cell, first),
                        }
                    }
                }
            }
        }
    }

    fn permute(&mut self, rounds: &Rounds, permutation: &Permutation, state: &mut [Fr; WIDTH]) {
        let mix = |v: [Fr; WIDTH]| permutation.matrix.map(|r| r[0] * v[0] + r[1] * v[1] + r[2] * v[2]);
        for (i, c) in rounds.full.iter().enumerate() {
            if i == FULL_ROUNDS / 2 {
                for pair in rounds.partial.chunks(2) {
                    let d0 = state[0] + pair[0];
                    let q0 = d0.square();
                    let y0 = q0.square() * d0;
                    let first = mix([y0, state[1], state[2]]);
                    let second = pair.get(1).copied();
                    let d1 = first[0] + second.unwrap_or(Fr::ZERO);
                    let q1 = d1.square();
                    let flag = if second.is_some() { Fr::ONE } else { Fr::ZERO };
                    let fixed = [Fr::ZERO, Fr::ZERO, Fr::ONE, pair[0], second.unwrap_or(Fr::ZERO), flag];
                    self.push(fixed, [state[0], state[1], state[2], q0, y0, q1]);
                    *state = if second.is_some() { mix([q1.square() * d1, first[1], first[2]]) } else { first };
                }
            }
            let keys = [state[0] + c[0], state[1] + c[1], state[2] + c[2]];
            let squares = keys.map(|k| k.square());
            let advice = [state[0], state[1], state[2], squares[0], squares[1], squares[2]];
            self.push(fixed(FULL, *c), advice);
            *state = mix([0, 1, 2].map(|i: usize| squares[i].square() * keys[i]));
        }
    }

    fn copy(&mut self, a: Cell, b: Cell) {
        if a != b {
            self.rows.copies.push((a, b));
        }
    }

    fn arithmetic(&mut self) -> Result<(), ProtocolError> {
        let start = self.rows.fixed.len();
        // The last row of the sponge hands its state on: this row takes it and makes the next a0 zero.
        let state = self.rows.advice.last().copied().unwrap_or([Fr::ZERO; ADVICE]);
        let first = self.rows.advice.last().map_or(Fr::ZERO, |r| r[0]);
        self.push(fixed(LAST, [Fr::ZERO; 3]), [first, state[1], state[2], Fr::ZERO, Fr::ZERO, first]);

        let count = self.tape.operations.len();
        let mut uses = vec![0usize; count];
        for e in &self.tape.equations {
            mark(&mut uses, e.value);
        }
        for (_, e) in &self.tape.exposed {
            mark(&mut uses, *e);
        }
        // What enters the sponge or has an inverse needs a cell.
        let mut pinned = vec![false; count];
        let pin = |uses: &mut Vec<usize>, pinned: &mut Vec<bool>, n: usize| {
            uses[n] += 1;
            pinned[n] = true;
        };
        for n in self.tape.blocks.iter().flat_map(|b| &b.inputs) {
            pin(&mut uses, &mut pinned, *n);
        }
        for n in (0..count).rev() {
            match self.tape.operations[n] {
                Operation::Inverse(x) => {
                    // An inverse is an equation of its own: the element is not zero.
                    pin(&mut uses, &mut pinned, n);
                    pin(&mut uses, &mut pinned, x);
                }
                Operation::Add(a, b) | Operation::Sub(a, b) | Operation::Mul(a, b) if uses[n] > 0 => {
                    mark(&mut uses, a);
                    mark(&mut uses, b);
                }
                _ => {}
            }
        }

        let mut expressions: Vec<Option<Expression>> = vec![None; count];
        for n in 0..count {
            if uses[n] == 0 {
                continue;
            }
            let expression = match self.tape.operations[n] {
                Operation::Message | Operation::Challenge | Operation::Instance(_) => {
                    if self.cells[n].is_none() {
                        return Err(ProtocolError::Layout("an input of the circuit without a cell"));
                    }
                    continue;
                }
                Operation::Inverse(x) => {
                    self.inverse(n, x)?;
                    continue;
                }
                Operation::Add(a, b) => {
                    self.take(&mut expressions, a, &uses)?.plus(self.take(&mut expressions, b, &uses)?, Fr::ONE)
                }
                Operation::Sub(a, b) => {
                    self.take(&mut expressions, a, &uses)?.plus(self.take(&mut expressions, b, &uses)?, -Fr::ONE)
                }
                Operation::Mul(a, b) => {
                    let (a, b) = (self.factor(&mut expressions, a, &uses)?, self.factor(&mut expressions, b, &uses)?);
                    multiply(a, b)
                }
            };
            let shared = uses[n] > 1 && expression.affine().is_none();
            if shared || pinned[n] {
                self.materialise(n, expression)?;
            } else {
                expressions[n] = Some(expression);
            }
        }
        for e in &self.tape.equations {
            let expression = self.take(&mut expressions, e.value, &uses)?;
            let cell = self.sum(expression)?;
            self.copy(cell, self.zero);
        }
        for (i, e) in &self.tape.exposed {
            let cell = match e {
                Operand::Node(n) if self.cells[*n].is_some() => self.cell(*n)?,
                operand => {
                    let expression = self.take(&mut expressions, *operand, &uses)?;
                    self.sum(expression)?
                }
            };
            self.copy(cell, (*i, 5));
        }
        self.rows.usage.arithmetic = self.rows.fixed.len() - start;
        Ok(())
    }

    fn cell(&self, n: usize) -> Result<Cell, ProtocolError> {
        self.cells[n].ok_or(ProtocolError::Layout("an operation without a cell"))
    }

    /// The expression of an operand. One that is used once is moved, one that is used more often is a cell or affine.
    fn take(
        &mut self,
        expressions: &mut [Option<Expression>],
        operand: Operand,
        uses: &[usize],
    ) -> Result<Expression, ProtocolError> {
        let n = match operand {
            Operand::Constant(c) => return Ok(Expression::constant(c)),
            Operand::Node(n) => n,
        };
        if self.cells[n].is_some() {
            return Ok(Expression::base(n));
        }
        let slot = &mut expressions[n];
        let expression = if uses[n] > 1 { slot.clone() } else { slot.take() };
        expression.ok_or(ProtocolError::Layout("an operation without an expression"))
    }

    /// An operand of a product: affine in one cell.
    fn factor(
        &mut self,
        expressions: &mut [Option<Expression>],
        operand: Operand,
        uses: &[usize],
    ) -> Result<(Fr, Option<usize>, Fr), ProtocolError> {
        let mut expression = self.take(expressions, operand, uses)?;
        expression.merge();
        if let Some(affine) = expression.affine() {
            return Ok(affine);
        }
        let Operand::Node(n) = operand else {
            return Err(ProtocolError::Layout("a constant that is no constant"));
        };
        self.materialise(n, expression)?;
        Ok((Fr::ONE, Some(n), Fr::ZERO))
    }

    fn materialise(&mut self, n: usize, expression: Expression) -> Result<(), ProtocolError> {
        let cell = self.sum(expression)?;
        self.cells[n] = Some(cell);
        Ok(())
    }

    /// A free cell for the inverse of `x`, and the equation that ties them.
    fn inverse(&mut self, n: usize, x: usize) -> Result<(), ProtocolError> {
        // 0 = 0 + x * inverse - 1, in one row whose result is a copy of zero.
        let (vx, vi) = (self.value(x), self.value(n));
        let c = [Fr::ONE, Fr::ZERO, -Fr::ONE];
        let row = self.push(fixed(LAST, c), [Fr::ZERO, Fr::ZERO, Fr::ZERO, vx, vi, vx * vi - Fr::ONE]);
        let cell = self.cell(x)?;
        self.copy((row, 3), cell);
        self.copy((row, 5), self.zero);
        self.cells[n] = Some((row, 4));
        Ok(())
    }

    /// Rows that add up an expression; the cell of the result.
    fn sum(&mut self, mut expression: Expression) -> Result<Cell, ProtocolError> {
        expression.merge();
        let Expression { products, mut linear, mut constant } = expression;
        // One step a row: c0 x y + c1 x + c2, and in all rows but the last a term with coefficient one.
        let mut steps: Vec<([Fr; 3], Option<usize>, Option<usize>)> = Vec::with_capacity(products.len() + 1);
        for (c0, x, y) in products {
            let attached = linear.iter().position(|(_, n)| *n == x || *n == y);
            let (c1, first, second) = match attached.map(|i| linear.swap_remove(i)) {
                Some((c, n)) if n == y => (c, y, x),
                Some((c, _)) => (c, x, y),
                None => (Fr::ZERO, x, y),
            };
            steps.push(([c0, c1, core::mem::take(&mut constant)], Some(first), Some(second)));
        }
        // Terms with coefficient one fill the free slots of all rows but the last.
        let mut ones: Vec<usize> = vec![];
        let mut others: Vec<(Fr, usize)> = vec![];
        for (c, n) in linear {
            if c == Fr::ONE { ones.push(n) } else { others.push((c, n)) }
        }
        for (c, n) in others {
            steps.push(([Fr::ZERO, c, core::mem::take(&mut constant)], Some(n), None));
        }
        let mut slots: Vec<usize> = vec![];
        while let Some(n) = ones.pop() {
            if slots.len() + 1 < steps.len() {
                slots.push(n);
            } else {
                steps.push(([Fr::ZERO, Fr::ONE, core::mem::take(&mut constant)], Some(n), None));
            }
        }
        if steps.is_empty() {
            steps.push(([Fr::ZERO, Fr::ZERO, constant], None, None));
        }
        let mut acc = Fr::ZERO;
        let last = steps.len() - 1;
        let mut slots = slots.into_iter();
        let mut result = self.zero;
        for (i, ([c0, c1, c2], x, y)) in steps.into_iter().enumerate() {
            let of = |b: &Self, n: Option<usize>| n.map_or(Fr::ZERO, |n| b.value(n));
            let (vx, vy) = (of(self, x), of(self, y));
            let total = acc + c0 * vx * vy + c1 * vx + c2;
            let kind = if i == last { LAST } else { CONTINUE };
            let extra = if i == last { None } else { slots.next() };
            let shown = if i == last { total } else { of(self, extra) };
            let row = self.push(fixed(kind, [c0, c1, c2]), [acc, Fr::ZERO, Fr::ZERO, vx, vy, shown]);
            for (column, node) in [(3, x), (4, y)] {
                if let Some(n) = node {
                    let cell = self.cell(n)?;
                    self.copy((row, column), cell);
                }
            }
            if i < last {
                let cell = extra.map_or(Ok(self.zero), |n| self.cell(n))?;
                self.copy((row, 5), cell);
                acc = total + shown;
            }
            result = (row, 5);
        }
        Ok(result)
    }
}

fn mark(uses: &mut [usize], operand: Operand) {
    if let Operand::Node(n) = operand {
        uses[n] += 1;
    }
}

/// `(c x + k) (d y + l)`.
fn multiply((c, x, k): (Fr, Option<usize>, Fr), (d, y, l): (Fr, Option<usize>, Fr)) -> Expression {
    let mut out = Expression::constant(k * l);
    if let (Some(x), Some(y)) = (x, y) {
        out.products.push((c * d, x, y));
    }
    out.linear.extend(x.map(|x| (c * l, x)).filter(|(c, _)| *c != Fr::ZERO));
    out.linear.extend(y.map(|y| (k * d, y)).filter(|(c, _)| *c != Fr::ZERO));
    out
}

/// Round constants with those of `s1, s2` in partial rounds moved into later rounds, where they are added to the state after
/// the linear layer: partial rounds then need one constant each.
struct Rounds {
    full: Vec<[Fr; WIDTH]>,
    partial: Vec<Fr>,
}

impl Rounds {
    fn new(permutation: &Permutation) -> Self {
        let half = FULL_ROUNDS / 2;
        let (mut full, mut partial) = (Vec::new(), Vec::new());
        // True state = stored state + carried.
        let mut carried = [Fr::ZERO; WIDTH];
        for (round, c) in permutation.constants.iter().enumerate() {
            let [k0, k1, k2] = [carried[0] + c[0], carried[1] + c[1], carried[2] + c[2]];
            if round < half || round >= half + PARTIAL_ROUNDS {
                full.push([k0, k1, k2]);
                carried = [Fr::ZERO; WIDTH];
            } else {
                partial.push(k0);
                carried = permutation.matrix.map(|r| r[1] * k1 + r[2] * k2);
            }
        }
        Self { full, partial }
    }
}
