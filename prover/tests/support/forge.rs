//! A second prover, for lies: slow, written from the protocol document rather than from the prover, over field elements
//! throughout. With nothing changed it sends the very messages of the real prover; with a changed witness it follows the
//! protocol as far as a chosen lie carries it.

mod protocol;

use super::key_inputs;
use ark_ec::CurveGroup;
use ark_ff::{AdditiveGroup, Field, PrimeField};
use assay_circuits::{
    Node, NodeId, Op, Program, Ring, Tensor,
    eval::eval,
    ops::OpClass,
    program::{BlockValues, Content, Segment, Source, VectorLookup, WITNESS, side_of},
    relation::{self, RelationError},
    ring::index_bits,
};
use assay_prover::{
    ProvingKey,
    msm::msm,
    witness::{Witness, model_stack},
};
use assay_verifier::{
    CoreProof, Fr, G1Affine, VerifyError, VerifyingKey,
    core::{Kind, statement_digest, verify},
    protocol::padded_bits,
};
use std::collections::HashMap;

/// For every index the row of the table that it names, counted through the common axes.
pub fn row_places(v: &VectorLookup, index: &Tensor) -> Vec<Option<usize>> {
    let n = *v.rows_shape.last().unwrap();
    let inner: usize = v.index_shape[v.leading..].iter().product();
    let row = |(k, i): (usize, &i64)| usize::try_from(*i).ok().filter(|i| *i < n).map(|i| k / inner * n + i);
    index.data.iter().enumerate().map(row).collect()
}

/// How far a prover of a false statement adapts its messages so that check after check still passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Not at all: true messages about false contents.
    Truth,
    /// Lookups without a row pretend to hit the first row of their block.
    Leaves,
    /// True leaves; the children of layers 0 up to this one are chosen so that those layers' checks pass.
    Tree(usize),
    /// `Leaves`, and the bilinear sum that makes the linear claim true.
    Sum,
    /// `Sum`, and the first operand that makes the bilinear check pass.
    Operand,
    /// `Leaves`, and the `f(x)` that makes the reduction's check pass.
    Witness,
    /// `Leaves`, and the `W(x)` that makes the reduction's check pass.
    Model,
    /// `Witness`, and an opening of another row that has the claimed value.
    Opening,
    /// `Leaves`, for a verifier that absorbs `h(inf)` after it has drawn the round's challenge: the first round of the
    /// reduction makes up for what the claim lacks.
    LateRound,
    /// `Leaves`, for a verifier that absorbs `lhs` and `rhs` after it has drawn `rho`.
    LateOperands,
    /// `Leaves`, for a verifier that absorbs `f(x)` and `W(x)` after it has drawn `gamma`.
    LateStacks,
    /// For a verifier whose challenge of this label is always [`GUESS`]: messages that are right for that value alone.
    Guess(&'static str),
}

/// What a predictable challenge is.
pub const GUESS: u64 = 2;

/// A statement, a witness and the lie to tell about them.
#[derive(Clone)]
pub struct Forge {
    pub program: Program,
    pub kind: Kind,
    pub key_digest: [u8; 32],
    pub batch: u32,
    pub public: Vec<Vec<i64>>,
    pub row_bits: usize,
    pub bases: Vec<G1Affine>,
    /// The rows that the key commits to.
    pub model_rows: Vec<G1Affine>,
    /// Real entries of every committed tensor.
    pub contents: Vec<Vec<i64>>,
    /// Cells of the stacks (stack, index, added value) beyond what `contents` says: padding, or values that are no integers.
    pub cells: Vec<(usize, usize, Fr)>,
    pub lie: Lie,
    /// Added to the multiplicity of the first row of the first block.
    pub bonus: Fr,
    /// The digest that challenges are drawn from, where it is not the statement's.
    pub stale: Option<[u8; 32]>,
    /// Whether the verifier is the flawed one for which a guess is right.
    pub predictable: bool,
    /// False values of nodes that are not committed, by index; what follows is computed from them.
    pub claimed: HashMap<usize, Tensor>,
}

