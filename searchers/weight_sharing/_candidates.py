"""How searchers compare candidates under the shared weights, and which batch-norm they do it with."""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jnas.core._vocabulary import Array, Derived, Key, Shared, Supernet
from jnas.io._fields import describe_fields
from jnas.io._text import not_one_of
from jnas.searchers._checks import check_positive_int
from jnas.searchers.weight_sharing._shared_weights import if_finite
from jnas.searchers.weight_sharing._texts import SearchData, SearchText, text_scores
from jnas.training._recipe import BatchNormPolicy
from jnas.training.data._batches import filled_batches, next_batches
from jnas.training.operations._forms import branches

Comparison = Literal["published", "same_batches"]
"""What candidates are compared on; see `Selection`."""

_TOGETHER = 16  # candidates that run as one batch where the supernet does not branch, each on images of its own
_DERIVE = 0x5E1EC7  # what a state's key is folded with for a derivation: far from the numbers of its splits


@describe_fields
class Selection(NamedTuple):
    """How the best of some candidates is chosen by its metric under the shared weights; Python values.

    `comparison='published'` scores each candidate on the next mini-batch of its own, as the scripts of NAS-Bench-201
    do: two equal candidates then differ by the luck of their batches (2 percent at 512 images and an accuracy of 60).
    `'same_batches'` scores all of them on the same images. Of a text both are the same: all are scored on all of the
    split, or its first `num_images` tokens, in at most `batch_size` streams.

    Attributes:
      comparison: `'published'` or `'same_batches'`.
      num_candidates: Architectures that are compared.
      batch_size: Images in a batch.
      num_images: Of 'same_batches'; None for all of the split.
      batch_norm: Statistics of each batch, running estimates of the search, or means over `batch_norm_batches` batches
        of training images, no image twice, taken for each candidate.
      batch_norm_batches: How many batches that policy takes.
    """

    comparison: Comparison = "published"
    num_candidates: int = 100
    batch_size: int = 512
    num_images: int | None = None
    batch_norm: BatchNormPolicy = "batch"
    batch_norm_batches: int = 8


def check_selection(selection: Any) -> Selection:
    """Returns a selection, or raises a `ValueError` or `TypeError` that names what makes no sense."""
    if not isinstance(selection, Selection):
        raise TypeError(
            f"selection is {selection!r}, expected a jnas.searchers.Selection, for example Selection('same_batches')"
        )
    for field, known in (("comparison", get_args(Comparison)), ("batch_norm", get_args(BatchNormPolicy))):
        if getattr(selection, field) not in known:
            raise ValueError(not_one_of(f"the selection's {field}", getattr(selection, field), known))
    for field in ("num_candidates", "batch_size", "batch_norm_batches"):
        check_positive_int(f"the selection's {field}", getattr(selection, field))
    if selection.num_images is not None:
        check_positive_int("the selection's num_images", selection.num_images)
    return selection


def derive_key(key: Key) -> Key:
    """Returns the key of a derivation from a state's, which stays as it is."""
    same: Key = jax.random.clone(key)  # type: ignore[no-untyped-call]
    return jax.random.fold_in(same, _DERIVE)


def choose(
    key: Key, supernet: Supernet, shared: Shared, archs: Array, dataset: SearchData, split: str, selection: Selection
) -> Derived:
    """Returns the candidate of the best metric (accuracy), the first among equals; a NaN is never the best.

    Args:
      key: Of which images are looked at.
      supernet: What the candidates are parts of.
      shared: Its weights.
      archs: int32 `[M, E]`, the candidates.
      dataset: Where the images are; they are not augmented.
      split: On which split candidates are compared.
      selection: How.
    """
    scores = candidate_scores(key, supernet, shared, archs, dataset, split, selection)
    order = scores if supernet.task.higher_is_better else -scores
    best = jnp.argmax(jnp.where(jnp.isnan(order), -jnp.inf, order))
    return Derived(archs[best], archs, scores)


