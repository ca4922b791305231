//! Pulling a claim back changes nothing: `<op(x), w> = <x, pullback(w)> + constant`, for every operator and for the random
//! weights of rank-one and joint functionals; and a contraction's rows give `<out, w> = sum_x A(x) B(x)`.

mod support;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    GraphBuilder, NodeId, Op, Ring, Tensor,
    eval::eval,
    ops::{AxisExpr, AxisScale, Concat, Contraction, Remap, Reshape, Transpose, Window, contraction::Side},
    pullback::{Term, pull_back},
    ring::index_bits,
};
use proptest::prelude::*;
use support::Rng;

/// Checks the identity for a graph whose inputs are the committed tensors.
fn check(g: GraphBuilder, inputs: Vec<NodeId>, out: NodeId, seed: u64, joint: bool) {
    let graph = g.finish(inputs.clone(), vec![out]).unwrap();
    let mut rng = Rng(seed);
    let tensors: Vec<Tensor> = inputs.iter().map(|i| rng.tensor(&graph.node(*i).shape)).collect();
    let values = eval(&graph, &[], &tensors).unwrap();
    let functional = rng.functional(&graph.node(out).shape, joint);
    functional.validate(&graph.node(out).shape).unwrap();
    let coefficient = rng.field();
    let claimed = coefficient * functional.pair_integers(&graph.node(out).shape, &values.of(out).data).unwrap();
    let pulled = pull_back(&graph, vec![Term { node: out, coefficient, functional }]).unwrap();
    let mut sum = pulled.constant;
    for t in &pulled.committed {
        let shape = &graph.node(t.node).shape;
        t.functional.validate(shape).unwrap();
        sum += t.coefficient * t.functional.pair_integers(shape, &values.of(t.node).data).unwrap();
    }
    for t in &pulled.bilinear {
        sum += t.coefficient * contraction_sum(&graph, t, &values);
    }
    assert_eq!(sum, claimed);
}

/// `sum_x A(x) B(x)` from the rows, at every corner of the shared indices.
fn contraction_sum(graph: &assay_circuits::Graph, t: &Term<Fr>, values: &assay_circuits::eval::Values<'_>) -> Fr {
    let node = graph.node(t.node);
    let Op::Contraction(c) = &node.op else { unreachable!() };
    let shapes = [&graph.node(node.inputs[0]).shape, &graph.node(node.inputs[1]).shape];
    let rows =
        [c.rows(Side::Lhs, shapes[0], &t.functional).unwrap(), c.rows(Side::Rhs, shapes[1], &t.functional).unwrap()];
    let bits: usize = c.variables().iter().map(|i| index_bits(c.extents[*i])).sum();
    let mut acc = Fr::ZERO;
    for corner in 0..1usize << bits {
        let point: Vec<Fr> = (0..bits).map(|k| Fr::from((corner >> (bits - 1 - k) & 1) as u64)).collect();
        let side = |s: usize| {
            let f = c.operand_functional(&rows[s], &point);
            f.validate(shapes[s]).unwrap();
            f.pair_integers(shapes[s], &values.of(node.inputs[s]).data).unwrap()
        };
        acc += side(0) * side(1);
    }
    acc
}

