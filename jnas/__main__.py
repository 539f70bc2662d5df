"""`python -m jnas`, and the program `jnas`: the command line, which Ctrl-C ends from its first moment."""

import importlib
import sys

from jnas.commands._interrupt import leave_at_interrupt
from jnas.commands._streams import prepare_streams


def main() -> int:
    """Runs the command that the process was given, and returns its exit status."""
    prepare_streams()
    leave_at_interrupt()
    status: int = importlib.import_module("jnas.commands._cli").main()  # while this is imported too
    return status


if __name__ == "__main__":
    sys.exit(main())
