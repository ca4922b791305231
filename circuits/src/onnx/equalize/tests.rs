//! The rewritten model is the original on inputs that are normalized: random graphs of columns, on random values.

use super::*;
use crate::onnx::{calibrate::measure, load::load_bytes};
use proptest::prelude::*;
use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto, type_proto,
};

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// A number between minus one and one.
    fn unit(&mut self) -> f32 {
        self.below(2001) as f32 / 1000.0 - 1.0
    }

    /// A number of any of some orders of magnitude, not zero.
    fn wide(&mut self) -> f32 {
        let sign = if self.below(4) == 0 { -1.0 } else { 1.0 };
        sign * 10f32.powf(2.0 * self.unit())
    }
}

/// A graph under construction: names and widths of rows.
#[derive(Default)]
struct Columns {
    graph: GraphProto,
    rows: Vec<(String, usize)>,
    /// Width and type of each input.
    inputs: Vec<(usize, i32)>,
}

impl Columns {
    fn input(&mut self, width: usize, kind: i32) {
        let name = format!("in{}", self.inputs.len());
        let size = |v| tensor_shape_proto::Dimension {
            value: Some(tensor_shape_proto::dimension::Value::DimValue(v)),
            ..Default::default()
        };
        let shape = TensorShapeProto { dim: vec![size(1), size(width as i64)] };
        let kind_of = type_proto::Tensor { elem_type: kind, shape: Some(shape) };
        let value = Some(type_proto::Value::TensorType(kind_of));
        let r#type = Some(TypeProto { value, ..Default::default() });
        self.graph.input.push(ValueInfoProto { name: name.clone(), r#type, ..Default::default() });
        self.inputs.push((width, kind));
        if kind == 1 {
            self.rows.push((name, width));
        } else {
            let to = AttributeProto { name: "to".to_owned(), r#type: 2, i: 1, ..Default::default() };
            let cast = self.node("Cast", &[&name], vec![to]);
            self.rows.push((cast, width));
        }
    }

    fn constant(&mut self, dims: &[usize], floats: Vec<f32>, integers: Vec<i64>) -> String {
        let name = format!("k{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|d| *d as i64).collect(),
            data_type: if integers.is_empty() { 1 } else { 7 },
            float_data: floats,
            int64_data: integers,
            ..Default::default()
        });
        name
    }

    fn node(&mut self, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        let name = format!("n{}", self.graph.node.len());
        self.graph.node.push(NodeProto {
            name: name.clone(),
            op_type: op.to_owned(),
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: vec![name.clone()],
            attribute,
            ..Default::default()
        });
        name
    }

    fn axis() -> Vec<AttributeProto> {
        vec![AttributeProto { name: "axis".to_owned(), r#type: 2, i: 1, ..Default::default() }]
    }

    fn output(&mut self, name: &str) {
        self.graph.output.push(ValueInfoProto { name: name.to_owned(), ..Default::default() });
    }

    fn gather(&mut self, from: &(String, usize), places: Vec<i64>) {
        let width = places.len();
        let at = self.constant(&[width], vec![], places);
        let name = self.node("Gather", &[&from.0, &at], Self::axis());
        self.rows.push((name, width));
    }

    fn concat(&mut self, parts: &[(String, usize)]) {
        let names: Vec<&str> = parts.iter().map(|p| p.0.as_str()).collect();
        let name = self.node("Concat", &names, Self::axis());
        self.rows.push((name, parts.iter().map(|p| p.1).sum()));
    }

    fn with_constants(&mut self, op: &str, from: &(String, usize), values: Vec<f32>) {
        let k = self.constant(&[1, values.len()], values, vec![]);
        let name = self.node(op, &[&from.0, &k], vec![]);
        self.rows.push((name, from.1));
    }

    fn product(&mut self, from: &(String, usize), columns: usize, weights: Vec<f32>) -> String {
        let k = self.constant(&[from.1, columns], weights, vec![]);
        self.node("MatMul", &[&from.0, &k], vec![])
    }

    fn load(&self) -> FloatModel {
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
        let model = ModelProto { ir_version: 8, opset_import, graph: Some(self.graph.clone()), ..Default::default() };
        load_bytes(&model.encode_to_vec()).expect("it loads")
    }
}

/// A graph in which columns are chosen, put side by side, scaled, and read by products and by others.
fn random(rng: &mut Rng) -> Columns {
    let mut g = Columns::default();
    for _ in 0..1 + rng.below(4) {
        let width = 1 + rng.below(4);
        g.input(width, 1);
    }
    if rng.below(2) == 0 {
        g.input(1, 7);
    }
    for _ in 0..2 + rng.below(7) {
        let at = rng.below(g.rows.len());
        let from = g.rows[at].clone();
        match rng.below(8) {
            0 | 1 => {
                let n = 1 + rng.below(from.1 + 1);
                let sign = |rng: &mut Rng| if rng.below(4) == 0 { -(from.1 as i64) } else { 0 };
                let places = (0..n).map(|_| rng.below(from.1) as i64 + sign(rng)).collect();
                g.gather(&from, places);
            }
            2 | 3 => {
                let parts: Vec<_> = (0..2 + rng.below(2)).map(|_| g.rows[rng.below(g.rows.len())].clone()).collect();
                g.concat(&parts);
            }
            4..=6 => {
                let op = ["Add", "Sub", "Mul", "Div"][rng.below(4)];
                let n = if rng.below(3) == 0 { 1 } else { from.1 };
                g.with_constants(op, &from, (0..n).map(|_| rng.wide()).collect());
            }
            _ => {
                let name = g.node("Relu", &[&from.0], vec![]);
                g.rows.push((name, from.1));
            }
        }
    }
    // All inputs are read, the last tensors by products.
    let last = g.rows.len().saturating_sub(3);
    let rows = g.rows[last..].to_vec();
    for from in rows {
        let columns = 1 + rng.below(3);
        let weights = (0..from.1 * columns).map(|_| rng.unit()).collect();
        let y = g.product(&from, columns, weights);
        g.output(&y);
    }
    for k in 0..g.inputs.len() {
        let from = g.rows.iter().find(|r| r.0 == format!("in{k}")).cloned();
        if let Some(from) = from {
            let weights = (0..from.1).map(|_| rng.unit()).collect();
            let y = g.product(&from, 1, weights);
            if rng.below(2) == 0 {
                g.output(&y);
            }
        }
    }
    if rng.below(4) == 0 {
        let shown = g.rows[rng.below(g.rows.len())].0.clone();
        let shown = g.node("Tanh", &[&shown], vec![]);
        g.output(&shown);
    }
    g
}

/// Samples whose columns are of any size, and far from zero or not.
fn samples(g: &Columns, model: &FloatModel, rng: &mut Rng) -> Vec<Vec<Vec<f32>>> {
    let of: Vec<Vec<(f32, f32)>> = g
        .inputs
        .iter()
        .map(|(n, _)| (0..*n).map(|_| (rng.wide(), if rng.below(2) == 0 { 20.0 * rng.wide() } else { 0.0 })).collect())
        .collect();
    let one = |rng: &mut Rng, k: usize| -> Vec<f32> {
        let kind = g.inputs[k].1;
        of[k].iter().map(|(s, o)| s * rng.unit() + o).map(|v| if kind == 1 { v } else { v.round() }).collect()
    };
    let kept = |k: &usize| model.inputs.iter().any(|i| i.0 == format!("in{k}"));
    (0..6).map(|_| (0..g.inputs.len()).filter(kept).map(|k| one(rng, k)).collect()).collect()
}

fn outputs(source: &FloatModel, model: &TypedModel, sample: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut out = vec![vec![]; model.outputs.len()];
    crate::onnx::calibrate::run_float(source, model, sample, &mut |outlet, values| {
        for (slot, o) in out.iter_mut().zip(&model.outputs) {
            if *o == outlet {
                *slot = values.to_vec();
            }
        }
        Ok(())
    })
    .expect("it runs");
    out
}

/// Compares both models on all samples; errors by the largest number that float32 has rounded on the way.
fn same(source: &FloatModel, e: &Equalized, samples: &[Vec<Vec<f32>>], size: f32) {
    let typed = source.typed().expect("typed");
    for s in samples {
        let expected = outputs(source, typed, s);
        let got = outputs(source, &e.model, &e.normalize(source, s));
        for (k, (a, b)) in expected.iter().zip(&got).enumerate() {
            assert_eq!(a.len(), b.len());
            for (j, (a, b)) in a.iter().zip(b).enumerate() {
                // Factors of an output are multiplied back by the integer graph.
                let factor = e.outputs[k].as_ref().map_or(1.0, |(_, powers)| (powers[j] as f32).exp2());
                let b = b * factor;
                assert!((a - b).abs() <= 2e-5 * size.max(a.abs()), "{a} became {b}, beside values up to {size}");
            }
        }
        assert_eq!(expected.len(), got.len());
    }
}

/// Folds and equalizes, comparing after each; whether each changed the model.
fn equalized(g: &Columns, rng: &mut Rng) -> (FloatModel, Equalized, [bool; 2]) {
    let source = g.load();
    let samples = samples(g, &source, rng);
    let typed = source.typed().expect("typed").clone();
    let first = measure(&source, &typed, &samples, false, &mut |_, _, _| {}).expect("it runs");
    let size = first.entries.values().flat_map(|(lo, hi)| lo.iter().chain(hi)).fold(1f32, |m, v| m.max(v.abs()));
    let mut e = Equalized::new(&source, &typed).expect("it folds");
    let folded = std::mem::take(&mut e.changed);
    same(&source, &e, &samples, size);
    let normal: Vec<_> = samples.iter().map(|s| e.normalize(&source, s)).collect();
    let mut measured = measure(&source, &e.model, &normal, false, &mut |_, _, _| {}).expect("it runs");
    e.equalize(&source, &mut measured.entries).expect("it equalizes");
    same(&source, &e, &samples, size);
    let changed = e.changed;
    (source, e, [folded, changed])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rewriting_columns_changes_no_result(seed in any::<u64>()) {
        let mut rng = Rng(seed);
        let g = random(&mut rng);
        equalized(&g, &mut rng);
    }
}

#[test]
fn random_graphs_have_columns_to_rewrite() {
    let mut count = [0; 2];
    for seed in 0..100 {
        let mut rng = Rng(seed);
        let g = random(&mut rng);
        let (_, _, changed) = equalized(&g, &mut rng);
        count.iter_mut().zip(changed).for_each(|(n, c)| *n += usize::from(c));
    }
    assert!(count[0] > 8 && count[1] > 20, "{count:?}");
}

#[test]
fn a_scaler_behind_a_concat_is_folded_column_by_column() {
    let mut g = Columns::default();
    g.input(1, 1);
    g.input(2, 1);
    let both = g.rows.clone();
    g.concat(&both);
    g.with_constants("Sub", &("n0".to_owned(), 3), vec![5.0, -2.0, 100.0]);
    g.with_constants("Div", &("n1".to_owned(), 3), vec![0.5, 4.0, 1000.0]);
    let y = g.product(&("n2".to_owned(), 3), 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    g.output(&y);
    let source = g.load();
    let e = Equalized::new(&source, source.typed().expect("typed")).expect("it folds");
    let near = |k: usize, scale: &[f64], offset: &[f64]| {
        let f = e.inputs[k].clone().expect("features");
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs());
        assert!(f.scale.len() == scale.len() && same(&f.scale, scale) && same(&f.offset, offset), "{f:?}");
    };
    near(0, &[0.5], &[5.0]);
    near(1, &[4.0, 1000.0], &[-2.0, 100.0]);
    let order = e.model.eval_order().expect("ordered");
    assert!(!order.iter().any(|n| e.model.nodes()[*n].op_is::<TypedBinOp>()), "nothing is left of the constants");
}

#[test]
fn a_column_that_is_read_as_it_is_keeps_its_scale() {
    // The first column is shown; the second is read twice, with constants of its own each time.
    let mut g = Columns::default();
    g.input(2, 1);
    let x = g.rows[0].clone();
    g.gather(&x, vec![0]);
    g.gather(&x, vec![1]);
    let (shown, read) = (g.rows[1].clone(), g.rows[2].clone());
    let shown = g.node("Relu", &[&shown.0], vec![]);
    g.output(&shown);
    for k in [2.0, 3000.0] {
        g.with_constants("Mul", &read, vec![k]);
        let scaled = g.rows.last().expect("a row").clone();
        let y = g.product(&scaled, 1, vec![1.0]);
        g.output(&y);
    }
    let source = g.load();
    let mut e = Equalized::new(&source, source.typed().expect("typed")).expect("it folds");
    assert!(e.inputs[0].is_none(), "two readers of one column agree on no constants");
    let samples: Vec<Vec<Vec<f32>>> = (0..4).map(|k| vec![vec![k as f32, 1e-3 * k as f32]]).collect();
    let mut measured = measure(&source, &e.model, &samples, false, &mut |_, _, _| {}).expect("it runs");
    e.equalize(&source, &mut measured.entries).expect("it equalizes");
    let f = e.inputs[0].clone().expect("features");
    assert_eq!((f.scale[0], f.offset[0]), (1.0, 0.0));
    assert!(f.scale[1] < 1e-2, "{f:?}");
    same(&source, &e, &samples, 10.0);
}

proptest! {
    #[test]
    fn constants_are_scaled_and_measured_entry_by_entry(
        shape in prop::array::uniform3(1usize..7),
        axis in 0usize..3,
        wide in 1usize..4,
        repeated: bool,
        seed in any::<u64>(),
    ) {
        let mut rng = Rng(seed);
        let mut shape = shape;
        // An axis of extent one, or one on which each channel has several places.
        let inner = if repeated { 1 } else { wide };
        let channels = shape[axis];
        shape[axis] = if repeated { 1 } else { channels * inner };
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| rng.wide()).collect();
        let factors: Vec<f64> = (0..channels).map(|_| f64::from(rng.wide())).collect();
        let t = Tensor::from_shape(&shape, &values).unwrap();
        let got = times(&t, Along { axis, inner }, &factors).unwrap();
        let (_, len, behind) = crate::tensor::around(&shape, axis);
        let places = channels * inner;
        let want: Vec<f32> = (0..n / len * places)
            .map(|at| {
                let (o, p, i) = (at / behind / places, at / behind % places, at % behind);
                let from = (o * len + if len == 1 { 0 } else { p }) * behind + i;
                (f64::from(values[from]) * factors[p / inner]) as f32
            })
            .collect();
        shape[axis] = places;
        prop_assert_eq!(got, Tensor::from_shape(&shape, &want).unwrap());
        let most: Vec<f32> = (0..len)
            .map(|p| (0..n).filter(|at| at / behind % len == p).fold(0.0, |m: f32, at| m.max(values[at].abs())))
            .collect();
        prop_assert_eq!(path::largest(&values, len, behind), most);
    }
}
