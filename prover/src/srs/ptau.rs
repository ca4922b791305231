//! Import of ceremony files in snarkjs' `.ptau` format (perpetual powers of tau, Hermez, PSE).
//!
//! ```text
//! file     "ptau"  version u32 = 1  sections u32  section*
//! section  id u32  size u64  payload[size]
//!   1      n8 u32 = 32  prime[n8]  power u32  ceremony power u32       the prime is the *base* field's
//!   2      [tau^i]_1  for i = 0 .. 2^(power+1) - 2     64 bytes: x, y
//!   3      [tau^i]_2  for i = 0 .. 2^power - 1        128 bytes: x_re, x_im, y_re, y_im
//!   7      contributions, see `ceremony`
//!   others are not needed here
//! ```
//!
//! Integers and the prime are little-endian. Coordinates are little-endian in Montgomery form with R = 2^256, which is
//! also how the field library keeps them, so a coordinate is four limbs that must be below the prime.

use std::io::{Read, Seek, SeekFrom};

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ff::{BigInt, PrimeField};
use assay_verifier::curve::{CodecError, Field, G1_BYTES, G2_BYTES, Group};
use rayon::prelude::*;

use super::{
    MAX_POWER, Srs, SrsError,
    ceremony::{self, Contribution},
    check_power,
    verify::point_error,
};

const FORMAT: &str = "ptau";
const VERSION: u32 = 1;
const MAX_SECTIONS: u32 = 64;
const SECTION_HEADER: u64 = 4 + 8;
const HEADER: u32 = 1;
const TAU_G1: u32 = 2;
const TAU_G2: u32 = 3;
const CONTRIBUTIONS: u32 = 7;
const HEADER_BYTES: u64 = 4 + 32 + 4 + 4;
/// Points read and checked at a time.
const CHUNK: usize = 1 << 13;

struct Section {
    id: u32,
    start: u64,
    size: u64,
}

/// What a ceremony's file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceremony {
    /// The powers.
    pub srs: Srs,
    /// Who contributed, by the file's own account, in order; at least one is no beacon.
    pub contributions: Vec<Contribution>,
}

/// Reads the first `2^max_power` powers (fewer when the ceremony is smaller) from a `.ptau` file and checks them with
/// [`Srs::verify`]; then the list of contributions, the last of which must be the one that the powers are of.
///
/// # Errors
/// A file that is not a whole `.ptau` over BN254, points that are not canonical or not in their groups, points that are
/// not consecutive powers of one tau, or a tau that follows from public data.
pub fn import_ptau(mut input: impl Read + Seek, max_power: u32) -> Result<Ceremony, SrsError> {
    check_power(max_power, MAX_POWER)?;
    let sections = read_sections(&mut input)?;
    let power = read_header(&mut input, &sections)?;

    let g1_size = ((2u64 << power) - 1) * G1_BYTES as u64;
    let g1 = find(&sections, TAU_G1)?;
    check_size("ptau section 2 (tau G1)", g1_size, g1.size)?;
    let g2_size = (1u64 << power) * G2_BYTES as u64;
    let g2 = find(&sections, TAU_G2)?;
    check_size("ptau section 3 (tau G2)", g2_size, g2.size)?;

    let kept = power.min(max_power);
    input.seek(SeekFrom::Start(g1.start))?;
    let g1_powers = read_g1(&mut input, 1 << kept)?;
    input.seek(SeekFrom::Start(g2.start))?;
    if power == 0 {
        return Err(SrsError::Degenerate("there is no second power"));
    }
    let [one, tau] = [read_g2(&mut input, 0)?, read_g2(&mut input, 1)?];
    let srs = Srs::new(g1_powers, one, tau, false);
    srs.verify()?;
    let section = find(&sections, CONTRIBUTIONS)?;
    input.seek(SeekFrom::Start(section.start))?;
    let contributions = ceremony::read(&mut input, section.size)?;
    if let Some((g1, g2)) = contributions.last
        && (parse_g1(&g1).ok().as_ref() != srs.g1_powers.get(1) || parse_g2(&g2).ok() != Some(srs.tau_g2))
    {
        return Err(SrsError::Contributions("the last one is not the one that these powers come from"));
    }
    let contributions = contributions.list;
    if contributions.iter().all(|c| c.beacon) {
        return Err(SrsError::NoSecret { beacons: contributions.len() });
    }
    Ok(Ceremony { srs, contributions })
}

/// The section table. Every section must lie inside of the file, and the last one ends it.
fn read_sections(input: &mut (impl Read + Seek)) -> Result<Vec<Section>, SrsError> {
    let file_size = input.seek(SeekFrom::End(0))?;
    input.rewind()?;
    let mut magic = [0; 4];
    let mut at = 12;
    check_size_at_least("ptau file", at, file_size)?;
    input.read_exact(&mut magic)?;
    if &magic != b"ptau" {
        return Err(SrsError::Magic { format: FORMAT, got: magic.to_vec() });
    }
    let version = read_u32(input)?;
    if version != VERSION {
        return Err(SrsError::Version { format: FORMAT, expected: VERSION, got: version });
    }
    let count = read_u32(input)?;
    if count > MAX_SECTIONS {
        return Err(SrsError::SectionCount { limit: MAX_SECTIONS, got: count });
    }
    let mut sections = Vec::new();
    for _ in 0..count {
        check_size_at_least("ptau section header", at + SECTION_HEADER, file_size)?;
        input.seek(SeekFrom::Start(at))?;
        let id = read_u32(input)?;
        let size = u64::from(read_u32(input)?) | u64::from(read_u32(input)?) << 32;
        let start = at + SECTION_HEADER;
        at = start.saturating_add(size);
        check_size_at_least("ptau section", at, file_size)?;
        sections.push(Section { id, start, size });
    }
    check_size("ptau file", at, file_size)?;
    Ok(sections)
}

