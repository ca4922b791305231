"""The package's own work: data in and out, warnings, progress, interrupts, threads, types."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from conftest import ASSETS, DEVELOPMENT, quietly


def test_a_model_keeps_what_it_is(model: assay.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    again = assay.Model.load(tmp_path / "m")
    assert again == model and again.id == model.id and len(again.id) == 64
    assert pickle.loads(pickle.dumps(model)) == model
    assert [t.shape for t in model.inputs] == [(1, 64)] and model.inputs[0].batched == (64,)
    assert model.report["passes"] and model.parameters > 2000
    with pytest.raises(assay.CouldNotCheck, match="expected a verifying key"):
        assay.Key.load(tmp_path / "m")
    with pytest.raises(FileNotFoundError):
        assay.Model.load(tmp_path / "none")


def test_outputs_are_arrays(proof: assay.Proof, key: assay.Key, digits: np.ndarray) -> None:
    assert isinstance(proof.outputs, np.ndarray)
    assert proof.outputs.shape == (2, 10) and proof.outputs.dtype == np.float32
    shown = quietly(assay.verify, proof, key, inputs=digits[:2], outputs=proof.outputs)
    assert np.array_equal(shown.outputs, proof.outputs) and shown.batch == 2 and not shown.hiding
    assert shown.inputs.shape == (2, 64) and np.abs(shown.inputs - digits[:2]).max() < 0.1
    assert shown.id == key.model_id and shown.insecure_srs
    with pytest.raises(assay.InvalidProof, match="another input") as caught:
        quietly(assay.verify, proof, key, inputs=digits[1:3])
    assert caught.value.code == 1 and caught.value.help
    with pytest.raises(assay.InvalidProof, match="another output"):
        quietly(assay.verify, proof, key, outputs=proof.outputs + 1)
    with pytest.raises(AttributeError, match="verify"):
        assay.Proof(bytes(proof)).outputs
    with pytest.raises(AttributeError, match="trust"):
        assay.Proof(bytes(proof)).key


def test_numbers_in_every_form(model: assay.Model, key: assay.Key, digits: np.ndarray, tmp_path: Path) -> None:
    x = np.round(digits[:1])
    wanted = quietly(assay.prove, model, x, key=key).outputs
    np.save(tmp_path / "x.npy", x)
    forms: list[Any] = [
        x.astype(np.float64),
        x.astype(np.float16),
        x.astype(np.int32),
        np.asfortranarray(x),
        x[0],
        x.tolist(),
        {model.inputs[0].name: x},
        tmp_path / "x.npy",
        str(tmp_path / "x.npy"),
    ]
    for form in forms:
        assert np.array_equal(quietly(assay.prove, model, form, key=key).outputs, wanted), type(form)
    with pytest.raises(TypeError, match="numbers"):
        assay.prove(model, np.array(["a"]))
    with pytest.raises(TypeError, match="numbers"):
        assay.prove(model, np.array([object()]))
    with pytest.raises(ValueError, match="name"):
        assay.prove(model, {"other": x})
    with pytest.raises(assay.CouldNotCheck, match="finite|NaN|inf"):
        assay.prove(model, np.full((1, 64), np.nan))
    with pytest.raises(assay.CouldNotCheck, match="clamped"):
        assay.prove(model, np.full((1, 64), 1e6), strict=True)


def test_settled_proofs(settled: assay.SettledProof, digits: np.ndarray) -> None:
    shown = quietly(assay.verify, settled, settled.key, inputs=digits[:1])
    assert shown.hiding and np.array_equal(shown.outputs, settled.outputs)
    assert shown.context == settled.context and settled.context["recipient"] == "ab" * 20
    assert settled.context["chain_id"] == 31337 and shown.id == settled.key.id
    said = assay.verify_on_chain(settled, settled.key)
    assert 300_000 < said.gas < 1_000_000 and said.contract.startswith("0x")
    data = bytearray(bytes(settled))
    data[-1] ^= 1
    for check in (assay.verify, assay.verify_on_chain):
        with pytest.raises(assay.InvalidProof):
            quietly(check, bytes(data), settled.key)


def test_estimates(model: assay.Model, key: assay.Key, proof: assay.Proof) -> None:
    one = assay.estimate(model)
    assert one.gas and one.gas > 300_000 and one.settled_proof_bytes and one.prove_seconds > 0
    assert assay.estimate(key, batch=2).proof_bytes == len(proof)
    with pytest.raises(ValueError, match="setup"):
        assay.estimate(key, public_inputs=True)


def test_warnings_are_warnings(model: assay.Model, digits: np.ndarray) -> None:
    with pytest.warns(assay.AssayWarning, match=DEVELOPMENT) as caught:
        assay.setup(model)
    # They point at the line that called.
    assert {w.filename for w in caught} == {__file__}
    with pytest.warns(assay.AssayWarning, match="clamped"):
        quietly(assay.prove, model, digits[:1] + 100)
    with pytest.warns(assay.AssayWarning, match="calibration"):
        assay.compile(ASSETS / "digits_mlp.onnx")


def test_progress(model: assay.Model, digits: np.ndarray) -> None:
    from tqdm import tqdm

    seen: list[assay.Progress] = []
    quietly(assay.settle, model, digits[:1], progress=seen.append)
    assert any(p.stage for p in seen) and any(p.share for p in seen)
    assert all(p.share is None or 0 <= p.share <= 1 for p in seen)
    with open(os.devnull, "w") as nowhere:
        for total in (None, 1, 500):
            bar = tqdm(total=total, file=nowhere)
            quietly(assay.prove, model, digits[:1], progress=bar)
            assert bar.n == bar.total == (100 if total is None else total)
    quietly(assay.prove, model, digits[:1], progress=True)
    with pytest.raises(TypeError, match="progress"):
        assay.prove(model, digits[:1], progress=3)  # type: ignore[arg-type]


class Stop(Exception):
    pass


def test_what_a_callback_raises_ends_the_work(model: assay.Model, digits: np.ndarray) -> None:
    def stop(_: assay.Progress) -> None:
        raise Stop

    with pytest.raises(Stop):
        quietly(assay.settle, model, digits[:1], progress=stop)
    # And nothing is broken by it.
    quietly(assay.prove, model, digits[:1])


#: Proves more than anybody waits for, and is interrupted.
INTERRUPTED = """
import signal, sys, threading, time, warnings, numpy as np, assay
warnings.simplefilter("ignore")
model = assay.Model.load(sys.argv[1])
x = np.load(sys.argv[2])
key = assay.setup(model)
before = assay.prove(model, x[:1], key=key)
started = threading.Event()
def press():
    started.wait()
    signal.raise_signal(signal.SIGINT)
