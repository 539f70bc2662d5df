"""Language models of recurrent cells: a plain NumPy program in float64, windows, training runs, files of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Weights
from jnas.spaces.recurrent._genotype import PUBLISHED_RECURRENT, format_recurrent
from jnas.spaces.recurrent._space import recurrent
from jnas.tables._load import table_from_arrays
from jnas.training._recipe import RECIPES, TextRecipe, get_recipe, read_recipe, recipe_words
from jnas.training.data._sources import load_dataset
from jnas.training.data._text import text_dataset
from jnas.training.export._flax import from_flax, to_flax
from jnas.training.export._weights import _empty, load_weights, save_weights
from jnas.training.networks._families import make_network
from jnas.training.networks._family import all_archs
from jnas.training.networks.darts._network import DartsParameters
from jnas.training.networks.recurrent._language_model import draw_left_out, language_model
from jnas.training.operations._forms import over_members
from jnas.training.runs._build import assemble_table, plan_table
from jnas.training.runs._jobs import Runs
from jnas.training.runs._language import draw_lengths, evaluate_text, length_moments, text_windows
from jnas.training.runs._run_state import RunState
from jnas.training.runs._train import begin_run, evaluate, run_epochs
from tests._plain_cells import ACTIVATIONS, logistic

WORDS, UNITS, STEPS, BATCH = 7, 3, 7, 2  # those of the toy's text and recipe too: programs serve both
PLAIN = TextRecipe(
    window=5,
    window_deviation=1.5,
    half_window=0.2,
    most_longer=2,
    drop_words=0.0,
    drop_embedding=0.0,
    drop_input=0.0,
    drop_hidden=0.0,
    drop_output=0.0,
    slowness=0.0,
    patience=1,
)


def plain_window(parameters, arch, tokens, hidden, draws=None):
    """The sum of the cross-entropy, the outputs before and after what is left out, and the last state."""
    words, bias, (initial, nodes) = parameters
    embedded, states_kept, inputs_kept, outputs_kept = words[tokens[:-1]], 1.0, 1.0, 1.0
    if draws is not None:
        embedded = embedded * draws.words[tokens[:-1]][..., None] * draws.embedded
        inputs_kept, states_kept, outputs_kept = draws.cell.inputs, draws.cell.states, draws.outputs
    outputs, loss = [], 0.0
    for inputs, following in zip(embedded, tokens[1:], strict=True):
        product = np.concatenate([inputs * inputs_kept, hidden * states_kept], 1) @ initial
        gate, candidate = logistic(product[:, :UNITS]), np.tanh(product[:, UNITS:])
        states = [hidden + gate * (candidate - hidden)]
        for (read, operation), weights in zip(np.reshape(arch, (-1, 2)), nodes, strict=True):
            product = (states[read] * states_kept) @ weights
            gate, candidate = logistic(product[:, :UNITS]), ACTIVATIONS[operation](product[:, UNITS:])
            states.append(states[read] + gate * (candidate - states[read]))
        hidden = np.mean(states[1:], 0)
        outputs.append(hidden)
        logits = hidden * outputs_kept @ words.T + bias
        loss += np.sum(np.log(np.sum(np.exp(logits), 1)) - logits[np.arange(len(following)), following])
    outputs = np.stack(outputs)
    return loss, outputs, outputs * outputs_kept, hidden


@pytest.fixture(scope="module")
def exact():
    """Parameters, tokens and a state in float64, and the window with its gradients as one program of any cell."""
    network = language_model(num_words=WORDS, channels=UNITS, nodes=3, form="mixture")
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(6, jnp.int32))[0]
    parameters = jax.tree.map(lambda leaf: rng.normal(0, 0.6, leaf.shape), shapes)
    tokens = rng.integers(0, WORDS, (2 * STEPS + 1, BATCH)).astype(np.int32)

    @jax.jit
    def window(parameters, arch, tokens, hidden, length):
        def objective(parameters):
            found = network.window(parameters, arch, tokens[:-1], tokens[1:], hidden, length)
            return found.loss, found

        (_, found), gradients = jax.value_and_grad(objective, has_aux=True)(parameters)
        return found, gradients

    return network, parameters, tokens, rng.normal(0, 0.3, (BATCH, UNITS)), window


CELLS = ([0, 0, 1, 1, 2, 2], [0, 3, 0, 2, 1, 0])


@pytest.mark.parametrize("arch", CELLS)
def test_a_window_is_that_of_a_plain_program(exact, arch):
    """Loss, state and gradients, also of a window of which some steps do not count, and of one that goes on."""
    _, parameters, tokens, hidden, window = exact
    with jax.enable_x64(True):
        short, _ = window(parameters, np.int32(arch), tokens[: STEPS + 1], hidden, jnp.int32(4))
        first, gradients = window(parameters, np.int32(arch), tokens[: STEPS + 1], hidden, jnp.int32(STEPS))
        second, _ = window(parameters, np.int32(arch), tokens[STEPS:], first.hidden, jnp.int32(STEPS))
    loss, _, _, state = plain_window(parameters, arch, tokens[:5], hidden)
    np.testing.assert_allclose(short.loss, loss, rtol=1e-12)
    np.testing.assert_allclose(short.objective, loss / 8, rtol=1e-12)
    np.testing.assert_allclose(short.hidden, state, rtol=1e-12)
    loss, _, _, state = plain_window(parameters, arch, tokens, hidden)  # a stream in windows is the whole stream
    np.testing.assert_allclose(first.loss + second.loss, loss, rtol=1e-12)
    np.testing.assert_allclose(second.hidden, state, rtol=1e-12)
    leaves = jax.tree.leaves(parameters)
    for leaf, gradient in zip(leaves, jax.tree.leaves(gradients), strict=True):
        for place in (tuple(size // 2 for size in leaf.shape), tuple(size - 1 for size in leaf.shape)):
            old, ends = leaf[place], []
            for change in (1e-6, -1e-6):
                leaf[place] = old + change
                ends.append(plain_window(parameters, arch, tokens[: STEPS + 1], hidden)[0])
            leaf[place] = old
            np.testing.assert_allclose(gradient[place], (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-7)


def test_what_training_leaves_out_and_adds(exact):
    network, parameters, tokens, hidden, _ = exact
    settings = TextRecipe(
        drop_words=0.3,
        drop_embedding=0.2,
        drop_input=0.5,
        drop_hidden=0.25,
        drop_output=0.4,
        activation=2.0,
        slowness=3.0,
    )
    arch, key = CELLS[0], jax.random.key(3)
    with jax.enable_x64(True):
        found, draws = jax.jit(
            lambda parameters, tokens: (
                network.window(
                    parameters, np.int32(arch), tokens[:-1], tokens[1:], hidden, jnp.int32(4), key, settings
                ),
                draw_left_out(key, settings, WORDS, hidden.shape),
            )
        )(parameters, tokens[: STEPS + 1])
    loss, outputs, dropped, _ = plain_window(parameters, arch, tokens[:5], hidden, jax.tree.map(np.asarray, draws))
    squares, changes = np.mean(dropped**2), np.mean(np.diff(outputs, axis=0) ** 2)
    np.testing.assert_allclose(found.objective, loss / 8 + 2 * squares + 3 * changes, rtol=1e-6)
    for drawn, rate in ((draws.embedded, 0.2), (draws.cell.inputs, 0.5), (draws.words, 0.3)):
        values = np.asarray(drawn)
        np.testing.assert_allclose(values[values > 0], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize(("units", "count"), [(850, 22_960_000), (300, 4_810_000), (64, 731_920)])
def test_published_numbers_of_parameters(units, count):
    network = language_model(num_words=10_000, channels=units)
    arch = jnp.asarray(recurrent().from_string(format_recurrent(PUBLISHED_RECURRENT["DARTS_V2"])))
    shapes = jax.eval_shape(network.init, jax.random.key(0), arch)[0]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count
    assert float(network.parameters(arch)) == pytest.approx(count / 1e6)


# Training runs.


def toy_text():
    rng = np.random.default_rng(1)
    lines = [[f"w{(3 * i + j + int(rng.random() < 0.1)) % 5}" for j in range(6)] for i in range(40)]
    return text_dataset({"train": lines, "validation": lines[:8], "test": lines[8:14]}, name="toy")


def toy_recipe():
    changes = {"channels": UNITS, "batch_size": BATCH, "eval_batch_size": 2, "learning_rate": 4.0, "epochs": 6}
    return get_recipe("text-small-8", **changes, text=PLAIN, weight_decay=1e-3)


@pytest.fixture(scope="module")
def runs():
    """Three runs of two cells side by side, and the program that made them."""
    text, recipe = toy_text(), toy_recipe()
    network = make_network(text, recipe, "mixture", space="recurrent", nodes=3)
    archs = jnp.asarray([CELLS[0], CELLS[1], CELLS[0]], jnp.int32)
    keys = jax.random.split(jax.random.key(0), 3)
    begin = jax.jit(jax.vmap(lambda key, arch: begin_run(key, arch, text, recipe, network)))
    go_on = jax.jit(
        lambda states: over_members(lambda *leaves: run_epochs(RunState(*leaves), text, recipe, network, 6), "mixture")(
            *states
        )
    )
    states = begin(keys, archs)
    return text, recipe, network, states, go_on, go_on(states)


def test_a_run_is_that_of_a_plain_loop(runs, exact):
    """Windows of drawn lengths in the text's order, steps, the switch to means, and what is evaluated, by NumPy."""
    text, recipe, _, states, _, (_, curves) = runs
    member, window = 1, exact[-1]
    one = jax.tree.map(lambda leaf: leaf[member], states)
    rows = np.asarray(text.splits["train"])
    rows = rows[: len(rows) // BATCH * BATCH].reshape(BATCH, -1).T
    arch = np.asarray(one.arch)

    def step(parameters, tokens, hidden, length):
        with jax.enable_x64(True):
            found, gradients = window(parameters, arch, tokens, hidden, jnp.int32(length))
        return jax.tree.map(lambda leaf: np.asarray(leaf) / (length * BATCH), gradients), found

    def entropy(parameters, tokens):
        stream = np.asarray(tokens)[: len(tokens) // 2 * 2].reshape(2, -1).T
        loss = plain_window(parameters, arch, stream, np.zeros((2, UNITS)))[0]
        return loss / (2 * (len(stream) - 1))

    parameters = mean = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), one.weights.parameters)
    averaged, judged, switched = 0, [], None
    for epoch in range(6):
        key = jax.random.split(jax.random.fold_in(one.key, epoch))[0]
        lengths = np.asarray(draw_lengths(key, PLAIN, text_windows(text, recipe)))
        start, hidden, total, count = 0, np.zeros((BATCH, UNITS)), 0.0, 0
        for drawn in lengths:
            length = min(int(drawn), len(rows) - 1 - start)
            if len(rows) - 1 - start <= 1:
                break
            tokens = np.zeros((STEPS + 1, BATCH), np.int32)
            tokens[: length + 1] = rows[start : start + length + 1]
            gradients, found = step(parameters, tokens, hidden, length)
            norm = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(gradients)))
            rate, shrink = 4.0 * drawn / PLAIN.window, min(1, 0.25 / norm)
            parameters = jax.tree.map(
                lambda value, g, rate=rate, shrink=shrink: value - rate * (shrink * g + 1e-3 * value),
                parameters,
                gradients,
            )
            averaged += switched is not None
            share = 1 / max(averaged - 1, 1)
            mean = jax.tree.map(lambda m, v, share=share: m + share * (v - m), mean, parameters)
            start, hidden, count = start + int(drawn), np.asarray(found.hidden), count + BATCH * length
            total += float(found.loss)
        loss = total / count
        np.testing.assert_allclose(curves.loss["train"][member, epoch], loss, rtol=1e-4)
        judged.append(entropy(mean, text.splits["validation"]))
        np.testing.assert_allclose(curves.loss["validation"][member, epoch], judged[-1], rtol=1e-4)
        np.testing.assert_allclose(
            curves.accuracy["test"][member, epoch], np.exp(entropy(mean, text.splits["test"])), rtol=1e-4
        )
        if switched is None and epoch > 1 and judged[-1] > min(judged[:-2]):
            switched = epoch
    assert (switched or 9) < 5, "the case has lost what it is for: choose another rate"


