//! Training runs as files: data for them, their stacks, and the record that a proof of training is checked against.

mod options;
mod proof;
mod record;
mod stacks;

pub(crate) use options::{Hyper, HyperArgs, LoraArgs, LossName, load, momentum, rate};
pub(crate) use proof::Proof;
pub(crate) use record::{Checked, Kind, Record, Statement};
pub(crate) use stacks::{
    Made, Runs, SETTLED_ROW_BITS, base_of, commit, commit_with, data_of, initial, prove, prove_settled, row_bits,
    rows_of, shape, weights_of,
};

use crate::{
    error::{Failure, Outcome},
    input,
};
use assay_circuits::{
    Tensor,
    train::{ACTIVATION_BITS, DATA_WIDTH, Loss, Spec, TrainError, WEIGHT_BITS, WIDTH, reference},
};
use std::path::Path;

/// Rows and targets as integers.
pub(crate) struct Data {
    pub(crate) rows: Tensor,
    pub(crate) targets: Tensor,
    /// The class of each row, where targets were classes.
    pub(crate) classes: Option<Vec<usize>>,
}

impl From<TrainError> for Failure {
    fn from(e: TrainError) -> Self {
        let help = match &e {
            TrainError::Spec { allowed, .. } => allowed.clone(),
            TrainError::Layer { .. } => "assay inspect MODEL --train lists what can be trained".to_owned(),
            TrainError::Data { .. } => {
                "data has one row for each sample; values have to lie within plus or minus 32: --standardize fresh"
                    .to_owned()
            }
            TrainError::Graph(_) => "choose fewer steps or a smaller batch".to_owned(),
        };
        Self::new(e).help(help)
    }
}

/// Loss of one row on average, for people: cross-entropy is shown by the squared error of its probabilities, which is what proofs show.
pub(crate) fn mean_loss(loss: Loss, sum: i64, rows: usize) -> f64 {
    sum as f64 / f64::from(1u32 << loss.difference_bits()).powi(2) / rows as f64
}

/// Means and deviations of all features.
pub(crate) fn moments(values: &[f32], features: usize) -> (Vec<f32>, Vec<f32>) {
    let n = (values.len() / features).max(1) as f64;
    let column = |i: usize| values.iter().skip(i).step_by(features).map(|v| f64::from(*v));
    let mean: Vec<f64> = (0..features).map(|i| column(i).sum::<f64>() / n).collect();
    let deviation = (0..features).map(|i| {
        let d = (column(i).map(|v| (v - mean[i]).powi(2)).sum::<f64>() / n).sqrt();
        // A feature that never changes says nothing.
        if d > 1e-9 { d as f32 } else { 1.0 }
    });
    (mean.iter().map(|m| *m as f32).collect(), deviation.collect())
}

/// The arrays `x` and `y` of an archive.
pub(crate) struct Arrays {
    pub(crate) x: Vec<f32>,
    pub(crate) rows: usize,
    y: (Vec<usize>, Vec<f32>),
}

/// Reads `x` with a row for each sample of shape `sample`, and `y`.
pub(crate) fn arrays(path: &Path, sample: &[usize]) -> Outcome<Arrays> {
    const WHAT: &str = "training data is an .npz file: numpy.savez(FILE, x=rows, y=classes)";
    let mut all = input::arrays(path)?;
    let mut take = |name: &str| {
        let at = all.iter().position(|(n, ..)| n == name);
        at.map(|at| all.swap_remove(at))
            .ok_or_else(|| Failure::new(format!("'{}': there is no array '{name}'", path.display())).help(WHAT))
    };
    let (_, x_shape, x) = take("x")?;
    let (_, y_shape, y) = take("y")?;
    let rows = x_shape.first().copied().unwrap_or(0);
    let width: usize = sample.iter().product();
    if rows == 0 || x.len() != rows * width {
        let text = format!("'{}': 'x' has shape {x_shape:?}; rows of {sample:?} are needed", path.display());
        return Err(Failure::new(text).help("the first axis counts samples; the others are those of the model's input"));
    }
    if y_shape.first() != Some(&rows) {
        let text = format!("'{}': 'y' has shape {y_shape:?} for {rows} rows", path.display());
        return Err(Failure::new(text).help("give one class (or one row of targets) for each row of x"));
    }
    Ok(Arrays { x, rows, y: (y_shape, y) })
}

impl Arrays {
    /// Whether targets are classes.
    pub(crate) fn classes(&self) -> bool {
        self.y.0.len() == 1
    }

