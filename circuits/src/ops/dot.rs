//! Dot products of 16-bit integers with the vectors that the processor has.
//!
//! Integer graphs are mostly run by these: 512 (AVX-512 BW, and VNNI) or 256 bits (AVX2) at a time where they exist. All ways give
//! the same integers.

/// Rows of the left operand that share each load of the right one, and rows of the right one that share each load of the
/// left one.
pub(super) const TILE: (usize, usize) = (4, 2);

/// `out[i][j] = sum_k x[i][k] * y[j][k]` as 32-bit integers.
///
/// All slices have one length. The caller sees to it that `len * max|x| * max|y| < 2^31`, so that no sum of any part of the
/// products leaves 32 bits.
pub(super) type Tile = fn([&[i16]; 4], [&[i16]; 2]) -> [[i32; 2]; 4];

/// The fastest way on this machine.
pub(super) fn tile() -> Tile {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512bw") && std::arch::is_x86_feature_detected!("avx512f") {
            let fused = std::arch::is_x86_feature_detected!("avx512vnni");
            return if fused { x86::fused } else { x86::wide };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return x86::narrow;
        }
    }
    plain
}

/// One dot product.
fn single(x: &[i16], y: &[i16]) -> i32 {
    x.iter().zip(y).map(|(u, v)| i32::from(*u) * i32::from(*v)).sum()
}

/// The definition.
pub(super) fn plain(x: [&[i16]; 4], y: [&[i16]; 2]) -> [[i32; 2]; 4] {
    x.map(|x| y.map(|y| single(x, y)))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![allow(unsafe_code)]
    use super::TILE;
    use std::arch::x86_64::*;

    const ROWS: usize = TILE.0;
    const COLUMNS: usize = TILE.1;

    macro_rules! kernel {
        ($name:ident, $inner:ident, $features:literal, $lanes:literal, $load:ident, $rest:ident, $zero:ident, $add:ident,
         $sum:ident, $cast:ty) => {
            pub(super) fn $name(x: [&[i16]; ROWS], y: [&[i16]; COLUMNS]) -> [[i32; COLUMNS]; ROWS] {
                // SAFETY: `tile` hands this function out only where the processor has the features.
                unsafe { $inner(x, y) }
            }

            #[target_feature(enable = $features)]
            fn $inner(x: [&[i16]; ROWS], y: [&[i16]; COLUMNS]) -> [[i32; COLUMNS]; ROWS] {
                let n = y.iter().chain(&x).map(|v| v.len()).min().unwrap_or(0);
                let mut acc = [[$zero(); COLUMNS]; ROWS];
                let whole = n - n % $lanes;
                let mut k = 0;
                while k < whole {
                    // SAFETY: `k + lanes <= n`, and every slice has at least `n` entries; loads need no alignment.
                    let b = y.map(|v| unsafe { $load(v.as_ptr().add(k).cast::<$cast>()) });
                    for (acc, v) in acc.iter_mut().zip(x) {
                        // SAFETY: as above.
                        let a = unsafe { $load(v.as_ptr().add(k).cast::<$cast>()) };
                        for (acc, b) in acc.iter_mut().zip(b) {
                            *acc = $add(*acc, a, b);
                        }
                    }
                    k += $lanes;
                }
                if whole < n {
                    let b = y.map(|v| $rest(&v[whole..n]));
                    for (acc, v) in acc.iter_mut().zip(x) {
                        let a = $rest(&v[whole..n]);
                        for (acc, b) in acc.iter_mut().zip(b) {
                            *acc = $add(*acc, a, b);
                        }
                    }
                }
                acc.map(|acc| acc.map(|acc| $sum(acc)))
            }
        };
    }

    /// Up to 16 integers, and zeros.
    #[target_feature(enable = "avx2")]
    fn rest_narrow(values: &[i16]) -> __m256i {
        let mut all = [0i16; 16];
        all[..values.len()].copy_from_slice(values);
        // SAFETY: there are 16 integers; loads need no alignment.
        unsafe { _mm256_loadu_si256(all.as_ptr().cast::<__m256i>()) }
    }

    /// Up to 31 integers, and zeros.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn rest_wide(values: &[i16]) -> __m512i {
        let mask = (1 << values.len()) - 1;
        // SAFETY: only what the mask has is read.
        unsafe { _mm512_maskz_loadu_epi16(mask, values.as_ptr()) }
    }

    /// Sums of two products each, added to `sum`.
    #[target_feature(enable = "avx2")]
    fn add_narrow(sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
    }

    /// As [`add_narrow`].
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add_wide(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
    }

    /// The sum of eight integers.
    #[target_feature(enable = "avx2")]
    fn sum_of_eight(v: __m256i) -> i32 {
        let four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
    }

    kernel!(
        narrow,
        narrow_inner,
        "avx2",
        16,
        _mm256_loadu_si256,
        rest_narrow,
        _mm256_setzero_si256,
        add_narrow,
        sum_of_eight,
        __m256i
    );
    kernel!(
        wide,
        wide_inner,
        "avx512f,avx512bw",
        32,
        _mm512_loadu_si512,
        rest_wide,
        _mm512_setzero_si512,
        add_wide,
        _mm512_reduce_add_epi32,
        __m512i
    );
    kernel!(
        fused,
        fused_inner,
        "avx512f,avx512bw,avx512vnni",
        32,
        _mm512_loadu_si512,
        rest_wide,
        _mm512_setzero_si512,
        _mm512_dpwssd_epi32,
        _mm512_reduce_add_epi32,
        __m512i
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every way that this machine has.
    fn ways() -> Vec<(&'static str, Tile)> {
        #[allow(unused_mut)]
        let mut out: Vec<(&'static str, Tile)> = vec![("the fastest", tile())];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            out.push(("avx2", x86::narrow));
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512bw") && std::arch::is_x86_feature_detected!("avx512f") {
            out.push(("avx512", x86::wide));
        }
        out
    }

    proptest! {
        #[test]
        fn vectors_add_up_what_the_definition_does(
            n in 0usize..200,
            bits in 1u32..=15,
            seed in any::<u64>(),
        ) {
            use rand::{Rng, SeedableRng};
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            let most = (1i16 << (bits - 1)) - 1 + ((1i16 << (bits - 1)) - 1) / 2;
            // So that sums stay within 32 bits.
            let n = n.min((i32::MAX as usize) / (most as usize * most as usize).max(1));
            let mut row = || -> Vec<i16> { (0..n).map(|_| rng.gen_range(-most..=most)).collect() };
            let x = [row(), row(), row(), row()];
            let y = [row(), row()];
            let (x, y) = (x.each_ref().map(Vec::as_slice), y.each_ref().map(Vec::as_slice));
            for (name, way) in ways() {
                prop_assert_eq!(way(x, y), plain(x, y), "{}", name);
            }
        }
    }

    #[test]
    fn the_largest_values_fit() {
        let n = (i32::MAX / (32_767 * 32_767)) as usize;
        let (x, y) = (vec![32_767i16; n], vec![-32_767i16; n]);
        for (name, way) in ways() {
            assert_eq!(way([&x; 4], [&y; 2]), [[-(n as i32) * 32_767 * 32_767; 2]; 4], "{name}");
        }
        let (x, y) = (vec![127i16; 100_000], vec![127i16; 100_000]);
        for (name, way) in ways() {
            assert_eq!(way([&x; 4], [&y; 2]), [[100_000 * 127 * 127; 2]; 4], "{name}");
        }
    }
}
