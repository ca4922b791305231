//! The core prover: moves 1 to 5 of docs/protocol.md#core.

use crate::{
    bilinear,
    device::Device,
    lookup,
    opening::{self, OpenError},
    recorder::{Recorder, Stage},
    reduction,
    setup::ProvingKey,
    transcript::ProverTranscript,
    witness::Witness,
};
use ark_ec::CurveGroup;
use assay_circuits::{
    GraphError, Program, Tensor,
    eval::{Saturation, Values, eval},
    program::{Source, WITNESS},
};
use assay_verifier::{
    CoreProof, Fr, G1Affine,
    channel::ProtocolError,
    core::{Kind, opening_transcript, row_coefficients, statement_digest},
    keccak::digest_to_fr,
    native::public_sum,
    opening::{OpeningError, combine_rows},
    proof::Argument,
    protocol::{OpeningClaim, bilinear::add_operand_claims, padded_bits, root},
};

/// Why no proof could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The inputs or the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The opening.
    #[error(transparent)]
    Opening(#[from] OpenError),
    /// Combination of rows.
    #[error(transparent)]
    Combine(#[from] OpeningError),
    /// Fewer powers of tau than a row needs.
    #[error("a row of 2^{row_bits} values needs as many powers of tau, the SRS has {got}; use a larger SRS")]
    SrsTooSmall {
        /// log2 of what is needed.
        row_bits: usize,
        /// Powers present.
        got: usize,
    },
    /// Inputs of a batch that are no batch.
    #[error("expected a batch of at least one input")]
    EmptyBatch,
}

/// What is proven about: everything but the witness.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The layout.
    pub program: &'a Program,
    /// Inference or registration.
    pub kind: Kind,
    /// Digest of the verifying key.
    pub key_digest: [u8; 32],
    /// Number of inferences.
    pub batch: u32,
    /// Public values, as in [`Program::public`].
    pub public: &'a [Vec<i64>],
    /// log2 of the row length.
    pub row_bits: usize,
    /// Powers of tau, at least one row.
    pub bases: &'a [G1Affine],
    /// The model stack, in whole rows.
    pub model: &'a [i32],
    /// Commitments to those rows.
    pub model_rows: &'a [G1Affine],
}

/// Pads a stack to whole rows.
pub(crate) fn pad_to_row(stack: &mut Vec<i32>, bits: usize, row_bits: usize) {
    stack.resize(1 << padded_bits(bits, row_bits), 0);
}

/// What hides the messages of a hiding argument.
pub struct Mask<'a> {
    /// Absorbed first.
    pub salt: Fr,
    /// The mask row: `2^row_bits` random elements.
    pub row: &'a [Fr],
}

/// Runs the protocol up to the opening claim. `witness.stack` is in whole rows. It trusts `witness` and `values`: messages
/// about values that break the statement are made without complaint, and rejected by the verifier (which is how the
/// soundness tests cheat).
///
/// # Errors
/// A degenerate challenge.
pub fn messages(
    device: &impl Device,
    task: &Task<'_>,
    witness: &Witness,
    values: &Values,
    statement: Fr,
    mask: Option<&Mask<'_>>,
    recorder: &Recorder<'_>,
) -> Result<(Vec<Fr>, OpeningClaim<Fr>), ProveError> {
    let stacks = [device.integers(&witness.stack), device.integers(task.model)];
    messages_on(device, task, witness, &stacks.each_ref(), values, statement, mask, recorder)
}

