"""Work on many members (candidates, seeds) divided among the devices of this process."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

_only = threading.local()  # the device that a thread keeps to, if it does


@contextlib.contextmanager
def only_on(device: jax.Device) -> Iterator[None]:
    """Has this thread compute on one device alone while the block runs: its members are divided among no others."""
    before = getattr(_only, "device", None)
    _only.device = device
    try:
        with jax.default_device(device):
            yield
    finally:
        _only.device = before


def local_mesh() -> Mesh:
    """Returns all devices of this process, or the one of `only_on`, along one axis, over which members are divided."""
    device = getattr(_only, "device", None)
    return _mesh_of(tuple(jax.local_devices()) if device is None else (device,))


@functools.cache
def _mesh_of(devices: tuple[jax.Device, ...]) -> Mesh:
    return jax.make_mesh((len(devices),), ("candidates",), axis_types=(AxisType.Auto,), devices=devices)


def divided(function: Callable[..., Any], num_shared: int) -> Callable[..., Any]:
    """Returns a compiled function whose members are divided among the local devices.

    Args:
      function: Of `num_shared` arguments that all members share and others that have a leading axis of members,
        a multiple of the number of local devices; so do its results.
      num_shared: How many of the first arguments are shared.
    """
    mesh = local_mesh()

    def specs(*arguments: Any) -> tuple[Any, ...]:
        return (_spec(),) * num_shared + (_spec("candidates"),) * (len(arguments) - num_shared)

    def run(*arguments: Any) -> Any:
        body = jax.shard_map(
            function, mesh=mesh, in_specs=specs(*arguments), out_specs=_spec("candidates"), check_vma=False
        )
        return body(*arguments)

    return jax.jit(run)


def divided_for(function: Callable[..., Any], num_shared: int, count: int) -> Any:
    """Returns the same for `count` members, whatever number of devices there are.

    Where they cannot be divided evenly, devices that would have one too few compute the last member again, which is
    thrown away.
    """
    missing = -count % local_mesh().devices.size
    if not missing:
        return divided(function, num_shared)
    whole = divided(function, num_shared)

    def filled(leaf: Any) -> Any:
        return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], missing, axis=0)])

    def run(*arguments: Any) -> Any:
        members = jax.tree.map(filled, arguments[num_shared:])
        return jax.tree.map(lambda leaf: leaf[:count], whole(*arguments[:num_shared], *members))

    return jax.jit(run, out_shardings=NamedSharding(local_mesh(), _spec()))


def _spec(*axes: str) -> PartitionSpec:
    spec: PartitionSpec = PartitionSpec(*axes)  # type: ignore[no-untyped-call]
    return spec


def place_shared(tree: Any) -> Any:
    """Returns arrays copied to every local device, once and not at each call."""
    return jax.device_put(tree, NamedSharding(local_mesh(), _spec()))
