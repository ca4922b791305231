//! Recurrences: a cycle through delays computes what the same cell computes step by step, claims are carried through it, and
//! graphs without a unique meaning are refused.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, UniformRand};
use assay_circuits::{
    Functional, Graph, GraphBuilder, NodeId, Op, Table, Tensor,
    error::GraphError,
    eval::eval,
    ops::{AxisExpr, AxisScale, Concat, Contraction, Delay, Divide, Reshape, Root, Transpose, Window},
    pullback::{Term, pull_back},
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Sizes of a cell: independent sequences, features, hidden units.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    n: usize,
    i: usize,
    h: usize,
}

struct Weights {
    gate: NodeId,
    state: NodeId,
}

fn weights(g: &mut GraphBuilder, s: Sizes) -> Weights {
    let shape = [s.i + s.h, s.h];
    Weights { gate: g.weight("gate", &shape, 6).unwrap(), state: g.weight("state", &shape, 6).unwrap() }
}

fn squash(name: &str) -> Table {
    Table::tabulate(name, -64, 7, |t| (t * 3 / 4) as i32)
}

fn step_table() -> Table {
    Table::tabulate("steps", -32, 6, |t| if t >= 0 { 7 } else { 1 })
}

/// `[n, t, i + h] x [i + h, h] -> [n, t, h]`.
fn dense(g: &mut GraphBuilder, x: NodeId, w: NodeId) -> NodeId {
    let (x_shape, h) = (g.node(x).shape.clone(), g.node(w).shape[1]);
    let c = Contraction {
        extents: vec![x_shape[0], x_shape[1], x_shape[2], h],
        lhs: vec![AxisExpr::index(0), AxisExpr::index(1), AxisExpr::index(2)],
        rhs: vec![AxisExpr::index(2), AxisExpr::index(3)],
        out: vec![AxisExpr::index(0), AxisExpr::index(1), AxisExpr::index(3)],
    };
    g.push("dense", Op::Contraction(c), &[x, w]).unwrap()
}

/// One cell on any number of steps `t`: states `[n, t, h]` and input `[n, t, i]` to new states. `variant` adds views that move
/// the axis of time about.
fn cell(g: &mut GraphBuilder, w: &Weights, x: NodeId, h: NodeId, c: NodeId, variant: u64) -> (NodeId, NodeId) {
    let shape = g.node(h).shape.clone();
    let (n, t, units) = (shape[0], shape[1], shape[2]);
    let mut seen = h;
    if variant & 1 == 1 {
        // Through [t, n, h], and a window over the units.
        seen = g.push("t", Op::Transpose(Transpose { permutation: vec![1, 0, 2] }), &[seen]).unwrap();
        let window = Window { axis: 2, len: units, stride: 1, kernel: 2, dilation: 1, offset: -1 };
        seen = g.push("neighbours", Op::Window(window), &[seen]).unwrap();
        seen = g.push("back", Op::Transpose(Transpose { permutation: vec![1, 0, 2] }), &[seen]).unwrap();
    }
    if variant & 2 == 2 {
        // Through an extra axis in front of time and one behind.
        seen = g.push("split", Op::Reshape(Reshape { shape: vec![n, 1, t, units, 1] }), &[seen]).unwrap();
        let factors = (0..units as i64).map(|k| 1 - 2 * (k % 2)).collect();
        seen = g.push("signs", Op::AxisScale(AxisScale { axis: 3, factors }), &[seen]).unwrap();
        seen = g.push("merge", Op::Reshape(Reshape { shape: vec![n, t, units] }), &[seen]).unwrap();
    }
    let joined = g.push("joined", Op::Concat(Concat { axis: 2 }), &[x, seen]).unwrap();
    let pre = dense(g, joined, w.gate);
    let gate = g.lookup("gate", pre, 5, step_table()).unwrap();
    let pre = dense(g, joined, w.state);
    let mixed = g.linear("mixed", &[(pre, 1), (c, 4)], 3).unwrap();
    let next_c = g.lookup("c", mixed, 4, squash("squash")).unwrap();
    let product = Op::Contraction(Contraction::elementwise(&[n, t, units]));
    let out = if variant & 4 == 4 {
        g.push("gated", product, &[gate, next_c]).unwrap()
    } else {
        g.push("gated", product, &[gate, c]).unwrap()
    };
    let mut next_h = g.lookup("h", out, 2, squash("squash")).unwrap();
    if variant & 8 == 8 {
        // Advice inside of a recurrence: a quotient by a gate that is at least one, and the root of a quotient.
        let raised = g.linear("raised", &[(next_h, 1), (h, 1)], 100).unwrap();
        let q = g.push("quotient", Op::Divide(Divide {}), &[raised, gate]).unwrap();
        let r = g.push("root", Op::Root(Root {}), &[q]).unwrap();
        let mixed = g.linear("mixed", &[(q, 1), (r, -3)], -10).unwrap();
        next_h = g.lookup("h", mixed, 1, squash("squash")).unwrap();
    }
    (next_h, next_c)
}

