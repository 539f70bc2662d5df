"""Tables from the files of NATS-Bench and NAS-Bench-201.

NATS-Bench publishes a folder for each of its two spaces (`NATS-tss-v1_0-3ffb9-simple`, `NATS-sss-v1_0-50262-simple`):
`meta.pickle.pbz2` lists the architectures, `000000.pickle.pbz2` and so on hold the trials of one architecture each; and
the same as a single file. NAS-Bench-201 publishes a single file that `torch.save` wrote
(`NAS-Bench-201-v1_1-096897.pth`). Either way an architecture has a dictionary of trials for each hyper-parameter set,
which is a number of epochs (`'12'`, `'200'`; `'less'`, `'full'`): see `_nats_records`.

A single file is read as a stream: its architectures are turned into numbers as they pass, so that some gigabytes of
pickle become some hundred megabytes of arrays without standing in memory.
"""

import bz2
import contextlib
import functools
import os
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Space
from jnas.io._restricted_pickle import load
from jnas.io._stream import Stream
from jnas.io._torch_file import has_checksum, read_torch
from jnas.io._workers import map_in_order
from jnas.spaces._nats_size import nats_size
from jnas.spaces.nasbench201._space import nasbench201
from jnas.tables._file import Header
from jnas.tables._numbers import check_numbers
from jnas.tables._published import PAIRS
from jnas.tables.readers._nats_records import Trial, parse, read_file, saying, unpack
from jnas.tables.readers._release import check_release, note_without_checksum
from jnas.tables.readers._trials import TrialArrays

Progress = Callable[[int, int], None]
"""`progress(done, total)`, called now and then with numbers of architectures."""

_MOST_OBJECTS = 50_000_000  # in a single file of a whole benchmark
_NUMBERED = re.compile(r"(\d{1,7})\.pickle\.pbz2")
_NAMES = {"nasbench201": "NATS-Bench topology", "nats_size": "NATS-Bench size"}
_VALTEST = (
    "ori-test of cifar100 and ImageNet16-120 is x-valid and x-test together, 'valtest' in the published interface"
)


