//! Keccak-256: the Fiat-Shamir transcript of the curve side and the digest that stands for a list of commitments.
//!
//! ```text
//! new(domain)    state = keccak(domain), buffer empty
//! absorb(bytes)  buffer = buffer || bytes
//! challenge()    state = keccak(state || buffer), or keccak(state || 0x01) when the buffer is empty;
//!                buffer empty, challenge = state mod r
//! ```
//!
//! What a prover sends lies in a contract's memory as one run of words in this order, so a challenge is one `keccak256`
//! over a memory range. Nothing is labelled and no length is hashed: the order and the lengths of everything absorbed
//! between two challenges must follow from what is bound before the first of them (key, batch, domain), never from the
//! prover. Everything absorbed is whole 32-byte words, so the 33 bytes of a challenge without a message are no other
//! challenge's.
//!
//! **Bias.** A challenge is a 256-bit integer reduced mod r. 2^256 / r is about 5.29, so a residue has 5 or 6
//! preimages: no event is more likely than under the uniform distribution by a factor above 6 r / 2^256 < 1.135, which
//! costs a soundness bound less than 0.19 bits.

use ark_bn254::{Fr, G1Affine};
use ark_ff::PrimeField;
use sha3::{Digest, Keccak256};

use crate::curve::{fr_to_bytes, g1_to_bytes};

/// Domain of [`commitments_digest`].
pub const COMMITMENTS_DOMAIN: &[u8] = b"assay/commitments/v1";

/// A running Keccak-256; cloning it gives the digests of prefixes.
#[derive(Clone, Default)]
pub struct Keccak {
    inner: Keccak256,
}

impl Keccak {
    /// Hashes `bytes` after everything hashed so far.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The digest of everything hashed so far.
    pub fn finish(self) -> [u8; 32] {
        self.inner.finalize().into()
    }
}

/// Keccak-256 of the concatenated parts.
pub fn keccak256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak::default();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// A 256-bit big-endian digest reduced mod r; see the module header for the bias.
pub fn digest_to_fr(digest: &[u8; 32]) -> Fr {
    Fr::from_be_bytes_mod_order(digest)
}

/// The digest `D` that a proof's public input holds for a list of row commitments:
/// `keccak(keccak(domain) || model_digest || context || uint256(rows) || x_0 || y_0 || x_1 || ...)`.
///
/// `context` binds what the proof is made for (chain, contract, job, recipient).
pub fn commitments_digest(model_digest: &[u8; 32], rows: &[G1Affine], context: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Keccak::default();
    hasher.update(&keccak256(&[COMMITMENTS_DOMAIN]));
    hasher.update(model_digest);
    hasher.update(context);
    hasher.update(&count_word(rows.len()));
    for row in rows {
        hasher.update(&g1_to_bytes(row));
    }
    hasher.finish()
}

/// What a challenge hashes after the state when nothing was absorbed since the last one.
const NO_MESSAGE: &[u8] = &[1];

/// A Fiat-Shamir transcript; the module header gives its bytes and what its callers must see to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeccakTranscript {
    state: [u8; 32],
    buffer: Vec<u8>,
}

impl KeccakTranscript {
    /// Starts a transcript for one protocol and version.
    pub fn new(domain: &[u8]) -> Self {
        Self::from_state(keccak256(&[domain]))
    }

    /// Starts from a digest of everything that was settled before.
    pub fn from_state(state: [u8; 32]) -> Self {
        Self { state, buffer: Vec::new() }
    }

    /// Absorbs bytes, as they are. Their number must be a multiple of 32 that the key fixes.
    pub fn absorb_bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Absorbs a scalar.
    pub fn absorb_fr(&mut self, value: &Fr) {
        self.absorb_bytes(&fr_to_bytes(value));
    }

    /// Absorbs scalars, one after the other.
    pub fn absorb_frs(&mut self, values: &[Fr]) {
        values.iter().for_each(|value| self.absorb_fr(value));
    }

    /// Absorbs a point as `x || y`.
    pub fn absorb_point(&mut self, point: &G1Affine) {
        self.absorb_bytes(&g1_to_bytes(point));
    }

    /// Absorbs points, one after the other.
    pub fn absorb_points(&mut self, points: &[G1Affine]) {
        points.iter().for_each(|point| self.absorb_point(point));
    }

    /// Draws a challenge that depends on everything absorbed and drawn so far.
    pub fn challenge(&mut self) -> Fr {
        let message = if self.buffer.is_empty() { NO_MESSAGE } else { &self.buffer };
        self.state = keccak256(&[&self.state, message]);
        self.buffer.clear();
        digest_to_fr(&self.state)
    }
}

/// A count as a 256-bit big-endian word.
fn count_word(count: usize) -> [u8; 32] {
    let mut word = [0; 32];
    if let Some(low) = word.last_chunk_mut::<8>() {
        *low = u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes();
    }
    word
}

