#!/usr/bin/env bash
# onnxscript 0.7.2, the optimizer that `torch.onnx.export(dynamo=True)` runs on every model by default; results from onnxruntime 1.32.0.
#
# A row divided by its norm, written `x / (norm(x) + 1e-10)` so that a row of zeros stays zero. Expected: optimizing keeps what a model
# computes. Seen: a constant of 1e-8 or less is taken for zero, its addition is dropped as doing nothing, and the row of zeros becomes
# NaN. Nothing is said of it. 2e-8 stays. (1e-12, of which BERT's layer norms are full, goes as well.)
#
# The other way round: factors that are one but for 1e-5 are taken for one, and dropped as well; a product of a hundred of them loses
# a thousandth part.
#
# So an exported file can be undefined where the model it was made of is not: compare both on rows of zeros.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnxscript==0.7.2 onnx==1.19.1 onnxruntime==1.32.0 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer

N = helper.make_node


def run(nodes, constants, x):
    """What onnxruntime gives for a model as it is, and as it is optimized."""
    value = helper.make_tensor_value_info
    held = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, x.shape)], [value("y", TensorProto.FLOAT, x.shape)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    results = []
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for m in (model, optimizer.optimize(model)):
        session = onnxruntime.InferenceSession(m.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": x})[0])
    return results


def normalized(epsilon):
    nodes = [
        N("Mul", ["x", "x"], ["squares"]),
        N("ReduceSum", ["squares", "axis"], ["sum"]),
        N("Sqrt", ["sum"], ["norm"]),
        N("Add", ["norm", "epsilon"], ["divisor"]),
        N("Div", ["x", "divisor"], ["y"]),
    ]
    constants = {"axis": np.array([1]), "epsilon": np.array(epsilon, np.float32)}
    return run(nodes, constants, np.array([[0.0, 0.0], [3.0, 4.0]], np.float32))


found = {}
for epsilon in (2e-8, 1e-8, 1e-10, 1e-12):
    before, after = normalized(epsilon)
    found[epsilon] = (before[0].tolist(), after[0].tolist())
    print(f"epsilon {epsilon}: a row of zeros gives {before[0]}, optimized {after[0]}")

factor = np.array(1 + 9e-6, np.float32)
nodes = [N("Mul", ["x" if i == 0 else f"t{i}", "factor"], ["y" if i == 99 else f"t{i + 1}"]) for i in range(100)]
before, after = run(nodes, {"factor": factor}, np.ones((1, 1), np.float32))
print(f"1 times {factor} a hundred times: {before[0, 0]}, optimized {after[0, 0]}")

zero = [0.0, 0.0]
kept = found[2e-8] == (zero, zero)
lost = all(found[e][0] == zero and np.isnan(found[e][1]).all() for e in (1e-8, 1e-10, 1e-12))
sys.exit(0 if kept and lost and before[0, 0] > 1.0008 and after[0, 0] == 1.0 else 1)
PY
