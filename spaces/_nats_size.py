"""The size space of NATS-Bench: the widths of a network's five stages."""

import functools
import json
from typing import Any

from jnas.core._vocabulary import Space
from jnas.spaces._categorical import Mutation, categorical, checked_arch

_WIDTHS = ("8", "16", "24", "32", "40", "48", "56", "64")
_STAGES = 5


def nats_size(mutation: Mutation = "different") -> Space:
    """Returns the size space of NATS-Bench: five decisions, each one of the eight widths 8, 16, ..., 64.

    Strings are the published ones, `8:16:24:32:64`, and the index is the published order (the lexicographic one).

    Args:
      mutation: `'different'` gives a uniformly chosen stage another width; `'any'` any of the eight, as the script of
        the paper does, so one mutation in eight changes nothing.

    Raises:
      ValueError: The mutation is unknown.

    References:
      "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", Dong et al., 2021.

    Example:
      >>> jnas.spaces.nats_size().from_string("8:16:24:32:64").tolist()
      [0, 1, 2, 3, 7]
    """
    return _nats_size(mutation)


@functools.cache
def _nats_size(mutation: Mutation) -> Space:
    space = categorical((len(_WIDTHS),) * _STAGES, _WIDTHS, name="nats_size", separator=":", mutation=mutation)
    return space._replace(config=json.dumps({"kind": "nats_size", "mutation": mutation}), draw=_draw)


def _draw(arch: Any) -> str:
    """Returns a picture of one architecture, a self-contained SVG document: a bar for each stage's width."""
    choices = checked_arch(arch, (len(_WIDTHS),) * _STAGES)
    bars = []
    for stage, choice in enumerate(choices):
        x, height = 20 + 64 * stage, 20 * (choice + 1)
        bars.append(
            f'<rect x="{x}" y="{190 - height}" width="44" height="{height}" rx="3" fill="#0072b2"/>'
            f'<text x="{x + 22}" y="{182 - height}" font-weight="bold">{_WIDTHS[choice]}</text>'
            f'<text x="{x + 22}" y="210" fill="#4d4d4d">stage {stage + 1}</text>'
        )
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 340 224" width="340" height="224" role="img" '
            'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222222" text-anchor="middle">',
            f"<title>{':'.join(_WIDTHS[choice] for choice in choices)}</title>",
            '<path d="M12,190H328" stroke="#222222" stroke-width="1.2"/>',
            *bars,
            "</svg>",
        ]
    )
