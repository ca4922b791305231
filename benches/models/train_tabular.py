"""Trains small models on scikit-learn's bundled tables, on raw features.

    python train_tabular.py [--out DIR]

Writes NAME_mlp.onnx, NAME_linear.onnx and NAME.npz (x, y, calibration,
calibration_y: held-out and training rows) for the breast cancer, wine and
diabetes sets (circuits/tests/tabular/ by default). Normalization is inside of
the models, spelled as exporters spell it: Sub and Div, BatchNormalization, or
multiplied into the weights. Two more networks have one output, or one channel,
that drowns the others: targets.onnx and gamma.onnx.
"""

import argparse
from pathlib import Path

from common import ROOT, Graph, np, run, save_model, save_npz

from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

SEED = 20240
HELD_OUT = 0.3


def subtract_divide(graph, last, scaler):
    mean = graph.init("mean", scaler.mean_[None].astype(np.float32))
    std = graph.init("std", scaler.scale_[None].astype(np.float32))
    last = graph.node("Sub", [last, mean], "centred")
    return graph.node("Div", [last, std], "scaled")


def batch_norm(graph, last, scaler):
    n = len(scaler.mean_)
    names = [
        graph.init("gamma", np.ones(n, np.float32)),
        graph.init("beta", np.zeros(n, np.float32)),
        graph.init("mean", scaler.mean_.astype(np.float32)),
        graph.init("var", scaler.var_.astype(np.float32)),
    ]
    return graph.node("BatchNormalization", [last, *names], "scaled", epsilon=0.0)


def dense(graph, last, name, weight, bias):
    """`weight` is (inputs, outputs), as scikit-learn has it."""
    w = graph.init(f"{name}.weight", np.asarray(weight).T.astype(np.float32))
    b = graph.init(f"{name}.bias", np.asarray(bias).reshape(-1).astype(np.float32))
    return graph.node("Gemm", [last, w, b], name, transB=1)


def build(name, scaler, normalize, layers):
    """The ONNX model of dense layers with ReLU in between."""
    graph = Graph(name)
    layers = [(np.array(w, np.float64), np.array(b, np.float64).reshape(-1)) for w, b in layers]
    last = graph.input("x", ["batch", len(scaler.mean_)])
    if normalize is None:
        (w, b), rest = layers[0], layers[1:]
        w = w / scaler.scale_[:, None]
        layers = [(w, b - scaler.mean_ @ w), *rest]
    else:
        last = normalize(graph, last, scaler)
    for i, (w, b) in enumerate(layers):
        final = i == len(layers) - 1
        last = dense(graph, last, "y" if final else f"fc{i + 1}", w, b)
        if not final:
            last = graph.node("Relu", [last], f"relu{i + 1}")
    return graph.model({"y": ["batch", layers[-1][0].shape[1]]})


def table(name, data, target, normalize, out):
    """Trains and writes both models of one table."""
    x = data.astype(np.float32)
    labels = target if np.issubdtype(target.dtype, np.integer) else None
    train, test, ty, vy = train_test_split(
        x, target, test_size=HELD_OUT, random_state=SEED, stratify=labels
    )
    scaler = StandardScaler().fit(train.astype(np.float64))
    z = scaler.transform(train.astype(np.float64))
    sizes = dict(hidden_layer_sizes=(24, 12), random_state=SEED, max_iter=3000)
    if labels is None:
        mlp = MLPRegressor(alpha=1.0, **sizes).fit(z, ty)
        linear = LinearRegression().fit(z, ty)
        flat = [(linear.coef_[:, None], [linear.intercept_])]
    else:
        mlp = MLPClassifier(alpha=0.1, **sizes).fit(z, ty)
        linear = LogisticRegression(max_iter=3000).fit(z, ty)
        flat = [(linear.coef_.T, linear.intercept_)]
    save_npz(
        out / f"{name}.npz",
        x=test,
        y=vy.astype(np.float32),
        calibration=train,
        calibration_y=ty.astype(np.float32),
    )
    models = {
        "mlp": build(f"{name}_mlp", scaler, normalize, list(zip(mlp.coefs_, mlp.intercepts_))),
        "linear": build(f"{name}_linear", scaler, None, flat),
    }
    for kind, model in models.items():
        save_model(model, out / f"{name}_{kind}.onnx")
        y = run(model, {"x": test})[0]
        if labels is None:
            score = 1.0 - ((y[:, 0] - vy) ** 2).sum() / ((vy - vy.mean()) ** 2).sum()
        elif y.shape[1] == 1:
            score = ((y[:, 0] > 0) == vy).mean()
        else:
            score = (y.argmax(axis=1) == vy).mean()
        print(f"{name}_{kind}: {score:.4f} on {len(test)} held-out rows")


def targets(rng, out):
    """Two targets of size 5e5 and 0.5 from the same features."""
    graph = Graph("targets")
    last = graph.input("x", ["batch", 6])
    last = dense(graph, last, "fc1", rng.standard_normal((6, 16)), rng.standard_normal(16))
    last = graph.node("Relu", [last], "relu1")
    weight = rng.standard_normal((16, 2)) * np.array([1e5, 0.1])
    last = dense(graph, last, "y", weight, [2e4, 0.02])
    save_model(graph.model({"y": ["batch", 2]}), out / "targets.onnx")
    x = rng.standard_normal((160, 6)).astype(np.float32)
    save_npz(out / "targets.npz", x=x[:64], calibration=x[64:])


def gamma(rng, out):
    """A convolution whose BatchNormalization has one gamma of 300."""
    graph = Graph("gamma")
    last = graph.input("x", ["batch", 2, 8, 8])
    channels = 8
    w = graph.init("conv.weight", (rng.standard_normal((channels, 2, 3, 3)) / 4).astype(np.float32))
    last = graph.node("Conv", [last, w], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    large = np.ones(channels)
    large[3] = 300.0
    names = [
        graph.init("gamma", large.astype(np.float32)),
        graph.init("beta", (0.1 * rng.standard_normal(channels) * large).astype(np.float32)),
        graph.init("mean", np.zeros(channels, np.float32)),
        graph.init("var", np.ones(channels, np.float32)),
    ]
    last = graph.node("BatchNormalization", [last, *names], "norm")
    last = graph.node("Relu", [last], "relu1")
    last = graph.node("MaxPool", [last], "pool", kernel_shape=[2, 2], strides=[2, 2])
    last = graph.node("Flatten", [last], "flat")
    weight = rng.standard_normal((channels, 16, 5)) / np.sqrt(channels * 16)
    weight[3] /= 300.0
    last = dense(graph, last, "y", weight.reshape(-1, 5), rng.standard_normal(5) / 10)
    save_model(graph.model({"y": ["batch", 5]}), out / "gamma.onnx")
    x = rng.standard_normal((80, 2, 8, 8)).astype(np.float32)
    save_npz(out / "gamma.npz", x=x[:32], calibration=x[32:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "circuits" / "tests" / "tabular")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    cancer, wine = load_breast_cancer(), load_wine()
    diabetes = load_diabetes(scaled=False)
    table("breast_cancer", cancer.data, cancer.target, subtract_divide, out)
    table("wine", wine.data, wine.target, batch_norm, out)
    table("diabetes", diabetes.data, diabetes.target, subtract_divide, out)
    targets(np.random.default_rng([SEED, 1]), out)
    gamma(np.random.default_rng([SEED, 2]), out)


if __name__ == "__main__":
    main()