const RANGE: (i64, i64) = (-48, 48);

/// The recurrence as a cycle; outputs: all hidden states, all cell states.
fn cyclic(s: Sizes, steps: usize, variant: u64) -> Graph {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[s.n, steps, s.i], 6).unwrap();
    let (h0, c0) = (g.input("h0", &[s.n, 1, s.h], 6).unwrap(), g.input("c0", &[s.n, 1, s.h], 6).unwrap());
    let h = g.delay("h", h0, 1, steps, RANGE).unwrap();
    let c = g.delay("c", c0, 1, steps, RANGE).unwrap();
    // Weights behind the delays: the order of computation is not that of the nodes.
    let w = weights(&mut g, s);
    let (next_h, next_c) = cell(&mut g, &w, x, h, c, variant);
    g.connect(h, next_h).unwrap();
    g.connect(c, next_c).unwrap();
    g.finish(vec![x, h0, c0], vec![next_h, next_c]).unwrap()
}

/// The same, with a cell for each step.
fn unrolled(s: Sizes, steps: usize, variant: u64) -> Graph {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[s.n, steps, s.i], 6).unwrap();
    let (h0, c0) = (g.input("h0", &[s.n, 1, s.h], 6).unwrap(), g.input("c0", &[s.n, 1, s.h], 6).unwrap());
    let w = weights(&mut g, s);
    let (mut h, mut c) = (h0, c0);
    let (mut all_h, mut all_c) = (vec![], vec![]);
    for t in 0..steps {
        let x_t = g.push("x_t", Op::Window(Window::slice(1, t as i64, 1, 1)), &[x]).unwrap();
        (h, c) = cell(&mut g, &w, x_t, h, c, variant);
        all_h.push(h);
        all_c.push(c);
    }
    let outputs = [all_h, all_c].map(|all| g.push("all", Op::Concat(Concat { axis: 1 }), &all).unwrap());
    g.finish(vec![x, h0, c0], outputs.to_vec()).unwrap()
}

fn random_tensor(rng: &mut StdRng, shape: &[usize], half: i64) -> Tensor {
    let n = shape.iter().product();
    Tensor::new(shape.to_vec(), (0..n).map(|_| rng.gen_range(-half..half)).collect()).unwrap()
}

