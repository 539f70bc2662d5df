"""What a tap sees inside networks of the DARTS space, against the plain implementation."""

import jax
import jax.numpy as jnp
import numpy as np

import jnas
from jnas.core._versions import compile_quickly
from jnas.training.networks.darts._network import darts_network
from jnas.training.proxies._gradients import measure_grasp
from jnas.training.proxies._proxy import draw
from jnas.training.proxies._scores import proxy_scores
from tests.test_darts_network import ARCHS, SMALL, PlainNetwork, float64_weights
from tests.test_proxies import moved

IMAGES = np.random.default_rng(1).normal(size=(3, *SMALL["image_shape"]))
SIZES = {**SMALL, "auxiliary": False}


class SeenNetwork(PlainNetwork):
    """The plain network, which notes what stands at every point, and multiplies convolutions by factors."""

    def __init__(self, arch, parameters, factors=None):
        super().__init__(arch, parameters)
        self.factors, self.seen = factors, []

    def note(self, kind, value, size=0):
        self.seen.append((kind, value, size))
        return value

    def all(self, kind):
        return [value for own, value, _ in self.seen if own == kind]

    def weigh(self, images, size):
        if self.factors is not None:
            images = images * self.factors[len(self.all("convolution"))]
        return self.note("convolution", images, size)

    def norm(self, images, scale, shift, given):
        self.note("moments", np.stack([images.mean((0, 1, 2)), images.var((0, 1, 2))]), images[..., 0].size)
        return self.note("normalized", super().norm(images, scale, shift, given))

    def rectified(self, images):
        return self.note("activation", np.maximum(self.note("rectifier", images), 0))

    def convolved(self, images, own, given):
        images = self.weigh(self.rectified(images) @ own.kernel.T, images.shape[-1])
        return self.norm(images, own.scale, own.shift, given)

    def halved(self, images, kernel):
        half, images = len(kernel) // 2, self.rectified(images)
        parts = images[:, ::2, ::2] @ kernel[:half].T, images[:, 1::2, 1::2] @ kernel[half:].T
        return np.concatenate([self.weigh(part, kernel.shape[1]) for part in parts], -1)

    def edge(self, choice, images, own, given, stride):
        if choice > 2:
            return self.learned(choice, images, own, stride)
        out = super().edge(choice, images, own, given, stride)
        return out if choice == 2 and stride == 2 else self.note("operation", out)

    def learned(self, choice, images, own, stride):
        size, rounds = 3 if choice in (3, 5) else 5, 2 if choice in (3, 4) else 1
        border = (5 - size) // 2
        for number in range(rounds):
            kernel, step, reach = own.depthwise[number], 1 if number else stride, (3 - rounds) * (size // 2)
            images = np.pad(self.rectified(images), ((0, 0), (reach, reach), (reach, reach), (0, 0)))
            shape, out = [side - 2 * reach for side in images.shape[1:3]], 0
            for i, j in np.ndindex(size, size):
                first = (3 - rounds) * i, (3 - rounds) * j
                rows, columns = (slice(k, k + n, step) for k, n in zip(first, shape, strict=True))
                out = out + images[:, rows, columns] * kernel[:, border + i, border + j]
            out = self.weigh(self.weigh(out, size**2) @ own.pointwise[number].T, out.shape[-1])
            images = self.norm(out, own.scale[number], own.shift[number], None)
        return images

    def cell(self, number, reduction, after, before, last):
        return self.note("cell", super().cell(number, reduction, after, before, last))

    def __call__(self, images):
        stem, count = self.parameters.stem, len(self.parameters.cells)
        rows = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        parts = [rows[:, i : i + images.shape[1], j : j + images.shape[2]] for i in range(3) for j in range(3)]
        out = self.weigh(np.concatenate(parts, -1) @ stem.kernel.T, stem.kernel.shape[1])
        before = last = self.norm(out, stem.scale, stem.shift, None)
        reduced = False
        for number in range(count):
            reduction = number in (count // 3, 2 * count // 3)
            before, last = last, self.cell(number, reduction, reduced, before, last)
            reduced = reduction
        head = self.parameters.head
        out = self.note("features", last).mean((1, 2)) @ head.kernel.T + head.bias
        return self.weigh(out, head.kernel.shape[1])


def test_any_cell_shows_what_the_plain_network_has():
    """Values and sizes at all points, gradients in what a tap changes; one program for all architectures."""

    def tap(point, value, given):
        if given is not None and point.kind == "convolution":
            value = value * (1 + given[0])
        there = jnp.ones(())
        return value, jnp.stack([there, jnp.sum(jnp.sin(value)), there * point.size])

    with jax.enable_x64(True):
        network = darts_network(**SIZES)
        parameters = [float64_weights(network, arch)[0] for arch in ARCHS]

        @jax.jit
        def looked(parameters, arch):
            shapes = jax.eval_shape(lambda: network.tapped(parameters, arch, IMAGES, tap)[1])

            def measured(given):
                logits, records = network.tapped(parameters, arch, IMAGES, tap, given)
                return jnp.sum(jnp.sin(logits)), (logits, records)

            return jax.grad(measured, has_aux=True)(jax.tree.map(jnp.zeros_like, shapes))

        program = compile_quickly(looked.lower(parameters[0], ARCHS[0]))
        for arch, own in zip(ARCHS, parameters, strict=True):
            gradient, (logits, records) = jax.tree.map(np.asarray, program(own, arch))
            plain = SeenNetwork(arch, own)
            np.testing.assert_allclose(logits, plain(IMAGES), rtol=1e-8)
            for kind in {kind for kind, *_ in plain.seen}:
                expected = [(np.sin(value).sum(), size) for own_kind, value, size in plain.seen if own_kind == kind]
                slopes = slopes_of_factors(arch, own) if kind == "convolution" else np.zeros(len(expected))
                ordered = by_value(np.column_stack([expected, slopes]))
                found = by_value(rows_of(kind, records, gradient))
                np.testing.assert_allclose(found, ordered, rtol=1e-6, atol=1e-7, err_msg=kind)


def rows_of(kind, records, gradient):
    """Value, size and gradient at every point of a kind that the architecture has, [N, 3]."""
    rows = []
    for (path, record), slope in zip(
        jax.tree_util.tree_leaves_with_path(records), jax.tree.leaves(gradient), strict=True
    ):
        if path[-1].key == kind:
            record, slope = record.reshape(-1, 3), slope.reshape(-1, 3)
            rows.append(np.column_stack([record[:, 1:], slope[:, 0]])[record[:, 0] > 0])
    return np.concatenate(rows)


def by_value(rows):
    return rows[np.argsort(rows[:, 0])]


def slopes_of_factors(arch, parameters, size=1e-6):
    """How the sum of the logits' sines changes with a factor of each convolution."""
    plain = SeenNetwork(arch, parameters)
    plain(IMAGES)
    ones = np.ones(len(plain.all("convolution")))
    steps = size * np.eye(len(ones))
    ends = [[np.sin(SeenNetwork(arch, parameters, ones + s * step)(IMAGES)).sum() for s in (1, -1)] for step in steps]
    return np.diff(ends)[:, 0] / (-2 * size)


def test_nwot_of_cells_in_one_program():
    """Of each cell as of its stand-alone network, computed plainly."""
    with jax.enable_x64(True):
        network, key = darts_network(**SIZES), jax.random.key(3)
        batch = jnas.training.Examples(jnp.asarray(IMAGES)[None], jnp.zeros((1, 3), jnp.int32))
        program = jax.jit(lambda k, archs: proxy_scores(k, archs, network, batch, ["nwot"])["nwot"])
        given = key[None], jnp.stack(ARCHS)
        scores = np.asarray(compile_quickly(program.lower(*given))(*given))[0]
        for arch, score in zip(ARCHS, scores, strict=True):
            parameters = jax.jit(lambda arch: draw(key, arch, network).parameters)(arch)
            seen = SeenNetwork(arch, jax.tree.map(np.asarray, parameters))
            seen(IMAGES)
            opened = np.concatenate([(value > 0).reshape(3, -1) for value in seen.all("rectifier")], 1)
            agree = (opened[:, None] == opened[None]).sum(-1)
            np.testing.assert_allclose(score, np.linalg.slogdet(agree.astype(float))[1], rtol=1e-6)


def test_grasp():
    """By a difference of gradients; reduction cells have all operations but one."""
    with jax.enable_x64(True):
        network, key = darts_network(**{**SIZES, "cells": 1}, arch=ARCHS[0]), jax.random.key(3)
        labels = np.array([0, 2, 1])
        batch = jnas.training.Examples(jnp.asarray(IMAGES), jnp.asarray(labels))
        program = jax.jit(lambda k: measure_grasp(k, ARCHS[0], network, batch)["grasp"])
        score = float(compile_quickly(program.lower(key))(key))
        parameters = jax.tree.map(np.asarray, draw(key, ARCHS[0], network).parameters)

        def loss(parameters):
            return jnp.mean(network.task.loss(network.apply(parameters, None, ARCHS[0], IMAGES)[0], labels))

        gradient = jax.jit(jax.grad(loss))
        has = jax.tree.map(np.asarray, network.has(ARCHS[0]))

        def masked_layers(parameters):
            own = jax.tree.map(lambda mask, x: np.where(mask, x, 0), has, gradient(parameters))
            return own, network.layers(own)

        named = {"scale", "shift", "bias"}
        along = jax.tree_util.tree_map_with_path(
            lambda path, x: 0 * x if path[-1].name in named else x, masked_layers(parameters)[0]
        )
        ends = [masked_layers(moved(parameters, along, step))[1] for step in (1e-6, -1e-6)]
        curved = [(a - b) / 2e-6 for a, b in zip(*ends, strict=True)]
        expected = -sum(np.sum(w * c) for w, c in zip(network.layers(parameters), curved, strict=True))
    np.testing.assert_allclose(score, expected, rtol=1e-4)
