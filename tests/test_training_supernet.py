"""The supernet of NAS-Bench-201: its modes against one another and against a plain implementation in native JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jnas.spaces.nasbench201._cells import EDGES
from jnas.training.data._sources import load_dataset
from jnas.training.networks._families import make_supernet
from jnas.training.networks.nasbench201._mixture_cell import mixture_cell
from jnas.training.networks.nasbench201._sampled_cell import make_sampled_stage
from jnas.training.networks.nasbench201._supernet import SupernetStatistics, nasbench201_supernet
from jnas.training.operations import _layouts
from jnas.training.operations._forms import dispatch_form, mixture_form, over_members, over_seeds, switch_form
from jnas.training.operations._layouts import MANY_KERNELS
from jnas.training.operations._many_kernels import Kernels, convolution_3x3, normalize_batch
from tests._fewer_stages import stages

SIZES = {"image_shape": (8, 8, 3), "num_classes": 4, "channels": 2, "cells": 1}
COVERING = (np.arange(5)[:, None] + np.array([0, 3, 1, 4, 2, 2])) % 5
"""Every operation once on every edge."""

BATCH = 64  # XLA compiles loops over rows of 64 numbers three times as fast as over rows of 6: it unrolls those
LABELS = np.arange(BATCH) % 4


@pytest.fixture(scope="module", autouse=True)
def two_stages():
    """Two thirds to compile."""
    with stages(2):
        yield


@functools.cache
def net(form=None):
    forms = {None: None, "mixture": mixture_form(), "dispatch": dispatch_form()}
    return nasbench201_supernet(**SIZES, form=forms[form])


@functools.cache
def problem():
    """Parameters, estimates of statistics, weights of the operations, images."""

    @jax.jit
    def draw():
        keys = jax.random.split(jax.random.key(0), 4)
        parameters, statistics = net().init(keys[0])
        statistics = jax.tree.map(lambda x: jnp.abs(x + 0.3 * jax.random.normal(keys[3], x.shape)) + 0.1, statistics)
        weights = jax.nn.softmax(jax.random.normal(keys[1], (6, 5)))
        return parameters, statistics, weights, jax.random.normal(keys[2], (BATCH, 8, 8, 3))

    return draw()


# The plain implementation: images [B, H, W, C], lax convolutions, a loop over edges and operations, JAX's gradients.


def plain_convolution(images, kernel, stride=1):
    taps = 9 if kernel.shape[1] == 9 * images.shape[-1] else 1
    size = {9: 3, 1: 1}[taps]
    kernel = kernel.reshape(kernel.shape[0], size, size, -1).transpose(1, 2, 3, 0)
    return lax.conv_general_dilated(
        images, kernel, (stride, stride), [(size // 2, size // 2)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def plain_normalize(images, given):
    mean, variance = (jnp.mean(images, (0, 1, 2)), jnp.var(images, (0, 1, 2))) if given is None else given
    return (images - mean[None, None, None]) / jnp.sqrt(variance + 1e-5)[None, None, None], jnp.stack([mean, variance])


def plain_pool(images, size, stride, padding):
    def total(values):
        return lax.reduce_window(values, 0.0, lax.add, (1, size, size, 1), (1, stride, stride, 1), padding)

    return total(images) / total(jnp.ones_like(images))


def plain_edge(images, one, three, given, weights, done):
    """One edge, and the statistics that its two batch-norms used; where not every operation is done, as GDAS has it."""
    active = jax.nn.relu(images)
    given = (None, None) if given is None else given
    one, used_1 = plain_normalize(plain_convolution(active, one), given[0])
    three, used_3 = plain_normalize(plain_convolution(active, three), given[1])
    results = [jnp.zeros_like(images), images, one, three, plain_pool(images, 3, 1, "SAME")]
    if done is not None:
        results = [jnp.where(done[k], each, 1.0) for k, each in enumerate(results)]
    return sum(weights[k] * each for k, each in enumerate(results)), jnp.stack([used_1, used_3])


def plain_cell(images, kernels, given, weights, done=None):
    nodes, used = [images, 0, 0, 0], []
    for number, (source, target) in enumerate(EDGES):
        own = kernels.one[number], kernels.three[number], None if given is None else given[number]
        out, each = plain_edge(nodes[source], *own, weights[number], None if done is None else done[number])
        nodes[target] = nodes[target] + out
        used.append(each)
    return nodes[3], jnp.stack(used)


def plain(parameters, statistics, weights, images, done=None):
    def given(*path):
        value = statistics
        for step in path:
            value = None if value is None else (getattr(value, step) if isinstance(step, str) else value[step])
        return value

    images, stem = plain_normalize(plain_convolution(images, parameters.stem), given("stem"))
    cells, reductions = [], []
    for stage in range(len(parameters.cells)):
        if stage:
            block, out, used = parameters.reductions[stage - 1], images, []
            for number, (kernel, stride) in enumerate(((block.first, 2), (block.second, 1))):
                out = plain_convolution(jax.nn.relu(out), kernel, stride)
                out, each = plain_normalize(out, given("reductions", stage - 1, number))
                used.append(each)
            images = out + plain_convolution(plain_pool(images, 2, 2, "VALID"), block.shortcut)
            reductions.append(jnp.stack(used))
        kernels, used = parameters.cells[stage], []
        for cell in range(kernels.one.shape[0]):
            own = jax.tree.map(lambda each, cell=cell: each[cell], kernels)
            images, each = plain_cell(images, own, given("cells", stage, cell), weights, done)
            used.append(each)
        cells.append(jnp.stack(used))
    images, head = plain_normalize(images, given("head"))
    features = jnp.mean(jax.nn.relu(images), (1, 2))
    logits = features @ parameters.head.kernel.T + parameters.head.bias[None]
    return logits, SupernetStatistics(stem, tuple(cells), tuple(reductions), head)


def loss_of(logits):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), LABELS[:, None], 1))


def assert_close(left, right, tolerance=2e-4):
    """Equal but for float32's rounding, relative to the largest number of each array."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert np.max(np.abs(np.asarray(a) - np.asarray(b))) <= tolerance * max(np.max(np.abs(np.asarray(b))), 1e-2)


