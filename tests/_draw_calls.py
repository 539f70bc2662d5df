"""How often a program calls the generator of random numbers."""

from typing import Any


def count_draws(jaxpr: Any) -> int:
    """Returns the call sites in a traced program: those of `jax.random`, and those of `jnas.core._draws`."""
    text = str(jaxpr)
    return sum(text.count(call) for call in ("random_bits[", "random_split[", "random_fold_in", "name=_rounds"))
