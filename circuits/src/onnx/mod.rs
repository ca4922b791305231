//! ONNX import.
pub mod error;
pub mod load;
pub use error::ImportError;
pub use load::{FloatModel, load, load_bytes};
