//! Running the float model: ranges of all tensors over the calibration samples.

use super::{
    convert::STAND_IN, equalize::Entries, error::ImportError, fineness::Fineness, load::FloatModel, rounded::largest,
};
use crate::parallel::NEAR;
use rayon::prelude::*;
use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
};
use tract_onnx::{
    prelude::*,
    tract_hir::tract_core::ops::{konst::Const, nn::Reduce, source::TypedSource},
};

/// Smallest and largest value of every tensor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    ranges: HashMap<OutletId, (f64, f64)>,
    /// The same for each entry, of small tensors.
    entries: Entries,
    octaves: Octaves,
    fineness: OnceCell<Fineness>,
}

/// Binary exponents of the values of sums: `e` for values from `2^e` up to `2^(e + 1)`.
type Octaves = HashMap<OutletId, BTreeSet<i32>>;

/// Most entries of a tensor whose entries are told apart.
const SMALL: usize = 1 << 12;

impl Stats {
    /// The range of a tensor; `[-1, 1]` where it is unknown.
    pub(crate) fn range(&self, outlet: OutletId) -> (f64, f64) {
        self.ranges.get(&outlet).copied().unwrap_or((-1.0, 1.0))
    }

    /// The binary exponents of the values of a reduced tensor above zero, the least first.
    pub(crate) fn octaves(&self, outlet: OutletId) -> impl Iterator<Item = i32> + '_ {
        self.octaves.get(&outlet).into_iter().flatten().copied()
    }

    /// The steps that the model's normalizations ask for; the model is the one that was measured.
    pub(crate) fn fineness(&self, model: &TypedModel) -> &Fineness {
        self.fineness.get_or_init(|| Fineness::of(model, self))
    }

    /// The least and the largest value of each entry of a small tensor.
    pub(crate) fn entries(&self, outlet: OutletId) -> Option<(&[f32], &[f32])> {
        self.entries.get(&outlet).map(|(lo, hi)| (lo.as_slice(), hi.as_slice()))
    }
}

/// What running the float model on all samples showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// For every tensor, the smallest and largest value at each position.
    pub(crate) entries: Entries,
    /// `outputs[sample][output]`.
    pub(crate) outputs: Vec<Vec<Vec<f32>>>,
    /// All tensors of the first samples, as many as memory is set aside for.
    pub(crate) recorded: Vec<HashMap<OutletId, Floats>>,
    octaves: Octaves,
}

/// Values of intermediate tensors that are kept for the report.
const RECORDED_VALUES: usize = 1 << 26;
/// Samples whose intermediate tensors are kept for the report.
const RECORDED_SAMPLES: usize = 32;

impl Measured {
    /// The range of every tensor.
    pub(crate) fn stats(&self) -> Stats {
        let range = |(o, (lo, hi)): (&OutletId, &(Vec<f32>, Vec<f32>))| {
            (*o, (f64::from(extremes(lo).0), f64::from(extremes(hi).1)))
        };
        let small = self.entries.iter().filter(|(_, (lo, _))| lo.len() <= SMALL);
        Stats {
            ranges: self.entries.par_iter().map(range).collect(),
            entries: small.map(|(o, e)| (*o, e.clone())).collect(),
            octaves: self.octaves.clone(),
            fineness: OnceCell::new(),
        }
    }

    /// Takes the tensors of more samples into the least and largest values.
    fn add(&mut self, samples: &[Made]) {
        let Some((first, others)) = samples.split_first() else { return };
        let known: Vec<_> = first
            .iter()
            .enumerate()
            .map(|(at, (outlet, values))| {
                let all: Vec<&[f32]> =
                    std::iter::once(&**values).chain(others.iter().map(|made| &*made[at].1)).collect();
                (*outlet, values.len(), all, self.entries.remove(outlet))
            })
            .collect();
        let joined = known.into_par_iter().map(|(outlet, len, all, known)| {
            let (mut lo, mut hi) = known.unwrap_or_else(|| (Vec::with_capacity(len), Vec::with_capacity(len)));
            // As much at a time as stays in the nearest cache.
            for at in (0..len).step_by(NEAR) {
                let part = at..(at + NEAR).min(len);
                // What is known is as long as it will be.
                lo.resize(lo.len().max(part.end), f32::INFINITY);
                hi.resize(hi.len().max(part.end), f32::NEG_INFINITY);
                for values in &all {
                    widen(&mut lo[part.clone()], &mut hi[part.clone()], values.get(part.clone()).unwrap_or_default());
                }
            }
            (outlet, (lo, hi))
        });
        self.entries.par_extend(joined);
    }
}

