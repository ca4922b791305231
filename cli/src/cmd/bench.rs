//! `assay bench`: how fast this machine proves.

use crate::{
    App,
    args::QuantArgs,
    bench::{
        self, Case, Device, Subject,
        plot::{self, Bar},
    },
    cost::Machine,
    device::Choice,
    error::{Failure, Outcome},
    files,
    output::{bytes, count, seconds, table},
    progress::Progress,
};
use assay_prover::device::Cpu;
use clap::Args;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// ONNX or compiled models [default: the two digit classifiers of the demo]
    models: Vec<PathBuf>,
    /// Inferences in one proof; several are measured one after another
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    batch: Vec<u32>,
    /// Numbers of threads, instead of those of --threads
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    with_threads: Vec<u16>,
    /// What the prover's kernels run on: with the vector instructions of the processor, without, or a card [default: cpu, or
    /// cuda where --device names a card]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    kernels: Vec<Device>,
    /// Also measure settled proofs: zero-knowledge, for a contract
    #[arg(long)]
    settle: bool,
    /// Proofs that are timed for each line, after one that is not
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeats: u16,
    /// Time fewer of them once this many seconds have passed, but at least one
    #[arg(long, value_name = "S", default_value_t = 60)]
    max_seconds: u32,
    /// Draw inferences a second as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    quant: QuantArgs,
}

pub(crate) fn run(app: &App, args: &BenchArgs) -> Outcome<()> {
    if let Some(path) = &args.plot {
        files::check_target(path)?;
    }
    let subjects = if args.models.is_empty() {
        if args.quant.is_used() {
            return Err(Failure::new("options for quantization need a model").help("name an .onnx file"));
        }
        Subject::defaults(app)?
    } else {
        args.models.iter().map(|m| Subject::load(app, m, &args.quant)).collect::<Outcome<Vec<_>>>()?
    };
    let threads: Vec<usize> = if args.with_threads.is_empty() {
        vec![rayon::current_num_threads()]
    } else {
        args.with_threads.iter().map(|n| usize::from(*n)).collect()
    };
    let named = matches!(app.devices.choice(), Choice::Cuda(_));
    let kernels = match args.kernels.as_slice() {
        [] if named => vec![Device::Cuda],
        [] => vec![Device::Cpu],
        some => some.to_vec(),
    };
    let mut cases = Vec::new();
    for (subject, _) in subjects.iter().enumerate() {
        for &threads in &threads {
            for &device in &kernels {
                for settle in [false, true].into_iter().filter(|s| args.settle || !s) {
                    for &batch in &args.batch {
                        cases.push(Case { subject, batch, threads, device, settle });
                    }
                }
            }
        }
    }
    let mut results = Vec::new();
    let mut learned: BTreeMap<usize, BTreeMap<String, (f64, f64)>> = BTreeMap::new();
    let progress = Progress::start(&app.output, "bench", 0.0);
    for (done, case) in cases.iter().enumerate() {
        let subject = &subjects[case.subject];
        progress.set(&format!("{}, {}", subject.name, case.title()), done as u64, cases.len() as u64);
        let measured = bench::measure(app, subject, case, usize::from(args.repeats), f64::from(args.max_seconds))?;
        app.output.event("measurement", measured.json(subject, case));
        // What `estimate` speaks of is the processor's own kernels.
        if case.device == Device::Cpu {
            let all = learned.entry(case.threads).or_default();
            for (stage, (predicted, seconds)) in &measured.stages {
                let (p, s) = all.entry(stage.clone()).or_default();
                *p += predicted;
                *s += seconds;
            }
        }
        results.push(measured);
    }
    drop(progress);
    for (threads, stages) in &learned {
        Machine::store(app, *threads, stages);
    }
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    for (case, m) in cases.iter().zip(&results) {
        rows.push(vec![
            subjects[case.subject].name.clone(),
            if case.settle { "settled" } else { "core" }.to_owned(),
            case.batch.to_string(),
            case.threads.to_string(),
            case.device.name().to_owned(),
            seconds(m.median()),
            seconds(m.p95()),
            format!("{:.1}", m.inferences_per_second(case)),
            count(m.macs_per_second(&subjects[case.subject], case) as u64),
            seconds(m.verify_seconds),
            bytes(m.proof_bytes as u64),
            m.peak_memory.map_or("-".to_owned(), bytes),
        ]);
    }
    app.output.answer(table(&rows));
    app.output.say(format!(
        "\n  {}, {} kernels. What was measured is kept in the cache folder; `assay estimate` predicts from it.",
        crate::cost::machine::processor(),
        Cpu::default().kernels()
    ));
    if let Some(path) = &args.plot {
        let bars: Vec<Bar> = cases
            .iter()
            .zip(&results)
            .map(|(c, m)| Bar {
                name: format!("{} {}", subjects[c.subject].name, c.title()),
                per_second: m.inferences_per_second(c),
                shares: m.shares(),
            })
            .collect();
        files::write(path, plot::bars(&bars).as_bytes())?;
        app.output.say(format!("  wrote {}", path.display()));
    }
    let all: Vec<Value> = cases.iter().zip(&results).map(|(c, m)| m.json(&subjects[c.subject], c)).collect();
    app.output.result(json!({
        "processor": crate::cost::machine::processor(),
        "kernels": Cpu::default().kernels(),
        "version": env!("CARGO_PKG_VERSION"),
        "release_build": !cfg!(debug_assertions),
        "measurements": all,
    }));
    Ok(())
}

const HEADINGS: [&str; 12] = [
    "model",
    "proof",
    "batch",
    "threads",
    "device",
    "median",
    "p95",
    "inferences/s",
    "multiply-adds/s",
    "verify",
    "size",
    "peak memory",
];
