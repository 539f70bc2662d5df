"""Recipes: how a network is trained, as data.

Published settings are those of the papers and of what was released with them: DARTS's `cnn/train.py`; for NAS-Bench-301
its appendix; for BANANAS on DARTS's cells `cnn/train_class.py` of naszilla/darts and `darts/arch.py` of naszilla
(36 channels, 20 cells, validation on 0.3 of the training images, and the mean of the last five epochs); for
DARTS-Bench-Suite `scripts/benchsuite_experiments` and `DiscreteProfile` of automl/ConfigurableOptimizer.
"""

import itertools
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import optax

from jnas.core._registry import unknown_name
from jnas.core._widths import narrow_optimizer
from jnas.io._fields import describe_fields
from jnas.io._json_checks import check_keys
from jnas.io._text import not_one_of

BatchNormPolicy = Literal["running", "batch", "reestimated"]
"""What batch-norm uses in evaluation; see `Recipe`."""

Optimizer = Literal["sgd", "rmsprop"]
"""`sgd` with momentum, Nesterov's unless a recipe says otherwise; TensorFlow's `rmsprop`, with epsilon inside the root
and a first mean square of 1."""


@describe_fields
class TextRecipe(NamedTuple):
    """What a recipe says of language models besides: windows, what is left out, penalties, averaging.

    A window's length is drawn: `window`, or with a probability of `half_window` half of that, and a normal number of
    the deviation `window_deviation` more, at least 5 and at most `window` + `most_longer`; the learning rate of its
    step is in proportion. What is left out is drawn once for a window.

    References:
      "Regularizing and Optimizing LSTM Language Models", Merity, Keskar and Socher, 2018, Sections 3 to 5; defaults as
      DARTS trains on Penn Treebank.

    Attributes:
      window: Tokens through which gradients go back.
      window_deviation: Of the lengths of windows, in tokens; 0 for windows that are not jittered.
      half_window: The probability of half a window.
      most_longer: How many tokens a window may be longer.
      drop_words: The share of the vocabulary that is left out, in the whole window.
      drop_embedding: The share that is left out of embedded words.
      drop_input: The share that is left out of what enters the cell's first product.
      drop_hidden: The share that is left out of the states that enter its products.
      drop_output: The share that is left out of what the cells give to the decoder.
      activation: Weight of the mean square of outputs.
      slowness: Weight of the mean square of their changes from a step to the next.
      patience: Weights are averaged once the validation loss is above that of all but so many last epochs; 0 for never.
      roll_back: After an epoch whose losses are not finite: to the weights of the best epoch before.
    """

    window: int = 35
    window_deviation: float = 5.0
    half_window: float = 0.05
    most_longer: int = 20
    drop_words: float = 0.1
    drop_embedding: float = 0.2
    drop_input: float = 0.75
    drop_hidden: float = 0.25
    drop_output: float = 0.75
    activation: float = 0.0
    slowness: float = 1e-3
    patience: int = 5
    roll_back: bool = True