def candidate_scores(
    key: Key, supernet: Supernet, shared: Shared, archs: Array, dataset: SearchData, split: str, selection: Selection
) -> Array:
    """Returns each candidate's metric (accuracy in percent), float32 `[M]`; NaN where an output is not finite.

    One candidate after the other where the supernet branches, otherwise some at a time. Arguments as for `choose`.
    """
    order_key, train_key = jax.random.split(key)
    if isinstance(dataset, SearchText):
        return _on_text(train_key, supernet, shared, archs, dataset, split, selection)
    rows = dataset.rows(split)
    if selection.comparison == "published":
        numbers = next_batches(order_key, rows, selection.batch_size, len(archs))  # [M, n]
        batches, counted = numbers[:, None], jnp.ones((1, numbers.shape[1]), bool)
    else:
        batches, counted = _same_batches(order_key, rows, selection)  # [T, n]
    train = _train_batches(train_key, dataset, selection)

    def score(arch: Array, batches: Array) -> Array:
        statistics = _statistics(supernet, shared, arch, dataset, train, selection.batch_norm)

        def measure(total: Array, batch: tuple[Array, Array]) -> tuple[Array, None]:
            numbers, counted = batch
            inputs, targets = dataset.examples(numbers)
            outputs, _ = supernet.sampled(shared.parameters, statistics, arch, inputs)
            found = jnp.where(counted, supernet.task.measure(outputs, targets), 0)
            return total + if_finite(outputs, jnp.sum(found)), None

        total, _ = jax.lax.scan(measure, jnp.float32(0), (batches, counted))
        return supernet.task.metric(total, jnp.sum(counted))

    together = None if branches(supernet.form) else min(_TOGETHER, len(archs))
    scores: Array
    if selection.comparison == "published":
        scores = jax.lax.map(lambda each: score(*each), (archs, batches), batch_size=together)
    else:
        scores = jax.lax.map(lambda arch: score(arch, batches), archs, batch_size=together)
    return scores


def _on_text(
    key: Key, supernet: Supernet, shared: Shared, archs: Array, dataset: SearchText, split: str, selection: Selection
) -> Array:
    """Returns each candidate's perplexity; all on the same text, in as many streams as the selection has images."""
    train = _train_batches(key, dataset, selection)
    own = lambda arch: _statistics(supernet, shared, arch, dataset, train, selection.batch_norm)  # noqa: E731
    return text_scores(supernet, shared, own, archs, dataset, split, selection.batch_size, selection.num_images)


def _train_batches(key: Key, dataset: SearchData, selection: Selection) -> Array | None:
    """Returns the row numbers `[T, n]` of training batches by which batch-norm is estimated anew, where it is."""
    if selection.batch_norm != "reestimated":
        return None
    rows = dataset.rows("train")
    count = min(selection.batch_norm_batches, max(1, len(rows) // selection.batch_size))
    return next_batches(key, rows, selection.batch_size, count)


def _statistics(
    supernet: Supernet, shared: Shared, arch: Array, dataset: SearchData, train: Array | None, policy: BatchNormPolicy
) -> Any:
    """Returns what batch-norm uses for a candidate: None for each batch's own statistics."""
    if policy == "batch":
        return None
    if policy == "running":
        return shared.statistics

    def used(numbers: Array) -> Any:
        return supernet.sampled(shared.parameters, None, arch, dataset.examples(numbers).inputs)[1]

    return jax.tree.map(lambda each: jnp.mean(each, 0), jax.lax.map(used, train))


def _same_batches(key: Key, rows: Array, selection: Selection) -> tuple[Array, Array]:
    """Returns batches `[T, n]` of so many images in random order, and which of them count."""
    total = min(selection.num_images or len(rows), len(rows))
    return filled_batches(jax.random.permutation(key, rows)[:total], selection.batch_size)
