//! A farm on a NATS server with JetStream: many machines, one queue.
//!
//! The connection lives on a thread of its own, so that the threads that prove cannot starve it; everybody else waits for it.
//! Whatever comes from the server is bounded: records by their size, files by the size that is expected of them and by their hash.

mod setup;
mod trouble;

pub(crate) use setup::Plan;

use super::{
    backend::{Backend, Handle, Lane, Message, Result, Terms, Trouble},
    record::{Note, Record},
};
use crate::error::{Failure, Outcome};
use assay_contracts::B256;
use assay_verifier::{core::hex, keccak::keccak256};
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions,
    jetstream::{
        self, AckKind, Context, ContextBuilder,
        consumer::{AckPolicy, DeliverPolicy, pull},
        message::PublishMessage,
        object_store::ObjectMetadata,
        stream::Stream,
    },
};
use futures_util::StreamExt;
use setup::{Names, Parts};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt, runtime::Handle as Reactor, time::timeout};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(8);
/// How long anything may take, the largest file too.
const LONGEST: Duration = Duration::from_secs(3_600);
/// How long a file may stand still.
const FILE: Duration = Duration::from_secs(30);
/// Between attempts to reach a server that is away.
const PAUSE: Duration = Duration::from_millis(200);
/// Largest record, in bytes: far more than any that is written.
const MAX_RECORD: usize = 16 << 10;
/// Smallest payload that a server must take: a record with its headers.
const MIN_PAYLOAD: usize = 2 * MAX_RECORD;
/// Largest part of a file, in bytes.
const CHUNK: usize = 128 << 10;
/// Records that are asked for at once.
const PAGE: usize = 500;
/// How long a page of them may take, and how many in a row may bring nothing.
const PAGE_TIME: Duration = Duration::from_secs(2);
const EMPTY: u32 = 4;

/// Where a farm is, and how long it may be away.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) farm: String,
    pub(crate) token: Option<String>,
    pub(crate) patience: Duration,
    /// Whether the process is to end: nobody waits then.
    pub(crate) ending: Arc<AtomicBool>,
}

/// See the file's head.
pub(crate) struct Nats {
    reactor: Reactor,
    place: Place,
    names: Names,
    client: Client,
    context: Context,
    parts: Parts,
}

/// Starts the thread that the connection lives on; it ends with the process.
fn reactor() -> Outcome<Reactor> {
    let cannot = |e: &dyn std::fmt::Display| {
        Failure::new(format!("cannot start a thread: {e}"))
            .help("free memory, or raise the limit on processes (ulimit -u)")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| cannot(&e))?;
    let (send, receive) = mpsc::channel();
    let work = move || {
        let _ = send.send(runtime.handle().clone());
        runtime.block_on(std::future::pending::<()>());
    };
    std::thread::Builder::new().name("assay-nats".to_owned()).spawn(work).map_err(|e| cannot(&e))?;
    receive.recv().map_err(|e| cannot(&e))
}

impl Nats {
    /// Connects to a farm.
    pub(crate) fn open(place: Place) -> Outcome<Self> {
        Self::begin(place, None)
    }

    /// Makes a farm on a server, or changes the terms of the one that is there.
    pub(crate) fn make(place: Place, plan: &Plan) -> Outcome<Self> {
        Self::begin(place, Some(plan))
    }

    fn begin(place: Place, plan: Option<&Plan>) -> Outcome<Self> {
        let reactor = reactor()?;
        let names = Names::new(&place.farm);
        let client = connect(&reactor, &place)?;
        let payload = client.server_info().max_payload;
        if payload < MIN_PAYLOAD {
            return Err(Failure::new(format!(
                "the server takes messages of at most {payload} bytes; a farm needs {MIN_PAYLOAD}"
            ))
            .help("raise max_payload in its configuration"));
        }
        let context = {
            // It starts a task.
            let _inside = reactor.enter();
            ContextBuilder::new().timeout(REQUEST).ack_timeout(REQUEST).build(client.clone())
        };
        let start = Instant::now();
        let parts = loop {
            let made = reactor.block_on(async {
                match plan {
                    Some(plan) => setup::make(&context, &names, plan).await,
                    None => setup::open(&context, &names).await,
                }
            });
            match made {
                Ok(parts) => break parts,
                Err(Trouble::Away(_)) if start.elapsed() < place.patience && !place.ending.load(Ordering::Relaxed) => {
                    std::thread::sleep(PAUSE);
                }
                Err(Trouble::Away(why)) => {
                    return Err(Failure::new(format!(
                        "there is no farm '{}' on {}: {why}",
                        place.farm,
                        shown(&place.url)
                    ))
                    .help("start it with `assay farm up`, or name another with --farm"));
                }
                Err(t) => return Err(t.into()),
            }
        };
        Ok(Self { reactor, place, names, client, context, parts })
    }