/// The values of a tensor, as the engine holds them where those are floats of 32 bits.
#[derive(Clone, Debug)]
pub(crate) struct Floats(Arc<Tensor>);

impl Floats {
    fn of(values: &TValue) -> TractResult<Self> {
        let values = values.clone().into_arc_tensor();
        let floats = if values.datum_type() == f32::datum_type() {
            values
        } else {
            values.cast_to::<f32>()?.into_owned().into_arc_tensor()
        };
        floats.try_as_plain_ram()?;
        Ok(Self(floats))
    }

    /// The same, with the largest of numbers instead of infinities.
    fn finite(&self) -> TractResult<Self> {
        let values: Vec<f32> =
            self.iter().map(|v| if v.is_infinite() { v.clamp(-STAND_IN, STAND_IN) } else { *v }).collect();
        Ok(Self(Tensor::from_shape(self.0.shape(), &values)?.into_arc_tensor()))
    }
}

impl std::ops::Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // `of` takes no tensor of another type or place.
        self.0.try_as_plain_ram().and_then(|plain| plain.as_slice()).unwrap_or_default()
    }
}

vectors! {
    /// Takes a sample's values into the least and largest ones of those before.
    fn widen(lo: &mut [f32], hi: &mut [f32], values: &[f32]) {
        for ((lo, hi), v) in lo.iter_mut().zip(hi).zip(values) {
            *lo = if v < lo { *v } else { *lo };
            *hi = if v > hi { *v } else { *hi };
        }
    }

    /// The least and the largest of numbers, none of which is a NaN; of none, both infinities.
    pub(super) fn extremes(values: &[f32]) -> (f32, f32) {
        // Several at a time, so that no comparison waits for the one before.
        const LANES: usize = 64;
        let (mut lo, mut hi) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let (whole, rest) = values.as_chunks::<LANES>();
        for part in whole.iter().map(<[f32; LANES]>::as_slice).chain([rest]) {
            for ((lo, hi), v) in lo.iter_mut().zip(&mut hi).zip(part) {
                *lo = if v < lo { *v } else { *lo };
                *hi = if v > hi { *v } else { *hi };
            }
        }
        (lo.into_iter().fold(f32::INFINITY, f32::min), hi.into_iter().fold(f32::NEG_INFINITY, f32::max))
    }
}

/// Checks samples against the model's inputs: one flat array per input, all values finite.
pub(crate) fn check_samples(model: &FloatModel, samples: &[Vec<Vec<f32>>]) -> Result<(), ImportError> {
    for (sample, inputs) in samples.iter().enumerate() {
        let err =
            |tensor: &str, reason: String| Err(ImportError::Calibration { sample, tensor: tensor.to_owned(), reason });
        if inputs.len() != model.inputs.len() {
            return err("", format!("expected {} inputs, got {}", model.inputs.len(), inputs.len()));
        }
        for (((name, shape), integral), values) in model.inputs.iter().zip(&model.integral).zip(inputs) {
            let n: usize = shape.iter().product();
            if values.len() != n {
                return err(name, format!("expected {n} values for shape {shape:?}, got {}", values.len()));
            }
            if let Some(i) = values.iter().position(|v| !v.is_finite()) {
                return err(name, format!("value {i} is {}", values[i]));
            }
            if *integral && let Some(i) = values.iter().position(|v| v.fract() != 0.0) {
                return err(name, format!("value {i} is {}, but the input holds integers", values[i]));
            }
        }
    }
    Ok(())
}

/// Samples for a model without calibration data: even ones uniform in [0, 1) (images), odd ones roughly normal.
pub(crate) fn generate_samples(model: &FloatModel, seed: u64, count: usize) -> Vec<Vec<Vec<f32>>> {
    let mut state = seed;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    };
    let mut sample = |k: usize, n: usize, integral: bool| -> Vec<f32> {
        (0..n)
            .map(|_| {
                if integral {
                    (uniform() * 2.0).floor()
                } else if k.is_multiple_of(2) {
                    uniform()
                } else {
                    (0..6).map(|_| uniform()).sum::<f32>() * 1.4 - 4.2
                }
            })
            .collect()
    };
    let shapes: Vec<(usize, bool)> =
        model.inputs.iter().zip(&model.integral).map(|((_, s), i)| (s.iter().product(), *i)).collect();
    (0..count).map(|k| shapes.iter().map(|(n, i)| sample(k, *n, *i)).collect()).collect()
}

