//! What proving will cost: counts from the layout and the meter, times from one table of constants; memory is in [`memory`].
//!
//! The constants are seconds on one core with AVX-512 IFMA, fitted to the networks of `benches/models`; [`Machine`] turns them
//! into seconds here. Further cores count [`PARALLEL`] each.
//!
//! | constant | unit | what it stands for |
//! |---|---|---|
//! | [`EVALUATE_MAC`] | multiply-accumulate | running the integer graph |
//! | [`WITNESS_ENTRY`] | stack entry | keys, remainders, multiplicities |
//! | [`COMMIT_ENTRY`] | stack entry | small-integer multi-scalar multiplication, mostly of zeros |
//! | [`LEAF`] | leaf of the fraction tree | leaves, all layers and their sumchecks |
//! | [`OPERAND_ENTRY`] | operand entry | the sumcheck of all contractions |
//! | [`REDUCE_ENTRY`] | stack entry | the opening reduction |
//! | [`OPEN_ENTRY`], [`OPEN_ROW`] | row entry, row | full-width work of the opening |
//! | [`SETUP_ENTRY`] | model stack entry | commitment to weights, and registration |
//! | [`SRS_POINT`] | point | making development powers of tau |

pub(crate) mod machine;
mod memory;
pub(crate) mod settlement;

pub(crate) use machine::Machine;

use crate::error::Outcome;
use assay_circuits::{
    Graph, NodeId, Op, Program, Visibility,
    program::{LookupMode, MODEL, NAMED, WITNESS, lookup_mode},
    stack::NamedStack,
};
use assay_prover::{Stage, setup::choose_row_bits};
use assay_verifier::{
    meter::{Cost, measure},
    protocol::Mode,
};

/// Seconds per multiply-accumulate of the interpreter.
const EVALUATE_MAC: f64 = 0.4e-9;
/// Seconds per stack entry, witness layout.
const WITNESS_ENTRY: f64 = 6e-9;
/// Seconds per stack entry, commitment.
const COMMIT_ENTRY: f64 = 60e-9;
/// Seconds per leaf of the fraction tree.
const LEAF: f64 = 170e-9;
/// Seconds per operand entry of the contractions.
const OPERAND_ENTRY: f64 = 12e-9;
/// Seconds per stack entry, opening reduction.
const REDUCE_ENTRY: f64 = 62e-9;
/// Seconds per row entry, opening.
const OPEN_ENTRY: f64 = 15e-6;
/// Seconds per row commitment, opening.
const OPEN_ROW: f64 = 15e-6;
/// Seconds per entry of the model stack, setup.
const SETUP_ENTRY: f64 = 420e-9;
/// Seconds per point of a development setup.
pub(crate) const SRS_POINT: f64 = 12e-6;
/// Share of a further core that becomes speed.
const PARALLEL: f64 = 0.85;

/// What one proof costs.
#[derive(Clone, Debug)]
pub(crate) struct Estimate {
    pub(crate) batch: usize,
    pub(crate) row_bits: usize,
    pub(crate) lookups: usize,
    pub(crate) table_rows: usize,
    pub(crate) leaves: usize,
    pub(crate) witness_entries: usize,
    pub(crate) model_entries: usize,
    /// Of all named stacks.
    pub(crate) named_entries: usize,
    pub(crate) operand_entries: usize,
    pub(crate) macs: u64,
    pub(crate) meter: Cost,
    pub(crate) proof_bytes: u64,
    /// Predicted seconds of each stage of proving.
    pub(crate) stages: Vec<(Stage, f64)>,
    pub(crate) setup_seconds: f64,
    program: Program,
}

/// Entries of both operands of all contractions.
fn operand_entries(graph: &Graph) -> usize {
    let size = |i: usize| graph.nodes().get(i).map_or(0, |n| n.shape.iter().product());
    graph
        .nodes()
        .iter()
        .filter(|n| matches!(n.op, Op::Contraction(_)))
        .flat_map(|n| n.inputs.iter().map(|i| size(i.0)))
        .sum()
}

/// How many times as fast as one core all threads of the current pool are.
pub(crate) fn speed() -> f64 {
    1.0 + PARALLEL * (rayon::current_num_threads() as f64 - 1.0)
}

/// Estimates a batch.
pub(crate) fn estimate(
    machine: &Machine,
    graph: &Graph,
    batch: usize,
    visibility: Visibility,
    row_bits: Option<usize>,
) -> Outcome<Estimate> {
    estimate_linked(machine, graph, batch, visibility, row_bits, &[])
}