def value_and_gradients(function):
    """Compiles what `function(parameters, weights, *rest)` gives, and the gradients of its loss in both."""

    def objective(parameters, weights, *rest):
        logits, used = function(parameters, weights, *rest)
        return loss_of(logits), (logits, used)

    return jax.jit(jax.value_and_grad(objective, (0, 1), has_aux=True))


@functools.cache
def quick_mixture():
    images = problem()[-1]
    return value_and_gradients(lambda parameters, weights: net().mixture(parameters, None, weights, images))


@functools.cache
def quick_sampled():
    images = problem()[-1]
    return value_and_gradients(lambda parameters, weights, arch: net().sampled(parameters, None, arch, images))


@functools.cache
def slow():
    """One program for the mixture, in which every operation of an edge is done, bool `[6, 5]`, and for one of them."""
    images = problem()[-1]
    return value_and_gradients(lambda parameters, weights, done: plain(parameters, None, weights, images, done))


def test_mixture_and_its_gradients_are_those_of_the_plain_supernet():
    parameters, _, weights, _ = problem()
    (_, values), gradients = quick_mixture()(parameters, weights)
    (_, plain_values), plain_gradients = slow()(parameters, weights, np.ones((6, 5), bool))
    assert_close(values, plain_values)
    assert_close(gradients, plain_gradients, 1e-3)


