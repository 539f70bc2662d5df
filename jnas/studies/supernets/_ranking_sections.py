"""The sections of the report on rankings of candidates against a table, and on random search in a method's place."""

from typing import Any

import numpy as np

from jnas.pages._html import Html, details, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_cell, mean_words, named, p_text, panels
from jnas.pages._plots import mark
from jnas.searchers._benchmarks import find_benchmark
from jnas.studies._over_seeds import statistics_over_seeds
from jnas.studies.search._evaluation_section import reachable_note
from jnas.studies.supernets._plots import EpochCurves, epoch_panel
from jnas.studies.supernets._ranking import (
    BEST,
    CANDIDATES,
    CORRELATIONS,
    POOL,
    SUBSETS,
    AgainstRandom,
    BestRank,
    Ranking,
    against_random,
    best_rank,
    look_kendall,
    look_rankings,
    one_shot_rankings,
)
from jnas.studies.supernets._results import MethodResult, SupernetStudy
from jnas.studies.supernets._scratch_section import yardstick_cells, yardstick_words
from jnas.studies.supernets._summary import finite_moments, has_reachable, judged_column
from jnas.studies.supernets._test_choice_text import chosen_on_test
from jnas.tables._metric import metric_of

_TITLES = {"spearman": "Spearman", "kendall": "Kendall", "sparse_kendall": "sparse Kendall"}
_TITLES |= {"sparse_kendall_floor": "sparse, published bins"}


def random_search_section(study: SupernetStudy) -> Html | None:
    """Returns the final cells against the exact distribution of random search; None where nothing is known of it."""
    main = judged_column(study)
    if main < 0:
        return None
    rows: list[list[Any]] = []
    for k, result in enumerate(study.methods):
        found, best = against_random(main, result), best_rank(result)
        if found and best is not None:
            rows.append([named(mark(k), result.name), *map(_against_cell, found), *_best_cells(best)])
            head = ["method", *(f"best of {each.draws:,}" if each.draws > 1 else "one cell" for each in found)]
            random = ["random search", *(_random_cell(each) for each in found), "–", "–"]
    if not rows:
        return None
    metric = metric_of(study.config)
    text = (
        f"Each run's final cell by {study.targets[main].label}, against so many cells drawn uniformly with "
        f"replacement, the best of which is chosen by validation {metric.name}: not a few draws, but their exact "
        "distribution over all cells of the table. The share of random searches that are worse than a run (equal "
        "ones counted half, 0.5 is no difference) with its 95 % bootstrap interval over runs, the mean difference in "
        f"points{'' if metric.higher_is_better else ' (below zero is better)'}, and a two-sided p-value (Edgington's "
        f"sum of the runs' tail probabilities, exact where no two cells "
        "are equal and careful elsewhere). Of random search: mean, and the middle 90 %. Then the best rank r that n "
        "runs reached among N cells, and the probability to surpass random search of the evaluation of search phases "
        "(Yu et al., 2020), p = (1 − r/N)ⁿ: that n random cells are all worse. It counts the luckiest run alone, the "
        "columns before it all of them."
    )
    table = html_table([*head, "best rank", "surpasses"], [*rows, random], class_="numbers")
    parts = [_reachable_note(study, result) for result in study.methods]
    chosen = chosen_on_test(study)
    return section("Against random search", element("p", text), table, parts, chosen, id="random")


def _against_cell(found: AgainstRandom) -> Html:
    test = found.comparison
    share = f"{test.superiority:.3f}"
    interval = "" if np.isnan(test.superiority_low) else f" [{test.superiority_low:.3f}, {test.superiority_high:.3f}]"
    below = f"{test.difference:+.2f} points, p {p_text(test.p_value)}"
    return element("div", share + interval, element("small", below))


def _random_cell(found: AgainstRandom) -> Html:
    ends = f"[{found.quantiles[0]:.2f}, {found.quantiles[-1]:.2f}]"
    return element("div", f"{found.expected:.2f}", element("small", ends))


def _best_cells(best: BestRank) -> list[Any]:
    runs = f"{best.runs} run{'' if best.runs == 1 else 's'}"
    return [element("div", f"{best.rank:,} of {best.num_archs:,}", element("small", runs)), f"{best.surpasses:.2f}"]


def _reachable_note(study: SupernetStudy, result: MethodResult) -> Html | None:
    """Returns what a method's encoding can express at all, where that is a part."""
    if result.against is None or not has_reachable(result):
        return None
    return reachable_note(result.name, result.against.reachable.tolist(), "its weights say")


