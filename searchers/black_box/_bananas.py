"""BANANAS and the predictor-based searches that it is compared with, in their published settings."""

import functools
from typing import Any

from jnas.core._vocabulary import Evaluation, Key, Proposal, Searcher, Space, State
from jnas.searchers._checks import check_positive_int
from jnas.searchers.black_box._acquisition import Acquisition
from jnas.searchers.black_box._candidate_sources import CandidateSource, mutations
from jnas.searchers.black_box._predictor_search import Encoding, predictor_search
from jnas.searchers.predictors._bohamiann import bohamiann as bohamiann_predictor
from jnas.searchers.predictors._distances import named_distance
from jnas.searchers.predictors._dngo import dngo as dngo_predictor
from jnas.searchers.predictors._gaussian_process import gaussian_process
from jnas.searchers.predictors._gcn import gcn
from jnas.searchers.predictors._mlp_ensemble import mlp_ensemble
from jnas.searchers.predictors._predictor import Predictor
from jnas.searchers.predictors._registry import GRAPH, PLAIN, TRUNCATED_PATH


def bananas(
    space: Space,
    *,
    predictor: Predictor | None = None,
    encoding: Encoding | None = None,
    acquisition: str | Acquisition = "its",
    candidates: str | CandidateSource = "mutation",
    num_init: int = 10,
    batch_size: int = 10,
    num_candidates: int = 100,
    **options: Any,
) -> Searcher:
    """Returns BANANAS: independent Thompson sampling by an ensemble of networks, among mutations of the best.

    On real training a whole batch of proposals is one program, and the search goes on from its checkpoint:

        def evaluate(keys, proposal):
            curves, _ = training.train_many(keys, proposal.archs, dataset, recipe)
            score = curves.accuracy["validation"][:, -1]
            return jnas.Evaluation(score, jnp.ones_like(score), proposal.valid)

        bananas = searchers.bananas(spaces.nasbench201(), num_init=8, batch_size=8)
        jnas.search(bananas, jnas.Objective(evaluate), key, max_evaluations=80, checkpoint="bananas.npz")

    Args:
      space: The search space.
      predictor: By default the published ensemble of five networks of 10 layers of 20 units.
      encoding: Features that the networks read; by default the truncated path encoding, where the space has it
        (otherwise paths, or else one-hot decisions).
      acquisition: See `predictor_search`, as for the other arguments.
      candidates: Published for tables: `'mutation'`; for DARTS: `'mutation_random'`. Of
        `jnas.searchers.mutations(space, num_parents=2, max_edits=3)` all settings may be chosen.
      num_init: Random architectures to begin with.
      batch_size: Architectures that are proposed at once.
      num_candidates: How many mutants are candidates; the last parent may bring more.
      **options: `training_sizes` and `name` of `predictor_search`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White, Neiswanger and
        Savani, 2021, Algorithm 1 and Section 5; the settings are those of the naszilla library for NAS-Bench-101.
    """
    return predictor_search(
        space,
        mlp_ensemble() if predictor is None else predictor,
        encoding=_first_of(space, TRUNCATED_PATH) if encoding is None else encoding,
        acquisition=acquisition,
        candidates=candidates,
        num_init=num_init,
        batch_size=batch_size,
        num_candidates=num_candidates,
        **{"name": "bananas", **_one_size(predictor), **options},
    )


def bananas_random_ranking(
    space: Space,
    *,
    candidates: str | CandidateSource = "mutation",
    num_init: int = 10,
    batch_size: int = 10,
    num_candidates: int = 100,
    name: str = "bananas_random_ranking",
) -> Searcher:
    """Returns BANANAS without its networks: candidates are ranked at random.

    What BANANAS gains over it, it owes to the predictor; what this one gains over random search, to the candidates.
    Arguments and errors are those of `bananas`.
    """
    return predictor_search(
        space,
        None,
        acquisition="random",
        candidates=candidates,
        num_init=num_init,
        batch_size=batch_size,
        num_candidates=num_candidates,
        name=name,
    )


