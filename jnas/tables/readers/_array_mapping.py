"""What says which array of an `.npz` is what: mappings, as JSON gives them, and the check of their form.

A mapping is a JSON object; `nasbench101_arrays.json` and `nasbench201_arrays.json` in `assets/`, the defaults for these
spaces, are some to start from. Its entries:

| entry | value |
| --- | --- |
| `architectures` | `{"array": NAME}`: integers `[N, E]` in the space's encoding, or architecture strings `[N]` |
| `trainings` | a list of `{"dataset": TEXT, "epochs": INT, "seeds": [INT, ...]}`; no seeds where only means are known |
| `members` | an object: for each member of the table (see `jnas.tables._file`) where its numbers are |
| `name`, `source`, `notes` | optional: two texts and a list of texts, for who uses the table |
| `metric` | optional: what `accuracy...` holds, if not percent: name, unit, direction, as `["perplexity", "", false]` |
| `pairs` | optional: `{DATASET: {"validation": [DATASET, SPLIT], "test": [DATASET, SPLIT]}}` |

and those of a member:

| entry | value |
| --- | --- |
| `array` | the name of an array in the `.npz` whose first axis are the architectures |
| `at` | optional: for each axis of the array `null` to keep it or an index to take there, such as `[null, 2]` |
| `scale` | optional: a factor from the array's unit to the table's |
| `missing` | optional: a number, or a list of them, that stands for a missing value; NaN always does |
| `otherwise` | optional: the name of an array whose numbers stand where those of the first are missing |
| `names` | for a member `KIND/*`, one for each column of the array: a list of texts, or the name of an array of texts |

For the space `nasbench101`, `architectures` may also be `{"upper_triangles": {"vertices": NAME, "bits": NAME,
"operations": NAME}}`, packed as `_upper_triangles` says. `{"strings": NAME}` takes strings alone.

For `KIND/*`, `missing` may also be an object with such values for single names. Accuracies are in percent, curves too
(they are stored in 16 bits); a time `[N]` is taken as the same for all seeds, and an accuracy `[N]` as that of the only
seed. `published_hash` takes an array of texts. Where a member has no `scale` and its numbers look like another unit's
(accuracies that are all fractions, whole numbers of parameters), it is refused: a scale of 1 says that they are right.

The default mapping of `nasbench201` reads an `.npz` with these arrays, `N` = 15,625 cells, data sets in the order
CIFAR-10, CIFAR-100, ImageNet16-120: `ops [N, 6]`; `valid_accuracy_12`, `valid_accuracy_200`, `test_accuracy_12`,
`test_accuracy_200` `[N, 3]`, percent, means over seeds, where `valid` of CIFAR-10 is x-valid of the half-set training
(`cifar10-valid`) and `test` of CIFAR-10 the test set of the full one; `valid_accuracy_200_seeds [N, 3, seeds]`;
`cifar10valid_oritest_accuracy_200 [N]`; `train_seconds_per_epoch_cifar10 [N]`; `params_millions`, `flops_millions`
`[N]` of CIFAR-10's networks; `latency_ms [N, devices]` with `latency_devices`; `hardware_metrics_cifar10 [N, metrics]`
with `hardware_metrics_cifar10_names`.

That of `nasbench101` reads, `N` = 423,624 cells: `num_vertices`, `adjacency_bits` `[N]` and `ops [N, 5]`
(`_upper_triangles`); `hash [N]`; `test_accuracy_108_run0`, `valid_accuracy_4`, `_12`, `_36`, `_108` `[N]`, fractions;
`train_seconds_108 [N]`; `trainable_parameters`, `trainable_parameters_computed`, `flops` `[N]`.
"""

import importlib.resources
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from jnas.io._json_checks import check_keys, parse_pairs, read_object
from jnas.io._text import short
from jnas.tables._file import Training
from jnas.tables._metric import ACCURACY, TableMetric, metric_of
from jnas.tables._numbers import check_training

_TOP = ("architectures", "trainings", "members", "name", "source", "notes", "pairs", "metric")
_ENTRY = ("array", "at", "scale", "missing", "otherwise", "names")
_TRIANGLES = ("vertices", "bits", "operations")
DEFAULTS = ("nasbench101", "nasbench201")
"""The spaces that have a default mapping."""


class CheckedMapping(NamedTuple):
    """A mapping whose form has been checked."""

    architectures: Mapping[str, Any]
    trainings: tuple[Training, ...]
    members: Mapping[str, Mapping[str, Any]]
    pairs: Mapping[str, Mapping[str, tuple[str, str]]]
    name: str
    source: str
    notes: tuple[str, ...]
    metric: TableMetric = ACCURACY


