"""The networks of NAS-Bench-201 and a training step as one would write them in plain JAX, for `candidate_steps.py`.

Images are `[B, H, W, C]`, convolutions are native ones, everything is differentiated by JAX. An edge's operation is a
Python integer (a graph of its own for each architecture) or a row of weights (the mixture of all five operations).
Parameters are a flat dictionary, `cell0/edge0/three/kernel` and so on.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jnas.spaces.nasbench201._cells import EDGES
from jnas.training._recipe import make_optimizer

EPSILON = 1e-5
CONVOLUTIONS = {2: "one", 3: "three"}  # the choices that have parameters


def plain_parameters(parameters):
    """Returns the library's parameters (of one candidate or a batch of them) as a flat dictionary of NumPy arrays."""

    def block(name, kernel, scale, shift):
        return {f"{name}/kernel": _spatial(kernel), f"{name}/scale": scale, f"{name}/shift": shift}

    plain = block("stem", *parameters.stem)
    cells = [stage.kernel[..., n, :, :, :] for stage in parameters.cells for n in range(stage.kernel.shape[-4])]
    for number, kernels in enumerate(cells):
        for edge in range(len(EDGES)):
            kernel = _spatial(kernels[..., edge, :, :])
            ones = np.ones((*kernel.shape[:-4], kernel.shape[-1]), np.float32)
            name = f"cell{number}/edge{edge}"
            for size, part in (("one", kernel[..., 1:2, 1:2, :, :]), ("three", kernel)):
                plain |= {f"{name}/{size}/kernel": part, f"{name}/{size}/scale": ones, f"{name}/{size}/shift": 0 * ones}
    for number, reduction in enumerate(parameters.reductions):
        plain |= block(f"reduction{number}/first", *reduction.first)
        plain |= block(f"reduction{number}/second", *reduction.second)
        plain[f"reduction{number}/shortcut"] = np.swapaxes(reduction.shortcut, -1, -2)
    head = parameters.head
    plain |= {"head/scale": head.scale, "head/shift": head.shift, "head/bias": head.bias}
    plain["head/kernel"] = np.swapaxes(head.kernel, -1, -2)
    return {name: np.ascontiguousarray(array) for name, array in plain.items()}


def own_parameters(parameters, arch):
    """Returns those that an architecture uses: of each edge its own operation's."""
    wanted = {f"edge{edge}/{CONVOLUTIONS.get(int(choice), '-')}/" for edge, choice in enumerate(arch)}
    return {n: array for n, array in parameters.items() if "/edge" not in n or any(part in n for part in wanted)}


def plain_logits(parameters, arch, images, num_cells):
    """Returns logits `[B, classes]` and every batch-norm's mean and variance, by name.

    Args:
      parameters: From `plain_parameters`.
      arch: Six Python integers, or float `[6, 5]`: the weight of each operation on each edge.
      images: float32 `[B, H, W, C]`.
      num_cells: In each of the three stages.
    """
    used = {}

    def normalized(name, images):
        mean, variance = jnp.mean(images, (0, 1, 2)), jnp.var(images, (0, 1, 2))
        used[name] = jnp.stack([mean, variance])
        images = (images - mean) * lax.rsqrt(variance + EPSILON)
        return images * parameters[f"{name}/scale"] + parameters[f"{name}/shift"]

    def block(name, images, stride=1):
        return normalized(name, _convolve(images, parameters[f"{name}/kernel"], stride))

    def operation(name, choice, images):
        if choice in CONVOLUTIONS:
            return block(f"{name}/{CONVOLUTIONS[choice]}", jax.nn.relu(images))
        return [jnp.zeros_like, lambda images: images, None, None, _average_pool][choice](images)

    def edge(name, choice, images):
        if isinstance(choice, int):
            return operation(name, choice, images)
        return sum(choice[k] * operation(name, k, images) for k in range(5))

    images = block("stem", images)
    for number in range(3 * num_cells):
        if number and number % num_cells == 0:
            name = f"reduction{number // num_cells - 1}"
            out = block(f"{name}/first", jax.nn.relu(images), 2)
            out = block(f"{name}/second", jax.nn.relu(out))
            small = lax.reduce_window(images, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
            images = out + small @ parameters[f"{name}/shortcut"]
        nodes = [images]
        for target in (1, 2, 3):
            incoming = [(e, source) for e, (source, end) in enumerate(EDGES) if end == target]
            nodes.append(sum(edge(f"cell{number}/edge{e}", arch[e], nodes[source]) for e, source in incoming))
        images = nodes[-1]
    features = jnp.mean(jax.nn.relu(normalized("head", images)), (1, 2))
    return features @ parameters["head/kernel"] + parameters["head/bias"], used


def plain_step(recipe, num_steps, num_cells):
    """Returns `(begin, step)` of one candidate.

    `begin(parameters) -> carry` and `step(carry, arch, images, labels) -> (carry, loss)`.
    """
    optimizer = make_optimizer(recipe, num_steps)
    keep = recipe.batch_norm_momentum

    def begin(parameters):
        running = {n.removesuffix("/scale"): jnp.stack([0 * a, a]) for n, a in parameters.items() if "/scale" in n}
        return parameters, optimizer.init(parameters), running

    def step(carry, arch, images, labels):
        parameters, state, running = carry

        def loss_of(parameters):
            logits, used = plain_logits(parameters, arch, images, num_cells)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels)), used

        (loss, used), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters)
        updates, state = optimizer.update(gradients, state, parameters)
        running = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, running, used)
        return (optax.apply_updates(parameters, updates), state, running), loss

    return begin, step


def _spatial(kernel):
    """Returns `[..., 3, 3, C, C']` of the library's `[..., C', 9 C]`."""
    kernel = np.asarray(kernel)
    return np.moveaxis(kernel.reshape(*kernel.shape[:-1], 3, 3, -1), -4, -1)


def _convolve(images, kernel, stride):
    pad = (kernel.shape[0] // 2,) * 2
    return lax.conv_general_dilated(
        images, kernel, (stride, stride), (pad, pad), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _average_pool(images):
    rows, columns = (sum(np.eye(size, k=shift).sum(1) for shift in (-1, 0, 1)) for size in images.shape[1:3])
    total = lax.reduce_window(images, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
    return total / np.outer(rows, columns).astype(np.float32)[:, :, None]
