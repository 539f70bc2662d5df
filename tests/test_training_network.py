"""Networks of NAS-Bench-201: their sizes from their shapes, and their functions against a plain implementation."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.spaces.nasbench201._cells import EDGES
from jnas.spaces.nasbench201._cost import nasbench201_flops, nasbench201_parameters
from jnas.training.networks.nasbench201._network import nasbench201_network
from jnas.training.operations import _layouts
from jnas.training.operations._forms import dispatch_form, mixture_form, static_form, switch_form
from jnas.training.runs._train import _running
from tests._fewer_stages import stages
from tests._plain_images import assert_gradients, convolve, windows

ALL_CELLS = np.array(list(itertools.product(range(5), repeat=6)))
CIFAR = {"image_shape": (32, 32, 3), "num_classes": 10, "channels": 16, "cells": 5}
OTHER = {"image_shape": (8, 12, 1), "num_classes": 7, "channels": 3, "cells": 2}
SOME_CELLS = ALL_CELLS[np.random.default_rng(0).choice(len(ALL_CELLS), 12, replace=False)]
SMALL = {"image_shape": (4, 8, 2), "num_classes": 3, "channels": 2}
COVERING = np.concatenate([(np.arange(5)[:, None] + np.array([0, 3, 1, 4, 2, 2])) % 5, np.zeros((1, 6), int)])
"""Every operation once on every edge, and the cell without any."""


def num_parameters(sizes, arch):
    masks = nasbench201_network(**sizes).has(arch)
    return sum(int(np.sum(mask)) for mask in jax.tree.leaves(masks))


def multiply_adds(sizes, arch, convolution="patches"):
    """Multiply-adds of one image, read off the traced program of one cell alone; and one for each bias of the head."""
    network = nasbench201_network(**sizes, form=static_form(arch), convolution=convolution)
    weights = jax.eval_shape(network.init, jax.random.key(0), arch)
    images = jax.ShapeDtypeStruct((1, *sizes["image_shape"]), jnp.float32)
    program = jax.make_jaxpr(lambda *each: network.apply(*each[0], arch, each[1])[0])(weights, images)
    return products(program.jaxpr) + sizes["num_classes"]


def products(program):
    total = 0
    for equation in program.eqns:
        name, out = equation.primitive.name, equation.outvars[0].aval
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += out.size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        elif name == "conv_general_dilated":
            kernel, spec = equation.invars[1].aval, equation.params["dimension_numbers"].rhs_spec
            total += out.size * kernel.size // kernel.shape[spec[0]]
        else:
            inner = [each for each in equation.params.values() if hasattr(each, "eqns") or hasattr(each, "jaxpr")]
            times = equation.params["length"] if name == "scan" else 1
            total += times * sum(products(getattr(each, "jaxpr", each)) for each in inner)
    return total


def by_addition(count):
    """What `count(arch)` gives for all cells, from the cells with one operation each.

    Edges have arrays and operations of their own, so the cost of a cell is a sum over its edges; the caller checks
    this on some cells that it counts one by one.
    """
    base = count(np.zeros(6, int))
    extra = np.array([[count(choice * np.eye(6, dtype=int)[edge]) - base for choice in range(5)] for edge in range(6)])
    return base + sum(extra[edge, ALL_CELLS[:, edge]] for edge in range(6))


class TestSizes:
    def test_parameters_of_all_cells(self):
        def count(arch):
            return num_parameters(CIFAR, arch)

        found = by_addition(count)
        ones, threes = (np.sum(choice == ALL_CELLS, 1) for choice in (2, 3))
        np.testing.assert_array_equal(found, 73_306 + 28_000 * ones + 243_040 * threes)
        for arch in SOME_CELLS:
            assert count(arch) == round(1e6 * float(nasbench201_parameters(arch)))

    def test_multiply_adds_of_all_cells(self):
        def count(arch):
            return multiply_adds(CIFAR, arch)

        found = by_addition(count)
        ones, threes = (np.sum(choice == ALL_CELLS, 1) for choice in (2, 3))
        np.testing.assert_array_equal(found, 7_783_050 + 3_932_160 * ones + 35_389_440 * threes)
        for arch in SOME_CELLS[:6]:
            assert np.float32(count(arch) / 1e6) == nasbench201_flops(arch)

    @pytest.mark.parametrize("arch", [COVERING[0], COVERING[2]], ids=str)
    def test_other_sizes(self, arch):
        network = nasbench201_network(**OTHER)
        formula = nasbench201_parameters(arch, channels=3, cells=2, classes=7, image_channels=1)
        assert (
            num_parameters(OTHER, arch) == round(1e6 * float(formula)) == round(1e6 * float(network.parameters(arch)))
        )
        formula = nasbench201_flops(arch, channels=3, cells=2, classes=7, image_size=(8, 12), image_channels=1)
        for convolution in ("patches", "native"):
            assert np.float32(multiply_adds(OTHER, arch, convolution) / 1e6) == formula
        assert network.flops(arch) == formula

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"image_shape": (6, 8, 3)}, ValueError, "6 by 8, expected multiples of 4"),
            ({"channels": 0}, ValueError, "is 0, expected at least 1"),
            ({"cells": 1.0}, TypeError, "is 1.0, expected a Python int"),
            ({"convolution": "fft"}, ValueError, "convolution is 'fft'"),
        ],
    )
    def test_wrong_sizes_are_refused(self, change, error, message):
        with pytest.raises(error, match=message):
            nasbench201_network(**{**SMALL, "cells": 1, **change})


class PlainNetwork:
    """The network on NHWC images in NumPy, any batch-norm noted in the order of use."""

    def __init__(self, parameters, statistics, arch):
        self.parameters, self.given, self.arch = parameters, statistics, arch
        self.used = []  # mean and unbiased variance of what each batch-norm got

    def convolve(self, images, rows, size, stride=1):
        kernel = rows.reshape(rows.shape[0], size, size, images.shape[-1]).transpose(1, 2, 3, 0)
        return convolve(images, kernel, stride)

    def normalize(self, images, scale, shift, given):
        axes = (0, 1, 2)
        mean, variance = (images.mean(axes), images.var(axes)) if given is None else given
        self.used.append(np.stack([images.mean(axes), images.var(axes, ddof=1)]))
        return (images - mean) / np.sqrt(variance + 1e-5) * scale + shift

    def pool(self, images, size, stride):
        """The mean of the pixels that are there."""
        return np.nanmean(windows(images, size, stride, np.nan), (-2, -1))

    def edge(self, number, images, kernel, scale, shift, given):
        width, choice = images.shape[-1], self.arch[number]
        if choice in (2, 3):
            rows, size = ((kernel[:, 4 * width : 5 * width], 1), (kernel, 3))[choice - 2]
            return self.normalize(self.convolve(np.maximum(images, 0), rows, size), scale, shift, given)
        return self.pool(images, 3, 1) if choice == 4 else choice * images

    def __call__(self, images):
        p, given = self.parameters, self.given
        images = self.normalize(self.convolve(images, p.stem[0], 3), *p.stem[1:], given and given.stem)
        for stage in range(len(p.cells)):
            if stage:
                block = p.reductions[stage - 1]
                own = given.reductions[stage - 1] if given else (None, None)
                out = self.normalize(
                    self.convolve(np.maximum(images, 0), block.first[0], 3, 2), *block.first[1:], own[0]
                )
                out = self.normalize(self.convolve(np.maximum(out, 0), block.second[0], 3), *block.second[1:], own[1])
                images = out + self.convolve(self.pool(images, 2, 2), block.shortcut, 1)
            for cell in range(len(p.cells[stage].scale)):
                nodes = [images, 0, 0, 0]
                for number, (source, target) in enumerate(EDGES):
                    arrays = (x[cell, number] for x in p.cells[stage])
                    own = given.cells[stage][cell, number] if given else None
                    nodes[target] += self.edge(number, nodes[source], *arrays, own)
                images = nodes[3]
        images = np.maximum(self.normalize(images, *p.head[:2], given and given.head), 0)
        return images.mean((1, 2)) @ p.head.kernel.T + p.head.bias


def float64_weights(network, arch, seed=0):
    """Weights of which no batch-norm is the identity."""
    rng = np.random.default_rng(seed)
    weights = jax.tree.map(np.asarray, jax.jit(network.init)(jax.random.key(seed), arch))
    noisy = jax.tree.map(lambda x: x * rng.uniform(0.5, 1.5, x.shape) + 0.1 * (x == 1), weights)
    means = jax.tree.map(lambda x: x + np.array([0.2, 0.0])[:, None], noisy[1])
    has = jax.tree.map(np.asarray, jax.jit(network.has)(arch))
    shifted = jax.tree.map(lambda x, has: x - rng.uniform(0, 0.1, x.shape) * (has & (x == 0)), noisy[0], has)
    return shifted, means


class TestAgainstAPlainNetwork:
    def test_outputs_gradients_and_statistics(self):
        """In float64, for cells with every operation on every edge, and the cell without any; of two stages."""
        with jax.enable_x64(True), stages(2):
            network = nasbench201_network(**SMALL, cells=1)
            images = np.random.default_rng(1).normal(size=(3, *SMALL["image_shape"]))

            @jax.jit
            def own(parameters, statistics, arch):
                def loss(parameters):
                    logits, used = network.apply(parameters, None, arch, images)
                    return jnp.sum(jnp.sin(logits)), (logits, used)

                (_, (logits, used)), gradients = jax.value_and_grad(loss, has_aux=True)(parameters)
                estimates = _running(statistics, used, 0.9, network.counts(images.shape))
                evaluated, _ = network.apply(parameters, statistics, arch, images)
                return logits, evaluated, gradients, estimates

            for arch in COVERING:
                parameters, statistics = float64_weights(network, arch)
                *found, gradients, estimates = own(parameters, statistics, arch)
                plain = PlainNetwork(parameters, None, arch)
                expected = plain(images), PlainNetwork(parameters, statistics, arch)(images)
                np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
                assert_gradients(
                    gradients,
                    jax.jit(network.has)(arch),
                    parameters,
                    lambda parameters, arch=arch: np.sin(PlainNetwork(parameters, None, arch)(images)).sum(),
                    directions=1,
                )
                assert np.allclose(found[0], found[1]) == (not any(arch))  # the last of them sees no image
                self.assert_running(estimates, statistics, plain.used, arch)

    def assert_running(self, estimates, old, used, arch):
        """PyTorch's rule: a tenth of the batch's mean and of its unbiased variance."""
        used = iter(used)

        def check(found, old, new):
            np.testing.assert_allclose(found, 0.9 * old + 0.1 * new, rtol=1e-6, atol=1e-10)

        check(estimates.stem, old.stem, next(used))
        for stage in range(len(old.cells)):
            for block in range(2 if stage else 0):
                check(estimates.reductions[stage - 1][block], old.reductions[stage - 1][block], next(used))
            for number in range(6):
                if arch[number] in (2, 3):
                    check(estimates.cells[stage][0, number], old.cells[stage][0, number], next(used))
        check(estimates.head, old.head, next(used))
        assert next(used, None) is None

    def test_cells_of_a_stage_follow_one_another(self):
        with jax.enable_x64(True), stages(1):
            arch = COVERING[0]
            network = nasbench201_network(**SMALL, cells=2, form=static_form(arch))
            images = np.random.default_rng(1).normal(size=(2, *SMALL["image_shape"]))
            parameters, statistics = float64_weights(network, arch)
            found = jax.jit(network.apply)(parameters, statistics, arch, images)[0]
            expected = PlainNetwork(parameters, statistics, arch)(images)
            np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_network_starts_as_pytorch_starts_it():
    """Uniform within one over the root of the fan-in, and nothing where the architecture has nothing."""
    network = nasbench201_network(image_shape=(8, 8, 3), num_classes=10, channels=8, cells=2)
    arch = np.array([3, 2, 0, 1, 4, 3])
    parameters, statistics = jax.tree.map(np.asarray, jax.jit(network.init)(jax.random.key(3), arch))
    for values, fan_in in (
        (parameters.stem.kernel, 27),
        (parameters.reductions[1].second.kernel, 9 * 32),
        (parameters.reductions[0].shortcut, 8),
        (parameters.cells[1].kernel[:, 0], 9 * 16),
        (parameters.cells[1].kernel[:, 1, :, 4 * 16 : 5 * 16], 16),
        (parameters.head.kernel, 32),
    ):
        bound = fan_in**-0.5
        assert np.abs(values).max() <= bound
        error = bound * math.sqrt(4 / 45 / values.size) / 2  # of the root mean square of as many uniform numbers
        assert abs(np.sqrt(np.mean(values**2)) - bound / math.sqrt(3)) < 4 * error
        assert abs(np.mean(values)) < 4 * bound / math.sqrt(3 * values.size)
    assert np.all(parameters.head.scale == 1)
    assert np.all(statistics.cells[0][..., 1, :] == 1)
    jax.tree.map(lambda x, mask: np.testing.assert_array_equal(x[~np.asarray(mask)], 0), parameters, network.has(arch))
    kernels = [np.any(parameters.cells[stage].kernel[:, [2, 3, 4]]) for stage in range(3)]
    assert not any(kernels)


@stages(2)
def test_channels_last_give_the_same(monkeypatch):
    arch = COVERING[0]
    network = nasbench201_network(**OTHER, form=static_form(arch))
    weights = float64_weights(network, arch)
    images = np.random.default_rng(1).normal(size=(4, *OTHER["image_shape"]))

    def run(parameters, statistics):
        def loss(parameters):
            logits, used = network.apply(parameters, None, arch, images)
            return jnp.sum(jnp.sin(logits)), (logits, used)

        return jax.value_and_grad(loss, has_aux=True)(parameters), network.apply(parameters, statistics, arch, images)

    with jax.enable_x64(True):
        expected = jax.jit(run)(*weights)
        monkeypatch.setattr(_layouts, "are_large", lambda *_: True)
        last = jax.jit(lambda *each: run(*each))  # another function, or the first's program would do for both
        assert "conv_general_dilated" in str(jax.make_jaxpr(last)(*weights))
        found = last(*weights)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10), found, expected)


@pytest.mark.parametrize("form", ["switch", "mixture", "dispatch", "static"])
def test_gradients_past_frozen_batch_norm_in_every_form(form):
    """Their numbers are those of an edge, in test_training_operations; here that a whole network has them.

    What stands between stages is the same in all forms.
    """
    forms = {"switch": switch_form(), "mixture": mixture_form(), "dispatch": dispatch_form()}
    with stages(2 if form == "static" else 1):
        assert_frozen_gradients(nasbench201_network(**SMALL, cells=1, form=forms.get(form) or static_form(COVERING[0])))


def assert_frozen_gradients(network):
    weights = jax.eval_shape(network.init, jax.random.key(0), COVERING[0])
    arguments = (*weights, jnp.asarray(COVERING[0]), jax.ShapeDtypeStruct((2, 4, 8, 2), jnp.float32))

    def total(parameters, statistics, arch, images):
        return jnp.sum(network.apply(parameters, statistics, arch, images)[0])

    gradients = jax.eval_shape(jax.grad(total, (0, 1, 3)), *arguments)
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, (*weights, arguments[3]))
