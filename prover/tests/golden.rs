//! Three verifiers on the committed golden set: the native check, the circuit under `MockProver`, and the contract on the
//! embedded EVM. A proof stands if the circuit's equations hold for the public inputs that follow from it, Halo2's proof
//! shows that, and the combined row opens to its value. The files hold the prover's messages, so that the circuit can be
//! filled as it was for the very proof in the file. Files are made by `cargo run -p assay-prover --example vectors`.

mod golden_set;
mod settle_evm;
mod settle_support;
mod support;

use ark_ff::{AdditiveGroup, Field};
use assay_prover::{Recorder, device::Cpu, settle::canary::setup_canary};
use assay_verifier::{
    Fr, G1Affine,
    keccak::digest_to_fr,
    native::public_sum,
    settle::{
        self, Run,
        argument::SettledArgument,
        check::{check, public_bytes, public_from_bytes, statement},
        descriptor::Descriptor,
        key::{inference_digest, shape},
        layout::Rows,
    },
};
use golden_set::{Case, Vector, cases, srs, vectors};
use settle_evm::Contract;
use settle_support::{listen, mock};
use std::collections::BTreeSet;

/// What the three say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdicts {
    native: bool,
    contract: bool,
    /// The circuit's equations, for the public inputs that a verifier computes. Nothing about the opening.
    circuit: bool,
}

/// The public inputs that a verifier computes from a proof.
fn public_inputs(descriptor: &Descriptor, public: &[Vec<i64>], context: &[u8; 32], a: &SettledArgument) -> Vec<Fr> {
    let digest = statement(&descriptor.id(), context, &[], public, &a.rows, &a.mask);
    let head = [digest_to_fr(&digest), a.zeta, public_sum(public, &a.zeta), a.gamma, a.value];
    head.into_iter().chain(a.point.iter().copied()).collect()
}

/// The circuit as the prover of a vector filled it.
fn filled(case: &Case, v: &Vector) -> Rows {
    let descriptor = Descriptor::from_bytes(&v.key).unwrap();
    let argument = SettledArgument::from_bytes(&descriptor, &v.proof).unwrap();
    let public = public_from_bytes(&descriptor, &v.public_values).unwrap().1;
    let inputs = public_inputs(&descriptor, &public, &v.context, &argument);
    let run = Run { statement: inputs[0], messages: &v.messages, public: &public };
    let rows = settle::circuit(&case.program(), case.row_bits, Some(run)).unwrap();
    assert_eq!(rows.instances, inputs, "{}: the messages are not those of the proof", v.name);
    rows
}

fn verdicts(contract: &mut Contract, rows: &Rows, v: &Vector) -> Verdicts {
    let descriptor = Descriptor::from_bytes(&v.key).unwrap();
    let argument = SettledArgument::from_bytes(&descriptor, &v.proof);
    let public = public_from_bytes(&descriptor, &v.public_values).map(|p| p.1);
    let native = match (&argument, &public) {
        (Ok(a), Some(p)) => check(&descriptor, p, &v.context, a).is_ok(),
        _ => false,
    };
    let circuit = match (&argument, &public) {
        (Ok(a), Some(p)) => {
            let mut rows = rows.clone();
            let old = std::mem::replace(&mut rows.instances, public_inputs(&descriptor, p, &v.context, a));
            // The equations were looked at for the honest inputs; other ones need another look.
            old == rows.instances && v.broken.is_empty() || mock(&rows).is_ok()
        }
        _ => false,
    };
    let contract = contract.accepts(&v.key, &v.public_values, v.context, &v.proof);
    Verdicts { native, contract, circuit }
}

const ACCEPTED: Verdicts = Verdicts { native: true, contract: true, circuit: true };

#[test]
fn all_three_accept_every_vector() {
    let mut contract = Contract::new();
    let cases = cases();
    let vectors = vectors(false);
    let names = |all: &mut dyn Iterator<Item = String>| all.collect::<BTreeSet<_>>();
    assert_eq!(
        names(&mut vectors.iter().map(|v| v.case.clone())),
        names(&mut cases.iter().map(|c| c.name.to_owned())),
        "a vector for every case"
    );
    for v in &vectors {
        let case = cases.iter().find(|c| c.name == v.case).unwrap();
        // The key's part that follows from the graph.
        let d = Descriptor::from_bytes(&v.key).unwrap();
        let specs = (case.model.inputs.as_slice(), case.model.outputs.as_slice());
        let digest = inference_digest(&case.model.graph, specs, case.visibility, case.batch(), &[]).unwrap();
        let shape = shape(&case.program(), case.row_bits).unwrap();
        assert_eq!((d.program, d.row_bits), (digest, case.row_bits));
        assert_eq!((d.witness_bits, d.model_bits, d.public.clone()), shape);
        let rows = filled(case, v);
        assert_eq!(mock(&rows), Ok(()), "{}", v.name);
        assert_eq!(verdicts(&mut contract, &rows, v), ACCEPTED, "{}", v.name);
    }
}

