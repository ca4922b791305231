//! Making and checking settlement keys (docs/protocol.md#settlement-keys).

use super::{
    SettleFailure,
    halo2::{CircuitProver, circuit_key},
    prove::{Statement, argue},
};
use crate::{
    device::{AnyDevice, Device},
    prove::pad_to_row,
    recorder::{Recorder, Stage},
    srs::Srs,
    stack::{Stack, StackError},
    witness::{Witness, model_stack},
};
use ark_bn254::G1Projective;
use ark_ec::CurveGroup;
use ark_ff::AdditiveGroup;
use assay_circuits::{
    Program, Visibility, Weights,
    eval::Values,
    model::Model,
    program::{MODEL, NAMED, WITNESS},
    stack::{NamedStack, Role},
};
use assay_verifier::{
    Fr, G1Affine,
    channel::ProtocolError,
    curve::g1_to_bytes,
    keccak::{digest_to_fr, keccak256},
    opening::fold_count,
    protocol::padded_bits,
    settle::{
        self,
        argument::SettledArgument,
        descriptor::{CircuitKey, DescribedStack, Descriptor, MAX_MODEL_ROW_BITS, MAX_ROW_BITS},
        key::{SettlementKey, inference_digest, registration_descriptor, shape},
        layout::Rows,
    },
};

/// What a row length is chosen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimize {
    /// The seconds that settling takes.
    Time,
    /// The gas that verification takes.
    #[default]
    Gas,
}

/// A named stack of a settlement key.
#[derive(Clone, Debug)]
pub struct SettledStack {
    /// What it holds, and what its tensors are to the graph.
    pub named: NamedStack,
    /// The stack whose rows the key holds, so that all proofs are about it; `None` for one that comes with each proof.
    pub pinned: Option<Stack>,
}

/// What the maker of a settlement key chooses.
#[derive(Clone)]
pub struct SettlementOptions {
    /// What proofs show.
    pub visibility: Visibility,
    /// Inferences in a proof.
    pub batch: u32,
    /// log2 of the row length; `None` lets the cost model choose.
    pub row_bits: Option<usize>,
    /// What it chooses for.
    pub optimize: Optimize,
    /// The named stacks that proofs are about; they fix the row length.
    pub stacks: Vec<SettledStack>,
    /// Secret from which the blinding factors of the weights' rows follow. The same secret gives the same key again. Public
    /// weights are not blinded.
    pub secret: [u8; 32],
}

/// Everything that settling needs: weights and blinding factors in the clear. Not for sharing.
pub struct SettlementProver {
    /// The public part.
    pub key: SettlementKey,
    /// The layout.
    pub program: Program,
    /// Weight tensors.
    pub weights: Weights,
    /// Where the lookups of the model clamp, for warnings.
    pub limits: Vec<(i64, i64)>,
    pub(super) model_stack: Vec<i32>,
    pub(super) blinds: Vec<Fr>,
    /// A row's powers of tau and the blinder.
    pub(super) bases: Vec<G1Affine>,
    /// The pinned stacks, in the order of the key.
    pub(super) pinned: Vec<Option<Stack>>,
    pub(super) circuit: CircuitProver,
}

