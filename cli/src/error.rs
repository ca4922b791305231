//! Failures as people and programs see them: one sentence, what would help, and an exit code.
//!
//! A [`Failure`] cannot be made without help: [`Failure::new`] gives a [`Problem`], which only [`Problem::help`] (or
//! [`Problem::bug`]) turns into one. What helps with the errors of the libraries is in `advice`, by exhaustive matches: a new
//! variant does not compile until somebody says what its reader can do.

mod advice;
mod chain;
#[cfg(test)]
mod tests;

use miette::Diagnostic;
use std::{fmt, path::Path};

/// What the process tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; a proof that was checked is valid.
    Success = 0,
    /// The proof was checked and does not show what is claimed.
    Invalid = 1,
    /// Nothing was shown either way.
    CouldNotCheck = 2,
}

/// What is wrong, before it is said what would help.
#[derive(Debug)]
#[must_use]
pub(crate) struct Problem {
    message: String,
}

/// Why a command stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) help: String,
    pub(crate) exit: Exit,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

/// What can be done about a mistake of Assay's own.
const BUG: &str = "this is a bug in assay: please report it with the command and the file that led here";

impl Problem {
    /// Says what whoever reads this can do.
    pub(crate) fn help(self, help: impl fmt::Display) -> Failure {
        Failure { message: self.message, help: help.to_string(), exit: Exit::CouldNotCheck }
    }

    /// Nothing that the user did: the program contradicts itself.
    pub(crate) fn bug(self) -> Failure {
        Self { message: format!("internal error: {}", self.message) }.help(BUG)
    }
}

impl Failure {
    #[expect(clippy::new_ret_no_self, reason = "a failure is made in two steps, so that none is without help")]
    pub(crate) fn new(message: impl fmt::Display) -> Problem {
        Problem { message: message.to_string() }
    }

    /// Says something better than before.
    pub(crate) fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = help.to_string();
        self
    }

    /// The proof is not accepted: exit code 1.
    pub(crate) fn invalid(mut self) -> Self {
        self.exit = Exit::Invalid;
        self
    }

    /// Names the file that is to blame.
    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.message = format!("'{}': {}", path.display(), self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Diagnostic for Failure {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }
}
