"""The searchers by name, with the settings in which studies compare them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jnas._vocabulary import Searcher, Space
from jnas.searchers._bohb import bohb
from jnas.searchers._checks import check_budgets
from jnas.searchers._hyperband import hyperband, successive_halving
from jnas.searchers._local_search import local_search
from jnas.searchers._random_search import random_search
from jnas.searchers._regularized_evolution import regularized_evolution
from jnas.searchers._reinforce import reinforce
from jnas.spaces._nasbench201 import nasbench201


class Entry(NamedTuple):
    """A searcher that studies know by name."""

    name: str
    make: Callable[[Space, tuple[float, ...]], Searcher]  # from a space and its fidelities, ascending
    description: str  # one line, with the settings
    quick: bool  # five hundred seeds on a table take seconds on two cores
    multi_fidelity: bool  # uses all fidelities that it is given; others evaluate at the one that the study chose
    random_at_one: bool = False  # random search where there is one fidelity: no row of its own there


def _regularized_evolution(space: Space, budgets: tuple[float, ...]) -> Searcher:
    del budgets
    if space.name == "nasbench201":
        space = nasbench201(mutation="node_then_edge")
    return regularized_evolution(space, population_size=10, sample_size=10)


_ENTRIES = (
    Entry(
        "random_search",
        lambda space, _: random_search(space),
        "uniform samples, repetitions included",
        quick=True,
        multi_fidelity=False,
    ),
    Entry(
        "regularized_evolution",
        _regularized_evolution,
        "population 10, tournaments of 10, the oldest leaves; in NAS-Bench-201 a mutation picks a node, then an edge",
        quick=True,
        multi_fidelity=False,
    ),
    Entry(
        "reinforce",
        lambda space, _: reinforce(space, learning_rate=0.1),
        "independent softmax choices, Adam with learning rate 0.1, moving-average baseline 0.9",
        quick=True,
        multi_fidelity=False,
    ),
    Entry(
        "local_search",
        lambda space, _: local_search(space),
        "first improvement from the best of 10 random architectures, restarts at minima",
        quick=True,
        multi_fidelity=False,
    ),
    Entry(
        "bohb",
        lambda space, budgets: bohb(space, budgets=budgets, num_samples=4, random_fraction=0.0),
        "density model with 4 samples and no random fraction; Hyperband's brackets if there are several fidelities",
        quick=True,
        multi_fidelity=True,
    ),
    Entry(
        "successive_halving",
        lambda space, budgets: successive_halving(space, budgets=budgets),
        "a third of the architectures goes on to the next fidelity; random search if there is one fidelity",
        quick=True,
        multi_fidelity=True,
        random_at_one=True,
    ),
    Entry(
        "hyperband",
        lambda space, budgets: hyperband(space, budgets=budgets),
        "brackets of successive halving, eta 3; random search if there is one fidelity",
        quick=True,
        multi_fidelity=True,
        random_at_one=True,
    ),
)
_BY_NAME = {entry.name: entry for entry in _ENTRIES}


def names(quick: bool | None = None) -> tuple[str, ...]:
    """Returns the names of all searchers, or of those that are quick (or are not)."""
    return tuple(entry.name for entry in _ENTRIES if quick is None or entry.quick == quick)


def compared(num_fidelities: int) -> tuple[str, ...]:
    """Returns the names of the searchers that a study compares unless told otherwise.

    These are the quick ones; with one fidelity, without those that would be random search once more.

    Example:
      >>> set(compared(2)) - set(compared(1)) == {"successive_halving", "hyperband"}
      True
    """
    return tuple(e.name for e in _ENTRIES if e.quick and (num_fidelities > 1 or not e.random_at_one))


def entry(name: str) -> Entry:
    """Returns what is known of a searcher.

    Raises:
      ValueError: There is no searcher of that name.
    """
    if name not in _BY_NAME:
        raise ValueError(f"there is no searcher {name!r}, expected one of {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def make(name: str, space: Space, budgets: Sequence[float] = (1,)) -> Searcher:
    """Returns a searcher in the setting in which studies compare it.

    Args:
      name: One of `names()`.
      space: The search space.
      budgets: The objective's fidelities, ascending, for multi-fidelity searchers; others do not look at them.

    Raises:
      TypeError: `budgets` is not a sequence.
      ValueError: There is no searcher of that name, or `budgets` is empty or not ascending.

    Example:
      >>> make("hyperband", nasbench201(), (12, 200)).num_fidelities
      2
    """
    return entry(name).make(space, check_budgets(budgets))
