"""Training runs: what they learn, optimizers and schedules against plain formulas, batch-norm policies, failures."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from jnas.core._vocabulary import IMAGE_CLASSIFICATION, Weights
from jnas.training._recipe import (
    RECIPES,
    Recipe,
    check_recipe,
    get_recipe,
    make_optimizer,
    read_recipe,
    recipe_words,
)
from jnas.training.data._augmentation import Augmentation, normalize
from jnas.training.data._dataset import dataset_from_arrays
from jnas.training.networks.nasbench201._network import nasbench201_network
from jnas.training.operations._forms import static_form
from jnas.training.runs._train import (
    _evaluate_splits,
    _evaluation_statistics,
    begin_run,
    evaluate,
    run_epochs,
    steps_per_epoch,
    train,
)
from tests._compilation import SAME_BITS
from tests._fewer_stages import stages

ARCH = (3, 1, 2, 4, 0, 1)
RECIPE = Recipe(
    "tiny",
    epochs=8,
    batch_size=8,
    weight_decay=1e-3,
    channels=2,
    cells=1,
    batch_norm_momentum=0.8,
    batch_norm_batches=2,
    eval_batch_size=9,
)
NUM_CLASSES = 3


def make_dataset(seed=0, number=60):
    """Images whose class is how bright they are, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % NUM_CLASSES
    bright = np.array([60, 128, 196])[labels][:, None, None, None]
    images = np.clip(bright + rng.normal(0, 25, (number, 4, 4, 1)), 0, 255).astype(np.uint8)
    splits = {"train": np.arange(0, 40), "validation": np.arange(40, 60)}
    return dataset_from_arrays(images, labels, splits=splits, augmentation=Augmentation(pad=1))


DATASET = make_dataset()


@pytest.fixture(scope="module", autouse=True)
def one_stage():
    """A third to compile."""
    with stages(1):
        yield


def as_users_compile(function):
    """Of these programs some are promised to give the same bits."""
    return jax.jit(function, compiler_options=SAME_BITS)


def network_of(arch=ARCH):
    """A program for one cell compiles fastest."""
    return nasbench201_network(
        image_shape=(4, 4, 1), num_classes=NUM_CLASSES, channels=2, cells=1, form=static_form(arch)
    )


@pytest.fixture(scope="module")
def runner():
    """Half of the epochs at a time, compiled once for many tests."""

    return as_users_compile(lambda state: run_epochs(state, DATASET, RECIPE, network_of(), 4))


@pytest.fixture(scope="module")
def begin():
    return as_users_compile(lambda key: begin_run(key, np.asarray(ARCH), DATASET, RECIPE, network_of()))


@pytest.fixture(scope="module")
def trained():
    """The same run as one program, for two keys in a loop."""

    @as_users_compile
    def run(keys):
        return lax.map(lambda key: train(key, np.asarray(ARCH), DATASET, RECIPE, network_of()), keys)

    return run(jnp.stack([jax.random.key(5), jax.random.key(7)]))


