"""Tables of a metric of which lower is better: the look-ups, studies, statistics and pages that know its direction."""

import json
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import jnas
from jnas.core._vocabulary import IMAGE_CLASSIFICATION
from jnas.searchers import random_search
from jnas.spaces.recurrent._published import ORDER_OF_32
from jnas.studies.predictors._report import predictor_report
from jnas.studies.search._random_order import random_order, random_order_section, share_of_worse
from jnas.studies.search._report import search_report
from jnas.studies.search._results import TrainedPool
from jnas.studies.search._summary import compare, finals, pairwise, ranks
from jnas.studies.search._text import search_results_text
from jnas.studies.supernets._plan import _fitting
from jnas.studies.trainings._files import Trainings
from jnas.studies.trainings._results import _pool
from jnas.studies.trainings._store import Store
from jnas.tables._file import header_words
from jnas.tables._load import table_from_arrays
from jnas.tables._metric import ACCURACY, metric_of, metric_of_task, metric_words
from jnas.tables._targets import Target
from jnas.tables.readers._arrays import arrays_table
from jnas.tables.report._nasbench101 import _rows, _with_rank
from jnas.tables.report._report import table_report
from jnas.tables.report._text import describe_arch, table_text
from jnas.training.runs._jobs import Runs

PERPLEXITY = jnas.TableMetric("perplexity", "", higher_is_better=False)
SPACE = jnas.spaces.recurrent(num_nodes=2)
SEARCH = {"dataset": "text", "split": "validation", "epochs": 2}


def numbers():
    """By split `[32, 2]`: about 60 for the best of the published order to 91 for the worst, with noise."""
    ranked = np.empty(32)
    ranked[list(ORDER_OF_32)] = 60 + np.arange(32)
    noise = np.random.default_rng(0).normal(size=(2, 32, 2))
    return {split: ranked[:, None] + 0.1 * each for split, each in zip(("validation", "test"), noise, strict=True)}


@pytest.fixture(scope="module")
def table():
    return jnas.make_table(
        SPACE, accuracy=numbers(), metric=PERPLEXITY, dataset="text", epochs=2, train_seconds=10.0, name="made up"
    )


def test_files_keep_the_metric_and_say_nothing_of_accuracy(table, tmp_path):
    jnas.save_table(table, tmp_path / "table.npz")
    again = jnas.load_table(tmp_path / "table.npz")
    assert again.metric == PERPLEXITY
    assert again.header == table.header
    assert metric_words(ACCURACY) == {}
    assert "metric" not in header_words(jnas.load_table().header)
    assert json.loads(json.dumps(header_words(table.header)))["metric"] == ["perplexity", "", False]
    for wrong in ("perplexity", ["perplexity", "", 0], ["", "", False], ["a\nb", "", True], ["a", "b\n", True]):
        with pytest.raises(ValueError, match=r"expected a name, a unit .* and whether higher is better"):
            metric_of({"metric": wrong})
    with pytest.raises(ValueError, match="infinite numbers, expected finite ones; mark what is missing with NaN"):
        jnas.make_table(SPACE, accuracy={"test": np.full(32, np.inf)}, metric=PERPLEXITY)
    for name in ("accuracy", "parameters", "measured"):  # kinds of members, which have ranges of their own
        jnas.make_table(SPACE, accuracy={"test": np.linspace(-300, 300, 32)}, metric=jnas.TableMetric(name, ""))


def test_several_values_have_a_name():
    names = [jnas.TableMetric(name, "").plural for name in ("accuracy", "perplexity", "loss", "error")]
    assert names == ["accuracies", "perplexities", "losses", "errors"]


def test_arrays_are_imported_with_their_metric(table, tmp_path):
    values = numbers()["test"]
    np.savez(tmp_path / "a.npz", archs=table.archs, ppl=values)
    mapping = {
        "architectures": {"array": "archs"},
        "trainings": [{"dataset": "text", "epochs": 2, "seeds": [0, 1]}],
        "members": {"accuracy/text/2/test": {"array": "ppl"}},
        "metric": ["perplexity", "", False],
    }
    found = table_from_arrays(*arrays_table(tmp_path / "a.npz", SPACE, mapping))
    assert found.metric == PERPLEXITY
    np.testing.assert_allclose(found.read("accuracy/text/2/test"), values, rtol=1e-6)
    text = table_text(found).splitlines()
    assert "  metric    perplexity (lower is better)" in text
    assert [f"{values.mean(1).min():.2f}"] in [line.split()[-1:] for line in text]  # as the best one
    with pytest.raises(ValueError, match="the mapping: metric is 'perplexity', expected a name, a unit"):
        arrays_table(tmp_path / "a.npz", SPACE, {**mapping, "metric": "perplexity"})
    with pytest.raises(ValueError, match=r"the table holds perplexity \(lower is better\), .* judged by accuracy in"):
        _fitting(found, SimpleNamespace(space=SPACE, task=IMAGE_CLASSIFICATION))


def test_the_best_of_a_table_is_the_lowest(table):
    best = jnas.queries.best(table, dataset="text", split="test", epochs=2)
    assert best.arch_index == 2
    assert best.value == pytest.approx(60, abs=0.3)
    found = jnas.queries.statistics(table, dataset="text", epochs=2).splits["test"]
    assert found.best == 2
    assert found.maximum > 90
    objective = table.objective(**SEARCH, seed="mean")
    answer = objective(jax.random.split(jax.random.key(0), 2), jnas.propose(table.archs[[2, 31]]))
    np.testing.assert_allclose(answer.score, [-60, -91], atol=0.3)


