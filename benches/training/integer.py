"""Integer training as docs/training.md states it, a second time: numpy on whole batches where `circuits::train::reference` loops over
rows. Neither was derived from the other's code; `oracle.py` writes vectors that tie them together.
"""

from dataclasses import dataclass, field

import numpy as np
from Crypto.Hash import keccak
from math import gcd

ACTIVATION, WEIGHT, ERROR, PROBABILITY, EXPONENTIAL = 8, 12, 12, 11, 15
LIMIT = 1 << 15
RELU_LIMIT = 1 << 13
LOGIT_LIMIT = 32 << ACTIVATION
FARTHEST = 16 << ACTIVATION
VELOCITY = 4


def digest(domain, *parts):
    """Keccak-256 of domain and parts, each behind its length in eight bytes (docs/protocol.md#encoding)."""
    h = keccak.new(digest_bits=256)
    for part in (domain, *parts):
        h.update(len(part).to_bytes(8, "big") + part)
    return h.digest()


class Sampler:
    """Draw j reads row (factor j + start) mod rows."""

    def __init__(self, seed, rows):
        def draw(counter):
            d = digest(b"assay.sampler.v1", seed, rows.to_bytes(8, "big"), counter.to_bytes(8, "big"))
            return int.from_bytes(d[:8], "big") % rows

        self.rows, self.start = rows, draw(0)
        self.factor = next((f for f in map(draw, range(1, 4097)) if gcd(f, rows) == 1), 1)

    def batch(self, step, size):
        return [(self.factor * j + self.start) % self.rows for j in range(step * size, (step + 1) * size)]


def scaled(v, shift):
    """Divided by 2^shift, halves up; a negative shift multiplies."""
    return v << -shift if shift < 0 else (v + ((1 << shift) >> 1)) >> shift


def kept(v):
    return np.clip(v, -LIMIT, LIMIT - 1)


def exponentials():
    """e^x of what a logit lies below the largest one, by that difference."""
    x = -np.arange(FARTHEST) / (1 << ACTIVATION)
    return np.maximum(np.round(np.exp(x) * (1 << EXPONENTIAL)).astype(np.int64), 1)


EXPONENTIALS = exponentials()


@dataclass
class Spec:
    input: list
    layers: list
    loss: str
    steps: int
    batch_bits: int
    rate_bits: int
    momentum_bits: int | None
    rows: int
    seed: bytes = field(default=bytes(32))

    def shapes(self):
        """Shapes of all weights: of each layer that has some, weights and bias."""
        out = []
        for kind, *p in self.layers:
            if kind == "dense":
                out += [(p[0], p[1]), (p[1],)]
            if kind == "conv":
                out += [(p[1], p[0], *p[2]), (p[1],)]
        return out

    def shift(self, bias):
        """log2 of what a gradient, summed over the batch, is divided by."""
        twice = 1 if self.loss == "squared error" else 0
        return ERROR - WEIGHT + self.rate_bits + self.batch_bits - twice + (0 if bias else ACTIVATION)


