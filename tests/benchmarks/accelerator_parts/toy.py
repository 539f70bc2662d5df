"""A space of two edges with three operations each, in every form: what stands for real networks at the small size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.spaces import categorical
from jnas.spaces._registry import SPACES, SpaceEntry
from jnas.training import Network, Supernet
from jnas.training.networks._families import FAMILIES
from jnas.training.networks._family import Family
from jnas.training.operations._forms import capacities_of, dispatch_form, mixture_form, static_form, switch_form

NAME = "toy"
EDGES, OPERATIONS = 2, ("none", "scale", "square")


def space() -> Any:
    """Returns the space."""
    return categorical((len(OPERATIONS),) * EDGES, OPERATIONS, name=NAME)


class Parameters(NamedTuple):
    """A factor for each pixel of a half, and the linear layer."""

    scale: Any  # [EDGES, P]
    head: Any  # [P, classes]


def _initial(key: Any, image_shape: Any, num_classes: int) -> Any:
    size = int(np.prod(image_shape)) // EDGES
    return Parameters(jnp.ones((EDGES, size)), 0.1 * jax.random.normal(key, (size, num_classes))), ()


def _operations() -> list[Any]:
    return [lambda x, _: jnp.zeros_like(x), lambda x, scale: x * scale[None], lambda x, scale: x**2 * scale[None]]


def _apply(parameters: Parameters, images: Any, result: Any) -> Any:
    halves = jnp.split(images.reshape(len(images), -1), EDGES, axis=1)
    node = sum(result(edge, x, parameters.scale[edge]) for edge, x in enumerate(halves))
    return node @ parameters.head, ()


def _make_form(name: str, archs: Any) -> Any:
    if name == "static":
        return static_form(archs)
    if name == "dispatch" and archs is not None:
        archs = np.asarray(archs)
        return dispatch_form(capacities_of(archs.reshape(-1, EDGES), (len(OPERATIONS),) * EDGES, archs.shape[-2]))
    return {"switch": switch_form, "mixture": mixture_form, "dispatch": dispatch_form}[name]()


def _network(name: str, archs: Any, *, image_shape: Any, num_classes: int, **sizes: Any) -> Network:
    form = _make_form(name, archs)

    def apply(parameters: Any, statistics: Any, arch: Any, images: Any) -> Any:
        return _apply(parameters, images, lambda e, x, scale: form.choose(e, _operations(), arch[e], x, scale))

    def work(arch: Any) -> Any:
        return 1e-3 * (1 + jnp.sum(jnp.asarray(arch) > 0).astype(jnp.float32))

    def has(arch: Any) -> Any:
        shapes = jax.eval_shape(lambda: _initial(jax.random.key(0), image_shape, num_classes)[0])
        return jax.tree.map(lambda leaf: jnp.ones(leaf.shape, bool), shapes)

    return Network(
        init=lambda key, arch: _initial(key, image_shape, num_classes),
        apply=apply,
        has=has,
        counts=lambda shape: (),
        parameters=work,
        flops=work,
        space=space(),
        form=name,
    )


def _supernet(name: str, *, image_shape: Any, num_classes: int, **sizes: Any) -> Supernet:
    form = _make_form(name, None)

    def mixed(weights: Any) -> Any:
        return lambda e, x, scale: sum(weights[e, k] * f(x, scale) for k, f in enumerate(_operations()))

    def chosen(arch: Any) -> Any:
        return lambda e, x, scale: form.choose(e, _operations(), arch[e], x, scale)

    def straight(weights: Any, arch: Any) -> Any:
        return lambda e, x, scale: weights[e, arch[e]] * form.choose(e, _operations(), arch[e], x, scale)

    return Supernet(
        init=lambda key: _initial(key, image_shape, num_classes),
        mixture=lambda p, s, weights, x: _apply(p, x, mixed(weights)),
        sampled=lambda p, s, arch, x: _apply(p, x, chosen(arch)),
        straight_through=lambda p, s, weights, arch, x: _apply(p, x, straight(weights, arch)),
        running=lambda statistics, used, keep, shape, arch=None: (),
        space=space(),
        form=name,
    )


FAMILY = Family(
    name=NAME,
    network=_network,
    forms=("switch", "mixture", "dispatch", "static"),
    recipes=("small-12", "small-12"),
    parameters=Parameters,
    supernet=_supernet,
    supernet_forms=("switch", "mixture", "dispatch"),
)


@contextmanager
def registered() -> Iterator[None]:
    """Has the library know the space."""
    SPACES.rows[NAME], FAMILIES.rows[NAME] = SpaceEntry(NAME, "Toy", space), FAMILY
    try:
        yield
    finally:
        del SPACES.rows[NAME], FAMILIES.rows[NAME]
