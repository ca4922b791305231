//! Pointwise expressions: functions of one tensor, composed lazily so that a chain of them costs one lookup.

use super::{error::ImportError, own::Activation};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};
use tract_onnx::{
    prelude::*,
    tract_hir::{
        internal::{TypedOp, tvec},
        tract_core::ops::{binary::TypedBinOp, math},
    },
};

/// A function of one variable, as the tract operators that compute it.
#[derive(Debug)]
pub(crate) struct Expr {
    kind: Kind,
    digest: u64,
}

#[derive(Debug)]
enum Kind {
    Root(DatumType),
    Const(Arc<Tensor>),
    Apply(Box<dyn TypedOp>, Vec<Rc<Expr>>),
    Activation(Activation),
    Alias(Rc<Expr>),
}

impl Expr {
    /// The variable itself.
    pub(crate) fn root() -> Rc<Self> {
        Self::root_of(DatumType::F32)
    }

    /// The variable, of a type of its own.
    pub(crate) fn root_of(kind: DatumType) -> Rc<Self> {
        let digest = if kind == DatumType::F32 { 1 } else { hash(&format!("{kind:?}"), &[1]) };
        Rc::new(Self { kind: Kind::Root(kind), digest })
    }

    /// `max(f, 0)` of an expression of floats.
    pub(crate) fn relu(f: Rc<Self>) -> Result<Rc<Self>, ImportError> {
        let zero = Self::constant(&tensor0(0f32))?;
        Ok(Self::apply(Box::new(TypedBinOp(Box::new(math::Max), None)), vec![f, zero]))
    }

    /// An activation of a recurrent cell.
    pub(crate) fn activation(f: Activation) -> Rc<Self> {
        let digest = hash(&format!("{f:?}"), &[2]);
        Rc::new(Self { kind: Kind::Activation(f), digest })
    }

    /// A constant, of one entry.
    pub(crate) fn constant(value: &Tensor) -> Result<Rc<Self>, ImportError> {
        let one = |e: TractError| ImportError::engine("reading a constant", &e);
        let scalar = value.as_uniform().unwrap_or_else(|| value.clone()).into_shape(&[1]).map_err(one)?;
        let digest = hash(&format!("{scalar:?}"), &[]);
        Ok(Rc::new(Self { kind: Kind::Const(Arc::new(scalar)), digest }))
    }

    /// An operator applied to expressions of the same variable.
    pub(crate) fn apply(op: Box<dyn TypedOp>, args: Vec<Rc<Self>>) -> Rc<Self> {
        let digest = hash(&format!("{op:?}"), &args.iter().map(|a| a.digest).collect::<Vec<_>>());
        Rc::new(Self { kind: Kind::Apply(op, args), digest })
    }

    /// The same function, told apart by its address: it is committed for itself.
    pub(crate) fn alias(self: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self { kind: Kind::Alias(self.clone()), digest: self.digest })
    }

    /// Identifies the function: equal operators and constants have equal digests.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The function's values at the given points; booleans are 0 and 1.
    pub(crate) fn eval(self: &Rc<Self>, points: &[f32]) -> Result<Vec<f32>, ImportError> {
        let fail = |e: TractError| ImportError::engine("tabulating a function", &e);
        let root = Tensor::from_shape(&[points.len()], points).map_err(fail)?.into_tvalue();
        let mut done: HashMap<*const Self, TValue> = HashMap::new();
        let out = self.eval_in(&root, &mut done).map_err(fail)?;
        let out = out.cast_to::<f32>().map_err(fail)?;
        let out = out.to_plain_array_view::<f32>().map_err(fail)?;
        let mut values: Vec<f32> = out.iter().copied().collect();
        if values.len() == 1 {
            values.resize(points.len(), values[0]);
        }
        Ok(values)
    }

    fn eval_in(self: &Rc<Self>, root: &TValue, done: &mut HashMap<*const Self, TValue>) -> TractResult<TValue> {
        if let Some(v) = done.get(&Rc::as_ptr(self)) {
            return Ok(v.clone());
        }
        let value = match &self.kind {
            Kind::Root(kind) => root.cast_to_dt(*kind)?.into_owned().into_tvalue(),
            Kind::Const(t) => t.clone().into_tvalue(),
            Kind::Activation(f) => {
                let points = root.cast_to::<f32>()?;
                let values: Vec<f32> = points.to_plain_array_view::<f32>()?.iter().map(|x| f.at(*x)).collect();
                Tensor::from_shape(root.shape(), &values)?.into_tvalue()
            }
            Kind::Alias(of) => of.eval_in(root, done)?,
            Kind::Apply(op, args) => {
                let mut inputs = tvec!();
                for a in args {
                    inputs.push(a.eval_in(root, done)?);
                }
                let name = op.name();
                let out = op.eval_out_of_plan(super::arithmetic::comparable(name.as_ref(), inputs)?)?;
                out.and_then(|mut o| o.pop()).ok_or_else(|| TractError::msg(format!("{name} cannot be evaluated")))?
            }
        };
        done.insert(Rc::as_ptr(self), value.clone());
        Ok(value)
    }
}

