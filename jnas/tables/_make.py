"""A table of a user's own numbers."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Space
from jnas.spaces._rows import encode_texts
from jnas.tables._file import Header, arch_dtype, check_archs, member
from jnas.tables._load import table_from_arrays
from jnas.tables._metric import ACCURACY, TableMetric, metric_of
from jnas.tables._numbers import are_fractions, check_numbers, check_training, fractions_text
from jnas.tables._table import Table


def make_table(
    space: Space,
    *,
    accuracy: Mapping[str, Any],
    train_seconds: Any = None,
    archs: Any = None,
    dataset: str = "data",
    epochs: int = 1,
    seeds: Sequence[int] | None = None,
    name: str = "table",
    source: str = "",
    parameters: Any = None,
    flops: Any = None,
    latency: Any = None,
    device_latency: Mapping[str, Any] | None = None,
    metric: TableMetric = ACCURACY,
) -> Table:
    """Returns a table of your own numbers.

    Args:
      space: The search space.
      accuracy: By split (such as `'validation'` and `'test'`), percent `[N]` or `[N, S]`; NaN where missing.
      train_seconds: Seconds of one epoch of training, `[N]`, `[N, S]` or a number. By default there are no times: an
        epoch counts as one second in budgets, and reports say that the table does not know.
      archs: Encoded architectures `[N, E]`, or their strings; by default all of the space in the order of its index.
      dataset: What to call the data set.
      epochs: Epochs of each training.
      seeds: Names of the `S` runs; by default 0, 1, ...
      name: What to call the table.
      source: Where the numbers come from.
      parameters: Numbers of parameters in millions, `[N]`; NaN where missing.
      flops: Multiply-adds in millions, `[N]`.
      latency: Seconds a batch, `[N]`.
      device_latency: By device, milliseconds `[N]`.
      metric: What `accuracy` holds, if it is not accuracy in percent; such as
        `jnas.TableMetric("perplexity", "", higher_is_better=False)`.

    Warns:
      UserWarning: No accuracy is above 1, so that they look like fractions, not percent.

    Raises:
      ValueError: Shapes do not fit; an accuracy in percent is not from 0 to 100, another number is negative or
        infinite; numbers of parameters or multiply-adds are counts and not millions; or an architecture is not of the
        space.

    Example:
      >>> space = jnas.spaces.categorical((2, 3))
      >>> table = jnas.make_table(space, accuracy={"validation": [70, 72, 71, 74, 75, 73]}, train_seconds=30.0)
      >>> jnas.queries.best(table, dataset="data", split="validation", epochs=1)
      Best(arch_index=4, arch='1|1', value=75.0)
    """
    for what, names in (("accuracy", accuracy), ("device_latency", device_latency or {})):
        _check_names(what, names)
    encoded = _encoded(space, archs)
    rows = len(encoded)
    columns = {split: _two_axes(values, rows, f"accuracy[{split!r}]") for split, values in accuracy.items()}
    for split, values in columns.items():
        check_numbers(metric.checked_as, values, f"accuracy[{split!r}]", scaled=True)
    if metric.is_percent and columns and all(are_fractions(values) for values in columns.values()):
        warnings.warn(f"accuracy {fractions_text(np.concatenate(list(columns.values())))}", stacklevel=2)
    width = {c.shape[1] for c in columns.values()}
    if len(width) != 1:
        raise ValueError(
            f"accuracy has splits with {sorted(width)} runs, expected the same number in each, at least one"
        )
    slots = tuple(range(width.pop())) if seeds is None else tuple(int(s) for s in seeds)
    training = check_training(
        (dataset, _plain(epochs), slots), f"dataset is {dataset!r}, epochs {epochs!r} and seeds {slots}"
    )
    seconds = np.asarray(1.0 if train_seconds is None else train_seconds, np.float64)
    seconds = _two_axes(np.broadcast_to(seconds, (rows, *seconds.shape[1:])), rows, "train_seconds")
    check_numbers("train_seconds", seconds, "train_seconds")
    costs = {"parameters": parameters, "flops": flops, "latency": latency}
    numbers = {member("train_seconds", dataset, epochs): seconds}
    numbers |= {member("accuracy", dataset, epochs, split): values for split, values in columns.items()}
    numbers |= {member(k, dataset): _cost(k, v, rows, k) for k, v in costs.items() if v is not None}
    for device, values in (device_latency or {}).items():
        what = f"device_latency[{device!r}]"
        numbers[member("device_latency", device)] = _cost("device_latency", values, rows, what)
    arrays = {name: values.astype(np.float32) for name, values in numbers.items()}
    header = Header(name, space.config, (training,), {}, source, metric=metric_of({"metric": [*metric]}))
    return table_from_arrays(header, {"archs": encoded.astype(arch_dtype(space)), **arrays}, space=space)


def _encoded(space: Space, archs: Any) -> np.ndarray:
    """Returns the architectures as integers `[N, E]`, checked."""
    if archs is None:
        if space.from_index is None or space.size is None:
            raise ValueError(
                f"the space {space.name!r} has no index, so archs is needed: integers [N, E], or architecture strings"
            )
        archs = jax.vmap(space.from_index)(jnp.arange(space.size))
    encoded: np.ndarray = np.asarray(archs)
    if encoded.ndim == 1 and encoded.size and encoded.dtype.kind in "US":
        encoded = encode_texts(space, encoded)
    if encoded.ndim != 2 or encoded.dtype.kind not in "iu":
        raise ValueError(
            f"archs has shape {encoded.shape} and type {encoded.dtype}, expected integers [N, E], or N architecture "
            "strings"
        )
    check_archs(space, encoded, "the table")  # before the smaller type, in which a number that is too large may fit
    return encoded


def _check_names(what: str, names: Any) -> None:
    """Raises TypeError or ValueError unless an argument maps names that can be parts of a member's name."""
    if not isinstance(names, Mapping):
        raise TypeError(f"{what} is {type(names).__name__}, expected a mapping from names to numbers")
    for name in names:
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"{what} has the name {name!r}, expected texts without '/'")


def _cost(kind: str, values: Any, rows: int, what: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.shape != (rows,):
        raise ValueError(f"{what} has shape {array.shape}, expected [{rows}], a number for each architecture")
    check_numbers(kind, array, what)
    return array


def _plain(number: Any) -> Any:
    """A Python int, where a number is one of NumPy's."""
    return int(number) if isinstance(number, np.integer) else number


def _two_axes(values: Any, rows: int, name: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != rows:
        raise ValueError(f"{name} has shape {np.shape(values)}, expected [{rows}] or [{rows}, S]")
    return array
