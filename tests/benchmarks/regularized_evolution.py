"""Times 500 runs of regularized evolution as one program against a plain Python loop that does the same search.

    python tests/benchmarks/regularized_evolution.py TABLE.npz [--seeds 1 500 10000]

Prints microseconds a run of both (medians, after compilation) and the median of their ratios pair by pair, for they
are timed in turn; the seconds of the first call with compilation, and the peak memory of the process. Each number of
seeds runs in a process of its own. The plain loop runs on one thread over Python lists; its mean incumbent and number
of evaluations are printed beside jnas's, since a loop that searches otherwise would be no comparison.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time

BUDGETS = ({"max_evaluations": 110}, {"budget_seconds": 12_000.0})
POPULATION_SIZE = SAMPLE_SIZE = 10
CHOICE = {"dataset": "cifar10", "split": "validation", "epochs": 12, "seed": "mean"}
INCOMING = ((0,), (1, 2), (3, 4, 5))  # edges into nodes 1, 2, 3


def plain_run(rng, scores, seconds, max_evaluations=None, budget_seconds=float("inf")):
    """One search over lists: returns the best score and the number of evaluations."""
    population, best, elapsed, count = [], -float("inf"), 0.0, 0
    while max_evaluations is None or count < max_evaluations:
        if len(population) < POPULATION_SIZE:
            arch = [rng.randrange(5) for _ in range(6)]
        else:
            sample = [population[rng.randrange(POPULATION_SIZE)] for _ in range(SAMPLE_SIZE)]
            arch = list(max(sample, key=lambda member: member[0])[1])
            edge = rng.choice(rng.choice(INCOMING))
            choice = rng.randrange(4)
            arch[edge] = choice + (choice >= arch[edge])
        number = 0
        for operation in arch:
            number = number * 5 + operation
        if elapsed + seconds[number] > budget_seconds:
            break
        elapsed += seconds[number]
        count += 1
        population.append((scores[number], arch))
        if len(population) > POPULATION_SIZE:
            population.pop(0)
        best = max(best, scores[number])
    return best, count


def lists(table):
    """Returns scores and seconds as lists, indexed by the architecture's digits in base 5."""
    import numpy as np

    numbers = table.archs.astype(int) @ 5 ** np.arange(5, -1, -1)
    columns = np.empty((2, len(numbers)))
    columns[:, numbers] = table.accuracy(table.archs, **CHOICE), table.seconds(table.archs, **CHOICE)
    return columns.tolist()


def compare(path, budget, seeds, repeats=15, plain_runs=50):
    """Times both in turn, pair by pair, and returns a dictionary of figures."""
    import jax
    import numpy as np

    import jnas
    from jnas import searchers, spaces

    table = jnas.load_table(path)
    evolution = searchers.regularized_evolution(
        spaces.nasbench201(mutation="node_then_edge"), population_size=POPULATION_SIZE, sample_size=SAMPLE_SIZE
    )
    objective = table.objective(**CHOICE)
    study = jax.jit(jax.vmap(lambda key: jnas.run(evolution, objective, key, **budget)))
    keys = jax.random.split(jax.random.key(0), seeds)
    begin = time.perf_counter()
    trace = jax.block_until_ready(study(keys))
    first = time.perf_counter() - begin
    scores, seconds = lists(table)
    rng, pairs, found, calls = random.Random(0), [], [], max(1, min(20, 2500 // seeds))
    for _ in range(repeats):
        begin = time.perf_counter()
        for _ in range(calls):
            jax.block_until_ready(study(keys))
        middle = time.perf_counter()
        found += [plain_run(rng, scores, seconds, **budget) for _ in range(plain_runs)]
        end = time.perf_counter()
        pairs.append(((middle - begin) / (calls * seeds) * 1e6, (end - middle) / plain_runs * 1e6))
    best = np.nanmax(np.where(trace.valid, trace.score, np.nan), axis=1).mean()
    return {
        "jnas_us": statistics.median(jnas_us for jnas_us, _ in pairs),
        "plain_us": statistics.median(plain_us for _, plain_us in pairs),
        "ratio": statistics.median(plain_us / jnas_us for jnas_us, plain_us in pairs),
        "first_call_s": first,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "jnas_evaluations": float(trace.mask.sum(axis=1).mean()),
        "plain_evaluations": statistics.mean(count for _, count in found),
        "jnas_best": float(best),
        "plain_best": statistics.mean(best for best, _ in found),
    }


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 500, 10_000])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(compare(arguments.table, *json.loads(arguments.worker))))
        return
    for budget in BUDGETS:
        print(budget)
        for seeds in arguments.seeds:
            command = [sys.executable, __file__, arguments.table, "--worker", json.dumps([budget, seeds])]
            figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"  {seeds:6d} seeds: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
