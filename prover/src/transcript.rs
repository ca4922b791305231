//! The prover's side of the transcript: what the verifier receives, the prover sends, in the same order.

use assay_verifier::{Fr, channel::ProtocolError, transcript::Transcript};

/// Collects messages and draws challenges.
#[derive(Debug)]
pub struct ProverTranscript {
    transcript: Transcript,
    messages: Vec<Fr>,
}

impl ProverTranscript {
    /// Starts with the statement's digest.
    pub fn new(statement: Fr) -> Result<Self, ProtocolError> {
        let mut transcript = Transcript::new().ok_or(ProtocolError::Layout("Poseidon parameters"))?;
        transcript.absorb(statement);
        Ok(Self { transcript, messages: Vec::new() })
    }

    /// Sends one message.
    pub fn send(&mut self, value: Fr) {
        self.transcript.absorb(value);
        self.messages.push(value);
    }

    /// Draws one challenge.
    pub fn challenge(&mut self) -> Fr {
        self.transcript.challenge()
    }

    /// All messages.
    pub fn into_messages(self) -> Vec<Fr> {
        self.messages
    }
}
