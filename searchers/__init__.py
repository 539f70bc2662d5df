"""Searchers: pure `init` / `ask` / `tell` over a state that carries its PRNG key."""

from jnas.searchers import predictors
from jnas.searchers._at_fidelity import at_fidelity
from jnas.searchers._bohb import bohb
from jnas.searchers._hyperband import geometric_budgets, hyperband, successive_halving
from jnas.searchers._local_search import local_search
from jnas.searchers._random_search import random_search
from jnas.searchers._registry import Entry, entry, make, names
from jnas.searchers._regularized_evolution import regularized_evolution
from jnas.searchers._reinforce import reinforce
from jnas.searchers._smac import smac
from jnas.searchers._tpe import tpe

__all__ = [
    "Entry",
    "at_fidelity",
    "bohb",
    "entry",
    "geometric_budgets",
    "hyperband",
    "local_search",
    "make",
    "names",
    "predictors",
    "random_search",
    "regularized_evolution",
    "reinforce",
    "smac",
    "successive_halving",
    "tpe",
]
