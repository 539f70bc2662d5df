"""The networks and supernets that fit a data set, by the name of their space."""

import json
from typing import Any, Literal

import numpy as np

from jnas.core._registry import DEFAULT_SPACE, make_registry
from jnas.core._vocabulary import FormName, Network, Space, Supernet
from jnas.io._text import not_one_of
from jnas.spaces._registry import SPACES, get
from jnas.training._recipe import Recipe, get_recipe
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._family import Family
from jnas.training.networks.darts._family import FAMILY as DARTS
from jnas.training.networks.nasbench101._family import FAMILY as NASBENCH101
from jnas.training.networks.nasbench101._one_shot_family import ONE_SHOT_FAMILIES
from jnas.training.networks.nasbench201._family import FAMILY as NASBENCH201
from jnas.training.networks.recurrent._family import FAMILY as RECURRENT

FAMILIES = make_registry("space with networks", (NASBENCH201, NASBENCH101, *ONE_SHOT_FAMILIES, DARTS, RECURRENT))
"""The spaces whose networks, or supernets, can be trained."""


def space_of(space: str, nodes: int | None = None) -> Space:
    """Returns a space with networks, of cells of so many nodes where that can be chosen.

    Raises:
      ValueError: It has no networks, or the number of its cells' nodes cannot be chosen.
    """
    family = FAMILIES.entry(space)
    if nodes is None:
        return get(family.name)
    if not family.by_nodes:
        known = " and ".join(row.name for row in FAMILIES.rows.values() if row.by_nodes)
        raise ValueError(f"nodes is {nodes}, the number of nodes of a cell of {known}, not of {space}; leave it out")
    return SPACES.entry(family.name).make(num_nodes=nodes)


def nodes_of_space(space: Space) -> int | None:
    """Returns how many nodes the cells of a space have, where that can be chosen: `space_of` takes it."""
    family = FAMILIES.rows.get(space.name)
    if family is None or not family.by_nodes:
        return None
    return int(json.loads(space.config)["num_nodes"])


