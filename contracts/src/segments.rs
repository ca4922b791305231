//! The contract that takes settled proofs of the segments of one model together.

use crate::{
    Embedded, Error, Measured, Sent, Submitted, Verifier,
    artifact::bytecode_of,
    chain::{BASE_GAS, Call, Chain, TRANSACTION_GAS, calldata_floor},
    client::{code_after, create, event_of, measured, name_model, something, unexpected},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolCall, SolConstructor, SolValue};
use generated::{Segment, SegmentVerifier as Abi};
use std::fmt;

// The macro writes items without documentation.
#[allow(missing_docs, unreachable_pub)]
mod generated {
    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct Segment {
            bytes32 modelId;
            bytes boundaries;
        }

        #[derive(Debug, PartialEq, Eq)]
        contract SegmentVerifier {
            constructor(address verifier);

            event SegmentsVerified(
                bytes32 indexed planId, bytes32 indexed job, address indexed recipient, bytes32 publicDigest
            );

            error InvalidPlan(uint256 segment);
            error InvalidProofs();

            function verifier() view returns (address);
            function planId(Segment[] plan) pure returns (bytes32);
            function verify(Segment[] plan, bytes[] publicValues, bytes32 context, bytes[] proofs) view returns (bool);
            function submit(Segment[] plan, bytes[] publicValues, bytes32 job, address recipient, bytes[] proofs);
        }
    }
}

/// The artefact, as [`crate::artifact::JSON`].
pub const JSON: &str = include_str!("../artifacts/SegmentVerifier.json");

/// An error of the contract's interface.
pub type SegmentError = Abi::SegmentVerifierErrors;

/// What the contract is called in messages.
const NAME: &str = "SegmentVerifier";

/// An error as it is declared, and what it means.
pub(crate) fn sentence(e: &SegmentError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match e {
        SegmentError::InvalidPlan(e) => {
            write!(
                f,
                "InvalidPlan({}): the number of segments, or one that does not hang together with the others",
                e.segment
            )
        }
        SegmentError::InvalidProofs(_) => {
            f.write_str("InvalidProofs(): not valid for this plan, public values, job, recipient, contract and chain")
        }
    }
}

/// A call gets all gas but for a 64th (EIP-150), and so does what it calls in turn. Before the last proof the transaction must have
/// this share of that proof's gas to spare.
const KEPT: u64 = 32;

/// Code of a verifier that gives 1 for whatever it is asked: yes, and a context.
const YES: [u8; 8] = [0x60, 1, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3];

/// What is hashed into the id of every plan before the rest.
const PLAN_DOMAIN: &[u8] = b"assay.plan.v1";

/// The settlement ids of all segments in order, and for each boundary that a segment's key names, before all other stacks, its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<Segment>);

/// A proof of each segment, all of one context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// Public values of each segment.
    pub public_values: Vec<Vec<u8>>,
    /// What all proofs are bound to.
    pub context: [u8; 32],
    /// The proofs.
    pub proofs: Vec<Vec<u8>>,
}

impl Plan {
    /// A plan of settlement ids and boundaries.
    pub fn new(segments: &[(B256, Vec<u8>)]) -> Self {
        let segment = |(id, boundaries): &(B256, Vec<u8>)| Segment {
            modelId: *id,
            boundaries: Bytes::copy_from_slice(boundaries),
        };
        Self(segments.iter().map(segment).collect())
    }

    /// Its id, as the contract computes it: `keccak256(abi.encode(keccak256("assay.plan.v1"), plan))`.
    pub fn id(&self) -> B256 {
        keccak256((keccak256(PLAN_DOMAIN), self.0.clone()).abi_encode_params())
    }
}

/// A `SegmentVerifier` at an address, and the verifier that it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentVerifier {
    address: Address,
    verifier: Verifier,
}

/// The code that creates the contract on top of a verifier.
fn deployment(verifier: Address) -> Bytes {
    let arguments = Abi::constructorCall { verifier }.abi_encode();
    [bytecode_of(JSON).as_ref(), &arguments].concat().into()
}

