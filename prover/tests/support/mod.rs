//! Graphs by hand, for tests of the protocol.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod argued;
pub mod forge;
pub mod transplant;

use assay_circuits::{
    Graph, GraphBuilder, NodeId, Op, Program, Table, Tensor,
    model::{Model, QuantReport, TensorSpec},
    ops::{AxisExpr, AxisScale, Concat, Contraction, Reshape, Transpose, Window},
};
use assay_prover::{ProvingKey, Recorder, SetupOptions, device::Cpu, setup, srs::Srs};
use assay_verifier::core::{check_registration, verify};

/// A small deterministic generator.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    pub fn tensor(&mut self, shape: &[usize], bits: u32) -> Tensor {
        let n = shape.iter().product();
        let half = 1i64 << (bits - 1);
        let data = (0..n).map(|_| (self.next() % (2 * half as u64)) as i64 - half).collect();
        Tensor::new(shape.to_vec(), data).unwrap()
    }
}

/// Wraps a graph with random weights.
pub fn model(graph: Graph, seed: u64) -> Model {
    let mut rng = Lcg(seed);
    let weights = graph
        .weights()
        .map(|id| {
            let n = graph.node(id);
            let Op::Weight(w) = &n.op else { unreachable!() };
            rng.tensor(&n.shape, w.bits)
        })
        .collect();
    let spec = |ids: &[NodeId]| {
        ids.iter().map(|id| TensorSpec::uniform(&graph.node(*id).name, &graph.node(*id).shape, 4)).collect::<Vec<_>>()
    };
    let (inputs, outputs) = (spec(graph.inputs()), spec(graph.outputs()));
    Model { graph, weights, inputs, outputs, report: QuantReport::default() }
}

/// Random inputs of a model.
pub fn inputs(model: &Model, batch: usize, seed: u64) -> Vec<Vec<Tensor>> {
    let mut rng = Lcg(seed);
    (0..batch)
        .map(|_| {
            model
                .graph
                .inputs()
                .iter()
                .map(|id| {
                    let n = model.graph.node(*id);
                    let Op::Input(i) = &n.op else { unreachable!() };
                    rng.tensor(&n.shape, i.bits)
                })
                .collect()
        })
        .collect()
}

pub fn srs() -> Srs {
    Srs::development(10, 7).unwrap()
}

pub fn key(model: &Model, options: SetupOptions) -> ProvingKey {
    setup(&Cpu::default(), model, &srs(), options, &Recorder::default()).unwrap()
}

/// Sets up, proves, checks outputs against the interpreter, verifies registration and proof.
pub fn round_trip(model: &Model, batch: usize, options: SetupOptions) {
    let key = key(model, options);
    check_registration(&key.verifying).unwrap();
    let inputs = inputs(model, batch, 99);
    let proved = assay_prover::prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
    let verified = verify(&key.verifying, &proved.proof).unwrap();
    assert_eq!(verified.batch, batch);
    if options.visibility.outputs {
        assert_eq!(verified.outputs, proved.outputs);
        for (k, (id, out)) in model.graph.outputs().iter().zip(&verified.outputs).enumerate() {
            let n: usize = model.graph.node(*id).shape.iter().product();
            for (one, chunk) in inputs.iter().zip(out.data.chunks(n)) {
                let expected = assay_circuits::eval::eval(&model.graph, &model.weights, one).unwrap();
                assert_eq!(expected.outputs(&model.graph)[k].data, chunk);
            }
        }
    }
}

/// The inputs of a batch side by side, in the order of the graph's inputs.
pub fn key_inputs(program: &Program, inputs: &[Vec<Tensor>]) -> Vec<Tensor> {
    let ids = program.graph.inputs();
    ids.iter()
        .enumerate()
        .map(|(k, id)| {
            let data = inputs.iter().flat_map(|one| one[k].data.iter().copied()).collect();
            Tensor::new(program.graph.node(*id).shape.clone(), data).unwrap()
        })
        .collect()
}

/// Every mechanism on a few values: a matrix product with rounding in two limbs and clamps on both sides ("act"), a maximum
/// without clamp ("max"), a second product, and a committed output beside the linear one.
pub fn toy() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1, 3], 4).unwrap();
    let w = g.weight("w", &[3, 2], 3).unwrap();
    let v = g.weight("v", &[2, 1], 3).unwrap();
    let h = g.push("product", Op::Contraction(Contraction::matmul(&[], 1, 3, 2)), &[x, w]).unwrap();
    let h = g.linear("scaled", &[(h, 2)], 5).unwrap();
    let values = [5, -3, 2, 7];
    let act = Table::tabulate("act", -2, 2, |t| values[(t + 2) as usize]);
    let a = g.lookup("act", h, 5, act).unwrap();
    let even = g.push("even", Op::Window(Window::slice(1, 0, 2, 1)), &[a]).unwrap();
    let odd = g.push("odd", Op::Window(Window::slice(1, 1, 2, 1)), &[a]).unwrap();
    let d = g.linear("difference", &[(odd, 1), (even, -1)], 0).unwrap();
    let d = g.lookup("max", d, 0, Table::relu(-16, 5, 15)).unwrap();
    let m = g.linear("maximum", &[(even, 1), (d, 1)], 0).unwrap();
    let y = g.push("dot", Op::Contraction(Contraction::matmul(&[], 1, 2, 1)), &[a, v]).unwrap();
    let y = g.linear("y", &[(y, 1), (m, 3)], 1).unwrap();
    g.finish(vec![x], vec![y, d]).unwrap()
}

