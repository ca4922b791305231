use ark_ec::{AffineRepr, PrimeGroup};
use ark_ff::{Field, UniformRand};
use ark_std::{rand::Rng, test_rng};
use proptest::prelude::*;

use super::*;

/// Multiples of the generator by consecutive squares: distinct and cheap.
fn bases(n: usize) -> Vec<G1Affine> {
    let mut step = G1Projective::generator();
    let mut point = step;
    let points: Vec<G1Projective> = (0..n)
        .map(|_| {
            point += step;
            step.double_in_place();
            point
        })
        .collect();
    G1Projective::normalize_batch(&points)
}

/// Every compilation of the kernels that this machine can run.
fn vectors() -> impl Iterator<Item = Option<Vector>> {
    core::iter::once(None).chain(Vector::avx512().map(Some)).chain(Vector::avx2().map(Some))
}

fn check(bases: &[G1Affine], values: &[i32], row_len: usize) {
    let expected = reference::commit_rows(bases, values, row_len);
    for vector in vectors() {
        assert_eq!(commit_rows_with(vector, bases, values, row_len), expected, "{vector:?}");
    }
}

fn check_full(bases: &[G1Affine], rows: &[&[Fr]]) {
    let expected: Vec<G1Projective> = rows.iter().map(|row| reference::msm(bases, row)).collect();
    for vector in vectors() {
        assert_eq!(msm_many_with(vector, bases, rows), expected, "{vector:?}");
    }
}

#[test]
fn extreme_values() {
    let bases = bases(8);
    check(&bases, &[i32::MIN; 8], 8);
    check(&bases, &[i32::MAX; 8], 8);
    check(&bases, &[i32::MIN, i32::MAX, 0, -1, 1, 127, -128, 128], 8);
    check(&bases, &[i32::MIN, i32::MAX, 0, -1, 1, 127, -128, 128], 4);
    check(&bases, &[i32::MIN, i32::MAX, 0, -1, 1, 127, -128, 128], 1);
    check(&bases, &[0; 16], 8);
    assert!(commit_rows(&bases, &[], 8).is_empty());
}

#[test]
fn equal_rows_of_equal_values() {
    let bases = bases(300);
    for value in [1, -1, 77, -128, 255, 40_000, i32::MIN] {
        check(&bases, &[value; 900], 300);
    }
}

#[test]
fn repeated_points_opposite_points_and_infinity() {
    let g = G1Affine::generator();
    let doubled = [g; 64];
    check(&doubled, &[5; 64], 64);
    let values: Vec<i32> = (0..64).map(|i| if i % 2 == 0 { 300 } else { -300 }).collect();
    check(&doubled, &values, 64);
    assert_eq!(commit_rows(&doubled, &values, 64), [G1Affine::identity()]);
    let mut mixed = bases(64);
    for i in (0..64).step_by(3) {
        mixed[i] = G1Affine::identity();
    }
    mixed[1] = -mixed[2];
    check(&mixed, &[9; 64], 64);
    check(&mixed, &values, 64);
}

#[test]
fn every_window_width_and_part() {
    let mut rng = test_rng();
    let bases = bases(3000);
    for bits in 1..=31 {
        let values: Vec<i32> = (0..3000).map(|_| rng.gen_range(-(1i64 << bits)..1i64 << bits) as i32).collect();
        check(&bases, &values[..600], 600);
        if bits % 8 == 0 {
            check(&bases, &values, 3000);
        }
    }
    // Mostly small, the odd one large.
    let mut values = vec![3; 3000];
    values[77] = i32::MAX;
    values[1500] = i32::MIN;
    check(&bases, &values, 3000);
    check(&bases, &values, 100);
}

#[test]
fn halves_are_small_and_recombine() {
    let mut rng = test_rng();
    let lambda = <ark_bn254::g1::Config as ark_ec::scalar_mul::glv::GLVConfig>::LAMBDA;
    let mut scalars: Vec<Fr> = (0..2000).map(|_| Fr::rand(&mut rng)).collect();
    scalars.extend([Fr::ZERO, Fr::ONE, -Fr::ONE, lambda, -lambda, Fr::from(2u8).inverse().unwrap()]);
    let signed = |half: i128| {
        let size = Fr::from(half.unsigned_abs());
        if half < 0 { -size } else { size }
    };
    for (pair, scalar) in glv::split(&scalars).chunks(2).zip(&scalars) {
        assert_eq!(signed(pair[0]) + lambda * signed(pair[1]), *scalar);
        assert!(pair.iter().all(|half| half.unsigned_abs() <= glv::HALF_LIMIT as u128));
    }
    let bases = bases(3);
    for (pair, base) in glv::with_images(&bases).chunks(2).zip(&bases) {
        let pair: [G1Affine; 2] = [pair[0].into(), pair[1].into()];
        assert_eq!(pair, [*base, (*base * lambda).into_affine()]);
    }
}

