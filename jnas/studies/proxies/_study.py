"""A study of scores without training: how well they order the cells of a table, in a folder from which it goes on."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jnas.core._versions import SAME
from jnas.core._vocabulary import Network
from jnas.io._text import counted
from jnas.studies import _engine
from jnas.studies._settings import plan_arguments
from jnas.studies.proxies._plan import ProxyPlan, plan_proxy_study
from jnas.studies.proxies._results import (
    FOLDER,
    Part,
    ProxyStudy,
    Scored,
    load_scored,
    load_scored_cells,
    save_scored,
    save_scored_cells,
)
from jnas.studies.proxies._run import begin_programs, estimate_proxy_study, run_scores
from jnas.studies.proxies._text import proxy_summary_csv, scores_csv
from jnas.tables._look_ups import Seed
from jnas.tables._metric import metric_of
from jnas.tables._table import Table
from jnas.training.data._dataset import Dataset


def proxy_study(
    names: Sequence[str],
    network: Network,
    images: Dataset,
    table: Table,
    *,
    dataset: str,
    epochs: int,
    split: str = "test",
    reward: Seed = "mean",
    num_cells: int = 1000,
    num_seeds: int = 5,
    root_seed: int = 0,
    batch_size: int = 64,
    sizes: Mapping[str, int] | None = None,
    out: str | os.PathLike[str] | None = None,
    command: str | None = None,
    log: Callable[[str], None] | None = None,
) -> ProxyStudy:
    """Returns how well scores without training order cells of a table, over draws of weights and batches.

    `params` and `flops` are always among them: what the size of a network alone is worth.

    Args:
      names: Of `jnas.training.proxy_names(network)`.
      network: Of the table's space.
      images: What networks see, of the network's shape.
      table: Whose accuracies are the truth.
      dataset: Which, as in `Table.accuracy`.
      epochs: Which training.
      split: As in `Table.accuracy`.
      reward: Which run is the truth: the `'mean'`, or a training seed's name.
      num_cells: How many cells, drawn from all that the table knows; all, where these are fewer.
      num_seeds: Draws of weights, each with a batch of its own.
      root_seed: Of all random numbers. More seeds begin with the fewer, and so do more cells.
      batch_size: Images in a batch.
      sizes: What the network's sizes are called in the configuration, such as its channels.
      out: The folder for results, summary and report. A study that was stopped there goes on, to the same results.
      command: The command line that does the same, for the report.
      log: Called with lines about what is to be done, the estimate among them.

    Returns:
      The cells, and their scores. With `out` they are written as well.

    Raises:
      ValueError: An argument is out of range, or the folder holds another study.
      OSError: The folder cannot be written.

    References:
      Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", 2021 (ICLR), Table 1.
    """
    asked = plan_arguments(locals())
    given = [asked.pop(name) for name in ("names", "network", "images", "table")]
    return carry_out_proxies(plan_proxy_study(*given, **asked), out=out, log=log)


def _headline(plan: ProxyPlan) -> str:
    config = plan.config
    return (
        f"{counted(sum(map(len, config['groups'].values())), 'score')} x {counted(config['num_cells'], 'cell')} x "
        f"{counted(config['num_seeds'], 'seed')} on {config['table_name']}: {config['dataset']} {config['split']} "
        f"{metric_of(config).name} after {counted(config['epochs'], 'epoch')}"
    )


def _parts(config: Mapping[str, Any]) -> list[Part]:
    return [(group, seed) for group in config["groups"] for seed in range(config["num_seeds"])]


def _collect(
    said: Mapping[str, Any], found: Mapping[Part, Scored], folder: Path | None, plan: ProxyPlan | None
) -> ProxyStudy:
    cells = load_scored_cells(folder, said["config"]) if plan is None and folder is not None else plan.cells  # type: ignore[union-attr]
    return ProxyStudy(said["config"], dict(said["versions"]), cells, found)


def _page(study: ProxyStudy) -> str:
    from jnas.studies.proxies._report import proxy_report  # it brings matplotlib, needed at the end alone

    return proxy_report(study)


KIND = _engine.Kind(
    folder=FOLDER,
    results=ProxyStudy,
    headline=_headline,
    parts=_parts,
    file_name=lambda part: f"{part[0]}-{part[1]}.npz",
    identity=lambda work, part: dict(zip(("pass", "seed"), part, strict=True)),
    estimate=estimate_proxy_study,
    run=run_scores,
    save=save_scored,
    load=load_scored,
    collect=_collect,
    outputs={"scores.csv": scores_csv, "summary.csv": proxy_summary_csv, "report.html": _page},
    same=("jnas", *SAME),
    begin=begin_programs,
    opened=lambda plan, folder: save_scored_cells(folder, plan.cells, plan.config),
)

carry_out_proxies: Callable[..., ProxyStudy] = functools.partial(_engine.carry_out, KIND)
"""Returns the results of a plan; arguments and errors are those of `proxy_study`."""
