//! Building the nodes that stand for another one.

use crate::onnx::{
    error::ImportError,
    own::{self, Kind, Spec, Type},
};
use std::collections::HashMap;
use tract_onnx::{
    pb::{AttributeProto, NodeProto, TensorProto},
    prelude::DatumType,
};

/// What is known of a tensor before the model is lowered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Extents.
    pub(crate) shapes: HashMap<String, Vec<usize>>,
    /// Values of small constants.
    pub(crate) values: HashMap<String, Vec<f64>>,
    /// Tensors of floats.
    pub(crate) floats: HashMap<String, bool>,
    /// Types.
    pub(crate) types: HashMap<String, DatumType>,
}

/// A node being replaced, and the nodes that replace it.
pub(crate) struct Builder<'a> {
    pub(crate) node: &'a NodeProto,
    pub(crate) opset: i64,
    pub(crate) known: &'a Known,
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) constants: Vec<TensorProto>,
}

pub(crate) type Result<T> = std::result::Result<T, ImportError>;

impl<'a> Builder<'a> {
    pub(crate) fn new(node: &'a NodeProto, opset: i64, known: &'a Known) -> Self {
        Self { node, opset, known, nodes: vec![], constants: vec![] }
    }

    /// A name that nothing else has.
    pub(crate) fn fresh(&self) -> String {
        self.name()
    }

    fn name(&self) -> String {
        format!("{}.step{}", self.node.name, self.nodes.len() + self.constants.len())
    }

    /// Input `i` by name; `None` where it is left out.
    pub(crate) fn input(&self, i: usize) -> Option<String> {
        self.node.input.get(i).filter(|n| !n.is_empty()).cloned()
    }

    /// Input `i`, which must be there.
    pub(crate) fn need(&self, i: usize) -> Result<String> {
        self.input(i).ok_or_else(|| ImportError::unsupported(format!("it has no input {i}")))
    }

