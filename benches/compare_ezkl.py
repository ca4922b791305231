"""Times EZKL on a network of benches/models, as its tutorial runs it: one JSON line.

    python benches/compare_ezkl.py mlp [--repeats N]

Needs the versions in benches/requirements.txt. The model's batch axis is fixed to 1, settings are calibrated for resources on the
input itself, and powers of tau are made locally: a setup that is as favourable to EZKL as its defaults allow.
"""

import argparse
import asyncio
import inspect
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import ezkl
import onnx

MODELS = Path(__file__).parent / "models"


def call(function, **arguments):
    """Some functions are coroutines in some versions."""
    result = function(**arguments)

    async def wait():
        return await result

    return asyncio.run(wait()) if inspect.isawaitable(result) else result


def fix_batch(source, target):
    model = onnx.load(source)
    for value in list(model.graph.input) + list(model.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        axis.ClearField("dim_param")
        axis.dim_value = 1
    onnx.save(model, target)


def measure(name, repeats):
    with tempfile.TemporaryDirectory() as folder:
        at = lambda file: str(Path(folder) / file)
        fix_batch(MODELS / f"{name}.onnx", at("model.onnx"))
        data = str(MODELS / f"{name}_input.json")
        call(ezkl.gen_settings, model=at("model.onnx"), output=at("settings.json"))
        call(ezkl.calibrate_settings, data=data, model=at("model.onnx"), settings=at("settings.json"), target="resources")
        call(ezkl.compile_circuit, model=at("model.onnx"), compiled_circuit=at("circuit"), settings_path=at("settings.json"))
        logrows = json.loads(Path(at("settings.json")).read_text())["run_args"]["logrows"]
        call(ezkl.gen_srs, srs_path=at("srs"), logrows=logrows)
        start = time.perf_counter()
        call(ezkl.setup, model=at("circuit"), vk_path=at("vk"), pk_path=at("pk"), srs_path=at("srs"))
        setup = time.perf_counter() - start
        proofs, checks = [], []
        for _ in range(repeats):
            start = time.perf_counter()
            call(ezkl.gen_witness, data=data, model=at("circuit"), output=at("witness"))
            call(ezkl.prove, witness=at("witness"), model=at("circuit"), pk_path=at("pk"), proof_path=at("proof"), srs_path=at("srs"))
            proofs.append(time.perf_counter() - start)
            start = time.perf_counter()
            valid = call(
                ezkl.verify, proof_path=at("proof"), settings_path=at("settings.json"), vk_path=at("vk"), srs_path=at("srs")
            )
            checks.append(time.perf_counter() - start)
            if not valid:
                sys.exit("ezkl does not accept its own proof")
        return {
            "network": name,
            "system": f"ezkl {ezkl.__version__}",
            "logrows": logrows,
            "setup_seconds": setup,
            "prove_seconds": statistics.median(proofs),
            "verify_seconds": statistics.median(checks),
            "repeats": repeats,
            # Kilobytes on Linux.
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    print(json.dumps(measure(options.network, options.repeats)))
