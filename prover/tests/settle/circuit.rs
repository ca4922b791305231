//! The settlement circuit row by row: every gate and copy, natively and under `MockProver`; what each cell is for; and that
//! the circuit is a function of the layout alone.

use crate::{settle_support, support};

use ark_ff::{AdditiveGroup, Field};
use assay_circuits::{GraphBuilder, Program, Tensor, Visibility, model::Model};
use assay_prover::srs::Srs;
use assay_verifier::{
    Fr,
    channel::{Check, ProtocolError},
    curve::fr_to_bytes,
    keccak::keccak256,
    protocol::{self, Mode},
    settle::{
        self, Run,
        argument::SettledArgument,
        check::SettleError,
        gates::{ADVICE, COPYABLE, NAMES, RESERVED, Row, gates},
        layout::{Cell, Rows},
        point,
        tape::{TapeChannel, instance},
    },
    transcript::Permutation,
};
use halo2_proofs::dev::{FailureLocation, VerifyFailure};
use settle_support::{
    Claim, Halves, Lab, Made, inference_claim, listen, mock, padded_model, padded_witness, random, registration_claim,
    speak,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::OnceLock,
};
use support::{cnn, inputs, mixed, mlp, model, toy};

/// A layout, a true claim, and the run of an honest prover over it.
struct Layout {
    name: String,
    program: Program,
    row_bits: usize,
    claim: Claim,
    statement: Fr,
    messages: Vec<Fr>,
    structure: Rows,
    filled: Rows,
}

/// The model that tests of single messages and cells look at, with inputs that reach both clamps and the table itself.
fn toy_model() -> (Model, Vec<Vec<Tensor>>) {
    let mut m = model(toy(), 1);
    m.weights[0].data = vec![3, -4, 2, 1, -4, 3];
    m.weights[1].data = vec![2, -3];
    let rows = [[7, 7, -8], [-8, -8, 7], [1, 2, 3]];
    (m, rows.map(|r| vec![Tensor::new(vec![1, 3], r.to_vec()).unwrap()]).to_vec())
}

fn messages(program: &Program, row_bits: usize, model: &Model, claim: &Claim, statement: Fr) -> Vec<Fr> {
    let mask: Vec<Fr> = (0..1usize << row_bits).map(|_| random()).collect();
    let stacks = [padded_witness(program, &claim.witness, row_bits), padded_model(program, model, row_bits)];
    speak(program, row_bits, claim, [&stacks[0], &stacks[1]], &mask, statement)
}

fn layout(name: String, program: Program, row_bits: usize, model: &Model, claim: Claim) -> Layout {
    let statement = random();
    let messages = messages(&program, row_bits, model, &claim, statement);
    let structure = settle::circuit(&program, row_bits, None).unwrap();
    let run = Run { statement, messages: &messages, public: &claim.public };
    let filled = settle::circuit(&program, row_bits, Some(run)).unwrap();
    Layout { name, program, row_bits, claim, statement, messages, structure, filled }
}

fn layouts() -> &'static [Layout] {
    static LAYOUTS: OnceLock<Vec<Layout>> = OnceLock::new();
    LAYOUTS.get_or_init(|| {
        let all = Visibility { inputs: true, weights: true, outputs: true };
        let (toy_model, toy_inputs) = toy_model();
        let random = |graph, seed| {
            let m = model(graph, seed);
            let i = inputs(&m, 1, 9);
            (m, i)
        };
        let (mlp, mlp_inputs) = random(mlp(), 5);
        let (cnn, cnn_inputs) = random(cnn(), 6);
        let (mixed, mixed_inputs) = random(mixed(), 8);
        let cases = [
            ("mlp", mlp, mlp_inputs, 6, Visibility::default()),
            ("cnn", cnn, cnn_inputs, 10, Visibility::default()),
            ("mixed", mixed, mixed_inputs, 7, all),
            ("toy", toy_model, toy_inputs, 3, all),
        ];
        let mut out = vec![];
        for (name, m, i, row_bits, visibility) in cases {
            let program = Program::inference(&m.graph, i.len(), visibility).unwrap();
            let claim = inference_claim(&program, &m, &i);
            out.push(layout(format!("{name}, inference"), program, row_bits, &m, claim));
            let program = Program::registration(&m.graph).unwrap();
            let claim = registration_claim(&program, &m);
            out.push(layout(format!("{name}, registration"), program, row_bits, &m, claim));
        }
        out
    })
}

