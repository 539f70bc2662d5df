"""`jnas supernet` as a user types it, on a supernet that compiles at once, and once on the real one."""

import csv
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.commands import _supernet
from jnas.commands._cli import main
from jnas.commands._study_options import _SUPERNET
from jnas.core._vocabulary import Supernet
from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names
from jnas.spaces._registry import SPACES
from jnas.spaces.nasbench101._cells import OPERATIONS
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.spaces.nasbench101._space import nasbench101
from jnas.spaces.nasbench201._space import nasbench201
from jnas.studies._load import load_results
from jnas.studies.supernets._results import INFOS
from jnas.studies.supernets._settings import SUPERNET_SETTINGS
from jnas.tables._load import load_table, save_table
from jnas.tables._make import make_table
from jnas.training.networks._families import FAMILIES, make_supernet
from tests._events import scalars
from tests._fewer_stages import stacks, stages

SMALL = ("--train-images", 40, "--eval-images", 20, "--batch-size", 16, "--candidates", 4, "--channels", 2)


def quick_supernet(dataset, *, channels, cells, space, rematerialize=False):
    """A linear classifier whose logits a cell scales: the more convolutions, the larger."""
    size, gains = int(np.prod(dataset.image_shape)), np.asarray([0.0, 0.2, 0.5, 0.8, 0.3], np.float32)

    def logits(parameters, gain, images):
        return gain * images.reshape(len(images), -1) @ parameters["kernel"]

    def mixture(parameters, statistics, weights, images):
        return logits(parameters, jnp.sum(weights * gains[None]), images), jnp.zeros(())

    def sampled(parameters, statistics, arch, images):
        return logits(parameters, jnp.sum(jnp.asarray(gains)[arch]), images), jnp.zeros(())

    def straight_through(parameters, statistics, weights, arch, images):
        return mixture(parameters, statistics, weights, images)

    def init(key):
        return {"kernel": 0.1 * jax.random.normal(key, (size, dataset.num_classes))}, jnp.zeros(())

    def running(statistics, used, keep, shape, arch=None):
        return statistics

    return Supernet(init, mixture, sampled, straight_through, running, nasbench201(), "switch")


@pytest.fixture
def in_this_process(monkeypatch):
    """JAX has started already: leave its settings as they are."""
    monkeypatch.setattr(_supernet, "prepare_devices", lambda options, most: None)


@pytest.fixture
def quick(monkeypatch, in_this_process):
    monkeypatch.setattr(_supernet, "make_supernet", quick_supernet)


@pytest.fixture(scope="module")
def small_cells(tmp_path_factory):
    """A table of the seven cells of up to three vertices."""
    space, path = nasbench101("uniform", max_vertices=3), tmp_path_factory.mktemp("small") / "small.npz"
    accuracy, cells = np.linspace(60.0, 90.0, 7)[:, None], nasbench101_cells(3).astype(np.int32)
    save_table(make_table(space, archs=cells, accuracy={"test": accuracy}, dataset="digits", epochs=3), path)
    return path


def fails(capsys, *words):
    try:
        status = main([*map(str, words)])
    except SystemExit as end:  # argparse
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in err
    assert not out
    return err


def check_log(out, rows):
    """What epochs.csv says of losses, accuracies, the table's and the Hessian is in the log, once."""
    names = {"table/digits-validation-8": "digits validation 8", "table/digits-test-8": "digits test 8"}
    names |= {name: name for name in (*INFOS, "one_shot_score", "hessian_eigenvalue")}
    expected = {}
    for row in rows:
        run = expected.setdefault(f"{row['method']}-seed-{row['seed']}", {})
        run |= {(int(row["epoch"]), n): float(row[c]) for n, c in names.items() if row[c] not in ("", "nan")}
    found = scalars(out / "tensorboard")
    assert found.keys() == expected.keys()
    for name, run in found.items():
        assert sorted((step, tag) for step, tag, _ in run.elements()) == sorted(expected[name])
        for step, tag, value in run:
            assert value == pytest.approx(expected[name][step, tag], rel=1e-4)


