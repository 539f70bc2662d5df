"""The examples in docstrings run as they stand there, and at least half of what is exported has one."""

import doctest
import functools
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas.io._fields import describe_fields

PUBLIC = ("", ".nasbench101", ".queries", ".searchers", ".searchers.predictors", ".spaces", ".statistics", ".training")
COMMON = {"jax": jax, "jnas": jnas, "jnp": jnp, "np": np}  # what an example need not import


@functools.cache
def examples():
    """Every docstring with an example; of the modules without one nothing is imported but their packages."""
    found = []
    for module in pkgutil.walk_packages(jnas.__path__, "jnas."):
        if ">>>" in Path(module.module_finder.find_spec(module.name).origin).read_text(encoding="utf-8"):
            module = importlib.import_module(module.name)
            found += doctest.DocTestFinder().find(module, globs=COMMON | vars(module))
    return [each for each in found if each.examples]


@pytest.mark.slow
def test_examples_run(tmp_path, monkeypatch):
    """All in one process, so that what they share (the embedded table, compiled programs) is made once."""
    monkeypatch.chdir(tmp_path)  # some write a file
    runner, report = doctest.DocTestRunner(verbose=False), []
    for example in examples():
        runner.run(example, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)


def test_half_of_the_exported_functions_have_an_example():
    documented = {each.name for each in examples()}
    exported = set()
    for name in PUBLIC:
        module = importlib.import_module(f"jnas{name}")
        values = (inspect.unwrap(getattr(module, each)) for each in module.__all__)
        exported |= {f"{value.__module__}.{value.__qualname__}" for value in values if inspect.isfunction(value)}
    assert len(exported) > 100
    without = sorted(exported - documented)
    assert len(without) <= len(exported) / 2, without


def test_fields_are_described():
    """`help()` says of a field what it is; by itself Python says "Alias for field number 3"."""
    faces = [importlib.import_module(f"jnas{name}") for name in PUBLIC]
    exported = [getattr(face, name) for face in faces for name in face.__all__]
    words = {each for each in exported if isinstance(each, type) and hasattr(each, "_fields")}
    assert len(words) > 60
    for word in words:
        for field in word._fields:
            assert not getattr(word, field).__doc__.startswith("Alias for"), f"{word.__name__}.{field}"


def test_fields_are_described_where_python_takes_indentation_out_of_docstrings():
    class Point(NamedTuple):
        """A place."""

        across: float

    Point.__doc__ = "A place.\n\nAttributes:\n  across: Meters\n    to the east.\n"  # as Python 3.13 has it
    assert describe_fields(Point).across.__doc__ == "Meters to the east."


def test_a_field_that_is_not_described_is_named():
    class Point(NamedTuple):
        """A place."""

        across: float
        down: float

    Point.__doc__ = "A place.\n\n    Attributes:\n      across: To the east.\n    "
    with pytest.raises(TypeError, match="Point has the fields across, down, and describes across"):
        describe_fields(Point)
