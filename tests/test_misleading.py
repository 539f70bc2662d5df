"""What made readers misread a number: ticks, zeros, hues, verdicts, widths, times. 6 CPU-seconds."""

import re
import time

import numpy as np
import pytest

from jnas.io._progress import ProgressBar
from jnas.io._text import aligned, filled, terminal_width
from jnas.pages._html import plain_text
from jnas.pages._plots import SERIES, SIZES, plain_axis, plot_frame, regret_axis, series_of, styled, taking
from jnas.studies.search._parts import entry_looks
from jnas.studies.search._report import search_report
from jnas.studies.search._summary import compare, disagreements, mean_regret, share_at_optimum
from tests.test_report import TARGETS, make_searcher, make_study, returning


@pytest.mark.pictures
@pytest.mark.parametrize(("low", "high"), [(0.99901, 1.00001), (99.1, 99.104), (0, 5), (-3.2, 12_000)])
def test_no_two_ticks_read_the_same(low, high):
    with styled():
        _, axes = plot_frame()
        plain_axis(axes, "y", low, high, "share")
        labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(labels) == len(set(labels)) > 1
    read = [float(label.replace(",", "")) for label in labels]
    np.testing.assert_allclose(read, axes.get_yticks(), atol=1e-6 * (high - low))


@pytest.mark.pictures
def test_a_regret_of_nothing_stands_at_zero_below_all_others():
    with styled():
        _, axes = plot_frame()
        zero = regret_axis(axes, [0.0, 0.02, 3.0, np.nan], "regret")
        labels = dict(zip((t.get_text() for t in axes.get_yticklabels()), axes.get_yticks(), strict=True))
        assert labels["0"] == zero < 0.02 / 1.25
        assert axes.get_ylim()[0] < zero
        _, axes = plot_frame()
        regret_axis(axes, [0.02, 3.0], "regret")
        assert "0" not in [t.get_text() for t in axes.get_yticklabels()]


def two_studies():
    made = [
        make_study(
            [make_searcher(n, seeds=6, seed=s, targets=TARGETS[:1]) for n in ("random_search", "tpe")],
            targets=TARGETS[:1],
        )
        for s in (0, 1)
    ]
    return made, compare(made)[0]


@pytest.mark.pictures
def test_hue_says_the_searcher_and_dashes_the_study_and_the_verdict_is_of_both():
    made, comparison = two_studies()
    looks = entry_looks(comparison)
    assert [look.color for look in looks] == [SERIES[0], SERIES[1]] * 2
    assert [look.marker for look in looks[:2]] == [look.marker for look in looks[2:]]
    assert looks[0].dashes == looks[1].dashes != looks[2].dashes == looks[3].dashes
    page = search_report(made, names=["here", "there"])
    heads = [plain_text(head) for head in re.findall(r"<h2>(.*?)</h2>", page)]
    assert heads.index("Study B: there") + 1 == heads.index("All studies together")
    assert page.index("All studies together") < page.index('class="finding"')


@pytest.mark.pictures
def test_a_regret_panel_keeps_what_is_nothing():
    runs = make_searcher("random_search", seeds=5, targets=TARGETS[:1])
    best = float(runs.values.max())
    values = np.where(np.arange(60) >= 30, np.float32(best), runs.values)  # all at the optimum from half on
    study = make_study([runs._replace(values=values, final=values[:, :, -1])], targets=TARGETS[:1], optima=[best])
    with taking(SIZES[0]) as taken:
        search_report([study])
    regrets = next(series_of(one.figure) for one in taken if one.title.startswith("Regret"))
    assert regrets[0].columns["y"][-1] == 0
    comparison = compare([study])[0]
    assert share_at_optimum(comparison, 0, 0) == 1
    assert mean_regret(comparison, 0, 0) == pytest.approx(0, abs=1e-4)


@pytest.mark.pictures
def test_a_page_says_where_means_and_ranks_name_opposite_winners():
    often = returning("often", [10.0] * 80 + [0.0] * 20, [0] * 100)
    steady = returning("steady", list(9 + np.linspace(0, 0.1, 100)), [0] * 100)
    study = make_study([often, steady], targets=TARGETS[:1], optima=[10.0])
    comparison = compare([study])[0]
    [found] = disagreements(comparison, 0)
    assert (found.by_mean, found.by_rank) == ("steady", "often")
    assert max(found.welch, found.mann_whitney) < 0.02
    page = search_report([study])
    assert "Means and ranks disagree" in page
    assert "80 % at optimum, regret 2.00" in page
    like = make_study([often, often._replace(name="same")], targets=TARGETS[:1])
    assert disagreements(compare([like])[0], 0) == []


def test_tables_keep_to_a_width_and_lose_nothing():
    rows = [["", *["one"] * 2, *["two"] * 3], ["", *"abcde"], ["name", *(f"{k}{k}.{k}{k} (0.00)" for k in range(5))]]
    whole = aligned(rows, "lrrrrr", 2)
    assert len(whole) == 3
    lines = aligned(rows, "lrrrrr", 2, width=52)
    assert max(map(len, lines)) <= 52
    words = " ".join(lines).split()
    assert all(words.count(cell) >= 1 for cell in ("a", "e", "00.00", "44.44"))
    blocks = "\n".join(lines).split("\n\n")
    assert [block.split("\n")[0].split() for block in blocks] == [["one"] * 2, ["two"] * 3]  # a data set stays together
    assert all(block.split("\n")[-1].startswith("name") for block in blocks)
    told = aligned([["x", "a long line of many words that goes on and on"], ["yy", "short"]], "ll", width=30)
    assert max(map(len, told)) <= 30
    assert " ".join(" ".join(told).split()) == "x a long line of many words that goes on and on yy short"


def test_the_width_is_the_terminals(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert terminal_width() == 40
    assert max(map(len, filled("word " * 30).splitlines())) <= 40
    monkeypatch.delenv("COLUMNS")
    assert terminal_width() is None  # what is captured is no terminal


def test_a_bar_says_that_its_estimate_has_run_out(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    bar = ProgressBar(None, 10.0)
    assert bar.time_text() == "10 s left"
    now[0] += 40
    assert bar.time_text() == "30 s longer than estimated"
    bar.advance(10.0)
    assert bar.time_text().endswith(" left")
