//! Quotients and roots: what is committed is pinned down by its range checks. True ones prove, core and settled; every
//! false one is refused, by the verifier and by the naive relation.

use crate::{settle_support, support};

use assay_circuits::{
    Graph, GraphBuilder, GraphError, NodeId, Op, Table, Tensor, Visibility,
    ops::{Contraction, Divide, Root},
    program::Content,
};
use assay_prover::{Recorder, SetupOptions, device::Cpu, prove, srs::Srs};
use assay_verifier::core::verify;
use proptest::prelude::*;
use settle_support::Lab;
use support::{
    forge::{Forge, Lie},
    inputs, key, model,
};

/// `floor((a * w) / b)` with `b` from 1 to 8, and the root of `a^2 + 3`, through a rounding lookup each.
fn graph(shape: &[usize], limb_bits: u32) -> Graph {
    let mut g = GraphBuilder::new(limb_bits);
    let a = g.input("a", shape, 5).unwrap();
    let b = g.input("b", shape, 4).unwrap();
    let w = g.weight("w", shape, 4).unwrap();
    let product = |g: &mut GraphBuilder, x, y| {
        g.push("product", Op::Contraction(Contraction::elementwise(shape)), &[x, y]).unwrap()
    };
    let b = g.lookup("divisor", b, 0, Table::tabulate("positive", -8, 4, |t| t.max(0) as i32 + 1)).unwrap();
    let dividend = product(&mut g, a, w);
    let q = g.push("quotient", Op::Divide(Divide {}), &[dividend, b]).unwrap();
    let square = product(&mut g, a, a);
    let square = g.lookup("square", square, 0, Table::tabulate("square", 0, 9, |t| t as i32 + 3)).unwrap();
    let d = g.push("root", Op::Root(Root {}), &[square]).unwrap();
    let y = g.linear("y", &[(q, 1), (d, 3)], 0).unwrap();
    g.finish(vec![a, NodeId(1)], vec![y, q, d]).unwrap()
}

fn honest(g: Graph, seed: u64) -> (assay_prover::ProvingKey, Forge) {
    let m = model(g, seed);
    let key = key(&m, SetupOptions { row_bits: Some(3), ..Default::default() });
    let inputs = inputs(&m, 2, seed ^ 7);
    let proved = prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
    verify(&key.verifying, &proved.proof).unwrap();
    let forge = Forge::inference(&key, &inputs);
    forge.relation().unwrap();
    (key, forge)
}

fn refused(forge: &Forge, key: &assay_prover::ProvingKey, what: &str) {
    forge.relation().expect_err(what);
    for lie in [Lie::Truth, Lie::Leaves, Lie::Sum, Lie::Operand, Lie::Witness] {
        let verdict = std::panic::catch_unwind(|| forge.with(lie).verdict(&key.verifying));
        assert!(!matches!(verdict, Ok(Ok(()))), "{what}: accepted ({lie:?})");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..Default::default() })]

    #[test]
    fn quotients_and_roots_are_pinned_down(
        shape in prop::collection::vec(1usize..4, 1..3),
        limb_bits in 4u32..7,
        seed: u64,
        entry: usize,
    ) {
        let (key, honest) = honest(graph(&shape, limb_bits), seed);
        for name in ["quotient", "root"] {
            let t = honest.named(name);
            let entry = entry % honest.contents[t].len();
            for delta in [1, -1, 2, -7] {
                let mut forge = honest.clone();
                forge.contents[t][entry] += delta;
                forge.rederive(&[t]);
                refused(&forge, &key, &format!("{name} off by {delta}"));
            }
        }
        // The other root of the same number, which the remainder does not tell from the true one.
        let t = honest.named("root");
        let mut forge = honest.clone();
        forge.contents[t][entry % honest.contents[t].len()] *= -1;
        forge.contents[t][entry % honest.contents[t].len()] -= 1;
        forge.rederive(&[t]);
        refused(&forge, &key, "a negative root");
        // A divisor of zero or below, committed in the place of what its table gives.
        let t = honest.named("divisor");
        for divisor in [0, -1] {
            let mut forge = honest.clone();
            forge.contents[t][0] = divisor;
            forge.rederive(&[t, honest.named("quotient")]);
            refused(&forge, &key, "a divisor below one");
        }
        // Limbs that make up for another remainder.
        for t in 0..honest.program.tensors.len() {
            if matches!(honest.program.tensors[t].content, Content::Limb { .. }) {
                for delta in [1, -1, 1 << limb_bits] {
                    let mut forge = honest.clone();
                    let k = entry % forge.contents[t].len();
                    forge.contents[t][k] += delta;
                    forge.recount();
                    refused(&forge, &key, "another limb");
                }
            }
        }
    }
}

