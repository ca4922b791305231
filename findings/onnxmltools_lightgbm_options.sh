#!/usr/bin/env bash
# onnxmltools 1.16.0, convert_lightgbm; models from lightgbm 4.7.0, results from onnxruntime 1.32.0.
#
# A LightGBM model is converted to ONNX, with an option that is in the model itself and that LightGBM's own predictions follow:
#   linear_tree=True        each leaf holds a linear function, not a number
#   reg_sqrt=True           trees are fitted to the square root of the target, and predictions squared
#   boosting="rf"           the trees' results are averaged
#   sigmoid=3               the slope of the logistic function that makes a probability of a score
#   objective=multiclassova a logistic function a class; the probabilities do not add up to one
#
# Expected: the same predictions, or an error that says that the option cannot be converted (as objective "mape" gives). Seen: no word,
# and a file that is valid and runs. It has the number of the leaf without its linear function, the root not squared, the sum of the
# random forest's trees where their mean was meant (eight trees: eight times the value), slope 1, and for the last one a softmax, as if
# the objective were "multiclass". The same model without the option is converted with predictions equal to seven digits.
#
# Who ships or proves the ONNX file ships another model than the one that was validated, and no check of the file can tell.
# Exit code 0: as described here. 1: it is not so any more. 3: it cannot be tried here.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" >&2 || exit 3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    onnxmltools==1.16.0 lightgbm==4.7.0 onnx==1.19.1 onnxruntime==1.32.0 skl2onnx==1.20.0 scikit-learn==1.9.1 numpy==2.4.6 >&2 || exit 3

"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import lightgbm
import numpy as np
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

random = np.random.default_rng(0)
rows = random.normal(size=(400, 4)).astype(np.float32)
target = np.abs(3 * rows[:, 0] + rows[:, 1] ** 2 + 1)
side = (rows[:, 0] + rows[:, 1] > 0).astype(int)
classes = np.digitize(rows[:, 0], [-0.5, 0.5])
quiet = onnxruntime.SessionOptions()
quiet.log_severity_level = 3


def both(y, **options):
    """LightGBM's predictions and those of the converted file."""
    options |= {"verbosity": -1, "num_leaves": 7, "deterministic": True, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(rows, y), 8)
    model = convert_lightgbm(booster, initial_types=[("rows", FloatTensorType([None, 4]))], zipmap=False)
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
    own = booster.predict(rows)
    file = session.run(None, {"rows": rows})[-1]
    if options["objective"] == "binary":
        file = file[:, 1]
    return own, file.reshape(own.shape)


forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
kinds = {"regression": target, "binary": side, "multiclass": classes, "multiclassova": classes}
cases = {
    "plain regression": ("regression", {}),
    "linear_tree": ("regression", {"linear_tree": True}),
    "reg_sqrt": ("regression", {"reg_sqrt": True}),
    "random forest": ("regression", forest),
    "plain binary": ("binary", {}),
    "sigmoid=3": ("binary", {"sigmoid": 3.0}),
    "plain multiclass": ("multiclass", {"num_class": 3}),
    "multiclassova": ("multiclassova", {"num_class": 3}),
}
found = {}
for name, (objective, options) in cases.items():
    own, file = both(kinds[objective], objective=objective, **options)
    apart = np.abs(own - file).max()
    found[name] = apart
    print(f"{name}: first row {own[0]} from LightGBM, {file[0]} from the file; farthest apart {apart:.2g}")
    if name == "reg_sqrt":
        explained = np.allclose(np.sign(file) * file**2, own, rtol=1e-4, atol=1e-5)
    if name == "random forest":
        explained &= np.allclose(file / 8, own, rtol=1e-4, atol=1e-5)
    if name == "sigmoid=3":
        odds = 3 * np.log(file / (1 - file))
        explained &= np.allclose(1 / (1 + np.exp(-odds)), own, rtol=1e-3, atol=1e-4)
    if name == "multiclassova":
        odds = own / (1 - own)
        explained &= np.allclose(odds / odds.sum(axis=1, keepdims=True), file, rtol=1e-3, atol=1e-4)
        explained &= bool(np.abs(own.sum(axis=1) - 1).max() > 0.1)

agree = all(apart < 1e-5 for name, apart in found.items() if name.startswith("plain"))
differ = all(apart > 0.1 for name, apart in found.items() if not name.startswith("plain"))
print("plain ones agree:", agree, "- options differ:", differ, "- as explained above:", bool(explained))
sys.exit(0 if agree and differ and explained else 1)
PY
