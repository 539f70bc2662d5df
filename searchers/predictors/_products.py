"""Matrix products whose rounding does not depend on the device."""

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array


def exact_product(a: Array, b: Array) -> Array:
    """Returns `a @ b` in float32; GPUs would otherwise round the factors to 10 bits.

    For what is solved or subtracted afterwards: a posterior's variance is a small difference of large sums.
    """
    product: Array = jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
    return product
