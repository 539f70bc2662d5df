"""What came after DARTS, as options: each rule against NumPy in float64, and at its neutral value DARTS itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jnas.core._vocabulary import decisions_of
from jnas.searchers import (
    Adam,
    Adaptation,
    EarlyStopping,
    Perturbation,
    Projection,
    Sgd,
    darts,
    make_weight_sharing,
    rsps,
    select_by_perturbation,
    weight_sharing_entry,
)
from jnas.searchers.weight_sharing._architecture_parameters import AlphaState, preferences_of
from jnas.searchers.weight_sharing._candidates import derive_key
from jnas.searchers.weight_sharing._shared_weights import check_schedule
from jnas.searchers.weight_sharing.mixtures import _projection
from jnas.searchers.weight_sharing.mixtures._adaptive import adapt, begin_adaptation
from jnas.searchers.weight_sharing.mixtures._early_stopping import goes_back_to
from jnas.searchers.weight_sharing.mixtures._perturbation import moved_weights, radius_of
from jnas.searchers.weight_sharing.mixtures._steps import Rules, _with_stage, mixture_weights, stage_epochs
from jnas.searchers.weight_sharing.mixtures._weights import (
    FAR,
    decided,
    dirichlet_weights,
    distance_from_half,
    divergence_from_flat,
    make_mixing,
    skips_of,
)
from jnas.spaces.darts._cells import EDGES
from jnas.training.networks.darts._supernet import darts_supernet
from jnas.training.networks.nasbench201._supernet import nasbench201_supernet
from tests._toy_supernet import (
    CLASSES,
    MASK,
    RULED,
    TOY,
    C,
    E,
    K,
    batch,
    differences,
    flat,
    numpy_loss,
    numpy_results,
    numpy_softmax,
    toy_dataset,
)

LATER = (
    "drnas",
    "sdarts-rs",
    "sdarts-adv",
    "darts-minus",
    "darts-es",
    "darts-ada",
    "fair-darts",
    "p-darts",
    "darts-pt",
)
THERE = np.array([[True, True, False, True], [True, True, True, True]])


@functools.cache
def darts_net():
    return darts_supernet(image_shape=(4, 4, 1), num_classes=2, channels=4, cells=1)


def test_draws_have_the_derivative_of_their_quantile():
    """By the distribution function of each gamma variable, and of what has no place nothing."""
    rng = np.random.default_rng(0)
    concentrations = rng.uniform(0.3, 3, (2, 4))
    along = rng.normal(size=(2, 4))

    @jax.jit
    def both(key, concentrations, along):
        logs = jax.random.loggamma(key, concentrations)
        weights, pull = jax.vjp(lambda c: dirichlet_weights(key, c, THERE), concentrations)
        return logs, weights, pull(along)[0]

    with jax.enable_x64(True):
        logs, weights, found = jax.device_get(both(jax.random.key(0), concentrations, along))
    sample = np.exp(logs)
    own = np.where(THERE, sample, 0)
    np.testing.assert_allclose(weights, own / own.sum(1, keepdims=True), rtol=1e-12)
    step = 1e-5
    up, down = (scipy.special.gammainc(concentrations + h, sample) for h in (step, -step))
    moves = -(up - down) / (2 * step) / scipy.stats.gamma(concentrations).pdf(sample)  # of each gamma variable
    total = own.sum(1, keepdims=True)
    expected = (along - (along * weights).sum(1, keepdims=True)) / total * moves * THERE
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (found[:, :2] != 0).all()


def test_penalties():
    """The divergence by the entropy that SciPy knows, and the distance of sigmoids from a half."""
    rng = np.random.default_rng(1)
    concentrations = rng.uniform(0.3, 3, (2, 4))
    rows = [scipy.stats.dirichlet(row[there]) for row, there in zip(concentrations, THERE, strict=True)]
    expected = sum(-row.entropy() - scipy.special.gammaln(len(row.alpha)) for row in rows)
    alpha = rng.normal(size=(2, 4))
    with jax.enable_x64(True):
        found, distance = jax.jit(lambda c, a: (divergence_from_flat(c, THERE), distance_from_half(a, THERE)))(
            concentrations, alpha
        )
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(distance, ((1 / (1 + np.exp(-alpha)) - 0.5) ** 2)[THERE].mean(), rtol=1e-12)


def numpy_moved(noise, weights, radius, steps, adversarial, target):
    """The adversary in plain Python, for the loss `sum((w - target)**2)`."""

    def cut(moved):
        moved = np.clip(np.where(THERE, moved, 0), 0, 1)
        return moved / moved.sum(1, keepdims=True)

    loss = lambda w: ((w - target) ** 2).sum()  # noqa: E731
    moved = cut(weights + noise * radius)
    for _ in range(steps if adversarial else 0):
        ahead = moved + 2 * radius / steps * np.sign(2 * (moved - target))
        moved = cut(weights + np.clip(ahead - weights, -radius, radius))
    return moved if not adversarial or loss(moved) >= loss(weights) else weights


def test_weights_are_moved_as_published():
    rng = np.random.default_rng(2)
    weights = np.where(THERE, rng.uniform(size=(2, 4)), 0)
    weights /= weights.sum(1, keepdims=True)
    targets = rng.uniform(size=(2, 4)), weights + 1e-3  # in the second the loss is least where the weights are
    targets += (weights * 3 - 1,)
    key = jax.random.key(1)

    @jax.jit
    def moved(weights, target, radius):
        loss = lambda w: jnp.sum((w - target) ** 2)  # noqa: E731
        noise = jax.random.uniform(key, weights.shape, weights.dtype, -1, 1)
        kinds = Perturbation("random"), Perturbation("adversarial", attack_steps=3)
        return noise, [moved_weights(key, kind, weights, THERE, radius, loss) for kind in kinds]

    with jax.enable_x64(True):
        for target in targets:
            for radius in (0.3, 0.0):
                noise, (random, adversary) = jax.device_get(moved(weights, target, radius))
                np.testing.assert_allclose(random, numpy_moved(noise, weights, radius, 3, False, target), rtol=1e-9)
                np.testing.assert_allclose(adversary, numpy_moved(noise, weights, radius, 3, True, target), rtol=1e-9)
                if not radius:
                    np.testing.assert_allclose(random, weights, rtol=1e-12)
    radii = [float(radius_of(Perturbation("random"), jnp.int32(epoch), 50)) for epoch in (0, 25, 49)]
    np.testing.assert_allclose(radii, [0.03, 0.165, 0.03 + 0.27 * 49 / 50], rtol=1e-6)


def plain_stop(values, epochs, settings):
    """The released rule, measurement by measurement."""
    means = []
    for number in range(len(values)):
        seen = values[: number + 1]
        if len(seen) >= int(np.ceil(settings.window / 2)):
            means.append(np.mean(seen[-settings.window :]))
        back = number - settings.window // 2 - settings.delta
        if back < 0 or epochs[back] < settings.start or len(means) <= settings.delta:
            continue
        if means[-1] / means[-1 - settings.delta] > settings.factor:
            return back
    return -1


def test_the_rule_of_early_stopping_is_the_released_one():
    rng = np.random.default_rng(3)
    values = np.exp(np.cumsum(rng.normal(0.03, 0.2, (200, 25)), axis=1)).astype(np.float32)
    epochs, settings = 2 * np.arange(1, 26), EarlyStopping(2)
    rule = jax.jit(jax.vmap(functools.partial(goes_back_to, settings=settings), (0, None)))
    found = np.asarray(rule(values, epochs))
    np.testing.assert_array_equal(found, [plain_stop(row, epochs, settings) for row in values])
    assert (found < 0).any()
    assert len(set(found.tolist())) > 5
    later = np.where(np.arange(25) > 11, np.nan, values)  # what has not been measured stops nothing
    seen = np.asarray(rule(later, epochs))
    assert ((seen == -1) | (seen == found)).all()
    assert (seen >= 0).any()


def plain_adaptation(values, stopping, settings, decay):
    """The released loop over lists: histories are cut where a search goes back, and checkpoints are those of now."""
    history, epochs, held, oldest, seen = [], [], [], 0, []
    now = 0.0
    for number, value in enumerate(values):
        now += 1 + decay  # what a search has learned since
        history, epochs, held = [*history, value], [*epochs, 2 * (number + 1)], [*held, now]
        back = plain_stop(np.asarray(history), epochs, stopping)
        if back >= 0 and decay < settings.most:
            oldest = max(back, oldest)
            history, epochs, held = (each[: oldest + 1] for each in (history, epochs, held))
            now, decay = held[-1], min(decay * settings.factor, settings.most)
        seen.append((now, decay, len(history)))
    return seen


def test_adaptation_goes_back_and_decays_more():
    rng = np.random.default_rng(5)
    drifts = np.linspace(-0.1, 0.1, 100)[:, None]
    values = np.exp(np.cumsum(rng.normal(drifts, 0.1, (100, 40)), axis=1)).astype(np.float32)
    stopping, settings = EarlyStopping(2, start=6), Adaptation(3.0, 13.5)

    @jax.jit
    @jax.vmap
    def run(values):
        def measure(carry, each):
            seen, held = carry
            number, value = each
            found = adapt(seen, held + 1 + seen.decay, value, 2 * (number + 1), stopping, settings)
            return found, (found[1], found[0].decay, found[0].known)

        first = begin_adaptation(jnp.float32(0), 0.5, stopping, 80), jnp.float32(0)
        return jax.lax.scan(measure, first, (jnp.arange(40), values))[1]

    found = np.stack(jax.device_get(run(values)), axis=-1)
    np.testing.assert_allclose(found, [plain_adaptation(row, stopping, settings, 0.5) for row in values], rtol=1e-5)
    assert {0.5, 1.5, 4.5, 13.5} == set(found[:, -1, 1].tolist())  # some never went back


def test_an_adapted_search_is_darts_from_where_it_goes_back_to():
    """With three times the decay, and the rate of a step that is not taken back; it goes back no more at the most."""
    stopping, sgd = EarlyStopping(1, 0.0, window=1, delta=1, start=0), Sgd(weight_decay=0.01)
    adapted = darts(TOY, **STEPS, sgd=sgd, stopping=stopping, adapting=Adaptation(3.0, 0.03))
    plain, more = darts(TOY, **STEPS, sgd=sgd), darts(TOY, **STEPS, sgd=sgd._replace(weight_decay=0.03))
    every = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(batch(number, 16) for number in range(3)))

    @jax.jit
    def run(key, batches):
        first, second, third = (jax.tree.map(lambda leaf, n=n: leaf[n], batches) for n in range(3))
        one, _ = plain.step(plain.init(jax.random.clone(key)), first)
        end, _ = more.step(one._replace(step=jnp.int32(2)), third)
        state, info = jax.lax.scan(adapted.step, adapted.init(key), batches)
        return end, plain.step(one, second)[1], state, info

    end, second, state, info = jax.device_get(run(jax.random.key(0), every))
    for name in ("weights", "alpha", "optimizer"):
        near = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
        jax.tree.map(near, getattr(state, name), getattr(end, name))
    np.testing.assert_allclose(info.train_loss[1], second.train_loss, rtol=1e-5)
    assert (state.step, state.stop.known) == (3, 2)
    np.testing.assert_allclose(state.stop.decay, 0.03)
    assert np.isfinite(state.stop.eigenvalues[:2]).all()


def test_the_auxiliary_skip_fades_and_stands_beside_skips_alone():
    rules = Rules(TOY, check_schedule(5, 4), make_mixing("softmax", decisions_of(TOY)), None, None)
    rules = rules._replace(skips=skips_of(decisions_of(TOY)), auxiliary_skip=0.8)
    weights = jnp.full((E, K), 1 / 3)
    for step, left in ((0, 1), (4, 1), (5, 0.75), (19, 0.25), (20, 0)):
        added = np.asarray(mixture_weights(rules, jnp.int32(step), weights)) - 1 / 3
        np.testing.assert_allclose(added, [[0, 0.8 * left, 0]] * E, atol=1e-6)
    skips = skips_of(decisions_of(nasbench201_supernet(image_shape=(8, 8, 1), num_classes=2, channels=4)))
    np.testing.assert_array_equal(skips, [[False, True, False, False, False]] * 6)


def test_stages_keep_the_best_operations():
    rules = Rules(TOY, check_schedule(2, 6), make_mixing("softmax", decisions_of(TOY)), None, None, kept=(2, 1))
    alpha = jnp.asarray([[0.3, 0.1, 0.2], [-0.5, -0.4, -0.6]])
    state = jax.eval_shape(darts(TOY, steps_per_epoch=2).init, jax.random.key(0))._replace(alpha=alpha)
    assert stage_epochs(6, 3) == [0, 2, 4]
    kept = []
    for step in range(12):
        state = _with_stage(rules, state._replace(step=jnp.int32(step)))
        kept.append((np.asarray(state.alpha) > -FAR / 2).tolist())
    every, two = [[True] * 3] * 2, [[True, False, True], [True, True, False]]
    assert kept == [every] * 4 + [two] * 4 + [[[True, False, False], [False, True, False]]] * 4


def test_a_decided_row_weighs_one_choice_by_every_rule():
    rules = [make_mixing(name, decisions_of(RULED)) for name in ("softmax", "dirichlet", "sigmoid")]

    @jax.jit
    def weights(key):
        alpha = decided(decided(jnp.zeros((E, K)), 0, 2), 1, 1)
        return [(rule.mean(alpha), rule.weights(key, alpha)) for rule in rules]

    for found in jax.tree.leaves(weights(jax.random.key(0))):
        np.testing.assert_array_equal(found, [[0, 0, 1], [0, 1, 0]])


def test_sigmoids_never_choose_none_and_compare_edges_by_themselves():
    rng = np.random.default_rng(4)
    alpha = rng.normal(size=(28, 8)).astype(np.float32)
    alpha[:, 7] = 9
    net = darts_net()
    mixing = make_mixing("sigmoid", decisions_of(net), none=decisions_of(net).absent)
    found, mean = jax.device_get(
        jax.jit(lambda alpha: (net.discretize(mixing.derived(alpha)), mixing.mean(alpha)))(alpha)
    )
    found = found.reshape(2, 14)
    for cell in range(2):
        own = alpha[14 * cell : 14 * cell + 14, :7]
        for node in range(4):
            into = [number for number, (_, target) in enumerate(EDGES) if target == node]
            kept = sorted(into, key=lambda edge: -own[edge].max())[:2]
            assert [found[cell, edge] for edge in into] == [own[e].argmax() if e in kept else 7 for e in into]
    assert not mean[:, 7].any()


STEPS = {"steps_per_epoch": 1, "epochs": 4, "adam": Adam(0.1)}


@functools.cache
def steps():
    """Four steps of DARTS, of options at their neutral values, and of a search that stops; from one state."""

    def options(factor):
        stopping = EarlyStopping(1, factor, window=1, delta=1, start=0)
        return darts(TOY, **STEPS, auxiliary_skip=0.0, stopping=stopping)

    still = darts(TOY, **STEPS, perturbation=Perturbation("random", 0.0, 0.0))

    @jax.jit
    def run(key, batches, factors):
        def search(searcher):
            return jax.lax.scan(searcher.step, searcher.init(jax.random.clone(key)), batches)

        return search(darts(TOY, **STEPS)), search(still), jax.lax.map(lambda factor: search(options(factor)), factors)

    four = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(batch(number, 16) for number in range(4)))
    plain, moved, both = jax.device_get(run(jax.random.key(0), four, jnp.asarray([jnp.inf, 0.0])))
    return plain, moved, *(jax.tree.map(lambda leaf, place=place: leaf[place], both) for place in (0, 1))


def test_options_at_their_neutral_values_are_darts_bit_for_bit():
    """No auxiliary skip, and a stop that never comes; moved by nothing, weights are divided by a sum near 1."""
    (plain, told), (moved, _), (never, info), _ = steps()
    for name in ("weights", "alpha", "optimizer"):
        jax.tree.map(np.testing.assert_array_equal, getattr(never, name), getattr(plain, name))
        near = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
        jax.tree.map(near, getattr(moved, name), getattr(plain, name))
    np.testing.assert_array_equal(info[:4], told[:4])


def test_a_search_that_stops_goes_back_and_stays():
    """And the eigenvalue is that of the Hessian of NumPy's loss, plus the decay of alpha."""
    _, _, (never, _), (stopped, told) = steps()
    assert stopped.stop.stopped == 0
    assert never.stop.stopped == -1
    np.testing.assert_array_equal(stopped.stop.alphas[0], stopped.alpha)
    np.testing.assert_array_equal(np.isnan(told.train_loss), [False, False, True, True])
    assert stopped.step == 4
    np.testing.assert_array_equal(np.isnan(stopped.stop.eigenvalues), [False, False, True, True])
    np.testing.assert_array_equal(never.stop.eigenvalues[:2], stopped.stop.eigenvalues[:2])
    parameters, examples = flat(never.weights.shared.parameters), batch(3, 16).validation
    place = np.asarray(never.alpha, np.float64)
    assert (np.abs(flat(stopped.weights.shared.parameters) - parameters) > 0).all()

    def slope(alpha):
        loss = lambda alpha: numpy_loss(parameters, numpy_softmax(alpha), examples)  # noqa: E731
        return differences(loss, alpha, 1e-4)

    size, columns = 1e-4, []
    for index in np.ndindex(E, K):
        change = np.zeros((E, K))
        change[index] = size
        columns.append(((slope(place + change) - slope(place - change)) / (2 * size)).ravel())
    largest = np.linalg.eigvalsh(0.5 * (np.array(columns) + np.array(columns).T))[-1]
    np.testing.assert_allclose(never.stop.eigenvalues[3], largest + 1e-3, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("name", LATER)
def test_states_keep_their_shapes_and_the_names_their_settings(name):
    for net in (TOY, RULED):
        settings = {"kept": (2,)} if name == "p-darts" else {}
        searcher = make_weight_sharing(name, net, steps_per_epoch=5, epochs=6, **settings)
        assert searcher.name == name
        state = jax.eval_shape(searcher.init, jax.random.key(0))
        after, info = jax.eval_shape(searcher.step, state, batch(0))
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), after
        )
        assert all((each.shape, each.dtype) == ((), jnp.float32) for each in info[:4])
    assert weight_sharing_entry(name, "darts").epochs == {"p-darts": 75}.get(name, 50)


