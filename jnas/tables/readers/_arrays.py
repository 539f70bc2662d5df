"""Tables from arrays in an `.npz`, or columns of a CSV file, with a mapping that says which is what.

How a mapping is written stands in `_array_mapping`.
"""

import contextlib
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._members import announced, damage_said, list_members, open_archive, read_member
from jnas.io._text import did_you_mean, short
from jnas.spaces._rows import encode_texts, many_are_one
from jnas.tables._file import (
    LARGEST_HALF,
    Header,
    arch_dtype,
    check_archs,
    check_archs_shape,
    check_arrays,
    encode_metric_curve,
)
from jnas.tables._look_ups import check_distinct
from jnas.tables._metric import ACCURACY, TableMetric
from jnas.tables._numbers import check_numbers
from jnas.tables.readers._array_mapping import DEFAULTS, CheckedMapping, check_mapping, default_mapping
from jnas.tables.readers._csv import as_columns, is_csv, written_cells
from jnas.tables.readers._upper_triangles import unpack_cells


def arrays_table(
    path: str | os.PathLike[str],
    space: Space,
    mapping: Mapping[str, Any] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of arrays in an `.npz`, or of the columns of a CSV file (`csv_columns`).

    Args:
      path: The file.
      space: What its architectures are of.
      mapping: Which array is what, as `_array_mapping` describes; by default that of the published numbers, for
        `nasbench101` and `nasbench201`.
      progress: Called after each member with how many are done and how many there are.

    Returns:
      Header and members of a table, as `save_arrays` takes them.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file or the mapping is malformed, or they do not fit one another or the space.
    """
    if mapping is None:
        if Path(path).is_file() and is_csv(path):
            raise ValueError(
                f"{path} is a CSV file: use `jnas table import csv`, or pass a mapping that names its columns"
            )
        if space.name not in DEFAULTS:
            raise ValueError(f"the space {space.name!r} has no default mapping; pass one that names your arrays")
        mapping = default_mapping(space.name)
    parsed = check_mapping(mapping)
    with _open_sources(path) as sources:
        archs = _architectures(sources, parsed.architectures, space)
        arrays = {"archs": archs}
        here, header = f"the table of {path} with this mapping", _header(path, space, parsed)
        announced = [_announced(sources, *entry, len(archs)) for entry in parsed.members.items()]
        check_arrays(header, {"archs": (archs.dtype, archs.shape), **dict(announced)}, here)  # before they are read
        for done, (member, entry) in enumerate(parsed.members.items(), start=1):
            arrays.update(_members(sources, member, entry, len(archs), parsed.metric))
            if progress is not None:
                progress(done, len(parsed.members))
    check_arrays(header, {n: (a.dtype, a.shape) for n, a in arrays.items()}, here)
    return header, arrays


def _header(path: str | os.PathLike[str], space: Space, mapping: CheckedMapping) -> Header:
    return Header(
        name=mapping.name,
        space=space.config,
        trainings=mapping.trainings,
        pairs=mapping.pairs,
        source=mapping.source or Path(path).name,
        notes=mapping.notes,
        metric=mapping.metric,
    )


@contextlib.contextmanager
def _open_sources(path: str | os.PathLike[str]) -> Iterator["_Sources"]:
    """Opens an `.npz`, or reads a CSV file, for the time of a block."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    if is_csv(path):
        with _naming_file(path):
            yield _Columns(path, written_cells(path))
        return
    with open(path, "rb") as file:
        start = file.read(10)
        if len(start) == 10 and start.startswith(b"\x93NUMPY"):
            raise ValueError(f"{path} is a single array, expected an .npz with named ones; write it with numpy.savez")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is no .npz of arrays, or it is cut off; for a CSV file use `jnas table import csv`, columns of "
            "another text write as named arrays with numpy.savez"
        )
    with contextlib.ExitStack() as stack:
        with damage_said(lambda why: f"{path} is no .npz of arrays, or it is cut off or damaged ({why})"):
            sources = _Sources(path, stack.enter_context(open_archive(path)))
        with _naming_file(path):
            yield sources


