//! Operators of the integer graph, one file each.
//!
//! Every file is headed: statement, shapes, pullback, lookups, soundness, reference. To add an operator, write its file,
//! add a variant to [`Op`] and its line to each `match` below; nothing else knows the list.

pub mod advice;
pub mod axis_scale;
pub mod concat;
pub mod contraction;
pub mod delay;
pub mod divide;
mod dot;
pub mod gather;
pub mod linear;
pub mod lookup;
pub mod remap;
pub mod reshape;
pub mod root;
pub mod source;
pub mod transpose;
pub mod window;

use crate::{error::GraphError, functional::Functional, interval::Interval, ring::Ring, table::Table, tensor::Tensor};
use serde::{Deserialize, Serialize};

pub use axis_scale::AxisScale;
pub use concat::Concat;
pub use contraction::{AxisExpr, Contraction, Indices};
pub use delay::Delay;
pub use divide::Divide;
pub use gather::Gather;
pub use linear::Linear;
pub use lookup::Lookup;
pub use remap::Remap;
pub use reshape::Reshape;
pub use root::Root;
pub use source::{Input, Weight};
pub use transpose::Transpose;
pub use window::Window;

/// What an operator is to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpClass {
    /// Its output is committed; a claim on it goes to the opening.
    Committed,
    /// A claim on its output is rewritten as claims on its inputs, without interaction.
    Linear,
    /// A claim on its output needs one instance of the bilinear sumcheck.
    Bilinear,
}

/// An operator with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Op {
    Input(Input),
    Weight(Weight),
    Reshape(Reshape),
    Transpose(Transpose),
    Window(Window),
    AxisScale(AxisScale),
    Linear(Linear),
    Concat(Concat),
    Contraction(Contraction),
    Lookup(Lookup),
    Delay(Delay),
    Divide(Divide),
    Root(Root),
    Remap(Remap),
    Gather(Gather),
}

/// One piece of a pulled-back claim: `coefficient * <input, functional>`; the coefficient `None` is one.
#[derive(Clone, Debug)]
pub struct Piece<E> {
    /// Which input of the node.
    pub input: usize,
    /// The coefficient, an integer.
    pub coefficient: i64,
    /// The functional on that input.
    pub functional: Functional<E>,
}

/// A claim carried through a linear operator: `<out, w> = sum of pieces + constant`.
#[derive(Clone, Debug)]
pub struct LinearPullback<E> {
    /// The pieces.
    pub pieces: Vec<Piece<E>>,
    /// The part that depends on no input.
    pub constant: Option<E>,
}

impl<E> LinearPullback<E> {
    /// A claim with one piece, of coefficient one.
    pub fn one(functional: Functional<E>) -> Self {
        Self { pieces: vec![Piece { input: 0, coefficient: 1, functional }], constant: None }
    }
}