def default_mapping(space: str = "nasbench201") -> dict[str, Any]:
    """Returns the mapping that is used for a space of `DEFAULTS`, as JSON gives it: something to start from."""
    text = importlib.resources.files("jnas").joinpath(f"assets/{space}_arrays.json").read_text("utf-8")
    mapping: dict[str, Any] = json.loads(text)
    return mapping


def read_mapping(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the mapping in a JSON file.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is not a JSON object.
    """
    return read_object(path, "mapping")


def check_mapping(raw: Mapping[str, Any]) -> CheckedMapping:
    """Returns a mapping whose form has been checked.

    Raises:
      ValueError: An entry is missing, unknown or of the wrong form; the message says which and what is expected.
    """
    check_keys(raw, _TOP, ("architectures", "trainings", "members"), "the mapping")
    architectures = raw["architectures"]
    _check_architectures(architectures)
    members = raw["members"]
    if not isinstance(members, Mapping):
        raise ValueError(f"'members' of the mapping is {type(members).__name__}, expected an object")
    for name, entry in members.items():
        _check_member(name, entry)
    texts = [raw.get("name", ""), raw.get("source", "")]
    notes = raw.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(text, str) for text in (*texts, *notes)):
        raise ValueError("'name', 'source' and 'notes' of the mapping are expected to be two texts and a list of texts")
    return CheckedMapping(
        architectures=architectures,
        trainings=_parse_trainings(raw["trainings"]),
        members=members,
        pairs=parse_pairs(raw.get("pairs", {}), "the mapping"),
        name=texts[0] or "table",
        source=texts[1],
        notes=tuple(notes),
        metric=_metric(raw),
    )


def _metric(raw: Mapping[str, Any]) -> TableMetric:
    try:
        return metric_of(raw)
    except ValueError as error:
        raise ValueError(f'the mapping: {error}, as ["perplexity", "", false]') from None


def _check_architectures(entry: Any) -> None:
    kind = next(iter(entry)) if isinstance(entry, Mapping) and len(entry) == 1 else None
    if kind == "upper_triangles":
        check_keys(entry[kind], _TRIANGLES, _TRIANGLES, "'upper_triangles' of the mapping")
        names = list(entry[kind].values())
    else:
        names = [entry[kind]] if kind in ("array", "strings") else [None]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"'architectures' of the mapping is {entry!r}, expected {{'array': NAME}} for integers or "
            "{'strings': NAME} for texts"
        )


def _check_member(name: str, entry: Any) -> None:
    what = f"member {name!r} of the mapping"
    check_keys(entry, _ENTRY, ("array",), what)
    if not isinstance(entry["array"], str):
        raise ValueError(f"'array' of {what} is {entry['array']!r}, expected the name of an array")
    if not isinstance(entry.get("otherwise", ""), str):
        raise ValueError(f"'otherwise' of {what} is {entry['otherwise']!r}, expected the name of an array")
    at = entry.get("at")
    if at is not None and not (isinstance(at, list) and at and all(i is None or type(i) is int for i in at)):
        raise ValueError(f"'at' of {what} is {at!r}, expected a list of indices and nulls, one for each axis")
    if not _is_number(entry.get("scale", 1.0)):
        raise ValueError(f"'scale' of {what} is {entry['scale']!r}, expected a number")
    missing = entry.get("missing", [])
    for values in missing.values() if isinstance(missing, Mapping) else [missing]:
        if not all(map(_is_number, values if isinstance(values, list) else [values])):
            raise ValueError(f"'missing' of {what} is {missing!r}, expected a number or a list of numbers")
    names = entry.get("names")
    if name.endswith("/*") != (names is not None) or (isinstance(missing, Mapping) and names is None):
        raise ValueError(f"{what} is expected to have 'names' if it ends in '/*', and only then")
    listed = isinstance(names, list) and all(isinstance(n, str) for n in names)
    if names is not None and not (isinstance(names, str) or listed):
        raise ValueError(f"'names' of {what} is {names!r}, expected the name of an array of texts, or a list of texts")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _parse_trainings(raw: Any) -> tuple[Training, ...]:
    if not isinstance(raw, list) or not raw:
        raise ValueError(f"'trainings' of the mapping is {raw!r}, expected a list of objects")
    found = []
    for i, item in enumerate(raw):
        check_keys(item, Training._fields, Training._fields, f"training {i} of the mapping")
        what = f"training {i} of the mapping is {short(repr(item), 200)}"
        found.append(check_training([item[k] for k in Training._fields], what))
    if len({t[:2] for t in found}) != len(found):
        raise ValueError("'trainings' of the mapping names a data set and number of epochs twice")
    return tuple(found)
