"""`jnas search --objectives --at-most`: real trainings by several numbers, under bounds."""

import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas.searchers import local_search, nsga2, random_search, scalarized
from jnas.studies._load import load_results
from jnas.studies.papers._sentence import paper_sentence
from jnas.studies.search._front_section import _words
from jnas.studies.trainings import _study
from jnas.studies.trainings._plan import plan_training_search
from jnas.studies.trainings._results import as_searches
from jnas.tables._cost_columns import cost_columns
from jnas.training._recipe import get_recipe
from jnas.training.data._sources import load_dataset
from jnas.training.networks._families import make_network
from tests.test_study_objectives import plain_area, plain_front
from tests.test_toy_space import rows, toy  # noqa: F401 - a fixture
from tests.test_training_search import FILES, pageless, quick, read, search, trained  # noqa: F401 - fixtures

ALL = (*FILES, "fronts.csv")
BOUND = 0.0025  # of the toy's 0.001 to 0.003
SEVERAL = ("--objectives", "accuracy,parameters,train_seconds=max", "--at-most", f"flops={BOUND}")
SEARCHERS = "nsga2:population_size=3,local_search"


def work(archs):
    """What the toy's networks count as parameters and as multiply-adds."""
    return np.float32(1e-3) * (1 + (np.asarray(archs) > 0).sum(axis=-1)).astype(np.float32)


