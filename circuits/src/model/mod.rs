//! A compiled model: the integer graph, its weights, and how floats map to its integers.
//!
//! The file format is one checked envelope around a canonical payload (docs/protocol.md#model-file): the magic
//! `ASSAYMOD`, a `u16` version and a `u64` payload length, both big-endian, the payload, and the Keccak-256 of all bytes
//! before it.

mod report;
mod spec;

pub use report::{Attempt, Cause, MAX_ERROR, MIN_AGREEMENT, Metric, OutputReport, QuantReport};
pub use spec::{Features, MAX_SCALE_BITS, TensorSpec};

use crate::{
    canonical,
    error::GraphError,
    eval::{Values, eval},
    graph::{Graph, check_range, check_shapes, check_weights},
    tensor::Tensor,
    weights::Weights,
};
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Why a model, its file or a value fed to it is rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The graph or a weight tensor breaks a rule.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The bytes are no model file.
    #[error("not a model file: {0}")]
    File(String),
    /// Written by another version of the format.
    #[error("model file of version {got}; this program reads version {expected}")]
    Version {
        /// The version that this program reads.
        expected: u16,
        /// The version in the file.
        got: u16,
    },
    /// The description of an input or output does not fit the graph.
    #[error("tensor '{name}': {what}")]
    Spec {
        /// Name of the tensor.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A float tensor of the wrong length.
    #[error("tensor '{name}' of shape {shape:?}: expected {expected} values, got {got}")]
    Length {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Values that the shape asks for.
        expected: usize,
        /// Values present.
        got: usize,
    },
    /// A NaN or an infinity.
    #[error("tensor '{name}': the value at position {position:?} is {value}")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// Index along each axis.
        position: Vec<usize>,
        /// The value, as text.
        value: String,
    },
}

/// A quantized model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The statement.
    pub graph: Graph,
    /// Weight tensors, in the order of [`Graph::weights`].
    pub weights: Weights,
    /// The inputs, in the graph's order.
    pub inputs: Vec<TensorSpec>,
    /// The outputs, in the graph's order.
    pub outputs: Vec<TensorSpec>,
    /// How the model was made; no part of its identity.
    pub report: QuantReport,
}

/// First bytes of a model file.
pub const MAGIC: &[u8; 8] = b"ASSAYMOD";
/// Newest version of the file format.
pub const VERSION: u16 = 3;
/// The version of a file whose report knows of no steps: a file of the newest version without [`Steps`]. It is written where that does.
const WITHOUT_STEPS: u16 = 2;
/// Largest model file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 31;

const HEADER: usize = 8 + 2 + 8;
const CHECKSUM: usize = 32;

#[derive(Serialize, Deserialize)]
struct Payload {
    graph: Vec<u8>,
    weights: Vec<Vec<i32>>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    report: QuantReport,
}

/// What version 3 has behind the payload of version 2: [`OutputReport::step`] of each output that was reported on.
type Steps = Vec<Option<f64>>;

/// The identity of a model: its graph's canonical bytes and the digest of its weights.
pub fn model_id(graph: &[u8], weights_digest: &[u8; 32]) -> [u8; 32] {
    canonical::digest("assay.model.v1", &[graph, weights_digest])
}

/// Digest of weight tensors.
///
/// # Errors
/// Values beyond 32 bits.
pub fn weights_digest<'a>(weights: impl IntoIterator<Item = &'a Tensor>) -> Result<[u8; 32], ModelError> {
    let weights: Vec<&[i64]> = weights.into_iter().map(|t| t.data.as_slice()).collect();
    Ok(digest_of_weights(&canonical::integers(weights.into_iter(), |_, _| Ok(()))?))
}

fn digest_of_weights(encoded: &[Vec<u8>]) -> [u8; 32] {
    canonical::digest_in_pieces("assay.weights.v1", [encoded])
}

/// A model file, in pieces.
#[derive(Debug)]
pub struct ModelFile {
    /// All of it but the checksum.
    pieces: Vec<Vec<u8>>,
    graph: Vec<u8>,
    /// Which pieces the weights are.
    weights: std::ops::Range<usize>,
}

impl ModelFile {
    fn checksum(&self) -> [u8; CHECKSUM] {
        canonical::digest_in_pieces("assay.model-file", [self.pieces.as_slice()])
    }