fn sources(graph: &Graph, rng: &mut StdRng) -> (Vec<Tensor>, Vec<Tensor>) {
    let weights = graph.weights().map(|id| random_tensor(rng, &graph.node(id).shape, 32)).collect();
    let inputs = graph.inputs().iter().map(|id| random_tensor(rng, &graph.node(*id).shape, 32)).collect();
    (weights, inputs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The interpreter by slices against the plain one on the unrolled graph, with and without a batch axis.
    #[test]
    fn cycle_is_step_by_step(n in 1usize..4, i in 1usize..4, h in 1usize..4, steps in 1usize..7, variant in 0u64..16, batch in 1usize..4, seed: u64) {
        let s = Sizes { n, i, h };
        let mut rng = StdRng::seed_from_u64(seed);
        let (graph, plain) = (cyclic(s, steps, variant), unrolled(s, steps, variant));
        let (weights, inputs) = sources(&graph, &mut rng);
        let got = eval(&graph, &weights, &inputs).unwrap().outputs(&graph);
        prop_assert_eq!(&got, &eval(&plain, &weights, &inputs).unwrap().outputs(&plain));

        let batched = graph.batched(batch).unwrap();
        let samples: Vec<Vec<Tensor>> = (0..batch).map(|_| sources(&graph, &mut rng).1).collect();
        let joined: Vec<Tensor> = batched.inputs().iter().enumerate().map(|(k, id)| {
            let data = samples.iter().flat_map(|s| s[k].data.iter().copied()).collect();
            Tensor::new(batched.node(*id).shape.clone(), data).unwrap()
        }).collect();
        let got = eval(&batched, &weights, &joined).unwrap().outputs(&batched);
        for (o, all) in got.iter().enumerate() {
            let mut expected = vec![];
            for inputs in &samples {
                expected.extend_from_slice(&eval(&plain, &weights, inputs).unwrap().outputs(&plain)[o].data);
            }
            prop_assert_eq!(&all.data, &expected);
        }
        // The canonical bytes hold the whole recurrence.
        prop_assert_eq!(&Graph::from_bytes(&graph.to_bytes().unwrap()).unwrap(), &graph);
    }

    /// Every node's claim, pulled back through the cycle, is a true claim about committed tensors.
    #[test]
    fn claims_go_through_delays(n in 1usize..3, i in 1usize..3, h in 1usize..4, steps in 1usize..6, variant in 0u64..16, seed: u64) {
        let graph = cyclic(Sizes { n, i, h }, steps, variant);
        let mut rng = StdRng::seed_from_u64(seed);
        let (weights, inputs) = sources(&graph, &mut rng);
        let values = eval(&graph, &weights, &inputs).unwrap();
        for (id, node) in graph.nodes().iter().enumerate().filter(|(_, n)| !n.bilinear) {
            let factors: Vec<Vec<Fr>> = node.shape.iter().map(|d| (0..*d).map(|_| Fr::rand(&mut rng)).collect()).collect();
            let functional = Functional::from_axes(factors);
            let coefficient = Fr::rand(&mut rng);
            let claimed = coefficient * functional.pair_integers(&node.shape, &values.0[id].data).unwrap();
            let pulled = pull_back(&graph, vec![Term { node: NodeId(id), coefficient, functional }]).unwrap();
            prop_assert!(pulled.bilinear.is_empty());
            let mut sum = pulled.constant;
            for t in &pulled.committed {
                let shape = &graph.node(t.node).shape;
                t.functional.validate(shape).unwrap();
                sum += t.coefficient * t.functional.pair_integers(shape, &values.of(t.node).data).unwrap();
            }
            prop_assert_eq!(sum - claimed, Fr::ZERO);
        }
    }
}

/// A small recurrence over `[3 steps, 4]` whose state is what `body` makes of the delayed state.
fn with_body(body: impl Fn(&mut GraphBuilder, NodeId) -> Result<NodeId, GraphError>) -> Result<Graph, GraphError> {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[3, 4], 6)?;
    let init = g.push("init", Op::Window(Window::slice(0, 0, 1, 1)), &[x])?;
    let d = g.delay("d", init, 0, 3, RANGE)?;
    let inner = body(&mut g, d)?;
    let sum = g.linear("sum", &[(inner, 1), (x, 1)], 0)?;
    let state = g.lookup("state", sum, 0, squash("squash"))?;
    g.connect(d, state)?;
    g.finish(vec![x], vec![state])
}

