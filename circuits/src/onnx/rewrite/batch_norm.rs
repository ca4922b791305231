//! A BatchNormalization right behind a convolution becomes part of its kernel and bias, before tract reads the model.
//!
//! tract does the same to a convolution of one group, one generic product after the other: a tenth of the time that compiling
//! a network of pictures takes. Here the entries are the same to the last bit.

use super::qdq::{input, standard};
use crate::onnx::nodes::mentioned;
use rayon::prelude::*;
use std::collections::HashMap;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Epsilon where a node names none, by the standard.
const EPSILON: f32 = 1e-5;

/// A convolution and its normalization, as places in lists of a graph.
struct Pair {
    conv: usize,
    norm: usize,
    kernel: usize,
    /// The bias of the convolution, if it has one.
    bias: Option<usize>,
    /// Scale, shift, mean and variance.
    norms: [usize; 4],
    epsilon: f32,
}

/// Folds all normalizations for which that is possible; constants have been brought to float32.
pub(crate) fn fold(graph: &mut GraphProto) {
    let pairs = find(graph);
    let mut gone = vec![false; graph.node.len()];
    for p in pairs {
        let floats = |k: usize| values(&graph.initializer[k]);
        let [scale, shift, mean, variance] = p.norms.map(floats);
        let old = p.bias.map_or_else(|| vec![0.0; scale.len()], floats);
        let deviation: Vec<f32> = variance.iter().map(|v| (v + p.epsilon).sqrt()).collect();
        let slope: Vec<f32> = scale.iter().zip(&deviation).map(|(s, d)| s / d).collect();
        let bias: Vec<u8> = (0..scale.len())
            .flat_map(|c| {
                let offset = shift[c] - (mean[c] * scale[c]) / deviation[c];
                (old[c] * slope[c] + offset).to_le_bytes()
            })
            .collect();
        let kernel = &mut graph.initializer[p.kernel].raw_data;
        let row = kernel.len() / slope.len();
        kernel.par_chunks_mut(row).zip(&slope).for_each(|(row, slope)| {
            for v in row.as_chunks_mut::<4>().0 {
                *v = (f32::from_le_bytes(*v) * slope).to_le_bytes();
            }
        });
        // The shift of the normalization becomes the bias: it is as long, and nothing else reads it.
        let shift = &mut graph.initializer[p.norms[1]];
        shift.raw_data = bias;
        let name = shift.name.clone();
        let output = graph.node[p.norm].output.first().cloned();
        let conv = &mut graph.node[p.conv];
        conv.input.truncate(2);
        conv.input.push(name);
        conv.output = output.into_iter().collect();
        gone[p.norm] = true;
    }
    let mut gone = gone.into_iter();
    graph.node.retain(|_| !gone.next().unwrap_or(false));
}

fn values(t: &TensorProto) -> Vec<f32> {
    t.raw_data.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect()
}

