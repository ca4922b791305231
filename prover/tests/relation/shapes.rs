//! Degenerate layouts: single values, no lookups at all, one row, rows of one value, odd extents, public inputs.

use crate::support;

use assay_circuits::{
    Graph, GraphBuilder, Op, Table, Visibility,
    ops::{Contraction, Window},
};
use assay_prover::{Recorder, SetupOptions, device::Cpu};
use assay_verifier::core::{check_registration, verify};
use support::{forge::Forge, inputs, key, model};

/// A value that goes in and comes out.
fn identity() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[], 1).unwrap();
    g.finish(vec![x], vec![x]).unwrap()
}

/// One lookup in a table of one key, clamped on both sides.
fn constant() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1], 2).unwrap();
    let y = g.lookup("y", x, 0, Table::tabulate("five", 0, 0, |_| 5)).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// A product over one index of extent one, and one over nothing that is shared.
fn outer() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1, 1], 3).unwrap();
    let w = g.weight("w", &[1, 5], 3).unwrap();
    let y = g.push("outer", Op::Contraction(Contraction::matmul(&[], 1, 1, 5)), &[x, w]).unwrap();
    let z = g.lookup("z", y, 2, Table::relu(-2, 3, 4)).unwrap();
    let s = g.push("sum", Op::Window(Window::reduce(1, 5)), &[z]).unwrap();
    g.finish(vec![x], vec![y, s]).unwrap()
}

/// A shift of many limbs, the last one narrow, and weights only beside the input.
fn limbs() -> Graph {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[3], 6).unwrap();
    let w = g.weight("w", &[3], 2).unwrap();
    let y = g.linear("large", &[(x, 70_001), (w, -3)], 1).unwrap();
    let y = g.lookup("y", y, 17, Table::tabulate("id", -8, 4, |t| t as i32)).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

#[test]
fn degenerate_layouts_are_complete_and_sound() {
    let open = Visibility { inputs: true, weights: true, outputs: true };
    for graph in [identity(), constant(), outer(), limbs()] {
        let m = model(graph, 3);
        for (row_bits, batch, visibility) in
            [(0, 1, Visibility::default()), (1, 2, open), (3, 1, open), (9, 3, Visibility::default())]
        {
            let key = key(&m, SetupOptions { visibility, row_bits: Some(row_bits) });
            check_registration(&key.verifying).unwrap();
            let batch = inputs(&m, batch, 8);
            let honest = Forge::inference(&key, &batch);
            honest.relation().unwrap();
            let proved = assay_prover::prove(&Cpu::default(), &key, &batch, &Recorder::default()).unwrap();
            assert_eq!(honest.prove(), proved.proof);
            verify(&key.verifying, &proved.proof).unwrap();
            for t in 0..honest.public.len() {
                for at in 0..honest.public[t].len() {
                    for delta in [-1, 1] {
                        let mut forge = honest.clone();
                        forge.public[t][at] += delta;
                        assert!(forge.relation().is_err());
                        assert!(forge.verdict(&key.verifying).is_err());
                    }
                }
            }
        }
    }
}

/// A registration without weights and tables: two empty leaves.
#[test]
fn nothing_to_register_is_registered() {
    let key = key(&model(identity(), 1), SetupOptions { row_bits: Some(2), ..Default::default() });
    let forge = Forge::registration(&key);
    assert_eq!((forge.program.leaf_bits, forge.program.segments.len(), forge.program.blocks.len()), (1, 0, 0));
    check_registration(&key.verifying).unwrap();
    let mut other = key.verifying.clone();
    other.registration.messages[2] += assay_verifier::Fr::from(1u8);
    check_registration(&other).unwrap_err();
}
