//! Graphs and keys made to harm whoever reads them: each is an error, soon, and without a large allocation.

mod support;

use assay_circuits::{
    Graph, GraphBuilder, GraphError, NodeId, Op, Program, Table, TableId, Visibility, canonical,
    graph::Node,
    ops::{AxisExpr, AxisScale, Concat, Contraction, Input, Linear, Lookup, Remap, Reshape, Transpose, Weight, Window},
};
use assay_verifier::{VerifyError, VerifyingKey, core::check_registration, meter::measure, protocol::Mode};
use serde::Serialize;
use support::{Lcg, two_layers, unregistered};

/// The encoding of a graph, without the checks.
#[derive(Serialize)]
struct Raw {
    nodes: Vec<Node>,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    tables: Vec<Table>,
    limb_bits: u32,
}

impl Raw {
    fn new(limb_bits: u32) -> Self {
        let mut raw = Self { nodes: vec![], inputs: vec![], outputs: vec![], tables: vec![], limb_bits };
        raw.push(Op::Input(Input { shape: vec![2], bits: 2 }), &[]);
        raw.inputs = vec![NodeId(0)];
        raw.outputs = vec![NodeId(0)];
        raw
    }

    fn push(&mut self, op: Op, inputs: &[usize]) -> usize {
        // Derived fields are not encoded, so any will do.
        let mut g = GraphBuilder::new(4);
        let id = g.input("n", &[1], 1).unwrap();
        let node = Node { op, inputs: inputs.iter().map(|i| NodeId(*i)).collect(), ..g.node(id).clone() };
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn decode(&self) -> Result<Graph, GraphError> {
        Graph::from_bytes(&canonical::to_bytes(self).unwrap())
    }
}

/// What a verifier does with a graph that decodes: both layouts and, where they exist, the protocol itself on shapes.
fn walk(graph: &Graph, batch: usize) -> Result<(), GraphError> {
    let inference = Program::inference(graph, batch, Visibility::default())?;
    let registration = Program::registration(graph)?;
    for p in [inference, registration] {
        measure(&p, 8, Mode::Core).map_err(|e| GraphError::Parameter(e.to_string()))?;
    }
    Ok(())
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

#[test]
fn the_mirror_encodes_as_the_graph_does() {
    let raw = Raw::new(4);
    let mut g = GraphBuilder::new(4);
    let x = g.input("n", &[2], 2).unwrap();
    assert_eq!(raw.decode().unwrap(), g.finish(vec![x], vec![x]).unwrap());
}

/// Forty sums of a node with itself are a million million paths.
#[test]
fn paths_are_not_walked_one_by_one() {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[2], 2).unwrap();
    let mut y = x;
    for _ in 0..40 {
        y = g.linear("twice", &[(y, 1), (y, -1)], 0).unwrap();
    }
    let graph = g.finish(vec![x], vec![y]).unwrap();
    assert!(text(walk(&graph, 1).unwrap_err()).contains("too many terms"));
    let key = unregistered(graph);
    assert!(matches!(key.program(1), Err(GraphError::AtNode { .. } | GraphError::Pullback(_))));
}

#[test]
fn extents_of_a_contraction_do_not_wrap() {
    let index = |i: usize, stride: i64| AxisExpr { terms: vec![(i, stride)], offset: 0 };
    // The product of the extents is 2^128 and 2^256.
    for (extent, axes) in [(1usize << 32, 4), (1 << 43, 6), (usize::MAX, 16), (1 << 22, 12)] {
        let mut raw = Raw::new(4);
        let w = raw.push(Op::Weight(Weight { shape: vec![1; axes.min(12)], bits: 2 }), &[]);
        let c = Contraction {
            extents: vec![extent; axes.min(12)],
            lhs: (0..axes.min(12)).map(|i| index(i, 0)).collect(),
            rhs: vec![AxisExpr::unit()],
            out: vec![AxisExpr::unit()],
        };
        raw.push(Op::Contraction(c), &[w, 0]);
        assert!(text(raw.decode().unwrap_err()).contains("extents"), "{extent}");
    }
    for (stride, offset) in [(i64::MAX, i64::MIN), (i64::MIN, i64::MAX), (1 << 40, 0), (0, i64::MIN)] {
        let mut raw = Raw::new(4);
        let axis = AxisExpr { terms: vec![(0, stride), (1, stride)], offset };
        let c = Contraction { extents: vec![2, 2], lhs: vec![axis], rhs: vec![index(0, 1)], out: vec![index(1, 1)] };
        raw.push(Op::Contraction(c), &[0, 0]);
        assert!(text(raw.decode().unwrap_err()).contains("reaches too far"), "{stride} {offset}");
    }
}

#[test]
fn axes_are_not_longer_than_a_verifier_can_hold() {
    for (op, inputs) in [
        (Op::Input(Input { shape: vec![1 << 28], bits: 1 }), vec![]),
        (Op::Weight(Weight { shape: vec![(1 << 22) + 1], bits: 20 }), vec![]),
        (Op::Window(Window::pad(0, 2, 0, 1 << 27)), vec![0]),
        (Op::Window(Window { axis: 0, len: 1 << 27, stride: 0, kernel: 1, dilation: 1, offset: 0 }), vec![0]),
    ] {
        let mut raw = Raw::new(4);
        let is_input = matches!(op, Op::Input(_));
        let at = raw.push(op, &inputs);
        if is_input {
            raw.inputs.push(NodeId(at));
        }
        assert!(text(raw.decode().unwrap_err()).contains("an axis of extent"));
    }
    // A reshape that ties two long axes together.
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1 << 26], 1);
    assert!(x.is_err());
    let x = g.input("x", &[1 << 13, 1 << 13], 1).unwrap();
    let y = g.push("flat", Op::Reshape(Reshape { shape: vec![1 << 13, 1 << 12, 2] }), &[x]).unwrap();
    let y = g.push("turned", Op::Transpose(Transpose { permutation: vec![2, 0, 1] }), &[y]).unwrap();
    let y = g.push("tied", Op::Reshape(Reshape { shape: vec![1 << 12, 1 << 14] }), &[y]).unwrap();
    let graph = g.finish(vec![x], vec![y]).unwrap();
    assert!(text(walk(&graph, 1).unwrap_err()).contains("ties"));
}

