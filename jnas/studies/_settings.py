"""A setting's one definition: its name, option, help, check, default and older names. It needs no JAX.

The Python functions, the options (`--num-seeds` for `num_seeds`), `config.json` and every error use the name that
stands here. Names that a setting had before go on working: as options that the help does not show, and as keys of
folders that were written with them.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any, NamedTuple

from jnas.io._text import did_you_mean, short

_MOST_SECONDS = 10**12


class ValueKind(NamedTuple):
    """What a setting's values are: how a word is read, and what is accepted."""

    expected: str  # ends the sentence `NAME is VALUE, expected ...`
    read: Callable[[str], Any] = str  # raises ValueError
    accepts: Callable[[Any], bool] = lambda value: True
    choices: tuple[str, ...] | None = None
    largest: int | None = None  # which `expected` does not tell

    def told(self, value: Any) -> str:
        """Returns what is expected instead of a value: for one that is too large, the largest."""
        large = self.largest is not None and isinstance(value, int | float) and value > self.largest
        return f"at most {self.largest:,}" if large else self.expected


def _shown(value: Any) -> str:
    try:
        return short(repr(value))
    except ValueError:  # Python does not write integers of more than 4,300 digits
        return "an integer of thousands of digits"


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def integer(least: int, end: int | None = None, why: str = "", *, most: int = 2**31 - 1) -> ValueKind:
    """Returns the kind of integers from `least` to one before `end`, or to `most`, which only a larger one is told."""
    told = f"an integer of at least {least}" if end is None else f"an integer from {least} to {end - 1}{why}"
    largest = most if end is None else end - 1

    def accepts(value: Any) -> bool:
        return _is_integer(value) and least <= value <= largest

    return ValueKind(told, int, accepts, largest=most if end is None else None)


def one_of(*choices: str) -> ValueKind:
    """Returns the kind of some words."""
    return ValueKind(" or ".join(map(repr, choices)), accepts=lambda value: value in choices, choices=choices)


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _read_epochs(text: str) -> tuple[int, ...]:
    epochs = tuple(int(part) for part in text.split(","))
    if not all(map(POSITIVE.accepts, epochs)) or list(epochs) != sorted(set(epochs)):
        raise ValueError
    return epochs


def _are_seconds(value: Any) -> bool:
    try:
        return not isinstance(value, str) and 0 < float(value) <= _MOST_SECONDS
    except (TypeError, ValueError, OverflowError):
        return False


def _read_targets(text: str) -> tuple[tuple[str, str, int], ...]:
    targets = []
    for part in text.split(","):
        dataset, split, epochs = part.strip().rsplit(":", 2)
        targets.append((dataset, split, int(epochs)))
    if not all(dataset and split and epochs > 0 for dataset, split, epochs in targets):
        raise ValueError
    return tuple(dict.fromkeys(targets))


def _read_bounds(text: str) -> dict[str, float]:
    pairs = [part.rsplit("=", 1) for part in text.split(",") if part.strip()]
    bounds = {name.strip(): float(bound) for name, bound in pairs}
    if len(bounds) < len(pairs):
        raise ValueError  # the last of two bounds of a column would win
    return bounds


def _are_bounds(value: Any) -> bool:
    """Returns whether it maps names to finite numbers."""
    if not isinstance(value, Mapping) or not value:
        return False
    numbers = [not isinstance(b, bool) and isinstance(b, int | float) and abs(b) < 1e30 for b in value.values()]
    return all(numbers) and all(isinstance(name, str) and name for name in value)


POSITIVE, NATURAL = integer(1), integer(0)
NUM_EPOCHS = integer(1, most=100_000)
SEED = integer(0, most=2**63 - 1)  # of NumPy's generators
_SEEDS = integer(1, most=1_000_000)  # so many searches of 100 evaluations take hours, and a machine's memory
TEXT = ValueKind("a text")
FLAG = ValueKind("True or False")  # an option without a word
NAMES = ValueKind("names with commas between them, or `all`", _read_names, bool)
COLUMNS = ValueKind(
    "names of columns with commas between them, accuracy first, such as accuracy,latency:pixel3",
    _read_names,
    lambda names: isinstance(names, tuple | list) and bool(names) and all(isinstance(n, str) and n for n in names),
)
BOUNDS = ValueKind("columns with a bound each, such as parameters=0.5,latency:pixel3=20", _read_bounds, _are_bounds)
TARGETS = ValueKind("columns as DATASET:SPLIT:EPOCHS with commas between them", _read_targets)
EPOCHS = ValueKind("numbers of epochs that ascend, such as 12,200", _read_epochs)
SECONDS = ValueKind("a positive number of seconds", float, _are_seconds, largest=_MOST_SECONDS)
RUN = ValueKind(
    "mean, random or the name of a training seed", lambda text: text if text in ("mean", "random") else int(text)
)


class Setting(NamedTuple):
    """What can be set of a study or of another command."""

    name: str  # of the Python argument and in config.json; the option has dashes for underscores
    kind: ValueKind
    metavar: str | None = None
    help: str = ""
    default: Any = None
    older: tuple[str, ...] = ()  # names that are taken as well
    of_study: bool = True  # an argument of the Python function, in config.json; otherwise of the command alone

    def of(self, help: str, default: Any = None, **changes: Any) -> "Setting":
        """Returns the setting with the words and the default that it has in one kind of study."""
        return self._replace(help=help, default=default, **changes)

    def check(self, value: Any) -> None:
        """Raises ValueError, in a sentence, for a value that the setting cannot have."""
        if not (value is None and self.default is None) and not self.kind.accepts(value):
            offer = (did_you_mean(value, self.kind.choices) if self.kind.choices else "") or ","
            raise ValueError(f"{self.name} is {_shown(value)}{offer} expected {self.kind.told(value)}")

    def read(self, text: str) -> Any:
        """Returns the value that a word of the command line stands for."""
        value = None
        try:
            value = self.kind.read(text)
            if self.kind.accepts(value):
                return value
        except (ValueError, OverflowError):
            pass
        raise argparse.ArgumentTypeError(f"expected {self.kind.told(value)}, not {short(repr(text))}")


