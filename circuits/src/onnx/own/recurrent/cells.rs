//! The cells in integers.

use super::{Cell, Recurrent};
use crate::{
    graph::NodeId,
    onnx::{
        error::ImportError,
        expr::{Expr, Form},
        lower::{Lazy, Lowering, Result, Root, Value, fit_exponent, to_int},
        ops::{
            binary::product,
            einsum::{add_constant, floats, quantize_constant},
        },
        requantize::{Fixed, commit_fixed},
    },
    ops::{Contraction, Indices, Op, Window},
};
use tract_onnx::prelude::{OutletId, TypedNode};

/// Bits of a state or gate beyond the activation width: one for the sign, one so that one itself has a value.
const EXTRA_BITS: u32 = 2;
/// Bits of an LSTM's memory beyond those of its state: what is rounded away adds up over the steps.
const MEMORY_BITS: u32 = 1;
const MOST_BITS: u32 = 14;
/// Room above calibrated states that no function bounds.
const HEADROOM: f64 = 1.25;
/// Bits of the factor that aligns an initial state whose unit is no power of two.
const ALIGN_BITS: u32 = 12;
/// Widest initial state.
const INITIAL_BITS: i32 = 16;

/// A state between two steps.
struct State {
    delay: NodeId,
    /// Its unit, as a power of two, and its width.
    fixed: Fixed,
}

impl State {
    fn root(&self, range: (f64, f64)) -> Root {
        Root { node: self.delay, scale: unit(self.fixed.exponent), range }
    }
}

fn unit(e: i32) -> f64 {
    (-f64::from(e)).exp2()
}

fn bounds(bits: u32) -> (i64, i64) {
    (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
}

struct Steps<'s, 'a> {
    op: &'s Recurrent,
    c: &'s mut Lowering<'a>,
    node: &'s TypedNode,
    /// Steps, independent sequences, units.
    shape: [usize; 3],
}

pub(super) fn lower(op: &Recurrent, c: &mut Lowering<'_>, node: &TypedNode) -> Result<Vec<Value>> {
    let gates = c.lazy(node, 0)?;
    let mut pre = c.materialize(&gates)?;
    let [t, n, width] = c.shape(pre.node)[..] else {
        return Err(ImportError::unsupported("gates of another rank than three"));
    };
    if width != op.cell.gates() * op.units {
        return Err(ImportError::unsupported(format!("{width} gates for {} units", op.units)));
    }
    let turn = |c: &mut Lowering<'_>, x: NodeId| match op.reverse {
        true => c.push(Op::Window(Window::slice(0, t as i64 - 1, -1, t)), &[x]),
        false => Ok(x),
    };
    pre.node = turn(c, pre.node)?;
    let mut s = Steps { op, c, node, shape: [t, n, op.units] };
    let states = match op.cell {
        Cell::Rnn => s.rnn(pre)?,
        Cell::Lstm { coupled, peepholes } => s.lstm(pre, coupled, peepholes)?,
        Cell::Gru { reset_after } => s.gru(pre, reset_after)?,
    };
    let mut out = Vec::with_capacity(states.len());
    for (slot, (state, next)) in states.into_iter().enumerate() {
        c.g.connect(state.delay, next)?;
        let made = turn(c, next)?;
        out.push(c.result(OutletId::new(node.id, slot), made, unit(state.fixed.exponent)));
    }
    Ok(out)
}

impl Steps<'_, '_> {
    fn bits(&self) -> u32 {
        (self.c.widths.activation + EXTRA_BITS).min(MOST_BITS)
    }

    /// Calibrated range of an output of the node.
    fn range(&self, slot: usize) -> (f64, f64) {
        self.c.range_of(OutletId::new(self.node.id, slot))
    }

    /// A state whose values reach `top`, with its initial value from input `i`.
    fn state(&mut self, i: usize, top: f64, bits: u32) -> Result<State> {
        let (lo, hi) = bounds(bits);
        let fixed = Fixed { bits, exponent: fit_exponent(top, hi as f64 + 0.5) };
        let init = self.initial(i, fixed.exponent)?;
        let name = self.c.name.clone();
        let delay = self.c.g.delay(&name, init, 0, self.shape[0], (lo, hi))?;
        Ok(State { delay, fixed })
    }

