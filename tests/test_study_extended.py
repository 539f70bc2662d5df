"""A study that goes on in its folder with more seeds or searchers. 9 CPU-seconds."""

import jax
import numpy as np
import pytest

import jnas
from jnas import searchers, spaces
from jnas.studies.search import _extend, _run

SPACE = spaces.categorical((3, 4, 3))
RNG = np.random.default_rng(0)
TABLE = jnas.make_table(SPACE, accuracy={"validation": RNG.random(36) * 50, "test": RNG.random(36) * 50})
RANDOM = searchers.random_search(SPACE)
EVOLUTION = searchers.regularized_evolution(SPACE, population_size=4, sample_size=2)


def run(out, names=("a",), num_seeds=4, chunk=2, **more):
    chosen = {name: {"a": RANDOM, "b": EVOLUTION}[name] for name in names}
    told = {"dataset": "data", "epochs": 1, "max_evaluations": 8, "num_seeds": num_seeds, "chunk": chunk}
    return jnas.study(chosen, TABLE, out=out, **(told | more))


def same(found, expected):
    assert [s.name for s in found.searchers] == [s.name for s in expected.searchers]
    for one, other in zip(found.searchers, expected.searchers, strict=True):
        for field in ("traces", "incumbent", "values", "final", "final_archs", "ranks", "elapsed"):
            jax.tree.map(np.testing.assert_array_equal, getattr(one, field), getattr(other, field))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "study", ("a", "b"), 7)


@pytest.fixture
def runs(monkeypatch):
    """The chunks that are run."""
    seen = []

    def counted(runs, keys, judge, inner=_run._run_chunk):
        seen.append(len(keys))
        return inner(runs, keys, judge)

    monkeypatch.setattr(_run, "_run_chunk", counted)
    return seen


def test_more_seeds_and_searchers_give_what_a_fresh_study_gives(whole, runs, tmp_path):
    out = tmp_path / "study"
    run(out, num_seeds=5)
    assert runs == [2, 2, 1] or sum(runs) >= 5
    runs.clear()
    found = run(out, ("a", "b"), 7)
    same(found, whole)
    fresh = sum(runs)
    assert fresh <= 3 + 1 + 8  # of a: what was cut, and the new ones
    runs.clear()
    same(run(out, ("a", "b"), 7), whole)  # the same command goes on, and has nothing left to do
    assert runs == []
    same(jnas.load_study(out), whole)
    assert "2 searchers were run" in (out / "report.html").read_text()
    with pytest.raises(ValueError, match="num_seeds is 7 there and 5 here"):
        run(out, ("a", "b"), 5)
    with pytest.raises(ValueError, match="another configuration"):
        run(out, ("a", "b"), 8, max_evaluations=9)


def test_a_killed_extension_is_ended_by_the_next_command(whole, tmp_path, monkeypatch):
    real = _extend.write_archive
    for fall in (1, 2, 3):  # after so many files
        out, made = tmp_path / str(fall), []
        run(out, num_seeds=4)

        def falling(*told, made=made, fall=fall, **more):
            if len(made) == fall - 1:
                raise KeyboardInterrupt
            made.append(1)
            real(*told, **more)

        monkeypatch.setattr(_extend, "write_archive", falling)
        if fall < 3:
            with pytest.raises(KeyboardInterrupt):
                run(out, ("a", "b"), 7)
            assert (out / "extending.json").exists()
        monkeypatch.setattr(_extend, "write_archive", real)
        same(run(out, ("a", "b"), 7), whole)
        assert not (out / "extending.json").exists()


def test_runs_that_a_budget_ends_are_extended_by_longer_ones(tmp_path):
    seconds = np.random.default_rng(1).random(36) * 30 + 1
    table = jnas.make_table(SPACE, accuracy={"validation": RNG.random(36) * 50}, train_seconds=seconds)

    def run(out, num_seeds, **more):
        told = {"dataset": "data", "epochs": 1, "budget_seconds": 100, "num_seeds": num_seeds, "chunk": 2}
        return jnas.study({"a": RANDOM}, table, out=out, **told, **more)

    for more in ({}, {"workers": 2}):
        out, whole = tmp_path / f"{len(more)}", run(None, 20, **more)
        few = run(out, 2, **more)
        assert few.searchers[0].incumbent.shape[1] < whole.searchers[0].incumbent.shape[1]
        same(run(out, 20, **more), whole)


def test_what_cannot_go_on_is_left_as_it_was(tmp_path, monkeypatch):
    out = tmp_path / "study"
    few = run(out)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    other = RANDOM._replace(
        tell=lambda state, proposal, evaluation: state._replace(key=jax.random.fold_in(state.key, 1))
    )
    told = {"dataset": "data", "epochs": 1, "max_evaluations": 8, "num_seeds": 7, "chunk": 2, "out": out}
    with pytest.raises(ValueError, match="made by another program"):
        jnas.study({"a": other}, TABLE, **told)
    monkeypatch.setattr(_extend, "versions", lambda inner=_extend.versions: inner() | {"jax": "0.1"})
    with pytest.raises(ValueError, match="begun with other versions"):
        run(out, num_seeds=7)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()} == before
    same(jnas.load_study(out), few)


def test_another_study_is_not_extended(tmp_path):
    out = tmp_path / "study"
    run(out)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    with pytest.raises(ValueError, match="root_seed is 0 there and 1 here"):
        run(out, ("a", "b"), 9, root_seed=1)
    with pytest.raises(ValueError, match="another configuration"):
        run(out, ("b",), 9)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()} == before
