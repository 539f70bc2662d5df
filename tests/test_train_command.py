"""`jnas train` as a user types it, what it leaves, and weights as files."""

import argparse
import csv
import json
import os
import random
import re
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.commands._cli import main
from jnas.commands._training_setup import make_recipe
from jnas.commands._training_work import plan_work
from jnas.core._vocabulary import Weights
from jnas.io._archive import read_archive, write_archive
from jnas.spaces.nasbench201._cells import nasbench201_to_string
from jnas.spaces.nasbench201._space import nasbench201
from jnas.training._recipe import get_recipe, recipe_words
from jnas.training.data._dataset import dataset_from_arrays
from jnas.training.data._reduce import subset
from jnas.training.data._sources import load_dataset
from jnas.training.data._text import text_dataset
from jnas.training.data._text_sources import needs_no_files
from jnas.training.export._flax import from_flax, to_flax
from jnas.training.export._weights import load_weights, save_weights
from jnas.training.networks._families import FAMILIES, make_network
from jnas.training.runs import _results
from jnas.training.runs._jobs import Jobs, Runs
from jnas.training.runs._train import evaluate
from tests._fewer_stages import jnas_of_one_stage, stages
from tests._processes import start

EPOCHS = 20
ARCH = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
FOLDERS = ("whole", "broken")
SMALL = ("--dataset", "tiny.npz", "--recipe", "small-12", "--channels", 2, "--stage-cells", 1, "--batch-size", 16)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_dataset("tiny.npz")


