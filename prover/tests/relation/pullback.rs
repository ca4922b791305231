//! Claims are carried back exactly: for random graphs and random functionals, `<out, w>` is the sum of the claims on the
//! committed tensors that the pullback names.

use crate::support;

use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    Functional, GraphBuilder, GraphError, NodeId, Op, Ring, Table, Tensor, Visibility,
    eval::{Values, eval},
    graph::Graph,
    ops::{AxisExpr, AxisScale, Concat, Contraction, Remap, Reshape, Transpose, Window, contraction::Side},
    pullback::{Term, pull_back},
};
use assay_prover::SetupOptions;
use assay_verifier::Fr;
use proptest::prelude::*;
use support::{Lcg, forge::Forge, key, model};

fn element(rng: &mut Lcg) -> Fr {
    Fr::from(rng.next()) * Fr::from(rng.next()) + Fr::from(rng.next())
}

fn pick<T: Copy>(rng: &mut Lcg, items: &[T]) -> T {
    items[rng.next() as usize % items.len()]
}

fn below(rng: &mut Lcg, n: usize) -> usize {
    rng.next() as usize % n.max(1)
}

fn functional(rng: &mut Lcg, shape: &[usize]) -> Functional<Fr> {
    Functional::from_axes(shape.iter().map(|d| (0..*d).map(|_| element(rng)).collect()).collect())
}

/// `<value of node, f>` through the claims that `pull_back` gives, contractions by their rows.
fn through_claims(graph: &Graph, values: &Values<'_>, node: NodeId, f: Functional<Fr>) -> Result<Fr, GraphError> {
    let pulled = pull_back(graph, vec![Term { node, coefficient: Fr::ONE, functional: f }])?;
    let fr = |t: &Tensor| t.data.iter().map(|v| Fr::from_i128(i128::from(*v))).collect::<Vec<Fr>>();
    let mut sum = pulled.constant;
    for t in &pulled.committed {
        let shape = &graph.node(t.node).shape;
        t.functional.validate(shape).unwrap();
        sum += t.coefficient * t.functional.pair(shape, fr(values.of(t.node))).unwrap();
    }
    for t in &pulled.bilinear {
        let node = graph.node(t.node);
        let Op::Contraction(c) = &node.op else { unreachable!() };
        let mut operands = Vec::new();
        for (side, input) in [(Side::Lhs, node.inputs[0]), (Side::Rhs, node.inputs[1])] {
            let shape = &graph.node(input).shape;
            let rows = c.rows(side, shape, &t.functional)?;
            let corner = |x: usize| {
                let point: Vec<Fr> = (0..c.rounds()).rev().map(|b| Fr::from((x >> b & 1) as u64)).collect();
                through_claims(graph, values, input, c.operand_functional(&rows, &point))
            };
            operands.push((0..1 << c.rounds()).map(corner).collect::<Result<Vec<Fr>, _>>()?);
        }
        let products: Fr = operands[0].iter().zip(&operands[1]).map(|(a, b)| *a * b).sum();
        sum += t.coefficient * products;
    }
    Ok(sum)
}

fn factorization(rng: &mut Lcg, mut n: usize) -> Vec<usize> {
    let mut out = vec![];
    for p in [2, 3, 5, 7] {
        while n.is_multiple_of(p) {
            out.push(p);
            n /= p;
        }
    }
    if n > 1 {
        out.push(n);
    }
    while out.len() > 1 && rng.next().is_multiple_of(2) {
        let k = below(rng, out.len() - 1);
        out[k] *= out.remove(k + 1);
    }
    for _ in 0..below(rng, 3) {
        let k = below(rng, out.len() + 1);
        out.insert(k, 1);
    }
    out
}

fn window(rng: &mut Lcg, axis: usize, extent: usize) -> Window {
    let len = 1 + below(rng, 4);
    match below(rng, 5) {
        0 => Window::pad(axis, extent, below(rng, 3), below(rng, 2)),
        1 => Window::reduce(axis, extent),
        2 if extent == 1 => Window::broadcast(axis, len),
        3 => Window::slice(axis, extent as i64 - 1, -1, extent),
        _ => Window {
            axis,
            len,
            stride: pick(rng, &[0, 1, 2, -1]),
            kernel: 1 + below(rng, 3),
            dilation: pick(rng, &[0, 1, 2, -1]),
            offset: pick(rng, &[-2, 0, 1, 3]),
        },
    }
}

