"""Words, integers and floats from one call of the generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._draws import below, bits, draw_words, fold_in, fold_in_on_host, split, uniform


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


_ROOT = jax.random.key(3)
_DRAWS = {
    "split": (lambda key: split(key, 5), lambda key: jax.random.split(key, 5)),
    "split in two": (split, jax.random.split),
    "a word": (bits, lambda key: jax.random.bits(key, dtype=jnp.uint32)),
    "no word": (lambda key: bits(key, (0, 2)), lambda key: jax.random.bits(key, (0, 2), jnp.uint32)),
    "words": (lambda key: bits(key, (2, 3)), lambda key: jax.random.bits(key, (2, 3), jnp.uint32)),
    "folded": (lambda key: fold_in(key, jnp.uint32(2**32 - 1)), lambda key: jax.random.fold_in(key, 2**32 - 1)),
    "twice": (lambda key: bits(split(key, 3)[2], (7,)), lambda key: _words(jax.random.split(key, 3)[2], 7)),
}


def _words(key, count):
    return jax.random.bits(key, (count,), jnp.uint32)


def _data(drawn):
    return jax.random.key_data(drawn) if jnp.issubdtype(drawn.dtype, jax.dtypes.prng_key) else drawn


@pytest.mark.parametrize("wide", [False, True])
def test_words_are_those_of_jax_random(wide):
    def under(f):
        """Of one key, of lanes of lanes along other axes, and step by step in lanes."""
        keys = jax.random.split(_ROOT, (3, 2))
        chain = lambda key: jax.lax.scan(lambda key, _: (jax.random.split(key)[0], f(key)), key, None, 3)[1]  # noqa: E731
        return f(_ROOT), jax.vmap(jax.vmap(f), 1, 1)(keys), jax.vmap(chain)(keys[0])

    def drawn(which):
        return {name: under(lambda key, draw=both[which]: _data(draw(key))) for name, both in _DRAWS.items()}

    with jax.enable_x64(wide):
        ours, theirs = jax.jit(drawn, static_argnums=0)(0), jax.jit(drawn, static_argnums=0)(1)
        assert all(words.dtype == np.uint32 for words in jax.tree.leaves((ours, theirs)))
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_key_outside_of_a_program_gives_the_same():
    for ours, theirs in _DRAWS.values():
        np.testing.assert_array_equal(_data(ours(_ROOT)), _data(theirs(_ROOT)))


def test_numbers_are_folded_into_one_key_or_each_into_its_own():
    numbers, keys = jnp.arange(4, dtype=jnp.uint32), jax.random.split(_ROOT, 4)
    for axes, key in (((None, 0), _ROOT), ((0, 0), keys), ((0, None), keys)):
        number = numbers if axes[1] == 0 else numbers[3]
        ours = jax.jit(jax.vmap(fold_in, axes))(key, number)
        assert (_data(ours) == _data(jax.vmap(jax.random.fold_in, axes)(key, number))).all()
    on_host = fold_in_on_host(np.asarray(_data(_ROOT)), np.asarray(numbers))
    np.testing.assert_array_equal(on_host, _data(jax.vmap(jax.random.fold_in, (None, 0))(_ROOT, numbers)))


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_other_generators_are_jaxs_own(impl):
    key = jax.random.key(0, impl=impl)
    assert (jax.jit(lambda key: bits(key, (3,)))(key) == _words(key, 3)).all()
    assert (_data(jax.jit(split)(key)) == _data(jax.random.split(key))).all()


def test_the_older_setting_of_the_generator_is_kept():
    with jax.threefry_partitionable(False):
        assert (jax.jit(lambda key: bits(key, (3,)))(_ROOT) == _words(_ROOT, 3)).all()


@pytest.mark.parametrize("draw", [split, bits])
def test_a_key_that_is_used_twice_is_found(draw):
    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(lambda key: (draw(key), jax.random.bits(key)))(jax.random.key(4))
