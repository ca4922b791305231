//! Forged witnesses: whatever false values a prover commits, the proof is not accepted, and the naive relation says why.

use crate::support;

use ark_ff::Field;
use assay_circuits::{
    program::{Content, MODEL, WITNESS},
    relation::RelationError,
};
use assay_prover::{
    Recorder,
    device::Cpu,
    prove::{Task, argue},
    witness::Witness,
};
use assay_verifier::{
    CoreProof, Fr, VerifyError,
    channel::{Check, ProtocolError},
    core::{Kind, verify},
    opening::OpeningError,
};
use support::{
    clamp_key,
    forge::{Forge, Lie, places},
    toy_key,
};

fn failed(check: Check) -> Result<(), VerifyError> {
    Err(VerifyError::Protocol(ProtocolError::Check(check)))
}

const PAIRING: Result<(), VerifyError> = Err(VerifyError::Opening(OpeningError::PairingMismatch));

#[test]
fn the_second_prover_sends_what_the_first_does() {
    let (key, inputs) = toy_key();
    let forge = Forge::inference(&key, &inputs);
    forge.relation().unwrap();
    let mut derived = forge.clone();
    derived.rederive(&[]);
    assert_eq!(forge.contents, derived.contents);
    let proved = assay_prover::prove(&Cpu::default(), &key, &inputs, &Recorder::default()).unwrap();
    assert_eq!(forge.prove(), proved.proof);
    forge.verdict(&key.verifying).unwrap();
}

/// Changes one entry of a tensor by a delta.
type Edit = (usize, usize, i64);

struct Cheat {
    what: &'static str,
    edits: Vec<Edit>,
    /// Node whose lookup has no row.
    node: &'static str,
}

fn cheats(f: &Forge) -> Vec<Cheat> {
    let limb = |low: u32| f.find(|c| matches!(c, Content::Remainder { low: l, .. } if *l == low));
    let (low, top) = (limb(0), limb(4));
    let high = f.find(|c| matches!(c, Content::High(_)));
    let side = f.find(|c| matches!(c, Content::Side(_)));
    let (x, act, max) = (f.named("x"), f.named("act"), f.named("max"));
    let cheat = |what, node, edits: &[Edit]| Cheat { what, node, edits: edits.to_vec() };
    // Entries of "act": 0 and 3 lie above the keys, 1 and 2 below, 4 and 5 inside. Its values are 5 -3 2 7 from key -2 on.
    vec![
        cheat("an output of another key", "act", &[(act, 5, -5)]),
        cheat("an output of no key", "act", &[(act, 5, 1)]),
        cheat("an output of another key where clamped", "act", &[(act, 0, -2)]),
        cheat("the next smaller quotient, remainder beyond the divisor", "act", &[(top, 5, 2), (act, 5, -5)]),
        cheat("the same in the low limb", "act", &[(low, 5, 32), (act, 5, -5)]),
        cheat("the next larger quotient, negative remainder", "act", &[(top, 4, -2), (act, 4, 5)]),
        cheat("a remainder that makes the quotient a fraction", "act", &[(low, 5, 1)]),
        cheat("a limb out of range with the same remainder", "act", &[(low, 0, 16), (top, 0, -1)]),
        cheat("a limb below its range with the same remainder", "act", &[(low, 2, -16), (top, 2, 1)]),
        cheat("above, said to be inside", "act", &[(side, 0, -1), (act, 0, -2)]),
        cheat("above, said to be below", "act", &[(side, 0, 1), (act, 0, -2)]),
        cheat("below, said to be above", "act", &[(side, 1, -1), (act, 1, 2)]),
        cheat("inside, said to be above", "act", &[(side, 5, 1)]),
        cheat("inside, said to be a range table", "act", &[(side, 5, -2), (act, 5, -7)]),
        cheat("high limb one more, key below the keys", "act", &[(high, 5, 1), (side, 5, 1), (act, 5, 0)]),
        cheat("high limb one less, key above the keys", "act", &[(high, 5, -1), (side, 5, 2), (act, 5, -2)]),
        cheat("above, high limb zero, key above the keys", "act", &[(high, 0, -1), (side, 0, -1), (act, 0, -2)]),
        cheat("a high limb outside the side table", "act", &[(high, 5, 4), (side, 5, 1)]),
        cheat("a maximum too large", "max", &[(max, 1, 1)]),
        cheat("a maximum too small", "max", &[(max, 2, -5)]),
        cheat("the other operand as maximum", "max", &[(max, 1, -2)]),
        cheat("an input beyond its width", "x", &[(x, 0, 1)]),
        cheat("an input below its width", "x", &[(x, 2, -1)]),
    ]
}

