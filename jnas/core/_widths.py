"""Numbers of 32 bits, whatever `jax_enable_x64` says: the same results to the bit."""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

_NARROWER: dict[Any, Any] = {
    np.dtype("float64"): np.float32,
    np.dtype("int64"): np.int32,
    np.dtype("uint64"): np.uint32,
}


def in_32_bits(function: Function) -> Function:
    """Returns a function as JAX traces it with `jax_enable_x64` off; array arguments of 64 bits become those of 32.

    For what is made of counts or of Python numbers alone, which JAX otherwise takes for 64 bits: schedules, rates, an
    optimizer's corrections.

    Example:
      >>> halves = in_32_bits(lambda count: jnp.arange(count) / 2)
      >>> with jax.enable_x64(True):
      ...     print(halves(3).dtype, (jnp.arange(3) / 2).dtype)
      float32 float64
    """

    @functools.wraps(function)
    def narrow(*arguments: Any, **named: Any) -> Any:
        arguments, named = jax.tree.map(_narrowed, (arguments, named))
        with jax.enable_x64(False):
            return function(*arguments, **named)

    return narrow  # type: ignore[return-value]


def narrow_optimizer(optimizer: Any) -> Any:
    """Returns an optimizer of optax's whose rates and corrections are float32, `in_32_bits`."""
    return optimizer._replace(init=in_32_bits(optimizer.init), update=in_32_bits(optimizer.update))


def as_float(number: Any) -> float:
    """Returns a number as a Python float, an infinity where it is an integer beyond them all.

    Example:
      >>> as_float(10**400), as_float(np.float32(0.5))
      (inf, 0.5)
    """
    try:
        return float(number)
    except OverflowError:
        return math.copysign(math.inf, 1 if number > 0 else -1)


def is_cost(seconds: float) -> bool:
    """Returns whether seconds are what an evaluation may cost: not negative, and finite in float32.

    Example:
      >>> is_cost(0.0), is_cost(1e300), is_cost(-1.0)
      (True, False, False)
    """
    return 0 <= seconds <= float(np.finfo(np.float32).max)


def _narrowed(leaf: Any) -> Any:
    """Returns an array of 64 bits as one of 32; everything else as it is."""
    narrower = _NARROWER.get(leaf.dtype) if isinstance(leaf, jax.Array) else None
    return leaf if narrower is None else leaf.astype(narrower)
