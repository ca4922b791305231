//! The kernels on the host: their text compiled as C++, loaded as a driver would load it.
//!
//! Threads of a block take turns, and every other launch runs them backwards, so that a kernel whose result depends on
//! their order fails. Memory is surrounded by words that no kernel may change.

use super::engine::{CudaError, Engine};
use std::{
    ffi::{CString, c_char, c_int, c_void},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

type Launch = unsafe extern "C" fn(*const c_char, u32, u32, c_int, *mut *mut c_void) -> c_int;

/// The compiler: `CXX`, or the usual name. Its absence fails the tests: CI has it, and so does whoever builds on Linux.
fn compile() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda/kernels.cu");
    let out = std::env::temp_dir().join(format!("assay-kernels-{}.so", std::process::id()));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut command = Command::new(&compiler);
    command.args(["-std=c++17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]);
    // More flags, such as those of sanitizers; without any, undefined behaviour ends the test.
    match std::env::var("ASSAY_KERNEL_FLAGS") {
        Ok(flags) => command.args(flags.split_whitespace()),
        Err(_) => {
            command.args(["-fsanitize=undefined", "-fno-sanitize-recover=all", "-fsanitize-undefined-trap-on-error"])
        }
    };
    command.args(["-x", "c++"]).arg(source).arg("-o").arg(&out);
    let status = command.status().unwrap_or_else(|e| panic!("{compiler} does not start: {e}; install g++ or set CXX"));
    assert!(status.success(), "{compiler} does not compile the kernels");
    out
}

fn kernels() -> Launch {
    static LAUNCH: OnceLock<Launch> = OnceLock::new();
    *LAUNCH.get_or_init(|| {
        let library = compile();
        let path = CString::new(library.to_string_lossy().as_bytes()).expect("a path without zeros");
        // SAFETY: the library was made by this process, and its one function has the type.
        unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            assert!(!handle.is_null(), "the compiled kernels do not load");
            let launch = libc::dlsym(handle, c"launch".as_ptr());
            assert!(!launch.is_null(), "the compiled kernels have no entry");
            let _ = std::fs::remove_file(library);
            std::mem::transmute::<*mut c_void, Launch>(launch)
        }
    })
}

/// A few blocks, so that every kernel has entries for several of them and turns for each.
const BLOCKS: u32 = 3;

/// Words around memory, and what they hold.
const FENCE: usize = 8;
const GUARD: [u64; 2] = [0x5a5a_5a5a_a5a5_a5a5, 0xdead_beef_cafe_f00d];

/// Memory of the emulation, aligned as a driver aligns it.
pub(super) struct Memory {
    words: Box<[std::cell::UnsafeCell<[u64; 2]>]>,
    bytes: usize,
}

// SAFETY: the device's calls are made by one thread at a time, as tests do.
unsafe impl Sync for Memory {}

impl Memory {
    fn begin(&self) -> *mut u8 {
        self.words[FENCE].get().cast()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let len = self.words.len();
        for (i, word) in self.words.iter_mut().enumerate() {
            if i < FENCE || i >= len - FENCE {
                assert_eq!(*word.get_mut(), GUARD, "a kernel wrote outside of {} bytes", self.bytes);
            }
        }
    }
}

/// An engine that runs kernels on the host.
pub(super) struct Emulated {
    launch: Launch,
    launches: AtomicU32,
    /// Launches after which every call fails.
    limit: u32,
}

impl Emulated {
    pub(super) fn new() -> Self {
        Self { launch: kernels(), launches: AtomicU32::new(0), limit: u32::MAX }
    }

    /// A device that is taken away after some launches.
    pub(super) fn failing_after(limit: u32) -> Self {
        Self { limit, ..Self::new() }
    }
}

impl Engine for Emulated {
    type Memory = Memory;

    fn allocate(&self, bytes: usize) -> Result<Memory, CudaError> {
        let inner = bytes.div_ceil(16);
        let word = |i: usize| if (FENCE..FENCE + inner).contains(&i) { [0; 2] } else { GUARD };
        Ok(Memory { words: (0..inner + 2 * FENCE).map(|i| word(i).into()).collect(), bytes })
    }

    fn write(&self, to: &Memory, bytes: &[u8]) -> Result<(), CudaError> {
        assert!(bytes.len() <= to.bytes);
        // SAFETY: within the memory, which no one else uses during a call.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.begin(), bytes.len()) };
        Ok(())
    }

    fn read(&self, from: &Memory, offset: usize, out: &mut [u8]) -> Result<(), CudaError> {
        assert!(offset + out.len() <= from.bytes);
        // SAFETY: as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(from.begin().add(offset), out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    fn copy(&self, from: &Memory, to: &Memory, bytes: usize) -> Result<(), CudaError> {
        assert!(bytes <= from.bytes && bytes <= to.bytes);
        // SAFETY: as in `write`; two memories do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(from.begin(), to.begin(), bytes) };
        Ok(())
    }

    fn address(&self, memory: &Memory) -> u64 {
        memory.begin() as u64
    }

    fn blocks(&self) -> u32 {
        BLOCKS
    }

    unsafe fn launch(
        &self,
        kernel: &'static str,
        grid: [u32; 2],
        arguments: &mut [*mut c_void],
    ) -> Result<(), CudaError> {
        let count = self.launches.fetch_add(1, Ordering::Relaxed);
        if count >= self.limit {
            return Err(CudaError::Call { call: kernel.to_owned(), reason: "the device is lost".to_owned() });
        }
        let name = CString::new(kernel).expect("a name without zeros");
        let backwards = c_int::from(count % 2 == 1);
        // SAFETY: the caller's arguments.
        let code = unsafe { (self.launch)(name.as_ptr(), grid[0], grid[1], backwards, arguments.as_mut_ptr()) };
        assert_eq!(code, 0, "no kernel is called {kernel}");
        Ok(())
    }
}
