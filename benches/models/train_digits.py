"""Trains the two demo networks on scikit-learn's bundled 8x8 digits.

    python train_digits.py [--out DIR]

Writes digits_mlp.onnx, digits_cnn.onnx and digits_test.npz (cli/assets/ by
default). Everything is seeded and runs on one thread in float64 numpy, so that
a second run on the same machine writes the same bytes.
"""

import argparse
from pathlib import Path

from common import ROOT, Graph, np, run, save_model, save_npz

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 20240
TEST_IMAGES = 360
CALIBRATION_IMAGES = 300
# A hard bound on hidden and output weights: decay alone leaves a few outliers.
WEIGHT_LIMIT = 0.75


class Dense:
    """y = x W^T + b."""

    def __init__(self, rng, cin, cout):
        self.w = rng.standard_normal((cout, cin)) * (2.0 / cin) ** 0.5
        self.b = np.zeros(cout)

    def forward(self, x):
        self.x = x
        return x @ self.w.T + self.b

    def backward(self, g):
        self.gw, self.gb = g.T @ self.x, g.sum(axis=0)
        return g @ self.w


class Conv:
    """3x3 convolution, stride 1, padding 1, through a patch matrix."""

    def __init__(self, rng, cin, cout):
        self.w = rng.standard_normal((cout, cin, 3, 3)) * (2.0 / (9 * cin)) ** 0.5
        self.b = np.zeros(cout)

    def forward(self, x):
        n, c, h, w = x.shape
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        taps = [padded[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)]
        self.shape = x.shape
        self.cols = np.stack(taps, axis=2).transpose(0, 3, 4, 1, 2).reshape(-1, c * 9)
        y = self.cols @ self.w.reshape(len(self.w), -1).T + self.b
        return y.reshape(n, h, w, -1).transpose(0, 3, 1, 2)

    def backward(self, g):
        n, c, h, w = self.shape
        flat = g.transpose(0, 2, 3, 1).reshape(-1, len(self.w))
        self.gw = (flat.T @ self.cols).reshape(self.w.shape)
        self.gb = flat.sum(axis=0)
        cols = (flat @ self.w.reshape(len(self.w), -1)).reshape(n, h, w, c, 3, 3)
        out = np.zeros((n, c, h + 2, w + 2))
        for i in range(3):
            for j in range(3):
                out[:, :, i : i + h, j : j + w] += cols[..., i, j].transpose(0, 3, 1, 2)
        return out[:, :, 1:-1, 1:-1]


class Relu:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, g):
        return g * self.mask


