"""Settings and fixtures that all tests share."""

import os
from pathlib import Path

# Most of the tests' time is compilation of programs that run once.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import hypothesis
import jax
import pytest

hypothesis.settings.register_profile("fixed", derandomize=True)  # a check that fails must fail again
hypothesis.settings.load_profile("fixed")

jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


FILES_BETWEEN_CLEARINGS = 10
finished_files = 0


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Forget compiled programs every few files: all of them together take gigabytes."""
    global finished_files
    yield
    finished_files += 1
    if finished_files % FILES_BETWEEN_CLEARINGS == 0:
        jax.clear_caches()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real tables, beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real tables are not at {SHARED}: checks against published data are left out")
    return SHARED
