//! Stopping work that nobody waits for any more.
//!
//! Whoever starts long work runs it in [`scope`] with a [`Token`] and keeps a copy of the token. The work asks about the token of
//! its own thread at every [`point`]: when a stage begins and with every message of a transcript, Halo2's too. In between lies one
//! call of a device. A cancelled token ends the work by unwinding with a payload that only [`scope`] catches; no panic hook is
//! called and nothing is printed. Locks are never held at a point, so what the work shared with others stays usable.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Says whether work is still wanted. Copies are the same token.
#[derive(Clone, Debug, Default)]
pub struct Token(Arc<AtomicBool>);

impl Token {
    /// Ends the work at its next point; there is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The work ended because its token was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

thread_local! {
    static CURRENT: RefCell<Option<Token>> = const { RefCell::new(None) };
}

/// Gives a thread its former token back, however the work ends.
struct Restore(Option<Token>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|c| *c = self.0.take());
    }
}

/// Runs work that stops at a [`point`] once the token is cancelled.
///
/// # Errors
/// If it was stopped. Work that ends in spite of a token cancelled meanwhile gives its result.
///
/// # Panics
/// As the work does.
pub fn scope<T>(token: &Token, work: impl FnOnce() -> T) -> Result<T, Cancelled> {
    let former = CURRENT.with_borrow_mut(|c| c.replace(token.clone()));
    let restore = Restore(former);
    let done = catch_unwind(AssertUnwindSafe(work));
    drop(restore);
    match done {
        Ok(out) => Ok(out),
        Err(payload) if payload.is::<Cancelled>() => Err(Cancelled),
        Err(payload) => resume_unwind(payload),
    }
}

/// Where work may stop. Does nothing outside of [`scope`].
pub fn point() {
    if CURRENT.with_borrow(|c| c.as_ref().is_some_and(Token::is_cancelled)) {
        resume_unwind(Box::new(Cancelled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_at_the_next_point_and_only_where_it_was_cancelled() {
        let (a, b) = (Token::default(), Token::default());
        assert_eq!(scope(&a, || 1), Ok(1));
        let reached = std::cell::Cell::new(0);
        let inner = || {
            reached.set(1);
            a.cancel();
            reached.set(2);
            point();
            reached.set(3);
        };
        assert_eq!(scope(&a, inner), Err(Cancelled));
        assert_eq!(reached.get(), 2);
        // The token of the outer scope is in force again, and outside of all scopes none is.
        assert_eq!(scope(&b, || (scope(&a, point), point())), Ok((Err(Cancelled), ())));
        point();
    }

    #[test]
    fn other_panics_pass() {
        let caught = catch_unwind(|| scope(&Token::default(), || resume_unwind(Box::new("mine"))));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"mine"));
    }
}
