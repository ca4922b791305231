//! The files of the keys and of the proofs of a split model (docs/protocol.md#segments-files).
//!
//! ```text
//! magic "ASSAYSGK" (keys) or "ASSAYSGP" (proofs) | u16 version | u8 kind (0 = core, 1 = settled) | u32 n
//!   | n x (u32 length, key file or proof file)
//! ```
//! Integers are big-endian.

use super::{SegmentKeys, SegmentProofs};
use crate::{
    CoreProof, VerifyingKey,
    curve::{CodecError, Reader},
    key::KeyError,
    proof::{ProofError, count_bytes},
    settle::key::{SettledProof, SettlementError, SettlementKey},
};
use assay_circuits::{GraphError, split::MAX_SEGMENTS};

/// First bytes of a file of keys.
pub const KEYS_MAGIC: &[u8; 8] = b"ASSAYSGK";
/// First bytes of a file of proofs.
pub const PROOFS_MAGIC: &[u8; 8] = b"ASSAYSGP";
/// Version of both formats.
pub const VERSION: u16 = 1;
/// Most bytes of either file, and of each part.
pub const MAX_FILE_BYTES: usize = 1 << 30;

/// Why bytes are no keys or proofs of segments.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SegmentsFileError {
    /// Other magic bytes.
    #[error("not a file of segments: expected the first bytes '{0}'")]
    Magic(&'static str),
    /// Another version.
    #[error("segments of format version {got}; this program reads version {VERSION}")]
    Version {
        /// Version found.
        got: u16,
    },
    /// Neither core nor settled.
    #[error("segments of kind {0}; there are core (0) and settled (1) ones")]
    Kind(u8),
    /// Truncated, too long, or too many parts.
    #[error("not a file of segments: {0}")]
    Codec(#[from] CodecError),
    /// A part that is no key.
    #[error("segment {segment}: {source}")]
    Key {
        /// The segment, from 1.
        segment: usize,
        /// Why.
        source: KeyError,
    },
    /// A part that is no core proof.
    #[error("segment {segment}: {source}")]
    Proof {
        /// The segment, from 1.
        segment: usize,
        /// Why.
        source: ProofError,
    },
    /// A part that is no settlement key or settled proof.
    #[error("segment {segment}: {source}")]
    Settled {
        /// The segment, from 1.
        segment: usize,
        /// Why.
        source: SettlementError,
    },
}

const CORE: u8 = 0;
const SETTLED: u8 = 1;

fn write(magic: &[u8; 8], kind: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(&count_bytes(parts.len()));
    for part in parts {
        out.extend_from_slice(&count_bytes(part.len()));
        out.extend_from_slice(part);
    }
    out
}

fn read<'a>(magic: &[u8; 8], name: &'static str, bytes: &'a [u8]) -> Result<(bool, Vec<&'a [u8]>), SegmentsFileError> {
    let mut r = Reader::new(bytes);
    if r.slice(magic.len()).ok() != Some(magic.as_slice()) {
        return Err(SegmentsFileError::Magic(name));
    }
    let version = u16::from_be_bytes(r.array()?);
    if version != VERSION {
        return Err(SegmentsFileError::Version { got: version });
    }
    let kind = r.u8()?;
    if kind != CORE && kind != SETTLED {
        return Err(SegmentsFileError::Kind(kind));
    }
    let n = r.count(MAX_SEGMENTS, 4)?;
    let mut parts = Vec::with_capacity(n);
    for _ in 0..n {
        let n = r.count(MAX_FILE_BYTES, 1)?;
        parts.push(r.slice(n)?);
    }
    r.finish()?;
    Ok((kind == SETTLED, parts))
}

/// Decodes all parts; `wrong` says which is none.
fn each<T, E>(
    parts: &[&[u8]],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    wrong: impl Fn(usize, E) -> SegmentsFileError,
) -> Result<Vec<T>, SegmentsFileError> {
    parts.iter().enumerate().map(|(k, part)| decode(part).map_err(|e| wrong(k + 1, e))).collect()
}

fn settled(segment: usize, source: SettlementError) -> SegmentsFileError {
    SegmentsFileError::Settled { segment, source }
}

impl SegmentKeys {
    /// The file.
    ///
    /// # Errors
    /// Never for keys that were made or decoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, GraphError> {
        let (kind, parts) = match self {
            Self::Core(keys) => (CORE, keys.iter().map(VerifyingKey::to_bytes).collect::<Result<Vec<_>, _>>()?),
            Self::Settled(keys) => (SETTLED, keys.iter().map(SettlementKey::to_bytes).collect::<Result<Vec<_>, _>>()?),
        };
        Ok(write(KEYS_MAGIC, kind, &parts))
    }

    /// Decodes a file; every byte must be used. What the keys are is not checked here: see [`SegmentKeys::wires`] and
    /// [`SegmentKeys::check_registrations`].
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SegmentsFileError> {
        let (is_settled, parts) = read(KEYS_MAGIC, "ASSAYSGK", bytes)?;
        if is_settled {
            return Ok(Self::Settled(each(&parts, SettlementKey::from_bytes, settled)?));
        }
        let wrong = |segment, source| SegmentsFileError::Key { segment, source };
        Ok(Self::Core(each(&parts, VerifyingKey::from_bytes, wrong)?))
    }
}

impl SegmentProofs {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, parts) = match self {
            Self::Core(proofs) => (CORE, proofs.iter().map(CoreProof::to_bytes).collect::<Vec<_>>()),
            Self::Settled(proofs) => (SETTLED, proofs.iter().map(SettledProof::to_bytes).collect()),
        };
        write(PROOFS_MAGIC, kind, &parts)
    }

    /// Decodes a file; every byte must be used.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SegmentsFileError> {
        let (is_settled, parts) = read(PROOFS_MAGIC, "ASSAYSGP", bytes)?;
        if is_settled {
            return Ok(Self::Settled(each(&parts, SettledProof::from_bytes, settled)?));
        }
        let wrong = |segment, source| SegmentsFileError::Proof { segment, source };
        Ok(Self::Core(each(&parts, CoreProof::from_bytes, wrong)?))
    }
}
