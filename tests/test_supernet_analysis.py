"""What shared weights know, and studies of weight-sharing searches on the two-edge toy with a table of its own."""

import csv
import functools
import math
import re
import shutil

import jax
import numpy as np
import pytest
import scipy.stats

from jnas.commands import _from_scratch
from jnas.io._archive import read_archive, write_archive
from jnas.pages._plots import number
from jnas.searchers.weight_sharing._analysis import (
    COEFFICIENTS,
    best_share,
    expected_random_search,
    shared_weight_correlations,
)
from jnas.searchers.weight_sharing._registry import WEIGHT_SHARING
from jnas.searchers.weight_sharing._shared_weights import Sgd
from jnas.searchers.weight_sharing.mixtures._projection import Projection
from jnas.spaces import nasbench101
from jnas.studies.supernets import _run
from jnas.studies.supernets._against_table import against_table
from jnas.studies.supernets._other_ends import (
    other_ends_section,
    read_selection,
    save_selected,
    select_again,
    selectable,
    selected_csv,
)
from jnas.studies.supernets._plan import SupernetMethod, SupernetPlan, plan_supernet_study, supernet_methods
from jnas.studies.supernets._ranking import (
    MEASURES,
    against_random,
    best_rank,
    look_kendall,
    look_rankings,
    ranking_measures,
)
from jnas.studies.supernets._ranking_text import random_search_csv, ranking_csv
from jnas.studies.supernets._regret_section import _APART, _spread
from jnas.studies.supernets._report import supernet_report
from jnas.studies.supernets._results import load_search
from jnas.studies.supernets._study import load_supernet_study, supernet_study
from jnas.studies.supernets._summary import (
    agreement,
    as_study_results,
    entropy,
    final_columns_of,
    judged_column,
    operation_counts,
)
from jnas.studies.supernets._text import supernet_results_text
from jnas.tables._make import make_table
from jnas.tables._targets import Target, judging_column
from jnas.training.data._augmentation import normalize
from tests._descriptions import read_said, write_said
from tests._shares import in_two_processes, make_share
from tests._toy_supernet import ARCHS, TOY, toy_dataset

pytestmark = pytest.mark.pictures

TRUTH = np.asarray([50, 60.04, 60, 52, 71, 80, 58, 90, 71.3], np.float32)
VALIDATION = TRUTH + np.asarray([1, -2, 3, 0, 0, 2, 5, -1, 0], np.float32)
RNG = np.random.default_rng(5)


@functools.cache
def dataset():
    return toy_dataset(count=200)


@functools.cache
def table():
    accuracy = {"validation": VALIDATION[:, None], "test": TRUTH[:, None]}
    return make_table(TOY.space, accuracy=accuracy, dataset="toy", epochs=5, name="a small table")


@functools.cache
def methods():
    """Two quick ones."""
    found = supernet_methods(
        ("gdas", "rsps"), TOY, dataset(), epochs=3, batch_size=32, selection={"num_candidates": 4, "batch_size": 20}
    )
    return found


