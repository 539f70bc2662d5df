"""Regularized evolution against a plain Python loop, and its published variants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._draws import draw_words
from jnas.core._loop import run
from jnas.core._vocabulary import Evaluation, Objective, propose
from jnas.searchers.black_box._regularized_evolution import regularized_evolution
from jnas.spaces._categorical import categorical

SPACE = categorical((5,) * 6)
SCORES = np.random.default_rng(0).normal(size=SPACE.size).astype(np.float32)
OBJECTIVE = Objective(
    lambda keys, p: Evaluation(
        jnp.asarray(SCORES)[jax.vmap(SPACE.index)(p.archs)], jnp.ones(1), jnp.ones(1, dtype=bool)
    ),
    (0,),
    1.0,
)


def _plain(key, steps, population_size, sample_size, num_init, aging, replacement):
    """The algorithm as a list in Python; only the random words and the space's own functions come from JAX."""
    key, _ = jax.random.split(key)  # the loop keeps the other half for the objective
    key, sample_key = jax.random.split(key)
    initial = jax.jit(jax.vmap(SPACE.sample))(jax.random.split(sample_key, population_size)).tolist()
    mutate = jax.jit(SPACE.mutate_from)
    words_of = jax.jit(draw_words, static_argnums=1)
    population, history = [], []
    for step in range(steps):
        key, words = words_of(key, 2 + (sample_size if replacement else population_size))
        words = np.asarray(words)
        if step < num_init:
            arch = initial[step]
        else:
            # Members by the slot that they fill, so that draws mean the same.
            slots = {member["slot"]: member for member in population}
            if replacement:
                drawn = [(int(w) * len(slots)) >> 32 for w in words[2:]]
            else:
                drawn = sorted(slots, key=lambda s: words[2 + s])[:sample_size]
            parent = max((slots[s] for s in drawn), key=lambda m: m["score"])  # the first of equals
            arch = np.asarray(mutate(words[:2], jnp.asarray(parent["arch"]))).tolist()
        score = float(SCORES[int(SPACE.index(jnp.asarray(arch)))])
        history.append(arch)
        newcomer = {"arch": arch, "score": score, "slot": len(population)}
        population.append(newcomer)
        if len(population) > population_size:
            # Of equals the newcomer leaves, then the member in the lowest slot.
            leaves = (
                population[0] if aging else min(population, key=lambda m: (m["score"], m is not newcomer, m["slot"]))
            )
            population.remove(leaves)
            newcomer["slot"] = leaves["slot"]
    return np.asarray(history)


@pytest.mark.parametrize(
    ("population_size", "sample_size", "num_init", "aging", "replacement"),
    [(10, 10, 10, True, True), (6, 3, 4, True, False), (8, 4, 5, False, True), (7, 7, 7, False, False)],
)
def test_equals_a_plain_python_loop(population_size, sample_size, num_init, aging, replacement):
    searcher = regularized_evolution(
        SPACE,
        population_size=population_size,
        sample_size=sample_size,
        num_init=num_init,
        aging=aging,
        replacement=replacement,
    )
    trace = jax.jit(lambda key: run(searcher, OBJECTIVE, key, max_evaluations=40))(jax.random.key(7))
    expected = _plain(jax.random.key(7), 40, population_size, sample_size, num_init, aging, replacement)
    np.testing.assert_array_equal(trace.arch, expected)


@pytest.mark.statistical
def test_tournaments_without_replacement_never_leave_out_the_best_of_everybody():
    """A tournament of the whole population always has its best; with replacement it is missed at times."""
    children = {}
    for replacement in (True, False):
        searcher = regularized_evolution(SPACE, population_size=5, sample_size=5, replacement=replacement)

        def child(key, searcher=searcher):
            state = searcher.init(key, 10)
            archs = jnp.arange(5)[:, None] * jnp.ones((1, 6), jnp.int32)
            state = state._replace(archs=archs, scores=jnp.arange(5.0), num_told=jnp.int32(5))
            return searcher.ask(state)[0].archs[0]

        drawn = np.asarray(jax.jit(jax.vmap(child))(jax.random.split(jax.random.key(0), 2000)))
        children[replacement] = np.asarray([np.bincount(a, minlength=5).argmax() for a in drawn])
    assert (children[False] == 4).all()
    missed = (children[True] != 4).mean()
    expected = 0.8**5
    assert abs(missed - expected) < 4 * np.sqrt(expected * (1 - expected) / 2000)


def test_a_discarded_evaluation_does_not_join():
    searcher = regularized_evolution(SPACE, population_size=3, sample_size=2)
    state = searcher.init(jax.random.key(0), 10)
    proposal, state = searcher.ask(state)
    ignored = propose(proposal.archs, valid=False)
    after = searcher.tell(state, ignored, Evaluation(jnp.ones(1), jnp.ones(1), jnp.ones(1, bool)))
    assert int(after.num_told) == 0
    np.testing.assert_array_equal(after.scores, state.scores)


def test_a_mutation_of_ones_own_is_used():
    searcher = regularized_evolution(
        SPACE, population_size=2, sample_size=2, mutate=lambda key, arch: jnp.zeros_like(arch)
    )
    trace = run(searcher, OBJECTIVE, jax.random.key(0), max_evaluations=6)
    assert (np.asarray(trace.arch[2:]) == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_init": 11}, "num_init is 11, expected 1 to population_size"),
        ({"num_init": 0}, "num_init is 0"),
        ({"sample_size": 0}, "sample_size is 0"),
        ({"population_size": 65_537}, "at most 65536"),
        ({"sample_size": 11, "replacement": False}, "without replacement"),
    ],
)
def test_impossible_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        regularized_evolution(SPACE, **{"population_size": 10, **arguments})


def test_without_aging_a_bad_newcomer_leaves():
    searcher = regularized_evolution(SPACE, population_size=2, sample_size=2, aging=False)
    state = searcher.init(jax.random.key(0), 10)
    for score in (5.0, 7.0, 1.0, jnp.nan, 6.0):
        proposal, state = searcher.ask(state)
        state = searcher.tell(state, proposal, Evaluation(jnp.asarray([score]), jnp.ones(1), jnp.ones(1, bool)))
    assert sorted(state.scores.tolist()) == [6.0, 7.0]
