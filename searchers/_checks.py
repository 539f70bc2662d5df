"""Checks of the arguments that searchers share."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax


def check_positive_int(name: str, value: Any, least: int = 1) -> None:
    """Raises TypeError or ValueError unless `value` is a Python int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}, expected a Python int: it sets the shape of the state")
    if value < least:
        raise ValueError(f"{name} is {value}, expected at least {least}")
    if value >= 2**31:
        raise ValueError(f"{name} is {value}, expected less than 2**31")


def check_sizes(**sizes: Any) -> None:
    """Raises TypeError or ValueError unless each argument, given by its name, is a positive Python int."""
    for name, value in sizes.items():
        check_positive_int(name, value)


def check_fraction(name: str, value: Any) -> None:
    """Raises ValueError if `value` is a number outside 0 to 1; tracers pass."""
    if not isinstance(value, jax.core.Tracer) and not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}, expected a fraction from 0 to 1")


def check_positive(name: str, value: Any) -> None:
    """Raises ValueError if `value` is a number that is not positive; tracers pass."""
    if not isinstance(value, jax.core.Tracer) and not value > 0:
        raise ValueError(f"{name} is {value}, expected a positive number")


def check_budgets(budgets: Any) -> tuple[float, ...]:
    """Returns the fidelities of a multi-fidelity searcher as a tuple.

    Raises:
      TypeError: `budgets` is not a sequence of numbers.
      ValueError: It is empty, not ascending, or holds a value that is not positive.
    """
    if isinstance(budgets, str) or not isinstance(budgets, Sequence):
        raise TypeError(f"budgets is {budgets!r}, expected an ascending tuple of fidelities, for example (12, 200)")
    ascending = all(low < high for low, high in itertools.pairwise(budgets))
    if not budgets or not ascending or budgets[0] <= 0:
        raise ValueError(f"budgets is {tuple(budgets)}, expected positive fidelities in ascending order")
    return tuple(budgets)


def check_eta(eta: Any) -> None:
    """Raises ValueError unless one in `eta` is fewer than all."""
    if not eta > 1:
        raise ValueError(f"eta is {eta}, expected more than 1: one in eta architectures goes on to the next fidelity")


def check_rounding(rounding: Any) -> None:
    """Raises ValueError unless Hyperband knows this rounding."""
    if rounding not in ("floor", "ceil"):
        raise ValueError(f"rounding is {rounding!r}, expected 'floor' or 'ceil'")
