"""The comparison of NAS-Bench-201's Table 5 on the real table, against plain loops and against numbers made by them."""

import jax
import numpy as np
import pytest

from jnas import searchers, spaces, statistics
from jnas.core._loop import run
from jnas.tables._load import table_from_arrays
from jnas.tables.readers import _arrays

BUDGET_SECONDS = 12_000.0
COLUMNS = [
    (dataset, split) for dataset in ("cifar10", "cifar100", "ImageNet16-120") for split in ("validation", "test")
]
NUM_SEEDS = 500

# Means and standard deviations of 500 runs of a plain NumPy loop in the same setting, in the order of COLUMNS.
PLAIN = {
    "random_search": (
        (90.97, 93.76, 71.05, 71.19, 44.62, 44.77),
        (0.33, 0.34, 1.02, 0.99, 1.05, 1.17),
    ),
    "regularized_evolution": (
        (91.25, 94.05, 72.10, 72.20, 45.28, 45.59),
        (0.38, 0.36, 1.28, 1.19, 1.06, 1.18),
    ),
}


@pytest.fixture(scope="module")
def table(shared_data):
    return table_from_arrays(
        *_arrays.arrays_table(shared_data / "nasbench201" / "nasbench201.npz", spaces.nasbench201())
    )


@pytest.fixture(scope="module")
def found(table):
    """For each searcher: accuracies after 200 epochs `[columns, seeds]` and numbers of evaluations `[seeds]`."""
    objective = table.objective(dataset="cifar10", split="validation", epochs=12, seed="mean")
    keys = jax.random.split(jax.random.key(2020), NUM_SEEDS)

    def study(name, keys=keys):
        searcher = searchers.make(name, table.space)
        searches = jax.vmap(lambda key: run(searcher, objective, key, budget_seconds=BUDGET_SECONDS))
        traces = jax.jit(searches)(keys)
        archs = statistics.incumbent(traces).arch
        judged = [
            np.asarray(table.accuracy(archs, dataset=dataset, split=split, epochs=200, seed="mean"))
            for dataset, split in COLUMNS
        ]
        return np.stack(judged).astype(float), np.asarray(traces.mask.sum(axis=1))

    # BOHB takes as long as the other three, and is compared with random search alone.
    fewer = {"bohb": study("bohb", keys[: NUM_SEEDS // 4])}
    return {name: study(name) for name in ("random_search", "regularized_evolution", "reinforce")} | fewer


def _plain_random_search(random, scores, seconds, archs, rows):
    del rows
    elapsed, best = 0.0, -1
    while True:
        row = int(random.integers(len(archs)))
        if elapsed + seconds[row] > BUDGET_SECONDS:
            return best
        elapsed += seconds[row]
        if best < 0 or scores[row] > scores[best]:
            best = row


def _plain_evolution(random, scores, seconds, archs, rows):
    elapsed, best, population = 0.0, -1, []
    while True:
        if len(population) < 10:
            arch = random.integers(5, size=6).tolist()
        else:
            sample = [population[i] for i in random.integers(10, size=10)]
            arch = list(archs[max(sample, key=lambda row: scores[row])])
            node = int(random.integers(1, 4))
            edge = node * (node - 1) // 2 + int(random.integers(node))
            arch[edge] = (arch[edge] + 1 + int(random.integers(4))) % 5
        row = rows[tuple(int(a) for a in arch)]
        if elapsed + seconds[row] > BUDGET_SECONDS:
            return best
        elapsed += seconds[row]
        population = [*population, row][-10:]
        if best < 0 or scores[row] > scores[best]:
            best = row


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize(
    ("name", "plain"), [("random_search", _plain_random_search), ("regularized_evolution", _plain_evolution)]
)
def test_agrees_with_a_plain_loop_run_here(table, found, name, plain):
    """Two-sample z-tests of the means in all six columns, with another generator of random numbers."""
    choice = {"dataset": "cifar10", "split": "validation", "epochs": 12, "seed": "mean"}
    scores = np.asarray(table.accuracy(table.archs, **choice)).astype(float)
    seconds = np.asarray(table.seconds(table.archs, **choice)).astype(float)
    random = np.random.default_rng(0)
    places = {tuple(arch): row for row, arch in enumerate(table.archs.tolist())}
    rows = [plain(random, scores, seconds, table.archs, places) for _ in range(NUM_SEEDS)]
    judged = [
        np.asarray(table.accuracy(table.archs[rows], dataset=dataset, split=split, epochs=200, seed="mean"))
        for dataset, split in COLUMNS
    ]
    _assert_means_agree(found[name][0], np.mean(judged, axis=1), np.std(judged, axis=1, ddof=1), rounding=0.0)


@pytest.mark.statistical
@pytest.mark.parametrize("name", sorted(PLAIN))
def test_agrees_with_the_numbers_of_a_plain_loop(found, name):
    means, deviations = (np.asarray(x) for x in PLAIN[name])
    _assert_means_agree(found[name][0], means, deviations, rounding=0.005)
    assert np.abs(found[name][0].std(axis=1) / deviations - 1).max() < 0.2


def _assert_means_agree(accuracies, means, deviations, rounding):
    error = np.sqrt((accuracies.var(axis=1, ddof=1) + deviations**2) / NUM_SEEDS)
    assert (np.abs(accuracies.mean(axis=1) - means) < 3.5 * error + rounding).all(), accuracies.mean(axis=1) - means


@pytest.mark.statistical
def test_the_published_order(found):
    """On CIFAR-10 test: evolution, then REINFORCE, then random search; BOHB is at least random search's equal."""
    test = {name: accuracies[1] for name, (accuracies, _) in found.items()}
    error = {name: values.std(ddof=1) / np.sqrt(len(values)) for name, values in test.items()}

    def ahead(better, worse):
        return (test[better].mean() - test[worse].mean()) / np.hypot(error[better], error[worse])

    assert ahead("regularized_evolution", "reinforce") > 2
    assert ahead("reinforce", "random_search") > 2
    assert ahead("bohb", "random_search") > 0


def test_the_budget_pays_for_about_a_hundred_evaluations(found):
    evaluations = {name: counts.mean() for name, (_, counts) in found.items()}
    assert 107 < evaluations["random_search"] < 111
    assert 95 < evaluations["regularized_evolution"] < 100


def test_the_optima_are_the_published_ones(table):
    for dataset, best in (("cifar10", 94.373), ("cifar100", 73.513), ("ImageNet16-120", 47.311)):
        accuracy = np.asarray(table.accuracy(table.archs, dataset=dataset, split="test", epochs=200, seed="mean"))
        assert accuracy.max() == pytest.approx(best, abs=5e-4)
    assert table.text(int(accuracy.argmax())) == (
        "|nor_conv_1x1~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
