//! The arithmetic in 51-bit digits against that of the field.

use super::*;
use ark_bn254::{Fq, Fr};
use ark_ff::{BigInt, PrimeField};
use proptest::prelude::*;

/// Stored forms of all kinds: any, and those whose digits or words are at their bounds.
fn stored<M: Modulus>() -> impl Strategy<Value = [u64; 5]> {
    let any = || 0..=MASK;
    let edge = || prop_oneof![Just(0), Just(1), Just(MASK), Just(MASK - 1), Just(1 << 50), any()];
    prop_oneof![
        (edge(), edge(), edge(), edge(), 0..M::P[4]).prop_map(|(a, b, c, d, e)| [a, b, c, d, e]),
        (any(), any(), any(), any(), 0..M::P[4]).prop_map(|(a, b, c, d, e)| [a, b, c, d, e]),
        (0..4u64).prop_map(|x| [x, 0, 0, 0, 0]),
        (1..4u64).prop_map(|x| [M::P[0] - x, M::P[1], M::P[2], M::P[3], M::P[4]]),
    ]
}

fn lanes(values: [[u64; 5]; 4]) -> Value {
    core::array::from_fn(|j| {
        let words: [u64; 4] = core::array::from_fn(|k| values[k][j]);
        // SAFETY: the array is one vector long.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast::<__m256i>()) }
    })
}

fn unlaned(v: Value) -> [[u64; 5]; 4] {
    let by_digit = v.map(words);
    core::array::from_fn(|k| core::array::from_fn(|j| by_digit[j][k]))
}

/// The residue of digits, the last of which may be large.
fn residue<F: PrimeField>(d: [u64; 5]) -> F {
    let base = F::from(1u64 << 51);
    d.iter().rev().fold(F::from(0u64), |sum, x| sum * base + F::from(*x))
}

fn below_p<M: Modulus>(d: &[u64; 5]) -> bool {
    d[..4].iter().all(|x| *x <= MASK) && d.iter().rev().lt(M::P.iter().rev())
}

/// `a b / 2^255`, and sums, for one prime.
fn check<M: Modulus, F: PrimeField>(a: [[u64; 5]; 4], b: [[u64; 5]; 4], c: [[u64; 5]; 4]) {
    #[target_feature(enable = "avx2,fma")]
    fn compute<M: Modulus>(a: Value, b: Value, c: Value) -> [Value; 10] {
        let product = mul(a, b);
        let sum = mul_add(product, b, c);
        // Twice `p` at most, as the kernels' differences are.
        let loose = carry(difference::<M>(a, c));
        let both = mul(loose, carry(difference::<M>(b, a)));
        let scaled = mul(halved::<M>(a), b);
        let reduced = carries(reductions::<M>([mul_add(mul_add(both, loose, loose), loose, b), product]))[0];
        let [product, scaled] = canonical::<M>(reductions::<M>([product, scaled]));
        let [sum, both] = canonical4::<M>(reductions::<M>([sum, both]));
        let [shrunk, _] = shrunk::<M>([reduced, loose]);
        let [_, last] = canonical4::<M>(reductions::<M>([mul(c, c), mul(a, shrunk)]));
        let [residue, _] = canonical::<M>([loose, a]);
        let [square, loosely] = canonical4::<M>(reductions::<M>([square(a), square(loose)]));
        [product, sum, both, scaled, reduced, last, residue, carry(difference::<M>(loose, a)), square, loosely]
    }
    if Available::detect().is_none() {
        return;
    }
    // SAFETY: the instructions were detected.
    let out = unsafe { compute::<M>(lanes(a), lanes(b), lanes(c)) }.map(unlaned);
    let divisor = F::from(2u64).pow([255]).inverse().unwrap();
    let half = F::from(2u64).inverse().unwrap();
    for k in 0..4 {
        let [x, y, z] = [a[k], b[k], c[k]].map(residue::<F>);
        let sum = x * y + y * z;
        let both = (x - z) * (y - x);
        let reduced = (both + (x - z) * (x - z) + (x - z) * y) * divisor;
        let expected = [
            x * y * divisor,
            sum * divisor,
            both * divisor,
            x * y * half * divisor,
            reduced,
            x * reduced * divisor,
            x - z,
            x - z - x,
            x * x * divisor,
            (x - z) * (x - z) * divisor,
        ];
        for (i, (got, expected)) in out.iter().map(|v| v[k]).zip(expected).enumerate() {
            assert_eq!(residue::<F>(got), expected, "result {i} in lane {k}");
            if ![4, 7].contains(&i) {
                assert!(below_p::<M>(&got), "result {i} in lane {k} is not canonical: {got:?}");
            }
        }
    }
}

fn four<M: Modulus>() -> impl Strategy<Value = [[u64; 5]; 4]> {
    [stored::<M>(), stored::<M>(), stored::<M>(), stored::<M>()]
}

proptest! {
    #[test]
    fn scalars_multiply(a in four::<ScalarField>(), b in four::<ScalarField>(), c in four::<ScalarField>()) {
        check::<ScalarField, Fr>(a, b, c);
    }

    #[test]
    fn coordinates_multiply(a in four::<BaseField>(), b in four::<BaseField>(), c in four::<BaseField>()) {
        check::<BaseField, Fq>(a, b, c);
    }

    #[test]
    fn words_are_digits(x in any::<[u64; 4]>(), y in any::<[u64; 4]>()) {
        let d = digits(x);
        prop_assert!(d[..4].iter().all(|x| *x <= MASK));
        if Available::detect().is_some() {
            let rows = [x, y, [u64::MAX; 4], [0; 4]];
            #[target_feature(enable = "avx2,fma")]
            fn there_and_back(v: [__m256i; 4]) -> (Value, [__m256i; 4]) {
                let value = from_words(v);
                (value, to_words(value))
            }
            let columns: [__m256i; 4] = core::array::from_fn(|j| {
                let words: [u64; 4] = core::array::from_fn(|k| rows[k][j]);
                // SAFETY: the array is one vector long.
                unsafe { _mm256_loadu_si256(words.as_ptr().cast::<__m256i>()) }
            });
            // SAFETY: the instructions were detected.
            let (value, back) = unsafe { there_and_back(columns) };
            prop_assert_eq!(unlaned(value), rows.map(digits));
            prop_assert_eq!(back.map(words), columns.map(words));
        }
    }
}

#[test]
fn constants_are_those_of_the_primes() {
    fn check<M: Modulus, F: PrimeField>(p: BigInt<4>) {
        assert_eq!(M::P, digits(p.0));
        assert_eq!(M::P[0].wrapping_mul(M::INV) & MASK, MASK, "p INV = -1");
        assert!(M::P[4] < 1 << 50 && M::P2[4] >= 2 * M::P[4]);
        for (shift, power) in [(M::SHIFT, 51), (M::SHIFT2, 102)] {
            assert!(residue::<F>(shift) * F::from(2u64).pow([power]) == F::ONE && below_p::<M>(&shift));
        }
    }
    check::<ScalarField, Fr>(<Fr as PrimeField>::MODULUS);
    check::<BaseField, Fq>(<Fq as PrimeField>::MODULUS);
}
