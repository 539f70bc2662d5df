"""NAO's model of architectures: an encoder, a predictor of scores on what it gives, and a decoder back."""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnas.core._draws import fold_in
from jnas.core._vocabulary import Array, Key
from jnas.core._widths import narrow_optimizer
from jnas.io._fields import describe_fields
from jnas.searchers._checks import check_fraction, check_sizes
from jnas.searchers.black_box._sequences import flat_leaves, leaves_of
from jnas.searchers.predictors._minibatches import epoch_order, row_words, train_on_minibatches
from jnas.searchers.weight_sharing._controller import Lstm, advance_lstm


@describe_fields
class NaoSettings(NamedTuple):
    """The size of the model, and how it is trained, as released for NAS-Bench-101's cells; rates may be traced.

    Attributes:
      hidden: Units of the encoder and of the decoder, one layer each.
      predictor_layers: Of the predictor of scores.
      predictor_hidden: Units of each of them.
      dropout: Between the predictor's layers.
      trade_off: The squared error's weight in the loss; the reconstruction has the rest.
      epochs: Of training, each time the model is fitted.
      batch_size: Architectures in a batch.
      learning_rate: Adam's.
      weight_decay: In the gradient.
      clip: Largest norm of a gradient.
      copies: Of each architecture in an epoch; 8 as released.
      share: Of the architectures that are learned from, drawn each time; 0.9 as released.
    """

    hidden: int = 96
    predictor_layers: int = 3
    predictor_hidden: int = 200
    dropout: Any = 0.1
    trade_off: Any = 0.8
    epochs: int = 1000
    batch_size: int = 100
    learning_rate: Any = 1e-3
    weight_decay: Any = 1e-4
    clip: Any = 5.0
    copies: int = 1
    share: float = 1.0


_SIZES = ("hidden", "predictor_layers", "predictor_hidden", "epochs", "batch_size", "copies")
_CHOOSE = 0xFFFFFFFF  # what a key is folded with for the share: beyond the numbers of steps


def check_nao(model: NaoSettings) -> None:
    """Raises a `TypeError` or `ValueError` that names the setting of a model that makes no sense."""
    check_sizes(**{f"model.{name}": getattr(model, name) for name in _SIZES})
    if model.hidden % 2:
        raise ValueError(f"model.hidden is {model.hidden}, expected an even number: two decisions are read at once")
    check_fraction("model.trade_off", model.trade_off)
    check_fraction("model.share", model.share)


class Linear(NamedTuple):
    """A linear map."""

    kernel: Array  # [out, in] float32
    bias: Array  # [out] float32


class NaoModel(NamedTuple):
    """The parameters: `K` words, `H` units, groups of `G` words that the encoder reads at once."""

    embedding: Array  # [K, H / G] float32
    encoder: Lstm
    predictor: tuple[Linear, ...]  # the last gives the score
    symbols: Array  # [1 + K, H] float32, the decoder's input: at the start, and after each word
    decoder: Lstm
    question: Array  # [H, H] float32, of the decoder's attention to what the encoder gave
    mixed: Array  # [H, 2 H] float32
    output: Linear  # to the logits of the words


def group_size(num_decisions: int) -> int:
    """Returns how many words the encoder reads at once: two, where their number is even."""
    return 2 if num_decisions % 2 == 0 else 1