def negated(study):
    """The study that a table of minus the metric would give."""
    searchers = tuple(each._replace(values=-each.values, final=-each.final) for each in study.searchers)
    references = tuple(each._replace(values=-each.values) for each in study.references)
    config = {**study.config, "metric": ["score", "", True]}
    return study._replace(config=config, searchers=searchers, references=references)


def test_a_study_is_that_of_minus_the_metric(table):
    searchers = {"random_search": random_search(SPACE), "another": random_search(SPACE)}
    ours = jnas.study(searchers, table, **SEARCH, max_evaluations=6, num_seeds=6)
    assert ours.config["metric"] == ["perplexity", "", False]
    truth = np.asarray([table.runs("accuracy", "text", s, 2, "mean").value[:, 0] for s in ("validation", "test")])
    for own in ours.searchers:
        found = np.asarray(table.index(own.final_archs))
        np.testing.assert_array_equal(own.final, truth[:, found])
        np.testing.assert_array_equal(own.values[0, :, -1], own.values[0].min(axis=1))
        np.testing.assert_array_equal(own.ranks, 1 + (truth[:, None] < own.final[..., None]).sum(-1))
    best = ours.references[-1]
    assert best.name == "optimum"
    np.testing.assert_allclose(best.values, truth.min(1))
    theirs = negated(ours)
    own, other = compare([ours])[0], compare([theirs])[0]
    np.testing.assert_allclose(finals(own).mean, -finals(other).mean, rtol=1e-12)
    for test in (pairwise, ranks):
        assert repr(test(own, 1)) == repr(test(other, 1))
    assert len(compare([ours, theirs])) == 2  # which no page compares
    text = search_results_text(ours)
    assert text.splitlines()[0].startswith("perplexity (lower is better)")
    assert f"{own.references[-1].values[1]:.2f}" in text
    page = search_report([ours])
    for words in (
        "validation perplexity on text",
        "reached a perplexity of",
        "points above the table&#x27;s optimum of",
        "the perplexity lies above the optimum",
        "Perplexity (lower is better) of the architectures",
        "where it is lower at the left",
        "(below 0 where the row is better)",
        "the best test perplexity",
    ):
        assert words in page, words
    assert "accurac" not in page.split("</style>")[-1]
    draws = ours._replace(pool=TrainedPool(-truth[0], truth, {"random_search": np.arange(32) < 20}))
    section, order = str(random_order_section(compare([draws])[0], "")), random_order(-truth[0], -truth[1], 6)
    assert f"{-order.mean:.2f} ± {order.std:.2f}<small>{-order.high:.2f} to {-order.low:.2f}</small>" in section
    for own in ours.searchers:
        share = share_of_worse(order, -own.final[1].astype(np.float64))
        cells = re.sub(r' data-label="[^"]*"', "", section)
        assert f">{own.final[1].min():.2f}</td><td>{share:.2f}</td>" in cells
    assert f">{truth[1].min():.2f}</td>" in section
    assert "mean, %" not in section


def test_searches_by_trainings_maximise_minus_the_metric():
    assert metric_of_task(IMAGE_CLASSIFICATION) == ACCURACY  # so that tables and studies of images stay as they were
    task = IMAGE_CLASSIFICATION._replace(metric_name="perplexity", unit="", higher_is_better=False)
    config = {"splits": {"validation": "valid"}, "last_epochs": 1, **metric_words(metric_of_task(task))}
    store = SimpleNamespace(_plan=SimpleNamespace(config=config), _read=lambda *asked: np.float32([60, np.nan]))
    np.testing.assert_array_equal(Store.scores(store, None), np.float32([-60, np.nan]))
    values = np.float32([[90, 60], [95, 70], [np.nan, np.nan]])
    trainings = Trainings(np.zeros((3, 4), np.int32), Runs({"valid": values}, {}, *[np.zeros(3)] * 3))
    study = SimpleNamespace(config=config, trainings=trainings, targets=[Target("text", "validation", 2)])
    pool = _pool(study, {"random_search": np.asarray([True, False, True])})
    np.testing.assert_array_equal(pool.scores, [-60, np.nan])
    np.testing.assert_array_equal(pool.worth, [[60, np.nan]])


def test_predictors_learn_minus_the_metric(table):
    predictor = {"mean": jnas.searchers.predictors.bayesian_linear_regression()}
    study = jnas.predictor_study(
        predictor, table, encodings=("one_hot",), **SEARCH, train_sizes=(10,), test_cells=5, precision_at=2, num_seeds=2
    )
    assert np.all(study.cells.scores < -50)
    page = predictor_report(study)
    assert "They learned minus the perplexity: higher is better." in page
    assert "true perplexities" in page


def test_pages_and_lines_of_a_table_name_the_metric(table):
    page = table_report(table)
    assert "The best architecture of each set by its final perplexity" in page
    assert "index 2<" in page
    assert "Quantiles of final perplexity (lower is better)" in page
    assert _rows(np.asarray([1, 1, 2]), np.asarray([60.0, 50.0, np.nan]), PERPLEXITY)[0].best == 50
    assert _with_rank(np.asarray([60.0, 50.0, 70.0]), 0, PERPLEXITY) == "60.00 (rank 2)"
    text = describe_arch(table, 2)
    assert "perplexity" in text
    assert "accuracy" not in text