def assert_bits(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


class TestRuns:
    def test_divided_epochs_give_the_same_bits(self, runner, begin, trained):
        state, first = runner(begin(jax.random.key(5)))
        assert int(state.epoch) == 4
        state, second = runner(state)
        curves = jax.tree.map(lambda *each: np.concatenate(each), first, second)
        whole, weights = jax.tree.map(lambda x: x[0], trained)
        assert_bits(curves, whole)
        assert_bits(state.weights, weights)
        assert not bool(state.failed)

    def test_a_key_says_everything(self, runner, begin):
        first = runner(begin(jax.random.key(7)))
        again = runner(begin(jax.random.key(7)))
        other = runner(begin(jax.random.key(8)))
        assert_bits(first[1], again[1])
        assert not np.array_equal(first[1].loss["train"], other[1].loss["train"])

    def test_a_run_learns(self, trained):
        for number in range(2):
            curves = jax.tree.map(lambda x, n=number: np.asarray(x[n]), trained[0])
            assert set(curves.accuracy) == set(curves.loss) == {"train", "validation"}
            assert curves.accuracy["train"].shape == (RECIPE.epochs,)
            assert curves.loss["train"][-1] < 0.7 * curves.loss["train"][0]
            assert curves.accuracy["train"][-1] > 60  # chance is 33, with a standard error of 7.5
            assert curves.accuracy["validation"][-1] > 75  # and here of 10.5

    def test_what_an_architecture_does_not_have_stays_zero(self, trained):
        has = jax.tree.map(np.asarray, network_of().has(np.asarray(ARCH)))
        parameters = trained[1].parameters
        jax.tree.map(lambda x, mask: np.testing.assert_array_equal(np.asarray(x)[:, ~mask], 0), parameters, has)
        kernel = np.asarray(parameters.cells[0].kernel)
        assert np.all(kernel[:, :, 0] != 0)  # the 3x3 convolution

    def test_the_last_epoch_is_what_evaluation_says(self, trained):
        curves, weights = jax.tree.map(lambda x: x[0], trained)
        accuracy, loss = plain_evaluation(weights, "validation")
        np.testing.assert_allclose(curves.accuracy["validation"][-1], accuracy, rtol=1e-5)
        np.testing.assert_allclose(curves.loss["validation"][-1], loss, rtol=1e-5)
        recipe = RECIPE._replace(eval_batch_size=7)

        @jax.jit
        def evaluated(weights):
            return evaluate(weights, np.asarray(ARCH), DATASET, "validation", recipe, network_of())

        np.testing.assert_allclose(evaluated(weights), [accuracy, loss], rtol=1e-5)

    def test_splits_that_share_a_loop_are_measured_each_for_itself(self):
        """Two of them with the same batches, which the last of each does not fill, and one with smaller ones."""
        rows = {"train": range(10), "a": range(10, 30), "b": range(30, 44), "c": range(44, 49)}
        dataset = dataclasses.replace(DATASET, splits={name: jnp.array(row) for name, row in rows.items()})
        network = network_of()._replace(apply=lambda weights, _, arch, images: (weights * images[:, 0, :3, 0], None))
        weights = Weights(jnp.float32(2), None)
        found = jax.jit(lambda w: _evaluate_splits(w, np.asarray(ARCH), dataset, ["a", "b", "c"], RECIPE, network))(
            weights
        )
        for split in ("a", "b", "c"):
            inputs, labels = dataset.examples(np.array(rows[split]))
            logits = 2 * np.asarray(inputs)[:, 0, :3, 0]
            right = 100 * np.mean(np.argmax(logits, 1) == labels)
            loss = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels])
            np.testing.assert_allclose(found[split], [right, loss], rtol=1e-5)

    def test_a_diverging_run_is_nan_from_there_on(self, runner, begin):
        state, before = runner(begin(jax.random.key(5)))
        parameters = state.weights.parameters
        head = parameters.head._replace(kernel=parameters.head.kernel * 1e38)
        state = state._replace(weights=state.weights._replace(parameters=parameters._replace(head=head)))
        state, after = runner(state)
        assert bool(state.failed)
        assert all(np.all(np.isfinite(values)) for values in jax.tree.leaves(before))
        assert all(np.all(np.isnan(values)) for values in jax.tree.leaves(after))

    def test_too_few_images_for_a_batch(self):
        assert steps_per_epoch(DATASET, RECIPE) == 5
        with pytest.raises(ValueError, match="40 training images and a batch takes 64; give the recipe a smaller"):
            train(jax.random.key(0), np.asarray(ARCH), DATASET, RECIPE._replace(batch_size=64), network_of())


