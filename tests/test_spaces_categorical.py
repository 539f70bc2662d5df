"""Categorical spaces and the size space of NATS-Bench: cases worked out by hand, and what their arguments refuse."""

import bz2
import io
import itertools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces

ACTIVATIONS, WIDTHS = ("relu", "gelu"), ("16", "32", "64")


def test_index_counts_lexicographically():
    space = spaces.categorical((2, 1, 3))
    assert space.size == 6
    archs = [space.from_index(jnp.int32(i)).tolist() for i in range(6)]
    assert archs == [list(arch) for arch in itertools.product(range(2), range(1), range(3))]


def test_largest_index_that_fits():
    space = spaces.categorical((2,) * 30)
    assert space.size == 2**30
    assert space.index(jnp.ones(30, jnp.int32)) == 2**30 - 1
    np.testing.assert_array_equal(space.from_index(jnp.int32(2**30 - 1)), np.ones(30))
    assert spaces.categorical((2,) * 31).index is None


def test_strings_by_default():
    space = spaces.categorical((2, 12))
    assert space.to_string([1, 10]) == "1|10"
    np.testing.assert_array_equal(space.from_string("1|10"), [1, 10])


def test_strings_with_names_decisions_and_separator():
    space = spaces.categorical((2, 3), (ACTIVATIONS, WIDTHS), decisions=("activation", "width"), separator=", ")
    assert space.choices == (ACTIVATIONS, WIDTHS)
    assert space.to_string(np.asarray([1, 2])) == "activation=gelu, width=64"
    np.testing.assert_array_equal(space.from_string("activation=relu, width=32"), [0, 1])


def test_one_list_of_names_serves_all_decisions():
    assert spaces.categorical((3, 3), WIDTHS).choices == (WIDTHS, WIDTHS)


@pytest.mark.parametrize(
    "text", [" activation = relu | width = 32\n", "activation= relu|width=32 ", "'activation=relu|width=32'"]
)
def test_blanks_are_passed_over(text):
    space = spaces.categorical((2, 3), (ACTIVATIONS, WIDTHS), decisions=("activation", "width"))
    assert space.from_string(text).tolist() == [0, 1]


def test_names_that_begin_with_blanks_are_told_from_others():
    space = spaces.categorical((3, 2), ((" a", "a", "b "), ("'x'", "x")))
    assert [space.from_string(text).tolist() for text in (" a|'x'", "a|x\n", "  a|x", "b |x")] == [
        [0, 0],
        [1, 1],
        [1, 1],
        [2, 1],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("activation=relu", "has 1 decisions separated by '|', expected 2 as in 'activation=relu|width=16'"),
        ("activation=relu|width=16|", "has 3 decisions"),
        ("width=16|activation=relu", "decision 0 is 'width=16', expected it to start with 'activation='"),
        ("relu|16", "decision 0 is 'relu', expected it to start with 'activation='"),
        ("activation=relu|width=8", "unknown choice '8' at decision 1, expected one of 16, 32, 64"),
        (
            "activation= relo|width=16",
            "unknown choice ' relo' at decision 0; did you mean 'relu'?",
        ),
    ],
)
def test_malformed_strings_are_explained(text, message):
    space = spaces.categorical((2, 3), (ACTIVATIONS, WIDTHS), decisions=("activation", "width"))
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the message holds characters that a pattern would escape)
        space.from_string(text)
    assert message in str(error.value)


def test_neighbors_by_hand():
    archs, valid = spaces.categorical((2, 1, 3)).neighbors(jnp.asarray([1, 0, 1]))
    assert archs.tolist() == [[0, 0, 1], [1, 0, 0], [1, 0, 2]]
    assert valid.tolist() == [True] * 3


def test_mutation_from_chosen_words():
    space = spaces.categorical((2, 1, 4))
    arch = jnp.asarray([1, 0, 2])
    # The first word chooses among the two decisions that have a choice, the second one of their other choices.
    for words, expected in [
        ((0, 0), [0, 0, 2]),
        ((2**31 - 1, 2**32 - 1), [0, 0, 2]),
        ((2**31, 0), [1, 0, 3]),
        ((2**32 - 1, 2**31), [1, 0, 0]),
        ((2**32 - 1, 2**32 - 1), [1, 0, 1]),
    ]:
        assert space.mutate_from(jnp.asarray(words, jnp.uint32), arch).tolist() == expected


def test_one_hot_by_hand():
    space = spaces.categorical((2, 1, 3))
    assert space.features(jnp.asarray([1, 0, 1]), "one_hot").tolist() == [0, 1, 1, 0, 1, 0]
    assert space.features(jnp.asarray([1, 0, 1]), "ordinal").tolist() == [1, 0, 1]


