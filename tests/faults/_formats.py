"""Every format that jnas reads, as files of a few kilobytes and a way to read all that stands in them.

Nothing is trained or searched: the files are written by the functions that write them, with numbers of no meaning.
"""

import functools
import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jnas.core._checkpoint import Pending, load_checkpoint, save_checkpoint
from jnas.core._folder import config_digest, open_result_folder
from jnas.core._vocabulary import Trace
from jnas.spaces._categorical import categorical
from jnas.spaces.nasbench201._space import nasbench201
from jnas.studies import _engine, _load
from jnas.studies.predictors import _results as predictors
from jnas.studies.predictors._measures import NAMES
from jnas.studies.predictors._plan import DrawnCells
from jnas.studies.search import _results as search
from jnas.studies.supernets import _results as supernets
from jnas.tables._load import load_table, save_table
from jnas.tables._make import make_table
from jnas.tables._targets import Reference, Target
from jnas.tables.readers._arrays import arrays_table
from jnas.tables.readers._nasbench101 import nasbench101_table
from jnas.tables.readers._nats import nasbench201_table, nats_table
from jnas.training._recipe import Recipe
from jnas.training.data import _cifar, _imagenet16
from jnas.training.data._dataset import dataset_from_arrays
from jnas.training.data._npz import read_npz
from jnas.training.export import _weights
from jnas.training.runs import _job_files as jobs
from jnas.training.runs._jobs import load_runs
from jnas.training.runs._run_state import Curves, RunState
from tests._model_metrics import row, write
from tests._nats_files import all_strings, make_folder, make_pth, record, state
from tests._nats_files import write as write_pbz2

SPACE = categorical((3, 4))


class Format(NamedTuple):
    """A kind of file, or of folder."""

    write: Callable[[Path, np.random.Generator], None]  # files into a folder, with numbers that are drawn
    read: Callable[[Path], Any]  # all that stands in them, as a pytree
    has_identity: bool = False  # a file says whose it is: one of another folder of the kind is refused
    has_checksum: bool = True  # a changed byte is seen; where not, nobody can


# Folders of work.


def _begin(folder: Path, kind: Any, config: dict[str, Any]) -> dict[str, Any]:
    """Begins a folder of a study, and returns what each of its files says."""
    judged = _engine.Judged("{}", (Target("d", "v", 2),), (Reference("optimum", np.array([87.5]), None),)).describe()
    config = {"num_seeds": 2, "root_seed": 0, "judged_by": ["d v, 2 epochs"], "dataset": "d", **config}
    said = {**kind.header, "config": config, "versions": {"jax": "0.7.0", "numpy": "2.3.1"}, **judged}
    open_result_folder(folder, said, kind)
    return {**kind.header, "study": config_digest(config)}


def _write_search(folder: Path, rng: np.random.Generator) -> None:
    config = {"searchers": ["random", "evolution"], "table_sha256": rng.bytes(8).hex()}
    identity, (seeds, rows) = _begin(folder, search.FOLDER, config), (2, 5)
    for name in config["searchers"]:
        shape = (seeds, rows)
        numbers = {"fidelity": np.zeros(shape, int), "valid": np.ones(shape, bool), "mask": np.ones(shape, bool)}
        numbers |= {"score": rng.uniform(50, 90, shape).astype(np.float32), "seconds": rng.random(shape, np.float32)}
        known = {"arch": rng.integers(0, 3, (*shape, 2)), "stopped_by": np.ones(seeds, int), **numbers}
        traces = Trace(**{field: known.get(field) for field in Trace._fields})
        values = rng.uniform(50, 90, (1, *shape)).astype(np.float32)
        chunk = search.Chunk(traces, np.tile(np.arange(rows), (seeds, 1)), values, 1.0, 2.0)
        search.save_traces(search.finished_path(folder, name), chunk, {**identity, "searcher": name})


