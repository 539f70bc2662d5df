"""Any product of choices as a space, and the functions that other spaces of that form share."""

import functools
import json
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from jnas.core._draws import below, bits
from jnas.core._vocabulary import Array, Key, Space
from jnas.io._text import bare, did_you_mean, not_one_of, short
from jnas.spaces._hashing import hash_digits, hash_number

Mutation = Literal["different", "any"]
"""Whether a mutated decision gets another choice, or any of its choices (perhaps the one it has)."""

LARGEST_INDEX = 2**31 - 1  # indices are int32
_MOST_CHOICES = 65_536  # what `jnas.core._draws.below` can draw from one word


def categorical(
    num_choices: Sequence[int],
    names: Sequence[str] | Sequence[Sequence[str]] | None = None,
    *,
    name: str = "categorical",
    separator: str = "|",
    decisions: Sequence[str] | None = None,
    mutation: Mutation = "different",
) -> Space:
    """Returns the space of all products of choices: every decision is made independently of the others.

    Equal arguments give the same object, so functions compiled for it are found again.

    Args:
      num_choices: For each of the `E` decisions, its number of choices, 1 to 65,536.
      names: For each decision the names of its choices; or one list of names that all decisions share; by default
        the numbers from 0.
      name: The space's name, for tables and messages.
      separator: What stands between the decisions in a string.
      decisions: Names of the decisions. With them a string reads `depth=2|width=16`, without them `2|16`.
      mutation: `'different'` gives one uniformly chosen decision a choice that it does not have; `'any'` draws from
        all its choices, so the architecture may stay as it is (NATS-Bench's script does this in the size space).

    Returns:
      A space whose `index` counts in lexicographic order, the first decision being the most significant; the size is
      None, and there is no index, beyond `2**31 - 1` architectures. Neighbours are listed by decision, then by choice.
      Two architectures have the same fingerprint only if they are equal (where there is no index: but for a
      probability of about `2**-64`). Features are `one_hot`, float32 `[sum(num_choices)]`, and `ordinal`, the numbers
      of the choices as float32 `[E]`. There is no drawing.

    Raises:
      TypeError: An argument is of the wrong kind.
      ValueError: A number of choices is out of range, no decision has two choices, or names do not fit.

    Example:
      >>> space = categorical((2, 3), (("relu", "gelu"), ("16", "32", "64")), decisions=("activation", "width"))
      >>> space.size
      6
      >>> space.from_string("activation=gelu|width=32")
      array([1, 1], dtype=int32)
    """
    counts = _checked_counts(num_choices)
    if not isinstance(name, str) or not name:
        raise TypeError(f"name is {name!r}, expected a string that is not empty")
    if not isinstance(separator, str) or not separator:
        raise TypeError(f"separator is {separator!r}, expected a string that is not empty")
    if mutation not in ("different", "any"):
        raise ValueError(not_one_of("mutation", mutation, ("different", "any")))
    return _categorical(
        counts,
        _checked_names(counts, names, separator),
        name,
        separator,
        _checked_decisions(counts, decisions, separator),
        mutation,
    )


@functools.lru_cache(maxsize=256)
def _categorical(
    num_choices: tuple[int, ...],
    names: tuple[tuple[str, ...], ...],
    name: str,
    separator: str,
    decisions: tuple[str, ...] | None,
    mutation: Mutation,
) -> Space:
    size = math.prod(num_choices)
    indexed = size <= LARGEST_INDEX
    counts = np.asarray(num_choices, np.int32)
    index, from_index = lexicographic_index(num_choices) if indexed else (None, None)
    mutate, mutate_from = change_one(num_choices, tuple(int(count > 1) for count in num_choices), mutation)
    to_string, from_string = _strings(name, names, separator, decisions)
    config = {
        "kind": "categorical",
        "num_choices": num_choices,
        "names": names,
        "name": name,
        "separator": separator,
        "decisions": decisions,
        "mutation": mutation,
    }

    def sample(key: Key) -> Array:
        return below(bits(key, counts.shape), _bound(counts))

    def is_valid(arch: Array) -> Array:
        return jnp.all((arch >= 0) & (arch < counts))

    def fingerprint(arch: Array) -> Array:
        return hash_digits(arch) if index is None else hash_number(index(arch))

    def features(arch: Array, name: str) -> Array:
        if name == "one_hot":
            return one_hot(num_choices, arch)
        if name == "ordinal":
            return arch.astype(jnp.float32)
        raise unknown_feature(name, ("one_hot", "ordinal"))

    return Space(
        name=name,
        num_choices=num_choices,
        choices=names,
        size=size if indexed else None,
        config=json.dumps(config),
        feature_names=("one_hot", "ordinal"),
        sample=sample,
        mutate=mutate,
        neighbors=one_change_away(num_choices),
        is_valid=is_valid,
        fingerprint=fingerprint,
        index=index,
        from_index=from_index,
        features=features,
        to_string=to_string,
        from_string=from_string,
        draw=None,
        mutate_from=mutate_from,
    )


