"""Trains an LSTM and a GRU on scikit-learn's 8x8 digits, read row by row: eight steps of eight pixels.

    python train_recurrent.py [--out DIR]

Writes digits_lstm.onnx, digits_gru.onnx and digits_rows.npz (x, y: held-out images, calibration: training images) to
circuits/tests/recurrent/ by default. The models have 32 hidden units and are trained by truncation-free backpropagation
through time in numpy.
"""

import argparse
from pathlib import Path

from common import ROOT, Graph, np, run, save_model, save_npz

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 20241
UNITS, STEPS, PIXELS, CLASSES = 32, 8, 8, 10
TEST_IMAGES = 200
CALIBRATION_IMAGES = 100
EPOCHS = 60


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Lstm:
    """Gates in the order of ONNX: input, output, forget, cell."""

    gates, op = 4, "LSTM"

    def forward(self, p, x):
        n = x.shape[0]
        h, c, past = np.zeros((n, UNITS)), np.zeros((n, UNITS)), []
        for t in range(STEPS):
            a = x[:, t] @ p["w"].T + h @ p["r"].T + p["b"]
            i, o, f, g = np.split(a, 4, axis=1)
            i, o, f, g = sigmoid(i), sigmoid(o), sigmoid(f), np.tanh(g)
            new = f * c + i * g
            past.append((h, c, i, o, f, g, new))
            h, c = o * np.tanh(new), new
        return h, past

    def backward(self, p, x, past, dh):
        grads = {k: np.zeros_like(v) for k, v in p.items()}
        dc = np.zeros_like(dh)
        for t in reversed(range(STEPS)):
            h, c, i, o, f, g, new = past[t]
            shown = np.tanh(new)
            dc = dc + dh * o * (1 - shown**2)
            parts = [dc * g * i * (1 - i), dh * shown * o * (1 - o), dc * c * f * (1 - f), dc * i * (1 - g**2)]
            da = np.concatenate(parts, axis=1)
            grads["w"] += da.T @ x[:, t]
            grads["r"] += da.T @ h
            grads["b"] += da.sum(axis=0)
            dh, dc = da @ p["r"], dc * f
        return grads


class Gru:
    """Gates in the order of ONNX: update, reset, hidden; the reset comes behind the product (`linear_before_reset`)."""

    gates, op = 3, "GRU"

    def forward(self, p, x):
        h, past = np.zeros((x.shape[0], UNITS)), []
        for t in range(STEPS):
            a, q = x[:, t] @ p["w"].T + p["b"], h @ p["r"].T
            z, r = (sigmoid(a[:, k : k + UNITS] + q[:, k : k + UNITS]) for k in (0, UNITS))
            seen = q[:, 2 * UNITS :]
            g = np.tanh(a[:, 2 * UNITS :] + r * seen)
            past.append((h, z, r, g, seen))
            h = (1 - z) * g + z * h
        return h, past

    def backward(self, p, x, past, dh):
        grads = {k: np.zeros_like(v) for k, v in p.items()}
        for t in reversed(range(STEPS)):
            h, z, r, g, seen = past[t]
            dg = dh * (1 - z) * (1 - g**2)
            dz, dr = dh * (h - g) * z * (1 - z), dg * seen * r * (1 - r)
            da, dq = np.concatenate([dz, dr, dg], axis=1), np.concatenate([dz, dr, dg * r], axis=1)
            grads["w"] += da.T @ x[:, t]
            grads["r"] += dq.T @ h
            grads["b"] += da.sum(axis=0)
            dh = dh * z + dq @ p["r"]
        return grads


def train(cell, x, y, rng):
    wide = cell.gates * UNITS
    draw = lambda *shape: rng.uniform(-1, 1, shape) / np.sqrt(UNITS)  # noqa: E731
    p = {"w": draw(wide, PIXELS), "r": draw(wide, UNITS), "b": draw(wide), "v": draw(CLASSES, UNITS), "d": np.zeros(CLASSES)}
    moments = {k: (np.zeros_like(v), np.zeros_like(v)) for k, v in p.items()}
    step = 0
    for epoch in range(EPOCHS):
        rate = 5e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(x))
        for batch in np.split(order, range(64, len(order), 64)):
            h, past = cell.forward(p, x[batch])
            logits = h @ p["v"].T + p["d"]
            e = np.exp(logits - logits.max(axis=1, keepdims=True))
            d = e / e.sum(axis=1, keepdims=True)
            d[np.arange(len(batch)), y[batch]] -= 1
            d /= len(batch)
            grads = cell.backward(p, x[batch], past, d @ p["v"])
            grads["v"], grads["d"] = d.T @ h, d.sum(axis=0)
            step += 1
            for k, g in grads.items():
                m, s = moments[k]
                m += 0.1 * (g - m)
                s += 0.001 * (g * g - s)
                update = m / (1 - 0.9**step) / (np.sqrt(s / (1 - 0.999**step)) + 1e-8)
                p[k] -= rate * (update + 1e-2 * p[k])
    return p


def export(name, cell, p):
    graph = Graph(name)
    f = lambda k: p[k].astype(np.float32)  # noqa: E731
    x = graph.node("Transpose", [graph.input("input", ["batch", STEPS, PIXELS])], "steps", perm=[1, 0, 2])
    bias = np.concatenate([f("b"), np.zeros_like(f("b"))])[None]
    held = [graph.init("w", f("w")[None]), graph.init("r", f("r")[None]), graph.init("b", bias)]
    extra = {"linear_before_reset": 1} if cell.op == "GRU" else {}
    graph.node(cell.op, [x, *held], ["", "last"], hidden_size=UNITS, name="cell", **extra)
    last = graph.node("Squeeze", ["last", graph.init("axes", np.array([0]))], "features")
    graph.node("Gemm", [last, graph.init("v", f("v")), graph.init("d", f("d"))], "logits", transB=1)
    return graph.model({"logits": ["batch", CLASSES]})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "circuits" / "tests" / "recurrent")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    x, y = digits.images / 16.0, digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=TEST_IMAGES, random_state=SEED, stratify=y)
    rows = lambda a: a.astype(np.float32).reshape(len(a), -1)  # noqa: E731
    save_npz(out / "digits_rows.npz", x=rows(test_x), y=test_y, calibration=rows(train_x[:CALIBRATION_IMAGES]))
    for number, cell in enumerate([Lstm(), Gru()]):
        p = train(cell, train_x, train_y, np.random.default_rng([SEED, number]))
        name = f"digits_{cell.op.lower()}"
        model = export(name, cell, p)
        save_model(model, out / f"{name}.onnx")
        logits = run(model, {"input": test_x.astype(np.float32)})[0]
        right = int((logits.argmax(axis=1) == test_y).sum())
        print(f"{name}: {right}/{TEST_IMAGES} = {100 * right / TEST_IMAGES:.1f} %")
        assert right >= 0.94 * TEST_IMAGES


if __name__ == "__main__":
    main()