// Both hold secrets, which must not end in a log.
impl core::fmt::Debug for SettlementOptions {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { visibility, batch, row_bits, optimize, stacks, secret: _ } = self;
        f.debug_struct("SettlementOptions")
            .field("visibility", visibility)
            .field("batch", batch)
            .field("row_bits", row_bits)
            .field("optimize", optimize)
            .field("stacks", &stacks.iter().map(|s| &s.named).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl core::fmt::Debug for SettlementProver {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SettlementProver").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What is wrong with a key whose circuit's commitments are others.
const OTHER_CIRCUIT: &str = "its circuit is not that of its graph";

/// Gas of a point in the contract's multi-scalar multiplication, and of its calldata; of a scalar of the opening.
const POINT_GAS: u64 = 6_700;
const SENT_POINT_GAS: u64 = POINT_GAS + 1_024;
const SCALAR_GAS: u64 = 1_100;

/// Gas that depends on the row length.
pub fn row_gas(program: &Program, row_bits: usize) -> u64 {
    let rows = |bits: usize| 1u64 << bits.saturating_sub(row_bits).min(40);
    rows(program.stack_bits(WITNESS)) * SENT_POINT_GAS
        + rows(program.stack_bits(MODEL)) * POINT_GAS
        + program.stacks.iter().skip(NAMED).map(|s| rows(s.bits) * SENT_POINT_GAS).sum::<u64>()
        + fold_count(row_bits) as u64 * (SENT_POINT_GAS + 3 * SCALAR_GAS)
}

/// Rows of a proof's witness that hold something: the first ones.
pub(super) fn filled_rows(program: &Program, row_bits: usize) -> usize {
    program.stack_filled(WITNESS).div_ceil(1 << row_bits)
}

/// The shortest rows, in index bits, with which the contract can store the key and the registration can be checked.
pub fn least_row_bits(program: &Program, registration: &Program) -> usize {
    let witness = program.stack_bits(WITNESS).max(registration.stack_bits(WITNESS)).saturating_sub(MAX_ROW_BITS);
    let model = program.stack_bits(MODEL).max(registration.stack_bits(MODEL)).saturating_sub(MAX_MODEL_ROW_BITS);
    let named = program.stacks.iter().skip(NAMED).map(|s| s.bits.saturating_sub(MAX_ROW_BITS)).max().unwrap_or(0);
    witness.max(model).max(named)
}

/// The row length that the cost model prefers, in index bits: the least gas that rows of at most 2^16 values allow, or rows
/// whose opening takes no more time than the circuit, with as few of them as that allows. Rows of 2^18 values saved 30,000 to
/// 50,000 gas and doubled the seconds of settling.
pub fn choose_row_bits(program: &Program, registration: &Program, optimize: Optimize) -> usize {
    let least = least_row_bits(program, registration).max(4);
    let limit = match optimize {
        Optimize::Gas => 16,
        Optimize::Time => 14,
    };
    (least..=limit).min_by_key(|m| row_gas(program, *m)).unwrap_or(least)
}

/// log2 of the powers of tau that a settlement key needs.
///
/// # Errors
/// A layout without a circuit.
pub fn needed_power(program: &Program, registration: &Program, row_bits: usize) -> Result<u32, SettleFailure> {
    let k = settle::circuit(program, row_bits, None)?.k().max(settle::circuit(registration, row_bits, None)?.k());
    // The blinder is the power behind a row.
    Ok(k.max(u32::try_from(row_bits).unwrap_or(u32::MAX).saturating_add(1)))
}

/// The blinding factors of the model rows: a function of the secret, the powers of tau and the rows themselves. Two different
/// rows, or one row under two sets of powers, never share a factor: their difference would show whether a guess of the
/// weights is right (docs/protocol.md#settlement-keys).
fn model_blinds(secret: &[u8; 32], srs_hash: &[u8; 32], rows: &[G1Affine]) -> Vec<Fr> {
    let plain: Vec<u8> = rows.iter().flat_map(g1_to_bytes).collect();
    let seed = keccak256(&[b"assay/blind/v2", secret, srs_hash, &keccak256(&[&plain])]);
    let half = |row: usize, tag: u8| digest_to_fr(&keccak256(&[&seed, &(row as u64).to_be_bytes(), &[tag]]));
    // The sum of two digests, each nearly uniform mod r.
    (0..rows.len()).map(|i| half(i, 0) * Fr::from(1u128 << 127) + half(i, 1)).collect()
}

/// Adds multiples of the blinder to row commitments.
pub(super) fn blinded(rows: &[G1Affine], blinds: &[Fr], blinder: &G1Affine) -> Vec<G1Affine> {
    let points: Vec<G1Projective> = rows.iter().zip(blinds).map(|(r, b)| *blinder * b + r).collect();
    G1Projective::normalize_batch(&points)
}

/// What both making and loading a key start from.
struct Committed {
    program: Program,
    row_bits: usize,
    stack: Vec<i32>,
    blinds: Vec<Fr>,
    rows: Vec<G1Affine>,
    /// A row's powers of tau and the blinder.
    bases: Vec<G1Affine>,
    blinder: G1Affine,
    named: Vec<NamedStack>,
    described: Vec<DescribedStack>,
    pinned: Vec<Option<Stack>>,
}

/// The stacks as the key and the chain know them.
fn describe(
    srs: &Srs,
    stacks: &[SettledStack],
    program: &Program,
    row_bits: usize,
) -> Result<Vec<DescribedStack>, SettleFailure> {
    let mut out = Vec::with_capacity(stacks.len());
    for (s, laid_out) in stacks.iter().zip(program.stacks.iter().skip(NAMED)) {
        let name = || s.named.name.clone();
        let bits = padded_bits(laid_out.bits, row_bits);
        if let Some(stack) = &s.pinned {
            if s.named.roles.iter().any(|r| matches!(r, Some(Role::Output(_)))) {
                return Err(StackError::PinnedOutput { name: name() }.into());
            }
            if *stack.schema() != s.named.schema {
                return Err(StackError::OtherSchema { name: name() }.into());
            }
            stack.under(&srs.verifier())?;
            if bits > row_bits + MAX_MODEL_ROW_BITS {
                return Err(SettleFailure::TooManyRows { row_bits, least: bits - MAX_MODEL_ROW_BITS });
            }
        }
        let pinned = s.pinned.as_ref().map(|stack| stack.rows().to_vec());
        out.push(DescribedStack { bits, schema: s.named.schema.digest()?, pinned });
    }
    Ok(out)
}

fn commit(
    device: AnyDevice<'_>,
    model: &Model,
    srs: &Srs,
    options: &SettlementOptions,
    recorder: &Recorder<'_>,
) -> Result<Committed, SettleFailure> {
    let batch = usize::try_from(options.batch).unwrap_or(usize::MAX);
    let named: Vec<NamedStack> = options.stacks.iter().map(|s| s.named.clone()).collect();
    let program = Program::linked(&model.graph, batch, options.visibility, &named)?;
    let registration = Program::registration_beside(&model.graph, &named)?;
    let of_stacks = named.first().map(|s| usize::from(s.schema.row_bits));
    let row_bits = match (of_stacks, options.row_bits) {
        (Some(expected), Some(got)) if expected != got => return Err(SettleFailure::RowBits { expected, got }),
        (Some(m), _) | (None, Some(m)) => m,
        (None, None) => choose_row_bits(&program, &registration, options.optimize),
    };
    let least = least_row_bits(&program, &registration);
    if row_bits < least {
        return Err(SettleFailure::TooManyRows { row_bits, least });
    }
    let size = 1usize << row_bits;
    let (Some(bases), Some(blinder)) = (srs.g1_powers.get(..size), srs.g1_powers.get(size)) else {
        return Err(SettleFailure::SrsTooSmall { row_bits, got: srs.g1_powers.len() });
    };
    let described = describe(srs, &options.stacks, &program, row_bits)?;
    let mut stack = recorder.run(Stage::Witness, || model_stack(&program, &model.weights))?;
    pad_to_row(&mut stack, program.stack_bits(MODEL), row_bits);
    let rows =
        recorder.run(Stage::Commit, || device.commit_rows(&device.points(bases), &device.integers(&stack), size));
    let blinds = if options.visibility.weights {
        vec![Fr::ZERO; rows.len()]
    } else {
        model_blinds(&options.secret, &srs.hash, &rows)
    };
    let rows = blinded(&rows, &blinds, blinder);
    let bases = srs.g1_powers.get(..=size).unwrap_or_default().to_vec();
    let pinned = options.stacks.iter().map(|s| s.pinned.clone()).collect();
    Ok(Committed { program, row_bits, stack, blinds, rows, bases, blinder: *blinder, named, described, pinned })
}

/// Commits to a model for settlement, makes the circuits' keys and proves the registration, all of it hiding.
///
/// # Errors
/// A graph that cannot be laid out, too few powers of tau.
pub fn setup_settlement<'d>(
    device: impl Into<AnyDevice<'d>>,
    model: &Model,
    srs: &Srs,
    options: &SettlementOptions,
    recorder: &Recorder<'_>,
) -> Result<SettlementProver, SettleFailure> {
    make(device.into(), model, srs, options, recorder)
}

fn make(
    device: AnyDevice<'_>,
    model: &Model,
    srs: &Srs,
    options: &SettlementOptions,
    recorder: &Recorder<'_>,
) -> Result<SettlementProver, SettleFailure> {
    let committed = commit(device, model, srs, options, recorder)?;
    let Committed { program, row_bits, stack, blinds, rows, bases, blinder, named, described, .. } = &committed;
    let (circuit, registration_prover) = recorder.run(Stage::Circuit, || {
        let circuit = CircuitProver::new(srs, &settle::circuit(program, *row_bits, None)?)?;
        let registration = settle::circuit(&Program::registration_beside(&model.graph, named)?, *row_bits, None)?;
        Ok::<_, SettleFailure>((circuit, CircuitProver::new(srs, &registration)?))
    })?;
    let (witness_bits, model_bits, public) = shape(program, *row_bits)?;
    let specs = (model.inputs.as_slice(), model.outputs.as_slice());
    let descriptor = Descriptor {
        insecure_dev: srs.insecure_dev,
        program: inference_digest(&model.graph, specs, options.visibility, options.batch, named)?,
        circuit: circuit.circuit_key(),
        row_bits: *row_bits,
        witness_bits,
        model_bits,
        blinder: *blinder,
        tau_g2: srs.tau_g2,
        public,
        stacks: described.clone(),
        model_rows: rows.clone(),
    };
    let registration_circuit = registration_prover.circuit_key();
    let registration = recorder.run(Stage::Registration, || {
        let descriptor = registration_descriptor(&model.graph, named, &descriptor, &registration_circuit)?;
        let parts = Registration { model, named, descriptor: &descriptor, stack, blinds, bases };
        register(device, &parts, &registration_prover)
    })?;
    let key = SettlementKey {
        graph: model.graph.clone(),
        visibility: options.visibility,
        inputs: model.inputs.clone(),
        outputs: model.outputs.clone(),
        batch: options.batch,
        stacks: named.clone(),
        descriptor,
        registration_circuit,
        registration,
    };
    Ok(SettlementProver::new(key, committed, model, circuit))
}

/// Rebuilds what settling needs from a stored key, without proving the registration again.
///
/// # Errors
/// A key of another model, secret or shape, or under other powers of tau.
pub fn load_settlement<'d>(
    device: impl Into<AnyDevice<'d>>,
    model: &Model,
    srs: &Srs,
    options: &SettlementOptions,
    key: SettlementKey,
    recorder: &Recorder<'_>,
) -> Result<SettlementProver, SettleFailure> {
    load(device.into(), model, srs, options, key, recorder, &|rows, stated| {
        let circuit = CircuitProver::new(srs, rows)?;
        if circuit.circuit_key() == *stated { Ok(circuit) } else { Err(SettleFailure::Key(OTHER_CIRCUIT)) }
    })
}

/// As [`load_settlement`], of a key that was made or checked here before ([`check_key`]): the commitments to its circuit are
/// taken from it instead of being computed again. Where they are wrong, proofs do not verify.
///
/// # Errors
/// Those of [`load_settlement`], but for a circuit that is not the graph's.
pub fn reopen_settlement<'d>(
    device: impl Into<AnyDevice<'d>>,
    model: &Model,
    srs: &Srs,
    options: &SettlementOptions,
    key: SettlementKey,
    recorder: &Recorder<'_>,
) -> Result<SettlementProver, SettleFailure> {
    load(device.into(), model, srs, options, key, recorder, &|rows, stated| {
        Ok(CircuitProver::with_commitments(srs, rows, stated)?)
    })
}

