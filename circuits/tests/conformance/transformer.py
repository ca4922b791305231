"""Writes small vision transformers that onnxruntime's static quantizer made, in both of its formats, with what onnxruntime computes.

Patches by a convolution, a class token put in front of them, one encoder block (attention written out, GELU by Erf), a dense layer.
"""

import pathlib
import sys

import numpy as np
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType
from static import write

out = pathlib.Path(sys.argv[1])
SAMPLES = 300
WIDTH, TOKENS, HEADS = 16, 5, 2


class Network:
    def __init__(self, rng):
        self.rng, self.nodes, self.held = rng, [], {}

    def constant(self, name, value):
        self.held[name] = np.asarray(value)
        return name

    def small(self, name, *shape, around=0.0):
        return self.constant(name, (around + 0.2 * self.rng.normal(size=shape)).astype(np.float32))

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def norm(self, x, name):
        gain = self.small(f"{name}_gain", WIDTH, around=1.0)
        bias = self.small(f"{name}_bias", WIDTH)
        return self.node("LayerNormalization", [x, gain, bias], name, axis=-1, epsilon=1e-5)

    def dense(self, x, name, rows, columns):
        weights = self.rng.normal(size=(rows, columns)) / np.sqrt(rows)
        w = self.constant(f"{name}_w", weights.astype(np.float32))
        y = self.node("MatMul", [x, w], f"{name}_product")
        return self.node("Add", [self.small(f"{name}_b", columns), y], name)

    def attention(self, x):
        split = self.constant("split", np.array([1, TOKENS, HEADS, WIDTH // HEADS], np.int64))
        join = self.constant("join", np.array([1, TOKENS, WIDTH], np.int64))
        heads = []
        for part in "qkv":
            y = self.dense(x, part, WIDTH, WIDTH)
            y = self.node("Reshape", [y, split], f"{part}_split")
            order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
            heads.append(self.node("Transpose", [y], f"{part}_heads", perm=order))
        scores = self.node("MatMul", heads[:2], "scores")
        root = self.constant("root", np.array(np.sqrt(HEADS / WIDTH), np.float32))
        scores = self.node("Softmax", [self.node("Mul", [scores, root], "scaled")], "shares", axis=-1)
        mixed = self.node("MatMul", [scores, heads[2]], "mixed")
        mixed = self.node("Transpose", [mixed], "mixed_rows", perm=[0, 2, 1, 3])
        return self.dense(self.node("Reshape", [mixed, join], "joined"), "projected", WIDTH, WIDTH)

    def gelu(self, x):
        number = lambda name, v: self.constant(name, np.array(v, np.float32))
        y = self.node("Erf", [self.node("Div", [x, number("root_two", np.sqrt(2))], "g1")], "g2")
        y = self.node("Mul", [x, self.node("Add", [y, number("one", 1)], "g3")], "g4")
        return self.node("Mul", [y, number("half", 0.5)], "gelu")

    def build(self):
        kernel = self.rng.normal(size=(WIDTH, 2, 4, 4)) / np.sqrt(32)
        w = self.constant("patch_w", kernel.astype(np.float32))
        y = self.node("Conv", ["x", w, self.small("patch_b", WIDTH)], "patches", strides=[4, 4])
        flat = self.constant("flat", np.array([1, WIDTH, TOKENS - 1], np.int64))
        y = self.node("Transpose", [self.node("Reshape", [y, flat], "flattened")], "rows", perm=[0, 2, 1])
        y = self.node("Concat", [self.small("token", 1, 1, WIDTH), y], "tokens", axis=1)
        y = self.node("Add", [y, self.small("places", 1, TOKENS, WIDTH)], "embedded")
        y = self.node("Add", [self.attention(self.norm(y, "norm1")), y], "attended")
        wide = self.gelu(self.dense(self.norm(y, "norm2"), "wide", WIDTH, 2 * WIDTH))
        y = self.node("Add", [self.dense(wide, "narrow", 2 * WIDTH, WIDTH), y], "encoded")
        y = self.node("Gather", [self.norm(y, "norm3"), self.constant("first", np.array(0, np.int64))], "class", axis=1)
        head = self.rng.normal(size=(WIDTH, 10)) / 2
        head = self.constant("head_w", head.astype(np.float32))
        self.node("Gemm", [y, head, self.small("head_b", 10)], "y")
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "vit",
            [value("x", T.FLOAT, [1, 2, 8, 8])],
            [value("y", T.FLOAT, [1, 10])],
            [numpy_helper.from_array(v, k) for k, v in self.held.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


for name, seed, form, kind in [
    ("vit_qdq", 11, QuantFormat.QDQ, QuantType.QUInt8),
    ("vit_qdq_signed", 12, QuantFormat.QDQ, QuantType.QInt8),
    ("vit_qoperator", 13, QuantFormat.QOperator, QuantType.QUInt8),
    ("vit_qdq_16_bits", 14, QuantFormat.QDQ, QuantType.QUInt16),
]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(SAMPLES, 1, 2, 8, 8)).astype(np.float32)
    # As the file says: what graph optimizations make of a block differs by some units of its type.
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    write(out / name, Network(rng).build(), rows, form, kind, session_options=options)