/// Places of a tensor's entries in its stack, row-major.
pub fn places(program: &Program, tensor: usize) -> Vec<usize> {
    let t = &program.tensors[tensor];
    padded_places(&t.shape).into_iter().map(|p| t.offset + p).collect()
}

/// Places of entries within a block padded per axis, row-major.
fn padded_places(shape: &[usize]) -> Vec<usize> {
    shape.iter().fold(vec![0], |places, d| {
        places.iter().flat_map(|p| (0..*d).map(move |i| (p << index_bits(*d)) + i)).collect()
    })
}

fn fr(v: i64) -> Fr {
    Fr::from_i128(i128::from(v))
}

/// The rows of a block: their keys count up from the first.
struct Rows {
    first: Fr,
    values: Vec<i64>,
}

impl Rows {
    /// The row with this key, if it has this value.
    fn find(&self, key: Fr, value: i64) -> Option<usize> {
        let [row, above @ ..] = (key - self.first).into_bigint().0;
        let row = usize::try_from(row).ok().filter(|_| above == [0; 3])?;
        (self.values.get(row) == Some(&value)).then_some(row)
    }
}

/// The true leaves, or those of the lie.
struct Leaves {
    p: Vec<Fr>,
    q: Vec<Fr>,
}

impl Forge {
    /// The honest prover's statement and witness.
    pub fn inference(key: &ProvingKey, inputs: &[Vec<Tensor>]) -> Self {
        let program = key.verifying.program(inputs.len()).unwrap();
        let values = eval(&program.graph, &key.weights, &key_inputs(&program, inputs)).unwrap();
        let witness = Witness::build(&program, &values).unwrap();
        let public = program
            .public
            .iter()
            .map(|p| match p.source {
                Source::Node(id) => values.of(id).data.clone(),
                Source::Tensor(_) | Source::Product(..) => unreachable!(),
            })
            .collect();
        Self::new(key, program, Kind::Inference, inputs.len(), public, &witness.stack)
    }

    /// The registration of the key's model.
    pub fn registration(key: &ProvingKey) -> Self {
        let program = Program::registration(&key.verifying.graph).unwrap();
        let public = program.registration_public();
        let stack = vec![0; 1 << program.stack_bits(WITNESS)];
        let mut forge = Self::new(key, program, Kind::Registration, 1, public, &stack);
        forge.recount();
        forge
    }

