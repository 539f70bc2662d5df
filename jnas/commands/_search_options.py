"""The options of `jnas search`."""

from typing import Any

from jnas.commands._training_options import add_training_options
from jnas.commands._words import add_command
from jnas.studies._settings import add_settings
from jnas.studies.trainings._settings import SEARCHED_SETTINGS, TRAINING_SEARCH_SETTINGS

_SEARCH = """\
Searches for architectures whose every evaluation is a real training, over several seeds, and writes a report. What the
seeds propose is trained together, what several of them ask for once. DIR gets report.html, summary.csv, fronts.csv,
evaluations.csv, curves.csv of every training, and table.npz, on which `jnas study` and `jnas predictors` run. Stopped
at any moment, the same command goes on, to the same results.
"""


def add_search(commands: Any) -> None:
    """Adds `jnas search`."""
    words = "search for architectures by real trainings, over several seeds"
    lighter = "--chunk-size or --batch-size, or give --rematerialize, with another --out"
    parser = add_command(commands, "search", words, "_search:run_search", _SEARCH, goes_on=True, lighter=lighter)
    add_settings(parser, (*SEARCHED_SETTINGS, *TRAINING_SEARCH_SETTINGS[:-1]))
    add_training_options(parser)
