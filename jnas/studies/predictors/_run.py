"""How predictors are fitted and asked, the seeds of a case in one program or one by one, and how long that takes."""

import math
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._devices import divided_for
from jnas.core._versions import compiler_options
from jnas.core._vocabulary import Array, Features, Key, Prediction, Space
from jnas.spaces._columns import space_features
from jnas.studies._engine import REPORT_SECONDS, Estimate, Work, estimate_text
from jnas.studies._keys import seed_keys
from jnas.studies.predictors._measures import NAMES, measure
from jnas.studies.predictors._plan import Case, PredictorPlan
from jnas.studies.predictors._results import CaseAtSize, Fits


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


# Fits.


class _Asked(NamedTuple):
    """What the fits of one chunk of seeds predict, and what that took."""

    mean: NDArray[np.float32]  # [W, T + N]
    std: NDArray[np.float32]  # [W, T + N]
    seconds: NDArray[np.float64]  # [2], wall time: to fit all, to ask all
    cpu_seconds: NDArray[np.float64]  # [2]


_Ask = Callable[[Key, Features, NDArray[np.float32]], _Asked]
"""From keys `[W]`, features `[W, T + N, ...]` and training scores `[W, N]`."""


def run_fits(work: Work, part: CaseAtSize, identity: Mapping[str, Any]) -> Fits:
    """Returns the fits of a predictor on an encoding to so many cells, over all seeds.

    Raises:
      ValueError: The predictor does not give what it should.
    """
    case, size = cases_by_name(work.plan)[part[:2]], part[2]
    work.bar.say(f"{case.label}, {size:,} cells")
    fits: Fits = work.do(_run_case, work, case, size)
    work.bar.advance(work.estimate.seconds[part])
    return fits


def _run_case(work: Work, case: Case, size: int) -> Fits:
    """Returns the fits of a case to so many cells."""
    plan: PredictorPlan = work.plan
    num_seeds, width, tested = plan.seeds[case.name], plan.widths[case.name], plan.test_cells
    num_chunks = -(-num_seeds // width)
    keys = seed_keys(plan.config["root_seed"], f"{case.name}/{case.encoding}/{size}", num_chunks * width)
    ask, compile_seconds = (_compiled if case.predictor.compiled else _driven)(work, case, size)
    asked = []
    for number in range(num_chunks):
        seeds = np.arange(number * width, (number + 1) * width)
        features = _features(plan, case.encoding, np.minimum(seeds, num_seeds - 1), tested + size)
        scores = plan.cells.scores[np.minimum(seeds, num_seeds - 1), tested : tested + size]
        asked.append(ask(keys[seeds], features, scores))
    mean, std = (np.concatenate([getattr(a, name) for a in asked])[:num_seeds] for name in ("mean", "std"))
    values = [
        measure(
            truth[:tested],
            mean[s, :tested],
            std[s, :tested],
            train_truth=truth[tested : tested + size],
            train_mean=mean[s, tested:],
            k=plan.config["precision_at"],
        )
        for s, truth in enumerate(plan.cells.scores[:num_seeds])
    ]
    thousands = width * (tested + size) / 1000
    fitting, asking = (np.array([[a.seconds[i], a.cpu_seconds[i]] for a in asked]) for i in (0, 1))
    return Fits(
        values=np.array([[v[name] for name in NAMES] for v in values], np.float64),
        mean=mean[:, :tested],
        std=std[:, :tested],
        fit_seconds=fitting[:, 0] / width,
        fit_cpu_seconds=fitting[:, 1] / width,
        query_seconds=asking[:, 0] / thousands,
        query_cpu_seconds=asking[:, 1] / thousands,
        compile_seconds=compile_seconds,
    )


def _features(plan: PredictorPlan, encoding: str, seeds: NDArray[np.int64], count: int) -> Features:
    """Returns the features `[W, count, ...]` of the first cells that each of the seeds `[W]` draws."""
    archs = plan.archs[plan.cells.rows[seeds]]
    encoded = _encoder(plan.space, encoding)(archs)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:, :count], encoded)


@lru_cache(maxsize=32)
def _encoder(space: Space, encoding: str) -> Callable[[NDArray[np.int32]], Features]:
    """Returns the function from architectures `[W, C, E]` to their features `[W, C, ...]`, compiled."""
    return jax.jit(jax.vmap(jax.vmap(lambda arch: space_features(space, arch, encoding))))


