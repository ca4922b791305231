//! The powers-of-tau file.
//!
//! ```text
//! magic            8   "ASSAYSRS"
//! version          4   big-endian, 1
//! power            4   big-endian; 2^power points follow the header
//! insecure mark    1   0 or 1
//! [1]_2, [tau]_2 256   canonical points
//! identity        32   the setup's identity hash
//! prefix hashes   32 (power + 1)   entry k is the Keccak-256 of the first 2^k points
//! points          64 2^power       [tau^i]_1, canonical
//! ```
//!
//! A reader that wants 2^k points reads the header and those points only, and still checks every byte that it uses. The
//! hashes find damage, not malice: whoever can write the file can write its hashes. [`Srs::verify`] is the check that
//! needs no trust, and takes far longer.

use std::io::{Read, Seek, SeekFrom, Write};

use ark_bn254::G1Affine;
use assay_verifier::opening::{VerifierSrs, is_development};
use assay_verifier::{
    curve::{CodecError, G1_BYTES, G2_BYTES, Reader, g1_from_bytes, g1_to_bytes, g2_to_bytes},
    keccak::Keccak,
};
use rayon::prelude::*;

use super::{MAX_POWER, Srs, SrsError, UNMARKED, check_power, lagrange::Known, verify::point_error};

const MAGIC: &[u8; 8] = b"ASSAYSRS";
const VERSION: u32 = 1;
const FORMAT: &str = "Assay powers of tau";
/// Bytes before the prefix hashes.
const FIXED_HEADER: usize = 8 + 4 + 4 + 1 + 2 * G2_BYTES + 32;
/// Points read and checked at a time.
const CHUNK: usize = 1 << 13;

impl Srs {
    /// Writes the first `2^power` powers, where `power` is [`Self::power`].
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> Result<(), SrsError> {
        let power = self.power();
        let points: Vec<u8> = self.g1_powers.par_iter().take(1 << power).flat_map_iter(g1_to_bytes).collect();
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_be_bytes())?;
        out.write_all(&power.to_be_bytes())?;
        out.write_all(&[u8::from(self.insecure_dev)])?;
        out.write_all(&g2_to_bytes(&self.g2))?;
        out.write_all(&g2_to_bytes(&self.tau_g2))?;
        out.write_all(&self.hash)?;
        let mut hasher = Keccak::default();
        let mut hashed = 0;
        for k in 0..=power {
            let end = G1_BYTES << k;
            hasher.update(&points[hashed..end]);
            out.write_all(&hasher.clone().finish())?;
            hashed = end;
        }
        out.write_all(&points)?;
        Ok(out.flush()?)
    }

    /// Reads a file from its beginning, and of its points the first `2^max_power` (all of them when it holds fewer).
    ///
    /// # Errors
    /// A file of another kind, version or size, points that are not canonical, or a hash that does not match.
    pub fn read(input: &mut (impl Read + Seek), max_power: u32) -> Result<Self, SrsError> {
        let size = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        let mut header = [0; FIXED_HEADER];
        let got = read_up_to(input, &mut header)?;
        let mut reader = Reader::new(&header[..got]);
        let magic: [u8; 8] = reader.array()?;
        if &magic != MAGIC {
            return Err(SrsError::Magic { format: FORMAT, got: magic.to_vec() });
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(SrsError::Version { format: FORMAT, expected: VERSION, got: version });
        }
        let power = reader.u32()?;
        check_power(power, MAX_POWER)?;
        let expected = (FIXED_HEADER + 32 * (power as usize + 1)) as u64 + ((G1_BYTES as u64) << power);
        if size != expected {
            return Err(SrsError::Size { what: "powers of tau file", expected, got: size });
        }
        let insecure_dev = reader.flag("insecure mark")?;
        let (g2, tau_g2) = (reader.g2()?, reader.g2()?);
        let hash: [u8; 32] = reader.array()?;
        reader.finish()?;
        if hash != VerifierSrs::identity(&g2, &tau_g2, insecure_dev) {
            return Err(SrsError::Identity);
        }
        if !insecure_dev && is_development(&tau_g2) {
            return Err(SrsError::Degenerate(UNMARKED));
        }

        let kept = power.min(max_power);
        let mut hashes = vec![[0; 32]; power as usize + 1];
        for hash in &mut hashes {
            input.read_exact(hash)?;
        }
        let (g1_powers, found) = read_points(input, 1 << kept)?;
        if found != hashes[kept as usize] {
            return Err(SrsError::ContentHash { power: kept });
        }
        Ok(Self { g1_powers, g2, tau_g2, insecure_dev, hash, known: Known::default() })
    }
}

/// `count` points and the hash of their bytes. The file's size has been checked, so `count` may be allocated.
fn read_points(input: &mut impl Read, count: usize) -> Result<(Vec<G1Affine>, [u8; 32]), SrsError> {
    let mut points = Vec::with_capacity(count);
    let mut hasher = Keccak::default();
    let mut bytes = vec![0; G1_BYTES * count.min(CHUNK)];
    while points.len() < count {
        let here = (count - points.len()).min(CHUNK);
        let bytes = &mut bytes[..G1_BYTES * here];
        input.read_exact(bytes)?;
        let (_, chunk) = rayon::join(|| hasher.update(bytes), || parse_points(bytes, points.len()));
        points.extend(chunk?);
    }
    Ok((points, hasher.finish()))
}

fn parse_points(bytes: &[u8], first: usize) -> Result<Vec<G1Affine>, SrsError> {
    let (chunks, _) = bytes.as_chunks::<G1_BYTES>();
    let parse = |(i, chunk): (usize, &[u8; G1_BYTES])| {
        g1_from_bytes(chunk)
            .and_then(|point| {
                // A power of tau is never infinity.
                let zero = CodecError::UnexpectedValue { field: "power of tau", got: 0 };
                if point == G1Affine::identity() { Err(zero) } else { Ok(point) }
            })
            .map_err(|source| point_error("tau G1", first + i, source))
    };
    chunks.par_iter().enumerate().with_min_len(512).map(parse).collect()
}

/// Fills `buffer` as far as the input goes.
fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}
