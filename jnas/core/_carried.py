"""What a search carries from step to step, known from the start to differ between the lanes of a batch.

`vmap` finds out which numbers of a loop's carry differ between lanes by tracing the loop's body over and over: each
time it learns of those that depend on what differed the time before. Where those that will differ do so from the
start, it traces the body once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jnas.core._lanes import LANES_AS_ONE
from jnas.core._vocabulary import Array, Key


def apart(step: Callable[[Any], tuple[Any, Any]], carry: Any, key: Key) -> Any:
    """Returns a carry as it is; under `vmap`, with all that will differ between lanes given to each lane by itself.

    Args:
      step: From a carry to the next, and anything else.
      carry: Before the first step.
      key: Of the run; lanes differ where it does.
    """
    leaves, tree = jax.tree.flatten(carry)
    closed = jax.make_jaxpr(step)(carry)
    fixed = [_is_key(constant) for constant in closed.consts]
    differs = [_is_key(leaf) for leaf in leaves]
    while True:
        later = _outputs(closed.jaxpr, fixed + differs)[: len(leaves)]
        if all(before or not after for before, after in zip(differs, later, strict=True)):
            break
        differs = [before or after for before, after in zip(differs, later, strict=True)]
    places = [
        place for place, (leaf, differ) in enumerate(zip(leaves, differs, strict=True)) if differ and not _is_key(leaf)
    ]
    if not places:
        return carry
    of_lane = jax.random.clone(key)  # type: ignore[no-untyped-call]  # a key that is looked at is not used up
    for place, value in zip(places, _given([leaves[place] for place in places], of_lane), strict=True):
        leaves[place] = value
    return jax.tree.unflatten(tree, leaves)


def _is_key(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jax.dtypes.prng_key))


def _outputs(jaxpr: Any, differs: Sequence[bool]) -> list[bool]:
    """Returns which outputs of a jaxpr may differ between lanes, where its constants and inputs do so or not."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], differs, strict=True))

    def look(atom: Any) -> bool:
        return not hasattr(atom, "val") and known.get(atom, False)  # a literal is the same for all

    for equation in jaxpr.eqns:
        inputs = [look(atom) for atom in equation.invars]
        inner = equation.params.get("jaxpr") if equation.primitive.name in ("jit", "pjit") else None
        if getattr(equation.params.get("rule"), "__wrapped__", None) in LANES_AS_ONE:
            outputs = [False] * len(equation.outvars)
        elif equation.primitive.name == "optimization_barrier":
            outputs = inputs
        elif inner is not None and any(inputs):
            outputs = _outputs(inner.jaxpr, [False] * len(inner.jaxpr.constvars) + inputs)
        else:
            outputs = [any(inputs)] * len(equation.outvars)
        known.update(zip(equation.outvars, outputs, strict=True))
    return [look(atom) for atom in jaxpr.outvars]


@custom_vmap
def _given(values: list[Array], key: Key) -> list[Array]:
    """Returns values; under `vmap`, those of each lane, where keys differ between lanes."""
    del key
    return values


@_given.def_vmap
def _(axis_size: int, in_batched: list[Any], values: list[Array], key: Key) -> tuple[list[Array], list[bool]]:
    each = [
        value if batched else jnp.broadcast_to(value, (axis_size, *value.shape))
        for value, batched in zip(values, in_batched[0], strict=True)
    ]
    return _given(each, key), [True] * len(each)
