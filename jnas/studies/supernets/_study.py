"""A study of weight-sharing searches: methods times seeds on a data set, in a folder from which it goes on."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from jnas.core._versions import OF_OTHER_PROGRAMS, SAME
from jnas.core._vocabulary import Supernet
from jnas.io._progress import duration
from jnas.io._text import counted, listed
from jnas.searchers.weight_sharing._candidates import Selection
from jnas.searchers.weight_sharing._texts import SearchText
from jnas.studies import _engine
from jnas.studies._pieces import Pieces
from jnas.studies._settings import plan_arguments
from jnas.studies.supernets._from_scratch import load_from_scratch
from jnas.studies.supernets._other_ends import load_selected, selected_csv
from jnas.studies.supernets._pieces import count_pieces, method_file_name, save_whole_method, seeds_path
from jnas.studies.supernets._plan import Cells, SupernetMethod, SupernetPlan, plan_supernet_study
from jnas.studies.supernets._ranking_text import random_search_csv, ranking_csv
from jnas.studies.supernets._results import (
    FOLDER,
    MethodResult,
    SupernetStudy,
    load_method,
    of_text,
    sizes_words,
)
from jnas.studies.supernets._run import run_method, run_seeds
from jnas.studies.supernets._scratch_text import from_scratch_csv, scratch_cells_csv
from jnas.studies.supernets._summary import as_study_results
from jnas.studies.supernets._test_choice_text import chosen_on_test_csv
from jnas.studies.supernets._text import epochs_csv, one_shot_csv, supernet_summary_csv
from jnas.studies.supernets._yardsticks import yardsticks_as_json, yardsticks_from_json
from jnas.tables._table import Table
from jnas.training._recipe import BatchNormPolicy
from jnas.training.data._batches import batches_per_epoch
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset

_SAME = ("jnas", "numpy", *SAME)  # where a study goes on


def supernet_study(
    methods: Mapping[str, SupernetMethod],
    supernet: Supernet,
    dataset: Dataset | TextDataset,
    *,
    table: Table | None = None,
    split: str | None = None,
    num_seeds: int = 3,
    root_seed: int = 0,
    look_every: int = 1,
    hessian: bool = False,
    one_shot: Cells = 0,
    batch_norms: Sequence[BatchNormPolicy] = ("batch", "running", "reestimated"),
    out: str | os.PathLike[str] | None = None,
    sizes: Mapping[str, Any] | None = None,
    command: str | None = None,
    log: Callable[[str], None] | None = None,
    pool: int = 0,
    test_selection: bool = False,
) -> SupernetStudy:
    """Returns what weight-sharing searches find on a data set over some seeds, each method's as one compiled program.

    The training images teach the weights, those of the validation split the architecture. After each epoch the
    architecture that a search would return is judged by the table, if there is one; the search sees nothing of it.

    Args:
      methods: By the names under which they are to appear; `supernet_methods` makes them. A folder tells a method by
        its name, epochs, batch size and `settings`, and by what its factory was given, which those of jnas know
        (`made_with`): a searcher of your own needs another name when it changes.
      supernet: What they train.
      dataset: On what.
      table: What judges the architectures.
      split: The images that the architecture is learned from; by default the data set's validation split.
      num_seeds: Searches of each method.
      root_seed: From which, with the method's name and the number of the search, its PRNG key comes. More seeds begin
        with the fewer; another method changes nothing for the others.
      look_every: After how many epochs to derive an architecture; always after the last.
      hessian: Whether to compute the largest eigenvalue of the validation loss's Hessian in the architecture
        parameters at each look, for the methods that have such parameters.
      one_shot: How many of the table's architectures to evaluate under the shared weights at the end, drawn at random,
        or `'all'`.
      batch_norms: With which policies of batch-norm.
      out: The folder for results, summary and report. A study that was stopped there goes on, to the same results.
      sizes: What else the supernet is, for the report and for telling studies apart: channels, cells.
      command: The command line that does the same, for the report.
      log: Called with lines about what is to be done.
      pool: How many of the table's architectures, the first of those of `one_shot`, to rank by their accuracies under
        the shared weights at each look, with batch-norm's statistics of each batch.
      test_selection: Whether to report what the last candidates' accuracies on the test images would have chosen, as
        released code chooses; no search sees it.

    Raises:
      ValueError: An argument is out of range, the table is of another space, or the folder holds another study.
      TypeError: `methods` is no mapping of names to methods.
      OSError: The folder cannot be written.
    """
    plan = plan_supernet_study(**plan_arguments(locals()))
    return carry_out_supernets(plan, out=out, log=log)


def load_supernet_study(folder: str | os.PathLike[str]) -> SupernetStudy:
    """Returns the results in the folder of `jnas supernet`: of those methods that have finished.

    Raises:
      FileNotFoundError: There is no such folder.
      ValueError: It is of another kind, or a file in it is damaged.
    """
    study: SupernetStudy = _engine.load_folder(KIND, folder)[0]
    return study


_TRAINED = {"darts-v1": 2.7, "darts-v2": 7.0, "setn": 1.6, "gdas": 1.2, "enas": 0.6, "rsps": 0.6, "spos": 0.6}
_TRAINED |= {"sdarts-adv": 12.0}  # by the number of its passes, not measured
_TRAINED |= {"fairnas": 3 * _TRAINED["spos"], "topo_fairnas": 4 * _TRAINED["spos"], "nao": _TRAINED["spos"]}
"""What a training image costs, as a share of one pass of a 3x3 convolution on every edge; measured on CPUs."""
_LOOKED_AT = 0.15  # the same of an image that one sampled architecture classifies
_COMPARING = ("setn", "enas", "rsps", "spos", "fairnas", "topo_fairnas", "nao")  # candidates, at each look


def _estimate(work: _engine.Work) -> _engine.Estimate:
    costs = {name: _guess(work.plan, name) for name in work.left}
    total = sum(costs.values())
    return _engine.Estimate(costs, total + _engine.REPORT_SECONDS, f"about {duration(total)}, by a rough guess")


def _guess(plan: SupernetPlan, name: str) -> float:
    """Returns roughly how many seconds a method's searches take: the bar soon corrects it."""
    method, config, usual, kind = plan.methods[name], plan.config, Selection(), name.partition(":")[0]
    rows, train_rows = config["split_images"], config["train_images"]
    if isinstance(plan.dataset, SearchText):
        once, trained = _of_a_token(plan, plan.dataset), train_rows * method.epochs
    else:
        height, width, _ = plan.dataset.image_shape
        channels, cells = config.get("channels", 16), config.get("cells", 5)
        once = 6 * 3 * cells * 9 * channels**2 * height * width  # multiply-adds of 3x3 convolutions on all edges
        trained = batches_per_epoch(plan.dataset, method.batch_size) * method.batch_size * method.epochs
    compared = method.settings.get("num_candidates", usual.num_candidates) if kind in _COMPARING else 0
    seen = rows if method.settings.get("comparison") == "same_batches" else min(usual.batch_size, rows)
    each = 1
    if isinstance(plan.dataset, SearchText):  # all of the split whatever the comparison, and each cell once
        seen, each = rows, plan.dataset.window
        compared = min(compared, plan.supernet.space.size or compared)
    classified = method.searcher.extra_steps * method.batch_size * method.epochs * each
    classified += len(plan.looks(name)) * (compared * seen + config.get("pool", 0) * rows)
    policies = config["batch_norms"]
    again = min(train_rows, usual.batch_norm_batches * usual.batch_size) if "reestimated" in policies else 0
    classified += len(plan.cells) * (len(policies) * rows + again)
    work = trained * _TRAINED.get(kind, 2.7) + classified * _LOOKED_AT
    speed = 3e9 if jax.default_backend() == "cpu" else 2e12
    return float(25 + plan.num_seeds * work * once / speed)


