"""Networks of the DARTS space as Flax modules: the outputs of those that are trained."""

import jax
import numpy as np
import pytest

from jnas.core._vocabulary import Weights
from jnas.spaces.darts._cells import NODES
from jnas.training.export._flax import from_flax, to_flax
from jnas.training.networks.darts._network import darts_network

nnx = pytest.importorskip("flax.nnx", reason="needs flax: pip install 'jnas[flax]'")

# All operations from an input and some from a node; a skip that halves and one that does not.
NORMAL = [[0, 0, 1, 3], [0, 4, 2, 5], [1, 6, 3, 1], [2, 2, 4, 3]]
REDUCE = [[0, 2, 1, 5], [0, 3, 1, 0], [1, 1, 2, 2], [1, 6, 3, 4]]
ARCH = np.asarray([NORMAL, REDUCE], np.int32).reshape(2, NODES, 2, 2).reshape(-1)
SIZES = {"image_shape": (8, 8, 3), "num_classes": 3, "channels": 2, "cells": 3, "auxiliary": True}


def random_weights():
    rng = np.random.default_rng(0)
    weights = Weights(*jax.jit(darts_network(**SIZES).init)(jax.random.key(0), ARCH))
    return jax.tree.map(lambda x: np.asarray(x * rng.uniform(0.5, 1.5, x.shape), np.float32), weights)


def test_gives_the_same_outputs_and_weights():
    weights, network = random_weights(), darts_network(arch=ARCH, **SIZES)
    images = np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype(np.float32)

    @jax.jit
    def trained(parameters, statistics):
        evaluated, _ = network.apply(parameters, statistics, ARCH, images)
        return evaluated, network.regularized(parameters, ARCH, images, jax.random.key(0), None)[:2]

    module = to_flax(ARCH, weights)
    evaluated, (logits, (auxiliary,)) = trained(*weights)
    np.testing.assert_allclose(nnx.jit(lambda module: module(images))(module), evaluated, rtol=1e-3, atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, from_flax(module).parameters, weights.parameters)
    module.train()
    found = nnx.jit(lambda module: module.with_auxiliary(images))(module)
    np.testing.assert_allclose(found[0], logits, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[1], auxiliary, rtol=1e-2, atol=1e-3)
    with pytest.raises(ValueError, match="edge 0 of cell 0 has other kernels"):
        to_flax(np.where(np.arange(32) == 1, 3, ARCH), weights)
