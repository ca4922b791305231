//! The devices as one type.
//!
//! What is generic over [`Device`] is compiled again in every crate that calls it, and in every test: Halo2, the opening and all
//! sumchecks. What takes an [`AnyDevice`] is compiled once, here. The choice is made once a kernel, which costs nothing beside it.

use super::{AxisMatrix, Cpu, Device, Functional, Leaves, Reference, cuda::Cuda};
use ark_bn254::{Fr, G1Affine};

/// A device, by its kind.
#[derive(Clone, Copy)]
pub enum AnyDevice<'d> {
    /// The processor.
    Cpu(&'d Cpu),
    /// What the kernels mean.
    Reference(&'d Reference),
    /// A card.
    Cuda(&'d Cuda),
}

impl<'d> From<&'d Cpu> for AnyDevice<'d> {
    fn from(device: &'d Cpu) -> Self {
        Self::Cpu(device)
    }
}

impl<'d> From<&'d Reference> for AnyDevice<'d> {
    fn from(device: &'d Reference) -> Self {
        Self::Reference(device)
    }
}

impl<'d> From<&'d Cuda> for AnyDevice<'d> {
    fn from(device: &'d Cuda) -> Self {
        Self::Cuda(device)
    }
}

/// What is in a device's memory, by the kind of the device.
pub enum Held<C, R, G> {
    /// The processor's.
    Cpu(C),
    /// That of [`Reference`].
    Reference(R),
    /// A card's.
    Cuda(G),
}

/// Calls the device at hand with what it holds. `Held` before the call is for what stays on the device.
macro_rules! on {
    ($device:expr, [$($held:ident),*], |$d:ident| Held: $call:expr) => {
        match ($device, $($held,)*) {
            (AnyDevice::Cpu($d), $(Held::Cpu($held),)*) => Held::Cpu($call),
            (AnyDevice::Reference($d), $(Held::Reference($held),)*) => Held::Reference($call),
            (AnyDevice::Cuda($d), $(Held::Cuda($held),)*) => Held::Cuda($call),
            #[allow(unreachable_patterns)]
            _ => unreachable!("an array of another device"),
        }
    };
    ($device:expr, [$($held:ident),*], |$d:ident| $call:expr) => {
        match ($device, $($held,)*) {
            (AnyDevice::Cpu($d), $(Held::Cpu($held),)*) => $call,
            (AnyDevice::Reference($d), $(Held::Reference($held),)*) => $call,
            (AnyDevice::Cuda($d), $(Held::Cuda($held),)*) => $call,
            #[allow(unreachable_patterns)]
            _ => unreachable!("an array of another device"),
        }
    };
}

