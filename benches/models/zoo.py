"""The operator zoo: one tiny ONNX model per operator family, for import tests.

Run through `python generate.py zoo`. Every model has inputs `x` (or `x0`, `x1`)
and output `y`; beside it lies a .npz with the inputs and onnxruntime's `y`.
"""

import json
import zlib

from common import DEFAULT_OPSET, ROOT, Graph, np, run, save_model, save_npz

FOLDER = ROOT / "circuits" / "tests" / "models"


class Case:
    """One zoo model; `build` is a function of the graph that produces `y`."""

    def __init__(self, name, inputs, build, *, opset=DEFAULT_OPSET, family=None, low=-2.0,
                 high=2.0, tolerance=0.02, unsupported=None, symbolic=None):
        self.name, self.build, self.opset = name, build, opset
        self.inputs = inputs if isinstance(inputs, dict) else {"x": inputs}
        self.family = family or name
        self.low, self.high, self.tolerance = low, high, tolerance
        self.unsupported, self.symbolic = unsupported, symbolic

    def rng(self, part):
        """A generator seeded by the name, so that adding a case moves no other."""
        return np.random.default_rng([zlib.crc32(self.name.encode()), part])

    def write(self, folder):
        graph = Graph(f"op_{self.name}")
        graph.rng = self.rng(0)
        feeds = {}
        values = self.rng(1)
        for name, shape in self.inputs.items():
            declared = list(shape)
            if self.symbolic:
                declared[0] = self.symbolic
            graph.input(name, declared)
            feeds[name] = values.uniform(self.low, self.high, shape).astype(np.float32)
        self.build(graph)
        if self.unsupported:
            # Types and shapes of these outputs vary; the importer must refuse earlier.
            model = graph.model({"y": None}, self.opset)
            y = run(model, feeds)[0].astype(np.float32)
        else:
            y = graph_output(graph, feeds, self.opset)
        shape = list(y.shape)
        if self.symbolic:
            shape[0] = self.symbolic
        model = graph.model({"y": shape}, self.opset)
        file = f"op_{self.name}.onnx"
        save_model(model, folder / file)
        assert np.isfinite(y).all(), self.name
        assert y.ndim > 0 and y.size > 0, self.name
        assert self.unsupported or np.abs(y).max() > 0.05, self.name
        save_npz(folder / f"op_{self.name}.npz", **feeds, y=y)
        entry = {
            "name": self.name,
            "family": self.family,
            "file": file,
            "data": f"op_{self.name}.npz",
            "opset": self.opset,
            "ops": sorted({node.op_type for node in graph.nodes}),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "output": list(y.shape),
            # Absolute error in units of the largest output, at least one unit.
            "tolerance": round(self.tolerance * max(1.0, float(np.abs(y).max())), 4),
            "supported": self.unsupported is None,
        }
        if self.unsupported:
            entry["unsupported_op"] = self.unsupported
        return entry


def graph_output(graph, feeds, opset):
    """onnxruntime's float32 `y`."""
    y = run(graph.model({"y": None}, opset), feeds)[0]
    assert y.dtype == np.float32
    return y


def weights(graph, name, shape, scale=None):
    """A seeded float initializer of moderate size."""
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    std = scale if scale is not None else (1.0 / fan) ** 0.5
    draw = np.clip(graph.rng.standard_normal(shape), -2.5, 2.5)
    return graph.init(name, (draw * std).astype(np.float32))


def ints(graph, name, values):
    return graph.init(name, np.array(values, np.int64))


def scalar(graph, name, value):
    return graph.init(name, np.array(value, np.float32))


def op(kind, *, consts=(), output="y", **attrs):
    """x -> op -> y, with weights or given arrays as further inputs."""

    def build(g):
        names = ["x"]
        for i, const in enumerate(consts):
            if isinstance(const, tuple):
                names.append(weights(g, f"c{i}", const))
            elif const is None:
                names.append("")
            else:
                names.append(g.init(f"c{i}", const))
        g.node(kind, names, output, **attrs)

    return build


