//! Running tract on untrusted data.

use super::error::ImportError;
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs tract on untrusted data. tract checks most of what it reads, but some broken models reach an assertion deep in its
/// shape analysis; such a panic is turned into an error here, without printing a backtrace to the user.
pub(crate) fn guarded<T>(stage: &'static str, f: impl FnOnce() -> Result<T, ImportError>) -> Result<T, ImportError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.with(Cell::get) {
                previous(info);
            }
        }));
    });
    let before = QUIET.with(|q| q.replace(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    QUIET.with(|q| q.set(before));
    result.unwrap_or_else(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .filter(|text| !text.trim().is_empty())
            .unwrap_or_else(|| "an assertion of the engine does not hold".to_owned());
        Err(ImportError::engine(stage, &format!("the model contradicts itself: {text}")))
    })
}
