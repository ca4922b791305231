"""Writes graphs with the outputs that onnxruntime computes, in the layout of the ONNX node tests.

Single operators with attributes off their defaults, and chains of operators drawn at random from a fixed seed.
"""

import pathlib
import sys

import blocks
import numpy as np
import onnxruntime as ort
import packages
from onnx import TensorProto as T
from onnx import helper, numpy_helper

out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(7)
N = helper.make_node


def f(*shape):
    return rng.normal(size=shape).astype(np.float32)


def case(name, nodes, inputs, outputs, constants=None, opset=18, kind=T.FLOAT):
    value = helper.make_tensor_value_info
    ins = [value(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in inputs.items()]
    kinds = kind if isinstance(kind, list) else [kind] * len(outputs)
    outs = [value(o, k, None) for o, k in zip(outputs, kinds)]
    held = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, name, ins, outs, held)
    opsets = opset if isinstance(opset, list) else [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if isinstance(opset, list) or opset < 21 else 11)
    data = model.SerializeToString()
    results = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, inputs)
    folder = out / name / "test_data_set_0"
    folder.mkdir(parents=True)
    (out / name / "model.onnx").write_bytes(data)
    for i, (n, v) in enumerate(inputs.items()):
        (folder / f"input_{i}.pb").write_bytes(numpy_helper.from_array(v, n).SerializeToString())
    for i, (n, v) in enumerate(zip(outputs, results)):
        (folder / f"output_{i}.pb").write_bytes(numpy_helper.from_array(v, n).SerializeToString())


def one(name, op, x, constants=None, opset=18, kind=T.FLOAT, **attributes):
    held = dict(constants or {})
    case(name, [N(op, ["x", *held], ["y"], **attributes)], {"x": x}, ["y"], held, opset, kind)


for alpha in (0.3, 2.5):
    one(f"celu_{alpha}", "Celu", f(3, 4), opset=12, alpha=alpha)
for p in (1, 2, 3):
    one(f"global_lp_pool_{p}", "GlobalLpPool", f(1, 3, 5, 5), opset=12, p=p)
    one(f"lp_pool_{p}", "LpPool", f(1, 2, 6, 6), opset=18, p=p, kernel_shape=[2, 3], strides=[2, 1])
one("reduce_log_sum_exp", "ReduceLogSumExp", f(3, 5) * 4, opset=12, axes=[1])
one("selu", "Selu", f(3, 5), opset=12, alpha=2.0, gamma=3.0)
one("shrink", "Shrink", f(3, 5) * 3, opset=12, lambd=1.0, bias=0.5)
one("space_to_depth", "SpaceToDepth", f(1, 2, 4, 6), opset=12, blocksize=2)
one("depth_to_space_crd", "DepthToSpace", f(1, 8, 4, 6), opset=12, blocksize=2, mode="CRD")
one("leaky_relu", "LeakyRelu", f(2, 8), alpha=0.3)
one("hard_sigmoid", "HardSigmoid", f(2, 8), alpha=0.3, beta=0.2)
one("elu", "Elu", f(2, 8), alpha=0.3)
one("thresholded_relu", "ThresholdedRelu", f(2, 8), alpha=0.3)
one("gelu_tanh", "Gelu", f(2, 4), opset=20, approximate="tanh")
one("round", "Round", f(2, 4) * 5)
for axis in (0, 1, 2):
    one(f"softmax_{axis}", "Softmax", f(2, 3, 4) * 4, axis=axis)
    one(f"log_softmax_{axis}", "LogSoftmax", f(2, 3, 4) * 4, axis=axis)
    one(f"softmax_old_{axis}", "Softmax", f(2, 3, 4) * 4, opset=11, axis=axis)
    one(f"arg_max_{axis}", "ArgMax", f(2, 3, 4), kind=T.INT64, axis=axis)
    one(f"arg_min_{axis}", "ArgMin", f(2, 3, 4), kind=T.INT64, axis=axis, keepdims=0, select_last_index=1)
    one(f"hardmax_{axis}", "Hardmax", f(2, 3, 4), axis=axis)
