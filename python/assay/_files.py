"""Between objects of Python's and the files that commands read and write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

PathLike: TypeAlias = "str | os.PathLike[str]"
#: Numbers for the inputs or outputs of a model: an array, several in the model's order, several by name, or a file.
Data: TypeAlias = "ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike] | PathLike"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that nobody else can read, and that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        yield Path(name)


def is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike))


def _array(value: Any, name: str) -> np.ndarray:
    # Tensors of PyTorch's on another device, or that are differentiated, do not become arrays by themselves.
    for step in ("detach", "cpu"):
        value = getattr(value, step)() if hasattr(value, step) else value
    out = np.asarray(value)
    if out.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers, got an array of {out.dtype}")
    return out


def data_file(where: Path, data: Data, names: Sequence[str], what: str) -> Path:
    """The file with these numbers: the user's own, or one written here as `.npz`.

    `names` are those of the model's inputs or outputs. Shapes are not looked at: that is the command's work.
    """
    if is_path(data):
        return Path(data)  # type: ignore[arg-type]
    if isinstance(data, Mapping):
        unknown = [n for n in data if n not in names]
        missing = [n for n in names if n not in data]
        if unknown or missing:
            raise ValueError(f"{what} must name {list(names)}, got {list(data)}")
        arrays = [data[n] for n in names]
    elif isinstance(data, (list, tuple)) and len(names) > 1:
        if len(data) != len(names):
            raise ValueError(f"{what} must be {len(names)} arrays, for {list(names)}; got {len(data)}")
        arrays = list(data)
    else:
        arrays = [data]  # type: ignore[list-item]
    path = where / f"{what}.npz"
    # Names that every reader knows, and that no file name can clash with.
    named: dict[str, Any] = {f"x{i}": _array(a, what) for i, a in enumerate(arrays)}
    np.savez(path, **named)
    return path
