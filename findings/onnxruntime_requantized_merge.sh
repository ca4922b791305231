#!/usr/bin/env bash
# onnxruntime 1.32.0, graph optimizations as they are by default.
#
# A value is quantized to int8 twice in a row, with two scales: first finely, then coarsely (QuantizeLinear, DequantizeLinear, and the
# same with the other scale), as it is where two separately quantized parts of a network meet, or where a coarser device is imitated.
#
# Expected: optimizing keeps what a model computes, and the result is a multiple of the second scale, as the file says. Seen: the two
# pairs become one, with the *finer* step and a range that fits in both. The result is no multiple of the second scale any more, and
# is off by up to half of that step. Nothing is said of it. With optimizations off the file is followed.
#
# So the integers that a quantized file defines are not those that run: a proof about the file, or a second runtime, says otherwise.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnx==1.19.1 onnxruntime==1.32.0 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

N = helper.make_node
FINE, COARSE = np.float32(0.03), np.float32(0.11)


def run(level, x, first, second):
    """Twice quantized, at a level of optimization."""
    nodes = [
        N("QuantizeLinear", ["x", "first", "zero"], ["q"]),
        N("DequantizeLinear", ["q", "first", "zero"], ["d"]),
        N("QuantizeLinear", ["d", "second", "zero"], ["r"]),
        N("DequantizeLinear", ["r", "second", "zero"], ["y"]),
    ]
    constants = {"first": first, "second": second, "zero": np.int8(0)}
    held = [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, x.shape)], [value("y", TensorProto.FLOAT, x.shape)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    options = onnxruntime.SessionOptions()
    if level is not None:
        options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def quantized(x, scale):
    return np.clip(np.rint(x / scale), -128, 127).astype(np.float32) * scale


x = np.linspace(-2, 2, 401, dtype=np.float32)
written = quantized(quantized(x, FINE), COARSE)
off = run(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, x, FINE, COARSE)
default = run(None, x, FINE, COARSE)
apart = np.abs(default - written).max()
for at in (0, 30, 133, 275):
    print(f"{x[at]:.2f}: the file says {written[at]:.3f}, optimizations off {off[at]:.3f}, by default {default[at]:.3f}")
print(f"by default apart from the file by up to {apart:.3f}; a step of the second scale is {COARSE:.3f}")
follows = np.allclose(off, written, atol=1e-6)
coarse_lost = np.abs(default / COARSE - np.rint(default / COARSE)).max() > 0.4
one_fine = np.allclose(default, quantized(x, FINE), atol=1e-5)
print("off follows the file:", follows, "- default has lost the coarse step:", bool(coarse_lost), "- has the fine one alone:", one_fine)
sys.exit(0 if follows and coarse_lost and one_fine else 1)
PY
