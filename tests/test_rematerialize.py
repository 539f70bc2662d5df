"""Cells that are computed again for gradients: the same numbers, by a program that takes less memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.commands._cli import _make_parser
from jnas.core._program_memory import program_bytes
from jnas.core._vocabulary import decisions_of
from jnas.training import Jobs, dataset_from_arrays, describe, get_recipe, make_network, make_supernet
from jnas.training.networks.nasbench101._supernet import nasbench101_supernet
from jnas.training.networks.nasbench201._mixture_cell import mixture_cell
from jnas.training.networks.nasbench201._network import nasbench201_network
from jnas.training.networks.nasbench201._supernet import cell_by_cell, nasbench201_supernet
from jnas.training.operations._forms import dispatch_form, static_form
from jnas.training.operations._layouts import MANY_KERNELS
from jnas.training.operations._many_kernels import Kernels
from tests._fewer_stages import stacks, stages

SIZES = {"image_shape": (8, 8, 3), "num_classes": 4, "channels": 2}
ARCHS = jnp.asarray([[3, 2, 1, 4, 3, 0], [2, 3, 3, 1, 0, 4]])
IMAGES = np.random.default_rng(1).normal(size=(32, 8, 8, 3)).astype(np.float32)
LABELS = np.arange(32) % 4
WEIGHTS = np.random.default_rng(2).dirichlet(np.ones(5), 6).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_stage():
    """A third to compile: cells are computed again, and nothing between stages."""
    with stages(1), stacks(1):
        yield


def cross_entropy(logits):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), LABELS[:, None], 1))


def both(make, init, function):
    """What a function of networks and parameters gives, and the bytes of its program, without and with."""
    found = []
    for rematerialize in (False, True):
        net = make(rematerialize=rematerialize)
        assert net.rematerialize == rematerialize
        parameters = init(net)
        compiled = jax.jit(functools.partial(function, net)).lower(parameters).compile()
        found.append((compiled(parameters), program_bytes(compiled)))
    return found


def same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(a).max())
    assert any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(one))


def mixed(cells, rematerialize):
    """The loss of a stage of cells of mixed operations, as a function of kernels and weights."""
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 32))

    def stage(images, kernels, given):
        def cell(images, own):
            return mixture_cell(images, own[0], own[1], WEIGHTS, 1e-5, MANY_KERNELS)

        return jax.lax.scan(cell, images, (kernels, given))

    run = cell_by_cell(stage) if rematerialize else stage
    shapes = Kernels((cells, 6, 2, 2), (cells, 6, 2, 18))
    kernels = jax.tree.map(
        lambda shape: jax.random.normal(jax.random.key(3), shape), shapes, is_leaf=lambda each: type(each) is tuple
    )
    return (lambda kernels: jnp.sum(jnp.sin(run(images, kernels, None)[0]))), kernels


def test_a_deep_stage_takes_less_memory_to_the_same_gradients():
    found = []
    for rematerialize in (False, True):
        loss, kernels = mixed(12, rematerialize)
        compiled = jax.jit(jax.grad(loss)).lower(kernels).compile()
        found.append((compiled(kernels), program_bytes(compiled)))
    (one, large), (other, small) = found
    same(one, other)
    assert small < 0.5 * large


def test_the_second_order_of_darts_goes_through_cells_that_are_computed_again():
    """A gradient's derivative along one of the parameters, as `unrolled_gradient` takes it."""

    def derivatives(loss, kernels):
        along = jax.tree.map(lambda x: jnp.cos(jnp.arange(x.size, dtype=jnp.float32)).reshape(x.shape), kernels)
        gradients, derivative = jax.linearize(jax.grad(loss), kernels)
        return gradients, derivative(along)

    one, other = (
        jax.jit(functools.partial(derivatives, loss))(kernels) for loss, kernels in map(mixed, (1, 1), (0, 1))
    )
    same(one, other)


@pytest.mark.parametrize("make", [nasbench201_supernet, functools.partial(nasbench101_supernet, max_vertices=3)])
@pytest.mark.parametrize("mode", ["mixture", "sampled"])
def test_supernets_compute_their_cells_again(make, mode):
    for rematerialize in (False, True):
        net = make(**SIZES | {"channels": 4}, cells=1, rematerialize=rematerialize)
        parameters, _ = jax.eval_shape(net.init, jax.random.key(0))
        decisions = decisions_of(net)
        shape, dtype = (decisions.shape, jnp.float32) if mode == "mixture" else (decisions.shape[:1], jnp.int32)

        def loss(parameters, choice, net=net):
            return cross_entropy(getattr(net, mode)(parameters, None, choice, IMAGES)[0])

        # What a gradient will compute again stands in the program of the loss; the gradient's is four times as long.
        program = str(jax.make_jaxpr(loss)(parameters, jax.ShapeDtypeStruct(shape, dtype)))
        assert (" checkpoint[" in program or " remat" in program) == rematerialize


def test_a_deep_network_takes_less_memory_to_the_same_gradients():
    make = functools.partial(nasbench201_network, **SIZES, cells=4, form=static_form(ARCHS[0].tolist()))

    def gradient(net, parameters):
        return jax.grad(lambda p: cross_entropy(net.apply(p, None, ARCHS[0], IMAGES)[0]))(parameters)

    def init(net):
        return jax.jit(net.init)(jax.random.key(0), ARCHS[0])[0]

    (one, large), (other, small) = both(make, init, gradient)
    same(one, other)
    assert small < 0.7 * large


@pytest.mark.slow
def test_sorted_batches_are_computed_again():
    make = functools.partial(nasbench201_network, **SIZES, cells=1, form=dispatch_form(), convolution="patches")

    def init(net):
        return jax.vmap(lambda key, arch: net.init(key, arch)[0])(jax.random.split(jax.random.key(0)), ARCHS)

    def gradients(net, parameters):
        def one(parameters, arch):
            return jax.grad(lambda p: cross_entropy(net.apply(p, None, arch, IMAGES)[0]))(parameters)

        return jax.vmap(one)(parameters, ARCHS)

    (one, _), (other, _) = both(make, init, gradients)
    same(one, other)


def test_folders_tell_it_where_it_is_asked_for_alone():
    images = np.zeros((12, 8, 8, 1), np.uint8)
    dataset = dataset_from_arrays(images, np.arange(12) % 3, name="zeros", splits={"validation": 0.3})
    recipe, jobs = get_recipe("small-12"), Jobs(np.asarray(ARCHS, np.int32), np.arange(2))
    for space in ("nasbench201", "nasbench101"):
        network = make_network(dataset, recipe, space=space, rematerialize=True)
        assert describe(jobs, dataset, recipe, network)["rematerialize"] is True
    assert "rematerialize" not in describe(jobs, dataset, recipe, make_network(dataset, recipe))
    assert make_supernet(dataset, channels=2, cells=1, rematerialize=True).rematerialize


@pytest.mark.parametrize("words", [["train", "3"], ["table", "build", "-o", "t.npz"], ["supernet", "gdas"]])
def test_what_to_do_where_memory_is_full_names_it(words):
    options = _make_parser().parse_args([*words, "--rematerialize"])
    assert options.rematerialize
    assert "or give --rematerialize" in options.lighter
