"""What a study of searches by real trainings does: everything that its results depend on, checked."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jnas.core._checks import check_fidelities
from jnas.core._shares import own_share
from jnas.core._vocabulary import Network, Objective, Searcher
from jnas.searchers._goals import check_made_for
from jnas.studies._compared import check_rows, made_with
from jnas.studies._settings import check_settings
from jnas.studies.trainings._objectives import goal_words, goals_of
from jnas.studies.trainings._settings import TRAINING_SEARCH_SETTINGS
from jnas.tables._metric import metric_of_task, metric_words
from jnas.tables._numbers import table_name
from jnas.tables._targets import Target
from jnas.training._recipe import Recipe, recipe_words
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.networks._families import check_kind
from jnas.training.runs._jobs import dataset_digest


class TrainingSearchPlan(NamedTuple):
    """What to do."""

    searchers: Mapping[str, Searcher]
    dataset: Dataset | TextDataset
    recipe: Recipe
    network: Network
    chunk_size: int | None  # candidates in one program; None: as `training_search` says
    targets: tuple[Target, ...]  # how what was found is judged: the data set's validation and test splits
    config: Mapping[str, Any]
    start_from: str | os.PathLike[str] | None = None  # a folder whose trainings are taken over; results are the same
    log: str | None = None  # the tool in whose format trainings are logged too, in the folder


def plan_training_search(
    searchers: Mapping[str, Searcher],
    network: Network,
    dataset: Dataset | TextDataset,
    recipe: Recipe,
    *,
    max_evaluations: int = 100,
    num_seeds: int = 3,
    root_seed: int = 0,
    training_seed: int = 0,
    last_epochs: int | None = None,
    workers: int = 1,
    chunk_size: int | None = None,
    start_from: str | os.PathLike[str] | None = None,
    command: str | None = None,
    objectives: Sequence[str] | None = None,
    at_most: Mapping[str, float] | None = None,
) -> TrainingSearchPlan:
    """Returns the plan of a study; arguments and errors are those of `training_search`."""
    check_settings(TRAINING_SEARCH_SETTINGS, locals())
    check_rows("searchers", searchers, Searcher, "jnas.searchers makes them")
    check_kind(dataset.name, isinstance(dataset, TextDataset), network.space.name)
    if network.form == "dispatch":
        raise ValueError("form is 'dispatch', whose programs are made for known batches; give 'switch' or 'mixture'")
    if workers > 1 and chunk_size is not None:
        raise ValueError(
            f"chunk_size is {chunk_size} and workers is {workers}: several workers train one architecture at a time, "
            "each on a device of its own; leave one of them out"
        )
    if workers > 1 and own_share().processes > 1:
        raise ValueError(
            f"workers is {workers}, and {own_share().processes} processes share this search: workers are the devices "
            "of one machine; leave workers out, or start one process"
        )
    if dataset.validation_split is None:
        raise ValueError(f"the data set {dataset.name!r} has no validation split, and searches need one")
    if last_epochs is None:
        last_epochs = min(recipe.score_epochs, recipe.epochs)
    if last_epochs > recipe.epochs:
        raise ValueError(f"last_epochs is {last_epochs}, expected at most the recipe's {recipe.epochs} epochs")
    objective = Objective(lambda keys, proposal: None, (recipe.epochs,))  # type: ignore[arg-type, return-value]
    for searcher in searchers.values():
        check_fidelities(searcher, objective)
    own = table_name(dataset.name)
    goals = goal_words(metric_of_task(network.task), objectives, at_most, own, recipe.epochs)
    check_made_for(searchers, len(goals.get("objectives", ("",))))
    splits = {"validation": dataset.validation_split, "test": dataset.test_split}
    targets = tuple(Target(own, role, recipe.epochs) for role, split in splits.items() if split is not None)
    config = {
        "searchers": list(searchers),
        "space": network.space.config,
        "dataset": own,
        "dataset_digest": dataset_digest(dataset),
        "split": "validation",
        "splits": {role: split for role, split in splits.items() if split is not None},
        "images": {split: len(rows) for split, rows in dataset.splits.items()},
        **_kind_words(dataset),
        "recipe": recipe_words(recipe),
        "epochs": [recipe.epochs],
        "form": network.form,
        "rematerialize": bool(network.rematerialize),
        "reward": "mean" if last_epochs == 1 else f"the mean of the last {last_epochs} epochs",
        "last_epochs": int(last_epochs),
        "training_seed": int(training_seed),
        "max_evaluations": int(max_evaluations),
        "budget_seconds": None,
        "num_seeds": int(num_seeds),
        "root_seed": int(root_seed),
        "judged_by": [target.label for target in targets],
        "table_name": None,
        "notes": [],
        "command": command,
        **metric_words(metric_of_task(network.task)),
        # What folders of before do not know.
        **made_with(searchers),
        **({} if network.dtype == "float32" else {"dtype": network.dtype}),
        **({} if workers == 1 else {"workers": int(workers)}),
        **goals,
    }
    if goals_of(config).timed and chunk_size not in (None, 1):
        raise ValueError(
            f"chunk_size is {chunk_size} and train_seconds is searched on: trainings in one program have one time "
            "together; leave chunk_size out, or give 1"
        )
    return TrainingSearchPlan(dict(searchers), dataset, recipe, network, chunk_size, targets, config, start_from)


def _kind_words(dataset: Dataset | TextDataset) -> dict[str, Any]:
    """Returns the size of images, or what the tokens of a text are; `images` counts both."""
    if isinstance(dataset, TextDataset):
        return {"vocabulary": [dataset.num_tokens, dataset.vocabulary.unit]}
    return {"image_shape": [int(n) for n in dataset.image_shape]}
