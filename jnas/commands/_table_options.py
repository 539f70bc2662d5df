"""The options of the commands of `jnas table` but `build`."""

from typing import Any

from jnas.commands._words import add_command, add_figures, add_output
from jnas.core._registry import DEFAULT_SPACE
from jnas.studies._settings import POSITIVE, SEED, Setting

_EPOCHS, _SEED = Setting("epochs", POSITIVE), Setting("seed", SEED)


def add_import(commands: Any) -> None:
    """Adds `jnas table import`."""
    parser = add_command(commands, "import", "make a table from published files or from arrays")
    kinds = parser.add_subparsers(title="what to import", metavar="KIND", required=True)
    nats = add_command(
        kinds, "nats-bench", "NATS-Bench: its folder or file, topology or size space", "_table:import_nats"
    )
    nats.add_argument("source", metavar="DIR", help="the folder with meta.pickle.pbz2, or the .pickle.pbz2 file")
    torch = add_command(
        kinds, "nas-bench-201", "NAS-Bench-201: its .pth file, v1.0 or v1.1", "_table:import_nasbench201"
    )
    torch.add_argument("source", metavar="FILE.pth", help="the file; PyTorch is not needed")
    records = add_command(
        kinds, "nasbench101", "NAS-Bench-101: nasbench_full or nasbench_only108, or EC-NAS", "_table:import_nasbench101"
    )
    records.add_argument("source", metavar="FILE.tfrecord", help="the file; TensorFlow is not needed")
    arrays = add_command(kinds, "arrays", "arrays in an .npz, with a mapping of their names", "_table:import_arrays")
    arrays.add_argument("source", metavar="FILE.npz", help="the arrays")
    spaces = (
        "the search space: nasbench101, nasbench201 or nats_size; of your own, a .json file of the arguments of "
        "jnas.spaces.categorical, or a table (.npz), whose space it is"
    )
    arrays.add_argument("--space", metavar="NAME", required=True, help=spaces)
    arrays.add_argument(
        "--mapping",
        metavar="FILE",
        help="JSON that says which array is what (nasbench101, nasbench201: by default the published numbers' names)",
    )
    arrays.add_argument(
        "--model-seconds",
        action="store_true",
        help="nasbench101: where a training's time is not known, put what a linear model of the known ones says",
    )
    for kind in (nats, torch, records, arrays, *_add_packages(kinds), _add_csv(kinds)):
        _add_written(kind)


def _add_packages(kinds: Any) -> list[Any]:
    """Adds the imports of published files that need no mapping."""
    graph = add_command(
        kinds, "nas-bench-graph", "NAS-Bench-Graph: the package's wheel or its folder", "_table:import_nasbench_graph"
    )
    graph.add_argument("source", metavar="WHEEL", help="nas_bench_graph-1.4.0-py3-none-any.whl, a folder, or a .bench")
    macro = add_command(kinds, "nas-bench-macro", "NAS-Bench-Macro: its JSON", "_table:import_nasbench_macro")
    macro.add_argument("source", metavar="FILE.json", help="nas-bench-macro_cifar10.json")
    transnas = add_command(
        kinds, "transnas-bench-101", "TransNAS-Bench-101: a task of its .pth file", "_table:import_transnas"
    )
    transnas.add_argument("source", metavar="FILE.pth", help="transnas-bench_v10141024.pth; PyTorch is not needed")
    transnas.add_argument("--task", metavar="NAME", required=True, help="such as class_scene or room_layout")
    transnas.add_argument("--space", metavar="{micro,macro}", default="micro", help="cells (default) or backbones")
    analog = add_command(
        kinds, "analog-nas-bench", "AnalogNAS-Bench: the package's wheel or its data.anb", "_table:import_analog"
    )
    analog.add_argument("source", metavar="WHEEL", help="analog_nasbench-0.1.3-py3-none-any.whl, a folder, or data.anb")
    hardware = add_command(
        kinds, "hw-nas-bench", "HW-NAS-Bench: latencies and energies into a table", "_table:import_hardware"
    )
    hardware.add_argument("source", metavar="FILE.pickle", help="HW-NAS-Bench-v1_0.pickle")
    hardware.add_argument("--table", metavar="T.npz", required=True, help="the table that gets the columns")
    return [graph, macro, transnas, analog, hardware]


def _add_csv(kinds: Any) -> Any:
    parser = add_command(kinds, "csv", "columns of a CSV file, by the names in its first line", "_table:import_csv")
    parser.add_argument("source", metavar="FILE.csv", help="a row for each architecture")
    parser.add_argument("--space", metavar="NAME", required=True, help="as for `jnas table import arrays`")
    parser.add_argument(
        "--column",
        metavar="MEMBER=NAME",
        action="append",
        default=[],
        help="which column is what: arch=Cell, accuracy/cifar10/200/test=Acc; columns that are called so need none",
    )
    parser.add_argument("--mapping", metavar="FILE", help="JSON that says so, with scales and what is missing")
    return parser


def _add_written(parser: Any) -> None:
    """Adds the options of a command that writes a table."""
    add_output(parser)
    parser.add_argument(
        "--compress",
        action="store_true",
        help="a small file, which opens more slowly; done anyway where most architectures have no numbers",
    )


def add_looks(commands: Any) -> None:
    """Adds `jnas table synthesize`, `show`, `query` and `report`."""
    made = add_command(
        commands, "synthesize", "make a table of made-up numbers, to try the commands", "_table:synthesize"
    )
    _add_written(made)
    made.add_argument(
        "--space", metavar="{nasbench201,nats_size}", default=DEFAULT_SPACE, help=f"default {DEFAULT_SPACE}"
    )
    made.add_argument("--seed", metavar="K", type=_SEED.read, default=0, help="of the made-up numbers (default 0)")
    made.add_argument("--curves", action="store_true", help="with learning curves (300 MB)")

    shown = add_command(commands, "show", "say what a table holds", "_table:show")
    shown.add_argument("table", metavar="T.npz")

    asked = add_command(commands, "query", "say all that a table holds of one architecture", "_table:query_table")
    asked.add_argument("table", metavar="T.npz")
    asked.add_argument("arch", metavar="ARCH", help="an architecture string, or an index")
    asked.add_argument("--dataset", metavar="NAME", help="trainings on this data set alone")
    asked.add_argument("--epochs", metavar="E", type=_EPOCHS.read, help="trainings of so many epochs alone")
    asked.add_argument("--json", action="store_true", help="as JSON, for other programs")
    asked.add_argument("--at", metavar="E", type=_EPOCHS.read, help="after so many epochs, where there are curves")

    drawn = add_command(commands, "report", "draw what a table holds", "_report:report_table")
    drawn.add_argument("table", metavar="T.npz")
    drawn.add_argument("-o", "--output", metavar="FILE.html", help="the page (default: T.html beside the table)")
    add_figures(drawn)
