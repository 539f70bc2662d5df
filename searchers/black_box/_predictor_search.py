"""Search by a predictor: fit a model to what was evaluated, evaluate what it thinks best, and again."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._lanes import all_lanes, lane_maximum
from jnas.core._vocabulary import Array, Evaluation, Features, Key, Predictor, Proposal, Searcher, Space, propose
from jnas.searchers._checks import check_positive_int, check_sizes
from jnas.searchers._recorded import recorded
from jnas.searchers.black_box import _acquisition, _candidate_sources
from jnas.searchers.black_box._acquisition import Acquisition
from jnas.searchers.black_box._candidate_sources import Candidates, CandidateSource, Found, add_random, nothing_found
from jnas.searchers.black_box._history import History, no_history, remember_evaluations
from jnas.searchers.predictors._in_blocks import in_parts
from jnas.spaces._columns import has_features, space_features

Encoding = str | Callable[[Array], Any]
"""The name of a space's features, or `arch [E] -> features`."""

_PART = 2048
"""Candidates that are predicted at once: more would need much memory where many searches run side by side."""


class PredictorSearchState(NamedTuple):
    """What search by a predictor needs for its next step; models are fitted anew each time."""

    key: Key  # []
    history: History


@recorded
def predictor_search(
    space: Space,
    predictor: Predictor | None,
    *,
    encoding: Encoding = "path",
    acquisition: str | Acquisition = "its",
    candidates: str | CandidateSource = "mutation",
    num_init: int = 10,
    batch_size: int = 10,
    num_candidates: int = 100,
    training_sizes: Sequence[int] | None = None,
    name: str = "predictor_search",
) -> Searcher:
    """Returns search by a predictor, the scheme of BANANAS, Bayesian optimization and their kin.

    After `num_init` random architectures, each step fits the predictor to all evaluations, ranks candidates by an
    acquisition function, and proposes the best `batch_size`. No architecture is proposed twice (by
    `space.fingerprint`). Where there are fewer candidates than that, random ones fill the batch; where a thousand draws
    find nothing new, the run ends.

    Args:
      space: The search space.
      predictor: From `jnas.searchers.predictors`; None ranks candidates at random, which shows what the predictor is
        worth.
      encoding: The features that the predictor reads: a name from `space.feature_names`, several with a `+` between
        them (`'path+synflow'`, where `jnas.scored_space` has given the space a table's scores), or
        `arch [E] -> features`.
      acquisition: `'its'` independent Thompson sampling, `'ts'` Thompson sampling, `'ei'` expected improvement, `'pi'`
        probability of improvement, `'ucb'` the mean plus half a standard deviation, `'percentile'` the best member of
        an ensemble, `'mean'`, `'confidence'` the mean less two standard deviations; or a function
        `(key, outlook, best score) -> values`; `'random'` where there is no predictor.
      candidates: `'mutation'` of the best evaluations, `'random'` architectures, `'mutation_random'` both, or `'all'`
        that the space has, one of each fingerprint; or a function `(key, history) -> candidates`, from a
        `jnas.searchers.History` to `Candidates`, such as `jnas.searchers.mutations` gives.
      num_init: Random architectures to begin with.
      batch_size: `B`, architectures that are proposed at once.
      num_candidates: How many mutants, or random architectures, are candidates; without effect on `'all'` and
        functions.
      training_sizes: Fits are compiled for these numbers of evaluations and for the run's capacity, and each uses the
        smallest that suffices, with what it does not need masked: more sizes make for less work and longer
        compilation. By default at most five, multiples of 32; with `()` only the capacity, which is enough for
        predictors that take no time for masked rows, as networks do here.
      name: For tables and legends.

    Returns:
      A searcher that proposes `batch_size` architectures at a time, in its initial phase perhaps fewer. With a
      predictor that cannot be compiled, neither can the searcher, and `jnas.search` drives it. Scores that are NaN or
      invalid count as the worst that was seen, so that the predictor learns what fails.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range or does not fit the space or the predictor.

    References:
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White et al., 2021,
        Algorithm 1.
    """
    check_sizes(num_init=num_init, batch_size=batch_size, num_candidates=num_candidates)
    sizes = None if training_sizes is None else _checked_sizes(training_sizes)
    featurise = _featuriser(space, encoding) if predictor is not None else None
    source = _candidate_sources.find_candidate_source(candidates, space, num_candidates, featurise)
    if predictor is None:
        if acquisition != "random":
            raise ValueError(f"predictor is None and acquisition {acquisition!r}, expected 'random': nothing predicts")
        rank: _Rank = _random_values
    else:
        rank = _ranking(predictor, featurise, _acquisition.find_acquisition(acquisition, predictor), sizes, num_init)
    compiled = predictor is None or predictor.compiled

    def init(key: Key, capacity: int) -> PredictorSearchState:
        return PredictorSearchState(key, no_history(capacity, space.num_decisions))

    def choose(keys: Key, history: History) -> Found:
        found = source(keys[0], history)
        return _best(found, rank(keys[1], history, found), batch_size)

    def fill(key: Key, history: History, found: Found) -> Proposal:
        starting = history.num_told < num_init
        wanted = jnp.where(starting, jnp.minimum(batch_size, num_init - history.num_told), batch_size)
        found = found._replace(num_found=jnp.where(starting, 0, found.num_found))
        found = add_random(key, space, history, found, wanted)
        return propose(found.archs, valid=jnp.arange(batch_size) < found.num_found)

    def ask(state: PredictorSearchState) -> tuple[Proposal, PredictorSearchState]:
        keys = jax.random.split(state.key, 4)
        # One branch for all lanes: nothing is fitted as long as all of them begin.
        found = jax.lax.cond(
            all_lanes(state.history.num_told < num_init),
            lambda keys, history: nothing_found(batch_size, space.num_decisions),
            choose,
            keys[1:3],
            state.history,
        )
        return fill(keys[3], state.history, found), state._replace(key=keys[0])

    propose_candidates, finish, split = jax.jit(source), jax.jit(fill), jax.jit(lambda key: jax.random.split(key, 4))
    pick = jax.jit(lambda found, values: _best(found, values, batch_size))

    def ask_from_python(state: PredictorSearchState) -> tuple[Proposal, PredictorSearchState]:
        keys = split(state.key)
        if int(state.history.num_told) < num_init:
            found = nothing_found(batch_size, space.num_decisions)
        else:
            candidates = propose_candidates(keys[1], state.history)
            found = pick(candidates, rank(keys[2], state.history, candidates))
        return finish(keys[3], state.history, found), state._replace(key=keys[0])

    def tell(state: PredictorSearchState, proposal: Proposal, evaluation: Evaluation) -> PredictorSearchState:
        return state._replace(history=remember_evaluations(state.history, space, proposal, evaluation))

    def rescore(state: PredictorSearchState, scores: Array) -> PredictorSearchState:
        size = len(state.history.scores)  # of a search by lies more than the run's capacity
        used = jnp.arange(size) < state.history.num_told
        scores = jnp.pad(scores, (0, size - len(scores)))
        return state._replace(history=state.history._replace(scores=jnp.where(used, scores, -jnp.inf)))

    if compiled:
        return Searcher(init, ask, tell, name, num_init=num_init, rescore=rescore)
    ask, tell = ask_from_python, jax.jit(tell)
    return Searcher(init, ask, tell, name, compiled=False, num_init=num_init, rescore=rescore)


