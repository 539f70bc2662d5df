"""A language model of one recurrent layer, whose embedding is its decoder too."""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jnas.core._draws import bits, uniform
from jnas.core._vocabulary import LANGUAGE_MODELLING, Array, FormName, Key, Network
from jnas.spaces.recurrent._cells import Output, RecurrentCell, check_output, in_output, recurrent_cell
from jnas.spaces.recurrent._cost import recurrent_flops, recurrent_parameters
from jnas.spaces.recurrent._fingerprint import in_use
from jnas.spaces.recurrent._space import recurrent
from jnas.training._recipe import TextRecipe
from jnas.training.networks._initial import Uniform, initial_arrays
from jnas.training.networks.recurrent._cell import CellMasks, RecurrentCellParameters, run_cell
from jnas.training.networks.recurrent._decoder import cross_entropy

FAN_IN = 625  # all products start within 0.04, which is one over the root of this


class LanguageModelParameters(NamedTuple):
    """The parameters of a language model of `V` tokens and `D` units."""

    words: Array  # [V, D], the embedding and, transposed, the decoder
    bias: Array  # [V], of the decoder
    cell: RecurrentCellParameters


class Window(NamedTuple):
    """What a model makes of a window of a text."""

    objective: Array  # [] float32: the mean cross-entropy with the penalties
    loss: Array  # [] float32: the sum of the cross-entropy of all tokens that count
    hidden: Array  # [B, D] float32, after the window


class LeftOut(NamedTuple):
    """What is left out in training, drawn once for a window; None where nothing is."""

    words: Array | None  # [V] float32
    embedded: Array | None  # [B, D]
    outputs: Array | None  # [B, D]
    cell: CellMasks | None


def language_model(
    *,
    num_words: int,
    channels: int,
    nodes: int = 8,
    output: Output = "all",
    form: FormName = "switch",
    arch: np.ndarray | None = None,
) -> Network:
    """Returns the language models of all cells of a recurrent space.

    Embedding, cell and output have as many units, and the embedding is the decoder too (Press and Wolf, 2017), as
    DARTS trains them.

    Args:
      num_words: Tokens of the vocabulary, `V`.
      channels: Units, `D`.
      nodes: Of a cell, `n`.
      output: Whose mean a cell puts out, as `jnas.spaces.recurrent` takes it.
      form: `'switch'` and `'static'` go from one member of a batch to the next, `'mixture'` computes them side by side.
      arch: For `'static'`: the one architecture `[2 n]`.

    Raises:
      TypeError: The number of nodes is not a Python int.
      ValueError: It is out of range, or the output is none that the space takes.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.2; "Regularizing and
      Optimizing LSTM Language Models", Merity, Keskar and Socher, 2018, for what is left out and the penalties.
    """
    space = recurrent(nodes, output=output)
    output = check_output(output, nodes)
    fixed = None if form != "static" or arch is None else np.asarray(arch)

    def chosen(arch: Array) -> tuple[RecurrentCell, Array]:
        cell = recurrent_cell(arch if fixed is None else fixed)
        return cell, in_output(cell, output)

    def init(key: Key, arch: Array) -> tuple[LanguageModelParameters, Any]:
        shapes = ((num_words, channels), (2 * channels, 2 * channels), (nodes, channels, 2 * channels))
        words, initial, each = initial_arrays(key, tuple(Uniform(shape, FAN_IN) for shape in shapes))
        used = in_use(recurrent_cell(arch), output)[:, None, None]
        cell = RecurrentCellParameters(initial, jnp.where(used, each, 0))
        return LanguageModelParameters(words, jnp.zeros(num_words), cell), ()

    def has(arch: Array) -> LanguageModelParameters:
        used = jnp.broadcast_to(in_use(recurrent_cell(arch), output)[:, None, None], (nodes, channels, 2 * channels))
        cell = RecurrentCellParameters(jnp.ones((2 * channels, 2 * channels), bool), used)
        return LanguageModelParameters(jnp.ones((num_words, channels), bool), jnp.ones(num_words, bool), cell)

    def window(
        parameters: LanguageModelParameters,
        arch: Array,
        tokens: Array,
        targets: Array,
        hidden: Array,
        length: Array,
        key: Key | None = None,
        settings: TextRecipe | None = None,
    ) -> Window:
        draws = LeftOut(None, None, None, None)
        if key is not None and settings is not None:
            draws = draw_left_out(key, settings, num_words, hidden.shape)
        embedded = parameters.words[tokens]
        if draws.words is not None:
            embedded = embedded * draws.words[tokens][..., None]
        if draws.embedded is not None:
            embedded = embedded * draws.embedded[None]
        cell, put_out = chosen(arch)
        outputs, hidden = run_cell(parameters.cell, cell, put_out, embedded, hidden, length, draws.cell)
        dropped = outputs if draws.outputs is None else outputs * draws.outputs[None]
        rows, batch = dropped.reshape(-1, channels), tokens.shape[1]
        loss = cross_entropy(rows, parameters.words, parameters.bias, targets.reshape(-1), length * batch)
        objective = loss / (jnp.maximum(length, 1) * batch)
        if key is not None and settings is not None:
            objective = objective + penalties(settings, outputs, dropped, length)
        return Window(objective, loss, hidden)

    def apply(parameters: LanguageModelParameters, statistics: Any, arch: Array, inputs: Any) -> tuple[Any, Any]:
        tokens, hidden = inputs
        cell, put_out = chosen(arch)
        embedded = parameters.words[tokens.T]
        outputs, hidden = run_cell(parameters.cell, cell, put_out, embedded, hidden, jnp.int32(tokens.shape[1]))
        logits = outputs @ parameters.words.T + parameters.bias[None, None, :]
        return (logits.transpose(1, 0, 2), hidden), ()

    sizes: Any = {"units": channels, "words": num_words, "output": output}
    return Network(
        init=init,
        apply=apply,
        has=has,
        counts=lambda shape: (),
        parameters=functools.partial(recurrent_parameters, **sizes),
        flops=functools.partial(recurrent_flops, **sizes),
        space=space,
        form=form,
        task=LANGUAGE_MODELLING,
        window=window,
    )


