//! Full-width products by somebody else's library: ICICLE, where `ASSAY_ICICLE` names one.
//!
//! * What is handed over: products of points and scalars of 2^12 terms and more, which are the opening's and the
//!   rows of masks. Commitments to small integers stay here: they are most of the points, and have windows of their own.
//! * Interface: that of ICICLE 3 (`icicle/msm.h`, `curves/projective.h` and `device.h` of its sources): `bn254_msm` on points, scalars and results in
//!   standard form, 32 bytes a number, the least significant first; `(0, 0)` for no point, and homogeneous coordinates of results.
//! * Trust: the library is code in this process and sees what it multiplies. It is tried on a product that is known before it is used. A result that is
//!   no point, or an error, ends its use, and the products are computed here. A point that is another one than it should be gives a proof that is
//!   not valid, which the check before it is written finds.

#![allow(unsafe_code)]

use super::{Vector, msm_many_with};
use ark_bn254::{Fq, Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{AdditiveGroup, BigInt, Field, PrimeField, Zero};
use rayon::prelude::*;
use std::{
    ffi::{CStr, c_char, c_int, c_void},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

/// Names the library: a file, or the folder of an installation's libraries.
pub const VARIABLE: &str = "ASSAY_ICICLE";

/// Terms of a product below which handing it over is not worth it. Estimated, not measured.
const SMALLEST: usize = 1 << 12;
/// Terms of the product that a library is tried on.
const TRIAL: usize = 300;

/// Why there is no library.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IcicleError {
    /// The file is missing or is no library for this machine.
    #[error("ASSAY_ICICLE: {path} cannot be loaded: {reason}")]
    Load {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The library has another interface.
    #[error("ASSAY_ICICLE: {path} has no function '{name}'; a library of ICICLE 3 or later for BN254 is expected")]
    Function {
        /// The file or folder.
        path: String,
        /// What was looked for.
        name: &'static str,
    },
    /// The library does not compute what it should.
    #[error("ASSAY_ICICLE: {path} was tried on a product of {TRIAL} terms and {what}")]
    Trial {
        /// The file or folder.
        path: String,
        /// What came of it.
        what: String,
    },
}

/// `bn254_msm`'s configuration; all is on the host, in standard form, and awaited.
#[repr(C)]
struct Config {
    stream: *mut c_void,
    precompute_factor: c_int,
    c: c_int,
    bitsize: c_int,
    batch_size: c_int,
    are_points_shared_in_batch: bool,
    are_scalars_on_device: bool,
    are_scalars_montgomery_form: bool,
    are_points_on_device: bool,
    are_points_montgomery_form: bool,
    are_results_on_device: bool,
    is_async: bool,
    ext: *mut c_void,
}

/// A device by the name of its kind, as "CUDA" or "CPU".
#[repr(C)]
struct Device {
    kind: [u8; 64],
    id: c_int,
}

type Number = [u64; 4];
type Msm = unsafe extern "C" fn(*const Number, *const [Number; 2], c_int, *const Config, *mut [Number; 3]) -> c_int;

/// A loaded library.
#[derive(Debug)]
pub struct Icicle {
    path: PathBuf,
    device: Option<String>,
    msm: Msm,
    smallest: usize,
    /// One product at a time, and why there are no more.
    turn: Mutex<Option<String>>,
    /// What `msm` lives in.
    _libraries: Vec<libloading::Library>,
}

impl Icicle {
    /// The library that `ASSAY_ICICLE` names, loaded at the first call.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn selected() -> Result<Option<&'static Self>, IcicleError> {
        static SELECTED: OnceLock<Result<Option<Icicle>, IcicleError>> = OnceLock::new();
        let selected = SELECTED.get_or_init(|| match std::env::var_os(VARIABLE).filter(|v| !v.is_empty()) {
            None => Ok(None),
            Some(path) => Self::open(path.as_ref()).map(Some),
        });
        selected.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// Loads a library and tries it; of an installation the backends that it finds, and the first device that is no processor.
    ///
    /// # Errors
    /// What cannot be loaded, has other functions, or gives a wrong product.
    pub fn open(path: &Path) -> Result<Self, IcicleError> {
        let shown = path.display().to_string();
        let file = |name: &str| path.join(format!("libicicle_{name}.so"));
        let files = if path.is_dir() {
            // In the order in which they need each other.
            vec![file("device"), file("field_bn254"), file("curve_bn254")]
        } else {
            vec![path.to_owned()]
        };
        let libraries = files.iter().map(|f| load(f)).collect::<Result<Vec<_>, _>>()?;
        let missing = |name| IcicleError::Function { path: shown.clone(), name };
        // SAFETY: the type is the one that the interface has for this name.
        let msm: Msm = unsafe { function(&libraries, c"bn254_msm") }.ok_or_else(|| missing("bn254_msm"))?;
        let device = choose_device(&libraries);
        let out = Self {
            path: path.to_owned(),
            device,
            msm,
            smallest: SMALLEST,
            turn: Mutex::default(),
            _libraries: libraries,
        };
        out.try_out().map_err(|what| IcicleError::Trial { path: shown, what })?;
        Ok(out)
    }

    /// The library's file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of device that it was told to use, where it knows of several.
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Why the library is not used any more.
    pub fn trouble(&self) -> Option<String> {
        self.turn.lock().ok().and_then(|t| t.clone())
    }

    /// `out[k] = sum_i rows[k][i] * bases[i]`, or `None` when the products are too small or the library fails.
    pub(crate) fn products(&self, bases: &[G1Affine], rows: &[&[Fr]]) -> Option<Vec<G1Affine>> {
        let longest = rows.iter().map(|r| r.len()).max().unwrap_or(0);
        if longest < self.smallest.max(1) || bases.len() < longest {
            return None;
        }
        let mut turn = self.turn.lock().ok()?;
        if turn.is_some() {
            return None;
        }
        let points: Vec<[Number; 2]> = bases[..longest].par_iter().map(coordinates).collect();
        let results = rows.iter().map(|row| self.product(&bases[..row.len()], &points[..row.len()], row));
        match results.collect::<Result<Vec<_>, _>>() {
            Ok(out) => Some(G1Projective::normalize_batch(&out)),
            Err(what) => {
                *turn = Some(what);
                None
            }
        }
    }

    fn product(&self, bases: &[G1Affine], points: &[[Number; 2]], row: &[Fr]) -> Result<G1Projective, String> {
        if row.is_empty() {
            return Ok(G1Projective::ZERO);
        }
        // What stands for no point is not counted on: it has a scalar of zero instead.
        let number = |(base, scalar): (&G1Affine, &Fr)| if base.is_zero() { [0; 4] } else { scalar.into_bigint().0 };
        let scalars: Vec<Number> = bases.par_iter().zip(row).map(number).collect();
        let size = c_int::try_from(row.len()).map_err(|_| "the product is too long for it".to_owned())?;
        let config = Config {
            stream: std::ptr::null_mut(),
            precompute_factor: 1,
            c: 0,
            bitsize: 0,
            batch_size: 1,
            are_points_shared_in_batch: true,
            are_scalars_on_device: false,
            are_scalars_montgomery_form: false,
            are_points_on_device: false,
            are_points_montgomery_form: false,
            are_results_on_device: false,
            is_async: false,
            ext: std::ptr::null_mut(),
        };
        let mut result = [[0u64; 4]; 3];
        // SAFETY: as many scalars and points as are announced, and room for the one result; nothing is kept, as the call is awaited.
        let code = unsafe { (self.msm)(scalars.as_ptr(), points.as_ptr(), size, &raw const config, &raw mut result) };
        if code != 0 {
            return Err(format!("it reports error {code} ({})", meaning(code)));
        }
        point(result).ok_or_else(|| "its result is no point of the curve".to_owned())
    }

    /// A known product: with a point that is none, equal points, opposite ones, and scalars at both ends.
    fn try_out(&self) -> Result<(), String> {
        let mut powers = Vec::with_capacity(TRIAL);
        let mut at = G1Projective::generator();
        for k in 0..TRIAL {
            powers.push(at);
            if k % 7 != 3 {
                at.double_in_place();
            }
        }
        let mut bases = G1Projective::normalize_batch(&powers);
        bases[11] = G1Affine::zero();
        bases[12] = (-bases[10].into_group()).into_affine();
        let mut scalar = Fr::from(0x9e37_79b9_7f4a_7c15u64);
        let mut scalars: Vec<Fr> = (0..TRIAL)
            .map(|_| {
                scalar = scalar.square() + Fr::ONE;
                scalar
            })
            .collect();
        scalars[..3].copy_from_slice(&[Fr::ZERO, Fr::ONE, -Fr::ONE]);
        scalars[12] = scalars[10];
        let points: Vec<[Number; 2]> = bases.iter().map(coordinates).collect();
        let expected = msm_many_with(Vector::detect(), &bases, &[&scalars]);
        if self.product(&bases, &points, &scalars)? != expected[0] {
            return Err("its result is another point".to_owned());
        }
        Ok(())
    }
}

/// The coordinates of a point in standard form; those of the generator for no point.
fn coordinates(p: &G1Affine) -> [Number; 2] {
    let p = if p.is_zero() { &G1Affine::generator() } else { p };
    [p.x.into_bigint().0, p.y.into_bigint().0]
}

/// The point with these homogeneous coordinates, if they are canonical and it is on the curve.
fn point(result: [Number; 3]) -> Option<G1Projective> {
    let [x, y, z] = result.map(|n| Fq::from_bigint(BigInt(n)));
    let (x, y, z) = (x?, y?, z?);
    if z.is_zero() {
        return (x.is_zero() && !y.is_zero()).then_some(G1Projective::ZERO);
    }
    let inverse = z.inverse()?;
    let p = G1Affine::new_unchecked(x * inverse, y * inverse);
    // The group is the whole curve.
    p.is_on_curve().then(|| p.into_group())
}

/// What the interface calls an error.
fn meaning(code: c_int) -> &'static str {
    match code {
        1 => "invalid device",
        2 => "out of memory",
        3 => "invalid pointer",
        4 => "allocation failed",
        6 => "copy failed",
        7 => "synchronization failed",
        10 => "not implemented for this device",
        11 => "invalid argument",
        12 => "a backend was not loaded",
        13 => "licence",
        _ => "unknown",
    }
}

#[cfg(unix)]
fn load(file: &Path) -> Result<libloading::Library, IcicleError> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // Those that follow, and backends, look for their functions in those before.
    // SAFETY: whoever set the variable asked for this code to run.
    unsafe { Library::open(Some(file), RTLD_NOW | RTLD_GLOBAL) }.map(Into::into).map_err(|e| unloadable(file, &e))
}

