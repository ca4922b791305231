#!/usr/bin/env bash
# onnx 1.23.2, onnx.version_converter; what the files compute is taken from onnxruntime 1.32.0.
#
# A file is raised to a newer operator set, which is done because a tool asks for one. Expected: the model computes what it did, as the
# definitions of operators changed and the converter adapts to that (it does for Softmax, whose meaning changed with version 13).
# Seen: Resize of version 10 (and Upsample of 9, by way of it) takes its samples at other places from version 11 on, unless an attribute
# says otherwise; the converter adds none. Every enlarged image is another one, by as much as its pixels differ. Hardmax, changed in
# the same way and in the same version as Softmax, is not adapted either: it marks the largest of each row, no longer of each matrix.
# No word in both cases, and the checker is content.
#
# So raising the version is not a change of form alone: a digest of a model, or a proof, needs comparing on inputs before and after.
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
from onnx import TensorProto, checker, helper, numpy_helper, version_converter


def both(op, x, shape, old, new, scales=None, **attributes):
    """What a node computes in an old operator set, and once converted to a new one."""
    value = helper.make_tensor_value_info
    held = [] if scales is None else [numpy_helper.from_array(np.array(scales, np.float32), "scales")]
    node = helper.make_node(op, ["x"] + [h.name for h in held], ["y"], **attributes)
    graph = helper.make_graph([node], "g", [value("x", TensorProto.FLOAT, x.shape)], [value("y", TensorProto.FLOAT, shape)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", old)], ir_version=8)
    converted = version_converter.convert_version(model, new)
    checker.check_model(converted, full_check=True)
    results = []
    for m in (model, converted):
        session = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": x})[0].ravel())
    print(f"{op} {attributes} of version {old}: {results[0][:6]}, as {new}: {results[1][:6]}")
    return results


row = np.array([[[[0, 4, 8]]]], np.float32)
resized = both("Resize", row, [1, 1, 1, 6], 10, 11, [1, 1, 1, 2], mode="linear")
upsampled = both("Upsample", row, [1, 1, 1, 6], 9, 11, [1, 1, 1, 2], mode="linear")
matrix = np.array([[[1, 2], [4, 3]]], np.float32)
softmax = both("Softmax", matrix, [1, 2, 2], 12, 13)
hardmax = both("Hardmax", matrix, [1, 2, 2], 12, 13)

grids = [np.allclose(r[0], [0, 2, 4, 6, 8, 8]) and np.allclose(r[1], [0, 1, 3, 5, 7, 8]) for r in (resized, upsampled)]
marks = hardmax[0].tolist() == [0, 0, 1, 0] and hardmax[1].tolist() == [0, 1, 1, 0]
sys.exit(0 if all(grids) and marks and np.allclose(*softmax) else 1)
PY
