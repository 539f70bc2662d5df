"""Studies with several objectives and under constraints: fronts, regrets and bounds against plain definitions."""

import csv
import itertools

import numpy as np
import pytest

import jnas
from jnas import spaces
from jnas.commands._cli import main
from jnas.studies.papers._sentence import paper_sentence
from jnas.studies.search._front_numbers import REFERENCE, front_finals, front_progress, fronts_csv
from jnas.studies.search._front_section import _words
from jnas.studies.search._objectives import front_of
from jnas.studies.search._report import _unequal
from jnas.studies.search._summary import compare
from jnas.tables._cost_columns import cost_columns

SPACE = spaces.categorical((4, 4, 4))
RNG = np.random.default_rng(5)
ACCURACY, PARAMETERS, LATENCY = RNG.permutation(64) + 20.0, RNG.uniform(0.1, 2, 64), RNG.uniform(1, 9, 64)
ACCURACY[7] = np.nan  # it is on no front
FITS = np.argsort(np.argsort(PARAMETERS)) <= 20
BOUND = 1.0001 * float(np.sort(PARAMETERS)[20])
ASKED = {"dataset": "data", "epochs": 1, "num_seeds": 6, "max_evaluations": 24}
OBJECTIVES = ("accuracy", "parameters", "latency:chip=max")


@pytest.fixture(scope="module")
def table():
    measured = {"validation": ACCURACY, "test": 100 - ACCURACY}
    return jnas.make_table(SPACE, accuracy=measured, parameters=PARAMETERS, device_latency={"chip": LATENCY})


@pytest.fixture(scope="module")
def folder(tmp_path_factory, table):
    """Of a study with two objectives, as the command makes it."""
    path = tmp_path_factory.mktemp("fronts")
    jnas.save_table(table, path / "t.npz")
    words = ["study", "--table", str(path / "t.npz"), "--num-seeds", "6", "--max-evaluations", "24"]
    words += ["--searchers", "random_search,nsga2:population_size=8", "--objectives", "accuracy,parameters"]
    assert main([*words, "--out", str(path / "out")]) == 0
    return path / "out"


def plain_front(costs):
    """The rows of costs `[N, O]` that no other dominates."""
    beaten = [any((o <= c).all() and (o < c).any() for o in costs) for c in costs]
    return [row for row, c in enumerate(costs) if np.isfinite(c).all() and not beaten[row]]


def plain_area(costs):
    """The area that points `[N, 2]` dominate below the reference, by the cells of the grid that they span."""
    points = [p for p in costs if (p < REFERENCE).all()]
    xs, ys = (sorted({REFERENCE, *(float(p[i]) for p in points)}) for i in (0, 1))
    cells = itertools.product(itertools.pairwise(xs), itertools.pairwise(ys))
    return sum((b - a) * (d - c) for (a, b), (c, d) in cells if any(p[0] <= a and p[1] <= c for p in points))


def test_the_front_of_the_table_is_what_nothing_dominates(folder):
    results = jnas.load_study(folder)
    costs = np.stack([-ACCURACY, PARAMETERS], axis=1)
    rows = sorted(plain_front(costs), key=lambda row: costs[row, 0])
    assert results.front.archs == tuple(SPACE.to_string(np.asarray(SPACE.from_index(row))) for row in rows)
    np.testing.assert_allclose(results.front.costs, costs[rows], rtol=1e-6)
    assert results.config["objectives"] == ["accuracy", "parameters"]


def test_regrets_are_those_of_what_was_evaluated(folder):
    """From the traces, by another rule: areas of the grid that points span."""
    results = jnas.load_study(folder)
    with (folder / "fronts.csv").open() as file:
        rows = {(r["searcher"], int(r["evaluations"])): r for r in csv.DictReader(file)}
    whole = plain_area(results.front.shares(results.front.costs))
    for searcher in results.searchers:
        archs, mask = np.asarray(searcher.traces.arch), np.asarray(searcher.traces.mask)
        index = np.asarray([[int(SPACE.index(a)) for a in run] for run in archs])
        costs = results.front.shares(np.stack([-ACCURACY[index], PARAMETERS[index]], axis=2))
        for count in (10, 20, 24):
            counted = [c[:count][m[:count] & np.isfinite(c[:count, 0])] for c, m in zip(costs, mask, strict=True)]
            regret = [1 - plain_area(run) / whole for run in counted]
            row = rows[searcher.name, count]
            assert float(row["hypervolume_regret"]) == pytest.approx(np.mean(regret), abs=2e-5)
            assert float(row["low"]) <= float(row["hypervolume_regret"]) <= float(row["high"])


