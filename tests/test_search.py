"""`jnas.search`: the same searchers and rules as `jnas.run`, driven from Python, saved and resumed."""

import errno
import os
import time
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core import _checkpoint, _search
from jnas.core._loop import run
from jnas.core._search import Candidate, search
from jnas.core._vocabulary import Evaluation, Objective, Searcher, function_objective, propose
from jnas.io import _atomic
from jnas.searchers.black_box._random_search import random_search
from jnas.searchers.black_box._regularized_evolution import regularized_evolution
from jnas.spaces._categorical import categorical

SPACE = categorical((4, 4, 4, 4))
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0], np.float32)


def value(arch) -> float:
    return float(np.asarray(arch, np.float32) @ WEIGHTS)


def noisy(key, arch):
    return arch.astype(jnp.float32) @ jnp.asarray(WEIGHTS) + jax.random.normal(key)


def batched(space, width: int) -> Searcher:
    """Random search that asks for `width` architectures at once, every third row of which is empty."""
    plain = random_search(space)

    def ask(state):
        key, sample_key = jax.random.split(state)
        archs = jax.vmap(space.sample)(jax.random.split(sample_key, width))
        return propose(archs, valid=jnp.arange(width) % 3 != 1), key

    return Searcher(lambda key, capacity: key, ask, plain.tell, "batched")


def resuming(space) -> Searcher:
    """Evaluates each sample at fidelity 0, then goes on with it at fidelity 1."""

    def init(key, capacity):
        return key, jnp.zeros((space.num_decisions,), jnp.int32), jnp.int32(0)

    def ask(state):
        key, arch, count = state
        key, sample_key = jax.random.split(key)
        goes_on = count % 2 == 1
        arch = jnp.where(goes_on, arch, space.sample(sample_key))
        proposal = propose(arch[None], jnp.where(goes_on, 1, 0))
        proposal = proposal._replace(
            resumes=jnp.where(goes_on, count - 1, -1)[None], resumed_fidelity=jnp.where(goes_on, 0, -1)[None]
        )
        return proposal, (key, arch, count)

    def tell(state, proposal, evaluation):
        key, arch, count = state
        return key, arch, count + proposal.valid[0]

    return Searcher(init, ask, tell, "resuming", num_fidelities=2)


def exhausted(space, after: int) -> Searcher:
    """Random search that has nothing left to propose after some evaluations."""
    plain = random_search(space)

    def ask(state):
        proposal, key = plain.ask(state[0])
        return proposal._replace(valid=proposal.valid & (state[1] < after)), (key, state[1])

    def tell(state, proposal, evaluation):
        return state[0], state[1] + proposal.valid[0]

    return Searcher(lambda key, capacity: (plain.init(key, capacity), jnp.int32(0)), ask, tell, "exhausted")


def costly(keys, proposal) -> Evaluation:
    """Noisy, with a cost that differs between architectures, and some that are invalid."""
    score = jax.vmap(noisy)(keys, proposal.archs)
    seconds = 1.0 + proposal.archs.sum(axis=1) / 7.0
    return Evaluation(score, seconds.astype(jnp.float32), proposal.archs[:, 0] != 3)


COSTLY = Objective(costly, (1, 2), 1.0)
SEARCHERS = {
    "random_search": random_search(SPACE),
    "regularized_evolution": regularized_evolution(SPACE, population_size=5, sample_size=3),
    "batched": batched(SPACE, 7),
    "resuming": resuming(SPACE),
    "exhausted": exhausted(SPACE, 9),
}


def run_at_once(searcher, objective, key, **limits):
    """`run`, compiled."""
    return jax.jit(lambda key: run(searcher, objective, key, **limits))(key)


def assert_same(one, other):
    for name, a, b in zip(one._fields, one, other, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("random_search", {"budget_seconds": 25.0, "overshoot": "keep"}),
        ("regularized_evolution", {"max_evaluations": 20}),
        ("batched", {"max_evaluations": 20}),
        ("batched", {"budget_seconds": 25.0, "overshoot": "keep"}),
        ("resuming", {"budget_seconds": 25.0, "overshoot": "keep"}),
        ("exhausted", {"max_evaluations": 20}),
    ],
)
def test_equals_run(name, limits):
    searcher, key = SEARCHERS[name], jax.random.key(3)
    expected = run_at_once(searcher, COSTLY, jax.random.clone(key), **limits)
    assert_same(search(searcher, COSTLY, key, **limits), expected)
    assert 3 <= int(expected.mask.sum()) <= 25


