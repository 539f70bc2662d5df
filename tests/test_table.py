"""Tables: what look-ups mean, what they refuse, and that files come back as they were."""

import itertools
import json
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnas
from jnas.core._loop import run
from jnas.core._search_words import is_sound
from jnas.core._vocabulary import STOPPED_BY, Proposal, propose
from jnas.searchers.black_box._random_search import random_search
from jnas.spaces._categorical import categorical
from jnas.spaces._rows import encoding_finder
from jnas.tables._file import Header, Training, decode_curve, encode_curve, member, save_arrays
from jnas.tables._load import load_table, save_table, table_from_arrays
from jnas.tables._make import make_table

SPACE = categorical((3, 4))
NUM = SPACE.size
NAN = np.nan
PAIRS = {"cifar10": {"validation": ("cifar10-valid", "x-valid"), "test": ("cifar10", "ori-test")}}


def _arrays():
    """Two trainings on half the data and one on all of it, with gaps; every number can be told from its place."""
    archs = np.asarray(list(itertools.product(range(3), range(4))), np.int8)[::-1].copy()  # not in the space's order
    rows = np.arange(NUM, dtype=np.float32)
    short = np.stack([50 + rows, 50.5 + rows, 51 + rows], 1)
    short[3] = [NAN, 60, NAN]
    short[4] = NAN
    curve = np.stack([short - 2, short - 1, short], -1)  # three epochs
    return {
        "archs": archs,
        member("accuracy", "cifar10-valid", 3, "x-valid"): short,
        member("accuracy_curve", "cifar10-valid", 3, "x-valid"): encode_curve(curve),
        member("loss", "cifar10-valid", 3, "x-valid"): (short / 100).astype(np.float32),
        member("train_seconds", "cifar10-valid", 3): np.stack([10 + rows, 20 + rows, 30 + rows], 1),
        member("eval_seconds", "cifar10-valid", 3, "x-valid"): np.full((NUM, 1), 0.5, np.float32),
        member("accuracy", "cifar10-valid", 9, "x-valid"): np.stack([70 + rows, 71 + rows], 1),
        member("accuracy_mean", "cifar10-valid", 9, "x-valid"): 75 + rows,
        member("train_seconds", "cifar10-valid", 9): np.full((NUM, 1), 40, np.float32),
        member("accuracy_mean", "cifar10", 9, "ori-test"): 80 + rows,
        member("parameters", "cifar10"): rows / 10,
        member("flops", "cifar10"): rows * 2,
        member("latency", "cifar10-valid"): rows / 1000,
        member("device_latency", "phone"): rows * 3,
    }


HEADER = Header(
    "toy",
    SPACE.config,
    (
        Training("cifar10-valid", 3, (777, 888, 999)),
        Training("cifar10-valid", 9, (777, 888)),
        Training("cifar10", 9, ()),
    ),
    PAIRS,
    "made up",
    ("a note",),
)
VALID = {"dataset": "cifar10", "split": "validation"}


@pytest.fixture(scope="module")
def table():
    return table_from_arrays(HEADER, _arrays())


def _arch(row):
    return _arrays()["archs"][row]


def test_a_number_is_found_by_encoding_index_string_and_batch(table):
    want = 50.0 + np.arange(3)
    ask = dict(VALID, epochs=3, seed=777)
    np.testing.assert_array_equal(table.accuracy(_arrays()["archs"][:3], **ask), want)
    assert [float(table.accuracy(i, **ask)) for i in range(3)] == want.tolist()
    texts = [SPACE.to_string(_arch(i)) for i in range(3)]
    np.testing.assert_array_equal(table.accuracy(texts, **ask), want)
    assert float(table.accuracy(texts[1], **ask)) == want[1]
    assert table.text(2) == texts[2]
    batch = _arrays()["archs"][:6].reshape(2, 3, 2)
    assert table.accuracy(batch, **ask).shape == (2, 3)
    np.testing.assert_array_equal(jax.jit(lambda a: table.accuracy(a, **ask))(batch), table.accuracy(batch, **ask))
    np.testing.assert_array_equal(table.index(_arrays()["archs"]), np.arange(NUM))


