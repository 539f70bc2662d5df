"""Normalization and augmentation: against NumPy written by hand, and in distribution."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas.training.data._augmentation import Augmentation, augment, check_augmentation, normalize

MEAN, STD = (120.0, 100.0, 90.5), (60.0, 50.0, 64.0)
PLAIN = ((0.0,), (1.0,))


def images_of(shape, seed=0):
    return np.random.default_rng(seed).integers(1, 256, shape, np.uint8)


def normalized(images):
    return (images.astype(np.float64) - np.array(MEAN)) / np.array(STD)


def crops(image, flip, pad):
    """All that flip and crop can make of an image, by (flipped, rows, columns)."""
    sides = [False, True] if flip else [False]
    found = {}
    for mirrored, i, j in itertools.product(sides, range(2 * pad + 1), range(2 * pad + 1)):
        whole = np.pad(image[:, ::-1] if mirrored else image, ((pad, pad), (pad, pad), (0, 0)))
        found[mirrored, i, j] = whole[i : i + image.shape[0], j : j + image.shape[1]]
    return found


def hole(size, side, row, column):
    """Marks what a cutout around a pixel sets to zero."""
    marked = np.zeros(size, bool)
    top, left = row - side // 2, column - side // 2
    marked[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = True
    return marked


class TestNormalize:
    def test_is_that_of_numpy(self):
        images = images_of((4, 5, 6, 3))
        found = normalize(jnp.asarray(images), MEAN, STD)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, normalized(images), rtol=1e-6, atol=1e-6)

    def test_takes_one_image_or_batches_of_batches(self):
        images = images_of((2, 4, 5, 6, 3))
        whole = normalize(jnp.asarray(images), MEAN, STD)
        np.testing.assert_array_equal(normalize(jnp.asarray(images[1, 2]), MEAN, STD), whole[1, 2])

    @pytest.mark.parametrize("wrong", [{"mean": (1.0,)}, {"std": (1.0, 2.0)}])
    def test_wants_a_number_for_each_channel(self, wrong):
        values = {"mean": MEAN, "std": STD, **wrong}
        with pytest.raises(ValueError, match="images of 3 channels"):
            normalize(jnp.asarray(images_of((2, 4, 4, 3))), **values)


class TestAugment:
    def test_of_nothing_is_normalization(self):
        images = jnp.asarray(images_of((4, 5, 6, 3)))
        found = augment(jax.random.key(0), images, Augmentation(), MEAN, STD)
        np.testing.assert_array_equal(found, normalize(images, MEAN, STD))

    @pytest.mark.parametrize(
        "augmentation",
        [Augmentation(flip=True), Augmentation(pad=2), Augmentation(flip=True, pad=1), Augmentation(pad=7)],
    )
    def test_gives_each_image_flipped_and_cropped_as_numpy_does(self, augmentation):
        images = images_of((64, 5, 6, 3))
        found = augment(jax.random.key(1), jnp.asarray(images), augmentation, MEAN, STD)
        assert found.dtype == jnp.float32
        assert found.shape == images.shape
        for image, result in zip(images, np.asarray(found), strict=True):
            possible = crops(image, augmentation.flip, augmentation.pad).values()
            assert any(np.allclose(result, normalized(crop), rtol=1e-5, atol=1e-5) for crop in possible)

    @pytest.mark.parametrize("side", [1, 2, 3, 4, 20])
    def test_cuts_out_a_square_of_normalized_zeros(self, side):
        images = images_of((64, 5, 6, 3))
        found = np.asarray(augment(jax.random.key(2), jnp.asarray(images), Augmentation(cutout=side), MEAN, STD))
        possible = [hole((5, 6), side, row, column) for row in range(5) for column in range(6)]
        for image, result in zip(images, found, strict=True):
            cut = [h for h in possible if np.allclose(result, np.where(h[..., None], 0, normalized(image)), atol=1e-5)]
            assert cut, "no square of that side explains the image"

    def test_brings_in_black(self):
        images = np.full((200, 4, 4, 3), 255, np.uint8)
        found = np.asarray(augment(jax.random.key(0), jnp.asarray(images), Augmentation(pad=3), MEAN, STD))
        corner = found[:, 0, 0]
        black, white = normalized(np.zeros(3)), normalized(np.full(3, 255))
        is_black = np.isclose(corner, black, atol=1e-5).all(axis=1)
        assert (is_black | np.isclose(corner, white, atol=1e-5).all(axis=1)).all()
        assert 0 < is_black.sum() < 200

    def test_is_the_same_for_the_same_key_alone(self):
        images = jnp.asarray(images_of((32, 8, 8, 3)))
        augmentation = Augmentation(flip=True, pad=2, cutout=3)
        first, same = (augment(jax.random.key(3), images, augmentation, MEAN, STD) for _ in range(2))
        other = augment(jax.random.key(4), images, augmentation, MEAN, STD)
        np.testing.assert_array_equal(first, same)
        assert not np.array_equal(first, other)

    def test_under_jit_and_vmap_is_the_same(self):
        images = jnp.asarray(images_of((3, 16, 8, 8, 3)))
        keys = jax.random.split(jax.random.key(5), 3)

        def function(key, batch):
            return augment(key, batch, Augmentation(flip=True, pad=2, cutout=3), MEAN, STD)

        single = jnp.stack([function(keys[i], images[i]) for i in range(3)])
        np.testing.assert_allclose(jax.jit(jax.vmap(function))(keys, images), single, rtol=1e-6, atol=1e-6)
        shared = jax.jit(jax.vmap(function, in_axes=(0, None)))(keys, images[0])
        np.testing.assert_allclose(shared[0], single[0], rtol=1e-6, atol=1e-6)
        assert not np.array_equal(shared[1], shared[0])

    def test_draws_once_and_uses_its_key_once(self):
        images = jnp.asarray(images_of((4, 8, 8, 3)))

        def function(key):
            return augment(key, images, Augmentation(flip=True, pad=2, cutout=3), MEAN, STD)

        assert str(jax.make_jaxpr(function)(jax.random.key(0))).count("random_bits[") == 1
        with jax.debug_key_reuse(True):
            jax.jit(function)(jax.random.key(0))

    @pytest.mark.statistical
    def test_flips_and_places_are_uniform_and_independent(self):
        pad, draws = 1, 9000
        image = images_of((4, 4, 1))
        possible = list(crops(image, True, pad).values())
        batch = jnp.broadcast_to(jnp.asarray(image), (draws, 4, 4, 1))
        found = np.asarray(augment(jax.random.key(6), batch, Augmentation(flip=True, pad=pad), *PLAIN)).astype(np.uint8)
        counts = [int((found == crop).all(axis=(1, 2, 3)).sum()) for crop in possible]
        assert len(counts) == 18
        assert sum(counts) == draws
        assert stats.chisquare(counts).pvalue > 1e-3

    @pytest.mark.statistical
    def test_neighbours_in_a_batch_are_flipped_independently(self):
        image = np.arange(1, 5, dtype=np.uint8).reshape(1, 1, 4, 1)
        batch = jnp.asarray(np.broadcast_to(image, (10_000, 1, 4, 1)))
        flipped = np.asarray(augment(jax.random.key(7), batch, Augmentation(flip=True), *PLAIN))[:, 0, 0, 0] == 4
        pairs = np.bincount(2 * flipped[::2] + flipped[1::2], minlength=4)
        assert stats.chisquare(pairs).pvalue > 1e-3

    @pytest.mark.statistical
    @pytest.mark.parametrize("side", [2, 3])
    def test_centres_of_cutouts_are_uniform(self, side):
        draws, size = 8000, (4, 5)
        batch = jnp.asarray(np.full((draws, *size, 1), 7, np.uint8))
        found = np.asarray(augment(jax.random.key(8), batch, Augmentation(cutout=side), *PLAIN))[..., 0] == 0
        holes = [hole(size, side, i, j) for i in range(4) for j in range(5)]
        expected = np.mean(holes, axis=0)
        error = np.sqrt(expected * (1 - expected) / draws)
        assert (np.abs(found.mean(axis=0) - expected) < 4 * error).all()

    def test_one_word_for_each_decision(self):
        """Flips, places and cutouts do not follow from one another."""
        image = images_of((4, 4, 1))
        batch = jnp.broadcast_to(jnp.asarray(image), (4000, 4, 4, 1))
        found = np.asarray(augment(jax.random.key(9), batch, Augmentation(flip=True, pad=0, cutout=1), *PLAIN))
        mirrored = np.array([np.sum(f == image) < np.sum(f == image[:, ::-1]) for f in found])
        row = np.argmax((found[..., 0] == 0).any(axis=2), axis=1)
        table = [[int((mirrored[row == i] == m).sum()) for m in (False, True)] for i in range(4)]
        assert stats.chi2_contingency(table).pvalue > 1e-3


class TestCheck:
    def test_gives_plain_values(self):
        found = check_augmentation(Augmentation(np.bool_(True), np.int64(4), 0))
        assert found == Augmentation(True, 4, 0)
        assert [type(value) for value in found] == [bool, int, int]

    @pytest.mark.parametrize(
        ("wrong", "error", "match"),
        [
            ((True, 4, 0), TypeError, "expected a jnas.training.Augmentation"),
            (Augmentation(flip=0.5), TypeError, "flip is 0.5"),
            (Augmentation(pad=1.5), TypeError, "pad is 1.5"),
            (Augmentation(pad=True), TypeError, "pad is True"),
            (Augmentation(cutout=-1), ValueError, "cutout is -1"),
        ],
    )
    def test_refuses_others(self, wrong, error, match):
        with pytest.raises(error, match=match):
            check_augmentation(wrong)
