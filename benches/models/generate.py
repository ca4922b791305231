"""Seeded random-weight benchmark networks: mlp, lenet, cnn264k, resnet18, zoo.

    python generate.py [--out DIR] [NAME ...]

Without --out, resnet18 goes to generated/, zoo to circuits/tests/models/ and
the rest next to this file. Weights are He-initialised and then normalised on
seeded images, layer by layer, so that each pre-activation has mean near zero
per channel and unit scale: the integers a quantizer meets look like those of
a trained network, and different inputs give different classes.
"""

import argparse
from pathlib import Path

from common import (
    HERE,
    Graph,
    np,
    run,
    save_input_json,
    save_model,
    save_npz,
    smooth_images,
    truncated_normal,
)

BATCH = "batch"


class Net:
    """Builds one network while normalising each layer on `probe` inputs."""

    def __init__(self, name, seed, probe):
        self.graph = Graph(name)
        self.rng = np.random.default_rng(seed)
        self.feeds = {"input": probe}
        self.last = self.graph.input("input", [BATCH, *probe.shape[1:]])

    def node(self, op, output, *more, **attrs):
        self.last = self.graph.node(op, [self.last, *more], output, **attrs)
        return self.last

    def relu(self, output):
        return self.node("Relu", output)

    def maxpool(self, output):
        return self.node("MaxPool", output, kernel_shape=[2, 2], strides=[2, 2])

    def flatten(self, output):
        return self.node("Flatten", output, axis=1)

    def _normalised(self, op, output, weight, spread, **attrs):
        """Adds a layer whose output has zero-mean channels and std `spread`."""
        graph, channels = self.graph, weight.shape[0]
        names = [f"{output}.weight", f"{output}.bias"]
        graph.init(names[0], weight)
        graph.init(names[1], np.zeros(channels, np.float32))
        self.node(op, output, *names, **attrs)
        value = graph.evaluate(output, self.feeds)
        axes = (0, *range(2, value.ndim))
        mean = value.mean(axis=axes, dtype=np.float64)
        std = (value - mean.reshape(1, -1, *[1] * (value.ndim - 2))).std(dtype=np.float64)
        # Rounding keeps the file the same where float sums differ in the last bit.
        scale = np.round(spread / std, 4)
        jitter = 0.1 * spread * self.rng.standard_normal(channels)
        graph.init(names[0], (weight * np.float32(scale)).astype(np.float32))
        graph.init(names[1], np.round(jitter - mean * scale, 4).astype(np.float32))
        return output

    def conv(self, output, cin, cout, kernel, pad=0):
        weight = truncated_normal(
            self.rng, (cout, cin, kernel, kernel), (2.0 / (cin * kernel * kernel)) ** 0.5
        )
        return self._normalised(
            "Conv", output, weight, 1.0, kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[1, 1]
        )

    def fc(self, output, cin, cout, spread=1.0):
        weight = truncated_normal(self.rng, (cout, cin), (2.0 / cin) ** 0.5)
        return self._normalised("Gemm", output, weight, spread, transB=1)

    def conv_bn(self, prefix, source, cin, cout, kernel, stride, gamma):
        """Conv without bias, then BatchNormalization with measured statistics."""
        graph, rng = self.graph, self.rng
        weight = truncated_normal(
            rng, (cout, cin, kernel, kernel), (2.0 / (cin * kernel * kernel)) ** 0.5
        )
        conv = graph.node(
            "Conv",
            [source, graph.init(f"{prefix}.conv.weight", weight)],
            f"{prefix}.conv",
            kernel_shape=[kernel] * 2,
            pads=[kernel // 2] * 4,
            strides=[stride] * 2,
        )
        value = graph.evaluate(conv, self.feeds).astype(np.float64)
        mean = value.mean(axis=(0, 2, 3)) + 0.05 * rng.standard_normal(cout)
        var = value.var(axis=(0, 2, 3)) * rng.uniform(0.8, 1.25, cout)
        stats = {
            "scale": gamma * rng.uniform(0.7, 1.3, cout),
            "bias": 0.1 * rng.standard_normal(cout),
            "mean": np.round(mean, 3),
            "var": np.round(var, 3),
        }
        assert (stats["var"] > 0.02).all(), f"{prefix}: a channel is nearly constant"
        names = [graph.init(f"{prefix}.bn.{k}", v.astype(np.float32)) for k, v in stats.items()]
        return graph.node("BatchNormalization", [conv, *names], f"{prefix}.bn", epsilon=1e-5)

    def finish(self, output="logits"):
        assert self.last == output
        shape = self.graph.evaluate(output, self.feeds).shape
        return self.graph.model({output: [BATCH, *shape[1:]]})


def probe_images(seed, count, channels, size):
    """Images for normalisation, apart from those saved as inputs."""
    return smooth_images(np.random.default_rng([seed, 1]), count, channels, size)


def mlp():
    """784-256-128-10 with ReLU."""
    net = Net("mlp", 101, probe_images(101, 64, 1, 28).reshape(64, 784))
    net.fc("fc1", 784, 256)
    net.relu("relu1")
    net.fc("fc2", 256, 128)
    net.relu("relu2")
    net.fc("logits", 128, 10, spread=2.5)
    return net


def lenet():
    """LeNet-5 on 1x28x28 with ReLU and max pooling."""
    net = Net("lenet", 102, probe_images(102, 64, 1, 28))
    net.conv("conv1", 1, 6, 5, pad=2)
    net.relu("relu1")
    net.maxpool("pool1")
    net.conv("conv2", 6, 16, 5)
    net.relu("relu2")
    net.maxpool("pool2")
    net.flatten("flatten")
    net.fc("fc1", 400, 120)
    net.relu("relu3")
    net.fc("fc2", 120, 84)
    net.relu("relu4")
    net.fc("logits", 84, 10, spread=2.5)
    return net


def cnn264k():
    """Two convolutions and three dense layers on 3x32x32; 263,970 parameters."""
    net = Net("cnn264k", 103, probe_images(103, 64, 3, 32))
    net.conv("conv1", 3, 16, 5)
    net.relu("relu1")
    net.maxpool("pool1")
    net.conv("conv2", 16, 32, 5)
    net.relu("relu2")
    net.maxpool("pool2")
    net.flatten("flatten")
    net.fc("fc1", 800, 256)
    net.relu("relu3")
    net.fc("fc2", 256, 168)
    net.relu("relu4")
    net.fc("logits", 168, 10, spread=2.5)
    return net


def imagenet_scaled(images):
    """The usual ImageNet channel normalisation."""
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
    std = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)
    return ((images - mean) / std).astype(np.float32)


