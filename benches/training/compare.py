"""Integer training against float training of the same networks: same initial weights, same rows in every step, same rates.

    python benches/training/compare.py [--seeds N] [--table FILE] [--plot FILE]

Prints the table of docs/training.md and draws the curves. The integers are those of `integer.py`, which
`circuits/tests/training_oracle.rs` holds to be the project's own, bit for bit. Versions: benches/training/requirements.txt.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

import integer

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

EVERY = 10


@dataclass
class Run:
    data: str
    widths: list
    loss: str
    rate_bits: int
    momentum_bits: int | None
    steps: int

    @property
    def name(self):
        shape = "-".join(map(str, self.widths))
        momentum = f", momentum {1 - 2.0 ** -self.momentum_bits:g}" if self.momentum_bits else ""
        return f"{self.data} {shape}, {self.loss}, rate 2^-{self.rate_bits}{momentum}"


RUNS = [
    Run("digits", [64, 32, 10], "squared error", 4, None, 600),
    Run("digits", [64, 32, 10], "squared error", 6, 3, 600),
    Run("digits", [64, 32, 10], "cross-entropy", 2, None, 600),
    Run("digits", [64, 32, 10], "cross-entropy", 4, 3, 600),
    Run("breast cancer", [30, 16, 2], "squared error", 5, None, 300),
    Run("breast cancer", [30, 16, 2], "cross-entropy", 4, None, 300),
    Run("breast cancer", [30, 16, 2], "cross-entropy", 6, 3, 300),
]


def dataset(name, seed):
    """Rows and labels, split in training and holdout: 25 %, stratified."""
    x, y = {"digits": load_digits, "breast cancer": load_breast_cancer}[name](return_X_y=True)
    x, hx, y, hy = train_test_split(x, y, test_size=0.25, random_state=seed, stratify=y)
    if name == "digits":
        return x / 16, y, hx / 16, hy
    mean, deviation = x.mean(0), x.std(0)
    return np.clip((x - mean) / deviation, -8, 8), y, np.clip((hx - mean) / deviation, -8, 8), hy


def network(weights, x):
    """Values behind every layer, in floating point."""
    values = [x]
    for k in range(0, len(weights), 2):
        x = x @ weights[k] + weights[k + 1]
        x = np.maximum(x, 0) if k + 2 < len(weights) else x
        values.append(x)
    return values


def softmax(o):
    e = np.exp(o - o.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def quality(loss, output, labels):
    """Mean loss and accuracy of a holdout."""
    if loss == "squared error":
        value = ((output - np.eye(output.shape[1])[labels]) ** 2).sum(1).mean()
    else:
        value = -np.log(softmax(output)[np.arange(len(labels)), labels]).mean()
    return value, (output.argmax(1) == labels).mean()


def float_training(run, spec, weights, x, y, each):
    """SGD in float64, with momentum as v = (1 - 2^-m) v + rate g."""
    weights, velocities = [w.copy() for w in weights], [np.zeros_like(w) for w in weights]
    sampler, target = integer.Sampler(spec.seed, spec.rows), np.eye(run.widths[-1])[y]
    for t in range(run.steps):
        rows = sampler.batch(t, 1 << spec.batch_bits)
        values = network(weights, x[rows])
        error = 2 * (values[-1] - target[rows]) if run.loss == "squared error" else softmax(values[-1]) - target[rows]
        found = [None] * len(weights)
        for k in range(len(weights) - 2, -1, -2):
            found[k], found[k + 1] = values[k // 2].T @ error, error.sum(0)
            error = (error @ weights[k].T) * (values[k // 2] > 0)
        for k, g in enumerate(found):
            move = g / len(rows) * 2.0**-run.rate_bits
            if run.momentum_bits:
                velocities[k] = move = (1 - 2.0**-run.momentum_bits) * velocities[k] + move
            weights[k] -= move
        each(t + 1, weights)


def one(run, seed):
    """Steps, and for integers and floats the holdout's loss and accuracy at each of them; then how many values clamped."""
    x, y, hx, hy = dataset(run.data, seed)
    rng = np.random.default_rng(seed)
    start = []
    for i, o in zip(run.widths, run.widths[1:]):
        start += [np.round(rng.normal(0, (2 / i) ** 0.5, (i, o)) * 4096), np.zeros(o)]
    layers = []
    for i, o in zip(run.widths, run.widths[1:]):
        layers += [("dense", i, o), ("relu",)]
    spec = integer.Spec([run.widths[0]], layers[:-1], run.loss, run.steps, 5, run.rate_bits, run.momentum_bits, len(x), rng.bytes(32))
    curves = {"integer": [], "float": []}
    fixed = lambda v: np.round(v * 256).astype(np.int64)  # noqa: E731

    def integers(t, weights):
        if t % EVERY == 0:
            output = integer.forward(spec.layers, weights, fixed(hx))[0] / 256
            curves["integer"].append((t, *quality(run.loss, output, hy)))

    def floats(t, weights):
        if t % EVERY == 0:
            curves["float"].append((t, *quality(run.loss, network(weights, hx)[-1], hy)))

    target = fixed(np.eye(run.widths[-1])[y])
    integer.train(spec, [w.astype(np.int64) for w in start], fixed(x), target, integers)
    float_training(run, spec, [w / 4096 for w in start], x, y, floats)
    return {k: np.array(v) for k, v in curves.items()}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--table", type=Path)
    arguments.add_argument("--plot", type=Path)
    arguments = arguments.parse_args()
    rows = [
        "| network | steps | holdout loss, float | integers | accuracy, float | integers | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    figure, axes = plt.subplots(2, 4, figsize=(15, 6.5))
    for run, axis in zip(RUNS, axes.flat):
        found = [one(run, seed) for seed in range(arguments.seeds)]
        mean = {k: np.mean([f[k] for f in found], 0) for k in ("integer", "float")}
        last = {k: np.array([f[k][-1] for f in found]) for k in mean}
        d = 100 * (last["integer"][:, 2] - last["float"][:, 2])
        (fl, fa), (il, ia) = last["float"][:, 1:].mean(0), last["integer"][:, 1:].mean(0)
        rows.append(
            f"| {run.name} | {run.steps} | {fl:.4f} | {il:.4f} | {100 * fa:.1f} % | {100 * ia:.1f} % "
            f"| {d.mean():+.2f} ± {d.std(ddof=1):.2f} |"
        )
        print(rows[-1], flush=True)
        for kind, style in (("float", "-"), ("integer", "--")):
            axis.plot(mean[kind][:, 0], mean[kind][:, 1], style, label=kind)
        axis.set(title=run.name.replace(", ", "\n", 1), xlabel="steps", ylabel="holdout loss", yscale="log")
        axis.title.set_fontsize(8)
        axis.legend()
    axes.flat[-1].axis("off")
    if arguments.table:
        arguments.table.write_text("\n".join(rows) + "\n")
    if arguments.plot:
        matplotlib.rcParams.update({"svg.hashsalt": "assay", "svg.fonttype": "none"})
        figure.tight_layout()
        figure.savefig(arguments.plot, metadata={"Date": None})


if __name__ == "__main__":
    main()
