"""The file in which `jnas.search` keeps a search, so that it can go on after a crash to the same result."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import numpy as np

from jnas.core._version import __version__
from jnas.core._vocabulary import Key
from jnas.io._archive import read_archive, write_archive
from jnas.io._lock import alone_in
from jnas.io._text import short
from jnas.io._tree import as_members, check_members, fill, find_leaves

P = ParamSpec("P")
R = TypeVar("R")

FORMAT = "jnas-search"
VERSION = 1
_LATER = ("objective", "begins")  # what the first checkpoints did not say
_HASHES = {"program", *_LATER}  # what is no word for people
_REMEDY = "give another file, or delete this one to start afresh"


class Pending(NamedTuple):
    """Evaluations of the current proposal that have been made, in the order of its valid rows."""

    scores: list[float]
    seconds: list[float]
    objectives: list[list[float]]  # empty where evaluations have no further objectives; files then have no such member


_WRITING = ("jnas", "jax", "platform")  # before 0.2.0 checkpoints did not say by which jnas


def identify(key: Key, programs: Sequence[Any], **settings: Any) -> dict[str, Any]:
    """Returns what makes a search this one and no other, as JSON.

    Args:
      key: The search's PRNG key `[]`.
      programs: Its lowered programs (`jax.jit(f).lower(...)`); they hold the searcher's settings and its space.
      **settings: The other arguments, as JSON values.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        **settings,
        "key": f"{jax.random.key_impl(key)}:{np.asarray(jax.random.key_data(key)).tobytes().hex()}",
        "program": program_digest(*programs),
        "jnas": __version__,
        "jax": jax.__version__,
        "platform": jax.default_backend(),
    }


def program_digest(*programs: Any) -> str:
    """Returns a hash of lowered programs."""
    digest = hashlib.sha256()
    for program in programs:
        digest.update(program.as_text().encode())
    return digest.hexdigest()


def alone_on_checkpoint(function: Callable[P, R]) -> Callable[P, R]:
    """Returns a function that no other process is in with the same file as its argument `checkpoint`, if it has one.

    It raises BlockingIOError where one is.
    """

    @functools.wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = kwargs.get("checkpoint")
        with contextlib.ExitStack() as stack:
            if given is not None:
                file = Path(given)
                stack.enter_context(alone_in(file.parent, f".{file.name}.lock", at=file))
            return function(*args, **kwargs)

    return alone


def save_checkpoint(path: str | os.PathLike[str], identity: dict[str, Any], contents: Any, pending: Pending) -> None:
    """Writes a checkpoint, beside it and renamed.

    Args:
      path: Where.
      identity: From `identify`.
      contents: A pytree of arrays and PRNG keys.
      pending: Evaluations that the contents do not hold yet.
    """
    arrays = as_members(contents, "leaf_")
    made = {n: np.asarray(v, np.float64) for n, v in pending._asdict().items() if v or n != "objectives"}
    write_archive(path, identity, {**arrays, **made})


def load_checkpoint(
    path: str | os.PathLike[str], identity: dict[str, Any], template: Any
) -> tuple[Any, Pending] | None:
    """Returns the contents and the pending evaluations of a checkpoint, or None if there is no file.

    Args:
      path: The file.
      identity: From `identify`; what the file says of itself must agree.
      template: A pytree as `save_checkpoint` was given it.

    Raises:
      ValueError: The file is cut off, damaged, of another origin, or belongs to another search.
    """
    if not Path(path).exists():
        return None

    def check(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        _check_identity(path, header, identity)
        members = {"scores": "f made", "seconds": "f made"}
        if "objectives" in arrays:
            members["objectives"] = "f made objectives"
        try:
            if len(arrays) != len(find_leaves(arrays, template, "leaf_")) + len(members):
                raise ValueError("there are others")
            check_members(arrays, members)
        except ValueError as error:
            raise ValueError(f"the arrays of {path} are not those of this search ({error}); {_REMEDY}") from None

    arrays = read_archive(path, kind="a checkpoint of jnas.search", remedy=_REMEDY, check=check).arrays
    leaves = find_leaves(arrays, template, "leaf_")
    made = (arrays["scores"], arrays["seconds"], arrays.get("objectives", np.zeros((0, 0))))
    return fill(template, leaves), Pending(*(m.tolist() for m in made))


def _check_identity(path: str | os.PathLike[str], found: Mapping[str, Any], wanted: dict[str, Any]) -> None:
    """Raises ValueError that lists how a checkpoint's search differs from this one."""
    if found.get("format") != FORMAT or found.get("version") != VERSION:
        raise ValueError(f"{path} is not a checkpoint of jnas.search of version {VERSION}; {_REMEDY}")
    # Another version of jax or of jnas, or another device, writes the same program differently.
    comparable = all(found.get(name) == wanted.get(name) for name in _WRITING)
    ignored = {*_WRITING} | (set() if comparable else {"program", *_LATER})
    ignored |= {name for name in _LATER if name not in found}
    names = [n for n in wanted if n not in ignored and found.get(n) != wanted[n]]
    if names == ["objective"]:
        raise ValueError(f"the checkpoint {path} belongs to a search of another objective; {_REMEDY}")
    if names and _HASHES.issuperset(names):
        raise ValueError(
            f"the checkpoint {path} belongs to {wanted['searcher']} with other settings or on another space; {_REMEDY}"
        )
    if names:
        told = [f"{n} is {short(repr(found.get(n)))} there and {wanted[n]!r} here" for n in names if n not in _HASHES]
        raise ValueError(f"the checkpoint {path} belongs to another search: {'; '.join(told)}. To go on, {_REMEDY}")
