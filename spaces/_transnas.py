"""The two spaces of TransNAS-Bench-101: cells (micro) and backbones (macro)."""

import functools
import json
import re
from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._text import short
from jnas.spaces._categorical import categorical, checked_arch
from jnas.spaces._listed import all_encodings, product_part, spelled

MICRO_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
_MICRO = re.compile(r"64-41414-([0-3])_([0-3])([0-3])_([0-3])([0-3])([0-3])")
_MACRO = re.compile(r"64-([1-4]{4,6})-basic")
_LEAST, _MOST = 4, 6  # modules


def transnas_micro() -> Space:
    """Returns the cell space of TransNAS-Bench-101: four operations on each of the six edges between four nodes.

    An architecture is int32 `[6]`: the operations (0 none, 1 skip_connect, 2 nor_conv_1x1, 3 nor_conv_3x3) on the edges
    1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2. All 4**6 = 4,096 are valid. Strings are the published ones, `64-41414-1_02_333`,
    the index is their lexicographic order.

    References:
      "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task Neural Architecture Search",
      Duan et al., 2021, Section 3.

    Example:
      >>> jnas.spaces.transnas_micro().from_string("64-41414-1_02_333").tolist()
      [1, 0, 2, 3, 3, 3]
    """
    return _transnas_micro()


@functools.cache
def _transnas_micro() -> Space:
    space = categorical((4,) * 6, MICRO_OPERATIONS, name="transnas_micro")

    def to_string(arch: Any) -> str:
        a, b, c, d, e, f = checked_arch(arch, space.num_choices)
        return f"64-41414-{a}_{b}{c}_{d}{e}{f}"

    def from_string(text: str) -> np.ndarray:
        found = _MICRO.fullmatch(spelled(text))
        if found is None:
            raise ValueError(
                f"{short(repr(text), 200)} is no cell of TransNAS-Bench-101, expected one as in '64-41414-1_02_333', "
                "each digit from 0 to 3"
            )
        return np.asarray(found.groups(), np.int32)

    return space._replace(config=json.dumps({"kind": "transnas_micro"}), to_string=to_string, from_string=from_string)


def transnas_macro() -> Space:
    """Returns the backbone space of TransNAS-Bench-101: four to six modules, 3,256 architectures.

    A module is plain (1), doubles the channels (2), halves the resolution (3), or does both (4). Resolution is halved
    one to four times, channels are doubled one to three times. An architecture is int32 `[6]`: the modules' numbers
    less 1, and 4 (none) for the fifth and sixth where there are fewer. Strings are the published ones, `64-1234-basic`;
    the index is lexicographic in the encoding. `neighbors` are the architectures of the benchmark that differ in one
    decision.

    References:
      "TransNAS-Bench-101", Duan et al., 2021, Section 3.

    Example:
      >>> space = jnas.spaces.transnas_macro()
      >>> space.size, space.from_string("64-1234-basic").tolist()
      (3256, [0, 1, 2, 3, 4, 4])
    """
    return _transnas_macro()


@functools.cache
def _transnas_macro() -> Space:
    plain = ("1", "2", "3", "4")
    whole = categorical((4, 4, 4, 4, 5, 5), (*[plain] * 4, *[(*plain, "none")] * 2), name="transnas_macro")
    encodings = all_encodings(whole.num_choices)
    there = encodings < 4
    halved, doubled = ((there & np.isin(encodings, kinds)).sum(axis=1) for kinds in ((2, 3), (1, 3)))
    valid = (there[:, 4] | ~there[:, 5]) & (halved >= 1) & (halved <= 4) & (doubled >= 1) & (doubled <= 3)
    rows = np.where(valid, np.cumsum(valid) - 1, -1).astype(np.int32)

    def to_string(arch: Any) -> str:
        return f"64-{''.join(str(c + 1) for c in checked_arch(arch, whole.num_choices) if c < 4)}-basic"

    def from_string(text: str) -> np.ndarray:
        found = _MACRO.fullmatch(spelled(text))
        if found is None:
            raise ValueError(
                f"{short(repr(text), 200)} is no backbone of TransNAS-Bench-101, expected one as in '64-1234-basic', "
                f"{_LEAST} to {_MOST} digits from 1 to 4"
            )
        return np.asarray([*(int(digit) - 1 for digit in found[1]), *[4] * (_MOST - len(found[1]))], np.int32)

    config = json.dumps({"kind": "transnas_macro"})
    return product_part(whole, rows, encodings[valid], config=config, to_string=to_string, from_string=from_string)
