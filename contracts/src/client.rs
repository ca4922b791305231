//! The contract as an object: deploy it, register keys, check and submit proofs.

use crate::{
    Error,
    abi::{AssayVerifier, ContractError},
    artifact,
    chain::{BASE_GAS, Call, Chain, Receipt, calldata_gas},
    embedded::Embedded,
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolCall, SolEvent};

/// Most bytes of code a contract has (EIP-170).
const CODE_BYTES: usize = 24_576;
/// The byte in front of a key in its data contract: the instruction STOP, so that nobody can run it.
const STOP: u8 = 0;

/// What a transaction costs. Gas includes everything the sender pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Gas charged, or on a node the estimate if the transaction was not sent.
    pub gas_used: u64,
    /// Bytes of calldata, or of creation code with its arguments.
    pub calldata_bytes: usize,
    /// The part of the gas that these bytes cost: 4 per zero byte, 16 per other byte.
    pub calldata_gas: u64,
    /// Bytes of code at the address that was called or created.
    pub contract_bytes: usize,
}

/// A transaction that is part of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its identity.
    pub hash: B256,
    /// What it cost.
    pub measured: Measured,
}

/// A key that is on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// keccak256 of the key.
    pub model_id: B256,
    /// The contract whose code is the key.
    pub data: Address,
    /// The key is for development powers of tau, which anyone can forge proofs under.
    pub development_srs: bool,
    /// The transaction; none if the key was there already.
    pub transaction: Option<Sent>,
}

/// A proof that was accepted in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// keccak256 of the public values, as the event has it.
    pub public_digest: B256,
    /// The transaction.
    pub transaction: Sent,
}

/// What the contract is called in messages.
const NAME: &str = "AssayVerifier";

/// Creates the contract of this name: where it is, and what that took.
pub(crate) fn create(
    chain: &mut dyn Chain,
    name: &'static str,
    code: impl Into<Bytes>,
) -> Result<(Address, Measured), Error> {
    let call = Call::create(code);
    let receipt = chain.send(&call)?.success(chain.place())?;
    let address = receipt.created.ok_or_else(|| Error::Unexpected {
        name,
        address: Address::ZERO,
        place: chain.place().to_owned(),
        what: "the deployment created no contract".to_owned(),
    })?;
    let measured = measured(chain, address, &call, receipt.gas_used)?;
    Ok((address, measured))
}

/// The code at an address.
pub(crate) fn something(chain: &mut dyn Chain, address: Address) -> Result<Bytes, Error> {
    let code = chain.code(address)?;
    if code.is_empty() {
        return Err(Error::NoContract { address, place: chain.place().to_owned() });
    }
    Ok(code)
}

/// The code that creation code leaves.
pub(crate) fn code_after(creation: Bytes) -> Result<Bytes, Error> {
    let mut own = Embedded::new();
    let receipt = own.send(&Call::create(creation))?;
    own.code(receipt.created.unwrap_or_default())
}

/// A contract of this name does not answer as it should.
pub(crate) fn unexpected(name: &'static str, address: Address, chain: &dyn Chain, what: &str) -> Error {
    Error::Unexpected { name, address, place: chain.place().to_owned(), what: what.to_owned() }
}

/// The first event of a kind that the contract at an address itself wrote.
pub(crate) fn event_of<E: SolEvent>(receipt: &Receipt, address: Address) -> Option<E> {
    let mut own = receipt.logs.iter().filter(|l| l.address == address);
    own.find_map(|l| E::decode_log_data_validate(&l.data).ok())
}

/// The verifier's own `UnknownModel`, of a call to the contract at an address, as the error callers look for.
pub(crate) fn name_model(address: Address, chain: &dyn Chain, e: Error) -> Error {
    match e.contract() {
        Some(ContractError::UnknownModel(m)) => {
            Error::UnknownModel { address, place: chain.place().to_owned(), model: m.modelId }
        }
        _ => e,
    }
}

/// What a call of the contract at an address takes.
pub(crate) fn measured(chain: &mut dyn Chain, address: Address, call: &Call, gas_used: u64) -> Result<Measured, Error> {
    Ok(Measured {
        gas_used,
        calldata_bytes: call.data.len(),
        calldata_gas: calldata_gas(&call.data),
        contract_bytes: chain.code(address)?.len(),
    })
}

/// An `AssayVerifier` at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verifier {
    address: Address,
}

impl Verifier {
    /// Deploys the contract. One that accepts development powers of tau belongs on a local chain: see
    /// [`guard_development`](crate::guard_development).
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn deploy(chain: &mut dyn Chain, accept_development_srs: bool) -> Result<(Self, Measured), Error> {
        let (address, measured) = create(chain, NAME, artifact::deployment(accept_development_srs))?;
        let this = Self { address };
        this.check_code(chain)?;
        Ok((this, measured))
    }

