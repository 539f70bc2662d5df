"""TPE against hyperopt, by hand, and in a space with encodings that are no architectures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas.core._loop import run
from jnas.core._vocabulary import STOPPED_BY, Evaluation, function_objective
from jnas.searchers import tpe
from jnas.searchers.black_box._parzen import (
    good_ones,
    histograms,
    no_past,
    probability_to_win,
    rank_latest,
    remember,
    smoothed,
)
from jnas.spaces import categorical, nasbench101

COUNTS = (2, 3, 5, 1)
MIXED = categorical(COUNTS)


def observed(archs, scores, counts=COUNTS, most_good=25, full_memory=25):
    """The histograms of the good and of the others after each observation: `[T, E, K]` each."""

    def step(past, row):
        arch, score = row
        past = rank_latest(remember(past, arch, jnp.bool_(True)), arch, score, jnp.bool_(True))
        return past, histograms(past, good_ones(past, 0.25))

    start = no_past(counts, most_good, full_memory)
    rows = np.asarray(archs, np.int32), np.asarray(scores, np.float32)
    return jax.device_get(jax.jit(lambda rows: jax.lax.scan(step, start, rows)[1])(rows))


def history(steps, seed, counts=COUNTS):
    """Random observations, many of which have equal scores."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, c, steps) for c in counts], axis=1), rng.normal(size=steps).round(1)


def state_after(searcher, archs, scores):
    """The state in which TPE has been told of evaluations."""

    def step(state, row):
        arch, score = row
        proposal, state = searcher.ask(state)
        answer = Evaluation(score[None], jnp.ones((1,)), jnp.ones((1,), bool))
        return searcher.tell(state, proposal._replace(archs=arch[None]), answer), None

    rows = np.asarray(archs, np.int32), np.asarray(scores, np.float32)
    return jax.jit(lambda rows: jax.lax.scan(step, searcher.init(jax.random.key(0), len(archs)), rows)[0])(rows)


def test_histograms_are_those_of_hyperopt():
    """At every length up to 80 and some beyond, with ties: the split, the fading weights, the counts."""
    split = pytest.importorskip("hyperopt.tpe").ap_split_trials
    fading = pytest.importorskip("hyperopt.tpe").linear_forgetting_weights
    archs, scores = history(1200, 0)
    good, bad = observed(archs, scores)
    for steps in (*range(1, 80), 299, 300, 301, 1024, 1025, 1200):
        times = np.arange(steps)
        losses = -scores[:steps] + 1e-9 * times  # hyperopt's sort leaves open which of equal losses comes first
        for e in range(len(COUNTS)):
            below, above = split(times, archs[:steps, e], times, losses, 0.25)
            np.testing.assert_array_equal(good[steps - 1, e], np.bincount(below, minlength=5))
            counts = np.bincount(above.astype(int), fading(len(above), 25), minlength=5)
            np.testing.assert_allclose(bad[steps - 1, e], counts, atol=2e-5 * max(1, steps / 100))


def test_histograms_with_other_sizes_and_where_few_are_usable():
    """As in plain NumPy; what has no score is never good."""
    archs, scores = history(200, 1)
    scores = np.where(np.arange(200) % 3 > 0, -np.inf, scores)
    good, bad = observed(archs, scores, most_good=3, full_memory=7)
    for steps in range(1, 201):
        order = [t for t in np.argsort(-scores[:steps], kind="stable") if scores[t] > -np.inf]
        chosen = order[: min(3, int(np.ceil(0.25 * np.sqrt(steps))))]
        others = np.setdiff1d(np.arange(steps), chosen)
        weights = np.ones(len(others))
        if len(others) > 7:
            weights[:-7] = np.linspace(1 / len(others), 1, len(others) - 7)
        for e in range(len(COUNTS)):
            np.testing.assert_array_equal(good[steps - 1, e], np.bincount(archs[chosen, e], minlength=5))
            np.testing.assert_allclose(bad[steps - 1, e], np.bincount(archs[others, e], weights, 5), atol=1e-4)


def suggestions(archs, scores, counts, num_candidates, seeds):
    """What hyperopt's `tpe.suggest` answers over `hp.choice`, `[len(seeds), E]`; but for the draws by its defaults."""
    hyperopt = pytest.importorskip("hyperopt")
    names = [str(e) for e in range(len(counts))]
    domain = hyperopt.base.Domain(
        lambda point: 0.0, {n: hyperopt.hp.choice(n, range(c)) for n, c in zip(names, counts, strict=True)}
    )
    trials = hyperopt.Trials()
    docs = []
    for tid, (arch, score) in enumerate(zip(archs, scores, strict=True)):
        misc = {"tid": tid, "cmd": domain.cmd, "workdir": None, "idxs": {}, "vals": {}}
        misc["idxs"] = {n: [tid] for n in names}
        misc["vals"] = {n: [int(choice)] for n, choice in zip(names, arch, strict=True)}
        result = {"status": hyperopt.STATUS_OK, "loss": -float(score) + 1e-9 * tid}
        doc = trials.new_trial_docs([tid], [None], [result], [misc])[0]
        docs.append({**doc, "state": hyperopt.JOB_STATE_DONE})
    trials.insert_trial_docs(docs)
    trials.refresh()
    found = []
    for seed in seeds:
        (doc,) = hyperopt.tpe.suggest([len(docs)], domain, trials, seed, n_EI_candidates=num_candidates, verbose=False)
        found.append([doc["misc"]["vals"][n][0] for n in names])
    return np.asarray(found)


