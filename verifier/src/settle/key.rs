//! Settlement keys and settled proofs, and their files (docs/protocol.md#settlement-keys).
//!
//! ```text
//! key:   magic "ASSAYSKY" | u16 version | u8 visibility bits | u32 n, graph bytes | u32 n, description bytes | u32 batch
//!          | with visibility bit 8: u32 n, bytes of the named stacks (names, schemas, roles)
//!          | u32 n, descriptor words | u8 k, 9 x G1 registration circuit | u32 n, registration argument
//! proof: magic "ASSAYPRF" | u16 version | u8 kind (1 = settled) | settlement id 32
//!          | u64 chain id | consumer 20 | job 32 | recipient 20 | u32 n, public bytes | u32 n, argument
//! ```

use super::{
    argument::{ArgumentError, SettledArgument},
    check::{SettleError, check, given_ids, public_bytes, public_from_bytes},
    check_claimed_size,
    descriptor::{CircuitKey, Descriptor, MAX_MODEL_ROW_BITS, MAX_ROW_BITS, PublicRange},
};
use crate::{
    channel::ProtocolError,
    curve::{CodecError, Reader, g1_to_bytes},
    keccak::keccak256,
    key::{KeyError, MAX_GRAPH_BYTES, read_stacks},
    opening::VerifierSrs,
    proof::{MAGIC as PROOF_MAGIC, VERSION as PROOF_VERSION, count_bytes},
    protocol::padded_bits,
    security::settled_level,
};
use assay_circuits::{
    Graph, GraphError, Program, Tensor, Visibility, canonical,
    model::TensorSpec,
    program::{MODEL, NAMED, WITNESS},
    stack::{NamedStack, Role},
};

/// First bytes of a settlement key file.
pub const MAGIC: &[u8; 8] = b"ASSAYSKY";
/// Version of the key file.
pub const VERSION: u16 = 2;
/// Kind byte of a settled proof.
pub const KIND: u8 = 1;
/// Most bytes of a descriptor or an argument.
const MAX_BYTES: usize = 1 << 20;

/// What a settled proof is made for. Its digest is hashed first, so a proof serves no other purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The contract that acts on the proof.
    pub consumer: [u8; 20],
    /// The job, in the consumer's numbering.
    pub job: [u8; 32],
    /// Who is paid.
    pub recipient: [u8; 20],
}

impl Context {
    /// `keccak(keccak("assay.context.v1") || chain id || consumer || job || recipient)`, one word each: `abi.encode`.
    pub fn digest(&self) -> [u8; 32] {
        let address = |a: &[u8; 20]| {
            let mut w = [0u8; 32];
            if let Some(low) = w.last_chunk_mut::<20>() {
                *low = *a;
            }
            w
        };
        let mut chain = [0u8; 32];
        if let Some(low) = chain.last_chunk_mut::<8>() {
            *low = self.chain_id.to_be_bytes();
        }
        let tag = keccak256(&[b"assay.context.v1"]);
        keccak256(&[&tag, &chain, &address(&self.consumer), &self.job, &address(&self.recipient)])
    }
}

/// What anybody needs to check settled proofs of one model and batch size. It reveals the graph, not the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct SettlementKey {
    /// The integer graph.
    pub graph: Graph,
    /// What proofs show.
    pub visibility: Visibility,
    /// Names, shapes and scales of the inputs.
    pub inputs: Vec<TensorSpec>,
    /// Names, shapes and scales of the outputs.
    pub outputs: Vec<TensorSpec>,
    /// Inferences in a proof.
    pub batch: u32,
    /// The named stacks that proofs are about.
    pub stacks: Vec<NamedStack>,
    /// What the chain knows.
    pub descriptor: Descriptor,
    /// The circuit of the registration.
    pub registration_circuit: CircuitKey,
    /// Shows, without revealing them, that weights are in range and that the committed tables are the graph's.
    pub registration: SettledArgument,
}

/// A settled proof: constant size, zero-knowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledProof {
    /// Digest of the descriptor.
    pub id: [u8; 32],
    /// What it is made for.
    pub context: Context,
    /// Ids of given stacks, then public values, all tensors in order, 8 bytes each.
    pub public: Vec<u8>,
    /// The argument, as the contract is given it.
    pub argument: Vec<u8>,
}

