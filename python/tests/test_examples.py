"""The example, as a script and as a notebook; and models that are exported for the user."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from conftest import quietly

EXAMPLES = Path(__file__).parents[1] / "examples"


def check(said: str, names: dict[str, Any]) -> None:
    """The contract accepted what was proven, and that is what the float model says."""
    assert re.search(r"\d{3},\d{3} gas", said)
    X, classifier, verified = names["X"], names["classifier"], names["verified"]
    wanted = classifier.predict_proba(X[400:401])
    shown = verified.outputs
    if isinstance(shown, dict):
        (shown,) = shown.values()
    assert np.abs(shown - wanted).max() < 0.02
    assert names["said"].gas < 1_000_000


def test_script(capsys: pytest.CaptureFixture[str]) -> None:
    names = quietly(runpy.run_path, str(EXAMPLES / "sklearn_to_chain.py"))
    check(capsys.readouterr().out, names)


def test_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells, one after another, in one namespace, as Jupyter runs them."""
    notebook = json.loads((EXAMPLES / "sklearn_to_chain.ipynb").read_text())
    assert notebook["nbformat"] == 4
    names: dict[str, Any] = {}
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    for cell in cells:
        quietly(exec, compile(cell, "cell", "exec"), names)
    check(capsys.readouterr().out, names)


def test_an_estimator_that_is_not_fitted() -> None:
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(ValueError, match="fit"):
        assay.compile(LogisticRegression())


@pytest.mark.parametrize("kind", ["regression", "network"])
def test_estimators(kind: str) -> None:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = load_diabetes(return_X_y=True)
    final = LinearRegression() if kind == "regression" else MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", max_iter=20, random_state=1)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = make_pipeline(StandardScaler(), final).fit(X, y)
    model = assay.compile(fitted, X[:300], accept_accuracy=True)
    proof = quietly(assay.prove, model, X[300:303])
    wanted = fitted.predict(X[300:303])
    assert np.abs(np.ravel(proof.outputs) - wanted).max() < 0.05 * (y.max() - y.min())


def test_a_module_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="torch is too large to be installed for the tests")
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(16, 4))
    x = torch.rand(64, 8)
    module.train()
    model = assay.compile(module, x)
    assert module.training and model.inputs[0].batched == (8,)
    proof = quietly(assay.prove, model, x[:3])
    with torch.no_grad():
        wanted = module.eval()(x[:3]).numpy()
    assert np.abs(proof.outputs - wanted).max() < 0.05
    with pytest.raises(TypeError, match="example"):
        assay.compile(module)
