//! ONNX import: from an ONNX file to a quantized [`crate::model::Model`].
//!
//! [`load()`] reads and checks the file, tract turns it into a typed graph of basic operators with fixed shapes,
//! [`compile()`] runs it on calibration samples, chooses power-of-two scales, and lowers every operator to the integer graph
//! (one file per operator family, `ops`). [`inspect()`] lists what a file needs without quantizing it.

mod arithmetic;
mod audit;
mod calibrate;
pub mod catalogue;
mod check;
mod compile;
mod convert;
mod equalize;
pub mod error;
mod expr;
mod external;
mod fineness;
mod fold;
mod guard;
pub mod inspect;
pub mod load;
mod lower;
mod matrices;
mod narrow;
mod nodes;
mod ops;
mod own;
mod partial;
mod prune;
mod quotients;
mod report;
mod requantize;
mod rewrite;
mod rounded;
mod shapes;
mod softmax;
mod tables;
pub mod training;
mod walk;

pub use compile::{CompileOptions, Samples, compile};
pub use error::ImportError;
pub use inspect::{Inspection, NodeInfo, inspect};
pub use load::{FloatModel, load, load_bytes, load_bytes_with, load_with};
pub use nodes::SourceNode;
pub use shapes::LoadOptions;