def test_what_draws_uses_no_key_twice_and_finds_the_best():
    """DrNAS with a penalty, moved at random: lanes differ, and each finds its way."""
    settings = {"steps_per_epoch": 10, "epochs": 6, "adam": Adam(3e-2)}
    searcher = darts(RULED, **settings, mixing="dirichlet", penalty=1e-3, perturbation=Perturbation("random"))
    every = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(batch(number, 32) for number in range(60)))

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def search(key, batches):
        state, infos = jax.lax.scan(searcher.step, searcher.init(key), batches)
        return infos, searcher.derive(state, None, "").arch, searcher.probabilities(state)

    with jax.debug_key_reuse(True):
        infos, found, weights = jax.device_get(search(jax.random.split(jax.random.key(0), 3), every))
    assert (found == [2, 1]).all()
    assert len(np.unique(infos.train_loss[:, 0])) == 3
    np.testing.assert_allclose(weights.sum(2), 1, rtol=1e-5)
    assert not weights[:, ~MASK].any()


def numpy_decisions(parameters, weights, order, examples):
    """Rows decided one after another on the toy, in NumPy."""
    numbers, labels = flat(parameters), np.asarray(examples.targets)
    results, weights = numpy_results(numbers, examples.inputs), np.asarray(weights, np.float64).copy()

    def accuracy(weights):
        logits = np.einsum("ek,ekbc->bc", weights, results) @ numbers[2:6].reshape(C, CLASSES) + numbers[:2]
        return (logits.argmax(1) == labels).sum()

    for row in order:
        left = []
        for choice in range(K):
            changed = weights.copy()
            changed[row, choice] = 0
            left.append(accuracy(changed))
        weights[row] = np.arange(K) == np.argmin(left)
    return weights.argmax(1)


