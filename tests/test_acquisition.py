"""Acquisition functions, by hand values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jnas.core._vocabulary import Prediction, Predictor
from jnas.searchers.black_box._acquisition import ACQUISITIONS, Outlook, find_acquisition, outlook

MEAN = np.array([1.0, 2.0, 3.0, 2.5, 2.0], np.float32)
STD = np.array([0.5, 1.0, 0.25, 0.0, 0.0], np.float32)
MEMBERS = np.array([[1.0, 4.0, 2.0, 2.5, 0.0], [1.5, 0.0, 3.5, 2.5, 1.0]], np.float32)
BEST = np.float32(2.25)
UNCERTAIN = STD > 0


def values(name, std=STD, best=BEST):
    seen = Outlook(
        Prediction(jnp.asarray(MEAN), jnp.asarray(std)), lambda: jnp.asarray(MEMBERS), lambda key: MEMBERS[1]
    )
    return np.asarray(ACQUISITIONS[name](jax.random.key(0), seen, best))


def test_expected_improvement_has_a_fifth_of_the_deviation():
    scale = STD[UNCERTAIN] / 5
    z = (MEAN[UNCERTAIN] - BEST) / scale
    expected = scale * (z * stats.norm.cdf(z) + stats.norm.pdf(z))
    np.testing.assert_allclose(values("ei")[UNCERTAIN], np.log(expected), rtol=1e-4)
    np.testing.assert_allclose(values("ei")[~UNCERTAIN], [np.log(0.25), -np.inf], rtol=1e-6)


def test_expected_improvement_ranks_what_is_far_below_the_best():
    z = np.concatenate([-np.geomspace(1e-3, 1e3, 200), [0.0], np.geomspace(1e-3, 1e3, 200)])
    seen = Outlook(Prediction(jnp.asarray(z, jnp.float32), jnp.full(z.shape, 5.0, jnp.float32)), None, lambda key: z)
    found = np.asarray(ACQUISITIONS["ei"](jax.random.key(0), seen, np.float32(0)))
    assert (np.diff(found[np.argsort(z)]) >= 0).all()
    share = np.sqrt(np.pi / 2) * special.erfcx(np.abs(z) / np.sqrt(2))  # of the tail over the density
    below = stats.norm.logpdf(z) + np.log1p(-np.abs(z) * share)
    above = np.log(z + stats.norm.pdf(z) - z * stats.norm.sf(z), where=z > 0, out=np.zeros(len(z)))
    np.testing.assert_allclose(found, np.where(z > 0, above, below), rtol=2e-4, atol=2e-4)


def test_probability_of_improvement():
    probabilities = stats.norm.cdf((MEAN[UNCERTAIN] - BEST) / STD[UNCERTAIN])
    np.testing.assert_allclose(stats.norm.cdf(values("pi")[UNCERTAIN]), probabilities, rtol=1e-5)
    np.testing.assert_array_equal(values("pi")[~UNCERTAIN], [np.inf, -np.inf])


def test_bounds_mean_and_members():
    np.testing.assert_allclose(values("ucb"), [1.25, 2.5, 3.125, 2.5, 2.0])
    np.testing.assert_allclose(values("confidence"), [0.0, 0.0, 2.5, 2.5, 2.0])
    np.testing.assert_array_equal(values("mean"), MEAN)
    np.testing.assert_array_equal(values("percentile"), [1.5, 4.0, 3.5, 2.5, 1.0])
    np.testing.assert_array_equal(values("ts"), MEMBERS[1])


@pytest.mark.statistical
def test_independent_thompson_sampling_draws_each_candidate_by_itself():
    seen = Outlook(Prediction(jnp.asarray(MEAN), jnp.asarray(STD)), None, lambda key: MEMBERS[1])
    draw = jax.vmap(lambda key: ACQUISITIONS["its"](key, seen, BEST))
    draws = np.asarray(draw(jax.random.split(jax.random.key(0), 400)))
    error = STD / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - MEAN) <= 4 * error).all()
    assert (np.abs(draws.std(axis=0) - STD) <= 4 * error).all()
    assert abs(np.corrcoef(draws[:, 0], draws[:, 1])[0, 1]) < 4 / np.sqrt(len(draws))
    np.testing.assert_array_equal(draws[:, 3:], np.broadcast_to(MEAN[3:], (400, 2)))


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_no_value_is_nan(name):
    for best in (-1e30, 0.0, 100.0):
        extreme = np.array([0.0, 1e-30, 1.0, 1e15, 1e30], np.float32)
        assert not np.isnan(values(name, std=extreme, best=np.float32(best))).any()


def predictor(members=None):
    return Predictor(
        fit=lambda key, features, scores, mask: (),
        predict=lambda model, features: Prediction(features, features),
        sample=lambda key, model, features: 2 * features,
        name="thing",
        members=members,
    )


def test_what_a_predictor_says():
    seen = outlook(predictor(lambda model, features: features[None]), (), MEAN, Prediction(MEAN, STD))
    np.testing.assert_array_equal(seen.members(), MEAN[None])
    np.testing.assert_array_equal(seen.sample(jax.random.key(0)), 2 * MEAN)
    assert outlook(predictor(), (), MEAN, Prediction(MEAN, STD)).members is None


def test_what_cannot_be_asked_is_refused():
    assert find_acquisition("ucb", predictor()) is ACQUISITIONS["ucb"]
    mine = lambda key, outlook, best: outlook.prediction.mean  # noqa: E731
    assert find_acquisition(mine, predictor()) is mine
    with pytest.raises(ValueError, match=r"acquisition is 'percentile'.* but thing has no members"):
        find_acquisition("percentile", predictor())
    assert (
        find_acquisition("percentile", predictor(lambda model, features: features[None])) is ACQUISITIONS["percentile"]
    )
    with pytest.raises(ValueError, match=r"acquisition is 'lcb'; did you mean 'ucb'.* expected one of 'its', "):
        find_acquisition("lcb", predictor())
    with pytest.raises(ValueError, match="pass predictor=None"):
        find_acquisition("random", predictor())
    with pytest.raises(TypeError, match="acquisition is 3, expected one of"):
        find_acquisition(3, predictor())
