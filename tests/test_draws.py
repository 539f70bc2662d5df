"""Words, integers and floats from one call of the generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._draws import below, draw_words, uniform


def test_draw_gives_the_words_of_one_split():
    key, words = draw_words(jax.random.key(3), 5)
    keys = jax.random.split(jax.random.key(3), 4)
    assert (jax.random.key_data(key) == jax.random.key_data(keys[0])).all()
    np.testing.assert_array_equal(words, jax.random.key_data(keys[1:]).reshape(-1)[:5])
    assert words.dtype == jnp.uint32


@pytest.mark.parametrize("bound", [1, 2, 3, 10, 24, 1000, 65_535, 65_536])
def test_below_is_the_exact_multiply_shift(bound):
    words = np.concatenate(
        [
            np.asarray([0, 1, 2**16, 2**31, 2**32 - 1], np.uint32),
            np.random.default_rng(0).integers(0, 2**32, 1000, np.uint32),
        ]
    )
    expected = (words.astype(np.uint64) * bound) >> 32
    np.testing.assert_array_equal(jax.jit(below)(words, bound), expected)


@pytest.mark.parametrize("bound", [65_537, 100_000, 1 << 20, 123_456_789, (1 << 31) - 1])
def test_below_larger_python_integers_too(bound):
    words = np.concatenate(
        [
            np.asarray([0, 1, 2**16 - 1, 2**16, 2**31, 2**32 - 1], np.uint32),
            np.random.default_rng(0).integers(0, 2**32, 1000, np.uint32),
        ]
    )
    expected = [(int(word) * bound) >> 32 for word in words]
    np.testing.assert_array_equal(jax.jit(lambda words: below(words, bound))(words), expected)


def test_uniform_is_in_the_half_open_interval_and_even():
    assert float(uniform(jnp.uint32(0))) == 0.0
    assert float(uniform(jnp.uint32(2**32 - 1))) == 1 - 2.0**-23
    values = np.asarray(uniform(jax.random.bits(jax.random.key(0), (40_000,))))
    assert abs(values.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 40_000)
