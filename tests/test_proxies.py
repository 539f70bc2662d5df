"""Scores without training: each against a plain computation in NumPy, and their laws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

import jnas
from jnas.core._versions import compile_quickly
from jnas.spaces.nasbench201._cells import EDGES
from jnas.training.networks.darts._network import darts_network
from jnas.training.networks.nasbench101._network import nasbench101_network
from jnas.training.networks.nasbench201._network import nasbench201_network
from jnas.training.operations._forms import static_form
from jnas.training.proxies import _combined
from jnas.training.proxies._combined import az_nas, concordant_share, rank_average, vote
from jnas.training.proxies._gradients import _steadiness
from jnas.training.proxies._inputs import _by_classes
from jnas.training.proxies._proxy import draw, drawn_layers
from jnas.training.proxies._registry import PROXIES, get_proxies, proxy_names
from jnas.training.proxies._scores import proxy_scores
from tests._fewer_stages import stages
from tests.test_training_network import PlainNetwork

SIZES = {"image_shape": (4, 4, 1), "num_classes": 3, "channels": 2, "cells": 1}
CELL = np.array([3, 4, 2, 1, 0, 3])
NOTHING = np.zeros(6, int)
LABELS = np.array([0, 1, 2, 0, 1, 0])
IMAGES = np.random.default_rng(0).normal(size=(len(LABELS), *SIZES["image_shape"]))


def key():
    return jax.random.key(3)


def batches():
    return jnas.training.Examples(jnp.asarray(IMAGES)[None], jnp.asarray(LABELS)[None])


class SeenNetwork(PlainNetwork):
    """The plain network, which notes what stands at every point, and multiplies convolutions by factors."""

    def __init__(self, parameters, arch, normalizes=True, factors=None):
        super().__init__(parameters, None, arch)
        self.normalizes, self.factors, self.seen = normalizes, factors, []

    def note(self, kind, value, copies=1, size=0):
        self.seen.append((kind, value, copies, size))
        return value

    def all(self, *kinds):
        return [value for kind, value, *_ in self.seen if kind in kinds]

    def weigh(self, images, rows, size, stride=1, copies=1):
        out = self.convolve(images, rows, size, stride)
        return self.scaled(out, rows.shape[1], copies)

    def scaled(self, out, weights, copies=1):
        if self.factors is not None:
            factors = self.factors[len(self.all("convolution"))]
            out = out * factors.reshape(len(out), *[1] * (out.ndim - 2), -1)
        return self.note("convolution", out, copies, weights)

    def norm(self, images, scale, shift, copies=3):
        if not self.normalizes:
            return images
        return self.note("normalized", self.normalize(images, scale, shift, None), copies)

    def rectified(self, images, copies=1):
        return self.note("activation", np.maximum(self.note("rectifier", images), 0), copies)

    def edge(self, number, images, kernel, scale, shift, given):
        width, choice = images.shape[-1], self.arch[number]
        if choice in (2, 3):
            rows, size = ((kernel[:, 4 * width : 5 * width], 1), (kernel, 3))[choice - 2]
            return self.norm(self.weigh(self.rectified(images), rows, size), scale, shift)
        if choice == 4:
            return self.note("operation", self.pool(images, 3, 1), 2)
        return self.note("operation", images) if choice else 0 * images

    def cell(self, images, arrays):
        nodes = [images, 0, 0, 0]
        for number, (source, target) in enumerate(EDGES):
            nodes[target] += self.edge(number, nodes[source], *(x[0, number] for x in arrays), None)
        return self.note("cell", nodes[3])

    def halve(self, images, block):
        out = self.norm(self.weigh(self.rectified(images), block.first[0], 3, 2), *block.first[1:])
        out = self.norm(self.weigh(self.rectified(out), block.second[0], 3), *block.second[1:])
        pooled = self.note("operation", self.pool(images, 2, 2))
        return self.note("cell", out + self.weigh(pooled, block.shortcut, 1, copies=2))

    def __call__(self, images):
        p = self.parameters
        images = self.norm(self.weigh(images, p.stem[0], 3), *p.stem[1:])
        for stage, arrays in enumerate(p.cells):
            images = self.halve(images, p.reductions[stage - 1]) if stage else images
            images = self.note("stage", self.cell(images, arrays))
        images = self.note("features", self.rectified(self.norm(images, *p.head[:2], 1), 2))
        return self.scaled(images.mean((1, 2)) @ p.head.kernel.T + p.head.bias, p.head.kernel.shape[1])


def loss(parameters, images=IMAGES, labels=LABELS, factors=None):
    logits = SeenNetwork(parameters, CELL, factors=factors)(images)
    return -log_softmax(logits, -1)[np.arange(len(labels)), labels].mean()


def slope(function, size=1e-5):
    """The derivative of a function of a number at 0."""
    return (function(size) - function(-size)) / (2 * size)


def moved(parameters, direction, step):
    return jax.tree.map(lambda p, d: p + step * d, parameters, direction)


def of_layers(network, parameters):
    """The weights of each layer by itself, [C', K]."""
    return [np.asarray(each) for kind in network.layers(parameters) for each in kind]


def weights_alone(parameters):
    """The parameters, zeros in place of scales, shifts and biases."""
    named = {"scale", "shift", "bias"}
    return jax.tree_util.tree_map_with_path(lambda path, x: 0 * x if path[-1].name in named else x, parameters)


@functools.cache
def found(count=1):
    """The scores of one cell, in float64; its network of so many stages, its parameters, and the loss's gradient."""
    with jax.enable_x64(True), stages(count):
        network = nasbench201_network(**SIZES, form=static_form(CELL))
        names = [name for name in proxy_names() if name.startswith("az_") == (count > 1)]
        names = [name for name in names if name not in ("zico", "zico_plain", "synflow_bn")]

        @jax.jit
        def program(keys, batches):
            scores = proxy_scores(keys, jnp.asarray(CELL)[None], network, batches, names)
            parameters = draw(keys[0], jnp.asarray(CELL), network).parameters
            (images,), (labels,) = batches

            def mean_loss(parameters):
                return jnp.mean(network.task.loss(network.apply(parameters, None, CELL, images)[0], labels))

            return scores, parameters, jax.grad(mean_loss)(parameters) if count == 1 else None

        given = key()[None], batches()
        scores, parameters, gradient = jax.tree.map(np.asarray, compile_quickly(program.lower(*given))(*given))
        return {name: float(each[0, 0]) for name, each in scores.items()}, network, parameters, gradient


def close(expected, *names, rtol=2e-6, count=1):
    np.testing.assert_allclose([found(count)[0][name] for name in names], np.ravel(expected), rtol=rtol)


class TestAgainstPlainComputations:
    def test_sums_over_layers(self):
        _, network, parameters, gradient = found()
        weights, gradients = (of_layers(network, tree) for tree in (parameters, gradient))
        expected = [sum(np.linalg.norm(each) for each in kind) for kind in (gradients, weights)]
        close(expected, "grad_norm", "l2_norm")
        close(sum(np.abs(w * g).sum() for w, g in zip(weights, gradients, strict=True)), "snip")
        along = weights_alone(parameters)
        close(slope(lambda step: loss(moved(parameters, along, step))), "plain")

    def test_grasp(self):
        """By second differences along the weights and along their gradient."""
        _, _, parameters, gradient = found()
        along, other = weights_alone(parameters), weights_alone(gradient)

        # Steps so small that few ReLUs open or close on the way.
        def twice(step):
            return slope(lambda more: loss(moved(moved(parameters, along, step), other, more)), 3e-5)

        close(-slope(twice, 3e-5), "grasp", rtol=1e-3)

    def test_synflow(self):
        """All its terms are positive, so that they are one derivative along the absolute weights."""
        _, _, parameters, _ = found()
        absolute = jax.tree.map(np.abs, parameters)

        def flow(step):
            at = moved(absolute, weights_alone(absolute), step)
            return SeenNetwork(at, CELL, normalizes=False)(np.ones((1, *SIZES["image_shape"]))).sum()

        close(np.log(slope(flow)), "synflow")

    def test_fisher(self):
        _, _, parameters, _ = found()
        seen = SeenNetwork(parameters, CELL)
        seen(IMAGES)
        ones = [np.ones((len(LABELS), out.shape[-1])) for out in seen.all("convolution")]
        sizes = [size for kind, _, _, size in seen.seen if kind == "convolution"]
        released = plain = 0.0
        for place, size in enumerate(sizes):
            for channel in range(ones[place].shape[1]):
                slopes = []
                for image in range(len(LABELS)):

                    def at(step, place=place, channel=channel, image=image):
                        factors = [each.copy() for each in ones]
                        factors[place][image, channel] += step
                        return loss(parameters, factors=factors)

                    slopes.append(slope(at))
                plain += np.mean(np.square(slopes)) / 2
                released += size * np.mean(np.square(slopes)) / 2
        close([released, plain], "fisher", "fisher_plain", rtol=1e-5)

    def test_jacobians(self):
        _, _, parameters, _ = found()
        rows = np.zeros((len(LABELS), IMAGES[0].size))
        for image, pixel in np.ndindex(rows.shape):

            def total(step, image=image, pixel=pixel):
                images = IMAGES.copy()
                images[image].flat[pixel] += step
                return SeenNetwork(parameters, CELL)(images).sum()

            rows[image, pixel] = slope(total)
        correlations = np.corrcoef(rows)
        values = np.linalg.eigvalsh(correlations) + 1e-5
        close(-np.sum(np.log(values) + 1 / values), "jacov", rtol=1e-5)
        sums = [np.log(np.abs(np.corrcoef(rows[c == LABELS])) + 1e-5).sum() for c in range(3)]
        close(np.abs(sums).sum(), "epe_nas", rtol=1e-5)

    def test_many_classes_are_compared(self):
        """As released: in both orders, without a class of one image, of whose correlations there is no length."""
        correlations = np.corrcoef(np.random.default_rng(0).normal(size=(8, 5)))
        labels, means = np.array([0, 0, 7, 7, 7, 100, 100, 3]), []
        for label in (0, 7, 100):
            own = correlations[np.ix_(labels == label, labels == label)]
            means.append(np.log(np.abs(own) + 1e-5).sum() / len(own))
        expected = sum(abs(a - b) for a in means for b in means) / len(means)
        with jax.disable_jit():
            found = _by_classes(jnp.asarray(correlations, jnp.float32), jnp.asarray(labels), 101)
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_nwot(self):
        _, _, parameters, _ = found()
        seen = SeenNetwork(parameters, CELL)
        seen(IMAGES)
        opened = [(value > 0).reshape(len(LABELS), -1) for value in seen.all("rectifier")]
        agree = sum((x[:, None] == x[None]).sum(-1) for x in opened)
        close(np.linalg.slogdet(agree.astype(float))[1], "nwot")

    def test_zico(self):
        """Its sum over layers, of gradients that a layer shares and gradients that are none."""
        first, second = np.random.default_rng(1).normal(size=(2, 3, 2, 4))
        second[0, 1], first[2], second[2] = first[0, 1], 0.0, 0.0
        expected = 0.0
        for pair in zip(first[:2], second[:2], strict=True):
            deviation = np.std(pair, 0)
            expected += np.log((np.mean(np.abs(pair), 0)[deviation > 0] / deviation[deviation > 0]).sum())
        np.testing.assert_allclose(_steadiness((jnp.asarray(first),), (jnp.asarray(second),)), expected, rtol=1e-5)

    def test_zen(self):
        with jax.enable_x64(True):
            _, network, parameters, _ = found()
            of_weights, of_images, of_steps = jax.random.split(draw(key(), CELL, network).key, 3)
            drawn = drawn_layers(of_weights, CELL, network, parameters, jnp.ones_like)
            images, steps = (np.asarray(jax.random.normal(k, IMAGES.shape)) for k in (of_images, of_steps))
        first, near = (SeenNetwork(jax.tree.map(np.asarray, drawn), CELL) for _ in range(2))
        first(images)
        near(images + 0.01 * steps)
        apart = np.abs(first.all("features")[0] - near.all("features")[0]).sum((1, 2, 3)).mean()
        released, plain = np.log(apart), np.log(apart)
        for (_, one), (_, other), image in zip(first.used, near.used, first.all("normalized"), strict=True):
            released += np.log(0.81 + 0.09 * one.mean() + 0.1 * other.mean()) / 2
            count = image[..., 0].size
            plain += np.log(one.mean() * (count - 1) / count) / 2
        close([released, plain], "zen", "zen_plain")
        kernel = np.asarray(drawn.cells[0].kernel)[0]
        assert np.all((kernel != 0) == np.asarray(network.has(CELL).cells[0].kernel)[0])

    def test_meco(self):
        with jax.enable_x64(True):
            _, network, parameters, _ = found()
            image = np.asarray(jax.random.normal(draw(key(), CELL, network).key, (1, 8, 8, 1)))
        seen = SeenNetwork(parameters, CELL)
        seen(image)
        released = plain = 0.0
        for kind, value, copies, _ in seen.seen:
            if value.ndim == 4 and kind not in ("rectifier", "features"):
                with np.errstate(invalid="ignore"):
                    least = np.linalg.eigvalsh(np.nan_to_num(np.corrcoef(value.reshape(-1, value.shape[-1]).T)))[0]
                released += copies * least
                plain += least if kind != "stage" else 0
        close([released, plain], "meco", "meco_plain", rtol=1e-5)

    def test_az_nas(self):
        with jax.enable_x64(True):
            _, network, parameters, _ = found(2)
            of_weights, of_images, of_signs = jax.random.split(draw(key(), CELL, network).key, 3)
            drawn = drawn_layers(of_weights, CELL, network, parameters, lambda fan_in: jnp.sqrt(2 / fan_in))
            images = np.asarray(jax.random.normal(of_images, IMAGES.shape))
            seen = SeenNetwork(jax.tree.map(np.asarray, drawn), CELL)
            seen(images)
            maps = seen.all("cell")
            shapes = [(1, *maps[0].shape), maps[1].shape, (1, *maps[2].shape)]
            keys = jax.random.split(of_signs, 3)
            pairs = zip(keys, (shapes[0], shapes[1], shapes[2]), strict=True)
            signs = [np.asarray(jax.random.rademacher(k, shape, jnp.float32)) for k, shape in pairs]
        entropies = []
        for each in maps:
            spectrum = np.linalg.eigvalsh(np.cov(each.reshape(-1, each.shape[-1]).T, bias=True))
            entropies.append(-np.sum(spectrum / spectrum.sum() * np.log(spectrum / spectrum.sum() + 1e-8)))
        close(
            [np.sum(entropies), np.min(np.diff(entropies))], "az_expressivity", "az_progressivity", rtol=1e-5, count=2
        )
        halved = [lambda x: seen.halve(x, seen.parameters.reductions[0])]
        steps = [*halved, lambda x: seen.cell(x, seen.parameters.cells[1])]
        scores = []
        for place, through in enumerate(steps):
            leaving = signs[place + 1].reshape(maps[place + 1].shape)
            arriving = np.zeros_like(maps[place])
            for pixel in range(arriving.size):

                def product(step, pixel=pixel, place=place, through=through, leaving=leaving):
                    images = maps[place].copy()
                    images.flat[pixel] += step
                    return np.sum(through(images) * leaving)

                arriving.flat[pixel] = slope(product, 1e-6)
            stride = arriving.shape[1] // leaving.shape[1]
            parts = [arriving[:, i::stride, j::stride] for i in range(stride) for j in range(stride)]
            rows = np.concatenate(parts, -1).reshape(-1, stride**2 * arriving.shape[-1])
            largest = np.linalg.svd(rows.T @ leaving.reshape(len(rows), -1) / len(rows), compute_uv=False)[0]
            scores.append(2 - largest - 1 / (largest + 1e-6))
        close(np.mean(scores), "az_trainability", rtol=1e-4, count=2)

    def test_sizes(self):
        network = found()[1]
        close([network.parameters(CELL), network.flops(CELL)], "params", "flops")
        close(network.flops(CELL), "az_complexity", count=2)


def test_points():
    """A tap sees of a network with reductions what the plain one has, in its order; nothing is computed."""
    with stages(2):
        network = nasbench201_network(**SIZES, form=static_form(CELL))
    parameters = jax.eval_shape(network.init, key(), CELL)[0]
    images, seen = jnp.zeros(IMAGES.shape), []

    def tap(point, value, given):
        seen.append((point.kind, value.shape[point.axis], point.copies, 0 if point.kind == "moments" else point.size))
        return value, None

    jax.eval_shape(lambda p: network.tapped(p, CELL, images, tap)[1], parameters)
    plain = SeenNetwork(jax.tree.map(lambda leaf: np.ones(leaf.shape), parameters), CELL)
    plain(IMAGES)
    expected = {(kind, value.shape[-1], copies, size) for kind, value, copies, size in plain.seen}
    assert {point for point in seen if point[0] != "moments"} == expected


def test_many_cells_and_seeds_in_one_program():
    """Each as by itself; NaN where nothing is there to be measured; the words of a seed are the same for all cells."""
    names = ["grad_norm", "nwot", "jacov", "params"]
    with jax.enable_x64(True), stages(1):
        network = nasbench201_network(**SIZES)
        archs = jnp.asarray(np.stack([NOTHING, CELL, CELL]))
        program = jax.jit(lambda keys, batches: proxy_scores(keys, archs, network, batches, names))
        again = jax.tree.map(lambda x: jnp.concatenate([x[:, ::-1], x]), batches())
        given = jnp.stack([key(), key()]), again
        scores = {name: np.asarray(x) for name, x in compile_quickly(program.lower(*given))(*given).items()}
    for name, own in scores.items():
        np.testing.assert_allclose(own[1, 1], found()[0][name], rtol=2e-6, err_msg=name)
        np.testing.assert_array_equal(own[:, 1], own[:, 2])
        np.testing.assert_allclose(own[0], own[1], rtol=1e-5)  # the batch in another order
    assert np.all(np.isnan(scores["nwot"][:, 0])) & np.all(np.isnan(scores["jacov"][:, 0]))
    np.testing.assert_array_equal(scores["grad_norm"][:, 0], 0)


@pytest.mark.parametrize(
    "network",
    [
        nasbench201_network(**SIZES),
        nasbench101_network(image_shape=(4, 4, 1), num_classes=3, channels=4, modules=1),
        darts_network(image_shape=(8, 8, 1), num_classes=3, channels=2, cells=3),
    ],
    ids=lambda network: network.space.name,
)
def test_layers_are_all_weights(network):
    """Every number that is no scale, shift or bias; nothing is computed."""
    arch = jax.eval_shape(network.space.sample, key())
    parameters = jax.eval_shape(lambda arch: network.init(key(), arch)[0], arch)
    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    weights = [leaf for path, leaf in leaves if path[-1].name not in ("scale", "shift", "bias")]
    own = jax.eval_shape(network.layers, parameters)
    assert all(each.ndim == 3 for each in own)
    assert sum(each.size for each in own) == sum(leaf.size for leaf in weights)


class TestRegistry:
    def test_rows(self):
        for row in PROXIES.rows.values():
            assert row.words, row.name
            assert row.source or row.name in ("params", "flops")
            assert row.plain is None or (row.released and row.plain in PROXIES.rows)

    def test_names_that_are_not_known(self):
        network = nasbench201_network(**SIZES)
        assert proxy_names(network) == proxy_names()
        with pytest.raises(ValueError, match="no proxy 'synflw'; did you mean 'synflow'"):
            get_proxies(["synflw"], network)

    def test_networks_that_show_nothing(self):
        network = nasbench201_network(**SIZES)._replace(tapped=None, layers=None)
        assert set(proxy_names(network)) == {"params", "flops", "az_complexity", "jacov", "epe_nas"}
        with pytest.raises(ValueError, match="nasbench201 do not show what nwot would measure; ask for some of params"):
            get_proxies(["params", "nwot"], network)


class TestCombined:
    scores = np.array([[1.0, 2, 3, 4], [2, 1, 3, 4], [4, 1, 2, 3]])

    def test_vote(self):
        """By hand: pairs by two or more of three."""
        np.testing.assert_allclose(vote(self.scores), [1 / 3, 0, 2 / 3, 1])
        assert concordant_share(self.scores, [1, 2, 3, 4]) == 5 / 6
        assert np.isnan(concordant_share(self.scores, [1, 1, 1, 1]))

    def test_pairs_are_compared_some_at_a_time(self, monkeypatch):
        scores = np.random.default_rng(0).normal(size=(3, 7)).round(1)
        scores[0, 2] = np.nan
        whole = vote(scores), concordant_share(scores, scores[1])
        monkeypatch.setattr(_combined, "_ROWS", 3)
        np.testing.assert_array_equal(vote(scores), whole[0])
        assert concordant_share(scores, scores[1]) == whole[1]

    def test_ranks(self):
        np.testing.assert_allclose(rank_average(self.scores), np.array([7, 4, 8, 11]) / 3)
        np.testing.assert_allclose(az_nas(self.scores), np.log(np.array([8, 2, 18, 48]) / 64))
        assert np.isnan(az_nas([[np.nan, 1.0], [1.0, 2.0]])[0])