fn toy_layouts() -> impl Iterator<Item = &'static Layout> {
    layouts().iter().filter(|l| l.name.starts_with("toy"))
}

fn permutation() -> &'static Permutation {
    static PERMUTATION: OnceLock<Permutation> = OnceLock::new();
    PERMUTATION.get_or_init(|| Permutation::standard().unwrap())
}

/// The first gate that a row breaks, with the row behind it and the public inputs as given.
fn broken_gate(rows: &Rows, at: usize) -> Option<&'static str> {
    let next = rows.advice.get(at + 1).copied().unwrap_or([Fr::ZERO; ADVICE]);
    let row = Row {
        a: rows.advice[at],
        next: [next[0], next[1], next[2]],
        fixed: rows.fixed[at],
        instance: rows.instances.get(at).copied().unwrap_or(Fr::ZERO),
    };
    let values = gates(permutation(), &row);
    assert_eq!(values.len(), NAMES.len());
    values.iter().position(|v| *v != Fr::ZERO).map(|i| NAMES[i])
}

fn broken_gates(rows: &Rows) -> Vec<(usize, &'static str)> {
    (0..rows.fixed.len()).filter_map(|at| Some((at, broken_gate(rows, at)?))).collect()
}

fn broken_copies(rows: &Rows) -> Vec<(Cell, Cell)> {
    let cell = |(row, column): Cell| rows.advice[row][column];
    rows.copies.iter().filter(|(a, b)| cell(*a) != cell(*b)).copied().collect()
}

/// Kinds of rows, by their fixed cells `A, B, S`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Full,
    Partial,
    Absorb,
    Continue,
    Last,
}

fn kind(rows: &Rows, at: usize) -> Kind {
    let [a, b, s, ..] = rows.fixed[at];
    let (zero, one) = (Fr::ZERO, Fr::ONE);
    match (a, b, s) {
        _ if (a, b, s) == (one, zero, zero) => Kind::Full,
        _ if (a, b, s) == (zero, zero, one) => Kind::Partial,
        _ if (a, b, s) == (zero, one, zero) => Kind::Absorb,
        _ if (a, b, s) == (one, one, zero) => Kind::Continue,
        _ if (a, b, s) == (-one, one, zero) => Kind::Last,
        _ => panic!("row {at} is of no kind"),
    }
}

fn is_sum(kind: Kind) -> bool {
    matches!(kind, Kind::Continue | Kind::Last)
}

/// The cell that is zero: the output of the second row behind the public inputs.
fn zero_cell(rows: &Rows) -> Cell {
    (rows.instances.len() + 1, 5)
}

/// The rows whose result is an equation of the protocol, with its check. Rows of inverses, told by their constants
/// `0 + x y - 1 = 0`, stand for the denominators.
fn equations(l: &Layout) -> BTreeMap<usize, Check> {
    let mut channel = TapeChannel::structure().unwrap();
    let statement = channel.instance(instance::STATEMENT, Fr::ZERO);
    protocol::verify(&mut channel, &l.program, l.row_bits, Mode::Hiding, &statement).unwrap();
    let (tape, _) = channel.finish();
    let rows = &l.structure;
    let zero = zero_cell(rows);
    let ends: Vec<usize> = rows
        .copies
        .iter()
        .filter(|(a, b)| *b == zero && a.1 == 5 && kind(rows, a.0) == Kind::Last)
        .map(|(a, _)| a.0)
        .collect();
    let inverse = [Fr::ONE, Fr::ZERO, -Fr::ONE];
    let (inverses, sums): (Vec<usize>, Vec<usize>) = ends.into_iter().partition(|at| rows.fixed[*at][3..] == inverse);
    assert_eq!(sums.len(), tape.equations.len());
    let checks = sums.into_iter().zip(tape.equations.iter().map(|e| e.check));
    checks.chain(inverses.into_iter().map(|at| (at, Check::LookupDenominator))).collect()
}

