//! One suite for every device: each kernel against [`Reference`], on random and on extreme inputs.

use super::{AxisMatrix, Cpu, Device, FractionLayer, Reference};
use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInt, Field, Fp, MontConfig, PrimeField};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Deterministic inputs of all shapes: splitmix64 from a seed.
struct Source {
    state: u64,
    /// Gives only inputs with all bits set, which fill accumulators fastest.
    saturated: bool,
}

/// The seed of saturated inputs.
const SATURATED: u64 = u64::MAX;

impl Source {
    fn new(seed: u64) -> Self {
        Self { state: seed, saturated: seed == SATURATED }
    }

    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Mostly uniform, with the stored forms nearest to 0 and to the modulus mixed in: carries and final subtractions
    /// fail there first.
    fn element(&mut self) -> Fr {
        let ones = Fp::new_unchecked(BigInt([u64::MAX, u64::MAX, u64::MAX, u64::MAX >> 11]));
        if self.saturated {
            return ones;
        }
        match self.word() % 9 {
            0 => Fr::ZERO,
            1 => {
                let mut stored = ark_bn254::FrConfig::MODULUS;
                stored.0[0] -= 1 + self.word() % 3;
                Fp::new_unchecked(stored)
            }
            2 => Fp::new_unchecked(BigInt([self.word() % 3, 0, 0, 0])),
            3 => Fr::ONE,
            4 => ones,
            _ => {
                let bytes: Vec<u8> = (0..5).flat_map(|_| self.word().to_le_bytes()).collect();
                Fr::from_le_bytes_mod_order(&bytes)
            }
        }
    }

    fn elements(&mut self, len: usize) -> Vec<Fr> {
        (0..len).map(|_| self.element()).collect()
    }

    fn integers(&mut self, len: usize, width: Width) -> Vec<i32> {
        (0..len).map(|_| self.integer(width)).collect()
    }

    fn integer(&mut self, width: Width) -> i32 {
        if self.saturated {
            return i32::MAX;
        }
        let word = self.word();
        match width {
            Width::Bits => (word & 1) as i32,
            Width::Narrow => word as i16 as i32,
            // Long runs of bits with a rare wide value: what the leaves of a lookup tree look like.
            Width::Mixed if word.is_multiple_of(16) => -((word >> 40) as i32),
            Width::Mixed => (word >> 8 & 1) as i32,
            Width::Full => match word % 8 {
                0 => i32::MIN,
                1 => i32::MAX,
                2 => [-1 << 15, (1 << 15) - 1, 1 << 15, (-1 << 15) - 1][(word >> 8) as usize % 4],
                _ => (word >> 16) as i32,
            },
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Width {
    Bits,
    Narrow,
    Mixed,
    Full,
}

fn widths() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::Bits), Just(Width::Narrow), Just(Width::Mixed), Just(Width::Full)]
}

/// Checks `device` against `reference` on every kernel; panics at the first disagreement.
pub(super) fn conformance(device: &impl Device, reference: &impl Device) {
    check(24, (0..7usize, any::<u64>()), |(n, seed)| eq_tables(device, reference, n, seed));
    check(64, (0..9usize, widths(), any::<u64>()), |(n, width, seed)| products(device, reference, n, width, seed));
    check(64, (1..9usize, widths(), any::<u64>()), |(n, width, seed)| {
        fractions(device, reference, n, width, seed);
    });
    check(48, (0..70usize, widths(), any::<u64>()), |(len, width, seed)| {
        lookup_denominators(device, reference, len, width, seed);
    });
    let shapes = (1..5usize, 1..150usize, 1..150usize, 0..4usize, any::<bool>());
    check(48, (shapes, widths(), any::<u64>()), |((outer, len, inner, count, dense), width, seed)| {
        axis_maps(device, reference, [outer, len, inner, count], dense, width, seed);
    });
    check(6, (1..20usize, 0..4usize, widths(), any::<u64>()), |(row_len, rows, width, seed)| {
        commitments(device, reference, row_len, rows, width, seed);
    });
    // Long enough to be shared among threads, and to fill the accumulators of a long sum.
    for (seed, width) in [(1, Width::Mixed), (SATURATED, Width::Full)] {
        products(device, reference, 15, width, seed);
        fractions(device, reference, 15, width, seed);
        eq_tables(device, reference, 13, seed);
        lookup_denominators(device, reference, 9001, width, seed);
        axis_maps(device, reference, [1, 40, 5000, 1], true, width, seed);
        axis_maps(device, reference, [300, 301, 1, 2], true, width, seed);
        axis_maps(device, reference, [1, 70_000, 1, 1], true, width, seed);
        axis_maps(device, reference, [1, 70_000, 9, 1], true, width, seed);
    }
}

