"""Large arrays that a function reads, as arguments of its program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core

_LARGE = 1 << 14  # bytes; smaller ones let the compiler compute with them


def with_large_constants(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Returns a function that takes before its arguments the large arrays that it closes over, and these arrays.

    What a function closes over is written into its program, and copied at each step of compiling it: a table of 20 MB
    takes half a gigabyte.

    Args:
      function: Traced here, once.
      *arguments: As it takes them; shapes alone matter.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    is_large = [constant.nbytes >= _LARGE for constant in closed.consts]
    large = [constant for constant, lifted in zip(closed.consts, is_large, strict=True) if lifted]

    def lifted(*given: Any) -> Any:
        arrays = iter(given)
        consts = [next(arrays) if lifted else c for c, lifted in zip(closed.consts, is_large, strict=True)]
        whole = jax.extend.core.jaxpr_as_fun(jax.extend.core.ClosedJaxpr(closed.jaxpr, consts))
        return jax.tree.unflatten(jax.tree.structure(shape), whole(*jax.tree.leaves(tuple(arrays))))

    return lifted, large