def keys_of(key):
    return jax.random.split(jax.random.fold_in(derive_key(key), _projection._SELECT), 3)


def test_selection_by_perturbation_is_that_of_numpy_and_tuning_moves_no_schedule():
    searcher = darts(TOY, steps_per_epoch=2, epochs=2, choose_by="perturbation", projection=Projection(0))
    plain, data = darts(TOY, steps_per_epoch=2, epochs=2), toy_dataset(count=200)

    @jax.jit
    def select(key, alpha, data):
        state = plain.init(key)._replace(alpha=alpha, step=jnp.int32(3))
        bare = select_by_perturbation(plain, TOY, state, data, "validation", Projection(0))
        order = jax.random.permutation(jax.random.split(keys_of(state.key)[0], 1)[0], np.arange(E))
        tuned, _ = select_by_perturbation(plain, TOY, state, data, "validation", Projection(1, 32))
        ended = state._replace(step=jnp.int32(4))
        early, late = (searcher.derive(each, data, "validation").arch for each in (state, ended))
        return state, bare, order, tuned, early, late

    rng, chosen = np.random.default_rng(5), set()
    examples = data.examples(data.rows("validation"))
    for seed in range(6):
        alpha = jnp.asarray(rng.normal(size=(E, K)), jnp.float32)
        state, (bare, derived), order, tuned, early, late = jax.device_get(select(jax.random.key(seed), alpha, data))
        expected = numpy_decisions(state.weights.shared.parameters, numpy_softmax(alpha), order, examples)
        np.testing.assert_array_equal(derived.arch, expected)
        np.testing.assert_array_equal(bare.alpha, np.where(np.arange(K) == expected[:, None], FAR, -FAR))
        np.testing.assert_array_equal(early, alpha.argmax(1))
        np.testing.assert_array_equal(late, derived.arch)
        assert (np.abs(tuned.alpha) == FAR).all()
        assert tuned.step == 3
        assert (tuned.weights.momentum["head"] != 0).any()
        chosen.add(tuple(expected))
    assert len(chosen) > 1


