//! The state of lowering: float tensors as integer nodes with scales, materialized only when an operator needs them.

use super::{
    calibrate::Stats,
    error::ImportError,
    expr::{Expr, Form},
    fineness::Fineness,
    load::FloatModel,
    matrices::Matrix,
    own::Column,
    rounded::Rounded,
    tables::{Function, Plan, Request, Requests},
};
use crate::{
    graph::{GraphBuilder, NodeId},
    ops::{Lookup, Op, OpClass},
    table::{Table, TableId},
    tensor::{Tensor, element_count},
};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};
use tract_onnx::prelude::{DatumType, OutletId, TypedModel, TypedNode};

/// Widths used by one compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Widths {
    pub(crate) weight: u32,
    pub(crate) activation: u32,
    pub(crate) limb: u32,
}

/// Width of additive constants (biases).
pub(crate) const BIAS_BITS: u32 = 16;
/// Units that an offset may have where it is added exactly; beyond, the tensor is rounded first.
pub(crate) const MAX_OFFSET: f64 = (1u64 << 46) as f64;
/// Bits that fine tensors have beyond the others.
const FINER: u32 = 3;
/// Most bits of a fine tensor, unless all others have more.
const FINE_BITS: u32 = 16;

impl Widths {
    /// Width of what is normalized, of what is added to again and again, and of exponents: what is small beside an outlier there
    /// may be large afterwards.
    pub(crate) fn fine(self) -> u32 {
        (self.activation + FINER).min(FINE_BITS).max(self.activation)
    }
}

/// An integer node read as floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    /// The node.
    pub(crate) node: NodeId,
    /// `float = integer * scale`, positive.
    pub(crate) scale: f64,
    /// Calibrated range of the floats.
    pub(crate) range: (f64, f64),
}

/// A tensor that is a pointwise function of an integer node.
#[derive(Clone, Debug)]
pub(crate) struct Lazy {
    /// The node.
    pub(crate) root: Root,
    /// The function.
    pub(crate) expr: Rc<Expr>,
    /// What is known of the function.
    pub(crate) form: Form,
    /// Calibrated range of the result.
    pub(crate) range: (f64, f64),
    /// The tract outlet that has this value, if one has.
    pub(crate) outlet: Option<OutletId>,
}

impl Lazy {
    /// The node itself.
    pub(crate) fn of(root: Root) -> Self {
        Self { root, expr: Expr::root(), form: Form::identity(), range: root.range, outlet: None }
    }
}

/// The value of a tract outlet.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Known at compile time.
    Const(tract_onnx::prelude::Arc<tract_onnx::prelude::Tensor>),
    /// Depends on the inputs.
    Lazy(Lazy),
}

/// What has been lowered so far.
pub(crate) struct Lowering<'a> {
    pub(crate) source: &'a FloatModel,
    pub(crate) model: &'a TypedModel,
    pub(crate) stats: &'a Stats,
    pub(crate) widths: Widths,
    pub(crate) plan: &'a Plan,
    /// Weights that earlier lowerings of the model rounded.
    pub(crate) rounded: &'a Rounded,
    pub(crate) g: GraphBuilder,
    pub(crate) weights: Vec<Rc<Tensor>>,
    pub(crate) values: HashMap<OutletId, Value>,
    /// Nodes folded into an earlier one.
    pub(crate) skip: HashSet<usize>,
    pub(crate) requests: Requests,
    /// Integer nodes that stand for a tract outlet, with their scale: for the report.
    pub(crate) traces: Vec<(OutletId, NodeId, f64)>,
    /// Keys beyond which a lookup's result is not the function's, for want of bits.
    pub(crate) limits: HashMap<NodeId, (i64, i64)>,
    /// Room above the calibrated range of a committed tensor, as a factor of at least one.
    pub(crate) headroom: f64,
    /// Name of the node being lowered.
    pub(crate) name: String,
    /// Integer nodes whose values, times their scale, are exactly those of an integer or boolean tensor.
    pub(crate) exact: HashSet<NodeId>,
    /// Inputs that hold what a quantized model's first operator makes of the floats, less its zero point.
    pub(crate) quantized: HashSet<NodeId>,
    /// Tensors with steps of their own for each column, which only trees read.
    pub(crate) tabular: HashMap<NodeId, Vec<Column>>,
    committed: HashMap<(NodeId, *const Expr), (Rc<Expr>, Root)>,
    /// Tables of clamps: by least and largest value, smallest key, log2 of the number of keys.
    clamps: HashMap<(i64, i64, i64, usize), TableId>,
    /// Steps that normalizations ask for.
    pub(crate) fineness: &'a Fineness,
    /// The least sum of squares of a row that is not constant.
    pub(crate) least_squares: HashMap<NodeId, f64>,
    /// The integers that maxima and minima were taken of, by their outlet.
    pub(crate) extrema: HashMap<OutletId, Root>,
    /// Sums with a mask that depends on the inputs.
    pub(crate) masked: HashSet<NodeId>,
    /// Matrices among the weights that are worth finding again.
    pub(crate) matrices: Vec<Matrix>,
}