def init_nao(key: Key, num_words: int, num_decisions: int, settings: NaoSettings) -> NaoModel:
    """Returns a model before its training, with PyTorch's default distributions."""
    embed_key, key = jax.random.split(key)
    hidden, width = settings.hidden, settings.hidden // group_size(num_decisions)
    widths = [hidden, *[settings.predictor_hidden] * settings.predictor_layers, 1]
    layers = [*itertools.pairwise(widths), (hidden, num_words)]
    total = 16 * hidden**2 + 16 * hidden + 3 * hidden**2 + sum((before + 1) * after for before, after in layers)
    numbers, place = jax.random.uniform(key, (total,), jnp.float32, -1.0, 1.0), 0

    def take(fan_in: int, *shape: int) -> Array:
        nonlocal place
        place += math.prod(shape)
        taken: Array = numbers[place - math.prod(shape) : place].reshape(shape) / math.sqrt(fan_in)
        return taken

    def lstm() -> Lstm:
        gates = 4 * hidden
        return Lstm(*(take(hidden, *shape) for shape in ((gates, hidden), (gates, hidden), (gates,), (gates,))))

    linear = [Linear(take(before, after, before), take(before, after)) for before, after in layers]
    normal = jax.random.normal(embed_key, (num_words * width + (1 + num_words) * hidden,), jnp.float32)
    return NaoModel(
        embedding=normal[: num_words * width].reshape(num_words, width),
        encoder=lstm(),
        predictor=tuple(linear[:-1]),
        symbols=normal[num_words * width :].reshape(1 + num_words, hidden),
        decoder=lstm(),
        question=take(hidden, hidden, hidden),
        mixed=take(2 * hidden, hidden, 2 * hidden),
        output=linear[-1],
    )


def encode(model: NaoModel, words: Array) -> Array:
    """Returns what the encoder makes of words int32 `[D]`, float32 `[D / G, H]`, each row of length 1."""
    hidden = model.question.shape[0]
    inputs = model.embedding[words].reshape(-1, hidden)

    def read(carry: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], Array]:
        after = advance_lstm(model.encoder, *carry, given)
        return after, after[0]

    nothing = jnp.zeros(hidden, jnp.float32)
    return _of_length_one(jax.lax.scan(read, (nothing, nothing), inputs)[1])


def predict(model: NaoModel, encoding: Array, keep: Array | None = None) -> Array:
    """Returns the score `[]`, from 0 to 1, that the predictor gives an encoding `[D / G, H]`.

    Args:
      model: The parameters.
      encoding: From `encode`.
      keep: Float32 `[layers, width]`, what each unit is multiplied by in training; None for 1.
    """
    values = _summary(encoding)
    for number, layer in enumerate(model.predictor[:-1]):
        values = jax.nn.relu(layer.kernel @ values + layer.bias)
        values = values if keep is None else values * keep[number]
    last = model.predictor[-1]
    return jax.nn.sigmoid((last.kernel @ values + last.bias)[0])


def decode(model: NaoModel, encoding: Array, mask: Array) -> Array:
    """Returns the likeliest words int32 `[D]`, one after another, among those of the mask bool `[D, K]`."""

    def say(carry: tuple[Array, Array, Array], allowed: Array) -> tuple[tuple[Array, Array, Array], Array]:
        hidden, cell, given = carry
        hidden, cell = advance_lstm(model.decoder, hidden, cell, given)
        word = jnp.argmax(jnp.where(allowed, _logits(model, hidden, encoding), -jnp.inf)).astype(jnp.int32)
        return (hidden, cell, model.symbols[1 + word]), word

    start = _summary(encoding)
    words: Array = jax.lax.scan(say, (start, start, model.symbols[0]), mask)[1]
    return words


def reconstruction_loss(model: NaoModel, encoding: Array, words: Array) -> Array:
    """Returns the mean cross-entropy of the words `[D]` in nats, each given those before it."""

    def say(carry: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], Array]:
        after = advance_lstm(model.decoder, *carry, given)
        return after, after[0]

    start = _summary(encoding)
    given = jnp.concatenate([model.symbols[:1], model.symbols[1 + words[:-1]]])
    states = jax.lax.scan(say, (start, start), given)[1]
    each = jax.nn.log_softmax(jax.vmap(lambda state: _logits(model, state, encoding))(states))
    return -jnp.mean(jnp.take_along_axis(each, words[:, None], axis=1))


def ascend(model: NaoModel, words: Array, mask: Array, step: Array) -> tuple[Array, Array]:
    """Returns the words after a step up the predicted score, and the score that is predicted there.

    Args:
      model: The parameters.
      words: int32 `[D]`, where the step begins.
      mask: bool `[D, K]`, the words that each decision has.
      step: float32 `[]`, how far along the gradient in the encoding.
    """
    encoding = encode(model, words)
    slope = jax.grad(lambda point: predict(model, point))(encoding)
    moved = _of_length_one(encoding + step * slope)
    return decode(model, moved, mask), predict(model, moved)