def test_a_split_is_evaluated_in_any_number_of_streams(runs):
    """In one, as published tests are, against a plain program; streams begin with no state, and drop what is over."""
    text, recipe, network, _, _, (ends, _) = runs
    one = jax.tree.map(lambda leaf: leaf[1], ends.weights.parameters)
    program = jax.jit(
        lambda parameters, arch: [
            evaluate_text(parameters, arch, text, "test", recipe, network, batch_size=size) for size in (1, 4)
        ]
    )
    tokens, exact = np.asarray(text.splits["test"]), jax.tree.map(np.float64, one)
    for size, found in zip((1, 4), program(one, ends.arch[1]), strict=True):
        stream = tokens[: len(tokens) // size * size].reshape(size, -1).T
        loss = plain_window(exact, np.asarray(ends.arch[1]), stream, np.zeros((size, UNITS)))[0]
        loss /= size * (len(stream) - 1)
        np.testing.assert_allclose(found, [np.exp(loss), loss], rtol=1e-5)


def test_a_run_that_diverges_harms_no_other(runs):
    _, _, _, states, go_on, (_, curves) = runs
    parameters = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), states.optimizer.parameters)
    broken = states._replace(optimizer=states.optimizer._replace(parameters=parameters))
    ends, others = go_on(broken)
    assert ends.failed.tolist() == [False, True, False]
    for split, values in curves.loss.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(others.loss[split][::2], values[::2])
        assert np.isnan(others.loss[split][1]).all()
    # Another seed of a cell is another run.
    assert not np.allclose(curves.loss["train"][0], curves.loss["train"][2])


