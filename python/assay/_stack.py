"""Stacks: tensors that are committed once and that any number of proofs are about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ._files import Data, PathLike, data_file, folder, is_path
from ._model import Artifact, Model
from ._progress import ProgressLike
from ._run import options, run


class Stack(Artifact):
    """Committed tensors in the clear, with what blinds them: SECRET. Its id is what proofs show of it."""

    _kind = "stack"
    _suffix = ".stack"

    @property
    def id(self) -> str:
        """Names the stack, in hexadecimal. Safe to publish, unless it is `public` and its values can be guessed."""
        return str(self._show()["stack_id"])

    @property
    def public(self) -> bool:
        """Whether anybody with the values can recompute the id."""
        return not self._show()["blinded"]

    def _show(self) -> dict[str, Any]:
        if self._shown is None:
            with folder() as where:
                # What made it has warned of its powers of tau, and so will whatever proves about it.
                self._shown = run("stack", "show", self._file(where), warn=False)
        return self._shown

    def save(self, path: PathLike) -> None:
        """Writes the file, which nobody but its owner can read."""
        path = Path(path)
        path.touch(mode=0o600)
        path.chmod(0o600)
        super().save(path)

    def __repr__(self) -> str:
        return f"<assay.Stack {self.id[:16]}>"


#: Stacks by what they are to a model: `"input"` or `"weights"` (of `verify` also `"output"`).
Commits: TypeAlias = "Mapping[str, Stack | bytes | PathLike]"


def stack_file(where: Path, what: str, stack: Stack | bytes | PathLike) -> Path:
    """The file of a stack that is given as an object, as bytes or as a file."""
    if is_path(stack):
        return Path(stack)  # type: ignore[arg-type]
    path = where / f"{what}.stack"
    path.write_bytes(bytes(stack))  # type: ignore[arg-type]
    return path


def commit_options(where: Path, commits: Commits | None, allowed: tuple[str, ...], new: Path | None = None) -> dict[str, Any]:
    """`--commit` for stacks at hand, and for the outputs that a proof commits to and writes to `new`."""
    unknown = [what for what in commits or {} if what not in allowed]
    if unknown:
        raise ValueError(f"commits must be of {list(allowed)}, got {unknown}")
    given = [f"{what}={stack_file(where, what, stack)}" for what, stack in (commits or {}).items()]
    return {"commit": given + ([] if new is None else [f"output={new}"])}


def commit(
    model: Model | PathLike,
    inputs: Data | None = None,
    *,
    public: bool = False,
    row_bits: int | None = None,
    srs: PathLike | None = None,
    progress: ProgressLike = None,
) -> Stack:
    """Commits to inputs of a model, as it quantizes them, or without `inputs` to its weights.

    Args:
        model: whose inputs or weights they are.
        inputs: all samples of a batch, as for `prove`.
        public: without blinding, so that anybody with the values recomputes the id.
        row_bits: log2 of the length of a row, 8 to 18 in steps of two; stacks of one proof share it.

    Raises:
        CouldNotCheck: the inputs do not fit.
    """
    with folder() as where:
        loaded = model if isinstance(model, Model) else Model.load(model)
        path, out = loaded._file(where), where / "out.stack"
        what: list[Path | str] = [path]
        if inputs is not None:
            what = [data_file(where, inputs, [t.name for t in loaded.inputs], "input"), "--model", path]
        given = {"public": public, "row_bits": row_bits, "srs": srs}
        run("stack", "commit", *what, "-o", out, *options(given), progress=progress)
        return Stack(out.read_bytes())
