"""Records what a reshaping of the code must not change, and compares two records.

    PYTHONPATH=. python tests/benchmarks/golden_record.py write FOLDER                   # in a checkout of the old code
    PYTHONPATH=. python tests/benchmarks/golden_record.py compare FOLDER [--only PART]   # in one of the new

`write` runs with the old code. It leaves FOLDER/record.json, digests by name (public names and signatures, help texts,
lowered programs of every registered searcher, weight-sharing method, network form and predictor, golden traces and
fits, pages), and FOLDER/begun, the folders of work that was stopped halfway. `compare` makes the same record with the
code of today, goes on with a copy of those folders, and prints what differs; it fails if anything does. Programs are
text that JAX writes: compare under one version of it.

Public names alone are used, so that the script runs before and after.
"""

import argparse
import contextlib
import hashlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import jax.numpy as jnp
import numpy as np

import jnas
from jnas import searchers, spaces, training
from jnas.searchers import predictors

FACES = (
    "jnas",
    "jnas.statistics",
    "jnas.queries",
    "jnas.nasbench101",
    "jnas.spaces",
    "jnas.searchers",
    "jnas.training",
)
COMMANDS = ("", "study", "predictors", "supernet", "train", "report", "table", "table build", "table import")
SMALL = "--seeds 2 --dataset digits --train-images 128 --eval-images 64 --channels 2"
WORK = {  # a command, the glob of what it leaves first, and what its results are
    "study": (
        "study --searchers random_search,regularized_evolution,tpe --seeds 20 --budget-seconds 300 --out {out}",
        "traces/*.npz",
        ("summary.csv",),
    ),
    "predictors": (
        "predictors --predictors gaussian_process,bayesian_linear_regression --train-sizes 20,40 --test-cells 50 "
        "--seeds 4 --out {out}",
        "fits/*.npz",
        ("results.csv", "summary.csv"),
    ),
    "supernet": (
        f"supernet rsps,darts-v1 --epochs 3 --cells 1 --candidates 4 --batch-size 32 "
        f"--one-shot 8 {SMALL} --out {{out}}",
        "methods/*.state.npz",
        ("summary.csv", "epochs.csv", "one_shot.csv"),
    ),
    "train": (
        f"train 1462 1463 1464 --epochs 3 --stage-cells 1 --batch-size 32 --chunk 1 {SMALL} --out {{out}}",
        "runs/chunk-*.npz",
        ("curves.csv",),
    ),
}


def digest(data) -> str:
    """Returns a hash of text or bytes."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


def arrays_digest(tree) -> str:
    """Returns a hash of a pytree of arrays, keys as their data."""
    parts = []
    for leaf in jax.tree.leaves(tree):
        key = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if key else leaf)
        parts.append(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest(b"".join(parts))


def program_digest(function, *arguments) -> str:
    """Returns a hash of a function's lowered program."""
    return digest(jax.jit(function).lower(*arguments).as_text())


# What is recorded.


def public_names():
    """Yields each public name with its signature."""
    for face in FACES:
        module = import_module(face)
        yield f"names/{face}", sorted(module.__all__)
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                with contextlib.suppress(ValueError, TypeError):
                    yield f"signature/{face}.{name}", re.sub(r"[\w.]+\.(?=\w)", "", str(inspect.signature(value)))


def help_texts():
    """Yields the help of every command."""
    for words in COMMANDS:
        run = subprocess.run(
            [sys.executable, "-m", "jnas", *words.split(), "--help"],
            capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"},
        )  # fmt: skip
        yield f"help/{words}", digest(run.stdout + run.stderr)


def searches():
    """Yields the program of every registered searcher on two spaces, and its trace on the embedded table."""
    table = jnas.load_table("digits")
    one = table.objective(dataset="digits", split="validation", epochs=8, seed="mean")
    several = table.objective(dataset="digits", split="validation", epochs=8, at=(2, 4, 8), seed="random")
    other = jnas.function_objective(lambda key, arch: jnp.sum(arch).astype(jnp.float32))
    keys = jax.random.split(jax.random.key(7), 3)
    cases = {
        "nasbench201": (table.space, one, (8,)),
        "nasbench201-fidelities": (table.space, several, (2, 4, 8)),
        "nasbench101": (spaces.nasbench101(), other, (108,)),
    }
    for case, (space, objective, budgets) in cases.items():
        for name in searchers.names(space=space):
            if case.endswith("fidelities") and not searchers.entry(name).multi_fidelity:
                continue
            searcher, most = searchers.make(name, space, budgets), 40 if searchers.entry(name).quick else 22
            if not searcher.compiled:
                if case == "nasbench201":
                    trace = jnas.search(searcher, objective, keys[0], max_evaluations=most)
                    yield f"trace/{case}/{name}", arrays_digest(trace)
                continue

            def runs(keys, searcher=searcher, objective=objective, most=most):
                return jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=most))(keys)

            yield f"program/{case}/{name}", program_digest(runs, keys)
            if searchers.entry(name).quick or name in ("bananas", "gp_bayesopt"):
                yield f"trace/{case}/{name}", arrays_digest(jax.jit(runs)(keys))


