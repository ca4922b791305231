"""ONNX files from whatever holds a model. Nothing is imported that the user has not imported already."""

from __future__ import annotations

import inspect
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ._files import is_path


def onnx_file(where: Path, model: Any, example: Any, is_example: bool) -> Path:
    """The ONNX file of a model: the user's own, or one written into `where`.

    `example` are inputs: as the module takes them if `is_example`, otherwise many samples of which the first is taken.
    """
    if is_path(model):
        return Path(model)
    path = where / "model.onnx"
    if isinstance(model, (bytes, bytearray, memoryview)):
        path.write_bytes(model)
    elif hasattr(model, "SerializeToString"):
        path.write_bytes(model.SerializeToString())
    elif _is_instance(model, "torch.nn", "Module"):
        _from_torch(path, model, example, is_example)
    elif _is_instance(model, "sklearn.base", "BaseEstimator"):
        _from_sklearn(path, model)
    else:
        raise TypeError(
            "model must be an .onnx file, an onnx.ModelProto or its bytes, a torch.nn.Module or a scikit-learn estimator, "
            f"got {type(model).__name__}"
        )
    return path


def _is_instance(value: Any, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def _from_torch(path: Path, model: Any, example: Any, is_example: bool) -> None:
    import torch

    if example is None:
        raise TypeError("a PyTorch module is exported with an example: pass calibrate=SAMPLES or example=TENSOR")
    if is_example:
        inputs = example if isinstance(example, tuple) else (example,)
    else:
        if is_path(example):
            raise TypeError("pass example=TENSOR beside a file with calibration data")
        columns = list(example.values()) if isinstance(example, dict) else example
        several = isinstance(columns, (list, tuple)) and all(hasattr(c, "shape") for c in columns)
        inputs = tuple(c[:1] for c in columns) if several else (np.asarray(columns)[:1],)
    inputs = tuple(i if isinstance(i, torch.Tensor) else torch.as_tensor(np.asarray(i)) for i in inputs)
    inputs = tuple(i.detach().cpu().float() if i.is_floating_point() else i.detach().cpu() for i in inputs)
    names = [f"input{k}" for k in range(len(inputs))] if len(inputs) > 1 else ["input"]
    # The module is as it was before, afterwards: its mode, its precision and where it lives are its owner's.
    was_training = model.training
    # The exporter by tracing, where there is another to choose.
    choice = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    state = [(p.device, p.dtype) for p in [*model.parameters(), *model.buffers()]]
    plain = all(d.type == "cpu" and t in (torch.float32, torch.int64, torch.bool) for d, t in state)
    if not plain:
        import copy

        exported = copy.deepcopy(model).cpu().float()
    else:
        exported = model
    exported.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The exporter warns of its own deprecation and of shapes traced as constants, which are fixed here anyway.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                exported,
                inputs,
                str(path),
                input_names=names,
                dynamic_axes={n: {0: "batch"} for n in names},
                **choice,
            )
    finally:
        model.train(was_training)


def _from_sklearn(path: Path, model: Any) -> None:
    try:
        import skl2onnx
        from sklearn.base import is_classifier
        from skl2onnx.common.data_types import FloatTensorType
    except ImportError as e:
        raise ImportError("a scikit-learn estimator is converted by skl2onnx: pip install skl2onnx") from e
    features = getattr(model, "n_features_in_", None)
    if features is None:
        raise ValueError("the estimator does not say how many features it takes: fit it first")
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    # Probabilities as a tensor; without this they are a list of dictionaries. Estimators that have none refuse the option.
    settings = {id(final): {"zipmap": False}} if hasattr(final, "predict_proba") else {}
    proto = skl2onnx.to_onnx(
        model,
        initial_types=[("X", FloatTensorType([None, features]))],
        options=settings,
        # Written out in operators of the standard itself.
        black_op={"LinearClassifier", "LinearRegressor", "Normalizer", "Scaler"},
    )
    if is_classifier(final):
        # The label, the first output, is the class of the largest probability or score, by a number of the caller's own
        # (`classes_`): what is proven are probabilities or scores.
        del proto.graph.output[0]
        _prune(proto.graph)
    path.write_bytes(proto.SerializeToString())


def _prune(graph: Any) -> None:
    """Leaves out nodes that no output needs any more."""
    needed = {o.name for o in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
