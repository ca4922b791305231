//! Canonical bytes: one value, one encoding.
//!
//! The encoding is postcard (fixed field order, varint integers). Decoding is strict: all bytes must be used, and the
//! decoded value must encode to the very same bytes, which rules out over-long varints and other aliases.

use crate::{
    error::GraphError,
    parallel::{PART, on_all_threads},
    tensor::inside,
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
/// one. `check` sees all values first, part by part, with the number of their list.
///
/// # Errors
/// The first value beyond 32 bits; what `check` says.
pub(crate) fn integers<'l>(
    lists: impl ExactSizeIterator<Item = &'l [i64]>,
    check: impl Fn(usize, &[i64]) -> Result<(), GraphError> + Sync + Send,
) -> Result<Vec<Vec<u8>>, GraphError> {
    let mut count = Vec::new();
    put_length(&mut count, lists.len() as u64);
    // The length of a list goes with its first part.
    let parts: Vec<(usize, Option<usize>, &[i64])> = lists
        .enumerate()
        .flat_map(|(k, list)| {
            let head = list.split_at(list.len().min(PART));
            std::iter::once((k, Some(list.len()), head.0)).chain(head.1.chunks(PART).map(move |part| (k, None, part)))
        })
        .collect();
    let encoded = on_all_threads(&parts, |(list, length, part)| {
        check(*list, part)?;
        let mut out = Vec::with_capacity(2 * part.len() + 16);
        if let Some(n) = length {
            put_length(&mut out, *n as u64);
        }
        if inside(part, -SHORT, SHORT - 1) {
            put_short(&mut out, part);
            return Ok(out);
        }
        for v in *part {
            let v = i32::try_from(*v).map_err(|_| GraphError::OutOfRange {
                value: *v,
                lo: i128::from(i32::MIN),
                hi: i128::from(i32::MAX),
            })?;
            // Zigzag: the sign is the lowest bit.
            put_length(&mut out, u64::from(((v << 1) ^ (v >> 31)) as u32));
        }
        Ok(out)
    });
    std::iter::once(Ok(count)).chain(encoded).collect()
}

/// What takes two bytes at most is less than this, and not less than its negative.
const SHORT: i64 = 1 << 13;

/// Appends the encodings of such integers.
fn put_short(out: &mut Vec<u8>, values: &[i64]) {
    let mut at = out.len();
    // A byte more than can be needed: two are always written, and only as many counted as there are.
    out.resize(at + 2 * values.len() + 1, 0);
    for v in values {
        let z = ((v << 1) ^ (v >> 63)) as u16;
        let long = u16::from(z > 0x7f);
        let bytes = (z & 0x7f) | (long << 7) | (z >> 7 << 8);
        out[at..at + 2].copy_from_slice(&bytes.to_le_bytes());
        at += 1 + usize::from(long);
    }
    out.truncate(at);
}

/// Keccak-256 of a domain tag and parts, each part preceded by its length.
pub fn digest(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    digest_in_pieces(domain, parts.iter().map(std::slice::from_ref))
}

/// [`digest`] of parts that lie in pieces.
pub(crate) fn digest_in_pieces<'p, P: AsRef<[u8]> + 'p>(
    domain: &str,
    parts: impl IntoIterator<Item = &'p [P]>,
) -> [u8; 32] {
    let mut h = Keccak256::new();
    h.update((domain.len() as u64).to_be_bytes());
    h.update(domain.as_bytes());
    for pieces in parts {
        h.update((pieces.iter().map(|p| p.as_ref().len() as u64).sum::<u64>()).to_be_bytes());
        pieces.iter().for_each(|p| h.update(p));
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
            prop_assert_eq!(integers(wide.iter().map(Vec::as_slice), |_, _| Ok(())).unwrap().concat(), to_bytes(&lists).unwrap());
        }
    }

    proptest! {
        /// Small ones, which are encoded in another way where no other ones are beside them.
        #[test]
        fn small_integers_are_encoded_as_lists_are(
            lists in prop::collection::vec(prop::collection::vec((-9000i32..9000, 0u32..14).prop_map(|(v, s)| v >> s), 0..40), 0..5),
        ) {
            let wide: Vec<Vec<i64>> = lists.iter().map(|l| l.iter().map(|v| i64::from(*v)).collect()).collect();
            let seen = std::sync::Mutex::new(vec![0; lists.len()]);
            let made = integers(wide.iter().map(Vec::as_slice), |k, part| {
                seen.lock().unwrap()[k] += part.len();
                Ok(())
            });
            prop_assert_eq!(made.unwrap().concat(), to_bytes(&lists).unwrap());
            prop_assert_eq!(seen.into_inner().unwrap(), lists.iter().map(Vec::len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn integers_at_the_ends_of_a_length() {
        for n in [0, 127, 128, 16_383, 16_384] {
            let (narrow, wide) = (vec![vec![-1i32; n]], vec![-1i64; n]);
            assert_eq!(
                integers([wide.as_slice()].into_iter(), |_, _| Ok(())).unwrap().concat(),
                to_bytes(&narrow).unwrap(),
                "{n}"
            );
        }
        for v in [i32::MIN, i32::MAX, 63, 64, -64, -65, 8191, 8192, -8192, -8193] {
            assert_eq!(
                integers([[i64::from(v)].as_slice()].into_iter(), |_, _| Ok(())).unwrap().concat(),
                to_bytes(&vec![vec![v]]).unwrap(),
                "{v}"
            );
        }
        for v in [i64::from(i32::MAX) + 1, i64::from(i32::MIN) - 1, i64::MIN] {
            assert!(
                matches!(integers([[v].as_slice()].into_iter(), |_, _| Ok(())), Err(GraphError::OutOfRange { value, .. }) if value == v)
            );
        }
    }
}
