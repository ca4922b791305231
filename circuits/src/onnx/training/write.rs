//! ONNX files of trained networks.

use super::Trainable;
use crate::{
    onnx::rewrite::builder::{self, float},
    train::{Activation, Layer},
};
use prost::Message;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};

/// The graph while it is written.
struct Writer<'a> {
    graph: GraphProto,
    weights: std::slice::Iter<'a, Vec<f32>>,
    /// Weights that stay as they are.
    base: std::slice::Iter<'a, Vec<f32>>,
    /// Whether the next weights are of those.
    frozen: bool,
    /// The least version of the operators that everything is part of.
    opset: i64,
    count: usize,
}

impl Writer<'_> {
    /// A node of one output, whose name is returned.
    fn node(&mut self, op: &str, input: &[&str], attribute: Vec<AttributeProto>) -> String {
        let name = format!("trained.{}", self.count);
        self.count += 1;
        let output = format!("{name}.out");
        self.graph.node.push(NodeProto {
            name,
            op_type: op.to_owned(),
            input: input.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![output.clone()],
            attribute,
            ..NodeProto::default()
        });
        output
    }

    fn constant(&mut self, shape: &[usize], values: &[f32]) -> String {
        let name = format!("trained.constant.{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: shape.iter().map(|d| *d as i64).collect(),
            data_type: 1,
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name
    }

    /// The next weights.
    fn weights(&mut self, shape: &[usize]) -> String {
        let next = if self.frozen { self.base.next() } else { self.weights.next() };
        let values = next.cloned().unwrap_or_default();
        self.constant(shape, &values)
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let name = format!("trained.constant.{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: vec![values.len() as i64],
            data_type: 7,
            raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name
    }

    /// Products along the last axis, plus a bias.
    fn dense(&mut self, x: &str, shape: &[usize], (w, b): (&str, &str)) -> String {
        if shape.len() == 1 {
            return self.node("Gemm", &[x, w, b], vec![]);
        }
        let product = self.node("MatMul", &[x, w], vec![]);
        self.node("Add", &[&product, b], vec![])
    }

    /// The matrix of a dense layer and its adapter's made one.
    fn merged(&mut self, inputs: usize, outputs: usize, rank: usize, factor: f32) -> [String; 2] {
        let mut matrix = self.base.next().cloned().unwrap_or_default();
        let bias = self.base.next().cloned().unwrap_or_default();
        let (down, up) = (self.weights.next().cloned(), self.weights.next().cloned());
        if let (Some(down), Some(up)) = (down, up) {
            for (row, down) in matrix.chunks_mut(outputs).zip(down.chunks(rank)) {
                for (o, w) in row.iter_mut().enumerate() {
                    *w += factor * down.iter().enumerate().map(|(r, d)| d * up[r * outputs + o]).sum::<f32>();
                }
            }
        }
        [self.constant(&[inputs, outputs], &matrix), self.constant(&[outputs], &bias)]
    }

    /// Attention in the operators of exporters.
    fn attention(&mut self, x: &str, tokens: usize, (heads, width, causal): (usize, usize, bool)) -> String {
        let n = width / heads;
        let apart = [0, tokens as i64, heads as i64, n as i64];
        let mut parts = vec![];
        for (k, perm) in [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]].into_iter().enumerate() {
            let bounds = [k * width, (k + 1) * width].map(|v| self.integers(&[v as i64]));
            let axis = self.integers(&[2]);
            let part = self.node("Slice", &[x, &bounds[0], &bounds[1], &axis], vec![]);
            let shape = self.integers(&apart);
            let part = self.node("Reshape", &[&part, &shape], vec![]);
            parts.push(self.node("Transpose", &[&part], vec![ints("perm", &perm)]));
        }
        let scores = self.node("MatMul", &[&parts[0], &parts[1]], vec![]);
        let mut scores = self.scalar("Mul", &scores, 1.0 / (n as f32).sqrt());
        if causal {
            let hidden = |k: usize| if k % tokens > k / tokens { f32::NEG_INFINITY } else { 0.0 };
            let mask: Vec<f32> = (0..tokens * tokens).map(hidden).collect();
            let mask = self.constant(&[tokens, tokens], &mask);
            scores = self.node("Add", &[&scores, &mask], vec![]);
        }
        let last = AttributeProto { i: -1, ..int("axis", 0) };
        let shares = self.node("Softmax", &[&scores], vec![last]);
        let mixed = self.node("MatMul", &[&shares, &parts[2]], vec![]);
        let mixed = self.node("Transpose", &[&mixed], vec![ints("perm", &[0, 2, 1, 3])]);
        let shape = self.integers(&[0, tokens as i64, width as i64]);
        self.node("Reshape", &[&mixed, &shape], vec![])
    }

    fn scalar(&mut self, op: &str, x: &str, by: f32) -> String {
        let by = self.constant(&[], &[by]);
        self.node(op, &[x, &by], vec![])
    }

    fn smooth(&mut self, a: Activation, x: &str) -> String {
        match a {
            Activation::Sigmoid => self.node("Sigmoid", &[x], vec![]),
            Activation::Tanh => self.node("Tanh", &[x], vec![]),
            Activation::Silu => {
                let s = self.node("Sigmoid", &[x], vec![]);
                self.node("Mul", &[x, &s], vec![])
            }
            Activation::Gelu => {
                let scaled = self.scalar("Div", x, std::f32::consts::SQRT_2);
                let erf = self.node("Erf", &[&scaled], vec![]);
                let one = self.scalar("Add", &erf, 1.0);
                let twice = self.node("Mul", &[x, &one], vec![]);
                self.scalar("Mul", &twice, 0.5)
            }
            Activation::GeluTanh => {
                let cube = self.scalar("Pow", x, 3.0);
                let cube = self.scalar("Mul", &cube, 0.044_715);
                let sum = self.node("Add", &[x, &cube], vec![]);
                let sum = self.scalar("Mul", &sum, (2.0 / std::f32::consts::PI).sqrt());
                let tanh = self.node("Tanh", &[&sum], vec![]);
                let one = self.scalar("Add", &tanh, 1.0);
                let twice = self.node("Mul", &[x, &one], vec![]);
                self.scalar("Mul", &twice, 0.5)
            }
        }
    }

    /// Layers behind a value; the name of what they give.
    fn row(&mut self, layers: &[Layer], input: &str, shape: &[usize]) -> String {
        let mut x = input.to_owned();
        let mut shape = shape.to_vec();
        for layer in layers {
            let (inner, frozen) = match layer {
                Layer::Fixed { layer } => (layer.as_ref(), true),
                _ => (layer, false),
            };
            self.frozen = frozen;
            x = match inner {
                Layer::Dense { inputs, outputs } => {
                    let (w, b) = (self.weights(&[*inputs, *outputs]), self.weights(&[*outputs]));
                    self.dense(&x, &shape, (&w, &b))
                }
                Layer::Adapted { inputs, outputs, rank, scale_bits } => {
                    let [w, b] = self.merged(*inputs, *outputs, *rank, (1u32 << scale_bits) as f32);
                    self.dense(&x, &shape, (&w, &b))
                }
                Layer::TokenNorm { width, epsilon } => {
                    let (g, b) = (self.weights(&[*width]), self.weights(&[*width]));
                    let epsilon = float("epsilon", *epsilon as f32 / (1u32 << 20) as f32);
                    self.node("LayerNormalization", &[&x, &g, &b], vec![epsilon])
                }
                Layer::Attention { heads, width, causal } => {
                    let tokens = shape.first().copied().unwrap_or(1);
                    self.attention(&x, tokens, (*heads, *width, *causal))
                }
                // Taken apart above, and refused in itself.
                Layer::Fixed { .. } => x,
                Layer::Conv { inputs, outputs, kernel, pads, strides } => {
                    let w = self.weights(&[*outputs, *inputs, kernel[0], kernel[1]]);
                    let b = self.weights(&[*outputs]);
                    let attributes = vec![ints("kernel_shape", kernel), ints("pads", pads), ints("strides", strides)];
                    self.node("Conv", &[&x, &w, &b], attributes)
                }
                Layer::Relu => self.node("Relu", &[&x], vec![]),
                Layer::Smooth(a) => self.smooth(*a, &x),
                Layer::AveragePool { size } => self.node("AveragePool", &[&x], squares(*size)),
                Layer::MaxPool { size } => self.node("MaxPool", &[&x], squares(*size)),
                Layer::Norm { channels, groups, epsilon } => {
                    let (g, b) = (self.weights(&[*channels]), self.weights(&[*channels]));
                    let epsilon = float("epsilon", *epsilon as f32 / (1u32 << 20) as f32);
                    let input = [x.as_str(), &g, &b];
                    match (shape.len(), *groups) {
                        (1, 1) => self.node("LayerNormalization", &input, vec![epsilon]),
                        (3, n) if n == *channels => self.node("InstanceNormalization", &input, vec![epsilon]),
                        _ => {
                            self.opset = 21;
                            self.node("GroupNormalization", &input, vec![epsilon, int("num_groups", *groups)])
                        }
                    }
                }
                Layer::Residual { body, shortcut } => {
                    let a = self.row(body, &x, &shape);
                    let b = self.row(shortcut, &x, &shape);
                    self.node("Add", &[&a, &b], vec![])
                }
                Layer::Flatten => self.node("Flatten", &[&x], vec![]),
            };
            // Networks that were checked have a shape behind every layer.
            shape = layer.apply(&shape).unwrap_or_default();
        }
        x
    }
}

