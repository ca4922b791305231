//! What a worker has begun, written to disk before it is done.
//!
//! A file of JSON lines: a header that names chain, market and payout, and a line for each step of a batch. A line is
//! flushed to the disk before the step is taken. A last line that a crash cut short is ignored. When a worker starts, the
//! file is replaced in one step by a shorter one that says the same.

use crate::{
    error::{Failure, Outcome},
    files,
};
use assay_contracts::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

const FORMAT: &str = "assay.worker.v1";
/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    journal: String,
    chain_id: u64,
    market: Address,
    payout: Address,
}

/// A step of a batch; `jobs` rise and have no zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// A lease is about to be asked for.
    Leasing { jobs: Vec<u64>, verifier: B256 },
    /// It was not given, and nothing was paid: the jobs may be tried again.
    NotLeased { jobs: Vec<u64> },
    /// It was given.
    Leased { jobs: Vec<u64>, until: u64 },
    /// An attempt to prove begins.
    Proving { jobs: Vec<u64>, attempt: u32 },
    /// The proof file.
    Proven { jobs: Vec<u64>, proof: Bytes },
    /// The market has paid.
    Paid { jobs: Vec<u64>, transaction: Option<B256> },
    /// Nothing more is done for these jobs.
    GaveUp { jobs: Vec<u64>, reason: String },
}

impl Step {
    fn jobs(&self) -> &[u64] {
        match self {
            Self::Leasing { jobs, .. }
            | Self::NotLeased { jobs }
            | Self::Leased { jobs, .. }
            | Self::Proving { jobs, .. }
            | Self::Proven { jobs, .. }
            | Self::Paid { jobs, .. }
            | Self::GaveUp { jobs, .. } => jobs,
        }
    }
}

/// A batch that is begun and not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) jobs: Vec<u64>,
    pub(crate) verifier: B256,
    /// When the lease ends; none if it is not known whether it was given.
    pub(crate) until: Option<u64>,
    pub(crate) attempts: u32,
    pub(crate) proof: Option<Bytes>,
}

/// What all lines together say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    begun: Vec<Begun>,
    /// Jobs that are over for this worker: paid or given up.
    over: BTreeSet<u64>,
}

impl State {
    fn apply(&mut self, step: Step) {
        let jobs = step.jobs().to_vec();
        let known = self.begun.iter_mut().find(|b| b.jobs == jobs);
        match (step, known) {
            (Step::Leasing { verifier, .. }, None) => {
                self.begun.push(Begun { jobs, verifier, until: None, attempts: 0, proof: None });
            }
            (Step::NotLeased { .. }, Some(_)) => self.begun.retain(|b| b.jobs != jobs),
            (Step::Leased { until, .. }, Some(b)) => b.until = Some(until),
            (Step::Proving { attempt, .. }, Some(b)) => b.attempts = b.attempts.max(attempt),
            (Step::Proven { proof, .. }, Some(b)) => b.proof = Some(proof),
            (Step::Paid { .. } | Step::GaveUp { .. }, _) => {
                self.begun.retain(|b| b.jobs != jobs);
                self.over.extend(jobs);
            }
            _ => {}
        }
    }

    /// The fewest lines that say the same.
    fn steps(&self) -> Vec<Step> {
        let mut out = Vec::new();
        if !self.over.is_empty() {
            let jobs = self.over.iter().copied().collect();
            out.push(Step::GaveUp { jobs, reason: "over before the last start".to_owned() });
        }
        for b in &self.begun {
            let jobs = || b.jobs.clone();
            out.push(Step::Leasing { jobs: jobs(), verifier: b.verifier });
            out.extend(b.until.map(|until| Step::Leased { jobs: jobs(), until }));
            if b.attempts > 0 {
                out.push(Step::Proving { jobs: jobs(), attempt: b.attempts });
            }
            out.extend(b.proof.clone().map(|proof| Step::Proven { jobs: jobs(), proof }));
        }
        out
    }
}

/// An open journal. No other process can open the same file.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Held for the lock, which the journal itself cannot carry: it is replaced.
    _lock: File,
    state: State,
}

impl Journal {
    /// Opens or makes a journal for a market and a payout address.
    pub(crate) fn open(path: &Path, chain_id: u64, market: Address, payout: Address) -> Outcome<Self> {
        files::check_target(path)?;
        let lock = lock(path)?;
        let header = Header { journal: FORMAT.to_owned(), chain_id, market, payout };
        let state = if path.exists() { read(path, &header)? } else { State::default() };
        let mut text = line(&header)?;
        for step in state.steps() {
            text.extend(line(&step)?);
        }
        files::write(path, &text)?;
        let file = OpenOptions::new().append(true).open(path).map_err(|e| unwritable(path, &e))?;
        sync_folder(path);
        Ok(Self { path: path.to_owned(), file, _lock: lock, state })
    }

    /// Writes a step; when this returns, a crash will not lose it.
    pub(crate) fn write(&mut self, step: Step) -> Outcome<()> {
        let text = line(&step)?;
        self.file.write_all(&text).and_then(|()| self.file.sync_data()).map_err(|e| unwritable(&self.path, &e))?;
        self.state.apply(step);
        Ok(())
    }

    /// Batches that are begun and not over, oldest first.
    pub(crate) fn begun(&self) -> Vec<Begun> {
        self.state.begun.clone()
    }

    /// A batch that is begun.
    pub(crate) fn of(&self, jobs: &[u64]) -> Option<&Begun> {
        self.state.begun.iter().find(|b| b.jobs == jobs)
    }

