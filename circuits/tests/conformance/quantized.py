"""Writes networks made by onnxruntime's own quantizer, in both of its formats, with what onnxruntime computes on 1,000 random inputs."""

import pathlib
import sys

import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType
from static import write

out = pathlib.Path(sys.argv[1])
N = helper.make_node
SAMPLES = 1000


def network(rng, residual):
    """Convolutions, pooling, a dense layer; with or without a sum of two tensors."""
    f = lambda *shape: (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    held = {"w1": f(8, 2, 3, 3), "b1": f(8, 8)[:, 0] / 4, "w2": f(8, 8, 3, 3), "b2": f(8, 8)[:, 0] / 4}
    nodes = [
        N("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        N("Relu", ["c1"], ["r1"]),
        N("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Conv", ["p1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
    ]
    last = "c2"
    if residual:
        nodes.append(N("Add", ["c2", "p1"], ["s"]))
        last = "s"
    nodes += [N("Relu", [last], ["r2"]), N("GlobalAveragePool", ["r2"], ["g"]), N("Flatten", ["g"], ["v"])]
    held |= {"w3": f(10, 8) * 3, "b3": f(10, 4)[:, 0]}
    nodes.append(N("Gemm", ["v", "w3", "b3"], ["y"], transB=1))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [value("x", T.FLOAT, [1, 2, 12, 12])],
        [value("y", T.FLOAT, [1, 10])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


for name, residual, per_channel, seed, form, kind in [
    ("qdq_plain", False, True, 1, QuantFormat.QDQ, QuantType.QUInt8),
    ("qdq_residual", True, False, 2, QuantFormat.QDQ, QuantType.QUInt8),
    ("qdq_both", True, True, 3, QuantFormat.QDQ, QuantType.QUInt8),
    ("qoperator", True, False, 4, QuantFormat.QOperator, QuantType.QUInt8),
    ("qdq_16_bits", True, True, 6, QuantFormat.QDQ, QuantType.QUInt16),
]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(SAMPLES, 1, 2, 12, 12)).astype(np.float32)
    write(out / name, network(rng, residual), rows, form, kind, per_channel)
