"""Messages for what is given in the wrong form name what a user can give instead. 7 CPU-seconds."""

import bz2
import pickle

import jax
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces
from jnas.commands import _study
from jnas.commands._cli import main

SPACE = spaces.categorical((3, 3, 3), name="mine")
NUMBERS = np.linspace(50, 90, 27)


@pytest.fixture
def mine(tmp_path):
    """Paths of a table of a user's own space, and of one with a test split alone."""
    paths = {}
    for split in ("validation", "test"):
        paths[split] = str(tmp_path / f"{split}.npz")
        jnas.save_table(jnas.make_table(SPACE, accuracy={split: NUMBERS}), paths[split])
    return paths


def test_all_searchers_are_all_that_can_search_and_the_others_are_named(mine, monkeypatch, capsys):
    plans = []
    monkeypatch.setattr(_study, "carry_out_and_tell", lambda options, name, plan, *others: plans.append(plan))
    monkeypatch.setattr(_study, "_complain_of_nothing", lambda results: None)
    assert main(["study", "--table", mine["validation"], "--searchers", "all"]) == 0
    assert "note: without nasbot, bonas and gcn_predictor: the space mine has no features nasbot and graph" in (
        capsys.readouterr().out
    )
    assert set(searchers.names()) - set(plans[0].searchers) == {"nasbot", "bonas", "gcn_predictor"}
    assert main(["study", "--table", "digits", "--searchers", "all"]) == 0
    assert "without" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nasbot", "bonas:batch_size=3", "gcn_predictor"])
def test_a_searcher_that_cannot_search_is_to_be_left_out(name, mine, capsys):
    assert main(["study", "--table", mine["validation"], "--searchers", name]) == 2
    told = capsys.readouterr().err
    assert f"{name} cannot search here: the space mine has no features" in told
    assert told.rstrip().endswith("; leave it out of --searchers")


@pytest.mark.parametrize("command", ["study", "predictors"])
def test_a_split_that_is_there_is_named(command, mine, capsys):
    assert main([command, "--table", mine["test"]]) == 2
    assert "this table has no validation accuracy of data with 1 epoch; give --split test\n" in capsys.readouterr().err


def test_fidelities_are_asked_for_where_they_are_given():
    halving = searchers.successive_halving(SPACE, budgets=(1, 3))
    with pytest.raises(
        ValueError, match=r"2 fidelities .* give them as fidelities, for example fidelities=\(12, 200\)"
    ):
        jnas.search(halving, lambda candidate: 1.0, jax.random.key(0), max_evaluations=3)
    objective = jnas.function_objective(lambda key, arch: 1.0)
    with pytest.raises(ValueError, match=r"a table's with epochs=\(12, 200\), or function_objective with fidelities="):
        jnas.search(halving, objective, jax.random.key(0), max_evaluations=3)


@pytest.mark.parametrize("name", ["000007.pickle.pbz2", "meta.pickle.pbz2"])
def test_one_file_of_a_folder_is_not_the_folder(name, tmp_path, capsys):
    held = {"12": {}} if name.startswith("0") else {"meta_archs": ["|none~0|"]}
    if name.startswith("meta"):
        space = spaces.nasbench201()
        archs = np.asarray(jax.jit(jax.vmap(space.from_index))(np.arange(space.size)))
        held = {"meta_archs": [space.to_string(arch) for arch in archs]}
    (tmp_path / name).write_bytes(bz2.compress(pickle.dumps(held)))
    assert main(["table", "import", "nats-bench", str(tmp_path / name), "-o", str(tmp_path / "t.npz")]) == 2
    assert capsys.readouterr().err.endswith(f"; pass the folder that it comes from ({tmp_path})\n")


@pytest.mark.parametrize("name", ["numbers.csv", "numbers.npz"])
def test_text_is_no_archive_of_arrays(name, tmp_path, capsys):
    (tmp_path / name).write_text("arch,accuracy\n0,90.1\n")
    words = ["table", "import", "arrays", str(tmp_path / name), "--space", "nasbench201"]
    assert main([*words, "-o", str(tmp_path / "t.npz")]) == 2
    told = capsys.readouterr().err
    assert "`jnas table import csv`" in told
    assert "pickle" not in told
