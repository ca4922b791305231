"""Pipelines of scikit-learn over the columns of a table, as skl2onnx writes them.

    python train_columns.py [--out DIR]

Writes columns_NAME.onnx (circuits/tests/tabular/ by default) for rows of the
tables that train_tabular.py writes, and columns_wine_mixed.npz, whose last
column is an integer category. A model takes the columns of a row in order, in
one input or several. Needs skl2onnx and pandas beside benches/requirements.txt
(made with skl2onnx 1.20.0).
"""

import argparse
from pathlib import Path

from common import ROOT, np, run, save_model, save_npz

import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

SEED = 20240


def frame(rows, whole=()):
    """Rows as a DataFrame with columns c0, c1, ...; those in `whole` hold integers."""
    table = pd.DataFrame({f"c{i}": rows[:, i] for i in range(rows.shape[1])})
    return table.astype({name: np.int64 for name in whole})


def feeds(rows, whole, together):
    if together:
        return {"x": rows}
    kind = {name: np.int64 for name in whole}
    return {
        f"c{i}": rows[:, i : i + 1].astype(kind.get(f"c{i}", np.float32))
        for i in range(rows.shape[1])
    }


def write(out, name, pipeline, data, whole=(), together=False):
    """Fits on the calibration rows, converts, and scores the held-out ones in onnxruntime."""
    rows, target = data["calibration"], data["calibration_y"]
    table = rows if together else frame(rows, whole)
    pipeline.fit(table, target)
    kinds = [(f"c{i}", FloatTensorType([None, 1])) for i in range(rows.shape[1])]
    kinds = [(n, Int64TensorType([None, 1]) if n in whole else k) for n, k in kinds]
    if together:
        kinds = [("x", FloatTensorType([None, rows.shape[1]]))]
    classifier = hasattr(pipeline, "predict_proba")
    options = {"zipmap": False} if classifier else None
    model = convert_sklearn(
        pipeline, name=name, initial_types=kinds, options=options, target_opset=17
    )
    save_model(model, out / f"columns_{name}.onnx")
    got = run(model, feeds(data["x"], whole, together))[0].reshape(-1)
    truth = data["y"]
    if classifier:
        score = (got == truth).mean()
    else:
        score = 1.0 - ((got - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    print(f"columns_{name}: {score:.4f} on {len(truth)} held-out rows")


def mixed(wine, out):
    """The wine table with a category beside it, of which the class depends."""
    rng = np.random.default_rng([SEED, 3])
    table = dict(wine)
    for x, y in [("x", "y"), ("calibration", "calibration_y")]:
        label = wine[y].astype(int)
        noise = rng.integers(0, 3, len(label))
        kind = np.where(rng.random(len(label)) < 0.5, label, noise) + 3
        table[x] = np.hstack([wine[x], kind[:, None].astype(np.float32)])
    save_npz(out / "columns_wine_mixed.npz", **table)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "circuits" / "tests" / "tabular")
    out = parser.parse_args().out
    cancer, wine, diabetes = (
        dict(np.load(out / f"{name}.npz")) for name in ("breast_cancer", "wine", "diabetes")
    )
    for data in (cancer, wine):
        for y in ("y", "calibration_y"):
            data[y] = data[y].astype(np.int64)
    kinds = mixed(wine, out)
    names = [f"c{i}" for i in range(30)]
    logistic = dict(max_iter=10000)

    write(out, "wine_scaled", make_pipeline(StandardScaler(), LogisticRegression()), wine)
    whole = ColumnTransformer([("all", "passthrough", names)])
    write(out, "cancer_raw", make_pipeline(whole, LogisticRegression(**logistic)), cancer)
    parts = ColumnTransformer(
        [
            ("standard", StandardScaler(), names[:6]),
            ("filled", make_pipeline(SimpleImputer(), MinMaxScaler()), names[6:9]),
            ("robust", RobustScaler(), [names[12], names[9]]),
            ("kinds", OneHotEncoder(), [names[13]]),
        ],
        remainder="passthrough",
    )
    layers = dict(hidden_layer_sizes=(16, 8), max_iter=3000, random_state=SEED)
    write(out, "wine_mixed_mlp", make_pipeline(parts, MLPClassifier(**layers)), kinds, ["c13"])
    parts = ColumnTransformer(
        [("standard", StandardScaler(), names[:4]), ("kinds", OneHotEncoder(), [names[13]])],
        remainder="passthrough",
    )
    write(
        out,
        "wine_mixed_linear",
        make_pipeline(parts, LogisticRegression(**logistic)),
        kinds,
        ["c13", "c4", "c12"],
    )
    forest = RandomForestClassifier(10, max_depth=5, random_state=SEED)
    write(out, "wine_mixed_forest", make_pipeline(parts, forest), kinds, ["c13"])
    parts = ColumnTransformer(
        [("standard", StandardScaler(), names[2:6]), ("kinds", OneHotEncoder(), [names[1]])],
        remainder="passthrough",
    )
    write(out, "diabetes_mixed", make_pipeline(parts, LinearRegression()), diabetes, ["c1", "c0"])
    parts = ColumnTransformer(
        [("standard", StandardScaler(), [0, 3, 20, 23]), ("robust", RobustScaler(), [13, 7, 2])],
        remainder="passthrough",
    )
    write(
        out,
        "cancer_parts",
        make_pipeline(parts, LogisticRegression(**logistic)),
        cancer,
        together=True,
    )
    best = make_pipeline(SelectKBest(k=10), StandardScaler(), LogisticRegression())
    write(out, "cancer_best", best, cancer, together=True)
    best = make_pipeline(SelectKBest(k=10), LogisticRegression(**logistic))
    write(out, "cancer_best_raw", best, cancer, together=True)
    some = dict(max_features=0.5, random_state=SEED)
    bagged = BaggingClassifier(make_pipeline(StandardScaler(), LogisticRegression()), 5, **some)
    write(out, "cancer_bagged", bagged, cancer, together=True)
    bagged = BaggingClassifier(DecisionTreeClassifier(max_depth=4), 6, **some)
    write(out, "cancer_bagged_trees", bagged, cancer, together=True)
    bagged = BaggingRegressor(LinearRegression(), 5, **some)
    write(out, "diabetes_bagged", bagged, diabetes, together=True)


if __name__ == "__main__":
    main()
