"""Things that are known by name: a row each, and the one sentence for a name that is none of theirs."""

from collections.abc import Iterable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from jnas.io._text import did_you_mean, short

DEFAULT_SPACE = "nasbench201"
"""The space of commands and networks unless told otherwise: that of the table that comes with jnas."""


class Named(Protocol):
    """What can be a row."""

    @property
    def name(self) -> str:
        """Returns the name by which a row is found."""
        ...


Row = TypeVar("Row", bound=Named)


class Registry(NamedTuple, Generic[Row]):
    """Rows by their names, in the order in which lists show them."""

    kind: str  # what a row is, in messages
    rows: dict[str, Row]
    otherwise: str = ""  # what else to do about an unknown name, for the end of the sentence

    def names(self) -> tuple[str, ...]:
        """Returns the names of all rows."""
        return tuple(self.rows)

    def entry(self, name: str) -> Row:
        """Returns the row of that name.

        Raises:
          ValueError: There is none; the message offers the nearest name, and lists all.
        """
        if name not in self.rows:
            raise unknown_name(self.kind, name, self.rows, self.otherwise)
        return self.rows[name]


def make_registry(kind: str, rows: Sequence[Row], otherwise: str = "") -> Registry[Row]:
    """Returns the registry of some rows.

    Example:
      >>> from types import SimpleNamespace
      >>> recipes = make_registry("recipe", [SimpleNamespace(name="short"), SimpleNamespace(name="long")])
      >>> recipes.entry("shirt")
      Traceback (most recent call last):
      ValueError: there is no recipe 'shirt'; did you mean 'short'? expected one of short, long
    """
    return Registry(kind, {row.name: row for row in rows}, otherwise)


def unknown_name(kind: str, name: Any, known: Iterable[str], otherwise: str = "") -> ValueError:
    """Returns the error that says that a name is not known, with the nearest one that is.

    Args:
      kind: What the name should have been of.
      name: What was given.
      known: All names.
      otherwise: What else to do, for the end of the sentence.
    """
    names = list(known)
    offer = did_you_mean(name, names) or ","
    end = f"; {otherwise}" if otherwise else ""
    return ValueError(f"there is no {kind} {short(repr(name))}{offer} expected one of {', '.join(names)}{end}")
