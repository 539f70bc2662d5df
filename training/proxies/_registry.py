"""The scores without training, by name."""

from collections.abc import Sequence

from jnas.core._registry import make_registry
from jnas.core._vocabulary import Network
from jnas.io._text import listed
from jnas.training.proxies._az_nas import measure_az_nas
from jnas.training.proxies._gradients import measure_gradients, measure_grasp, measure_zico
from jnas.training.proxies._inputs import measure_jacobians
from jnas.training.proxies._points import measure_fisher, measure_meco, measure_nwot, measure_zen
from jnas.training.proxies._proxy import Proxy
from jnas.training.proxies._sizes import measure_sizes
from jnas.training.proxies._synflow import measure_synflow, measure_synflow_bn

_ABDELFATTAH = "Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, 2021"
_AZ_NAS = "Lee & Ham, AZ-NAS, 2024"
_BLOCKSWAP = "Turner et al., BlockSwap, 2020"
_MECO = "Jiang et al., MeCo, 2023"
_ZEN = "Lin et al., Zen-NAS, 2021, Algorithm 1"
_ZICO = "Li et al., ZiCo, 2023"
_WHOLE = "the sum over layers, where the norm of the whole gradient could be meant"

_ROWS = (
    Proxy("params", measure_sizes, "", "parameters, in millions"),
    Proxy("flops", measure_sizes, "", "multiply-adds of an image, in millions"),
    Proxy(
        "grad_norm",
        measure_gradients,
        _ABDELFATTAH,
        "norms of the loss's gradient in the weights of each layer, added up",
        _WHOLE,
        reads="weights",
    ),
    Proxy("l2_norm", measure_gradients, _ABDELFATTAH, "norms of the weights of each layer, added up", reads="weights"),
    Proxy(
        "plain",
        measure_gradients,
        f"{_ABDELFATTAH}, its code",
        "weights times their gradients, added up with their signs",
        reads="weights",
    ),
    Proxy(
        "snip",
        measure_gradients,
        f"Lee et al., SNIP, 2019; {_ABDELFATTAH}",
        "sizes of weights times their gradients, added up",
        "not divided by their sum, as SNIP does to compare the weights of one network",
        reads="weights",
    ),
    Proxy(
        "grasp",
        measure_grasp,
        f"Wang et al., Picking Winning Tickets Before Training (GraSP), 2020; {_ABDELFATTAH}",
        "less the sum of weights times the Hessian times the gradient",
        reads="points",
    ),
    Proxy(
        "synflow",
        measure_synflow,
        f"Tanaka et al., Pruning Neural Networks without Any Data (SynFlow), 2020; {_ABDELFATTAH}",
        "the logarithm of what flows through the absolute weights, without batch-norm",
        "the logarithm is NASLib's; released networks of NAS-Bench-201 also have biases in their cells, which flow too",
        reads="weights",
    ),
    Proxy(
        "synflow_bn",
        measure_synflow_bn,
        f"{_ABDELFATTAH}, its code",
        "as synflow, with batch-norm, of an image of ones",
        reads="weights",
    ),
    Proxy(
        "fisher",
        measure_fisher,
        f"{_BLOCKSWAP}; {_ABDELFATTAH}",
        "squares of outputs times their gradients, by channels, added up",
        "each channel counts as often as it has weights",
        reads="points",
        plain="fisher_plain",
    ),
    Proxy(
        "fisher_plain",
        measure_fisher,
        _BLOCKSWAP,
        "as fisher, each channel once",
        reads="points",
    ),
    Proxy(
        "jacov",
        measure_jacobians,
        "Mellor et al., Neural Architecture Search without Training, 2020 (the first version)",
        "how little the gradients in the images of a batch correlate",
    ),
    Proxy(
        "epe_nas",
        measure_jacobians,
        "Lopes et al., EPE-NAS, 2021",
        "how the gradients in the images of each class correlate",
        "of more than 100 classes, those of one image in the batch are left out",
    ),
    Proxy(
        "nwot",
        measure_nwot,
        "Mellor et al., Neural Architecture Search without Training, 2021 (ICML)",
        "how far apart a batch's images are in which ReLUs they open: log det",
        reads="points",
    ),
    Proxy(
        "zen",
        measure_zen,
        _ZEN,
        "how far two close images come apart before the mean over the image, batch-norm's scales undone",
        "batch-norm's scales are running variances after two passes, nine tenths of which are where they began",
        reads="points",
        plain="zen_plain",
    ),
    Proxy(
        "zen_plain",
        measure_zen,
        _ZEN,
        "as zen, by the variances of the batch",
        reads="points",
    ),
    Proxy(
        "zico",
        measure_zico,
        _ZICO,
        "how steady the sizes of gradients are over two batches, the halves of the one given",
        "the second gradient is the sum of both: nothing sets it to zero between them",
        reads="weights",
        plain="zico_plain",
    ),
    Proxy("zico_plain", measure_zico, _ZICO, "as zico, of both gradients", reads="weights"),
    Proxy(
        "meco",
        measure_meco,
        _MECO,
        "least eigenvalues of how channels correlate, of one image of noise, added up",
        "a value counts once for each module that gives it: those around a module give it again",
        reads="points",
        plain="meco_plain",
    ),
    Proxy("meco_plain", measure_meco, _MECO, "as meco, each value once", reads="points"),
    Proxy(
        "az_expressivity",
        measure_az_nas,
        _AZ_NAS,
        "entropies of how variance divides among components, added over cells",
        reads="points",
    ),
    Proxy(
        "az_progressivity",
        measure_az_nas,
        _AZ_NAS,
        "the least by which that entropy grows from cell to cell",
        reads="points",
    ),
    Proxy(
        "az_trainability",
        measure_az_nas,
        _AZ_NAS,
        "how little cells stretch or shrink gradients",
        reads="points",
    ),
    Proxy("az_complexity", measure_sizes, _AZ_NAS, "multiply-adds of an image, in millions"),
)

PROXIES = make_registry("proxy", _ROWS)
"""Scores without training, in the order in which lists show them."""


def proxy_names(network: Network | None = None) -> tuple[str, ...]:
    """Returns the names of all proxies, or of those that a network has all that they need for."""
    return tuple(name for name, row in PROXIES.rows.items() if network is None or _fits(row, network))


def get_proxies(names: Sequence[str], network: Network) -> tuple[Proxy, ...]:
    """Returns the proxies of some names, each once.

    Raises:
      ValueError: There is none of a name, or the network lacks what it needs.
    """
    rows = tuple(PROXIES.entry(name) for name in dict.fromkeys(names))
    if missing := [row.name for row in rows if not _fits(row, network)]:
        raise ValueError(
            f"networks of {network.space.name} do not show what {listed(missing)} would measure; "
            f"ask for some of {', '.join(proxy_names(network))}"
        )
    return rows


def _fits(row: Proxy, network: Network) -> bool:
    if network.window is not None:  # of texts
        return row.measure is measure_sizes
    if row.reads == "points":
        return network.tapped is not None
    return row.reads == "nothing" or network.layers is not None
