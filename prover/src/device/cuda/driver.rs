//! Kernels on a card, through its driver. The driver's library is found when the program runs; without one there is no
//! device, and nothing else changes.

use super::super::{Device, Reference};
use super::engine::{CudaError, Engine};
use super::{Accelerated, Cuda};
use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr, DriverError, result, sys};
use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::engine::THREADS;

/// Every kernel that this module's neighbours call.
const KERNELS: [&str; 32] = [
    "add_assign",
    "axis_dots",
    "axis_dots_integers",
    "axis_map",
    "axis_map_integers",
    "bind",
    "bind_integers",
    "chunk_counts",
    "count_small",
    "count_wide",
    "eq_grow",
    "fill",
    "fold_bits",
    "fold_buckets",
    "fraction_bind",
    "fraction_bind_integers",
    "fraction_bind_round",
    "fraction_layer",
    "fraction_layer_integers",
    "fraction_round",
    "fraction_round_integers",
    "functional_expand",
    "inner_product",
    "inner_product_integers",
    "leaves",
    "numerators",
    "place_small",
    "place_wide",
    "product_bind_round",
    "product_round",
    "product_round_integers",
    "rearrange",
];

/// The rest of them.
const MORE_KERNELS: [&str; 5] = ["scan", "scan_shift", "size_bits", "sum_chunks", "sum_places"];

/// Compiled kernels by compute capability, and text for every other card; `prover/cuda/compile` makes them.
const IMAGES: [((i32, i32), &[u8]); 6] = [
    ((8, 0), include_bytes!("../../../cuda/built/kernels.sm_80.cubin")),
    ((8, 6), include_bytes!("../../../cuda/built/kernels.sm_86.cubin")),
    ((8, 9), include_bytes!("../../../cuda/built/kernels.sm_89.cubin")),
    ((9, 0), include_bytes!("../../../cuda/built/kernels.sm_90.cubin")),
    ((10, 0), include_bytes!("../../../cuda/built/kernels.sm_100.cubin")),
    ((12, 0), include_bytes!("../../../cuda/built/kernels.sm_120.cubin")),
];

/// Text that drivers from 2022 on compile for their card.
const TEXT: &[u8] = include_bytes!("../../../cuda/built/kernels.ptx");

/// Blocks for each multiprocessor.
const BLOCKS_EACH: i32 = 8;

/// A driver's call by name.
trait Named<T> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T, CudaError>;
}

impl<T> Named<T> for Result<T, DriverError> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T, CudaError> {
        self.map_err(|e| CudaError::Call { call: call(), reason: reason(e) })
    }
}

/// What the driver says, as `CUDA_ERROR_OUT_OF_MEMORY`.
fn reason(e: DriverError) -> String {
    e.error_name().map_or_else(|_| format!("{:?}", e.0), |name| name.to_string_lossy().into_owned())
}

/// A loaded module's functions.
struct Kernels {
    module: sys::CUmodule,
    functions: HashMap<&'static str, sys::CUfunction>,
}

// SAFETY: handles of the driver, which may be used from every thread that the context is bound to.
unsafe impl Send for Kernels {}
// SAFETY: as above.
unsafe impl Sync for Kernels {}

/// A card, with the kernels loaded.
pub struct Driver {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    kernels: Kernels,
    blocks: u32,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: no kernel runs any more: every result was waited for, and memory ends with the stream's work.
            let _ = self.stream.synchronize().map(|()| unsafe { result::module::unload(self.kernels.module) });
        }
    }
}

/// What a card is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardInfo {
    /// Which of the cards.
    pub ordinal: usize,
    /// The maker's name for it.
    pub name: String,
    /// Compute capability, as (9, 0).
    pub capability: (i32, i32),
    /// The version of CUDA that the driver serves, as 13000 for 13.0.
    pub driver: i32,
    /// Bytes of memory that are free.
    pub free: usize,
    /// Bytes of memory.
    pub total: usize,
}

