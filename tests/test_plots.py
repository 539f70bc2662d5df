"""What pictures share: marks, axes, numbers, SVG for a page; and the critical-difference picture."""

import re
import xml.etree.ElementTree as ElementTree
from importlib import resources

import matplotlib
import numpy as np
import pytest

from jnas.pages._html import Html, breakable, element, join, page, table
from jnas.pages._plots import (
    GRID,
    HIGHLIGHT,
    INK,
    MUTED,
    PAPER,
    SERIES,
    decades,
    mark,
    number,
    plot_frame,
    shorten,
    styled,
    to_svg,
)
from jnas.statistics._average_ranks import compare_ranks
from jnas.studies.search._plots import _tiers, critical_difference_picture, final_panel
from jnas.tables.report._plots import histogram, ranks_of

pytestmark = pytest.mark.pictures


def drawn(text="a & <b> $x_1$", title="a <title>"):
    with styled():
        figure, axes = plot_frame()
        axes.plot([0, 1], [0, 1], color=SERIES[0], marker="o")
        axes.fill_between([0, 1], 0, 1, color=SERIES[1])
        axes.set_xlabel(text)
        return to_svg(figure, title)


def test_a_figure_is_svg_that_takes_the_pages_colours_and_font():
    svg = drawn()
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text == "a <title>"
    assert "a & <b> $x_1$" in [t.text for t in root.iter(f"{space}text")]  # no mathematics, and no other text
    assert f"var(--s0, {SERIES[0]})" in svg
    assert f"var(--ink, {INK})" in svg or f"var(--muted, {MUTED})" in svg
    for word in ("font-family", "DejaVu", "<metadata", "<style", "<!--", "Matplotlib"):
        assert word not in svg
    assert svg == drawn()


def test_ids_of_two_figures_differ_and_are_all_used():
    first, second = drawn(title="one"), drawn(title="two")
    ids = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (first, second)]
    used = [set(re.findall(r'(?:url\(#|xlink:href="#)([^)"]*)', svg)) for svg in (first, second)]
    assert ids == used
    assert ids[0]
    assert not ids[0] & ids[1]


def test_settings_are_given_back():
    before = dict(matplotlib.rcParams)
    drawn()
    assert dict(matplotlib.rcParams) == before


def test_the_style_sheet_has_every_colour_in_light_and_dark():
    style = (resources.files("jnas") / "assets" / "report.css").read_text("utf-8")
    light, dark = style.split("@media (prefers-color-scheme: dark)")[:2]
    names = {color: f"--s{i}" for i, color in enumerate(SERIES)}
    names |= {INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper", HIGHLIGHT: "--highlight"}
    for color, name in names.items():
        assert f"{name}: {color};" in light
        assert f"{name}: #" in dark
    assert "http" not in style


def contrast(color, other):
    def luminance(text):
        channels = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted([luminance(color), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_from_the_paper():
    style = (resources.files("jnas") / "assets" / "report.css").read_text("utf-8")
    dark = style.split("@media (prefers-color-scheme: dark)")[1]
    values = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", dark.split("}")[0]))
    for i, color in enumerate(SERIES):
        assert contrast(color, PAPER) >= 3  # of graphics, by WCAG 2.1
        assert contrast(values[f"--s{i}"], values["--paper"]) >= 3
    for name, color in (("--ink", INK), ("--muted", MUTED)):
        assert contrast(color, PAPER) >= 4.5  # of text
        assert contrast(values[name], values["--paper"]) >= 4.5


def test_marks_differ():
    assert len({mark(i) for i in range(28)}) == 28
    assert len({mark(i).marker for i in range(7)}) == 7  # not by colour alone


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 10_000, [1, 10, 100, 1000, 10_000]),
        (60, 12_000, [100, 300, 1000, 3000, 10_000]),
        (1, 100, [1, 3, 10, 30, 100]),
        (0.2, 2, [0.2, 0.5, 1, 2]),
        (3.1, 3.2, [3.1]),
    ],
)
def test_ticks_of_logarithmic_axes(low, high, expected):
    np.testing.assert_allclose(decades(low, high), expected)


def test_numbers_are_short():
    assert [number(x) for x in (12_000, 0.05, 93.5, 0, 1e-12, float("nan"))] == [
        "12,000",
        "0.05",
        "93.5",
        "0",
        "1e-12",
        "–",
    ]
    assert shorten("abcdef", 4) == "abc…"


# Pictures.


def test_the_critical_difference_picture_says_its_numbers():
    rng = np.random.default_rng(0)
    samples = {f"name {i}": rng.normal(i * 0.4, 1, 30) for i in range(5)}
    ranks = compare_ranks(samples)
    svg = critical_difference_picture(ranks, range(5), title="Ranks")
    root = ElementTree.fromstring(svg)
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    for name, rank in zip(ranks.names, ranks.ranks, strict=True):
        assert any(name in t and f"{rank:.2f}" in t for t in texts)
    assert f"critical difference {ranks.critical_difference:.2f}" in texts


def test_bars_on_one_line_do_not_touch():
    assert _tiers([(0, 2), (1, 3), (3, 5), (4, 6)]) == [0, 1, 0, 1]
    assert _tiers([(0, 1), (1, 2), (2, 3)]) == [0, 1, 0]
    assert _tiers([]) == []


def test_the_median_of_final_accuracies_is_said():
    svg = final_panel(["a", "b"], [np.array([1.0, 2.0, 4.0]), np.full(3, np.nan)], None, title="Finals")
    assert "<title>Finals. Medians: a 2 %</title>" in svg


def test_ranks_are_shared_by_equal_values():
    np.testing.assert_array_equal(ranks_of(np.array([5.0, 9.0, 5.0])), [2.5, 1, 2.5])


@pytest.mark.parametrize("values", [np.full(4, 3.0), np.array([1.0, np.nan, 1000.0])])
def test_histograms_of_little(values):
    ElementTree.fromstring(histogram(values, None, label="x", title="t", log=True))


# HTML.


def test_text_is_escaped_and_html_is_kept():
    inner = element("em", "a < b & c")
    assert inner == "<em>a &lt; b &amp; c</em>"
    assert element("p", inner, None, 3, ["x", "<"]) == "<p><em>a &lt; b &amp; c</em>3x&lt;</p>"
    assert element("a", "t", class_='"x"', hidden=True, title=None) == '<a class="&quot;x&quot;" hidden>t</a>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
    assert isinstance(join(["<"]), Html)


def test_names_break_and_stay_the_same_text():
    assert breakable("a_b<c>") == "a_<wbr>b&lt;c&gt;"
    assert breakable("a:b=c") == "a:<wbr>b=<wbr>c"
    assert breakable("_a|b~0|") == "_<wbr>a|<wbr>b~0|"


def test_a_table_names_its_columns_and_rows():
    text = table(["a", "b"], [["x", "<y>"]], caption="c")
    assert '<th scope="col">a</th>' in text
    assert '<th scope="row">x</th><td data-label="b">&lt;y&gt;</td>' in text


def test_a_page_is_html():
    text = page("A & B", element("p", "x"))
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "<title>A &amp; B</title>" in text