/// What [`load_settlement`] and [`reopen_settlement`] do, which make the circuit's keys from its rows and what is stated of
/// them.
fn load(
    device: AnyDevice<'_>,
    model: &Model,
    srs: &Srs,
    options: &SettlementOptions,
    key: SettlementKey,
    recorder: &Recorder<'_>,
    circuit: &dyn Fn(&Rows, &CircuitKey) -> Result<CircuitProver, SettleFailure>,
) -> Result<SettlementProver, SettleFailure> {
    let wrong = |what| Err(SettleFailure::Key(what));
    if key.graph != model.graph || key.inputs != model.inputs || key.outputs != model.outputs {
        return wrong("it belongs to another model");
    }
    if key.visibility != options.visibility || key.batch != options.batch {
        return wrong("it is for another batch size or visibility");
    }
    if !key.stacks.iter().eq(options.stacks.iter().map(|s| &s.named)) {
        return wrong("it is about other named stacks");
    }
    let options = SettlementOptions { row_bits: Some(key.descriptor.row_bits), ..options.clone() };
    let committed = commit(device, model, srs, &options, recorder)?;
    if committed.described != key.descriptor.stacks {
        return wrong("it pins another stack, or none where one was given");
    }
    if committed.rows != key.descriptor.model_rows || committed.blinder != key.descriptor.blinder {
        return wrong("it was made from other weights, with another secret or with other powers of tau");
    }
    let circuit = recorder.run(Stage::Circuit, || {
        let rows = match settle::circuit_of_size(&committed.program, committed.row_bits, key.descriptor.circuit.k) {
            Err(ProtocolError::CircuitSize { .. }) => return Err(SettleFailure::Key(OTHER_CIRCUIT)),
            other => other?,
        };
        circuit(&rows, &key.descriptor.circuit)
    })?;
    Ok(SettlementProver::new(key, committed, model, circuit))
}

