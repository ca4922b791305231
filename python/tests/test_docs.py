"""What docs/python.md shows, executed: each block with the objects that its page speaks of."""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from conftest import ASSETS, quietly

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
#: The first account of development chains: public knowledge.
KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def block(word: str) -> str:
    (found,) = [b for b in blocks() if word in b]
    return found


def run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    quietly(exec, compile(code, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes((ASSETS / "digits_mlp.onnx").read_bytes())
    return tmp_path


def command(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "assay", *words, "--json"], check=True, stdout=subprocess.PIPE, env={**os.environ, "ASSAY_PRIVATE_KEY": KEY}
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def node(here: Path) -> Iterator[str]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    up = [sys.executable, "-m", "assay", "chain", "up", "--port", str(port), "--json"]
    with subprocess.Popen(up, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if (here / "assay-deployment.json").exists() or json.loads(line).get("event") == "result":
                    break
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_every_block_is_executed() -> None:
    words = ["assay.compile(", "rpc=", "commit_outputs=", "assay.train("]
    assert [sum(w in b for w in words) for b in blocks()] == [1] * len(words)


def test_a_model_to_a_chain(here: Path, digits: np.ndarray, node: str) -> None:
    names = run(block("assay.compile("), {"samples": digits[:200], "x": digits[:2]})
    assert np.array_equal(names["shown"].outputs, names["proof"].outputs)
    contract = command("chain", "deploy", "--rpc", node, "--accept-development-srs")
    (address,) = {str(v) for v in contract.values() if re.fullmatch("0x[0-9a-fA-F]{40}", str(v))}
    code = block("rpc=").replace("http://127.0.0.1:8545", node)
    code = re.sub(r'contract="0x\.\.\."', f'contract="{address}"', code)
    code = code.replace('job="0x..."', f'job="0x{"0b" * 32}"').replace('"0x..."', f'"0x{"c0" * 20}"')
    for statement in ast.parse(code).body:
        text = ast.unparse(statement)
        if "rpc=" in text:
            names["settled"].key.save("key")
            command("chain", "register", "key", "--rpc", node, "--contract", address)
        run(text, names)
    assert np.array_equal(names["settled"].outputs, names["proof"].outputs)
    assert (here / "out.settled").stat().st_size and (here / "model.settlement").stat().st_size


def test_features_that_two_models_share() -> None:
    from test_stacks import two_models

    features, classes, x = two_models()
    names = run(block("commit_outputs="), {"assay": assay, "features": features, "classes": classes, "x": x[:1]})
    assert names["one"].committed.id


def test_training(here: Path) -> None:
    with np.load(ASSETS / "digits_test.npz") as file:
        x, y = np.asarray(file["x"], dtype=np.float32), np.asarray(file["y"])
    data = {"x": x[:200], "y": y[:200], "x_held_out": x[200:], "y_held_out": y[200:], "seed": "5e" * 32}
    names = run(block("assay.train("), {"assay": assay, **data})
    assert len(names["run"].losses) == 32 and (here / "run").is_dir()