def pair(kind, **attrs):
    """(x0, x1) -> op -> y."""
    return lambda g: g.node(kind, ["x0", "x1"], "y", **attrs)


def i64(*values):
    return np.array(values, np.int64)


def f32(*values):
    return np.array(values, np.float32)


def gelu_erf(g):
    h = g.node("Div", ["x", scalar(g, "sqrt2", 2.0**0.5)], "scaled")
    h = g.node("Erf", [h], "erf")
    h = g.node("Add", [h, scalar(g, "one", 1.0)], "shifted")
    h = g.node("Mul", ["x", h], "product")
    g.node("Mul", [h, scalar(g, "half", 0.5)], "y")


def silu(g):
    g.node("Mul", ["x", g.node("Sigmoid", ["x"], "gate")], "y")


def batchnorm(g, source, channels, output):
    g.init("bn.scale", g.rng.uniform(0.5, 1.5, channels).astype(np.float32))
    weights(g, "bn.bias", (channels,), 0.3)
    weights(g, "bn.mean", (channels,), 0.5)
    g.init("bn.var", g.rng.uniform(0.3, 2.0, channels).astype(np.float32))
    names = [source, "bn.scale", "bn.bias", "bn.mean", "bn.var"]
    return g.node("BatchNormalization", names, output, epsilon=1e-5)


def conv(g, source, shape, output, bias=True, **attrs):
    names = [source, weights(g, f"{output}.weight", shape)]
    if bias:
        names.append(weights(g, f"{output}.bias", shape[:1], 0.3))
    return g.node("Conv", names, output, kernel_shape=list(shape[2:]), **attrs)


def conv_case(shape, **attrs):
    return lambda g: conv(g, "x", shape, "y", **attrs)


def conv_batchnorm(g):
    batchnorm(g, conv(g, "x", (3, 2, 3, 3), "conv", bias=False, pads=[1, 1, 1, 1]), 3, "y")


def batchnorm_relu(g):
    g.node("Relu", [batchnorm(g, "x", 3, "bn")], "y")


def residual(g):
    h = conv(g, "x", (3, 3, 3, 3), "conv1", pads=[1, 1, 1, 1])
    h = conv(g, g.node("Relu", [h], "relu1"), (3, 3, 3, 3), "conv2", pads=[1, 1, 1, 1])
    g.node("Relu", [g.node("Add", [h, "x"], "add")], "y")


def two_inputs(g):
    a = g.node("Gemm", ["x0", weights(g, "a.weight", (4, 6)), weights(g, "a.bias", (4,), 0.3)],
               "a", transB=1)
    b = g.node("Gemm", ["x1", weights(g, "b.weight", (4, 5)), weights(g, "b.bias", (4,), 0.3)],
               "b", transB=1)
    h = g.node("Relu", [g.node("Add", [a, b], "sum")], "hidden")
    g.node("Gemm", [h, weights(g, "c.weight", (3, 4))], "y", transB=1)


def attention_scores(g):
    q = g.node("MatMul", ["x", weights(g, "wq", (4, 4), 0.5)], "q")
    k = g.node("MatMul", ["x", weights(g, "wk", (4, 4), 0.5)], "k")
    kt = g.node("Transpose", [k], "kt", perm=[0, 2, 1])
    s = g.node("MatMul", [q, kt], "scores")
    g.node("Mul", [s, scalar(g, "scale", 0.5)], "y")


def symbolic_batch(g):
    h = g.node("Gemm", ["x", weights(g, "w1", (5, 6)), weights(g, "b1", (5,), 0.3)], "fc1",
               transB=1)
    h = g.node("Relu", [h], "relu1")
    g.node("Gemm", [h, weights(g, "w2", (3, 5)), weights(g, "b2", (3,), 0.3)], "y", transB=1)


