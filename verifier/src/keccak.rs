//! Keccak-256: the opening argument's Fiat-Shamir transcript and the digest that stands for a list of commitments.
//!
//! Everything hashed is a sequence of 32-byte words (except the payload of [`KeccakTranscript::absorb_bytes`]), with the
//! running state first, so a contract recomputes a step with one `keccak256` over a memory range:
//!
//! ```text
//! new(domain)            state = keccak(domain)
//! absorb(label, payload) state = keccak(state || keccak(label) || uint256(len(payload)) || payload)
//! challenge(label)       state = keccak(state || keccak(label)),  challenge = state mod r
//! ```
//!
//! An absorption hashes at least 96 bytes and a challenge exactly 64, and the payload's length is hashed, so two different
//! histories never hash the same bytes.
//!
//! **Bias.** A challenge is a 256-bit integer reduced mod r. 2^256 / r is about 5.29, so a residue has 5 or 6 preimages:
//! no event is more likely than under the uniform distribution by a factor above 6 r / 2^256 < 1.135, which costs a
//! soundness bound less than 0.19 bits.

use ark_bn254::{Fr, G1Affine};
use ark_ff::PrimeField;
use sha3::{Digest, Keccak256};

use crate::curve::{FIELD_BYTES, G1_BYTES, fr_to_bytes, g1_to_bytes};

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
    hasher.update(&length_word(rows.len(), 1));
    for row in rows {
        hasher.update(&g1_to_bytes(row));
    }
    hasher.finish()
}

/// The Fiat-Shamir transcript of the opening argument; the module header gives its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeccakTranscript {
    state: [u8; 32],
}

impl KeccakTranscript {
    /// Starts a transcript for one protocol and version.
    pub fn new(domain: &[u8]) -> Self {
        Self { state: keccak256(&[domain]) }
    }

    /// The running state, which binds everything absorbed and drawn so far.
    pub fn state(&self) -> [u8; 32] {
        self.state
    }

    /// Absorbs bytes of any length.
    pub fn absorb_bytes(&mut self, label: &str, payload: &[u8]) {
        let mut hasher = self.absorption(label, payload.len(), 1);
        hasher.update(payload);
        self.state = hasher.finish();
    }

    /// Absorbs one scalar: the same as [`Self::absorb_frs`] of a list of one.
    pub fn absorb_fr(&mut self, label: &str, value: &Fr) {
        self.absorb_frs(label, core::slice::from_ref(value));
    }

    /// Absorbs a list of scalars in one hash.
    pub fn absorb_frs(&mut self, label: &str, values: &[Fr]) {
        let mut hasher = self.absorption(label, values.len(), FIELD_BYTES);
        for value in values {
            hasher.update(&fr_to_bytes(value));
        }
        self.state = hasher.finish();
    }

    /// Absorbs one point: the same as [`Self::absorb_points`] of a list of one.
    pub fn absorb_point(&mut self, label: &str, point: &G1Affine) {
        self.absorb_points(label, core::slice::from_ref(point));
    }

    /// Absorbs a list of points, as `x || y` each, in one hash.
    pub fn absorb_points(&mut self, label: &str, points: &[G1Affine]) {
        let mut hasher = self.absorption(label, points.len(), G1_BYTES);
        for point in points {
            hasher.update(&g1_to_bytes(point));
        }
        self.state = hasher.finish();
    }

    /// Draws a challenge that depends on everything absorbed and drawn so far.
    pub fn challenge(&mut self, label: &str) -> Fr {
        self.state = keccak256(&[&self.state, &keccak256(&[label.as_bytes()])]);
        digest_to_fr(&self.state)
    }

    fn absorption(&self, label: &str, count: usize, element_bytes: usize) -> Keccak {
        let mut hasher = Keccak::default();
        hasher.update(&self.state);
        hasher.update(&keccak256(&[label.as_bytes()]));
        hasher.update(&length_word(count, element_bytes));
        hasher
    }
}

/// `count * element_bytes` as a 256-bit big-endian word. Slices in memory are shorter than 2^64 bytes.
fn length_word(count: usize, element_bytes: usize) -> [u8; 32] {
    let mut word = [0; 32];
    if let Some(low) = word.last_chunk_mut::<8>() {
        let len = u64::try_from(count.saturating_mul(element_bytes)).unwrap_or(u64::MAX);
        *low = len.to_be_bytes();
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
        let start = transcript.state();
        transcript.absorb_fr("a", &Fr::from(7u8));
        let mut words = [0u8; 128];
        words[..32].copy_from_slice(&start);
        words[32..64].copy_from_slice(&keccak256(&[b"a"]));
        words[95] = 32;
        words[127] = 7;
        assert_eq!(transcript.state(), keccak256(&[&words]));
        let before = transcript.state();
        let challenge = transcript.challenge("c");
        assert_eq!(transcript.state(), keccak256(&[&before, &keccak256(&[b"c"])]));
        assert_eq!(challenge, digest_to_fr(&transcript.state()));
    }

    #[test]
    fn every_absorbed_part_changes_the_challenge() {
        let draw = |steps: &dyn Fn(&mut KeccakTranscript)| {
            let mut transcript = KeccakTranscript::new(b"domain");
            steps(&mut transcript);
            transcript.challenge("c")
        };
        let g = G1Affine::generator();
        let draws = [
            draw(&|_| ()),
            draw(&|t| t.absorb_bytes("a", b"")),
            draw(&|t| t.absorb_bytes("b", b"")),
            draw(&|t| t.absorb_bytes("a", b"\0")),
            draw(&|t| t.absorb_fr("a", &Fr::from(0u8))),
            draw(&|t| t.absorb_fr("a", &Fr::from(1u8))),
            draw(&|t| t.absorb_frs("a", &[Fr::from(0u8), Fr::from(1u8)])),
            draw(&|t| {
                t.absorb_fr("a", &Fr::from(0u8));
                t.absorb_fr("a", &Fr::from(1u8));
            }),
            draw(&|t| t.absorb_point("a", &g)),
            draw(&|t| t.absorb_point("a", &G1Affine::identity())),
            draw(&|t| t.absorb_points("a", &[g, g])),
            draw(&|t| {
                t.challenge("c");
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