/// Each of many lookups of another scale wants a clamp table of a million rows of its own.
#[test]
fn tables_are_not_larger_than_a_verifier_can_hold() {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1], 20).unwrap();
    for k in 0..64 {
        let scaled = g.linear("scaled", &[(x, 1)], k).unwrap();
        g.lookup("clamped", scaled, 0, Table::tabulate("one key", 0, 0, |_| 0)).unwrap();
    }
    let graph = g.finish(vec![x], vec![x]).unwrap();
    assert!(text(Program::registration(&graph).unwrap_err()).contains("table rows"));
    assert!(text(walk(&graph, 1).unwrap_err()).contains("table rows"));
    assert!(matches!(check_registration(&unregistered(graph)), Err(VerifyError::Graph(_))));

    // Tables are read once for every lookup.
    let mut raw = Raw::new(4);
    raw.tables = vec![Table::tabulate("large", 0, 20, |_| 0)];
    for _ in 0..2000 {
        raw.push(Op::Lookup(Lookup { table: TableId(0), shift: 0 }), &[0]);
    }
    assert!(text(raw.decode().unwrap_err()).contains("table keys"));
}

#[test]
fn work_is_bounded() {
    // Windows over windows, each of millions of steps.
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1], 1).unwrap();
    let mut y = x;
    for _ in 0..200 {
        let wide = Window { axis: 0, len: 1, stride: 0, kernel: 1 << 21, dilation: 1, offset: 0 };
        y = g.push("window", Op::Window(wide), &[y]).unwrap();
        y = g.lookup("y", y, 21, Table::relu(-2, 2, 1)).unwrap();
    }
    let graph = g.finish(vec![x], vec![y]).unwrap();
    assert!(text(walk(&graph, 1).unwrap_err()).contains("too many terms"));

    // A concatenation of one value a hundred thousand times, times its length.
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1], 1).unwrap();
    let y = g.push("join", Op::Concat(Concat { axis: 0 }), &vec![x; 100_000]).unwrap();
    let graph = g.finish(vec![x], vec![y]).unwrap();
    assert!(text(walk(&graph, 1).unwrap_err()).contains("too many terms"));

    // Contractions whose rows are long although their operands are short.
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1], 1).unwrap();
    let mut y = x;
    for _ in 0..32 {
        let c = Contraction {
            extents: vec![1 << 21],
            lhs: vec![AxisExpr { terms: vec![(0, 0)], offset: 0 }],
            rhs: vec![AxisExpr { terms: vec![(0, 0)], offset: 0 }],
            out: vec![AxisExpr::unit()],
        };
        y = g.push("contraction", Op::Contraction(c), &[y, y]).unwrap();
        y = g.lookup("y", y, 21, Table::relu(-2, 2, 1)).unwrap();
    }
    let graph = g.finish(vec![x], vec![y]).unwrap();
    assert!(text(walk(&graph, 1).unwrap_err()).contains("too many terms"));
}

