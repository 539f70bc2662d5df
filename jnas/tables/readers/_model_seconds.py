"""Training times of NAS-Bench-101's cells where they are not known, from those that are."""

import itertools
from collections.abc import Mapping

import numpy as np

from jnas import spaces
from jnas.spaces.nasbench101._cells import MAX_VERTICES, NUM_EDGES, OPERATIONS
from jnas.tables._file import Header, Training, member

_FOLDS = 10
_LEAST = 100  # known times from which a model may be made, twice as many as it has terms


def model_seconds(header: Header, arrays: Mapping[str, np.ndarray]) -> tuple[Header, dict[str, np.ndarray]]:
    """Returns a table of NAS-Bench-101 in which every training has a time, those that were missing from a model.

    The model is linear least squares, on the cells whose times are known, in multiply-adds, parameters, edges from the
    input, to the output and between, an edge from one to the other, vertices with each operation, and the products of
    two of these. It is fitted to the longest training that has times; its seconds of an epoch stand for the shorter
    trainings of the same data set, too. `measured/DATASET/EPOCHS` tells which times were measured.

    Args:
      header: What the table says of itself; the result's notes add the model's error in 10-fold cross-validation.
      arrays: Its members.

    Raises:
      ValueError: The table is of another space, lacks multiply-adds or parameters, or has too few known times.
    """
    if spaces.from_config(header.space).name != "nasbench101":
        raise ValueError("times are modelled for tables of the space 'nasbench101' alone; leave --model-seconds out")
    training = _longest_timed(header, arrays)
    name = member("train_seconds", training.dataset, training.epochs)
    seconds = arrays[name].astype(np.float64)
    epoch = _mean(seconds)
    known = ~np.isnan(epoch)
    terms = _terms(arrays, training.dataset)
    whole = epoch * training.epochs
    modelled = np.maximum(_fit_predict(terms[known], whole[known], terms), whole[known].min()) / training.epochs
    found = dict(arrays)
    for other in header.trainings:
        if other.dataset != training.dataset:
            continue
        here = member("train_seconds", *other[:2])
        times = np.asarray(arrays.get(here, np.full((len(epoch), 1), np.nan)), np.float64)
        timed = ~np.isnan(times).all(axis=1)
        filled = np.where(np.isnan(times), np.where(known, epoch, modelled)[:, None], times)
        found[here] = filled.astype(np.float32)
        found[member("measured", *other[:2])] = np.asarray(timed, np.uint8)
    told = _told(training, terms[known], whole[known], len(epoch))
    # What the default mapping says of missing times holds no longer.
    notes = [note for note in header.notes if not note.startswith("training times are of ")]
    return header._replace(notes=(*notes, *told)), found


def _longest_timed(header: Header, arrays: Mapping[str, np.ndarray]) -> Training:
    """Returns the longest training of which some times are known."""
    timed = []
    for training in header.trainings:
        seconds = arrays.get(member("train_seconds", training.dataset, training.epochs))
        if seconds is not None and (~np.isnan(seconds)).any(axis=1).sum() >= _LEAST:
            timed.append(training)
    if not timed:
        raise ValueError(
            f"this table has no training with {_LEAST} known times or more, so that none can be modelled; leave "
            "--model-seconds out"
        )
    return max(timed, key=lambda training: training.epochs)


def _mean(seconds: np.ndarray) -> np.ndarray:
    """Returns the mean `[N]` of what is known of `[N, S]`, NaN where nothing is."""
    count = (~np.isnan(seconds)).sum(axis=1)
    return np.where(count > 0, np.nansum(seconds, axis=1) / np.maximum(count, 1), np.nan)


def _terms(arrays: Mapping[str, np.ndarray], dataset: str) -> np.ndarray:
    """Returns what times are linear in, float64 `[N, 46]`, scaled to the order of 1."""
    archs = arrays["archs"]
    costs = []
    for kind in ("flops", "parameters"):
        cost = arrays.get(member(kind, dataset))
        if cost is None or np.isnan(cost).any():
            raise ValueError(f"times are modelled from {kind}, which this table lacks; leave --model-seconds out")
        costs.append(cost.astype(np.float64))
    matrix = np.zeros((len(archs), MAX_VERTICES, MAX_VERTICES), np.int64)
    matrix[:, *np.triu_indices(MAX_VERTICES, 1)] = archs[:, :NUM_EDGES]
    inner = matrix[:, 1:-1]
    used = inner.any(axis=2)
    operations = [((archs[:, NUM_EDGES:] == o) & used).sum(axis=1) for o in range(len(OPERATIONS))]
    first, last, skip = matrix[:, 0].sum(axis=1), matrix[:, :, -1].sum(axis=1), matrix[:, 0, -1]
    columns = [*costs, first, last, matrix.sum(axis=(1, 2)) - first - last, *operations]
    base = np.stack([column / max(np.abs(column).max(), 1) for column in columns], axis=1)
    pairs = [base[:, i] * base[:, j] for i, j in itertools.combinations_with_replacement(range(base.shape[1]), 2)]
    return np.column_stack([np.ones(len(archs)), base, skip, *pairs])


def _fit_predict(terms: np.ndarray, seconds: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    weights, *_ = np.linalg.lstsq(terms, seconds, rcond=None)
    predicted: np.ndarray = wanted @ weights
    return predicted


def _told(training: Training, terms: np.ndarray, seconds: np.ndarray, rows: int) -> tuple[str, ...]:
    """Returns what must be said of modelled times."""
    fold = np.random.default_rng(0).permutation(len(seconds)) % _FOLDS
    predicted = np.empty_like(seconds)
    for i in range(_FOLDS):
        predicted[fold == i] = _fit_predict(terms[fold != i], seconds[fold != i], terms[fold == i])
    errors = np.abs(predicted - seconds) / seconds
    explained = 1 - ((predicted - seconds) ** 2).sum() / ((seconds - seconds.mean()) ** 2).sum()
    return (
        f"training times after {training.epochs} epochs were measured for {len(seconds):,} cells; those of the other "
        f"{rows - len(seconds):,} are modelled, linear in {terms.shape[1] - 1} terms of multiply-adds, parameters, "
        f"edges and operations (in {_FOLDS}-fold cross-validation the mean error is {100 * errors.mean():.1f} %, 95 % "
        f"are within {100 * np.quantile(errors, 0.95):.1f} %, the largest is {100 * errors.max():.0f} %, R2 is "
        f"{explained:.3f}); `measured` in the file tells them apart",
        f"where other trainings have no times of their own, an epoch of theirs takes as long as one of the "
        f"{training.epochs}-epoch training",
    )
