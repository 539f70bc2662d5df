import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from jnas.core._draws import draw_words
from jnas.searchers.predictors import _mlp
from jnas.searchers.predictors._mlp_ensemble import mlp_ensemble

initial_mlp_weights = jax.jit(_mlp.initial_mlp_weights, static_argnums=(1, 2, 3))
shuffle = jax.jit(_mlp._shuffle, static_argnums=1)
words_of = jax.jit(draw_words, static_argnums=1)

TINY = {"num_members": 2, "networks": ((2, 3),), "batch_size": 4, "epochs": 3}
TRAINING = _mlp.MlpTraining("mae", 0.01, (0.9, 0.99), 1e-7, 0.0, 3, 4)


def problem(num_rows, num_features=6, seed=0):
    """Returns 0/1 features and percentages that are linear in them."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 2, (num_rows, num_features)).astype(np.float32)
    slopes = np.linspace(-3, 4, num_features, dtype=np.float32)
    return jnp.asarray(features), jnp.asarray(70 + features @ slopes)


def everything(scores):
    return jnp.ones(len(scores), bool)


def as_pairs(weights):
    """Returns the network as plain matrices and biases, `[in, out]` and `[out]`."""
    hidden = [(layer[:-1, :-1].T, layer[:-1, -1]) for layer in weights.hidden]
    return [*hidden, (weights.heads[:, :-1].T, weights.heads[:, -1])]


def plain_network(pairs, features):
    """Returns `[B, H]`."""
    for matrix, bias in pairs[:-1]:
        features = jax.nn.relu(jnp.matmul(features, matrix) + bias[None])  # its slope at 0 is 0, as Keras has it
    return jnp.matmul(features, pairs[-1][0]) + pairs[-1][1][None]


def fit_all(predictor, features, scores):
    return jax.jit(predictor.fit)(jax.random.key(0), features, scores, everything(scores))


def fit_and_predict(predictor, features, scores, mask=None):
    mask = everything(scores) if mask is None else mask

    def function(key, features, scores, mask):
        return predictor.predict(predictor.fit(key, features, scores, mask), features)

    return jax.jit(function)(jax.random.key(0), features, scores, mask)


def assert_close(actual, desired, tolerance=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), actual, desired)


def test_initial_weights_are_glorot_uniform_and_biases_zero():
    _, weights = initial_mlp_weights(jax.random.key(0), (3, 40), 100, 2)
    sizes = [(41, 101), (41, 41), (41, 41), (2, 41)]
    assert [layer.shape for layer in (*weights.hidden, weights.heads)] == sizes
    for layer, (fan_in, fan_out) in zip(weights.hidden, [(100, 40), (40, 40), (40, 40)], strict=True):
        inner, limit = np.asarray(layer[:-1, :-1]), np.sqrt(6 / (fan_in + fan_out))
        assert 0.98 * limit < np.abs(inner).max() < limit
        np.testing.assert_allclose(inner.std(), limit / np.sqrt(3), rtol=0.05)
        assert abs(inner.mean()) < 4 * limit / np.sqrt(3 * inner.size)
        np.testing.assert_array_equal(layer[:-1, -1], 0)
        np.testing.assert_array_equal(layer[-1], np.eye(layer.shape[1])[-1])
    np.testing.assert_array_equal(weights.heads[:, -1], 0)
    words = np.concatenate([np.asarray(layer[:-1, :-1]).ravel() for layer in weights.hidden[1:]])
    assert len(np.unique(words)) > 0.99 * len(words), "layers share their words"


def test_adam_steps_are_those_of_optax():
    _, weights = initial_mlp_weights(jax.random.key(1), (2, 3), 4, 1)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = _mlp.AdamMoments(weights, zeros, zeros, jnp.float32(0))
    step = jax.jit(lambda state, gradient, moves: _mlp.adam_step(state, gradient, moves, TRAINING))
    optimizer = optax.adam(0.01, b1=0.9, b2=0.99, eps=1e-7)
    expected, moments = weights, jax.jit(optimizer.init)(weights)
    rng = np.random.default_rng(2)
    for _ in range(4):
        gradient = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(2, 1, leaf.shape), jnp.float32), weights)
        updates, moments = jax.jit(optimizer.update)(gradient, moments)
        expected = jax.jit(optax.apply_updates)(expected, updates)
        state = step(state, gradient, True)
        same = step(state, gradient, False)
        jax.tree.map(np.testing.assert_array_equal, same, state)
    assert_close(state.weights, expected)
    assert state.num_steps == 4


def test_epsilon_is_added_as_keras_adds_it():
    one = _mlp.MlpWeights((jnp.ones((1, 1)),), jnp.ones((1, 1)))
    zeros = jax.tree.map(jnp.zeros_like, one)
    training = TRAINING._replace(epsilon=0.5)
    step = jax.jit(lambda state: _mlp.adam_step(state, one, jnp.array(True), training))
    state = step(_mlp.AdamMoments(one, zeros, zeros, jnp.float32(0)))
    # moments .1 and .01, rate .01 * sqrt(1 - .99) / (1 - .9) = .01
    assert_close(state.weights.heads, np.full((1, 1), 1 - 0.01 * 0.1 / (0.1 + 0.5)))


def test_losses_by_hand():
    outputs, targets, importance = jnp.array([[1.0, -2.0]]), jnp.array([4.0, -2.5]), jnp.array([0.5, 2.0])
    np.testing.assert_allclose(_mlp.losses(outputs, targets, importance, "mape"), [1.5, 1.0])
    np.testing.assert_allclose(_mlp.losses(outputs, targets, jnp.ones(2), "mae"), [3.0, 0.5])
    heads = jnp.array([[1.0, -2.0], [0.3, -1.0]])
    deviation = np.sqrt(np.log1p(np.exp([0.3, -1.0])))
    expected = -stats.norm.logpdf(np.asarray(targets), [1.0, -2.0], deviation)
    np.testing.assert_allclose(_mlp.losses(heads, targets, importance, "gaussian"), expected, rtol=1e-4)


@pytest.mark.parametrize("loss", ["mae", "gaussian"])
def test_gradients_are_those_of_a_plain_network(loss):
    rng = np.random.default_rng(3)
    _, weights = initial_mlp_weights(jax.random.key(3), (4, 5), 6, 2 if loss == "gaussian" else 1)
    inputs = jnp.asarray(rng.normal(size=(8, 6)), jnp.float32)
    targets, importance = jnp.asarray(rng.normal(size=8), jnp.float32), jnp.asarray(rng.uniform(1, 2, 8), jnp.float32)
    share = jnp.asarray([0.25] * 4 + [0] * 4, jnp.float32)

    def total(pairs):
        rows = _mlp.losses(plain_network(pairs, inputs).T, targets, importance, loss)
        return jnp.mean(rows[:4]) + 0.3 * jnp.sum(jnp.abs(pairs[-1][0]))

    training = TRAINING._replace(loss=loss, l1=0.3)
    function = jax.jit(lambda weights, *rows: _mlp.gradients(weights, training, *rows))
    gradient = function(weights, _mlp._with_ones(inputs), targets, importance, share)
    assert_close(as_pairs(gradient), jax.jit(jax.grad(total))(as_pairs(weights)))
    for layer in gradient.hidden:
        np.testing.assert_array_equal(layer[-1], 0)


def plain_fit(key, features, errors, center, deviation, loss, targets):
    """Trains one member, batch after batch, in percent of error; returns it as a function."""
    num_rows, bound = len(errors), 4.5
    features, errors = np.asarray(features), np.asarray(errors)
    key, weights = initial_mlp_weights(key, (2, 3), features.shape[1], 2 if loss == "gaussian" else 1)
    pairs = as_pairs(weights)

    def output(pairs, rows):  # in percent of error, whatever the network's own units
        heads = plain_network(pairs, rows)
        return heads[:, 0] if targets == "error" else 100 - (center + deviation * heads[:, 0])

    def loss_of(pairs, rows, error):
        if loss == "mae":
            return jnp.mean(jnp.abs(output(pairs, rows) - error))
        if loss == "mape":
            return jnp.mean(jnp.abs((output(pairs, rows) - bound) / (error - bound) - 1))
        variance = jax.nn.softplus(plain_network(pairs, rows)[:, 1]) + 1e-6
        distance = (output(pairs, rows) - error) / (1 if targets == "error" else deviation)
        return jnp.mean(0.5 * jnp.log(2 * jnp.pi * variance) + distance**2 / (2 * variance))

    @jax.jit
    def step(pairs, mean, square, count, rows, error):  # Keras's Adam
        slopes = jax.grad(loss_of)(pairs, rows, error)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slopes)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g**2, square, slopes)
        rate = 0.01 * jnp.sqrt(1 - 0.99**count) / (1 - 0.9**count)
        return jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s) + 1e-7), pairs, mean, square), mean, square

    mean = square = jax.tree.map(jnp.zeros_like, pairs)
    count = 0.0
    for _ in range(3):
        key, words = words_of(key, num_rows)
        order = np.asarray(shuffle(words, num_rows))
        for first in range(0, num_rows, 3):
            batch, count = order[first : first + 3], count + 1
            pairs, mean, square = step(pairs, mean, square, count, features[batch], errors[batch])
    return lambda rows: 100 - output(pairs, rows)


@pytest.mark.parametrize(
    ("loss", "targets"), [("mae", "standardized"), ("mape", "standardized"), ("mape", "error"), ("gaussian", "error")]
)
def test_fit_is_a_plain_loop_over_members_epochs_and_batches(loss, targets):
    rng = np.random.default_rng(4)  # no two rows alike, odd batches: where gradients cancel, Adam magnifies rounding
    features, scores = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((7, 6), 7))
    scores = 70 + 5 * scores
    predictor = mlp_ensemble(**(TINY | {"batch_size": 3}), loss=loss, targets=targets)
    model = fit_all(predictor, features, scores)
    fits = [
        plain_fit(key, features, 100 - scores, scores.mean(), scores.std(), loss, targets)
        for key in jax.random.split(jax.random.key(0), 2)
    ]
    expected = np.stack([jax.jit(fit)(features) for fit in fits])
    np.testing.assert_allclose(jax.jit(predictor.members)(model, features), expected, rtol=1e-4)
    prediction = jax.jit(predictor.predict)(model, features)
    np.testing.assert_allclose(prediction.mean, expected.mean(0), rtol=1e-4)
    if loss != "gaussian":
        np.testing.assert_allclose(prediction.std, expected.std(0), rtol=2e-3, atol=1e-3)


def test_shuffle_puts_valid_rows_first_in_every_order_equally_often():
    words = jax.random.bits(jax.random.key(0), (600, 5))
    orders = np.asarray(jax.jit(jax.vmap(lambda words: _mlp._shuffle(words, 3)))(words))
    assert (np.sort(orders[:, :3]) == [0, 1, 2]).all()
    _, counts = np.unique(orders[:, :3], axis=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_padding_changes_nothing():
    features, scores = problem(10)
    scores = scores + jnp.asarray(np.random.default_rng(1).normal(size=10), jnp.float32)
    predictor = mlp_ensemble(**TINY)
    fit = jax.jit(predictor.fit)
    alone = fit(jax.random.key(1), features, scores, everything(scores))
    for num_rows in (11, 33):
        rest = num_rows - 10
        padded = (
            jnp.pad(features, ((0, rest), (0, 0)), constant_values=jnp.nan),
            jnp.pad(scores, (0, rest), constant_values=jnp.nan),
            jnp.pad(everything(scores), (0, rest)),
        )
        assert_close(fit(jax.random.key(1), *padded), alone)


def test_lanes_of_different_lengths_are_fitted_as_if_alone():
    features, scores = problem(30)
    scores = scores + jnp.asarray(np.random.default_rng(1).normal(size=30), jnp.float32)
    predictor = mlp_ensemble(**TINY)
    counts, keys = np.array([0, 3, 30, 9, 17]), jax.random.split(jax.random.key(2), 5)
    masks = jnp.asarray(np.arange(30) < counts[:, None])
    fit = jax.jit(predictor.fit)
    together = jax.jit(jax.vmap(predictor.fit, (0, None, None, 0)))(keys, features, scores, masks)
    for lane in range(len(counts)):
        alone = fit(keys[lane], features, scores, masks[lane])
        assert_close(jax.tree.map(lambda leaf, lane=lane: leaf[lane], together), alone)


def test_it_learns_and_more_data_helps():
    features, scores = problem(300, num_features=10)
    predictor = mlp_ensemble()
    predictions = jax.jit(
        jax.vmap(lambda mask: predictor.predict(predictor.fit(jax.random.key(3), features, scores, mask), features))
    )(jnp.asarray(np.arange(300) < np.array([[10], [120]])))
    correlation = [stats.spearmanr(mean[200:], scores[200:])[0] for mean in predictions.mean]
    assert correlation[1] > 0.97
    assert correlation[1] > correlation[0] + 0.1


def test_gaussian_heads_learn_how_noisy_scores_are():
    rng = np.random.default_rng(0)
    features = rng.integers(0, 2, (400, 3)).astype(np.float32)
    noise = np.where(features[:, 0] > 0, 4.0, 1.0)
    scores = jnp.asarray(60 + 3 * features[:, 1] + noise * rng.normal(size=400), jnp.float32)
    predictor = mlp_ensemble(loss="gaussian", networks=((2, 20),), epochs=100)
    model = fit_all(predictor, jnp.asarray(features), scores)
    queries = jnp.asarray([[0, 1, 0], [1, 1, 0]], jnp.float32)
    mean, std = jax.jit(predictor.predict)(model, queries)
    np.testing.assert_allclose(mean, [63, 63], atol=1.5)
    np.testing.assert_allclose(std, [1, 4], rtol=0.35)
    assert jax.jit(predictor.members)(model, queries).std(0).max() < 0.5 * std.min(), (
        "the heads must say it, not the ensemble"
    )


def test_diverse_networks_have_the_published_shapes():
    predictor = mlp_ensemble(networks="diverse", num_members=7)
    shapes = jax.eval_shape(
        predictor.fit, jax.random.key(0), jnp.zeros((4, 30)), jnp.zeros(4), jnp.zeros(4, bool)
    ).weights

    def count(layers, width):
        return (30 + 1) * width + (layers - 1) * (width + 1) * width + width + 1

    sizes = [
        group.heads.size + sum(leaf.size - leaf.shape[0] * leaf.shape[2] for leaf in group.hidden)  # less the last row,
        for group in shapes  # which does not learn
    ]
    once = [count(10, 20), count(5, 5), count(5, 30), count(30, 5), count(30, 30)]
    assert sizes == [2 * once[0], 2 * once[1], *once[2:]]
    assert once[0] == 4421


def test_members_of_different_shapes_keep_their_places():
    features, scores = problem(12)
    mixed = mlp_ensemble(num_members=4, networks=((1, 2), (2, 3)), epochs=1)
    model = fit_all(mixed, features, scores)
    members = jax.jit(mixed.members)(model, features)
    for start, group in enumerate(model.weights):
        outputs = jax.jit(jax.vmap(_mlp.apply, (0, None)))(group, features)[:, 0]
        np.testing.assert_allclose(members[start::2], model.shift + model.scale * outputs, rtol=1e-6)


def test_sample_is_one_of_the_members_each_as_often():
    features, scores = problem(12)
    predictor = mlp_ensemble(num_members=3, networks=((1, 4),), epochs=2)
    model = fit_all(predictor, features, scores)
    samples = jax.jit(jax.vmap(predictor.sample, (0, None, None)))(
        jax.random.split(jax.random.key(1), 300), model, features
    )
    which = np.abs(np.asarray(samples)[:, None] - np.asarray(jax.jit(predictor.members)(model, features))).max(-1)
    assert (which.min(1) < 1e-5).all()
    assert stats.chisquare(np.bincount(which.argmin(1), minlength=3)).pvalue > 1e-3


def test_many_rows_are_predicted_as_few():
    features, scores = problem(12)
    predictor = mlp_ensemble(**TINY)
    model = fit_all(predictor, features, scores)
    many = jax.jit(predictor.predict)(model, jnp.tile(features, (200, 1)))
    few = jax.jit(predictor.predict)(model, features)
    assert_close(many, jax.tree.map(lambda leaf: jnp.tile(leaf, 200), few), 1e-4)


def test_scores_may_have_any_scale():
    features, scores = problem(40)
    predictor = mlp_ensemble(**TINY)
    first, second = (fit_and_predict(predictor, features, scale * scores) for scale in (1, 2.0**-6))
    np.testing.assert_allclose(second.mean * 64, first.mean, rtol=1e-5)
    np.testing.assert_allclose(second.std * 64, first.std, rtol=1e-4)


def test_no_rows_and_equal_scores_give_finite_predictions():
    features, _ = problem(5)
    predictor = mlp_ensemble(**TINY)
    for scores, mask in ((jnp.full(5, jnp.nan), jnp.zeros(5, bool)), (jnp.full(5, 42.0), jnp.ones(5, bool))):
        prediction = fit_and_predict(predictor, features, scores, mask)
        assert all(np.isfinite(leaf).all() for leaf in prediction)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_members": 2.0}, TypeError, "num_members"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"loss": "mse"}, ValueError, "loss is 'mse'"),
        ({"targets": "raw"}, ValueError, "targets is 'raw'"),
        ({"networks": "large"}, ValueError, "networks is 'large'"),
        ({"networks": ()}, ValueError, "networks is"),
        ({"networks": ((10, 20, 3),)}, ValueError, "networks is"),
        ({"networks": ((0, 20),)}, ValueError, "layers in networks"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        mlp_ensemble(**arguments)


def test_features_that_are_zero_in_all_rows_are_left_out_of_training(monkeypatch):
    """Where few of many are not: the same networks, and the others' weights as they began; many are trained all."""
    monkeypatch.setattr(_mlp, "_FEW", 5)
    features, scores = problem(9, 5)
    wide = jnp.zeros((9, 24)).at[:, np.asarray([1, 4, 9, 17, 23])].set(features)
    rows = (scores - 70) / 4, jnp.ones(9), everything(scores)

    @jax.jit
    def trained(key, wide):
        key, weights = _mlp.initial_mlp_weights(key, (2, 3), 24, 1)
        ways = (_mlp.train_mlp, _mlp.train_mlp_on_few)
        return weights, *(way(jax.random.clone(key), weights, TRAINING, wide, *rows) for way in ways)

    start, whole, few = trained(jax.random.key(0), wide)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), few, whole)
    zero = ~np.asarray(wide).any(0)
    np.testing.assert_array_equal(few.hidden[0][:, :-1][:, zero], start.hidden[0][:, :-1][:, zero])
    assert (np.asarray(few.hidden[0] != start.hidden[0])[:3, :-1][:, ~zero]).any(0).all()
    start, whole, all_of_them = trained(jax.random.key(0), wide.at[:, 0].set(1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), all_of_them, whole)
