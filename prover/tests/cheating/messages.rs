//! Forged messages: a prover of a false statement that answers every challenge as well as it can fails at the next check.

use crate::support;

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{One, Zero};
use assay_prover::ProvingKey;
use assay_verifier::{
    CoreProof, Fr, G1Affine, VerifyError,
    channel::{Channel, Check, ProtocolError},
    core::{check_argument, opening_transcript, row_coefficients, verify},
    keccak::digest_to_fr,
    native::public_sum,
    opening::{self, OpeningError, combine_rows},
    protocol::{self, Mode},
    transcript::Transcript,
};
use support::{
    forge::{Forge, GUESS, Lie},
    toy_key,
};

fn failed(check: Check) -> Result<(), VerifyError> {
    Err(VerifyError::Protocol(ProtocolError::Check(check)))
}

const PAIRING: Result<(), VerifyError> = Err(VerifyError::Opening(OpeningError::PairingMismatch));

/// One output of the toy's clamped lookup is another value of the table.
fn false_statement() -> (ProvingKey, Forge) {
    let (key, inputs) = toy_key();
    let mut forge = Forge::inference(&key, &inputs);
    let act = forge.named("act");
    forge.contents[act][5] = 2;
    forge.rederive(&[act]);
    forge.relation().unwrap_err();
    (key, forge)
}

/// Every check, with all checks before it satisfied by a lie.
#[test]
fn every_check_catches_what_the_ones_before_let_through() {
    let (key, forge) = false_statement();
    let last = forge.program.leaf_bits - 1;
    let mut ladder = vec![
        (Lie::Truth, failed(Check::LookupSum)),
        (Lie::Tree(last), failed(Check::Reduction)),
        (Lie::Leaves, failed(Check::Reduction)),
        (Lie::Sum, failed(Check::Bilinear)),
        (Lie::Operand, failed(Check::Reduction)),
        (Lie::Witness, PAIRING),
        (Lie::Model, PAIRING),
        (Lie::Opening, PAIRING),
    ];
    ladder.extend((0..last).map(|layer| (Lie::Tree(layer), failed(Check::LookupLayer))));
    for (lie, expected) in ladder {
        assert_eq!(forge.with(lie).verdict(&key.verifying), expected, "{lie:?}");
    }
}

/// The same lies about a true statement change nothing: they are no lies.
#[test]
fn lies_about_the_truth_are_the_truth() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    let proof = honest.prove();
    for lie in [Lie::Leaves, Lie::Tree(3), Lie::Sum, Lie::Operand, Lie::Witness, Lie::Model, Lie::Opening] {
        assert_eq!(honest.with(lie).prove(), proof, "{lie:?}");
    }
    verify(&key.verifying, &proof).unwrap();
}

/// A flaw of a verifier.
#[derive(Clone, Copy)]
enum Flaw {
    /// Messages of these labels are absorbed only after the next challenge is drawn.
    Late(&'static [&'static str]),
    /// The challenge of this label is always [`GUESS`].
    Predictable(&'static str),
}

struct FlawedChannel<'a> {
    transcript: Transcript,
    messages: core::slice::Iter<'a, Fr>,
    public: Vec<Vec<i64>>,
    flaw: Flaw,
    late: Vec<Fr>,
}

impl Channel for FlawedChannel<'_> {
    type Elem = Fr;

    fn observe(&mut self, _: &'static str, value: &Fr) -> Result<(), ProtocolError> {
        self.transcript.absorb(*value);
        Ok(())
    }

    fn receive(&mut self, label: &'static str) -> Result<Fr, ProtocolError> {
        let v = *self.messages.next().ok_or(ProtocolError::MissingMessage(label))?;
        match self.flaw {
            Flaw::Late(labels) if labels.contains(&label) => self.late.push(v),
            _ => self.transcript.absorb(v),
        }
        Ok(v)
    }

    fn challenge(&mut self, label: &'static str) -> Result<Fr, ProtocolError> {
        let c = self.transcript.challenge();
        self.late.drain(..).for_each(|v| self.transcript.absorb(v));
        match self.flaw {
            Flaw::Predictable(l) if l == label => Ok(Fr::from(GUESS)),
            _ => Ok(c),
        }
    }

    fn public(&mut self, zeta: &Fr) -> Result<Fr, ProtocolError> {
        Ok(public_sum(&self.public, zeta))
    }

    fn invert(&mut self, label: &'static str, value: &Fr) -> Result<Fr, ProtocolError> {
        ark_ff::Field::inverse(value).ok_or(ProtocolError::ZeroInverse(label))
    }

    fn assert_zero(&mut self, check: Check, value: Fr) -> Result<(), ProtocolError> {
        if value == Fr::zero() { Ok(()) } else { Err(ProtocolError::Check(check)) }
    }
}

