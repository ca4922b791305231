//! Which compilation of a kernel runs: vector code where the machine and the length allow it.

use super::kernels::{self, Quarters, kernel_list};
use super::lanes::{Lanes, Scalar};
use super::split::Split;
#[cfg(target_arch = "x86_64")]
use super::{avx2, ifma};
use ark_bn254::Fr;

pub(super) use crate::vector::Vector;

macro_rules! dispatch {
    ($(fn $name:ident($first:ident: $first_type:ty $(, $argument:ident: $type:ty)*) $(-> $out:ty)?;)*) => {$(
        /// The kernel of this name.
        pub(super) fn $name(
            vector: Option<Vector>,
            $first: $first_type
            $(, $argument: $type)*
        ) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            if let Some(vector) = vector && Split::len(&$first).is_multiple_of(8) {
                return match vector {
                    Vector::Avx512(available) => ifma::$name(available, $first $(, $argument)*),
                    Vector::Avx2(available) => avx2::$name(available, $first $(, $argument)*),
                };
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = (vector, Split::len(&$first));
            kernels::$name::<Scalar>($first $(, $argument)*)
        }
    )*};
}

kernel_list!(dispatch);

/// `out[o] += sum_l weights[l] * data[o * stride + l]` where there is a way that is faster than [`axis_dots_i32`], for several rows
/// of small integers and a multiple of 8 weights; or `false`, and nothing is done.
pub(super) fn small_dots(vector: Option<Vector>, weights: &[Fr], data: &[i32], stride: usize, out: &mut [Fr]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(Vector::Avx2(available)) = vector
        && weights.len().is_multiple_of(8)
        && out.len() >= 4
    {
        return super::small_dots::small_dots(available, weights, data, stride, out);
    }
    let _ = (vector, weights, data, stride, out);
    false
}

/// What weights and starts of [`axis_lines_i32`] are multiplied by.
pub(super) fn integer_scale(vector: Option<Vector>) -> Fr {
    #[cfg(target_arch = "x86_64")]
    match vector {
        Some(Vector::Avx512(_)) => return ifma::Ifma::integer_scale(),
        Some(Vector::Avx2(_)) => return avx2::Avx2::integer_scale(),
        None => {}
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = vector;
    Scalar::integer_scale()
}
