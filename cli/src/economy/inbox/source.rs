//! Where requesters put openings: a folder, or an address that answers to `GET` and `PUT`.

use super::{Missing, name};
use crate::{
    error::{Failure, Outcome},
    files,
};
use assay_circuits::canonical;
use assay_contracts::{B256, WebError, WebFolder};
use assay_prover::Stack;
use std::{
    fmt,
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant, SystemTime},
};

/// How long one answer of an address may take. A worker waits for it, and may have leases meanwhile.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an address that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(30);

/// What `--inbox` names.
#[derive(Clone)]
pub(crate) enum Location {
    Folder(PathBuf),
    /// It may hold credentials, and is shown without them.
    Web(String),
}

/// A place that was looked at.
#[derive(Debug)]
pub(crate) enum Source {
    Folder(PathBuf),
    Web {
        folder: WebFolder,
        /// Since when, and why, there is no answer.
        silent: Option<(Instant, String)>,
    },
}

/// What tells two files under one name apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// When it was written and how long it is, without reading it.
    Seen(Option<SystemTime>, u64),
    /// The digest of its bytes.
    Digest([u8; 32]),
    /// It is longer than it may be.
    TooLong,
}

/// What lies under a name.
pub(super) enum Found {
    /// What has the mark that is known.
    Known,
    /// Something that cannot be an opening.
    Bad { mark: Mark, shown: String, why: String },
    /// A file.
    File { mark: Mark, shown: String, bytes: Vec<u8> },
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected a folder, or an address like https://host/inbox".to_owned());
        }
        let web = ["http://", "https://"].iter().any(|s| text.to_ascii_lowercase().starts_with(s));
        Ok(if web { Self::Web(text.to_owned()) } else { Self::Folder(text.into()) })
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.fmt(f),
            Self::Web(_) => f.write_str("an address"),
        }
    }
}

impl Location {
    /// Looks whether it is there, as far as that can be told.
    pub(crate) fn open(&self) -> Outcome<Source> {
        match self {
            Self::Folder(path) if path.is_dir() => Ok(Source::Folder(path.clone())),
            Self::Folder(path) => Err(Failure::new(format!("there is no folder '{}' for openings", path.display()))
                .help("make it first, for your eyes only: mkdir -m 700 FOLDER")),
            Self::Web(address) => {
                let folder = WebFolder::private(address, TIMEOUT).map_err(|e| {
                    let help = match e {
                        WebError::Clear(_) => "an opening shows input and output to whoever reads it: use https",
                        _ => "pass a folder, or an address like https://host/inbox",
                    };
                    Failure::new(format!("the inbox: {e}")).help(help)
                })?;
                Ok(Source::Web { folder, silent: None })
            }
        }
    }
}

impl Source {
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Puts a new opening there, in one step; where it is then, without credentials.
    pub(crate) fn put(&self, stack: &Stack) -> Outcome<String> {
        match self {
            Self::Folder(folder) => Ok(super::write(folder, stack)?.display().to_string()),
            Self::Web { folder, .. } => {
                let name = name(stack.id()?.into());
                folder.put(&name, stack.to_bytes()?).map_err(|e| {
                    Failure::new(format!("the inbox: {e}"))
                        .help("nothing was posted; the server must take PUT requests of stack files at this address")
                })?;
                Ok(format!("{name} of {}", folder.shown()))
            }
        }
    }

    /// What lies under a stack's name, at most `limit` bytes, unless it has the mark that is `known`.
    pub(super) fn fetch(&mut self, id: B256, limit: usize, known: Option<&Mark>) -> Result<Found, Missing> {
        match self {
            Self::Folder(folder) => {
                let path = super::path(folder, id);
                let shown = path.display().to_string();
                let Ok(meta) = std::fs::metadata(&path) else { return Err(Missing::Absent) };
                let mark = Mark::Seen(meta.modified().ok(), meta.len());
                if known == Some(&mark) {
                    return Ok(Found::Known);
                }
                if !meta.is_file() {
                    return Ok(Found::Bad { mark, shown, why: "it is no regular file".to_owned() });
                }
                Ok(match files::read(&path, limit as u64) {
                    Ok(bytes) => Found::File { mark, shown, bytes },
                    Err(f) => Found::Bad { mark, shown, why: f.message },
                })
            }
            Self::Web { folder, silent } => {
                if let Some((since, why)) = silent
                    && since.elapsed() < PAUSE
                {
                    return Err(Missing::Unreachable(why.clone()));
                }
                *silent = None;
                let shown = format!("{} of {}", name(id), folder.shown());
                match folder.get(&name(id), limit) {
                    Ok(None) => Err(Missing::Absent),
                    Ok(Some(bytes)) => {
                        let mark = Mark::Digest(canonical::digest("assay.inbox.file.v1", &[&bytes]));
                        Ok(if known == Some(&mark) { Found::Known } else { Found::File { mark, shown, bytes } })
                    }
                    Err(WebError::TooLarge { .. }) if known == Some(&Mark::TooLong) => Ok(Found::Known),
                    Err(WebError::TooLarge { limit, .. }) => {
                        Ok(Found::Bad { mark: Mark::TooLong, shown, why: format!("it has more than {limit} bytes") })
                    }
                    Err(e) => {
                        let why = format!("the inbox: {e}");
                        *silent = Some((Instant::now(), why.clone()));
                        Err(Missing::Unreachable(why))
                    }
                }
            }
        }
    }
}