/// The verifier, but for its channel.
fn verify_flawed(key: &ProvingKey, forge: &Forge, proof: &CoreProof, flaw: Flaw) -> Result<(), VerifyError> {
    let argument = &proof.argument;
    let digest = forge.digest(&argument.rows);
    let transcript = Transcript::new().unwrap();
    let public = proof.public.clone();
    let mut channel = FlawedChannel { transcript, messages: argument.messages.iter(), public, flaw, late: vec![] };
    let statement = digest_to_fr(&digest);
    let claim = protocol::verify(&mut channel, &forge.program, forge.row_bits, Mode::Core, &statement)?;
    let points: Vec<G1Affine> = argument.rows.iter().chain(&key.verifying.rows).copied().collect();
    let commitment = combine_rows(&points, &row_coefficients(&claim).concat())?.into_affine();
    let mut t = opening_transcript(&digest, &claim, commitment);
    opening::verify(&key.verifying.srs, commitment, &claim.low, claim.value, &argument.opening, &mut t)?;
    Ok(())
}

/// Attacks that work as soon as a message is absorbed after the challenge that answers it. Each is tried on a verifier with
/// that flaw, where it succeeds, and on the real one.
#[test]
fn messages_are_absorbed_before_their_challenge() {
    let (key, forge) = false_statement();
    let attacks: [(Lie, &'static [&'static str], _); 3] = [
        (Lie::LateRound, &["h(inf)"], failed(Check::Bilinear)),
        (Lie::LateOperands, &["lhs", "rhs"], failed(Check::Reduction)),
        (Lie::LateStacks, &["f(x)", "W(x)"], PAIRING),
    ];
    for (lie, labels, expected) in attacks {
        let forged = forge.with(lie);
        let proof = forged.prove();
        assert_eq!(verify_flawed(&key, &forged, &proof, Flaw::Late(labels)), Ok(()), "{lie:?} is no attack");
        assert_eq!(forged.verdict(&key.verifying), expected, "{lie:?}");
        // Without the flaw, the same code is the real verifier.
        assert_eq!(verify_flawed(&key, &forged, &proof, Flaw::Late(&[])), expected, "{lie:?}");
    }
}

/// Every challenge is needed: if it could be guessed, a false statement would pass; as it is, the guess is wrong.
#[test]
fn no_challenge_may_be_predictable() {
    let layer = failed(Check::LookupLayer);
    let reduction = failed(Check::Reduction);
    let guesses = [
        ("beta", failed(Check::LookupSum)),
        ("tau", layer.clone()),
        ("mix", layer),
        ("lambda", reduction.clone()),
        ("zeta", reduction.clone()),
        ("r", reduction.clone()),
        ("rho", reduction),
        ("gamma", PAIRING),
    ];
    for (label, expected) in guesses {
        let (key, mut forge) = false_statement();
        let act = forge.named("act");
        match label {
            // 1 + 2 * 8 + 4 * tag is the fingerprint of a row above the keys.
            "beta" => {
                forge.contents[act][5] = 8;
                forge.rederive(&[act]);
            }
            // 2^0 * 2 - 2^1 * 1 = 0.
            "zeta" => {
                forge.rederive(&[]);
                forge.relation().unwrap();
                forge.public[0][0] += 2;
                forge.public[0][1] -= 1;
            }
            _ => {}
        }
        assert!(forge.relation().is_err());
        let mut forged = forge.with(Lie::Guess(label));
        assert_eq!(forged.verdict(&key.verifying), expected, "{label}");
        forged.predictable = true;
        let flawed = verify_flawed(&key, &forged, &forged.prove(), Flaw::Predictable(label));
        assert_eq!(flawed, Ok(()), "{label}: the guess is no attack");
    }
}

/// Commitments that are chosen when the lookup challenges are known: one multiplicity balances any sum of fractions.
#[test]
fn rows_are_absorbed_before_the_lookup_challenges() {
    let (key, forge) = false_statement();
    let stale = forge.digest(&[]);
    let mut t = Transcript::new().unwrap();
    t.absorb(digest_to_fr(&stale));
    let (alpha, beta) = (t.challenge(), t.challenge());
    let mut forge = Forge { stale: Some(stale), ..forge };
    forge.balance(alpha, beta);
    let argument = forge.argue();
    // A verifier that leaves the rows out of its digest accepts.
    check_argument(&key.verifying, &forge.program, &stale, &forge.public, &argument).unwrap();
    assert_eq!(forge.verdict(&key.verifying), failed(Check::LookupLayer));
    // Without the stale challenges, the balance is off.
    forge.stale = None;
    assert_eq!(forge.verdict(&key.verifying), failed(Check::LookupSum));
}

