#!/usr/bin/env bash
# onnxmltools 1.16.0, convert_xgboost; models from xgboost 3.2.0, results from onnxruntime 1.32.0.
#
# A regressor of XGBoost is converted to ONNX: one with two targets at once, one with objective reg:logistic, one with survival:cox.
# Expected: the same predictions, or an error. Seen: no word, and a valid file. That of two targets has the sum of both targets' trees in
# the first output (their starting values are lost), and zeros for the second; the other two give
# what is under the logistic function, or the exponential, but for a constant, and not its value.
# One target with reg:squarederror, and count:poisson (an exponential as well), are converted faithfully.
#
# Who ships or proves the ONNX file ships another model than the one that was validated, and no check of the file can tell.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnxmltools==1.16.0 xgboost==3.2.0 onnx==1.19.1 onnxruntime==1.32.0 skl2onnx==1.20.0 scikit-learn==1.9.1 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import onnxruntime
import xgboost
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

random = np.random.default_rng(0)
rows = random.normal(size=(400, 4)).astype(np.float32)
target = np.abs(3 * rows[:, 0] + rows[:, 1] ** 2 + 1)
share = np.where(rows[:, 0] + rows[:, 1] > 0, 0.95, 0.05)
quiet = onnxruntime.SessionOptions()
quiet.log_severity_level = 3


def both(y, objective):
    """XGBoost's predictions and those of the converted file."""
    regressor = xgboost.XGBRegressor(n_estimators=8, max_depth=3, n_jobs=1, objective=objective).fit(rows, y)
    model = convert_xgboost(regressor, initial_types=[("rows", FloatTensorType([None, 4]))])
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
    own, file = regressor.predict(rows), session.run(None, {"rows": rows})[0]
    print(f"{objective}, {y.ndim} axes: first row {own[0]} from XGBoost, {file[0]} from the file")
    return own, file.reshape(own.shape)


own, file = both(target, "reg:squarederror")
fine = np.allclose(own, file, atol=1e-4)
own, file = both(target + 0.1, "count:poisson")
fine &= np.allclose(own, file, atol=1e-4)
own, file = both(np.stack([target, 2 * target], axis=1), "reg:squarederror")
differ = not file[:, 1].any() and np.ptp(own.sum(axis=1) - file[:, 0]) < 1e-3 and np.abs(own - file).max() > 1
own, file = both(share, "reg:logistic")
differ &= np.ptp(np.log(own / (1 - own)) - file) < 1e-3 and np.abs(own - file).max() > 0.5
own, file = both(target + 0.1, "survival:cox")
differ &= np.ptp(np.log(own) - file) < 1e-3 and np.abs(own - file).max() > 0.5
print("faithful ones agree:", bool(fine), "- the others differ as described:", bool(differ))
sys.exit(0 if fine and differ else 1)
PY
