"""Networks of NAS-Bench-101 against a plain implementation, their two forms against one another, and their recipe."""

import argparse
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jnas import training
from jnas.commands._build import _chosen_archs
from jnas.commands._training_work import begun_recipe
from jnas.spaces import nasbench101
from jnas.spaces.nasbench101._cells import NUM_EDGES, OPERATIONS, host_pruned, nasbench101_from_string
from jnas.spaces.nasbench101._cost import compute_vertex_channels
from jnas.training._recipe import read_recipe, recipe_words
from jnas.training.networks.nasbench101 import _network
from jnas.training.networks.nasbench101._masked import masked_module
from jnas.training.networks.nasbench101._module import ModuleSettings, static_module
from jnas.training.networks.nasbench101._network import nasbench101_network
from jnas.training.operations._convolutions import max_pool_2x2, max_pool_3x3
from jnas.training.operations._layouts import CHANNELS_LAST, batch_last_layout
from jnas.training.runs._build import plan_table
from jnas.training.runs._train import _running
from tests._plain_images import assert_gradients, convolve, windows

# Every operation with and without an edge from the input, 0 to 4 vertices concatenated, channels cut and divided
# unevenly, an edge from input to output with and without others, vertices that are pruned.
CELLS = [
    "|output~0|",
    "|conv3x3~0|maxpool3x3~1|conv1x1~2|output~0~3|",
    "|maxpool3x3~0|conv3x3~0~1|conv1x1~2|conv3x3~1|output~2~3|",
    "|conv1x1~0|conv3x3~0~1|maxpool3x3~0~1|output~0~1~2~3|",
    "|conv3x3~0|conv1x1~1|maxpool3x3~0|conv3x3~0|conv1x1~1|output~2~3~4|",
    "|conv3x3~0|maxpool3x3~1|conv1x1~1|conv3x3~1|maxpool3x3~1|output~2~3~4~5|",
]
ARCHS = [nasbench101_from_string(cell) for cell in CELLS]
SMALL = {"image_shape": (4, 8, 2), "num_classes": 3, "channels": 7, "modules": 1}
# 5 vertices at the output: not a cell of the benchmark, but a graph.
FIVE = nasbench101_from_string("|conv3x3~0|conv1x1~0|maxpool3x3~0|conv3x3~0|conv1x1~0|output~1~2~3~4~5|")


class PlainNetwork:
    """The published network on NHWC images in NumPy, any batch-norm noted in the order of use."""

    def __init__(self, arch, parameters, statistics):
        self.matrix, self.used = host_pruned(arch)
        self.operations = [None, *(OPERATIONS[choice] for choice in arch[NUM_EDGES:])]
        self.parameters, self.statistics = parameters, statistics
        self.notes = []

    def block(self, images, kernel, scale, shift, given):
        """A convolution with a kernel [size, size, inputs, outputs], batch-norm and ReLU."""
        images = convolve(images, kernel)
        axes = (0, 1, 2)
        self.notes.append((images.mean(axes), images.var(axes)))
        mean, variance = self.notes[-1] if given is None else given
        return np.maximum((images - mean) / np.sqrt(variance + 1e-5) * scale + shift, 0)

    def pool(self, images, size, stride):
        return windows(images, size, stride, -np.inf).max((-2, -1))

    def vertex(self, place, own, given, channels, images):
        operation = self.operations[place]
        if operation == "maxpool3x3":
            return self.pool(images, 3, 1)
        kernel = own.kernel[place - 1, :channels, :, :channels].transpose(1, 2, 0)
        kernel = kernel.reshape(3, 3, channels, channels)
        if operation == "conv1x1-bn-relu":
            kernel = kernel[1:2, 1:2]
        return self.block(images, kernel, *self.cut(own, given, channels, place - 1))

    def cut(self, own, given, channels, *place):
        statistics = None if given is None else given[place][:, :channels]
        return own.scale[place][:channels], own.shift[place][:channels], statistics

    def project(self, own, given, channels, images, *place):
        kernel = own.kernel[place][:channels].T[None, None]
        return self.block(images, kernel, *self.cut(own, given, channels, *place))

    def module(self, images, own, given):
        vertices = np.flatnonzero(self.used)
        matrix = self.matrix[np.ix_(vertices, vertices)]
        outputs = own.output.scale.shape[0]
        channels = compute_vertex_channels(images.shape[-1], outputs, matrix)
        given = given or (None, None, None)
        tensors = [images]
        for t in range(1, len(vertices) - 1):
            place = vertices[t]
            total = sum(tensors[u][..., : channels[t]] for u in range(1, t) if matrix[u, t])
            if matrix[0, t]:
                total = total + self.project(own.inputs, given[1], channels[t], images, place - 1)
            tensors.append(self.vertex(place, own.vertices, given[0], channels[t], total))
        joined = [tensors[u] for u in range(1, len(vertices) - 1) if matrix[u, -1]]
        parts = [np.concatenate(joined, -1)] if joined else []
        if matrix[0, -1]:
            parts.append(self.project(own.output, given[2], outputs, images))
        return sum(parts)

    def __call__(self, images):
        parameters, given = self.parameters, self.statistics
        stem = parameters.stem
        kernel = stem.kernel.reshape(-1, 3, 3, images.shape[-1]).transpose(1, 2, 3, 0)
        images = self.block(images, kernel, stem.scale, stem.shift, given and given.stem)
        per_stack = len(parameters.modules) // _network.NUM_STACKS
        for number, own in enumerate(parameters.modules):
            if number and number % per_stack == 0:
                images = self.pool(images, 2, 2)
            images = self.module(images, own, given and given.modules[number])
        return images.mean((1, 2)) @ parameters.head.kernel.T + parameters.head.bias


