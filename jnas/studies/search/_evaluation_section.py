"""The section that says where methods stand among all cells of a table, with and without shared weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jnas.io._text import counted, listed
from jnas.pages._html import Html, details, element, section
from jnas.pages._html import table as html_table
from jnas.pages._parts import mean_cell, mean_words, named
from jnas.spaces._registry import SPACES
from jnas.statistics._rank_correlation import probability_to_surpass_random
from jnas.studies._compared import known_space
from jnas.studies._over_seeds import few_words, statistics_over_seeds
from jnas.studies.search._parts import entry_looks
from jnas.studies.search._published import (
    MEAN_KENDALL,
    NUM_ARCHS,
    NUM_EPOCHS,
    NUM_RUNS,
    SHARED,
    UNSHARED,
    PublishedSearch,
)
from jnas.studies.search._results import StudyResults
from jnas.studies.search._summary import ComparedSearcher, Comparison, main_target
from jnas.tables._metric import ACCURACY, TableMetric
from jnas.tables._reachable import Reachable

_PERCENTILE = 10  # of the predicted best so many
_GRADIENT = {"darts-v1", "darts-v2", "pc-darts", "fbnet"}


def evaluation_section(comparison: Comparison, suffix: str) -> Html | None:
    """Returns each method's mean, best and best rank, how its shared weights rank, and published figures beside.

    None where no study has kept ranks.
    """
    entries = [(k, entry) for k, entry in enumerate(comparison.entries) if entry.result.ranks is not None]
    if not entries:
        return None
    target = main_target(comparison)
    published = _is_of_the_paper(comparison) and any(
        any(_published(comparison.studies[entry.study], entry.result.name)) for _, entry in entries
    )
    rows = [_row(comparison, k, entry, target, published) for k, entry in entries]
    rows += [_yardstick_row(stick, len(rows[0])) for study in comparison.studies for stick in study.yardsticks]
    head = ["method", "weights", "mean", "best", "best rank", "surpasses random", "Kendall"]
    head.append(f"percentile, best {_PERCENTILE}")
    kept = [i for i in range(len(head)) if any(row[i] != "–" for row in rows)]  # columns in which something stands
    head, rows = [head[i] for i in kept], [[row[i] for i in kept] for row in rows]
    parts: list[Any] = [element("p", _words(comparison, target)), html_table(head, rows, class_="numbers")]
    parts += [_reachable_notes(comparison), _differences(comparison) if published else None]
    return section("Against all cells", parts, id=f"evaluation{suffix}")


def _is_of_the_paper(comparison: Comparison) -> bool:
    """Returns whether the space of compared studies is that of the published figures, whose samplers are released."""
    space = known_space(comparison.studies[0].space)
    return space is not None and space.name in SPACES.rows and SPACES.rows[space.name].released is not None


def _words(comparison: Comparison, target: int) -> str:
    runs = min(entry.result.final.shape[1] for entry in comparison.entries)
    studies = [comparison.studies[entry.study] for entry in comparison.entries]
    alone = (
        "A searcher without shared weights asks the table itself, for many cells in each run: what it should be held "
        "against is random search with as many. "
    )
    ranking = (
        "Kendall's tau is of the order that shared weights give to cells with the table's, mean ± deviation over "
        "searches; small print says of which cells; sizes of networks and a second training, the ceiling, stand below. "
        "The last is the share of that pool that is not truly better than the median one of the "
        f"{_PERCENTILE} that the weights call the best (0.5 by chance)."
    )
    told = ("" if all(map(_is_shared, studies)) else alone) + (ranking if any(map(_is_shared, studies)) else "")
    return (
        f"What each run ended with, by {comparison.targets[target].label}: mean ± standard deviation over runs with "
        "its 95 % interval, the best run, and that run's rank among all cells that the table knows (1 the best). The "
        "probability to surpass random search is that of the evaluation of search phases (Yu et al., 2020), "
        "p = (1 − r/N)ⁿ for the best rank r of n runs among N cells: that n random cells are all worse than the best "
        "run. It counts the luckiest run alone, so that it grows with no merit of the others, and methods with "
        f"different numbers of runs cannot be compared by it. {told}".rstrip()
        + few_words(runs, "run")
    )


def _is_shared(study: StudyResults) -> bool:
    return study.config.get("counts") == "epochs"


def _row(comparison: Comparison, k: int, entry: ComparedSearcher, target: int, published: bool) -> list[Any]:
    result, study = entry.result, comparison.studies[entry.study]
    assert result.ranks is not None
    assert result.num_archs is not None
    final, ranks = np.asarray(result.final[target], np.float64), result.ranks[target]
    over = [field[0] for field in statistics_over_seeds(final[:, None])]
    known, size = ranks[ranks > 0], int(result.num_archs[target])
    rank, surpasses = "–", "–"
    if known.size:
        best = int(known.min())
        rank = f"{best:,} of {size:,}"
        surpasses = f"{float(probability_to_surpass_random(best, size, known.size)):.2f}"
    row: list[Any] = [
        element("div", named(entry_looks(comparison)[k], entry.label), element("small", counted(len(final), "run"))),
        "shared" if _is_shared(study) else "none",
        mean_cell(over[0], over[2], over[3], std=over[1], forms=(".2f", ".2f")),
        comparison.metric.text(float(comparison.metric.best(final))),
        rank,
        surpasses,
        *_ranking_cells(study, result.name),
    ]
    if not published:
        return row
    # Beside our own, so that the table stays as narrow as a page.
    told = [None, None, *_published_words(_published(study, result.name)), None]
    return [_with_published(cell, words) for cell, words in zip(row, told, strict=True)]


def _with_published(cell: Any, words: str | None) -> Any:
    return cell if words is None else element("div", cell, element("small", f"published {words}"))


def _yardstick_row(stick: Any, width: int) -> list[Any]:
    """Returns the row of what ranks cells without shared weights."""
    name = element("div", stick.name, element("small", f"{stick.cells:,} cells"))
    return [name, *["–"] * 5, mean_cell(stick.kendall, stick.low, stick.high), *["–"] * (width - 7)]


def _ranking_cells(study: StudyResults, name: str) -> list[Any]:
    ranking = study.rankings.get(name)
    if ranking is None:
        return ["–", "–"]
    mean, std, low, high, _ = (float(field[0]) for field in statistics_over_seeds(ranking.kendall[:, None]))
    percentile = statistics_over_seeds(ranking.percentiles[_PERCENTILE][:, None])
    tau = mean_cell(mean, low, high, element("small", ranking.pool), std=std)
    return [tau, mean_words(float(percentile.mean[0]), float(percentile.std[0]))]


def _published(study: StudyResults, name: str) -> PublishedSearch:
    return (SHARED if _is_shared(study) else UNSHARED).get(_kind(name), PublishedSearch())


def _kind(name: str) -> str:
    """Returns the name of a method without its settings."""
    return name.partition("@")[0].partition(":")[0]


def _published_words(figures: PublishedSearch) -> list[str | None]:
    def cell(name: str, form: str, more: str = "") -> str | None:
        value = getattr(figures, name)
        if value is None:
            return None
        return f"{value:{form}}{more}{'†' if name in figures.unverified else ''}"

    spread = "" if figures.std is None else f" ± {figures.std:.2f}"
    cells = [("mean", ".2f", spread), ("best", ".2f"), ("rank", ","), ("surpasses", ".2f"), ("kendall", ".2f")]
    return [cell(*each) for each in cells]


# What a method can reach at all.


def reachable_note(name: str, fields: Sequence[float], whatever: str, metric: TableMetric = ACCURACY) -> Html:
    """Returns what a method's encoding can express at all.

    Args:
      name: Of the method.
      fields: Of `Reachable`.
      whatever: What decides among these, for the sentence that says that it cannot help: `its weights say`.
      metric: What its values are.
    """
    part = Reachable(*fields)  # type: ignore[arg-type]
    text = (
        f"The released encoding of {name} expresses {part.num_reachable:,.0f} of the {part.num_archs:,.0f} "
        f"cells: at best {metric.text(part.best)} (rank {part.rank:,.0f}), {metric.text(part.mean)} on average, where "
        f"all cells have {metric.text(part.whole_best)} and {metric.text(part.whole_mean)}. Whatever {whatever}, the "
        "search chooses among these; random search draws from all."
    )
    return element("p", text, class_="note")


def _reachable_notes(comparison: Comparison) -> list[Html]:
    found = [(e.label, comparison.studies[e.study].reachable.get(e.result.name)) for e in comparison.entries]
    return [
        reachable_note(label, fields, "it learns", comparison.metric) for label, fields in found if fields is not None
    ]


# What differs from the paper.


def _differences(comparison: Comparison) -> Html:
    """Returns a sentence on each thing that is not as it was published, of the methods that are there."""
    there = [(entry.result.name, comparison.studies[entry.study]) for entry in comparison.entries]
    figures = [_published(study, name) for name, study in there]
    kinds, shared = {_kind(name) for name, _ in there}, any(_is_shared(study) for _, study in there)
    few = [e.label for e in comparison.entries if e.result.name in comparison.studies[e.study].reachable]
    released = f"; here {listed(few)} {'does' if len(few) == 1 else 'do'} so" if few else ""
    target = comparison.targets[main_target(comparison)]
    looked = any(s.config.get("split") == target.split and not _is_shared(s) for _, s in there)
    chosen = (
        f"searches on a table looked at the {target.split} accuracy that judges them"
        if looked
        else "the validation images choose, and the test images only judge"
    )
    items = [
        "Published on CIFAR-10 (32x32) over the whole table: ranks among 423,624 cells by the mean test accuracy of "
        f"three trainings of {NUM_EPOCHS} epochs, {NUM_RUNS} runs of each method, means of what the found cells are "
        "worth.",
        *(sentence for place in range(len(comparison.studies)) for sentence in _study_differences(comparison, place)),
        "The released selection re-ranked its pool by accuracies on the test images, which flatters what was "
        f"published; here {chosen}.",
    ]
    if kinds & {"enas", "enas_controller", "nao", *_GRADIENT}:
        items.append(
            "The released ENAS and NAO, of which the published figures are, express cells whose vertices have one "
            "predecessor each, DARTS and FBNet one or none with every vertex wired to the output: at most 0.8 % of the "
            f"423,624 cells, none of them among the best 1,564{released}."
        )
    if kinds & _GRADIENT:
        items.append(
            "Published DARTS is always second order (`darts-v2`); its and FBNet's topology weights were shifted by one "
            "vertex in the released code, which is not made again here."
        )
    if shared:
        items.append(
            f"Published as one number for all methods with shared weights: Kendall's tau {MEAN_KENDALL} with trainings "
            "from scratch, the mean over ten searches."
        )
    if any(each.unverified for each in figures):
        items.append(
            "† told from memory of the paper, not checked against a second source; ranks agree with the probabilities."
        )
    return details(
        "What differs from the published figures", element("ul", [element("li", i) for i in items]), open=True
    )


def _study_differences(comparison: Comparison, place: int) -> list[str]:
    """Returns what a study did otherwise."""
    study = comparison.studies[place]
    config, name = study.config, comparison.names[place]
    who = f"Study {name}" if name else "Here"
    sizes = {int(s.num_archs[main_target(comparison)]) for s in study.searchers if s.num_archs is not None}
    target = comparison.targets[main_target(comparison)]
    told = [f"accuracies are on {target.dataset}"] if target.dataset != "cifar10" else []
    told += [f"after {counted(target.epochs, 'epoch')} of training"] if target.epochs != NUM_EPOCHS else []
    told += [f"ranks are among {max(sizes):,} cells"] if sizes and max(sizes) != NUM_ARCHS else []
    runs = sorted({s.final.shape[1] for s in study.searchers})
    if runs != [NUM_RUNS]:
        told.append(f"there are {listed([str(count) for count in runs])} runs of each method")
    told += _training_differences(config) if _is_shared(study) else []
    return [f"{who}: {'; '.join(told)}."] if told else []


def _training_differences(config: Mapping[str, Any]) -> list[str]:
    """Returns how supernets were trained that were published with 200 epochs, batches of 256, 9 modules."""
    height, width, _ = config["image_shape"]
    told = [f"{config['dataset']}, {config['train_images']:,} training images of {height}x{width}, not 25,000 of 32x32"]
    epochs, batches = (sorted(set(config[name].values())) for name in ("trained_epochs", "batch_size"))
    if epochs != [200]:
        told.append(f"supernets trained for {listed([str(e) for e in epochs])} epochs, not 200")
    if batches != [256]:
        told.append(f"in batches of {listed([str(b) for b in batches])}, not 256 (ENAS 160, DARTS 64)")
    if "channels" in config:
        modules = counted(int(config["cells"]), "module")
        told.append(f"with {config['channels']} channels and {modules} in each of three stacks, not 128 and 3")
    return told
