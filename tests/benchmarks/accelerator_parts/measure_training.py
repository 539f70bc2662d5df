"""How many candidates an hour NAS-Bench-201's 12-epoch recipe trains on CIFAR-10, in every form, many at once.

A timed call is one epoch of the library's own loop on a data set of the same proportions: 5 batches of training and
one of evaluation, where CIFAR-10 has 195 and 40. Hours follow from the batches of 12 epochs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from accelerator_parts import toy
from accelerator_parts.context import Compiled, Context, compile_for, make_dataset, on, time_calls
from accelerator_parts.plan import Task
from jnas import spaces, training
from jnas.core._registry import DEFAULT_SPACE
from jnas.training.networks._families import FAMILIES
from jnas.training.operations._forms import branches, fastest_form
from jnas.training.runs._train_many import over_candidates

CELLS = 6_466  # classes of NAS-Bench-201 that differ
IMAGES = 50_000  # of training on CIFAR-10; 10,000 are evaluated after each epoch
PUBLISHED_GPU_DAYS, TARGET_HOURS = 20, 10


def tasks(context: Context, part: str) -> list[Task]:
    """Returns a measurement for each form and number of candidates, the one that decides the default first."""
    space = toy.NAME if context.sizes.toy else DEFAULT_SPACE
    many = sorted(context.sizes.candidates, key=lambda k: (abs(np.log(k / 32)), k))  # 32, 8, 128, 1
    forms = sorted((f for f in FAMILIES.rows[space].forms if f != "static"), key=lambda f: f != fastest_form())
    # Forms that branch take the candidates one after another: few of them say as much as many, and sooner.
    few = [(form, k) for form in forms for k in (sorted(many)[:2] if branches(form) else many[:2])]
    rest = [(form, k) for form in forms for k in many if (form, k) not in few]
    pairs = [*few[:3], ("static", 1), *few[3:], *rest]
    return [
        Task(
            f"{form}, K = {k}",
            lambda form=form, k=k: _prepare(context, space, form, k),
            lambda compiled, left, k=k: _measure(context, compiled, left, k),
        )
        for form, k in pairs
    ]


def _prepare(context: Context, space: str, form: str, k: int) -> Compiled:
    sizes = context.sizes
    with on(context.device):
        dataset = make_dataset(context, sizes.side, train=sizes.steps * sizes.batch, test=sizes.batch)
        recipe = training.get_recipe("nasbench201-12", batch_size=sizes.batch, eval_batch_size=sizes.batch)
        recipe = recipe._replace(channels=sizes.channels, cells=sizes.cells)
        archs = _batches(space, k)
        given = {"static": archs[0, 0], "dispatch": archs}.get(form)
        network = training.make_network(dataset, recipe, form, given, space=space)
        begin = over_candidates(lambda key, arch: training.begin_run(key, arch, dataset, recipe, network), network)
        keys = jax.random.split(jax.random.key(0), k)
        states = jax.jit(begin)(*jax.device_put((keys, jnp.asarray(archs[0], jnp.int32)), context.device))

        def epoch(dataset: Any, states: Any) -> Any:
            one = over_candidates(lambda state: training.run_epochs(state, dataset, recipe, network, 1), network)
            return one(states)

        return compile_for(context.device, epoch, dataset, states)


def _batches(space: str, k: int) -> np.ndarray:
    """Returns batches `[n, k, E]` as a build of the whole table meets them: a program has room for the worst one."""
    if space == toy.NAME:
        return np.asarray(jax.jit(jax.vmap(spaces.get(space).sample))(jax.random.split(jax.random.key(0), k)))[None]
    archs = training.plan_table(seeds=(0,)).jobs.archs
    return archs[: len(archs) // k * k].reshape(-1, k, archs.shape[1])


def _measure(context: Context, compiled: Compiled, left: Any, k: int) -> dict[str, Any]:
    figures, sizes = time_calls(compiled, left), context.sizes
    step = figures["call_s"] / sizes.steps  # with its share of an evaluation
    run = 12 * (IMAGES // 256) * step if sizes.batch == 256 else 12 * (IMAGES // sizes.batch) * step
    hours = CELLS / k * run / 3600
    return {
        "candidates_per_hour": 3600 * k / run,
        "hours_of_6466_cells": hours,
        "of_published_20_gpu_days": hours / (24 * PUBLISHED_GPU_DAYS),
        "within_10_hours": "yes" if hours <= TARGET_HOURS else "no",
        "ms_per_candidate_step": 1e3 * step / k,
        **figures,
    }
