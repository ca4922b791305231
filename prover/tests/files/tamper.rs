//! Every field of a proof and of a key is bound: changing any one of them, anywhere, is noticed, and by the check that the
//! manifest names.

use crate::{stack_set, support};

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use assay_prover::ProvingKey;
use assay_verifier::{
    CoreProof, Fr, G1Affine, VerifyError, VerifyingKey,
    channel::{Check, ProtocolError},
    core::{check_registration, verify},
    curve::{FIELD_BYTES, G1_BYTES},
    meter::{Step, measure},
    opening::{OpeningError, OpeningProof, VerifierSrs},
    proof::public_bytes,
    protocol::Mode,
};
use std::collections::BTreeMap;
use support::{forge::Forge, toy_key};

/// Keys with a proof under each: every mechanism on a few values, and a named stack.
fn cases() -> [(ProvingKey, CoreProof); 2] {
    let (key, inputs) = toy_key();
    let proof = Forge::inference(&key, &inputs).prove();
    [(key, proof), stack_set::core_proof()]
}

/// Which check a changed field runs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Caught {
    Key,
    Count,
    PublicRange,
    Graph,
    Protocol(Check),
    Pairing,
}

fn caught(e: &VerifyError) -> Caught {
    match e {
        VerifyError::OtherKey { .. } => Caught::Key,
        VerifyError::Count { .. } => Caught::Count,
        VerifyError::PublicRange { .. } => Caught::PublicRange,
        VerifyError::Graph(_) => Caught::Graph,
        VerifyError::Protocol(ProtocolError::Check(c)) => Caught::Protocol(*c),
        VerifyError::Opening(OpeningError::PairingMismatch) => Caught::Pairing,
        other => panic!("{other}"),
    }
}

/// Changes one field of a class.
type Change = Box<dyn Fn(&mut CoreProof, usize)>;

/// Fields of one class, and the check that catches a change of any of them.
struct Class {
    name: String,
    count: usize,
    caught: Caught,
    change: Change,
}

fn class(name: &str, count: usize, caught: Caught, change: impl Fn(&mut CoreProof, usize) + 'static) -> Class {
    Class { name: name.to_owned(), count, caught, change: Box::new(change) }
}

fn shift(p: &mut G1Affine) {
    *p = (*p + G1Affine::generator()).into_affine();
}

/// All messages by label and by the check that uses them, in the meter's order.
fn messages(steps: &[Step]) -> BTreeMap<(&'static str, Check), Vec<usize>> {
    let mut out: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let mut next = 0;
    for (i, s) in steps.iter().enumerate() {
        if let Step::Receive(label) = s {
            let check = steps[i..].iter().find_map(|s| if let Step::Check(c) = s { Some(*c) } else { None });
            out.entry((*label, check.unwrap())).or_default().push(next);
            next += 1;
        }
    }
    out
}

/// Every class of fields of a proof file but magic, version and kind.
fn manifest(key: &ProvingKey, proof: &CoreProof) -> Vec<Class> {
    let program = key.verifying.program(proof.batch as usize).unwrap();
    let layer = Caught::Protocol(Check::LookupLayer);
    let mut out = vec![
        class("key digest", 32, Caught::Key, |p, i| p.key_digest[i] ^= 1),
        // The rows of another batch are of another number, or their challenges differ.
        class("batch", 2, layer, |p, i| p.batch = [4, 2][i]),
        class("row bits", 1, Caught::Count, |p, _| p.argument.row_bits += 1),
        class("rows", proof.argument.rows.len(), layer, |p, i| shift(&mut p.argument.rows[i])),
    ];
    for (s, rows) in proof.argument.given.rows.iter().enumerate() {
        out.push(class(&format!("rows of stack {s}"), rows.len(), layer, move |p, i| {
            shift(&mut p.argument.given.rows[s][i]);
        }));
    }
    if !proof.argument.given.rows.is_empty() {
        out.push(class("tail", 1, Caught::Pairing, |p, _| p.argument.given.tail += Fr::ONE));
    }
    for (t, values) in proof.public.iter().enumerate() {
        out.push(class(&format!("public {t}, one more"), values.len(), layer, move |p, i| p.public[t][i] += 1));
        out.push(class(&format!("public {t}, huge"), values.len(), Caught::PublicRange, move |p, i| {
            p.public[t][i] = i64::MAX;
        }));
    }
    let (_, steps) = measure(&program, key.verifying.row_bits, Mode::Core).unwrap();
    for ((label, check), places) in messages(&steps) {
        out.push(class(&format!("message {label}, {check:?}"), places.len(), Caught::Protocol(check), move |p, i| {
            p.argument.messages[places[i]] += Fr::ONE;
        }));
    }
    let opening = &proof.argument.opening;
    out.extend([
        class("fold commitments", opening.folds.len(), Caught::Pairing, |p, i| shift(&mut p.argument.opening.folds[i])),
        class("fold evaluations", opening.evaluations.len(), Caught::Pairing, |p, i| {
            p.argument.opening.evaluations[i] += Fr::ONE;
        }),
        class("quotient", 1, Caught::Pairing, |p, _| shift(&mut p.argument.opening.quotient)),
        class("linearised quotient", 1, Caught::Pairing, |p, _| shift(&mut p.argument.opening.linearised)),
    ]);
    out
}

