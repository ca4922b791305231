//! ONNX import: from an ONNX file to a quantized [`crate::model::Model`].
//!
//! [`load()`] reads and checks the file, tract turns it into a typed graph of basic operators with fixed shapes,
//! [`compile()`] runs it on calibration samples, chooses power-of-two scales, and lowers every operator to the integer graph
//! (one file per operator family, `ops`). [`inspect()`] lists what a file needs without quantizing it.

mod audit;
mod calibrate;
mod compile;
mod equalize;
pub mod error;
mod expr;
mod fold;
pub mod inspect;
pub mod load;
mod lower;
mod ops;
mod report;
mod requantize;
mod softmax;
mod tables;
mod walk;

pub use compile::{CompileOptions, Samples, compile};
pub use error::ImportError;
pub use inspect::{Inspection, NodeInfo, inspect};
pub use load::{FloatModel, LoadOptions, SourceNode, load, load_bytes, load_with};
