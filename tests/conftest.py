"""Settings and fixtures that all tests share."""

import os
from pathlib import Path

# Compiling the random number generator dominates test time on CPU; this level gives the same bits.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=2")

import hypothesis
import jax
import pytest

hypothesis.settings.register_profile("fixed", derandomize=True)  # a check that fails must fail again
hypothesis.settings.load_profile("fixed")

jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real tables, beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real tables are not at {SHARED}: checks against published data are left out")
    return SHARED