def float64_weights(network, arch, seed=0):
    """Weights of which no batch-norm is the identity, and which have nothing where the architecture has nothing."""
    rng = np.random.default_rng(seed)
    parameters, statistics = jax.tree.map(
        lambda x: np.asarray(x, np.float64), jax.jit(network.init)(jax.random.key(seed), arch)
    )
    noisy = jax.tree.map(
        lambda x, has: np.where(has, x * rng.uniform(0.5, 1.5, x.shape) + 0.1 * rng.normal(size=x.shape), 0),
        parameters,
        jax.jit(network.has)(arch),
    )
    return noisy, jax.tree.map(lambda x: x + rng.uniform(0.1, 0.5, x.shape), statistics)


def measured(apply, parameters, images):
    """Logits, gradients and the statistics used in training."""

    def loss(parameters):
        logits, used = apply(parameters, None, images)
        return jnp.sum(jnp.sin(logits)), (logits, used)

    (_, (logits, used)), gradients = jax.value_and_grad(loss, has_aux=True)(parameters)
    return logits, gradients, used


def measured_by(network, arch, *arguments):
    """As the training loop does it."""

    def each(apply, *arguments):
        return measured(lambda parameters, given, images: apply(parameters, given, arch, images), *arguments)

    if network.specialize is None:
        return each(network.apply, *arguments)
    return network.specialize(arch, each)(*arguments)


def assert_close(found, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), found, expected)


def plain_loss(arch, images):
    return lambda parameters: np.sin(PlainNetwork(arch, parameters, None)(images)).sum()


@pytest.fixture
def one_stack(monkeypatch):
    """Networks of one stack: a third to compile. All modules are one function, and others have three stacks."""
    monkeypatch.setattr(_network, "NUM_STACKS", 1)


def test_both_forms_are_the_published_network(one_stack):
    """Outputs, gradients and statistics in float64."""
    with jax.enable_x64(True):
        images = np.random.default_rng(1).normal(size=(3, *SMALL["image_shape"]))
        network = nasbench101_network(**SMALL)
        switch = jax.jit(lambda arch, *each: measured_by(network, arch, *each, images))
        for number, arch in enumerate(ARCHS):
            parameters, _ = float64_weights(network, arch)
            found = switch(arch, parameters)
            if number == 3:
                static = nasbench101_network(**SMALL, arch=arch)
                alone = jax.jit(lambda *each, n=static, a=arch: measured_by(n, a, *each, images))
                assert_close(alone(parameters), found, rtol=1e-9, atol=1e-10)
            plain = PlainNetwork(arch, parameters, None)
            np.testing.assert_allclose(found[0], plain(images), rtol=1e-8, atol=1e-9)
            assert_gradients(found[1], jax.jit(network.has)(arch), parameters, plain_loss(arch, images))
            assert_same_statistics(jax.tree.map(np.asarray, found[2]), plain.notes)


def assert_same_statistics(used, notes):
    """Every batch-norm of the plain network is there, and no other."""
    found = sorted(float(np.sum(x)) for leaf in jax.tree.leaves(used) for x in leaf.reshape(-1, *leaf.shape[-2:]))
    expected = sorted(float(np.sum(mean) + np.sum(variance)) for mean, variance in notes)
    np.testing.assert_allclose([x for x in found if x], expected, rtol=1e-8)


