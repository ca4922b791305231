//! The native interpreter: real field elements, a real transcript, checks that fail.

use crate::{
    Fr,
    channel::{Channel, Check, ProtocolError},
    transcript::Transcript,
};
use ark_ff::{Field, Zero};
use assay_circuits::Ring;

/// Reads messages from a proof and checks equations.
#[derive(Debug)]
pub struct NativeChannel<'a> {
    transcript: Transcript,
    messages: core::slice::Iter<'a, Fr>,
    public: &'a [Vec<i64>],
}

/// `sum_i zeta^i public_i` over all values in order.
pub fn public_sum(public: &[Vec<i64>], zeta: &Fr) -> Fr {
    public
        .iter()
        .rev()
        .flat_map(|v| v.iter().rev())
        .fold(Fr::default(), |acc, v| acc * zeta + Fr::from_i128(i128::from(*v)))
}

impl<'a> NativeChannel<'a> {
    /// A channel over the messages of a proof about the given public values.
    pub fn new(messages: &'a [Fr], public: &'a [Vec<i64>]) -> Result<Self, ProtocolError> {
        let transcript = Transcript::new().ok_or(ProtocolError::Layout("Poseidon parameters"))?;
        Ok(Self { transcript, messages: messages.iter(), public })
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

    fn public(&mut self, zeta: &Fr) -> Result<Fr, ProtocolError> {
        Ok(public_sum(self.public, zeta))
    }

    fn invert(&mut self, label: &'static str, value: &Fr) -> Result<Fr, ProtocolError> {
        value.inverse().ok_or(ProtocolError::ZeroInverse(label))
    }

    fn assert_zero(&mut self, check: Check, value: Fr) -> Result<(), ProtocolError> {
        if value.is_zero() { Ok(()) } else { Err(ProtocolError::Check(check)) }
    }
}
