"""The laws that every space obeys. A new space is a new row of the table.

All laws share few compiled programs, of batches of one size; rows whose spaces share a function share its program.
"""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas import spaces
from jnas.core._vocabulary import Array, Graph, Space
from jnas.spaces import _categorical, _nasbench_graph, _nasbench_macro, _nats_size, _transnas
from jnas.spaces._registry import canonical
from jnas.spaces.darts import _space as darts_space
from jnas.spaces.nasbench101 import _one_shot as nasbench1shot1_space
from jnas.spaces.nasbench101 import _space as nasbench101_space
from jnas.spaces.nasbench201 import _space as nasbench201_space
from jnas.spaces.recurrent import _space as recurrent_space
from tests._draw_calls import count_draws

SAMPLES = 4000
MOST_LISTED = 40_000  # spaces up to this size are gone through whole


class Row(NamedTuple):
    """A space and what its documentation says of it."""

    space: Space
    features: dict[str, tuple]  # the shape of each, or the shapes of a graph's fields
    num_neighbors: int
    num_fingerprints: int | None  # of all architectures; None where they are too many to list
    weights: tuple[int, ...]  # in whose proportion mutations choose a decision
    may_stay: bool = False  # a mutation may give a decision the choice that it has
    product: bool = True  # every product of choices is an architecture of its own
    changes_one: bool = True  # a mutation changes one decision
    of_cells: bool = False  # architectures stand for cells, several for one


NASBENCH201_FEATURES = {
    "one_hot": (30,),
    "ordinal": (6,),
    "continuous_adjacency": (7,),
    "path": (155,),
    "truncated_path": (30,),
    "graph": ((8, 7), (8, 8)),
    "nasbot": (21,),
}

NASBENCH101_FEATURES = {
    "one_hot": (36,),
    "ordinal": (26,),
    "adjacency": (26,),
    "categorical_adjacency": (26,),
    "continuous_adjacency": (27,),
    "path": (364,),
    "truncated_path": (40,),
    "categorical_path": (20,),
    "truncated_categorical_path": (20,),
    "graph": ((7, 5), (7, 7)),
    "nasbot": (17,),
}

DARTS_FEATURES = {
    "one_hot": (168,),
    "ordinal": (32,),
    "adjacency": (196,),
    "path": (11_204,),
    "truncated_path": (228,),
    "graph": ((22, 17), (22, 22)),
}

RECURRENT_FEATURES = {
    "one_hot": (68,),
    "ordinal": (16,),
    "adjacency": (144,),
    "path": (5460,),
    "truncated_path": (84,),
    "graph": ((10, 6), (10, 10)),
}

ROWS = {
    "nasbench201": Row(spaces.nasbench201(), NASBENCH201_FEATURES, 24, 6466, (1,) * 6),
    "nasbench201-node-then-edge": Row(
        spaces.nasbench201("node_then_edge", "none"), NASBENCH201_FEATURES, 24, 15625, (6, 3, 3, 2, 2, 2)
    ),
    "nasbench101": Row(spaces.nasbench101(), NASBENCH101_FEATURES, 31, None, (), product=False, changes_one=False),
    "nasbench101-paths": Row(
        spaces.nasbench101("weighted_path", "truncated_path"),
        NASBENCH101_FEATURES,
        31,
        None,
        (),
        product=False,
        changes_one=False,
    ),
    "nasbench101-uniform-one-decision": Row(
        spaces.nasbench101("uniform", "one_decision"), NASBENCH101_FEATURES, 31, None, (), product=False
    ),
    "nasbench101-of-five": Row(
        spaces.nasbench101("uniform", "one_decision", max_vertices=5), NASBENCH101_FEATURES, 16, 2532, (), product=False
    ),
    "nasbench1shot1_1": Row(spaces.nasbench1shot1_1(), NASBENCH101_FEATURES, 24, 2685, (1,) * 7, of_cells=True),
    "darts": Row(spaces.darts(), DARTS_FEATURES, 136, None, (), product=False),
    "recurrent": Row(spaces.recurrent(), RECURRENT_FEATURES, 52, None, (0, *(1,) * 15), of_cells=True),
    "nats_size": Row(spaces.nats_size(), {"one_hot": (40,), "ordinal": (5,)}, 35, 32768, (1,) * 5),
    "nats_size-any": Row(spaces.nats_size("any"), {"one_hot": (40,), "ordinal": (5,)}, 35, 32768, (1,) * 5, True),
    "nasbench_graph": Row(spaces.nasbench_graph(), {"one_hot": (45,), "ordinal": (5,)}, 40, 26_206, (), product=False),
    "nasbench_macro": Row(spaces.nasbench_macro(), {"one_hot": (24,), "ordinal": (8,)}, 16, 3_969, (1,) * 8),
    "transnas_micro": Row(spaces.transnas_micro(), {"one_hot": (24,), "ordinal": (6,)}, 18, 4_096, (1,) * 6),
    "transnas_macro": Row(spaces.transnas_macro(), {"one_hot": (26,), "ordinal": (6,)}, 20, 3_256, (), product=False),
    "categorical": Row(
        spaces.categorical((3, 1, 2, 4), decisions=("a", "b", "c", "d"), separator=" / "),
        {"one_hot": (10,), "ordinal": (4,)},
        6,
        24,
        (1, 0, 1, 1),
    ),
    "categorical-without-index": Row(
        spaces.categorical((4,) * 20), {"one_hot": (80,), "ordinal": (20,)}, 60, None, (1,) * 20
    ),
}