def make_network(
    dataset: Dataset | TextDataset,
    recipe: Recipe,
    form: FormName | None = None,
    archs: np.ndarray | None = None,
    *,
    space: str = DEFAULT_SPACE,
    rematerialize: bool = False,
    dtype: Literal["float32", "bfloat16"] = "float32",
    nodes: int | None = None,
) -> Network:
    """Returns the networks of a space's cells for a data set, of the size that a recipe says.

    Args:
      dataset: Says the size of the images and the number of classes; or a text, how many words there are.
      recipe: Says the channels and cells; of language models `channels` are the units.
      form: How an operation is chosen; by default the fastest on this backend, see `train_many`.
      archs: int `[..., K, E]`, for `'dispatch'`: the batches whose counts of operations the program is to have room
        for; by default every operation has room for the whole batch. For `'static'`: the one architecture `[E]`.
      space: `'nasbench201'`; or `'nasbench101'` or `'darts'`, whose forms are `'switch'`, their default everywhere, and
        `'static'`; or `'recurrent'`, of texts, whose forms are `'switch'`, `'mixture'` (the default elsewhere than on
        CPUs) and `'static'`.
      rematerialize: Whether gradients compute the insides of cells again, which takes less memory and more time; their
        last bits may differ.
      dtype: Of images within the network; `'bfloat16'`, of `'darts'` alone, leaves parameters, batch-norm and the loss
        in float32.
      nodes: Of a cell of `'recurrent'`; by default 8.

    Raises:
      ValueError: The space or the form is unknown, `'static'` without an architecture, images for a space of language
        models or a text for another, `'bfloat16'` of networks that do not have it, or nodes for a space whose cells
        have no number of them to choose.

    Example:
      >>> dataset, recipe = jnas.training.load_dataset("digits"), jnas.training.get_recipe("digits-8")
      >>> network = jnas.training.make_network(dataset, recipe)
      >>> round(float(network.parameters(jnp.array([3, 3, 3, 3, 3, 3]))), 4)
      0.0603
    """
    family = FAMILIES.entry(space)
    if family.network is None:
        known = ", ".join(row.name for row in FAMILIES.rows.values() if row.network)
        raise ValueError(
            f"space is {space!r}, whose cells have no networks of their own, expected one of {known}; train them by "
            "their strings, as cells of the space that these are of"
        )
    if dtype != "float32" and not family.bfloat16:
        known = ", ".join(row.name for row in FAMILIES.rows.values() if row.bfloat16)
        raise ValueError(f"dtype is {dtype!r}, which networks of {space} do not have, expected 'float32' (or {known})")
    if form == "static" and (archs is None or np.ndim(archs) != 1):
        raise ValueError("the form 'static' is a program of one architecture; pass it as archs, [E]")
    known_form = _known_form(form or family.default_form(), family.forms, space)
    if nodes is not None:
        space_of(space, nodes)
    check_kind(dataset.name, isinstance(dataset, TextDataset), space)
    if isinstance(dataset, TextDataset):
        if recipe.text is None:
            raise ValueError(f"the recipe {recipe.name!r} trains on images; for a text give one such as 'text-small-8'")
        if rematerialize:
            raise ValueError("rematerialize is for networks of images; language models of one layer do not take it")
        more = {} if nodes is None else {"nodes": nodes}
        return family.network(known_form, archs, num_words=dataset.num_tokens, channels=recipe.channels, **more)
    if recipe.text is not None:
        raise ValueError(f"the recipe {recipe.name!r} trains language models; {space} learns images")
    return family.network(
        known_form,
        archs,
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        channels=recipe.channels,
        cells=recipe.cells,
        epsilon=recipe.batch_norm_epsilon,
        **_asked(rematerialize),
        **({} if dtype == "float32" else {"dtype": dtype}),
        **({"auxiliary": True} if recipe.auxiliary and family.auxiliary else {}),
    )