def test_estimates_of_statistics_are_used_where_they_are_given():
    parameters, statistics, weights, images = problem()
    mixed = jax.jit(net().mixture)(parameters, statistics, weights, images)
    assert_close(mixed, jax.jit(plain)(parameters, statistics, weights, images))
    arch = jnp.asarray(COVERING[0], jnp.int32)
    logits, used = jax.jit(net().sampled)(parameters, statistics, arch, images)
    one_hot = jax.jit(net().mixture)(parameters, statistics, jax.nn.one_hot(arch, 5), images)[0]
    assert_close(logits, one_hot)
    ran = arch[:, None] == jnp.array([2, 3])[None]
    for mine, given in zip(used.cells, statistics.cells, strict=True):
        assert_close(mine, jnp.where(ran[None, :, :, None, None], given, 0))


def test_straight_through_is_the_plain_supernet_with_numbers_for_what_is_not_sampled():
    parameters, _, weights, images = problem()
    quick = value_and_gradients(lambda p, w, arch: net().straight_through(p, None, w, arch, images))
    for number, choices in enumerate(COVERING):
        arch, one_hot = jnp.asarray(choices, jnp.int32), jax.nn.one_hot(choices, 5)
        used_weights = weights if number == 0 else one_hot
        (_, (logits, used)), gradients = quick(parameters, used_weights, arch)
        (_, (plain_logits, plain_used)), plain_gradients = slow()(
            parameters, used_weights, np.eye(5, dtype=bool)[choices]
        )
        assert_close(logits, plain_logits)
        assert_close(gradients, plain_gradients, 2e-3)
        ran = (arch[:, None] == jnp.array([2, 3])[None])[None, :, :, None, None]
        assert_close(used.cells, tuple(jnp.where(ran, each, 0) for each in plain_used.cells))
        others = np.asarray(gradients[1])[~np.eye(5, dtype=bool)[choices]].reshape(6, 4)
        np.testing.assert_allclose(others, others[:, :1] + np.zeros(4), rtol=1e-6)  # all get the sum of the gradient
        if number:
            (_, (sampled_logits, sampled_used)), sampled_gradients = quick_sampled()(parameters, one_hot, arch)
            assert_close(sampled_logits, logits)
            assert_close(sampled_used, used)
            assert_close(sampled_gradients[0], gradients[0])


def test_channels_last_give_the_same(monkeypatch):
    parameters, _, weights, images = problem()
    monkeypatch.setattr(_layouts, "are_large", lambda *_: True)
    last = value_and_gradients(lambda p, w, arch: net().sampled(p, None, arch, images))
    for choices in jnp.asarray(COVERING, jnp.int32):
        found, expected = (each(parameters, weights, choices) for each in (last, quick_sampled()))
        assert_close(found[0][1], expected[0][1])
        assert_close(found[1][0], expected[1][0], 1e-3)
    mixture = value_and_gradients(lambda p, w: net().mixture(p, None, w, images))
    assert_close(mixture(parameters, weights)[1], quick_mixture()(parameters, weights)[1], 1e-3)


@pytest.mark.parametrize("choices", COVERING[:3])
def test_a_one_hot_mixture_is_the_sampled_architecture(choices):
    parameters = problem()[0]
    arch, one_hot = jnp.asarray(choices, jnp.int32), jax.nn.one_hot(choices, 5)
    (_, (logits, _)), gradients = quick_mixture()(parameters, one_hot)
    (_, (sampled_logits, _)), sampled_gradients = quick_sampled()(parameters, one_hot, arch)
    assert_close(logits, sampled_logits)
    assert_close(sampled_gradients[0], gradients[0], 1e-3)
    for kernels in sampled_gradients[0].cells:
        ran = np.any(np.asarray(kernels.one), (0, 2, 3)), np.any(np.asarray(kernels.three), (0, 2, 3))
        assert not np.any(ran[0] & (choices != 2))
        assert not np.any(ran[1] & (choices != 3))


def cell_problem(seed=0, channels=2):
    keys = jax.random.split(jax.random.key(seed), 5)
    kernels = Kernels(
        jax.random.normal(keys[0], (6, channels, channels)), jax.random.normal(keys[1], (6, channels, 9 * channels)) / 3
    )
    stem = jax.random.normal(keys[2], (channels, 27)) / 5
    images = jax.random.normal(keys[3], (BATCH, 8, 8, 3))
    return stem, kernels, jax.nn.softmax(jax.random.normal(keys[4], (6, 5))), images


