"""What stands in for the few functions that pickles of numbers name: each makes data from data.

None of them is the function that the pickle meant, so whatever arguments a hostile file gives, the worst that can come
of it is a `ValueError`. They keep to what `load` in `_restricted_pickle` promises: memory in proportion to the bytes
read, and no key that could overflow `hash`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Builder = Callable[..., Any]

_ATOMS = frozenset((str, int, float, bool, bytes, type(None)))


def hashable(keys: Iterable[Any]) -> bool:
    """Says whether values may be keys: plain ones, or flat tuples of them (a deep tuple would overflow `hash`)."""
    keys = list(keys)
    kinds = set(map(type, keys))
    if kinds <= _ATOMS:
        return True
    return kinds <= _ATOMS | {tuple} and all(set(map(type, k)) <= _ATOMS for k in keys if type(k) is tuple)


class Global:
    """A name that a pickle mentioned and that is allowed: nothing but its text."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        """Keeps the name."""
        self.name = name


class DataType:
    """Stand-in for `numpy.dtype`, numbers only."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any):
        """Takes NumPy's short name of the type, such as `f8`; bytes, where Python 2 wrote it."""
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not (isinstance(code, str) and re.fullmatch(r"f[248]|[iu][1248]|b1", code)):
            raise ValueError("a NumPy type that is not a number")
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Takes the byte order, the second item of the state that NumPy writes."""
        order: Any = state[1] if isinstance(state, tuple) and len(state) >= 2 else None
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise ValueError("a NumPy type with a state that NumPy does not write")
        self.dtype = self.dtype.newbyteorder(order)


class Numbers:
    """Stand-in for a NumPy array of numbers."""

    __slots__ = ("value",)

    def __init__(self, *_: Any):
        """Starts without numbers; they come as the state."""
        self.value: np.ndarray = np.zeros(0)

    def set_state(self, state: Any) -> None:
        """Takes `(version, shape, type, is_fortran, bytes)`."""
        if not (isinstance(state, tuple) and len(state) == 5):
            raise ValueError("a NumPy array with a state that NumPy does not write")
        _, shape, kind, fortran, data = state
        if not (isinstance(kind, DataType) and isinstance(data, bytes) and isinstance(shape, tuple)):
            raise ValueError("a NumPy array of something other than numbers")
        if not (len(shape) <= 32 and all(type(n) is int and 0 <= n <= len(data) for n in shape)):
            raise ValueError("a NumPy array of a strange shape")
        if len(data) != kind.dtype.itemsize * math.prod(shape):
            raise ValueError("a NumPy array whose shape does not fit its bytes")
        self.value = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if fortran is True else "C")


class HeldValues:
    """Stand-in for an object of a class that only holds values: what it holds, by name."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        """Starts without values; they come as the state."""
        self.fields: dict[str, Any] = {}

    def set_state(self, state: Any) -> None:
        """Takes a dictionary of the values by their names."""
        if not (type(state) is dict and all(type(name) is str for name in state)):
            raise ValueError("an object with a state that is not values by their names")
        self.fields = state


def _scalar(kind: Any, data: Any) -> Any:
    if not (isinstance(kind, DataType) and isinstance(data, bytes) and len(data) == kind.dtype.itemsize):
        raise ValueError("a NumPy number whose bytes do not fit its type")
    return np.frombuffer(data, kind.dtype)[0].item()


def _encode(text: Any, encoding: Any) -> bytes:  # how protocol 2 writes bytes
    if not (isinstance(text, str) and encoding in ("latin1", "latin-1")):
        raise ValueError("a text encoding that pickles of bytes do not use")
    return text.encode("latin1")


def _no_bytes() -> bytes:  # how protocol 2 writes no bytes at all
    return b""


def _make_set(items: Any = ()) -> set[Any]:
    if not (isinstance(items, (list, tuple)) and hashable(items)):
        raise ValueError("a set of something other than plain values")
    return set(items)


def _make_dict(pairs: Any = ()) -> dict[Any, Any]:
    if not (isinstance(pairs, (list, tuple)) and all(type(p) in (list, tuple) and len(p) == 2 for p in pairs)):
        raise ValueError("a dictionary that is not made of pairs")
    if not hashable(p[0] for p in pairs):
        raise ValueError("a dictionary whose keys are not plain values")
    return dict(pairs)


BUILDERS: Mapping[str, Builder] = {
    "collections.OrderedDict": _make_dict,
    "builtins.set": _make_set,
    "__builtin__.set": _make_set,
    "builtins.bytes": _no_bytes,
    "__builtin__.bytes": _no_bytes,
    "_codecs.encode": _encode,
    "numpy.dtype": DataType,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.core.multiarray._reconstruct": Numbers,
    "numpy._core.multiarray._reconstruct": Numbers,
}
"""What stands in for each function that a pickle of plain numbers may name."""

NAMES = frozenset(("numpy.ndarray",))
"""Names that may be mentioned as an argument and are never called."""
