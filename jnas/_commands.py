"""What the commands of the command line do. Imports that take long stand in the functions that need them."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jnas._files import check_writable

_NUMBERS = ("accuracy/", "accuracy_mean/")  # members that say how good an architecture is


def study(options: argparse.Namespace) -> None:
    """Runs `jnas study`."""
    if options.searchers == ("help",):
        print(_searchers_text())
        return
    from jnas._compilation_cache import use_compilation_cache

    use_compilation_cache()
    from jnas._load_table import load_table
    from jnas._study import carry_out
    from jnas._study_plan import make_plan
    from jnas._study_text import results_text

    table = load_table(options.table)
    dataset = options.dataset or _default_dataset(table)
    epochs = options.epochs or _default_epochs(table, dataset, options.split)
    limits = {"budget_seconds": options.budget_seconds, "max_evaluations": options.evaluations}
    if limits == {"budget_seconds": None, "max_evaluations": None}:
        limits |= _default_limit(table, dataset, options.split, epochs)
    elif options.budget_seconds is not None and not _has_times(table, dataset, options.split, epochs):
        where = f"{dataset} with {' and '.join(map(str, epochs))} epochs"
        raise ValueError(
            f"this table has no times for {where}, so that --budget-seconds has no meaning; give --evaluations N"
        )
    searchers, widths = _make_searchers(options.searchers, table.space, options.at or epochs)
    try:
        plan = make_plan(
            searchers,
            table,
            dataset=dataset,
            epochs=epochs,
            at=options.at,
            split=options.split,
            seed=options.reward,
            overshoot=options.overshoot,
            num_seeds=options.seeds,
            num_python_seeds=options.python_seeds,
            root_seed=options.seed,
            targets=None,
            chunk=widths,
            command=shlex.join(["jnas", *options.words]),
            **limits,
        )
    except ValueError as error:  # what Python calls seed is --reward here: --seed is something else
        raise ValueError(re.sub(r"\bseed(='mean'| is )", r"--reward\1", str(error))) from error
    out = Path(options.out) if options.out else _default_folder(plan.config)
    results = carry_out(plan, table, out=out, log=lambda line: print(line, flush=True))
    print(f"\n{results_text(results)}\n\nsummary: {out / 'summary.csv'}\nreport: {out / 'report.html'}")


def _default_dataset(table: Any) -> str:
    known = [*table.header.pairs, *(t.dataset for t in table.header.trainings)]
    return "cifar10" if "cifar10" in known else str(known[0])


def _default_epochs(table: Any, dataset: str, split: str) -> tuple[int, ...]:
    published, _ = table.resolve(dataset, split)
    known = sorted(t.epochs for t in table.header.trainings if t.dataset == published)
    return (12,) if 12 in known or not known else (known[0],)


def _default_limit(table: Any, dataset: str, split: str, epochs: Sequence[int]) -> dict[str, Any]:
    from jnas._published import PAIRS

    paper = table.space.name == "nasbench201" and dataset in PAIRS and _has_times(table, dataset, split, epochs)
    return {"budget_seconds": 12_000.0} if paper else {"max_evaluations": 100}


def _has_times(table: Any, dataset: str, split: str, epochs: Sequence[int]) -> bool:
    """Returns whether the table says what these trainings cost; raises ValueError where it has no such training."""
    from jnas._table_file import member

    published, _ = table.resolve(dataset, split)
    trainings = [table.training(published, e) for e in epochs]
    times = [table.read(member("train_seconds", t.dataset, t.epochs)) for t in trainings]
    return all(found is not None and bool((found > 0).any()) for found in times)


def _make_searchers(
    wanted: Sequence[str] | None, space: Any, epochs: Sequence[int]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Returns the searchers by name, and the most seeds of each in one program."""
    from jnas.searchers import _registry

    lowest = f"@{epochs[0]}"
    asked = _with_lowest(_registry.compared(len(epochs), space.name), epochs) if wanted is None else wanted
    everything = _with_lowest(_registry.names(), epochs)
    searchers, widths = {}, {}
    for name in dict.fromkeys(n for word in asked for n in (everything if word == "all" else (word,))):
        kind, at, level = name.partition("@")
        if at + level not in ("", lowest):
            raise ValueError(f"{name} names the epochs {level!r}, expected the fewest of --epochs: {kind}{lowest}")
        searchers[name] = _registry.make(kind, space, tuple(map(float, epochs[:1] if at else epochs)))
        widths[name] = 500 if _registry.entry(kind).quick else 100
    return searchers, widths


def _with_lowest(names: Sequence[str], epochs: Sequence[int]) -> list[str]:
    """Returns the names, and after those that use several fidelities `NAME@E`: the same on the lowest alone."""
    from jnas.searchers import _registry

    found = []
    for name in names:
        known = _registry.entry(name)
        alone = len(epochs) > 1 and known.multi_fidelity and not known.random_at_one
        found += [name, f"{name}@{epochs[0]}"] if alone else [name]
    return found


def _searchers_text() -> str:
    """Returns the searchers, a line each."""
    from jnas._text import aligned
    from jnas.searchers import _registry

    lines = aligned([(name, _registry.entry(name).description) for name in _registry.names()], "ll")
    told = [
        f"without --searchers, on one training: {', '.join(_registry.compared(1))}",
        f"with several --epochs or --at: {', '.join(_registry.compared(2))}",
        f"on NAS-Bench-101, with several: {', '.join(_registry.compared(2, 'nasbench101'))}",
    ]
    return "\n".join([*lines, "", *told])


