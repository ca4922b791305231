//! What the allocator does with memory that is given back.

#![allow(unsafe_code)]

/// From now on, memory that is given back stays with the process: what is allocated again and again, one tensor or one layer
/// after another, is not fetched from the system each time and filled with zeros. The peak is what it was; between peaks the
/// process is as large as at the last one, so that one which goes on calls [`give_back`]. All threads share one heap, or else
/// what one has given back is not there for another. Only the GNU C library has such settings; elsewhere nothing happens.
pub fn keep() {
    // SAFETY: settings of the allocator, each of which it may also refuse.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

/// Gives to the system what [`keep`] has kept and nothing uses.
pub fn give_back() {
    // SAFETY: touches nothing that is in use.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}
