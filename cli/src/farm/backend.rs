//! What a farm is kept in: records that change only if nobody changed them meanwhile, queues of notes, and files by their hash.

use super::record::{Note, Record};
use crate::error::{Failure, Outcome};
use assay_contracts::B256;
use std::time::Duration;

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Core proofs to make.
    Core,
    /// Settled proofs to make.
    Settled,
    /// Proofs to check.
    Check,
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Core, Self::Settled, Self::Check];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Settled => "settled",
            Self::Check => "check",
        }
    }
}

impl From<super::record::Kind> for Lane {
    fn from(kind: super::record::Kind) -> Self {
        match kind {
            super::record::Kind::Core => Self::Core,
            super::record::Kind::Settled => Self::Settled,
        }
    }
}

/// A message that was delivered and is not acknowledged.
pub(crate) struct Message {
    pub(crate) note: Note,
    /// Its number in the queue: the same in all deliveries.
    pub(crate) sequence: u64,
    /// How often it was delivered, this time included.
    pub(crate) deliveries: u64,
    pub(crate) handle: Handle,
}

/// How a backend knows the message.
pub(crate) enum Handle {
    Memory { delivery: u64 },
    Nats(Box<async_nats::jetstream::Message>),
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nobody answers, for now.
    Away(String),
    /// There is no room.
    Full(String),
    /// A file is not there.
    Missing(B256),
    /// What is there is not what it should be.
    Bad(String),
}

pub(crate) type Result<T> = std::result::Result<T, Trouble>;

impl From<Trouble> for Failure {
    fn from(t: Trouble) -> Self {
        match t {
            Trouble::Away(why) => Self::new(format!("the farm's server does not answer: {why}"))
                .help("start it (`assay farm up`), or look at the address in --nats and the network in between"),
            Trouble::Full(why) => Self::new(format!("the farm's store is full: {why}")).help(
                "make room on the server's disk, or start it with a larger --max-store; what was submitted is kept, and the \
                 same command goes on from there",
            ),
            Trouble::Missing(hash) => Self::new(format!("the farm has no file {hash} (any more)"))
                .help("submit the job again: files are kept as long as --keep of `assay farm up` says"),
            Trouble::Bad(why) => Self::new(format!("the farm's server sent something that makes no sense: {why}"))
                .help("is it the farm's server, and of the same version of assay? See `assay farm status`"),
        }
    }
}

/// What all who use a farm must agree on; whoever sets it up decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long nobody hears of a worker until its job is given to another.
    pub(crate) lease: Duration,
    /// Attempts at a job until it has failed.
    pub(crate) tries: u32,
}

/// See the file's head. All of it may be called from any thread.
pub(crate) trait Backend: Send + Sync {
    fn terms(&self) -> Terms;

    /// Whether workers are to take no more jobs.
    fn is_draining(&self) -> Result<bool>;

    /// A job's record and its revision. `patient` waits for a server that is away.
    fn read(&self, job: B256, patient: bool) -> Result<Option<(Record, u64)>>;

    /// Writes a record if its revision is still this one, or if there is none yet; says whether it was so.
    fn write(&self, record: &Record, revision: Option<u64>) -> Result<bool>;

    /// Sends a note. One that was sent a short time ago may be left out.
    fn push(&self, lane: Lane, note: Note) -> Result<()>;

    /// Sends a note that may have been sent a short time ago, and may have been removed since.
    fn push_again(&self, lane: Lane, note: Note) -> Result<()> {
        self.push(lane, note)
    }

    /// The next message of any of these queues, if one comes in that time.
    fn take(&self, lanes: &[Lane], wait: Duration) -> Result<Option<Message>>;

    /// Says that the message is being worked on: it does not come back for the time of a lease.
    fn progress(&self, message: &Message) -> Result<()>;

    /// Removes the message for good, whoever has it by now.
    fn acknowledge(&self, message: &Message) -> Result<()>;

    /// Lets the message come back after that time.
    fn postpone(&self, message: &Message, delay: Duration) -> Result<()>;

    /// Keeps a file: it is there as a whole or not at all. Returns its hash.
    fn put(&self, bytes: &[u8]) -> Result<B256>;

    /// A file of at most `limit` bytes.
    fn get(&self, hash: B256, limit: u64) -> Result<Vec<u8>>;

    /// Calls `each` with all records, in no order.
    fn each(&self, each: &mut dyn FnMut(Record)) -> Result<()>;
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// The record is this now.
    Done(Record),
    /// The change does not apply to what the record is.
    Not(Option<Record>),
}

/// Changes a record: reads it, and writes what `next` makes of it, again when somebody else was faster. A write whose answer was
/// lost is recognised by what is there.
pub(crate) fn change(backend: &dyn Backend, job: B256, next: impl Fn(&Record) -> Option<Record>) -> Result<Changed> {
    let mut attempted: Option<Record> = None;
    loop {
        let Some((now, revision)) = backend.read(job, true)? else { return Ok(Changed::Not(None)) };
        if attempted.as_ref() == Some(&now) {
            return Ok(Changed::Done(now));
        }
        let Some(wanted) = next(&now) else { return Ok(Changed::Not(Some(now))) };
        if backend.write(&wanted, Some(revision))? {
            return Ok(Changed::Done(wanted));
        }
        attempted = Some(wanted);
    }
}

/// Makes a record if there is none; the one that is there.
pub(crate) fn create(backend: &dyn Backend, record: &Record) -> Result<(Record, bool)> {
    let job = record.spec.id();
    loop {
        if let Some((now, _)) = backend.read(job, true)? {
            return Ok((now, false));
        }
        if backend.write(record, None)? {
            return Ok((record.clone(), true));
        }
    }
}

/// Removes the message of a proof that was dealt with, by whomever. Where it was refused, the job is put back into its queue first, also
/// by one who found it refused: whoever did that may have stopped before, and the message is the last trace of it.
pub(crate) fn checked(backend: &dyn Backend, message: &Message) -> Result<()> {
    if let Some((record, _)) = backend.read(message.note.job, true)?
        && record.needs_message()
        && record.run == message.note.run.wrapping_add(1)
    {
        backend.push(record.spec.kind.into(), record.note())?;
    }
    backend.acknowledge(message)
}

/// Removes a message of a job that is dealt with. If that is lost, the message comes back and is seen to stand for nothing.
pub(crate) fn done(backend: &dyn Backend, message: &Message) -> Outcome<()> {
    match backend.acknowledge(message) {
        Ok(()) | Err(Trouble::Away(_)) => Ok(()),
        Err(t) => Err(t.into()),
    }
}
