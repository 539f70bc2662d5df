"""The search network of the DARTS space against plain sums over edges, and what it derives."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import decisions_of
from jnas.searchers.weight_sharing._controller import ControllerSettings
from jnas.searchers.weight_sharing._fairnas import fair_archs
from jnas.searchers.weight_sharing._predecessor_controller import PredecessorSettings
from jnas.searchers.weight_sharing._samplers import make_sampler
from jnas.searchers.weight_sharing._shared_weights import as_architecture
from jnas.spaces import darts, from_config
from jnas.spaces.darts._cells import EDGES
from jnas.spaces.darts._edge_choices import architecture_of, edge_choices, edge_space, likeliest_cells
from jnas.studies.supernets import _report, _summary
from jnas.training.networks._families import make_supernet
from jnas.training.networks.darts._edge import NOISE
from jnas.training.networks.darts._search_cell import EVERY, Control, SearchEdges, search_edges
from jnas.training.networks.darts._supernet import darts_supernet
from jnas.training.operations._noise import noise, noise_seeds

WIDTH = 2


def edge_weights(rng, reduction):
    shapes = [(14, 3, WIDTH, 3, 3), (14, 3, WIDTH, 5, 5), (14, 6, WIDTH, WIDTH)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    return SearchEdges(*arrays, rng.normal(size=(8, WIDTH, WIDTH)) if reduction else None)


@pytest.mark.parametrize(
    ("kind", "stride", "computed"), [("mixture", 1, EVERY), ("straight_through", 2, EVERY), ("mixture", 2, (3, NOISE))]
)
def test_gradients_of_loops_over_edges(kind, stride, computed):
    """In float64, along a direction in which all arguments change at once."""
    rng = np.random.default_rng(stride)
    with jax.enable_x64(True):
        inputs = tuple(rng.normal(size=(2, WIDTH, 4, 4, 2)))
        parameters = edge_weights(rng, stride == 2)
        choice = None if kind == "mixture" else (np.arange(14) % 7).astype(np.int32)
        seed = np.arange(14, dtype=np.uint32) if NOISE in computed else None

        def loss(weights, inputs, parameters):
            control = Control(weights, choice, seed)
            nodes, _ = search_edges(kind, stride, 1e-5, control, inputs, parameters, None, computed)
            return jnp.sum(jnp.sin(nodes))

        measured = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
        arguments = (rng.uniform(0.1, 0.5, (14, 8 if seed is None else 9)), inputs, parameters)
        along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), arguments)
        _, gradients = measured(*arguments)
        moved = [jax.tree.map(lambda a, b, h=h: a + h * b, arguments, along) for h in (1e-6, -1e-6)]
        up, down = (measured(*each)[0] for each in moved)
        slope = sum(float(jnp.sum(a * b)) for a, b in zip(*map(jax.tree.leaves, (gradients, along)), strict=True))
        np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-6)


def test_has_the_published_parameters():
    for channels, cells, count in ((16, 8, 1_930_618), (4, 5, 136_182)):
        net = darts_supernet(image_shape=(32, 32, 3), num_classes=10, channels=channels, cells=cells)
        parameters, _ = jax.eval_shape(net.init, jax.random.key(0))
        assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == count


def test_architectures_of_edges_are_those_of_the_space():
    space = edge_space()
    archs = jax.jit(jax.vmap(space.sample))(jax.random.split(jax.random.key(0), 50))
    assert jax.jit(jax.vmap(space.is_valid))(archs).all()
    back = jax.jit(jax.vmap(lambda arch: edge_choices(architecture_of(arch))))(archs)
    np.testing.assert_array_equal(back, archs)
    np.testing.assert_array_equal(space.from_string(space.to_string(archs[0])), archs[0])
    chosen = jnp.where(jax.nn.one_hot(archs, 8, dtype=bool), 0.0, -jnp.inf)
    np.testing.assert_array_equal(jax.jit(jax.vmap(likeliest_cells))(chosen), archs)


def test_derives_as_published():
    """Two edges a node, by the largest share other than that of `none`; the operation is the likeliest but `none`."""
    logits = np.random.default_rng(0).normal(size=(28, 8)).astype(np.float32)
    found = np.asarray(likeliest_cells(jnp.asarray(logits))).reshape(2, 14)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    best, operations = shares[:, :7].max(1).reshape(2, 14), shares[:, :7].argmax(1).reshape(2, 14)
    for cell in range(2):
        for node in range(4):
            into = [number for number, (_, target) in enumerate(EDGES) if target == node]
            kept = sorted(into, key=lambda number: -best[cell, number])[:2]
            assert [found[cell, n] for n in into] == [operations[cell, n] if n in kept else 7 for n in into]


def test_the_mixture_is_differentiable_twice():
    """In weights and shares, as second-order DARTS and the Hessian need; one reduction cell has all loops."""
    net = darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=1, cells=1)
    parameters, _ = jax.eval_shape(net.init, jax.random.key(0))

    def loss(*each):
        return jnp.sum(net.mixture(each[0], None, each[1], jnp.ones((2, 4, 4, 1)))[0])

    # Lowered, since what has no forward mode is found out no earlier.
    jax.jit(lambda *each: jax.jvp(jax.grad(loss, (0, 1)), each, each)).lower(parameters, jnp.zeros((28, 8)))


def test_candidates_are_cells():
    """Two edges a node of what is compared or trained together; draws of all edges have any of them."""
    net, space = darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=1, cells=1), edge_space()
    decisions = decisions_of(net)

    @jax.jit
    def draw(key):
        keys = jax.random.split(key, 3)
        arch = space.sample(keys[0])
        draws = jax.random.randint(keys[1], (300, 28), 0, 8)
        return arch, fair_archs(keys[2], net, arch), jax.vmap(lambda each: as_architecture(net, each))(draws)

    arch, fair, mended = map(np.asarray, draw(jax.random.key(0)))
    np.testing.assert_array_equal(fair == 7, np.broadcast_to(arch == 7, (7, 28)))
    assert np.all(np.sort(fair[:, arch != 7], 0) == np.arange(7)[:, None])
    into_last = (mended.reshape(300, 2, 14)[:, :, 9:] != 7).reshape(600, 5)
    assert np.all(into_last.sum(1) == 2)
    assert into_last.mean(0).min() > 0.3  # 0.4 if all are as likely
    size, shares = decisions.uniform
    assert size == (49**4 * 1 * 3 * 6 * 10) ** 2
    np.testing.assert_allclose(shares.reshape(2, 14, 8)[:, 9:].sum((0, 1)), [4 / 7] * 7 + [6], rtol=1e-6)


def test_choices_of_nodes_are_the_architectures():
    """What ENAS and NAO decide, one after another: any choices are a cell, and each cell has one sequence."""
    net, space = darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=1, cells=1), edge_space()
    own = net.sequential
    counts = np.asarray(list(map(len, own.choices)))
    assert np.prod(counts.astype(float)) == pytest.approx(decisions_of(net).uniform[0])
    choices = (np.random.default_rng(0).integers(0, 2**31, (200, 24)) % counts).astype(np.int32)
    archs, back, valid = jax.jit(
        jax.vmap(lambda each: ((arch := own.to_arch(each)), own.of_arch(arch), space.is_valid(arch)))
    )(choices)
    assert valid.all()
    np.testing.assert_array_equal(back, choices)
    names = [own.choices[place][choice] for place, choice in enumerate(choices[0])]
    genotype = space.to_string(archs[0])
    last = genotype.partition("], normal_concat")[0].split("('")[-2:]
    inputs = [f"', {state})" for state in names[9].removeprefix("inputs ").split(" and ")]
    assert [words.rstrip(", ") for words in last] == [a + b for a, b in zip(names[10:12], inputs, strict=True)]


@pytest.mark.parametrize("name", ["s1", "s2", "s3", "s4"])
def test_sub_spaces_of_edges(name):
    """Choices are places among an edge's own operations; S3 mixes `none`, and what is derived is a cell of S2."""
    space, whole = edge_space(name), edge_space()
    assert from_config(space.config) is space
    archs, valid, moved = jax.jit(
        jax.vmap(lambda key: ((arch := space.sample(key)), space.is_valid(arch), space.mutate(key, arch)))
    )(jax.random.split(jax.random.key(0), 20))
    assert valid.all()
    assert np.asarray(jax.vmap(space.is_valid)(moved)).all()
    assert (np.asarray(archs) != moved).any()
    listed = darts(operations="s2" if name == "s3" else name)
    for arch in archs[:3]:
        text = space.to_string(arch)
        np.testing.assert_array_equal(space.from_string(text), arch)
        assert listed.is_valid(listed.from_string(text))
        found = {space.choices[edge][choice] for edge, choice in enumerate(arch.tolist())}
        if name != "s4":
            numbers = enumerate(whole.from_string(text).tolist())
            assert found == {whole.choices[edge][choice] for edge, choice in numbers}
    net = darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=1, cells=1, operations=name)
    decisions = decisions_of(net)
    assert (decisions.shape, decisions.counts.tolist()) == ((28, 3), [3 if name == "s3" else 2] * 28)
    own, sizes = net.sequential, np.asarray(list(map(len, net.sequential.choices)))
    assert np.prod(sizes.astype(float)) == pytest.approx(decisions.uniform[0])
    np.testing.assert_array_equal(jax.jit(jax.vmap(lambda arch: own.to_arch(own.of_arch(arch))))(archs), archs)
    logits = jnp.where(decisions.mask, np.random.default_rng(0).normal(size=(28, 3)), -jnp.inf)
    assert space.is_valid(net.discretize(logits))


