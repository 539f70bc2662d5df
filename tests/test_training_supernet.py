"""The supernet of NAS-Bench-201: its modes against one another and against a plain implementation in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.spaces.nasbench201._cells import EDGES
from jnas.training.data._sources import load_dataset
from jnas.training.networks._families import make_supernet
from jnas.training.networks.nasbench201._mixture_cell import mixture_cell
from jnas.training.networks.nasbench201._sampled_cell import make_sampled_stage
from jnas.training.networks.nasbench201._supernet import SupernetStatistics, nasbench201_supernet
from jnas.training.operations import _layouts
from jnas.training.operations._forms import dispatch_form, mixture_form, over_members, over_seeds
from jnas.training.operations._layouts import MANY_KERNELS
from jnas.training.operations._many_kernels import Kernels, convolution_3x3, normalize_batch
from tests._fewer_stages import stages
from tests._plain_images import convolve, windows

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
    rng = np.random.default_rng(0)

    def draw(leaf):
        return (rng.uniform(-1, 1, leaf.shape) / leaf.shape[-1] ** 0.5).astype(np.float32)

    def estimates(leaf):
        """About a mean of 0 and a variance of 1."""
        return (np.abs([[0.0], [1.0]] + 0.3 * rng.normal(size=leaf.shape)) + 0.1).astype(np.float32)

    parameters, statistics = jax.eval_shape(net().init, jax.random.key(0))
    return jax.tree.map(draw, parameters), jax.tree.map(estimates, statistics), shares(rng), batch(rng, 3)


def shares(rng):
    weights = np.exp(rng.normal(size=(6, 5)))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def batch(rng, channels):
    return rng.normal(size=(BATCH, 8, 8, channels)).astype(np.float32)


# The plain implementation: images [B, H, W, C] in float64, a loop over edges and operations.


def relu(images):
    return np.where(images.real > 0, images, 0)


def plain_convolution(images, kernel, stride=1):
    size = 3 if kernel.shape[1] == 9 * images.shape[-1] else 1
    kernel = kernel.reshape(kernel.shape[0], size, size, -1).transpose(1, 2, 3, 0)
    out = convolve(images.real, kernel.real, stride)
    if np.iscomplexobj(images) or np.iscomplexobj(kernel):  # steps, whose product is nothing; NumPy's own takes longer
        out = out + 1j * (convolve(images.imag, kernel.real, stride) + convolve(images.real, kernel.imag, stride))
    return out


def plain_normalize(images, given):
    if given is None:
        mean = images.mean((0, 1, 2))
        given = mean, ((images - mean) ** 2).mean((0, 1, 2))
    return (images - given[0]) / np.sqrt(given[1] + 1e-5), np.stack(given)


def plain_pool(images, size, stride):
    def total(images):
        around = windows(images, size, stride, 0.0)
        return sum(around[..., row, column] for row in range(size) for column in range(size))

    return total(images) / total(np.ones_like(images[:1]))


def plain_edge(images, one, three, given, weights, done):
    """One edge, and the statistics that its two batch-norms used; where not every operation is done, as GDAS has it."""
    active = relu(images)
    given = (None, None) if given is None else given
    one, used_1 = plain_normalize(plain_convolution(active, one), given[0])
    three, used_3 = plain_normalize(plain_convolution(active, three), given[1])
    results = [np.zeros_like(images), images, one, three, plain_pool(images, 3, 1)]
    if done is not None:
        results = [each if done[k] else np.ones_like(each) for k, each in enumerate(results)]
    return sum(weights[k] * each for k, each in enumerate(results)), np.stack([used_1, used_3])


def plain_cell(images, kernels, given, weights, done=None):
    nodes, used = [images, 0, 0, 0], []
    for number, (source, target) in enumerate(EDGES):
        own = kernels.one[number], kernels.three[number], None if given is None else given[number]
        out, each = plain_edge(nodes[source], *own, weights[number], None if done is None else done[number])
        nodes[target] = nodes[target] + out
        used.append(each)
    return nodes[3], np.stack(used)


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
                out = plain_convolution(relu(out), kernel, stride)
                out, each = plain_normalize(out, given("reductions", stage - 1, number))
                used.append(each)
            images = out + plain_convolution(plain_pool(images, 2, 2), block.shortcut)
            reductions.append(np.stack(used))
        kernels, used = parameters.cells[stage], []
        for cell in range(kernels.one.shape[0]):
            own = jax.tree.map(lambda each, cell=cell: each[cell], kernels)
            images, each = plain_cell(images, own, given("cells", stage, cell), weights, done)
            used.append(each)
        cells.append(np.stack(used))
    images, head = plain_normalize(images, given("head"))
    logits = relu(images).mean((1, 2)) @ parameters.head.kernel.T + parameters.head.bias
    return logits, SupernetStatistics(stem, tuple(cells), tuple(reductions), head)


def loss_of(logits):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), LABELS[:, None], 1))


def plain_loss(logits):
    return np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(BATCH), LABELS])


def doubles(tree):
    return jax.tree.map(lambda each: np.asarray(each, np.float64), tree)


def assert_gradients_close(gradients, at, loss, tolerance=1e-3):
    """Gradients are the derivatives of a plain loss, in a direction in which each array has the same share.

    They are the imaginary part after an imaginary step: no activation changes its sign, and one of 0 has no slope.
    Arrays whose derivatives are small weigh less: batch-norm makes much of what rounding leaves of constant images.
    """
    rng, gradients, at = np.random.default_rng(2), doubles(gradients), doubles(at)
    lengths = jax.tree.map(lambda each: max(np.linalg.norm(each), 1e-2), gradients)
    direction = jax.tree.map(lambda each, length: rng.normal(size=each.shape) / length, gradients, lengths)
    expected = loss(jax.tree.map(lambda x, d: x + 1e-20j * d, at, direction)).imag / 1e-20
    found = sum(np.sum(g * d) for g, d in zip(*map(jax.tree.leaves, (gradients, direction)), strict=True))
    assert abs(found - expected) <= tolerance


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
def frozen_sampled():
    """With estimates of statistics: images of a shape, of one seed."""
    return jax.jit(net().sampled)


def test_mixture_and_its_gradients_are_those_of_the_plain_supernet():
    parameters, _, weights, images = problem()
    (_, values), gradients = quick_mixture()(parameters, weights)
    assert_close(values, plain(*doubles((parameters, None, weights, images))))
    assert_gradients_close(
        gradients, (parameters, weights), lambda at: plain_loss(plain(at[0], None, at[1], doubles(images))[0])
    )


def test_estimates_of_statistics_are_used_where_they_are_given():
    parameters, statistics, weights, images = problem()
    mixture = jax.jit(net().mixture)
    mixed = mixture(parameters, statistics, weights, images)
    assert_close(mixed, plain(*doubles((parameters, statistics, weights, images))))
    arch = COVERING[0].astype(np.int32)
    logits, used = frozen_sampled()(parameters, statistics, arch, images)
    assert_close(logits, mixture(parameters, statistics, np.eye(5, dtype=np.float32)[arch], images)[0])
    ran = arch[:, None] == np.array([2, 3])
    for mine, given in zip(used.cells, statistics.cells, strict=True):
        assert_close(mine, np.where(ran[None, :, :, None, None], given, 0))


def test_straight_through_is_the_plain_supernet_with_numbers_for_what_is_not_sampled():
    parameters, _, weights, images = problem()
    quick = value_and_gradients(lambda p, w, arch: net().straight_through(p, None, w, arch, images))
    for number, choices in enumerate(COVERING):
        arch, one_hot = choices.astype(np.int32), np.eye(5, dtype=np.float32)[choices]
        used_weights = weights if number == 0 else one_hot
        (_, (logits, used)), gradients = quick(parameters, used_weights, arch)

        def slow(at, done=one_hot == 1):
            return plain(at[0], None, at[1], doubles(images), done)

        plain_logits, plain_used = slow(doubles((parameters, used_weights)))
        assert_close(logits, plain_logits)
        assert_gradients_close(gradients, (parameters, used_weights), lambda at, slow=slow: plain_loss(slow(at)[0]))
        ran = (arch[:, None] == np.array([2, 3]))[None, :, :, None, None]
        assert_close(used.cells, tuple(np.where(ran, each, 0) for each in plain_used.cells))
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
    for choices in COVERING.astype(np.int32):
        found, expected = (each(parameters, weights, choices) for each in (last, quick_sampled()))
        assert_close(found[0][1], expected[0][1])
        assert_close(found[1][0], expected[1][0], 1e-3)
    mixture = value_and_gradients(lambda p, w: net().mixture(p, None, w, images))
    assert_close(mixture(parameters, weights)[1], quick_mixture()(parameters, weights)[1], 1e-3)


@pytest.mark.parametrize("choices", COVERING[:3])
def test_a_one_hot_mixture_is_the_sampled_architecture(choices):
    parameters = problem()[0]
    arch, one_hot = choices.astype(np.int32), np.eye(5, dtype=np.float32)[choices]
    (_, (logits, _)), gradients = quick_mixture()(parameters, one_hot)
    (_, (sampled_logits, _)), sampled_gradients = quick_sampled()(parameters, one_hot, arch)
    assert_close(logits, sampled_logits)
    assert_close(sampled_gradients[0], gradients[0], 1e-3)
    for kernels in sampled_gradients[0].cells:
        ran = np.any(np.asarray(kernels.one), (0, 2, 3)), np.any(np.asarray(kernels.three), (0, 2, 3))
        assert not np.any(ran[0] & (choices != 2))
        assert not np.any(ran[1] & (choices != 3))


def cell_problem(seed=0, channels=2):
    rng = np.random.default_rng(seed)
    one, three = rng.normal(size=(6, channels, channels)), rng.normal(size=(6, channels, 9 * channels)) / 3
    stem = rng.normal(size=(channels, 27)) / 5
    return *jax.tree.map(np.float32, (stem, Kernels(one, three))), shares(rng), batch(rng, 3)


def test_gradients_of_the_mixture_have_forward_derivatives():
    stem, kernels, weights, images = cell_problem()
    rng = np.random.default_rng(9)
    target = rng.normal(size=(2, 8, 8, BATCH)).astype(np.float32)
    directions = jax.tree.map(lambda each: np.cos(np.arange(each.size)).reshape(each.shape), (stem, kernels))

    def quick(stem, kernels, weights):
        start, _ = normalize_batch(convolution_3x3(images.transpose(3, 1, 2, 0), stem), None, 1e-5)
        return jnp.sum(jnp.tanh(mixture_cell(start, kernels, None, weights, 1e-5, MANY_KERNELS)[0]) * target)

    def slow(along, weights):
        """At the parameters, and an imaginary step along the directions: its derivative is the imaginary part."""
        moved = jax.tree.map(lambda each, d: each + 1j * along * d, (stem, kernels), directions)
        start, _ = plain_normalize(plain_convolution(images.astype(np.float64), moved[0]), None)
        out = plain_cell(start, moved[1], None, weights)[0]
        return np.sum(np.tanh(out.transpose(3, 1, 2, 0)) * target)

    @jax.jit
    def second(stem, kernels, weights):
        """As DARTS needs it: the gradient in the weights moves with the parameters, those before the cell too."""
        moves = jax.tree.map(lambda each: each.astype(np.float32), directions)
        return jax.jvp(lambda s, k: jax.grad(quick, 2)(s, k, weights), (stem, kernels), moves)

    found = doubles(second(stem, kernels, weights))
    for _ in range(6):
        direction = rng.normal(size=(6, 5))
        up, down = (slow(1e-20, weights + step * direction) for step in (1e-7, -1e-7))
        expected = (up - down) / 2e-7
        for each, value in zip(found, (expected.real, expected.imag / 1e-20), strict=True):
            assert abs(np.sum(each * direction) - value) <= 1e-3 * np.linalg.norm(each)
    assert np.min(np.abs(found[1][:, 1:])) > 0


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


@pytest.mark.parametrize("form", [mixture_form(), dispatch_form()], ids=lambda form: form.name)
def test_seeds_under_vmap_are_those_of_a_loop(form):
    """Gradients of a sampled cell for three seeds, where the number of operations differs from seed to seed."""
    images = np.random.default_rng(1).normal(size=(3, 2, 8, 8, BATCH)).astype(np.float32)
    kernels = jax.tree.map(lambda *each: np.stack(each), *[cell_problem(seed)[1] for seed in range(3)])
    archs, weights = COVERING[[0, 1, 4]].astype(np.int32), shares(np.random.default_rng(3))
    stage = make_sampled_stage(form, 1e-5, MANY_KERNELS)

    def loss(kernels, images, weights, arch):
        return jnp.sum(jnp.sin(stage(images, jax.tree.map(lambda each: each[None], kernels), None, arch, weights)[0]))

    def gradients(kernels, images, arch):
        return jax.grad(loss, (0, 1, 2))(kernels, images, weights, arch)

    found = jax.jit(over_members(gradients, form.name))(kernels, images, archs)
    for seed, arch in enumerate(archs):
        at, own = jax.tree.map(lambda each, seed=seed: each[seed], ((kernels, images), found))

        def slow(at, arch=arch):
            done = np.eye(5, dtype=bool)[arch]
            return np.sum(np.sin(plain_cell(at[1].transpose(3, 1, 2, 0), at[0], None, at[2], done)[0]))

        assert_gradients_close(own, (*at, weights), slow)


def test_gradients_past_frozen_batch_norm_where_batches_are_sorted():
    arch = COVERING[0].astype(np.int32)
    with stages(1):
        supernet = nasbench201_supernet(**SIZES, form=dispatch_form())

        def total(parameters, statistics, images):
            return jnp.sum(supernet.sampled(parameters, statistics, arch, images)[0])

        parameters, statistics = jax.eval_shape(supernet.init, jax.random.key(0))
        gradients = jax.eval_shape(jax.grad(total, (0, 1, 2)), parameters, statistics, problem()[-1][:2])
    assert jax.tree.map(jnp.shape, gradients[0]) == jax.tree.map(jnp.shape, parameters)


def test_over_seeds_gives_what_each_seed_gives():
    parameters, statistics, _, images = jax.tree.map(jnp.asarray, problem())
    archs = COVERING[:2].astype(np.int32)

    def sampled(supernet):
        return lambda arch, scale: supernet.sampled(parameters, statistics, arch, scale * images)[0]

    scales = np.array([1.0, 0.5], np.float32)
    looped = jax.jit(over_seeds(sampled(net()), net()))(archs, scales)
    assert_close(looped[1], frozen_sampled()(parameters, statistics, archs[1], 0.5 * images)[0])
    together = jax.jit(over_seeds(sampled(net("dispatch")), net("dispatch")))(archs, scales)
    assert_close(together, looped)


def test_running_estimates_move_only_for_what_ran():
    _, statistics, _, _ = problem()
    arch = np.array([2, 3, 0, 1, 4, 2])
    used = jax.tree.map(lambda each: np.full_like(each, 3.0), statistics)

    @jax.jit
    def move(statistics, used):
        running = functools.partial(net().running, statistics, used, 0.9, (BATCH, 8, 8, 3))
        return running(arch), running()

    after, everything = move(statistics, used)
    for stage, (old, new) in enumerate(zip(statistics.cells, after.cells, strict=True)):
        count = BATCH * 64 / 4**stage
        moved = 0.9 * old + 0.1 * 3.0 * np.array([1, count / (count - 1)])[None, None, None, :, None]
        ran = np.zeros((6, 2), bool)
        ran[[0, 1, 5], [0, 1, 0]] = True
        np.testing.assert_allclose(new, np.where(ran[None, :, :, None, None], moved, old), rtol=1e-6)
    np.testing.assert_allclose(after.head[0], 0.9 * statistics.head[0] + 0.3, rtol=1e-6)
    np.testing.assert_allclose(after.stem[1], 0.9 * statistics.stem[1] + 0.3 * 4096 / 4095, rtol=1e-6)
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
