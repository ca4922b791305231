//! Openings that a worker needs until their jobs are over, and digests of the pads that it saw used.

use super::path;
use crate::{
    error::{Failure, Outcome},
    files, stacks,
};
use assay_contracts::B256;
use assay_prover::Stack;
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// The file with the digests, a line each: pad, stack.
const PADS: &str = "pads";
/// Most bytes of it: half a million jobs.
const PADS_BYTES: u64 = 1 << 26;

/// A folder beside the journal, for its owner only.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    /// Whose openings are there, as far as this process knows.
    jobs: BTreeMap<u64, B256>,
}

impl Kept {
    /// Makes the folder. `idle` says that no opening in it is needed any more.
    pub(super) fn new(folder: PathBuf, idle: bool) -> Outcome<Self> {
        make(&folder).map_err(|e| trouble(&folder, &e))?;
        if idle {
            for entry in fs::read_dir(&folder).map_err(|e| trouble(&folder, &e))?.flatten() {
                if entry.path().extension().is_some_and(|e| e == "stack") {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(Self { folder, jobs: BTreeMap::new() })
    }

    /// Writes an opening, unless it is there. When this returns, a crash will not lose it.
    pub(super) fn keep(&mut self, job: u64, id: B256, stack: &Stack, pad: Option<[u8; 32]>) -> Outcome<()> {
        let path = path(&self.folder, id);
        if !path.exists() {
            stacks::write(&path, stack)?;
            if let Some(pad) = pad {
                self.note(pad, id).map_err(|e| trouble(&self.folder, &e))?;
            }
        }
        self.jobs.insert(job, id);
        Ok(())
    }

    /// The bytes of an opening, if it is there.
    pub(super) fn read(&self, id: B256, limit: usize) -> Option<Vec<u8>> {
        let path = path(&self.folder, id);
        if path.is_file() { files::read(&path, limit as u64).ok() } else { None }
    }

    /// Deletes openings that no other job needs.
    pub(super) fn forget(&mut self, jobs: &[u64]) {
        for job in jobs {
            if let Some(id) = self.jobs.remove(job)
                && !self.jobs.values().any(|other| *other == id)
            {
                let _ = fs::remove_file(path(&self.folder, id));
            }
        }
    }

    fn note(&self, pad: [u8; 32], id: B256) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.folder.join(PADS))?;
        writeln!(file, "{} {id}", B256::from(pad))?;
        file.sync_data()
    }

    /// Pads that were used before. A line that a crash cut short says nothing.
    pub(super) fn pads(&self) -> Outcome<BTreeMap<[u8; 32], B256>> {
        let path = self.folder.join(PADS);
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        let text = files::read(&path, PADS_BYTES)?;
        let line = |l: &str| {
            let (pad, id) = l.split_once(' ')?;
            Some((pad.parse::<B256>().ok()?.0, id.parse::<B256>().ok()?))
        };
        Ok(String::from_utf8_lossy(&text).lines().filter_map(line).collect())
    }
}

#[cfg(unix)]
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)
}

fn trouble(folder: &Path, e: &std::io::Error) -> Failure {
    Failure::new(format!("openings cannot be kept in '{}': {e}", folder.display()))
        .help("a worker that loses an opening loses its bond: make room, or name another journal with --journal")
}
