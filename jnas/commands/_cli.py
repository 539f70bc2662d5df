"""The command line: what its words are, and what becomes of errors. Commands are in `_commands`."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jnas.commands._training_setup import add_training_options
from jnas.core._registry import DEFAULT_SPACE
from jnas.core._version import __version__

_EXAMPLES = """\
a first study, on the table that comes with jnas (real trainings on 8x8 digits):
  jnas study

the comparison of NAS-Bench-201, from its published file:
  jnas table import nas-bench-201 NAS-Bench-201-v1_1-096897.pth -o nb201.npz
  jnas study --table nb201.npz
"""
_STUDY = """\
Runs searchers on a table over many seeds, and writes a report. The study stands in a folder: stopped at any moment,
the same command goes on where it was. searchers: random_search, regularized_evolution, reinforce, local_search, tpe,
bohb, successive_halving, hyperband, smac, naszilla_evolution; by predictors: bananas, bananas_adjacency,
bananas_random_ranking, gp_bayesopt, nasbot, dngo, bohamiann, bonas, gcn_predictor.
"""
_PREDICTORS = """\
Fits predictors to a few cells of a table, over many draws of cells, and measures how well they predict others: errors,
rank correlations, calibration, times. The study stands in a folder: stopped at any moment, the same command goes on
where it was. predictors: mlp_ensemble, mlp_ensemble_diverse, random_forest, gradient_boosting, gaussian_process,
gaussian_process_fitted, bayesian_linear_regression, dngo, bohamiann, gcn, gcn_ensemble.
"""
_BUILD = """\
Trains the cells of a search space on a data set and writes their learning curves as a table, on which studies run:
a tabular benchmark of your own data. One cell of each class of isomorphic cells is trained; the others get its
numbers, and the table says so. The runs stand in a folder: stopped at any moment, the same command goes on.
"""

_TRAIN = """\
Trains cells of NAS-Bench-201 or NAS-Bench-101 on a data set. DIR gets curves.csv, curves.png and a file of weights for
each run, which jnas.training.load_weights reads. Of isomorphic cells of NAS-Bench-101, the first that is given is
trained. Stopped at any moment, the same command goes on, to the same results.
"""

_SUPERNET = """\
Trains supernets of NAS-Bench-201, networks that hold the weights of all its cells, by weight-sharing searches, over
several seeds in one program, and writes a report: what the derived cells are worth by a table, whether they collapse to
skip connections, what the shared weights know. Stopped at any moment, the same command goes on, to the same results.
methods: darts-v1, darts-v2, gdas, setn, enas, rsps.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status: 0, 2 for what the user can mend, 130 where Ctrl-C stopped it."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _make_parser()
    options = parser.parse_args(words)
    if options.command is None:
        parser.print_help()
        return 2
    options.words = words
    try:
        command: Callable[[argparse.Namespace], None] = getattr(
            importlib.import_module("jnas.commands._table"), options.command
        )
        command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _complain(f"stopped; {options.when_stopped}")
        if argv is None:  # threads that compile cannot be stopped, and nobody waits for their programs
            sys.stdout.flush()
            os._exit(130)
        return 130
    except BrokenPipeError:  # who read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError) as error:
        if os.environ.get("JNAS_TRACEBACK"):
            raise
        _complain(f"error: {_sentence(error)}")
        return 2
    return 0


def _complain(text: str) -> None:
    print(f"jnas: {text}", file=sys.stderr, flush=True)


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
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jnas {__version__}")
    parser.set_defaults(command=None, when_stopped="nothing was written")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_study(commands)
    _add_predictors(commands)
    _add_report(commands)
    _add_train(commands)
    _add_supernet(commands)
    table = _add(commands, "table", "make a table, from published files or by training, and look into it")
    inner = table.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_import(inner)
    _add_build(inner)
    _add_table_commands(inner)
    return parser


def _add(commands: Any, name: str, words: str, command: str | None = None, description: str | None = None) -> Any:
    """Adds a command, whose work the function named `command` of `_commands` does."""
    parser = commands.add_parser(
        name,
        help=words,
        description=description or f"{words[0].upper()}{words[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter if description else argparse.HelpFormatter,
        allow_abbrev=False,
    )
    if command is not None:
        parser.set_defaults(command=command)
    return parser