def test_gradients_of_the_mixture_have_forward_derivatives():
    stem, kernels, weights, images = cell_problem()
    target = jax.random.normal(jax.random.key(9), (2, 8, 8, BATCH))

    def quick(stem, kernels, weights):
        start, _ = normalize_batch(convolution_3x3(images.transpose(3, 1, 2, 0), stem), None, 1e-5)
        return jnp.sum(jnp.tanh(mixture_cell(start, kernels, None, weights, 1e-5, MANY_KERNELS)[0]) * target)

    def slow(stem, kernels, weights):
        start, _ = plain_normalize(plain_convolution(images, stem), None)
        return jnp.sum(jnp.tanh(plain_cell(start, kernels, None, weights)[0].transpose(3, 1, 2, 0)) * target)

    directions = jax.tree.map(lambda each: jnp.cos(jnp.arange(each.size)).reshape(each.shape), (stem, kernels))

    def second(function, stem, kernels, weights):
        """As DARTS needs it: the gradient in the weights moves with the parameters, those before the cell too."""
        return jax.jvp(lambda s, k: jax.grad(function, 2)(s, k, weights), (stem, kernels), directions)

    arguments = stem, kernels, weights
    expected = jax.jit(functools.partial(second, slow))(*arguments)
    found = jax.jit(functools.partial(second, quick))(*arguments)
    assert_close(found, expected, 1e-3)
    assert np.min(np.abs(np.asarray(found[1])[:, 1:])) > 0


@pytest.mark.parametrize("large", [False, True])
def test_the_whole_supernet_is_differentiable_twice_in_each_of_its_arguments(large, monkeypatch):
    monkeypatch.setattr(_layouts, "are_large", lambda *_: large)
    parameters, _, weights, images = problem()

    def loss(parameters, weights):
        return loss_of(net().mixture(parameters, None, weights, images)[0])

    def twice(*each):
        return jax.jvp(jax.grad(loss, (0, 1)), each, each)

    # Lowered, since what has no forward mode is found out no earlier.
    jax.jit(twice).lower(parameters, weights)


@functools.cache
def gradients_of_seeds(name):
    """Those of a sampled cell for three seeds, together or, by the form that branches, in a loop."""
    form = {"switch": switch_form, "mixture": mixture_form, "dispatch": dispatch_form}[name]()
    images = jax.random.normal(jax.random.key(1), (3, 2, 8, 8, BATCH))
    kernels = jax.tree.map(lambda *each: jnp.stack(each), *[cell_problem(seed)[1] for seed in range(3)])
    archs, weights = jnp.asarray(COVERING[[0, 1, 4]], jnp.int32), cell_problem()[2]
    stage = make_sampled_stage(form, 1e-5, MANY_KERNELS)

    def loss(kernels, images, weights, arch):
        return jnp.sum(jnp.sin(stage(images, jax.tree.map(lambda each: each[None], kernels), None, arch, weights)[0]))

    def gradients(kernels, images, arch):
        return jax.grad(loss, (0, 1, 2))(kernels, images, weights, arch)

    return jax.jit(over_members(gradients, name))(kernels, images, archs)


@pytest.mark.parametrize("form", ["mixture", "dispatch"])
def test_seeds_under_vmap_are_those_of_a_loop(form):
    """Where the number of operations differs from seed to seed."""
    assert_close(gradients_of_seeds(form), gradients_of_seeds("switch"), 1e-3)


def test_gradients_past_frozen_batch_norm_where_batches_are_sorted():
    parameters, statistics, _, images = problem()
    arch = jnp.asarray(COVERING[0], jnp.int32)

    def total(parameters, statistics, images):
        return jnp.sum(net("dispatch").sampled(parameters, statistics, arch, images)[0])

    gradients = jax.eval_shape(jax.grad(total, (0, 1, 2)), parameters, statistics, images[:2])
    assert jax.tree.map(jnp.shape, gradients[0]) == jax.tree.map(jnp.shape, parameters)