#[test]
fn every_field_of_a_proof_is_bound() {
    for (key, honest) in cases() {
        verify(&key.verifying, &honest).unwrap();
        for class in manifest(&key, &honest) {
            assert!(class.count > 0, "{}", class.name);
            for i in 0..class.count {
                let mut tampered = honest.clone();
                (class.change)(&mut tampered, i);
                assert!(tampered != honest, "{} {i}", class.name);
                let error = verify(&key.verifying, &tampered).expect_err(&class.name);
                if class.name == "batch" {
                    // A key about named inputs is for one batch.
                    let graph = caught(&error) == Caught::Graph && !key.verifying.stacks.is_empty();
                    let possible = graph || matches!(caught(&error), Caught::Count | Caught::Protocol(_));
                    assert!(possible, "{i}: {error}");
                } else {
                    assert_eq!(caught(&error), class.caught, "{} {i}: {error}", class.name);
                }
            }
        }
    }
}

/// The manifest leaves nothing out: its fields and the lengths between them are the whole file.
#[test]
fn the_manifest_is_complete() {
    for (key, honest) in cases() {
        let argument = &honest.argument;
        let mut fields: BTreeMap<String, usize> =
            manifest(&key, &honest).into_iter().map(|c| (c.name, c.count)).collect();
        let mut take = |name: &str| fields.remove(name).unwrap_or(0);
        let public: usize = (0..honest.public.len())
            .map(|t| {
                take(&format!("public {t}, huge"));
                8 * take(&format!("public {t}, one more"))
            })
            .sum();
        let lengths = 4 + 4 * honest.public.len();
        assert_eq!(public + lengths, public_bytes(&honest.public).len());
        take("batch");
        take("row bits");
        let header = 8 + 2 + 1 + take("key digest") + 4;
        let rows = 1 + 4 + take("rows") * G1_BYTES;
        let stacks = argument.given.rows.len();
        let of_stacks: usize = (0..stacks).map(|s| take(&format!("rows of stack {s}"))).sum();
        // Behind the rows of stacks comes the tail; without stacks there is neither.
        let given = if stacks == 0 { 0 } else { 4 + 4 * stacks + of_stacks * G1_BYTES + take("tail") * FIELD_BYTES };
        let opening = (take("fold commitments") + take("quotient") + take("linearised quotient")) * G1_BYTES
            + take("fold evaluations") * FIELD_BYTES;
        assert_eq!(opening, OpeningProof::byte_len(argument.row_bits + usize::from(stacks > 0)));
        let messages = fields.values().sum::<usize>();
        assert!(fields.keys().all(|k| k.starts_with("message ")), "{fields:?}");
        assert_eq!(messages, argument.messages.len());
        let total = header + public + lengths + rows + given + 4 + messages * FIELD_BYTES + opening;
        assert_eq!(total, honest.to_bytes().len());
        // The meter announces the same.
        let program = key.verifying.program(honest.batch as usize).unwrap();
        let (cost, _) = measure(&program, key.verifying.row_bits, Mode::Core).unwrap();
        assert_eq!(cost.messages, messages);
        assert_eq!(cost.witness_rows, argument.rows.len() + of_stacks);
        assert_eq!(cost.model_rows, key.verifying.rows.len());
        assert_eq!(cost.argument_bytes + header + public + lengths, total);
    }
}

/// Steps that are coprime to the sizes of all fields, so that all their bytes have their turn; one for each of [`cases`].
const STRIDES: [usize; 2] = [7, 29];

#[test]
fn flipped_bits_of_a_proof_file_are_noticed() {
    for ((key, honest), stride) in cases().into_iter().zip(STRIDES) {
        let bytes = honest.to_bytes();
        assert_eq!(CoreProof::from_bytes(&bytes).as_ref(), Ok(&honest));
        let (mut decoded, mut refused) = (0, 0);
        // The header and the first lengths byte by byte, the rest by strides.
        for at in (0..120).chain((120..bytes.len()).step_by(stride)) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            match CoreProof::from_bytes(&flipped) {
                Err(_) => refused += 1,
                Ok(p) => {
                    decoded += 1;
                    assert_eq!(p.to_bytes(), flipped, "byte {at}: a second encoding");
                    verify(&key.verifying, &p).expect_err("a flipped bit");
                }
            }
        }
        assert!(decoded * stride > 700 && refused * stride > 700, "{decoded} decoded, {refused} refused");
    }
}

