"""What a searcher or a predictor was made with, as it says itself: folders of studies are told apart by that too."""

import functools
import inspect
import json
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import jax
import numpy as np

from jnas.core._vocabulary import Space

_Arguments = ParamSpec("_Arguments")
_Made = TypeVar("_Made")
_OTHERWISE_KNOWN = ("supernet", "searcher", "budgets", "name")  # a study says these in words of its own


def recorded(factory: Callable[_Arguments, _Made]) -> Callable[_Arguments, _Made]:
    """Returns a factory whose products say in `made_with` which arguments it was given, defaults included, as JSON.

    A factory that calls another such one adds its own arguments to those. Of a space there is the mutation alone. What
    it makes is a named tuple, or a function, which gets a `name` too.
    """
    signature = inspect.signature(factory)

    @functools.wraps(factory)
    def recording(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Made:
        made: Any = factory(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if name not in _OTHERWISE_KNOWN}
        if isinstance(space := given.pop("space", None), Space):
            given |= _mutation(space)
        told = {name: _as_json(value) for name, value in given.items()}
        said = json.dumps(arguments_of(made) | told)
        if inspect.isfunction(made):
            vars(made).update(name=factory.__name__, made_with=said)
        else:
            made = made._replace(made_with=said)
        return cast(_Made, made)

    return recording


def arguments_of(made: Any) -> dict[str, Any]:
    """Returns what was given to the factory of a searcher, a predictor or a setting; nothing of one that says nothing.

    Example:
      >>> arguments_of(jnas.searchers.tpe(jnas.spaces.nasbench201()))["gamma"]
      0.25
    """
    return dict(json.loads(getattr(made, "made_with", "") or "{}"))


def _mutation(space: Space) -> dict[str, Any]:
    try:
        said = json.loads(space.config)
        return {"mutation": said["mutation"]} if said["mutation"] else {}
    except (ValueError, TypeError, KeyError):  # it has none, or is a space of one's own, which may say anything
        return {}


def _as_json(value: Any) -> Any:
    """Returns the same for JSON; of what has no place there its kind, of rates that are being traced as well."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, float | np.number):
        return value.item() if isinstance(value, np.integer) else _number(float(value))
    if isinstance(value, jax.core.Tracer):
        return "traced"
    if isinstance(value, np.ndarray | jax.Array):
        return _as_json(np.asarray(value).tolist())
    if hasattr(value, "made_with"):
        return {"name": value.name, **arguments_of(value)}
    if hasattr(value, "_asdict"):
        return {name: _as_json(field) for name, field in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _as_json(each) for name, each in value.items()}
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
