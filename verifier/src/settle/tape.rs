//! The Halo2 interpreter of the protocol: it runs the verifier once and writes down what happened (docs/protocol.md#circuit).
//!
//! The tape is a list of ring operations with their values, the order in which elements enter and leave the Poseidon sponge,
//! and the equations. [`super::layout`] turns it into rows. Structure depends on the layout alone, values on the messages,
//! so building a circuit and filling its witness are one run. Operations are shared when they are equal, and constants are folded.

use crate::{
    Fr,
    channel::{Channel, Check, ProtocolError},
    native::public_sum,
    transcript::{RATE, Transcript},
};
use ark_ff::{AdditiveGroup, Field};
use assay_circuits::Ring;
use core::{
    cell::RefCell,
    ops::{Add, Mul, Sub},
};
use std::{collections::HashMap, rc::Rc};

/// An operand: a constant, or an earlier operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A constant, folded into the coefficients of the circuit.
    Constant(Fr),
    /// Index of an operation.
    Node(usize),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A message of the prover: free.
    Message,
    /// An output of the sponge.
    Challenge,
    /// A public input, by its index.
    Instance(usize),
    /// The inverse of an element: free, and tied to it by an equation.
    Inverse(usize),
    /// A sum.
    Add(Operand, Operand),
    /// A difference.
    Sub(Operand, Operand),
    /// A product.
    Mul(Operand, Operand),
}

/// One permutation of the sponge: what is added to the rate before it, and what is drawn after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// At most [`RATE`] operations.
    pub inputs: Vec<usize>,
    /// At most [`RATE`] operations.
    pub outputs: Vec<usize>,
}

/// An equation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equation {
    /// Which check of the protocol.
    pub check: Check,
    /// What must be zero.
    pub value: Operand,
}

/// Everything that one run of the verifier did.
#[derive(Debug, Default)]
pub struct Tape {
    /// The operations.
    pub operations: Vec<Operation>,
    /// Their values.
    pub values: Vec<Fr>,
    /// Permutations, in order.
    pub blocks: Vec<Block>,
    /// Equations.
    pub equations: Vec<Equation>,
    /// Operations that a public input must equal.
    pub exposed: Vec<(usize, Operand)>,
    known: HashMap<Operation, usize>,
    /// Most operations that may be recorded.
    limit: Option<usize>,
    /// Whether there were more.
    full: bool,
}

impl Tape {
    fn value(&self, operand: Operand) -> Fr {
        match operand {
            Operand::Constant(c) => c,
            Operand::Node(i) => self.values.get(i).copied().unwrap_or(Fr::ZERO),
        }
    }

    /// The values of all public inputs.
    pub fn instances(&self) -> Vec<Fr> {
        let inputs = self.operations.iter().zip(&self.values).filter_map(|(o, v)| match o {
            Operation::Instance(i) => Some((*i, *v)),
            _ => None,
        });
        let outputs = self.exposed.iter().map(|(i, e)| (*i, self.value(*e)));
        let mut all: Vec<(usize, Fr)> = inputs.chain(outputs).collect();
        all.sort_by_key(|(i, _)| *i);
        all.into_iter().map(|(_, v)| v).collect()
    }

    fn push(&mut self, operation: Operation, value: Fr) -> usize {
        if self.limit.is_some_and(|limit| self.operations.len() >= limit) {
            // Nothing more is kept; the run ends at its next message.
            self.full = true;
            return 0;
        }
        self.operations.push(operation);
        self.values.push(value);
        self.operations.len().saturating_sub(1)
    }

    /// A deterministic operation: an equal one is not repeated.
    fn derive(&mut self, operation: Operation, value: impl FnOnce(&Self) -> Fr) -> usize {
        if let Some(i) = self.known.get(&operation) {
            return *i;
        }
        let value = value(self);
        let i = self.push(operation, value);
        if !self.full {
            self.known.insert(operation, i);
        }
        i
    }
}

/// An element as the tape sees it.
#[derive(Clone)]
pub struct Elem(Inner);

#[derive(Clone)]
enum Inner {
    Constant(Fr),
    Node(Rc<RefCell<Tape>>, usize),
}

