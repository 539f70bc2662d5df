"""Texts as data sets: tokens on the device, a vocabulary, and windows of parallel streams."""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array
from jnas.io._fields import describe_fields
from jnas.io._text import did_you_mean, not_one_of, short

UNKNOWN = "<unk>"
"""What stands for a word that a vocabulary lacks."""

END = "<eos>"
"""What stands at the end of a line of words."""

Unit = Literal["words", "characters"]
_STATIC = {"static": True}  # for `register_dataclass`: no leaf of the pytree


@describe_fields
class Vocabulary(NamedTuple):
    """The tokens that a language model knows; a token's number is its place.

    Attributes:
      tokens: Each once.
      unit: What a token is.
    """

    tokens: tuple[str, ...]
    unit: Unit = "words"

    @property
    def digest(self) -> str:
        """A digest of all tokens in their order."""
        return hashlib.sha256("\0".join((self.unit, *self.tokens)).encode()).hexdigest()


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TextDataset:
    """A text, in the numbers of its tokens, with named splits.

    A pytree whose leaves are the splits; the rest is static.

    Attributes:
      splits: The tokens of each split, in their order. There is always `'train'`.
      name: What tables and reports call the data set.
      vocabulary: What the numbers mean.
      validation_split: The split that hyper-parameters and architectures are chosen by, or None.
      test_split: The split that results are reported on, or None.
    """

    splits: dict[str, Array]  # of each split int32 [n]
    name: str = dataclasses.field(metadata=_STATIC)
    vocabulary: Vocabulary = dataclasses.field(metadata=_STATIC)
    validation_split: str | None = dataclasses.field(default=None, metadata=_STATIC)
    test_split: str | None = dataclasses.field(default=None, metadata=_STATIC)

    @property
    def num_tokens(self) -> int:
        """How many different tokens the vocabulary has."""
        return len(self.vocabulary.tokens)

    def tokens(self, split: str) -> Array:
        """Returns the tokens int32 `[n]` of a split.

        Raises:
          ValueError: There is no such split.
        """
        if split not in self.splits:
            offer = did_you_mean(split, self.splits) or ";"
            raise ValueError(f"the text {self.name!r} has no split {split!r}{offer} it has {', '.join(self.splits)}")
        return self.splits[split]

    def first(self, split: str, count: int) -> "TextDataset":
        """Returns the text with so many tokens of a split, the first ones; the vocabulary stays.

        Raises:
          ValueError: The split has fewer.
        """
        tokens = self.tokens(split)
        if not 2 <= count <= len(tokens):
            raise ValueError(f"count is {count}, expected 2 to {len(tokens):,}, the tokens of split {split!r}")
        name = f"{self.name}-{split}{count}"
        return dataclasses.replace(self, splits={**self.splits, split: tokens[:count]}, name=name)


def text_dataset(
    lines: Mapping[str, Sequence[Sequence[str]]],
    *,
    name: str = "text",
    unit: Unit = "words",
    most_tokens: int | None = None,
    least_count: int = 1,
    vocabulary: Vocabulary | None = None,
) -> TextDataset:
    """Returns a text of lines of tokens in memory.

    Args:
      lines: For each split its lines, each a sequence of tokens. `'train'` must be among them, and `'validation'` and
        `'test'` are what their names say. After each line of words stands `'<eos>'`.
      name: What tables and reports will call the data set.
      unit: What a token is.
      most_tokens: How many tokens the vocabulary has at most, `'<eos>'` and `'<unk>'` among them: those that are most
        frequent in the training split, of equally frequent ones the first; by default all.
      least_count: How often a token stands in the training split to be in the vocabulary.
      vocabulary: One that was made before, such as that of trained weights; by default one is built of the training
        split, in the order of first appearance. What it lacks is `'<unk>'`.

    Raises:
      TypeError: A line of words is a string.
      ValueError: There is no training split, a split has less than two tokens, the unit is unknown, or the vocabulary
        does not fit.

    Example:
      >>> text = text_dataset({"train": [["a", "b"], ["a"]], "validation": [["c", "a"]]})
      >>> text.vocabulary.tokens, text.splits["validation"].tolist()
      (('a', 'b', '<eos>', '<unk>'), [3, 0, 2])
    """
    if "train" not in lines:
        raise ValueError(f"lines has {', '.join(lines) or 'no split'}, expected a 'train' among them")
    if unit not in get_args(Unit):
        raise ValueError(not_one_of("unit", unit, get_args(Unit)))
    streams = {split: _joined(part, unit) for split, part in lines.items()}
    for split, stream in streams.items():
        if len(stream) < 2:
            raise ValueError(
                f"the {split} text of {name!r} has {len(stream)} {unit}, expected at least 2; give a longer text"
            )
    if vocabulary is None:
        vocabulary = build_vocabulary(streams["train"], unit, most_tokens, least_count)
    elif vocabulary.unit != unit or (unit == "words" and not {UNKNOWN, END} <= set(vocabulary.tokens)):
        raise ValueError(
            f"vocabulary is one of {vocabulary.unit} for a text of {unit}, or lacks {UNKNOWN!r} or {END!r}"
        )
    return TextDataset(
        splits={split: jnp.asarray(numbers_of(stream, vocabulary)) for split, stream in streams.items()},
        name=name,
        vocabulary=vocabulary,
        validation_split="validation" if "validation" in streams else None,
        test_split="test" if "test" in streams else None,
    )


