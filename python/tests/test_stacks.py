"""Stacks: what one proof commits to, another reads; neither shows it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

import assay
from conftest import quietly


def network(name: str, width: int, out: int, relu: bool) -> bytes:
    """The product of an input with weights, and what is positive of it."""
    from onnx import TensorProto, helper, numpy_helper

    weights = (np.arange(width * out) * 37 + 11) % 41 / 40 - 0.5
    nodes = [helper.make_node("MatMul", [name, "w"], ["product"])]
    if relu:
        nodes.append(helper.make_node("Relu", ["product"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])],
        [helper.make_tensor_value_info("y" if relu else "product", TensorProto.FLOAT, [1, out])],
        [numpy_helper.from_array(weights.reshape(width, out).astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def two_models() -> tuple[assay.Model, assay.Model, np.ndarray]:
    """Features of 12 values, three scores of features, and samples for the first."""
    x = np.array([[(r * 5 + i * 7) % 17 / 8 - 1 for i in range(12)] for r in range(60)], dtype=np.float32)
    first = assay.compile(network("x", 12, 20, True), x, weight_bits=10, activation_bits=10, private_outputs=True)
    features = quietly(assay.prove, first, x).outputs
    # What is never negative has a bit more as an output than the activations that it comes from.
    return first, assay.compile(network("features", 20, 3, False), features, weight_bits=10, activation_bits=11), x


@pytest.fixture(scope="module")
def models() -> tuple[assay.Model, assay.Model, np.ndarray]:
    return two_models()


@pytest.mark.parametrize("make", [assay.prove, assay.settle])
def test_features_are_committed_and_classified(models: tuple[assay.Model, assay.Model, np.ndarray], make: object) -> None:
    first, second, x = models
    stack = quietly(assay.commit, first, x[:1])
    one = quietly(make, first, commits={"input": stack}, commit_outputs=True)
    two = quietly(make, second, commits={"input": one.committed})
    shown = [quietly(assay.verify, p, p.key) for p in (one, two)]
    ids = [{s["name"]: s["id"] for s in v.info["stacks"]} for v in shown]
    assert ids == [{"input": stack.id, "output": one.committed.id}, {"input": one.committed.id}]
    # Neither shows a feature; the scores are those of both models in a row.
    assert shown[0].inputs is None and shown[1].inputs is None
    assert np.array_equal(shown[1].outputs, quietly(assay.prove, second, quietly(assay.prove, first, x[:1]).outputs).outputs)
    quietly(assay.verify, one, one.key, commits={"input": stack, "output": one.committed})
    with pytest.raises(assay.InvalidProof, match="another stack"):
        quietly(assay.verify, two, two.key, commits={"input": quietly(make, first, x[:1], commit_outputs=True).committed})
    with pytest.raises(AttributeError, match="commit_outputs"):
        two.committed


def test_stacks_are_secret_and_their_ids_are_not(models: tuple[assay.Model, assay.Model, np.ndarray], tmp_path: Path) -> None:
    first, _, x = models
    blinded = [quietly(assay.commit, first, x[:1]) for _ in range(2)]
    assert blinded[0].id != blinded[1].id and not blinded[0].public
    public = [quietly(assay.commit, first, x[:1], public=True) for _ in range(2)]
    assert public[0].id == public[1].id and public[0].public
    weights = quietly(assay.commit, first, public=True)
    blinded[0].save(tmp_path / "x.stack")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "x.stack").stat().st_mode) == 0o600
    assert assay.Stack.load(tmp_path / "x.stack") == blinded[0]
    assert blinded[0].id[:16] in repr(blinded[0])
    # A file of another kind, a stack of something else, and what no stack is.
    first.save(tmp_path / "m")
    with pytest.raises(assay.CouldNotCheck, match="stack"):
        assay.Stack.load(tmp_path / "m")
    with pytest.raises(assay.CouldNotCheck, match="expected shape"):
        quietly(assay.prove, first, commits={"input": quietly(assay.commit, first)})
    with pytest.raises(ValueError, match="commits"):
        assay.prove(first, x[:1], commits={"output": weights})
    key = quietly(assay.setup, first, commits={"weights": weights})
    proof = quietly(assay.prove, first, x[:1], key=key, commits={"weights": weights})
    assert [s["id"] for s in quietly(assay.verify, proof, key).info["stacks"]] == [weights.id]
