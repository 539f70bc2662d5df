"""What the released DARTS and FBNet learn of NAS-Bench-101, against lists of all that they can say."""

import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jnas.spaces.nasbench101._cells import NUM_EDGES, host_pruned
from jnas.spaces.nasbench101._released import enumerate_released, released_decisions
from jnas.training.networks.nasbench101._preferences import released_preferences


def preferences(max_vertices):
    return released_preferences(lambda parameters, statistics, weights, images: (weights, None), max_vertices)


def test_probabilities_are_those_of_all_combinations():
    own, decisions, few = preferences(4), released_decisions("darts", 4), enumerate_released("darts", 4)
    counts = decisions.num_choices
    assert own.decisions.mask.sum(axis=1).tolist() == list(counts)
    rng = np.random.default_rng(0)
    logits = jnp.asarray(np.where(own.decisions.mask, rng.normal(size=(4, 3)), -np.inf), jnp.float32)
    each = np.asarray(jax.nn.softmax(logits, axis=1), np.float64)
    combinations = np.array(list(itertools.product(*map(range, counts))))
    joint = np.prod(each[np.arange(4)[None], combinations], axis=1)
    of_cells = collections.Counter[int]()
    for row, probability in zip(few.rows.tolist(), joint.tolist(), strict=True):
        of_cells[row] += probability
    assert sorted(of_cells) == list(range(19))  # none of them is not in the space
    other = few.cells[3].copy()
    other[: NUM_EDGES + 2] = 0  # no cell
    archs = np.concatenate([few.cells, other[None]])

    @jax.jit
    def found(logits):
        keys = jax.random.split(jax.random.key(0), 9)
        drawn = jax.vmap(own.draw, (0, None))(keys, logits)
        return own.log_probability(logits, archs), own.discretize(logits), drawn, own.probabilities(logits)

    logs, likeliest, drawn, marginal = jax.device_get(found(logits))
    np.testing.assert_allclose(np.exp(logs[:-1]), [of_cells[row] for row in range(19)], rtol=1e-4)
    assert logs[-1] == -np.inf
    np.testing.assert_array_equal(likeliest, few.cells[np.argmax(logs)])
    assert sum((arch == likeliest).all() for arch in drawn) > 5
    cells = np.asarray(jax.vmap(decisions.to_arch)(combinations))
    expected = np.einsum("a,aek->ek", joint, np.eye(3)[cells])
    np.testing.assert_allclose(marginal, expected, atol=1e-5)


def test_where_no_drawn_cell_is_in_the_space_it_is_the_most_probable_one():
    """Seven vertices that all have a predecessor have 11 edges."""
    own, few = preferences(7), enumerate_released("darts", 7)
    assert own.start.shape == own.decisions.mask.shape == (10, 6)
    predecessors = own.decisions.mask & (np.arange(6) > 0) & (np.arange(10)[:, None] % 2 == 0)
    np.testing.assert_array_equal(own.start, 10 * predecessors)
    logits = np.where(own.decisions.mask, 3 * own.start, -np.inf).astype(np.float32)
    logits[8, 0] = 15  # of all vertices the fifth misses a predecessor the least
    arch = np.asarray(jax.jit(own.draw)(jax.random.key(1), jnp.asarray(logits)))
    assert any((arch == cell).all() for cell in few.cells)
    assert host_pruned(arch)[0].sum() == 9  # of four vertices, each with one predecessor
