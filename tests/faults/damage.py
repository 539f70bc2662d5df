"""Damages files of every format that jnas reads, reads them, and counts what comes of it.

    python -m tests.faults.damage                      # 1,500 damaged files: a few CPU-minutes
    python -m tests.faults.damage --files 200 --seed 1 --formats study,pth

Bits flip, files are cut off, blocks become zeros, entries of JSON and of pickles and members of archives are left out,
files take one another's places. What may come of it: the right values, or a sentence that names the file. Each other
outcome is a fault, printed with what brings it about; the exit status is then 1. `test_damage.py` runs a short form.
"""

import argparse
import bz2
import collections
import contextlib
import io
import json
import pickle
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jnas.tables._file import CURVE_MISSING
from tests.faults._formats import FORMATS, Format

SECONDS = 10.0
_LONG = 1500  # characters of a message, but for its paths
_GOOD = ("refused", "right", "fewer numbers", "noted", "no checksum")
"""Outcomes that are no faults: a sentence that names the file; the values that were written; the same without some that
the damage took away; others, where a note says that nothing vouches for them, or where the format has no checksum."""


class Outcome(NamedTuple):
    """What came of one damaged file."""

    format: str
    damage: str
    kind: str  # one of `_GOOD`, or a fault
    told: str
    seconds: float


def damage_all(root: Path, files: int, seed: int = 0, formats: tuple[str, ...] = tuple(FORMATS)) -> Iterator[Outcome]:
    """Yields what comes of damaged files, as many of each format.

    Args:
      root: An empty folder.
      files: How many, of all formats together.
      seed: Of the damage.
      formats: Which.
    """
    for place, name in enumerate(formats):
        rng, made = np.random.default_rng([seed, place]), FORMATS[name]
        folder, other = (root / f"{place}-{part}" for part in ("this", "other"))
        for number, path in enumerate((folder, other) if made.has_identity else (folder,)):
            path.mkdir()
            made.write(path, np.random.default_rng([place, number]))
        wanted = leaves(made.read(folder))
        count = files // len(formats) + (place < files % len(formats))
        for number in range(count):
            kind = list(_DAMAGES)[number % len(_DAMAGES)]
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            path = paths[rng.integers(len(paths))]
            content, told = _DAMAGES[kind](path, rng, made, folder, other)
            yield _outcome(name, f"{path.relative_to(folder)}: {kind}, {told}", made, path, content, wanted)


def _outcome(name: str, damage: str, made: Format, path: Path, content: bytes, wanted: dict[str, Any]) -> Outcome:
    whole, start = path.read_bytes(), time.perf_counter()
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = leaves(made.read(next(p for p in path.parents if p.name.endswith("-this"))))
        kind, told = _compared(found, wanted, made)
    except (ValueError, TypeError, OSError) as error:
        told = str(error)
        named = path.name in told or str(path.parent) in told
        kind = "refused" if named else "refused without the file's name"
        if len(told) > _LONG:
            kind = "refused in too many words"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        kind, told = "traceback", f"{type(error).__name__}: {error}"
    finally:
        path.write_bytes(whole)
    seconds = time.perf_counter() - start
    return Outcome(name, damage, f"over {SECONDS:.0f} s" if seconds > SECONDS else kind, told[:300], seconds)