impl SettlementProver {
    fn new(key: SettlementKey, committed: Committed, model: &Model, circuit: CircuitProver) -> Self {
        Self {
            key,
            program: committed.program,
            weights: model.weights.clone(),
            limits: model.report.limits.clone(),
            model_stack: committed.stack,
            blinds: committed.blinds,
            bases: committed.bases,
            pinned: committed.pinned,
            circuit,
        }
    }

    /// Checks a stack that is to be given, before anything is promised: whether it has the schema that the key declares at this
    /// place, the key's powers of tau, and rows that are commitments to its values.
    ///
    /// # Errors
    /// What is different, by name.
    pub fn check_given<'d>(
        &self,
        device: impl Into<AnyDevice<'d>>,
        place: usize,
        stack: &Stack,
    ) -> Result<(), StackError> {
        let named =
            self.key.stacks.get(place).ok_or(StackError::Count { expected: self.key.stacks.len(), got: place })?;
        if *stack.schema() != named.schema {
            return Err(StackError::OtherSchema { name: named.name.clone() });
        }
        stack.under(&self.key.srs())?;
        stack.check_rows(device.into(), &self.bases)
    }
}

/// What a registration is about.
struct Registration<'a> {
    model: &'a Model,
    named: &'a [NamedStack],
    descriptor: &'a Descriptor,
    stack: &'a [i32],
    blinds: &'a [Fr],
    bases: &'a [G1Affine],
}

