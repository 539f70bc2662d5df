"""Few-shot search: a supernet split by one edge, on a space of nine architectures whose law is listed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._training_words import LANGUAGE_MODELLING
from jnas.core._vocabulary import Shared
from jnas.searchers import Adam, EarlyStopping, Selection, Split, darts, rsps, spos
from jnas.searchers.weight_sharing._split import split_supernet
from tests._toy_supernet import ARCHS, RULED, TOY, K, batches, examples, toy_dataset

EDGE, STEPS = 1, {"steps_per_epoch": 2, "epochs": 4}
SELECTION = Selection("same_batches", num_candidates=24, batch_size=320)


def _trajectory(searcher, key, each):
    """The states before each step and after the last."""
    last, states = jax.lax.scan(lambda state, one: (searcher.step(state, one)[0], state), searcher.init(key), each)
    return jax.tree.map(lambda leaf, end: jnp.concatenate([leaf, end[None]]), states, last)


@functools.cache
def searched():
    """Eight steps of each, of which four are before the split; in one program."""
    whole, parts = (rsps(TOY, **STEPS, selection=SELECTION, split=split) for split in (Split(), Split(EDGE)))
    one, mixed = (darts(TOY, **STEPS, adam=Adam(0.1), split=split) for split in (Split(), Split(EDGE)))

    every = jnp.asarray(ARCHS)

    @jax.jit
    def run(key, each, dataset):
        draws = [_trajectory(searcher, jax.random.clone(key), each) for searcher in (whole, parts)]
        state = mixed.init(jax.random.clone(key))
        first = jax.tree.map(lambda leaf: leaf[0], state.parts)
        plain = jax.lax.scan(one.step, first, jax.tree.map(lambda leaf: leaf[:4], each))[0]
        states = _trajectory(mixed, key, each)
        end = jax.tree.map(lambda leaf: leaf[-1], (draws[1], states))
        both = list(zip((parts, mixed), end, strict=True))
        found = [searcher.derive(state, dataset, "validation") for searcher, state in both]
        said = [(searcher.log_probability(state, every), searcher.probabilities(state)) for searcher, state in both]
        early = jax.tree.map(lambda leaf: leaf[4], states)
        return draws, plain, states, found, said, mixed.shared(early), mixed.log_probability(early, every)

    return run(jax.random.key(0), batches(8, 16), toy_dataset())


def _equal(one, other):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7), one, other)


def test_before_the_split_it_is_the_search_itself():
    (whole, parts), plain, states, *_ = searched()
    first = jax.tree.map(lambda leaf: leaf[:5, 0], parts.weights)
    _equal(first, jax.tree.map(lambda leaf: leaf[:5], whole.weights))
    four = states.parts._replace(key=None)
    four = jax.tree.map(lambda leaf: leaf[4, 0], four)
    _equal((four.weights, four.alpha, four.optimizer), (plain.weights, plain.alpha, plain.optimizer))


def test_each_part_begins_with_the_weights_of_the_whole_and_is_trained_by_its_own():
    """Of the parts that a step does not train, the weights after the split are those that were before it."""
    (_, parts), _, states, *_ = searched()
    for weights in (parts.weights, states.parts.weights):
        numbers = np.concatenate([np.asarray(leaf).reshape(9, K, -1) for leaf in jax.tree.leaves(weights.shared)], 2)
        parent = numbers[4, 0]
        moved = (np.abs(np.diff(numbers[4:], axis=0)) > 0).any(2)  # [4, K]; the first with the transfer
        still = [place for place in range(K) if (numbers[5, place] == parent).all()]
        assert len(still) == K - 1
        assert (moved[1:].sum(1) == 1).all()
    scale = np.asarray(states.parts.weights.shared.parameters["scale"])
    assert (scale[6:] != scale[5:-1]).any((2, 3)).argmax(1).tolist() == [1, 2, 0]  # after the first, in turn


def test_parts_are_a_partition_of_the_space():
    (_, _), _, states, (_, derived), said, _, early = searched()
    alpha = np.asarray(states.parts.alpha[-1])
    weights = np.exp(alpha - alpha.max(-1, keepdims=True))
    np.testing.assert_array_equal(weights[:, EDGE] / weights[:, EDGE].sum(-1, keepdims=True), np.eye(K))
    assert np.asarray(derived.candidates)[:, EDGE].tolist() == list(range(K))
    for logs, probabilities in jax.device_get(said):
        np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-5)
        mass = [np.exp(logs)[ARCHS[:, EDGE] == part].sum() for part in range(K)]
        np.testing.assert_allclose(mass, [1 / K] * K, rtol=1e-5)
        np.testing.assert_allclose(probabilities[EDGE], [1 / K] * K, rtol=1e-5)
    np.testing.assert_allclose(np.exp(early).sum(), 1, rtol=1e-5)


def test_candidates_of_all_parts_are_compared_each_under_its_own_weights():
    """And the mixture of the best accuracy is derived from."""
    (_, parts), _, states, (drawn, derived), *_, shared, _ = searched()
    net, dataset = split_supernet(TOY, EDGE), toy_dataset()
    images, labels = dataset.examples(dataset.rows("validation"))

    def accuracy(outputs):
        return 100 * np.mean(np.argmax(np.asarray(outputs), 1) == np.asarray(labels))

    own = jax.tree.map(lambda leaf: leaf[-1], parts.weights.shared.parameters)
    assert len(set(np.asarray(drawn.candidates)[:, EDGE].tolist())) == K
    for arch, score in list(zip(np.asarray(drawn.candidates), np.asarray(drawn.scores), strict=True))[:5]:
        mine = jax.tree.map(lambda leaf, part=arch[EDGE]: leaf[part], own)
        np.testing.assert_allclose(score, accuracy(TOY.sampled(mine, None, jnp.asarray(arch), images)[0]), rtol=1e-5)
    end = jax.tree.map(lambda leaf: leaf[-1], (states.parts.weights.shared.parameters, states.parts.alpha))
    scores = []
    for part in range(K):
        mine, alpha = jax.tree.map(lambda leaf, part=part: leaf[part], end)
        scores.append(accuracy(TOY.mixture(mine, None, jax.nn.softmax(alpha, axis=1), images)[0]))
    np.testing.assert_allclose(derived.scores, scores, rtol=1e-5)
    np.testing.assert_array_equal(derived.arch, derived.candidates[int(np.argmax(scores))])
    assert isinstance(shared, Shared)
    leaf = np.asarray(shared.parameters["scale"])
    np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))  # until the split, the whole's
    arch, seen = jnp.asarray([2, 1], jnp.int32), examples(3, 16)
    _, used = net.sampled(own, None, arch, seen.inputs)
    assert [bool(np.any(each)) for each in np.asarray(used)] == [False, True, False]


def test_what_makes_no_sense_is_refused():
    for settings, kind, message in (
        ({"split": 1}, TypeError, "split is 1, expected a jnas.searchers.Split"),
        ({"split": Split(2)}, ValueError, "the split's edge is 2, .* expected 0 to 1"),
        ({"split": Split(0, 1.0)}, ValueError, "after is 1.0, expected a share of the epochs"),
        ({"split": Split(0.5)}, TypeError, "the split's edge is 0.5, expected a Python int"),
    ):
        for factory in (rsps, spos, darts):
            with pytest.raises(kind, match=message):
                factory(TOY, steps_per_epoch=1, **settings)
    text = TOY._replace(task=LANGUAGE_MODELLING)
    with pytest.raises(ValueError, match="few-shot search is not made for language modelling"):
        spos(text, steps_per_epoch=1, split=Split(0))
    with pytest.raises(ValueError, match="stopping is of one supernet alone"):
        darts(TOY, steps_per_epoch=1, split=Split(0), stopping=EarlyStopping(2))
    with pytest.raises(ValueError, match="no independent choice of an operation"):
        darts(RULED, steps_per_epoch=1, split=Split(0))
