"""Graphs as converters, quantizers and optimizers write them: labels from tables, dynamic quantization, fused operators, grids.

`write(case, seed)` hands them to the writer of generate.py.
"""

import itertools

import ml_dtypes
import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper

N = helper.make_node
ML = {"domain": "ai.onnx.ml"}
MS = {"domain": "com.microsoft"}
WITH_ML = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
WITH_MS = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]


def write(case, seed):
    rng = np.random.default_rng(seed)

    def f(*shape):
        return rng.normal(size=shape).astype(np.float32)

    # Columns of a table by computed places, as scikit-learn's converter takes labels.
    for k, shape in enumerate(((4,), (1, 4))):
        nodes = [N("ArgMax", ["x"], ["i"], axis=1), N("ArrayFeatureExtractor", ["t", "i"], ["y"], **ML)]
        table = rng.integers(-50, 50, shape)
        case(f"label_of_place_{k}", nodes, {"x": f(5, 4)}, ["y"], {"t": table}, WITH_ML, T.INT64)
    nodes = [N("ArgMax", ["x"], ["i"], axis=1), N("ArrayFeatureExtractor", ["t", "i"], ["y"], **ML)]
    case("float_of_place", nodes, {"x": f(5, 4)}, ["y"], {"t": f(1, 4)}, WITH_ML)
    case("columns_of_rows", [N("ArrayFeatureExtractor", ["x", "i"], ["y"], **ML)], {"x": f(3, 4)}, ["y"], {"i": np.array([2, 0, 3, 2])}, WITH_ML)

    # Support vectors with probabilities.
    for classes in (2, 3):
        counts = [3, 2, 4][:classes]
        n, pairs = sum(counts), classes * (classes - 1) // 2
        model = {"coefficients": f((classes - 1) * n).tolist(), "support_vectors": f(n * 3).tolist(), "rho": f(pairs).tolist()}
        model |= {"prob_a": (-1 - rng.random(pairs)).tolist(), "prob_b": (0.3 * f(pairs)).tolist(), "vectors_per_class": counts}
        model |= {"kernel_type": "RBF", "kernel_params": [0.3, 0.0, 3.0], "classlabels_ints": [7, -2, 9][:classes]}
        node = N("SVMClassifier", ["x"], ["label", "scores"], **ML, **model)
        case(f"svm_probabilities_{classes}", [node], {"x": f(8, 3)}, ["label", "scores"], opset=WITH_ML, kind=[T.INT64, T.FLOAT])

    # Dynamic quantization: of a matrix, by columns, of a kernel, of both with the same quantized input.
    def dynamic(product, *rest, **attributes):
        return [
            N("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="quantize"),
            N(product, ["q", "w", "z", *rest], ["a"], name="product", **attributes),
            N("Cast", ["a"], ["f"], to=T.FLOAT),
            N("Mul", ["s", "ws"], ["both"]),
            N("Mul", ["f", "both"], ["y"]),
        ]

    def on_grid(*shape):
        """Numbers that the dynamic scale divides: the runtime's integers are then the numbers themselves."""
        x = rng.integers(-100, 156, shape)
        x.flat[0], x.flat[-1] = -100, 155
        return (x * np.float32(0.01)).astype(np.float32)

    w = rng.integers(-127, 128, (16, 6)).astype(np.int8)
    one = np.array(0.013, np.float32)
    case("dynamic_matrix", dynamic("MatMulInteger"), {"x": on_grid(3, 16)}, ["y"], {"w": w, "ws": one})
    held = {"w": (w.astype(int) + 128).astype(np.uint8), "wz": np.array(131, np.uint8), "ws": one}
    case("dynamic_matrix_zero", dynamic("MatMulInteger", "wz"), {"x": on_grid(2, 3, 16)}, ["y"], held)
    held = {"w": w, "wz": rng.integers(-9, 9, 6).astype(np.int8), "ws": (0.01 + 0.02 * rng.random(6)).astype(np.float32)}
    case("dynamic_matrix_columns", dynamic("MatMulInteger", "wz"), {"x": on_grid(3, 16)}, ["y"], held)
    held = {"w": rng.integers(0, 256, (5, 3, 3, 2)).astype(np.uint8), "wz": np.array(120, np.uint8), "ws": one}
    case("dynamic_kernel", dynamic("ConvInteger", "wz", pads=[1, 0, 1, 1], strides=[2, 1]), {"x": on_grid(1, 3, 6, 7)}, ["y"], held)
    nodes = dynamic("MatMulInteger") + [
        N("MatMulInteger", ["q", "v", "z"], ["b"], name="second"),
        N("Cast", ["b"], ["g"], to=T.FLOAT),
        N("Mul", ["g", "both"], ["h"]),
    ]
    v = rng.integers(-127, 128, (16, 4)).astype(np.int8)
    case("dynamic_twice", nodes, {"x": on_grid(3, 16)}, ["y", "h"], {"w": w, "v": v, "ws": one})
    for k, (directions, channels) in enumerate(((1, False), (2, True))):
        units, width, scale = 5, 4, lambda: 0.004 + 0.002 * rng.random((directions, 20) if channels else directions)
        held = {"w": rng.integers(-127, 128, (directions, width, 20)).astype(np.int8), "r": rng.integers(-127, 128, (directions, units, 20)).astype(np.int8)}
        held |= {"b": f(directions, 40), "ws": scale().astype(np.float32), "rs": scale().astype(np.float32)}
        zero = np.zeros(held["ws"].shape, np.int8)
        held |= {"wz": zero, "rz": zero}
        direction = "bidirectional" if directions == 2 else "forward"
        node = N("DynamicQuantizeLSTM", ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"], ["y", "yh"], **MS, hidden_size=units, direction=direction)
        case(f"dynamic_lstm_{k}", [node], {"x": f(6, 1, width)}, ["y", "yh"], held, WITH_MS)
    node = N("DynamicQuantizeMatMul", ["x", "w", "ws", "wz", "b"], ["y"], **MS)
    held = {"w": w, "ws": np.full(1, one), "wz": np.array([3], np.int8), "b": f(6)}
    case("dynamic_fused", [node], {"x": on_grid(3, 16)}, ["y"], held, WITH_MS)

    # What the optimizer fuses.
    for k in range(2):
        node = N("FusedMatMul", ["x", "w"], ["y"], **MS, alpha=1.5, transBatchA=1, transBatchB=k, transB=1 - k)
        right = (2, 3, 5) if not k else (3, 2, 4)
        left = (4, 2, 5) if not k else (4, 2, 3)
        case(f"fused_matmul_batch_{k}", [node], {"x": f(*left), "w": f(*right)}, ["y"], opset=WITH_MS)
    for k, (a, b) in enumerate(itertools.product((0, 1), repeat=2)):
        shapes = [(2, 4, 3) if a else (2, 3, 4), (2, 5, 4) if b else (2, 4, 5)]
        node = N("FusedMatMul", ["x", "w"], ["y"], **MS, alpha=0.3, transA=a, transB=b)
        case(f"fused_matmul_{k}", [node], {"x": f(*shapes[0]), "w": f(*shapes[1])}, ["y"], opset=WITH_MS)
    shape = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    for k, (name, parameters) in enumerate((("Relu", []), ("Clip", [-0.2, 0.7]), ("LeakyRelu", [0.2]), ("HardSigmoid", [0.3, 0.4]), ("Tanh", []))):
        given = {"activation_params": parameters} if parameters else {}
        node = N("FusedConv", ["x", "w", "b"] + (["z"] if k == 0 else []), ["y"], **MS, **shape, activation=name, **given)
        held = {"w": 0.3 * f(4, 2, 3, 3), "b": f(4)} | ({"z": f(1, 4, 5, 5)} if k == 0 else {})
        case(f"fused_conv_{k}", [node], {"x": f(1, 2, 5, 5)}, ["y"], held, WITH_MS)
    for k, name in enumerate(("Relu", "LeakyRelu")):
        given = {"activation_alpha": 0.3} if k else {}
        node = N("FusedGemm", ["x", "w", "b"], ["y"], **MS, transB=1, alpha=0.5, activation=name, **given)
        case(f"fused_gemm_{k}", [node], {"x": f(3, 6)}, ["y"], {"w": f(4, 6), "b": f(4)}, WITH_MS)
    case("bias_gelu", [N("BiasGelu", ["x", "b"], ["y"], **MS)], {"x": f(3, 8)}, ["y"], {"b": f(8)}, WITH_MS)
    case("fast_gelu", [N("FastGelu", ["x", "b"], ["y"], **MS)], {"x": f(3, 8)}, ["y"], {"b": f(8)}, WITH_MS)
    held = {"g": 1 + 0.1 * f(8), "c": f(8), "b": f(8)}
    node = N("SkipLayerNormalization", ["x", "z", "g", "c", "b"], ["y", "", "", "sum"], **MS, epsilon=1e-5)
    case("skip_layer_norm", [node], {"x": f(1, 4, 8), "z": f(1, 4, 8)}, ["y", "sum"], held, WITH_MS)
    node = N("SkipSimplifiedLayerNormalization", ["x", "z", "g", "b"], ["y"], **MS, epsilon=1e-5)
    case("skip_rms_norm", [node], {"x": f(1, 4, 8), "z": f(1, 4, 8)}, ["y"], {"g": held["g"], "b": held["b"]}, WITH_MS)

    # A grid that is a constant, in every mode, with places far outside.
    modes = itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (0, 1))
    for mode, padding, corners in modes:
        node = N("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=padding, align_corners=corners)
        # Between the places that nearest rounds to, and not at a quarter, where another order of sums decides.
        grid = (np.floor(rng.uniform(-2.6, 2.6, (2, 3, 5, 2)) * 64) / 64 + 0.003).astype(np.float32)
        case(f"grid_{mode}_{padding}_{corners}", [node], {"x": f(2, 3, 4, 6)}, ["y"], {"g": grid})
    one_row = (rng.uniform(-1.4, 1.4, (1, 2, 3, 2))).astype(np.float32)
    node = N("GridSample", ["x", "g"], ["y"], padding_mode="reflection", align_corners=1)
    case("grid_of_one_row", [node], {"x": f(1, 2, 1, 4)}, ["y"], {"g": one_row})

    # Equality of booleans, and integers as the result.
    nodes = [
        N("Less", ["x", "zero"], ["neg"]),
        N("Equal", ["neg", "yes"], ["same"]),
        N("Mod", ["x", "two"], ["m"]),
        N("Cast", ["m"], ["odd"], to=T.BOOL),
        N("And", ["same", "odd"], ["low"]),
        N("Cast", ["low"], ["less"], to=T.INT64),
        N("Div", ["x", "two"], ["half"]),
        N("Sub", ["half", "less"], ["y"]),
    ]
    held = {"zero": np.array(0), "yes": np.array(True), "two": np.array(2)}
    case("floor_divide", nodes, {"x": rng.integers(-40, 40, (1, 9))}, ["y"], held, kind=T.INT64)
    nodes = [N("Less", ["a", "b"], ["p"]), N("Less", ["b", "c"], ["q"]), N("Equal", ["p", "q"], ["y"])]
    case("equal_booleans", nodes, {n: f(3, 4) for n in "abc"}, ["y"], kind=T.BOOL)
    names = ["g", "c", "m", "v"]
    held = dict(zip(names, (f(3), f(3), f(3), (0.5 + rng.random(3)).astype(np.float32))))
    node = N("BatchNormalization", ["x", *names], ["y"], training_mode=0, momentum=0.9, epsilon=1e-3)
    case("batch_norm_of_inference", [node], {"x": f(2, 3, 4)}, ["y"], held)

    # Hummingbird's form of trees: counts of comparisons that are compared for equality.
    paths = np.array([[1, 1, -1, -1], [1, -1, 0, 0], [0, 0, 1, -1]], np.float32)
    held = {"a": f(4, 3), "t": f(3), "p": paths, "d": np.array([2, 1, 1, 0], np.float32), "leaves": f(4, 2)}
    nodes = [
        N("MatMul", ["x", "a"], ["s"]),
        N("Less", ["s", "t"], ["below"]),
        N("Cast", ["below"], ["b"], to=T.FLOAT),
        N("MatMul", ["b", "p"], ["count"]),
        N("Equal", ["count", "d"], ["hit"]),
        N("Cast", ["hit"], ["h"], to=T.FLOAT),
        N("MatMul", ["h", "leaves"], ["y"]),
    ]
    case("trees_as_products", nodes, {"x": f(12, 4)}, ["y"], held)

    # Thresholds that were computed: beside a point of the grid of the data by one unit in the last place, or on it.
    points = (np.arange(2, 58) / 10).astype(np.float32)
    chosen = points[3::4]
    for k, mode in enumerate(("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE")):
        beside = [float(np.nextafter(v, np.float32(d * 100))) if d else float(v) for v, d in zip(chosen, [-1, 0, 1] * 5)]
        n = len(beside)
        trees, first = np.repeat(np.arange(n), 3).tolist(), list(range(3)) * n
        model = {"nodes_treeids": trees, "nodes_nodeids": first, "nodes_featureids": [0] * (3 * n), "n_targets": 1}
        model |= {"nodes_modes": [mode, "LEAF", "LEAF"] * n, "nodes_values": [w for v in beside for w in (v, 0.0, 0.0)]}
        model |= {"nodes_truenodeids": [1, 0, 0] * n, "nodes_falsenodeids": [2, 0, 0] * n}
        model |= {"target_treeids": np.repeat(np.arange(n), 2).tolist(), "target_nodeids": [1, 2] * n, "target_ids": [0] * (2 * n)}
        model |= {"target_weights": [w for i in range(n) for w in (float(i + 1), -1.0)]}
        case(f"thresholds_beside_{k}", [N("TreeEnsembleRegressor", ["x"], ["y"], **ML, **model)], {"x": points[:, None]}, ["y"], opset=WITH_ML)

    # Transforms of real and complex signals, padded and cut.
    for k, (parts, axis, length, flags) in enumerate(
        ((1, 1, None, {}), (2, 1, 6, {}), (1, 2, 12, {"onesided": 1}), (2, 2, None, {"inverse": 1}), (1, 1, 7, {"onesided": 1}))
    ):
        inputs = ["x"] if length is None else ["x", "n"]
        held = {} if length is None else {"n": np.array(length)}
        case(f"dft_{k}", [N("DFT", inputs, ["y"], axis=axis, **flags)], {"x": f(2, 8, 9, parts)}, ["y"], held)
    held = {"step": np.array(3), "w": np.hanning(8).astype(np.float32), "n": np.array(8)}
    case("stft_window", [N("STFT", ["x", "step", "w"], ["y"])], {"x": f(2, 32, 1)}, ["y"], {k: held[k] for k in ("step", "w")})
    node = N("STFT", ["x", "step", "", "n"], ["y"], onesided=0)
    case("stft_whole", [node], {"x": f(1, 29, 1)}, ["y"], {k: held[k] for k in ("step", "n")})

    # A grid that the model computes: a transformer of pictures, and of volumes.
    for k, (padding, corners) in enumerate(itertools.product(("zeros", "border"), (0, 1))):
        node = [N("Mul", ["g", "half"], ["h"]), N("GridSample", ["x", "h"], ["y"], padding_mode=padding, align_corners=corners)]
        grid = rng.uniform(-2.6, 2.6, (2, 3, 4, 2)).astype(np.float32)
        case(f"grid_computed_{k}", node, {"x": f(2, 3, 4, 5), "g": grid}, ["y"], {"half": np.array(0.5, np.float32)})
    node = [N("Mul", ["g", "half"], ["h"]), N("GridSample", ["x", "h"], ["y"])]
    grid = rng.uniform(-2.2, 2.2, (1, 2, 3, 2, 3)).astype(np.float32)
    case("grid_computed_volume", node, {"x": f(1, 2, 3, 4, 3), "g": grid}, ["y"], {"half": np.array(0.5, np.float32)}, 20)

    # A recurrent layer as TensorFlow's converter writes it: a Loop that ends when a counter of its own does, here before its trips do.
    def counted(stop):
        nodes = [
            N("Gather", ["x", "n"], ["now"]),
            N("MatMul", ["s", "w"], ["a"]),
            N("Add", ["a", "now"], ["b"]),
            N("Tanh", ["b"], ["s2"]),
            N("Add", ["n", "one"], ["n2"]),
            N("Less", ["n2", "stop"], ["more"]),
            N("Less", ["i", "many"], ["few"]),
            N("And", ["more", "few"], ["c2"]),
            N("Identity", ["s2"], ["o"]),
        ]
        value = helper.make_tensor_value_info
        ins = [value("i", T.INT64, []), value("c", T.BOOL, []), value("n", T.INT64, []), value("s", T.FLOAT, [1, 3])]
        outs = [value("c2", T.BOOL, []), value("n2", T.INT64, []), value("s2", T.FLOAT, [1, 3]), value("o", T.FLOAT, [1, 3])]
        held = {"one": np.array(1), "stop": np.array(stop), "many": np.array(100)}
        return helper.make_graph(nodes, "body", ins, outs, [numpy_helper.from_array(v, k) for k, v in held.items()])

    for stop in (6, 4, 1):
        held = {"m": np.array(6), "go": np.array(True), "zero": np.array(0), "w": 0.4 * f(3, 3), "s0": np.zeros((1, 3), np.float32)}
        node = N("Loop", ["m", "go", "zero", "s0"], ["n9", "last", "all"], body=counted(stop))
        case(f"loop_counted_{stop}", [node], {"x": f(6, 1, 3)}, ["last", "all"], held)

    # Places and powers of integers, and categories for which an unknown one would be an error.
    nodes = [N("Greater", ["x", "zero"], ["g"]), N("Cast", ["g"], ["k"], to=T.INT64), N("ArgMax", ["k"], ["y"], axis=1)]
    case("arg_max_of_integers", nodes, {"x": f(3, 5)}, ["y"], {"zero": np.array(0, np.float32)}, kind=T.INT64)
    for n in (2, 3):
        held = {"n": np.array(n)}
        case(f"power_of_integers_{n}", [N("Pow", ["x", "n"], ["y"])], {"x": rng.integers(-9, 10, (2, 5))}, ["y"], held, kind=T.INT64)
    node = N("OneHotEncoder", ["x"], ["y"], **ML, cats_int64s=[2, 5, 7], zeros=0)
    case("one_hot_strict", [node], {"x": rng.choice([2, 5, 7], (4, 1))}, ["y"], opset=WITH_ML)

    # Weights of a few bits with a scale for each block: of MatMulNBits, and of constants that are narrower than a byte.
    depth, columns, block = 64, 6, 16
    for bits, zeros in itertools.product((4, 8), (False, True)):
        blocks = depth // block
        held = {"w": rng.integers(0, 256, (columns, blocks, block * bits // 8)).astype(np.uint8)}
        held["s"] = (0.02 + 0.02 * rng.random(columns * blocks)).astype(np.float32) / 2 ** (bits - 4)
        if zeros:
            held["z"] = rng.integers(0, 256, columns * (blocks * bits // 8)).astype(np.uint8)
        node = N("MatMulNBits", ["x", *held], ["y"], **MS, K=depth, N=columns, bits=bits, block_size=block)
        case(f"matmul_{bits}_bits_{int(zeros)}", [node], {"x": f(3, depth)}, ["y"], held, WITH_MS)
    for kind, axis, size in itertools.product((ml_dtypes.int4, ml_dtypes.uint4), (0, 1), (0, 4)):
        shape = (16, 8)
        count = [shape[axis]] if size == 0 else [d // size if k == axis else d for k, d in enumerate(shape)]
        low = -8 if kind is ml_dtypes.int4 else 0
        held = {"w": rng.integers(low, low + 16, shape).astype(kind), "s": (0.02 + 0.02 * rng.random(count)).astype(np.float32)}
        held["z"] = rng.integers(low + 5, low + 12, count).astype(kind)
        nodes = [N("DequantizeLinear", list(held), ["f"], axis=axis, block_size=size), N("MatMul", ["x", "f"], ["y"])]
        case(f"narrow_{kind.__name__}_{axis}_{size}", nodes, {"x": f(2, 16)}, ["y"], held, opset=21)

    # Blocks of transformers as the optimizer fuses them.
    held = {"w": 0.4 * f(8, 24), "b": 0.3 * f(24)}
    tokens = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], np.int32)
    counts = np.array([3, 4], np.int32)
    for name, mask, more in (("plain", None, {}), ("raw", tokens, {}), ("counts", counts, {}), ("causal", None, {"unidirectional": 1})):
        inputs = {"x": f(2, 4, 8)} | ({} if mask is None else {"m": mask})
        node = N("Attention", ["x", "w", "b", *list(inputs)[1:]], ["y"], **MS, num_heads=2, **more)
        case(f"packed_attention_{name}", [node], inputs, ["y"], held, WITH_MS)
    qkv = {"q": f(2, 3, 8), "k": f(2, 5, 8), "v": f(2, 5, 8)}
    node = N("MultiHeadAttention", ["q", "k", "v", "b"], ["y"], **MS, num_heads=2, scale=0.4)
    case("heads_with_bias", [node], qkv, ["y"], {"b": 0.3 * f(24)}, WITH_MS)
    node = N("MultiHeadAttention", ["q", "k", "v", "", "", "a"], ["y"], **MS, num_heads=4)
    case("heads_with_scores_added", [node], qkv | {"a": f(1, 4, 3, 5)}, ["y"], {}, WITH_MS)
    tables = {"we": f(20, 8), "pe": f(9, 8), "se": f(2, 8), "g": 1 + 0.1 * f(8), "c": f(8)}
    words = {"i": rng.integers(0, 20, (2, 4)).astype(np.int32), "s": rng.integers(0, 2, (2, 4)).astype(np.int32), "m": tokens}
    nodes = [
        N("EmbedLayerNormalization", ["i", "s", *tables, "m"], ["e", "n"], **MS, epsilon=1e-5),
        N("Attention", ["e", "w", "b", "n"], ["y"], **MS, num_heads=2),
    ]
    case("embedded_words", nodes, words, ["y"], tables | held, WITH_MS)

    # A sigmoid written out, of numbers whose exponential is infinite.
    nodes = [N("Neg", ["x"], ["n"]), N("Exp", ["n"], ["e"]), N("Add", ["e", "one"], ["a"]), N("Reciprocal", ["a"], ["y"])]
    case("sigmoid_of_large", nodes, {"x": 60 * f(4, 8)}, ["y"], {"one": np.array(1, np.float32)})

    # Sums at places that the model reads: of entries, with places from the end, and of rows.
    for axis in (0, 1, -1):
        inputs = {"x": f(3, 4, 2), "i": rng.integers(-2, 3, (3, 5, 2) if axis == 1 else (5, 4, 2) if axis == 0 else (3, 4, 5))}
        inputs["i"] = np.clip(inputs["i"], -[3, 4, 2][axis], [3, 4, 2][axis] - 1)
        inputs["u"] = f(*inputs["i"].shape)
        node = N("ScatterElements", ["x", "i", "u"], ["y"], axis=axis, reduction="add")
        case(f"scatter_sums_{axis}", [node], inputs, ["y"])
    for depth in (1, 2):
        index = np.stack([rng.integers(-n, n, 6) for n in (4, 3)[:depth]], 1)
        inputs = {"x": f(4, 3, 2), "i": index, "u": f(6, *(4, 3, 2)[depth:])}
        case(f"scatter_sums_of_rows_{depth}", [N("ScatterND", ["x", "i", "u"], ["y"], reduction="add")], inputs, ["y"])

    # Peaks of heat maps: entries that are the largest of their window, of an axis, and the smallest of one.
    nodes = [N("Sigmoid", ["x"], ["h"]), N("MaxPool", ["h"], ["m"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), N("Equal", ["m", "h"], ["e"])]
    nodes += [N("Cast", ["e"], ["c"], to=1), N("Mul", ["h", "c"], ["y"])]
    case("peaks_of_windows", nodes, {"x": 2 * f(1, 2, 6, 7)}, ["y"])
    for op, keep in itertools.product(("ReduceMax", "ReduceMin"), (0, 1)):
        nodes = [N(op, ["x", "a"], ["m"], keepdims=keep), *([] if keep else [N("Unsqueeze", ["m", "a"], ["u"])])]
        nodes += [N("Equal", ["x", "m" if keep else "u"], ["e"]), N("Cast", ["e"], ["y"], to=1)]
        case(f"entries_that_are_{op.lower()}_{keep}", nodes, {"x": f(3, 9)}, ["y"], {"a": np.array([1])})

    # Rows divided by their norm, some of zeros: short ones and long ones.
    for width in (5, 12):
        rows = f(6, width) + 0.3
        rows[2] = -1
        nodes = [N("Relu", ["x"], ["r"]), N("Mul", ["r", "r"], ["q"]), N("ReduceSum", ["q", "a"], ["s"], keepdims=1), N("Sqrt", ["s"], ["n"])]
        nodes += [N("Add", ["n", "e"], ["d"]), N("Div", ["r", "d"], ["y"])]
        case(f"unit_rows_of_zeros_{width}", nodes, {"x": rows}, ["y"], {"a": np.array([1]), "e": np.array(1e-10, np.float32)})

    # What is padded, and what is a constant, of integers.
    held = {"s": np.array(0.03, np.float32), "z": np.array(7, np.int8), "p": np.array([0, 0, 1, 0, 0, 0, 0, 1])}
    held |= {"w": rng.integers(-90, 90, (4, 3, 3, 3)).astype(np.int8), "ws": np.array(0.02, np.float32), "wz": np.array(0, np.int8)}
    held |= {"ys": np.array(0.11, np.float32), "yz": np.array(-5, np.int8), "k": rng.integers(-99, 99, (1, 4, 1, 1)).astype(np.int8)}
    nodes = [N("QuantizeLinear", ["x", "s", "z"], ["q"]), N("Pad", ["q", "p", "z"], ["r"])]
    nodes += [N("QLinearConv", ["r", "s", "z", "w", "ws", "wz", "ys", "yz"], ["c"])]
    nodes += [N("QLinearMul", ["c", "ys", "yz", "k", "ws", "wz", "ys", "yz"], ["y"], **MS)]
    case("padded_integers", nodes, {"x": 2 * f(1, 3, 6, 6)}, ["y"], held, WITH_MS, kind=T.INT8)

    # Heads that share keys and values: a prompt, a step behind a cache, rotary embeddings, one product for all.
    angles = np.arange(12)[:, None] / 2.0 ** np.arange(8)
    turns = {"c": np.cos(angles).astype(np.float32), "d": np.sin(angles).astype(np.float32)}
    for name, past, steps, turn, more in (
        ("prompt", 0, 5, False, {"scale": 0.3}),
        ("step", 6, 1, False, {"softcap": 5.0}),
        ("turned", 0, 5, True, {"rotary_interleaved": 0}),
        ("turned_pairs", 0, 5, True, {"rotary_interleaved": 1}),
        ("turned_step", 6, 1, True, {"rotary_interleaved": 0}),
    ):
        inputs = {"q": f(1, steps, 64), "k": f(1, steps, 32), "v": f(1, steps, 32)}
        if past:
            inputs |= {"pk": f(1, 2, past, 16), "pv": f(1, 2, past, 16)}
        held = {"n": np.full((1, 1), past + steps - 1, np.int32), "t": np.array(past + steps, np.int32)} | (turns if turn else {})
        names = ["q", "k", "v", *(["pk", "pv"] if past else ["", ""]), *held]
        node = N("GroupQueryAttention", names, ["y", "nk", "nv"], **MS, num_heads=4, kv_num_heads=2, do_rotary=int(turn), **more)
        case(f"shared_keys_{name}", [node], inputs, ["y", "nk", "nv"], held, WITH_MS)
    held = {"n": np.full((1, 1), 4, np.int32), "t": np.array(5, np.int32)}
    node = N("GroupQueryAttention", ["x", "", "", "", "", "n", "t"], ["y"], **MS, num_heads=4, kv_num_heads=2)
    case("shared_keys_of_one_product", [node], {"x": f(1, 5, 128)}, ["y"], held, WITH_MS)

    # Layers with a state, in the runtime's own domain.
    for name, before, bias, activation in (("plain", False, False, "none"), ("behind", True, False, "silu"), ("step", True, True, "silu")):
        inputs = {"x": f(2, 4, 1 if name == "step" else 8)} | ({"p": f(2, 4, 3)} if before else {})
        held = {"w": f(4, 1, 4)} | ({"b": f(4)} if bias else {})
        node = N("CausalConvWithState", ["x", "w", "b" if bias else "", "p" if before else ""], ["y", "n"], **MS, activation=activation)
        case(f"causal_conv_{name}", [node], inputs, ["y", "n"], held, WITH_MS)
    for rule, before, heads in (("linear", False, 2), ("gated", True, 4), ("delta", False, 2), ("gated_delta", True, 4)):
        inputs = {"q": f(1, 5, 8 * heads), "k": 0.5 * f(1, 5, 16), "v": f(1, 5, 16)} | ({"p": f(1, 2, 8, 8)} if before else {})
        inputs |= {"d": -np.abs(f(1, 5, 16))} if "gated" in rule else {}
        inputs |= {"e": 1 / (1 + np.exp(f(1, 5, 2)))} if "delta" in rule else {}
        names = [name if name in inputs else "" for name in "qkvpde"]
        node = N("LinearAttention", names, ["y", "n"], **MS, q_num_heads=heads, kv_num_heads=2, update_rule=rule)
        case(f"linear_attention_{rule}", [node], inputs, ["y", "n"], {}, WITH_MS)
