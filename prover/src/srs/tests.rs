//! Files are checked against synthetic ceremonies, written here byte by byte in the true formats.

use std::io::Cursor;

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, Field, PrimeField};
use assay_verifier::{
    curve::{CodecError, Group, g2_to_bytes},
    keccak::keccak256,
    opening::{DEVELOPMENT_SEEDS, VerifierSrs, is_development},
};

use super::*;

const POWER: u32 = 4;
const TAU: u64 = 0x1234_5678_9abc_def1;

/// A `.ptau` file in parts, so that a test can spoil one of them.
struct Ptau {
    magic: Vec<u8>,
    version: u32,
    prime: Vec<u8>,
    power: u32,
    g1: Vec<G1Affine>,
    g2: Vec<G2Affine>,
    /// Claimed sizes in the place of the true ones, by section id.
    claims: Vec<(u32, u64)>,
    order: Vec<u32>,
    /// Kind and parameters of each contribution.
    contributions: Vec<(u32, Vec<u8>)>,
    /// Added behind the last one.
    tail: Vec<u8>,
}

impl Ptau {
    fn new() -> Self {
        let tau = Fr::from(TAU);
        let powers: Vec<Fr> =
            core::iter::successors(Some(Fr::ONE), |p| Some(*p * tau)).take((2 << POWER) - 1).collect();
        Self {
            magic: b"ptau".to_vec(),
            version: 1,
            prime: Fq::MODULUS.to_bytes_le(),
            power: POWER,
            g1: powers.iter().map(|p| (G1Affine::generator() * p).into_affine()).collect(),
            g2: powers[..1 << POWER].iter().map(|p| (G2Affine::generator() * p).into_affine()).collect(),
            claims: Vec::new(),
            order: vec![1, 2, 3, 7],
            contributions: vec![(0, vec![1, 5, b'f', b'i', b'r', b's', b't']), (1, vec![2, 10, 3, 2, 7, 7])],
            tail: vec![],
        }
    }

    /// With other powers.
    fn of(tau: Fr) -> Self {
        let powers: Vec<Fr> =
            core::iter::successors(Some(Fr::ONE), |p| Some(*p * tau)).take((2 << POWER) - 1).collect();
        Self {
            g1: powers.iter().map(|p| (G1Affine::generator() * p).into_affine()).collect(),
            g2: powers[..1 << POWER].iter().map(|p| (G2Affine::generator() * p).into_affine()).collect(),
            ..Self::new()
        }
    }

