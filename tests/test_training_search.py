"""`jnas search`: searchers whose evaluations are real trainings, on networks that compile at once."""

import csv
import itertools
import re
from collections import Counter
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import jnas
from jnas.commands import _search
from jnas.commands._cli import main
from jnas.core import _shares
from jnas.core._folder import config_digest, read_description
from jnas.core._shares import Share, share_lock
from jnas.core._trace_statistics import incumbent_rows
from jnas.searchers import local_search, random_search
from jnas.searchers._recorded import arguments_of
from jnas.studies._load import load_results
from jnas.studies.search._random_order import random_order, share_of_worse
from jnas.studies.trainings import _store, _study
from jnas.studies.trainings._files import FOLDER, TRAININGS
from jnas.studies.trainings._plan import plan_training_search
from jnas.studies.trainings._results import as_searches
from jnas.studies.trainings._store import as_trained
from jnas.training._recipe import get_recipe
from jnas.training.data._sources import load_dataset
from jnas.training.data._text import text_dataset
from jnas.training.networks._families import make_network
from tests._events import scalars
from tests._shares import as_process
from tests.test_toy_space import SMALL, rows, toy  # noqa: F401 - a fixture

TOY = ("search", "--space", "toy", *SMALL[2:], "--epochs", "2", "--evaluations", "5", "--seeds", "2")
SEARCHERS = "random_search,local_search"
FILES = ("summary.csv", "evaluations.csv", "curves.csv")


@pytest.fixture(autouse=True)
def quick(rows, monkeypatch):  # noqa: F811
    """The toy space's networks, and devices as they are: JAX has started already."""
    monkeypatch.setattr(_search, "prepare_devices", lambda options, most=None: None)


@pytest.fixture
def trained(monkeypatch):
    """The architectures of each call that trains, in order; `stop` is the number of the call at which Ctrl-C comes."""
    calls, run_jobs = [], _store.run_jobs

    def counted(jobs, *arguments, **how):
        if len(calls) == counted.stop:
            raise KeyboardInterrupt
        run_jobs(jobs, *arguments, **how)
        calls.append(jobs.archs)

    counted.calls, counted.stop = calls, None
    monkeypatch.setattr(_store, "run_jobs", counted)
    return counted


@pytest.fixture
def pageless(monkeypatch):
    """Studies without a page, which takes longer than all else."""
    outputs = {name: make for name, make in _study.KIND.outputs.items() if name != "report.html"}
    monkeypatch.setattr(_study, "KIND", _study.KIND._replace(outputs=outputs))


def search(out, *words, searchers=SEARCHERS):
    return main([*TOY, "--searchers", searchers, "--out", str(out), *words])


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def check_log(folder):
    """Every number of curves.csv is in the log, once and under its run; nothing else is."""
    expected = {}
    for row in read(folder / "curves.csv"):
        run = expected.setdefault(row["arch"], Counter())
        for name in ("accuracy_percent", "loss"):
            run[int(row["epoch"]), f"{name}/{row['split']}", np.float32(row[name])] += 1
    found = scalars(folder / "tensorboard")
    assert all(re.fullmatch(r"\w+-seed-0", run) for run in found)
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected.values()))
    assert all(count == 1 for run in found.values() for count in run.values())