#[test]
fn false_values_are_rejected() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    for c in cheats(&honest) {
        let mut forge = honest.clone();
        for (t, entry, delta) in &c.edits {
            forge.contents[*t][*entry] += delta;
        }
        let kept: Vec<usize> = c.edits.iter().map(|e| e.0).collect();
        forge.rederive(&kept);
        match forge.relation() {
            Err(RelationError::Lookup { node, .. }) => assert_eq!(node, c.node, "{}", c.what),
            other => panic!("{}: {other:?}", c.what),
        }
        assert_eq!(forge.verdict(&key.verifying), failed(Check::LookupSum), "{}", c.what);
        assert_eq!(forge.with(Lie::Leaves).verdict(&key.verifying), failed(Check::Reduction), "{}", c.what);
        assert_eq!(forge.with(Lie::Opening).verdict(&key.verifying), PAIRING, "{}", c.what);
    }
}

/// Every high limb, side and value for one clamped lookup: one combination is accepted.
#[test]
fn a_clamp_has_one_witness() {
    for input in [-13, 2, 12] {
        let (key, inputs) = clamp_key(input);
        let honest = Forge::inference(&key, &inputs);
        let high = honest.find(|c| matches!(c, Content::High(_)));
        let side = honest.find(|c| matches!(c, Content::Side(_)));
        let value = honest.named("clamped");
        let mut accepted = 0;
        for (h, s) in (-3..=2).flat_map(|h| (0..3).map(move |s| (h, s))) {
            for v in [5, -3, 2, 7, 0] {
                let mut forge = honest.clone();
                forge.contents[high] = vec![h];
                forge.contents[side] = vec![s];
                forge.contents[value] = vec![v];
                forge.rederive(&[high, side, value]);
                let accepts = forge.verdict(&key.verifying).is_ok();
                assert_eq!(accepts, forge.relation().is_ok(), "input {input}: {h} {s} {v}");
                assert_eq!(accepts, forge.contents == honest.contents);
                accepted += usize::from(accepts);
            }
        }
        assert_eq!(accepted, 1);
    }
}

#[test]
fn false_multiplicities_are_rejected() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    for block in 0..honest.program.blocks.len() {
        let tensor = honest.program.blocks[block].multiplicity;
        let unused = honest.contents[tensor].iter().position(|m| *m == 0);
        let used = honest.contents[tensor].iter().position(|m| *m != 0).unwrap();
        let mut edits = vec![vec![(used, 1)], vec![(used, -1)]];
        if let Some(unused) = unused {
            edits.extend([vec![(unused, 1)], vec![(unused, 1), (used, -1)]]);
        }
        for edit in edits {
            let mut forge = honest.clone();
            edit.iter().for_each(|(row, delta)| forge.contents[tensor][*row] += delta);
            assert!(matches!(forge.relation(), Err(RelationError::Multiplicity { block: b, .. }) if b == block));
            assert_eq!(forge.verdict(&key.verifying), failed(Check::LookupSum));
        }
    }
}

/// Multiplicities elsewhere than the tree says, and values that are no integers.
#[test]
fn the_stack_must_hold_what_the_leaves_use() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    let half = Fr::from(2u8).inverse().unwrap();
    for tensor in (0..honest.program.tensors.len()).filter(|t| honest.program.tensors[*t].stack == WITNESS) {
        for place in places(&honest.program, tensor) {
            let mut forge = honest.clone();
            forge.cells.push((WITNESS, place, half));
            assert_eq!(forge.verdict(&key.verifying), failed(Check::Reduction), "tensor {tensor}");
        }
    }
}

/// Padding belongs to no claim: any values there leave the proof valid.
#[test]
fn padding_is_free() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    let real: Vec<usize> = (0..honest.program.tensors.len())
        .filter(|t| honest.program.tensors[*t].stack == WITNESS)
        .flat_map(|t| places(&honest.program, t))
        .collect();
    let size = honest.stack(WITNESS).len();
    let padding: Vec<usize> = (0..size).filter(|p| !real.contains(p)).collect();
    assert!(padding.len() > 10);
    let mut all = honest.clone();
    all.cells = padding.iter().map(|p| (WITNESS, *p, Fr::from(*p as u64 + 7))).collect();
    all.verdict(&key.verifying).unwrap();
    for p in padding {
        let mut forge = honest.clone();
        forge.cells.push((WITNESS, p, -Fr::from(3u8)));
        forge.verdict(&key.verifying).unwrap();
    }
}

