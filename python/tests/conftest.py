"""What the tests share: a small model, and everything that can be made of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay

#: A network on digits and a few hundred images, which the command has for its demonstration.
ASSETS = Path(__file__).parents[2] / "cli" / "assets"
DEVELOPMENT = "INSECURE development powers of tau"

# Shells start background jobs with Ctrl+C ignored, and so would be whatever the tests start: as in a foreground job instead. It
# comes after the import, which must not have touched it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    with np.load(ASSETS / "digits_test.npz") as file:
        name = "x" if "x" in file else next(n for n in file if file[n].ndim > 1)
        return np.asarray(file[name], dtype=np.float32)


def quietly(function: Any, *args: Any, **options: Any) -> Any:
    """Without the warning about development powers of tau, which most tests use; others are errors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", DEVELOPMENT, assay.AssayWarning)
        return function(*args, **options)


@pytest.fixture(scope="session")
def model(digits: np.ndarray) -> assay.Model:
    return assay.compile(ASSETS / "digits_mlp.onnx", digits[:200])


@pytest.fixture(scope="session")
def key(model: assay.Model) -> assay.Key:
    return quietly(assay.setup, model, public_inputs=True)


@pytest.fixture(scope="session")
def proof(model: assay.Model, key: assay.Key, digits: np.ndarray) -> assay.Proof:
    return quietly(assay.prove, model, digits[:2], key=key)


@pytest.fixture(scope="session")
def settled(model: assay.Model, digits: np.ndarray) -> assay.SettledProof:
    return quietly(assay.settle, model, digits[:1], public_inputs=True, recipient="0x" + "ab" * 20)


def command(*args: str | os.PathLike[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and last line of the command line, run as a program of its own."""
    program = os.environ.get("ASSAY_COMMAND")
    start = [program] if program else [sys.executable, "-m", "assay"]
    done = subprocess.run([*start, "--json", *map(os.fspath, args)], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])
