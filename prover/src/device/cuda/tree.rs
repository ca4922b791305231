//! Fraction trees on the card.

use super::super::leaves::{Leaves, Numerators};
use super::engine::{Argument, Array, CudaError, Engine};
use super::{Accelerated, Scalars, SmallIntegers, Words};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};

/// A layer of `2 stride` fractions, whose children have `len` entries that are not bound yet.
struct Layer<E: Engine> {
    p: Scalars<E>,
    q: Scalars<E>,
    stride: usize,
    len: usize,
}

impl<E: Engine> Layer<E> {
    fn split(p: Scalars<E>, q: Scalars<E>) -> Self {
        let stride = p.len / 2;
        Self { p, q, stride, len: stride }
    }
}

/// The layers that have not come up yet, and the current one.
pub struct Tree<E: Engine> {
    /// Numerators and denominators of all leaves, until theirs is the current layer and bound.
    leaves: Option<(SmallIntegers<E>, Scalars<E>)>,
    /// Layers above the leaves, the smallest last; without the largest, which is computed again when its turn comes.
    layers: Vec<(Scalars<E>, Scalars<E>)>,
    /// Whether the largest is still to come.
    largest: bool,
    current: Option<Layer<E>>,
    /// The eq tables of the current layer's rounds that are still to come, the next one last.
    eq: Vec<Scalars<E>>,
    lambda: Fr,
}

impl<E: Engine> Accelerated<E> {
    /// Numerators and denominators of all leaves.
    fn expand_leaves(&self, leaves: &Leaves<'_>) -> Result<(SmallIntegers<E>, Scalars<E>), CudaError> {
        let e = &self.engine;
        let len = 1usize << leaves.bits;
        let (p, q) = (SmallIntegers::<E>::zeros(e, len)?, Scalars::<E>::zeros(e, len)?);
        let beta_squared = leaves.beta.square();
        // SAFETY: the array has that many entries.
        unsafe { self.over(len, "fill", &[q.at(e, 0), len.into(), (&leaves.alpha).into()])? };
        for run in &leaves.runs {
            let count = run.keys.len();
            let (starts, piece) = run.places();
            if count == 0 {
                continue;
            }
            assert!(
                starts.len() * piece == count && starts.iter().all(|s| s + piece <= len),
                "a run within the leaves"
            );
            let optional = |values: &[i32]| {
                assert!(values.is_empty() || values.len() == count, "an integer for each key, or none");
                (!values.is_empty()).then(|| SmallIntegers::<E>::from_host(e, values)).transpose()
            };
            let keys = SmallIntegers::<E>::from_host(e, &run.keys)?;
            let (values, sides) = (optional(&run.values)?, optional(run.sides)?);
            let counts = match run.numerators {
                Numerators::Ones => None,
                Numerators::Minus(counts) => optional(counts)?,
            };
            let pointer = |array: &Option<SmallIntegers<E>>| match array {
                Some(array) => array.at(e, 0),
                None => Argument::Pointer(0),
            };
            let starts: Vec<u32> = starts.iter().map(|s| *s as u32).collect();
            let starts = Words::<E>::from_host(e, &starts)?;
            let start = leaves.alpha - beta_squared * Fr::from(run.tag);
            let arguments = [
                keys.at(e, 0),
                pointer(&values),
                pointer(&sides),
                pointer(&counts),
                count.into(),
                piece.into(),
                starts.at(e, 0),
                (&start).into(),
                (&leaves.beta).into(),
                (&beta_squared).into(),
                p.at(e, 0),
                q.at(e, 0),
            ];
            // SAFETY: lengths and places were checked.
            unsafe { self.over(count, "leaves", &arguments)? };
        }
        if leaves.runs.iter().all(|run| run.rows.is_empty()) {
            return Ok((p, q));
        }
        // Whole rows are few beside all lookups: the host subtracts them.
        let mut host = q.to_host(e)?;
        for run in &leaves.runs {
            let (starts, piece) = run.places();
            for (start, rows) in starts.into_iter().zip(run.rows.chunks(piece.max(1))) {
                host[start..start + rows.len()].iter_mut().zip(rows).for_each(|(q, row)| *q -= row);
            }
        }
        Ok((p, Scalars::<E>::from_host(e, &host)?))
    }

    /// One layer up.
    fn layer_above(
        &self,
        kernel: &'static str,
        p: Argument<'static>,
        q: &Scalars<E>,
    ) -> Result<(Scalars<E>, Scalars<E>), CudaError> {
        let (e, half) = (&self.engine, q.len / 2);
        let (p_out, q_out) = (Scalars::<E>::zeros(e, half)?, Scalars::<E>::zeros(e, half)?);
        // SAFETY: both halves are within the arrays, and the outputs hold one of them.
        unsafe { self.over(half, kernel, &[p, q.at(e, 0), half.into(), p_out.at(e, 0), q_out.at(e, 0)])? };
        Ok((p_out, q_out))
    }

    pub(super) fn try_fraction_tree(&self, leaves: &Leaves<'_>) -> Result<Tree<E>, CudaError> {
        let e = &self.engine;
        let (p, q) = self.expand_leaves(leaves)?;
        if q.len == 2 {
            let numerators = Scalars::<E>::zeros(e, 2)?;
            // SAFETY: both arrays have two entries.
            unsafe { self.over(2, "numerators", &[p.at(e, 0), 2usize.into(), numerators.at(e, 0)])? };
            let current = Some(Layer::split(numerators, q));
            return Ok(Tree { leaves: None, layers: vec![], largest: false, current, eq: vec![], lambda: Fr::ONE });
        }
        let mut last = self.layer_above("fraction_layer_integers", p.at(e, 0), &q)?;
        let largest = last.1.len > 2;
        let mut layers = Vec::new();
        while last.1.len > 2 {
            let next = self.layer_above("fraction_layer", last.0.at(e, 0), &last.1)?;
            let (size, below) = (last.1.len, std::mem::replace(&mut last, next));
            if 2 * size < q.len {
                layers.push(below);
            }
        }
        let current = Some(Layer::split(last.0, last.1));
        Ok(Tree { leaves: Some((p, q)), layers, largest, current, eq: vec![], lambda: Fr::ONE })
    }
}

