"""What a study of predictors found, as numbers: means over seeds with intervals, and differences of encodings."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jnas.statistics._comparison import holm_correction, wilcoxon_test
from jnas.statistics._intervals import Floats
from jnas.studies._over_seeds import statistics_over_seeds
from jnas.studies.predictors._measures import MEASURES, NAMES
from jnas.studies.predictors._results import PredictorStudy


class Line(NamedTuple):
    """A predictor on an encoding, over the training sizes `N` and the measures `M`."""

    predictor: str
    encoding: str
    place: tuple[int, int]  # of the predictor among those of the study, and of the encoding among all encodings
    mean: Floats  # [N, M], over the seeds that gave a number
    std: Floats  # [N, M], of a sample (ddof 1); NaN for one seed
    low: Floats  # [N, M], 95 % bootstrap interval of the mean; NaN for fewer than `FEWEST` seeds
    high: Floats  # [N, M]
    found: NDArray[np.int64]  # [N, M], seeds that gave a number
    runs: int  # seeds

    @property
    def label(self) -> str:
        """Returns the line's name."""
        return f"{self.predictor} on {self.encoding}"


class Difference(NamedTuple):
    """How an encoding differs from a predictor's first, seed by seed on the same cells, at each training size."""

    predictor: str
    encoding: str
    first: str
    mean: Floats  # [N, M], this encoding less the first
    low: Floats  # [N, M], 95 % bootstrap interval of the mean
    high: Floats  # [N, M]


def lines(study: PredictorStudy) -> list[Line]:
    """Returns a line for each predictor and encoding that have finished, in the study's order."""
    found = []
    encodings = list(dict.fromkeys(e for chosen in study.config["predictors"].values() for e in chosen))
    for p, (name, chosen) in enumerate(study.config["predictors"].items()):
        for encoding in _finished(study, name, chosen):
            values = _values(study, name, encoding)
            place = (p, encodings.index(encoding))
            found.append(Line(name, encoding, place, *statistics_over_seeds(values), len(values)))
    return found


def differences(study: PredictorStudy) -> list[Difference]:
    """Returns how the encodings of each predictor that has several differ from its first."""
    found = []
    for name, (first, *others) in study.config["predictors"].items():
        for encoding in _finished(study, name, others) if _finished(study, name, [first]) else []:
            less = statistics_over_seeds(_values(study, name, encoding) - _values(study, name, first))
            found.append(Difference(name, encoding, first, less.mean, less.low, less.high))
    return found


def not_told_apart(study: PredictorStudy, found: Sequence[Line], n: int, m: int, best: int) -> list[tuple[str, float]]:
    """Returns the lines that the draws cannot tell from one, with p: Wilcoxon's test of pairs of draws, 5 %.

    Holm's correction is for all pairs of lines, as the one is picked for being the best.

    Args:
      study: The study.
      found: Its lines.
      n: Place of the training size.
      m: Place of the measure.
      best: Place of the line.
    """
    values = [_values(study, line.predictor, line.encoding)[:, n, m] for line in found]
    known = [k for k in range(len(found)) if np.isfinite(values[k]).any()]
    pairs = list(itertools.combinations(known, 2))
    p_values = [_paired_p(values[one], values[other]) for one, other in pairs]
    corrected = dict(zip(pairs, holm_correction(p_values), strict=True))
    others = [(k, float(corrected[min(k, best), max(k, best)])) for k in known if k != best]
    return [(found[k].label, p) for k, p in others if p >= 0.05]


def draws_needed(num_lines: int) -> int:
    """Returns from how many draws such a test of some lines can come below 5 % at all: when all agree in sign.

    Example:
      >>> draws_needed(2), draws_needed(6)
      (6, 10)
    """
    num_pairs = num_lines * (num_lines - 1) // 2
    return math.ceil(1 + math.log2(max(num_pairs, 1) / 0.05))


def _paired_p(one: Floats, other: Floats) -> float:
    """Returns the p-value of Wilcoxon's test over the draws that both have; 1 where there is none."""
    draws = min(len(one), len(other))  # one that is not compiled has the first of them
    both = np.isfinite(one[:draws]) & np.isfinite(other[:draws])
    return wilcoxon_test(one[:draws][both], other[:draws][both]).p_value if both.any() else 1.0


def _finished(study: PredictorStudy, name: str, encodings: Sequence[str]) -> list[str]:
    """Returns the encodings on which a predictor has been fitted to every number of cells."""
    return [e for e in encodings if all((name, e, size) in study.fits for size in study.config["train_sizes"])]


def measure_index(name: str) -> int:
    """Returns the place of a measure among `M`."""
    return NAMES.index(name)


def measure_title(study: PredictorStudy, name: str) -> str:
    """Returns what a measure is called in a study, whose precision is at a known k."""
    k = study.config["precision_at"]
    return f"precision at {k}" if name == "precision_at_k" else MEASURES[measure_index(name)].title


def _values(study: PredictorStudy, name: str, encoding: str) -> Floats:
    """Returns `[S, N, M]`."""
    return np.stack([study.fits[name, encoding, n].values for n in study.config["train_sizes"]], axis=1)