#[test]
fn flipped_bits_of_a_key_file_are_noticed() {
    for ((key, honest), stride) in cases().into_iter().zip(STRIDES) {
        let bytes = key.verifying.to_bytes().unwrap();
        assert_eq!(VerifyingKey::from_bytes(&bytes).as_ref(), Ok(&key.verifying));
        let (mut decoded, mut refused) = (0, 0);
        let registration = bytes.len() - registration_bytes(&key.verifying);
        for at in (0..bytes.len()).step_by(stride) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            match VerifyingKey::from_bytes(&flipped) {
                Err(_) => refused += 1,
                Ok(k) => {
                    decoded += 1;
                    check_registration(&k).expect_err("a flipped bit");
                    // A proof is bound to all but the registration.
                    assert_eq!(verify(&k, &honest).is_ok(), at >= registration, "byte {at}");
                }
            }
        }
        assert!(decoded * stride > 700 && refused * stride > 700, "{decoded} decoded, {refused} refused");
    }
}

fn registration_bytes(key: &VerifyingKey) -> usize {
    let a = &key.registration;
    9 + a.rows.len() * G1_BYTES + a.messages.len() * FIELD_BYTES + OpeningProof::byte_len(a.row_bits)
}

#[test]
fn files_of_other_lengths_are_refused() {
    for (key, honest) in cases() {
        let (proof, key) = (honest.to_bytes(), key.verifying.to_bytes().unwrap());
        for len in (0..proof.len()).step_by(5) {
            CoreProof::from_bytes(&proof[..len]).unwrap_err();
        }
        for len in (0..key.len()).step_by(11) {
            VerifyingKey::from_bytes(&key[..len]).unwrap_err();
        }
        CoreProof::from_bytes(&[proof, vec![0]].concat()).unwrap_err();
        VerifyingKey::from_bytes(&[key, vec![0]].concat()).unwrap_err();
    }
}

/// Every field of the registration, and every part of the key that it is bound to.
#[test]
fn every_field_of_a_registration_is_bound() {
    let (key, _) = toy_key();
    let rejected = |what: &str, change: &dyn Fn(&mut VerifyingKey)| {
        let mut k = key.verifying.clone();
        change(&mut k);
        assert!(k != key.verifying, "{what}");
        check_registration(&k).expect_err(what);
    };
    let argument = key.verifying.registration.clone();
    for i in 0..argument.messages.len() {
        rejected("message", &|k| k.registration.messages[i] += Fr::ONE);
    }
    for i in 0..argument.rows.len() {
        rejected("row", &|k| shift(&mut k.registration.rows[i]));
    }
    for i in 0..key.verifying.rows.len() {
        rejected("model row", &|k| shift(&mut k.rows[i]));
    }
    for i in 0..argument.opening.folds.len() {
        rejected("fold", &|k| shift(&mut k.registration.opening.folds[i]));
    }
    for i in 0..argument.opening.evaluations.len() {
        rejected("evaluation", &|k| k.registration.opening.evaluations[i] += Fr::ONE);
    }
    rejected("quotient", &|k| shift(&mut k.registration.opening.quotient));
    rejected("linearised", &|k| shift(&mut k.registration.opening.linearised));
    rejected("weights digest", &|k| k.weights_digest[31] ^= 1);
    rejected("visibility of inputs", &|k| k.visibility.inputs ^= true);
    rejected("visibility of weights", &|k| k.visibility.weights ^= true);
    rejected("name of an input", &|k| k.inputs[0].name.push('x'));
    rejected("scale of an output", &|k| k.outputs[0].scale_bits += 1);
    rejected("row bits", &|k| k.row_bits += 1);
    rejected("the insecure mark", &|k| k.srs.insecure_dev ^= true);
    rejected("the setup's hash", &|k| k.srs.srs_hash[0] ^= 1);
    rejected("tau", &|k| k.srs.tau_g2 = (k.srs.tau_g2 + k.srs.g2).into_affine());
    assert_eq!(VerifierSrs::BYTES, key.verifying.srs.to_bytes().len());
}

/// What a key says of its named stacks.
#[test]
fn a_registration_is_bound_to_the_stacks() {
    let (key, _) = stack_set::core_proof();
    let key = key.verifying;
    check_registration(&key).unwrap();
    let rejected = |what: &str, change: &dyn Fn(&mut VerifyingKey)| {
        let mut k = key.clone();
        change(&mut k);
        assert!(k != key, "{what}");
        check_registration(&k).expect_err(what);
    };
    rejected("the stack's name", &|k| k.stacks[0].name.push('x'));
    rejected("the tensor's name", &|k| k.stacks[0].schema.tensors[0].name.push('x'));
    rejected("the tensor's shape", &|k| k.stacks[0].schema.tensors[0].shape = vec![20]);
    rejected("the tensor's width", &|k| k.stacks[0].schema.tensors[0].bits += 1);
    rejected("the row length", &|k| k.stacks[0].schema.row_bits = 10);
    rejected("the role", &|k| k.stacks[0].roles = vec![None]);
    rejected("a stack twice", &|k| k.stacks.push(k.stacks[0].clone()));
    rejected("no stack", &|k| k.stacks.clear());
}
