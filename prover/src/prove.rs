//! The core prover: moves 1 to 5 of docs/protocol.md#core.

use crate::{
    bilinear,
    device::{AnyDevice, Device},
    linked::prove_linked,
    lookup,
    opening::{self, OpenError},
    recorder::{Recorder, Stage},
    reduction,
    setup::ProvingKey,
    stack::{Stack, StackError},
    transcript::ProverTranscript,
    witness::Witness,
};
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{
    GraphError, Program, Tensor,
    eval::{Saturation, Values},
    program::{NAMED, WITNESS},
    ring::dot,
};
use assay_verifier::{
    CoreProof, Fr, G1Affine,
    channel::ProtocolError,
    core::{Kind, blinded_point, linked_digest, opening_transcript, row_coefficients},
    keccak::digest_to_fr,
    native::public_sum,
    opening::{OpeningError, combine_rows},
    proof::{Argument, Given},
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
    /// A named stack.
    #[error(transparent)]
    Stack(#[from] StackError),
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
    /// The named stacks, in the order of the key.
    pub stacks: &'a [Stack],
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
pub fn messages<'d>(
    device: impl Into<AnyDevice<'d>>,
    task: &Task<'_>,
    witness: &Witness,
    values: &Values<'_>,
    statement: Fr,
    mask: Option<&Mask<'_>>,
    recorder: &Recorder<'_>,
) -> Result<(Vec<Fr>, OpeningClaim<Fr>), ProveError> {
    let device = device.into();
    let cells = task.stacks.iter().map(Stack::cells).collect::<Result<Vec<_>, _>>()?;
    let own = [&witness.stack[..], task.model];
    let stacks: Vec<_> = own.into_iter().chain(cells.iter().map(Vec::as_slice)).map(|s| device.integers(s)).collect();
    let stacks: Vec<_> = stacks.iter().collect();
    messages_on(&device, task, witness, &stacks, values, statement, mask, recorder)
}

/// [`messages`] with all stacks on the device.
// Each argument is one part of the statement, the witness or the machine.
#[allow(clippy::too_many_arguments)]
pub(crate) fn messages_on<'d>(
    device: &AnyDevice<'d>,
    task: &Task<'_>,
    witness: &Witness,
    stacks: &[&<AnyDevice<'d> as Device>::Integers<'_>],
    values: &Values<'_>,
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
pub fn argue<'d>(
    device: impl Into<AnyDevice<'d>>,
    task: &Task<'_>,
    witness: Witness,
    values: &Values<'_>,
    recorder: &Recorder<'_>,
) -> Result<Argument, ProveError> {
    argue_on(&device.into(), task, witness, values, recorder)
}

fn argue_on(
    device: &AnyDevice<'_>,
    task: &Task<'_>,
    mut witness: Witness,
    values: &Values<'_>,
    recorder: &Recorder<'_>,
) -> Result<Argument, ProveError> {
    let Task { program, row_bits, bases, .. } = *task;
    pad_to_row(&mut witness.stack, program.stack_bits(WITNESS), row_bits);
    let points = device.points(bases);
    let cells = task.stacks.iter().map(Stack::cells).collect::<Result<Vec<_>, _>>()?;
    let (stack, model) = (device.integers(&witness.stack), device.integers(task.model));
    let rows = recorder.run(Stage::Commit, || device.commit_rows(&points, &stack, 1 << row_bits));
    let ids = task.stacks.iter().map(Stack::id).collect::<Result<Vec<_>, _>>()?;
    let statement = linked_digest(task.kind, &task.key_digest, task.batch, &ids, task.public, &rows, &[0; 32]);
    let statement_fr = digest_to_fr(&statement);
    let named: Vec<_> = cells.iter().map(|c| device.integers(c)).collect();
    let stacks: Vec<_> = [&stack, &model].into_iter().chain(&named).collect();
    let (messages, claim) = messages_on(device, task, &witness, &stacks, values, statement_fr, None, recorder)?;
    let (opening, tail) = recorder.run(Stage::Opening, || {
        let coefficients = row_coefficients(&claim);
        let of_stacks: Vec<&[Fr]> = coefficients.iter().map(Vec::as_slice).collect();
        let h = reduction::combined_row(device, row_bits, &stacks, &of_stacks);
        // Both give the same point: the rows combined, or the combined row committed. A row costs about four points.
        let given = task.stacks.iter().flat_map(Stack::rows);
        let commitment = if !task.stacks.is_empty() || 4 * (rows.len() + task.model_rows.len()) < 1 << row_bits {
            let rows: Vec<G1Affine> = rows.iter().chain(task.model_rows).chain(given).copied().collect();
            combine_rows(&rows, &coefficients.concat())?.into_affine()
        } else {
            device.msm(&points, &h)
        };
        let mut t = opening_transcript(&statement, &claim, commitment);
        let mut h = device.download(&h);
        let (point, tail) = if task.stacks.is_empty() {
            (claim.low.clone(), Fr::ZERO)
        } else {
            // Behind the row lie the combined blinding factors and zeros.
            let of_named = coefficients.iter().skip(NAMED).zip(task.stacks);
            let beta: Fr = of_named.map(|(c, s)| dot(c, s.blinds())).sum();
            let tail = claim.low.iter().fold(beta, |t, x| t * (Fr::ONE - x));
            h.push(beta);
            h.resize(2 << row_bits, Fr::ZERO);
            (blinded_point(&mut t, &claim, &tail).0, tail)
        };
        let opened = opening::open(device, &points, &h, &point, &mut t)?;
        Ok::<_, ProveError>((opened.proof, tail))
    })?;
    let given = Given { rows: task.stacks.iter().map(|s| s.rows().to_vec()).collect(), tail };
    Ok(Argument { row_bits, rows, given, messages, opening })
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

/// Proves a batch of inferences under a key without named stacks. `inputs[i]` are the quantized inputs of inference `i`, in the model's order.
///
/// # Errors
/// Inputs of the wrong shape or outside their range, an SRS that is too small.
pub fn prove<'d>(
    device: impl Into<AnyDevice<'d>>,
    key: &ProvingKey,
    inputs: &[Vec<Tensor>],
    recorder: &Recorder<'_>,
) -> Result<Proved, ProveError> {
    Ok(prove_linked(device, key, inputs, vec![], recorder)?.proved)
}
