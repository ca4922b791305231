//! For every operator, on shapes and parameters drawn at random: the true output proves, and a prover who believes in a
//! false one is refused, whatever else it makes up. It is the second prover of `support/forge`, and it works with the
//! verifier's own functionals, closed forms included: where such a form is not that of the operator, the output that the form
//! implies is accepted. So was a reversal that returns its input.

use crate::{draw, settle_support, support};

use assay_circuits::{
    Graph, GraphBuilder, NodeId, Op, Table, Tensor, Visibility,
    ops::{AxisExpr, AxisScale, Concat, Contraction, Remap, Reshape, Transpose, Window},
};
use assay_prover::{Recorder, SetupOptions, device::Cpu, prove, srs::Srs};
use assay_verifier::core::verify;
use draw::{Rng, draw_contraction};
use proptest::prelude::*;
use settle_support::Lab;
use support::{
    forge::{Forge, Lie},
    inputs, model,
};

/// What the last operator's output goes through before it is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing: claims on it have weights of the powers of zeta.
    Public,
    /// A lookup: claims on its key have the weights of an eq table.
    Lookup,
}

fn convolution(rng: &mut Rng) -> (Contraction, [Vec<usize>; 2]) {
    loop {
        let (ci, co) = (1 + rng.below(2), 1 + rng.below(2));
        let mut c = Contraction {
            extents: vec![ci, co],
            lhs: vec![AxisExpr::index(0)],
            rhs: vec![AxisExpr::index(1), AxisExpr::index(0)],
            out: vec![AxisExpr::index(1)],
        };
        let mut shapes = [vec![ci], vec![co, ci]];
        for _ in 0..2 {
            let (n, kernel) = (1 + rng.below(5), 1 + rng.below(2));
            let (stride, dilation, pad) = (rng.within(1, 3), rng.within(1, 2), rng.within(0, 2));
            let reach = n as i64 + pad + rng.within(0, 2) - dilation * (kernel as i64 - 1) - 1;
            let o = c.extents.len();
            c.extents.push((reach.max(0) / stride + 1) as usize);
            let mut terms = vec![(o, stride)];
            // As the importer does it, indices of extent one are left out.
            if kernel > 1 {
                c.extents.push(kernel);
                terms.push((o + 1, dilation));
                c.rhs.push(AxisExpr::index(o + 1));
            } else {
                c.rhs.push(AxisExpr::unit());
            }
            c.lhs.push(AxisExpr { terms, offset: -pad });
            c.out.push(AxisExpr::index(o));
            shapes[0].push(n);
            shapes[1].push(kernel);
        }
        if Op::Contraction(c.clone()).infer(&[&shapes[0], &shapes[1]], &[]).is_ok() {
            return (c, shapes);
        }
    }
}

/// Every kind of operator in turn, by number; the node of its output.
fn operator(g: &mut GraphBuilder, kind: usize, rng: &mut Rng) -> (Vec<NodeId>, NodeId) {
    if kind < 3 {
        let (c, shapes) = if kind == 0 { convolution(rng) } else { draw_contraction(rng) };
        let x = g.input("x", &shapes[0], 4).unwrap();
        let y = if kind == 2 { g.input("y", &shapes[1], 4) } else { g.weight("w", &shapes[1], 4) }.unwrap();
        let h = g.push("contraction", Op::Contraction(c), &[x, y]).unwrap();
        return (if kind == 2 { vec![x, y] } else { vec![x] }, h);
    }
    let shape: Vec<usize> = (0..1 + rng.below(3)).map(|_| [1, 2, 3, 4, 5][rng.below(5)]).collect();
    let axis = rng.below(shape.len());
    let extent = shape[axis];
    let x = g.input("x", &shape, 4).unwrap();
    let op = match kind {
        3 => Op::Reshape(Reshape { shape: rng.factorization(shape.iter().product()) }),
        4 => Op::Transpose(Transpose { permutation: rng.permutation(shape.len()) }),
        5 => Op::Window(Window::slice(axis, extent as i64 - 1, -1, extent)),
        6 => Op::Window(Window {
            axis,
            len: 1 + rng.below(5),
            stride: rng.within(-2, 3),
            kernel: 1 + rng.below(3),
            dilation: rng.within(-1, 2),
            offset: rng.within(-2, 3),
        }),
        7 => Op::AxisScale(AxisScale { axis, factors: (0..extent).map(|_| rng.within(-3, 3)).collect() }),
        8 => {
            let entry = |rng: &mut Rng| (rng.below(extent) as u32, rng.within(-3, 3));
            let rows = (0..1 + rng.below(5)).map(|_| (0..rng.below(3)).map(|_| entry(rng)).collect()).collect();
            Op::Remap(Remap { axis, rows })
        }
        9 => {
            let w = g.weight("w", &shape, 4).unwrap();
            let h = g.linear("sum", &[(x, rng.within(-3, 3)), (w, 2), (x, 1)], rng.within(-9, 9)).unwrap();
            return (vec![x], h);
        }
        _ => {
            let mut other = shape.clone();
            other[axis] = 1 + rng.below(3);
            let w = g.weight("w", &other, 4).unwrap();
            let h = g.push("concat", Op::Concat(Concat { axis }), &[x, w, x]).unwrap();
            return (vec![x], h);
        }
    };
    let h = g.push("operator", op, &[x]).unwrap();
    (vec![x], h)
}

