"""Studies of weight-sharing searches where lower is better: statistics, files and pages obey the metric's direction."""

import csv
import io
import re

import numpy as np
import pytest

import jnas
from jnas.searchers.weight_sharing._texts import SearchText
from jnas.spaces.recurrent._published import ORDER_OF_32
from jnas.studies.supernets._plan import _fitting, plan_supernet_study, supernet_methods
from jnas.studies.supernets._ranking import against_random, best_rank, look_rankings
from jnas.studies.supernets._report import supernet_report
from jnas.studies.supernets._results import OneShot, Record, SupernetStudy
from jnas.studies.supernets._run import _judged
from jnas.studies.supernets._summary import agreement, as_study_results
from jnas.studies.supernets._test_choice import choose_on_test
from jnas.studies.supernets._text import epochs_csv, supernet_results_text
from jnas.training._recipe import get_recipe
from jnas.training.data._text import text_dataset
from jnas.training.networks._families import make_supernet
from jnas.training.networks._family import all_archs

PERPLEXITY = jnas.TableMetric("perplexity", "", higher_is_better=False)
TRUTH = np.empty(32)
TRUTH[list(ORDER_OF_32)] = 60 + np.arange(32.0)
BEST, WORST = ORDER_OF_32[0], ORDER_OF_32[-1]


@pytest.fixture(scope="module")
def study():
    """Two searches: the first ranks cells as they are and finds the best, the second the reverse."""
    rng = np.random.default_rng(0)
    lines = {name: rng.integers(0, 5, (60, 9)).astype(str).tolist() for name in ("train", "validation", "test")}
    text, space = text_dataset(lines, name="text"), jnas.spaces.recurrent(num_nodes=2)
    table = jnas.make_table(
        space, accuracy={"validation": TRUTH, "test": TRUTH + 1}, metric=PERPLEXITY, dataset="text", name="made up"
    )
    net = make_supernet(text, channels=2, space="recurrent", nodes=2, recipe=get_recipe("text-quick-4"))
    asked = {"table": table, "split": None, "num_seeds": 2, "root_seed": 0, "look_every": 1, "hessian": False}
    asked |= {"one_shot": "all", "batch_norms": ("batch",), "out": None, "command": "jnas", "pool": 32}
    asked |= {"sizes": {"channels": 2, "nodes": 2}, "test_selection": False}
    methods = supernet_methods(["rsps"], net, text, epochs=1, batch_size=4)
    plan = plan_supernet_study(methods, net, text, **asked)
    assert isinstance(plan.dataset, SearchText)
    assert plan.source is text
    with pytest.raises(ValueError, match="have 4 decisions, the supernet's 6; pass a table of such cells"):
        _fitting(table, net._replace(space=jnas.spaces.recurrent(num_nodes=3)))
    with pytest.raises(ValueError, match="put out the mean of 'all', the supernet's of 'leaves' nodes; pass a table"):
        _fitting(table, net._replace(space=jnas.spaces.recurrent(2, output="leaves")))
    archs, order = all_archs(space).astype(np.int8), np.stack([TRUTH, -TRUTH + 200]).astype(np.float32)
    record = Record(
        info=np.full((2, 1, 4), 5, np.float32),
        looked=np.ones(1, np.int32),
        archs=archs[[BEST, WORST]][:, None],
        candidates=np.broadcast_to(archs, (2, 1, 32, 4)),
        scores=order[:, None],
        weights=np.full((2, 1, 4, 4), 0.25, np.float32),
        eigenvalues=np.full((2, 1), np.nan, np.float32),
        train_seconds=np.ones(1),
        look_seconds=np.ones(1),
        compile_seconds=np.ones(()),
        pool=order[:, None][..., plan.pool],
    )
    shot = OneShot(archs, TRUTH.astype(np.float32), order[None], -order, np.ones(1))
    judged = _judged(plan, "rsps", record, shot)
    return SupernetStudy(
        plan.config, {}, space.config, plan.targets, plan.references, (judged,), tuple(plan.yardsticks)
    )


def test_what_is_best_is_lowest(study):
    (result,) = study.methods
    assert result.ranks.tolist() == [[1], [32]]
    for found in agreement(result, ("batch",), PERPLEXITY):
        np.testing.assert_allclose(found.coefficients["kendall"], [1, -1], err_msg=f"{found.predictor} {found.part}")
    # The best tenth are the four lowest, in which this ranking is right, and of all others wrong.
    mended = result.one_shot._replace(accuracies=np.where(TRUTH < 64, TRUTH, 200 - TRUTH)[None, None])
    best = agreement(result._replace(one_shot=mended), ("batch",), PERPLEXITY)[-1]
    assert (best.part, best.cells, best.coefficients["kendall"].tolist()) == ("best", 4, [1.0])
    for ranking in look_rankings(result, metric=PERPLEXITY):
        np.testing.assert_allclose(ranking.measures["kendall"][:, 0], [1, -1])
        np.testing.assert_allclose(ranking.measures["best_3_percentile_max"][0], 1)
        assert ranking.measures["best_3_percentile_max"][1] < 0.1
    one = against_random(1, result)[0]
    assert one.comparison.superiority == pytest.approx(0.5)
    first = result._replace(
        values=result.values[:, :1],
        against=result.against._replace(at_least=result.against.at_least[:, :1], at_most=result.against.at_most[:, :1]),
    )
    assert against_random(1, first)[0].comparison.superiority > 0.95
    assert np.all(np.diff(result.against.quantiles, axis=1) >= 0)  # from the lowest
    assert one.quantiles[0] < one.expected < one.quantiles[-1]
    assert best_rank(result).rank == 1
    chosen = choose_on_test(result.record.candidates[:, 0], result.record.scores[:, 0], None, None, -1.0)
    np.testing.assert_array_equal(chosen.archs, result.record.archs[:, 0])


def test_files_and_lines(study):
    rows = list(csv.DictReader(io.StringIO(epochs_csv(study))))
    assert [float(row["one_shot_score"]) for row in rows] == [60, 200 - 91]
    assert [row["rank"] for row in rows] == ["1", "32"]
    assert [row["train_perplexity"] for row in rows] == ["5", "5"]
    assert "optimum" in supernet_results_text(study)
    assert as_study_results(study).config["metric"] == list(PERPLEXITY)


def test_the_page_says_perplexity_and_which_way_is_better(study):
    page = re.sub(r"\s+", " ", supernet_report(study))
    assert "2 units and 2 nodes on 600 training words of text and learned the architecture from 600 words" in page
    assert "Perplexity (lower is better), by the table" in page
    assert "a perplexity of 76.50 on average" in page
    assert "the lower dashes are the optimum" in page
    assert "a mean of -0.004 over the 32 cells" in page
    body = page[page.index("<body") :]
    assert "accurac" not in body.lower()
    assert not re.search(r"\{[a-z_]+(\.[a-z_]+)*\}", body)  # a form that was not filled in
    assert "(%)" not in body