#[test]
fn every_gate_and_copy_holds_for_honest_runs() {
    for l in layouts() {
        assert_eq!(broken_gates(&l.filled), [], "{}", l.name);
        assert_eq!(broken_copies(&l.filled), [], "{}", l.name);
        assert_eq!(mock(&l.filled), Ok(()), "{}", l.name);
        // All copies are between columns that copy constraints reach.
        let reached = l.filled.copies.iter().flat_map(|(a, b)| [a, b]);
        assert!(reached.clone().all(|(_, column)| COPYABLE.contains(column)));
        assert!(reached.clone().all(|(row, _)| *row < l.filled.fixed.len()));
    }
}

#[test]
fn a_row_behind_the_last_exists_and_is_usable() {
    for l in layouts() {
        let (rows, size) = (&l.filled, 1usize << l.filled.k());
        // The last row looks at the next one, which is still in front of the rows that Halo2 reserves.
        assert!(rows.fixed.len() + 1 + RESERVED <= size, "{}", l.name);
        assert!(rows.fixed.len() + 1 + RESERVED > size / 2, "{}: a smaller domain fits", l.name);
        assert_eq!(kind(rows, rows.fixed.len() - 1), Kind::Last);
    }
}

#[test]
fn the_structure_is_a_function_of_the_layout_alone() {
    for l in layouts() {
        let structure = |r: &Rows| (r.fixed.clone(), r.copies.clone(), r.usage, r.advice.len(), r.instances.len());
        let empty = structure(&l.structure);
        assert!(empty == structure(&l.filled), "{}", l.name);
        // Any messages will do, as long as nothing that is inverted is zero.
        let noise: Vec<Fr> = l.messages.iter().map(|_| random()).collect();
        let run = Run { statement: random(), messages: &noise, public: &l.claim.public };
        let noise = settle::circuit(&l.program, l.row_bits, Some(run)).unwrap();
        assert!(empty == structure(&noise), "{}", l.name);
        assert_ne!(noise.advice, l.filled.advice);
    }
}

#[test]
fn public_inputs_are_contiguous_and_what_the_protocol_computes() {
    for l in layouts() {
        let heard = listen(&l.program, l.row_bits, l.statement, &l.messages, &l.claim.public);
        let i = &l.filled.instances;
        let claim = &heard.claim;
        let head = [l.statement, heard.zeta, heard.public, claim.gamma, claim.value];
        assert_eq!(i[..instance::POINT], head);
        assert_eq!(i[instance::POINT..], point(claim));
        let rounds = l.program.stacks.iter().map(|s| s.bits).max().unwrap_or(0).max(l.row_bits);
        assert_eq!(i.len(), instance::POINT + rounds);
        // One row each from the top, with the cell that holds it.
        for (at, value) in i.iter().enumerate() {
            assert_eq!((kind(&l.filled, at), l.filled.advice[at][5]), (Kind::Absorb, *value));
            assert_eq!(l.filled.fixed[at][3..], [Fr::ZERO; 3]);
        }
        assert!(heard.equations.iter().all(|(_, v)| *v == Fr::ZERO));
    }
}

/// Every exposed element is tied to its public input, and the two inputs of the circuit are used.
#[test]
fn every_public_input_is_tied_to_the_circuit() {
    for l in layouts() {
        let mut tied: BTreeMap<usize, usize> = BTreeMap::new();
        let count = l.filled.instances.len();
        for (a, b) in &l.filled.copies {
            for (row, column) in [a, b] {
                if *row < count {
                    assert_eq!(*column, 5);
                    *tied.entry(*row).or_default() += 1;
                }
            }
        }
        assert_eq!(tied.keys().copied().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>(), "{}", l.name);
    }
}

