//! The device on a CUDA card: `prover/cuda/` holds its kernels, this module what calls them.
//!
//! Arrays stay on the card from upload to drop; a round of a sumcheck brings a few kilobytes back, the sums of its blocks.
//! The text of the kernels also compiles as C++: the tests run the whole conformance suite on that, without a card.
//!
//! The methods of [`Device`] have no way to fail. Where the driver does, they unwind with a [`DeviceFailure`], which
//! [`recovering`] catches: nothing of a proof is kept, and the caller starts again on the processor.

#![allow(unsafe_code)]

mod driver;
mod engine;
mod linear;
mod msm;
mod tree;

#[cfg(all(test, target_os = "linux"))]
mod emulated;

pub use driver::{CardInfo, Driver};
pub use engine::CudaError;

use super::{AxisMatrix, Device, Functional, Leaves};
use ark_bn254::{Fr, G1Affine};
use ark_ff::{AdditiveGroup, Field};
use engine::{Argument, Array, Engine, grid, launch};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Work ended because a device failed in the middle of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeviceFailure(pub CudaError);

/// Runs work on a device.
///
/// # Errors
/// The device failed. All other panics go on.
pub fn recovering<T>(work: impl FnOnce() -> T) -> Result<T, DeviceFailure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| match payload.downcast::<DeviceFailure>() {
        Ok(failure) => *failure,
        Err(other) => resume_unwind(other),
    })
}

/// Bytes of a card's memory that a proof takes about, given the leaves of its lookup tree and the entries of its longest
/// stack: both lowest layers of the tree with what is summed from them, integers with their first bound arrays, and one
/// batch of a commitment's buckets.
pub fn forecast(leaves: usize, entries: usize) -> usize {
    const BUCKETS: usize = 2 << 30;
    100 * leaves + 12 * entries + BUCKETS.min(1024 * entries.max(leaves))
}

/// Ends the work on a device that failed; see [`recovering`].
fn done<T>(result: Result<T, CudaError>) -> T {
    result.unwrap_or_else(|error| resume_unwind(Box::new(DeviceFailure(error))))
}

type Scalars<E> = Array<<E as Engine>::Memory, Fr>;
type Words<E> = Array<<E as Engine>::Memory, u32>;
/// A device's integers.
type SmallIntegers<E> = Array<<E as Engine>::Memory, i32>;
/// Two coordinates.
type Points<E> = Array<<E as Engine>::Memory, [u64; 8]>;

/// The device on a card.
pub type Cuda = Accelerated<Driver>;

/// The device on what runs its kernels.
pub struct Accelerated<E> {
    engine: E,
}

impl<E: Engine> Accelerated<E> {
    pub(crate) fn new(engine: E) -> Self {
        Self { engine }
    }

