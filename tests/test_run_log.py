"""Logs in the formats of other tools: each point once, whatever ends the work; clear words where a package lacks."""

import random
import sys
import types
from collections import Counter

import numpy as np
import pytest

from jnas.commands._cli import main
from jnas.io import _run_log
from jnas.io._run_log import LOG_FORMATS, run_log
from jnas.studies._settings import LOG
from tests._events import scalars

POINTS = {step: {"loss/test": float(np.float32(1 / step)), "accuracy": 10.0 * step} for step in range(1, 8)}
EXPECTED = Counter((step, name, value) for step, seen in POINTS.items() for name, value in seen.items())


def first(count):
    return {step: POINTS[step] for step in range(1, count + 1)}


def test_the_option_offers_what_there_is():
    assert LOG.kind.choices == LOG_FORMATS
    assert not LOG.of_study


def test_every_point_stands_once_however_often_it_is_told_and_wherever_a_kill_comes(tmp_path):
    with run_log("tensorboard", tmp_path / "whole") as log:
        for count in (0, 2, 2, 7):
            log.add("a-seed-0", first(count), {"arch": "|x~0|"}, count == 7)
    [path] = (tmp_path / "whole").glob("tensorboard/a-seed-0/*")
    data = path.read_bytes()
    assert scalars(path.parents[1]) == {"a-seed-0": EXPECTED}
    rng = random.Random(0)
    for cut in [0, 1, 11, 12, len(data) - 1, len(data), *(rng.randrange(len(data)) for _ in range(30))]:
        path.write_bytes(data[:cut])
        with run_log("tensorboard", tmp_path / "whole") as log:
            log.add("a-seed-0", POINTS, {"arch": "|x~0|"}, True)
            log.add("b-seed-0", first(1), {}, False)
        found = scalars(path.parents[1])
        assert found["a-seed-0"] == EXPECTED, cut
        assert sum(found["b-seed-0"].values()) == 2
        assert b"|x~0|" in path.read_bytes()


def test_a_damaged_log_is_said(tmp_path):
    path = tmp_path / "tensorboard" / "run" / "events.out.tfevents.0.jnas"
    path.parent.mkdir(parents=True)
    path.write_bytes((3).to_bytes(8, "little") + b"\0" * 4 + b"\xff" * 7)
    with run_log("tensorboard", tmp_path) as log, pytest.raises(ValueError, match=r"jnas is damaged .*logged anew"):
        log.add("run", POINTS, {}, True)


class Wandb(types.ModuleType):
    """Stands in for the package: what its runs were told, by their identity."""

    def __init__(self):
        super().__init__("wandb")
        self.told, self.open, self.begun = {}, set(), []

    def init(self, *, project, name, id, dir, config, resume, reinit):
        assert (resume, reinit) == ("allow", "create_new")
        self.begun.append((project, name, id, config))
        self.open.add(id)
        told = self.told.setdefault(id, [])

        def log(values, step):
            assert id in self.open
            assert not told or step > told[-1][0], "the package drops what goes back"
            told.append((step, values))

        return types.SimpleNamespace(log=log, finish=lambda: self.open.remove(id))


def test_weights_and_biases_gets_each_point_once_and_its_runs_go_on(tmp_path, monkeypatch):
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    folder = tmp_path / "runs"
    for counts in ((0, 3, 3), (2, 5), (7, 7)):
        with run_log("wandb", folder) as log:
            for count in counts:
                for run in ("a-seed-0", "a-seed-1"):
                    log.add(run, first(count), {"arch": "x"}, count == 7)
        assert not wandb.open
    assert list(wandb.told.values()) == [list(POINTS.items())] * 2
    assert len(wandb.begun) == 6
    assert {each[:2] for each in wandb.begun} == {("jnas-runs", "a-seed-0"), ("jnas-runs", "a-seed-1")}
    assert all(each[3] == {"arch": "x"} for each in wandb.begun)


@pytest.mark.parametrize("name", LOG_FORMATS)
@pytest.mark.parametrize(
    "words", [("train", "0"), ("table", "build", "-o", "t.npz"), ("supernet", "enas"), ("search",)]
)
def test_without_its_package_nothing_begins(name, words, tmp_path, monkeypatch, capsys):
    def missing(module):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module.partition(".")[0])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_run_log, "importlib", types.SimpleNamespace(import_module=missing))
    assert main([*words, "--log", name]) == 2
    err = capsys.readouterr().err
    assert f"--log {name} needs the package {_run_log._PACKAGES[name]}, which is not installed; pip install" in err
    assert not list(tmp_path.iterdir())
