//! What proofs of training cost: `cargo run --release -p assay-prover --example training -- [steps] [row bits] [NETWORK]
//! [core|settled] [training]`, the last of which leaves out the evaluation. Networks: those of [`network`]. Data are made up, as times do
//! not depend on them; every proof is checked.

use assay_circuits::{
    Program, Tensor, Visibility,
    model::Model,
    program::WITNESS,
    stack::NamedStack,
    train::{Activation, Layer, Loss, Network, Spec, base_schema, data_schema, weights_schema},
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

/// How much of the witness stack is laid out, beside its padded length, in rows.
fn fill(case: &Case, row_bits: u8) -> Result<(usize, usize)> {
    let p = Program::linked(&case.model.graph, 1, visibility(), &case.named)?;
    Ok((p.stack_filled(WITNESS).div_ceil(1 << row_bits), 1 << p.stack_bits(WITNESS).saturating_sub(row_bits.into())))
}

/// Seconds that all threads of this process have run, where the system tells: what counts where others use the machine too.
fn ran() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // User and system time, the 14th and 15th fields of all, in hundredths.
    fields.iter().skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn core(case: &Case, srs: &Srs) -> Result<()> {
    let (device, recorder) = (Cpu::default(), Recorder::default());
    let options = SetupOptions { visibility: visibility(), row_bits: None };
    let start = Instant::now();
    let key = setup_linked(&device, &case.model, &case.named, 1, srs, options, &recorder)?;
    println!("{} core: key {:.2} s", case.name, start.elapsed().as_secs_f64());
    for _ in 0..2 {
        let recorder = Recorder::default();
        let (start, before) = (Instant::now(), ran());
        let made = prove_linked(&device, &key, std::slice::from_ref(&case.open), case.stacks.clone(), &recorder)?;
        let (seconds, all) = (start.elapsed().as_secs_f64(), ran() - before);
        let start = Instant::now();
        verify(&key.verifying, &made.proved.proof)?;
        println!(
            "{} core: proof {seconds:.2} s ({all:.2} s of all threads), {} bytes, checked in {:.0} ms, peak {} MB",
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
        let (start, before) = (Instant::now(), ran());
        let open = std::slice::from_ref(&case.open);
        let made = settle_linked(&device, &prover, open, case.stacks.clone(), context.clone(), &recorder)?;
        let (seconds, all) = (start.elapsed().as_secs_f64(), ran() - before);
        let start = Instant::now();
        prover.key.verify(&made.proof)?;
        println!(
            "{} settled: proof {seconds:.2} s ({all:.2} s of all threads), argument {} bytes, checked in {:.0} ms, peak {} MB",
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

/// Layers of so many values, with ReLU between them.
fn mlp(sizes: &[usize]) -> Network {
    let mut layers = vec![];
    for pair in sizes.windows(2) {
        layers.extend([Layer::Dense { inputs: pair[0], outputs: pair[1] }, Layer::Relu]);
    }
    layers.pop();
    Network { input: sizes[..1].to_vec(), layers }
}

/// A block of a decoder that stays as it is, with adapters on its four matrices; its output is compared with targets.
fn block(tokens: usize, width: usize, heads: usize, rank: usize) -> Network {
    let norm = || Layer::Fixed { layer: Box::new(Layer::TokenNorm { width, epsilon: 10 }) };
    let adapted = |inputs, outputs| Layer::Adapted { inputs, outputs, rank, scale_bits: 1 };
    let attention =
        vec![norm(), adapted(width, 3 * width), Layer::Attention { heads, width, causal: true }, adapted(width, width)];
    let forward =
        vec![norm(), adapted(width, 4 * width), Layer::Smooth(Activation::GeluTanh), adapted(4 * width, width)];
    let residual = |body| Layer::Residual { body, shortcut: vec![] };
    Network { input: vec![tokens, width], layers: vec![residual(attention), residual(forward), Layer::Flatten] }
}

/// A network by its name, its loss, log2 of its batch, and rows of its data.
fn network(name: &str) -> (Network, Loss, u32, usize) {
    match name {
        "784-128-10" => (mlp(&[784, 128, 10]), Loss::CrossEntropy, 6, 1000),
        // 10.0 million weights, in matrices that fill their cubes.
        "10m" => (mlp(&[784, 2048, 2048, 2048, 10]), Loss::CrossEntropy, 4, 100),
        // 9.9 million weights in cubes of 23 million places.
        "10m-sparse" => (mlp(&[784, 2560, 2560, 512, 10]), Loss::CrossEntropy, 4, 100),
        "block-32" => (block(8, 32, 2, 4), Loss::SquaredError, 2, 64),
        // The shape of a block of GPT-2 small: 7.1 million weights that stay.
        "gpt2" => (block(32, 768, 12, 8), Loss::SquaredError, 2, 16),
        _ => (mlp(&[64, 32, 10]), Loss::CrossEntropy, 5, 360),
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |k: usize, other: usize| args.get(k).map_or(Ok(other), |a| a.parse::<usize>());
    let given = |name: &str| args.iter().any(|a| a == name);
    let (steps, row_bits) = (number(0, 32)?, u8::try_from(number(1, 16)?)?);
    let name = args.get(2).map_or("64-32-10", String::as_str);
    let (network, loss, batch_bits, rows) = network(name);
    let spec = Spec { network, loss, steps, batch_bits, rate_bits: 4, momentum_bits: None, rows, seed: [5; 32] };
    let held_out = rows.min(256);
    let (training, evaluation) = (spec.training()?, spec.evaluation(held_out)?);
    let power = |graph, named: &[NamedStack]| -> Result<u32> {
        let program = Program::linked(graph, 1, visibility(), named)?;
        Ok(needed_power(&program, &Program::registration_beside(graph, named)?, usize::from(row_bits))?)
    };
    let mut powers = u32::from(row_bits) + 1;
    if !given("core") {
        powers = powers.max(power(&training.graph, &training.stacks(row_bits)?)?);
        powers = powers.max(power(&evaluation.graph, &evaluation.stacks(row_bits)?)?);
    }
    let srs = Srs::development(powers, DEVELOPMENT_SEED)?;
    let commit = |schema, values| Stack::commit(&Cpu::default(), &schema, values, &srs, Blinding::Random);
    let start = Instant::now();
    let weights = |seed| -> Result<Stack> {
        let values = spec.network.weights().into_iter().map(|s| noise(s, 11, seed)).collect::<Result<_>>()?;
        Ok(commit(weights_schema(&spec, row_bits)?, values)?)
    };
    let data = |rows, seed| -> Result<Stack> {
        let input = [&[rows], &spec.network.input[..]].concat();
        let values = vec![noise(input, 8, seed)?, noise(vec![rows, spec.outputs()?], 8, seed + 1)?];
        Ok(commit(data_schema(&spec, rows, row_bits)?, values)?)
    };
    let base = match base_schema(&spec, row_bits)? {
        Some(schema) => {
            let values = spec.network.base().into_iter().map(|s| noise(s, 9, 7)).collect::<Result<_>>()?;
            Some(commit(schema, values)?)
        }
        None => None,
    };
    let (head, trained, dataset, holdout) = (weights(1)?, weights(2)?, data(rows, 3)?, data(held_out, 5)?);
    let weights: usize = spec.network.weights().iter().map(|s| s.iter().product::<usize>()).sum();
    println!(
        "{name}: {steps} steps of {}, {weights} weights: stacks {:.2} s",
        spec.batch(),
        start.elapsed().as_secs_f64()
    );
    let cases = [
        Case {
            name: "training",
            model: training.blank()?,
            named: training.stacks(row_bits)?,
            open: vec![spec.sampler().tensor()],
            stacks: [Some(head.clone()), None, Some(dataset)].into_iter().chain(base.clone().map(Some)).collect(),
        },
        Case {
            name: "evaluation",
            model: evaluation.blank()?,
            named: evaluation.stacks(row_bits)?,
            open: vec![],
            stacks: [Some(head), Some(trained), Some(holdout)].into_iter().chain(base.map(Some)).collect(),
        },
    ];
    for case in &cases[..if given("training") { 1 } else { 2 }] {
        let (used, rows) = fill(case, row_bits)?;
        println!("{}: {used} of {rows} rows of the witness hold something", case.name);
        if !given("settled") {
            core(case, &srs)?;
        }
        if !given("core") {
            settled(case, &srs)?;
        }
    }
    Ok(())
}
