//! What settled proofs do not tell (docs/protocol.md#hiding). No test shows that something is hidden; these show that each
//! blinding factor does its part, and look for what a mistake would leave in the open.

use crate::{golden_set, settle_support};

use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, PrimeField};
use assay_circuits::Visibility;
use assay_prover::{
    Recorder,
    device::Cpu,
    msm::{commit_rows, msm},
    prove::{Mask, Task, messages},
    settle::settle,
    srs::Srs,
};
use assay_verifier::{
    Fr, G1Affine,
    core::Kind,
    curve::{fr_to_bytes, g1_to_bytes},
    keccak::{digest_to_fr, keccak256},
    settle::{check::statement, key::SettledProof, point, tape::instance},
};
use golden_set::toy_model;
use settle_support::{Committed, Lab, Made, Side, context, fr, listen, random};
use std::{collections::BTreeSet, sync::OnceLock};

fn lab() -> &'static (Lab, Made, Made) {
    static LAB: OnceLock<(Lab, Made, Made)> = OnceLock::new();
    LAB.get_or_init(|| {
        let (model, inputs) = toy_model();
        // The outputs are public: 3 of "y" and 3 of "max".
        let lab = Lab::new(model, Srs::development(13, 7).unwrap(), 3, 3, Visibility::default());
        let made = lab.inference.prove(lab.claim(&inputs));
        let again = lab.inference.prove(lab.claim(&inputs));
        (lab, made, again)
    })
}

fn words(bytes: &[u8]) -> BTreeSet<[u8; 32]> {
    assert!(bytes.len().is_multiple_of(32));
    bytes.chunks(32).map(|w| w.try_into().unwrap()).collect()
}

fn negated(x: &Fr) -> [u8; 32] {
    fr_to_bytes(&-*x)
}

/// Two proofs of one statement have nothing in common, whether made by the library or step by step.
#[test]
fn two_proofs_of_one_statement_share_no_element() {
    let (lab, made, again) = lab();
    let (_, inputs) = toy_model();
    let settled = || settle(&Cpu::default(), &lab.prover, &inputs, context(), &Recorder::default()).unwrap().proof;
    let [a, b]: [SettledProof; 2] = [settled(), settled()];
    lab.prover.key.verify(&a).unwrap();
    assert_eq!((a.id, &a.public, &a.context), (b.id, &b.public, &b.context));
    let proofs = [a.argument, b.argument, made.argument.to_bytes(), again.argument.to_bytes()];
    let key = words(&lab.prover.key.descriptor.to_bytes());
    let registration = words(&lab.prover.key.registration.to_bytes());
    for (i, a) in proofs.iter().enumerate() {
        let a = words(a);
        // No word twice in a proof either: equal rows do not look equal.
        assert_eq!(32 * a.len(), proofs[i].len());
        let others = proofs[..i].iter().map(|p| words(p)).chain([key.clone(), registration.clone()]);
        for other in others {
            assert_eq!(a.intersection(&other).count(), 0);
        }
    }
    // Nor do keys made with two secrets, but for the powers of tau and the circuit.
    let mut options = lab.options.clone();
    options.secret = [8; 32];
    let (device, recorder) = (Cpu::default(), Recorder::default());
    let other = assay_prover::settle::setup_settlement(&device, &lab.model, &lab.srs, &options, &recorder).unwrap();
    let (mine, other) = (&lab.prover.key, &other.key);
    assert_eq!(other.descriptor.circuit, mine.descriptor.circuit);
    let rows = |k: &assay_verifier::settle::key::SettlementKey| -> BTreeSet<[u8; 32]> {
        k.descriptor.model_rows.iter().flat_map(|p| words(&g1_to_bytes(p))).collect()
    };
    assert_eq!(rows(mine).intersection(&rows(other)).count(), 0);
    assert_eq!(rows(mine).len(), 2 * mine.descriptor.model_rows.len());
    assert_eq!(words(&mine.registration.to_bytes()).intersection(&words(&other.registration.to_bytes())).count(), 0);
}

/// The prover's messages with a given salt.
fn replay(side: &Side, c: &Committed, salt: Fr, mask_row: &[Fr], statement: Fr) -> Vec<Fr> {
    let task = Task {
        program: &side.program,
        kind: Kind::Inference,
        key_digest: [0; 32],
        batch: 1,
        public: &c.claim.public,
        row_bits: side.row_bits(),
        bases: &[],
        model: &side.stack,
        stacks: &[],
        model_rows: &[],
    };
    let mut witness = c.claim.witness.clone();
    witness.stack.clone_from(&c.stack);
    let mask = Mask { salt, row: mask_row };
    let (device, recorder) = (Cpu::default(), Recorder::default());
    messages(&device, &task, &witness, &c.claim.values, statement, Some(&mask), &recorder).unwrap().0
}

