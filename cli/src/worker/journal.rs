//! What a worker has begun, written to disk before it is done.
//!
//! A file of JSON lines: a header that names chain, market and payout, and a line for each step. A line is
//! flushed to the disk before the step is taken. A last line that a crash cut short is ignored. When a worker starts, the
//! file is replaced in one step by a shorter one that says the same.

use super::record::{Begun, State, Step};
use crate::{
    error::{Failure, Outcome},
    files,
};
use assay_contracts::{Address, B256};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

const FORMAT: &str = "assay.worker.v2";
/// Longest file, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    journal: String,
    #[serde(flatten)]
    place: Place,
}

/// As much of a header as all versions have.
#[derive(Deserialize)]
struct Named {
    journal: String,
}

/// Whose steps these are. Chains that are made anew have the same number and addresses, and other blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) chain_id: u64,
    /// Hash of the chain's first block.
    pub(crate) genesis: B256,
    /// Hash of the first block of the deployment.
    pub(crate) deployed: B256,
    pub(crate) market: Address,
    pub(crate) payout: Address,
}

/// An open journal. No other process can open the same file.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Held for the lock, which the journal itself cannot carry: it is replaced.
    _lock: File,
    state: State,
    /// Bytes of the file that are whole lines.
    length: u64,
    /// Lines of steps that were taken and could not be written.
    unwritten: Vec<u8>,
}

impl Journal {
    /// Opens or makes a journal.
    pub(crate) fn open(path: &Path, place: Place) -> Outcome<Self> {
        files::check_target(path)?;
        let lock = lock(path)?;
        let header = Header { journal: FORMAT.to_owned(), place };
        let state = if path.exists() { read(path, &header)? } else { State::default() };
        let mut text = line(&header)?;
        for step in state.steps() {
            text.extend(line(&step)?);
        }
        files::write(path, &text)?;
        let file = OpenOptions::new().append(true).open(path).map_err(|e| unwritable(path, &e))?;
        sync_folder(path);
        let length = text.len() as u64;
        Ok(Self { path: path.to_owned(), file, _lock: lock, state, length, unwritten: Vec::new() })
    }

    /// Writes a step; when this returns, a crash will not lose it. On failure the step is not taken.
    pub(crate) fn write(&mut self, step: Step) -> Outcome<()> {
        self.flush()?;
        self.unwritten = line(&step)?;
        if let Err(f) = self.flush() {
            self.unwritten.clear();
            return Err(f);
        }
        self.state.apply(step);
        Ok(())
    }

    /// Writes a step that is taken in any case: what cannot be written now is written before the next one.
    pub(crate) fn note(&mut self, step: Step) -> Outcome<()> {
        self.unwritten.extend(line(&step)?);
        self.state.apply(step);
        self.flush()
    }

