"""Times training and search steps of NAS-Bench-201's networks, one thread each, against PyTorch and an older checkout.

    python tests/benchmarks/training_steps.py --torch-python PATH --against CHECKOUT
    python tests/benchmarks/training_steps.py --torch-python PATH --rows candidate-5 --rounds 3

Sizes are the published ones: 16 channels, images of 32x32, batches of 64. PATH is a Python that has PyTorch and
CHECKOUT a folder of this project at another commit; either may be left out. The rows:

  candidate-1, candidate-5   a training step of one of five candidates, one and five cells a stage, branches in a loop
                             (`candidate_steps.py` says how they are made)
  gdas, rsps, darts-v1       a search step of the supernet with five cells a stage (`supernet_steps.py` says of what)

Each side of each row is a process of its own on one core, and in every round each takes its turn, so that another load
hits all alike; a row is over before the next begins. Prints for each side: CPU milliseconds a step (median and least of
the rounds), the median over rounds of its ratio to PyTorch's and to the older checkout's, CPU seconds to compile, and
peak memory of the process. Ends with an error if the sides' losses differ.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from candidate_steps import answer, ask

ROWS = ("candidate-5", "gdas", "rsps", "darts-v1", "candidate-1")
HERE = Path(__file__).parent
TOLERANCE = 0.002  # of first losses: float32 sums in another order, amplified by a step
STEPS = 5  # a run: one step of five candidates, or five of a supernet


def commands(row: str, arguments: argparse.Namespace, folder: str) -> dict[str, tuple[list[str], str | None]]:
    """Returns the command of each side and the checkout that it imports, and writes what PyTorch needs."""
    sizes = {"channels": arguments.channels, "cells": 5, "size": arguments.size, "batch": arguments.batch}
    form = row
    if row.startswith("candidate"):
        sizes |= {"cells": int(row[-1]), "candidates": STEPS, "steps": 1}
        form = "switch"
    script = HERE / ("candidate_steps.py" if form == "switch" else "supernet_steps.py")
    own = [sys.executable, str(script), "--worker"]
    sides: dict[str, tuple[list[str], str | None]] = {"new": ([*own, json.dumps([form, sizes])], None)}
    if arguments.against:
        checkout = Path(arguments.against).resolve()  # whose own script knows where things were
        old = str(checkout / "tests" / "benchmarks" / script.name)
        sides["old"] = ([sys.executable, old, *sides["new"][0][2:]], str(checkout))
    if arguments.torch_python:
        path = str(Path(folder) / f"{row}.npz")
        subprocess.run([*own, json.dumps([path, sizes])], check=True)
        last = ["1"] if form == "switch" else [row, "1"]
        sides["torch"] = ([arguments.torch_python, str(script.with_name(f"{script.stem}_torch.py")), path, *last], None)
    return sides


def start(command: list[str], checkout: str | None, core: int) -> subprocess.Popen[str]:
    """Returns a process that serves one side on one core."""
    environment = os.environ | ({} if checkout is None else {"PYTHONPATH": checkout})
    pinned = ["taskset", "--cpu-list", str(core), *command]
    return subprocess.Popen(pinned, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def compare(row: str, arguments: argparse.Namespace, folder: str) -> None:
    """Runs all sides of a row in turn and prints their lines."""
    sides, processes, firsts = commands(row, arguments, folder), {}, {}
    try:
        for side, (command, checkout) in sides.items():
            processes[side] = start(command, checkout, arguments.core)
            firsts[side] = answer(processes[side])
            pairs = zip(firsts[side]["losses"][:2], firsts["new"]["losses"][:2], strict=True)
            assert max(abs(a / b - 1) for a, b in pairs) < TOLERANCE, f"{row}: {side} does other work: {firsts}"
        rounds: list[dict[str, Any]] = []
        for number in range(arguments.rounds):
            names = list(sides)[number % len(sides) :] + list(sides)[: number % len(sides)]
            rounds.append({side: ask(processes[side])["cpu"] for side in names})
        ends = {side: json.loads(process.communicate()[0]) for side, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    for side in sides:
        times = [1e3 / STEPS * each[side] for each in rounds]
        numbers = [statistics.median(times), min(times)]
        for other in ("torch", "old"):
            ratios = [each[side] / each.get(other, float("nan")) for each in rounds]
            numbers.append(statistics.median(ratios))
        numbers += [firsts[side]["compile_cpu_s"], ends[side]["peak_mb"]]
        print(f"{row:12s} {side:6s}" + "".join(f"{number:12.2f}" for number in numbers), flush=True)


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    for name, default in (("channels", 16), ("size", 32), ("batch", 64), ("rounds", 5), ("core", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--torch-python", help="a Python that has PyTorch")
    parser.add_argument("--against", help="a checkout of this project at another commit")
    arguments = parser.parse_args()
    heads = ("CPU ms", "least", "/torch", "/old", "compile s", "peak MB")
    print(f"{'':19s}" + "".join(f"{head:>12s}" for head in heads), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for row in arguments.rows:
            compare(row, arguments, folder)


if __name__ == "__main__":
    main()
