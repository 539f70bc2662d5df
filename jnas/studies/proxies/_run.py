"""How cells are scored: some at a time in one program for each kind of pass, and how long that takes."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from jnas.core._devices import divided_for
from jnas.core._versions import compiler_options
from jnas.core._vocabulary import Array, Examples, Key
from jnas.studies._engine import REPORT_SECONDS, Estimate, Work, estimate_text
from jnas.studies._keys import seed_keys
from jnas.studies.proxies._plan import ProxyPlan
from jnas.studies.proxies._results import Part, Scored
from jnas.training.proxies._scores import proxy_scores

CHUNK = 64
"""Most cells in one call of a program."""

_PASSES = {  # forward passes over the batch that each kind is worth, and seconds to compile, on a CPU core
    "sizes": (0.0, 1.0),
    "gradients": (3.0, 12.0),
    "grasp": (14.0, 40.0),
    "zico": (3.0, 20.0),
    "synflow": (0.1, 12.0),
    "synflow_bn": (0.1, 12.0),
    "jacobians": (3.0, 12.0),
    "nwot": (1.2, 5.0),
    "fisher": (5.0, 15.0),
    "zen": (2.2, 10.0),
    "meco": (1.0, 10.0),
    "az_nas": (4.0, 20.0),
}
_UNKNOWN = (4.0, 15.0)
_MACS_PER_SECOND = 5e9


def estimate_proxy_study(work: Work) -> Estimate:
    """Returns how long what is left of a study will take."""
    plan: ProxyPlan = work.plan
    macs = 1e6 * float(np.mean(jax.vmap(plan.network.flops)(jnp.asarray(plan.archs))))
    of_pass = macs * plan.config["batch_size"] * len(plan.archs) / _MACS_PER_SECOND
    devices = jax.local_device_count()
    seconds = {part: _PASSES.get(part[0], _UNKNOWN)[0] * of_pass / devices + 0.05 for part in work.left}
    for group in dict.fromkeys(group for group, _ in work.left):
        first = next(part for part in work.left if part[0] == group)
        seconds[first] += _PASSES.get(group, _UNKNOWN)[1]
    total = sum(seconds.values()) + (REPORT_SECONDS if work.folder is not None else 0.0)
    return Estimate(seconds, total, estimate_text(total, ()))


@contextlib.contextmanager
def begin_programs(work: Work) -> Iterator[dict[str, Any]]:
    """Gives the programs by kind of pass, each of which serves all seeds; made when the first needs it."""
    yield {}


def batch_of(plan: ProxyPlan, seed: int) -> Examples:
    """Returns the batch of a seed: training images, normalized, no two the same."""
    rows = np.asarray(plan.images.rows("train"))
    drawn = np.random.default_rng([plan.config["root_seed"], seed, 0xBA7C4]).choice(
        rows, plan.config["batch_size"], replace=False
    )
    return plan.images.examples(jnp.asarray(drawn))


def run_scores(work: Work, part: Part, identity: Mapping[str, Any]) -> Scored:
    """Returns the scores of all cells by the proxies of one kind of pass, for one seed."""
    plan, (group, seed) = work.plan, part
    names = plan.config["groups"][group]
    work.bar.say(f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}, seed {seed}")
    key = seed_keys(plan.config["root_seed"], "proxies", plan.config["num_seeds"])[seed]
    batch, width = batch_of(plan, seed), min(CHUNK, len(plan.archs))
    compile_seconds = 0.0
    if group not in work.own:
        begin = time.perf_counter()
        work.own[group] = work.do(_compiled, plan, names, key, batch, width)
        compile_seconds = time.perf_counter() - begin
        work.check_memory(", ".join(names), work.own[group])
    found, begin = [], time.process_time()
    for start in range(0, len(plan.archs), width):
        found.append(work.do(_call, work.own[group], key, batch, plan.archs[start : start + width], width))
        work.bar.advance(work.estimate.seconds[part] * len(found[-1].T) / len(plan.archs))
    cpu_seconds = (time.process_time() - begin) / len(plan.archs)
    return Scored(np.concatenate(found, 1), cpu_seconds, compile_seconds)


def _compiled(plan: ProxyPlan, names: list[str], key: Key, batch: Examples, width: int) -> Any:
    def program(key: Key, batch: Examples, archs: Array) -> Array:
        one = jax.tree.map(lambda leaf: leaf[None], batch)
        scores = proxy_scores(key[None], archs, plan.network, one, names)
        return jnp.stack([scores[name][0] for name in names], 1)

    archs = jnp.zeros((width, plan.archs.shape[1]), jnp.int32)
    return divided_for(program, 2, width).lower(key, batch, archs).compile(compiler_options=compiler_options())


def _call(program: Any, key: Key, batch: Examples, archs: NDArray[np.int32], width: int) -> NDArray[np.float32]:
    """Returns scores `[K, B]` of up to `width` cells; a program has one size, which the last call fills."""
    filled = np.concatenate([archs, np.repeat(archs[-1:], width - len(archs), axis=0)])
    return np.asarray(program(key, batch, jnp.asarray(filled)))[: len(archs)].T
