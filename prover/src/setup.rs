//! Committing to a model, once (docs/protocol.md#setup).

use crate::{
    device::{AnyDevice, Device},
    prove::{ProveError, Task, argue, pad_to_row},
    recorder::{Recorder, Stage},
    srs::Srs,
    witness::{Witness, model_stack},
};
use ark_ec::AffineRepr;
use assay_circuits::{
    Program, Visibility, Weights,
    eval::Values,
    model::{Model, ModelError, weights_digest},
    program::MODEL,
    stack::{NamedStack, own_weights},
};
use assay_verifier::{
    G1Affine, VerifyingKey,
    core::Kind,
    opening::OpeningProof,
    proof::{Argument, Given},
};

/// What the key-maker chooses.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetupOptions {
    /// What proofs show.
    pub visibility: Visibility,
    /// log2 of the row length; `None` lets the cost model choose.
    pub row_bits: Option<usize>,
}

/// Everything a prover needs: the weights in the clear, their stack, and the powers of tau.
#[derive(Clone, Debug)]
pub struct ProvingKey {
    /// The verifier's part.
    pub verifying: VerifyingKey,
    /// Its digest.
    pub digest: [u8; 32],
    /// Weight tensors.
    pub weights: Weights,
    /// Where the lookups of the model clamp, for warnings.
    pub limits: Vec<(i64, i64)>,
    /// The model stack, in whole rows.
    pub model_stack: Vec<i32>,
    /// Powers of tau, at least one row.
    pub bases: Vec<G1Affine>,
}

/// Why a setup failed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The graph.
    #[error(transparent)]
    Graph(#[from] assay_circuits::GraphError),
    /// The registration proof.
    #[error("registration: {0}")]
    Prove(#[from] ProveError),
    /// The model file and the key belong to different models.
    #[error("this key belongs to another model")]
    OtherModel,
    /// Another row length than the named stacks have.
    #[error("the named stacks have rows of 2^{expected} values, 2^{got} were asked for; leave the row length to them")]
    RowBits {
        /// log2 of the stacks' row length.
        expected: usize,
        /// log2 of the length asked for.
        got: usize,
    },
    /// The key was made under other powers of tau.
    #[error("this key was made with other powers of tau (expected SRS {expected}, got {got})")]
    OtherSrs {
        /// SRS hash of the key.
        expected: String,
        /// SRS hash at hand.
        got: String,
    },
}

/// The row length that the cost model prefers, in index bits.
///
/// An opening costs about three full-width points per entry of a row, some 12 µs; a row costs about 30 µs in
/// verification and in the proof. More than 1,024 rows would make verification slower than 20 ms.
pub fn choose_row_bits(program: &Program) -> usize {
    let rows = |m: usize| program.stacks.iter().map(|s| 1u64 << s.bits.saturating_sub(m)).sum::<u64>();
    let cost = |m: usize| 12 * (1u64 << m) + 30 * rows(m);
    (8..=24).filter(|m| rows(*m) <= 1024).min_by_key(|m| cost(*m)).unwrap_or(24)
}

/// The powers of tau that proofs need: a row's, and twice as many where a row comes with what blinds it.
fn powers<'a>(srs: &'a Srs, row_bits: usize, stacks: &[NamedStack]) -> Result<&'a [G1Affine], ProveError> {
    let needed = row_bits + usize::from(!stacks.is_empty());
    let got = srs.g1_powers.len();
    srs.g1_powers.get(..1 << needed).ok_or(ProveError::SrsTooSmall { row_bits: needed, got })
}

/// Commits to a model and proves its registration.
///
/// # Errors
/// A graph that cannot be laid out, or an SRS that is too small.
pub fn setup<'d>(
    device: impl Into<AnyDevice<'d>>,
    model: &Model,
    srs: &Srs,
    options: SetupOptions,
    recorder: &Recorder<'_>,
) -> Result<ProvingKey, SetupError> {
    setup_linked(device, model, &[], 1, srs, options, recorder)
}

/// [`setup`] of a model some of whose inputs, weights or outputs are in named stacks. Those are not public, whatever the
/// visibility; weights in stacks are no part of the key. `batch` is that of the proofs, which the schemas fix.
///
/// # Errors
/// Stacks that do not fit the model, rows of another length than theirs, and those of [`setup`].
pub fn setup_linked<'d>(
    device: impl Into<AnyDevice<'d>>,
    model: &Model,
    stacks: &[NamedStack],
    batch: usize,
    srs: &Srs,
    options: SetupOptions,
    recorder: &Recorder<'_>,
) -> Result<ProvingKey, SetupError> {
    make(device.into(), model, stacks, batch, srs, options, recorder)
}