    /// The contract at an address, after a check that its code is the one this version deploys.
    ///
    /// # Errors
    ///
    /// [`Error::NoContract`], [`Error::OtherContract`], or what the chain says.
    pub fn at(chain: &mut dyn Chain, address: Address) -> Result<Self, Error> {
        let this = Self { address };
        this.check_code(chain)?;
        Ok(this)
    }

    /// The contract at an address, whatever is there. What it answers proves nothing.
    pub const fn at_unchecked(address: Address) -> Self {
        Self { address }
    }

    /// Where it is.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Whether this contract takes keys for development powers of tau, read from its code.
    ///
    /// # Errors
    ///
    /// As [`at`](Self::at).
    pub fn accepts_development_srs(&self, chain: &mut dyn Chain) -> Result<bool, Error> {
        self.check_code(chain)
    }

    /// Stores a key on the chain, unless it is there already, and reads it back.
    ///
    /// # Errors
    ///
    /// [`Error::KeySize`], [`Error::Reverted`] if the contract does not take it, or what the chain says.
    pub fn register(&self, chain: &mut dyn Chain, key: &[u8]) -> Result<Registered, Error> {
        if key.len() >= CODE_BYTES {
            return Err(Error::KeySize { bytes: key.len(), limit: CODE_BYTES - 1 });
        }
        let model_id = keccak256(key);
        let mut transaction = None;
        if !self.is_registered(chain, model_id)? {
            let call = self.call_of(&AssayVerifier::registerCall { key: Bytes::copy_from_slice(key) });
            let receipt = self.send(chain, &call)?;
            let measured = self.measured(chain, &call, receipt.gas_used)?;
            transaction = Some(Sent { hash: receipt.hash, measured });
        }
        let (data, _) = self.stored(chain, model_id)?;
        Ok(Registered { model_id, data, development_srs: is_development(key), transaction })
    }

