#!/usr/bin/env bash
# onnxruntime 1.32.0, graph optimizations as they are by default: BatchNormalization that updates its statistics (training_mode=1).
#
# The parameters of a fresh layer: scale 1, bias 0, running mean 0, running variance 1. So scale and variance are equal tensors, and so
# are bias and mean. Expected: the result does not depend on whether two constants happen to be equal. Seen: by default the result is
# another one than with optimizations off, by the size of the batch's own spread. With 1e-7 added to mean and variance both agree.
# (The likely cause: equal constants are kept once, and updated statistics are written over what scale and bias are read from.
# A file in which one constant stands in both places gives the same wrong numbers with optimizations off.)
#
# So a file is right or wrong by the values that its constants have, and the freshest of networks is the one that goes wrong.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

x = np.array([[-9, 4], [3, -6], [12, 5], [-2, 1]], np.float32)


def run(level, mean, variance):
    """The normalized batch, at a level of optimization."""
    constants = {"scale": [1, 1], "bias": [0, 0], "mean": [mean] * 2, "variance": [variance] * 2}
    held = [numpy_helper.from_array(np.array(v, np.float32), k) for k, v in constants.items()]
    node = helper.make_node("BatchNormalization", ["x", *constants], ["y", "new_mean", "new_variance"], training_mode=1)
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "g", [value("x", TensorProto.FLOAT, [4, 2])], [value("y", TensorProto.FLOAT, [4, 2])], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    if level is not None:
        options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


off = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
expected = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
results = {}
for name, mean, variance in (("fresh", 0, 1), ("all but fresh", 1e-7, 1 + 1.2e-7)):
    results[name] = run(off, mean, variance), run(None, mean, variance)
    print(f"{name}: first row {results[name][0][0]} with optimizations off, {results[name][1][0]} by default")
right = [np.allclose(r, expected, atol=1e-4) for pair in results.values() for r in pair]
print("as defined:", right)
sys.exit(0 if right == [True, False, True, True] and np.abs(results["fresh"][1] - expected).max() > 0.5 else 1)
PY
