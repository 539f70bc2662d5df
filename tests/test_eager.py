"""What the tests have NumPy do in JAX's place: the numbers must be those of the compiled programs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests import _eager

pytestmark = pytest.mark.skipif(not _eager.KNOWN, reason="this version of JAX does all by itself")


def _functions():
    """Functions by the operations they stand for; each is given floats, positive integers and booleans, [3, 4]."""
    dtypes = (jnp.int32, jnp.uint32, jnp.float32, jnp.bool_)
    unary = (lax.neg, jnp.abs, jnp.floor, jnp.ceil, lax.square, lax.is_finite, lax.sign, lax.bitwise_not)
    binary = (lax.add, lax.sub, lax.mul, lax.max, lax.min, lax.eq, lax.ne, lax.lt, lax.le, lax.gt, lax.ge, lax.div)
    integer = (lax.rem, lax.shift_left, lax.shift_right_logical, lax.shift_right_arithmetic)
    logical = (lax.bitwise_and, lax.bitwise_or, lax.bitwise_xor)
    yield from (lambda f, i, b, function=function: function(f) for function in unary[:6])
    yield from (lambda f, i, b, function=function: function(i) for function in (*unary[:2], *unary[6:]))
    yield from (lambda f, i, b, function=function: function(f, f[::-1] - 1) for function in binary)
    yield from (lambda f, i, b, function=function: function(i - 9, i[::-1]) for function in (*binary, *integer))
    yield from (lambda f, i, b, function=function: function(b, b[::-1]) for function in logical)
    yield from (lambda f, i, b, function=function: [function(i - 9, 8 * i), function(i, i)] for function in integer[1:])
    for dtype in dtypes:
        yield lambda f, i, b, dtype=dtype: [x.astype(dtype) for x in (f, i, b)]
    yield lambda f, i, b: [jnp.sum(i, 0), jnp.sum(b, 1), f.max(), i.min(1), b.all(0), b.any(), jnp.cumsum(i, 1)]
    yield lambda f, i, b: [f.argmax(), i.argmin(1), jnp.argsort(f, axis=0), jnp.sort(i, axis=1), jnp.where(b, i, 2)]
    yield lambda f, i, b: [f[1], f[:, -1], f[jnp.array([2, 0, 2])], f[i % 3, i % 4], f[1:, ::2], f[None, ..., i[0, 0]]]
    yield lambda f, i, b: [jnp.take(f, i, axis=1, mode="clip"), jnp.take_along_axis(f, i[:, :2] % 4, axis=1), f[9]]
    yield lambda f, i, b: [f.T, f.reshape(2, 6), f[::-1], jnp.pad(i, 1), jnp.tile(f, (2, 1)), jnp.roll(i, 2, axis=1)]
    yield lambda f, i, b: [jnp.stack([f, f], 1), jnp.concatenate([i, i]), jnp.split(f, 2, 1), list(f), jnp.arange(7)]
    yield lambda f, i, b: [
        jnp.clip(f, -1, 1),
        lax.clamp(-1.0, f, 2.0),
        f**2,
        i**2,
        jnp.zeros((2, 3)),
        jnp.eye(3),
        jnp.array(i),
    ]
    yield lambda f, i, b: [lax.bitcast_convert_type(f, jnp.int32), lax.dynamic_update_slice(f, f[:1], (7, 0))]
    yield lambda f, i, b: jax.vmap(lambda x, j: [x[j], lax.dynamic_slice(x, (j,), (2,))])(f, i[0, :3])
    yield lambda f, i, b: [jax.random.key_data(jax.random.split(jax.random.key(7), (2, 3))), jax.random.PRNGKey(5)]
    yield lambda f, i, b: jax.random.key_data(jax.random.fold_in(jax.random.key(2**31), i[0, 0]))
    yield lambda f, i, b: [jnp.asarray(np.arange(11)), jnp.asarray(np.ones(11, bool))]
    yield lambda f, i, b: jax.random.bits(jax.random.key(3), (5,))


@pytest.fixture
def evaluated(monkeypatch):
    """The names of operations that NumPy has done."""
    done = set()

    def evaluate(jaxpr, arguments, evaluate_=_eager.evaluate):
        results = evaluate_(jaxpr, arguments)
        done.update(equation.primitive.name for equation in _eager._equations(jaxpr))
        return results

    monkeypatch.setattr(_eager, "evaluate", evaluate)
    return done


def test_numpy_gives_the_numbers_of_a_compiled_program(evaluated):
    rng = np.random.default_rng(0)
    floats = np.float32([[0.1, -2.5, 3.7, 1e20], [-0.3, np.inf, 2.0, -7.5], [1 / 3, 0.7, -1e-3, 5.5]])
    given = floats, rng.integers(1, 12, (3, 4)).astype(np.int32), rng.random((3, 4)) < 0.5
    functions = list(_functions())
    one_by_one = [function(*map(jnp.asarray, given)) for function in functions]
    compiled = jax.jit(lambda *given: [function(*given) for function in functions])(*given)
    for one, other in zip(jax.tree.leaves(one_by_one), jax.tree.leaves(compiled), strict=True):
        assert (one.dtype, one.shape, one.weak_type) == (other.dtype, other.shape, other.weak_type)
        np.testing.assert_array_equal(one, other)
    assert evaluated == set(_eager.OPERATIONS)


def test_what_numpy_may_round_otherwise_is_compiled(evaluated):
    tiny, ones, wide = (jax.device_put(x) for x in (np.full(11, 1.5e-38, np.float32), np.ones(11), np.full(11, 3e9)))
    np.testing.assert_array_equal(tiny * 0.5, 0)  # flushed
    np.testing.assert_array_equal(wide.astype(jnp.int32), np.iinfo(np.int32).max)
    np.testing.assert_array_equal(jnp.exp(ones - ones), 1)
    np.testing.assert_array_equal(jnp.sum(ones), 11)
    np.testing.assert_array_equal(jax.jit(lambda x: x + 1)(ones), 2)  # no function of JAX's
    np.testing.assert_array_equal(jax.jit(functools.partial(jax.tree.map, jax.jit(lambda x: x + 2)))(ones), 3)
    np.testing.assert_array_equal(jnp.maximum(-(ones - ones), ones - ones), 0)  # of which sign?
    assert evaluated == {"sub", "neg"}


def test_what_numpy_has_an_error_or_a_warning_for_is_left_to_jax(monkeypatch):
    def refuse(jaxpr, arguments):
        raise RuntimeWarning("overflow")

    monkeypatch.setattr(_eager, "evaluate", refuse)
    np.testing.assert_array_equal(jax.device_put(np.arange(17)) * 3, 3 * np.arange(17))
    deleted = jax.device_put(np.arange(19))
    deleted.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        deleted * 3


def test_what_runs_often_is_compiled(evaluated, monkeypatch):
    monkeypatch.setattr(_eager, "MOST_TIMES", 1)
    x = jax.device_put(np.arange(13))
    assert (x * 3)[0] == 0
    evaluated.clear()
    np.testing.assert_array_equal(x * 3, 3 * np.arange(13))
    assert "mul" not in evaluated