def test_modules_of_a_stack_and_stacks_follow_one_another(monkeypatch):
    """Outputs and gradients of two stacks of two modules."""
    monkeypatch.setattr(_network, "NUM_STACKS", 2)
    with jax.enable_x64(True):
        arch = nasbench101_from_string("|conv3x3~0|output~0~1|")
        network = nasbench101_network(**{**SMALL, "modules": 2}, arch=arch)
        images = np.random.default_rng(1).normal(size=(2, *SMALL["image_shape"]))
        parameters, _ = float64_weights(network, arch)
        assert len(parameters.modules) == 4
        found = jax.jit(lambda parameters: measured_by(network, arch, parameters, images))(parameters)
        np.testing.assert_allclose(found[0], PlainNetwork(arch, parameters, None)(images), rtol=1e-8)
        assert_gradients(found[1], jax.jit(network.has)(arch), parameters, plain_loss(arch, images))


def test_outside_of_a_specialized_program_too():
    """Evaluation with given statistics; a graph of five concatenated vertices, which is no cell, is computed right."""
    with jax.enable_x64(True):
        network = nasbench101_network(**SMALL)
        images = np.random.default_rng(1).normal(size=(2, *SMALL["image_shape"]))
        apply = jax.jit(network.apply)
        for arch in (ARCHS[0], ARCHS[2], FIVE):
            parameters, statistics = float64_weights(network, arch)
            expected = PlainNetwork(arch, parameters, statistics)(images)
            np.testing.assert_allclose(apply(parameters, statistics, arch, images)[0], expected, rtol=1e-8)


class TestPools:
    def test_values_and_gradients(self):
        """With many equal pixels, of which the first has the gradient, as in XLA's own."""
        rng = np.random.default_rng(0)
        images = np.maximum(rng.integers(-3, 3, (3, 6, 8, 4)), 0).astype(np.float32)
        for own, size, stride in ((max_pool_3x3, 3, 1), (max_pool_2x2, 2, 2)):

            def xla(images, size=size, stride=stride):
                window, strides = (1, size, size, 1), (1, stride, stride, 1)
                return lax.reduce_window(images, -jnp.inf, lax.max, window, strides, "SAME")

            gradient = rng.normal(size=jax.eval_shape(own, images).shape).astype(np.float32)

            @jax.jit
            def both(images, gradient, pools=(own, xla)):
                pulled = [jax.vjp(pool, images) for pool in pools]
                return [(out, transpose(gradient)[0]) for out, transpose in pulled]

            (out, to_images), (expected, expected_to_images) = both(images, gradient)
            np.testing.assert_array_equal(out, expected)
            np.testing.assert_allclose(to_images, expected_to_images, atol=1e-6)

    def test_a_nan_is_not_lost(self):
        images = np.zeros((1, 4, 4, 1), np.float32)
        images[0, 1, 2, 0] = np.nan
        halved, same = jax.jit(lambda images: (max_pool_2x2(images), max_pool_3x3(images)))(images)
        assert np.isnan(halved[0, :, :, 0]).sum() == 1
        assert np.isnan(same[0, 1, 2, 0])


class TestSizes:
    def test_parameters_are_those_that_a_cell_has(self):
        space = nasbench101()
        archs = jax.jit(jax.vmap(space.sample))(jax.random.split(jax.random.key(0), 30))
        sizes = {"image_shape": (8, 12, 1), "num_classes": 7, "channels": 9, "modules": 2}
        network = nasbench101_network(**sizes)
        count = jax.jit(lambda arch: sum(jnp.sum(mask) for mask in jax.tree.leaves(network.has(arch))))
        millions = jax.jit(network.parameters)
        for arch in [*archs, *ARCHS]:
            assert count(arch) == round(1e6 * float(millions(arch)))

    @pytest.mark.parametrize("arch", ARCHS, ids=str)
    def test_multiply_adds_are_those_of_the_traced_program(self, arch):
        network = nasbench101_network(**SMALL, arch=arch, convolution="patches")
        weights = jax.eval_shape(network.init, jax.random.key(0), arch)
        images = jax.ShapeDtypeStruct((1, *SMALL["image_shape"]), jnp.float32)
        program = jax.make_jaxpr(lambda *each: network.apply(*each[0], arch, each[1])[0])(weights, images)
        found = products(program.jaxpr) + SMALL["num_classes"]
        assert found == round(1e6 * float(network.flops(arch)))

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"image_shape": (6, 8, 3)}, ValueError, "6 by 8, expected multiples of 4"),
            ({"channels": 3}, ValueError, "channels is 3, expected at least 4"),
            ({"modules": 1.0}, TypeError, "modules is 1.0, expected a Python int"),
            ({"convolution": "fft"}, ValueError, "convolution is 'fft'"),
            ({"arch": np.zeros(26, int)}, ValueError, "expected a valid cell"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, change, error, message):
        with pytest.raises(error, match=message):
            nasbench101_network(**{**SMALL, **change})


