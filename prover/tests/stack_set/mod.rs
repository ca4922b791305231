//! Graphs, schemas and keys of settled proofs about named stacks, for tests and for the vectors that they are tested on.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use crate::support::{Lcg, model};
use assay_circuits::{
    Graph, GraphBuilder, Op, Table, Tensor, Visibility,
    model::Model,
    ops::Contraction,
    stack::{NamedStack, Role, Schema, SchemaTensor},
};
use assay_prover::{
    Blinding, ProvingKey, Recorder, SetupOptions, Stack,
    device::Cpu,
    prove_linked,
    settle::{
        Optimize, SettleFailure, Settled, SettledStack, SettlementOptions, SettlementProver, settle_linked,
        setup_settlement,
    },
    setup_linked,
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::{
    CoreProof,
    settle::key::{Context, SettledProof, SettlementKey},
};
use std::sync::OnceLock;

pub fn srs() -> &'static Srs {
    static SRS: OnceLock<Srs> = OnceLock::new();
    SRS.get_or_init(|| Srs::development(15, DEVELOPMENT_SEED).unwrap())
}

pub fn schema(tensors: &[(&str, &[usize], u32)]) -> Schema {
    let tensor = |(name, shape, bits): &(&str, &[usize], u32)| SchemaTensor {
        name: (*name).to_owned(),
        shape: shape.to_vec(),
        bits: *bits,
    };
    Schema::new(8, tensors.iter().map(tensor).collect()).unwrap()
}

pub fn named(name: &str, schema: &Schema, roles: &[Option<Role>]) -> NamedStack {
    NamedStack { name: name.to_owned(), schema: schema.clone(), roles: roles.to_vec() }
}

pub fn given(named: NamedStack) -> SettledStack {
    SettledStack { named, pinned: None }
}

/// 12 values in, 20 features of 8 bits out.
pub fn features() -> Graph {
    let mut g = GraphBuilder::new(6);
    let x = g.input("x", &[1, 12], 8).unwrap();
    let w = g.weight("w", &[12, 20], 6).unwrap();
    let h = g.push("fc", Op::Contraction(Contraction::matmul(&[], 1, 12, 20)), &[x, w]).unwrap();
    let y = g.lookup("act", h, 8, Table::tabulate("clamp", -128, 8, |t| t as i32)).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// 20 features in, 3 scores out.
pub fn classes() -> Graph {
    let mut g = GraphBuilder::new(6);
    let x = g.input("features", &[1, 20], 8).unwrap();
    let w = g.weight("w", &[20, 3], 6).unwrap();
    let y = g.push("scores", Op::Contraction(Contraction::matmul(&[], 1, 20, 3)), &[x, w]).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

pub fn options(stacks: Vec<SettledStack>, batch: u32) -> SettlementOptions {
    let visibility = Visibility { inputs: true, ..Default::default() };
    SettlementOptions { visibility, batch, row_bits: None, optimize: Optimize::Gas, stacks, secret: [7; 32] }
}

pub fn key(model: &Model, stacks: Vec<SettledStack>, batch: u32) -> SettlementProver {
    setup_settlement(&Cpu::default(), model, srs(), &options(stacks, batch), &Recorder::default()).unwrap()
}

pub fn commit(schema: &Schema, values: Vec<Tensor>, blinding: Blinding) -> Stack {
    Stack::commit(&Cpu::default(), schema, values, srs(), blinding).unwrap()
}

pub fn run_for(
    p: &SettlementProver,
    inputs: &[Vec<Tensor>],
    stacks: Vec<Option<Stack>>,
    context: Context,
) -> Result<Settled, SettleFailure> {
    settle_linked(&Cpu::default(), p, inputs, stacks, context, &Recorder::default())
}

/// The sum of 1,024 values of 8 bits.
pub fn sums() -> Graph {
    let mut g = GraphBuilder::new(6);
    let x = g.input("x", &[1, 1024], 8).unwrap();
    let w = g.weight("w", &[1024, 1], 2).unwrap();
    let y = g.push("sum", Op::Contraction(Contraction::matmul(&[], 1, 1024, 1)), &[x, w]).unwrap();
    g.finish(vec![x], vec![y]).unwrap()
}

/// One input of a graph, in a stack of rows of `2^row_bits`.
pub fn input_stack(shape: &[usize], bits: u32, row_bits: u8) -> NamedStack {
    let tensor = SchemaTensor { name: "x".to_owned(), shape: shape.to_vec(), bits };
    named("input", &Schema::new(row_bits, vec![tensor]).unwrap(), &[Some(Role::Input(0))])
}

/// A key of [`sums`] whose input is given.
pub fn sums_key(row_bits: u8) -> (Model, SettlementProver) {
    let m = model(sums(), 6);
    let p = key(&m, vec![given(input_stack(&[1, 1024], 8, row_bits))], 1);
    (m, p)
}

/// The stack of features that [`classes`] reads.
fn read_by_classes() -> (NamedStack, Stack) {
    let schema = schema(&[("features", &[1, 20], 8)]);
    let stack = commit(&schema, vec![Lcg(3).tensor(&[1, 20], 8)], Blinding::Random);
    (named("features", &schema, &[Some(Role::Input(0))]), stack)
}

/// A key of [`classes`] whose features lie in a stack, and a core proof under it.
pub fn core_proof() -> (ProvingKey, CoreProof) {
    let (named, stack) = read_by_classes();
    let options = SetupOptions { visibility: Visibility { inputs: true, ..Default::default() }, row_bits: None };
    let (device, recorder) = (Cpu::default(), Recorder::default());
    let key = setup_linked(&device, &model(classes(), 2), &[named], 1, srs(), options, &recorder).unwrap();
    let proof = prove_linked(&device, &key, &[vec![]], vec![Some(stack)], &recorder).unwrap().proved.proof;
    (key, proof)
}

/// The same, settled.
pub fn settled_proof(context: Context) -> (SettlementKey, SettledProof) {
    let (named, stack) = read_by_classes();
    let prover = key(&model(classes(), 2), vec![given(named)], 1);
    let proof = run_for(&prover, &[vec![]], vec![Some(stack)], context).unwrap().proof;
    (prover.key, proof)
}