pub(crate) type Result<T> = std::result::Result<T, ImportError>;

impl<'a> Lowering<'a> {
    pub(crate) fn new(
        source: &'a FloatModel,
        model: &'a TypedModel,
        stats: &'a Stats,
        widths: Widths,
        plan: &'a Plan,
        rounded: &'a Rounded,
    ) -> Self {
        Self {
            source,
            model,
            stats,
            widths,
            plan,
            rounded,
            g: GraphBuilder::new(widths.limb),
            weights: vec![],
            values: HashMap::new(),
            skip: HashSet::new(),
            requests: Requests::new(),
            traces: vec![],
            limits: HashMap::new(),
            headroom: 1.0,
            name: String::new(),
            exact: HashSet::new(),
            quantized: HashSet::new(),
            tabular: HashMap::new(),
            committed: HashMap::new(),
            clamps: HashMap::new(),
            fineness: stats.fineness(model),
            least_squares: HashMap::new(),
            extrema: HashMap::new(),
            masked: HashSet::new(),
            matrices: vec![],
        }
    }

    /// Value of input `i` of a node.
    pub(crate) fn input(&self, node: &TypedNode, i: usize) -> Result<Value> {
        let outlet = node.inputs.get(i).ok_or_else(|| ImportError::unsupported(format!("it has no input {i}")))?;
        let value = self.values.get(outlet).cloned();
        value.ok_or_else(|| ImportError::unsupported(format!("its input {i} has no value")))
    }

    /// Input `i` of a node, which must depend on the model's inputs.
    pub(crate) fn lazy(&self, node: &TypedNode, i: usize) -> Result<Lazy> {
        match self.input(node, i)? {
            Value::Lazy(l) => Ok(l),
            Value::Const(_) => Err(ImportError::unsupported(format!("its input {i} is a constant"))),
        }
    }

    /// Shape of an integer node.
    pub(crate) fn shape(&self, id: NodeId) -> Vec<usize> {
        self.g.node(id).shape.clone()
    }

    /// Shape of the tract node's output `o`.
    pub(crate) fn out_shape(&self, node: &TypedNode, o: usize) -> Vec<usize> {
        node.outputs[o].fact.shape.as_concrete().map(<[usize]>::to_vec).unwrap_or_default()
    }

    /// Calibrated range of an outlet.
    pub(crate) fn range_of(&self, outlet: OutletId) -> (f64, f64) {
        self.stats.range(outlet)
    }

    /// An integer node as the value of output 0 of a tract node.
    pub(crate) fn result(&mut self, outlet: OutletId, node: NodeId, scale: f64) -> Value {
        let range = self.range_of(outlet);
        self.traces.push((outlet, node, scale));
        let mut l = Lazy { outlet: Some(outlet), ..Lazy::of(Root { node, scale, range }) };
        if let Some(kind) = self.integer(outlet) {
            self.exact.insert(node);
            l.expr = Expr::root_of(kind);
        }
        Value::Lazy(l)
    }

    /// The type of an outlet, if it is one of integers or booleans: such tensors are never rounded.
    pub(crate) fn integer(&self, outlet: OutletId) -> Option<DatumType> {
        let kind = self.model.nodes()[outlet.node].outputs[outlet.slot].fact.datum_type;
        (!kind.is_float()).then_some(kind)
    }

    /// Whether a tensor is one of integers or booleans.
    pub(crate) fn is_integer(&self, l: &Lazy) -> bool {
        l.outlet.is_some_and(|o| self.integer(o).is_some())
    }

