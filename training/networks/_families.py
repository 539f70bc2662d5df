"""The networks that fit a data set and a recipe, in the form that suits the backend."""

from collections.abc import Callable

import jax
import numpy as np

from jnas.spaces.nasbench201._cells import NUM_CHOICES, OPERATIONS
from jnas.training._network import Network
from jnas.training._recipe import Recipe
from jnas.training.data._dataset import Dataset
from jnas.training.networks.nasbench101._network import nasbench101_network
from jnas.training.networks.nasbench201._network import nasbench201_network
from jnas.training.operations._forms import (
    Capacities,
    Form,
    FormName,
    capacities_of,
    dispatch_form,
    mixture_form,
    static_form,
    switch_form,
)

CONVOLUTIONS = (OPERATIONS.index("nor_conv_1x1"), OPERATIONS.index("nor_conv_3x3"))


SPACES = ("nasbench201", "nasbench101")
"""The spaces whose networks can be trained."""


def make_network(
    dataset: Dataset,
    recipe: Recipe,
    form: FormName | None = None,
    archs: np.ndarray | None = None,
    *,
    space: str = "nasbench201",
) -> Network:
    """Returns the networks of a space's cells for a data set, of the size that a recipe says.

    Args:
      dataset: Says the size of the images and the number of classes.
      recipe: Says the channels and cells.
      form: How an operation is chosen; by default the fastest on this backend, see `train_many`.
      archs: int `[..., K, E]`, for `'dispatch'`: the batches whose counts of operations the program is to have room
        for; by default every operation has room for the whole batch. For `'static'`: the one architecture `[E]`.
      space: `'nasbench201'`; or `'nasbench101'`, whose forms are `'switch'`, its default everywhere, and `'static'`.

    Raises:
      ValueError: The space or the form is unknown, or `'static'` without an architecture.
    """
    if space not in SPACES:
        raise ValueError(f"space is {space!r}; networks exist for {' and '.join(SPACES)}")
    if form == "static" and (archs is None or np.ndim(archs) != 1):
        raise ValueError("the form 'static' is a program of one architecture; pass it as archs, [E]")
    if space == "nasbench101":
        return _nasbench101(dataset, recipe, form, archs)
    form = form or default_form()
    forms: dict[str, Callable[[], Form]] = {
        "switch": switch_form,
        "mixture": mixture_form,
        "dispatch": lambda: dispatch_form(None if archs is None else _room(np.asarray(archs))),
        "static": lambda: static_form(np.asarray(archs).tolist()),
    }
    if form not in forms:
        raise ValueError(f"form is {form!r}, expected one of {', '.join(forms)}")
    return nasbench201_network(
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        channels=recipe.channels,
        cells=recipe.cells,
        form=forms[form](),
        epsilon=recipe.batch_norm_epsilon,
        convolution="patches" if form in ("dispatch", "mixture") else "auto",
    )


def _nasbench101(dataset: Dataset, recipe: Recipe, form: FormName | None, archs: np.ndarray | None) -> Network:
    if form not in (None, "switch", "static"):
        raise ValueError(f"form is {form!r}, expected 'switch' or 'static' for nasbench101")
    return nasbench101_network(
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        channels=recipe.channels,
        modules=recipe.cells,
        arch=archs if form == "static" else None,
        epsilon=recipe.batch_norm_epsilon,
    )


def padding(batches: np.ndarray) -> float:
    """Returns how many times the convolutions of its candidates a sorted batch computes: 1 where there is no padding.

    Args:
      batches: int `[..., K, E]`, as `make_network` is given them.
    """
    room = np.asarray(_room(batches))  # [E, choices]
    computed = room[:, list(CONVOLUTIONS)].sum() * np.prod(batches.shape[:-2])
    return float(computed / np.isin(batches, CONVOLUTIONS).sum())


def _room(batches: np.ndarray) -> Capacities:
    return capacities_of(batches.reshape(-1, batches.shape[-1]), NUM_CHOICES, batches.shape[-2])


def default_form() -> FormName:
    """Returns NAS-Bench-201's fastest form on the default backend: a branch on CPUs, sorted batches elsewhere."""
    return "switch" if jax.default_backend() == "cpu" else "dispatch"
