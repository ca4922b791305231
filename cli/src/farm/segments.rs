//! Inferences of a split model as jobs: one for each segment, which any workers take at the same time, since the boundaries between
//! them are computed and committed to when they are sent.
//!
//! The boundaries' blinding factors are random, so they are kept in the cache folder, for nobody else to read: sending the same
//! inference again is the same jobs.

use super::{
    backend::Backend,
    record::{Kind, Part, Purpose, Record, Spec},
    shelf,
    submit::{Collected, Sending},
};
use crate::{
    App,
    error::{Failure, Outcome},
    files,
    split::{Split, prove::boundaries},
};
use assay_circuits::{Tensor, canonical};
use assay_contracts::B256;
use assay_prover::Stack;
use assay_verifier::{
    CoreProof,
    core::hex,
    segments::{SegmentKeys, SegmentProofs},
    settle::key::{Context, SettledProof},
};
use std::path::{Path, PathBuf};

/// What is to be proven, ready to be sent.
pub(crate) struct Segments {
    pub(crate) split: Split,
    pub(crate) keys: SegmentKeys,
    pub(crate) secret: Option<B256>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) srs: Option<PathBuf>,
    /// The inputs of all inferences, and how many are proven together.
    pub(crate) samples: Vec<Vec<Tensor>>,
    pub(crate) batch: usize,
    /// What the jobs are called, with numbers behind it, and the first number.
    pub(crate) name: String,
    pub(crate) first: usize,
}

impl Segments {
    fn name_of(&self, chunk: usize) -> String {
        format!("{}-{:05}", self.name, self.first + chunk * self.batch)
    }

    /// The boundaries of an inference: those that were sent before, or new ones.
    fn stacks(&self, app: &App, id: &[u8; 32], samples: &[Vec<Tensor>], packed: &[u8]) -> Outcome<Vec<Stack>> {
        let entry = |k: usize| {
            let parts: [&[u8]; 3] = [id, packed, &(k as u64).to_be_bytes()];
            format!("boundary-{}.stack", hex(&canonical::digest("assay.cache.boundary.v1", &parts)))
        };
        let count = self.split.len().saturating_sub(1);
        let kept = |k: usize| {
            let stack = Stack::from_bytes(&app.cache.get(&entry(k), &app.output)?).ok();
            if stack.is_none() {
                // What stays there is what would be read.
                app.cache.discard(&entry(k), &app.output);
            }
            stack
        };
        // All are looked at, so that none is left that cannot be read.
        let found: Vec<Option<Stack>> = (0..count).map(kept).collect();
        if let Some(all) = found.into_iter().collect() {
            return Ok(all);
        }
        let mut made = boundaries(app, &self.split, samples, &self.keys, self.srs.as_deref())?;
        for (k, stack) in made.iter_mut().enumerate() {
            match app.cache.keep_private(&entry(k), &stack.to_bytes()?, &app.output) {
                // Those of another process may have been first.
                Ok(kept) => *stack = Stack::from_bytes(&kept)?,
                Err(why) => {
                    app.output.warn(format!(
                        "the boundaries cannot be kept ({why}): the same submission would be other jobs the next time"
                    ));
                    break;
                }
            }
        }
        Ok(made)
    }

    /// Sends the jobs of all inferences, as [`super::submit::send`].
    pub(crate) fn send(&self, app: &App, backend: &dyn Backend, retry: bool) -> Outcome<Sending> {
        let id = self.keys.id()?;
        let (kind, keys): (Kind, Vec<Vec<u8>>) = match &self.keys {
            SegmentKeys::Core(keys) => (Kind::Core, keys.iter().map(|k| k.to_bytes()).collect::<Result<_, _>>()?),
            SegmentKeys::Settled(keys) => (Kind::Settled, keys.iter().map(|k| k.to_bytes()).collect::<Result<_, _>>()?),
        };
        let keys = keys.iter().map(|k| backend.put(k)).collect::<Result<Vec<_>, _>>()?;
        let mut models = Vec::with_capacity(self.split.len());
        for k in 0..self.split.len() {
            models.push(backend.put(&self.split.file(k)?.1)?);
        }
        let of = u32::try_from(self.split.len()).unwrap_or(u32::MAX);
        let mut out = Sending::default();
        for (i, samples) in self.samples.chunks(self.batch).enumerate() {
            let packed = shelf::pack(samples);
            let input = backend.put(&packed)?;
            let mut stacks = Vec::with_capacity(self.split.len());
            for stack in self.stacks(app, &id, samples, &packed)? {
                stacks.push(backend.put(&stack.to_bytes()?)?);
            }
            let purpose = self.purpose.as_ref().map_or([0; 32], |p| Context::from(p).digest());
            let mut parts: Vec<&[u8]> = vec![&id, &input.0, &purpose];
            parts.extend(stacks.iter().map(|s: &B256| s.0.as_slice()));
            let whole = B256::from(canonical::digest("assay.farm.whole.v1", &parts));
            for (k, (model, key)) in models.iter().zip(&keys).enumerate() {
                let held = self.split.boundaries(k)?.into_iter().filter_map(|b| stacks.get(b).copied()).collect();
                let spec = Spec {
                    kind,
                    model: *model,
                    key: *key,
                    input: if k == 0 { input } else { B256::ZERO },
                    batch: u32::try_from(samples.len()).unwrap_or(u32::MAX),
                    purpose: self.purpose,
                    secret: self.secret,
                    stacks: held,
                };
                let mut record = Record::new(spec, &format!("{}-segment-{}", self.name_of(i), k + 1));
                record.part = Some(Part { whole, segment: u32::try_from(k + 1).unwrap_or(u32::MAX), of });
                out.one(app, backend, record, retry)?;
            }
        }
        Ok(out)
    }

    /// Makes one file of the proofs of each inference's segments, all of which were collected, and checks each as a whole.
    pub(crate) fn join(&self, collected: &mut Collected, folder: &Path) -> Outcome<()> {
        let mut joined = Vec::new();
        for (i, parts) in collected.proofs.chunks(self.split.len()).enumerate() {
            let files = parts.iter().map(|p| files::read(p, shelf::MAX_PROOF)).collect::<Outcome<Vec<_>>>()?;
            let proofs = match &self.keys {
                SegmentKeys::Core(_) => {
                    files.iter().map(|b| CoreProof::from_bytes(b)).collect::<Result<_, _>>().map(SegmentProofs::Core)?
                }
                SegmentKeys::Settled(_) => files
                    .iter()
                    .map(|b| SettledProof::from_bytes(b))
                    .collect::<Result<_, _>>()
                    .map(SegmentProofs::Settled)?,
            };
            self.keys.verify(&proofs).map_err(Failure::from)?;
            let path = folder.join(format!("{}.proofs", self.name_of(i)));
            files::write(&path, &proofs.to_bytes())?;
            for part in parts {
                // It is in the other file now.
                let _ = std::fs::remove_file(part);
            }
            joined.push(path);
        }
        collected.proofs = joined;
        Ok(())
    }
}