/// Adds one random operator on nodes so far; `None` where the graph's rules forbid it.
fn grow(rng: &mut Lcg, g: &mut GraphBuilder) -> Option<NodeId> {
    let last = NodeId(g.len() - 1);
    let a = if rng.next().is_multiple_of(3) { NodeId(below(rng, g.len())) } else { last };
    let shape = g.node(a).shape.clone();
    let total: usize = shape.iter().product();
    if total > 60 {
        return None;
    }
    let axis = below(rng, shape.len());
    let same: Vec<NodeId> = (0..g.len()).map(NodeId).filter(|i| g.node(*i).shape == shape).collect();
    let b = pick(rng, &same);
    match below(rng, 11) {
        10 if !shape.is_empty() => {
            let entry = |rng: &mut Lcg| (below(rng, shape[axis]) as u32, rng.next() as i64 % 5 - 2);
            let rows = (0..1 + below(rng, 5)).map(|_| (0..below(rng, 3)).map(|_| entry(rng)).collect()).collect();
            g.push("remap", Op::Remap(Remap { axis, rows }), &[a]).ok()
        }
        0 | 1 => g.push("reshape", Op::Reshape(Reshape { shape: factorization(rng, total) }), &[a]).ok(),
        2 => {
            let mut permutation: Vec<usize> = (0..shape.len()).collect();
            for i in (1..permutation.len()).rev() {
                permutation.swap(i, below(rng, i + 1));
            }
            g.push("transpose", Op::Transpose(Transpose { permutation }), &[a]).ok()
        }
        3 | 4 if !shape.is_empty() => g.push("window", Op::Window(window(rng, axis, shape[axis])), &[a]).ok(),
        5 if !shape.is_empty() => {
            let factors = (0..shape[axis]).map(|_| rng.next() as i64 % 7 - 3).collect();
            g.push("scale", Op::AxisScale(AxisScale { axis, factors }), &[a]).ok()
        }
        6 => {
            let c = [1, -1, 3, 0];
            g.linear("linear", &[(a, pick(rng, &c)), (b, pick(rng, &c))], pick(rng, &[0, 2, -5])).ok()
        }
        7 if !shape.is_empty() => g.push("concat", Op::Concat(Concat { axis }), &[a, b, a]).ok(),
        8 => {
            let c = match shape.as_slice() {
                // A row of sums: out[i] = sum_j a[i, j] b[i, j].
                [m, k] if rng.next().is_multiple_of(2) => Contraction {
                    extents: vec![*m, *k],
                    lhs: vec![AxisExpr::index(0), AxisExpr::index(1)],
                    rhs: vec![AxisExpr::index(0), AxisExpr::index(1)],
                    out: vec![AxisExpr::index(0)],
                },
                // A product with the transpose, the second operand reversed along its rows.
                [m, k] => Contraction {
                    extents: vec![*m, *k, *m],
                    lhs: vec![AxisExpr::index(0), AxisExpr::index(1)],
                    rhs: vec![AxisExpr { terms: vec![(2, -1)], offset: *m as i64 - 1 }, AxisExpr::index(1)],
                    out: vec![AxisExpr::index(2), AxisExpr::index(0)],
                },
                // A convolution of full overlap, and a product that leaves no axis.
                [n] if rng.next().is_multiple_of(2) => Contraction {
                    extents: vec![2 * n - 1, *n],
                    lhs: vec![AxisExpr { terms: vec![(0, 1), (1, -1)], offset: 0 }],
                    rhs: vec![AxisExpr::index(1)],
                    out: vec![AxisExpr::index(0)],
                },
                [n] => Contraction {
                    extents: vec![*n],
                    lhs: vec![AxisExpr::index(0)],
                    rhs: vec![AxisExpr::index(0)],
                    out: vec![],
                },
                _ => Contraction::elementwise(&shape),
            };
            g.push("contraction", Op::Contraction(c), &[a, b]).ok()
        }
        _ => g.lookup("lookup", a, 3, Table::tabulate("mod", -8, 4, |t| (t * 5 % 7) as i32)).ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]
    #[test]
    fn claims_are_carried_back_exactly(seed in any::<u64>()) {
        let mut rng = Lcg(seed);
        let mut g = GraphBuilder::new(4);
        let shapes: [&[usize]; 5] = [&[2, 3], &[6], &[1, 4, 3], &[5, 1], &[]];
        let x = g.input("x", pick(&mut rng, &shapes), 4).unwrap();
        g.weight("w", pick(&mut rng, &shapes), 3).unwrap();
        for _ in 0..10 {
            grow(&mut rng, &mut g);
        }
        let last = NodeId(g.len() - 1);
        let graph = g.finish(vec![x], vec![last]).unwrap();
        let m = model(graph, rng.next());
        let values = eval(&m.graph, &m.weights, &support::inputs(&m, 1, rng.next())[0]).unwrap();
        for node in (0..m.graph.nodes().len()).map(NodeId) {
            let value = values.of(node);
            let f = functional(&mut rng, &value.shape);
            let expected: Fr = f.pair_integers(&value.shape, &value.data).unwrap();
            match through_claims(&m.graph, &values, node, f) {
                Ok(v) => prop_assert_eq!(v, expected, "node {:?} of {:?}", node, m.graph),
                // Axes that a reshape has tied together cannot be taken apart again.
                Err(GraphError::AtNode { source, .. }) if matches!(*source, GraphError::Pullback(_)) => {}
                Err(GraphError::Pullback(_)) => {}
                Err(e) => panic!("{e}"),
            }
        }
    }
}