def test_the_documented_pair_of_a_data_set(table):
    assert float(table.accuracy(1, **VALID, epochs=9, seed="mean")) == 76.0
    assert float(table.accuracy(1, dataset="cifar10", split="test", epochs=9, seed="mean")) == 81.0
    assert table.resolve("cifar10", "validation") == ("cifar10-valid", "x-valid")
    assert table.resolve("cifar10", "ori-test") == ("cifar10", "ori-test")
    with pytest.raises(ValueError, match="no accuracy for dataset='cifar10', epochs=9, split='x-valid'"):
        table.accuracy(1, dataset="cifar10", split="x-valid", epochs=9, seed="mean")


def test_mean_one_seed_and_random_seed_are_different_things(table):
    ask = dict(VALID, epochs=3)
    assert float(table.accuracy(2, **ask, seed="mean")) == 52.5
    assert float(table.accuracy(2, **ask, seed=999)) == 53.0
    assert float(table.accuracy(3, **ask, seed="mean")) == 60.0  # of the one run that exists
    assert np.isnan(table.accuracy(3, **ask, seed=777))
    assert np.isnan(table.accuracy(4, **ask, seed="mean"))
    # A mean that the source gives is taken as it is, never made from the seeds beside it, and the other way round.
    assert float(table.accuracy(0, **VALID, epochs=9, seed="mean")) == 75.0
    assert float(table.accuracy(0, **VALID, epochs=9, seed=888)) == 71.0


def test_a_random_seed_is_uniform_over_the_runs_that_exist(table):
    keys = jax.random.split(jax.random.key(0), 3000)
    draw = jax.vmap(
        lambda k, i: table.accuracy(_arrays()["archs"][i], **VALID, epochs=3, seed="random", key=k), (0, None)
    )
    values, counts = np.unique(draw(keys, 2), return_counts=True)
    np.testing.assert_array_equal(values, [52, 52.5, 53])
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000 * 2 / 3)
    assert (np.asarray(draw(keys[:50], 3)) == 60).all()
    assert np.isnan(draw(keys[:50], 4)).all()
    same = [float(table.accuracy(2, **VALID, epochs=3, seed="random", key=jax.random.key(5))) for _ in range(2)]
    assert same[0] == same[1]


def test_costs_are_all_epochs_and_one_evaluation(table):
    assert float(table.seconds(2, **VALID, epochs=3, seed=777)) == 3 * 12 + 0.5
    assert float(table.seconds(2, **VALID, epochs=3, seed="mean")) == 3 * 22 + 0.5
    assert float(table.seconds(2, **VALID, epochs=3, seed=888, at=2)) == 2 * 22 + 0.5
    assert float(table.seconds(2, **VALID, epochs=9, seed="mean")) == 360  # no evaluation times: training alone
    assert table.has_eval_seconds("cifar10", "validation", 3)
    assert not table.has_eval_seconds("cifar10", "validation", 9)


def test_curves_and_points_of_them(table):
    np.testing.assert_allclose(table.curve(1, **VALID, epochs=3, seed=888), [49.5, 50.5, 51.5], atol=1e-3)
    np.testing.assert_allclose(table.curve(1, **VALID, epochs=3, seed="mean"), [49.5, 50.5, 51.5], atol=1e-3)
    assert float(table.accuracy(1, **VALID, epochs=3, seed=777, at=1)) == pytest.approx(49, abs=1e-3)
    assert float(table.accuracy(1, **VALID, epochs=3, seed=777, at=3)) == 51
    with pytest.raises(ValueError, match="no accuracy curves"):
        table.accuracy(1, **VALID, epochs=9, seed=777, at=4)
    with pytest.raises(ValueError, match="from 1 to 3"):
        table.accuracy(1, **VALID, epochs=3, seed=777, at=4)