@pytest.mark.parametrize("name", ["s3", "s4"])
def test_a_sub_space_has_operations_of_its_own(name):
    """Weights of 1 at an architecture's choices give what it gives, by the numbers of its edges' operations."""
    sizes = {"image_shape": (4, 4, 1), "num_classes": 2, "channels": 2, "cells": 1}
    net, arch = darts_supernet(**sizes, operations=name), edge_space(name).sample(jax.random.key(1))

    @jax.jit
    def look(images):
        parameters, _ = net.init(jax.random.key(0))
        weights = jax.nn.one_hot(arch, 3)
        return net.mixture(parameters, None, weights, images)[0], net.sampled(parameters, None, arch, images)[0]

    mixed, alone = look(jax.random.normal(jax.random.key(2), (4, 4, 4, 1)))
    np.testing.assert_allclose(mixed, alone, rtol=1e-4, atol=1e-5)
    assert np.ptp(np.asarray(alone)[:, 0]) > 0


def test_there_is_no_other_sub_space():
    sizes = {"image_shape": (4, 4, 1), "num_classes": 2, "channels": 2, "cells": 1}
    with pytest.raises(ValueError, match="operations is 's5'"):
        darts_supernet(**sizes, operations="s5")
    data = SimpleNamespace(name="few", image_shape=(4, 4, 1), num_classes=2)
    assert decisions_of(make_supernet(data, space="darts", operations="s1")).shape == (28, 3)
    with pytest.raises(ValueError, match=r"operations is 's5'.* expected one of 's1', 's2', 's3', 's4'"):
        make_supernet(data, space="darts", operations="s5")
    with pytest.raises(ValueError, match="which chooses a sub-space of darts, not of nasbench201"):
        make_supernet(data, operations="s2")