/// [`messages`] with all stacks on the device.
// Each argument is one part of the statement, the witness or the machine.
#[allow(clippy::too_many_arguments)]
pub(crate) fn messages_on<D: Device>(
    device: &D,
    task: &Task<'_>,
    witness: &Witness,
    stacks: &[&D::Integers<'_>],
    values: &Values,
    statement: Fr,
    mask: Option<&Mask<'_>>,
    recorder: &Recorder<'_>,
) -> Result<(Vec<Fr>, OpeningClaim<Fr>), ProveError> {
    let Task { program, row_bits, .. } = *task;
    let mut transcript = ProverTranscript::new(mask.map(|m| m.salt), statement)?;

    let (alpha, beta, leaf) = recorder.run(Stage::Lookups, || {
        let alpha = transcript.challenge();
        let beta = transcript.challenge();
        let leaves = lookup::leaves(program, witness, alpha, beta);
        (alpha, beta, lookup::prove(device, &leaves, &mut transcript))
    });

    let claim = recorder.run(Stage::Operators, || {
        let zeta = transcript.challenge();
        let lambda = transcript.challenge();
        let challenges = root::Challenges { alpha, beta, zeta, lambda };
        let root = root::build(program, &leaf, &challenges, public_sum(task.public, &zeta))?;
        let (instances, mut claim) = root.pull_back(program)?;
        if !instances.is_empty() {
            let (sum, operands) = bilinear::prove(device, &instances, values, &mut transcript);
            claim.value -= sum;
            let rho = transcript.challenge();
            add_operand_claims(program, &instances, &operands, &rho, &mut claim)?;
        }
        Ok::<_, ProtocolError>(claim)
    })?;

    let claim = recorder.run(Stage::Reduction, || {
        let mask = mask.map(|m| m.row);
        reduction::prove(device, program, row_bits, &claim, stacks, mask, &mut transcript)
    });
    Ok((transcript.into_messages(), claim))
}

/// Makes the argument for a task; see [`messages`] for what it trusts.
///
/// # Errors
/// Those of the opening; a degenerate challenge.
pub fn argue(
    device: &impl Device,
    task: &Task<'_>,
    mut witness: Witness,
    values: &Values,
    recorder: &Recorder<'_>,
) -> Result<Argument, ProveError> {
    let Task { program, row_bits, bases, .. } = *task;
    pad_to_row(&mut witness.stack, program.stack_bits(WITNESS), row_bits);
    let points = device.points(bases);
    let (stack, model) = (device.integers(&witness.stack), device.integers(task.model));
    let rows = recorder.run(Stage::Commit, || device.commit_rows(&points, &stack, 1 << row_bits));
    let statement = statement_digest(task.kind, &task.key_digest, task.batch, task.public, &rows, &[0; 32]);
    let statement_fr = digest_to_fr(&statement);
    let stacks = [&stack, &model];
    let (messages, claim) = messages_on(device, task, &witness, &stacks, values, statement_fr, None, recorder)?;
    let opening = recorder.run(Stage::Opening, || {
        let coefficients = row_coefficients(&claim);
        let of_stacks: Vec<&[Fr]> = coefficients.iter().map(Vec::as_slice).collect();
        let h = reduction::combined_row(device, row_bits, &stacks, &of_stacks);
        // Both give the same point: the rows combined, or the combined row committed. A row costs about four points.
        let commitment = if 4 * (rows.len() + task.model_rows.len()) < 1 << row_bits {
            let rows: Vec<G1Affine> = rows.iter().chain(task.model_rows).copied().collect();
            combine_rows(&rows, &coefficients.concat())?.into_affine()
        } else {
            device.msm(&points, &h)
        };
        let mut t = opening_transcript(&statement, &claim, commitment);
        let opened = opening::open(device, &points, &device.download(&h), &claim.low, &mut t)?;
        Ok::<_, ProveError>(opened.proof)
    })?;
    Ok(Argument { row_bits, rows, messages, opening })
}

/// A proof and what its maker learns besides.
#[derive(Debug)]
pub struct Proved {
    /// The proof.
    pub proof: CoreProof,
    /// Output values over the batch, whether public or not.
    pub outputs: Vec<Tensor>,
    /// Lookups that clamped values.
    pub saturations: Vec<Saturation>,
}

/// Proves a batch of inferences. `inputs[i]` are the quantized inputs of inference `i`, in the model's order.
///
/// # Errors
/// Inputs of the wrong shape or outside their range, an SRS that is too small.
pub fn prove(
    device: &impl Device,
    key: &ProvingKey,
    inputs: &[Vec<Tensor>],
    recorder: &Recorder<'_>,
) -> Result<Proved, ProveError> {
    let batch = u32::try_from(inputs.len()).map_err(|_| ProveError::EmptyBatch)?;
    if batch == 0 {
        return Err(ProveError::EmptyBatch);
    }
    let program = key.verifying.program(inputs.len())?;
    let stacked = stack_inputs(&program, inputs)?;
    let values = recorder.run(Stage::Evaluate, || eval(&program.graph, &key.weights, &stacked))?;
    let public: Vec<Vec<i64>> = program
        .public
        .iter()
        .map(|p| match p.source {
            Source::Node(id) => values.of(id).data.clone(),
            Source::Tensor(_) | Source::Product(..) => vec![],
        })
        .collect();
    let witness = recorder.run(Stage::Witness, || Witness::build(&program, &values))?;
    let task = Task {
        program: &program,
        kind: Kind::Inference,
        key_digest: key.digest,
        batch,
        public: &public,
        row_bits: key.verifying.row_bits,
        bases: &key.bases,
        model: &key.model_stack,
        model_rows: &key.verifying.rows,
    };
    let argument = argue(device, &task, witness, &values, recorder)?;
    let proof = CoreProof { key_digest: key.digest, batch, public, argument };
    let saturations = values.saturations(&program.graph, &key.limits);
    Ok(Proved { proof, outputs: values.outputs(&program.graph), saturations })
}

/// Puts the inputs of a batch side by side, along the new first axis.
pub(crate) fn stack_inputs(program: &Program, inputs: &[Vec<Tensor>]) -> Result<Vec<Tensor>, GraphError> {
    let ids = program.graph.inputs();
    ids.iter()
        .enumerate()
        .map(|(k, id)| {
            let node = program.graph.node(*id);
            let mut data = Vec::with_capacity(node.shape.iter().product());
            for one in inputs {
                let t = one.get(k).ok_or(GraphError::Arity { expected: ids.len(), got: one.len() })?;
                if node.shape.get(1..) != Some(t.shape.as_slice()) {
                    let expected = node.shape.get(1..).unwrap_or(&[]).to_vec();
                    return Err(GraphError::Shape { expected, got: t.shape.clone() }.at(&node.name, node.op.name()));
                }
                data.extend_from_slice(&t.data);
            }
            Tensor::new(node.shape.clone(), data)
        })
        .collect()
}