def test_a_study_from_the_command_line(quick, tmp_path, capsys, monkeypatch):
    out = tmp_path / "searches"
    words = ["supernet", "gdas,rsps", "--epochs", 2, "--seeds", 2, "--one-shot", 30, *SMALL, "--out", out]
    words = [*map(str, words), "--hessian", "--selection", "same_batches"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert not told.err
    first = told.out.splitlines()[0]
    assert first.startswith("2 methods x 2 seeds on digits-train40-validation20-test20 (40 training")
    assert "2 channels, 3 cells; gdas 2 epochs and rsps 2 epochs" in first
    told_of = ("Share of random searches that are worse", "of 15,625", f"ranking: {out / 'ranking.csv'}")
    for word in (*told_of, "random cell", "optimum", "Kendall's tau with the table", f"report: {out / 'report.html'}"):
        assert word in told.out
    config = json.loads((out / "config.json").read_text())["config"]
    assert config["epochs"] == {"gdas": 2, "rsps": 2}
    assert config["batch_size"] == {"gdas": 16, "rsps": 16}
    assert config["settings"] == {"rsps": {"comparison": "same_batches", "num_candidates": 4}}
    assert config["table_name"] == load_table("digits").header.name

    with (out / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = [(r["method"], r["seed"], r["epoch"]) for r in rows[:3]]
    assert first == [("gdas", "0", "1"), ("gdas", "0", "2"), ("gdas", "1", "1")]
    table = load_table("digits")
    for row in rows:
        index = table.index(row["arch"])
        value = table.accuracy(int(index), dataset="digits", split="test", epochs=8, seed="mean")
        assert float(row["digits test 8"]) == pytest.approx(float(value), rel=1e-5)
        assert int(row["skip_connections"]) == row["arch"].count("skip_connect") == int(row["skip_connect"])
        assert (row["hessian_eigenvalue"] != "") == (row["method"] == "gdas")
    with (out / "one_shot.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 4 * 2 * 2
    page = (out / "report.html").read_text()
    assert "Table 7 of the paper" in page
    assert "Largest eigenvalue of the Hessian" in page

    assert main([*words, "--log", "tensorboard"]) == 0  # what was done is logged too
    assert "all of it was done before" in capsys.readouterr().out
    check_log(out, rows)
    monkeypatch.chdir(tmp_path)
    compared_with_a_study(out, page, capsys)


def compared_with_a_study(out, page, capsys):
    """Searches of both kinds in one report, whose axes hold one kind of seconds each."""
    assert main(["report", str(out), "-o", "own.html"]) == 0
    with open("own.html") as file:
        assert file.read() == page
    assert main(["study", "--searchers", "random_search", "--seeds", "3", "--evaluations", "5", "--out", "study"]) == 0
    assert main(["report", "study", str(out)]) == 0
    assert not capsys.readouterr().err
    with open("jnas-report.html") as file:
        text = file.read()
    assert "These studies have different columns" not in text
    for label in ("A · random_search", "B · gdas", "B · rsps", "random cell"):
        assert label in text
    assert "Accuracy against the number of epochs." in text
    assert "Accuracy against measured seconds." in text
    assert "Against all cells" in text
    searched = load_results("study")[0].searchers[0]
    test = np.asarray(load_table("digits").runs("accuracy", "digits", "test", 8, "mean").value[:, 0])
    assert searched.ranks[1].tolist() == [1 + int((test > value).sum()) for value in searched.final[1]]
    assert searched.num_archs.tolist() == [15_625, 15_625]
    finals = [found for found, _ in map(load_results, ("study", out))]
    assert [r.name for r in finals[1].methods] == ["gdas", "rsps"]


def test_published_epochs_and_batches_are_the_defaults(quick, tmp_path, capsys, monkeypatch):
    plans = []

    def stop(plan, **options):
        plans.append(plan)
        raise ValueError("enough")

    monkeypatch.setattr("jnas.commands._supernet.carry_out_supernets", stop)
    assert "enough" in fails(capsys, "supernet", "all", "--controller-steps", 3, "--out", tmp_path / "a")
    config = plans[0].config
    assert set(config["epochs"].values()) == {50}
    assert config["batch_size"] == {name: 128 if name == "enas" else 64 for name in config["methods"]}
    assert len(config["methods"]) == 6
    assert plans[0].methods["enas"].searcher.extra_steps == 60
    assert (config["channels"], config["cells"], config["one_shot"]) == (4, 3, 1000)

    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (400, 4, 4, 1)).astype(np.uint8)
    labels = np.arange(400) % 2
    arrays = {"train_images": images, "train_labels": labels, "validation_images": images, "validation_labels": labels}
    np.savez(tmp_path / "own.npz", **arrays)
    own = ("--dataset", tmp_path / "own.npz", "--train-share", 0.8)
    fails(capsys, "supernet", "darts-v1,gdas", *own, "--out", tmp_path / "b")
    config = plans[1].config
    assert config["epochs"] == {"darts-v1": 50, "gdas": 250}
    assert (config["train_images"], config["split_images"]) == (640, 160)
    assert (config["channels"], config["cells"], config["one_shot"], config["table_name"]) == (16, 5, 0, None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["pc_darts"],
            "there is no weight-sharing searcher 'pc_darts'; did you mean 'pc-darts'? expected one of darts-v1, ",
        ),
        ([","], "expected names with commas between them"),
        (["rsps", "--seeds", "0"], "--seeds: expected an integer of at least 1, not '0'"),
        (["rsps", "--train-images", "20"], "has 20 training images and a batch takes 64; give a smaller --batch-size"),
        (["rsps", "--train-share", "2"], "--train-share: expected a number between 0 and 1, not '2'"),
        (["rsps", "--selection", "best"], "invalid choice: 'best'"),
        (
            ["gdas", "--candidates", "5"],
            "--num-candidates is given, and none of gdas takes it",
        ),
        (["gdas,rsps", "--controller-steps", "3"], "--controller-steps is given, and none of gdas, rsps takes it"),
        (["rsps", "--hessian"], "hessian is asked for, and none of rsps has architecture parameters"),
        (["rsps", "--one-shot", "-1"], "expected an integer of at least 0"),
        (["rsps", "--dataset", "nowhere"], "nowhere"),
        (["rsps", "--table", "nowhere.npz"], "nowhere.npz"),
        (["rsps", "--seed", str(2**32)], "argument --seed: expected an integer from 0 to 4294967295"),
        ([], "METHOD,METHOD"),
    ],
)
def test_errors_are_a_sentence(quick, tmp_path, capsys, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert told in fails(capsys, "supernet", *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--vertices", "4"],
            "the table has a part of the space 'nasbench101' alone, and the supernet more; pass a",
        ),
        (["--pool", "8"], "pool is 8, and the table knows 7 cells; expected no more than these"),
        (["--table", "digits"], "the table is of the space 'nasbench201', the supernet of 'nasbench101'"),
        (["--space", "nasbench201", "--vertices", "3"], "nasbench201"),
        (
            ["--test-selection", "--dataset", "own.npz"],
            "--test-selection is asked for, and the data set 'own-train40-validation20' has no",
        ),
        (["--vertices", "2"], "--vertices: expected an integer from 3 to 7"),
    ],
)
def test_tables_and_pools_that_do_not_fit_are_a_sentence(
    in_this_process, tmp_path, capsys, monkeypatch, small_cells, words, told
):
    def supernet(dataset, *, vertices=7, **sizes):
        return quick_supernet(dataset, **sizes)._replace(space=nasbench101("uniform", max_vertices=vertices))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_supernet, "make_supernet", supernet)
    images, labels = np.zeros((200, 4, 4, 1), np.uint8), np.arange(200) % 2
    splits = {f"{s}_{kind}": v for s in ("train", "validation") for kind, v in (("images", images), ("labels", labels))}
    np.savez("own.npz", **splits)
    usual = ["rsps", "--space", "nasbench101", "--table", small_cells, *SMALL]
    if "nasbench201" in words:
        monkeypatch.setattr(_supernet, "make_supernet", make_supernet)
    assert told in fails(capsys, "supernet", *usual, *words, "--out", "out")
    assert not (tmp_path / "out").exists()


