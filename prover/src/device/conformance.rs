//! One suite for every device: each kernel against [`Reference`], on random and on extreme inputs.

use super::eq::EqWeights;
use super::fractions::{FractionKernels, FractionLayer};
use super::{
    AxisMatrix, Cpu, Device, Functional, FunctionalFactor, FunctionalTerm, LeadingRounds, LeafRun, Leaves, Numerators,
    Reference,
};
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

    /// An element that is not zero.
    fn factor(&mut self) -> Fr {
        let x = self.element();
        if x == Fr::ZERO { Fr::from(3) } else { x }
    }

    /// Factors of `len` entries, as two tables.
    fn weights(&mut self, len: usize) -> [Vec<Fr>; 2] {
        let low = 1 << (self.word() as usize % (len.max(1).ilog2().min(8) as usize + 1));
        [self.elements(len / low), self.elements(low)]
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
pub(super) enum Width {
    Bits,
    Narrow,
    Mixed,
    Full,
}

fn widths() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::Bits), Just(Width::Narrow), Just(Width::Mixed), Just(Width::Full)]
}

/// log2 of the largest arrays: under sanitizers, which are ten times slower, smaller ones show the same.
fn largest() -> usize {
    if std::env::var_os("ASSAY_KERNEL_FLAGS").is_some() { 16 } else { 20 }
}

/// The whole suite for one device: each law as a test of its own, against [`Reference`].
///
/// `conformance_suite!(name, make)` makes a module of tests; `make` is an expression that gives the device.
macro_rules! conformance_suite {
    ($name:ident, $make:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn eq_tables_conform() {
                let device = $make;
                check(24, (0..7usize, any::<u64>()), |(n, seed)| eq_tables(&device, n, seed));
                [(1, 13), (SATURATED, 13), (2, largest())]
                    .into_iter()
                    .for_each(|(seed, n)| eq_tables(&device, n, seed));
            }

            #[test]
            fn products_conform() {
                let device = $make;
                check(64, (0..9usize, widths(), any::<u64>()), |(n, width, seed)| products(&device, n, width, seed));
                // Long enough to be shared among threads, and to fill the accumulators of a long sum.
                products(&device, 15, Width::Mixed, 1);
                products(&device, 15, Width::Full, SATURATED);
                products(&device, largest(), Width::Full, 2);
            }

            #[test]
            fn trees_conform() {
                let device = $make;
                let strategy = (0..9usize, 0..4usize, widths(), any::<u64>());
                check(64, strategy, |(bits, runs, width, seed)| trees(&device, 1 + bits, runs, width, seed));
                trees(&device, 14, 3, Width::Mixed, 1);
                trees(&device, 14, 3, Width::Full, SATURATED);
                trees(&device, largest(), 2, Width::Full, 2);
            }

            #[test]
            fn axis_maps_conform() {
                let device = $make;
                let shapes = (1..5usize, 1..150usize, 1..150usize, 0..4usize, any::<bool>());
                check(48, (shapes, widths(), any::<u64>()), |((outer, len, inner, count, dense), width, seed)| {
                    axis_maps(&device, [outer, len, inner, count], dense, width, seed);
                });
                for (seed, width) in [(1, Width::Mixed), (SATURATED, Width::Full)] {
                    axis_maps(&device, [1, 40, 5000, 1], true, width, seed);
                    axis_maps(&device, [300, 301, 1, 2], true, width, seed);
                    axis_maps(&device, [1, 70_000, 1, 1], true, width, seed);
                    axis_maps(&device, [1, 70_000, 9, 1], true, width, seed);
                }
                axis_maps(&device, [1, 16, 1 << 16, 1], true, Width::Narrow, 2);
            }

            #[test]
            fn commitments_conform() {
                let device = $make;
                check(6, (1..20usize, 0..4usize, widths(), any::<u64>()), |(row_len, rows, width, seed)| {
                    commitments(&device, row_len, rows, width, seed);
                });
                // Several windows; long buckets; equal points of equal values, all in one bucket.
                commitments(&device, 1500, 2, Width::Full, 1);
                commitments(&device, 1100, 3, Width::Mixed, 2);
                commitments(&device, 1030, 1, Width::Narrow, SATURATED);
            }

            #[test]
            fn functionals_conform() {
                let device = $make;
                check(64, (0..17usize, 0..4usize, widths(), any::<u64>()), |(bits, leading, width, seed)| {
                    functionals(&device, bits, leading.min(bits), width, seed);
                });
                functionals(&device, 16, 2, Width::Full, SATURATED);
                functionals(&device, largest(), 3, Width::Narrow, 2);
            }

            #[test]
            fn moves_conform() {
                let device = $make;
                check(48, (1..300usize, any::<u64>()), |(len, seed)| moves(&device, len, seed));
                moves(&device, 1 << 20, 2);
            }
        }
    };
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

