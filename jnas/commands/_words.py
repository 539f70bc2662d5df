"""What the parsers of all commands share. Nothing here needs JAX, as little as `--help` does."""

import argparse
import textwrap
from typing import Any


class HelpFormatter(argparse.HelpFormatter):
    """Help whose paragraphs keep to the terminal's width, but for those with indented lines: examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.strip().split("\n\n")
        return "\n\n".join(
            part if "\n  " in part else textwrap.fill(part, width, break_on_hyphens=False) for part in parts
        )


def add_command(
    commands: Any,
    name: str,
    words: str,
    run: str | None = None,
    description: str | None = None,
    *,
    goes_on: bool = False,
    lighter: str | None = None,
) -> Any:
    """Adds a command and returns its parser.

    Args:
      commands: From `add_subparsers`.
      name: Of the command.
      words: The line of it in the list of commands.
      run: The function that does the command's work, as `MODULE:FUNCTION` of this package: it is imported when the
        command runs, so that help does not wait for JAX. None for a command that has commands of its own.
      description: What its help says first; by default the line.
      goes_on: Whether the command that was stopped goes on when it is given again.
      lighter: Options that make the work smaller, in words, for when memory runs out.
    """
    parser = commands.add_parser(
        name,
        help=words,
        description=description or f"{words[0].upper()}{words[1:]}.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(parser=parser)  # of the words that were given
    if run is not None:
        parser.set_defaults(run=run)
    parser.set_defaults(lighter=lighter)
    if goes_on:
        parser.set_defaults(when_stopped="the same command goes on from here, to the same results")
    return parser


def add_figures(parser: Any, more: str = "") -> None:
    """Adds the option that names the folder of pictures for a paper."""
    parser.add_argument(
        "--figures",
        metavar="DIR",
        help="also write every picture as SVG and PDF, for a column and for the width of a page, with its data as CSV"
        + more,
    )


def add_output(parser: Any) -> None:
    """Adds the option that names the table to write."""
    parser.add_argument("-o", "--output", metavar="T.npz", required=True, help="the table to write")
