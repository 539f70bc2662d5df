"""The report of a table: its numbers against published ones and by hand, and pages of tables that lack most things."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.stats

from jnas import spaces
from jnas.spaces._registry import named_cells
from jnas.tables._file import Header, Training, encode_curve, member
from jnas.tables._load import table_from_arrays
from jnas.tables._make import make_table
from jnas.tables.readers._arrays import arrays_table
from jnas.tables.report._papers import PUBLISHED_TABLE_6, published_row
from jnas.tables.report._report import table_report, write_table_report
from jnas.tables.report._sections import published_sentence
from jnas.tables.report._summary import (
    early_rows,
    final_columns,
    holdings,
    reference_index,
    seed_noise,
    shown_column,
    size_of,
    subsets,
    table_correlations,
)

pytestmark = pytest.mark.pictures

SPACE = spaces.categorical((3, 4), (("a", "b", "c"), ("1", "2", "3", "4")), decisions=("op", "width"), name="mine <b>")


def small_table(**changes):
    """Returns a table of 12 architectures of a user's own space, one of them without a number."""
    rng = np.random.default_rng(0)
    validation = rng.normal(80, 3, 12)
    validation[3] = np.nan
    given = {"validation": validation, "test": validation + rng.normal(0, 1, 12)}
    own = {"accuracy": given, "train_seconds": 2.0, "name": "My <table> & more", "source": "<i>me</i>"}
    return make_table(SPACE, **(own | changes))