/// Public values that are chosen when the challenges are known.
#[test]
fn public_values_are_absorbed() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs);
    let stale = honest.digest(&honest.commit(&honest.stack(assay_circuits::program::WITNESS)));
    let mut forge = Forge { stale: Some(stale), ..honest };
    assert_eq!(forge.verdict(&key.verifying), Ok(()));
    forge.public[0][0] += 1;
    assert_eq!(forge.verdict(&key.verifying), failed(Check::LookupLayer));
}

#[test]
fn messages_are_neither_missing_nor_left_over() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs).prove();
    let n = honest.argument.messages.len();
    for len in 0..n {
        let mut proof = honest.clone();
        proof.argument.messages.truncate(len);
        let error = verify(&key.verifying, &proof).unwrap_err();
        assert!(matches!(error, VerifyError::Protocol(ProtocolError::MissingMessage(_))), "{len}: {error}");
    }
    for extra in [Fr::zero(), Fr::one()] {
        let mut proof = honest.clone();
        proof.argument.messages.push(extra);
        let expected = VerifyError::Count { what: "unread messages", expected: 0, got: 1 };
        assert_eq!(verify(&key.verifying, &proof), Err(expected));
    }
}

/// A sum with a zero denominator says nothing, so it is no proof.
#[test]
fn zero_fractions_are_no_proof() {
    let (key, inputs) = toy_key();
    let mut proof = Forge::inference(&key, &inputs).prove();
    proof.argument.messages[..4].fill(Fr::zero());
    let expected = ProtocolError::ZeroInverse("lookup denominator");
    assert_eq!(verify(&key.verifying, &proof), Err(VerifyError::Protocol(expected)));
    proof.argument.messages.fill(Fr::zero());
    proof.argument.messages[2..4].fill(Fr::one());
    assert!(verify(&key.verifying, &proof).is_err());
}

#[test]
fn parts_of_a_proof_cannot_change_places() {
    let (key, inputs) = toy_key();
    let honest = Forge::inference(&key, &inputs).prove();
    let n = honest.argument.messages.len();
    let rejected = |what: &str, change: &dyn Fn(&mut CoreProof)| {
        let mut proof = honest.clone();
        change(&mut proof);
        assert!(proof != honest, "{what} changes nothing");
        verify(&key.verifying, &proof).expect_err(what)
    };
    let reduction = VerifyError::Protocol(ProtocolError::Check(Check::Reduction));
    assert_eq!(rejected("f(x) and W(x)", &|p| p.argument.messages.swap(n - 2, n - 1)), reduction);
    let moved = |p: &mut CoreProof| {
        p.argument.messages[n - 2] += Fr::one();
        p.argument.messages[n - 1] -= Fr::one();
    };
    assert_eq!(rejected("a value moved from f(x) to W(x)", &moved), reduction);
    let mismatch = VerifyError::Opening(OpeningError::PairingMismatch);
    let fold = |p: &mut CoreProof| {
        let o = &mut p.argument.opening;
        core::mem::swap(&mut o.folds[0], &mut o.quotient);
    };
    assert_eq!(rejected("a fold commitment and a quotient", &fold), mismatch);
    assert_eq!(rejected("fold evaluations", &|p| p.argument.opening.evaluations.swap(0, 1)), mismatch);
    let quotients = |p: &mut CoreProof| {
        let o = &mut p.argument.opening;
        core::mem::swap(&mut o.quotient, &mut o.linearised);
    };
    assert_eq!(rejected("both quotients", &quotients), mismatch);
    // Rows enter the digest, so every challenge changes.
    let layer = VerifyError::Protocol(ProtocolError::Check(Check::LookupLayer));
    for (a, b) in [(0, 1), (2, 7), (0, 15)] {
        assert_eq!(rejected("rows", &|p| p.argument.rows.swap(a, b)), layer);
    }
    assert_eq!(rejected("a row's sign", &|p| p.argument.rows[1] = -p.argument.rows[1]), layer);
    let shifted = |p: &mut CoreProof| p.argument.rows[3] = (p.argument.rows[3] + G1Affine::generator()).into_affine();
    rejected("a row", &shifted);
    rejected("a row less", &|p| p.argument.rows.truncate(15));
    rejected("a row more", &|p| p.argument.rows.push(G1Affine::identity()));
    rejected("row bits", &|p| p.argument.row_bits += 1);
    rejected("batch", &|p| p.batch = 2);
    rejected("batch of none", &|p| p.batch = 0);
    rejected("batch beyond the limit", &|p| p.batch = u32::MAX);
    rejected("key", &|p| p.key_digest[0] ^= 1);
    rejected("a public tensor less", &|p| p.public.truncate(1));
    rejected("a public tensor more", &|p| p.public.push(vec![]));
    rejected("a public value less", &|p| p.public[0].truncate(2));
    rejected("a public value more", &|p| p.public[1].push(0));
}