@describe_fields
class Recipe(NamedTuple):
    """The hyper-parameters of a training run; Python values, so that a program is compiled for each recipe.

    The learning rate follows a cosine from `learning_rate` to 0 over all steps; with `zero_first_step` it is 0 at the
    first, so that only the optimizer's moments see that step. Weight decay is added to the gradient of every parameter,
    those of batch-norm and biases included, as the published benchmarks do. An epoch's last images that do not fill a
    batch are left out; another permutation leaves others out in the next.

    Attributes:
      name: What commands and pages call it.
      epochs: Of training.
      batch_size: Examples in a batch; streams of a text.
      optimizer: Its name.
      learning_rate: At the start.
      momentum: Of `sgd`.
      weight_decay: Added to the gradient, by this weight.
      channels: Of the network's first stage.
      cells: In each stage of the network; all cells of DARTS's.
      batch_norm_momentum: What running estimates keep of themselves at a step.
      batch_norm_epsilon: Added to the variance.
      batch_norm: In evaluation: running estimates, each batch's own statistics, or means over `batch_norm_batches`
        training batches, not augmented, with the weights as they are.
      batch_norm_batches: How many batches that policy takes.
      eval_batch_size: Examples in a batch of an evaluation.
      label_smoothing: Share of the target that all classes have alike.
      zero_first_step: Whether the learning rate of the first step is 0: it is seen by the optimizer's moments alone.
      nesterov: Whether the momentum of `sgd` is Nesterov's.
      clip: Largest norm of the gradient of all parameters, before weight decay; 0 for none.
      cutout: Side of a square cut out of training images, where the data set does not cut out a larger one.
      mixup: Images and losses are mixed in pairs by a share drawn from Beta(mixup, mixup); 0 for not.
      auxiliary: Weight of the loss of a network's auxiliary head; 0 for none.
      drop_path: Probability with which a path is left out, growing from 0 at the first epoch to this.
      train_share: Share of the images of train and validation that is learned from; 0: splits stay.
      score_epochs: How many last epochs' mean is the score of a run in a search; all of a shorter run.
      text: Of a language model, whose learning rate is constant; `channels` are its units.
    """

    name: str
    epochs: int
    batch_size: int = 256
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    channels: int = 16
    cells: int = 5
    batch_norm_momentum: float = 0.9
    batch_norm_epsilon: float = 1e-5
    batch_norm: BatchNormPolicy = "running"
    batch_norm_batches: int = 8
    eval_batch_size: int = 256
    label_smoothing: float = 0.0
    zero_first_step: bool = False
    nesterov: bool = True
    clip: float = 0.0
    cutout: int = 0
    mixup: float = 0.0
    auxiliary: float = 0.0
    drop_path: float = 0.0
    train_share: float = 0.0
    score_epochs: int = 1
    text: TextRecipe | None = None


_LATER = {
    "zero_first_step": False,
    "nesterov": True,
    "clip": 0.0,
    "cutout": 0,
    "mixup": 0.0,
    "auxiliary": 0.0,
    "drop_path": 0.0,
    "train_share": 0.0,
    "score_epochs": 1,
    "text": None,
}
"""Fields that files and folders of before do not have, and what they mean there."""


def _darts(name: str, epochs: int, **changes: Any) -> Recipe:
    """Returns a recipe of DARTS's evaluation, with changes. (The released scripts change the rate once in an epoch.)"""
    settings: dict[str, Any] = {
        "batch_size": 96,
        "learning_rate": 0.025,
        "weight_decay": 3e-4,
        "eval_batch_size": 96,
        "nesterov": False,
        "clip": 5.0,
        "cutout": 16,
        "auxiliary": 0.4,
    }
    return Recipe(name, epochs, **(settings | changes))


def _benchsuite() -> dict[str, tuple[Recipe, str]]:
    """Returns the nine settings of DARTS-Bench-Suite, numbered as its scripts do, on its wide networks.

    As released they have no auxiliary head, though the scripts give its loss a weight. Its networks of one cell have
    eight nodes, which the DARTS space has not.
    """
    found = {}
    for number, (rate, decay) in enumerate(itertools.product((0.025, 0.1, 0.01), (1e-4, 3e-4, 1e-3)), 1):
        sizes: dict[str, Any] = {"batch_size": 512, "eval_batch_size": 512, "channels": 18, "cells": 4}
        name = f"dartsbenchsuite{number}-300"
        recipe = _darts(name, 300, learning_rate=rate, weight_decay=decay, drop_path=0.3, auxiliary=0.0, **sizes)
        more = "; 300 epochs of its wide networks (--channels 7 --stage-cells 18: its deep ones)" if number == 1 else ""
        words = f"DARTS-Bench-Suite, setting {number} of nine: learning rate {rate:g}, weight decay {decay:g}{more}"
        found[name] = recipe, words
    return found