@pytest.mark.parametrize("name", SEARCHERS)
def test_python_function_equals_run(name):
    """A function that computes what the objective computes, from the candidate's own key, leaves the same trace."""
    searcher, limits = SEARCHERS[name], {"max_evaluations": 40, "budget_seconds": 25.0}
    made = []

    def evaluate(candidate: Candidate):
        made.append(candidate)
        proposal = propose(jnp.asarray(candidate.arch)[None])
        score, seconds, valid = (x[0] for x in jitted(candidate.key[None], proposal)[:3])
        return (float(score) if valid else float("nan")), float(seconds)

    jitted = jax.jit(costly)
    expected = run_at_once(searcher, COSTLY, jax.random.key(4), **limits)
    found = search(searcher, evaluate, jax.random.key(4), fidelities=(1, 2), **limits)
    same = np.asarray(expected.valid | ~expected.mask)  # there the invalid ones have a score that does not count
    assert_same(found._replace(score=found.score[same]), expected._replace(score=expected.score[same]))
    # Nothing is evaluated behind the evaluation that ends the search, which is itself discarded.
    accepted = int(expected.mask.sum())
    assert [c.row for c in made] == list(range(accepted + (0 if name == "exhausted" else 1)))
    rows = np.flatnonzero(np.asarray(found.mask))
    np.testing.assert_array_equal([c.fidelity for c in made][:accepted], np.asarray(found.fidelity)[rows])
    if name == "resuming":
        keys = [jax.random.key_data(c.key).tolist() for c in made]
        assert keys[0] == keys[1] != keys[2]
        assert [(c.resumes, c.resumed_fidelity) for c in made[:4]] == [(-1, -1), (0, 0), (-1, -1), (2, 0)]


@pytest.mark.parametrize("name", ["regularized_evolution", "batched"])
def test_further_objectives_are_kept(name, tmp_path):
    """However a search is run, and over a checkpoint; without them the trace is what it was."""
    searcher, calls, limits = SEARCHERS[name], [], {"max_evaluations": 12, "budget_seconds": 25.0}
    further = lambda archs: jnp.stack([archs.sum(axis=-1), archs[..., 0] ** 2], axis=-1)  # noqa: E731

    def both(keys, proposal):
        return costly(keys, proposal)._replace(objectives=further(proposal.archs))

    def evaluate(candidate):
        calls.append(candidate.row)
        if len(calls) == 5:
            raise Broken
        (score,), (seconds,), (valid,), _ = jitted(candidate.key[None], propose(jnp.asarray(candidate.arch)[None]))
        return (score if valid else np.nan), seconds, further(candidate.arch)

    jitted, objective, key = jax.jit(costly), Objective(both, (1, 2), 1.0), jax.random.key(4)
    expected = run_at_once(searcher, objective, jax.random.clone(key), **limits)
    assert_same(run_at_once(searcher, COSTLY, jax.random.clone(key), **limits), expected._replace(objectives=None))
    known = np.where(expected.mask[:, None], further(expected.arch), np.nan)
    np.testing.assert_array_equal(expected.objectives, known)
    assert int(expected.mask.sum()) >= 3
    assert_same(search(searcher, objective, key, **limits), expected)
    options = limits | {"fidelities": (1, 2), "checkpoint": tmp_path / "c.npz", "num_objectives": 2}
    with pytest.raises(Broken):
        search(searcher, evaluate, key, **options)
    found = search(searcher, evaluate, key, **options)
    np.testing.assert_array_equal(found.arch, expected.arch)
    np.testing.assert_array_equal(found.objectives, known)
    assert len(calls) == len(set(calls)) + 1
    with pytest.raises(TypeError, match="with 3 objectives"):
        search(searcher, lambda c: (1.0, None, [2.0, 3.0]), key, max_evaluations=2, num_objectives=3)
    with pytest.raises(TypeError, match=r"evaluate returned tuple .*'much'"):
        search(searcher, lambda c: (1.0, None, ["much"]), key, max_evaluations=2, num_objectives=1)


def test_second_search_does_not_compile_again():
    plain, traced = random_search(SPACE), []

    def ask(state):
        traced.append(1)
        return plain.ask(state)

    searcher = plain._replace(ask=ask)
    search(searcher, lambda c: value(c.arch), jax.random.key(0), max_evaluations=3)
    before = len(traced)
    search(searcher, lambda c: value(c.arch), jax.random.key(1), max_evaluations=3)
    assert len(traced) == before


