"""The checks of the loop: what searchers and objectives return, and how many evaluations a budget can pay for."""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Evaluation, Proposal, Searcher, State

Overshoot = Literal["discard", "keep"]
"""What happens to the evaluation that would exceed the budget of seconds."""

MOST_WORKERS = 10_000


def check_proposal(searcher: Searcher, proposal: Any) -> None:
    """Raises TypeError where `ask` returned something of the wrong form."""
    if not isinstance(proposal, Proposal):
        raise TypeError(
            f"{searcher.name}: ask returned {type(proposal).__name__} in the place of a Proposal, expected "
            "(proposal, state); jnas.propose(archs) makes one of architectures [B, E]"
        )
    archs = proposal.archs
    if jnp.ndim(archs) != 2 or archs.dtype.kind not in "iu":
        raise TypeError(
            f"{searcher.name}: ask proposed archs of shape {jnp.shape(archs)} and type {archs.dtype}, expected "
            "integers [B, E]; one architecture is arch[None]"
        )
    for name, value in zip(Proposal._fields[1:], proposal[1:], strict=True):
        if jnp.shape(value) != archs.shape[:1]:
            raise TypeError(
                f"{searcher.name}: the proposal's {name} has shape {jnp.shape(value)}, expected {archs.shape[:1]}: "
                "a value for each architecture"
            )


def check_state(
    searcher: Searcher, before: State, after: State, dtype_of: Callable[[Any], Any] = jnp.result_type
) -> None:
    """Raises TypeError where a step changed the form of a searcher's state.

    Args:
      searcher: Whose step it was.
      before: The state as `init` made it, or its shapes.
      after: The state after `ask` and `tell`.
      dtype_of: The type of a leaf; by default that which JAX takes it for.
    """

    def form(state: State) -> list[tuple[str, Any, Any]]:
        leaves = jax.tree_util.tree_leaves_with_path(state)
        return [(jax.tree_util.keystr(path), np.shape(x), dtype_of(x)) for path, x in leaves]

    old, new = (str(jax.tree.structure(state)) for state in (before, after))
    if old != new:
        raise TypeError(
            f"{searcher.name}: ask and tell turned the state {old} into {new}; its structure must stay as init made it"
        )
    for (path, shape, dtype), (_, new_shape, new_dtype) in zip(form(before), form(after), strict=True):
        if (shape, dtype) != (new_shape, new_dtype):
            raise TypeError(
                f"{searcher.name}: ask and tell turned state{path} from {dtype}{list(shape)} into "
                f"{new_dtype}{list(new_shape)}; shapes and types must stay as init made them"
            )


def check_step(searcher: Searcher, proposal: Proposal, evaluation: Any) -> None:
    """Raises TypeError where a user's objective returned something of the wrong form."""
    if not isinstance(evaluation, Evaluation):
        raise TypeError(
            f"the objective returned {type(evaluation).__name__}, expected jnas.Evaluation(score, seconds, valid); "
            "wrap a plain function with jnas.function_objective"
        )
    batch = proposal.valid.shape[0]
    further = evaluation.objectives
    if further is not None and (jnp.ndim(further) != 2 or jnp.shape(further)[0] != batch):
        raise TypeError(
            f"the objective's objectives have shape {jnp.shape(further)}, expected ({batch}, O): a row for each row of "
            f"{searcher.name}'s proposal, or None"
        )
    for name, value in zip(Evaluation._fields[:3], evaluation[:3], strict=True):
        if jnp.shape(value) != (batch,):
            raise TypeError(
                f"the objective's {name} has shape {jnp.shape(value)}, expected ({batch},): a value for each row "
                f"of {searcher.name}'s proposal"
            )


_SEVERAL = "an objective of several, a table's with epochs=(12, 200), or function_objective with fidelities=(12, 200)"


def check_fidelities(searcher: Searcher, objective: Any, remedy: str = _SEVERAL) -> None:
    """Raises ValueError, which says to give `remedy`, if the searcher asks for fidelities that the objective lacks."""
    fidelities = getattr(objective, "fidelities", (0,))
    if searcher.num_fidelities > len(fidelities):
        raise ValueError(
            f"{searcher.name} searches on {searcher.num_fidelities} fidelities but the objective has "
            f"{len(fidelities)} ({fidelities}); give {remedy}"
        )


def affordable_evaluations(objective: Any, budget_seconds: Any, overshoot: Overshoot = "discard") -> int:
    """Returns the most evaluations that a budget can pay for: the budget over the cheapest cost.

    Raises:
      ValueError: The budget is not a positive number, or the objective does not say its cheapest cost.
    """
    cheapest = getattr(objective, "min_seconds", None)
    if isinstance(budget_seconds, jax.core.Tracer):
        raise ValueError("max_evaluations is needed, a Python int, since budget_seconds is traced")
    if not cheapest or not cheapest > 0:
        raise ValueError(
            "max_evaluations is needed, a Python int, since nothing says what the cheapest evaluation costs: a budget "
            "of seconds alone does not bound their number"
        )
    budget = float(budget_seconds)
    if not (budget > 0 and math.isfinite(budget)):
        raise ValueError(f"budget_seconds is {budget_seconds}, expected a positive number of seconds")
    affordable: int = math.floor(budget / float(cheapest) * (1 + 1e-6))
    if overshoot == "keep":
        affordable += 1
    if affordable < 1:
        raise ValueError(
            f"budget_seconds is {budget:g}, less than the cheapest evaluation ({cheapest:g} s): nothing can be "
            "evaluated; give a larger budget"
        )
    return affordable


def check_workers(workers: Any) -> int:
    """Returns the number of workers; raises ValueError where it is none."""
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers is {workers!r}, expected a Python int from 1 to {MOST_WORKERS:,}")
    return workers


def resolve_capacity(
    objective: Any, budget_seconds: Any, max_evaluations: int | None, overshoot: Overshoot, workers: int = 1
) -> int:
    """Returns the capacity of a run's trace, checking the arguments that `run` and `search` share."""
    check_workers(workers)
    if overshoot not in ("discard", "keep"):
        raise ValueError(f"overshoot is {overshoot!r}, expected 'discard' or 'keep'")
    if max_evaluations is None:
        if budget_seconds is None:
            raise ValueError("neither budget_seconds nor max_evaluations was given: the run would have no end")
        last = overshoot == "keep"
        return (affordable_evaluations(objective, budget_seconds, overshoot) - last) * workers + last
    if isinstance(max_evaluations, bool) or not isinstance(max_evaluations, int) or max_evaluations < 1:
        raise ValueError(f"max_evaluations is {max_evaluations!r}, expected a positive Python int")
    if budget_seconds is not None and not isinstance(budget_seconds, jax.core.Tracer) and not budget_seconds > 0:
        raise ValueError(f"budget_seconds is {budget_seconds}, expected a positive number of seconds")
    return max_evaluations


def check_capacity(capacity: int) -> int:
    """Returns the capacity of a trace; raises ValueError where its rows cannot be counted in int32."""
    most = int(np.iinfo(np.int32).max)
    if capacity > most:
        raise ValueError(
            f"a search of {_count(capacity)} evaluations was asked for, and a trace counts at most {most:,} rows (its "
            "memory ends sooner); give max_evaluations, or a smaller one"
        )
    return capacity


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"about 10^{int(math.log10(number))}"
