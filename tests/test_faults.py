"""Works that are killed, interrupted or begun twice end with the same results: short forms of `tests/faults/`.

The long forms are scripts: `python -m tests.faults.kills`, `interrupts` and `pairs`, each with `--times` and `--seed`.
"""

import functools
import random

import pytest

from tests.faults import _works, interrupts, kills, pairs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What each work leaves that nothing has disturbed."""
    return functools.cache(lambda work: _works.whole(work, tmp_path_factory.mktemp("whole") / "work", times=1))


@pytest.mark.parametrize(
    ("disturb", "work", "seed"),
    [(kills.disturb, "search", 0), (interrupts.disturb, "train", 1), (pairs.disturb, "search", 1)],
)
def test_what_was_disturbed_ends_as_it_would_have(whole, tmp_path, disturb, work, seed):
    disturb(work, tmp_path / "work", whole(work), random.Random(seed))