def constant_node(g):
    from onnx import numpy_helper

    value = numpy_helper.from_array(f32([0.5, -1.0, 1.5, 0.25]), "value")
    g.node("Add", ["x", g.node("Constant", [], "offset", value=value)], "y")


def identity(g):
    g.node("Relu", [g.node("Identity", ["x"], "copy")], "y")


def dropout(g):
    g.node("Relu", [g.node("Dropout", ["x", scalar(g, "ratio", 0.3)], "kept")], "y")


def cast(g):
    g.node("Relu", [g.node("Cast", ["x"], "cast", to=1)], "y")


def concat_branches(g):
    a = g.node("Relu", ["x"], "a")
    b = g.node("Neg", ["x"], "b")
    g.node("Concat", [a, b, "x"], "y", axis=1)


def linear_chain(g):
    h = g.node("Transpose", ["x"], "t", perm=[0, 2, 3, 1])
    h = g.node("Reshape", [h, ints(g, "shape", [1, 12, 3])], "r")
    h = g.node("Slice", [h, ints(g, "starts", [1]), ints(g, "ends", [11]), ints(g, "axes", [1]),
                         ints(g, "steps", [2])], "s")
    h = g.node("Unsqueeze", [h, ints(g, "at", [1])], "u")
    h = g.node("ReduceMean", [h], "m", axes=[2], keepdims=0)
    g.node("Gemm", [g.node("Flatten", [h], "f", axis=1), weights(g, "w", (2, 3))], "y", transB=1)


def gru(g):
    weights(g, "w", (1, 9, 4))
    weights(g, "r", (1, 9, 3))
    g.node("GRU", ["x", "w", "r"], ["sequence", "y"], hidden_size=3)


def topk(g):
    g.node("TopK", ["x", ints(g, "k", [2])], ["y", "indices"], axis=-1)


def nonzero(g):
    g.node("Cast", [g.node("NonZero", ["x"], "where")], "y", to=1)


