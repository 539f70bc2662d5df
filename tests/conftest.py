"""Settings and fixtures that all tests share."""

import collections
import ctypes
import gc
import json
import math
import os
import sys
from pathlib import Path

from tests._compilation import QUICK_FLAGS, kept_programs, remove_old_programs

# Most of the tests' time is compilation: of programs that run once, and of the same program in several processes (the
# workers of pytest-xdist, commands that are killed and go on) and in the next run of the tests, which takes from the
# folder what has not changed. All these processes inherit this.
os.environ.setdefault("XLA_FLAGS", QUICK_FLAGS)
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # where an operation was traced takes time to say
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept_programs()))
os.environ.pop("COLUMNS", None)  # pytest-xdist gives its workers 80, which would break the lines of what is printed

import hypothesis
import jax
import pytest

import tests._contexts  # noqa: F401  # for what it does

hypothesis.settings.register_profile("fixed", derandomize=True)  # a check that fails must fail again
hypothesis.settings.load_profile("fixed")

jax.config.update("jax_numpy_rank_promotion", "raise")

# Tracing allocates much that lives on: each collection would go through all of it, and through all modules.
gc.freeze()
gc.set_threshold(50_000, 20, 50)


def pytest_configure(config):
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # pytest-xdist's own order, by numbers of tests alone


def pytest_collection_modifyitems(config, items):
    """Has workers of pytest-xdist begin with the files that take longest, lest one of them be left alone with such."""
    if hasattr(config, "workerinput"):
        size = collections.Counter(item.path for item in items)
        slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: (-slow[item.path], -size[item.path]))


def pytest_collection_finish():
    """All modules are imported: no collection need go through them."""
    gc.collect()
    gc.freeze()


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_unconfigure(config):
    """Keeps the folder of compiled programs small, in the process that started the others."""
    if not hasattr(config, "workerinput") and os.environ["JAX_COMPILATION_CACHE_DIR"] == str(kept_programs()):
        remove_old_programs(kept_programs())


MOST_MEMORY = 1.2e9
"""Bytes that a process may hold between two files. What it compiled is kept up to there, for the files that follow."""


@pytest.fixture(scope="module", autouse=True)
def bounded_memory():
    """Forget compiled programs where a process has become large: all of them together take gigabytes."""
    yield
    if resident_bytes() > MOST_MEMORY:
        jax.clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # else the memory stays with the process


def resident_bytes() -> float:
    """What this process holds of the memory now; infinity where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else math.inf


@pytest.fixture(scope="session", autouse=True)
def studies_compiled_quickly():
    """Compiles studies as `QUICK_FLAGS` say, in two fifths of the time; commands in processes of their own do not."""
    from jnas.studies.predictors import _run
    from jnas.studies.search import _program

    with pytest.MonkeyPatch.context() as patch:
        for module in (_program, _run):
            patch.setattr(module, "compiler_options", dict)
        yield


@pytest.fixture(scope="session", autouse=True)
def pictures_left_out():
    """Leaves out what matplotlib draws, an eighth of a second each; all else is on a page as it is, and empty frames.

    Tests marked `pictures` have them whole, and so have commands in processes of their own.
    """
    from jnas.pages import _plots

    class Frame(_plots.FigureCanvasSVG):
        def print_svg(self, file, **options):
            if _asked_for_pictures:
                return super().print_svg(file, **options)
            return file.write("<svg></svg>")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plots, "FigureCanvasSVG", Frame)
        yield


_asked_for_pictures: list[str] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    _asked_for_pictures[:] = [item.nodeid] if item.get_closest_marker("pictures") else []


@pytest.fixture(scope="module")
def studies_compiled_once():
    """Traces and compiles a program of studies once for all tests of a file, and compiles only what a study needs.

    It is traced again for another object as searcher or table, and for another configuration.
    """
    from jnas.studies.search import _run

    compiled, traced = {}, {}

    def make(plan, name, make_=_run.make_program):
        given = (plan.searchers[name], plan.table)  # kept, so that no other object has their place in memory
        said = json.dumps(plan.config, sort_keys=True, default=str)
        which = (name, *map(id, given), plan.capacity, plan.widths[name], plan.num_chunks(name), said)
        if which not in traced:
            traced[which] = make_(plan, name), given
        return traced[which][0]

    def compile_(program, compile_=_run.compile_program):
        if program.digest not in compiled:
            compiled[program.digest] = compile_(program)
        return compiled[program.digest]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run, "make_program", make)
        patch.setattr(_run, "compile_program", compile_)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real tables, beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real tables are not at {SHARED}: checks against published data are left out")
    return SHARED
