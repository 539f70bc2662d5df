"""How long a study of predictors will take, before it starts: what fits cost on one machine."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from jnas.studies._engine import REPORT_SECONDS, Estimate, Work, estimate_text
from jnas.studies.predictors._plan import Case, PredictorPlan


class FitCost(NamedTuple):
    """What the fits of a predictor cost on one core of the machine on which these numbers were taken."""

    compile: float  # seconds to compile the fit and the query
    fit: float  # seconds a fit to a hundred cells
    growth: float = 1.0  # power of the number of cells with which a fit's cost grows
    query: float = 0.01  # seconds a thousand queries


COSTS: Mapping[str, FitCost] = {
    "mlp_ensemble": FitCost(6.0, 0.18, 0.75),
    "mlp_ensemble_diverse": FitCost(20.0, 0.6, 0.75),
    "gcn": FitCost(7.0, 4.4, 1.0, 0.06),
    "gcn_ensemble": FitCost(8.0, 22.0, 1.0, 0.3),
    "gaussian_process": FitCost(3.0, 0.004, 2.0),
    "gaussian_process_fitted": FitCost(4.0, 0.02, 2.0),
    "bayesian_linear_regression": FitCost(3.0, 0.02, 2.0),
    "dngo": FitCost(6.0, 0.3),
    "bohamiann": FitCost(5.0, 1.7, 0.0, 0.08),
    "random_forest": FitCost(0.0, 0.1, 0.5),
    "gradient_boosting": FitCost(0.0, 0.5, 0.5, 0.02),
}
UNKNOWN = FitCost(4.0, 0.1)
_MEASURES = 0.006  # seconds to measure the predictions of one seed


def estimate_predictor_study(work: Work) -> Estimate:
    """Returns how long what is left of a study will take."""
    cases = cases_by_name(work.plan)
    seconds = {part: _seconds(work.plan, cases[part[:2]], part[2]) for part in work.left}
    total = sum(seconds.values()) + (REPORT_SECONDS if work.folder is not None else 0.0)
    unknown = tuple(dict.fromkeys(name for name, _, _ in work.left if name not in COSTS))
    return Estimate(seconds, total, estimate_text(total, unknown))


def cases_by_name(plan: PredictorPlan) -> dict[tuple[str, str], Case]:
    """Returns the cases of a plan by predictor and encoding."""
    return {(case.name, case.encoding): case for case in plan.cases}


def _seconds(plan: PredictorPlan, case: Case, size: int) -> float:
    cost, seeds = COSTS.get(case.name, UNKNOWN), plan.seeds[case.name]
    asked = cost.query * (plan.test_cells + size) / 1000
    growth = math.pow(size / 100, cost.growth)
    return cost.compile + seeds * (cost.fit * growth + asked + _MEASURES)
