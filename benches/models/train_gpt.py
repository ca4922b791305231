"""A character-level GPT trained in numpy: reverse mode over a tape, Adam, one BLAS thread.

The text is what scikit-learn ships about its data sets; its 64 most frequent
characters are tokens of their own, token 0 stands for all others. Every tenth
block of 64 * 16 characters is held out.
"""

import math
from importlib import metadata

from common import np

VOCABULARY, WIDTH, HEADS, LAYERS, STEPS = 65, 72, 4, 4, 64
BATCH, ROUNDS, RATE = 16, 1200, 3e-3


def text():
    """The descriptions, one after the other."""
    package = metadata.distribution("scikit-learn")
    files = [f for f in package.files if f.parts[-2:-1] == ("descr",) and f.suffix == ".rst"]
    return "\n".join(f.read_text(encoding="utf-8") for f in sorted(files, key=str))


def corpus():
    """Token ids of the whole text."""
    characters = list(text())
    symbols, counts = np.unique(characters, return_counts=True)
    kept = sorted(symbols[np.lexsort((symbols, -counts))][: VOCABULARY - 1])
    ids = {c: i + 1 for i, c in enumerate(kept)}
    return np.array([ids.get(c, 0) for c in characters], np.int64)


def windows(held_out):
    """Rows of STEPS + 1 tokens, of the held-out blocks or of the others."""
    tokens = corpus()
    rows = np.lib.stride_tricks.sliding_window_view(tokens, STEPS + 1)
    block = np.arange(len(rows)) // (STEPS * 16)
    whole = block == np.minimum(np.arange(len(rows)) + STEPS, len(rows) - 1) // (STEPS * 16)
    return rows[whole & ((block % 10 == 9) == held_out)]


class Tape:
    """Operations in the order of their computation; each value is (array, slot of its gradient)."""

    def __init__(self):
        self.steps, self.grads = [], []

    def leaf(self, value):
        self.grads.append(None)
        return value, len(self.grads) - 1

    def add_grad(self, node, grad):
        value, slot = node
        extra = grad.ndim - value.ndim
        grad = grad.sum(axis=tuple(range(extra))) if extra else grad
        for axis, size in enumerate(value.shape):
            if size == 1 and grad.shape[axis] != 1:
                grad = grad.sum(axis=axis, keepdims=True)
        self.grads[slot] = grad if self.grads[slot] is None else self.grads[slot] + grad

    def record(self, value, back):
        out = self.leaf(value)
        self.steps.append((out[1], back))
        return out

    def matmul(self, a, b):
        def back(g):
            self.add_grad(a, g @ b[0].swapaxes(-1, -2))
            if b[0].ndim == 2:
                self.add_grad(b, a[0].reshape(-1, a[0].shape[-1]).T @ g.reshape(-1, g.shape[-1]))
            else:
                self.add_grad(b, a[0].swapaxes(-1, -2) @ g)

        return self.record(a[0] @ b[0], back)

    def add(self, a, b):
        def back(g):
            self.add_grad(a, g)
            self.add_grad(b, g)

        return self.record(a[0] + b[0], back)

    def view(self, a, shape, axes=None):
        axes = axes or tuple(range(len(shape)))
        value = a[0].reshape(shape).transpose(axes)
        inverse = np.argsort(axes)
        return self.record(value, lambda g: self.add_grad(a, g.transpose(inverse).reshape(a[0].shape)))

    def split(self, a, parts):
        size = a[0].shape[-1] // parts

        def part(i):
            def back(g):
                whole = np.zeros_like(a[0])
                whole[..., i * size : (i + 1) * size] = g
                self.add_grad(a, whole)

            return self.record(a[0][..., i * size : (i + 1) * size], back)

        return [part(i) for i in range(parts)]

    def gather(self, table, ids):
        def back(g):
            grad = np.zeros_like(table[0])
            np.add.at(grad, ids.reshape(-1), g.reshape(-1, g.shape[-1]))
            self.add_grad(table, grad)

        return self.record(table[0][ids], back)

    def norm(self, x, gain, bias):
        mean = x[0].mean(axis=-1, keepdims=True)
        root = 1 / np.sqrt(x[0].var(axis=-1, keepdims=True) + np.float32(1e-5))
        n = (x[0] - mean) * root

        def back(g):
            self.add_grad(gain, g * n)
            self.add_grad(bias, g)
            g = g * gain[0]
            centred = g - g.mean(axis=-1, keepdims=True) - n * (g * n).mean(axis=-1, keepdims=True)
            self.add_grad(x, centred * root)

        return self.record(n * gain[0] + bias[0], back)

    def gelu(self, x):
        v, c = x[0], np.float32(math.sqrt(2 / math.pi))
        t = np.tanh(c * (v + np.float32(0.044715) * v**3))

        def back(g):
            slope = c * (1 + np.float32(3 * 0.044715) * v**2) * (1 - t * t)
            self.add_grad(x, g * np.float32(0.5) * (1 + t + v * slope))

        return self.record(np.float32(0.5) * v * (1 + t), back)

    def attend(self, scores):
        """Causal softmax of scaled scores."""
        steps = scores[0].shape[-1]
        scale = np.float32(1 / math.sqrt(WIDTH / HEADS))
        s = np.where(np.tril(np.ones((steps, steps), bool)), scores[0] * scale, -np.inf)
        p = np.exp(s - s.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)

        def back(g):
            self.add_grad(scores, scale * p * (g - (g * p).sum(axis=-1, keepdims=True)))

        return self.record(p, back)

    def loss(self, logits, targets):
        """Mean cross-entropy of the last axis, in nats."""
        z = logits[0] - logits[0].max(axis=-1, keepdims=True)
        p = np.exp(z)
        p /= p.sum(axis=-1, keepdims=True)
        hot = np.eye(VOCABULARY, dtype=np.float32)[targets]
        value = -np.log((p * hot).sum(axis=-1)).mean(dtype=np.float64)
        n = np.float32(targets.size)
        return self.record(np.float32(value), lambda g: self.add_grad(logits, g * (p - hot) / n))

    def backward(self, loss):
        self.grads[loss[1]] = np.float32(1)
        for slot, back in reversed(self.steps):
            if self.grads[slot] is not None:
                back(self.grads[slot])


