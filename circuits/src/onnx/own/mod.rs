//! Operators of our own in tract's graph: what a rule of [`super::rewrite`] makes of an ONNX operator that is no composition of
//! others.
//!
//! A rule writes a node with the operator [`NAME`], whose parameters are the canonical bytes of a [`Kind`]. tract reads it as an
//! [`Own`], which evaluates itself for calibration and is lowered by [`lower`]. One file a kind.

mod contract;
mod exponential;
mod label;
mod pair;
mod quantize;
mod rank;
mod recurrent;
mod remap;
mod rescale;
mod tree_columns;
mod tree_paths;
mod trees;

use super::{
    error::ImportError,
    lower::{Lowering, Result, Value},
};
use crate::canonical;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tract_onnx::{
    Onnx,
    model::ParsingContext,
    pb::{AttributeProto, NodeProto},
    prelude::*,
    tract_hir::internal::*,
};

pub(crate) use contract::{Contract, small_operand};
pub(crate) use exponential::Exponential;
pub(crate) use label::{Label, at_least_zero};
pub(crate) use pair::{Act, Pair};
pub(crate) use quantize::Quantize;
pub(crate) use rank::Rank;
pub(crate) use recurrent::{Activation, Cell, Recurrent};
pub(crate) use remap::Remap;
pub(crate) use rescale::Rescale;
pub(crate) use tree_columns::{Column, columns, follow, put, steps};
pub(crate) use trees::{FEATURE_BITS, Next, Split, Trees};

/// Name of the operator in rewritten graphs. No file may use it: it is in no domain that is read.
pub(crate) const NAME: &str = "assay.Own";
/// Attribute that holds the parameters.
const PARAMETERS: &str = "parameters";

/// What an operator of our own computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A sparse matrix along an axis.
    Remap(Remap),
    /// A contraction of integers.
    Contract(Contract),
    /// Rounding of a product with a float, as quantized runtimes do it.
    Rescale(Rescale),
    /// Floats to integers.
    Quantize(Quantize),
    /// A function of two small integers.
    Pair(Pair),
    /// An ensemble of trees.
    Trees(Trees),
    /// The label of a class.
    Label(Label),
    /// One direction of a recurrent operator.
    Recurrent(Recurrent),
    /// Exponentials below the largest entry.
    Exponential(Exponential),
    /// Ranks along an axis.
    Rank(Rank),
}

/// Type of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Type {
    /// That of the first input.
    Same,
    /// Float32.
    Float,
    /// Int64.
    Integer,
}

/// The parameters of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<usize>,
    pub(crate) result: Type,
    /// Shapes of further outputs, of the same type.
    pub(crate) more: Vec<Vec<usize>>,
}

impl Spec {
    /// Shapes of all outputs.
    fn shapes(&self) -> impl Iterator<Item = &Vec<usize>> {
        std::iter::once(&self.shape).chain(&self.more)
    }
}

/// The operator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Own(pub(crate) Arc<Spec>);

// Parameters are read from canonical bytes, and a NaN is refused by the rules.
impl Eq for Own {}