#[test]
fn another_public_input_breaks_a_row_or_a_copy() {
    for l in layouts() {
        for i in 0..l.filled.instances.len() {
            let mut rows = l.filled.clone();
            rows.instances[i] += Fr::ONE;
            assert_eq!(broken_gates(&rows), [(i, "absorb: output")], "{}, input {i}", l.name);
            // With its cell adapted, every use of it is broken.
            rows.advice[i][5] += Fr::ONE;
            assert_eq!(broken_gates(&rows), []);
            let broken = broken_copies(&rows);
            assert!(!broken.is_empty() && broken.iter().all(|(a, b)| a.0 == i || b.0 == i), "{}, input {i}", l.name);
        }
        // A public input too many lands in a row that uses it.
        let mut rows = l.filled.clone();
        rows.instances.push(Fr::ONE);
        assert_eq!(broken_gates(&rows), []);
        rows.instances.extend([Fr::ONE; 2]);
        rows.instances.push(Fr::ONE);
        assert_eq!(broken_gates(&rows), [(rows.instances.len() - 1, "absorb: output")]);
    }
    for l in toy_layouts() {
        for i in 0..l.filled.instances.len() {
            let mut rows = l.filled.clone();
            rows.instances[i] += Fr::ONE;
            let failures = mock(&rows).unwrap_err();
            assert!(failures.iter().all(|f| constraint(f) == Some((i, "absorb: output"))), "{failures:?}");
            rows.advice[i][5] += Fr::ONE;
            let failures = mock(&rows).unwrap_err();
            assert!(failures.iter().all(|f| matches!(f, VerifyFailure::Permutation { .. })), "{failures:?}");
        }
    }
}

fn row_of(location: &FailureLocation) -> usize {
    match location {
        FailureLocation::InRegion { offset, .. } => *offset,
        FailureLocation::OutsideRegion { row } => *row,
    }
}

/// The gate that a failure of `MockProver` is about, with its row.
fn constraint(failure: &VerifyFailure) -> Option<(usize, &'static str)> {
    let VerifyFailure::ConstraintNotSatisfied { constraint, location, .. } = failure else { return None };
    let text = constraint.to_string();
    let name = NAMES.iter().find(|n| text.contains(&format!("('{n}')")))?;
    Some((row_of(location), name))
}

/// The checks of the protocol that a filled circuit breaks. All gates and all other copies must hold.
fn broken_checks(l: &Layout, rows: &Rows) -> BTreeSet<Check> {
    assert_eq!(broken_gates(rows), []);
    let named = equations(l);
    broken_copies(rows).iter().map(|(a, _)| named[&a.0]).collect()
}

#[test]
fn every_message_is_bound_by_a_named_check() {
    for l in toy_layouts() {
        for i in 0..l.messages.len() {
            let mut messages = l.messages.clone();
            messages[i] += Fr::ONE;
            let run = Run { statement: l.statement, messages: &messages, public: &l.claim.public };
            let rows = settle::circuit(&l.program, l.row_bits, Some(run)).unwrap();
            let broken = broken_checks(l, &rows);
            // The last message is the mask row's value. No equation binds it, the opening does: gamma and the value that the
            // row is opened to are others (attacks/: another_mask_value).
            if i + 1 == l.messages.len() {
                assert_eq!(broken, BTreeSet::new());
                let changed = |k: usize| rows.instances[k] != l.filled.instances[k];
                assert!(changed(instance::GAMMA) && changed(instance::VALUE));
                let same = [instance::STATEMENT, instance::ZETA, instance::PUBLIC].into_iter();
                assert!(same.chain(instance::POINT..rows.instances.len()).all(|k| !changed(k)));
                continue;
            }
            assert!(!broken.is_empty(), "{}, message {i}", l.name);
            // f(x) and W(x) end the protocol.
            if i + 3 >= l.messages.len() {
                assert_eq!(broken, BTreeSet::from([Check::Reduction]));
            }
            // The four values at the root of the tree start it.
            if (1..5).contains(&i) {
                assert!(broken.contains(&Check::LookupSum));
            }
            if i % 16 == 0 {
                let failures = mock(&rows).unwrap_err();
                let named = equations(l);
                let rows: BTreeSet<Check> = failures
                    .iter()
                    .map(|f| match f {
                        VerifyFailure::Permutation { location, .. } => row_of(location),
                        other => panic!("{other}"),
                    })
                    .filter_map(|row| named.get(&row).copied())
                    .collect();
                assert_eq!(rows, broken, "{}, message {i}", l.name);
            }
        }
    }
}