@pytest.mark.statistical
@pytest.mark.parametrize(("steps", "num_candidates"), [(70, 3), (400, 2)])
def test_proposals_are_distributed_as_those_of_hyperopt(steps, num_candidates):
    """Its answers over 150 seeds against the probabilities here, which 20,000 proposals follow."""
    counts = (2, 3, 5, 4, 2, 3)
    archs, scores = history(steps, 5, counts)
    scores = scores + 0.5 * (archs[:, 2] == 3)
    good, bad = (smoothed(h[-1], counts, 1.0) for h in observed(archs, scores, counts))
    expected = np.asarray(probability_to_win(good, bad, num_candidates), np.float64)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    theirs = suggestions(archs, scores, counts, num_candidates, range(150))
    searcher = tpe(categorical(counts), num_candidates=num_candidates)
    state = state_after(searcher, archs, scores)
    keys = jax.random.split(jax.random.key(1), 20_000)
    ours = np.asarray(jax.jit(jax.vmap(lambda key: searcher.ask(state._replace(key=key))[0].archs[0]))(keys))
    for sample in (theirs, ours):
        assert worst_p_value(sample, expected, counts) > 1e-3
    uniform = [[1 / c if k < c else 0 for k in range(5)] for c in counts]
    assert worst_p_value(theirs, np.asarray(uniform), counts) < 1e-9  # the test can tell


def worst_p_value(sample, expected, counts):
    """The smallest p-value of chi-squared tests of each decision, times their number; rare choices are put together."""
    found = []
    for e, c in enumerate(counts):
        wanted = expected[e, :c] * len(sample)
        seen = np.bincount(sample[:, e], minlength=c)
        rare = wanted < 5
        wanted, seen = (np.append(x[~rare], x[rare].sum()) for x in (wanted, seen))
        if wanted[-1] < 1:  # of what is hardly ever drawn, none to speak of
            assert seen[-1] <= 5
            wanted, seen = wanted[:-1], seen[:-1]
        if len(wanted) > 1:
            found.append(stats.chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue)
    return min(found) * len(found) if found else 1.0


@pytest.mark.statistical
def test_best_of_draws_is_what_draws_give():
    """Against drawing: three choices with two equal ratios, and one where all are equal."""
    good = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0]], np.float32)
    bad = np.array([[0.25, 0.6, 0.1], [0.6, 0.3, 0.1], [0.5, 0.5, 0.0]], np.float32)
    expected = np.asarray(probability_to_win(jnp.asarray(good), jnp.asarray(bad), 3))
    rng = np.random.default_rng(0)
    ratio = good / np.maximum(bad, 1e-9)
    for e in range(3):
        drawn = rng.choice(3, size=(100_000, 3), p=good[e].astype(np.float64) / good[e].sum(dtype=np.float64))
        first = np.argmax(np.round(ratio[e], 4)[drawn], axis=1)
        share = np.bincount(drawn[np.arange(len(drawn)), first], minlength=3) / len(drawn)
        np.testing.assert_allclose(expected[e], share, atol=4 * np.sqrt(0.25 / len(drawn)))
    # By hand: 0 and 2 have ratio 2, 1 has less. All three draws are 1 with probability .027; else 0 is 5 in 7.
    np.testing.assert_allclose(expected[0], [0.973 * 5 / 7, 0.027, 0.973 * 2 / 7], rtol=1e-5)
    np.testing.assert_allclose(expected[1], good[1], rtol=1e-5)
    np.testing.assert_allclose(expected[2], [0.2**3, 1 - 0.2**3, 0], rtol=1e-5)


def test_a_step_by_hand():
    """Two decisions of two choices; of 4 observations the best 1 is good."""
    archs, scores = [[0, 0], [0, 1], [1, 1], [1, 1]], [1.0, 4.0, 2.0, 3.0]
    good, bad = observed(archs, scores, (2, 2))
    np.testing.assert_array_equal(good[-1], [[1, 0], [0, 1]])
    np.testing.assert_array_equal(bad[-1], [[1, 2], [1, 2]])
    below, above = (smoothed(h[-1], (2, 2), 1.0) for h in (good, bad))
    np.testing.assert_allclose(below, [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], rtol=1e-6)
    np.testing.assert_allclose(above, [[2 / 5, 3 / 5], [2 / 5, 3 / 5]], rtol=1e-6)
    # Ratios: 5/3 and 5/9; 5/6 and 10/9. Of one draw each is as likely as in the good; of two the better wins.
    np.testing.assert_allclose(probability_to_win(below, above, 1), below, rtol=1e-6)
    np.testing.assert_allclose(probability_to_win(below, above, 2), [[8 / 9, 1 / 9], [1 / 9, 8 / 9]], rtol=1e-5)


