"""`jnas supernet --from-scratch` on the toy space: what is trained, what it says, and that it goes on."""

import argparse
import csv
import json

import numpy as np
import pytest
import scipy.stats

from jnas import spaces
from jnas.commands import _from_scratch, _supernet
from jnas.commands._cli import main
from jnas.spaces._registry import SPACES, SpaceEntry
from jnas.spaces.darts._edge_choices import edge_space
from jnas.studies._load import load_results
from jnas.studies.supernets import _from_scratch as scratch_of
from jnas.studies.supernets import _scratch_section
from jnas.studies.supernets._results import FromScratch
from jnas.studies.supernets._scratch_summary import (
    against_drawn,
    best_drawn,
    scratch_agreement,
    scratch_yardsticks,
    trained_accuracies,
)
from jnas.tables._metric import TableMetric
from jnas.training._recipe import get_recipe
from jnas.training.data._sources import load_dataset
from jnas.training.data._text import text_dataset
from jnas.training.networks._families import FAMILIES, make_network, nodes_of_space
from jnas.training.runs._jobs import dataset_digest
from tests.test_toy_space import FAMILY, SMALL, toy

WORDS = ["supernet", "rsps,gdas", "--space", "toy", "--num-seeds", "3", "--num-candidates", "4", *SMALL]
SCRATCH = ["--from-scratch", "small-12:epochs=1:batch_size=16", "--random", "14", "--trainings", "2"]


@pytest.fixture
def rows(monkeypatch):
    """The toy's networks, and devices as they are: JAX has started already."""
    monkeypatch.setitem(SPACES.rows, "toy", SpaceEntry("toy", "Toy", toy))
    monkeypatch.setitem(FAMILIES.rows, "toy", FAMILY)
    monkeypatch.setattr(_supernet, "prepare_devices", lambda options, most=None: None)


def fails(capsys, *words):
    assert main([*WORDS, *map(str, words)]) == 2
    return capsys.readouterr().err


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


class Killed(Exception):
    """What stops a command in a test."""


