"""SMAC-like search: expected improvement under a random forest, driven from Python."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from jnas.core._vocabulary import Array, Key, Proposal, Searcher, Space, propose, usable_score
from jnas.searchers._checks import check_fraction, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers._told_on_host import told_on_host
from jnas.searchers.predictors._tree_predictors import grow_trees, tree_means


class SmacState(NamedTuple):
    """What the search needs for its next step: NumPy arrays, but for the key."""

    key: Key  # []
    initial: np.ndarray  # [num_init, E] int32, the random architectures to begin with
    archs: np.ndarray  # [T, E] int32, evaluated
    scores: np.ndarray  # [T] float32, minus infinity for what must not win
    num_told: np.ndarray  # [] int32, rows in use
    fitted_to: np.ndarray  # [] int32, rows that the forest has seen; 0 where there is none
    forest_seed: np.ndarray  # [] uint32


class _Forest(NamedTuple):
    """A fitted forest."""

    trees: tuple[Any, ...]
    center: float  # of the scores
    scale: float


@recorded
def smac(
    space: Space,
    *,
    num_init: int = 10,
    random_fraction: float = 1 / 3,
    refit_every: int = 1,
    refit_growth: float = 0.0,
    num_trees: int = 10,
    num_random: int = 300,
    num_local: int = 10,
    max_moves: int = 10,
) -> Searcher:
    """Returns SMAC-like search: a forest predicts scores, and the largest expected improvement is evaluated.

    It cannot be compiled: the forest is scikit-learn's. `jnas.search` and studies drive it; `jnas.run` refuses it.

    The forest has SMAC's settings (each tree sees a bootstrap sample and five sixths of the features at each split;
    nodes of less than 3 are not divided and leaves have at least 3), and as in SMAC a prediction has the mean of the
    trees' leaves, and as variance that within leaves plus that between trees. Candidates are random architectures, and
    what a local search sees that climbs in expected improvement from the best evaluations. What was evaluated is not
    evaluated again. It is not SMAC: it begins with more random evaluations than one; it repeats no evaluation, where
    SMAC repeats that of the incumbent to judge noise (at most 4 times in the comparison of NAS-Bench-101); it looks at
    fewer random candidates; neighbours are the space's, and random architectures are valid.

    Args:
      space: The search space.
      num_init: Random architectures to begin with.
      random_fraction: Probability that a step proposes a random architecture in spite of the forest. 0.33 in the
        comparison of NAS-Bench-101.
      refit_every: Evaluations from one fit of the forest to the next. Fitting takes most of the time: with 1 a step
        takes some 20 ms at 500 evaluations and 90 ms at 2,600.
      refit_growth: By what fraction the evaluations must have grown in number, too, before the forest is fitted again;
        with 0.01 at 2,600 evaluations every 26th step.
      num_trees: Trees in the forest; SMAC has 10.
      num_random: Random candidates of a step.
      num_local: Local searches of a step, from as many of the best architectures.
      max_moves: Most moves of a local search.

    Returns:
      A searcher that proposes one architecture at a time, whose state holds NumPy arrays. Scores that are NaN or
      invalid count like the worst that was seen.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "Sequential Model-Based Optimization for General Algorithm Configuration", Hutter, Hoos and Leyton-Brown, 2011,
        Section 4; compared in "NAS-Bench-101", Ying et al., 2019, Section 4.
    """
    check_sizes(
        num_init=num_init,
        refit_every=refit_every,
        num_trees=num_trees,
        num_random=num_random,
        num_local=num_local,
        max_moves=max_moves,
    )
    check_fraction("random_fraction", random_fraction)
    check_fraction("refit_growth", refit_growth)

    sample = jax.jit(lambda key, count: jax.vmap(space.sample)(jax.random.split(key, count)), static_argnums=1)
    around = jax.jit(jax.vmap(space.neighbors))

    @jax.jit
    def begin_step(key: Key) -> tuple[Key, Array, Array]:
        key, sample_key, words_key = jax.random.split(key, 3)
        archs = jax.vmap(space.sample)(jax.random.split(sample_key, num_random))
        return key, jax.random.bits(words_key, (3,), jnp.uint32), archs.astype(jnp.int32)

    @functools.lru_cache(maxsize=2)  # the same forest serves until the next fit; it follows from the state alone
    def forest(seed: int, archs: bytes, scores: bytes) -> _Forest:
        rows = np.frombuffer(archs, np.int32).reshape(-1, space.num_decisions)
        return _fit(one_hot_rows(rows, space.num_choices), np.frombuffer(scores, np.float32), seed, num_trees)

    def init(key: Key, capacity: int) -> SmacState:
        key, sample_key = jax.random.split(key)
        return SmacState(
            key=key,
            initial=np.asarray(sample(sample_key, num_init), np.int32),
            archs=np.zeros((capacity, space.num_decisions), np.int32),
            scores=np.full((capacity,), -np.inf, np.float32),
            num_told=np.asarray(0, np.int32),
            fitted_to=np.asarray(0, np.int32),
            forest_seed=np.asarray(0, np.uint32),
        )

    def ask(state: SmacState) -> tuple[Proposal, SmacState]:
        told = int(state.num_told)
        key, words, randoms = begin_step(state.key)
        state = state._replace(key=key)
        if told < num_init:
            return _propose(state.initial[told]), state
        words, randoms = jax.device_get((words, randoms))
        known = state.scores[:told]
        new = randoms[~_among(randoms, state.archs[:told])]
        if words[0] * 2.0**-32 < random_fraction or not (known > -np.inf).any() or not len(new):
            return _propose(new[0] if len(new) else randoms[0]), state
        if state.fitted_to == 0 or told - state.fitted_to >= max(refit_every, refit_growth * state.fitted_to):
            state = state._replace(fitted_to=np.asarray(told, np.int32), forest_seed=np.asarray(words[1], np.uint32))
        seen = int(state.fitted_to)
        model = forest(int(state.forest_seed), state.archs[:seen].tobytes(), _imputed(known[:seen]).tobytes())
        best = float(known.max())

        def improvement(archs: np.ndarray) -> np.ndarray:
            return _expected_improvement(model, one_hot_rows(archs, space.num_choices), best)

        starts = state.archs[np.argsort(-known, kind="stable")[:num_local]]
        candidates, values = climb(starts, improvement)
        fresh = ~_among(candidates, state.archs[:told])
        candidates, values = (
            np.concatenate(pair) for pair in ((candidates[fresh], new), (values[fresh], improvement(new)))
        )
        # A forest gives many the same prediction: of equal ones any may win.
        order = np.lexsort((np.random.default_rng(int(words[2])).random(len(values)), values))
        return _propose(candidates[order[-1]]), state

    def climb(starts: np.ndarray, improvement: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns all architectures `[N, E]` that local searches see on their way, and what `improvement` says."""
        places = np.resize(starts, (num_local, space.num_decisions))  # as many every time: the program is one
        heights = improvement(places)
        found, values = [places], [heights]
        for _ in range(max_moves):
            archs, valid = jax.device_get(around(places))
            around_each = np.where(valid, improvement(archs.reshape(-1, archs.shape[-1])).reshape(valid.shape), -np.inf)
            found.append(archs[valid])
            values.append(around_each[valid])
            if not archs.shape[1]:
                break
            steepest = around_each.argmax(axis=1)
            reached = around_each[np.arange(num_local), steepest]
            climbs = reached > heights
            if not climbs.any():
                break
            places = np.where(climbs[:, None], archs[np.arange(num_local), steepest], places)
            heights = np.where(climbs, reached, heights)
        return np.concatenate(found), np.concatenate(values)

    return Searcher(
        init,
        ask,
        told_on_host(lambda evaluation: np.asarray(usable_score(evaluation))[0]),
        "smac",
        compiled=False,
        num_init=num_init,
    )


