"""`jnas.summarize`: what searches returned, judged on a table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._loop import run
from jnas.core._vocabulary import Trace
from jnas.searchers.black_box._random_search import random_search
from jnas.spaces._categorical import categorical
from jnas.tables._make import make_table
from jnas.tables._summary import summarize

SPACE = categorical((3, 3, 3))
VALIDATION = np.arange(27, dtype=np.float32)
TEST = np.stack([50 + np.arange(27), 52 + np.arange(27)], axis=1).astype(np.float32)  # two training seeds
TABLE = make_table(
    SPACE,
    accuracy={"validation": np.stack([VALIDATION] * 2, axis=1), "test": TEST},
    train_seconds=np.arange(27) + 1.0,
    dataset="data",
    epochs=3,
    seeds=(7, 8),
    name="small",
)


def trace_of(indices, scores, **changes) -> Trace:
    """A trace that evaluated these architectures, `[S, T]`."""
    indices = np.asarray(indices)
    trace = Trace(
        arch=jnp.asarray(TABLE.archs[indices], jnp.int32),
        fidelity=jnp.zeros(indices.shape, jnp.int32),
        score=jnp.asarray(scores, jnp.float32),
        seconds=jnp.full(indices.shape, 2.0),
        valid=jnp.ones(indices.shape, bool),
        mask=jnp.ones(indices.shape, bool),
        stopped_by=jnp.zeros(indices.shape[:-1], jnp.int32),
    )
    return trace._replace(**changes)


def test_by_hand():
    traces = trace_of([[3, 20, 5], [9, 4, 1], [0, 1, 2]], [[1, 3, 2], [9, 4, 1], [5, 5, 4]])
    found = summarize(traces, TABLE, dataset="data", split="test", epochs=3)
    assert found.values.tolist() == [71.0, 60.0, 51.0]  # architectures 20, 9 and 0: a tie goes to the first
    assert found.mean == pytest.approx(60.6667, abs=1e-3)
    assert found.std == pytest.approx(np.std([71, 60, 51], ddof=1))
    assert found.ci_low < found.mean < found.ci_high
    assert (found.num_seeds, found.num_failed) == (3, 0)
    assert found.evaluations.tolist() == [3, 3, 3]
    assert found.seconds.tolist() == [6.0, 6.0, 6.0]
    text = str(found)
    assert "small: data test after 3 epochs, mean over training seeds, percent" in text
    assert "mean 60.67   std 10.02 (ddof 1)" in text
    assert "of 3 searches, each with 3.0 evaluations and 6 s on average" in text
    by_seed = summarize(traces, TABLE, dataset="data", split="test", epochs=3, seed=8)
    assert by_seed.values.tolist() == [72.0, 61.0, 52.0]
    assert "training seed 8" in str(by_seed)


def test_searches_that_found_nothing_are_counted_and_left_out():
    traces = trace_of([[3, 20], [9, 4]], [[1, 3], [2, 1]], valid=jnp.asarray([[True, True], [False, False]]))
    found = summarize(traces, TABLE, dataset="data", split="test", epochs=3)
    np.testing.assert_array_equal(found.values, [71.0, np.nan])
    assert (found.mean, found.num_failed, found.num_seeds) == (71.0, 1, 2)
    assert np.isnan([found.std, found.ci_low, found.ci_high]).all()
    assert "1 found nothing and are left out of the mean" in str(found)


def test_architectures_that_the_table_lacks_are_counted_as_failures():
    half = make_table(SPACE, archs=TABLE.archs[:10], accuracy={"test": TEST[:10]}, dataset="data", epochs=3)
    found = summarize(trace_of([[3, 20], [9, 4]], [[1, 3], [2, 1]]), half, dataset="data", split="test", epochs=3)
    np.testing.assert_array_equal(found.values, [np.nan, 60.0])


def test_one_search_and_many_agree():
    objective = TABLE.objective(dataset="data", split="validation", epochs=3, seed="mean")
    keys = jax.random.split(jax.random.key(0), 4)
    many = jax.vmap(lambda key: run(random_search(SPACE), objective, key, max_evaluations=5))(keys)
    whole = summarize(many, TABLE, dataset="data", split="test", epochs=3)
    assert len(set(whole.values.tolist())) > 1
    for i in range(4):
        alone = summarize(jax.tree.map(lambda x, i=i: x[i], many), TABLE, dataset="data", split="test", epochs=3)
        assert alone.values.tolist() == [whole.values[i]]
        assert alone.num_seeds == 1
        assert "of 1 search, " in str(alone)
    best = np.asarray(many.score).argmax(axis=1)
    index = np.asarray(TABLE.index(many.arch))[np.arange(4), best]
    np.testing.assert_array_equal(whole.values, TEST.mean(axis=1)[index])


def test_wrong_arguments_are_refused():
    traces = trace_of([[3, 20]], [[1, 3]])
    with pytest.raises(ValueError, match=r"expected \[S, T\] or \[T\]"):
        summarize(jax.tree.map(lambda x: x[None], traces), TABLE, dataset="data", split="test", epochs=3)
    with pytest.raises(ValueError, match="seed is 'random'"):
        summarize(traces, TABLE, dataset="data", split="test", epochs=3, seed="random")
    with pytest.raises(ValueError, match="no accuracy"):
        summarize(traces, TABLE, dataset="data", split="x-test", epochs=3)