class MaxPool:
    """2x2 max pooling, stride 2; a tie goes to the first of the window."""

    def forward(self, x):
        n, c, h, w = x.shape
        win = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5)
        win = win.reshape(n, c, h // 2, w // 2, 4)
        self.shape, self.arg = x.shape, win.argmax(axis=-1)
        return win.max(axis=-1)

    def backward(self, g):
        n, c, h, w = self.shape
        out = np.zeros((n, c, h // 2, w // 2, 4))
        np.put_along_axis(out, self.arg[..., None], g[..., None], axis=-1)
        out = out.reshape(n, c, h // 2, w // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5)
        return out.reshape(n, c, h, w)


class Flatten:
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, g):
        return g.reshape(self.shape)


def shifted(rng, images):
    """Each flat image moved by at most one pixel along each axis, or left alone."""
    pad = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    dy, dx = rng.choice(3, (2, len(images)), p=[0.15, 0.7, 0.15])
    out = [p[i : i + 8, j : j + 8] for p, i, j in zip(pad, dy, dx)]
    return np.stack(out).reshape(len(images), 64)


def train(layers, shape, x, y, rng, epochs, batch=32, rate=3e-3, decay=5e-2):
    """AdamW with a cosine schedule, one-pixel shifts and a bound on weights."""
    params = [(layer, name) for layer in layers if hasattr(layer, "w") for name in "wb"]
    moments = [[np.zeros_like(getattr(*p)) for p in params] for _ in range(2)]
    steps = epochs * (len(x) // batch)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            pick = order[start : start + batch]
            value = shifted(rng, x[pick]).reshape(-1, *shape)
            for layer in layers:
                value = layer.forward(value)
            value = np.exp(value - value.max(axis=1, keepdims=True))
            grad = value / value.sum(axis=1, keepdims=True)
            grad[np.arange(batch), y[pick]] -= 1.0
            grad /= batch
            for layer in reversed(layers):
                grad = layer.backward(grad)
            step += 1
            lr = rate * 0.5 * (1.0 + np.cos(np.pi * step / steps))
            for k, (layer, name) in enumerate(params):
                g = getattr(layer, "g" + name)
                m = moments[0][k] = 0.9 * moments[0][k] + 0.1 * g
                v = moments[1][k] = 0.999 * moments[1][k] + 0.001 * g * g
                delta = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
                p = getattr(layer, name)
                if name == "w":
                    p -= lr * decay * p
                p -= lr * delta
                if name == "w":
                    np.clip(p, -WEIGHT_LIMIT, WEIGHT_LIMIT, out=p)


def export(name, layers, names, shape):
    """The trained layers as an ONNX graph from `input` to `logits`."""
    graph = Graph(name)
    last = graph.input("input", ["batch", *shape])
    for layer, out in zip(layers, names):
        if isinstance(layer, (Dense, Conv)):
            weights = [
                graph.init(f"{out}.weight", layer.w.astype(np.float32)),
                graph.init(f"{out}.bias", layer.b.astype(np.float32)),
            ]
            if isinstance(layer, Dense):
                last = graph.node("Gemm", [last, *weights], out, transB=1)
            else:
                last = graph.node("Conv", [last, *weights], out, kernel_shape=[3, 3],
                                  pads=[1, 1, 1, 1], strides=[1, 1])
        elif isinstance(layer, Relu):
            last = graph.node("Relu", [last], out)
        elif isinstance(layer, MaxPool):
            last = graph.node("MaxPool", [last], out, kernel_shape=[2, 2], strides=[2, 2])
        else:
            last = graph.node("Flatten", [last], out, axis=1)
    return graph, graph.model({"logits": ["batch", 10]})


def rounded_accuracy(layers, shape, x, y, bits):
    """Accuracy with per-tensor symmetric weights and activations of `bits` bits."""

    def fake(a):
        scale = np.abs(a).max() / (2 ** (bits - 1) - 1)
        return np.round(a / scale) * scale

    kept = [(layer, layer.w) for layer in layers if hasattr(layer, "w")]
    for layer, w in kept:
        layer.w = fake(w)
    value = x.reshape(-1, *shape)
    for layer in layers:
        value = fake(layer.forward(value))
    for layer, w in kept:
        layer.w = w
    return float((value.argmax(axis=1) == y).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "cli" / "assets")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    digits = load_digits()
    x = (digits.data / 16.0).astype(np.float32)
    y = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        x, y, test_size=TEST_IMAGES, random_state=SEED, stratify=y
    )
    save_npz(
        out / "digits_test.npz",
        x=test_x,
        y=test_y,
        calibration=train_x[:CALIBRATION_IMAGES],
        calibration_y=train_y[:CALIBRATION_IMAGES],
    )

    def mlp(rng):
        return [Dense(rng, 64, 64), Relu(), Dense(rng, 64, 32), Relu(), Dense(rng, 32, 10)]

    def cnn(rng):
        return [Conv(rng, 1, 8), Relu(), MaxPool(), Conv(rng, 8, 16), Relu(), MaxPool(),
                Flatten(), Dense(rng, 64, 10)]

    jobs = [
        ("digits_mlp", mlp, (64,), ["fc1", "relu1", "fc2", "relu2", "logits"], 60),
        ("digits_cnn", cnn, (1, 8, 8),
         ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "logits"], 40),
    ]
    for number, (name, make, shape, names, epochs) in enumerate(jobs):
        rng = np.random.default_rng([SEED, number])
        layers = make(rng)
        train(layers, shape, train_x.astype(np.float64), train_y, rng, epochs)
        graph, model = export(name, layers, names, shape)
        save_model(model, out / f"{name}.onnx")
        logits = run(model, {"input": test_x.reshape(-1, *shape)})[0]
        right = int((logits.argmax(axis=1) == test_y).sum())
        accuracy = right / TEST_IMAGES
        print(f"{name}: {graph.parameters()} parameters, "
              f"{(out / f'{name}.onnx').stat().st_size} bytes, "
              f"test accuracy {right}/{TEST_IMAGES} = {100 * accuracy:.2f} %")
        for bits in (8, 10):
            share = rounded_accuracy(layers, shape, test_x, test_y, bits)
            print(f"    rounded to {bits} bits: {100 * share:.2f} %")
        for init, a in graph.inits.items():
            print(f"    {init:<14} max |w| {np.abs(a).max():.3f}, "
                  f"max/std {np.abs(a).max() / a.std():.2f}")
        for tensor in names:
            a = graph.evaluate(tensor, {"input": test_x.reshape(-1, *shape)})
            print(f"    {tensor:<14} range [{a.min():.2f}, {a.max():.2f}]")
        assert accuracy >= 0.97, f"{name}: accuracy {accuracy}"


if __name__ == "__main__":
    main()