def one_hot_rows(archs: np.ndarray, num_choices: tuple[int, ...]) -> np.ndarray:
    """Returns architectures `[N, E]` as features, float32 `[N, F]`: a column a choice, but one for a choice of two."""
    columns = [
        archs[:, e, None] == np.arange(1 if count == 2 else 0, count)[None, :] for e, count in enumerate(num_choices)
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _propose(arch: np.ndarray) -> Proposal:
    return propose(jnp.asarray(arch, jnp.int32)[None])


def _among(archs: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Returns which architectures `[N, E]` stand among others, bool `[N]`."""
    row = np.dtype((np.void, archs.shape[1] * archs.dtype.itemsize))
    return np.isin(np.ascontiguousarray(archs).view(row)[:, 0], np.ascontiguousarray(known).view(row)[:, 0])


def _imputed(scores: np.ndarray) -> np.ndarray:
    """Returns scores in which what must not win is as bad as the worst of the others; 0 where there are no others."""
    usable = scores > -np.inf
    return np.where(usable, scores, scores[usable].min(initial=np.inf) if usable.any() else 0).astype(np.float32)


def _fit(features: np.ndarray, scores: np.ndarray, seed: int, num_trees: int) -> _Forest:
    """Returns a forest fitted to `features [N, F]` and `scores [N]`."""
    center, scale = float(scores.mean()), float(scores.std()) or 1.0
    return _Forest(grow_trees(features, (scores.astype(np.float64) - center) / scale, seed, num_trees), center, scale)


def _expected_improvement(forest: _Forest, features: np.ndarray, best: float) -> np.ndarray:
    """Returns how much better than `best` the score of `features [N, F]` is expected to be, in standard deviations."""
    means, within = tree_means(forest.trees, features)
    mean, deviation = means.mean(axis=0), np.sqrt(np.maximum(within.mean(axis=0) + means.var(axis=0), 1e-10))
    excess = mean - (best - forest.center) / forest.scale
    z = excess / deviation
    improvement: np.ndarray = excess * ndtr(z) + deviation * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return improvement
