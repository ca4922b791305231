//! The security level in bits, from the real parameters (docs/protocol.md#soundness).
//!
//! Each interactive step lets a cheating prover through with probability at most `degree / r`, `r` being the order of the
//! scalar field (Schwartz-Zippel). By Fiat-Shamir each of these becomes a work factor: an attacker may try one challenge
//! per hash. The curve and the hashes add bounds of their own, and the level is the smallest of all.

use crate::{
    opening::fold_count,
    protocol::padded_bits,
    settle::gates::{COPYABLE, DEGREE, NAMES},
};
use assay_circuits::{
    Op, Program,
    program::{NAMED, Source},
};

/// Bits of the scalar field's order: log2(r), rounded down to a tenth.
pub const FIELD_BITS: f64 = 253.5;
/// Pairing-friendly BN254: the number field sieve in the target group, by the estimate of Barbulescu and Duquesne (Journal of
/// Cryptology 2019), about 2^100. Lower than the 2^113 that Cheon's attack leaves of q-SDH at 2^28 powers of tau.
pub const CURVE_BITS: f64 = 100.0;
/// Collisions in one capacity element of the Poseidon sponge: half of its size.
pub const POSEIDON_BITS: f64 = 126.7;
/// Collisions of Keccak-256, also after reduction mod r.
pub const KECCAK_BITS: f64 = 126.7;
/// Largest degree that powers of tau of a public ceremony allow.
pub const SRS_BITS: f64 = 28.0;

/// One source of error.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Where it arises.
    pub name: &'static str,
    /// Work to exploit it, in bits.
    pub bits: f64,
}

/// The security level and its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Security {
    /// All terms.
    pub terms: Vec<Term>,
    /// The level: the interactive errors added up, or a weaker primitive.
    pub bits: f64,
}

