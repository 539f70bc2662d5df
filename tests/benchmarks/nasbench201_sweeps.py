"""Sweeps the settings that NAS-Bench-201's paper chose by its Figures 9 and 10, and draws them.

    python tests/benchmarks/nasbench201_sweeps.py TABLE.npz [--seeds 500] [--out sweeps.png]

Figure 9: tournament sizes of regularized evolution. Figure 10: learning rates of REINFORCE, all rates and seeds in one
program, since a rate may be traced. The reward is the mean validation accuracy on CIFAR-10 after 12 epochs, the budget
12,000 s; the evaluation that exceeds it is discarded. Prints mean test accuracies after 200 epochs with their standard
errors.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import jnas
from jnas import searchers, spaces, statistics

BUDGET_SECONDS = 12_000.0
SAMPLE_SIZES = (3, 5, 10)
LEARNING_RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


def sweep_sample_sizes(objective, keys):
    """Returns the architectures found, `[len(SAMPLE_SIZES), S, E]`."""
    space = spaces.nasbench201(mutation="node_then_edge")

    def found(sample_size):
        evolution = searchers.regularized_evolution(space, population_size=10, sample_size=sample_size)
        search = jax.jit(jax.vmap(lambda key: jnas.run(evolution, objective, key, budget_seconds=BUDGET_SECONDS)))
        return jax.jit(statistics.incumbent)(search(keys)).arch

    return [found(sample_size) for sample_size in SAMPLE_SIZES]


def sweep_learning_rates(objective, keys):
    """Returns the architectures found, `[len(LEARNING_RATES), S, E]`."""
    space = spaces.nasbench201()

    def search(rate, key):
        reinforce = searchers.reinforce(space, learning_rate=rate)
        return statistics.incumbent(jnas.run(reinforce, objective, key, budget_seconds=BUDGET_SECONDS)).arch

    sweep = jax.jit(jax.vmap(jax.vmap(search, (None, 0)), (0, None)))
    return list(sweep(jnp.asarray(LEARNING_RATES), keys))


def draw(rows, path):
    """Draws mean and standard error of the CIFAR-10 validation accuracy of both sweeps, as the paper's figures do."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, (title, settings, accuracies) in zip(figure.subplots(1, 2), rows, strict=True):
        means = [np.mean(a) for a in accuracies]
        errors = [np.std(a, ddof=1) / np.sqrt(len(a)) for a in accuracies]
        axes.errorbar([str(s) for s in settings], means, yerr=np.multiply(errors, 1.96), fmt="o-", capsize=3)
        axes.set_xlabel(title)
        axes.set_ylabel("CIFAR-10 validation accuracy (%)")
    figure.savefig(path, dpi=150)


def main():
    """Prints the sweeps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    table = jnas.load_table(arguments.table)
    objective = table.objective(dataset="cifar10", split="validation", epochs=12, seed="mean")
    keys = jax.random.split(jax.random.key(0), arguments.seeds)
    drawn = []
    for title, settings, archs in (
        ("tournament size of regularized evolution", SAMPLE_SIZES, sweep_sample_sizes(objective, keys)),
        ("learning rate of REINFORCE", LEARNING_RATES, sweep_learning_rates(objective, keys)),
    ):
        print(title)
        for setting, arch in zip(settings, archs, strict=True):
            judged = [
                np.asarray(table.accuracy(arch, dataset=dataset, split="test", epochs=200, seed="mean"))
                for dataset in DATASETS
            ]
            cells = [f"{a.mean():6.2f} ± {a.std(ddof=1) / np.sqrt(len(a)):.2f}" for a in judged]
            print(f"  {setting:5}: " + "   ".join(cells))
        valid = [table.accuracy(arch, dataset="cifar10", split="validation", epochs=200, seed="mean") for arch in archs]
        drawn.append((title, settings, [np.asarray(a) for a in valid]))
    if arguments.out:
        draw(drawn, arguments.out)


if __name__ == "__main__":
    main()
