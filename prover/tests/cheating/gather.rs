//! Rows by their index: true ones prove, core and settled, from weights, inputs and computed tables, in batches and through
//! time; every false one is refused, by the verifier and by the naive relation.

use crate::{settle_support, support};

use assay_circuits::{
    Graph, GraphBuilder, GraphError, NodeId, Op, Program, Table, Tensor, Visibility,
    eval::eval,
    ops::{AxisExpr, Contraction, Gather, Reshape, Window},
    program::{BlockValues, Content},
};
use assay_prover::{ProvingKey, Recorder, SetupOptions, device::Cpu, prove, srs::Srs};
use assay_verifier::{core::verify, security::security};
use proptest::prelude::*;
use settle_support::Lab;
use support::{
    forge::{Forge, Lie, row_places},
    inputs, key, model,
};

/// Where the rows come from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Weight,
    Input,
    /// What a lookup commits.
    Lookup,
    /// A product, which is not committed.
    Product,
}

/// `y = round(sum of 3 row)`, for rows of `[n] ++ row` chosen by `index` many indices in `[0, n)`.
fn graph(from: From, n: usize, index: &[usize], row: &[usize]) -> Graph {
    let mut g = GraphBuilder::new(5);
    let shape = [&[n], row].concat();
    let i = g.input("which", index, 6).unwrap();
    let mut ins = vec![i];
    let keys = Table::tabulate("index", -32, 6, |t| t.rem_euclid(n as i64) as i32);
    let i = g.lookup("index", i, 0, keys).unwrap();
    let mut source = |g: &mut GraphBuilder| {
        ins.push(g.input("data", &shape, 5).unwrap());
        *ins.last().unwrap()
    };
    let table = match from {
        From::Weight => g.weight("data", &shape, 5).unwrap(),
        From::Input => source(&mut g),
        From::Lookup => {
            let x = source(&mut g);
            g.lookup("table", x, 0, Table::tabulate("table", -16, 5, |t| (t * 5 % 13) as i32)).unwrap()
        }
        From::Product => {
            let x = source(&mut g);
            g.push("table", Op::Contraction(Contraction::elementwise(&shape)), &[x, x]).unwrap()
        }
    };
    let rows = g.push("rows", Op::Gather(Gather { leading: 0 }), &[table, i]).unwrap();
    let y = g.linear("y", &[(rows, 3)], 1).unwrap();
    g.finish(ins, vec![y, rows]).unwrap()
}

fn honest(g: Graph, batch: usize, seed: u64) -> (ProvingKey, Forge) {
    let m = model(g, seed);
    let key = key(&m, SetupOptions { row_bits: Some(3), ..Default::default() });
    let inputs = inputs(&m, batch, seed ^ 7);
    let proved = prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
    verify(&key.verifying, &proved.proof).unwrap();
    let forge = Forge::inference(&key, &inputs);
    forge.relation().unwrap();
    (key, forge)
}

fn refused(forge: &Forge, key: &ProvingKey, what: &str) {
    forge.relation().expect_err(what);
    for lie in [Lie::Truth, Lie::Leaves, Lie::Sum, Lie::Operand, Lie::Witness] {
        let verdict = std::panic::catch_unwind(|| forge.with(lie).verdict(&key.verifying));
        assert!(!matches!(verdict, Ok(Ok(()))), "{what}: accepted ({lie:?})");
    }
}