def _write_predictors(folder: Path, rng: np.random.Generator) -> None:
    config = {"predictors": {"ridge": ["ordinal"]}, "train_sizes": [3], "test_cells": 4, "table": rng.bytes(8).hex()}
    identity = _begin(folder, predictors.FOLDER, config)
    said = _load.KINDS["jnas-predictors"]
    cells = DrawnCells(rng.integers(0, 9, (2, 7)).astype(np.int32), rng.uniform(50, 90, (2, 7)).astype(np.float32))
    config = {"num_seeds": 2, "root_seed": 0, "judged_by": ["d v, 2 epochs"], "dataset": "d", **config}
    predictors.save_cells(folder, cells, config)
    part = ("ridge", "ordinal", 3)
    times = [rng.random(1) for _ in range(4)]
    fits = predictors.Fits(rng.random((2, len(NAMES))), *rng.random((2, 2, 4), np.float32), *times, 1.0)
    names = dict(zip(("predictor", "encoding", "train_size"), part, strict=True))
    predictors.save_fits(said.path(folder, part), fits, {**identity, **names})


def _write_supernets(folder: Path, rng: np.random.Generator) -> None:
    config = {"methods": ["rsps", "gdas"], "epochs": {"rsps": 3, "gdas": 3}, "one_shot": 0, "batch_norms": []}
    identity = _begin(folder, supernets.FOLDER, {**config, "dataset_sha256": rng.bytes(8).hex()})
    sizes = {"S": 2, "T": 3, "L": 1, "M": 2, "E": 6, "K": 5, "4": 4, "C": 1}
    for name in config["methods"]:
        arrays = {}
        for field, text in {**supernets._RECORD, **supernets._JUDGED}.items():
            kind, *axes = text.split()
            shape = [sizes[axis] for axis in axes]
            arrays[field] = rng.integers(0, 3, shape) if kind == "i" else np.asarray(rng.random(shape), np.float32)
        record = supernets.Record(**{field: arrays[field] for field in supernets._RECORD})
        result = supernets.MethodResult(name, record, arrays["values"], arrays["ranks"], None)
        path = _load.KINDS["jnas-supernet"].path(folder, name)
        supernets.save_method(path, result, {**identity, "method": name})


_EPOCHS, _RUNS = 3, 2


def _state() -> RunState:
    keys = np.arange(_RUNS, dtype=np.uint32)
    return RunState(keys, np.zeros((_RUNS, 6), np.int32), keys, keys, keys, np.zeros(_RUNS, bool))


def _write_training(folder: Path, rng: np.random.Generator) -> None:
    said = {**jobs.FOLDER.header, "versions": {"jax": "0.7.0"}, "jobs": 6, "jobs_digest": rng.bytes(8).hex()}
    open_result_folder(folder, {**said, "chunk_size": _RUNS}, jobs.FOLDER)
    whose = jobs.identities(folder)
    for chunk in range(3):
        path, done = jobs.job_chunk_path(folder, chunk), _EPOCHS if chunk < 2 else 1
        numbers = [{s: rng.random((_RUNS, done), np.float32) for s in ("train", "v")} for _ in range(2)]
        if chunk < 2:
            jobs.save_job_chunk(path, Curves(*numbers), np.zeros(_RUNS, bool), None, 1.0, whose(chunk))
        else:
            jobs.save_part(jobs.part_path(path), _state(), Curves(*numbers), 2.0, whose(chunk))


def _read_training(folder: Path) -> Any:
    runs = load_runs(folder, 3 * _RUNS, _RUNS, Recipe("r", _EPOCHS), ["train", "v"])
    part = jobs.part_path(jobs.job_chunk_path(folder, 2))
    return runs, jobs.load_part(part, _state(), ["train", "v"], _EPOCHS, jobs.identities(folder)(2))


def _identity(folder: Path) -> dict[str, Any]:
    return {"format": "jnas-search", "version": 1, "jax": "", "platform": "", "searcher": "s", "key": folder.name}


