"""How long a study of predictors will take, before it starts: what fits cost on one machine."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jnas._predictor_study_plan import Case, Plan


class Cost(NamedTuple):
    """What the fits of a predictor cost on one core of the machine on which these numbers were taken."""

    compile: float  # seconds to compile the fit and the query
    fit: float  # seconds a fit to a hundred cells
    growth: float = 1.0  # power of the number of cells with which a fit's cost grows
    query: float = 0.01  # seconds a thousand queries


COSTS: Mapping[str, Cost] = {}
UNKNOWN = Cost(4.0, 0.1)
_MEASURES = 0.006  # seconds to measure the predictions of one seed


def estimate_fits(plan: Plan, left: Sequence[tuple[Case, int]]) -> dict[tuple[str, str, int], float]:
    """Returns estimated seconds of what is left of a study, by predictor, encoding and training size."""
    return {(case.name, case.encoding, size): _seconds(plan, case, size) for case, size in left}


def _seconds(plan: Plan, case: Case, size: int) -> float:
    cost, seeds = COSTS.get(case.predictor.name, UNKNOWN), plan.seeds[case.name]
    asked = cost.query * (plan.test_cells + size) / 1000
    growth = math.pow(size / 100, cost.growth)
    return cost.compile + seeds * (cost.fit * growth + asked + _MEASURES)