pub(super) fn eq_tables<D: Device>(device: &D, n: usize, seed: u64) {
    let point = Source::new(seed).elements(n);
    assert_eq!(device.download(&device.eq_table(&point)), Reference.eq_table(&point));
}

pub(super) fn products<D: Device>(device: &D, n: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let integers = source.integers(1 << n, width);
    let (mut a, mut b) = (source.elements(1 << n), source.elements(1 << n));
    let there = device.integers(&integers);
    let (mut a_there, mut b_there) = (device.elements(a.clone()), device.elements(b.clone()));
    assert_eq!(device.first(&a_there), a[0]);
    assert_eq!(device.inner_product(&a_there, &b_there), Reference.inner_product(&a, &b));
    assert_eq!(device.inner_product_i32(&there, &b_there), Reference.inner_product_i32(&&integers[..], &b));
    assert_eq!(device.product_round(&a_there, &b_there), Reference.product_round(&a, &b));
    assert_eq!(device.product_round_i32(&there, &b_there), Reference.product_round_i32(&&integers[..], &b));
    if n == 0 {
        return;
    }
    let r = source.element();
    assert_eq!(device.download(&device.bind_i32(&there, r)), Reference.bind_i32(&&integers[..], r));
    let (mut alone, mut expected) = (device.elements(a.clone()), a.clone());
    device.bind(&mut alone, r);
    Reference.bind(&mut expected, r);
    assert_eq!(device.download(&alone), expected);
    while a.len() > 1 {
        let r = source.element();
        let expected = Reference.product_bind_round(&mut a, &mut b, r);
        assert_eq!(device.product_bind_round(&mut a_there, &mut b_there, r), expected);
        assert_eq!((device.download(&a_there), device.download(&b_there)), (a.clone(), b.clone()));
    }
}

/// Leaves in `count` runs, of random shapes with odd extents, between leaves of no run.
fn random_leaves(source: &mut Source, bits: usize, count: usize, width: Width) -> OwnedLeaves {
    let mut runs = Vec::new();
    let mut at = 0;
    for k in 0..count {
        // The padded size of a run is at most half of what is left.
        let room = ((1usize << bits) - at).checked_ilog2().unwrap_or(0) as usize;
        let size = room.saturating_sub(1).max(usize::from(count == 1) * room);
        if at % (1 << size) != 0 || (1 << bits) - at < 1 << size {
            break;
        }
        let inner = source.word() as usize % (size + 1);
        let extent = |source: &mut Source, bits: usize| (1 << bits) - source.word() as usize % (1 << bits >> 1).max(1);
        let shape = vec![extent(source, size - inner), extent(source, inner)];
        let len = shape.iter().product();
        runs.push(OwnedRun {
            leaf: at,
            keys: source.integers(len, Width::Full),
            values: if source.word().is_multiple_of(2) { vec![] } else { source.integers(len, width) },
            sides: if source.word().is_multiple_of(3) { source.integers(len, Width::Bits) } else { vec![] },
            rows: if source.word().is_multiple_of(3) { source.elements(len) } else { vec![] },
            tag: source.word() >> 40,
            counts: (k % 2 == 1).then(|| source.integers(len, width).into_iter().map(|m| m.max(0)).collect()),
            shape,
        });
        at += 1 << size;
    }
    OwnedLeaves { bits, alpha: source.element(), beta: source.element(), runs }
}