def _write_checkpoint(folder: Path, rng: np.random.Generator) -> None:
    pending = Pending([1.5, 2.5], [3.0, 4.0], [])
    save_checkpoint(folder / "search.npz", _identity(folder), rng.random((3, 4)), pending)


def _read_checkpoint(folder: Path) -> Any:
    return load_checkpoint(folder / "search.npz", _identity(folder), np.zeros((3, 4)))


# Weights and tables.


def _write_weights(folder: Path, rng: np.random.Generator) -> None:
    recipe = Recipe("r", 1, channels=2, cells=1)
    dataset = dataset_from_arrays(rng.integers(0, 256, (10, 4, 4, 1), np.uint8), np.arange(10) % 2)
    weights = _weights._empty(nasbench201(), recipe, (4, 4, 1), 2)
    weights = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), weights)
    _weights.save_weights(folder / "weights.npz", (1, 2, 3, 4, 0, 1), weights, dataset, recipe)


def _write_table(folder: Path, rng: np.random.Generator) -> None:
    numbers = {split: rng.uniform(50, 90, SPACE.size) for split in ("v", "t")}
    table = make_table(SPACE, accuracy=numbers, dataset="d", train_seconds=rng.uniform(1, 9, SPACE.size))
    for compress in (False, True):
        save_table(table, folder / f"{'small' if compress else 'plain'}.npz", compress=compress)


def _read_table(folder: Path) -> Any:
    tables = [load_table(folder / name) for name in ("plain.npz", "small.npz")]
    return [(table.header, {name: table.read(name) for name in sorted(table.names)}) for table in tables]


_MAPPING = {
    "architectures": {"array": "archs"},
    "trainings": [{"dataset": "d", "epochs": 1, "seeds": [0]}],
    "members": {"accuracy/d/1/v": {"array": "accuracy"}, "hardware/*": {"array": "hardware", "names": "names"}},
}


def _write_arrays(folder: Path, rng: np.random.Generator) -> None:
    archs = make_table(SPACE, accuracy={"v": np.linspace(50, 90, SPACE.size)}).archs
    numbers = {"accuracy": rng.uniform(50, 90, SPACE.size), "hardware": rng.random((SPACE.size, 2))}
    for name, save in (("plain", np.savez), ("small", np.savez_compressed)):
        save(folder / f"{name}.npz", archs=archs, names=["a_mj", "b_mj"], **numbers)


def _read_arrays(folder: Path) -> Any:
    return [arrays_table(folder / f"{name}.npz", SPACE, _MAPPING) for name in ("plain", "small")]


@functools.cache
def _cells() -> tuple[list[str], dict[int, Any]]:
    """Returns all architecture strings of NAS-Bench-201, and the trials of two of them."""
    texts = all_strings(nasbench201())
    return texts, {
        index: {
            "12": state(index, texts[index], [record("cifar10-valid", 777, 3, start=10.0 + index)]),
            "200": state(index, texts[index], [record("cifar10", 888, 4, start=20.0 + index, splits=("ori-test",))]),
        }
        for index in (3, 7)
    }


def _write_nats_folder(folder: Path, rng: np.random.Generator) -> None:
    make_folder(folder, *_cells())


def _write_nats_file(folder: Path, rng: np.random.Generator) -> None:
    texts, states = _cells()
    root = {"meta_archs": texts, "total_archs": len(texts), "arch2infos": states, "evaluated_indexes": {3, 7}}
    write_pbz2(folder / "nats.pickle.pbz2", root)


def _write_pth(folder: Path, *, zipped: bool, released: bool = False) -> None:
    path = make_pth(folder / "nb201.pth", *_cells(), zipped=zipped)
    if released:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        path.rename(folder / f"NAS-Bench-201-v1_1-{digest[-6:]}.pth")


def _read_pth(folder: Path) -> Any:
    return nasbench201_table(next(folder.iterdir()))