    /// Whether a job is over for this worker: paid or given up.
    pub(crate) fn is_over(&self, job: u64) -> bool {
        self.state.over.contains(&job)
    }

    /// Whether a job is begun and not over.
    pub(crate) fn is_begun(&self, job: u64) -> bool {
        self.state.begun.iter().any(|b| b.jobs.contains(&job))
    }
}

fn line(value: &impl Serialize) -> Outcome<Vec<u8>> {
    let mut text = serde_json::to_vec(value).map_err(|e| Failure::new(format!("the journal: {e}")).bug())?;
    text.push(b'\n');
    Ok(text)
}

fn unwritable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write the journal '{}': {e}", path.display())).help(
        "without it a restart could lose a lease, so nothing is done; make room, or name another file with --journal",
    )
}

/// A file beside the journal that one process can lock.
fn lock(path: &Path) -> Outcome<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let beside = path.with_file_name(name);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&beside)
        .map_err(|e| unwritable(&beside, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Failure::new(format!("the journal '{}' is used by another worker", path.display()))
                .help("give each worker its own: --journal FILE"))
        }
        Err(std::fs::TryLockError::Error(e)) => Err(unwritable(&beside, &e)),
    }
}

fn read(path: &Path, expected: &Header) -> Outcome<State> {
    let mut bytes = Vec::new();
    files::open(path, MAX_BYTES)?.read_to_end(&mut bytes).map_err(|e| files::unreadable(path, &e))?;
    let damaged = |n: usize, e: &dyn std::fmt::Display| {
        Failure::new(format!("line {n} of the journal '{}' is damaged: {e}", path.display()))
            .help("it may hold leases that are still live; repair the line, or name a new file with --journal and let the leases end")
    };
    // A line without an end was being written when the worker stopped: what it says was not begun.
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let text = bytes.get(..whole).unwrap_or_default();
    let mut lines = text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).enumerate();
    let Some((_, first)) = lines.next() else { return Ok(State::default()) };
    let header: Header = serde_json::from_slice(first).map_err(|e| damaged(1, &e))?;
    if &header != expected {
        return Err(Failure::new(format!(
            "the journal '{}' is of chain {}, market {} and payout {}",
            path.display(),
            header.chain_id,
            header.market,
            header.payout
        ))
        .help("name another file with --journal; keep this one as long as its leases may be live"));
    }
    let mut state = State::default();
    for (i, l) in lines {
        state.apply(serde_json::from_slice(l).map_err(|e| damaged(i + 1, &e))?);
    }
    Ok(state)
}

/// A new name is safe when its folder is.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("assay-journal-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn open(&self) -> Outcome<Journal> {
            Journal::open(&self.0.join("j"), 1, Address::repeat_byte(1), Address::repeat_byte(2))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn leasing(jobs: &[u64]) -> Step {
        Step::Leasing { jobs: jobs.to_vec(), verifier: B256::repeat_byte(7) }
    }

    #[test]
    fn a_restart_knows_what_was_begun() {
        let folder = Folder::new("restart");
        let mut j = folder.open().unwrap();
        j.write(leasing(&[1, 2])).unwrap();
        j.write(Step::Leased { jobs: vec![1, 2], until: 50 }).unwrap();
        j.write(Step::Proving { jobs: vec![1, 2], attempt: 1 }).unwrap();
        j.write(leasing(&[3])).unwrap();
        j.write(Step::Leased { jobs: vec![3], until: 60 }).unwrap();
        j.write(Step::Proven { jobs: vec![3], proof: vec![9, 9].into() }).unwrap();
        j.write(leasing(&[4])).unwrap();
        j.write(leasing(&[5])).unwrap();
        j.write(Step::Paid { jobs: vec![5], transaction: None }).unwrap();
        drop(j);
        for _ in 0..2 {
            let j = folder.open().unwrap();
            let begun = j.begun();
            assert_eq!(begun.len(), 3);
            assert_eq!((begun[0].until, begun[0].attempts, begun[0].proof.is_some()), (Some(50), 1, false));
            assert_eq!((begun[1].until, begun[1].proof.clone()), (Some(60), Some(vec![9, 9].into())));
            assert_eq!((begun[2].jobs.as_slice(), begun[2].until), (&[4][..], None));
            assert!((1..=4).all(|id| j.is_begun(id) && !j.is_over(id)) && j.is_over(5) && !j.is_begun(5));
        }
    }

    #[test]
    fn a_line_cut_short_is_ignored_and_a_damaged_one_is_not() {
        let folder = Folder::new("cut");
        let mut j = folder.open().unwrap();
        j.write(leasing(&[1])).unwrap();
        drop(j);
        let path = folder.0.join("j");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), b"{\"step\":\"leased\",\"jobs\":[1],\"unt"].concat()).unwrap();
        assert_eq!(folder.open().unwrap().begun()[0].until, None);
        std::fs::write(&path, [whole.as_slice(), b"{\"step\":\"nonsense\"}\n"].concat()).unwrap();
        let e = folder.open().unwrap_err();
        assert!(e.message.contains("line 3"), "{e}");
    }

    #[test]
    fn one_worker_one_market_one_journal() {
        let folder = Folder::new("lock");
        let first = folder.open().unwrap();
        assert!(folder.open().unwrap_err().message.contains("another worker"));
        drop(first);
        let path = folder.0.join("j");
        let e = Journal::open(&path, 1, Address::repeat_byte(1), Address::repeat_byte(3)).unwrap_err();
        assert!(e.message.contains("payout"), "{e}");
    }
}