#[test]
fn lists_and_numbers_are_checked() {
    type Edit = fn(&mut Raw);
    let edits: [(&str, Edit); 18] = [
        ("more inputs", |r| r.inputs = vec![NodeId(0); 1 << 20]),
        ("more inputs or outputs", |r| r.outputs = vec![NodeId(0); 1 << 20]),
        ("disagree", |r| r.inputs = vec![]),
        ("does not exist", |r| r.outputs = vec![NodeId(usize::MAX)]),
        ("needs an input and an output", |r| r.outputs = vec![]),
        ("comes later", |r| {
            r.push(Op::Linear(Linear { coefficients: vec![1], offset: 0 }), &[usize::MAX]);
        }),
        ("comes later", |r| {
            r.push(Op::Linear(Linear { coefficients: vec![1], offset: 0 }), &[1]);
        }),
        ("limbs of", |r| r.limb_bits = u32::MAX),
        ("does not exist", |r| {
            r.push(Op::Lookup(Lookup { table: TableId(usize::MAX), shift: 0 }), &[0]);
        }),
        ("a shift of", |r| {
            r.tables = vec![Table::relu(0, 0, 1)];
            r.push(Op::Lookup(Lookup { table: TableId(0), shift: u32::MAX }), &[0]);
        }),
        ("starts at key", |r| r.tables = vec![Table { name: String::new(), key_min: i64::MIN, values: vec![0] }]),
        ("has 3 keys", |r| r.tables = vec![Table { name: String::new(), key_min: 0, values: vec![0; 3] }]),
        ("has 0 keys", |r| r.tables = vec![Table { name: String::new(), key_min: 0, values: vec![] }]),
        ("exact range", |r| {
            r.push(Op::AxisScale(AxisScale { axis: 0, factors: vec![i64::MIN, i64::MAX] }), &[0]);
        }),
        ("exact range", |r| {
            r.push(Op::Linear(Linear { coefficients: vec![i64::MAX], offset: i64::MIN }), &[0]);
        }),
        ("exact range", |r| {
            r.push(Op::Linear(Linear { coefficients: vec![], offset: i64::MIN }), &[]);
            r.push(Op::Linear(Linear { coefficients: vec![0], offset: i64::MIN }), &[0]);
        }),
        ("no permutation", |r| {
            r.push(Op::Transpose(Transpose { permutation: vec![usize::MAX] }), &[0]);
        }),
        ("more than", |r| {
            r.push(Op::Reshape(Reshape { shape: vec![usize::MAX, usize::MAX] }), &[0]);
        }),
    ];
    for (expected, edit) in edits {
        let mut raw = Raw::new(4);
        edit(&mut raw);
        let error = text(raw.decode().unwrap_err());
        assert!(error.contains(expected) || error.contains("inputs, got"), "{error}: expected '{expected}'");
    }
}

/// Every value of every varint of a small graph replaced by an extreme one.
#[test]
fn extreme_numbers_in_a_graph_are_harmless() {
    let bytes = two_layers().to_bytes().unwrap();
    let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let extremes: [&[u8]; 6] = [&max, &max[..4], &[0xff, 0xff, 0xff, 0x07], &[0x80, 0x80, 0x01], &[0x00], &[0x7f]];
    let mut decoded = 0;
    for at in 0..bytes.len() {
        for extreme in extremes {
            let changed = [&bytes[..at], extreme, &bytes[at + 1..]].concat();
            if let Ok(graph) = Graph::from_bytes(&changed) {
                decoded += 1;
                assert_eq!(graph.to_bytes().unwrap(), changed);
                let _ = walk(&graph, 1);
            }
        }
    }
    assert!(decoded > 20, "{decoded}");
}

const EXTREMES: [i64; 20] =
    [0, 1, 1, 2, 2, 3, 3, 4, 5, 7, -1, -2, -7, 16, 1 << 11, 1 << 20, 1 << 31, 1 << 40, i64::MAX, i64::MIN];