def _write_records(folder: Path, rng: np.random.Generator) -> None:
    operations = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
    cells = [("0100", "input,output"), *(("011001000", f"input,{name},output") for name in operations)]
    rows = [row(cell, epochs, base=float(rng.uniform(0.1, 0.6))) for cell in cells for epochs in (4, 108)]
    write(folder / "records.tfrecord", rows)


# Data sets.


def _images(rng: np.random.Generator, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 256, (count, 3 * size * size), np.uint8), rng.integers(0, 10, count)


def _write_npz(folder: Path, rng: np.random.Generator) -> None:
    rows, labels = _images(rng, 12, 6)
    for name, save in (("plain", np.savez), ("small", np.savez_compressed)):
        save(folder / f"{name}.npz", images=rows.reshape(-1, 6, 6, 3), labels=labels)


def _read_npz(folder: Path) -> Any:
    return [read_npz(folder / f"{name}.npz") for name in ("plain", "small")]


def _cifar_files(rng: np.random.Generator, layout: Any) -> dict[str, bytes]:
    files = {}
    for name in layout.files:
        rows, labels = _images(rng, 2, 32)
        if layout.label_bytes:
            files[name] = b"".join(bytes([n]) + r.tobytes() for n, r in zip(labels, rows, strict=True))
        else:
            files[name] = pickle.dumps({"labels": labels.tolist(), "data": rows}, 4)
    return files


def _write_cifar(number: int, *, packed: bool) -> Callable[[Path, np.random.Generator], None]:
    layout = _cifar.LAYOUTS[10][number]

    def write(folder: Path, rng: np.random.Generator) -> None:
        files = _cifar_files(rng, layout)
        if not packed:
            for name, content in files.items():
                (folder / name).write_bytes(content)
            return
        with tarfile.open(folder / layout.archive, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(f"{layout.folder}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    return write


def _read_cifar(folder: Path) -> Any:
    found = _cifar.find_cifar(folder, 10)
    return _cifar.read_cifar(found or folder, 10)


def _write_imagenet16(folder: Path, rng: np.random.Generator) -> None:
    for name in (*_imagenet16.TRAIN_FILES, _imagenet16.TEST_FILE):
        rows, labels = _images(rng, 3, 16)
        (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": (labels + 1).tolist()}, 4))


FORMATS: dict[str, Format] = {
    "study": Format(_write_search, _load.load_results, True),
    "predictors": Format(_write_predictors, _load.load_results, True),
    "supernet": Format(_write_supernets, _load.load_results, True),
    "training": Format(_write_training, _read_training, True),
    "checkpoint": Format(_write_checkpoint, _read_checkpoint, True),
    "weights": Format(_write_weights, lambda folder: _weights.load_weights(folder / "weights.npz")),
    "table": Format(_write_table, _read_table),
    "arrays": Format(_write_arrays, _read_arrays),
    "NATS-Bench folder": Format(_write_nats_folder, nats_table),
    "NATS-Bench file": Format(_write_nats_file, lambda folder: nats_table(folder / "nats.pickle.pbz2")),
    "pth": Format(lambda folder, rng: _write_pth(folder, zipped=True), _read_pth),
    "legacy pth": Format(lambda folder, rng: _write_pth(folder, zipped=False), _read_pth),
    "released pth": Format(lambda folder, rng: _write_pth(folder, zipped=False, released=True), _read_pth),
    "tfrecord": Format(_write_records, lambda folder: nasbench101_table(folder / "records.tfrecord")),
    "images": Format(_write_npz, _read_npz),
    "CIFAR archive": Format(_write_cifar(0, packed=True), _read_cifar),
    "CIFAR binary": Format(_write_cifar(0, packed=False), _read_cifar, has_checksum=False),
    "CIFAR pickles": Format(_write_cifar(1, packed=False), _read_cifar, has_checksum=False),
    "ImageNet16": Format(_write_imagenet16, _imagenet16.read_imagenet16, has_checksum=False),
}
"""Every format, by its name in the report."""
