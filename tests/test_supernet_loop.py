"""The loop of weight-sharing searches: which images a step sees, seeds alone and together, going on from a file."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas.core._vocabulary import Batch, Examples, Shared, StepInfo, WeightSharingSearcher
from jnas.searchers.weight_sharing._architecture_hessian import hessian_eigenvalue
from jnas.searchers.weight_sharing._candidates import Selection, derive_key
from jnas.searchers.weight_sharing._loop import begin_search, compiled_over_seeds, look_at, train_epoch
from jnas.searchers.weight_sharing._registry import make_weight_sharing
from jnas.studies.supernets._results import Record, load_search, save_search
from jnas.training.data._augmentation import augment
from jnas.training.data._batches import batches_per_epoch
from jnas.training.data._dataset import dataset_from_arrays
from tests._compilation import SAME_BITS
from tests._toy_supernet import TOY, toy_dataset

SIZE, EPOCHS = 32, 3
QUICK = {
    "rsps": {"selection": Selection(num_candidates=5)},
}


@functools.cache
def dataset():
    return toy_dataset(count=400)


@functools.cache
def searcher_of(name):
    settings = QUICK.get(name, {})
    return make_weight_sharing(name, TOY, steps_per_epoch=batches_per_epoch(dataset(), SIZE), epochs=EPOCHS, **settings)


@functools.cache
def begun(searcher, num_seeds, form="switch"):
    keys = jax.random.split(jax.random.key(7), 3)[:num_seeds]
    begin = compiled_over_seeds(lambda _, key: begin_search(key, searcher), TOY._replace(form=form), num_seeds)
    return begin(dataset(), keys)


@functools.cache
def epochs_of(searcher, num_seeds, form="switch"):
    """The compiled epoch of so many seeds, and their runs before it."""
    supernet = TOY._replace(form=form)

    def epoch(dataset, run):
        return train_epoch(run, searcher, dataset, batch_size=SIZE, split="validation")

    runs = begun(searcher, num_seeds, form)
    program = compiled_over_seeds(epoch, supernet, num_seeds)
    return program.lower(dataset(), runs).compile(compiler_options=SAME_BITS), runs


def plain(tree):
    """Leaves as NumPy arrays, keys as their data."""

    def one(leaf):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    return [one(leaf) for leaf in jax.tree.leaves(tree)]


def assert_same(one, other):
    for a, b in zip(plain(one), plain(other), strict=True):
        np.testing.assert_array_equal(a, b)


# What a step sees.


def counting(num_images, extra_steps):
    """A searcher that counts how often it sees each image, whose one pixel is the image's number."""

    def count(counts, examples):
        numbers = jnp.round(examples.inputs[:, 0, 0, 0]).astype(jnp.int32)
        return counts.at[numbers].add(jnp.where(examples.targets == numbers % 2, 1, 1000))

    def step(state, batch):
        seen = count(state[0], batch.train), count(state[1], batch.validation), state[2] + 1
        second = jnp.where(state[2] == 1, 4.0, jnp.nan)  # the second step alone looks at validation
        return seen, StepInfo(jnp.float32(state[2]), jnp.float32(1), jnp.float32(second), jnp.float32(jnp.nan))

    def init(key):
        nothing = jnp.zeros(num_images, jnp.int32)
        return nothing, nothing, jnp.int32(0)

    def shared(state):
        return Shared(jnp.float32(0), ())

    return WeightSharingSearcher(init, step, None, None, None, shared, "counting", extra_steps)


def numbered(num_images=60):
    pixels = np.arange(num_images, dtype=np.uint8)[:, None, None, None]
    splits = {"train": np.arange(0, 37), "validation": np.arange(40, 50)}
    return dataset_from_arrays(pixels, np.arange(num_images) % 2, splits=splits, mean=[0.0], std=[1.0])