impl core::fmt::Debug for Elem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.operand())
    }
}

impl Elem {
    fn operand(&self) -> Operand {
        match &self.0 {
            Inner::Constant(c) => Operand::Constant(*c),
            Inner::Node(_, i) => Operand::Node(*i),
        }
    }

    /// Whether this is a known constant: a question about the structure, never about a value.
    fn is(&self, constant: Fr) -> bool {
        matches!(&self.0, Inner::Constant(c) if *c == constant)
    }

    fn combine(self, other: Self, operation: impl Fn(Operand, Operand) -> Operation, f: impl Fn(Fr, Fr) -> Fr) -> Self {
        let (a, b) = (self.operand(), other.operand());
        let tape = match (self.0, other.0) {
            (Inner::Constant(x), Inner::Constant(y)) => return Self(Inner::Constant(f(x, y))),
            (Inner::Node(tape, _), _) | (_, Inner::Node(tape, _)) => tape,
        };
        let i = tape.borrow_mut().derive(operation(a, b), |t| f(t.value(a), t.value(b)));
        Self(Inner::Node(tape, i))
    }
}

impl Add for Elem {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        if self.is(Fr::ZERO) {
            return other;
        }
        if other.is(Fr::ZERO) {
            return self;
        }
        self.combine(other, Operation::Add, |x, y| x + y)
    }
}

impl Sub for Elem {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        if other.is(Fr::ZERO) {
            return self;
        }
        self.combine(other, Operation::Sub, |x, y| x - y)
    }
}

impl Mul for Elem {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        if self.is(Fr::ZERO) || other.is(Fr::ONE) {
            return self;
        }
        if other.is(Fr::ZERO) || self.is(Fr::ONE) {
            return other;
        }
        self.combine(other, Operation::Mul, |x, y| x * y)
    }
}

impl Ring for Elem {
    fn from_i128(value: i128) -> Self {
        Self(Inner::Constant(<Fr as Ring>::from_i128(value)))
    }

    fn pow2(exponent: i32) -> Self {
        Self(Inner::Constant(<Fr as Ring>::pow2(exponent)))
    }
}

/// The recording interpreter.
#[derive(Debug)]
pub struct TapeChannel<'a> {
    tape: Rc<RefCell<Tape>>,
    transcript: Transcript,
    messages: Option<core::slice::Iter<'a, Fr>>,
    public: &'a [Vec<i64>],
    pending: Vec<usize>,
    available: usize,
}

/// Index of each public input of the circuit.
pub mod instance {
    /// The statement's digest.
    pub const STATEMENT: usize = 0;
    /// The challenge `zeta` that weighs public values.
    pub const ZETA: usize = 1;
    /// `sum_i zeta^i public_i`.
    pub const PUBLIC: usize = 2;
    /// The challenge `gamma` that combines stacks and mask.
    pub const GAMMA: usize = 3;
    /// The value that the combined row opens to.
    pub const VALUE: usize = 4;
    /// The first coordinate of the point; the others follow.
    pub const POINT: usize = 5;
}

impl<'a> TapeChannel<'a> {
    /// A channel that records a run over the messages of a prover.
    pub fn new(messages: &'a [Fr], public: &'a [Vec<i64>]) -> Result<Self, ProtocolError> {
        Self::start(Some(messages.iter()), public)
    }

    /// A channel that records the structure alone: all messages are zero, and values mean nothing.
    pub fn structure() -> Result<Self, ProtocolError> {
        Self::start(None, &[])
    }

    fn start(messages: Option<core::slice::Iter<'a, Fr>>, public: &'a [Vec<i64>]) -> Result<Self, ProtocolError> {
        Ok(Self {
            tape: Rc::default(),
            transcript: Transcript::new().ok_or(ProtocolError::Layout("Poseidon parameters"))?,
            messages,
            public,
            pending: vec![],
            available: 0,
        })
    }

    /// Records at most so many operations; a run that takes more ends with an error.
    pub fn limited(self, operations: usize) -> Self {
        self.tape.borrow_mut().limit = Some(operations);
        self
    }

    /// An error once the limit is passed.
    pub fn within_limit(&self) -> Result<(), ProtocolError> {
        if self.tape.borrow().full {
            return Err(ProtocolError::Layout("more operations than the claimed circuit can hold"));
        }
        Ok(())
    }