/// Proves, without revealing them, that weights are in range and tables are the graph's.
fn register(
    device: AnyDevice<'_>,
    parts: &Registration<'_>,
    circuit: &CircuitProver,
) -> Result<SettledArgument, SettleFailure> {
    let Registration { model, named, descriptor, stack, blinds, bases } = *parts;
    let program = Program::registration_beside(&model.graph, named)?;
    let public = program.registration_public();
    let values = Values::of_weights(&program.graph, &model.weights);
    let witness = Witness::build(&program, &values)?;
    let (public, context) = (public.as_slice(), [0; 32]);
    let statement = Statement { program: &program, descriptor, public, stacks: &[], context, stack, blinds, bases };
    argue(&device, &statement, witness, &values, circuit, &Recorder::default())
}

/// Recomputes what a settlement key claims about its graph and the powers of tau: circuits, blinder, descriptor and registration.
/// Whoever relies on a settlement id does this once.
///
/// # Errors
/// The first claim that is false; too few powers of tau.
pub fn check_key(key: &SettlementKey, srs: &Srs) -> Result<(), SettleFailure> {
    // Cheap, and it bounds what follows.
    key.check().map_err(SettleFailure::Settlement)?;
    let d = &key.descriptor;
    let wrong = |what| Err(SettleFailure::Key(what));
    if d.tau_g2 != srs.tau_g2 || d.insecure_dev != srs.insecure_dev {
        return wrong("it was made with other powers of tau");
    }
    let size = 1usize << d.row_bits;
    match srs.g1_powers.get(size) {
        None => return Err(SettleFailure::SrsTooSmall { row_bits: d.row_bits, got: srs.g1_powers.len() }),
        Some(p) if *p != d.blinder => return wrong("its blinder is no power of tau"),
        Some(_) => {}
    }
    let registration = key.registration_program()?;
    for (program, circuit) in [(key.program()?, &d.circuit), (registration, &key.registration_circuit)] {
        // The size first: nothing is recorded beyond what is claimed, and no key is made for a claim that is already false.
        let rows = match settle::circuit_of_size(&program, d.row_bits, circuit.k) {
            Err(ProtocolError::CircuitSize { .. }) => return wrong(OTHER_CIRCUIT),
            other => other?,
        };
        if circuit_key(srs, &rows)? != *circuit {
            return wrong(OTHER_CIRCUIT);
        }
    }
    Ok(())
}
