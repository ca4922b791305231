//! Benchmarks of the device's kernels and of the commitments. Throughput is per field element, point or leaf.
//!
//! `cargo bench -p assay-benches --bench kernels`; set `RAYON_NUM_THREADS` to fix the threads.

use ark_bn254::{Fr, G1Affine};
use ark_ff::{Field, Zero};
use assay_prover::{
    device::{AxisMatrix, Cpu, Device, LeafRun, Leaves, Numerators, cuda::Cuda},
    opening,
    srs::Srs,
};
use assay_verifier::keccak::KeccakTranscript;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, time::Duration};

/// Elements of the field kernels: 2 MiB, more than a core's first caches.
const ELEMENTS_LOG: usize = 16;

/// Points of a commitment row.
const ROW_LOG: u32 = 12;

/// Multiply-adds that a product of two elements takes at least, for as many elements as there are lanes: a product of limbs and one of the
/// reduction, each a high and a low half. (AVX-512: five limbs of 52 bits in eight lanes, and five for the quotient's digits. AVX2: five limbs of 51 bits as
/// doubles in four.)
const MULTIPLY_ADDS: [(usize, usize); 2] = [(105, 8), (100, 4)];

/// What one thread of this machine can do at most: products of elements, if nothing but their multiply-adds took time.
#[cfg(target_arch = "x86_64")]
mod floor {
    #![allow(unsafe_code)]
    use std::arch::x86_64::*;

    /// Chains side by side: more than an instruction's latency.
    const CHAINS: usize = 12;

    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn ifma(count: usize) -> u64 {
        let (a, b) = (_mm512_set1_epi64(0x1234_5678_9abc), _mm512_set1_epi64(0x0fed_cba9_8765));
        let mut sums = [_mm512_setzero_si512(); CHAINS];
        for _ in 0..count / CHAINS {
            for s in &mut sums {
                *s = _mm512_madd52lo_epu64(*s, a, b);
            }
        }
        sums.into_iter().fold(0, |t, s| t ^ _mm512_reduce_add_epi64(s) as u64)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn doubles(count: usize) -> f64 {
        let (a, b) = (_mm256_set1_pd(1.000_001), _mm256_set1_pd(0.999_999));
        let mut sums = [_mm256_setzero_pd(); CHAINS];
        for _ in 0..count / CHAINS {
            for s in &mut sums {
                *s = _mm256_fmadd_pd(*s, a, b);
            }
        }
        let mut out = [0.0; 4];
        // SAFETY: four doubles have room for a vector of them.
        sums.into_iter().for_each(|s| unsafe {
            _mm256_storeu_pd(out.as_mut_ptr(), _mm256_add_pd(s, _mm256_loadu_pd(out.as_ptr())))
        });
        out[0]
    }
}

/// The floor, in products of elements.
fn floors(c: &mut Criterion) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        const PRODUCTS: usize = 1 << 13;
        let mut group = c.benchmark_group("floor of products, one thread");
        group.throughput(Throughput::Elements(PRODUCTS as u64));
        let [(ifma, wide), (doubles, narrow)] = MULTIPLY_ADDS;
        if has!("avx512ifma") && has!("avx512f") {
            // SAFETY: the instructions are there.
            #[allow(unsafe_code)]
            group.bench_function("AVX-512 IFMA", |b| {
                b.iter(|| unsafe { floor::ifma(black_box(PRODUCTS * ifma / wide)) })
            });
        }
        if has!("avx2") && has!("fma") {
            // SAFETY: the instructions are there.
            #[allow(unsafe_code)]
            group.bench_function("AVX2", |b| {
                b.iter(|| unsafe { floor::doubles(black_box(PRODUCTS * doubles / narrow)) })
            });
        }
        group.finish();
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = c;
}

/// Runs an expression with each device, `$device`, named `$name`: with vector instructions where the machine has them, without, and on the first
/// CUDA card where there is one. The processor's integers and points are where they are, a card's are copied to it.
macro_rules! on_devices {
    (|$name:ident, $device:ident| $work:expr) => {{
        for (name, cpu) in [("cpu", Cpu::new()), ("portable", Cpu::portable())] {
            let ($name, $device) = (name, &cpu);
            $work
        }
        if let Ok(card) = Cuda::open(0) {
            let ($name, $device) = ("cuda", &card);
            $work
        }
    }};
}

/// Pseudo-random elements, the same in every run.
fn elements(len: usize, seed: u64) -> Vec<Fr> {
    let mut state = Fr::from(seed + 2).inverse().unwrap_or(Fr::ONE);
    (0..len)
        .map(|_| {
            state = state * state + Fr::from(seed + 1);
            state
        })
        .collect()
}

/// Pseudo-random integers of `bits` bits and both signs.
fn integers(len: usize, bits: u32) -> Vec<i32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 32) as i32 >> (32 - bits)
        })
        .collect()
}

