//! `assay doctor`: what this machine offers, and what is in the cache.

use crate::{
    App,
    error::Outcome,
    output::{bytes, count},
};
use assay_prover::{
    device::{Cpu, cuda::Cuda},
    srs::MAX_POWER,
};
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

/// Instruction sets that kernels use or may use, with whether they are there.
fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        vec![
            ("avx2", has!("avx2")),
            ("adx", has!("adx")),
            ("bmi2", has!("bmi2")),
            ("avx512f", has!("avx512f")),
            ("avx512ifma", has!("avx512ifma")),
            ("avx512vnni", has!("avx512vnni")),
        ]
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        vec![]
    }
}

/// Total and available memory in bytes, where the system tells.
pub(crate) fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|k| k * 1024)
    };
    Some((field("MemTotal:")?, field("MemAvailable:")?))
}

pub(crate) fn run(app: &App, _: &DoctorArgs) -> Outcome<()> {
    let o = &app.output;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = memory();
    let features = features();
    let (entries, size) = app.cache.contents();
    let writable = app.cache.path(&format!(".doctor.{}", std::process::id())).is_some_and(|p| {
        let ok = std::fs::write(&p, b"x").is_ok();
        let _ = std::fs::remove_file(p);
        ok
    });
    let largest = (1..=MAX_POWER).rev().find(|p| {
        let name = format!("development-{}-{p}.srs", assay_prover::srs::DEVELOPMENT_SEED);
        app.cache.path(&name).is_some_and(|f| f.is_file())
    });
    let list = |wanted: bool| {
        let names: Vec<&str> = features.iter().filter(|(_, h)| *h == wanted).map(|(n, _)| *n).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(" ") }
    };
    let folder = app.cache.dir().map_or("none".to_owned(), |d| d.display().to_string());
    o.answer(format!("assay   {} for {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS));
    o.answer(format!("cores   {cores} ({} threads in use)", rayon::current_num_threads()));
    o.answer(match memory {
        Some((total, free)) => format!("memory  {} of which {} are available", bytes(total), bytes(free)),
        None => "memory  unknown".to_owned(),
    });
    o.answer(format!("vectors {}; not there: {}", list(true), list(false)));
    o.answer(format!("kernels {}", Cpu::default().kernels()));
    let icicle = Cpu::default().icicle();
    if let Some(library) = icicle {
        let device = library.device().map_or(String::new(), |d| format!(" on its device {d}"));
        o.answer(format!("icicle  {}{device}: takes long products; it was tried", library.path().display()));
    }
    let card = app.devices.examine().and_then(Cuda::info);
    o.answer(match &card {
        Ok(c) => format!(
            "card    {} (cuda:{}, compute capability {}.{}), {} of {} free, driver for CUDA {}.{}; its kernels were tried",
            c.name,
            c.ordinal,
            c.capability.0,
            c.capability.1,
            bytes(c.free as u64),
            bytes(c.total as u64),
            c.driver / 1000,
            c.driver % 1000 / 10
        ),
        Err(e) => format!("card    none: {e}"),
    });
    o.answer(format!(
        "cache   {folder}: {}, {} entries, {}",
        if writable { "writable" } else { "NOT writable" },
        count(entries),
        bytes(size)
    ));
    o.answer(match largest {
        Some(p) => format!("srs     development powers of tau up to 2^{p} are cached (INSECURE)"),
        None => "srs     none cached; development ones (INSECURE) are made when needed".to_owned(),
    });
    if cfg!(debug_assertions) {
        o.warn("this is a debug build: proving is several times slower; build with --release");
    }
    o.result(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "arch": std::env::consts::ARCH,
        "os": std::env::consts::OS,
        "cores": cores,
        "threads": rayon::current_num_threads(),
        "memory_bytes": memory.map(|m| m.0),
        "available_bytes": memory.map(|m| m.1),
        "features": features.iter().filter(|(_, h)| *h).map(|(n, _)| *n).collect::<Vec<_>>(),
        "kernels": Cpu::default().kernels(),
        "icicle": icicle.map(|i| json!({ "path": i.path().display().to_string(), "device": i.device() })),
        "card": card.as_ref().ok().map(|c| json!({
            "name": c.name,
            "ordinal": c.ordinal,
            "compute_capability": format!("{}.{}", c.capability.0, c.capability.1),
            "driver": c.driver,
            "memory_bytes": c.total,
            "free_bytes": c.free,
        })),
        "card_problem": card.as_ref().err().map(ToString::to_string),
        "cache": app.cache.dir().map(|d| d.display().to_string()),
        "cache_writable": writable,
        "cache_entries": entries,
        "cache_bytes": size,
        "development_srs_power": largest,
        "release_build": !cfg!(debug_assertions),
    }));
    Ok(())
}
