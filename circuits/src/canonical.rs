//! Canonical bytes: one value, one encoding.
//!
//! The encoding is postcard (fixed field order, varint integers). Decoding is strict: all bytes must be used, and the
//! decoded value must encode to the very same bytes, which rules out over-long varints and other aliases.

use crate::{
    error::GraphError,
    parallel::{PART, on_all_threads},
};
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

/// Appends the canonical encoding of a length.
fn put_length(out: &mut Vec<u8>, mut n: u64) {
    while n > 0x7f {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The canonical encoding of lists of 32-bit integers, in parts: as [`to_bytes`] of a `Vec<Vec<i32>>` has it, without making
/// one.
///
/// # Errors
/// The first value beyond 32 bits.
pub(crate) fn integers<'l>(lists: impl ExactSizeIterator<Item = &'l [i64]>) -> Result<Vec<Vec<u8>>, GraphError> {
    let mut count = Vec::new();
    put_length(&mut count, lists.len() as u64);
    // The length of a list goes with its first part.
    let parts: Vec<(Option<usize>, &[i64])> = lists
        .flat_map(|list| {
            let head = list.split_at(list.len().min(PART));
            std::iter::once((Some(list.len()), head.0)).chain(head.1.chunks(PART).map(|part| (None, part)))
        })
        .collect();
    let encoded = on_all_threads(&parts, |(length, part)| {
        let mut out = Vec::with_capacity(2 * part.len() + 16);
        if let Some(n) = length {
            put_length(&mut out, *n as u64);
        }
        for v in *part {
            let v = i32::try_from(*v).map_err(|_| GraphError::OutOfRange {
                value: *v,
                lo: i128::from(i32::MIN),
                hi: i128::from(i32::MAX),
            })?;
            // Zigzag: the sign is the lowest bit.
            let z = ((v << 1) ^ (v >> 31)) as u32;
            match z {
                0..0x80 => out.push(z as u8),
                0x80..0x4000 => out.extend_from_slice(&[z as u8 | 0x80, (z >> 7) as u8]),
                _ => put_length(&mut out, u64::from(z)),
            }
        }
        Ok(out)
    });
    std::iter::once(Ok(count)).chain(encoded).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_are_encoded_as_lists_are(
            lists in prop::collection::vec(prop::collection::vec((any::<i32>(), 0u32..32).prop_map(|(v, s)| v >> s), 0..200), 0..5),
        ) {
            let wide: Vec<Vec<i64>> = lists.iter().map(|l| l.iter().map(|v| i64::from(*v)).collect()).collect();
            prop_assert_eq!(integers(wide.iter().map(Vec::as_slice)).unwrap().concat(), to_bytes(&lists).unwrap());
        }
    }

    #[test]
    fn integers_at_the_ends_of_a_length() {
        for n in [0, 127, 128, 16_383, 16_384] {
            let (narrow, wide) = (vec![vec![-1i32; n]], vec![-1i64; n]);
            assert_eq!(integers([wide.as_slice()].into_iter()).unwrap().concat(), to_bytes(&narrow).unwrap(), "{n}");
        }
        for v in [i32::MIN, i32::MAX, 63, 64, -64, -65, 8191, 8192, -8192, -8193] {
            assert_eq!(
                integers([[i64::from(v)].as_slice()].into_iter()).unwrap().concat(),
                to_bytes(&vec![vec![v]]).unwrap(),
                "{v}"
            );
        }
        for v in [i64::from(i32::MAX) + 1, i64::from(i32::MIN) - 1, i64::MIN] {
            assert!(
                matches!(integers([[v].as_slice()].into_iter()), Err(GraphError::OutOfRange { value, .. }) if value == v)
            );
        }
    }
}