fn sources() -> impl Strategy<Value = From> {
    prop::sample::select(vec![From::Weight, From::Input, From::Lookup, From::Product])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..Default::default() })]

    #[test]
    fn rows_are_those_of_their_index(
        from in sources(),
        n in 1usize..7,
        index in prop::collection::vec(1usize..4, 1..3),
        row in prop::collection::vec(1usize..4, 0..3),
        batch in 1usize..4,
        seed: u64,
        entry: usize,
    ) {
        let (key, honest) = honest(graph(from, n, &index, &row), batch, seed);
        let v = honest.program.vectors[0].clone();
        let width = v.width();
        let rows = honest.named("rows");
        let entry = entry % (honest.contents[rows].len() / width);
        // A value of a row that is another.
        for delta in [1, -1, 7] {
            let mut forge = honest.clone();
            forge.contents[rows][entry * width] += delta;
            forge.rederive(&[rows]);
            refused(&forge, &key, "another value");
        }
        // The row of another index, of this sample or of the next, under this one.
        let values = honest.values();
        let table = values[v.table.0].as_ref().unwrap().data.clone();
        let (places, n_all) = (row_places(&v, values[v.index.0].as_ref().unwrap()), table.len() / width);
        let own = places[entry].unwrap();
        for other in 0..n_all {
            let lie = table[other * width..(other + 1) * width].to_vec();
            if lie == table[own * width..(own + 1) * width] {
                continue;
            }
            let mut forge = honest.clone();
            forge.contents[rows][entry * width..(entry + 1) * width].copy_from_slice(&lie);
            forge.rederive(&[rows]);
            refused(&forge, &key, "the row of another index");
            // The count moved along.
            forge.contents[v.counts][own] -= 1;
            forge.contents[v.counts][other] += 1;
            refused(&forge, &key, "the row of another index, counted");
        }
        // Columns that changed places.
        for j in 1..width {
            let mut forge = honest.clone();
            if forge.contents[rows][entry * width] == forge.contents[rows][entry * width + j] {
                continue;
            }
            forge.contents[rows].swap(entry * width, entry * width + j);
            forge.rederive(&[rows]);
            refused(&forge, &key, "swapped columns");
        }
        // Indices of padding (whose entries are zeros in a stack), of the next place, and below zero.
        let at = honest.named("index");
        for outside in [n as i64, n as i64 + 1, -1, 1 << 20] {
            for lie in [vec![0; width], table[..width].to_vec()] {
                let mut forge = honest.clone();
                forge.contents[at][entry] = outside;
                forge.contents[rows][entry * width..(entry + 1) * width].copy_from_slice(&lie);
                forge.rederive(&[at, rows]);
                refused(&forge, &key, "an index that is no row's");
            }
        }
        // Counts.
        let mut forge = honest.clone();
        forge.contents[v.counts][own] += 1;
        forge.relation().unwrap_err();
        prop_assert!(forge.verdict(&key.verifying).is_err());
        forge.contents[v.counts][own] -= 2;
        prop_assert!(forge.verdict(&key.verifying).is_err());
    }

    /// The place of a batch is part of the fingerprint, although all samples have the same indices.
    #[test]
    fn rows_of_another_sample(n in 2usize..6, width in 1usize..4, seed: u64) {
        let m = model(graph(From::Input, n, &[2], &[width]), seed);
        let key = key(&m, SetupOptions { row_bits: Some(3), ..Default::default() });
        let mut samples = inputs(&m, 2, seed);
        samples[1][0] = samples[0][0].clone();
        let first = &mut samples[0][1].data;
        first.iter_mut().for_each(|v| *v = 3);
        samples[1][1].data.iter_mut().for_each(|v| *v = -4);
        let forge = Forge::inference(&key, &samples);
        forge.relation().unwrap();
        prop_assert!(forge.verdict(&key.verifying).is_ok());
        let rows = forge.named("rows");
        let mut lie = forge.clone();
        let half = lie.contents[rows].len() / 2;
        lie.contents[rows].rotate_left(half);
        lie.rederive(&[rows]);
        refused(&lie, &key, "rows of the other sample");
        let v = lie.program.vectors[0].clone();
        let half = lie.contents[v.counts].len() / 2;
        lie.contents[v.counts].rotate_left(half);
        refused(&lie, &key, "rows and counts of the other sample");
    }
}

/// A row of a scalar table, where the gathered rows have one value: only the tag is different.
#[test]
fn a_scalar_row_is_no_vector_row() {
    let (key, honest) = honest(graph(From::Lookup, 5, &[3], &[1]), 1, 11);
    let rows = honest.named("rows");
    let index = honest.contents[honest.named("index")].clone();
    let mut tried = 0;
    for (b, block) in honest.program.blocks.iter().enumerate() {
        let values: Vec<i64> = match block.values {
            BlockValues::Constant(v) => vec![i64::from(v); 1 << block.bits],
            BlockValues::Committed(t) => honest.contents[t].clone(),
        };
        for (entry, i) in index.iter().enumerate() {
            let row = (i - block.key_min) as usize;
            if values.get(row).is_none_or(|v| *v == honest.contents[rows][entry]) {
                continue;
            }
            let mut forge = honest.clone();
            forge.contents[rows][entry] = values[row];
            forge.rederive(&[rows]);
            let m = forge.program.blocks[b].multiplicity;
            forge.contents[m][row] += 1;
            refused(&forge, &key, "a row of a scalar table");
            tried += 1;
        }
    }
    assert!(tried > 3);
}

/// A table and an index that come from one row to the next: each row names its successor.
fn pointers(n: usize, steps: usize, shared: bool) -> (GraphBuilder, Vec<NodeId>, NodeId) {
    let mut g = GraphBuilder::new(5);
    let start = g.input("start", &[1], 6).unwrap();
    let wrap = |name: &str| Table::tabulate(name, -32, 6, move |t| t.rem_euclid(n as i64) as i32);
    let first = g.lookup("first", start, 0, wrap("wrap")).unwrap();
    let delay = g.delay("at", first, 0, steps, (0, n as i64 - 1)).unwrap();
    let mut table = g.weight("successors", &[n, 2], 6).unwrap();
    let leading = usize::from(!shared);
    if !shared {
        // Time is a common axis of table and index.
        let r = g.push("one", Op::Reshape(Reshape { shape: vec![1, n, 2] }), &[table]).unwrap();
        table = g.push("each step", Op::Window(Window::broadcast(0, steps)), &[r]).unwrap();
    }
    let rows = g.push("rows", Op::Gather(Gather { leading }), &[table, delay]).unwrap();
    // The first column.
    let pick = Contraction {
        extents: vec![steps],
        lhs: vec![AxisExpr::index(0), AxisExpr::unit()],
        rhs: vec![AxisExpr::unit()],
        out: vec![AxisExpr::index(0)],
    };
    let one = g.weight("one", &[1], 2).unwrap();
    let next = g.push("next", Op::Contraction(pick), &[rows, one]).unwrap();
    let state = g.lookup("state", next, 0, wrap("wrap")).unwrap();
    g.connect(delay, state).unwrap();
    (g, vec![start], state)
}