fn multiply_accumulate(c: &mut Criterion) {
    let data = integers(1 << 20, 8);
    on_devices!(|name, device| {
        let mut group = c.benchmark_group(format!("axis_map_i32/{name}"));
        group.throughput(Throughput::Elements(data.len() as u64));
        let data = device.integers(&data);
        for inner in [1usize, 1 << 12] {
            let matrix = AxisMatrix::dense_row(&elements(1 << 8, 1));
            let outer = (1 << 20) / matrix.len / inner;
            group.bench_function(format!("dense row, inner {inner}"), |b| {
                b.iter(|| device.axis_map_i32(black_box(&data), outer, inner, &matrix));
            });
        }
        group.finish();
    });
}

fn sumcheck_rounds(c: &mut Criterion) {
    let (a, b) = (elements(1 << ELEMENTS_LOG, 2), elements(1 << ELEMENTS_LOG, 3));
    let small = integers(1 << ELEMENTS_LOG, 8);
    let r = elements(1, 4)[0];
    on_devices!(|name, device| {
        let mut group = c.benchmark_group(format!("sumcheck/{name}"));
        group.throughput(Throughput::Elements(1 << ELEMENTS_LOG));
        let (left, right) = (device.elements(a.clone()), device.elements(b.clone()));
        let integers = device.integers(&small);
        group.bench_function("round", |bench| bench.iter(|| device.product_round(black_box(&left), &right)));
        group.bench_function("round, integers", |bench| {
            bench.iter(|| device.product_round_i32(black_box(&integers), &right))
        });
        group.bench_function("bind and round", |bench| {
            bench.iter_batched_ref(
                || (device.elements(a.clone()), device.elements(b.clone())),
                |(a, b)| device.product_bind_round(a, b, r),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    });
}

/// A whole fraction tree over lookups, with its layer sumchecks; all challenges are equal, which costs the same.
fn fraction_tree(device: &impl Device, leaves: &Leaves<'_>, r: Fr) -> Fr {
    let mut tree = device.fraction_tree(leaves);
    let mut total = Fr::zero();
    for k in 1..leaves.bits {
        total += device.fraction_descend(&mut tree, &vec![r; k], r);
        for _ in 0..k {
            total += device.fraction_bind_round(&mut tree, r)[0];
        }
    }
    total + device.fraction_children(&tree)[0]
}

fn lookups(c: &mut Criterion) {
    let bits = ELEMENTS_LOG;
    let (keys, values) = (integers(1 << bits, 16), integers(1 << bits, 8));
    let r = elements(1, 5)[0];
    let run = LeafRun {
        leaf: 0,
        shape: vec![1 << bits].into(),
        keys: keys.as_slice().into(),
        values: values.as_slice().into(),
        sides: &[],
        rows: (&[]).into(),
        tag: 1,
        numerators: Numerators::Ones,
    };
    let leaves = Leaves { bits, alpha: r, beta: r, runs: vec![run] };
    on_devices!(|name, device| {
        let mut group = c.benchmark_group(format!("lookup/{name}"));
        group.throughput(Throughput::Elements(1 << bits));
        group.bench_function("sums", |b| b.iter(|| device.fraction_tree(black_box(&leaves))));
        group.bench_function("whole tree", |b| b.iter(|| fraction_tree(device, black_box(&leaves), r)));
        group.finish();
    });
}

fn srs() -> Vec<G1Affine> {
    Srs::development(ROW_LOG, 1).map(|srs| srs.g1_powers).unwrap_or_default()
}

fn commitments(c: &mut Criterion) {
    let bases = srs();
    let len = 1usize << ROW_LOG;
    on_devices!(|name, device| {
        let mut group = c.benchmark_group(format!("msm/{name}"));
        let points = device.points(&bases);
        // A row, as a small network has it, and as many rows as have 2^20 values.
        for rows in [1, (1 << 20) / len] {
            group.throughput(Throughput::Elements((rows * len) as u64));
            for bits in [8, 16] {
                let values = integers(rows * len, bits);
                let values = device.integers(&values);
                group.bench_function(format!("i{bits}, {rows} rows"), |b| {
                    b.iter(|| device.commit_rows(&points, black_box(&values), len));
                });
            }
        }
        let scalars = device.elements(elements(len, 6));
        group.throughput(Throughput::Elements(len as u64));
        group.bench_function("full width", |b| b.iter(|| device.msm(&points, black_box(&scalars))));
        group.finish();
    });
}

fn openings(c: &mut Criterion) {
    let bases = srs();
    let (h, point) = (elements(1 << ROW_LOG, 7), elements(ROW_LOG as usize, 8));
    on_devices!(|name, device| {
        let mut group = c.benchmark_group(format!("opening/{name}"));
        group.throughput(Throughput::Elements(h.len() as u64));
        let points = device.points(&bases);
        group.bench_function("open", |b| {
            b.iter(|| opening::open(device, &points, black_box(&h), &point, &mut KeccakTranscript::new(b"bench")));
        });
        group.finish();
    });
}

criterion_group! {
    name = kernels;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = floors, multiply_accumulate, sumcheck_rounds, lookups, commitments, openings
}
criterion_main!(kernels);