/// The attribute that carries the parameters.
///
/// # Errors
/// Parameters that cannot be encoded.
pub(crate) fn attribute(spec: &Spec) -> Result<AttributeProto> {
    let s = canonical::to_bytes(spec)?;
    Ok(AttributeProto { name: PARAMETERS.to_owned(), r#type: 3, s, ..AttributeProto::default() })
}

/// tract's ONNX reader, with our operator.
pub(crate) fn framework() -> Onnx {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    onnx.op_register.insert(NAME, parse);
    onnx
}

fn parse(_: &ParsingContext<'_>, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let a = node.attribute.iter().find(|a| a.name == PARAMETERS);
    let bytes = a.map(|a| a.s.as_slice()).unwrap_or_default();
    let spec: Spec = canonical::from_bytes(bytes).map_err(|e| TractError::msg(e.to_string()))?;
    Ok((expand(Own(Arc::new(spec))), vec![]))
}

impl Expansion for Own {
    fn name(&self) -> StaticName {
        NAME.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(1 + self.0.more.len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for (output, shape) in outputs.iter().zip(self.0.shapes()) {
            match self.0.result {
                Type::Same => s.equals(&inputs[0].datum_type, &output.datum_type)?,
                Type::Float => s.equals(&output.datum_type, f32::datum_type())?,
                Type::Integer => s.equals(&output.datum_type, i64::datum_type())?,
            };
            let shape: TVec<TDim> = shape.iter().map(|d| d.to_dim()).collect();
            s.equals(&output.shape, ShapeFactoid::from(shape))?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Own {
    fn name(&self) -> StaticName {
        NAME.into()
    }

    op_as_typed_op!();
}

impl EvalOp for Own {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let out = match &self.0.kind {
            Kind::Remap(k) => k.eval(&inputs, &self.0.shape)?,
            Kind::Contract(k) => k.eval(&inputs, &self.0.shape)?,
            Kind::Rescale(k) => k.eval(&inputs)?,
            Kind::Quantize(k) => k.eval(&inputs)?,
            Kind::Pair(k) => k.eval(&inputs, &self.0.shape)?,
            Kind::Trees(k) => k.eval(&inputs)?,
            Kind::Label(k) => k.eval(&inputs)?,
            Kind::Recurrent(k) => return Ok(k.eval(&inputs)?.into_iter().map(IntoTValue::into_tvalue).collect()),
            Kind::Exponential(k) => k.eval(&inputs, &self.0.shape)?,
            Kind::Rank(k) => k.eval(&inputs)?,
        };
        Ok(tvec!(out.into_tvalue()))
    }
}

impl TypedOp for Own {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let kind = match self.0.result {
            Type::Same => inputs.first().map_or(DatumType::F32, |f| f.datum_type),
            Type::Float => DatumType::F32,
            Type::Integer => DatumType::I64,
        };
        Ok(self.0.shapes().map(|shape| kind.fact(shape)).collect())
    }
}

/// Lowers an operator of our own.
pub(crate) fn lower(c: &mut Lowering<'_>, node: &TypedNode) -> Result<Option<Vec<Value>>> {
    let Some(op) = node.op_as::<Own>() else { return Ok(None) };
    let spec = op.0.clone();
    match &spec.kind {
        Kind::Remap(k) => k.lower(c, node),
        Kind::Contract(k) => k.lower(c, node),
        Kind::Rescale(k) => k.lower(c, node),
        Kind::Quantize(k) => k.lower(c, node),
        Kind::Pair(k) => k.lower(c, node),
        Kind::Trees(k) => k.lower(c, node),
        Kind::Label(k) => k.lower(c, node),
        Kind::Recurrent(k) => return k.lower(c, node).map(Some),
        Kind::Exponential(k) => k.lower(c, node),
        Kind::Rank(k) => k.lower(c, node),
    }
    .map(|v| Some(vec![v]))
}

/// Values of a tensor as floats of 64 bits: integers of up to 53 bits are exact.
fn wide(t: &Tensor) -> TractResult<Vec<f64>> {
    let t = t.cast_to::<f64>()?;
    Ok(t.to_plain_array_view::<f64>()?.iter().copied().collect())
}

/// Values of a tensor as integers.
fn whole(t: &Tensor) -> TractResult<Vec<i64>> {
    let t = t.cast_to::<i64>()?;
    Ok(t.to_plain_array_view::<i64>()?.iter().copied().collect())
}

/// Values of a constant tensor of integers.
pub(crate) fn integers(t: &Tensor) -> Result<Vec<i64>> {
    whole(t).map_err(engine)
}

fn engine(e: TractError) -> ImportError {
    ImportError::engine("reading a constant", &e)
}