/// Whether a cell is free: no gate reads it, because of the row's constants, and no copy reaches it. Nothing that the circuit
/// computes depends on such a cell.
///
/// - `a1, a2` in rows of sums: only sponge rows read them, and only sponge rows set those of the next row. So they are free
///   where the row before is one of a sum too.
/// - `a3, a4` where their coefficients are zero: `c2` in sponge rows, `c0` and `c1` in sums. In a sum, `a4` counts by the
///   product alone.
/// - `a0` and `a5` are never free: `a0` is the state, or the sum so far, which starts from zero behind every last row; `a5`
///   is a square, an output, a term or a result.
fn free(rows: &Rows, copied: &BTreeSet<Cell>, (at, column): Cell) -> bool {
    let [.., c0, c1, c2] = rows.fixed[at];
    let sum = is_sum(kind(rows, at));
    let absorb = kind(rows, at) == Kind::Absorb;
    match column {
        1 | 2 => sum && is_sum(kind(rows, at - 1)),
        3 | 4 if copied.contains(&(at, column)) => false,
        3 => (sum && c0 == Fr::ZERO && c1 == Fr::ZERO) || (absorb && c2 == Fr::ZERO),
        4 => (sum && c0 == Fr::ZERO) || (absorb && c2 == Fr::ZERO),
        _ => false,
    }
}

#[test]
fn every_cell_that_is_used_is_constrained() {
    for l in layouts() {
        let mut partners: BTreeMap<Cell, Vec<Cell>> = BTreeMap::new();
        for (a, b) in &l.filled.copies {
            assert_ne!(a, b);
            partners.entry(*a).or_default().push(*b);
            partners.entry(*b).or_default().push(*a);
        }
        let copied: BTreeSet<Cell> = partners.keys().copied().collect();
        let mut rows = l.filled.clone();
        let mut seen: BTreeMap<(Kind, usize, bool), usize> = BTreeMap::new();
        for at in 0..rows.fixed.len() {
            for column in 0..ADVICE {
                let old = rows.advice[at][column];
                let mut caught = true;
                // Another value by one, the opposite, and one that a product with zero would hide.
                for new in [old + Fr::ONE, -old - Fr::ONE, old + Fr::from(1u64 << 40)] {
                    rows.advice[at][column] = new;
                    let before = at.checked_sub(1).and_then(|at| broken_gate(&rows, at));
                    let broken = before.or_else(|| broken_gate(&rows, at)).is_some() || copied.contains(&(at, column));
                    caught &= broken;
                }
                rows.advice[at][column] = old;
                let free = free(&rows, &copied, (at, column));
                assert_eq!(caught, !free, "{}: row {at} ({:?}), column {column}", l.name, kind(&rows, at));
                *seen.entry((kind(&rows, at), column, free)).or_default() += 1;
            }
        }
        // Full and partial rounds have no free cell, and no kind has a free a0 or a5.
        assert!(seen.keys().all(|(kind, column, free)| {
            !free || (!matches!(kind, Kind::Full | Kind::Partial) && (1..5).contains(column))
        }));
        let kinds: BTreeSet<Kind> = seen.keys().map(|k| k.0).collect();
        assert_eq!(kinds.len(), 5, "{}: {kinds:?}", l.name);
    }
}