    fn model_id(&self) -> [u8; 32] {
        model_id(&self.graph, &digest_of_weights(&self.pieces[self.weights.clone()]))
    }

    /// Writes all but the checksum, and flushes it.
    fn write_pieces(&self, out: &mut dyn Write) -> std::io::Result<()> {
        self.pieces.iter().try_for_each(|p| out.write_all(p))?;
        out.flush()
    }

    /// Length in bytes.
    pub fn size(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum::<usize>() + CHECKSUM
    }

    /// Writes the file; the model's [`Model::model_id`]. Writing and a first flush go on while the bytes are hashed, for the
    /// checksum and for the identity.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut (dyn Write + Send)) -> std::io::Result<[u8; 32]> {
        // A writer waits more than it computes, so that it has a thread of its own.
        #[cfg(feature = "parallel")]
        let (id, sum, written) = std::thread::scope(|scope| {
            let writing = scope.spawn(|| self.write_pieces(out));
            let (id, sum) = rayon::join(|| self.model_id(), || self.checksum());
            (id, sum, writing.join().unwrap_or_else(|_| Err(std::io::Error::other("the writer panicked"))))
        });
        #[cfg(not(feature = "parallel"))]
        let (id, sum, written) = (self.model_id(), self.checksum(), self.write_pieces(out));
        written?;
        out.write_all(&sum)?;
        Ok(id)
    }
}

impl Model {
    /// Checks that all parts fit together.
    pub fn validate(&self) -> Result<(), ModelError> {
        check_weights(&self.graph, &self.weights)?;
        self.check_description()
    }

    /// [`Self::validate`] without the weights' entries.
    pub(crate) fn check_description(&self) -> Result<(), ModelError> {
        check_shapes(&self.graph, &self.weights)?;
        let ids = [self.graph.inputs(), self.graph.outputs()];
        for (ids, specs) in ids.into_iter().zip([&self.inputs, &self.outputs]) {
            if ids.len() != specs.len() {
                return Err(GraphError::Arity { expected: ids.len(), got: specs.len() }.into());
            }
            for (id, spec) in ids.iter().zip(specs) {
                spec.check(self.graph.node(*id))?;
            }
        }
        Ok(())
    }

    /// Integers for one of the model's inputs, clamped to its width; also the number of values clamped.
    ///
    /// # Errors
    /// A spec that is no input of this model, a wrong number of values, NaN or infinities.
    pub fn quantize(&self, spec: &TensorSpec, values: &[f32]) -> Result<(Tensor, usize), ModelError> {
        let id =
            self.inputs.iter().position(|s| s == spec).and_then(|k| self.graph.inputs().get(k)).ok_or_else(|| {
                ModelError::Spec { name: spec.name.clone(), what: "no input of this model".to_owned() }
            })?;
        let range = self.graph.node(*id).range;
        spec.quantize(values, range.lo as i64, range.hi as i64)
    }

    /// Floats of an output (or input) of this model.
    pub fn dequantize(&self, spec: &TensorSpec, t: &Tensor) -> Result<Vec<f32>, ModelError> {
        spec.dequantize(t)
    }

    /// Integers for all inputs, in order; also the number of values clamped.
    pub fn quantize_all(&self, inputs: &[Vec<f32>]) -> Result<(Vec<Tensor>, usize), ModelError> {
        if inputs.len() != self.inputs.len() {
            return Err(GraphError::Arity { expected: self.inputs.len(), got: inputs.len() }.into());
        }
        let mut saturated = 0;
        let mut out = Vec::with_capacity(inputs.len());
        for (spec, values) in self.inputs.iter().zip(inputs) {
            let (t, n) = self.quantize(spec, values)?;
            saturated += n;
            out.push(t);
        }
        Ok((out, saturated))
    }