def test_other_columns(table):
    assert float(table.loss(2, **VALID, epochs=3, seed=777)) == pytest.approx(0.52)
    assert float(table.parameters(5, dataset="cifar10")) == 0.5
    assert float(table.flops(5, dataset="cifar10")) == 10
    assert float(table.latency(5, dataset="cifar10-valid")) == pytest.approx(0.005)
    batch = jnp.asarray(_arrays()["archs"][:4])
    np.testing.assert_allclose(table.parameters(batch, dataset="cifar10"), np.arange(4) / 10)
    np.testing.assert_allclose(table.flops(batch, dataset="cifar10"), np.arange(4) * 2)
    np.testing.assert_allclose(table.parameters(batch, dataset="cifar10"), np.arange(4) / 10)
    assert float(table.device_latency(5, device="phone")) == 15
    with pytest.raises(ValueError, match="it has phone"):
        table.device_latency(5, device="fridge")
    with pytest.raises(ValueError, match="it has cifar10"):
        table.parameters(5, dataset="mnist")


def test_a_simulated_training_moves_the_clock(table):
    first = table.simulate_train_eval(2, **VALID, epochs=3, seed=777)
    second = table.simulate_train_eval(1, first.elapsed, **VALID, epochs=3, seed=777)
    assert float(first.score) == 52
    assert float(first.latency) == pytest.approx(0.002)
    assert float(second.elapsed) == 36.5 + 33.5


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (dict(VALID, epochs=12, seed="mean"), "cifar10-valid for 3 epochs, cifar10-valid for 9 epochs"),
        ({"dataset": "svhn", "split": "test", "epochs": 3, "seed": "mean"}, "no training on dataset='svhn'"),
        (dict(VALID, epochs=3, seed=111), "seeds 777, 888, 999"),
        (dict(VALID, epochs=3, seed=True), "seed is True"),
        (dict(VALID, epochs=3, seed="first"), "seed is 'first'"),
        ({"dataset": "cifar10", "split": "test", "epochs": 9, "seed": 777}, "means over seeds only"),
        ({"dataset": "cifar10", "split": "test", "epochs": 9, "seed": "random", "key": None}, "pass seed='mean'"),
        (dict(VALID, epochs=3, seed="random"), "no key was given"),
    ],
)
def test_nothing_falls_back(table, ask, message):
    with pytest.raises(ValueError, match=message):
        table.accuracy(0, **ask)


def test_archs_of_the_wrong_kind_are_refused(table):
    ask = dict(VALID, epochs=3, seed=777)
    with pytest.raises(ValueError, match="index 12 is not of this table"):
        table.accuracy(12, **ask)
    with pytest.raises(ValueError, match="expected integers"):
        table.accuracy(np.zeros((2, 3), int), **ask)
    with pytest.raises(ValueError, match="expected integers"):
        table.accuracy(np.zeros((2, 2)), **ask)
    assert np.isnan(table.accuracy(np.asarray([7, 7]), **ask))  # not an architecture of the space


def _evaluate(objective, archs, key=0, **proposal):
    asked = propose(jnp.asarray(archs))._replace(**{k: jnp.asarray(v, jnp.int32) for k, v in proposal.items()})
    return objective(jax.random.split(jax.random.key(key), len(archs)), asked)


def test_the_objective_gives_scores_costs_and_validity(table):
    objective = table.objective(**VALID, epochs=3, seed="mean")
    found = _evaluate(objective, _arrays()["archs"][[2, 4]])
    np.testing.assert_array_equal(found.score, [52.5, NAN])
    np.testing.assert_array_equal(found.seconds, [66.5, 0])
    np.testing.assert_array_equal(found.valid, [True, False])
    assert objective.fidelities == (3,)
    assert objective.min_seconds == 3 * 20 + 0.5
    charged = table.objective(**VALID, epochs=3, seed="mean", missing_seconds=7.0)
    assert float(_evaluate(charged, _arrays()["archs"][[4]]).seconds[0]) == 7
    outside = _evaluate(charged, np.asarray([[5, 5]]))
    assert not bool(outside.valid[0])


def test_further_objectives_are_members_of_the_table(table):
    objective = table.objective(**VALID, epochs=3, seed="mean", objectives=("flops/cifar10", "device_latency/phone"))
    found = _evaluate(objective, np.concatenate([_arrays()["archs"][[2, 4]], [[5, 5]]]))
    np.testing.assert_array_equal(found.objectives, [[4, 6], [8, 12], [NAN, NAN]])
    assert objective.objective_names == ("flops/cifar10", "device_latency/phone")
    assert _evaluate(table.objective(**VALID, epochs=3, seed="mean"), _arrays()["archs"][[2]]).objectives is None


