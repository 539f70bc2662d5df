"""What the commands that carry out a study have in common: its folder, and what they say when it is done."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jnas.commands._processes import say
from jnas.core._folder import config_digest


def carry_out_and_tell(
    options: argparse.Namespace,
    name: str,
    plan: Any,
    told: Sequence[Any],
    carry_out: Callable[..., Any],
    text: Callable[[Any], str],
    files: Sequence[str],
) -> Any:
    """Carries a study out in its folder, prints its results and where the files are, and returns the results.

    The folder is `--out`, or one whose name tells studies apart, for the same command to find again.

    Args:
      options: Of the command.
      name: Of the command.
      plan: Of the study; a hash of its `config` ends the folder's name.
      told: What the folder's name says in words.
      carry_out: Returns the results of `plan`, as `carry_out(plan, out=, log=)`.
      text: Returns results as text.
      files: The names of the files to point to, of which there may be less.
    """
    words = re.sub("[^A-Za-z0-9.]+", "-", "-".join(map(str, told))).strip("-")
    out = Path(options.out or f"jnas-{name}/{words}-{config_digest(plan.config)[:8]}")
    results = carry_out(plan, out=out, log=say)
    listed = "\n".join(f"{name.partition('.')[0]}: {out / name}" for name in files if (out / name).exists())
    say(f"\n{text(results)}\n\n{listed}")
    return results