def test_a_cell_outside_the_sub_space_is_a_sentence():
    text = nasbench101().to_string(nasbench101_cells(5)[500])
    with pytest.raises(ValueError, match="has 5 vertices, input and output among them, expected at most 4 in this sub"):
        nasbench101(max_vertices=4).from_string(text)


def test_one_shot_needs_a_table(quick, tmp_path, capsys):
    images = np.zeros((200, 4, 4, 1), np.uint8)
    labels = np.arange(200) % 2
    splits = {f"{s}_{kind}": v for s in ("train", "validation") for kind, v in (("images", images), ("labels", labels))}
    np.savez(tmp_path / "own.npz", **splits)
    err = fails(capsys, "supernet", "rsps", "--dataset", tmp_path / "own.npz", "--one-shot", 5)
    assert "--one-shot needs a table to compare with" in err


def test_a_folder_without_a_table_is_not_compared(quick, tmp_path, capsys):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (60, 4, 4, 1)).astype(np.uint8), np.arange(60) % 2
    splits = {f"{s}_{kind}": v for s in ("train", "validation") for kind, v in (("images", images), ("labels", labels))}
    np.savez(tmp_path / "own.npz", **splits)
    out = tmp_path / "out"
    words = ["rsps", "--dataset", tmp_path / "own.npz", "--epochs", 2, "--look-every", 2, *SMALL, "--out", out]
    assert main(["supernet", *map(str, words)]) == 0
    assert "rsps, seed 2  |" in capsys.readouterr().out
    assert "There was no table" in (out / "report.html").read_text()
    assert "run `jnas supernet` with --table" in fails(capsys, "report", out, out, "-o", tmp_path / "both.html")


