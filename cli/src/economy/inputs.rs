//! Inputs that only workers are told: a file with salts and input values, by their commitments.

use crate::{
    error::{Failure, Outcome},
    files,
};
use assay_contracts::{B256, Bytes, economy::input_commitment};
use serde::{Deserialize, Serialize};
use std::path::Path;

const FORMAT: &str = "assay.private-inputs.v1";
const MAX_BYTES: u64 = 1 << 30;

/// A salt and the values that it hides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    pub(crate) salt: B256,
    /// As in a proof's public values: 8 bytes each, big-endian two's complement.
    pub(crate) input: Bytes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    inputs: Vec<Secret>,
}

/// What a worker knows besides the chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Vec<(B256, Secret)>);

impl Secrets {
    /// Reads files that requesters sent.
    pub(crate) fn read(paths: &[impl AsRef<Path>]) -> Outcome<Self> {
        let mut all = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let bytes = files::read(path, MAX_BYTES)?;
            let file: File = serde_json::from_slice(&bytes).map_err(|e| {
                Failure::new(format!("'{}' holds no private inputs: {e}", path.display()))
                    .help("`assay job post MODEL INPUT --private-input FILE` writes such a file")
            })?;
            if file.format != FORMAT {
                return Err(Failure::new(format!("'{}' has the format '{}'", path.display(), file.format))
                    .help(format!("this program reads '{FORMAT}'")));
            }
            all.extend(file.inputs.into_iter().map(|s| (input_commitment(s.salt, &s.input), s)));
        }
        Ok(Self(all))
    }

    /// Salt and input behind a commitment.
    pub(crate) fn open(&self, commitment: B256) -> Option<&Secret> {
        self.0.iter().find(|(c, _)| *c == commitment).map(|(_, s)| s)
    }
}

fn is_there(path: &Path) -> Failure {
    Failure::new(format!("'{}' is there already, and may hold the salts of other jobs", path.display()))
        .help("name a new file with --private-input: without its salts a job cannot be done")
}

/// Refuses early to replace a file.
pub(crate) fn check_new(path: &Path) -> Outcome<()> {
    if path.exists() { Err(is_there(path)) } else { Ok(()) }
}

/// Writes a new file for workers, which nobody else may read. One that is there is never replaced: its salts may be all
/// that opens a job that was paid for.
pub(crate) fn write(path: &Path, inputs: Vec<Secret>) -> Outcome<()> {
    let file = File { format: FORMAT.to_owned(), inputs };
    let text =
        serde_json::to_vec_pretty(&file).map_err(|e| Failure::new(format!("'{}': {e}", path.display())).bug())?;
    files::create_private(path, &text, is_there)
}
