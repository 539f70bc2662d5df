"""`jnas search --workers`: trainings that end in whatever order, and searches that go on as each does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._loop import run
from jnas.core._search import compile_steps
from jnas.core._vocabulary import Evaluation, Objective
from jnas.searchers import local_search, regularized_evolution
from jnas.spaces import categorical
from jnas.studies._load import load_results
from jnas.studies.trainings._beside import Search, run_beside
from jnas.studies.trainings._results import as_searches
from jnas.studies.trainings._searches import Answers, first_run
from tests.test_toy_space import rows  # noqa: F401 - a fixture
from tests.test_training_search import FILES, pageless, quick, search, trained  # noqa: F401 - fixtures

SPACE = categorical((3,) * 4)
T, WORKERS = 24, 3
SCORES = np.random.default_rng(0).normal(size=SPACE.size).astype(np.float32)
SCORES[::9] = np.nan
SECONDS = np.random.default_rng(1).uniform(1, 4, size=SPACE.size).astype(np.float32)
SECONDS[::4] = 2.0  # ends at the same moment happen
SEARCHERS = {
    "regularized_evolution": regularized_evolution(SPACE, population_size=5, sample_size=2),
    "local_search": local_search(SPACE, num_init=3),
}


def index(archs):
    return np.asarray(archs) @ np.asarray([27, 9, 3, 1])


class Playing:
    """Devices and a folder in played time: what is trained ends after its seconds, on the device that took it first."""

    def __init__(self, devices, done=()):
        self.now, self.free, self.waiting, self.running, self.made = 0.0, devices, [], {}, []
        self.rows = set(done)

    def has(self, arch):
        return arch.tobytes() in self.rows

    def keep_alone(self, name, arch, runs):
        self.rows.add(arch.tobytes())
        self.made.append(arch.tobytes())

    def train(self, arch):
        if arch.tobytes() not in {a.tobytes() for a in (*self.waiting, *(a for a, _ in self.running.values()))}:
            self.waiting.append(arch)

    def seconds(self, arch):
        began = self.running.get(arch.tobytes())
        return 0.0 if began is None else self.now - began[1]

    def ended(self, patience):
        """Lets a little time go by, less than between most ends."""
        while self.waiting and len(self.running) < self.free:
            arch = self.waiting.pop(0)
            self.running[arch.tobytes()] = (arch, self.now)
        self.now += 0.3
        ended = [arch for arch, began in self.running.values() if began + SECONDS[index(arch)] <= self.now]
        for arch in ended:
            del self.running[arch.tobytes()]
        return [(arch, None) for arch in ended]


def answer(archs):
    return Answers(SCORES[index(archs)], SECONDS[index(archs)])


def played(name, devices, done=()):
    searcher, store = SEARCHERS[name], Playing(devices, done)
    steps = compile_steps(searcher, T, None, "discard", WORKERS, T)
    searches = {
        i: Search(searcher, steps, first_run(searcher, steps, key, T, 4, None, WORKERS), lambda archs: archs)
        for i, key in enumerate(jax.random.split(jax.random.key(5), 2))
    }
    told = []
    run_beside(name, searches, store, store, answer, lambda evaluations, made: told.append((evaluations, made)))
    traces = jax.tree.map(lambda *leaves: np.stack(leaves), *(search.run.trace for search in searches.values()))
    return traces, store, np.sum(told, axis=0)


@functools.cache
def simulated(name):
    """The same searches on a table of the same numbers."""

    def evaluate(keys, proposal):
        row = jax.vmap(SPACE.index)(proposal.archs)
        return Evaluation(jnp.asarray(SCORES)[row], jnp.asarray(SECONDS)[row], proposal.valid)

    one = lambda key: run(SEARCHERS[name], Objective(evaluate), key, max_evaluations=T, workers=WORKERS)  # noqa: E731
    return jax.device_get(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(5), 2)))


@pytest.mark.parametrize("name", SEARCHERS)
def test_searches_are_those_of_a_simulation_on_their_own_trainings(name):
    """Bit for bit, on however many devices, from nothing or from half of it: no training is made twice."""
    expected, halves = simulated(name), ()
    for devices in (1, 2, 5):
        traces, store, told = played(name, devices)
        jax.tree.map(np.testing.assert_array_equal, traces, expected)
        assert len(set(store.made)) == len(store.made)
        assert told.tolist() == [expected.mask.sum(), len(store.made)]
        asked = {arch.tobytes() for arch in expected.arch.reshape(-1, 4)[expected.mask.reshape(-1)]}
        assert set(store.made) == asked
        halves = store.made[: len(store.made) // 2]
    traces, store, _ = played(name, 2, halves)
    jax.tree.map(np.testing.assert_array_equal, traces, expected)
    assert not set(store.made) & set(halves)


WORDS = ("--workers", "3", "--evaluations", "6")


def test_a_stopped_search_goes_on_from_its_trainings_and_the_folder_repeats_it(tmp_path, capsys, trained, pageless):  # noqa: F811
    """Killed twice, also in the middle of a training, it makes none again that a file holds, and none twice."""
    trained.stop = 2
    assert search(tmp_path / "parts", *WORDS, searchers="regularized_evolution:population_size=3") == 130
    for stop in (1, None):
        held = [path.read_bytes() for path in sorted((tmp_path / "parts" / "trainings").glob("*.npz"))]
        trained.calls[:], trained.stop = [], stop
        ended = search(tmp_path / "parts", *WORDS, searchers="regularized_evolution:population_size=3")
        assert ended == (0 if stop is None else 130)
        after = [path.read_bytes() for path in sorted((tmp_path / "parts" / "trainings").glob("*.npz"))]
        assert after[: len(held)] == held
    study, _ = load_results(tmp_path / "parts")
    made = [arch.tobytes() for arch in study.trainings.archs]
    assert len(set(made)) == len(made)
    told = as_searches(study).config
    assert told["clock"] == "recorded"
    assert "3 under way at once" in told["sentences"][2]
    assert not [path for path in (tmp_path / "parts" / "trainings").iterdir() if path.is_dir()]
    (searcher,), clock = study.searchers, study.trainings.runs.seconds
    assert searcher.traces.worker.max() == 2
    seconds = {arch: np.float32(each) for arch, each in zip(made, clock, strict=True)}
    asked = searcher.traces.arch[searcher.traces.mask]
    assert [seconds[arch.tobytes()] for arch in asked] == searcher.traces.seconds[searcher.traces.mask].tolist()
    trained.calls[:] = []
    words = (*WORDS, "--start-from", str(tmp_path / "parts"))
    assert search(tmp_path / "again", *words, searchers="regularized_evolution:population_size=3") == 0
    assert not trained.calls
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    assert "6 evaluations by 3 workers" in capsys.readouterr().out
    words = WORDS[2:]
    assert search(tmp_path / "parts", *words, searchers="regularized_evolution:population_size=3") == 2
    assert "configuration: workers is 3 there and not given here. Give" in capsys.readouterr().err
    assert search(tmp_path / "none", *WORDS, "--chunk-size", "2", searchers="random_search") == 2
    assert "--chunk-size is 2 and workers is 3: several workers train one" in capsys.readouterr().err