def _add_study(commands: Any) -> None:
    parser = _add(commands, "study", "compare searchers on a table over many seeds", "study", _STUDY)
    parser.set_defaults(when_stopped="the same command goes on from here, to the same results")
    add = parser.add_argument
    add(
        "--table",
        metavar="T.npz",
        default="digits",
        help="the table, from `jnas table import` or `build` (default: digits, which comes with jnas)",
    )
    add(
        "--searchers",
        metavar="NAME,NAME",
        type=_names,
        help="which searchers, or `all`; `help` says what they are. By default those whose 500 seeds take seconds, "
        "without those that are random search on one training. With several --epochs, `NAME@12` uses 12 alone",
    )
    add("--seeds", metavar="N", type=_positive, default=500, help="searches of each searcher (default 500)")
    add(
        "--python-seeds",
        metavar="N",
        type=_positive,
        default=20,
        help="searches of each searcher that cannot be compiled, such as smac (default 20, at most --seeds)",
    )
    add("--seed", metavar="K", type=_natural, default=0, help="root of all random numbers (default 0)")
    add(
        "--budget-seconds",
        metavar="S",
        type=_seconds,
        help="simulated seconds of a search (default 12,000 on the data sets of NAS-Bench-201, 1,000,000 on "
        "NAS-Bench-101)",
    )
    add(
        "--evaluations",
        metavar="N",
        type=_positive,
        help="most evaluations of a search, with or without a budget (default 100 where there is none; on "
        "NAS-Bench-101 with several --epochs, twice what the budget pays for at the middle of their mean costs)",
    )
    add("--dataset", metavar="NAME", help="what to search on (default cifar10, or the table's first)")
    add(
        "--epochs",
        metavar="E,E",
        type=_epochs,
        help="the training to search on (default 12, or the table's shortest; all of NAS-Bench-101); several for "
        "searchers that use several; the others use the fewest (in NAS-Bench-101 the most)",
    )
    add(
        "--at",
        metavar="E,E",
        type=_epochs,
        help="points of the training's curve, in epochs done, for searchers that use several (tables with curves)",
    )
    add("--split", metavar="NAME", default="validation", help="the split to search on (default validation)")
    add(
        "--among",
        choices=("all", "known"),
        help="search among all architectures, or those of which the table knows all that is searched on (default: all, "
        "or known where that is less than half of them)",
    )
    add(
        "--reward",
        metavar="RUN",
        type=_reward,
        default="mean",
        help="which run's accuracy a search sees: `mean` over the training seeds (default), a `random` one each time, "
        "or the name of a training seed",
    )
    add(
        "--overshoot",
        choices=("discard", "keep"),
        default="discard",
        help="what becomes of the evaluation that exceeds the budget (default discard)",
    )
    add("--out", metavar="DIR", help="the study's folder (default: a folder in jnas-study/ named after the study)")


def _add_predictors(commands: Any) -> None:
    parser = _add(commands, "predictors", "compare predictors of accuracies on a table", "predictors", _PREDICTORS)
    parser.set_defaults(when_stopped="the same command goes on from here, to the same results")
    add = parser.add_argument
    add("--table", metavar="T.npz", default="digits", help="the table (default: digits, which comes with jnas)")
    add(
        "--predictors",
        metavar="NAME,NAME",
        type=_names,
        help="which predictors, or `all`; `help` says what they are. By default those whose fits take well under a "
        "second",
    )
    add(
        "--encodings",
        metavar="NAME,NAME",
        type=_names,
        help="what predictors read, each a row of its own: path, adjacency, one_hot, ... (default: each predictor's "
        "own, path and adjacency); those of graphs read graphs",
    )
    add(
        "--train-sizes",
        metavar="N,N",
        type=_sizes,
        default=(20, 100, 500),
        help="to how many cells predictors are fitted (default 20,100,500)",
    )
    add("--test-cells", metavar="N", type=_positive, default=500, help="for how many others they predict (default 500)")
    add("--seeds", metavar="N", type=_positive, default=20, help="draws of cells (default 20)")
    add(
        "--python-seeds",
        metavar="N",
        type=_positive,
        default=5,
        help="draws for predictors that cannot be compiled, such as random_forest (default 5, at most --seeds)",
    )
    add("--seed", metavar="K", type=_natural, default=0, help="root of all random numbers (default 0)")
    add(
        "--precision-at",
        metavar="K",
        type=_places,
        default=10,
        help="k of the precision at k: a number of cells, or a share of the test cells such as 0.1 (default 10)",
    )
    add("--dataset", metavar="NAME", help="whose accuracy is predicted (default cifar10, or the table's first)")
    add("--epochs", metavar="E", type=_positive, help="the training (default 12, or the table's; 108 of NAS-Bench-101)")
    add("--split", metavar="NAME", default="validation", help="the split (default validation)")
    add(
        "--reward",
        metavar="RUN",
        type=_reward,
        default="mean",
        help="which run's accuracy is the truth: `mean` over the training seeds (default), or the name of one",
    )
    add(
        "--seeds-per-program",
        metavar="N",
        type=_positive,
        default=25,
        help="most seeds that run at once (default 25; fewer take less memory)",
    )
    add("--out", metavar="DIR", help="the study's folder (default: one in jnas-predictors/ named after the study)")