#[cfg(test)]
mod tests {
    use ark_ec::AffineRepr;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn keccak_is_the_evm_hash() {
        assert_eq!(hex(&keccak256(&[])), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        assert_eq!(
            hex(&keccak256(&[b"Transfer(address,", b"address,uint256)"])),
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
        );
    }

    #[test]
    fn transcript_bytes_are_the_documented_words() {
        let mut transcript = KeccakTranscript::new(b"domain");
        let start = keccak256(&[b"domain"]);
        assert_eq!(transcript, KeccakTranscript::from_state(start));
        let g = G1Affine::generator();
        transcript.absorb_fr(&Fr::from(7u8));
        transcript.absorb_point(&g);
        transcript.absorb_bytes(&[0xab; 32]);
        // The state, the scalar 7, the point (1, 2), 32 bytes as they are.
        let mut words = [0u8; 160];
        words[..32].copy_from_slice(&start);
        words[63] = 7;
        words[95] = 1;
        words[127] = 2;
        words[128..].fill(0xab);
        let first = keccak256(&[&words]);
        assert_eq!(transcript.challenge(), digest_to_fr(&first));
        // Without a message: 33 bytes.
        let mut bytes = [0u8; 33];
        bytes[..32].copy_from_slice(&first);
        bytes[32] = 1;
        let second = keccak256(&[&bytes]);
        assert_eq!(transcript.challenge(), digest_to_fr(&second));
        // The buffer starts afresh.
        transcript.absorb_fr(&-Fr::from(1u8));
        let mut words = [0u8; 64];
        words[..32].copy_from_slice(&second);
        words[32..].copy_from_slice(&fr_to_bytes(&-Fr::from(1u8)));
        assert_eq!(transcript.challenge(), digest_to_fr(&keccak256(&[&words])));
    }

    #[test]
    fn lists_are_their_elements() {
        let g = G1Affine::generator();
        let scalars = [3u64, 5].map(Fr::from);
        let (mut lists, mut elements) = (KeccakTranscript::new(b"domain"), KeccakTranscript::new(b"domain"));
        lists.absorb_frs(&scalars);
        lists.absorb_points(&[g, -g]);
        scalars.iter().for_each(|s| elements.absorb_fr(s));
        elements.absorb_point(&g);
        elements.absorb_point(&-g);
        assert_eq!(lists, elements);
        lists.absorb_frs(&[]);
        lists.absorb_points(&[]);
        assert_eq!(lists.challenge(), elements.challenge());
        assert_eq!(lists, elements);
    }

    #[test]
    fn every_absorbed_part_changes_the_challenge() {
        let draw = |domain: &[u8], steps: &dyn Fn(&mut KeccakTranscript)| {
            let mut transcript = KeccakTranscript::new(domain);
            steps(&mut transcript);
            transcript.challenge()
        };
        let of = |steps: &dyn Fn(&mut KeccakTranscript)| draw(b"domain", steps);
        let g = G1Affine::generator();
        let (zero, one) = (Fr::from(0u8), Fr::from(1u8));
        let draws = [
            draw(b"other", &|_| ()),
            of(&|_| ()),
            of(&|t| t.absorb_bytes(&[2; 32])),
            of(&|t| t.absorb_bytes(&[3; 32])),
            of(&|t| t.absorb_fr(&zero)),
            of(&|t| t.absorb_fr(&one)),
            of(&|t| t.absorb_frs(&[zero, one])),
            of(&|t| t.absorb_frs(&[one, zero])),
            of(&|t| t.absorb_frs(&[zero, one, zero])),
            of(&|t| t.absorb_point(&g)),
            of(&|t| t.absorb_point(&-g)),
            of(&|t| t.absorb_points(&[g, g])),
            of(&|t| t.absorb_points(&[g, -g])),
            of(&|t| {
                t.absorb_fr(&zero);
                t.absorb_point(&g);
            }),
            of(&|t| {
                t.absorb_point(&g);
                t.absorb_fr(&zero);
            }),
            of(&|t| {
                t.challenge();
            }),
            of(&|t| {
                t.challenge();
                t.challenge();
            }),
            of(&|t| {
                t.challenge();
                t.absorb_fr(&zero);
            }),
            of(&|t| {
                t.absorb_fr(&zero);
                t.challenge();
            }),
            of(&|t| {
                t.absorb_fr(&zero);
                t.challenge();
                t.absorb_fr(&one);
            }),
        ];
        for (i, a) in draws.iter().enumerate() {
            assert!(draws[..i].iter().all(|b| a != b), "draw {i} repeats an earlier one");
        }
    }

    #[test]
    fn commitments_digest_binds_every_part() {
        let g = G1Affine::generator();
        let base = commitments_digest(&[1; 32], &[g, g], &[2; 32]);
        assert_ne!(base, commitments_digest(&[0; 32], &[g, g], &[2; 32]));
        assert_ne!(base, commitments_digest(&[1; 32], &[g, g], &[0; 32]));
        assert_ne!(base, commitments_digest(&[1; 32], &[g], &[2; 32]));
        assert_ne!(base, commitments_digest(&[1; 32], &[g, -g], &[2; 32]));
        assert_eq!(digest_to_fr(&[0; 32]), Fr::from(0u8));
    }
}