def test_every_evaluation_is_a_training_that_is_made_once(tmp_path, capsys, trained):
    assert search(tmp_path / "all", "--last-epochs", "2") == 0
    told = capsys.readouterr().out
    made = np.concatenate(trained.calls)
    assert len(np.unique(made, axis=0)) == len(made)
    study, left = load_results(tmp_path / "all")
    assert not left
    np.testing.assert_array_equal(study.trainings.archs, made)
    curves = study.trainings.runs.accuracy["validation"]
    scores = {
        arch.tobytes(): np.float32(curve.mean(dtype=np.float64)) for arch, curve in zip(made, curves, strict=True)
    }
    for searcher in study.searchers:
        traces = searcher.traces
        assert traces.mask.all()
        asked = traces.arch.reshape(-1, 2)
        expected = np.asarray([scores[arch.tobytes()] for arch in asked]).reshape(2, 5)
        np.testing.assert_array_equal(traces.score, expected)
        np.testing.assert_array_equal(searcher.incumbent, incumbent_rows(traces))
    assert len(read(tmp_path / "all" / "evaluations.csv")) == 20
    assert len(read(tmp_path / "all" / "curves.csv")) == len(made) * 2 * 3  # epochs and splits
    page = (tmp_path / "all" / "report.html").read_text()
    assert f"{len(made)} trainings for 20 evaluations" in page
    assert "optimum of the table" not in page
    assert "compiling included" in page
    assert "compiling 0" not in page
    assert f"<small>5 of {len(made)} trainings</small>" in page
    assert "random order of random_search" in page
    assert "random_search" in told
    assert re.search(r"at most 20 trainings: about \d+ s, by a rough guess, and before some 10 s to compile", told)
    assert re.search(r"compiled in \d+ s; \d trainings? took \d+ s, so that at most \d+ more take about \d+ s", told)
    assert re.search(r"local_search: at most 10 trainings, about \d+ s by those made so far", told)

    table = jnas.load_table(tmp_path / "all" / "table.npz")
    assert (table.space.name, table.num_archs) == ("toy", len(made))
    words = ("--searchers", "random_search", "--seeds", "2", "--evaluations", "3", "--among", "known")
    path = tmp_path / "all" / "table.npz"
    assert main(["study", "--table", str(path), *words, "--out", str(tmp_path / "study")]) == 0
    capsys.readouterr()
    assert main(["report", str(tmp_path / "all"), "-o", str(tmp_path / "again.html")]) == 0


def test_a_stopped_search_goes_on_to_the_same_result_and_trains_nothing_twice(tmp_path, capsys, trained, pageless):
    assert search(tmp_path / "whole", searchers="local_search") == 0
    whole, trained.calls[:] = [arch.tobytes() for arch in np.concatenate(trained.calls)], []
    made = []
    for stop in (1, 1, None):
        trained.stop = stop
        words = () if stop == 1 and not made else ("--log", "tensorboard")
        assert search(tmp_path / "parts", *words, searchers="local_search") == (0 if stop is None else 130)
        made += [arch.tobytes() for archs in trained.calls for arch in archs]
        trained.calls[:] = []
    assert made == whole
    said = capsys.readouterr().out
    assert re.search(r"at most \d trainings: about \d+ s, as long as the \d in the folder", said)
    left = [int(number) for number in re.findall(r"so that at most (\d+) more take", said)]
    assert left[-3:] == sorted(set(left[-3:]), reverse=True)  # what was made before does not count again
    for name in FILES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    check_log(tmp_path / "parts")
    for path in (tmp_path / "parts" / "trainings").iterdir():
        assert re.fullmatch(r"local_search-\d{5}\.npz", path.name)
    assert search(tmp_path / "parts", searchers="local_search") == 0
    assert not trained.calls
    capsys.readouterr()
    assert search(tmp_path / "parts", "--last-epochs", "2", searchers="local_search") == 2
    assert "reward is" in (told := capsys.readouterr().err)
    assert "--last-epochs is 1 there and 2 here" in told


def test_searches_do_not_depend_on_others(tmp_path, pageless):
    """Not on other searchers, nor on how many seeds there are, though they share trainings."""
    assert search(tmp_path / "both") == 0
    assert search(tmp_path / "one", "--seeds", "1", searchers="local_search") == 0
    kept = ("searcher", "seed", "evaluation", "arch", "score")
    both, one = ([tuple(r[k] for k in kept) for r in read(tmp_path / n / "evaluations.csv")] for n in ("both", "one"))
    assert [row for row in both if row[:2] == ("local_search", "0")] == one