impl Op {
    /// The operator's name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input(_) => "Input",
            Self::Weight(_) => "Weight",
            Self::Reshape(_) => "Reshape",
            Self::Transpose(_) => "Transpose",
            Self::Window(_) => "Window",
            Self::AxisScale(_) => "AxisScale",
            Self::Linear(_) => "Linear",
            Self::Concat(_) => "Concat",
            Self::Contraction(_) => "Contraction",
            Self::Lookup(_) => "Lookup",
            Self::Delay(_) => "Delay",
            Self::Divide(_) => "Divide",
            Self::Root(_) => "Root",
            Self::Remap(_) => "Remap",
            Self::Gather(_) => "Gather",
        }
    }

    /// What the operator is to the protocol.
    pub fn class(&self) -> OpClass {
        match self {
            Self::Input(_) | Self::Weight(_) | Self::Lookup(_) | Self::Divide(_) | Self::Root(_) | Self::Gather(_) => {
                OpClass::Committed
            }
            Self::Contraction(_) => OpClass::Bilinear,
            _ => OpClass::Linear,
        }
    }

    /// The shape of the output; checks the parameters against the inputs' shapes (a delay's: of its initial state alone).
    pub fn infer(&self, inputs: &[&[usize]], tables: &[Table]) -> Result<Vec<usize>, GraphError> {
        let arity = |n: usize| {
            if inputs.len() == n { Ok(()) } else { Err(GraphError::Arity { expected: n, got: inputs.len() }) }
        };
        match self {
            Self::Input(op) => arity(0).and_then(|()| op.infer()),
            Self::Weight(op) => arity(0).and_then(|()| op.infer()),
            Self::Reshape(op) => arity(1).and_then(|()| op.infer(inputs[0])),
            Self::Transpose(op) => arity(1).and_then(|()| op.infer(inputs[0])),
            Self::Window(op) => arity(1).and_then(|()| op.infer(inputs[0])),
            Self::AxisScale(op) => arity(1).and_then(|()| op.infer(inputs[0])),
            Self::Linear(op) => arity(op.coefficients.len()).and_then(|()| op.infer(inputs)),
            Self::Concat(op) => op.infer(inputs),
            Self::Contraction(op) => arity(2).and_then(|()| op.infer(inputs[0], inputs[1])),
            Self::Lookup(op) => arity(1).and_then(|()| op.infer(inputs[0], tables)),
            // Of a delay only the initial state is known yet.
            Self::Delay(op) => arity(1).and_then(|()| op.infer(inputs[0])),
            Self::Divide(op) => arity(2).and_then(|()| op.infer(inputs[0], inputs[1])),
            Self::Root(_) => arity(1).map(|()| inputs[0].to_vec()),
            Self::Remap(op) => arity(1).and_then(|()| op.infer(inputs[0])),
            Self::Gather(op) => arity(2).and_then(|()| op.infer(inputs[0], inputs[1])),
        }
    }

    /// Worst-case interval of the output, from what is proven of the inputs (a delay's: of its initial state alone). The inputs'
    /// shapes have passed [`Self::infer`].
    pub fn range(&self, inputs: &[Interval], shapes: &[&[usize]], tables: &[Table]) -> Result<Interval, GraphError> {
        match self {
            Self::Input(op) => Ok(op.range()),
            Self::Weight(op) => Ok(op.range()),
            Self::Reshape(_) | Self::Transpose(_) => Ok(inputs[0]),
            Self::Window(op) => op.range(inputs[0], shapes[0][op.axis]),
            Self::AxisScale(op) => op.range(inputs[0]),
            Self::Linear(op) => op.range(inputs),
            Self::Concat(_) => Ok(inputs.iter().copied().reduce(Interval::union).unwrap_or(Interval { lo: 0, hi: 0 })),
            Self::Contraction(op) => op.range(inputs[0], inputs[1]),
            Self::Lookup(op) => op.range(inputs[0], tables),
            Self::Delay(op) => Ok(op.range(inputs[0])),
            Self::Divide(op) => op.range(inputs[0], inputs[1]),
            Self::Root(op) => op.range(inputs[0]),
            Self::Remap(op) => op.range(inputs[0]),
            Self::Gather(op) => op.range(inputs[0]),
        }
    }

    /// The output values. Sources have none: the interpreter supplies them.
    pub fn eval(&self, inputs: &[&Tensor], shape: &[usize], tables: &[Table]) -> Result<Tensor, GraphError> {
        match self {
            Self::Input(_) | Self::Weight(_) => {
                Err(GraphError::Parameter("a source has no inputs to compute from".to_owned()))
            }
            Self::Reshape(_) => Ok(Tensor { shape: shape.to_vec(), data: inputs[0].data.clone() }),
            Self::Transpose(op) => Ok(op.eval(inputs[0], shape)),
            Self::Window(op) => Ok(op.eval(inputs[0], shape)),
            Self::AxisScale(op) => Ok(op.eval(inputs[0])),
            Self::Linear(op) => Ok(op.eval(inputs, shape)),
            Self::Concat(op) => Ok(op.eval(inputs, shape)),
            Self::Contraction(op) => Ok(op.eval(inputs[0], inputs[1], shape)),
            Self::Lookup(op) => op.eval(inputs[0], tables),
            Self::Delay(op) => Ok(op.eval(inputs[0], inputs[1], shape)),
            Self::Divide(op) => op.eval(inputs[0], inputs[1]),
            Self::Root(op) => op.eval(inputs[0]),
            Self::Remap(op) => Ok(op.eval(inputs[0], shape)),
            Self::Gather(op) => op.eval(inputs[0], inputs[1], shape),
        }
    }

    /// Carries a claim through a linear operator.
    pub fn pullback<E: Ring>(
        &self,
        inputs: &[&[usize]],
        shape: &[usize],
        f: &Functional<E>,
    ) -> Result<LinearPullback<E>, GraphError> {
        match self {
            Self::Reshape(_) => reshape::pullback(inputs[0], shape, f),
            Self::Transpose(op) => Ok(op.pullback(f)),
            Self::Window(op) => op.pullback(inputs[0], shape, f),
            Self::AxisScale(op) => op.pullback(shape, f),
            Self::Linear(op) => Ok(op.pullback(f)),
            Self::Concat(op) => op.pullback(inputs, shape, f),
            Self::Delay(op) => op.pullback(shape, f),
            Self::Remap(op) => op.pullback(inputs[0], shape, f),
            _ => Err(GraphError::Pullback(format!("{} is not linear", self.name()))),
        }
    }

    /// The range checks that pin down the output of an operator that commits advice, from the worst cases of its inputs;
    /// `None` for other operators.
    pub fn checks(&self, inputs: &[Interval]) -> Result<Option<Vec<advice::RangeCheck>>, GraphError> {
        match (self, inputs) {
            (Self::Divide(op), [a, b]) => op.checks(*a, *b).map(Some),
            (Self::Root(op), [v]) => op.checks(*v).map(Some),
            (Self::Divide(_) | Self::Root(_), _) => Err(GraphError::Arity { expected: 1, got: inputs.len() }),
            _ => Ok(None),
        }
    }

    /// Steps that the pullback of a window or a remap takes: weights times entries for each; zero for other operators.
    pub(crate) fn window_steps<E: Ring>(&self, f: &Functional<E>) -> u64 {
        match self {
            Self::Window(op) => {
                let weights = f.factor_of(op.axis).and_then(|(i, _)| f.factors.get(i)).map_or(0, |x| x.weights.len());
                (weights as u64).saturating_mul(op.kernel as u64)
            }
            Self::Remap(op) => {
                let weights = f.factor_of(op.axis).and_then(|(i, _)| f.factors.get(i)).map_or(0, |x| x.weights.len());
                let around = weights as u64 / op.rows.len().max(1) as u64;
                around.saturating_mul(op.entries() as u64)
            }
            _ => 0,
        }
    }

    /// The operator on tensors that have one more axis, in front (`constant[i]`: input `i` has not got it).
    pub fn batched(&self, batch: usize, constant: &[bool]) -> Result<Self, GraphError> {
        Ok(match self {
            Self::Input(op) => Self::Input(op.batched(batch)),
            Self::Weight(op) => Self::Weight(op.clone()),
            Self::Reshape(op) => Self::Reshape(op.batched(batch)),
            Self::Transpose(op) => Self::Transpose(op.batched()),
            Self::Window(op) => Self::Window(Window { axis: op.axis + 1, ..op.clone() }),
            Self::AxisScale(op) => Self::AxisScale(AxisScale { axis: op.axis + 1, factors: op.factors.clone() }),
            Self::Linear(op) => Self::Linear(op.clone()),
            Self::Concat(op) => Self::Concat(Concat { axis: op.axis + 1 }),
            Self::Contraction(op) => Self::Contraction(op.batched(
                batch,
                constant.first().copied().unwrap_or(false),
                constant.get(1).copied().unwrap_or(false),
            )),
            Self::Lookup(op) => Self::Lookup(op.clone()),
            Self::Delay(op) => Self::Delay(Delay { axis: op.axis + 1, ..op.clone() }),
            Self::Divide(op) => Self::Divide(op.clone()),
            Self::Root(op) => Self::Root(op.clone()),
            Self::Remap(op) => Self::Remap(Remap { axis: op.axis + 1, rows: op.rows.clone() }),
            // A table that all samples share stays as it is.
            Self::Gather(op) => {
                let shared = op.leading == 0 && constant.first().copied().unwrap_or(false);
                Self::Gather(Gather { leading: op.leading + usize::from(!shared) })
            }
        })
    }
}