def resnet18():
    """ResNet-18 (basic blocks 2-2-2-2) on 3x224x224 with 1000 classes."""
    net = Net("resnet18", 104, imagenet_scaled(probe_images(104, 8, 3, 224)))
    graph = net.graph
    stem = net.conv_bn("stem", "input", 3, 64, 7, 2, 1.0)
    x = graph.node("Relu", [stem], "stem.relu")
    x = graph.node(
        "MaxPool", [x], "stem.pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    )
    cin = 64
    for stage, cout in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            prefix = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = net.conv_bn(f"{prefix}.a", x, cin, cout, 3, stride, 1.0)
            y = graph.node("Relu", [y], f"{prefix}.a.relu")
            y = net.conv_bn(f"{prefix}.b", y, cout, cout, 3, 1, 0.5)
            if stride != 1 or cin != cout:
                x = net.conv_bn(f"{prefix}.down", x, cin, cout, 1, stride, 1.0)
            x = graph.node("Add", [y, x], f"{prefix}.add")
            x = graph.node("Relu", [x], f"{prefix}.relu")
            cin = cout
    x = graph.node("GlobalAveragePool", [x], "avgpool")
    net.last = graph.node("Flatten", [x], "flatten", axis=1)
    net.fc("logits", 512, 1000, spread=2.0)
    return net


MODELS = {
    # name: (builder, seed of the saved inputs, calibration samples, parameters)
    "mlp": (mlp, 201, 8, 235_146),
    "lenet": (lenet, 202, 8, 61_706),
    "cnn264k": (cnn264k, 203, 8, 263_970),
    "resnet18": (resnet18, 204, 2, 11_689_512),
}


def saved_images(name, seed, count):
    """The images that are saved, input and calibration samples together."""
    rng = np.random.default_rng(seed)
    if name == "mlp":
        return smooth_images(rng, count, 1, 28).reshape(count, 784)
    if name == "lenet":
        return smooth_images(rng, count, 1, 28)
    if name == "cnn264k":
        return smooth_images(rng, count, 3, 32)
    return imagenet_scaled(smooth_images(rng, count, 3, 224))


def clearest_first(model, images):
    """Moves the image with the largest top-1 margin to the front.

    It becomes the saved input, so that one shown answer does not hang on rounding.
    """
    ordered = np.sort(run(model, {"input": images})[0], axis=1)
    best = int((ordered[:, -1] - ordered[:, -2]).argmax())
    return np.concatenate([images[best : best + 1], np.delete(images, best, axis=0)])


def report(net, model, images):
    """Prints per-layer ranges and the spread of the logits; fails if insane."""
    seen = set()
    for node in net.graph.nodes:
        value = net.graph.evaluate(node.output[0], {"input": images})
        peak = float(np.abs(value).max())
        assert np.isfinite(value).all() and 0.05 < peak < 60.0, (node.name, peak)
        if node.op_type in ("Conv", "Gemm", "Add", "BatchNormalization"):
            print(f"    {node.output[0]:<18} {node.op_type:<19} "
                  f"min {value.min():8.3f} max {value.max():8.3f} std {value.std():7.3f}")
        seen.add(node.op_type)
    logits = run(model, {"input": images})[0]
    top = logits.argmax(axis=1)
    ordered = np.sort(logits, axis=1)
    gaps = ", ".join(f"{gap:.2f}" for gap in ordered[:, -1] - ordered[:, -2])
    print(f"    operators: {', '.join(sorted(seen))}")
    print(f"    classes {top.tolist()}, top-1 margins {gaps}")
    assert logits.std() > 0.5 and len(set(top.tolist())) > 1


def generate(name, out):
    """Builds, checks and writes one model with its inputs."""
    builder, seed, count, expected = MODELS[name]
    net = builder()
    model = net.finish()
    params = net.graph.parameters()
    # Running statistics are buffers, not parameters.
    params -= sum(a.size for n, a in net.graph.inits.items() if n.endswith((".mean", ".var")))
    assert params == expected, f"{name}: {params} parameters, expected {expected}"
    out.mkdir(parents=True, exist_ok=True)
    save_model(model, out / f"{name}.onnx")
    images = clearest_first(model, saved_images(name, seed, count + 1))
    save_input_json(out / f"{name}_input.json", images[:1])
    save_npz(out / f"{name}_calibration.npz", x=images[1:])
    print(f"{name}: {params} parameters, {(out / f'{name}.onnx').stat().st_size} bytes")
    report(net, model, images)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["mlp", "lenet", "cnn264k"],
                        help=f"any of {', '.join(MODELS)}, zoo (default: the committed three)")
    parser.add_argument("--out", type=Path, help="write here instead of the usual folders")
    args = parser.parse_args()
    for name in args.names:
        if name == "zoo":
            import zoo

            zoo.write(args.out or zoo.FOLDER)
        elif name in MODELS:
            default = HERE / "generated" if name == "resnet18" else HERE
            generate(name, args.out or default)
        else:
            parser.error(f"unknown model {name!r}")


if __name__ == "__main__":
    main()