def test_a_run_goes_back_to_its_best_epoch(runs):
    """After one that is not finite: its curves repeat the best, and the next is that of the best's weights."""
    text, _, _, _, go_on, (ends, curves) = runs
    kept, members = ends.optimizer.kept, range(3)
    best = [int(np.argmin(curves.loss["validation"][member])) for member in members]
    assert set(best) != {5}, "the case has lost what it is for: choose another rate"
    lost = jax.tree.map(lambda leaf: leaf.at[1:].set(jnp.nan), ends.optimizer.parameters)
    after, found = go_on(ends._replace(optimizer=ends.optimizer._replace(parameters=lost)))
    again = ends.optimizer._replace(parameters=kept.parameters, steps=kept.steps)
    plain = ends._replace(optimizer=again, weights=ends.weights._replace(parameters=kept.parameters))
    _, wanted = go_on(plain._replace(epoch=plain.epoch + 1))
    assert not after.failed.any()
    for kind in ("accuracy", "loss"):
        for split in text.splits:
            values, before = getattr(found, kind)[split], getattr(curves, kind)[split]
            for member in members[1:]:
                assert values[member, 0] == before[member, best[member]]
            np.testing.assert_array_equal(values[1:, 1:], getattr(wanted, kind)[split][1:, :5])
    assert not np.array_equal(found.loss["train"][0], wanted.loss["train"][0])  # another's loss is its own