def plain_evaluation(weights, split):
    """Of all images at once: 20 images are no multiple of 9, so that `evaluate` has to fill up its last batch."""
    rows = np.asarray(DATASET.rows(split))
    images = normalize(DATASET.images[rows], DATASET.mean, DATASET.std)
    logits, _ = jax.jit(network_of().apply)(weights.parameters, weights.statistics, np.asarray(ARCH), images)
    logits, labels = np.asarray(logits, np.float64), np.asarray(DATASET.labels)[rows]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    accuracy = 100 * np.mean(logits.argmax(1) == labels)
    return accuracy, -np.mean(np.log(probabilities[np.arange(len(labels)), labels]))


class TestBatchNormPolicies:
    def test_statistics_in_evaluation(self, begin):
        """The batch's own, the running ones, or means over some training batches that are not augmented."""
        state = begin(jax.random.key(0))
        network, batches = network_of(), jnp.arange(36).reshape(4, 9)

        def statistics(policy):
            recipe = RECIPE._replace(batch_norm=policy)
            return jax.jit(lambda each: _evaluation_statistics(each, DATASET, recipe, network, batches))(state)

        assert statistics("batch") is None
        assert_bits(statistics("running"), state.weights.statistics)
        apply = jax.jit(network.apply)
        each = []
        for numbers in batches[:2]:  # `batch_norm_batches`
            images = normalize(DATASET.images[numbers], DATASET.mean, DATASET.std)
            each.append(apply(state.weights.parameters, None, np.asarray(ARCH), images)[1])
        expected = jax.tree.map(lambda a, b: (np.asarray(a) + np.asarray(b)) / 2, *each)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), statistics("reestimated"), expected
        )


class TestOptimizers:
    def run(self, recipe, num_steps=6):
        """The parameter after each step, in the order of the gradients below."""
        optimizer = make_optimizer(recipe, num_steps)
        parameter = jnp.asarray([0.5, -2.0])
        state, found = optimizer.init(parameter), []

        @jax.jit
        def step(gradient, state, parameter):
            updates, state = optimizer.update(gradient, state, parameter)
            return optax.apply_updates(parameter, updates), state

        for gradient in self.gradients(num_steps):
            parameter, state = step(jnp.asarray(gradient, jnp.float32), state, parameter)
            found.append(np.asarray(parameter))
        return np.array(found)

    def gradients(self, num_steps):
        return np.random.default_rng(0).normal(size=(num_steps, 2))

    def rates(self, recipe, num_steps=6):
        return [recipe.learning_rate * (1 + math.cos(math.pi * step / num_steps)) / 2 for step in range(num_steps)]

    def test_sgd_is_pytorchs(self):
        """Decay enters the gradient, the buffer starts as the first gradient, Nesterov looks one step ahead."""
        recipe = Recipe("", 1, learning_rate=0.3, momentum=0.8, weight_decay=0.05)
        parameter, buffer, expected = np.array([0.5, -2.0]), None, []
        for rate, gradient in zip(self.rates(recipe), self.gradients(6), strict=True):
            gradient = gradient + 0.05 * parameter
            buffer = gradient if buffer is None else 0.8 * buffer + gradient
            parameter = parameter - rate * (gradient + 0.8 * buffer)
            expected.append(parameter)
        np.testing.assert_allclose(self.run(recipe), expected, rtol=1e-5)

    def test_rmsprop_is_tensorflows(self):
        """The mean square starts at 1, epsilon is within the root, the rate within the momentum."""
        recipe = Recipe("", 1, optimizer="rmsprop", learning_rate=0.3, momentum=0.8, weight_decay=0.05)
        parameter, square, momentum, expected = np.array([0.5, -2.0]), np.ones(2), np.zeros(2), []
        for rate, gradient in zip(self.rates(recipe), self.gradients(6), strict=True):
            gradient = gradient + 0.05 * parameter
            square = 0.9 * square + 0.1 * gradient**2
            momentum = 0.8 * momentum + rate * gradient / np.sqrt(square + 1.0)
            parameter = parameter - momentum
            expected.append(parameter)
        np.testing.assert_allclose(self.run(recipe), expected, rtol=1e-5)

    def test_the_learning_rate_falls_by_a_cosine_to_zero(self):
        recipe = Recipe("", 1, learning_rate=0.2, momentum=0.0, weight_decay=0.0)
        optimizer = make_optimizer(recipe, 4)
        state, rates, step = optimizer.init(jnp.zeros(())), [], jax.jit(optimizer.update)
        for _ in range(6):
            update, state = step(jnp.ones(()), state, jnp.zeros(()))
            rates.append(-float(update))
        half = 0.1 * math.sqrt(0.5)
        np.testing.assert_allclose(rates, [0.2, 0.1 + half, 0.1, 0.1 - half, 0, 0], atol=1e-7)


