//! Lies about training on networks drawn at random: single values with everything computed from them, runs of another algorithm,
//! other public values, and junk where a stack has padding, which must not matter.

use crate::{random_training, support};

use ark_ff::Field;
use assay_circuits::{
    NodeId, Op,
    graph::Node,
    model::Model,
    ops::Window,
    program::{Content, MODEL, WITNESS},
};
use assay_verifier::Fr;
use proptest::prelude::*;
use random_training::{KINDS, Run, within};
use std::collections::{BTreeMap, BTreeSet};
use support::{
    Lcg,
    forge::{Forge, Lie, places},
    key,
    transplant::{edited, factor, find, label, options, transplant},
};

const LIES: [Lie; 4] = [Lie::Truth, Lie::Leaves, Lie::Witness, Lie::Opening];

fn counted(content: &Content) -> bool {
    matches!(content, Content::Multiplicity { .. } | Content::RowCounts(_))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..Default::default() })]

    /// Weights and walk are what the statement is about; everything else that is committed is pinned down by them.
    #[test]
    fn every_committed_value_is_pinned_down(kind in 0..KINDS, seed: u64) {
        let run = Run::draw(kind, seed);
        let key = key(&run.model, options());
        let honest = Forge::inference(&key, &run.inputs);
        honest.relation().unwrap();
        honest.verdict(&key.verifying).unwrap();
        let mut rng = Lcg(seed ^ 0x5eed);
        let free = |t: &usize| match honest.program.tensors[*t].content {
            Content::Node(id) => !matches!(honest.program.graph.node(id).op, Op::Input(_)),
            _ => true,
        };
        let tensors: Vec<usize> = (0..honest.contents.len())
            .filter(|t| honest.program.tensors[*t].stack == WITNESS)
            .filter(free)
            .collect();
        for trial in 0..40 {
            let t = tensors[within(&mut rng, 0, tensors.len() - 1)];
            let entry = within(&mut rng, 0, honest.contents[t].len() - 1);
            let mut forge = honest.clone();
            let delta = [1, -1, 2, 1 << within(&mut rng, 2, 16), -(1 << within(&mut rng, 2, 16))][within(&mut rng, 0, 4)];
            forge.contents[t][entry] += delta;
            let counts = counted(&forge.program.tensors[t].content);
            if delta > 0 && !counts && trial % 2 == 0 {
                // Below zero there would be roots and divisors of nothing to go on with.
                forge.rederive(&[t]);
            } else if !counts {
                forge.recount();
            }
            let what = format!("{} entry {entry} by {delta}", label(&honest, t));
            prop_assert!(forge.relation().is_err(), "{what}: the naive checker accepts");
            if trial % 10 == 0 {
                let lie = if counts { Lie::Truth } else { LIES[within(&mut rng, 0, LIES.len() - 1)] };
                let forge = if counts { forge } else { forge.with(lie) };
                prop_assert!(forge.verdict(&key.verifying).is_err(), "{what}: the verifier accepts ({lie:?})");
            }
        }
    }

    /// Another weight, walk or loss in the statement than in the witness.
    #[test]
    fn every_public_value_is_the_witness(kind in 0..KINDS, seed: u64) {
        let run = Run::draw(kind, seed);
        let key = key(&run.model, options());
        let honest = Forge::inference(&key, &run.inputs);
        let mut rng = Lcg(seed ^ 0xface);
        let rows = run.spec.rows as i64;
        for trial in 0..24 {
            let mut forge = honest.clone();
            let t = within(&mut rng, 0, forge.public.len() - 1);
            let entry = within(&mut rng, 0, forge.public[t].len() - 1);
            // By the number of rows a walk leads to the same rows, and is another statement.
            forge.public[t][entry] += [1, -1, rows, -rows, 1 << 16][within(&mut rng, 0, 4)];
            prop_assert!(forge.relation().is_err(), "tensor {t} entry {entry}");
            if trial % 8 == 0 {
                let lie = LIES[within(&mut rng, 0, LIES.len() - 1)];
                prop_assert!(forge.with(lie).verdict(&key.verifying).is_err(), "tensor {t} entry {entry} ({lie:?})");
            }
        }
        let losses = honest.public.len() - 1;
        let mut forge = honest.clone();
        forge.public[losses].rotate_left(1);
        prop_assert_eq!(forge.relation().is_err(), forge.public != honest.public, "losses of other steps");
    }

    /// What is committed where a tensor has no entries is no row, no token and no class: the statement stays what it is, whatever lies
    /// there, in the witness and in the key.
    #[test]
    fn padding_is_no_data(kind in 0..KINDS, seed: u64) {
        let run = Run::draw(kind, seed);
        let key = key(&run.model, options());
        let honest = Forge::inference(&key, &run.inputs);
        let mut rng = Lcg(seed ^ 0xbad);
        let mut forge = honest.clone();
        let mut junk = BTreeMap::new();
        for (t, tensor) in honest.program.tensors.iter().enumerate() {
            let real: BTreeSet<usize> = places(&honest.program, t).into_iter().collect();
            let padding: Vec<usize> =
                (tensor.offset..tensor.offset + (1 << tensor.bits())).filter(|p| !real.contains(p)).collect();
            if padding.is_empty() {
                continue;
            }
            for _ in 0..3 {
                let at = padding[within(&mut rng, 0, padding.len() - 1)];
                forge.cells.push((tensor.stack, at, Fr::from(rng.next()).pow([3]) + Fr::from(1u8)));
            }
            *junk.entry(tensor.stack).or_insert(0) += 1;
        }
        // Four rows and two classes leave no place for it.
        prop_assume!(!junk.is_empty());
        let mut other = key.verifying.clone();
        forge.model_rows = forge.commit(&forge.stack(MODEL));
        other.rows.clone_from(&forge.model_rows);
        forge.key_digest = other.digest().unwrap();
        prop_assert_eq!(&forge.public, &honest.public);
        prop_assert!(forge.verdict(&other).is_ok(), "junk in padding changes what is proven");
        // And it is no help: neither for a loss that is another, nor for a row.
        let losses = forge.public.len() - 1;
        let mut lie = forge.clone();
        lie.public[losses][0] -= 1;
        prop_assert!(lie.verdict(&other).is_err());
        let rows = forge.named("rows");
        forge.contents[rows][0] += 1;
        forge.rederive(&[rows]);
        prop_assert!(forge.with(Lie::Leaves).verdict(&other).is_err(), "another row, beside junk");
    }
}

