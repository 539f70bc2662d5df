"""Spaces by name and from configurations."""

import json

import pytest

from jnas import spaces


@pytest.mark.parametrize("name", spaces.names())
def test_spaces_by_name_have_that_name_and_default_arguments(name):
    assert spaces.get(name).name == name
    assert spaces.get(name) is getattr(spaces, name)()
    assert json.loads(spaces.get(name).config)["kind"] == name


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"no space 'nasbench102'; did you mean 'nasbench101'\? expected one of nasb"):
        spaces.get("nasbench102")


def test_configuration_of_a_users_product_of_choices():
    space = spaces.categorical((2, 2), (("a", "b"), ("c", "d")), name="mine", separator=";", mutation="any")
    assert spaces.from_config(space.config) is space
    assert spaces.from_config('{"kind": "categorical", "num_choices": [2, 2]}').to_string([0, 1]) == "0|1"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "config '' is not JSON"),
        ("nasbench201", "config 'nasbench201' is not JSON .*; pass the string in Space.config"),
        ("[1]", "is no JSON object with a 'kind'"),
        ("null", "is no JSON object with a 'kind'"),
        ("{}", "is no JSON object with a 'kind'"),
        ('{"kind": ["categorical"]}', "is no JSON object with a 'kind'"),
        (
            '{"kind": "nasnet"}',
            "'nasnet', which jnas does not have; expected one of categorical, .* pass the Space itself",
        ),
        ('{"kind": "__class__"}', "'__class__', which jnas does not have"),
        ('{"kind": "nasbench201", "colour": 3}', "does not describe a space: .*colour"),
        (
            '{"kind": "nasbench201", "mutation": "x"}',
            "does not describe a space: mutation is 'x', expected one of 'edge'",
        ),
        ('{"kind": "nasbench201", "mutation": ["edge"]}', "does not describe a space"),
        ('{"kind": "nats_size", "mutation": {}}', "does not describe a space"),
        ('{"kind": "categorical"}', "does not describe a space: .*num_choices"),
        ('{"kind": "categorical", "num_choices": [2, "3"]}', "does not describe a space: num_choices is"),
        ('{"kind": "categorical", "num_choices": {"2": 3}}', "does not describe a space: num_choices is"),
        ('{"kind": "categorical", "num_choices": [2], "names": {}}', "does not describe a space: names is"),
        ('{"kind": "categorical", "num_choices": [2], "decisions": [[]]}', "does not describe a space: decisions is"),
        ('{"kind": "categorical", "num_choices": [2], "decisions": 7}', "does not describe a space: decisions is"),
        ('{"kind": "categorical", "num_choices": [2], "mutation": []}', "does not describe a space: mutation is"),
    ],
)
def test_foreign_configurations_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        spaces.from_config(config)


def test_long_foreign_configurations_are_cut_in_messages():
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the length is what is tested)
        spaces.from_config("x" * 100_000)
    assert len(str(error.value)) < 500


def test_configurations_are_strings():
    with pytest.raises(TypeError, match=r"config is dict, expected the JSON string in Space.config"):
        spaces.from_config({"kind": "nasbench201"})


def test_everything_public_is_exported():
    assert len(set(spaces.__all__)) == len(spaces.__all__)
    assert all(hasattr(spaces, name) for name in spaces.__all__)
