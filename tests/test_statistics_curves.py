"""Curves on a grid, areas under them, regret: worked by hand, and against plain loops and fine grids."""

import math

import numpy as np
import pytest

from jnas.statistics._curves import area_under_curve, curve_at, regret

NAN = math.nan
ALL = np.array([[True, True, True]])


def random_runs(seed, runs=20, rows=30):
    """Arbitrary runs whose used rows end after 1 to `rows`; values rise as incumbents do."""
    rng = np.random.default_rng(seed)
    mask = np.arange(rows) < rng.integers(1, rows + 1, (runs, 1))
    elapsed = np.cumsum(rng.integers(0, 5, (runs, rows)) * 0.5, axis=1) + 0.5
    return elapsed, np.maximum.accumulate(rng.normal(size=(runs, rows)), axis=1), mask


def test_a_curve_steps_when_an_evaluation_ends():
    curve = curve_at([0.0, 1.0, 1.5, 2.0, 3.99, 4.0, 100.0], [[1.0, 2.0, 4.0]], [[10.0, 20.0, 30.0]], ALL)
    np.testing.assert_array_equal(curve, [[NAN, 10, 10, 20, 20, 30, 30]])


def test_unused_rows_do_not_show_and_rows_without_an_incumbent_stay_nan():
    mask = np.array([True, True, False])
    np.testing.assert_array_equal(curve_at([1.0, 3.0, np.inf], [1.0, 2.0, 2.0], [NAN, 5.0, 9.0], mask), [NAN, 5, 5])


def test_a_run_without_evaluations_has_no_curve():
    np.testing.assert_array_equal(curve_at([1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [False, False]), [NAN, NAN])


def test_curve_at_equals_a_plain_loop_over_any_batch_axes():
    elapsed, values, mask = random_runs(0)
    grid = np.arange(-1.0, 40.0, 0.5)  # falls on the ends of evaluations, too
    curves = curve_at(grid, elapsed, values, mask)
    for run in range(len(values)):
        for g, time in enumerate(grid):
            held = [values[run, t] for t in range(values.shape[1]) if mask[run, t] and elapsed[run, t] <= time]
            np.testing.assert_array_equal(curves[run, g], held[-1] if held else NAN)
    folded = (x.reshape(4, 5, -1) for x in (elapsed, values, mask))
    np.testing.assert_array_equal(curve_at(grid, *folded).reshape(20, -1), curves)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"grid": [NAN, 1.0]}, "grid has shape"),
        ({"grid": 1.0}, "grid has shape"),
        ({"elapsed": [1.0, 2.0]}, r"expected \[..., T\] for all three"),
        ({"elapsed": [2.0, 1.0, 3.0]}, "falls within a run"),
        ({"elapsed": [1.0, NAN, 3.0]}, "falls within a run"),
        ({"mask": [True, False, True]}, "used rows first"),
    ],
)
def test_curve_at_says_what_is_wrong(change, sentence):
    arguments = {"grid": [1.0], "elapsed": [1.0, 2.0, 3.0], "values": [1.0, 2.0, 3.0], "mask": [True, True, True]}
    with pytest.raises(ValueError, match=sentence):
        curve_at(**{**arguments, **change})


def test_a_mask_must_be_boolean():
    with pytest.raises(TypeError, match="mask has dtype"):
        curve_at([1.0], [1.0], [1.0], [1.0])


def test_area_by_hand():
    elapsed, values = [[1.0, 2.0, 4.0]], [[10.0, 20.0, 30.0]]
    # 10 for one second, 20 for two, 30 for six: 230 / 9
    assert area_under_curve(elapsed, values, ALL, start=1, stop=10)[0] == pytest.approx(230 / 9)
    # from 1.5 to 3: 10 for half a second, 20 for one
    assert area_under_curve(elapsed, values, ALL, start=1.5, stop=3)[0] == pytest.approx(25 / 1.5)
    # three doublings from 1 to 8: 10, 20, 30
    assert area_under_curve(elapsed, values, ALL, start=1, stop=8, scale="log")[0] == pytest.approx(20)
    # evaluations 1 to 5: 10, 20, 30, 30, 30
    counts = [[1.0, 2.0, 3.0]]
    assert area_under_curve(counts, values, ALL, start=1, stop=6)[0] == pytest.approx(24)


def test_area_before_the_first_value_raises_or_is_left_out():
    elapsed, values = np.array([[1.0, 2.0, 4.0], [3.0, 4.0, 5.0]]), np.array([[10.0, 20.0, 30.0], [NAN, 7.0, 8.0]])
    mask = np.ones_like(values, bool)
    with pytest.raises(ValueError, match="1 of 2 runs have no value at start=1"):
        area_under_curve(elapsed, values, mask, start=1, stop=10)
    omitted = area_under_curve(elapsed, values, mask, start=1, stop=10, nan_policy="omit")
    np.testing.assert_allclose(omitted, [230 / 9, (7 + 5 * 8) / 6])
    late = area_under_curve(elapsed, values, mask, start=0.5, stop=2.5, nan_policy="omit")
    np.testing.assert_allclose(late, [15 * 4 / 3 - 20 / 3, NAN])  # 10 for 1 s, 20 for half; nothing


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_area_is_the_limit_of_means_on_a_fine_grid(scale):
    elapsed, values, mask = random_runs(1)
    start, stop = elapsed[:, 0].max(), 25.0
    cells = 200_000
    grid = (np.linspace if scale == "linear" else np.geomspace)(start, stop, 2 * cells + 1)[1::2]  # midpoints
    area = area_under_curve(elapsed, values, mask, start=start, stop=stop, scale=scale)
    np.testing.assert_allclose(area, curve_at(grid, elapsed, values, mask).mean(axis=1), atol=30 * 5 / cells)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"start": 5.0}, "expected start < stop"),
        ({"start": 0.0, "scale": "log"}, "positive time"),
        ({"scale": "cubic"}, "'linear', 'log'"),
        ({"nan_policy": "ignore"}, "'raise', 'omit'"),
    ],
)
def test_area_says_what_is_wrong(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        area_under_curve([1.0], [1.0], [True], **{"start": 1.0, "stop": 2.0, **change})


def test_regret():
    np.testing.assert_allclose(regret([[93.0, NAN, 94.5]], 94.4), [[1.4, NAN, -0.1]])
    np.testing.assert_allclose(regret([[93.0, 70.0]], [94.0, 73.0]), [[1.0, 3.0]])
    with pytest.raises(ValueError, match="optimum holds 1 NaN"):
        regret([1.0], NAN)