/// A key for [`toy`] with rows of eight values, and a batch that reaches both clamps and the table itself.
pub fn toy_key() -> (ProvingKey, Vec<Vec<Tensor>>) {
    let mut m = model(toy(), 1);
    m.weights[0].data = vec![3, -4, 2, 1, -4, 3];
    m.weights[1].data = vec![2, -3];
    let key = key(&m, SetupOptions { row_bits: Some(3), ..Default::default() });
    let rows = [[7, 7, -8], [-8, -8, 7], [1, 2, 3]];
    let inputs = rows.map(|r| vec![Tensor::new(vec![1, 3], r.to_vec()).unwrap()]).to_vec();
    (key, inputs)
}

/// One input, one clamped lookup with one remainder bit, its value public.
pub fn clamp_key(input: i64) -> (ProvingKey, Vec<Vec<Tensor>>) {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1], 5).unwrap();
    let values = [5, -3, 2, 7];
    let y = g.lookup("clamped", x, 1, Table::tabulate("act", -2, 2, |t| values[(t + 2) as usize])).unwrap();
    let graph = g.finish(vec![x], vec![y]).unwrap();
    let key = key(&model(graph, 1), SetupOptions { row_bits: Some(3), ..Default::default() });
    (key, vec![vec![Tensor::new(vec![1], vec![input]).unwrap()]])
}

fn relu(g: &mut GraphBuilder, x: NodeId, shift: u32) -> NodeId {
    // 8-bit activations; worst cases beyond the 2^9 keys are clamped.
    g.lookup("relu", x, shift, Table::relu(-256, 9, 255)).unwrap()
}

