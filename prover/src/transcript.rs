//! The prover's side of the transcript: what the verifier receives, the prover sends, in the same order.

use assay_verifier::{Fr, channel::ProtocolError, transcript::Transcript};

/// Collects messages and draws challenges.
#[derive(Debug)]
pub struct ProverTranscript {
    transcript: Transcript,
    messages: Vec<Fr>,
}

impl ProverTranscript {
    /// Starts with the salt of a hiding argument and the statement's digest.
    pub fn new(salt: Option<Fr>, statement: Fr) -> Result<Self, ProtocolError> {
        let transcript = Transcript::new().ok_or(ProtocolError::Layout("Poseidon parameters"))?;
        let mut out = Self { transcript, messages: Vec::new() };
        if let Some(salt) = salt {
            out.send(salt);
        }
        out.transcript.absorb(statement);
        Ok(out)
    }

    /// Sends one message.
    pub fn send(&mut self, value: Fr) {
        crate::cancel::point();
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