    /// Adds an integer node, named after the node being lowered.
    pub(crate) fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let name = self.name.clone();
        Ok(self.g.push(&name, op, inputs)?)
    }

    /// Adds a combination; a trivial one is the node itself.
    pub(crate) fn linear(&mut self, terms: &[(NodeId, i64)], offset: i64) -> Result<NodeId> {
        if let [(id, 1)] = terms
            && offset == 0
        {
            return Ok(*id);
        }
        let name = self.name.clone();
        Ok(self.g.linear(&name, terms, offset)?)
    }

    /// Adds a weight tensor; of equal large matrices one is held.
    pub(crate) fn weight(&mut self, suffix: &str, shape: &[usize], bits: u32, data: Vec<i64>) -> Result<NodeId> {
        element_count(shape)?;
        self.shared_weight(suffix, bits, Rc::new(Tensor::new(shape.to_vec(), data)?))
    }

    /// [`Self::weight`] of a tensor that other lowerings of the model have too.
    pub(crate) fn shared_weight(&mut self, suffix: &str, bits: u32, data: Rc<Tensor>) -> Result<NodeId> {
        let name = format!("{}.{suffix}", self.name);
        match *data.shape {
            [rows, columns] => super::matrices::matrix(self, &name, [rows, columns], bits, data),
            _ => self.new_weight(&name, bits, data),
        }
    }

    /// Adds a weight tensor as it is.
    pub(crate) fn new_weight(&mut self, name: &str, bits: u32, data: Rc<Tensor>) -> Result<NodeId> {
        let id = self.g.weight(name, &data.shape, bits)?;
        self.weights.push(data);
        Ok(id)
    }

    /// The tensor as a linear view of committed tensors and contractions: no lookup where the function is affine.
    pub(crate) fn materialize(&mut self, l: &Lazy) -> Result<Root> {
        self.materialize_within(l, 46)
    }

    /// [`Self::materialize`], committing a tensor whose worst case needs more than `bits` bits: a long chain of linear
    /// operators must not use up the range in which arithmetic is exact.
    pub(crate) fn materialize_within(&mut self, l: &Lazy, bits: u32) -> Result<Root> {
        let range = self.g.node(l.root.node).range;
        // An offset of very many units is as bad.
        let near = |a: f64, b: f64| b == 0.0 || (b / (a * l.root.scale)).abs() < MAX_OFFSET;
        let Some((a, b)) = l.form.affine().filter(|(a, b)| (range.hi - range.lo) >> bits == 0 && near(*a, *b)) else {
            return self.commit(l);
        };
        let scale = (a * l.root.scale).abs();
        let sign = if a < 0.0 { -1 } else { 1 };
        if b == 0.0 {
            let node = self.linear(&[(l.root.node, sign)], 0)?;
            return Ok(Root { node, scale, range: l.range });
        }
        // The offset is rounded to an eighth of a unit of a committed tensor; accumulators are fine enough, and whole units are
        // exact.
        let up = if self.g.node(l.root.node).bilinear || (b / scale).fract() == 0.0 { 0 } else { 3 };
        let scale = scale / f64::from(1 << up);
        let node = self.linear(&[(l.root.node, sign << up)], to_int(b / scale)?)?;
        if self.exact.contains(&l.root.node) && self.is_integer(l) {
            self.exact.insert(node);
        }
        Ok(Root { node, scale, range: l.range })
    }

    /// The tensor as an operand of a contraction: linear in committed tensors, and of a moderate width.
    pub(crate) fn operand(&mut self, l: &Lazy) -> Result<Root> {
        self.operand_within(l, self.widths.activation)
    }

    /// [`Self::operand`] with a width of its own for a tensor that has to be committed.
    pub(crate) fn operand_within(&mut self, l: &Lazy, bits: u32) -> Result<Root> {
        let node = self.g.node(l.root.node);
        let width = node.range.hi - node.range.lo;
        let wanted = self.fine_bits(l, bits);
        let room = match self.exact.contains(&l.root.node) {
            true => 24,
            // Sums of squares, and their roots, must stay within the range in which arithmetic is exact.
            false if wanted > bits => (wanted + 7).min(25),
            false => bits + 7,
        };
        let wide = width >> room != 0;
        if l.form.affine().is_none() || node.bilinear || wide {
            self.commit_within(l, bits)
        } else {
            self.materialize(l)
        }
    }

    /// The tensor as a committed one of the activation width, by one lookup unless it is committed already.
    pub(crate) fn commit(&mut self, l: &Lazy) -> Result<Root> {
        self.commit_within(l, self.widths.activation)
    }

    /// The width of a tensor, or more where a normalization asks for it.
    fn fine_bits(&self, l: &Lazy, bits: u32) -> u32 {
        l.outlet.map_or(bits, |o| self.fineness.bits(o, l.range, bits))
    }

    /// [`Self::commit`] in a width of its own, where it is not committed already.
    pub(crate) fn commit_within(&mut self, l: &Lazy, bits: u32) -> Result<Root> {
        let bits = self.fine_bits(l, bits);
        let is_committed = self.g.node(l.root.node).op.class() == OpClass::Committed;
        if let (true, Some((a, b))) = (is_committed, l.form.affine())
            && a > 0.0
            && b == 0.0
        {
            return Ok(Root { scale: a * l.root.scale, ..l.root });
        }
        let key = (l.root.node, Rc::as_ptr(&l.expr));
        if let Some((_, root)) = self.committed.get(&key) {
            return Ok(*root);
        }
        let outer = self.name.clone();
        if let Some(o) = l.outlet {
            self.name = self.display_name(o.node);
        }
        let root = super::requantize::commit(self, l, bits)?;
        self.name = outer;
        if let Some(o) = l.outlet {
            self.traces.push((o, root.node, root.scale));
        }
        if self.is_integer(l) {
            self.exact.insert(root.node);
        }
        self.committed.insert(key, (l.expr.clone(), root));
        Ok(root)
    }

    /// The name that people know a tract node by.
    pub(crate) fn display_name(&self, node: usize) -> String {
        let name = &self.model.nodes()[node].name;
        self.source.origin(name, "").0.to_owned()
    }

    /// Adds a lookup of a shared function.
    pub(crate) fn lookup(&mut self, node: NodeId, shift: u32, f: &Function<'_>) -> Result<NodeId> {
        let n = self.g.node(node);
        let elements: usize = n.shape.iter().product();
        let worst = n.range.round_shift(shift);
        let table = self.plan.table(f, node, worst, elements, &mut self.requests)?;
        let name = self.name.clone();
        Ok(self.g.lookup(&name, node, shift, table)?)
    }

    /// Adds a lookup of `clamp(key, lo, hi)`. Most lookups of a network are of one or two of these, whose tables are made once.
    pub(crate) fn clamp(&mut self, node: NodeId, shift: u32, (lo, hi): (i64, i64)) -> Result<NodeId> {
        let n = self.g.node(node);
        let (worst, elements) = (n.range.round_shift(shift), n.shape.iter().product::<usize>() as u64);
        let name = if lo == 0 { format!("relu, at most {hi}") } else { format!("clamp to [{lo}, {hi}]") };
        let request = Request { worst, base: (lo, hi), elements };
        let (key_min, bits) = self.plan.keys((name.clone(), 0), node, request, &mut self.requests)?;
        let table = match self.clamps.get(&(lo, hi, key_min, bits)) {
            Some(known) => *known,
            None => {
                let made = Table::tabulate(&name, key_min, bits, |key| key.clamp(lo, hi) as i32);
                let id = self.g.table(made)?;
                self.clamps.insert((lo, hi, key_min, bits), id);
                id
            }
        };
        self.push(Op::Lookup(Lookup { table, shift }), &[node])
    }

    /// Brings tensors to one scale and adds them with signs.
    pub(crate) fn combine(&mut self, terms: &[(Root, i64)]) -> Result<(NodeId, f64)> {
        let scales: Vec<f64> = terms.iter().map(|(r, _)| r.scale).collect();
        let (unit, factors) = common_scale(&scales);
        let list: Vec<(NodeId, i64)> = terms.iter().zip(&factors).map(|((r, s), f)| (r.node, s * f)).collect();
        Ok((self.linear(&list, 0)?, unit))
    }

    /// Repeats axes of extent one, after putting axes of extent one in front, to reach a shape.
    pub(crate) fn broadcast(&mut self, node: NodeId, target: &[usize]) -> Result<NodeId> {
        let mut id = node;
        let mut shape = self.shape(id);
        if shape.len() < target.len() {
            let mut padded = vec![1; target.len() - shape.len()];
            padded.extend(&shape);
            id = self.push(Op::Reshape(crate::ops::Reshape { shape: padded.clone() }), &[id])?;
            shape = padded;
        }
        for (axis, (have, want)) in shape.iter().zip(target).enumerate() {
            if have == want {
                continue;
            }
            if *have != 1 {
                return Err(ImportError::unsupported(format!("shape {shape:?} does not broadcast to {target:?}")));
            }
            id = self.push(Op::Window(crate::ops::Window::broadcast(axis, *want)), &[id])?;
        }
        Ok(id)
    }
}

