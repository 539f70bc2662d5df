"""Networks as Flax modules: the same outputs, gradients and sizes as the ones that were trained."""

import builtins
import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnas.core._vocabulary import Weights
from jnas.spaces.nasbench201._cost import nasbench201_parameters
from jnas.spaces.nasbench201._space import nasbench201
from jnas.training._recipe import get_recipe
from jnas.training.export._flax import from_flax, to_flax
from jnas.training.export._weights import TrainedNetwork
from jnas.training.networks.nasbench201._network import nasbench201_network
from jnas.training.operations._forms import static_form
from jnas.training.runs._train import _running

nnx = pytest.importorskip("flax.nnx", reason="needs flax: pip install 'jnas[flax]'")

SIZES = {"num_classes": 5, "channels": 2, "cells": 1}
NETWORK = nasbench201_network(image_shape=(4, 8, 3), **SIZES)
ARCHS = [(3, 2, 4, 1, 0, 3), (0, 0, 0, 0, 0, 0), (1, 4, 3, 2, 2, 0)]
ALL_OPERATIONS = (2, 3, 1, 4, 0, 1)


INIT = jax.jit(NETWORK.init)
TWO_CELLS = jax.jit(nasbench201_network(image_shape=(8, 8, 1), num_classes=3, channels=2, cells=2).init)


def random_weights(arch, seed=0, init=INIT):
    """Weights of which no batch-norm is the identity, with statistics of no meaning on edges without one."""
    rng = np.random.default_rng(seed)
    weights = jax.tree.map(np.asarray, Weights(*init(jax.random.key(seed), np.asarray(arch))))
    weights = jax.tree.map(lambda x: np.asarray(x * rng.uniform(0.5, 1.5, x.shape), np.float32), weights)
    means = jax.tree.map(lambda x: x + np.float32([0.3, 0.2])[:, None] * np.float32(rng.uniform()), weights.statistics)
    return weights._replace(statistics=means)


def random_images(seed=0, batch=6):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, 4, 8, 3)), jnp.float32)


def network_of(arch):
    """The network that trains, with a program for one cell, which compiles faster."""
    return nasbench201_network(image_shape=(4, 8, 3), form=static_form(arch), **SIZES)


@functools.partial(jax.jit, static_argnums=1)
def trained_network(weights, arch, images):
    network = network_of(arch)
    evaluated, _ = network.apply(weights.parameters, weights.statistics, np.asarray(arch), images)
    learning, used = network.apply(weights.parameters, None, np.asarray(arch), images)
    return evaluated, learning, used


@nnx.jit
def forward(module, images):
    return module(images)


def loss_of(logits):
    return jnp.sum(jnp.sin(logits))


