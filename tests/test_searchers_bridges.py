"""Optimizers of other libraries as searchers: the same proposals as by themselves, stopped searches, wrong inputs."""

import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import searchers
from jnas.core._loop import run
from jnas.core._search import search
from jnas.core._vocabulary import STOPPED_BY, Evaluation, function_objective
from jnas.searchers import from_ask_tell, from_optuna
from jnas.searchers._recorded import arguments_of
from jnas.searchers._settings import read_settings, read_spec
from jnas.spaces import categorical

SPACE = categorical((3, 4, 2), (("a", "b", "c"), ("p", "q", "r", "s"), ("x", "y")))
WEIGHTS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


class Script:
    """Asks what it was made with, and keeps what it is told."""

    told: list

    def __init__(self, candidates):
        self.candidates, self.told = list(candidates), []

    def ask(self):
        return self.candidates[len(self.told)]

    def tell(self, candidate, value):
        self.told.append((candidate, value))


class Drawn:
    """Draws by its seed; what it was told moves the draws."""

    def __init__(self, seed):
        self.random, self.sum = np.random.default_rng(seed), 0

    def ask(self):
        return (self.random.integers(0, SPACE.num_choices) + self.sum) % SPACE.num_choices

    def tell(self, candidate, value):
        self.sum += int(np.asarray(candidate).sum() + (value > 0))


def additive(candidate):
    return float(WEIGHTS[np.arange(3), candidate.arch].sum()), 1.0


def searched(searcher, evaluate=additive, seed=0, count=8, **options):
    return search(searcher, evaluate, jax.random.key(seed), max_evaluations=count, **options)


def test_candidates_are_read_in_each_form():
    forms = [[2, 3, 1], np.array([2, 3, 1]), ("c", "s", "y"), {"u": "c", "v": 3, "w": "y"}, "c|s|y"]
    trace = searched(from_ask_tell(lambda seed: Script([*forms, [0, 0, 0]]), SPACE), count=6)
    np.testing.assert_array_equal(trace.arch, [[2, 3, 1]] * 5 + [[0, 0, 0]])
    turned = from_ask_tell(lambda seed: Script([(1, 3, 2)] * 3), SPACE, to_arch=lambda c: c[::-1])
    np.testing.assert_array_equal(searched(turned, count=2).arch, [[2, 3, 1]] * 2)


def test_what_is_told_is_the_score_or_the_worst_before():
    made = []

    def make(seed):
        made.append(Script([[0, 0, 0], [1, 1, 1], [2, 2, 0], [0, 1, 1], [0, 0, 1]]))
        return made[-1]

    scores = iter([np.nan, 2.0, -1.0, np.inf, 0.0])
    searched(from_ask_tell(make, SPACE, minimize=True), lambda c: (next(scores), 1.0), count=5)
    assert [value for _, value in made[-1].told] == [0.0, -2.0, 1.0, 1.0]  # the last needs no telling


def test_a_stopped_search_and_an_earlier_state_go_on_to_the_same_trace(tmp_path):
    whole = searched(from_ask_tell(Drawn, SPACE), count=12)
    assert len(np.unique(whole.arch, axis=0)) > 5

    def stop(candidate, score, seconds):
        if candidate.row == 6:
            raise KeyboardInterrupt

    options = {"count": 12, "checkpoint": tmp_path / "search.npz"}
    with pytest.raises(KeyboardInterrupt):
        searched(from_ask_tell(Drawn, SPACE), on_evaluation=stop, **options)
    jax.tree.map(np.testing.assert_array_equal, searched(from_ask_tell(Drawn, SPACE), **options), whole)

    searcher = from_ask_tell(Drawn, SPACE)
    answer = Evaluation(jnp.ones(1), jnp.ones(1), jnp.ones(1, bool))
    start = searcher.init(jax.random.key(1), 9)
    states, asked = [start], []
    for _ in range(5):
        proposal, state = searcher.ask(states[-1])
        asked.append(proposal.archs)
        states.append(searcher.tell(state, proposal, answer))
    other = searcher.tell(states[1], searcher.ask(states[1])[0], answer._replace(score=-jnp.ones(1)))
    assert (searcher.ask(other)[0].archs != asked[2]).any()  # another future of the same past
    for state, archs in zip(reversed(states[:-1]), reversed(asked), strict=True):
        np.testing.assert_array_equal(searcher.ask(state)[0].archs, archs)


