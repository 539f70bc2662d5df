"""The supernet of recurrent cells against a plain NumPy program in float64, and searches that go through a text."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import CarriedInfo, Examples, Shared, StepInfo, Windows, decisions_of
from jnas.searchers import NaoSettings, Selection, Sgd, make_weight_sharing, weight_sharing_entry
from jnas.searchers.weight_sharing._analysis import one_shot_accuracies
from jnas.searchers.weight_sharing._loop import begin_search, look_at, train_epoch
from jnas.searchers.weight_sharing._shared_weights import Measured, WeightsState, as_evaluated
from jnas.searchers.weight_sharing._texts import check_streams, search_data, search_steps, text_epoch
from jnas.searchers.weight_sharing.mixtures._unrolled import unrolled_gradient
from jnas.spaces.recurrent._search_cell import one_hot_edges
from jnas.training._recipe import TextRecipe, get_recipe
from jnas.training.data._sources import load_dataset
from jnas.training.data._text import text_dataset
from jnas.training.networks._families import make_supernet
from jnas.training.networks._family import all_archs
from jnas.training.networks.recurrent._language_model import draw_left_out, language_model
from jnas.training.networks.recurrent._supernet import recurrent_supernet
from tests._plain_cells import ACTIVATIONS, logistic

WORDS, UNITS, NODES, STEPS, BATCH, EPSILON = 7, 3, 2, 5, 4, 1e-5
DROPS = TextRecipe(
    window=STEPS,
    window_deviation=0.0,
    half_window=0.3,
    drop_words=0.3,
    drop_embedding=0.2,
    drop_input=0.5,
    drop_hidden=0.25,
    drop_output=0.4,
    activation=2.0,
    slowness=3.0,
)


def normalized(state, statistics, seen):
    moments = (state.mean(0), state.var(0)) if statistics is None else statistics
    seen.append(moments)
    return (state - moments[0]) / np.sqrt(moments[1] + EPSILON)


def plain_window(parameters, weights, tokens, hidden, draws=None, statistics=None):
    """Losses of each stream, the penalties of `DROPS`, the last state, and the mean of what batch-norm used.

    Args:
      parameters: Of the supernet.
      weights: `[E, 4]`, of the operations of all edges.
      tokens: `[T + 1, B]`.
      hidden: `[B, D]`.
      draws: What is left out.
      statistics: Of batch-norm, where they are not the batch's own.
    """
    words, bias, (initial, nodes) = parameters
    embedded, kept, inputs_kept, outputs_kept = words[tokens[:-1]], 1.0, 1.0, 1.0
    if draws is not None:
        embedded = embedded * draws.words[tokens[:-1]][..., None] * draws.embedded
        inputs_kept, kept, outputs_kept = draws.cell.inputs, draws.cell.states, draws.outputs
    outputs, losses, seen = [], 0.0, []
    for inputs, following in zip(embedded, tokens[1:], strict=True):
        product = np.concatenate([inputs * inputs_kept, hidden * kept], 1) @ initial
        gate, candidate = logistic(product[:, :UNITS]), np.tanh(product[:, UNITS:])
        states, edge = [normalized(hidden + gate * (candidate - hidden), statistics, seen)], 0
        for matrix in nodes:
            total = 0.0
            for state in tuple(states):
                product = (state * kept) @ matrix
                gate, given = logistic(product[:, :UNITS]), product[:, UNITS:]
                for share, activation in zip(weights[edge], ACTIVATIONS, strict=True):
                    total = total + share * (state + gate * (activation(given) - state))
                edge += 1
            states.append(normalized(total, statistics, seen))
        hidden = np.mean(states[1:], 0)
        outputs.append(hidden)
        logits = hidden * outputs_kept @ words.T + bias
        losses = losses + np.log(np.exp(logits).sum(1)) - logits[np.arange(len(following)), following]
    outputs = np.stack(outputs)
    penalty = 2.0 * np.mean((outputs * outputs_kept) ** 2) + 3.0 * np.mean((outputs[1:] - outputs[:-1]) ** 2)
    return losses / len(outputs), penalty, hidden, np.mean(seen, 0)


def windows(tokens, hidden, length, key=None):
    return Windows(tokens.T, hidden, jnp.int32(length), jnp.float32(1), jnp.float32(1), key)


@pytest.fixture(scope="module")
def exact():
    """A supernet, parameters, tokens and a state in float64, and the sampled cell as one program of any cell."""
    supernet = recurrent_supernet(num_words=WORDS, channels=UNITS, nodes=NODES, settings=DROPS, epsilon=EPSILON)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(supernet.init, jax.random.key(0))[0]
    parameters = jax.tree.map(lambda leaf: rng.normal(0, 0.6, leaf.shape), shapes)
    tokens = rng.integers(0, WORDS, (STEPS + 1, BATCH)).astype(np.int32)

    @jax.jit
    def sampled(parameters, arch, statistics, *read):
        return supernet.sampled(parameters, statistics, arch, windows(*read))

    hidden = rng.normal(0, 0.3, (BATCH, UNITS))
    return supernet, parameters, tokens, hidden, functools.partial(sampled, parameters)


def test_a_window_of_the_mixture_is_that_of_a_plain_program(exact):
    """With all that training leaves out and adds; and the gradient along one direction of weights and preferences."""
    supernet, parameters, tokens, hidden, _ = exact
    rng, key = np.random.default_rng(1), jax.random.key(3)
    weights = rng.uniform(0.1, 0.9, (NODES * (NODES + 1) // 2, 5))  # the first, of `none`, counts nothing

    @jax.jit
    def window(parameters, weights):
        def objective(parameters, weights):
            found, used = supernet.preferences.mixture(parameters, None, weights, windows(tokens, hidden, STEPS, key))
            return jnp.sum(found.losses) + found.penalty, (found, used)

        return jax.grad(objective, argnums=(0, 1), has_aux=True)(parameters, weights)

    with jax.enable_x64(True):
        draws = jax.jit(lambda: draw_left_out(key, DROPS, WORDS, hidden.shape))()
        gradients, (found, used) = window(parameters, weights)
    draws = jax.tree.map(np.asarray, draws)
    expected = plain_window(parameters, weights[:, 1:], tokens, hidden, draws)
    for name, value in zip(("losses", "penalty", "hidden"), expected[:3], strict=True):
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-6, err_msg=name)  # masks are float32
    np.testing.assert_allclose(used, expected[3], rtol=1e-6)

    along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), (parameters, weights))
    ends = []
    for size in (1e-6, -1e-6):
        moved = jax.tree.map(lambda leaf, each, size=size: leaf + size * each, (parameters, weights), along)
        losses, penalty, *_ = plain_window(moved[0], moved[1][:, 1:], tokens, hidden, draws)
        ends.append(losses.sum() + penalty)
    slope = sum(np.vdot(a, b) for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(along), strict=True))
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-5)


@pytest.mark.parametrize("arch", [[0, 0, 1, 1], [0, 2, 0, 3]])
def test_a_sampled_cell_is_the_mixture_of_its_edges_alone(exact, arch):
    """Of a whole window, of one of which two steps do not count, and with given statistics."""
    _, parameters, tokens, hidden, sampled = exact
    weights = np.asarray(one_hot_edges(jnp.asarray(arch)))[:, 1:]
    given = np.stack([np.full(UNITS, 0.1), np.full(UNITS, 0.7)])
    with jax.enable_x64(True):
        for length, statistics in ((STEPS, None), (STEPS - 2, None), (STEPS, given)):
            found, used = sampled(np.int32(arch), statistics, tokens, hidden, np.int32(length))
            losses, _, state, seen = plain_window(
                parameters, weights, tokens[: length + 1], hidden, statistics=statistics
            )
            np.testing.assert_allclose(found.losses, losses, rtol=1e-10)
            np.testing.assert_allclose(found.hidden, state, rtol=1e-10)
            np.testing.assert_allclose(used, seen, rtol=1e-10)


def test_without_its_batch_norm_a_sampled_cell_is_the_cells_own_network(exact):
    """The same weights; a batch-norm whose mean is 0 and whose variance is 1 less epsilon leaves all as it is."""
    _, parameters, tokens, hidden, sampled = exact
    arch, nothing = np.int32([0, 1, 1, 2]), np.stack([np.zeros(UNITS), np.full(UNITS, 1 - EPSILON)])
    network = language_model(num_words=WORDS, channels=UNITS, nodes=NODES, form="mixture")
    own = jax.jit(network.window)
    with jax.enable_x64(True):
        found, alone = (
            sampled(arch, nothing, tokens, hidden, np.int32(STEPS))[0],
            own(parameters, arch, tokens[:-1], tokens[1:], hidden, jnp.int32(STEPS)),
        )
    np.testing.assert_allclose(np.asarray(found.losses).mean(), alone.objective, rtol=1e-9)
    np.testing.assert_allclose(found.hidden, alone.hidden, rtol=1e-9)


def test_preferences_are_a_distribution_whose_likeliest_cell_is_derived(exact):
    supernet = exact[0]
    own, archs = supernet.preferences, all_archs(supernet.space)
    logits = np.random.default_rng(2).normal(0, 2, own.decisions.shape).astype(np.float32)
    found = jax.jit(lambda x: (own.log_probability(x, archs), own.probabilities(x), own.discretize(x)))(logits)
    logs, marginals, derived = map(np.asarray, found)
    np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-5)
    np.testing.assert_array_equal(archs[np.argmax(logs)], derived)
    counted = (archs[:, :, None] == np.arange(4)).astype(float)
    np.testing.assert_allclose(marginals, np.einsum("n,nek->ek", np.exp(logs), counted), rtol=1e-4)
    decisions = decisions_of(supernet)
    assert decisions.counts.tolist() == [1, 4, 2, 4]
    assert decisions.operations.tolist() == [False, True, False, True]


# Texts.


@functools.cache
def toy():
    """A text, its supernet, and the text as searches go through it."""
    rng = np.random.default_rng(5)
    lines = {name: rng.integers(0, 5, (count, 9)).astype(str).tolist() for name, count in (("train", 12), ("test", 4))}
    text = text_dataset(lines | {"validation": lines["test"]}, name="toy")
    recipe = get_recipe("text-quick-4")
    supernet = make_supernet(
        text, channels=UNITS, space="recurrent", nodes=2, recipe=recipe._replace(text=DROPS._replace(drop_words=0.0))
    )
    return text, supernet, search_data(text, supernet)


def test_an_epoch_goes_through_the_text_once_in_its_order():
    """Streams of windows are the text's own, one after another; the validation text begins again where it ends."""
    text, _, data = toy()
    steps = search_steps(data, BATCH)
    streams = {name: np.asarray(text.tokens(name)).reshape(BATCH, -1) for name in ("train", "validation")}
    mean = 0.7 * STEPS + 0.3 * (STEPS // 2)
    assert steps == round((streams["train"].shape[1] - 1) / mean)

    @jax.jit
    def batches(key):
        epoch = text_epoch(data, key, BATCH, steps, 2, "validation")
        return jax.vmap(lambda each: epoch.batch(each, epoch.start))(epoch.each), epoch.start

    found, start = batches(jax.random.key(0))
    assert not np.any(start[0])
    reached, halves = 0, 0
    train, validation = (jax.tree.map(np.asarray, part.inputs._replace(key=None)) for part in found)
    for step in range(steps + 2):
        drawn = round(float(train.pace[step]) * STEPS)
        halves += drawn == STEPS // 2
        for part, rows, whole in ((train, streams["train"], drawn), (validation, streams["validation"], STEPS)):
            place = reached % (rows.shape[1] - 1)
            length = min(whole, rows.shape[1] - 1 - place)
            assert part.length[step] == length
            np.testing.assert_array_equal(part.tokens[step][:, : length + 1], rows[:, place : place + length + 1])
        reached += drawn
    assert 0 < halves < steps
    np.testing.assert_array_equal(train.penalty, 1)
    np.testing.assert_array_equal(validation.penalty, 0)


def test_cells_are_compared_by_the_perplexity_of_the_whole_text():
    """The state is carried through streams; two cells by a plain program, all cells where more are asked for."""
    text, supernet, data = toy()
    shared = Shared(*jax.jit(supernet.init)(jax.random.key(1)))
    shared = shared._replace(parameters=jax.tree.map(lambda leaf: 20 * leaf, shared.parameters))
    archs = np.concatenate([all_archs(supernet.space), [[0, 1, 1, 2]]])

    @jax.jit
    def scores(key, archs):
        return one_shot_accuracies(key, supernet, shared, archs, data, "test", batch_norm="batch", batch_size=3)

    found = np.asarray(scores(jax.random.key(0), archs))
    assert found.shape == (33,)
    tokens = np.asarray(text.tokens("test"))
    streams = tokens[: 3 * (len(tokens) // 3)].reshape(3, -1).T
    parameters = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), shared.parameters)
    for place in (7, 32):
        hidden, total, count = np.zeros((3, UNITS)), 0.0, 0
        for start in range(0, len(streams) - 1, STEPS):
            cut = streams[start : start + STEPS + 1]
            losses, _, hidden, _ = plain_window(
                parameters, np.asarray(one_hot_edges(jnp.asarray(archs[place])))[:, 1:], cut, hidden
            )
            total, count = total + losses.sum() * (len(cut) - 1), count + losses.size * (len(cut) - 1)
        np.testing.assert_allclose(found[place], np.exp(total / count), rtol=1e-4)


SMALL = {
    "darts-v1": {},
    "darts-v2": {},
    "rsps": {"selection": Selection(num_candidates=3)},
    "spos": {"selection": Selection(num_candidates=3)},
    "enas": {"controller_steps": 1, "selection": Selection(num_candidates=3)},
    "nao": {
        "num_init": 4,
        "num_kept": 2,
        "num_new": 2,
        "num_random": 1,
        "num_top": 2,
        "max_step": 2,
        "model": NaoSettings(4, predictor_layers=1, predictor_hidden=4, epochs=1, batch_size=4),
        "selection": Selection(num_candidates=4),
    },
}


@pytest.mark.parametrize("name", SMALL)
def test_every_method_searches_a_text(name):
    """By the settings that were published for texts; nothing is compiled: shapes say that it goes on."""
    _, supernet, data = toy()
    entry = weight_sharing_entry(name, "recurrent")
    assert entry.settings["sgd"].learning_rate == 20
    searcher = make_weight_sharing(name, supernet, steps_per_epoch=search_steps(data, 4), epochs=2, **SMALL[name])

    def search(key, data):
        begun = begin_search(key, searcher)
        run, info = train_epoch(begun, searcher, data, batch_size=4, split="validation")
        look = look_at(run, searcher, supernet, data, split="validation", hessian=name == "darts-v1")
        return begun, run, info, look

    begun, run, info, look = jax.eval_shape(search, jax.random.key(0), data)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), run) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), begun
    )
    assert [leaf.shape for leaf in info] == [()] * 4
    assert look.derived.arch.shape == (4,)
    assert look.weights.shape == (4, 4)