def write_dataset(path, size=4, images=60):
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 3
    pixels = (rng.integers(0, 120, (images, size, size, 1)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    rows = slice(0, images * 2 // 3), slice(images * 2 // 3, None)
    (train, valid), (y, z) = [pixels[r] for r in rows], [labels[r] for r in rows]
    np.savez(path, train_images=train, train_labels=y, validation_images=valid, validation_labels=z)


def fails(capsys, *words) -> str:
    try:
        status = main(["train", *map(str, words)])
    except SystemExit as end:  # argparse
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in err
    assert not out
    return err


@pytest.fixture
def in_this_process(monkeypatch):
    """JAX has started already: leave its settings as they are."""
    from jnas.commands import _train

    monkeypatch.setattr(_train, "prepare_devices", lambda options, most: None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no architecture was given; pass architecture strings or indices"),
        (["15625"], "the index 15625 is not of nasbench201, whose indices are 0 to 15,624"),
        (["#99999"], "the index 99999 is not of nasbench201"),
        (["|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|"], "nor_conv_5x5"),
        (["-1"], "has 1 nodes separated by"),
        (["1", "--seeds", "0"], "argument --seeds: expected an integer of at least 1, not '0'"),
        (["1", "--recipe", "nothing"], "there is no recipe 'nothing', expected one of nasbench201-200"),
        (["resnet"], "'resnet' is no architecture of nasbench201 that has a name; did you mean 'ResNet'?"),
        (["BANANAS", "--space", "darts"], "BANANAS: edge 3 of reduce (into node 3) has the operation 'none'"),
        (["1", "--dataset", "nothing"], "there is no data set 'nothing', expected one of digits"),
        (["1", "--dataset", "nowhere.npz"], "nowhere.npz"),
        (["1", "--dataset", "cifar10", "--data-dir", "."], "there is no CIFAR-10 in"),
        (["1", "--dataset", "tiny.npz"], "has 40 training images and a batch takes 256; give"),
        (["1", "--dataset", "odd.npz", "--batch-size", "8"], "images are 6 by 6, expected multiples of 4"),
        (
            ["1", "--dataset", "floats.npz"],
            "floats.npz, all: images are float64, expected uint8, values from 0 to 2",
        ),
        (["1", "--dataset", "labels.npz"], "labels.npz, all: labels are float64; expected integers from 0"),
        (["1", "--dataset", "first.npz"], "expected [N, H, W, C] with the channels last, as images.transpose"),
        (["1", "--dataset", "sparse.npz"], "labels take 4 values from 0 to 3,000, which would make 3,001 classes"),
        (["1", "--channels", "9" * 20], "argument --channels: expected at most 65,536"),
        (["1", "--out", "file"], "--out is file, but"),
        (["1", "--out", "file/inside"], "is a file, expected a folder"),
        (["1", "--out", "full"], "full holds files but no training runs (something)"),
        (["1", "--form", "static"], "invalid choice: 'static'"),
    ],
)
def test_mistakes_are_told_before_any_work(capsys, in_this_process, words, told):
    write_dataset("odd.npz", size=6)
    kinds = {
        "floats": (np.full((20, 8, 8, 1), 0.5), np.arange(20) % 2),
        "labels": (np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 2 * 1.0),
        "first": (np.zeros((20, 3, 32, 32), np.uint8), np.arange(20) % 2),
        "sparse": (np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 4 * 1000),
    }
    for name, (images, labels) in kinds.items():
        np.savez(f"{name}.npz", images=images, labels=labels)
    Path("file").write_text("")
    Path("full").mkdir()
    Path("full/something").write_text("")
    assert told in fails(capsys, *words)
    assert {p.name for p in Path().iterdir()} == {
        "tiny.npz",
        "odd.npz",
        "file",
        "full",
        *(f"{name}.npz" for name in kinds),
    }
    assert not Path("full/config.json").exists()


def test_hosts_are_named_whole(capsys, monkeypatch):
    monkeypatch.setattr("jnas.commands._training_setup.use_compilation_cache", lambda: None)
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    told = fails(capsys, "1", "--coordinator", "localhost:1234")
    assert "--coordinator, --num-processes and --process-id go together; give all three or none" in told


def test_room_is_looked_for_before_any_work(capsys, in_this_process, monkeypatch):
    from jnas.commands import _train

    usage = type("Usage", (), {"free": 2_000_000})
    monkeypatch.setattr(_train.shutil, "disk_usage", lambda path: usage)
    told = fails(capsys, "1", "2", "--seeds", 5)
    assert "MB will be written to jnas-train, and 2 MB are free; free space, or give another --out" in told
    assert not Path("jnas-train").exists()


def test_recipes_are_listed(capsys):
    assert main(["train", "--recipe", "help"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^digits-8 +8 epochs on images of 8x8", out, re.MULTILINE)


# Results. The commands run as processes of their own, with the devices and flags that users get.


def test_part_of_the_digits_is_trained_like_all_but_where_it_was_begun_otherwise():
    asked = dict.fromkeys(("recipe", "epochs", "learning_rate", "channels", "stage_cells"))
    options = argparse.Namespace(space="nasbench201", dataset="digits", batch_size=16, **asked)
    dataset = subset(load_dataset("digits"), "train", 80)
    assert make_recipe(options, dataset).name == "digits-8"
    begun = recipe_words(get_recipe("nasbench201-12", batch_size=16))
    assert make_recipe(options, dataset, begun).name == "nasbench201-12"
    options.dataset = "other"
    assert make_recipe(options, dataset).name == "nasbench201-12"


def test_characters_of_pythons_help_are_for_a_first_look_as_its_words_are():
    asked = dict.fromkeys(("recipe", "epochs", "learning_rate", "channels", "stage_cells", "batch_size"))
    text = text_dataset({"train": [["a"] * 4000] * 3, "validation": [["a"] * 2000]})
    names = "python-docs", "Python-Docs", "chars:python-docs", "CHARS:python-docs", "chars:mine.txt", "ptb"
    options = [argparse.Namespace(space="recurrent", dataset=name, **asked) for name in names]
    small, large = FAMILIES.entry("recurrent").recipes
    assert [make_recipe(one, text).name for one in options] == [small] * 4 + [large] * 2
    assert [needs_no_files(name) for name in names] == [True] * 4 + [False] * 2


def test_language_models_go_on_as_they_were_begun():
    """Once none went back to its best epoch."""
    asked = dict.fromkeys(("recipe", "epochs", "learning_rate", "channels", "stage_cells"))
    options = argparse.Namespace(space="recurrent", dataset="mine.txt", batch_size=2, **asked)
    text = text_dataset({"train": [["a"] * 40] * 3, "validation": [["a"] * 20]})
    recipe = make_recipe(options, text)
    assert recipe.text.roll_back
    before = recipe._replace(text=recipe.text._replace(roll_back=False))
    assert make_recipe(options, text, recipe_words(before)) == before


def train(*words, output="told"):
    return start(jnas_of_one_stage, "train", *words, output=Path(output))


def trained_by(*words):
    done = train(*words).wait()
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_killed_command_goes_on_to_the_same_results():
    """kill -9 at random moments of the work; then the same curves and weights, to the bit, as an unbroken run."""
    words = ("0", ARCH, "--seeds", 2, "--epochs", EPOCHS, *SMALL, "--out")
    lines = trained_by(*words, "whole").splitlines()
    assert lines[0] == (
        f"2 architectures x 2 seeds on tiny (train 40, validation 20); recipe small-12: {EPOCHS} epochs, 2 channels, "
        "1 cell in each stage, batches of 16"
    )
    assert lines[-3:] == ["curves: whole/curves.csv", "plot: whole/curves.png", "weights: whole/weights"]
    moments = random.Random(0)
    for _ in range(2):
        before = newest(Path("broken/runs"))
        running = train(*words, "broken", output="killed")
        running.wait_until(lambda before=before: newest(Path("broken/runs")) != before)
        time.sleep(moments.uniform(0, 0.05))
        running.stop()
        assert running.wait().returncode < 0
    assert not Path("broken/curves.csv").exists()
    Path("broken/weights").mkdir()
    for left in (".curves.png.abcdefgh.part", "weights/.00000-seed-0.npz.abcdefgh.part"):  # by a kill at the end
        Path("broken", left).write_text("half")
    told = trained_by(*words, "broken")
    assert Path("whole/curves.csv").read_bytes() == Path("broken/curves.csv").read_bytes()
    assert [p.name for p in Path("broken/runs").iterdir()] == ["chunk-00000.npz"]
    assert not list(Path("broken").rglob(".*"))
    names = sorted(p.name for p in Path("whole/weights").iterdir())
    assert names == sorted(p.name for p in Path("broken/weights").iterdir())
    assert len(names) == 4
    for name in names:
        (header, arrays), (_, others) = (read_archive(f"{f}/weights/{name}", kind="", remedy="") for f in FOLDERS)
        assert header["arch"] in {ARCH, lines[3].split()[0], lines[4].split()[0]}
        for array in sorted(arrays.keys() | others.keys()):
            np.testing.assert_array_equal(arrays[array], others[array])
    with stages(1):
        check_results(told)


def newest(folder):
    return max((p.stat().st_mtime_ns for p in folder.glob("chunk*")), default=0)


def check_results(out):
    """Looks at what the command left: every number is that of a run of the architecture that it names."""
    rows = list(csv.DictReader(Path("whole/curves.csv").read_text().splitlines()))
    assert list(rows[0]) == ["arch", "index", "seed", "epoch", "split", "accuracy_percent", "loss"]
    assert len(rows) == 2 * 2 * EPOCHS * 2
    space = nasbench201()
    names = {
        space.to_string(np.asarray(space.from_index(0))): "0",
        ARCH: str(int(space.index(space.from_string(ARCH)))),
    }
    assert {(row["arch"], row["index"]) for row in rows} == set(names.items())
    assert Path("whole/curves.png").read_bytes().startswith(b"\x89PNG")
    dataset = load_dataset("tiny.npz")
    recipe = get_recipe("small-12", epochs=EPOCHS, batch_size=16, channels=2, cells=1)
    measure = jax.jit(lambda weights, arch: evaluate(weights, arch, dataset, "validation", recipe, network))
    network = make_network(dataset, recipe, "switch")
    for name, index in names.items():
        finals = []
        for seed in ("0", "1"):
            found = load_weights(f"whole/weights/{int(index):05d}-seed-{seed}.npz")
            assert nasbench201_to_string(found.arch) == name
            assert found.recipe == recipe
            assert (found.dataset, found.image_shape, found.num_classes) == ("tiny", (4, 4, 1), 3)
            np.testing.assert_allclose(found.mean, dataset.mean)
            last = [r for r in rows if (r["arch"], r["seed"], r["split"]) == (name, seed, "validation")][-1]
            accuracy, loss = measure(found.weights, jnp.asarray(found.arch))
            np.testing.assert_allclose(
                [accuracy, loss], [float(last["accuracy_percent"]), float(last["loss"])], rtol=1e-4
            )
            finals.append(float(last["accuracy_percent"]))
        told = f"{np.mean(finals):.2f} ± {np.std(finals, ddof=1):.2f}"
        assert f"#{index}  {told}" in " ".join(out.split()).replace(f"#{index} ", f"#{index}  ")


# Weights.


DATASET = {"name": "tiny", "splits": {"validation": 0.3}}


@pytest.fixture(scope="module")
def trained():
    """A network with every number its own, and the file of it."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    dataset = dataset_from_arrays(rng.integers(0, 256, (60, 4, 8, 2)).astype(np.uint8), labels, **DATASET)
    recipe = get_recipe("small-12", batch_size=16, channels=2, cells=2)
    network = make_network(dataset, recipe, "switch")
    arch = np.array([3, 0, 2, 1, 4, 3], np.int32)
    weights = Weights(*jax.device_get(jax.jit(network.init)(jax.random.key(0), arch)))
    has = jax.device_get(jax.jit(network.has)(arch))
    moved = jax.tree.map(lambda x, has: np.where(has, rng.normal(size=x.shape), 0).astype(np.float32), weights[0], has)
    statistics = jax.tree.map(lambda x: np.abs(rng.normal(size=x.shape)).astype(np.float32), weights[1])
    return dataset, recipe, network, arch, Weights(moved, statistics)


def test_weights_come_back(trained, tmp_path):
    dataset, recipe, network, arch, weights = trained
    save_weights("w.npz", nasbench201_to_string(arch), weights, dataset, recipe)
    found = load_weights(tmp_path / "w.npz")
    for x, y in zip(jax.tree.leaves(weights.parameters), jax.tree.leaves(found.weights.parameters), strict=True):
        np.testing.assert_array_equal(x, y)
    assert jax.tree.structure(found.weights) == jax.tree.structure(weights)
    for old, new in zip(weights.statistics.cells, found.weights.statistics.cells, strict=True):
        for edge, choice in enumerate(arch):
            fresh = np.broadcast_to(np.array([0.0, 1.0], np.float32)[:, None], old.shape[-2:])
            np.testing.assert_array_equal(new[:, edge], old[:, edge] if choice in (2, 3) else [fresh, fresh])
    assert (found.arch.tolist(), found.recipe, found.image_shape) == (arch.tolist(), recipe, (4, 8, 2))
    measure = jax.jit(lambda weights: evaluate(weights, arch, dataset, "validation", recipe, network))
    np.testing.assert_array_equal(measure(weights), measure(found.weights))


def test_file_of_weights_has_the_usual_names_and_axes(trained):
    flax = pytest.importorskip("flax")
    from jnas.training.export._flax import to_flax

    assert flax
    dataset, recipe, _, arch, weights = trained
    save_weights("w.npz", arch, weights, dataset, recipe)
    with np.load("w.npz") as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    assert header["arch"] == nasbench201_to_string(arch)
    assert header["recipe"]["channels"] == 2
    module = to_flax(arch, load_weights("w.npz").weights)
    edge = module.stages[1][1].edges[5]
    for name, parameter in (
        ("stem/kernel", module.stem.convolution.kernel),
        ("stages/1/cells/1/edge 5/kernel", edge.convolution.kernel),
        ("stages/1/cells/1/edge 5/scale", edge.norm.scale),
        ("stages/1/cells/1/edge 5/shift", edge.norm.bias),
        ("stages/1/cells/1/edge 5/mean", edge.norm.mean),
        ("stages/1/cells/1/edge 5/variance", edge.norm.var),
        ("stages/2/cells/0/edge 2/kernel", module.stages[2][0].edges[2].convolution.kernel),
        ("reductions/1/second/kernel", module.reductions[1].second.convolution.kernel),
        ("reductions/0/shortcut/kernel", module.reductions[0].shortcut.kernel),
        ("head/kernel", module.linear.kernel),
    ):
        np.testing.assert_array_equal(arrays[name], parameter[...], err_msg=name)
    numbers = [n for n in arrays if not n.endswith(("mean", "variance"))]
    assert not [n for n in arrays if any(f"edge {e}/" in n for e in (1, 3, 4))]
    network = make_network(dataset, recipe, "switch")
    expected = round(1e6 * float(network.parameters(jnp.asarray(arch))))
    assert sum(arrays[n].size for n in numbers) == expected


def test_files_that_are_no_weights_are_refused(trained):
    dataset, recipe, _, arch, weights = trained
    save_weights("w.npz", arch, weights, dataset, recipe)
    data = Path("w.npz").read_bytes()
    with pytest.raises(FileNotFoundError, match=r"there is no file of weights at nowhere\.npz"):
        load_weights("nowhere.npz")
    for broken in (b"", b"hello", data[: len(data) // 2], data[:3000] + bytes(64) + data[3064:]):
        Path("b.npz").write_bytes(broken)
        with pytest.raises(
            ValueError, match=r"b\.npz is not a file of weights.*; give a file that jnas\.training\.save"
        ):
            load_weights("b.npz")
    header, arrays = read_archive("w.npz", kind="", remedy="")
    kernel = "stages/0/cells/0/edge 0/kernel"
    recipes = [header["recipe"] | change for change in ({"channels": 4}, {"cells": 1}, {"cells": 10**12}, {"x": 1})]
    for other in (
        *({"recipe": changed} for changed in recipes),
        {"arch": ARCH.replace("none", "skip_connect").replace("1x1", "3x3")},
        {"arch": 5},
        {"format": "other"},
        {"image_shape": [4, 8]},
        {"image_shape": [4, 8, 10**9]},
        {"num_classes": 10**12},
        {"mean": [1.0, float("nan")]},
        {"mean": None},
        {"std": [0.0, 1.0]},
    ):
        write_archive("b.npz", header | other, arrays)
        with pytest.raises(ValueError, match=r"b\.npz is not a file of weights"):
            load_weights("b.npz")
    for changed in (
        {kernel: arrays[kernel][..., :1]},
        {kernel: arrays[kernel].astype(np.float64)},
        {"more": np.zeros(3)},
    ):
        write_archive("b.npz", header, arrays | changed)
        with pytest.raises(ValueError, match=r"b\.npz is not a file of weights"):
            load_weights("b.npz")
    many = jax.tree.map(lambda x: np.stack([x, x]), weights)
    with pytest.raises(ValueError, match=r"expected .* for one run of this recipe on tiny; choose one of many by"):
        save_weights("m.npz", arch, many, dataset, recipe)
    assert not Path("m.npz").exists()


# Text and picture.


def test_summary_and_curves_count_what_did_not_diverge(trained):
    dataset = trained[0]
    accuracy = np.array([[50, 60], [50, 70], [40, np.nan], [30, 80]], np.float32)
    runs = Runs(
        {"train": accuracy, "validation": accuracy},
        {"train": accuracy / 100, "validation": accuracy / 100},
        np.full(4, 3.0),
        np.array([False, False, True, False]),
        np.ones(4, bool),
    )
    groups = [
        _results.RunGroup("a", 7, np.array([0, 1]), 0.001, 2.0),
        _results.RunGroup("b", 8, np.array([2, 3]), 1, 3),
    ]
    text = _results.summary_text(groups, (0, 1), runs, dataset).splitlines()
    assert text[1].split() == ["a", "#7", "65.00", "±", "7.07", "1,000", "2.00"]
    assert text[2].split() == ["b", "#8", "80.00", "1,000,000", "3.00", "diverged:", "seed", "0"]
    assert text[4].startswith("an epoch of a run took 1.5 s")
    _results.write_curves("c.csv", groups, (0, 1), runs)
    assert Path("c.csv").read_text().splitlines()[13:15] == ["b,8,1,1,train,30.0,0.3", "b,8,1,2,train,80.0,0.8"]
    assert "b,8,0,2,validation,nan,nan" in Path("c.csv").read_text()
    groups[0] = groups[0]._replace(name="('sep_conv_3x3', 0), " * 20)
    text = _results.summary_text(groups, (0, 1), runs, dataset).splitlines()
    assert text[1].split()[:2] == ["#7", "65.00"]
    assert text[5:] == [f"#7  {groups[0].name}", "#8  b"]
    _results.draw_curves("c.png", groups, runs, dataset)
    assert Path("c.png").stat().st_size > 10_000


def test_one_genotype_has_a_program_of_its_own(tmp_path):
    """Unless its folder was begun with the one that branches."""
    one = np.asarray([[node // 2, 3] for node in (0, 2) * 8], np.int32).reshape(-1)
    options = argparse.Namespace(space="darts", form=None, rematerialize=False, chunk_size=1)

    def form(*archs):
        jobs = Jobs(np.stack(archs), np.arange(len(archs)))
        return plan_work(
            jobs, load_dataset("digits"), get_recipe("darts-digits-8"), options, tmp_path, most=1
        ).network.form

    two = np.where(np.arange(32) == 1, 4, one)
    assert [form(one, one), form(one, two)] == ["static", "switch"]
    (tmp_path / "config.json").write_text('{"form": "switch"}')
    assert form(one) == "switch"


def test_a_genotype_learns_from_images_of_ones_own_in_bfloat16(in_this_process, capsys):
    """With cutout, mixup, an auxiliary head and paths to drop; its weights are float32, and those of a module."""
    pairs = [(0, 2, 1, 0), (0, 3, 1, 1), (2, 2, 1, 2), (0, 1, 2, 2)] * 2
    text = spaces.darts().to_string(np.asarray(pairs).reshape(-1))
    words = ["--space", "darts", "--dataset", "tiny.npz", "--recipe", "nasbench301-100", "--epochs", "1", "--channels"]
    words += ["1", "--stage-cells", "1", "--batch-size", "16", "--precision", "bfloat16", "--out", "out"]
    assert main(["train", text, *words]) == 0
    told = capsys.readouterr().out
    assert "1 cell in all, batches of 16; images within in bfloat16, the rest in float32" in told
    assert json.loads(Path("out/config.json").read_text())["dtype"] == "bfloat16"
    saved = load_weights(next(Path("out/weights").iterdir()))
    leaves = jax.tree.leaves(saved.weights)
    assert {leaf.dtype for leaf in leaves} == {np.dtype("float32")}
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    pytest.importorskip("flax.nnx", reason="needs flax: pip install 'jnas[flax]'")
    module = to_flax(saved.arch, saved.weights)
    jax.tree.map(np.testing.assert_array_equal, from_flax(module).parameters, saved.weights.parameters)