@contextlib.contextmanager
def _naming_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Says of which file it is where something is wrong with what a mapping takes: its entries know no file."""
    try:
        yield
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


_WHOLE = {"parameter_count": np.uint32, "trained_as": np.uint32, "measured": np.uint8}
_BY_SEED = ("train_seconds", "eval_seconds", "seconds_at", "accuracy", "accuracy_at", "reading", "reading_at")


class _Sources:
    """The arrays of an open `.npz`, read when asked for."""

    def __init__(self, path: str | os.PathLike[str], archive: zipfile.ZipFile):
        self.path = path
        self._archive = archive
        self._members = list_members(archive)
        self._cache: dict[str, np.ndarray] = {}

    def announced(self, name: str, reader: str) -> np.ndarray:
        """Returns an array's type and shape, as an array without data, for checks before it is read; as `read`."""
        return self._cache[name] if name in self._cache else self._look(announced, name, reader)

    def read(self, name: str, reader: str) -> np.ndarray:
        """Returns an array; ValueError says which entry of the mapping wanted it."""
        if name not in self._cache:
            self._cache[name] = self._look(read_member, name, reader)
        return self._cache[name]

    def _look(
        self, how: Callable[[zipfile.ZipFile, zipfile.ZipInfo], np.ndarray], name: str, reader: str
    ) -> np.ndarray:
        if name not in self._members:
            held = short(", ".join(sorted(self._members)), 1000) or "no arrays"
            offer = did_you_mean(name, self._members) or ";"
            raise ValueError(f"{reader} takes {name!r}, which {self.path} does not have{offer} it has {held}")
        with damage_said(lambda why: f"the array {name!r} of {self.path} cannot be read ({why})"):
            return how(self._archive, self._members[name])

    def are_texts(self, array: np.ndarray) -> bool:
        """Returns whether an array, of which only type and shape are looked at, is of texts `[N]`."""
        return array.ndim == 1 and array.dtype.kind in "SU"

    def texts(self, name: str, reader: str, count: int | None = None) -> list[str]:
        """Returns an array of texts `[N]`, where `N` may be known."""
        shape = self.announced(name, reader)
        if not self.are_texts(shape) or shape.shape[0] != (count or shape.shape[0]):
            axis = "N" if count is None else count
            raise ValueError(
                f"{reader} takes {name!r}, which is {shape.dtype}{list(shape.shape)}, expected texts [{axis}]"
            )
        array = self.read(name, reader)
        try:
            return [t.decode("utf-8") if isinstance(t, bytes) else str(t) for t in array]
        except UnicodeDecodeError as error:
            raise ValueError(f"{reader} takes {name!r}, whose texts are not UTF-8") from error


class _Columns(_Sources):
    """The columns of a CSV file, all of which are there."""

    def __init__(self, path: str | os.PathLike[str], cells: Mapping[str, list[str]]):
        columns = as_columns(cells, path)
        self.path = path
        self._members = dict.fromkeys(columns)  # type: ignore[assignment]  # nothing is read by them
        self._cache = dict(columns)
        self._cells = cells

    def are_texts(self, array: np.ndarray) -> bool:
        """Returns whether an array is a column: one of digits alone is of texts too, where texts are wanted."""
        return array.ndim == 1

    def texts(self, name: str, reader: str, count: int | None = None) -> list[str]:
        """Returns a column as it is written: `0012` is no 12."""
        super().texts(name, reader, count)
        return list(self._cells[name])