    /// Largest magnitude of a state: one where functions bound it, calibrated with its initial values otherwise.
    fn top(&self, slot: usize, bounded: bool, initial: Option<usize>) -> Result<f64> {
        let seen = |r: (f64, f64)| r.1.max(-r.0);
        let first = match initial.map(|i| self.c.input(self.node, i)).transpose()? {
            Some(Value::Const(t)) => floats(&t)?.iter().fold(0.0f64, |m, v| m.max(v.abs())),
            Some(Value::Lazy(l)) => seen(l.range),
            None => 0.0,
        };
        let floor = if bounded { 1.0 } else { seen(self.range(slot)) * HEADROOM * self.c.headroom };
        Ok(floor.max(if first > 1.0 || !bounded { first * HEADROOM } else { 0.0 }))
    }

    /// An initial state in a given unit, `[1, N, H]`.
    fn initial(&mut self, i: usize, e: i32) -> Result<NodeId> {
        let (n, u) = (self.shape[1], self.shape[2]);
        let largest = |top: f64| -> Result<i32> {
            let bits = (top / unit(e)).max(1.0).log2().floor() as i32 + 2;
            if bits <= INITIAL_BITS {
                return Ok(bits.max(2));
            }
            Err(ImportError::unsupported(format!("an initial state of {top:e}, far beyond all later ones")))
        };
        let shape = [1, n, u];
        match self.c.input(self.node, i)? {
            Value::Const(t) => {
                let values = floats(&t)?;
                let bits = largest(values.iter().fold(0.0f64, |m, v| m.max(v.abs())))?;
                let data = values.iter().map(|v| to_int(v / unit(e))).collect::<Result<Vec<_>>>()?;
                if data.len() != n * u {
                    return Err(ImportError::unsupported(format!("an initial state of shape {:?}", t.shape())));
                }
                self.c.weight(&format!("initial{i}"), &shape, bits as u32, data)
            }
            Value::Lazy(l) => {
                let root = self.c.materialize(&l)?;
                if self.c.shape(root.node) != shape {
                    return Err(ImportError::unsupported(format!(
                        "an initial state of shape {:?}",
                        self.c.shape(root.node)
                    )));
                }
                let bits = largest(l.range.1.max(-l.range.0) * HEADROOM * self.c.headroom)?;
                let (node, scale) = self.power_of_two(root, e)?;
                let half = 1i64 << (bits - 1);
                self.round(node, scale, e, (-half, half - 1))
            }
        }
    }

    /// The node with a power of two as its unit, no coarser than `2^-e`.
    fn power_of_two(&mut self, root: Root, e: i32) -> Result<(NodeId, f64)> {
        let power = root.scale.log2();
        let exact = (power - power.round()).abs() < 1e-12;
        let finer = if exact { power.round() } else { power.floor() - f64::from(ALIGN_BITS) };
        let scale = finer.min(f64::from(-e)).exp2();
        let factor = to_int(root.scale / scale)?;
        Ok((self.c.linear(&[(root.node, factor)], 0)?, scale))
    }

    /// Rounds to units of `2^-e` and clamps. The scale is a power of two.
    fn round(&mut self, node: NodeId, scale: f64, e: i32, (lo, hi): (i64, i64)) -> Result<NodeId> {
        let shift = (unit(e) / scale).log2().round();
        if !(0.0..=40.0).contains(&shift) {
            return Err(ImportError::unsupported(format!("a state in units of {:e}, computed in {scale:e}", unit(e))));
        }
        let out = self.c.clamp(node, shift as u32, (lo, hi))?;
        self.c.limits.insert(out, (lo, hi));
        Ok(out)
    }

    /// What a sum becomes as a state.
    fn settle(&mut self, state: &State, sum: Root, label: &str) -> Result<NodeId> {
        self.labelled(label, |s| {
            let (node, scale) = s.power_of_two(sum, state.fixed.exponent)?;
            s.round(node, scale, state.fixed.exponent, bounds(state.fixed.bits))
        })
    }

    /// Does something under a name of its own: the operator's, and a label.
    fn labelled<T>(&mut self, label: &str, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = self.c.name.clone();
        self.c.name = format!("{outer}.{label}");
        let out = f(self);
        self.c.name = outer;
        out
    }

