"""How many runs it takes to tell two searchers apart."""

import math

_NORMAL = {0.8: 0.8416212335729143, 0.9: 1.2815515655446004, 0.95: 1.6448536269514722}  # quantiles by power
_BOTH_SIDES = 1.959963984540054  # of a test at 5 %


def runs_needed(superiority: float, *, power: float = 0.8) -> float:
    """Returns how many runs of each of two searchers a Mann-Whitney test at 5 % (two-sided) needs to tell them apart.

    Args:
      superiority: Probability that a run of the one is better than a run of the other, equal ones counted half, as
        `mann_whitney_test` gives it.
      power: The probability with which the test is to find the difference: 0.8, 0.9 or 0.95.

    Returns:
      A whole number, at least 4: with fewer the test cannot come below 5 %. Infinity where `superiority` is 0.5.

    Raises:
      ValueError: An argument is out of range.

    References:
      Noether, "Sample Size Determination for Some Common Nonparametric Tests", 1987 (Journal of the American
      Statistical Association 82), equation 7 with equal groups. It takes the spread under equality, so that it is
      cautious where one is nearly always ahead.

    Example:
      >>> [jnas.statistics.runs_needed(share) for share in (0.9, 0.6, 0.5)]
      [9, 131, inf]
    """
    if not 0 <= superiority <= 1:
        raise ValueError(f"superiority is {superiority}, expected a probability in [0, 1]")
    if power not in _NORMAL:
        raise ValueError(f"power is {power}, expected one of {', '.join(map(str, _NORMAL))}")
    gap = abs(superiority - 0.5)
    if gap < 1e-9:
        return math.inf
    return max(4, math.ceil((_BOTH_SIDES + _NORMAL[power]) ** 2 / (6 * gap**2)))
