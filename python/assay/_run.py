"""Calls of commands in this process."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from typing import Any

from . import _native
from ._errors import AssayWarning, CouldNotCheck, InvalidProof
from ._progress import ProgressLike, observe

#: Frames between a user's line and the warning: `run`, and the public function that called it.
_DEPTH = 3


def _answer(code: int, text: str, warn: bool = True) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(text) or {}
    messages = fields.pop("warnings", None) or []
    for message in messages if warn else []:
        warnings.warn(message, AssayWarning, stacklevel=_DEPTH + 1)
    if code == 0:
        return fields
    kind = InvalidProof if code == 1 else CouldNotCheck
    raise kind(fields["cause"], fields["help"])


def run(*args: str | os.PathLike[str], progress: ProgressLike = None, warn: bool = True) -> dict[str, Any]:
    """Runs a command and returns the fields of its result, as `--json` prints them."""
    with observe(progress) as observer:
        code, text = _native.run([os.fspath(a) for a in args], observer)
    return _answer(code, text, warn)


def set_threads(count: int) -> None:
    """Fixes how many threads prove. Once the first call has started them, their number stays; so call this first.

    Raises `CouldNotCheck` if another number of threads runs already.
    """
    if not 1 <= count <= 1024:
        raise ValueError(f"count must be between 1 and 1024, got {count}")
    _answer(*_native.set_threads(count))


def options(values: dict[str, Any]) -> list[str]:
    """Command-line options from keyword arguments: `weight_bits=8` is `--weight-bits 8`, `strict=True` is `--strict`.

    `None` and `False` are left out; of a list each entry is passed.
    """
    out: list[str] = []
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        entries: Iterable[Any] = value if isinstance(value, (list, tuple)) else [value]
        for entry in entries:
            if entry is None or entry is False:
                continue
            # With an equals sign, so that no value is taken for an option.
            out.append(flag if entry is True else f"{flag}={os.fspath(entry) if isinstance(entry, os.PathLike) else entry}")
    return out
