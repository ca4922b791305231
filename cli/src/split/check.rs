//! What proofs of all segments of a model show together.

use crate::{
    App,
    error::{Failure, Outcome},
    files::{self, Kind},
    flow::{self, timed},
    settlement, srs,
};
use assay_circuits::{Graph, model::TensorSpec, stack::NamedStack};
use assay_verifier::{
    core::hex,
    segments::{SegmentKeys, SegmentProofs, SegmentsFileError, Shown},
};
use std::path::Path;

/// Reads the keys of a split model.
pub(crate) fn read_keys(path: &Path) -> Outcome<SegmentKeys> {
    let bytes = files::read_kind(path, Kind::SegmentKeys)?;
    SegmentKeys::from_bytes(&bytes).map_err(|e| Failure::from(e).in_file(path))
}

/// Reads the proofs of all segments. What is none is not valid; what another program may read could not be checked.
pub(crate) fn read_proofs(path: &Path) -> Outcome<(SegmentProofs, usize)> {
    let bytes = files::read_kind(path, Kind::SegmentProofs)?;
    let proofs = SegmentProofs::from_bytes(&bytes).map_err(|e| {
        let unknown = matches!(e, SegmentsFileError::Version { .. } | SegmentsFileError::Kind(_));
        let f = Failure::from(e).in_file(path);
        if unknown { f } else { f.invalid() }
    })?;
    Ok((proofs, bytes.len()))
}

/// What was checked, and the seconds of it.
pub(crate) struct Checked {
    pub(crate) shown: Shown,
    pub(crate) key_seconds: f64,
    pub(crate) verify_seconds: f64,
}

/// How the keys hang together; where they do not, no proof under them is one of a model.
pub(crate) fn wires(keys: &SegmentKeys) -> Outcome<Vec<Vec<usize>>> {
    keys.wires().map_err(|e| Failure::from(e).invalid())
}

/// Checks the keys, each as the key of one proof is checked, that they are those of one model, and all proofs.
pub(crate) fn check(app: &App, keys: &SegmentKeys, proofs: &SegmentProofs, file: Option<&Path>) -> Outcome<Checked> {
    let (sound, key_seconds) = timed(|| {
        wires(keys)?;
        match keys {
            SegmentKeys::Core(keys) => keys.iter().enumerate().try_for_each(|(k, key)| {
                srs::compare(&key.srs, file).and_then(|()| flow::check_key(app, key)).map_err(|f| at(k, f))
            }),
            SegmentKeys::Settled(keys) => keys.iter().enumerate().try_for_each(|(k, key)| {
                let same = srs::compare(&key.srs(), file);
                same.and_then(|()| settlement::check_key_of(app, key, file)).map_err(|f| at(k, f))
            }),
        }
    });
    sound?;
    let (shown, verify_seconds) = timed(|| keys.verify(proofs));
    Ok(Checked { shown: shown?, key_seconds, verify_seconds })
}

/// Names the segment that is to blame.
pub(crate) fn at(k: usize, f: Failure) -> Failure {
    Failure { message: format!("segment {}: {}", k + 1, f.message), ..f }
}

/// Descriptions of the model's inputs and outputs, and whether proofs show them.
pub(crate) struct Described<'a> {
    /// The graph of the first segment, which has the inputs.
    pub(crate) graph: &'a Graph,
    pub(crate) inputs: &'a [TensorSpec],
    pub(crate) outputs: &'a [TensorSpec],
    /// The stacks of the first segment's key and of the last one's.
    pub(crate) first: &'a [NamedStack],
    pub(crate) last: &'a [NamedStack],
    pub(crate) shows_inputs: bool,
    pub(crate) shows_outputs: bool,
    pub(crate) insecure: bool,
}

/// What the first and the last key say.
pub(crate) fn describe(keys: &SegmentKeys) -> Outcome<Described<'_>> {
    let none = || Failure::new("there are no keys").help("make them: assay setup FOLDER -o KEYS");
    let (graph, inputs, outputs, stacks, visible, insecure) = match keys {
        SegmentKeys::Core(keys) => {
            let (first, last) = keys.first().zip(keys.last()).ok_or_else(none)?;
            let visible = (first.visibility.inputs, last.visibility.outputs);
            let stacks = (&first.stacks, &last.stacks);
            (&first.graph, &first.inputs, &last.outputs, stacks, visible, keys.iter().any(|k| k.srs.insecure_dev))
        }
        SegmentKeys::Settled(keys) => {
            let (first, last) = keys.first().zip(keys.last()).ok_or_else(none)?;
            let visible = (first.visibility.inputs, last.visibility.outputs);
            let stacks = (&first.stacks, &last.stacks);
            (
                &first.graph,
                &first.inputs,
                &last.outputs,
                stacks,
                visible,
                keys.iter().any(|k| k.descriptor.insecure_dev),
            )
        }
    };
    let ((first, last), (shows_inputs, shows_outputs)) = (stacks, visible);
    Ok(Described { graph, inputs, outputs, first, last, shows_inputs, shows_outputs, insecure })
}

/// The identity of a split model, in hexadecimal.
pub(crate) fn id(keys: &SegmentKeys) -> Outcome<String> {
    Ok(hex(&keys.id()?))
}
