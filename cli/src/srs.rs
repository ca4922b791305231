//! Powers of tau for keys and proofs: the user's file, or a development setup kept in the cache.

use crate::{
    App,
    error::{Failure, Outcome},
    files::{self, Kind},
    output::count,
    progress::Progress,
};
use assay_circuits::canonical;
use assay_prover::srs::{DEVELOPMENT_SEED, MAX_POWER, Srs};
use assay_verifier::{
    curve::{G1_BYTES, g1_from_bytes, g1_to_bytes},
    opening::VerifierSrs,
};
use rayon::prelude::*;
use std::path::Path;

/// What is said about proofs under a development setup.
pub(crate) const INSECURE: &str =
    "INSECURE development powers of tau: anybody can forge such proofs (real ones: --srs)";

fn entry(power: u32) -> String {
    format!("development-{DEVELOPMENT_SEED}-{power}.srs")
}

/// The smallest cached development setup with at least `power`.
fn cached(app: &App, power: u32) -> Option<u32> {
    (power..=MAX_POWER).find(|p| app.cache.path(&entry(*p)).is_some_and(|f| f.is_file()))
}

/// 2^power development powers of tau, from the cache or made now.
pub(crate) fn development(app: &App, power: u32) -> Outcome<Srs> {
    while let Some(p) = cached(app, power) {
        let read = app.cache.path(&entry(p)).and_then(|f| std::fs::File::open(f).ok()).map(std::io::BufReader::new);
        match read.map(|mut f| Srs::read(&mut f, power)) {
            Some(Ok(srs)) if srs.insecure_dev && srs.power() == power => return Ok(srs),
            // What cannot be removed would be found again.
            _ => app.cache.discard(&entry(p), &app.output),
        }
        if app.cache.path(&entry(p)).is_some_and(|f| f.exists()) {
            break;
        }
    }
    let progress = Progress::start(&app.output, "powers", make_seconds(power));
    progress.stage(&format!("making {} development powers of tau", count(1 << power)), make_seconds(power));
    let srs = Srs::development(power, DEVELOPMENT_SEED)?;
    if let Some(path) = app.cache.path(&entry(power)) {
        let _ = files::write_with(&path, |mut out| srs.write(&mut out).map_err(Failure::from));
    }
    Ok(srs)
}

/// Predicted seconds to make powers of tau.
fn make_seconds(power: u32) -> f64 {
    crate::cost::SRS_POINT * f64::from(power).exp2()
}

/// Powers of tau from a file, at most 2^power of them.
pub(crate) fn from_file(path: &Path, power: u32) -> Outcome<Srs> {
    let kind = files::kind(path)?;
    if kind != Kind::Srs {
        let f = files::wrong_kind(path, Kind::Srs, kind);
        return Err(if kind == Kind::Ptau {
            f.help("import it first: assay srs import FILE.ptau --power K -o SRS")
        } else {
            f
        });
    }
    let file = files::open(path, files::MAX_LARGE_BYTES)?;
    Srs::read(&mut std::io::BufReader::new(file), power).map_err(|e| Failure::from(e).in_file(path))
}

/// The powers of tau to use: the file if one is named, the development setup otherwise.
pub(crate) fn choose(app: &App, file: Option<&Path>, power: u32) -> Outcome<Srs> {
    match file {
        Some(path) => from_file(path, power),
        None => development(app, power),
    }
}

/// Computes the Lagrange basis of the first 2^k powers, or takes it from the cache. Like a key of the cache, it is as good
/// as the folder that it lies in: a basis that somebody else wrote there gives proofs that do not verify.
pub(crate) fn keep_lagrange(app: &App, srs: &Srs, k: usize) {
    let Ok(k) = u32::try_from(k) else { return };
    if k > srs.power() {
        return;
    }
    let entry = format!("lagrange-{k}-{}.points", assay_verifier::core::hex(&srs.hash));
    if let Some(bytes) = app.cache.get(&entry, &app.output) {
        let (chunks, rest) = bytes.as_chunks::<G1_BYTES>();
        let points: Result<Vec<_>, _> = chunks.par_iter().map(g1_from_bytes).collect();
        if points.is_ok_and(|points| rest.is_empty() && srs.keep_lagrange(k, points).is_ok()) {
            return;
        }
        app.cache.discard(&entry, &app.output);
    }
    let bytes: Vec<u8> = srs.lagrange(k).par_iter().flat_map_iter(g1_to_bytes).collect();
    app.cache.put(&entry, &bytes);
}

/// The powers of tau under which a key was made.
pub(crate) fn of_key(app: &App, key: &VerifierSrs, file: Option<&Path>, power: u32) -> Outcome<Srs> {
    if file.is_none() && !key.insecure_dev {
        let hash = assay_verifier::core::hex(&key.srs_hash);
        return Err(Failure::new(format!("the key was made with the powers of tau {hash}"))
            .help("pass the file with --srs FILE"));
    }
    choose(app, file, power)
}

/// Whether a key was made with the powers of a file, if one is named: anybody can make powers whose secret he knows.
///
/// # Errors
/// Other powers; a file that is none of powers.
pub(crate) fn compare(key: &VerifierSrs, file: Option<&Path>) -> Outcome<()> {
    let Some(path) = file else { return Ok(()) };
    let file = from_file(path, 1)?.verifier();
    if file == *key {
        return Ok(());
    }
    let [of_key, of_file] = [key, &file].map(|s| assay_verifier::core::hex(&s.srs_hash));
    Err(Failure::new(format!("the key was made with the powers of tau {of_key}, those of '{}' are {of_file}", path.display()))
        .help("whoever made the powers of tau may be able to forge proofs under the key: ask for one under powers that you trust")
        .invalid())
}

/// Name of the cache entry of a key.
pub(crate) fn key_entry(parts: &[&[u8]]) -> String {
    let digest = canonical::digest("assay.cache.key.v1", parts);
    format!("{}.key", assay_verifier::core::hex(&digest))
}
