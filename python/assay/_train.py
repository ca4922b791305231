"""Training in integers, with a proof of every step, and what it gained on held-out rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._export import onnx_file
from ._files import PathLike, folder
from ._progress import ProgressLike
from ._proof import Key, Proof, SettledProof, SettlementKey, Verified, verify
from ._run import options, run


@dataclass(frozen=True)
class Trained:
    """A training run: a folder with the trained model, the record, proof and key, and the stacks, which are secret."""

    folder: Path
    settled: bool
    #: Mean loss of each step.
    losses: tuple[float, ...]
    #: Ids of the stacks `weights`, `trained` and `dataset`.
    stacks: dict[str, str]
    #: What the command says.
    info: dict[str, Any]

    @property
    def onnx(self) -> Path:
        """The trained model."""
        return self.folder / "trained.onnx"

    @property
    def record(self) -> Path:
        """What the run did: specification, ids of the stacks, losses."""
        return self.folder / "training.json"

    @property
    def key(self) -> Key | SettlementKey:
        """The key that checks the proof."""
        return SettlementKey.load(self.folder / "settlement.key") if self.settled else Key.load(self.folder / "key")

    @property
    def proof(self) -> Proof | SettledProof:
        """The proof of all steps."""
        return SettledProof.load(self.folder / "settled") if self.settled else Proof.load(self.folder / "proof")

    def verify(self, *, srs: PathLike | None = None, progress: ProgressLike = None) -> Verified:
        """Checks that the proof is of this run. Raises `InvalidProof` if it is of another."""
        return verify(self.proof, self.key, training=self.record, srs=srs, progress=progress)


@dataclass(frozen=True)
class Gain:
    """Proven losses on held-out rows, of the weights before and after."""

    loss_before: float
    loss_after: float
    #: Id of the stack of held-out rows.
    holdout: str
    proof: Proof | SettledProof
    key: Key | SettlementKey
    info: dict[str, Any]


def _data(where: Path, x: ArrayLike | PathLike, y: ArrayLike | None) -> Path:
    if y is None:
        if isinstance(x, (str, Path)):
            return Path(x)
        raise ValueError("y is missing: give classes, or a row of targets for each row of x")
    path = where / "data.npz"
    np.savez(path, x=np.asarray(x, dtype=np.float32), y=np.asarray(y, dtype=np.float32))
    return path


def train(
    model: Any,
    x: ArrayLike | PathLike,
    y: ArrayLike | None = None,
    *,
    out: PathLike,
    steps: int = 32,
    batch: int = 32,
    lr: float = 2**-4,
    momentum: float | None = None,
    loss: str | None = None,
    seed: str | None = None,
    standardize: str | None = None,
    weights: PathLike | None = None,
    row_bits: int | None = None,
    settle: bool = False,
    chain_id: int | None = None,
    consumer: str | None = None,
    job: str | None = None,
    recipient: str | None = None,
    srs: PathLike | None = None,
    example: Any = None,
    progress: ProgressLike = None,
) -> Trained:
    """Trains in integers and proves every step.

    Args:
        model: as for `compile`; its weights are those at the start.
        x, y: rows, and classes or rows of targets; or the file of both, or of a stack of data.
        out: the folder for everything that is made. Stacks in it are secret.
        lr, momentum: a power of two, and one minus a power of two.
        seed: 32 bytes in hexadecimal, from whoever is to be convinced; random without.
        standardize: `"fresh"` or `"keep"`: train on features of mean 0 and deviation 1.
        weights: a stack (`trained.stack` of a run before) to start from.
        settle: make a settled proof, for a contract; `chain_id`, `consumer`, `job` and `recipient` bind it.

    Raises:
        CouldNotCheck: the model cannot be trained, or the data do not fit.
    """
    with folder() as where:
        path = onnx_file(where, model, example if example is not None else x, example is not None)
        data = _data(where, x, y)
        given: dict[str, Any] = {"steps": steps, "batch": batch, "lr": lr, "momentum": momentum, "loss": loss, "seed": seed}
        given |= {"standardize": standardize, "weights": weights, "row_bits": row_bits, "settle": settle, "srs": srs}
        given |= {"chain_id": chain_id, "consumer": consumer, "job": job, "recipient": recipient}
        info = run("train", path, data, "-o", Path(out), *options(given), progress=progress)
    return Trained(Path(out), settle, tuple(info["losses"]), dict(info["stacks"]), info)


def evaluate(
    run_: Trained,
    x: ArrayLike | PathLike,
    y: ArrayLike | None = None,
    *,
    settle: bool = False,
    srs: PathLike | None = None,
    progress: ProgressLike = None,
) -> Gain:
    """Proves the losses of a run's weights, before and after, on rows that it has not seen."""
    with folder() as where:
        out, key_out = where / "out.proof", where / "out.key"
        given: dict[str, Any] = {"key_out": key_out, "settle": settle, "srs": srs}
        info = run("evaluate", run_.record, _data(where, x, y), "-o", out, *options(given), progress=progress)
        proof: Proof | SettledProof = SettledProof(out.read_bytes()) if settle else Proof(out.read_bytes())
        key: Key | SettlementKey = SettlementKey(key_out.read_bytes()) if settle else Key(key_out.read_bytes())
    return Gain(info["loss_before"], info["loss_after"], info["stacks"]["holdout"], proof, key, info)
