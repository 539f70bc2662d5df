"""The size space of NATS-Bench: the widths of a network's five stages."""

import functools
import json

from jnas._vocabulary import Space
from jnas.spaces._categorical import Mutation, categorical

WIDTHS = ("8", "16", "24", "32", "40", "48", "56", "64")


@functools.cache
def nats_size(mutation: Mutation = "different") -> Space:
    """Returns the size space of NATS-Bench: five decisions, each one of the eight widths 8, 16, ..., 64.

    Strings are the published ones, `8:16:24:32:64`, and the index is the published order (the lexicographic one).

    Args:
      mutation: `'different'` gives a uniformly chosen stage another width; `'any'` any of the eight, as the script of
        the paper does, so one mutation in eight changes nothing.

    Raises:
      ValueError: The mutation is unknown.

    References:
      "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", Dong et al., 2021, Section 3.2.
    """
    space = categorical((8,) * 5, WIDTHS, name="nats_size", separator=":", mutation=mutation)
    return space._replace(config=json.dumps({"kind": "nats_size", "mutation": mutation}))