    /// The address, without what somebody could log in with.
    pub(crate) fn shown(&self) -> String {
        shown(&self.place.url)
    }

    /// Lets workers take jobs again, or no more.
    pub(crate) fn set_draining(&self, draining: bool) -> Result<()> {
        let text = if draining { "1" } else { "0" };
        self.again(true, async || self.publish(self.names.subject("drain"), text.into(), |m| m).await.map(|_| ()))
    }

    /// Does it until the server answers, for as long as patience goes.
    fn again<T>(&self, patient: bool, op: impl AsyncFn() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            let done = self.reactor.block_on(async {
                timeout(LONGEST, op()).await.unwrap_or_else(|_| Err(Trouble::Away("no answer in time".to_owned())))
            });
            let wait = patient && start.elapsed() < self.place.patience && !self.place.ending.load(Ordering::Relaxed);
            match done {
                Err(Trouble::Away(_)) if wait => std::thread::sleep(PAUSE),
                done => return done,
            }
        }
    }

    /// Publishes and waits until it is stored; `false` if its condition does not hold.
    fn send(&self, lane: Lane, note: &Note, named: impl Fn(PublishMessage) -> PublishMessage) -> Result<()> {
        let bytes = serde_json::to_vec(note).map_err(|e| Trouble::Bad(e.to_string()))?;
        self.again(true, async || self.publish(self.names.lane(lane), bytes.clone(), &named).await.map(|_| ()))
    }

    async fn publish(
        &self,
        subject: String,
        payload: Vec<u8>,
        condition: impl Fn(PublishMessage) -> PublishMessage,
    ) -> Result<bool> {
        let message = condition(PublishMessage::build().payload(payload.into()));
        let sent = match self.context.send_publish(subject, message).await {
            Ok(future) => future.await,
            Err(e) => Err(e),
        };
        match sent {
            Ok(_) => Ok(true),
            Err(e) => trouble::publish(&e).map_or(Ok(false), Err),
        }
    }

    /// The last message of a subject, and its number.
    async fn last(&self, stream: &Stream, subject: String) -> Result<Option<(Vec<u8>, u64)>> {
        match stream.direct_get_last_for_subject(subject).await {
            Ok(m) => Ok(Some((m.payload.to_vec(), m.sequence))),
            Err(e) => trouble::direct(&e).map_or(Ok(None), Err),
        }
    }

    fn job(&self, job: B256) -> String {
        self.names.subject(&format!("job.{}", hex(&job.0)))
    }

    /// Waits for a message of one queue, or only looks.
    async fn fetch(&self, lane: Lane, wait: Option<Duration>) -> Result<Option<Message>> {
        let queue = &self.parts.queues[lane as usize];
        let batch = match wait {
            Some(wait) => queue.batch().max_messages(1).expires(wait).messages().await,
            None => queue.fetch().max_messages(1).messages().await,
        };
        let away = |e: &dyn std::fmt::Display| Trouble::Away(super::record::cut(&e.to_string(), 300));
        let mut batch = batch.map_err(|e| away(&e))?;
        let next = timeout(wait.unwrap_or_default() + REQUEST, batch.next()).await;
        let Ok(Some(message)) = next else { return Ok(None) };
        let message = message.map_err(|e| away(&e))?;
        let info = message.info().map_err(|e| Trouble::Bad(super::record::cut(&e.to_string(), 300)))?;
        let (sequence, deliveries) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(0));
        let Ok(note) = serde_json::from_slice::<Note>(&message.payload) else {
            // Nothing that this program sent: nobody else gets it either.
            let _ = message.ack_with(AckKind::Term).await;
            return Ok(None);
        };
        Ok(Some(Message { note, sequence, deliveries, handle: Handle::Nats(Box::new(message)) }))
    }

    async fn answer(&self, message: &Message, kind: AckKind, wait: bool) -> Result<()> {
        let Handle::Nats(message) = &message.handle else { return Ok(()) };
        let sent = if wait { message.double_ack_with(kind).await } else { message.ack_with(kind).await };
        sent.map_err(|e| Trouble::Away(super::record::cut(&e.to_string(), 300)))
    }

    async fn read_file(&self, hash: B256, limit: u64) -> Result<Vec<u8>> {
        let mut object = match self.parts.files.get(hex(&hash.0)).await {
            Ok(object) => object,
            Err(e) => return Err(trouble::get(&e).unwrap_or(Trouble::Missing(hash))),
        };
        let size = object.info.size as u64;
        if size > limit {
            return Err(Trouble::Bad(format!("file {hash} has {size} bytes; at most {limit} are read")));
        }
        let mut bytes = Vec::new();
        let mut part = vec![0; CHUNK];
        loop {
            let read = timeout(FILE, object.read(&mut part)).await;
            let n = match read {
                Ok(Ok(n)) => n,
                Ok(Err(e)) => return Err(Trouble::Away(super::record::cut(&e.to_string(), 300))),
                Err(_) => return Err(Trouble::Away(format!("file {hash} stands still"))),
            };
            if n == 0 {
                break;
            }
            bytes.extend_from_slice(part.get(..n).unwrap_or_default());
            if bytes.len() as u64 > limit {
                return Err(Trouble::Bad(format!("file {hash} has more than {limit} bytes")));
            }
        }
        // Another may have put the same file at the same time, and what was read is then cut short: it is read again.
        if keccak256(&[&bytes]) != hash.0 {
            return Err(Trouble::Away(format!("file {hash} does not have that hash")));
        }
        Ok(bytes)
    }

    async fn write_file(&self, hash: B256, bytes: &[u8]) -> Result<()> {
        let name = hex(&hash.0);
        match self.parts.files.info(&name).await {
            Ok(info) if !info.deleted && info.size == bytes.len() => return Ok(()),
            Err(e) if trouble::info(&e).is_some() => return Err(trouble::info(&e).unwrap_or(Trouble::Missing(hash))),
            _ => {}
        }
        let chunk = CHUNK.min(self.client.server_info().max_payload / 2).max(MAX_RECORD);
        let meta = ObjectMetadata { name, chunk_size: Some(chunk), ..Default::default() };
        self.parts.files.put(meta, &mut &*bytes).await.map(|_| ()).map_err(|e| trouble::put(&e))
    }

    async fn page(
        &self,
        consumer: &jetstream::consumer::Consumer<pull::Config>,
        each: &mut dyn FnMut(Record),
        before: u64,
    ) -> Result<Page> {
        let away = |e: &dyn std::fmt::Display| Trouble::Away(super::record::cut(&e.to_string(), 300));
        let batch = consumer.batch().max_messages(PAGE).expires(PAGE_TIME).messages().await;
        let mut batch = batch.map_err(|e| away(&e))?;
        let mut seen = before;
        while let Some(message) = timeout(REQUEST, batch.next()).await.map_err(|e| away(&e))? {
            let message = message.map_err(|e| away(&e))?;
            seen += 1;
            let left = message.info().map_or(0, |i| i.pending);
            if let Some(record) = parse(&message.payload) {
                each(record);
            }
            if left == 0 {
                return Ok(Page::Last);
            }
        }
        if seen > before {
            return Ok(Page::More(seen));
        }
        // Records may have been dropped since it was counted how many there are; those that were sent must have come.
        let info = consumer.get_info().await.map_err(|e| away(&e))?;
        Ok(if info.num_pending == 0 && info.delivered.consumer_sequence <= seen { Page::Last } else { Page::Empty })
    }
}

