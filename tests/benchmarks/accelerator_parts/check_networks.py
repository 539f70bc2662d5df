"""Whether training and weight sharing come to the same on the device as on the CPU, in every form.

Both compute float32 with products of the highest precision, from the same keys, on the same images. The reference is
the CPU's own form, `switch`, one member after another. What is compared: losses of training and evaluation and the
weights after some steps; of weight sharing the losses, and the probabilities of the choices.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jnas
from accelerator_parts import toy
from accelerator_parts.context import Context, make_dataset, on, once, relative_difference, result_on
from accelerator_parts.plan import Task, comparison, verdict
from jnas import spaces, training
from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers.weight_sharing._loop import begin_search, train_epoch
from jnas.training.networks._families import FAMILIES
from jnas.training.operations._forms import fastest_form

LOSSES, WEIGHTS = 2e-3, 2e-2
"""Most by which a loss, and a weight in units of its array's largest, may differ after 3 steps of training.

float32 sums in another order differ by 1e-6, and batch-norm and each step magnify that; a wrong operation is off by
0.1.
"""

PROBABILITIES = 2e-2
"""The same of the probabilities of choices, which Adam moves by its sign where a gradient is about 0."""

STEPS, BATCH, MEMBERS = 3, 16, 3


def tasks(context: Context, part: str) -> list[Task]:
    """Returns the comparisons of a part, most important first."""
    rows = [FAMILIES.rows[toy.NAME]] if context.sizes.toy else [r for r in FAMILIES.rows.values() if r.name != toy.NAME]
    if part == "check-training":
        pairs = [(row.name, form) for row in rows for form in row.forms]
        pairs.sort(key=lambda pair: pair[1] != fastest_form())
        return [
            comparison(f"{name}, {form}", lambda a=name, b=form: _compare_training(context, a, b))
            for name, form in pairs
        ]
    own = fastest_form()
    triples = [
        (row.name, form, m)
        for row in rows
        for form in row.supernet_forms
        for m in (*find_benchmark(row.name).shared, *find_benchmark(row.name).later)
    ]
    triples.sort(key=lambda triple: (triple[1] != own, triple[2] in find_benchmark(triple[0]).later))
    return [
        comparison(f"{method} in {name}, {form}", lambda *, a=name, b=form, c=method: _compare_search(context, a, b, c))
        for name, form, method in triples
        if not context.sizes.toy or form == own or method == "gdas"
    ]


def _dataset(context: Context) -> Any:
    return make_dataset(context, 8, train=STEPS * BATCH, validation=2 * BATCH)


def _compare_training(context: Context, space: str, form: str) -> dict[str, Any]:
    pairs = ((context.cpu, "switch"), (context.device, form))
    expected, found = (
        once(context, ("training", space, *p), lambda p=p: _train(context, p[0], space, p[1])) for p in pairs
    )
    if form == "static":  # a program of the first architecture alone
        expected = jax.tree.map(lambda leaf: leaf[:1], expected)
    losses, weights = (relative_difference(a, b) for a, b in zip(found, expected, strict=True))
    return verdict(losses, LOSSES, weights_difference=weights) | ({} if weights <= WEIGHTS else {"status": "differs"})


def _train(context: Context, device: Any, space: str, form: str) -> Any:
    """Returns each member's losses and weights."""
    with on(device, "highest"):
        dataset = _dataset(context)
        recipe = training.get_recipe(FAMILIES.rows[space].recipes[0], epochs=1, batch_size=BATCH, eval_batch_size=BATCH)
        recipe = recipe._replace(channels=context.sizes.channels if context.sizes.toy else 4, cells=1)
        keys = jax.random.split(jax.random.key(0), MEMBERS)
        archs = np.asarray(jax.jit(jax.vmap(spaces.get(space).sample))(jax.random.split(jax.random.key(1), MEMBERS)))
        if form == "static":
            keys, archs = keys[:1], archs[:1]
        network = training.make_network(dataset, recipe, form, archs[0] if form == "static" else archs, space=space)

        def run(dataset: Any, keys: Any, archs: Any) -> Any:
            curves, weights = training.train_many(keys, archs, dataset, recipe, network)
            return curves.loss, weights

        return result_on(device, run, dataset, keys, archs.astype(np.int32))


_SHORTENED = {
    "enas": ":controller_steps=1:controller_samples=2",
    "nao": ":num_init=8:num_new=4:num_random=2:num_top=2:max_step=2:model.epochs=2:epochs_per_round=1",
}
"""Settings of methods that would otherwise take long for an epoch."""


def _compare_search(context: Context, space: str, form: str, method: str) -> dict[str, Any]:
    pairs = ((context.cpu, "switch"), (context.device, form))
    expected, found = (
        once(context, (method, space, *p), lambda p=p: _search(context, p[0], space, p[1], method)) for p in pairs
    )
    losses, probabilities = (relative_difference(a, b) for a, b in zip(found, expected, strict=True))
    told = verdict(losses, LOSSES, probabilities_difference=probabilities)
    return told | ({} if probabilities <= PROBABILITIES else {"status": "differs"})


def _search(context: Context, device: Any, space: str, form: str, name: str) -> Any:
    """Returns the losses of each search in an epoch, and its probabilities after it."""
    with on(device, "highest"):
        dataset = _dataset(context)
        supernet = training.make_supernet(dataset, channels=4, cells=1, form=form, space=space)
        spec = f"{name}{_SHORTENED.get(name, '')}"
        (method,) = jnas.supernet_methods([spec], supernet, dataset, epochs=2, batch_size=BATCH).values()

        def run(dataset: Any, keys: Any) -> Any:
            def one(key: Any) -> Any:
                begun = begin_search(key, method.searcher)
                done, info = train_epoch(begun, method.searcher, dataset, batch_size=BATCH, split="validation")
                losses = jnp.nan_to_num(jnp.stack([info.train_loss, info.validation_loss]))  # of what was not seen
                return losses, method.searcher.probabilities(done.state)

            return training.over_seeds(one, supernet)(keys)

        return result_on(device, run, dataset, jax.random.split(jax.random.key(0), 2))