def _text(name: str, epochs: int, text: TextRecipe, **changes: Any) -> Recipe:
    """Returns a recipe of DARTS's on Penn Treebank, with changes."""
    settings: dict[str, Any] = {
        "batch_size": 64,
        "learning_rate": 20.0,
        "momentum": 0.0,
        "weight_decay": 8e-7,
        "channels": 850,
        "cells": 1,
        "nesterov": False,
        "clip": 0.25,
        "eval_batch_size": 10,
        "text": text,
    }
    return Recipe(name, epochs, **(settings | changes))


_LIGHT = TextRecipe(drop_words=0.0, drop_embedding=0.0, drop_input=0.1, drop_hidden=0.1, drop_output=0.1, slowness=0.0)
"""For small models, which learn too little to forget."""

RECIPES: dict[str, tuple[Recipe, str]] = {
    "nasbench201-200": (
        Recipe("nasbench201-200", 200),
        "NAS-Bench-201's H-dagger: 200 epochs, SGD with Nesterov's momentum, batches of 256",
    ),
    "nasbench201-12": (Recipe("nasbench201-12", 12), "NAS-Bench-201's H-double-dagger: the same in 12 epochs"),
    "nasbench101-108": (
        Recipe(
            "nasbench101-108",
            108,
            optimizer="rmsprop",
            learning_rate=0.2,
            weight_decay=1e-4,
            channels=128,
            cells=3,
            batch_norm_momentum=0.997,
            zero_first_step=True,
        ),
        "NAS-Bench-101: 108 epochs, RMSProp, the first step at rate 0; the published batches of 256 are two of 128 for "
        "batch-norm",
    ),
    "small101-12": (
        Recipe(
            "small101-12",
            12,
            batch_size=64,
            optimizer="rmsprop",
            learning_rate=0.2,
            weight_decay=1e-4,
            channels=8,
            cells=1,
            eval_batch_size=120,
        ),
        "12 epochs of a small network of NAS-Bench-101: 8 channels, one module in each stack, batches of 64; RMSProp",
    ),
    "darts-600": (
        _darts("darts-600", 600, channels=36, cells=20, drop_path=0.2),
        "DARTS: 600 epochs of 36 channels and 20 cells, cutout, auxiliary head, paths dropped up to 0.2",
    ),
    "nasbench301-100": (
        _darts("nasbench301-100", 100, channels=32, cells=8, drop_path=0.2, mixup=0.2),
        "NAS-Bench-301: 100 epochs of 32 channels and 8 cells, with mixup besides",
    ),
    "darts-50": (
        _darts("darts-50", 50, channels=36, cells=20, drop_path=0.2, train_share=0.7, score_epochs=5),
        "BANANAS on DARTS's cells: 50 epochs of 36 channels and 20 cells on 0.7 of the images",
    ),
    **_benchsuite(),
    "darts-small-12": (
        _darts("darts-small-12", 12, batch_size=64, channels=8, cells=5, cutout=8, auxiliary=0.0),
        "12 epochs of a small network of DARTS's cells, for CIFAR-10 at 16x16: 8 channels, 5 cells, batches of 64",
    ),
    "darts-digits-8": (
        _darts("darts-digits-8", 8, batch_size=64, channels=4, cells=3, cutout=0, auxiliary=0.0, eval_batch_size=120),
        "8 epochs of a small network of DARTS's cells on images of 8x8: 4 channels, 3 cells, batches of 64",
    ),
    "ptb-darts-8000": (
        _text("ptb-darts-8000", 8000, TextRecipe()),
        "DARTS on Penn Treebank: 8,000 epochs of 850 units, batches of 64 windows of about 35 words, averaged SGD",
    ),
    "ptb-evalnas-1000": (
        _text("ptb-evalnas-1000", 1000, TextRecipe()),
        "the same in 1,000 epochs, as the evaluation of search phases of Yu et al. trains its recurrent cells",
    ),
    "ptb-search-50": (
        _text(
            "ptb-search-50",
            50,
            TextRecipe(window_deviation=0.0, drop_words=0.0),
            batch_size=256,
            weight_decay=5e-7,
            channels=300,
        ),
        "DARTS's search on Penn Treebank: 300 units, batches of 256, 50 epochs",
    ),
    "text-small-8": (
        _text("text-small-8", 8, _LIGHT, channels=64, batch_size=32),
        "8 epochs of a small language model: 64 units, batches of 32 windows; for part of a text or few hours",
    ),
    "text-quick-4": (
        _text(
            "text-quick-4",
            4,
            _LIGHT._replace(window_deviation=0.0, half_window=0.0),
            channels=32,
            batch_size=32,
        ),
        "4 epochs of a tiny language model, for Python's documentation: 32 units, batches of 32 windows",
    ),
    "digits-8": (
        Recipe("digits-8", 8, batch_size=64, channels=4, cells=3, eval_batch_size=120),
        "8 epochs on images of 8x8: 4 channels, three cells in each stage, batches of 64; what the embedded table has",
    ),
    "small-12": (
        Recipe("small-12", 12, batch_size=64, channels=8, cells=1),
        "12 epochs of a small network, for small data or few hours: 8 channels, one cell in each stage",
    ),
}
"""Every recipe by name, with a line that says what it is."""


