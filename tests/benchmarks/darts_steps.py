"""Times training and search steps of the DARTS space's networks on one core, against PyTorch.

    python tests/benchmarks/darts_steps.py --torch-python PATH
    python tests/benchmarks/darts_steps.py --torch-python PATH --rows search --sizes 4x5

PATH is a Python that has PyTorch; it may be left out. Images are of 32x32, batches of 64 (`--batch`; at 64 PyTorch's
search network of 16 x 8 takes 8 GB); a size is channels x cells.
With `--rematerialize` there is a side more, `again`: the library with gradients that compute each cell again. The rows:

  train    a step of DARTS_V2 as a program of its own (SGD with momentum and weight decay)
  switch   the same as data: one program for any architecture
  search   a step of the search network's weights, clipped, with the mixture of all operations

Each side is a process of its own on one core, and in every round each takes its turn. Steps of one side are a loop in
one program, as training runs them: a program that is called for each step would ask the system for its memory anew.
Prints CPU milliseconds a step (median of the rounds), the median over rounds of the ratio to PyTorch's, CPU seconds to
trace and to compile, what the program takes by its compiler's own analysis, and the peak of the process, which compiled
it too.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from candidate_steps import answer

ROWS = ("train", "switch", "search")
SIZE = 32
TORCH = Path(__file__).with_name("darts_steps_torch.py")


def worker(row: str, channels: int, cells: int, batch: int, rematerialize: bool) -> None:
    """Answers each line of the input, a number of steps, with the CPU seconds of one."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    import jax
    import jax.numpy as jnp
    import optax

    from jnas.core._program_memory import program_bytes
    from jnas.spaces.darts._cells import arch_of
    from jnas.spaces.darts._genotype import PUBLISHED
    from jnas.training.networks.darts._network import darts_network
    from jnas.training.networks.darts._supernet import darts_supernet

    arch, key = arch_of(PUBLISHED["DARTS_V2"]), jax.random.key(0)
    sizes = {"image_shape": (SIZE, SIZE, 3), "num_classes": 10, "channels": channels, "cells": cells}
    sizes["rematerialize"] = rematerialize
    if row == "search":
        net = darts_supernet(**sizes)
        parameters, _ = jax.jit(net.init)(key)
        weights = jnp.full((28, 8), 1 / 8)
        forward = lambda parameters, images: net.mixture(parameters, None, weights, images)[0]  # noqa: E731
        clip = [optax.clip_by_global_norm(5.0)]
    else:
        net = darts_network(**sizes, arch=arch if row == "train" else None)
        parameters, _ = jax.jit(net.init)(key, arch)
        forward = lambda parameters, images: net.apply(parameters, None, arch, images)[0]  # noqa: E731
        clip = []
    optimizer = optax.chain(*clip, optax.add_decayed_weights(3e-4), optax.sgd(0.025, momentum=0.9))
    images, labels = jax.random.normal(key, (batch, SIZE, SIZE, 3)), jnp.arange(batch) % 10

    def step(carry, _):
        parameters, state = carry
        loss, gradients = jax.value_and_grad(
            lambda parameters: jnp.mean(net.task.loss(forward(parameters, images), labels))
        )(parameters)
        updates, state = optimizer.update(gradients, state, parameters)
        return (optax.apply_updates(parameters, updates), state), loss

    def steps(carry, count):
        return jax.lax.fori_loop(0, count, lambda _, carry: step(carry, None)[0], carry)

    start = time.process_time()
    lowered = jax.jit(steps, donate_argnums=0).lower((parameters, optimizer.init(parameters)), jnp.int32(1))
    middle = time.process_time()
    program = lowered.compile()
    end = time.process_time()
    carry = jax.block_until_ready(program((parameters, optimizer.init(parameters)), jnp.int32(1)))
    figures = {"trace": middle - start, "compile": end - middle, "program_mb": program_bytes(program) / 1e6}
    print(json.dumps(figures), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        carry = jax.block_until_ready(program(carry, jnp.int32(int(line))))
        print(json.dumps({"cpu": (time.process_time() - start) / int(line)}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


def start(command: list[str], core: int) -> subprocess.Popen[str]:
    """Returns a process that serves one side on one core."""
    pinned = ["taskset", "--cpu-list", str(core), *command]
    return subprocess.Popen(pinned, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def take_turns(
    sides: dict[str, list[str]], rounds: int, steps: int, core: int
) -> tuple[dict[str, Any], list[dict[str, float]], dict[str, Any]]:
    """Runs the commands of some sides, which time as many steps in turn, all on one core.

    Returns what each says first, the CPU seconds of a step by side in each round, and what each says last.
    """
    processes: dict[str, subprocess.Popen[str]] = {}
    firsts: dict[str, Any] = {}
    try:
        for side, command in sides.items():  # one after another: compilers take more memory than programs
            processes[side] = start(command, core)
            firsts[side] = answer(processes[side])
        found = [{side: ask_for(process, steps) for side, process in processes.items()} for _ in range(rounds)]
        return firsts, found, {side: json.loads(process.communicate()[0]) for side, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()


def compare(row: str, channels: int, cells: int, arguments: argparse.Namespace) -> None:
    """Runs both sides of a row in turn and prints their lines."""
    from jnas.spaces.darts._cells import SHAPE, arch_of
    from jnas.spaces.darts._genotype import PUBLISHED

    sizes = [str(channels), str(cells), str(arguments.batch)]
    own = [sys.executable, __file__, "--worker", row, *sizes]
    sides = {"jnas": [*own, "0"], **({"again": [*own, "1"]} if arguments.rematerialize else {})}
    if arguments.torch_python:
        wirings = json.dumps(arch_of(PUBLISHED["DARTS_V2"]).reshape(SHAPE).tolist())
        sides["torch"] = [arguments.torch_python, str(TORCH), row, *sizes, str(SIZE), wirings]
    firsts, rounds, ends = take_turns(sides, arguments.rounds, arguments.steps, arguments.core)
    for side in sides:
        cpu = 1e3 * statistics.median(each[side] for each in rounds)
        ratio = statistics.median(each[side] / each.get("torch", float("nan")) for each in rounds)
        told = [firsts[side].get(name, float("nan")) for name in ("trace", "compile", "program_mb")]
        numbers = (cpu, ratio, *told, ends[side]["peak_mb"])
        print(f"{row:8s}{channels:4d} x {cells:<3d}{side:6s}" + "".join(f"{n:12.2f}" for n in numbers), flush=True)


def ask_for(process: subprocess.Popen[str], steps: int) -> float:
    """Returns the CPU seconds of a step."""
    assert process.stdin is not None
    process.stdin.write(f"{steps}\n")
    process.stdin.flush()
    return float(answer(process)["cpu"])


def main():
    """Prints the comparison."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], *map(int, sys.argv[3:6]), sys.argv[6] == "1")
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--sizes", nargs="+", default=["4x5", "16x8"])
    for name, default in (("batch", 64), ("rounds", 3), ("steps", 2), ("core", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--torch-python", help="a Python that has PyTorch")
    parser.add_argument("--rematerialize", action="store_true", help="gradients that compute cells again, beside")
    arguments = parser.parse_args()
    heads = ("CPU ms", "/torch", "trace s", "compile s", "program MB", "peak MB")
    print(f"{'':23s}" + "".join(f"{head:>12s}" for head in heads), flush=True)
    for size in arguments.sizes:
        for row in arguments.rows:
            compare(row, *map(int, size.split("x")), arguments)


if __name__ == "__main__":
    main()