fn unary(shape: &[usize], ops: Vec<Op>, seed: u64, joint: bool) {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", shape, 8).unwrap();
    let mut h = x;
    for op in ops {
        h = g.push("op", op, &[h]).unwrap();
    }
    check(g, vec![x], h, seed, joint);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn linear_operators(
        d in prop::array::uniform3(1usize..5),
        axis in 0usize..3,
        stride in -2i64..4,
        kernel in 1usize..4,
        dilation in 1i64..3,
        offset in -3i64..3,
        len in 1usize..6,
        seed: u64,
        joint: bool,
    ) {
        let window = || Op::Window(Window { axis, len, stride, kernel, dilation, offset });
        unary(&d, vec![window()], seed, joint);
        unary(&d, vec![Op::Transpose(Transpose { permutation: Rng(seed).permutation(3) })], seed, joint);
        let factors: Vec<i64> = (0..d[axis] as i64).map(|i| 3 * i - 4).collect();
        unary(&d, vec![Op::AxisScale(AxisScale { axis, factors })], seed, joint);
        let mut rng = Rng(seed);
        let entry = |rng: &mut Rng| (rng.below(d[axis]) as u32, rng.within(-5, 5));
        let rows: Vec<Vec<(u32, i64)>> = (0..len).map(|_| (0..rng.below(4)).map(|_| entry(&mut rng)).collect()).collect();
        let remap = Remap { axis, rows };
        unary(&d, vec![Op::Remap(remap.clone())], seed, joint);
        unary(&d, vec![Op::Remap(remap), Op::Transpose(Transpose { permutation: Rng(seed).permutation(3) })], seed, joint);
        let total = d.iter().product::<usize>();
        for shape in [vec![total], vec![d[0] * d[1], d[2]], vec![d[0], 1, d[1] * d[2]], vec![1, total, 1], vec![d[2], d[1], d[0]]] {
            unary(&d, vec![Op::Reshape(Reshape { shape: shape.clone() })], seed, joint);
            // A view of a view, through factors that span axes.
            let chain = vec![
                window(),
                Op::Transpose(Transpose { permutation: Rng(seed).permutation(3) }),
            ];
            unary(&d, chain, seed, joint);
        }
        let flat = vec![
            Op::Transpose(Transpose { permutation: Rng(seed).permutation(3) }),
            Op::Reshape(Reshape { shape: vec![total] }),
            Op::Window(Window::slice(0, 0, 1, total.div_ceil(2))),
        ];
        unary(&d, flat, seed, joint);
    }

    #[test]
    fn several_inputs(d in prop::array::uniform3(1usize..4), extra in 1usize..4, axis in 0usize..3, seed: u64, joint: bool) {
        let mut g = GraphBuilder::new(8);
        let mut other = d;
        other[axis] = extra;
        let (x, y) = (g.input("x", &d, 8).unwrap(), g.input("y", &other, 8).unwrap());
        let joined = g.push("join", Op::Concat(Concat { axis }), &[x, y, x]).unwrap();
        check(g, vec![x, y], joined, seed, joint);
        let mut g = GraphBuilder::new(8);
        let (x, y) = (g.input("x", &d, 8).unwrap(), g.input("y", &d, 8).unwrap());
        let sum = g.linear("sum", &[(x, 3), (y, -5), (x, 0), (x, 1)], 11).unwrap();
        check(g, vec![x, y], sum, seed, joint);
    }

    #[test]
    fn contractions(
        b in 1usize..3, m in 1usize..4, k in 1usize..6, n in 1usize..4,
        groups in 1usize..3, ci in 1usize..3, co in 1usize..3,
        hw in 3usize..6, kernel in 1usize..4, stride in 1i64..3, dilation in 1i64..3, pad in 0i64..3,
        seed: u64,
    ) {
        let mut g = GraphBuilder::new(8);
        let (x, y) = (g.input("x", &[b, m, k], 8).unwrap(), g.input("y", &[b, k, n], 8).unwrap());
        let out = g.push("matmul", Op::Contraction(Contraction::matmul(&[b], m, k, n)), &[x, y]).unwrap();
        check(g, vec![x, y], out, seed, false);

        let mut g = GraphBuilder::new(8);
        let x = g.input("x", &[b, m, k], 8).unwrap();
        let out = g.push("square", Op::Contraction(Contraction::elementwise(&[b, m, k])), &[x, x]).unwrap();
        check(g, vec![x], out, seed, false);

        // A grouped convolution.
        let reach = hw as i64 + 2 * pad - dilation * (kernel as i64 - 1) - 1;
        prop_assume!(reach >= 0);
        let out_len = (reach / stride + 1) as usize;
        let pair = |a: usize, s: i64, b: usize| AxisExpr { terms: vec![(a, s), (b, 1)], offset: 0 };
        let conv = Contraction {
            extents: vec![groups, co, out_len, ci, kernel],
            lhs: vec![
                pair(0, ci as i64, 3),
                AxisExpr { terms: vec![(2, stride), (4, dilation)], offset: -pad },
            ],
            rhs: vec![pair(0, co as i64, 1), AxisExpr::index(3), AxisExpr::index(4)],
            out: vec![pair(0, co as i64, 1), AxisExpr::index(2)],
        };
        let mut g = GraphBuilder::new(8);
        let x = g.input("x", &[groups * ci, hw], 8).unwrap();
        let w = g.input("w", &[groups * co, ci, kernel], 8).unwrap();
        let out = g.push("conv", Op::Contraction(conv), &[x, w]).unwrap();
        check(g, vec![x, w], out, seed, false);
    }
}

#[test]
fn powers_of_two_invert() {
    for k in [0, 1, 7, 40] {
        let (up, down): (Fr, Fr) = (Ring::pow2(k), Ring::pow2(-k));
        assert_eq!(up * down, Fr::ONE);
        assert_eq!(up, Fr::from(1u64 << k));
    }
}