/// Runs one sample and hands every tensor to `visit`; booleans are 0 and 1.
pub(crate) fn run_float(
    source: &FloatModel,
    model: &TypedModel,
    inputs: &[Vec<f32>],
    visit: &mut dyn FnMut(OutletId, Floats) -> TractResult<()>,
) -> Result<(), ImportError> {
    let stage = "running the float model";
    super::guard::guarded(stage, || {
        let fail = |e: TractError| ImportError::engine(stage, &e);
        let order = model.eval_order().map_err(fail)?;
        let mut uses: HashMap<OutletId, usize> = HashMap::new();
        for id in &order {
            for i in &model.nodes()[*id].inputs {
                *uses.entry(*i).or_default() += 1;
            }
        }
        let mut values: HashMap<OutletId, TValue> = HashMap::new();
        for id in order {
            let node = &model.nodes()[id];
            let outputs = if let Some(c) = node.op_as::<Const>() {
                vec![c.val().clone().into_tvalue()]
            } else if node.op_is::<TypedSource>() {
                let k = source.inputs.iter().position(|(n, _)| *n == node.name);
                let (Some(k), Some(shape)) = (k, node.outputs[0].fact.shape.as_concrete()) else {
                    return Err(ImportError::engine(stage, &format!("'{}' is no input", node.name)));
                };
                let data = inputs.get(k).map(Vec::as_slice).unwrap_or_default();
                let t = Tensor::from_shape(shape, data).map_err(fail)?;
                let t = t.cast_to_dt(node.outputs[0].fact.datum_type).map_err(fail)?.into_owned();
                vec![t.into_tvalue()]
            } else {
                let args = node.inputs.iter().map(|i| values.get(i).cloned()).collect::<Option<TVec<_>>>();
                let args =
                    args.ok_or_else(|| ImportError::engine(stage, &format!("'{}' lacks an input", node.name)))?;
                match super::arithmetic::eval(node, &args) {
                    Some(t) => vec![t.into_tvalue()],
                    None => {
                        let out = node
                            .op
                            .eval_out_of_plan(
                                super::arithmetic::comparable(node.op.name().as_ref(), args).map_err(fail)?,
                            )
                            .map_err(fail)?;
                        out.ok_or_else(|| ImportError::engine(stage, &format!("'{}' keeps state", node.name)))?.to_vec()
                    }
                }
            };
            for i in &node.inputs {
                if let Some(n) = uses.get_mut(i) {
                    *n -= 1;
                    if *n == 0 {
                        values.remove(i);
                    }
                }
            }
            for (slot, t) in outputs.into_iter().enumerate() {
                let outlet = OutletId::new(id, slot);
                let kind = t.datum_type();
                let number = kind.is_float() || kind.is_integer() || matches!(kind, DatumType::Bool | DatumType::TDim);
                if number && !node.op_is::<Const>() {
                    Floats::of(&t).and_then(|values| visit(outlet, values)).map_err(fail)?;
                }
                if uses.get(&outlet).is_some_and(|n| *n > 0) {
                    values.insert(outlet, t);
                }
            }
        }
        Ok(())
    })
}

/// All tensors of a run, in the order in which they were made.
type Made = Vec<(OutletId, Floats)>;

/// A run, and the first of its tensors that is no result.
type Run = (Made, Option<OutletId>);

/// Values of all tensors of the runs that are made at a time.
const HELD_VALUES: usize = 1 << 26;

/// Runs the float model on samples, each on a thread of its own.
fn run_each(source: &FloatModel, model: &TypedModel, samples: &[Vec<Vec<f32>>]) -> Vec<Result<Run, ImportError>> {
    let one = |s: &Vec<Vec<f32>>| {
        let (mut made, mut lost) = (Made::new(), None);
        run_float(source, model, s, &mut |outlet, values| {
            if largest(&values).is_finite() {
                made.push((outlet, values));
                return Ok(());
            }
            // An infinity inside, as of an exponential whose reciprocal is taken, is large; a NaN, or a result without end, is none.
            if values.iter().any(|v| v.is_nan()) || model.outputs.contains(&outlet) {
                lost.get_or_insert(outlet);
            }
            made.push((outlet, values.finite()?));
            Ok(())
        })?;
        Ok((made, lost))
    };
    samples.par_iter().map(one).collect()
}

