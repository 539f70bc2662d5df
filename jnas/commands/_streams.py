"""Standard streams that are closed, or that cannot show every letter."""

import codecs
import contextlib
import os
import sys
import unicodedata
from typing import Any

_PLAIN = {"×": "x", "±": "+-", "–": "-", "−": "-", "…": "...", "·": "-", "τ": "tau", "α": "alpha"}
_ERRORS = "jnas-plain"
_DEFAULT_ERRORS = ("strict", "surrogateescape", "backslashreplace")


def prepare_streams() -> None:
    """Gives a command streams that it can write to.

    One that is closed leads to nowhere: else a file that is opened later would take its number, and with it what other
    libraries print. What a terminal cannot show is written in plain letters, a file's name in its own bytes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
    codecs.register_error(_ERRORS, _plainly)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", errors=_ERRORS, closefd=False))
        with contextlib.suppress(AttributeError, ValueError):  # not a text stream of files, or closed
            if getattr(sys, name).errors in _DEFAULT_ERRORS:  # others are somebody's wish (PYTHONIOENCODING)
                getattr(sys, name).reconfigure(errors=_ERRORS)


def _plainly(error: UnicodeError) -> tuple[Any, int]:
    """Handles what cannot be encoded, as `codecs.register_error` wants it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":  # of a name that is not text: its byte as it is
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    plain = _PLAIN.get(letter) or unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"
    return plain, error.start + 1
