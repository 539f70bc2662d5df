"""Times whole searches of BANANAS in its default settings, many seeds in one program.

    python tests/benchmarks/bananas_runs.py [--table T.npz --dataset cifar10 --epochs 200] [--seeds 1 32 200]

Searches the table that comes with the library unless another is named. Prints for each number of seeds the seconds to
trace and compile the program, and the seconds a search, each as wall time and as CPU time of all threads, and the mean
of the best scores. The released program takes 95 to 115 CPU-seconds for a search of 150 queries.
"""

import argparse
import time

import jax
import numpy as np

import jnas


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", default="digits")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--evaluations", type=int, default=150)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 32, 200])
    options = parser.parse_args()
    table = jnas.load_table(options.table)
    objective = table.objective(dataset=options.dataset, split="validation", epochs=options.epochs, seed="mean")
    searcher = jnas.searchers.bananas(table.space)

    def search(key):
        trace = jnas.run(searcher, objective, key, max_evaluations=options.evaluations)
        return jax.numpy.max(trace.score)

    for seeds in options.seeds:
        keys = jax.random.split(jax.random.key(0), seeds)
        wall, cpu = time.perf_counter(), time.process_time()
        program = jax.jit(jax.vmap(search)).lower(keys).compile()
        compiled = time.perf_counter() - wall, time.process_time() - cpu
        wall, cpu = time.perf_counter(), time.process_time()
        best = np.asarray(program(keys))
        taken = (time.perf_counter() - wall) / seeds, (time.process_time() - cpu) / seeds
        print(
            f"{seeds:4d} seeds: compiled in {compiled[0]:.1f} s (CPU {compiled[1]:.1f}), {taken[0]:.2f} s a search "
            f"(CPU {taken[1]:.2f}), best score {best.mean():.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