/// Runs the float model on all samples.
pub(crate) fn measure(
    source: &FloatModel,
    model: &TypedModel,
    samples: &[Vec<Vec<f32>>],
    generated: bool,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<Measured, ImportError> {
    let mut out = Measured::default();
    let mut room = RECORDED_VALUES;
    let facts = model.nodes().iter().flat_map(|n| &n.outputs);
    let elements: usize = facts.map(|o| o.fact.shape.as_concrete().map_or(1, |s| s.iter().product())).sum();
    let together = (HELD_VALUES / elements.max(1)).clamp(1, rayon::current_num_threads());
    for (part, some) in samples.chunks(together).enumerate() {
        progress("calibrate", (part * together) as u64, samples.len() as u64);
        let mut runs = Vec::with_capacity(some.len());
        for (k, run) in run_each(source, model, some).into_iter().enumerate() {
            let (made, lost) = match run {
                Err(e) if generated => {
                    return Err(ImportError::MadeUp { node: "the model".to_owned(), reason: e.to_string() });
                }
                made => made?,
            };
            if let Some(outlet) = lost {
                return Err(not_finite(source, model, outlet, part * together + k, generated));
            }
            runs.push(made);
        }
        out.add(&runs);
        for (k, made) in runs.into_iter().enumerate() {
            let k = part * together + k;
            let mut outputs = vec![vec![]; model.outputs.len()];
            let mut record = (k < RECORDED_SAMPLES && room > 0).then(HashMap::new);
            for (outlet, values) in made {
                if model.nodes()[outlet.node].op_is::<Reduce>() {
                    let above = values.iter().filter(|v| **v > 0.0);
                    out.octaves.entry(outlet).or_default().extend(above.map(|v| v.log2().floor() as i32));
                }
                for (o, slot) in model.outputs.iter().zip(&mut outputs) {
                    if *o == outlet {
                        *slot = values.to_vec();
                    }
                }
                room = room.saturating_sub(values.len());
                if room == 0 {
                    record = None;
                }
                if let Some(r) = &mut record {
                    r.insert(outlet, values);
                }
            }
            // What is not compared must not pass for right.
            for (o, values) in model.outputs.iter().zip(&outputs) {
                let node = &model.nodes()[o.node];
                let fact = &node.outputs[o.slot].fact;
                let whole = fact.shape.as_concrete().map(|s| s.iter().product()) == Some(values.len());
                if !whole && !node.op_is::<Const>() {
                    let what = format!("output '{}' of type {:?} is no tensor of numbers", node.name, fact.datum_type);
                    return Err(ImportError::engine("running the float model", &what));
                }
            }
            out.outputs.push(outputs);
            out.recorded.extend(record);
        }
    }
    progress("calibrate", samples.len() as u64, samples.len() as u64);
    Ok(out)
}

/// A sample for which the float model has no result.
fn not_finite(
    source: &FloatModel,
    model: &TypedModel,
    outlet: OutletId,
    sample: usize,
    generated: bool,
) -> ImportError {
    let made_by = &model.nodes()[outlet.node];
    let name = made_by.op.name();
    let (node, op) = source.origin(&made_by.name, &name);
    let reason = format!("the float model itself computes a NaN or an infinity here ({op})");
    if generated {
        ImportError::MadeUp { node: node.to_owned(), reason }
    } else {
        ImportError::Calibration { sample, tensor: node.to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn samples_add_up_to_the_least_and_largest_of_each_entry(
            samples in (0usize..9, 1usize..5).prop_flat_map(|(n, count)| {
                prop::collection::vec(prop::collection::vec(-9f32..9.0, n), count)
            }),
            together in 1usize..4,
        ) {
            let outlet = OutletId::new(0, 0);
            let made: Vec<Made> = samples
                .iter()
                .map(|s| vec![(outlet, Floats(Tensor::from_shape(&[s.len()], s).unwrap().into_arc_tensor()))])
                .collect();
            let mut got = Measured::default();
            made.chunks(together).for_each(|some| got.add(some));
            let of = |f: fn(f32, f32) -> f32| -> Vec<f32> {
                (0..samples[0].len()).map(|i| samples.iter().map(|s| s[i]).reduce(f).unwrap()).collect()
            };
            prop_assert_eq!(got.entries.get(&outlet), Some(&(of(f32::min), of(f32::max))));
        }

        #[test]
        fn extremes_are_the_least_and_the_largest(values in prop::collection::vec(-1e30f32..1e30, 0..70)) {
            let lo = values.iter().copied().fold(f32::INFINITY, f32::min);
            let hi = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(extremes(&values), (lo, hi));
        }
    }
}
