"""Compiled models, and making them from ONNX, PyTorch and scikit-learn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ._errors import CouldNotCheck
from ._export import onnx_file
from ._files import Data, PathLike, data_file, folder
from ._progress import ProgressLike
from ._run import options, run

A = TypeVar("A", bound="Artifact")


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model."""

    name: str
    #: Of one inference.
    shape: tuple[int, ...]

    @property
    def batched(self) -> tuple[int, ...]:
        """The shape behind the axis that counts inferences: an axis of one in front, as ONNX models have it, is that axis."""
        return self.shape[1:] if self.shape[:1] == (1,) else self.shape


class Artifact:
    """A file of Assay's, in memory: the same bytes that the command line reads and writes."""

    #: What `assay show` calls it.
    _kind: str = ""
    _suffix: str = ""

    def __init__(self, data: bytes) -> None:
        self._bytes = bytes(data)
        self._shown: dict[str, Any] | None = None

    @classmethod
    def load(cls: type[A], path: PathLike) -> A:
        """Reads a file. Raises `OSError`, and `CouldNotCheck` if it is a file of another kind."""
        out = cls(Path(path).read_bytes())
        out._show()
        return out

    def save(self, path: PathLike) -> None:
        """Writes the file."""
        Path(path).write_bytes(self._bytes)

    def __bytes__(self) -> bytes:
        return self._bytes

    def __len__(self) -> int:
        return len(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and type(self) is type(other) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash((type(self), self._bytes))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._bytes,)

    def _file(self, where: Path) -> Path:
        path = where / f"{self._kind}{self._suffix}"
        path.write_bytes(self._bytes)
        return path

    def _show(self) -> dict[str, Any]:
        if self._shown is None:
            with folder() as where:
                shown = run("show", self._file(where))
            if shown["kind"] != self._kind:
                names = {"model": "a compiled model", "key": "a verifying key", "proof": "a core proof"}
                names |= {"settlement_key": "a settlement key", "settled_proof": "a settled proof", "srs": "powers of tau"}
                raise CouldNotCheck(
                    f"this is {names[shown['kind']]}; expected {names[self._kind]}",
                    f"load it with the class for such files; assay.{type(self).__name__} is another",
                )
            self._shown = shown
        return self._shown


def tensors(shown: Sequence[Mapping[str, Any]]) -> tuple[TensorInfo, ...]:
    return tuple(TensorInfo(t["name"], tuple(t["shape"])) for t in shown)


class Described(Artifact):
    """What says which tensors go in and come out."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return tensors(self._show()["inputs"])

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return tensors(self._show()["outputs"])


class Model(Described):
    """A quantized integer graph with its weights: what proofs are about. Made by `compile`."""

    _kind = "model"
    _suffix = ".assay"

    @property
    def id(self) -> str:
        """Names graph and weights, in hexadecimal."""
        return str(self._show()["model_id"])

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return int(self._show()["parameters"])

    @property
    def report(self) -> dict[str, Any]:
        """How far the integer graph is from the float model on the calibration samples."""
        return dict(self._show()["report"])

    def __repr__(self) -> str:
        return f"<assay.Model {self.id[:16]}, {self.parameters} parameters>"


def _read(
    drop_softmax: bool,
    dims: Mapping[str, int] | None,
    batch_axes: Sequence[str],
    constants: Mapping[str, float] | None,
) -> dict[str, Any]:
    return {
        "drop_softmax": drop_softmax,
        "dim": [f"{name}={size}" for name, size in (dims or {}).items()],
        "batch_axis": list(batch_axes),
        # All digits, and numbers of NumPy's as well.
        "set": [f"{name}={float(number)!r}" for name, number in (constants or {}).items()],
    }


def compile(
    model: Any,
    calibrate: Data | None = None,
    *,
    example: Any = None,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    limb_bits: int | None = None,
    accept_accuracy: bool = False,
    private_outputs: bool = False,
    drop_softmax: bool = False,
    dims: Mapping[str, int] | None = None,
    batch_axes: Sequence[str] = (),
    constants: Mapping[str, float] | None = None,
    progress: ProgressLike = None,
) -> Model:
    """Quantizes a model into the integer graph that proofs are about.

    Args:
        model: an `.onnx` file, an `onnx.ModelProto` or its bytes, a `torch.nn.Module` (exported for you; torch must be
            installed), or a fitted scikit-learn estimator (converted for you; skl2onnx must be installed).
        calibrate: a few hundred real inputs. They decide the accuracy.
        example: inputs to export a PyTorch module with, a tensor or a tuple of them; without it the first of `calibrate`.
        weight_bits: width of weights, 2 to 16; without it the smallest that is accurate.
        activation_bits: width of activations, 4 to 14; without it the smallest that is accurate.
        limb_bits: width of a remainder's limb, 4 to 16; without it the cheapest.
        accept_accuracy: go on although the quantized model is not as accurate as it should be.
        private_outputs: round outputs so that they can be kept private.
        drop_softmax: leave out a softmax at the end.
        dims: extents of symbolic axes, by name.
        batch_axes: symbolic leading axes that count samples although their names do not say so.
        constants: inputs that are constants of the model, by name, with the number that all of their entries are (`--set`):
            a sampling rate, a switch. They are no inputs of a proof.
        progress: a function of `Progress`, a tqdm bar, or `True` for a bar of its own.

    Raises:
        CouldNotCheck: the model cannot be proven, or its accuracy is too low; `help` says what to do.
    """
    with folder() as where:
        path = onnx_file(where, model, calibrate if example is None else example, example is not None)
        given: dict[str, Any] = {
            "weight_bits": weight_bits,
            "activation_bits": activation_bits,
            "limb_bits": limb_bits,
            "accept_accuracy": accept_accuracy,
            "private_outputs": private_outputs,
            **_read(drop_softmax, dims, batch_axes, constants),
        }
        if calibrate is not None:
            names: Sequence[str] = [""]
            if isinstance(calibrate, (Mapping, list, tuple)):
                # Inputs by name or by position: the names are in the file.
                seen = run("inspect", path, *options(_read(drop_softmax, dims, batch_axes, constants)))
                names = [t["name"] for t in seen["inputs"]]
            given["calibrate"] = data_file(where, calibrate, names, "calibration")
        out = where / "out.assay"
        run("compile", path, "-o", out, *options(given), progress=progress)
        return Model(out.read_bytes())


def inspect(
    model: str | os.PathLike[str],
    *,
    drop_softmax: bool = False,
    dims: Mapping[str, int] | None = None,
    batch_axes: Sequence[str] = (),
    constants: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Lists inputs, outputs and operators of an ONNX file. Raises `CouldNotCheck` if one of them cannot be proven."""
    return run("inspect", model, *options(_read(drop_softmax, dims, batch_axes, constants)))