def fresh_parameters(rng):
    """Parameters by name, initialised as GPT-2's are."""
    p = {
        "wte": rng.normal(0, 0.02, (VOCABULARY, WIDTH)),
        "wpe": rng.normal(0, 0.02, (STEPS, WIDTH)),
        "ln_f.gain": np.ones(WIDTH),
        "ln_f.bias": np.zeros(WIDTH),
        "head": rng.normal(0, 0.02, (WIDTH, VOCABULARY)),
    }
    for i in range(LAYERS):
        for norm in ("ln_1", "ln_2"):
            p[f"h{i}.{norm}.gain"], p[f"h{i}.{norm}.bias"] = np.ones(WIDTH), np.zeros(WIDTH)
        shapes = {"qkv": (WIDTH, 3 * WIDTH), "proj": (WIDTH, WIDTH), "fc": (WIDTH, 4 * WIDTH), "out": (4 * WIDTH, WIDTH)}
        for name, shape in shapes.items():
            deviation = 0.02 / math.sqrt(2 * LAYERS) if name in ("proj", "out") else 0.02
            p[f"h{i}.{name}"] = rng.normal(0, deviation, shape)
            p[f"h{i}.{name}.bias"] = np.zeros(shape[1])
    return {k: v.astype(np.float32) for k, v in p.items()}


def forward(tape, p, ids):
    n, steps = ids.shape
    x = tape.add(tape.gather(p["wte"], ids), p["wpe"])
    for i in range(LAYERS):
        at = lambda name: p[f"h{i}.{name}"]
        h = tape.norm(x, at("ln_1.gain"), at("ln_1.bias"))
        h = tape.add(tape.matmul(h, at("qkv")), at("qkv.bias"))
        heads = (n, steps, HEADS, WIDTH // HEADS)
        q, k, v = tape.split(h, 3)
        q, v = tape.view(q, heads, (0, 2, 1, 3)), tape.view(v, heads, (0, 2, 1, 3))
        h = tape.matmul(tape.attend(tape.matmul(q, tape.view(k, heads, (0, 2, 3, 1)))), v)
        h = tape.view(tape.view(h, h[0].shape, (0, 2, 1, 3)), (n, steps, WIDTH))
        x = tape.add(x, tape.add(tape.matmul(h, at("proj")), at("proj.bias")))
        h = tape.norm(x, at("ln_2.gain"), at("ln_2.bias"))
        h = tape.gelu(tape.add(tape.matmul(h, at("fc")), at("fc.bias")))
        x = tape.add(x, tape.add(tape.matmul(h, at("out")), at("out.bias")))
    return tape.matmul(tape.norm(x, p["ln_f.gain"], p["ln_f.bias"]), p["head"])


def train(seed):
    """Trained parameters; the loss is printed now and then."""
    rng = np.random.default_rng(seed)
    parameters = fresh_parameters(rng)
    first = {k: np.zeros_like(v) for k, v in parameters.items()}
    second = {k: np.zeros_like(v) for k, v in parameters.items()}
    rows, held_out = windows(False), windows(True)
    for t in range(1, ROUNDS + 1):
        batch = rows[rng.integers(0, len(rows), BATCH)]
        tape = Tape()
        leaves = {k: tape.leaf(v) for k, v in parameters.items()}
        loss = tape.loss(forward(tape, leaves, batch[:, :-1]), batch[:, 1:])
        tape.backward(loss)
        rate = RATE * min(1, t / 50) * 0.5 * (1 + math.cos(math.pi * t / ROUNDS))
        for k, (_, slot) in leaves.items():
            g = tape.grads[slot]
            first[k] += np.float32(0.1) * (g - first[k])
            second[k] += np.float32(0.01) * (g * g - second[k])
            step = first[k] / (1 - 0.9**t) / (np.sqrt(second[k] / (1 - 0.99**t)) + 1e-8)
            decay = 0.1 if parameters[k].ndim > 1 else 0.0
            parameters[k] = (parameters[k] - rate * (step + decay * parameters[k])).astype(np.float32)
        if t % 100 == 0 or t == 1:
            print(f"    step {t}: loss {loss[0]:.3f}", flush=True)
    sample = held_out[np.linspace(0, len(held_out) - 1, 64).astype(int)]
    tape = Tape()
    leaves = {k: tape.leaf(v) for k, v in parameters.items()}
    loss = tape.loss(forward(tape, leaves, sample[:, :-1]), sample[:, 1:])
    print(f"    held out: loss {loss[0]:.3f} nats a character")
    return parameters
