"""Wherever something is looked up by name, a name that is not known is answered with the nearest that is."""

import contextlib
import re

import numpy as np
import pytest

import jnas
from jnas import searchers, spaces, statistics, training
from jnas.commands._cli import main
from jnas.io._json_checks import check_keys
from jnas.io._text import nearest
from jnas.searchers import _registry, predictors
from jnas.searchers._settings import read_settings
from jnas.studies.search._settings import SEARCH_SETTINGS
from jnas.tables._load import load_space
from jnas.tables.report._text import describe_arch
from jnas.training.data._dataset import dataset_from_arrays

CELLS = spaces.nasbench201()
TABLE = jnas.make_table(
    spaces.categorical((2, 2)),
    accuracy={"validation": np.arange(4) + 50},
    dataset="cifar10",
    epochs=3,
    parameters=np.ones(4),
    device_latency={"pixel3": np.ones(4)},
)
ASK = {"dataset": "cifar10", "split": "validation", "epochs": 3, "seed": 0}
SETTINGS = {setting.name: setting for setting in SEARCH_SETTINGS}
IMAGES = dataset_from_arrays(np.zeros((10, 2, 2), np.uint8), np.arange(10) % 2)


@pytest.mark.parametrize(
    ("look_up", "meant"),
    [
        (lambda: spaces.get("nasbench210"), "nasbench201"),
        (lambda: load_space("nas-bench-201"), "nasbench201"),
        (lambda: spaces.from_config('{"kind": "catgorical"}'), "categorical"),
        (lambda: spaces.nasbench201(isomorphism="skips"), "skip"),
        (lambda: spaces.nasbench201(mutation="each"), "each_edge"),
        (lambda: spaces.nasbench101(sampling="uniformly"), "uniform"),
        (lambda: spaces.categorical((2, 3), mutation="differs"), "different"),
        (lambda: CELLS.features(np.zeros(6, np.int32), "one-hot"), "one_hot"),
        (lambda: CELLS.from_string("|nor_conv3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"), "nor_conv_3x3"),
        (lambda: TABLE.accuracy(0, **ASK | {"dataset": "CIFAR-10"}), "cifar10"),
        (lambda: TABLE.accuracy(0, **ASK | {"split": "valid"}), "validation"),
        (lambda: TABLE.parameters(0, dataset="cifar100"), "cifar10"),
        (lambda: TABLE.device_latency(0, device="pixel2"), "pixel3"),
        (lambda: TABLE.objective(**ASK, objectives=("parameter/cifar10",)), "parameters/cifar10"),
        (lambda: describe_arch(TABLE, 0, dataset="cifar"), "cifar10"),
        (lambda: training.load_dataset("cifar-10"), "cifar10"),
        (lambda: IMAGES.rows("valid"), "validation"),
        (lambda: dataset_from_arrays(IMAGES.images, IMAGES.labels, test_split="tset"), "test"),
        (lambda: training.get_recipe("digits8"), "digits-8"),
        (lambda: training.get_recipe("digits-8", epoch=3), "epochs"),
        (lambda: training.get_recipe("digits-8", optimizer="rms"), "rmsprop"),
        (lambda: _registry.entry("random"), "random_search"),
        (lambda: _registry.entry("evolution"), "naszilla_evolution"),
        (lambda: read_settings("it", searchers.bohb, {"etas": "3"}), "eta"),
        (lambda: read_settings("it", searchers.hyperband, {"rounding": "flor"}), "floor"),
        (lambda: SETTINGS["overshoot"].check("keeps"), "keep"),
        (lambda: searchers.bananas(CELLS, acquisition="eii"), "ei"),
        (lambda: searchers.bananas(CELLS, candidates="mutations"), "mutation"),
        (lambda: predictors.gaussian_process(distance="hammming"), "hamming"),
        (lambda: check_keys({"memebers": {}}, ("members",), (), "it"), "members"),
        (lambda: statistics.mean_over_seeds([1.0], nan_policy="omitt"), "omit"),
    ],
)
def test_the_nearest_name_is_offered(look_up, meant):
    with pytest.raises(ValueError, match=rf"did you mean '{re.escape(meant)}'\?"):
        look_up()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["studdy"], "study"),
        (["table", "imprt"], "import"),
        (["table", "import", "nasbench-101"], "nasbench101"),
        (["study", "--tabel", "t.npz"], "--table"),
        (["report", "x", "--outptu=y"], "--output"),
        (["supernet", "gdas", "--comparison", "same_batch"], "same_batches"),
        (["supernet", "darts"], "darts-v2"),
        (["study", "--table", "digit"], "digits"),
        (["predictors", "--encodings", "pathh"], "path"),
        (["predictors", "--predictors", "random_forrest"], "random_forest"),
    ],
)
def test_commands_offer_the_nearest_word(capsys, words, meant):
    with contextlib.suppress(SystemExit):  # of argparse
        assert main(words) == 2
    assert f"did you mean '{meant}'?" in capsys.readouterr().err


def test_what_is_near():
    known = ("random_search", "regularized_evolution", "bananas", "CIFAR10")
    words = ("random", "RANDOM_SEARCH", "regularised_evolution", "banana", "cifar-10", "regular", "x" * 10**6, "", "ba")
    found = [nearest(word, known) for word in words]
    assert found == [*known[:1] * 2, *known[1:], "regularized_evolution", None, None, None]
    assert nearest("x", ()) is None
    assert nearest("--", ("--at",)) is None
