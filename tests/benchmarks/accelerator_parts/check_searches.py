"""Whether predictors, searches and a study come to the same on the device as on the CPU.

Searches that compute with integers and comparisons alone must be the same bit for bit. Where a search computes with
floats, one rounding can lead to another architecture and so to another search: there, what is found must be as good.
"""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jnas
from accelerator_parts.context import Context, on, once, relative_difference, result_on, same_bits
from accelerator_parts.plan import Task, comparison, verdict
from jnas import searchers
from jnas.searchers import predictors

EXACT = (
    "random_search",
    "regularized_evolution",
    "local_search",
    "successive_halving",
    "hyperband",
    "naszilla_evolution",
    "bananas_random_ranking",
)
"""The searchers whose traces must be the same bit for bit."""

PREDICTIONS = 2e-2
"""Most by which a mean prediction may differ, in units of the largest, after the few steps that `SMALL` makes."""

POINTS = 0.5
"""Most by which the mean of the best accuracies may differ, in points, or three standard errors if those are more."""

SMALL: dict[str, dict[str, Any]] = {
    "mlp_ensemble": {"num_members": 2, "epochs": 5},
    "mlp_ensemble_diverse": {"epochs": 3},
    "dngo": {"num_epochs": 5},
    "bohamiann": {"num_steps": 30, "num_burn_in": 10, "keep_every": 5},
    "gcn": {"num_layers": 2, "width": 16, "hidden": 16, "epochs": 3},
    "gcn_ensemble": {"num_layers": 2, "width": 16, "hidden": 16, "epochs": 3, "num_members": 2},
}
"""Settings in which predictors compile and fit in little time; others stand as they are."""

_SURROGATES = {  # by searcher, the predictor that is made smaller
    "bananas": "mlp_ensemble",
    "bananas_adjacency": "mlp_ensemble",
    "dngo": "dngo",
    "bohamiann": "bohamiann",
    "bonas": "gcn_ensemble",
    "gcn_predictor": "gcn",
}
_CELLS, _TRAINED, _SEEDS, _EVALUATIONS = 48, 32, 16, 30
_BUDGETS = (2, 4, 8)  # points of the table's curves, for searchers of several fidelities


def tasks(context: Context, part: str) -> list[Task]:
    """Returns the comparisons of a part."""
    if part == "check-study":
        return [comparison(", ".join(_studied(context)), lambda: _compare_study(context))]
    if part == "check-predictors":
        names = [name for name in predictors.names() if predictors.entry(name).compiled]
        names.sort(key=lambda name: not predictors.entry(name).quick)
        return [comparison(name, lambda name=name: _compare_predictor(context, name)) for name in names]
    space = jnas.spaces.nasbench201()
    names = [name for name in searchers.names(space=space) if searchers.entry(name).compiled]
    names.sort(key=lambda name: name not in EXACT)
    return [comparison(name, lambda name=name: _compare_searcher(context, name)) for name in names]


def _table(context: Context) -> Any:
    """Returns the table that comes with the library, on the CPU; programs take from it what they need."""

    def load() -> Any:
        with jax.default_device(context.cpu):
            return jnas.load_table()

    return once(context, "table", load)


def _on_both(context: Context, work: Any, *arguments: Any) -> list[Any]:
    """Returns what some work comes to on the CPU and on the device."""
    return [
        once(context, (work, device, *arguments), lambda device=device: work(context, device, *arguments))
        for device in (context.cpu, context.device)
    ]


def _compare_predictor(context: Context, name: str) -> dict[str, Any]:
    expected, found = _on_both(context, _predict, name)
    return verdict(relative_difference(found, expected), PREDICTIONS)