/// Whether a weight has a velocity, and its decay.
fn decay(run: &Run) -> Option<i64> {
    run.spec.momentum_bits.map(|m| (1 << m) - 1)
}

/// Replaces the steps or samples that a gather is asked for by the same in reverse order.
fn reversed_index(nodes: &mut Vec<Node>, gather: &str, run: &Run) {
    let at = nodes.iter().position(|n| n.name == gather && matches!(n.op, Op::Gather(_))).unwrap();
    let index = nodes[at].inputs[1];
    let len = run.spec.steps;
    nodes.push(Node {
        name: "reversed".to_owned(),
        op: Op::Window(Window::slice(0, len as i64 - 1, -1, len)),
        inputs: vec![index],
        ..nodes[index.0].clone()
    });
    nodes[at].inputs[1] = NodeId(nodes.len() - 1);
}

/// Which pairs of tokens see each other, one more or one less than those before and at a token.
fn mask(nodes: &mut [Node], seen: impl Fn(usize, usize) -> bool) {
    for n in nodes.iter_mut().filter(|n| n.name.ends_with("Attention.seen")) {
        if let Op::Remap(r) = &mut n.op {
            let tokens = r.rows.len().isqrt();
            let pair = |k: usize| -> Vec<(u32, i64)> {
                seen(k / tokens, k % tokens).then_some((k as u32, 1)).into_iter().collect()
            };
            r.rows = (0..tokens * tokens).map(pair).collect();
        }
    }
}

/// Runs of another algorithm, each with remainders and counts that fit it.
#[test]
fn other_runs_are_refused() {
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..12 {
        let run = Run::draw(seed as usize % KINDS, 1_000 + seed);
        let key = key(&run.model, options());
        let honest = Forge::inference(&key, &run.inputs);
        let mut cheat = |what: &str, edit: &dyn Fn(&mut Vec<Node>)| {
            let other = Model { graph: edited(&run.model.graph, edit), ..run.model.clone() };
            let forge = transplant((&key, &run.inputs), (&other, &run.inputs));
            // In this run it may make no difference.
            if (&forge.contents, &forge.public) == (&honest.contents, &honest.public) {
                return;
            }
            assert!(forge.relation().is_err(), "{what}, seed {seed}: the naive checker accepts");
            let before = tried.entry(what.to_owned()).or_insert(0);
            *before += 1;
            if *before == 1 {
                let lie = LIES[seed as usize % LIES.len()];
                assert!(forge.with(lie).verdict(&key.verifying).is_err(), "{what}, seed {seed}: the verifier accepts");
            }
        };
        let mut rng = Lcg(seed);
        let names = run.spec.network.names(false);
        let name = names[within(&mut rng, 0, names.len() - 1)].clone();
        if let Some(kept) = decay(&run) {
            cheat("a velocity that begins with the weights", &|n| factor(n, &format!("{name}.velocity"), 0, &|_| 1));
            cheat("a velocity that does not decay", &|n| factor(n, &name, 0, &|c| c + c / kept));
        }
        cheat("an update twice as large", &|n| factor(n, &name, 1, &|c| 2 * c));
        cheat("a tensor that stays", &|n| factor(n, &name, 1, &|_| 0));
        cheat("weights of the step before the last", &|nodes| {
            for n in nodes.iter_mut().filter(|n| n.name.ends_with(".trained")) {
                if let Op::Window(w) = &mut n.op {
                    w.offset -= 1;
                }
            }
        });
        cheat("a loss in the unit of errors", &|nodes| {
            let loss = nodes.iter().position(|n| n.name == "loss" && matches!(n.op, Op::Contraction(_))).unwrap();
            let error = find(nodes, "error");
            nodes[loss].inputs[1] = NodeId(error);
        });
        cheat("a loss without targets", &|nodes| factor(nodes, "difference", 1, &|_| 0));
        cheat("labels of other draws", &|nodes| reversed_index(nodes, "labels", &run));
        cheat("rows of other draws", &|nodes| reversed_index(nodes, "rows", &run));
        if run.spec.network.input.len() == 2 {
            cheat("a token sees the next one", &|nodes| mask(nodes, |i, j| j <= i + 1));
            cheat("a token does not see the one before it", &|nodes| mask(nodes, |i, j| j == i));
            cheat("tokens see what comes after them alone", &|nodes| mask(nodes, |i, j| j >= i));
        }
    }
    // Each of them made a difference somewhere.
    println!("{tried:?}");
    assert_eq!(tried.len(), 12, "{tried:?}");
}
