"""What a paper takes from a study: figures as files, their data, tables, tidy numbers, a sentence. 6 CPU-seconds."""

import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pytest

from jnas.pages._figures import data_csv, figure_names, write_figures
from jnas.pages._plots import SIZES, taking
from jnas.studies.papers._files import write_paper_files
from jnas.studies.papers._sentence import paper_sentence
from jnas.studies.papers._tables import latex, latex_text, markdown, summary_table
from jnas.studies.papers._tidy import run_curves_csv, runs_csv
from jnas.studies.search._report import search_report
from jnas.studies.search._summary import compare, finals, optimum, pairwise
from jnas.studies.search._text import search_summary_csv
from tests.test_report import TARGETS, make_searcher, make_study


def small_study(seeds=6, **config):
    made = [
        make_searcher(name, skill=skill, seeds=seeds, targets=TARGETS[:2])
        for name, skill in (("random_search", 0.3), ("regularized_evolution", 0.7))
    ]
    return make_study(made, targets=TARGETS[:2], **config)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def study():
    return small_study()


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    where = tmp_path_factory.mktemp("figures")
    summary = search_summary_csv(study)
    names = write_paper_files(lambda: search_report([study]), study, summary, study, where)
    return where, names


@pytest.mark.pictures
def test_every_picture_of_the_page_is_written_at_both_sizes_with_its_data(study, folder):
    where, names = folder
    page = search_report([study])
    shown = re.findall(r'<svg class="plot"[^>]*><title>([^<]*)</title>', page)
    shown = [title for title in shown if "for a small screen" not in title]
    assert len(names) == len(set(names)) == len(shown) > 5
    for name, title in zip(names, shown, strict=True):
        assert name[3:] in re.sub(r"[^a-z0-9]+", "-", title.lower())
        for size in SIZES:
            svg = (where / f"{name}-{size.name}.svg").read_text()
            width = float(re.search(r'<svg[^>]* width="([\d.]+)pt"', svg)[1]) / 72
            assert width == pytest.approx(size.width, abs=0.01)
            pdf = (where / f"{name}-{size.name}.pdf").read_bytes()
            box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf)
            assert float(box[1]) / 72 == pytest.approx(size.width, abs=0.01)
            assert b"/FontFile2" in pdf
            assert b"/Type3" not in pdf
        assert len(rows_of((where / f"{name}.csv").read_text())) > 1


@pytest.mark.pictures
def test_the_data_of_a_picture_are_what_it_draws(study, folder):
    where, names = folder
    comparison = compare([study])[0]
    final = rows_of((where / f"{next(n for n in names if 'final' in n and 'test' in n)}.csv").read_text())
    for k, entry in enumerate(comparison.entries):
        told = sorted(float(row["final accuracy (%)"]) for row in final if row["series"] == entry.label)
        np.testing.assert_allclose(told, np.sort(study.searchers[k].final[1]), rtol=1e-6)
    assert [float(r["final accuracy (%)"]) for r in final if r["series"] == "optimum"] == [optimum(comparison, 1)]
    curve = rows_of((where / f"{next(n for n in names if 'test' in n and 'against-evaluations' in n)}.csv").read_text())
    for k, entry in enumerate(comparison.entries):
        last = [row for row in curve if row["series"] == entry.label][-1]
        assert float(last["mean accuracy (%)"]) == pytest.approx(finals(comparison).mean[k, 1], abs=1e-4)


@pytest.mark.pictures
def test_pictures_are_the_same_again_and_pages_are_not_changed_by_them(study, tmp_path):
    before = search_report([study])
    first, second = ({p.name: p.read_bytes() for p in _written(study, tmp_path / name)} for name in "ab")
    assert first == second
    assert search_report([study]) == before


def _written(study, folder):
    write_figures(lambda: search_report([study._replace(searchers=study.searchers[:1])]), folder)
    return sorted(folder.iterdir())


def test_tidy_rows_hold_every_run_and_give_the_summary(study):
    rows = rows_of(runs_csv(study))
    assert len(rows) == 2 * 6 * 2
    for line in rows_of(search_summary_csv(study)):
        own = [r for r in rows if all(r[key] == line[key] for key in ("searcher", "dataset", "split", "epochs"))]
        assert [int(r["seed"]) for r in own] == list(range(6))
        assert np.mean([float(r["value"]) for r in own]) == pytest.approx(float(line["mean"]), abs=1e-4)
    curves = rows_of(run_curves_csv(study))
    for row in rows:  # a curve ends where its run did, never goes down in what was seen, and begins with the first
        own = [r for r in curves if all(r[key] == row[key] for key in ("searcher", "seed", "dataset", "split"))]
        assert own[-1]["value"] == row["value"]
        assert own[-1]["evaluation"] == row["evaluations"]
        assert np.all(np.diff([float(r["score"]) for r in own]) >= 0)
        assert own[0]["evaluation"] == "1"


