"""PRNG keys of seeds, and how seeds are divided among programs."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._draws import fold_in_on_host
from jnas.core._vocabulary import Key


def seed_keys(root_seed: int, name: str, num_seeds: int) -> Key:
    """Returns a searcher's keys `[num_seeds]`.

    They depend on the searcher's name and the seed's number alone: another searcher in the study changes nothing, and
    more seeds begin with the fewer.
    """
    [keys] = seed_keys_in_chunks(root_seed, name, 1, num_seeds)
    return keys


def seed_keys_in_chunks(root_seed: int, name: str, num_chunks: int, width: int) -> tuple[Key, ...]:
    """Returns the first `num_chunks * width` of a searcher's keys, `[width]` for each chunk."""
    of_name, num_seeds = np.array([zlib.crc32(name.encode())], np.uint32), num_chunks * width
    if getattr(jax.config, "jax_default_prng_impl", None) == "threefry2x32":
        root = np.array([0, root_seed], np.uint32)
        [key] = fold_in_on_host(root, of_name)
        data = fold_in_on_host(key, np.arange(num_seeds, dtype=np.uint32))
    else:
        key = jax.random.fold_in(jax.random.key(root_seed), of_name[0])
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(num_seeds, dtype=jnp.uint32))
        data = np.asarray(jax.random.key_data(keys))
    return tuple(jax.random.wrap_key_data(each) for each in data.reshape(num_chunks, width, -1))  # type: ignore[arg-type]


def chunk_width(num_seeds: int, most: int) -> int:
    """Returns how many seeds run in one program: as even as possible, at most `most`.

    Example:
      >>> chunk_width(500, 500), chunk_width(1200, 500)
      (500, 400)
    """
    return -(-num_seeds // -(-num_seeds // most))