def test_a_step_sees_new_training_images_and_any_validation_images():
    data, searcher = numbered(), counting(60, 0)
    assert batches_per_epoch(data, 8) == 4
    epoch = jax.jit(lambda run: train_epoch(run, searcher, data, batch_size=8, split="validation"))
    first, info = epoch(begin_search(jax.random.key(0), searcher))
    train, validation, steps = map(np.asarray, first.state)
    assert steps == 4
    assert sorted(train) == [0] * 28 + [1] * 32  # each once, five of 37 wait; labels are those of the images
    assert not train[37:].any()
    assert validation.sum() == 32
    assert validation[40:50].sum() == 32
    assert validation.max() > 1  # with replacement
    np.testing.assert_array_equal(np.asarray(info), [1.5, 1.0, 4.0, np.nan])  # means of what was seen

    totals = [np.zeros(60, int), np.zeros(60, int)]
    run = first
    for _ in range(200):
        before = run
        run, _ = epoch(run)
        totals = [t + np.asarray(a) - np.asarray(b) for t, a, b in zip(totals, run.state, before.state, strict=False)]
    # Of 200 epochs each training image misses 5 in 37; a validation image is 1 in 10 of 32 draws.
    share = totals[0][:37] / 200
    assert np.abs(share - 32 / 37).max() < 4.5 * np.sqrt(32 / 37 * 5 / 37 / 200)
    assert np.abs(totals[1][40:50] - 640).max() < 4.5 * np.sqrt(6400 * 0.1 * 0.9)


def test_extra_steps_get_new_validation_images():
    data, searcher = numbered(), counting(60, 6)
    epoch = jax.jit(lambda run: train_epoch(run, searcher, data, batch_size=8, split="validation"))
    run, _ = epoch(begin_search(jax.random.key(0), searcher))
    assert run.state[2] == 10
    assert np.asarray(run.state[1]).sum() == 80
    train = np.asarray(run.state[0])
    assert train.sum() == 80
    assert sorted(train[train > 0]) == [2] * 16 + [3] * 16


def test_too_few_training_images_are_refused():
    with pytest.raises(ValueError, match=r"'data' has 37 training images and a batch takes 38; give a smaller batch"):
        batches_per_epoch(numbered(), 38)


def test_an_epoch_is_a_loop_over_steps():
    searcher, data = searcher_of("gdas"), dataset()
    epoch, runs = epochs_of(searcher, 1)
    found, info = epoch(data, runs)
    start = jax.tree.map(lambda leaf: leaf[0], runs)
    order_key, choice_key, augment_key = jax.random.split(jax.random.fold_in(start.key, 0), 3)
    steps = batches_per_epoch(data, SIZE)
    order = np.asarray(jax.random.permutation(order_key, data.rows("train")))
    words = np.asarray(jax.random.bits(choice_key, (steps, SIZE)))
    rows = np.asarray(data.rows("validation"))
    chosen = rows[(words.astype(np.uint64) * len(rows) >> 32).astype(int)]
    keys, step = jax.random.split(augment_key, steps), jax.jit(searcher.step)
    augmented = jax.jit(lambda key, images: augment(key, images, data.augmentation, data.mean, data.std))
    state, losses = start.state, []
    for i in range(steps):
        numbers = np.concatenate([order[i * SIZE : (i + 1) * SIZE], chosen[i]])
        images = augmented(keys[i], data.images[numbers])
        labels = data.labels[numbers]
        batch = Batch(Examples(images[:SIZE], labels[:SIZE]), Examples(images[SIZE:], labels[SIZE:]))
        state, seen = step(state, batch)
        losses.append(np.asarray(seen))
    for a, b in zip(plain(found.state), plain(state), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.asarray(info)[:, 0], np.mean(losses, axis=0), rtol=1e-4)


# Seeds.


