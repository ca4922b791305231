//! Proofs to alter, and the two who judge them: the native check and the contract.

use super::{
    golden_set::toy_model,
    settle_evm::Contract,
    settle_support::{Claim, Halves, Lab, Made, Side},
};
use assay_circuits::{Visibility, ring::eq_table};
use assay_prover::srs::Srs;
use assay_verifier::{
    Fr, G1Affine,
    keccak::KeccakTranscript,
    settle::{
        argument::{Halo2Proof, SettledArgument},
        check::{SettleError, public_bytes},
    },
};
use std::sync::OnceLock;

pub(super) struct Court {
    pub(super) lab: Lab,
    pub(super) made: Made,
    /// Of the same statement.
    pub(super) again: Made,
    /// Of another one.
    pub(super) other: Made,
}

pub(super) fn court() -> &'static Court {
    static COURT: OnceLock<Court> = OnceLock::new();
    COURT.get_or_init(|| {
        let (model, inputs) = toy_model();
        let lab = Lab::new(model, Srs::development(13, 7).unwrap(), 3, 3, Visibility::default());
        let made = lab.inference.prove(lab.claim(&inputs));
        let again = lab.inference.prove(lab.claim(&inputs));
        let mut inputs = inputs;
        inputs[0][0].data[0] = -3;
        let other = lab.inference.prove(lab.claim(&inputs));
        assert_ne!(other.committed.claim.public, made.committed.claim.public);
        Court { lab, made, again, other }
    })
}

impl Court {
    pub(super) fn side(&self) -> &Side {
        &self.lab.inference
    }
}

/// The native check and the contract.
pub(super) struct Judges<'a> {
    pub(super) side: &'a Side,
    pub(super) contract: Contract,
}

impl<'a> Judges<'a> {
    pub(super) fn new(side: &'a Side) -> Self {
        Self { side, contract: Contract::new() }
    }

    pub(super) fn verdict(&mut self, claim: &Claim, argument: &SettledArgument) -> bool {
        let native = self.side.check(claim, argument);
        assert!(matches!(native, Ok(()) | Err(SettleError::Pairing)), "{native:?}");
        let contract = self.contract.agrees(&self.side.descriptor, &claim.public, claim.context, argument);
        assert_eq!(native.is_ok(), contract, "native check and contract do not agree");
        contract
    }

    pub(super) fn refuse(&mut self, what: &str, claim: &Claim, argument: &SettledArgument) {
        assert!(!self.verdict(claim, argument), "accepted: {what}");
    }

    /// Refused, and by that half or both.
    pub(super) fn refuse_half(&mut self, what: &str, claim: &Claim, argument: &SettledArgument, expected: Halves) {
        self.refuse(what, claim, argument);
        assert_eq!(self.side.halves(claim, argument), expected, "{what}");
    }

    pub(super) fn refuse_bytes(&mut self, what: &str, claim: &Claim, proof: &[u8]) {
        assert!(SettledArgument::from_bytes(&self.side.descriptor, proof).is_err(), "decoded: {what}");
        let key = self.side.descriptor.to_bytes();
        let public = public_bytes(&claim.public);
        assert!(!self.contract.accepts(&key, &public, claim.context, proof), "accepted: {what}");
    }
}

pub(super) const FALSE_OPENING: Halves = Halves { halo2: true, opening: false };
pub(super) const FALSE_CIRCUIT: Halves = Halves { halo2: false, opening: true };

/// All points of an argument.
pub(super) fn points(a: &mut SettledArgument) -> Vec<&mut G1Affine> {
    let Halo2Proof { advice, product, random, quotient, w, w_prime, .. } = &mut a.halo2;
    let opening = &mut a.opening;
    let circuit = advice.iter_mut().chain([product, random]).chain(quotient).chain([w, w_prime]);
    let opening = opening.folds.iter_mut().chain([&mut opening.quotient, &mut opening.linearised]);
    a.rows.iter_mut().chain([&mut a.mask]).chain(circuit).chain(opening).collect()
}

/// All scalars of an argument.
pub(super) fn scalars(a: &mut SettledArgument) -> Vec<&mut Fr> {
    let head = [&mut a.zeta, &mut a.gamma, &mut a.value].into_iter().chain(&mut a.point);
    head.chain(&mut a.halo2.evaluations).chain([&mut a.beta]).chain(&mut a.opening.evaluations).collect()
}

/// The transcript where the opening begins.
pub(super) fn before_opening(
    side: &Side,
    claim: &Claim,
    argument: &SettledArgument,
    digest: [u8; 32],
) -> KeccakTranscript {
    side.oracle(digest, &side.instances(claim, argument), &argument.halo2).1.unwrap()
}

pub(super) fn evaluate(h: &[Fr], low: &[Fr]) -> Fr {
    h.iter().zip(eq_table(low)).map(|(h, e)| *h * e).sum()
}
