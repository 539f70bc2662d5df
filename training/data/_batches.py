"""Which examples stand in which batch: row numbers `[T, n]` of a data set, drawn or in order."""

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Key
from jnas.training.data._dataset import Dataset


def batches_per_epoch(dataset: Dataset, batch_size: int, remedy: str = "give a smaller batch_size") -> int:
    """Returns how many batches the training images fill; those that are left over wait for the next permutation.

    Args:
      dataset: What is gone through.
      batch_size: Images in a batch.
      remedy: What the message asks for.

    Raises:
      ValueError: There are fewer training images than a batch takes.
    """
    images = len(dataset.rows("train"))
    if images < batch_size:
        raise ValueError(
            f"the data set {dataset.name!r} has {images} training images and a batch takes {batch_size}; {remedy}"
        )
    return images // batch_size


def shuffled_batches(key: Key, rows: Array, size: int, count: int) -> Array:
    """Returns the first `count` batches `[count, size]` of rows in a new order; what is left over is left out."""
    return jax.random.permutation(key, rows)[: count * size].reshape(count, size)


def next_batches(key: Key, rows: Array, size: int, count: int) -> Array:
    """Returns `count` mini-batches of an endless pass over images in random order, int32 `[count, n]`.

    Images that do not fill a batch are left out until the next permutation; a batch of more than all is all.
    """
    size = min(size, len(rows))
    each = len(rows) // size
    keys = jax.random.split(key, -(-count // each))
    orders = jax.vmap(lambda key: jax.random.permutation(key, rows)[: each * size])(keys)
    return orders.reshape(-1, size)[:count]


def filled_batches(rows: Array, size: int) -> tuple[Array, Array]:
    """Returns batches `[T, n]` of all rows in their order, and which of them count.

    The last batch is filled up with the first rows, which are not counted but belong to its own statistics.
    """
    total = len(rows)
    size = min(size, total)
    places = jnp.arange(-(-total // size) * size).reshape(-1, size)
    return rows[places % total], places < total