def test_lengths_are_drawn_as_published():
    settings = TextRecipe()
    steady = settings._replace(window_deviation=0.0)
    draw = jax.jit(lambda key: [draw_lengths(key, each, 4000) for each in (settings, steady)])
    lengths, whole_or_half = map(np.asarray, draw(jax.random.key(0)))
    assert lengths.min() >= 5
    assert lengths.max() <= 55
    short = lengths < 25  # half windows, but for those that are jittered above it
    assert abs(short.mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 4000) + 0.01
    whole = lengths[~short]
    assert abs(whole.mean() - 34.5) < 0.4  # the fraction is cut off
    assert abs(whole.std() - 5) < 0.3
    assert set(whole_or_half.tolist()) == {17, 35}
    for drawn, each in ((lengths, settings), (whole_or_half, steady)):  # what an epoch's number of windows follows from
        mean, deviation = length_moments(each)
        assert abs(drawn.mean() - mean) < 3 * deviation / 4000**0.5
        assert drawn.std() == pytest.approx(deviation, rel=0.1)


# Recipes, files, and what is refused.


def test_recipes_are_kept_as_text():
    for name, (recipe, _) in RECIPES.items():
        assert read_recipe(recipe_words(recipe)) == recipe
        assert ("text" in recipe_words(recipe)) == name.startswith(("ptb-", "text-"))
    published = get_recipe("ptb-evalnas-1000")
    assert (published.epochs, published.channels, published.batch_size) == (1000, 850, 64)
    assert (published.text.drop_words, get_recipe("ptb-search-50").text.drop_words) == (0.1, 0.0)
    before = recipe_words(published._replace(text=published.text._replace(roll_back=False)))
    assert "roll_back" not in before["text"]  # as folders and files of before say it
    assert not read_recipe(before).text.roll_back


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"momentum": 0.9}, "expected optimizer 'sgd' and momentum 0"),
        ({"text": TextRecipe(drop_output=1.0)}, "the recipe's drop_output is 1.0, expected a number from 0 to 0.99"),
        ({"text": TextRecipe(roll_back=1)}, "the recipe's roll_back is 1, expected True or False"),
        ({"text": TextRecipe(window=0)}, "the recipe's window is 0, expected a number from 1"),
        ({"cells": 2}, "the recipe's cells is 2, expected 1: language models have one recurrent layer"),
        ({"cutout": 8}, "the recipe's cutout is 8, expected 0: language models are trained without"),
    ],
)
def test_recipes_that_make_no_sense(changes, told):
    with pytest.raises((TypeError, ValueError), match=told):
        get_recipe("text-small-8", **changes)


