"""Keys and proofs: making and checking them, natively and on chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from ._files import Data, PathLike, data_file, folder, is_path
from ._model import Artifact, Described, Model, TensorInfo
from ._progress import ProgressLike
from ._run import options, run
from ._stack import Commits, Stack, commit_options

#: The outputs (or inputs) of a proof's inferences: one array with an axis in front that counts them, or several by name.
Arrays: TypeAlias = "np.ndarray | dict[str, np.ndarray]"
T = TypeVar("T", bound=Artifact)


class _KeyLike(Described):
    @property
    def visibility(self) -> dict[str, bool]:
        """Whether proofs show `inputs` and `outputs`, and whether `weights` are public."""
        return dict(self._show()["visibility"])

    @property
    def insecure_srs(self) -> bool:
        """Whether it was made with development powers of tau, under which anybody can forge proofs."""
        return bool(self._show()["insecure_srs"])


K = TypeVar("K", bound=_KeyLike)


class Key(_KeyLike):
    """Checks core proofs of one model. It is the trust anchor: make it yourself or take it from somebody you trust."""

    _kind = "key"
    _suffix = ".key"

    @property
    def digest(self) -> str:
        """Names the key, in hexadecimal."""
        return str(self._show()["key_digest"])

    @property
    def model_id(self) -> str:
        return str(self._show()["model_id"])

    def __repr__(self) -> str:
        return f"<assay.Key {self.digest[:16]} of model {self.model_id[:16]}>"


class SettlementKey(_KeyLike):
    """Checks settled proofs of one model and batch size, natively and as the contract does."""

    _kind = "settlement_key"
    _suffix = ".settlement"

    @property
    def id(self) -> str:
        """Names the key on every chain, in hexadecimal."""
        return str(self._show()["settlement_id"])

    @property
    def batch(self) -> int:
        return int(self._show()["batch"])

    def __repr__(self) -> str:
        return f"<assay.SettlementKey {self.id[:16]}>"


class _ProofLike(Artifact):
    """Proofs that were made here know their key, their outputs and what making them took."""

    def __init__(self, data: bytes, key: _KeyLike | None = None, outputs: Arrays | None = None, info: Mapping[str, Any] = {}) -> None:
        super().__init__(data)
        self._key = key
        self._outputs = outputs
        self._committed: Stack | None = None
        #: What the command line says with `--json` about a proof that was made here.
        self.info: dict[str, Any] = dict(info)

    def _own(self, kind: type[K]) -> K:
        if not isinstance(self._key, kind):
            raise AttributeError("a proof does not hold its key: take it from somebody you trust")
        return self._key

    @property
    def outputs(self) -> Arrays:
        """What the model computed. Only of a proof that was made here; what a foreign proof shows, `verify` returns."""
        if self._outputs is None:
            raise AttributeError("only a proof that was made here knows its outputs; verify(proof, key).outputs has a foreign one's")
        return self._outputs

    @property
    def committed(self) -> Stack:
        """The stack of outputs of a proof that was made here with `commit_outputs=True`."""
        if self._committed is None:
            raise AttributeError("only a proof that was made here with commit_outputs=True has committed its outputs")
        return self._committed


class Proof(_ProofLike):
    """A core proof: sound, but NOT hiding."""

    _kind = "proof"
    _suffix = ".proof"

    @property
    def key(self) -> Key:
        """The key of a proof that was made here."""
        return self._own(Key)

    def __repr__(self) -> str:
        return f"<assay.Proof, {len(self)} bytes, not hiding>"


class SettledProof(_ProofLike):
    """A zero-knowledge proof of constant size, bound to a chain, a contract, a job and a recipient."""

    _kind = "settled_proof"
    _suffix = ".settled"

    @property
    def key(self) -> SettlementKey:
        """The key of a proof that was made here."""
        return self._own(SettlementKey)

    @property
    def context(self) -> dict[str, Any]:
        """What it is bound to: `chain_id`, `consumer`, `job`, `recipient`."""
        shown = self._show()
        return {name: shown[name] for name in ("chain_id", "consumer", "job", "recipient")}

    def __repr__(self) -> str:
        return f"<assay.SettledProof, {len(self)} bytes, zero-knowledge>"


@dataclass(frozen=True)
class Verified:
    """What a valid proof shows."""

    #: Number of inferences.
    batch: int
    #: Model id of a core proof, settlement id of a settled one.
    id: str
    #: `None` where they are private.
    inputs: Arrays | None
    outputs: Arrays | None
    #: Whether the proof hides what it does not show: a settled one does.
    hiding: bool
    #: Whether anybody could have forged it, as the key uses development powers of tau.
    insecure_srs: bool
    #: What a settled proof is bound to.
    context: dict[str, Any] | None
    #: All fields of the command line's result.
    info: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Estimate:
    """What a proof will cost. Bytes and executed gas are exact, seconds and memory are predicted."""

    prove_seconds: float
    setup_seconds: float
    memory_bytes: int
    proof_bytes: int
    #: `None` of what cannot be settled, and of everything below.
    settle_seconds: float | None
    settled_proof_bytes: int | None
    #: To verify on chain, at most.
    gas: int | None
    #: All fields of the command line's result.
    info: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class OnChain:
    """What the contract said: it accepts the proof."""

    #: Address of the contract.
    contract: str
    chain_id: int
    #: Of a transaction that verifies.
    gas: int
    calldata_bytes: int
    #: All fields of the command line's result.
    info: dict[str, Any] = field(repr=False)


def _place(where: Path, thing: Artifact | bytes | PathLike, kind: type[T]) -> Path:
    """The file of something that is given as an object, as bytes or as a file."""
    if isinstance(thing, kind):
        return thing._file(where)
    if isinstance(thing, (bytes, bytearray, memoryview)):
        return kind(bytes(thing))._file(where)
    if is_path(thing):
        return Path(thing)  # type: ignore[arg-type]
    raise TypeError(f"expected an assay.{kind.__name__}, its bytes or a file, got {type(thing).__name__}")


def _arrays(flat: list[list[float]] | None, specs: tuple[TensorInfo, ...], batch: int) -> Arrays | None:
    """Lists as the command line prints them: for each inference one of each tensor."""
    if flat is None:
        return None
    out = {
        t.name: np.array(flat[k :: len(specs)], dtype=np.float32).reshape((batch, *t.batched)) for k, t in enumerate(specs)
    }
    return next(iter(out.values())) if len(out) == 1 else out


def _open(specs: tuple[TensorInfo, ...], names: list[str]) -> tuple[TensorInfo, ...]:
    """Those that no named stack holds."""
    return tuple(t for t in specs if t.name in names)


def _visible(public_inputs: bool, private_outputs: bool, public_weights: bool, row_bits: int | None) -> dict[str, Any]:
    return {
        "public_inputs": public_inputs,
        "private_outputs": private_outputs,
        "public_weights": public_weights,
        "row_bits": row_bits,
    }


def _model(where: Path, model: Model | bytes | PathLike) -> tuple[Path, Model]:
    path = _place(where, model, Model)
    return path, model if isinstance(model, Model) else Model.load(path)


def setup(
    model: Model | bytes | PathLike,
    *,
    public_inputs: bool = False,
    private_outputs: bool = False,
    public_weights: bool = False,
    row_bits: int | None = None,
    commits: Commits | None = None,
    srs: PathLike | None = None,
    progress: ProgressLike = None,
) -> Key:
    """Commits to a model, once: makes the key that checks core proofs. With `commits`, of proofs about stacks of their schemas.

    Without `srs`, powers of tau are DEVELOPMENT ones, under which anybody can forge proofs; a warning says so.
    """
    with folder() as where:
        out = where / "out.key"
        given = {**_visible(public_inputs, private_outputs, public_weights, row_bits), "srs": srs}
        given |= commit_options(where, commits, ("input", "weights"))
        run("setup", _place(where, model, Model), "-o", out, *options(given), progress=progress)
        return Key(out.read_bytes())


def prove(
    model: Model | bytes | PathLike,
    inputs: Data | None = None,
    *,
    key: Key | bytes | PathLike | None = None,
    public_inputs: bool = False,
    private_outputs: bool = False,
    public_weights: bool = False,
    row_bits: int | None = None,
    commits: Commits | None = None,
    commit_outputs: bool = False,
    strict: bool = False,
    srs: PathLike | None = None,
    progress: ProgressLike = None,
) -> Proof:
    """Proves inferences: all of the samples in `inputs`, in one core proof. It is sound but NOT hiding.

    Args:
        model: what `compile` made.
        inputs: an array with an axis in front that counts samples, several arrays in the model's order or by name, or a file;
            left out where a stack holds them.
        commits: stacks that hold inputs or weights, as `commit` made them: `{"input": stack}`. The proof shows their ids.
        commit_outputs: commit to the outputs and do not show them; the stack is `proof.committed`.
        key: what `setup` made; without it one is made, or taken from the cache, with the options below.
        strict: refuse inputs outside of the calibrated range instead of clamping them.
        progress: a function of `Progress`, a tqdm bar, or `True` for a bar of its own.

    Raises:
        CouldNotCheck: the inputs do not fit, or the key is of another model.
    """
    with folder() as where:
        path, loaded = _model(where, model)
        data = [] if inputs is None else [data_file(where, inputs, [t.name for t in loaded.inputs], "input")]
        out, key_out, held = where / "out.proof", where / "out.key", where / "outputs.stack"
        given: dict[str, Any] = _visible(public_inputs, private_outputs, public_weights, row_bits)
        given |= {"strict": strict, "srs": srs, "key": None if key is None else _place(where, key, Key), "key_out": key_out}
        given |= commit_options(where, commits, ("input", "weights"), held if commit_outputs else None)
        info = run("prove", path, *data, "-o", out, *options(given), progress=progress)
        outputs = _arrays(info["outputs"], loaded.outputs, info["batch"])
        proof = Proof(out.read_bytes(), Key(key_out.read_bytes()), outputs, info)
        proof._committed = Stack(held.read_bytes()) if commit_outputs else None
        return proof


def settle(
    model: Model | bytes | PathLike,
    inputs: Data | None = None,
    *,
    chain_id: int = 31337,
    consumer: str | None = None,
    job: str | None = None,
    recipient: str | None = None,
    public_inputs: bool = False,
    private_outputs: bool = False,
    public_weights: bool = False,
    row_bits: int | None = None,
    optimize: str = "gas",
    secret: PathLike | None = None,
    commits: Commits | None = None,
    commit_outputs: bool = False,
    strict: bool = False,
    srs: PathLike | None = None,
    progress: ProgressLike = None,
) -> SettledProof:
    """Proves inferences for a chain: constant size, zero-knowledge.

    Args:
        model, inputs, commits, commit_outputs, strict, progress: as for `prove`. Weights in a stack are part of the key.
        chain_id, consumer, job, recipient: what the proof is bound to (EIP-155 id; addresses and 32 bytes in hexadecimal).
        optimize: what the row length is chosen for, `"gas"` or `"time"`.
        secret: file with the secret that blinds the weights; without it one is kept in the cache folder.
    """
    with folder() as where:
        path, loaded = _model(where, model)
        data = [] if inputs is None else [data_file(where, inputs, [t.name for t in loaded.inputs], "input")]
        out, key_out, held = where / "out.settled", where / "out.settlement", where / "outputs.stack"
        given: dict[str, Any] = _visible(public_inputs, private_outputs, public_weights, row_bits)
        given |= {"chain_id": chain_id, "consumer": consumer, "job": job, "recipient": recipient, "optimize": optimize}
        given |= {"secret": secret, "strict": strict, "srs": srs, "key_out": key_out}
        given |= commit_options(where, commits, ("input", "weights"), held if commit_outputs else None)
        info = run("settle", path, *data, "-o", out, *options(given), progress=progress)
        key = SettlementKey(key_out.read_bytes())
        proof = SettledProof(out.read_bytes(), key, _arrays(info["outputs"], loaded.outputs, key.batch), info)
        proof._committed = Stack(held.read_bytes()) if commit_outputs else None
        return proof


def verify(
    proof: Proof | SettledProof | bytes | PathLike,
    key: Key | SettlementKey | bytes | PathLike,
    *,
    inputs: Data | None = None,
    outputs: Data | None = None,
    commits: Commits | None = None,
    model_id: str | None = None,
    training: PathLike | None = None,
    srs: PathLike | None = None,
    progress: ProgressLike = None,
) -> Verified:
    """Checks a proof under a key, and returns what it shows.

    Args:
        proof: a core proof or a settled one.
        key: the key of that kind of proof. It is the trust anchor; a proof does not bring its own.
        inputs: also check that the proof is about these (of a key with public inputs).
        outputs: also check that the proof shows these.
        commits: also check that the proof is about these stacks: `{"input": stack, "output": stack}`.
        model_id: also check that the key is of this model (of a settled proof: the settlement id).
        training: also check that the proof is of this training run, or of its evaluation: the record that `train` wrote.
        srs: powers of tau, to recompute a settlement key that uses real ones.

    Raises:
        InvalidProof: the proof is not valid, or not about what was asked.
        CouldNotCheck: nothing was shown either way.
    """
    with folder() as where:
        path = _place(where, proof, SettledProof if isinstance(proof, SettledProof) else Proof)
        key_path = _place(where, key, SettlementKey if isinstance(key, SettlementKey) else Key)
        given: dict[str, Any] = {"key": key_path, "model_id": model_id, "training": training, "srs": srs}
        given |= commit_options(where, commits, ("input", "weights", "output"))
        shown: _KeyLike | None = None
        if inputs is not None or outputs is not None:
            shown = _key(key_path)
            if inputs is not None:
                given["input"] = data_file(where, inputs, [t.name for t in shown.inputs], "inputs")
            if outputs is not None:
                given["output"] = data_file(where, outputs, [t.name for t in shown.outputs], "outputs")
        info = run("verify", path, *options(given), progress=progress)
        shown = shown or _key(key_path)
    batch = info["batch"]
    names = ("chain_id", "consumer", "job", "recipient")
    return Verified(
        batch=batch,
        id=info.get("settlement_id") or info["model_id"],
        inputs=_arrays(info["inputs"], _open(shown.inputs, info["shown"]["inputs"]), batch),
        outputs=_arrays(info["outputs"], _open(shown.outputs, info["shown"]["outputs"]), batch),
        hiding=info["hiding"],
        insecure_srs=info["insecure_srs"],
        context={n: info[n] for n in names} if "chain_id" in info else None,
        info=info,
    )


def _key(path: Path) -> _KeyLike:
    data = path.read_bytes()
    return SettlementKey(data) if data[:8] == b"ASSAYSKY" else Key(data)


def estimate(
    subject: Model | Key | bytes | PathLike,
    batch: int = 1,
    *,
    optimize: str = "gas",
    public_inputs: bool = False,
    private_outputs: bool = False,
    public_weights: bool = False,
    row_bits: int | None = None,
    progress: ProgressLike = None,
) -> Estimate:
    """Predicts what a proof of `batch` inferences will cost, before making it. `subject` is a model or a key."""
    with folder() as where:
        path = _place(where, subject, Key if isinstance(subject, Key) else Model)
        given = _visible(public_inputs, private_outputs, public_weights, row_bits)
        if isinstance(subject, Key) and any(given.values()):
            raise ValueError("a key fixes what is public and the rows: give these options to setup")
        info = run("estimate", path, *options({"batch": batch, "optimize": optimize, **given}), progress=progress)
    s = info["settlement"] or {}
    return Estimate(
        prove_seconds=info["prove_seconds"],
        setup_seconds=info["setup_seconds"],
        memory_bytes=info["memory_bytes"],
        proof_bytes=info["proof_bytes"],
        settle_seconds=s.get("settle_seconds"),
        settled_proof_bytes=s.get("proof_bytes"),
        gas=s.get("gas"),
        info=info,
    )


def verify_on_chain(
    proof: SettledProof | bytes | PathLike,
    key: SettlementKey | bytes | PathLike | None = None,
    *,
    rpc: str | None = None,
    contract: str | None = None,
    progress: ProgressLike = None,
) -> OnChain:
    """Asks the verifier contract whether it accepts a settled proof.

    Without `rpc` the contract is deployed on an EVM inside of this process and the key registered with it: the same bytecode as
    on a chain. With `rpc` and `contract` a node is asked, and nothing is sent; the contract must know the key.

    Raises:
        InvalidProof: the contract does not accept it.
        CouldNotCheck: there is no answer.
    """
    with folder() as where:
        path = _place(where, proof, SettledProof)
        given: dict[str, Any] = {"rpc": rpc, "contract": contract}
        if key is not None:
            given["key"] = _place(where, key, SettlementKey)
        info = run("chain", "verify", path, *options(given), progress=progress)
    return OnChain(
        contract=info["contract"],
        chain_id=info["chain_id"],
        gas=info["gas"],
        calldata_bytes=info["calldata_bytes"],
        info=info,
    )
