//! The protocol under every order of events: workers that die or sleep, messages that come twice or late, writes whose answers are
//! lost. No proofs are made here.

use super::{
    backend::{Backend, Changed, Handle, Lane, Message, Result, Terms, Trouble, change, checked, create},
    memory::Memory,
    record::{Note, Record, State, Take, tests::spec},
};
use assay_contracts::B256;
use assay_verifier::keccak::keccak256;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, sync::Mutex, time::Duration};

/// A backend whose answers are lost now and then: what was asked for has happened, or has not.
struct Lossy {
    inner: Memory,
    random: Mutex<StdRng>,
}

impl Lossy {
    fn lose<T>(&self, op: impl FnOnce() -> Result<T>) -> Result<T> {
        let dice = self.random.lock().unwrap().gen_range(0..10);
        match dice {
            0 => Err(Trouble::Away("lost before".to_owned())),
            1 => op().and_then(|_| Err(Trouble::Away("lost after".to_owned()))),
            _ => op(),
        }
    }
}

impl Backend for Lossy {
    fn terms(&self) -> Terms {
        self.inner.terms()
    }
    fn is_draining(&self) -> Result<bool> {
        Ok(false)
    }
    fn read(&self, job: B256, patient: bool) -> Result<Option<(Record, u64)>> {
        self.inner.read(job, patient)
    }
    // As a patient backend: it asks again until there is an answer, and then it may be that of the second time.
    fn write(&self, record: &Record, revision: Option<u64>) -> Result<bool> {
        loop {
            match self.lose(|| self.inner.write(record, revision)) {
                Err(Trouble::Away(_)) => {}
                done => return done,
            }
        }
    }
    fn push(&self, lane: Lane, note: Note) -> Result<()> {
        self.lose(|| self.inner.push(lane, note))
    }
    fn take(&self, lanes: &[Lane], _: Duration) -> Result<Option<Message>> {
        self.inner.take(lanes, Duration::ZERO)
    }
    fn progress(&self, message: &Message) -> Result<()> {
        self.inner.progress(message)
    }
    fn acknowledge(&self, message: &Message) -> Result<()> {
        self.lose(|| self.inner.acknowledge(message))
    }
    fn postpone(&self, message: &Message, delay: Duration) -> Result<()> {
        self.lose(|| self.inner.postpone(message, delay))
    }
    fn put(&self, bytes: &[u8]) -> Result<B256> {
        self.inner.put(bytes)
    }
    fn get(&self, hash: B256, limit: u64) -> Result<Vec<u8>> {
        self.inner.get(hash, limit)
    }
    fn each(&self, each: &mut dyn FnMut(Record)) -> Result<()> {
        self.inner.each(each)
    }
}

/// What somebody has begun and not ended; it may never be.
enum Begun {
    Work { message: Message, lease: B256 },
    Check { message: Message, proof: B256 },
}

struct World {
    farm: Lossy,
    random: StdRng,
    begun: Vec<Begun>,
    /// The proofs that were accepted; never a second one of a job.
    accepted: BTreeMap<B256, B256>,
    leases: u64,
}

impl World {
    fn number(&mut self) -> B256 {
        self.leases += 1;
        keccak256(&[&self.leases.to_be_bytes()]).into()
    }

    /// A worker or a keeper takes a message.
    fn take(&mut self) -> Result<()> {
        let lane = if self.random.gen_bool(0.5) { Lane::Core } else { Lane::Check };
        let Some(message) = self.farm.take(&[lane], Duration::ZERO)? else { return Ok(()) };
        let Some((record, revision)) = self.farm.read(message.note.job, true)? else {
            panic!("a note without a record")
        };
        if lane == Lane::Check {
            match &record.at {
                State::Proven { proof, .. } if record.run == message.note.run => {
                    let proof = *proof;
                    self.begun.push(Begun::Check { message, proof });
                }
                _ => checked(&self.farm, &message)?,
            }
            return Ok(());
        }
        let lease = self.number();
        match record.take(message.note.run, message.sequence, lease, "w", self.farm.terms().tries) {
            Take::Lease(next) => {
                let ours = self.farm.write(&next, Some(revision))?;
                let now = self.farm.read(message.note.job, true)?.unwrap().0;
                if ours || now.holds(lease) {
                    self.begun.push(Begun::Work { message, lease });
                }
            }
            Take::GiveUp(next) => {
                self.farm.write(&next, Some(revision))?;
            }
            Take::Announce => {
                self.farm.push(Lane::Check, record.note())?;
                self.farm.acknowledge(&message)?;
            }
            Take::Drop => self.farm.acknowledge(&message)?,
        }
        Ok(())
    }

