"""The space of NAS-Bench-Macro: a block for each of eight layers."""

import functools
import json
import re
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Array, Space
from jnas.io._text import short
from jnas.spaces._categorical import categorical, checked_arch
from jnas.spaces._hashing import hash_number
from jnas.spaces._listed import all_encodings, spelled

BLOCKS = ("Identity", "MB3_K3", "MB6_K5")
_STAGES = (2, 3, 3)


def nasbench_macro() -> Space:
    """Returns the space of NAS-Bench-Macro: for each of eight layers one of three blocks, 6,561 architectures.

    An architecture is int32 `[8]`: 0 Identity, 1 MB3_K3 (a block of MobileNetV2, kernel 3, expansion 3), 2 MB6_K5. The
    layers form stages of 2, 3 and 3. Strings are the published ones, `22212220`; the index is their lexicographic
    order. Within a stage an identity that is not its first layer may stand anywhere: the benchmark has trained one
    network for all such strings, and they have the same fingerprint; 3,969 networks are different.

    References:
      "Prioritized Architecture Sampling with Monto-Carlo Tree Search", Su et al., 2021, Section 4.

    Example:
      >>> jnas.spaces.nasbench_macro().from_string("22212220").tolist()
      [2, 2, 2, 1, 2, 2, 2, 0]
    """
    return _nasbench_macro()


@functools.cache
def _nasbench_macro() -> Space:
    space = categorical((3,) * 8, BLOCKS, name="nasbench_macro")
    assert space.index is not None
    number, same = space.index, _same_network()

    def to_string(arch: Any) -> str:
        return "".join(map(str, checked_arch(arch, space.num_choices)))

    def from_string(text: str) -> np.ndarray:
        plain = spelled(text)
        if not re.fullmatch("[0-2]{8}", plain):
            raise ValueError(
                f"{short(repr(text), 200)} is no architecture of NAS-Bench-Macro, expected eight digits from 0 to 2, "
                "as in '22212220'"
            )
        return np.asarray(list(plain), np.int32)

    def fingerprint(arch: Array) -> Array:
        return hash_number(jnp.asarray(same)[number(arch)])

    return space._replace(
        config=json.dumps({"kind": "nasbench_macro"}),
        fingerprint=fingerprint,
        to_string=to_string,
        from_string=from_string,
    )


def _same_network() -> np.ndarray:
    """Returns for each index that of the string with its stages' later identities at their ends, int32 `[6561]`."""
    encodings = all_encodings((3,) * 8)
    moved, start = encodings.copy(), 0
    for length in _STAGES:
        later = slice(start + 1, start + length)
        order = np.argsort(encodings[:, later] == 0, axis=1, kind="stable")
        moved[:, later] = np.take_along_axis(encodings[:, later], order, axis=1)
        start += length
    found: np.ndarray = (moved @ 3 ** np.arange(7, -1, -1)).astype(np.int32)
    return found
