//! Who made a ceremony's powers, as its file tells it: section 7 of a `.ptau` file.
//!
//! ```text
//! section 7   count u32  contribution*
//! contribution
//!   [tau]_1 64  [tau]_2 128  [alpha]_1 64  [beta]_1 64  [beta]_2 128      after this contribution
//!   key of the contribution   6 points in G1, 3 in G2
//!   state of the hash 216   next challenge 64
//!   kind u32 (0 = secret, 1 = beacon)   size u32, parameters: 1 n name[n] | 2 iterations | 3 n beacon hash[n]
//! ```
//!
//! The list is what the file's maker wrote. That each entry was made by somebody else, who forgot a secret, is what a
//! ceremony's published record shows and no file can: `snarkjs powersoftau verify` checks the chain of hashes.

use super::SrsError;
use assay_verifier::curve::{G1_BYTES, G2_BYTES};
use std::io::Read;

/// Bytes of a contribution before its parameters.
const FIXED: u64 = 9 * G1_BYTES as u64 + 5 * G2_BYTES as u64 + 216 + 64 + 4 + 4;
/// Most entries that are read; the largest public ceremony has fewer than 200.
const MAX_CONTRIBUTIONS: u32 = 1 << 12;

/// One entry of a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// What its maker called it; may be empty.
    pub name: String,
    /// Whether it is a public beacon, whose factor anybody can compute, and no secret.
    pub beacon: bool,
}

/// The list of contributions, and `[tau]_1`, `[tau]_2` after the last one as they are in the file.
pub(super) struct Contributions {
    pub(super) list: Vec<Contribution>,
    pub(super) last: Option<([u8; G1_BYTES], [u8; G2_BYTES])>,
}

fn bad(what: &'static str) -> SrsError {
    SrsError::Contributions(what)
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|w| u32::from_le_bytes(*w))
}

/// Reads a section of `size` bytes, from its start.
pub(super) fn read(input: &mut impl Read, size: u64) -> Result<Contributions, SrsError> {
    let mut rest = size.checked_sub(4).ok_or_else(|| bad("the section is too short"))?;
    let mut count = [0; 4];
    input.read_exact(&mut count)?;
    let count = u32::from_le_bytes(count);
    if count > MAX_CONTRIBUTIONS || u64::from(count).saturating_mul(FIXED) > rest {
        return Err(bad("there are fewer than it says"));
    }
    let mut out = Contributions { list: Vec::new(), last: None };
    for _ in 0..count {
        rest = rest.checked_sub(FIXED).ok_or_else(|| bad("the last one is cut off"))?;
        let mut fixed = [0; FIXED as usize];
        input.read_exact(&mut fixed)?;
        let (points, tail) = fixed.split_at(fixed.len() - 8);
        let (Some(kind), Some(parameters)) = (word(tail), word(&tail[4..])) else {
            return Err(bad("one is cut off"));
        };
        rest = rest.checked_sub(u64::from(parameters)).ok_or_else(|| bad("the parameters of one are cut off"))?;
        // A name and a hash of at most 255 bytes each.
        if parameters > 1024 {
            return Err(bad("the parameters of one are too long"));
        }
        let mut buffer = vec![0; parameters as usize];
        input.read_exact(&mut buffer)?;
        out.list.push(Contribution { name: name(&buffer)?, beacon: kind != 0 });
        let (tau_g1, behind) = points.split_at(G1_BYTES);
        if let (Some(g1), Some(g2)) = (tau_g1.first_chunk(), behind.first_chunk()) {
            out.last = Some((*g1, *g2));
        }
    }
    if rest > 0 {
        return Err(bad("there are more than it says"));
    }
    Ok(out)
}

/// The name among the parameters of a contribution, without control characters.
fn name(mut bytes: &[u8]) -> Result<String, SrsError> {
    let mut name = String::new();
    while let Some((kind, rest)) = bytes.split_first() {
        let (n, rest) = match kind {
            1 | 3 => rest.split_first().map(|(n, rest)| (usize::from(*n), rest)),
            2 => Some((1, rest)),
            _ => None,
        }
        .ok_or_else(|| bad("the parameters of one are of an unknown kind"))?;
        let (value, rest) = rest.split_at_checked(n).ok_or_else(|| bad("the parameters of one are cut off"))?;
        if *kind == 1 {
            name = String::from_utf8_lossy(value).chars().filter(|c| !c.is_control()).collect();
        }
        bytes = rest;
    }
    Ok(name)
}