/// Whether a driver answers at all: asked once, and without a word where there is none.
fn started() -> Result<(), CudaError> {
    // SAFETY: loads the driver's library, as any use of it would.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver("its library is not installed".to_owned()));
    }
    result::init().map_err(|e| CudaError::NoDriver(reason(e)))
}

impl Driver {
    fn open(ordinal: usize) -> Result<Self, CudaError> {
        started()?;
        let count = CudaContext::device_count().named(|| "counting devices".to_owned())?;
        let count = usize::try_from(count).unwrap_or(0);
        if ordinal >= count {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal).named(|| format!("opening device {ordinal}"))?;
        // SAFETY: all work is on one stream, which keeps its order.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().named(|| "making a stream".to_owned())?;
        let kernels = load(&context)?;
        let multiprocessors = context
            .attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .named(|| "counting multiprocessors".to_owned())?;
        let blocks = u32::try_from(multiprocessors * BLOCKS_EACH).unwrap_or(1).max(1);
        Ok(Self { context, stream, kernels, blocks })
    }

    fn info(&self) -> Result<CardInfo, CudaError> {
        self.bound()?;
        let ask = |what: &'static str| move || what.to_owned();
        let mut driver = 0;
        // SAFETY: writes the one integer.
        unsafe { sys::cuDriverGetVersion(&mut driver) }.result().named(ask("asking for the driver's version"))?;
        let (free, total) = self.context.mem_get_info().named(ask("asking for free memory"))?;
        Ok(CardInfo {
            ordinal: self.context.ordinal(),
            name: self.context.name().named(ask("asking for the name"))?,
            capability: self.context.compute_capability().named(ask("asking for the compute capability"))?,
            driver,
            free,
            total,
        })
    }

    fn bound(&self) -> Result<(), CudaError> {
        self.context.bind_to_thread().named(|| "binding to a thread".to_owned())
    }
}

/// Loads the kernels that were compiled for the card, or the text.
fn load(context: &Arc<CudaContext>) -> Result<Kernels, CudaError> {
    let (major, minor) = context.compute_capability().named(|| "asking for the compute capability".to_owned())?;
    // Binaries run on cards of the same first number and the same or a higher second one.
    let fitting = IMAGES.iter().rfind(|((of_major, of_minor), _)| *of_major == major && *of_minor <= minor);
    let mut text = TEXT.to_vec();
    text.push(0);
    let images = fitting.map(|(_, image)| *image).into_iter().chain([text.as_slice()]);
    let mut refused = String::new();
    for image in images {
        // SAFETY: a whole binary, or text with a zero at its end.
        match unsafe { result::module::load_data(image.as_ptr().cast::<c_void>()) } {
            Ok(module) => {
                let function = |name: &&'static str| {
                    let c_name = CString::new(*name).unwrap_or_default();
                    // SAFETY: the module was loaded just now.
                    let function = unsafe { result::module::get_function(module, c_name) };
                    function.named(|| format!("finding kernel {name}")).map(|f| (*name, f))
                };
                let functions = KERNELS.iter().chain(&MORE_KERNELS).map(function).collect::<Result<_, _>>()?;
                return Ok(Kernels { module, functions });
            }
            Err(e) => refused = reason(e),
        }
    }
    let name = context.name().unwrap_or_else(|_| "the device".to_owned());
    Err(CudaError::Unsupported { name, major, minor, reason: refused })
}

impl Engine for Driver {
    type Memory = CudaSlice<u8>;

    fn allocate(&self, bytes: usize) -> Result<CudaSlice<u8>, CudaError> {
        self.bound()?;
        self.stream.alloc_zeros::<u8>(bytes).named(|| format!("allocating {bytes} bytes"))
    }

