"""The searchers by name, with the settings in which studies compare them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jnas.core._registry import make_registry
from jnas.core._vocabulary import Searcher, Space
from jnas.io._fields import describe_fields
from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers._checks import check_budgets
from jnas.searchers._warm_start import warm_settings, warm_start
from jnas.searchers.asynchronous._asha import asha
from jnas.searchers.asynchronous._dehb import dehb
from jnas.searchers.asynchronous._hyperband import asynchronous_bohb, asynchronous_hyperband
from jnas.searchers.asynchronous._median_stopping import median_stopping
from jnas.searchers.asynchronous._pasha import pasha
from jnas.searchers.black_box._bananas import bananas, bananas_random_ranking, bonas
from jnas.searchers.black_box._bohb import bohb
from jnas.searchers.black_box._enas_controller import enas_controller
from jnas.searchers.black_box._gcn_predictor import gcn_predictor
from jnas.searchers.black_box._hyperband import hyperband, successive_halving
from jnas.searchers.black_box._local_search import local_search
from jnas.searchers.black_box._nao import nao
from jnas.searchers.black_box._predictor_search import predictor_search
from jnas.searchers.black_box._random_search import random_search
from jnas.searchers.black_box._regularized_evolution import regularized_evolution
from jnas.searchers.black_box._reinforce import reinforce
from jnas.searchers.black_box._smac import smac
from jnas.searchers.black_box._surrogates import bohamiann, dngo, gp_bayesopt, nasbot
from jnas.searchers.black_box._tpe import tpe
from jnas.searchers.bridges._optuna import optuna_factory
from jnas.searchers.objectives._evolution import multi_objective_evolution
from jnas.searchers.objectives._nsga2 import nsga2
from jnas.searchers.objectives._pareto_local_search import pareto_local_search
from jnas.spaces._subset import with_mutation


@describe_fields
class Entry(NamedTuple):
    """A searcher that studies know by name.

    Attributes:
      name: What commands and studies call it.
      make: From a space and its fidelities, ascending, and settings to change.
      description: One line, with the settings.
      quick: Five hundred seeds on a table take seconds on two cores.
      multi_fidelity: Uses all fidelities that it is given; others evaluate at the one that the study chose.
      random_at_one: Random search where there is one fidelity: no row of its own there.
      compiled: A study's runs are one program; otherwise Python drives them, one after the other.
      needs: The features that a space must have, if not every space will do.
      factory: Whose keyword arguments are its settings.
      begins: With random architectures to learn from, in whose place it can be given a warm start.
      objectives: Takes several objectives as they are (`num_objectives`); others see scalarized ones.
    """

    name: str
    make: Callable[..., Searcher]
    description: str
    quick: bool
    multi_fidelity: bool
    random_at_one: bool = False
    compiled: bool = True
    needs: str | None = None
    factory: Callable[..., Searcher] | None = None
    begins: bool = False
    objectives: bool = False

    @property
    def reads(self) -> tuple[Callable[..., Any], ...]:
        """The functions whose keyword arguments are its settings, those of a warm start behind its own."""
        own = () if self.factory is None else (self.factory,)
        return (*own, warm_settings) if self.begins else own


def _plain(
    factory: Callable[..., Searcher],
    description: str,
    quick: bool = True,
    multi_fidelity: bool = False,
    random_at_one: bool = False,
    compiled: bool = True,
    evolves: bool = False,
    begins: bool = False,
    name: str | None = None,
    objectives: bool = False,
    **own: Any,
) -> Entry:
    """Returns the row of a factory with the settings of the space's benchmark, and its mutation if it evolves.

    A row of another name than the factory's has settings of its own.
    """
    called = name or factory.__name__

    def make(space: Space, budgets: tuple[float, ...], **changed: Any) -> Searcher:
        benchmark = find_benchmark(space.name)
        given = {"budgets": budgets} if multi_fidelity else {}
        searched = with_mutation(space, benchmark.evolution) if evolves else space
        return factory(searched, **given, **{**own, **benchmark.settings.get(called, {}), **changed})

    told = (description, quick, multi_fidelity, random_at_one, compiled, None, factory, begins, objectives)
    return Entry(called, make, *told)


def _predictor_based(
    make: Callable[..., Searcher],
    description: str,
    quick: bool = False,
    needs: str | None = None,
    name: str | None = None,
    factory: Callable[..., Searcher] | None = None,
) -> Entry:
    """Returns the row of a searcher of the space with the mutation with which searches by predictors were published."""
    called = name or make.__name__

    def made(space: Space, _: tuple[float, ...], **changed: Any) -> Searcher:
        benchmark = find_benchmark(space.name)
        searched = with_mutation(space, benchmark.prediction)
        return make(searched, **{**benchmark.settings.get(called, {}), **changed})

    return Entry(
        called,
        made,
        description,
        quick=quick,
        multi_fidelity=False,
        needs=needs,
        factory=make if factory is None else factory,
        begins=True,
    )


_ENTRIES = (
    _plain(random_search, "uniform samples, repetitions included"),
    _plain(
        regularized_evolution,
        "population 10, tournaments of 10, the oldest leaves; in NAS-Bench-201 a mutation picks a node, then an edge; "
        "in NAS-Bench-101 population 100, a mutation changes one decision",
        evolves=True,
        begins=True,
    ),
    _plain(
        reinforce,
        "independent softmax choices, Adam with learning rate 0.1, moving-average baseline 0.9; in NAS-Bench-101 "
        "plain gradient ascent, learning rate 0.5 for accuracies as fractions",
    ),
    _plain(
        enas_controller,
        "the controller of ENAS, a recurrent network, without shared weights: a step by the policy gradient after each "
        "10 accuracies; in NAS-Bench-101 the released one, which expresses few cells (reachable=whole: all)",
        quick=False,
    ),
    _plain(
        nao,
        "NAO without shared weights: 600 random, then rounds of 300 by gradient ascent on learned encodings and of 100 "
        "random; give studies --max-evaluations; in NAS-Bench-101 the released encoding (reachable=whole: all)",
        quick=False,
    ),
    _plain(local_search, "first improvement from the best of 10 random architectures, restarts at minima", begins=True),
    _plain(
        nsga2,
        "NSGA-II: populations of 50, binary tournaments, uniform crossover in nine of ten and a mutation; the best "
        "fronts survive; for several objectives",
        evolves=True,
        objectives=True,
        num_objectives=1,
    ),
    _plain(
        multi_objective_evolution,
        "regularized evolution whose tournaments are won by what nothing else in them dominates; for several "
        "objectives, population 20",
        evolves=True,
        begins=True,
        objectives=True,
        num_objectives=1,
        population_size=20,
    ),
    _plain(
        pareto_local_search,
        "local search from all that nothing dominates, after 10 random architectures; for several objectives",
        begins=True,
        objectives=True,
        num_objectives=1,
    ),
    _plain(tpe, "Parzen estimators of good and bad choices, with the defaults of hyperopt", begins=True),
    _plain(
        bohb,
        "density model with 4 samples and no random fraction (in NAS-Bench-101 64 and 0.33); Hyperband's brackets if "
        "there are several fidelities",
        multi_fidelity=True,
    ),
    _plain(
        successive_halving,
        "a third of the architectures goes on to the next fidelity; random search if there is one fidelity",
        multi_fidelity=True,
        random_at_one=True,
    ),
    _plain(
        hyperband,
        "brackets of successive halving, eta 3; random search if there is one fidelity",
        multi_fidelity=True,
        random_at_one=True,
    ),
    _plain(
        asha,
        "asynchronous successive halving for several workers: a free worker promotes whoever is among the best quarter "
        "of its rung; random search if there is one fidelity",
        multi_fidelity=True,
        random_at_one=True,
    ),
    _plain(
        asha,
        "asha that stops whoever is not among the best quarter of its rung, instead of promoting",
        multi_fidelity=True,
        random_at_one=True,
        name="asha_stopping",
        form="stopping",
    ),
    _plain(
        asynchronous_hyperband,
        "brackets of asha side by side, eta 3, drawn as Hyperband begins architectures in them; random search if there "
        "is one fidelity",
        multi_fidelity=True,
        random_at_one=True,
    ),
    _plain(
        asynchronous_bohb,
        "asynchronous_hyperband with the density model of bohb: 64 samples, a third at random",
        quick=False,
        multi_fidelity=True,
    ),
    _plain(
        dehb,
        "Hyperband's brackets, eta 3, filled by differential evolution in a population for each fidelity",
        quick=False,
        multi_fidelity=True,
        random_at_one=True,
    ),
    _plain(
        pasha,
        "asha with eta 3 that puts longer trainings to use only while rankings change; needs three fidelities or more",
        quick=False,
        multi_fidelity=True,
        random_at_one=True,
    ),
    _plain(
        median_stopping,
        "random search that stops trainings whose curve is below the median of others; with several points of curves",
        multi_fidelity=True,
        random_at_one=True,
    ),
    _plain(
        smac,
        "SMAC-like: expected improvement under a random forest of 10 trees, every third proposal random; runs in "
        "Python, over fewer seeds",
        quick=False,
        compiled=False,
        begins=True,
    ),
    _predictor_based(
        lambda space, **changed: regularized_evolution(
            space, **{"population_size": 29, "sample_size": 10, "num_init": 10, **changed}
        )._replace(name="naszilla_evolution"),
        "evolution as BANANAS was compared with: 10 random, then a population that grows to 29, tournaments of 10",
        quick=True,
        name="naszilla_evolution",
        factory=regularized_evolution,
    ),
    _predictor_based(
        bananas,
        "10 random, then batches of 10 among mutations of the best by independent Thompson sampling; five networks of "
        "10 layers that read the truncated path encoding; in DARTS's space mutants and random ones, and all paths",
    ),
    _predictor_based(
        lambda space, **changed: bananas(
            space,
            **{"encoding": "adjacency" if "adjacency" in space.feature_names else "one_hot", **changed},
            name="bananas_adjacency",
        ),
        "bananas with networks that read the decisions instead of paths",
        name="bananas_adjacency",
        factory=bananas,
    ),
    _predictor_based(bananas_random_ranking, "the candidates of bananas, ranked at random: no predictor", quick=True),
    _predictor_based(
        gp_bayesopt,
        "10 random, then one at a time by the upper confidence bound of a Gaussian process over the number of "
        "decisions that differ",
    ),
    _predictor_based(
        nasbot, "gp_bayesopt with the distance that stands for NASBOT's", needs="nasbot", factory=gp_bayesopt
    ),
    _predictor_based(
        dngo,
        "20 random, then batches of 10 by the upper confidence bound of Bayesian linear regression on a network's "
        "features",
        factory=predictor_search,
    ),
    _predictor_based(bohamiann, "as dngo, with a Bayesian neural network", factory=predictor_search),
    _predictor_based(
        bonas, "as bananas, with five graph networks; hours for 200 seeds", needs="graph", factory=bananas
    ),
    _predictor_based(
        gcn_predictor,
        "of 150 evaluations 133 random, then the 17 of 7,500 random ones that a graph network predicts to be best; "
        "give studies --max-evaluations",
        needs="graph",
    ),
)
SEARCHERS = make_registry("searcher", _ENTRIES)


def names(quick: bool | None = None, space: Space | None = None) -> tuple[str, ...]:
    """Returns the names of all searchers, or of those that are quick (or are not), or can search a space.

    Example:
      >>> sorted(set(jnas.searchers.names()) - set(jnas.searchers.names(space=jnas.spaces.categorical((2, 3)))))
      ['bonas', 'gcn_predictor', 'nasbot']
    """
    features = None if space is None else (None, *space.feature_names)
    return tuple(
        entry.name
        for entry in SEARCHERS.rows.values()
        if (quick is None or entry.quick == quick) and (features is None or entry.needs in features)
    )


def compared(num_fidelities: int, space: str = "") -> tuple[str, ...]:
    """Returns the names of the searchers that a study compares unless told otherwise.

    In NAS-Bench-101 these are the methods of its paper's figure, elsewhere all quick ones but TPE; with one fidelity,
    without those that would be random search once more (and, in NAS-Bench-101, without BOHB).

    Args:
      num_fidelities: Of the study.
      space: The search space's name.

    Example:
      >>> set(compared(2)) - set(compared(1)) == {"successive_halving", "hyperband"}
      True
    """
    row = find_benchmark(space)
    found = [SEARCHERS.entry(name) for name in row.compared]
    if num_fidelities == 1:
        found = [e for e in found if not (e.random_at_one or (row.all_epochs and e.multi_fidelity))]
    return tuple(e.name for e in found)


def entry(name: str) -> Entry:
    """Returns what is known of a searcher, or of a sampler of Optuna (`optuna:TPESampler`).

    Raises:
      ValueError: There is no searcher of that name, or Optuna is asked for and not installed.

    Example:
      >>> jnas.searchers.entry("hyperband").description
      'brackets of successive halving, eta 3; random search if there is one fidelity'
    """
    library, colon, sampler = name.partition(":")
    if colon and library == "optuna":
        return _of_optuna(sampler)
    return SEARCHERS.entry(name)


def _of_optuna(sampler: str) -> Entry:
    """Returns the row of a sampler of Optuna, which searches on the space's names with the sampler's own settings."""
    factory = optuna_factory(sampler)

    def make(space: Space, _: tuple[float, ...], **changed: Any) -> Searcher:
        return factory(space, **changed)

    described = "Optuna's sampler with its own settings; runs in Python, over fewer seeds"
    return Entry(f"optuna:{sampler}", make, described, False, False, compiled=False, factory=factory, objectives=True)


def make(name: str, space: Space, budgets: Sequence[float] = (1,), **settings: Any) -> Searcher:
    """Returns a searcher in the setting in which studies compare it.

    Args:
      name: One of `names()`, or `optuna:` and the name of a sampler in `optuna.samplers`.
      space: The search space.
      budgets: The objective's fidelities, ascending, for multi-fidelity searchers; others do not look at them.
      **settings: Arguments of the searcher's factory to change; and `warm_start`, with `warm_drawn`, the `by` and the
        `num_drawn` of `jnas.searchers.warm_start`.

    Raises:
      TypeError: `budgets` is not a sequence, or the factory has no such argument.
      ValueError: There is no searcher of that name, a setting is out of range, or `budgets` is empty or not ascending.

    Example:
      >>> from jnas import spaces
      >>> make("hyperband", spaces.get("nats_size"), (12, 200)).num_fidelities
      2
    """
    warm = {key: settings.pop(key) for key in ("warm_start", "warm_drawn") if key in settings}
    made = entry(name).make(space, check_budgets(budgets), **settings)
    if warm.get("warm_start") is None:
        if warm.get("warm_drawn") is not None:
            raise ValueError("warm_drawn is given, and no warm_start, the score by which the best of these are taken")
        return made
    return warm_start(made, space, warm["warm_start"], num_drawn=warm.get("warm_drawn", 1000))