def curved_table():
    """Returns a table with trainings of 4 and 60 epochs of 3 seeds, curves, times and sizes, of 12 architectures."""
    rng = np.random.default_rng(1)
    quality = rng.normal(80, 4, (12, 1))
    arrays = {"archs": np.asarray([[i // 4, i % 4] for i in range(12)], np.int8)}
    trainings = (Training("digits", 4, (1, 2, 3)), Training("digits", 60, (1, 2, 3)))
    for training in trainings:
        place = ("digits", training.epochs)
        arrays[member("train_seconds", *place)] = rng.uniform(1, 9, (12, 1)).astype(np.float32)
        for split in ("validation", "test"):
            done = np.arange(1, training.epochs + 1) / training.epochs
            curve = quality[:, :, None] * (0.5 + 0.5 * done) + rng.normal(0, 1, (12, 3, training.epochs))
            curve = np.round(curve / 0.002) * 0.002
            arrays[member("accuracy_curve", *place, split)] = encode_curve(curve)
            arrays[member("accuracy", *place, split)] = curve[:, :, -1].astype(np.float32)
        arrays[member("eval_seconds", *place, "test")] = np.ones((12, 1), np.float32)
    arrays[member("parameters", "digits")] = rng.uniform(0.1, 2, 12).astype(np.float32)
    arrays[member("flops", "digits")] = rng.uniform(10, 90, 12).astype(np.float32)
    header = Header("digits", SPACE.config, trainings, {}, "made up", ("synthetic: these are not measurements",))
    return table_from_arrays(header, arrays)


@pytest.fixture(scope="module")
def published(shared_data):
    return table_from_arrays(*arrays_table(shared_data / "nasbench201" / "nasbench201.npz", spaces.nasbench201()))


class Reader(HTMLParser):
    """Checks that elements close in order, and keeps text and attributes."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = "".join(self.texts)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def check(text):
    """Asserts that a page is well formed, runs and fetches nothing, and gives it back as a `Reader`."""
    page = Reader(text)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "b", "i"}
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"|http-equiv', "", text)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "nan" not in page.text.lower()
    return page


def test_a_users_table_without_pairs_sizes_seeds_or_curves():
    table = small_table()
    page = check(table_report(table))
    assert table_report(table) == table_report(table)
    for said in (
        "What My <table> & more holds",
        "12 of the 12 encodings of the space mine <b>: 2 decisions with 3 to 4 choices each. Source: <i>me</i>",
        "no architecture's accuracy for several seeds",
        "every cost is the training alone",
    ):
        assert said in page.text
    for title in ("Accuracy and size", "What a short training tells"):
        assert title not in page.text
    best = int(np.nanargmax(final_columns(table)[1].values))
    assert table.text(best) in page.text


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": {"score": np.arange(12.0)}},
        {"accuracy": {"score": np.full(12, 50.0)}},
        {"accuracy": {"score": np.full(12, np.nan)}},
        {"accuracy": {"test": np.where(np.arange(12) == 5, 70.0, np.nan), "validation": np.arange(12.0)}},
        {"accuracy": {"validation": np.random.default_rng(0).normal(80, 1, (12, 3))}, "epochs": 7},
        {"accuracy": {"train": np.arange(12.0)}},
        {"train_seconds": np.zeros(12)},
        {"train_seconds": np.full(12, np.nan)},
    ],
    ids=["one split", "constant", "empty", "one number", "seeds alone", "train alone", "no cost", "unknown cost"],
)
def test_tables_that_lack_something_make_a_page(changes):
    check(table_report(small_table(**changes)))


def test_a_table_with_everything(tmp_path):
    said = []
    write_table_report(curved_table(), tmp_path / "table.html", said.append)
    page = check((tmp_path / "table.html").read_text("utf-8"))
    assert said[0] == "reading accuracies"
    assert len(said) == 9
    for title in (
        "Accuracy and size",
        "How hard it is to search",
        "What a short training tells",
        "Noise between seeds",
        "Seconds",
    ):
        assert title in page.text
    assert "synthetic: these are not measurements" in page.text
    assert "no evaluation times for digits validation (4 epochs), digits validation (60 epochs)" in page.text
    assert "every epoch" in page.text


# The numbers.


def test_holdings_count_what_is_missing():
    (test, validation) = holdings(small_table())
    assert (test.split, validation.split) == ("test", "validation")
    assert (validation.missing, validation.values, validation.curves) == (1, 11, False)
    assert validation.train_seconds
    assert not validation.eval_seconds
    runs = np.random.default_rng(0).normal(80, 1, (12, 3))
    runs[0] = np.nan
    runs[1, 2] = np.nan
    (held,) = holdings(small_table(accuracy={"validation": runs}))
    assert (held.missing, held.values) == (1, 36 - 4)


def test_a_split_with_means_alone_is_said_to_have_them():
    """Though another split of the same training has seeds."""
    arrays = {
        "archs": np.asarray([[i // 4, i % 4] for i in range(12)], np.int8),
        member("accuracy", "d", 1, "test"): np.linspace(50, 60, 24).reshape(12, 2).astype(np.float32),
        member("accuracy_mean", "d", 1, "validation"): np.linspace(50, 60, 12).astype(np.float32),
    }
    table = table_from_arrays(Header("h", SPACE.config, (Training("d", 1, (4, 5)),), {}, "made up", ()), arrays)
    assert [(held.split, held.seeds, held.values) for held in holdings(table)] == [
        ("test", 2, 24),
        ("validation", 0, 12),
    ]
    text = check(table_report(table)).text
    rows = text[text.index("What is in it") :]
    assert rows.index("2 (24 trainings)") < rows.index("validation") < rows.index("means alone")
    assert "1 epochs" not in text


def test_columns_are_those_of_the_longest_training():
    columns = final_columns(curved_table())
    assert [(c.dataset, c.split, c.epochs) for c in columns] == [("digits", "validation", 60), ("digits", "test", 60)]
    assert shown_column(columns) == 1
    table = curved_table()
    runs = table.read(member("accuracy", "digits", 60, "test"))
    np.testing.assert_allclose(columns[1].values, runs.mean(axis=1), rtol=1e-6)


def test_correlations_are_scipys():
    table = small_table()
    columns = final_columns(table)
    everything, best = subsets(columns)[0], subsets(columns)[1:]
    assert everything[1].sum() == 11
    assert best == []
    found = table_correlations(columns, *everything)
    there = everything[1]
    a, b = (c.values[there] for c in columns)
    assert found.archs == 11
    assert found.pearson[0, 1] == pytest.approx(scipy.stats.pearsonr(a, b).statistic)
    assert found.kendall[1, 0] == pytest.approx(scipy.stats.kendalltau(a, b).statistic)


def test_early_accuracies_are_those_of_the_curve():
    table = curved_table()
    columns = final_columns(table)
    rows = early_rows(table, columns)
    assert [(row.done, row.epochs) for row in rows] == [
        (2, 4),
        (4, 4),
        (4, 60),
        (7, 60),
        (30, 60),
        (45, 60),
        (52, 60),
        (60, 60),
    ]
    for row in rows:
        expected = table.curve(table.archs, dataset="digits", split="validation", epochs=row.epochs, seed="mean")
        np.testing.assert_allclose(row.values, np.asarray(expected)[:, row.done - 1], atol=2e-3)
        pearson = scipy.stats.pearsonr(row.values, columns[1].values).statistic
        assert row.coefficients["Pearson"][1] == pytest.approx(pearson)
        tau = scipy.stats.kendalltau(row.values, columns[1].values).statistic
        assert row.coefficients["Kendall"][1] == pytest.approx(tau)
        assert published_row(row, table, columns) is None
    assert published_sentence(table, columns, rows) == ""


def test_noise_between_seeds_by_hand():
    runs = np.full((12, 3), 50.0)
    runs[0] = [80, 82, 84]
    runs[1] = [70, 74, np.nan]
    runs[2] = [60, np.nan, np.nan]
    table = small_table(accuracy={"validation": runs})
    (noise,) = seed_noise(table, final_columns(table))
    assert noise.seeds == 3
    np.testing.assert_allclose(noise.mean[:4], [82, 72, 60, 50])
    np.testing.assert_allclose(noise.std[:4], [2, np.sqrt(8), np.nan, 0])
    assert noise.kendall == pytest.approx(scipy.stats.kendalltau([80, 70, *[50] * 9], [82, 74, *[50] * 9]).statistic)


def test_sizes_name_the_network_that_they_are_of():
    table = curved_table()
    values, dataset = size_of(table, "parameters", "another")
    assert dataset == "digits"
    np.testing.assert_array_equal(values, table.read("parameters/digits"))
    assert size_of(small_table(), "parameters", "data") is None


def test_the_published_table_6_is_pearsons_coefficient(published):
    columns = final_columns(published)
    rows = early_rows(published, columns)
    assert [(row.done, row.epochs) for row in rows] == [(12, 12), (200, 200)]  # ends of trainings: there are no curves
    for row in rows:
        paper = published_row(row, published, columns)
        assert paper == PUBLISHED_TABLE_6[row.done, row.epochs]
        np.testing.assert_allclose(row.coefficients["Pearson"], paper, atol=0.0035)  # the paper's is an older release
        assert np.max(np.abs(row.coefficients["Spearman"] - paper)) > 0.1
        assert np.max(np.abs(row.coefficients["Kendall"] - paper)) > 0.1
    assert "Pearson's comes closest to its values, within 0.003" in published_sentence(published, columns, rows)


def test_the_resnet_cell_is_the_papers(published):
    index = reference_index(published)
    assert published.text(index) == named_cells(published.space)["ResNet"]
    found = [c.values[index] for c in final_columns(published)]
    np.testing.assert_allclose(found, [90.83, 93.97, 70.42, 70.86, 44.53, 43.63], atol=0.65)
    np.testing.assert_allclose(found[:4], [90.83, 93.97, 70.42, 70.86], atol=0.1)


def test_the_published_tables_page_is_small_and_whole(published):
    text = table_report(published)
    page = check(text)
    assert len(text) < 5_000_000
    for said in ("ResNet cell", "ends of its trainings", "no validation time", "94.37", "73.51", "47.31"):
        assert said in page.text
    drawings = sum(tag == "img" for tag, _ in page.elements)
    assert drawings == 5  # the best of each set, two of them the same, and the ResNet cell
    pixels = [a for tag, a in page.elements if tag == "image"]
    assert len(pixels) == 6 + 3 + 2 + 2 + 3  # by size, FLOPs, rank, early rank and seed: many points are pixels