/// A constant that passes through a tensor without axes, then gets a factor of five and joins the input.
fn through_rank_zero(scalar: impl Fn(&mut GraphBuilder) -> NodeId) -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1], 4).unwrap();
    let c = scalar(&mut g);
    assert!(g.node(c).shape.is_empty());
    let c = g.push("vector", Op::Reshape(Reshape { shape: vec![1] }), &[c]).unwrap();
    let c = g.push("times five", Op::AxisScale(AxisScale { axis: 0, factors: vec![5] }), &[c]).unwrap();
    let y = g.linear("y", &[(x, 1), (c, 1)], 0).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// The weight of a claim on a tensor without axes is not lost on the way.
#[test]
fn tensors_without_axes_keep_their_claims() {
    let reshaped = through_rank_zero(|g| {
        let c = g.weight("c", &[1], 4).unwrap();
        g.push("scalar", Op::Reshape(Reshape { shape: vec![] }), &[c]).unwrap()
    });
    let product = through_rank_zero(|g| {
        let c = g.weight("c", &[1], 4).unwrap();
        let dot =
            Contraction { extents: vec![1], lhs: vec![AxisExpr::index(0)], rhs: vec![AxisExpr::index(0)], out: vec![] };
        g.push("dot", Op::Contraction(dot), &[c, c]).unwrap()
    });
    let committed = through_rank_zero(|g| g.weight("c", &[], 4).unwrap());
    let options = SetupOptions { row_bits: Some(3), visibility: Visibility { inputs: true, ..Default::default() } };
    for (graph, factor) in [(reshaped, 5), (product, 15), (committed, 5)] {
        let mut m = model(graph, 1);
        m.weights[0].data = vec![3];
        let key = key(&m, options);
        let input = vec![vec![Tensor::new(vec![1], vec![2]).unwrap()]];
        let honest = Forge::inference(&key, &input);
        assert_eq!(honest.public, [vec![2], vec![2 + factor * 3]]);
        honest.verdict(&key.verifying).unwrap();
        for claimed in [2 + 3, 2 + 9, 2] {
            let mut forge = honest.clone();
            forge.public[1] = vec![claimed];
            forge.verdict(&key.verifying).unwrap_err();
        }
    }
}

/// A functional of no axes pairs with the one value.
#[test]
fn the_functional_of_a_scalar_is_its_value() {
    let f: Functional<Fr> = Functional::from_axes(vec![]);
    assert_eq!(f.pair(&[], vec![Fr::from(7u8)]), Ok(Fr::from(7u8)));
    assert_eq!(f.total() - Fr::ONE, Fr::ZERO);
}