def get_recipe(name: str, **changes: Any) -> Recipe:
    """Returns a recipe by its name, with some of its fields changed.

    Args:
      name: One of `RECIPES`.
      **changes: Fields of `Recipe`; `epochs=3` for a shorter run.

    Raises:
      ValueError: There is no such recipe, or a value makes no sense.

    Example:
      >>> recipe = jnas.training.get_recipe("nasbench201-200", epochs=3)
      >>> recipe.epochs, recipe.batch_size, recipe.learning_rate
      (3, 256, 0.1)
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    for field in changes:
        if field not in Recipe._fields:
            raise unknown_name("field of a recipe", field, Recipe._fields)
    return check_recipe(RECIPES[name][0]._replace(**changes))


_OF_IMAGES = ("zero_first_step", "label_smoothing", "cutout", "mixup", "auxiliary", "drop_path", "train_share")
_COUNTS = ("epochs", "batch_size", "channels", "cells", "batch_norm_batches", "eval_batch_size", "score_epochs")
_MOST_DROPPED = 0.99


def check_recipe(recipe: Recipe) -> Recipe:
    """Returns the recipe, or raises a `ValueError` or `TypeError` that names the field that makes no sense."""
    for field in (*_COUNTS, "cutout"):
        value, least = getattr(recipe, field), int(field in _COUNTS)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"the recipe's {field} is {value!r}, expected a Python int")
        if value < least:
            raise ValueError(f"the recipe's {field} is {value}, expected at least {least}")
        if value >= 2**31:
            raise ValueError(f"the recipe's {field} is {value}, expected less than 2**31")
    for field, low, high in (
        ("learning_rate", 0.0, float("inf")),
        ("weight_decay", 0.0, float("inf")),
        ("momentum", 0.0, 1.0),
        ("batch_norm_momentum", 0.0, 1.0),
        ("batch_norm_epsilon", 0.0, float("inf")),
        ("label_smoothing", 0.0, 1.0),
        ("clip", 0.0, float("inf")),
        ("mixup", 0.0, float("inf")),
        ("auxiliary", 0.0, float("inf")),
        ("drop_path", 0.0, _MOST_DROPPED),
        ("train_share", 0.0, _MOST_DROPPED),
    ):
        value = getattr(recipe, field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"the recipe's {field} is {value!r}, expected a Python float")
        if not low <= value <= high or value == float("inf"):
            raise ValueError(f"the recipe's {field} is {value}, expected a number from {low} to {high}")
    if recipe.text is not None:
        _check_text(recipe, recipe.text)
    if recipe.optimizer not in get_args(Optimizer):
        raise ValueError(not_one_of("the recipe's optimizer", recipe.optimizer, get_args(Optimizer)))
    for field in ("zero_first_step", "nesterov"):
        if not isinstance(getattr(recipe, field), bool):
            raise TypeError(f"the recipe's {field} is {getattr(recipe, field)!r}, expected True or False")
    if recipe.batch_norm not in get_args(BatchNormPolicy):
        raise ValueError(not_one_of("the recipe's batch_norm", recipe.batch_norm, get_args(BatchNormPolicy)))
    return recipe


def _check_text(recipe: Recipe, text: TextRecipe) -> None:
    """Raises a `ValueError` or `TypeError` that names the field of a language model's that makes no sense."""
    if not isinstance(text, TextRecipe):
        raise TypeError(f"the recipe's text is {text!r}, expected a TextRecipe or None")
    if not isinstance(text.roll_back, bool):
        raise TypeError(f"the recipe's roll_back is {text.roll_back!r}, expected True or False")
    numbers = {field: value for field, value in text._asdict().items() if field != "roll_back"}
    for field, value in numbers.items():
        whole, share = field in ("window", "most_longer", "patience"), field.startswith(("drop_", "half_"))
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise TypeError(f"the recipe's {field} is {value!r}, expected a Python {'int' if whole else 'float'}")
        least, most = float(field == "window"), _MOST_DROPPED if share else float(2**16 if whole else 1e6)
        if not least <= value <= most:
            raise ValueError(f"the recipe's {field} is {value}, expected a number from {least:g} to {most:g}")
    if recipe.cells != 1:
        raise ValueError(f"the recipe's cells is {recipe.cells}, expected 1: language models have one recurrent layer")
    for field in _OF_IMAGES:
        if getattr(recipe, field):
            raise ValueError(
                f"the recipe's {field} is {getattr(recipe, field)}, expected {Recipe._field_defaults[field]}: language "
                "models are trained without"
            )
    if (recipe.optimizer, recipe.momentum) != ("sgd", 0):
        raise ValueError(
            f"the recipe has {recipe.optimizer} of momentum {recipe.momentum}; language models are trained by sgd "
            "without, expected optimizer 'sgd' and momentum 0"
        )


