"""What the commands that train have in common: devices, hosts, the data set and the recipe that options name."""

import argparse
import contextlib
import os
from typing import Any

import jax

from jnas.commands._processes import take_share
from jnas.io._compilation_cache import use_compilation_cache
from jnas.io._text import aligned
from jnas.training._recipe import RECIPES, Recipe, get_recipe, recipe_words
from jnas.training.data._reduce import divided_anew, resized, subset
from jnas.training.data._sources import dataset_names, load_dataset
from jnas.training.data._text import TextDataset
from jnas.training.data._text_sources import is_text, load_text, needs_no_files
from jnas.training.networks._families import FAMILIES, check_kind
from jnas.training.runs._train import steps_per_epoch

_PRECISIONS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}
_RECIPE_OPTIONS = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "channels": "channels",
    "stage_cells": "cells",
}


def count_cores() -> int:
    """Returns how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare_devices(options: argparse.Namespace, *, most: int | None = None) -> None:
    """Sets JAX up before it starts its devices: the cache of programs, one device for each CPU core, other hosts.

    A CPU device that works alone on its core is as fast as one that shares two, and a run's results do not depend on
    how many there are.

    Args:
      options: Of `add_training_options`; those of processes and `precision` count.
      most: How many CPU devices there is work for, if not for all.

    Raises:
      ValueError: The options of several hosts do not fit one another.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    if "xla_force_host_platform_device_count" not in flags:
        cores = count_cores()
        with contextlib.suppress(RuntimeError):  # JAX has started: its devices are what they are
            jax.config.update("jax_num_cpu_devices", min(cores, most or cores))  # type: ignore[no-untyped-call]
    use_compilation_cache()
    if options.precision is not None:
        jax.config.update("jax_default_matmul_precision", _PRECISIONS[options.precision])  # type: ignore[no-untyped-call]
    take_share(options)


def show_recipes(options: argparse.Namespace) -> bool:
    """Prints the recipes where they were asked for, and says whether they were."""
    if options.recipe != "help":
        return False
    print("\n".join(aligned([(name, words) for name, (_, words) in RECIPES.items()], "ll")))
    return True


def make_dataset(options: argparse.Namespace) -> Any:
    """Returns the data set that the options name, images or a text; with the space's default where they name none.

    Raises:
      ValueError, OSError: It cannot be had; the message says what to do.
    """
    text = FAMILIES.entry(options.space).text
    if options.dataset is None:
        options.dataset = "python-docs" if text else "digits"
    known = options.dataset.lower()
    if text and (known in map(str.lower, dataset_names()) or known.startswith("tfds:") or known.endswith(".npz")):
        check_kind(options.dataset, False, options.space)
    if not text and is_text(options.dataset):
        check_kind(options.dataset, True, options.space)
    if text:
        return _make_text(options)
    try:
        dataset = load_dataset(options.dataset, data_dir=options.data_dir, seed=options.split_seed)
    except (TypeError, ImportError) as error:  # images of another type; a library that reads them is not installed
        raise ValueError(str(error)) from error
    if options.image_size is not None:
        dataset = resized(dataset, options.image_size)
    for split in list(dataset.splits):
        images = options.train_images if split == "train" else options.eval_images
        if images is not None and images < len(dataset.rows(split)):
            dataset = subset(dataset, split, images, options.split_seed)
    return dataset


def _make_text(options: argparse.Namespace) -> TextDataset:
    """Returns the text that the options name."""
    if options.image_size is not None:
        raise ValueError(f"--image-size is {options.image_size}, which makes images smaller; a text has none")
    text = load_text(options.dataset, data_dir=options.data_dir)
    for split in list(text.splits):
        tokens = options.train_images if split == "train" else options.eval_images
        if tokens is not None and tokens < len(text.tokens(split)):
            if tokens < 2:
                option = "--train-images" if split == "train" else "--eval-images"
                raise ValueError(f"{option} is {tokens}, expected at least 2: of a text it is a number of tokens")
            text = text.first(split, tokens)
    return text


def make_recipe(options: argparse.Namespace, dataset: Any, begun: Any = None) -> Recipe:
    """Returns the recipe that the options name, after checking that the data set fits it.

    Args:
      options: Of `add_training_options`, with `space`.
      dataset: As the options cut it; a part of the digits is trained as all of them are.
      begun: The words of the recipe in the folder that goes on, if one does: where no recipe is named and that is the
        other default, as it was once for a part of the digits, or does not roll back, as once none did, it stays.

    Raises:
      ValueError: There is no such recipe, or the data set is too small for it.
    """
    family = FAMILIES.entry(options.space)
    small, large = family.recipes
    starts = "digits" in (options.dataset, dataset.name) or needs_no_files(options.dataset)
    by_default = (small, large) if starts else (large,)
    asked = {field: getattr(options, option) for option, field in _RECIPE_OPTIONS.items()}
    changes = {field: value for field, value in asked.items() if value is not None}
    recipes = [get_recipe(name, **changes) for name in ((options.recipe,) if options.recipe else by_default)]
    recipes += [one._replace(text=one.text._replace(roll_back=False)) for one in recipes if one.text is not None]
    recipe = next((one for one in recipes if recipe_words(one) == begun), recipes[0])
    if recipe.text is not None and not family.text:
        raise ValueError(f"the recipe {recipe.name!r} trains language models, and {options.space} learns images")
    steps_per_epoch(dataset, recipe)
    return recipe


def divide_as(dataset: Any, recipe: Recipe, options: argparse.Namespace) -> Any:
    """Returns the data set with the images of training and validation in the shares that a recipe says, if it does.

    A text stays as it is: a recipe that says shares is one of images, which the trainings of texts refuse.
    """
    share = None if isinstance(dataset, TextDataset) else recipe.train_share or None
    return with_share(dataset, share, options)


def with_share(dataset: Any, share: float | None, options: argparse.Namespace) -> Any:
    """Returns the data set with this share of the images of training and validation for training; as it is for None."""
    return dataset if share is None else divided_anew(dataset, share, options.split_seed)
