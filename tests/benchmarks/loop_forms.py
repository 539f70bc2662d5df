"""Times the forms of the search loop that `jnas._loop` chose between: how often to look whether all runs have ended.

    python tests/benchmarks/loop_forms.py TABLE.npz

500 runs of regularized evolution with a budget of 12,000 s. `everywhere` looks with one value for all lanes; `each
lane` is what a plain `while_loop` under `vmap` does: its carry is copied to keep finished lanes still.
"""

import statistics
import sys
import time

import jax

import jnas
from jnas import _loop, searchers, spaces


def main():
    """Prints microseconds a run for each form."""
    table = jnas.load_table(sys.argv[1])
    space = spaces.nasbench201(mutation="node_then_edge")
    evolution = searchers.regularized_evolution(space, population_size=10, sample_size=10)
    objective = table.objective(dataset="cifar10", split="validation", epochs=12, seed="mean")
    keys = jax.random.split(jax.random.key(0), 500)
    everywhere = _loop._everywhere
    for name, look in (("everywhere", everywhere), ("each lane", lambda flag: flag)):
        for chunk in (1, 8, 16, 32, 64, 128):
            _loop._everywhere, _loop._CHUNK = look, chunk

            def run(key):
                return jnas.run(evolution, objective, key, budget_seconds=12_000.0)

            study = jax.jit(jax.vmap(run))
            jax.block_until_ready(study(keys))
            took = []
            for _ in range(11):
                begin = time.perf_counter()
                jax.block_until_ready(study(keys))
                took.append((time.perf_counter() - begin) / 500 * 1e6)
            print(f"{name:10s} chunks of {chunk:3d} steps: {statistics.median(took):7.1f} us/run")


if __name__ == "__main__":
    main()