    fn section(&self, id: u32) -> Vec<u8> {
        match id {
            1 => {
                let mut out = (self.prime.len() as u32).to_le_bytes().to_vec();
                out.extend(&self.prime);
                out.extend(self.power.to_le_bytes());
                out.extend(28u32.to_le_bytes());
                out
            }
            2 => self.g1.iter().flat_map(|p| [montgomery(p.x), montgomery(p.y)].concat()).collect(),
            3 => self.g2.iter().flat_map(words).collect(),
            7 => {
                let mut out = (self.contributions.len() as u32).to_le_bytes().to_vec();
                for (kind, parameters) in &self.contributions {
                    out.extend([montgomery(self.g1[1].x), montgomery(self.g1[1].y)].concat());
                    out.extend(words(&self.g2[1]));
                    out.extend(vec![0x11; 8 * 64 + 4 * 128 + 216 + 64]);
                    out.extend(kind.to_le_bytes());
                    out.extend((parameters.len() as u32).to_le_bytes());
                    out.extend(parameters);
                }
                out.extend(&self.tail);
                out
            }
            _ => vec![0xaa; 37],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.clone();
        out.extend(self.version.to_le_bytes());
        out.extend((self.order.len() as u32).to_le_bytes());
        for &id in &self.order {
            let payload = self.section(id);
            let claim = self.claims.iter().find(|claim| claim.0 == id);
            out.extend(id.to_le_bytes());
            out.extend(claim.map_or(payload.len() as u64, |claim| claim.1).to_le_bytes());
            out.extend(payload);
        }
        out
    }

    fn import(&self) -> Result<Srs, SrsError> {
        self.ceremony().map(|c| c.srs)
    }

    fn ceremony(&self) -> Result<Ceremony, SrsError> {
        import_ptau(Cursor::new(self.bytes()), 28)
    }
}

fn words(p: &G2Affine) -> Vec<u8> {
    [p.x.c0, p.x.c1, p.y.c0, p.y.c1].map(montgomery).concat()
}

/// Little-endian limbs of `value * 2^256 mod q`, computed by the definition.
fn montgomery(value: Fq) -> Vec<u8> {
    (value * Fq::from(2u8).pow([256])).into_bigint().to_bytes_le()
}

fn spoiled(change: impl FnOnce(&mut Ptau)) -> SrsError {
    let mut ptau = Ptau::new();
    change(&mut ptau);
    ptau.import().unwrap_err()
}

#[test]
fn a_ceremony_imports_at_every_size() {
    let ptau = Ptau::new();
    for max_power in [1, 3, POWER, 28] {
        let srs = import_ptau(Cursor::new(ptau.bytes()), max_power).unwrap().srs;
        assert_eq!(srs.g1_powers, ptau.g1[..1 << max_power.min(POWER)]);
        assert_eq!((srs.g2, srs.tau_g2), (ptau.g2[0], ptau.g2[1]));
        assert!(!srs.insecure_dev);
        assert_eq!(srs.hash, ptau.import().unwrap().hash);
    }
    let mut reordered = Ptau::new();
    reordered.order = vec![3, 7, 2, 1];
    assert_eq!(reordered.import().unwrap(), ptau.import().unwrap());
}

#[test]
fn spoiled_ceremonies_have_distinct_errors() {
    use SrsError as E;
    let size = |what, expected, got| {
        move |error: &E| {
            matches!(error, E::Size { what: w, expected: e, got: g }
            if *w == what && *e == expected && *g == got)
        }
    };
    let full = Ptau::new().bytes().len() as u64;

    assert!(matches!(spoiled(|p| p.magic = b"zkey".to_vec()), E::Magic { format: "ptau", .. }));
    assert!(matches!(spoiled(|p| p.version = 2), E::Version { expected: 1, got: 2, .. }));
    assert!(matches!(spoiled(|p| p.prime = Fr::MODULUS.to_bytes_le()), E::WrongCurve));
    assert!(matches!(spoiled(|p| p.power = 29), E::Power { limit: 28, got: 29 }));
    assert!(size("ptau section 2 (tau G1)", 63 * 64, 31 * 64)(&spoiled(|p| p.power = 5)));
    assert!(matches!(spoiled(|p| p.order = vec![1, 3]), E::Section { id: 2, got: 0 }));
    assert!(matches!(spoiled(|p| p.order = vec![1, 2, 3, 2]), E::Section { id: 2, got: 2 }));
    assert!(matches!(spoiled(|p| p.order = vec![7; 65]), E::SectionCount { limit: 64, got: 65 }));
    let huge = spoiled(|p| p.claims = vec![(2, u64::MAX)]);
    assert!(size("ptau section", u64::MAX, full)(&huge), "{huge}");
    let huge = spoiled(|p| p.claims = vec![(2, 1 << 40)]);
    assert!(matches!(huge, E::Size { what: "ptau section", .. }), "{huge}");
    assert!(matches!(spoiled(|p| p.g2.truncate(15)), E::Size { what: "ptau section 3 (tau G2)", .. }));

    assert!(matches!(spoiled(|p| p.g1.swap(4, 5)), E::NotConsecutive));
    assert!(matches!(spoiled(|p| p.g1[15] = -p.g1[15]), E::NotConsecutive));
    assert!(matches!(spoiled(|p| p.g2[1] = (p.g2[1] + p.g2[1]).into_affine()), E::NotConsecutive));
    assert!(matches!(spoiled(|p| p.g1[0] = p.g1[1]), E::Generator("G1")));
    assert!(matches!(spoiled(|p| p.g2.swap(0, 1)), E::Generator("G2")));
    assert!(matches!(spoiled(|p| p.g2[1] = p.g2[0]), E::Degenerate(_)));
    let off_curve = |error: &E, name, at, group| {
        matches!(error, E::Point { what, index, source: CodecError::OffCurve(g) }
            if *what == name && *index == at && *g == group)
    };
    assert!(off_curve(&spoiled(|p| p.g1[9].x += Fq::ONE), "tau G1", 9, Group::G1));
    assert!(off_curve(&spoiled(|p| p.g1[9] = G1Affine::identity()), "tau G1", 9, Group::G1));
    assert!(off_curve(&spoiled(|p| p.g2[1].y += Fq2::ONE), "tau G2", 1, Group::G2));
    let outside = (1u64..).find_map(|x| {
        let x = Fq2::from(x);
        G2Affine::get_ys_from_x_unchecked(x).map(|(y, _)| G2Affine::new_unchecked(x, y))
    });
    assert!(matches!(
        spoiled(|p| p.g2[1] = outside.unwrap()),
        E::Point { what: "tau G2", index: 1, source: CodecError::OutsideSubgroup(Group::G2) }
    ));
}

#[test]
fn contributions_are_told_and_a_ceremony_without_a_secret_is_refused() {
    use SrsError as E;
    let told = Ptau::new().ceremony().unwrap().contributions;
    let named = |name: &str, beacon| Contribution { name: name.to_owned(), beacon };
    assert_eq!(told, [named("first", false), named("", true)]);
    assert!(matches!(spoiled(|p| p.contributions = vec![]), E::NoSecret { beacons: 0 }));
    assert!(matches!(spoiled(|p| p.contributions = vec![(1, vec![])]), E::NoSecret { beacons: 1 }));
    assert!(matches!(spoiled(|p| p.contributions = vec![(1, vec![]); 2]), E::NoSecret { beacons: 2 }));
    assert!(matches!(spoiled(|p| p.order = vec![1, 2, 3]), E::Section { id: 7, got: 0 }));
    assert!(matches!(spoiled(|p| p.tail = vec![0]), E::Contributions(_)));
    for parameters in [vec![4], vec![1, 200, 0], vec![1], vec![2], vec![0; 2000]] {
        assert!(matches!(spoiled(|p| p.contributions[0].1 = parameters), E::Contributions(_)));
    }
    // The list of another ceremony: sections of equal size, so the bytes can be exchanged.
    let (ours, theirs) = (Ptau::new(), Ptau::of(Fr::from(987_654_321u64)));
    let (bytes, section) = (ours.bytes(), theirs.section(7));
    let mixed = [&bytes[..bytes.len() - section.len()], &section].concat();
    assert!(matches!(import_ptau(Cursor::new(mixed), 4), Err(E::Contributions(_))));
}

#[test]
fn a_tau_that_anybody_finds_is_refused() {
    let minus_one = -Fr::ONE;
    let of_order = |n: u64| {
        let (quotient, rest) = (-Fr::ONE * Fr::from(n).inverse().unwrap(), n);
        let root = Fr::from(5u8).pow(quotient.into_bigint());
        assert_eq!(root.pow([rest]), Fr::ONE);
        root
    };
    let mut weak = vec![minus_one, Fr::from(2u8), -Fr::from(3u8), Fr::from(1000u64)];
    weak.extend([3, 4, 8, 9].map(of_order));
    weak.extend([0, DEVELOPMENT_SEED, 7].map(development_tau));
    for tau in weak {
        assert!(matches!(Ptau::of(tau).import(), Err(SrsError::Degenerate(_))), "{tau}");
    }
    Ptau::of(Fr::from(1_000_003u64)).import().unwrap();
}

#[test]
fn coordinates_must_be_reduced() {
    let bytes = Ptau::new().bytes();
    // Header, section header, payload, section header of the points; then x of the first point.
    let at = 12 + 12 + 44 + 12;
    let mut bad = bytes.clone();
    bad[at..at + 32].copy_from_slice(&Fq::MODULUS.to_bytes_le());
    assert!(matches!(
        import_ptau(Cursor::new(bad), 4),
        Err(SrsError::Point { what: "tau G1", index: 0, source: CodecError::NonCanonical(_) })
    ));
}

#[test]
fn every_truncation_and_extension_of_a_ceremony_is_refused() {
    let bytes = Ptau::new().bytes();
    for len in (0..bytes.len()).step_by(7) {
        let error = import_ptau(Cursor::new(&bytes[..len]), 4).unwrap_err();
        assert!(matches!(error, SrsError::Size { .. }), "{len}: {error}");
    }
    let longer = [bytes, vec![0]].concat();
    assert!(matches!(import_ptau(Cursor::new(longer), 4), Err(SrsError::Size { what: "ptau file", .. })));
}

#[test]
fn development_powers_are_powers_and_are_marked() {
    let srs = Srs::development(6, 1).unwrap();
    assert_eq!(srs.g1_powers.len(), 64);
    assert!(srs.insecure_dev);
    srs.verify().unwrap();
    let mut smaller = srs.clone();
    smaller.prune(3).unwrap();
    assert_eq!(smaller, Srs::development(3, 1).unwrap());
    assert_eq!(smaller.hash, srs.hash);
    assert_ne!(Srs::development(3, 2).unwrap().hash, srs.hash);
    assert!(matches!(smaller.prune(4), Err(SrsError::Power { limit: 3, got: 4 })));
    assert!(matches!(Srs::development(29, 1), Err(SrsError::Power { .. })));
    let verifier = srs.verifier();
    assert_eq!(VerifierSrs::from_bytes(&verifier.to_bytes()), Ok(verifier));
}

#[test]
fn the_insecure_mark_cannot_be_dropped_quietly() {
    let mut srs = Srs::development(3, 1).unwrap();
    srs.insecure_dev = false;
    assert!(matches!(srs.verify(), Err(SrsError::Identity)));
}

#[test]
fn development_powers_are_known_by_sight() {
    let secrets: Vec<G2Affine> =
        (0..DEVELOPMENT_SEEDS as u64).map(|seed| Srs::development(0, seed).unwrap().tau_g2).collect();
    let unknown: Vec<String> = secrets
        .iter()
        .filter(|tau| !is_development(tau))
        .map(|tau| keccak256(&[&g2_to_bytes(tau)]).iter().map(|b| format!("{b:02x}")).collect())
        .collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:#?}");
    for tau in secrets {
        // A key with the right identity, but for the mark.
        let mut srs = Srs::development(0, 0).unwrap().verifier();
        (srs.tau_g2, srs.insecure_dev) = (tau, false);
        srs.srs_hash = VerifierSrs::identity(&srs.g2, &tau, false);
        assert!(matches!(VerifierSrs::from_bytes(&srs.to_bytes()), Err(CodecError::UnexpectedValue { .. })));
    }
    assert!(!is_development(&Srs::development(0, DEVELOPMENT_SEEDS as u64).unwrap().tau_g2));
}

fn file(srs: &Srs) -> Vec<u8> {
    let mut out = Vec::new();
    srs.write(&mut out).unwrap();
    out
}

fn read(bytes: &[u8], max_power: u32) -> Result<Srs, SrsError> {
    Srs::read(&mut Cursor::new(bytes), max_power)
}

#[test]
fn files_round_trip_in_whole_and_in_part() {
    let srs = Srs::development(5, 9).unwrap();
    let bytes = file(&srs);
    for max_power in 0..=6 {
        let mut expected = srs.clone();
        expected.prune(max_power.min(5)).unwrap();
        assert_eq!(read(&bytes, max_power).unwrap(), expected);
    }
}

#[test]
fn every_damaged_byte_of_a_file_is_noticed() {
    let srs = Srs::development(2, 9).unwrap();
    let bytes = file(&srs);
    let hashes = bytes.len() - 4 * 64 - 3 * 32;
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let verdict = read(&bad, 2);
        // The hashes of shorter prefixes are not used when all points are read.
        let unused = (hashes..hashes + 2 * 32).contains(&at);
        assert_eq!(verdict.is_ok(), unused, "byte {at}");
    }
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len], 2).is_err(), "prefix of {len} bytes");
    }
    assert!(matches!(read(&[bytes, vec![0]].concat(), 2), Err(SrsError::Size { .. })));
}