fn make(
    device: AnyDevice<'_>,
    model: &Model,
    stacks: &[NamedStack],
    batch: usize,
    srs: &Srs,
    options: SetupOptions,
    recorder: &Recorder<'_>,
) -> Result<ProvingKey, SetupError> {
    let program = Program::linked(&model.graph, batch, options.visibility, stacks)?;
    let of_stacks = stacks.first().map(|s| usize::from(s.schema.row_bits));
    if let (Some(got), Some(expected)) = (options.row_bits, of_stacks)
        && got != expected
    {
        return Err(SetupError::RowBits { expected, got });
    }
    let row_bits = of_stacks.or(options.row_bits).unwrap_or_else(|| choose_row_bits(&program));
    let bases = powers(srs, row_bits, stacks)?;
    let row_bases = &bases[..1 << row_bits];
    let mut stack = recorder.run(Stage::Witness, || model_stack(&program, &model.weights))?;
    pad_to_row(&mut stack, program.stack_bits(MODEL), row_bits);
    let rows = recorder
        .run(Stage::Commit, || device.commit_rows(&device.points(row_bases), &device.integers(&stack), 1 << row_bits));
    let placeholder = Argument {
        row_bits,
        rows: vec![],
        given: Given::default(),
        messages: vec![],
        opening: OpeningProof {
            folds: vec![],
            evaluations: vec![],
            quotient: G1Affine::zero(),
            linearised: G1Affine::zero(),
        },
    };
    let mut verifying = VerifyingKey {
        graph: model.graph.clone(),
        visibility: options.visibility,
        weights_digest: weights_digest(own_weights(stacks, &model.weights))?,
        stacks: stacks.to_vec(),
        inputs: model.inputs.clone(),
        outputs: model.outputs.clone(),
        row_bits,
        rows,
        srs: srs.verifier(),
        registration: placeholder,
    };
    let digest = verifying.digest()?;
    let mut key = ProvingKey {
        digest,
        weights: model.weights.clone(),
        limits: model.report.limits.clone(),
        model_stack: stack,
        bases: bases.to_vec(),
        verifying: verifying.clone(),
    };
    verifying.registration = recorder.run(Stage::Registration, || register(device, &key)).map_err(SetupError::Prove)?;
    key.verifying = verifying;
    Ok(key)
}

/// Proves that every weight is in range and that the committed tables are the graph's.
fn register(device: AnyDevice<'_>, key: &ProvingKey) -> Result<Argument, ProveError> {
    let graph = &key.verifying.graph;
    let program = Program::registration_beside(graph, &key.verifying.stacks)?;
    let public = program.registration_public();
    // Only weights have values here; nothing else of the graph is looked up.
    let values = Values::of_weights(&program.graph, &key.weights);
    let witness = Witness::build(&program, &values)?;
    let task = Task {
        program: &program,
        kind: Kind::Registration,
        key_digest: key.digest,
        batch: 1,
        public: &public,
        row_bits: key.verifying.row_bits,
        bases: &key.bases[..1 << key.verifying.row_bits],
        model: &key.model_stack,
        model_rows: &key.verifying.rows,
        stacks: &[],
    };
    argue(device, &task, witness, &values, &Recorder::default())
}

/// Rebuilds a proving key from a stored verifying key and the model file, without committing again.
///
/// # Errors
/// A key of another model or of other powers of tau.
pub fn load(model: &Model, verifying: VerifyingKey, srs: &Srs) -> Result<ProvingKey, SetupError> {
    if verifying.graph != model.graph
        || verifying.weights_digest != weights_digest(own_weights(&verifying.stacks, &model.weights))?
    {
        return Err(SetupError::OtherModel);
    }
    let here = srs.verifier();
    if here != verifying.srs {
        let hex = assay_verifier::core::hex;
        return Err(SetupError::OtherSrs { expected: hex(&verifying.srs.srs_hash), got: hex(&here.srs_hash) });
    }
    let row_bits = verifying.row_bits;
    let bases = powers(srs, row_bits, &verifying.stacks)?;
    // The model's stack depends neither on the batch nor on what is public.
    let program = Program::registration_beside(&model.graph, &verifying.stacks)?;
    let mut stack = model_stack(&program, &model.weights)?;
    pad_to_row(&mut stack, program.stack_bits(MODEL), row_bits);
    Ok(ProvingKey {
        digest: verifying.digest()?,
        weights: model.weights.clone(),
        limits: model.report.limits.clone(),
        model_stack: stack,
        bases: bases.to_vec(),
        verifying,
    })
}
