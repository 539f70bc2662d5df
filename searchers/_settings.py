"""Settings of what is known by name, as text: `NAME:SETTING=VALUE:SETTING=VALUE`, by the names of its arguments."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from jnas.io._text import did_you_mean, filled, nearest, short

_WORDS = {
    int: "an integer below 2**31",
    float: "a number",
    bool: "true or false",
    str: "a text",
    types.NoneType: "none",
}
_NOT_SETTINGS = ("budgets", "name", "num_objectives", "steps_per_epoch")  # a study gives these
_LIBRARIES = ("optuna",)  # in names of two parts, as in `optuna:TPESampler`


class Spec(NamedTuple):
    """What a text such as `bohb@12:eta=4` names."""

    name: str
    level: str | None  # what stands after `@`
    settings: Mapping[str, str]


def read_spec(text: str) -> Spec:
    """Returns what a text names; `@LEVEL` may stand at the end of any part.

    Raises:
      ValueError: A part is no `SETTING=VALUE`, or a setting is there twice.

    Example:
      >>> read_spec("bohb@12:eta=4")
      Spec(name='bohb', level='12', settings={'eta': '4'})
      >>> read_spec("optuna:TPESampler:n_startup_trials=20").name
      'optuna:TPESampler'
    """
    bare, at, level = text.partition("@")
    level, colon, rest = level.partition(":")
    name, *parts = f"{bare}{colon}{rest}".split(":")
    if name in _LIBRARIES and parts and "=" not in parts[0]:
        name, parts = f"{name}:{parts[0]}", parts[1:]
    settings: dict[str, str] = {}
    for part in parts:
        setting, equals, value = part.partition("=")
        if not (setting and equals and value) or setting in settings:
            raise ValueError(f"{text} has {part!r}, expected each setting once, as in {name}:SETTING=VALUE")
        settings[setting] = value
    return Spec(name, level if at else None, settings)


Factories = Callable[..., Any] | Sequence[Callable[..., Any]] | None
"""A function whose keyword arguments are settings, or several, or none."""


def setting_names(factory: Factories) -> list[str]:
    """Returns the arguments of a factory that a text can give; `first.second` is a field of an argument."""
    return list(_kinds(factory))


def read_settings(
    what: str, factory: Factories, given: Mapping[str, str], before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns the arguments of a factory that texts stand for, with those that were set before.

    Args:
      what: Who has the settings, for messages: `the searcher bohb`.
      factory: Whose arguments they are, or several of them; None has none.
      given: The texts, by the arguments' names.
      before: Arguments that were set before; a text may change a field of one.

    Raises:
      ValueError: There is no such setting, or it has no such values.
    """
    kinds, read = _kinds(factory), dict(before or {})
    for setting, text in given.items():
        if setting not in kinds:
            near = nearest(setting, kinds)
            meant = "" if near is None else f" (did you mean {near!r}?)"
            known = f"expected one of {', '.join(kinds)}" if kinds else "for it has none that a text can give"
            raise ValueError(f"{what} has no setting {setting!r}{meant}, {known}")
        value = _read(f"{setting} of {what}", text, kinds[setting].takes)
        argument, _, field = setting.partition(".")
        if field:
            value = read.get(argument, kinds[setting].whole)._replace(**{field: value})
        read[argument] = value
    return read


@contextmanager
def naming(text: str) -> Iterator[None]:
    """Says of which text it is where what is made with its settings finds one of them wrong."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text}: {error}" if ":" in text else str(error)) from error


def settings_text(factories: Mapping[str, Factories]) -> list[str]:
    """Returns lines that say which settings each of some names has, those of the same ones together."""
    alike: dict[str, list[str]] = {}
    for name, factory in factories.items():
        alike.setdefault(", ".join(setting_names(factory)), []).append(name)
    listed = [filled(f"  {', '.join(names)}: {settings}", "    ") for settings, names in alike.items() if settings]
    return ["settings, to change as in NAME:SETTING=VALUE:SETTING=VALUE", *listed] if listed else []


class _Kind(NamedTuple):
    takes: list[Any]  # types, and words that are taken as they are
    whole: Any  # of a field: the default of the argument that has it


def _kinds(factory: Factories) -> dict[str, _Kind]:
    if factory is None:
        return {}
    if isinstance(factory, Sequence):
        return {name: kind for each in factory for name, kind in _kinds(each).items()}
    hints, found = typing.get_type_hints(factory), dict[str, _Kind]()
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY or name in _NOT_SETTINGS:
            continue
        default = parameter.default
        if hasattr(default, "_fields"):
            fields = typing.get_type_hints(type(default))
            each = {f"{name}.{f}": _Kind(_takes(fields[f], getattr(default, f)), default) for f in default._fields}
        else:
            each = {name: _Kind(_takes(hints[name], default), None)}
        found |= {n: kind for n, kind in each.items() if set(kind.takes) - {types.NoneType}}
    return found


def _takes(hint: Any, default: Any) -> list[Any]:
    """Returns of an argument's type what a text can give."""
    if hint is Any:  # a rate, which may be traced
        return [bool] if isinstance(default, bool) else [float, *([types.NoneType] if default is None else [])]
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return [each for inner in typing.get_args(hint) for each in _takes(inner, default)]
    if origin is Literal:
        return list(typing.get_args(hint))
    return [hint] if hint in _WORDS else []


def _read(what: str, text: str, takes: list[Any]) -> Any:
    if text in takes:
        return text
    if types.NoneType in takes and text.lower() == "none":
        return None
    if bool in takes and text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        if kind in takes or (kind is int and float in takes):
            try:
                number = kind(text)
            except ValueError:
                continue
            if kind is float or abs(number) < 2**31:
                return number
    if str in takes:
        return text
    words = " or ".join(_WORDS.get(each, repr(each)) for each in takes)
    offer = did_you_mean(text, [each for each in takes if isinstance(each, str)]) or ","
    raise ValueError(f"{what} is {short(repr(text))}{offer} expected {words}")
