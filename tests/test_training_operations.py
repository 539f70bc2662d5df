"""Operations, their gradients, and the forms in which one of them is chosen, against plain definitions in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jnas.training.networks.nasbench201._edge import EdgeParameters, make_edge
from jnas.training.operations._convolutions import (
    average_pool_2x2,
    average_pool_3x3,
    average_pool_3x3_transposed,
    batch_norm,
    check_convolution,
    convolve_3x3,
    convolve_3x3_halving,
    patches,
)
from jnas.training.operations._forms import capacities_of, dispatch_form, mixture_form, static_form, switch_form
from jnas.training.operations._layouts import CHANNELS_LAST, MANY_KERNELS, batch_last_layout, fastest_layout

SIZES = [(3, 5, 6, 4, 3), (4, 2, 8, 12, 1), (2, 3, 1, 5, 2)]  # C, C', H, W, B
NUM_OPERATIONS, NUM_EDGES = 5, 6
EPSILON = 1e-3


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def assert_same(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def plain_convolution(images, kernel, size=3, stride=1):
    """XLA's convolution of NHWC images; the layout of kernels is said in words in the operations' own docstring."""
    channels = images.shape[0]
    weights = jnp.stack(
        [
            jnp.stack([kernel[:, (i * size + j) * channels : (i * size + j + 1) * channels].T for j in range(size)])
            for i in range(size)
        ]
    )
    border = (size // 2, size // 2)
    out = lax.conv_general_dilated(
        images.transpose(3, 1, 2, 0),
        weights,
        (stride, stride),
        (border, border),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return out.transpose(3, 1, 2, 0)


def plain_pool(images):
    window, padding = (1, 3, 3, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    add = functools.partial(lax.reduce_window, init_value=0.0, computation=lax.add, window_dimensions=window)
    total, count = (add(x, window_strides=(1, 1, 1, 1), padding=padding) for x in (images, jnp.ones_like(images)))
    return total / count


def plain_batch_norm(images, scale, shift, statistics=None):
    mean, variance = statistics if statistics is not None else (images.mean((1, 2, 3)), images.var((1, 2, 3)))
    each = [jnp.reshape(x, (-1, 1, 1, 1)) for x in (mean, variance, scale, shift)]
    return (images - each[0]) / jnp.sqrt(each[1] + EPSILON) * each[2] + each[3]


def assert_same_gradients(function, plain, *arguments):
    """Compares results, and the gradients of every argument against a random direction."""

    @jax.jit
    def both(direction, *arguments):
        expected, transpose = jax.vjp(plain, *arguments)
        found, own_transpose = jax.vjp(function, *arguments)
        return (found, own_transpose(direction)), (expected, transpose(direction))

    direction = numbers(99, *jax.eval_shape(plain, *arguments).shape)
    jax.tree.map(assert_same, *both(direction, *arguments))


def channels_last(function):
    """A function of images in that order as one of `[C, H, W, B]`."""
    return lambda images, *rest: function(images.transpose(3, 1, 2, 0), *rest).transpose(3, 1, 2, 0)


@pytest.mark.parametrize(("inputs", "outputs", "height", "width", "batch"), SIZES)
class TestConvolution:
    @pytest.mark.parametrize("layout", [batch_last_layout("patches"), batch_last_layout("native"), None])
    def test_3x3(self, layout, inputs, outputs, height, width, batch):
        assert_same_gradients(
            layout.convolve_3x3 if layout else channels_last(CHANNELS_LAST.convolve_3x3),
            plain_convolution,
            numbers(0, inputs, height, width, batch),
            numbers(1, outputs, 9 * inputs),
        )

    @pytest.mark.parametrize("halving", [convolve_3x3_halving, channels_last(CHANNELS_LAST.convolve_3x3_halving)])
    def test_halving(self, halving, inputs, outputs, height, width, batch):
        assert_same_gradients(
            halving,
            functools.partial(plain_convolution, stride=2),
            numbers(0, inputs, 2 * height, 2 * width, batch),
            numbers(1, outputs, 9 * inputs),
        )

    @pytest.mark.parametrize("layout", [MANY_KERNELS, CHANNELS_LAST], ids=["batch last", "channels last"])
    def test_1x1(self, layout, inputs, outputs, height, width, batch):
        in_order = channels_last if layout is CHANNELS_LAST else lambda function: function
        arguments = numbers(0, inputs, height, width, batch), numbers(1, outputs, inputs)
        assert_same_gradients(in_order(layout.convolve_1x1), functools.partial(plain_convolution, size=1), *arguments)
        images, gradient = layout.enter(arguments[0].transpose(3, 1, 2, 0)), numbers(2, outputs, height, width, batch)
        gradient = layout.enter(gradient.transpose(3, 1, 2, 0))
        expected = jax.vjp(layout.convolve_1x1, images, arguments[1])[1](gradient)
        jax.tree.map(assert_same, layout.backward_1x1(images, arguments[1], gradient), expected)


@pytest.mark.parametrize(("channels", "unused", "height", "width", "batch"), SIZES)
class TestPoolingAndNormalization:
    def test_average_of_neighbours_within_the_image(self, channels, unused, height, width, batch):
        images = numbers(0, channels, height, width, batch)
        assert_same_gradients(average_pool_3x3, plain_pool, images)
        transpose = jax.linear_transpose(plain_pool, jax.ShapeDtypeStruct(images.shape, jnp.float64))
        assert_same(average_pool_3x3_transposed(images), transpose(images)[0])

    def test_halving_average(self, channels, unused, height, width, batch):
        images = numbers(0, channels, 2 * height, 2 * width, batch)
        blocks = images.reshape(channels, height, 2, width, 2, batch)
        assert_same(average_pool_2x2(images), blocks.mean((2, 4)))

    def test_batch_norm(self, channels, unused, height, width, batch):
        images, scale, shift = numbers(0, channels, height, width, batch), numbers(1, channels), numbers(2, channels)
        out, used = batch_norm(images, scale, shift, None, EPSILON)
        assert_same(out, plain_batch_norm(images, scale, shift))
        assert_same(used, np.stack([images.mean((1, 2, 3)), images.var((1, 2, 3))]))
        given = np.abs(numbers(3, 2, channels))
        out, used = batch_norm(images, scale, shift, given, EPSILON)
        assert_same(out, plain_batch_norm(images, scale, shift, given))
        assert_same(used, given)


def test_patches_are_the_taps_row_by_row():
    images = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    shifted = np.asarray(patches(images)).reshape(9, 3, 3)
    np.testing.assert_array_equal(shifted[0], [[0, 0, 0], [0, 1, 2], [0, 4, 5]])  # the neighbour above and to the left
    np.testing.assert_array_equal(shifted[4], images[0, :, :, 0])
    np.testing.assert_array_equal(shifted[5], [[2, 3, 0], [5, 6, 0], [8, 9, 0]])  # the neighbour to the right


def test_pooling_by_hand():
    pooled = average_pool_3x3(jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1))
    np.testing.assert_allclose(pooled[0, :, :, 0], [[3, 3.5, 4], [4.5, 5, 5.5], [6, 6.5, 7]])


@pytest.mark.parametrize(("size", "native"), [(32, True), (8, False)])
def test_auto_takes_patches_where_they_are_small(size, native):
    arguments = (jnp.zeros((16, size, size, 64), jnp.float32), jnp.zeros((16, 144), jnp.float32))
    program = str(jax.make_jaxpr(jax.grad(lambda *each: jnp.sum(convolve_3x3(*each))))(*arguments))
    assert ("conv_general_dilated" in program) == native


def test_unknown_convolutions_are_refused():
    with pytest.raises(ValueError, match="convolution is 'winograd', expected one of 'auto', 'patches', 'native'"):
        check_convolution("winograd")


def plain_edge(choice, images, parameters, statistics=None):
    """The operations of the space in its own order, said plainly and differentiated by JAX."""
    kernel, scale, shift = parameters
    channels = images.shape[0]
    if choice in (2, 3):
        size, kernel = (3, kernel) if choice == 3 else (1, kernel[:, 4 * channels : 5 * channels])
        convolved = plain_convolution(jax.nn.relu(images), kernel, size)
        return plain_batch_norm(convolved, scale, shift, statistics)
    return {0: jnp.zeros_like, 1: lambda x: x, 4: plain_pool}[choice](images)


def edge_case(*lead, channels=2, height=4, width=6, batch=2):
    shapes = (channels, 9 * channels), (channels,), (channels,)
    images = numbers(0, *lead[:1], channels, height, width, batch)
    return images, EdgeParameters(*(numbers(1 + n, *lead, *shape) for n, shape in enumerate(shapes)))


def with_gradients(function, images, parameters, direction):
    out, transpose = jax.vjp(function, images, parameters)
    return out, *transpose(direction)


def test_channels_are_last_on_cpus_where_images_are_large(monkeypatch):
    large, small = (jnp.zeros((64, size, size, 3), jnp.float32) for size in (32, 8))
    other = batch_last_layout("auto")
    assert fastest_layout(large, 16, "switch", other) is CHANNELS_LAST
    assert fastest_layout(large, 4, "switch", other) is other
    assert fastest_layout(large, 16, "mixture", other) is fastest_layout(small, 16, "switch", other) is other
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert fastest_layout(large, 16, "switch", other) is other


@pytest.mark.parametrize(("layout", "given"), [("native", False), ("patches", True), ("channels last", False)])
def test_an_edge_is_the_operation_of_its_choice(layout, given):
    images, parameters = edge_case()
    statistics = np.abs(numbers(4, 2, 2)) if given else None
    direction = numbers(5, *images.shape)
    is_last = layout == "channels last"
    edge = make_edge(switch_form(), EPSILON, CHANNELS_LAST if is_last else batch_last_layout(layout))

    @jax.jit
    def run(choice):
        def out(images, parameters):
            once = lambda images: edge(0, choice, images, parameters, statistics)[0]  # noqa: E731
            return (channels_last(once) if is_last else once)(images)

        used = edge(0, choice, images.transpose(3, 1, 2, 0) if is_last else images, parameters, statistics)[1]
        return with_gradients(out, images, parameters, direction), used

    for choice in range(NUM_OPERATIONS):
        plain = functools.partial(plain_edge, choice, statistics=statistics)
        found, used = run(choice)
        jax.tree.map(assert_same, found, with_gradients(plain, images, parameters, direction))
        assert_same(used, plain_statistics(choice, images, parameters.kernel, statistics))


@pytest.mark.parametrize("form", [mixture_form(), dispatch_form(), static_form(range(5))], ids=lambda form: form.name)
def test_gradients_past_frozen_statistics(form):
    """Saliency and fine-tuning need them, in a batch of candidates as for one; a branch is looked at above."""
    images, parameters = edge_case()
    statistics, direction = np.abs(numbers(4, 2, 2)), numbers(5, *images.shape)
    edge = make_edge(form, EPSILON, batch_last_layout("patches"))

    def run(choice, decision=0):
        sums = lambda images, parameters: edge(decision, choice, images, parameters, statistics)[0]  # noqa: E731
        return with_gradients(sums, images, parameters, direction)

    choices = (2, 3) if form.name == "static" else range(NUM_OPERATIONS)
    alone = jax.jit(run, static_argnums=1)
    together = jax.jit(jax.vmap(run))(jnp.arange(NUM_OPERATIONS)) if form.name == "dispatch" else None
    for choice in choices:
        plain = functools.partial(plain_edge, choice, statistics=statistics)
        expected = with_gradients(plain, images, parameters, direction)
        jax.tree.map(assert_same, alone(choice, choice if form.name == "static" else 0), expected)
        if together is not None:
            jax.tree.map(lambda found, each, n=choice: assert_same(found[n], each), together, expected)


def plain_statistics(choice, images, kernel, given):
    """What batch-norm uses; zeros where an operation has none."""
    if choice not in (2, 3):
        return np.zeros((2, len(images)))
    if given is not None:
        return given
    size, kernel = (3, kernel) if choice == 3 else (1, kernel[:, 4 * len(images) : 5 * len(images)])
    convolved = plain_convolution(jax.nn.relu(images), kernel, size)
    return np.stack([convolved.mean((1, 2, 3)), convolved.var((1, 2, 3))])


ARCHS = (np.arange(5)[:, None] + np.array([0, 3, 1, 4, 2, 2])) % 5  # every operation once on every edge
BALANCED = capacities_of(ARCHS, (NUM_OPERATIONS,) * NUM_EDGES, len(ARCHS))


def all_edges(edge, arch, parts, images, parameters):
    """A sum over the six edges with different weights, so that no edge can stand for another."""
    outs = [edge(n, arch[n], images, EdgeParameters(*(x[n] for x in parameters))) for n in range(NUM_EDGES)]
    return sum(part * out for part, out in zip(parts, outs, strict=True))


def plain_members(archs):
    images, parameters = edge_case(len(archs), NUM_EDGES)
    direction, parts = numbers(5, *images.shape), numbers(6, NUM_EDGES)
    members = []
    for number, arch in enumerate(archs):
        one = EdgeParameters(*(x[number] for x in parameters))
        sums = functools.partial(all_edges, lambda n, *rest: plain_edge(*rest), arch, parts)
        members.append(with_gradients(sums, images[number], one, direction[number]))
    return jax.tree.map(lambda *each: np.stack(each), *members)


def members(form, archs, batched):
    """Results and gradients of a batch of candidates in a form, all in one program."""
    images, parameters = edge_case(len(archs), NUM_EDGES)
    direction, parts = numbers(5, *images.shape), numbers(6, NUM_EDGES)
    edge = make_edge(form, EPSILON, batch_last_layout("patches"))

    def run(arch, images, parameters, direction):
        sums = functools.partial(all_edges, lambda *each: edge(*each, None)[0], arch, parts)
        return with_gradients(sums, images, parameters, direction)

    return jax.jit(batched(run))(jnp.asarray(archs), images, parameters, direction)


def looped(function):
    return lambda *arguments: lax.map(lambda each: function(*each), arguments)


@pytest.mark.parametrize(
    ("form", "batched"),
    [(switch_form(), looped), (mixture_form(), jax.vmap), (dispatch_form(BALANCED), jax.vmap)],
    ids=["switch", "mixture", "dispatch"],
)
def test_forms_agree_for_every_operation_on_every_edge(form, batched):
    jax.tree.map(assert_same, members(form, ARCHS, batched), plain_members(ARCHS))


def test_the_static_form_has_the_operations_of_one_architecture():
    expected = plain_members(ARCHS)
    for number in (0, 2):
        images, parameters = edge_case(len(ARCHS), NUM_EDGES)
        direction, parts = numbers(5, *images.shape), numbers(6, NUM_EDGES)
        edge = make_edge(static_form(ARCHS[number]), EPSILON, batch_last_layout("patches"))
        sums = functools.partial(all_edges, lambda *each, edge=edge: edge(*each, None)[0], ARCHS[number], parts)
        one = EdgeParameters(*(x[number] for x in parameters))
        run = jax.jit(functools.partial(with_gradients, sums))
        found = run(images[number], one, direction[number])
        jax.tree.map(lambda a, b, n=number: assert_same(a, b[n]), found, expected)
    program = str(
        jax.make_jaxpr(
            lambda x: make_edge(static_form([1] * 6), EPSILON, batch_last_layout("patches"))(0, 1, x, one, None)
        )(images[0])
    )
    assert "dot_general" not in program


def test_capacities_are_the_largest_counts_of_a_batch():
    assert capacities_of(ARCHS, (5,) * 6, 5) == ((1,) * 5,) * 6
    assert capacities_of(ARCHS, (5,) * 6, 1) == ((1,) * 5,) * 6
    assert capacities_of(np.array([[0], [0], [1], [0], [2]]), (3,), 3) == ((2, 1, 1),)
    assert capacities_of(np.array([[0], [0], [1], [0], [2]]), (4,), 5) == ((3, 1, 1, 0),)


def test_dispatch_with_the_room_that_a_batch_needs_and_with_less():
    """Operations that nobody chose may have no room at all; gradients are chosen in the same way, by the edge."""
    operations = [lambda x, y: (x * y, x[0]), lambda x, y: (jnp.sin(x) + y, x[1]), lambda x, y: (y**3, x[2])]
    choices = jnp.asarray([2, 0, 2, 2, 0])
    x, y = numbers(0, 5, 3), numbers(1, 3)

    def run(room):
        form = dispatch_form(room)
        return jax.jit(jax.vmap(lambda x, choice: form.choose(1, operations, choice, x, y)))(x, choices)

    expected = [operations[choice](x[n], y) for n, choice in enumerate([2, 0, 2, 2, 0])]
    expected = jax.tree.map(lambda *rows: np.stack(rows), *expected)
    for room in ((2, 0, 3), (4, 1, 3)):
        jax.tree.map(assert_same, run(((0, 0, 0), room)), expected)
    jax.tree.map(assert_same, run(None), expected)
    for room in ((1, 0, 3), (2, 0, 2), (2, 1, 0)):
        assert all(np.all(np.isnan(part)) for part in run(((5, 5, 5), room))), room
