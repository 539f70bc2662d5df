"""Spaces by name, and from the configuration that table files and study folders carry."""

import json
from collections.abc import Callable

from jnas.core._vocabulary import Space
from jnas.io._text import short
from jnas.spaces._categorical import categorical
from jnas.spaces._nats_size import nats_size
from jnas.spaces.nasbench101._configurations import nasbench101_configuration_space
from jnas.spaces.nasbench101._space import nasbench101
from jnas.spaces.nasbench201._space import nasbench201

_NAMED: dict[str, Callable[..., Space]] = {
    "nasbench101": nasbench101,
    "nasbench201": nasbench201,
    "nats_size": nats_size,
}
_KINDS: dict[str, Callable[..., Space]] = {
    "categorical": categorical,
    **_NAMED,
    "nasbench101_configurations": nasbench101_configuration_space,
}


def names() -> tuple[str, ...]:
    """Returns the names of the spaces that `get` knows."""
    return tuple(_NAMED)


def get(name: str) -> Space:
    """Returns the space of that name with its default arguments.

    Raises:
      ValueError: There is no such space.
    """
    if name not in _NAMED:
        raise ValueError(
            f"there is no space named {name!r}, expected one of {', '.join(_NAMED)}; "
            "other products of choices are made by jnas.spaces.categorical"
        )
    return _NAMED[name]()


def from_config(config: str) -> Space:
    """Returns the space that a `Space.config` describes: the same object, if that one came from this process.

    Args:
      config: JSON, an object with `kind` (a name in `jnas.spaces`) and the arguments of that function.

    Raises:
      TypeError: The configuration is not a string.
      ValueError: It is no such JSON, names an unknown kind, or has arguments that the kind does not take.
    """
    if not isinstance(config, str):
        raise TypeError(f"config is {type(config).__name__}, expected the JSON string in Space.config")
    try:
        arguments = json.loads(config)
    except ValueError as error:
        raise ValueError(
            f"config {short(repr(config), 200)} is not JSON ({error}); pass the string in Space.config"
        ) from None
    if not isinstance(arguments, dict) or not isinstance(arguments.get("kind"), str):
        raise ValueError(
            f"config {short(repr(config), 200)} is no JSON object with a 'kind'; pass the string in Space.config"
        )
    kind = arguments.pop("kind")
    if kind not in _KINDS:
        raise ValueError(
            f"config names the space {kind!r}, which jnas does not have; expected one of {', '.join(_KINDS)}. "
            "For a space of your own, pass the Space itself"
        )
    try:
        return _KINDS[kind](**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config {short(repr(config), 200)} does not describe a space: {error}") from error