def test_noise_knows_nothing_of_its_input():
    """It is another one for each place and batch, and the same for the same batch."""

    @jax.jit
    def look(images):
        seeds = noise_seeds(images, (2, 3))
        turned = images.transpose(3, 1, 2, 0)
        return seeds, jax.vmap(lambda seed: noise(seed, turned, 2))(seeds.reshape(-1))

    images = np.random.default_rng(0).normal(size=(40, 16, 16, 3)).astype(np.float32)
    seeds, drawn = map(np.asarray, look(images))
    assert (seeds.shape, drawn.shape) == ((2, 3), (6, 3, 8, 8, 40))
    np.testing.assert_array_equal(look(images)[1], drawn)
    other_seeds, others = map(np.asarray, look(np.roll(images, 1, 0)))
    assert len({*seeds.flat, *other_seeds.flat}) == 12
    numbers = np.concatenate([drawn, others, 3 + images[:, ::2, ::2].transpose(3, 1, 2, 0)[None]]).reshape(13, -1)
    error = 5 / np.sqrt(numbers.shape[1])
    np.testing.assert_allclose(numbers[:12].mean(1), 0, atol=error)
    np.testing.assert_allclose(np.corrcoef(numbers), np.eye(13), atol=error)
    np.testing.assert_allclose(numbers[:12].std(1), 1, atol=error)


