"""TPE of this library, of hyperopt and of Optuna on tables: what they find, how often they repeat themselves, and why.

`python tests/benchmarks/tpe_of_others.py [TABLE[:DATASET[:SPLIT[:EPOCHS]]] ...]` needs hyperopt and Optuna. Ours makes
200 searches in one program, each of the others 20. Differences are tested against ours by the Mann-Whitney U test, with
Holm's correction over the others on a table.
"""

import argparse
import functools
import time
import warnings

import jax
import numpy as np
from scipy import stats

import jnas
from jnas import searchers
from jnas.statistics import holm_correction

HELD = {  # Optuna's settings, by what is held at hyperopt's
    "optuna": {},
    "optuna, 20 random": {"n_startup_trials": 20},
    "optuna, 20 random, each decision by itself": {"n_startup_trials": 20, "multivariate": False},
}


class HyperoptTpe:
    """hyperopt's TPE, asked and told."""

    def __init__(self, num_choices, seed):
        import hyperopt

        self.hyperopt, self.random = hyperopt, np.random.default_rng(seed)
        space = {f"{e:02d}": hyperopt.hp.choice(f"{e:02d}", range(count)) for e, count in enumerate(num_choices)}
        self.domain, self.trials = hyperopt.Domain(lambda _: 0.0, space), hyperopt.Trials()

    def ask(self):
        ids = self.trials.new_trial_ids(1)
        documents = self.hyperopt.tpe.suggest(ids, self.domain, self.trials, int(self.random.integers(2**31 - 1)))
        self.trials.insert_trial_docs(documents)
        self.trials.refresh()
        return [int(value[0]) for _, value in sorted(documents[0]["misc"]["vals"].items())]

    def tell(self, candidate, value):
        document = self.trials._dynamic_trials[-1]
        document["result"] = {"status": self.hyperopt.STATUS_OK, "loss": value}
        document["state"] = self.hyperopt.JOB_STATE_DONE
        self.trials.refresh()


def opened(text):
    """The table, and its objective, of a text `TABLE:DATASET:SPLIT:EPOCHS`."""
    path, *words = text.split(":")
    table = jnas.load_table(path)
    training = table.header.trainings[0]
    dataset, split, epochs = [*words, *[None] * (3 - len(words))]
    given = {"dataset": dataset or training.dataset, "split": split or "validation"}
    return table, table.objective(**given, epochs=int(epochs or training.epochs), seed="mean")


def measured(searcher, objective, seeds, evaluations):
    """The best scores `[seeds, evaluations]` so far, the architectures `[seeds, evaluations, E]`, and CPU-seconds."""
    keys = jax.random.split(jax.random.key(0), seeds)
    begin = time.process_time()
    if searcher.compiled:
        search = jax.jit(jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=evaluations)))
        traces = jax.block_until_ready(search(keys))
    else:
        found = [jnas.search(searcher, objective, key, max_evaluations=evaluations) for key in keys]
        traces = jax.tree.map(lambda *leaves: np.stack(leaves), *found)
    best = np.maximum.accumulate(np.where(traces.valid, traces.score, -np.inf), axis=1)
    return best, np.asarray(traces.arch), time.process_time() - begin


def compare(text, seeds, few, evaluations):
    """Prints what each finds on a table."""
    table, objective = opened(text)
    space = table.space
    rows = {"jnas": (searchers.tpe(space), seeds)}
    rows["hyperopt"] = (
        searchers.from_ask_tell(functools.partial(HyperoptTpe, space.num_choices), space, minimize=True),
        few,
    )
    rows |= {name: (searchers.from_optuna("TPESampler", space, **given), few) for name, given in HELD.items()}
    print(f"\n{table.header.name}, {text}, {evaluations} evaluations", flush=True)
    best, repeats, seconds = {}, {}, {}
    for name, (searcher, count) in rows.items():
        found, archs, seconds[name] = measured(searcher, objective, count, evaluations)
        best[name] = found[:, [evaluations // 2 - 1, evaluations - 1]]
        repeats[name] = 1 - np.mean([len(np.unique(each, axis=0)) for each in archs]) / evaluations
    others = [name for name in rows if name != "jnas"]
    p = [stats.mannwhitneyu(best["jnas"][:, -1], best[name][:, -1]).pvalue for name in others]
    corrected = dict(zip(others, holm_correction(p), strict=True))
    print(
        "| TPE | seeds | best after half | at the end | sd | repeats | CPU-s a search | p, Holm |\n|---"
        + "|---" * 7
        + "|"
    )
    for name, (_, count) in rows.items():
        half, end = best[name].mean(axis=0)
        told = f"{corrected[name]:.3f}" if name in corrected else ""
        print(
            f"| {name} | {count} | {half:.3f} | {end:.3f} | {best[name][:, -1].std(ddof=1):.3f} | "
            f"{100 * repeats[name]:.0f} % | {seconds[name] / count:.3f} | {told} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", default=["digits"])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--others", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=100)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for text in options.tables:
        compare(text, options.seeds, options.others, options.evaluations)


if __name__ == "__main__":
    main()
