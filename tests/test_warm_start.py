"""Searches that begin by a score, and predictors that read one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas.commands._cli import main
from jnas.core._draws import split
from jnas.searchers import local_search, make, random_search, regularized_evolution, warm_start
from jnas.searchers._registry import entry, names
from jnas.searchers._settings import setting_names
from jnas.searchers._warm_start import best_of_random
from jnas.spaces import categorical, nasbench201, subset, with_columns
from jnas.spaces._columns import has_features, space_features
from jnas.tables._file import save_arrays

SPACE = nasbench201()
SCORES = np.random.default_rng(5).normal(size=15_625).astype(np.float32)
SCORES[::3] = np.nan
SCORED = with_columns(SPACE, ["luck"], lambda arch, _: jnp.asarray(SCORES)[SPACE.index(arch)], [SCORES])


def test_a_design_is_the_best_different_ones_of_what_was_drawn():
    key = jax.random.key(3)
    drawn = np.asarray(jax.vmap(SPACE.sample)(split(key, 400)))
    words = np.asarray(jax.vmap(SPACE.fingerprint)(drawn))
    scores = SCORES[np.asarray(jax.vmap(SPACE.index)(drawn))]
    order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
    _, first = np.unique(words[order], axis=0, return_index=True)
    design, count = jax.jit(lambda key: best_of_random(key, SPACE, lambda a: SCORED.column(a, "luck"), 400, 400))(key)
    assert int(count) == len(first) < 400  # a space has its equal cells
    np.testing.assert_array_equal(design[: len(first)], drawn[order[np.sort(first)]])
    found = SCORES[np.asarray(jax.vmap(SPACE.index)(design[: len(first)]))]
    assert np.isnan(found[-1])
    assert np.isfinite(found[:100]).all()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_drawn_last(odd):
    """A score that ran over is no score: it stands behind the worst that is one."""
    space = categorical((3, 3))
    scores = jnp.asarray([5, odd, -3e38, 1, odd, 2, 4, 3, 0], jnp.float32)
    design, count = best_of_random(jax.random.key(0), space, lambda a: scores[space.index(a)], 9, 200)
    order = np.asarray(jax.vmap(space.index)(design))
    assert int(count) == 9
    assert order[:7].tolist() == [0, 6, 7, 5, 3, 8, 2]


@pytest.mark.parametrize("name", ["regularized_evolution", "local_search", "tpe", "bananas_random_ranking", "smac"])
def test_a_search_goes_on_from_what_it_was_told(name):
    """It begins with the best of all that were drawn, by the score that is searched on; the rest is its own."""
    searcher = make(name, SCORED, warm_start="luck", warm_drawn=300)
    size = make(name, SPACE).num_init
    objective = jnas.function_objective(lambda key, arch: SCORED.column(arch, "luck"))
    drive = jnas.run if searcher.compiled else jnas.search
    trace = drive(searcher, objective, jax.random.key(1), max_evaluations=size + 6)
    begun = np.asarray(trace.score)[:size]
    assert np.all(np.diff(begun) <= 0)
    assert begun[0] > np.nanquantile(SCORES, 0.98)
    assert begun[-1] > np.nanquantile(SCORES, 0.85)
    archs = np.asarray(trace.arch)
    assert len(np.unique(np.asarray(jax.vmap(SPACE.fingerprint)(archs[:size])), axis=0)) == size
    parents = {"regularized_evolution": size, "local_search": 1, "bananas_random_ranking": 1}.get(name)
    if parents:  # what comes next is one change away from what was told, or from the best of it
        assert (np.sum(archs[size] != archs[:parents], axis=1) == 1).any()


def test_many_searches_at_once_are_each_their_own_and_the_same_key_gives_the_same():
    searcher = warm_start(local_search(SPACE, num_init=4), SCORED, "luck", num_drawn=50)
    objective = jnas.function_objective(lambda key, arch: -SCORED.column(arch, "luck"))
    run = jax.jit(jax.vmap(lambda key: jnas.run(searcher, objective, key, max_evaluations=8)))
    keys = jax.random.split(jax.random.key(0), 3)
    found, turned = run(keys), run(keys[::-1])
    np.testing.assert_array_equal(found.arch, turned.arch[::-1])
    assert len(np.unique(np.asarray(found.arch)[:, 0], axis=0)) == 3
    single = jnas.run(searcher, objective, keys[1], max_evaluations=8)
    np.testing.assert_array_equal(single.arch, found.arch[1])


def test_several_workers_begin_with_the_same_best_ones():
    """Each begins the next of them, in their order, whatever others are at, and no one of them twice."""
    searcher = warm_start(regularized_evolution(SPACE, population_size=5), SCORED, "luck", num_drawn=60)

    def evaluate(keys, proposal):
        score = jax.vmap(lambda arch: SCORED.column(arch, "luck"))(proposal.archs)
        return jnas.Evaluation(score, 1.0 + proposal.archs[:, 0], proposal.valid)  # costs of which many are equal

    @jax.jit
    def both(key):
        objective = jnas.Objective(evaluate, min_seconds=1.0)
        return [jnas.run(searcher, objective, key, max_evaluations=9, workers=workers) for workers in (1, 3)]

    alone, beside = both(jax.random.key(2))
    begun = jnas.statistics.elapsed_seconds(beside) - np.asarray(beside.seconds)
    first = np.asarray(beside.arch)[np.argsort(begun, kind="stable")[:5]]
    assert sorted(first.tolist()) == sorted(np.asarray(alone.arch)[:5].tolist())
    assert len({tuple(arch) for arch in first.tolist()}) == 5
    assert sorted(first[:3].tolist()) == sorted(np.asarray(alone.arch)[:3].tolist())  # which begin at once


def test_columns_stand_behind_other_features():
    arch = jnp.asarray([1, 0, 2, 3, 4, 2])
    index = int(SPACE.index(arch))
    known = SCORES[np.isfinite(SCORES)]
    luck = np.asarray(SCORED.features(arch, "luck"))
    expected = (SCORES[index] - known.mean()) / known.std() if np.isfinite(SCORES[index]) else 0
    np.testing.assert_allclose(luck, [expected, float(np.isfinite(SCORES[index]))], rtol=1e-5)
    together = np.asarray(space_features(SCORED, arch, "one_hot+luck+path"))
    parts = [SPACE.features(arch, "one_hot"), luck, SPACE.features(arch, "path")]
    np.testing.assert_array_equal(together, np.concatenate(parts))
    of_all = np.asarray(jax.vmap(lambda i: SCORED.features(SPACE.from_index(i), "luck"))(jnp.arange(15_625)))
    np.testing.assert_array_equal(of_all[:, 1] == 0, np.isnan(SCORES))
    np.testing.assert_allclose(of_all[of_all[:, 1] == 1, 0].std(), 1, rtol=1e-3)
    part = subset(SCORED, np.asarray([[0, 0, 0, 0, 0, 1], [1, 0, 2, 3, 4, 2]]))
    np.testing.assert_array_equal(part.features(arch, "one_hot+luck"), together[: 30 + 2])
    assert has_features(SPACE, "one_hot+path")
    assert not has_features(SPACE, "one_hot+luck")
    with pytest.raises(ValueError, match="hold a graph"):
        space_features(SCORED, arch, "graph+luck")


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: warm_start(random_search(SPACE), SCORED, "luck"), "does not begin with a number of random"),
        (lambda: warm_start(regularized_evolution(SPACE), SCORED, "luck", num_drawn=99), "at least the 100 with which"),
        (lambda: make("tpe", SCORED, warm_start="lucky"), "did you mean 'luck'"),
        (lambda: make("tpe", SPACE, warm_start="luck"), "none: `jnas proxies --out-table`"),
        (lambda: make("tpe", SPACE, warm_drawn=9), "and no warm_start"),
        (lambda: with_columns(SPACE, ["path"], lambda a, n: jnp.float32(0), [SCORES]), "a feature of the space"),
        (lambda: with_columns(SPACE, ["a+b"], lambda a, n: jnp.float32(0), [SCORES]), "two names"),
    ],
)
def test_what_makes_no_sense_is_told(make_it, message):
    with pytest.raises(ValueError, match=message):
        make_it()


def test_commands_read_scores_of_a_table(tmp_path, capsys):
    """Of a table whose scores are its accuracies a predictor learns from ten cells what it cannot without."""
    table, saved = jnas.load_table("digits"), tmp_path / "scored.npz"
    truth = np.asarray(
        table.accuracy(
            table.archs, dataset="digits", split="validation", epochs=table.header.trainings[0].epochs, seed="mean"
        )
    ).astype(np.float32)
    arrays = {name: table.read(name) for name in table.names}
    save_arrays(saved, table.header, {**arrays, "archs": table.archs, "proxy/oracle": truth})
    few = ["--table", str(saved), "--max-evaluations", "30", "--num-seeds", "2", "--out", str(tmp_path / "searched")]
    words = "regularized_evolution:warm_start=oracle:warm_drawn=200,regularized_evolution"
    assert main(["study", "--searchers", words, *few]) == 0
    warm, cold = jnas.load_study(tmp_path / "searched").searchers
    assert np.nanmin(warm.values[0][:, 0]) > np.nanmax(cold.values[0][:, 0]) - 1
    assert (np.asarray(warm.traces.score)[:, 0] > np.asarray(cold.traces.score)[:, 0]).all()
    out = tmp_path / "predicted"
    small = ["--train-sizes", "10", "--test-cells", "40", "--num-seeds", "4", "--out", str(out)]
    both = "one_hot,one_hot+oracle"
    asked = ["--predictors", "bayesian_linear_regression", "--encodings", both]
    assert main(["predictors", "--table", str(saved), *asked, *small]) == 0
    lines = (out / "summary.csv").read_text().splitlines()
    found = {line.split(",")[1]: float(line.split(",")[5]) for line in lines[1:] if ",kendall," in line}
    assert found["one_hot+oracle"] > found["one_hot"] + 0.1
    capsys.readouterr()
    assert main(["study", "--table", str(saved), "--searchers", "tpe:warm_start=oracl"]) == 2
    assert "did you mean 'oracle'" in capsys.readouterr().err
    assert main(["predictors", "--table", str(saved), "--encodings", "one_hot+orcle"]) == 2
    assert "did you mean 'oracle'" in capsys.readouterr().err


def test_settings_of_a_warm_start_are_those_of_searchers_that_can_have_one():
    for name in names(space=SPACE):
        assert entry(name).begins == (name == "gcn_predictor" or make(name, SPACE).num_init > 0)
        assert ("warm_start" in setting_names(entry(name).reads)) == entry(name).begins
