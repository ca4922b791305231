//! What a farm is at.

use super::{
    backend::{Backend, Result},
    record::State,
};
use assay_contracts::B256;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many failed jobs, and how many workers, are listed; all are counted.
const LISTED: usize = 1_000;

/// Jobs by state, in the order they go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) queued: u64,
    pub(crate) leased: u64,
    pub(crate) proven: u64,
    pub(crate) accepted: u64,
    pub(crate) failed: u64,
}

/// A worker, as far as jobs name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) works_on: u64,
    pub(crate) accepted: u64,
}

/// A job that failed: id, name, reason.
pub(crate) type Failed = (B256, String, String);

/// Counted from the records: what a server counts as pending leaves out what it does not deliver at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overview {
    pub(crate) counts: Counts,
    pub(crate) workers: BTreeMap<String, Who>,
    pub(crate) failures: Vec<Failed>,
    /// Inferences of split models, by what all jobs of one have in common.
    pub(crate) wholes: BTreeMap<B256, Whole>,
}

/// An inference whose segments are jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whole {
    /// What the first of its jobs is called.
    pub(crate) name: String,
    /// Number of segments.
    pub(crate) of: u32,
    pub(crate) accepted: u32,
    /// Segments whose jobs failed.
    pub(crate) failed: Vec<u32>,
}

pub(crate) fn overview(backend: &dyn Backend) -> Result<Overview> {
    let mut out = Overview::default();
    backend.each(&mut |record| {
        let id = record.spec.id();
        let mut who = |name: &str, f: &dyn Fn(&mut Who)| {
            if out.workers.len() < LISTED || out.workers.contains_key(name) {
                f(out.workers.entry(name.to_owned()).or_default());
            }
        };
        if let Some(part) = record.part
            && (out.wholes.len() < LISTED || out.wholes.contains_key(&part.whole))
        {
            let whole = out.wholes.entry(part.whole).or_default();
            if whole.name.is_empty() || part.segment == 1 {
                whole.name.clone_from(&record.name);
            }
            whole.of = part.of;
            match &record.at {
                State::Accepted { .. } => whole.accepted += 1,
                State::Failed { .. } => whole.failed.push(part.segment),
                _ => {}
            }
        }
        match &record.at {
            State::Queued => out.counts.queued += 1,
            State::Leased { worker, .. } => {
                out.counts.leased += 1;
                who(worker, &|w| w.works_on += 1);
            }
            State::Proven { worker, .. } => {
                out.counts.proven += 1;
                who(worker, &|_| {});
            }
            State::Accepted { worker, .. } => {
                out.counts.accepted += 1;
                who(worker, &|w| w.accepted += 1);
            }
            State::Failed { reason } => {
                out.counts.failed += 1;
                if out.failures.len() < LISTED {
                    out.failures.push((id, record.name.clone(), reason.clone()));
                }
            }
        }
    })?;
    Ok(out)
}

impl Overview {
    pub(crate) fn json(&self) -> Value {
        let c = &self.counts;
        json!({
            "queued": c.queued,
            "leased": c.leased,
            "proven": c.proven,
            "accepted": c.accepted,
            "failed": c.failed,
            "workers": self.workers.iter().map(|(name, w)| {
                json!({ "name": name, "works_on": w.works_on, "accepted": w.accepted })
            }).collect::<Vec<_>>(),
            "split": self.wholes.iter().map(|(whole, w)| {
                json!({ "whole": whole, "name": w.name, "segments": w.of, "accepted": w.accepted, "failed": w.failed })
            }).collect::<Vec<_>>(),
            "failures": self.failures.iter().map(|(job, name, reason)| {
                json!({ "job": job, "name": name, "reason": reason })
            }).collect::<Vec<_>>(),
        })
    }
}
