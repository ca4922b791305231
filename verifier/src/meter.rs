//! The meter: runs the verifier on shapes alone and counts what a proof will cost (feeds `estimate`).

use crate::{
    channel::{Channel, Check, ProtocolError},
    curve::{FIELD_BYTES, G1_BYTES},
    opening::OpeningProof,
    protocol::{self, Mode, padded_bits},
    transcript::RATE,
};
use assay_circuits::{
    Program, Ring,
    program::{MODEL, NAMED, WITNESS},
};
use core::{
    cell::Cell,
    ops::{Add, Mul, Sub},
};

/// What the verifier of one layout does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Messages received.
    pub messages: usize,
    /// Challenges drawn.
    pub challenges: usize,
    /// Poseidon permutations.
    pub permutations: usize,
    /// Multiplications of ring elements, those with constants included.
    pub multiplications: u64,
    /// Sums and differences of ring elements.
    pub additions: u64,
    /// Inversions.
    pub inversions: usize,
    /// Row commitments in the proof.
    pub witness_rows: usize,
    /// Row commitments in the key.
    pub model_rows: usize,
    /// Bytes of a proof file without its header and public values.
    pub argument_bytes: usize,
}

thread_local! {
    static MULTIPLICATIONS: Cell<u64> = const { Cell::new(0) };
    static ADDITIONS: Cell<u64> = const { Cell::new(0) };
}

fn count(counter: &'static std::thread::LocalKey<Cell<u64>>) -> Counted {
    counter.with(|c| c.set(c.get().saturating_add(1)));
    Counted
}

/// An element that only counts.
#[derive(Clone, Copy, Debug)]
pub struct Counted;

impl Add for Counted {
    type Output = Self;
    fn add(self, _: Self) -> Self {
        count(&ADDITIONS)
    }
}

impl Sub for Counted {
    type Output = Self;
    fn sub(self, _: Self) -> Self {
        count(&ADDITIONS)
    }
}

impl Mul for Counted {
    type Output = Self;
    fn mul(self, _: Self) -> Self {
        count(&MULTIPLICATIONS)
    }
}

impl Ring for Counted {
    fn from_i128(_: i128) -> Self {
        Self
    }

    fn pow2(_: i32) -> Self {
        Self
    }
}

/// One step of the transcript, for the committed inventory of the Fiat-Shamir order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Absorbed, known to both.
    Observe(&'static str),
    /// Absorbed, sent by the prover.
    Receive(&'static str),
    /// Drawn.
    Challenge(&'static str),
    /// Checked.
    Check(Check),
}

/// The counting interpreter.
#[derive(Debug, Default)]
pub struct MeterChannel {
    /// What happened, in order.
    pub steps: Vec<Step>,
    pending: usize,
    available: usize,
    cost: Cost,
}

impl MeterChannel {
    fn absorb(&mut self) {
        self.available = 0;
        if self.pending == RATE {
            self.cost.permutations += 1;
            self.pending = 0;
        }
        self.pending += 1;
    }
}

impl Channel for MeterChannel {
    type Elem = Counted;

    fn observe(&mut self, label: &'static str, _: &Counted) -> Result<(), ProtocolError> {
        self.steps.push(Step::Observe(label));
        self.absorb();
        Ok(())
    }

    fn receive(&mut self, label: &'static str) -> Result<Counted, ProtocolError> {
        self.steps.push(Step::Receive(label));
        self.cost.messages += 1;
        self.absorb();
        Ok(Counted)
    }

    fn challenge(&mut self, label: &'static str) -> Result<Counted, ProtocolError> {
        self.steps.push(Step::Challenge(label));
        self.cost.challenges += 1;
        if self.pending > 0 || self.available == 0 {
            self.cost.permutations += 1;
            self.pending = 0;
            self.available = RATE;
        }
        self.available -= 1;
        Ok(Counted)
    }

    fn public(&mut self, _: &Counted) -> Result<Counted, ProtocolError> {
        Ok(Counted)
    }

    fn invert(&mut self, _: &'static str, _: &Counted) -> Result<Counted, ProtocolError> {
        self.cost.inversions += 1;
        Ok(Counted)
    }

    fn assert_zero(&mut self, check: Check, _: Counted) -> Result<(), ProtocolError> {
        self.steps.push(Step::Check(check));
        Ok(())
    }
}

/// Counts the verifier's work for a layout, and lists its transcript.
pub fn measure(program: &Program, row_bits: usize, mode: Mode) -> Result<(Cost, Vec<Step>), ProtocolError> {
    let mut channel = MeterChannel::default();
    MULTIPLICATIONS.with(|m| m.set(0));
    ADDITIONS.with(|a| a.set(0));
    protocol::verify(&mut channel, program, row_bits, mode, &Counted)?;
    let rows = |bits: usize| 1usize << (padded_bits(bits, row_bits) - row_bits).min(40);
    let mut cost = channel.cost;
    cost.multiplications = MULTIPLICATIONS.with(Cell::get);
    cost.additions = ADDITIONS.with(Cell::get);
    // Rows of named stacks come with the proof, as the witness' rows do.
    let named = program.stacks.get(NAMED..).unwrap_or(&[]);
    cost.witness_rows = rows(program.stack_bits(WITNESS)) + named.iter().map(|s| rows(s.bits)).sum::<usize>();
    cost.model_rows = rows(program.stack_bits(MODEL));
    // The opening is of one variable more, and the proof holds counts and the tail.
    let (variables, given) =
        if named.is_empty() { (row_bits, 0) } else { (row_bits + 1, 4 + 4 * named.len() + FIELD_BYTES) };
    let opening = OpeningProof::byte_len(variables);
    cost.argument_bytes = 9 + cost.witness_rows * G1_BYTES + given + cost.messages * FIELD_BYTES + opening;
    Ok((cost, channel.steps))
}
