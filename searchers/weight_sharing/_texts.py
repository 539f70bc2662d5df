"""How weight-sharing searches go through a text: windows of parallel streams, the state carried from each to the next.

An epoch goes through the training text once: as many windows as their mean length makes, of drawn lengths; where the
text ends before, it begins again. Windows of the validation text stand as far from its beginning, and begin again where
that ends, from the state that there is then, as published. Both begin an epoch at the beginning, with states of zeros,
so that nothing is carried between epochs.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnas.core._draws import split as split_key
from jnas.core._vocabulary import Array, Batch, Examples, Key, Reading, Shared, Supernet, Windows
from jnas.io._text import counted
from jnas.searchers.weight_sharing._shared_weights import if_finite
from jnas.training.data._batches import batches_per_epoch
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset, streams_of
from jnas.training.operations._forms import branches
from jnas.training.runs._language import draw_lengths, length_moments, longest_window

_STATIC = {"static": True}  # for `register_dataclass`: no leaf of the pytree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SearchText:
    """A text as the searches of a supernet of language models go through it; a pytree, whose leaves are the text's.

    Its examples are whole windows, one after another, each from a state of zeros: what looks at single batches takes
    those. Epochs and comparisons carry the state.
    """

    text: TextDataset
    reading: Reading = dataclasses.field(metadata=_STATIC)

    @property
    def name(self) -> str:
        """What tables and reports call the text."""
        return self.text.name

    @property
    def splits(self) -> dict[str, Array]:
        """The tokens of each split."""
        return self.text.splits

    @property
    def validation_split(self) -> str | None:
        """The split that architectures are learned from."""
        return self.text.validation_split

    @property
    def test_split(self) -> str | None:
        """The split that results are reported on."""
        return self.text.test_split

    @property
    def window(self) -> int:
        """How many tokens a window has at most."""
        return longest_window(self.reading.settings)

    def rows(self, split: str) -> Array:
        """Returns where the split's whole windows begin, int32 `[n]`, in the text of all splits in alphabetical order.

        Raises:
          ValueError: There is no such split, or it is shorter than a window.
        """
        total, before = len(self.text.tokens(split)), 0
        for name in sorted(self.splits):
            if name == split:
                break
            before += len(self.splits[name])
        count = (total - 1) // self.window
        if count < 1:
            raise ValueError(
                f"the {split} text of {self.name!r} has {total} tokens, and a window takes {self.window} and the next; "
                "give a longer text"
            )
        return before + self.window * jnp.arange(count, dtype=jnp.int32)

    def examples(self, rows: Array) -> Examples:
        """Returns the windows that begin at rows `[B]`, as in evaluation."""
        tokens = jnp.concatenate([self.splits[name] for name in sorted(self.splits)])
        found = tokens[rows[:, None] + jnp.arange(self.window + 1)[None]]
        hidden = jnp.zeros((len(rows), self.reading.units), jnp.float32)
        one = jnp.float32(1)
        return Examples(Windows(found, hidden, jnp.int32(self.window), one, jnp.float32(0)), found[:, 1:])


def search_data(dataset: Any, supernet: Supernet) -> Any:
    """Returns a data set as searches of a supernet go through it: itself, or a text with how it is read.

    Raises:
      ValueError: It is a text and the supernet one of images, or the reverse; or the text has another vocabulary.
    """
    if isinstance(dataset, SearchText):
        return dataset
    reading, is_text = supernet.reading, isinstance(dataset, TextDataset)
    if is_text != (reading is not None):
        raise ValueError(
            f"the data set {dataset.name!r} is {'a text' if is_text else 'of images'}, which the supernet of "
            f"{supernet.space.name} does not learn; make one by make_supernet(dataset, space=...)"
        )
    if reading is None:
        return dataset
    if reading.num_words not in (None, dataset.num_tokens):
        raise ValueError(
            f"the vocabulary of {dataset.name!r} has {dataset.num_tokens:,} tokens, and the supernet's "
            f"{reading.num_words:,}; make a supernet for this text, or read it with that vocabulary, "
            "load_text(..., vocabulary=...)"
        )
    return SearchText(dataset, reading)


def search_steps(dataset: Any, batch_size: int) -> int:
    """Returns how many steps go through the training examples, or text, once.

    Raises:
      ValueError: There are fewer than a batch takes, or the text is too short for its windows; or a batch of a text has
        one stream, which batch-norm, whose statistics are taken over streams, would make all zeros.
    """
    if not isinstance(dataset, SearchText):
        return batches_per_epoch(dataset, batch_size)
    if batch_size < 2:
        raise ValueError(
            f"batch_size is {batch_size}, expected at least 2: a supernet's batch-norm takes its statistics over the "
            "streams of a text"
        )
    length, window = len(dataset.text.tokens("train")) // batch_size, dataset.reading.settings.window
    if length <= window:
        raise ValueError(
            f"the training text of {dataset.name!r} gives {batch_size} streams of {length} tokens, and a window takes "
            f"{window} and the next; give a smaller batch_size or a longer text"
        )
    return max(1, round((length - 1) / length_moments(dataset.reading.settings)[0]))


def check_streams(data: Any, batch_size: int, split: str) -> None:
    """Raises ValueError where a split of a text is too short for the streams of a batch; data of images pass."""
    if not isinstance(data, SearchText):
        return
    if (length := len(data.text.tokens(split)) // batch_size) < 2:
        raise ValueError(
            f"the {split} text of {data.name!r} gives {batch_size} streams of {counted(length, 'token')}, expected at "
            "least 2 in each; give a smaller batch_size or a longer text"
        )


class TextEpoch(NamedTuple):
    """An epoch of a search through a text."""

    each: Any  # of each step, what is scanned over
    start: Any  # the states before the first
    batch: Callable[[Any, Any], Batch]  # `batch(each, states)`


def text_epoch(data: SearchText, key: Key, batch_size: int, steps: int, extra_steps: int, split: str) -> TextEpoch:
    """Returns the windows of an epoch.

    Args:
      data: The text.
      key: Of lengths, and of what is left out.
      batch_size: Streams, of training and of validation.
      steps: From `search_steps`.
      extra_steps: More of them, which go on from there.
      split: That the architecture is learned from.

    References:
      "DARTS: Differentiable Architecture Search", Liu, Simonyan and Yang, 2019, its released code for recurrent cells.
    """
    settings, longest = data.reading.settings, data.window
    length_key, drop_key = split_key(key)
    total = steps + extra_steps
    lengths = draw_lengths(length_key, settings, total)
    reached = jnp.cumsum(lengths) - lengths
    sources = [streams_of(data.text.tokens(name), batch_size) for name in ("train", split)]
    # Padded, so that a window that ends with the text can be cut out; what is added never counts.
    padded = [jnp.pad(rows, ((0, 0), (0, longest + 1))) for rows in sources]
    lasts = [rows.shape[1] - 1 for rows in sources]

    def cut(place: int, start: Array, drawn: Array, hidden: Array, key: Key, penalty: float) -> Examples:
        start = start % lasts[place]
        length = jnp.minimum(drawn, lasts[place] - start)
        tokens = jax.lax.dynamic_slice_in_dim(padded[place], start, longest + 1, axis=1)
        pace = drawn.astype(jnp.float32) / settings.window
        windows = Windows(tokens, hidden, length, pace, jnp.float32(penalty), key)
        return Examples(windows, tokens[:, 1:])

    def batch(each: tuple[Array, Array, Array], states: tuple[Array, Array]) -> Batch:
        start, drawn, keys = each
        whole = jnp.int32(settings.window)
        return Batch(cut(0, start, drawn, states[0], keys[0], 1.0), cut(1, start, whole, states[1], keys[1], 0.0))

    keys = split_key(drop_key, 2 * total).reshape(total, 2)
    nothing = jnp.zeros((batch_size, data.reading.units), jnp.float32)
    return TextEpoch((reached, lengths, keys), (nothing, nothing), batch)


def text_scores(
    supernet: Supernet,
    shared: Shared,
    statistics: Callable[[Array], Any],
    archs: Array,
    data: SearchText,
    split: str,
    batch_size: int,
    num_tokens: int | None,
) -> Array:
    """Returns the metric (perplexity) of each architecture, float32 `[N]`, on the same text; NaN where not finite.

    The state is carried through parallel streams. Where the space has fewer architectures than are asked for, each is
    evaluated once.

    Args:
      supernet: Whose weights they are.
      shared: The weights.
      statistics: Of an architecture: what batch-norm uses for it, None for each batch's own.
      archs: int32 `[N, E]`.
      data: The text.
      split: Which part of it.
      batch_size: Streams at most; fewer where they would not have a window, but two, over which batch-norm takes its
        statistics.
      num_tokens: How many tokens, the first ones; None for all.
    """
    space = supernet.space
    if space.size is not None and space.index is not None and space.from_index is not None and space.size < len(archs):
        every = jax.vmap(space.from_index)(jnp.arange(space.size))
        all_of_them = text_scores(supernet, shared, statistics, every, data, split, batch_size, num_tokens)
        return all_of_them[jax.vmap(space.index)(archs)]
    tokens = data.text.tokens(split)
    tokens = tokens[: num_tokens or len(tokens)]
    window = data.reading.settings.window
    streams = streams_of(tokens, max(2, min(batch_size, len(tokens) // (window + 1))))
    count = -(-(streams.shape[1] - 1) // window)
    padded = jnp.pad(streams, ((0, 0), (0, count * window + 1 - streams.shape[1])))
    starts = window * jnp.arange(count)
    lengths = jnp.minimum(window, streams.shape[1] - 1 - starts)

    def score(arch: Array) -> Array:
        own = statistics(arch)

        def add(carry: tuple[Array, Array], each: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
            (hidden, total), (start, length) = carry, each
            cut = jax.lax.dynamic_slice_in_dim(padded, start, window + 1, axis=1)
            windows = Windows(cut, hidden, length, jnp.float32(1), jnp.float32(0))
            outputs, _ = supernet.sampled(shared.parameters, own, arch, windows)
            found = length * jnp.sum(supernet.task.measure(outputs, cut[:, 1:]))
            return (outputs.hidden, total + if_finite(outputs, found)), None

        begin = (jnp.zeros((len(streams), data.reading.units), jnp.float32), jnp.float32(0))
        (_, total), _ = jax.lax.scan(add, begin, (starts, lengths))
        return supernet.task.metric(total, len(streams) * (streams.shape[1] - 1))

    together = None if branches(supernet.form) else min(_TOGETHER, len(archs))
    found: Array = jax.lax.map(score, archs, batch_size=together)
    return found


_TOGETHER = 16  # architectures that run as one batch where the supernet does not branch

SearchData = Dataset | SearchText
"""What searches go through."""