def _add_report(commands: Any) -> None:
    parser = _add(commands, "report", "make the report of a study again, or compare studies", "report")
    parser.add_argument("folders", metavar="DIR", nargs="+", help="folders of studies")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the page (default: DIR/report.html, or jnas-report.html for several)"
    )


def _add_import(commands: Any) -> None:
    parser = _add(commands, "import", "make a table from published files or from arrays")
    kinds = parser.add_subparsers(title="what to import", metavar="KIND", required=True)
    nats = _add(kinds, "nats-bench", "NATS-Bench: its folder or file, topology or size space", "import_nats")
    nats.add_argument("source", metavar="DIR", help="the folder with meta.pickle.pbz2, or the .pickle.pbz2 file")
    torch = _add(kinds, "nas-bench-201", "NAS-Bench-201: its .pth file, v1.0 or v1.1", "import_nasbench201")
    torch.add_argument("source", metavar="FILE.pth", help="the file; PyTorch is not needed")
    records = _add(
        kinds, "nasbench101", "NAS-Bench-101: nasbench_full or nasbench_only108, or EC-NAS", "import_nasbench101"
    )
    records.add_argument("source", metavar="FILE.tfrecord", help="the file; TensorFlow is not needed")
    arrays = _add(kinds, "arrays", "arrays in an .npz, with a mapping of their names", "import_arrays")
    arrays.add_argument("source", metavar="FILE.npz", help="the arrays")
    spaces = "the search space: nasbench101, nasbench201 or nats_size"
    arrays.add_argument("--space", metavar="NAME", required=True, help=spaces)
    arrays.add_argument("--mapping", metavar="FILE", help="JSON that says which array is what")
    arrays.add_argument(
        "--model-seconds",
        action="store_true",
        help="nasbench101: where a training's time is not known, put what a linear model of the known ones says",
    )
    for kind in (nats, torch, records, arrays):
        kind.add_argument("-o", "--output", metavar="T.npz", required=True, help="the table to write")


def _add_build(commands: Any) -> None:
    parser = _add(commands, "build", "make a table by training the cells of a space on a data set", "build", _BUILD)
    parser.set_defaults(when_stopped="the same command goes on from here, to the same results")
    add = parser.add_argument
    add("-o", "--output", metavar="T.npz", required=True, help="the table to write")
    add("--out", metavar="DIR", help="the folder of the runs (default: T, beside the table)")
    add("--space", metavar="NAME", default=DEFAULT_SPACE, help="nasbench201 (default) or nasbench101")
    add("--archs", metavar="FILE", help="train the cells of this file, an architecture string on each line")
    add("--vertices", metavar="N", type=_positive, help="nasbench101: train the cells of up to so many vertices")
    add("--seeds", metavar="N", type=_positive, default=3, help="runs of each cell, with seeds 0 to N-1 (default 3)")
    add("--cells", metavar="N", type=_positive, help="train so many cells, drawn from all (default: all)")
    add("--repeated", metavar="N", type=_natural, help="train so many cells with all seeds, the others with seed 0")
    add("--no-copies", action="store_true", help="train all 15,625 cells, not one of each of the 6,466 classes")
    add("--partial", action="store_true", help="train nothing; write the table of the runs that the folder holds")
    add("--name", metavar="TEXT", help="what to call the table")
    add("--compress", action="store_true", help="a small file, which opens more slowly")
    add_training_options(parser, _positive, _natural)


