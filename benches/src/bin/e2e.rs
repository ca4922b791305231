//! `e2e --vectors DIR NAME[:BATCH] ...` writes golden vectors for the contract's tests instead.
//!
//! `e2e [--models DIR] [--out FILE] [--plot FILE] [--repeats N] [--core-only] [NAME[:BATCH] ...]`
//!
//! Without names: digits_cnn, mlp, lenet and cnn264k. resnet18 must be generated first (benches/models/README.md).

use assay_benches::{plot, run};
use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

// Keeps freed memory: first touch of a fresh page costs as much as dozens of field multiplications.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Arguments {
    models: PathBuf,
    out: PathBuf,
    plot: PathBuf,
    repeats: usize,
    one: bool,
    core_only: bool,
    vectors: Option<PathBuf>,
    names: Vec<String>,
}

fn arguments() -> Result<Arguments, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut a = Arguments {
        models: folder.join("models"),
        out: folder.join("results/local/e2e.jsonl"),
        plot: folder.join("results/local/e2e.svg"),
        repeats: 5,
        one: false,
        core_only: false,
        vectors: None,
        names: vec![],
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--models" => a.models = value()?.into(),
            "--out" => a.out = value()?.into(),
            "--plot" => a.plot = value()?.into(),
            "--repeats" => a.repeats = value()?.parse().map_err(|_| "--repeats needs a number".to_owned())?,
            "--one" => a.one = true,
            "--vectors" => a.vectors = Some(value()?.into()),
            "--core-only" => a.core_only = true,
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
            _ => a.names.push(arg),
        }
    }
    if a.names.is_empty() {
        a.names = ["digits_cnn", "mlp", "lenet", "cnn264k"].map(str::to_owned).to_vec();
    }
    Ok(a)
}

fn go() -> Result<(), run::Failure> {
    let a = arguments()?;
    if a.one {
        // A child: one network, its line on standard output.
        let name = a.names.first().ok_or("no name")?;
        let (name, batch) = name.split_once(':').unwrap_or((name, "1"));
        println!("{}", run::network(&a.models, name, batch.parse()?, a.repeats, !a.core_only)?);
        return Ok(());
    }
    if let Some(folder) = &a.vectors {
        std::fs::create_dir_all(folder)?;
        for name in &a.names {
            let (network, batch) = name.split_once(':').unwrap_or((name, "1"));
            let vector = run::golden(&a.models, network, batch.parse()?)?;
            let file = folder.join(format!("{}.json", name.replace(':', "_batch")));
            std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&vector)?))?;
            eprintln!("wrote {}", file.display());
        }
        return Ok(());
    }
    let mut lines = Vec::new();
    for name in &a.names {
        let output = Command::new(std::env::current_exe()?)
            .arg("--one")
            .arg("--models")
            .arg(&a.models)
            .args(a.core_only.then_some("--core-only"))
            .args(["--repeats", &a.repeats.to_string(), name])
            .output()?;
        if !output.status.success() {
            return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let line: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        println!("{line}");
        lines.push(line);
    }
    for file in [&a.out, &a.plot] {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
    }
    let mut out = OpenOptions::new().create(true).append(true).open(&a.out)?;
    lines.iter().try_for_each(|l| writeln!(out, "{l}"))?;
    std::fs::write(&a.plot, plot::stages(&lines))?;
    eprintln!("lines appended to {}, plot in {}", a.out.display(), a.plot.display());
    Ok(())
}

fn main() -> ExitCode {
    match go() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("e2e: {e}");
            ExitCode::FAILURE
        }
    }
}