/// Why bytes are no settlement key or settled proof, or why one is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// Not canonical, truncated or too long.
    #[error("{what}: {source}")]
    Codec {
        /// What was read.
        what: &'static str,
        /// What is wrong.
        source: CodecError,
    },
    /// The argument.
    #[error("settled argument: {0}")]
    Argument(#[from] ArgumentError),
    /// The graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Other magic bytes.
    #[error("not a {0} file")]
    Magic(&'static str),
    /// Another version.
    #[error("{what} of format version {got}; this program reads version {expected}")]
    Version {
        /// What was read.
        what: &'static str,
        /// Version that this program reads.
        expected: u16,
        /// Version found.
        got: u16,
    },
    /// Another kind of proof.
    #[error("this is a core proof, not a settled one")]
    Kind,
    /// A part that does not follow from the others.
    #[error("settlement key: {0}")]
    Inconsistent(&'static str),
    /// Made for another key.
    #[error("the proof was made for another settlement key (expected {expected}, got {got})")]
    OtherKey {
        /// Id of this key, in hex.
        expected: String,
        /// Id in the proof, in hex.
        got: String,
    },
    /// Public values of another length.
    #[error("public values: expected {expected} bytes, got {got}")]
    Public {
        /// Length asked for.
        expected: usize,
        /// Length present.
        got: usize,
    },
    /// The check.
    #[error(transparent)]
    Check(#[from] SettleError),
    /// A circuit that is not that of the graph.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<KeyError> for SettlementError {
    fn from(e: KeyError) -> Self {
        match e {
            KeyError::Codec(source) => Self::Codec { what: "not a settlement key", source },
            KeyError::Graph(e) => Self::Graph(e),
            KeyError::Inconsistent(what) => Self::Inconsistent(what),
            _ => Self::Inconsistent("its named stacks cannot be read"),
        }
    }
}

fn codec(what: &'static str) -> impl Fn(CodecError) -> SettlementError {
    move |source| SettlementError::Codec { what, source }
}

/// What a settled proof has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Ids of the stacks that it is about, in the key's order, those that the key pins among them. Whoever relies on the proof
    /// compares them.
    pub stacks: Vec<[u8; 32]>,
    /// What is public: inputs, then outputs.
    pub tensors: Vec<Tensor>,
}

fn visibility_byte(v: Visibility) -> u8 {
    u8::from(v.inputs) | (u8::from(v.weights) << 1) | (u8::from(v.outputs) << 2)
}

/// The parts of a descriptor that follow from the layout.
pub fn shape(program: &Program, row_bits: usize) -> Result<(usize, usize, Vec<PublicRange>), GraphError> {
    let narrow = |v: i128| i64::try_from(v).map_err(|_| GraphError::Parameter("a public range beyond 64 bits".into()));
    let mut public = Vec::with_capacity(program.public.len());
    for p in &program.public {
        let count = p.shape.iter().product();
        public.push(PublicRange { count, lo: narrow(p.range.lo)?, hi: narrow(p.range.hi)? });
    }
    Ok((padded_bits(program.stack_bits(WITNESS), row_bits), padded_bits(program.stack_bits(MODEL), row_bits), public))
}

/// Digest of an inference program: graph, descriptions, visibility, batch, named stacks.
pub fn inference_digest(
    graph: &Graph,
    specs: (&[TensorSpec], &[TensorSpec]),
    visibility: Visibility,
    batch: u32,
    stacks: &[NamedStack],
) -> Result<[u8; 32], GraphError> {
    // What is scaled apart is a part of its own, so that the identity of models without it is what it always was.
    let plain = |specs: &[TensorSpec]| -> Vec<(String, Vec<usize>, i32)> {
        specs.iter().map(|s| (s.name.clone(), s.shape.clone(), s.scale_bits)).collect()
    };
    let features = |specs: &[TensorSpec]| specs.iter().map(|s| s.features.clone()).collect::<Vec<_>>();
    let names = canonical::to_bytes(&(plain(specs.0), plain(specs.1)))?;
    let (graph, visibility, batch) = (graph.to_bytes()?, [visibility_byte(visibility)], batch.to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![&graph, &names, &visibility, &batch];
    let scales = (features(specs.0), features(specs.1));
    let apart = canonical::to_bytes(&scales)?;
    if !stacks.is_empty() {
        // Neither the number of parts nor the domain is that of a key without named stacks.
        let stacks = canonical::to_bytes(&stacks)?;
        parts.extend([apart.as_slice(), stacks.as_slice()]);
        return Ok(canonical::digest("assay.settle.inference.v2", &parts));
    }
    if scales.0.iter().chain(&scales.1).any(Option::is_some) {
        parts.push(&apart);
    }
    Ok(canonical::digest("assay.settle.inference.v1", &parts))
}

/// Digest of a registration program: the graph, and which weights lie in named stacks instead.
pub fn registration_digest(graph: &Graph, stacks: &[NamedStack]) -> Result<[u8; 32], GraphError> {
    if !stacks.is_empty() {
        let parts = [graph.to_bytes()?, canonical::to_bytes(&stacks)?];
        return Ok(canonical::digest("assay.settle.registration.v2", &parts.each_ref().map(Vec::as_slice)));
    }
    Ok(canonical::digest("assay.settle.registration.v1", &[&graph.to_bytes()?]))
}

/// The descriptor of the registration that goes with a descriptor of inferences.
pub fn registration_descriptor(
    graph: &Graph,
    stacks: &[NamedStack],
    inference: &Descriptor,
    circuit: &CircuitKey,
) -> Result<Descriptor, GraphError> {
    let program = Program::registration_beside(graph, stacks)?;
    let (witness_bits, model_bits, public) = shape(&program, inference.row_bits)?;
    let most = |bits: usize| inference.row_bits.saturating_add(bits);
    if witness_bits > most(MAX_ROW_BITS) || model_bits > most(MAX_MODEL_ROW_BITS) {
        return Err(GraphError::Parameter("rows too short for the registration".into()));
    }
    Ok(Descriptor {
        program: registration_digest(graph, stacks)?,
        circuit: circuit.clone(),
        witness_bits,
        model_bits,
        public,
        stacks: vec![],
        ..inference.clone()
    })
}

impl SettlementKey {
    /// The settlement id.
    pub fn id(&self) -> [u8; 32] {
        self.descriptor.id()
    }

    /// The layout of the proofs.
    pub fn program(&self) -> Result<Program, GraphError> {
        let batch = usize::try_from(self.batch).unwrap_or(usize::MAX);
        Program::linked(&self.graph, batch, self.visibility, &self.stacks)
    }

    /// The layout of the registration.
    ///
    /// # Errors
    /// A graph that cannot be laid out.
    pub fn registration_program(&self) -> Result<Program, GraphError> {
        Program::registration_beside(&self.graph, &self.stacks)
    }

    /// Whether the descriptor's list of stacks is that of the key.
    fn lists_its_stacks(&self, program: &Program) -> Result<bool, GraphError> {
        let d = &self.descriptor;
        if d.stacks.len() != self.stacks.len() {
            return Ok(false);
        }
        for ((s, described), laid_out) in self.stacks.iter().zip(&d.stacks).zip(program.stacks.iter().skip(NAMED)) {
            let rows = usize::from(s.schema.row_bits) == d.row_bits;
            let bits = described.bits == padded_bits(laid_out.bits, d.row_bits);
            // What a pinned stack holds is the same in every proof, and an output is not.
            let role = |r: &Option<Role>| !matches!(r, Some(Role::Output(_)));
            let pinned = described.pinned.is_none() || s.roles.iter().all(role);
            if !(rows && bits && pinned && described.schema == s.schema.digest()?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// log2 of the powers of tau that recomputing the key takes, by its own words.
    pub fn power(&self) -> usize {
        // The blinder is the power behind a row.
        self.descriptor.circuit.k.max(self.registration_circuit.k).max(self.descriptor.row_bits.saturating_add(1))
    }

    /// The security level of proofs under this key, in bits (docs/protocol.md#settled-soundness): that of the inference or of
    /// the registration, whichever is lower.
    ///
    /// # Errors
    /// A graph that cannot be laid out.
    pub fn level(&self) -> Result<f64, GraphError> {
        let row_bits = self.descriptor.row_bits;
        let inference = settled_level(&self.program()?, row_bits, self.descriptor.circuit.k);
        let registration = settled_level(&self.registration_program()?, row_bits, self.registration_circuit.k);
        Ok(inference.bits.min(registration.bits))
    }

    /// The verifier's part of the powers of tau.
    pub fn srs(&self) -> VerifierSrs {
        let (g2, tau_g2, insecure_dev) =
            (ark_ec::AffineRepr::generator(), self.descriptor.tau_g2, self.descriptor.insecure_dev);
        let srs_hash = VerifierSrs::identity(&g2, &tau_g2, insecure_dev);
        VerifierSrs { g1: ark_ec::AffineRepr::generator(), g2, tau_g2, insecure_dev, srs_hash }
    }

    /// Checks what can be checked without the powers of tau: that the descriptor is that of the graph, that its circuits can
    /// have the sizes that it says, and the registration.
    /// Whether the circuits' commitments and the blinder are those of the graph and of tau is checked by recomputing them
    /// (`assay_prover::settle::check_key`).
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check(&self) -> Result<(), SettlementError> {
        let d = &self.descriptor;
        let program = self.program()?;
        let (witness_bits, model_bits, public) = shape(&program, d.row_bits)?;
        let specs = (self.inputs.as_slice(), self.outputs.as_slice());
        let digest = inference_digest(&self.graph, specs, self.visibility, self.batch, &self.stacks)?;
        if !self.lists_its_stacks(&program)? {
            return Err(SettlementError::Inconsistent("the descriptor lists other named stacks"));
        }
        if d.program != digest || (d.witness_bits, d.model_bits) != (witness_bits, model_bits) || d.public != public {
            return Err(SettlementError::Inconsistent("the descriptor is not that of the graph"));
        }
        let registration = self.registration_program()?;
        // Whoever checks further makes powers and records circuits of the sizes that are claimed.
        for (program, circuit) in [(&program, &d.circuit), (&registration, &self.registration_circuit)] {
            check_claimed_size(program, d.row_bits, circuit.k)?;
        }
        let descriptor = registration_descriptor(&self.graph, &self.stacks, d, &self.registration_circuit)?;
        let public = registration.registration_public();
        check(&descriptor, &public, &[0; 32], &self.registration)?;
        Ok(())
    }

    /// Checks a settled proof under a key that has been checked.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn verify(&self, proof: &SettledProof) -> Result<Shown, SettlementError> {
        let expected = self.id();
        if expected != proof.id {
            let hex = crate::core::hex;
            return Err(SettlementError::OtherKey { expected: hex(&expected), got: hex(&proof.id) });
        }
        let expected = self.descriptor.public_bytes();
        let (said, public) = public_from_bytes(&self.descriptor, &proof.public)
            .ok_or(SettlementError::Public { expected, got: proof.public.len() })?;
        let argument = SettledArgument::from_bytes(&self.descriptor, &proof.argument)?;
        let ids = check(&self.descriptor, &public, &proof.context.digest(), &argument)?;
        if let Some(stack) = said.iter().zip(&ids).position(|(a, b)| a != b) {
            let name = |ids: &[[u8; 32]]| ids.get(stack).map(|id| crate::core::hex(id)).unwrap_or_default();
            return Err(SettleError::StackId { stack, expected: name(&said), got: name(&ids) }.into());
        }
        let program = self.program()?;
        let tensors = program.public.iter().zip(public).map(|(p, v)| Tensor::new(p.shape.clone(), v));
        let mut given = ids.into_iter();
        let ids = self.descriptor.stacks.iter().filter_map(|s| match &s.pinned {
            Some(rows) => Some(self.descriptor.stack_id(s, rows)),
            None => given.next(),
        });
        Ok(Shown { stacks: ids.collect(), tensors: tensors.collect::<Result<_, _>>()? })
    }

    /// The key file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, GraphError> {
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.push(visibility_byte(self.visibility) | (u8::from(!self.stacks.is_empty()) << 3));
        for part in [self.graph.to_bytes()?, canonical::to_bytes(&(&self.inputs, &self.outputs))?] {
            out.extend_from_slice(&count_bytes(part.len()));
            out.extend_from_slice(&part);
        }
        out.extend_from_slice(&self.batch.to_be_bytes());
        if !self.stacks.is_empty() {
            let stacks = canonical::to_bytes(&self.stacks)?;
            out.extend_from_slice(&count_bytes(stacks.len()));
            out.extend_from_slice(&stacks);
        }
        let words = self.descriptor.to_bytes();
        out.extend_from_slice(&count_bytes(words.len()));
        out.extend_from_slice(&words);
        let circuit = &self.registration_circuit;
        out.push(u8::try_from(circuit.k).unwrap_or(u8::MAX));
        circuit.fixed.iter().chain(&circuit.permutation).for_each(|p| out.extend_from_slice(&g1_to_bytes(p)));
        let argument = self.registration.to_bytes();
        out.extend_from_slice(&count_bytes(argument.len()));
        out.extend_from_slice(&argument);
        Ok(out)
    }

    /// Decodes a key file; every byte must be used. Nothing is checked beyond the encoding: see [`Self::check`].
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SettlementError> {
        let bad = codec("not a settlement key");
        let mut r = Reader::new(bytes);
        if r.slice(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(SettlementError::Magic("settlement key"));
        }
        let got = u16::from_be_bytes(r.array().map_err(&bad)?);
        if got != VERSION {
            return Err(SettlementError::Version { what: "settlement key", expected: VERSION, got });
        }
        let bits = r.u8().map_err(&bad)?;
        if bits > 15 {
            return Err(SettlementError::Inconsistent("unknown visibility bits"));
        }
        let visibility = Visibility { inputs: bits & 1 != 0, weights: bits & 2 != 0, outputs: bits & 4 != 0 };
        let mut part = |limit: usize| -> Result<&[u8], SettlementError> {
            let n = r.count(limit, 1).map_err(codec("not a settlement key"))?;
            r.slice(n).map_err(codec("not a settlement key"))
        };
        let graph = Graph::from_bytes(part(MAX_GRAPH_BYTES)?)?;
        let (inputs, outputs): (Vec<TensorSpec>, Vec<TensorSpec>) = canonical::from_bytes(part(MAX_GRAPH_BYTES)?)?;
        let batch = r.u32().map_err(&bad)?;
        let stacks = if bits & 8 == 0 { vec![] } else { read_stacks(&mut r)? };
        let n = r.count(MAX_BYTES, 1).map_err(&bad)?;
        let descriptor = Descriptor::from_bytes(r.slice(n).map_err(&bad)?).map_err(&bad)?;
        let k = usize::from(r.u8().map_err(&bad)?);
        if k == 0 || k > super::descriptor::MAX_BITS {
            return Err(SettlementError::Inconsistent("size of the registration circuit"));
        }
        let mut points = r.g1s(9).map_err(&bad)?.into_iter();
        let mut next = || points.next().unwrap_or_default();
        let fixed = core::array::from_fn(|_| next());
        let permutation = core::array::from_fn(|_| next());
        let registration_circuit = CircuitKey { k, fixed, permutation };
        let n = r.count(MAX_BYTES, 1).map_err(&bad)?;
        let argument = r.slice(n).map_err(&bad)?;
        r.finish().map_err(&bad)?;
        let shape = registration_descriptor(&graph, &stacks, &descriptor, &registration_circuit)?;
        let registration = SettledArgument::from_bytes(&shape, argument)?;
        for (specs, ids) in [(&inputs, graph.inputs()), (&outputs, graph.outputs())] {
            if !crate::key::describes(&graph, specs, ids) {
                return Err(SettlementError::Inconsistent("a description does not fit its tensor"));
            }
        }
        Ok(Self { graph, visibility, inputs, outputs, batch, stacks, descriptor, registration_circuit, registration })
    }
}

impl SettledProof {
    /// The parts as the contract takes them apart.
    pub fn new(descriptor: &Descriptor, context: Context, public: &[Vec<i64>], argument: &SettledArgument) -> Self {
        let public = [given_ids(descriptor, &argument.given).concat(), public_bytes(public)].concat();
        Self { id: descriptor.id(), context, public, argument: argument.to_bytes() }
    }

    /// The proof file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(PROOF_MAGIC);
        out.extend_from_slice(&PROOF_VERSION.to_be_bytes());
        out.push(KIND);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.context.chain_id.to_be_bytes());
        out.extend_from_slice(&self.context.consumer);
        out.extend_from_slice(&self.context.job);
        out.extend_from_slice(&self.context.recipient);
        for part in [&self.public, &self.argument] {
            out.extend_from_slice(&count_bytes(part.len()));
            out.extend_from_slice(part);
        }
        out
    }

    /// Decodes a proof file; every byte must be used. The argument is decoded with the key at hand.
    ///
    /// # Errors
    /// Bytes that are not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SettlementError> {
        let bad = codec("not a settled proof");
        let mut r = Reader::new(bytes);
        if r.slice(PROOF_MAGIC.len()).ok() != Some(PROOF_MAGIC.as_slice()) {
            return Err(SettlementError::Magic("proof"));
        }
        let got = u16::from_be_bytes(r.array().map_err(&bad)?);
        if got != PROOF_VERSION {
            return Err(SettlementError::Version { what: "proof", expected: PROOF_VERSION, got });
        }
        if r.u8().map_err(&bad)? != KIND {
            return Err(SettlementError::Kind);
        }
        let id = r.array().map_err(&bad)?;
        let context = Context {
            chain_id: r.u64().map_err(&bad)?,
            consumer: r.array().map_err(&bad)?,
            job: r.array().map_err(&bad)?,
            recipient: r.array().map_err(&bad)?,
        };
        let n = r.count(MAX_BYTES.saturating_mul(64), 1).map_err(&bad)?;
        let public = r.slice(n).map_err(&bad)?.to_vec();
        let n = r.count(MAX_BYTES, 1).map_err(&bad)?;
        let argument = r.slice(n).map_err(&bad)?.to_vec();
        r.finish().map_err(&bad)?;
        Ok(Self { id, context, public, argument })
    }
}