_Rank = Callable[[Key, History, Candidates], Array]
"""`rank(key, history, candidates) -> values [C]`, to be maximised."""


def _ranking(
    predictor: Predictor,
    featurise: Callable[[Array], Features] | None,
    acquire: Acquisition,
    training_sizes: tuple[int, ...] | None,
    num_init: int,
) -> _Rank:
    """Returns how a predictor ranks candidates."""
    assert featurise is not None

    def known_features(candidates: Candidates) -> Features:
        return featurise(candidates.archs) if candidates.features is None else candidates.features

    def rank_by(count: int, key: Key, history: History, candidates: Candidates) -> Array:
        """Fits to the first `count` rows of the history."""
        fit_key, acquisition_key = jax.random.split(key)
        scores, mask, best = training_scores(history, count)
        model = predictor.fit(fit_key, featurise(history.archs[:count]), scores, mask)
        features = known_features(candidates)
        prediction = in_parts(lambda part: predictor.predict(model, part), _PART)(features)
        return acquire(acquisition_key, _acquisition.outlook(predictor, model, features, prediction), best)

    def rank(key: Key, history: History, candidates: Candidates) -> Array:
        sizes = _sizes(history.archs.shape[0], num_init, training_sizes)
        suffices = jnp.searchsorted(np.asarray(sizes), history.num_told).astype(jnp.int32)
        branches = [lambda *operands, count=count: rank_by(count, *operands) for count in sizes]
        values: Array = jax.lax.switch(lane_maximum(suffices), branches, key, history, candidates)
        return values

    prepare = jax.jit(lambda history, candidates: (featurise(history.archs), known_features(candidates)))
    impute = jax.jit(lambda history: training_scores(history, history.archs.shape[0]))

    def rank_from_python(key: Key, history: History, candidates: Candidates) -> Array:
        """Predicts what is no candidate, too: sizes stay the same, so that nothing is compiled again."""
        fit_key, acquisition_key = jax.random.split(key)
        seen, features = jax.device_get(prepare(history, candidates))
        scores, mask, best = jax.device_get(impute(history))
        used = slice(int(history.num_told))
        model = predictor.fit(fit_key, jax.tree.map(lambda leaf: leaf[used], seen), scores[used], mask[used])
        prediction = predictor.predict(model, features)
        return acquire(acquisition_key, _acquisition.outlook(predictor, model, features, prediction), best)

    return rank if predictor.compiled else rank_from_python