    fn new(
        key: &ProvingKey,
        program: Program,
        kind: Kind,
        batch: usize,
        public: Vec<Vec<i64>>,
        witness: &[i32],
    ) -> Self {
        let model = model_stack(&program, &key.weights).unwrap();
        let contents = program
            .tensors
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let stack = if t.stack == WITNESS { witness } else { &model };
                places(&program, i).into_iter().map(|p| i64::from(stack[p])).collect()
            })
            .collect();
        Self {
            program,
            kind,
            key_digest: key.digest,
            batch: batch as u32,
            public,
            row_bits: key.verifying.row_bits,
            bases: key.bases.clone(),
            model_rows: key.verifying.rows.clone(),
            contents,
            cells: vec![],
            lie: Lie::Truth,
            bonus: Fr::ZERO,
            stale: None,
            predictable: false,
            claimed: HashMap::new(),
        }
    }

    /// The same forger with another lie, which may need other multiplicities.
    pub fn with(&self, lie: Lie) -> Self {
        let mut other = Self { lie, ..self.clone() };
        other.recount();
        other
    }

    /// Recomputes, from the inputs on, the outputs of all lookups with their remainders and clamps, but for the tensors in
    /// `kept`; then multiplicities and public values.
    pub fn rederive(&mut self, kept: &[usize]) {
        let graph = self.program.graph.clone();
        // Through a recurrence, each pass gets one step further.
        let steps = graph.nodes().iter().map(|n| if let Op::Delay(d) = &n.op { d.len } else { 1 });
        let passes = steps.max().unwrap_or(1);
        for (i, node) in (0..passes).flat_map(|_| graph.nodes().iter().enumerate()) {
            if matches!(node.op, Op::Divide(_) | Op::Root(_)) {
                self.rederive_advice(i, kept);
            }
            if matches!(node.op, Op::Gather(_)) {
                self.rederive_rows(i, kept);
            }
            let Op::Lookup(op) = &node.op else { continue };
            let table = op.table(graph.tables()).unwrap();
            let input = self.values()[node.inputs[0].0].clone().unwrap();
            let half = if op.shift == 0 { 0 } else { 1 << (op.shift - 1) };
            for (t, tensor) in self.program.tensors.iter().enumerate().filter(|(t, _)| !kept.contains(t)) {
                let high = |v: i64| (op.key(v) - table.key_min) >> table.key_bits();
                let new = |v: i64| match tensor.content {
                    Content::Node(id) if id.0 == i => Some(i64::from(table.get(op.key(v)))),
                    Content::Remainder { node, low, bits } if node.0 == i => {
                        Some(((v + half) >> low) & ((1 << bits) - 1))
                    }
                    Content::High(id) if id.0 == i => Some(high(v)),
                    Content::Side(id) if id.0 == i => Some(i64::from(side_of(high(v)))),
                    _ => None,
                };
                if let Some(entries) = input.data.iter().map(|v| new(*v)).collect() {
                    self.contents[t] = entries;
                }
            }
        }
        let values = self.values();
        for (p, v) in self.program.public.iter().zip(&mut self.public) {
            if let Source::Node(id) = p.source {
                *v = values[id.0].as_ref().unwrap().data.clone();
            }
        }
        self.recount();
    }

    /// The quotient or root of a node, then the limbs of its range checks, but for the tensors in `kept`.
    fn rederive_advice(&mut self, node: usize, kept: &[usize]) {
        let graph = self.program.graph.clone();
        let n = graph.node(NodeId(node));
        let values = self.values();
        let inputs: Vec<&Tensor> = n.inputs.iter().map(|i| values[i.0].as_ref().unwrap()).collect();
        let out = self.program.node_tensor[node].unwrap();
        if !kept.contains(&out) {
            self.contents[out] = n.op.eval(&inputs, &n.shape, graph.tables()).unwrap().data;
        }
        let output = Tensor::new(n.shape.clone(), self.contents[out].clone()).unwrap();
        let ranges: Vec<_> = n.inputs.iter().map(|i| graph.node(*i).range).collect();
        let checks = n.op.checks(&ranges).unwrap().unwrap();
        for t in (0..self.program.tensors.len()).filter(|t| !kept.contains(t)) {
            if let Content::Limb { node: of, check, low, bits } = self.program.tensors[t].content
                && of.0 == node
            {
                let sums = checks[check].eval(&inputs, &output).unwrap();
                self.contents[t] = sums.into_iter().map(|v| (v >> low) & ((1 << bits) - 1)).collect();
            }
        }
    }

    /// The rows that a gather's index names; those of no row are zeros.
    fn rederive_rows(&mut self, node: usize, kept: &[usize]) {
        let v = self.program.vectors.iter().find(|v| v.node.0 == node).unwrap().clone();
        let values = self.values();
        let (table, index) = (values[v.table.0].as_ref().unwrap(), values[v.index.0].as_ref().unwrap());
        let out = self.program.node_tensor[node].unwrap();
        if !kept.contains(&out) {
            let rows = row_places(&v, index);
            let row = |r: &Option<usize>| {
                r.map_or_else(|| vec![0; v.width()], |r| table.data[r * v.width()..(r + 1) * v.width()].to_vec())
            };
            self.contents[out] = rows.iter().flat_map(row).collect();
        }
    }

    /// The first committed tensor with a content.
    pub fn find(&self, wanted: impl Fn(&Content) -> bool) -> usize {
        self.program.tensors.iter().position(|t| wanted(&t.content)).unwrap()
    }

    /// The committed value of the node with a name.
    pub fn named(&self, name: &str) -> usize {
        // Views that a batch adds have the name of the node that reads them.
        let mut ids =
            (0..self.program.graph.nodes().len()).filter(|i| self.program.graph.node(NodeId(*i)).name == name);
        ids.find_map(|i| self.program.node_tensor[i]).unwrap()
    }

    /// What the naive checker says.
    pub fn relation(&self) -> Result<(), RelationError> {
        relation::check(&self.program, &self.contents, &self.public)
    }

    /// A stack in whole rows.
    pub fn stack(&self, stack: usize) -> Vec<Fr> {
        let mut out = vec![Fr::ZERO; 1 << padded_bits(self.program.stack_bits(stack), self.row_bits)];
        for (i, t) in self.program.tensors.iter().enumerate().filter(|(_, t)| t.stack == stack) {
            assert_eq!(t.shape.iter().product::<usize>(), self.contents[i].len());
            for (place, v) in places(&self.program, i).into_iter().zip(&self.contents[i]) {
                out[place] = fr(*v);
            }
        }
        self.cells.iter().filter(|c| c.0 == stack).for_each(|(_, at, v)| out[*at] += v);
        if stack == WITNESS {
            out[self.program.tensors[self.program.blocks[0].multiplicity].offset] += self.bonus;
        }
        out
    }

    /// Commitments to a stack's rows.
    pub fn commit(&self, stack: &[Fr]) -> Vec<G1Affine> {
        stack.chunks(1 << self.row_bits).map(|r| msm(&self.bases[..r.len()], r).into_affine()).collect()
    }

    /// Values of all nodes that follow from the contents.
    pub fn values(&self) -> Vec<Option<Tensor>> {
        let graph = &self.program.graph;
        // What is committed is known from the start: a delay reads a state that comes later.
        let committed = |(i, node): (usize, &Node)| {
            let t = self.program.node_tensor[i]?;
            Some(Tensor::new(node.shape.clone(), self.contents[t].clone()).unwrap())
        };
        let mut out: Vec<Option<Tensor>> = graph.nodes().iter().enumerate().map(committed).collect();
        for (i, node) in graph.nodes().iter().enumerate() {
            if out[i].is_none() && node.op.class() != OpClass::Committed {
                let inputs: Option<Vec<&Tensor>> = node.inputs.iter().map(|i| out[i.0].as_ref()).collect();
                out[i] = inputs.map(|inputs| node.op.eval(&inputs, &node.shape, graph.tables()).unwrap());
            }
            if let Some(claimed) = self.claimed.get(&i) {
                out[i] = Some(claimed.clone());
            }
        }
        out
    }

    /// The key of every entry of a segment, in the field.
    fn keys(&self, s: &Segment, values: &[Option<Tensor>]) -> Vec<Fr> {
        let n = s.shape.iter().product();
        let mut keys = vec![fr(s.key_constant.0) * <Fr as Ring>::pow2(s.key_constant.1); n];
        for k in &s.key {
            let of = |id: NodeId| &values[id.0].as_ref().unwrap().data;
            let product: Vec<i64>;
            let source = match k.source {
                Source::Node(id) => of(id),
                Source::Tensor(t) => &self.contents[t],
                Source::Product(a, b) => {
                    product = of(a).iter().zip(of(b)).map(|(a, b)| a * b).collect();
                    &product
                }
            };
            let c = fr(k.coefficient) * <Fr as Ring>::pow2(k.exponent);
            keys.iter_mut().zip(source).for_each(|(key, v)| *key += c * fr(*v));
        }
        keys
    }

    fn block_values(&self, block: usize) -> Vec<i64> {
        let b = &self.program.blocks[block];
        match b.values {
            BlockValues::Constant(v) => vec![i64::from(v); 1 << b.bits],
            BlockValues::Committed(t) => self.contents[t].clone(),
        }
    }

    /// The tag and the rows of every block.
    fn rows(&self) -> Vec<(i128, Rows)> {
        let blocks = self.program.blocks.iter().enumerate();
        blocks.map(|(k, b)| (i128::from(b.tag), Rows { first: fr(b.key_min), values: self.block_values(k) })).collect()
    }

    /// For every entry of a segment the block and row that its [key](Self::keys) hits, given the [rows](Self::rows) of all blocks.
    fn hits(&self, blocks: &[(i128, Rows)], s: &Segment, keys: &[Fr]) -> Vec<Option<(usize, usize)>> {
        let at = |t: Option<usize>, i: usize| t.map_or(0, |t| self.contents[t][i]);
        let hit = |(i, key): (usize, &Fr)| {
            if self.lie == Lie::Guess("beta") {
                // Any row of the same fingerprint will do.
                let print = |key: Fr, value: i64, tag: i128| {
                    key + Fr::from(GUESS) * fr(value) + Fr::from(GUESS * GUESS) * Fr::from(tag)
                };
                let tag = i128::from(self.program.blocks[s.block].tag) + i128::from(at(s.side, i));
                let wanted = print(*key, at(s.value, i), tag);
                return blocks.iter().enumerate().find_map(|(b, (tag, rows))| {
                    let first = rows.first;
                    let mut rows = rows.values.iter().enumerate();
                    let row = rows.find(|(r, v)| print(first + Fr::from(*r as u64), **v, *tag) == wanted)?;
                    Some((b, row.0))
                });
            }
            let tag = i128::from(self.program.blocks[s.block].tag) + i128::from(at(s.side, i));
            let block = blocks.iter().position(|b| b.0 == tag)?;
            Some((block, blocks[block].1.find(*key, at(s.value, i))?))
        };
        keys.iter().enumerate().map(hit).collect()
    }

    /// Sets every multiplicity to the number of lookups of its row; lookups without a row count for the first row of
    /// their block if the lie says so.
    pub fn recount(&mut self) {
        let values = self.values();
        let rows = self.rows();
        let mut counts: Vec<Vec<i64>> = self.program.blocks.iter().map(|b| vec![0; 1 << b.bits]).collect();
        for s in &self.program.segments {
            for hit in self.hits(&rows, s, &self.keys(s, &values)) {
                match hit {
                    Some((block, row)) => counts[block][row] += 1,
                    None if self.pretends() => counts[s.block][0] += 1,
                    None => {}
                }
            }
        }
        for (b, c) in self.program.blocks.iter().zip(counts) {
            self.contents[b.multiplicity] = c;
        }
        for v in self.program.vectors.clone() {
            let mut counts = vec![0; self.contents[v.counts].len()];
            for hit in self.row_hits(&v, &values) {
                match hit {
                    Some(row) => counts[row] += 1,
                    None if self.pretends() => counts[0] += 1,
                    None => {}
                }
            }
            self.contents[v.counts] = counts;
        }
    }

    /// For every index the row of the table that is equal in all that enters a fingerprint.
    fn row_hits(&self, v: &VectorLookup, values: &[Option<Tensor>]) -> Vec<Option<usize>> {
        let of = |id: NodeId| &values[id.0].as_ref().unwrap().data;
        let width = v.width();
        let rows = row_places(v, values[v.index.0].as_ref().unwrap());
        let same = |(k, row): (usize, Option<usize>)| {
            row.filter(|r| of(v.table)[r * width..(r + 1) * width] == of(v.node)[k * width..(k + 1) * width])
        };
        rows.into_iter().enumerate().map(same).collect()
    }

    /// Fractions of a vector lookup.
    fn row_leaves(&self, v: &VectorLookup, alpha: Fr, beta: Fr, values: &[Option<Tensor>], out: &mut Leaves) {
        let of = |id: NodeId| &values[id.0].as_ref().unwrap().data;
        let common: usize = v.rows_shape[..v.leading].iter().product();
        let width = v.width();
        let print = |key: i64, place: usize, row: &[i64]| {
            let tag = fr(v.tag as i64 + place as i64);
            let mut power = beta * beta * beta;
            let mut sum = fr(key) + beta * beta * tag;
            for x in row {
                sum += power * fr(*x);
                power *= beta;
            }
            alpha - sum
        };
        let n = of(v.table).len() / width / common;
        let row = |data: &'_ [i64], k: usize| data[k * width..(k + 1) * width].to_vec();
        let hits = self.row_hits(v, values);
        let inner = of(v.index).len() / common;
        for (k, place) in padded_places(&v.index_shape).into_iter().enumerate() {
            out.p[v.index_leaf + place] = Fr::ONE;
            out.q[v.index_leaf + place] = if hits[k].is_none() && self.pretends() {
                print(0, 0, &row(of(v.table), 0))
            } else {
                print(of(v.index)[k], k / inner, &row(of(v.node), k))
            };
        }
        for (k, place) in padded_places(&v.rows_shape).into_iter().enumerate() {
            out.p[v.rows_leaf + place] = -fr(self.contents[v.counts][k]);
            out.q[v.rows_leaf + place] = print((k % n) as i64, k / n, &row(of(v.table), k));
        }
    }

    fn pretends(&self) -> bool {
        !matches!(self.lie, Lie::Truth | Lie::Tree(_) | Lie::Guess("beta" | "tau" | "mix" | "lambda" | "zeta"))
    }

    fn leaves(&self, alpha: Fr, beta: Fr) -> Leaves {
        let size = 1 << self.program.leaf_bits;
        let (mut p, mut q) = (vec![Fr::ZERO; size], vec![alpha; size]);
        let (values, rows) = (self.values(), self.rows());
        let square = beta * beta;
        let print = |key: Fr, value: i64, tag: i64| alpha - key - beta * fr(value) - square * fr(tag);
        for s in &self.program.segments {
            let first = &self.program.blocks[s.block];
            let at = |t: Option<usize>, i: usize| t.map_or(0, |t| self.contents[t][i]);
            let keys = self.keys(s, &values);
            let hits = self.hits(&rows, s, &keys);
            for (i, (place, key)) in padded_places(&s.shape).into_iter().zip(keys).enumerate() {
                p[s.leaf + place] = Fr::ONE;
                q[s.leaf + place] = if hits[i].is_none() && self.pretends() {
                    print(fr(first.key_min), rows[s.block].1.values[0], first.tag as i64)
                } else {
                    print(key, at(s.value, i), first.tag as i64 + at(s.side, i))
                };
            }
        }
        for (k, b) in self.program.blocks.iter().enumerate() {
            // Without the value; what comes next has a key that is larger by one.
            let mut rest = print(rows[k].1.first, 0, b.tag as i64);
            for (row, v) in rows[k].1.values.iter().enumerate() {
                p[b.leaf + row] = -fr(self.contents[b.multiplicity][row]);
                q[b.leaf + row] = rest - beta * fr(*v);
                rest -= Fr::ONE;
            }
        }
        let mut leaves = Leaves { p, q };
        for v in &self.program.vectors {
            self.row_leaves(v, alpha, beta, &values, &mut leaves);
        }
        let Leaves { mut p, mut q } = leaves;
        p[self.program.blocks[0].leaf] -= self.bonus;
        if self.lie == Lie::Guess("lambda") {
            // One leaf makes up for the sum, and q + lambda p stays as it is.
            let i = self.program.segments[0].leaf;
            let rest: Fr = (0..size).filter(|k| *k != i).map(|k| p[k] / q[k]).sum();
            let lambda = Fr::from(GUESS);
            let kept = q[i] + lambda * p[i];
            q[i] = kept / (Fr::ONE - lambda * rest);
            p[i] = (kept - q[i]) / lambda;
        }
        Leaves { p, q }
    }

    /// Chooses `bonus` such that the sum of all fractions is zero, for challenges known in advance.
    pub fn balance(&mut self, alpha: Fr, beta: Fr) {
        let Leaves { p, q } = self.leaves(alpha, beta);
        let sum: Fr = p.iter().zip(&q).map(|(p, q)| *p / q).sum();
        self.bonus += sum * q[self.program.blocks[0].leaf];
    }

    /// Digest of the statement with given rows.
    pub fn digest(&self, rows: &[G1Affine]) -> [u8; 32] {
        statement_digest(self.kind, &self.key_digest, self.batch, &self.public, rows, &[0; 32])
    }

    /// The argument as a proof file.
    pub fn prove(&self) -> CoreProof {
        CoreProof {
            key_digest: self.key_digest,
            batch: self.batch,
            public: self.public.clone(),
            argument: self.argue(),
        }
    }

    /// What the verifier says.
    pub fn verdict(&self, key: &VerifyingKey) -> Result<(), VerifyError> {
        verify(key, &self.prove()).map(|_| ())
    }
}