/// Several cells at once: what a prover may change together without being caught reaches nothing.
#[test]
fn chains_of_free_cells_end_before_anything_reads_them() {
    for l in toy_layouts() {
        let count = l.filled.instances.len();
        let mut rows = l.filled.clone();
        // The rows of public inputs hand a0, a1, a2 on; the row behind them drops them.
        for row in &mut rows.advice[..count] {
            row[..3].iter_mut().for_each(|v| *v += Fr::from(5u64));
        }
        rows.advice[count][1] += Fr::from(5u64);
        rows.advice[count][2] += Fr::from(5u64);
        assert_eq!(broken_gates(&rows), [(count - 1, "absorb: next s0")]);
        rows.advice[count][0] += Fr::from(5u64);
        assert_eq!(broken_gates(&rows), [(count, "arithmetic")]);
        rows.advice[count][5] += Fr::from(5u64);
        assert_eq!((broken_gates(&rows), broken_copies(&rows)), (vec![], vec![]));
        // The zero cannot follow.
        let (zero, column) = zero_cell(&rows);
        assert_eq!(zero, count + 1);
        rows.advice[zero][0] += Fr::ONE;
        assert_eq!(broken_gates(&rows), [(count, "arithmetic: end of a sum"), (zero, "arithmetic")]);
        rows.advice[zero][column] += Fr::ONE;
        assert_eq!(broken_gates(&rows), [(count, "arithmetic: end of a sum")]);
    }
}

/// A sponge that starts from another state, or absorbs something where nothing is absorbed.
#[test]
fn the_initial_state_and_absent_inputs_are_fixed() {
    for l in layouts() {
        let rows = &l.filled;
        let zero = zero_cell(rows);
        let start = zero.0 + 1;
        let at_zero = |cell: Cell| rows.copies.contains(&(cell, zero));
        // The tag is a constant; the rate is shown to be zero.
        let tag = assay_verifier::transcript::domain_tag(assay_verifier::transcript::DOMAIN);
        assert_eq!(
            (kind(rows, start), rows.fixed[start][3..].to_vec()),
            (Kind::Continue, vec![Fr::ZERO, Fr::ZERO, tag])
        );
        assert_eq!(rows.fixed[start + 1][3..], [Fr::ONE, Fr::ZERO, Fr::ZERO]);
        assert_eq!(rows.fixed[start + 2][3..], [Fr::ZERO, Fr::ONE, Fr::ZERO]);
        assert!((start..start + 3).all(|at| at_zero((at, 5))));
        assert_eq!(rows.advice[start + 3][..3], [tag, Fr::ZERO, Fr::ZERO]);
        // Every absorbing row reads two cells; each is a message, a public input or the zero.
        let absorbing =
            (start..rows.fixed.len()).filter(|at| kind(rows, *at) == Kind::Absorb && rows.fixed[*at][5] == Fr::ONE);
        let slots: Vec<Cell> = absorbing.flat_map(|at| [(at, 3), (at, 4)]).collect();
        let absent = slots.iter().filter(|c| at_zero(**c)).count();
        let statement = slots.iter().filter(|c| rows.copies.contains(&(**c, (instance::STATEMENT, 5)))).count();
        assert_eq!(statement, 1, "{}", l.name);
        assert_eq!(slots.len() - absent - statement, l.messages.len(), "{}", l.name);
    }
}

