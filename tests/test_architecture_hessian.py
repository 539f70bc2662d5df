"""The Hessian of the architecture parameters: of a quadratic, and of the toy by differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Decisions, Examples, Shared
from jnas.searchers import architecture_hessian, hessian_eigenvalue
from jnas.searchers.weight_sharing._architecture_hessian import hessian
from tests._toy_supernet import MASK, TOY, E, K, differences, flat, numpy_loss, numpy_softmax, toy_dataset


def test_a_quadratic():
    matrix = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    place = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3)), jnp.float32)
    found = jax.jit(lambda place: hessian(lambda x: x.reshape(-1) @ matrix @ x.reshape(-1) + jnp.sum(x), place))(place)
    np.testing.assert_allclose(found, matrix + matrix.T, atol=1e-5)


def test_the_toy_by_differences():
    dataset = toy_dataset(count=300)
    parameters, statistics = jax.jit(TOY.init)(jax.random.key(2))
    shared = Shared(parameters, statistics)
    alpha = np.random.default_rng(2).normal(size=(E, K)).astype(np.float32)

    @jax.jit
    def look(key, alpha):
        arguments = (key, TOY, shared, alpha, dataset, "validation")
        return (
            architecture_hessian(*arguments, batch_size=60),
            architecture_hessian(*arguments, batch_size=20, num_batches=3),
            hessian_eigenvalue(*arguments, batch_size=60),
        )

    found, of_batches, largest = look(jax.random.key(0), alpha)
    rows = np.asarray(dataset.rows("validation"))  # all 60 of them are one batch
    images = (np.asarray(dataset.images)[rows] - 128.0) / 32
    data = Examples(images, np.asarray(dataset.labels)[rows])
    slope = lambda alpha: differences(lambda a: numpy_loss(flat(parameters), numpy_softmax(a), data), alpha, 1e-4)  # noqa: E731
    expected = np.zeros((E * K, E * K))
    for column in range(E * K):
        change = np.zeros(E * K)
        change[column] = 1e-3
        change = change.reshape(E, K)
        place = alpha.astype(np.float64)
        expected[:, column] = ((slope(place + change) - slope(place - change)) / 2e-3).ravel()
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.abs(expected).max() > 1e-2
    np.testing.assert_allclose(largest, np.linalg.eigvalsh(expected)[-1], atol=1e-4)
    assert 1e-5 < np.abs(np.asarray(of_batches) - expected).max() < 0.1  # other statistics, the same images


def test_choices_that_there_are_not_have_no_place_in_it():
    """It is that of the whole mixture whose alpha is far below the others at these choices, without their rows."""
    masked = TOY._replace(decisions=Decisions(MASK, TOY.space.choices))
    parameters, statistics = jax.jit(TOY.init)(jax.random.key(0))
    alpha, dataset = jnp.where(MASK, jnp.arange(6.0).reshape(E, K) / 5, -1e9), toy_dataset(count=300)
    look = lambda supernet: jax.jit(  # noqa: E731
        lambda key: architecture_hessian(key, supernet, Shared(parameters, statistics), alpha, dataset, "validation")
    )(jax.random.key(0))
    found, whole = look(masked), look(TOY)
    np.testing.assert_allclose(found, np.asarray(whole)[MASK.ravel()][:, MASK.ravel()], atol=1e-6)
    assert np.abs(found).max() > 1e-3


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="batch_size"):
        architecture_hessian(None, TOY, None, None, toy_dataset(), "validation", batch_size=1.5)