const KINDS: usize = 11;

fn graph(kind: usize, end: End, rng: &mut Rng) -> (Graph, NodeId) {
    let mut g = GraphBuilder::new(4);
    let (inputs, h) = operator(&mut g, kind, rng);
    let out = match end {
        End::Public => h,
        End::Lookup => g.lookup("end", h, 0, Table::tabulate("clamp", -256, 9, |t| t as i32)).unwrap(),
    };
    (g.finish(inputs, vec![out]).unwrap(), h)
}

/// False outputs in the place of a true one: the first input's entries as they are, backwards, and small changes.
fn false_values(truth: &Tensor, first: &Tensor, rng: &mut Rng) -> Vec<Tensor> {
    let n = truth.data.len();
    let mut lies = vec![truth.data.clone(); 4];
    lies[0][rng.below(n)] += rng.within(1, 3);
    lies[1].reverse();
    lies[2].rotate_left(1);
    lies[3].iter_mut().for_each(|v| *v = 0);
    lies.push(first.data.iter().copied().cycle().take(n).collect());
    lies.push(first.data.iter().rev().copied().cycle().take(n).collect());
    let wrong = lies.into_iter().filter(|data| *data != truth.data);
    wrong.map(|data| Tensor::new(truth.shape.clone(), data).unwrap()).collect()
}

fn cheat(kind: usize, end: End, seed: u64) {
    let mut rng = Rng(seed);
    let (graph, h) = graph(kind, end, &mut rng);
    let what = format!("{:?} with {end:?}", graph.node(h).op);
    let m = model(graph, seed);
    let batch = 1 + rng.below(2);
    let visibility = Visibility { inputs: rng.below(2) == 0, ..Default::default() };
    let key = assay_prover::setup(
        &Cpu::default(),
        &m,
        powers(),
        SetupOptions { row_bits: Some(3), visibility },
        &Recorder::default(),
    )
    .unwrap();
    let inputs = inputs(&m, batch, seed ^ 0x5eed);
    // True outputs prove, with the real prover.
    let proved = prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
    verify(&key.verifying, &proved.proof).unwrap_or_else(|e| panic!("{what}: a true output is refused: {e}"));

    let honest = Forge::inference(&key, &inputs);
    let values = honest.values();
    let (truth, first) = (values[h.0].clone().unwrap(), values[0].clone().unwrap());
    for lie in false_values(&truth, &first, &mut rng) {
        let mut forge = honest.clone();
        forge.claimed.insert(h.0, lie);
        forge.rederive(&[]);
        if forge.public == honest.public {
            continue;
        }
        for lie in [Lie::Truth, Lie::Leaves, Lie::Sum, Lie::Witness] {
            // A forger who divides by a weight of zero has nothing to send.
            let verdict = std::panic::catch_unwind(|| forge.with(lie).verdict(&key.verifying));
            assert!(!matches!(verdict, Ok(Ok(()))), "{what}: a false output is accepted ({lie:?})");
        }
    }
}

fn powers() -> &'static Srs {
    static POWERS: std::sync::OnceLock<Srs> = std::sync::OnceLock::new();
    POWERS.get_or_init(support::srs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, failure_persistence: None, ..Default::default() })]

    #[test]
    fn false_outputs_are_refused(seed: u64) {
        for kind in 0..KINDS {
            cheat(kind, if seed % 3 == 0 { End::Public } else { End::Lookup }, seed.wrapping_add(kind as u64));
        }
    }
}

fn one_contraction(c: Contraction, lhs: &[usize], rhs: &[usize]) -> (Graph, NodeId) {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", lhs, 4).unwrap();
    let w = g.weight("w", rhs, 4).unwrap();
    let h = g.push("contraction", Op::Contraction(c), &[x, w]).unwrap();
    let y = g.lookup("end", h, 0, Table::tabulate("clamp", -256, 9, |t| t as i32)).unwrap();
    (g.finish(vec![x], vec![y]).unwrap(), h)
}

