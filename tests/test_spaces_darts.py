"""The DARTS space: published genotypes and counts, renamed nodes, paths, mutations, sub-spaces."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jnas import searchers, spaces
from jnas.searchers._benchmarks import find_benchmark
from jnas.spaces import PUBLISHED_GENOTYPES, Genotype, arch_of, format_genotype, genotype_cost, genotype_of
from jnas.spaces._registry import check_arch, named_cells
from jnas.spaces.darts._cells import ALL_OPERATIONS, CONCAT, EDGES, OPERATIONS, SHAPE
from jnas.spaces.darts._features import num_paths, path_places
from jnas.spaces.darts._fingerprint import canonical_arch, canonical_cell
from jnas.spaces.darts._subspaces import SUBSPACES

SPACE = spaces.darts()
V2 = arch_of(PUBLISHED_GENOTYPES["DARTS_V2"])
SIZES = ((36, 20), (16, 8), (4, 5))  # channels, layers

COUNTED = {  # parameters, with the auxiliary head, and multiply-adds, at each of the sizes
    "DARTS_V1": ((3169414, 3645840, 500987520), (232890, 668356, 41355776), (10910, 421800, 2255488)),
    "DARTS_V2": ((3349342, 3825768, 528359040), (246106, 681572, 43444736), (11554, 422444, 2369152)),
    "NASNet_A": ((3830950, 4288944, 603452448), (333946, 761220, 56224896), (23950, 432792, 4023072)),
    "AmoebaNet_A": ((3145078, 3603072, 488931552), (326330, 753604, 52873088), (22630, 431472, 3772896)),
}
OF_ONE_OPERATION = {  # at 16 channels and 8 layers, without the head
    "max_pool_3x3": (100730, 20466176),
    "avg_pool_3x3": (100730, 20466176),
    "skip_connect": (143226, 24660480),
    "sep_conv_3x3": (411002, 64047616),
    "sep_conv_5x5": (492922, 81873408),
    "dil_conv_3x3": (255866, 42256896),
    "dil_conv_5x5": (296826, 51169792),
}


def drawn(space, seed, count):
    """Samples `[count, 32]`."""
    return np.asarray(sampler(space)(jax.random.split(jax.random.key(seed), count)))


@functools.cache
def sampler(space):
    return jax.jit(jax.vmap(space.sample))


@functools.cache
def many(function):
    return jax.jit(jax.vmap(function))


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_multiply_adds_of_published_cells(name):
    for (channels, layers), (parameters, with_head, multiply_adds) in zip(SIZES, COUNTED[name], strict=True):
        size = {"channels": channels, "layers": layers}
        cost = genotype_cost(PUBLISHED_GENOTYPES[name], **size)
        assert cost == (parameters, multiply_adds)
        assert genotype_cost(PUBLISHED_GENOTYPES[name], auxiliary=True, **size) == (with_head, multiply_adds)


@pytest.mark.parametrize("operation", OF_ONE_OPERATION)
def test_parameters_and_multiply_adds_of_one_operation(operation):
    cell = ((operation, 0), (operation, 1)) * 4
    found = genotype_cost(Genotype(cell, CONCAT, cell, CONCAT), channels=16, layers=8)
    assert found == OF_ONE_OPERATION[operation]


def test_costs_inside_a_program_are_the_exact_ones():
    archs = np.concatenate([drawn(spaces.darts(none=True), 3, 20), V2[None]])
    size = {"channels": 6, "layers": 7, "classes": 100}
    found = many(
        lambda arch: (
            spaces.darts_parameters(arch, auxiliary=True, **size),
            spaces.darts_flops(arch, image_size=(16, 8), **size),
        )
    )(archs)
    exact = [genotype_cost(genotype_of(a), auxiliary=True, image_size=(16, 8), **size) for a in archs]
    np.testing.assert_allclose(np.transpose(found), np.asarray(exact) / 1e6, rtol=3e-7)


def test_costs_refuse_what_no_network_has():
    genotype = PUBLISHED_GENOTYPES["DARTS_V1"]
    with pytest.raises(ValueError, match="layers is 0, expected at least 1"):
        genotype_cost(genotype, layers=0)
    with pytest.raises(TypeError, match=r"channels is 1\.5, expected a Python int"):
        spaces.darts_parameters(V2, channels=1.5)
    with pytest.raises(ValueError, match="image_size is 18, expected a multiple of 4"):
        spaces.darts_flops(V2, image_size=18)
    wrong = genotype._replace(reduce=(*genotype.reduce[:5], ("sep_conv_4x4", 2), *genotype.reduce[6:]))
    with pytest.raises(ValueError, match=r"edge 5 of reduce .* unknown operation 'sep_conv_4x4'; did"):
        genotype_cost(wrong)


def test_published_genotypes_are_read_back_and_named():
    for genotype in PUBLISHED_GENOTYPES.values():
        assert spaces.parse_genotype(format_genotype(genotype)) == genotype
    four = {"DARTS_V1", "DARTS_V2", "PC_DARTS", "PC_DARTS_ImageNet", "P_DARTS", "GDAS_V1"}
    assert set(named_cells(SPACE)) == four
    assert set(named_cells(spaces.darts(none=True))) == {*four, "BANANAS"}
    for name in four:
        check_arch(SPACE, arch_of(PUBLISHED_GENOTYPES[name]))
        assert genotype_of(arch_of(PUBLISHED_GENOTYPES[name])) == PUBLISHED_GENOTYPES[name]


def test_genotypes_are_read_in_every_form_that_the_field_prints():
    text = format_genotype(PUBLISHED_GENOTYPES["DARTS_V2"])
    forms = (
        text.replace("[2, 3, 4, 5]", "range(2, 6)"),
        text.replace("[2, 3, 4, 5]", "list(range(2, 6))"),
        text.replace("(", " ( ").replace(", ", " ,\n      "),
        f"DARTS_V2 = {text}\n",
        text.replace("[(", "((").replace(")]", "))").replace("[2, 3, 4, 5]", "(2, 3, 4, 5)"),
        text.replace("normal=", "").replace("normal_concat=", "").replace("reduce=", "").replace("reduce_concat=", ""),
    )
    for form in forms:
        np.testing.assert_array_equal(SPACE.from_string(form), V2)
    pairs = [[*zip(cell[::2], cell[1::2], strict=True)] for cell in (genotype_of(V2).normal, genotype_of(V2).reduce)]
    by_node = f"Genotype(normal={pairs[0]}, normal_concat=range(2, 6), reduce={pairs[1]}, reduce_concat=range(2, 6))"
    np.testing.assert_array_equal(SPACE.from_string(by_node), V2)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("('dil_conv_3x3', 2)", "('dil_conv_3x2', 2)", r"edge 7 of normal \(into node 5\) .*; did you mean"),
        ("('dil_conv_3x3', 2)", "('none', 2)", r"edge 7 of normal .* which the space has not, expected one of max"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "edge 7 .* reads state 5, expected an earlier one, 0 to 4"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', '2')", r"edge 7 of normal .* expected \(operation, state\)"),
        (", ('dil_conv_3x3', 2)", "", "normal has 7 edges, expected two for each node"),
        ("reduce_concat=[2, 3, 4, 5]", "reduce_concat=[3, 4, 5]", r"reduce_concat is \[3, .* expected \[2, 3, 4, 5\]"),
        ("reduce_concat=[2, 3, 4, 5]", "reduce_concat=[2, 3, 4, 6]", "expected a list of states from 0 to 5"),
        ("reduce_concat=[2, 3, 4, 5]", "reduced=[2]", "reduce_concat is missing, 'reduced' .* each once"),
        (", ('skip_connect', 0), ('dil_conv_3x3', 2)", "", r"from 0 to 4, since normal has 6 edges, two for each node"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)", r"edge 7 of normal .* is \('dil_conv_3x3', -1\), expected"),
        ("Genotype", "genotype", "expected a text like Genotype"),
    ],
)  # fmt: skip
def test_malformed_genotypes_name_the_edge(old, new, said):
    with pytest.raises(ValueError, match=said):
        SPACE.from_string(format_genotype(PUBLISHED_GENOTYPES["DARTS_V2"]).replace(old, new))


def test_an_input_read_twice_is_not_valid():
    wrong = V2.copy().reshape(SHAPE)
    wrong[1, 2, 1, 0] = wrong[1, 2, 0, 0]
    assert not SPACE.is_valid(wrong.reshape(-1))
    with pytest.raises(ValueError, match=r"edge 5 of reduce \(into node 4\) reads state 0 as edge 4 does"):
        check_arch(SPACE, wrong.reshape(-1))


def all_cells(nodes, operations):
    """All cells of so many nodes, int32 `[N, nodes, 2, 2]`, the two inputs of a node in both orders."""
    edges = [list(itertools.product(range(2 + node), range(operations))) for node in range(nodes)]
    pairs = [[(a, b) for a, b in itertools.product(each, each) if a[0] != b[0]] for each in edges]
    return np.asarray(list(itertools.product(*pairs)), np.int32)


def renamed(cell):
    """All cells that another order of nodes makes of one, in any order of their inputs, as sets of edges."""
    nodes = len(cell)
    for order in itertools.permutations(range(nodes)):
        place = [0, 1, *(2 + order.index(node) for node in range(nodes))]
        new = [frozenset((place[state], operation) for state, operation in cell[node].tolist()) for node in order]
        if all(state < 2 + i for i, edges in enumerate(new) for state, _ in edges):
            yield tuple(new)


@pytest.mark.parametrize(("nodes", "operations"), [(2, 3), (3, 2)])
def test_cells_are_the_same_exactly_if_renaming_makes_them_equal(nodes, operations):
    cells = all_cells(nodes, operations)
    numbers = np.asarray(canonical_cell(jnp.moveaxis(jnp.asarray(cells), 0, -1))).T
    class_of, first = {}, {}
    for cell in cells:
        others = list(renamed(cell))
        number = next((class_of[other] for other in others if other in class_of), len(class_of))
        class_of.update(dict.fromkeys(others, number))
    expected = [class_of[next(renamed(cell))] for cell in cells]
    for number, each in zip(map(bytes, numbers), expected, strict=True):
        assert first.setdefault(number, each) == each  # no two classes share a number,
    assert len(first) == len(set(expected))  # and no class has two


def test_fingerprints_do_not_depend_on_the_order_of_nodes_and_inputs():
    archs = drawn(SPACE, 4, 200)
    rng = np.random.default_rng(0)
    others = []
    for arch in archs:
        cells = []
        for cell in arch.reshape(SHAPE):
            new = list(renamed(cell))
            chosen = new[rng.integers(len(new))]
            cells.append([[sorted(edges)[i] for i in rng.permutation(2)] for edges in chosen])
        others.append(np.asarray(cells).reshape(-1))
    words = np.asarray(many(SPACE.fingerprint)(archs))
    standing = np.asarray(many(canonical_arch)(archs))
    np.testing.assert_array_equal(many(canonical_arch)(np.asarray(others, np.int32)), standing)
    np.testing.assert_array_equal(many(SPACE.fingerprint)(standing), words)
    np.testing.assert_array_equal(many(SPACE.fingerprint)(np.asarray(others, np.int32)), words)
    np.testing.assert_array_equal(SPACE.fingerprint(archs[7]), words[7])
    neighbors, valid = SPACE.neighbors(archs[0])
    assert valid.sum() == 120  # six other operations on each of 16 edges, 0 + 1 + 2 + 3 other states twice in two cells
    around = np.asarray(many(SPACE.fingerprint)(np.concatenate([neighbors, archs[:64]])))[: len(neighbors)][valid]
    assert not np.any(np.all(around == words[0], axis=1))


def paths_of(arch, operations):
    """The places of an architecture's paths, found by walking backwards from every node."""
    found = set()
    for c, cell in enumerate(arch.reshape(SHAPE)):

        def walk(node, after, c=c, cell=cell):
            for state, operation in cell[node].tolist():
                if state >= 2:
                    walk(state - 2, [operation, *after])
                    continue
                whole = sum((o + 1) * operations**j for j, o in enumerate([operation, *after]))
                found.add((2 * c + state) * num_paths(operations) + whole)

        for node in range(4):
            walk(node, [])
    return found  # fmt: skip