def _architectures(sources: _Sources, entry: Mapping[str, Any], space: Space) -> np.ndarray:
    """Returns the encoded architectures `[N, E]`, checked."""
    where = f"'architectures' of {sources.path}"
    if "upper_triangles" in entry:
        if space.name != "nasbench101":
            raise ValueError(f"the mapping has 'upper_triangles', cells of nasbench101, for the space {space.name!r}")
        _check_beside(sources, list(entry["upper_triangles"].values()), where)
        packed = [sources.read(name, "'architectures' of the mapping") for name in entry["upper_triangles"].values()]
        names = [str(name) for name in entry["upper_triangles"]]
        archs = unpack_cells(**dict(zip(names, packed, strict=True)), where=where)
    else:
        (name,) = entry.values()
        looked = sources.announced(name, "'architectures' of the mapping")
        if "strings" in entry or sources.are_texts(looked):
            archs = encode_texts(space, sources.texts(name, "'architectures' of the mapping"))
        elif looked.dtype.kind not in "iu":
            raise ValueError(
                f"{where} are {looked.dtype}{list(looked.shape)}, expected integers [N, E] in the encoding of "
                f"{space.name!r}, or architecture strings [N]"
            )
        else:
            check_archs_shape(space, looked.shape, where)  # before they are read
            archs = sources.read(name, "'architectures' of the mapping")
    check_archs(space, archs, where)
    if many_are_one(space):
        check_distinct(space, archs, where)
    return archs.astype(arch_dtype(space))


def _members(
    sources: _Sources, member: str, entry: Mapping[str, Any], rows: int, metric: TableMetric
) -> dict[str, np.ndarray]:
    """Returns the arrays of one entry: one, or one for each name."""
    reader = f"member {member!r} of the mapping"
    if member == "published_hash":
        return {member: _hashes(sources.texts(entry["array"], reader, rows), reader)}
    values = _rows_of(sources.read(entry["array"], reader), entry, reader, rows)
    if not member.endswith("/*"):
        if "otherwise" in entry:
            values = _otherwise(values, entry.get("missing", ()), sources.read(entry["otherwise"], reader), reader)
        return {member: _convert(values, member, entry.get("scale"), entry.get("missing", ()), metric)}
    names = entry["names"] if isinstance(entry["names"], list) else sources.texts(entry["names"], reader)
    if values.ndim != 2 or values.shape[1] != len(names) or len(set(names)) != len(names):
        raise ValueError(
            f"{reader} takes {entry['array']!r} of shape {list(values.shape)}, expected a column for each of its "
            f"{len(names)} different names"
        )
    missing = entry.get("missing", ())
    if isinstance(missing, Mapping) and set(missing) - set(names):
        unknown = sorted(set(missing) - set(names))
        raise ValueError(f"{reader} says what is missing in {unknown}, expected names among {names}")
    return {
        f"{member[:-1]}{name}": _convert(
            values[:, i],
            f"{member[:-1]}{name}",
            entry.get("scale"),
            missing.get(name, ()) if isinstance(missing, Mapping) else missing,
        )
        for i, name in enumerate(names)
    }


def _check_beside(sources: _Sources, names: list[str], where: str) -> None:
    """Raises ValueError where arrays that stand beside one another have not as many rows."""
    shapes = {name: sources.announced(name, "'architectures' of the mapping").shape for name in names}
    if len({shape[:1] for shape in shapes.values()}) > 1:
        told = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"{where} have the shapes {told}, expected one row for each cell")


