"""Times the supernet of NAS-Bench-101, in the library and in PyTorch: training steps, and scoring cells.

    python tests/benchmarks/shared_cells.py --torch-python PATH                # 16 channels, 1 module a stack
    python tests/benchmarks/shared_cells.py --torch-python PATH --cells 3 --repeats 1 --works spos

PATH is a Python that has PyTorch; without it, the library alone. The works:

  spos     a step of the weights with one cell, of batches of images
  scoring  the accuracies of cells under the shared weights, with statistics of each batch, one cell after another

A run is a step, or a score, of each of five uniform cells of up to seven vertices (of the library, one program).
PyTorch computes all output channels of a convolution and cuts them after ReLU, as the released supernet does; the
library computes those that the cell has. Both sides start from the same numbers, and the benchmark ends with an error
if the losses of the first two steps, or the accuracies, differ. Each work of each side runs in a process of its own and
takes its turn in every round, so that another load hits all alike. Prints for each, per cell: wall and CPU milliseconds
(medians of the rounds; CPU of all threads), the median over rounds of the ratio of the CPU times, seconds to compile
(wall, CPU) and peak memory of the process.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from supernet_steps import compare_sides

WORKS = ("spos", "scoring")
CELLS = 5


def make_problem(sizes):
    """Returns the supernet, its first weights, a batch of training images for each cell, images to score, and cells."""
    import jax
    import numpy as np

    from jnas.searchers.weight_sharing._shared_weights import begin_weights
    from jnas.spaces import nasbench101_cells
    from jnas.training import nasbench101_supernet

    rng, size = np.random.default_rng(0), sizes["size"]
    supernet = nasbench101_supernet(
        image_shape=(size, size, 3), num_classes=10, channels=sizes["channels"], cells=sizes["cells"]
    )
    labels = rng.integers(0, 10, CELLS * sizes["batch"] + sizes["scored"])
    images = np.float32(rng.normal(size=(len(labels), size, size, 3)) + 0.3 * (labels[:, None, None, None] - 4.5))
    trained = slice(CELLS * sizes["batch"])
    cells = nasbench101_cells()
    return {
        "supernet": supernet,
        "weights": jax.jit(lambda key: begin_weights(key, supernet))(jax.random.key(0)),
        "images": images[trained].reshape(CELLS, sizes["batch"], size, size, 3),
        "labels": np.int32(labels[trained].reshape(CELLS, -1)),
        "scored_images": images[trained.stop :].reshape(-1, sizes["scored_batch"], size, size, 3),
        "scored_labels": np.int32(labels[trained.stop :].reshape(-1, sizes["scored_batch"])),
        "archs": np.int32(cells[rng.choice(len(cells), CELLS, replace=False)]),
    }


def function_of(work, problem):
    """Returns the function of a run and its arguments; it returns a number for each cell."""
    import jax
    import jax.numpy as jnp

    from jnas.core._vocabulary import Examples
    from jnas.searchers.weight_sharing._shared_weights import train_arch
    from jnas.searchers.weight_sharing._spos import EVALUATED_SGD

    supernet = problem["supernet"]

    def steps(weights, images, labels, archs):
        def step(weights, each):
            images, labels, arch = each
            weights, measured = train_arch(supernet, weights, arch, Examples(images, labels), 0.025, EVALUATED_SGD)
            return weights, measured.loss

        return jax.lax.scan(step, weights, (images, labels, archs))[1]

    def scores(weights, images, labels, archs):
        def score(arch):
            def right(total, batch):
                logits, _ = supernet.sampled(weights.shared.parameters, None, arch, batch[0])
                return total + jnp.sum(jnp.argmax(logits, 1) == batch[1]), None

            return jax.lax.scan(right, jnp.int32(0), (images, labels))[0] / labels.size

        return jax.lax.map(score, archs)

    prefix = "" if work == "spos" else "scored_"
    names = (f"{prefix}images", f"{prefix}labels", "archs")
    return (steps if work == "spos" else scores), (problem["weights"], *(jnp.asarray(problem[n]) for n in names))


def work_on(work, sizes):
    """Compiles a run, does it, and then once for each line of the standard input; answers in JSON."""
    import jax

    function, arguments = function_of(work, make_problem(sizes))
    wall, cpu = time.perf_counter(), time.process_time()
    program = jax.jit(function).lower(*arguments).compile()
    figures = {"compile_s": time.perf_counter() - wall, "compile_cpu_s": time.process_time() - cpu}
    print(json.dumps({"losses": jax.block_until_ready(program(*arguments)).tolist(), **figures}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(program(*arguments))
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


def write_problem(path, sizes):
    """Writes what PyTorch needs, as `.npz`: the same images, labels, parameters, and cells as plain graphs."""
    import jax
    import numpy as np

    from jnas.spaces.nasbench101._cells import NUM_EDGES, host_pruned
    from jnas.spaces.nasbench101._cost import compute_vertex_channels

    problem = make_problem(sizes)
    leaves = jax.tree_util.tree_leaves_with_path(problem["weights"].shared.parameters)
    named = {"parameters" + jax.tree_util.keystr(place): leaf for place, leaf in leaves}
    matrices, channels = [], []
    for arch in problem["archs"]:
        matrix, used = host_pruned(arch)
        widths = np.zeros((3, 7), np.int32)
        for stack in range(3):
            widths[stack, used] = compute_vertex_channels(0, sizes["channels"] * 2**stack, matrix[np.ix_(used, used)])
        matrices.append(matrix)
        channels.append(widths)
    rest = {name: each for name, each in problem.items() if name not in ("supernet", "weights", "archs")}
    operations = problem["archs"][:, NUM_EDGES:]
    cells = {"matrices": np.stack(matrices), "channels": np.stack(channels), "operations": operations}
    np.savez(path, modules=sizes["cells"], **rest, **named, **cells)


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    defaults = {"channels": 16, "cells": 1, "size": 32, "batch": 64, "scored": 1000, "scored_batch": 250}
    for name, default in {**defaults, "repeats": 5, "threads": 1}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--works", nargs="+", default=list(WORKS), choices=WORKS)
    parser.add_argument("--torch-python", help="a Python that has PyTorch, which runs --threads threads")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work, sizes = json.loads(arguments.worker)
        (write_problem if work.endswith(".npz") else work_on)(work, sizes)
        return
    sizes = {name: getattr(arguments, name) for name in defaults}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "problem.npz")
        own, torch = [sys.executable, __file__], None
        if arguments.torch_python:
            subprocess.run([*own, "--worker", json.dumps([path, sizes])], check=True)
            torch = [arguments.torch_python, str(Path(__file__).with_name("shared_cells_torch.py")), path]
        compare_sides(own, arguments.works, sizes, torch, arguments.threads, arguments.repeats)


if __name__ == "__main__":
    main()
