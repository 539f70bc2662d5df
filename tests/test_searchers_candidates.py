"""How candidates are compared: on which images, with which batch-norm, and who wins."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Shared
from jnas.searchers import Selection, rsps
from jnas.searchers.weight_sharing._candidates import candidate_scores, check_selection, choose
from jnas.training.data._augmentation import normalize
from jnas.training.data._batches import next_batches
from tests._toy_supernet import ARCHS, TOY, toy_dataset


@functools.cache
def shared():
    with jax.ensure_compile_time_eval():  # tests first ask for it while they are traced
        parameters, _ = jax.jit(TOY.init)(jax.random.key(5))
    rng = np.random.default_rng(0)
    statistics = np.stack([rng.normal(size=(2, 2)), rng.uniform(1, 2, (2, 2))], axis=1).astype(np.float32)
    return Shared(parameters, statistics)


@functools.partial(jax.jit, static_argnums=2)
def scores_of(seed, archs, selection, dataset):
    return candidate_scores(jax.random.key(seed), TOY, shared(), archs, dataset, "validation", selection)


@jax.jit
def logits_and_used(statistics, arch, images):
    return TOY.sampled(shared().parameters, statistics, arch, normalize(images, (128,) * 4, (32,) * 4))


def by_hand(dataset, arch, statistics):
    rows = dataset.rows("validation")
    logits, _ = logits_and_used(statistics, arch, dataset.images[rows])
    return 100 * np.mean(np.argmax(logits, axis=1) == np.asarray(dataset.labels[rows]))


def test_all_images_of_the_split_with_running_estimates():
    dataset = toy_dataset(count=205)
    selection = Selection("same_batches", batch_size=16, batch_norm="running")  # 41 images: the last batch is not full
    found = scores_of(0, jnp.asarray(ARCHS), selection, dataset)
    expected = [by_hand(dataset, arch, shared().statistics) for arch in ARCHS]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_all_images_of_the_split_as_one_batch():
    dataset = toy_dataset(count=205)
    found = scores_of(0, jnp.asarray(ARCHS), Selection("same_batches", batch_size=512), dataset)
    expected = [by_hand(dataset, arch, None) for arch in ARCHS]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_statistics_taken_again_for_each_candidate():
    dataset = toy_dataset(count=205)
    selection = Selection("same_batches", batch_norm="reestimated", batch_norm_batches=1)
    found = scores_of(0, jnp.asarray(ARCHS), selection, dataset)
    images = dataset.images[dataset.rows("train")]  # one batch is all of them
    for arch, score in zip(ARCHS, found, strict=True):
        _, used = logits_and_used(None, arch, images)
        np.testing.assert_allclose(score, by_hand(dataset, arch, used), rtol=1e-5)


def test_statistics_are_taken_from_no_image_twice():
    dataset = toy_dataset(count=205)
    size = 2 * len(dataset.rows("train")) // 3
    selections = (
        Selection("same_batches", batch_size=size, batch_norm="reestimated", batch_norm_batches=n) for n in (1, 8)
    )
    one, many = (scores_of(0, jnp.asarray(ARCHS), selection, dataset) for selection in selections)
    np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("selection", [Selection(batch_size=20), Selection("same_batches", batch_norm="reestimated")])
def test_batches_of_candidates_score_as_one_after_the_other(selection):
    """Where the supernet does not branch; 27 candidates are no multiple of a batch."""
    archs, dataset, key = jnp.asarray(np.tile(ARCHS, (3, 1))), toy_dataset(count=205), jax.random.key(3)
    batched = TOY._replace(form="mixture")
    found = jax.jit(lambda: candidate_scores(key, batched, shared(), archs, dataset, "validation", selection))()
    np.testing.assert_allclose(found, scores_of(3, archs, selection, dataset), rtol=1e-5)


def test_equal_candidates_are_equal_on_the_same_batches_and_differ_on_their_own():
    archs, dataset = jnp.asarray(np.repeat(ARCHS[7:8], 6, axis=0)), toy_dataset(count=400)
    same = np.asarray(scores_of(1, archs, Selection("same_batches", batch_size=20, num_images=40), dataset))
    own = np.asarray(scores_of(1, archs, Selection(batch_size=20), dataset))
    assert len(set(same)) == 1
    assert len(set(own)) > 1
    np.testing.assert_allclose(own % 5, 0, atol=1e-4)  # of 20 images
    assert (own != np.asarray(scores_of(2, archs, Selection(batch_size=20), dataset))).any()


def test_the_published_batches_go_through_all_images_before_they_repeat():
    found = np.asarray(next_batches(jax.random.key(0), jnp.arange(100, 147), 10, 10))
    assert found.shape == (10, 10)
    for start in (0, 4, 8):  # four batches in each pass over 47 images
        assert len(np.unique(found[start : start + 4])) == found[start : start + 4].size
    assert not np.array_equal(found[:4], found[4:8])
    assert set(found.ravel()) <= set(range(100, 147))
    whole = np.asarray(next_batches(jax.random.key(0), jnp.arange(7), 512, 3))
    np.testing.assert_array_equal(np.sort(whole, axis=1), np.tile(np.arange(7), (3, 1)))


def test_a_nan_never_wins():
    def sampled(parameters, statistics, arch, images):
        logits, used = TOY.sampled(parameters, statistics, arch, images)
        return jnp.where(arch[0] == 2, jnp.nan, logits), used

    broken, dataset = TOY._replace(sampled=sampled), toy_dataset(count=205)
    derived = choose(
        jax.random.key(0), broken, shared(), jnp.asarray(ARCHS[::-1]), dataset, "test", Selection("same_batches")
    )
    np.testing.assert_array_equal(np.isnan(derived.scores), ARCHS[::-1, 0] == 2)
    assert derived.arch[0] != 2
    np.testing.assert_array_equal(derived.arch, derived.candidates[np.nanargmax(derived.scores)])


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="selection is 'published'"):
        rsps(TOY, steps_per_epoch=3, selection="published")
    with pytest.raises(ValueError, match="comparison is 'best'"):
        check_selection(Selection("best"))
    with pytest.raises(ValueError, match="batch_norm is 'none'"):
        check_selection(Selection(batch_norm="none"))
    with pytest.raises(ValueError, match="num_candidates is 0"):
        check_selection(Selection(num_candidates=0))
    with pytest.raises(TypeError, match=r"num_images is 0\.5"):
        check_selection(Selection(num_images=0.5))