@functools.cache
def batched(function: Callable) -> Any:
    """A compiled program of one function of a space over a batch."""
    return jax.jit(jax.vmap(function))


def in_batches(function: Callable, *batches: Any, size: int = SAMPLES) -> Any:
    """What a function says of a batch of any length: one program takes `size` rows at a time, the last ones filled."""
    count = len(batches[0])
    rows = np.minimum(np.arange(-(-count // size) * size), count - 1).reshape(-1, size)
    parts = [jax.device_get(batched(function)(*(batch[each] for batch in batches))) for each in rows]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def keys_from(seed: int, count: int = SAMPLES) -> Array:
    return jax.random.split(jax.random.key(seed), count)


def are_valid(space: Space, archs: np.ndarray) -> np.ndarray:
    return in_batches(space.is_valid, archs)


def neighbors_of(space: Space, archs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return in_batches(space.neighbors, archs, size=500)


@pytest.fixture(scope="module", params=ROWS, ids=list(ROWS))
def row(request) -> Row:
    return ROWS[request.param]


@pytest.fixture(scope="module")
def archs(row) -> np.ndarray:
    """Samples `[SAMPLES, E]`."""
    return in_batches(row.space.sample, keys_from(1))


@pytest.fixture(scope="module")
def everything(row) -> np.ndarray:
    """All architectures `[size, E]`, by index."""
    if row.space.size is None or row.space.size > MOST_LISTED:
        pytest.skip("the space is too large to list")
    return in_batches(row.space.from_index, np.arange(row.space.size))


@functools.cache
def step(space: Space) -> Any:
    """A compiled program `(key, arch) -> (mutant, what the space says of it)` of one architecture."""

    def says(key: Array, arch: Array) -> tuple[Array, Any]:
        arch = space.mutate(key, arch)
        neighbors, valid = space.neighbors(arch)
        number = jnp.int32(0) if space.index is None else space.index(arch)
        return arch, (arch, neighbors, valid, space.is_valid(arch), space.fingerprint(arch), number)

    return jax.jit(says)


def agrees(observed, expected) -> bool:
    """Whether counts agree with their expectations, by a chi-square test that a sound sampler fails once in 2,000."""
    return stats.chisquare(observed, expected).pvalue > 5e-4


def test_fields_are_consistent(row):
    space = row.space
    assert space.name
    assert isinstance(json.loads(space.config), dict)
    assert all(count >= 1 for count in space.num_choices)
    assert [len(names) for names in space.choices] == list(space.num_choices)
    assert space.num_decisions == len(space.num_choices)
    assert (space.size is None) == (space.index is None) == (space.from_index is None)
    assert set(space.feature_names) == set(row.features)
    assert isinstance(hash(space), int)  # so that it can be a static argument of jit


def test_architectures_are_int32_of_one_shape(row):
    space, key = row.space, jax.random.key(0)
    arch = jax.eval_shape(space.sample, key)
    shape = (space.num_decisions,)
    assert (arch.shape, arch.dtype) == (shape, jnp.int32)
    mutant = jax.eval_shape(space.mutate, key, arch)
    assert (mutant.shape, mutant.dtype) == (shape, jnp.int32)
    neighbors, valid = jax.eval_shape(space.neighbors, arch)
    assert (neighbors.shape, neighbors.dtype) == ((row.num_neighbors, *shape), jnp.int32)
    assert (valid.shape, valid.dtype) == ((row.num_neighbors,), jnp.bool_)
    parsed = space.from_string(space.to_string(np.zeros(shape, int)))
    assert isinstance(parsed, np.ndarray)
    assert (parsed.shape, parsed.dtype) == (shape, np.int32)
    if space.index is not None:
        index = jax.eval_shape(space.index, arch)
        assert (index.shape, index.dtype) == ((), jnp.int32)
        assert jax.eval_shape(space.from_index, index) == arch


def test_works_under_jit_vmap_and_scan_and_uses_no_key_twice(row):
    space = row.space

    def walk(key):
        key, sample_key = jax.random.split(key)
        first = space.sample(sample_key)

        def advance(carry, _):
            key, mutate_key = jax.random.split(carry[0])
            arch, rows = step(space)(mutate_key, carry[1])
            return (key, arch), (jax.random.key_data(mutate_key), rows)

        return sample_key, first, jax.lax.scan(advance, (key, first), length=2)[1]

    with jax.debug_key_reuse(True):
        sample_keys, *found = jax.jit(jax.vmap(walk))(keys_from(2, 2))
        first, (words, walks) = jax.device_get(found)
    np.testing.assert_array_equal(first, in_batches(space.sample, jax.random.clone(sample_keys)))
    for i in range(2):
        arch, rows = first[i], []
        for each in words[i]:
            arch, row_ = step(space)(jax.random.wrap_key_data(each), np.asarray(arch))
            rows.append(jax.device_get(row_))
        plain = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
        jax.tree.map(np.testing.assert_array_equal, plain, jax.tree.map(lambda leaf, i=i: leaf[i], walks))


def test_draws_once(row):
    """Each random call site is expensive to compile, and these two stand in the step of every search."""
    space, arch = row.space, jnp.zeros(row.space.num_decisions, jnp.int32)
    for program in (
        jax.make_jaxpr(space.sample)(jax.random.key(0)),
        jax.make_jaxpr(space.mutate)(jax.random.key(0), arch),
    ):
        assert count_draws(program) == 1


def test_same_key_gives_same_result_and_others_differ(row, archs):
    """In the same program, and where nothing is compiled as one program."""
    space, keys = row.space, keys_from(1)
    mutants = in_batches(space.mutate, keys, archs)
    np.testing.assert_array_equal(archs, in_batches(space.sample, keys))
    np.testing.assert_array_equal(mutants, in_batches(space.mutate, keys, archs))
    np.testing.assert_array_equal(archs[3], space.sample(keys[3]))
    np.testing.assert_array_equal(mutants[3], space.mutate(keys[3], archs[3]))
    assert len(np.unique(archs[:12], axis=0)) > 4


def test_second_call_does_not_recompile(row):
    space = row.space
    for seed in range(2):
        step(space)(jax.random.key(seed), space.from_string(space.to_string(np.zeros(space.num_decisions, int))))
    assert step(space)._cache_size() == 1


@pytest.mark.statistical
def test_samples_are_valid_uniform_and_independent(row, archs):
    space = row.space
    assert np.all(are_valid(space, archs))
    if not row.product:
        pytest.skip("the valid architectures are no product of choices")
    for i, count in enumerate(space.num_choices):
        if count > 1:
            assert agrees(np.bincount(archs[:, i], minlength=count), np.full(count, SAMPLES / count))
        after = (i + 1) % space.num_decisions
        pairs = count * space.num_choices[after]
        if pairs > count > 1:
            pair = archs[:, i] * space.num_choices[after] + archs[:, after]
            assert agrees(np.bincount(pair, minlength=pairs), np.full(pairs, SAMPLES / pairs))


def test_validity_is_the_range_of_choices(row, archs):
    space = row.space
    counts = np.asarray(space.num_choices, np.int32)
    assert not row.product or are_valid(space, counts[None] - 1).all()
    wrong = np.repeat(archs[:1], 2 * space.num_decisions, axis=0).reshape(2, space.num_decisions, -1)
    for i in range(space.num_decisions):
        wrong[:, i, i] = -1, counts[i]
    assert not are_valid(space, wrong.reshape(-1, space.num_decisions)).any()


def test_mutation_changes_one_decision(row, archs):
    space = row.space
    mutants = in_batches(space.mutate, keys_from(5), archs)
    assert np.all(are_valid(space, mutants))
    changed = np.sum(mutants != archs, axis=1)
    assert changed.mean() < 5
    if row.changes_one:
        assert set(changed.tolist()) == ({0, 1} if row.may_stay else {1})


def test_mutation_from_given_words_is_the_same_mutation(row, archs):
    space, keys = row.space, keys_from(8)
    if space.mutate_from is None:
        pytest.skip("a mutation draws until the architecture is valid")
    words = jax.device_get(jax.jit(jax.vmap(lambda key: jax.random.bits(key, (2,))))(keys))
    mutants = in_batches(space.mutate_from, words, archs)
    np.testing.assert_array_equal(in_batches(space.mutate, keys, archs), mutants)


@pytest.mark.statistical
def test_mutation_reaches_all_neighbors_with_the_stated_probabilities(row, archs):
    if not row.product:
        pytest.skip("the valid architectures are no product of choices")
    space, arch = row.space, archs[0]
    draws = 20_000
    mutants = in_batches(space.mutate, keys_from(6, draws), np.repeat(arch[None], draws, axis=0))
    neighbors = neighbors_of(space, archs[:1])[0][0]
    counts = np.sum(np.all(mutants[:, None] == neighbors[None], axis=-1), axis=0)
    choices = np.asarray(space.num_choices)
    chosen = np.argmax(neighbors != arch, axis=1)
    decisions = np.asarray(row.weights) / sum(row.weights)
    probability = decisions[chosen] / (choices[chosen] - (0 if row.may_stay else 1))
    if row.may_stay:
        counts = np.append(counts, np.sum(np.all(mutants == arch, axis=1)))
        probability = np.append(probability, np.sum(decisions / choices))
    assert np.all(counts > 0)
    assert counts.sum() == draws
    assert agrees(counts, draws * probability)


def test_neighbors_are_all_architectures_one_change_away(row, archs):
    space = row.space
    neighbors, valid = neighbors_of(space, archs[:8])
    are_sound = are_valid(space, np.concatenate(neighbors)).reshape(valid.shape)
    assert np.all(valid.any(axis=1))
    assert np.all(are_sound[valid])
    for arch, around in zip(archs[:8], neighbors, strict=True):
        assert np.all(np.sum(around != arch, axis=1) == 1)
        assert len(np.unique(around, axis=0)) == len(around) == sum(count - 1 for count in space.num_choices)
    if row.product:
        assert np.all(valid)
        back = neighbors_of(space, np.concatenate(neighbors))[0].reshape(*valid.shape, *neighbors.shape[1:])
        assert np.all(np.any(np.all(back == archs[:8, None, None], axis=-1), axis=-1))  # symmetric


def test_index_is_a_bijection(row, everything):
    space = row.space
    assert np.all(are_valid(space, everything))
    assert len(np.unique(everything, axis=0)) == space.size
    assert not row.product or space.size == np.prod(space.num_choices)
    np.testing.assert_array_equal(in_batches(space.index, everything), np.arange(space.size))


def test_index_is_absent_only_where_it_would_overflow(row):
    assert (row.space.size is None) == (np.prod(np.asarray(row.space.num_choices, float)) > 2**31 - 1)


def test_strings_round_trip(row, archs):
    space = row.space
    texts = [space.to_string(arch) for arch in archs[:300]]
    np.testing.assert_array_equal([space.from_string(text) for text in texts], archs[:300])
    assert len(set(texts)) == len(np.unique(archs[:300], axis=0))


def test_strings_are_read_as_people_have_them(row, archs):
    text = row.space.to_string(archs[0])
    for around in ("{}\n", "  {}", "\t{} \r\n", "'{}'", '"{}"\n'):
        np.testing.assert_array_equal(row.space.from_string(around.format(text)), archs[0])


@pytest.mark.parametrize("wrong", ["", " ", "nonsense", "|", "++", "∅", "' '", "Structure(4 nodes with )"])
def test_malformed_strings_are_refused(row, wrong):
    with pytest.raises(ValueError, match="expected"):
        row.space.from_string(wrong)


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["list"]])
def test_only_strings_are_parsed(row, wrong):
    with pytest.raises(TypeError, match="read from a string"):
        row.space.from_string(wrong)


def test_only_architectures_are_printed(row):
    space = row.space
    with pytest.raises(TypeError, match="expected integers"):
        space.to_string(np.zeros(space.num_decisions))
    with pytest.raises(ValueError, match="expected one architecture of shape"):
        space.to_string(np.zeros((2, space.num_decisions), int))
    with pytest.raises(ValueError, match=r"arch\[0\] is -1, expected a choice from 0 to"):
        space.to_string(np.full(space.num_decisions, -1))


def test_fingerprints_are_as_many_as_documented(row, archs, request):
    if row.num_fingerprints is None:
        known = in_batches(canonical(row.space), archs)
        everything, expected = archs, len(np.unique(known, axis=0))
    else:
        everything, expected = request.getfixturevalue("everything"), row.num_fingerprints
    words = in_batches(row.space.fingerprint, everything)
    assert words.shape == (len(everything), 2)
    assert words.dtype == np.uint32
    for word in words.T:  # each word alone tells them apart too, but for 32-bit collisions
        assert len(np.unique(word)) >= expected - 3
    assert len(np.unique(words, axis=0)) == expected
    np.testing.assert_array_equal(in_batches(row.space.fingerprint, everything[:9]), words[:9])


@pytest.mark.statistical
def test_fingerprint_bits_are_balanced(row, archs):
    words = np.unique(in_batches(row.space.fingerprint, archs), axis=0)
    bits = (words[:, :, None] >> np.arange(32, dtype=np.uint32)) & 1
    # 64 binomial counts; four standard errors each, and room for the few fingerprints of a small space
    assert np.all(np.abs(bits.mean(0) - 0.5) < 4 * 0.5 / np.sqrt(len(words)))


@functools.cache
def all_features(features: Callable, names: tuple[str, ...]) -> Any:
    """A function of an architecture that gives all its features."""
    return lambda arch: {name: features(arch, name) for name in names}


def test_features_have_their_shapes_and_tell_architectures_apart(row, archs):
    values = in_batches(all_features(row.space.features, tuple(row.features)), archs)
    for name, shape in row.features.items():
        value = values[name]
        if isinstance(value, Graph):
            assert tuple(field.shape[1:] for field in value) == shape
            assert value.adjacency.dtype == np.float32
            value = np.concatenate([field.reshape(SAMPLES, -1) for field in value], axis=1)
        else:
            assert value.shape[1:] == shape
        assert value.dtype == np.float32
        if name in ("one_hot", "ordinal", "path", "graph"):
            # A graph, and paths, are of the cell, of which an encoding may be one of many.
            of_cell = name in ("path", "graph") and (row.of_cells or not row.product)
            distinct = len(np.unique(in_batches(row.space.fingerprint, archs) if of_cell else archs, axis=0))
            assert len({each.tobytes() for each in value}) >= distinct * (0.5 if name == "path" else 1.0)


def test_unknown_features_are_refused(row):
    with pytest.raises(ValueError, match="'colour', expected one of 'one_hot'"):
        row.space.features(jnp.zeros(row.space.num_decisions, jnp.int32), "colour")


def test_config_gives_the_same_object_in_one_process(row):
    assert spaces.from_config(row.space.config) is row.space


def test_config_makes_an_equal_space_in_another_process(row, archs, monkeypatch):
    space = row.space
    factories = {"categorical": _categorical, "nasbench101": nasbench101_space, "nasbench201": nasbench201_space}
    factories |= {"nasbench1shot1": nasbench1shot1_space, "darts": darts_space, "recurrent": recurrent_space}
    factories |= {"nats_size": _nats_size, "nasbench_graph": _nasbench_graph, "nasbench_macro": _nasbench_macro}
    factories |= {"transnas_micro": _transnas, "transnas_macro": _transnas}
    for name, module in factories.items():
        monkeypatch.setattr(module, f"_{name}", getattr(module, f"_{name}").__wrapped__)  # nothing is found in a cache
    again = spaces.from_config(space.config)
    assert again is not space
    for field in ("name", "num_choices", "choices", "size", "config", "feature_names"):
        assert getattr(again, field) == getattr(space, field)
    np.testing.assert_array_equal(in_batches(again.sample, keys_from(1)), archs)
    mutants = in_batches(space.mutate, keys_from(5), archs)
    np.testing.assert_array_equal(in_batches(again.mutate, keys_from(5), archs), mutants)
    words = in_batches(space.fingerprint, archs)
    np.testing.assert_array_equal(in_batches(again.fingerprint, archs), words)
    assert again.to_string(archs[0]) == space.to_string(archs[0])


def test_drawings_are_well_formed_and_titled(row, archs):
    space = row.space
    if space.draw is None:
        pytest.skip("nothing to draw")
    for arch in archs[:20]:
        root = ElementTree.fromstring(space.draw(arch))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(root.get("viewBox").split()) == 4
        assert root.find("{*}title").text == space.to_string(arch)
    with pytest.raises(ValueError, match="expected"):
        space.draw(np.zeros(space.num_decisions + 1, int))