def test_fingerprints_do_not_depend_on_how_an_unindexed_space_is_permuted_by_luck():
    # Sums over positions are symmetric unless each position scrambles its value in its own way.
    space = spaces.categorical((8,) * 12)
    assert space.index is None
    permuted = jnp.asarray(list(itertools.islice(itertools.permutations((0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3)), 20_000)))
    words = np.asarray(jax.jit(jax.vmap(space.fingerprint))(permuted))
    assert len(np.unique(words, axis=0)) == len(np.unique(permuted, axis=0))


def test_equal_arguments_give_the_same_object():
    first = spaces.categorical((2, 3), (ACTIVATIONS, WIDTHS))
    assert first is spaces.categorical([2, np.int64(3)], [list(ACTIVATIONS), list(WIDTHS)], mutation="different")
    assert first is not spaces.categorical((2, 3), (ACTIVATIONS, WIDTHS), mutation="any")
    assert spaces.nats_size() is spaces.nats_size("different") is spaces.nats_size(mutation="different")
    assert spaces.nasbench201() is spaces.nasbench201("edge", isomorphism="skip_and_zero")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_choices": ()}, ValueError, r"num_choices is \(\), expected at least one decision"),
        ({"num_choices": (2, 0)}, ValueError, "expected at least one decision of 1 to 65,536 choices"),
        ({"num_choices": (2, 65_537)}, ValueError, "of 1 to 65,536 choices"),
        ({"num_choices": (1, 1)}, ValueError, "no decision has two choices"),
        ({"num_choices": 5}, TypeError, "num_choices is 5, expected a sequence of ints"),
        ({"num_choices": (2.0, 3)}, TypeError, "expected a sequence of ints"),
        ({"names": "ab"}, TypeError, "names is 'ab', expected a sequence of names for each decision"),
        ({"names": [["a", "b"]]}, ValueError, "names has 1 entries, expected 2, one for each decision"),
        ({"names": ["a", "b"]}, ValueError, r"names\[1\] is .* expected 3 different names"),
        ({"names": [["a", "a"], WIDTHS]}, ValueError, r"names\[0\] is .* expected 2 different names"),
        ({"names": [["a", "b"], [1, 2, 3]]}, TypeError, r"names\[1\] is \[1, 2, 3\], expected a sequence of strings"),
        ({"names": [["a", "b"], 3]}, TypeError, r"names\[1\] is 3, expected a sequence of strings"),
        ({"names": [["a|", "b"], WIDTHS]}, ValueError, "has the name 'a|': it must not be empty or contain '|'"),
        ({"names": [["", "b"], WIDTHS]}, ValueError, "has the name '': it must not be empty"),
        ({"decisions": ("a",)}, ValueError, "decisions is .* expected 2 different names"),
        ({"decisions": ("a", "a")}, ValueError, "decisions is .* expected 2 different names"),
        ({"decisions": "ab"}, TypeError, "decisions is 'ab', expected a sequence of strings"),
        ({"separator": ""}, TypeError, "separator is '', expected a string that is not empty"),
        ({"separator": "1"}, ValueError, "has the name '1': it must not be empty or contain '1'"),
        ({"name": ""}, TypeError, "name is '', expected a string that is not empty"),
        ({"mutation": "edge"}, ValueError, "mutation is 'edge', expected one of 'different', 'any'"),
    ],
)
def test_wrong_arguments_are_explained(arguments, error, message):
    with pytest.raises(error, match=message):
        spaces.categorical(**{"num_choices": (2, 3), **arguments})


# The size space of NATS-Bench


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name} is refused")


def test_size_space_has_the_published_order_and_strings(shared_data):
    file = shared_data / "nats_sss" / "NATS-sss-v1_0-50262-simple" / "meta.pickle.pbz2"
    published = _PlainUnpickler(io.BytesIO(bz2.decompress(file.read_bytes()))).load()["meta_archs"]
    space = spaces.nats_size()
    archs = np.asarray(jax.jit(jax.vmap(space.from_index))(jnp.arange(space.size)))
    assert [space.to_string(arch) for arch in archs] == published


def test_size_space_by_hand():
    space = spaces.nats_size()
    assert space.size == 32768
    np.testing.assert_array_equal(space.from_string("8:16:24:32:64"), [0, 1, 2, 3, 7])
    assert space.to_string([7, 6, 5, 4, 0]) == "64:56:48:40:8"
    assert space.index(jnp.asarray([0, 0, 0, 1, 1])) == 9
    with pytest.raises(ValueError, match="unknown choice '12' at decision 4, expected one of 8, 16, 24"):
        space.from_string("8:8:8:8:12")
    with pytest.raises(ValueError, match="mutation is 'edge', expected one of 'different', 'any'"):
        spaces.nats_size("edge")


def test_size_space_is_a_categorical_space_drawn():
    size, plain = spaces.nats_size(), spaces.categorical((8,) * 5)
    key = jax.random.key(0)
    arch = size.sample(key)
    np.testing.assert_array_equal(arch, plain.sample(jax.random.clone(key)))
    np.testing.assert_array_equal(size.fingerprint(arch), plain.fingerprint(arch))