impl SegmentVerifier {
    /// Deploys the contract on top of a verifier.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn deploy(chain: &mut dyn Chain, verifier: &Verifier) -> Result<(Self, Measured), Error> {
        let (address, measured) = create(chain, NAME, deployment(verifier.address()))?;
        Ok((Self { address, verifier: *verifier }, measured))
    }

    /// The contract at an address, after a check that its code, and that of the verifier which it asks, is what this version
    /// deploys.
    ///
    /// # Errors
    ///
    /// [`Error::NoContract`], [`Error::OtherContract`], or what the chain says.
    pub fn at(chain: &mut dyn Chain, address: Address) -> Result<Self, Error> {
        let code = something(chain, address)?;
        let other = |place: &str| Error::OtherContract { name: NAME, address, place: place.to_owned() };
        // Another contract answers anything, or nothing: what it is is for its code to say.
        let answer = chain.call(&Call::new(address, Abi::verifierCall {}.abi_encode()));
        let answer = match answer {
            Err(Error::Reverted { .. }) => return Err(other(chain.place())),
            answer => answer?,
        };
        let asked = Abi::verifierCall::abi_decode_returns_validate(&answer).map_err(|_| other(chain.place()))?;
        if code != code_after(deployment(asked))? {
            return Err(other(chain.place()));
        }
        Ok(Self { address, verifier: Verifier::at(chain, asked)? })
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The verifier that it asks, where keys are registered.
    pub const fn verifier(&self) -> Verifier {
        self.verifier
    }

    /// The id of a plan, asked of the contract.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn plan_id(&self, chain: &mut dyn Chain, plan: &Plan) -> Result<B256, Error> {
        self.ask(chain, &Abi::planIdCall { plan: plan.0.clone() })
    }

    /// Whether the contract accepts the proofs. Costs nothing and changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] for a settlement id that is not registered, or what the chain says; a plan that is none reverts.
    pub fn verify(&self, chain: &mut dyn Chain, plan: &Plan, proofs: &Proofs) -> Result<bool, Error> {
        // A proof that is not made of words has no canonical encoding, for which the verifier reverts.
        let words = proofs.proofs.iter().all(|p| p.len().is_multiple_of(32));
        Ok(words && self.ask(chain, &verify_call(plan, proofs))?)
    }

    /// Gas that [`verify`](Self::verify) takes as a transaction of its own.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_cost(&self, chain: &mut dyn Chain, plan: &Plan, proofs: &Proofs) -> Result<Measured, Error> {
        let call = Call::new(self.address, verify_call(plan, proofs).abi_encode());
        let gas = chain.gas(&call).map_err(|e| name_model(self.address, chain, e))?;
        measured(chain, self.address, &call, gas)
    }

    /// Submits proofs in a transaction, which leaves the event `SegmentsVerified` on the chain. They must be bound to the
    /// context of this contract as consumer.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify); [`Error::Reverted`] if the proofs are not accepted.
    pub fn submit(
        &self,
        chain: &mut dyn Chain,
        plan: &Plan,
        proofs: &Proofs,
        job: B256,
        recipient: Address,
    ) -> Result<Submitted, Error> {
        let submit = submit_call(plan, proofs, job, recipient);
        let public_digest = keccak256(submit.publicValues.abi_encode());
        let call = Call::new(self.address, submit.abi_encode());
        something(chain, self.address)?;
        let receipt = chain.send(&call).map_err(|e| name_model(self.address, chain, e))?.success(chain.place())?;
        event_of::<Abi::SegmentsVerified>(&receipt, self.address)
            .filter(|e| e.planId == plan.id() && e.job == job && e.recipient == recipient)
            .filter(|e| e.publicDigest == public_digest)
            .ok_or_else(|| {
                unexpected(NAME, self.address, chain, "it did not report the verification of these proofs")
            })?;
        let measured = measured(chain, self.address, &call, receipt.gas_used)?;
        Ok(Submitted { public_digest, transaction: Sent { hash: receipt.hash, measured } })
    }

    /// The gas limit that a transaction with all proofs needs, also where no transaction may have as much: what each proof takes
    /// alone, and what this contract takes around them, which an EVM in this process says with a verifier that only says yes.
    /// `submission` is job and recipient of [`submit`](Self::submit); without it, it is [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), for each proof.
    pub fn limit_of_parts(
        &self,
        chain: &mut dyn Chain,
        plan: &Plan,
        proofs: &Proofs,
        submission: Option<(B256, Address)>,
    ) -> Result<u64, Error> {
        let data = match submission {
            Some((job, recipient)) => submit_call(plan, proofs, job, recipient).abi_encode(),
            None => verify_call(plan, proofs).abi_encode(),
        };
        let floor = calldata_floor(&data);
        if floor > TRANSACTION_GAS {
            return Ok(floor);
        }
        let mut own = Embedded::new();
        let yes = Verifier::at_unchecked(Address::repeat_byte(1));
        own.set_code(yes.address(), Bytes::from_static(&YES));
        let (together, _) = Self::deploy(&mut own, &yes)?;
        let mut gas = own.gas_above_floor(&Call::new(together.address, data))?;
        let mut last = 0;
        for (segment, (public, proof)) in plan.0.iter().zip(proofs.public_values.iter().zip(&proofs.proofs)) {
            let one = self.verifier.verify_cost(chain, segment.modelId, public, proofs.context, proof)?;
            last = one.gas_used.saturating_sub(BASE_GAS + one.calldata_gas);
            gas += last;
        }
        if let Some((job, recipient)) = submission {
            gas += self.verifier.context_gas(chain, self.address, job, recipient)?;
        }
        Ok((gas + last.div_ceil(KEPT)).max(floor))
    }

    fn ask<C: SolCall>(&self, chain: &mut dyn Chain, call: &C) -> Result<C::Return, Error> {
        let answer = chain.call(&Call::new(self.address, call.abi_encode()));
        let answer = answer.map_err(|e| name_model(self.address, chain, e))?;
        if answer.is_empty() {
            something(chain, self.address)?;
        }
        C::abi_decode_returns_validate(&answer).map_err(|e| {
            unexpected(NAME, self.address, chain, &format!("{} returned {} bytes: {e}", C::SIGNATURE, answer.len()))
        })
    }
}

fn all(parts: &[Vec<u8>]) -> Vec<Bytes> {
    parts.iter().map(|p| Bytes::copy_from_slice(p)).collect()
}

fn submit_call(plan: &Plan, proofs: &Proofs, job: B256, recipient: Address) -> Abi::submitCall {
    Abi::submitCall {
        plan: plan.0.clone(),
        publicValues: all(&proofs.public_values),
        job,
        recipient,
        proofs: all(&proofs.proofs),
    }
}

fn verify_call(plan: &Plan, proofs: &Proofs) -> Abi::verifyCall {
    Abi::verifyCall {
        plan: plan.0.clone(),
        publicValues: all(&proofs.public_values),
        context: proofs.context.into(),
        proofs: all(&proofs.proofs),
    }
}
