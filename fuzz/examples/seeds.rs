//! Writes a valid file of every kind to `corpus/`, for the fuzzer to start from: `cargo run --example seeds`.

use assay_circuits::{
    GraphBuilder, Op, Table, Tensor,
    model::{Model, QuantReport, TensorSpec},
    ops::Contraction,
};
use assay_prover::{
    Recorder, SetupOptions,
    device::Cpu,
    prove,
    settle::{canary::setup_canary, settle},
    setup,
    srs::Srs,
};
use assay_verifier::settle::key::Context;
use std::{error::Error, fs, path::Path};

fn model() -> Result<Model, Box<dyn Error>> {
    let mut g = GraphBuilder::new(4);
    let x = g.input("x", &[1, 3], 4)?;
    let w = g.weight("w", &[3, 2], 3)?;
    let h = g.push("product", Op::Contraction(Contraction::matmul(&[], 1, 3, 2)), &[x, w])?;
    let y = g.lookup("y", h, 5, Table::relu(-2, 2, 1))?;
    let graph = g.finish(vec![x], vec![y])?;
    let spec = |name: &str, shape: &[usize]| TensorSpec::uniform(name, shape, 4);
    Ok(Model {
        graph,
        weights: vec![Tensor::new(vec![3, 2], vec![3, -4, 2, 1, -4, 3])?].into(),
        inputs: vec![spec("x", &[1, 3])],
        outputs: vec![spec("y", &[1, 2])],
        report: QuantReport::default(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = model()?;
    let srs = Srs::development(4, 1)?;
    let options = SetupOptions { row_bits: Some(3), ..SetupOptions::default() };
    let recorder = Recorder::default();
    let key = setup(&Cpu::default(), &model, &srs, options, &recorder)?;
    let input = vec![vec![Tensor::new(vec![1, 3], vec![7, -8, 1])?]];
    let proof = prove(&Cpu::default(), &key, &input, &recorder)?.proof;
    let mut powers = Vec::new();
    srs.write(&mut powers)?;
    let file = model.to_bytes()?;
    let payload = file.get(18..file.len() - 32).unwrap_or_default().to_vec();
    let graph = [vec![1], model.graph.to_bytes()?].concat();
    let settling = setup_canary(&Cpu::default(), &Srs::development(12, 1)?, &recorder)?;
    let input = vec![vec![Tensor::new(vec![1, 2], vec![7, -8])?]];
    let context = Context { chain_id: 1, consumer: [2; 20], job: [3; 32], recipient: [4; 20] };
    let settled = settle(&Cpu::default(), &settling, &input, context, &recorder)?.proof;
    let settlement_key = settling.key.to_bytes()?;
    let both = [&u32::try_from(settlement_key.len())?.to_be_bytes()[..], &settlement_key, &settled.to_bytes()].concat();
    let seeds = [
        ("proof", proof.to_bytes()),
        ("key", key.verifying.to_bytes()?),
        ("graph", graph),
        ("model", payload),
        ("srs", powers),
        ("settlement_key", settlement_key),
        ("settled_proof", both),
    ];
    for (target, bytes) in seeds {
        let folder = Path::new("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("seed"), bytes)?;
    }
    Ok(())
}