def test_nodes_keep_the_two_edges_that_cost_most():
    """DARTS's decisions over a made-up mixture of no weights, in NumPy: operations, then edges; `none` is no choice."""
    table = np.random.default_rng(6).normal(size=(28, 8, 2)).astype(np.float32)

    def mixture(parameters, statistics, weights, inputs):
        return inputs[:, 0, 0, :2] + 0.3 * jnp.einsum("ek,ekc->c", weights, table)[None], jnp.zeros(1)

    net = darts_net()._replace(mixture=mixture, init=lambda key: ({"none": jnp.zeros(1)}, jnp.zeros(1)))
    searcher, data = darts(net, steps_per_epoch=2), toy_dataset(count=200)

    @jax.jit
    def select(key, data):
        state = searcher.init(key)
        keys = keys_of(state.key)
        edges = [jax.random.permutation(own, np.arange(14)) for own in jax.random.split(keys[0])]
        nodes = [jax.random.permutation(own, np.arange(4)) for own in jax.random.split(keys[1])]
        found = select_by_perturbation(searcher, net, state, data, "validation", Projection(0))[1].arch
        return state.alpha, edges, nodes, found

    examples = jax.device_get(data.examples(data.rows("validation")))
    inputs, labels = np.float64(examples.inputs[:, 0, 0, :2]), examples.targets
    alpha, edges, nodes, found = jax.device_get(select(jax.random.key(0), data))

    def accuracy(weights):
        return ((inputs + 0.3 * np.einsum("ek,ekc->c", weights, table)).argmax(1) == labels).sum()

    weights = np.float64(numpy_softmax(np.float64(alpha)))

    def without(row, choice):
        changed = weights.copy()
        changed[row, choice] = 0
        return accuracy(changed)

    for row in np.stack([edges[0], edges[1] + 14], 1).ravel():
        weights[row] = np.arange(8) == np.argmin([without(row, choice) for choice in range(7)])
    for node in np.stack([nodes[0], nodes[1] + 4], 1).ravel():
        left = [14 * (node // 4) + edge for edge, (_, target) in enumerate(EDGES) if target == node % 4]
        while len(left) > 2:
            accuracies = [without(row, slice(None)) for row in left]
            worst = max(range(len(left)), key=lambda place: (accuracies[place], place))
            weights[left.pop(worst)] = np.arange(8) == 7
    np.testing.assert_array_equal(found, weights.argmax(1))
    assert (found == 7).sum() == 2 * (14 - 8)


def test_what_weighs_nothing_is_no_choice():
    """An operation that a stage dropped, where the mixture would be better without any of the others."""
    weights = jnp.asarray([[0.4, 0.6, 0.0], [0.2, 0.3, 0.5]])
    worse = _projection._make_decide(TOY, TOY, lambda *_: weights, lambda state, change: -jnp.sum(change(weights)))
    found = worse(AlphaState(None, None, None, jnp.zeros((E, K)), None), jnp.int32(0)).alpha
    np.testing.assert_array_equal(found, [[FAR, -FAR, -FAR], [0, 0, 0]])


ADA = {"stopping": EarlyStopping(2), "adapting": Adaptation(3.0)}


def test_arguments_are_checked():
    for settings, kind, message in (
        ({"mixing": "relu"}, ValueError, "mixing is 'relu'"),
        ({"penalty": 1.0}, ValueError, "penalty is given, and a softmax has none"),
        ({"perturbation": "random"}, TypeError, "perturbation is 'random', expected a jnas.searchers.Perturbation"),
        ({"perturbation": Perturbation("wild")}, ValueError, "the perturbation's kind is 'wild'"),
        (
            {"stopping": EarlyStopping(60)},
            ValueError,
            "the stopping's every is 60, expected no more than the 50 epochs",
        ),
        ({"adapting": Adaptation(3.0)}, ValueError, "the stopping's every is 0: nothing is measured"),
        ({"adapting": Adaptation(0.5)}, ValueError, "factor is 0.5, expected more than 1"),
        ({**ADA, "sgd": Sgd(weight_decay=0.0)}, ValueError, "weight_decay is 0.0: no factor makes it more"),
        ({**ADA, "sgd": Sgd(weight_decay=0.03)}, ValueError, "most is 0.0243, expected more than .* of 0.03"),
        ({**ADA, "adapting": Adaptation(3.0, "much")}, TypeError, "most is 'much', expected a number"),
        ({**ADA, "kept": (2,)}, ValueError, "with kept a search would go back to operations that a stage has dropped"),
        ({"adapting": 3.0}, TypeError, "adapting is 3.0, expected a jnas.searchers.Adaptation"),
        ({"kept": 2}, TypeError, "kept is 2, expected a tuple of Python ints"),
        ({"kept": (2, 2)}, ValueError, r"kept is \(2, 2\), expected numbers that fall"),
        ({"kept": (2,), "edge_weights": "learned"}, ValueError, "kept is of operations alone"),
        ({"choose_by": "luck"}, ValueError, "choose_by is 'luck'"),
        ({"choose_by": "perturbation", "projection": 5}, TypeError, "projection is 5, expected a jnas.searchers.Proj"),
    ):
        with pytest.raises(kind, match=message):
            darts(TOY, **{"steps_per_epoch": 1, **settings})
    bare = TOY._replace(decisions=decisions_of(TOY)._replace(names=(("none", "a", "b"),) * E))
    with pytest.raises(ValueError, match="no operation is 'skip_connect'"):
        darts(bare, steps_per_epoch=1, auxiliary_skip=1.0)
    read = TOY._replace(preferences=preferences_of(TOY, "whole"))  # as of recurrent cells
    with pytest.raises(ValueError, match=r"weighs what each node of .* reads, of which cells keep the strongest"):
        darts(read, steps_per_epoch=1, choose_by="perturbation")
    lacking = decisions_of(TOY)._replace(mask=np.ones((E, K), bool) & (np.arange(K) > 0), absent=0)
    with pytest.raises(ValueError, match="drops edges, and 'none' is not among what this search mixes"):
        darts(TOY._replace(decisions=lacking, into_nodes=(((0, 1),),)), steps_per_epoch=1, choose_by="perturbation")
    other = rsps(TOY, steps_per_epoch=1)
    state = jax.eval_shape(other.init, jax.random.key(0))
    with pytest.raises(ValueError, match="rsps has no architecture parameters"):
        select_by_perturbation(other, TOY, state, None, "validation")