def test_what_a_seed_does_not_settle_is_refused_where_it_is_made_again(tmp_path):
    count = iter(range(100))

    def make(seed):
        return Script([[0, 0, 0], *[[next(count) % 3, 0, 0]] * 8])

    options = {"count": 4, "checkpoint": tmp_path / "search.npz"}
    with pytest.raises(ZeroDivisionError):
        searched(from_ask_tell(make, SPACE), lambda c: (1.0 / (c.row < 3), 1.0), **options)
    with pytest.raises(ValueError, match="made again with the seed"):
        searched(from_ask_tell(make, SPACE), **options)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ([0, 0], "expected 3 decisions"),
        ([0, 4, 0], "decision 1 of a candidate is 4, expected 0 to 3"),
        ([0, 0.5, 0], "decision 1 of a candidate is 0.5"),
        (["a", "t", "x"], "decision 1 of a candidate is 't'"),
        (7, "a candidate is 7"),
        ("a|t|x", "unknown choice 't'"),
    ],
)
def test_a_candidate_that_is_no_architecture_is_refused(candidate, message):
    with pytest.raises(ValueError, match=message):
        searched(from_ask_tell(lambda seed: Script([candidate] * 2), SPACE))


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="make is Script"):
        from_ask_tell(Script([]), SPACE)
    with pytest.raises(TypeError, match="expected an object with ask"):
        searched(from_ask_tell(lambda seed: seed, SPACE))
    with pytest.raises(TypeError, match="space is tuple"):
        from_ask_tell(Drawn, (3, 4, 2))
    with pytest.raises(ValueError, match=r"ask_tell cannot be compiled .* pass it to jnas\.search"):
        run(from_ask_tell(Drawn, SPACE), function_objective(lambda k, a: a.sum() * 1.0), jax.random.key(0))


def test_without_optuna_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    for call in (lambda: from_optuna("TPESampler", SPACE), lambda: searchers.entry("optuna:TPESampler")):
        with pytest.raises(ValueError, match=r"optuna is not installed; .* pip install 'jnas\[optuna\]'"):
            call()


@pytest.fixture(scope="module")
def optuna():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("optuna", reason="Optuna is not installed")


@pytest.mark.parametrize("name", ["TPESampler", "NSGAIISampler"])
def test_proposals_are_those_of_optuna_by_itself(optuna, name):
    """The plain loop of Optuna's documentation with the same seed asks for the same architectures."""
    seeds = []

    def make(seed):
        seeds.append(seed)
        return getattr(optuna.samplers, name)(seed=seed)

    trace = searched(from_optuna(make, SPACE), count=30)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=getattr(optuna.samplers, name)(seed=seeds[-1]))
    for arch, score in zip(np.asarray(trace.arch), np.asarray(trace.score), strict=True):
        trial = study.ask()
        asked = [trial.suggest_categorical(f"decision_{e}", SPACE.choices[e]) for e in range(3)]
        assert asked == [SPACE.choices[e][choice] for e, choice in enumerate(arch)]
        study.tell(trial, float(score))
    assert len(np.unique(trace.arch, axis=0)) > 8


