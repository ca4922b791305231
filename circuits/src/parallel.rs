//! Work on all threads, where the crate is built for that.

/// Entries that one thread computes at a time; in tests so few that all things have several parts.
pub(crate) const PART: usize = if cfg!(test) { 7 } else { 1 << 15 };

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
    let mut out = vec![T::default(); len];
    let size = PART.next_multiple_of(run.max(1));
    if len <= size {
        f(0, &mut out);
    } else {
        out.par_chunks_mut(size).enumerate().for_each(|(k, part)| f(k * size, part));
    }
    out
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