    /// Somebody ends what was begun, perhaps long after it was given to others.
    fn end(&mut self) -> Result<()> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let at = self.random.gen_range(0..self.begun.len());
        let dice = self.random.gen_range(0..10);
        match self.begun.swap_remove(at) {
            // It died.
            _ if dice < 2 => Ok(()),
            Begun::Work { message, lease } => {
                let job = message.note.job;
                if dice < 3 {
                    change(&self.farm, job, |r| r.release(lease, "no", false))?;
                    return self.farm.postpone(&message, Duration::ZERO);
                }
                let proof = self.number();
                if let Changed::Done(next) = change(&self.farm, job, |r| r.hand_in(lease, proof, 1))? {
                    self.farm.push(Lane::Check, next.note())?;
                    self.farm.acknowledge(&message)?;
                }
                Ok(())
            }
            Begun::Check { message, proof } => {
                let (job, tries) = (message.note.job, self.farm.terms().tries);
                if dice < 4 {
                    change(&self.farm, job, |r| r.refuse(proof, "no", tries))?;
                } else if let Changed::Done(_) = change(&self.farm, job, |r| r.accept(proof))? {
                    let before = self.accepted.insert(job, proof);
                    assert!(before.is_none_or(|p| p == proof), "two proofs of one job were accepted");
                }
                checked(&self.farm, &message)
            }
        }
    }
}

/// Nothing is lost and nothing is done twice, whatever order things happen in.
#[test]
fn every_job_ends_once() {
    for seed in 0..40 {
        // Messages come back at once: every lease is stolen now and then.
        let terms = Terms { lease: Duration::from_micros(200), tries: 6 };
        let farm = Lossy { inner: Memory::new(terms), random: Mutex::new(StdRng::seed_from_u64(seed)) };
        let random = StdRng::seed_from_u64(seed + 1_000);
        let mut w = World { farm, random, begun: Vec::new(), accepted: BTreeMap::new(), leases: 0 };
        let jobs: Vec<Record> = (0..12).map(|n| Record::new(spec(n), "n")).collect();
        for job in jobs.iter().chain(&jobs[..3]) {
            // Submitted until it went through, some of them twice.
            while let Err(Trouble::Away(_)) = create(&w.farm, job)
                .and_then(|(r, _)| if r.needs_message() { w.farm.push(Lane::Core, r.note()) } else { Ok(()) })
            {
            }
        }
        let mut over = false;
        for _ in 0..200_000 {
            let step = if w.random.gen_bool(0.6) { w.take() } else { w.end() };
            assert!(matches!(step, Ok(()) | Err(Trouble::Away(_))), "{step:?}");
            over = jobs.iter().all(|j| w.farm.read(j.spec.id(), true).unwrap().unwrap().0.is_over());
            if over {
                break;
            }
        }
        assert!(over, "seed {seed}: a job is lost");
        for job in &jobs {
            let (record, _) = w.farm.read(job.spec.id(), true).unwrap().unwrap();
            match record.at {
                State::Accepted { proof, .. } => assert_eq!(w.accepted.get(&job.spec.id()), Some(&proof)),
                State::Failed { reason } => assert!(reason.contains("gave up after"), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn handles_are_of_their_backend() {
    let m = Memory::new(Terms { lease: Duration::from_secs(9), tries: 1 });
    m.push(Lane::Settled, Record::new(spec(1), "n").note()).unwrap();
    assert!(m.take(&[Lane::Core], Duration::ZERO).unwrap().is_none());
    let message = m.take(&[Lane::Settled], Duration::ZERO).unwrap().unwrap();
    assert!(matches!(message.handle, Handle::Memory { .. }));
}
