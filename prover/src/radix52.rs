//! Eight field elements at once in 52-bit limbs, for the multiply-add of AVX-512 (IFMA).
//!
//! A value is five vectors of 52-bit limbs, limb `j` of eight elements in vector `j`. Reduction divides by `2^260`.
//! Everything here is inlined into code that is compiled for the instructions, which runs only for the holder of an
//! [`Available`]: the one obligation of the intrinsics that do not touch memory.

#![allow(unsafe_code)]
// Several values are read at the same limb.
#![allow(clippy::needless_range_loop)]

use ark_bn254::{FqConfig, FrConfig};
use ark_ff::MontConfig;
use std::arch::x86_64::*;

/// Proof that this machine has the instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Available(());

impl Available {
    /// Asks the machine.
    pub(crate) fn detect() -> Option<Self> {
        let available = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma");
        available.then_some(Self(()))
    }
}

/// Bits of a limb.
pub(crate) const MASK: u64 = (1 << 52) - 1;

/// A prime that products are reduced by.
pub(crate) trait Modulus {
    /// The modulus `p`, below `2^254`, in 52-bit limbs.
    const P52: [u64; 5];
    /// `-p^-1 mod 2^52`.
    const INV52: u64;
    /// `2^-52 mod p`.
    const SHIFT52: [u64; 5] = divided::<52>([1, 0, 0, 0, 0], Self::P52, Self::INV52);
    /// `2^-104 mod p`.
    const SHIFT104: [u64; 5] = divided::<52>(Self::SHIFT52, Self::P52, Self::INV52);
}

/// `x / 2^BITS mod p`, all in digits of so many bits; `inv` is `-p^-1 mod 2^BITS`, and `x` at most `p`.
pub(crate) const fn divided<const BITS: u32>(x: [u64; 5], p: [u64; 5], inv: u64) -> [u64; 5] {
    let mask = (1u64 << BITS) - 1;
    let multiple = x[0].wrapping_mul(inv) & mask;
    let mut out = [0; 5];
    let mut carry = 0u128;
    let mut j = 0;
    while j < 5 {
        let sum = x[j] as u128 + multiple as u128 * p[j] as u128 + carry;
        if j > 0 {
            out[j - 1] = sum as u64 & mask;
        }
        carry = sum >> BITS;
        j += 1;
    }
    out[4] = carry as u64;
    out
}

/// The order of BN254's groups.
pub(crate) struct ScalarField;

impl Modulus for ScalarField {
    const P52: [u64; 5] = limbs52(FrConfig::MODULUS.0);
    const INV52: u64 = FrConfig::INV & MASK;
}

/// The field of BN254's coordinates.
pub(crate) struct BaseField;

impl Modulus for BaseField {
    const P52: [u64; 5] = limbs52(FqConfig::MODULUS.0);
    const INV52: u64 = FqConfig::INV & MASK;
}

/// The 52-bit limbs of a 256-bit integer.
pub(crate) const fn limbs52(x: [u64; 4]) -> [u64; 5] {
    [
        x[0] & MASK,
        (x[0] >> 52 | x[1] << 12) & MASK,
        (x[1] >> 40 | x[2] << 24) & MASK,
        (x[2] >> 28 | x[3] << 36) & MASK,
        x[3] >> 16,
    ]
}

/// Eight elements, one vector for each limb.
pub(crate) type Value = [__m512i; 5];

/// Columns of products, to be read as `sum_i column_i 2^(52 i)`.
pub(crate) type Columns = [__m512i; 10];

/// The same word in all lanes.
#[inline(always)]
pub(crate) fn splat(x: u64) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_set1_epi64(x as i64) }
}

/// Propagates carries upwards: all limbs but the last are below `2^52` after it. Limbs may be negative.
#[inline(always)]
pub(crate) fn carry(mut v: Value) -> Value {
    // SAFETY: see the module.
    unsafe {
        for j in 0..4 {
            v[j + 1] = _mm512_add_epi64(v[j + 1], _mm512_srai_epi64::<52>(v[j]));
            v[j] = _mm512_and_si512(v[j], splat(MASK));
        }
    }
    v
}

/// The residues of values that are mostly below `2p`.
#[inline(always)]
pub(crate) fn canonical<M: Modulus>(v: Value) -> Value {
    // SAFETY: see the module.
    unsafe {
        // Comparing the top limb decides except within 2^-44 of `p`; the rare rest is settled exactly.
        let top = _mm512_add_epi64(v[4], _mm512_srai_epi64::<52>(v[3]));
        let over = _mm512_cmpgt_epi64_mask(top, splat(M::P52[4]));
        let mut w = v;
        for j in 0..5 {
            w[j] = _mm512_mask_sub_epi64(w[j], over, w[j], splat(M::P52[j]));
        }
        settle::<M>(carry(w))
    }
}

/// [`canonical`] for values that are mostly below `3p`.
#[inline(always)]
pub(crate) fn canonical3<M: Modulus>(v: Value) -> Value {
    // SAFETY: see the module.
    unsafe {
        let mut w = carry(v);
        let once = _mm512_cmpgt_epi64_mask(w[4], splat(M::P52[4]));
        // The top limb of `2p` is twice that of `p`, or one more: above that, `2p` is exceeded.
        let twice = _mm512_cmpgt_epi64_mask(w[4], splat(2 * M::P52[4] + 1));
        for j in 0..5 {
            w[j] = _mm512_mask_sub_epi64(w[j], once, w[j], splat(M::P52[j]));
            w[j] = _mm512_mask_sub_epi64(w[j], twice, w[j], splat(M::P52[j]));
        }
        settle::<M>(carry(w))
    }
}

