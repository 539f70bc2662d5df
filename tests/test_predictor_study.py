"""`jnas.predictor_study` and `jnas predictors`: measures, draws, the folder, and going on to the same results."""

import csv
import itertools
import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jnas.commands._cli import main
from jnas.commands._predictors import _make_predictors
from jnas.core._registry import make_registry
from jnas.core._vocabulary import Prediction, Predictor
from jnas.io._archive import read_archive, write_archive
from jnas.searchers.predictors import _registry
from jnas.spaces._categorical import categorical
from jnas.spaces.nasbench201._space import nasbench201
from jnas.studies._keys import seed_keys
from jnas.studies._load import load_results
from jnas.studies.predictors import _run
from jnas.studies.predictors._measures import NAMES, measure
from jnas.studies.predictors._plan import check_cells, draw_cells, places
from jnas.studies.predictors._report import _doubt
from jnas.studies.predictors._study import predictor_study
from jnas.studies.predictors._summary import differences, draws_needed, lines, not_told_apart
from jnas.tables._make import make_table
from tests._descriptions import read_said, write_said

pytestmark = pytest.mark.pictures

SPACE = categorical((3, 3, 3, 3))
WEIGHTS = np.random.default_rng(0).normal(0, 4, (4, 3))
RNG = np.random.default_rng(1)
ARCHS = np.stack(np.unravel_index(np.arange(81), (3, 3, 3, 3)), axis=1)
SCORES = (70 + WEIGHTS[np.arange(4), ARCHS].sum(axis=1) + RNG.normal(0, 0.5, 81)).astype(np.float32)
SCORES[[3, 40]] = np.nan
TABLE = make_table(SPACE, accuracy={"validation": SCORES[:, None]}, dataset="data", epochs=5, name="small")
OPTIONS = {
    "dataset": "data",
    "epochs": 5,
    "encodings": ("one_hot", "ordinal"),
    "train_sizes": (6, 30),
    "test_cells": 40,
    "precision_at": 4,
    "num_seeds": 6,
    "num_python_seeds": 2,
    "chunk": 3,
}


def ridge(penalty=1.0, *, compiled=True, noise=0.0):
    """A linear predictor whose uncertainty is constant."""

    def fit(key, features, scores, mask):
        weight = mask.astype(jnp.float32)
        middle = jnp.sum(weight * scores) / jnp.maximum(jnp.sum(weight), 1)
        x = features * weight[:, None]
        gram = x.T @ x + penalty * jnp.eye(x.shape[1])
        return jnp.linalg.solve(gram, x.T @ (weight * (scores - middle))), middle, noise * jax.random.normal(key)

    def predict(model, features):
        mean = features @ model[0] + model[1] + model[2]
        return Prediction(mean, jnp.full(mean.shape, 0.4))

    return Predictor(fit, predict, lambda key, model, features: predict(model, features).mean, "ridge", None, compiled)


PREDICTORS = {"ridge": ridge(noise=0.1), "stiff": ridge(50.0), "driven": ridge(compiled=False)}