def test_seeds_together_are_seeds_alone():
    searcher = searcher_of("gdas")
    together, runs = epochs_of(searcher, 3)
    alone, _ = epochs_of(searcher, 1)
    after, info = together(dataset(), runs)
    for seed in range(3):
        own, seen = alone(dataset(), jax.tree.map(lambda leaf, seed=seed: leaf[seed : seed + 1], runs))
        assert_same(own, jax.tree.map(lambda leaf, seed=seed: leaf[seed : seed + 1], after))
        np.testing.assert_array_equal(np.asarray(seen)[:, 0], np.asarray(info)[:, seed])
    assert len(set(np.asarray(info.train_loss).tolist())) == 3


def test_seeds_under_vmap_are_seeds_in_a_loop():
    searcher = searcher_of("gdas")
    loop, runs = epochs_of(searcher, 3)
    side_by_side, _ = epochs_of(searcher, 3, "mixture")
    for a, b in zip(plain(loop(dataset(), runs)), plain(side_by_side(dataset(), runs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# Looks.


def test_a_look_leaves_the_search_alone_and_tells_the_eigenvalue():
    searcher = searcher_of("darts-v1")
    run = jax.jit(lambda key: begin_search(key, searcher))(jax.random.key(3))

    @jax.jit
    def both(run):
        """What the look tells, and the eigenvalue by itself."""
        key = jax.random.fold_in(derive_key(run.state.key), 2)
        shared = searcher.shared(run.state)
        own = hessian_eigenvalue(key, TOY, shared, run.state.alpha, dataset(), "validation")
        return look_at(run, searcher, TOY, dataset(), split="validation", hessian=True), own

    look, expected = both(run)
    np.testing.assert_allclose(look.eigenvalue, expected, rtol=1e-4)
    np.testing.assert_array_equal(look.derived.arch, np.argmax(np.asarray(run.state.alpha), axis=1))
    see = jax.jit(functools.partial(look_at, searcher=searcher, supernet=TOY, dataset=dataset(), split="validation"))
    assert np.isnan(see(run).eigenvalue)
    by_random = searcher_of("rsps")

    @jax.jit
    def seen(key):
        run = begin_search(key, by_random)
        return look_at(run, by_random, TOY, dataset(), split="validation", hessian=True)

    assert np.isnan(seen(jax.random.key(3)).eigenvalue)


# Files.


def record_of(num_seeds):
    seen = {"archs": (2,), "candidates": (1, 2), "scores": (1,), "weights": (2, 3), "eigenvalues": ()}
    kinds = {"archs": np.int8, "candidates": np.int8}
    empty = {name: np.zeros((num_seeds, 0, *shape), kinds.get(name, np.float32)) for name, shape in seen.items()}
    return Record(np.zeros((num_seeds, 1, 4), np.float32), np.zeros(0, np.int32), **empty, **seconds())


def seconds():
    return {"train_seconds": np.ones(1), "look_seconds": np.zeros(0), "compile_seconds": np.asarray(0.5)}


def test_a_search_goes_on_from_its_file_to_the_same_bits(tmp_path):
    path = tmp_path / "gdas.state.npz"
    epoch, runs = epochs_of(searcher_of("gdas"), 3)
    first, _ = epoch(dataset(), runs)
    save_search(path, first, record_of(3), {"study": "a"})
    restored, record = load_search(path, {"study": "a"}, runs)
    assert_same(restored, first)
    assert record.info.shape == (3, 1, 4)
    assert_same(epoch(dataset(), restored), epoch(dataset(), first))


def test_files_of_other_searches_are_refused(tmp_path):
    path = tmp_path / "rsps.state.npz"
    runs = begun(searcher_of("rsps"), 2)
    save_search(path, runs, record_of(2), {"study": "a"})
    with pytest.raises(ValueError, match=r"rsps\.state\.npz is not of this study; delete it"):
        load_search(path, {"study": "b"}, runs)
    others = begun(searcher_of("gdas"), 3)
    with pytest.raises(ValueError, match=r"or it is damaged \(.*state"):
        load_search(path, {"study": "a"}, others)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="cut off or damaged"):
        load_search(path, {"study": "a"}, runs)