/// The ceremony's power of two, from a header that names BN254.
fn read_header(input: &mut (impl Read + Seek), sections: &[Section]) -> Result<u32, SrsError> {
    let header = find(sections, HEADER)?;
    check_size("ptau section 1 (header)", HEADER_BYTES, header.size)?;
    input.seek(SeekFrom::Start(header.start))?;
    let prime_bytes = read_u32(input)?;
    let mut prime = [0; 32];
    input.read_exact(&mut prime)?;
    if prime_bytes != 32 || limbs(&prime) != Fq::MODULUS {
        return Err(SrsError::WrongCurve);
    }
    let power = read_u32(input)?;
    check_power(power, MAX_POWER)?;
    Ok(power)
}

fn find(sections: &[Section], id: u32) -> Result<&Section, SrsError> {
    let mut found = sections.iter().filter(|section| section.id == id);
    match (found.next(), found.count()) {
        (Some(section), 0) => Ok(section),
        (first, more) => Err(SrsError::Section { id, got: usize::from(first.is_some()) + more }),
    }
}

/// `count` points of section 2, whose size has been checked against the file's.
fn read_g1(input: &mut impl Read, count: usize) -> Result<Vec<G1Affine>, SrsError> {
    let mut points = Vec::with_capacity(count);
    let mut bytes = vec![0; G1_BYTES * count.min(CHUNK)];
    while points.len() < count {
        let here = (count - points.len()).min(CHUNK);
        let bytes = &mut bytes[..G1_BYTES * here];
        input.read_exact(bytes)?;
        let (chunks, _) = bytes.as_chunks::<G1_BYTES>();
        let first = points.len();
        let chunk: Result<Vec<G1Affine>, SrsError> = chunks
            .par_iter()
            .enumerate()
            .with_min_len(512)
            .map(|(i, chunk)| parse_g1(chunk).map_err(|source| point_error("tau G1", first + i, source)))
            .collect();
        points.extend(chunk?);
    }
    Ok(points)
}

fn parse_g1(bytes: &[u8; G1_BYTES]) -> Result<G1Affine, CodecError> {
    let [x, y] = coordinates(bytes)?;
    let point = G1Affine::new_unchecked(x, y);
    // (0, 0) stands for infinity, which is no power of tau.
    if point == G1Affine::identity() || !point.is_on_curve() {
        return Err(CodecError::OffCurve(Group::G1));
    }
    Ok(point)
}

fn read_g2(input: &mut impl Read, index: usize) -> Result<G2Affine, SrsError> {
    let mut bytes = [0; G2_BYTES];
    input.read_exact(&mut bytes)?;
    parse_g2(&bytes).map_err(|source| point_error("tau G2", index, source))
}

fn parse_g2(bytes: &[u8; G2_BYTES]) -> Result<G2Affine, CodecError> {
    let [x_re, x_im, y_re, y_im] = coordinates(bytes)?;
    let point = G2Affine::new_unchecked(Fq2::new(x_re, x_im), Fq2::new(y_re, y_im));
    if point == G2Affine::identity() || !point.is_on_curve() {
        return Err(CodecError::OffCurve(Group::G2));
    }
    if !point.is_in_correct_subgroup_assuming_on_curve() {
        return Err(CodecError::OutsideSubgroup(Group::G2));
    }
    Ok(point)
}

/// Coordinates in Montgomery form.
fn coordinates<const N: usize>(bytes: &[u8]) -> Result<[Fq; N], CodecError> {
    let (chunks, _) = bytes.as_chunks::<32>();
    let mut out = [Fq::new_unchecked(BigInt::zero()); N];
    for (out, chunk) in out.iter_mut().zip(chunks) {
        let montgomery = limbs(chunk);
        if montgomery >= Fq::MODULUS {
            return Err(CodecError::NonCanonical(Field::Base));
        }
        *out = Fq::new_unchecked(montgomery);
    }
    Ok(out)
}

fn limbs(bytes: &[u8; 32]) -> BigInt<4> {
    let (words, _) = bytes.as_chunks::<8>();
    let mut limbs = [0; 4];
    for (limb, word) in limbs.iter_mut().zip(words) {
        *limb = u64::from_le_bytes(*word);
    }
    BigInt(limbs)
}

fn read_u32(input: &mut impl Read) -> Result<u32, SrsError> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn check_size(what: &'static str, expected: u64, got: u64) -> Result<(), SrsError> {
    if expected == got { Ok(()) } else { Err(SrsError::Size { what, expected, got }) }
}

fn check_size_at_least(what: &'static str, expected: u64, got: u64) -> Result<(), SrsError> {
    if expected <= got { Ok(()) } else { Err(SrsError::Size { what, expected, got }) }
}
