"""How long a study will take, before it starts: what each searcher cost on one machine, and how fast this one is."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from jnas.studies._engine import REPORT_SECONDS, Estimate, estimate_text


class SearchCost(NamedTuple):
    """What one searcher costs on one core of the machine on which these numbers were taken."""

    trace: float  # seconds to trace and lower its program
    compile: float  # seconds to compile it
    evaluation: float  # microseconds an evaluation


COSTS: Mapping[str, SearchCost] = {
    "random_search": SearchCost(0.25, 1.3, 0.4),
    "regularized_evolution": SearchCost(0.25, 2.0, 0.6),
    "naszilla_evolution": SearchCost(0.25, 2.0, 0.6),
    "reinforce": SearchCost(0.25, 2.2, 1.0),
    "local_search": SearchCost(0.5, 3.5, 4.0),
    "tpe": SearchCost(0.5, 3.0, 30.0),
    "smac": SearchCost(0.0, 2.0, 20_000.0),  # driven from Python
    "bohb": SearchCost(0.45, 3.8, 7.0),
    "successive_halving": SearchCost(0.3, 1.9, 0.5),
    "hyperband": SearchCost(0.2, 1.8, 0.3),
    # Of 150 evaluations; a fit takes the longer the more there are.
    "bananas": SearchCost(2.6, 7.0, 8_200.0),
    "bananas_adjacency": SearchCost(2.6, 7.0, 8_200.0),
    "bananas_random_ranking": SearchCost(0.7, 3.5, 7.0),
    "gp_bayesopt": SearchCost(1.8, 7.0, 7_200.0),
    "nasbot": SearchCost(1.8, 7.0, 7_200.0),
    "dngo": SearchCost(1.5, 6.5, 14_000.0),
    "gcn_predictor": SearchCost(2.5, 7.5, 48_000.0),
    "bonas": SearchCost(2.5, 8.0, 1_800_000.0),
}
_NUM_DECISIONS = 6  # of the cells on which they were measured
UNKNOWN = SearchCost(0.3, 2.5, 5.0)
_SLOWER, _SAVED = 8.0, 0.75  # what `compile_quickly` adds to the time of running, and spares of that of compiling
_KEEPING = 3.0  # microseconds an evaluation: to look its worth up and write it down


def estimate_study(
    chunks: Mapping[str, int], evaluations: Mapping[str, float], traced: Mapping[str, float], report: bool
) -> Estimate:
    """Returns what a study will take: `seconds` of a chunk, and as `prepared` those to trace and compile each program.

    Args:
      chunks: Chunks yet to run, by searcher.
      evaluations: Evaluations in a chunk, by searcher.
      traced: Seconds that tracing some of the programs has taken just now: they tell how fast this machine is.
      report: Whether there will be one.
    """
    pace = _pace(traced)
    costs = {name: COSTS.get(_kind(name), UNKNOWN) for name in chunks}
    workers = max(min(os.cpu_count() or 1, len(chunks)), 1)
    compile_seconds = {name: pace * (cost.trace + cost.compile) / workers for name, cost in costs.items()}
    run_seconds = {n: pace * 1e-6 * (cost.evaluation + _KEEPING) * evaluations[n] for n, cost in costs.items()}
    total = (
        sum(compile_seconds[name] + run_seconds[name] * chunks[name] for name in chunks)
        + pace * REPORT_SECONDS * report
    )
    guessed = tuple(name for name in chunks if _kind(name) not in COSTS)
    return Estimate(run_seconds, total, estimate_text(total, guessed), compile_seconds)


def is_short(name: str, evaluations: float, num_decisions: int) -> bool:
    """Returns whether all evaluations of a searcher take so little that its program is better compiled quickly."""
    cost = COSTS.get(_kind(name))
    if cost is None:
        return False
    # Larger cells take longer to propose and to look up, by their fingerprints.
    seconds = 1e-6 * cost.evaluation * evaluations * (num_decisions / _NUM_DECISIONS) ** 2
    return _SLOWER * seconds < _SAVED * cost.compile


def _pace(traced: Mapping[str, float]) -> float:
    """Returns how many times slower this machine is than that of `COSTS`, by what tracing took."""
    expected = sum(COSTS.get(_kind(name), UNKNOWN).trace for name in traced)
    return min(max(sum(traced.values()) / expected, 0.5), 20.0) if expected else 1.0


def _kind(name: str) -> str:
    """Returns the searcher's own name from a row such as `bohb@12`."""
    return re.split("[@:]", name)[0]