    /// The product of `[T, N, H]` with rows `from..to` (in gates) of the recurrent weights.
    fn recurrent(&mut self, x: Root, from: usize, to: usize) -> Result<Root> {
        let [t, n, u] = self.shape;
        let weights = match self.c.input(self.node, 1)? {
            Value::Const(w) => {
                let part = w.slice(0, from * u, to * u).map_err(|e| ImportError::engine("reading a constant", &e))?;
                quantize_constant(self.c, &part, "recurrent", self.c.widths.weight)?
            }
            Value::Lazy(l) => {
                let root = self.c.operand(&l)?;
                let part = Window::slice(0, (from * u) as i64, 1, (to - from) * u);
                Root { node: self.c.push(Op::Window(part), &[root.node])?, ..root }
            }
        };
        let mut indices = Indices::default();
        let [t, n, k, j] = [t, n, u, (to - from) * u].map(|extent| indices.axis(extent));
        let op = Contraction {
            extents: indices.0,
            lhs: vec![t.clone(), n.clone(), k.clone()],
            rhs: vec![j.clone(), k],
            out: vec![t, n, j],
        };
        let node = self.c.push(Op::Contraction(op), &[x.node, weights.node])?;
        Ok(Root { node, scale: x.scale * weights.scale, range: (-1.0, 1.0) })
    }

    /// The sum of tensors, whose calibrated range is given.
    fn sum(&mut self, terms: &[(Root, i64)], range: (f64, f64)) -> Result<Root> {
        let (node, scale) = self.c.combine(terms)?;
        Ok(Root { node, scale, range })
    }

    /// Gates `from..to` of `[T, N, gates * H]`.
    fn part(&mut self, x: Root, from: usize, to: usize) -> Result<Root> {
        let u = self.shape[2];
        if self.c.shape(x.node)[2] == (to - from) * u {
            return Ok(x);
        }
        let window = Window::slice(2, (from * u) as i64, 1, (to - from) * u);
        Ok(Root { node: self.c.push(Op::Window(window), &[x.node])?, ..x })
    }

    fn times(&mut self, x: Root, y: Root) -> Result<Root> {
        let shape = self.shape;
        let (node, scale) = product(self.c, x, y, &shape)?;
        Ok(Root { node, scale, range: (-1.0, 1.0) })
    }

    /// Activation `k` of a sum, as a committed tensor.
    fn activate(&mut self, k: usize, x: Root, label: &str) -> Result<Root> {
        let top =
            self.op.activations[k].reach(x.range) * if self.op.activations[k].is_bounded() { 1.0 } else { HEADROOM };
        let bits = self.bits();
        let fixed = Fixed { bits, exponent: fit_exponent(top, bounds(bits).1 as f64 + 0.5) };
        self.activate_as(k, x, fixed, label)
    }

    fn activate_as(&mut self, k: usize, x: Root, fixed: Fixed, label: &str) -> Result<Root> {
        let expr = Expr::activation(self.op.activations[k]);
        let reach = self.op.activations[k].reach(x.range);
        let l = Lazy { root: x, expr, form: Form::General, range: (-reach, reach), outlet: None };
        self.labelled(label, |s| commit_fixed(s.c, &l, fixed))
    }

    fn rnn(&mut self, pre: Root) -> Result<Vec<(State, NodeId)>> {
        let bounded = self.op.activations[0].is_bounded();
        let top = self.top(0, bounded, (!bounded).then_some(2))?;
        let h = self.state(2, top, self.bits())?;
        let product = self.recurrent(h.root(self.range(0)), 0, 1)?;
        let sum = self.sum(&[(pre, 1), (product, 1)], self.range(1))?;
        let next = self.activate_as(0, sum, h.fixed, "state")?;
        Ok(vec![(h, next.node)])
    }

    fn lstm(&mut self, pre: Root, coupled: bool, peepholes: bool) -> Result<Vec<(State, NodeId)>> {
        let gates_bounded = self.op.activations[0].is_bounded();
        let bounded = gates_bounded && self.op.activations[2].is_bounded();
        let (h_top, c_top) = (self.top(0, bounded, (!bounded).then_some(2))?, self.top(1, false, Some(3))?);
        let h = self.state(2, h_top, self.bits())?;
        let memory = self.state(3, c_top, self.bits() + MEMORY_BITS)?;
        let before = memory.root(self.range(1));
        let product = self.recurrent(h.root(self.range(0)), 0, 4)?;
        let all = self.sum(&[(pre, 1), (product, 1)], self.range(2))?;
        let gate = |s: &mut Self, k: usize, seen: Root| -> Result<Root> {
            let x = s.part(all, k, k + 1)?;
            let x = if peepholes { s.peep(x, k, seen)? } else { x };
            s.activate(0, x, ["input gate", "output gate", "forget gate"][k])
        };
        let input = gate(self, 0, before)?;
        let forget = if coupled {
            let one = to_int(1.0 / input.scale)?;
            Root { node: self.c.linear(&[(input.node, -1)], one)?, ..input }
        } else {
            gate(self, 2, before)?
        };
        let candidate = Root { range: self.range(3), ..self.part(all, 3, 4)? };
        let candidate = self.activate(1, candidate, "candidate")?;
        let (kept, added) = (self.times(forget, before)?, self.times(input, candidate)?);
        let sum = self.sum(&[(kept, 1), (added, 1)], self.range(1))?;
        let next = self.settle(&memory, sum, "memory")?;
        let now = Root { node: next, ..before };
        let output = gate(self, 1, now)?;
        let shown = self.activate(2, now, "shown memory")?;
        let out = self.times(output, shown)?;
        let next_h = self.settle(&h, out, "state")?;
        Ok(vec![(h, next_h), (memory, next)])
    }

