"""Times two forms of the search loop: does one condition for all lanes pay, or may each lane have its own?

    python tests/benchmarks/loop_forms.py TABLE.npz

500 runs of regularized evolution with a budget of 12,000 s. `everywhere` looks with one value for all lanes, so the
carry is updated in place; `each lane` is what a plain `while_loop` under `vmap` does: it copies its whole carry at
every step to keep finished lanes still.
"""

import statistics
import sys
import time

import jax

import jnas
from jnas import searchers, spaces
from jnas.core import _loop


def main():
    """Prints microseconds a run for each form."""
    table = jnas.load_table(sys.argv[1])
    space = spaces.nasbench201(mutation="node_then_edge")
    evolution = searchers.regularized_evolution(space, population_size=10, sample_size=10)
    objective = table.objective(dataset="cifar10", split="validation", epochs=12, seed="mean")
    keys = jax.random.split(jax.random.key(0), 500)
    everywhere = _loop.everywhere
    for name, look in (("everywhere", everywhere), ("each lane", lambda flag: flag)):
        _loop.everywhere = look
        study = jax.jit(jax.vmap(lambda key: jnas.run(evolution, objective, key, budget_seconds=12_000.0)))
        jax.block_until_ready(study(keys))
        took = []
        for _ in range(15):
            begin = time.perf_counter()
            jax.block_until_ready(study(keys))
            took.append((time.perf_counter() - begin) / 500 * 1e6)
        print(f"{name:10s} {statistics.median(took):7.1f} us/run")


if __name__ == "__main__":
    main()