def test_losses():
    logits, labels = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]], np.float32), np.array([0, 1])
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -log_probabilities[[0, 1], [0, 1]]
    np.testing.assert_allclose(IMAGE_CLASSIFICATION.loss(jnp.asarray(logits), jnp.asarray(labels)), expected, rtol=1e-6)
    targets = 0.9 * np.eye(3)[labels] + 0.1 / 3
    smoothed = IMAGE_CLASSIFICATION.loss(jnp.asarray(logits), jnp.asarray(labels), 0.1)
    np.testing.assert_allclose(smoothed, -(targets * log_probabilities).sum(1), rtol=1e-6)


class TestRecipes:
    def test_are_the_published_ones(self):
        recipe = get_recipe("nasbench201-200")
        published = (200, 256, "sgd", 0.1, 0.9, 5e-4, 16, 5)
        assert recipe[1:9] == published
        assert get_recipe("nasbench201-12") == recipe._replace(name="nasbench201-12", epochs=12)
        assert (get_recipe("nasbench101-108").optimizer, get_recipe("nasbench101-108").epochs) == ("rmsprop", 108)
        for name, (recipe, line) in RECIPES.items():
            assert check_recipe(recipe).name == name
            assert line
            assert read_recipe(json.loads(json.dumps(recipe_words(recipe)))) == recipe

    def test_have_what_darts_bench_suite_sweeps(self):
        nine = [get_recipe(f"dartsbenchsuite{number}-300") for number in range(1, 10)]
        assert [(row.learning_rate, row.weight_decay) for row in nine[3:]] == [
            (rate, decay) for rate in (0.1, 0.01) for decay in (1e-4, 3e-4, 1e-3)
        ]
        like = get_recipe("darts-600")._replace(name=nine[1].name, epochs=300, batch_size=512, eval_batch_size=512)
        # Its rate and its decay are DARTS's.
        assert nine[1] == like._replace(channels=18, cells=4, drop_path=0.3, auxiliary=0.0)

    def test_change_by_field(self):
        assert get_recipe("small-12", epochs=3) == RECIPES["small-12"][0]._replace(epochs=3)
        with pytest.raises(ValueError, match=r"no recipe 'small-13'; did you mean 'small-12'\? expected one of nasb"):
            get_recipe("small-13")

    @pytest.mark.parametrize(
        ("field", "value", "error"),
        [
            ("epochs", 0, ValueError),
            ("epochs", 2.0, TypeError),
            ("batch_size", True, TypeError),
            ("channels", -1, ValueError),
            ("eval_batch_size", "9", TypeError),
            ("batch_norm_batches", 0, ValueError),
            ("learning_rate", -0.1, ValueError),
            ("learning_rate", math.inf, ValueError),
            ("weight_decay", math.nan, ValueError),
            ("momentum", 1.5, ValueError),
            ("batch_norm_momentum", "0.9", TypeError),
            ("label_smoothing", 2.0, ValueError),
            ("optimizer", "adam", ValueError),
            ("batch_norm", "none", ValueError),
        ],
    )
    def test_errors_name_the_field(self, field, value, error):
        with pytest.raises(error, match=f"the recipe's {field} is {value!r}"):
            get_recipe("small-12", **{field: value})