def _predict(context: Context, device: Any, name: str) -> Any:
    """Returns mean predictions `[seeds, cells]`, the scores being standardized."""
    with on(device, "highest"):
        space = jnas.spaces.nasbench201()
        predictor, encoding = predictors.make(name, space, **SMALL.get(name, {}))
        rng = np.random.default_rng(0)
        archs = rng.integers(0, 5, (_CELLS, space.num_decisions)).astype(np.int32)
        scores = (archs == 3).sum(axis=1) + 0.1 * rng.normal(size=_CELLS)
        scores = ((scores - scores.mean()) / scores.std()).astype(np.float32)
        features = jax.device_get(jax.jit(jax.vmap(lambda arch: space.features(arch, encoding)))(archs))

        def run(keys: Any, features: Any, scores: Any) -> Any:
            def one(key: Any) -> Any:
                known = jax.tree.map(lambda leaf: leaf[:_TRAINED], features)
                model = predictor.fit(key, known, scores[:_TRAINED], jnp.ones(_TRAINED, bool))
                return predictor.predict(model, features).mean

            return jax.vmap(one)(keys)

        return result_on(device, run, jax.random.split(jax.random.key(0), 2), features, scores)


def _compare_searcher(context: Context, name: str) -> dict[str, Any]:
    expected, found = _on_both(context, _search, name)
    same = (found.arch == expected.arch).all(-1).mean()
    told = {"same_evaluations": f"{100 * same:.1f} %"}
    if name in EXACT:
        return verdict(0.0 if same_bits(found, expected) else 1.0, 0.0, **told)
    best = [np.nanmax(np.where(t.mask & t.valid, t.score, np.nan), axis=1).astype(float) for t in (found, expected)]
    error = np.std(best[0] - best[1], ddof=1) / len(best[0]) ** 0.5
    return verdict(float(abs(np.mean(best[0] - best[1]))), float(max(POINTS, 3 * error)), **told)


def _search(context: Context, device: Any, name: str) -> Any:
    """Returns the traces of some seeds on the table that comes with the library, NumPy arrays."""
    with on(device, "highest"):
        table, known = _table(context), searchers.entry(name)
        at = _BUDGETS if known.multi_fidelity else None
        objective = table.objective(dataset="digits", split="validation", epochs=8, at=at, seed="mean")
        settings: dict[str, Any] = {}
        if name in _SURROGATES:
            kind = _SURROGATES[name]
            settings["predictor"] = predictors.make(kind, table.space, **SMALL[kind])[0]
        if name in ("bananas", "bananas_adjacency", "bonas"):
            settings["training_sizes"] = ()
        if "num_queries" in inspect.signature(known.factory).parameters:
            settings["num_queries"] = _EVALUATIONS
        searcher = searchers.make(name, table.space, at or (8,), **settings)

        def run(keys: Any) -> Any:
            return jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=_EVALUATIONS))(keys)

        seeds = _SEEDS if known.quick else 4
        return result_on(device, run, jax.random.split(jax.random.key(0), seeds))


def _studied(context: Context) -> tuple[str, ...]:
    return ("random_search", "regularized_evolution", "reinforce")[: context.sizes.studied]


def _compare_study(context: Context) -> dict[str, Any]:
    expected, found = _on_both(context, _study)
    same = {name: same_bits(found[name][:2], expected[name][:2]) for name in found}
    gaps = [float(abs(found[name][2].mean() - expected[name][2].mean())) for name in found]
    told = verdict(max(gaps), POINTS, same_searches=f"{sum(same.values())} of {len(same)}")
    return told | ({} if all(same[name] for name in same if name in EXACT) else {"status": "differs"})


def _study(context: Context, device: Any) -> dict[str, Any]:
    """Returns for each searcher the architectures, the accuracies over the search, and what was found in the end."""
    with on(device, "highest"):
        table = _table(context)
        made = {name: searchers.make(name, table.space, (8,)) for name in _studied(context)}
        limits = {"max_evaluations": _EVALUATIONS, "num_seeds": _SEEDS}
        results = jnas.study(made, table, dataset="digits", epochs=8, **limits)
        return {found.name: (found.traces.arch, found.values, found.final[-1]) for found in results.searchers}