#[test]
fn rows_that_name_the_next_row() {
    for shared in [true, false] {
        let (g, ins, state) = pointers(5, 6, shared);
        let graph = g.finish(ins, vec![state]).unwrap();
        let successors = Tensor::new(vec![5, 2], vec![3, 0, 4, 1, 0, 2, 1, 3, -3, 4]).unwrap();
        let one = Tensor::new(vec![1], vec![1]).unwrap();
        let weights = vec![successors.clone(), one];
        let start = Tensor::new(vec![1], vec![2]).unwrap();
        let got = eval(&graph, &weights, std::slice::from_ref(&start)).unwrap();
        let (mut at, mut expected) = (2usize, vec![]);
        for _ in 0..6 {
            at = successors.data[2 * at].rem_euclid(5) as usize;
            expected.push(at as i64);
        }
        assert_eq!(got.of(state).data, expected);
        let mut m = model(graph, 1);
        m.weights = weights.into();
        let key = key(&m, SetupOptions { row_bits: Some(4), ..Default::default() });
        let samples = vec![vec![start.clone()], vec![Tensor::new(vec![1], vec![-1]).unwrap()]];
        let proved = prove(&Cpu::default(), &key, &samples, &Recorder::default()).unwrap();
        let out = verify(&key.verifying, &proved.proof).unwrap().outputs;
        assert_eq!(out[0].data[..6], expected);
        let honest = Forge::inference(&key, &samples);
        honest.relation().unwrap();
        let rows = honest.named("rows");
        let mut forge = honest.clone();
        forge.contents[rows][0] += 1;
        forge.rederive(&[rows]);
        refused(&forge, &key, "a row within a recurrence");
    }
}

#[test]
fn what_is_no_gather_is_refused_by_the_graph() {
    let mut g = GraphBuilder::new(5);
    let table = g.input("table", &[3, 2], 4).unwrap();
    let index = g.input("index", &[2], 4).unwrap();
    let wide = g.input("wide", &[4, 4], 20).unwrap();
    let (w, v) = (g.weight("w", &[3], 4).unwrap(), g.weight("v", &[2], 4).unwrap());
    let mut bad = |leading, ins: &[NodeId], word: &str| {
        let e: GraphError = g.push("g", Op::Gather(Gather { leading }), ins).unwrap_err();
        assert!(e.to_string().contains(word), "{e}");
    };
    bad(1, &[table, index], "expected");
    bad(2, &[table, index], "needs one more");
    bad(0, &[w, v], "fold it");
    bad(0, &[table], "inputs");
    bad(usize::MAX, &[table, index], "needs one more");
    let scaled = g.linear("scaled", &[(wide, 1 << 13)], 0).unwrap();
    let e = g.push("g", Op::Gather(Gather { leading: 0 }), &[scaled, index]).unwrap_err();
    assert!(e.to_string().contains("32 bits"), "{e}");
    // An index outside of the table is an error of the interpreter that says so.
    let out = g.push("g", Op::Gather(Gather { leading: 0 }), &[table, index]).unwrap();
    let graph = g.finish(vec![table, index, wide], vec![out]).unwrap();
    let of = |shape: &[usize], v: i64| Tensor::new(shape.to_vec(), vec![v; shape.iter().product()]).unwrap();
    let weights = [of(&[3], 0), of(&[2], 0)];
    let run = |i: i64| eval(&graph, &weights, &[of(&[3, 2], 1), of(&[2], i), of(&[4, 4], 0)]);
    run(2).unwrap();
    for outside in [-1, 3] {
        assert!(run(outside).unwrap_err().to_string().contains(&outside.to_string()));
    }
}

#[test]
fn security_counts_the_width_of_rows() {
    let bits = |width: usize| {
        let g = graph(From::Input, 6, &[4], &[width]);
        let p = Program::inference(&g, 1, Visibility::default()).unwrap();
        assert_eq!(p.fingerprint_degree(), width + 2);
        assert!(p.tensors.iter().any(|t| matches!(t.content, Content::RowCounts(_))));
        let s = security(&p, 10);
        (p.lookups() * p.table_rows(), s.terms.into_iter().find(|t| t.name.starts_with("fingerprints")).unwrap().bits)
    };
    let ((pairs, narrow), (more, wide)) = (bits(2), bits(64));
    let grown = (66.0 * more as f64 / (4.0 * pairs as f64)).log2();
    assert!((narrow - wide - grown).abs() < 0.2, "{narrow} {wide} {grown}");
}

#[test]
fn settled_rows() {
    let m = model(graph(From::Input, 3, &[2], &[2]), 3);
    let inputs = inputs(&m, 1, 5);
    let lab = Lab::new(m, Srs::development(14, 7).unwrap(), 1, 3, Visibility::default());
    lab.tells_apart(&inputs, &[("rows", 1), ("y", 3)]);
}