@pytest.mark.parametrize("none", [False, True])
def test_paths_are_those_found_by_walking(none):
    space, operations = spaces.darts(none=none), len(OPERATIONS) + none
    archs = drawn(space, 5, 30)
    encodings = ("path", "truncated_path")
    said = many(lambda arch: (path_places(arch, operations), *(space.features(arch, name) for name in encodings)))
    places, encoded, truncated = jax.device_get(said(archs))
    length = 4 * num_paths(operations)
    assert length == (18_724 if none else 11_204)
    kept = num_paths(operations, 2)
    for i, arch in enumerate(archs):
        assert {*places[i].tolist()} - {length} == {*np.flatnonzero(encoded[i])} == paths_of(arch, operations)
        np.testing.assert_array_equal(truncated[i], encoded[i].reshape(4, -1)[:, :kept].reshape(-1))


def test_no_encoding_is_larger_on_the_way_than_it_ends():
    """But for its own size, of which a scatter has two or three, no array is larger than some hundred numbers."""
    for name in ("path", "truncated_path", "adjacency"):
        program = jax.make_jaxpr(lambda arch, name=name: SPACE.features(arch, name))(V2)
        sizes = [out.aval.size for out in all_results(program.jaxpr)]
        assert max(sizes) <= max(SPACE.features(V2, name).size, 128)