fn float(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// log2 of the order less the bias of 256 bits reduced mod r, which makes some challenges up to 6 r / 2^256 times as likely:
/// 253.597 - 0.182, rounded down to a tenth.
pub const DRAWN_BITS: f64 = 253.4;

/// A source of interactive error: where it arises, and the degree of what must not vanish at a random point.
type Degree = (&'static str, f64);

/// The steps of the protocol up to the claim about all stacks and `masks` mask rows, `gamma` and what opens it.
fn protocol_degrees(program: &Program, row_bits: usize, masks: usize) -> Vec<Degree> {
    let lookups = float(program.lookups());
    let rows = float(program.table_rows());
    // A product in a lookup's key is an instance over the index bits of its shape.
    let products = program
        .segments
        .iter()
        .flat_map(|s| s.key.iter().filter(|k| matches!(k.source, Source::Product(..))).map(|_| s.bits()));
    let instances: Vec<usize> = program
        .graph
        .nodes()
        .iter()
        .filter_map(|n| if let Op::Contraction(c) = &n.op { Some(c.rounds()) } else { None })
        .chain(products)
        .collect();
    let held = program.links.iter().map(|l| &l.shape);
    let public: usize = program.public.iter().map(|p| &p.shape).chain(held).map(|s| s.iter().product::<usize>()).sum();
    let reduction = program.stacks.iter().map(|s| padded_bits(s.bits, row_bits)).max().unwrap_or(row_bits);
    let layers: f64 = (1..program.leaf_bits).map(|k| 3.0 * float(k) + 2.0).sum();
    let (row, folds) = (float(row_bits), float(fold_count(row_bits)));
    // A core proof about named stacks opens a row with what hides it; a settled one takes that off before.
    let blinded = if masks == 0 && program.stacks.len() > NAMED { 1.0 } else { 0.0 };
    let row = row + blinded;
    let folds = folds + blinded;
    vec![
        (
            "fingerprints: alpha and beta",
            float(program.fingerprint_degree()) * lookups * rows.max(1.0) + lookups + rows,
        ),
        ("fraction tree: all layers", layers + 1.0),
        ("public values: zeta", float(public).max(1.0)),
        ("root claim: lambda", 2.0),
        ("bilinear sumcheck", 2.0 * float(instances.iter().copied().max().unwrap_or(0)).max(0.5)),
        ("operand claims: rho", 2.0 * float(instances.len()).max(0.5)),
        ("opening reduction", 2.0 * float(reduction)),
        ("stacks: gamma", float((program.stacks.len() + masks).saturating_sub(1))),
        (
            "opening: folds, batching, linearisation",
            (row + SRS_BITS).exp2() + folds + 2.0 * row + SRS_BITS.exp2() + blinded,
        ),
    ]
}

/// The level that interactive errors over a field of `field_bits` and the primitives leave.
fn level(degrees: &[Degree], field_bits: f64) -> Security {
    let mut terms: Vec<Term> =
        degrees.iter().map(|(name, d)| Term { name, bits: field_bits - d.max(1.0).log2() }).collect();
    let total: f64 = degrees.iter().map(|(_, d)| d).sum();
    let interactive = field_bits - total.log2();
    for (name, bits) in [
        ("Poseidon transcript", POSEIDON_BITS),
        ("Keccak digests", KECCAK_BITS),
        ("BN254: discrete logarithm and q-SDH", CURVE_BITS),
    ] {
        terms.push(Term { name, bits });
    }
    let bits = [interactive, POSEIDON_BITS, KECCAK_BITS, CURVE_BITS].into_iter().fold(f64::INFINITY, f64::min);
    Security { terms, bits }
}

/// The soundness of core proofs of one layout with rows of `2^row_bits` values.
pub fn security(program: &Program, row_bits: usize) -> Security {
    level(&protocol_degrees(program, row_bits, 0), FIELD_BITS)
}

/// The soundness of settled proofs of one layout, in a circuit of `2^k` rows (docs/protocol.md#settled-soundness).
pub fn settled_level(program: &Program, row_bits: usize, k: usize) -> Security {
    let rows = float(k).exp2();
    let powers = SRS_BITS.exp2();
    let mut degrees = protocol_degrees(program, row_bits, 1);
    degrees.extend([
        ("Halo2: permutation, beta and gamma", 2.0 * float(COPYABLE.len()) * rows),
        // The gates, and three equations of the permutation.
        ("Halo2: constraints, y", float(NAMES.len()) + 2.0),
        ("Halo2: evaluation, x", float(DEGREE) * powers),
        // Batches of at most 14 polynomials, two sets of points, and the quotient at u.
        ("Halo2: SHPLONK", 13.0 + 1.0 + powers + 2.0),
        ("joint pairing: rho", 1.0),
    ]);
    level(&degrees, DRAWN_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_circuits::{GraphBuilder, Program, Table, Visibility, ops::Contraction};

    fn program(batch: usize) -> Program {
        let mut g = GraphBuilder::new(8);
        let x = g.input("x", &[1, 16], 8).unwrap();
        let w = g.weight("w", &[16, 8], 8).unwrap();
        let h = g.push("fc", Op::Contraction(Contraction::matmul(&[], 1, 16, 8)), &[x, w]).unwrap();
        let y = g.lookup("relu", h, 8, Table::relu(-256, 9, 255)).unwrap();
        Program::inference(&g.finish(vec![x], vec![y]).unwrap(), batch, Visibility::default()).unwrap()
    }

    #[test]
    fn the_curve_is_the_weakest_part() {
        let s = security(&program(1), 10);
        assert!((s.bits - CURVE_BITS).abs() < 1e-9);
        assert_eq!(s.terms.iter().filter(|t| t.bits < 120.0).count(), 1);
    }

    #[test]
    fn errors_grow_with_the_statement() {
        let of = |p: &Program, m: usize, name: &str| {
            security(p, m).terms.into_iter().find(|t| t.name.starts_with(name)).map(|t| t.bits).unwrap()
        };
        let (small, large) = (program(1), program(64));
        assert!(of(&small, 10, "fingerprints") > of(&large, 10, "fingerprints"));
        assert!(of(&small, 10, "fraction tree") > of(&large, 10, "fraction tree"));
        assert!((of(&small, 10, "opening: folds") - of(&small, 20, "opening: folds") - 10.0).abs() < 0.1);
        // 2 * 12 rounds of degree 2 over a 253.5-bit field.
        assert!(of(&small, 12, "opening reduction") > 248.0);
    }

    #[test]
    fn settling_adds_terms_and_leaves_the_curve_the_weakest() {
        let p = program(1);
        let s = settled_level(&p, 10, 14);
        assert!((s.bits - CURVE_BITS).abs() < 1e-9);
        assert_eq!(s.terms.iter().filter(|t| t.bits < 120.0).count(), 1);
        let of = |s: &Security, name: &str| s.terms.iter().find(|t| t.name.starts_with(name)).map(|t| t.bits).unwrap();
        // The mask makes gamma's polynomial quadratic.
        assert!((of(&security(&p, 10), "stacks: gamma") - FIELD_BITS).abs() < 1e-9);
        assert!((of(&s, "stacks: gamma") - (DRAWN_BITS - 1.0)).abs() < 1e-9);
        let larger = settled_level(&p, 20, 15);
        assert!((of(&s, "Halo2: permutation") - of(&larger, "Halo2: permutation") - 1.0).abs() < 1e-9);
        assert!((of(&s, "opening: folds") - of(&larger, "opening: folds") - 10.0).abs() < 0.1);
        // The permutation runs over three columns of 2^14 rows, and two challenges.
        assert!((of(&s, "Halo2: permutation") - (DRAWN_BITS - (6.0 * 16384.0_f64).log2())).abs() < 1e-9);
        // Without the curve and the hashes more than 200 bits would be left.
        assert!(s.terms.iter().filter(|t| !t.name.starts_with("BN254") && t.bits < 126.0).count() == 0);
        assert_eq!(s.terms.len(), security(&p, 10).terms.len() + 5);
    }

    #[test]
    fn challenges_from_keccak_lose_a_fraction_of_a_bit() {
        // 2^256 / r = 5.29, so a residue has at most 6 preimages of 2^256: log2(6 / 2^256).
        let bits = -(6f64.log2() - 256.0);
        assert!(bits > DRAWN_BITS && bits < DRAWN_BITS + 0.1, "{bits}");
    }
}
