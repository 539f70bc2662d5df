"""Times training steps of language models of recurrent cells on one core, against PyTorch.

    python tests/benchmarks/recurrent_steps.py --torch-python PATH
    python tests/benchmarks/recurrent_steps.py --torch-python PATH --rows many --seeds 4

PATH is a Python that has PyTorch; it may be left out. A step is a window of 35 words, forward and backward, the clipped
gradient and the update, at 64 units, batches of 64 and 10,000 words. The rows:

  one     DARTS_V2's eight nodes, as a program of its own
  data    the same as data: one program for any cell
  many    the 32 cells of two nodes with as many seeds each as are asked for, in one program, one after another
  side    the same side by side, by `vmap`

Each side is a process of its own on one core, and in every round each takes its turn; PyTorch trains each of the cells
one after another, as plain modules. Prints CPU milliseconds a step of one member (median of the rounds), the median
over rounds of the ratio to PyTorch's, CPU seconds to trace and to compile, and peak memory.
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

ROWS = ("one", "data", "many", "side")
WORDS, STEPS = 10_000, 35
TORCH = Path(__file__).with_name("recurrent_steps_torch.py")


def cells(row: str, count: int) -> list[list[int]]:
    """Returns the architectures of a row, of the 32 so many."""
    from jnas.spaces.recurrent._genotype import PUBLISHED_RECURRENT, format_recurrent
    from jnas.spaces.recurrent._space import recurrent

    if row in ("one", "data"):
        return [recurrent().from_string(format_recurrent(PUBLISHED_RECURRENT["DARTS_V2"])).tolist()]
    all_cells = [[0, first, read, second] for first in range(4) for read in range(2) for second in range(4)]
    return all_cells[:: max(1, 32 // count)]


def worker(row: str, units: int, batch: int, count: int, seeds: int) -> None:
    """Answers each line of the input, a number of steps, with the CPU seconds of one of a member."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jnas.training._recipe import TextRecipe, get_recipe
    from jnas.training.networks.recurrent._language_model import language_model
    from jnas.training.operations._forms import over_members
    from jnas.training.runs._language import Averaging, _step, _Total

    archs = np.repeat(np.asarray(cells(row, count), np.int32), seeds if row in ("many", "side") else 1, 0)
    form = {"one": "static", "side": "mixture"}.get(row, "switch")
    nodes = archs.shape[1] // 2
    net = language_model(num_words=WORDS, channels=units, nodes=nodes, form=form, arch=archs[0])
    plain = {f"drop_{name}": 0.0 for name in ("words", "embedding", "input", "hidden", "output")}
    recipe = get_recipe("text-small-8", text=TextRecipe(**plain, slowness=0.0, patience=0), weight_decay=0.0)
    tokens = jax.random.randint(jax.random.key(0), (STEPS + 1, batch), 0, WORDS)
    hidden, length, key = jnp.zeros((batch, units)), jnp.int32(STEPS), jax.random.key(1)

    def one(parameters, arch):
        total = _Total(Averaging(parameters, jnp.int32(-1), None, None), parameters, hidden, jnp.float32(0))
        return _step(total, tokens, length, length, key, arch, recipe, net).mean

    def steps(parameters, count):
        step = over_members(one, form)
        return jax.lax.fori_loop(0, count, lambda _, parameters: step(parameters, jnp.asarray(archs)), parameters)

    begin = jax.jit(jax.vmap(lambda key, arch: net.init(key, arch)[0]))
    parameters = begin(jax.random.split(jax.random.key(2), len(archs)), jnp.asarray(archs))
    start = time.process_time()
    lowered = jax.jit(steps, donate_argnums=0).lower(parameters, jnp.int32(1))
    middle = time.process_time()
    program = lowered.compile()
    end = time.process_time()
    parameters = jax.block_until_ready(program(parameters, jnp.int32(1)))
    print(json.dumps({"trace": middle - start, "compile": end - middle}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        parameters = jax.block_until_ready(program(parameters, jnp.int32(int(line))))
        print(json.dumps({"cpu": (time.process_time() - start) / int(line) / len(archs)}), flush=True)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}), flush=True)


def compare(row: str, arguments: argparse.Namespace) -> None:
    """Runs both sides of a row in turn and prints their lines."""
    sizes = [str(arguments.units), str(arguments.batch)]
    sides = {"jnas": [sys.executable, __file__, "--worker", row, *sizes, str(arguments.cells), str(arguments.seeds)]}
    if arguments.torch_python:
        archs = cells(row, arguments.torch_cells)
        sides["torch"] = [arguments.torch_python, str(TORCH), *sizes, str(STEPS), str(WORDS), json.dumps(archs)]
    firsts, rounds, ends = take_turns(sides, arguments.rounds, arguments.steps, arguments.core)
    for side in sides:
        cpu = 1e3 * statistics.median(each[side] for each in rounds)
        ratio = statistics.median(each[side] / each.get("torch", float("nan")) for each in rounds)
        print(
            f"{row:6} {side:6} {cpu:9.1f} ms  {ratio:6.2f} of PyTorch  trace {firsts[side]['trace']:5.1f} s  "
            f"compile {firsts[side]['compile']:5.1f} s  peak {ends[side]['peak_mb']:7.0f} MB",
            flush=True,
        )


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="a Python that has PyTorch")
    parser.add_argument("--rows", default=",".join(ROWS), help="with commas between them")
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=4, help="of each cell, in the rows many and side")
    parser.add_argument("--cells", type=int, default=32, help="how many of the 32 cells, in the rows many and side")
    parser.add_argument("--torch-cells", type=int, default=8, help="how many of the 32 cells PyTorch trains")
    parser.add_argument("--steps", type=int, default=1, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument(
        "--worker", nargs=5, metavar=("ROW", "UNITS", "BATCH", "CELLS", "SEEDS"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker[0], *map(int, arguments.worker[1:]))
        return
    for row in arguments.rows.split(","):
        compare(row, arguments)


if __name__ == "__main__":
    main()