def train_nao(
    key: Key, flat: Array, shapes: Any, rows: tuple[Array, Array], mask: Array, settings: NaoSettings
) -> Array:
    """Returns the parameters, one after another `[P]`, after training on the rows that count.

    Args:
      key: Typed key; consumed.
      flat: The parameters to begin with, `[P]`.
      shapes: Of the parameters, a `NaoModel`.
      rows: Words int32 `[N, D]`, and targets float32 `[N]` from 0 to 1.
      mask: bool `[N]`.
      settings: How.
    """
    order_key, drop_key = jax.random.split(key)
    if settings.share < 1:
        mask = _drawn_share(fold_in(drop_key, jnp.uint32(_CHOOSE)), mask, settings.share)
    if settings.copies > 1:
        rows, mask = jax.tree.map(lambda leaf: jnp.repeat(leaf, settings.copies, axis=0), (rows, mask))
    as_model, width = leaves_of(shapes), (settings.predictor_layers, settings.predictor_hidden)

    def loss(flat: Array, batch: tuple[Array, Array], counts: Array, number: Array) -> Array:
        model = as_model(flat)
        drawn = jax.random.uniform(fold_in(drop_key, number), (counts.shape[0], *width), jnp.float32)
        keep = (drawn >= settings.dropout) / (1 - jnp.float32(settings.dropout))

        def of_one(words: Array, target: Array, keep: Array) -> Array:
            encoding = encode(model, words)
            error = jnp.square(predict(model, encoding, keep) - target)
            lost = reconstruction_loss(model, encoding, words)
            both: Array = settings.trade_off * error + (1 - settings.trade_off) * lost
            return both

        total = jnp.sum(jnp.where(counts, jax.vmap(of_one)(*batch, keep), 0))
        mean: Array = total / jnp.maximum(jnp.sum(counts), 1)
        return mean

    optimizer = optax.chain(
        optax.clip_by_global_norm(settings.clip),
        optax.add_decayed_weights(settings.weight_decay),
        narrow_optimizer(optax.adam(settings.learning_rate)),
    )
    trained: Array = train_on_minibatches(
        loss,
        flat,
        order_key,
        rows,
        mask,
        num_epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer=optimizer,
        numbered=True,
    )
    return trained


def _drawn_share(key: Key, mask: Array, share: float) -> Array:
    """Returns which rows stay, bool `[N]`: of those of the mask that share, rounded down but one at least."""
    order = epoch_order(row_words(key, mask), mask, jnp.int32(0))
    kept = jnp.maximum(jnp.floor(share * jnp.sum(mask)), 1)
    return jnp.zeros_like(mask).at[order].set(jnp.arange(len(mask)) < kept) & mask


def _logits(model: NaoModel, state: Array, encoding: Array) -> Array:
    """Returns the logits of the words `[K]` for the decoder's state `[H]`, by attention to the encoding."""
    weights = jax.nn.softmax(encoding @ (model.question @ state))
    mixed = jnp.tanh(model.mixed @ jnp.concatenate([weights @ encoding, state]))
    return model.output.kernel @ mixed + model.output.bias


def _summary(encoding: Array) -> Array:
    """Returns the mean of an encoding over its places, of length 1: `[H]`."""
    return _of_length_one(jnp.mean(encoding, axis=0))


def _of_length_one(rows: Array) -> Array:
    return rows * jax.lax.rsqrt(jnp.sum(jnp.square(rows), axis=-1, keepdims=True) + np.float32(1e-12))


def flat_nao(key: Key, num_words: int, num_decisions: int, settings: NaoSettings) -> Array:
    """Returns `init_nao` as numbers `[P]`."""
    return flat_leaves(init_nao(key, num_words, num_decisions, settings))
