"""SPOS: a uniform architecture a batch trains the weights; a pool of uniform ones is compared."""

from typing import Any

from jnas.core._vocabulary import Supernet, WeightSharingSearcher
from jnas.searchers._recorded import recorded
from jnas.searchers.weight_sharing._candidates import Selection
from jnas.searchers.weight_sharing._rsps import rsps
from jnas.searchers.weight_sharing._shared_weights import Sgd
from jnas.searchers.weight_sharing._split import Split

EVALUATED_SGD = Sgd(weight_decay=3e-4, nesterov=False)
"""How shared weights are trained in the evaluation of search phases."""

EVALUATED_SELECTION = Selection("same_batches", num_candidates=200)
"""How its pool is compared: as many as the pool holds at most, all on the same images."""


@recorded
def spos(
    supernet: Supernet,
    *,
    steps_per_epoch: int,
    epochs: int = 200,
    sgd: Sgd = EVALUATED_SGD,
    selection: Selection = EVALUATED_SELECTION,
    split: Split = Split(),  # noqa: B008 (immutable)
) -> WeightSharingSearcher:
    """Returns single-path one-shot search, with the published hyper-parameters of the evaluation of search phases.

    Each step draws an architecture uniformly and makes a step of the weights with it on the training batch. At the end
    uniform architectures, 200 unless `selection` says otherwise, are compared under the shared weights. This is `rsps`
    with another recipe. (The released scripts draw their pool from one half of the space, keep its best between looks,
    and compare on test images.)

    Published with batches of 256.

    Args:
      supernet: What is trained.
      steps_per_epoch: Steps that go through the training images once; the learning rate follows it.
      epochs: Of the whole search.
      sgd: How the weights are trained.
      selection: How candidates are compared.
      split: Few-shot search, as in `rsps`.

    Raises:
      TypeError: `steps_per_epoch` or `epochs` is not a Python int, or `selection` is no `Selection`.
      ValueError: An argument is out of range.

    References:
      "Single Path One-Shot Neural Architecture Search with Uniform Sampling", Guo et al., 2020, Section 3; in
        "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020, Section 4.
    """
    settings: dict[str, Any] = {"epochs": epochs, "sgd": sgd, "selection": selection, "split": split}
    return rsps(supernet, steps_per_epoch=steps_per_epoch, **settings)._replace(name="spos")
