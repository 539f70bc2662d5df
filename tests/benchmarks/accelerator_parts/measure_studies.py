"""How long the default study and BANANAS take, many seeds in one program, on the table that comes with the library."""

import time
from typing import Any

import jax
import jax.numpy as jnp

import jnas
from accelerator_parts.context import Compiled, Context, compile_for, on, once, peak_gb, time_calls
from accelerator_parts.plan import Task
from jnas import searchers
from jnas.searchers._registry import compared

TARGET_SECONDS = 60  # of 500 seeds of BANANAS


def tasks(context: Context, part: str) -> list[Task]:
    """Returns the measurements of a part."""
    sizes = context.sizes
    if part == "bananas":
        return [
            Task(
                f"{seeds:,} seeds, {sizes.bananas_evaluations} evaluations",
                lambda seeds=seeds: _prepare_bananas(context, seeds),
                lambda compiled, left, seeds=seeds: _measure_bananas(compiled, left, seeds),
            )
            for seeds in sizes.bananas_seeds
        ]
    return [
        Task(f"{seeds:,} seeds", lambda: None, lambda _, left, seeds=seeds: _measure_study(context, seeds))
        for seeds in sizes.study_seeds
    ]


def _table(context: Context) -> Any:
    def load() -> Any:
        with on(context.device):
            return jnas.load_table()

    return once(context, "table of measurements", load)


def _measure_study(context: Context, seeds: int) -> dict[str, Any]:
    with on(context.device):
        table = _table(context)
        names = compared(1, table.space.name)[: context.sizes.studied]
        made = {name: searchers.make(name, table.space, (8,)) for name in names}
        limits = {"max_evaluations": context.sizes.study_evaluations, "num_seeds": seeds, "chunk": seeds}
        start = time.perf_counter()
        results = jnas.study(made, table, dataset="digits", epochs=8, **limits)
        whole = time.perf_counter() - start
    each = {f"{found.name}_s": found.run_seconds for found in results.searchers}
    run, compiling = sum(each.values()), sum(found.compile_seconds for found in results.searchers)
    evaluations = len(names) * seeds * context.sizes.study_evaluations
    return {
        "whole_s": whole,
        "run_s": run,
        "compile_s": compiling,
        "us_per_evaluation": 1e6 * run / evaluations,
        **each,
        "peak_gb": peak_gb(context.device),
    }


def _prepare_bananas(context: Context, seeds: int) -> Compiled:
    with on(context.device):
        table = _table(context)
        objective = table.objective(dataset="digits", split="validation", epochs=8, seed="mean")
        searcher = searchers.bananas(table.space)

        def best(keys: Any) -> Any:
            limits = {"max_evaluations": context.sizes.bananas_evaluations}
            traces = jax.vmap(lambda key: jnas.run(searcher, objective, key, **limits))(keys)
            return jnp.nanmax(traces.score, axis=1)

        return compile_for(context.device, best, jax.random.split(jax.random.key(0), seeds))


def _measure_bananas(compiled: Compiled, left: Any, seeds: int) -> dict[str, Any]:
    figures = time_calls(compiled, left)
    within = "yes" if figures["call_s"] < TARGET_SECONDS else "no"
    return {"ms_per_search": 1e3 * figures["call_s"] / seeds, "within_a_minute": within, **figures}
