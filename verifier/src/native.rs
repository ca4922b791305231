//! The native interpreter: real field elements, a real transcript, checks that fail.

use crate::{
    Fr,
    channel::{Channel, Check, ProtocolError},
    transcript::Transcript,
};
use ark_ff::{Field, Zero};

/// Reads messages from a proof and checks equations.
#[derive(Debug)]
pub struct NativeChannel<'a> {
    transcript: Transcript,
    messages: core::slice::Iter<'a, Fr>,
}

impl<'a> NativeChannel<'a> {
    /// A channel over the messages of a proof.
    pub fn new(messages: &'a [Fr]) -> Result<Self, ProtocolError> {
        let transcript = Transcript::new().ok_or(ProtocolError::Layout("Poseidon parameters"))?;
        Ok(Self { transcript, messages: messages.iter() })
    }

    /// Number of messages that have not been read.
    pub fn unread(&self) -> usize {
        self.messages.len()
    }

    /// Permutations of the transcript so far.
    pub fn permutations(&self) -> usize {
        self.transcript.permutations()
    }
}

impl Channel for NativeChannel<'_> {
    type Elem = Fr;

    fn observe(&mut self, _: &'static str, value: &Fr) -> Result<(), ProtocolError> {
        self.transcript.absorb(*value);
        Ok(())
    }

    fn receive(&mut self, label: &'static str) -> Result<Fr, ProtocolError> {
        let value = *self.messages.next().ok_or(ProtocolError::MissingMessage(label))?;
        self.transcript.absorb(value);
        Ok(value)
    }

    fn challenge(&mut self, _: &'static str) -> Result<Fr, ProtocolError> {
        Ok(self.transcript.challenge())
    }

    fn invert(&mut self, label: &'static str, value: &Fr) -> Result<Fr, ProtocolError> {
        value.inverse().ok_or(ProtocolError::ZeroInverse(label))
    }

    fn assert_zero(&mut self, check: Check, value: Fr) -> Result<(), ProtocolError> {
        if value.is_zero() { Ok(()) } else { Err(ProtocolError::Check(check)) }
    }
}
