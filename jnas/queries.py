"""What a person asks a table: all that it holds of one architecture, the best one under limits, its statistics.

These give plain Python numbers. Inside `jit`, and for many architectures, use the look-ups of `Table`.
"""

from jnas.tables._queries import (
    Best,
    Costs,
    Info,
    SplitInfo,
    SplitStatistics,
    Statistics,
    best,
    costs,
    info,
    learning_curves,
    results,
    seeds_of,
    statistics,
)

__all__ = [
    "Best",
    "Costs",
    "Info",
    "SplitInfo",
    "SplitStatistics",
    "Statistics",
    "best",
    "costs",
    "info",
    "learning_curves",
    "results",
    "seeds_of",
    "statistics",
]
