"""The weight-sharing searchers by name, with published settings: on NAS-Bench-201, or where they were published.

Those of `spos`, `fairnas`, `topo_fairnas`, `fbnet` and `nao` are of NAS-Bench-101; of `pc-darts`, `darts-minus`,
`darts-es`, `darts-ada`, `fair-darts` and `p-darts` of DARTS's space. What was published otherwise for another space
stands in that space's row of `_benchmarks.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jnas.core._registry import make_registry
from jnas.core._vocabulary import Supernet, WeightSharingSearcher
from jnas.io._fields import describe_fields
from jnas.searchers._benchmarks import find_benchmark
from jnas.searchers.weight_sharing._architecture_parameters import Adam
from jnas.searchers.weight_sharing._darts import darts
from jnas.searchers.weight_sharing._enas import enas
from jnas.searchers.weight_sharing._fairnas import fairnas
from jnas.searchers.weight_sharing._fbnet import fbnet
from jnas.searchers.weight_sharing._gdas import gdas
from jnas.searchers.weight_sharing._nao import shared_nao
from jnas.searchers.weight_sharing._rsps import rsps
from jnas.searchers.weight_sharing._setn import setn
from jnas.searchers.weight_sharing._shared_weights import Sgd
from jnas.searchers.weight_sharing._spos import spos
from jnas.searchers.weight_sharing.mixtures._adaptive import Adaptation
from jnas.searchers.weight_sharing.mixtures._early_stopping import EarlyStopping
from jnas.searchers.weight_sharing.mixtures._perturbation import Perturbation

PLAIN = Sgd(weight_decay=3e-4, nesterov=False)
"""How DARTS trains the weights in its released code, and what came after it there and on NAS-Bench-201."""


@describe_fields
class WeightSharingEntry(NamedTuple):
    """A weight-sharing searcher that commands know by name.

    Attributes:
      name: What commands call it.
      factory: Makes the searcher; its keyword arguments are the settings.
      settings: That distinguish it from others of its factory.
      epochs: Of the published search.
      batch_size: Of the published search, of training and validation batches alike.
      description: One line.
    """

    name: str
    factory: Callable[..., WeightSharingSearcher]
    settings: dict[str, Any]
    epochs: int
    batch_size: int
    description: str


_ENTRIES = (
    WeightSharingEntry(
        "darts-v1",
        darts,
        {"order": "first"},
        50,
        64,
        "a softmax mixture on each edge, weights and mixture by gradient descent in turn",
    ),
    WeightSharingEntry(
        "darts-v2",
        darts,
        {"order": "second"},
        50,
        64,
        "the same, the mixture by its gradient through a step of the weights",
    ),
    WeightSharingEntry(
        "pc-darts",
        darts,
        {
            "partial": 4,
            "edge_weights": "learned",
            "warm_up": 0.3,
            "sgd": Sgd(0.1, weight_decay=3e-4, nesterov=False),
            "adam": Adam(6e-4),
        },
        50,
        256,
        "as darts-v1, operations on a quarter of the channels, edges into a node weighed too, alpha after a warm-up",
    ),
    WeightSharingEntry(
        "gdas",
        gdas,
        {},
        250,
        64,
        "one operation on each edge, drawn with Gumbel noise, with a straight-through gradient",
    ),
    WeightSharingEntry(
        "setn",
        setn,
        {},
        250,
        64,
        "uniform architectures train the weights, a softmax mixture the preferences; the 100 most probable compared",
    ),
    WeightSharingEntry(
        "enas",
        enas,
        {},
        250,
        128,
        "a recurrent controller draws architectures and is rewarded by their accuracy; 100 of its draws compared",
    ),
    WeightSharingEntry(
        "rsps",
        rsps,
        {},
        250,
        64,
        "uniform architectures train the weights; 100 uniform ones compared",
    ),
    WeightSharingEntry(
        "spos",
        spos,
        {},
        200,
        256,
        "the same, as the evaluation of search phases trains and compares: 200 uniform ones on the same images",
    ),
    WeightSharingEntry(
        "fairnas",
        fairnas,
        {},
        200,
        256,
        "a step by the sum of the gradients of architectures that have each operation once everywhere; else as spos",
    ),
    WeightSharingEntry(
        "topo_fairnas",
        fairnas,
        {"topologies": "partition"},
        200,
        256,
        "several such steps a batch, with topologies that have each vertex in one of them; else as fairnas",
    ),
    WeightSharingEntry(
        "fbnet",
        fbnet,
        {},
        200,
        64,
        "a Gumbel-softmax mixture of all choices whose temperature falls, mixture and weights by gradient descent",
    ),
    WeightSharingEntry(
        "nao",
        shared_nao,
        {},
        200,
        256,
        "a pool trains the weights; gradient ascent on learned encodings renews it; the 100 first of the pool compared",
    ),
    WeightSharingEntry(
        "drnas",
        darts,
        {"mixing": "dirichlet", "sgd": PLAIN},
        100,
        64,
        "as darts-v1, the mixture drawn at each step from Dirichlet's distributions, whose concentrations are learned",
    ),
    WeightSharingEntry(
        "sdarts-rs",
        darts,
        {"perturbation": Perturbation("random"), "sgd": PLAIN},
        100,
        64,
        "as darts-v1, the weights trained at mixtures that are moved at random, farther each epoch",
    ),
    WeightSharingEntry(
        "sdarts-adv",
        darts,
        {"perturbation": Perturbation("adversarial"), "sgd": PLAIN},
        100,
        64,
        "the same, moved to where the training loss is larger; some four times the work",
    ),
    WeightSharingEntry(
        "darts-minus",
        darts,
        {"auxiliary_skip": 1.0, "sgd": PLAIN},
        50,
        64,
        "DARTS-: as darts-v1, a further skip connection on each edge that fades",
    ),
    WeightSharingEntry(
        "darts-es",
        darts,
        {"stopping": EarlyStopping(2), "sgd": PLAIN},
        50,
        64,
        "as darts-v1, stopped and taken back where the largest eigenvalue of the validation loss's Hessian grows",
    ),
    WeightSharingEntry(
        "darts-ada",
        darts,
        {"stopping": EarlyStopping(2), "adapting": Adaptation(3.0), "sgd": PLAIN},
        50,
        64,
        "as darts-es, but going on from where it is taken back to, the weights decayed three times as much",
    ),
    WeightSharingEntry(
        "fair-darts",
        darts,
        {
            "mixing": "sigmoid",
            "penalty": 10.0,
            "sgd": Sgd(0.005, weight_decay=3e-4, nesterov=False),
            "adam": Adam(3e-3, b1=0.9),
        },
        50,
        128,
        "as darts-v1, a sigmoid for each operation and a penalty on what is neither 0 nor 1; never none",
    ),
    WeightSharingEntry(
        "p-darts",
        darts,
        {
            "kept": (5, 3),
            "warm_up": 0.4,
            "sgd": Sgd(0.025, 0.0, weight_decay=3e-4, nesterov=False),
            "adam": Adam(6e-4),
        },
        75,
        96,
        "as darts-v1 in three stages, of all operations, of the 5 and of the 3 best on each edge",
    ),
    WeightSharingEntry(
        "darts-pt",
        darts,
        {"choose_by": "perturbation", "sgd": PLAIN},
        100,
        64,
        "as darts-v1; each edge ends with the operation without which the supernet is worst",
    ),
)
WEIGHT_SHARING = make_registry("weight-sharing searcher", _ENTRIES)


def weight_sharing_names() -> tuple[str, ...]:
    """Returns the names of all weight-sharing searchers.

    Example:
      >>> jnas.searchers.weight_sharing_names()
      ('darts-v1', 'darts-v2', 'pc-darts', 'gdas', 'setn', 'enas', 'rsps', 'spos', 'fairnas', 'topo_fairnas', 'fbnet', \
'nao', 'drnas', 'sdarts-rs', 'sdarts-adv', 'darts-minus', 'darts-es', 'darts-ada', 'fair-darts', 'p-darts', \
'darts-pt')
    """
    return WEIGHT_SHARING.names()


def weight_sharing_entry(name: str, space: str | None = None) -> WeightSharingEntry:
    """Returns what is known of a weight-sharing searcher.

    Args:
      name: Of the searcher.
      space: The name of a space, for what was published for it.

    Raises:
      ValueError: There is none of that name.

    Example:
      >>> entry = jnas.searchers.weight_sharing_entry("enas")
      >>> entry.epochs, entry.batch_size
      (250, 128)
      >>> entry = jnas.searchers.weight_sharing_entry("enas", "nasbench101")
      >>> entry.epochs, entry.batch_size, entry.settings["reachable"]
      (200, 160, 'released')
    """
    entry = WEIGHT_SHARING.entry(name)
    return entry if space is None else entry._replace(**find_benchmark(space).published.get(name, {}))


def make_weight_sharing(
    name: str, supernet: Supernet, *, steps_per_epoch: int, epochs: int | None = None, **settings: Any
) -> WeightSharingSearcher:
    """Returns a weight-sharing searcher with the settings that were published for the supernet's space.

    Args:
      name: One of `weight_sharing_names()`.
      supernet: What it trains.
      steps_per_epoch: Steps that go through the training images once.
      epochs: Of the whole search; by default as many as published.
      **settings: Arguments of the searcher's factory to change.

    Raises:
      TypeError: The factory has no such argument, or an argument is of the wrong kind.
      ValueError: There is no searcher of that name, or an argument is out of range.

    Example:
      >>> supernet = jnas.training.nasbench201_supernet(image_shape=(8, 8, 1), num_classes=10, channels=4, cells=1)
      >>> searcher = jnas.searchers.make_weight_sharing("darts-v2", supernet, steps_per_epoch=16, epochs=2)
      >>> searcher.name
      'darts-v2'
    """
    entry = weight_sharing_entry(name, supernet.space.name)
    epochs = entry.epochs if epochs is None else epochs
    return entry.factory(supernet, steps_per_epoch=steps_per_epoch, epochs=epochs, **{**entry.settings, **settings})
