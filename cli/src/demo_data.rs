//! What the program brings along: two small networks, trained on scikit-learn's handwritten digits, and test images.

use crate::{
    error::{Failure, Outcome},
    input::{self, Samples},
};
use assay_circuits::onnx::{self, FloatModel};
use clap::ValueEnum;

const MLP: &[u8] = include_bytes!("../assets/digits_mlp.onnx");
const CNN: &[u8] = include_bytes!("../assets/digits_cnn.onnx");
const DATA: &[u8] = include_bytes!("../assets/digits_test.npz");

/// Pixels along one side of an image.
pub(crate) const SIDE: usize = 8;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// 64-64-32-10, ReLU: 6,570 parameters
    Mlp,
    /// Two convolutions with max pooling, and a dense layer: 1,898 parameters
    Cnn,
}

impl Network {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mlp => "digits_mlp",
            Self::Cnn => "digits_cnn",
        }
    }

    /// The float network, and samples to calibrate it with.
    pub(crate) fn load(self) -> Outcome<(FloatModel, Samples)> {
        let float = onnx::load_bytes(match self {
            Self::Mlp => MLP,
            Self::Cnn => CNN,
        })?;
        Ok((float, rows(&input::array(DATA, "calibration")?).into_iter().map(|r| vec![r]).collect()))
    }
}

fn rows(values: &[f32]) -> Vec<Vec<f32>> {
    values.chunks(SIDE * SIDE).map(<[f32]>::to_vec).collect()
}

/// The test images, row by row, with values from 0 to 1.
pub(crate) fn images() -> Outcome<Vec<Vec<f32>>> {
    let images = rows(&input::array(DATA, "x")?);
    if images.is_empty() { Err(Failure::new("the demo's images are damaged").bug()) } else { Ok(images) }
}

/// The digit on each of the [`images`].
pub(crate) fn labels() -> Outcome<Vec<usize>> {
    Ok(input::array(DATA, "y")?.into_iter().map(|y| y as usize).collect())
}