def test_trainings_are_charged_in_full_and_curves_by_the_difference(table):
    arch = _arrays()["archs"][[2]]
    resumed = {"fidelity": [1], "resumes": [0], "resumed_fidelity": [0]}
    separate = table.objective(**VALID, epochs=(3, 9), seed="mean")
    found = _evaluate(separate, arch, **resumed)
    assert float(found.score[0]) == 77
    assert float(found.seconds[0]) == 360
    curve = table.objective(**VALID, epochs=3, at=(1, 3), seed="mean")
    assert curve.fidelities == (1, 3)
    assert float(_evaluate(curve, arch).seconds[0]) == 22.5
    assert float(_evaluate(curve, arch, **resumed).seconds[0]) == 2 * 22 + 0.5
    full = table.objective(**VALID, epochs=3, at=(1, 3), seed="mean", resume_cost="full")
    assert float(_evaluate(full, arch, **resumed).seconds[0]) == 3 * 22 + 0.5
    assert curve.min_seconds == pytest.approx(20.5)
    loss = table.objective(**VALID, epochs=3, seed="mean", metric="loss")
    assert float(_evaluate(loss, arch).score[0]) == pytest.approx(-0.525)


def test_a_random_seed_gives_the_score_and_the_cost_of_the_same_run(table):
    objective = table.objective(**VALID, epochs=3, seed="random")
    found = _evaluate(objective, np.repeat(_arrays()["archs"][[2]], 300, 0))
    slots = np.asarray((found.score - 52) * 2).astype(int)
    np.testing.assert_array_equal(found.seconds, np.asarray([36.5, 66.5, 96.5])[slots])
    assert len(np.unique(slots)) == 3
    gap = _evaluate(objective, np.repeat(_arrays()["archs"][[3]], 20, 0))  # its only run is in the second slot
    assert (np.asarray(gap.score) == 60).all()
    assert (np.asarray(gap.seconds) == 3 * 23 + 0.5).all()


@pytest.mark.parametrize(
    ("fidelities", "message"),
    [
        ({"epochs": (9, 3)}, "ascend"),
        ({"epochs": ()}, "ascend"),
        ({"epochs": (3, 9), "at": (1, 2)}, "several of one of them"),
        ({"epochs": 3, "at": (2, 2)}, "ascend"),
        ({"epochs": 3, "resume_cost": "half"}, "'difference' or 'full'"),
        ({"epochs": 3, "objectives": ("accuracy/cifar10/3/test",)}, "expected one of device_latency/phone, flops/cif"),
        ({"epochs": 3, "metric": "f1"}, "'accuracy' or 'loss'"),
    ],
)
def test_impossible_objectives_are_refused(table, fidelities, message):
    with pytest.raises(ValueError, match=message):
        table.objective(**VALID, seed="mean", **fidelities)


def test_a_space_without_an_index_is_looked_up_by_fingerprint(table):
    space = SPACE._replace(index=None, from_index=None, size=None)
    blind = table_from_arrays(HEADER, _arrays(), space=space)
    np.testing.assert_array_equal(blind.index(_arrays()["archs"]), np.arange(NUM))
    part = {k: v[2:] for k, v in _arrays().items()}
    blind = table_from_arrays(HEADER, part, space=space)
    np.testing.assert_array_equal(blind.index(_arrays()["archs"]), [-1, -1, *range(NUM - 2)])
    assert int(blind.index(np.asarray([9, 9]))) == -1
    find = encoding_finder(part["archs"])
    np.testing.assert_array_equal(find(_arrays()["archs"]), [-1, -1, *range(NUM - 2)])
    np.testing.assert_array_equal(find(np.asarray([[[9, 9], [-1, 0]]])), [[-1, -1]])


def test_a_file_comes_back_as_it_was(table, tmp_path):
    save_table(table, tmp_path / "t.npz")
    again = load_table(tmp_path / "t.npz")
    assert again.header == table.header
    assert again.space == table.space
    assert again.names == table.names
    for name in table.names:
        np.testing.assert_array_equal(again.read(name), table.read(name))
        assert again.read(name).dtype == table.read(name).dtype
    assert float(again.accuracy(2, **VALID, epochs=3, seed="mean")) == 52.5


