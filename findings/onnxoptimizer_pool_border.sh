#!/usr/bin/env bash
# onnxoptimizer 0.4.2, optimize() with its passes as they are by default; results from onnxruntime 1.32.0 with optimizations off.
#
# Zeros are put around an image (Pad), and the largest of each window is taken (MaxPool), as networks do that were written for a
# framework whose pooling cannot pad. Expected: optimizing keeps what a model computes. Seen: the border becomes the pooling's own
# padding, which does not count zeros but nothing at all. Wherever the image is negative at its edge the result is negative, where
# the file says zero. Behind a ReLU nobody notices; behind a GELU, a normalization or a linear layer the edges are other numbers.
#
# Also: ArgMax of Exp becomes ArgMax of what Exp was given, so rows that overflow have another winner.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnx==1.23.2 onnxruntime==1.32.0 onnxoptimizer==0.4.2 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

N = helper.make_node


def both(nodes, x, kind, constants):
    """What a model computes as it is, and optimized."""
    held = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, x.shape)], [value("y", kind, None)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    results = []
    for m in (model, onnxoptimizer.optimize(model)):
        session = onnxruntime.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": x})[0])
    return results


border = {"border": np.array([0, 0, 1, 1, 0, 0, 1, 1])}
pool = [N("Pad", ["x", "border"], ["p"]), N("MaxPool", ["p"], ["y"], kernel_shape=[2, 2], strides=[2, 2])]
pooled = both(pool, -np.ones((1, 1, 2, 2), np.float32), TensorProto.FLOAT, border)
print("an image of -1, zeros around it, largest of each window:", pooled[0].ravel(), "optimized:", pooled[1].ravel())
winner = both(
    [N("Exp", ["x"], ["e"]), N("ArgMax", ["e"], ["y"], axis=1)], np.array([[100, 200, 300]], np.float32), TensorProto.INT64, {}
)
print("ArgMax of Exp of (100, 200, 300):", winner[0].ravel(), "optimized:", winner[1].ravel())
found = [r.ravel().tolist() for r in pooled + winner]
sys.exit(0 if found == [[0.0] * 4, [-1.0] * 4, [0], [2]] else 1)
PY
