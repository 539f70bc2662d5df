"""Searchers by name for what a study searches for: several objectives, and constraints."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jnas.core._vocabulary import Searcher, Space
from jnas.searchers._recorded import arguments_of
from jnas.searchers._registry import Entry, entry, make
from jnas.searchers.objectives._scalarized import Handling, constrained, scalarized

COMPARED_FOR_SEVERAL = (
    "random_search",
    "nsga2",
    "multi_objective_evolution",
    "pareto_local_search",
    "regularized_evolution",
    "local_search",
)
"""What studies with several objectives compare unless told otherwise; the last two scalarized."""

_MEMORYLESS = ("random_search",)  # there is nothing that it could be told


class Goals(NamedTuple):
    """What searchers are made for."""

    num_objectives: int = 1
    lowest: float | None = None  # score, where there are constraints
    spread: float = 1.0  # from it to the highest

    def reads(self, known: Entry) -> tuple[Callable[..., Any], ...]:
        """Returns the functions whose keyword arguments are further settings of a searcher."""
        learns = known.name not in _MEMORYLESS and not _takes(known, self.num_objectives)
        told = self.lowest is not None and self.num_objectives == 1 and learns
        return (constraint_settings,) if told else ()


def check_made_for(searchers: Mapping[str, Searcher], num_objectives: int) -> None:
    """Raises ValueError unless searchers are made for so many objectives; of one that says nothing nobody knows."""
    for name, searcher in searchers.items():
        said = arguments_of(searcher)
        own = said.get("num_objectives", 1)
        if not said or own == num_objectives or searcher.name in _MEMORYLESS:
            continue
        if own == 1:
            raise ValueError(
                f"{name} searches for one objective, and there are {num_objectives}; wrap it, "
                f"jnas.searchers.scalarized(searcher, num_objectives={num_objectives}), or make one that takes several "
                f"with num_objectives={num_objectives}"
            )
        told = "there is one" if num_objectives == 1 else f"there are {num_objectives}"
        raise ValueError(
            f"{name} is made for {own} objectives, and {told}; make it with num_objectives={num_objectives}"
        )


def _takes(known: Entry, num_objectives: int) -> bool:
    """Returns whether a searcher is told costs and violations as they are.

    Optimizers of other libraries know several objectives, but no violations of them: with one they are as any other.
    """
    return known.objectives and (num_objectives > 1 or known.compiled)


def constraint_settings(*, constraint: Handling = "penalty") -> None:
    """The setting of a searcher of one objective under constraints: `NAME:constraint=filter`."""
    del constraint


def make_for(goals: Goals, name: str, space: Space, budgets: Sequence[float] = (1,), **settings: Any) -> Searcher:
    """Returns a searcher as `make` does, for several objectives or under constraints.

    One that takes several objectives is made for them; random search is what it is; any other is scalarized, or with
    one objective told of constraints as its setting `constraint` says. Errors are those of `make`.

    Example:
      >>> make_for(Goals(num_objectives=2), "nsga2", jnas.spaces.nasbench201()).name
      'nsga2'
    """
    constraint = settings.pop("constraint", "penalty")
    known = entry(name)
    if _takes(known, goals.num_objectives):
        return make(name, space, budgets, **{"num_objectives": goals.num_objectives, **settings})
    made = make(name, space, budgets, **settings)
    if goals.num_objectives > 1:
        return made if name in _MEMORYLESS else scalarized(made, num_objectives=goals.num_objectives)
    if goals.lowest is None or name in _MEMORYLESS:
        return made
    return constrained(made, lowest=goals.lowest, spread=goals.spread, constraint=constraint)
