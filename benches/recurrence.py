#!/usr/bin/env python3
"""Measures what time costs: benches/recurrence.py ASSAY [--steps N] [--units N] [--inputs N]

An LSTM against the two matrix products of its size, input by weights and states by weights over all steps, as one graph without a
recurrence: plain, and with a ReLU behind each. Needs onnx and NumPy (benches/requirements.txt); prints JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save(path, nodes, inputs, outputs, constants):
    def info(shapes):
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in shapes.items()]

    tensors = [numpy_helper.from_array(v.astype(np.float32), n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, path.stem, info(inputs), info(outputs), tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def models(folder, steps, units, width):
    random = np.random.default_rng(1)
    w, r = (random.normal(size=(1, 4 * units, n)) / np.sqrt(n) for n in (width, units))
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=units)
    lstm = folder / "lstm.onnx"
    save(lstm, [node], {"x": (steps, 1, width)}, {"y": (steps, 1, 1, units)}, {"w": w, "r": r})
    out = [lstm]
    for name, relu in (("products", False), ("products_relu", True)):
        ends = ["a", "b"]
        nodes = [helper.make_node("MatMul", [i, m], [e]) for i, m, e in (("x", "w", "a"), ("h", "r", "b"))]
        if relu:
            nodes += [helper.make_node("Relu", [e], [e + "_relu"]) for e in ends]
            ends = [e + "_relu" for e in ends]
        path = folder / f"{name}.onnx"
        inputs = {"x": (1, steps, width), "h": (1, steps, units)}
        save(path, nodes, inputs, {e: (1, steps, 4 * units) for e in ends}, {"w": w[0].T, "r": r[0].T})
        out.append(path)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assay")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--inputs", type=int, default=64)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = models(Path(folder), args.steps, args.units, args.inputs)
        run = subprocess.run([args.assay, "bench", *map(str, paths), "--batch", "1", "--json"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stdout[-2000:] + run.stderr[-2000:])
    found = {m["model"]: m for m in json.loads(run.stdout.splitlines()[-1])["measurements"]}
    lstm = found["lstm"]
    for m in found.values():
        # Outputs are public, 8 bytes each, and there are eight times as many of the products.
        shown = args.steps * args.units * (1 if m is lstm else 8)
        m["argument_bytes"] = m["proof_bytes"] - 8 * shown
    for name in ("products", "products_relu"):
        for what in ("median_seconds", "argument_bytes"):
            found[name][f"lstm_{what}_ratio"] = lstm[what] / found[name][what]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