def test_two_processes_train_a_round_together(tmp_path, capsys, monkeypatch, trained, pageless):
    """Played in turn: each makes its chunk of a round, finds the other gone, and goes on when that has made its."""
    words, searchers = ("--evaluations", "2", "--chunk-size", "1"), "random_search"
    assert search(tmp_path / "one", *words, searchers=searchers) == 0
    trained.calls[:] = []
    ended = []
    with monkeypatch.context() as patch:
        patch.setattr(_shares, "PATIENCE", 0)
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / share_lock(0)).write_text("7 on another\n")
        for process in (1, 0, 1, 0, 1):
            as_process(patch, process)
            ended.append(search(tmp_path / "two", *words, searchers=searchers))
            told = capsys.readouterr().err
            assert f"process {1 - process} of 2 ended with work left" in told or ended[-1] == 0
    assert ended == [2, 2, 2, 0, 0]
    for name in FILES:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert (tmp_path / "two" / "table.npz").exists()
    assert not list((tmp_path / "two" / "trainings").glob("random_search.npz"))


def test_processes_start_alike_from_a_folder_without_trainings(tmp_path, trained, pageless):
    trained.stop = 0
    assert search(tmp_path / "none", searchers="random_search") == 130
    config = read_description(tmp_path / "none", FOLDER)["config"]
    identity = {**FOLDER.header, "study": config_digest(config)}
    plan = SimpleNamespace(config=config, network=SimpleNamespace(space=toy()))
    for processes, kept in ((1, 0), (2, 1)):
        (tmp_path / str(processes)).mkdir()
        for process in range(processes):
            store = _store.Store(plan, tmp_path / str(processes), identity, Share(process, processes))
            assert store.start_from(tmp_path / "none") == 0
        assert len(list((tmp_path / str(processes) / TRAININGS).iterdir())) == kept