    /// Runs a kernel over `count` entries.
    ///
    /// # Safety
    /// As [`engine::launch`].
    unsafe fn over(&self, count: usize, kernel: &'static str, arguments: &[Argument<'_>]) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        unsafe { launch(&self.engine, kernel, [grid(&self.engine, count), 1], arguments) }
    }

    /// Runs a kernel that leaves `width` sums a block, and adds those up.
    ///
    /// # Safety
    /// As [`engine::launch`], with the output, `width` scalars for each block, as the last argument.
    unsafe fn sums<const N: usize>(
        &self,
        count: usize,
        kernel: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<[Fr; N], CudaError> {
        let blocks = grid(&self.engine, count);
        let out = Scalars::<E>::zeros(&self.engine, blocks as usize * N)?;
        let arguments: Vec<Argument<'_>> = arguments.iter().copied().chain([out.at(&self.engine, 0)]).collect();
        // SAFETY: the caller's, and the output just made.
        unsafe { launch(&self.engine, kernel, [blocks, 1], &arguments)? };
        let mut totals = [Fr::ZERO; N];
        for (i, sum) in out.to_host(&self.engine)?.into_iter().enumerate() {
            totals[i % N] += sum;
        }
        Ok(totals)
    }

    fn try_eq_table(&self, point: &[Fr]) -> Result<Scalars<E>, CudaError> {
        let e = &self.engine;
        let table = Scalars::<E>::zeros(e, 1 << point.len())?;
        // SAFETY: the table holds every entry.
        unsafe { self.over(1, "fill", &[table.at(e, 0), 1usize.into(), (&Fr::ONE).into()])? };
        for (k, r) in point.iter().rev().enumerate() {
            let half = 1usize << k;
            // SAFETY: twice `half` entries are within the table.
            unsafe { self.over(half, "eq_grow", &[table.at(e, 0), table.at(e, 0), half.into(), r.into()])? };
        }
        Ok(table)
    }

    /// The eq tables of all proper suffixes, the shortest first.
    fn try_eq_suffixes(&self, point: &[Fr]) -> Result<Vec<Scalars<E>>, CudaError> {
        let e = &self.engine;
        let Some((_, suffix)) = point.split_first() else {
            return Ok(Vec::new());
        };
        let mut tables = vec![self.try_eq_table(&[])?];
        for (k, r) in suffix.iter().rev().enumerate() {
            let half = tables[k].len;
            let next = Scalars::<E>::zeros(e, 2 * half)?;
            // SAFETY: the new table holds twice as many entries as the last.
            unsafe { self.over(half, "eq_grow", &[tables[k].at(e, 0), next.at(e, 0), half.into(), r.into()])? };
            tables.push(next);
        }
        Ok(tables)
    }

    fn try_bind(&self, a: &mut Scalars<E>, r: &Fr) -> Result<(), CudaError> {
        let half = check_length(a.len);
        // SAFETY: both halves are within the array.
        unsafe { self.over(half, "bind", &[a.at(&self.engine, 0), half.into(), r.into()])? };
        a.len = half;
        Ok(())
    }

    fn try_bind_integers(&self, a: &SmallIntegers<E>, r: &Fr) -> Result<Scalars<E>, CudaError> {
        let e = &self.engine;
        let half = check_length(a.len);
        let out = Scalars::<E>::zeros(e, half)?;
        let low = Fr::ONE - r;
        // SAFETY: both halves are within the array, and the output holds one of them.
        unsafe {
            self.over(half, "bind_integers", &[a.at(e, 0), out.at(e, 0), half.into(), (&low).into(), r.into()])?;
        }
        Ok(out)
    }

    fn try_product_bind_round(&self, a: &mut Scalars<E>, b: &mut Scalars<E>, r: &Fr) -> Result<[Fr; 2], CudaError> {
        assert_eq!(a.len, b.len, "the two factors");
        let e = &self.engine;
        let half = check_length(a.len);
        if half == 1 {
            self.try_bind(a, r)?;
            self.try_bind(b, r)?;
            return Ok([Fr::ZERO; 2]);
        }
        let arguments = [a.at(e, 0), b.at(e, 0), (half / 2).into(), r.into()];
        // SAFETY: four quarters are within both arrays.
        let sums = unsafe { self.sums(half / 2, "product_bind_round", &arguments)? };
        (a.len, b.len) = (half, half);
        Ok(sums)
    }
}

/// The device under test where there is none.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn emulated() -> impl Device {
    Accelerated::new(emulated::Emulated::new())
}

/// Half of the length of an array with a variable to bind.
fn check_length(len: usize) -> usize {
    assert!(len >= 2 && len.is_power_of_two(), "no variable to bind in an array of {len} entries");
    len / 2
}

impl<E: Engine> Device for Accelerated<E> {
    type Elements = Scalars<E>;
    type Integers<'a> = SmallIntegers<E>;
    type Points<'a> = Points<E>;
    type Tree<'a> = tree::Tree<E>;