    fn flush(&mut self) -> Outcome<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let done = self.file.write_all(&self.unwritten).and_then(|()| self.file.sync_data());
        match done {
            Ok(()) => {
                self.length += self.unwritten.len() as u64;
                self.unwritten.clear();
                Ok(())
            }
            Err(e) => {
                // A part of a line with others behind it could not be read.
                let _ = self.file.set_len(self.length);
                Err(unwritable(&self.path, &e))
            }
        }
    }

    /// What all steps together say.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// A batch that is begun.
    pub(crate) fn of(&self, jobs: &[u64]) -> Option<&Begun> {
        self.state.of(jobs)
    }

    /// Whether a job is over for this worker: paid for good, or given up.
    pub(crate) fn is_over(&self, job: u64) -> bool {
        self.state.over.contains(&job)
    }

    /// Whether a job is begun and not over.
    pub(crate) fn is_begun(&self, job: u64) -> bool {
        self.state.begun.iter().any(|b| b.jobs.iter().any(|j| j.id == job))
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

/// What lies beside the journal under its name and an ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// A file beside the journal that one process can lock.
fn lock(path: &Path) -> Outcome<File> {
    let beside = beside(path, ".lock");
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
    if let Ok(Named { journal }) = serde_json::from_slice(first)
        && journal != FORMAT
    {
        return Err(Failure::new(format!("the journal '{}' has the format '{journal}'", path.display())).help(format!(
            "this version writes '{FORMAT}': let the version that wrote it finish what is in it, and name another file with --journal"
        )));
    }
    let header: Header = serde_json::from_slice(first).map_err(|e| damaged(1, &e))?;
    if &header != expected {
        return Err(other_place(path, &header.place, &expected.place));
    }
    let mut state = State::default();
    for (i, l) in lines {
        state.apply(serde_json::from_slice(l).map_err(|e| damaged(i + 1, &e))?);
    }
    Ok(state)
}

fn other_place(path: &Path, found: &Place, expected: &Place) -> Failure {
    let keep = "name another file with --journal; keep this one as long as its leases may be live";
    let same = |a: &Place| (a.chain_id, a.market, a.payout);
    if same(found) == same(expected) {
        return Failure::new(format!(
            "the journal '{}' is of another chain with the same number and addresses: its first block is {}, and this \
             chain's is {}",
            path.display(),
            found.genesis,
            expected.genesis
        ))
        .help(keep);
    }
    Failure::new(format!(
        "the journal '{}' is of chain {}, market {} and payout {}",
        path.display(),
        found.chain_id,
        found.market,
        found.payout
    ))
    .help(keep)
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
    use super::{super::record::Identity, *};

    struct Folder(PathBuf);

    const PLACE: Place = Place {
        chain_id: 1,
        genesis: B256::repeat_byte(3),
        deployed: B256::repeat_byte(4),
        market: Address::repeat_byte(1),
        payout: Address::repeat_byte(2),
    };

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("assay-journal-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn open(&self) -> Outcome<Journal> {
            Journal::open(&self.0.join("j"), PLACE)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn begin(jobs: &[u64]) -> Step {
        let identity = |id: &u64| Identity { id: *id, block: 10, commitment: B256::repeat_byte(5), deadline: 99 };
        Step::Begin { jobs: jobs.iter().map(identity).collect(), verifier: B256::repeat_byte(7), nonce: Some(4) }
    }

    #[test]
    fn a_restart_knows_what_was_begun() {
        let folder = Folder::new("restart");
        let mut j = folder.open().unwrap();
        for step in [
            begin(&[1, 2]),
            Step::Leased { jobs: vec![1, 2], until: 50 },
            Step::Proving { jobs: vec![1, 2], attempt: 1 },
            begin(&[3]),
            Step::Leased { jobs: vec![3], until: 60 },
            Step::Proven { jobs: vec![3], proof: vec![9, 9].into() },
            begin(&[4]),
            begin(&[5]),
            Step::Paid { jobs: vec![5], transaction: None, block: 12, late: false },
            Step::Final { jobs: vec![5] },
            begin(&[6]),
            Step::Proven { jobs: vec![6], proof: vec![8].into() },
            Step::Paid { jobs: vec![6], transaction: None, block: 13, late: false },
            Step::Measured { verifier: B256::repeat_byte(7), seconds: 2.5 },
            Step::From { block: 77 },
            begin(&[8]),
            Step::GaveUp { jobs: vec![8], reason: String::new(), failure: true },
        ] {
            j.write(step).unwrap();
        }
        let before = j.state().clone();
        drop(j);
        for _ in 0..2 {
            let j = folder.open().unwrap();
            assert_eq!(j.state(), &before);
            let begun = &j.state().begun;
            assert_eq!(begun.len(), 4);
            assert_eq!((begun[0].until, begun[0].attempts, begun[0].proof.is_some()), (Some(50), 1, false));
            assert_eq!((begun[1].until, begun[1].proof.clone()), (Some(60), Some(vec![9, 9].into())));
            assert_eq!((begun[2].ids(), begun[2].until, begun[2].nonce), (vec![4], None, Some(4)));
            assert_eq!((begun[3].paid, begun[3].is_in_hand(), begun[1].is_in_hand()), (Some(13), false, true));
            assert!((1..=4).all(|id| j.is_begun(id) && !j.is_over(id)) && j.is_over(5) && !j.is_begun(5));
            assert_eq!((j.state().failures, j.state().from), (1, Some(77)));
        }
    }

    #[test]
    fn a_payment_that_vanishes_is_in_hand_again() {
        let folder = Folder::new("vanished");
        let mut j = folder.open().unwrap();
        j.write(begin(&[1])).unwrap();
        j.write(Step::Proven { jobs: vec![1], proof: vec![1].into() }).unwrap();
        j.write(Step::Paid { jobs: vec![1], transaction: None, block: 9, late: true }).unwrap();
        assert!(!j.of(&[1]).unwrap().is_in_hand() && j.state().failures == 1);
        j.write(Step::Vanished { jobs: vec![1] }).unwrap();
        assert!(j.of(&[1]).unwrap().is_in_hand());
        j.write(Step::Paid { jobs: vec![1], transaction: None, block: 9, late: false }).unwrap();
        assert_eq!(j.state().failures, 0);
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_written_later() {
        let folder = Folder::new("full");
        let mut j = folder.open().unwrap();
        j.write(begin(&[1])).unwrap();
        let good = j.file.try_clone().unwrap();
        // Nothing can be written to a file that was opened to be read.
        j.file = File::open(folder.0.join("j")).unwrap();
        assert!(j.note(Step::Proven { jobs: vec![1], proof: vec![7].into() }).is_err());
        assert!(j.of(&[1]).unwrap().is_in_hand());
        // Nothing new begins.
        assert!(j.write(begin(&[2])).is_err() && !j.is_begun(2));
        j.file = good;
        j.write(begin(&[3])).unwrap();
        drop(j);
        let j = folder.open().unwrap();
        assert!(j.of(&[1]).unwrap().is_in_hand() && !j.is_begun(2) && j.is_begun(3));
    }

    #[test]
    fn a_line_cut_short_is_ignored_and_a_damaged_one_is_not() {
        let folder = Folder::new("cut");
        let mut j = folder.open().unwrap();
        j.write(begin(&[1])).unwrap();
        drop(j);
        let path = folder.0.join("j");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.as_slice(), b"{\"step\":\"leased\",\"jobs\":[1],\"unt"].concat()).unwrap();
        assert_eq!(folder.open().unwrap().state().begun[0].until, None);
        std::fs::write(&path, [whole.as_slice(), b"{\"step\":\"nonsense\"}\n"].concat()).unwrap();
        let e = folder.open().unwrap_err();
        assert!(e.message.contains("is damaged"), "{e}");
    }

    #[test]
    fn one_worker_one_chain_one_journal() {
        let folder = Folder::new("lock");
        let first = folder.open().unwrap();
        assert!(folder.open().unwrap_err().message.contains("another worker"));
        drop(first);
        let path = folder.0.join("j");
        let refused = |place: Place| Journal::open(&path, place).unwrap_err();
        let e = refused(Place { payout: Address::repeat_byte(3), ..PLACE });
        assert!(e.message.contains("payout"), "{e}");
        for place in [Place { genesis: B256::ZERO, ..PLACE }, Place { deployed: B256::ZERO, ..PLACE }] {
            let e = refused(place);
            assert!(e.message.contains("another chain with the same number and addresses"), "{e}");
        }
        std::fs::write(&path, "{\"journal\":\"assay.worker.v1\",\"chain_id\":1}\n").unwrap();
        let e = refused(PLACE);
        assert!(e.message.contains("assay.worker.v1"), "{e}");
    }
}