#[test]
fn recurrences_without_a_unique_meaning_are_refused() {
    assert!(with_body(|_, d| Ok(d)).is_ok());
    let refused = |what: &str, got: Result<Graph, GraphError>| {
        let error = got.expect_err(what).to_string();
        assert!(error.contains("act on each step by itself"), "{what}: {error}");
    };
    let window =
        |axis, len, stride, kernel, offset| Op::Window(Window { axis, len, stride, kernel, dilation: 1, offset });
    refused("the next step", with_body(|g, d| g.push("w", window(0, 3, 1, 1, 1), &[d])));
    refused(
        "a sum over steps",
        with_body(|g, d| {
            let s = g.push("w", window(0, 1, 1, 3, 0), &[d])?;
            g.push("b", Op::Window(Window::broadcast(0, 3)), &[s])
        }),
    );
    refused("steps in reverse", with_body(|g, d| g.push("w", window(0, 3, -1, 1, 2), &[d])));
    refused(
        "steps and units swapped",
        with_body(|g, d| {
            // [3, 4] -> [4, 3] -> as if it were [3, 4].
            let t = g.push("t", Op::Transpose(Transpose { permutation: vec![1, 0] }), &[d])?;
            g.push("r", Op::Reshape(Reshape { shape: vec![3, 4] }), &[t])
        }),
    );
    refused(
        "steps merged with units",
        with_body(|g, d| {
            let r = g.push("r", Op::Reshape(Reshape { shape: vec![12] }), &[d])?;
            g.push("r", Op::Reshape(Reshape { shape: vec![3, 4] }), &[r])
        }),
    );
    refused(
        "steps joined",
        with_body(|g, d| {
            let c = g.push("c", Op::Concat(Concat { axis: 0 }), &[d, d])?;
            g.push("w", window(0, 3, 2, 1, 0), &[c])
        }),
    );
    refused(
        "attention over steps",
        with_body(|g, d| {
            let scores = g.push(
                "m",
                Op::Contraction(Contraction {
                    extents: vec![3, 4, 3],
                    lhs: vec![AxisExpr::index(0), AxisExpr::index(1)],
                    rhs: vec![AxisExpr::index(2), AxisExpr::index(1)],
                    out: vec![AxisExpr::index(0), AxisExpr::index(2)],
                }),
                &[d, d],
            )?;
            let s = g.lookup("s", scores, 8, squash("squash"))?;
            g.push("p", Op::Window(Window::pad(1, 3, 0, 1)), &[s])
        }),
    );
    refused(
        "a convolution over steps",
        with_body(|g, d| {
            let k = g.weight("k", &[2], 4)?;
            g.push(
                "m",
                Op::Contraction(Contraction {
                    extents: vec![3, 4, 2],
                    lhs: vec![AxisExpr { terms: vec![(0, 1), (2, 1)], offset: -1 }, AxisExpr::index(1)],
                    rhs: vec![AxisExpr::index(2)],
                    out: vec![AxisExpr::index(0), AxisExpr::index(1)],
                }),
                &[d, k],
            )
            .and_then(|m| g.lookup("s", m, 4, squash("squash")))
        }),
    );
    // A square makes both operands the same tensor at the same step; a product with steps shifted is another thing.
    assert!(
        with_body(|g, d| {
            let m = g.push("m", Op::Contraction(Contraction::elementwise(&[3, 4])), &[d, d])?;
            g.lookup("s", m, 4, squash("squash"))
        })
        .is_ok()
    );
}

#[test]
fn states_are_committed_and_their_range_is_their_own() {
    let build = |range: (i64, i64), committed: bool| {
        let mut g = GraphBuilder::new(8);
        let x = g.input("x", &[3, 4], 6)?;
        let init = g.push("init", Op::Window(Window::slice(0, 0, 1, 1)), &[x])?;
        let d = g.delay("d", init, 0, 3, range)?;
        let sum = g.linear("sum", &[(d, 1), (x, 1)], 0)?;
        let state = if committed { g.lookup("state", sum, 0, squash("squash"))? } else { sum };
        g.connect(d, state)?;
        g.finish(vec![x], vec![sum])
    };
    assert!(build(RANGE, true).is_ok());
    // A cycle without a committed node has no end for claims.
    assert!(build(RANGE, false).unwrap_err().to_string().contains("not committed"));
    // Values of the table are up to 47 and down to -48: a range that the cycle itself would keep is not enough.
    let error = build((-48, 46), true).unwrap_err().to_string();
    assert!(error.contains("does not hold the values [-48, 47]"), "{error}");
    assert!(build((-47, 47), true).is_err());
    assert!(build((47, -48), true).is_err());
}

