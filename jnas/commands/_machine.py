"""What a command says where the machine is not up to its work: no such device, or too little memory."""

import sys
from typing import Any

from jnas.io._text import short


def machine_sentence(error: Exception, lighter: str | None) -> str | None:
    """Returns what is wrong with the machine where an error comes from that, and what to do; else None.

    Args:
      error: Which ended a command.
      lighter: The options of the command that make its work smaller, in words.
    """
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error)):
        remedy = f"lower {lighter}" if lighter else "end what else uses it, or take a machine that has more"
        return f"the memory is full{_because(error)}; {remedy}"
    jax: Any = sys.modules.get("jax")
    if jax is None or not isinstance(error, (AssertionError, RuntimeError)):
        return None
    try:
        jax.devices()
    except (AssertionError, RuntimeError) as failure:
        asked, why = jax.config.jax_platforms, _because(failure)
        if asked:
            return f"JAX_PLATFORMS is {asked}, and JAX can use no such device here{why}; unset it, or give cpu"
        return f"JAX can use no device here{why}; JAX_PLATFORMS=cpu computes without one"
    return None


def _because(error: Exception) -> str:
    """Returns the first line of an error in brackets; nothing where it has none."""
    line = str(error).strip().partition("\n")[0].removeprefix("RESOURCE_EXHAUSTED: ")
    return f" ({short(line)})" if line else ""