/// A unit and integer factors so that each scale is nearly `factor * unit`.
pub(crate) fn common_scale(scales: &[f64]) -> (f64, Vec<i64>) {
    let (lo, hi) = scales.iter().fold((f64::INFINITY, 0.0f64), |(l, h), s| (l.min(*s), h.max(*s)));
    let floor = lo.max(hi / f64::from(1u32 << 31));
    let whole = |unit: f64| {
        scales.iter().all(|s| {
            let r = s / unit;
            r >= 0.5 && (r - r.round()).abs() <= 1e-9 * r
        })
    };
    let unit = if whole(floor) { floor } else { floor / 1024.0 };
    (unit, scales.iter().map(|s| (s / unit).round() as i64).collect())
}

/// The nearest integer, where it fits.
pub(crate) fn to_int(v: f64) -> Result<i64> {
    let r = v.round();
    if r.abs() < 9e15 {
        Ok(r as i64)
    } else {
        Err(ImportError::unsupported(format!("a constant of {v:e} units; rescale the model")))
    }
}

/// Exponent `e` so that `max * 2^e` is at most `limit`; a tensor that was zero throughout calibration is taken to reach
/// one.
pub(crate) fn fit_exponent(max: f64, limit: f64) -> i32 {
    let max = if max > 0.0 && max.is_finite() { max } else { 1.0 };
    ((limit / max).log2().floor() as i32).clamp(-60, 60)
}
