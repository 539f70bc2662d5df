"""Tables from arrays in an `.npz`, with a mapping that says which array is what (`_array_mapping`)."""

import contextlib
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._members import DAMAGE, read_member, reason
from jnas.io._text import did_you_mean, short
from jnas.spaces._rows import encode_texts, many_are_one
from jnas.tables._file import LARGEST_HALF, Header, arch_dtype, check_archs, check_arrays, encode_curve
from jnas.tables._look_ups import check_distinct
from jnas.tables._numbers import check_numbers
from jnas.tables.readers._array_mapping import DEFAULTS, check_mapping, default_mapping
from jnas.tables.readers._upper_triangles import unpack_cells


def arrays_table(
    path: str | os.PathLike[str],
    space: Space,
    mapping: Mapping[str, Any] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of arrays in an `.npz`.

    Args:
      path: The `.npz`.
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
        if space.name not in DEFAULTS:
            raise ValueError(f"the space {space.name!r} has no default mapping; pass one that names your arrays")
        mapping = default_mapping(space.name)
    parsed = check_mapping(mapping)
    with _open_sources(path) as sources:
        archs = _architectures(sources, parsed.architectures, space)
        arrays = {"archs": archs}
        for done, (member, entry) in enumerate(parsed.members.items(), start=1):
            arrays.update(_members(sources, member, entry, len(archs)))
            if progress is not None:
                progress(done, len(parsed.members))
    header = Header(
        name=parsed.name,
        space=space.config,
        trainings=parsed.trainings,
        pairs=parsed.pairs,
        source=parsed.source or Path(path).name,
        notes=parsed.notes,
    )
    check_arrays(header, {n: (a.dtype, a.shape) for n, a in arrays.items()}, f"the table of {path} with this mapping")
    return header, arrays


@contextlib.contextmanager
def _open_sources(path: str | os.PathLike[str]) -> Iterator["_Sources"]:
    """Opens an `.npz` for the time of a block."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file at {path}")
    with open(path, "rb") as file:
        try:
            arrays = np.load(file, allow_pickle=False)
        except DAMAGE as error:
            raise ValueError(f"{path} is no .npz of arrays, or it is cut off ({reason(error)})") from error
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError(f"{path} is a single array, expected an .npz with named ones; write it with numpy.savez")
        assert arrays.zip is not None
        yield _Sources(path, arrays.zip)


_WHOLE = {"parameter_count": np.uint32, "trained_as": np.uint32, "measured": np.uint8}
_BY_SEED = ("train_seconds", "eval_seconds", "seconds_at", "accuracy", "accuracy_at", "reading", "reading_at")


class _Sources:
    """The arrays of an open `.npz`, read when asked for."""

    def __init__(self, path: str | os.PathLike[str], archive: zipfile.ZipFile):
        self.path = path
        self._archive = archive
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        self._cache: dict[str, np.ndarray] = {}

    def read(self, name: str, reader: str) -> np.ndarray:
        """Returns an array; ValueError says which entry of the mapping wanted it."""
        if name not in self._members:
            held = ", ".join(sorted(self._members)) or "no arrays"
            offer = did_you_mean(name, self._members) or ";"
            raise ValueError(f"{reader} takes {name!r}, which {self.path} does not have{offer} it has {held}")
        if name not in self._cache:
            try:
                self._cache[name] = read_member(self._archive, self._members[name])
            except DAMAGE as error:
                raise ValueError(f"the array {name!r} of {self.path} cannot be read ({reason(error)})") from error
        return self._cache[name]

    def texts(self, name: str, reader: str) -> list[str]:
        """Returns an array of texts `[N]`."""
        array = self.read(name, reader)
        if array.ndim != 1 or array.dtype.kind not in "SU":
            raise ValueError(f"{reader} takes {name!r}, which is {array.dtype}{list(array.shape)}, expected texts [N]")
        try:
            return [t.decode("utf-8") if isinstance(t, bytes) else str(t) for t in array]
        except UnicodeDecodeError as error:
            raise ValueError(f"{reader} takes {name!r}, whose texts are not UTF-8") from error


def _architectures(sources: _Sources, entry: Mapping[str, Any], space: Space) -> np.ndarray:
    """Returns the encoded architectures `[N, E]`, checked."""
    where = f"'architectures' of {sources.path}"
    if "upper_triangles" in entry:
        if space.name != "nasbench101":
            raise ValueError(f"the mapping has 'upper_triangles', cells of nasbench101, for the space {space.name!r}")
        packed = [sources.read(name, "'architectures' of the mapping") for name in entry["upper_triangles"].values()]
        names = [str(name) for name in entry["upper_triangles"]]
        archs = unpack_cells(**dict(zip(names, packed, strict=True)), where=where)
    else:
        (name,) = entry.values()
        archs = sources.read(name, "'architectures' of the mapping")
        if "strings" in entry or (archs.ndim == 1 and archs.dtype.kind in "SU"):
            archs = encode_texts(space, sources.texts(name, "'architectures' of the mapping"))
        if archs.dtype.kind not in "iu":
            raise ValueError(
                f"{where} are {archs.dtype}{list(archs.shape)}, expected integers [N, E] in the encoding of "
                f"{space.name!r}, or architecture strings [N]"
            )
    check_archs(space, archs, where)
    if many_are_one(space):
        check_distinct(space, archs, where)
    return archs.astype(arch_dtype(space))


def _members(sources: _Sources, member: str, entry: Mapping[str, Any], rows: int) -> dict[str, np.ndarray]:
    """Returns the arrays of one entry: one, or one for each name."""
    reader = f"member {member!r} of the mapping"
    if member == "published_hash":
        return {member: _hashes(sources.texts(entry["array"], reader), reader)}
    values = sources.read(entry["array"], reader)
    if values.dtype.kind not in "fiub" or values.ndim < 1:
        raise ValueError(f"{reader} takes {entry['array']!r}, which is {values.dtype}, expected numbers")
    values = _at(values, entry.get("at"), reader, entry["array"])
    if values.shape[0] != rows:
        raise ValueError(
            f"{reader} takes {entry['array']!r}, whose first axis has {values.shape[0]} entries, not one for each of "
            f"the {rows} architectures"
        )
    if not member.endswith("/*"):
        if "otherwise" in entry:
            values = _otherwise(values, entry.get("missing", ()), sources.read(entry["otherwise"], reader), reader)
        return {member: _convert(values, member, entry.get("scale"), entry.get("missing", ()))}
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


def _otherwise(values: np.ndarray, missing: Any, others: np.ndarray, reader: str) -> np.ndarray:
    """Returns numbers in float64, with others where they are missing."""
    if others.shape != values.shape or others.dtype.kind not in "fiub":
        raise ValueError(
            f"{reader} takes an array of shape {list(values.shape)} and 'otherwise' {others.dtype}"
            f"{list(others.shape)}, expected numbers of the same shape"
        )
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


def _convert(values: np.ndarray, member: str, scale: float | None, missing: Any) -> np.ndarray:
    """Returns numbers in a member's unit and type, NaN where missing; a scale of None is one that nobody gave."""
    numbers = values.astype(np.float64)
    numbers = np.where(_is_missing(numbers, missing), np.nan, numbers) * (1.0 if scale is None else scale)
    kind = member.split("/")[0]
    check_numbers(kind, numbers, f"member {member!r} of the mapping", scaled=scale is not None)
    if kind == "trained_as" and (numbers >= len(numbers)).any():
        raise ValueError(
            f"member {member!r} of the mapping has {np.nanmax(numbers):g}, expected rows of the table, from 0"
        )
    if kind == "accuracy_curve":
        return encode_curve(numbers)
    if kind == "loss_curve":  # what is beyond its type's range is as bad as a loss can be
        return np.clip(numbers, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
    if kind in _BY_SEED and numbers.ndim == 1:
        numbers = numbers[:, None]
    if kind in _WHOLE:
        return np.nan_to_num(numbers, nan=0.0).astype(_WHOLE[kind])
    return numbers.astype(np.float32)