/// The remainder at its bound: `a = q b + b` belongs to the next quotient.
#[test]
fn every_quotient_and_root_of_a_range() {
    let mut g = GraphBuilder::new(4);
    let a = g.input("a", &[64], 8).unwrap();
    let b = g.lookup("divisor", a, 3, Table::tabulate("positive", -16, 5, |t| t.rem_euclid(7) as i32 + 1)).unwrap();
    let q = g.push("quotient", Op::Divide(Divide {}), &[a, b]).unwrap();
    let v = g.linear("shifted", &[(a, 1)], 128).unwrap();
    let d = g.push("root", Op::Root(Root {}), &[v]).unwrap();
    let graph = g.finish(vec![a], vec![q, d]).unwrap();
    let m = model(graph, 1);
    let key = key(&m, SetupOptions { row_bits: Some(6), ..Default::default() });
    let rows = (0..4).map(|i| vec![Tensor::new(vec![64], (0..64).map(|k| i * 64 + k - 128).collect()).unwrap()]);
    let inputs: Vec<Vec<Tensor>> = rows.collect();
    let proved = prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
    let out = verify(&key.verifying, &proved.proof).unwrap().outputs;
    for (k, a) in (-128i64..128).enumerate() {
        let b = ((a + 4) >> 3).min(15).rem_euclid(7) + 1;
        assert_eq!(out[0].data[k], (a as f64 / b as f64).floor() as i64, "{a} / {b}");
        assert_eq!(out[1].data[k], ((a + 128) as f64).sqrt().floor() as i64, "root of {}", a + 128);
    }
}

#[test]
fn what_may_be_undefined_is_refused_by_the_graph() {
    let mut g = GraphBuilder::new(4);
    let a = g.input("a", &[2], 4).unwrap();
    let bad = |e: GraphError, word: &str| assert!(e.to_string().contains(word), "{e}");
    bad(g.push("q", Op::Divide(Divide {}), &[a, a]).unwrap_err(), "at least 1");
    bad(g.push("d", Op::Root(Root {}), &[a]).unwrap_err(), "not be negative");
    let zero = g.linear("zero", &[(a, 1)], 8).unwrap();
    bad(g.push("q", Op::Divide(Divide {}), &[a, zero]).unwrap_err(), "at least 1");
    let one = g.linear("one", &[(a, 1)], 9).unwrap();
    g.push("q", Op::Divide(Divide {}), &[a, one]).unwrap();
    let square = g.push("square", Op::Contraction(Contraction::elementwise(&[2])), &[one, one]).unwrap();
    // The range of a contraction has zero in it; above one, the contraction itself is the obstacle.
    let above = g.linear("above", &[(square, 1)], 1).unwrap();
    bad(g.push("q", Op::Divide(Divide {}), &[a, above]).unwrap_err(), "a lookup must commit it");
    g.push("q", Op::Divide(Divide {}), &[square, one]).unwrap();
    let other = g.input("other", &[3], 4).unwrap();
    g.push("q", Op::Divide(Divide {}), &[other, one]).unwrap_err();
}

#[test]
fn settled_quotients() {
    let m = model(graph(&[2], 5), 3);
    let inputs = inputs(&m, 1, 5);
    let lab = Lab::new(m, Srs::development(14, 7).unwrap(), 1, 3, Visibility::default());
    lab.tells_apart(&inputs, &[("quotient", 1), ("y", 1)]);
}
