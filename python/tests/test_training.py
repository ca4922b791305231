"""Training from Python: a proof of every step, and of the gain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import assay
from conftest import ASSETS, quietly


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    with np.load(ASSETS / "digits_test.npz") as file:
        return np.asarray(file["x"], dtype=np.float32), np.asarray(file["y"])


def test_a_run_is_proven_and_gains(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x, y = data
    out = tmp_path / "run"
    run = quietly(assay.train, ASSETS / "digits_mlp.onnx", x[:100], y[:100], out=out, steps=2, batch=8, lr=2**-6)
    assert len(run.losses) == 2 and run.onnx.exists() and set(run.stacks) == {"weights", "trained", "dataset"}
    quietly(run.verify)
    gain = quietly(assay.evaluate, run, x[100:150], y[100:150])
    quietly(assay.verify, gain.proof, gain.key, training=run.record)
    assert gain.loss_before > 0 and gain.loss_after > 0
    record = json.loads(run.record.read_text())
    record["trained"] = record["weights"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(record))
    with pytest.raises(assay.InvalidProof, match="ends with other weights"):
        quietly(assay.verify, run.proof, run.key, training=other)
    # From the stack that was proven, on the same stack of data.
    next_ = quietly(
        assay.train, run.onnx, out / "dataset.stack", out=tmp_path / "next", steps=2, batch=8, lr=2**-6,
        weights=out / "trained.stack",
    )
    assert next_.stacks["weights"] == run.stacks["trained"] and next_.stacks["dataset"] == run.stacks["dataset"]
    with pytest.raises(assay.CouldNotCheck, match="power of two"):
        quietly(assay.train, run.onnx, x[:100], y[:100], out=tmp_path / "bad", batch=12)
    with pytest.raises(ValueError, match="y is missing"):
        assay.train(run.onnx, x[:100], out=tmp_path / "bad")
