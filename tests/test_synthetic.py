"""The synthetic table: complete, repeatable, and of a shape that makes search on it mean something."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from jnas import spaces
from jnas.tables._file import check_archs, check_arrays, decode_curve
from jnas.tables._published import PAIRS
from jnas.tables._synthetic import synthetic_table


@pytest.fixture(scope="module")
def plain():
    return synthetic_table(seed=0, curves=False)


def means(arrays, place):
    return arrays[f"accuracy/{place}"].mean(axis=1)


def test_it_is_a_whole_table(plain):
    header, arrays = plain
    check_arrays(header, {n: (a.dtype, a.shape) for n, a in arrays.items()}, "the table")
    space = spaces.from_config(header.space)
    check_archs(space, arrays["archs"], "the table")
    assert int(space.index(jnp.asarray(arrays["archs"][77], jnp.int32))) == 77
    assert "not measurements" in header.notes[0]
    assert header.name.startswith("synthetic")
    assert "synthetic" in header.source
    assert [(t.dataset, t.epochs) for t in header.trainings] == [(d, e) for d in PAIRS for e in (12, 200)]
    assert {t.seeds for t in header.trainings} == {(777, 888, 999)}
    for dataset, split in {pair for pairs in header.pairs.values() for pair in pairs.values()}:
        for epochs in (12, 200):
            values = arrays[f"accuracy/{dataset}/{epochs}/{split}"]
            assert values.shape == (15_625, 3)
            assert ((values >= 0) & (values <= 100)).all()
            assert (arrays[f"eval_seconds/{dataset}/{epochs}/{split}"] > 0).all()
    assert not any("curve" in name for name in arrays)


def test_equal_seeds_give_equal_tables_and_others_differ(plain):
    again, other = synthetic_table(seed=0, curves=False)[1], synthetic_table(seed=1, curves=False)[1]
    place = "accuracy/cifar10/200/ori-test"
    assert all(np.array_equal(array, again[name]) for name, array in plain[1].items())
    assert not np.array_equal(plain[1][place], other[place])


def test_search_on_it_means_something(plain):
    arrays = plain[1]
    final = means(arrays, "cifar10/200/ori-test")
    # Short trainings and other data sets agree in part, a few cells are hopeless, few are near the best.
    for place in ("cifar10-valid/12/x-valid", "cifar100/200/x-test", "ImageNet16-120/200/x-test"):
        assert 0.85 < spearmanr(means(arrays, place), final)[0] < 0.99
    assert (final < 12).mean() > 0.005
    assert (final > final.max() - 1).mean() < 0.05
    # Neighbours are alike: changing one edge changes the accuracy by less than choosing at random does.
    space = spaces.nasbench201()
    rows = np.random.default_rng(0).choice(15_625, 200, replace=False)
    cells = [space.neighbors(jnp.asarray(arrays["archs"][row], jnp.int32))[0] for row in rows]
    near = [
        np.abs(final[np.asarray([int(space.index(a)) for a in c[:6]])] - final[r]).mean()
        for c, r in zip(cells, rows, strict=True)
    ]
    assert np.mean(near) < 0.7 * np.abs(final[rows][:, None] - final[rows]).mean()


def test_runs_differ_as_runs_do(plain):
    spread = plain[1]["accuracy/cifar10/200/ori-test"].std(axis=1, ddof=1).mean()
    assert 0.05 < spread < 0.6


def test_costs_grow_with_the_network(plain):
    arrays = plain[1]
    flops, seconds = arrays["flops/cifar10"], arrays["train_seconds/cifar10/12"][:, 0]
    assert spearmanr(flops, seconds)[0] == pytest.approx(1)
    np.testing.assert_allclose(arrays["train_seconds/cifar10-valid/12"][:, 0], seconds / 2, rtol=1e-6)
    assert 5 < seconds.min() < seconds.mean() < 40


def test_curves_rise_to_the_final_accuracy():
    header, arrays = synthetic_table(seed=0, num_seeds=2, epochs=(1, 10))
    check_arrays(header, {n: (a.dtype, a.shape) for n, a in arrays.items()}, "the table")
    for place in ("cifar10/10/ori-test", "cifar100/10/x-valid", "ImageNet16-120/10/train"):
        curve, final = decode_curve(arrays[f"accuracy_curve/{place}"]), arrays[f"accuracy/{place}"]
        assert curve.shape == (15_625, 2, 10)
        np.testing.assert_allclose(curve[..., -1], final, atol=0.0011)
        typical = np.median(curve, axis=(0, 1))
        assert (np.diff(typical) > 0).all()
        assert typical[0] < 0.8 * typical[-1]
    assert arrays["loss_curve/cifar10/10/train"].dtype == np.float16
    assert "accuracy_curve/cifar10/1/ori-test" not in arrays
    assert header.trainings[0].seeds == (777, 888)


def test_the_size_space_has_one_too():
    header, arrays = synthetic_table("nats_size", seed=0, num_seeds=1, curves=False, epochs=(90,))
    check_arrays(header, {n: (a.dtype, a.shape) for n, a in arrays.items()}, "the table")
    final = means(arrays, "cifar10/90/ori-test")
    assert spearmanr(arrays["archs"].sum(axis=1), final)[0] > 0.5


@pytest.mark.parametrize("arguments", [{"space": "darts"}, {"num_seeds": 0}, {"epochs": ()}, {"epochs": (12, 12)}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        synthetic_table(**({"seed": 0} | arguments))