#[test]
fn digits_recombine_at_every_width() {
    let recombine = |tasks: &[Task], digit: &dyn Fn(&Task) -> i32| -> i128 {
        let terms = tasks.iter().map(|task| {
            let digit = digit(task);
            assert!(digit.unsigned_abs() as usize <= task.buckets, "{digit} in {task:?}");
            i128::from(digit) << task.shift
        });
        terms.sum()
    };
    for width in plan::MIN_WINDOW..=plan::MAX_WINDOW {
        let limit = glv::HALF_LIMIT;
        let tasks = plan::windows(0, 0..1, width, glv::HALF_BITS, -limit..limit);
        for value in [-limit, limit, 0, 1, -1, limit / 3, -limit / 7, (1 << 126) - 1, -(1 << 125)] {
            assert_eq!(recombine(&tasks, &|task| plan::wide_digit(task, value)), value);
        }
    }
    for width in 1..=plan::MAX_WINDOW {
        let bounds = i128::from(i32::MIN)..i128::from(i32::MAX);
        let tasks = plan::windows(0, 0..1, width, 32, bounds);
        for value in [i32::MIN, i32::MAX, 0, 1, -1, 255, -256, i32::MIN + 1, 0x5555_5555] {
            let sum = recombine(&tasks, &|task| plan::small_digit(task, value));
            assert_eq!(sum, i128::from(value));
        }
    }
}

#[test]
fn full_width_edge_scalars() {
    let bases = bases(40);
    assert_eq!(msm(&bases, &[]), G1Projective::ZERO);
    assert_eq!(msm(&[], &[]), G1Projective::ZERO);
    for scalar in [Fr::ZERO, Fr::ONE, -Fr::ONE, Fr::from(2u8).inverse().unwrap()] {
        let scalars = [scalar; 40];
        check_full(&bases, &[&scalars]);
    }
    let same = [bases[0]; 40];
    let mut scalars = [Fr::ONE; 40];
    scalars[39] = -Fr::from(39u8);
    assert_eq!(msm(&same, &scalars), G1Projective::ZERO);
    check_full(&same, &[&scalars]);
    for n in 0..20 {
        check_full(&bases, &[&scalars[..n], &scalars[20..]]);
    }
}

/// Points among which equal, opposite and infinite ones are frequent.
fn colliding_points(rng: &mut impl Rng, n: usize) -> Vec<Point> {
    let few = bases(3);
    (0..n)
        .map(|_| match rng.gen_range(0..4) {
            0 => Point::INFINITY,
            k => Point::from(&few[k - 1]).signed(rng.r#gen()),
        })
        .collect()
}

#[test]
fn segments_of_colliding_points() {
    let mut rng = test_rng();
    let fresh: Vec<Point> = bases(200).iter().map(Point::from).collect();
    for vector in vectors() {
        let mut segments = segments::Segments::default();
        let (mut sums, mut starts) = (Vec::new(), Vec::new());
        for round in 0..60 {
            // Collisions in every lane, in a few lanes, and in none.
            let mut points = fresh.clone();
            let colliding = colliding_points(&mut rng, 200);
            for (point, other) in points.iter_mut().zip(&colliding) {
                if rng.gen_range(0..3) < round % 3 {
                    *point = *other;
                }
            }
            let lens: Vec<u32> = (0..rng.gen_range(0..40)).map(|_| rng.gen_range(0..[3, 9, 70][round % 3])).collect();
            let count: u32 = lens.iter().sum();
            let places: Vec<affine::Place> = (0..count)
                .map(|_| rng.gen_range(0..points.len() as u32) | if rng.r#gen() { affine::NEGATIVE } else { 0 })
                .collect();
            segments.sum(vector, &points, &places, &lens, &mut sums, &mut starts);
            let mut rest = places.as_slice();
            for (len, start) in lens.iter().zip(&starts) {
                let (segment, after) = rest.split_at(*len as usize);
                rest = after;
                let term = |place: &affine::Place| -> G1Affine {
                    let point = points[(place & !affine::NEGATIVE) as usize];
                    point.signed(place & affine::NEGATIVE != 0).into()
                };
                let expected: G1Projective = segment.iter().map(term).sum();
                if *len > 0 {
                    assert_eq!(G1Affine::from(sums[*start as usize]), expected.into_affine(), "{vector:?}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "outside")]
fn an_addition_outside_of_its_points_is_refused() {
    let Some(vector) = Vector::detect() else { panic!("outside: nothing to test without vectors") };
    let points: Vec<Point> = bases(8).iter().map(Point::from).collect();
    let mut additions = [affine::Addition { a: 0, b: 1, to: 0 }; 8];
    additions[5].b = 8 | affine::NEGATIVE;
    let mut out = vec![Point::INFINITY; 8];
    affine::add(Some(vector), &affine::Summands::Apart(&points), &additions, &mut out, &mut affine::Scratch::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rows_match_the_definition(
        row_len in 1usize..130,
        rows in 0usize..6,
        seed in any::<u64>(),
        bits in 0u32..=31,
        zero_part in 0u32..4,
    ) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 32
        };
        let values: Vec<i32> = (0..rows * row_len)
            .map(|_| if next() % 4 < u64::from(zero_part) { 0 } else { next() as i32 >> (31 - bits) })
            .collect();
        let bases = bases(row_len);
        check(&bases, &values, row_len);
    }

    #[test]
    fn full_width_matches_the_definition(lens in prop::collection::vec(0usize..200, 1..4)) {
        let mut rng = test_rng();
        let bases = bases(200);
        let rows: Vec<Vec<Fr>> = lens.iter().map(|&n| (0..n).map(|_| Fr::rand(&mut rng)).collect()).collect();
        let refs: Vec<&[Fr]> = rows.iter().map(Vec::as_slice).collect();
        check_full(&bases, &refs);
    }
}
