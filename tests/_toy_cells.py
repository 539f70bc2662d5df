"""A supernet of NAS-Bench-101's cells that compiles in a moment: which operations vertices have, and no edges.

An image is `[1, 1, 4]`. A 3x3 convolution at vertex 1 or 2 sees the first or the second of its numbers, a 1x1
convolution the third or the fourth, and a pooling none. The label is the sign of the sum of the first two.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Supernet, decisions_of
from jnas.searchers.weight_sharing._loop import begin_search, look_at, train_epoch
from jnas.spaces.nasbench101._cells import NUM_EDGES
from jnas.spaces.nasbench101._space import nasbench101
from jnas.studies.supernets._results import Record, load_search, save_search
from jnas.training.data._batches import batches_per_epoch
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


DATA, BATCH = cells_dataset(), 50
STEPS = batches_per_epoch(DATA, BATCH)


class Search:
    """A searcher's programs: it begins, makes an epoch, is looked at, and says how likely cells are."""

    def __init__(self, searcher, supernet):
        def epoch(run):
            return train_epoch(run, searcher, DATA, batch_size=BATCH, split="validation")

        def look(run, cells):
            seen = look_at(run, searcher, supernet, DATA, split="validation")
            return seen, searcher.log_probability(run.state, cells)

        self.begin = jax.jit(lambda key: begin_search(key, searcher))
        # Compiled here: what comes from a file would otherwise be another program.
        self.epoch = jax.jit(epoch).lower(jax.eval_shape(self.begin, jax.random.key(0))).compile()
        self.look = jax.jit(look)


def from_its_file(run, folder):
    """A search as a study that was killed finds it in its folder."""
    runs = jax.tree.map(lambda leaf: leaf[None], run)  # of one seed
    seen = {"archs": (26,), "candidates": (1, 26), "scores": (1,), "weights": (26, 3), "eigenvalues": ()}
    kinds = {"archs": np.int8, "candidates": np.int8}
    few = {name: np.zeros((1, 0, *shape), kinds.get(name, np.float32)) for name, shape in seen.items()}
    few |= {"train_seconds": np.zeros(0), "look_seconds": np.zeros(0), "compile_seconds": np.asarray(0.5)}
    record = Record(np.zeros((1, 0, 4), np.float32), np.zeros(0, np.int32), **few)
    save_search(folder / "one.state.npz", runs, record, {"study": "a"})
    begun = jax.tree.map(jnp.zeros_like, runs)
    return jax.tree.map(lambda leaf: leaf[0], load_search(folder / "one.state.npz", {"study": "a"}, begun)[0])
