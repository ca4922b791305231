//! What went wrong, by the client's errors.

use super::super::backend::Trouble;
use async_nats::jetstream::{
    context::{PublishError, PublishErrorKind},
    object_store::{GetError, GetErrorKind, InfoError, InfoErrorKind, PutError, PutErrorKind},
    stream::{DirectGetError, DirectGetErrorKind},
};
use std::error::Error;

/// An error with its sources. What a server says is no more trusted than anything else that comes from it.
pub(super) fn text(e: &dyn Error) -> String {
    let mut out = e.to_string();
    let mut source = e.source();
    while let Some(s) = source {
        let more = s.to_string();
        if !out.contains(&more) {
            out = format!("{out}: {more}");
        }
        source = s.source();
    }
    super::super::record::cut(&out, 300)
}

/// By what the server says: the client has no kind of its own for a store that is full.
pub(super) fn by_text(text: String) -> Trouble {
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if has(&[
        "insufficient",
        "resource limits exceeded",
        "resources exceeded",
        "maximum bytes",
        "no space left",
        "10047",
        "10023",
        "10002",
    ]) {
        Trouble::Full(text)
    } else if has(&[
        "timed out",
        "timeout",
        "no responders",
        "unavailable",
        "broken pipe",
        "closed",
        "failed to send",
        "not found",
    ]) {
        Trouble::Away(text)
    } else {
        Trouble::Bad(text)
    }
}

/// Nothing if the record was changed by somebody else.
pub(super) fn publish(e: &PublishError) -> Option<Trouble> {
    match e.kind() {
        PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => None,
        // Nobody listens while the server starts: the client says that there is no such stream.
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::StreamNotFound
        | PublishErrorKind::MaxAckPending => Some(Trouble::Away(text(e))),
        PublishErrorKind::MaxPayloadExceeded => Some(Trouble::Bad(text(e))),
        PublishErrorKind::Other => {
            let text = text(e);
            // The kind above is of other servers.
            if text.contains("wrong last sequence") { None } else { Some(by_text(text)) }
        }
    }
}

/// Nothing if there is none.
pub(super) fn direct(e: &DirectGetError) -> Option<Trouble> {
    match e.kind() {
        DirectGetErrorKind::NotFound => None,
        DirectGetErrorKind::InvalidSubject => Some(Trouble::Bad(text(e))),
        _ => Some(Trouble::Away(text(e))),
    }
}

pub(super) fn put(e: &PutError) -> Trouble {
    match e.kind() {
        PutErrorKind::TimedOut => Trouble::Away(text(e)),
        _ => by_text(text(e)),
    }
}

/// Nothing if there is no such file.
pub(super) fn info(e: &InfoError) -> Option<Trouble> {
    match e.kind() {
        InfoErrorKind::NotFound => None,
        InfoErrorKind::InvalidName => Some(Trouble::Bad(text(e))),
        InfoErrorKind::TimedOut => Some(Trouble::Away(text(e))),
        InfoErrorKind::Other => Some(if e.source().is_some_and(|s| s.to_string().contains("decode")) {
            Trouble::Bad(text(e))
        } else {
            Trouble::Away(text(e))
        }),
    }
}

/// Nothing if there is no such file.
pub(super) fn get(e: &GetError) -> Option<Trouble> {
    match e.kind() {
        GetErrorKind::NotFound => None,
        GetErrorKind::InvalidName | GetErrorKind::BucketLink => Some(Trouble::Bad(text(e))),
        GetErrorKind::ConsumerCreate | GetErrorKind::Other | GetErrorKind::TimedOut => Some(Trouble::Away(text(e))),
    }
}
