"""Exports small networks as a user of PyTorch does, with both of its exporters.

    python3 -m venv .venv && .venv/bin/pip install torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2
    .venv/bin/python circuits/tests/pytorch/export.py [--out DIR]

For each network NAME: NAME.onnx with NAME.onnx.data beside it (`torch.onnx.export`
as it is by default), NAME_script.onnx (`dynamo=False`), and NAME.npz: inputs `x`
and what PyTorch makes of them, `y`. Weights and inputs are seeded.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

SEED = 7
ROWS = 32


class Block(nn.Module):
    """A residual block, its first convolution strided where the width grows."""

    def __init__(self, inner, outer):
        super().__init__()
        stride = 1 if inner == outer else 2
        self.a = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.a_norm = nn.BatchNorm2d(outer)
        self.b = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.b_norm = nn.BatchNorm2d(outer)
        self.side = None
        if stride == 2:
            self.side = nn.Sequential(nn.Conv2d(inner, outer, 1, 2, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x):
        y = torch.relu(self.a_norm(self.a(x)))
        y = self.b_norm(self.b(y))
        return torch.relu(y + (x if self.side is None else self.side(x)))


class Normalized(nn.Module):
    """A residual perceptron with layer normalization, as transformers have it."""

    def __init__(self, features, hidden, classes):
        super().__init__()
        self.enter = nn.Linear(features, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 2 * hidden)
        self.down = nn.Linear(2 * hidden, hidden)
        self.last = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x):
        x = self.enter(x)
        x = x + self.down(nn.functional.gelu(self.up(self.norm(x))))
        return self.head(self.last(x))


def networks():
    mlp = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4))
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )
    residual = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        Block(4, 4),
        Block(4, 8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    return {
        "mlp": (mlp, (8,)),
        "cnn": (cnn, (1, 8, 8)),
        "residual": (residual, (3, 8, 8)),
        "layernorm": (Normalized(6, 8, 3), (6,)),
    }


def forget_paths(file):
    """Drops stack traces, which name folders of the machine; weights stay where they are."""
    model = onnx.load(file, load_external_data=False)
    del model.graph.metadata_props[:]
    for part in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    onnx.save(model, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    torch.manual_seed(SEED)
    for name, (model, shape) in networks().items():
        # Statistics of batch normalization that are not those of a new network.
        model.train()
        for _ in range(8):
            model(torch.randn(32, *shape) * 1.5 + 0.25)
        model.eval()
        x = torch.randn(ROWS, *shape)
        with torch.no_grad():
            y = model(x)
        example = (torch.randn(1, *shape),)
        torch.onnx.export(model, example, out / f"{name}.onnx", verbose=False)
        torch.onnx.export(model, example, out / f"{name}_script.onnx", dynamo=False)
        forget_paths(out / f"{name}.onnx")
        forget_paths(out / f"{name}_script.onnx")
        np.savez(out / f"{name}.npz", x=x.numpy(), y=y.numpy())
        for file in sorted(out.glob(f"{name}*")):
            print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
