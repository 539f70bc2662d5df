"""A supernet of two parallel edges and three operations, small enough to be worked out by hand or by listing.

An image is `[1, 1, 4]`: two channels for each edge. The operations are none, a scaling by learned numbers, and a square
(plus a learned share of the image) with batch-norm. The edges are summed, and a linear layer gives the logits.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jnas.core._vocabulary import Batch, Decisions, Examples, Supernet, decisions_of
from jnas.spaces import categorical
from jnas.training.data._dataset import dataset_from_arrays
from jnas.training.networks._edge_weights import weighted_edges
from jnas.training.operations._partial import check_parts

E, K, C, CLASSES = 2, 3, 2, 2
EPSILON = 1e-5
BEST = (2, 1)
ARCHS = np.stack(np.unravel_index(np.arange(K**E), (K,) * E), axis=1).astype(np.int32)


def _square(parameters, statistics, edge, x):
    raw = x**2 + parameters["share"][edge][None] * x
    own = jnp.stack([jnp.mean(raw, 0), jnp.var(raw, 0)])
    mean, variance = own if statistics is None else statistics[edge]
    return (raw - mean[None]) * jax.lax.rsqrt(variance + EPSILON)[None], own


def _parts(images):
    return [images[:, 0, 0, C * edge : C * (edge + 1)] for edge in range(E)]


def _head(parameters, node):
    return node @ parameters["head"] + parameters["bias"][None]


def _operations(parameters, statistics, edge, x):
    """The results of all operations on an edge, and the statistics that the last one used."""
    square, used = _square(parameters, statistics, edge, x)
    return [jnp.zeros_like(x), parameters["scale"][edge][None] * x, square], used


def mixture(parameters, statistics, weights, images):
    node, used = 0.0, []
    for edge, x in enumerate(_parts(images)):
        results, own = _operations(parameters, statistics, edge, x)
        node = node + sum(weights[edge, k] * result for k, result in enumerate(results))
        used.append(own)
    return _head(parameters, node), jnp.stack(used)


def sampled(parameters, statistics, arch, images):
    return straight_through(parameters, statistics, jax.nn.one_hot(arch, K, dtype=images.dtype), arch, images)


def straight_through(parameters, statistics, weights, arch, images):
    node, used = 0.0, []
    for edge, x in enumerate(_parts(images)):
        results, own = _operations(parameters, statistics, edge, x)
        result = jax.lax.select_n(arch[edge], *results)
        others = jnp.sum(jnp.where(jnp.arange(K) == arch[edge], 0, weights[edge]))
        node = node + weights[edge, arch[edge]] * result + others
        used.append(jnp.where(arch[edge] == 2, own, 0))
    return _head(parameters, node), jnp.stack(used)


def running(statistics, used, keep, shape, arch=None):
    count = shape[0]
    unbiased = np.asarray([1, count / (count - 1)], np.float32)[None, :, None]
    new = keep * statistics + (1 - keep) * used * unbiased
    return new if arch is None else jnp.where((arch == 2)[:, None, None], new, statistics)


def init(key):
    numbers = jax.random.normal(key, (5, E, C), jnp.float32)
    parameters = {
        "scale": 1 + 0.3 * numbers[0],
        "share": 0.3 * numbers[1],
        "head": 0.5 * numbers[2],
        "bias": 0.1 * numbers[3, 0],
    }
    fresh = jnp.stack([jnp.zeros((E, C), jnp.float32), jnp.ones((E, C), jnp.float32)], axis=1)
    return parameters, fresh


def _weighed(net):
    """A supernet with weights of its two edges; its edges on parts of the channels are those on all of them."""
    discretize = net.discretize
    weighed = weighted_edges(decisions_of(net), [range(E)], net.mixture, lambda logits, _: discretize(logits))

    def partial(parts):
        check_parts(parts, 4)
        return net._replace(weighted_edges=weighed)

    return net._replace(weighted_edges=weighed, partial=partial)


TOY = _weighed(
    Supernet(
        init,
        mixture,
        sampled,
        straight_through,
        running,
        categorical((K,) * E, names=["none", "skip_connect", "square"]),
        "switch",
    )
)


MASK = np.array([[False, True, True], [True, True, True]])  # edge 0 is never without an operation
_NAMES = ("none", "skip_connect", "square")
_VALID = MASK[0][:, None] & MASK[1][None, :] & ~np.eye(K, dtype=bool)  # and the two edges differ


def ruled_discretize(logits):
    """The likeliest valid pair; of two equal operations one gives way, so that it is not the argmax of each."""
    logs = jnp.maximum(jax.nn.log_softmax(logits, axis=1), -1e3)
    joint = jnp.where(_VALID, logs[0][:, None] + logs[1][None, :], -jnp.inf)
    return jnp.stack(jnp.unravel_index(jnp.argmax(joint), joint.shape)).astype(jnp.int32)


def _ruled_sample(key):
    return jnp.asarray(np.argwhere(_VALID), jnp.int32)[jax.random.randint(key, (), 0, _VALID.sum())]


def _or_nan(obeyed, result):
    """A result, NaN where a rule was broken, so that a search that ever breaks one is seen."""
    outputs, used = result
    return jnp.where(obeyed, outputs, jnp.nan), used


RULED = TOY._replace(
    space=TOY.space._replace(
        size=int(_VALID.sum()),
        sample=_ruled_sample,
        index=lambda arch: jnp.argmax(jnp.all(np.argwhere(_VALID) == arch[None], axis=1)).astype(jnp.int32),
        from_index=lambda index: jnp.asarray(np.argwhere(_VALID), jnp.int32)[index],
        is_valid=lambda arch: jnp.asarray(_VALID)[arch[0], arch[1]],
    ),
    decisions=Decisions(MASK, (_NAMES,) * E, independent=False),
    discretize=ruled_discretize,
    mixture=lambda p, s, weights, x: _or_nan(jnp.all(jnp.where(MASK, True, weights == 0)), mixture(p, s, weights, x)),
    sampled=lambda p, s, arch, x: _or_nan(jnp.asarray(_VALID)[arch[0], arch[1]], sampled(p, s, arch, x)),
    straight_through=lambda p, s, weights, choices, x: _or_nan(
        jnp.all(jnp.asarray(MASK)[np.arange(E), choices])
        & jnp.all(jnp.where(MASK, True, jnp.abs(weights) < 1e-6)),  # the difference of two softmaxes, differently fused
        straight_through(p, s, weights, choices, x),
    ),
)
RULED = _weighed(RULED)
"""The toy with a choice fewer on one edge and a rule over both: a ragged space with its own discretization."""


def pixels(seed, count):
    """Images uint8 of numbers near the normal distribution, and labels that only the architecture BEST gets right."""
    rng = np.random.default_rng(seed)
    images = np.clip(np.round(rng.normal(size=(count, 1, 1, E * C)) * 32 + 128), 0, 255).astype(np.uint8)
    x = (images[:, 0, 0] - 128.0) / 32
    score = (x[:, 0] ** 2 - 1) / np.sqrt(2) + (x[:, 1] ** 2 - 1) / np.sqrt(2) + x[:, 2] + x[:, 3]
    return images, (score > 0).astype(np.int32)


def toy_dataset(seed=0, count=1600):
    images, labels = pixels(seed, count)
    return dataset_from_arrays(images, labels, name="toy", mean=(128,) * 4, std=(32,) * 4)


def examples(seed, count=64):
    images, labels = pixels(seed, count)
    return Examples(jnp.asarray((images - np.float32(128)) / np.float32(32)), jnp.asarray(labels))


def batch(seed, count=64):
    return Batch(examples(2 * seed, count), examples(2 * seed + 1, count))


def batches(steps, count=64, seed=0):
    """Batches of so many steps, stacked."""
    each = [batch(1000 * seed + step, count) for step in range(steps)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


NAMES = ("bias", "head", "scale", "share")  # the order of a flattened pytree


def flat(parameters):
    """Parameters as float64 `[14]`."""
    return np.concatenate([np.asarray(parameters[name], np.float64).ravel() for name in NAMES])


def numpy_results(numbers, images):
    """The toy's operations in NumPy, float64 `[E, K, B, C]`, of parameters as `flat` has them."""
    scale, share = numbers[6:10].reshape(E, C), numbers[10:14].reshape(E, C)
    found = []
    for edge in range(E):
        x = np.asarray(images, np.float64)[:, 0, 0, C * edge : C * (edge + 1)]
        raw = x**2 + share[edge] * x
        square = (raw - raw.mean(axis=0)) / np.sqrt(raw.var(axis=0) + EPSILON)
        found.append([np.zeros_like(x), scale[edge] * x, square])
    return np.asarray(found)


def numpy_softmax(alpha):
    weights = np.exp(alpha - alpha.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def numpy_loss(numbers, weights, examples):
    """The mean cross-entropy of the toy's mixture by weights `[E, K]`, in NumPy and float64."""
    node = np.einsum("ek,ekbc->bc", weights, numpy_results(numbers, examples.inputs))
    logits = node @ numbers[2:6].reshape(C, CLASSES) + numbers[:2]
    chosen = logits[np.arange(len(logits)), np.asarray(examples.targets)]
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)


def differences(function, place, step=1e-5):
    """The gradient of a NumPy function by central differences."""
    found = np.zeros_like(place, np.float64)
    for index in np.ndindex(place.shape):
        change = np.zeros_like(found)
        change[index] = step
        found[index] = (function(place + change) - function(place - change)) / (2 * step)
    return found
