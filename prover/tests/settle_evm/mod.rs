//! The contract on the embedded EVM, as one more check of settled proofs.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use assay_contracts::{Embedded, Measured, Verifier};
use assay_verifier::settle::{argument::SettledArgument, check::public_bytes, descriptor::Descriptor};

/// A chain with the contract. It takes development powers of tau.
pub struct Contract {
    chain: Embedded,
    verifier: Verifier,
}

impl Contract {
    pub fn new() -> Self {
        let mut chain = Embedded::new();
        let (verifier, _) = Verifier::deploy(&mut chain, true).unwrap();
        Self { chain, verifier }
    }

    /// What the contract says of bytes under a key, which it is given first if it does not have it.
    pub fn accepts(&mut self, key: &[u8], public: &[u8], context: [u8; 32], proof: &[u8]) -> bool {
        let id = self.verifier.register(&mut self.chain, key).unwrap().model_id;
        self.verifier.verify(&mut self.chain, id, public, context, proof).unwrap()
    }

    /// What a call with valid bytes takes.
    pub fn cost(&mut self, key: &[u8], public: &[u8], context: [u8; 32], proof: &[u8]) -> Measured {
        let id = self.verifier.register(&mut self.chain, key).unwrap().model_id;
        self.verifier.verify_cost(&mut self.chain, id, public, context, proof).unwrap()
    }

    /// What it says of an argument.
    pub fn agrees(
        &mut self,
        descriptor: &Descriptor,
        public: &[Vec<i64>],
        context: [u8; 32],
        argument: &SettledArgument,
    ) -> bool {
        self.accepts(&descriptor.to_bytes(), &public_bytes(public), context, &argument.to_bytes())
    }
}
