"""Noise as an operation: images that know nothing of their input, new for each batch, the same for the same batch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array

_ODD = np.uint32(0x9E3779B1)


def noise_seeds(images: Array, places: tuple[int, ...]) -> Array:
    """Returns a seed for each of some places in a network, uint32 of that shape, from the batch that it looks at.

    The networks' functions have no key. A batch has its own seeds, whichever architecture looks at it, and gradients
    that compute an operation again find the same noise.

    Args:
      images: float32, the network's input.
      places: The shape.
    """
    bits = lax.bitcast_convert_type(lax.stop_gradient(images).astype(jnp.float32), jnp.uint32).reshape(-1)
    odd = 2 * jnp.arange(bits.size, dtype=jnp.uint32) + 1
    batch = jnp.sum(bits * odd * _ODD, dtype=jnp.uint32)
    count = int(np.prod(places))
    return (batch + jnp.arange(count, dtype=jnp.uint32)).reshape(places)


def noise(seed: Any, images: Array, stride: int) -> Array:
    """Returns standard normal noise `[C, H, W, B]` in place of every `stride`-th pixel of images, by a uint32 `[]`."""
    shape = images[:, ::stride, ::stride].shape
    return jax.random.normal(jax.random.key(seed), shape, images.dtype)