def test_over_seeds_gives_what_each_seed_gives():
    parameters, statistics, _, images = problem()
    archs = jnp.asarray(COVERING[:2], jnp.int32)

    def sampled(supernet):
        return lambda arch, scale: supernet.sampled(parameters, statistics, arch, scale * images)[0]

    scales = jnp.array([1.0, 0.5])
    looped = jax.jit(over_seeds(sampled(net()), net()))(archs, scales)
    assert_close(looped[1], jax.jit(sampled(net()))(archs[1], scales[1]))
    together = jax.jit(over_seeds(sampled(net("dispatch")), net("dispatch")))(archs, scales)
    assert_close(together, looped)


def test_running_estimates_move_only_for_what_ran():
    _, statistics, _, _ = problem()
    arch = jnp.array([2, 3, 0, 1, 4, 2])
    used = jax.tree.map(lambda each: 3.0 * jnp.ones_like(each), statistics)
    after = net().running(statistics, used, 0.9, (BATCH, 8, 8, 3), arch)
    for stage, (old, new) in enumerate(zip(statistics.cells, after.cells, strict=True)):
        count = BATCH * 64 / 4**stage
        moved = 0.9 * old + 0.1 * 3.0 * np.array([1, count / (count - 1)])[None, None, None, :, None]
        ran = np.zeros((6, 2), bool)
        ran[[0, 1, 5], [0, 1, 0]] = True
        np.testing.assert_allclose(new, np.where(ran[None, :, :, None, None], moved, old), rtol=1e-6)
    np.testing.assert_allclose(after.head[0], 0.9 * statistics.head[0] + 0.3, rtol=1e-6)
    np.testing.assert_allclose(after.stem[1], 0.9 * statistics.stem[1] + 0.3 * 4096 / 4095, rtol=1e-6)
    everything = net().running(statistics, used, 0.9, (BATCH, 8, 8, 3))
    assert all(np.all(new != old) for new, old in zip(everything.cells, statistics.cells, strict=True))


def test_init_is_uniform_within_one_over_the_root_of_the_fan_in():
    with stages(3):
        supernet = nasbench201_supernet(**{**SIZES, "channels": 8, "cells": 2})
        parameters, statistics = jax.jit(supernet.init)(jax.random.key(3))
    stage = parameters.cells[1]
    assert stage.one.shape == (2, 6, 16, 16)
    assert stage.three.shape == (2, 6, 16, 144)
    for array, fan_in in ((stage.one, 16), (stage.three, 144), (parameters.stem, 27), (parameters.head.bias, 32)):
        bound = fan_in**-0.5
        assert np.max(np.abs(array)) <= bound
        spread = np.std(array) / (bound / 3**0.5)
        assert abs(spread - 1) < 4 / array.size**0.5
    assert statistics.cells[2].shape == (2, 6, 2, 2, 32)
    np.testing.assert_array_equal(statistics.cells[0][..., 0, :], 0)
    np.testing.assert_array_equal(statistics.cells[0][..., 1, :], 1)


def test_make_supernet_fits_the_data_set():
    dataset = load_dataset("digits")
    with stages(3):
        supernet = make_supernet(dataset, channels=2, cells=1, form="mixture")
        parameters = jax.eval_shape(supernet.init, jax.random.key(0))[0]
    assert parameters.head.kernel.shape == (10, 8)
    assert supernet.form == "mixture"
    assert make_supernet(dataset).form == "switch"
    with pytest.raises(ValueError, match="form is 'static'"):
        make_supernet(dataset, form="static")


def test_sizes_are_checked():
    with pytest.raises(TypeError, match=r"2\.0"):
        nasbench201_supernet(**{**SIZES, "channels": 2.0})
    with pytest.raises(ValueError, match="multiples of 4"):
        nasbench201_supernet(**{**SIZES, "image_shape": (6, 8, 3)})