threading.Thread(target=press).start()
try:
    # A proof that is over before its stage was seen is made again: what counts is the one during which the key is pressed.
    while True:
        done = False
        assay.prove(model, np.repeat(x, 80, axis=0), key=key, progress=lambda p: p.stage == sys.argv[3] and started.set())
        done = True
except KeyboardInterrupt:
    print("interrupted", done)
# The process lives, and proves.
assert np.array_equal(assay.prove(model, x[:1], key=key).outputs, before.outputs)
print("alive")
"""


@pytest.mark.parametrize("stage", ["commit", "lookups"])
def test_ctrl_c_ends_a_proof_and_not_the_process(model: assay.Model, digits: np.ndarray, tmp_path: Path, stage: str) -> None:
    model.save(tmp_path / "m")
    np.save(tmp_path / "x.npy", digits[:50])
    # In a process of its own: a proof that is not stopped would stop the tests.
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, tmp_path / "m", tmp_path / "x.npy", stage],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["interrupted", "False", "alive"]
    assert not done.stderr


def test_other_threads_run_while_one_proves(model: assay.Model, digits: np.ndarray) -> None:
    ticks = 0
    over = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.is_set():
            ticks += 1
            time.sleep(0.001)

    other = threading.Thread(target=tick)
    other.start()
    start, before = time.monotonic(), ticks
    quietly(assay.prove, model, np.repeat(digits[:64], 4, axis=0))
    seconds, ran = time.monotonic() - start, ticks - before
    over.set()
    other.join()
    # A lock that is held for a whole proof would let one through before and one after it. On a busy machine a tick takes far longer than
    # it asks for.
    assert ran > 4, (ran, seconds)


def test_threads_prove_side_by_side(model: assay.Model, key: assay.Key, digits: np.ndarray) -> None:
    found: dict[int, Any] = {}

    def work(i: int) -> None:
        found[i] = assay.prove(model, digits[i : i + 1], key=key).outputs

    # `warnings.catch_warnings` is of all threads.
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
    together = quietly(assay.prove, model, digits[:4], key=key).outputs
    assert np.array_equal(np.concatenate([found[i] for i in range(4)]), together)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_is_told_so_instead_of_waiting_for_ever(model: assay.Model) -> None:
    child = os.fork()
    if child == 0:
        code = 3
        try:
            assay.estimate(model)
        except assay.CouldNotCheck as e:
            code = 0 if "forked" in e.cause and "spawn" in e.help else 4
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_the_number_of_threads_is_fixed(model: assay.Model) -> None:
    assert model.id
    with pytest.raises(assay.CouldNotCheck, match="fixed"):
        assay.set_threads(977)
    with pytest.raises(ValueError):
        assay.set_threads(0)
    code = "import assay, sys; assay.set_threads(1); print(assay.Model.load(sys.argv[1]).parameters)"
    path = ASSETS / "digits_mlp.onnx"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert "is an ONNX model" in done.stderr or "`show` does not describe" in done.stderr


def test_the_command_line_is_there(tmp_path: Path) -> None:
    start = [sys.executable, "-m", "assay"]
    done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["assay", assay.__version__]
    done = subprocess.run([*start, "verify", tmp_path / "none", "--key", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "help:" in done.stderr


def test_models_in_memory(digits: np.ndarray) -> None:
    data = (ASSETS / "digits_mlp.onnx").read_bytes()
    import onnx

    a = assay.compile(data, digits[:200])
    b = assay.compile(onnx.load_from_string(data), digits[:200])
    assert a.id == b.id
    with pytest.raises(TypeError, match="estimator"):
        assay.compile(7)


def test_an_input_may_be_a_constant_of_the_model() -> None:
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3]), helper.make_tensor_value_info("rate", TensorProto.INT64, [1])]
    nodes = [helper.make_node("Cast", ["rate"], ["factor"], to=TensorProto.FLOAT), helper.make_node("Mul", ["x", "factor"], ["y"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])]
    graph = helper.make_graph(nodes, "scaled", inputs, outputs)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    samples = np.linspace(-1, 1, 48, dtype=np.float32).reshape(16, 3)
    # A number of Python's, of NumPy's, and one that is written with an exponent elsewhere.
    for rate in (3, np.int64(-2), 1e2):
        model = assay.compile(proto, samples, constants={"rate": rate})
        assert [t.name for t in model.inputs] == ["x"]
        proof = quietly(assay.prove, model, samples[:2])
        assert np.abs(proof.outputs - float(rate) * samples[:2]).max() < 0.01 * abs(float(rate))
    # By name, the inputs that are left are asked for, and no others.
    assert assay.compile(proto, {"x": samples}, constants={"rate": 3}) == assay.compile(proto, samples, constants={"rate": 3})
    with pytest.raises(ValueError, match="name"):
        assay.compile(proto, {"x": samples, "rate": samples}, constants={"rate": 3})
    for constants, says in ({"tempo": 1}, "tempo"), ({"rate": 0.5}, "no number of type"), ({"rate": float("nan")}, "NAME=NUMBER"):
        with pytest.raises(assay.CouldNotCheck, match=says):
            assay.compile(proto, samples, constants=constants)


def test_types() -> None:
    """The package checks itself, and a user's script, as strictly as mypy can."""
    place = Path(assay.__file__).parents[1]
    # An installed package is found by itself, and mypy refuses to be told of it.
    env = dict(os.environ) if place.name == "site-packages" else {**os.environ, "MYPYPATH": str(place)}
    script = Path(__file__).parents[1] / "examples" / "sklearn_to_chain.py"
    for what in (["-p", "assay"], [str(script)]):
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "--ignore-missing-imports", *what],
            capture_output=True,
            text=True,
            env=env,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_ctrl_c_outside_of_calls_is_python_s_own() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