fn report(l: &Layout) -> String {
    let (rows, mut digest) = (&l.structure, vec![]);
    for cell in rows.fixed.iter().flatten() {
        digest.extend_from_slice(&fr_to_bytes(cell));
    }
    let fixed = keccak256(&[&digest]);
    digest.clear();
    for ((row, column), (other_row, other_column)) in &rows.copies {
        [row, column, other_row, other_column]
            .iter()
            .for_each(|n| digest.extend_from_slice(&(**n as u64).to_be_bytes()));
    }
    let copies = keccak256(&[&digest]);
    let hex = |d: &[u8]| d[..8].iter().fold(String::new(), |s, b| s + &format!("{b:02x}"));
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    (0..rows.fixed.len()).for_each(|at| *kinds.entry(kind(rows, at)).or_default() += 1);
    let mut out = format!("{}: k {}, row bits {}, {} messages\n", l.name, rows.k(), l.row_bits, l.messages.len());
    let usage = rows.usage;
    let _ = writeln!(
        out,
        "  rows {}: {} public inputs, sponge {}, sums {}",
        rows.fixed.len(),
        rows.instances.len(),
        usage.sponge,
        usage.arithmetic
    );
    let _ = writeln!(out, "  kinds {kinds:?}");
    let _ = writeln!(
        out,
        "  permutations {}, copies {}, equations {}",
        usage.permutations,
        rows.copies.len(),
        equations(l).len()
    );
    let _ = writeln!(out, "  fixed {}, copies {}", hex(&fixed), hex(&copies));
    out
}

/// Another circuit is another key: all keys must be made again.
#[test]
fn circuits_are_pinned() {
    insta::assert_snapshot!(layouts().iter().map(report).collect::<String>());
}

fn lab() -> &'static (Lab, Made) {
    static LAB: OnceLock<(Lab, Made)> = OnceLock::new();
    LAB.get_or_init(|| {
        let (model, inputs) = toy_model();
        let lab = Lab::new(model, Srs::development(13, 7).unwrap(), 3, 3, Visibility::default());
        let made = lab.inference.prove(lab.claim(&inputs));
        (lab, made)
    })
}

/// Halo2's own verifier on the same proofs, public inputs and evaluations: both say the same.
#[test]
fn the_native_check_agrees_with_halo2() {
    let (lab, made) = lab();
    let side = &lab.inference;
    let claim = &made.committed.claim;
    let agree = |argument: &SettledArgument, opening: bool| {
        let halves = side.halves(claim, argument);
        assert_eq!(halves.opening, opening);
        assert_eq!(side.check(claim, argument).is_ok(), halves.halo2 && halves.opening);
        halves.halo2
    };
    assert!(agree(&made.argument, true));
    for i in 0..made.argument.halo2.evaluations.len() {
        let mut argument = made.argument.clone();
        argument.halo2.evaluations[i] += Fr::ONE;
        assert!(!agree(&argument, false), "evaluation {i}");
    }
    // The opening done again after the proof that is changed, so that it is Halo2's half alone that can refuse.
    let again = |argument: &mut SettledArgument| {
        let digest = assay_verifier::settle::check::statement(
            &side.descriptor.id(),
            &claim.context,
            &[],
            &claim.public,
            &argument.rows,
            &argument.mask,
        );
        let mut transcript = side.oracle(digest, &side.instances(claim, argument), &argument.halo2).1.unwrap();
        let (h, beta) = side.combined(&made.committed, &argument.point, argument.gamma);
        argument.beta = beta;
        argument.opening = side.open(&h, beta, &argument.point, &mut transcript);
    };
    let mut same = made.argument.clone();
    again(&mut same);
    assert!(agree(&same, true));
    let mut changed: Vec<SettledArgument> = vec![];
    for i in 0..made.argument.halo2.evaluations.len() {
        let mut a = made.argument.clone();
        a.halo2.evaluations[i] += Fr::ONE;
        changed.push(a);
    }
    let points = |h: &mut assay_verifier::settle::argument::Halo2Proof, i: usize, p: assay_verifier::G1Affine| match i {
        0..6 => h.advice[i] = p,
        6 => h.product = p,
        7 => h.random = p,
        8..12 => h.quotient[i - 8] = p,
        12 => h.w = p,
        _ => h.w_prime = p,
    };
    for i in 0..14 {
        let mut a = made.argument.clone();
        points(&mut a.halo2, i, made.argument.mask);
        changed.push(a);
    }
    for (i, mut argument) in changed.into_iter().enumerate() {
        again(&mut argument);
        assert!(!agree(&argument, true), "change {i}");
    }
}