def _joined(lines: Iterable[Sequence[str]], unit: Unit) -> list[str]:
    if unit == "characters":
        return [character for line in lines for character in line]
    lines = list(lines)
    if line := next((line for line in lines if isinstance(line, str)), None):
        raise TypeError(f"a line is {short(repr(line))}, expected its words, as line.split() gives them")
    return [word for line in lines for word in (*line, END)]


def build_vocabulary(
    stream: Sequence[str], unit: Unit = "words", most_tokens: int | None = None, least_count: int = 1
) -> Vocabulary:
    """Returns the vocabulary of a stream of tokens; as `text_dataset`.

    Raises:
      ValueError: `most_tokens` leaves no room for a word.
    """
    counts = Counter(stream)
    special = [token for token in (END, UNKNOWN) if unit == "words" or token == UNKNOWN]
    words = [token for token, count in counts.most_common() if count >= least_count and token not in special]
    if most_tokens is not None:
        if most_tokens <= len(special):
            raise ValueError(f"most_tokens is {most_tokens}, expected more than {len(special)}")
        words = words[: most_tokens - len(special)]
    kept = {*words, *special}
    there = [token for token in counts if token in kept]
    return Vocabulary((*there, *(token for token in special if token not in counts)), unit)


def numbers_of(stream: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
    """Returns the numbers int32 `[n]` of tokens.

    Raises:
      ValueError: A token is unknown, and the vocabulary has none that stands for it.
    """
    places = {token: place for place, token in enumerate(vocabulary.tokens)}
    unknown = places.get(UNKNOWN)
    if unknown is None:
        strange = next((token for token in stream if token not in places), None)
        if strange is not None:
            raise ValueError(f"the vocabulary lacks {short(strange)!r}, and {UNKNOWN!r}, which would stand for it")
    return np.fromiter((places.get(token, unknown) for token in stream), np.int32, len(stream))


def streams_of(tokens: Array, batch_size: int) -> Array:
    """Returns a text as parallel streams `[B, n // B]`: each goes on through the text; the last tokens are left out.

    Raises:
      ValueError: The text is too short for two tokens in each stream.

    Example:
      >>> streams_of(jnp.arange(7), 2).tolist()
      [[0, 1, 2], [3, 4, 5]]
    """
    length = len(tokens) // batch_size
    if length < 2:
        raise ValueError(
            f"a text of {len(tokens):,} tokens gives {batch_size} streams of {length}, expected at least 2 tokens in "
            "each; give a smaller batch_size or a longer text"
        )
    return tokens[: batch_size * length].reshape(batch_size, length)


def windows_of(streams: Array, window: int) -> tuple[Array, Array, Array]:
    """Returns all windows of streams `[B, n]`, one after another: inputs, targets and how many of each count.

    Returns:
      `inputs` and `targets`, the tokens after them, both int32 `[W, T, B]`; `lengths`, int32 `[W]`: the last window may
      be shorter, and is filled up with zeros.
    """
    batch_size, length = streams.shape
    count = -(-(length - 1) // window)
    padded = jnp.pad(streams, ((0, 0), (0, count * window + 1 - length)))

    def cut(first: int) -> Array:
        rows = padded[:, first : first + count * window].reshape(batch_size, count, window)
        return rows.transpose(1, 2, 0)

    lengths = np.minimum(length - 1 - np.arange(count) * window, window).astype(np.int32)
    return cut(0), cut(1), jnp.asarray(lengths)