@pytest.mark.parametrize("name", ["TPESampler", "NSGAIISampler"])
def test_with_several_objectives_it_is_optunas_study_of_as_many(optuna, name):
    """Its plain loop with two directions asks the same; what violates a constraint is told as failed."""
    searcher = searchers.make(f"optuna:{name}", SPACE, num_objectives=2)
    beside = lambda c: (additive(c)[0], 1.0, [float(c.arch[0] + c.arch[1]), float(max(0, c.arch.sum() - 4))])  # noqa: E731
    trace = searched(searcher, beside, count=60, num_objectives=2)
    seed = int(searcher.init(jax.random.split(jax.random.key(0))[0], 60).seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize"] * 2, sampler=getattr(optuna.samplers, name)(seed=seed))
    for arch, score, (cost, violation) in zip(
        *map(np.asarray, (trace.arch, trace.score, trace.objectives)), strict=True
    ):
        trial = study.ask()
        asked = [trial.suggest_categorical(f"decision_{e}", SPACE.choices[e]) for e in range(3)]
        assert asked == [SPACE.choices[e][choice] for e, choice in enumerate(arch)]
        if violation > 0:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, (float(score), -float(cost)))
    assert 0 < (trace.objectives[:, 1] > 0).sum() < 50
    with pytest.raises(ValueError, match="was made for 2 objectives, and evaluations have 1"):
        searched(searcher, count=2)


def test_a_sampler_is_copied_with_a_seed_for_each_search(optuna):
    sampler = optuna.samplers.TPESampler(seed=5, n_startup_trials=4)
    before = sampler._rng.rng.get_state()[1].copy()
    searcher = from_optuna(sampler, SPACE)
    one, again, other = (np.asarray(searched(searcher, seed=seed).arch) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    np.testing.assert_array_equal(sampler._rng.rng.get_state()[1], before)
    said = arguments_of(searcher)
    assert said["class"] == "TPESampler"
    assert said["attributes"]["_n_startup_trials"] == 4
    assert said["optuna"] == optuna.__version__


def test_failures_are_told_as_failed_trials(optuna, monkeypatch):
    studies = []
    create = optuna.create_study
    monkeypatch.setattr(optuna, "create_study", lambda **given: studies.append(create(**given)) or studies[-1])
    scores = iter([1.0, np.nan, -2.0, 0.0])
    searched(from_optuna("RandomSampler", SPACE), lambda c: (next(scores), 1.0), count=4)
    states = [trial.state.name for trial in studies[-1].trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "RUNNING"]
    assert studies[-1].best_value == 1.0


def test_samplers_by_name_and_their_settings(optuna):
    name, level, given = read_spec("optuna:TPESampler@12:n_startup_trials=3:multivariate=false:integers=true")
    assert (name, level) == ("optuna:TPESampler", "12")
    entry = searchers.entry(name)
    settings = read_settings(name, entry.factory, given)
    assert settings == {"n_startup_trials": 3, "multivariate": False, "integers": True}
    searcher = searchers.make(name, SPACE, **settings)
    assert (searcher.name, searcher.compiled) == ("optuna:TPESampler", False)
    assert arguments_of(searcher)["settings"] == {"n_startup_trials": 3, "multivariate": False}
    for other in ("GridSampler", "BruteForceSampler"):  # each architecture once, and then nothing is left
        trace = searched(searchers.make(f"optuna:{other}", SPACE), count=30)
        assert len(np.unique(trace.arch[trace.mask], axis=0)) == trace.mask.sum() == 24
        assert int(trace.stopped_by) == STOPPED_BY.index("exhausted")
    assert searched(searchers.make("optuna:QMCSampler", SPACE, integers=True), count=12).mask.all()
    with pytest.raises(ValueError, match="has no setting 'gama', expected one of integers"):
        read_settings(name, entry.factory, {"gama": "1"})
    with pytest.raises(ValueError, match=r"no sampler of Optuna 'TPSampler'; did you mean 'TPESampler'"):
        searchers.entry("optuna:TPSampler")
    with pytest.raises(TypeError, match="sampler is int"):
        from_optuna(3, SPACE)
    with pytest.raises(TypeError, match="expected a sampler of Optuna"):
        from_optuna(lambda seed: seed, SPACE)
    with pytest.raises(TypeError, match="has its settings already, gamma came beside it"):
        from_optuna(optuna.samplers.TPESampler(), SPACE, gamma=None)
