//! The verifier and the naive relation agree: a proof about changed values is accepted exactly when the values satisfy the
//! relation, whatever is changed.

use crate::support;

use assay_circuits::{
    Graph, GraphBuilder, Op, Table,
    ops::{AxisScale, Concat, Contraction, Reshape, Transpose, Window},
    program::WITNESS,
    relation::RelationError,
};
use assay_prover::{ProvingKey, SetupOptions};
use proptest::prelude::*;
use std::sync::LazyLock;
use support::{
    forge::{Forge, Lie},
    inputs, key, model, toy_key,
};

/// Every operator once, in shapes that are no powers of two: a product of two inputs (looked up and public), transposed,
/// multiplied with itself plus one, joined, scaled, reversed, summed and reshaped, with and without clamps.
fn operators() -> Graph {
    let mut g = GraphBuilder::new(4);
    let a = g.input("a", &[2, 3], 4).unwrap();
    let b = g.input("b", &[3, 2], 4).unwrap();
    let p = g.push("product", Op::Contraction(Contraction::matmul(&[], 2, 3, 2)), &[a, b]).unwrap();
    let table = Table::tabulate("odd", -4, 3, |t| (t * t * t / 2) as i32);
    let m = g.lookup("clamped", p, 4, table).unwrap();
    let t = g.push("swap", Op::Transpose(Transpose { permutation: vec![1, 0] }), &[m]).unwrap();
    let u = g.linear("shifted", &[(t, 1)], 1).unwrap();
    let s = g.push("square", Op::Contraction(Contraction::elementwise(&[2, 2])), &[u, t]).unwrap();
    let s = g.lookup("plain", s, 6, Table::tabulate("root", -4, 5, |t| (t.max(0) as f64).sqrt() as i32 - 2)).unwrap();
    let j = g.push("join", Op::Concat(Concat { axis: 0 }), &[t, s]).unwrap();
    let r = g.push("reversed", Op::Window(Window::slice(0, 3, -1, 4)), &[j]).unwrap();
    let r = g.push("weighed", Op::AxisScale(AxisScale { axis: 1, factors: vec![2, -3] }), &[r]).unwrap();
    let r = g.push("padded", Op::Window(Window::pad(0, 4, 1, 0)), &[r]).unwrap();
    let sliding = Window { axis: 0, len: 3, stride: 2, kernel: 2, dilation: 1, offset: 0 };
    let r = g.push("sliding sum", Op::Window(sliding), &[r]).unwrap();
    let r = g.push("flat", Op::Reshape(Reshape { shape: vec![6] }), &[r]).unwrap();
    let y = g.linear("y", &[(r, 2)], -1).unwrap();
    g.finish(vec![a, b], vec![y, s, p]).unwrap()
}

fn operators_key() -> ProvingKey {
    key(&model(operators(), 1), SetupOptions { row_bits: Some(4), ..Default::default() })
}

struct Case {
    key: ProvingKey,
    honest: Forge,
    /// Tensors of the witness.
    tensors: Vec<usize>,
}

fn case(key: ProvingKey, honest: Forge) -> Case {
    let witness = |t: &usize| honest.program.tensors[*t].stack == WITNESS;
    let tensors = (0..honest.program.tensors.len()).filter(witness).collect();
    Case { key, honest, tensors }
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let (toy, batch) = toy_key();
    let toy_forge = Forge::inference(&toy, &batch);
    let key = operators_key();
    let m = model(operators(), 1);
    let forges = [1, 2].map(|batch| Forge::inference(&key, &inputs(&m, batch, 4)));
    let mut out = vec![case(toy, toy_forge)];
    out.extend(forges.map(|f| case(key.clone(), f)));
    out
});

#[test]
fn honest_values_satisfy_the_relation() {
    for c in CASES.iter() {
        c.honest.relation().unwrap();
        c.honest.verdict(&c.key.verifying).unwrap();
    }
}

/// What is done to an entry.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(i64),
    Set(i64),
    Swap(usize),
    Negate,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => prop_oneof![Just(1), Just(-1), Just(2), Just(-2), Just(16), Just(-16), Just(32)].prop_map(Change::Add),
        1 => (-40i64..40).prop_map(Change::Set),
        1 => prop_oneof![Just(1i64 << 20), Just(-(1 << 20))].prop_map(Change::Set),
        2 => any::<usize>().prop_map(Change::Swap),
        1 => Just(Change::Negate),
    ]
}

fn apply(entries: &mut [i64], at: usize, change: Change) {
    match change {
        Change::Add(d) => entries[at] += d,
        Change::Set(v) => entries[at] = v,
        Change::Swap(other) => entries.swap(at, other % entries.len()),
        Change::Negate => entries[at] = -entries[at],
    }
}

/// Both verdicts, and that of a prover that lies as far as it can.
fn compare(c: &Case, forge: &Forge) -> bool {
    let relation = forge.relation();
    let verdict = forge.verdict(&c.key.verifying);
    assert_eq!(relation.is_ok(), verdict.is_ok(), "relation {relation:?}, verifier {verdict:?}");
    if matches!(relation, Err(RelationError::Lookup { .. })) {
        assert!(forge.with(Lie::Opening).verdict(&c.key.verifying).is_err(), "{relation:?}");
    }
    relation.is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]
    #[test]
    fn the_verifier_accepts_what_the_relation_accepts(
        (which, tensor, at) in any::<(usize, usize, usize)>(),
        change in change(),
        (rederive, recount) in any::<(bool, bool)>(),
    ) {
        let c = &CASES[which % CASES.len()];
        let tensor = c.tensors[tensor % c.tensors.len()];
        let mut forge = c.honest.clone();
        let entries = &mut forge.contents[tensor];
        let at = at % entries.len();
        apply(entries, at, change);
        if rederive {
            forge.rederive(&[tensor]);
        } else if recount {
            forge.recount();
        }
        compare(c, &forge);
    }

    #[test]
    fn public_values_are_those_of_the_relation(
        (which, tensor, at) in any::<(usize, usize, usize)>(),
        change in change(),
    ) {
        let c = &CASES[which % CASES.len()];
        let mut forge = c.honest.clone();
        let tensor = tensor % forge.public.len();
        let values = &mut forge.public[tensor];
        let at = at % values.len();
        apply(values, at, change);
        compare(c, &forge);
    }
}

/// Every single input value, changed to any other in its range, gives another true statement.
#[test]
fn other_inputs_are_other_true_statements() {
    for c in CASES.iter().take(2) {
        for name in ["x", "a", "b"] {
            let graph = &c.honest.program.graph;
            let Some(id) = graph.nodes().iter().position(|n| n.name == name) else { continue };
            let tensor = c.honest.program.node_tensor[id].unwrap();
            for at in 0..c.honest.contents[tensor].len() {
                for (value, inside) in [(-8, true), (7, true), (0, true), (8, false), (-9, false)] {
                    let mut forge = c.honest.clone();
                    forge.contents[tensor][at] = value;
                    forge.rederive(&[tensor]);
                    assert_eq!(compare(c, &forge), inside, "{name}[{at}] = {value}");
                }
            }
        }
    }
}

/// Each entry of each committed tensor changed by one, all else left alone: always false, always rejected.
#[test]
fn no_committed_value_is_free() {
    // The third case has the layout of the second, twice as large.
    for c in CASES.iter().take(2) {
        for tensor in &c.tensors {
            for at in 0..c.honest.contents[*tensor].len() {
                let mut forge = c.honest.clone();
                forge.contents[*tensor][at] += 1;
                assert!(!compare(c, &forge), "tensor {tensor} entry {at}");
            }
        }
    }
}