/// What a question for records brought.
enum Page {
    /// So many with those before, and there may be more.
    More(u64),
    /// Nothing, and there are some.
    Empty,
    /// There are no more.
    Last,
}

/// A record, if the bytes are one.
fn parse(bytes: &[u8]) -> Option<Record> {
    (bytes.len() <= MAX_RECORD).then(|| serde_json::from_slice(bytes).ok())?
}

/// An address without the part that somebody could log in with.
pub(crate) fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(s, _)| s);
            if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
        }
        None => url.to_owned(),
    }
}

fn connect(reactor: &Reactor, place: &Place) -> Outcome<Client> {
    let start = Instant::now();
    loop {
        let mut options = ConnectOptions::new()
            .name("assay farm")
            .connection_timeout(Duration::from_secs(5))
            .request_timeout(Some(REQUEST))
            .max_reconnects(None)
            .reconnect_delay_callback(|n| Duration::from_millis(100 * (n as u64).min(20)));
        if let Some(token) = &place.token {
            options = options.token(token.clone());
        }
        let failed = match reactor.block_on(options.connect(place.url.as_str())) {
            Ok(client) => return Ok(client),
            Err(e) => e,
        };
        let problem = Failure::new(format!("cannot connect to {}: {}", shown(&place.url), trouble::text(&failed)));
        match failed.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                return Err(problem.help("pass the farm's token: --token-file FILE, or ASSAY_FARM_TOKEN"));
            }
            ConnectErrorKind::ServerParse => return Err(problem.help("an address looks like nats://host:4222")),
            _ if start.elapsed() < place.patience && !place.ending.load(Ordering::Relaxed) => std::thread::sleep(PAUSE),
            _ => {
                return Err(problem.help("start the farm's server (`assay farm up`), or look at the address in --nats"));
            }
        }
    }
}

impl Backend for Nats {
    fn terms(&self) -> Terms {
        self.parts.terms
    }

