"""The message ModelMetrics of NAS-Bench-101's files, read without the protocol buffers library.

| field | type | meaning |
| --- | --- | --- |
| 1, repeated | message | an evaluation: 1 epochs done, 2 training seconds, 3, 4, 5 accuracies (`ACCURACIES`) |
| 2 | int32 | trainable parameters |
| 3 | double | seconds of training and evaluations |

EC-NAS adds readings of energy: the fields named in `READINGS` and `TOTALS`. Other fields are passed over.

Messages are read many at once: one is parsed byte by byte, and all that have the same bytes but for the payloads of
its fields are then read as columns of a matrix.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

MOST_EVALUATIONS = 4
ACCURACIES = {3: "train", 4: "validation", 5: "test"}
"""The accuracies of an evaluation, by field."""

READINGS: Mapping[int, str] = {
    6: "energy_kwh",
    7: "co2_g",
    8: "intensity_g_per_kwh",
    11: "predicted_energy_kwh",
    12: "predicted_co2_g",
    13: "predicted_seconds",
    14: "predicted_intensity_g_per_kwh",
}
"""Further numbers of an evaluation, by field: what it took from the start of training, on average, or was predicted."""

TOTALS: Mapping[tuple[int, ...], str] = {
    (3,): "total_seconds",
    (4,): "total_energy_kwh",
    (5,): "total_co2_g",
    (8,): "total_intensity_g_per_kwh",
    (9, 1, 1, 1): "gpu_power_w",
    (9, 1, 2, 1): "gpu_energy_j",
    (9, 2, 1, 1): "cpu_power_w",
    (9, 2, 2, 1): "cpu_energy_j",
}
"""Numbers of a whole training with its evaluations, by the path of fields that leads to them."""

_FIELDS = 15  # of an evaluation, from 0
_MESSAGES = {(1,), *(path[:n] for path in TOTALS for n in range(1, len(path)))}
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


class ModelMetrics(NamedTuple):
    """`B` messages."""

    num_evaluations: np.ndarray  # [B] int64
    evaluations: np.ndarray  # [B, 4, 15] float64, by number of the field; NaN where missing
    parameters: np.ndarray  # [B] int64, -1 where missing
    totals: np.ndarray  # [B, len(TOTALS)] float64, NaN where missing


class _Payload(NamedTuple):
    """Where a message has a field's payload."""

    path: tuple[int, ...]
    evaluation: int  # the number of the evaluation that it stands in, or -1
    wire: int
    start: int
    stop: int


def parse_metrics(messages: Sequence[bytes]) -> ModelMetrics:
    """Returns what `B` messages say.

    Raises:
      MalformedMessage: One of them is no such message; it has the number of the first one.
    """
    found = ModelMetrics(
        np.zeros(len(messages), np.int64),
        np.full((len(messages), MOST_EVALUATIONS, _FIELDS), np.nan),
        np.full(len(messages), -1, np.int64),
        np.full((len(messages), len(TOTALS)), np.nan),
    )
    by_length: dict[int, list[int]] = {}
    for i, message in enumerate(messages):
        by_length.setdefault(len(message), []).append(i)
    failed = []
    for length, same in by_length.items():
        rows = np.asarray(same)
        matrix = np.frombuffer(b"".join([messages[i] for i in same]), np.uint8).reshape(len(same), length)
        while len(rows):
            try:
                layout, evaluations = _layout(messages[rows[0]])
            except ValueError as error:
                failed.append(MalformedMessage(int(rows[0]), str(error)))
                break
            fixed = _fixed_bits(layout, length)
            alike = ((matrix & fixed) == (matrix[0] & fixed)).all(axis=1)
            _take(found, rows[alike], matrix[alike], layout, evaluations)
            rows, matrix = rows[~alike], matrix[~alike]
    if failed:
        raise min(failed, key=lambda error: error.index)
    return found


class MalformedMessage(ValueError):
    """A message that is none, with its number among those that were given."""

    def __init__(self, index: int, reason: str):
        """Says which one and why."""
        super().__init__(reason)
        self.index = index


def _layout(message: bytes) -> tuple[list[_Payload], int]:
    """Returns where a message has what, and its number of evaluations; ValueError where it is malformed."""
    evaluations = 0
    payloads: list[_Payload] = []

    def walk(start: int, stop: int, path: tuple[int, ...], evaluation: int) -> None:
        nonlocal evaluations
        for field, wire, begin, end in _fields(message, start, stop):
            here = (*path, field)
            if wire == _BYTES and here in _MESSAGES:
                inside = evaluation
                if here == (1,):
                    inside, evaluations = evaluations, evaluations + 1
                walk(begin, end, here, inside)
            else:
                payloads.append(_Payload(here, evaluation, wire, begin, end))

    walk(0, len(message), (), -1)
    if evaluations > MOST_EVALUATIONS:
        raise ValueError(f"it has {evaluations} evaluations")
    return payloads, evaluations


def _fields(message: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields number, wire type and the payload's first and last byte (exclusive) of each field."""
    while start < stop:
        tag, start = _varint(message, start, stop)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _, end = _varint(message, start, stop)
        elif wire == _BYTES:
            size, start = _varint(message, start, stop)
            end = start + size
        elif wire in (_DOUBLE, _FLOAT):
            end = start + (8 if wire == _DOUBLE else 4)
        else:
            raise ValueError(f"it has a field of type {wire}")
        if end > stop or field == 0:
            raise ValueError("it ends within a field" if field else "it has a field with the number 0")
        yield field, wire, start, end
        start = end


def _varint(message: bytes, start: int, stop: int) -> tuple[int, int]:
    """Returns an integer of seven bits a byte, the lowest first, and the byte after it."""
    value = 0
    for i in range(start, min(stop, start + 10)):
        value |= (message[i] & 0x7F) << 7 * (i - start)
        if message[i] < 0x80:
            return value, i + 1
    raise ValueError("it ends within a number")


def _fixed_bits(layout: Sequence[_Payload], length: int) -> np.ndarray:
    """Returns the bits, uint8 `[L]`, that messages of one layout share: not those of payloads, but their lengths."""
    bits = np.full(length, 0xFF, np.uint8)
    for payload in layout:
        bits[payload.start : payload.stop] = 0x80 if payload.wire == _VARINT else 0
    return bits


def _take(
    found: ModelMetrics, rows: np.ndarray, matrix: np.ndarray, layout: Sequence[_Payload], evaluations: int
) -> None:
    """Writes what messages of one layout, uint8 `[R, L]`, say into `rows` of `found`."""
    found.num_evaluations[rows] = evaluations
    columns = {path: column for column, path in enumerate(TOTALS)}
    for path, evaluation, wire, start, stop in layout:
        payload = matrix[:, start:stop]
        if wire == _VARINT and path == (2,):
            shifts = np.arange(0, 7 * (stop - start), 7, dtype=np.uint64)
            values = ((payload & 0x7F).astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)
            found.parameters[rows] = np.minimum(values, 1 << 62).astype(np.int64)
        elif wire == _DOUBLE:
            numbers = np.ascontiguousarray(payload).view("<f8")[:, 0]
            if path[0] == 1 and len(path) == 2 and path[1] < _FIELDS:
                found.evaluations[rows, evaluation, path[1]] = numbers
            elif path in columns:
                found.totals[rows, columns[path]] = numbers