def check_told(study, *, seconds_at=None, bounded=True, trains_all=False):
    """What searches were told, against the trainings: the objectives in their columns, and what keeps the bound."""
    archs, runs = study.trainings
    taken = {a.tobytes(): s / 2 for a, s in zip(archs, np.asarray(runs.seconds, np.float32), strict=True)}
    scores = {a.tobytes(): c[-1] for a, c in zip(archs, runs.accuracy["validation"], strict=True)}
    for searcher in study.searchers:
        traces = searcher.traces
        asked = traces.arch.reshape(-1, 2)
        told = np.asarray(traces.objectives).reshape(len(asked), -1)
        over = np.maximum(work(asked) - BOUND, 0) / BOUND if bounded else np.zeros(len(asked))
        known = [None if above and not trains_all else a.tobytes() for a, above in zip(asked, over > 0, strict=True)]
        if told.shape[1] > bounded:
            np.testing.assert_allclose(told[:, 0], work(asked), rtol=1e-6)
        if seconds_at is not None:
            np.testing.assert_array_equal(told[:, seconds_at], [-taken.get(name, np.nan) for name in known])
        if bounded:
            np.testing.assert_allclose(told[:, -1], over, rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(traces.score.reshape(-1), [scores.get(name, np.nan) for name in known])
        np.testing.assert_array_equal(traces.valid.reshape(-1), over <= 0)
        found = searcher.final_archs[searcher.incumbent[:, -1] >= 0]
        assert not bounded or (work(found) <= BOUND).all()


def test_searches_are_told_of_all_that_a_training_knows_and_the_table_and_the_page_too(tmp_path, capsys, trained):  # noqa: F811
    out = tmp_path / "out"
    trained.stop = 1  # in the second round, after the states of searches were kept
    assert search(out, *SEVERAL, searchers=SEARCHERS) == 130
    assert list((out / "trainings").glob("nsga2*=3.npz"))
    trained.stop = None
    assert search(out, *SEVERAL, searchers=SEARCHERS) == 0
    said = capsys.readouterr().out
    assert "of training, parameters, train_seconds=max, flops at most 0.0025 (recipe" in said
    assert f"--among known {' '.join(SEVERAL)}\n" in said
    assert all(len(archs) == 1 for archs in map(np.unique, (len(call) for call in trained.calls)))
    study, _ = load_results(out)
    check_told(study, seconds_at=1)

    results = as_searches(study)
    front, (archs, runs) = results.front, study.trainings
    costs = np.stack([-runs.accuracy["validation"][:, -1], work(archs), -runs.seconds / 2], axis=1)
    costs = costs.astype(np.float32)
    assert (work(archs) <= BOUND).all()  # what is above it is not trained
    np.testing.assert_array_equal(front.costs, sorted(costs[plain_front(costs)].tolist()))
    assert (front.names, front.signs) == (("accuracy", "parameters", "train_seconds"), (-1, 1, -1))
    assert _words(front, True).startswith("The front of all that was trained by accuracy, parameters, train_seconds")
    page = (out / "report.html").read_text()
    assert "looked for what nothing dominates by validation accuracy" in page
    assert "cells on the front of all that was trained" in page
    assert "against simulated seconds" not in page

    sentence = paper_sentence(results)
    assert "on the space toy, searching for the best digits-train64" in sentence
    assert "accuracy after 2 epochs of training (seed 0), together with parameters and train_seconds=max" in sentence
    assert "of the hypervolume of the front of all that was trained that is missing" in sentence

    asked = np.concatenate([s.traces.arch.reshape(-1, 2) for s in study.searchers])
    table = jnas.load_table(out / "table.npz")
    objective = table.objective(
        dataset=table.header.trainings[0].dataset,
        split="validation",
        epochs=2,
        seed="mean",
        objectives=("parameters", "train_seconds=max"),
        at_most={"flops": BOUND},
    )
    answer = objective(jax.random.split(jax.random.key(0), len(asked)), jnas.propose(jnp.asarray(asked)))
    told = np.concatenate([np.asarray(s.traces.objectives).reshape(len(asked) // 2, -1) for s in study.searchers])
    keeps = np.concatenate([s.traces.valid.reshape(-1) for s in study.searchers])
    np.testing.assert_array_equal(answer.valid, keeps)  # the others are not in the table
    np.testing.assert_allclose(np.asarray(answer.objectives)[keeps], told[keeps], rtol=1e-5)
    for line, arch in zip(read(out / "evaluations.csv"), asked, strict=True):
        assert float(line["parameters"]) == pytest.approx(work(arch))
        assert (
            (float(line["violation"]) > 0) == np.isnan(float(line["score"])) == (not float(line["train_seconds"]) > 0)
        )

    # What the folder keeps says what comes next: without its traces it goes on to the same, and trains nothing.
    before = {name: (out / name).read_bytes() for name in ALL}
    shutil.rmtree(out / "traces")
    trained.calls[:] = []
    assert search(out, *SEVERAL, searchers=SEARCHERS) == 0
    assert not trained.calls
    assert {name: (out / name).read_bytes() for name in ALL} == before


def test_what_is_above_a_bound_is_trained_for_those_alone_that_learn_from_it(tmp_path, trained, pageless):  # noqa: F811
    """And what one searcher had trained changes nothing for another; workers go on at once where nothing is trained."""
    bound = ("--at-most", f"parameters={BOUND}", "--evaluations", "8", "--seeds", "1")
    both = "local_search:constraint=filter,local_search"
    assert search(tmp_path / "both", *bound, searchers=both) == 0
    study, _ = load_results(tmp_path / "both")
    check_told(study._replace(searchers=study.searchers[:1]), trains_all=True)
    check_told(study._replace(searchers=study.searchers[1:]))
    assert (work(study.trainings.archs) > BOUND).any()
    trained.calls[:] = []
    for words, name in (((), "one"), (("--workers", "3"), "workers")):
        assert search(tmp_path / name, *bound, *words, searchers="local_search") == 0
        assert (work(np.concatenate(trained.calls)) <= BOUND).all()
        check_told(load_results(tmp_path / name)[0])
    lines = [read(tmp_path / name / "evaluations.csv") for name in ("both", "one")]
    asked = [[row for row in each if row["searcher"] == "local_search"] for each in lines]
    assert asked[0] == asked[1]
    above = ("--at-most", "flops=0.0001", "--evaluations", "2", "--seeds", "1")
    assert search(tmp_path / "none", *above, searchers="random_search") == 0
    assert load_results(tmp_path / "none")[0].trainings is None
    assert not (tmp_path / "none" / "table.npz").exists()


def test_workers_are_told_of_objectives_and_fronts_are_areas(tmp_path, trained, pageless):  # noqa: F811
    """Killed on the way, and with two objectives the regret is that of a plain definition."""
    words = ("--objectives", "accuracy,flops", "--workers", "2", "--evaluations", "6")
    trained.stop = 2
    assert search(tmp_path / "w", *words, searchers="regularized_evolution:population_size=3") == 130
    trained.stop = None
    assert search(tmp_path / "w", *words, searchers="regularized_evolution:population_size=3") == 0
    study, _ = load_results(tmp_path / "w")
    check_told(study, bounded=False)
    (searcher,), front = study.searchers, as_searches(study).front
    assert searcher.traces.worker.max() == 1
    whole = plain_area(front.shares(front.costs))
    regrets = []
    for arch, score in zip(searcher.traces.arch, searcher.traces.score, strict=True):
        regrets.append(1 - plain_area(front.shares(np.stack([-score, work(arch)], axis=1))) / whole)
    (row,) = read(tmp_path / "w" / "fronts.csv")
    assert float(row["hypervolume_regret"]) == pytest.approx(np.mean(regrets), abs=2e-5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--objectives", "accuracy,latency:pixel3"),
            "'latency:pixel3', expected behind the first parameters, flops or",
        ),
        (("--objectives", "accuracy,parameter"), "'parameter'; did you mean 'parameters'?"),
        (("--objectives", "parameters,accuracy"), "expected accuracy, which is searched on, as the first"),
        (("--objectives", "accuracy,flops=least"), "with =min or =max behind it"),
        (("--at-most", "accuracy=50"), "--at-most holds 'accuracy', expected parameters, flops or train_seconds"),
        (("--at-most", "parameters=max=2"), "expected a column alone"),
        (("--objectives", "accuracy,train_seconds", "--chunk-size", "2"), "leave --chunk-size out, or give 1"),
        (("--objectives", "accuracy,flops", "--searchers", "nsga2:color=1"), "no setting 'color'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, words, told):
    assert search(tmp_path / "x", *words, searchers="local_search") == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1


def test_searchers_are_made_for_what_is_searched_for(tmp_path, capsys, monkeypatch, trained):  # noqa: F811
    dataset, recipe = load_dataset("digits"), get_recipe("digits-8")
    network, space = make_network(dataset, recipe, space="toy"), toy()

    def plan(searcher, **asked):
        return plan_training_search({"mine": searcher}, network, dataset, recipe, **asked)

    two = ("accuracy", "flops")
    with pytest.raises(
        ValueError, match=r"mine searches for one objective, and there are 2; wrap it, jnas.searchers.sc"
    ):
        plan(local_search(space), objectives=two)
    with pytest.raises(
        ValueError, match=r"mine is made for 3 objectives, and there are 2; make it with num_objectives=2"
    ):
        plan(nsga2(space, num_objectives=3), objectives=two)
    with pytest.raises(ValueError, match="mine is made for 2 objectives, and there is one"):
        plan(nsga2(space))
    for searcher in (
        nsga2(space),
        random_search(space),
        scalarized(local_search(space)),
        local_search(space)._replace(made_with=""),
    ):
        assert plan(searcher, objectives=two).config["objectives"] == list(two)
    assert not {"objectives", "at_most"} & plan(local_search(space), objectives=two[:1]).config.keys()

    # Trainings that were made side by side have no time of their own.
    outputs = {name: make for name, make in _study.KIND.outputs.items() if name != "report.html"}
    monkeypatch.setattr(_study, "KIND", _study.KIND._replace(outputs=outputs))
    few = ("--evaluations", "1", "--seeds", "1")
    assert search(tmp_path / "first", *few, searchers="random_search") == 0
    words = (*few, "--start-from", str(tmp_path / "first"), "--at-most", "train_seconds=9")
    assert search(tmp_path / "timed", *words, searchers="random_search") == 2
    assert "none has a time of its own; start from another folder" in capsys.readouterr().err
    words = (*few, "--at-most", "parameters=0.0001", "--start-from", str(tmp_path / "first"))
    assert search(tmp_path / "none", *words, searchers="random_search") == 0
    assert "1 of 1 run of random_search found nothing: all that they trained" in capsys.readouterr().err


def test_seconds_of_trainings_are_columns_of_any_table(tmp_path):
    """The mean over runs; of the training that is named, where there are several."""
    space = jnas.spaces.categorical((2, 2))
    table = jnas.make_table(
        space, accuracy={"validation": [1.0, 2, 3, 4], "test": [1.0, 2, 3, 4]}, train_seconds=[4, 3, 2, 1.0]
    )
    asked = {"dataset": "data", "split": "validation", "epochs": 1, "seed": "mean"}
    archs = jnas.propose(jnp.asarray([[0, 0], [0, 1], [1, 0], [1, 1]]))
    keys = jax.random.split(jax.random.key(0), 4)
    for word, sign in (("train_seconds", 1), ("train_seconds:1=max", -1), ("train_seconds/data/1", 1)):
        told = table.objective(**asked, objectives=(word,))(keys, archs).objectives[:, 0]
        np.testing.assert_allclose(told, sign * np.asarray([4, 3, 2, 1.0]))
    with pytest.raises(ValueError, match="holds 'train_seconds:7'"):
        table.objective(**asked, objectives=("train_seconds:7",))
    runs = {
        "train_seconds/a/12": np.asarray([[1.0, 3.0], [np.nan, 5.0], [np.nan, np.nan]]),
        "train_seconds/a/200": np.ones((3, 1)),
        "train_seconds/b/12": np.zeros((3, 1)),
    }
    several = SimpleNamespace(names=frozenset(runs), read=runs.get)
    (column,) = cost_columns(several, ("train_seconds:12",), ("b", "a"))  # as the table calls the data set
    np.testing.assert_array_equal(column.values, [2.0, 5.0, np.nan])
    with pytest.raises(ValueError, match="several; pass one of train_seconds/a/12, train_seconds/a/200"):
        cost_columns(several, ("train_seconds",), ("a",))