def test_only_what_is_asked_for_is_read(table, tmp_path, monkeypatch):
    save_table(table, tmp_path / "t.npz")
    again = load_table(tmp_path / "t.npz")
    read = []
    monkeypatch.setattr(again, "_read", lambda name, old=again._read: read.append(name) or old(name))
    again.accuracy(2, **VALID, epochs=3, seed="mean")
    assert not [name for name in read if "curve" in name or "/9" in name]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(table, tmp_path, share):
    save_table(table, tmp_path / "t.npz")
    whole = (tmp_path / "t.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="not a table file, or it is cut off"):
        load_table(tmp_path / "cut.npz")


def test_a_damaged_member_is_refused(table, tmp_path):
    save_table(table, tmp_path / "t.npz")
    whole = bytearray((tmp_path / "t.npz").read_bytes())
    place = whole.index(np.float32(50).tobytes() + np.float32(50.5).tobytes())
    whole[place] ^= 0xFF
    (tmp_path / "t.npz").write_bytes(whole)
    with pytest.raises(ValueError, match=r"accuracy/cifar10-valid/3/x-valid.*damaged"):
        load_table(tmp_path / "t.npz").accuracy(2, **VALID, epochs=3, seed=777)


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table at"):
        load_table(tmp_path / "none.npz")
    np.savez(tmp_path / "plain.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="no jnas header"):
        load_table(tmp_path / "plain.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match="not a table file"):
        load_table(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    with pytest.raises(ValueError, match="no jnas header"):
        load_table(tmp_path / "empty.npz")
    for text, message in [
        ({"format": "jnas-table", "version": 99}, "table version 99"),
        ({"format": "jnas-table", "version": 1}, "is damaged"),
    ]:
        np.savez(tmp_path / "v.npz", header=np.frombuffer(json.dumps(text).encode(), np.uint8))
        with pytest.raises(ValueError, match=message):
            load_table(tmp_path / "v.npz")


def test_pickled_objects_in_a_table_are_never_loaded(tmp_path):
    arrays = _arrays()
    save_arrays(tmp_path / "t.npz", HEADER, arrays)
    with zipfile.ZipFile(tmp_path / "t.npz", "a") as archive, archive.open("latency/cifar10.npy", "w") as file:
        np.lib.format.write_array(file, np.asarray([print] * NUM, object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds Python objects"):
        load_table(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"archs": np.zeros((NUM, 2), np.int8)}, "stands in it twice"),
        ({"archs": np.full((NUM, 2), 9, np.int8)}, "is not of the space"),
        ({"archs": np.zeros((NUM, 3), np.int8)}, "have shape"),
        ({"archs": np.zeros((NUM, 2))}, "expected integers"),
        ({"accuracy/cifar10-valid/3/x-valid": np.zeros((NUM, 2))}, "has shape"),
        ({"accuracy/cifar10-valid/3/x-valid": np.zeros((3, 3))}, "rows as 'archs'"),
        ({"accuracy/svhn/3/test": np.zeros((NUM, 3))}, "that the header does not list"),
        ({"accuracy/svhn": np.zeros((NUM, 3))}, "a name of the wrong form"),
        ({"colour/svhn": np.zeros(NUM)}, "a kind that this version does not know"),
    ],
)
def test_arrays_that_contradict_the_header_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        table_from_arrays(HEADER, _arrays() | change)


def test_curves_keep_counts_of_right_answers():
    counts = np.arange(0, 50_001, 7)
    percent = (counts / 50_000 * 100).astype(np.float64)
    np.testing.assert_array_equal(np.round(decode_curve(encode_curve(percent)) * 500).astype(int), counts)
    assert np.isnan(decode_curve(encode_curve(np.asarray([np.nan])))).all()


def test_make_table_of_ones_own_numbers(tmp_path):
    numbers = np.arange(12.0)
    table = make_table(SPACE, accuracy={"validation": numbers, "test": numbers + 1}, train_seconds=2.0, dataset="mine")
    ask = {"dataset": "mine", "epochs": 1, "seed": 0}
    assert float(table.accuracy(np.asarray([2, 3]), split="test", **ask)) == 12.0
    trace = run(random_search(SPACE), table.objective(split="validation", **ask), jax.random.key(0), budget_seconds=9)
    assert trace.score.shape == (4,)
    np.testing.assert_array_equal(trace.score, trace.arch[:, 0] * 4 + trace.arch[:, 1])
    save_table(table, tmp_path / "mine.npz")
    assert load_table(tmp_path / "mine.npz").space is SPACE
    seeds = make_table(SPACE, accuracy={"v": np.stack([numbers, numbers + 2], 1)}, seeds=(4, 5))
    assert float(seeds.accuracy(3, dataset="data", split="v", epochs=1, seed=5)) == 5
    part = make_table(SPACE, archs=[[0, 1], [2, 2]], accuracy={"v": [1.0, 2.0]})
    assert int(part.index(np.asarray([1, 1]))) == -1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"accuracy": {"v": np.zeros(11)}}, r"expected \[12\] or \[12, S\]"),
        ({"accuracy": {"v": np.full(12, np.inf)}}, "infinite"),
        ({"accuracy": {"v": np.zeros(12), "t": np.zeros((12, 2))}}, "the same number"),
        ({"accuracy": {}}, "at least one"),
        ({"accuracy": {"v": np.zeros(2)}, "archs": np.zeros((2, 2))}, "expected integers"),
        ({"accuracy": {"v": [1e30] * 12}}, "accuracy.'v'. has numbers from 1e.30 to 1e.30, expected percent"),
        ({"accuracy": {"v": [-50] * 12}}, "has numbers from -50 to -50, expected percent"),
        ({"accuracy": {"v": [1e300] * 12}}, "has numbers beyond 3.4e.38"),
        ({"train_seconds": -1.0}, "train_seconds has negative numbers, the lowest -1"),
        ({"train_seconds": [np.inf] * 12}, "train_seconds has infinite numbers"),
        ({"epochs": 0}, "epochs 0 and seeds .0,., expected a data set's name .*, a number of epochs from 1"),
        ({"epochs": 1.5}, "a number of epochs from 1"),
        ({"dataset": "a/b"}, "a data set's name without '/'"),
        ({"accuracy": {"v": np.zeros((12, 2))}, "seeds": (1, 1)}, "different seeds"),
        ({"parameters": [129306] * 12}, "parameters has whole numbers up to 129,306, which look like counts"),
        ({"flops": [15_647_370.0] * 12}, "flops has whole numbers up to 15,647,370, which look like counts"),
        ({"flops": [-1] * 12}, "flops has negative numbers"),
        ({"accuracy": {"a/b": np.arange(12.0)}}, "accuracy has the name 'a/b', expected texts without '/'"),
        ({"device_latency": {"": np.arange(12.0)}}, "device_latency has the name ''"),
        ({"latency": [0.1]}, r"latency has shape \(1,\), expected \[12\]"),
        ({"device_latency": {"phone": [-1] * 12}}, "device_latency.'phone'. has negative numbers"),
        ({"archs": ["0|1", "0|4"]}, "architecture 1 is no string of the space 'categorical': .*unknown choice '4'"),
        ({"archs": ["0|1", "0|1"]}, "stands in it twice"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_table(SPACE, **{"accuracy": {"v": np.arange(12.0)}} | arguments)


def test_accuracies_that_look_like_fractions_are_warned_of():
    with pytest.warns(UserWarning, match=r"no number above 0.55, so they look like fractions; .* multiply them by 100"):
        make_table(SPACE, accuracy={"v": np.arange(12) / 20, "t": np.arange(12) / 20})
    make_table(SPACE, accuracy={"v": np.arange(12) / 20, "t": np.arange(12.0)})  # the other split says what unit it is


def test_make_table_takes_strings_and_costs(tmp_path):
    table = make_table(
        SPACE,
        archs=["2|3", "0|1"],
        accuracy={"v": [70, 60]},
        parameters=[1.5, np.nan],
        flops=[300, 40.25],
        latency=[0.25, 0.5],
        device_latency={"phone": [12.0, 3.0]},
    )
    assert table.archs.tolist() == [[2, 3], [0, 1]]
    save_table(table, tmp_path / "t.npz")
    again = load_table(tmp_path / "t.npz")
    assert float(again.parameters("2|3", dataset="data")) == 1.5
    assert np.isnan(again.parameters("0|1", dataset="data"))
    assert again.flops(["2|3", "0|1"], dataset="data").tolist() == [300, 40.25]
    assert float(again.latency(1, dataset="data")) == 0.5
    assert float(again.device_latency(1, device="phone")) == 3


def test_importing_touches_no_device_and_no_heavy_library():
    code = (
        "import sys, jnas.tables.readers._nats_records; assert 'jax' not in sys.modules; "  # many processes import it
        "import jax, jnas, jnas.spaces, jnas.searchers; from jax._src import xla_bridge; "
        "assert not xla_bridge.backends_are_initialized(), 'a device was touched'; "
        "heavy = {'matplotlib', 'scipy.stats', 'tqdm', 'flax'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_proposals_of_several_rows_are_looked_up_row_by_row(table):
    objective = table.objective(**VALID, epochs=(3, 9), seed="mean")
    proposal = propose(jnp.asarray(_arrays()["archs"][:4]), fidelity=0)
    assert isinstance(proposal, Proposal)
    found = objective(jax.random.split(jax.random.key(0), 4), proposal._replace(fidelity=jnp.asarray([0, 1, 0, 1])))
    np.testing.assert_array_equal(found.score, [50.5, 76, 52.5, 78])


def test_a_first_look_up_may_stand_inside_jit():
    ask = dict(VALID, epochs=3, seed=777)
    fresh = table_from_arrays(HEADER, _arrays())
    archs = jnp.asarray(_arrays()["archs"][:3])
    np.testing.assert_array_equal(jax.jit(lambda a: fresh.accuracy(a, **ask))(archs), [50, 51, 52])
    np.testing.assert_array_equal(fresh.accuracy(archs, **ask), [50, 51, 52])  # and leaves nothing of the trace behind


def test_a_second_batched_look_up_moves_nothing_to_the_device(table):
    ask = dict(VALID, epochs=3, seed=777)
    archs = jnp.asarray(_arrays()["archs"])
    table.accuracy(archs, **ask)
    copies = {id(value) for key, value in table._cache.items() if key[0] == "device"}
    table.accuracy(archs, **ask)
    assert copies == {id(value) for key, value in table._cache.items() if key[0] == "device"}
    assert len(copies) >= 4


def test_times_that_are_missing_in_part_are_not_free():
    numbers, seconds = np.arange(12.0), np.full(12, 10.0)
    seconds[5] = NAN
    table = make_table(SPACE, accuracy={"validation": numbers}, train_seconds=seconds)
    choice = {"dataset": "data", "split": "validation", "epochs": 1, "seed": 0}
    with pytest.raises(ValueError, match="1 architectures have an accuracy but no time"):
        table.objective(**choice)
    charged = _evaluate(table.objective(**choice, missing_seconds=60.0), table.archs[[4, 5]])
    np.testing.assert_array_equal(charged.seconds, [10, 60])
    timeless = make_table(SPACE, accuracy={"validation": numbers}, train_seconds=np.full(12, NAN))
    np.testing.assert_array_equal(_evaluate(timeless.objective(**choice), table.archs[:2]).seconds, [0, 0])


def test_a_budget_pays_for_what_is_missing_at_its_own_price():
    """Half is unknown and costs 10 s, the rest 100 s: the budget must end a run, not the number of evaluations."""
    half = np.where(np.arange(12) % 2, np.arange(12.0), NAN)
    rows = np.arange(1, 12, 2)
    archs = make_table(SPACE, accuracy={"validation": half}).archs
    choice = {"dataset": "data", "split": "validation", "epochs": 1, "seed": "mean"}
    missing = make_table(SPACE, accuracy={"validation": half}, train_seconds=100.0)
    listed = make_table(SPACE, archs=archs[rows], accuracy={"validation": half[rows]}, train_seconds=100.0)
    searcher = random_search(SPACE)
    for table in (missing, listed):
        objective = table.objective(**choice, missing_seconds=10.0)
        assert objective.min_seconds == 10
        trace = jax.jit(lambda key, o=objective: run(searcher, o, key, budget_seconds=2_000.0))(jax.random.key(0))
        assert STOPPED_BY[int(trace.stopped_by)] == "budget"
        assert 1_900 < float(trace.seconds.sum()) <= 2_000
        assert table.objective(**choice).min_seconds == 100
    whole = make_table(SPACE, accuracy={"validation": np.arange(12.0)}, train_seconds=100.0)
    assert whole.objective(**choice, missing_seconds=10.0).min_seconds == 100  # nothing is missing
    timeless = make_table(SPACE, accuracy={"validation": half}, train_seconds=np.full(12, NAN))
    assert timeless.objective(**choice, missing_seconds=10.0).min_seconds == 10


def test_a_random_seed_stays_the_same_along_a_curve():
    """Seed 0 is known at the end alone, seeds 1 and 2 everywhere: a training that goes on is of one of these."""
    curve = np.stack(
        [np.full((NUM, 3), NAN), 10 * np.ones((NUM, 3)) * [1, 2, 3], 50 + np.ones((NUM, 3)) * [1, 2, 3]], 2
    )
    curve[:, 0, :2] = NAN
    arrays = {
        "archs": _arrays()["archs"],
        member("accuracy", "d", 3, "v"): curve[:, :, 2].astype(np.float32),
        member("accuracy_curve", "d", 3, "v"): encode_curve(curve),
        member("train_seconds", "d", 3): np.tile(np.asarray([[100.0, 1.0, 2.0]], np.float32), (NUM, 1)),
    }
    table = table_from_arrays(Header("c", SPACE.config, (Training("d", 3, (0, 1, 2)),), {}, "x"), arrays)
    objective = table.objective(dataset="d", split="v", epochs=3, at=(2, 3), seed="random")
    archs = np.repeat(_arrays()["archs"][:1], 60, 0)
    early = _evaluate(objective, archs)
    late = _evaluate(objective, archs, fidelity=[1] * 60, resumes=[0] * 60, resumed_fidelity=[0] * 60)
    np.testing.assert_allclose(np.asarray(early.score) / 10, np.asarray(late.score) - 50, atol=1e-3)
    np.testing.assert_allclose(late.seconds, np.asarray(early.score) / 10 - 1, atol=1e-3)  # one more epoch of that run
    assert len(np.unique(np.round(early.score))) == 2


def test_the_text_of_what_is_not_held_is_refused(table):
    with pytest.raises(ValueError, match="index -1 is not of this table"):
        table.text(-1)


def test_only_tables_that_answer_the_impossible_are_looked_at():
    """The programs of all others stay what they were; a copy with another function is looked at."""
    space, runs = categorical((2,)), {"validation": [50.0, 60.0]}
    sound = make_table(space, accuracy=runs, train_seconds=[1.0, 2.0], dataset="d", epochs=3)
    choice = {"dataset": "d", "split": "validation", "seed": "mean", "epochs": 3}
    objective = sound.objective(**choice)
    assert is_sound(objective)
    assert not is_sound(objective._replace(evaluate=lambda keys, proposal: objective(keys, proposal)))
    arrays = {name: sound.read(name) for name in sound.names}
    backwards = {name: -array if name.startswith("train_seconds") else array for name, array in arrays.items()}
    unsound = table_from_arrays(sound.header, backwards).objective(**choice)
    assert not is_sound(unsound)
    assert not run(random_search(space), unsound, jax.random.key(0), max_evaluations=2).valid.any()
    for seconds in (-1.0, NAN, float("inf")):
        with pytest.raises(ValueError, match=r"missing_seconds is .*, expected a finite number"):
            sound.objective(**choice, missing_seconds=seconds)


def test_several_indices_are_told_how_they_are_looked_up():
    table = jnas.load_table()
    with pytest.raises(ValueError, match=r"several are jax\.vmap\(table\.space\.from_index\)\(indices\)"):
        table.accuracy(np.arange(7), dataset="digits", split="test", epochs=8, seed="mean")
    few = jnas.make_table(table.space, accuracy={"test": [1.0, 2.0]}, archs=table.archs[:2])
    with pytest.raises(ValueError, match=r"several are table\.archs\[indices\]"):
        few.accuracy(np.arange(2), dataset="data", split="test", epochs=1, seed="mean")
