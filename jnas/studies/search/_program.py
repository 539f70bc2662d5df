"""What a study runs of a searcher: one compiled program, or searches that Python drives one after the other."""

import functools
import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._constants import with_large_constants
from jnas.core._devices import divided_for
from jnas.core._loop import run
from jnas.core._search import search
from jnas.core._version import __version__
from jnas.core._versions import compile_quickly, compiler_options
from jnas.core._vocabulary import Key, Proposal, Trace
from jnas.core._widths import in_32_bits
from jnas.studies._keys import seed_keys_in_chunks
from jnas.studies.search._cost import is_short
from jnas.studies.search._plan import SearchPlan


class SearchRuns(NamedTuple):
    """What runs a chunk."""

    call: Callable[[Key], Trace]  # from its keys, `[width]`, to its traces `[width, T]`
    compiled: Any = None  # the program, if it is one


class Program(NamedTuple):
    """A searcher's runs over the seeds of one chunk."""

    compile: Callable[[], tuple[SearchRuns, float]]  # gives the runs, and the seconds that it took to make them
    keys: Sequence[Key]  # of each chunk, [width]
    digest: str  # of all that the runs depend on
    seconds: float  # to trace it


def make_program(plan: SearchPlan, name: str) -> Program:
    """Returns a searcher's program, traced but not compiled."""
    width, num_chunks = plan.widths[name], plan.num_chunks(name)
    keys = seed_keys_in_chunks(plan.config["root_seed"], name, num_chunks, width)
    return (_traced if plan.searchers[name].compiled else _driven)(plan, name, keys)


def compile_program(program: Program) -> tuple[SearchRuns, float]:
    """Returns what runs a chunk, and the seconds that it took to trace and compile it."""
    return program.compile()


def _traced(plan: SearchPlan, name: str, keys: Sequence[Key]) -> Program:
    searcher, limits = plan.searchers[name], _limits(plan)

    def runs(keys: Key) -> Trace:
        return jax.vmap(lambda key: run(searcher, plan.objective, key, **limits))(keys)

    begin = time.perf_counter()
    # The same program, whatever `jax_enable_x64` says.
    lifted, columns = in_32_bits(with_large_constants)(runs, keys[0])
    lowered = in_32_bits(jax.jit(lifted).lower)(*columns, keys[0])
    seconds = time.perf_counter() - begin

    def compile() -> tuple[SearchRuns, float]:
        begin = time.perf_counter()
        width, num_devices = len(keys[0]), jax.local_device_count()
        given, program = columns, lowered
        if num_devices > 1:  # then `lowered` only tells what the runs depend on
            shape = (-(-width // num_devices),)
            of_device = jax.ShapeDtypeStruct(shape, keys[0].dtype)  # type: ignore[no-untyped-call]
            each, given = in_32_bits(with_large_constants)(runs, of_device)
            program = in_32_bits(divided_for(each, len(given), width).lower)(*given, keys[0])
        quickly = is_short(name, plan.mean_evaluations * len(keys) * width, plan.table.space.num_decisions)
        compiled = compile_quickly(program) if quickly else program.compile(compiler_options=compiler_options())
        return SearchRuns(functools.partial(compiled, *given), compiled), seconds + time.perf_counter() - begin

    return Program(compile, keys, _digest_of(lowered, columns), seconds)


def _driven(plan: SearchPlan, name: str, keys: Sequence[Key]) -> Program:
    searcher, limits = plan.searchers[name], _limits(plan)

    def runs(keys: Key) -> Trace:
        traces = [search(searcher, plan.objective, key, **limits) for key in keys]
        stacked: Trace = jax.tree.map(lambda *each: jnp.stack(each), *traces)
        return stacked

    return Program(lambda: (SearchRuns(runs), 0.0), keys, _digest(plan), 0.0)


def _limits(plan: SearchPlan) -> dict[str, Any]:
    config = plan.config
    return {
        "budget_seconds": config["budget_seconds"],
        "max_evaluations": plan.capacity,
        "overshoot": config["overshoot"],
        "workers": config.get("workers", 1),
    }


def _digest_of(lowered: Any, columns: Sequence[Any]) -> str:
    """Returns a hash of a program, and of the arrays that it is given beside the keys."""
    told = hashlib.sha256(lowered.as_text().encode())
    for column in columns:
        told.update(np.asarray(column).tobytes())
    return told.hexdigest()


def _digest(plan: SearchPlan) -> str:
    """Returns a hash of the objective's program, and of what the steps of a search in Python depend on."""
    one = jnp.zeros((1,), jnp.int32)
    arch = jax.eval_shape(lambda: jnp.zeros((1, plan.table.space.num_decisions), jnp.int32))
    row = Proposal(arch, one, one, one, one > 0)
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    told = {p: importlib.metadata.version(p) for p in ("numpy", "scikit-learn", "scipy")} | {"jnas": __version__}
    text = in_32_bits(jax.jit(plan.objective.evaluate).lower)(key, row).as_text() + json.dumps(told)
    return hashlib.sha256(text.encode()).hexdigest()