def linear_cases():
    yield Case("gemm", (1, 6), op("Gemm", consts=[(6, 4), (4,)]), family="gemm")
    yield Case("gemm_transb", (1, 6), op("Gemm", consts=[(4, 6), (4,)], transB=1), family="gemm")
    yield Case("gemm_alpha_beta", (1, 6),
               op("Gemm", consts=[(4, 6), (1, 4)], transB=1, alpha=0.5, beta=2.0), family="gemm")
    yield Case("gemm_no_bias", (1, 6), op("Gemm", consts=[(6, 4)]), family="gemm")
    yield Case("matmul_const", (1, 6), op("MatMul", consts=[(6, 5)]), family="matmul")
    yield Case("matmul_const_3d", (1, 3, 4), op("MatMul", consts=[(4, 5)]), family="matmul")
    yield Case("matmul_const_left", (4, 3),
               lambda g: g.node("MatMul", [weights(g, "w", (2, 4)), "x"], "y"), family="matmul")
    yield Case("matmul_batched", {"x0": (2, 3, 4), "x1": (2, 4, 5)}, pair("MatMul"),
               family="matmul")
    yield Case("matmul_heads", {"x0": (1, 2, 3, 4), "x1": (1, 2, 4, 3)}, pair("MatMul"),
               family="matmul")
    yield Case("attention_scores", (1, 3, 4), attention_scores, family="matmul", tolerance=0.03)
    for name, equation, a, b in [
        ("batched", "bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
        ("transposed", "ij,kj->ik", (3, 4), (5, 4)),
    ]:
        yield Case(f"einsum_{name}", {"x0": a, "x1": b}, pair("Einsum", equation=equation),
                   family="einsum")
        yield Case(f"einsum_{name}_const", a, op("Einsum", consts=[b], equation=equation),
                   family="einsum")
    yield Case("conv1d", (1, 2, 9), conv_case((3, 2, 3), pads=[1, 1]), family="conv")
    yield Case("conv1d_stride", (1, 2, 9), conv_case((3, 2, 3), strides=[2]), family="conv")
    plane = (1, 2, 6, 6)
    yield Case("conv2d", plane, conv_case((3, 2, 3, 3)), family="conv")
    yield Case("conv2d_no_bias", plane, conv_case((3, 2, 3, 3), bias=False), family="conv")
    yield Case("conv2d_pad", plane, conv_case((3, 2, 3, 3), pads=[1, 1, 1, 1]), family="conv")
    yield Case("conv2d_pad_asymmetric", plane, conv_case((2, 2, 3, 2), pads=[0, 1, 2, 0]),
               family="conv")
    yield Case("conv2d_stride", plane, conv_case((3, 2, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
               family="conv")
    yield Case("conv2d_dilation", (1, 2, 7, 7),
               conv_case((2, 2, 3, 3), dilations=[2, 2], pads=[1, 1, 1, 1]), family="conv")
    yield Case("conv2d_same_upper", plane,
               conv_case((2, 2, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]), family="conv")
    yield Case("conv2d_pointwise", plane, conv_case((4, 2, 1, 1)), family="conv")
    yield Case("conv2d_grouped", (1, 4, 5, 5), conv_case((6, 2, 3, 3), group=2), family="conv")
    yield Case("conv2d_depthwise", (1, 3, 5, 5),
               conv_case((3, 1, 3, 3), group=3, pads=[1, 1, 1, 1]), family="conv")
    yield Case("conv_batchnorm", (1, 2, 4, 4), conv_batchnorm, family="batchnorm")
    yield Case("batchnorm_relu", (1, 3, 3, 3), batchnorm_relu, family="batchnorm")


def elementwise_cases():
    for kind in ("Add", "Sub", "Mul"):
        low = kind.lower()
        yield Case(f"{low}_const", (1, 3, 4), op(kind, consts=[(3, 4)]), family=low)
        yield Case(f"{low}_const_channel", (1, 3, 2, 2), op(kind, consts=[(3, 1, 1)]), family=low)
        yield Case(f"{low}_const_scalar", (1, 3, 4), op(kind, consts=[np.float32(0.75)]),
                   family=low)
        yield Case(f"{low}_tensors", {"x0": (1, 3, 4), "x1": (1, 3, 4)}, pair(kind), family=low)
        yield Case(f"{low}_tensors_broadcast", {"x0": (1, 3, 4), "x1": (1, 1, 4)}, pair(kind),
                   family=low)
    yield Case("sub_const_left", (1, 4),
               lambda g: g.node("Sub", [scalar(g, "one", 1.0), "x"], "y"), family="sub")
    yield Case("div_const", (1, 8), op("Div", consts=[np.float32(4.0)]), family="div")
    yield Case("div_const_tensor", (1, 4), op("Div", consts=[f32(0.5, 1.5, -2.0, 3.0)]),
               family="div")
    yield Case("square_by_mul", (1, 8), lambda g: g.node("Mul", ["x", "x"], "y"), family="mul")


def activation_cases():
    def act(name, build, shape=(1, 16), low=-4.0, high=4.0, **kwargs):
        return Case(name, shape, build, family="activation", low=low, high=high, **kwargs)

    yield act("relu", op("Relu"))
    yield act("leaky_relu", op("LeakyRelu", alpha=0.1))
    yield act("leaky_relu_default", op("LeakyRelu"))
    yield act("prelu_scalar", op("PRelu", consts=[f32(0.2)]))
    yield act("prelu_channel", op("PRelu", consts=[f32(0.1, 0.3, -0.2).reshape(3, 1, 1)]),
              shape=(1, 3, 2, 4))
    yield act("clip", op("Clip", consts=[np.float32(-1.0), np.float32(1.5)]))
    yield act("clip_min_only", op("Clip", consts=[np.float32(-0.5)]))
    yield act("relu6", op("Clip", consts=[np.float32(0.0), np.float32(6.0)]), low=-3.0, high=9.0)
    yield act("relu6_attributes", op("Clip", min=0.0, max=6.0), low=-3.0, high=9.0, opset=10)
    yield act("sigmoid", op("Sigmoid"))
    yield act("tanh", op("Tanh"))
    yield act("erf", op("Erf"))
    yield act("gelu_erf", gelu_erf)
    yield act("gelu", op("Gelu"), opset=20)
    yield act("gelu_tanh", op("Gelu", approximate="tanh"), opset=20)
    yield act("softmax", op("Softmax", axis=-1))
    yield act("hard_swish", op("HardSwish"))
    yield act("hard_sigmoid", op("HardSigmoid"))
    yield act("hard_sigmoid_alpha", op("HardSigmoid", alpha=1.0 / 6.0, beta=0.5))
    yield act("softplus", op("Softplus"))
    yield act("elu", op("Elu", alpha=0.8))
    yield act("selu", op("Selu"))
    yield act("softsign", op("Softsign"))
    yield act("silu", silu)
    yield act("exp", op("Exp"), low=-3.0, high=2.0)
    yield act("sqrt", op("Sqrt"), low=0.05, high=4.0)
    yield act("log", op("Log"), low=0.2, high=4.0, tolerance=0.03)
    yield act("reciprocal", op("Reciprocal"), low=0.4, high=4.0, tolerance=0.03)
    yield act("abs", op("Abs"))
    yield act("neg", op("Neg"))
    yield act("sin", op("Sin"))
    yield act("cos", op("Cos"))
    yield act("pow2", op("Pow", consts=[np.float32(2.0)]), low=-2.0, high=2.0)


def reduction_cases():
    plane = (1, 2, 6, 6)
    yield Case("avgpool", plane, op("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
               family="avgpool")
    for flag, label in ((0, "exclude"), (1, "include")):
        yield Case(f"avgpool_pads_{label}", plane,
                   op("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1],
                      count_include_pad=flag), family="avgpool")
    yield Case("avgpool1d", (1, 2, 8), op("AveragePool", kernel_shape=[4], strides=[2]),
               family="avgpool")
    yield Case("global_avgpool", (1, 3, 4, 4), op("GlobalAveragePool"), family="avgpool",
               low=-1.0, high=2.0)
    yield Case("maxpool", plane, op("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
               family="maxpool")
    yield Case("maxpool_3x3_pad", (1, 2, 7, 7),
               op("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
               family="maxpool")
    # All inputs negative: a padding of zeros instead of minus infinity shows.
    yield Case("maxpool_negative_pad", (1, 1, 5, 5),
               op("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
               family="maxpool", low=-3.0, high=-1.0)
    yield Case("maxpool1d", (1, 2, 8), op("MaxPool", kernel_shape=[2], strides=[2]),
               family="maxpool")
    yield Case("maxpool_dilation", plane,
               op("MaxPool", kernel_shape=[2, 2], strides=[1, 1], dilations=[2, 2]),
               family="maxpool")
    cube = (1, 3, 4, 2)
    for keep in (0, 1):
        yield Case(f"reduce_sum_keep{keep}", cube, op("ReduceSum", consts=[i64(2)], keepdims=keep),
                   family="reduce")
        yield Case(f"reduce_mean_keep{keep}", cube, op("ReduceMean", axes=[2, 3], keepdims=keep),
                   family="reduce", low=-1.0, high=2.0)
        yield Case(f"reduce_mean_negative_keep{keep}", cube,
                   op("ReduceMean", axes=[-1], keepdims=keep), family="reduce")
    yield Case("reduce_sum_axes", cube, op("ReduceSum", consts=[i64(1, 3)], keepdims=0),
               family="reduce")
    yield Case("reduce_mean_opset18", cube, op("ReduceMean", consts=[i64(1, 2)], keepdims=0),
               family="reduce", opset=18, low=-1.0, high=2.0)


def shape_cases():
    def shape(name, dims, build, **kwargs):
        return Case(name, dims, build, family="shape", tolerance=0.01, **kwargs)

    cube = (1, 3, 4, 2)
    yield shape("flatten", cube, op("Flatten"))
    yield shape("flatten_axis2", cube, op("Flatten", axis=2))
    yield shape("reshape", cube, op("Reshape", consts=[i64(1, 6, 4)]))
    yield shape("reshape_infer", cube, op("Reshape", consts=[i64(0, -1, 2)]))
    yield shape("transpose", cube, op("Transpose", perm=[0, 3, 1, 2]))
    yield shape("squeeze", (1, 3, 1, 2), op("Squeeze", consts=[i64(2)]))
    yield shape("squeeze_all", (1, 3, 1, 2), op("Squeeze"))
    yield shape("squeeze_opset11", (1, 3, 1, 2), op("Squeeze", axes=[2]), opset=11)
    yield shape("unsqueeze", (1, 3, 2), op("Unsqueeze", consts=[i64(1, -1)]))
    yield shape("unsqueeze_opset11", (1, 3, 2), op("Unsqueeze", axes=[1]), opset=11)
    yield shape("slice", (1, 6, 5), op("Slice", consts=[i64(1, 0), i64(4, 3), i64(1, 2)]))
    yield shape("slice_steps", (1, 6, 5),
                op("Slice", consts=[i64(1, 0), i64(6, 5), i64(1, 2), i64(2, 3)]))
    yield shape("slice_negative", (1, 6, 5), op("Slice", consts=[i64(-4), i64(-1), i64(-2)]))
    yield shape("slice_to_end", (1, 6, 5), op("Slice", consts=[i64(2), i64(2**63 - 1), i64(1)]))
    yield shape("slice_reverse", (1, 6, 5),
                op("Slice", consts=[i64(-1), i64(-(2**63) + 1), i64(1), i64(-1)]))
    yield shape("concat", {"x0": (1, 2, 3), "x1": (1, 4, 3)}, pair("Concat", axis=1))
    yield shape("concat_last", {"x0": (1, 2, 3), "x1": (1, 2, 2)}, pair("Concat", axis=-1))
    yield shape("concat_branches", (1, 2, 3), concat_branches)
    yield shape("pad", (1, 2, 3), op("Pad", consts=[i64(0, 1, 2, 0, 0, 1)]))
    yield shape("pad_value", (1, 2, 3),
                op("Pad", consts=[i64(0, 0, 1, 0, 1, 1), np.float32(0.5)], mode="constant"))
    yield shape("cast", (1, 6), cast)
    yield shape("constant", (1, 4), constant_node)
    yield shape("identity", (1, 6), identity)
    yield shape("dropout", (1, 6), dropout)
    yield shape("linear_chain", (1, 3, 4, 3), linear_chain)


def network_cases():
    yield Case("residual_block", (1, 3, 4, 4), residual, family="network", tolerance=0.03)
    yield Case("two_inputs", {"x0": (1, 6), "x1": (1, 5)}, two_inputs, family="network")
    yield Case("symbolic_batch", (1, 6), symbolic_batch, family="network", symbolic="batch")


def unsupported_cases():
    def bad(name, dims, build, kind):
        return Case(name, dims, build, family="unsupported", unsupported=kind)

    yield Case("gru", (3, 1, 4), gru, family="network")
    yield bad("topk", (1, 6), topk, "TopK")
    yield bad("nonzero", (1, 6), nonzero, "NonZero")


def write(folder):
    """Writes every model, its data and manifest.json, replacing a former zoo."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("op_*.onnx"), *folder.glob("op_*.npz")):
        old.unlink()
    families = (linear_cases, elementwise_cases, activation_cases, reduction_cases, shape_cases,
                network_cases, unsupported_cases)
    entries = [case.write(folder) for family in families for case in family()]
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names)
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (folder / "manifest.json").write_text(f"[\n{lines}\n]\n")
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert size < 300_000, size
    print(f"zoo: {len(entries)} models, {size} bytes, "
          f"{sum(not entry['supported'] for entry in entries)} of them unsupported on purpose")
