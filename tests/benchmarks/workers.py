"""What several workers gain on a table with curves, and what simulating them costs.

    python tests/benchmarks/workers.py regrets [--table T.npz] [--seeds 100]
    python tests/benchmarks/workers.py speed [--table T.npz] [--seeds 200] [--evaluations 200]

`regrets` prints, for searchers with 1, 4 and 16 workers, the simulated seconds until the mean regret over seeds (of the
validation accuracy at the last point of the curve) is at most a given one. `speed` prints the CPU time of searches with
16 workers over that of the loop of one, programs compiled before.
"""

import argparse
import sys
import time

import jax
import numpy as np

import jnas
from jnas.core._trace_statistics import incumbent_rows

WORKERS = (1, 4, 16)


def searchers_of(space, budgets):
    """The synchronous forms, and the asynchronous ones, all with eta 3."""
    made = jnas.searchers
    return {
        "random_search": made.at_fidelity(made.random_search(space), len(budgets) - 1),
        "successive_halving": made.successive_halving(space, budgets=budgets),
        "asha": made.asha(space, budgets=budgets, eta=3),
        "asha_stopping": made.asha(space, budgets=budgets, eta=3, form="stopping"),
        "pasha": made.pasha(space, budgets=budgets),
        "median_stopping": made.median_stopping(space, budgets=budgets),
        "hyperband": made.hyperband(space, budgets=budgets),
        "asynchronous_hyperband": made.asynchronous_hyperband(space, budgets=budgets),
        "bohb": made.bohb(space, budgets=budgets),
        "asynchronous_bohb": made.asynchronous_bohb(space, budgets=budgets),
        "dehb": made.dehb(space, budgets=budgets),
    }


def seconds_to_reach(table, objective, searcher, options, workers, truth, regrets):
    """Seconds until the mean regret of incumbents is at most each of some; infinity where it never is."""

    def one(key):
        return jnas.run(searcher, objective, key, max_evaluations=options.evaluations, workers=workers)

    traces = jax.device_get(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), options.seeds)))
    rows, ends = incumbent_rows(traces), jnas.statistics.elapsed_seconds(traces)
    archs = np.take_along_axis(traces.arch, np.maximum(rows, 0)[..., None], axis=1)
    index = np.asarray(table.index(archs.reshape(-1, archs.shape[-1]))).reshape(rows.shape)
    worth = np.where(rows >= 0, truth[index], np.nanmin(truth))
    grid = np.unique(np.quantile(ends, np.linspace(0, 1, 2000)))
    places = np.stack([np.searchsorted(each, grid, side="right") - 1 for each in ends])
    found = np.where(places >= 0, np.take_along_axis(worth, np.maximum(places, 0), axis=1), np.nanmin(truth))
    regret = np.nanmax(truth) - found.mean(axis=0)
    reached = [grid[regret <= wanted] for wanted in regrets]
    return [float(each[0]) if len(each) else float("inf") for each in reached], float(ends[:, -1].mean())


def show_regrets(table, objective, options):
    """Prints the table of seconds."""
    runs = table.runs("accuracy", options.dataset, options.split, options.epochs, "mean", options.at[-1])
    truth = runs.value[:, 0]
    print(f"| searcher | workers | {' | '.join(f'regret {r:g}' for r in options.regrets)} | whole |")
    print("| --- | --- |" + " --- |" * (len(options.regrets) + 1))
    chosen = options.searchers.split(",") if options.searchers else None
    for name, searcher in searchers_of(table.space, options.at).items():
        if chosen is not None and name not in chosen:
            continue
        for workers in WORKERS:
            reached, whole = seconds_to_reach(table, objective, searcher, options, workers, truth, options.regrets)
            cells = ["–" if np.isinf(s) else f"{s:,.{options.digits}f}" for s in (*reached, whole)]
            print(f"| {name} | {workers} | {' | '.join(cells)} |", flush=True)


def show_speed(table, objective, options):
    """Prints CPU seconds of one worker and of sixteen, the least of five runs each, taken in turn."""
    print("| searcher | 1 worker | 16 workers | ratio |\n| --- | --- | --- | --- |")
    made = searchers_of(table.space, options.at)
    made["regularized_evolution"] = jnas.searchers.make("regularized_evolution", table.space)
    chosen = (options.searchers or "random_search,regularized_evolution,hyperband,asha,asynchronous_bohb").split(",")
    keys = jax.random.split(jax.random.key(0), options.seeds)
    for name in chosen:
        programs = []
        for workers in (1, 16):

            def one(key, searcher=made[name], workers=workers):
                return jnas.run(searcher, objective, key, max_evaluations=options.evaluations, workers=workers)

            programs.append(jax.jit(jax.vmap(one)))
            jax.block_until_ready(programs[-1](keys))
        spent = [[], []]
        for _ in range(5):
            for times, program in zip(spent, programs, strict=True):
                begin = time.process_time()
                jax.block_until_ready(program(keys))
                times.append(time.process_time() - begin)
        least = [min(times) for times in spent]
        print(f"| {name} | {least[0]:.3f} | {least[1]:.3f} | {least[1] / least[0]:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("regrets", "speed"))
    parser.add_argument("--table", default="digits")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--at", type=lambda text: tuple(map(int, text.split(","))), default=(1, 3, 8))
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--regrets", type=lambda text: tuple(map(float, text.split(","))), default=(1.0, 0.5, 0.2))
    parser.add_argument("--digits", type=int, default=2)
    parser.add_argument("--searchers")
    options = parser.parse_args()
    table = jnas.load_table(options.table)
    how = {"dataset": options.dataset, "split": options.split, "epochs": options.epochs, "at": options.at}
    objective = table.objective(**how, seed="mean")
    show = show_regrets if options.what == "regrets" else show_speed
    print(f"python tests/benchmarks/workers.py {' '.join(sys.argv[1:])}\n")
    show(table, objective, options)


if __name__ == "__main__":
    main()
