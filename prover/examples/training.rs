//! What proofs of training cost: `cargo run --release -p assay-prover --example training -- [steps] [row bits] [64-32-10|784-128-10]
//! [core|settled]`. Data are made up, as times do not depend on them; every proof is checked.

use assay_circuits::{
    Program, Tensor, Visibility,
    model::Model,
    stack::NamedStack,
    train::{Layer, Loss, Network, Spec, data_schema, weights_schema},
};
use assay_contracts::{Embedded, Verifier};
use assay_prover::{
    Blinding, Recorder, SetupOptions, Stack,
    device::Cpu,
    prove_linked,
    settle::{Optimize, SettledStack, SettlementOptions, needed_power, settle_linked, setup_settlement},
    setup_linked,
    srs::{DEVELOPMENT_SEED, Srs},
};
use assay_verifier::{core::verify, settle::key::Context};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A graph over stacks, and what is proven about it.
struct Case {
    name: &'static str,
    model: Model,
    named: Vec<NamedStack>,
    open: Vec<Tensor>,
    stacks: Vec<Option<Stack>>,
}

fn visibility() -> Visibility {
    Visibility { inputs: true, weights: false, outputs: true }
}

/// Values of so many bits, from a linear congruence.
fn noise(shape: Vec<usize>, bits: u32, seed: u64) -> Result<Tensor> {
    let mut state = seed;
    let n = shape.iter().product();
    let value = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as i64 % (1 << bits) - (1 << (bits - 1))
    };
    Ok(Tensor::new(shape, (0..n).map(value).collect())?)
}