def change_one(
    num_choices: tuple[int, ...], weights: tuple[int, ...], mutation: Mutation
) -> tuple[Callable[[Key, Array], Array], Callable[[Array, Array], Array]]:
    """Returns `(mutate, mutate_from)`, which give one decision a new choice.

    Args:
      num_choices: The number of choices of each decision.
      weights: Integers in whose proportion a decision is chosen; 0 for decisions without a second choice.
      mutation: Whether the new choice is uniform over the other choices, or over all.
    """
    counts = np.asarray(num_choices, np.int32)
    above = np.cumsum(weights).astype(np.int32)
    first = above - np.asarray(weights, np.int32)

    def mutate_from(words: Array, arch: Array) -> Array:
        ticket = below(words[0], int(above[-1]))
        chosen = (ticket >= first) & (ticket < above)
        # A new choice is made for every decision from the same word: cheaper than looking up the chosen one's bound.
        if mutation == "any":
            changed = below(words[1], _bound(counts))
        else:
            changed = arch + 1 + below(words[1], _bound(counts - 1))
            changed = jnp.where(changed >= counts, changed - counts, changed)
        return jnp.where(chosen, changed, arch).astype(jnp.int32)

    def mutate(key: Key, arch: Array) -> Array:
        return mutate_from(bits(key, (2,)), arch)

    return mutate, mutate_from


def _bound(counts: np.ndarray) -> Array | int:
    """Returns what `below` takes: one number where all decisions have the same, which saves work in every step."""
    return int(counts[0]) if (counts == counts[0]).all() else jnp.asarray(counts)


def one_change_away(num_choices: tuple[int, ...]) -> Callable[[Array], tuple[Array, Array]]:
    """Returns `neighbors(arch)`: each decision in turn takes each other choice, in ascending order."""
    decision = np.repeat(np.arange(len(num_choices)), [count - 1 for count in num_choices])
    others = np.concatenate([np.arange(count - 1, dtype=np.int32) for count in num_choices])[:, None]
    changes = decision[:, None] == np.arange(len(num_choices))

    def neighbors(arch: Array) -> tuple[Array, Array]:
        new = others + (others >= arch[None, :])  # skips the choice that the decision has
        archs = jnp.where(changes, new, arch[None, :]).astype(jnp.int32)
        return archs, jnp.ones(len(decision), bool)

    return neighbors