    fn write(&self, to: &CudaSlice<u8>, bytes: &[u8]) -> Result<(), CudaError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.bound()?;
        // SAFETY: the memory is at least as long, and pageable bytes are taken before the call returns.
        unsafe { result::memcpy_htod_async(self.address(to), bytes, self.stream.cu_stream()) }
            .named(|| format!("uploading {} bytes", bytes.len()))
    }

    fn read(&self, from: &CudaSlice<u8>, offset: usize, out: &mut [u8]) -> Result<(), CudaError> {
        if out.is_empty() {
            return Ok(());
        }
        self.bound()?;
        let len = out.len();
        let call = || format!("downloading {len} bytes");
        // SAFETY: the memory holds them, and the stream is waited for while `out` is borrowed.
        unsafe { result::memcpy_dtoh_async(out, self.address(from) + offset as u64, self.stream.cu_stream()) }
            .named(call)?;
        self.stream.synchronize().named(call)
    }

    fn copy(&self, from: &CudaSlice<u8>, to: &CudaSlice<u8>, bytes: usize) -> Result<(), CudaError> {
        if bytes == 0 {
            return Ok(());
        }
        self.bound()?;
        // SAFETY: both hold that many bytes.
        unsafe { result::memcpy_dtod_async(self.address(to), self.address(from), bytes, self.stream.cu_stream()) }
            .named(|| format!("copying {bytes} bytes"))
    }

    fn address(&self, memory: &CudaSlice<u8>) -> u64 {
        memory.device_ptr(&self.stream).0
    }

    fn blocks(&self) -> u32 {
        self.blocks
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: [u32; 2],
        arguments: &mut [*mut c_void],
    ) -> Result<(), CudaError> {
        let function = self.kernels.functions.get(kernel);
        let function = *function.unwrap_or_else(|| panic!("no kernel is called {kernel}"));
        self.bound()?;
        // SAFETY: the caller's arguments, which the driver copies.
        unsafe {
            result::launch_kernel(
                function,
                (grid[0], grid[1], 1),
                (THREADS as u32, 1, 1),
                0,
                self.stream.cu_stream(),
                arguments,
            )
        }
        .named(|| format!("kernel {kernel}"))
    }
}

impl Cuda {
    /// Opens a card and has it compute a product, a commitment and a sum over a tree, which are compared with the processor's.
    ///
    /// # Errors
    /// No driver, no such card, or one that cannot run the kernels.
    pub fn open(ordinal: usize) -> Result<Self, CudaError> {
        // A driver that lacks a function of the interface makes the bindings panic.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let device = Self::new(Driver::open(ordinal)?);
            device.probe()?;
            Ok(device)
        }));
        opened.unwrap_or_else(|_| Err(CudaError::NoDriver("it is too old".to_owned())))
    }

    /// What the card is, and how much of its memory is free now.
    ///
    /// # Errors
    /// The driver does not answer.
    pub fn info(&self) -> Result<CardInfo, CudaError> {
        self.engine.info()
    }

    fn probe(&self) -> Result<(), CudaError> {
        let wrong = |kernel| CudaError::WrongResult { name: "the card".to_owned(), kernel };
        let scalars: Vec<Fr> = (1u64..=64).map(|k| -Fr::from(k * k * 0x1234_5678_9abc)).collect();
        let integers: Vec<i32> = (0..64).map(|k| (k - 20) * 4001).collect();
        let bases: Vec<G1Affine> = scalars.iter().map(|s| (G1Affine::generator() * s).into_affine()).collect();
        let work = || {
            let (points, there) = (self.points(&bases), self.elements(scalars.clone()));
            let committed = self.commit_rows(&points, &self.integers(&integers), 32);
            (self.inner_product(&there, &there), self.msm(&points, &there), committed)
        };
        let (product, sum, committed) = super::recovering(work).map_err(|failure| failure.0)?;
        if product != Reference.inner_product(&scalars, &scalars) {
            return Err(wrong("inner_product"));
        }
        if sum != Reference.msm(&&bases[..], &scalars) {
            return Err(wrong("sum_places"));
        }
        if committed != Reference.commit_rows(&&bases[..], &&integers[..], 32) {
            return Err(wrong("count_small"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Accelerated<Driver> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cuda").field("ordinal", &self.engine.context.ordinal()).finish_non_exhaustive()
    }
}