def patches(x, kernel, pads):
    """`[batch, channels, h, w]` to `[batch, h', w', channels, kernel]`."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    return np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)


def forward(spec, weights, x):
    """Inputs of all layers and the output; where ReLU follows a layer with weights, it does the rounding."""
    values, k = [x], 0
    for i, (kind, *p) in enumerate(spec.layers):
        before = spec.layers[i - 1][0] if i else ""
        rounds = not (i + 1 < len(spec.layers) and spec.layers[i + 1][0] == "relu")
        if kind == "dense":
            x = x @ weights[k] + (weights[k + 1] << ACTIVATION)
        elif kind == "conv":
            x = np.einsum("byxcij,ocij->boyx", patches(x, p[2], p[3]), weights[k])
            x = x + (weights[k + 1] << ACTIVATION)[:, None, None]
        elif kind == "relu":
            x = np.clip(scaled(x, WEIGHT if before in ("dense", "conv") else 0), 0, RELU_LIMIT - 1)
        elif kind == "pool":
            b, c, h, w = x.shape
            x = kept(scaled(x.reshape(b, c, h // p[0], p[0], w // p[0], p[0]).sum((3, 5)), 2 * (p[0].bit_length() - 1)))
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        if kind in ("dense", "conv"):
            k += 2
            x = kept(scaled(x, WEIGHT)) if rounds else x
        values.append(x)
    return values


def output_error(loss, output, target):
    """Error of ERROR fraction bits, and the sum of squares that is published."""
    if loss == "squared error":
        d, bits = output - target, ACTIVATION
    else:
        logits = np.clip(output, -LOGIT_LIMIT, LOGIT_LIMIT - 1)
        e = EXPONENTIALS[np.minimum(logits.max(1, keepdims=True) - logits, FARTHEST - 1)]
        sum_ = e.sum(1, keepdims=True)
        p = ((e << (PROBABILITY + 1)) + sum_) // (2 * sum_ + 1)
        d, bits = p - (target << (PROBABILITY - ACTIVATION)), PROBABILITY
    return d << (ERROR - bits), int((d * d).sum())


def gradients(spec, weights, values, error):
    """Of all weights, summed over the batch."""
    out, k = [None] * len(weights), len(weights)
    for i in reversed(range(len(spec.layers))):
        kind, *p = spec.layers[i]
        x = values[i]
        if kind == "dense":
            k -= 2
            out[k], out[k + 1] = x.T @ error, error.sum(0)
            error = kept(scaled(error @ weights[k].T, WEIGHT))
        elif kind == "conv":
            k -= 2
            out[k] = np.einsum("byxcij,boyx->ocij", patches(x, p[2], p[3]), error)
            out[k + 1] = error.sum((0, 2, 3))
            # Scattered, where the graph reads a mirrored convolution.
            top, left, bottom, right = p[3]
            _, _, h, w = x.shape
            back = np.zeros((len(x), x.shape[1], h + top + bottom, w + left + right), np.int64)
            for dy in range(p[2][0]):
                for dx in range(p[2][1]):
                    place = back[:, :, dy : dy + error.shape[2], dx : dx + error.shape[3]]
                    place += np.einsum("boyx,oc->bcyx", error, weights[k][:, :, dy, dx])
            error = kept(scaled(back[:, :, top : top + h, left : left + w], WEIGHT))
        elif kind == "relu":
            error = np.where(values[i + 1] > 0, kept(error), 0)
        elif kind == "pool":
            small = kept(scaled(error, 2 * (p[0].bit_length() - 1)))
            error = small.repeat(p[0], 2).repeat(p[0], 3)
        elif kind == "flatten":
            error = error.reshape(x.shape)
    return out


def train(spec, weights, data, targets, each=lambda step, weights: None):
    """Weights after all steps, and the sums of squares of each. Data and targets have ACTIVATION fraction bits."""
    weights = [w.astype(np.int64) for w in weights]
    velocities = [np.zeros_like(w) for w in weights]
    sampler, losses = Sampler(spec.seed, spec.rows), []
    for t in range(spec.steps):
        rows = sampler.batch(t, 1 << spec.batch_bits)
        values = forward(spec, weights, data[rows])
        error, squares = output_error(spec.loss, values[-1], targets[rows])
        losses.append(squares)
        for k, g in enumerate(gradients(spec, weights, values, error)):
            s = spec.shift(bias=k % 2 == 1)
            m = spec.momentum_bits
            if m is None:
                up = max(s, 0)
                weights[k] = kept(scaled((weights[k] << up) - scaled(g, min(s, 0)), up))
                continue
            s -= VELOCITY
            up = max(s, 0)
            velocities[k] = kept(scaled(((((1 << m) - 1) * velocities[k]) << up) + (scaled(g, min(s, 0)) << m), up + m))
            weights[k] = kept(scaled((weights[k] << VELOCITY) - velocities[k], VELOCITY))
        each(t + 1, weights)
    return weights, losses


def evaluate(spec, weights, data, targets):
    """The sum of squares over all rows."""
    return output_error(spec.loss, forward(spec, weights, data)[-1], targets)[1]
