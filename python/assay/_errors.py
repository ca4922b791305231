"""Errors and warnings: those of the command line, with its exit code, cause and help."""

from __future__ import annotations


class AssayError(Exception):
    """What the command line would end with an error for."""

    #: Exit code of the command line: 1 for a proof that is not valid, 2 where nothing could be checked.
    code: int = 2
    #: What is wrong.
    cause: str
    #: What can be done about it. It speaks of the command line's options, which the functions' arguments are named after.
    help: str

    def __init__(self, cause: str, help: str) -> None:
        super().__init__(cause, help)
        self.cause = cause
        self.help = help

    def __str__(self) -> str:
        return f"{self.cause}\n  help: {self.help}"


class InvalidProof(AssayError):
    """The proof was checked and does not show what is claimed."""

    code = 1


class CouldNotCheck(AssayError):
    """Nothing was shown either way: what was asked for could not be done."""

    code = 2


class AssayWarning(UserWarning):
    """What the command line warns of."""
