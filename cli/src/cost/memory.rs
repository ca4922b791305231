//! What a core proof will hold in memory, by what the prover keeps: counts from the layout, bytes from the types of its arrays.
//!
//! What holds from the start of a proof to its end comes first, then the largest of three stages that follow each other and take
//! the same memory. The allocator gives nothing back in between, so that values that only the witness needs count to the end.
//! The table of `benches/README.md` compares this with measured peaks.
//!
//! | what | bytes | held by |
//! |---|---|---|
//! | program, threads, files | [`PROCESS`] | |
//! | weights | 8 a value | model and key, which share them |
//! | values of all other nodes | 8 a value | the interpreter |
//! | stacks | 4 an entry; 8 more a value of a named one | key, witness |
//! | lookups | 4 a key, value and side | the witness |
//! | tables | [`TABLE_ROW`] a row | graphs of model, key and program; multiplicities; leaves |
//! | gathered rows | 4 a value, 32 a row's fingerprint | the witness, the leaves |
//! | powers of tau | twice 64 a power | what is read, and the key |
//! | stage: fraction tree | [`KEPT_LEAF`] or [`LEAF`] a leaf | `prover/src/device/tree.rs` |
//! | stage: contractions | 64 an entry of the product | both operands as elements |
//! | stage: reduction | 64 an entry that is left of the largest stack, what is multiplied out of each term, and [`WEIGHT`] a weight of the claim | `prover/src/{reduction.rs,sumcheck.rs,device/functional.rs}` |

use crate::error::Outcome;
use assay_circuits::{Op, Program, Ring, program::NAMED};
use assay_prover::{
    device::{KEPT, low_bits},
    leading,
};
use assay_verifier::{
    Fr,
    protocol::{
        bilinear::{Operands, add_operand_claims, rounds},
        gkr::LeafClaim,
        padded_bits, root,
    },
};

/// The program itself, its threads, and what it reads and decodes: measured.
const PROCESS: f64 = 28e6;
/// Values in four copies of the graph; keys, values and multiplicities; values once more as they are unpacked.
const TABLE_ROW: f64 = 36.0;
/// A leaf where all are kept: numerator and denominator, and two arrays for a quarter of them, twice.
const KEPT_LEAF: f64 = 68.0;
/// A leaf where they are computed again: two arrays for a quarter of them.
const LEAF: f64 = 16.0;
/// A weight of the claim on the stacks: an element of the claim, and another one in the functional, beside its place.
const WEIGHT: f64 = 72.0;
/// A field element.
const ELEMENT: f64 = 32.0;
/// A power of tau.
const POINT: f64 = 64.0;

fn size(shape: &[usize]) -> f64 {
    shape.iter().map(|d| *d as f64).product()
}

fn power_of_two(bits: usize) -> f64 {
    (bits as f64).exp2()
}

/// Bytes at the peak of a core proof in a process of its own, with a compiled model and a key that was made before.
pub(super) fn core(program: &Program, row_bits: usize) -> Outcome<u64> {
    let tree = if program.leaf_bits < 3 { 0.0 } else { tree(1 << program.leaf_bits) };
    let stage = tree.max(operators(program)).max(reduction(program, row_bits)?);
    Ok((PROCESS + held(program, row_bits) + stage) as u64)
}

/// What is held from the first to the last stage.
fn held(program: &Program, row_bits: usize) -> f64 {
    let nodes = program.graph.nodes().iter().map(|n| 8.0 * size(&n.shape)).sum::<f64>();
    let stacks = program.stacks.iter().enumerate().map(|(k, s)| {
        let value = if k < NAMED { 4.0 } else { 12.0 };
        value * power_of_two(padded_bits(s.bits, row_bits))
    });
    let lookups = program.segments.iter().map(|s| {
        let arrays = 1 + usize::from(s.value.is_some()) + usize::from(s.side.is_some());
        4.0 * arrays as f64 * size(&s.shape)
    });
    let tables = program.blocks.iter().map(|b| TABLE_ROW * power_of_two(b.bits));
    let vectors = program.vectors.iter().map(|v| {
        let (index, rows) = (size(&v.index_shape), size(&v.rows_shape));
        (index + rows) * (4.0 * v.width() as f64 + 12.0 + ELEMENT)
    });
    nodes
        + stacks.sum::<f64>()
        + lookups.sum::<f64>()
        + tables.sum::<f64>()
        + vectors.sum::<f64>()
        + 2.0 * POINT * power_of_two(row_bits)
}

fn tree(leaves: usize) -> f64 {
    leaves as f64 * if leaves <= KEPT { KEPT_LEAF } else { LEAF }
}

/// Both operands of every contraction, over the indices that they share.
fn operators(program: &Program) -> f64 {
    let contractions = program.graph.nodes().iter().filter_map(|n| match &n.op {
        Op::Contraction(c) => Some(2.0 * ELEMENT * power_of_two(c.rounds())),
        _ => None,
    });
    contractions.sum()
}

/// The weights of the claim; the largest stack and its functional, once their leading variables are bound, and the low factors of all
/// terms of a stack, multiplied out. Which terms there are does not depend on challenges.
fn reduction(program: &Program, row_bits: usize) -> Outcome<f64> {
    let number = |n: usize| Fr::from_i128(3 + n as i128);
    let leaf = LeafClaim { point: (0..program.leaf_bits).map(number).collect(), p: number(100), q: number(101) };
    let challenges = root::Challenges { alpha: number(102), beta: number(103), zeta: number(104), lambda: number(105) };
    let root = root::build(program, &leaf, &challenges, number(0))?;
    let (instances, mut claim) = root.pull_back(program)?;
    let point = (0..rounds(&instances)).map(number).collect();
    let operands = Operands { point, values: vec![[number(1), number(2)]; instances.len()] };
    add_operand_claims(program, &instances, &operands, &number(106), &mut claim)?;
    // Of all stacks at once: the functionals are made before the first round.
    let weights: u64 = claim.terms.iter().map(|t| t.functional.len()).sum();
    let mut most: f64 = 0.0;
    for (k, stack) in program.stacks.iter().enumerate() {
        let bits = padded_bits(stack.bits, row_bits);
        let left = bits - leading(bits);
        let of_stack = claim.terms.iter().filter_map(|t| program.tensors.get(t.tensor).filter(|of| of.stack == k));
        let low: f64 = of_stack.map(|t| ELEMENT * power_of_two(low_bits(t.bits()).min(left))).sum();
        most = most.max(2.0 * ELEMENT * power_of_two(left) + low);
    }
    Ok(most + WEIGHT * weights as f64)
}