def draw_left_out(key: Key, settings: TextRecipe, num_words: int, shape: tuple[int, ...]) -> LeftOut:
    """Returns what a window leaves out; one draw serves all, and what is kept is scaled up."""
    rates = (settings.drop_embedding, settings.drop_output, settings.drop_input, settings.drop_hidden)
    size = int(np.prod(shape))
    needed = len(rates) * size if any(rates) else 0
    draws = uniform(bits(key, (needed + (num_words if settings.drop_words else 0),)))

    def kept(draws: Array, rate: float) -> Array:
        return jnp.where(draws < rate, np.float32(0), np.float32(1 / (1 - rate)))

    masks: list[Array | None] = [
        kept(draws[place * size : (place + 1) * size].reshape(shape), rate) if rate else None
        for place, rate in enumerate(rates)
    ]
    embedded, outputs, inputs, states = masks
    whole = functools.partial(jnp.ones, shape)
    cell = (
        None
        if inputs is None and states is None
        else CellMasks(whole() if inputs is None else inputs, whole() if states is None else states)
    )
    words = kept(draws[needed:], settings.drop_words) if settings.drop_words else None
    return LeftOut(words, embedded, outputs, cell)


def penalties(settings: TextRecipe, outputs: Array, dropped: Array, length: Array) -> Array:
    """Returns the penalties on outputs that are large, and that change from a step to the next."""
    steps, *each = outputs.shape
    number, total = jnp.arange(steps), jnp.zeros((), outputs.dtype)
    if settings.activation:
        squares = jnp.sum(dropped**2, (1, 2))
        total = total + settings.activation * jnp.sum(jnp.where(number < length, squares, 0)) / _count(length, each)
    if settings.slowness:
        changes = jnp.sum((outputs[1:] - outputs[:-1]) ** 2, (1, 2))
        total = total + settings.slowness * jnp.sum(jnp.where(number[1:] < length, changes, 0)) / _count(
            length - 1, each
        )
    return total


def _count(steps: Array, each: list[int]) -> Array:
    count: Array = jnp.maximum(steps, 1) * float(np.prod(each))
    return count