/// Proofs by provers that lie. The file says which checks the messages break; where there are none, the lie is one that the
/// circuit cannot see, and the opening is false.
#[test]
fn all_three_refuse_every_lie() {
    let mut contract = Contract::new();
    let cases = cases();
    let vectors = vectors(true);
    assert!(vectors.len() >= 7);
    let mut checks = BTreeSet::new();
    for v in &vectors {
        let case = cases.iter().find(|c| c.name == v.case).unwrap();
        let rows = filled(case, v);
        let descriptor = Descriptor::from_bytes(&v.key).unwrap();
        let public = public_from_bytes(&descriptor, &v.public_values).unwrap().1;
        let heard = listen(&case.program(), case.row_bits, rows.instances[0], &v.messages, &public);
        let broken = heard.equations.iter().filter(|(_, v)| *v != Fr::ZERO).map(|(check, _)| format!("{check:?}"));
        assert_eq!(broken.collect::<BTreeSet<_>>(), v.broken.iter().cloned().collect(), "{}", v.name);
        let expected = Verdicts { native: false, contract: false, circuit: v.broken.is_empty() };
        assert_eq!(verdicts(&mut contract, &rows, v), expected, "{}", v.name);
        checks.extend(v.broken.iter().cloned());
    }
    assert!(vectors.iter().any(|v| v.broken.is_empty()), "a false opening");
    for check in ["LookupSum", "LookupLayer", "Bilinear", "Reduction"] {
        assert!(checks.contains(check), "no lie about {check}");
    }
}

/// What is done to a vector, and whether the circuit's public inputs stay what they were.
type Change = (&'static str, bool, fn(&mut Statement));

/// A vector taken apart.
struct Statement {
    public: Vec<Vec<i64>>,
    context: [u8; 32],
    argument: SettledArgument,
}

const CHANGES: [Change; 22] = [
    ("a public value", false, |s| s.public[0][0] ^= 1),
    ("the last public value", false, |s| *s.public.last_mut().unwrap().last_mut().unwrap() ^= 1),
    ("two public values swapped", false, |s| {
        let i = s.public[0].iter().position(|v| *v != s.public[0][0]).unwrap();
        s.public[0].swap(0, i);
    }),
    ("the context", false, |s| s.context[0] ^= 0x80),
    ("rows swapped", false, |s| s.argument.rows.swap(0, 1)),
    ("a row's opposite", false, |s| s.argument.rows[0] = -s.argument.rows[0]),
    ("a row at infinity", false, |s| s.argument.rows[0] = G1Affine::default()),
    ("the mask", false, |s| s.argument.mask = s.argument.rows[0]),
    ("zeta", false, |s| s.argument.zeta += Fr::ONE),
    ("gamma", false, |s| s.argument.gamma = -s.argument.gamma),
    ("zeta and gamma swapped", false, |s| std::mem::swap(&mut s.argument.zeta, &mut s.argument.gamma)),
    ("the value", false, |s| s.argument.value += Fr::ONE),
    ("the first coordinate", false, |s| s.argument.point[0] += Fr::ONE),
    ("the last coordinate", false, |s| *s.argument.point.last_mut().unwrap() = Fr::ZERO),
    ("a column of the circuit", true, |s| s.argument.halo2.advice.swap(0, 3)),
    ("an evaluation", true, |s| s.argument.halo2.evaluations[4] += Fr::ONE),
    ("a quotient of the circuit", true, |s| s.argument.halo2.w_prime = -s.argument.halo2.w_prime),
    ("the blinding factor", true, |s| s.argument.beta += Fr::ONE),
    ("a value of a fold", true, |s| s.argument.opening.evaluations[0] = Fr::ZERO),
    ("the opening's quotient", true, |s| s.argument.opening.quotient = G1Affine::default()),
    ("the opening's last quotient", true, |s| s.argument.opening.linearised = s.argument.halo2.w_prime),
    ("the halves' quotients swapped", true, |s| {
        std::mem::swap(&mut s.argument.opening.linearised, &mut s.argument.halo2.w_prime);
    }),
];

#[test]
fn all_three_refuse_every_changed_vector() {
    let mut contract = Contract::new();
    let cases = cases();
    for v in &vectors(false) {
        let case = cases.iter().find(|c| c.name == v.case).unwrap();
        let rows = filled(case, v);
        let descriptor = Descriptor::from_bytes(&v.key).unwrap();
        // MockProver takes its time; the larger vectors get a part of the list.
        let step = if rows.k() > 12 { 5 } else { 1 };
        for (name, unseen, change) in CHANGES.iter().step_by(step) {
            let mut s = Statement {
                public: public_from_bytes(&descriptor, &v.public_values).unwrap().1,
                context: v.context,
                argument: SettledArgument::from_bytes(&descriptor, &v.proof).unwrap(),
            };
            change(&mut s);
            let changed = Vector {
                public_values: public_bytes(&s.public),
                context: s.context,
                proof: s.argument.to_bytes(),
                ..v.clone()
            };
            // A change of the curve's part alone leaves the circuit's statement as it is.
            let expected = Verdicts { native: false, contract: false, circuit: *unseen };
            assert_eq!(verdicts(&mut contract, &rows, &changed), expected, "{}: {name}", v.name);
        }
    }
}

/// The forged proof of the impossible claim is one that the verifiers accept: its powers of tau are known. It is not made from
/// messages, for there are none.
#[test]
fn the_impossible_vector_is_for_the_canary() {
    let path = golden_set::folder(false).join("impossible.json");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let field = |name| golden_set::bytes(&json, name).unwrap();
    let key = setup_canary(&Cpu::default(), &srs(), &Recorder::default()).unwrap().key;
    assert_eq!(field("key"), key.descriptor.to_bytes());
    assert_eq!(field("publicValues"), assay_circuits::canary::IMPOSSIBLE.to_be_bytes());
    let context = settle::key::Context {
        chain_id: 31337,
        consumer: [0x11; 20],
        job: assay_prover::settle::canary::JOB,
        recipient: [0x11; 20],
    };
    assert_eq!(field("context"), context.digest());
    let mut contract = Contract::new();
    assert!(contract.accepts(&field("key"), &field("publicValues"), context.digest(), &field("proof")));
    let argument = SettledArgument::from_bytes(&key.descriptor, &field("proof")).unwrap();
    check(&key.descriptor, &[vec![1]], &context.digest(), &argument).unwrap();
}