def _announced(
    sources: _Sources, member: str, entry: Mapping[str, Any], rows: int
) -> tuple[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Returns the name, type and shape of what an entry makes, from what its arrays announce; of `KIND/*`, of one."""
    reader, kind = f"member {member!r} of the mapping", np.dtype(np.float32)
    if member == "published_hash":
        return member, (kind, (rows, 16))
    values = _rows_of(sources.announced(entry["array"], reader), entry, reader, rows)
    if "otherwise" in entry:
        _check_otherwise(values, sources.announced(entry["otherwise"], reader), reader)
    shape = (rows,) if member.endswith("/*") else values.shape
    by_seed = member.split("/")[0] in _BY_SEED and len(shape) == 1
    return member, (kind, (*shape, 1) if by_seed else shape)


def _rows_of(values: np.ndarray, entry: Mapping[str, Any], reader: str, rows: int) -> np.ndarray:
    """Returns what an entry takes of an array, a row for each architecture."""
    if values.dtype.kind not in "fiub" or values.ndim < 1:
        raise ValueError(f"{reader} takes {entry['array']!r}, which is {values.dtype}, expected numbers")
    values = _at(values, entry.get("at"), reader, entry["array"])
    if values.shape[0] != rows:
        raise ValueError(
            f"{reader} takes {entry['array']!r}, whose first axis has {values.shape[0]} entries, not one for each of "
            f"the {rows} architectures"
        )
    return values


def _at(values: np.ndarray, at: list[int | None] | None, reader: str, name: str) -> np.ndarray:
    if at is None:
        return values
    fits = len(at) == values.ndim and at[0] is None
    if not fits or any(i is not None and not 0 <= i < n for i, n in zip(at, values.shape, strict=True)):
        raise ValueError(
            f"{reader} takes {name!r} at {at}, which does not fit its shape {list(values.shape)}: "
            "give null or an index for each axis, null for the first"
        )
    return values[tuple(slice(None) if i is None else i for i in at)]


def _check_otherwise(values: np.ndarray, others: np.ndarray, reader: str) -> None:
    if others.shape != values.shape or others.dtype.kind not in "fiub":
        raise ValueError(
            f"{reader} takes an array of shape {list(values.shape)} and 'otherwise' {others.dtype}"
            f"{list(others.shape)}, expected numbers of the same shape"
        )


def _otherwise(values: np.ndarray, missing: Any, others: np.ndarray, reader: str) -> np.ndarray:
    """Returns numbers in float64, with others where they are missing."""
    _check_otherwise(values, others, reader)
    return np.where(_is_missing(values.astype(np.float64), missing), others.astype(np.float64), values)


def _is_missing(numbers: np.ndarray, missing: Any) -> np.ndarray:
    found: np.ndarray = np.isnan(numbers) | np.isin(numbers, np.atleast_1d(np.asarray(missing, np.float64)))
    return found


def _hashes(texts: list[str], reader: str) -> np.ndarray:
    """Returns hashes of 32 hexadecimal digits as uint8 `[N, 16]`."""
    wrong = [text for text in texts if not re.fullmatch("[0-9a-f]{32}", text)]
    if wrong:
        raise ValueError(f"{reader} takes {short(repr(wrong[0]), 60)}, expected hashes of 32 hexadecimal digits")
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, 16)


def _convert(
    values: np.ndarray, member: str, scale: float | None, missing: Any, metric: TableMetric = ACCURACY
) -> np.ndarray:
    """Returns numbers in a member's unit and type, NaN where missing; a scale of None is one that nobody gave."""
    numbers = values.astype(np.float64)
    numbers = np.where(_is_missing(numbers, missing), np.nan, numbers) * (1.0 if scale is None else scale)
    kind = member.split("/")[0]
    checked = metric.checked_as if kind.startswith("accuracy") else kind
    check_numbers(checked, numbers, f"member {member!r} of the mapping", scaled=scale is not None)
    if kind == "trained_as" and (numbers >= len(numbers)).any():
        raise ValueError(
            f"member {member!r} of the mapping has {np.nanmax(numbers):g}, expected rows of the table, from 0"
        )
    if kind == "accuracy_curve":
        return encode_metric_curve(metric, numbers)
    if kind == "loss_curve":  # what is beyond its type's range is as bad as a loss can be
        return np.clip(numbers, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
    if kind in _BY_SEED and numbers.ndim == 1:
        numbers = numbers[:, None]
    if kind in _WHOLE:
        return np.nan_to_num(numbers, nan=0.0).astype(_WHOLE[kind])
    return numbers.astype(np.float32)
