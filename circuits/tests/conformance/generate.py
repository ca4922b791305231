"""Writes graphs with the outputs that onnxruntime computes, in the layout of the ONNX node tests.

Single operators with attributes off their defaults, and chains of operators drawn at random from a fixed seed.
"""

import pathlib
import sys

import blocks
import numpy as np
import onnxruntime as ort
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
    outs = [value(o, kind, None) for o in outputs]
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

blocks.write(case, 11)