def test_found_and_random_cells_are_trained_alike(rows, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    words = [*WORDS, "--out", str(out)]
    assert main(words) == 0  # the searches alone: training can be asked for later
    assert "scratch" not in (out / "report.html").read_text()

    def die(*arguments, **how):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_from_scratch, "make_runs", die)
        with pytest.raises(Killed):
            main([*words, *SCRATCH])
    capsys.readouterr()
    assert main([*words, *SCRATCH]) == 0
    told = capsys.readouterr().out
    assert "all of it was done before" in told
    assert "Trained from scratch, digits-train64-validation40-test40 test" in told
    page = (out / "report.html").read_text()
    for part in ("Trained from scratch", "another training seed", "number of parameters", "recipe small-12, 1 epoch"):
        assert part in page

    study, _ = load_results(out)
    found = study.scratch
    archs = found.archs.astype(int).tolist()
    assert len({tuple(arch) for arch in archs}) == len(archs) <= 9
    assert len(found.random) == 14
    for k, result in enumerate(study.methods):
        np.testing.assert_array_equal(found.archs[found.found[k]], result.record.archs[:, -1])
    assert json.loads((out / "from-scratch" / "config.json").read_text())["jobs"] == 2 * len(archs)
    assert found.splits == ("validation", "test")

    value = found.accuracies[1].astype(float).mean(axis=1)
    np.testing.assert_allclose(trained_accuracies(found), value)
    (test, _), (agreed, _) = against_drawn(found), scratch_agreement(found)
    own, drawn = value[found.found[0]], value[found.random]
    assert test.own.mean == pytest.approx(own.mean())
    better = np.mean(own[:, None] > drawn) + np.mean(own[:, None] == drawn) / 2
    assert test.test.superiority == pytest.approx(better)
    assert test.low <= better <= test.high
    places = np.unique(found.random)
    taus = [scipy.stats.kendalltau(value[places], seed[places]).statistic for seed in found.shared[0]]
    np.testing.assert_allclose(agreed.taus[0], taus)

    first, second, random = read(out / "from_scratch.csv")
    assert (first["method"], second["method"], random["runs"]) == ("rsps", "gdas", "14")
    assert float(first["mean"]) == pytest.approx(own.mean(), rel=1e-5)
    cells = read(out / "from_scratch_cells.csv")
    assert [row["arch"] for row in cells] == [toy().to_string(np.asarray(arch)) for arch in archs]
    assert sum(int(row["drawn"]) for row in cells) == 14

    shared = found._replace(recipe={**found.recipe, "train_share": 0.7})  # as in folders that did not divide images
    for divided, images in ((False, "the same images"), (True, "0.7 of the images of training and validation")):
        scratch_of.save_from_scratch(out, shared._replace(divided=divided), study.config)
        again = load_results(out)[0]
        assert again.scratch.divided is divided
        assert f"trained alike on {images}" in _scratch_section._words(again)

    (out / "from_scratch.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"from_scratch\.npz is not a file of `jnas supernet`"):
        load_results(out)
    (out / "from_scratch.npz").unlink()
    assert main([*words, *SCRATCH]) == 0
    assert "; all done before" in capsys.readouterr().out
    again = load_results(out)[0].scratch
    for name in ("archs", "accuracies", "shared", "log_probability", "costs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert (out / "report.html").read_text() == page
    told = fails(capsys, *SCRATCH[:-1], 3, "--out", out)
    assert "from-scratch holds training runs with another configuration: jobs" in told
    assert "here. Give the recipe, --random and --trainings of before, or delete that folder to train anew" in told
    assert "jobs is another" not in told


def test_random_cells_are_uniform_and_begin_with_the_fewer():
    cells = scratch_of._draw(toy(), 900, 3)
    np.testing.assert_array_equal(scratch_of._draw(toy(), 20, 3), cells[:20])
    counts = np.bincount(cells @ [3, 1], minlength=9)
    assert scipy.stats.chisquare(counts).pvalue > 0.001
    assert (scratch_of._draw(toy(), 20, 4) != cells[:20]).any()


def test_cells_of_another_space_are_trained_as_its_cells(rows):
    one_shot = spaces.get("nasbench1shot1_1")
    archs = np.asarray([one_shot.from_index(place) for place in (0, 5000)])
    name, cells = _from_scratch.trained_as(one_shot, archs)
    assert name == "nasbench101"
    assert all(spaces.nasbench101().is_valid(cell) for cell in cells)
    assert _from_scratch.trained_as(toy(), np.zeros((3, 2), np.int32))[0] == "toy"
    with pytest.raises(ValueError, match=r"cells of nats_size have no networks to train from scratch"):
        _from_scratch.trained_as(spaces.get("nats_size"), archs)


def test_recurrent_cells_are_trained_as_cells_of_so_many_nodes():
    archs = np.asarray([[0, 2, 1, 3]], np.int32)
    name, cells = _from_scratch.trained_as(spaces.recurrent(2), archs)
    assert (name, nodes_of_space(spaces.recurrent(2)), nodes_of_space(toy())) == ("recurrent", 2, None)
    np.testing.assert_array_equal(cells, archs)
    _from_scratch.check_trainable(get_recipe("text-quick-4"), spaces.recurrent(9))


def test_texts_refuse_recipes_of_images_in_a_sentence():
    """Also those that divide the images of training and validation anew."""
    text = text_dataset({"train": [["a", "b"]] * 9}, name="few")
    options = argparse.Namespace(from_scratch="darts-50", space="recurrent", nodes=2, split_seed=0)
    with pytest.raises(ValueError, match="the recipe 'darts-50' trains on images; for a text give one such as"):
        _from_scratch.scratch_recipe(options, text)


def test_where_lower_is_better_cells_are_judged_by_that():
    """The same numbers turned round say the same, with what cells are worth in their own unit."""
    rng = np.random.default_rng(0)
    values, shared = rng.normal(50, 5, (1, 12, 2)), rng.normal(50, 5, (1, 3, 12))
    found, random = np.asarray([[0, 1, -1]]), np.arange(2, 12)
    rest = {"log_probability": rng.normal(size=(1, 3, 12)), "costs": rng.normal(size=(2, 12))}
    scratch = FromScratch({}, ("test",), 0, ("m",), np.zeros((12, 2)), found, random, values, shared, **rest)
    turned, lower = scratch._replace(accuracies=-values, shared=-shared), TableMetric("perplexity", "", False)
    (usual,), (other,) = against_drawn(scratch), against_drawn(turned, lower)
    assert (other.best, other.random_best, other.own.mean) == (-usual.best, -usual.random_best, -usual.own.mean)
    assert (other.test, other.low, other.high) == (usual.test, usual.low, usual.high)
    assert best_drawn(turned, lower) == -best_drawn(scratch)
    np.testing.assert_array_equal(scratch_agreement(turned, lower)[0].taus, scratch_agreement(scratch)[0].taus)
    assert scratch_yardsticks(turned, lower) == scratch_yardsticks(scratch)


@pytest.mark.parametrize("operations", [None, "s1"])
def test_cells_of_the_darts_search_network_are_trained_as_genotypes(operations):
    """The search network says of each edge what operation it has, if any; networks read the two inputs of each node."""
    edges, genotypes = edge_space(operations), spaces.darts()
    archs = scratch_of._draw(edges, 3, 0)
    name, cells = _from_scratch.trained_as(edges, archs)
    assert (name, cells.shape, cells.dtype) == ("darts", (3, 32), np.int32)
    assert [genotypes.to_string(cell) for cell in cells] == [edges.to_string(arch) for arch in archs]
    network = make_network(load_dataset("digits"), get_recipe("darts-digits-8"), space=name)
    assert _from_scratch._costs(network, cells).shape == (2, 3)
    _from_scratch.check_trainable(get_recipe("darts-digits-8"), edges)
    with pytest.raises(ValueError, match="may have noise, which networks that are trained from scratch lack; leave"):
        _from_scratch.check_trainable(get_recipe("darts-digits-8"), edge_space("s4"))
    _from_scratch.check_trainable(get_recipe("text-quick-4"), spaces.recurrent(11))  # more nodes than by default


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--random", "3"], "--random is of what is trained from scratch; give --from-scratch RECIPE too"),
        (["--from-scratch", "smal-12"], "there is no recipe 'smal-12'; did you mean 'small-12'?"),
        (["--from-scratch", "small-12:epoch=3"], "the recipe small-12 has no setting 'epoch' (did you mean 'epochs'?)"),
        (["--from-scratch", "small-12:epochs=0"], "the recipe's epochs is 0, expected at least 1"),
        (["--from-scratch", "small-12:batch_size=65"], "64 training images"),
        (
            ["--space", "nasbench101", "--from-scratch", "small101-12:channels=2"],
            "small101-12:channels=2: channels is 2, expected at least 4",
        ),
    ],
)
def test_errors_are_a_sentence(rows, tmp_path, capsys, words, told):
    assert told in fails(capsys, *words, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_trainings_learn_from_the_share_of_their_recipe(tmp_path):
    """A folder that was begun on the splits of the searches goes on so, and says it."""
    dataset, options = load_dataset("digits"), argparse.Namespace(split_seed=0)
    recipe = get_recipe("darts-50")
    trained = _from_scratch._images_of(dataset, recipe, options, tmp_path)
    both = sum(len(dataset.splits[split]) for split in ("train", "validation"))
    share = len(trained.splits["train"])
    assert 0.69 < share / both < 0.71
    assert share + len(trained.splits["validation"]) == both
    told = _from_scratch._share_words(dataset, trained, recipe)
    assert told == f", on {share:,} images: 0.7 of those that the searches learned from or were validated on"
    (tmp_path / "config.json").write_text(json.dumps({"dataset_digest": dataset_digest(dataset)}))
    assert _from_scratch._images_of(dataset, recipe, options, tmp_path) is dataset
    assert "not on the recipe's 0.7" in _from_scratch._share_words(dataset, dataset, recipe)
    assert _from_scratch._images_of(dataset, get_recipe("darts-600"), options, tmp_path) is dataset
