"""Networks with fewer stages or stacks, for tests of what does not depend on how many: they compile sooner."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from jnas.training.networks.nasbench101 import _network as network101
from jnas.training.networks.nasbench101 import _one_shot_supernet as one_shot
from jnas.training.networks.nasbench101 import _supernet as supernet101
from jnas.training.networks.nasbench201 import _network, _supernet


@contextlib.contextmanager
def stages(number: int) -> Iterator[None]:
    """Makes networks and supernets with so many stages; three are published. Costs remain those of three."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (_network, _supernet):
            patch.setattr(module, "NUM_STAGES", number)
            patch.setattr(module, "_NOTHING", (None, (None,) * number, (None,) * (number - 1), None))
        yield


def jnas_of_one_stage(*words: Any) -> int:
    """`jnas` as a user types it, with networks of one stage: for a process of its own."""
    from jnas.commands._cli import main

    with stages(1):
        return main([str(word) for word in words])


@contextlib.contextmanager
def stacks(number: int) -> Iterator[None]:
    """Makes networks and supernets of NAS-Bench-101 with so many stacks; three are published, and have their costs."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (network101, supernet101, one_shot):
            patch.setattr(module, "NUM_STACKS", number)
        yield