def test_methods_are_listed(capsys):
    assert main(["supernet", "help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["darts-v1", "darts-v2", "pc-darts", "gdas", "setn", "enas", "rsps"]
    assert [line.split()[0] for line in lines[:7]] == names
    assert "250 epochs, batches of 128" in lines[5]
    assert main(["supernet", "help", "--space", "nasbench101"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("enas "))
    assert "200 epochs, batches of 160" in line
    assert "its last 200 cells compared" in line


def test_help_names_every_method_and_space():
    words = re.split(r"[ ,.\n]+", _SUPERNET)
    titles = {SPACES.entry(row.name).title.partition(",")[0] for row in FAMILIES.rows.values() if row.supernet}
    assert {*weight_sharing_names()} <= {*words}
    assert all(f" {title} " in f" {' '.join(words)} " for title in titles)


def test_help_says_how_long_each_method_was_published():
    (told,) = (setting.help for setting in SUPERNET_SETTINGS if setting.name == "epochs")
    of_200 = told.partition("; 200 of ")[2].partition(";")[0]
    for name in weight_sharing_names():
        usual, there = (weight_sharing_entry(name, space).epochs for space in (None, "nasbench101"))
        own = re.search(rf"\b{name}\b( on nasbench101)?", of_200)
        assert own is None if there != 200 else (own[1] is None) == (usual == 200), name


@pytest.mark.slow
def test_the_supernet_of_nasbench201(in_this_process, tmp_path, capsys):
    words = ["rsps", "--epochs", 1, "--seeds", 2, "--cells", 1, "--one-shot", 0, *SMALL, "--out", tmp_path / "out"]
    with stages(1):
        assert main(["supernet", *map(str, words)]) == 0
    told = capsys.readouterr()
    assert not told.err
    found, missing = load_results(tmp_path / "out")
    assert missing == []
    assert np.isfinite(found.methods[0].record.info[:, 0, :2]).all()
    assert np.isfinite(found.methods[0].values).all()


@pytest.mark.slow
def test_the_supernet_of_nasbench101(in_this_process, tmp_path, capsys, monkeypatch):
    """A table of few vertices says of how many the supernet is, and judges its cells and what it makes of each."""
    space, path, out = nasbench101("uniform", max_vertices=3), tmp_path / "small.npz", tmp_path / "searches"
    accuracy = np.linspace(60.0, 90.0, 7)[:, None]
    cells = nasbench101_cells(3).astype(np.int32)
    save_table(make_table(space, archs=cells, accuracy={"test": accuracy}, dataset="digits", epochs=3), path)
    monkeypatch.setattr(_supernet, "_POLICIES", ("batch",))
    words = ["fairnas", "--space", "nasbench101", "--table", path, "--epochs", 1, "--seeds", 1, "--one-shot", "all"]
    words = ["supernet", *map(str, words), *map(str, SMALL[:-2]), "--out", str(out)]
    assert main([*words, "--channels", "4", "--vertices", "4"]) == 2
    told = "the table has a part of the space 'nasbench101' alone, and the supernet more; pass a table of more cells"
    assert told in capsys.readouterr().err
    assert main([*words, "--channels", "3"]) == 2
    assert "channels is 3, expected at least 4" in capsys.readouterr().err
    with stacks(1):
        assert main([*words, "--channels", "4"]) == 0, capsys.readouterr().err
    (found,) = load_results(out)[0].methods
    assert np.isfinite(found.record.info[:, :, :2]).all()
    assert found.values[0, 0, -1] in accuracy.astype(np.float32)
    assert sorted(found.one_shot.archs.tolist()) == sorted(cells.tolist())
    assert len(np.unique(found.one_shot.accuracies)) > 1
    config = json.loads((out / "config.json").read_text())["config"]
    assert (config["space"], config["vertices"], config["channels"], config["cells"]) == ("nasbench101", 3, 4, 1)
    with (out / "epochs.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert sum(int(row[name]) for name in OPERATIONS) == 1  # of the one vertex
    assert "Kendall" in (out / "report.html").read_text()
