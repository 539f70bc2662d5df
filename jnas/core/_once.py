"""Values that a compiled program computes once, though several of its parts read them."""

from typing import TypeVar

import jax

try:
    from jax.experimental.xla_metadata import set_xla_metadata
except ImportError:  # it is experimental; without it programs are slower, and right
    set_xla_metadata = None  # type: ignore[assignment]

Tree = TypeVar("Tree")


def once(tree: Tree) -> Tree:
    """Returns arrays as they are, which a program for CPUs computes here and keeps until they are read.

    XLA fuses what is cheap into each loop that reads it, element by element: a mutation that four loops read is made
    four times, and for every member of the population that may give place to it. Barriers are gone before fusion. A
    call that must not be inlined is a place that no fusion crosses. Other compilers fuse such loops into one.
    """
    if set_xla_metadata is None or jax.default_backend() != "cpu":
        return tree
    with set_xla_metadata(inlineable="false"):  # type: ignore[no-untyped-call]
        kept: Tree = _as_they_are(tree)
    return kept


@jax.jit
def _as_they_are(tree: Tree) -> Tree:
    # Without a barrier JAX sees that nothing is done.
    kept: Tree = jax.lax.optimization_barrier(tree)  # type: ignore[no-untyped-call]
    return kept