#[test]
fn false_public_values_are_rejected() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    for (t, entry) in [(0, 0), (0, 2), (1, 0), (1, 2)] {
        for delta in [1, -1, 5] {
            let mut forge = honest.clone();
            forge.public[t][entry] += delta;
            let outside = !(honest.program.public[t].range.lo..=honest.program.public[t].range.hi)
                .contains(&i128::from(forge.public[t][entry]));
            assert!(matches!(forge.relation(), Err(RelationError::Public { tensor, .. }) if tensor == t));
            if outside {
                assert!(matches!(forge.verdict(&key.verifying), Err(VerifyError::PublicRange { .. })));
            } else {
                assert_eq!(forge.verdict(&key.verifying), failed(Check::Reduction));
                assert_eq!(forge.with(Lie::Sum).verdict(&key.verifying), failed(Check::Bilinear));
            }
        }
    }
    // The first value of the second tensor has its own power of zeta.
    let mut forge = honest.clone();
    forge.public.swap(0, 1);
    assert!(forge.verdict(&key.verifying).is_err());
    let mut forge = honest;
    forge.public[0].swap(0, 1);
    assert_eq!(forge.verdict(&key.verifying), failed(Check::Reduction));
}

#[test]
fn public_values_have_no_alias() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs).prove();
    for value in [i64::MIN, i64::MAX, 1 << 40, -(1 << 40)] {
        let mut proof = honest.clone();
        proof.public[0][0] = value;
        assert!(matches!(verify(&key.verifying, &proof), Err(VerifyError::PublicRange { value: v, .. }) if v == value));
    }
}

/// Other weights than the key's, in the witness or in the rows that the prover uses.
#[test]
fn other_weights_are_rejected() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    for (tensor, delta) in [(honest.named("w"), -1), (honest.named("v"), 1)] {
        let mut forge = honest.clone();
        forge.contents[tensor][0] += delta;
        forge.rederive(&[]);
        // The statement is true of these weights, but they are not the key's.
        forge.relation().unwrap();
        assert_eq!(forge.verdict(&key.verifying), PAIRING);
        forge.model_rows = forge.commit(&forge.stack(MODEL));
        assert_eq!(forge.verdict(&key.verifying), PAIRING);
        let mut other = key.verifying.clone();
        other.rows = forge.model_rows.clone();
        assert!(matches!(forge.verdict(&other), Err(VerifyError::OtherKey { .. })));
    }
    // A table of the prover's own.
    let table = honest.find(|c| matches!(c, Content::TableValues(id) if id.0 == 0));
    let mut forge = honest.clone();
    forge.contents[table][3] = -3;
    for entry in &mut forge.contents[honest.named("act")] {
        *entry = if *entry == 7 { -3 } else { *entry };
    }
    assert!(matches!(forge.relation(), Err(RelationError::Registered { .. })));
    assert!(forge.with(Lie::Opening).verdict(&key.verifying).is_err());
}

/// The real prover, given a false witness, makes a proof without complaint, and it is rejected.
#[test]
fn the_real_prover_cannot_cheat_either() {
    let (key, inputs) = toy_key();
    let program = key.verifying.program(inputs.len()).unwrap();
    let honest = Forge::inference(&key, &inputs);
    let stacked = support::key_inputs(&program, &inputs);
    let values = assay_circuits::eval::eval(&program.graph, &key.weights, &stacked).unwrap();
    let act = program.graph.nodes().iter().position(|n| n.name == "act").unwrap();
    let prove = |change: &dyn Fn(&mut Witness, &mut assay_circuits::eval::Values<'_>)| {
        let mut values = values.clone();
        let mut witness = Witness::build(&program, &values).unwrap();
        change(&mut witness, &mut values);
        let task = Task {
            program: &program,
            kind: Kind::Inference,
            key_digest: key.digest,
            batch: 3,
            public: &honest.public,
            row_bits: key.verifying.row_bits,
            bases: &key.bases,
            model: &key.model_stack,
            stacks: &[],
            model_rows: &key.verifying.rows,
        };
        let argument = argue(&Cpu::default(), &task, witness, &values, &Recorder::default()).unwrap();
        let proof = CoreProof { key_digest: key.digest, batch: 3, public: honest.public.clone(), argument };
        verify(&key.verifying, &proof).map(|_| ())
    };
    assert_eq!(prove(&|_, _| ()), Ok(()));
    let place = places(&program, honest.named("act"))[5];
    assert_eq!(prove(&|w, _| w.stack[place] += 1), failed(Check::Reduction));
    assert_eq!(prove(&|w, _| w.segments[4].values[5] = 2), failed(Check::LookupSum));
    assert_eq!(prove(&|w, _| w.multiplicities[3][1] += 1), failed(Check::LookupSum));
    assert_eq!(prove(&|_, v| v.0[act].to_mut().data[5] = 2), failed(Check::Reduction));
}