    /// Extents of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<Vec<usize>> {
        let shape = self.known.shapes.get(name).cloned();
        shape.ok_or_else(|| ImportError::unsupported(format!("the shape of '{name}' is not known")))
    }

    /// Values of a constant; `None` where it is not known.
    pub(crate) fn values(&self, name: &str) -> Option<Vec<f64>> {
        self.known.values.get(name).cloned()
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|a| a.name == name)
    }

    pub(crate) fn int_or(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    pub(crate) fn float_or(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    pub(crate) fn text_or(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or(default.to_owned(), |a| String::from_utf8_lossy(&a.s).into_owned())
    }

    pub(crate) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|a| a.ints.clone())
    }

    pub(crate) fn floats(&self, name: &str) -> Option<Vec<f64>> {
        self.attribute(name).map(|a| a.floats.iter().map(|v| f64::from(*v)).collect())
    }

    /// An attribute of texts; none where it is left out.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let a = self.attribute(name).map(|a| a.strings.as_slice()).unwrap_or_default();
        a.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    /// The values of an attribute that is a tensor.
    pub(crate) fn numbers(&self, name: &str) -> Option<Vec<f64>> {
        let t = self.attribute(name)?.t.as_ref()?;
        let each = |n: usize, f: &dyn Fn(&[u8]) -> f64| t.raw_data.chunks_exact(n).map(f).collect::<Vec<f64>>();
        Some(match (t.data_type, t.raw_data.is_empty()) {
            (1, false) => each(4, &|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            (1, true) => t.float_data.iter().map(|v| f64::from(*v)).collect(),
            (2, false) => each(1, &|b| f64::from(b[0])),
            (2 | 3 | 6, true) => t.int32_data.iter().map(|v| f64::from(*v)).collect(),
            (7, false) => each(8, &|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f64),
            (7, true) => t.int64_data.iter().map(|v| *v as f64).collect(),
            _ => return None,
        })
    }

    /// The ONNX number of the type of an attribute that is a tensor.
    pub(crate) fn tensor_type(&self, name: &str) -> Option<i32> {
        self.attribute(name)?.t.as_ref().map(|t| t.data_type)
    }

    /// An attribute of one integer, if it is there.
    pub(crate) fn ints_or_int(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|a| a.i)
    }

    /// A constant of floats.
    pub(crate) fn tensor(&mut self, shape: &[usize], data: &[f32]) -> String {
        let name = self.name();
        self.constants.push(TensorProto {
            name: name.clone(),
            dims: shape.iter().map(|d| *d as i64).collect(),
            data_type: 1,
            raw_data: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name
    }

    /// A single float.
    pub(crate) fn float(&mut self, v: f32) -> String {
        self.tensor(&[], &[v])
    }

    /// A vector of 64-bit integers.
    pub(crate) fn vector(&mut self, v: &[i64]) -> String {
        let name = self.name();
        self.constants.push(TensorProto {
            name: name.clone(),
            dims: vec![v.len() as i64],
            data_type: 7,
            raw_data: v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name
    }

    /// A node with one output.
    pub(crate) fn op(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.name();
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.to_owned(),
            attribute: attributes,
            ..NodeProto::default()
        });
        name
    }

    /// An operator of our own.
    pub(crate) fn own(&mut self, kind: Kind, inputs: &[&str], shape: &[usize], result: Type) -> Result<String> {
        let attribute = own::attribute(&Spec { kind, shape: shape.to_vec(), result, more: vec![] })?;
        Ok(self.op(own::NAME, inputs, vec![attribute]))
    }

    /// An operator of our own with several outputs of floats: their names.
    pub(crate) fn own_several(&mut self, kind: Kind, inputs: &[&str], shapes: &[Vec<usize>]) -> Result<Vec<String>> {
        let (shape, more) = shapes.split_first().map(|(s, m)| (s.clone(), m.to_vec())).unwrap_or_default();
        let attribute = own::attribute(&Spec { kind, shape, result: Type::Float, more })?;
        let name = self.op(own::NAME, inputs, vec![attribute]);
        let further = (1..shapes.len()).map(|i| format!("{name}.{i}"));
        let names: Vec<String> = std::iter::once(name.clone()).chain(further).collect();
        if let Some(last) = self.nodes.last_mut() {
            last.output.clone_from(&names);
        }
        Ok(names)
    }

    /// Values of a constant, which must be known.
    pub(crate) fn constant(&self, name: &str) -> Result<Vec<f64>> {
        self.values(name).ok_or_else(|| {
            ImportError::unsupported(format!("'{name}' must be a constant; export the model with fixed shapes"))
        })
    }

    /// Values of input `i`, a constant; `None` where it is left out.
    pub(crate) fn optional(&self, i: usize) -> Result<Option<Vec<f64>>> {
        self.input(i).map(|name| self.constant(&name)).transpose()
    }

    /// The first value of input `i`, a constant; `None` where it is left out or empty.
    pub(crate) fn first(&self, i: usize) -> Result<Option<f64>> {
        Ok(self.optional(i)?.and_then(|v| v.first().copied()))
    }

    /// The type of a tensor.
    pub(crate) fn kind(&self, name: &str) -> Result<DatumType> {
        let kind = self.known.types.get(name).copied();
        kind.ok_or_else(|| ImportError::unsupported(format!("the type of '{name}' is not known")))
    }

    /// The tensor as another type, by ONNX number.
    pub(crate) fn cast(&mut self, x: &str, to: i64) -> String {
        self.op("Cast", &[x], vec![int("to", to)])
    }

    /// A reduction that keeps its axes.
    pub(crate) fn reduce(&mut self, op: &str, x: &str, axes: &[i64]) -> String {
        let by_input = self.opset >= if op == "ReduceSum" { 13 } else { 18 };
        if by_input {
            let axes = self.vector(axes);
            return self.op(op, &[x, &axes], vec![int("keepdims", 1)]);
        }
        self.op(op, &[x], vec![int("keepdims", 1), ints("axes", axes)])
    }

    /// Without axes of extent one.
    pub(crate) fn squeeze(&mut self, x: &str, axes: &[i64]) -> String {
        if self.opset >= 13 {
            let axes = self.vector(axes);
            return self.op("Squeeze", &[x, &axes], vec![]);
        }
        self.op("Squeeze", &[x], vec![ints("axes", axes)])
    }

    /// With an axis of extent one.
    pub(crate) fn unsqueeze(&mut self, x: &str, axis: i64) -> String {
        if self.opset >= 13 {
            let axes = self.vector(&[axis]);
            return self.op("Unsqueeze", &[x, &axes], vec![]);
        }
        self.op("Unsqueeze", &[x], vec![ints("axes", &[axis])])
    }

    /// Entries `from..to` of an axis.
    pub(crate) fn slice(&mut self, x: &str, axis: usize, from: usize, to: usize) -> String {
        let (axis, from, to) = (axis as i64, from as i64, to as i64);
        if self.opset >= 10 {
            let (from, to, axes) = (self.vector(&[from]), self.vector(&[to]), self.vector(&[axis]));
            return self.op("Slice", &[x, &from, &to, &axes], vec![]);
        }
        self.op("Slice", &[x], vec![ints("axes", &[axis]), ints("starts", &[from]), ints("ends", &[to])])
    }

    /// Tensors joined along an axis.
    pub(crate) fn concat(&mut self, parts: &[String], axis: i64) -> String {
        if let [one] = parts {
            return one.clone();
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.op("Concat", &parts, vec![int("axis", axis)])
    }

    pub(crate) fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
        let shape = self.vector(&shape);
        self.op("Reshape", &[x, &shape], vec![])
    }

    pub(crate) fn transpose(&mut self, x: &str, perm: &[usize]) -> String {
        let perm: Vec<i64> = perm.iter().map(|d| *d as i64).collect();
        self.op("Transpose", &[x], vec![ints("perm", &perm)])
    }
}

/// An attribute with one integer.
pub(crate) fn int(name: &str, v: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 2, i: v, ..AttributeProto::default() }
}

/// An attribute with one number.
pub(crate) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 1, f, ..AttributeProto::default() }
}

/// An attribute with integers.
pub(crate) fn ints(name: &str, v: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: 7, ints: v.to_vec(), ..AttributeProto::default() }
}
