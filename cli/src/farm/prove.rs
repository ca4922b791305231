//! One job's proof.

use super::{
    backend::Backend,
    record::Spec,
    shelf::{Done, Key, Shelf, Undone, secret_digest},
};
use crate::{App, error::Failure, flow, settlement, srs};
use assay_circuits::model::Model;
use assay_contracts::B256;
use assay_prover::{
    ProvingKey, Recorder, Stack,
    device::Cpu,
    settle::{Optimize, SettledStack, SettlementOptions, SettlementProver, load_settlement},
    setup::{self, SetupError},
};
use assay_verifier::{VerifyingKey, settle::key::SettlementKey};
use std::{path::PathBuf, sync::Arc};

/// What a worker needs besides what the farm has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Means {
    pub(crate) srs: Option<PathBuf>,
    pub(crate) secret: Option<PathBuf>,
}

/// A key that is ready to prove with.
enum Ready {
    Core(Box<ProvingKey>),
    Settled(Box<SettlementProver>),
}

/// What a worker keeps between jobs: most of them are of one model.
#[derive(Default)]
pub(crate) struct Bench {
    shelf: Shelf,
    ready: Option<((B256, B256), Arc<Ready>)>,
}

impl Bench {
    /// Proves. The proof was checked as any verifier would.
    pub(crate) fn prove(&mut self, app: &App, backend: &dyn Backend, spec: &Spec, means: &Means) -> Done<Vec<u8>> {
        let about = self.shelf.about(app, backend, spec)?;
        let tensors = self.shelf.input(backend, spec, &about)?;
        let stacks: Vec<Option<Stack>> = self.shelf.stacks(backend, spec, &about)?.into_iter().map(Some).collect();
        let id = (spec.model, spec.key);
        let ready = match &self.ready {
            Some((known, ready)) if *known == id => Arc::clone(ready),
            _ => {
                // The one before may be large.
                self.ready = None;
                let ready = Arc::new(match about.key.as_ref() {
                    Key::Core(key) => Ready::Core(Box::new(core(app, &about.model, key, means)?)),
                    Key::Settled(key) => Ready::Settled(Box::new(settled(app, &about.model, key, spec, means)?)),
                });
                self.ready = Some((id, Arc::clone(&ready)));
                ready
            }
        };
        let failed = |f: Failure| Undone::Failed(f.message);
        match ready.as_ref() {
            Ready::Core(key) => {
                Ok(flow::prove_integers(app, &about.model, key, &tensors, stacks).map_err(failed)?.0.bytes)
            }
            Ready::Settled(prover) => {
                let purpose =
                    spec.purpose.as_ref().ok_or_else(|| Undone::Hopeless("the job has no purpose".to_owned()))?;
                let context = purpose.into();
                let (made, _) =
                    settlement::prove_named(app, &about.model, prover, &tensors, stacks, context).map_err(failed)?;
                Ok(made.bytes)
            }
        }
    }
}

/// Powers that a worker has not got are its own business, and so is a secret; all else is wrong for everybody.
fn core(app: &App, model: &Model, key: &VerifyingKey, means: &Means) -> Done<ProvingKey> {
    let srs = flow::powers_of(app, key, means.srs.as_deref()).map_err(Undone::Unfit)?;
    setup::load(model, key.clone(), &srs).map_err(|e| match e {
        SetupError::OtherSrs { .. } => Undone::Unfit(e.into()),
        e => Undone::Hopeless(e.to_string()),
    })
}

fn settled(app: &App, model: &Model, key: &SettlementKey, spec: &Spec, means: &Means) -> Done<SettlementProver> {
    let secret = settlement::secret(app, key.visibility, means.secret.as_deref()).map_err(Undone::Unfit)?;
    if spec.secret.is_some_and(|digest| digest != secret_digest(&secret)) {
        return Err(Undone::Unfit(
            Failure::new("the settlement key was made with another secret than this machine's").help(
                "give all machines of the farm one secret: pass the same --secret FILE to submit and to the workers",
            ),
        ));
    }
    let power = u32::try_from(key.power()).unwrap_or(u32::MAX);
    let srs = srs::of_key(app, &key.srs(), means.srs.as_deref(), power).map_err(Undone::Unfit)?;
    if srs.hash != key.srs().srs_hash {
        return Err(Undone::Unfit(
            Failure::new("the settlement key was made with other powers of tau").help("pass the key's with --srs FILE"),
        ));
    }
    let options = SettlementOptions {
        visibility: key.visibility,
        batch: key.batch,
        row_bits: Some(key.descriptor.row_bits),
        optimize: Optimize::default(),
        stacks: key.stacks.iter().map(|named| SettledStack { named: named.clone(), pinned: None }).collect(),
        secret,
    };
    load_settlement(&Cpu::default(), model, &srs, &options, key.clone(), &Recorder::new(None))
        .map_err(|e| Undone::Hopeless(e.to_string()))
}