def fits():
    """Yields the program of every predictor, and what quick ones predict."""
    table = jnas.load_table("digits")
    archs = jnp.asarray(table.archs[:: len(table.archs) // 40])
    scores = jnp.asarray(
        table.accuracy(archs, dataset="digits", split="validation", epochs=8, seed="mean"), jnp.float32
    )
    for name in predictors.names():
        predictor, encoding = predictors.make(name, table.space)
        features = jax.vmap(lambda arch, encoding=encoding: table.space.features(arch, encoding))(archs)

        def both(key, features, predictor=predictor):
            fitted = predictor.fit(key, features, scores, jnp.arange(len(scores)) < 30)
            return predictor.predict(fitted, features)

        key = jax.random.key(3)
        if not predictors.entry(name).compiled:
            yield f"fit/{name}", arrays_digest(both(key, features))
            continue
        yield f"program/predictor/{name}", program_digest(both, key, features)
        if predictors.entry(name).quick:
            yield f"fit/{name}", arrays_digest(jax.jit(both)(key, features))


def weight_sharing():
    """Yields the programs of every method, by form, and states after two steps."""
    places = ("jnas.core._vocabulary", "jnas.searchers.weight_sharing._words", "jnas.searchers._weight_sharing")
    found = []
    for place in places:
        with contextlib.suppress(ModuleNotFoundError):  # its folder may be missing too
            found.append(import_module(place))
    words = next(module for module in found if hasattr(module, "Examples"))
    dataset = training.load_dataset("digits")
    images = training.normalize(dataset.images[:16], dataset.mean, dataset.std)
    examples = words.Examples(jnp.asarray(images), jnp.asarray(dataset.labels[:16], jnp.int32))
    batch, key = words.Batch(examples, examples), jax.random.key(5)
    for form in ("switch", "mixture", "dispatch"):
        supernet = training.make_supernet(dataset, channels=2, cells=1, form=form)
        for name in searchers.weight_sharing_names():
            few = {"enas": {"controller_steps": 2, "controller_samples": 3}, "pc-darts": {"partial": 2}}
            settings = few.get(name, {})
            searcher = searchers.make_weight_sharing(name, supernet, steps_per_epoch=4, epochs=3, **settings)
            yield f"program/{form}/{name}/init", program_digest(searcher.init, key)
            state = searcher.init(key)
            yield f"program/{form}/{name}/step", program_digest(searcher.step, state, batch)
            derive = lambda state, searcher=searcher: searcher.derive(state, dataset, "validation")  # noqa: E731
            yield f"program/{form}/{name}/derive", program_digest(derive, state)
            if form == "switch":
                step = jax.jit(searcher.step)
                for _ in range(2):
                    state, info = step(state, batch)
                yield f"steps/{name}", arrays_digest((state, info))


def trainings():
    """Yields the program of a batch of candidates in every form of every space, and what one of them learns."""
    dataset = training.subset(training.load_dataset("digits"), "train", 128, 0)
    small = {"epochs": 2, "batch_size": 32, "channels": 4, "cells": 1}
    keys = jax.random.split(jax.random.key(11), 2)
    for space, recipe_name in (("nasbench201", "digits-8"), ("nasbench101", "small101-12")):
        recipe = training.get_recipe(recipe_name, **small)
        archs = jax.vmap(spaces.get(space).sample)(jax.random.split(jax.random.key(2), 2))
        for form in ("switch", "dispatch", "mixture", "static") if space == "nasbench201" else ("switch", "static"):
            chosen = np.asarray(archs) if form == "dispatch" else np.asarray(archs[0]) if form == "static" else None
            network = training.make_network(dataset, recipe, form, chosen, space=space)
            one = jnp.broadcast_to(archs[:1], archs.shape) if form == "static" else archs

            def train(keys, archs, network=network, recipe=recipe):
                return training.train_many(keys, archs, dataset, recipe, network)

            yield f"program/train/{space}/{form}", program_digest(train, keys, one)
            if form == "switch":
                yield f"run/{space}/{form}", arrays_digest(jax.jit(train)(keys, one))


def folders(base: Path, begun: Path | None):
    """Yields what the folders of finished work hold: made anew, or, with `begun`, gone on from copies of those."""
    for name, (command, _, results) in WORK.items():
        out = base / name
        if begun is not None:
            shutil.copytree(begun / name, out)
        _run(command.format(out=out))
        yield f"folder/{name}", {file: _stable(out / file) for file in results}


def pages(base: Path):
    """Yields the pages of folders that are finished, made once more."""
    for name, (command, _, _) in WORK.items():
        if name != "train":
            _run(command.format(out=base / name))
            page = (base / name / "report.html").read_text()
            yield f"page/{name}", digest(page.replace(str(base), ""))
    _run(f"report {base / 'study'} -o {base / 'again.html'}")
    yield "page/report", digest((base / "again.html").read_text().replace(str(base), ""))
    _run(f"table report digits -o {base / 'table.html'}")
    yield "page/table", digest((base / "table.html").read_text().replace(str(base), ""))


def _stable(path: Path) -> str:
    """Returns a hash of a file of rows without the columns of measured seconds."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    kept = [i for i, title in enumerate(lines[0]) if "second" not in title]
    return digest("\n".join(",".join(line[i] for i in kept if i < len(line)) for line in lines))


def _run(command: str) -> None:
    words = [sys.executable, "-m", "jnas", *command.split()]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")


def begin_folders(base: Path) -> None:
    """Leaves the folder of each kind of work as it stood when its first part was done."""
    for name, (command, first, _) in WORK.items():
        with tempfile.TemporaryDirectory() as temporary:
            out, stop = Path(temporary) / name, threading.Event()

            def copy(out=out, first=first, stop=stop, name=name):
                while not stop.is_set():
                    if any(p.suffix != ".part" for p in out.glob(first)):
                        return shutil.copytree(out, base / name, ignore=shutil.ignore_patterns("*.part"))
                    time.sleep(0.002)

            watcher = threading.Thread(target=copy)
            watcher.start()
            _run(command.format(out=out))
            stop.set()
            watcher.join()
        print(name, sorted(str(p.relative_to(base)) for p in (base / name).rglob("*")), file=sys.stderr)


def record(base: Path, begun: Path | None, only: str) -> dict:
    """Returns all digests whose name holds `only`."""
    found = {}
    for part in (public_names, help_texts, searches, fits, weight_sharing, trainings):
        if only and only != part.__name__:
            continue
        for name, value in part():
            found[name] = value
            print(f"{name} {value if isinstance(value, str) else ''}", file=sys.stderr)
    if only in ("", "folders"):
        found |= dict(folders(base / "made", begun))
    return found


def main() -> None:
    """Writes a record, or compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("public_names", "help_texts", "searches", "fits", "weight_sharing", "trainings", "folders", "pages")
    parser.add_argument("what", choices=("write", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", choices=("", *parts))
    options = parser.parse_args()
    folder, file = options.folder, options.folder / "record.json"
    if options.what == "write":
        (folder / "made").mkdir(parents=True, exist_ok=True)
        begin_folders(folder / "begun")
        found = record(folder, None, options.only) | dict(pages(folder / "made"))
        file.write_text(json.dumps(found, indent=1))
        return
    before = json.loads(file.read_text())
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        after = record(Path(temporary), folder / "begun", options.only)
        if options.only in ("", "pages"):
            copied = Path(temporary) / "copied"
            shutil.copytree(folder / "made", copied)
            after |= dict(pages(copied))
    before, after = (json.loads(re.sub(" at 0x[0-9a-f]+", "", json.dumps(each))) for each in (before, after))
    compared = [name for name in before if not options.only or name in after]
    differing = [name for name in compared if before[name] != after.get(name)]
    for name in differing:
        print(f"differs: {name}\n  before {before[name]}\n  after  {after.get(name)}")
    print(f"{len(compared) - len(differing)} of {len(compared)} are the same; new: {sorted(set(after) - set(before))}")
    raise SystemExit(bool(differing))


if __name__ == "__main__":
    main()
