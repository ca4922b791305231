//! Powers of tau: the one setup that every commitment, opening and settlement proof uses.
//!
//! [`Srs::development`] makes powers whose tau anybody can compute: for tests and local chains, and marked so in every
//! artefact. [`import_ptau`] takes them from a public ceremony. [`Srs::write`] and [`Srs::read`] keep them in a file that
//! is checked while it is read and may be read in part.

mod ceremony;
mod development;
mod file;
mod lagrange;
mod ptau;
#[cfg(test)]
mod tests;
mod verify;

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;
use assay_verifier::{curve::CodecError, opening::VerifierSrs};
use thiserror::Error;

pub use ceremony::Contribution;
pub use development::DEVELOPMENT_SEED;
use development::development_tau;
pub use ptau::{Ceremony, import_ptau};

/// The largest power of two of G1 points that any public ceremony offers.
pub const MAX_POWER: u32 = 28;

/// Powers that wear no mark and should.
const UNMARKED: &str = "tau is that of development powers, which everybody can compute";

/// Powers of tau in G1, and `[1]_2`, `[tau]_2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srs {
    /// `[tau^i]_1` for i from 0.
    pub g1_powers: Vec<G1Affine>,
    /// `[1]_2`.
    pub g2: G2Affine,
    /// `[tau]_2`.
    pub tau_g2: G2Affine,
    /// Whether tau is known: proofs under such powers prove nothing to anyone else.
    pub insecure_dev: bool,
    /// Identity of the setup: a hash of the generators, `[tau]_2` and the insecure mark. The powers follow from those, so
    /// it is the same however many of them are kept.
    pub hash: [u8; 32],
    /// Lagrange bases.
    known: lagrange::Known,
}

/// Why powers of tau were refused.
#[derive(Debug, Error)]
pub enum SrsError {
    /// The file could not be read or written.
    #[error("powers of tau: {0}")]
    Io(#[from] std::io::Error),
    /// A point that is not canonical, not on its curve or not in its group.
    #[error("{what} {index}: {source}")]
    Point {
        /// Which list.
        what: &'static str,
        /// Position in the list.
        index: usize,
        /// What is wrong with it.
        source: CodecError,
    },
    /// A header whose fields are not canonical.
    #[error("powers of tau file: {0}")]
    Header(#[from] CodecError),
    /// The file is of another kind.
    #[error("not a {format} file: starts with {got:02x?}")]
    Magic {
        /// The format expected.
        format: &'static str,
        /// The file's first bytes.
        got: Vec<u8>,
    },
    /// A version that this program does not read.
    #[error("{format} version: expected {expected}, got {got}")]
    Version {
        /// The format's name.
        format: &'static str,
        /// The version that is read.
        expected: u32,
        /// The file's.
        got: u32,
    },
    /// A file or section whose size does not agree with its header.
    #[error("{what}: expected {expected} bytes, got {got}")]
    Size {
        /// What is measured.
        what: &'static str,
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// A `.ptau` section that is absent or there twice.
    #[error("ptau section {id}: expected once, found {got} times")]
    Section {
        /// The section's number.
        id: u32,
        /// How often it is there.
        got: usize,
    },
    /// A `.ptau` file with more sections than the format has.
    #[error("ptau file claims {got} sections, the limit is {limit}")]
    SectionCount {
        /// The limit.
        limit: u32,
        /// The claim.
        got: u32,
    },
    /// A ceremony over another curve.
    #[error("the ceremony's prime is not BN254's base field")]
    WrongCurve,
    /// A size that is not allowed or not available.
    #[error("power of two: at most {limit}, got {got}")]
    Power {
        /// The most there is.
        limit: u32,
        /// What was asked for or claimed.
        got: u32,
    },
    /// The points' bytes are not the ones that the header's hash was made of.
    #[error("content hash of the first 2^{power} powers does not match: the file is damaged")]
    ContentHash {
        /// The prefix that was read.
        power: u32,
    },
    /// The first power is not the standard generator.
    #[error("the first power in {0} is not the standard generator")]
    Generator(&'static str),
    /// tau follows from public data (0, 1, a small number, of small order, that of development powers), or there is no second
    /// power.
    #[error("degenerate powers of tau: {0}")]
    Degenerate(&'static str),
    /// The identity hash does not belong to the points.
    #[error("identity hash of the powers of tau does not match their points")]
    Identity,
    /// The list of a ceremony's contributions is not what it must be.
    #[error("the ceremony's list of contributions: {0}")]
    Contributions(&'static str),
    /// A ceremony to which nobody brought a secret.
    #[error(
        "nobody brought a secret to this ceremony: it has {beacons} public beacons and no other contribution, so anybody can compute tau"
    )]
    NoSecret {
        /// Beacons, which are public.
        beacons: usize,
    },
    /// The pairing check failed.
    #[error("the points are not consecutive powers of the tau in G2")]
    NotConsecutive,
}

impl Srs {
    fn new(g1_powers: Vec<G1Affine>, g2: G2Affine, tau_g2: G2Affine, insecure_dev: bool) -> Self {
        let hash = VerifierSrs::identity(&g2, &tau_g2, insecure_dev);
        Self { g1_powers, g2, tau_g2, insecure_dev, hash, known: lagrange::Known::default() }
    }

    /// The largest k for which all of the first 2^k powers are there; the list is never empty.
    pub fn power(&self) -> u32 {
        self.g1_powers.len().max(1).ilog2()
    }

    /// Keeps the first `2^power` powers.
    ///
    /// # Errors
    /// [`SrsError::Power`] when there are not that many.
    pub fn prune(&mut self, power: u32) -> Result<(), SrsError> {
        if power > self.power() {
            return Err(SrsError::Power { limit: self.power(), got: power });
        }
        self.g1_powers.truncate(1 << power);
        self.g1_powers.shrink_to_fit();
        Ok(())
    }

    /// What the verifier keeps.
    pub fn verifier(&self) -> VerifierSrs {
        VerifierSrs {
            g1: G1Affine::generator(),
            g2: self.g2,
            tau_g2: self.tau_g2,
            insecure_dev: self.insecure_dev,
            srs_hash: self.hash,
        }
    }
}

fn check_power(power: u32, limit: u32) -> Result<(), SrsError> {
    if power > limit { Err(SrsError::Power { limit, got: power }) } else { Ok(()) }
}