def test_what_a_run_without_a_find_lacks_is_empty():
    study = make_study([make_searcher("random_search", seeds=3, targets=TARGETS[:1], empty=(1,))], targets=TARGETS[:1])
    lost = [row for row in rows_of(runs_csv(study)) if row["seed"] == "1"]
    assert [(row["value"], row["score"], row["arch"]) for row in lost] == [("", "", "")]
    assert not [row for row in rows_of(run_curves_csv(study)) if row["seed"] == "1"]


def test_pandas_reads_the_same(study):
    pandas = pytest.importorskip("pandas")
    frame = study.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    mean = frame.groupby(["searcher", "split"], sort=False)["value"].mean().to_numpy()
    np.testing.assert_allclose(mean, finals(compare([study])[0]).mean.ravel(), rtol=1e-6)
    assert set(study.to_pandas("curves").columns) >= {"evaluation", "seconds", "value"}
    with pytest.raises(ValueError, match="'runs', 'curves'"):
        study.to_pandas("traces")


def test_a_table_has_the_means_and_marks_the_best(study):
    table = summary_table(search_summary_csv(study))
    numbers = finals(compare([study])[0])
    assert [name for name, _ in table.rows] == ["random_search", "regularized_evolution"]
    np.testing.assert_allclose([[m for m, _ in cells] for _, cells in table.rows], numbers.mean, atol=1e-4)
    assert list(table.best) == numbers.mean.argmax(axis=0).tolist()
    assert (table.groups, table.heads, table.shared) == ((("cifar10", 2),), ("validation", "test"), "200 epochs")
    lower = summary_table(search_summary_csv(study), higher=False)
    assert list(lower.best) == numbers.mean.argmin(axis=0).tolist()
    text = markdown(table, "Caption.")
    assert text.count("**") == 4
    assert text.splitlines()[1] == "| --- | ---: | ---: |"
    tex = latex(table, "100 % of A & B_c", "tab:x")
    assert tex.count(r"\textbf") == 2
    assert r"100 \% of A \& B\_" in tex
    assert [rule in tex for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule(lr){2-3}")] == [True] * 4
    assert latex_text("a_b{}~^\\$#") == r"a\_\allowbreak{}b\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}\$\#"


def test_tables_of_several_measures_take_the_better_end_of_each():
    lines = ["predictor,encoding,train_size,measure,seeds,mean,std,ci_low,ci_high"]
    for name, error, tau in (("a", 1, 0.1), ("b", 2, 0.5)):
        told = {"mae": error, "kendall": tau, "rmse": 9}
        lines += [f"{name},path,20,{measure},3,{value},,," for measure, value in told.items()]
    table = summary_table("\n".join(lines), {"mae": False}, ("mae", "kendall"))
    assert table.best == (0, 1)
    assert [name for name, _ in table.rows] == ["a, path", "b, path"]
    assert table.groups == (("mae", 1), ("kendall", 1))


def test_the_sentence_says_runs_means_and_test(study):
    sentence, comparison = paper_sentence(study), compare([study])[0]
    numbers = finals(comparison)
    for part in ("random_search and regularized_evolution on NAS-Bench-201", "6 independent runs (root seed 0)"):
        assert part in sentence
    for k in range(2):
        assert f"{numbers.mean[k, 1]:.2f} ± {numbers.std[k, 1]:.2f} %" in sentence
        assert f"[{numbers.low[k, 1]:.2f}, {numbers.high[k, 1]:.2f}]" in sentence
    p = float(pairwise(comparison, 1).p_holm[0])
    assert ("cannot be told apart" in sentence) == (p >= 0.05)
    assert paper_sentence(study._replace(searchers=())) == ""


def test_the_sentence_says_all_that_was_searched_for(study):
    """What a paper prints must not pass a search for several objectives, or under bounds, for one for accuracy."""
    told = {
        "with latency:pixel3 at most 10 and parameters at most 0.5": {
            "at_most": {"latency:pixel3": 10.0, "parameters": 0.5}
        },
        "together with latency:pixel3 and flops": {"objectives": ["accuracy", "latency:pixel3", "flops"]},
        "4 evaluations side by side": {"workers": 4},
        "after 2 and 8 epochs of a training of 12": {"epochs": [2, 8], "of_epochs": 12},
    }
    for part, config in told.items():
        said = [paper_sentence(each) for each in (study, study._replace(config={**study.config, **config}))]
        assert [part in sentence for sentence in said] == [False, True]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
@pytest.mark.pictures
def test_the_table_and_a_picture_compile(folder):
    where, names = folder
    text = [r"\documentclass[twocolumn]{article}", r"\usepackage{booktabs,graphicx}", r"\begin{document}"]
    picture = rf"\noindent\includegraphics[width=\columnwidth]{{{names[0]}-column.pdf}}"
    text += [r"\input{table.tex}", picture, r"\end{document}"]
    (where / "paper.tex").write_text("\n".join(text))
    ran = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=where,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "Overfull" not in ran.stdout


def test_names_of_pictures_are_their_titles():
    with taking(SIZES[0]) as taken:
        search_report([small_study(seeds=2)])
    assert figure_names(taken)[0].startswith("01-mean-accuracy-on-cifar10-validation-12-epochs-against")
    assert data_csv(taken[0].figure).startswith("series,simulated seconds,mean accuracy (%),low,high\n")
