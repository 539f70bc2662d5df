"""How much memory a compiled program takes on each device, by its own analysis, and whether a device has as much."""

import os
from typing import Any

import jax

_WORTH_A_WORD = 1e8


def machine_bytes() -> float:
    """Returns how much memory this machine has; infinity where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return float("inf")


def device_bytes() -> float:
    """Returns how much memory there is for each local device: its own, or its share of the machine's."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return float(limit) if limit else machine_bytes() / jax.local_device_count()


def program_bytes(compiled: Any) -> float:
    """Returns how much memory a compiled program takes on each device, arguments and results included.

    Args:
      compiled: From `jax.jit(...).lower(...).compile()`.

    Returns:
      Bytes; 0 where the backend does not say.
    """
    analysis = compiled.memory_analysis()
    if analysis is None:
        return 0.0
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return float(held + analysis.temp_size_in_bytes)


def check_program_fits(compiled: Any) -> float:
    """Returns `program_bytes`.

    Raises:
      MemoryError: It is more than a device has; the command says what to lower.
    """
    need, there = program_bytes(compiled), device_bytes()
    if need > there:
        raise MemoryError(f"the program takes {bytes_text(need)} on each device, which has {bytes_text(there)}")
    return need


def program_memory_words(need: float) -> str:
    """Returns the sentence that says what a program takes, before it runs; nothing where it is little."""
    return f"memory: the program takes {bytes_text(need)} on each device" if need >= _WORTH_A_WORD else ""


def bytes_text(count: float) -> str:
    """Returns a number of bytes in words, with two digits that count.

    Example:
      >>> bytes_text(1.26e9), bytes_text(3.42e11), bytes_text(84_000)
      ('1.3 GB', '342 GB', '0.084 MB')
    """
    if count < 9.95e7:
        return f"{count / 1e6:.2g} MB"
    return f"{count / 1e9:,.0f} GB" if count >= 9.95e9 else f"{count / 1e9:.1f} GB"
