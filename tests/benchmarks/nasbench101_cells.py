"""Times the enumeration of NAS-Bench-101's cells and their look-up inside `jit`.

    python tests/benchmarks/nasbench101_cells.py [--cells 1000000]

Says how long the 423,624 cells take to list (once in a process), and how long it takes, compiled, to say of that many
random encodings whether they are valid, their fingerprints and their indices, and to draw as many valid ones.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jnas import spaces


def median_seconds(function: Callable[..., Any], *arguments: Any, repeats: int = 5) -> tuple[float, float]:
    """Returns the first call's seconds, with compilation, and the median of the others'."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - begin)
    return times[0], statistics.median(times[1:])


def main() -> None:
    """Prints the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000, help="random encodings (default 1,000,000)")
    count = parser.parse_args().cells
    space = spaces.nasbench101()
    jax.block_until_ready(jax.numpy.zeros(1))
    begin = time.perf_counter()
    cells = spaces.nasbench101_cells()
    print(f"{len(cells):,} cells listed in {time.perf_counter() - begin:.1f} s")
    generator = np.random.default_rng(0)
    edges, operations = generator.integers(0, 2, (count, 21)), generator.integers(0, 3, (count, 5))
    archs = np.concatenate([edges, operations], axis=1).astype(np.int32)
    for name, function in (("validity", space.is_valid), ("fingerprint", space.fingerprint), ("index", space.index)):
        first, median = median_seconds(jax.jit(jax.vmap(function)), archs)
        print(f"{name} of {count:,} random encodings: {median:.2f} s ({first:.2f} s with compilation)")
    keys = jax.random.split(jax.random.key(0), count)
    first, median = median_seconds(jax.jit(jax.vmap(space.sample)), keys, repeats=1)
    print(f"{count:,} random cells drawn: {median:.2f} s ({first:.2f} s with compilation)")
    rows = np.asarray(jax.jit(jax.vmap(space.index))(cells))
    assert (rows == np.arange(len(cells))).all()


if __name__ == "__main__":
    main()
