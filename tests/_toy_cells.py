"""A supernet of NAS-Bench-101's cells that compiles in a moment: which operations vertices have, and no edges.

An image is `[1, 1, 4]`. A 3x3 convolution at vertex 1 or 2 sees the first or the second of its numbers, a 1x1
convolution the third or the fourth, and a pooling none. The label is the sign of the sum of the first two.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Supernet, decisions_of
from jnas.spaces.nasbench101._cells import NUM_EDGES
from jnas.spaces.nasbench101._space import nasbench101
from jnas.training.data._dataset import dataset_from_arrays
from jnas.training.networks.nasbench101._discretize import likeliest_cell


def _init(key):
    return {"head": 0.1 * jax.random.normal(key, (4, 2), jnp.float32), "bias": jnp.zeros(2, jnp.float32)}, {}


def _sampled(parameters, statistics, arch, images):
    first, second = arch[NUM_EDGES], arch[NUM_EDGES + 1]
    seen = jnp.stack([first == 0, second == 0, first == 1, second == 1]).astype(jnp.float32)
    return (images[:, 0, 0] * seen[None]) @ parameters["head"] + parameters["bias"][None], {}


def cells_supernet(max_vertices):
    """The supernet of cells of up to so many vertices."""
    net = Supernet(
        init=_init,
        mixture=None,
        sampled=_sampled,
        straight_through=None,
        running=lambda statistics, used, keep, shape, arch=None: statistics,
        space=nasbench101("uniform", max_vertices=max_vertices),
        form="switch",
        discretize=likeliest_cell,
    )
    operations = np.arange(net.space.num_decisions) >= NUM_EDGES
    return net._replace(decisions=decisions_of(net)._replace(independent=False, operations=operations))


def cells_dataset(count=400):
    """Images that need the first two numbers."""
    numbers = np.random.default_rng(0).normal(size=(count, 1, 1, 4))
    pixels = np.clip(np.round(numbers * 32 + 128), 0, 255).astype(np.uint8)
    labels = (numbers[:, 0, 0, :2].sum(axis=1) > 0).astype(np.int32)
    return dataset_from_arrays(pixels, labels, name="toy", mean=(128,) * 4, std=(32,) * 4)