def products(program):
    """Multiply-adds of all matrix products of a traced program."""
    total = 0
    for equation in program.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
        else:
            inner = [each for each in equation.params.values() if hasattr(each, "eqns") or hasattr(each, "jaxpr")]
            total += sum(products(getattr(each, "jaxpr", each)) for each in inner)
    return total


def test_kernels_start_by_their_actual_fan_in():
    """TensorFlow's variance scaling: cut at two standard deviations; and nothing where the cell has nothing."""
    network = nasbench101_network(image_shape=(8, 8, 3), num_classes=10, channels=24, modules=1)
    arch = nasbench101_from_string("|conv3x3~0|conv1x1~0~1|conv3x3~0|output~0~2~3|")
    parameters, statistics = jax.tree.map(np.asarray, jax.jit(network.init)(jax.random.key(3), arch))
    module = parameters.modules[1]  # 24 channels come in, 48 go out, 24 of each of the two vertices
    for values, fan_in in (
        (parameters.stem.kernel, 27),
        (module.vertices.kernel[0, :24, :, :24], 9 * 24),
        (module.vertices.kernel[1, :24, 4, :24], 24),
        (module.inputs.kernel[0, :24], 24),
        (module.output.kernel, 24),
    ):
        assert np.all(values != 0)
        deviation = fan_in**-0.5
        assert 1.9 < np.abs(values).max() / (deviation / 0.8796) <= 2.0
        # A normal distribution cut at two has the kurtosis 2.365; of n numbers the mean square has the error below.
        error = math.sqrt(1.365 / values.size)
        assert abs(np.mean(values**2) / deviation**2 - 1) < 4 * error
        assert abs(np.mean(values)) < 4 * deviation / math.sqrt(values.size)
    limit = math.sqrt(6 / (96 + 10))
    assert 0.98 * limit < np.abs(parameters.head.kernel).max() <= limit
    assert not parameters.head.bias.any()
    assert np.all(statistics.modules[0].vertices[:, 1] == 1)
    jax.tree.map(
        lambda x, mask: np.testing.assert_array_equal(x[~np.asarray(mask)], 0), parameters, jax.jit(network.has)(arch)
    )


@pytest.mark.parametrize("arch", [None, ARCHS[3]], ids=["switch", "static"])
def test_gradients_past_frozen_batch_norm_in_every_form(arch, one_stack):
    network = nasbench101_network(**SMALL, arch=arch)
    weights = jax.eval_shape(network.init, jax.random.key(0), ARCHS[3])
    images = jax.ShapeDtypeStruct((2, *SMALL["image_shape"]), jnp.float32)

    def total(parameters, statistics, images):
        return jnp.sum(network.apply(parameters, statistics, jnp.asarray(ARCHS[3]), images)[0])

    gradients = jax.eval_shape(jax.grad(total, (0, 1, 2)), *weights, images)
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, (*weights, images))