/// 12-9-5, biases, clamped lookups.
pub fn mlp() -> Graph {
    let mut g = GraphBuilder::new(6);
    let x = g.input("x", &[1, 12], 8).unwrap();
    let w1 = g.weight("w1", &[12, 9], 8).unwrap();
    let b1 = g.weight("b1", &[1, 9], 8).unwrap();
    let w2 = g.weight("w2", &[9, 5], 8).unwrap();
    let h = g.push("fc1", Op::Contraction(Contraction::matmul(&[], 1, 12, 9)), &[x, w1]).unwrap();
    let h = g.linear("bias", &[(h, 1), (b1, 16)], 3).unwrap();
    let h = relu(&mut g, h, 8);
    let y = g.push("fc2", Op::Contraction(Contraction::matmul(&[], 1, 9, 5)), &[h, w2]).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// Convolution of `[1, c, h, w]` with stride, padding, dilation and groups.
pub fn conv(c: [usize; 3], hw: usize, kernel: usize, stride: i64, dilation: i64, pad: i64) -> Contraction {
    let [groups, ci, co] = c;
    let reach = hw as i64 + 2 * pad - dilation * (kernel as i64 - 1) - 1;
    let out = (reach / stride + 1) as usize;
    // indices: n, g, co, y, x, ci, i, j
    let spatial = |o: usize, k: usize| AxisExpr { terms: vec![(o, stride), (k, dilation)], offset: -pad };
    Contraction {
        extents: vec![1, groups, co, out, out, ci, kernel, kernel],
        lhs: vec![
            AxisExpr::index(0),
            AxisExpr { terms: vec![(1, ci as i64), (5, 1)], offset: 0 },
            spatial(3, 6),
            spatial(4, 7),
        ],
        rhs: vec![
            AxisExpr { terms: vec![(1, co as i64), (2, 1)], offset: 0 },
            AxisExpr::index(5),
            AxisExpr::index(6),
            AxisExpr::index(7),
        ],
        out: vec![
            AxisExpr::index(0),
            AxisExpr { terms: vec![(1, co as i64), (2, 1)], offset: 0 },
            AxisExpr::index(3),
            AxisExpr::index(4),
        ],
    }
}

fn bias(g: &mut GraphBuilder, acc: NodeId) -> NodeId {
    let shape = g.node(acc).shape.clone();
    let b = g.weight("b", &[shape[1]], 8).unwrap();
    let mut b = g.push("b view", Op::Reshape(Reshape { shape: vec![1, shape[1], 1, 1] }), &[b]).unwrap();
    for a in [2, 3] {
        b = g.push("b wide", Op::Window(Window::broadcast(a, shape[a])), &[b]).unwrap();
    }
    g.linear("biased", &[(acc, 1), (b, 32)], 0).unwrap()
}

/// Pairwise maximum over windows of two, along both spatial axes.
fn max_pool(g: &mut GraphBuilder, mut x: NodeId) -> NodeId {
    for a in [2, 3] {
        let n = g.node(x).shape[a] / 2;
        let even = g.push("even", Op::Window(Window::slice(a, 0, 2, n)), &[x]).unwrap();
        let odd = g.push("odd", Op::Window(Window::slice(a, 1, 2, n)), &[x]).unwrap();
        let d = g.linear("difference", &[(odd, 1), (even, -1)], 0).unwrap();
        let d = g.lookup("max", d, 0, Table::relu(-256, 9, 255)).unwrap();
        x = g.linear("maximum", &[(even, 1), (d, 1)], 0).unwrap();
    }
    x
}

/// Convolutions (stride, dilation, depthwise), max pooling, a residual sum, average pooling, flatten, dense.
pub fn cnn() -> Graph {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[1, 3, 11, 11], 8).unwrap();
    let w = g.weight("w1", &[6, 3, 3, 3], 8).unwrap();
    let h = g.push("conv1", Op::Contraction(conv([1, 3, 6], 11, 3, 1, 2, 2)), &[x, w]).unwrap();
    let h = bias(&mut g, h);
    let h = relu(&mut g, h, 9);
    let h = g.push("crop", Op::Window(Window::slice(2, 1, 1, 10)), &[h]).unwrap();
    let h = g.push("crop", Op::Window(Window::slice(3, 0, 1, 10)), &[h]).unwrap();
    let h = max_pool(&mut g, h);
    let w = g.weight("depthwise", &[6, 1, 3, 3], 8).unwrap();
    let d = g.push("conv2", Op::Contraction(conv([6, 1, 1], 5, 3, 1, 1, 1)), &[h, w]).unwrap();
    let d = bias(&mut g, d);
    let d = g.linear("skip", &[(d, 1), (h, 128)], 0).unwrap();
    let d = relu(&mut g, d, 7);
    let w = g.weight("grouped", &[4, 3, 3, 3], 8).unwrap();
    let e = g.push("conv3", Op::Contraction(conv([2, 3, 2], 5, 3, 2, 1, 1)), &[d, w]).unwrap();
    let e = relu(&mut g, e, 8);
    // [1, 4, 3, 3]
    let p = g
        .push("pool", Op::Window(Window { axis: 2, len: 2, stride: 1, kernel: 2, dilation: 1, offset: 0 }), &[e])
        .unwrap();
    let p = g.push("weighted", Op::AxisScale(AxisScale { axis: 2, factors: vec![2, 3] }), &[p]).unwrap();
    let p = g.lookup("round", p, 2, Table::tabulate("clamp", -512, 10, |t| t.clamp(-256, 255) as i32)).unwrap();
    let f = g.push("flatten", Op::Reshape(Reshape { shape: vec![1, 24] }), &[p]).unwrap();
    let w = g.weight("fc", &[24, 5], 8).unwrap();
    let y = g.push("dense", Op::Contraction(Contraction::matmul(&[], 1, 24, 5)), &[f, w]).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// Two inputs, a batched product of variables, an elementwise square, transpose, concat, two outputs.
pub fn mixed() -> Graph {
    let mut g = GraphBuilder::new(5);
    let a = g.input("a", &[2, 3, 5], 7).unwrap();
    let b = g.input("b", &[2, 5, 4], 7).unwrap();
    let m = g.push("product", Op::Contraction(Contraction::matmul(&[2], 3, 5, 4)), &[a, b]).unwrap();
    let m = g.lookup("round", m, 6, Table::tabulate("clamp", -256, 9, |t| t as i32)).unwrap();
    let t = g.push("swap", Op::Transpose(Transpose { permutation: vec![0, 2, 1] }), &[m]).unwrap();
    let s = g.push("square", Op::Contraction(Contraction::elementwise(&[2, 4, 3])), &[t, t]).unwrap();
    let s = g.lookup("odd function", s, 5, Table::tabulate("cube", -64, 8, |t| (t * t % 91) as i32)).unwrap();
    let c = g.push("join", Op::Concat(Concat { axis: 1 }), &[t, s]).unwrap();
    let r = g.push("total", Op::Window(Window::reduce(1, 8)), &[c]).unwrap();
    let l = g.push("last", Op::Reshape(Reshape { shape: vec![6, 1] }), &[r]).unwrap();
    g.finish(vec![a, b], vec![l, s]).unwrap()
}
