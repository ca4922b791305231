"""Prove that an output is what a committed neural network computes.

    model = assay.compile("model.onnx", calibrate=samples)
    key = assay.setup(model)
    proof = assay.prove(model, x, key=key)
    assay.verify(proof, key)                     # raises assay.InvalidProof unless it is valid

    settled = assay.settle(model, x)             # zero-knowledge, constant size
    assay.verify(settled, settled.key)
    assay.verify_on_chain(settled, settled.key)  # what a contract on an EVM in this process says

A core proof is sound but not hiding: it may reveal information about inputs and weights to whoever holds it. A settled proof
hides them. What a valid proof says, and what it does not, is in the project's README.
"""

from ._errors import AssayError, AssayWarning, CouldNotCheck, InvalidProof
from ._model import Model, TensorInfo, compile, inspect
from ._native import VERSION as __version__
from ._progress import Progress
from ._proof import (
    Estimate,
    Key,
    OnChain,
    Proof,
    SettledProof,
    SettlementKey,
    Verified,
    estimate,
    prove,
    settle,
    setup,
    verify,
    verify_on_chain,
)
from ._run import set_threads
from ._stack import Stack, commit
from ._train import Gain, Trained, evaluate, train

__all__ = [
    "AssayError",
    "AssayWarning",
    "CouldNotCheck",
    "Estimate",
    "Gain",
    "InvalidProof",
    "Key",
    "Model",
    "OnChain",
    "Progress",
    "Proof",
    "SettledProof",
    "SettlementKey",
    "Stack",
    "TensorInfo",
    "Trained",
    "Verified",
    "__version__",
    "commit",
    "compile",
    "estimate",
    "evaluate",
    "inspect",
    "prove",
    "set_threads",
    "settle",
    "setup",
    "train",
    "verify",
    "verify_on_chain",
]