def all_results(jaxpr):
    for equation in jaxpr.eqns:
        yield from equation.outvars
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from all_results(inner)


def test_graphs_join_operations_as_the_cells_do():
    graph = jax.device_get(SPACE.features(V2, "graph"))
    kinds = graph.nodes.argmax(-1)
    assert kinds[:11].tolist() == [1, 2, *(3 + V2.reshape(2, 8, 2)[0, :, 1]), 0]
    assert kinds[11:].tolist() == [1, 2, *(10 + V2.reshape(2, 8, 2)[1, :, 1]), 0]
    for c, cell in enumerate(V2.reshape(2, 8, 2)):
        matrix = graph.adjacency[11 * c : 11 * c + 11, 11 * c : 11 * c + 11]
        expected = np.zeros((11, 11))
        expected[2:10, 10] = 1
        for i, (state, _) in enumerate(cell):
            expected[[state] if state < 2 else [2 * state - 2, 2 * state - 1], 2 + i] = 1
        np.testing.assert_array_equal(matrix, expected)
    assert not graph.adjacency[:11, 11:].any()
    assert not graph.adjacency[11:, :11].any()


@pytest.mark.statistical
@pytest.mark.parametrize("mutation", ["one_decision", "regularized_evolution", "naszilla"])
def test_mutations_choose_decisions_as_published(mutation):
    space, draws = spaces.darts(mutation), 20_000
    mutants = np.asarray(
        jax.jit(jax.vmap(space.mutate, (0, None)))(jax.random.split(jax.random.key(9), draws), jnp.asarray(V2))
    )
    changed = mutants != V2
    counts = changed.sum(0).reshape(SHAPE)
    node = np.arange(4)
    if mutation == "one_decision":
        states, operations = np.where(node > 0, 1 / 28, 0), np.full(4, 1 / 28)
    elif mutation == "regularized_evolution":
        states, operations = np.where(node > 0, 1 / 32, 0), np.where(node > 0, 1 / 32, 2 / 32)
    else:  # of all, so that it may be the one that it has, or the other input's
        states, operations = node / (node + 2) / 32, np.full(4, 6 / 7 / 32)
    probability = np.broadcast_to(np.stack([states, operations], -1)[None, :, None], SHAPE)
    assert not counts[probability == 0].any()
    assert np.all(changed.sum(1) <= 1)
    stays = 1 - probability.sum()
    observed, expected = counts[probability > 0], draws * probability[probability > 0]
    if mutation == "naszilla":
        observed, expected = np.append(observed, draws - counts.sum()), np.append(expected, draws * stays)
    assert stats.chisquare(observed, expected).pvalue > 5e-4
    kept = mutants[:, 31][mutants[:, 31] != V2[31]]  # the last operation's new value is uniform over the six others
    assert stats.chisquare(np.unique(kept, return_counts=True)[1]).pvalue > 5e-4


