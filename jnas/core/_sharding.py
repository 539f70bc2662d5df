"""Keys that are sharded on a mesh with explicit axes, and code that leaves shardings to the compiler."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.sharding import AxisType, PartitionSpec

from jnas.core._vocabulary import Array


def explicit_mesh(value: Array) -> Any:
    """Returns the mesh with explicit axes on which a value is sharded, at any level of `vmap`; None without one.

    It may be known from the mesh that is set (`jax.set_mesh`), from the value's own type, or, since under `vmap` the
    type of a lane says nothing of how lanes are sharded, only from the type of all lanes.
    """
    meshes = [jax.sharding.get_abstract_mesh(), jax.typeof(value).sharding.mesh]

    @custom_vmap
    def look(lane: Array) -> Array:
        return lane

    @look.def_vmap
    def _(axis_size: int, in_batched: list[bool], lanes: Array) -> tuple[Array, bool]:
        del axis_size
        meshes.append(jax.typeof(lanes).sharding.mesh)
        return look(lanes), in_batched[0]

    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.clone(value)  # type: ignore[no-untyped-call]  # a key that is looked at is not used up
    look(value)  # for what its rule sees while it is traced; nothing of it is left in the program
    return next((mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types), None)


def with_automatic_axes(function: Callable[..., Any], value: Array, *rest: Any) -> Any:
    """Returns `function(value, *rest)`, shardings inside being the compiler's choice where `value` has an explicit one.

    On a mesh with explicit axes (what `jax.make_mesh` makes) every operation must say how its result is sharded; code
    that works on lanes, however many devices these are divided among, has nothing to say. Lanes stay sharded as they
    are, and what one lane gives is whole on each device.
    """
    mesh = explicit_mesh(value)
    if mesh is None:
        return function(value, *rest)
    with jax.sharding.use_abstract_mesh(mesh):
        whole = PartitionSpec()  # type: ignore[no-untyped-call]
        freed = jax.sharding.auto_axes(function, axes=tuple(mesh.axis_names), out_sharding=whole)
        return freed(value, *rest)
