//! Models, keys and inputs of jobs: pulled once, checked against their hash, kept in the cache folder and, the last ones, in memory.

use super::{
    backend::{Backend, Trouble},
    record::{Kind, Spec},
};
use crate::{
    App,
    error::{Failure, Outcome},
    files,
};
use assay_circuits::{
    NodeId, Tensor, canonical,
    model::{Model, TensorSpec},
    stack::{NamedStack, Role, open},
};
use assay_contracts::B256;
use assay_prover::{Stack, stack::MAX_FILE_BYTES};
use assay_verifier::{VerifyingKey, core::hex, keccak::keccak256, settle::key::SettlementKey};
use std::sync::Arc;

/// Largest model and key that are pulled, in bytes.
const MAX_MODEL: u64 = 8 << 30;
const MAX_KEY: u64 = 1 << 30;
/// Largest proof.
pub(crate) const MAX_PROOF: u64 = 256 << 20;
/// How many models and keys stay in memory.
const KEPT: usize = 3;

/// Why a job could not be worked on.
#[derive(Debug)]
pub(crate) enum Undone {
    /// Something of the job is wrong: nobody can do it.
    Hopeless(String),
    /// It did not work out this time.
    Failed(String),
    /// The farm's server is in trouble.
    Farm(Trouble),
    /// This process lacks something that all such jobs need.
    Unfit(Failure),
}

impl From<Trouble> for Undone {
    fn from(t: Trouble) -> Self {
        match t {
            Trouble::Missing(hash) => {
                Self::Hopeless(format!("the farm has no file {hash} (any more): submit again with --retry"))
            }
            t => Self::Farm(t),
        }
    }
}

pub(crate) type Done<T> = Result<T, Undone>;

/// A key of either kind.
pub(crate) enum Key {
    Core(Box<VerifyingKey>),
    Settled(Box<SettlementKey>),
}

impl Key {
    /// The stacks that proofs under it are about.
    pub(crate) fn stacks(&self) -> &[NamedStack] {
        match self {
            Self::Core(k) => &k.stacks,
            Self::Settled(k) => &k.stacks,
        }
    }
}

/// What a job is about.
#[derive(Clone)]
pub(crate) struct About {
    pub(crate) model: Arc<Model>,
    pub(crate) key: Arc<Key>,
}

/// See the file's head.
#[derive(Default)]
pub(crate) struct Shelf {
    models: Vec<(B256, Arc<Model>)>,
    keys: Vec<(B256, Arc<Key>)>,
}

/// Takes what is there to the front; says whether it was.
fn found<T>(all: &mut [(B256, Arc<T>)], hash: B256) -> Option<Arc<T>> {
    let at = all.iter().position(|(h, _)| *h == hash)?;
    all[..=at].rotate_right(1);
    all.first().map(|(_, t)| Arc::clone(t))
}

fn keep<T>(all: &mut Vec<(B256, Arc<T>)>, hash: B256, value: T) -> Arc<T> {
    let value = Arc::new(value);
    all.insert(0, (hash, Arc::clone(&value)));
    all.truncate(KEPT);
    value
}

/// A file from the cache folder, or from the farm.
fn pull(app: &App, backend: &dyn Backend, hash: B256, limit: u64) -> Result<Vec<u8>, Trouble> {
    let entry = format!("farm-{}.file", hex(&hash.0));
    if let Some(bytes) = app.cache.get(&entry, &app.output) {
        if keccak256(&[&bytes]) == hash.0 {
            return Ok(bytes);
        }
        app.cache.discard(&entry, &app.output);
    }
    let bytes = backend.get(hash, limit)?;
    app.cache.put(&entry, &bytes);
    Ok(bytes)
}

impl Shelf {
    /// Model and key of a job.
    pub(crate) fn about(&mut self, app: &App, backend: &dyn Backend, spec: &Spec) -> Done<About> {
        let wrong =
            |what: &str, e: &dyn std::fmt::Display| Undone::Hopeless(format!("the job's {what} makes no sense: {e}"));
        let model = match found(&mut self.models, spec.model) {
            Some(model) => model,
            None => {
                let bytes = pull(app, backend, spec.model, MAX_MODEL)?;
                keep(&mut self.models, spec.model, Model::from_bytes(&bytes).map_err(|e| wrong("model", &e))?)
            }
        };
        let key = match found(&mut self.keys, spec.key) {
            Some(key) => key,
            None => {
                let bytes = pull(app, backend, spec.key, MAX_KEY)?;
                let key = match spec.kind {
                    Kind::Core => Key::Core(Box::new(VerifyingKey::from_bytes(&bytes).map_err(|e| wrong("key", &e))?)),
                    Kind::Settled => {
                        Key::Settled(Box::new(SettlementKey::from_bytes(&bytes).map_err(|e| wrong("key", &e))?))
                    }
                };
                keep(&mut self.keys, spec.key, key)
            }
        };
        fits(&model, &key, spec)?;
        Ok(About { model, key })
    }

