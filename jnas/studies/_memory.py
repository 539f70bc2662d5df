"""How much memory the results of a study take: said before it starts, and refused where the machine has less."""

from jnas.core._program_memory import machine_bytes

_WORTH_A_WORD = 1e9


def check_memory(need: float, num_seeds: int) -> None:
    """Raises ValueError where the results of all seeds, `need` bytes, are more than this machine's memory."""
    there = machine_bytes()
    if need > there:
        raise ValueError(
            f"num_seeds is {num_seeds:,}, whose results would take about {need / 1e9:,.0f} GB of memory, and this "
            f"machine has {there / 1e9:,.0f} GB; expected at most about {max(int(num_seeds * there / need), 1):,}"
        )


def memory_words(need: float) -> str:
    """Returns the end of a sentence that says how much memory results take; nothing where it is little."""
    return f"; its results take about {need / 1e9:,.0f} GB of memory" if need >= _WORTH_A_WORD else ""