    fn name(&self) -> &'static str {
        "cuda"
    }

    fn integers<'a>(&self, values: &'a [i32]) -> Self::Integers<'a> {
        done(Array::from_host(&self.engine, values))
    }

    fn points<'a>(&self, points: &'a [G1Affine]) -> Self::Points<'a> {
        done(self.upload_points(points))
    }

    fn point_count(&self, points: &Self::Points<'_>) -> usize {
        points.len
    }

    fn elements(&self, values: Vec<Fr>) -> Self::Elements {
        done(Array::from_host(&self.engine, &values))
    }

    fn download(&self, values: &Self::Elements) -> Vec<Fr> {
        done(values.to_host(&self.engine))
    }

    fn first(&self, values: &Self::Elements) -> Fr {
        let mut out = [Fr::ZERO];
        done(values.read(&self.engine, 0, &mut out));
        out[0]
    }

    fn commit_rows(&self, bases: &Self::Points<'_>, values: &Self::Integers<'_>, row_len: usize) -> Vec<G1Affine> {
        done(self.try_commit_rows(bases, values, row_len))
    }

    fn msm(&self, bases: &Self::Points<'_>, scalars: &Self::Elements) -> G1Affine {
        done(self.try_msm(bases, scalars))
    }

    fn msm_rows(&self, bases: &Self::Points<'_>, rows: &[&[Fr]]) -> Vec<G1Affine> {
        let row = |row: &&[Fr]| self.try_msm(bases, &Array::from_host(&self.engine, row)?);
        done(rows.iter().map(row).collect())
    }

    fn eq_table(&self, point: &[Fr]) -> Self::Elements {
        done(self.try_eq_table(point))
    }

    fn axis_map_i32(&self, data: &Self::Integers<'_>, outer: usize, inner: usize, m: &AxisMatrix) -> Self::Elements {
        assert_eq!(data.len, outer * m.len * inner, "data of an axis map");
        let kernels = ["axis_map_integers", "axis_dots_integers"];
        done(self.axis_map(kernels, data.at(&self.engine, 0), outer, inner, m))
    }

    fn axis_map_fr(&self, data: &Self::Elements, outer: usize, inner: usize, m: &AxisMatrix) -> Self::Elements {
        assert_eq!(data.len, outer * m.len * inner, "data of an axis map");
        done(self.axis_map(["axis_map", "axis_dots"], data.at(&self.engine, 0), outer, inner, m))
    }

    fn rearrange(&self, data: &Self::Elements, source: &[usize], target: &[usize], len: usize) -> Self::Elements {
        done(self.try_rearrange(data, source, target, len))
    }

    fn add_assign(&self, a: &mut Self::Elements, b: &Self::Elements) {
        assert_eq!(a.len, b.len, "the two summands");
        let e = &self.engine;
        // SAFETY: both arrays have that many entries.
        done(unsafe { self.over(a.len, "add_assign", &[a.at(e, 0), b.at(e, 0), a.len.into()]) });
    }

    fn inner_product(&self, a: &Self::Elements, b: &Self::Elements) -> Fr {
        assert_eq!(a.len, b.len, "the two factors");
        let e = &self.engine;
        // SAFETY: both arrays have that many entries.
        let [sum] = done(unsafe { self.sums(a.len, "inner_product", &[a.at(e, 0), b.at(e, 0), a.len.into()]) });
        sum
    }

    fn inner_product_i32(&self, a: &Self::Integers<'_>, b: &Self::Elements) -> Fr {
        assert_eq!(a.len, b.len, "the two factors");
        let e = &self.engine;
        let arguments = [a.at(e, 0), 0usize.into(), b.at(e, 0), a.len.into()];
        // SAFETY: both arrays have that many entries.
        let [sum] = done(unsafe { self.sums(a.len, "inner_product_integers", &arguments) });
        sum
    }

    fn product_round(&self, a: &Self::Elements, b: &Self::Elements) -> [Fr; 2] {
        assert_eq!(a.len, b.len, "the two factors");
        if a.len == 1 {
            return [Fr::ZERO; 2];
        }
        let (e, half) = (&self.engine, check_length(a.len));
        // SAFETY: both halves are within both arrays.
        done(unsafe { self.sums(half, "product_round", &[a.at(e, 0), b.at(e, 0), half.into()]) })
    }

    fn product_round_i32(&self, a: &Self::Integers<'_>, b: &Self::Elements) -> [Fr; 2] {
        assert_eq!(a.len, b.len, "the two factors");
        if a.len == 1 {
            return [Fr::ZERO; 2];
        }
        let (e, half) = (&self.engine, check_length(a.len));
        // SAFETY: both halves are within both arrays.
        done(unsafe { self.sums(half, "product_round_integers", &[a.at(e, 0), b.at(e, 0), half.into()]) })
    }

    fn bind(&self, a: &mut Self::Elements, r: Fr) {
        done(self.try_bind(a, &r));
    }

    fn bind_i32(&self, a: &Self::Integers<'_>, r: Fr) -> Self::Elements {
        done(self.try_bind_integers(a, &r))
    }

    fn product_bind_round(&self, a: &mut Self::Elements, b: &mut Self::Elements, r: Fr) -> [Fr; 2] {
        done(self.try_product_bind_round(a, b, &r))
    }

    fn functional_products(&self, f: &Self::Integers<'_>, omega: &Functional, leading: usize) -> Vec<Fr> {
        done(self.try_functional_products(f, omega, leading))
    }

    fn functional_bind(&self, omega: &Functional, point: &[Fr]) -> Self::Elements {
        done(self.try_functional_bind(omega, point))
    }

    fn fraction_tree<'a>(&self, leaves: &'a Leaves<'a>) -> Self::Tree<'a> {
        done(self.try_fraction_tree(leaves))
    }

    fn fraction_children(&self, tree: &Self::Tree<'_>) -> [Fr; 4] {
        done(tree.children(self))
    }

    fn fraction_descend(&self, tree: &mut Self::Tree<'_>, point: &[Fr], lambda: Fr) -> Fr {
        done(tree.descend(self, point, lambda))
    }

    fn fraction_bind_round(&self, tree: &mut Self::Tree<'_>, r: Fr) -> [Fr; 2] {
        done(tree.bind_round(self, &r))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use emulated::Emulated;

    #[test]
    fn a_device_that_is_lost_ends_the_work_and_nothing_else() {
        let point: Vec<Fr> = (2..9u64).map(Fr::from).collect();
        let work = |limit| {
            let device = Accelerated::new(Emulated::failing_after(limit));
            recovering(|| {
                let table = device.eq_table(&point);
                device.inner_product(&table, &table)
            })
        };
        let launches = 1 + point.len() as u32 + 1;
        let expected = work(u32::MAX).expect("a device that works");
        for limit in 0..launches {
            let failure = work(limit).expect_err("a device that is lost");
            assert!(failure.to_string().contains("the device is lost"), "{failure}");
        }
        assert_eq!(work(launches), Ok(expected));
    }

    #[test]
    fn other_panics_go_on() {
        let caught = catch_unwind(|| recovering(|| panic!("another matter")));
        let payload = caught.expect_err("a panic");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"another matter"));
    }

    #[test]
    fn work_is_forecast_to_grow() {
        assert!(forecast(1 << 12, 1 << 12) < forecast(1 << 20, 1 << 18));
        assert!(forecast(1 << 20, 1 << 18) < forecast(1 << 24, 1 << 24));
    }

    /// Without a driver, as in CI, a card cannot be opened, and that is said without a panic.
    #[test]
    fn a_card_that_is_not_there_is_an_error() {
        match Cuda::open(1 << 16) {
            Err(CudaError::NoDriver(_) | CudaError::NoDevice { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}