    /// Runs the plain interpreter.
    pub fn eval(&self, inputs: &[Tensor]) -> Result<Values<'_>, ModelError> {
        Ok(eval(&self.graph, &self.weights, inputs)?)
    }

    /// The identity of the model: graph and weights, nothing else.
    pub fn model_id(&self) -> Result<[u8; 32], ModelError> {
        Ok(model_id(&self.graph.to_bytes()?, &self.weights_digest()?))
    }

    /// Digest of the weights alone.
    pub fn weights_digest(&self) -> Result<[u8; 32], ModelError> {
        weights_digest(self.weights.iter())
    }

    /// The bytes of the model file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let file = self.encode()?;
        let mut bytes = file.pieces.concat();
        bytes.extend_from_slice(&file.checksum());
        Ok(bytes)
    }

    /// The model file, for writing: header and payload; the payload is a `Payload`, field by field, and `Steps` where there are
    /// any.
    ///
    /// # Errors
    /// Those of [`Self::validate`].
    pub fn encode(&self) -> Result<ModelFile, ModelError> {
        self.check_description()?;
        let graph = self.graph.to_bytes()?;
        let nodes: Vec<_> = self.graph.weights().map(|id| self.graph.node(id)).collect();
        let fits = |k: usize, values: &[i64]| {
            let node = nodes[k];
            check_range(node, values).map_err(|e| e.at(&node.name, node.op.name()))
        };
        let weights = canonical::integers(self.weights.iter().map(|t| t.data.as_slice()), fits)?;
        let before = canonical::to_bytes(&graph)?;
        let mut behind = canonical::to_bytes(&(&self.inputs, &self.outputs, &self.report))?;
        let steps: Steps = self.report.outputs.iter().map(|o| o.step).collect();
        let version = if steps.iter().all(Option::is_none) { WITHOUT_STEPS } else { VERSION };
        if version != WITHOUT_STEPS {
            behind.extend(canonical::to_bytes(&steps)?);
        }
        let length = before.len() + weights.iter().map(Vec::len).sum::<usize>() + behind.len();
        let header = [MAGIC.as_slice(), &version.to_be_bytes(), &(length as u64).to_be_bytes()].concat();
        let at = 2..2 + weights.len();
        let pieces = [header, before].into_iter().chain(weights).chain([behind]).collect();
        Ok(ModelFile { pieces, graph, weights: at })
    }

    /// Decodes and validates a model file; hostile bytes give an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let bad = |what: &str| ModelError::File(what.to_owned());
        if bytes.len() > MAX_FILE_BYTES {
            return Err(ModelError::File(format!("{} bytes; at most {MAX_FILE_BYTES}", bytes.len())));
        }
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(|| bad("it does not start with ASSAYMOD"))?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| bad("it is cut short"))?;
        let version = u16::from_be_bytes(*version);
        if !(WITHOUT_STEPS..=VERSION).contains(&version) {
            return Err(ModelError::Version { expected: VERSION, got: version });
        }
        let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(|| bad("it is cut short"))?;
        let (payload, sum) = rest.split_last_chunk::<CHECKSUM>().ok_or_else(|| bad("it is cut short"))?;
        if u64::from_be_bytes(*length) != payload.len() as u64 {
            return Err(ModelError::File(format!(
                "it announces {} bytes and holds {}",
                u64::from_be_bytes(*length),
                payload.len()
            )));
        }
        let body = bytes.get(..HEADER + payload.len()).ok_or_else(|| bad("it is cut short"))?;
        if canonical::digest("assay.model-file", &[body]) != *sum {
            return Err(bad("its checksum is wrong; the file is damaged"));
        }
        let p: Payload = if version == WITHOUT_STEPS {
            canonical::from_bytes(payload)?
        } else {
            let (mut p, steps): (Payload, Steps) = canonical::from_bytes(payload)?;
            if steps.len() != p.report.outputs.len() || steps.iter().all(Option::is_none) {
                return Err(bad("its steps are not those of the outputs"));
            }
            p.report.outputs.iter_mut().zip(steps).for_each(|(o, step)| o.step = step);
            p
        };
        let graph = Graph::from_bytes(&p.graph)?;
        let ids: Vec<_> = graph.weights().collect();
        if ids.len() != p.weights.len() {
            return Err(GraphError::Arity { expected: ids.len(), got: p.weights.len() }.into());
        }
        let weights = ids
            .iter()
            .zip(p.weights)
            .map(|(id, w)| Tensor::new(graph.node(*id).shape.clone(), w.into_iter().map(i64::from).collect()))
            .collect::<Result<_, _>>()?;
        let model = Self { graph, weights, inputs: p.inputs, outputs: p.outputs, report: p.report };
        model.validate()?;
        Ok(model)
    }
}