/// Every public input of a real proof, with the opening done again: the proof is refused, and by Halo2's half.
#[test]
fn a_real_proof_has_every_public_input_bound() {
    let (lab, made) = lab();
    let side = &lab.inference;
    let claim = &made.committed.claim;
    let instances = side.instances(claim, &made.argument);
    assert_eq!(instances, made.talk.filled.instances);
    assert!(side.oracle(made.committed.digest, &instances, &made.argument.halo2).0);
    for i in 0..instances.len() {
        let mut other = instances.clone();
        other[i] += Fr::ONE;
        assert!(!side.oracle(made.committed.digest, &other, &made.argument.halo2).0, "input {i}");
        // A proof made for the changed public inputs, cell adapted or not, proves nothing either.
        for adapt in [false, true] {
            let mut filled = made.talk.filled.clone();
            filled.instances[i] += Fr::ONE;
            if adapt {
                filled.advice[i][5] += Fr::ONE;
            }
            let argument =
                side.conclude(&made.committed, &filled, |point, gamma, _| side.combined(&made.committed, point, gamma));
            assert!(!side.oracle(made.committed.digest, &filled.instances, &argument.halo2).0, "input {i}");
            assert_eq!(side.check(claim, &argument), Err(SettleError::Pairing), "input {i}");
            assert!(!side.halves(claim, &argument).halo2);
        }
    }
    assert_eq!(side.halves(claim, &made.argument), Halves { halo2: true, opening: true });
}

/// What is recorded of a circuit is bounded by the size that a key claims, and a true claim is within the bound by far.
#[test]
fn what_is_recorded_is_bounded_by_the_claimed_size() {
    for l in layouts() {
        let k = l.structure.k() as usize;
        let rows = settle::circuit_of_size(&l.program, l.row_bits, k).unwrap();
        assert_eq!((rows.fixed, rows.copies), (l.structure.fixed.clone(), l.structure.copies.clone()), "{}", l.name);
        for other in (1..=28).filter(|o| *o != k) {
            let e = settle::circuit_of_size(&l.program, l.row_bits, other).unwrap_err();
            assert!(matches!(e, ProtocolError::CircuitSize { .. } | ProtocolError::Layout(_)), "{}: {e}", l.name);
        }
        // The bound is loose enough for other graphs than these.
        let channel = TapeChannel::structure().unwrap();
        let operations = operations(channel, &l.program, l.row_bits).unwrap();
        println!("{}: {} operations, {} rows", l.name, operations, l.structure.fixed.len());
        assert!(operations < 6 * l.structure.fixed.len(), "{}", l.name);
    }
    // A graph of a few bytes whose verifier takes millions of operations, in a circuit that is said to be small.
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1 << 18], 4).unwrap();
    let graph = g.finish(vec![x], vec![x]).unwrap();
    assert!(graph.to_bytes().unwrap().len() < 64);
    let program = Program::inference(&graph, 1, Visibility::default()).unwrap();
    for k in [11, 13] {
        settle::circuit_of_size(&program, 14, k).unwrap_err();
        let limit = 24 << k;
        let channel = TapeChannel::structure().unwrap().limited(limit);
        let full = operations(channel, &program, 14);
        assert_eq!(full, Err(limit), "k = {k}");
    }
    settle::check_claimed_size(&program, 14, 28).unwrap_err();
}

/// Operations of a run, or their number where it ended for being too many.
fn operations(mut channel: TapeChannel<'_>, program: &Program, row_bits: usize) -> Result<usize, usize> {
    let statement = channel.instance(0, Fr::ZERO);
    let end = protocol::verify(&mut channel, program, row_bits, Mode::Hiding, &statement).map(|_| ());
    let end = end.and_then(|()| channel.within_limit());
    let n = channel.finish().0.operations.len();
    end.map(|()| n).map_err(|_| n)
}