#[test]
fn damaged_files_have_distinct_errors() {
    let bytes = file(&Srs::development(2, 9).unwrap());
    let spoil = |at: usize, with: &[u8]| {
        let mut bad = bytes.clone();
        bad[at..at + with.len()].copy_from_slice(with);
        read(&bad, 2).unwrap_err()
    };
    assert!(matches!(spoil(0, b"PK"), SrsError::Magic { .. }));
    assert!(matches!(spoil(11, &[2]), SrsError::Version { expected: 1, got: 2, .. }));
    assert!(matches!(spoil(12, &[0xff; 4]), SrsError::Power { limit: 28, .. }));
    assert!(matches!(spoil(15, &[28]), SrsError::Size { .. }));
    assert!(matches!(spoil(16, &[0]), SrsError::Identity));
    assert!(matches!(spoil(16, &[2]), SrsError::Header(CodecError::UnexpectedValue { .. })));
    assert!(matches!(spoil(16 + 1 + 256, &[0; 32]), SrsError::Identity));
    let point = bytes.len() - 64;
    assert!(matches!(spoil(point, &[0; 64]), SrsError::Point { index: 3, .. }));
    let generator = bytes.len() - 4 * 64;
    let first = bytes[generator..generator + 64].to_vec();
    assert!(matches!(spoil(point, &first), SrsError::ContentHash { power: 2 }));
}