impl<E: Engine> Tree<E> {
    pub(super) fn children(&self, device: &Accelerated<E>) -> Result<[Fr; 4], CudaError> {
        let Some(layer) = &self.current else { panic!("children of a layer that is not bound") };
        let mut out = [Fr::ZERO; 4];
        for (k, value) in out.iter_mut().enumerate() {
            let array = if k < 2 { &layer.p } else { &layer.q };
            array.read(&device.engine, k % 2 * layer.stride, std::slice::from_mut(value))?;
        }
        Ok(out)
    }

    fn round(
        device: &Accelerated<E>,
        layer: &Layer<E>,
        eq: Option<&Scalars<E>>,
        lambda: &Fr,
    ) -> Result<[Fr; 2], CudaError> {
        if layer.len == 1 {
            return Ok([Fr::ZERO; 2]);
        }
        let (e, half) = (&device.engine, layer.len / 2);
        let eq = expect_eq(eq, half);
        let arguments =
            [layer.p.at(e, 0), layer.q.at(e, 0), layer.stride.into(), half.into(), eq.at(e, 0), lambda.into()];
        // SAFETY: both children have twice `half` entries, and there is an eq factor for each.
        unsafe { device.sums(half, "fraction_round", &arguments) }
    }

    pub(super) fn descend(&mut self, device: &Accelerated<E>, point: &[Fr], lambda: Fr) -> Result<Fr, CudaError> {
        let e = &device.engine;
        // What was bound is not needed any more.
        self.current = None;
        self.eq = device.try_eq_suffixes(point)?;
        self.lambda = lambda;
        let eq = self.eq.pop();
        let mut next = self.layers.pop();
        if next.is_none()
            && self.largest
            && let Some((p, q)) = &self.leaves
        {
            self.largest = false;
            next = Some(device.layer_above("fraction_layer_integers", p.at(e, 0), q)?);
        }
        if let Some((p, q)) = next {
            let layer = self.current.insert(Layer::split(p, q));
            return Ok(Self::round(device, layer, eq.as_ref(), &lambda)?[1]);
        }
        let Some((p, q)) = &self.leaves else { panic!("no layer below the leaves") };
        let (stride, half) = (q.len / 2, q.len / 4);
        let eq = expect_eq(eq.as_ref(), half);
        let arguments = [p.at(e, 0), q.at(e, 0), stride.into(), half.into(), eq.at(e, 0), (&lambda).into()];
        // SAFETY: four quarters are within the arrays, and there is an eq factor for each entry of one.
        let [_, slope] = unsafe { device.sums(half, "fraction_round_integers", &arguments)? };
        Ok(slope)
    }

    pub(super) fn bind_round(&mut self, device: &Accelerated<E>, r: &Fr) -> Result<[Fr; 2], CudaError> {
        let e = &device.engine;
        let (eq, lambda) = (self.eq.pop(), self.lambda);
        let (eq, lambda) = (eq.as_ref(), &lambda);
        let Some(layer) = &mut self.current else {
            let Some((p, q)) = self.leaves.take() else { panic!("no layer to bind") };
            let (stride, half) = (q.len / 2, q.len / 4);
            let (p_out, q_out) = (Scalars::<E>::zeros(e, stride)?, Scalars::<E>::zeros(e, stride)?);
            let low = Fr::ONE - r;
            let arguments = [
                p.at(e, 0),
                q.at(e, 0),
                stride.into(),
                half.into(),
                (&low).into(),
                r.into(),
                p_out.at(e, 0),
                q_out.at(e, 0),
            ];
            // SAFETY: four quarters are within the arrays, two within the outputs.
            unsafe { device.over(half, "fraction_bind_integers", &arguments)? };
            let layer = self.current.insert(Layer::split(p_out, q_out));
            return Self::round(device, layer, eq, lambda);
        };
        let half = super::check_length(layer.len);
        layer.len = half;
        let arrays = [layer.p.at(e, 0), layer.q.at(e, 0), layer.stride.into()];
        if half == 1 {
            let arguments: Vec<Argument<'_>> = arrays.into_iter().chain([half.into(), r.into()]).collect();
            // SAFETY: both children have two entries.
            unsafe { device.over(half, "fraction_bind", &arguments)? };
            return Ok([Fr::ZERO; 2]);
        }
        let eq = expect_eq(eq, half / 2);
        let rest = [(half / 2).into(), r.into(), eq.at(e, 0), lambda.into()];
        let arguments: Vec<Argument<'_>> = arrays.into_iter().chain(rest).collect();
        // SAFETY: four quarters are within both children, and there is an eq factor for each entry of one.
        unsafe { device.sums(half / 2, "fraction_bind_round", &arguments) }
    }
}

/// The eq factors of a round.
fn expect_eq<M>(eq: Option<&Array<M, Fr>>, len: usize) -> &Array<M, Fr> {
    match eq {
        Some(eq) if eq.len == len => eq,
        other => panic!("eq table of a fraction round: expected {len} entries, got {:?}", other.map(|eq| eq.len)),
    }
}
