#!/usr/bin/env bash
# onnx 1.23.2, onnx.reference.ReferenceEvaluator, against onnxruntime 1.32.0: recurrent networks.
#
# Expected: the reference follows the attributes of an operator, or says that it does not. Seen: RNN, GRU and LSTM do not clip; LSTM uses
# sigmoid and tanh whatever its activations are, and does not stop at the end of a shorter sequence (sequence_lens). There is no word,
# and the results have the right shape. Without those attributes, and with direction="reverse" (which it did not follow in 1.19.1
# either), both agree.
#
# So numbers of a recurrent network that were checked against the reference may be those of another network.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 2, 4
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
random = np.random.default_rng(1)
x = random.normal(size=(STEPS, BATCH, INPUTS)).astype(np.float32)
weights = {
    op: {"w": random.normal(size=(1, g * HIDDEN, INPUTS)), "r": random.normal(size=(1, g * HIDDEN, HIDDEN))} for op, g in GATES.items()
}


def apart(op, lengths=None, **attributes):
    """How far runtime and reference are from each other, and the reference from itself without the attributes."""
    constants = {k: v.astype(np.float32) for k, v in weights[op].items()}
    inputs = ["x", "w", "r"]
    if lengths is not None:
        constants["lengths"] = np.array(lengths, np.int32)
        inputs += ["", "lengths"]
    held = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    value = helper.make_tensor_value_info

    def model(inputs, attributes):
        node = helper.make_node(op, inputs, ["y"], hidden_size=HIDDEN, **attributes)
        ends = value("x", TensorProto.FLOAT, x.shape), value("y", TensorProto.FLOAT, [STEPS, 1, BATCH, HIDDEN])
        graph = helper.make_graph([node], "g", [ends[0]], [ends[1]], held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    whole = model(inputs, attributes)
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    runtime = session.run(None, {"x": x})[0]
    reference = ReferenceEvaluator(whole).run(None, {"x": x})[0]
    plain = ReferenceEvaluator(model(["x", "w", "r"], {})).run(None, {"x": x})[0]
    result = float(np.abs(runtime - reference).max()), float(np.abs(reference - plain).max())
    print(f"{op} {attributes} {lengths or ''}: apart {result[0]:.2g}; the reference from itself without them: {result[1]:.2g}")
    return result


plain = [apart(op) for op in GATES]
plain += [apart(op, direction="reverse") for op in GATES]
ignored = [apart(op, clip=0.3) for op in GATES]
ignored.append(apart("LSTM", activations=["Relu", "Tanh", "Relu"]))
ignored.append(apart("LSTM", lengths=[5, 2, 3]))
sys.exit(0 if all(a < 1e-5 for a, _ in plain) and all(a > 0.05 and b == 0 for a, b in ignored) else 1)
PY