class TestToFlax:
    @pytest.mark.parametrize("arch", ARCHS[:2], ids=str)
    def test_gives_the_same_logits_and_updates_its_estimates(self, arch):
        weights, images = random_weights(arch), random_images()
        evaluated, learning, used = trained_network(weights, arch, images)
        module = to_flax(np.asarray(arch), weights, batch_norm_momentum=0.8)
        np.testing.assert_allclose(forward(module, images), evaluated, rtol=2e-4, atol=2e-5)
        same = from_flax(module)
        module.train()
        np.testing.assert_allclose(forward(module, images), learning, rtol=2e-4, atol=2e-5)
        assert not any(arch) or not np.allclose(evaluated, learning, atol=0.05)
        biased = jax.tree.map(lambda _: 10**9, weights.statistics)  # Flax's rule has no n / (n - 1)
        expected = _running(same.statistics, used, 0.8, biased)
        for stage, width in enumerate((2, 4, 8)):
            has_none = ~np.isin(arch, (2, 3))
            fresh = np.stack([np.zeros(width), np.ones(width)])
            found = np.asarray(from_flax(module).statistics.cells[stage])
            np.testing.assert_array_equal(found[:, has_none], np.broadcast_to(fresh, found[:, has_none].shape))
            wanted = np.asarray(expected.cells[stage])
            np.testing.assert_allclose(found[:, ~has_none], wanted[:, ~has_none], rtol=1e-4, atol=1e-5)
        for part in ("stem", "head"):
            found, wanted = (getattr(each, part) for each in (from_flax(module).statistics, expected))
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("arch", ARCHS, ids=str)
    def test_goes_there_and_back(self, arch):
        weights = random_weights(arch, init=TWO_CELLS)
        back = from_flax(to_flax(nasbench201().to_string(np.asarray(arch)), weights))
        jax.tree.map(np.testing.assert_array_equal, back.parameters, weights.parameters)
        shapes = jax.tree.map(np.shape, weights), jax.tree.map(np.shape, back)
        assert shapes[0] == shapes[1]
        np.testing.assert_array_equal(back.statistics.reductions[1], weights.statistics.reductions[1])
        for stage in range(3):
            own = np.isin(arch, (2, 3))
            found, wanted = (np.asarray(each.statistics.cells[stage])[:, own] for each in (back, weights))
            np.testing.assert_array_equal(found, wanted)

    def test_has_the_same_gradients(self):
        with jax.enable_x64(True):
            arch = ALL_OPERATIONS
            weights = jax.tree.map(lambda x: x.astype(jnp.float64), random_weights(arch))
            images = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4, 8, 3)))
            module = to_flax(arch, weights)
            module.train()
            found = nnx.jit(nnx.grad(lambda module: loss_of(module(images))))(module)
            network = network_of(arch)

            @jax.jit
            @jax.grad
            def gradient(parameters):
                return loss_of(network.apply(parameters, None, np.asarray(arch), images)[0])

            has = network.has(np.asarray(arch))
            expected = jax.tree.map(lambda x, mask: jnp.where(mask, x, 0), gradient(weights.parameters), has)
            holder = to_flax(arch, weights)
            nnx.update(holder, found)  # in the place of the parameters, so that they can be read back
            found = from_flax(holder).parameters
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), found, expected)

    def test_holds_the_parameters_of_the_formula(self):
        """One cell for each count of 1x1 and of 3x3 convolutions that there can be."""
        for ones in range(7):
            for threes in range(7 - ones):
                arch = np.asarray(([2] * ones + [3] * threes + [4, 1, 0, 1, 4, 0])[:6])
                module = to_flax(arch, Weights(*INIT(jax.random.key(0), arch)))
                found = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))
                formula = nasbench201_parameters(arch, channels=2, cells=1, classes=5)
                assert found == round(float(formula) * 1e6), arch

    def test_starts_in_evaluation_mode_and_takes_other_image_sizes(self):
        module = to_flax(ARCHS[0], random_weights(ARCHS[0]))
        before = from_flax(module)
        assert forward(module, jnp.ones((2, 12, 4, 3))).shape == (2, 5)
        jax.tree.map(np.testing.assert_array_equal, before, from_flax(module))
        with pytest.raises(ValueError, match="10 by 4, expected multiples of 4"):
            module(jnp.ones((2, 10, 4, 3)))

    def test_learns_on(self):
        """The docstring's example, on images that tell their class."""
        rng = np.random.default_rng(0)
        labels = jnp.asarray(np.arange(20) % 5)
        images = jnp.asarray(rng.normal(size=(5, 4, 8, 3))[np.arange(20) % 5] + 0.1 * rng.normal(size=(20, 4, 8, 3)))
        module = to_flax(ALL_OPERATIONS, random_weights(ALL_OPERATIONS), batch_norm_momentum=0.5)
        optimizer = nnx.Optimizer(module, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)

        @nnx.jit
        def step(module, optimizer, images, labels):
            def loss_of(module):
                return optax.softmax_cross_entropy_with_integer_labels(module(images), labels).mean()

            loss, gradients = nnx.value_and_grad(loss_of)(module)
            optimizer.update(module, gradients)
            return loss

        module.train()
        losses = [float(step(module, optimizer, images, labels)) for _ in range(40)]
        assert losses[-1] < 0.2 < 1 < losses[0]
        module.eval()
        assert np.mean(np.argmax(forward(module, images), -1) == labels) > 0.9

    def test_says_what_is_wrong(self):
        weights = random_weights(ARCHS[0])
        with pytest.raises(ValueError, match=r"edge from node 0 to node 1 of stage 0 this one has nor_conv_1x1"):
            to_flax([2, 2, 4, 1, 0, 3], weights)
        with pytest.raises(ValueError, match="this one has none, and the weights have 9 of 9"):
            to_flax([0, 0, 0, 0, 0, 0], weights)
        with pytest.raises(ValueError, match=r"arch\[0\] is 5"):
            to_flax([5, 2, 4, 1, 0, 3], weights)
        with pytest.raises(TypeError, match="weights is NasBench201Parameters, expected the Weights"):
            to_flax(ARCHS[0], weights.parameters)
        many = jax.tree.map(lambda x: np.stack([x, x]), weights)
        with pytest.raises(TypeError, match=r"choose one of many by jax.tree.map\(lambda x: x\[number\], weights\)"):
            to_flax(ARCHS[0], many)
        with pytest.raises(TypeError, match="module is Linear"):
            from_flax(nnx.Linear(1, 1, rngs=nnx.Rngs(0)))


def test_without_flax_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without_flax(name, *arguments, **options):
        if name.split(".")[0] == "flax":
            raise ModuleNotFoundError("No module named 'flax'", name="flax")
        return real(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "jnas.training.networks.nasbench201._flax", raising=False)
    package = sys.modules["jnas.training.networks.nasbench201"]
    monkeypatch.delattr(package, "_flax", raising=False)  # as an import within a package leaves it
    monkeypatch.setattr(builtins, "__import__", without_flax)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jnas\[flax\]'"):
        to_flax(ARCHS[0], {})


def test_what_load_weights_returns_is_taken_with_its_recipe():
    """The module is that of the architecture and weights, whose batch-norms have the recipe's epsilon and momentum."""
    arch, images = ALL_OPERATIONS, random_images()
    weights = random_weights(arch)
    recipe = get_recipe("small-12", batch_norm_epsilon=0.5, batch_norm_momentum=0.25)
    found = TrainedNetwork(np.asarray(arch), weights, recipe, "made", (4, 8, 3), 5, (0.0,) * 3, (1.0,) * 3)
    expected = forward(to_flax(arch, weights, batch_norm_epsilon=0.5), images)
    for module in (to_flax(found), to_flax(arch, found)):
        np.testing.assert_array_equal(forward(module, images), expected)
    assert np.abs(forward(to_flax(found, batch_norm_epsilon=1e-5), images) - expected).max() > 1e-3
    norms = [part for _, part in nnx.iter_graph(to_flax(found)) if isinstance(part, nnx.BatchNorm)]
    assert norms
    assert {norm.momentum for norm in norms} == {0.25}
    with pytest.raises(TypeError, match="alone"):
        to_flax(found, weights)
    with pytest.raises(TypeError, match=r"to_flax\(found\)"):
        to_flax(arch)
