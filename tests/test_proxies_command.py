"""`jnas proxies` as a user types it, on the table that comes with jnas."""

import csv

import numpy as np
import pytest

import jnas
from jnas.commands._cli import main
from jnas.statistics import kendall_tau
from jnas.studies.proxies import _run
from jnas.studies.search._report import _unequal
from jnas.studies.search._summary import best_cells, compare
from jnas.tables._file import save_arrays
from jnas.tables.report._text import describe_arch, table_text
from tests._fewer_stages import stages

SMALL = ["--cells", "12", "--seeds", "2", "--batch-size", "8", "--image-size", "4", "--channels", "2"]


def go(out, *more):
    with stages(1):
        return main(["proxies", "--proxies", "nwot", *SMALL, "--out", str(out), *more])


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_study_goes_on_and_its_scores_become_columns(tmp_path, monkeypatch, capsys):
    out, saved = tmp_path / "study", tmp_path / "scored.npz"
    assert go(out, "--out-table", str(saved)) == 0
    told = capsys.readouterr()
    assert "nwot" in told.out + told.err
    scores = rows(out / "scores.csv")
    assert len(scores) == 24
    assert {row["seed"] for row in scores} == {"0", "1"}
    first = [row for row in scores if row["seed"] == "0"]
    named = [row for row in first if row["nwot"]]
    expected = kendall_tau(*(np.array([float(row[name]) for row in named]) for name in ("truth", "nwot")))
    found = [row for row in rows(out / "summary.csv") if row["proxy"] == "nwot" and row["measure"] == "kendall"]
    again = [row for row in scores if row["seed"] == "1" and row["nwot"]]
    other = kendall_tau(*(np.array([float(row[name]) for row in again]) for name in ("truth", "nwot")))
    assert float(found[0]["mean"]) == pytest.approx((expected + other) / 2, abs=1e-5)

    table, before = jnas.load_table(saved), jnas.load_table("digits")
    values = np.asarray(table.proxy(table.archs, name="nwot"))
    assert 8 < np.isfinite(values).sum() <= 12
    row = int(named[0]["cell"])
    mean = np.mean([float(each["nwot"]) for each in scores if int(each["cell"]) == row])
    assert values[row] == pytest.approx(mean, rel=1e-5)
    assert table.names > before.names
    assert "scores without training: flops, nwot, params" in table_text(table)
    assert "scores without training: flops" in describe_arch(table, row)
    place = {"dataset": "digits", "split": "validation", "epochs": table.header.trainings[0].epochs, "seed": "mean"}
    table.objective(**place, objectives=("proxy/nwot",))

    page = (out / "report.html").read_text()
    assert "another training seed" in page
    assert "divided" not in page
    written = (out / "scores.csv").read_bytes()
    (out / "scores" / "nwot-1.npz").unlink()
    called = []
    with monkeypatch.context() as patch:
        compiled = _run._compiled
        patch.setattr(_run, "_compiled", lambda *given: called.append(given[1]) or compiled(*given))
        assert go(out) == 0
    assert called == [["nwot"]]
    assert (out / "scores.csv").read_bytes() == written
    assert main(["report", str(out), "-o", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text() == (out / "report.html").read_text()


def test_a_search_on_a_score_is_judged_by_accuracy(tmp_path, capsys):
    table, saved, out = jnas.load_table("digits"), tmp_path / "scored.npz", tmp_path / "searched"
    scores = np.random.default_rng(0).normal(size=table.num_archs).astype(np.float32)
    scores[::7] = np.nan
    arrays = {name: table.read(name) for name in table.names}
    save_arrays(saved, table.header, {**arrays, "archs": table.archs, "proxy/mine": scores})
    few = ["--searchers", "random_search", "--max-evaluations", "6", "--num-seeds", "3", "--out", str(out)]
    assert main(["study", "--table", str(saved), "--objective", "proxy:mine", *few]) == 0
    assert "have the score mine that is searched on" in capsys.readouterr().out
    study = jnas.load_study(out)
    result = study.searchers[0]
    np.testing.assert_array_equal(result.traces.score, scores[np.asarray(table.index(result.traces.arch))])
    assert np.nanmin(result.final) > 5  # percent, and no score
    page = (out / "report.html").read_text()
    assert "the score mine, without training" in page
    assert "score mine searched on" in page
    of_accuracy = study._replace(config={key: value for key, value in study.config.items() if key != "objective"})
    [comparison] = compare([study, of_accuracy])
    found_by = [cell.found_by[0][0] for cell in best_cells(comparison)]  # what is not comparable is not mixed
    assert found_by == sorted(found_by)
    assert "score without training that is searched on (A: proxy:mine, B: –)" in _unequal(comparison)
    assert main(["study", "--table", str(saved), "--objective", "proxy:other", *few]) == 2
    assert "no proxy of 'other'; it has mine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--proxies", "synflw"], "no proxy 'synflw'; did you mean 'synflow'"),
        (["--cells", "2"], "expected an integer of at least 5"),
        (["--batch-size", "2000"], "--batch-size is 2000, expected at most"),
        (["--out-table", "/dev/null/scored.npz"], "/dev/null/scored.npz"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(tmp_path, capsys, words, message):
    with stages(1):
        try:
            status = main(["proxies", "--out", str(tmp_path / "none"), *words])
        except SystemExit as error:
            status = error.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_help_says_what_they_are(capsys):
    assert main(["proxies", "--proxies", "help"]) == 0
    told = capsys.readouterr().out
    assert "each channel counts as often as it has weights" in told
    assert "Zen-NAS" in told
