"""Damaged files of every format give the right values or a sentence that names the file: `damage.py`, a short form."""

import collections

from tests.faults._formats import FORMATS
from tests.faults.damage import _GOOD, damage_all


def test_damaged_files_give_the_right_values_or_a_sentence(tmp_path):
    outcomes = list(damage_all(tmp_path, 6 * len(FORMATS)))  # each damage once to each format
    assert [outcome for outcome in outcomes if outcome.kind not in _GOOD] == []
    counts = collections.Counter(outcome.kind for outcome in outcomes)
    assert counts["refused"] > 60
    assert {outcome.format for outcome in outcomes if outcome.kind == "no checksum"} <= {
        "CIFAR binary",
        "CIFAR pickles",
        "ImageNet16",
    }
