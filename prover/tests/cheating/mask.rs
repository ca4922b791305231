//! Provers who cheat about a masked output: each is refused by the naive relation and by the verifier, and what is no lie
//! is accepted by both.

use crate::support;

use assay_circuits::{Graph, GraphBuilder, Table, eval::eval, mask::masked};
use assay_prover::{ProvingKey, SetupOptions};
use proptest::prelude::*;
use support::{
    forge::{Forge, Lie},
    inputs, key, model,
};

/// `64 x - 5` of 16 bits: 22 bits, so the pad has three parts.
fn wide() -> Graph {
    let mut g = GraphBuilder::new(8);
    let x = g.input("x", &[3], 16).unwrap();
    let y = g.linear("y", &[(x, 64)], -5).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

fn narrow() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[3], 4).unwrap();
    let y = g.linear("y", &[(x, 1)], 1).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

fn case(graph: &Graph) -> (ProvingKey, Forge) {
    let m = model(masked(graph).unwrap().0, 1);
    let key = key(&m, SetupOptions { row_bits: Some(4), ..Default::default() });
    let forge = Forge::inference(&key, &inputs(&m, 1, 4));
    forge.relation().unwrap();
    forge.verdict(&key.verifying).unwrap();
    (key, forge)
}

/// Neither the relation nor the verifier takes it.
fn refused(key: &ProvingKey, forge: &Forge, what: &str) {
    assert!(forge.relation().is_err(), "relation: {what}");
    assert!(forge.verdict(&key.verifying).is_err(), "verifier: {what}");
}

/// Nor from a prover who lies about the lookups and the opening too.
fn refused_lookup(key: &ProvingKey, forge: &Forge, what: &str) {
    refused(key, forge, what);
    assert!(forge.with(Lie::Opening).verdict(&key.verifying).is_err(), "verifier of a second lie: {what}");
}

#[test]
fn a_pad_out_of_range() {
    for (graph, widths) in [(narrow(), &[4][..]), (wide(), &[8, 8, 6][..])] {
        let (key, honest) = case(&graph);
        assert_eq!(masked(&graph).unwrap().1[0].widths, widths);
        for (part, width) in widths.iter().enumerate() {
            let tensor = honest.named(&format!("pad 0, part {part}"));
            let half = 1i64 << (width - 1);
            for (value, inside) in [(-half, true), (half - 1, true), (half, false), (-half - 1, false)] {
                let mut forge = honest.clone();
                forge.contents[tensor][1] = value;
                forge.rederive(&[tensor]);
                if inside {
                    forge.relation().unwrap();
                    forge.verdict(&key.verifying).unwrap();
                } else {
                    refused_lookup(&key, &forge, &format!("part {part} of {value}"));
                }
            }
        }
    }
}

/// The masked value moves by the modulus, and stays within the range that interval analysis gives it.
#[test]
fn a_carry_that_is_off_by_one() {
    for graph in [narrow(), wide()] {
        let (key, honest) = case(&graph);
        let tensor = honest.named("carry 0");
        for at in 0..3 {
            for by in [-1, 1] {
                let mut forge = honest.clone();
                forge.contents[tensor][at] += by;
                forge.rederive(&[tensor]);
                refused_lookup(&key, &forge, &format!("carry {at} by {by}"));
            }
        }
    }
}

#[test]
fn another_output() {
    for graph in [narrow(), wide()] {
        let (key, honest) = case(&graph);
        let modulus = 1i64 << masked(&graph).unwrap().1[0].bits;
        for by in [1, -1, modulus, -modulus] {
            for at in 0..3 {
                let mut forge = honest.clone();
                forge.public[0][at] += by;
                refused(&key, &forge, &format!("value {at} by {by}"));
            }
        }
        let mut swapped = honest.clone();
        swapped.public[0].swap(0, 2);
        assert_ne!(swapped.public[0], honest.public[0]);
        refused(&key, &swapped, "entries swapped");
    }
}

/// What is shown, without the pad, is the output of the inner graph.
#[test]
fn what_is_shown_gives_the_output() {
    for graph in [narrow(), wide()] {
        let (padded, how) = masked(&graph).unwrap();
        let m = model(padded, 1);
        let all = inputs(&m, 1, 4).remove(0);
        let shown = eval(&m.graph, &[], &all).unwrap().outputs(&m.graph).remove(0);
        let expected = eval(&graph, &[], &all[..1]).unwrap().outputs(&graph).remove(0);
        assert_eq!(how[0].unmask(&shown, &all[how[0].first_input..]).unwrap(), expected);
    }
}

/// An output of any range, a lookup's or a sum's, in rows of any shape.
fn drawn(limb_bits: u32, bits: u32, shape: &[usize], (factor, offset): (i64, i64), table: bool) -> Graph {
    let mut g = GraphBuilder::new(limb_bits);
    let x = g.input("x", shape, bits).unwrap();
    let y = g.linear("y", &[(x, factor)], offset).unwrap();
    let y = if table {
        g.lookup("mod", y, 2, Table::tabulate("mod", -8, 4, |t| (t * 5 % 11) as i32 * 40)).unwrap()
    } else {
        y
    };
    g.finish(vec![x], vec![y]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..Default::default() })]

    /// Whatever an output's range, limbs and modulus are: one masked value, one carry and one width of each part.
    #[test]
    fn masked_values_have_one_form(
        limb_bits in 4u32..=9,
        bits in 2u32..=9,
        shape in prop::collection::vec(1usize..4, 1..3),
        factor in prop_oneof![-300i64..-1, 1i64..300],
        offset in -5_000i64..5_000,
        table: bool,
        pick: usize,
    ) {
        let graph = drawn(limb_bits, bits, &shape, (factor, offset), table);
        let (key, honest) = case(&graph);
        let how = masked(&graph).unwrap().1.remove(0);
        let (half, modulus) = (1i64 << (how.bits - 1), 1i64 << how.bits);
        prop_assert!(honest.public[0].iter().all(|z| (-half..half).contains(z)));
        let at = pick % honest.public[0].len();
        let carry = honest.named("carry 0");
        for by in [-1, 1] {
            let mut forge = honest.clone();
            forge.contents[carry][at] += by;
            forge.rederive(&[carry]);
            prop_assert_eq!(forge.public[0][at], honest.public[0][at] - by * modulus);
            refused_lookup(&key, &forge, "a carry, and the value moved by the modulus");
            let mut forge = honest.clone();
            forge.public[0][at] += by * modulus;
            refused(&key, &forge, "another representative");
            let mut forge = honest.clone();
            forge.public[0][at] += by;
            refused(&key, &forge, "another value");
        }
        // A part beyond its width, which the next one makes up for: the pad is the same, and so is what is shown.
        for (j, width) in how.widths.iter().enumerate() {
            let tensor = honest.named(&format!("pad 0, part {j}"));
            for by in [-1, 1] {
                let mut forge = honest.clone();
                forge.contents[tensor][at] += by << width;
                let mut kept = vec![tensor];
                if j + 1 < how.widths.len() {
                    let next = honest.named(&format!("pad 0, part {}", j + 1));
                    forge.contents[next][at] -= by;
                    kept.push(next);
                }
                forge.rederive(&kept);
                refused_lookup(&key, &forge, "a part of the pad beyond its width");
            }
        }
    }
}
