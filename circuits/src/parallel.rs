//! Work on all threads, where the crate is built for that.

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
    tasks.par_iter().map(f).collect()
}

/// `f` of every task, in order.
#[cfg(not(feature = "parallel"))]
pub(crate) fn on_all_threads<T, R>(tasks: &[T], f: impl Fn(&T) -> R) -> Vec<R> {
    tasks.iter().map(f).collect()
}