def _add_train(commands: Any) -> None:
    parser = _add(commands, "train", "train architectures on a data set, over several seeds", "train", _TRAIN)
    parser.set_defaults(when_stopped="the same command goes on from here, to the same results")
    add = parser.add_argument
    add("archs", metavar="ARCH", nargs="*", help="architecture strings (in quotes), or indices in the space")
    networks = "{nasbench201,nasbench101}"  # a row more is found all the same
    add("--space", metavar=networks, default=DEFAULT_SPACE, help=f"default {DEFAULT_SPACE}")
    add("--seeds", metavar="N", type=_positive, default=1, help="runs of each, with seeds 0 to N-1 (default 1)")
    add("--out", metavar="DIR", default="jnas-train", help="the folder of the runs (default jnas-train)")
    add_training_options(parser, _positive, _natural)


def _add_supernet(commands: Any) -> None:
    from jnas.commands._supernet import add_supernet_options

    words = "search with shared weights on a data set, over several seeds"
    parser = _add(commands, "supernet", words, "supernet", _SUPERNET)
    parser.set_defaults(when_stopped="the same command goes on from here, to the same results")
    add_supernet_options(parser, _names, _positive, _natural)


def _add_table_commands(commands: Any) -> None:
    made = _add(commands, "synthesize", "make a table of made-up numbers, to try the commands", "synthesize")
    made.add_argument("-o", "--output", metavar="T.npz", required=True, help="the table to write")
    spaces = "{nasbench201,nats_size}"
    made.add_argument("--space", metavar=spaces, default=DEFAULT_SPACE, help=f"default {DEFAULT_SPACE}")
    made.add_argument("--seed", metavar="K", type=_natural, default=0, help="of the made-up numbers (default 0)")
    made.add_argument("--curves", action="store_true", help="with learning curves (300 MB)")

    show = _add(commands, "show", "say what a table holds", "show")
    show.add_argument("table", metavar="T.npz")

    query = _add(commands, "query", "say all that a table holds of one architecture", "query")
    query.add_argument("table", metavar="T.npz")
    query.add_argument("arch", metavar="ARCH", help="an architecture string, or an index")
    query.add_argument("--dataset", metavar="NAME", help="trainings on this data set alone")
    query.add_argument("--epochs", metavar="E", type=_positive, help="trainings of so many epochs alone")
    query.add_argument("--at", metavar="E", type=_positive, help="after so many epochs, where there are curves")

    drawn = _add(commands, "report", "draw what a table holds", "table_report")
    drawn.add_argument("table", metavar="T.npz")
    drawn.add_argument("-o", "--output", metavar="FILE.html", help="the page (default: T.html beside the table)")


# What the words may be.


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected an integer of at least {least}, not {text!r}")
    return value


def _positive(text: str) -> int:
    return _integer(text, 1)


def _natural(text: str) -> int:
    return _integer(text, 0)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, not {text!r}")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise argparse.ArgumentTypeError("expected names with commas between them, or `all`")
    return names


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({_integer(part.strip(), 1) for part in text.split(",")}))


def _places(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (0 < value < 1 or (value >= 1 and value.is_integer())):
        raise argparse.ArgumentTypeError(f"expected a number of cells, or a share of them below 1, not {text!r}")
    return value


def _epochs(text: str) -> tuple[int, ...]:
    epochs = tuple(_integer(part.strip(), 1) for part in text.split(","))
    if list(epochs) != sorted(set(epochs)):
        raise argparse.ArgumentTypeError(f"expected numbers of epochs that ascend, such as 12,200, not {text!r}")
    return epochs


def _reward(text: str) -> str | int:
    if text in ("mean", "random"):
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected mean, random or the name of a training seed, not {text!r}"
        ) from None
