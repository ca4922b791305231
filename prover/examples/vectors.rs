//! Writes the golden vectors that native check, circuit and contract are tested on: `cargo run -p assay-prover --example
//! vectors`. Blinding is random, so every run gives others; the committed ones are as good as any. With the argument `stacks` it
//! writes those about named stacks alone.

#[path = "../tests/golden_set/mod.rs"]
mod golden_set;
#[path = "../tests/settle_forge/mod.rs"]
mod settle_forge;
#[path = "../tests/settle_support/mod.rs"]
mod settle_support;
#[path = "../tests/stack_set/mod.rs"]
mod stack_set;
#[path = "../tests/support/mod.rs"]
mod support;

use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{canary, stack::Role};
use assay_prover::{
    Blinding, Recorder,
    device::Cpu,
    settle::{
        SettledStack, SettlementProver,
        canary::{JOB, setup_canary},
    },
    srs::DEVELOPMENT_SEED,
};
use assay_verifier::{
    Fr,
    keccak::digest_to_fr,
    settle::{
        argument::SettledArgument,
        check::public_bytes,
        key::{Context, SettledProof},
    },
};
use golden_set::{Vector, cases, folder, json, srs, text};
use settle_support::{Committed, Lab, Side, Talk, listen};
use stack_set::{classes, commit, features, given, key, named, run_for, schema, sums_key};
use std::{collections::BTreeSet, fs};
use support::{Lcg, model};

fn vector(name: &str, case: &str, side: &Side, c: &Committed, talk: &Talk, argument: &SettledArgument) -> Vector {
    let statement = digest_to_fr(&c.digest);
    let heard = listen(&side.program, side.row_bits(), statement, &talk.messages, &c.claim.public);
    let broken = heard.equations.iter().filter(|(_, v)| *v != Fr::ZERO).map(|(check, _)| format!("{check:?}"));
    Vector {
        name: name.to_owned(),
        case: case.to_owned(),
        key: side.descriptor.to_bytes(),
        public_values: public_bytes(&c.claim.public),
        context: c.claim.context,
        proof: argument.to_bytes(),
        messages: talk.messages.clone(),
        broken: broken.collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

/// Proofs about named stacks: two linked by an id, one under pinned weights, and one input in a row and in four.
fn stacks(context: Context) -> Result<(), Box<dyn std::error::Error>> {
    let to = folder(false).join("stacks");
    fs::create_dir_all(&to)?;
    let write = |name: &str, p: &SettlementProver, proof: &SettledProof| {
        p.key.verify(proof)?;
        let words = p.key.descriptor.to_bytes();
        let digest = proof.context.digest();
        let fields = [
            ("key", text(&words)),
            ("publicValues", text(&proof.public)),
            ("context", text(&digest)),
            ("proof", text(&proof.argument)),
        ];
        eprintln!("{name}");
        Ok::<_, Box<dyn std::error::Error>>(fs::write(to.join(format!("{name}.json")), json(&fields))?)
    };
    let s = schema(&[("features", &[1, 20], 8)]);
    let first = key(&model(features(), 1), vec![given(named("features", &s, &[Some(Role::Output(0))]))], 1);
    let second = key(&model(classes(), 2), vec![given(named("features", &s, &[Some(Role::Input(0))]))], 1);
    let one = run_for(&first, &[vec![Lcg(3).tensor(&[1, 12], 8)]], vec![None], context.clone())?;
    let two = run_for(&second, &[vec![]], one.stacks.iter().cloned().map(Some).collect(), context.clone())?;
    write("features", &first, &one.proof)?;
    write("classes", &second, &two.proof)?;
    let w = schema(&[("w", &[12, 20], 6)]);
    let pin = commit(&w, vec![Lcg(5).tensor(&[12, 20], 6)], Blinding::Public);
    let pinned = vec![SettledStack { named: named("weights", &w, &[Some(Role::Weight(0))]), pinned: Some(pin) }];
    let third = key(&model(features(), 4), pinned, 1);
    write("pinned", &third, &run_for(&third, &[vec![Lcg(6).tensor(&[1, 12], 8)]], vec![None], context.clone())?.proof)?;
    for (name, row_bits) in [("one_row", 10), ("four_rows", 8)] {
        let (_, p) = sums_key(row_bits);
        let x = commit(&p.key.stacks[0].schema, vec![Lcg(7).tensor(&[1, 1024], 8)], Blinding::Random);
        write(name, &p, &run_for(&p, &[vec![]], vec![Some(x)], context.clone())?.proof)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bound = Context { chain_id: 31337, consumer: [0x11; 20], job: [0x22; 32], recipient: [0x33; 20] };
    stacks(bound.clone())?;
    if std::env::args().any(|a| a == "stacks") {
        return Ok(());
    }
    let srs = srs();
    let context = bound.digest();
    fs::create_dir_all(folder(true))?;
    for case in cases() {
        let (name, batch) = (case.name, case.batch());
        let lab = Lab::new(case.model, srs.clone(), batch, case.row_bits, case.visibility);
        let side = &lab.inference;
        let mut claim = lab.claim(&case.inputs);
        claim.context = context;
        let made = side.prove(claim.clone());
        side.check(&claim, &made.argument)?;
        vector(name, name, side, &made.committed, &made.talk, &made.argument).write(&folder(false));
        eprintln!("{name}");
        if name != "toy" {
            continue;
        }
        // A prover that does not do as it should: everything after the lie is made as an honest prover would.
        let lie = |name: &str, committed: &Committed, messages: Vec<Fr>| {
            let talk = side.fill(committed, messages);
            let made = side.finish(committed.clone(), talk);
            assert!(side.check(&committed.claim, &made.argument).is_err(), "{name}");
            vector(name, "toy", side, committed, &made.talk, &made.argument).write(&folder(true));
            eprintln!("{name}");
        };
        for (name, at) in [("root", 1), ("layer", 20), ("contraction", 60), ("reduction", made.talk.messages.len() - 2)]
        {
            let mut messages = made.talk.messages.clone();
            messages[at] += Fr::ONE;
            lie(&format!("message_{name}"), &made.committed, messages);
        }
        // A public value that is not what the witness gives.
        let mut other = claim.clone();
        other.public[0][0] += 1;
        let committed = side.commit(other);
        lie("public_value", &committed, side.messages(&committed));
        // Then a last message that makes the circuit's equations hold: the opening does not.
        lie("false_opening", &committed, side.lie(&committed, side.messages(&committed)));
        // Committed values that no table has.
        let mut other = claim.clone();
        let at = other.witness.stack.iter().position(|v| *v != 0).unwrap_or(0);
        other.witness.stack[at] += 1 << 20;
        let committed = side.commit(other);
        lie("witness", &committed, side.messages(&committed));
    }

    // The impossible claim, by somebody who knows tau.
    let key = setup_canary(&Cpu::default(), &srs, &Recorder::default())?.key;
    let context = Context { chain_id: 31337, consumer: [0x11; 20], job: JOB, recipient: [0x11; 20] }.digest();
    let public = [vec![canary::IMPOSSIBLE]];
    let forged =
        settle_forge::forge(&key.descriptor, &public, &context, settle_forge::development_tau(DEVELOPMENT_SEED));
    let fields = [
        ("key", text(&key.descriptor.to_bytes())),
        ("publicValues", text(&public_bytes(&public))),
        ("context", text(&context)),
        ("proof", text(&forged.to_bytes())),
    ];
    fs::write(folder(false).join("impossible.json"), json(&fields))?;
    Ok(())
}
