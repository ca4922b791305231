#!/usr/bin/env bash
# onnxruntime 1.32.0 (by default), onnxscript 0.7.2's optimizer, onnxslim 0.1.98, onnxoptimizer 0.4.2: random operators in ONNX.
#
# A graph draws twice: two nodes of the same random operator with the same input (two masks, two lots of noise), as in a network that
# is to stay random when it runs. The result is the first draw minus the second.
#
# Expected: optimizers know which operators are no functions, and leave both. Seen: onnxoptimizer and onnxslim take the nodes for one
# common subexpression: one draw, used twice, so the difference is zero always. onnxruntime and onnxscript keep both for the operators
# whose name begins with Random, and merge them for Bernoulli, which is as random. Nothing is said of it.
#
# So independent noise in a file may be the same noise twice when it runs, and whatever is derived from its independence is lost.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: onnx==1.23.2 onnxruntime==1.32.0 \
    onnxscript==0.7.2 onnx-ir==1.1.0 onnxslim==0.1.98 onnxoptimizer==0.4.2 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" -W ignore - <<'PY'
import copy
import sys

import numpy as np
import onnxoptimizer
import onnxruntime
import onnxslim
from onnx import TensorProto, helper
from onnxscript import optimizer

N = helper.make_node
OFF = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
half = np.full((1, 256), 0.5, np.float32)


def differ(model, level=OFF):
    """Whether the two draws of a model are different ones."""
    options = onnxruntime.SessionOptions()
    if level is not None:
        options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return bool(np.any(session.run(None, {"x": half})[0]))


seen = {}
for op in ("RandomUniformLike", "RandomNormalLike", "Bernoulli"):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, half.shape) for name in "xy"]
    graph = helper.make_graph([N(op, ["x"], ["a"]), N(op, ["x"], ["b"]), N("Sub", ["a", "b"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    seen[op] = {
        "as written": differ(model),
        "onnxruntime": differ(model, None),
        "onnxscript": differ(optimizer.optimize(copy.deepcopy(model))),
        "onnxslim": differ(onnxslim.slim(copy.deepcopy(model))),
        "onnxoptimizer": differ(onnxoptimizer.optimize(model)),
    }
    print(op, "draws differ:", seen[op])

random = {"as written": True, "onnxruntime": True, "onnxscript": True, "onnxslim": False, "onnxoptimizer": False}
merged = dict.fromkeys(random, False) | {"as written": True}
sys.exit(0 if seen == {"RandomUniformLike": random, "RandomNormalLike": random, "Bernoulli": merged} else 1)
PY