/// Runs `test` on `cases` inputs, always the same.
fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |input| {
        test(input);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn eq_tables(device: &impl Device, reference: &impl Device, n: usize, seed: u64) {
    let point = Source::new(seed).elements(n);
    assert_eq!(device.eq_table(&point), reference.eq_table(&point));
    assert_eq!(device.eq_suffixes(&point), reference.eq_suffixes(&point));
}

fn products(device: &impl Device, reference: &impl Device, n: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let integers = source.integers(1 << n, width);
    let (mut a, mut b) = (source.elements(1 << n), source.elements(1 << n));
    assert_eq!(device.product_round(&a, &b), reference.product_round(&a, &b));
    assert_eq!(device.product_round_i32(&integers, &b), reference.product_round_i32(&integers, &b));
    if n == 0 {
        return;
    }
    let r = source.element();
    assert_eq!(device.bind_i32(&integers, r), reference.bind_i32(&integers, r));
    let (mut alone, mut expected) = (a.clone(), a.clone());
    device.bind(&mut alone, r);
    reference.bind(&mut expected, r);
    assert_eq!(alone, expected);
    while a.len() > 1 {
        let r = source.element();
        let (mut a_expected, mut b_expected) = (a.clone(), b.clone());
        let expected = reference.product_bind_round(&mut a_expected, &mut b_expected, r);
        assert_eq!(device.product_bind_round(&mut a, &mut b, r), expected);
        assert_eq!((&a, &b), (&a_expected, &b_expected));
    }
}

/// A layer of `2^n` fractions, from its leaves through all rounds.
fn fractions(device: &impl Device, reference: &impl Device, n: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let leaves = source.integers(1 << n, width);
    let (p, q) = (source.elements(1 << n), source.elements(1 << n));
    assert_eq!(device.fraction_layer(&p, &q), reference.fraction_layer(&p, &q));
    assert_eq!(device.fraction_layer_i32(&leaves, &q), reference.fraction_layer_i32(&leaves, &q));
    let lambda = source.element();
    let eq = source.elements((1 << n) / 4);
    assert_eq!(
        device.fraction_round_i32(&leaves, &q, &eq, lambda),
        reference.fraction_round_i32(&leaves, &q, &eq, lambda)
    );
    let mut layer = FractionLayer::split(p, q.clone());
    assert_eq!(device.fraction_round(&layer, &eq, lambda), reference.fraction_round(&layer, &eq, lambda));
    if n == 1 {
        return;
    }
    let r = source.element();
    assert_eq!(device.fraction_bind_i32(&leaves, &q, r), reference.fraction_bind_i32(&leaves, &q, r));
    let (mut bound, mut expected) = (layer.clone(), layer.clone());
    device.fraction_bind(&mut bound, r);
    reference.fraction_bind(&mut expected, r);
    assert_eq!(bound, expected);
    while layer.len() > 1 {
        let r = source.element();
        let eq = source.elements(layer.len() / 4);
        let mut expected = layer.clone();
        let g = reference.fraction_bind_round(&mut expected, r, &eq, lambda);
        assert_eq!(device.fraction_bind_round(&mut layer, r, &eq, lambda), g);
        assert_eq!(layer, expected);
    }
}

fn lookup_denominators(device: &impl Device, reference: &impl Device, len: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let (keys, values) = (source.integers(len, Width::Full), source.integers(len, width));
    let (alpha, beta) = (source.element(), source.element());
    for values in [&values[..], &[]] {
        assert_eq!(device.fingerprints(&keys, values, alpha, beta), reference.fingerprints(&keys, values, alpha, beta));
    }
}

fn axis_maps(
    device: &impl Device,
    reference: &impl Device,
    [outer, len, inner, count]: [usize; 4],
    dense: bool,
    width: Width,
    seed: u64,
) {
    let mut source = Source::new(seed);
    let row = |source: &mut Source| -> Vec<(usize, Fr)> {
        let entries = if dense { len } else { source.word() as usize % 4 };
        (0..entries).map(|l| (if dense { l } else { source.word() as usize % len }, source.element())).collect()
    };
    let matrix = AxisMatrix::from_rows(len, (0..count).map(|_| row(&mut source)).collect());
    let integers = source.integers(outer * len * inner, width);
    assert_eq!(
        device.axis_map_i32(&integers, outer, inner, &matrix),
        reference.axis_map_i32(&integers, outer, inner, &matrix)
    );
    let elements = source.elements(outer * len * inner);
    assert_eq!(
        device.axis_map_fr(&elements, outer, inner, &matrix),
        reference.axis_map_fr(&elements, outer, inner, &matrix)
    );
}

fn commitments(device: &impl Device, reference: &impl Device, row_len: usize, rows: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let bases: Vec<G1Affine> = (0..row_len).map(|_| (G1Affine::generator() * source.element()).into_affine()).collect();
    let values = source.integers(rows * row_len, width);
    assert_eq!(device.commit_rows(&bases, &values, row_len), reference.commit_rows(&bases, &values, row_len));
    let scalars = source.elements(row_len);
    assert_eq!(device.msm(&bases, &scalars), reference.msm(&bases, &scalars));
}

#[test]
fn cpu_conforms() {
    conformance(&Cpu::new(), &Reference);
}

#[test]
fn portable_cpu_conforms() {
    conformance(&Cpu::portable(), &Reference);
}

#[test]
fn cpu_conforms_on_one_thread() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    pool.install(|| conformance(&Cpu::new(), &Reference));
}

#[test]
#[should_panic(expected = "column 3 of a matrix with 3 columns")]
fn matrix_rejects_a_column_out_of_range() {
    AxisMatrix::from_rows(3, vec![vec![(3, Fr::ONE)]]);
}

#[test]
#[should_panic(expected = "no variable to bind")]
fn cpu_rejects_an_array_without_variables() {
    Cpu::new().bind(&mut vec![Fr::ONE], Fr::ONE);
}
