"""Searchers and predictors say what they were made with, and folders of studies are told apart by that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnas import spaces
from jnas.core._folder import config_digest, open_result_folder
from jnas.pages._settings import settings_section
from jnas.searchers import Sgd, make_weight_sharing, predictors
from jnas.searchers import _registry as registry
from jnas.searchers._recorded import arguments_of
from jnas.searchers.black_box._tpe import tpe
from jnas.searchers.weight_sharing._registry import weight_sharing_entry
from jnas.studies._compared import made_with
from jnas.studies.supernets._results import FOLDER
from tests._toy_supernet import TOY

SPACE = spaces.nasbench201()


def begin(out, **made):
    config = {"num_seeds": 3} | ({"made_with": made} if made else {})
    return open_result_folder(out, {**FOLDER.header, "versions": {}, "config": config, "targets": []}, FOLDER)


def test_a_folder_goes_on_with_the_same_arguments_alone(tmp_path):
    mine = {"order": "first", "sgd": {"clip": 5.0, "nesterov": True}}
    begin(tmp_path / "said", mine=mine)
    begin(tmp_path / "said", mine=mine | {"added": 1, "sgd": {**mine["sgd"], "added": 2}})  # since: as it was before
    with pytest.raises(ValueError, match=r"configuration: mine\.sgd\.clip is 5\.0 there and 1\.0 here\. Give another"):
        begin(tmp_path / "said", mine={"order": "first", "sgd": {"clip": 1.0}})
    begin(tmp_path / "before")
    said = begin(tmp_path / "before", mine=mine)[1]  # which says nothing of them
    assert config_digest(said["config"]) == config_digest(said["config"] | {"made_with": {"mine": mine}})


def test_published_settings_and_defaults_are_said():
    for name in ("darts-v2", "pc-darts", "spos"):
        told = arguments_of(make_weight_sharing(name, TOY, steps_per_epoch=2, epochs=4, sgd=Sgd(0.5)))
        assert told["sgd"]["learning_rate"] == 0.5
        assert told["sgd"]["clip"] == Sgd(0.5).clip
        rest = {key: value for key, value in weight_sharing_entry(name).settings.items() if key not in ("sgd", "adam")}
        assert told.items() >= rest.items()
    made = {name: registry.make(name, SPACE) for name in registry.names(space=SPACE)}
    silent = [name for name, searcher in made.items() if not searcher.made_with]
    assert silent == ["random_search"]
    told = made_with(made)["made_with"]
    assert told["regularized_evolution"]["name"] == "regularized_evolution"  # so that no other goes on under a name
    assert told["regularized_evolution"]["population_size"] == 10
    assert told["regularized_evolution"]["mutation"] == "node_then_edge"
    assert told["naszilla_evolution"]["population_size"] == 29
    assert told["bananas"]["predictor"]["name"] == "mlp_ensemble"
    assert told["bananas"]["predictor"]["epochs"] == 150
    assert told["gp_bayesopt"]["candidates"]["name"] == "mutations"  # settings that are functions know theirs too
    assert told["gp_bayesopt"]["candidates"]["num_candidates"] == 475
    assert all(predictors.make(name, spaces.nasbench101())[0].made_with for name in predictors.names())


def test_pages_say_arguments_by_row():
    mine = {"name": "mine", "order": "first", "sgd": {"clip": 5.0, "period": None}}
    config = {"made_with": {"mine": mine, "other": {"name": "tpe"}}, "num_seeds": 3}
    text = str(settings_section([config], [{}], [""], ""))
    assert ">mine, made with</" in text
    assert ">order=first, sgd.clip=5, sgd.period=none</" in text
    assert ">name=tpe</" in text
    assert ">made_with</" not in text


def test_rates_that_are_traced_and_kinds_without_a_place_in_json():
    told = []

    def sweep(rate):
        searcher = registry.make("reinforce", SPACE, learning_rate=rate)
        told.append(arguments_of(searcher)["learning_rate"])
        return searcher.init(jax.random.key(0), 4).key

    jax.eval_shape(jax.vmap(sweep), jnp.ones(2))
    assert told == ["traced"]
    assert arguments_of(tpe(SPACE, prior_weight=jnp.float32(0.5)))["prior_weight"] == 0.5
    assert arguments_of(registry.make("regularized_evolution", SPACE, aging=np.bool_(False)))["aging"] is False