#[cfg(not(unix))]
fn load(file: &Path) -> Result<libloading::Library, IcicleError> {
    // SAFETY: whoever set the variable asked for this code to run.
    unsafe { libloading::Library::new(file) }.map_err(|e| unloadable(file, &e))
}

fn unloadable(file: &Path, e: &libloading::Error) -> IcicleError {
    IcicleError::Load { path: file.display().to_string(), reason: e.to_string() }
}

/// A function of some library.
///
/// # Safety
/// The type must be the function's.
unsafe fn function<F: Copy>(libraries: &[libloading::Library], name: &CStr) -> Option<F> {
    // SAFETY: the caller's.
    libraries.iter().rev().find_map(|l| unsafe { l.get::<F>(name) }.ok().map(|s| *s))
}

/// Loads the backends of an installation and makes the first device that is no processor the default; its kind.
fn choose_device(libraries: &[libloading::Library]) -> Option<String> {
    type Plain = unsafe extern "C" fn() -> c_int;
    type List = unsafe extern "C" fn(*mut c_char, usize) -> c_int;
    type Choose = unsafe extern "C" fn(*const Device) -> c_int;
    const ROOM: usize = 1 << 10;
    let mut names = [0u8; ROOM];
    // SAFETY: the types are those that the interface has for these names. What loads nothing leaves the processor; the list ends with a
    // zero within the room that is announced, and the last byte is one in any case.
    unsafe {
        if let Some(backends) = function::<Plain>(libraries, c"icicle_load_backend_from_env_or_default") {
            let _ = backends();
        }
        let list = function::<List>(libraries, c"icicle_get_registered_devices")?;
        if list(names.as_mut_ptr().cast(), ROOM - 1) != 0 {
            return None;
        }
    }
    let text = CStr::from_bytes_until_nul(&names).ok()?.to_str().ok()?.to_owned();
    let known = || text.split(',').map(str::trim).filter(|n| !n.is_empty() && n.len() < 64);
    let mut order: Vec<&str> = known().filter(|n| *n != "CPU").collect();
    order.extend(known().filter(|n| *n == "CPU"));
    order.into_iter().find_map(|name| {
        let mut device = Device { kind: [0; 64], id: 0 };
        device.kind[..name.len()].copy_from_slice(name.as_bytes());
        // SAFETY: as above; the device lives as long as the calls.
        let set = unsafe {
            let there = function::<Choose>(libraries, c"icicle_is_device_available")?;
            let default = function::<Choose>(libraries, c"icicle_set_default_device")?;
            there(&raw const device) == 0 && default(&raw const device) == 0
        };
        set.then(|| name.to_owned())
    })
}

