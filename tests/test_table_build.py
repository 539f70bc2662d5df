"""`jnas table build`: which runs make a table, and what the table says of them."""

import json

import numpy as np
import pytest

import jnas
from jnas.commands import _build
from jnas.commands._cli import main
from jnas.spaces import nasbench201, nasbench201_classes, nasbench201_flops
from jnas.tables._file import member
from jnas.training.runs import _jobs
from jnas.training.runs._build import measure_seconds, plan_table
from tests._fewer_stages import stages

SMALL = "--dataset digits --epochs 2 --channels 2 --stage-cells 1 --train-images 64 --eval-images 40 --batch-size 16"


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """The commands of this file differ in their folders: their programs are compiled, and seconds measured, once.

    Networks have one stage.
    """
    programs, seconds, make = {}, [], _jobs.JobPrograms

    def compiled(recipe, network, *told):
        return programs.setdefault(recipe, make(recipe, network, *told))

    def measured(*arguments):
        seconds[:] = seconds or [measure_seconds(*arguments)]
        return seconds[0]

    with stages(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_jobs, "JobPrograms", compiled)
        patch.setattr(_build, "measure_seconds", measured)
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A table of six cells with seed 0, of which three have seed 1 too."""
    folder = tmp_path_factory.mktemp("build")
    words = f"table build -o {folder / 't.npz'} {SMALL} --cells 6 --seeds 2 --repeated 3 --chunk 4".split()
    assert main(words) == 0
    return folder, words


@pytest.mark.slow
def test_a_table_holds_what_was_trained_and_says_what_was_copied(built):
    folder, _ = built
    table = jnas.load_table(folder / "t.npz")
    plan = plan_table(seeds=(0, 1), num_cells=6, num_repeated=3)
    assert table.num_archs == 15_625
    accuracy = table.read(member("accuracy", table.header.trainings[0].dataset, 2, "validation"))
    known = ~np.isnan(accuracy)
    trained = np.unique(plan.cells)
    assert len(trained) == 6
    np.testing.assert_array_equal(known[plan.cells[:6], 0], True)
    np.testing.assert_array_equal(known[plan.cells[6:], 1], True)
    assert known[trained].sum() == 9
    source = table.read(member("trained_as", table.header.trainings[0].dataset, 2))
    np.testing.assert_array_equal(source[trained], trained)
    np.testing.assert_array_equal(known.any(1), np.isin(source, trained))
    np.testing.assert_array_equal(accuracy, accuracy[source])
    assert known.any(1).sum() > 6
    assert any(f"{known.any(1).sum() - 6} cells were not trained" in note for note in table.header.notes)
    assert np.all(table.read(member("train_seconds", table.header.trainings[0].dataset, 2)) > 0)


@pytest.mark.slow
def test_a_copied_cell_is_called_one(built, capsys):
    folder, _ = built
    table = jnas.load_table(folder / "t.npz")
    source = table.read(member("trained_as", table.header.trainings[0].dataset, 2))
    known = np.isin(source, np.unique(plan_table(seeds=(0, 1), num_cells=6, num_repeated=3).cells))
    copied = int(np.flatnonzero(known & (source != np.arange(15_625)))[0])
    assert main(["table", "query", str(folder / "t.npz"), str(copied)]) == 0
    assert f"the numbers of {source[copied]}," in capsys.readouterr().out


@pytest.mark.slow
def test_a_build_goes_on_from_its_chunks_to_the_same_table(built, capsys):
    folder, words = built
    before = dict(np.load(folder / "t.npz"))
    chunk = folder / "t" / "runs" / "chunk-00001.npz"
    chunk.unlink()
    (folder / "t.npz").unlink()
    assert main([*words, "--partial"]) == 0
    partial = jnas.load_table(folder / "t.npz")
    name = member("accuracy", partial.header.trainings[0].dataset, 2, "test")
    assert np.isnan(partial.read(name)).sum() > np.isnan(before[name]).sum()
    assert main(words) == 0
    after = dict(np.load(folder / "t.npz"))
    for name in before:
        if not name.startswith(("header", "train_seconds")):  # where seconds are measured again, they differ
            np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    capsys.readouterr()
    assert main([*words, "--epochs", "3"]) == 2
    assert "holds training runs with another configuration" in capsys.readouterr().err


def test_the_cheapest_of_each_class_is_trained():
    plan = plan_table(seeds=(0,))
    classes = nasbench201_classes("skip_and_zero")
    np.testing.assert_array_equal(classes[plan.trained_as], classes)
    assert len(plan.cells) == len(set(plan.cells.tolist())) == len(np.unique(classes)) == 6_466
    flops = np.array([nasbench201_flops(arch) for arch in plan.archs[:50]])
    for index, cost in enumerate(flops):
        same = np.flatnonzero(classes == classes[index])
        assert nasbench201_flops(plan.archs[plan.trained_as[index]]) <= cost
        assert plan.trained_as[index] in same
    np.testing.assert_array_equal(plan.archs[7], nasbench201().from_index(7))


def test_all_cells_come_first_with_the_first_seed():
    plan = plan_table(seeds=(5, 6, 7), num_cells=20, num_repeated=4)
    assert plan.slots.tolist() == [0] * 20 + [1, 2] * 4
    assert plan.cells[20:].tolist() == np.repeat(plan.cells[:4], 2).tolist()
    assert plan.jobs.seeds[19:22].tolist() == [5, 6, 7]
    np.testing.assert_array_equal(plan.jobs.archs, plan.archs[plan.cells])
    assert len(plan_table(seeds=(0,), copies=False).cells) == 15_625


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--cells 6467", "--num-cells is 6467, expected a number up to 6,466"),
        ("--batch-size 65", "64 training images and a batch takes 65"),
        ("--space nats_size", "there is no space with networks 'nats_size', expected one of nasbench201, nasbench101"),
        ("--recipe nothing", "there is no recipe 'nothing'"),
        ("--dataset nothing.npz", "nothing.npz"),
        ("--num-processes 2", "go together"),
        ("-o /", "is a folder"),
    ],
)
def test_mistakes_are_said_before_any_work(more, said, tmp_path, capsys):
    assert main(f"table build -o {tmp_path / 't.npz'} {SMALL} {more}".split()) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "t").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "config.json").write_text(json.dumps({"format": "jnas-study"}))
    assert main(f"table build -o {tmp_path / 't.npz'} {SMALL}".split()) == 2
    assert "not of training runs" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == ["config.json"]
