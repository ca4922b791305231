//! The contract that takes settled proofs of the segments of one model together.

use crate::{
    Error, Measured, Verifier,
    artifact::bytecode_of,
    chain::{Call, Chain},
    client::{create, measured},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolCall, SolConstructor, SolValue};
use generated::{Segment, SegmentVerifier as Abi};

// The macro writes items without documentation.
#[allow(missing_docs, unreachable_pub)]
mod generated {
    alloy_sol_types::sol! {
        #[derive(Debug, PartialEq, Eq)]
        struct Segment {
            bytes32 modelId;
            bytes boundaries;
        }

        contract SegmentVerifier {
            constructor(address verifier);

            function planId(Segment[] plan) pure returns (bytes32);
            function verify(Segment[] plan, bytes[] publicValues, bytes32 context, bytes[] proofs) view returns (bool);
        }
    }
}

/// The artefact, as [`crate::artifact::JSON`].
pub const JSON: &str = include_str!("../artifacts/SegmentVerifier.json");

/// What is hashed into the id of every plan before the rest.
const PLAN_DOMAIN: &[u8] = b"assay.plan.v1";

/// The settlement ids of all segments in order, and for each given stack of a segment's key the number of the boundary that it is.
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

/// A `SegmentVerifier` at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentVerifier {
    address: Address,
}

impl SegmentVerifier {
    /// Deploys the contract on top of a verifier.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn deploy(chain: &mut dyn Chain, verifier: &Verifier) -> Result<(Self, Measured), Error> {
        let arguments = Abi::constructorCall { verifier: verifier.address() }.abi_encode();
        let (address, measured) = create(chain, [bytecode_of(JSON).as_ref(), &arguments].concat())?;
        Ok((Self { address }, measured))
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.address
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
    /// What the chain says; a plan that is none and settlement ids that are not registered revert.
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
        let gas = chain.gas(&call)?;
        measured(chain, self.address, &call, gas)
    }

    fn ask<C: SolCall>(&self, chain: &mut dyn Chain, call: &C) -> Result<C::Return, Error> {
        let answer = chain.call(&Call::new(self.address, call.abi_encode()))?;
        C::abi_decode_returns_validate(&answer).map_err(|e| Error::Unexpected {
            address: self.address,
            place: chain.place().to_owned(),
            what: format!("its answer is none of the function's: {e}"),
        })
    }
}

fn verify_call(plan: &Plan, proofs: &Proofs) -> Abi::verifyCall {
    let all = |parts: &[Vec<u8>]| parts.iter().map(|p| Bytes::copy_from_slice(p)).collect();
    Abi::verifyCall {
        plan: plan.0.clone(),
        publicValues: all(&proofs.public_values),
        context: proofs.context.into(),
        proofs: all(&proofs.proofs),
    }
}