def make_supernet(
    dataset: Dataset | TextDataset,
    *,
    channels: int = 16,
    cells: int = 5,
    form: Literal["switch", "mixture", "dispatch"] | None = None,
    space: str = DEFAULT_SPACE,
    vertices: int | None = None,
    rematerialize: bool = False,
    operations: str | None = None,
    nodes: int | None = None,
    recipe: Recipe | None = None,
) -> Supernet:
    """Returns the supernet of a space for a data set.

    Args:
      dataset: Says the size of the images and the number of classes; or a text, how many words there are.
      channels: Of the first stage; published searches have 16. Of language models their units, published with 300.
      cells: In each stage; published searches have 5, and 3 modules on NAS-Bench-101; of `'darts'` all of them, 8.
      form: How one operation among several becomes a program; by default the fastest on this backend, a branch
        (`'switch'`) on CPUs, sorted batches (`'dispatch'`) elsewhere. See `jnas.training.train_many`.
      space: `'nasbench201'`; or `'nasbench101'`, `'nasbench1shot1_1'`, `'nasbench1shot1_2'`, `'nasbench1shot1_3'` or
        `'darts'`, whose form is `'switch'` everywhere.
      vertices: Of `'nasbench101'`: the most vertices of a cell, 3 to 7; by default 7.
      rematerialize: Whether gradients compute the insides of cells again, which takes less memory and more time; their
        last bits may differ.
      operations: Of `'darts'`: `'s1'`, `'s2'`, `'s3'` or `'s4'`, a sub-space of RobustDARTS; by default all operations.
      nodes: Of a cell of `'recurrent'`; by default 8.
      recipe: Of texts: what says how they are read and what is left out; by default `'ptb-search-50'`, and for Python's
        documentation `'text-quick-4'`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: The space has no supernet, the form is unknown, a size is out of range, images are not multiples of 4
        high and wide, the data set is of images for a space of language models or the reverse, or vertices, operations,
        nodes or a recipe are given for a space that has none to choose.

    Example:
      >>> supernet = jnas.training.make_supernet(jnas.training.load_dataset("digits"), channels=4, cells=1)
      >>> supernet.space.name, len(supernet.space.num_choices)
      ('nasbench201', 6)
    """
    family = FAMILIES.entry(space)
    if family.supernet is None:
        known = ", ".join(row.name for row in FAMILIES.rows.values() if row.supernet)
        raise ValueError(f"space is {space!r}, which has no supernet, expected one of {known}")
    more: dict[str, Any] = {}
    if operations is not None:
        if not family.sub_spaces:
            known = ", ".join(row.name for row in FAMILIES.rows.values() if row.sub_spaces)
            raise ValueError(f"operations is {operations!r}, which chooses a sub-space of {known}, not of {space}")
        if operations not in family.sub_spaces:
            raise ValueError(not_one_of("operations", operations, family.sub_spaces))
        more["operations"] = operations
    if vertices is not None:
        if not family.by_vertices:
            known = " and ".join(row.name for row in FAMILIES.rows.values() if row.supernet and row.by_vertices)
            raise ValueError(f"vertices is {vertices}, which chooses among the cells of {known}, not of {space}")
        more["max_vertices"] = vertices
    if nodes is not None:
        space_of(space, nodes)
        more["nodes"] = nodes
    check_kind(dataset.name, isinstance(dataset, TextDataset), space)
    usual = family.default_form()
    usual = usual if usual in family.supernet_forms else family.supernet_forms[0]
    known_form = _known_form(form or usual, family.supernet_forms, space)
    if isinstance(dataset, TextDataset):
        if rematerialize:
            raise ValueError("rematerialize is for networks of images; language models of one layer do not take it")
        settings = (recipe or search_recipe(family, dataset)).text
        if settings is None:
            raise ValueError(f"the recipe {recipe and recipe.name!r} trains on images; for a text give 'ptb-search-50'")
        return family.supernet(known_form, num_words=dataset.num_tokens, channels=channels, settings=settings, **more)
    if recipe is not None:
        raise ValueError(f"recipe is {recipe.name!r}, by which supernets of texts are read; {space} learns images")
    return family.supernet(
        known_form,
        **more,
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        channels=channels,
        cells=cells,
        **_asked(rematerialize),
    )


def search_recipe(family: Family, text: TextDataset) -> Recipe:
    """Returns the recipe by which a search of a space of language models reads a text, unless it is told another."""
    assert family.search_recipes is not None
    return get_recipe(family.search_recipes[not text.name.startswith("python-docs")])


def check_kind(dataset: str, is_text: bool, space: str) -> None:
    """Raises a `ValueError` where a space's networks learn images and a data set is a text, or the reverse."""
    if FAMILIES.entry(space).text == is_text:
        return
    others = ", ".join(row.name for row in FAMILIES.rows.values() if row.text == is_text and row.network)
    if is_text:
        raise ValueError(f"the data set {dataset!r} is a text, which {space} does not learn; for it give {others}")
    raise ValueError(f"the data set {dataset!r} is of images, and {space} learns texts; for it give one of {others}")


def _asked(rematerialize: bool) -> dict[str, bool]:
    """Returns an argument that is given where it is asked for alone: not every family takes it."""
    return {"rematerialize": True} if rematerialize else {}


def _known_form(form: FormName, forms: tuple[FormName, ...], space: str) -> FormName:
    if form not in forms:
        raise ValueError(f"{not_one_of('form', form, forms)} for {space}")
    return form


def family_of(parameters: Any) -> Family:
    """Returns the family whose networks have such parameters; for foreign ones the default, which will refuse them."""
    rows = FAMILIES.rows
    return next((row for row in rows.values() if isinstance(parameters, row.parameters)), rows[DEFAULT_SPACE])
