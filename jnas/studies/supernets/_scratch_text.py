"""What was trained from scratch as files of numbers, and as lines of a terminal."""

from typing import Any

import numpy as np

from jnas import spaces
from jnas.io._text import aligned, csv_text, number_cell
from jnas.studies._over_seeds import OverSeeds, mean_text
from jnas.studies.supernets._results import SupernetStudy
from jnas.studies.supernets._scratch_summary import (
    against_drawn,
    best_drawn,
    drawn_cells,
    scratch_agreement,
    scratch_yardsticks,
)
from jnas.studies.supernets._summary import finite_moments
from jnas.tables._metric import metric_of

_SPREAD = ("mean", "std", "ci_low", "ci_high")


def from_scratch_csv(study: SupernetStudy) -> str | None:
    """Returns a row for each method, and one for the random cells; None where nothing was trained from scratch.

    `superiority` is the probability that a run's cell is better than a random one, equal ones counted half, with its
    95 % interval; `p_value` of a two-sided Mann-Whitney test; `random_best` what the best of as many random cells as
    there are runs is worth on average. Kendall's tau is of the random cells, over the searches.
    """
    if (scratch := study.scratch) is None:
        return None
    metric = metric_of(study.config)
    tests, rows = {test.name: test for test in against_drawn(scratch, metric)}, []
    for found in scratch_agreement(scratch, metric):
        taus = [cell for each in found[1:4] for cell in _spread(each)]
        if (test := tests.get(found.name)) is None:
            rows.append([found.name, 0, *[""] * 10, *taus])
            continue
        numbers = (test.best, test.random_best, test.test.superiority, test.low, test.high, test.test.p_value)
        rows.append([found.name, int(test.own.found), *_spread(test.own), *map(_number, numbers), *taus])
    drawn = drawn_cells(scratch)
    rows.append(["random cells", int(drawn.found), *_spread(drawn), _number(best_drawn(scratch, metric)), *[""] * 17])
    taus = [f"{kind}_{part}" for kind in ("kendall", "kendall_probability", "kendall_everything") for part in _SPREAD]
    tested = ("best", "random_best", "superiority", "superiority_low", "superiority_high", "p_value")
    return csv_text(("method", "runs", *_SPREAD, *tested, *taus), rows)


def scratch_cells_csv(study: SupernetStudy) -> str | None:
    """Returns a row for each cell that was trained: who found it, its sizes, its accuracies, and those by each method.

    `shared NAME` is the mean over searches of its accuracy (or another metric) under their weights, those left out that
    diverged. None where nothing was trained.
    """
    if (scratch := study.scratch) is None:
        return None
    space, count = spaces.from_config(study.space), scratch.accuracies.shape[2]
    seeds = [f"{split} seed {seed}" for split in scratch.splits for seed in range(count)]
    head = ["arch", "found_by", "drawn", "parameters", "flops", *seeds, *(f"shared {n}" for n in scratch.methods)]
    rows = []
    for place, arch in enumerate(scratch.archs.astype(np.int32)):
        who = [f"{scratch.methods[k]} {s}" for k, s in np.argwhere(scratch.found == place)]
        accuracies = scratch.accuracies[:, place].reshape(-1)
        known = (finite_moments(each)[0] for each in scratch.shared[:, :, place].astype(np.float64))
        numbers = map(_number, (*scratch.costs[:, place], *accuracies, *known))
        rows.append([space.to_string(arch), "; ".join(who), int((scratch.random == place).sum()), *numbers])
    return csv_text(head, rows)


def scratch_lines(study: SupernetStudy) -> list[str]:
    """Returns what was trained from scratch as lines; empty where nothing was."""
    if (scratch := study.scratch) is None:
        return []
    metric = metric_of(study.config)
    taus = {each.name: each.accuracy for each in scratch_agreement(scratch, metric)}
    judge = f"Trained from scratch, {study.config['dataset']} {scratch.splits[scratch.judged]}"
    judge += "" if metric.is_percent else f" {metric.words}"
    rows = [[judge, "mean", "best", "better than random (p)", "Kendall"]]
    for test in against_drawn(scratch, metric):
        better = f"{test.test.superiority:.3f} ({test.test.p_value:.2g})"
        tau = mean_text(taus[test.name].mean, taus[test.name].std, digits=3)
        rows.append([f"  {test.name}", mean_text(test.own.mean, test.own.std), f"{test.best:.2f}", better, tau])
    drawn = drawn_cells(scratch)
    own = [mean_text(drawn.mean, drawn.std), mean_text(best_drawn(scratch, metric)), "", ""]
    rows.append([f"  {len(scratch.random):,} random cells", *own])
    rows += [[f"  {s.name}", "", "", "", mean_text(s.kendall, digits=3)] for s in scratch_yardsticks(scratch, metric)]
    return aligned(rows, "lrrrr")


def _spread(over: OverSeeds) -> list[Any]:
    return [_number(value) for value in over[:4]]


def _number(value: Any) -> str:
    return number_cell(value, ".6g")
