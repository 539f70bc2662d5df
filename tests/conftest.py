"""Settings and fixtures that all tests share."""

import os
import shutil
import tempfile
from pathlib import Path

from tests._compilation import QUICK_FLAGS

# Most of the tests' time is compilation: of programs that run once, and of the same program in several processes (the
# workers of pytest-xdist, commands that are killed and go on). Both kinds of processes inherit this.
os.environ.setdefault("XLA_FLAGS", QUICK_FLAGS)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"jnas-tests-{os.getpid()}"))

import hypothesis
import jax
import pytest

hypothesis.settings.register_profile("fixed", derandomize=True)  # a check that fails must fail again
hypothesis.settings.load_profile("fixed")

jax.config.update("jax_numpy_rank_promotion", "raise")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_unconfigure(config):
    """Removes the compiled programs of this run, in the process that made their folder."""
    del config
    folder = os.environ["JAX_COMPILATION_CACHE_DIR"]
    if os.path.basename(folder) == f"jnas-tests-{os.getpid()}":
        shutil.rmtree(folder, ignore_errors=True)


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
