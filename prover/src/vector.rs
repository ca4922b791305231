//! Which vector instructions some kernels are compiled for, and run with.

#[cfg(target_arch = "x86_64")]
use crate::{radix51, radix52};

/// Vector instructions that this machine has.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vector {
    /// AVX-512 with its 52-bit multiply-add (IFMA).
    Avx512(radix52::Available),
    /// AVX2 with fused multiply-adds.
    Avx2(radix51::Available),
}

#[cfg(target_arch = "x86_64")]
impl Vector {
    /// The fastest there are.
    pub(crate) fn detect() -> Option<Self> {
        Self::avx512().or_else(Self::avx2)
    }

    /// AVX-512 IFMA.
    pub(crate) fn avx512() -> Option<Self> {
        radix52::Available::detect().map(Self::Avx512)
    }

    /// AVX2 and FMA.
    pub(crate) fn avx2() -> Option<Self> {
        radix51::Available::detect().map(Self::Avx2)
    }

    /// The instructions' name, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Avx512(_) => "AVX-512 IFMA",
            Self::Avx2(_) => "AVX2",
        }
    }
}

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

    /// Nothing to find.
    pub(crate) fn avx512() -> Option<Self> {
        None
    }

    /// Nothing to find.
    pub(crate) fn avx2() -> Option<Self> {
        None
    }

    /// There are none.
    pub(crate) fn name(self) -> &'static str {
        match self {}
    }
}