def test_times_do_not_overflow():
    """The sum of times goes beyond 32 bits after 92,682 observations of one choice."""
    past = no_past((2,), 2, 2)
    past = past._replace(
        num_observed=jnp.int32(200_000),
        totals=jnp.asarray([[200_000, 0]], jnp.int32),
        times=jnp.asarray([[199_999 * 100_000 % 2**32, 0]], jnp.uint32),
        times_high=jnp.asarray([[199_999 * 100_000 // 2**32, 0]], jnp.uint32),
    )
    for _ in range(2):
        past = remember(past, jnp.zeros((1,), jnp.int32), jnp.bool_(True))
    total = int(past.times_high[0, 0]) * 2**32 + int(past.times[0, 0])
    assert total == 200_001 * 200_002 // 2
    _, bad = histograms(past, jnp.zeros((2,), bool))
    np.testing.assert_allclose(bad, [[np.linspace(1 / 200_002, 1, 200_000).sum() + 2, 0]], rtol=1e-6)


def test_what_is_no_architecture_is_learned_from_and_not_proposed():
    """Encodings with an odd sum are none: TPE finds the best of the others, and never proposes them."""
    plain = categorical((3,) * 5)
    even = plain._replace(
        is_valid=lambda arch: jnp.sum(arch) % 2 == 0,
        sample=lambda key: jnp.asarray([0, 0, 0, 0, 2], jnp.int32) * jax.random.bernoulli(key),
    )
    searcher = tpe(even, num_init=4)

    def search(key):
        state = searcher.init(key, 40)

        def step(state, _):
            proposal, state = searcher.ask(state)
            score = jnp.sum(proposal.archs, axis=1).astype(jnp.float32)
            state = searcher.tell(state, proposal, Evaluation(score, jnp.ones((1,)), jnp.ones((1,), bool)))
            return state, (proposal, state.past.num_observed)

        return jax.lax.scan(step, state, length=40)[1]

    proposals, num_observed = jax.device_get(jax.jit(jax.vmap(search))(jax.random.split(jax.random.key(0), 8)))
    sums = proposals.archs.sum(axis=-1)
    assert (sums % 2 == 0).all()
    assert proposals.valid.all()
    assert (sums[:, -10:].max(axis=1) >= 8).all()
    assert (num_observed[:, 3] == 4).all()
    assert (num_observed[:, -1] > 40).all()


def test_a_run_ends_where_no_draw_is_an_architecture():
    nothing = categorical((3,) * 5)._replace(is_valid=lambda arch: jnp.bool_(False))
    objective = function_objective(lambda key, arch: jnp.sum(arch).astype(jnp.float32))
    searcher = tpe(nothing, num_init=3, max_draws=5)
    trace = jax.jit(lambda key: run(searcher, objective, key, max_evaluations=10))(jax.random.key(0))
    assert trace.mask.sum() == 3
    assert STOPPED_BY[int(trace.stopped_by)] == "exhausted"


@pytest.mark.statistical
def test_finds_good_cells_of_nasbench101():
    """With more 3x3 convolutions and fewer edges better: beyond random search, and only valid cells."""
    space = nasbench101()
    objective = function_objective(lambda key, arch: jnp.sum(arch[21:] == 0) - 0.3 * jnp.sum(arch[:21]))

    def search(key):
        return run(tpe(space), objective, key, max_evaluations=120)

    traces = jax.device_get(jax.jit(jax.vmap(search))(jax.random.split(jax.random.key(3), 16)))
    assert jax.vmap(jax.vmap(space.is_valid))(traces.arch).all()
    early, late = traces.score[:, :20].mean(axis=1), traces.score[:, -20:].mean(axis=1)
    assert (late - early).mean() > 5 * (late - early).std() / 4


def test_a_sweep_over_the_prior_weight_is_one_program():
    def proposal(weight):
        searcher = tpe(MIXED, prior_weight=weight, num_init=2)
        objective = function_objective(lambda key, arch: arch[2].astype(jnp.float32))
        return run(searcher, objective, jax.random.key(0), max_evaluations=30).arch

    archs = jax.jit(jax.vmap(proposal))(jnp.asarray([0.1, 1.0, 100.0]))
    assert (archs[0] != archs[2]).any()


def test_arguments_are_checked():
    with pytest.raises(TypeError, match=r"num_init is 2\.5, expected a Python int"):
        tpe(MIXED, num_init=2.5)
    with pytest.raises(ValueError, match="num_candidates is 0, expected at least 1"):
        tpe(MIXED, num_candidates=0)
    with pytest.raises(ValueError, match="gamma is 0, expected a Python number"):
        tpe(MIXED, gamma=0)
    with pytest.raises(ValueError, match="prior_weight is -1, expected more than 0"):
        tpe(MIXED, prior_weight=-1)