impl Device for AnyDevice<'_> {
    type Elements = Held<<Cpu as Device>::Elements, <Reference as Device>::Elements, <Cuda as Device>::Elements>;
    type Integers<'a> =
        Held<<Cpu as Device>::Integers<'a>, <Reference as Device>::Integers<'a>, <Cuda as Device>::Integers<'a>>;
    type Points<'a> =
        Held<<Cpu as Device>::Points<'a>, <Reference as Device>::Points<'a>, <Cuda as Device>::Points<'a>>;
    type Tree<'a> = Held<<Cpu as Device>::Tree<'a>, <Reference as Device>::Tree<'a>, <Cuda as Device>::Tree<'a>>;

    fn name(&self) -> &'static str {
        on!(self, [], |d| d.name())
    }

    fn integers<'a>(&self, values: &'a [i32]) -> Self::Integers<'a> {
        on!(self, [], |d| Held: d.integers(values))
    }

    fn points<'a>(&self, points: &'a [G1Affine]) -> Self::Points<'a> {
        on!(self, [], |d| Held: d.points(points))
    }

    fn point_count(&self, points: &Self::Points<'_>) -> usize {
        on!(self, [points], |d| d.point_count(points))
    }

    fn elements(&self, values: Vec<Fr>) -> Self::Elements {
        on!(self, [], |d| Held: d.elements(values))
    }

    fn download(&self, values: &Self::Elements) -> Vec<Fr> {
        on!(self, [values], |d| d.download(values))
    }

    fn first(&self, values: &Self::Elements) -> Fr {
        on!(self, [values], |d| d.first(values))
    }

    fn commit_rows(&self, bases: &Self::Points<'_>, values: &Self::Integers<'_>, row_len: usize) -> Vec<G1Affine> {
        on!(self, [bases, values], |d| d.commit_rows(bases, values, row_len))
    }

    fn msm(&self, bases: &Self::Points<'_>, scalars: &Self::Elements) -> G1Affine {
        on!(self, [bases, scalars], |d| d.msm(bases, scalars))
    }

    fn msm_rows(&self, bases: &Self::Points<'_>, rows: &[&[Fr]]) -> Vec<G1Affine> {
        on!(self, [bases], |d| d.msm_rows(bases, rows))
    }

    fn eq_table(&self, point: &[Fr]) -> Self::Elements {
        on!(self, [], |d| Held: d.eq_table(point))
    }

    fn axis_map_i32(&self, data: &Self::Integers<'_>, outer: usize, inner: usize, m: &AxisMatrix) -> Self::Elements {
        on!(self, [data], |d| Held: d.axis_map_i32(data, outer, inner, m))
    }

    fn axis_map_fr(&self, data: &Self::Elements, outer: usize, inner: usize, m: &AxisMatrix) -> Self::Elements {
        on!(self, [data], |d| Held: d.axis_map_fr(data, outer, inner, m))
    }

    fn rearrange(&self, data: &Self::Elements, source: &[usize], target: &[usize], len: usize) -> Self::Elements {
        on!(self, [data], |d| Held: d.rearrange(data, source, target, len))
    }

    fn add_assign(&self, a: &mut Self::Elements, b: &Self::Elements) {
        on!(self, [a, b], |d| d.add_assign(a, b))
    }

    fn inner_product(&self, a: &Self::Elements, b: &Self::Elements) -> Fr {
        on!(self, [a, b], |d| d.inner_product(a, b))
    }

    fn inner_product_i32(&self, a: &Self::Integers<'_>, b: &Self::Elements) -> Fr {
        on!(self, [a, b], |d| d.inner_product_i32(a, b))
    }

    fn product_round(&self, a: &Self::Elements, b: &Self::Elements) -> [Fr; 2] {
        on!(self, [a, b], |d| d.product_round(a, b))
    }

    fn product_round_i32(&self, a: &Self::Integers<'_>, b: &Self::Elements) -> [Fr; 2] {
        on!(self, [a, b], |d| d.product_round_i32(a, b))
    }

    fn bind(&self, a: &mut Self::Elements, r: Fr) {
        on!(self, [a], |d| d.bind(a, r))
    }

    fn bind_i32(&self, a: &Self::Integers<'_>, r: Fr) -> Self::Elements {
        on!(self, [a], |d| Held: d.bind_i32(a, r))
    }

    fn product_bind_round(&self, a: &mut Self::Elements, b: &mut Self::Elements, r: Fr) -> [Fr; 2] {
        on!(self, [a, b], |d| d.product_bind_round(a, b, r))
    }

    fn functional_products(&self, f: &Self::Integers<'_>, omega: &Functional, leading: usize) -> Vec<Fr> {
        on!(self, [f], |d| d.functional_products(f, omega, leading))
    }

    fn functional_bind(&self, omega: &Functional, point: &[Fr]) -> Self::Elements {
        on!(self, [], |d| Held: d.functional_bind(omega, point))
    }

    fn fraction_tree<'a>(&self, leaves: &'a Leaves<'a>) -> Self::Tree<'a> {
        on!(self, [], |d| Held: d.fraction_tree(leaves))
    }

    fn fraction_children(&self, tree: &Self::Tree<'_>) -> [Fr; 4] {
        on!(self, [tree], |d| d.fraction_children(tree))
    }

    fn fraction_descend(&self, tree: &mut Self::Tree<'_>, point: &[Fr], lambda: Fr) -> Fr {
        on!(self, [tree], |d| d.fraction_descend(tree, point, lambda))
    }

    fn fraction_bind_round(&self, tree: &mut Self::Tree<'_>, r: Fr) -> [Fr; 2] {
        on!(self, [tree], |d| d.fraction_bind_round(tree, r))
    }
}