struct OwnedRun {
    leaf: usize,
    shape: Vec<usize>,
    keys: Vec<i32>,
    values: Vec<i32>,
    sides: Vec<i32>,
    rows: Vec<Fr>,
    tag: u64,
    counts: Option<Vec<i32>>,
}

struct OwnedLeaves {
    bits: usize,
    alpha: Fr,
    beta: Fr,
    runs: Vec<OwnedRun>,
}

impl OwnedLeaves {
    fn borrowed(&self) -> Leaves<'_> {
        let runs = self.runs.iter().map(|run| LeafRun {
            leaf: run.leaf,
            shape: run.shape.as_slice().into(),
            keys: run.keys.as_slice().into(),
            values: run.values.as_slice().into(),
            sides: &run.sides,
            rows: run.rows.as_slice().into(),
            tag: run.tag,
            numerators: run.counts.as_deref().map_or(Numerators::Ones, Numerators::Minus),
        });
        Leaves { bits: self.bits, alpha: self.alpha, beta: self.beta, runs: runs.collect() }
    }
}

/// The claim of the next round at `r`, as the verifier has it: `claim = (1 - z) g(0) + z g(1)`. Nothing where that does not say
/// what `g(1)` is.
fn next_claim(claim: Fr, [g0, infinity]: [Fr; 2], z: Fr, r: Fr) -> Option<Fr> {
    let g1 = (claim - g0 + z * g0) * z.inverse()?;
    Some(g0 + r * (g1 - g0 - infinity) + r.square() * infinity)
}

/// A tree from the root to the leaves, through all rounds.
pub(super) fn trees<D: Device>(device: &D, bits: usize, runs: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let leaves = random_leaves(&mut source, bits, runs, width);
    let leaves = leaves.borrowed();
    let (mut tree, mut expected) = (device.fraction_tree(&leaves), Reference.fraction_tree(&leaves));
    assert_eq!(device.fraction_children(&tree), Reference.fraction_children(&expected));
    let mut bound = vec![];
    for k in 1..bits {
        let lambda = source.factor();
        let mut point = source.elements(1);
        point.extend(bound);
        let parent = Reference.fraction_children(&expected);
        let slope = Reference.fraction_descend(&mut expected, &point, lambda);
        assert_eq!(device.fraction_descend(&mut tree, &point, lambda), slope, "layer {k}");
        // What the trait says of g(0), by the verifier's relations.
        let line = |a: Fr, b: Fr| a + point[0] * (b - a);
        let mut claim = Some(line(parent[2], parent[3]) + lambda * line(parent[0], parent[1]));
        let mut round = [parent[2] + lambda * parent[0], slope];
        bound = vec![];
        for (j, coordinate) in point.iter().copied().enumerate().take(k) {
            let r = source.element();
            claim = claim.and_then(|claim| next_claim(claim, round, coordinate, r));
            bound.push(r);
            round = Reference.fraction_bind_round(&mut expected, r);
            assert_eq!(device.fraction_bind_round(&mut tree, r), round, "layer {k}, round {j}");
        }
        let [p0, p1, q0, q1] = Reference.fraction_children(&expected);
        let last = q0 * q1 + lambda * (p0 * q1 + p1 * q0);
        assert_eq!(last, claim.unwrap_or(last), "layer {k}");
        assert_eq!(device.fraction_children(&tree), Reference.fraction_children(&expected), "layer {k}");
    }
}

