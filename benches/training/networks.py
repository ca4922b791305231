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


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for network in (gelu_written_out, gelu_tanh_written_out, activations, residual_images):
        network()
