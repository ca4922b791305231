//! The verifying key: which model, committed how, under which powers of tau (docs/protocol.md#key-file).
//!
//! ```text
//! magic "ASSAYKEY" | u16 version | u8 visibility bits (inputs 1, weights 2, outputs 4; 8: named stacks follow) | weights digest 32
//!   | u32 n, graph bytes | u32 n, description bytes (names, shapes and scales of inputs and outputs)
//!   | with bit 8: u32 n, bytes of the named stacks (names, schemas, roles)
//!   | u8 row bits | u32 n, n x G1 model rows | powers of tau | registration argument
//! ```

use crate::{
    G1Affine,
    curve::{CodecError, G1_BYTES, Reader, g1_to_bytes},
    opening::{MAX_VARIABLES, VerifierSrs},
    proof::{Argument, MAX_ROWS, ProofError, count_bytes},
};
use assay_circuits::{
    Graph, GraphError, NodeId, Program, Visibility, canonical,
    graph::printable,
    model::TensorSpec,
    stack::{MAX_STACKS, NamedStack},
};

/// First bytes of a key file.
pub const MAGIC: &[u8; 8] = b"ASSAYKEY";
/// Version of the format.
pub const VERSION: u16 = 3;
/// Most bytes of a graph's encoding within a key.
pub const MAX_GRAPH_BYTES: usize = 1 << 25;

/// Most bytes of the descriptions of named stacks within a key.
pub const MAX_STACK_BYTES: usize = 1 << 22;

/// Everything a verifier needs besides the proof. It holds commitments to weights, never weights.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyingKey {
    /// The integer graph.
    pub graph: Graph,
    /// What the proofs show.
    pub visibility: Visibility,
    /// Digest of the weights that the key commits to, as in the model id: all but those of named stacks.
    pub weights_digest: [u8; 32],
    /// The named stacks that proofs are about. Which ones comes with each proof.
    pub stacks: Vec<NamedStack>,
    /// Names, shapes and scales of the inputs.
    pub inputs: Vec<TensorSpec>,
    /// Names, shapes and scales of the outputs.
    pub outputs: Vec<TensorSpec>,
    /// log2 of the length of a row.
    pub row_bits: usize,
    /// Commitments to the rows of the model stack.
    pub rows: Vec<G1Affine>,
    /// The powers of tau.
    pub srs: VerifierSrs,
    /// Proves that weights are in range and tables are the graph's.
    pub registration: Argument,
}