def test_who_evaluates_everything_has_no_regret(table):
    found = jnas.study(
        {"random": jnas.searchers.random_search(SPACE)},
        table,
        **(ASKED | {"max_evaluations": 900, "num_seeds": 2}),
        split="validation",
        objectives=OBJECTIVES,
    )
    front = found.front
    assert front.names == ("accuracy", "parameters", "latency:chip")
    assert front.signs == (-1.0, 1.0, -1.0)
    assert len(front.costs) == len(plain_front(np.stack([-ACCURACY, PARAMETERS, -LATENCY], axis=1)))
    last = front_finals(found.searchers[0], front_progress(found.searchers[0], front), front)[-1]
    assert last.mean == pytest.approx(0, abs=1e-5)
    assert np.isnan(last.low)  # of two runs there is no interval
    assert last.epsilon == pytest.approx(0, abs=1e-5)


def test_of_four_objectives_there_is_no_hypervolume(folder):
    """Neither a regret of 1: epsilons are what there is, of the largest difference in any objective."""
    results = jnas.load_study(folder)
    names, signs = (*results.front.names, "a", "b"), (*results.front.signs, 1.0, 1.0)
    costs = np.concatenate([results.front.costs, np.tile([0.0, 1.0], (len(results.front.costs), 1))], axis=1)
    front = results.front._replace(names=names, signs=signs, costs=costs)
    searchers = []
    for own in results.searchers:
        known = np.asarray(own.traces.objectives)
        more = np.broadcast_to(np.float32([0.5, 1.0]), (*known.shape[:-1], 2))
        traces = own.traces._replace(objectives=np.concatenate([known[..., :1], more], axis=-1))
        searchers.append(own._replace(traces=traces))
    changed = results._replace(front=front, searchers=searchers)
    rows = list(csv.DictReader(fronts_csv(changed).splitlines()))
    before = list(csv.DictReader(fronts_csv(results).splitlines()))
    assert all(row["hypervolume_regret"] == row["low"] == row["high"] == "" for row in rows)
    wanted = [max(float(row["additive_epsilon"]), 0.5) for row in before]  # of each run, so that the mean is no less
    found = [float(row["additive_epsilon"]) for row in rows]
    assert all(f >= w - 1e-5 for f, w in zip(found, wanted, strict=True))
    assert any(np.isfinite(found))


def test_what_a_paper_prints_judges_by_all_objectives(folder):
    """The regrets of fronts.csv, the best first, beside accuracies that are said to be alone."""
    results = jnas.load_study(folder)
    with (folder / "fronts.csv").open() as file:
        last = {row["searcher"]: row for row in csv.DictReader(file)}
    rows = sorted(last.values(), key=lambda row: float(row["hypervolume_regret"]))
    told = [
        "{} {:.2f} % [{:.2f}, {:.2f}]".format(
            row["searcher"], *(100 * float(row[name]) for name in ("hypervolume_regret", "low", "high"))
        )
        for row in rows
    ]
    sentence = paper_sentence(results)
    assert f"mean over runs [95 % bootstrap interval]: {told[0]} and {told[1]}." in sentence
    assert "By accuracy and parameters together" in sentence
    assert " alone, mean ± standard" in sentence
    one = paper_sentence(results._replace(front=None))
    assert "together, the share" not in one
    assert " alone, mean" not in one


def test_evaluations_at_another_fidelity_are_on_no_front(folder):
    results = jnas.load_study(folder)
    one, traces = results.searchers[0], results.searchers[0].traces
    odd = np.broadcast_to(np.arange(24) % 2 == 1, np.shape(traces.valid))
    changed = one._replace(traces=traces._replace(fidelity=odd.astype(np.int32)))
    masked = one._replace(traces=traces._replace(valid=np.asarray(traces.valid) & ~odd))
    for found, wanted in zip(
        front_progress(changed, results.front), front_progress(masked, results.front), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)
    assert front_progress(one, results.front).mask.sum() > front_progress(changed, results.front).mask.sum()
    assert not front_progress(one, results.front._replace(fidelity=1)).mask.any()
    apart = results._replace(
        searchers=(changed._replace(traces=traces._replace(fidelity=1 + 0 * odd)), *results.searchers[1:])
    )
    assert f"{one.name} 100.00 %" not in paper_sentence(apart)  # nothing of it counts, which is no regret of all
    assert "together, the share" in paper_sentence(apart)
    assert f"{one.name},24,,,,\n" in fronts_csv(apart).replace("\r", "")