/// A guesser who has the right witness and weights, and all blinding but one factor, recomputes no public value that the
/// factor is there for; and with it, recomputes it, so that the test means something.
#[test]
fn a_guesser_who_knows_the_witness_cannot_recompute_public_values() {
    let (lab, made, _) = lab();
    let side = &lab.inference;
    let (c, a) = (&made.committed, &made.argument);
    let salt = made.talk.messages[0];
    let size = 1usize << side.row_bits();

    // Commitments: the factors of the rows. The model's rows too.
    let plain = commit_rows(&side.bases, &c.stack, size);
    let model = commit_rows(&side.bases, &side.stack, size);
    let mask = msm(&side.bases, &c.mask_row).into_affine();
    let blinded = a.rows.iter().chain(&side.descriptor.model_rows).chain([&a.mask]);
    let unblinded: Vec<G1Affine> = plain.into_iter().chain(model).chain([mask]).collect();
    let factors = c.blinds.iter().chain(&side.blinds).chain([&c.mask_blind]);
    for ((p, q), factor) in blinded.zip(&unblinded).zip(factors) {
        assert_eq!(*p, side.blind(*q, *factor));
        for guess in 0..40u64 {
            assert_ne!(*p, side.blind(*q, Fr::from(guess)));
        }
    }
    // Their digest.
    let rows = &unblinded[..a.rows.len()];
    let id = side.descriptor.id();
    let guess = statement(&id, &c.claim.context, &[], &c.claim.public, rows, &unblinded[unblinded.len() - 1]);
    assert_ne!(guess, c.digest);
    let guess = statement(&id, &c.claim.context, &[], &c.claim.public, rows, &a.mask);
    assert_ne!(guess, c.digest);

    // Challenges: the salt. The digest of the commitments is public, and the mask comes after them.
    let statement = digest_to_fr(&c.digest);
    let seen = |messages: &[Fr]| {
        let heard = listen(&side.program, side.row_bits(), statement, messages, &c.claim.public);
        let mut all = vec![heard.zeta, heard.claim.gamma, heard.claim.value];
        all.extend(point(&heard.claim));
        all
    };
    let mut public = vec![a.zeta, a.gamma, a.value];
    public.extend(&a.point);
    assert_eq!(seen(&replay(side, c, salt, &c.mask_row, statement)), public);
    for guess in [Fr::ZERO, Fr::from(1u64), statement, random()] {
        let seen = seen(&replay(side, c, guess, &c.mask_row, statement));
        assert!(seen.iter().zip(&public).all(|(a, b)| a != b), "a challenge does not depend on the salt");
    }

    // The value and gamma: the mask row, for somebody who knows the salt as well.
    let zeros = vec![Fr::ZERO; size];
    let other: Vec<Fr> = c.mask_row.iter().map(|_| random()).collect();
    for guess in [&zeros, &other] {
        let seen = seen(&replay(side, c, salt, guess, statement));
        assert_ne!(seen[1..3], public[1..3]);
        assert!(seen[1] != public[1] && seen[2] != public[2]);
        // Challenges drawn before it are those of the salt.
        assert_eq!((seen[0], &seen[3..]), (public[0], &public[3..]));
    }
    let k = side.coefficients(&a.point, a.gamma);
    let without = |mask: &[Fr]| {
        let c = Committed { mask_row: mask.to_vec(), ..c.clone() };
        let (h, _) = side.combined(&c, &a.point, a.gamma);
        let low = assay_circuits::ring::eq_table(&a.point[a.point.len() - side.row_bits()..]);
        h.iter().zip(low).map(|(h, e)| *h * e).sum::<Fr>()
    };
    assert_eq!(without(&c.mask_row), a.value);
    assert_ne!(without(&zeros), a.value);

    // The combined factor: any one of the factors.
    let combined = |blinds: &[Fr], model: &[Fr], mask: Fr| {
        k.witness.iter().zip(blinds).map(|(k, b)| *k * b).sum::<Fr>()
            + k.model.iter().zip(model).map(|(k, b)| *k * b).sum::<Fr>()
            + k.mask * mask
    };
    assert_eq!(combined(&c.blinds, &side.blinds, c.mask_blind), a.beta);
    assert_ne!(combined(&c.blinds, &side.blinds, Fr::ZERO), a.beta);
    assert_ne!(combined(&vec![Fr::ZERO; c.blinds.len()], &side.blinds, c.mask_blind), a.beta);
    assert_ne!(combined(&c.blinds, &vec![Fr::ZERO; side.blinds.len()], c.mask_blind), a.beta);

    // Halo2's own blinding: the same rows of the circuit, proven again, share nothing but the statement.
    let twice = side.finish(c.clone(), made.talk.clone()).argument;
    assert_eq!((&twice.rows, twice.value, twice.beta), (&a.rows, a.value, a.beta));
    let bytes = |h: &assay_verifier::settle::argument::Halo2Proof| {
        let mut out = vec![];
        h.write(&mut out);
        words(&out)
    };
    assert_eq!(bytes(&twice.halo2).intersection(&bytes(&a.halo2)).count(), 0);
}

