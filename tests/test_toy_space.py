"""A space of one's own (two operations on the halves of an image) comes to every command by a row in each layer."""

import csv
import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas import training
from jnas.commands import _build, _supernet, _train
from jnas.commands._cli import main
from jnas.searchers._benchmarks import BENCHMARKS, Benchmark
from jnas.spaces import categorical
from jnas.spaces._registry import SPACES, SpaceEntry
from jnas.training import Network, Supernet
from jnas.training.networks._families import FAMILIES
from jnas.training.networks._family import Family

E, K = 2, 3
OPERATIONS = ("none", "scale", "square")
SMALL = ["--epochs", "1", "--train-images", "64", "--eval-images", "40", "--batch-size", "16"]


def toy():
    return categorical((K,) * E, OPERATIONS, name="toy")


class ToyParameters(NamedTuple):
    """A factor for each pixel, and the linear layer."""

    scale: Any  # [P]
    head: Any  # [P, classes]


def logits_of(parameters, weights, images):
    """The logits of operations mixed by weights `[E, K]`, one row for each half of the image."""
    pixels = images.reshape(len(images), -1)
    results = jnp.stack([jnp.zeros_like(pixels), pixels * parameters.scale[None], pixels**2])  # [K, B, P]
    own = jnp.repeat(weights, pixels.shape[1] // E, axis=0)  # [P, K]
    return jnp.einsum("kbp,pk->bp", results, own) @ parameters.head


def initial(key, image_shape, num_classes):
    size = int(np.prod(image_shape))
    return ToyParameters(jnp.ones(size), 0.1 * jax.random.normal(key, (size, num_classes))), ()


def toy_network(form, archs, *, image_shape, num_classes, channels, cells, epsilon):
    def work(arch):
        return jnp.sum(jnp.asarray(arch) > 0).astype(jnp.float32)

    def has(arch):
        return jax.tree.map(
            lambda leaf: jnp.ones(leaf.shape, bool), initial(jax.random.key(0), image_shape, num_classes)[0]
        )

    return Network(
        init=lambda key, arch: initial(key, image_shape, num_classes),
        apply=lambda parameters, statistics, arch, images: (
            logits_of(parameters, jax.nn.one_hot(arch, K), images),
            (),
        ),
        has=has,
        counts=lambda shape: (),
        parameters=lambda arch: 1e-3 * (1 + work(arch)),
        flops=lambda arch: 1e-3 * (1 + work(arch)),
        space=toy(),
        form=form,
    )


def discretize(weights):
    """The heavier operation that is one: never `none`."""
    return 1 + jnp.argmax(weights[:, 1:], axis=-1).astype(jnp.int32)


def toy_supernet(form, *, image_shape, num_classes, channels, cells):
    own = {"discretize": discretize} if "discretize" in Supernet._fields else {}
    return Supernet(
        init=lambda key: initial(key, image_shape, num_classes),
        mixture=lambda parameters, statistics, weights, images: (logits_of(parameters, weights, images), ()),
        sampled=lambda parameters, statistics, arch, images: (
            logits_of(parameters, jax.nn.one_hot(arch, K), images),
            (),
        ),
        straight_through=lambda parameters, statistics, weights, arch, images: (
            logits_of(parameters, weights, images),
            (),
        ),
        running=lambda statistics, used, keep, shape, arch=None: (),
        space=toy(),
        form=form,
        **own,
    )


FAMILY = Family(
    name="toy",
    network=toy_network,
    forms=("switch",),
    recipes=("small-12", "small-12"),
    parameters=ToyParameters,
    default_form=lambda: "switch",
    supernet=toy_supernet,
    supernet_forms=("switch",),
)


@pytest.fixture
def rows(monkeypatch):
    """One row for each layer, and devices as they are: JAX has started already."""
    monkeypatch.setitem(SPACES.rows, "toy", SpaceEntry("toy", "Toy", toy, named_cells={"linear": "scale|scale"}))
    monkeypatch.setitem(FAMILIES.rows, "toy", FAMILY)
    monkeypatch.setitem(BENCHMARKS.rows, "toy", Benchmark("toy", compared=("random_search", "local_search")))
    for command in (_build, _supernet, _train):
        monkeypatch.setattr(command, "prepare_devices", lambda options, most=None: None)


def run(capsys, *words):
    status = main([*map(str, words)])
    told = capsys.readouterr()
    assert status == 0, told.err
    return told.out


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_row_brings_a_space_to_every_command(rows, tmp_path, capsys):
    run(capsys, "train", "square|none", 4, "--space", "toy", *SMALL, "--out", tmp_path / "runs")
    found = training.load_weights(tmp_path / "runs" / "weights" / "00006-seed-0.npz")
    assert (found.space, found.arch.tolist()) == ("toy", [2, 0])
    dataset = training.load_dataset("digits")
    network = training.make_network(dataset, found.recipe, space="toy")
    assert {row["arch"] for row in read(tmp_path / "runs" / "curves.csv")} == {"square|none", "scale|scale"}
    assert np.all(np.asarray(found.weights.parameters.scale) != 1)
    assert network.apply(*found.weights, found.arch, jnp.ones((3, 8, 8, 1)))[0].shape == (3, 10)

    path = tmp_path / "toy.npz"
    run(capsys, "table", "build", "--space", "toy", "--seeds", 1, *SMALL, "-o", path)
    table = jnas.load_table(path)
    assert (table.space.name, table.num_archs) == ("toy", K**E)
    assert table.header.name == "Toy cells (recipe small-12)"

    out = run(capsys, "study", "--table", path, "--seeds", 3, "--evaluations", 4, "--out", tmp_path / "study")
    assert "linear" in out  # the cell known by name is a row of the comparison
    config = json.loads((tmp_path / "study" / "config.json").read_text())["config"]
    assert {"random_search", "local_search"} == set(config["searchers"])

    methods = ("supernet", "gdas,rsps", "--space", "toy", "--table", path, "--seeds", 1, "--candidates", 4)
    run(capsys, *methods, "--one-shot", "all", *SMALL, "--out", tmp_path / "searches")
    found = read(tmp_path / "searches" / "epochs.csv")
    assert {row["method"] for row in found} == {"gdas", "rsps"}
    if "discretize" in Supernet._fields:
        assert all("none" not in row["arch"] for row in found if row["method"] == "gdas")


def test_the_nearest_name_is_offered(rows, capsys, monkeypatch):
    assert main(["train", "0", "--space", "tou"]) == 2
    told = "there is no space with networks 'tou'; did you mean 'toy'? expected one of nasbench201, nasbench101, "
    told += "nasbench1shot1_1, nasbench1shot1_2, nasbench1shot1_3, darts, recurrent, toy"
    assert told in capsys.readouterr().err
    monkeypatch.setitem(FAMILIES.rows, "nasbench101", FAMILIES.rows["nasbench101"]._replace(supernet=None))
    assert main(["supernet", "gdas", "--space", "nasbench101"]) == 2
    assert "space is 'nasbench101', which has no supernet, expected one of nasbench201, nasb" in capsys.readouterr().err