/// Subtracts `p` exactly, from carried values, while that leaves any of them nonnegative.
#[inline(always)]
fn settle<M: Modulus>(mut w: Value) -> Value {
    // SAFETY: see the module.
    unsafe {
        while _mm512_cmpge_epi64_mask(w[4], splat(M::P52[4])) != 0 {
            let mut less = w;
            for j in 0..5 {
                less[j] = _mm512_sub_epi64(w[j], splat(M::P52[j]));
            }
            less = carry(less);
            let positive = !_mm512_cmplt_epi64_mask(less[4], _mm512_setzero_si512());
            if positive == 0 {
                break;
            }
            for j in 0..5 {
                w[j] = _mm512_mask_mov_epi64(w[j], positive, less[j]);
            }
        }
        w
    }
}

/// 52 bits of `hi 2^64 + lo`, from bit `RIGHT = 64 - LEFT` on.
#[inline(always)]
pub(crate) fn window<const RIGHT: u32, const LEFT: u32>(lo: __m512i, hi: __m512i) -> __m512i {
    // SAFETY: see the module.
    unsafe {
        // (a | b) & c
        _mm512_ternarylogic_epi64::<0xa8>(_mm512_srli_epi64::<RIGHT>(lo), _mm512_slli_epi64::<LEFT>(hi), splat(MASK))
    }
}

/// Values from vectors of 64-bit limbs.
#[inline(always)]
pub(crate) fn from_words(l: [__m512i; 4]) -> Value {
    // SAFETY: see the module.
    unsafe {
        [
            _mm512_and_si512(l[0], splat(MASK)),
            window::<52, 12>(l[0], l[1]),
            window::<40, 24>(l[1], l[2]),
            window::<28, 36>(l[2], l[3]),
            _mm512_srli_epi64::<16>(l[3]),
        ]
    }
}

/// Vectors of 64-bit limbs from carried values below `2^256`.
#[inline(always)]
pub(crate) fn to_words(v: Value) -> [__m512i; 4] {
    // SAFETY: see the module.
    unsafe {
        [
            _mm512_or_si512(v[0], _mm512_slli_epi64::<52>(v[1])),
            _mm512_or_si512(_mm512_srli_epi64::<12>(v[1]), _mm512_slli_epi64::<40>(v[2])),
            _mm512_or_si512(_mm512_srli_epi64::<24>(v[2]), _mm512_slli_epi64::<28>(v[3])),
            _mm512_or_si512(_mm512_srli_epi64::<36>(v[3]), _mm512_slli_epi64::<16>(v[4])),
        ]
    }
}

/// `sum + a * b`, of carried values.
#[inline(always)]
pub(crate) fn mul_add(mut sum: Columns, a: Value, b: Value) -> Columns {
    // SAFETY: see the module.
    unsafe {
        for i in 0..5 {
            for j in 0..5 {
                sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], a[i], b[j]);
                sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], a[i], b[j]);
            }
        }
    }
    sum
}

/// Adds `k x 2^(52 i)`, for what the lowest 52 bits of `k` are.
#[inline(always)]
fn add_multiple(a: &mut Columns, i: usize, k: __m512i, x: [u64; 5]) {
    // SAFETY: see the module.
    unsafe {
        for j in 0..5 {
            a[i + j] = _mm512_madd52lo_epu64(a[i + j], k, splat(x[j]));
            a[i + j + 1] = _mm512_madd52hi_epu64(a[i + j + 1], k, splat(x[j]));
        }
    }
}

/// Carries column `i`, and gives it.
#[inline(always)]
fn carry_column(a: &mut Columns, i: usize) -> __m512i {
    // SAFETY: see the module.
    a[i + 1] = unsafe { _mm512_add_epi64(a[i + 1], _mm512_srli_epi64::<52>(a[i])) };
    a[i]
}

/// The columns over `2^260` modulo `p`, which is up to `(1 + 2^-50) p` more than the quotient; carries are left in what it gives.
///
/// What is left of the three lowest, when they are carried, is replaced by its product with a power of two modulo `p`, in higher
/// columns: less than `2^209 p` in all. The two above are cleared with multiples of `p`, whose limbs wait for one another.
#[inline(always)]
pub(crate) fn reduce_columns<M: Modulus>(mut a: Columns) -> Value {
    let first = carry_column(&mut a, 0);
    let second = carry_column(&mut a, 1);
    add_multiple(&mut a, 2, first, M::SHIFT104);
    add_multiple(&mut a, 3, second, M::SHIFT104);
    let third = carry_column(&mut a, 2);
    add_multiple(&mut a, 3, third, M::SHIFT52);
    for i in 3..5 {
        // SAFETY: see the module.
        let k = unsafe { _mm512_madd52lo_epu64(splat(0), a[i], splat(M::INV52)) };
        add_multiple(&mut a, i, k, M::P52);
        carry_column(&mut a, i);
    }
    [a[5], a[6], a[7], a[8], a[9]]
}
