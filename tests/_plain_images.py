"""What plain networks in NumPy are made of, and how the gradients of others are compared with them."""

import jax
import numpy as np


def windows(images, size, stride, beyond):
    """The pixels around each, [B, H', W', C, size, size], with what stands beyond the borders of images [B, H, W, C].

    Windows of an even size stand side by side, as a pooling to half of the image has them.
    """
    edge = size // 2 if size % 2 else 0
    images = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), constant_values=beyond)
    return np.lib.stride_tricks.sliding_window_view(images, (size, size), (1, 2))[:, ::stride, ::stride]


def convolve(images, kernel, stride=1):
    """A convolution of images [B, H, W, C] with a kernel [size, size, C, C'], with zeros beyond the borders."""
    return np.tensordot(windows(images, len(kernel), stride, 0.0), kernel.transpose(2, 0, 1, 3), 3)


def assert_gradients(gradients, masks, parameters, loss, directions=2, size=1e-6):
    """Gradients are those of differences of a plain loss in float64: of each array in random directions.

    Args:
      gradients: Of the parameters, float64.
      masks: Which numbers the loss may depend on, bool of the same shapes; all other gradients are zero.
      parameters: Where.
      loss: `loss(parameters) -> float`.
      directions: Of each array.
      size: Of a step.
    """
    leaves, tree = jax.tree.flatten(parameters)
    rng = np.random.default_rng(2)
    for place, (gradient, mask) in enumerate(zip(*map(jax.tree.leaves, (gradients, masks)), strict=True)):
        gradient, mask = np.asarray(gradient), np.asarray(mask)
        np.testing.assert_array_equal(gradient[~mask], 0)
        for direction in rng.normal(size=(directions, *gradient.shape)) * mask:
            moved = (leaves[place] + step * direction for step in (size, -size))
            up, down = (loss(tree.unflatten([*leaves[:place], leaf, *leaves[place + 1 :]])) for leaf in moved)
            np.testing.assert_allclose(np.sum(gradient * direction), (up - down) / (2 * size), rtol=1e-6, atol=1e-7)
