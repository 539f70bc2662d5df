"""The one machinery of studies, by a kind that jnas does not have; and what holds for the folders of every kind."""

import subprocess
import sys
import textwrap
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.commands._cli import main
from jnas.io._lock import alone_in
from jnas.io._tree import as_members, check_members, fill, find_leaves
from jnas.studies import _load
from jnas.tables._make import make_table
from tests import _toy_study
from tests._descriptions import read_said, write_said
from tests._toy_study import KIND, proxy_study

ACCURACY = np.random.default_rng(0).uniform(50, 90, 27).astype(np.float32)
TABLE = make_table(spaces.categorical((3, 3, 3)), accuracy={"validation": ACCURACY}, dataset="data", epochs=5)
TRUE = jnp.asarray(ACCURACY)
PROXIES = {
    "truth": lambda archs: TRUE[TABLE.index(archs)],
    "opposite": lambda archs: -TRUE[TABLE.index(archs)],
    "first": lambda archs: archs[:, 0] + 0.1 * archs[:, 1],
}


def go(out=None, proxies=PROXIES, **changes):
    return proxy_study(proxies, TABLE, dataset="data", epochs=5, out=out, **changes)


def same(one, other):
    assert one.config == other.config
    assert list(one.correlations) == list(other.correlations)
    for name, values in one.correlations.items():
        np.testing.assert_array_equal(values, other.correlations[name])


def test_the_toy_is_short_and_its_numbers_are_right():
    assert len(Path(_toy_study.__file__).read_text().splitlines()) < 120
    found = go().correlations
    np.testing.assert_allclose(found["truth"], 1)
    np.testing.assert_allclose(found["opposite"], -1)
    assert (np.abs(found["first"]) < 1).all()
    np.testing.assert_array_equal(go(num_seeds=7).correlations["first"][:5], found["first"])


def test_a_killed_study_goes_on_to_the_same_result_and_is_reported(tmp_path, monkeypatch, capsys):
    whole, out, ran = go(tmp_path / "whole"), tmp_path / "killed", []

    def correlate(plan, name, correlate=_toy_study.correlate):
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(name)
        return correlate(plan, name)

    with monkeypatch.context() as patch:
        patch.setattr(_toy_study, "correlate", correlate)
        with pytest.raises(KeyboardInterrupt):
            go(out)
    assert sorted(p.name for p in (out / "proxies").iterdir()) == ["opposite.npz", "truth.npz"]
    litter = [out / "proxies" / ".first.npz.abcd1234.part", out / ".summary.csv.abcd1234.part"]
    dear = [out / "proxies" / ".other.npz.abcd1234.part", out / ".lock.tex"]
    for path in litter + dear:
        path.write_text("half")
    monkeypatch.setitem(_load.KINDS, KIND.folder.format, KIND)
    assert main(["report", str(out)]) == 0
    assert "is not finished: without first" in capsys.readouterr().err
    lines = []
    same(go(out, log=lines.append), whole)
    assert lines[0].startswith("3 proxy scores x 5 seeds")
    assert lines[1].startswith("estimate: about 1 s, not knowing how fast first will be")
    assert not any(path.exists() for path in litter)
    assert all(path.exists() for path in dear)
    lines.clear()
    with monkeypatch.context() as patch:
        patch.setattr(_toy_study, "KIND", KIND._replace(memory=lambda plan: 2e9))
        go(tmp_path / "large", log=lines.append)
    assert lines[1].endswith("; its results take about 2 GB of memory")
    lines.clear()
    same(go(out, log=lines.append), whole)
    assert lines[1:] == ["all of it was done before"]
    for name in KIND.outputs:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_bytes() == page
    assert main(["report", str(out), str(out), "-o", str(tmp_path / "both.html")]) == 2
    assert "a study of proxies cannot be compared with other studies" in capsys.readouterr().err


def test_other_work_and_damage_are_said(tmp_path):
    go(tmp_path / "a")
    with pytest.raises(
        ValueError, match=r"another configuration: num_seeds is 5 there and 6 here\. Give another --out"
    ):
        go(tmp_path / "a", num_seeds=6)
    (tmp_path / "a" / "proxies" / "first.npz").write_bytes((tmp_path / "a" / "proxies" / "truth.npz").read_bytes())
    with pytest.raises(ValueError, match=r"first\.npz is not of this study; delete it"):
        go(tmp_path / "a")
    write_said(tmp_path / "a", {**read_said(tmp_path / "a"), "config": {"proxies": 3}})
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        _load.load_folder(KIND, tmp_path / "a")


def test_a_folder_of_training_runs_has_a_sentence(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"format": "jnas-training", "version": 1, "versions": {}}')
    assert main(["report", str(tmp_path)]) == 2
    assert "holds training runs, which have no page: the command that made" in capsys.readouterr().err


def test_two_processes_are_not_in_one_folder(tmp_path):
    """Another process is told so; one that was killed hinders nobody, though its file is still there."""
    program = """
        import sys, time
        from pathlib import Path
        from jnas.io._lock import alone_in
        with alone_in(Path(sys.argv[1])):
            print("held", flush=True)
            time.sleep(60)
    """
    (tmp_path / "out").mkdir()
    words = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "out")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        told = rf"another process \({other.pid} on .+\) is at work in .*out; wait until it has ended"
        with pytest.raises(OSError, match=told):
            go(tmp_path / "out")
        assert not (tmp_path / "out" / "config.json").exists()
        other.kill()
    assert (tmp_path / "out" / ".lock").exists()
    same(go(tmp_path / "out"), go())
    assert not (tmp_path / "out" / ".lock").exists()
    with alone_in(tmp_path), pytest.raises(BlockingIOError), alone_in(tmp_path):
        pass
    with alone_in(tmp_path, ".lock-0"), alone_in(tmp_path, ".lock-1"):
        pass


def test_trees_are_members_of_archives():
    import jax

    tree = {"key": jax.random.key(3), "x": jnp.arange(3), "y": np.float64(2)}
    members = as_members(tree, "leaf_")
    assert sorted(members) == ["leaf_0", "leaf_1", "leaf_2"]
    again = fill(tree, find_leaves(members, tree, "leaf_"), place=False)
    assert jax.random.bits(again["key"]) == jax.random.bits(tree["key"])
    np.testing.assert_array_equal(again["x"], tree["x"])
    with pytest.raises(ValueError, match="it has no other_0"):
        find_leaves(members, tree, "other_")
    with pytest.raises(ValueError, match=r"leaf_1 is int32\[3\], expected int32\[4\]"):
        find_leaves(members, {**tree, "x": jnp.arange(4)}, "leaf_")
    check_members({"a": np.zeros((2, 3)), "b": np.zeros((3, 4), int)}, {"a": "f S T", "b": "i T 4"}, {"S": 2})
    for wrong in ({"a": "i S T"}, {"a": "f S"}, {"a": "f S S"}, {"a": "f S T 4"}, {"c": "f"}):
        with pytest.raises(ValueError, match=r"a is float64\[2, 3\], expected \[|it has no c"):
            check_members({"a": np.zeros((2, 3))}, wrong)
