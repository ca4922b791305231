#!/usr/bin/env python3
"""Measures a farm: benches/farm.py ASSAY [--jobs N] [--queue N] [--kills N]

Compares two workers of one thread each with one process of two threads, on the lenet of benches/models; measures what a job takes
outside of its proof; fills a long queue and watches the memory of server, keeper and submitter; kills server and keeper, or a worker,
so many times at random, and counts the proofs. Runs on an idle machine; prints JSON.
"""

import argparse
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = Path(__file__).resolve().parent / "models"


def lines(process):
    for line in process.stdout:
        yield json.loads(line)


class Farm:
    def __init__(self, assay, folder, *more):
        self.assay, self.folder, self.processes = assay, folder, []
        up = self.start("farm", "up", "--port", "0", "--store", "store", *more)
        self.url = next(e["url"] for e in lines(up) if e["event"] == "listening")
        self.up = up

    def start(self, *args):
        process = subprocess.Popen(
            [self.assay, *args, "--json"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.processes.append(process)
        return process

    def stop(self):
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            p.wait()


def run(assay, folder, *args):
    start = time.monotonic()
    out = subprocess.run([assay, *args, "--json"], cwd=folder, capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(out.stdout[-2000:])
    return json.loads(out.stdout.splitlines()[-1]), time.monotonic() - start


def data(folder, count):
    """`count` inputs that differ, in the shape of the model's."""
    base = json.loads((MODELS / "lenet_input.json").read_text())["input_data"][0]
    rows = [[v * (1 - i / (4 * count)) for v in base] for i in range(count)]
    (folder / "input.json").write_text(json.dumps({"input_data": rows}))


def resident(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(p) for p in found] + [c for p in found for c in children(int(p))]


def server_pid(pid):
    for child in children(pid):
        if "nats-server" in Path(f"/proc/{child}/cmdline").read_text().split("\0")[0]:
            return child
    return None


def throughput(assay, folder, jobs):
    data(folder, jobs)
    run(assay, folder, "compile", str(MODELS / "lenet.onnx"), "--calibrate", str(MODELS / "lenet_calibration.npz"), "-o", "model")
    run(assay, folder, "setup", "model", "-o", "key")
    fixed = ["farm", "submit", "model", "input.json", "--key", "key"]
    alone, _ = run(assay, folder, *fixed, "-o", "alone", "--threads", "2")
    farm = Farm(assay, folder)
    try:
        workers = [farm.start("farm", "worker", "--nats", farm.url, "--threads", "1", "--name", n) for n in ("a", "b")]
        for w in workers:
            next(e for e in lines(w) if e["event"] == "working")
        together, _ = run(assay, folder, *fixed, "-o", "together", "--nats", farm.url)
    finally:
        farm.stop()
    return {"one_process_seconds": alone["seconds"], "two_workers_seconds": together["seconds"],
            "ratio": together["seconds"] / alone["seconds"]}


def overhead(assay, folder, jobs):
    """From one proof to the next, without the proof: taking, handing in, and the queue in between."""
    farm = Farm(assay, folder)
    try:
        run(assay, folder, "farm", "submit", "model", "input.json", "--key", "key", "--nats", farm.url)
        worker = farm.start("farm", "worker", "--nats", farm.url, "--threads", "2", "--jobs", str(jobs))
        marks, last, took = [], None, 0.0
        for event in lines(worker):
            if event["event"] == "proven":
                now = time.monotonic()
                if last is not None:
                    marks.append(now - last - event["seconds"])
                last, took = now, event["seconds"]
    finally:
        farm.stop()
    return {"jobs": len(marks), "median_ms": 1e3 * statistics.median(marks), "worst_ms": 1e3 * max(marks)}


def queue(assay, folder, count):
    """Memory while a queue grows: the jobs differ in their inputs."""
    rows = [[(i >> b) & 1 for b in range(64)] for i in range(count)]
    (folder / "long.json").write_text(json.dumps({"input_data": rows}))
    mlp = Path(__file__).resolve().parent.parent / "cli" / "assets" / "digits_mlp.onnx"
    run(assay, folder, "compile", str(mlp), "--weight-bits", "8", "--activation-bits", "8", "--accept-accuracy", "-o", "small")
    run(assay, folder, "setup", "small", "-o", "small.key")
    farm = Farm(assay, folder)
    try:
        submit = farm.start("farm", "submit", "small", "long.json", "--key", "small.key", "--nats", farm.url)
        server, marks, seen, start = server_pid(farm.up.pid), [], 0, time.monotonic()
        for event in lines(submit):
            if event["event"] == "submitted":
                seen += 1
                if seen % max(count // 10, 1) == 0:
                    marks.append({"jobs": seen, "seconds": time.monotonic() - start, "keeper": resident(farm.up.pid),
                                  "server": resident(server) if server else None, "submitter": resident(submit.pid)})
        submit.wait()
        status, seconds = run(assay, folder, "farm", "status", "--nats", farm.url)
    finally:
        farm.stop()
    return {"queued": status["queued"], "marks": marks, "status_seconds": seconds, "status_memory": status["peak_memory_bytes"]}


def kills(assay, folder, count):
    """As `cli/tests/farm/kills.rs`: leases of a second, up to 0.7 s between two kills, one of four that of server and keeper."""
    mlp = MODELS.parents[1] / "cli" / "assets" / "digits_mlp.onnx"
    chance, jobs, number = random.Random(1), 4 + count // 4 * 4, 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    url = f"nats://127.0.0.1:{port}"
    rows = [[(i >> b) & 1 for b in range(64)] for i in range(jobs)]
    (folder / "kills.json").write_text(json.dumps({"input_data": rows}))
    fixed = ["--weight-bits", "8", "--activation-bits", "8", "--accept-accuracy"]
    run(assay, folder, "compile", str(mlp), *fixed, "-o", "small")
    run(assay, folder, "setup", "small", "-o", "small.key")

    def start(*args):
        process = subprocess.Popen([assay, *args, "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True, start_new_session=True)
        if args[1] == "up":
            next(e for e in lines(process) if e["event"] == "listening")
        # Nobody reads what comes next.
        process.stdout.close()
        return process

    def kill(process):
        # The server, too, which is a child of the keeper.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def up():
        return start("farm", "up", "--port", port, "--store", "kills", "--lease", "1s", "--tries", "100")

    def worker():
        nonlocal number
        number += 1
        return start("farm", "worker", "--nats", url, "--name", f"w{number}", "--threads", "1", "--jobs", "100000")

    keeper = up()
    workers = [worker(), worker()]
    submit = ["farm", "submit", "small", "kills.json", "--key", "small.key", "--nats", url]
    servers = 0
    try:
        run(assay, folder, *submit)
        for _ in range(count):
            time.sleep(0.7 * chance.random())
            if chance.randrange(4) == 0:
                kill(keeper)
                keeper, servers = up(), servers + 1
            else:
                i = chance.randrange(2)
                kill(workers[i])
                workers[i] = worker()
        # Collecting checks every proof.
        collected, _ = run(assay, folder, *submit, "--output", "kept", "--timeout", "120s")
    finally:
        for process in [keeper, *workers]:
            kill(process)
    return {"kills": count, "of_server_and_keeper": servers, "jobs": jobs, "collected": collected["accepted"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assay")
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--queue", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=200)
    args = parser.parse_args()
    assay = str(Path(args.assay).resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        result = {"cores": os.cpu_count()}
        if args.jobs:
            result["throughput"] = throughput(assay, folder, args.jobs)
            for old in ("store",):
                subprocess.run(["rm", "-rf", str(folder / old)], check=True)
            result["overhead"] = overhead(assay, folder, args.jobs)
            subprocess.run(["rm", "-rf", str(folder / "store")], check=True)
        if args.queue:
            result["queue"] = queue(assay, folder, args.queue)
        if args.kills:
            result["kills"] = kills(assay, folder, args.kills)
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