#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tests {
    use super::*;
    use crate::msm::reference;
    use ark_ff::UniformRand;
    use ark_std::{rand::Rng, test_rng};
    use std::process::Command;

    /// The library of the tests (`tests/icicle/standin.cpp`), which fails in a way after some calls; way 0 never.
    fn standin(fault: u32, after: u32) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/icicle");
        let out = std::env::temp_dir().join(format!("assay-icicle-{}-{fault}-{after}.so", std::process::id()));
        let status = Command::new(folder.join("build")).arg(&out).args([fault.to_string(), after.to_string()]).status();
        assert!(status.expect("the script starts").success(), "the stand-in does not compile; install g++ or set CXX");
        out
    }

    fn open(fault: u32, after: u32) -> Result<Icicle, IcicleError> {
        let path = standin(fault, after);
        let opened = Icicle::open(&path);
        let _ = std::fs::remove_file(path);
        opened.map(|o| Icicle { smallest: 0, ..o })
    }

    /// A library that takes every product.
    pub(crate) fn honest() -> &'static Icicle {
        static OPEN: OnceLock<Icicle> = OnceLock::new();
        OPEN.get_or_init(|| open(0, 0).expect("the stand-in works"))
    }

    #[test]
    fn products_are_those_of_the_definition() {
        let mut rng = test_rng();
        for n in [1, 2, 3, 17, 64] {
            let mut bases: Vec<G1Affine> = (0..n).map(|_| G1Affine::rand(&mut rng)).collect();
            let mut row = |len: usize| -> Vec<Fr> {
                let scalar = |k: u32, r: Fr| match k {
                    0 => Fr::ZERO,
                    1 => -Fr::ONE,
                    2 => Fr::from(77u64),
                    _ => r,
                };
                (0..len).map(|_| scalar(rng.gen_range(0..6), Fr::rand(&mut rng))).collect()
            };
            let rows = [row(n), row(n / 2), vec![], vec![Fr::ZERO; n], row(n)];
            bases[n / 3] = G1Affine::zero();
            let rows: Vec<&[Fr]> = rows.iter().map(Vec::as_slice).collect();
            let expected: Vec<G1Affine> = rows.iter().map(|r| reference::msm(&bases, r).into_affine()).collect();
            assert_eq!(honest().products(&bases, &rows).expect("the library is used"), expected, "{n}");
        }
        assert_eq!((honest().trouble(), honest().device()), (None, Some("STANDIN")));
    }

    #[test]
    fn a_library_that_gives_wrong_products_is_not_taken() {
        for (fault, words) in [
            (1, "error 2 (out of memory)"),
            (2, "its result is another point"),
            (3, "its result is no point"),
            (4, "its result is no point"),
        ] {
            let e = open(fault, 0).expect_err("it is wrong from the start").to_string();
            assert!(e.contains(words) && e.contains("tried on a product of 300 terms"), "{e}");
        }
        let e = Icicle::open(Path::new("/nowhere/libicicle_curve_bn254.so")).expect_err("there is none").to_string();
        assert!(e.contains("/nowhere/libicicle_curve_bn254.so cannot be loaded"), "{e}");
        // Some library, but not this one.
        let e = open(5, 0).expect_err("it has no such function").to_string();
        assert!(e.contains("has no function 'bn254_msm'"), "{e}");
    }

    #[test]
    fn a_library_that_fails_later_is_not_asked_again() {
        let mut rng = test_rng();
        let bases: Vec<G1Affine> = (0..5).map(|_| G1Affine::rand(&mut rng)).collect();
        let row: Vec<Fr> = (0..5).map(|_| Fr::rand(&mut rng)).collect();
        for (fault, words) in [(1, "out of memory"), (3, "no point"), (4, "no point")] {
            // The trial is one call.
            let library = open(fault, 2).expect("it begins well");
            assert!(library.products(&bases, &[&row]).is_some() && library.trouble().is_none());
            assert!(library.products(&bases, &[&row]).is_none());
            assert!(library.trouble().is_some_and(|t| t.contains(words)));
            assert!(library.products(&bases, &[&row]).is_none());
        }
    }

    #[test]
    fn small_products_stay_here() {
        let library = Icicle { smallest: 6, ..open(0, 9).expect("it works") };
        let bases = vec![G1Affine::generator(); 6];
        assert!(library.products(&bases, &[&[Fr::ONE; 5], &[]]).is_none());
        assert!(library.products(&bases, &[&[Fr::ONE; 6], &[]]).is_some());
    }
}