def test_wall_time_is_the_cost_where_none_is_given():
    trace = search(SEARCHERS["random_search"], lambda c: time.sleep(0.02) or 1.0, jax.random.key(0), max_evaluations=3)
    seconds = np.asarray(trace.seconds)
    assert (seconds >= 0.02).all()
    assert (seconds < 5).all()


def test_nan_never_wins_and_costs():
    trace = search(
        SEARCHERS["random_search"],
        lambda c: (float("nan") if c.row else 1.0, 2.0),
        jax.random.key(0),
        max_evaluations=4,
    )
    assert np.asarray(trace.valid).tolist() == [True, False, False, False]
    assert np.asarray(trace.seconds).tolist() == [2.0] * 4


@pytest.mark.parametrize("score", [np.inf, -np.inf, 1e300, 10**400])
def test_a_score_that_float32_cannot_hold_is_a_failure(score):
    """For the searcher as for the trace: evolution goes the way that it goes with NaN in its place."""

    def go(failure):
        evaluate = lambda c: (failure if c.arch[0] > 1 else value(c.arch), 1.0)  # noqa: E731
        return search(SEARCHERS["regularized_evolution"], evaluate, jax.random.key(1), max_evaluations=20)

    found = go(score)
    assert_same(found, go(float("nan")))
    failed = np.asarray(found.arch)[:, 0] > 1
    np.testing.assert_array_equal(found.valid, ~failed)
    assert np.isnan(np.asarray(found.score)[failed]).all()
    assert failed[:5].any()


def test_an_objective_that_answers_the_impossible_is_judged_as_run_judges_it():
    def evaluate(keys, proposal):
        place = proposal.archs[:, 0]
        score = jnp.where(place == 0, jnp.inf, 1.0 * proposal.archs.sum(axis=1))
        return Evaluation(score, jnp.where(place == 1, -1.0, 1.0), place >= 0)

    searcher, key, limits = SEARCHERS["regularized_evolution"], jax.random.key(2), {"max_evaluations": 20}
    found = search(searcher, Objective(evaluate), key, **limits)
    assert_same(found, run_at_once(searcher, Objective(evaluate), key, **limits))
    np.testing.assert_array_equal(found.valid, np.asarray(found.arch)[:, 0] > 1)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_step_that_changes_the_state_is_said_before_evaluations_are_lost(compiled, tmp_path):
    plain, made = random_search(SPACE), []

    def tell(state, proposal, evaluation):
        return state[0], state[1].astype(np.float32 if compiled else np.int64)

    init = lambda key, capacity: (plain.init(key, capacity), np.int32(0))  # noqa: E731
    ask = lambda state: (plain.ask(state[0])[0], state)  # noqa: E731
    searcher, limits = Searcher(init, ask, tell, "growing", compiled=compiled), {"max_evaluations": 9}
    for checkpoint in (None, tmp_path / "c.npz"):
        with pytest.raises(TypeError, match=r"growing: ask and tell turned state\[1\] from int32\[\] into"):
            search(searcher, lambda c: made.append(c.row) or 1.0, jax.random.key(0), checkpoint=checkpoint, **limits)
    assert len(made) == (0 if compiled else 2)  # Python's steps are known once they have been taken


def test_on_evaluation_hears_of_every_evaluation():
    heard = []
    options = {"max_evaluations": 6, "on_evaluation": lambda c, score, seconds: heard.append((c.row, score, seconds))}
    trace = search(SEARCHERS["batched"], lambda c: (value(c.arch), 1.5), jax.random.key(0), **options)
    assert heard == [(i, float(s), 1.5) for i, s in enumerate(trace.score)]
    heard.clear()
    trace = search(SEARCHERS["random_search"], function_objective(noisy), jax.random.key(0), **options)
    assert heard == [(i, float(s), 1.0) for i, s in enumerate(trace.score)]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("high", TypeError, "evaluate returned str 'high'"),
        (None, TypeError, "evaluate returned NoneType None"),
        ((1.0, 2.0, 3.0), TypeError, "a tuple of 3"),
        ((1.0, -1.0), ValueError, "seconds=-1"),
        ((1.0, float("nan")), ValueError, "seconds=nan"),
        ((1.0, 1e39), ValueError, "seconds=1e\\+39, expected .* finite in float32"),
        ((1.0, 10**400), ValueError, "seconds=inf"),
        ((10**5000, "x"), TypeError, "too long to be written"),
    ],
)
def test_wrong_answers_are_refused(answer, error, words):
    with pytest.raises(error, match=words):
        search(SEARCHERS["random_search"], lambda c: answer, jax.random.key(0), max_evaluations=2)


