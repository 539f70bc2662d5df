"""How a program applies one of several operations, when which one is data."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jnas.core._vocabulary import Array, FormName, Supernet

Capacities = tuple[tuple[int, ...], ...]
"""For each decision and each of its choices, how many candidates of a batch can take it."""


class Form(NamedTuple):
    """How one choice among operations becomes a program."""

    name: FormName
    choose: Callable[..., Any]
    """`choose(decision, operations, choice, *arguments)`: the result of `operations[choice](*arguments)`."""


def branches(form: FormName) -> bool:
    """Returns whether one member of a batch at a time does the least work: a batch would run every operation."""
    return form in ("switch", "static")


def over_members(function: Callable[..., Any], form: FormName) -> Callable[..., Any]:
    """Returns `function` of arguments with a leading axis of members: a loop where a form branches, else `vmap`."""
    if branches(form):
        return lambda *arguments: lax.map(lambda each: function(*each), arguments)
    return jax.vmap(function)


def fastest_form() -> FormName:
    """Returns the fastest form of one operation of several on the default backend: CPUs branch, others sort batches."""
    return "switch" if jax.default_backend() == "cpu" else "dispatch"


def over_seeds(function: Callable[..., Any], supernet: Supernet) -> Callable[..., Any]:
    """Returns `function` of arguments with a leading axis of seeds: a loop where the supernet branches, else `vmap`.

    On CPUs a loop is faster for `mixture` too: what one seed works on stays in the cache.
    """
    return over_members(function, supernet.form)


def switch_form() -> Form:
    """Returns the form in which a program branches: it does the chosen operation alone, for one candidate at a time.

    Under `vmap` a branch becomes a selection among the results of all operations, so a batch is to be looped over
    (`lax.map`). Fast where a loop is cheap and its memory stays in a cache: on CPUs.
    """

    def choose(decision: int, operations: Sequence[Callable[..., Any]], choice: Array, *arguments: Any) -> Any:
        return lax.switch(choice, operations, *arguments)

    return Form("switch", choose)


def static_form(arch: Sequence[int]) -> Form:
    """Returns the form of one architecture alone, whose program has no other operations; choices are not looked at.

    Args:
      arch: The choices, Python integers or a NumPy array; one for each decision.
    """
    choices = tuple(int(choice) for choice in arch)

    def choose(decision: int, operations: Sequence[Callable[..., Any]], choice: Array, *arguments: Any) -> Any:
        return operations[choices[decision]](*arguments)

    return Form("static", choose)


def mixture_form() -> Form:
    """Returns the form that does every operation and keeps one result, which is what `vmap` makes of a branch."""

    def choose(decision: int, operations: Sequence[Callable[..., Any]], choice: Array, *arguments: Any) -> Any:
        results = [operation(*arguments) for operation in operations]
        return jax.tree.map(lambda *each: lax.select_n(choice, *each), *results)

    return Form("mixture", choose)


def dispatch_form(capacities: Capacities | None = None) -> Form:
    """Returns the form in which a batch is sorted: each operation is done once, for the candidates that chose it.

    Only `vmap` brings it about; without it the form branches. The results of a batch that exceeds a capacity are NaN
    throughout, never wrong. Gradients, of the first order and in reverse, are sorted in the same way; for them an
    operation is done once more.

    Args:
      capacities: From `capacities_of`; by default every operation has room for the whole batch.
    """

    def choose(decision: int, operations: Sequence[Callable[..., Any]], choice: Array, *arguments: Any) -> Any:
        @jax.custom_vjp
        def chosen(choice: Array, *arguments: Any) -> Any:
            return sorted_by_choice(decision, operations)(choice, *arguments)

        def forward(choice: Array, *arguments: Any) -> Any:
            return chosen(choice, *arguments), (choice, arguments)

        def backward(kept: Any, gradients: Any) -> Any:
            choice, arguments = kept
            transposes = [functools.partial(_pull_back, operation) for operation in operations]
            return None, *sorted_by_choice(decision, transposes)(choice, gradients, *arguments)

        chosen.defvjp(forward, backward)
        return chosen(choice, *arguments)

    def sorted_by_choice(decision: int, operations: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
        @jax.custom_batching.custom_vmap
        def chosen(choice: Array, *arguments: Any) -> Any:
            return lax.switch(choice, operations, *arguments)

        @chosen.def_vmap
        def batched(axis_size: int, in_batched: Any, choice: Array, *arguments: Any) -> Any:
            def everywhere(argument: Array, is_batched: bool) -> Array:
                return argument if is_batched else jnp.broadcast_to(argument, (axis_size, *jnp.shape(argument)))

            choices, *batch = jax.tree.map(everywhere, [choice, *arguments], list(in_batched))
            room = (axis_size,) * len(operations) if capacities is None else capacities[decision]
            results = _dispatched(operations, room, choices, batch)
            return results, jax.tree.map(lambda _: True, results)

        return chosen

    return Form("dispatch", choose)


def _pull_back(operation: Callable[..., Any], gradients: Any, *arguments: Any) -> Any:
    """Returns the gradients of an operation's arguments from those of its result."""
    return jax.vjp(operation, *arguments)[1](gradients)


def _dispatched(
    operations: Sequence[Callable[..., Any]], room: tuple[int, ...], choices: Array, arguments: list[Any]
) -> Any:
    """Does each operation for its own rows of a batch and puts the results back in the rows' order."""
    is_mine = choices[:, None] == jnp.arange(len(operations))[None, :]
    rank = jnp.sum(jnp.where(is_mine, jnp.cumsum(is_mine, 0) - 1, 0), 1)
    first = np.concatenate([[0], np.cumsum(room)]).astype(np.int32)
    slot = jnp.asarray(first)[choices] + rank
    fits = jnp.all(rank < jnp.asarray(room, jnp.int32)[choices])
    row_of_slot = (
        jnp.zeros(int(first[-1]), jnp.int32).at[slot].set(jnp.arange(len(choices), dtype=jnp.int32), mode="drop")
    )
    results = []
    for operation, begin, end in zip(operations, first[:-1], first[1:], strict=True):
        if end > begin:
            rows = row_of_slot[begin:end]
            results.append(jax.vmap(operation)(*jax.tree.map(lambda x, rows=rows: x[rows], arguments)))

    def in_order(*parts: Array) -> Array:
        return jnp.where(fits, jnp.concatenate(parts)[slot], jnp.nan)

    return jax.tree.map(in_order, *results)


def capacities_of(archs: np.ndarray, num_choices: Sequence[int], batch_size: int) -> Capacities:
    """Returns the smallest capacities that every batch of consecutive rows fits.

    Args:
      archs: int `[N, E]`.
      num_choices: Of each of the `E` decisions.
      batch_size: Rows of a batch; the last one may be shorter.
    """
    starts = range(0, len(archs), batch_size)
    return tuple(
        tuple(
            max(int(np.sum(archs[start : start + batch_size, decision] == choice)) for start in starts)
            for choice in range(choices)
        )
        for decision, choices in enumerate(num_choices)
    )