def ranking_section(study: SupernetStudy) -> Html | None:
    """Returns how the methods rank their candidates at the looks, and small subsets and the predicted best."""
    metric = metric_of(study.config)
    rows = [
        (k, r.name, each) for k, r in enumerate(study.methods) for each in look_rankings(r, last=True, metric=metric)
    ]
    rows += [(k, r.name, each) for k, r in enumerate(study.methods) for each in one_shot_rankings(study, r)]
    if not rows:
        return None
    text = (
        "A pool of cells in the order that the shared weights give them, against the table's by "
        f"{study.targets[judged_column(study)].label}; means over seeds with standard deviations, of Kendall's tau "
        "with 95 % intervals. Candidates are what a search itself compared at its last look"
        f"{'' if 'text' in study.config else ', each on images of its own where it was published so'}; `pool` are "
        f"cells of the table that all searches rank at each look; the others are "
        "those of the one-shot analysis. "
        "Subsets: the least, mean and largest Kendall's tau of five random ones of so many cells: how far a figure of "
        "few cells can be trusted. Percentiles of the predicted best: the least, median and largest share of the pool "
        "that is not truly better (1 is the best of the pool). Each look and seed is in ranking.csv."
    )
    published = find_benchmark(study.config["space"]).kendall
    if published is not None:
        text += f" Published of the evaluation of search phases: a mean of {published[0]} over {published[1]}."
    subsets = [(f"{size} cells", f"kendall_of_{size}_{{}}", "mean") for size in SUBSETS]
    best = [(f"best {k}", f"best_{k}_percentile_{{}}", "median") for k in BEST]
    tables = [
        details("Correlations over the pool, and its truly best tenth", _correlations(study, rows), open=True),
        _triples("Kendall's tau of small subsets", rows, subsets),
        _triples("Percentiles of the predicted best", rows, best),
    ]
    return section("The ranking of the pool", element("p", text), tables, _curves(study), id="ranking")


def _name(k: int, name: str, ranking: Ranking) -> Html:
    return element("div", named(mark(k), name), element("small", f"{ranking.pool}, {int(ranking.cells.max()):,} cells"))


def _correlation(ranking: Ranking, name: str) -> Html:
    """Returns a mean over seeds with its deviation, and of Kendall's tau its interval."""
    over = [float(field[0]) for field in statistics_over_seeds(ranking.measures[name][:, -1:])]
    low, high = (over[2], over[3]) if name == "kendall" else (np.nan, np.nan)
    return mean_cell(over[0], low, high, std=over[1])


def _correlations(study: SupernetStudy, rows: list[tuple[int, str, Ranking]]) -> Html:
    body: list[list[Any]] = []
    for k, name, ranking in rows:
        means = [_correlation(ranking, name) for name in CORRELATIONS]
        tenth = mean_words(*finite_moments(ranking.measures["best_tenth_kendall"]), ".3f")
        body.append([_name(k, name, ranking), *means, tenth])
    for name, cell in yardstick_cells(study.yardsticks):
        body.append([name, "–", cell, *["–"] * (len(CORRELATIONS) - 1)])
    head = ["method and pool", *(_TITLES[m] for m in CORRELATIONS), "Kendall, best tenth"]
    words = element("p", yardstick_words()) if study.yardsticks else None
    return element("div", html_table(head, body, class_="numbers"), words)


def _triples(title: str, rows: list[tuple[int, str, Ranking]], columns: list[tuple[str, str, str]]) -> Html | None:
    """Returns a table of a middle over the least and the largest, each a mean over seeds; None where all is unknown."""
    body: list[list[Any]] = []
    known = False
    for k, name, ranking in rows:
        cells: list[Any] = [_name(k, name, ranking)]
        for _, form, middle in columns:
            low, mid, high = (finite_moments(ranking.measures[form.format(p)])[0] for p in ("min", middle, "max"))
            known |= not np.isnan(mid)
            ends = None if np.isnan(low) else element("small", f"{low:.3f} to {high:.3f}")
            cells.append(element("div", mean_words(mid, form=".3f"), ends))
        body.append(cells)
    head = ["method and pool", *(column for column, _, _ in columns)]
    return details(title, html_table(head, body, class_="numbers")) if known else None


def _curves(study: SupernetStudy) -> Html | None:
    found = [(k, r, look_kendall(r)) for k, r in enumerate(study.methods) if len(r.record.looked) > 1]
    boxes = []
    for pool in (CANDIDATES, POOL):
        lines = [EpochCurves(r.name, mark(k), r.record.looked, taus[pool]) for k, r, taus in found if pool in taus]
        if any(np.isfinite(line.values).any() for line in lines):
            title = f"Kendall's tau of the shared weights' ranking of the {pool} with the table against epochs"
            boxes.append((f"Kendall's tau: {pool}", epoch_panel(lines, label="Kendall's tau", title=title)))
    caption = (
        "Of the candidates of each look, and of the pool that is the same at all looks where one was asked for "
        "(`--pool`), with the table; thick lines are means over seeds, thin ones single seeds."
    )
    return panels(boxes, caption) if boxes else None
