"""Predictors: models of scores as pure functions of fixed-size, masked data.

Each factory returns a `Predictor`: `fit`, `predict` and `sample`. `names()` lists those that studies compare and
`make(name, space)` gives one with its settings and the encoding of architectures that it reads.
"""

from jnas.core._vocabulary import Features, Model, Prediction, Predictor
from jnas.searchers.predictors._bayesian_linear import bayesian_linear_regression
from jnas.searchers.predictors._bohamiann import bohamiann
from jnas.searchers.predictors._distances import DISTANCES
from jnas.searchers.predictors._dngo import dngo
from jnas.searchers.predictors._gaussian_process import gaussian_process
from jnas.searchers.predictors._gcn import gcn
from jnas.searchers.predictors._mlp_ensemble import mlp_ensemble
from jnas.searchers.predictors._registry import Entry, entry, make, names
from jnas.searchers.predictors._tree_predictors import gradient_boosting, random_forest

__all__ = [
    "DISTANCES",
    "Entry",
    "Features",
    "Model",
    "Prediction",
    "Predictor",
    "bayesian_linear_regression",
    "bohamiann",
    "dngo",
    "entry",
    "gaussian_process",
    "gcn",
    "gradient_boosting",
    "make",
    "mlp_ensemble",
    "names",
    "random_forest",
]