def _of_a_token(plan: SupernetPlan, text: SearchText) -> float:
    """Returns roughly how many times a token's work is that of a multiply-add of a convolution."""
    units, nodes = text.reading.units, plan.supernet.space.num_decisions // 2
    return float(units * (text.text.num_tokens + 2 * units * (2 + nodes * (nodes + 1) / 2)))


def supernet_headline(plan: SupernetPlan) -> str:
    """Returns what a study does, in a line."""
    config = plan.config
    lengths = listed([f"{name} {counted(m.epochs, 'epoch')}" for name, m in plan.methods.items()])
    sizes = ", ".join(sizes_words(config))
    return (
        f"{counted(len(plan.methods), 'method')} x {counted(plan.num_seeds, 'seed')} on {config['dataset']} "
        f"({config['train_images']:,} training {of_text(config)}, {config['split_images']:,} of {config['split']})"
        f"{sizes and '; supernet: '}{sizes}; {lengths}"
    )


def _collect(
    said: Mapping[str, Any], found: Mapping[str, MethodResult], folder: Path | None, plan: SupernetPlan | None
) -> SupernetStudy:
    judged, config = _engine.judged_by(said), said["config"]
    sticks = yardsticks_from_json(said.get("yardsticks", ()))  # folders of before lack them
    scratch = None if folder is None else load_from_scratch(folder, config, tuple(found))
    again = None if folder is None else load_selected(folder, config, tuple(found))
    return SupernetStudy(config, dict(said["versions"]), *judged, tuple(found.values()), sticks, scratch, again)


def _describe(plan: SupernetPlan) -> dict[str, Any]:
    judged = _engine.Judged(plan.supernet.space.config, plan.targets, plan.references)
    return {**judged.describe(), "yardsticks": yardsticks_as_json(plan.yardsticks)}


def _page(study: SupernetStudy) -> str:
    from jnas.studies.supernets._report import supernet_report  # it brings matplotlib, which is needed at the end alone

    return supernet_report(study)


KIND = _engine.Kind(
    folder=FOLDER,
    results=SupernetStudy,
    headline=supernet_headline,
    describe=_describe,
    parts=lambda config: tuple(map(str, config["methods"])),
    memory=lambda plan: plan.result_bytes,
    file_name=method_file_name,
    identity=lambda work, name: {"method": name},
    estimate=_estimate,
    run=run_method,
    save=save_whole_method,
    load=load_method,
    collect=_collect,
    outputs={
        "summary.csv": supernet_summary_csv,
        "epochs.csv": epochs_csv,
        "one_shot.csv": one_shot_csv,
        "ranking.csv": ranking_csv,
        "random_search.csv": random_search_csv,
        "test_selection.csv": chosen_on_test_csv,
        "selected.csv": selected_csv,
        "from_scratch.csv": from_scratch_csv,
        "from_scratch_cells.csv": scratch_cells_csv,
        "report.html": _page,
    },
    same=_SAME,
    goes_on_from=OF_OTHER_PROGRAMS,
    as_search=as_study_results,
    pieces=Pieces(how_many=count_pieces, path=seeds_path, run=run_seeds),
)

carry_out_supernets: Callable[..., SupernetStudy] = functools.partial(_engine.carry_out, KIND)
"""Returns the results of a plan; arguments and errors are those of `supernet_study`."""
