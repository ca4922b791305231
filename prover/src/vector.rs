//! Whether this machine has the vector instructions that some kernels are compiled for.

#[cfg(target_arch = "x86_64")]
pub(crate) use crate::radix52::Available as Vector;

/// No vector code for this architecture.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vector {}

#[cfg(not(target_arch = "x86_64"))]
impl Vector {
    /// Nothing to find.
    pub(crate) fn detect() -> Option<Self> {
        None
    }
}
