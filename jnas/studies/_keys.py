"""PRNG keys of seeds, and how seeds are divided among programs."""

import zlib

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Key


def seed_keys(root_seed: int, name: str, num_seeds: int) -> Key:
    """Returns a searcher's keys `[num_seeds]`.

    They depend on the searcher's name and the seed's number alone: another searcher in the study changes nothing, and
    more seeds begin with the fewer.
    """
    key = jax.random.fold_in(jax.random.key(root_seed), jnp.uint32(zlib.crc32(name.encode())))
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(num_seeds, dtype=jnp.uint32))


def chunk_width(num_seeds: int, most: int) -> int:
    """Returns how many seeds run in one program: as even as possible, at most `most`.

    Example:
      >>> chunk_width(500, 500), chunk_width(1200, 500)
      (500, 400)
    """
    return -(-num_seeds // -(-num_seeds // most))
