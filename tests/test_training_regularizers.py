"""What recipes of DARTS add to a training step, and what files of weights hold of its networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import training
from jnas.spaces.darts._cells import arch_of
from jnas.spaces.darts._genotype import PUBLISHED
from jnas.training._recipe import read_recipe, recipe_words
from jnas.training.data._reduce import divided_anew
from jnas.training.networks.darts._network import darts_network
from jnas.training.networks.darts._weights import darts_named_arrays
from jnas.training.runs._regularizers import check_regularizers, mixed, with_cutout


def test_mixup_mixes_images_and_losses_in_the_same_share():
    inputs, targets = jnp.arange(6.0)[:, None], jnp.arange(6)
    found, over_both = mixed(jax.random.key(3), inputs, targets, 0.2)
    share_key, order_key = jax.random.split(jax.random.key(3))
    share, order = float(jax.random.beta(share_key, 0.2, 0.2)), np.asarray(jax.random.permutation(order_key, 6))
    assert 0 < share < 1
    np.testing.assert_allclose(found[:, 0], share * np.arange(6) + (1 - share) * order, rtol=1e-6)
    weights = np.asarray([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    loss = over_both(lambda outputs, targets: outputs * targets, jnp.asarray(weights, jnp.float32))
    np.testing.assert_allclose(loss, np.mean(weights * (share * np.arange(6) + (1 - share) * order)), rtol=1e-6)


def test_images_are_divided_anew():
    digits = training.load_dataset("digits")
    found = divided_anew(digits, 0.7)
    before = np.concatenate([digits.splits["train"], digits.splits["validation"]])
    after = np.concatenate([found.splits["train"], found.splits["validation"]])
    np.testing.assert_array_equal(np.sort(after), np.sort(before))
    assert len(found.splits["train"]) == round(0.7 * len(before))
    assert with_cutout(digits, 3).augmentation.cutout == 3


def test_recipes_say_what_they_add_alone():
    recipe = training.get_recipe("darts-600")
    words = recipe_words(recipe)
    assert (words["auxiliary"], words["drop_path"], words["cutout"], words["nesterov"]) == (0.4, 0.2, 16, False)
    assert read_recipe(words) == recipe
    assert not {"mixup", "train_share", "score_epochs"} & set(words)
    assert not {"nesterov", "clip", "auxiliary"} & set(recipe_words(training.get_recipe("nasbench201-200")))
    told = training.get_recipe("darts-50")
    assert (told.epochs, told.train_share, told.score_epochs, told.channels, told.cells) == (50, 0.7, 5, 36, 20)
    network = training.make_network(training.load_dataset("digits"), training.get_recipe("digits-8"))
    with pytest.raises(
        ValueError, match=r"auxiliary is 0\.4, which networks of nasbench201 do not have; change it to 0"
    ):
        check_regularizers(recipe, network)


def test_files_hold_what_an_architecture_has():
    arch = arch_of(PUBLISHED["DARTS_V2"])
    network = darts_network(image_shape=(8, 8, 1), num_classes=3, channels=2, cells=4, auxiliary=True)
    has = network.has(arch)
    shapes = jax.eval_shape(network.init, jax.random.key(0), arch)
    parameters, statistics = jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes)
    named = dict(darts_named_arrays(arch, parameters, statistics))
    learned = sum(a.size for name, a in named.items() if name.rsplit("/", 1)[1] not in ("mean", "variance"))
    assert learned == sum(int(np.sum(leaf)) for leaf in jax.tree.leaves(has))
    for array in named.values():
        array[...] = 1  # views, so that a file can be read into them
    filled = jax.tree.map(lambda leaf, own: bool(np.all((leaf != 0) == own)), parameters, has)
    assert all(jax.tree.leaves(filled))