/// Everything that a prover keeps to itself, in all encodings that this program has for it.
struct Secrets {
    /// Field elements and points, as 32 and 64 bytes.
    elements: Vec<(String, Vec<u8>)>,
    /// Runs of small integers, as bytes of every width and order.
    runs: Vec<(String, Vec<u8>)>,
}

fn encodings(what: &str, values: &[i64]) -> Vec<(String, Vec<u8>)> {
    let all = |what: &str, f: &dyn Fn(i64) -> Vec<u8>| (what.to_owned(), values.iter().flat_map(|v| f(*v)).collect());
    let zigzag = |v: i64| ((v << 1) ^ (v >> 63)) as u64;
    vec![
        all(&format!("{what}, bytes"), &|v| vec![v as u8]),
        all(&format!("{what}, zigzag"), &|v| vec![zigzag(v) as u8]),
        all(&format!("{what}, 16 bits"), &|v| (v as i16).to_be_bytes().to_vec()),
        all(&format!("{what}, 16 bits, little"), &|v| (v as i16).to_le_bytes().to_vec()),
        all(&format!("{what}, 32 bits"), &|v| (v as i32).to_be_bytes().to_vec()),
        all(&format!("{what}, 32 bits, little"), &|v| (v as i32).to_le_bytes().to_vec()),
        all(&format!("{what}, 64 bits"), &|v| v.to_be_bytes().to_vec()),
        all(&format!("{what}, 64 bits, little"), &|v| v.to_le_bytes().to_vec()),
        all(&format!("{what}, field"), &|v| fr_to_bytes(&fr(v)).to_vec()),
    ]
}

impl Secrets {
    fn of(lab: &Lab, side: &Side, made: &Made) -> Self {
        let c = &made.committed;
        let size = 1usize << side.row_bits();
        let mut elements: Vec<(String, Vec<u8>)> = vec![];
        let mut scalar = |what: String, x: &Fr| {
            if *x != Fr::ZERO {
                elements.push((what.clone(), fr_to_bytes(x).to_vec()));
                let little: Vec<u8> = fr_to_bytes(x).iter().rev().copied().collect();
                elements.push((format!("{what}, little"), little));
                elements.push((format!("minus {what}"), negated(x).to_vec()));
            }
        };
        let lists = [("row's factor", &c.blinds), ("model row's factor", &side.blinds), ("mask row", &c.mask_row)];
        for (what, list) in lists {
            list.iter().enumerate().for_each(|(i, x)| scalar(format!("{what} {i}"), x));
        }
        scalar("mask's factor".to_owned(), &c.mask_blind);
        made.talk.messages.iter().enumerate().for_each(|(i, x)| scalar(format!("message {i}"), x));
        // Everything in the circuit that is not a public input or a small constant.
        let public: BTreeSet<Fr> = made.talk.filled.instances.iter().copied().collect();
        for (at, row) in made.talk.filled.advice.iter().enumerate() {
            for x in row.iter().filter(|x| x.into_bigint().0[3] != 0 && !public.contains(x) && !public.contains(&-**x))
            {
                elements.push((format!("cell of row {at}"), fr_to_bytes(x).to_vec()));
            }
        }
        let plain = commit_rows(&side.bases, &c.stack, size);
        let model = commit_rows(&side.bases, &side.stack, size);
        let mask = msm(&side.bases, &c.mask_row).into_affine();
        for (what, list) in [("row", plain), ("model row", model), ("mask", vec![mask])] {
            for (i, p) in list.iter().enumerate().filter(|(_, p)| **p != G1Affine::default()) {
                // A point and its opposite have the same x.
                elements.push((format!("{what} {i} without its factor"), g1_to_bytes(p)[..32].to_vec()));
            }
        }
        elements.push(("model id".to_owned(), lab.model.model_id().unwrap().to_vec()));
        elements.push(("the secret".to_owned(), lab.options.secret.to_vec()));
        let mut runs: Vec<(String, Vec<u8>)> = vec![];
        for (i, w) in lab.model.weights.iter().enumerate().filter(|(_, w)| w.data.len() > 5) {
            runs.extend(encodings(&format!("weights {i}"), &w.data));
        }
        for id in side.program.graph.inputs() {
            runs.extend(encodings("input", &c.claim.values.of(*id).data));
        }
        let stack: Vec<i64> = c.stack.iter().map(|v| i64::from(*v)).collect();
        let chunks = stack.chunks(8).enumerate().filter(|(_, s)| s.iter().collect::<BTreeSet<_>>().len() > 3);
        chunks.for_each(|(i, s)| runs.extend(encodings(&format!("witness {i}"), s)));
        runs.iter_mut().for_each(|(what, bytes)| {
            let digest = keccak256(&[bytes.as_slice()]);
            elements.push((format!("digest of {what}"), digest.to_vec()));
        });
        Self { elements, runs }
    }