    /// The inputs of a job that no stack holds.
    pub(crate) fn input(&self, backend: &dyn Backend, spec: &Spec, about: &About) -> Done<Vec<Vec<Tensor>>> {
        let model = &about.model;
        let inputs = open_inputs(model, about.key.stacks());
        if inputs.is_empty() {
            return Ok(vec![vec![]; usize::try_from(spec.batch).unwrap_or(0)]);
        }
        let size = input_bytes(&inputs, spec.batch)
            .ok_or_else(|| Undone::Hopeless(format!("the job's batch of {} is too large", spec.batch)))?;
        let bytes = backend.get(spec.input, size)?;
        if bytes.len() as u64 != size {
            return Err(Undone::Hopeless(format!("the job's input has {} bytes; its batch takes {size}", bytes.len())));
        }
        unpack(model, &inputs, &bytes).map_err(Undone::Hopeless)
    }

    /// The stacks of a job, as its key declares them.
    pub(crate) fn stacks(&self, backend: &dyn Backend, spec: &Spec, about: &About) -> Done<Vec<Stack>> {
        let mut out = Vec::with_capacity(spec.stacks.len());
        for (n, hash) in about.key.stacks().iter().zip(&spec.stacks) {
            let bytes = backend.get(*hash, MAX_FILE_BYTES as u64)?;
            let stack = Stack::from_bytes(&bytes)
                .map_err(|e| Undone::Hopeless(format!("the job's stack '{}' makes no sense: {e}", n.name)))?;
            if *stack.schema() != n.schema {
                return Err(Undone::Hopeless(format!("the job's stack '{}' is not one of its key", n.name)));
            }
            out.push(stack);
        }
        Ok(out)
    }
}

/// The inputs of a model that no stack holds.
fn open_inputs<'a>(model: &'a Model, stacks: &[NamedStack]) -> Vec<(&'a TensorSpec, NodeId)> {
    let specs = open(stacks, Role::Input, &model.inputs);
    let ids = open(stacks, Role::Input, model.graph.inputs());
    specs.into_iter().zip(ids.into_iter().copied()).collect()
}

/// Whether the key is one of the model, as far as it shows.
fn fits(model: &Model, key: &Key, spec: &Spec) -> Done<()> {
    let same = match (key, spec.kind) {
        (Key::Core(k), Kind::Core) => {
            k.graph == model.graph && model.weights_digest().is_ok_and(|digest| digest == k.weights_digest)
        }
        (Key::Settled(k), Kind::Settled) => {
            (&k.graph, &k.inputs, &k.outputs, k.batch) == (&model.graph, &model.inputs, &model.outputs, spec.batch)
        }
        _ => false,
    };
    let stacks = key.stacks().len() == spec.stacks.len();
    if same && stacks {
        Ok(())
    } else {
        Err(Undone::Hopeless("the job's key is not one of its model and batch".to_owned()))
    }
}

/// Bytes of the inputs of a batch.
fn input_bytes(inputs: &[(&TensorSpec, NodeId)], batch: u32) -> Option<u64> {
    let one: usize = inputs.iter().map(|(s, _)| s.len()).sum();
    let size = (one as u64).checked_mul(8)?.checked_mul(u64::from(batch))?;
    (size > 0 && size <= files::MAX_DATA_BYTES).then_some(size)
}

/// `tensors[i][k]`, input `k` of inference `i`: 8 bytes each, lowest first.
pub(crate) fn pack(tensors: &[Vec<Tensor>]) -> Vec<u8> {
    tensors.iter().flatten().flat_map(|t| &t.data).flat_map(|v| v.to_le_bytes()).collect()
}

/// The inverse of [`pack`]; every integer is in the range that the graph has for it.
fn unpack(model: &Model, inputs: &[(&TensorSpec, NodeId)], bytes: &[u8]) -> Result<Vec<Vec<Tensor>>, String> {
    let one: usize = 8 * inputs.iter().map(|(s, _)| s.len()).sum::<usize>();
    if one == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(one) {
        return Err(format!("the job's input has {} bytes; an inference takes {one}", bytes.len()));
    }
    let mut values = bytes.chunks_exact(8).map(|c| i64::from_le_bytes(c.try_into().unwrap_or_default()));
    let mut out = Vec::new();
    for _ in 0..bytes.len() / one {
        let mut sample = Vec::new();
        for (spec, id) in inputs {
            let range = model.graph.node(*id).range;
            let data: Vec<i64> = values.by_ref().take(spec.len()).collect();
            if data.iter().any(|v| i128::from(*v) < range.lo || i128::from(*v) > range.hi) {
                return Err(format!("the job's input '{}' is out of range", spec.name));
            }
            sample.push(Tensor { shape: spec.shape.clone(), data });
        }
        out.push(sample);
    }
    Ok(out)
}

/// What tells whether two secrets are the same without telling them; a secret has 256 random bits.
pub(crate) fn secret_digest(secret: &[u8; 32]) -> B256 {
    canonical::digest("assay.farm.secret.v1", &[secret]).into()
}

/// Refuses to go on with less than what jobs need.
pub(crate) fn finish<T>(done: Done<T>) -> Outcome<T> {
    done.map_err(|e| match e {
        Undone::Farm(t) => t.into(),
        Undone::Unfit(f) => f,
        Undone::Hopeless(e) | Undone::Failed(e) => Failure::new(e).help("make model and key anew and submit again"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_stay() {
        let mut all = Vec::new();
        let hash = B256::repeat_byte;
        for n in 1..=3 {
            keep(&mut all, hash(n), n);
        }
        assert_eq!(found(&mut all, hash(1)).as_deref(), Some(&1));
        keep(&mut all, hash(4), 4);
        assert!(found(&mut all, hash(2)).is_none() && found(&mut all, hash(1)).is_some());
    }
}
