"""Measures whole searches, many seeds in one program, against another checkout of this library.

    python tests/benchmarks/searches.py [--against CHECKOUT] [--searchers random_search tpe ...] [--rounds 9]
    python tests/benchmarks/searches.py --neural --against CHECKOUT --rounds 1 [--seeds 1] [--evaluations 40]

Every searcher runs in the setting in which studies compare it, on the table that comes with the library. Prints for
each the CPU time of a search of one seed, the ratio to that of the other checkout, and the target for that ratio; the
CPU time of tracing and compiling and the peak memory stand apart. Both checkouts stay loaded in processes of their own
and run in turn, pair by pair: the figures are medians, and so is the ratio. Most run 500 seeds of 110 evaluations,
those with neural networks one or two, of 150 queries (`--neural`). `--seeds` and `--evaluations` say otherwise: with 40
evaluations a search with a neural network takes a tenth to a third of the time of one with 150.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Search(NamedTuple):
    """A row of the comparison."""

    target: float  # for the CPU time over that of commit 69c45db
    seeds: int = 500
    evaluations: int = 110


SEARCHES = {
    "random_search": Search(0.4),
    "regularized_evolution": Search(0.5),
    "local_search": Search(0.4),
    "bohb": Search(0.5),
    "tpe": Search(0.6),
}
NEURAL = {
    "gcn_predictor": Search(0.5, 2, 150),
    "bohamiann": Search(0.5, 2, 150),
    "bonas": Search(0.25, 1, 150),
}


def work(name: str, row: Search) -> None:
    """Compiles one search, then runs it once for each line of the standard input; writes a line of JSON each time."""
    import hashlib
    import resource
    import time

    import jax
    import numpy as np

    import jnas

    def tell(**figures: object) -> None:
        print(json.dumps(figures), flush=True)

    table = jnas.load_table("digits")
    objective = table.objective(dataset="digits", split="validation", epochs=8, seed="mean")
    searcher = jnas.searchers.make(name, table.space, (8,))
    keys = jax.random.split(jax.random.key(0), row.seeds)
    # As studies compile; checkouts differ in where they say it.
    options = {"xla_backend_optimization_level": 2} if jax.default_backend() == "cpu" else {}
    begin = time.process_time()
    search = jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=row.evaluations))
    program = jax.jit(search).lower(keys).compile(compiler_options=options)
    compiling = time.process_time() - begin
    traces = jax.block_until_ready(program(keys)) if row.seeds > 100 else None
    tell(compiling=compiling)
    for _ in sys.stdin:
        begin = time.process_time()
        traces = jax.block_until_ready(program(keys))
        seconds = (time.process_time() - begin) / row.seeds
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        leaves = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(traces))
        score = np.nanmax(np.where(traces.valid, traces.score, np.nan), axis=1).mean()
        tell(seconds=seconds, peak=peak, traces=hashlib.sha256(leaves).hexdigest(), score=float(score))


class Worker:
    """A process that runs one search when it is asked to."""

    def __init__(self, checkout: Path, name: str, row: Search) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        command = [sys.executable, __file__, "--work", name]
        command += ["--seeds", str(row.seeds), "--evaluations", str(row.evaluations)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.compiling = json.loads(self.process.stdout.readline())["compiling"]

    def run(self) -> dict:
        """Returns the figures of one run."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def compare(name: str, row: Search, here: Path, against: Path | None, rounds: int) -> None:
    """Prints the row of one search."""
    workers = [Worker(checkout, name, row) for checkout in (here, against) if checkout is not None]
    told = [[worker.run() for worker in workers] for _ in range(rounds)]
    for worker in workers:
        worker.close()
    new = [figures[0] for figures in told]
    line = (
        f"{name:22s} {row.seeds:4d} x {row.evaluations:<4d} "
        f"{1e6 * statistics.median(f['seconds'] for f in new):12,.1f} us a search, "
        f"compiled in {workers[0].compiling:.1f} CPU-s, peak {new[-1]['peak']:,.0f} MB, best {new[-1]['score']:.3f}"
    )
    if against is not None:
        old = [figures[1] for figures in told]
        ratio = statistics.median(a["seconds"] / b["seconds"] for a, b in told)
        same = (
            "the same traces" if new[0]["traces"] == old[0]["traces"] else f"other traces, best {old[-1]['score']:.3f}"
        )
        line += (
            f"\n{'':22s} against     {1e6 * statistics.median(f['seconds'] for f in old):12,.1f} us a search, "
            f"compiled in {workers[1].compiling:.1f} CPU-s, peak {old[-1]['peak']:,.0f} MB, {same}"
            f"\n{'':22s} ratio {ratio:.2f}, target {row.target}"
        )
    print(line, flush=True)


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument(
        "--searchers", nargs="+", choices=[*SEARCHES, *NEURAL], help="by default those of --neural or not"
    )
    parser.add_argument("--neural", action="store_true", help="those with neural networks: minutes a run")
    parser.add_argument("--rounds", type=int, default=9, help="of which medians are taken")
    parser.add_argument("--seeds", type=int, help="of each row; by default its own number")
    parser.add_argument("--evaluations", type=int, help="of each search; by default those of its row")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = {**SEARCHES, **NEURAL}
    for name, row in rows.items():
        rows[name] = row._replace(seeds=options.seeds or row.seeds, evaluations=options.evaluations or row.evaluations)
    if options.work:
        work(options.work, rows[options.work])
        return
    here = Path(__file__).resolve().parents[2]
    for name in options.searchers or (NEURAL if options.neural else SEARCHES):
        compare(name, rows[name], here, options.against, options.rounds)


if __name__ == "__main__":
    main()