/// Terms of random blocks, each cut into factors of one or more axes with odd extents, in any order.
fn random_functional(source: &mut Source, bits: usize) -> Functional {
    let mut terms = Vec::new();
    for _ in 0..source.word() as usize % 6 {
        let block = source.word() as usize % (bits + 1);
        let offset = (source.word() as usize % (1 << (bits - block))) << block;
        let mut factors = Vec::new();
        let mut used = 0;
        while used < block {
            let width = 1 + source.word() as usize % (block - used).min(7);
            let extent = (1usize << width) - source.word() as usize % (1 << (width - 1));
            let offsets: Vec<usize> = (0..extent).map(|i| i << used).collect();
            let factor = FunctionalFactor { weights: source.elements(extent), offsets };
            used += width;
            // Two axes that are not neighbours may share a factor.
            match factors.first_mut() {
                Some(first) if source.word().is_multiple_of(4) => *first = joined(&factor, first),
                _ => factors.push(factor),
            }
        }
        if source.word().is_multiple_of(2) {
            factors.reverse();
        }
        terms.push(FunctionalTerm { offset, bits: block, coefficient: source.element(), factors });
    }
    Functional { bits, terms }
}

/// Both factors in one, `high` with the higher index bits.
fn joined(high: &FunctionalFactor, low: &FunctionalFactor) -> FunctionalFactor {
    let pairs = || (0..high.offsets.len()).flat_map(|h| (0..low.offsets.len()).map(move |l| (h, l)));
    FunctionalFactor {
        offsets: pairs().map(|(h, l)| high.offsets[h] + low.offsets[l]).collect(),
        weights: pairs().map(|(h, l)| high.weights[h] * low.weights[l]).collect(),
    }
}

pub(super) fn functionals<D: Device>(device: &D, bits: usize, leading: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let omega = random_functional(&mut source, bits);
    let f = source.integers(1 << bits, width);
    let products = device.functional_products(&device.integers(&f), &omega, leading);
    assert_eq!(products, Reference.functional_products(&&f[..], &omega, leading));
    let point = source.elements(leading);
    let bound = device.functional_bind(&omega, &point);
    assert_eq!(device.download(&bound), Reference.functional_bind(&omega, &point));
    // The first rounds from the products are those of the expanded sumcheck.
    let (mut a, mut b): (Vec<Fr>, _) = (f.iter().map(|x| Fr::from(*x)).collect(), omega.expand());
    let mut rounds = LeadingRounds::new(products);
    assert_eq!(rounds.total(), Reference.inner_product(&a, &b));
    for r in &point {
        assert_eq!(rounds.round(), Reference.product_round(&a, &b));
        rounds.bind(*r);
        Reference.bind(&mut a, *r);
        Reference.bind(&mut b, *r);
    }
}

pub(super) fn moves<D: Device>(device: &D, len: usize, seed: u64) {
    let mut source = Source::new(seed);
    let (a, b) = (source.elements(len), source.elements(len));
    let mut sum = device.elements(a.clone());
    device.add_assign(&mut sum, &device.elements(b.clone()));
    let mut expected = a.clone();
    Reference.add_assign(&mut expected, &b);
    assert_eq!(device.download(&sum), expected);
    // Every other entry moves up, to places in an order of their own.
    let from: Vec<usize> = (0..len).step_by(2).collect();
    let to: Vec<usize> = from.iter().rev().map(|at| at + 1).collect();
    let moved = device.rearrange(&device.elements(a.clone()), &from, &to, len + 3);
    assert_eq!(device.download(&moved), Reference.rearrange(&a, &from, &to, len + 3));
}