def go(out=None, names=("gdas", "rsps"), **changes):
    options = {"table": table(), "num_seeds": 2, "one_shot": "all", "look_every": 2, "out": out, "pool": 5, **changes}
    options = {"batch_norms": ("batch", "running"), "test_selection": True, **options}
    return supernet_study({name: methods()[name] for name in names}, TOY, dataset(), **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken study and its folder."""
    folder = tmp_path_factory.mktemp("supernets") / "whole"
    return go(folder), folder


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


# Numbers.


def test_correlations_are_those_of_scipy_and_leave_out_what_is_not_known():
    truth, predicted = RNG.normal(70, 5, 40), RNG.normal(0, 1, 40)
    found = shared_weight_correlations(np.append(truth, [np.nan, 71]), np.append(predicted, [0.3, np.nan]))
    assert found["kendall"] == pytest.approx(scipy.stats.kendalltau(truth, predicted).statistic)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(truth, predicted).statistic)
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(truth, predicted).statistic)
    assert all(math.isnan(v) for v in shared_weight_correlations(truth, np.zeros(40)).values())
    assert all(math.isnan(v) for v in shared_weight_correlations(truth[:1], predicted[:1]).values())


def test_the_best_share_is_that_of_the_known():
    assert best_share([1.0, np.nan, 5.0, 3.0, 4.0], 0.5).tolist() == [2, 4]
    assert best_share([1.0, np.nan, 5.0], 1.0).tolist() == [2, 0]


def test_random_search_is_the_mean_over_all_draws():
    score, value = np.asarray([1.0, 2, 2, 4, np.nan]), np.asarray([10.0, 20, 50, 30, 90])
    every = [
        np.mean(value[[a, b, c]][score[[a, b, c]] == max(score[[a, b, c]])])
        for a in range(4)
        for b in range(4)
        for c in range(4)
    ]
    # Where the best come twice, either may be the first: the mean over all orders is the mean over cells.
    assert expected_random_search(score, value, 3) == pytest.approx(np.mean(every))
    assert expected_random_search(score, value, 1) == pytest.approx(27.5)
    assert expected_random_search(score, value, 400) == pytest.approx(30.0)


def test_the_column_of_ranks_is_the_data_sets_own_test():
    targets = [Target("cifar10", "validation", 200), Target("cifar10", "test", 200), Target("cifar100", "test", 200)]
    assert [judging_column(targets, name) for name in ("cifar10-valid-16px", "cifar100-16px", "mine")] == [1, 2, 1]
    assert judging_column([], "mine") == -1
    versions = [targets[0]._replace(dataset=f"mnist:{number}", split="test") for number in ("3.0.0", "3.0.1")]
    assert judging_column(versions, "mnist/3.0.1") == 1  # tables have `:` for `/`


# A study.


def accuracies_by_hand(shared, policy):
    """The percentage of validation images that each architecture gets right, in one batch."""
    data = dataset()
    statistics = shared.statistics if policy == "running" else None
    rows = np.asarray(data.rows("validation"))
    images = normalize(data.images[rows], data.mean, data.std)
    logits = LOGITS(shared.parameters, statistics, ARCHS, images)
    return 100 * np.mean(np.argmax(np.asarray(logits), axis=-1) == np.asarray(data.labels[rows]), axis=1)


LOGITS = jax.jit(jax.vmap(lambda *arguments: TOY.sampled(*arguments)[0], (None, None, 0, None)))


def test_the_counterpart_of_table_7_is_a_loop_over_architectures(whole):
    study, folder = whole
    result = study.methods[0]
    searcher, path = methods()["gdas"].searcher, _run.search_path(folder, "gdas")
    runs, _ = load_search(path, identity_of(study, "gdas"), begun("gdas"))
    one_shot = result.one_shot
    assert np.array_equal(one_shot.archs, ARCHS)
    np.testing.assert_array_equal(one_shot.truth, TRUTH)
    policies = study.config["batch_norms"]
    for seed in range(2):
        state = jax.tree.map(lambda leaf, seed=seed: leaf[seed], runs.state)
        shared, logs = searcher.shared(state), np.log(np.asarray(searcher.probabilities(state)))
        for policy in ("batch", "running"):
            expected = accuracies_by_hand(shared, policy)
            np.testing.assert_allclose(one_shot.accuracies[policies.index(policy), seed], expected, atol=1e-3)
        np.testing.assert_allclose(
            one_shot.log_probability[seed], [logs[[0, 1], arch].sum() for arch in ARCHS], atol=1e-4
        )
    found = {(a.predictor, a.part): a for a in agreement(result, tuple(policies))}
    assert set(found) == {(p, part) for p in ("probability", *policies) for part in ("all", "best")}
    for seed in range(2):
        own = one_shot.accuracies[policies.index("running"), seed]
        pairs = [(i, j) for i in range(9) for j in range(i)]
        signs = [np.sign(float(TRUTH[i]) - float(TRUTH[j])) * np.sign(float(own[i]) - float(own[j])) for i, j in pairs]
        ties = sum(own[i] == own[j] for i, j in pairs)
        tau = np.sum(signs) / np.sqrt(len(pairs) * (len(pairs) - ties))
        assert found["running", "all"].coefficients["kendall"][seed] == pytest.approx(tau)
    assert found["batch", "best"].cells == 1
    rows = rows_of(folder / "one_shot.csv")
    assert len(rows) == 2 * 3 * 2 * 2
    first = next(r for r in rows if (r["method"], r["predictor"], r["seed"]) == ("gdas", "running", "1"))
    for name in COEFFICIENTS:
        assert float(first[name]) == pytest.approx(found["running", "all"].coefficients[name][1], rel=1e-5)


def identity_of(study, name):
    from jnas.core._folder import config_digest

    return {"study": config_digest(study.config), "method": name}


def begun(name):
    from jnas.searchers.weight_sharing._loop import begin_search
    from jnas.studies._keys import seed_keys

    return jax.jit(jax.vmap(lambda key: begin_search(key, methods()[name].searcher)))(seed_keys(0, name, 2))


def test_each_look_is_judged_by_the_table(whole):
    study, folder = whole
    for result in study.methods:
        assert result.record.looked.tolist() == [2, 3]
        assert result.record.info.shape == (2, 3, 4)
        numbers = result.record.archs @ np.asarray([3, 1])
        np.testing.assert_array_equal(result.values, np.stack([VALIDATION[numbers], TRUTH[numbers]]))
        np.testing.assert_array_equal(result.ranks, [[1 + np.sum(TRUTH[n] < TRUTH) for n in row] for row in numbers])
        counts = operation_counts(study, result)
        assert counts[1, 0].tolist() == [np.sum(result.record.archs[1, 0] == k) for k in range(3)]
        final = TRUTH[numbers[:, -1]].astype(float)
        assert final_columns_of(result)[1].mean == pytest.approx(final.mean())
        assert final_columns_of(result)[1].std == pytest.approx(final.std(ddof=1))
    gdas, rsps = study.methods
    np.testing.assert_allclose(entropy(study, rsps), 1.0, atol=1e-6)
    w = gdas.record.weights[0, 0].astype(float)
    assert entropy(study, gdas)[0, 0] == pytest.approx(np.mean(-np.sum(w * np.log(w), axis=1)) / np.log(3))
    assert rsps.record.candidates.shape == (2, 2, 4, 2)
    best = np.argmax(rsps.record.scores, axis=-1)
    chosen = np.take_along_axis(rsps.record.candidates, best[..., None, None], axis=2)[:, :, 0]
    np.testing.assert_array_equal(rsps.record.archs, chosen)

    rows = rows_of(folder / "epochs.csv")
    assert len(rows) == 2 * 2 * 3
    row = next(r for r in rows if (r["method"], r["seed"], r["epoch"]) == ("rsps", "1", "3"))
    assert TOY.space.from_string(row["arch"]).tolist() == rsps.record.archs[1, -1].tolist()
    assert float(row["toy test 5"]) == pytest.approx(float(rsps.values[1, 1, -1]))
    assert int(row["rank"]) == rsps.ranks[1, -1]
    assert row["hessian_eigenvalue"] == ""
    assert next(r for r in rows if r["epoch"] == "1")["arch"] == ""
    summary = rows_of(folder / "summary.csv")
    assert [r["method"] for r in summary[::2]][:3] == ["gdas", "rsps", "optimum"]
    random = next(r for r in summary if (r["method"], r["split"]) == ("random cell", "test"))
    assert float(random["mean"]) == pytest.approx(TRUTH.mean(), rel=1e-5)
    assert float(random["std"]) == pytest.approx(TRUTH.std(), rel=1e-4)


def same(one, other):
    for a, b in zip(one, other, strict=True):
        timed = ("train_seconds", "look_seconds", "compile_seconds")
        for field in set(a.record._fields) - set(timed):
            np.testing.assert_array_equal(getattr(a.record, field), getattr(b.record, field))
        np.testing.assert_array_equal(a.values, b.values)
        assert (a.one_shot is None) == (b.one_shot is None)
        for field in ("archs", "truth", "accuracies", "log_probability") if a.one_shot else ():
            np.testing.assert_array_equal(getattr(a.one_shot, field), getattr(b.one_shot, field))


class Killed(Exception):
    """What stops a study in a test."""


def test_a_study_that_was_killed_goes_on_to_the_same_results(whole, tmp_path, monkeypatch):
    save, saved = _run.save_search, []

    def save_and_die(*arguments):
        save(*arguments)
        saved.append(arguments[0])
        if len(saved) == 2:
            raise Killed

    monkeypatch.setattr(_run, "save_search", save_and_die)
    quick = {"names": ("rsps",), "one_shot": 0}  # another method, or the analysis, changes nothing for this one
    with pytest.raises(Killed):
        go(tmp_path, **quick)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "methods").iterdir()] == ["rsps.state.npz"]
    found = go(tmp_path, **quick)
    same(found.methods, [whole[0].methods[1]._replace(one_shot=None)])
    assert rows_of(tmp_path / "summary.csv")[:2] == rows_of(whole[1] / "summary.csv")[2:4]
    assert not (tmp_path / "one_shot.csv").exists()


def test_finished_searches_are_selected_by_perturbation_and_stay(whole, tmp_path, monkeypatch):
    """Those that have an alpha; and what is written is read, and told."""
    study, folder = shutil.copytree(whole[1], tmp_path / "copy") and whole[0], tmp_path / "copy"
    asked = {"table": table(), "num_seeds": 2, "one_shot": "all", "look_every": 2, "pool": 5, "test_selection": True}
    asked |= {"batch_norms": ("batch", "running"), "split": None, "root_seed": 0, "hessian": False, "sizes": None}
    plan = plan_supernet_study(methods(), TOY, dataset(), **asked, command=None)
    selected = select_again(plan, study, folder, read_selection("perturbation:tune_epochs=0"))
    assert selected.methods == ("gdas",)
    index = selected.archs[0].astype(int) @ [3, 1]
    np.testing.assert_array_equal(selected.values[0], [VALIDATION[index], TRUTH[index]])
    save_selected(folder, selected, plan.config)
    found = load_supernet_study(folder)
    same(found.methods, study.methods)
    np.testing.assert_array_equal(found.selected.archs, selected.archs)
    rows = list(csv.DictReader(selected_csv(found).splitlines()))
    assert [(row["method"], row["seed"]) for row in rows] == [("gdas", "0"), ("gdas", "1")]
    assert "is tuned (0 epochs, batches of 64)" in other_ends_section(found)
    again = read_selection("perturbation:tune_epochs=0")
    with monkeypatch.context() as patch:  # the same once more is not made again, another one is
        patch.setattr(_from_scratch, "write_outputs", lambda *given: None)
        patch.setattr(_from_scratch, "select_again", lambda *given: selected._replace(settings={"made": "anew"}))
        assert _from_scratch._select(plan, found, folder, again).selected is found.selected
        assert _from_scratch._select(plan, found, folder, Projection()).selected.settings == {"made": "anew"}
    with pytest.raises(ValueError, match="--select is given, and none of rsps has architecture parameters"):
        selectable(plan._replace(methods={"rsps": plan.methods["rsps"]}), again)
    with pytest.raises(ValueError, match="and a batch takes 500"):
        selectable(plan, Projection(batch_size=500))
    alone = study._replace(methods=study.methods[1:])
    with pytest.raises(ValueError, match="--select is given, and none of rsps has architecture parameters"):
        select_again(plan, alone, folder, read_selection("perturbation"))
    for text, message in (
        ("luck", "--select is 'luck', expected 'perturbation'"),
        ("perturbation:a=1", "no setting 'a'"),
    ):
        with pytest.raises(ValueError, match=message):
            read_selection(text)
    assert read_selection(None) is None


def test_the_page_says_where_recorded_eigenvalues_would_have_stopped(whole):
    """The first search grows from its seventh look on, and goes back to epoch 10; the second one never does."""
    study, _ = whole
    assert other_ends_section(study) is None
    result, looked = study.methods[0], 2 * np.arange(1, 13, dtype=np.int32)
    eigenvalues = np.ones((2, 12), np.float32)
    eigenvalues[0, 6:] = 9
    values = np.broadcast_to(np.arange(12.0, dtype=np.float32), (2, 2, 12))
    archs = np.repeat(result.record.archs[:, -1:], 12, axis=1)
    record = result.record._replace(looked=looked, eigenvalues=eigenvalues, archs=archs)
    stopped = study._replace(methods=(result._replace(record=record, values=values),))
    page = re.sub(r' data-label="[^"]*"', "", other_ends_section(stopped))
    assert "Stopped by the eigenvalue" in page
    assert "<td>10, –</td>" in page
    assert "<td>-3.50</td>" in page  # from look 12 to look 5, of one of two
    assert "<td>0, 1</td>" in page
    lower = {**study.config, "metric": ["perplexity", "", False]}
    lower_page = other_ends_section(stopped._replace(config=lower))
    assert re.search("<td[^>]*>1, 0</td>", lower_page)


def test_a_finished_study_is_read_and_not_run(whole, tmp_path, monkeypatch):
    study, folder = whole
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    monkeypatch.setattr(_run, "_run_method", None)
    lines = []
    same(go(copy, log=lines.append).methods, study.methods)
    assert lines[-1] == "all of it was done before"
    loaded = load_supernet_study(copy)
    same(loaded.methods, study.methods)
    assert loaded.targets == study.targets
    assert [r.name for r in loaded.references] == [r.name for r in study.references]
    with pytest.raises(ValueError, match=r"another configuration: num_seeds is 2 there and 3 here"):
        go(copy, num_seeds=3)
    published = WEIGHT_SHARING.entry("rsps")._replace(settings={"sgd": Sgd(0.05)})
    with monkeypatch.context() as changed:
        changed.setitem(WEIGHT_SHARING.rows, "rsps", published)
        changed.setitem(globals(), "methods", methods.__wrapped__)
        with pytest.raises(ValueError, match=r"configuration: rsps\.sgd\.learning_rate is 0\.025 there and 0\.05 here"):
            go(copy)
    said = read_said(copy)
    del said["config"]["made_with"]  # a folder of before does not know it
    write_said(copy, said)
    again = go(copy)
    same(again.methods, study.methods)
    assert "made_with" not in again.config
    header, arrays = read_archive(copy / "methods" / "rsps.npz", kind="", remedy="")
    for name, other in (("ranks", arrays["ranks"][:1]), ("one_shot/truth", np.float32(0)), ("looked", np.int32(0))):
        write_archive(copy / "methods" / "rsps.npz", header, {**arrays, name: np.asarray(other)}, compress=True)
        with pytest.raises(ValueError, match=r"rsps\.npz is not a file of .*, or it is damaged"):
            load_supernet_study(copy)
    (copy / "methods" / "rsps.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"rsps\.npz is not a file of `jnas supernet`"):
        load_supernet_study(copy)
    config = read_said(copy)
    for bad in ({**config, "config": [1]}, {k: v for k, v in config.items() if k != "versions"}):
        write_said(copy, bad)
        with pytest.raises(ValueError, match=r"config\.json is damaged"):
            load_supernet_study(copy)
        with pytest.raises(ValueError, match=r"config\.json is damaged"):
            go(copy)


def test_searches_take_the_form_of_a_study(whole):
    study, _ = whole
    results = as_study_results(study)
    rsps = results.searchers[1]
    assert rsps.final.tolist() == study.methods[1].values[:, :, -1].tolist()
    assert rsps.final_archs.tolist() == study.methods[1].record.archs[:, -1].tolist()
    assert rsps.traces.mask.all()
    assert np.isnan(rsps.traces.score).all()
    total = study.methods[1].record.train_seconds.sum() + study.methods[1].record.look_seconds.sum()
    assert rsps.elapsed[:, -1] == pytest.approx(total / 2)
    assert results.config["clock"] == "measured"


def test_the_report_holds_what_it_should(whole):
    study, folder = whole
    text = (folder / "report.html").read_text()
    for words in ("Weight-sharing searches on toy", "a small table", "random search, 10 cells", "Kendall", "gdas"):
        assert words in text
    regrets = [90 - method.values[judged_column(study), :, -1].mean(dtype=np.float64) for method in study.methods]
    ends = (f"{m.name} {number(max(float(r), 1e-3))}" for m, r in zip(study.methods, regrets, strict=True))
    assert f"At the end: {', '.join(ends)} points" in text
    assert "nan" not in text.lower().replace("nanmean", "")
    assert "All evaluated cells: 9" in text
    for empty in ("The truly best tenth of them: 1", "small subsets"):  # tables in which nothing would stand
        assert empty not in text
    assert text.count("<article") >= 2
    assert f"{final_columns_of(study.methods[1])[1].mean:.2f}" in text


def test_a_search_that_diverges_is_said_and_not_judged(tmp_path):
    searcher = methods()["gdas"].searcher

    def poisoned(state, batch):
        state, info = searcher.step(state, batch)
        weights = jax.tree.map(lambda leaf: leaf * np.nan, state.weights.shared.parameters)
        shared = state.weights.shared._replace(parameters=weights)
        return state._replace(weights=state.weights._replace(shared=shared)), info

    bad = methods()["gdas"]._replace(searcher=searcher._replace(step=poisoned))
    both = {"good": methods()["gdas"], "bad": bad}
    study = supernet_study(both, TOY, dataset(), table=table(), num_seeds=2, look_every=2, out=tmp_path / "study")
    good, bad = study.methods
    assert np.isfinite(good.record.info).all()
    assert np.isnan(bad.record.info).all()
    assert np.isnan(bad.values).all()
    assert (bad.ranks == -1).all()
    assert np.isfinite(good.values).all()
    told = "Searches that diverged, and are not counted: 2 of 2 of bad."
    assert told in supernet_results_text(study)
    page = (tmp_path / "study" / "report.html").read_text()
    assert told in page
    assert "nan" not in page.lower()
    assert page.count("<article") == len({arch.tobytes() for arch in good.record.archs[:, -1]})
    row = next(r for r in rows_of(tmp_path / "study" / "epochs.csv") if r["method"] == "bad" and r["epoch"] == "3")
    assert row["skip_connections"] == row["toy test 5"] == row["entropy"] == ""
    for judge, out in ((table(), "judged"), (None, "alone")):  # where there is nothing else to say
        study = supernet_study({"bad": both["bad"]}, TOY, dataset(), table=judge, num_seeds=1, out=tmp_path / out)
        told = "Searches that diverged, and are not counted: 1 of 1 of bad."
        assert told in supernet_results_text(study)
        assert told in (tmp_path / out / "report.html").read_text()


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="one_shot needs a table"):
        go(table=None, one_shot=5, pool=0)
    with pytest.raises(ValueError, match="pool is 5, and needs a table"):
        go(table=None, one_shot=0)
    with pytest.raises(ValueError, match="pool is 10, and the table knows 9 cells"):
        go(pool=10)
    with pytest.raises(TypeError, match="methods is no mapping of names to SupernetMethod"):
        supernet_study({"gdas": methods()["gdas"].searcher}, TOY, dataset())
    with pytest.raises(ValueError, match="look_every is 0"):
        go(look_every=0)
    with pytest.raises(ValueError, match="expected some of running, batch, reestimated"):
        go(batch_norms=("none",))
    with pytest.raises(ValueError, match="batch_norms is empty"):
        go(batch_norms=())
    with pytest.raises(ValueError, match="none of rsps has architecture parameters"):
        go(names=("rsps",), hessian=True)
    with pytest.raises(ValueError, match="controller_steps is given, and none of gdas, rsps takes it"):
        supernet_methods(["gdas", "rsps"], TOY, dataset(), epochs=3, batch_size=32, controller_steps=3)
    other = TOY._replace(space=TOY.space._replace(name="other"))
    with pytest.raises(ValueError, match="the table is of the space"):
        supernet_study(methods(), other, dataset(), table=table())
    assert isinstance(methods()["rsps"], SupernetMethod)
    with pytest.raises(ValueError, match="no weight-sharing searcher 'pcdarts'"):
        supernet_methods(["pcdarts"], TOY, dataset())


def test_two_processes_share_the_seeds_of_a_method(whole, tmp_path, monkeypatch):
    """Each has a seed of each method; a folder that they began goes on with as many."""
    study, folder = whole
    with monkeypatch.context() as patch:
        make_share(patch, go, tmp_path / "two", 1)
    there = {path.name for path in (tmp_path / "two" / "methods").iterdir()}
    assert there == {f"{name}.{what}-1-of-2.npz" for name in ("gdas", "rsps") for what in ("part", "state")}
    with pytest.raises(ValueError, match=r"gdas was begun in .* by 2 processes that share its seeds, and goes on with"):
        go(tmp_path / "two")
    with monkeypatch.context() as patch:
        first, second = in_two_processes(patch, go, tmp_path / "two")
    names = sorted(path.name for path in (folder / "methods").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two" / "methods").iterdir())
    for name in names:
        one, two = np.load(folder / "methods" / name), np.load(tmp_path / "two" / "methods" / name)
        assert one.files == two.files
        for array in set(one.files) - {"header"}:
            if "seconds" not in array:
                np.testing.assert_array_equal(one[array], two[array], err_msg=f"{name} {array}")
    for found in (first, second):
        np.testing.assert_array_equal(found.methods[1].ranks, study.methods[1].ranks)


def test_what_the_test_images_would_have_chosen_is_told_and_not_used(whole):
    study, folder = whole
    gdas, rsps = study.methods
    assert gdas.test_choice is None  # it compares nothing
    found, data = rsps.test_choice, dataset()
    runs, _ = load_search(_run.search_path(folder, "rsps"), identity_of(study, "rsps"), begun("rsps"))
    rows = np.asarray(data.rows("test"))
    images = normalize(data.images[rows], data.mean, data.std)
    for seed in range(2):
        shared = methods()["rsps"].searcher.shared(jax.tree.map(lambda leaf, seed=seed: leaf[seed], runs.state))
        candidates = rsps.record.candidates[seed, -1].astype(np.int32)
        logits = np.asarray(LOGITS(shared.parameters, None, ARCHS, images))
        every = 100 * np.mean(np.argmax(logits, axis=-1) == np.asarray(data.labels[rows]), axis=1)
        expected = every[candidates @ [3, 1]]
        np.testing.assert_allclose(found.scores[seed], expected, atol=1e-3)
        best = candidates[np.argmax(expected)]
        assert found.archs[seed].tolist() == best.tolist()
        assert found.values[:, seed].tolist() == [VALIDATION[best @ [3, 1]], TRUTH[best @ [3, 1]]]
    rows = rows_of(folder / "test_selection.csv")
    assert [(row["method"], row["seed"]) for row in rows] == [("rsps", "0"), ("rsps", "1")]
    assert float(rows[1]["toy test 5, chosen on test"]) == pytest.approx(float(found.values[1, 1]))
    assert "What a selection on the test images would have chosen" in (folder / "report.html").read_text()


# Rankings, and random search.


def test_measures_of_a_perfect_ranking_and_of_a_reversed_one():
    truth = np.linspace(60, 90, 200)
    best, worst = ranking_measures(truth, truth**2), ranking_measures(truth, -truth)
    assert tuple(best) == MEASURES
    for name in MEASURES:
        if "kendall" in name or "spearman" in name:
            assert (best[name], worst[name]) == pytest.approx((1, -1), abs=1e-9), name
    assert [best[f"best_{k}_percentile_max"] for k in (3, 5, 10, 20)] == [1] * 4
    assert best["best_10_percentile_min"] == pytest.approx(191 / 200)
    assert worst["best_20_percentile_max"] == pytest.approx(20 / 200)
    few = ranking_measures([1.0, 2, 3, np.nan], [3.0, 2, 1, 0])
    assert few["kendall"] == -1
    assert few["best_3_percentile_median"] == pytest.approx(2 / 3)
    assert math.isnan(few["kendall_of_10_mean"])
    assert all(math.isnan(value) for value in ranking_measures([1.0], [1.0]).values())
    assert all(math.isnan(value) for value in ranking_measures(truth, np.zeros(200)).values())


def test_the_candidates_of_each_look_are_ranked_against_the_table(whole):
    study, folder = whole
    rsps = study.methods[1]
    truth = TRUTH[rsps.record.candidates @ np.asarray([3, 1])]
    np.testing.assert_array_equal(rsps.against.candidate_values, truth)
    candidates, pool = look_rankings(rsps)
    assert (candidates.cells.tolist(), pool.cells.tolist()) == ([[4, 4]] * 2, [[5, 5]] * 2)
    expected = scipy.stats.kendalltau(truth[1, 0], rsps.record.scores[1, 0]).statistic
    assert candidates.measures["kendall"][1, 0] == pytest.approx(expected, nan_ok=True)
    for each in (candidates, pool):
        np.testing.assert_allclose(look_kendall(rsps)[each.pool], each.measures["kendall"])
    rows_of_pool = np.random.default_rng([0, 0x0E5107]).permutation(9)[:5]
    np.testing.assert_array_equal(rsps.against.pool_truth, TRUTH[rows_of_pool])
    at_end = rsps.one_shot.accuracies[study.config["batch_norms"].index("batch")][:, rows_of_pool]
    np.testing.assert_allclose(rsps.record.pool[:, -1], at_end, atol=1e-4)
    assert [ranking.pool for ranking in look_rankings(study.methods[0])] == ["pool"]  # gdas compares no candidates
    rows = rows_of(folder / "ranking.csv")
    assert {(r["method"], r["pool"]) for r in rows} == {
        ("rsps", "candidates"),
        *((name, pool) for name in ("gdas", "rsps") for pool in ("pool", "probability", "batch", "running")),
    }
    own = [r for r in rows if (r["method"], r["pool"], r["seed"]) == ("rsps", "candidates", "1")]
    assert [r["epoch"] for r in own] == ["2", "3"]
    batch = next(r for r in rows if (r["method"], r["pool"], r["seed"]) == ("gdas", "batch", "0"))
    tau = agreement(study.methods[0], tuple(study.config["batch_norms"]))[1].coefficients["kendall"][0]
    assert float(batch["kendall"]) == pytest.approx(tau, rel=1e-5)


def test_final_cells_stand_beside_the_exact_distribution_of_random_search(whole):
    study, folder = whole
    one, ten, _ = against_random(1, study.methods[0])
    final = study.methods[0].values[1, :, -1].astype(float)
    better = [np.mean(value > TRUTH) + np.mean(value == TRUTH) / 2 for value in final]
    assert one.comparison.superiority == pytest.approx(np.mean(better))
    assert one.comparison.difference == pytest.approx(final.mean() - TRUTH.mean(), rel=1e-5)
    references = {r.name: r.values for r in study.references}
    assert ten.expected == pytest.approx(references["random search, 10 cells"][1])
    best = best_rank(study.methods[0])
    assert best == (study.methods[0].ranks[:, -1].min(), 9, 2, pytest.approx((1 - best.rank / 9) ** 2))
    rows = rows_of(folder / "random_search.csv")
    assert [(r["method"], r["draws"]) for r in rows] == [(n, k) for n in ("gdas", "rsps") for k in ("1", "10", "100")]
    assert float(rows[0]["superiority"]) == pytest.approx(np.mean(better), rel=1e-5)
    summary = rows_of(folder / "summary.csv")
    assert [r["best_rank"] for r in summary[:2]] == ["", str(best.rank)]
    page = (folder / "report.html").read_text()
    told = supernet_results_text(study)
    assert "Against random search" in page
    assert f"{best.rank} of 9" in page
    assert f"{best.rank} of 9" in told
    assert "The ranking of the last look" in told


def test_a_folder_made_before_is_shown_without_them(whole, tmp_path):
    study, folder = whole
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for path in (copy / "methods").glob("[a-z]*s.npz"):
        header, arrays = read_archive(path, kind="", remedy="")
        kept = {name: array for name, array in arrays.items() if not name.startswith("against/")}
        assert len(kept) < len(arrays)
        write_archive(path, header, kept, compress=True)
    old = load_supernet_study(copy)
    assert [result.against for result in old.methods] == [None] * 2
    same(old.methods, study.methods)
    assert "Against random search" not in supernet_report(old)
    assert random_search_csv(old) is None
    assert "Share of random searches" not in supernet_results_text(old)
    bare = old._replace(methods=tuple(result._replace(one_shot=None) for result in old.methods))
    assert ranking_csv(bare) is None


def test_what_a_released_encoding_reaches_is_kept_and_told(whole):
    space = nasbench101(max_vertices=4)
    values = np.linspace(80, 95, 91, dtype=np.float32)
    judge = make_table(space, accuracy={"test": values})
    targets = (Target("data", "test", 1),)
    method = methods()["rsps"]._replace(settings={"reachable": "released"})
    plan = SupernetPlan({"darts-v2": method}, TOY, dataset(), judge, targets, values[None], (), np.zeros(0, int), {})
    archs = np.asarray(judge.archs[:6]).reshape(2, 1, 3, -1)
    found = against_table(plan, "darts-v2", archs, values[None, [[5], [90]]])
    assert found.candidate_values.tolist() == values[:6].reshape(2, 1, 3).tolist()
    assert found.reachable[:2].tolist() == [19, 91]
    assert found.reachable[5:].tolist() == pytest.approx([95, values.mean()])
    assert found.at_least[0].tolist() == [[pytest.approx(86 / 91)], [pytest.approx(1 / 91)]]
    study, _ = whole
    told = study._replace(
        methods=tuple(r._replace(against=r.against._replace(reachable=found.reachable)) for r in study.methods)
    )
    assert "The released encoding of gdas expresses 19 of the 91 cells" in supernet_report(told)


def test_labels_of_dashes_stand_apart_in_the_order_of_their_values():
    rng = np.random.default_rng(0)
    for _ in range(20):
        heights = rng.uniform(0, 0.2, 3).tolist()
        found = _spread(heights)
        order = np.argsort(heights)
        assert np.diff(np.asarray(found)[order]).min() >= _APART - 1e-12
        assert min(found) == min(heights)
    assert _spread([0.9, 0.1, 0.5]) == [0.9, 0.1, 0.5]
