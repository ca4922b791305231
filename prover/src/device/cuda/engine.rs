//! What the CUDA device needs of the machine that runs its kernels: a driver, or the tests' emulation of one.

#![allow(unsafe_code)]

use ark_bn254::Fr;
use std::ffi::c_void;

use super::super::arena::zeroed;

/// Threads of a block; `prover/cuda/machine.cuh` says the same.
pub(crate) const THREADS: usize = 128;

/// Why the device could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// No library of a driver, or one that does not answer.
    #[error("no CUDA driver: {0}")]
    NoDriver(String),
    /// There are fewer devices.
    #[error("there is no CUDA device {ordinal}, only {count}")]
    NoDevice {
        /// The device that was asked for.
        ordinal: usize,
        /// Devices present.
        count: usize,
    },
    /// No kernels were compiled for the device.
    #[error("{name} (compute capability {major}.{minor}) cannot run the kernels: {reason}")]
    Unsupported {
        /// The device's name.
        name: String,
        /// Its compute capability.
        major: i32,
        /// Its compute capability.
        minor: i32,
        /// What the driver says.
        reason: String,
    },
    /// A call of the driver failed.
    #[error("CUDA: {call} failed: {reason}")]
    Call {
        /// What was tried.
        call: String,
        /// What the driver says.
        reason: String,
    },
    /// A kernel gives other results than the processor.
    #[error("{name} computes wrongly: kernel {kernel} differs from the processor")]
    WrongResult {
        /// The device's name.
        name: String,
        /// The kernel that was probed.
        kernel: &'static str,
    },
}

/// Runs kernels on memory of its own. Calls are carried out in order; a download waits for those before it.
pub trait Engine: Send + Sync {
    /// Memory of the device, given back when it is dropped.
    type Memory: Send + Sync;

    /// Zeroed memory, aligned for every array.
    fn allocate(&self, bytes: usize) -> Result<Self::Memory, CudaError>;

    /// Copies to the beginning of memory that is at least as long.
    fn write(&self, to: &Self::Memory, bytes: &[u8]) -> Result<(), CudaError>;

    /// Copies from the memory, which holds that many bytes from `offset` on.
    fn read(&self, from: &Self::Memory, offset: usize, out: &mut [u8]) -> Result<(), CudaError>;

    /// Copies from memory to memory, from the beginning.
    fn copy(&self, from: &Self::Memory, to: &Self::Memory, bytes: usize) -> Result<(), CudaError>;

    /// Where the memory begins for kernels.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Blocks that keep the device busy.
    fn blocks(&self) -> u32;

    /// Runs a kernel.
    ///
    /// # Safety
    /// The arguments are those of the kernel's signature, and all that it touches with them is memory of this engine.
    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: [u32; 2],
        arguments: &mut [*mut c_void],
    ) -> Result<(), CudaError>;
}

/// Types that kernels read as they are stored here.
///
/// # Safety
/// Every byte of a value is initialised, and kernels write only bytes that are values.
pub unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for i32 {}
// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: four words below the modulus; kernels write canonical values.
unsafe impl Plain for Fr {}
// SAFETY: words.
unsafe impl<const N: usize> Plain for [u64; N] {}

