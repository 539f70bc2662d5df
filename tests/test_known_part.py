"""The part of a table of which all is known that a search needs."""

import jax
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces
from jnas.tables._known_part import known_share
from jnas.tables._targets import default_targets, judging_targets

SPACE = spaces.nasbench201()
RANDOM = np.random.default_rng(0)
VALIDATION = np.where(RANDOM.random(15_625) < 0.02, RANDOM.uniform(50, 90, 15_625), np.nan)
TEST = RANDOM.uniform(50, 90, 15_625)


@pytest.fixture(scope="module")
def table():
    return jnas.make_table(SPACE, accuracy={"validation": VALIDATION, "test": TEST}, train_seconds=10.0)


def test_only_what_is_known_is_left(table):
    part = jnas.known_part(table, dataset="data", split="validation", epochs=1)
    rows = np.flatnonzero(np.isfinite(VALIDATION))
    assert part.num_archs == len(rows) < 500
    np.testing.assert_array_equal(part.archs, table.archs[rows])
    for split, values in (("validation", VALIDATION), ("test", TEST)):
        found = part.accuracy(part.archs, dataset="data", split=split, epochs=1, seed="mean")
        np.testing.assert_allclose(found, values[rows], rtol=1e-6)
    assert f"only the {len(rows):,} of 15,625 architectures" in part.header.notes[-1]
    assert int(part.index(table.archs[np.flatnonzero(np.isnan(VALIDATION))[0]])) == -1


def test_a_whole_table_stays_what_it_is(table):
    assert jnas.known_part(table, dataset="data", split="test", epochs=1) is table


def test_a_space_without_an_index_is_never_known_whole():
    """Its tables list a part, among which studies search without being asked."""
    space = spaces.categorical((4,) * 20)
    archs = np.arange(3)[:, None] * np.ones(20, int)
    table = jnas.make_table(space, archs=archs, accuracy={"validation": [70, 72, 71]})
    searched = {"dataset": "data", "split": "validation", "epochs": 1}
    part = jnas.known_part(table, **searched)
    assert part is not table
    assert "only the 3 of 3 architectures listed of which" in part.header.notes[-1]
    np.testing.assert_array_equal(part.archs, archs)
    assert known_share(table, **searched) == 0


def test_searches_stay_among_the_known(table):
    part = jnas.known_part(table, dataset="data", split="validation", epochs=1)
    space = spaces.subset(part.space, part.archs)
    objective = part.objective(dataset="data", split="validation", epochs=1, seed="mean")
    trace = jax.jit(
        lambda key: jnas.run(
            searchers.regularized_evolution(space, population_size=10), objective, key, max_evaluations=50
        )
    )(jax.random.key(0))
    assert np.all(trace.valid)
    assert np.all(np.isfinite(trace.score))


def test_nothing_known_is_an_error(table):
    empty = jnas.make_table(SPACE, accuracy={"validation": np.full(15_625, np.nan), "test": TEST})
    with pytest.raises(ValueError, match="knows 0 architectures with all that is searched on"):
        jnas.known_part(empty, dataset="data", split="validation", epochs=1)


def test_a_column_known_of_few_does_not_judge(table):
    assert [t.split for t in default_targets(table)] == ["validation", "test"]
    assert [t.split for t in judging_targets(table)] == ["test"]
    part = jnas.known_part(table, dataset="data", split="validation", epochs=1)
    assert [t.split for t in judging_targets(part)] == ["validation", "test"]