pool = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}
one("average_pool_ceil", "AveragePool", f(1, 2, 6, 6), **pool)
one("average_pool_ceil_pads", "AveragePool", f(1, 2, 6, 6), **pool, count_include_pad=1, pads=[1, 1, 1, 1])
one("max_pool_ceil", "MaxPool", f(1, 2, 6, 6), **pool)
one("conv_same_lower", "Conv", f(1, 2, 5, 6), {"w": f(3, 2, 3, 3)}, auto_pad="SAME_LOWER", strides=[2, 2])
one("conv_1x1_stride", "Conv", f(1, 2, 5, 6), {"w": f(3, 2, 1, 1)}, strides=[2, 2], pads=[1, 1, 1, 1])
one("cast_int", "Cast", f(2, 5) * 50, kind=T.INT32, to=T.INT32)
one("layer_norm_flat", "LayerNormalization", 5 + f(2, 8) * 1e-3, {"g": np.ones(8, np.float32)}, opset=17)
one("gemm", "Gemm", f(2, 4), {"w": f(3, 4), "b": f(1, 3)}, alpha=0.5, beta=2.0, transB=1)
one("pow_each", "Pow", np.abs(f(2, 4)) + 0.1, {"k": np.array([1, 2, 0.5, 3], np.float32)})
norm = {"a": f(3), "b": f(3)}
one("instance_norm", "InstanceNormalization", f(2, 3, 4), norm, epsilon=1e-2)
one("batch_norm", "BatchNormalization", f(2, 3, 4), {**norm, "m": f(3), "v": np.abs(f(3))}, epsilon=1e-2)
case("split_uneven", [N("Split", ["x"], ["a", "b"], num_outputs=2, axis=1)], {"x": f(2, 5)}, ["a", "b"])
slope = {"s": np.array([0.1, 0.5, -0.3], np.float32).reshape(3, 1, 1)}
pooled = N("AveragePool", ["x"], ["p"], kernel_shape=[2, 2])
case("prelu_after_pool", [pooled, N("PRelu", ["p", "s"], ["y"])], {"x": f(1, 3, 6, 6)}, ["y"], slope)
case("max_after_pool", [pooled, N("Max", ["p", "q"], ["y"])], {"x": f(1, 3, 6, 6), "q": f(1, 3, 5, 5)}, ["y"])
for name, mask in (("finite", -1e9), ("infinite", -np.inf)):
    masked = [N("Add", ["x", "m"], ["a"]), N("Softmax", ["a"], ["y"], axis=-1)]
    case(f"mask_{name}", masked, {"x": f(3, 4)}, ["y"], {"m": np.array([0, mask, 0.5, 0], np.float32)})
    masked = [N("Add", ["x", "m"], ["a"]), N("Relu", ["a"], ["y"])]
    case(f"mask_relu_{name}", masked, {"x": f(3, 4)}, ["y"], {"m": np.array([0, mask, 0.5, 0], np.float32)})
for op in ("Less", "Greater", "LessOrEqual", "GreaterOrEqual"):
    chosen = [N(op, ["a", "b"], ["c"]), N("Where", ["c", "a", "b"], ["y"])]
    case(f"choose_{op.lower()}", chosen, {"a": f(3, 4), "b": f(3, 4)}, ["y"])
axes = {"ax": np.array([1])}
e = [N("Exp", ["x"], ["e"]), N("ReduceSum", ["e", "ax"], ["s"], keepdims=1)]
case("softmax_written", [*e, N("Div", ["e", "s"], ["y"])], {"x": f(2, 6) * 5 + 10}, ["y"], axes)
case("log_softmax_written", [*e, N("Log", ["s"], ["l"]), N("Sub", ["x", "l"], ["y"])], {"x": f(2, 6) * 5 + 10}, ["y"], axes)

# Chains: each step takes the last tensor, and now and then an earlier one of the same shape.
UNARY = ["Relu", "Sigmoid", "Tanh", "Neg", "Abs", "Softplus", "Softsign", "Elu", "Selu", "HardSwish", "Erf", "Celu", "Gelu"]
BINARY = ["Add", "Sub", "Mul", "Max", "Min"]
for k in range(60):
    constants, nodes, known = {}, [], ["x"]
    width = int(rng.integers(3, 7))
    for i in range(int(rng.integers(2, 7))):
        last, to = known[-1], f"t{i}"
        kind = rng.integers(0, 5)
        if kind == 0:
            constants[f"w{i}"] = f(width, width) / np.float32(np.sqrt(width))
            nodes.append(N("MatMul", [last, f"w{i}"], [to]))
        elif kind == 1:
            nodes.append(N(str(rng.choice(BINARY)), [last, str(rng.choice(known))], [to]))
        elif kind == 2:
            constants[f"c{i}"] = f(width)
            nodes.append(N(str(rng.choice(BINARY)), [last, f"c{i}"], [to]))
        elif kind == 3:
            nodes.append(N("Softmax", [last], [to], axis=int(rng.integers(0, 2))))
        else:
            nodes.append(N(str(rng.choice(UNARY)), [last], [to]))
        known.append(to)
    case(f"chain_{k:02}", nodes, {"x": f(3, width)}, [known[-1]], constants, opset=20)

