"""Integer training as docs/training.md states it, a second time: numpy on whole batches where `circuits::train::reference` loops over
rows. Neither was derived from the other's code; `oracle.py` writes vectors that tie them together.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd

import numpy as np
from Crypto.Hash import keccak

ACTIVATION, WEIGHT, ERROR, PROBABILITY, EXPONENTIAL = 8, 12, 12, 11, 15
SLOPE, CENTERED, NORMAL, RECIPROCAL = 12, 10, 12, 14
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


def parameters(layers):
    """Shape, and fraction bits of the gradient, of every weight and bias; of branches, those of the body first."""
    for kind, *p in layers:
        if kind == "dense":
            yield from [((p[0], p[1]), ACTIVATION + ERROR), ((p[1],), ERROR)]
        elif kind == "conv":
            yield from [((p[1], p[0], *p[2]), ACTIVATION + ERROR), ((p[1],), ERROR)]
        elif kind == "norm":
            yield from [((p[0],), NORMAL + ERROR), ((p[0],), ERROR)]
        elif kind == "residual":
            yield from parameters(p[0])
            yield from parameters(p[1])


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
        """Shapes of all weights."""
        return [shape for shape, _ in parameters(self.layers)]

    def shifts(self):
        """log2 of what the gradient of each, summed over the batch, is divided by."""
        twice = 1 if self.loss == "squared error" else 0
        return [bits - WEIGHT + self.rate_bits + self.batch_bits - twice for _, bits in parameters(self.layers)]


def patches(x, kernel, pads, strides):
    """`[batch, channels, h, w]` to `[batch, h', w', channels, kernel]`."""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return view[:, :, :: strides[0], :: strides[1]].transpose(0, 2, 3, 1, 4, 5)


def real(kind, x):
    """Value and derivative of a smooth function."""
    if kind == "gelu":
        phi = (1 + math.erf(x / math.sqrt(2))) / 2
        return x * phi, phi + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    if kind == "gelu tanh":
        c = math.sqrt(2 / math.pi)
        t = math.tanh(c * (x + 0.044715 * x**3))
        return x * (1 + t) / 2, (1 + t) / 2 + x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x) / 2
    s = 1 / (1 + math.exp(-x))
    if kind == "silu":
        return x * s, s * (1 + x * (1 - s))
    return (s, s * (1 - s)) if kind == "sigmoid" else (math.tanh(x), 1 - math.tanh(x) ** 2)


@lru_cache
def tables(kind):
    """Values and derivatives of a smooth function for all keys, from the lowest on."""
    pairs = [real(kind, k / (1 << ACTIVATION)) for k in range(-LOGIT_LIMIT, LOGIT_LIMIT)]
    value, slope = np.array(pairs).T
    # Halves go away from zero.
    whole = lambda v, bits: (np.sign(v) * np.floor(np.abs(v) * (1 << bits) + 0.5)).astype(np.int64)  # noqa: E731
    return whole(value, ACTIVATION), whole(slope, SLOPE)


def share(v, n, bits):
    """Divided by n and by 2^bits: a product with 1/n of 15 bits, rounded once."""
    up = (n - 1).bit_length() + 14
    return kept(scaled(v * (((2 << up) // n + 1) // 2), up + bits))


def squares(x, size):
    """`[batch, channels, h, w]` to `[batch, channels, h', w', size, size]`, without what fills no square."""
    b, c, h, w = x.shape
    h, w = h // size, w // size
    return x[:, :, : h * size, : w * size].reshape(b, c, h, size, w, size).swapaxes(3, 4)


def unsquares(x, like):
    """Back, with zeros where the squares leave something out."""
    b, c, h, w, size, _ = x.shape
    out = np.zeros(like.shape, np.int64)
    out[:, :, : h * size, : w * size] = x.swapaxes(3, 4).reshape(b, c, h * size, w * size)
    return out


def channels(v, like):
    """One value a channel, to be combined with `[batch, channels, ..]`."""
    return v.reshape(-1, *[1] * (like.ndim - 2))


SUMS = {"dense": WEIGHT, "conv": WEIGHT, "norm": NORMAL + WEIGHT - ACTIVATION, "residual": 0}


def forward(layers, weights, x):
    """The output, and for every layer what it read and what else its gradient needs. Where ReLU or a smooth function follows
    sums, it does the rounding."""
    weights, trace, pending = list(weights), [], 0
    for i, (kind, *p) in enumerate(layers):
        own = [weights.pop(0) for _ in parameters([layers[i]])]
        before, extra = x, None
        if kind == "dense":
            x = x @ own[0] + (own[1] << ACTIVATION)
        elif kind == "conv":
            x = np.einsum("byxcij,ocij->boyx", patches(x, p[2], p[3], p[4]), own[0])
            x = x + channels(own[1] << ACTIVATION, x)
        elif kind == "relu":
            extra = x = np.clip(scaled(x, pending), 0, RELU_LIMIT - 1)
        elif kind == "smooth":
            extra = np.clip(scaled(x, pending), -LOGIT_LIMIT, LOGIT_LIMIT - 1) + LOGIT_LIMIT
            x = tables(p[0])[0][extra]
        elif kind == "pool":
            x = kept(scaled(squares(x, p[0]).sum((4, 5)), 2 * (p[0].bit_length() - 1)))
        elif kind == "maximum":
            all_ = squares(x, p[0]).reshape(*squares(x, p[0]).shape[:4], -1)
            extra, x = all_.argmax(4), all_.max(4)
        elif kind == "norm":
            groups = x.reshape(len(x), p[1], -1)
            n = groups.shape[2]
            centered = share(n * groups - groups.sum(2, keepdims=True), n, ACTIVATION - CENTERED)
            variance = ((centered * centered).sum(2) + n * p[2]) << 8
            deviation = np.array([math.isqrt(int(v)) for v in variance.ravel()]).reshape(variance.shape)
            top = math.isqrt(n << 2 * (RECIPROCAL + CENTERED + 4))
            reciprocal = ((2 * top + deviation) // (2 * deviation))[:, :, None]
            normal = kept(scaled(centered * reciprocal, RECIPROCAL + CENTERED - NORMAL))
            extra = normal, reciprocal
            normal = normal.reshape(x.shape)
            x = normal * channels(own[0], x) + channels(own[1] << NORMAL, x)
        elif kind == "residual":
            cut = len(list(parameters(p[0])))
            a, b = forward(p[0], own[:cut], x), forward(p[1], own[cut:], x)
            x, extra = a[0] + b[0], (a[1], b[1])
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        pending = SUMS.get(kind, 0)
        if kind in SUMS and not (i + 1 < len(layers) and layers[i + 1][0] in ("relu", "smooth")):
            x = kept(scaled(x, pending))
        trace.append((before, extra))
    return x, trace


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


def gradients(layers, weights, trace, error):
    """Of all weights, summed over the batch, and the error of what the layers read."""
    weights, out = list(weights), []
    for layer, (x, extra) in zip(reversed(layers), reversed(trace)):
        kind, *p = layer
        own = [weights.pop() for _ in parameters([layer])][::-1]
        g = []
        if kind == "dense":
            g = [x.T @ error, error.sum(0)]
            error = kept(scaled(error @ own[0].T, WEIGHT))
        elif kind == "conv":
            g = [np.einsum("byxcij,boyx->ocij", patches(x, p[2], p[3], p[4]), error), error.sum((0, 2, 3))]
            # Scattered, where the graph reads a mirrored convolution.
            top, left, bottom, right = p[3]
            _, _, h, w = x.shape
            back = np.zeros((len(x), x.shape[1], h + top + bottom, w + left + right), np.int64)
            for dy in range(p[2][0]):
                for dx in range(p[2][1]):
                    place = back[:, :, dy :: p[4][0], dx :: p[4][1]][:, :, : error.shape[2], : error.shape[3]]
                    place += np.einsum("boyx,oc->bcyx", error, own[0][:, :, dy, dx])
            error = kept(scaled(back[:, :, top : top + h, left : left + w], WEIGHT))
        elif kind == "relu":
            error = np.where(extra > 0, kept(error), 0)
        elif kind == "smooth":
            error = kept(scaled(error * tables(p[0])[1][extra], SLOPE))
        elif kind == "pool":
            small = kept(scaled(error, 2 * (p[0].bit_length() - 1)))
            error = unsquares(np.broadcast_to(small[..., None, None], (*small.shape, p[0], p[0])), x)
        elif kind == "maximum":
            wide = np.zeros((*error.shape, p[0] * p[0]), np.int64)
            np.put_along_axis(wide, extra[..., None], kept(error)[..., None], 4)
            error = unsquares(wide.reshape(*error.shape, p[0], p[0]), x)
        elif kind == "norm":
            normal, reciprocal = extra
            n = normal.shape[2]
            places = tuple(range(2, error.ndim))
            g = [(error * normal.reshape(error.shape)).sum((0, *places)), error.sum((0, *places))]
            e = kept(scaled(error * channels(own[0], error), WEIGHT)).reshape(normal.shape)
            mean = share(e.sum(2, keepdims=True), n, 0)
            along = share((e * normal).sum(2, keepdims=True), n, NORMAL)
            free = kept(scaled(((e - mean) << NORMAL) - normal * along, NORMAL))
            error = kept(scaled(free * reciprocal, RECIPROCAL)).reshape(x.shape)
        elif kind == "residual":
            cut = len(list(parameters(p[0])))
            a = gradients(p[0], own[:cut], extra[0], error)
            b = gradients(p[1], own[cut:], extra[1], error)
            g, error = a[0] + b[0], kept(a[1] + b[1])
        elif kind == "flatten":
            error = error.reshape(x.shape)
        out = g + out
    return out, error


def train(spec, weights, data, targets, each=lambda step, weights: None):
    """Weights after all steps, and the sums of squares of each. Data and targets have ACTIVATION fraction bits."""
    weights = [w.astype(np.int64) for w in weights]
    velocities = [np.zeros_like(w) for w in weights]
    sampler, losses = Sampler(spec.seed, spec.rows), []
    for t in range(spec.steps):
        rows = sampler.batch(t, 1 << spec.batch_bits)
        output, trace = forward(spec.layers, weights, data[rows])
        error, total = output_error(spec.loss, output, targets[rows])
        losses.append(total)
        all_ = gradients(spec.layers, weights, trace, error)[0]
        for k, (g, s) in enumerate(zip(all_, spec.shifts())):
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
    return output_error(spec.loss, forward(spec.layers, weights, data)[0], targets)[1]