def add_settings(parser: Any, settings: Iterable[Setting]) -> None:
    """Adds an option for each setting to a parser of argparse, and those of older names, which stay out of the help."""
    for setting in settings:
        how: dict[str, Any] = {"dest": setting.name, "action": "store_true"}
        if setting.kind is not FLAG:
            how = {"dest": setting.name, "metavar": setting.metavar, "choices": setting.kind.choices}
            how["type"] = None if setting.kind.choices else setting.read
        parser.add_argument(_option(setting.name), default=setting.default, help=setting.help, **how)
        for name in setting.older:
            parser.add_argument(_option(name), default=argparse.SUPPRESS, help=argparse.SUPPRESS, **how)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def study_arguments(settings: Iterable[Setting], options: argparse.Namespace) -> dict[str, Any]:
    """Returns what options say of a study, by the names of the Python function's arguments."""
    return {s.name: getattr(options, s.name) for s in settings if s.of_study}


def check_settings(settings: Iterable[Setting], values: Mapping[str, Any]) -> None:
    """Raises ValueError, in a sentence, for the first value that its setting cannot have."""
    for setting in settings:
        if setting.of_study and setting.name in values:
            setting.check(values[setting.name])


# What several kinds of studies have.

PRECISION = Setting(
    "precision",
    one_of("float32", "tf32", "bfloat16"),
    help="with numbers of 24, 11 or 8 bits accelerators multiply (default: the device's own; CPUs use all 24); "
    "networks of darts have their images in bfloat16 too in train, table build and --from-scratch",
    of_study=False,
)
REMATERIALIZE = Setting(
    "rematerialize",
    FLAG,
    help="compute the insides of cells again for gradients: less memory, more time; last digits may differ",
    default=False,
    of_study=False,
)
OTHER_DEVICE = Setting(
    "allow_other_device",
    FLAG,
    help="let work that was begun on another kind of device go on here; its numbers may differ in the last digits",
    default=False,
    of_study=False,
)
LOG = Setting(
    "log",
    one_of("tensorboard", "wandb"),
    help="write the curves of runs for another tool too, beside what is kept: DIR/tensorboard, or Weights & Biases "
    "(WANDB_MODE=offline keeps them in DIR/wandb); pip install 'jnas[tensorboard]' or 'jnas[wandb]'",
    of_study=False,
)
PROCESSES = (
    Setting(
        "distributed",
        FLAG,
        help="one of several processes that share --out; the cluster says which",
        default=False,
        of_study=False,
    ),
    Setting("coordinator", TEXT, "HOST:PORT", "the same, where no cluster says it", of_study=False),
    Setting("num_processes", POSITIVE, "N", of_study=False),
    Setting("process_id", NATURAL, "I", of_study=False),
)
DATASET = Setting("dataset", TEXT, "NAME")
SPLIT = Setting("split", TEXT, "NAME")
OUT = Setting("out", TEXT, "DIR", of_study=False)
TABLE = Setting("table", TEXT, "T.npz", of_study=False)
VERTICES = Setting("vertices", integer(3, 8), "N", of_study=False)
NODES = Setting("nodes", integer(1, most=32), "N", "recurrent: nodes of a cell (default 8)", of_study=False)
NUM_SEEDS = Setting("num_seeds", _SEEDS, "N", older=("seeds",))
NUM_PYTHON_SEEDS = Setting("num_python_seeds", _SEEDS, "N", older=("python_seeds",))
ROOT_SEED = Setting(
    "root_seed",
    integer(0, 2**32, ": JAX would drop the upper half of a larger one"),
    "K",
    "root of all random numbers (default 0)",
    0,
    older=("seed",),
)
MAX_EVALUATIONS = Setting("max_evaluations", POSITIVE, "N", older=("evaluations",))
REWARD = Setting("reward", RUN, "RUN", older=("reduction",))  # Python took it as `seed`
TRUE_RUN = REWARD.of(
    "which run's accuracy is the truth: `mean` over the training seeds (default), or the name of one",
    "mean",
    kind=REWARD.kind._replace(
        expected="mean or the name of a training seed: a cell has one true value",
        accepts=lambda run: run != "random",
    ),
)
OBJECTIVES = Setting("objectives", COLUMNS, "NAME,NAME")
AT_MOST = Setting("at_most", BOUNDS, "NAME=X,NAME=X")
WORKERS = Setting("workers", integer(1, most=10_000), "W", default=1)
CHUNK = Setting("chunk", POSITIVE, "N", older=("seeds_per_program",))


def plan_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a Python function was asked, without what its plan does not depend on.

    Callers may still say `seed` for `reward`; TypeError where they say both.
    """
    asked = {name: value for name, value in arguments.items() if name not in ("out", "log", "seed")}
    if (seed := arguments.get("seed")) is not None:
        if asked["reward"] != "mean":
            raise TypeError("reward and seed were given, and seed is an older name of reward; pass reward alone")
        asked["reward"] = seed
    return asked
