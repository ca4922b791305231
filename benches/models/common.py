"""Shared pieces of the model scripts: ONNX builder, reproducible files, inputs."""

import io
import json
import os
import zipfile
from pathlib import Path

# One BLAS thread: the order of additions, and so every byte written, is then
# the same from run to run. This must be set before numpy is imported.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DEFAULT_OPSET = 17


class Graph:
    """An ONNX graph under construction; tensors are named by their producers."""

    def __init__(self, name):
        self.name = name
        self.nodes = []
        self.inits = {}
        self.inputs = []

    def input(self, name, shape, kind=TensorProto.FLOAT):
        """Declares an input; a string in `shape` is a symbolic size."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def init(self, name, array):
        """Adds an initializer and returns its name."""
        self.inits[name] = np.array(array, order="C")
        return name

    def node(self, op, inputs, output, **attrs):
        """Adds a node called after its output and returns the output's name."""
        outputs = [output] if isinstance(output, str) else output
        name = attrs.pop("name", f"{outputs[0]}_{op.lower()}")
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attrs))
        return outputs[0]

    def model(self, outputs, opset=DEFAULT_OPSET):
        """The ModelProto; `outputs` maps names to shapes (None: unknown)."""
        infos = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ]
        tensors = [numpy_helper.from_array(a, name) for name, a in self.inits.items()]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, infos, tensors)
        ir = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
        return helper.make_model(
            graph,
            producer_name="assay-models",
            ir_version=ir,
            opset_imports=[helper.make_opsetid("", opset)],
        )

    def evaluate(self, tensor, feeds):
        """The value of `tensor` in the graph as built so far."""
        return run(self.model({tensor: None}), feeds)[0]

    def parameters(self):
        """The number of floating-point initializer elements."""
        return sum(a.size for a in self.inits.values() if a.dtype.kind == "f")


def run(model, feeds):
    """All outputs of `model` from onnxruntime on one thread, unoptimised."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    data = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def save_model(model, path):
    """Checks `model` and writes it with a deterministic encoding."""
    onnx.checker.check_model(model, full_check=True)
    Path(path).write_bytes(model.SerializeToString(deterministic=True))


def save_npz(path, **arrays):
    """Writes an uncompressed .npz whose bytes depend on the arrays alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.array(array, order="C"), version=(1, 0))
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, data.getvalue())


def save_input_json(path, batches, digits=6):
    """Writes `{"input_data": [[...]]}`, one flat row-major list per sample."""
    rows = [[round(float(v), digits) for v in sample.reshape(-1)] for sample in batches]
    Path(path).write_text(json.dumps({"input_data": rows}, separators=(",", ":")) + "\n")


def smooth_images(rng, count, channels, size):
    """Images in [0, 1] on the 8-bit grid with a natural 1/f amplitude spectrum.

    Channels share most of their structure, as the colours of photographs do.
    """
    freq = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :])
    amplitude = 1.0 / np.maximum(freq, 1.0 / size) ** 1.3
    amplitude[0, 0] = 0.0
    shared = rng.standard_normal((count, 1, size, size))
    own = rng.standard_normal((count, channels, size, size))
    noise = shared if channels == 1 else 0.85 * shared + 0.5 * own
    field = np.fft.ifft2(np.fft.fft2(noise) * amplitude).real
    field /= field.std(axis=(1, 2, 3), keepdims=True)
    brightness = rng.uniform(0.35, 0.65, (count, 1, 1, 1))
    contrast = rng.uniform(0.12, 0.28, (count, 1, 1, 1))
    image = np.clip(brightness + contrast * field, 0.0, 1.0)
    return (np.round(image * 255.0) / 255.0).astype(np.float32)


def truncated_normal(rng, shape, std):
    """Normal weights with every draw beyond 2.5 sigma redrawn: no outliers."""
    draw = rng.standard_normal(shape)
    bad = np.abs(draw) > 2.5
    while bad.any():
        draw[bad] = rng.standard_normal(int(bad.sum()))
        bad = np.abs(draw) > 2.5
    return (draw * std).astype(np.float32)