    /// A public input with the given value.
    pub fn instance(&mut self, index: usize, value: Fr) -> Elem {
        let i = self.tape.borrow_mut().derive(Operation::Instance(index), |_| value);
        self.node(i)
    }

    /// Requires a public input to equal an element.
    pub fn expose(&mut self, index: usize, value: &Elem) {
        self.tape.borrow_mut().exposed.push((index, value.operand()));
    }

    /// The record, and the number of messages that were not read.
    pub fn finish(self) -> (Tape, usize) {
        let unread = self.messages.map_or(0, |m| m.len());
        (self.tape.take(), unread)
    }

    fn node(&self, i: usize) -> Elem {
        Elem(Inner::Node(Rc::clone(&self.tape), i))
    }

    fn permute(&mut self) {
        let inputs = core::mem::take(&mut self.pending);
        self.tape.borrow_mut().blocks.push(Block { inputs, outputs: vec![] });
    }

    fn absorb(&mut self, value: &Elem) -> Result<(), ProtocolError> {
        let Inner::Node(tape, i) = &value.0 else {
            return Err(ProtocolError::Layout("a constant in the transcript"));
        };
        // Anything else would get its cell from the sponge and not be tied to what it is computed from.
        if !matches!(tape.borrow().operations.get(*i), Some(Operation::Message | Operation::Instance(_))) {
            return Err(ProtocolError::Layout("a computed element in the transcript"));
        }
        self.available = 0;
        let v = tape.borrow().value(Operand::Node(*i));
        if self.pending.len() == RATE {
            self.permute();
        }
        self.pending.push(*i);
        self.transcript.absorb(v);
        Ok(())
    }
}

impl Channel for TapeChannel<'_> {
    type Elem = Elem;

    fn observe(&mut self, _: &'static str, value: &Elem) -> Result<(), ProtocolError> {
        self.absorb(value)
    }

    fn receive(&mut self, label: &'static str) -> Result<Elem, ProtocolError> {
        self.within_limit()?;
        let value = match &mut self.messages {
            None => Fr::ZERO,
            Some(m) => *m.next().ok_or(ProtocolError::MissingMessage(label))?,
        };
        let i = self.tape.borrow_mut().push(Operation::Message, value);
        let element = self.node(i);
        self.absorb(&element)?;
        Ok(element)
    }

    fn challenge(&mut self, _: &'static str) -> Result<Elem, ProtocolError> {
        self.within_limit()?;
        let value = self.transcript.challenge();
        if !self.pending.is_empty() || self.available == 0 {
            self.permute();
            self.available = RATE;
        }
        self.available = self.available.saturating_sub(1);
        let mut tape = self.tape.borrow_mut();
        let i = tape.push(Operation::Challenge, value);
        if let Some(block) = tape.blocks.last_mut() {
            block.outputs.push(i);
        }
        drop(tape);
        Ok(self.node(i))
    }

    fn public(&mut self, zeta: &Elem) -> Result<Elem, ProtocolError> {
        self.expose(instance::ZETA, zeta);
        let zeta = self.tape.borrow().value(zeta.operand());
        Ok(self.instance(instance::PUBLIC, public_sum(self.public, &zeta)))
    }

    fn invert(&mut self, label: &'static str, value: &Elem) -> Result<Elem, ProtocolError> {
        let Operand::Node(i) = value.operand() else {
            return Err(ProtocolError::Layout("the inverse of a constant"));
        };
        let v = self.tape.borrow().value(Operand::Node(i));
        let inverse = match v.inverse() {
            Some(inverse) => inverse,
            None if self.messages.is_none() => Fr::ZERO,
            None => return Err(ProtocolError::ZeroInverse(label)),
        };
        let i = self.tape.borrow_mut().derive(Operation::Inverse(i), |_| inverse);
        Ok(self.node(i))
    }

    fn assert_zero(&mut self, check: Check, value: Elem) -> Result<(), ProtocolError> {
        let value = value.operand();
        self.tape.borrow_mut().equations.push(Equation { check, value });
        Ok(())
    }
}