def lexicographic_index(num_choices: tuple[int, ...]) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Returns `(index, from_index)` in lexicographic order, for spaces of at most `2**31 - 1` architectures."""
    counts = np.asarray(num_choices, np.int32)
    strides = np.asarray([math.prod(num_choices[i + 1 :]) for i in range(len(num_choices))], np.int32)

    def index(arch: Array) -> Array:
        return jnp.sum(arch * strides, dtype=jnp.int32)

    def from_index(index: Array) -> Array:
        return (jnp.asarray(index, jnp.int32)[None] // strides) % counts

    return index, from_index


def one_hot(num_choices: tuple[int, ...], arch: Array) -> Array:
    """Returns the one-hot encodings of the decisions, one after another, float32 `[sum(num_choices)]`."""
    most = max(num_choices)
    hot = (arch[:, None] == np.arange(most, dtype=np.int32)[None, :]).astype(jnp.float32)
    exists = np.arange(most)[None, :] < np.asarray(num_choices)[:, None]
    return hot.reshape(-1) if exists.all() else hot[np.nonzero(exists)]


def unknown_feature(name: Any, known: tuple[str, ...]) -> ValueError:
    """Returns the error for a feature that a space does not have."""
    return ValueError(not_one_of("the name of the features", name, known))


def checked_arch(arch: Any, num_choices: tuple[int, ...]) -> np.ndarray:
    """Returns one architecture as a NumPy array `[E]`; ValueError or TypeError says why it is not one."""
    values = np.asarray(arch)
    if values.dtype.kind not in "iu":
        raise TypeError(f"arch has dtype {values.dtype}, expected integers")
    if values.shape != (len(num_choices),):
        raise ValueError(f"arch has shape {values.shape}, expected one architecture of shape ({len(num_choices)},)")
    for i, (value, count) in enumerate(zip(values, num_choices, strict=True)):
        if not 0 <= value < count:
            raise ValueError(f"arch[{i}] is {value}, expected a choice from 0 to {count - 1}")
    return values.astype(np.int32)


def _strings(
    space: str, names: tuple[tuple[str, ...], ...], separator: str, decisions: tuple[str, ...] | None
) -> tuple[Callable[[Any], str], Callable[[str], np.ndarray]]:
    """Returns `(to_string, from_string)`."""
    labels = [f"{decision}=" for decision in decisions] if decisions else [""] * len(names)
    num_choices = tuple(len(choices) for choices in names)

    def to_string(arch: Any) -> str:
        values = checked_arch(arch, num_choices)
        terms = [label + choices[value] for label, choices, value in zip(labels, names, values, strict=True)]
        return separator.join(terms)

    def from_string(text: str) -> np.ndarray:
        if not isinstance(text, str):
            raise TypeError(f"an architecture of {space} is read from a string, not from {type(text).__name__}")
        terms = text.split(separator)
        if len(terms) != len(names):
            terms = bare(text).split(separator)
        if len(terms) != len(names):
            raise ValueError(
                f"{short(repr(text), 200)} has {len(terms)} decisions separated by {separator!r}, expected "
                f"{len(names)} as in {to_string([0] * len(names))!r}"
            )
        try:
            return np.asarray([read(i, term) for i, term in enumerate(terms)], np.int32)
        except ValueError as error:
            if (plain := bare(text)) != text:
                return from_string(plain)
            raise ValueError(f"{short(repr(text), 200)}: {error}") from None

    def read(i: int, term: str) -> int:
        """The choice that a term names, as it stands or without blanks, which names may begin or end with."""
        label, choices = labels[i], names[i]
        plain, _, chosen = term.partition("=") if label else ("", "", term)
        if not term.startswith(label) and f"{plain.strip()}=" != label:
            raise ValueError(f"decision {i} is {short(repr(term))}, expected it to start with {label!r}")
        choice = term[len(label) :] if term.startswith(label) else chosen
        for spelled in (choice, choice.strip()):
            if spelled in choices:
                return choices.index(spelled)
        offer = did_you_mean(choice, choices) or ","
        raise ValueError(
            f"unknown choice {short(repr(choice))} at decision {i}{offer} expected one of "
            f"{short(', '.join(choices), 400)}"
        )

    return to_string, from_string


def _checked_counts(num_choices: Sequence[int]) -> tuple[int, ...]:
    try:
        counts = tuple(operator.index(count) for count in num_choices)
    except TypeError:
        raise TypeError(f"num_choices is {num_choices!r}, expected a sequence of ints, one for each decision") from None
    if not counts or not all(1 <= count <= _MOST_CHOICES for count in counts):
        raise ValueError(f"num_choices is {counts}, expected at least one decision of 1 to {_MOST_CHOICES:,} choices")
    if max(counts) < 2:
        raise ValueError(f"num_choices is {counts}: no decision has two choices, so there is nothing to search")
    return counts


def _checked_names(counts: tuple[int, ...], names: Any, separator: str) -> tuple[tuple[str, ...], ...]:
    if names is None:
        names = [[str(choice) for choice in range(count)] for count in counts]
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"names is {names!r}, expected a sequence of names for each decision")
    if all(isinstance(choice, str) for choice in names):
        names = (names,) * len(counts)
    if len(names) != len(counts):
        raise ValueError(f"names has {len(names)} entries, expected {len(counts)}, one for each decision")
    for i, (choices, count) in enumerate(zip(names, counts, strict=True)):
        _check_labels(f"names[{i}]", choices, count, separator)
    return tuple(tuple(choices) for choices in names)


def _checked_decisions(counts: tuple[int, ...], decisions: Any, separator: str) -> tuple[str, ...] | None:
    if decisions is None:
        return None
    _check_labels("decisions", decisions, len(counts), separator)
    return tuple(decisions)


def _check_labels(argument: str, labels: Any, count: int, separator: str) -> None:
    """Raises unless there are `count` different strings that can stand between separators."""
    sound = isinstance(labels, Sequence) and not isinstance(labels, str)
    if not sound or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"{argument} is {labels!r}, expected a sequence of strings")
    if len(labels) != count or len(set(labels)) != count:
        raise ValueError(f"{argument} is {tuple(labels)}, expected {count} different names")
    for label in labels:
        if not label or separator in label:
            raise ValueError(f"{argument} has the name {label!r}: it must not be empty or contain {separator!r}")