def test_wrong_arguments_are_refused():
    searcher, key = SEARCHERS["random_search"], jax.random.key(0)
    with pytest.raises(ValueError, match="neither budget_seconds nor max_evaluations"):
        search(searcher, value, key)
    with pytest.raises(ValueError, match="max_evaluations is needed"):
        search(searcher, value, key, budget_seconds=10.0)
    with pytest.raises(ValueError, match="2 fidelities but the objective has 1"):
        search(SEARCHERS["resuming"], value, key, max_evaluations=3)
    with pytest.raises(ValueError, match="fidelities is"):
        search(searcher, value, key, max_evaluations=3, fidelities=(200, 12))
    with pytest.raises(ValueError, match="at most 2,147,483,647 rows"):
        search(searcher, value, key, max_evaluations=2**31)
    with pytest.raises(TypeError, match="evaluate is int"):
        search(searcher, 3, key, max_evaluations=3)  # type: ignore[arg-type]


class Broken(Exception):
    pass


def breaking(at: int, calls: list[int], error: type[BaseException] = Broken):
    """An evaluation that fails once, at its call number `at`."""

    def evaluate(candidate):
        calls.append(candidate.row)
        if len(calls) == at:
            raise error("in the middle")
        return value(candidate.arch) + float(jax.random.normal(candidate.key)), 1.0 + candidate.row % 3

    return evaluate


@pytest.mark.parametrize(
    ("name", "error"), [("regularized_evolution", Broken), ("batched", KeyboardInterrupt), ("resuming", Broken)]
)
def test_resumes_to_the_same_trace_without_repeating_an_evaluation(tmp_path, name, error):
    searcher, key = SEARCHERS[name], jax.random.key(5)
    options = {"max_evaluations": 12, "budget_seconds": 20.0, "fidelities": (1, 2)}
    whole = search(searcher, breaking(0, []), key, **options)
    for at in (1, 2, 6, 8):
        calls, file = [], tmp_path / f"{at}.npz"
        evaluate = breaking(at, calls, error)
        with pytest.raises(error):
            search(searcher, evaluate, key, checkpoint=file, **options)
        resumed = search(searcher, evaluate, key, checkpoint=file, **options)
        assert_same(resumed, whole)
        assert len(calls) == len(set(calls)) + 1  # the one that failed was made again, no other
        calls.clear()
        assert_same(search(searcher, evaluate, key, checkpoint=file, **options), whole)
        assert not calls
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".npz"] == []


def test_objective_resumes_to_the_same_trace(tmp_path):
    searcher, key = SEARCHERS["batched"], jax.random.key(5)
    whole = search(searcher, COSTLY, key, max_evaluations=40)
    heard = []

    def interrupt(candidate, score, seconds):
        heard.append(candidate.row)
        if candidate.row == 17:
            raise KeyboardInterrupt

    file = tmp_path / "search.npz"
    with pytest.raises(KeyboardInterrupt):
        search(searcher, COSTLY, key, max_evaluations=40, checkpoint=file, on_evaluation=interrupt)
    again = search(
        searcher, COSTLY, key, max_evaluations=40, checkpoint=file, on_evaluation=lambda c, *_: heard.append(c.row)
    )
    assert_same(again, whole)
    assert 0 < len(heard) - 40 <= 5  # at most the proposal that was cut


def test_checkpoints_of_other_searches_are_refused(tmp_path):
    file, key = tmp_path / "search.npz", jax.random.key(0)
    searcher = regularized_evolution(SPACE, population_size=5, sample_size=3)

    def go(searcher=searcher, key=key, **options):
        options = {"max_evaluations": 8} | options
        return search(searcher, lambda c: (value(c.arch), 1.0), key, checkpoint=file, **options)

    go()
    content = file.read_bytes()
    with pytest.raises(ValueError, match=r"searcher is 'regularized_evolution' there and 'random_search' here"):
        go(random_search(SPACE))
    with pytest.raises(ValueError, match=r"key is '.*' there and '.*' here"):
        go(key=jax.random.key(1))
    with pytest.raises(ValueError, match="max_evaluations is 8 there and 9 here"):
        go(max_evaluations=9)
    with pytest.raises(ValueError, match=r"budget_seconds is None there and 5\.0 here"):
        go(budget_seconds=5.0)
    with pytest.raises(ValueError, match="overshoot is 'discard' there and 'keep' here"):
        go(overshoot="keep")
    with pytest.raises(ValueError, match="other settings or on another space"):
        go(regularized_evolution(SPACE, population_size=5, sample_size=2))
    with pytest.raises(ValueError, match="other settings or on another space"):
        go(regularized_evolution(categorical((4, 4, 4, 5)), population_size=5, sample_size=3))
    assert file.read_bytes() == content  # refusing leaves the file as it was


