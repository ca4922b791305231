//! What Assay claims.
//!
//! A model is a **quantized integer graph** ([`Graph`]): committed integers (inputs, weights, table outputs) joined by
//! linear views, bilinear contractions and table lookups. The plain interpreter ([`mod@eval`]) is the specification of
//! what a proof states; everything else here describes how a claim about an output of an operator is *pulled back* to
//! claims about its inputs ([`pullback`]), and how the graph is laid out for commitment ([`program`]).
//!
//! This crate knows no transcript, no curve and no device. With the feature `onnx` it also imports ONNX files.

#[macro_use]
mod vectors;

pub mod canary;
pub mod canonical;
pub mod confidential;
pub mod error;
pub mod eval;
pub mod functional;
pub mod graph;
pub mod interval;
pub mod mask;
pub mod model;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod ops;
mod parallel;
pub mod program;
pub mod pullback;
pub mod ramp;
pub mod relation;
pub mod ring;
pub mod schedule;
pub mod split;
pub mod stack;
pub mod table;
pub mod tensor;
pub mod train;
mod weights;

pub use error::GraphError;
pub use functional::{Factor, Functional};
pub use graph::{Graph, GraphBuilder, Node, NodeId};
pub use interval::Interval;
pub use ops::Op;
pub use program::{Program, Visibility};
pub use ring::Ring;
pub use table::{Table, TableId};
pub use tensor::Tensor;
pub use weights::Weights;