def recipe_words(recipe: Recipe) -> dict[str, Any]:
    """Returns a recipe as JSON, as files and folders say it: fields that came later only where they change something.

    Example:
      >>> [name for name in ("nasbench101-108", "small-12") if "zero_first_step" in recipe_words(get_recipe(name))]
      ['nasbench101-108']
    """
    words = {field: value for field, value in recipe._asdict().items() if value != _LATER.get(field)}
    if recipe.text is None:
        return words
    text = recipe.text._asdict()
    return words | {"text": {field: value for field, value in text.items() if value is not False}}


def read_recipe(words: Any) -> Recipe:
    """Returns the recipe that a file says; raises ValueError or TypeError where it is none."""
    check_keys(words, Recipe._fields, tuple(f for f in Recipe._fields if f not in _LATER), "its recipe")
    text = words.get("text")
    if text is not None:
        check_keys(text, TextRecipe._fields, TextRecipe._fields[:-1], "its recipe's text")
        words = {**words, "text": TextRecipe(**{"roll_back": False, **text})}  # once no run rolled back
    return check_recipe(Recipe(**words))


def make_optimizer(recipe: Recipe, num_steps: int) -> optax.GradientTransformation:
    """Returns the optimizer of a run of `num_steps` steps.

    References:
      "NAS-Bench-101: Towards Reproducible Neural Architecture Search", Ying et al., 2019, Appendix S2 (RMSProp), and
        its released model builder, whose learning rate at step 0 is 0.
    """

    def learning_rate(step: Any) -> Any:
        rate = recipe.learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(step, num_steps) / num_steps))
        return jnp.where(step == 0, 0.0, rate) if recipe.zero_first_step else rate

    if recipe.optimizer == "sgd":
        update = optax.sgd(learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov)
    else:
        update = optax.rmsprop(
            learning_rate,
            decay=0.9,
            eps=1.0,
            eps_in_sqrt=True,
            initial_scale=1.0,
            momentum=recipe.momentum,
        )
    clip = [optax.clip_by_global_norm(recipe.clip)] if recipe.clip else []
    return narrow_optimizer(optax.chain(*clip, optax.add_decayed_weights(recipe.weight_decay), update))
