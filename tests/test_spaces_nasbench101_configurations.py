"""NAS-Bench-101's configuration spaces: what configurations stand for, and searches over them."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas import spaces
from jnas.core._loop import run
from jnas.core._vocabulary import function_objective
from jnas.searchers.black_box._random_search import random_search
from jnas.searchers.black_box._regularized_evolution import regularized_evolution
from jnas.spaces.nasbench101 import _cells as cells
from jnas.spaces.nasbench101._configurations import LEVELS, decoded, nasbench101_configurations
from jnas.spaces.nasbench101._enumeration import nasbench101_cells
from jnas.spaces.nasbench101._features import FEATURE_NAMES, nasbench101_features
from jnas.tables._make import make_table
from tests._draw_calls import count_draws

DRAWS = 6000
ENCODINGS = {name: nasbench101_configurations(name) for name in "ABC"}
SIZES = {"A": (2,) * 21 + (3,) * 5, "B": (21,) * 9 + (3,) * 5, "C": (10,) + (LEVELS,) * 21 + (3,) * 5}
NUM_NEIGHBORS = {"A": 31, "B": 190, "C": 61}
TEXT = "|conv3x3-bn-relu~0|maxpool3x3~0~1|conv1x1-bn-relu|conv3x3-bn-relu|conv3x3-bn-relu|output~1~2|"


@pytest.fixture(scope="module", params="ABC")
def encoding(request):
    return request.param


@pytest.fixture(scope="module")
def archs_of(encoding):
    """From configurations `[DRAWS, E]` to architectures."""
    return jax.jit(jax.vmap(ENCODINGS[encoding].to_arch))


@pytest.fixture(scope="module")
def configs(encoding) -> np.ndarray:
    """Samples `[DRAWS, E]`."""
    sample = ENCODINGS[encoding].space.sample
    return np.asarray(jax.jit(jax.vmap(sample))(jax.random.split(jax.random.key(1), DRAWS)))


def plain_arch(encoding: str, config) -> np.ndarray:
    """What a configuration stands for, step by step."""
    edges = np.zeros(21, np.int32)
    if encoding == "A":
        edges[:] = config[:21]
    elif encoding == "B":
        for edge in config[:9]:
            edges[edge] = 1
    else:
        ranked = sorted(range(21), key=lambda edge: (-config[1 + edge], edge))
        edges[ranked[: config[0]]] = 1
    return np.concatenate([edges, config[-5:]])


def plain_valid(archs) -> np.ndarray:
    """Which of some architectures `[N, 26]` have a path, and at most 9 edges between the vertices on paths."""
    archs = np.asarray(archs)
    there = np.zeros((len(archs), 7, 7), bool)
    there[:, *np.transpose(cells.EDGES)] = archs[:, :21] > 0
    reached, leads = np.zeros((2, len(archs), 7), bool)
    reached[:, 0] = leads[:, 6] = True
    for v in range(1, 7):
        reached[:, v] = (reached & there[:, :, v]).any(axis=1)
        leads[:, 6 - v] = (leads & there[:, 6 - v]).any(axis=1)
    used = reached & leads
    return used[:, 0] & ((there & used[:, :, None] & used[:, None]).sum(axis=(1, 2)) <= 9)


def plain_archs(encoding: str, configs) -> np.ndarray:
    return np.stack([plain_arch(encoding, config) for config in configs.tolist()])


def uniform_configs(encoding: str, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SIZES[encoding], (count, len(SIZES[encoding]))).astype(np.int32)


def agrees(observed, expected) -> bool:
    """Whether counts agree with their expectations, by a chi-square test that a sound sampler fails once in 2,000."""
    return stats.chisquare(observed, expected).pvalue > 5e-4


# What configurations stand for


def test_fields(encoding):
    space = ENCODINGS[encoding].space
    assert space.name == f"nasbench101_{encoding.lower()}"
    assert space.num_choices == SIZES[encoding]
    assert [len(names) for names in space.choices] == list(space.num_choices)
    assert space.size is space.index is space.from_index is None
    assert isinstance(hash(space), int)
    assert nasbench101_configurations(encoding) is ENCODINGS[encoding]
    assert spaces.from_config(space.config) is space
    other = nasbench101_configurations(encoding, only_valid=False).space
    assert spaces.from_config(other.config) is other
    assert other is not space
    assert json.loads(other.config)["only_valid"] is False


def test_cells_are_those_of_a_plain_loop(encoding, configs, archs_of):
    rough = uniform_configs(encoding, DRAWS, 3)
    if encoding == "C":
        rough[:, 1:22] //= 100  # many equal values
    for batch in (configs, rough):
        archs = np.asarray(archs_of(batch))
        assert archs.dtype == np.int32
        for config, arch in itertools.islice(zip(batch, archs, strict=True), 500):
            np.testing.assert_array_equal(arch, plain_arch(encoding, config))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("A", [1, 1, 0, 0, 0, 0] + [1, 0, 0, 0, 1] + [0, 0, 0, 1] + [0] * 6),
        ("B", [0, 1, 6, 10, 14, 14, 0, 1, 1]),
        ("C", [5, 900, 800, 1, 2, 3, 4, 999, 5, 5, 5, 600, 5, 5, 5, 601, *[599] * 6]),
    ],
)
def test_a_cell_worked_out_by_hand(name, config):
    space, to_arch = ENCODINGS[name]
    config = np.array([*config, 0, 2, 1, 0, 0], np.int32)
    assert space.to_string(config) == TEXT
    arch, is_valid = jax.jit(lambda config: (to_arch(config), space.is_valid(config)))(config)
    np.testing.assert_array_equal(arch, cells.nasbench101_from_string(TEXT))
    assert is_valid


def test_meaning_goes_through_the_cell(encoding, configs, archs_of):
    space = ENCODINGS[encoding].space
    archs = np.asarray(archs_of(configs))
    some = jax.jit(jax.vmap(lambda config: (space.fingerprint(config), space.is_valid(config))))
    through = jax.jit(jax.vmap(lambda arch: (cells.fingerprint(arch), cells.is_valid_cell(arch))))
    rough = uniform_configs(encoding, DRAWS, 4)
    jax.tree.map(np.testing.assert_array_equal, some(configs), through(archs))
    jax.tree.map(np.testing.assert_array_equal, some(rough), through(np.asarray(archs_of(rough))))
    assert space.feature_names == FEATURE_NAMES
    for name in ("adjacency", "graph"):
        one = jax.jit(lambda config, name=name: space.features(config, name))(configs[0])
        other = jax.jit(lambda arch, name=name: nasbench101_features(arch, name))(archs[0])
        jax.tree.map(np.testing.assert_array_equal, one, other)
    assert space.draw(configs[0]).count("<title>") == 1
    assert space.to_string(configs[0]) in space.draw(configs[0])


def test_numbers_out_of_range_are_not_valid(encoding, configs):
    space = ENCODINGS[encoding].space
    wrong = np.repeat(configs[:1], 2 * len(configs[0]), axis=0)
    for i, count in enumerate(space.num_choices):
        wrong[2 * i, i], wrong[2 * i + 1, i] = -1, count
    assert not np.any(jax.jit(jax.vmap(space.is_valid))(wrong))
    with pytest.raises(ValueError, match=r"arch\[0\] is -1, expected a choice"):
        space.to_string(wrong[0])


def test_strings_come_back_as_the_same_architecture(encoding, configs, archs_of):
    space = ENCODINGS[encoding].space
    few = configs[:200]
    texts = [space.to_string(config) for config in few]
    parsed = np.stack([space.from_string(text) for text in texts])
    assert parsed.dtype == np.int32
    padded = np.concatenate([parsed, configs[200:]])
    np.testing.assert_array_equal(archs_of(padded)[:200], archs_of(configs)[:200])
    assert [space.to_string(config) for config in parsed] == texts


def test_strings_with_many_edges_are_pruned_or_refused():
    # 1 to 5 lead to each other and to the output, but only 1 is reached from the input once 0-1 is its only edge.
    crowded = "|conv3x3|conv3x3~1|conv3x3~1~2|conv3x3~1~2~3|conv3x3~1~2~3~4|output~0|"
    for name in "BC":
        config = ENCODINGS[name].space.from_string(crowded)
        assert ENCODINGS[name].to_arch(config)[:21].tolist() == [0] * 5 + [1] + [0] * 15
        with pytest.raises(ValueError, match=f"21 edges, expected at most 9 in encoding {name}"):
            ENCODINGS[name].space.from_string(cells.nasbench101_to_string(np.repeat([1, 0], [21, 5])))
    assert cells.nasbench101_to_string(ENCODINGS["A"].space.from_string(crowded)) == ENCODINGS["A"].space.to_string(
        cells.nasbench101_from_string(crowded)
    )
    with pytest.raises(ValueError, match="without edges has no configuration in encoding B"):
        ENCODINGS["B"].space.from_string("|output|")
    assert ENCODINGS["C"].space.from_string("|output|")[0] == 0


@pytest.mark.parametrize("wrong", ["D", "a", "", None, 1])
def test_unknown_encodings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected 'A', 'B' or 'C'"):
        nasbench101_configurations(wrong)


# Sampling and mutation


def test_samples_are_valid_and_reproducible(encoding, configs):
    space = ENCODINGS[encoding].space
    assert configs.dtype == np.int32
    assert np.all(jax.jit(jax.vmap(space.is_valid))(configs))
    key = jax.random.split(jax.random.key(1), DRAWS)[5]
    with jax.debug_key_reuse(True):
        np.testing.assert_array_equal(jax.jit(space.sample)(key), configs[5])
    for jaxpr in (jax.make_jaxpr(space.sample)(key), jax.make_jaxpr(space.mutate)(key, configs[0])):
        assert count_draws(jaxpr) == 1


@pytest.mark.statistical
def test_samples_are_uniform_among_the_valid(encoding, configs):
    every = uniform_configs(encoding, 3 * DRAWS, 5)
    plain = every[plain_valid(plain_archs(encoding, every))]
    for i, count in enumerate(SIZES[encoding]):
        bins = min(count, 10)
        ours, theirs = (np.bincount(values[:, i] * bins // count, minlength=bins) for values in (configs, plain))
        used = ours + theirs > 0  # a number of edges of 0 is never valid
        assert stats.chi2_contingency([ours[used], theirs[used]]).pvalue > 1e-4  # 73 of these


@pytest.mark.statistical
def test_samples_need_not_be_valid(encoding):
    space = nasbench101_configurations(encoding, only_valid=False).space
    found = np.asarray(jax.jit(jax.vmap(space.sample))(jax.random.split(jax.random.key(2), DRAWS)))
    every = uniform_configs(encoding, DRAWS, 6)
    expected = np.mean(plain_valid(plain_archs(encoding, every)))
    share = np.mean(jax.jit(jax.vmap(space.is_valid))(found))
    assert 0.2 < expected < 0.9
    assert abs(share - expected) < 4 * np.sqrt(2 * expected * (1 - expected) / DRAWS)
    words = jax.random.bits(jax.random.key(3), (2,))
    np.testing.assert_array_equal(space.mutate(jax.random.key(3), found[0]), space.mutate_from(words, found[0]))
    mutants = np.asarray(jax.jit(jax.vmap(space.mutate))(jax.random.split(jax.random.key(4), DRAWS), found))
    assert set(np.sum(mutants != found, axis=1).tolist()) == {1}


@pytest.mark.statistical
def test_mutation_gives_one_hyper_parameter_another_value(encoding, configs):
    space = ENCODINGS[encoding].space
    parent, sizes = configs[0], SIZES[encoding]
    mutate = jax.jit(jax.vmap(space.mutate, (0, None)))
    mutants = np.asarray(mutate(jax.random.split(jax.random.key(6), DRAWS), parent))
    assert mutants.dtype == np.int32
    assert np.all(jax.jit(jax.vmap(space.is_valid))(mutants))
    changed = mutants != parent
    assert set(changed.sum(axis=1).tolist()) == {1}
    # A decision is chosen in proportion to the share of its other values that lead to a valid cell.
    shares = []
    for i, count in enumerate(sizes):
        children = np.repeat(parent[None], count - 1, axis=0)
        children[:, i] = [value for value in range(count) if value != parent[i]]
        shares.append(np.mean(plain_valid(plain_archs(encoding, children))))
    observed, shares = changed.sum(axis=0), np.array(shares)
    assert not np.any(observed[shares == 0])
    assert agrees(observed[shares > 0], (DRAWS * shares / shares.sum())[shares > 0])


def test_a_parent_without_valid_children_stays_as_it_is():
    space = ENCODINGS["A"].space
    full = np.repeat([1, 2], [21, 5]).astype(np.int32)
    np.testing.assert_array_equal(jax.jit(space.mutate)(jax.random.key(0), full), full)


def test_neighbors_differ_in_one_hyper_parameter_and_valid_ones_in_their_cells(encoding, configs, archs_of):
    space = ENCODINGS[encoding].space
    find = jax.jit(jax.vmap(space.neighbors))
    around, valid = map(np.asarray, find(configs[:20]))
    assert around.shape == (20, NUM_NEIGHBORS[encoding], len(SIZES[encoding]))
    assert around.dtype == np.int32
    for config, neighbors, good in zip(configs[:20], around, valid, strict=True):
        here = plain_arch(encoding, config)
        assert len(np.unique(neighbors[good], axis=0)) == good.sum() > 0
        for neighbor, is_good in zip(neighbors, good, strict=True):
            assert np.sum(neighbor != config) <= 1
            arch = plain_arch(encoding, neighbor)
            assert is_good == (plain_valid(arch[None])[0] and not np.array_equal(arch, here))
    if encoding != "C":
        assert np.all(np.sum(around != configs[:20, None], axis=2) == 1)


def test_neighbors_in_encoding_c_let_each_edge_come_and_go():
    space, to_arch = ENCODINGS["C"]
    config = space.from_string("|conv3x3~0|maxpool3x3~0~1|conv1x1~2|output~0~1~2~3|")
    here = np.asarray(jax.jit(to_arch)(config))[:21]
    around, valid = jax.jit(space.neighbors)(config)
    edges = np.asarray(jax.jit(jax.vmap(to_arch))(around))[np.asarray(valid), :21]
    comes = {int(i) for row in edges for i in np.flatnonzero(row > here)}
    goes = {int(i) for row in edges for i in np.flatnonzero(row < here)}
    assert comes == set(np.flatnonzero(here == 0))
    assert len(goes) >= 3
    counts = {int(n) for n in np.asarray(around)[:9, 0]}
    assert counts == set(range(10)) - {int(config[0])}


# Searching


@pytest.fixture(scope="module")
def table():
    """Cells of up to 5 vertices; the more 3x3 convolutions and the fewer edges, the better."""
    archs = nasbench101_cells()[:2532].astype(np.int32)
    unused = 5 - np.array([cells.host_pruned(arch)[1].sum() - 2 for arch in archs])
    convolutions = (archs[:, 21:] == 0).sum(axis=1) - unused
    accuracy = 70 + 5 * convolutions - 0.5 * archs[:, :21].sum(axis=1)
    return make_table(spaces.nasbench101(), archs=archs, accuracy={"validation": accuracy}, train_seconds=2.0)


@pytest.mark.parametrize(("name", "only_valid"), [("random_search", False), ("regularized_evolution", True)])
def test_searches_over_configurations_use_the_tables_numbers(table, name, only_valid):
    space, to_arch = nasbench101_configurations("B", only_valid=only_valid)
    searcher = (
        random_search(space)
        if name == "random_search"
        else regularized_evolution(space, population_size=20, sample_size=5)
    )
    objective = table.objective(dataset="data", split="validation", epochs=1, seed="mean")
    over_configs = decoded(objective, to_arch)
    assert over_configs.fidelities == objective.fidelities
    assert over_configs.min_seconds == objective.min_seconds
    search = jax.jit(lambda key: run(searcher, over_configs, key, max_evaluations=150))
    trace = jax.device_get(search(jax.random.key(0)))
    archs = np.asarray(jax.jit(jax.vmap(to_arch))(trace.arch))
    fingerprint = jax.jit(jax.vmap(cells.fingerprint))
    words = np.asarray(fingerprint(np.concatenate([archs, table.archs]))).tolist()
    known = {tuple(word): row for row, word in enumerate(words[len(archs) :])}
    accuracy = np.asarray(table.accuracy(table.archs, dataset="data", split="validation", epochs=1, seed="mean"))
    assert np.all(trace.mask)
    are_valid = plain_valid(archs)
    for is_cell, word, score, seconds, valid in zip(
        are_valid, words[: len(archs)], trace.score, trace.seconds, trace.valid, strict=True
    ):
        there = is_cell and tuple(word) in known
        assert valid == there
        assert seconds == (2.0 if there else 0.0)
        assert np.isnan(score) if not there else score == accuracy[known[tuple(word)]]
    assert np.any(trace.valid)
    assert all(are_valid) == only_valid


@pytest.mark.statistical
def test_evolution_beats_random_search_on_configurations():
    space, to_arch = ENCODINGS["B"]
    objective = decoded(
        function_objective(lambda key, arch: jnp.sum(arch[21:] == 2) * 1.0 + jnp.sum(arch[:21]) + arch[5] * 2), to_arch
    )
    keys = jax.random.split(jax.random.key(0), 40)
    best = []
    for searcher in (random_search(space), regularized_evolution(space, population_size=20, sample_size=5)):
        traces = jax.jit(jax.vmap(lambda key, s=searcher: run(s, objective, key, max_evaluations=150)))(keys)
        best.append(np.max(np.asarray(traces.score), axis=1))
    difference = best[1] - best[0]
    assert difference.mean() > 4 * difference.std() / np.sqrt(len(keys))
