"""Times opening a table and its first query, and what `import jnas` adds to `import jax`.

    python tests/benchmarks/table_opening.py TABLE.npz [TABLE.npz ...]

Each figure is the median over fresh processes that have imported jax; memory is what the process's peak grew by.
"""

import statistics
import subprocess
import sys

IMPORT = """
import time, jax
begin = time.perf_counter()
import jnas
from jnas import load_table, run, searchers, spaces
print(time.perf_counter() - begin, 0)
"""
OPEN = """
import resource, sys, time, jax
jax.block_until_ready(jax.numpy.zeros(3) + 1)  # the backend's own start is not the table's
before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
import jnas
table = jnas.load_table(sys.argv[1])
choice = dict(dataset="cifar10", split="validation", epochs=200, seed="mean")
answer = float(table.accuracy(table.text(1234), **choice))
assert 0 < answer < 100
print(time.perf_counter() - begin, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def measure(code, *arguments, repeats=7):
    """Returns medians of the seconds and megabytes that the code prints."""
    rows = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
        rows.append([float(x) for x in done.stdout.split()])
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main():
    """Prints the figures."""
    print(f"import jnas over import jax: {measure(IMPORT)[0]:.3f} s")
    for path in sys.argv[1:]:
        seconds, megabytes = measure(OPEN, path)
        print(f"{path}: import, open and first query {seconds:.3f} s, {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
