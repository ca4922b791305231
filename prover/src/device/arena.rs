//! Large arrays on huge pages: the first touch of a 4 KiB page costs as much as a hundred field multiplications.
//!
//! One obligation is discharged here: memory that the allocator gave zeroed is an array of valid elements.

#![allow(unsafe_code)]

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

/// Bytes from which an array asks for huge pages: two of them, so that at least one is whole.
const LARGE: usize = 4 << 20;

/// `len` zeros. A large array is not touched before it is used, so that the threads that use it share the cost.
pub(crate) fn zeroed(len: usize) -> Vec<Fr> {
    let Ok(layout) = Layout::array::<Fr>(len) else { panic!("{len} elements are more than memory can address") };
    if layout.size() < LARGE {
        return vec![Fr::ZERO; len];
    }
    // SAFETY: the layout is not empty. The stored form of zero is four zero words, and every word is zeroed; the vector
    // has the layout that the memory was allocated with.
    let out = unsafe {
        let memory = alloc_zeroed(layout).cast::<Fr>();
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        Vec::from_raw_parts(memory, len, len)
    };
    advise(&out);
    out
}

/// `len` zeros, on huge pages when they are many.
pub(crate) fn zeroed_integers(len: usize) -> Vec<i32> {
    let out = vec![0; len];
    advise(&out);
    out
}

/// Asks for huge pages under a large slice; only pages that were not touched yet profit.
fn advise<T>(slice: &[T]) {
    #[cfg(target_os = "linux")]
    if size_of_val(slice) >= LARGE {
        const PAGE: usize = 4096;
        let start = slice.as_ptr() as usize;
        let (first, end) = (start.next_multiple_of(PAGE), (start + size_of_val(slice)) / PAGE * PAGE);
        // SAFETY: whole pages within the slice; this advice does not change what they hold. A kernel without huge pages
        // refuses, which costs nothing but their speed.
        unsafe {
            libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = slice;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_all_sizes_are_zero_and_writable() {
        for len in [0, 1, 1000, LARGE / 32 - 1, LARGE / 32, (1 << 20) + 7] {
            let mut elements = zeroed(len);
            assert!(elements.iter().all(|x| *x == Fr::ZERO) && elements.len() == len);
            elements.fill(Fr::from(7));
            let mut integers = zeroed_integers(len);
            assert!(integers.iter().all(|x| *x == 0) && integers.len() == len);
            integers.fill(7);
        }
    }
}