def test_the_state_of_both_texts_goes_on_from_window_to_window():
    """A step's states are those that the next one's batch comes with; and the rate goes with the window's length."""
    _, supernet, data = toy()
    usual = make_weight_sharing("darts-v1", supernet, steps_per_epoch=search_steps(data, 4), epochs=1)
    seen = []

    def step(state, batch):
        carried = tuple(part.inputs.hidden + number for number, part in enumerate(batch, 1))
        found = jnp.stack([jnp.sum(part.inputs.hidden[0, 0]) for part in batch])
        nothing = jnp.float32(0)
        seen.append(batch)
        return (state[0] + 1, jnp.where(state[0] == 3, found, state[1])), CarriedInfo(StepInfo(*[nothing] * 4), carried)

    searcher = usual._replace(
        init=lambda key: (jnp.int32(0), jnp.zeros(2)), step=step, shared=lambda state: Shared(state[1], ())
    )
    search = jax.jit(
        lambda key: train_epoch(begin_search(key, searcher), searcher, data, batch_size=4, split="validation")
    )
    np.testing.assert_allclose(search(jax.random.key(0))[0].state[1], [3, 6])


def test_a_clipped_step_is_differentiated_as_it_is_made():
    """By finite differences of the validation loss after the step, in float64."""
    rng = np.random.default_rng(4)
    matrix, start, target = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4)

    def measured(loss):
        return loss, Measured(loss, loss)

    def train(parameters, alpha):
        return measured(jnp.sum(jnp.sin(matrix @ parameters * alpha) + 0.3 * parameters[:3] ** 2))

    def validation(parameters, alpha):
        return measured(jnp.sum((parameters - target) ** 2) + jnp.sum(alpha**2))

    rate, sgd, clip = 0.7, Sgd(momentum=0.0, weight_decay=0.1), 0.25

    @jax.jit
    def both(alpha):
        def after(alpha):
            gradient = jax.grad(lambda parameters: train(parameters, alpha)[0])(start)
            share = jnp.minimum(1.0, clip / (jnp.linalg.norm(gradient) + 1e-6))
            return validation(start - rate * (share * gradient + 0.1 * start), alpha)[0]

        state = WeightsState(Shared(start, ()), jnp.zeros(4))
        found = unrolled_gradient(train, validation, state, alpha, rate, sgd, clip=clip)[0]
        return found, jax.grad(after)(alpha)

    with jax.enable_x64(True):
        found, expected = both(rng.normal(size=3))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_texts_and_images_are_told_apart():
    text, supernet, data = toy()
    with pytest.raises(ValueError, match="is a text, which nasbench201 does not learn"):
        make_supernet(text)
    with pytest.raises(ValueError, match="gives 40 streams of 3 tokens, and a window takes 5 and the next"):
        search_steps(data, 40)
    with pytest.raises(ValueError, match="has 40 tokens, and a window takes 70 and the next"):
        search_data(text, supernet._replace(reading=supernet.reading._replace(settings=TextRecipe(window=50)))).rows(
            "validation"
        )
    with pytest.raises(ValueError, match="trains on images"):
        make_supernet(text, space="recurrent", recipe=get_recipe("digits-8"))
    with pytest.raises(ValueError, match="'toy' is a text, which the supernet of recurrent does not"):
        search_data(text, supernet._replace(reading=None))
    with pytest.raises(ValueError, match="'digits' is of images, which the supernet of recurrent does not learn"):
        search_data(load_dataset("digits"), supernet)
    with pytest.raises(ValueError, match="vocabulary of 'toy' has 7 tokens, and the supernet's 9; make a supernet for"):
        search_data(text, supernet._replace(reading=supernet.reading._replace(num_words=9)))
    with pytest.raises(ValueError, match="the validation text of 'toy' gives 30 streams of 1 token, expected"):
        check_streams(data, 30, "validation")
    with pytest.raises(ValueError, match="batch_size is 1, expected at least 2"):
        search_steps(data, 1)
    with pytest.raises(ValueError, match="weighs what each node of recurrent reads, of which cells keep the strongest"):
        make_weight_sharing("darts-pt", supernet, steps_per_epoch=1, epochs=1)


