"""The supernet of recurrent cells: DARTS's search cell within a language model."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import (
    LANGUAGE_WINDOWS,
    Array,
    FormName,
    Key,
    Reading,
    Supernet,
    WindowLosses,
    Windows,
    decisions_of,
)
from jnas.spaces.recurrent._cells import OPERATIONS, recurrent_cell
from jnas.spaces.recurrent._cost import recurrent_parameters
from jnas.spaces.recurrent._space import recurrent
from jnas.training._recipe import TextRecipe
from jnas.training.networks._initial import Uniform, fresh_moments, initial_arrays, moved_moments
from jnas.training.networks.recurrent._cell import RecurrentCellParameters
from jnas.training.networks.recurrent._language_model import (
    FAN_IN,
    LanguageModelParameters,
    draw_left_out,
    penalties,
)
from jnas.training.networks.recurrent._preferences import edge_preferences
from jnas.training.networks.recurrent._search_cell import (
    NodeRule,
    mixture_rule,
    run_search_cell,
    sampled_rule,
    stream_losses,
)

SEARCHED = TextRecipe(window_deviation=0.0, drop_words=0.0)
"""How DARTS's search reads Penn Treebank."""


def recurrent_supernet(
    *,
    num_words: int,
    channels: int = 300,
    nodes: int = 8,
    settings: TextRecipe = SEARCHED,
    form: FormName = "switch",
    epsilon: float = 1e-5,
) -> Supernet:
    """Returns the language model whose cell is DARTS's search cell.

    Each node has one product, which its edges share; one batch-norm without scale and shift follows the initial state
    and every node, at every step, with the statistics of that batch (with running estimates, which take in their mean
    over a window's nodes and steps, where these are asked for; published ones take in one after another). An
    architecture is what each node reads and its operation, and `sampled` computes that alone, as data. Its decisions
    are these, independently; gradients learn a softmax over five operations on each edge (`preferences`), of which
    `none` is one. The cell puts out the mean of all nodes.

    An architecture's own network has no batch-norm: with weights copied it gives other numbers, unless batch-norm is
    given means of 0 and variances of 1 less epsilon.

    Inputs are `Windows`, and outputs `WindowLosses`.

    Args:
      num_words: Tokens of the vocabulary.
      channels: Units; published searches have 300.
      nodes: Of a cell.
      settings: Which lengths windows have, what is left out in training, and penalties.
      form: `'switch'` goes from one seed to the next, `'mixture'` computes them side by side.
      epsilon: Of batch-norm.

    Raises:
      TypeError: The number of nodes is not a Python int.
      ValueError: It is out of range.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, Section 3.1.2, and its released code.
    """
    space = recurrent(nodes)
    put_out: Any = np.ones(nodes, bool)

    def init(key: Key) -> tuple[LanguageModelParameters, Array]:
        shapes = ((num_words, channels), (2 * channels, 2 * channels), (nodes, channels, 2 * channels))
        words, initial, each = initial_arrays(key, tuple(Uniform(shape, FAN_IN) for shape in shapes))
        return LanguageModelParameters(
            words, jnp.zeros(num_words), RecurrentCellParameters(initial, each)
        ), fresh_moments(channels)

    def run(
        rule: NodeRule, parameters: LanguageModelParameters, statistics: Array | None, windows: Windows
    ) -> tuple[WindowLosses, Array]:
        tokens, length = windows.tokens.T, windows.length
        embedded = parameters.words[tokens[:-1]]
        draws = None if windows.key is None else draw_left_out(windows.key, settings, num_words, windows.hidden.shape)
        if draws is not None and draws.words is not None:
            embedded = embedded * draws.words[tokens[:-1]][..., None]
        if draws is not None and draws.embedded is not None:
            embedded = embedded * draws.embedded[None]
        masks = None if draws is None else draws.cell
        found = run_search_cell(
            parameters.cell, rule, put_out, embedded, windows.hidden, length, masks, statistics, epsilon
        )
        dropped = found.outputs if draws is None or draws.outputs is None else found.outputs * draws.outputs[None]
        losses = stream_losses(dropped, parameters.words, parameters.bias, tokens[1:], length)
        penalty = jnp.float32(0)
        if draws is not None:
            penalty = windows.penalty * penalties(settings, found.outputs, dropped, length)
        return WindowLosses(losses, penalty, found.hidden), found.moments

    def by_edges(parameters: Any, statistics: Any, weights: Array, windows: Windows) -> tuple[WindowLosses, Any]:
        return run(mixture_rule(weights), parameters, statistics, windows)

    def mixture(parameters: Any, statistics: Any, weights: Array, windows: Windows) -> tuple[WindowLosses, Any]:
        each = [
            weights[2 * node, : node + 1, None] * weights[2 * node + 1, None, : len(OPERATIONS)]
            for node in range(nodes)
        ]
        return by_edges(parameters, statistics, jnp.concatenate(each), windows)

    def sampled(parameters: Any, statistics: Any, arch: Array, windows: Windows) -> tuple[WindowLosses, Any]:
        return run(sampled_rule(recurrent_cell(arch)), parameters, statistics, windows)

    def running(statistics: Array, used: Array, keep: float, shape: Any, arch: Array | None = None) -> Array:
        return moved_moments(statistics, used, keep, shape.hidden[0])

    supernet = Supernet(
        init=init,
        mixture=mixture,
        sampled=sampled,
        straight_through=None,
        running=running,
        space=space,
        form=form,
        task=LANGUAGE_WINDOWS,
        preferences=edge_preferences(by_edges, nodes),
        parameters=functools.partial(recurrent_parameters, units=channels, words=num_words),
        reading=Reading(settings, channels, num_words),
    )
    operations = np.arange(2 * nodes) % 2 == 1
    return supernet._replace(decisions=decisions_of(supernet)._replace(operations=operations))
