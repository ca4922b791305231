"""Writes vectors that the integer trainer of the project is held to: circuits/tests/training_oracle/vectors.json.

    python benches/training/oracle.py
"""

import json
from pathlib import Path

import numpy as np

import integer

OUT = Path(__file__).parents[2] / "circuits/tests/training_oracle/vectors.json"


def networks():
    dense = lambda i, o: ("dense", i, o)  # noqa: E731
    conv = lambda i, o, k, p, s=(1, 1): ("conv", i, o, k, p, s)  # noqa: E731
    yield [4], [dense(4, 3)]
    yield [3], [dense(3, 5), ("relu",), dense(5, 2)]
    yield [3], [dense(3, 4), ("relu",), dense(4, 4), ("relu",), dense(4, 3)]
    yield [2], [dense(2, 3), dense(3, 2)]
    yield [1, 4, 4], [conv(1, 2, [3, 3], [1, 1, 1, 1]), ("relu",), ("pool", 2), ("flatten",), dense(8, 3)]
    yield [2, 3, 4], [conv(2, 2, [2, 3], [1, 0, 0, 2]), ("pool", 1), ("relu",), conv(2, 1, [2, 2], [0, 1, 1, 0]), ("flatten",)]


def more():
    """Strides, maxima, normalizations, smooth functions, branches."""
    dense = lambda i, o: ("dense", i, o)  # noqa: E731
    conv = lambda i, o, k, p, s=(1, 1): ("conv", i, o, k, p, s)  # noqa: E731
    same = [1, 1, 1, 1]
    yield [2, 5, 6], [conv(2, 3, [3, 2], [1, 0, 0, 1], [2, 3]), ("relu",), conv(3, 2, [2, 2], [1, 1, 0, 0], [2, 1]), ("flatten",), dense(4, 2)]
    yield [1, 5, 5], [conv(1, 2, [3, 3], same), ("maximum", 2), ("relu",), ("flatten",), dense(8, 3)]
    yield [1, 7, 4], [conv(1, 2, [3, 3], same), ("relu",), ("maximum", 3), ("pool", 1), ("flatten",), dense(4, 2)]
    yield [6], [dense(6, 6), ("norm", 6, 2, 10), ("relu",), dense(6, 2)]
    yield [5], [dense(5, 3), ("norm", 3, 1, 1), dense(3, 7), ("norm", 7, 1, 11), dense(7, 3)]
    yield [2, 3, 3], [conv(2, 4, [3, 3], same), ("norm", 4, 2, 10), ("smooth", "silu"), ("flatten",), dense(36, 2)]
    yield [3], [dense(3, 5), ("smooth", "gelu"), dense(5, 5), ("smooth", "gelu tanh"), dense(5, 2)]
    yield [3], [dense(3, 4), ("smooth", "sigmoid"), dense(4, 4), ("smooth", "tanh"), dense(4, 2), ("smooth", "silu")]
    yield [4], [dense(4, 4), ("residual", [("relu",), dense(4, 3), ("residual", [dense(3, 3)], []), dense(3, 4)], []), dense(4, 2)]
    block = ("residual", [conv(2, 3, [3, 3], same, [2, 2]), ("relu",), conv(3, 3, [3, 3], same)], [conv(2, 3, [1, 1], [0] * 4, [2, 2]), ("norm", 3, 3, 10)])
    yield [1, 4, 4], [conv(1, 2, [3, 3], same), block, ("relu",), ("pool", 2), ("flatten",), dense(3, 2)]


def cases():
    rng = np.random.default_rng(12)
    for number in range(88):
        shape, layers = list(networks())[number % 6] if number < 48 else list(more())[number % 10]
        # A third of the cases is far beyond what training meets: everything clamps.
        large = number % 3 == 2
        spec = integer.Spec(
            input=shape,
            layers=layers,
            loss="squared error" if number % 4 < 2 else "cross-entropy",
            steps=int(rng.integers(1, 6)),
            batch_bits=int(rng.integers(0, 4)),
            rate_bits=int(rng.integers(0, 7)),
            momentum_bits=int(rng.integers(1, 5)) if (number // 6) % 2 else None,
            rows=int(rng.integers(2, 14)),
            seed=rng.bytes(32),
        )
        w, d = (1 << 15, 1 << 13) if large else (1 << 12, 1 << 8)
        weights = [rng.integers(-w, w, s) for s in spec.shapes()]
        data = rng.integers(-d, d, (spec.rows, *shape))
        classes = integer.forward(spec.layers, weights, data)[0].shape[1]
        targets = rng.integers(-d, d, (spec.rows, classes))
        after, losses = integer.train(spec, weights, data, targets)
        flat = lambda all: [t.ravel().tolist() for t in all]  # noqa: E731
        yield {
            "spec": {**vars(spec), "seed": spec.seed.hex()},
            "data": data.ravel().tolist(),
            "targets": targets.ravel().tolist(),
            "weights": flat(weights),
            "trained": flat(after),
            "losses": losses,
            "evaluation": [integer.evaluate(spec, w, data, targets) for w in (weights, after)],
        }


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases())
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(f"[\n{lines}\n]\n")
    print(f"{OUT.relative_to(Path.cwd()) if OUT.is_relative_to(Path.cwd()) else OUT}: {OUT.stat().st_size} bytes")
