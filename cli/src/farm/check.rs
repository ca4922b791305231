//! Is this the proof that was asked for? Valid under the job's key, about the job's inputs, for the job's purpose.
//!
//! The outputs are computed again from the job's inputs, by the interpreter: a valid proof of other inputs does not pass where a
//! proof shows inputs or outputs. Where it shows neither, nothing about a proof tells them apart, and whoever farms such jobs out has
//! to trust the workers with the inputs. Of a segment the ids of its boundaries are compared with the job's stacks.

use super::{
    backend::Backend,
    record::Spec,
    shelf::{About, Done, Key, MAX_PROOF, Shelf, Undone},
};
use crate::{
    App,
    error::{Exit, Failure},
    flow, settlement,
};
use assay_circuits::{
    Tensor, Visibility,
    eval::eval,
    stack::{Role, open},
};
use assay_contracts::B256;
use assay_verifier::{CoreProof, settle::key::SettledProof};
use std::path::Path;

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    /// Why the proof is refused.
    Refused(String),
}

/// A proof's bytes, and what is to be said of them.
pub(crate) fn check(
    app: &App,
    shelf: &mut Shelf,
    backend: &dyn Backend,
    (spec, proof): (&Spec, B256),
    srs: Option<&Path>,
) -> Done<(Vec<u8>, Verdict)> {
    let about = shelf.about(app, backend, spec)?;
    let tensors = shelf.input(backend, spec, &about)?;
    let stacks = shelf.stacks(backend, spec, &about)?;
    let ids: Vec<[u8; 32]> = stacks
        .iter()
        .map(|s| s.id().map_err(|e| Undone::Hopeless(format!("a stack of the job has no id: {e}"))))
        .collect::<Done<_>>()?;
    let others = || -> Done<Verdict> { Ok(Verdict::Refused("it is about other stacks than the job".to_owned())) };
    let bytes = backend.get(proof, MAX_PROOF)?;
    let verdict = match about.key.as_ref() {
        Key::Core(key) => {
            let proof = match CoreProof::from_bytes(&bytes) {
                Ok(proof) => proof,
                Err(e) => return Ok((bytes, Verdict::Refused(e.to_string()))),
            };
            match flow::check(app, key, &proof) {
                Ok(checked) if checked.verified.stacks != ids => others()?,
                Ok(checked) => {
                    let v = checked.verified;
                    let batch = u32::try_from(v.batch).is_ok_and(|b| b == spec.batch);
                    let public: Vec<Tensor> = v.inputs.into_iter().chain(v.outputs).collect();
                    compare(&about, key.visibility, &tensors, &public, batch)?
                }
                Err(f) => refused(f)?,
            }
        }
        Key::Settled(key) => {
            let proof = match SettledProof::from_bytes(&bytes) {
                Ok(proof) => proof,
                Err(e) => return Ok((bytes, Verdict::Refused(e.to_string()))),
            };
            if spec.purpose.as_ref() != Some(&(&proof.context).into()) {
                return Ok((bytes, Verdict::Refused("it is made for something else than the job says".to_owned())));
            }
            match settlement::check(app, key, &proof, srs) {
                Ok(checked) if checked.stacks != ids => others()?,
                Ok(checked) => compare(&about, key.visibility, &tensors, &checked.public, key.batch == spec.batch)?,
                Err(f) => refused(f)?,
            }
        }
    };
    Ok((bytes, verdict))
}

/// A proof that is not valid is refused; where nothing could be checked, this process lacks something.
fn refused(f: Failure) -> Done<Verdict> {
    if f.exit == Exit::Invalid { Ok(Verdict::Refused(f.message)) } else { Err(Undone::Unfit(f)) }
}

/// Compares what a proof shows with the job's inputs and what follows from them.
fn compare(
    about: &About,
    visible: Visibility,
    tensors: &[Vec<Tensor>],
    public: &[Tensor],
    batch: bool,
) -> Done<Verdict> {
    let no = |what: &str| Ok(Verdict::Refused(what.to_owned()));
    if !batch {
        return no("it is about another number of inferences than the job");
    }
    let model = &about.model;
    let mut shown = public.iter();
    // `[sample][tensor]` of the job against one tensor over the batch.
    let mut same = |samples: &[Vec<Tensor>], count: usize| {
        (0..count).all(|k| {
            let expected = samples.iter().flat_map(|s| s.get(k).map_or(&[][..], |t| &t.data));
            shown.next().is_some_and(|t| t.data.iter().eq(expected))
        })
    };
    if visible.inputs && !same(tensors, open(about.key.stacks(), Role::Input, &model.inputs).len()) {
        return no("it is about other inputs than the job");
    }
    // About the boundaries of a segment the ids say all: what is shown follows from what they hold.
    if visible.outputs && about.key.stacks().is_empty() {
        let outputs = tensors.iter().map(|sample| {
            let values = eval(&model.graph, &model.weights, sample);
            values
                .map(|v| v.outputs(&model.graph))
                .map_err(|e| Undone::Hopeless(format!("the job cannot be computed: {e}")))
        });
        let outputs: Vec<Vec<Tensor>> = outputs.collect::<Done<_>>()?;
        if !same(&outputs, model.outputs.len()) {
            return no("it shows other outputs than those of the job's inputs");
        }
    }
    Ok(Verdict::Valid)
}