    /// Whether a key is on the chain, by its keccak256.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn is_registered(&self, chain: &mut dyn Chain, model_id: B256) -> Result<bool, Error> {
        Ok(self.data_of(chain, model_id)?.is_some())
    }

    /// Reads a key back from the chain and checks it against its identity.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`], or what the chain says.
    pub fn key(&self, chain: &mut dyn Chain, model_id: B256) -> Result<Vec<u8>, Error> {
        self.stored(chain, model_id).map(|(_, key)| key)
    }

    /// Whether the contract accepts a proof. Costs nothing and changes nothing.
    ///
    /// `public_values` are all public tensors, eight bytes a value, big-endian; `context` is what
    /// [`context`](crate::context) gives.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`], or what the chain says. A proof that is not accepted is no error.
    pub fn verify(
        &self,
        chain: &mut dyn Chain,
        model_id: B256,
        public_values: &[u8],
        context: [u8; 32],
        proof: &[u8],
    ) -> Result<bool, Error> {
        let call = verify_call(model_id, public_values, context, proof);
        match self.ask(chain, &call) {
            // The encoding is canonical unless the proof is not made of words.
            Err(e)
                if matches!(e.contract(), Some(ContractError::NonCanonicalCalldata(_)))
                    && !proof.len().is_multiple_of(32) =>
            {
                Ok(false)
            }
            answer => answer.map_err(|e| self.name_model(chain, e)),
        }
    }

    /// Gas that [`verify`](Self::verify) takes as a transaction of its own.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_cost(
        &self,
        chain: &mut dyn Chain,
        model_id: B256,
        public_values: &[u8],
        context: [u8; 32],
        proof: &[u8],
    ) -> Result<Measured, Error> {
        let call = self.call_of(&verify_call(model_id, public_values, context, proof));
        let gas = chain.gas(&call).map_err(|e| self.name_model(chain, e))?;
        self.measured(chain, &call, gas)
    }

    /// The context the contract computes, for this chain.
    ///
    /// # Errors
    ///
    /// What the chain says.
    pub fn context_for(
        &self,
        chain: &mut dyn Chain,
        consumer: Address,
        job: B256,
        recipient: Address,
    ) -> Result<[u8; 32], Error> {
        self.ask(chain, &AssayVerifier::contextForCall { consumer, job, recipient }).map(|c| c.0)
    }

    /// Gas of the contract's code to compute a context, at most.
    pub(crate) fn context_gas(
        &self,
        chain: &mut dyn Chain,
        consumer: Address,
        job: B256,
        recipient: Address,
    ) -> Result<u64, Error> {
        let call = self.call_of(&AssayVerifier::contextForCall { consumer, job, recipient });
        Ok(chain.gas(&call)?.saturating_sub(BASE_GAS + calldata_gas(&call.data)))
    }

    /// Submits a proof in a transaction, which leaves the event `Verified` on the chain. The proof must be bound to the
    /// context of this contract as consumer.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`], [`Error::Reverted`] if the proof is not accepted, or what the chain says.
    pub fn submit(
        &self,
        chain: &mut dyn Chain,
        model_id: B256,
        public_values: &[u8],
        job: B256,
        recipient: Address,
        proof: &[u8],
    ) -> Result<Submitted, Error> {
        let call = self.call_of(&AssayVerifier::submitCall {
            modelId: model_id,
            publicValues: Bytes::copy_from_slice(public_values),
            job,
            recipient,
            proof: Bytes::copy_from_slice(proof),
        });
        let receipt = self.send(chain, &call).map_err(|e| self.name_model(chain, e))?;
        let event = event_of::<AssayVerifier::Verified>(&receipt, self.address)
            .filter(|e| e.modelId == model_id && e.job == job && e.recipient == recipient)
            .filter(|e| e.publicDigest == keccak256(public_values))
            .ok_or_else(|| self.unexpected(chain, "it did not report the verification of this proof"))?;
        let measured = self.measured(chain, &call, receipt.gas_used)?;
        Ok(Submitted { public_digest: event.publicDigest, transaction: Sent { hash: receipt.hash, measured } })
    }

    fn call_of(&self, call: &impl SolCall) -> Call {
        Call::new(self.address, call.abi_encode())
    }

    fn send(&self, chain: &mut dyn Chain, call: &Call) -> Result<Receipt, Error> {
        self.check_something(chain)?;
        chain.send(call)?.success(chain.place())
    }

    /// Calls and reads the answer; an answer that is not exactly of its type is refused.
    fn ask<C: SolCall>(&self, chain: &mut dyn Chain, call: &C) -> Result<C::Return, Error> {
        let answer = chain.call(&self.call_of(call))?;
        if answer.is_empty() {
            self.check_something(chain)?;
        }
        C::abi_decode_returns_validate(&answer)
            .map_err(|e| self.unexpected(chain, &format!("{} returned {} bytes: {e}", C::SIGNATURE, answer.len())))
    }

    /// The data contract of a key and the key, checked against its identity.
    fn stored(&self, chain: &mut dyn Chain, model_id: B256) -> Result<(Address, Vec<u8>), Error> {
        let data = self.data_of(chain, model_id)?.ok_or_else(|| Error::UnknownModel {
            address: self.address,
            place: chain.place().to_owned(),
            model: model_id,
        })?;
        match chain.code(data)?.split_first() {
            Some((&STOP, key)) if keccak256(key) == model_id => Ok((data, key.to_vec())),
            _ => Err(self.unexpected(chain, &format!("the code at {data} is not the key {model_id}"))),
        }
    }

    fn data_of(&self, chain: &mut dyn Chain, model_id: B256) -> Result<Option<Address>, Error> {
        let data = self.ask(chain, &AssayVerifier::keyOfCall { modelId: model_id })?;
        Ok((data != Address::ZERO).then_some(data))
    }

    fn measured(&self, chain: &mut dyn Chain, call: &Call, gas_used: u64) -> Result<Measured, Error> {
        measured(chain, self.address, call, gas_used)
    }

    /// A call to an address without code succeeds and does nothing: find that out before it is paid for.
    fn check_something(&self, chain: &mut dyn Chain) -> Result<Bytes, Error> {
        something(chain, self.address)
    }

    /// Compares the code on the chain with what this version deploys; gives the constructor's argument.
    fn check_code(&self, chain: &mut dyn Chain) -> Result<bool, Error> {
        let code = self.check_something(chain)?;
        for accept in [false, true] {
            if code == code_after(artifact::deployment(accept))? {
                return Ok(accept);
            }
        }
        Err(Error::OtherContract { name: NAME, address: self.address, place: chain.place().to_owned() })
    }

    fn unexpected(&self, chain: &dyn Chain, what: &str) -> Error {
        unexpected(NAME, self.address, chain, what)
    }

    fn name_model(&self, chain: &dyn Chain, e: Error) -> Error {
        name_model(self.address, chain, e)
    }
}

/// Whether the flags of a key, its second word, say that its powers of tau are insecure.
pub fn is_development(key: &[u8]) -> bool {
    key.get(63).is_some_and(|flags| flags & 1 == 1)
}

fn verify_call(model_id: B256, public_values: &[u8], context: [u8; 32], proof: &[u8]) -> AssayVerifier::verifyCall {
    AssayVerifier::verifyCall {
        modelId: model_id,
        publicValues: Bytes::copy_from_slice(public_values),
        context: context.into(),
        proof: Bytes::copy_from_slice(proof),
    }
}