/// The bytes of a slice.
pub(crate) fn bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` types have no bytes that are not initialised.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

/// The bytes of a slice, to be filled by a kernel's output.
pub(crate) fn bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above; what is written are values of the type.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), size_of_val(values)) }
}

/// An argument of a kernel.
#[derive(Clone, Copy)]
pub(crate) enum Argument<'a> {
    /// A pointer, as [`Array::at`] gives it.
    Pointer(u64),
    /// A 32-bit integer.
    Word(u32),
    /// A 64-bit integer.
    Long(u64),
    /// A field element, or another integer of 256 bits.
    Field(&'a [u64; 4]),
}

impl<'a> From<&'a Fr> for Argument<'a> {
    fn from(x: &'a Fr) -> Self {
        Self::Field(&x.0.0)
    }
}

impl From<usize> for Argument<'_> {
    /// # Panics
    /// Lengths that kernels cannot count.
    fn from(x: usize) -> Self {
        Self::Word(u32::try_from(x).unwrap_or_else(|_| panic!("{x} entries are more than a kernel counts")))
    }
}

/// What an argument's pointer points to: kernels align a field element to 16 bytes.
#[repr(C, align(16))]
struct Slot {
    words: [u64; 4],
}

/// `len` values on the device.
pub struct Array<M, T> {
    memory: M,
    pub(crate) len: usize,
    of: std::marker::PhantomData<T>,
}

impl<M, T: Plain> Array<M, T> {
    /// Zeros.
    pub(crate) fn zeros<E: Engine<Memory = M>>(engine: &E, len: usize) -> Result<Self, CudaError> {
        assert!(len < 1 << 31, "{len} entries are more than a kernel counts");
        let memory = engine.allocate((len * size_of::<T>()).max(1))?;
        Ok(Self { memory, len, of: std::marker::PhantomData })
    }

    /// A copy of the host's values.
    pub(crate) fn from_host<E: Engine<Memory = M>>(engine: &E, values: &[T]) -> Result<Self, CudaError> {
        let out = Self::zeros(engine, values.len())?;
        engine.write(&out.memory, bytes(values))?;
        Ok(out)
    }

    /// The first `len` values, again.
    pub(crate) fn duplicate<E: Engine<Memory = M>>(&self, engine: &E) -> Result<Self, CudaError> {
        let out = Self::zeros(engine, self.len)?;
        engine.copy(&self.memory, &out.memory, self.len * size_of::<T>())?;
        Ok(out)
    }

    /// Where value `index` is.
    pub(crate) fn at<E: Engine<Memory = M>>(&self, engine: &E, index: usize) -> Argument<'static> {
        Argument::Pointer(engine.address(&self.memory) + (index * size_of::<T>()) as u64)
    }

    /// Fills `out` with values from `first` on.
    pub(crate) fn read<E: Engine<Memory = M>>(&self, engine: &E, first: usize, out: &mut [T]) -> Result<(), CudaError> {
        assert!(first + out.len() <= self.len, "{} values from {first} on, of {}", out.len(), self.len);
        engine.read(&self.memory, first * size_of::<T>(), bytes_mut(out))
    }
}

impl<M> Array<M, Fr> {
    /// All elements.
    pub(crate) fn to_host<E: Engine<Memory = M>>(&self, engine: &E) -> Result<Vec<Fr>, CudaError> {
        let mut out = zeroed(self.len);
        self.read(engine, 0, &mut out)?;
        Ok(out)
    }
}

/// Blocks for `count` entries.
pub(crate) fn grid(engine: &impl Engine, count: usize) -> u32 {
    let needed = count.div_ceil(THREADS).max(1);
    engine.blocks().min(u32::try_from(needed).unwrap_or(u32::MAX))
}

/// Runs a kernel on a grid of `grid[0]` by `grid[1]` blocks.
///
/// # Safety
/// As [`Engine::launch`]. `arguments` may own nothing that ends before the call.
pub(crate) unsafe fn launch<E: Engine>(
    engine: &E,
    kernel: &'static str,
    grid: [u32; 2],
    arguments: &[Argument<'_>],
) -> Result<(), CudaError> {
    let mut slots: Vec<Slot> = arguments
        .iter()
        .map(|argument| {
            let words = match argument {
                Argument::Pointer(x) | Argument::Long(x) => [*x, 0, 0, 0],
                Argument::Word(x) => [u64::from(*x), 0, 0, 0],
                Argument::Field(x) => **x,
            };
            Slot { words }
        })
        .collect();
    let mut pointers: Vec<*mut c_void> =
        slots.iter_mut().map(|slot| std::ptr::from_mut(&mut slot.words).cast()).collect();
    // SAFETY: the caller's.
    unsafe { engine.launch(kernel, grid, &mut pointers) }
}
