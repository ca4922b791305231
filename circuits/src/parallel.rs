//! Work on all threads, where the crate is built for that.

/// Entries that one thread computes at a time; in tests so few that all things have several parts.
pub(crate) const PART: usize = if cfg!(test) { 7 } else { 1 << 15 };

/// Entries of 64 bits, of a few tensors, that stay in the nearest cache.
pub(crate) const NEAR: usize = if cfg!(test) { 3 } else { 1 << 10 };

#[cfg(feature = "parallel")]
pub(crate) fn threads() -> usize {
    rayon::current_num_threads()
}

#[cfg(not(feature = "parallel"))]
pub(crate) fn threads() -> usize {
    1
}

/// `f` of every task, in order.
#[cfg(feature = "parallel")]
pub(crate) fn on_all_threads<T: Sync, R: Send>(tasks: &[T], f: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    use rayon::prelude::*;
    match tasks {
        [one] => vec![f(one)],
        _ => tasks.par_iter().map(f).collect(),
    }
}

/// `f` of every task, in order.
#[cfg(not(feature = "parallel"))]
pub(crate) fn on_all_threads<T, R>(tasks: &[T], f: impl Fn(&T) -> R) -> Vec<R> {
    tasks.iter().map(f).collect()
}

/// `len` entries, made in parts of whole runs of `run` entries: `f(first, part)` writes those from `first` on, which are zero
/// so far.
#[cfg(feature = "parallel")]
pub(crate) fn in_parts<T: Copy + Default + Send>(
    len: usize,
    run: usize,
    f: impl Fn(usize, &mut [T]) + Sync + Send,
) -> Vec<T> {
    use rayon::prelude::*;
    let size = PART.next_multiple_of(run.max(1));
    if len <= size {
        let mut out = vec![T::default(); len];
        f(0, &mut out);
        return out;
    }
    let mut out = Vec::with_capacity(len);
    out.spare_capacity_mut()[..len].par_chunks_mut(size).enumerate().for_each(|(k, part)| f(k * size, zeroed(part)));
    // SAFETY: the parts are the first `len` entries, and each was zeroed before it was handed out; a panic leaves none behind.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(len);
    }
    out
}

/// Memory that nothing was written to, with zeros: each thread makes those of its own part, when it needs them.
#[cfg(feature = "parallel")]
fn zeroed<T: Copy + Default>(part: &mut [std::mem::MaybeUninit<T>]) -> &mut [T] {
    for v in part.iter_mut() {
        v.write(T::default());
    }
    // SAFETY: all entries were just written.
    #[allow(unsafe_code)]
    unsafe {
        part.assume_init_mut()
    }
}

/// `len` entries: `f(first, part)` writes those from `first` on, which are zero so far.
#[cfg(not(feature = "parallel"))]
pub(crate) fn in_parts<T: Copy + Default>(len: usize, _run: usize, f: impl Fn(usize, &mut [T])) -> Vec<T> {
    let mut out = vec![T::default(); len];
    f(0, &mut out);
    out
}

/// Whether `f` holds of all parts.
pub(crate) fn all_parts<T: Sync>(values: &[T], f: impl Fn(&[T]) -> bool + Sync + Send) -> bool {
    let parts: Vec<&[T]> = values.chunks(PART).collect();
    !on_all_threads(&parts, |part| f(part)).contains(&false)
}
