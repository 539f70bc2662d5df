"""What the parsers of all commands share. Nothing here needs JAX, as little as `--help` does."""

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jnas.core._folder import config_digest

Command = Callable[[argparse.Namespace], None]


def add_command(
    commands: Any,
    name: str,
    words: str,
    run: Command | None = None,
    description: str | None = None,
    *,
    goes_on: bool = False,
) -> Any:
    """Adds a command and returns its parser.

    Args:
      commands: From `add_subparsers`.
      name: Of the command.
      words: The line of it in the list of commands.
      run: Does the command's work; None for one that has commands of its own.
      description: What its help says first; by default the line.
      goes_on: Whether the command that was stopped goes on when it is given again.
    """
    parser = commands.add_parser(
        name,
        help=words,
        description=description or f"{words[0].upper()}{words[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter if description else argparse.HelpFormatter,
        allow_abbrev=False,
    )
    if run is not None:
        parser.set_defaults(run=run)
    if goes_on:
        parser.set_defaults(when_stopped="the same command goes on from here, to the same results")
    return parser


def add_output(parser: Any) -> None:
    """Adds the option that names the table to write."""
    parser.add_argument("-o", "--output", metavar="T.npz", required=True, help="the table to write")


def study_folder(options: argparse.Namespace, parent: str, told: list[Any], config: Mapping[str, Any]) -> Path:
    """Returns a study's folder: `--out`, or one whose name tells studies apart, for the same command to find again.

    Args:
      options: Of the command.
      parent: Where such folders stand.
      told: What the name says in words.
      config: Of the study; a hash of it ends the name.
    """
    if options.out:
        return Path(options.out)
    words = re.sub("[^A-Za-z0-9.]+", "-", "-".join(map(str, told))).strip("-")
    return Path(parent) / f"{words}-{config_digest(config)[:8]}"
