"""What a paper prints of a study of searchers in a sentence or two: what was searched, how often, with which result."""

import math
from typing import Any

import numpy as np

from jnas.core._version import __version__
from jnas.io._text import counted, listed
from jnas.pages._parts import p_text
from jnas.studies._compared import known_space
from jnas.studies.search._front_numbers import front_finals, front_progress
from jnas.studies.search._objectives import bounds_told
from jnas.studies.search._results import StudyResults
from jnas.studies.search._summary import Comparison, compare, finals, main_target, pairwise
from jnas.tables._metric import metric_of

_MOST = 4  # searchers whose numbers a sentence bears; of more it names the best and the worst


def paper_sentence(results: StudyResults) -> str:
    """Returns what was searched, seeds, budget, means with intervals, and the test between the best two.

    It is empty where nothing has finished, or no column judges.
    """
    comparison = compare([results])[0]
    if not comparison.entries or not comparison.targets:
        return ""
    told = [_asked(results), _found(comparison, alone=results.front is not None), *_fronts(results)]
    return f"{' '.join(told)} (jnas {__version__}.)"


def _asked(results: StudyResults) -> str:
    config, names = results.config, [s.name for s in results.searchers]
    runs = sorted({int(s.final.shape[1]) for s in results.searchers})
    each = counted(runs[0], "independent run") if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,} independent runs"
    space = known_space(results.space)
    where = config.get("table_name") or (f"the space {space.name}" if space is not None else "the search space")
    goal = _goal(config)
    limits = []
    if config.get("budget_seconds") is not None:
        limits.append(f"{float(config['budget_seconds']):,.0f} {config.get('clock', 'simulated')} seconds")
    if config.get("max_evaluations") is not None:
        limits.append(f"at most {counted(int(config['max_evaluations']), 'evaluation')}")
    limit = f", of {' and '.join(limits)} each" if limits else ""
    seed = f" (root seed {config['root_seed']})" if "root_seed" in config else ""
    workers = config.get("workers", 1)
    beside = f", {workers} evaluations side by side" if workers > 1 else ""
    return f"We ran {listed(names)} on {where}, searching {goal}, in {each}{seed} of each{limit}{beside}."


def _goal(config: Any) -> str:
    others, bounds = (config.get("objectives") or ())[1:], bounds_told(config)
    front = f", together with {listed(others)} (architectures that nothing dominates)" if others else ""
    kept = f", with {listed(bounds)}" if bounds else ""
    return f"{_first_goal(config)}{front}{kept}"


def _first_goal(config: Any) -> str:
    if config.get("objective") is not None:
        return f"the training-free score {str(config['objective']).removeprefix('proxy:')}"
    told = [str(config[name]) for name in ("dataset", "split") if name in config]
    epochs = config.get("epochs")
    several = list(map(str, epochs)) if isinstance(epochs, list | tuple) else [str(epochs)] if epochs else []
    after = f" after {listed(several)} epoch{'' if several == ['1'] else 's'}" if several else ""
    whole = f" of a training of {config['of_epochs']}" if config.get("of_epochs") else ""
    seen = {"mean": " (means over training seeds)", "random": " (of one training drawn at random each time)"}
    if "training_seed" in config:  # evaluations are trainings
        last = config.get("last_epochs", 1)
        mean = f", the mean of its last {last} epochs" if last > 1 else ""
        goal = f"{' '.join([*told, metric_of(config).name])}{after}"
        return f"for the best {goal} of training (seed {config['training_seed']}{mean})"
    reward = config.get("reward")
    noise = "" if reward is None else seen.get(str(reward), f" (of training seed {reward})")
    return f"for the best {' '.join([*told, metric_of(config).name])}{after}{whole}{noise}"


def _fronts(results: StudyResults) -> list[str]:
    """Returns how far runs are from the front by several objectives; nothing where there is no hypervolume."""
    front = results.front
    if front is None:
        return []
    ends = [(s.name, front_finals(s, front_progress(s, front), front)[-1]) for s in results.searchers]
    known = sorted((pair for pair in ends if not math.isnan(pair[1].mean)), key=lambda pair: pair[1].mean)
    if not known:
        return []
    shown = known if len(known) <= _MOST else [known[0], known[-1]]
    told = [f"{name} {100 * end.mean:.2f} %{_shares(end.low, end.high)}" for name, end in shown]
    interval = "" if all(math.isnan(end.low) for _, end in shown) else " [95 % bootstrap interval]"
    return [
        f"By {listed(list(front.names))} together, the share of the hypervolume of {front.named} that is missing after "
        f"the last evaluation, mean over runs{interval}: {listed(told, '; ')}."
    ]


def _shares(low: float, high: float) -> str:
    return "" if math.isnan(low) else f" [{100 * low:.2f}, {100 * high:.2f}]"


def _found(comparison: Comparison, *, alone: bool) -> str:
    target, metric, numbers = main_target(comparison), comparison.metric, finals(comparison)
    known = [k for k in range(len(comparison.entries)) if np.isfinite(numbers.mean[k, target])]
    if not known:
        return "No run found an architecture that is known there."
    order = sorted(known, key=lambda k: -metric.sign * numbers.mean[k, target])
    shown = order if len(order) <= _MOST else [order[0], order[-1]]
    told = [f"{comparison.entries[k].label} {_reached(numbers, k, target, metric.mark)}" for k in shown]
    judged = f"{comparison.targets[target].label}{' alone' if alone else ''}"
    text = (
        f"By {judged}, mean ± standard deviation over runs [95 % BCa bootstrap interval of the mean]: "
        f"{listed(told, '; ')}."
    )
    tests = pairwise(comparison, target)
    if tests is None or len(order) < 2:
        return text
    pair = (comparison.entries[order[0]].label, comparison.entries[order[1]].label)
    place = tests.pairs.index(pair) if pair in tests.pairs else tests.pairs.index(pair[::-1])
    p, count = float(tests.p_holm[place]), len(tests.pairs)
    corrected = f", Holm's correction for {count} pairs" if count > 1 else ""
    verb = "differ" if p < 0.05 else "cannot be told apart"
    return (
        f"{text} {pair[0]} and {pair[1]} {verb} (two-sided Mann-Whitney test{corrected}: p\u00a0{p_text(p)}, "
        f"n\u00a0=\u00a0{int(numbers.runs[order[0]])} and {int(numbers.runs[order[1]])})."
    )


def _reached(numbers: Any, k: int, target: int, mark: str) -> str:
    mean, std, low, high = (float(x[k, target]) for x in (numbers.mean, numbers.std, numbers.low, numbers.high))
    deviation = "" if math.isnan(std) else f" ± {std:.2f}"
    interval = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{mean:.2f}{deviation}{mark}{interval}"
