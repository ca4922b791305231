//! What the allocator does with memory that is given back.

#![allow(unsafe_code)]

/// From now on, memory that is given back stays with the process: what is allocated again and again, one tensor after another,
/// is not fetched from the system each time and filled with zeros. The peak is what it was; between peaks the process is as
/// large as at the last one, so this is for commands that end soon. Only the GNU C library has such a setting; elsewhere
/// nothing happens.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Bytes below which an allocation comes from the heap, and free bytes that the heap may have at its end.
        const MOST: libc::c_int = 1 << 30;
        // SAFETY: two settings of the allocator, both of which it may also refuse.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MOST);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MOST);
        }
    }
}