# What moves or mixes entries by fixed rules: shapes and attributes drawn at random.
pick = lambda *a: a[int(rng.integers(len(a)))]
MODES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
for k in range(24):
    kind = pick("nearest", "linear", "cubic")
    h, w = (int(v) for v in rng.integers(2, 8, 2))
    extra = {"mode": kind, "coordinate_transformation_mode": pick(*MODES)}
    if kind == "nearest":
        extra["nearest_mode"] = pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    if kind == "cubic":
        extra |= {"cubic_coeff_a": pick(-0.75, -0.5), "exclude_outside": pick(0, 1)}
    sizes = np.array([1, 2, *rng.integers(1, 14, 2)], np.int64)
    node = N("Resize", ["x", "", "", "s"], ["y"], **extra)
    case(f"resize_{k:02}", [node], {"x": f(1, 2, h, w)}, ["y"], {"s": sizes}, opset=13)
for k in range(12):
    dims, g = int(rng.integers(1, 3)), pick(1, 2)
    space, kernel = [int(v) for v in rng.integers(2, 6, dims)], [int(v) for v in rng.integers(1, 4, dims)]
    strides, dilations = [int(v) for v in rng.integers(1, 4, dims)], [int(v) for v in rng.integers(1, 3, dims)]
    attributes = {"strides": strides, "dilations": dilations, "group": g}
    attributes["output_padding"] = [int(rng.integers(0, s)) for s in strides]
    if k % 3 == 0:
        attributes["auto_pad"] = pick("SAME_UPPER", "SAME_LOWER")
        attributes["dilations"] = [1] * dims
        del attributes["output_padding"]
    elif k % 3 == 1:
        attributes["pads"] = [int(rng.integers(0, d * (n - 1) // 2 + 1)) for n, d in zip(kernel, dilations)] * 2
    x, wt = f(1, 2 * g, *space), f(2 * g, 3, *kernel)
    one(f"conv_transpose_{k:02}", "ConvTranspose", x, {"w": wt, "b": f(3 * g)}, **attributes)
for k, mode in enumerate(["reflect", "edge", "wrap", "constant"] * 4):
    pads = rng.integers(-1, 2 if mode == "reflect" else 3, 6)
    held = {"p": np.array(pads, np.int64), **({"v": np.float32(2.5).reshape(())} if mode == "constant" else {})}
    one(f"pad_{mode}_{k:02}", "Pad", f(3, 4, 5), held, opset=19, mode=mode)
for k in range(4):
    g = pick(1, 2)
    nodes = [N("Conv", ["x", "k", "b"], ["y"], group=g, strides=[pick(1, 2)] * 2, pads=[1, 0, 1, 1])]
    case(f"conv_by_data_{k}", nodes, {"x": f(1, 2 * g, 5, 6), "k": f(2 * g, 2, 3, 2), "b": f(2 * g)}, ["y"])
for k in range(3):
    held = {"i": np.array([5, 6]), "b": np.array([2, 3])}
    one(f"col2im_{k}", "Col2Im", f(1, 12, [16, 36, 12][k]), held, **[{}, {"pads": [1, 1, 1, 1]}, {"dilations": [1, 2], "strides": [2, 1], "pads": [1, 1, 1, 1]}][k])
one("gather_many_runs", "Gather", f(2, 24), {"i": rng.permutation(24).reshape(4, 6)}, axis=1)
one("compress", "Compress", f(3, 5), {"c": np.array([True, False, True, True, False])}, axis=1)
one("reverse_sequence", "ReverseSequence", f(4, 3, 2), {"n": np.array([2, 4, 1])}, time_axis=0, batch_axis=1)
one("affine_grid", "AffineGrid", f(2, 2, 3), {"n": np.array([2, 3, 4, 5])}, opset=20, align_corners=1)
one("affine_grid_3d", "AffineGrid", f(1, 3, 4), {"n": np.array([1, 3, 2, 3, 4])}, opset=20)
one("center_crop_pad", "CenterCropPad", f(3, 6, 4), {"n": np.array([4, 7])}, axes=[1, 2])

# Quantized operators, against what onnxruntime computes with them.
u8, s8 = (lambda *a: rng.integers(0, 256, a).astype(np.uint8)), (lambda *a: rng.integers(-64, 64, a).astype(np.int8))
sc = lambda: np.float32(rng.uniform(0.01, 0.05))
zp = lambda t=np.uint8: t(rng.integers(0, 100))
MS = "com.microsoft"


def quantized(name, op, inputs, held, order, kind, domain="", **attributes):
    """A single operator whose inputs come in the given order."""
    one_opset = [helper.make_opsetid("", 18), helper.make_opsetid(MS, 1)]
    case(name, [N(op, order, ["y"], domain=domain, **attributes)], inputs, ["y"], held, one_opset, kind)


for k in range(8):
    g, per = pick(1, 2), bool(k % 2)
    wt = s8(2 * g, 3, 2, 3)
    held = {"xs": sc(), "xz": zp(), "w": wt, "ws": rng.uniform(0.002, 0.01, 2 * g).astype(np.float32) if per else sc()}
    held |= {"wz": np.zeros(2 * g, np.int8) if per else np.int8(0), "ys": np.float32(0.3), "yz": zp()}
    order = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    if k > 3:
        held["b"], order = rng.integers(-900, 900, 2 * g).astype(np.int32), [*order, "b"]
    quantized(f"qlinear_conv_{k}", "QLinearConv", {"x": u8(1, 3 * g, 6, 5)}, held, order, T.UINT8, group=g, strides=[pick(1, 2)] * 2, pads=[1, 0, 1, 2])
for k in range(6):
    cols = int(rng.integers(1, 7))
    held = {"as": sc(), "az": zp(), "b": s8(9, cols), "bs": sc(), "bz": np.int8(0), "ys": np.float32([0.5, 0.25][k % 2]), "yz": zp()}
    if k in (1, 3):
        # Ties that alternate: a multiplier of a quarter.
        held |= {"as": np.float32(0.25), "bs": np.float32(0.25)}
    quantized(f"qlinear_matmul_{k}", "QLinearMatMul", {"a": u8(4, 9)}, held, ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], T.UINT8)
for k, op in enumerate(["QLinearAdd", "QLinearMul"] * 3):
    z = [zp() for _ in range(3)]
    a = [sc() for _ in range(3)] if k < 4 else [np.float32(0.5)] * 3
    held = {"as": a[0], "az": z[0], "bs": a[1], "bz": z[1], "ys": a[2] * np.float32(2), "yz": z[2]}
    quantized(f"{op.lower()}_{k}", op, {"a": u8(2, 40), "b": u8(40)}, held, ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], T.UINT8, MS)
held = {"xs": sc(), "xz": zp(), "ys": sc(), "yz": zp()}
quantized("qlinear_mean", "QLinearGlobalAveragePool", {"x": u8(1, 3, 5, 7)}, held, ["x", *held], T.UINT8, MS, channels_last=0)
held = {"as": sc(), "az": zp(), "b": s8(7, 5), "bs": sc(), "bz": np.int8(0), "c": rng.integers(-900, 900, 5).astype(np.int32)}
quantized("qgemm_float", "QGemm", {"a": u8(3, 7)}, held, ["a", *held], T.FLOAT, MS)
quantized("qgemm", "QGemm", {"a": u8(3, 7)}, {**held, "ys": np.float32(0.1), "yz": zp()}, ["a", *held, "ys", "yz"], T.UINT8, MS)
for k, kind in enumerate([np.uint8, np.int8, np.int16]):
    held = {"s": np.float32(rng.uniform(0.01, 0.05)), "z": kind(7)}
    held["s"] = held["s"] if k < 2 else np.float32(1e-3)
    one(f"quantize_{k}", "QuantizeLinear", f(3, 50), held, kind=helper.np_dtype_to_tensor_dtype(np.dtype(kind)), opset=21)
quantized("matmul_integer", "MatMulInteger", {"a": u8(3, 7)}, {"b": s8(7, 4), "az": zp(), "bz": np.int8(3)}, ["a", "b", "az", "bz"], T.INT32)

# Recurrent operators: sizes, directions, states, activations and what else they know, drawn at random. A seed of their own keeps
# the cases above as they are.
rng = np.random.default_rng(11)
TAKES = {"Affine": "ab", "LeakyRelu": "a", "ThresholdedRelu": "a", "ScaledTanh": "ab", "HardSigmoid": "ab", "Elu": "a"}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
for k in range(30):
    op = ["RNN", "LSTM", "GRU"][k % 3]
    steps, n, i, h = (int(rng.integers(a, b)) for a, b in ((1, 8), (1, 4), (2, 6), (2, 6)))
    direction = pick("forward", "reverse", "bidirectional")
    d, g = 1 + (direction == "bidirectional"), GATES[op]
    scale = np.float32(1 / np.sqrt(h))
    held = {"w": f(d, g * h, i) * scale, "r": f(d, g * h, h) * scale, "b": f(d, 2 * g * h) * np.float32(0.3)}
    order = ["x", "w", "r", "b", "", "", "", ""]
    inputs = {"x": f(steps, n, i)}
    extra = {"hidden_size": h, "direction": direction}
    if rng.integers(2):
        order[3] = ""
    if rng.integers(3) == 0:
        held["n"], order[4] = np.full(n, steps, np.int32), "n"
    states = 2 if op == "LSTM" else 1
    for s in range(states):
        if rng.integers(2):
            order[5 + s] = f"s{s}"
            (inputs if rng.integers(2) else held)[f"s{s}"] = f(d, n, h) * np.float32(0.5)
    if op == "LSTM" and rng.integers(2):
        held["p"], order[7] = f(d, 3 * h) * np.float32(0.5), "p"
    if op == "GRU":
        extra["linear_before_reset"] = int(rng.integers(2))
    if rng.integers(3) == 0:
        extra["clip"] = float(rng.uniform(0.3, 1.5))
    if rng.integers(2):
        gate, body = ["Sigmoid", "HardSigmoid"], ["Tanh", "Relu", "Softsign", "ScaledTanh", "Elu", "LeakyRelu"]
        each = {"RNN": [[*body, "Affine"]], "LSTM": [gate, body, body], "GRU": [gate, body]}[op]
        names = [str(pick(*a)) for _ in range(d) for a in each]
        extra["activations"] = names
        # Given for all that take them, or left to their standard values.
        if rng.integers(2):
            for letter, name, lo, hi in (("a", "activation_alpha", 0.3, 0.9), ("b", "activation_beta", 0.2, 0.6)):
                values = [float(rng.uniform(lo, hi)) for v in names if letter in TAKES.get(v, "")]
                if values:
                    extra[name] = values
        elif any("b" in TAKES.get(v, "") or "a" in TAKES.get(v, "") for v in names):
            extra["activations"] = [v if v not in TAKES else "Tanh" for v in names]
    used = {o for o in order if o}
    held = {name: v for name, v in held.items() if name in used}
    while order[-1] == "":
        order.pop()
    outputs = ["y", "yh", "yc"][: 1 + states]
    shown = [o if k % 4 != 1 or o != "y" else "" for o in outputs]
    case(f"recurrent_{op.lower()}_{k:02}", [N(op, order, shown, **extra)], inputs, [o for o in shown if o], held, opset=14)
# Two layers, both directions below, read at the last step; and two lengths in one graph.
held = {"w": f(2, 16, 3), "r": f(2, 16, 4) * np.float32(0.4), "v": f(1, 9, 8), "q": f(1, 9, 3) * np.float32(0.4), "m": f(3, 2)}
held |= {"dims": np.array([0, 0, -1]), "last": np.array([0])}
nodes = [N("LSTM", ["x", "w", "r"], ["a"], hidden_size=4, direction="bidirectional"), N("Transpose", ["a"], ["t"], perm=[0, 2, 1, 3])]
nodes += [N("Reshape", ["t", "dims"], ["j"]), N("GRU", ["j", "v", "q"], ["", "h"], hidden_size=3, linear_before_reset=1)]
nodes += [N("Squeeze", ["h", "last"], ["s"]), N("MatMul", ["s", "m"], ["y"])]
case("recurrent_layers", nodes, {"x": f(6, 2, 3)}, ["y"], held, opset=14)
held = {"w": f(1, 4, 3), "r": f(1, 4, 4) * np.float32(0.4), "v": f(1, 4, 2), "q": f(1, 4, 4) * np.float32(0.4)}
nodes = [N("RNN", ["x", "w", "r"], ["", "a"], hidden_size=4), N("RNN", ["z", "v", "q", "", "", "a"], ["", "y"], hidden_size=4)]
case("recurrent_lengths", nodes, {"x": f(5, 1, 3), "z": f(3, 1, 2)}, ["y"], held, opset=14)

# Sums and products along axes, products of several tensors, updates at fixed places, integers, and bodies that are written out.
rng = np.random.default_rng(13)
for k in range(6):
    axis = int(rng.integers(-3, 3))
    one(f"cum_sum_{k}", "CumSum", f(3, 4, 5), {"a": np.array(axis)}, exclusive=k % 2, reverse=k // 2 % 2)
one("cum_sum_integers", "CumSum", rng.integers(-90, 90, (4, 5)).astype(np.int32), {"a": np.array(1)}, kind=T.INT32)
for k, (axes, keep) in enumerate([([1], 1), ([0, 2], 0), ([2], 0)]):
    one(f"reduce_prod_{k}", "ReduceProd", rng.uniform(-1.5, 1.5, (3, 4, 5)).astype(np.float32), opset=13, axes=axes, keepdims=keep)
one("reduce_prod_all", "ReduceProd", f(2, 3) + 1, {"a": np.array([0, 1])}, keepdims=0)
EINSUMS = [("ij->ji", (3, 4)), ("ii->i", (4, 4)), ("iij->j", (3, 3, 2)), ("abc->b", (2, 3, 4)), ("...ii->...i", (2, 3, 3)), ("iji->ij", (3, 2, 3))]
EINSUMS += [("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)), ("i,j,k->kij", (2,), (3,), (4,)), ("ij,ij,ij->", (3, 4), (3, 4), (3, 4))]
EINSUMS += [("...ij,...jk,k->...i", (2, 3, 4), (1, 4, 2), (2,)), ("bij,bkj,bk->bi", (2, 3, 4), (2, 5, 4), (2, 5)), ("ii,ij", (3, 3), (3, 2))]
EINSUMS += [("a,ab,b,bc->c", (2,), (2, 3), (3,), (3, 4)), ("ba,ca", (2, 3), (4, 3)), ("a...b,b...->a...", (2, 3, 4), (4, 3))]
for k, (equation, *shapes) in enumerate(EINSUMS):
    names = [f"x{i}" for i in range(len(shapes))]
    case(f"einsum_{k:02}", [N("Einsum", names, ["y"], equation=equation)], {n: f(*s) for n, s in zip(names, shapes)}, ["y"])
for k, how in enumerate(["none", "add", "mul", "max", "min"]):
    # Two updates of a place only where their order does not matter.
    at = np.array([[0, 4, 2], [3, 1, 0]]) if how == "none" else np.array([[0, 0, 2], [3, 3, -5]])
    nodes = [N("ScatterElements", ["x", "i", "u"], ["y"], axis=1, reduction=how)]
    case(f"scatter_elements_{how}", nodes, {"x": f(2, 5), "u": f(2, 3)}, ["y"], {"i": at})
    at = np.array([[0, 1], [2, -1], [1, 0]]) if how == "none" else np.array([[0, 1], [2, -1], [0, 1]])
    case(f"scatter_nd_{how}", [N("ScatterND", ["x", "i", "u"], ["y"], reduction=how)], {"x": f(3, 4, 2), "u": f(3, 2)}, ["y"], {"i": at})
whole = lambda kind, lo, hi, *a: rng.integers(lo, hi, a).astype(kind)
for k, (kind, lo, hi) in enumerate([(np.int32, -9000, 9000), (np.int64, -500, 500), (np.int32, 0, 900)]):
    t = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    divisor = whole(kind, 1, 40, 4, 25) * (np.where(rng.random((4, 25)) < 0.5, -1, 1).astype(kind) if lo else 1)
    x = whole(kind, lo, hi, 4, 25)
    case(f"integer_div_{k}", [N("Div", ["x", "d"], ["y"])], {"x": x, "d": divisor}, ["y"], kind=t)
    case(f"integer_div_fixed_{k}", [N("Div", ["x", "d"], ["y"])], {"x": x}, ["y"], {"d": np.abs(divisor)}, kind=t)
    case(f"integer_div_below_{k}", [N("Div", ["x", "d"], ["y"])], {"x": x}, ["y"], {"d": -np.abs(divisor)}, kind=t)
    for fmod in (0, 1):
        case(f"integer_mod_{fmod}_{k}", [N("Mod", ["x", "d"], ["y"], fmod=fmod)], {"x": x, "d": divisor}, ["y"], kind=t)
for k, (kind, top) in enumerate([(np.uint8, 256), (np.uint32, 60000)]):
    t = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    for to in ("LEFT", "RIGHT"):
        nodes = [N("BitShift", ["x", "n"], ["y"], direction=to)]
        case(f"bit_shift_{to.lower()}_{k}", nodes, {"x": whole(kind, 0, top, 5, 20), "n": whole(kind, 0, 8, 5, 20)}, ["y"], kind=t)
for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
    for kind, lo, hi in ((np.uint8, 0, 256), (np.int8, -128, 128), (np.int16, -32768, 32768), (np.int32, -200000, 200000)):
        x = {n: whole(kind, lo, hi, 3, 40) for n in ("a", "b")}
        t = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        case(f"{op.lower()}_{np.dtype(kind).name}", [N(op, ["a", "b"], ["y"])], x, ["y"], kind=t)


def body(nodes, inputs, outputs, held=None):
    value = lambda v: helper.make_tensor_value_info(v[0], v[1] if len(v) > 1 else T.FLOAT, [] if len(v) > 1 else None)
    tensors = [numpy_helper.from_array(v, n) for n, v in (held or {}).items()]
    return helper.make_graph(nodes, "body", [value(v) for v in inputs], [value(v) for v in outputs], tensors)


yes = body([N("Mul", ["x", "k"], ["t"]), N("Add", ["t", "x"], ["ty"])], [], [("ty",)], {"k": np.float32(3).reshape(())})
no = body([N("Neg", ["x"], ["ny"])], [], [("ny",)])
for k in (0, 1):
    case(f"if_{k}", [N("If", ["c"], ["y"], then_branch=yes, else_branch=no)], {"x": f(3, 4)}, ["y"], {"c": np.array(bool(k))})
steps = [N("MatMul", ["s", "w"], ["p"]), N("Tanh", ["p"], ["s2"]), N("Cast", ["i"], ["fi"], to=T.FLOAT), N("Add", ["s2", "fi"], ["o"])]
loop = body([*steps, N("Identity", ["c"], ["c2"])], [("i", T.INT64), ("c", T.BOOL), ("s",)], [("c2", T.BOOL), ("s2",), ("o",)])
held = {"m": np.array(5), "go": np.array(True), "w": f(4, 4) * np.float32(0.3)}
case("loop_trips", [N("Loop", ["m", "go", "x"], ["z", "y"], body=loop)], {"x": f(3, 4)}, ["z", "y"], held)
nested = body([N("Loop", ["m", "", "s"], ["s2", "rest"], body=loop), N("ReduceMean", ["s2"], ["r"], keepdims=0), N("Identity", ["c"], ["c2"])], [("i", T.INT64), ("c", T.BOOL), ("s",)], [("c2", T.BOOL), ("s2",), ("r",)])
case("loop_nested", [N("Loop", ["m2", "", "x"], ["z", "y"], body=nested)], {"x": f(2, 4)}, ["z", "y"], {**held, "m2": np.array(2)})
scanned = body([N("Add", ["h", "a"], ["t"]), N("Mul", ["t", "b"], ["u"]), N("Sigmoid", ["u"], ["h2"]), N("Sub", ["h2", "a"], ["o"])], [("h",), ("a",), ("b",)], [("h2",), ("o",)])
for k, extra in enumerate([{}, {"scan_input_directions": [1, 0]}, {"scan_output_directions": [1]}, {"scan_input_axes": [1, 1], "scan_output_axes": [1]}]):
    shape = (4, 6) if "scan_input_axes" in extra else (6, 4)
    nodes = [N("Scan", ["h0", "a", "b"], ["h", "y"], body=scanned, num_scan_inputs=2, **extra)]
    case(f"scan_{k}", nodes, {"h0": f(4), "a": f(*shape), "b": f(*shape)}, ["h", "y"])

# Columns of tables, and support vectors.
ML = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
D = {"domain": "ai.onnx.ml"}
ids = np.array([[3, 7, 3], [5, 9, 0], [7, 4, 3]])
node = N("LabelEncoder", ["x"], ["y"], **D, keys_int64s=[3, 7, 9], values_int64s=[10, 20, 30], default_int64=5)
case("label_encoder_integers", [node], {"x": ids}, ["y"], opset=ML, kind=T.INT64)
node = N("LabelEncoder", ["x"], ["y"], **D, keys_int64s=[3, 7, 9], values_floats=[0.5, -1.25, 3.0], default_float=2.0)
case("label_encoder_floats", [node], {"x": ids}, ["y"], opset=ML)
case("one_hot_encoder", [N("OneHotEncoder", ["x"], ["y"], **D, cats_int64s=[7, 3, 4], zeros=1)], {"x": ids}, ["y"], opset=ML)
node = N("Imputer", ["x"], ["y"], **D, imputed_value_int64s=[11, 12, 13], replaced_value_int64=3)
case("imputer_integers", [node], {"x": ids}, ["y"], opset=ML, kind=T.INT64)
node = N("Imputer", ["x"], ["y"], **D, imputed_value_floats=[1.0], replaced_value_float=float("nan"))
case("imputer_floats", [node], {"x": f(3, 4)}, ["y"], opset=ML)
node = N("FeatureVectorizer", ["a", "b"], ["y"], **D, inputdimensions=[2, 3])
case("feature_vectorizer", [node], {"a": f(4, 2), "b": f(4, 3)}, ["y"], opset=ML)
for kernel, parameters in (("LINEAR", [0, 0, 0]), ("RBF", [0.3, 0, 0]), ("POLY", [0.4, 0.5, 3]), ("SIGMOID", [0.3, 0.1, 0])):
    vectors = f(6, 3)
    model = {"coefficients": f(6).tolist(), "support_vectors": vectors.reshape(-1).tolist(), "rho": [0.25], "n_supports": 6}
    model |= {"kernel_type": kernel, "kernel_params": [float(v) for v in parameters]}
    case(f"svm_regressor_{kernel.lower()}", [N("SVMRegressor", ["x"], ["y"], **D, **model)], {"x": f(5, 3)}, ["y"], opset=ML)
for k, axis in enumerate((-1, 0, 1)):
    held = {"d": np.array(5), "v": np.array([[0, 1], [2.5, -1], [0, 3]][k], np.float32)}
    case(f"one_hot_{k}", [N("OneHot", ["x", "d", "v"], ["y"], axis=axis)], {"x": rng.integers(-6, 7, (2, 4))}, ["y"], held)
one("tile", "Tile", f(2, 3, 1), {"r": np.array([2, 1, 4])})
svm = {"LINEAR": [0, 0, 0], "RBF": [0.3, 0, 0], "POLY": [0.4, 0.5, 3], "SIGMOID": [0.3, 0.1, 0]}
for kernel, classes in (("LINEAR", 2), ("RBF", 2), ("LINEAR", 3), ("RBF", 3), ("POLY", 4), ("SIGMOID", 3)):
    counts = [3, 2, 4, 1][:classes]
    n, pairs = sum(counts), classes * (classes - 1) // 2
    model = {"coefficients": f((classes - 1) * n).tolist(), "support_vectors": f(n * 3).tolist(), "rho": f(pairs).tolist()}
    model |= {"kernel_type": kernel, "kernel_params": [float(v) for v in svm[kernel]], "vectors_per_class": counts}
    if kernel == "POLY":
        model["classlabels_strings"] = ["a", "b", "c", "d"]
    else:
        model["classlabels_ints"] = [7, -2, 9][:classes]
    # Labels that are texts are not compared: here they are places in the list.
    seen = ["scores"] if kernel == "POLY" else ["label", "scores"]
    node = N("SVMClassifier", ["x"], ["label", "scores"], **D, **model)
    case(f"svm_classifier_{kernel.lower()}_{classes}", [node], {"x": f(8, 3)}, seen, opset=ML, kind=[T.INT64, T.FLOAT][-len(seen) :])
planes = {"coefficients": f(12).tolist(), "rho": [0.25], "classlabels_ints": [4, 2, 8], "kernel_type": "LINEAR"}
planes["kernel_params"] = [0.0, 0.0, 0.0]
node = N("SVMClassifier", ["x"], ["label", "scores"], **D, **planes)
case("svm_classifier_planes", [node], {"x": f(8, 4)}, ["label", "scores"], opset=ML, kind=[T.INT64, T.FLOAT])
blocks.write(case, 11)
packages.write(case, 13)
