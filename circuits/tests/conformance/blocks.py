"""Blocks of transformers as exporters write them: positions, normalizations, masks, heads, patches.

Small graphs with seeded weights; `write(case, rng)` hands them to the writer of generate.py.
"""

import numpy as np
from onnx import TensorProto as T
from onnx import helper

N = helper.make_node


class Block:
    """Nodes of a graph with its constants and inputs."""

    def __init__(self, rng):
        self.rng, self.nodes, self.constants, self.inputs, self.count = rng, [], {}, {}, 0

    def op(self, kind, *inputs, outputs=1, **attributes):
        self.count += 1
        names = []
        for i, x in enumerate(inputs):
            if not isinstance(x, str):
                self.constants[f"c{self.count}_{i}"] = np.asarray(x)
                x = f"c{self.count}_{i}"
            names.append(x)
        results = [f"t{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(N(kind, names, results, name=f"{kind}_{self.count}", **attributes))
        return results[0] if outputs == 1 else results

    def input(self, name, value):
        self.inputs[name] = value
        return name

    def normal(self, *shape, by=1.0):
        return (by * self.rng.normal(size=shape)).astype(np.float32)

    def shape(self, x, *extents):
        return self.op("Reshape", x, np.array(extents, np.int64))

    def turn(self, x, *perm):
        return self.op("Transpose", x, perm=list(perm))

    def cut(self, x, start, end, axis, step=1):
        return self.op("Slice", x, *(np.array([v], np.int64) for v in (start, end, axis, step)))

    def dense(self, x, inner, outer, bias=True):
        y = self.op("MatMul", x, self.normal(inner, outer, by=inner**-0.5))
        return self.op("Add", y, self.normal(outer, by=0.1)) if bias else y

    def rms(self, x, width):
        square = self.op("ReduceMean", self.op("Pow", x, np.float32(2)), np.array([-1]))
        root = self.op("Sqrt", self.op("Add", square, np.float32(1e-6)))
        scaled = self.op("Mul", x, self.op("Div", np.float32(1), root))
        return self.op("Mul", 1 + self.normal(width, by=0.2), scaled)

    def heads(self, x, steps, heads, width):
        return self.turn(self.shape(x, 1, steps, heads, width), 0, 2, 1, 3)

    def rotate(self, x, cos, sin, width):
        """Rotary positions, halves swapped."""
        half = width // 2
        front, back = self.cut(x, 0, half, -1), self.cut(x, half, 2**63 - 1, -1)
        turned = self.op("Concat", self.op("Neg", back), front, axis=-1)
        return self.op("Add", self.op("Mul", x, cos), self.op("Mul", turned, sin))

    def attend(self, q, k, v, width, mask=None):
        scores = self.op("MatMul", q, self.turn(k, 0, 1, 3, 2))
        scores = self.op("Mul", scores, np.float32(width**-0.5))
        if mask is not None:
            scores = self.op("Add", scores, mask)
        return self.op("MatMul", self.op("Softmax", scores, axis=-1), v)

    def joined(self, x, steps, width):
        return self.shape(self.turn(x, 0, 2, 1, 3), 1, steps, width)


def angles(steps, width):
    a = np.arange(steps)[:, None] / 100.0 ** (np.arange(0, width, 2) / width)
    a = np.concatenate([a, a], axis=-1)[None, None]
    return np.cos(a).astype(np.float32), np.sin(a).astype(np.float32)


def causal(steps, never=-np.inf):
    return np.triu(np.full((1, 1, steps, steps), never, np.float32), 1)


def grouped(b, x, heads, times, steps, width):
    """Every head of keys for several of queries, as Hugging Face's repeat_kv is exported."""
    x = b.op("Unsqueeze", x, np.array([2]))
    x = b.op("Expand", x, np.array([1, heads, times, steps, width]))
    return b.shape(x, 1, heads * times, steps, width)


def decoder(b, x, steps, width, heads, shared, each, never=-np.inf, norm_heads=False):
    """A Llama layer: RMSNorm, rotary positions, grouped heads, SwiGLU."""
    h = b.rms(x, width)
    q = b.heads(b.dense(h, width, heads * each, False), steps, heads, each)
    k = b.heads(b.dense(h, width, shared * each, False), steps, shared, each)
    v = b.heads(b.dense(h, width, shared * each, False), steps, shared, each)
    if norm_heads:
        q, k = b.rms(q, each), b.rms(k, each)
    cos, sin = angles(steps, each)
    q, k = b.rotate(q, cos, sin, each), b.rotate(k, cos, sin, each)
    k, v = (grouped(b, t, shared, heads // shared, steps, each) for t in (k, v))
    h = b.joined(b.attend(q, k, v, each, causal(steps, never)), steps, heads * each)
    x = b.op("Add", x, b.dense(h, heads * each, width, False))
    h = b.rms(x, width)
    gate = b.dense(h, width, 2 * width, False)
    gate = b.op("Mul", gate, b.op("Sigmoid", gate))
    h = b.op("Mul", gate, b.dense(h, width, 2 * width, False))
    return b.op("Add", x, b.dense(h, 2 * width, width, False))


def llama(b, never=-np.inf, norm_heads=False):
    ids = b.input("ids", b.rng.integers(0, 19, (1, 6)))
    x = b.op("Gather", b.normal(19, 16), ids)
    for _ in range(2):
        x = decoder(b, x, 6, 16, 4, 2, 4, never, norm_heads)
    last = b.op("Gather", b.rms(x, 16), np.array(-1), axis=1)
    return b.dense(last, 16, 19, False)


def llama_smallest(b):
    return llama(b, np.finfo(np.float32).min)


def llama_norm_heads(b):
    return llama(b, norm_heads=True)


def rotary_computed(b):
    """Angles of the positions that the caller gives."""
    x = b.input("x", b.normal(1, 2, 5, 8))
    at = b.op("Cast", b.input("positions", np.arange(5)[None]), to=T.FLOAT)
    inverse = (100.0 ** (-np.arange(0, 8, 2) / 8)).astype(np.float32).reshape(1, 4, 1)
    a = b.turn(b.op("MatMul", inverse, b.op("Unsqueeze", at, np.array([1]))), 0, 2, 1)
    a = b.op("Unsqueeze", b.op("Concat", a, a, axis=-1), np.array([1]))
    return b.rotate(x, b.op("Cos", a), b.op("Sin", a), 8)


def rotary_interleaved(b):
    x = b.input("x", b.normal(1, 2, 5, 8))
    cos, sin = (t[..., :4] for t in angles(5, 8))
    even, odd = b.cut(x, 0, 2**63 - 1, 3, 2), b.cut(x, 1, 2**63 - 1, 3, 2)
    first = b.op("Sub", b.op("Mul", even, cos), b.op("Mul", odd, sin))
    second = b.op("Add", b.op("Mul", even, sin), b.op("Mul", odd, cos))
    parts = [b.op("Unsqueeze", t, np.array([-1])) for t in (first, second)]
    return b.shape(b.op("Concat", *parts, axis=-1), 1, 2, 5, 8)


def alibi(b):
    x = b.input("x", b.normal(1, 6, 16))
    slopes = np.array([0.5, 0.25, 0.125, 0.0625], np.float32).reshape(1, 4, 1, 1)
    far = (np.arange(6)[None, :] - np.arange(6)[:, None]).astype(np.float32)[None, None]
    q, k, v = (b.heads(b.dense(x, 16, 16), 6, 4, 4) for _ in range(3))
    h = b.attend(q, k, v, 4, slopes * far + causal(6, -1e9))
    return b.dense(b.joined(h, 6, 16), 16, 16)


def mask_of_shapes(b):
    """A causal mask that the graph itself makes of the length."""
    x = b.input("x", b.normal(1, 6, 16))
    n = b.op("Gather", b.op("Shape", x), np.array(1))
    steps = b.op("Range", np.array(0), n, np.array(1))
    row, column = b.op("Unsqueeze", steps, np.array([1])), b.op("Unsqueeze", steps, np.array([0]))
    allowed = b.op("LessOrEqual", column, row)
    never = b.op("Where", allowed, np.float32(0), np.float32(np.finfo(np.float32).min))
    q, k, v = (b.heads(b.dense(x, 16, 16), 6, 2, 8) for _ in range(3))
    return b.joined(b.attend(q, k, v, 8, never), 6, 16)


def mask_trilu(b):
    x = b.input("x", b.normal(1, 2, 6, 8))
    ones = b.op("ConstantOfShape", np.array([6, 6]), value=helper.make_tensor("v", T.FLOAT, [1], [-np.inf]))
    mask = b.op("Trilu", ones, np.array(1), upper=1)
    return b.attend(x, x, x, 8, mask)


def mask_of_tokens(b):
    """Padding as a mask of integers, expanded to all queries, and the causal one, both by Where."""
    x = b.input("x", b.normal(1, 6, 16))
    mask = b.input("mask", np.array([[1, 1, 1, 1, 0, 0]]))
    wide = b.op("Unsqueeze", b.op("Unsqueeze", b.op("Cast", mask, to=T.BOOL), np.array([1])), np.array([1]))
    wide = b.op("Expand", wide, np.array([1, 1, 6, 6]))
    allowed = b.op("And", wide, np.tril(np.ones((1, 1, 6, 6), bool)))
    q, k, v = (b.heads(b.dense(x, 16, 16), 6, 2, 8) for _ in range(3))
    scores = b.op("Div", b.op("MatMul", q, b.turn(k, 0, 1, 3, 2)), np.float32(np.sqrt(8)))
    scores = b.op("Where", allowed, scores, np.float32(-np.inf))
    weights = b.op("Softmax", scores, axis=-1)
    return b.dense(b.joined(b.op("MatMul", weights, v), 6, 16), 16, 16)


def mask_inverted(b):
    """BERT's: one less the mask, times the smallest float."""
    x = b.input("x", b.normal(1, 2, 6, 8))
    mask = b.input("mask", np.array([[1, 1, 1, 1, 1, 0]]))
    wide = b.op("Cast", b.op("Unsqueeze", mask, np.array([1, 2])), to=T.FLOAT)
    never = b.op("Mul", b.op("Sub", np.float32(1), wide), np.float32(np.finfo(np.float32).min))
    return b.attend(x, x, x, 8, never)


def capped(b):
    """Scores between -5 and 5, as Gemma has them, with a window of keys."""
    x = b.input("x", b.normal(1, 2, 6, 8, by=2.0))
    near = np.abs(np.arange(6)[:, None] - np.arange(6)[None]) < 3
    scores = b.op("MatMul", x, b.turn(x, 0, 1, 3, 2))
    scores = b.op("Mul", b.op("Tanh", b.op("Div", scores, np.float32(5))), np.float32(5))
    scores = b.op("Where", near[None, None], scores, np.float32(-2.4e38))
    return b.op("MatMul", b.op("Softmax", scores, axis=-1), x)


def vision(b):
    """A vision transformer: patches by a convolution, a class token, learned positions, one layer."""
    image = b.input("image", b.normal(1, 3, 12, 12))
    x = b.op("Conv", image, b.normal(16, 3, 4, 4, by=0.15), b.normal(16, by=0.1), kernel_shape=[4, 4], strides=[4, 4])
    x = b.turn(b.shape(x, 1, 16, -1), 0, 2, 1)
    token = b.op("Expand", b.normal(1, 1, 16), np.array([1, 1, 16]))
    x = b.op("Add", b.op("Concat", token, x, axis=1), b.normal(1, 10, 16))
    norm = lambda t: b.op("LayerNormalization", t, 1 + b.normal(16, by=0.2), b.normal(16, by=0.1), axis=-1)
    h = b.turn(b.shape(b.dense(norm(x), 16, 48), 1, 10, 3, 2, 8), 2, 0, 3, 1, 4)
    parts = b.op("Split", h, np.array([1, 1, 1]), outputs=3, axis=0)
    q, k, v = (b.op("Squeeze", t, np.array([0])) for t in parts)
    x = b.op("Add", x, b.dense(b.joined(b.attend(q, k, v, 8), 10, 16), 16, 16))
    x = b.op("Add", x, b.dense(b.op("Gelu", b.dense(norm(x), 16, 32)), 32, 16))
    return b.dense(b.op("Gather", norm(x), np.array(0), axis=1), 16, 5)


def shifted_windows(b):
    """Swin: rolled by slices, cut into windows, biased by relative positions."""
    x = b.input("x", b.normal(1, 4, 4, 8))
    for axis in (1, 2):
        x = b.op("Concat", b.cut(x, 1, 2**63 - 1, axis), b.cut(x, 0, 1, axis), axis=axis)
    x = b.shape(b.turn(b.shape(x, 1, 2, 2, 2, 2, 8), 0, 1, 3, 2, 4, 5), 4, 4, 8)
    h = b.turn(b.shape(b.dense(x, 8, 24), 4, 4, 3, 2, 4), 2, 0, 3, 1, 4)
    q, k, v = (b.op("Gather", h, np.array(i), axis=0) for i in range(3))
    bias = b.op("Gather", b.normal(9, 2), b.rng.integers(0, 9, 16))
    bias = b.op("Unsqueeze", b.turn(b.shape(bias, 4, 4, 2), 2, 0, 1), np.array([0]))
    h = b.attend(q, k, v, 4, bias)
    h = b.shape(b.turn(h, 0, 2, 1, 3), 4, 4, 8)
    return b.shape(b.turn(b.shape(h, 1, 2, 2, 2, 2, 8), 0, 1, 3, 2, 4, 5), 1, 4, 4, 8)


def parallel(b):
    """Attention and the dense layers side by side, as in GPT-J; one head of keys for all queries."""
    x = b.input("x", b.normal(1, 5, 16))
    mean = b.op("ReduceMean", x, np.array([-1]))
    centred = b.op("Sub", x, mean)
    variance = b.op("ReduceMean", b.op("Mul", centred, centred), np.array([-1]))
    h = b.op("Div", centred, b.op("Sqrt", b.op("Add", variance, np.float32(1e-5))))
    q = b.heads(b.dense(h, 16, 16), 5, 4, 4)
    k, v = (b.op("Unsqueeze", b.dense(h, 16, 4), np.array([1])) for _ in range(2))
    a = b.dense(b.joined(b.attend(q, k, v, 4, causal(5, -1e4)), 5, 16), 16, 16)
    fc = b.dense(h, 16, 32)
    fc = b.op("Mul", fc, b.op("Sigmoid", b.op("Mul", fc, np.float32(1.702))))
    return b.op("Add", b.op("Add", a, b.dense(fc, 32, 16)), x)


def squared_relu(b):
    """The feed-forward part of Primer and of RWKV."""
    x = b.input("x", b.normal(1, 5, 16))
    h = b.op("Relu", b.dense(b.rms(x, 16), 16, 32, False))
    return b.op("Add", x, b.dense(b.op("Mul", h, h), 32, 16, False))


def crossed(b):
    """Queries of one sequence, keys and values of another; then the mean over a mask, normalised."""
    x, y = b.input("x", b.normal(1, 4, 16)), b.input("y", b.normal(1, 7, 12))
    q = b.heads(b.dense(x, 16, 16), 4, 2, 8)
    k, v = (b.heads(b.dense(y, 12, 16), 7, 2, 8) for _ in range(2))
    h = b.op("Add", x, b.dense(b.joined(b.attend(q, k, v, 8), 4, 16), 16, 16))
    mask = b.op("Cast", b.op("Unsqueeze", b.input("mask", np.array([[1, 1, 1, 0]])), np.array([-1])), to=T.FLOAT)
    total = b.op("ReduceSum", b.op("Mul", h, mask), np.array([1]), keepdims=0)
    mean = b.op("Div", total, b.op("Clip", b.op("ReduceSum", mask, np.array([1]), keepdims=0), np.float32(1e-9)))
    length = b.op("Clip", b.op("ReduceL2", mean, np.array([1])), np.float32(1e-12))
    return b.op("Div", mean, length)


def pooled_by_query(b):
    """A learned query that attends to all positions; scores without a softmax's stabilisation."""
    x = b.input("x", b.normal(1, 6, 16))
    scores = b.op("MatMul", x, b.normal(16, 1, by=0.3))
    e = b.op("Exp", scores)
    weights = b.op("Div", e, b.op("ReduceSum", e, np.array([1]), keepdims=1))
    return b.op("ReduceSum", b.op("Mul", x, weights), np.array([1]), keepdims=0)


def linear_attention(b):
    """Kernels elu + 1 instead of a softmax."""
    x = b.input("x", b.normal(1, 2, 6, 4))
    q, k = (b.op("Add", b.op("Elu", b.op("MatMul", x, b.normal(4, 4, by=0.5))), np.float32(1)) for _ in range(2))
    state = b.op("MatMul", b.turn(k, 0, 1, 3, 2), x)
    total = b.op("ReduceSum", k, np.array([2]), keepdims=1)
    norm = b.op("MatMul", q, b.turn(total, 0, 1, 3, 2))
    return b.op("Div", b.op("MatMul", q, state), norm)


def experts(b):
    """Two of four experts for each token, all computed, weighted by a softmax of the two largest gates."""
    x = b.input("x", b.normal(1, 5, 8, by=2.0))
    gates = b.dense(x, 8, 4)
    top, at = b.op("TopK", gates, np.array([2]), outputs=2, axis=-1)
    weights = b.op("Softmax", top, axis=-1)
    chosen = b.op("Equal", b.op("Unsqueeze", at, np.array([-1])), np.arange(4))
    chosen = b.op("Cast", chosen, to=T.FLOAT)
    shares = b.op("ReduceSum", b.op("Mul", b.op("Unsqueeze", weights, np.array([-1])), chosen), np.array([2]), keepdims=0)
    parts = [b.op("Unsqueeze", b.op("Relu", b.dense(x, 8, 8)), np.array([2])) for _ in range(4)]
    stacked = b.op("Concat", *parts, axis=2)
    return b.op("ReduceSum", b.op("Mul", stacked, b.op("Unsqueeze", shares, np.array([-1]))), np.array([2]), keepdims=0)


def newer(b):
    """Operators of opset 23: RMSNormalization, RotaryEmbedding, Attention with fewer heads of keys."""
    x = b.input("x", b.normal(1, 6, 16))
    h = b.op("RMSNormalization", x, 1 + b.normal(16, by=0.2), axis=-1, epsilon=1e-5)
    cos, sin = (t[0, 0, :, :2] for t in angles(6, 4))
    at = np.arange(6)[None]
    q = b.op("RotaryEmbedding", b.dense(h, 16, 16, False), cos, sin, at, num_heads=4)
    k = b.op("RotaryEmbedding", b.dense(h, 16, 8, False), cos, sin, at, num_heads=2)
    v = b.dense(h, 16, 8, False)
    h = b.op("Attention", q, k, v, q_num_heads=4, kv_num_heads=2, is_causal=1)
    x = b.op("Add", x, b.dense(h, 16, 16, False))
    h = b.op("RMSNormalization", x, 1 + b.normal(16, by=0.2), axis=-1, epsilon=1e-5)
    return b.op("Add", x, b.dense(b.op("Gelu", h, approximate="tanh"), 16, 16))


def next_token(b):
    """Greedy decoding: the token itself is the output."""
    ids = b.input("ids", b.rng.integers(0, 11, (1, 5)))
    x = b.op("Gather", b.normal(11, 16), ids)
    x = decoder(b, x, 5, 16, 2, 1, 8)
    return b.op("ArgMax", b.dense(b.op("Gather", x, np.array([4]), axis=1), 16, 11), axis=-1, keepdims=0)


ALL = [
    llama, llama_smallest, llama_norm_heads, rotary_computed, rotary_interleaved, alibi, mask_of_shapes, mask_trilu,
    mask_of_tokens, mask_inverted, capped, vision, shifted_windows, parallel, squared_relu, crossed, pooled_by_query,
    linear_attention, experts, newer, next_token,
]


def write(case, seed):
    for i, block in enumerate(ALL):
        b = Block(np.random.default_rng([seed, i]))
        out = block(b)
        opset = 23 if block is newer else 20
        kind = T.INT64 if block is next_token else T.FLOAT
        case(f"block_{block.__name__}", b.nodes, b.inputs, [out], b.constants, opset, kind)
