"""The report of studies: its numbers, and that it is one page that stands alone and says nothing unescaped."""

import csv
import functools
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.stats

from jnas import spaces
from jnas.core._vocabulary import Trace
from jnas.studies.search._curves import curves
from jnas.studies.search._report import search_report, write_report
from jnas.studies.search._results import SearcherResult, StudyResults
from jnas.studies.search._summary import (
    best_cells,
    compare,
    finals,
    main_target,
    pairwise,
    ranks,
    shown_targets,
    superiority_interval,
)
from jnas.studies.search._text import search_summary_csv
from jnas.tables._targets import Reference, Target

TARGETS = tuple(
    Target(dataset, split, 200)
    for dataset in ("cifar10", "cifar100", "ImageNet16-120")
    for split in ("validation", "test")
)
OPTIMA = np.array([91.61, 94.37, 73.49, 73.51, 46.77, 47.31])
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"


def make_searcher(name, *, skill=1.0, seeds=40, capacity=60, empty=(), cost=110.0, seed=0, targets=TARGETS):
    """Returns runs of a made-up searcher whose gap to the optimum falls as `evaluations ** -skill`, with noise."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    seconds = rng.gamma(8.0, cost / 8.0, (seeds, capacity)).astype(np.float32)
    mask = np.cumsum(seconds, axis=1) < cost * capacity * 0.8
    mask[:, 0] = True
    gap = 4 * rng.gamma(2.0, 0.5, (seeds, capacity)) * np.arange(1, capacity + 1) ** -skill + 0.05
    score = (84 - gap).astype(np.float32)
    best = np.where(mask, score, -np.inf)
    incumbent = np.zeros((seeds, capacity), np.int32)
    for t in range(1, capacity):
        better = best[:, t] > np.take_along_axis(best, incumbent[:, t - 1, None], 1)[:, 0]
        incumbent[:, t] = np.where(better, t, incumbent[:, t - 1])
    arch = rng.integers(0, 5, (seeds, capacity, 6)).astype(np.int32)
    scale = np.linspace(0.3, 1.5, len(targets))[:, None, None]
    optima = OPTIMA[: len(targets), None, None]
    accuracy = optima - scale * np.abs(gap + rng.normal(0, 0.1, gap.shape)) - 0.01
    values = np.take_along_axis(accuracy, np.broadcast_to(incumbent, accuracy.shape), 2).astype(np.float32)
    incumbent[list(empty)] = -1
    values[:, list(empty)] = np.nan
    return SearcherResult(
        name=name,
        traces=Trace(
            arch=arch,
            fidelity=np.zeros_like(incumbent),
            score=np.where(mask, score, np.nan).astype(np.float32),
            seconds=np.where(mask, seconds, 0).astype(np.float32),
            valid=mask,
            mask=mask,
            stopped_by=np.ones(seeds, np.int32),
        ),
        elapsed=np.cumsum(np.where(mask, seconds, 0), axis=1, dtype=np.float64),
        incumbent=incumbent,
        values=values,
        final=values[:, :, -1],
        final_archs=np.take_along_axis(arch, np.maximum(incumbent[:, -1], 0)[:, None, None], 1)[:, 0],
        compile_seconds=1.25,
        run_seconds=0.5,
    )


def make_study(searchers=None, *, targets=TARGETS, space=None, optima=OPTIMA, **config):
    """Returns a study as `jnas study` leaves it."""
    if searchers is None:
        searchers = (
            make_searcher("random_search", skill=0.3),
            make_searcher("regularized_evolution", skill=0.6),
            make_searcher("reinforce", skill=0.45),
            make_searcher("local_search", skill=0.58),
        )
    references = (
        Reference("ResNet", np.array([90.86, 93.91, 70.50, 70.89, 44.10, 44.23])[: len(targets)], RESNET),
        Reference("optimum", np.asarray(optima)[: len(targets)], None),
    )
    said = {
        "table_name": "NAS-Bench-201",
        "dataset": "cifar10",
        "split": "validation",
        "epochs": [12],
        "reward": "mean",
        "budget_seconds": 12000.0,
        "max_evaluations": None,
        "overshoot": "discard",
        "num_seeds": 40,
        "root_seed": 0,
        "notes": ["The file has no validation time: a cost is the training alone."],
        "command": "jnas study --table nb201.npz --seeds 40",
    }
    return StudyResults(
        config=said | config,
        versions={"jnas": "0.1.0", "jax": "0.10.2", "device": "cpu"},
        space=spaces.nasbench201().config if space is None else space,
        targets=targets,
        references=references,
        searchers=tuple(searchers),
    )


# A page has three pictures for each data set of its targets: where it is not about them, the fewest.
some_searcher = functools.partial(make_searcher, targets=TARGETS[:2])
some_study = functools.partial(make_study, targets=TARGETS[:2])


@functools.cache
def page_of_a_study() -> str:
    """The page of `make_study()`, once for all tests."""
    return search_report([make_study()])


# Reading a page back.


class Page(HTMLParser):
    """A page as a tree that was checked while it was read: every element closed, in order."""

    VOID = frozenset({"img", "meta", "wbr"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.tables, self._cell = [], None
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in self.VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self._cell = []

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"{tag} closes nothing"
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self._cell)
            self._cell = None

    def handle_data(self, data):
        self.texts.append(data)
        if self._cell is not None:
            self._cell.append((data, tuple(self.open)))

    @property
    def text(self):
        return "".join(self.texts)

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def rows(self, table):
        """Returns a table's rows as texts, small print left out."""
        return [
            ["".join(t for t, where in cell if "small" not in where) for cell in row if cell is not None]
            for row in self.tables[table]
        ]


