"""A study of predictors: how well they predict from so many cells, in a folder from which it goes on when stopped."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jnas.core._versions import OF_OTHER_PROGRAMS, SAME
from jnas.core._vocabulary import Predictor
from jnas.io._text import counted, listed
from jnas.studies import _engine
from jnas.studies._compared import seeds_text
from jnas.studies._settings import plan_arguments
from jnas.studies.predictors._plan import Encodings, PredictorPlan, plan_predictor_study
from jnas.studies.predictors._results import (
    FOLDER,
    CaseAtSize,
    FitsByCase,
    PredictorStudy,
    fits_file_name,
    load_cells,
    load_fits,
    save_cells,
    save_fits,
)
from jnas.studies.predictors._run import estimate_predictor_study, run_fits
from jnas.studies.predictors._text import predictor_summary_csv, results_csv, times_csv
from jnas.tables._look_ups import Seed
from jnas.tables._metric import metric_of
from jnas.tables._table import Table

_SAME = ("jnas", "numpy", *SAME)  # where a study goes on


def predictor_study(
    predictors: Mapping[str, Predictor],
    table: Table,
    *,
    dataset: str,
    epochs: int,
    encodings: Encodings,
    split: str = "validation",
    reward: Seed = "mean",
    train_sizes: Sequence[int] = (20, 100, 500),
    test_cells: int = 500,
    precision_at: float = 10,
    num_seeds: int = 20,
    num_python_seeds: int = 5,
    root_seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    chunk: int = 25,
    command: str | None = None,
    log: Callable[[str], None] | None = None,
    seed: Seed | None = None,
) -> PredictorStudy:
    """Returns how well predictors fitted to a few cells of a table predict others, over many draws of cells.

    Each seed draws its cells anew, all predictors the same ones. The test cells of a seed serve all training sizes,
    and each training set holds the smaller ones. A predictor's fits to one size run as one program over the seeds; one
    that cannot be compiled is fitted seed by seed, over fewer seeds.

    Args:
      predictors: By the names under which they are to appear.
      table: Whose accuracies are predicted.
      dataset: Which, as in `Table.accuracy`.
      epochs: Which training.
      encodings: Which of the space's features predictors read: for all of them, or by the predictor's name. Each
        encoding is a row of its own.
      split: As in `Table.accuracy`.
      reward: Which run is the truth: the `'mean'`, or a training seed's name.
      train_sizes: To how many cells predictors are fitted; they ascend.
      test_cells: For how many others they predict.
      precision_at: The k of the precision at k: a number of cells, or a share of the test cells below 1.
      num_seeds: Draws of cells.
      num_python_seeds: Draws for a predictor that cannot be compiled, at most `num_seeds`.
      root_seed: Of all random numbers. More seeds begin with the fewer, more sizes change nothing for the others.
      out: The folder for results, summary and report. A study that was stopped there goes on, to the same results.
      chunk: Most seeds in one program.
      command: The command line that does the same, for the report.
      log: Called with lines about what is to be done, the estimate among them.
      seed: An older name of `reward`.

    Returns:
      The cells, and what was predicted of them; `PredictorStudy.measures` gives errors and correlations. With `out`
      they are written and drawn as well.

    Raises:
      ValueError: An argument is out of range, the table does not know enough cells, or the folder holds another study.
      TypeError: `predictors` is not a mapping of names to predictors, or both `reward` and `seed` were given.
      OSError: The folder cannot be written.

    References:
      White, Neiswanger & Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
      Search", 2021 (AAAI), Table 1 and Figure A.1.
    """
    plan = plan_predictor_study(**plan_arguments(locals()))
    return carry_out_predictors(plan, out=out, log=log)


def predictor_headline(plan: PredictorPlan) -> str:
    """Returns what a study does, in a line."""
    config = plan.config
    sizes = listed([f"{n:,}" for n in config["train_sizes"]])
    return (
        f"{counted(len(plan.cases), 'predictor')} by encoding x {sizes} training cells x {seeds_text(config)} on "
        f"{config['table_name']}: {config['dataset']} {config['split']} {metric_of(config).name} after "
        f"{counted(config['epochs'], 'epoch')}, tested on {plan.test_cells:,} cells"
    )


def _parts(config: Mapping[str, Any]) -> list[CaseAtSize]:
    cases = [(name, encoding) for name, chosen in config["predictors"].items() for encoding in chosen]
    return [(*case, size) for case in cases for size in config["train_sizes"]]


def _collect(
    said: Mapping[str, Any], found: FitsByCase, folder: Path | None, plan: PredictorPlan | None
) -> PredictorStudy:
    cells = load_cells(folder, said) if plan is None and folder is not None else plan.cells  # type: ignore[union-attr]
    return PredictorStudy(said["config"], dict(said["versions"]), cells, found)


def _page(study: PredictorStudy) -> str:
    from jnas.studies.predictors._report import predictor_report  # it brings matplotlib, needed at the end alone

    return predictor_report(study)


KIND = _engine.Kind(
    folder=FOLDER,
    results=PredictorStudy,
    headline=predictor_headline,
    parts=_parts,
    memory=lambda plan: plan.result_bytes,
    file_name=fits_file_name,
    identity=lambda work, part: dict(zip(("predictor", "encoding", "train_size"), part, strict=True)),
    estimate=estimate_predictor_study,
    run=run_fits,
    save=save_fits,
    load=load_fits,
    collect=_collect,
    outputs={
        "results.csv": results_csv,
        "summary.csv": predictor_summary_csv,
        "times.csv": times_csv,
        "report.html": _page,
    },
    same=_SAME,
    goes_on_from=OF_OTHER_PROGRAMS,
    opened=lambda plan, folder: save_cells(folder, plan.cells, plan.config),
)

carry_out_predictors: Callable[..., PredictorStudy] = functools.partial(_engine.carry_out, KIND)
"""Returns the results of a plan; arguments and errors are those of `predictor_study`."""
