"""Predictor-based searches by the upper confidence bound of a surrogate."""

from typing import Any

from jnas.core._vocabulary import Predictor, Searcher, Space
from jnas.searchers.black_box._acquisition import Acquisition
from jnas.searchers.black_box._bananas import _first_of, _one_size
from jnas.searchers.black_box._candidate_sources import CandidateSource, mutations
from jnas.searchers.black_box._predictor_search import predictor_search
from jnas.searchers.predictors._bohamiann import bohamiann as bohamiann_predictor
from jnas.searchers.predictors._distances import named_distance
from jnas.searchers.predictors._dngo import dngo as dngo_predictor
from jnas.searchers.predictors._gaussian_process import gaussian_process
from jnas.searchers.predictors._registry import PLAIN


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


def _by_surrogate(space: Space, predictor: Predictor, options: dict[str, Any]) -> Searcher:
    """Returns a search with the settings that published comparisons give to DNGO and BOHAMIANN."""
    settings = {"encoding": None, "acquisition": "ucb", "num_init": 20, **options}
    if settings["encoding"] is None:
        settings["encoding"] = _first_of(space, PLAIN)
    return predictor_search(space, predictor, **settings)
