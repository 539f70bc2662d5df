"""The section of a study's report on who differs from whom: ranks, tests of pairs, the chance to beat random search."""

import math
from collections.abc import Sequence
from typing import Any

from jnas.pages._html import Html, details, element, join, section, table
from jnas.pages._parts import named, note_box, p_text, panels
from jnas.pages._plots import paper_size, shorten
from jnas.statistics._average_ranks import RankComparison
from jnas.statistics._comparison import PairwiseTests, mann_whitney_test
from jnas.statistics._power import runs_needed
from jnas.studies.search._parts import entry_looks
from jnas.studies.search._plots import critical_difference_picture
from jnas.studies.search._summary import (
    Comparison,
    Finals,
    disagreements,
    main_target,
    pairwise,
    ranks,
    samples,
    shown_targets,
    superiority_interval,
)


def differences_section(comparison: Comparison, numbers: Finals, suffix: str) -> Html:
    """Returns ranks, tests of all pairs, and the chance to beat random search."""
    compared = {t: (pairwise(comparison, t), ranks(comparison, t)) for t in shown_targets(comparison)}
    pictures = [
        (comparison.targets[t].label, _ranking(comparison, t, ranking))
        for t, (_, ranking) in compared.items()
        if ranking is not None
    ]
    main, metric = main_target(comparison), comparison.metric
    below = "" if metric.higher_is_better else " (below 0 where the row is better)"
    tests = [(t, tested) for t, (tested, _) in compared.items() if tested is not None]
    if not tests:
        text = "Ranks and tests need at least two searchers with at least two runs each."
        return section("Who differs", element("p", text, class_="note"), id=f"differences{suffix}")
    runs = sorted({int(n) for n in numbers.runs})
    blocks = f"the first {runs[0]:,} runs of each searcher, since their numbers differ" if len(runs) > 1 else "all runs"
    content = [
        element(
            "p",
            "A bar joins searchers whose average ranks differ by less than Nemenyi's critical difference (5 %, "
            "Demšar 2006): these runs cannot tell them apart. Ranks are taken within each run number, over "
            f"{blocks}; runs of different searchers are independent, only their number pairs them.",
        ),
        panels(pictures, "Average ranks over runs, the best at the right.", class_="panels wide"),
        element("h3", "Every pair"),
        element(
            "p",
            f"Difference of mean {metric.plural} in {metric.points}, row minus column{below}, and p of a two-sided "
            "Mann-Whitney test with Holm's correction for the number of pairs. Bold where p < 0.05. With many runs a "
            "difference too small to matter can be significant: read the difference first. Last stands how many runs "
            "of each would find a difference such as this one four times in five (Noether, 1987).",
        ),
        _disagreements(comparison, [t for t, _ in tests]),
        [
            details(comparison.targets[t].label, _pair_table(comparison, numbers, t, tested), open=t == main)
            for t, tested in tests
        ],
        _against_random(comparison, [t for t, _ in tests]),
    ]
    return section("Who differs", content, id=f"differences{suffix}")


def _disagreements(comparison: Comparison, targets: Sequence[int]) -> Html | None:
    """Returns where means and ranks name opposite winners, both significantly."""
    told = []
    for t in targets:
        for pair in disagreements(comparison, t):
            told.append(
                f"On {comparison.targets[t].label}, {pair.by_mean} has the better mean (Welch's test, p\u00a0"
                f"{p_text(pair.welch)}) and {pair.by_rank} the better ranks (Mann-Whitney, p\u00a0"
                f"{p_text(pair.mann_whitney)}): most runs of {pair.by_rank} end ahead, and a few end far behind. Say "
                "which of the two is meant; the share of runs at the optimum stands in the first table."
            )
    return note_box(told, "Means and ranks disagree")


