"""The command line: the commands, and what becomes of errors.

The options of the commands stand in files that need no JAX; the file of a command's work is imported when it runs.
"""

import argparse
import importlib
import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from jnas.commands._completion import add_completion
from jnas.commands._interrupt import leave_at_interrupt, say_when_stopped, stopped_text
from jnas.commands._machine import machine_sentence
from jnas.commands._search_options import add_search
from jnas.commands._streams import prepare_streams
from jnas.commands._study_options import add_predictors, add_proxies, add_report, add_study, add_supernet
from jnas.commands._table_options import add_import, add_looks
from jnas.commands._training_options import add_build, add_train
from jnas.commands._words import HelpFormatter, add_command
from jnas.core._devices_used import other_devices
from jnas.core._version import __version__
from jnas.io._leaving import leave
from jnas.io._text import did_you_mean, short

_EXAMPLES = """\
a first study, on the table that comes with jnas (real trainings on 8x8 digits):
  jnas study

the comparison of NAS-Bench-201, from its published file:
  jnas table import nas-bench-201 NAS-Bench-201-v1_1-096897.pth -o nb201.npz
  jnas study --table nb201.npz
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, which offers the nearest word for one that it does not know."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's own, which does not offer the nearest option."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            chosen = getattr(found, "parser", self)
            offer = did_you_mean(unknown[0].partition("=")[0], chosen.option_names())
            chosen.error(f"unrecognized arguments: {short(' '.join(unknown), 200)}{offer}")
        return found

    def option_names(self) -> list[str]:
        """Returns the options that the help shows."""
        shown = [action for action in self._actions if action.help is not argparse.SUPPRESS]
        return [name for action in shown for name in action.option_strings]

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        value = super()._get_values(action, arg_strings)
        if action.nargs is None and isinstance(value, list):  # `--table=--`: argparse takes the word for no word at all
            value = self._get_value(action, "--")
            self._check_value(action, value)
        return value

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            told = f"invalid choice: {short(repr(value))}{did_you_mean(value, known) or ','} expected one of"
            raise argparse.ArgumentError(action, f"{told} {', '.join(known)}")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0, 2 for what the user can mend, 130 where Ctrl-C stopped it.

    SIGTERM ends the process with 143.
    """
    prepare_streams()
    if argv is None:  # otherwise somebody else's process, who hears KeyboardInterrupt
        leave_at_interrupt()
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _make_parser()
    options = parser.parse_args(words)
    say_when_stopped(options.when_stopped)
    if options.run is None:
        parser.print_help()
        return 2
    options.command = shlex.join(["jnas", *words])
    try:
        module, function = options.run.split(":")
        with other_devices(getattr(options, "allow_other_device", False)):
            getattr(importlib.import_module(f"jnas.commands.{module}"), function)(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(stopped_text(), file=sys.stderr, flush=True)
        if argv is None:  # threads that compile cannot be stopped, and nobody waits for their programs
            sys.stdout.flush()
            leave(130)
        return 130
    except BrokenPipeError:  # who read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError) as error:
        if os.environ.get("JNAS_TRACEBACK"):
            raise
        said = _as_typed(_sentence(error), getattr(options, "parser", parser))
        _complain(f"error: {said}")
        return 2
    except Exception as error:
        told = None if os.environ.get("JNAS_TRACEBACK") else machine_sentence(error, options.lighter)
        if told is None:
            raise
        _complain(f"error: {told}")
        return 2
    return 0


def _complain(text: str) -> None:
    print(f"jnas: {text}", file=sys.stderr, flush=True)


def _as_typed(text: str, parser: argparse.ArgumentParser) -> str:
    """Returns a message with Python's names of arguments (`data_dir`) as the options that were typed (`--data-dir`).

    Names of one word are words too and stay. So does the name of a searcher's setting, where it is told as one
    (`bananas:batch_size=0`), which may be that of an option.
    """
    for action in parser._actions:
        name = action.dest
        if "_" in name and f"--{name.replace('_', '-')}" in action.option_strings and f":{name}=" not in text:
            text = re.sub(rf"(?<![\w.:/'\"-]){name}(?![\w./'\"=(-])", f"--{name.replace('_', '-')}", text)
    return text


def _sentence(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error) or type(error).__name__
    if error.filename:
        return f"{error.strerror}: {error.filename}"
    plain = error.strerror == os.strerror(error.errno or 0)  # nobody has said of which file: then it is the output
    return f"cannot write the output: {error.strerror}" if plain else error.strerror


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="jnas",
        description="Neural architecture search as pure functions in JAX: studies of searchers, and benchmark tables.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jnas {__version__}")
    parser.set_defaults(run=None, when_stopped="nothing was written", lighter=None, whole=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (
        add_study,
        add_predictors,
        add_proxies,
        add_report,
        add_train,
        add_search,
        add_supernet,
        add_completion,
    ):
        add(commands)
    table = add_command(commands, "table", "make a table, from published files or by training, and look into it")
    inner = table.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (add_import, add_build, add_looks):
        add(inner)
    return parser
