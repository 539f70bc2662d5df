"""Seeds divided among devices give what one device gives: keys on a mesh, studies, any number of members."""

import argparse
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jnas
from jnas.commands import _training_setup
from jnas.commands._cli import main
from jnas.core._devices import divided_for
from jnas.core._versions import SAME, check_versions, versions
from jnas.studies.supernets import _study as supernets
from jnas.studies.supernets._plan import supernet_methods
from jnas.training.runs import _jobs as jobs
from tests._processes import start
from tests._toy_supernet import TOY, toy_dataset

STUDY = ["study", "--searchers", "random_search,regularized_evolution", "--num-seeds", "11", "--max-evaluations", "20"]
SPACE = jnas.spaces.categorical((3, 4, 5))


def searches(keys):
    """Runs that differ in length, on a function."""
    searcher = jnas.searchers.regularized_evolution(SPACE, population_size=4, sample_size=2)
    objective = jnas.function_objective(lambda key, arch: arch.sum() + jax.random.uniform(key), seconds=60.0)
    return jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=15))(keys)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def studies(folder):
    """Studies of numbers of seeds that eight devices cannot share evenly."""
    status = main([*STUDY, "--out", str(folder)])
    accuracy = np.random.default_rng(0).uniform(50, 90, 60).astype(np.float32)
    table = jnas.make_table(SPACE, accuracy={"validation": accuracy}, dataset="data", epochs=1)
    predictors = {"line": jnas.searchers.predictors.bayesian_linear_regression()}
    few = {"encodings": ("one_hot",), "train_sizes": (8,), "test_cells": 12, "num_seeds": 5}
    fits = jnas.predictor_study(predictors, table, dataset="data", epochs=1, **few)
    found = {"predictors": fits.fits["line", "one_hot", 8].mean}
    images = toy_dataset(count=100)
    methods = supernet_methods(
        ("rsps",), TOY, images, epochs=1, batch_size=32, selection={"num_candidates": 4, "batch_size": 20}
    )
    for seeds in (5, 11):
        record = jnas.supernet_study(methods, TOY, images, num_seeds=seeds).methods[0].record
        found |= {f"info {seeds}": record.info, f"archs {seeds}": record.archs}
    np.savez(folder / "others.npz", **found)
    return status


def on_devices(folder, devices):
    """All checks that need several devices, in one process."""
    jax.config.update("jax_num_cpu_devices", devices)
    assert jax.local_device_count() == devices
    mesh = jax.make_mesh((devices,), ("s",))  # with explicit axes
    keys = jax.random.split(jax.random.key(0), 2 * devices)
    sharded = jax.device_put(keys, NamedSharding(mesh, PartitionSpec("s")))
    expected = jax.jit(searches)(keys)
    found = jax.jit(searches)(sharded)
    same(expected, found)
    assert found.score.sharding.spec[0] == "s"  # seeds stay where they are
    with jax.set_mesh(mesh):
        same(expected, jax.jit(searches)(sharded))
    pairs = jax.device_put(keys.reshape(devices, 2), NamedSharding(mesh, PartitionSpec("s")))
    same(expected, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.jit(jax.vmap(searches))(pairs)))

    def member(shared, each):
        return jax.vmap(lambda x: (x * shared["factor"], jnp.sum(x)))(each)

    for count in (1, 5, 8, 11):
        each = jnp.arange(3.0 * count).reshape(count, 3)
        same(member({"factor": 2.0}, each), divided_for(member, 1, count)({"factor": 2.0}, each))
    return studies(folder)


@pytest.mark.slow
def test_eight_devices_give_what_one_gives(tmp_path):
    ended = start(on_devices, tmp_path / "several", 8, output=tmp_path / "told").wait()
    assert ended.returncode == 0, ended.stderr
    assert studies(tmp_path / "one") == 0
    others = [np.load(tmp_path / folder / "others.npz") for folder in ("one", "several")]
    for name in others[0].files:  # which may round differently
        np.testing.assert_allclose(others[0][name], others[1][name], rtol=1e-4, atol=1e-4, err_msg=name)
    files = sorted((tmp_path / "one" / "traces").iterdir())
    assert len(files) == 2
    for file in files:
        one, several = np.load(file), np.load(tmp_path / "several" / "traces" / file.name)
        assert one.files == several.files
        for name in set(one.files) - {"header"}:
            np.testing.assert_array_equal(one[name], several[name], err_msg=name)
    # Which devices there were is nothing that results depend on: the other number of them takes the folder up.
    files[0].with_name("random_search.npz").unlink()
    assert main([*STUDY, "--out", str(tmp_path / "several")]) == 0


def test_the_precision_of_products_is_part_of_what_results_depend_on(monkeypatch):
    usual = versions()
    assert "precision" not in usual["compiler_options"]  # as folders have it that were begun before
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])  # which is changed, and as it was afterwards
    set_to = []
    monkeypatch.setattr(jax.config, "update", lambda name, value: set_to.append((name, value)))
    monkeypatch.setattr(_training_setup, "use_compilation_cache", lambda: None)
    told = {"coordinator": None, "num_processes": None, "process_id": None, "distributed": False}
    _training_setup.prepare_devices(argparse.Namespace(**told, precision="tf32"))
    assert ("jax_default_matmul_precision", "tensorfloat32") in set_to
    with jax.default_matmul_precision("tensorfloat32"):
        now = versions()
        assert now["compiler_options"] != usual["compiler_options"]
        for same in (SAME, jobs._SAME, supernets._SAME):
            with pytest.raises(ValueError, match="matmul_precision"):
                check_versions(usual, now, same)
    first = {name: version for name, version in usual.items() if name != "compiler_options"}
    check_versions(first, usual, jobs._SAME)  # which folders of the first trainings do not tell
