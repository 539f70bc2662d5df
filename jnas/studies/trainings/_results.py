"""What a study of searches by real trainings comes to: in the form of a study of searchers, as text, as a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jnas.core._folder import StudyConfig
from jnas.core._vocabulary import Network
from jnas.io._fields import describe_fields
from jnas.io._text import counted, csv_text, listed
from jnas.spaces._registry import from_config
from jnas.studies._compared import known_space
from jnas.studies.search._objectives import bounds_told
from jnas.studies.search._results import SearcherResult, StudyResults, TrainedPool
from jnas.studies.trainings._files import Trainings
from jnas.studies.trainings._objectives import goals_of, trained_front
from jnas.studies.trainings._store import as_trained
from jnas.tables._file import Header
from jnas.tables._metric import ACCURACY, metric_of
from jnas.tables._targets import Target
from jnas.training._recipe import Recipe
from jnas.training.data._dataset import Dataset
from jnas.training.data._text import TextDataset
from jnas.training.runs._build import TablePlan, assemble_table
from jnas.training.runs._jobs import Jobs


@describe_fields
class TrainingSearch(NamedTuple):
    """A whole study.

    Attributes:
      config: The study's configuration, as config.json holds it.
      versions: Of jnas, jax, numpy, Python; the device; XLA flags.
      targets: The columns of the comparison.
      searchers: One for each searcher.
      trainings: All that were made; None before the first.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    targets: tuple[Target, ...]
    searchers: tuple[SearcherResult, ...]
    trainings: Trainings | None


def as_searches(study: TrainingSearch) -> StudyResults:
    """Returns the searches in the form of `jnas.study`, so that they have its page and can be compared with others."""
    asked = _asked(study)
    # Otherwise an epoch is a second. "Measured" is what all runs took together, on however many devices.
    clock = {"clock": "recorded"} if study.config.get("workers", 1) > 1 else {}
    told = StudyConfig({**study.config, **clock, "sentences": _sentences(study, asked)})
    judged = study.config["space"], study.targets, ()
    front = trained_front(study.config, study.searchers, _as_trained(study), _text_of(study))
    return StudyResults(told, study.versions, *judged, study.searchers, pool=_pool(study, asked), front=front)


def _as_trained(study: TrainingSearch) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function to what is trained for architectures; the same where the space is not known."""
    space = known_space(study.config["space"])
    return as_trained(space) if space is not None else lambda archs: archs


def _text_of(study: TrainingSearch) -> Callable[[np.ndarray], str]:
    """Returns a function from an architecture `[E]` to its string, or to its numbers where the space is not known."""
    space = known_space(study.config["space"])
    return (lambda arch: " ".join(map(str, arch))) if space is None else space.to_string


def _asked(study: TrainingSearch) -> dict[str, np.ndarray]:
    """Returns which of the trainings each searcher that has ended asked for, bool `[N]`; some may be nobody's."""
    if study.trainings is None:
        return {}
    trained = _as_trained(study)
    rows, found = {arch.tobytes(): row for row, arch in enumerate(study.trainings.archs)}, {}
    for searcher in study.searchers:
        archs = np.asarray(searcher.traces.arch, np.int32)
        asked = trained(archs.reshape(-1, archs.shape[-1]))[np.asarray(searcher.traces.mask).reshape(-1)]
        found[searcher.name] = np.zeros(len(rows), bool)
        for row in (rows.get(arch.tobytes()) for arch in asked):
            if row is not None:  # in a space that is not known an architecture may have been trained as another
                found[searcher.name][row] = True
    return found


def _pool(study: TrainingSearch, asked: Mapping[str, np.ndarray]) -> TrainedPool | None:
    """Returns the trainings that searchers asked for, with what they are worth, and which are random search's."""
    if study.trainings is None or not asked:
        return None
    runs, splits, of_all = study.trainings.runs, study.config["splits"], np.any([*asked.values()], axis=0)
    last = runs.accuracy[splits["validation"]][of_all, -study.config["last_epochs"] :]
    scores = np.float32(metric_of(study.config).sign) * last.mean(axis=1, dtype=np.float64).astype(np.float32)
    if study.config.get("at_most"):
        scores = np.where(_keeping(study)[of_all], scores, np.float32(np.nan))
    finals = [runs.accuracy[splits[target.split]][of_all, -1].astype(np.float64) for target in study.targets]
    sampled = {name: rows[of_all] for name, rows in asked.items() if name.partition(":")[0] == "random_search"}
    return TrainedPool(scores, np.stack(finals), sampled)


def _keeping(study: TrainingSearch) -> np.ndarray:
    """Returns which trainings keep the bounds, bool `[N]`, of those that searchers asked for."""
    assert study.trainings is not None
    trained, kept = _as_trained(study), set[bytes]()
    for searcher in study.searchers:
        counts = np.asarray(searcher.traces.mask & searcher.traces.valid)
        kept |= {arch.tobytes() for arch in trained(np.asarray(searcher.traces.arch, np.int32)[counts])}
    return np.asarray([arch.tobytes() in kept for arch in study.trainings.archs])


