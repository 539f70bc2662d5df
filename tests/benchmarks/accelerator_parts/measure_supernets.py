"""Steps a second of the six weight-sharing methods at the published size, several seeds in one program.

A timed call is a short epoch of the library's own loop. `float32` has arrays of float32 and the products that are the
device's default (on recent NVIDIA cards TF32); `bfloat16` has weights, images and products of bfloat16, and the
weights that learn in float32. What a search took when published (Table 5 of the NAS-Bench-201 paper, one GTX 1080 Ti)
stands beside the steps of the whole search at the measured pace, without the looks at what has been found.
"""

import inspect
from typing import Any

import jax
import jax.numpy as jnp

import jnas
from accelerator_parts import toy
from accelerator_parts.context import Compiled, Context, compile_for, make_dataset, on, time_calls
from accelerator_parts.plan import Task
from jnas import training
from jnas.core._registry import DEFAULT_SPACE
from jnas.searchers import weight_sharing_entry
from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers.weight_sharing._loop import begin_search, train_epoch

PUBLISHED_SECONDS = {
    "rsps": 8007.13,
    "darts-v1": 11625.77,
    "darts-v2": 35781.80,
    "gdas": 31609.80,
    "setn": 34139.53,
    "enas": 14058.80,
}
PUBLISHED_IMAGES = 25_000  # of training in a search on CIFAR-10
CONTROLLER_STEPS, CONTROLLER_SAMPLES = 50, 20  # of ENAS, in an epoch


def tasks(context: Context, part: str) -> list[Task]:
    """Returns a measurement for each method, number of seeds and precision: one of each method first."""
    seeds = context.sizes.supernet_seeds
    order = [(seeds[0], "float32"), (seeds[-1], "float32"), (seeds[-1], "bfloat16"), (seeds[0], "bfloat16")]
    order += [(count, precision) for count in seeds[1:-1] for precision in ("float32", "bfloat16")]
    methods = sorted(
        find_benchmark(DEFAULT_SPACE).shared, key=lambda name: (name not in ("gdas", "darts-v1"), name == "darts-v2")
    )
    return [
        Task(
            f"{method}, {count} seed{'s' * (count > 1)}, {precision}",
            lambda a=method, b=count, c=precision: _prepare(context, a, b, c),
            lambda compiled, left, a=method, b=count: _measure(context, compiled, left, a, b),
        )
        for count, precision in order
        for method in methods
    ]


def in_precision(supernet: Any, precision: str) -> Any:
    """Returns a supernet whose forward pass has weights, images and products of a precision."""
    if precision == "float32":
        return supernet

    def narrow(tree: Any) -> Any:
        return jax.tree.map(lambda x: x.astype(precision) if x.dtype == jnp.float32 else x, tree)

    def narrowed(function: Any) -> Any:
        def run(parameters: Any, statistics: Any, *rest: Any) -> Any:
            wide = function(narrow(parameters), narrow(statistics), *map(narrow, rest))
            return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == precision else x, wide)

        return run

    passes = ("mixture", "sampled", "straight_through")
    return supernet._replace(**{name: narrowed(getattr(supernet, name)) for name in passes})


def _make_supernet(context: Context, dataset: Any, precision: str) -> Any:
    sizes = {"channels": context.sizes.channels, "cells": context.sizes.cells}
    space = toy.NAME if context.sizes.toy else DEFAULT_SPACE
    if "precision" in inspect.signature(training.make_supernet).parameters:
        return training.make_supernet(dataset, space=space, precision=precision, **sizes)
    return in_precision(training.make_supernet(dataset, space=space, **sizes), precision)


def _prepare(context: Context, name: str, count: int, precision: str) -> Compiled:
    images = context.sizes.supernet_images
    with on(context.device):
        dataset = make_dataset(context, context.sizes.side, train=images, validation=images)
        supernet = _make_supernet(context, dataset, precision)
        spec = f"enas:controller_steps=1:controller_samples={CONTROLLER_SAMPLES}" if name == "enas" else name
        (method,) = jnas.supernet_methods([spec], supernet, dataset, batch_size=_batch(context, name)).values()
        begin = training.over_seeds(lambda key: begin_search(key, method.searcher), supernet)
        keys = jax.device_put(jax.random.split(jax.random.key(0), count), context.device)
        leaves, structure = jax.tree.flatten(jax.jit(begin)(keys))

        def epoch(dataset: Any, leaves: Any) -> Any:
            def one(*leaves: Any) -> Any:
                run = jax.tree.unflatten(structure, leaves)
                return train_epoch(run, method.searcher, dataset, batch_size=method.batch_size, split="validation")

            return training.over_seeds(one, supernet)(*leaves)

        return compile_for(context.device, epoch, dataset, leaves)


def _batch(context: Context, name: str) -> int:
    published = weight_sharing_entry(name).batch_size
    return published if context.sizes.batch == 256 else published // 4


def _measure(context: Context, compiled: Compiled, left: Any, name: str, count: int) -> dict[str, Any]:
    figures = time_calls(compiled, left)
    steps = context.sizes.supernet_images // _batch(context, name) + (CONTROLLER_SAMPLES if name == "enas" else 0)
    known = weight_sharing_entry(name)
    whole = PUBLISHED_IMAGES // known.batch_size + (CONTROLLER_STEPS * CONTROLLER_SAMPLES if name == "enas" else 0)
    search = known.epochs * whole * figures["call_s"] / steps / count
    return {
        "steps_per_second": steps * count / figures["call_s"],
        "search_s": search,
        "published_s": PUBLISHED_SECONDS.get(name),
        "times_faster": PUBLISHED_SECONDS[name] / search if name in PUBLISHED_SECONDS else None,
        **figures,
    }