def test_enas_decides_inputs_and_operations():
    """Its draws are cells as they are, of which probabilities sum to what the controller gives to each sequence."""
    net = darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=1, cells=1)
    sampler = make_sampler(net, "whole", ControllerSettings(4), PredecessorSettings())
    parameters = sampler.init(jax.random.key(0))
    words = sampler.draws(parameters, jax.random.key(1), 30)
    archs = jax.vmap(sampler.to_arch)(words)
    assert jax.vmap(edge_space().is_valid)(archs).all()
    logs = jax.jit(sampler.log_probability)(parameters, archs)
    np.testing.assert_allclose(logs[0], sampler.score(parameters, words[0])[0], rtol=1e-5)
    assert np.isneginf(sampler.log_probability(parameters, jnp.zeros((1, 28), jnp.int32)))
    shares = np.asarray(sampler.probabilities(parameters, jax.random.key(2)))
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    # Hardly anything is learned yet: edges are there as often as two inputs among so many are.
    np.testing.assert_allclose(1 - shares[:, 7], 1 - decisions_of(net).uniform[1][:, 7], atol=0.15)


def test_equal_operations_have_entropy_1():
    """Of an edge that is there: how often it is, is no preference for an operation."""
    weights = decisions_of(darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=1, cells=1)).uniform[1]
    study = SimpleNamespace(space=edge_space().config)
    for other in (weights, np.full((28, 8), 1 / 8), np.eye(8)[np.full(28, 3)]):
        found = _summary.entropy(study, SimpleNamespace(record=SimpleNamespace(weights=other[None, None])))
        np.testing.assert_allclose(found, [[float(other.max() < 0.9)]], atol=1e-6)


def test_operations_are_counted_by_name():
    """In S1 each edge has operations of its own, so that a choice's number says nothing of its name."""
    space = edge_space("s1")
    archs = np.asarray(jax.jit(jax.vmap(space.sample))(jax.random.split(jax.random.key(0), 6)), np.int8)
    record = SimpleNamespace(archs=archs.reshape(2, 3, 28), weights=np.ones((2, 3, 28, 3)))
    study, result = SimpleNamespace(space=space.config), SimpleNamespace(record=record)
    names, counts = _summary.operation_names(study), _summary.operation_counts(study, result).reshape(6, -1)
    assert len(set(names)) == len(names) == counts.shape[1] == 7
    for arch, count in zip(archs, counts, strict=True):
        text = space.to_string(arch.astype(np.int32))
        assert count.tolist() == [12 if name == "none" else text.count(f"'{name}'") for name in names]
    skips = counts[:, names.index("skip_connect")]
    np.testing.assert_array_equal(_summary.skip_connections(study, result), skips.reshape(2, 3))


def test_page_counts_the_cells_of_the_whole_network():
    config = {"image_shape": (8, 8, 1), "channels": 2, "cells": 3, "epochs": {"gdas": 1}, "methods": ["gdas"]}
    config |= {"train_images": 9, "split_images": 9, "dataset": "digits", "split": "validation", "num_seeds": 1}
    told = [_report._task(SimpleNamespace(config=config | {"space": s}, targets=())) for s in ("darts", "nasbench201")]
    assert "supernets of 2 channels and 3 cells in all on" in told[0]
    assert "supernets of 2 channels and 3 cells in each stage on" in told[1]
    assert "Epochs over the training images: 1 epoch." in told[0]
    part = _report._task(SimpleNamespace(config=config | {"space": "darts", "operations": "s2"}, targets=()))
    assert "3 cells in all (sub-space S2) on 9 training images" in part