def valid_in(name, archs):
    """Whether every operation stands in its edge's list."""
    for arch in archs:
        for c, cell in enumerate(arch.reshape(2, 8, 2)):
            for i, (state, operation) in enumerate(cell):
                names = SUBSPACES[name][c][EDGES.index((state, i // 2))]
                assert ALL_OPERATIONS[operation] in names
        check_arch(SPACE, arch)


@pytest.mark.parametrize("name", ["s1", "s4"])
def test_sub_spaces_stay_within_the_operations_of_each_edge(name):
    space = spaces.darts(operations=name)
    assert spaces.from_config(space.config) is space
    assert json.loads(space.config)["operations"] == name
    archs = drawn(space, 6, 100)
    valid_in(name, archs)
    keys = jax.random.split(jax.random.key(7), 100)
    mutants = np.asarray(jax.jit(jax.vmap(space.mutate))(keys, archs))
    assert (mutants != archs).any(1).all()
    valid_in(name, mutants)
    neighbors, valid = jax.device_get(many(space.neighbors)(archs[:10]))
    assert np.all(valid.sum(1) == 16 + 24)  # the other operation of an edge, or another state
    valid_in(name, neighbors[valid])
    assert np.all(np.asarray(many(space.is_valid)(archs)))
    assert not SPACE.is_valid(archs[0]) or name == "s1"
    np.testing.assert_array_equal(space.from_string(space.to_string(archs[0])), archs[0])
    with pytest.raises(ValueError, match=r"edge 0 .* 'sep_conv_5x5' from state \d, expected one"):
        space.from_string(format_genotype(genotype_of(np.where(np.arange(32) == 1, 4, archs[0]))))


def test_bananas_searches_as_published():
    """All paths, and mutants beside random architectures; its slow networks by name."""
    searcher = searchers.make("bananas", SPACE, preset="darts", num_init=3, batch_size=2)
    state = jax.eval_shape(lambda key: searcher.init(key, 6), jax.random.key(0))
    assert jax.eval_shape(searcher.ask, state)[0].archs.shape == (2, 32)
    with pytest.raises(ValueError, match="preset is 'dart'; did you mean 'darts'"):
        searchers.make("bananas", SPACE, preset="dart")
    settings = find_benchmark("darts").settings["bananas"]
    assert settings == {"candidates": "mutation_random", "encoding": "path"}


def test_arguments_are_refused_in_a_sentence():
    for arguments, said in (
        ({"mutation": "one"}, "mutation is 'one'.* expected one of 'one_decision'"),
        ({"operations": "s5"}, "operations is 's5'.* expected one of 's1'"),
        ({"operations": ["skip_connect"]}, r"operations\[0\]\[0\] is \('skip_connect',\), expected at least two"),
        ({"operations": ["skip_connect", "sep"]}, r"an operation in operations\[0\]\[0\] is 'sep'"),
        ({"operations": [["skip_connect"]]}, "expected 's1', 's2', 's3', 's4', a list of names, or"),
        ({"operations": ["none", "skip_connect"], "none": True}, "none is True beside operations"),
    ):
        with pytest.raises(ValueError, match=said):
            spaces.darts(**arguments)
    with pytest.raises(TypeError, match="none is 1, expected True or False"):
        spaces.darts(none=1)
    few = spaces.darts(operations=["skip_connect", "sep_conv_3x3"])
    np.testing.assert_array_equal(drawn(few, 8, 3), drawn(spaces.darts(operations="s2"), 8, 3))
