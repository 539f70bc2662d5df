"""What searches for several objectives find of a table's front, beside Optuna's, and what a run costs beside pymoo's.

    python tests/benchmarks/fronts.py regrets TABLE [--columns device_latency/pixel3] [--seeds 20] [--evaluations 500]
    python tests/benchmarks/fronts.py speed TABLE [--columns device_latency/pixel3] [--seeds 500] [--evaluations 500]

`regrets` lets NSGA-II and TPE of Optuna search the same table for the same objectives (accuracy and the columns) and
prints their mean hypervolume regrets, with intervals, in the units of `jnas study --objectives`, whose own searchers
that command compares. `speed` prints CPU seconds a run of NSGA-II here, in one program, and of pymoo and of Optuna, one
run after another. pymoo and Optuna are to be installed.
"""

import argparse
import time
import warnings

import jax
import numpy as np

import jnas
from jnas.core._vocabulary import Trace
from jnas.studies.search._front_numbers import front_finals, front_progress
from jnas.studies.search._objectives import find_front
from jnas.studies.search._results import SearcherResult

FOREIGN_RUNS = 3  # whose time is taken


def asked(options):
    """The table, the keyword arguments of what is searched on, the costs `[N, O]`, and the exact front."""
    table = jnas.load_table(options.table)
    training = table.header.trainings[0] if options.dataset is None else None
    dataset = options.dataset or training.dataset
    epochs = options.epochs or training.epochs
    given = {"dataset": dataset, "split": "validation", "epochs": epochs, "seed": "mean"}
    runs = table.runs("accuracy", dataset, "validation", epochs, "mean")
    front = find_front(table, runs, options.columns, None, (dataset, table.resolve(dataset, "validation")[0]))
    objective = table.objective(**given, objectives=options.columns)
    keys = jax.random.split(jax.random.key(0), table.num_archs)
    seen = jax.jit(objective.evaluate)(keys, jnas.propose(table.archs))
    costs = np.concatenate([-np.asarray(seen.score)[:, None], np.asarray(seen.objectives)], axis=1)
    return table, objective, costs.astype(np.float64), front


def optuna_searches(sampler, table, costs, seeds, evaluations):
    """Indices `[S, T]` of what a sampler of Optuna evaluates."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    choices = table.space.num_choices
    kinds = {f"{e:02d}": optuna.distributions.CategoricalDistribution(range(n)) for e, n in enumerate(choices)}
    found = np.zeros((seeds, evaluations), np.int64)
    index = jax.jit(table.space.index)
    for seed in range(seeds):
        directions = ["minimize"] * costs.shape[1]
        study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed), directions=directions)
        for row in range(evaluations):
            trial = study.ask(kinds)
            found[seed, row] = int(index(np.asarray([trial.params[name] for name in kinds], np.int32)))
            study.tell(trial, [float(c) for c in costs[found[seed, row]]])
    return found


def pymoo_search(table, costs, seed, evaluations):
    """A run of pymoo's NSGA-II over integers, in populations of 50."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    choices = np.asarray(table.space.num_choices)
    index = jax.jit(jax.vmap(table.space.index))

    class Look(Problem):
        def __init__(self):
            super().__init__(n_var=len(choices), n_obj=costs.shape[1], xl=0, xu=choices - 1, vtype=int)

        def _evaluate(self, x, out, *args, **kwargs):
            out["F"] = costs[np.asarray(index(np.asarray(x, np.int32)))]

    algorithm = NSGA2(
        pop_size=50,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=15, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=20, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    minimize(Look(), algorithm, ("n_eval", evaluations), seed=seed, verbose=False)


def regrets(options):
    """Prints mean hypervolume regrets of Optuna's samplers."""
    table, _, costs, front = asked(options)
    for sampler in ("NSGAIISampler", "TPESampler"):
        begun = time.process_time()
        rows = optuna_searches(sampler, table, costs, options.seeds, options.evaluations)
        seconds = (time.process_time() - begun) / options.seeds
        shape = rows.shape
        trace = Trace(
            arch=table.archs[rows],
            score=-costs[rows, 0],
            seconds=np.ones(shape),
            valid=np.ones(shape, bool),
            mask=np.ones(shape, bool),
            objectives=costs[rows, 1:],
            **{name: np.zeros(shape, np.int32) for name in _others()},
        )
        result = SearcherResult(sampler, trace, *([np.zeros((1, *shape))] * (len(SearcherResult._fields) - 2)))
        for found in front_finals(result, front_progress(result, front), front):
            if found.evaluations in (100, 200, 500, options.evaluations):
                told = f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"
                print(f"{sampler:16} after {found.evaluations:4}: {told}, epsilon {found.epsilon:.3f}")
        print(f"{sampler:16} {seconds:.2f} CPU-s a run")


def _others():
    """The fields of a trace that have no default and are not given."""
    given = {"arch", "score", "seconds", "valid", "mask", "objectives"}
    return [name for name in Trace._fields if name not in given | set(Trace._field_defaults)]


def speed(options):
    """Prints CPU seconds a run of NSGA-II here and elsewhere."""
    table, objective, costs, _ = asked(options)
    searcher = jnas.searchers.nsga2(table.space, num_objectives=costs.shape[1])
    evaluations = options.evaluations
    study = jax.jit(jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=evaluations)))
    keys = jax.random.split(jax.random.key(0), options.seeds)
    begun = time.process_time()
    compiled = study.lower(keys).compile()
    compiling = time.process_time() - begun
    taken = []
    for _ in range(3):
        begun = time.process_time()
        jax.block_until_ready(compiled(keys))
        taken.append((time.process_time() - begun) / options.seeds)
    ours = float(np.median(taken))
    with_compiling = ours + compiling / options.seeds
    print(f"here: {1e3 * ours:.3f} CPU-ms a run, {1e3 * with_compiling:.3f} with {compiling:.1f} CPU-s of compiling")
    foreign = {
        "pymoo": lambda seed: pymoo_search(table, costs, seed, evaluations),
        "Optuna": lambda seed: optuna_searches("NSGAIISampler", table, costs, 1, evaluations),
    }
    for name, search in foreign.items():
        search(0)
        each = []
        for seed in range(FOREIGN_RUNS):
            begun = time.process_time()
            search(seed)
            each.append(time.process_time() - begun)
        other = float(np.median(each))
        told = f"{other / ours:.0f} times ours, {other / with_compiling:.0f} with compiling"
        print(f"{name}: {1e3 * other:.1f} CPU-ms a run, {told}")


def main():
    """Prints what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("regrets", "speed"))
    parser.add_argument("table", help="with columns of costs")
    parser.add_argument("--columns", default=["device_latency/pixel3"], type=lambda text: text.split(","))
    parser.add_argument("--dataset")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--evaluations", type=int, default=500)
    options = parser.parse_args()
    options.seeds = options.seeds or {"regrets": 20, "speed": 500}[options.what]
    {"regrets": regrets, "speed": speed}[options.what](options)


if __name__ == "__main__":
    main()
