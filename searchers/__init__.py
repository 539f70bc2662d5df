"""Searchers as pure functions over a state that carries its key: `init / ask / tell`, or `init / step / derive`."""

from jnas.searchers import predictors
from jnas.searchers._architecture_hessian import architecture_hessian, hessian_eigenvalue
from jnas.searchers._architecture_parameters import Adam
from jnas.searchers._at_fidelity import at_fidelity
from jnas.searchers._bananas import (
    bananas,
    bananas_random_ranking,
    bohamiann,
    bonas,
    dngo,
    gcn_predictor,
    gp_bayesopt,
    nasbot,
)
from jnas.searchers._bohb import bohb
from jnas.searchers._candidate_sources import Candidates, mutations
from jnas.searchers._candidates import Selection
from jnas.searchers._controller import ControllerSettings
from jnas.searchers._darts import darts
from jnas.searchers._enas import PolicyGradient, enas
from jnas.searchers._gdas import gdas
from jnas.searchers._history import History
from jnas.searchers._hyperband import geometric_budgets, hyperband, successive_halving
from jnas.searchers._local_search import local_search
from jnas.searchers._predictor_search import predictor_search
from jnas.searchers._random_search import random_search
from jnas.searchers._registry import Entry, entry, make, names
from jnas.searchers._regularized_evolution import regularized_evolution
from jnas.searchers._reinforce import reinforce
from jnas.searchers._rsps import rsps
from jnas.searchers._setn import setn
from jnas.searchers._shared_weights import Sgd
from jnas.searchers._smac import smac
from jnas.searchers._tpe import tpe
from jnas.searchers._weight_sharing import WeightSharingSearcher
from jnas.searchers._weight_sharing_registry import (
    WeightSharingEntry,
    make_weight_sharing,
    weight_sharing_entry,
    weight_sharing_names,
)

__all__ = [
    "Adam",
    "Candidates",
    "ControllerSettings",
    "Entry",
    "History",
    "PolicyGradient",
    "Selection",
    "Sgd",
    "WeightSharingEntry",
    "WeightSharingSearcher",
    "architecture_hessian",
    "at_fidelity",
    "bananas",
    "bananas_random_ranking",
    "bohamiann",
    "bohb",
    "bonas",
    "darts",
    "dngo",
    "enas",
    "entry",
    "gcn_predictor",
    "gdas",
    "geometric_budgets",
    "gp_bayesopt",
    "hessian_eigenvalue",
    "hyperband",
    "local_search",
    "make",
    "make_weight_sharing",
    "mutations",
    "names",
    "nasbot",
    "predictor_search",
    "predictors",
    "random_search",
    "regularized_evolution",
    "reinforce",
    "rsps",
    "setn",
    "smac",
    "successive_halving",
    "tpe",
    "weight_sharing_entry",
    "weight_sharing_names",
]