    /// As integers: standardized, if anything is to be taken off, and with targets for so many outputs.
    pub(crate) fn integers(&self, spec: &Spec, mean: &[f32], scale: &[f32]) -> Outcome<Data> {
        let one = f64::from(1u32 << ACTIVATION_BITS);
        let limit = 1i64 << (DATA_WIDTH - 1);
        let fixed = |v: f64, what: &str, row: usize| {
            let i = (v * one).round();
            if i.abs() < limit as f64 {
                return Ok(i as i64);
            }
            let text = format!(
                "row {row} of {what} holds {v:.4}; values within plus or minus {} are possible",
                limit as f64 / one
            );
            Err(Failure::new(text).help("scale the data, or let --standardize fresh (or keep) do it"))
        };
        let width: usize = spec.network.input.iter().product();
        let mut rows = Vec::with_capacity(self.x.len());
        for (k, v) in self.x.iter().enumerate() {
            let i = k % width;
            let m = mean.get(i).map_or(0.0, |m| f64::from(*m));
            let s = scale.get(i).map_or(1.0, |s| f64::from(*s));
            let z = (f64::from(*v) - m) / s;
            // Outliers of standardized data are held at its limit, as everything else that is kept.
            let z = if mean.is_empty() { z } else { z.clamp(-31.0, 31.0) };
            rows.push(fixed(z, "x", k / width)?);
        }
        let outputs = spec.outputs()?;
        let (shape, y) = &self.y;
        let mut classes = None;
        let targets = if self.classes() {
            let mut found = Vec::with_capacity(y.len());
            for (row, v) in y.iter().enumerate() {
                if v.fract() != 0.0 || *v < 0.0 || *v >= outputs as f32 {
                    let text = format!("row {row} of y is {v}; the network has {outputs} outputs");
                    return Err(
                        Failure::new(text).help("classes are whole numbers from 0 to one less than the outputs")
                    );
                }
                found.push(*v as usize);
            }
            let mut targets = vec![0; found.len() * outputs];
            found.iter().enumerate().for_each(|(row, class)| targets[row * outputs + class] = 1 << ACTIVATION_BITS);
            classes = Some(found);
            targets
        } else {
            if y.len() != self.rows * outputs {
                let text = format!("y has shape {shape:?}; rows of {outputs} targets are needed");
                return Err(
                    Failure::new(text).help("give a target for each output, or classes as one axis of whole numbers")
                );
            }
            y.iter().enumerate().map(|(k, v)| fixed(f64::from(*v), "y", k / outputs)).collect::<Outcome<Vec<i64>>>()?
        };
        Ok(Data {
            rows: Tensor::new([&[self.rows], &spec.network.input[..]].concat(), rows)?,
            targets: Tensor::new(vec![self.rows, outputs], targets)?,
            classes,
        })
    }
}

/// Weights of these shapes as integers.
pub(crate) fn fixed_weights(shapes: &[Vec<usize>], weights: &[Vec<f32>]) -> Outcome<Vec<Tensor>> {
    let limit = f64::from(1u32 << (WIDTH - 1));
    let mut out = Vec::with_capacity(weights.len());
    for (shape, values) in shapes.iter().zip(weights) {
        let scaled = values.iter().map(|v| (f64::from(*v) * f64::from(1u32 << WEIGHT_BITS)).round());
        let data: Vec<i64> = scaled.clone().map(|v| v as i64).collect();
        if let Some(v) = scaled.into_iter().find(|v| v.abs() >= limit) {
            let text = format!("a weight is {:.3}; weights below 8 in magnitude can be trained", v / 4096.0);
            return Err(Failure::new(text).help(
                "start from smaller weights, or take them as they are for standardized data: --standardize fresh",
            ));
        }
        out.push(Tensor::new(shape.clone(), data)?);
    }
    Ok(out)
}

/// Weights as floats.
pub(crate) fn floats(weights: &[Tensor]) -> Vec<Vec<f32>> {
    weights.iter().map(|t| t.data.iter().map(|v| *v as f32 / (1u32 << WEIGHT_BITS) as f32).collect()).collect()
}

/// Share of rows whose class is where the network's largest output is; computed, not proven.
pub(crate) fn accuracy(spec: &Spec, (weights, base): (&[Tensor], &[Tensor]), data: &Data) -> Outcome<Option<f64>> {
    let Some(classes) = &data.classes else { return Ok(None) };
    let width: usize = spec.network.input.iter().product();
    let mut right = 0usize;
    for (row, class) in data.rows.data.chunks(width).zip(classes) {
        let out = reference::infer_over(spec, weights, base, row)?;
        let best = out.iter().enumerate().max_by_key(|(i, v)| (**v, std::cmp::Reverse(*i))).map(|(i, _)| i);
        right += usize::from(best == Some(*class));
    }
    Ok(Some(right as f64 / classes.len().max(1) as f64))
}