#[test]
fn delays_are_wired_once_and_fit() {
    let start = || {
        let mut g = GraphBuilder::new(8);
        let x = g.input("x", &[3, 4], 6).unwrap();
        let init = g.push("init", Op::Window(Window::slice(0, 0, 1, 1)), &[x]).unwrap();
        (g, x, init)
    };
    // Without a state.
    let (mut g, x, init) = start();
    let d = g.delay("d", init, 0, 3, RANGE).unwrap();
    assert!(matches!(g.finish(vec![x], vec![d]), Err(GraphError::AtNode { .. })));
    // Two states, or a state for something else.
    let (mut g, x, init) = start();
    let d = g.delay("d", init, 0, 3, (-32, 31)).unwrap();
    g.connect(d, x).unwrap();
    assert!(g.connect(d, x).is_err());
    assert!(g.connect(x, x).is_err());
    // An input may be delayed; that is no cycle.
    assert!(g.finish(vec![x], vec![d]).is_ok());
    // A state of another shape, axes that do not exist, an initial state of more than one step, no steps at all.
    let (mut g, x, init) = start();
    let d = g.delay("d", init, 0, 2, (-32, 31)).unwrap();
    g.connect(d, x).unwrap();
    assert!(g.finish(vec![x], vec![d]).is_err());
    let (mut g, x, init) = start();
    assert!(g.delay("d", init, 2, 3, RANGE).is_err());
    assert!(g.delay("d", x, 0, 3, RANGE).is_err());
    assert!(g.delay("d", init, 0, 0, RANGE).is_err());
    assert!(g.delay("d", init, 0, usize::MAX, RANGE).is_err());
    // An initial state that depends on the cycle, a state that does not exist.
    let (mut g, x, init) = start();
    let outer = g.delay("outer", init, 0, 3, RANGE).unwrap();
    let first = g.push("first", Op::Window(Window::slice(0, 0, 1, 1)), &[outer]).unwrap();
    let d = g.delay("d", first, 0, 3, RANGE).unwrap();
    let sum = g.linear("sum", &[(d, 1), (x, 1)], 0).unwrap();
    let state = g.lookup("state", sum, 0, squash("squash")).unwrap();
    g.connect(d, state).unwrap();
    g.connect(outer, state).unwrap();
    assert!(g.finish(vec![x], vec![state]).is_err());
    let (mut g, x, init) = start();
    let d = g.delay("d", init, 0, 3, RANGE).unwrap();
    g.connect(d, NodeId(99)).unwrap();
    assert!(g.finish(vec![x], vec![d]).is_err());
}

/// Hostile graphs: long cycles and many steps are bounded by the limits on nodes and values, and analysed in linear time.
#[test]
fn long_cycles_are_analysed_in_linear_time() {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[2, 1], 6).unwrap();
    let init = g.push("init", Op::Window(Window::slice(0, 0, 1, 1)), &[x]).unwrap();
    let d = g.delay("d", init, 0, 2, (-48, 47)).unwrap();
    let mut h = d;
    for _ in 0..30_000 {
        h = g.linear("h", &[(h, 1)], 0).unwrap();
    }
    let state = g.lookup("state", h, 0, squash("squash")).unwrap();
    g.connect(d, state).unwrap();
    let graph = g.finish(vec![x], vec![state]).unwrap();
    assert_eq!(Graph::from_bytes(&graph.to_bytes().unwrap()).unwrap(), graph);
    let op = Op::Delay(Delay { axis: 0, len: 1 << 30, lo: 0, hi: 1 });
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[1], 6).unwrap();
    assert!(g.push("d", op, &[x]).is_err());
}
