//! A farm in this process: the same queue, records and files, for the threads of one machine.

use super::{
    backend::{Backend, Handle, Lane, Message, Result, Terms, Trouble},
    record::{Note, Record},
};
use assay_contracts::B256;
use assay_verifier::keccak::keccak256;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Longest wait for a message.
const LOOK: Duration = Duration::from_millis(50);

/// A message that was sent and not acknowledged.
#[derive(Debug)]
struct Sent {
    note: Note,
    deliveries: u64,
    /// Of the last delivery.
    delivery: u64,
    /// When it comes back.
    back: Option<Instant>,
}

#[derive(Debug, Default)]
struct Lanes {
    waiting: [VecDeque<u64>; 3],
    sent: [BTreeMap<u64, Sent>; 3],
}

#[derive(Debug, Default)]
struct Inner {
    lanes: Lanes,
    records: BTreeMap<B256, (Record, u64)>,
    files: BTreeMap<B256, Vec<u8>>,
    /// Sequences, deliveries and revisions.
    last: u64,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Memory {
    terms: Terms,
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Puts messages whose time is over back into their queue; when the next one's time is over.
    fn return_late(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for (waiting, sent) in self.lanes.waiting.iter_mut().zip(&mut self.lanes.sent) {
            for (sequence, s) in sent.iter_mut() {
                match s.back {
                    Some(back) if back <= now => {
                        s.back = None;
                        waiting.push_back(*sequence);
                    }
                    Some(back) => next = Some(next.map_or(back, |n| n.min(back))),
                    None => {}
                }
            }
        }
        next
    }
}

impl Memory {
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, inner: Mutex::default(), changed: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Memory {
    fn terms(&self) -> Terms {
        self.terms
    }

    fn is_draining(&self) -> Result<bool> {
        Ok(false)
    }

    fn read(&self, job: B256, _: bool) -> Result<Option<(Record, u64)>> {
        Ok(self.inner().records.get(&job).cloned())
    }

    fn write(&self, record: &Record, revision: Option<u64>) -> Result<bool> {
        let mut inner = self.inner();
        let job = record.spec.id();
        if inner.records.get(&job).map(|(_, r)| *r) != revision {
            return Ok(false);
        }
        let revision = inner.number();
        inner.records.insert(job, (record.clone(), revision));
        Ok(true)
    }

    fn push(&self, lane: Lane, note: Note) -> Result<()> {
        let mut inner = self.inner();
        let sequence = inner.number();
        let sent = Sent { note, deliveries: 0, delivery: 0, back: None };
        inner.lanes.sent[lane as usize].insert(sequence, sent);
        inner.lanes.waiting[lane as usize].push_back(sequence);
        self.changed.notify_all();
        Ok(())
    }

    fn take(&self, lanes: &[Lane], wait: Duration) -> Result<Option<Message>> {
        // Whoever waits looks soon whether it is to end.
        let end = Instant::now() + wait.min(LOOK);
        let mut inner = self.inner();
        loop {
            let now = Instant::now();
            let next = inner.return_late(now);
            for lane in lanes.iter().map(|l| *l as usize) {
                while let Some(sequence) = inner.lanes.waiting[lane].pop_front() {
                    let delivery = inner.number();
                    // One that was acknowledged meanwhile is gone.
                    let Some(sent) = inner.lanes.sent[lane].get_mut(&sequence) else { continue };
                    sent.deliveries += 1;
                    sent.delivery = delivery;
                    sent.back = Some(now + self.terms.lease);
                    let (note, deliveries) = (sent.note, sent.deliveries);
                    return Ok(Some(Message { note, sequence, deliveries, handle: Handle::Memory { delivery } }));
                }
            }
            if now >= end {
                return Ok(None);
            }
            let until = next.map_or(end, |n| n.min(end));
            let waited = self.changed.wait_timeout(inner, until.saturating_duration_since(now));
            inner = waited.map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
        }
    }

    fn progress(&self, message: &Message) -> Result<()> {
        self.postpone(message, self.terms.lease)
    }

    fn acknowledge(&self, message: &Message) -> Result<()> {
        let mut inner = self.inner();
        for sent in &mut inner.lanes.sent {
            sent.remove(&message.sequence);
        }
        Ok(())
    }

    fn postpone(&self, message: &Message, delay: Duration) -> Result<()> {
        let Handle::Memory { delivery } = message.handle else { return Ok(()) };
        let mut inner = self.inner();
        for sent in &mut inner.lanes.sent {
            if let Some(s) = sent.get_mut(&message.sequence)
                && s.delivery == delivery
                && s.back.is_some()
            {
                s.back = Some(Instant::now() + delay);
            }
        }
        drop(inner);
        self.changed.notify_all();
        Ok(())
    }

    fn put(&self, bytes: &[u8]) -> Result<B256> {
        let hash = keccak256(&[bytes]).into();
        self.inner().files.entry(hash).or_insert_with(|| bytes.to_vec());
        Ok(hash)
    }

    fn get(&self, hash: B256, limit: u64) -> Result<Vec<u8>> {
        let inner = self.inner();
        let bytes = inner.files.get(&hash).ok_or(Trouble::Missing(hash))?;
        if bytes.len() as u64 > limit {
            return Err(Trouble::Bad(format!("file {hash} has {} bytes; at most {limit} are read", bytes.len())));
        }
        Ok(bytes.clone())
    }

    fn each(&self, each: &mut dyn FnMut(Record)) -> Result<()> {
        let all: Vec<Record> = self.inner().records.values().map(|(r, _)| r.clone()).collect();
        all.into_iter().for_each(each);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::tests::spec, *};

    fn memory() -> Memory {
        Memory::new(Terms { lease: Duration::from_millis(40), tries: 4 })
    }

    fn take(m: &Memory) -> Message {
        loop {
            if let Some(message) = m.take(&[Lane::Settled, Lane::Core], Duration::from_millis(400)).unwrap() {
                return message;
            }
        }
    }

    #[test]
    fn what_is_not_acknowledged_comes_back_with_the_same_number() {
        let m = memory();
        let note = Record::new(spec(1), "n").note();
        m.push(Lane::Core, note).unwrap();
        let first = take(&m);
        let second = take(&m);
        assert_eq!((first.note, first.sequence), (second.note, second.sequence));
        assert_eq!((first.deliveries, second.deliveries), (1, 2));
        // A late acknowledgement of an older delivery removes the message, as that of a NATS server does.
        m.acknowledge(&first).unwrap();
        for _ in 0..3 {
            assert!(m.take(&[Lane::Core], Duration::from_millis(400)).unwrap().is_none());
        }
    }

    #[test]
    fn records_change_for_whoever_knows_the_last_revision() {
        let m = memory();
        let r = Record::new(spec(1), "n");
        assert!(m.write(&r, None).unwrap() && !m.write(&r, None).unwrap());
        let (_, revision) = m.read(r.spec.id(), true).unwrap().unwrap();
        assert!(m.write(&r, Some(revision)).unwrap() && !m.write(&r, Some(revision)).unwrap());
    }
}
