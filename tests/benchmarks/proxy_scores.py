"""Times scores without training of NAS-Bench-201's cells on one core, against PyTorch.

    python tests/benchmarks/proxy_scores.py --torch-python PATH
    python tests/benchmarks/proxy_scores.py --torch-python PATH --proxies synflow --steps 20 --rounds 3

PATH is a Python that has PyTorch; it may be left out. Each proxy by itself, of random cells, on a batch of 64 images of
32 by 32 at 16 channels and one cell a stage; one cell after another on both sides, PyTorch's networks made anew for
each, as released code makes them. Each side is a process of its own on one core, and in every round each takes its
turn, on `--steps` cells. Prints CPU milliseconds a cell (median of the rounds), CPU seconds to trace and to compile,
and how many times as long PyTorch takes for 1,000 cells, with compiling and without.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

from darts_steps import take_turns

PROXIES = ("synflow", "grad_norm", "jacov", "nwot")
SIZES = {"image_shape": (32, 32, 3), "num_classes": 10, "channels": 16, "cells": 1}
BATCH, MANY = 64, 1000
TORCH = Path(__file__).with_name("proxy_scores_torch.py")


def worker(proxy: str) -> None:
    """Answers each line of the input, a number of cells, with the CPU seconds of one."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    import jax
    import jax.numpy as jnp

    from jnas.training import Examples, nasbench201_network, proxy_scores

    net = nasbench201_network(**SIZES)
    images = jax.random.normal(jax.random.key(0), (1, BATCH, *SIZES["image_shape"]))
    batch = Examples(images, jnp.arange(BATCH)[None] % SIZES["num_classes"])

    def score(key, archs, count):
        def another(number, total):
            return total + jnp.nan_to_num(
                proxy_scores(key[None], archs[number][None], net, batch, [proxy])[proxy][0, 0]
            )

        return jax.lax.fori_loop(0, count, another, jnp.float32(0))

    archs = jax.random.randint(jax.random.key(1), (MANY, 6), 0, 5)
    start = time.process_time()
    lowered = jax.jit(score).lower(jax.random.key(2), archs, jnp.int32(1))
    middle = time.process_time()
    program = lowered.compile()
    end = time.process_time()
    jax.block_until_ready(program(jax.random.key(2), archs, jnp.int32(1)))
    print(json.dumps({"trace": middle - start, "compile": end - middle}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        jax.block_until_ready(program(jax.random.key(2), archs, jnp.int32(int(line))))
        print(json.dumps({"cpu": (time.process_time() - start) / int(line)}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


def compare(proxy: str, arguments: argparse.Namespace) -> None:
    """Runs both sides of a proxy in turn and prints a line."""
    import jax
    import numpy as np

    archs = np.asarray(jax.random.randint(jax.random.key(1), (MANY, 6), 0, 5)).tolist()
    sides = {"jnas": [sys.executable, __file__, "--worker", proxy]}
    if arguments.torch_python:
        sides["torch"] = [arguments.torch_python, str(TORCH), proxy, json.dumps(archs), str(BATCH)]
    firsts, rounds, _ = take_turns(sides, arguments.rounds, arguments.steps, arguments.core)
    own = statistics.median(each["jnas"] for each in rounds)
    other = statistics.median(each.get("torch", float("nan")) for each in rounds)
    ahead = firsts["jnas"]["trace"] + firsts["jnas"]["compile"]
    ratios = MANY * other / (ahead + MANY * own), other / own
    told = (1e3 * own, 1e3 * other, firsts["jnas"]["trace"], firsts["jnas"]["compile"], *ratios)
    print(f"{proxy:12s}" + "".join(f"{number:12.2f}" for number in told), flush=True)


def main() -> None:
    """Prints the comparison."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxies", nargs="+", default=list(PROXIES), choices=PROXIES)
    for name, default in (("rounds", 3), ("steps", 20), ("core", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--torch-python", help="a Python that has PyTorch")
    arguments = parser.parse_args()
    heads = ("CPU ms", "torch's", "trace s", "compile s", "of 1,000", "of one")
    print(f"{'':12s}" + "".join(f"{head:>12s}" for head in heads), flush=True)
    for proxy in arguments.proxies:
        compare(proxy, arguments)


if __name__ == "__main__":
    main()
