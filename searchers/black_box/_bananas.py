"""BANANAS and the predictor-based searches that it is compared with, in their published settings."""

from typing import Any, Literal

from jnas.core._vocabulary import Predictor, Searcher, Space
from jnas.io._text import not_one_of
from jnas.searchers.black_box._acquisition import Acquisition
from jnas.searchers.black_box._candidate_sources import CandidateSource
from jnas.searchers.black_box._predictor_search import Encoding, predictor_search
from jnas.searchers.predictors._gcn import gcn
from jnas.searchers.predictors._mlp_ensemble import mlp_ensemble
from jnas.searchers.predictors._registry import GRAPH, TRUNCATED_PATH

Preset = Literal["tables", "darts"]
_PRESETS: dict[str, dict[str, Any]] = {
    "tables": {},
    "darts": {"loss": "mape", "targets": "error", "learning_rate": 1e-5, "epochs": 10_000},
}


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
    preset: Preset = "tables",
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
      predictor: By default the published ensemble of five networks of 10 layers of 20 units, trained as `preset` says.
      encoding: Features that the networks read; by default the truncated path encoding, where the space has it
        (otherwise paths, or else one-hot decisions).
      acquisition: See `predictor_search`, as for the other arguments.
      candidates: Published for tables: `'mutation'`; for DARTS: `'mutation_random'`. Of
        `jnas.searchers.mutations(space, num_parents=2, max_edits=3)` all settings may be chosen.
      num_init: Random architectures to begin with.
      batch_size: Architectures that are proposed at once.
      num_candidates: How many mutants are candidates; the last parent may bring more.
      preset: How these networks are trained: as published for `'tables'`, 150 epochs at a rate of 0.01 on standardised
        scores; or as published for `'darts'`, 10,000 epochs at a rate of 1e-5 on errors in percent, by the loss
        `'mape'`: some 65 times as many epochs. On 100 random genotypes of DARTS's space with a score made up of effects
        of operations, the first takes 0.9 CPU-s and ranks others with a Kendall's tau of 0.36, the second 63 and 0.21
        (`tests/benchmarks/bananas_presets.py`).
      **options: `training_sizes` and `name` of `predictor_search`.

    Raises:
      TypeError: A size is not a Python int.
      ValueError: An argument is out of range.

    References:
      "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search", White, Neiswanger and
        Savani, 2021, Algorithm 1 and Section 5; the settings are those of the naszilla library for NAS-Bench-101.

    Example:
      >>> searcher = jnas.searchers.bananas(jnas.spaces.nasbench201(), num_init=8, batch_size=8)
      >>> proposal, _ = jax.eval_shape(searcher.ask, searcher.init(jax.random.key(0), 80))
      >>> proposal.archs.shape
      (8, 6)
    """
    if preset not in _PRESETS:
        raise ValueError(not_one_of("preset", preset, tuple(_PRESETS)))
    return predictor_search(
        space,
        mlp_ensemble(**_PRESETS[preset]) if predictor is None else predictor,
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