def gp_bayesopt(
    space: Space,
    *,
    distance: str = "adjacency",
    predictor: Predictor | None = None,
    acquisition: str | Acquisition = "ucb",
    candidates: str | CandidateSource | None = None,
    num_init: int = 10,
    batch_size: int = 1,
    **options: Any,
) -> Searcher:
    """Returns Bayesian optimization by a Gaussian process over a distance between architectures.

    Args:
      space: The search space.
      distance: `'adjacency'`, `'path'`, `'truncated_path'`, their `'continuous_...'` forms or `'nasbot'`, as far as the
        space has them.
      predictor: A Gaussian process with other settings; it has to fit the distance's encoding.
      acquisition: See `predictor_search`. The upper confidence bound is computed, where the released code estimates
        it from a thousand draws.
      candidates: By default mutations of the best five evaluations, 1 to 19 of them in a row, five times each; of
        these, 200 draws with replacement. With a name instead, `num_candidates` says how many.
      num_init: Random architectures to begin with.
      batch_size: Architectures that are proposed at once.
      **options: `num_candidates`, `training_sizes` and `name` of `predictor_search`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range, or the space does not have the distance.

    References:
      "BANANAS", White et al., 2021, Section 6 ("GP-BayesOpt"); "A Study on Encodings for Neural Architecture Search",
        White et al., 2020 (the distances).
    """
    encoding, between = named_distance(distance, space.feature_names)
    if candidates is None:
        candidates = mutations(space, num_candidates=475, num_parents=5, max_parents=5, max_edits=19, num_drawn=200)
    return predictor_search(
        space,
        gaussian_process(distance=between) if predictor is None else predictor,
        encoding=encoding,
        acquisition=acquisition,
        candidates=candidates,
        num_init=num_init,
        batch_size=batch_size,
        **{"name": "gp_bayesopt", **options},
    )


def nasbot(space: Space, **options: Any) -> Searcher:
    """Returns `gp_bayesopt` with the distance that stands for NASBOT's in published comparisons.

    It compares the sorted numbers of arcs out of and into vertices, and how often each operation comes; the distance
    of the paper itself is by optimal transport.

    Args:
      space: A space with the features `'nasbot'`.
      **options: Of `gp_bayesopt`, but for `distance`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: The space does not have these features, or an argument is out of range.

    References:
      "Neural Architecture Search with Bayesian Optimisation and Optimal Transport", Kandasamy et al., 2018.
    """
    return gp_bayesopt(space, distance="nasbot", **{"name": "nasbot", **options})


def dngo(space: Space, *, predictor: Predictor | None = None, **options: Any) -> Searcher:
    """Returns search by DNGO: Bayesian linear regression on the features that a network has learned.

    20 random architectures, then 10 at a time by the upper confidence bound among mutations of the best. (The released
    code ranks candidates by noise: it uses one mean for all.)

    Args:
      space: The search space.
      predictor: DNGO with other settings.
      **options: Of `predictor_search`; by default the encoding is the adjacency matrix, or else one-hot decisions.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "Scalable Bayesian Optimization Using Deep Neural Networks", Snoek et al., 2015; compared in "BANANAS", White et
        al., 2021, Section 6.
    """
    options = {"name": "dngo", **_one_size(predictor), **options}
    return _by_surrogate(space, dngo_predictor() if predictor is None else predictor, options)


def bohamiann(space: Space, *, predictor: Predictor | None = None, **options: Any) -> Searcher:
    """Returns search by BOHAMIANN: a Bayesian neural network, in the scheme of `dngo`.

    Args:
      space: The search space.
      predictor: BOHAMIANN with other settings.
      **options: Of `predictor_search`; by default the encoding is the adjacency matrix, or else one-hot decisions.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "Bayesian Optimization with Robust Bayesian Neural Networks", Springenberg et al., 2016; compared in "BANANAS",
        White et al., 2021, Section 6.
    """
    options = {"name": "bohamiann", **_one_size(predictor), **options}
    return _by_surrogate(space, bohamiann_predictor() if predictor is None else predictor, options)