def _sentences(study: TrainingSearch, asked: Mapping[str, np.ndarray]) -> list[str]:
    config = study.config
    images, recipe = config["images"], config["recipe"]
    rows = np.any([*asked.values()], axis=0) if asked else np.zeros(0, bool)
    made = int(rows.sum())
    evaluated = sum(int(np.sum(searcher.traces.mask)) for searcher in study.searchers)
    last = config["last_epochs"]
    score = f"after {counted(recipe['epochs'], 'epoch')}" if last == 1 else f"over its last {last} epochs"
    beside = ""
    if (workers := config.get("workers", 1)) > 1:
        beside = (
            f", {workers} under way at once: it was told of each as it ended, by the recorded seconds of trainings, "
            "as if each worker had a device of its own"
        )
    failed = int(np.sum(study.trainings.runs.failed[rows])) if study.trainings is not None and asked else 0
    others, bounds = goals_of(config).others, bounds_told(config)
    known_before = [name for name in ("parameters", "flops") if name in config.get("at_most", {})]
    spared = f" What is above the bound of {listed(known_before)} was not trained." if known_before else ""
    goal = "what nothing dominates by" if others else "the architecture with the best"
    more = f", together with {listed([word.partition('=')[0] for word in others])}" if others else ""
    kept = f", among those with {listed(bounds)}" if bounds else ""
    return [
        f"{counted(len(config['searchers']), 'searcher')} looked for {goal} validation "
        f"{metric_of(config).name} on {config['dataset']} ({_kind_text(config)}; "
        f"{', '.join(f'{n:,} of {s}' for s, n in images.items())}) "
        f"{score}{more}{kept}, with {counted(config['num_seeds'], 'seed')} each.{_units(others, bounds)}",
        f"Every evaluation is a real training with the recipe {recipe['name']} and seed {config['training_seed']}; "
        f"what several searches asked for was trained once: {made:,} trainings for {counted(evaluated, 'evaluation')}"
        f"{f', of which {failed:,} diverged' if failed else ''}.{spared}",
        f"A search ended after {counted(config['max_evaluations'], 'evaluation')}{beside}. What it returns is the best "
        f"architecture that it evaluated by that score alone{', of what keeps the bounds' if bounds else ''}.",
    ]


def _units(others: Sequence[str], bounds: Sequence[str]) -> str:
    """Returns a sentence on what the numbers of further objectives and bounds are in; nothing where there are none."""
    words = " ".join([*others, *bounds])
    counts = [name for name in ("parameters", "flops") if name in words]
    told = [f"{listed(counts)} in millions{' (of multiply-adds)' if 'flops' in counts else ''}"] if counts else []
    told += ["train_seconds of an epoch with its evaluations, as measured"] if "train_seconds" in words else []
    return f" Here {' and '.join(told)}." if told else ""


def _kind_text(config: Mapping[str, Any]) -> str:
    """Returns the size of the images, or what the tokens of a text are."""
    if "vocabulary" in config:
        number, unit = config["vocabulary"]
        return f"{number:,} different {unit}"
    height, width, _ = config["image_shape"]
    return f"{height}x{width}"


def evaluations_csv(study: TrainingSearch) -> str:
    """Returns a row for each evaluation of each search, in order, with its further objectives and what it violates."""
    text, (names, signs) = _text_of(study), goals_of(study.config).named
    rows = []
    for searcher in study.searchers:
        traces = searcher.traces
        for seed, place in np.argwhere(np.asarray(traces.mask)):
            arch = text(np.asarray(traces.arch)[seed, place])
            further = np.zeros(0) if traces.objectives is None else np.asarray(traces.objectives)[seed, place] * signs
            told = [str(number) for number in (np.asarray(traces.score)[seed, place], *further)]
            best = [str(values[seed, place]) for values in searcher.values]
            rows.append([searcher.name, seed, place, arch, *told, *best])
    metric = metric_of(study.config)
    best_of = (f"best_{target.split}_{'percent' if metric == ACCURACY else metric.column}" for target in study.targets)
    head = ("searcher", "seed", "evaluation", "arch", "score", *names, *best_of)
    return csv_text(head, rows)


def curves_csv(study: TrainingSearch) -> str | None:
    """Returns a row for each epoch of each training and split, the metric in its unit; None before the first."""
    if study.trainings is None:
        return None
    space, (archs, runs) = known_space(study.config["space"]), study.trainings
    rows = []
    for row, arch in enumerate(archs):
        text = space.to_string(arch) if space is not None else " ".join(map(str, arch))
        for split in runs.accuracy:
            pairs = zip(runs.accuracy[split][row], runs.loss[split][row], strict=True)
            rows += [[row, text, epoch, split, str(a), str(b)] for epoch, (a, b) in enumerate(pairs, 1)]
    return csv_text(("training", "arch", "epoch", "split", metric_of(study.config).column, "loss"), rows)


def as_table(
    study: TrainingSearch, network: Network, dataset: Dataset | TextDataset, recipe: Recipe, *, source: str
) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns the trainings as a table of the architectures that were trained, as `save_arrays` takes it.

    `jnas study` and `jnas predictors` take it, the former with the same objectives and bounds; the seconds of an epoch
    are those that its training took here.

    Raises:
      ValueError: There is no training.
    """
    if study.trainings is None:
        raise ValueError("the folder holds no training yet, so that there is no table to write")
    archs, runs = study.trainings
    seed = int(study.config["training_seed"])
    everyone = np.arange(len(archs), dtype=np.int32)
    jobs = Jobs(archs, np.full(len(archs), seed, np.int64))
    plan = TablePlan(archs, everyone, jobs, everyone, np.zeros(len(archs), np.int32), (seed,))
    seconds = np.asarray(runs.seconds, np.float64) / recipe.epochs
    return assemble_table(
        plan,
        runs,
        dataset,
        recipe,
        network,
        seconds,
        name=f"trainings of {', '.join(study.config['searchers'])} on {study.config['dataset']} (recipe {recipe.name})",
        source=source,
        notes=(
            "what searches asked for, not a sample of the space: the architectures are better than random ones",
            "seconds are of an epoch with its evaluations, the mean over what was trained in one program",
        ),
        space=from_config(study.config["space"]),
    )