def test_under_constraints_random_search_is_what_filtering_leaves(table):
    """The draws are those of a search without constraints, and what it ends with keeps the bounds."""
    searchers = {"random": jnas.searchers.random_search(SPACE)}
    asked = ASKED | {"split": "validation"}
    free = jnas.study(searchers, table, **asked).searchers[0]
    found = jnas.study(searchers, table, **asked, at_most={"parameters": BOUND})
    np.testing.assert_array_equal(found.searchers[0].traces.arch, free.traces.arch)
    index = np.asarray([[int(SPACE.index(a)) for a in run] for run in np.asarray(free.traces.arch)])
    best = np.nanmax(np.where(FITS[index], ACCURACY[index], np.nan), axis=1)
    (column,) = [i for i, target in enumerate(found.targets) if target.split == "validation"]
    np.testing.assert_allclose(found.searchers[0].values[column, :, -1], best)
    optimum = next(r for r in found.references if r.name == "optimum")
    assert optimum.values[column] == np.nanmax(ACCURACY[FITS])


def test_the_page_shows_the_front_and_is_made_again(folder, capsys):
    page = (folder / "report.html").read_text("utf-8")
    assert "all that nothing dominates by" in page
    assert "Hypervolume regret" in page
    assert "exact front by accuracy, parameters has" in page
    (folder / "report.html").unlink()
    assert main(["report", str(folder)]) == 0
    capsys.readouterr()
    assert (folder / "report.html").read_text("utf-8") == page
    front = jnas.load_study(folder).front
    np.testing.assert_array_equal(front_of(front.describe()).costs, front.costs)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--objectives", "parameters,accuracy"], "expected accuracy, which is searched on, as the first"),
        (["--objectives", "accuracy,parametres"], "did you mean"),
        (["--objectives", "accuracy,latency:chip=most"], "=min or =max"),
        (["--at-most", "parameters=0.00001"], "no architecture of the table has parameters of at most 1e-05"),
        (["--at-most", "parameters"], "--at-most"),
        (["--at-most", "parameters=nan"], "--at-most"),
        (["--at-most", "parameters=1,parameters=2"], "a bound each"),
        (["--at-most", "latency:chip=max=5"], "expected a column alone"),
        (["--at-most", "parameters=1", "--searchers", "random_search:constraint=filter"], "constraint"),
        (["--objectives", "accuracy,latency:chip,device_latency/chip=max"], "twice, under two names"),
        (["--objectives", "accuracy,parameters", "--objective", "proxy:synflow"], "and objectives came beside it"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(folder, words, told, capsys):
    asked = ["study", "--table", str(folder.parent / "t.npz"), "--num-seeds", "2", "--max-evaluations", "3"]
    try:
        status = main([*asked, "--searchers", "random_search", "--out", str(folder.parent / "refused"), *words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert told in capsys.readouterr().err
    assert not (folder.parent / "refused" / "traces").exists()


def test_what_is_said_of_two_studies_is_which_bounds_differ(folder):
    """In the words of a sentence, and however near the bounds are."""
    results = jnas.load_study(folder)
    near = [results._replace(config={**results.config, "at_most": {"parameters": b}}) for b in (1234567.0, 1234568.0)]
    [comparison] = compare(near)
    assert "constraints (A: parameters at most 1234567, B: parameters at most 1234568)" in _unequal(comparison)
    assert _unequal(compare([near[0], near[0]])[0]) is None


def test_the_section_says_what_the_front_is_among(folder):
    front = jnas.load_study(folder).front
    assert "keeps the constraints" in _words(front, bounded=True)
    assert "one run drawn" in _words(front, bounded=False, drawn=True)
    assert "only the longest training counts" in _words(front._replace(fidelity=1), bounded=False)
    assert not {"constraints", "longest", "drawn"} & set(_words(front, bounded=False).split())


def test_the_page_says_how_many_workers_there_are(tmp_path, table):
    jnas.study(
        {"random": jnas.searchers.random_search(SPACE)},
        table,
        **ASKED,
        split="validation",
        workers=3,
        objectives=OBJECTIVES[:2],
        out=tmp_path,
    )
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "It made 3 evaluations side by side." in page
    assert "exact front by accuracy, parameters has" in page


def test_a_word_for_two_columns_is_refused_and_a_column_stands_once():
    class Both:
        names = frozenset({"device_latency/pixel3", "hardware/pixel3_latency", "hardware/eyeriss_energy"})

        def read(self, name):
            return np.full(3, len(name), np.float32)

    with pytest.raises(ValueError, match="pass one of device_latency/pixel3, hardware/pixel3_latency"):
        cost_columns(Both(), ["latency:pixel3"])
    found = cost_columns(Both(), ["hardware/pixel3_latency", "device_latency/pixel3", "energy:eyeriss"])
    assert [column.member for column in found][2] == "hardware/eyeriss_energy"
    for words, told in (
        (["energy:eyeriss"] * 2, "twice; leave"),
        (["energy:eyeriss=max", "energy:eyeriss"], "under two"),
    ):
        with pytest.raises(ValueError, match=told):
            cost_columns(Both(), words)
