"""Words whose fields are described where they are read: in `help()` and in editors."""

import inspect
import re
from typing import TypeVar

T = TypeVar("T", bound=type)


def describe_fields(cls: T) -> T:
    """Returns a `NamedTuple` whose fields have the documentation that its "Attributes" give them.

    Without it `help()` says "Alias for field number 3" of each.

    Example:
      >>> from typing import NamedTuple
      >>> @describe_fields
      ... class Point(NamedTuple):
      ...     '''A place.
      ...
      ...     Attributes:
      ...       across: Meters to the east.
      ...     '''
      ...
      ...     across: float
      >>> Point.across.__doc__
      'Meters to the east.'

    Raises:
      TypeError: A field is not among the attributes, or one of them is no field.
    """
    if cls.__doc__ is None:  # python -OO
        return cls
    # From 3.13 on Python takes the indentation out of docstrings itself.
    _, _, section = inspect.cleandoc(cls.__doc__).partition("Attributes:\n")
    section = re.split(r"\n\s*\n", section, maxsplit=1)[0]
    found = re.findall(r"^ {2}(\w+): (.*(?:\n {4}.*)*)", section, re.MULTILINE)
    told = {name: " ".join(text.split()) for name, text in found}
    fields = cls._fields  # type: ignore[attr-defined]
    if set(told) != set(fields):
        raise TypeError(f"{cls.__name__} has the fields {', '.join(fields)}, and describes {', '.join(told)}")
    for name, text in told.items():
        getattr(cls, name).__doc__ = text
    return cls