def _ranking(comparison: Comparison, target: int, ranking: RankComparison) -> Html:
    """Returns the critical-difference picture of one target, with Friedman's test below it."""
    label = comparison.targets[target].label
    places = {entry.label: k for k, entry in enumerate(comparison.entries)}
    styles = [places[name] for name in ranking.names]
    looks = [entry_looks(comparison)[place] for place in styles]
    title = f"Critical differences on {label}"
    picture = element("div", critical_difference_picture(ranking, looks, title=title), class_="on-wide")
    if paper_size() is None:
        narrow = critical_difference_picture(ranking, looks, title=f"{title}, for a small screen", narrow=True)
        picture = join([picture, element("div", narrow, class_="on-narrow")])
    if ranking.test is None:
        return picture
    text = f"Friedman's test that all rank alike: p\u00a0{p_text(ranking.test.p_value)}"
    return join([picture, element("p", text, class_="caption")])


def _pair_table(comparison: Comparison, numbers: Finals, target: int, tests: PairwiseTests) -> Html:
    found = dict(zip(tests.pairs, tests.p_holm, strict=True))
    labels, looks = [entry.label for entry in comparison.entries], entry_looks(comparison)
    rows = []
    for i, row in enumerate(labels):
        cells: list[Any] = [named(looks[i], row)]
        for j, column in enumerate(labels):
            if i == j:
                cells.append("")
                continue
            p = float(found[row, column] if (row, column) in found else found[column, row])
            difference = float(numbers.mean[i, target] - numbers.mean[j, target])
            text = _signed(difference)
            shown = element("strong", text) if p < 0.05 else text
            values = samples(comparison, target)
            needed = runs_needed(mann_whitney_test(values[row], values[column]).superiority)
            more = f"{needed:,.0f}\u00a0runs" if math.isfinite(needed) else None
            cells.append(join([shown, element("small", f"p\u00a0{p_text(p)}"), more and element("small", more)]))
        rows.append(cells)
    head = ["row − column", *(named(looks[j], shorten(label, 28)) for j, label in enumerate(labels))]
    return table(head, rows, class_="pairs")


def _signed(difference: float) -> str:
    if math.isnan(difference):
        return "–"
    text = f"{difference:+.2f}".replace("-", "−")
    return text if any(digit in text for digit in "123456789") else "0.00"


def _against_random(comparison: Comparison, targets: Sequence[int]) -> Html | None:
    """Returns the probability that a run of each searcher beats one of random search, with its interval."""
    randoms = {e.study: e for e in reversed(comparison.entries) if e.result.name.startswith("random")}
    if not randoms:
        return None
    first, looks = randoms[min(randoms)], entry_looks(comparison)
    rows = []
    for k, entry in enumerate(comparison.entries):
        rival = randoms.get(entry.study, first)
        if entry.label == rival.label:
            continue
        cells: list[Any] = [named(looks[k], entry.label)]
        for t in targets:
            values = samples(comparison, t)
            a, b = values[entry.label], values[rival.label]
            share = mann_whitney_test(a, b).superiority
            low, high = superiority_interval(share, len(a), len(b))
            cells.append(join([f"{share:.3f}", element("small", f"[{low:.3f}, {high:.3f}]"), _bar(share, low, high)]))
        rows.append(cells)
    if not rows:
        return None
    text = (
        "How probable it is that one run of the searcher ends better than one run of random search, over all pairs of "
        "runs, ties counted half, with its 95 % confidence interval (Newcombe 2006). 0.5 is no difference."
    )
    head = ["searcher", *(comparison.targets[t].label for t in targets)]
    return join(
        [element("h3", "Chance to beat random search"), element("p", text), table(head, rows, class_="plain chances")]
    )


def _bar(share: float, low: float, high: float) -> Html:
    """Returns a small picture of a probability and its interval on a scale from 0 to 1."""
    x = [f"{100 * v:.1f}" for v in (low, high, share)]
    return Html(
        '<svg class="chance" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="scale" d="M0 4H100M50 0V8"/>'
        f'<path class="interval" d="M{x[0]} 4H{x[1]}"/><path class="value" d="M{x[2]} 0.5V7.5"/></svg>'
    )