    /// Names of what is found in bytes.
    fn found<'a>(&'a self, bytes: &'a [u8]) -> Vec<&'a str> {
        let windows: std::collections::HashSet<&[u8]> = bytes.windows(32).collect();
        let elements = self.elements.iter().filter(|(_, e)| windows.contains(&e[..]));
        let runs = self.runs.iter().filter(|(_, r)| bytes.windows(r.len()).any(|w| w == r));
        elements.chain(runs).map(|(what, _)| what.as_str()).collect()
    }
}

fn artefacts(lab: &Lab, side: &Side, made: &Made) -> Vec<(&'static str, Vec<u8>)> {
    let key = &lab.prover.key;
    let proof = SettledProof::new(&side.descriptor, context(), &made.committed.claim.public, &made.argument);
    vec![
        ("settlement key", key.to_bytes().unwrap()),
        ("key on chain", key.descriptor.to_bytes()),
        ("settled proof", proof.to_bytes()),
        ("proof on chain", proof.argument),
    ]
}

#[test]
fn private_values_are_in_no_artefact() {
    let (lab, made, _) = lab();
    let secrets = Secrets::of(lab, &lab.inference, made);
    assert!(secrets.elements.len() > 5000 && secrets.runs.len() > 30);
    for (what, bytes) in artefacts(lab, &lab.inference, made) {
        assert_eq!(secrets.found(&bytes), Vec::<&str>::new(), "in the {what}");
    }
    // No scalar of a proof is a small integer, as what it hides would be.
    let bytes = made.argument.to_bytes();
    for word in words(&bytes) {
        let high = |w: &[u8; 32]| w[..16] != [0; 16];
        assert!(high(&word));
        if let Ok(x) = assay_verifier::curve::fr_from_bytes(&word) {
            assert!(high(&negated(&x)));
        }
    }
    // The search finds what is there.
    let mut leak = bytes.clone();
    leak.extend(fr_to_bytes(&made.talk.messages[3]));
    assert_eq!(secrets.found(&leak).first().map(|f| f.starts_with("message 3")), Some(true));
    let mut leak = bytes;
    leak.extend(lab.model.weights[0].data.iter().map(|v| *v as u8));
    assert_eq!(secrets.found(&leak), ["weights 0, bytes"]);
}

/// What is declared public is found: with public weights, their rows carry no factor. All else is as private as before.
#[test]
fn public_weights_are_in_the_key_and_nothing_else_is() {
    let (model, inputs) = toy_model();
    let all = Visibility { inputs: true, weights: true, outputs: true };
    let lab = Lab::new(model, Srs::development(13, 7).unwrap(), 3, 3, all);
    let side = &lab.inference;
    let made = side.prove(lab.claim(&inputs));
    side.check(&made.committed.claim, &made.argument).unwrap();
    let secrets = Secrets::of(&lab, side, &made);
    for (what, bytes) in artefacts(&lab, side, &made) {
        for found in secrets.found(&bytes) {
            let public = match what {
                "settlement key" | "key on chain" => found.starts_with("model row"),
                "settled proof" => found == "input, 64 bits",
                _ => false,
            };
            assert!(public, "{found} in the {what}");
        }
    }
    let key = lab.prover.key.descriptor.to_bytes();
    assert!(secrets.found(&key).iter().any(|f| f.starts_with("model row")));
}

/// Public inputs of the circuit are what the statement shows, and nothing that depends on the witness without blinding.
#[test]
fn public_inputs_of_the_circuit_are_in_the_proof() {
    let (lab, made, _) = lab();
    let side = &lab.inference;
    let i = side.instances(&made.committed.claim, &made.argument);
    assert_eq!(i, made.talk.filled.instances);
    assert_eq!(i.len(), instance::POINT + side.descriptor.rounds());
    let proof = words(&made.argument.to_bytes());
    for (k, x) in i.iter().enumerate() {
        let derived = k == instance::STATEMENT || k == instance::PUBLIC;
        assert_eq!(proof.contains(&fr_to_bytes(x)), !derived);
    }
}
