"""Networks of the DARTS space against a plain implementation, and their two forms against one another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.spaces.darts._cells import SHAPE, arch_of
from jnas.spaces.darts._genotype import PUBLISHED
from jnas.training.networks.darts._network import darts_network
from tests._plain_images import assert_gradients, convolve, windows

# Every operation on an input and on a node, in a normal and in a reduction cell.
CELLS = (
    (((0, 3), (1, 4)), ((2, 0), (1, 2)), ((2, 5), (0, 6)), ((4, 1), (3, 3))),
    (((0, 2), (1, 5)), ((1, 0), (2, 6)), ((0, 4), (1, 1)), ((3, 2), (0, 6))),
)
OTHER = (
    (((0, 1), (1, 6)), ((2, 4), (0, 2)), ((1, 0), (3, 3)), ((2, 2), (4, 5))),
    (((0, 3), (1, 0)), ((1, 2), (0, 1)), ((3, 4), (2, 3)), ((2, 1), (4, 0))),
)
ARCHS = [np.asarray(cells, np.int32).reshape(-1) for cells in (CELLS, OTHER)]
SMALL = {"image_shape": (8, 4, 2), "num_classes": 3, "channels": 2, "cells": 3, "auxiliary": True}


class PlainNetwork:
    """The published network on NHWC images in NumPy; `keeps [cells, 8, B]` multiplies what paths give."""

    def __init__(self, arch, parameters, statistics=None, keeps=None):
        self.cells = np.asarray(arch).reshape(SHAPE)
        self.parameters, self.statistics, self.keeps = parameters, statistics, keeps

    def norm(self, images, scale, shift, given):
        mean, variance = (images.mean((0, 1, 2)), images.var((0, 1, 2))) if given is None else given
        return (images - mean) / np.sqrt(variance + 1e-5) * scale + shift

    def convolved(self, images, own, given):
        return self.norm(np.maximum(images, 0) @ own.kernel.T, own.scale, own.shift, given)

    def halved(self, images, kernel):
        half, images = len(kernel) // 2, np.maximum(images, 0)
        return np.concatenate([images[:, ::2, ::2] @ kernel[:half].T, images[:, 1::2, 1::2] @ kernel[half:].T], -1)

    def edge(self, choice, images, own, given, stride):
        given = (None, None) if given is None else given
        if choice == 0:
            return windows(images, 3, stride, -np.inf).max((-2, -1))
        if choice == 1:
            return np.nanmean(windows(images, 3, stride, np.nan), (-2, -1))
        if choice == 2:
            if stride == 1:
                return images
            return self.norm(self.halved(images, own.pointwise[0]), own.scale[0], own.shift[0], given[0])
        size, rounds = 3 if choice in (3, 5) else 5, 2 if choice in (3, 4) else 1
        for number in range(rounds):
            kernel = own.depthwise[number]
            kernel = kernel[:, 1:4, 1:4] if size == 3 else kernel
            if rounds == 1:  # dilated: zeros between the taps
                wide = np.zeros((len(kernel), 2 * size - 1, 2 * size - 1))
                wide[:, ::2, ::2] = kernel
                kernel = wide
            around = windows(np.maximum(images, 0), kernel.shape[1], 1 if number else stride, 0.0)
            images = np.einsum("bhwcij,cij->bhwc", around, kernel) @ own.pointwise[number].T
            images = self.norm(images, own.scale[number], own.shift[number], given[number])
        return images

    def cell(self, number, reduction, after, before, last):
        own = self.parameters.cells[number]
        given = (None,) * 3 if self.statistics is None else self.statistics.cells[number]
        if after:
            before = self.norm(self.halved(before, own.first.kernel), own.first.scale, own.first.shift, given[0])
        else:
            before = self.convolved(before, own.first, given[0])
        states = [before, self.convolved(last, own.second, given[1])]
        for node in range(4):
            total = 0
            for place in range(2):
                k, (state, choice) = 2 * node + place, self.cells[int(reduction), node, place]
                stride = 2 if reduction and state < 2 else 1
                edge = jax.tree.map(lambda leaf, k=k: leaf[k], own.edges)
                out = self.edge(choice, states[state], edge, None if given[2] is None else given[2][k], stride)
                if self.keeps is not None and not (choice == 2 and stride == 1):
                    out = out * self.keeps[number, k][:, None, None, None]
                total = total + out
            states.append(total)
        return np.concatenate(states[2:], -1)

    def auxiliary(self, images):
        own, sizes = self.parameters.auxiliary, images.shape[1:3]
        images, steps = np.maximum(images, 0), [max(1, round(5 * size / 8)) for size in sizes]
        rows, columns = ([slice(0, step), slice(size - step, size)] for size, step in zip(sizes, steps, strict=True))
        pooled = np.stack([np.stack([images[:, r, c].mean((1, 2)) for c in columns], 1) for r in rows], 1)
        out = self.norm(pooled @ own.first.kernel.T, own.first.scale, own.first.shift, None)
        flat = np.maximum(out, 0).reshape(len(out), 1, 1, -1) @ own.second.kernel.T
        out = np.maximum(self.norm(flat, own.second.scale, own.second.shift, None), 0)[:, 0, 0]
        return out @ own.linear.kernel.T + own.linear.bias

    def __call__(self, images):
        stem, count = self.parameters.stem, len(self.parameters.cells)
        kernel = stem.kernel.reshape(-1, 3, 3, images.shape[-1]).transpose(1, 2, 3, 0)
        given = None if self.statistics is None else self.statistics.stem
        before = last = self.norm(convolve(images, kernel), stem.scale, stem.shift, given)
        reduced, helping = False, None
        for number in range(count):
            reduction = number in (count // 3, 2 * count // 3)
            before, last = last, self.cell(number, reduction, reduced, before, last)
            reduced = reduction
            if number == 2 * count // 3:
                helping = self.auxiliary(last)
        return last.mean((1, 2)) @ self.parameters.head.kernel.T + self.parameters.head.bias, helping


def float64_weights(network, arch, seed=0):
    """Weights of which no batch-norm is the identity, and which have nothing where the architecture has nothing."""
    rng = np.random.default_rng(seed)
    parameters, statistics = jax.tree.map(
        lambda x: np.asarray(x, np.float64), jax.jit(network.init)(jax.random.key(seed), arch)
    )
    masks = jax.tree.map(np.asarray, jax.jit(network.has)(arch))
    noisy = jax.tree.map(
        lambda x, has: np.where(has, x * rng.uniform(0.5, 1.5, x.shape) + 0.1 * rng.normal(size=x.shape), 0),
        parameters,
        masks,
    )
    return noisy, jax.tree.map(lambda x: x + rng.uniform(0.1, 0.5, x.shape), statistics), masks


def sines(pair):
    return sum(jnp.sum(jnp.sin(each)) if isinstance(each, jax.Array) else np.sin(each).sum() for each in pair)


def test_both_forms_are_the_published_network():
    """Outputs, those of the auxiliary head, gradients and evaluation in float64, with paths that are dropped."""
    with jax.enable_x64(True):
        images = np.random.default_rng(1).normal(size=(3, *SMALL["image_shape"]))
        rate, key = jnp.float64(0.4), jax.random.key(5)
        switch = darts_network(**SMALL)

        def learn(network):
            def measured(parameters, arch):
                def loss(parameters):
                    logits, (helping,), used = network.regularized(parameters, arch, images, key, rate)
                    return sines((logits, helping)), (logits, helping, used)

                return jax.grad(loss, has_aux=True)(parameters)

            return jax.jit(measured)

        draws = np.asarray(jax.random.uniform(key, (SMALL["cells"], 8, len(images)), jnp.float32))
        keeps = np.where(draws < 0.6, 1 / 0.6, 0.0)
        assert 0.3 < (keeps > 0).mean() < 0.8
        any_learn, static = learn(switch), darts_network(**SMALL, arch=ARCHS[0])
        for number, arch in enumerate(ARCHS):
            parameters, statistics, masks = float64_weights(switch, arch)
            gradients, (logits, helping, used) = any_learn(parameters, arch)
            expected = PlainNetwork(arch, parameters, keeps=keeps)(images)
            np.testing.assert_allclose(logits, expected[0], rtol=1e-8, atol=1e-9)
            np.testing.assert_allclose(helping, expected[1], rtol=1e-7, atol=1e-8)

            def plain_loss(parameters, arch=arch):
                return sines(PlainNetwork(arch, parameters, keeps=keeps)(images))

            assert_gradients(gradients, masks, parameters, plain_loss, size=1e-7)
            if number == 0:
                jax.tree.map(
                    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10),
                    learn(static)(parameters, arch),
                    (gradients, (logits, helping, used)),
                )
                evaluated, _ = jax.jit(static.apply)(parameters, statistics, arch, images)
                np.testing.assert_allclose(evaluated, PlainNetwork(arch, parameters, statistics)(images)[0], rtol=1e-8)


def test_arrays_are_those_of_the_published_networks():
    """As many numbers as in the released networks, without the auxiliary head and with it."""
    published = [arch_of(PUBLISHED[name]) for name in ("DARTS_V1", "DARTS_V2")]
    alike = [np.asarray([((0, choice), (1, choice))] * 8).reshape(-1) for choice in range(7)]
    expected = {
        (36, 20): (476_426, (3_169_414, 3_349_342)),
        (16, 8): (435_466, (232_890, 246_106, 100_730, 100_730, 143_226, 411_002, 492_922, 255_866, 296_826)),
    }
    for (channels, cells), (of_head, counts) in expected.items():
        sizes = {"image_shape": (32, 32, 3), "num_classes": 10, "channels": channels, "cells": cells}
        has = darts_network(**sizes, auxiliary=True).has

        def number(arch, has=has):
            return [sum(jnp.sum(x) for x in jax.tree.leaves(part)) for part in (has(arch), has(arch).auxiliary)]

        archs = np.stack([*published, *alike][: len(counts)])
        every, auxiliary = jax.jit(jax.vmap(number))(archs)
        assert auxiliary.tolist() == [of_head] * len(counts)
        assert (every - auxiliary).tolist() == list(counts)


def test_images_can_be_in_bfloat16():
    """Near the float32 network; parameters, their gradients, statistics and outputs are float32."""
    sizes = SMALL | {"cells": 1, "dtype": "bfloat16"}
    arch, network = ARCHS[1], darts_network(**sizes, arch=ARCHS[1])
    parameters, statistics = jax.jit(network.init)(jax.random.key(0), arch)
    images = np.random.default_rng(1).normal(size=(16, *SMALL["image_shape"])).astype(np.float32)
    labels = np.arange(16) % 3

    def measured(net, rate):
        def loss(parameters):
            logits, (helping,), used = net.regularized(parameters, arch, images, jax.random.key(5), rate)
            return jnp.mean(net.task.loss(logits, labels)) + 0.0 * jnp.mean(helping), (logits, used)

        return jax.value_and_grad(loss, has_aux=True)

    (loss, (logits, used)), gradients = jax.jit(measured(network, None))(parameters)
    assert {leaf.dtype for leaf in jax.tree.leaves((loss, logits, used, gradients))} == {np.dtype("float32")}
    plain = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), parameters)
    expected = PlainNetwork(arch, plain)(images)[0]
    assert 0 < np.abs(logits - expected).max() < 0.03 * np.abs(expected).max()
    shares = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    np.testing.assert_allclose(gradients.head.bias, np.mean(shares - np.eye(3)[labels], 0), atol=5e-3)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    shapes = jax.eval_shape(measured(darts_network(**sizes), 0.2), parameters)[1]  # any architecture, paths dropped
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), parameters
    )
    jax.tree.map(lambda new, old: np.testing.assert_array_equal(new.shape, old.shape), used, statistics)
    with pytest.raises(ValueError, match="dtype is 'float16'"):
        darts_network(**sizes | {"dtype": "float16"})