def nats_table(
    path: str | os.PathLike[str], *, processes: int = 1, progress: Progress | None = None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of NATS-Bench, topology or size space.

    Args:
      path: The folder with `meta.pickle.pbz2` and a file for each architecture (some may be missing: so are their
        numbers then), or the single `.pickle.pbz2` file of the whole benchmark.
      processes: How many read the files of a folder. More than one needs the script's own work to stand under
        `if __name__ == "__main__":`, as `multiprocessing` does.
      progress: Called after each architecture.

    Returns:
      Header and members of a table with a row for each architecture of the space, as `save_arrays` takes them.

    Raises:
      FileNotFoundError: There is no such folder or file.
      ValueError: A file is cut off, foreign or hostile; the message says which and what is wrong. Nothing was run.
        Or `processes` is not positive.
      ChildProcessError: A process that read files ended by itself or was killed.

    References:
      "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", Dong et al., 2021.
    """
    path = Path(path)
    if processes < 1:
        raise ValueError(f"processes is {processes}, expected a positive number")
    if path.is_dir():
        return _folder_table(path, processes, progress)
    if not path.is_file():
        raise FileNotFoundError(f"there is no folder or file at {path}")
    with open(path, "rb") as file:
        if file.read(3) != b"BZh":
            raise ValueError(
                f"{path} is not a .pickle.pbz2 of NATS-Bench; pass the folder, or for a .pth of NAS-Bench-201 use "
                "`jnas table import nas-bench-201`"
            )
    check_release(path)

    def read(on_dict: Callable[[dict[Any, Any]], bool]) -> Any:
        with bz2.open(path) as file:
            return load(Stream(file.read, str(path)), on_dict=on_dict, max_containers=_MOST_OBJECTS)

    return _file_table(path, read, "NATS-Bench", progress)


def nasbench201_table(
    path: str | os.PathLike[str], *, progress: Progress | None = None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of a NAS-Bench-201 file, v1.0 or v1.1; PyTorch is not needed.

    A file under a published name (`NAS-Bench-201-v1_1-096897.pth`) must have the digest that the name ends in. The
    older of PyTorch's formats has no checksum: a table from such a file under another name says so in a note.

    Args:
      path: The `.pth` file, in either of PyTorch's formats.
      progress: Called after each architecture.

    Returns:
      Header and members of a table, as `nats_table`. The file of v1.0 has 12-epoch trainings on cifar10-valid alone.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is cut off, foreign or hostile, or not the release that its name says; the message says what
        is wrong. Nothing was run.

    References:
      "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", Dong and Yang, 2020.
    """

    def read(on_dict: Callable[[dict[Any, Any]], bool]) -> Any:
        return read_torch(path, on_dict=on_dict, max_containers=_MOST_OBJECTS)

    path = Path(path)
    vouched = path.is_file() and (check_release(path) or has_checksum(path))
    header, arrays = _file_table(path, read, "NAS-Bench-201", progress)
    return (header if vouched else header._replace(notes=(*header.notes, note_without_checksum(path)))), arrays


def _folder_table(folder: Path, processes: int, progress: Progress | None) -> tuple[Header, dict[str, np.ndarray]]:
    meta = folder / "meta.pickle.pbz2"
    if not meta.is_file():
        raise ValueError(
            f"{folder} has no meta.pickle.pbz2, so it is not a folder of NATS-Bench; unpack its archive "
            "(NATS-tss-v1_0-3ffb9-simple.tar or NATS-sss-v1_0-50262-simple.tar) and pass the folder inside"
        )
    space = _space_of_list(load(Stream(BytesIO(unpack(meta)).read, str(meta))), str(meta))
    archs, texts = _architectures(space)
    files = {int(found[1]): folder / found[0] for name in os.listdir(folder) if (found := _NUMBERED.fullmatch(name))}
    if not files:
        raise ValueError(
            f"{folder} has no files of architectures such as 000000.pickle.pbz2 beside its meta.pickle.pbz2; "
            "unpack the whole archive"
        )
    if max(files) >= len(texts):
        raise ValueError(f"{files[max(files)]} is of an architecture that {meta} does not list; get it again")
    arrays = TrialArrays(len(texts))
    tasks = [(index, texts[index], path) for index, path in sorted(files.items())]
    with contextlib.closing(map_in_order(read_file, tasks, processes)) as trials:
        for done, ((index, _, path), read) in enumerate(zip(tasks, trials, strict=True), start=1):
            _add(arrays, index, read, str(path))
            if progress is not None:
                progress(done, len(tasks))
    return _finish(arrays, space, archs, _NAMES[space.name], f"NATS-Bench, {folder.resolve().name}")


def _file_table(
    path: Path, read: Callable[[Callable[[dict[Any, Any]], bool]], Any], benchmark: str, progress: Progress | None
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the table of a file that holds all architectures, taking each as it passes."""
    where = str(path)
    gathered: list[tuple[Space, np.ndarray, list[str], TrialArrays]] = []  # one, once the first architecture has come

    def on_dict(items: dict[Any, Any]) -> bool:
        if "all_results" not in items:
            return False
        if not gathered:
            text = items.get("arch_str")
            space = nats_size() if type(text) is str and ":" in text else nasbench201()
            archs, texts = _architectures(space)
            gathered.append((space, archs, texts, TrialArrays(len(texts))))
        _, _, texts, arrays = gathered[0]
        index, before = items.get("arch_index"), arrays.num_filled
        if type(index) is not int or not 0 <= index < len(texts):
            raise ValueError(f"{where} has trials of an architecture without a number; get it again from its source")
        _add(arrays, index, parse(items, index, texts[index], where), where)
        if progress is not None and arrays.num_filled > before:
            progress(arrays.num_filled, len(texts))
        return True

    root = read(on_dict)
    part = f"; pass the folder that it comes from ({path.parent})" if benchmark == "NATS-Bench" else ""
    if not isinstance(root, dict) or not isinstance(root.get("meta_archs"), list):
        raise ValueError(
            f"{where} lists no architectures ('meta_archs'): it is not the file of a whole benchmark{part}"
        )
    listed = _space_of_list(root, where)
    if not gathered:
        again = part or "; get it again from its source"
        raise ValueError(f"{where} lists architectures but holds no trials{again}")
    space, archs, _, arrays = gathered[0]
    if listed is not space:
        raise ValueError(f"{where} lists the architectures of another space than its trials have")
    name = benchmark if benchmark == "NAS-Bench-201" else _NAMES[space.name]
    return _finish(arrays, space, archs, name, f"{benchmark}, {path.name}")


def _space_of_list(root: Any, where: str) -> Space:
    """Returns the space whose architectures a file lists, in the published order."""
    listed = root.get("meta_archs") if isinstance(root, dict) else None
    if not isinstance(listed, list):
        raise ValueError(f"{where} lists no architectures ('meta_archs'), so it is of no benchmark that is known here")
    for space in (nasbench201(), nats_size()):
        if len(listed) == space.size:
            if listed != _architectures(space)[1]:
                raise ValueError(f"{where} lists other architectures than {_NAMES[space.name]}, or in another order")
            return space
    raise ValueError(f"{where} lists {len(listed):,} architectures, expected 15,625 (topology) or 32,768 (size)")


@functools.cache
def _architectures(space: Space) -> tuple[np.ndarray, list[str]]:
    """Returns all architectures of a space `[N, E]` and their strings, in the order of their indices."""
    assert space.from_index is not None
    assert space.size is not None
    archs = np.asarray(jax.jit(jax.vmap(space.from_index))(jnp.arange(space.size))).astype(np.int8)
    return archs, [space.to_string(arch) for arch in archs]


def _add(arrays: TrialArrays, index: int, trials: list[Trial], where: str) -> None:
    with saying(index, where):
        arrays.add(index, trials)


def _finish(
    gathered: TrialArrays, space: Space, archs: np.ndarray, name: str, source: str
) -> tuple[Header, dict[str, np.ndarray]]:
    trainings = gathered.trainings()
    arrays, notes = gathered.finish()
    for each, values in arrays.items():
        kind = each.split("/")[0]
        if kind in ("accuracy", "parameters", "flops"):  # whose unit may be another; the rest was checked as it came
            check_numbers(kind, values, f"{each} of {source}")
    if gathered.num_filled < len(archs):
        notes = (
            f"{gathered.num_filled:,} of {len(archs):,} architectures have numbers, the others are missing",
            *notes,
        )
    datasets = {training.dataset for training in trainings}
    header = Header(
        name=name,
        space=space.config,
        trainings=trainings,
        pairs={dataset: pair for dataset, pair in PAIRS.items() if dataset in datasets},
        source=source,
        notes=(*notes, _VALTEST) if datasets & {"cifar100", "ImageNet16-120"} else notes,
    )
    return header, {"archs": archs, **arrays}
