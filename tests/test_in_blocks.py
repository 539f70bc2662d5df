import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.searchers.predictors._in_blocks import in_blocks


def total(pair, shift):
    """A loop whose length is data: each lane must still see its own."""
    rows, count = pair
    end = jax.lax.fori_loop(0, count, lambda _, value: value + rows.sum(), jnp.float32(0))
    return {"sum": end + shift, "rows": rows * 2}


def expected(rows, counts, shift):
    return rows.sum(1) * counts + shift


@pytest.mark.parametrize("num_lanes", [1, 3, 4, 7, 8])
def test_every_lane_gets_its_own_result_whatever_the_block(num_lanes):
    rows = np.random.default_rng(0).normal(size=(num_lanes, 5)).astype(np.float32)
    counts = np.arange(num_lanes, dtype=np.int32)
    result = jax.jit(jax.vmap(in_blocks(total, 4), (0, None)))((rows, counts), jnp.float32(3))
    np.testing.assert_allclose(result["sum"], expected(rows, counts, 3), rtol=1e-5)
    np.testing.assert_array_equal(result["rows"], rows * 2)


def test_without_vmap_and_with_two():
    rows = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    counts = np.arange(15, dtype=np.int32).reshape(3, 5)
    function = in_blocks(total, 2)
    np.testing.assert_allclose(function((rows[2, 4], jnp.int32(14)), 0.0)["sum"], rows[2, 4].sum() * 14, rtol=1e-5)
    twice = jax.vmap(jax.vmap(function, (0, None)), (0, 0))((rows, counts), np.arange(3, dtype=np.float32))
    np.testing.assert_allclose(twice["sum"], rows.sum(2) * counts + np.arange(3)[:, None], rtol=1e-5, atol=1e-5)


def test_few_lanes_run_at_a_time_on_a_cpu():
    program = jax.jit(jax.vmap(in_blocks(lambda x: jnp.tanh(x) @ x.T, 2))).lower(jnp.zeros((6, 3, 3))).compile()
    text = program.as_text()
    assert "f32[2,3,3]" in text, "no product of two lanes"
    assert "dot" not in text or "f32[6,3,3]{2,1,0} dot" not in text
