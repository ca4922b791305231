"""Writes random ensembles of trees with what onnxruntime makes of 200 rows; a third of the features hold a threshold exactly."""

import pathlib
import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper, numpy_helper

out = pathlib.Path(sys.argv[1])
ROWS, FEATURES, TREES = 200, 6, 12
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"]
# Of whole features as LightGBM writes categories, beside the others.
CATEGORIES = [*MODES, "BRANCH_EQ", "BRANCH_EQ", "BRANCH_NEQ"]


def forest(rng, kind, targets, leaf, levels, early, modes):
    """Attributes of an ensemble, and its thresholds by feature; `leaf` gives a leaf's targets with their weights."""
    keys = ["treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"]
    a = {f"nodes_{k}": [] for k in keys}
    w = {f"{kind}_{k}": [] for k in ("treeids", "nodeids", "ids", "weights")}
    seen = [[] for _ in range(FEATURES)]
    for tree in range(TREES):
        nodes = []

        def grow(depth):
            me = len(nodes)
            nodes.append(None)
            if depth == 0 or rng.random() < early:
                nodes[me] = (0, "LEAF", 0.0, 0, 0)
                for t, value in leaf(me, targets):
                    for k, v in zip(("treeids", "nodeids", "ids", "weights"), (tree, me, t, float(np.float32(value)))):
                        w[f"{kind}_{k}"].append(v)
                return me
            feature, value = int(rng.integers(FEATURES)), float(np.float32(rng.normal()))
            if modes is CATEGORIES:
                value = float(rng.integers(-2, 3))
            seen[feature].append(value)
            yes, no = grow(depth - 1), grow(depth - 1)
            nodes[me] = (feature, str(rng.choice(modes)), value, yes, no)
            return me

        grow(levels)
        for i, (feature, mode, value, yes, no) in enumerate(nodes):
            for k, v in zip(keys, (tree, i, feature, mode, value, yes, no)):
                a[f"nodes_{k}"].append(v)
    return a | w, seen


def write(name, seed, op, targets, positive, levels=5, early=0.15, modes=MODES, leaf=None, **extra):
    rng = np.random.default_rng(seed)
    kind = "class" if op == "TreeEnsembleClassifier" else "target"

    def drawn(_, targets):
        return [(t, rng.random() / TREES if positive else rng.normal()) for t in range(targets)]

    attributes, seen = forest(rng, kind, targets, leaf or drawn, levels, early, modes)
    outputs = ["l", "y"] if kind == "class" else ["y"]
    node = helper.make_node(op, ["x"], outputs, domain="ai.onnx.ml", **attributes, **extra)
    value = helper.make_tensor_value_info
    outs = [value(o, T.INT64 if o == "l" else T.FLOAT, None) for o in outputs]
    graph = helper.make_graph([node], name, [value("x", T.FLOAT, [1, FEATURES])], outs)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    rows = rng.normal(size=(ROWS, 1, FEATURES)).astype(np.float32)
    for row in rows:
        for f in range(FEATURES):
            if rng.random() < 0.33:
                row[0, f] = rng.choice(seen[f])
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    results = [np.stack(r) for r in zip(*[session.run(None, {"x": row}) for row in rows])]
    folder = out / name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)
    (folder / "inputs.pb").write_bytes(numpy_helper.from_array(rows, "x").SerializeToString())
    for k, r in enumerate(results):
        file = "outputs.pb" if k == 0 else f"outputs_{k}.pb"
        (folder / file).write_bytes(numpy_helper.from_array(r, "y").SerializeToString())


C, R = "TreeEnsembleClassifier", "TreeEnsembleRegressor"
three, two = {"classlabels_int64s": [7, 3, 5]}, {"classlabels_int64s": [4, 9]}
write("trees_three_none", 1, C, 3, True, **three)
write("trees_three_softmax", 2, C, 3, False, post_transform="SOFTMAX", base_values=[0.5, -0.25, 0.1], **three)
write("trees_two_positive", 3, C, 1, True, **two)
write("trees_two_mixed", 4, C, 1, False, **two)
write("trees_two_logistic", 5, C, 1, False, post_transform="LOGISTIC", base_values=[0.3], **two)
write("trees_two_positive_logistic", 6, C, 1, True, post_transform="LOGISTIC", **two)
write("trees_sum", 7, R, 2, False, n_targets=2, base_values=[1.5, -2.0])
write("trees_average", 8, R, 1, False, n_targets=1, aggregate_function="AVERAGE")
# Deep enough that walking from the root is cheaper than deciding every split.
deep = {"levels": 8, "early": 0.02}
write("trees_deep_three", 9, C, 3, False, **deep, **three)
write("trees_deep_two", 10, C, 1, True, **deep, **two)
write("trees_deep_sum", 11, R, 2, False, n_targets=2, base_values=[1.5, -2.0], **deep)
# Equalities, alone and in chains.
write("trees_equal", 12, R, 2, False, n_targets=2, modes=CATEGORIES)
write("trees_equal_chain", 13, C, 3, False, modes=CATEGORIES, **three)
# Two classes with opposite weights for both, as CatBoost writes them.
opposite = np.random.default_rng(14)


def both(_, targets):
    w = opposite.normal()
    return [(0, -w), (1, w)]


zero_one = {"classlabels_int64s": [0, 1]}
write("trees_two_opposite", 14, C, 2, False, leaf=both, **zero_one)
write("trees_two_opposite_logistic", 15, C, 2, False, leaf=both, post_transform="LOGISTIC", **zero_one)
# The number of the leaf, which scikit-learn's converter repeats for every class.
write("trees_numbers_of_leaves", 16, R, 1, False, n_targets=1, leaf=lambda me, _: [(0, me)] * 3)