fn random_op(rng: &mut Lcg, rank: usize) -> Op {
    let n = |rng: &mut Lcg| rng.pick(&EXTREMES);
    let size = |rng: &mut Lcg| rng.pick(&EXTREMES) as usize;
    let small = |rng: &mut Lcg| rng.next() as usize % 4;
    let sizes = |rng: &mut Lcg, k: usize| (0..k).map(|_| rng.pick(&EXTREMES) as usize).collect::<Vec<_>>();
    let axes = |rng: &mut Lcg, k: usize| {
        (0..k)
            .map(|_| AxisExpr {
                terms: (0..small(rng)).map(|_| (small(rng), rng.pick(&EXTREMES))).collect(),
                offset: if small(rng) == 0 { rng.pick(&EXTREMES) } else { 0 },
            })
            .collect::<Vec<_>>()
    };
    match rng.next() % 10 {
        9 => {
            let row = |rng: &mut Lcg| (0..small(rng)).map(|_| (size(rng) as u32, n(rng))).collect();
            Op::Remap(Remap { axis: small(rng), rows: (0..small(rng)).map(|_| row(rng)).collect() })
        }
        0 => {
            let k = small(rng);
            Op::Weight(Weight { shape: sizes(rng, k), bits: size(rng) as u32 })
        }
        1 => {
            let k = small(rng);
            Op::Reshape(Reshape { shape: sizes(rng, k) })
        }
        2 => Op::Transpose(Transpose { permutation: (0..rank).rev().collect() }),
        3 => Op::Window(Window {
            axis: small(rng),
            len: size(rng),
            stride: n(rng),
            kernel: size(rng),
            dilation: n(rng),
            offset: n(rng),
        }),
        4 => Op::AxisScale(AxisScale { axis: small(rng), factors: (0..small(rng)).map(|_| n(rng)).collect() }),
        5 => Op::Linear(Linear { coefficients: vec![n(rng), n(rng)], offset: n(rng) }),
        6 => Op::Concat(Concat { axis: small(rng) }),
        7 => {
            let k = 1 + small(rng);
            let (l, r, o) = (rank, rank, small(rng));
            Op::Contraction(Contraction {
                extents: sizes(rng, k),
                lhs: axes(rng, l),
                rhs: axes(rng, r),
                out: axes(rng, o),
            })
        }
        _ => Op::Lookup(Lookup { table: TableId(small(rng) / 3), shift: rng.next() as u32 % 50 }),
    }
}

/// Random operators with extreme parameters, as far as the builder lets them in.
#[test]
fn extreme_operators_are_harmless() {
    let mut rng = Lcg(3);
    let (mut nodes, mut laid_out) = (0, 0);
    for _ in 0..1000 {
        let mut g = GraphBuilder::new(4 + rng.next() as u32 % 13);
        let x = g.input("x", &[3, 2], 4).unwrap();
        g.table(Table::relu(-2, 3, 3)).unwrap();
        for _ in 0..40 {
            let a = NodeId(rng.next() as usize % g.len());
            let b = NodeId(rng.next() as usize % g.len());
            let op = random_op(&mut rng, g.node(a).shape.len());
            let inputs: &[NodeId] = match op {
                Op::Weight(_) => &[],
                Op::Linear(_) | Op::Concat(_) | Op::Contraction(_) => &[a, b],
                _ => &[a],
            };
            nodes += usize::from(g.push("n", op, inputs).is_ok());
        }
        let last = NodeId(g.len() - 1);
        let Ok(graph) = g.finish(vec![x], vec![last]) else { continue };
        let decoded = Graph::from_bytes(&graph.to_bytes().unwrap()).unwrap();
        assert_eq!(decoded, graph);
        laid_out += usize::from(walk(&graph, 1 + rng.next() as usize % 3).is_ok());
    }
    assert!(nodes > 2000 && laid_out > 200, "{nodes} nodes, {laid_out} layouts");
}

/// A key is read, and found unregistered, whatever its rows.
#[test]
fn an_unregistered_key_is_refused() {
    let key = unregistered(two_layers());
    let bytes = key.to_bytes().unwrap();
    assert_eq!(VerifyingKey::from_bytes(&bytes).unwrap(), key);
    assert!(check_registration(&key).is_err());
    for row_bits in [0, 1, 27, 28] {
        let mut key = key.clone();
        key.row_bits = row_bits;
        key.registration = support::empty_argument(row_bits);
        assert!(check_registration(&key).is_err());
    }
    let mut long = key;
    long.row_bits = 29;
    assert!(VerifyingKey::from_bytes(&long.to_bytes().unwrap()).is_err());
}
