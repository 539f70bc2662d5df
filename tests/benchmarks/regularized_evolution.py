"""Times 500 runs of regularized evolution as one program against a plain Python loop that does the same search.

    python tests/benchmarks/regularized_evolution.py TABLE.npz [--seeds 1 500 10000]

Prints microseconds a run (median of repeated calls, after compilation) of both, their ratio, the seconds of the first
call with compilation, and the time and peak memory of other numbers of seeds. Each number of seeds runs in a process
of its own, since peak memory never falls. The plain loop runs on one thread over Python lists; its mean incumbent and
number of evaluations are printed beside jnas's, since a loop that searches otherwise would be no comparison.
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


def time_plain(path, budget, repeats=5, runs=100):
    """Returns microseconds a run, the mean of the best score and of the number of evaluations."""
    import numpy as np

    import jnas

    table = jnas.load_table(path)
    numbers = table.archs.astype(int) @ 5 ** np.arange(5, -1, -1)
    scores, seconds = [0.0] * len(numbers), [0.0] * len(numbers)
    accuracy = np.asarray(table.accuracy(table.archs, **CHOICE)).tolist()
    cost = np.asarray(table.seconds(table.archs, **CHOICE)).tolist()
    for number, a, s in zip(numbers.tolist(), accuracy, cost, strict=True):
        scores[number], seconds[number] = a, s
    rng, took, found = random.Random(0), [], []
    for _ in range(repeats):
        begin = time.perf_counter()
        found += [plain_run(rng, scores, seconds, **budget) for _ in range(runs)]
        took.append((time.perf_counter() - begin) / runs * 1e6)
    return statistics.median(took), *(statistics.mean(column) for column in zip(*found, strict=True))


def time_jnas(path, budget, seeds, repeats=15):
    """Returns the same for one program over `seeds`, the first call's seconds, and megabytes at the peak."""
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
    jax.block_until_ready(study(keys))
    first, took = time.perf_counter() - begin, []
    for _ in range(repeats):
        begin = time.perf_counter()
        trace = jax.block_until_ready(study(keys))
        took.append((time.perf_counter() - begin) / seeds * 1e6)
    best = float(np.nanmax(np.where(trace.valid, trace.score, np.nan), axis=1).mean())
    count = float(trace.mask.sum(axis=1).mean())
    return statistics.median(took), best, count, first, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 500, 10_000])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        budget, seeds = json.loads(arguments.worker)
        print(json.dumps(time_jnas(arguments.table, budget, seeds)))
        return
    for budget in BUDGETS:
        plain, best, count = time_plain(arguments.table, budget)
        print(f"{budget}: plain loop {plain:.0f} us/run ({count:.1f} evaluations, best {best:.3f})")
        for seeds in arguments.seeds:
            command = [sys.executable, __file__, arguments.table, "--worker", json.dumps([budget, seeds])]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            took, best, count, first, memory = json.loads(answer)
            print(
                f"  {seeds:6d} seeds: {took:9.1f} us/run, {plain / took:6.1f} times the plain loop; "
                f"first call {first:.1f} s; {memory:.0f} MB; {count:.1f} evaluations, best {best:.3f}"
            )


if __name__ == "__main__":
    main()
