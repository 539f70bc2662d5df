"""The predictors by name, with the settings and the encoding in which studies compare them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jnas.core._registry import make_registry
from jnas.core._vocabulary import Predictor, Space
from jnas.io._fields import describe_fields
from jnas.searchers.predictors._bayesian_linear import bayesian_linear_regression
from jnas.searchers.predictors._bohamiann import bohamiann
from jnas.searchers.predictors._dngo import dngo
from jnas.searchers.predictors._gaussian_process import gaussian_process
from jnas.searchers.predictors._gcn import gcn
from jnas.searchers.predictors._mlp_ensemble import mlp_ensemble
from jnas.searchers.predictors._tree_predictors import gradient_boosting, random_forest

PLAIN = ("adjacency", "one_hot")
"""The decisions of an architecture as they are: the adjacency matrix of NAS-Bench-101, one-hot columns elsewhere."""

PATH = ("path", "one_hot")
TRUNCATED_PATH = ("truncated_path", "path", "one_hot")
GRAPH = ("graph",)


@describe_fields
class Entry(NamedTuple):
    """A predictor that studies know by name.

    Attributes:
      name: What commands and studies call it.
      make: From a space, and settings to change.
      encodings: Names of features; the first that a space has is the one that studies use.
      description: One line, with the settings.
      quick: A fit to a hundred architectures takes well under a second.
      compiled: Its functions can be traced by JAX.
      factory: Whose keyword arguments are its settings.
    """

    name: str
    make: Callable[..., Predictor]
    encodings: tuple[str, ...]
    description: str
    quick: bool
    compiled: bool = True
    factory: Callable[..., Predictor] | None = None

    def encoding(self, space: Space) -> str:
        """Returns the name of the features of `space` that studies fit this predictor to.

        Raises:
          ValueError: The space has none of its encodings.
        """
        for name in self.encodings:
            if name in space.feature_names:
                return name
        raise ValueError(
            f"the predictor {self.name} reads one of {', '.join(self.encodings)}, and the space {space.name} has "
            f"{', '.join(space.feature_names)}; choose another predictor"
        )


def _row(
    factory: Callable[..., Predictor],
    encodings: tuple[str, ...],
    description: str,
    name: str | None = None,
    quick: bool = True,
    compiled: bool = True,
    **settings: Any,
) -> Entry:
    """Returns the row of a factory, by default under its name, with the settings in which studies compare it."""

    def make(space: Space, **changed: Any) -> Predictor:
        return factory(**{**settings, **changed})

    return Entry(name or factory.__name__, make, encodings, description, quick, compiled, factory)


_ENTRIES = (
    _row(
        mlp_ensemble,
        TRUNCATED_PATH,
        "BANANAS's meta neural network: 5 networks of 10 layers of 20, 150 epochs of batches of 32",
    ),
    _row(
        mlp_ensemble,
        TRUNCATED_PATH,
        "the same with 10 layers of 20, 5 of 5, 5 of 30, 30 of 5 and 30 of 30",
        "mlp_ensemble_diverse",
        quick=False,
        networks="diverse",
    ),
    _row(
        random_forest,
        PLAIN,
        "100 regression trees on bootstrap samples; runs in Python",
        quick=False,
        compiled=False,
    ),
    _row(
        gradient_boosting,
        PLAIN,
        "10 times 100 boosted trees of depth 3, on bootstrap samples; runs in Python",
        quick=False,
        compiled=False,
    ),
    _row(
        gaussian_process,
        PATH,
        "Gaussian process with naszilla's fixed hyper-parameters, by the number of paths that differ",
        distance="squared_l2",
    ),
    _row(
        gaussian_process,
        PATH,
        "the same with hyper-parameters of the largest marginal likelihood",
        "gaussian_process_fitted",
        distance="squared_l2",
        fit_hyperparameters=True,
    ),
    _row(bayesian_linear_regression, PLAIN, "Bayesian linear regression, precisions by marginal likelihood"),
    _row(
        dngo,
        PLAIN,
        "Bayesian linear regression on the last of 3 tanh layers of 50, 500 epochs of batches of 10",
    ),
    _row(
        bohamiann,
        PLAIN,
        "Bayesian neural network, 2 tanh layers of 50: 180 networks from 10,000 steps of Hamiltonian Monte Carlo",
        quick=False,
    ),
    _row(gcn, GRAPH, "graph convolution, 4 layers of 144, 300 epochs of batches of 7", quick=False),
    _row(
        gcn,
        GRAPH,
        "5 graph convolutions as BONAS uses them, each 4 layers of 144, 300 epochs of batches of 7",
        "gcn_ensemble",
        quick=False,
        num_members=5,
    ),
)
PREDICTORS = make_registry("predictor", _ENTRIES)


def names(quick: bool | None = None) -> tuple[str, ...]:
    """Returns the names of all predictors, or of those that are quick (or are not).

    Example:
      >>> jnas.searchers.predictors.names(quick=True)
      ('mlp_ensemble', 'gaussian_process', 'gaussian_process_fitted', 'bayesian_linear_regression', 'dngo')
    """
    return tuple(entry.name for entry in PREDICTORS.rows.values() if quick is None or entry.quick == quick)


def entry(name: str) -> Entry:
    """Returns what is known of a predictor.

    Raises:
      ValueError: There is no predictor of that name.

    Example:
      >>> jnas.searchers.predictors.entry("random_forest").description
      '100 regression trees on bootstrap samples; runs in Python'
    """
    return PREDICTORS.entry(name)


def make(name: str, space: Space, **settings: Any) -> tuple[Predictor, str]:
    """Returns a predictor in the setting in which studies compare it, and the encoding that it reads.

    Args:
      name: One of `names()`.
      space: The search space.
      **settings: Arguments of the predictor's factory to change.

    Returns:
      The predictor, and the name of the space's features to fit it to: `space.features(arch, encoding)`.

    Raises:
      ValueError: There is no predictor of that name, or the space has none of its encodings.

    Example:
      >>> predictor, encoding = jnas.searchers.predictors.make("gaussian_process", jnas.spaces.nasbench201())
      >>> predictor.name, encoding
      ('gaussian_process', 'path')
    """
    found = entry(name)
    return found.make(space, **settings), found.encoding(space)
