"""The space of recurrent cells: published cells and numbers, equal functions, paths, costs, texts."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.spaces import PUBLISHED_RECURRENT, RecurrentGenotype, format_recurrent, parse_recurrent, recurrent_cost
from jnas.spaces._registry import canonical, from_name, named_cells
from jnas.spaces.recurrent._cells import OPERATIONS, arch_of_cell, edges, in_output, recurrent_cell
from jnas.spaces.recurrent._features import num_recurrent_paths
from jnas.spaces.recurrent._fingerprint import in_use
from jnas.spaces.recurrent._genotype import used_nodes
from jnas.spaces.recurrent._published import ORDER_OF_32
from jnas.spaces.recurrent._search_cell import one_hot_edges, strongest_cell

SPACE = spaces.recurrent()
TEXT = format_recurrent(PUBLISHED_RECURRENT["DARTS_V2"])
V2 = SPACE.from_string(TEXT)


@functools.cache
def many(function):
    return jax.jit(jax.vmap(function))


def all_cells(nodes):
    """All architectures `[N, 2 n]` of so many nodes, by index."""
    choices = [range(count) for node in range(1, nodes + 1) for count in (node, len(OPERATIONS))]
    return np.asarray(list(itertools.product(*choices)), np.int32)


def test_the_32_cells_have_their_published_numbers():
    space = spaces.recurrent(num_nodes=2)
    for number, arch in enumerate(all_cells(2)):
        _, op1, pred2, op2 = arch.tolist()
        assert number == 8 * op1 + 4 * pred2 + op2
        cell = RecurrentGenotype(((OPERATIONS[op1], 0), (OPERATIONS[op2], pred2)), (1, 2))
        np.testing.assert_array_equal(space.from_string(format_recurrent(cell)), arch)
    np.testing.assert_array_equal(jax.device_get(many(space.from_index)(np.arange(32))), all_cells(2))
    np.testing.assert_array_equal(many(space.index)(all_cells(2)), np.arange(32))
    assert sorted(ORDER_OF_32) == list(range(32))
    # As the code says of them: the best is tanh and sigmoid of the initial state, the worst a chain of identities.
    assert parse_recurrent(space.to_string(all_cells(2)[ORDER_OF_32[0]])).recurrent == (("tanh", 0), ("sigmoid", 0))
    assert parse_recurrent(space.to_string(all_cells(2)[ORDER_OF_32[-1]])).recurrent == (
        ("identity", 0),
        ("identity", 1),
    )


def test_cells_that_are_equal_are_near_one_another_in_the_published_order():
    """The six pairs of cells that the same function makes, which the authors trained as different ones."""
    words = [bytes(word) for word in np.asarray(many(spaces.recurrent(2).fingerprint)(all_cells(2)))]
    place = {number: i for i, number in enumerate(ORDER_OF_32)}
    pairs = [(a, b) for a in range(32) for b in range(a) if words[a] == words[b]]
    assert sorted(pairs) == [(8, 1), (16, 2), (17, 10), (24, 3), (25, 11), (26, 19)]
    assert max(abs(place[a] - place[b]) for a, b in pairs) == 3


def test_published_cells_are_read_back_and_named():
    for genotype in PUBLISHED_RECURRENT.values():
        assert parse_recurrent(format_recurrent(genotype)) == genotype
    assert set(named_cells(SPACE)) == {"DARTS_V1", "DARTS_V2"}
    enas = spaces.recurrent(11, output="leaves")
    assert set(named_cells(enas)) == {"ENAS"}
    text = from_name(enas, "ENAS")
    assert text.endswith("concat=[2, 5, 6, 9, 10, 11])")
    assert enas.to_string(enas.from_string(text)) == text
    assert from_name(SPACE, "DARTS_V2") == SPACE.to_string(V2) == TEXT
    assert TEXT.endswith("('relu', 5)], concat=range(1, 9))")


def test_genotypes_are_read_in_every_form_that_the_field_prints():
    forms = (
        TEXT.replace("range(1, 9)", "[1, 2, 3, 4, 5, 6, 7, 8]"),
        TEXT.replace("range(1, 9)", "list(range(1, 9))"),
        TEXT.replace("(", " ( ").replace(", ", " ,\n      "),
        f"DARTS_V2 = {TEXT}\n",
        TEXT.replace("[", "(").replace("]", ")"),
        TEXT.replace("recurrent=", "").replace("concat=", ""),
        TEXT.replace("range(1, 9)", "(8, 7, 6, 5, 4, 3, 2, 1)"),
    )
    for form in forms:
        np.testing.assert_array_equal(SPACE.from_string(form), V2)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("('tanh', 2)", "('tanhh', 2)", r"node 5 \(entry 4 of recurrent\) has .* 'tanhh'.*; did you mean 'tanh'"),
        ("('tanh', 2)", "('none', 2)", "node 5 .* which the space has not, expected one of tanh, relu, sigmoid"),
        ("('tanh', 2)", "('tanh', 5)", "node 5 .* reads state 5, expected an earlier one, 0 to 4"),
        ("('sigmoid', 0)", "('sigmoid', 1)", "node 1 .* reads state 1, expected 0, the initial one"),
        ("('tanh', 2)", "('tanh', '2')", r"node 5 .* is \('tanh', '2'\), expected \(operation, state\)"),
        (", ('relu', 5)", "", r"concat is \[1, .*, 8\], expected a list of nodes from 1 to 7"),
        (", ('relu', 5)], concat=range(1, 9)", "], concat=range(1, 8)", r"has 7 nodes, expected 8.*num_nodes=7\)"),
        ("range(1, 9)", "[2, 3]", r"concat is \[2, 3\], expected \[1, .* puts out the mean of all nodes"),
        ("range(1, 9)", "[1, 1]", "expected each node once"),
        ("range(1, 9)", "[0, 1]", "expected a list of nodes from 1 to 8"),
        ("range(1, 9)", "nodes", "concat is nodes, expected a list"),
        ("concat=", "concats=", "concat is missing, 'concats' is not known, expected recurrent, concat"),
        ("Genotype", "Cell", r"this is no genotype, expected a text like Genotype\(recurrent="),
    ],
)
def test_malformed_genotypes_name_the_node(old, new, said):
    with pytest.raises(ValueError, match=said):
        SPACE.from_string(TEXT.replace(old, new))


def test_outputs_of_chosen_nodes_are_checked_against_the_text():
    leaves = spaces.recurrent(3, output="leaves")
    text = "Genotype([('tanh', 0), ('relu', 1), ('relu', 0)], [2, 3])"
    assert leaves.to_string(leaves.from_string(text)).endswith("concat=[2, 3])")
    with pytest.raises(ValueError, match=r"concat is \[1, 3\], expected \[2, 3\].*that no other reads"):
        leaves.from_string(text.replace("[2, 3]", "[1, 3]"))
    chosen = spaces.recurrent(3, output=[3, 2])
    assert chosen is spaces.recurrent(3, output=(2, 3)) is spaces.from_config(chosen.config)
    np.testing.assert_array_equal(chosen.from_string(text), leaves.from_string(text))
    assert "out: mean of 2, 3" in chosen.draw(chosen.from_string(text))


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ((0,), ValueError, "num_nodes is 0, expected 1 to 32"),
        ((2.0,), TypeError, r"num_nodes is 2\.0, expected a Python int"),
        ((3, "leafs"), ValueError, "output is 'leafs', expected 'all', 'leaves', or a list of different nodes from 1"),
        ((3, (0, 1)), ValueError, "expected 'all', 'leaves', or a list of different nodes from 1 to 3"),
        ((3, (2, 2)), ValueError, "list of different nodes"),
    ],
)
def test_arguments_are_checked(arguments, kind, said):
    with pytest.raises(kind, match=said):
        spaces.recurrent(*arguments[:1], **({"output": arguments[1]} if arguments[1:] else {}))


def computed(arch, chosen, weights, start):
    """What a cell makes of states `[B, d]`, by NumPy in float64; node k has weights `[k - 1]`, `[..., d, 2 d]`."""
    functions = (np.tanh, lambda x: np.maximum(x, 0), lambda x: 1 / (1 + np.exp(-x)), lambda x: x)
    states = [start]
    for (read, operation), matrix in zip(arch.reshape(-1, 2), weights, strict=True):
        gate, candidate = np.split(states[read] @ matrix, 2, axis=-1)
        states.append(states[read] + (functions[operation](candidate) - states[read]) / (1 + np.exp(-gate)))
    return np.mean([states[1 + node] for node in np.flatnonzero(chosen)], axis=0)


@pytest.mark.parametrize("output", ["all", "leaves", (2,), (1, 3)])
def test_cells_are_the_same_exactly_if_they_compute_the_same(output):
    """Two cells are one if what all orders of three weight matrices make of them are the same outputs."""
    archs, rng = all_cells(3), np.random.default_rng(0)
    weights, start = rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 2))
    orders = weights[np.asarray(list(itertools.permutations(range(3)))).T]  # [node, order, 2, 4]
    space = spaces.recurrent(3, output=output)
    words = [bytes(word) for word in np.asarray(many(space.fingerprint)(archs))]
    seen, of_word = {}, {}
    for arch, word in zip(archs, words, strict=True):
        chosen = np.isin([1, 2, 3], output) if isinstance(output, tuple) else np.ones(3, bool)
        if output == "leaves":
            chosen = ~np.isin([1, 2, 3], arch[::2])
        made = str(sorted(np.round(computed(arch, chosen, orders, start), 9).reshape(6, -1).tolist()))
        assert seen.setdefault(made, word) == word  # what computes the same has one fingerprint,
        assert of_word.setdefault(word, made) == made  # and what does not has two
    assert len(seen) == {"all": 188, "leaves": 188, (2,): 20, (1, 3): 154}[output]


def renumbered(arch, rng):
    """The same cell with its nodes in another order, drawn among those in which each comes after what it reads."""
    inputs, operations = (np.asarray(field) for field in recurrent_cell(arch))
    place, new = {0: 0}, []
    while len(new) < len(inputs):
        ready = [k for k in range(1, len(inputs) + 1) if k not in place and inputs[k - 1] in place]
        node = ready[rng.integers(len(ready))]
        place[node] = len(new) + 1
        new.append((place[inputs[node - 1]], operations[node - 1]))
    return np.asarray(new, np.int32).reshape(-1)


def test_one_encoding_stands_for_all_orders_of_the_nodes():
    rng = np.random.default_rng(1)
    archs = np.asarray(many(SPACE.sample)(jax.random.split(jax.random.key(2), 200)))
    others = np.stack([renumbered(arch, rng) for arch in archs])
    assert (others != archs).any(1).mean() > 0.9
    standing, words = (np.asarray(many(function)(archs)) for function in (canonical(SPACE), SPACE.fingerprint))
    np.testing.assert_array_equal(many(canonical(SPACE))(others), standing)
    np.testing.assert_array_equal(many(SPACE.fingerprint)(others), words)
    np.testing.assert_array_equal(many(SPACE.fingerprint)(standing), words)
    assert all(bool(np.all(np.diff(arch[::2]) >= 0)) for arch in standing)
    # Where there is an index, each encoding has a number of its own, as the published 32 have.
    np.testing.assert_array_equal(canonical(spaces.recurrent(2))(np.array([0, 2, 0, 0])), [0, 2, 0, 0])


def test_nodes_that_a_chosen_output_leaves_out():
    cell = recurrent_cell(V2)
    assert sorted(used_nodes(RecurrentGenotype(PUBLISHED_RECURRENT["DARTS_V2"].recurrent, (3, 5)))) == [1, 2, 3, 5]
    assert np.flatnonzero(in_output(cell, "leaves")).tolist() == [3, 5, 6, 7]
    space = spaces.recurrent(8, output=(3, 5))
    other = V2.copy()
    other[6:8] = 2, 1  # node 4, which nothing uses

    def says(arch):
        size = spaces.recurrent_parameters(arch, units=10, words=7, output=[5, 3])
        same = (
            arch_of_cell(recurrent_cell(arch)),
            in_use(recurrent_cell(arch), "leaves"),
            in_use(recurrent_cell(arch), (3, 5)),
            size,
        )
        return (space.fingerprint(arch), canonical(space)(arch)), same, space.features(arch, "graph")

    one, (again, all_used, used, size), (nodes, adjacency) = jax.device_get(jax.jit(says)(other))
    jax.tree.map(np.testing.assert_array_equal, one, jax.device_get(jax.jit(says)(V2))[0])
    np.testing.assert_array_equal(again, other)
    assert all_used.all()
    assert np.flatnonzero(used).tolist() == [0, 1, 2, 4]  # 5 reads 2, and 2 and 3 read 1
    assert size == np.float32(1.277e-3)
    assert nodes.sum(1).tolist() == [1, 1, 1, 1, 0, 1, 0, 0, 0, 1]
    assert np.argwhere(np.asarray(adjacency)).tolist() == [[0, 1], [1, 2], [1, 3], [2, 5], [3, 9], [5, 9]]


@pytest.mark.parametrize("output", ["all", "leaves"])
def test_encodings_are_those_found_by_walking(output):
    space = spaces.recurrent(8, output=output)
    archs = np.array(many(SPACE.sample)(jax.random.split(jax.random.key(3), 30)))
    archs[0] = np.stack([np.arange(8), np.arange(8) % 4], 1).reshape(-1)  # one chain, longer than paths are
    names = ("path", "truncated_path", "adjacency")
    said = jax.device_get(many(lambda arch: {name: space.features(arch, name) for name in names})(archs))
    for i, arch in enumerate(archs):
        inputs, operations = (field.tolist() for field in recurrent_cell(arch))
        expected, carried = set(), set()
        for node in range(1, 9):
            carried.add(4 * edges(8).index((inputs[node - 1], node)) + operations[node - 1])
            path, state = [], node
            while state:
                path, state = [operations[state - 1], *path], inputs[state - 1]
            if output == "all" or node not in inputs:
                expected.add(sum((o + 1) * 4**j for j, o in enumerate(path)) - 1)
        assert {*np.flatnonzero(said["path"][i])} == {p for p in expected if p < num_recurrent_paths(6)}
        assert {*np.flatnonzero(said["truncated_path"][i])} == {p for p in expected if p < num_recurrent_paths(3)}
        assert {*np.flatnonzero(said["adjacency"][i])} == carried


def test_search_cells_are_derived_as_published():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(40, 36, 5)).astype(np.float32)
    logits[0] = 0  # the first of equals
    logits[1, :, 0] += 5  # `none` takes its share, and is never derived
    found, again = jax.device_get(
        many(lambda alpha: (strongest_cell(alpha), strongest_cell(9 * one_hot_edges(strongest_cell(alpha)))))(logits)
    )
    np.testing.assert_array_equal(again, found)
    for alpha, arch in zip(logits, found, strict=True):
        shares = np.exp(alpha) / np.exp(alpha).sum(1, keepdims=True)
        for node, (state, operation) in enumerate(arch.reshape(8, 2), start=1):
            into = shares[[edges(8).index((s, node)) for s in range(node)], 1:]
            assert state == into.max(1).argmax()
            assert operation == into[state].argmax()


@pytest.mark.parametrize(("units", "parameters"), [(850, 22_960_000), (300, 4_810_000), (64, 731_920)])
def test_parameters_of_language_models(units, parameters):
    cost = recurrent_cost(PUBLISHED_RECURRENT["DARTS_V1"], units=units)
    assert cost.parameters == parameters
    assert cost.embedding == 10_000 * units
    assert cost.decoder == 10_000
    assert cost.multiply_adds == cost.embedding + cost.cell
    found = spaces.recurrent_parameters(jnp.asarray(V2), units=units)
    assert found == np.float32(parameters / 1e6)
    assert spaces.recurrent_flops(jnp.asarray(V2), units=units) == np.float32(cost.multiply_adds / 1e6)


def test_costs_refuse_what_no_model_has():
    with pytest.raises(ValueError, match="units is 0, expected at least 1"):
        recurrent_cost(PUBLISHED_RECURRENT["ENAS"], units=0)
    with pytest.raises(TypeError, match=r"words is 1\.5, expected a Python int"):
        spaces.recurrent_flops(V2, words=1.5)