/// As [`estimate`], about named stacks, whose rows are the proof's.
pub(crate) fn estimate_linked(
    machine: &Machine,
    graph: &Graph,
    batch: usize,
    visibility: Visibility,
    row_bits: Option<usize>,
    stacks: &[NamedStack],
) -> Outcome<Estimate> {
    let of_stacks = stacks.first().map(|n| usize::from(n.schema.row_bits));
    let row_bits = match of_stacks.or(row_bits) {
        Some(bits) => bits,
        None => choose_row_bits(&Program::inference(graph, 1, visibility)?),
    };
    let program = Program::linked(graph, batch, visibility, stacks)?;
    let (meter, _) = measure(&program, row_bits, Mode::Core)?;
    let leaves = 1usize << program.leaf_bits;
    let witness_entries = 1usize << program.stack_bits(WITNESS);
    let model_entries = 1usize << program.stack_bits(MODEL);
    let named_entries = program.stacks.iter().skip(NAMED).map(|s| 1usize << s.bits).sum::<usize>();
    let operand_entries = operand_entries(&program.graph);
    let macs = u64::try_from(program.graph.multiply_adds()).unwrap_or(u64::MAX);
    let speed = speed();
    let all = (witness_entries + model_entries + named_entries) as f64;
    let row = (row_bits as f64).exp2();
    let rows = (meter.witness_rows + meter.model_rows) as f64;
    let stages = [
        (Stage::Evaluate, macs as f64 * EVALUATE_MAC),
        (Stage::Witness, witness_entries as f64 * WITNESS_ENTRY),
        (Stage::Commit, witness_entries as f64 * COMMIT_ENTRY / speed),
        (Stage::Lookups, leaves as f64 * LEAF / speed),
        (Stage::Operators, operand_entries as f64 * OPERAND_ENTRY / speed),
        (Stage::Reduction, all * REDUCE_ENTRY / speed),
        (Stage::Opening, (row * OPEN_ENTRY + rows * OPEN_ROW) / speed),
    ];
    let stages = stages.map(|(stage, s)| (stage, machine.seconds(stage.name(), s))).to_vec();
    let setup_seconds = (model_entries as f64 * SETUP_ENTRY + row * OPEN_ENTRY + rows * OPEN_ROW) / speed;
    let public: usize = program.public.iter().map(|p| 4 + 8 * p.shape.iter().product::<usize>()).sum();
    Ok(Estimate {
        batch,
        row_bits,
        lookups: program.lookups(),
        table_rows: program.table_rows(),
        leaves,
        witness_entries,
        model_entries,
        named_entries,
        operand_entries,
        macs,
        meter,
        // Header: magic, version, kind, key digest, batch, number of public tensors.
        proof_bytes: (8 + 2 + 1 + 32 + 4 + 4 + public + meter.argument_bytes) as u64,
        stages,
        setup_seconds: machine.seconds("setup", setup_seconds),
        program,
    })
}

/// About the seconds that each node adds to a proof, by the constants of the forecast: multiply-adds and operands of contractions;
/// leaves and stack entries of what is committed. What does not belong to a node, such as tables and the opening, is left out.
pub(crate) fn node_seconds(machine: &Machine, graph: &Graph) -> Outcome<Vec<f64>> {
    let of = |stage: Stage, s: f64| machine.seconds(stage.name(), s);
    let speed = speed();
    let value = boundary_seconds(machine);
    let reduced = of(Stage::Reduction, REDUCE_ENTRY) / speed;
    let size = |i: usize| graph.nodes().get(i).map_or(0, |n| n.shape.iter().product::<usize>()) as f64;
    let mut out = Vec::with_capacity(graph.nodes().len());
    for (i, n) in graph.nodes().iter().enumerate() {
        out.push(match &n.op {
            Op::Contraction(c) => {
                let operands = n.inputs.iter().map(|i| size(i.0)).sum::<f64>();
                of(Stage::Evaluate, c.multiply_adds() as f64 * EVALUATE_MAC)
                    + of(Stage::Operators, operands * OPERAND_ENTRY) / speed
            }
            Op::Lookup(op) => {
                let limbs = op.shift.div_ceil(graph.limb_bits());
                let clamped = lookup_mode(graph, NodeId(i))? != LookupMode::Plain;
                size(i) * value * f64::from(1 + limbs + 2 * u32::from(clamped))
            }
            // The output, and two checked sums of a limb or two each.
            Op::Divide(_) | Op::Root(_) => size(i) * value * 4.0,
            Op::Input(_) | Op::Gather(_) => size(i) * value,
            Op::Weight(_) => size(i) * reduced,
            _ => 0.0,
        });
    }
    Ok(out)
}

/// About the seconds for a committed value that is looked up once: a value at a boundary, where it is read.
pub(crate) fn boundary_seconds(machine: &Machine) -> f64 {
    let of = |stage: Stage, s: f64| machine.seconds(stage.name(), s);
    of(Stage::Witness, WITNESS_ENTRY)
        + (of(Stage::Commit, COMMIT_ENTRY) + of(Stage::Lookups, LEAF) + of(Stage::Reduction, REDUCE_ENTRY)) / speed()
}

impl Estimate {
    /// Predicted seconds to prove.
    pub(crate) fn prove_seconds(&self) -> f64 {
        self.stages.iter().map(|(_, s)| s).sum()
    }

    /// Predicted bytes at the peak of `assay prove` with a compiled model and a key that was made before.
    ///
    /// # Errors
    /// Those of a program whose claims cannot be laid out.
    pub(crate) fn memory_bytes(&self) -> Outcome<u64> {
        memory::core(&self.program, self.row_bits)
    }

    /// Predicted seconds of a stage.
    pub(crate) fn of(&self, stage: Stage) -> f64 {
        self.stages.iter().filter(|(s, _)| *s == stage).map(|(_, t)| t).sum()
    }
}