def leaves(tree: Any) -> dict[str, Any]:
    """Returns what was read as values by their places."""
    return {jax.tree_util.keystr(place): leaf for place, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _compared(found: dict[str, Any], wanted: dict[str, Any], made: Format) -> tuple[str, str]:
    """Returns the outcome where something was read."""
    numbers = {name for name in (*found, *wanted) if ".notes[" not in name}  # notes tell about the numbers
    others = [n for n in found if n in numbers and (n not in wanted or not _same(found[n], wanted[n]))]
    notes = [text for text in found.values() if isinstance(text, str) and "vouches for the bytes" in text]
    if not others:
        lost = numbers - found.keys()
        return ("fewer numbers", str(lost)) if lost else ("right", "")
    if notes:
        return "noted", notes[0]
    if all(n in wanted and _lacks(found[n], wanted[n]) for n in others):
        return "fewer numbers", str(others)
    return ("SILENT" if made.has_checksum else "no checksum"), str(others)


def _same(one: Any, other: Any) -> bool:
    numbers = isinstance(one, np.ndarray) and one.dtype.kind == "f"
    return np.array_equal(one, other, equal_nan=numbers)


def _lacks(found: Any, wanted: Any) -> bool:
    """Returns whether numbers are those that are wanted, with some missing."""
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fu" or found.shape != np.shape(wanted):
        return False
    missing = np.isnan(found) if found.dtype.kind == "f" else found == CURVE_MISSING
    return bool((missing | (found == wanted)).all())


# Damage: from a file to its new content and a word about it.

_Damaged = tuple[bytes, str]


def _place(size: int, rng: np.random.Generator) -> int:
    """Returns a place: anywhere, or where the headers and the directories are."""
    begin, end = [(0, size), (0, min(size, 200)), (max(0, size - 600), size)][rng.integers(3)]
    return int(rng.integers(begin, end))


def _flip(path: Path, rng: np.random.Generator, *_: Any) -> _Damaged:
    content = bytearray(path.read_bytes())
    place, bit = _place(len(content), rng), int(rng.integers(8))
    content[place] ^= 1 << bit
    return bytes(content), f"bit {bit} of byte {place} of {len(content)}"


def _cut(path: Path, rng: np.random.Generator, *_: Any) -> _Damaged:
    content = path.read_bytes()
    size = _place(len(content), rng)
    return content[:size], f"after {size} of {len(content)} bytes"


def _zeros(path: Path, rng: np.random.Generator, *_: Any) -> _Damaged:
    content = path.read_bytes()
    place = int(rng.integers(len(content)))
    return content[:place] + bytes(len(content[place : place + 512])) + content[place + 512 :], f"from byte {place}"


def _leave_out(path: Path, rng: np.random.Generator, *_: Any) -> _Damaged:
    """Leaves out an entry of a JSON file, or of an archive's header, or a member, and writes the file properly."""
    if path.suffix == ".json":
        said = json.loads(path.read_text())
        name = _drop(said, rng)
        return json.dumps(said).encode(), name
    if path.suffix == ".pbz2" or not path.suffix:  # pickles that were written here: they can be trusted
        packed = path.suffix == ".pbz2"
        held = pickle.loads(bz2.decompress(path.read_bytes()) if packed else path.read_bytes())
        name = _drop(held, rng)
        return (bz2.compress if packed else bytes)(pickle.dumps(held, 4)), name
    if path.suffix != ".npz":
        return _flip(path, rng)
    with np.load(path) as held:
        arrays = dict(held)
    if "header" in arrays and rng.integers(2):
        said = json.loads(arrays["header"].tobytes())
        name = _drop(said, rng)
        arrays["header"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    else:
        name = list(arrays)[rng.integers(len(arrays))]
        del arrays[name]
    with zipfile.ZipFile(path) as archive:
        packed = archive.infolist()[0].compress_type != zipfile.ZIP_STORED
    written = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(written, **arrays)
    return written.getvalue(), name


def _drop(said: Any, rng: np.random.Generator) -> str:
    """Removes an entry at some depth, and returns its name."""
    while True:
        names = list(said) if isinstance(said, dict) else list(range(len(said)))
        name = names[rng.integers(len(names))]
        inner = said[name]
        if not (isinstance(inner, dict | list) and inner and rng.integers(2)):
            del said[name]
            return str(name)
        said = inner


def _swap(path: Path, rng: np.random.Generator, made: Format, folder: Path, other: Path) -> _Damaged:
    """Puts another file in the place: of this folder, of another folder of the kind, or of something else."""
    beside = [p for p in sorted(folder.rglob("*")) if p.is_file() and p != path and p.read_bytes() != path.read_bytes()]
    elsewhere = other / path.relative_to(folder)
    sources = [*(beside if made.has_identity or not made.has_checksum else [])]
    if made.has_identity and elsewhere.exists() and path.name != "config.json":
        sources.append(elsewhere)
    if not sources:
        return b"PK\5\6" + bytes(18), "an empty archive"
    source = sources[rng.integers(len(sources))]
    return source.read_bytes(), f"what stands in {source.relative_to(folder.parent)}"


_DAMAGES = {"flip": _flip, "cut": _cut, "flip again": _flip, "zeros": _zeros, "left out": _leave_out, "swapped": _swap}


def main() -> int:
    """Prints how many files came to what, and each fault; returns 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", default=",".join(FORMATS))
    options = parser.parse_args()
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    faults, slowest = [], 0.0
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stderr(io.StringIO()):
        for outcome in damage_all(Path(root), options.files, options.seed, tuple(options.formats.split(","))):
            counts[outcome.format][outcome.kind] += 1
            slowest = max(slowest, outcome.seconds)
            if outcome.kind not in _GOOD:
                faults.append(outcome)
    for name, count in counts.items():
        print(f"{name:18} {sum(count.values()):5}  " + ", ".join(f"{n} {kind}" for kind, n in count.most_common()))
    total = sum((count for count in counts.values()), collections.Counter())
    print(f"{'all':18} {sum(total.values()):5}  " + ", ".join(f"{n} {kind}" for kind, n in total.most_common()))
    print(f"the slowest took {slowest:.1f} s")
    for outcome in faults:
        print(f"{outcome.kind}: {outcome.format}, {outcome.damage}: {outcome.told}")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
