"""The spaces of NAS-Bench-Graph, NAS-Bench-Macro and TransNAS-Bench-101: counts, strings, which encodings are one."""

import itertools

import jax
import numpy as np
import pytest

from jnas import spaces
from jnas.spaces._nasbench_graph import LINKS, OPERATIONS, nasbench_graph_key


def computed(links, names):
    """What a cell computes, as sums of nested calls, the raw input itself being left out of the output."""
    values = ["x"]
    for link, name in zip(links, names, strict=True):
        values.append(values[link] if name == "skip" else f"{name}({values[link]})")
    ends = [value for node, value in enumerate(values) if node and node not in links]
    return tuple(sorted(value for value in ends if value != "x"))


class TestGraph:
    space = spaces.nasbench_graph()

    def test_one_index_is_one_function(self):
        """Of random encodings: those of one key compute the same, but for the raw input at the output."""
        rng = np.random.default_rng(0)
        encodings = np.concatenate([rng.integers(0, 9, (2000, 5)), rng.choice([1, 7, 8], (1500, 5))])
        encodings[:, 0] = rng.integers(0, 9, len(encodings))
        valid, index = jax.jit(jax.vmap(lambda a: (self.space.is_valid(a), self.space.index(a))))(encodings)
        np.testing.assert_array_equal(valid, (encodings[:, 1:] != 8).any(axis=1))
        stands_for = np.asarray(jax.jit(jax.vmap(self.space.from_index))(index))
        for arch, other in zip(encodings[valid], stands_for[valid], strict=True):
            own, its = (computed(LINKS[a[0]], [OPERATIONS[c] for c in a[1:]]) for a in (arch, other))
            assert own == its
            assert nasbench_graph_key(arch) == nasbench_graph_key(other) == int("".join(map(str, other)))

    def test_other_orders_of_nodes_are_read(self):
        """Every list of inputs of four nodes is one of nine patterns."""
        rng = np.random.default_rng(1)
        for links in itertools.product([0], [0, 1], range(3), range(4)):
            names = [OPERATIONS[c] for c in rng.integers(0, 9, 4)]
            arch = self.space.from_string(f"Arch({list(links)}, {names})")
            assert computed(LINKS[arch[0]], [OPERATIONS[c] for c in arch[1:]]) == computed(links, names)
        assert nasbench_graph_key(self.space.from_string("Arch([0,1,2,1],['gcn','gin','fc','cheb'])")) == 61237
        assert self.space.from_string("61237").tolist() == [6, 1, 2, 3, 7]

    @pytest.mark.parametrize(
        "text", ["Arch([0, 1, 2, 4], ['gcn', 'gin', 'fc', 'gcn'])", "Arch([0, 1], ['gcn'])", "gcn", "8", "99999"]
    )
    def test_what_is_no_cell_is_refused(self, text):
        with pytest.raises(ValueError, match=r"is no (cell|key) of NAS-Bench-Graph"):
            self.space.from_string(text)

    def test_unknown_operations_and_nothing_but_skips(self):
        with pytest.raises(ValueError, match="an operation is 'gatt'; did you mean 'gat'"):
            self.space.from_string("Arch([0, 0, 0, 0], ['gatt', 'gcn', 'fc', 'fc'])")
        with pytest.raises(ValueError, match="skip connections alone"):
            nasbench_graph_key([0, 8, 8, 8, 8])


def test_identities_within_a_stage_may_stand_anywhere():
    """The stages are the layers 0-1, 2-4 and 5-7; the first layer of each stays what it is."""
    space = spaces.nasbench_macro()
    seen = jax.jit(space.fingerprint)

    def same(one, other):
        return seen(space.from_string(one)).tolist() == seen(space.from_string(other)).tolist()

    assert same("22102102", "22120120")
    assert not same("22102102", "22210210")
    assert not same("02122122", "20122122")
    assert not same("22012220", "22102220")
    assert not same("22112220", "22122210")
    for text in ("2221222", "22212223", ""):
        with pytest.raises(ValueError, match="expected eight digits from 0 to 2"):
            space.from_string(text)


def test_backbones_are_those_of_the_benchmark():
    space = spaces.transnas_macro()
    texts = {space.to_string(arch) for arch in np.asarray(jax.vmap(space.from_index)(np.arange(space.size)))}
    expected = {
        f"64-{''.join(code)}-basic"
        for length in (4, 5, 6)
        for code in itertools.product("1234", repeat=length)
        if 1 <= sum(c in "34" for c in code) <= 4 and 1 <= sum(c in "24" for c in code) <= 3
    }
    assert texts == expected
    assert {"64-1234-basic", "64-4111-basic", "64-2311-basic"} <= texts
    assert not bool(space.is_valid(space.from_string("64-1111-basic")))
    for text in ("64-123-basic", "64-1235-basic", "64-41414-1_02_333", "64-1234567-basic"):
        with pytest.raises(ValueError, match="is no backbone of TransNAS-Bench-101"):
            space.from_string(text)


def test_cells_of_transnas_are_read_by_their_digits():
    space = spaces.transnas_micro()
    arch = space.from_string(" '64-41414-1_02_333'\n")
    assert [space.choices[e][choice] for e, choice in enumerate(arch)][:3] == ["skip_connect", "none", "nor_conv_1x1"]
    assert space.to_string(arch) == "64-41414-1_02_333"
    assert int(space.index(arch)) == int("102333", 4)
    with pytest.raises(ValueError, match="each digit from 0 to 3"):
        space.from_string("64-41414-1_02_334")
