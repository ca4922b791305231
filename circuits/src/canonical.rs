//! Canonical bytes: one value, one encoding.
//!
//! The encoding is postcard (fixed field order, varint integers). Decoding is strict: all bytes must be used, and the
//! decoded value must encode to the very same bytes, which rules out over-long varints and other aliases.

use crate::error::GraphError;
use serde::{Serialize, de::DeserializeOwned};
use sha3::{Digest, Keccak256};

/// The canonical encoding of a value.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, GraphError> {
    postcard::to_allocvec(value).map_err(|e| GraphError::Encoding(e.to_string()))
}

/// The value of a canonical encoding; rejects trailing bytes and aliases.
pub fn from_bytes<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, GraphError> {
    let (value, rest) = postcard::take_from_bytes::<T>(bytes).map_err(|e| GraphError::Encoding(e.to_string()))?;
    if !rest.is_empty() {
        return Err(GraphError::Encoding(format!("{} trailing bytes", rest.len())));
    }
    if to_bytes(&value)? != bytes {
        return Err(GraphError::Encoding("an alias of another encoding".to_owned()));
    }
    Ok(value)
}

/// Keccak-256 of a domain tag and parts, each part preceded by its length.
pub fn digest(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut h = Keccak256::new();
    h.update((domain.len() as u64).to_be_bytes());
    h.update(domain.as_bytes());
    for p in parts {
        h.update((p.len() as u64).to_be_bytes());
        h.update(p);
    }
    h.finalize().into()
}