def _default_folder(config: Any) -> Path:
    """Returns a folder whose name tells studies apart, so that the same command finds its own again."""
    from jnas._study_folder import config_digest

    told = f"{config['table_name']}-{config['dataset']}-{'-'.join(map(str, config['epochs']))}-{config['seeds']}"
    return Path("jnas-study") / f"{re.sub('[^A-Za-z0-9.]+', '-', told).strip('-')}-{config_digest(config)[:8]}"


def report(options: argparse.Namespace) -> None:
    """Runs `jnas report`."""
    from jnas._report import write_report
    from jnas._study_folder import load_study

    studies = []
    for folder in options.folders:
        found = load_study(folder)
        missing = [n for n in found.config["searchers"] if n not in {s.name for s in found.searchers}]
        if missing:
            print(f"jnas: {folder} is not finished: without {', '.join(missing)}", file=sys.stderr)
        studies.append(found)
    alone = len(options.folders) == 1
    path = Path(options.output or (Path(options.folders[0]) / "report.html" if alone else "jnas-report.html"))
    check_writable(path)
    write_report(studies, path, names=None if alone else options.folders)
    print(f"report: {path}")


def train(options: argparse.Namespace) -> None:
    """Runs `jnas train`."""
    from jnas._train_command import train

    train(options)


# Tables.


def import_nats(options: argparse.Namespace) -> None:
    """Runs `jnas table import nats-bench`."""
    from jnas._import_nats import nats_table

    _write_table(options, lambda progress: nats_table(options.source, processes=os.cpu_count() or 1, progress=progress))


def import_nasbench201(options: argparse.Namespace) -> None:
    """Runs `jnas table import nas-bench-201`."""
    from jnas._import_nats import nasbench201_table

    _write_table(options, lambda progress: nasbench201_table(options.source, progress=progress))


def import_nasbench101(options: argparse.Namespace) -> None:
    """Runs `jnas table import nasbench101`."""
    from jnas._import_nasbench101 import nasbench101_table

    _write_table(options, lambda progress: nasbench101_table(options.source, progress=progress))


def import_arrays(options: argparse.Namespace) -> None:
    """Runs `jnas table import arrays`."""
    from jnas import spaces
    from jnas._array_mapping import read_mapping
    from jnas._import_arrays import arrays_table
    from jnas._model_seconds import model_seconds

    space = spaces.get(options.space)
    mapping = None if options.mapping is None else read_mapping(options.mapping)

    def make(progress: Callable[[int, int], None]) -> Any:
        header, arrays = arrays_table(options.source, space, mapping, progress=progress)
        return model_seconds(header, arrays) if options.model_seconds else (header, arrays)

    _write_table(options, make)


def synthesize(options: argparse.Namespace) -> None:
    """Runs `jnas table synthesize`."""
    from jnas._synthetic import synthetic_table

    _write_table(options, lambda progress: synthetic_table(options.space, seed=options.seed, curves=options.curves))


def _write_table(options: argparse.Namespace, make: Callable[[Callable[[int, int], None]], Any]) -> None:
    """Makes a table and writes it, having looked first whether it can be written."""
    import numpy as np

    from jnas._progress import counting_bar
    from jnas._table_file import save_arrays

    path = Path(options.output)
    check_writable(path)
    with counting_bar("reading") as progress:
        header, arrays = make(progress)
    save_arrays(path, header, arrays)
    known = sum((~np.isnan(a.reshape(len(a), -1))).any(axis=1) for n, a in arrays.items() if n.startswith(_NUMBERS)) > 0
    without = "" if known.all() else f", of which {int(known.sum()):,} have numbers"
    print(
        f"{path}: {header.name}, {len(arrays['archs']):,} architectures{without}, "
        f"{path.stat().st_size / 1e6:,.1f} MB\n"
        f"see what it holds: {shlex.join(['jnas', 'table', 'show', str(path)])}"
    )


def build(options: argparse.Namespace) -> None:
    """Runs `jnas table build`."""
    from jnas._build_command import build

    build(options)


def show(options: argparse.Namespace) -> None:
    """Runs `jnas table show`."""
    from jnas._load_table import load_table
    from jnas._table_text import describe

    print(describe(load_table(options.table)))


def query(options: argparse.Namespace) -> None:
    """Runs `jnas table query`."""
    from jnas._load_table import load_table
    from jnas._table_text import describe_arch

    arch = int(options.arch) if options.arch.isdecimal() else options.arch
    table = load_table(options.table)
    print(describe_arch(table, arch, dataset=options.dataset, epochs=options.epochs, at=options.at))


def table_report(options: argparse.Namespace) -> None:
    """Runs `jnas table report`."""
    from jnas._load_table import load_table
    from jnas._progress import status_line
    from jnas._table_report import write_table_report

    path = Path(options.output or Path(options.table).with_suffix(".html"))
    check_writable(path)
    table = load_table(options.table)
    with status_line() as say:
        write_table_report(table, path, progress=say)
    print(f"report: {path}")