def check_alone(text):
    """Asserts that a page is well formed, runs nothing, fetches nothing, and that what it refers to is in it."""
    page = Page(text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    policies = [a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href"):
                assert value.startswith(("#", "data:image/svg+xml;base64,", "data:image/png;base64,"))
                if value.startswith("#"):
                    assert value[1:] in ids
            if tag == "img":
                assert attributes["alt"]
            assert set(re.findall(r"url\(#([^)]*)\)", value or "")) <= set(ids)
    without_namespaces = re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    assert "http://" not in without_namespaces
    assert "https://" not in without_namespaces
    assert "url(http" not in text
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"
    return page


@pytest.mark.pictures
def test_a_page_stands_alone_and_is_the_same_each_time():
    text = page_of_a_study()
    page = check_alone(text)
    assert text == search_report([make_study()])
    assert text.startswith("<!DOCTYPE html>")
    for sentence in (
        "4 searchers were run on NAS-Bench-201, 40 independent runs each, to find the architecture with the best "
        "validation accuracy on cifar10 after 12 epochs (the mean over training seeds).",
        "A run ended after 12,000 simulated seconds. The evaluation that would have exceeded the budget was discarded.",
        "judged by validation and test accuracy on cifar10, cifar100 and ImageNet16-120 after 200 epochs",
        "The file has no validation time: a cost is the training alone.",
        "jnas study --table nb201.npz --seeds 40",
    ):
        assert sentence in page.text


@pytest.mark.pictures
def test_the_table_holds_the_numbers_of_the_runs():
    study = make_study()
    page = check_alone(page_of_a_study())
    head, splits, *rows = page.rows(0)
    assert head == ["Searcher", "cifar10", "cifar100", "ImageNet16-120", "Cost of a run", "Measured here"]
    assert splits == ["validation"] + ["validation", "test"] * 3 + ["evaluations", "time"]  # searched on, and judging
    assert [row[0] for row in rows] == [s.name for s in study.searchers] + ["ResNet", "optimum"]
    means = np.stack([s.final.astype(np.float64).mean(axis=1) for s in study.searchers])
    for k, searcher in enumerate(study.searchers):
        stds = searcher.final.astype(np.float64).std(axis=1, ddof=1)
        best = np.take_along_axis(searcher.traces.score, searcher.incumbent[:, -1:], axis=1).astype(np.float64)
        assert rows[k][1] == f"{best.mean():.2f} ± {best.std(ddof=1):.2f}"
        assert rows[k][2:8] == [f"{m:.2f} ± {s:.2f}" for m, s in zip(means[k], stds, strict=True)]
        counts = searcher.traces.mask.sum(axis=1)
        assert rows[k][8] == f"{np.median(counts):,.0f}"
        assert rows[k][9] == f"{np.median(searcher.elapsed.max(axis=1)):,.0f} s"
        assert rows[k][10] == "1.8 s"  # 1.25 to compile, 0.5 to run
    assert rows[-1][1:8] == ["–", *(f"{v:.2f}" for v in OPTIMA)]
    assert rows[-2][1:8] == ["–", "90.86", "93.91", "70.50", "70.89", "44.10", "44.23"]
    bold = [[any("strong" in where for _, where in cell) for cell in row[2:8]] for row in page.tables[0][2:6]]
    np.testing.assert_array_equal(np.argmax(bold, axis=0), means.argmax(axis=0))
    assert np.sum(bold) == 6


@pytest.mark.pictures
def test_intervals_in_small_print_hold_their_mean():
    study = make_study()
    numbers = finals(compare([study])[0])
    assert np.all((numbers.low < numbers.mean) & (numbers.mean < numbers.high))
    error = numbers.std / np.sqrt(40)
    np.testing.assert_allclose(numbers.high - numbers.low, 2 * 1.96 * error, rtol=0.25)
    page = Page(page_of_a_study())
    small = ["".join(t for t, where in cell if "small" in where) for cell in page.tables[0][2][2:4]]
    digits = [3 if w < 0.02 else 2 for w in (numbers.high - numbers.low).min(axis=0)[:2]]
    shown = [f"[{numbers.low[0, c]:.{d}f}, {numbers.high[0, c]:.{d}f}]" for c, d in enumerate(digits)]
    below = [f"0 % at optimum, regret {OPTIMA[c] - numbers.mean[0, c]:.2f}" for c in range(2)]
    assert small == [interval + regret for interval, regret in zip(shown, below, strict=True)]


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$x_1$ \\frac{1}{2} & more",
    "_under & <b>bold</b> --> ]]>",
    "' onload='alert(1)",
)


@pytest.mark.pictures
def test_hostile_names_are_text_everywhere():
    searchers = [some_searcher(name, seeds=6, capacity=12) for name in HOSTILE]
    study = some_study(searchers, notes=list(HOSTILE), command=HOSTILE[0], table_name=HOSTILE[1], dataset=HOSTILE[0])
    references = (Reference(HOSTILE[1], np.zeros(2), HOSTILE[0]), *study.references)
    study = study._replace(references=references, versions={HOSTILE[0]: HOSTILE[3]})
    page = check_alone(search_report([study]))
    assert {"img"} >= {tag for tag, attributes in page.elements if "onerror" in attributes}
    assert not any(tag in ("b", "script") for tag, _ in page.elements)
    assert [row[0] for row in page.rows(0)[2:7]] == list(HOSTILE)
    for name in HOSTILE:
        assert name in page.text


def unknown_space():
    return some_study(
        [some_searcher("random_search", seeds=5, capacity=9), some_searcher("other", seeds=5, capacity=9)],
        space='{"kind": "of another planet"}',
    )


def no_costs():
    searcher = some_searcher("random_search", seeds=4, capacity=9)
    return some_study([searcher._replace(elapsed=np.zeros_like(searcher.elapsed))], budget_seconds=None, evaluations=9)


def without_optimum():
    return some_study([some_searcher("random_search", seeds=4, capacity=9)])._replace(references=())


EDGES = {
    "one run of one evaluation": lambda: make_study(
        [make_searcher("random_search", seeds=1, capacity=1, targets=TARGETS[:1])], targets=TARGETS[:1]
    ),
    "one run of each of two": lambda: some_study(
        [some_searcher(n, seeds=1, capacity=5) for n in ("random_search", "b")]
    ),
    "no searcher": lambda: some_study(()),
    "some found nothing": lambda: some_study(
        [some_searcher("random_search", empty=(0, 3), seeds=9, capacity=9), some_searcher("b", seeds=9, capacity=9)]
    ),
    "one found nothing": lambda: some_study(
        [some_searcher("a", empty=range(9), seeds=9, capacity=9), some_searcher("random_search", seeds=9, capacity=9)]
    ),
    "none found anything": lambda: some_study([some_searcher("a", empty=range(4), seeds=4, capacity=9)]),
    "different lengths and seeds": lambda: some_study(
        [some_searcher("random_search", seeds=5, capacity=9), some_searcher("b", seeds=8, capacity=30)]
    ),
    "twelve": lambda: some_study(
        [some_searcher(f"searcher_number_{i}_{'long_' * (i == 3) * 12}", seeds=5, capacity=9) for i in range(12)]
    ),
    "unknown space": unknown_space,
    "no costs": no_costs,
    "without an optimum": without_optimum,
    "the same name twice": lambda: some_study([some_searcher("a", seeds=4, capacity=9)] * 2),
    "an empty configuration": lambda: some_study([some_searcher("a", seeds=4, capacity=9)])._replace(
        config={}, versions={}
    ),
}


@pytest.mark.pictures
@pytest.mark.parametrize("name", EDGES)
def test_edges_make_a_page(name):
    page = check_alone(search_report([EDGES[name]()]))
    told = {
        "no searcher": "No searcher has finished in this study",
        "some found nothing": "random_search: 2 of 9 runs.",
        "one found nothing": "a: 9 of 9 runs.",
        "none found anything": "No run found an architecture.",
        "no costs": "no evaluation has a cost",
        "one run of one evaluation": "in its one run",
        "different lengths and seeds": "the first 5 runs of each searcher",
        "the same name twice": "a (2)",
    }
    assert told.get(name, "How to repeat this") in page.text
    assert "nan" not in page.text.lower()


def test_studies_of_one_table_are_compared_and_others_are_not():
    first = some_study([some_searcher("random_search", seeds=5, capacity=9)], seed=0)
    second = some_study([some_searcher("random_search", seeds=5, capacity=9, seed=1)], seed=7, overshoot="keep")
    other = some_study([some_searcher("random_search", seeds=5, capacity=9)], optima=OPTIMA + 1, table_name="another")
    page = check_alone(search_report([first, second], names=["runs/<1>", "runs/2"]))
    assert "Study A: runs/<1>" in page.text
    assert [row[0] for row in page.rows(0)[2:4]] == ["A · random_search", "B · random_search"]
    assert "was discarded" in page.text
    assert "was kept" in page.text
    settings = next(
        rows for rows in map(page.rows, range(len(page.tables))) if rows[0] == ["setting", "study A", "study B"]
    )
    assert ["overshoot", "discard", "keep"] in settings
    apart = check_alone(search_report([first, other]))
    assert "not compared" in apart.text
    assert [row[0] for row in apart.rows(0)[2:3]] == ["A · random_search"]
    assert len(compare([first, second, other])) == 2


def test_studies_with_unequal_budgets_are_warned_of_and_share_their_notes():
    searchers = [some_searcher("random_search", seeds=5, capacity=9)]
    first, same = some_study(searchers), some_study(searchers, seed=5)
    other = some_study(searchers, budget_seconds=500.0, epochs=[12, 200], notes=[*first.config["notes"], "its own"])
    text = check_alone(search_report([first, other])).text
    assert "do not compare on equal terms" in text
    assert (
        "show what differs here: budget in seconds (A: 12000, B: 500); epochs of training (A: 12, B: 12, 200)." in text
    )
    note = first.config["notes"][0]
    assert text.count(note) == 1
    assert text.index("About the numbers of all these studies") < text.index(note) < text.index("Study A")
    assert text.index("Study B") < text.index("its own")
    assert "equal terms" not in check_alone(search_report([first, same])).text
    assert "equal terms" not in Page(search_report([first])).text


def test_a_page_says_that_one_fidelity_leaves_nothing_to_halve():
    searchers = [
        some_searcher(n, seeds=5, capacity=9) for n in ("hyperband", "successive_halving", "bohb", "reinforce")
    ]
    text = check_alone(search_report([some_study(searchers)])).text
    assert (
        "With one fidelity there is no halving. hyperband and successive_halving are random search here. "
        "bohb is its model alone here."
    ) in text
    assert "no halving" not in Page(search_report([some_study(searchers, epochs=[12, 200])])).text
    assert "no halving" not in Page(search_report([some_study(searchers[3:])])).text


def test_the_finding_says_which_test_is_the_more_cautious():
    """Nine runs of seven searchers: one is ahead in every run, but Nemenyi's test cannot say so of the runner-up."""
    rng = np.random.default_rng(0)
    searchers = [by_hand(90.0 - i + rng.random((9, 1)) / 2, 1.0, f"s{i}") for i in range(7)]
    study = make_study(searchers, targets=TARGETS[:1])
    ranking = ranks(compare([study])[0], 0)
    assert any(first == 0 for first, _ in ranking.groups)  # the picture joins the best to others
    text = Page(search_report([study])).text
    assert "It differs significantly from every other searcher (Mann-Whitney" in text
    assert "Nemenyi's test on ranks, in the pictures of who differs, is the more cautious one" in text
    assert (
        "Nemenyi's test on ranks, in" not in Page(search_report([make_study(searchers[:1], targets=TARGETS[:1])])).text
    )


def test_no_study_is_an_error():
    with pytest.raises(ValueError, match="at least one study"):
        search_report([])
    with pytest.raises(ValueError, match="names has 1 names, expected 2"):
        search_report([some_study(()), some_study(())], names=["a"])


def test_a_report_replaces_the_one_before(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report([some_study([some_searcher("a", seeds=4, capacity=9)])], path)
    assert path.read_text("utf-8").endswith("</html>\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_user_space_gives_strings_and_drawings():
    space = spaces.nasbench201()._replace(draw=lambda arch: '<svg xmlns="http://www.w3.org/2000/svg"></svg>')
    study = some_study([some_searcher("a", seeds=4, capacity=9)], space="not known")
    drawn = check_alone(search_report([study], space=space))
    assert sum(tag == "img" for tag, _ in drawn.elements) == 4
    best = best_cells(compare([study])[0])[0]
    assert space.to_string(best.arch) in drawn.text
    plain = check_alone(search_report([study]))
    assert not any(tag == "img" for tag, _ in plain.elements)
    assert " ".join(map(str, best.arch)) in plain.text


# The numbers.


def by_hand(values, seconds, name="a", mask=None):
    """Returns runs whose incumbents are worth `values [S, T]` on one target."""
    values = np.asarray(values, np.float32)
    shape = values.shape
    seconds = np.broadcast_to(np.asarray(seconds, np.float32), shape)
    mask = np.ones(shape, bool) if mask is None else np.asarray(mask)
    incumbent = np.where(np.isnan(values), -1, np.arange(shape[1])).astype(np.int32)
    arch = np.zeros((*shape, 6), np.int32) + np.arange(shape[1])[:, None] % 5
    trace = Trace(arch, np.zeros(shape, np.int32), values, seconds, mask, mask, np.zeros(shape[0], np.int32))
    return SearcherResult(
        name,
        trace,
        np.cumsum(seconds * mask, axis=1),
        incumbent,
        values[None],
        values[None, :, -1],
        arch[:, -1],
        1.0,
        1.0,
    )


def one_target(*searchers):
    return compare([make_study(searchers, targets=TARGETS[:1])])[0]


def test_curves_by_hand():
    comparison = one_target(by_hand([[80.0, 82.0, 90.0], [70.0, 88.0, 88.0]], [10.0, 10.0, 20.0]))
    (found,) = curves(comparison, [0], "evaluations")[0]
    np.testing.assert_array_equal(found.grid, [1, 2, 3])
    np.testing.assert_allclose(found.mean, [75, 85, 89])
    (found,) = curves(comparison, [0], "seconds")[0]
    assert found.grid[0] == 10
    assert found.grid[-1] == 40
    ends = np.searchsorted(found.grid, [20, 40])
    assert np.all(found.mean[: ends[0]] == 75)
    assert np.all(found.mean[ends[0] : ends[1]] == 85)
    assert found.mean[-1] == 89
    assert np.all(found.low <= found.mean)
    assert np.all(found.high >= found.mean)
    np.testing.assert_array_equal(found.low, found.mean)  # two runs are too few for a band


def test_a_band_needs_five_runs():
    comparison = one_target(by_hand([[80.0], [70.0], [75.0], [75.0], [75.0]], 1.0))
    (found,) = curves(comparison, [0], "evaluations")[0]
    assert 70 <= found.low[0] < 74
    assert 76 < found.high[0] <= 80


def test_median_and_quartiles_by_hand():
    comparison = one_target(by_hand([[v] for v in (80.0, 70.0, 75.0, 90.0, 60.0)], 1.0))
    (found,) = curves(comparison, [0], "evaluations")[0]
    assert (found.lower_quartile[0], found.median[0], found.upper_quartile[0]) == (70, 75, 80)
    runs = np.full((10, 1), 80.0)
    runs[0] = np.nan  # a run that found nothing counts as the worst
    runs[1:4] = 70.0
    (found,) = curves(one_target(by_hand(runs, 1.0)), [0], "evaluations")[0]
    assert (found.lower_quartile[0], found.median[0], found.upper_quartile[0]) == (70, 80, 80)


def test_curves_end_with_the_final_means():
    """Each entry's own, though another one goes on for longer, and on both axes."""
    searchers = [make_searcher(f"s{i}", capacity=40 * i, seeds=9, cost=70.0) for i in (1, 2, 10)]
    comparison = compare([make_study(searchers)])[0]
    means = finals(comparison).mean
    for axis in ("seconds", "evaluations"):
        for target, found in curves(comparison, [0, 3], axis).items():
            for curve in found:
                last = curve.mean[np.isfinite(curve.mean)][-1]
                assert last == pytest.approx(means[curve.entry, target], abs=1e-9)
                assert np.all(np.diff(curve.grid) > 0)


def test_no_interval_for_fewer_than_five_runs():
    few, some, many = ([some_searcher("random_search", seeds=n, capacity=9)] for n in (4, 5, 10))
    numbers = [finals(compare([some_study(s)])[0]) for s in (few, some, many)]
    assert np.isnan([numbers[0].low, numbers[0].high]).all()
    assert np.isfinite(numbers[0].std).all()
    assert np.isfinite([numbers[1].low, numbers[1].high]).all()
    texts = [Page(search_report([some_study(s)])).text for s in (few, some, many)]
    assert ["No interval is given for fewer than 5 runs" in text for text in texts] == [True, False, False]
    assert ["With fewer than ten runs bootstrap intervals are rough" in text for text in texts] == [False, True, False]
    rows = list(csv.DictReader(io.StringIO(search_summary_csv(some_study(few)))))
    assert {(row["ci_low"], row["ci_high"]) for row in rows} == {("", "")}
    assert all(row["std"] for row in rows)


def test_a_curve_begins_with_nine_runs_in_ten_and_ends_with_the_last():
    late = np.full((10, 3), 90.0)
    late[0, :2] = late[1, :1] = np.nan
    long, short = by_hand(late, 10.0, "late"), by_hand(np.full((10, 2), 80.0), 10.0, "short")
    first, second = curves(one_target(long, short), [0], "evaluations")[0]
    np.testing.assert_array_equal(np.isfinite(first.mean), [False, True, True])
    np.testing.assert_array_equal(np.isfinite(second.mean), [True, True, False])


def test_finals_leave_out_runs_that_found_nothing_and_count_them():
    numbers = finals(one_target(by_hand([[80.0], [np.nan], [90.0]], 1.0), by_hand([[np.nan], [np.nan]], 1.0, "none")))
    assert numbers.mean[0, 0] == 85
    np.testing.assert_allclose(numbers.std[0, 0], np.sqrt(50))
    np.testing.assert_array_equal(numbers.found[:, 0], [2, 0])
    np.testing.assert_array_equal(numbers.runs, [3, 2])
    assert np.isnan(numbers.mean[1, 0])
    assert np.isnan(numbers.low[1, 0])


def test_a_run_that_found_nothing_ranks_below_all_others():
    good = by_hand([[50.0], [51.0], [np.nan]], 1.0, "good")
    bad = by_hand([[40.0], [41.0], [42.0]], 1.0, "bad")
    tests = pairwise(one_target(good, bad), 0)
    assert tests.superiority[0] == pytest.approx(6 / 9)
    ranking = ranks(one_target(good, bad), 0)
    assert dict(zip(ranking.names, ranking.ranks, strict=True)) == pytest.approx({"good": 4 / 3, "bad": 5 / 3})


def returning(name, scores, archs, fidelity=0):
    """Returns runs of one evaluation each, of the architecture `[a, a, a, a, a, a]`."""
    result = by_hand(np.asarray(scores, float)[:, None], 1.0, name)
    archs = np.repeat(np.asarray(archs, np.int32)[:, None], 6, axis=1)
    levels = np.broadcast_to(np.asarray(fidelity, np.int32), (len(scores),))[:, None]
    return result._replace(final_archs=archs, traces=result.traces._replace(fidelity=levels))


def test_the_best_cells_are_by_the_objective_and_shared():
    first = returning("first", [80, 95, 80], [1, 2, 1])
    second = returning("second", [60, 60.5, np.nan], [3, 1, 4])
    found = best_cells(one_target(first, second), most=1)
    assert [(int(c.arch[0]), c.score, c.found_by) for c in found] == [(2, 95, ((0, 1),)), (1, 80, ((0, 2), (1, 1)))]
    found = best_cells(one_target(first, second))
    assert [int(c.arch[0]) for c in found] == [2, 1, 3]  # a run that found nothing returned nothing


def test_a_higher_fidelity_comes_before_a_higher_score():
    study = make_study([returning("two", [82, 95], [1, 2], [1, 0])], targets=TARGETS[:1], epochs=[12, 200])
    first, second = best_cells(compare([study])[0])
    assert (first.fidelity, first.score, first.found_by) == (1, 82, ((0, 1),))
    assert (second.fidelity, second.score) == (0, 95)
    text = Page(search_report([study])).text
    places = [f"searched on ({study.config['dataset']} {study.config['split']}, {e} epochs)" for e in (200, 12)]
    assert text.index(places[0]) < text.index(places[1])


def test_which_targets_are_shown():
    comparison = compare([make_study()])[0]
    assert comparison.targets[main_target(comparison)] == Target("cifar10", "test", 200)
    assert [comparison.targets[t].dataset for t in shown_targets(comparison)] == [
        "cifar10",
        "cifar100",
        "ImageNet16-120",
    ]
    assert {comparison.targets[t].split for t in shown_targets(comparison)} == {"test"}


def test_superiority_interval_is_sound_at_the_ends():
    low, high = superiority_interval(1.0, 10, 10)
    assert high == 1
    assert 0.6 < low < 0.95
    middle = superiority_interval(0.5, 50, 50)
    np.testing.assert_allclose(sum(middle), 1, atol=1e-9)
    mirrored = superiority_interval(0.7, 20, 30)
    np.testing.assert_allclose(superiority_interval(0.3, 20, 30), [1 - mirrored[1], 1 - mirrored[0]], atol=1e-9)


@pytest.mark.statistical
def test_superiority_interval_covers_the_truth_as_often_as_it_says():
    rng, shift, trials = np.random.default_rng(0), 0.8, 1000
    truth = scipy.stats.norm.cdf(shift / np.sqrt(2))
    first, second = rng.normal(shift, 1, (trials, 25)), rng.normal(0, 1, (trials, 40))
    shares = (first[:, :, None] > second[:, None, :]).mean(axis=(1, 2))
    bounds = np.array([superiority_interval(share, 25, 40) for share in shares])
    covered = np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1]))
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / trials)