def _random_values(key: Key, history: History, candidates: Candidates) -> Array:
    del history
    return jax.random.uniform(key, candidates.mask.shape, jnp.float32)


def training_scores(history: History, count: int) -> tuple[Array, Array, Array]:
    """Returns the scores and mask `[count]` that a predictor is fitted to, and the best score `[]`.

    What is unusable has the worst finite score seen, and what is infinitely good the best. Without any finite score
    the mask is empty, and the best is 0.
    """
    scores = history.scores[:count]
    used = jnp.arange(count) < history.num_told
    finite = used & jnp.isfinite(scores)
    some = jnp.any(finite)
    worst = jnp.where(some, jnp.min(jnp.where(finite, scores, jnp.inf)), 0)
    best = jnp.where(some, jnp.max(jnp.where(finite, scores, -jnp.inf)), 0)
    return jnp.clip(jnp.where(used, scores, worst), worst, best), used & some, best


def _best(candidates: Candidates, values: Array, batch_size: int) -> Found:
    """Returns the candidates with the largest values, at most `batch_size`; of equal ones the first."""
    # A candidate without a value is the last of the candidates, but still one.
    largest = float(np.finfo(np.float32).max)
    values = jnp.clip(jnp.nan_to_num(values, nan=-largest), -largest, largest)
    values, rows = jax.lax.top_k(jnp.where(candidates.mask, values, -jnp.inf), min(batch_size, len(values)))
    missing = ((0, batch_size - len(rows)), (0, 0))
    return Found(
        archs=jnp.pad(candidates.archs[rows], missing),
        fingerprints=jnp.pad(candidates.fingerprints[rows], missing),
        num_found=jnp.sum(values > -jnp.inf, dtype=jnp.int32),
    )


def _sizes(capacity: int, num_init: int, training_sizes: tuple[int, ...] | None) -> tuple[int, ...]:
    """Returns for how many evaluations fits are compiled, ascending; the last is the capacity."""
    if training_sizes is None:
        step = 32 * -(-capacity // (5 * 32))
        training_sizes = tuple(range(step, capacity, step))
    return (*(size for size in training_sizes if num_init <= size < capacity), capacity)


def _checked_sizes(training_sizes: Any) -> tuple[int, ...]:
    if isinstance(training_sizes, str) or not isinstance(training_sizes, Sequence):
        raise TypeError(f"training_sizes is {training_sizes!r}, expected a tuple of Python ints, for example (50, 100)")
    for size in training_sizes:
        check_positive_int("training_sizes", size)
    return tuple(sorted(set(training_sizes)))


def _featuriser(space: Space, encoding: Encoding) -> Callable[[Array], Features]:
    """Returns `archs [N, E] -> features [N, ...]`."""
    if callable(encoding):
        return jax.vmap(encoding)
    if not has_features(space, encoding):
        known = ", ".join(map(repr, space.feature_names))
        raise ValueError(
            f"encoding is {encoding!r}, expected a function of an architecture or, of {space.name}, {known} "
            "(or several, with a + between them)"
        )
    return jax.vmap(lambda arch: space_features(space, arch, encoding))