/// Peak memory of this process, in bytes, where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn core(case: &Case, srs: &Srs) -> Result<()> {
    let (device, recorder) = (Cpu::default(), Recorder::default());
    let options = SetupOptions { visibility: visibility(), row_bits: None };
    let start = Instant::now();
    let key = setup_linked(&device, &case.model, &case.named, 1, srs, options, &recorder)?;
    println!("{} core: key {:.2} s", case.name, start.elapsed().as_secs_f64());
    for _ in 0..2 {
        let recorder = Recorder::default();
        let start = Instant::now();
        let made = prove_linked(&device, &key, std::slice::from_ref(&case.open), case.stacks.clone(), &recorder)?;
        let seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        verify(&key.verifying, &made.proved.proof)?;
        println!(
            "{} core: proof {seconds:.2} s, {} bytes, checked in {:.0} ms, peak {} MB",
            case.name,
            made.proved.proof.to_bytes().len(),
            1e3 * start.elapsed().as_secs_f64(),
            peak() >> 20
        );
        let stages = recorder.seconds();
        println!("  {}", stages.iter().map(|(s, t)| format!("{} {t:.2}", s.name())).collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

fn settled(case: &Case, srs: &Srs) -> Result<()> {
    let (device, recorder) = (Cpu::default(), Recorder::default());
    let given = case.named.iter().map(|n| SettledStack { named: n.clone(), pinned: None });
    let options = SettlementOptions {
        visibility: visibility(),
        batch: 1,
        row_bits: None,
        optimize: Optimize::Gas,
        stacks: given.collect(),
        secret: [7; 32],
    };
    let start = Instant::now();
    let prover = setup_settlement(&device, &case.model, srs, &options, &recorder)?;
    let d = prover.key.descriptor.clone();
    println!(
        "{} settled: key {:.2} s; circuit 2^{}, rows of 2^{}: witness {}, model {}, given {:?}; {} public values",
        case.name,
        start.elapsed().as_secs_f64(),
        d.circuit.k,
        d.row_bits,
        d.witness_rows(),
        d.model_rows.len(),
        d.given_rows(),
        d.values()
    );
    let context = Context { chain_id: 31_337, consumer: [1; 20], job: [2; 32], recipient: [3; 20] };
    for _ in 0..2 {
        let recorder = Recorder::default();
        let start = Instant::now();
        let open = std::slice::from_ref(&case.open);
        let made = settle_linked(&device, &prover, open, case.stacks.clone(), context.clone(), &recorder)?;
        let seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        prover.key.verify(&made.proof)?;
        println!(
            "{} settled: proof {seconds:.2} s, argument {} bytes, checked in {:.0} ms, peak {} MB",
            case.name,
            made.proof.argument.len(),
            1e3 * start.elapsed().as_secs_f64(),
            peak() >> 20
        );
        let stages = recorder.seconds();
        println!("  {}", stages.iter().map(|(s, t)| format!("{} {t:.2}", s.name())).collect::<Vec<_>>().join(", "));
        let mut chain = Embedded::new();
        let (verifier, _) = Verifier::deploy(&mut chain, true)?;
        let id = verifier.register(&mut chain, &d.to_bytes())?.model_id;
        let (proof, context) = (&made.proof, made.proof.context.digest());
        if !verifier.verify(&mut chain, id, &proof.public, context, &proof.argument)? {
            return Err("the contract refuses".into());
        }
        let cost = verifier.verify_cost(&mut chain, id, &proof.public, context, &proof.argument)?;
        println!("{} settled: {cost:?}", case.name);
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |k: usize, other: usize| args.get(k).map_or(Ok(other), |a| a.parse::<usize>());
    let (steps, row_bits) = (number(0, 32)?, u8::try_from(number(1, 16)?)?);
    let large = args.iter().any(|a| a == "784-128-10");
    let (sizes, batch_bits, rows) = if large { ([784, 128, 10], 6, 1000) } else { ([64, 32, 10], 5, 360) };
    let [a, b, c] = sizes;
    let dense = |inputs, outputs| Layer::Dense { inputs, outputs };
    let network = Network { input: vec![a], layers: vec![dense(a, b), Layer::Relu, dense(b, c)] };
    let loss = Loss::CrossEntropy;
    let spec = Spec { network, loss, steps, batch_bits, rate_bits: 4, momentum_bits: None, rows, seed: [5; 32] };
    let held_out = 256;
    let (training, evaluation) = (spec.training()?, spec.evaluation(held_out)?);
    let power = |graph, named: &[NamedStack]| -> Result<u32> {
        let program = Program::linked(graph, 1, visibility(), named)?;
        Ok(needed_power(&program, &Program::registration_beside(graph, named)?, usize::from(row_bits))?)
    };
    let powers = [
        power(&training.graph, &training.stacks(row_bits)?)?,
        power(&evaluation.graph, &evaluation.stacks(row_bits)?)?,
        u32::from(row_bits) + 1,
    ];
    let srs = Srs::development(powers.into_iter().max().unwrap_or(20), DEVELOPMENT_SEED)?;
    let commit = |schema, values| Stack::commit(&Cpu::default(), &schema, values, &srs, Blinding::Random);
    let start = Instant::now();
    let weights = |seed| -> Result<Stack> {
        let values = spec.network.weights().into_iter().map(|s| noise(s, 11, seed)).collect::<Result<_>>()?;
        Ok(commit(weights_schema(&spec, row_bits)?, values)?)
    };
    let data = |rows, seed| -> Result<Stack> {
        let values = vec![noise(vec![rows, a], 8, seed)?, noise(vec![rows, c], 8, seed + 1)?];
        Ok(commit(data_schema(&spec, rows, row_bits)?, values)?)
    };
    let (head, trained, dataset, holdout) = (weights(1)?, weights(2)?, data(rows, 3)?, data(held_out, 5)?);
    println!("{steps} steps of {}, {sizes:?}: stacks {:.2} s", spec.batch(), start.elapsed().as_secs_f64());
    let cases = [
        Case {
            name: "training",
            model: training.blank()?,
            named: training.stacks(row_bits)?,
            open: vec![spec.sampler().tensor()],
            stacks: vec![Some(head.clone()), None, Some(dataset)],
        },
        Case {
            name: "evaluation",
            model: evaluation.blank()?,
            named: evaluation.stacks(row_bits)?,
            open: vec![],
            stacks: vec![Some(head), Some(trained), Some(holdout)],
        },
    ];
    for case in &cases {
        if !args.iter().any(|a| a == "settled") {
            core(case, &srs)?;
        }
        if !args.iter().any(|a| a == "core") {
            settled(case, &srs)?;
        }
    }
    Ok(())
}