def test_weights_as_files(tmp_path):
    text, recipe, arch = toy_text(), toy_recipe(), np.asarray([0, 0, 1, 3], np.int32)
    network = make_network(text, recipe, space="recurrent", nodes=2)
    weights = Weights(*jax.jit(network.init)(jax.random.key(0), arch))
    save_weights(tmp_path / "w.npz", arch, weights, text, recipe)
    found = load_weights(tmp_path / "w.npz")
    assert (found.space, found.nodes, found.recipe, found.arch.tolist()) == ("recurrent", 2, recipe, arch.tolist())
    jax.tree.map(np.testing.assert_array_equal, found.weights, weights)
    assert found.vocabulary == text.vocabulary
    # A text in the numbers of another vocabulary is not evaluated; so much as is published is written.
    other = text_dataset({"train": [["w0", "else"]]}, name="other")
    network = make_network(other, recipe, space="recurrent", nodes=2)
    with pytest.raises(ValueError, match=r"not those of the network for 'other', whose vocabulary has 4 tokens; read"):
        evaluate(found.weights, found.arch, other, "train", recipe, network)
    with pytest.raises(ValueError, match="the data set 'toy' is a text, which darts does not learn"):
        save_weights(tmp_path / "w.npz", arch, Weights(DartsParameters(*DartsParameters._fields), ()), text, recipe)
    published = _empty(recurrent(), get_recipe("ptb-darts-8000"), (0, 0, 0), 10_000)
    assert sum(leaf.size for leaf in jax.tree.leaves(published)) == 22_960_000