def test_a_checkpoint_of_a_version_that_wrote_other_programs_goes_on(tmp_path, monkeypatch):
    """Before 0.2.0 checkpoints did not say the version."""
    file, searcher, key = tmp_path / "search.npz", SEARCHERS["batched"], jax.random.key(5)
    whole = search(searcher, breaking(0, []), key, max_evaluations=12)
    evaluate = breaking(6, [])
    with monkeypatch.context() as before:
        told = _checkpoint.identify
        before.setattr(_search, "identify", lambda *a, **k: drop(told(*a, **k), "jnas") | {"program": "other words"})
        with pytest.raises(Broken):
            search(searcher, evaluate, key, max_evaluations=12, checkpoint=file)
    assert_same(search(searcher, evaluate, key, max_evaluations=12, checkpoint=file), whole)


def drop(mapping, name):
    return {other: value for other, value in mapping.items() if other != name}


def test_damaged_and_hostile_files_are_refused(tmp_path):
    file, key = tmp_path / "search.npz", jax.random.key(0)

    def go():
        return search(SEARCHERS["random_search"], lambda c: 1.0, key, max_evaluations=4, checkpoint=file)

    go()
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    for size in rng.integers(0, len(content), 12):
        file.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"not a checkpoint of jnas\.search, or it is cut off or damaged"):
            go()
    file.write_bytes(b"something else entirely")
    with pytest.raises(ValueError, match="not a checkpoint"):
        go()
    marker = tmp_path / "ran"
    payload = np.array([os.system], object)
    payload[0] = _Payload(f"touch {marker}")
    np.savez(file, allow_pickle=True, header=payload)
    with pytest.raises(ValueError, match="Python objects"):
        go()
    assert not marker.exists()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("header.npy", b"\x93NUMPY\x01\x00v\x00" + _header((10**15,)))
    with pytest.raises(ValueError, match="has not the size"):
        go()
    np.savez(file, other=np.zeros(3))
    with pytest.raises(ValueError, match="no member 'header'"):
        go()


class _Payload:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def _header(shape) -> bytes:
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
    return text.ljust(0x76 - 1).encode() + b"\n"


def test_checkpoint_that_cannot_be_written_is_said_before_any_evaluation(tmp_path):
    calls = []
    with pytest.raises(OSError, match="cannot write"):
        search(
            SEARCHERS["random_search"],
            lambda c: calls.append(1) or 1.0,
            jax.random.key(0),
            max_evaluations=4,
            checkpoint=tmp_path / "missing" / "search.npz",
        )
    assert not calls


def test_one_process_at_a_time_works_on_a_checkpoint(tmp_path):
    def go(evaluate):
        key = jax.random.key(0)
        return search(SEARCHERS["random_search"], evaluate, key, max_evaluations=3, checkpoint=tmp_path / "search.npz")

    def evaluate(candidate):
        told = rf"another process \({os.getpid()} on .+\) is at work in .*search\.npz; wait .*, or give another file"
        with pytest.raises(BlockingIOError, match=told):
            go(lambda other: 2.0)
        return 1.0

    (tmp_path / ".search.npz.abcdefgh.part").write_text("half")  # left by a process that was killed,
    (tmp_path / ".search.npz.lock").write_text("1 on a host that has gone\n")  # and this too
    assert np.asarray(go(evaluate).score).tolist() == [1.0] * 3
    assert os.listdir(tmp_path) == ["search.npz"]


def test_full_disk_is_said_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    file, key, calls = tmp_path / "search.npz", jax.random.key(0), []

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def evaluate(candidate):
        calls.append(candidate.row)
        if candidate.row == 2:
            monkeypatch.setattr(_atomic.os, "fsync", full)
        return value(candidate.arch), 1.0

    with pytest.raises(OSError, match="the disk is full"):
        search(SEARCHERS["random_search"], evaluate, key, max_evaluations=5, checkpoint=file)
    monkeypatch.undo()
    trace = search(SEARCHERS["random_search"], lambda c: (value(c.arch), 1.0), key, max_evaluations=5, checkpoint=file)
    assert calls == [0, 1, 2]
    assert_same(trace, search(SEARCHERS["random_search"], lambda c: (value(c.arch), 1.0), key, max_evaluations=5))
    assert [p.name for p in tmp_path.iterdir()] == ["search.npz"]