def test_edges_of_sigmoids_are_compared_by_what_they_weigh():
    """Not by their shares of their own edge, of which one that weighs nothing may have all."""
    searcher = make_weight_sharing("fair-darts", toy()[1], steps_per_epoch=1, epochs=1)
    alpha = np.full((3, 5), -9.0, np.float32)
    alpha[1, 2], alpha[2, 1:] = -5, 0
    state = jax.eval_shape(searcher.init, jax.random.key(0))
    found = jax.jit(lambda alpha: searcher.derive(state._replace(alpha=alpha), None, "").arch)(alpha)
    assert found[2] == 1


@pytest.mark.parametrize("name", ["enas", "nao"])
def test_rewards_leave_nothing_out(name):
    """What they learn from is taken as networks are compared; steps of the weights leave out what a recipe says."""
    _, supernet, data = toy()
    left_out = []

    def sampled(parameters, statistics, arch, inputs):
        left_out.append(inputs.key is not None)
        return supernet.sampled(parameters, statistics, arch, inputs)

    watched = supernet._replace(sampled=sampled)
    searcher = make_weight_sharing(name, watched, steps_per_epoch=search_steps(data, 4), epochs=2, **SMALL[name])
    jax.eval_shape(
        lambda key: train_epoch(begin_search(key, searcher), searcher, data, batch_size=4, split="validation"),
        jax.random.key(0),
    )
    assert set(left_out) == {True, False}
    images = Examples(3, None)
    assert as_evaluated(images) is images