def test_a_flax_module_is_the_trained_network(exact, tmp_path):
    """Logits and state of two windows, against a plain program; the weights come back, also from a file."""
    nnx = pytest.importorskip("flax.nnx", reason="needs flax: pip install 'jnas[flax]'")
    _, parameters, tokens, _, _ = exact
    arch = np.asarray([0, 1, 1, 2, 0, 3], np.int32)
    weights = Weights(jax.tree.map(np.float32, parameters), ())
    lines = [list("abcde")] * 4
    save_weights(tmp_path / "w.npz", arch, weights, text_dataset({"train": lines}), toy_recipe())
    found = load_weights(tmp_path / "w.npz")
    module = to_flax(found.arch, found.weights)
    jax.tree.map(np.testing.assert_array_equal, from_flax(module), weights)
    hidden, whole = module.initial_state(BATCH), 0.0
    run = nnx.jit(lambda module, tokens, hidden: module(tokens, hidden))
    for first in (0, STEPS):
        logits, hidden = run(module, tokens[first : first + STEPS].T, hidden)
        chosen = np.take_along_axis(jax.nn.log_softmax(logits), tokens[first + 1 : first + STEPS + 1].T[..., None], 2)
        whole -= chosen.sum()
    loss, _, _, state = plain_window(parameters, arch, tokens, np.zeros((BATCH, UNITS)))
    np.testing.assert_allclose(whole, loss, rtol=1e-4)
    np.testing.assert_allclose(hidden, state, rtol=1e-3, atol=1e-5)
    with pytest.raises(TypeError, match=r"words of the shape \(1, 7, 3\), expected two axes, those of one run"):
        to_flax(arch, jax.tree.map(lambda leaf: leaf[None], weights))


def test_a_table_of_perplexities():
    """What `jnas table build` writes: lower is better, and cells that are equal as functions are trained each."""
    text, recipe = toy_text(), toy_recipe()
    network = make_network(text, recipe, space="recurrent", nodes=2)
    plan = plan_table(seeds=(0, 1), archs=all_archs(network.space), space="recurrent")
    assert len(plan.archs) == 32
    assert len(plan.jobs.archs) == 64
    assert plan.archs[16].tolist() == [0, 2, 0, 0]
    values = {split: np.full((64, 6), 200.0, np.float32) - plan.cells[:, None] for split in text.splits}
    runs = Runs(values, values, np.ones(64), np.zeros(64, bool), np.ones(64, bool))
    header, arrays = assemble_table(plan, runs, text, recipe, network, np.ones(32), name="toy", source="test")
    table = table_from_arrays(header, arrays)
    assert (table.metric.name, table.metric.higher_is_better) == ("perplexity", False)
    assert table.sign("accuracy") == -1
    assert float(table.accuracy(31, dataset="toy", split="test", epochs=6, seed="mean")) == 169.0


def test_what_does_not_fit_is_said():
    text, recipe = toy_text(), toy_recipe()
    with pytest.raises(ValueError, match="is a text, which nasbench201 does not learn; for it give recurrent"):
        make_network(text, recipe)
    with pytest.raises(ValueError, match="the recipe 'digits-8' trains on images"):
        make_network(text, get_recipe("digits-8"), space="recurrent")
    with pytest.raises(ValueError, match=r"40 streams of 7 tokens and a window takes 35"):
        text_windows(text, get_recipe("text-small-8", batch_size=40))
    with pytest.raises(ValueError, match="test text of 'toy' has 42 tokens, expected at least 50, two for each of"):
        text_windows(text, toy_recipe()._replace(eval_batch_size=25))
    images = make_network(load_dataset("digits"), get_recipe("digits-8"))
    with pytest.raises(ValueError, match="'toy' is a text, which the network of nasbench201 does not learn"):
        begin_run(jax.random.key(0), jnp.zeros(6, jnp.int32), text, recipe, images)
    with pytest.raises(ValueError, match="nodes is 3, the number of nodes of a cell of recurrent, not of darts"):
        make_network(text, recipe, space="darts", nodes=3)