def go(out=None, predictors=None, table=TABLE, **changes):
    return predictor_study(PREDICTORS if predictors is None else predictors, table, out=out, **(OPTIONS | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An unbroken study and its folder."""
    folder = tmp_path_factory.mktemp("studies") / "whole"
    return go(folder), folder


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


# Cells.


def test_draws_are_uniform_distinct_and_begin_alike():
    classes = np.array([0, 0, 0, 1, 2, 3, 4, 4, 5, 6])
    drawn = draw_cells(classes, 4, 2000, 0)
    assert all(len(set(classes[row])) == 4 for row in drawn)
    assert np.array_equal(draw_cells(classes, 7, 5, 0)[:, :4], drawn[:5])
    assert np.array_equal(draw_cells(classes, 4, 5, 0), drawn[:5])
    assert not np.array_equal(draw_cells(classes, 4, 5, 1), drawn[:5])
    # The first cell is any of the ten; the standard error of a share of 2,000 draws is 0.0067.
    assert np.abs(np.bincount(drawn[:, 0], minlength=10) / 2000 - 0.1).max() < 4 * 0.0067
    # The second is none of the first one's class.
    assert np.all(classes[drawn[:, 0]] != classes[drawn[:, 1]])
    assert set(map(int, classes[draw_cells(classes, 7, 1, 3)[0]])) == set(range(7))


def test_cells_are_known_and_those_of_one_test_set(whole):
    study, folder = whole
    assert study.cells.rows.shape == (6, 70)
    assert not set(study.cells.rows.ravel()) & {3, 40}
    assert all(len(set(row)) == 70 for row in study.cells.rows)
    assert np.array_equal(study.cells.scores, SCORES[study.cells.rows])
    saved = np.load(folder / "cells.npz")
    assert np.array_equal(saved["rows"], study.cells.rows)
    smaller = go(predictors={"ridge": PREDICTORS["ridge"]}, train_sizes=(6,), num_seeds=3, encodings=("one_hot",))
    assert np.array_equal(smaller.cells.rows, study.cells.rows[:3, :46])
    one, other = (s.fits["ridge", "one_hot", 6] for s in (smaller, study))
    np.testing.assert_array_equal(one.values, other.values[:3])  # chunks of three seeds in both


def test_architectures_that_are_the_same_are_drawn_once():
    with pytest.raises(ValueError, match=r"500 test cells and 6,000 training cells .* of 6,466 different ones"):
        check_cells(6466, 500, 6000, "accuracy")
    check_cells(6500, 500, 6000, "accuracy")


@pytest.mark.parametrize(("given", "k"), [(10, 10), (0.1, 4), (0.9, 36), (1, 1), (40, 40)])
def test_places_of_the_precision(given, k):
    assert places(given, 40) == k


@pytest.mark.parametrize("given", [0, 41, 0.001, 1.5, -1])
def test_places_that_are_none_are_refused(given):
    with pytest.raises(ValueError, match=r"precision_at is .* from 1 to 40"):
        places(given, 40)


# Measures.


def test_measures_by_hand():
    truth, mean = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.5, 1.0, 3.0, 6.0])
    found = measure(
        truth.astype(np.float32),
        mean.astype(np.float32),
        np.full(4, 0.5, np.float32),
        train_truth=np.array([1.0, 2.0], np.float32),
        train_mean=np.array([1.0, 4.0], np.float32),
        k=2,
    )
    assert tuple(found) == NAMES
    assert found["mae"] == pytest.approx(3.5 / 4)
    assert found["rmse"] == pytest.approx(np.sqrt((0.25 + 1 + 0 + 4) / 4))
    assert found["pearson"] == pytest.approx(np.corrcoef(truth, mean)[0, 1])
    assert found["kendall"] == pytest.approx((5 - 1) / 6)
    assert found["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found["precision_at_k"] == 1.0
    assert found["train_mae"] == pytest.approx(1.0)
    assert found["within_2_std"] == pytest.approx(3 / 4)


def test_measures_that_cannot_be():
    ones = np.ones(5, np.float32)
    truth = np.arange(5, dtype=np.float32)
    with_nan = np.array([0, 1, np.nan, 3, 4], np.float32)
    constant = measure(truth, ones, 0 * ones, train_truth=ones, train_mean=ones, k=2)
    assert np.isnan([constant[n] for n in ("kendall", "spearman", "pearson", "within_2_std")]).all()
    assert constant["mae"] == pytest.approx((1 + 0 + 1 + 2 + 3) / 5)
    assert constant["precision_at_k"] == pytest.approx(2 / 5)  # what chance would
    assert np.isnan(list(measure(truth, with_nan, ones, train_truth=ones, train_mean=ones, k=2).values())).all()


@pytest.mark.parametrize(("name", "size"), [("ridge", 6), ("ridge", 30), ("driven", 30)])
def test_numbers_are_those_of_a_loop(whole, name, size):
    study, folder = whole
    fits = study.fits[name, "one_hot", size]
    predictor = PREDICTORS[name]
    keys = seed_keys(0, f"{name}/one_hot/{size}", 6)
    for number in range(2 if name == "driven" else 6):
        rows = study.cells.rows[number]
        x = np.stack([SPACE.features(jnp.asarray(a), "one_hot") for a in TABLE.archs[rows[: 40 + size]]])
        y = SCORES[rows]
        model = predictor.fit(keys[number], x[40:], jnp.asarray(y[40 : 40 + size]), jnp.ones(size, bool))
        mean = np.asarray(predictor.predict(model, x).mean)
        np.testing.assert_allclose(fits.mean[number], mean[:40], rtol=1e-4)
        told = study.measures(name, "one_hot", size)
        assert told["mae"][number] == pytest.approx(np.abs(mean[:40] - y[:40]).mean(), rel=1e-3)
        assert told["train_mae"][number] == pytest.approx(np.abs(mean[40:] - y[40 : 40 + size]).mean(), rel=1e-2)
        assert told["kendall"][number] == pytest.approx(scipy.stats.kendalltau(mean[:40], y[:40]).statistic, abs=0.01)
        best = set(np.argsort(-y[:40])[:4]) & set(np.argsort(-mean[:40])[:4])
        assert told["precision_at_k"][number] == pytest.approx(len(best) / 4)
        row = next(
            r
            for r in rows_of(folder / "results.csv")
            if (r["predictor"], r["encoding"], r["train_size"], r["seed"]) == (name, "one_hot", str(size), str(number))
        )
        assert float(row["mae"]) == pytest.approx(told["mae"][number], abs=1e-6)


def test_more_cells_and_the_better_encoding_help(whole):
    found = {(line.predictor, line.encoding): line for line in lines(whole[0])}
    error = NAMES.index("mae")
    line = found["ridge", "one_hot"]
    assert line.high[1, error] < line.low[0, error]
    assert found["driven", "one_hot"].runs == 2
    assert np.isnan(found["driven", "one_hot"].low).all()
    worse = next(d for d in differences(whole[0]) if (d.predictor, d.encoding) == ("ridge", "ordinal"))
    assert worse.low[1, error] > 0
    by_hand = whole[0].fits["ridge", "ordinal", 30].values - whole[0].fits["ridge", "one_hot", 30].values
    np.testing.assert_allclose(worse.mean[1], by_hand.mean(axis=0))


# The folder.


def test_files_say_what_was_found(whole):
    study, folder = whole
    rows = rows_of(folder / "results.csv")
    assert len(rows) == 2 * 2 * (6 + 6 + 2)
    assert list(rows[0]) == ["predictor", "encoding", "train_size", "seed", *NAMES]
    summary = {
        (r["predictor"], r["encoding"], r["train_size"], r["measure"]): r for r in rows_of(folder / "summary.csv")
    }
    row = summary["ridge", "ordinal", "30", "rmse"]
    values = study.measures("ridge", "ordinal", 30)["rmse"]
    assert (int(row["seeds"]), float(row["mean"])) == (6, pytest.approx(values.mean(), abs=1e-6))
    assert float(row["std"]) == pytest.approx(values.std(ddof=1), abs=1e-6)
    assert float(row["ci_low"]) < values.mean() < float(row["ci_high"])
    assert summary["driven", "ordinal", "30", "rmse"]["ci_low"] == ""
    times = rows_of(folder / "times.csv")
    assert len(times) == 12
    assert all(float(r["fit_seconds"]) > 0 and float(r["cpu_seconds_per_1000_queries"]) >= 0 for r in times)
    said = json.loads((folder / "config.json").read_text())
    assert {"jnas", "jax", "numpy"} <= set(said["versions"])
    assert said["config"]["chunk"] == {"ridge": 3, "stiff": 3, "driven": 1}
    assert any("79 of 81" in note for note in said["config"]["notes"])


def test_a_study_that_was_stopped_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch, capfd):
    folder, run, done = tmp_path / "stopped", _run._run_case, []

    def stop_after_five(plan, case, size):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append((case.name, case.encoding, size))
        return run(plan, case, size)

    with monkeypatch.context() as patch:
        patch.setattr(_run, "_run_case", stop_after_five)
        with pytest.raises(KeyboardInterrupt):
            go(folder)
    assert len(list((folder / "fits").iterdir())) == 5
    assert not (folder / "results.csv").exists()
    (folder / "fits" / ".ridge-one_hot-6.npz.abcd1234.part").write_bytes(b"half")
    told, again = [], []
    monkeypatch.setattr(_run, "_run_case", lambda p, c, n: again.append((c.name, c.encoding, n)) or run(p, c, n))
    go(folder, log=told.append)
    assert len(again) == 7
    assert not set(again) & set(done)
    assert not list(folder.rglob("*.part"))
    for name in ("results.csv", "summary.csv", "cells.npz"):
        assert (folder / name).read_bytes() == (whole[1] / name).read_bytes()
    assert told[1].startswith("estimate: about ")
    assert "not knowing how fast stiff, driven will be" in told[1]
    told.clear()
    again.clear()
    go(folder, log=told.append)
    assert told[1:] == ["all of it was done before"]
    assert not again
    assert capfd.readouterr() == ("", "")  # nothing is drawn where there is no terminal


def test_other_studies_and_damaged_files_are_refused(whole, tmp_path):
    _, folder = whole
    with pytest.raises(ValueError, match=r"another configuration: test_cells is 40 there and 41 here\. Give another"):
        go(folder, test_cells=41)
    other = tmp_path / "searches"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"format": "jnas-study", "version": 1}))
    with pytest.raises(ValueError, match="it is not of a study of predictors"):
        go(other)
    path = folder / "fits" / "stiff-ordinal-30.npz"
    held = path.read_bytes()
    for wrong in (held[:100], (folder / "fits" / "stiff-ordinal-6.npz").read_bytes()):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"stiff-ordinal-30\.npz is not .*delete it"):
            go(folder)
    path.write_bytes(held)


def test_cells_of_another_study_are_refused(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    header, arrays = read_archive(folder / "cells.npz", kind="", remedy="")
    for other, told in (
        ({"study": "0"}, "not of this study"),
        ({}, "not the fits of a study of predictors, or it is"),
    ):
        rows = arrays["rows"] if other else arrays["rows"][1:]
        write_archive(folder / "cells.npz", {**header, **other}, {**arrays, "rows": rows})
        with pytest.raises(ValueError, match=rf"cells\.npz is {told}"):
            load_results(folder)
    write_archive(folder / "cells.npz", {n: v for n, v in header.items() if n != "study"}, arrays)  # as before
    with pytest.raises(ValueError, match=r"cells\.npz is not of this study"):
        load_results(folder)
    write_said(folder, read_said(folder), under_seal=False)
    np.testing.assert_array_equal(load_results(folder)[0].cells.rows, arrays["rows"])


def test_unfinished_study_of_other_versions_is_refused(whole, tmp_path):
    folder = tmp_path / "older"
    folder.mkdir()
    said = read_said(whole[1])
    said["versions"]["jax"] = "0.0.1"
    write_said(folder, said)
    with pytest.raises(ValueError, match=r"begun with other versions \(jax was 0\.0\.1"):
        go(folder)


def test_a_study_of_an_older_version_goes_on(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "study")
    said = read_said(folder)
    write_said(folder, {**said, "versions": said["versions"] | {"jnas": "0.1.0"}})
    one = sorted((folder / "fits").iterdir())[0]
    one.unlink()
    found = go(folder).fits
    for case, fits in whole[0].fits.items():
        np.testing.assert_array_equal(found[case].mean, fits.mean)
        np.testing.assert_array_equal(found[case].values, fits.values)
    one.unlink()
    write_said(folder, {**said, "versions": said["versions"] | {"jnas": "0.0.1"}})
    with pytest.raises(ValueError, match=r"jnas was 0\.0\.1"):
        go(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train_sizes": (30, 6)}, "train_sizes is .* ascend"),
        ({"train_sizes": ()}, "train_sizes is"),
        ({"train_sizes": (6, 60)}, "40 test cells and 60 training cells are wanted, .* of 79 different ones"),
        ({"encodings": ("path",)}, "'path', which is no encoding of .* one_hot, ordinal"),
        ({"predictors": {}}, "predictors is empty"),
        ({"seed": "random"}, "reward is 'random'"),
        ({"test_cells": 1}, "test_cells is 1, expected an integer of at least 2"),
        ({"epochs": 7}, "no training on dataset='data' for epochs=7"),
    ],
)
def test_mistakes_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        go(**changes)
    with pytest.raises(TypeError, match="call its factory"):
        go(predictors={"mine": ridge})


def test_predictions_of_a_wrong_shape_and_none_that_are_finite():
    bad = ridge()._replace(predict=lambda model, features: Prediction(model[0], model[0]))
    with pytest.raises(ValueError, match=r"bad predicts a mean of shape \[12\] for 46 architectures"):
        go(predictors={"bad": bad}, train_sizes=(6,), encodings=("one_hot",))
    lost = ridge()._replace(
        predict=lambda model, features: Prediction(jnp.full(features.shape[:1], jnp.nan), jnp.zeros(features.shape[:1]))
    )
    study = go(predictors={"lost": lost}, train_sizes=(6,), encodings=("one_hot",))
    (line,) = lines(study)
    assert not line.found.any()
    assert np.isnan(line.mean).all()


# The page.


def test_report_shows_what_was_found(whole):
    study, folder = whole
    page = (folder / "report.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for line in lines(study):
        assert f"{line.mean[-1, NAMES.index('mae')]:.3f}" in text
        assert f"{line.mean[-1, NAMES.index('kendall')]:.3f}" in text
    assert "3 predictors learned the validation accuracy on data after 5 epochs" in text
    assert "only 79 of 81 architectures have" in text
    assert "From 6 cells," in text
    assert text.count(", which 6 draws cannot show") == 4
    assert "correction for all pairs, at 5 %: that takes 10 draws or more." in text
    assert "ordinal less one_hot" in text
    assert page.count('<svg class="plot"') == 4 + 6
    assert "driven 2 draws" in text
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", re.sub(r"xlink:href=\"#", "", page))
    assert not re.search(r"\bnan\b", text.lower())


def test_what_draws_cannot_tell_apart_is_said(whole):
    """Against SciPy and Holm's rule in plain loops, on errors of draws that differ by more or less."""
    study, rng, drawn = whole[0], np.random.default_rng(3), {}
    shifts = {name: rng.normal(0, 0.3, 4) for name in study.fits}
    error = NAMES.index("mae")
    for (name, encoding, size), fit in study.fits.items():
        values = np.zeros((2 if name == "driven" else 12, len(NAMES)))
        values[:, error] = 3 + shifts[name, encoding, size][0] + 0.2 * rng.normal(size=len(values))
        drawn[name, encoding, size] = fit._replace(values=values)
    drawn["stiff", "ordinal", 6].values[:5, error] = np.nan
    study = study._replace(fits=drawn, config={**study.config, "num_seeds": 12})
    found, told = lines(study), set()
    for n, size in enumerate(OPTIONS["train_sizes"]):
        own = [drawn[line.predictor, line.encoding, size].values[:, error] for line in found]
        best = int(np.argmin([np.nanmean(values) for values in own]))
        p_values = {}
        for a, b in itertools.combinations(range(len(found)), 2):
            draws = [d for d in range(min(len(own[a]), len(own[b]))) if np.isfinite(own[a][d] + own[b][d])]
            p_values[a, b] = scipy.stats.wilcoxon(own[a][draws], own[b][draws]).pvalue if draws else 1.0
        largest, alike = 0.0, []
        for place, (pair, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
            largest = max(largest, min(1.0, p * (len(p_values) - place)))
            if best in pair and largest >= 0.05:
                alike.append((found[sum(pair) - best].label, pytest.approx(largest)))
        assert sorted(not_told_apart(study, found, n, error, best)) == sorted(alike)
        told |= {len(alike) < len(found) - 1}
        text = _doubt(study, found, n, error, best)
        some = f"{len(alike)} of the 5 others" if len(alike) < 5 else "any other"
        assert f"cannot tell it from {some}" in text or all(name in text for name, _ in alike)
    assert True in told
    assert draws_needed(len(found)) == 10


def test_report_is_made_again_from_the_folder_finished_or_not(whole, tmp_path, capsys):
    folder = shutil.copytree(whole[1], tmp_path / "copy")
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").read_bytes() == (whole[1] / "report.html").read_bytes()
    (folder / "fits" / "stiff-ordinal-30.npz").unlink()
    found, left = load_results(folder)
    assert left == ["stiff ordinal 30"]
    assert [line.label for line in lines(found)] == [x.label for x in lines(whole[0]) if x.label != "stiff on ordinal"]
    np.testing.assert_array_equal(found.cells.scores, whole[0].cells.scores)
    assert main(["report", str(folder)]) == 0
    assert "not finished: without stiff ordinal 30" in capsys.readouterr().err
    for path in (folder / "fits").iterdir():
        path.unlink()
    assert main(["report", str(folder)]) == 0
    assert "No predictor has finished yet" in (folder / "report.html").read_text()


# The command.


@pytest.fixture
def registered(monkeypatch):
    """Predictors under the names that the command knows."""
    entries = (
        _registry.Entry("ridge", lambda space: ridge(), ("path", "one_hot"), "linear", quick=True),
        _registry.Entry("slow", lambda space: ridge(5.0), ("one_hot",), "the same, slowly", quick=False),
        _registry.Entry("driven", lambda space: ridge(compiled=False), ("path",), "by hand", quick=False),
        _registry.Entry("nodes", lambda space: ridge(), ("graph",), "of graphs", quick=False),
    )
    monkeypatch.setattr(_registry, "PREDICTORS", make_registry("predictor", entries))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own, and no cache outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    return tmp_path


def test_command_leaves_a_folder_and_prints_its_table(registered, here, capsys):
    words = ["predictors", "--seeds", "3", "--train-sizes", "20,60", "--test-cells", "50", "--precision-at", "0.1"]
    assert main([*words, "--encodings", "path,adjacency", "--predictors", "ridge,driven", "--python-seeds", "1"]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert "4 predictors by encoding x 20 and 60 training cells x 3 seeds (driven 1) on NAS-Bench-201 cells" in out
    assert "ridge on one_hot" in out
    assert "precision at 5" in out
    (folder,) = (here / "jnas-predictors").iterdir()
    assert f"report: jnas-predictors/{folder.name}/report.html" in out
    found = {(r["predictor"], r["encoding"]) for r in rows_of(folder / "results.csv")}
    assert found == {(p, e) for p in ("ridge", "driven") for e in ("path", "one_hot")}
    said = json.loads((folder / "config.json").read_text())["config"]
    assert (said["dataset"], said["epochs"], said["split"]) == ("digits", 8, "validation")
    assert said["command"].startswith("jnas predictors --seeds 3")


def test_help_names_every_predictor(capsys):
    with pytest.raises(SystemExit):
        main(["predictors", "--help"])
    flat = " ".join(capsys.readouterr().out.split())
    assert all(name in flat for name in _registry.names())


def test_command_describes_its_predictors(registered, capsys):
    assert main(["predictors", "--predictors", "help"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"ridge +path +linear", out)
    assert "without --predictors: ridge\n" in out


def test_predictors_that_a_space_has_nothing_for_are_left_out(registered):
    made, encodings = _make_predictors(("all",), None, SPACE)
    assert encodings == {"ridge": ("one_hot",), "slow": ("one_hot",)}
    assert list(made) == list(encodings)
    _, encodings = _make_predictors(("all",), None, nasbench201())
    assert encodings["nodes"] == ("graph",)
    assert encodings["ridge"] == ("path", "one_hot")
    assert encodings["slow"] == ("one_hot", "path")
    assert _make_predictors(("all",), ("path",), nasbench201())[1]["nodes"] == ("graph",)
    assert list(_make_predictors(None, None, nasbench201())[0]) == ["ridge"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--predictors", "guess"], "there is no predictor 'guess', expected one of ridge, slow, driven, nodes"),
        (["--encodings", "paths"], "has no encoding 'paths'; did you mean 'path'? give --encodings from one_hot"),
        (["--predictors", "ridge", "--encodings", "graph"], "none of ridge reads the encoding 'graph'"),
        (
            ["--train-sizes", "6000"],
            "of 6,466 different ones; ask for fewer --test-cells, or for smaller --train-sizes",
        ),
        (["--train-sizes", "x"], "expected sizes that ascend, such as 20,100,500, not 'x'"),
        (["--precision-at", "600"], "--precision-at is 600"),
        (["--precision-at", "1.5"], "expected a number of cells, or a share"),
        (
            ["--reward", "random"],
            "argument --reward: expected mean or the name of a training seed: a cell has one true value, not 'random'",
        ),
        (["--dataset", "cifar10"], "no training on dataset='cifar10'"),
        (["--table", "absent.npz"], "absent.npz"),
    ],
)
def test_mistakes_of_the_command_are_told_in_a_sentence(registered, here, capsys, words, told):
    try:
        status = main(["predictors", *words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