class TestTheRecipe:
    def test_its_numbers(self):
        recipe = training.get_recipe("nasbench101-108")
        assert (recipe.epochs, recipe.batch_size, recipe.channels, recipe.cells) == (108, 256, 128, 3)
        assert (recipe.batch_norm_momentum, recipe.batch_norm_epsilon) == (0.997, 1e-5)
        assert (recipe.learning_rate, recipe.weight_decay, recipe.momentum) == (0.2, 1e-4, 0.9)

    def test_a_step_is_the_published_one(self):
        """RMSProp with epsilon 1 inside the root and a first mean square of 1, L2 over all, a cosine by steps.

        The first step's rate is 0, so that it leaves the weights as they are and a trace in the mean square.
        """
        arch = ARCHS[3]
        network = nasbench101_network(**SMALL, arch=arch)
        weights = jax.jit(network.init)(jax.random.key(0), arch)[0]
        values = jax.tree.map(lambda x: np.asarray(x, np.float64), weights)
        square, velocity = jax.tree.map(np.ones_like, values), jax.tree.map(np.zeros_like, values)
        optimizer = training.make_optimizer(training.get_recipe("nasbench101-108"), 10)
        state, found, rng = jax.jit(optimizer.init)(weights), weights, np.random.default_rng(0)
        update = jax.jit(optimizer.update)
        for step in range(3):
            gradients = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), values)
            updates, state = update(gradients, state, found)
            found = jax.tree.map(lambda weights, change: np.asarray(weights) + change, found, updates)
            rate = 0.5 * 0.2 * (1 + math.cos(math.pi * step / 10)) * (step > 0)
            whole = jax.tree.map(lambda g, w: g + 1e-4 * w, gradients, values)
            square = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g**2, square, whole)
            velocity = jax.tree.map(lambda m, g, v, r=rate: 0.9 * m + r * g / np.sqrt(v + 1), velocity, whole, square)
            values = jax.tree.map(lambda w, m: w - m, values, velocity)
            if not step:
                jax.tree.map(np.testing.assert_array_equal, found, weights)
        assert_close(found, values, rtol=1e-4, atol=1e-5)

    def test_what_was_begun_with_a_first_step_of_full_rate_goes_on_so(self, tmp_path, capsys):
        """Other recipes, folders and files say what they said."""
        recipe = training.get_recipe("nasbench101-108")
        before = recipe_words(recipe._replace(zero_first_step=False))
        fields = training.Recipe._fields
        assert list(before) == list(fields[: fields.index("zero_first_step")])
        assert recipe_words(recipe) == before | {"zero_first_step": True}
        assert [name for name, (row, _) in training.RECIPES.items() if row.zero_first_step] == ["nasbench101-108"]
        assert read_recipe(before).zero_first_step is False
        assert read_recipe(recipe_words(recipe)) == recipe
        (tmp_path / "config.json").write_text(json.dumps({"recipe": before}))
        assert begun_recipe(tmp_path, recipe) == recipe._replace(zero_first_step=False)
        assert "first step had the learning rate 0.2, and goes on so" in capsys.readouterr().out
        (tmp_path / "config.json").write_text(json.dumps({"recipe": before | {"epochs": 4}}))
        assert begun_recipe(tmp_path, recipe) == recipe  # other work, which is refused as such
        assert begun_recipe(tmp_path / "new", recipe) == recipe
        assert capsys.readouterr().out == ""

    def test_running_estimates_keep_what_the_recipe_says(self):
        network = nasbench101_network(**SMALL)
        weights = jax.eval_shape(network.init, jax.random.key(0), ARCHS[0])
        old = jax.tree.map(lambda x: np.full(x.shape, 2, np.float32), weights[1])
        used = jax.tree.map(lambda x: np.ones(x.shape, np.float32), weights[1])
        counts = network.counts((5, *SMALL["image_shape"]))
        found = jax.jit(lambda *each: _running(*each, 0.997, counts))(old, used)
        for stack, module in enumerate(found.modules):
            n = 5 * 4 * 8 / 4**stack
            for leaf in module:
                np.testing.assert_allclose(leaf[..., 0, :], 0.997 * 2 + 0.003, rtol=1e-6)
                np.testing.assert_allclose(leaf[..., 1, :], 0.997 * 2 + 0.003 * n / (n - 1), rtol=1e-6)


@pytest.fixture(scope="module")
def digits():
    dataset = training.load_dataset("digits")
    for split in ("train", "validation", "test"):
        dataset = training.subset(dataset, split, 64, 0)
    return dataset


RECIPE = training.get_recipe("small101-12", epochs=2, channels=5, batch_size=32, learning_rate=0.05)


