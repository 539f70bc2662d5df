"""Files of NATS-Bench and NAS-Bench-201 as they are published, for tests to write."""

import bz2
import functools
import pickle
import zipfile
from collections import OrderedDict

import numpy as np

from jnas.tables.readers._nats import _architectures


def all_strings(space):
    return [*_architectures(space)[1]]


def record(dataset, seed, epochs, *, start=10.0, splits=("x-valid", "ori-test"), **changes):
    """One trial as the benchmarks write it."""
    curve = {i: start + i for i in range(epochs)}
    evaluations = {f"{split}@{i}": start / 2 + i + j for j, split in enumerate(splits) for i in range(epochs)}
    return {
        "name": dataset,
        "train_acc1es": curve,
        "train_acc5es": None,
        "train_losses": {i: 2.0 / (i + 1) for i in range(epochs)},
        "train_times": OrderedDict((i, 7.25) for i in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5},
        "params": np.float64(0.129306),
        "flop": 15.64737,
        "seed": f"0{seed}",
        "epochs": epochs,
        "latency": [np.float64(0.0125)],
        "eval_names": list(splits),
        "eval_acc1es": evaluations,
        "eval_times": dict.fromkeys(evaluations, 1.5),
        "eval_losses": dict.fromkeys(evaluations, 1.0),
        "net_state_dict": None,
    } | changes


def state(index, text, records):
    seeds = {}
    for trial in records:
        seeds.setdefault(trial["name"], []).append(int(trial["seed"]))
    results = {(trial["name"], int(trial["seed"])): trial for trial in records}
    return {
        "arch_index": index,
        "arch_str": text,
        "all_results": results,
        "dataset_seed": seeds,
        "clear_net_done": True,
    }


def write(path, value, protocol=4):
    data = value if isinstance(value, bytes) else pickle.dumps(value, protocol)
    path.write_bytes(bz2.compress(data))


@functools.lru_cache(maxsize=4)
def _meta(texts):
    meta = {"meta_archs": [*texts], "total_archs": len(texts), "arch2infos": None, "evaluated_indexes": set()}
    return bz2.compress(pickle.dumps(meta, 4))


def make_folder(folder, texts, states):
    """Writes a folder of NATS-Bench; `states[index]` is what the file of an architecture holds."""
    folder.mkdir(exist_ok=True)
    (folder / "meta.pickle.pbz2").write_bytes(_meta(tuple(texts)))
    for index, held in states.items():
        write(folder / f"{index:06d}.pickle.pbz2", held)
    return folder


def make_pth(path, texts, states, *, zipped=True):
    """Writes a file of NAS-Bench-201 in the formats of `torch.save`."""
    infos = {index: {"full": held["200"], "less": held["12"]} for index, held in states.items()}
    root = {"meta_archs": texts, "arch2infos": infos, "evaluated_indexes": [*states]}
    data = pickle.dumps(root, 2)
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", data)
            archive.writestr("archive/version", "3\n")
    else:
        parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        path.write_bytes(b"".join(pickle.dumps(p, 2) for p in parts) + data + pickle.dumps([], 2))
    return path
