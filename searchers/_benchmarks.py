"""What studies do in a space unless told otherwise, as its paper does: a row for each space."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import optax

from jnas.core._registry import make_registry
from jnas.searchers.weight_sharing._architecture_parameters import Adam
from jnas.searchers.weight_sharing._candidates import Selection
from jnas.searchers.weight_sharing._enas import EVALUATED_POLICY, PolicyGradient
from jnas.searchers.weight_sharing._shared_weights import Sgd
from jnas.searchers.weight_sharing._spos import EVALUATED_SELECTION
from jnas.spaces._registry import SPACES
from jnas.tables._published import PAIRS


class Benchmark(NamedTuple):
    """What studies do in a space unless told otherwise. The defaults are those of a space without a row.

    Attributes:
      name: Of the space.
      compared: The searchers that are compared.
      settings: By searcher, the settings that differ from its defaults.
      evolution: The mutation of `regularized_evolution`, as the function that makes the space takes it; None for that
        of the space as it is. All else of the space stays as a table carries it.
      prediction: The mutation with which searches by predictors were published; None likewise.
      all_epochs: Whether a study uses all trainings of a table, and a searcher of one fidelity the longest of them, as
        where methods of one and of several fidelities share a figure; otherwise one training, or the shortest.
      budget_seconds: Of a search, where the table has times; without them, and for None, 100 evaluations.
      budget_datasets: The data sets for which it holds; None for all.
      shared: The weight-sharing searchers that are compared.
      later: Further ones that the space has settings for; they are compared where they are asked for.
      published: By weight-sharing searcher, what of its entry was published otherwise for this space: `settings`,
        `epochs`, `batch_size`, and the `description` where that no longer holds.
      agreement: By weight-sharing searcher, the published correlations with the ground truth on CIFAR-10 of its
        probability of a cell, and of its accuracy under the shared weights with statistics of each batch and with
        running estimates.
      kendall: The published mean over methods and runs of Kendall's tau of the shared weights' ranking with the truth,
        and what it is of.
      proxies: By data set, the published Spearman correlations of scores without training with the test accuracy of all
        cells, without signs where these were left out.
    """

    name: str
    compared: tuple[str, ...] = (
        "random_search",
        "regularized_evolution",
        "reinforce",
        "local_search",
        "bohb",
        "successive_halving",
        "hyperband",
    )
    settings: Mapping[str, Mapping[str, Any]] = {  # those of NAS-Bench-201
        "regularized_evolution": {"population_size": 10, "sample_size": 10},
        "reinforce": {"learning_rate": 0.1},
        "bohb": {"num_samples": 4, "random_fraction": 0.0},
    }
    evolution: str | None = None
    prediction: str | None = None
    all_epochs: bool = False
    budget_seconds: float | None = None
    budget_datasets: tuple[str, ...] | None = None
    shared: tuple[str, ...] = ("darts-v1", "darts-v2", "gdas", "setn", "enas", "rsps")
    later: tuple[str, ...] = ()
    published: Mapping[str, Mapping[str, Any]] = {}
    agreement: Mapping[str, tuple[float, float, float]] = {}
    kendall: tuple[float, str] | None = None
    proxies: Mapping[str, Mapping[str, float]] = {}

    @property
    def title(self) -> str:
        """Returns the name as the paper writes it."""
        return SPACES.entry(self.name).title


_AFTER_DARTS = (
    "drnas",
    "sdarts-rs",
    "sdarts-adv",
    "darts-minus",
    "darts-es",
    "darts-ada",
    "fair-darts",
    "p-darts",
    "darts-pt",
)
_CELLS_COMPARED = ("random_search", "regularized_evolution", "reinforce", "hyperband", "bohb", "tpe", "smac")
# As in the scripts of the paper's comparison (automl/nas_benchmarks). Accuracies are fractions there and
# percent in tables: plain gradient ascent has a hundredth of the learning rate. The script's default is
# 0.1, but 0.5 finds better cells: after 1,000 evaluations of the whole table, a median regret of 0.49
# percent over 60 runs, where 0.1 has 0.54 and random search 0.55.
_CELLS_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "regularized_evolution": {"population_size": 100, "sample_size": 10},
    "reinforce": {"learning_rate": 0.005, "init_scale": 0.0, "optimizer": optax.sgd},
    "hyperband": {"eta": 3},
    "bohb": {"eta": 3, "num_samples": 64, "random_fraction": 0.33, "min_bandwidth": 0.3},
    "smac": {"num_trees": 10, "random_fraction": 0.33, "refit_growth": 0.01},
}

# "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020, and its released code.
_ENAS_OF_CELLS: Mapping[str, Any] = {
    "epochs": 200,
    "batch_size": 160,
    "description": "a recurrent controller draws a predecessor and an operation for each vertex and is rewarded by "
    "accuracy; its last 200 cells compared",
    "settings": {
        "reachable": "released",
        "compared": "pool",
        "controller_steps": 30,
        "controller_samples": 10,
        "policy": EVALUATED_POLICY,
        "sgd": Sgd(0.05, 0.0005, weight_decay=2.5e-4, nesterov=False),
        "selection": EVALUATED_SELECTION,
    },
}

# "DARTS", Liu, Simonyan and Yang, 2019, Section 3.1, and its released code; the comparison on NAS-Bench-201 has others.
_SGD_OF_DARTS = Sgd(weight_decay=3e-4, nesterov=False)

# Recurrent cells on Penn Treebank: DARTS's search, and for the others their own papers' ("Random Search and
# Reproducibility", Li and Talwalkar, 2019, Section 4.1, and its released code; "Efficient Neural Architecture Search",
# Pham et al., 2018, Section 3.1, whose rate falls after 15 epochs and here does not). SPOS, FairNAS, FBNet, SETN and
# NAO were not published there: they train as random search.
_SGD_OF_TEXTS = Sgd(20.0, 20.0, momentum=0.0, weight_decay=5e-7, clip=0.25, nesterov=False)
_OF_TEXTS: Mapping[str, Any] = {"epochs": 100, "batch_size": 64, "settings": {"sgd": _SGD_OF_TEXTS}}
_SELECTION_OF_TEXTS = Selection("same_batches", num_candidates=1000, batch_size=1024)


def _darts_of_texts(**settings: Any) -> Mapping[str, Any]:
    adam = Adam(3e-3, b1=0.9)
    return {"epochs": 50, "batch_size": 256, "settings": {"sgd": _SGD_OF_TEXTS, "adam": adam, **settings}}


# "Zero-Cost Proxies for Lightweight NAS", Abdelfattah et al., 2021: outputs of its released notebooks, one batch of 64
# augmented images, signs left out. AZ-NAS's combination: the output of its released notebook, with its sign.
_ZERO_COST = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")
_ZERO_COST_201: Mapping[str, Mapping[str, float]] = {
    "cifar10": dict(zip(_ZERO_COST, (0.594, 0.596, 0.514, 0.360, 0.737, 0.731), strict=True)) | {"az_nas": 0.913},
    "cifar100": dict(zip(_ZERO_COST, (0.637, 0.637, 0.547, 0.385, 0.763, 0.704), strict=True)),
    "ImageNet16-120": dict(zip(_ZERO_COST, (0.578, 0.578, 0.549, 0.327, 0.751, 0.701), strict=True)),
}
_ZERO_COST_101 = {"cifar10": dict(zip(_ZERO_COST, (0.198, 0.164, 0.448, 0.257, 0.372, 0.378), strict=True))}

BENCHMARKS = make_registry(
    "benchmark",
    (
        Benchmark(
            "nasbench201",
            evolution="node_then_edge",
            prediction="each_edge",
            budget_seconds=12_000.0,
            budget_datasets=tuple(PAIRS),
            later=_AFTER_DARTS,
            # Table 7 of "NAS-Bench-201", Dong and Yang, 2020.
            agreement={
                "darts-v1": (0.0779, 0.0039, -0.0071),
                "darts-v2": (0.0862, 0.0355, 0.0109),
                "setn": (0.0682, 0.9049, 0.0862),
                "gdas": (0.2714, 0.8141, 0.2466),
            },
            proxies={**_ZERO_COST_201, "cifar10-valid": _ZERO_COST_201["cifar10"]},
        ),
        Benchmark(
            "nasbench101",
            compared=_CELLS_COMPARED,
            # As in the comparison that calls them ground truth; `reachable=whole` is the other.
            settings={**_CELLS_SETTINGS, **{name: {"reachable": "released"} for name in ("enas_controller", "nao")}},
            evolution="one_decision",
            prediction="per_edge",
            all_epochs=True,
            budget_seconds=1_000_000.0,
            # "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020.
            shared=("spos", "fairnas", "topo_fairnas", "enas", "nao", "darts-v1", "darts-v2", "fbnet"),
            published={"enas": _ENAS_OF_CELLS, "nao": {"settings": {"reachable": "released"}}},
            proxies=_ZERO_COST_101,
        ),
        Benchmark(
            "darts",
            # As BANANAS was published here, but for its networks (`preset=darts`), which have many more epochs.
            settings={
                **Benchmark("").settings,
                "bananas": {"candidates": "mutation_random", "encoding": "path"},
                "bananas_random_ranking": {"candidates": "mutation_random"},
            },
            evolution="regularized_evolution",
            prediction="naszilla",
            shared=("darts-v1", "darts-v2", "pc-darts", "gdas", "setn", "enas", "rsps"),
            later=_AFTER_DARTS,
            published={
                "darts-v1": {"settings": {"order": "first", "sgd": _SGD_OF_DARTS}},
                "darts-v2": {"settings": {"order": "second", "sgd": _SGD_OF_DARTS}},
                # In two stages; published with 6 and then 4 parts of 36 channels, in a network that widens between.
                "drnas": {
                    "settings": {
                        "mixing": "dirichlet",
                        "partial": 4,
                        "kept": (4,),
                        "warm_up": 0.4,
                        "sgd": Sgd(0.1, 0.0, weight_decay=3e-4, nesterov=False),
                        "adam": Adam(6e-4),
                    },
                    "epochs": 50,
                },
                **{name: {"epochs": 50} for name in ("sdarts-rs", "sdarts-adv", "darts-pt")},
            },
        ),
        Benchmark(
            "recurrent",
            # "Evaluating the Search Phase of Neural Architecture Search", Yu et al., 2020.
            kendall=(-0.004, "the 32 cells of two nodes on Penn Treebank, ten runs of each method"),
            shared=("rsps", "darts-v1", "darts-v2", "enas", "nao", "spos"),
            published={
                "darts-v1": _darts_of_texts(order="first"),
                "darts-v2": _darts_of_texts(order="second", unroll_clip=0.25),
                "rsps": {**_OF_TEXTS, "settings": {"sgd": _SGD_OF_TEXTS, "selection": _SELECTION_OF_TEXTS}},
                "enas": {
                    "epochs": 150,
                    "batch_size": 64,
                    "settings": {
                        "controller_steps": 2000,
                        "controller_samples": 1,
                        "policy": PolicyGradient(3.5e-4, b1=0.9, eps=1e-8, clip=None),
                        "sgd": _SGD_OF_TEXTS._replace(weight_decay=1e-7),
                        "selection": Selection("same_batches", batch_size=64),
                    },
                },
                **dict.fromkeys(("setn", "spos", "fairnas", "fbnet", "nao"), _OF_TEXTS),
                "topo_fairnas": {**_OF_TEXTS, "settings": {"sgd": _SGD_OF_TEXTS, "topologies": "partition"}},
            },
        ),
        # Of its cells, by other decisions.
        *(
            Benchmark(
                f"nasbench1shot1_{number}",
                compared=_CELLS_COMPARED,
                settings=_CELLS_SETTINGS,
                all_epochs=True,
                budget_seconds=1_000_000.0,
                shared=("darts-v1", "darts-v2", "gdas", "rsps", "enas"),
            )
            for number in (1, 2, 3)
        ),
    ),
)


def find_benchmark(space: str) -> Benchmark:
    """Returns the row of a space, or that of all spaces that have none."""
    return BENCHMARKS.rows.get(space, Benchmark(space))
