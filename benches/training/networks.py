"""Writes small ONNX files of networks that can be trained, as exporters write them: circuits/tests/training_onnx/*.onnx.

    python benches/training/networks.py
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUT = Path(__file__).parents[2] / "circuits/tests/training_onnx"


class Network:
    """A graph whose nodes are added one by one; constants are drawn or given."""

    def __init__(self, seed):
        self.rng, self.nodes, self.constants = np.random.default_rng(seed), [], []

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def integers(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def drawn(self, *shape):
        return self.constant(self.rng.normal(0, 0.5, shape))

    def __call__(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def dense(self, x, inputs, outputs):
        return self("Gemm", x, self.drawn(outputs, inputs), self.drawn(outputs), transB=1)

    def conv(self, x, inputs, outputs, kernel, **attributes):
        return self("Conv", x, self.drawn(outputs, inputs, kernel, kernel), self.drawn(outputs), **attributes)

    def save(self, name, shape, outputs, opset):
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", outputs])],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, OUT / f"{name}.onnx")


def gelu_written_out():
    """A transformer's feed-forward block: normalization, GELU by Erf, a residual."""
    n = Network(1)
    x = n.dense("x", 6, 8)
    h = n("LayerNormalization", x, n.drawn(8), n.drawn(8), axis=-1, epsilon=1e-5)
    h = n.dense(h, 8, 12)
    e = n("Erf", n("Div", h, n.constant(np.sqrt(2))))
    h = n("Mul", n("Mul", h, n("Add", e, n.constant(1))), n.constant(0.5))
    h = n("Add", n.dense(h, 12, 8), x)
    n.dense(h, 8, 3)
    n.save("gelu_written_out", [6], 3, 17)


def gelu_tanh_written_out():
    n = Network(2)
    h = n.dense("x", 4, 7)
    inner = n("Add", h, n("Mul", n.constant(0.044715), n("Pow", h, n.constant(3))))
    t = n("Tanh", n("Mul", inner, n.constant(np.sqrt(2 / np.pi))))
    h = n("Mul", n("Mul", h, n.constant(0.5)), n("Add", n.constant(1), t))
    n.dense(h, 7, 2)
    n.save("gelu_tanh_written_out", [4], 2, 17)


def activations():
    n = Network(3)
    h = n("Gelu", n.dense("x", 4, 6))
    h = n.dense(h, 6, 6)
    h = n("Mul", n("Sigmoid", h), h)
    h = n("Tanh", n.dense(h, 6, 6))
    h = n("Sigmoid", n.dense(h, 6, 5))
    h = n("Gelu", n.dense(h, 5, 5), approximate="tanh")
    n("Softmax", n.dense(h, 5, 3))
    n.save("activations", [4], 3, 20)


def residual_images():
    """Two residual blocks, the second smaller than its input, group normalization, maxima."""
    n = Network(4)
    x = n("Relu", n.conv("x", 1, 4, 3, pads=[1] * 4))
    h = n("GroupNormalization", n.conv(x, 4, 4, 3, pads=[1] * 4), n.drawn(4), n.drawn(4), num_groups=2)
    h = n.conv(n("Relu", h), 4, 4, 3, pads=[1] * 4)
    x = n("Relu", n("Add", h, x))
    h = n.conv(n("Relu", n.conv(x, 4, 6, 3, pads=[1] * 4, strides=[2, 2])), 6, 6, 3, pads=[1] * 4)
    s = n("InstanceNormalization", n.conv(x, 4, 6, 1, strides=[2, 2]), n.drawn(6), n.drawn(6))
    x = n("Relu", n("Add", s, h))
    x = n("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    n.dense(n("Flatten", x), 24, 3)
    n.save("residual_images", [1, 9, 8], 3, 21)


def matrix(n, x, inputs, outputs):
    """A dense layer of tokens, as exporters write it."""
    return n("Add", n("MatMul", x, n.constant(n.rng.normal(0, inputs**-0.5, (inputs, outputs)))), n.drawn(outputs))


def feed_forward(n, x, width):
    h = n("LayerNormalization", x, n.drawn(width), n.drawn(width), axis=-1, epsilon=1e-5)
    h = n("Gelu", matrix(n, h, width, 2 * width), approximate="tanh")
    return n("Add", x, matrix(n, h, 2 * width, width))


def transformer_block():
    """A block of a decoder, its attention written out with a causal mask, and a class for each row of tokens."""
    n, tokens, width, heads = Network(5), 8, 32, 2
    part = width // heads
    h = n("LayerNormalization", "x", n.drawn(width), n.drawn(width), axis=-1, epsilon=1e-5)
    h = matrix(n, h, width, 3 * width)
    shape = n.integers([0, tokens, heads, part])
    n.nodes.append(helper.make_node("Split", [h, n.integers([width] * 3)], ["q", "k", "v"], axis=2))
    q, k, v = (n("Transpose", n("Reshape", i, shape), perm=perm) for i, perm in
               (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])))
    s = n("Div", n("MatMul", q, k), n.constant(np.sqrt(part)))
    mask = np.where(np.tri(tokens), 0, -np.inf)
    s = n("Softmax", n("Add", s, n.constant(mask)), axis=-1)
    h = n("Transpose", n("MatMul", s, v), perm=[0, 2, 1, 3])
    h = n("Reshape", h, n.integers([0, tokens, width]))
    x = n("Add", "x", matrix(n, h, width, width))
    x = feed_forward(n, x, width)
    x = n("LayerNormalization", x, n.drawn(width), n.drawn(width), axis=-1, epsilon=1e-5)
    n.dense(n("Flatten", x), tokens * width, 3)
    n.save("transformer_block", [tokens, width], 3, 20)


def attention_block():
    """The same without a mask, by the operator Attention."""
    n, tokens, width, heads = Network(6), 4, 12, 3
    h = n("LayerNormalization", "x", n.drawn(width), n.drawn(width), axis=-1, epsilon=1e-5)
    h = matrix(n, h, width, 3 * width)
    n.nodes.append(helper.make_node("Split", [h, n.integers([width] * 3)], ["q", "k", "v"], axis=2))
    h = n("Attention", "q", "k", "v", q_num_heads=heads, kv_num_heads=heads)
    x = n("Add", matrix(n, h, width, width), "x")
    x = feed_forward(n, x, width)
    n.dense(n("Flatten", x), tokens * width, 2)
    n.save("attention_block", [tokens, width], 2, 23)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for network in (
        gelu_written_out,
        gelu_tanh_written_out,
        activations,
        residual_images,
        transformer_block,
        attention_block,
    ):
        network()