/// Why bytes are no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not canonical, truncated or too long.
    #[error("not a verifying key: {0}")]
    Codec(#[from] CodecError),
    /// The registration argument.
    #[error("not a verifying key: registration: {0}")]
    Registration(#[from] ProofError),
    /// The graph.
    #[error("not a verifying key: {0}")]
    Graph(#[from] GraphError),
    /// Other magic bytes.
    #[error("not a key file: expected the first bytes 'ASSAYKEY'")]
    Magic,
    /// Another version.
    #[error("key of format version {got}; this program reads version {expected}")]
    Version {
        /// Version that this program reads.
        expected: u16,
        /// Version found.
        got: u16,
    },
    /// A part that does not fit the others.
    #[error("verifying key: {0}")]
    Inconsistent(&'static str),
}

/// Whether descriptions fit the tensors that they describe.
pub(crate) fn describes(graph: &Graph, specs: &[TensorSpec], ids: &[NodeId]) -> bool {
    let count = |shape: &[usize]| shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    specs.len() == ids.len()
        && specs
            .iter()
            .zip(ids)
            .all(|(spec, id)| count(&spec.shape) == count(&graph.node(*id).shape) && spec.check_description().is_ok())
}

/// The named stacks of a key, of which there are some. Schemas are checked, roles where they are laid out.
pub(crate) fn read_stacks(r: &mut Reader<'_>) -> Result<Vec<NamedStack>, KeyError> {
    let n = r.count(MAX_STACK_BYTES, 1)?;
    let stacks: Vec<NamedStack> = canonical::from_bytes(r.slice(n)?)?;
    if stacks.is_empty() || stacks.len() > MAX_STACKS {
        return Err(KeyError::Inconsistent("named stacks are announced, and there are none or too many"));
    }
    for s in &stacks {
        s.schema.validate()?;
        if !printable(&s.name) {
            return Err(KeyError::Inconsistent("a named stack has a name with control characters"));
        }
    }
    Ok(stacks)
}

impl VerifyingKey {
    /// The identity of the model: its graph and weights, whatever the powers of tau. With named stacks it covers their schemas
    /// and roles instead of the weights in them.
    pub fn model_id(&self) -> Result<[u8; 32], GraphError> {
        if !self.stacks.is_empty() {
            let parts = [self.graph.to_bytes()?, self.weights_digest.to_vec(), canonical::to_bytes(&self.stacks)?];
            return Ok(canonical::digest("assay.model.v2", &parts.each_ref().map(Vec::as_slice)));
        }
        Ok(assay_circuits::model::model_id(&self.graph.to_bytes()?, &self.weights_digest))
    }

    /// The bytes that proofs are bound to: all but the registration.
    fn body(&self) -> Result<Vec<u8>, GraphError> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        let v = self.visibility;
        out.push(
            u8::from(v.inputs)
                | (u8::from(v.weights) << 1)
                | (u8::from(v.outputs) << 2)
                | (u8::from(!self.stacks.is_empty()) << 3),
        );
        out.extend_from_slice(&self.weights_digest);
        for part in [self.graph.to_bytes()?, canonical::to_bytes(&(&self.inputs, &self.outputs))?] {
            out.extend_from_slice(&count_bytes(part.len()));
            out.extend_from_slice(&part);
        }
        if !self.stacks.is_empty() {
            let stacks = canonical::to_bytes(&self.stacks)?;
            out.extend_from_slice(&count_bytes(stacks.len()));
            out.extend_from_slice(&stacks);
        }
        out.push(u8::try_from(self.row_bits).unwrap_or(u8::MAX));
        out.extend_from_slice(&count_bytes(self.rows.len()));
        self.rows.iter().for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
        out.extend_from_slice(&self.srs.to_bytes());
        Ok(out)
    }

    /// Identity of the key, which every proof is bound to.
    pub fn digest(&self) -> Result<[u8; 32], GraphError> {
        Ok(canonical::digest("assay.key.v1", &[&self.body()?]))
    }

    /// The key file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, GraphError> {
        let mut out = self.body()?;
        self.registration.write(&mut out);
        Ok(out)
    }

    /// Decodes a key file; every byte must be used. The registration is not checked here: see
    /// [`crate::core::check_registration`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut r = Reader::new(bytes);
        if r.slice(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(KeyError::Magic);
        }
        let version = u16::from_be_bytes(r.array()?);
        if version != VERSION {
            return Err(KeyError::Version { expected: VERSION, got: version });
        }
        let bits = r.u8()?;
        if bits > 15 {
            return Err(KeyError::Inconsistent("unknown visibility bits"));
        }
        let visibility = Visibility { inputs: bits & 1 != 0, weights: bits & 2 != 0, outputs: bits & 4 != 0 };
        let weights_digest = r.array()?;
        let n = r.count(MAX_GRAPH_BYTES, 1)?;
        let graph = Graph::from_bytes(r.slice(n)?)?;
        let n = r.count(MAX_GRAPH_BYTES, 1)?;
        let (inputs, outputs): (Vec<TensorSpec>, Vec<TensorSpec>) = canonical::from_bytes(r.slice(n)?)?;
        let stacks = if bits & 8 == 0 { vec![] } else { read_stacks(&mut r)? };
        let row_bits = usize::from(r.u8()?);
        if row_bits > MAX_VARIABLES {
            return Err(KeyError::Inconsistent("rows too long"));
        }
        let n = r.count(MAX_ROWS, G1_BYTES)?;
        let rows = r.g1s(n)?;
        let srs = VerifierSrs::read(&mut r)?;
        let registration = Argument::read(&mut r)?;
        r.finish()?;
        let key =
            Self { graph, visibility, weights_digest, stacks, inputs, outputs, row_bits, rows, srs, registration };
        key.validate()?;
        Ok(key)
    }

    fn validate(&self) -> Result<(), KeyError> {
        for s in &self.stacks {
            s.schema.validate()?;
            if usize::from(s.schema.row_bits) != self.row_bits {
                return Err(KeyError::Inconsistent("a named stack has rows of another length"));
            }
        }
        let pairs = [(&self.inputs, self.graph.inputs()), (&self.outputs, self.graph.outputs())];
        for (specs, ids) in pairs {
            if specs.len() != ids.len() {
                return Err(KeyError::Inconsistent("descriptions of inputs or outputs are missing"));
            }
            if !describes(&self.graph, specs, ids) {
                return Err(KeyError::Inconsistent("a description does not fit its tensor"));
            }
        }
        Ok(())
    }

    /// The layout of a batch of inferences.
    pub fn program(&self, batch: usize) -> Result<Program, GraphError> {
        Program::linked(&self.graph, batch, self.visibility, &self.stacks)
    }
}