def bonas(space: Space, *, predictor: Predictor | None = None, **options: Any) -> Searcher:
    """Returns BONAS as published comparisons have it: BANANAS with an ensemble of five graph networks.

    Args:
      space: A space with the features `'graph'`, unless `encoding` names others.
      predictor: Other graph networks, or what reads that encoding.
      **options: Of `bananas`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: The space has no graphs, or an argument is out of range.

    References:
      "Bridging the Gap between Sample-based and One-shot Neural Architecture Search with BONAS", Shi et al., 2020.
    """
    options = {"encoding": None, "name": "bonas", **_one_size(predictor), **options}
    if options["encoding"] is None:
        options["encoding"] = _first_of(space, GRAPH)
    return bananas(space, predictor=gcn(num_members=5) if predictor is None else predictor, **options)


def gcn_predictor(
    space: Space,
    *,
    predictor: Predictor | None = None,
    num_queries: int | None = None,
    encoding: Encoding | None = None,
    name: str = "gcn_predictor",
) -> Searcher:
    """Returns the neural predictor: evaluate most of the budget at random, then what a graph network thinks best.

    Of `Q` queries the last `k = 20 Q / 172`, rounded down, are those with the highest predictions among `50 Q` random
    architectures. (The released code evaluates `k` of these at random.)

    Args:
      space: A space with the features `'graph'`, unless `encoding` names others.
      predictor: By default the published graph network.
      num_queries: `Q`; by default the capacity of the run (`max_evaluations`). With a budget of seconds give the number
        that it pays for. A run that goes on after `Q` queries fits again and evaluates `k` more.
      encoding: Features that the predictor reads.
      name: For tables and legends.

    Returns:
      A searcher that proposes `k` architectures at a time.

    Raises:
      TypeError: `num_queries` is not a Python int.
      ValueError: It is less than 2, or the space has no graphs.

    References:
      "Neural Predictor for Neural Architecture Search", Wen et al., 2020, Section 3; the numbers are those of the
        naszilla library.
    """
    if num_queries is not None:
        check_positive_int("num_queries", num_queries, 2)
    predictor = gcn() if predictor is None else predictor
    encoding = _first_of(space, GRAPH) if encoding is None else encoding

    @functools.cache
    def of(queries: int) -> Searcher:
        num_best = max(1, 20 * queries // 172)
        return predictor_search(
            space,
            predictor,
            encoding=encoding,
            acquisition="mean",
            candidates="random",
            num_init=max(1, queries - num_best),
            batch_size=num_best,
            num_candidates=50 * queries,
            training_sizes=(),
            name=name,
        )

    def of_state(state: State) -> Searcher:
        return of(state.history.archs.shape[0] if num_queries is None else num_queries)

    def init(key: Key, capacity: int) -> State:
        return of(capacity if num_queries is None else num_queries).init(key, capacity)

    def ask(state: State) -> tuple[Proposal, State]:
        return of_state(state).ask(state)

    def tell(state: State, proposal: Proposal, evaluation: Evaluation) -> State:
        return of_state(state).tell(state, proposal, evaluation)

    return Searcher(init, ask, tell, name, compiled=predictor.compiled)


def _by_surrogate(space: Space, predictor: Predictor, options: dict[str, Any]) -> Searcher:
    """Returns a search with the settings that published comparisons give to DNGO and BOHAMIANN."""
    settings = {"encoding": None, "acquisition": "ucb", "num_init": 20, **options}
    if settings["encoding"] is None:
        settings["encoding"] = _first_of(space, PLAIN)
    return predictor_search(space, predictor, **settings)


def _one_size(predictor: Predictor | None) -> dict[str, Any]:
    """Returns the training sizes for the networks that are the defaults: their time grows with the rows that count."""
    return {"training_sizes": ()} if predictor is None else {}


def _first_of(space: Space, encodings: tuple[str, ...]) -> str:
    """Returns the first of these features that a space has."""
    for encoding in encodings:
        if encoding in space.feature_names:
            return encoding
    raise ValueError(
        f"the space {space.name} has none of the features {', '.join(map(repr, encodings))}, but "
        f"{', '.join(map(repr, space.feature_names))}; pass encoding, and a predictor that reads it"
    )