fn ints(name: &str, v: &[usize]) -> AttributeProto {
    builder::ints(name, &v.iter().map(|n| *n as i64).collect::<Vec<_>>())
}

fn int(name: &str, v: usize) -> AttributeProto {
    builder::int(name, v as i64)
}

fn squares(size: usize) -> Vec<AttributeProto> {
    vec![ints("kernel_shape", &[size; 2]), ints("strides", &[size; 2])]
}

impl Trainable {
    /// An ONNX file of the same network with other weights.
    pub fn write(&self, weights: &[Vec<f32>]) -> Vec<u8> {
        let graph = GraphProto { name: "trained".to_owned(), ..GraphProto::default() };
        let mut w =
            Writer { graph, weights: weights.iter(), base: self.base.iter(), frozen: false, opset: 17, count: 0 };
        let mut end = w.row(&self.network.layers, &self.input.name, &self.network.input);
        if let Some(tail) = &self.tail {
            end = w.node(tail, &[&end], vec![]);
        }
        let Writer { mut graph, opset: version, .. } = w;
        for node in &mut graph.node {
            node.output.iter_mut().filter(|o| **o == end).for_each(|o| o.clone_from(&self.output.name));
        }
        graph.input = vec![self.input.clone()];
        graph.output = vec![self.output.clone()];
        let opset = OperatorSetIdProto { domain: String::new(), version };
        let model = ModelProto {
            ir_version: if version > 17 { 10 } else { 8 },
            opset_import: vec![opset],
            graph: Some(graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}