    fn is_draining(&self) -> Result<bool> {
        let last = self.again(true, async || self.last(&self.parts.settings, self.names.subject("drain")).await)?;
        Ok(last.is_some_and(|(text, _)| text == b"1"))
    }

    fn read(&self, job: B256, patient: bool) -> Result<Option<(Record, u64)>> {
        let Some((bytes, revision)) = self.again(patient, async || self.last(&self.parts.jobs, self.job(job)).await)?
        else {
            return Ok(None);
        };
        match parse(&bytes) {
            Some(record) if record.spec.id() == job => Ok(Some((record, revision))),
            _ => Err(Trouble::Bad(format!("the record of job {job} is none"))),
        }
    }

    fn write(&self, record: &Record, revision: Option<u64>) -> Result<bool> {
        let bytes = serde_json::to_vec(record).map_err(|e| Trouble::Bad(e.to_string()))?;
        if bytes.len() > MAX_RECORD {
            return Err(Trouble::Bad(format!("a record of {} bytes; at most {MAX_RECORD} are kept", bytes.len())));
        }
        let subject = self.job(record.spec.id());
        self.again(true, async || {
            let only = |m: PublishMessage| m.expected_last_subject_sequence(revision.unwrap_or(0));
            self.publish(subject.clone(), bytes.clone(), only).await
        })
    }

    fn push(&self, lane: Lane, note: Note) -> Result<()> {
        let id = format!("{}.{}.{}", lane.name(), hex(&note.job.0), note.run);
        self.send(lane, &note, |m| m.message_id(&id))
    }

    fn push_again(&self, lane: Lane, note: Note) -> Result<()> {
        // Without a name for the server to know it by.
        self.send(lane, &note, |m| m)
    }

    fn take(&self, lanes: &[Lane], wait: Duration) -> Result<Option<Message>> {
        let taken = self.again(false, async || {
            if lanes.len() > 1 {
                for lane in lanes {
                    if let Some(message) = self.fetch(*lane, None).await? {
                        return Ok(Some(message));
                    }
                }
            }
            let share = wait / u32::try_from(lanes.len().max(1)).unwrap_or(1);
            for lane in lanes {
                if let Some(message) = self.fetch(*lane, Some(share)).await? {
                    return Ok(Some(message));
                }
            }
            Ok(None)
        });
        match taken {
            Err(Trouble::Away(_)) => {
                std::thread::sleep(PAUSE);
                Ok(None)
            }
            taken => taken,
        }
    }

    fn progress(&self, message: &Message) -> Result<()> {
        self.again(false, async || self.answer(message, AckKind::Progress, false).await)
    }

    fn acknowledge(&self, message: &Message) -> Result<()> {
        self.again(false, async || self.answer(message, AckKind::Ack, true).await)
    }

    fn postpone(&self, message: &Message, delay: Duration) -> Result<()> {
        self.again(false, async || self.answer(message, AckKind::Nak(Some(delay)), true).await)
    }

    fn put(&self, bytes: &[u8]) -> Result<B256> {
        let hash = keccak256(&[bytes]).into();
        self.again(true, async || self.write_file(hash, bytes).await)?;
        Ok(hash)
    }

    fn get(&self, hash: B256, limit: u64) -> Result<Vec<u8>> {
        self.again(true, async || self.read_file(hash, limit).await)
    }

    fn each(&self, each: &mut dyn FnMut(Record)) -> Result<()> {
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            deliver_policy: DeliverPolicy::LastPerSubject,
            filter_subject: self.names.subject("job.*"),
            inactive_threshold: Duration::from_secs(30),
            memory_storage: true,
            ..Default::default()
        };
        let consumer = self.again(true, async || {
            let made = self.parts.jobs.create_consumer(config.clone()).await;
            made.map_err(|e| trouble::by_text(trouble::text(&e)))
        })?;
        if consumer.cached_info().num_pending == 0 {
            return Ok(());
        }
        // Not again after a failure: records would be counted twice. Nor are a part of them all of them: a server that is slow has a
        // few more pages' time.
        let (mut seen, mut empty) = (0, 0);
        loop {
            match self.reactor.block_on(self.page(&consumer, each, seen))? {
                Page::Last => return Ok(()),
                Page::More(n) => (seen, empty) = (n, 0),
                Page::Empty if empty < EMPTY => empty += 1,
                Page::Empty => return Err(Trouble::Away("it does not send all of its records".to_owned())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        assert_eq!(shown("nats://user:pass@host:4222"), "nats://host:4222");
        assert_eq!(shown("token@host"), "host");
        assert_eq!(shown("nats://host:4222"), "nats://host:4222");
    }

    #[test]
    fn what_is_no_record_is_none() {
        assert!(parse(b"{}").is_none() && parse(&vec![b' '; MAX_RECORD + 1]).is_none());
    }
}
