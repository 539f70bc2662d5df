"""Searchers as pure functions over a state that carries its key: `init / ask / tell`, or `init / step / derive`."""

from jnas.core._vocabulary import WeightSharingSearcher
from jnas.searchers import predictors
from jnas.searchers._constant_liar import constant_liar
from jnas.searchers._registry import Entry, entry, make, names
from jnas.searchers._warm_start import WarmStartState, warm_start
from jnas.searchers.asynchronous._asha import asha
from jnas.searchers.asynchronous._dehb import dehb
from jnas.searchers.asynchronous._hyperband import asynchronous_bohb, asynchronous_hyperband
from jnas.searchers.asynchronous._median_stopping import median_stopping
from jnas.searchers.asynchronous._pasha import pasha
from jnas.searchers.black_box._at_fidelity import at_fidelity
from jnas.searchers.black_box._bananas import bananas, bananas_random_ranking, bonas
from jnas.searchers.black_box._bohb import bohb
from jnas.searchers.black_box._candidate_sources import Candidates, mutations
from jnas.searchers.black_box._enas_controller import enas_controller
from jnas.searchers.black_box._gcn_predictor import gcn_predictor
from jnas.searchers.black_box._history import History
from jnas.searchers.black_box._hyperband import geometric_budgets, hyperband, successive_halving
from jnas.searchers.black_box._local_search import local_search
from jnas.searchers.black_box._nao import nao
from jnas.searchers.black_box._nao_model import NaoSettings
from jnas.searchers.black_box._predictor_search import predictor_search
from jnas.searchers.black_box._random_search import random_search
from jnas.searchers.black_box._regularized_evolution import regularized_evolution
from jnas.searchers.black_box._reinforce import reinforce
from jnas.searchers.black_box._smac import smac
from jnas.searchers.black_box._surrogates import bohamiann, dngo, gp_bayesopt, nasbot
from jnas.searchers.black_box._tpe import tpe
from jnas.searchers.bridges._ask_tell import from_ask_tell
from jnas.searchers.bridges._optuna import from_optuna
from jnas.searchers.objectives._evolution import multi_objective_evolution
from jnas.searchers.objectives._nsga2 import nsga2
from jnas.searchers.objectives._pareto_local_search import pareto_local_search
from jnas.searchers.objectives._scalarized import constrained, scalarized
from jnas.searchers.weight_sharing._architecture_hessian import architecture_hessian, hessian_eigenvalue
from jnas.searchers.weight_sharing._architecture_parameters import Adam
from jnas.searchers.weight_sharing._candidates import Selection
from jnas.searchers.weight_sharing._controller import ControllerSettings
from jnas.searchers.weight_sharing._darts import darts
from jnas.searchers.weight_sharing._enas import PolicyGradient, enas
from jnas.searchers.weight_sharing._fairnas import fairnas
from jnas.searchers.weight_sharing._fbnet import fbnet
from jnas.searchers.weight_sharing._gdas import gdas
from jnas.searchers.weight_sharing._registry import (
    WeightSharingEntry,
    make_weight_sharing,
    weight_sharing_entry,
    weight_sharing_names,
)
from jnas.searchers.weight_sharing._rsps import rsps
from jnas.searchers.weight_sharing._setn import setn
from jnas.searchers.weight_sharing._shared_weights import Sgd
from jnas.searchers.weight_sharing._split import Split
from jnas.searchers.weight_sharing._spos import spos
from jnas.searchers.weight_sharing.mixtures._adaptive import Adaptation
from jnas.searchers.weight_sharing.mixtures._early_stopping import EarlyStopping
from jnas.searchers.weight_sharing.mixtures._perturbation import Perturbation
from jnas.searchers.weight_sharing.mixtures._projection import Projection, select_by_perturbation

__all__ = [
    "Adam",
    "Adaptation",
    "Candidates",
    "ControllerSettings",
    "EarlyStopping",
    "Entry",
    "History",
    "NaoSettings",
    "Perturbation",
    "PolicyGradient",
    "Projection",
    "Selection",
    "Sgd",
    "Split",
    "WarmStartState",
    "WeightSharingEntry",
    "WeightSharingSearcher",
    "architecture_hessian",
    "asha",
    "asynchronous_bohb",
    "asynchronous_hyperband",
    "at_fidelity",
    "bananas",
    "bananas_random_ranking",
    "bohamiann",
    "bohb",
    "bonas",
    "constant_liar",
    "constrained",
    "darts",
    "dehb",
    "dngo",
    "enas",
    "enas_controller",
    "entry",
    "fairnas",
    "fbnet",
    "from_ask_tell",
    "from_optuna",
    "gcn_predictor",
    "gdas",
    "geometric_budgets",
    "gp_bayesopt",
    "hessian_eigenvalue",
    "hyperband",
    "local_search",
    "make",
    "make_weight_sharing",
    "median_stopping",
    "multi_objective_evolution",
    "mutations",
    "names",
    "nao",
    "nasbot",
    "nsga2",
    "pareto_local_search",
    "pasha",
    "predictor_search",
    "predictors",
    "random_search",
    "regularized_evolution",
    "reinforce",
    "rsps",
    "scalarized",
    "select_by_perturbation",
    "setn",
    "smac",
    "spos",
    "successive_halving",
    "tpe",
    "warm_start",
    "weight_sharing_entry",
    "weight_sharing_names",
]
