#!/usr/bin/env bash
# onnxruntime 1.32.0, against the reference evaluator of onnx 1.22.0: ensembles of trees (ai.onnx.ml).
#
# A classifier of two classes whose leaves have weights for both. Expected by many: the label is the class of the larger score. Seen:
# onnxruntime looks at the second score alone, and whether it is above zero; and what it gives are the numbers 1 and 0, not the labels
# of the file (here 10 and 11), although the scores beside them say the opposite. The reference gives the class of the larger score.
#
# A regressor with one target, of which a leaf has several weights. Expected by many: they are added up, as for several targets. Seen:
# onnxruntime takes the first of them. (scikit-learn's converter writes such leaves, and relies on it.) The reference adds them up.
#
# So a file of trees is not a function on its own: which of its labels and sums are meant is known only where both agree.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnx==1.22.0 onnxruntime==1.32.0 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def both(op, kind, leaves, columns, weights, outputs, **more):
    """What the runtime and the reference make of a split at zero, for -1 and 1."""
    nodes = {"treeids": [0] * 3, "nodeids": [0, 1, 2], "featureids": [0] * 3, "values": [0.0] * 3}
    nodes |= {"modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "truenodeids": [1, 0, 0], "falsenodeids": [2, 0, 0]}
    given = {f"nodes_{name}": value for name, value in nodes.items()} | more
    given |= {f"{kind}_treeids": [0] * len(leaves), f"{kind}_nodeids": leaves, f"{kind}_ids": columns, f"{kind}_weights": weights}
    node = helper.make_node(op, ["x"], outputs, domain="ai.onnx.ml", **given)
    kinds = {"label": TensorProto.INT64, "scores": TensorProto.FLOAT}
    out = [helper.make_tensor_value_info(name, kinds[name], None) for name in outputs]
    graph = helper.make_graph([node], "trees", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])], out)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    x = {"x": np.array([[-1.0], [1.0]], np.float32)}
    runtime = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [[np.asarray(v).ravel().tolist() for v in r.run(None, x)] for r in (runtime, ReferenceEvaluator(model))]


runtime, reference = both(
    "TreeEnsembleClassifier", "class", [1, 1, 2, 2], [0, 1, 0, 1], [0.25, 0.75, 0.875, 0.125], ["label", "scores"], classlabels_int64s=[10, 11]
)
print("scores (0.25, 0.75) and (0.875, 0.125); labels:", runtime[0], "from onnxruntime,", reference[0], "from the reference")
labels = (runtime, reference) == ([[1, 1], [0.25, 0.75, 0.875, 0.125]], [[11, 10], [0.25, 0.75, 0.875, 0.125]])

sums = both("TreeEnsembleRegressor", "target", [1, 1, 1, 2], [0] * 4, [4.0, 2.0, 1.0, 8.0], ["scores"], n_targets=1)
print("a leaf with weights 4, 2, 1:", sums[0][0][0], "from onnxruntime,", sums[1][0][0], "from the reference")
sys.exit(0 if labels and sums == [[[4.0, 8.0]], [[7.0, 8.0]]] else 1)
PY