fn hash(text: &str, parts: &[u64]) -> u64 {
    let mut h = DefaultHasher::new();
    text.hash(&mut h);
    parts.hash(&mut h);
    h.finish()
}

/// What is known of a pointwise function's shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// `clamp(a*x + b, lo, hi)` with `a != 0`; infinite bounds make it affine.
    Clamp {
        /// Slope.
        a: f64,
        /// Offset.
        b: f64,
        /// Lower bound.
        lo: f64,
        /// Upper bound.
        hi: f64,
    },
    /// Anything else.
    General,
}

impl Form {
    /// `x` itself.
    pub(crate) fn identity() -> Self {
        Self::Clamp { a: 1.0, b: 0.0, lo: f64::NEG_INFINITY, hi: f64::INFINITY }
    }

    /// Slope and offset, where the function is affine.
    pub(crate) fn affine(self) -> Option<(f64, f64)> {
        match self {
            Self::Clamp { a, b, lo, hi } if lo == f64::NEG_INFINITY && hi == f64::INFINITY => Some((a, b)),
            _ => None,
        }
    }

    /// The function times a constant.
    pub(crate) fn scale(self, m: f64) -> Self {
        match self {
            Self::Clamp { a, b, lo, hi } if m != 0.0 && m.is_finite() => {
                let (lo, hi) = if m > 0.0 { (lo * m, hi * m) } else { (hi * m, lo * m) };
                Self::Clamp { a: a * m, b: b * m, lo, hi }
            }
            _ => Self::General,
        }
    }

    /// The function plus a constant.
    pub(crate) fn shift(self, c: f64) -> Self {
        match self {
            Self::Clamp { a, b, lo, hi } => Self::Clamp { a, b: b + c, lo: lo + c, hi: hi + c },
            Self::General => Self::General,
        }
    }

    /// The larger of the function and a constant.
    pub(crate) fn at_least(self, c: f64) -> Self {
        match self {
            Self::Clamp { a, b, lo, hi } if c < hi => Self::Clamp { a, b, lo: lo.max(c), hi },
            _ => Self::General,
        }
    }

    /// The smaller of the function and a constant.
    pub(crate) fn at_most(self, c: f64) -> Self {
        match self {
            Self::Clamp { a, b, lo, hi } if c > lo => Self::Clamp { a, b, lo, hi: hi.min(c) },
            _ => Self::General,
        }
    }

    /// Sum (or with `sign` -1 difference) of two functions of the same variable.
    pub(crate) fn sum(self, other: Self, sign: f64) -> Self {
        match (self.affine(), other.affine()) {
            (Some((a, b)), Some((c, d))) if a + sign * c != 0.0 => {
                Self::Clamp { a: a + sign * c, b: b + sign * d, lo: f64::NEG_INFINITY, hi: f64::INFINITY }
            }
            _ => Self::General,
        }
    }
}
