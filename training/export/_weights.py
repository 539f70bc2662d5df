"""The weights of a trained network as a file that other programs can read too, and back."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import numpy as np

from jnas.core._registry import DEFAULT_SPACE
from jnas.core._vocabulary import Network, Space, Weights
from jnas.io._archive import read_archive, write_archive
from jnas.io._fields import describe_fields
from jnas.io._json_checks import check_keys
from jnas.io._text import short
from jnas.spaces._categorical import checked_arch
from jnas.spaces._registry import check_arch, get
from jnas.training._recipe import Recipe, read_recipe, recipe_words
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset, Unit, Vocabulary
from jnas.training.networks._families import FAMILIES, check_kind, family_of, space_of

FORMAT = "jnas-weights"
VERSION = 1
_REMEDY = "give a file that jnas.training.save_weights or `jnas train` wrote"
_MOST_NUMBERS = 1 << 29  # 2 GiB of float32: a file of few bytes must not ask for more
_FIELDS = ("format", "version", "space", "arch", "recipe", "dataset", "image_shape", "num_classes", "mean", "std")
_TEXT_FIELDS = ("format", "version", "space", "arch", "recipe", "dataset", "nodes", "unit", "vocabulary")


@describe_fields
class TrainedNetwork(NamedTuple):
    """A trained network, and what one must know to use it.

    A language model has no images: their shape is zeros, `num_classes` the size of its vocabulary.

    Attributes:
      arch: int32 `[E]`.
      weights: Parameters and running statistics.
      recipe: Its sizes and batch-norm's epsilon are the network's.
      dataset: The name of the data set that it learned.
      image_shape: Height, width, channels.
      num_classes: Of the data set.
      mean: Of each channel; the network takes `(pixels - mean) / std`.
      std: Of each channel.
      space: That of the architecture.
      vocabulary: Of a language model, which takes the numbers of its tokens.
      nodes: Of the architecture, where its space is one of cells of a number of nodes.
    """

    arch: np.ndarray
    weights: Weights
    recipe: Recipe
    dataset: str
    image_shape: tuple[int, int, int]
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    space: str = DEFAULT_SPACE
    vocabulary: Vocabulary | None = None
    nodes: int | None = None


def save_weights(
    path: str | os.PathLike[str], arch: Any, weights: Weights, dataset: Dataset | TextDataset, recipe: Recipe
) -> None:
    """Writes the weights of one run to an `.npz` file, whole or not at all.

    The file has what the architecture has and no more, under names such as `stages/0/cells/2/edge 3/kernel`. Kernels
    are `[height, width, inputs, outputs]`, for images `[B, H, W, C]`, and linear layers `[inputs, outputs]`; a
    batch-norm has `scale`, `shift`, and the running `mean` and `variance`. Edges are counted in the order of the
    architecture string. A network of NAS-Bench-101 has `stacks/0/modules/2/vertex 1/kernel` and `input to vertex 1` or
    `input to output` for the convolutions of such edges; vertices are counted as in the architecture string. `header`
    is JSON: the space, the architecture, the recipe, the data set's name, image shape, number of classes and
    normalization. A language model's has the vocabulary in the place of the last three, and `words` `[V, D]`, `bias`
    `[V]`, `cell/initial` and `cell/node 1`, ... are its arrays; its cell puts out the mean of all nodes.

    Args:
      path: Where to.
      arch: int `[6]`, of NAS-Bench-101 `[26]`, of recurrent cells `[2 n]`, or an architecture string.
      weights: What `train` returned for it; they say which space it is.
      dataset: What was learned.
      recipe: How.

    Raises:
      OSError: The file cannot be written.
      ValueError: The weights are those of many runs, or of another network, or do not learn such data.
    """
    family = family_of(weights.parameters)
    nodes = family.nodes_of(weights.parameters) if family.nodes_of else None
    space = space_of(family.name, nodes)
    check_kind(dataset.name, isinstance(dataset, TextDataset), space.name)
    cell = _checked_cell(arch, space)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "space": space.name,
        "arch": space.to_string(cell),
        "recipe": recipe_words(recipe),
        "dataset": dataset.name,
    }
    if isinstance(dataset, TextDataset):
        vocabulary = dataset.vocabulary
        header |= {"nodes": nodes, "unit": vocabulary.unit, "vocabulary": list(vocabulary.tokens)}
        shape, num_classes = (0, 0, 0), dataset.num_tokens
    else:
        height, width, channels = (int(size) for size in dataset.image_shape)
        shape, num_classes = (height, width, channels), dataset.num_classes
        header |= {"image_shape": list(shape), "num_classes": num_classes}
        header |= {"mean": list(dataset.mean), "std": list(dataset.std)}
    weights = jax.tree.map(np.asarray, weights)
    expected = _empty(space, recipe, shape, num_classes)
    structures: list[Any] = [jax.tree.structure(tree) for tree in (weights, expected)]
    if structures[0] != structures[1]:
        raise ValueError(f"weights are not those of a network of {space.name} with {recipe.cells} cells in each stage")
    for leaf, like in zip(jax.tree.leaves(weights), jax.tree.leaves(expected), strict=True):
        if leaf.shape != like.shape:
            raise ValueError(
                f"weights have an array {list(leaf.shape)}, expected {list(like.shape)} for one run of this recipe on "
                f"{dataset.name}; choose one of many by jax.tree.map(lambda x: x[number], weights)"
            )
    named = family.named_arrays(cell, *weights)
    write_archive(path, header, {name: np.ascontiguousarray(array) for name, array in named})


def load_weights(path: str | os.PathLike[str]) -> TrainedNetwork:
    """Returns what `save_weights` wrote.

    `to_flax(found)` makes a module of it, but for NAS-Bench-101; `evaluate` takes it with
    `make_network(dataset, found.recipe, space=found.space)`, `evaluate_text` with `nodes=found.nodes` besides. Arrays
    are NumPy's.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is damaged, or something else. Nothing in it is run.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights at {path}")
    found: list[TrainedNetwork] = []  # what the header says, with weights of nothing yet

    def check(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        try:
            found.append(_begin(header, arrays))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a file of weights ({short(str(error), 300)}); {_REMEDY}") from None

    arrays = read_archive(path, kind="a file of weights", remedy=_REMEDY, check=check).arrays
    network = found[0]
    for name, place in FAMILIES.entry(network.space).named_arrays(network.arch, *network.weights):
        place[...] = arrays[name]
    return network


def _begin(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> TrainedNetwork:
    """Returns what a header says, with weights that are yet to be filled; raises where the arrays are not theirs."""
    found = _check_header(header)
    space = space_of(found.space, found.nodes)
    weights, left = _empty(space, found.recipe, found.image_shape, found.num_classes), dict(arrays)
    for name, place in FAMILIES.entry(found.space).named_arrays(found.arch, *weights):
        array = left.pop(name, None)
        if array is None or array.shape != place.shape or array.dtype != np.float32:
            told = "missing" if array is None else f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"{name} is {told}, expected float32 {list(place.shape)}")
    if left:
        raise ValueError(f"{next(iter(left))!r} is nothing that this architecture has")
    return found._replace(weights=weights)


def _check_header(header: Mapping[str, Any]) -> TrainedNetwork:
    """Returns what a header says, without the weights."""
    is_text = "vocabulary" in header
    fields = _TEXT_FIELDS if is_text else _FIELDS
    check_keys(header, fields, fields, "its header")
    if (header["format"], header["version"]) != (FORMAT, VERSION) or not _is_trained(header["space"]):
        told = f"it is of the kind {header['format']!r}, version {header['version']!r}, space {header['space']!r}"
        raise ValueError(told)
    recipe = read_recipe(header["recipe"])
    if is_text:
        return _check_text_header(header, recipe)
    sizes = (*header["image_shape"], header["num_classes"])
    if len(sizes) != 4 or any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(f"the sizes of its images and the number of classes are {sizes}")
    mean, std = (tuple(float(value) for value in header[name]) for name in ("mean", "std"))
    if len(mean) != sizes[2] or len(std) != sizes[2] or not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise ValueError(f"its normalization is {mean} and {std}")
    for name in ("arch", "dataset"):
        if not isinstance(header[name], str):
            raise TypeError(f"{name} is {header[name]!r}, expected text")
    height, width, channels, num_classes = sizes
    shape = (height, width, channels)
    space = get(header["space"])
    arch, none = _checked_cell(header["arch"], space), Weights(None, None)
    return TrainedNetwork(arch, none, recipe, header["dataset"], shape, num_classes, mean, std, space.name)


def _check_text_header(header: Mapping[str, Any], recipe: Recipe) -> TrainedNetwork:
    """Returns what the header of a language model says, without the weights."""
    words, nodes = header["vocabulary"], header["nodes"]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError("its vocabulary is no list of words")
    if header["unit"] not in get_args(Unit) or isinstance(nodes, bool) or not isinstance(nodes, int):
        raise ValueError(f"its vocabulary is of {header['unit']!r}, and its cells have {nodes!r} nodes")
    for name in ("arch", "dataset"):
        if not isinstance(header[name], str):
            raise TypeError(f"{name} is {header[name]!r}, expected text")
    space = space_of(header["space"], nodes)
    arch, none = _checked_cell(header["arch"], space), Weights(None, None)
    vocabulary = Vocabulary(tuple(words), header["unit"])
    told = (recipe, header["dataset"], (0, 0, 0), len(words), (), ())
    return TrainedNetwork(arch, none, *told, space.name, vocabulary, nodes)


def _is_trained(space: Any) -> bool:
    return space in FAMILIES.rows and FAMILIES.rows[space].network is not None


def _checked_cell(arch: Any, space: Space) -> np.ndarray:
    cell = space.from_string(arch) if isinstance(arch, str) else checked_arch(arch, space.num_choices)
    check_arch(space, cell)
    return cell


def _empty(space: Space, recipe: Recipe, image_shape: tuple[int, int, int], num_classes: int) -> Weights:
    """Returns parameters of zeros, and the statistics of a network that has learned nothing."""
    family = FAMILIES.entry(space.name)
    assert family.network is not None
    if family.text != (recipe.text is not None):
        raise ValueError(f"the recipe {recipe.name!r} does not train networks of {space.name}")
    if family.text:
        nodes, units = space.num_decisions // 2, recipe.channels
        if num_classes * units + (2 * nodes + 4) * units**2 > _MOST_NUMBERS:
            raise ValueError(f"a language model of {num_classes:,} words, {units} units and {nodes} nodes is too large")
        return _of_zeros(family.network(family.forms[0], None, num_words=num_classes, channels=units, nodes=nodes))
    rough = recipe.channels**2 * (recipe.cells * 1134 + 500) + recipe.channels * (image_shape[2] * 9 + num_classes * 4)
    if rough > _MOST_NUMBERS:
        raise ValueError(f"a network of {recipe.channels} channels and {recipe.cells} cells in each stage is too large")
    sizes: Any = {"image_shape": image_shape, "num_classes": num_classes}
    sizes |= {"auxiliary": True} if recipe.auxiliary and family.auxiliary else {}
    sizes |= {"channels": recipe.channels, "cells": recipe.cells, "epsilon": recipe.batch_norm_epsilon}
    return _of_zeros(family.network(family.forms[0], None, **sizes))


def _of_zeros(network: Network) -> Weights:
    arch = np.zeros(network.space.num_decisions, np.int32)
    shapes = jax.eval_shape(network.init, jax.eval_shape(lambda: jax.random.key(0)), arch)
    parameters, statistics = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    for leaf in jax.tree.leaves(statistics):
        leaf[..., 1, :] = 1
    return Weights(parameters, statistics)