/// A layer of `2^n` fractions, from its leaves through all rounds.
fn fractions(device: &Cpu, reference: &Reference, n: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let leaves = source.integers(1 << n, width);
    let (p, q) = (source.elements(1 << n), source.elements(1 << n));
    let filled = |len: usize, fill: &dyn Fn([&mut [Fr]; 2])| {
        let (mut p, mut q) = (vec![Fr::ZERO; len], vec![Fr::ZERO; len]);
        fill([&mut p, &mut q]);
        (p, q)
    };
    let half = 1 << (n - 1);
    let expected = filled(half, &|out| reference.fraction_layer(&p, &q, out));
    assert_eq!(filled(half, &|out| device.fraction_layer(&p, &q, out)), expected);
    let ((p0, p1), (q0, q1)) = (leaves.split_at(half), q.split_at(half));
    let expected = filled(half, &|out| reference.fraction_layer_i32([p0, p1], [q0, q1], out));
    assert_eq!(filled(half, &|out| device.fraction_layer_i32([p0, p1], [q0, q1], out)), expected);
    if n > 1 {
        let expected = filled(half / 2, &|out| reference.fraction_layers_i32(&leaves, &q, out));
        assert_eq!(filled(half / 2, &|out| device.fraction_layers_i32(&leaves, &q, out)), expected);
    }
    let lambda = source.factor();
    let [high, low] = source.weights((1 << n) / 4);
    let eq = EqWeights { high: &high, low: &low };
    let around = source.elements(half);
    let beside = |array: &[Fr]| [&around[..], array, &around].concat();
    let mut layer = FractionLayer::within(beside(&p), beside(&q), half, half);
    assert_eq!(layer, FractionLayer::split(p, q.clone()));
    let expected = reference.fraction_slope_i32(&leaves, &q, eq, lambda);
    assert_eq!(device.fraction_slope_i32(&leaves, &q, eq, lambda), expected);
    assert_eq!(device.fraction_slope(&layer, eq, lambda), reference.fraction_slope(&layer, eq, lambda));
    assert_eq!(device.fraction_round(&layer, eq), reference.fraction_round(&layer, eq));
    if n == 1 {
        return;
    }
    let r = source.element();
    let expected = filled(half, &|out| reference.child_bind_i32(&leaves, &q, r, lambda, out));
    assert_eq!(filled(half, &|out| device.child_bind_i32(&leaves, &q, r, lambda, out)), expected);
    let eq_sum = low.iter().sum();
    let (p_low, q_low) = (&leaves[..low.len()], &q[..low.len()]);
    let expected = reference.weighed_leaves(p_low, q_low, &low, eq_sum, lambda);
    assert_eq!(device.weighed_leaves(p_low, q_low, &low, eq_sum, lambda), expected);
    let (mut scaled, mut expected) = (q.clone(), q.clone());
    device.scaled_integers(&leaves, lambda, &mut scaled);
    reference.scaled_integers(&leaves, lambda, &mut expected);
    assert_eq!(scaled, expected);
    let (first, second) = q.split_at(q.len() / 2);
    let (mut bound, mut expected) = (first.to_vec(), first.to_vec());
    device.bind_halves(&mut bound, second, r);
    reference.bind_halves(&mut expected, second, r);
    assert_eq!(bound, expected);
    for scale in [None, Some(lambda)] {
        let (mut bound, mut expected) = (layer.clone(), layer.clone());
        device.fraction_bind(&mut bound, r, scale);
        reference.fraction_bind(&mut expected, r, scale);
        assert_eq!(bound, expected);
    }
    while layer.len() > 1 {
        let r = source.element();
        let scale = source.word().is_multiple_of(2).then_some(lambda);
        let [high, low] = source.weights(layer.len() / 4);
        let eq = EqWeights { high: &high, low: &low };
        let mut expected = layer.clone();
        let g = reference.layer_bind_round(&mut expected, r, scale, eq);
        assert_eq!(device.layer_bind_round(&mut layer, r, scale, eq), g);
        assert_eq!(layer, expected);
    }
}

fn lookup_denominators(device: &Cpu, reference: &Reference, len: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let (keys, values) = (source.integers(len, Width::Full), source.integers(len, width));
    let (alpha, weights) = (source.element(), [source.element(), source.element()]);
    for values in [&values[..], &[]] {
        let (mut prints, mut expected) = (vec![Fr::ZERO; len], vec![Fr::ZERO; len]);
        device.fingerprints(&keys, values, &mut prints, alpha, weights);
        reference.fingerprints(&keys, values, &mut expected, alpha, weights);
        assert_eq!(prints, expected);
    }
}

pub(super) fn axis_maps<D: Device>(
    device: &D,
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
    let mapped = device.axis_map_i32(&device.integers(&integers), outer, inner, &matrix);
    assert_eq!(device.download(&mapped), Reference.axis_map_i32(&&integers[..], outer, inner, &matrix));
    let elements = source.elements(outer * len * inner);
    let mapped = device.axis_map_fr(&device.elements(elements.clone()), outer, inner, &matrix);
    assert_eq!(device.download(&mapped), Reference.axis_map_fr(&elements, outer, inner, &matrix));
}