def test_language_models_are_searched_for_the_lowest_perplexity(tmp_path, capsys, pageless):
    lines = [" ".join(f"w{(3 * i + j) % 5}" for j in range(6)) for i in range(60)]
    (tmp_path / "mine.txt").write_text("\n".join(lines))
    words = ["search", "--space", "recurrent", "--nodes", "2", "--dataset", str(tmp_path / "mine.txt")]
    words += ["--recipe", "text-quick-4", "--epochs", "1", "--channels", "3", "--batch-size", "2", "--form", "switch"]
    words += ["--searchers", "random_search", "--evaluations", "3", "--seeds", "2", "--out", str(tmp_path / "found")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "recurrent: mine validation perplexity after 1 epoch of training (recipe text-quick-4: 3 units" in told
    assert "perplexity (lower is better)" in told
    study, _ = load_results(tmp_path / "found")
    (searcher,), (archs, runs) = study.searchers, study.trainings
    found = {a.tobytes(): v for a, v in zip(archs, runs.accuracy["validation"][:, -1], strict=True)}
    asked = as_trained(jnas.spaces.recurrent(2))(np.asarray(searcher.traces.arch).reshape(-1, 4))
    values = np.asarray([found[arch.tobytes()] for arch in asked]).reshape(2, 3)
    np.testing.assert_array_equal(searcher.traces.score, -values)
    np.testing.assert_array_equal(searcher.values[0], np.minimum.accumulate(values, 1))
    assert "on mine (7 different words; 336 of train" in as_searches(study).config["sentences"][0]
    table = jnas.load_table(tmp_path / "found" / "table.npz")
    assert (table.metric.name, table.metric.higher_is_better, table.num_archs) == ("perplexity", False, len(archs))


def test_what_trainings_compute_in_is_said_and_texts_need_networks_that_learn_them():
    dataset, recipe, searchers = (
        load_dataset("digits"),
        get_recipe("digits-8"),
        {"r": random_search(toy()), "l": local_search(toy())},
    )
    network = make_network(dataset, recipe, space="toy")
    assert "dtype" not in plan_training_search(searchers, network, dataset, recipe).config
    narrow = plan_training_search(searchers, network._replace(dtype="bfloat16"), dataset, recipe)
    assert narrow.config["dtype"] == "bfloat16"
    assert narrow.config["made_with"] == {"l": {"name": "local_search", **arguments_of(searchers["l"])}}
    text = text_dataset({"train": [["a", "b"]], "validation": [["a"]]}, name="few")
    with pytest.raises(ValueError, match="'few' is a text, which toy does not learn; for it give recurrent"):
        plan_training_search(searchers, network, text, recipe)


def test_trainings_of_another_folder_are_not_made_again(tmp_path, capsys, trained, pageless):
    assert search(tmp_path / "first", searchers="random_search") == 0
    trained.calls[:] = []
    assert search(tmp_path / "again", "--start-from", str(tmp_path / "first"), searchers="random_search") == 0
    assert not trained.calls
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()
    capsys.readouterr()
    words = ("--start-from", str(tmp_path / "first"), "--training-seed", "1")
    assert search(tmp_path / "other", *words, searchers="random_search") == 2
    assert "are not those that are made here, they have another --training-seed; start" in capsys.readouterr().err


def test_a_damaged_file_is_said(tmp_path, capsys, pageless):
    assert search(tmp_path / "s", searchers="random_search") == 0
    path = tmp_path / "s" / "trainings" / "random_search-00000.npz"
    path.write_bytes(path.read_bytes()[:-40])
    (tmp_path / "s" / "traces" / "random_search.npz").unlink()
    capsys.readouterr()
    assert search(tmp_path / "s", searchers="random_search") == 2
    assert "random_search-00000.npz" in (told := capsys.readouterr().err)
    assert "delete it, and the same command makes it again" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--searchers", "banana"), "did you mean 'bananas'"),
        (("--searchers", "bohb@2"), "names epochs, and all trainings here have the recipe's"),
        (("--searchers", "bonas"), "bonas cannot search here: the space toy has no features 'graph'"),
        (("--searchers", "random_search", "--last-epochs", "3"), "expected at most the recipe's 2 epochs"),
        (("--searchers", "random_search", "--form", "dispatch"), "form is 'dispatch'"),
        (("--searchers", "local_search:color=2"), "color"),
        (("--space", "nats_size"), "no space with networks 'nats_size'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, words, told):
    assert main([*TOY, "--out", str(tmp_path / "x"), *words]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "x" / "config.json").exists()


def test_a_random_order_of_trainings_is_that_of_all_orders():
    """Against every order written out, with one training that diverged and two that are equal by their score."""
    scores, worth = np.asarray([3.0, np.nan, 1.0, 3.0, 2.0]), np.asarray([[30.0, 99.0, 11.0, 32.0, 25.0]])
    ends = []
    for order in itertools.permutations(range(5), 2):
        known = [i for i in order if i != 1]
        best = max(scores[i] for i in known)
        ends.append(np.mean([worth[0, i] for i in known if scores[i] == best]))
    order = random_order(scores, worth[0], 2)
    assert order.mean == pytest.approx(np.mean(ends))
    assert (order.best, order.low, order.high) == (32, 11, 32)
    assert share_of_worse(order, np.asarray([40.0, np.nan])) == 1
    assert share_of_worse(order, np.asarray([11.0])) == pytest.approx(np.mean(np.asarray(ends) == 11) / 2)
    assert random_order(scores, worth[0] * np.nan, 2) is None
    assert random_order(scores, worth[0], 99).mean == 31


def test_batches_are_as_large_as_asked_for():
    for name, size in (("bananas", 4), ("random_search", 1)):
        searcher = _search._make_searcher(name, jnas.spaces.nasbench201(), 4)
        state = jax.eval_shape(lambda key, searcher=searcher: searcher.init(key, 8), jax.random.key(0))
        assert jax.eval_shape(searcher.ask, state)[0].archs.shape[0] == size
