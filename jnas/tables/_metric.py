"""What says how good an architecture is in a table: percent of accuracy, or another metric with its direction."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from jnas.core._vocabulary import Task
from jnas.io._fields import describe_fields


@describe_fields
class TableMetric(NamedTuple):
    """What the members `accuracy/...` of a table hold, which keep that name whatever the metric.

    Attributes:
      name: What pages call it.
      unit: Empty for none.
      higher_is_better: Its direction.

    Example:
      >>> perplexity = TableMetric("perplexity", "", higher_is_better=False)
      >>> perplexity.text(61.2), perplexity.axis, ACCURACY.text(93.25), ACCURACY.axis
      ('61.20', 'perplexity', '93.25 %', 'accuracy (%)')
    """

    name: str = "accuracy"
    unit: str = "percent"
    higher_is_better: bool = True

    @property
    def sign(self) -> float:
        """1, or -1 where lower is better: what makes a score of a value, and a value of a score."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def is_percent(self) -> bool:
        """Whether values are from 0 to 100."""
        return self.unit == "percent"

    @property
    def plural(self) -> str:
        """The name of several values."""
        if self.name.endswith(("s", "x", "z", "ch", "sh")):
            return f"{self.name}es"
        return f"{self.name[:-1]}ies" if self.name.endswith("y") else f"{self.name}s"

    @property
    def first_upper(self) -> str:
        """The name at the beginning of a sentence."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def mark(self) -> str:
        """What stands behind a value: `' %'`, a unit, or nothing."""
        return " %" if self.is_percent else self.unit and f" {self.unit}"

    @property
    def column(self) -> str:
        """What heads a column of a file: `'accuracy_percent'`, `'perplexity'`."""
        return "_".join([self.name, *self.unit.split()])

    @property
    def axis(self) -> str:
        """What stands along an axis."""
        return f"{self.name} ({self.mark.strip()})" if self.unit else self.name

    @property
    def points(self) -> str:
        """What differences of values are in."""
        return "percentage points" if self.is_percent else self.unit or f"points of {self.name}"

    @property
    def words(self) -> str:
        """Name, unit and, where it is not the usual one, direction."""
        how = "" if self.higher_is_better else " (lower is better)"
        return f"{self.name}{self.unit and f' in {self.unit}'}{how}"

    @property
    def checked_as(self) -> str:
        """The kind of numbers that values are checked as: of accuracies a range is known, of other metrics none."""
        return "accuracy" if self.is_percent else "metric"

    def text(self, value: float) -> str:
        """Returns a value with its unit, or a dash where it is not known."""
        return "–" if math.isnan(value) else f"{value:.2f}{self.mark}"

    def best(self, values: Any) -> Any:
        """Returns the best of NumPy values, those left out that are not finite; NaN where there is none."""
        known = [value for value in values if math.isfinite(value)]
        return (max if self.higher_is_better else min)(known, default=math.nan)


ACCURACY = TableMetric()
"""That of tables which say nothing else."""


def metric_of_task(task: Task) -> TableMetric:
    """Returns the metric by which a task is judged, which the tables of its trainings hold."""
    return TableMetric(task.metric_name, task.unit, task.higher_is_better)


def metric_words(metric: TableMetric) -> dict[str, Any]:
    """Returns what configurations and headers say of a metric: nothing of accuracy, so that they stay as they were."""
    return {} if metric == ACCURACY else {"metric": list(metric)}


def metric_of(words: Mapping[str, Any]) -> TableMetric:
    """Returns the metric of which a configuration or a header says something; `ACCURACY` where it says nothing.

    Raises:
      ValueError: What it says is no metric.
    """
    said = words.get("metric")
    if said is None:
        return ACCURACY
    known = isinstance(said, list | tuple) and [type(each) for each in said] == [str, str, bool]
    if not known or not (said[0] + said[1]).isprintable() or not said[0].strip():
        raise ValueError(f"metric is {said!r}, expected a name, a unit (empty for none) and whether higher is better")
    return TableMetric(*said)