fn find(graph: &GraphProto) -> Vec<Pair> {
    // Every mention counts: outputs, inputs of nodes and of subgraphs.
    let mut names: Vec<&str> = graph.input.iter().map(|i| i.name.as_str()).collect();
    mentioned(graph, &mut names);
    let mut mentions: HashMap<&str, usize> = HashMap::new();
    names.into_iter().for_each(|n| *mentions.entry(n).or_default() += 1);
    let constants: HashMap<&str, usize> =
        graph.initializer.iter().enumerate().map(|(i, t)| (t.name.as_str(), i)).collect();
    let makers: HashMap<&str, usize> =
        graph.node.iter().enumerate().flat_map(|(i, n)| n.output.iter().map(move |o| (o.as_str(), i))).collect();
    let once = |name: &str| mentions.get(name) == Some(&1);
    // A constant of floats, of rank one where its length is given.
    let plain = |name: &str, len: Option<usize>| -> Option<usize> {
        let k = *constants.get(name)?;
        let t = &graph.initializer[k];
        let entries: usize = t.dims.iter().map(|d| usize::try_from(*d).ok()).product::<Option<usize>>()?;
        let fits = len.is_none_or(|n| t.dims.len() == 1 && entries == n);
        (t.data_type == 1 && entries > 0 && t.raw_data.len() == 4 * entries && fits).then_some(k)
    };
    let pair = |(norm, n): (usize, &NodeProto)| -> Option<Pair> {
        if n.op_type != "BatchNormalization" || !standard(n) || n.output.iter().skip(1).any(|o| !o.is_empty()) {
            return None;
        }
        let mut epsilon = EPSILON;
        for a in &n.attribute {
            match a.name.as_str() {
                "epsilon" => epsilon = a.f,
                "momentum" => {}
                "spatial" if a.i == 1 => {}
                "training_mode" if a.i == 0 => {}
                _ => return None,
            }
        }
        let x = input(n, 0);
        let conv = *makers.get(x)?;
        let c = &graph.node[conv];
        let one_group = c.attribute.iter().filter(|a| a.name == "group").all(|a| a.i == 1);
        let single = n.input.len() == 5 && c.output.len() == 1 && once(x);
        if c.op_type != "Conv" || !standard(c) || !one_group || !single || !once(input(c, 1)) || !once(input(n, 2)) {
            return None;
        }
        let kernel = plain(input(c, 1), None)?;
        let t = &graph.initializer[kernel];
        // tract reads a kernel of one entry as a product of matrices, whose factors are applied in double precision.
        let wide = t.dims.get(2..).is_some_and(|d| d.iter().any(|d| *d > 1));
        let channels = usize::try_from(*t.dims.first()?).ok().filter(|_| wide)?;
        let bias = match input(c, 2) {
            "" => None,
            name => Some(plain(name, Some(channels))?),
        };
        let norms = [1, 2, 3, 4].map(|i| plain(input(n, i), Some(channels)));
        let [Some(a), Some(b), Some(m), Some(v)] = norms else { return None };
        Some(Pair { conv, norm, kernel, bias, norms: [a, b, m, v], epsilon })
    };
    graph.node.iter().enumerate().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::load::type_model;
    use proptest::prelude::*;
    use tract_onnx::{
        pb::{
            AttributeProto, ModelProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
            tensor_shape_proto::{Dimension, dimension},
            type_proto,
        },
        tract_hir::tract_core::ops::{cnn::Conv, konst::Const},
    };

    fn constant(name: &str, dims: &[i64], draw: &mut dyn FnMut() -> f32) -> TensorProto {
        let n: i64 = dims.iter().product();
        let raw_data = (0..n).flat_map(|_| draw().to_le_bytes()).collect();
        TensorProto { name: name.to_owned(), dims: dims.to_vec(), data_type: 1, raw_data, ..TensorProto::default() }
    }

    fn picture(name: &str, dims: &[i64]) -> ValueInfoProto {
        let dim = dims
            .iter()
            .map(|d| Dimension { value: Some(dimension::Value::DimValue(*d)), ..Dimension::default() })
            .collect();
        let tensor = type_proto::Tensor { elem_type: 1, shape: Some(TensorShapeProto { dim }) };
        let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
        ValueInfoProto { name: name.to_owned(), r#type, ..ValueInfoProto::default() }
    }

    fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
        NodeProto {
            name: format!("{output} of {op}"),
            op_type: op.to_owned(),
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        }
    }

    fn number(name: &str, f: f32, i: i64) -> AttributeProto {
        let r#type = if i == 0 { 1 } else { 2 };
        AttributeProto { name: name.to_owned(), f, i, r#type, ..AttributeProto::default() }
    }

    /// Kernel and bias of the only convolution, bit by bit, and the number of its nodes that are no constants.
    fn read(model: &ModelProto) -> (Vec<Vec<u32>>, usize) {
        let typed = type_model(model).unwrap();
        let conv = typed.nodes().iter().find(|n| n.op_is::<Conv>()).unwrap();
        let bits = |slot: usize| {
            let konst = typed.node(conv.inputs[slot].node).op_as::<Const>().unwrap().val();
            konst.to_plain_array_view::<f32>().unwrap().iter().map(|v| v.to_bits()).collect()
        };
        (vec![bits(1), bits(2)], typed.nodes().iter().filter(|n| !n.op_is::<Const>()).count())
    }

    proptest! {
        #[test]
        fn what_is_folded_is_what_tract_makes_of_it(
            (outputs, inputs, kernel) in (1i64..6, 1i64..4, 2i64..5),
            biased: bool,
            epsilon in prop::option::of(1e-6f32..0.1),
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let mut draw = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let mut initializer = vec![constant("w", &[outputs, inputs, kernel, kernel], &mut draw)];
            for name in ["b", "scale", "shift", "mean"] {
                initializer.push(constant(name, &[outputs], &mut draw));
            }
            initializer.push(constant("variance", &[outputs], &mut || draw().abs() + 0.01));
            let read_by_conv: &[&str] = if biased { &["x", "w", "b"] } else { &["x", "w"] };
            let graph = GraphProto {
                input: vec![picture("x", &[1, inputs, 7, 7])],
                output: vec![picture("y", &[1, outputs, 8 - kernel, 8 - kernel])],
                node: vec![
                    node("Conv", read_by_conv, "h", vec![]),
                    node(
                        "BatchNormalization",
                        &["h", "scale", "shift", "mean", "variance"],
                        "y",
                        epsilon.map(|e| number("epsilon", e, 0)).into_iter().collect(),
                    ),
                ],
                initializer,
                ..GraphProto::default()
            };
            let opset_import = vec![OperatorSetIdProto { version: 17, ..OperatorSetIdProto::default() }];
            let mut model = ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..ModelProto::default() };
            let want = read(&model);
            fold(model.graph.as_mut().unwrap());
            let graph = model.graph.as_ref().unwrap();
            prop_assert_eq!(graph.node.len(), 1);
            prop_assert_eq!(read(&model), want);
        }
    }

    /// Conv and BatchNormalization, changed by `change`, as the number of nodes that are left.
    fn left(change: impl FnOnce(&mut GraphProto)) -> usize {
        let mut draw = || 0.5;
        let mut graph = GraphProto {
            output: vec![picture("y", &[1, 2, 5, 5])],
            node: vec![
                node("Conv", &["x", "w"], "h", vec![]),
                node("BatchNormalization", &["h", "s", "t", "m", "v"], "y", vec![]),
            ],
            initializer: vec![constant("w", &[2, 2, 3, 3], &mut draw)],
            ..GraphProto::default()
        };
        graph.initializer.extend(["s", "t", "m", "v"].map(|n| constant(n, &[2], &mut draw)));
        change(&mut graph);
        fold(&mut graph);
        graph.node.len()
    }

    #[test]
    fn what_others_read_stays() {
        assert_eq!(left(|_| ()), 1);
        assert_eq!(left(|g| g.output.push(picture("h", &[1, 2, 5, 5]))), 2);
        assert_eq!(left(|g| g.node.push(node("Relu", &["h"], "z", vec![]))), 3);
        assert_eq!(left(|g| g.node.push(node("Relu", &["w"], "z", vec![]))), 3);
        assert_eq!(left(|g| g.node.push(node("Relu", &["t"], "z", vec![]))), 3);
        assert_eq!(left(|g| g.input.push(picture("w", &[2, 2, 3, 3]))), 2);
        assert_eq!(left(|g| g.node[0].attribute.push(number("group", 0.0, 2))), 2);
        assert_eq!(left(|g| g.node[1].attribute.push(number("training_mode", 0.0, 1))), 2);
        assert_eq!(left(|g| g.node[1].output.push("running mean".to_owned())), 2);
        assert_eq!(left(|g| g.initializer[3].dims = vec![1]), 2);
        assert_eq!(left(|g| g.initializer[0] = constant("w", &[2, 2, 1, 1], &mut || 0.5)), 2);
        assert_eq!(left(|g| g.initializer[0].raw_data.truncate(8)), 2);
    }
}