@pytest.mark.slow
def test_a_batch_is_trained_as_each_cell_by_its_own_program(digits, monkeypatch, one_stack):
    """The same key gives the same curves in both forms, until rounding grows; and another key gives others.

    One program for all cells with concatenated vertices, beside that for none, is the first of the four that
    `test_both_forms_are_the_published_network` has.
    """
    monkeypatch.setattr(_network, "_MOST_PROGRAMS", 2)
    network = training.make_network(digits, RECIPE, space="nasbench101")
    assert (network.form, network.space.name) == ("switch", "nasbench101")
    archs = np.stack([ARCHS[1], ARCHS[4], ARCHS[1]])
    keys = jax.random.split(jax.random.key(0), 3)
    many = jax.jit(lambda keys, archs: training.train_many(keys, archs, digits, RECIPE, network))
    curves, weights = many(keys, archs)
    for number in range(2):
        static = training.make_network(digits, RECIPE, "static", archs[number], space="nasbench101")
        one = jax.jit(lambda key, n=static: training.train(key, archs[number], digits, RECIPE, n))  # noqa: B023
        own, own_weights = one(keys[number])
        for split in digits.splits:
            np.testing.assert_allclose(curves.loss[split][number], own.loss[split], rtol=1e-3)
        assert_close(jax.tree.map(lambda x, i=number: x[i], weights), own_weights, rtol=0.02, atol=2e-3)
    assert not np.array_equal(curves.loss["train"][0], curves.loss["train"][2])


class TestMakeNetwork:
    def test_an_architecture_of_another_space_is_refused(self, digits):
        with pytest.raises(ValueError, match=r"expected \(6,\), an architecture of nasbench201"):
            training.train(jax.random.key(0), ARCHS[0], digits, RECIPE)

    def test_what_is_not_there_is_refused(self, digits):
        with pytest.raises(
            ValueError, match=r"no space with networks 'nats_size'.* expected one of nasbench201, nasbench101"
        ):
            training.make_network(digits, RECIPE, space="nats_size")
        with pytest.raises(ValueError, match="expected one of 'switch', 'static' for nasbench101"):
            training.make_network(digits, RECIPE, "dispatch", space="nasbench101")
        with pytest.raises(ValueError, match="pass it as archs"):
            training.make_network(digits, RECIPE, "static", space="nasbench101")


class TestListedCells:
    """What `jnas table build` trains."""

    def options(self, **changes):
        return argparse.Namespace(**{"space": "nasbench101", "archs": None, "vertices": None, "nodes": None, **changes})

    def test_a_file(self, tmp_path):
        """Those and no others, each row of its own; isomorphic cells once."""
        cells = ["|output~0|", CELLS[1], "", "|conv3x3~0|output~1|", "|conv1x1~0|conv3x3~0|output~2|"]
        path = tmp_path / "cells.txt"
        path.write_text("\n".join([*cells, "|maxpool3x3~0|conv3x3~0|output~2|"]))
        archs = _chosen_archs(self.options(archs=path))
        np.testing.assert_array_equal(archs, [nasbench101_from_string(cell) for cell in (cells[0], cells[1], cells[3])])
        path.write_text("|conv3x3~0|output|")
        with pytest.raises(ValueError, match=r"line 1: .* has no path from the input .* expected a valid cell"):
            _chosen_archs(self.options(archs=path))

    def test_all_cells_of_so_many_vertices(self):
        assert [len(_chosen_archs(self.options(vertices=most))) for most in (2, 3, 4, 5)] == [1, 7, 91, 2532]
        assert _chosen_archs(self.options(space="nasbench201")) is None

    def test_their_runs(self):
        archs = np.stack(ARCHS)
        plan = plan_table(seeds=(0, 1), num_repeated=2, archs=archs)
        np.testing.assert_array_equal(plan.archs, archs)
        np.testing.assert_array_equal(plan.trained_as, range(6))
        np.testing.assert_array_equal(plan.jobs.archs, archs[plan.cells])
        assert sorted(plan.cells[:6]) == list(range(6))
        assert (len(plan.cells), plan.jobs.seeds.tolist()) == (8, [0] * 6 + [1] * 2)
        few = plan_table(seeds=(0,), num_cells=4, archs=archs)
        assert len(few.archs) == len(few.cells) == 4


def test_channels_last_give_the_same(one_stack):
    """Modules in the order of large images on CPUs."""
    arch = ARCHS[2]
    network = nasbench101_network(**SMALL)
    own = jax.tree.map(np.float32, float64_weights(network, arch)[0].modules[0])
    images = np.random.default_rng(1).normal(size=(3, 4, 8, SMALL["channels"])).astype(np.float32)

    def masked(arch, settings, *arguments):
        return masked_module(2, settings, jnp.asarray(arch), *arguments)

    found = []
    for layout in (batch_last_layout("patches"), CHANNELS_LAST):
        for module in (static_module, masked):

            def loss(own, images, module=module, layout=layout):
                out, used = module(arch, ModuleSettings(1e-5, layout), layout.enter(images), own, None)
                return jnp.sum(jnp.sin(out)), used

            found.append(jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(own, images))
    for other in found[1:]:
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), found[0], other)