/// The cases that were accepted when false or refused when true.
fn known() -> Vec<(&'static str, Graph, NodeId)> {
    let spatial = |terms: &[(usize, i64)], offset| AxisExpr { terms: terms.to_vec(), offset };
    let conv = |extents: &[usize], y: AxisExpr, x: AxisExpr, rhs: [AxisExpr; 2]| Contraction {
        extents: extents.to_vec(),
        lhs: vec![y, x],
        rhs: rhs.to_vec(),
        out: vec![AxisExpr::index(0), AxisExpr::index(1)],
    };
    let unit = AxisExpr::unit;
    let reversal = Contraction {
        extents: vec![4],
        lhs: vec![spatial(&[(0, -1)], 3)],
        rhs: vec![unit()],
        out: vec![AxisExpr::index(0)],
    };
    let same_upper = conv(&[2, 2], spatial(&[(0, 2)], 0), spatial(&[(1, 2)], 0), [unit(), unit()]);
    let padded = conv(&[3, 3], spatial(&[(0, 2)], -1), spatial(&[(1, 2)], -1), [unit(), unit()]);
    let wide = conv(&[2, 3, 3], spatial(&[(0, 2)], 0), spatial(&[(1, 1), (2, 1)], -1), [unit(), AxisExpr::index(2)]);
    [
        ("a reversal", reversal, vec![4], vec![1]),
        ("1x1 with stride 2, SAME_UPPER", same_upper, vec![3, 4], vec![1, 1]),
        ("1x1 with stride 2 and padding 1", padded, vec![3, 3], vec![1, 1]),
        ("1x3 with strides 2 and 1", wide, vec![4, 3], vec![1, 3]),
    ]
    .into_iter()
    .map(|(what, c, lhs, rhs)| {
        let (graph, h) = one_contraction(c, &lhs, &rhs);
        (what, graph, h)
    })
    .collect()
}

#[test]
fn strided_and_shifted_axes_prove_what_they_compute() {
    for (what, graph, h) in known() {
        let m = model(graph, 3);
        let key = support::key(&m, SetupOptions { row_bits: Some(3), ..Default::default() });
        let inputs = inputs(&m, 1, 5);
        let proved = prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
        verify(&key.verifying, &proved.proof).unwrap_or_else(|e| panic!("{what}: {e}"));
        let honest = Forge::inference(&key, &inputs);
        let mut forge = honest.clone();
        let n: usize = m.graph.node(h).shape.iter().product();
        let weight = m.weights[0].data[0];
        // What the identity would give.
        let identity: Vec<i64> = inputs[0][0].data.iter().map(|v| v * weight).cycle().take(n).collect();
        forge.claimed.insert(h.0, Tensor::new(honest.values()[h.0].clone().unwrap().shape, identity).unwrap());
        forge.rederive(&[]);
        assert_ne!(forge.public, honest.public, "{what}");
        for lie in [Lie::Truth, Lie::Leaves, Lie::Sum] {
            forge.with(lie).verdict(&key.verifying).expect_err(what);
        }
    }
}

/// The same with settled proofs: true outputs settle, and a prover who believes in false ones does not convince.
#[test]
fn settled_outputs_are_what_the_operators_compute() {
    let mut all: Vec<(String, Graph, NodeId)> =
        known().into_iter().skip(1).take(1).map(|(w, g, h)| (w.to_owned(), g, h)).collect();
    let kind = 6;
    let (graph, h) = graph(kind, End::Lookup, &mut Rng(77 + kind as u64));
    all.push((format!("{:?}", graph.node(h).op), graph, h));
    let powers = Srs::development(13, 7).unwrap();
    for (what, graph, h) in all {
        let m = model(graph, 3);
        let inputs = inputs(&m, 1, 5);
        let lab = Lab::new(m, powers.clone(), 1, 3, Visibility::default());
        let side = &lab.inference;
        let made = side.prove(lab.claim(&inputs));
        side.check(&made.committed.claim, &made.argument).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut claim = lab.claim(&inputs);
        let mut values = claim.values.clone();
        values.0[h.0].to_mut().data.reverse();
        values.0[h.0].to_mut().data[0] += 1;
        let end = side.program.graph.nodes().len() - 1;
        values.0[end].to_mut().data = values.0[h.0].data.iter().map(|v| (*v).clamp(-256, 255)).collect();
        claim.public = vec![values.0[end].data.clone()];
        claim.witness = assay_prover::witness::Witness::build(&side.program, &values).unwrap();
        claim.values = values;
        let made = side.prove(claim);
        side.check(&made.committed.claim, &made.argument).expect_err(&what);
    }
}
