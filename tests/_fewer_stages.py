"""Networks of NAS-Bench-201 with fewer stages, for tests of what does not depend on how many: they compile sooner."""

import contextlib
from collections.abc import Iterator

import pytest

from jnas.training.networks.nasbench201 import _network, _supernet


@contextlib.contextmanager
def stages(number: int) -> Iterator[None]:
    """Makes networks and supernets with so many stages; three are published. Costs remain those of three."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (_network, _supernet):
            patch.setattr(module, "NUM_STAGES", number)
            patch.setattr(module, "_NOTHING", (None, (None,) * number, (None,) * (number - 1), None))
        yield