def _compiled(work: Work, case: Case, size: int) -> tuple[_Ask, float]:
    """Returns the fits of a chunk of seeds as one program, their queries as another, and what compiling took."""
    plan: PredictorPlan = work.plan
    predictor, tested, width = case.predictor, plan.test_cells, plan.widths[case.name]

    def fit(keys: Key, features: Features, scores: Array) -> Any:
        mask = jnp.ones((size,), bool)
        return jax.vmap(lambda k, x, y: predictor.fit(k, x, y, mask))(keys, features, scores)

    def predict(models: Any, features: Features) -> Prediction:
        return jax.vmap(predictor.predict)(models, features)

    def compile(function: Callable[..., Any], *shapes: Any) -> Any:
        return divided_for(function, 0, width).lower(*shapes).compile(compiler_options=compiler_options())

    keys, queries, trained, scores = _shapes(plan, case, size)
    begin = time.perf_counter()
    fitting = compile(fit, keys, trained, scores)
    asking = compile(predict, jax.eval_shape(fit, keys, trained, scores), queries)
    compile_seconds = time.perf_counter() - begin
    work.check_memory(f"{case.label}, {size:,} cells", fitting, asking)

    def ask(keys: Key, features: Features, scores: NDArray[np.float32]) -> _Asked:
        known = jax.device_put(jax.tree.map(lambda leaf: leaf[:, tested:], features))
        asked, targets = jax.device_put(features), jax.device_put(scores)
        jax.block_until_ready((known, asked, targets))  # type: ignore[no-untyped-call]
        times = [_now()]
        models = jax.block_until_ready(fitting(keys, known, targets))  # type: ignore[no-untyped-call]
        times.append(_now())
        prediction = jax.block_until_ready(asking(models, asked))  # type: ignore[no-untyped-call]
        times.append(_now())
        return _as_asked(case, prediction, (width, tested + size), times)

    return ask, compile_seconds


def _shapes(plan: PredictorPlan, case: Case, size: int) -> tuple[Any, Any, Any, Any]:
    """Returns the shapes of a chunk's keys, of what is asked, of what is fitted, and of the scores."""
    width, count = plan.widths[case.name], plan.test_cells + size

    def make() -> tuple[Any, Any, Any, Any]:
        archs: Any = jnp.zeros((width, count, plan.archs.shape[1]), jnp.int32)
        asked = _encoder(plan.space, case.encoding)(archs)
        fitted = jax.tree.map(lambda leaf: leaf[:, plan.test_cells :], asked)
        return jax.random.split(jax.random.key(0), width), asked, fitted, jnp.zeros((width, size), jnp.float32)

    shapes: tuple[Any, Any, Any, Any] = jax.eval_shape(make)
    return shapes


def _driven(work: Work, case: Case, size: int) -> tuple[_Ask, float]:
    """The same for one seed at a time, of a predictor that takes NumPy arrays."""
    predictor, tested = case.predictor, work.plan.test_cells

    def ask(keys: Key, features: Features, scores: NDArray[np.float32]) -> _Asked:
        known, asked = (jax.tree.map(lambda leaf, at=at: leaf[0, at:], features) for at in (tested, 0))
        mask: Any = np.ones(size, bool)
        targets: Any = scores[0]
        times = [_now()]
        model = predictor.fit(keys[0], known, targets, mask)
        times.append(_now())
        prediction = predictor.predict(model, asked)
        times.append(_now())
        return _as_asked(case, [np.asarray(x)[None] for x in prediction], (1, tested + size), times)

    return ask, 0.0


def _now() -> tuple[float, float]:
    """Returns wall and CPU seconds."""
    return time.perf_counter(), time.process_time()


def _as_asked(case: Case, prediction: Any, shape: tuple[int, int], times: list[tuple[float, float]]) -> _Asked:
    """Returns predictions as NumPy arrays, or raises ValueError where they are not of this shape."""
    mean, std = (np.asarray(x, np.float32) for x in prediction)
    for name, array in (("mean", mean), ("std", std)):
        if array.shape != shape:
            raise ValueError(
                f"{case.name} predicts a {name} of shape {list(array.shape[1:])} for {shape[1]} architectures, "
                f"expected [{shape[1]}]"
            )
    return _Asked(mean, std, *np.diff(times, axis=0).T)
