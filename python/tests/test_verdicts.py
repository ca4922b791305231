"""Verdicts, errors and their help are those of the command line."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assay
from conftest import ASSETS, command, quietly


def python(proof: Path, key: Path, **claims: Any) -> tuple[int, tuple[str, str] | dict[str, Any]]:
    try:
        return 0, quietly(assay.verify, proof, key, **claims).info
    except assay.AssayError as e:
        assert type(e) is (assay.InvalidProof if e.code == 1 else assay.CouldNotCheck)
        return e.code, (e.cause, e.help)


def same(proof: Path, key: Path, **claims: Any) -> int:
    """The verdict, which must be the same both ways, down to the words."""
    options = [f"--{name}={value}" for name, value in claims.items()]
    theirs, fields = command("verify", proof, f"--key={key}", *options)
    claims = {{"input": "inputs", "output": "outputs"}.get(n, n): v for n, v in claims.items()}
    code, mine = python(proof, key, **claims)
    assert code == theirs, (mine, fields)
    if code == 0:
        assert isinstance(mine, dict)
        for name in ("outputs", "inputs", "batch", "insecure_srs", "hiding", "valid"):
            assert mine[name] == fields[name], name
    else:
        assert mine == (fields["error"], fields["help"])
        assert fields["valid"] is (False if code == 1 else None)
    return code


@pytest.fixture
def files(tmp_path: Path, proof: assay.Proof, settled: assay.SettledProof) -> Path:
    proof.save(tmp_path / "core.proof")
    proof.key.save(tmp_path / "core.key")
    settled.save(tmp_path / "settled.proof")
    settled.key.save(tmp_path / "settled.key")
    return tmp_path


def test_honest_proofs(files: Path, digits: np.ndarray, proof: assay.Proof) -> None:
    assert same(files / "core.proof", files / "core.key") == 0
    assert same(files / "settled.proof", files / "settled.key") == 0
    np.savez(files / "right.npz", x0=digits[:2])
    np.savez(files / "wrong.npz", x0=digits[1:3])
    np.savez(files / "many.npz", x0=digits[:3])
    np.savez(files / "outputs.npz", x0=proof.outputs)
    core = files / "core.proof", files / "core.key"
    assert same(*core, input=files / "right.npz") == 0
    assert same(*core, input=files / "wrong.npz") == 1
    assert same(*core, input=files / "many.npz") == 1
    assert same(*core, output=files / "outputs.npz") == 0
    assert same(*core, output=files / "right.npz") == 2
    # Keys of the other kind, of nothing, and files that are swapped.
    assert same(files / "core.proof", files / "settled.key") == 2
    assert same(files / "settled.proof", files / "core.key") == 2
    assert same(files / "core.key", files / "core.proof") == 2
    assert same(files / "core.proof", files / "missing") == 2


def altered(data: bytes, chance: random.Random) -> bytes:
    """One alteration of what may happen to a file: bits, bytes, its end, and parts moved about."""
    out = bytearray(data)
    at = chance.randrange(len(out))
    match chance.randrange(6):
        case 0:
            out[at] ^= 1 << chance.randrange(8)
        case 1:
            out[at : at + 32] = bytes(len(out[at : at + 32]))
        case 2:
            del out[at:]
        case 3:
            out += bytes([chance.randrange(256)])
        case 4:
            del out[at]
        case _:
            other = chance.randrange(len(out))
            out[at : at + 32], out[other : other + 32] = out[other : other + 32], out[at : at + 32]
    return bytes(out)


@pytest.mark.parametrize("kind", ["core", "settled"])
def test_altered_proofs(files: Path, kind: str) -> None:
    honest = (files / f"{kind}.proof").read_bytes()
    chance = random.Random(f"altered {kind}")
    codes = [0, 0, 0]
    path = files / "altered.proof"
    while sum(codes) < 100:
        data = altered(honest, chance)
        if data == honest:
            continue
        path.write_bytes(data)
        codes[same(path, files / f"{kind}.key")] += 1
    # None is accepted, and most are seen to be wrong; the others are no proofs, or of another version.
    assert codes[0] == 0 and codes[1] > 80, codes


def test_proofs_about_stacks(tmp_path: Path, model: assay.Model, digits: np.ndarray) -> None:
    """Made by the command: what the package does not make it checks all the same."""
    model.save(tmp_path / "m")
    np.save(tmp_path / "x.npy", digits[:1])

    def made(*args: str | Path) -> dict[str, Any]:
        code, fields = command(*args)
        assert code == 0, fields
        return fields

    commit = f"--commit=input={tmp_path / 'x.stack'}"
    made("stack", "commit", tmp_path / "x.npy", "--model", tmp_path / "m", "-o", tmp_path / "x.stack")
    stack_id = made("stack", "show", tmp_path / "x.stack")["stack_id"]
    wanted = quietly(assay.prove, model, digits[:1]).outputs
    chance = random.Random("stacks")
    for verb in ("prove", "settle"):
        proof, key = tmp_path / f"{verb}.proof", tmp_path / f"{verb}.key"
        made(verb, tmp_path / "m", "-o", proof, "--key-out", key, commit)
        assert same(proof, key) == 0
        shown = quietly(assay.verify, proof, key)
        assert shown.inputs is None and np.array_equal(shown.outputs, wanted)
        assert [s["id"] for s in shown.info["stacks"]] == [stack_id]
        # What is in the stack is not for a proof to say.
        assert same(proof, key, input=tmp_path / "x.npy") == 2
        honest = proof.read_bytes()
        for _ in range(20):
            data = altered(honest, chance)
            proof.write_bytes(data)
            assert (same(proof, key) == 0) == (data == honest)


def test_altered_keys(files: Path) -> None:
    honest = (files / "core.key").read_bytes()
    chance = random.Random("altered keys")
    path = files / "altered.key"
    for _ in range(20):
        path.write_bytes(altered(honest, chance))
        assert same(files / "core.proof", path) != 0 or path.read_bytes() == honest


def test_errors_of_other_commands(tmp_path: Path, model: assay.Model, digits: np.ndarray) -> None:
    saved = tmp_path / "digits.assay"
    model.save(saved)
    np.savez(tmp_path / "short.npz", x0=digits[:, :5])
    code, fields = command("prove", saved, tmp_path / "short.npz", "-o", tmp_path / "out")
    with pytest.raises(assay.CouldNotCheck) as caught:
        assay.prove(saved, tmp_path / "short.npz")
    assert code == caught.value.code == 2
    assert (caught.value.cause, caught.value.help) == (fields["error"], fields["help"])

    bad = tmp_path / "bad.onnx"
    bad.write_bytes((ASSETS / "digits_mlp.onnx").read_bytes()[:500])
    code, fields = command("compile", bad, "-o", tmp_path / "out")
    with pytest.raises(assay.CouldNotCheck) as caught:
        assay.compile(bad)
    assert (caught.value.cause, caught.value.help) == (fields["error"], fields["help"])
    assert "help:" in str(caught.value)

    code, fields = command("compile", bad, "-o", tmp_path / "out", "--weight-bits=99")
    with pytest.raises(assay.CouldNotCheck) as caught:
        assay.compile(bad, weight_bits=99)
    assert (code, caught.value.cause) == (2, fields["error"])