    /// Adds peephole `k` times the memory.
    fn peep(&mut self, x: Root, k: usize, memory: Root) -> Result<Root> {
        let u = self.shape[2];
        let Value::Const(all) = self.c.input(self.node, 4)? else {
            return Err(ImportError::unsupported("peepholes must be constant"));
        };
        let part = all.slice(0, k * u, (k + 1) * u).and_then(|t| t.into_shape(&[1, 1, u]));
        let part = part.map_err(|e| ImportError::engine("reading a constant", &e))?;
        let weights = quantize_constant(self.c, &part, "peephole", self.c.widths.weight)?;
        let term = self.times(memory, weights)?;
        self.sum(&[(x, 1), (term, 1)], x.range)
    }

    fn gru(&mut self, pre: Root, reset_after: bool) -> Result<Vec<(State, NodeId)>> {
        // The new state lies between the old one and the candidate.
        let bounded = self.op.activations.iter().all(super::Activation::is_bounded);
        let top = self.top(0, bounded, Some(2))?;
        let h = self.state(2, top, self.bits())?;
        let before = h.root(self.range(0));
        let product = self.recurrent(before, 0, 2)?;
        let gates = self.part(pre, 0, 2)?;
        let gates = self.sum(&[(gates, 1), (product, 1)], self.range(1))?;
        let (update, reset) = (self.part(gates, 0, 1)?, self.part(gates, 1, 2)?);
        let (update, reset) = (self.activate(0, update, "update gate")?, self.activate(0, reset, "reset gate")?);
        let inner = self.part(pre, 2, 3)?;
        let term = if reset_after {
            let q = self.recurrent(before, 2, 3)?;
            let q = self.inner_bias(q)?;
            let q = self.commit(q, self.range(3), "product before the reset")?;
            self.times(reset, q)?
        } else {
            let seen = self.times(reset, before)?;
            let seen = Root {
                node: self.settle(&h, seen, "reset state")?,
                scale: unit(h.fixed.exponent),
                range: self.range(3),
            };
            self.recurrent(seen, 2, 3)?
        };
        let sum = self.sum(&[(inner, 1), (term, 1)], self.range(2))?;
        let candidate = self.activate(1, sum, "candidate")?;
        // candidate + update (before - candidate)
        let difference = self.sum(&[(before, 1), (candidate, -1)], (-2.0, 2.0))?;
        let moved = self.times(update, difference)?;
        let sum = self.sum(&[(candidate, 1), (moved, 1)], self.range(0))?;
        let next = self.settle(&h, sum, "state")?;
        Ok(vec![(h, next)])
    }

    fn inner_bias(&mut self, q: Root) -> Result<Root> {
        let Value::Const(bias) = self.c.input(self.node, 3)? else {
            return Err(ImportError::unsupported("the bias of a recurrent cell must be constant"));
        };
        let (node, scale) = add_constant(self.c, q.node, q.scale, &floats(&bias)?, &[1, 1, self.shape[2]])?;
        Ok(Root { node, scale, ..q })
    }

    /// A sum as a committed tensor, for a product.
    fn commit(&mut self, x: Root, range: (f64, f64), label: &str) -> Result<Root> {
        let bits = self.bits();
        let top = range.1.max(-range.0) * HEADROOM * self.c.headroom;
        let e = fit_exponent(top, bounds(bits).1 as f64 + 0.5);
        self.labelled(label, |s| {
            let (node, scale) = s.power_of_two(x, e)?;
            Ok(Root { node: s.round(node, scale, e, bounds(bits))?, scale: unit(e), range })
        })
    }
}