pub(super) fn commitments<D: Device>(device: &D, row_len: usize, rows: usize, width: Width, seed: u64) {
    let mut source = Source::new(seed);
    let bases: Vec<G1Affine> = (0..row_len).map(|_| (G1Affine::generator() * source.element()).into_affine()).collect();
    let values = source.integers(rows * row_len, width);
    let there = device.points(&bases);
    let commitments = device.commit_rows(&there, &device.integers(&values), row_len);
    assert_eq!(commitments, Reference.commit_rows(&&bases[..], &&values[..], row_len));
    assert_eq!(device.point_count(&there), row_len);
    let scalars = source.elements(row_len);
    assert_eq!(device.msm(&there, &device.elements(scalars.clone())), Reference.msm(&&bases[..], &scalars));
    let parts = [&scalars[..], &scalars[..row_len / 4], &[], &scalars[row_len / 2..]];
    assert_eq!(device.msm_rows(&there, &parts), Reference.msm_rows(&&bases[..], &parts));
}

fn layer_kernels(device: &Cpu) {
    check(64, (1..9usize, widths(), any::<u64>()), |(n, width, seed)| fractions(device, &Reference, n, width, seed));
    check(48, (0..70usize, widths(), any::<u64>()), |(len, width, seed)| {
        lookup_denominators(device, &Reference, len, width, seed);
    });
    for (seed, width) in [(1, Width::Mixed), (SATURATED, Width::Full)] {
        fractions(device, &Reference, 15, width, seed);
        lookup_denominators(device, &Reference, 9001, width, seed);
    }
}

/// The kernels for AVX2, or portable ones where there is none.
fn avx2() -> Cpu {
    Cpu::avx2().unwrap_or_else(|| {
        eprintln!("SKIPPED: no AVX2 with FMA, so its kernels are not tested");
        Cpu::portable()
    })
}

conformance_suite!(cpu, Cpu::new());
conformance_suite!(portable_cpu, Cpu::portable());
conformance_suite!(avx2_cpu, avx2());
#[cfg(target_os = "linux")]
conformance_suite!(emulated_cuda, super::super::cuda::emulated());
conformance_suite!(
    cuda_card,
    match card() {
        Some(card) => card,
        None => return,
    }
);

/// The first card. Where there is none nothing is tested, unless `ASSAY_REQUIRE_CUDA` is set, as `cuda/on-card` does.
fn card() -> Option<super::cuda::Cuda> {
    match super::cuda::Cuda::open(0) {
        Ok(card) => Some(card),
        Err(e) if std::env::var_os("ASSAY_REQUIRE_CUDA").is_some() => panic!("{e}"),
        Err(e) => {
            eprintln!("SKIPPED: no kernel ran on a card: {e}");
            None
        }
    }
}

#[test]
fn layer_kernels_conform() {
    layer_kernels(&Cpu::new());
    layer_kernels(&Cpu::portable());
    layer_kernels(&avx2());
}

/// Nothing else is handed over.
#[cfg(target_os = "linux")]
#[test]
fn products_by_a_library_conform() {
    let device = Cpu::new().with_icicle(Some(crate::msm::icicle::tests::honest()));
    check(6, (1..20usize, 0..4usize, widths(), any::<u64>()), |(row_len, rows, width, seed)| {
        commitments(&device, row_len, rows, width, seed);
    });
    commitments(&device, 300, 2, Width::Full, 1);
    assert_eq!(device.icicle().and_then(crate::msm::icicle::Icicle::trouble), None);
}

#[test]
fn one_thread_conforms() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    pool.install(|| {
        layer_kernels(&Cpu::new());
        products(&Cpu::new(), 15, Width::Mixed, 1);
        trees(&Cpu::new(), 14, 3, Width::Mixed, 1);
        axis_maps(&Cpu::new(), [300, 301, 1, 2], true, Width::Full, 1);
    });
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
