//! Import of ONNX files: every operator against onnxruntime, random models against tract, accuracy, hostile files.

mod bounds;
mod columns;
mod exports;
mod extra;
mod gather;
mod hostile;
mod models;
mod normalization;
mod operators;
mod order;
mod proto;
mod pytorch;
mod random;
mod reading;
mod recurrent;
#[path = "../support/mod.rs"]
mod rng;
mod softmax;
mod support;
mod tabular;
mod transformer;
mod zoo;
