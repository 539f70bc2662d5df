"""Settings: one definition each for the function, the option, config.json and the error; those of searchers as text."""

import argparse
import contextlib
import inspect
import json

import pytest

import jnas
from jnas import searchers
from jnas.commands._cli import _make_parser, main
from jnas.commands._predictors import _make_predictors
from jnas.core._folder import config_digest, historical_names, names_of_today
from jnas.searchers._recorded import arguments_of
from jnas.searchers._settings import read_settings, read_spec, setting_names
from jnas.searchers.predictors import _registry as predictors
from jnas.searchers.weight_sharing._registry import weight_sharing_entry, weight_sharing_names
from jnas.spaces._categorical import categorical
from jnas.studies import _memory
from jnas.studies._memory import check_memory, memory_words
from jnas.studies._settings import MAX_EVALUATIONS, NUM_SEEDS, SECONDS, Setting, add_settings, integer
from jnas.studies.predictors._settings import PREDICTOR_SETTINGS
from jnas.studies.predictors._study import predictor_study
from jnas.studies.proxies._settings import PROXY_SETTINGS
from jnas.studies.proxies._study import proxy_study
from jnas.studies.search._settings import SEARCH_SETTINGS
from jnas.studies.search._study import load_study, study
from jnas.studies.supernets._plan import supernet_methods
from jnas.studies.supernets._settings import LOOK_SETTINGS, SUPERNET_SETTINGS
from jnas.studies.supernets._study import supernet_study
from jnas.studies.trainings._settings import TRAINING_SEARCH_SETTINGS
from jnas.studies.trainings._study import training_search
from jnas.tables._make import make_table
from jnas.training.data._sources import load_dataset
from jnas.training.data._text import text_dataset
from jnas.training.networks._families import make_supernet
from tests._descriptions import read_said, write_said

KINDS = (
    (SEARCH_SETTINGS, study),
    (PREDICTOR_SETTINGS, predictor_study),
    (PROXY_SETTINGS, proxy_study),
    ((*SUPERNET_SETTINGS, *LOOK_SETTINGS), supernet_study),
    (TRAINING_SEARCH_SETTINGS, training_search),
)


@pytest.mark.parametrize(("settings", "function"), KINDS, ids=lambda each: getattr(each, "__name__", ""))
def test_the_function_has_the_same_names_and_defaults(settings, function):
    arguments = inspect.signature(function).parameters
    for setting in settings:
        if setting.of_study:
            default = arguments[setting.name].default
            assert default in (setting.default, 0, inspect.Parameter.empty), setting.name
            assert (default == setting.default) or setting.default is None, setting.name


def test_an_option_is_read_and_checked_under_each_of_its_names(capsys):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    width = Setting("some_width", integer(2, 9), "N", "how wide", 3, older=("width",))
    add_settings(parser, [width])
    assert parser.parse_args([]).some_width == 3
    assert parser.parse_args(["--some-width", "4"]).some_width == parser.parse_args(["--width", "4"]).some_width == 4
    assert "--width" not in parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--width", "9"])
    assert "argument --width: expected an integer from 2 to 8, not '9'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="some_width is 9, expected an integer from 2 to 8"):
        width.check(9)


def test_numbers_have_an_end():
    """So that what is made of them fits the integers of arrays, the machine and the patience of people."""
    assert NUM_SEEDS.read("1000000") == 1_000_000
    for setting, value, told in (
        (NUM_SEEDS, 10**9, "num_seeds is 1000000000, expected at most 1,000,000"),
        (NUM_SEEDS, 10**20, "expected at most 1,000,000"),
        (NUM_SEEDS, 10**5000, r"num_seeds is .*, expected at most 1,000,000"),
        (MAX_EVALUATIONS, 2**31, "max_evaluations is 2147483648, expected at most 2,147,483,647"),
        (Setting("budget_seconds", SECONDS), 1e300, "expected at most 1,000,000,000,000"),
        (Setting("budget_seconds", SECONDS), 10**400, "expected at most 1,000,000,000,000"),
        (Setting("budget_seconds", SECONDS), -1, "budget_seconds is -1, expected a positive number of seconds"),
    ):
        with pytest.raises(ValueError, match=told):
            setting.check(value)


def _options():
    """All options that take a word, each with the parser of its command and how many words that one needs besides."""
    parsers = [_make_parser()]
    while parsers:
        parser = parsers.pop()
        inner = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
        parsers += [each for choices in inner for each in choices.values()]
        needed = ["x" for a in parser._actions if not a.option_strings and not isinstance(a.choices, dict)]
        needed += [f"{a.option_strings[-1]}=x" for a in parser._actions if a.required and a.option_strings]
        for action in [] if inner else parser._actions:
            if action.option_strings and action.nargs is None:
                yield parser, action.option_strings[-1], needed


OPTIONS = tuple(_options())


def test_numbers_of_twenty_digits_are_refused_everywhere(capsys):
    read = []
    for parser, option, needed in OPTIONS:
        words = {w: _read(parser, [*needed, f"{option}={w}"], option) for w in ("7", "9" * 20)}
        if isinstance(words["7"], int | tuple) and words["7"] in (7, (7,)):
            read.append(option)
            assert words["9" * 20] is None or option in _NAMES_OF_RUNS, option
            assert words["9" * 20] is not None or "expected" in capsys.readouterr().err, option
    assert len(read) > 40
    assert {"--num-seeds", "--seeds", "--seed", "--channels", "--stage-cells", "--at", "--train-sizes"} <= {*read}


_NAMES_OF_RUNS = ("--reward", "--reduction")  # any integer; the table says which it has


def _read(parser, words, option):
    """What a parser makes of an option, None where it refuses it."""
    found = None
    with contextlib.suppress(SystemExit):
        found = parser.parse_args(words)
    return (
        None if found is None else getattr(found, next(a.dest for a in parser._actions if option in a.option_strings))
    )


def test_two_dashes_are_a_word_like_any_other(capsys):
    for parser, option, needed in OPTIONS:
        found = _read(parser, [*needed, f"{option}=--"], option)
        assert not isinstance(found, list) or found == ["--"], option  # of an option that may come several times
    for words, told in (
        (["study", "--table=--"], "there is no table at --;"),
        (["study", "--searchers=--"], "there is no searcher '--', expected one of"),
        (["study", "--seeds=--"], "argument --seeds: expected an integer of at least 1, not '--'"),
        (["table", "import", "arrays", "x", "--space=--", "-o", "y"], "there is no space '--', expected one of"),
        (["table", "query", "digits", "--", "--"], "'--' has 1 nodes"),
        (["table", "query", "--", "--", "0"], "there is no table at --;"),
    ):
        with contextlib.suppress(SystemExit):
            assert main(words) == 2
        assert told in capsys.readouterr().err


def test_memory_is_told_and_bounded(monkeypatch):
    assert memory_words(3e8) == ""
    assert memory_words(2.6e9) == "; its results take about 3 GB of memory"
    monkeypatch.setattr(_memory, "machine_bytes", lambda: 1e4)
    check_memory(1e4, 7)
    with pytest.raises(ValueError, match=r"num_seeds is 3, whose results .* expected at most about 1$"):
        study({"r": searchers.make("random_search", SPACE, (5.0,))}, TABLE, **CHOICE | {"max_evaluations": 200})


# Folders that were written under older names.

SPACE = categorical((3, 3))
TABLE = make_table(SPACE, accuracy={"validation": [float(i) for i in range(9)]}, dataset="data", epochs=5)
CHOICE = {"dataset": "data", "epochs": 5, "max_evaluations": 4, "num_seeds": 3}


def test_the_hash_of_a_configuration_is_taken_over_its_first_names():
    old = {"dataset": "d", "reduction": "mean", "evaluations": 4, "seeds": 3, "seed": 0, "seeds_per_program": {"a": 3}}
    new = names_of_today(old)
    assert list(new) == ["dataset", "reward", "max_evaluations", "num_seeds", "root_seed", "chunk"]
    assert historical_names(new) == old
    assert config_digest(new) == config_digest(old)
    assert config_digest(new) == "3865b7adcef9a4422e6079c2e2abae522923f0969052cf868e0e9ff797fd38ae"


def test_a_folder_with_older_names_goes_on(tmp_path):
    evolution = searchers.regularized_evolution(SPACE, population_size=2, sample_size=2)
    two = {"random": searchers.random_search(SPACE), "evolution": evolution}
    whole = study(two, TABLE, **CHOICE, out=tmp_path / "study")
    said = read_said(tmp_path / "study")
    apart = {"at", "num_python_seeds"}  # told by `epochs` and `of_epochs`, and by `fewer_seeds`
    apart |= {"objective", "workers", "objectives", "at_most"}  # told where they are not the usual ones
    assert {s.name for s in SEARCH_SETTINGS if s.of_study} - apart <= said["config"].keys()
    said["config"] = historical_names(said["config"])
    assert {"seeds", "seed", "evaluations", "reduction", "seeds_per_program"} <= said["config"].keys()
    write_said(tmp_path / "study", said, under_seal=False)
    loaded = load_study(tmp_path / "study")
    assert loaded.config == whole.config
    for config in (loaded.config, whole.config):  # scripts that read them by their older names go on working
        older = historical_names(config)
        assert all(config[name] == config.get(name) == value for name, value in older.items())
        assert json.loads(json.dumps(config)) == config == dict(config)
        assert config.get("nothing") is None
        with pytest.raises(KeyError, match="nothing"):
            config["nothing"]
    (tmp_path / "study" / "traces" / "evolution.npz").unlink()
    lines = []
    again = study(two, TABLE, **CHOICE, out=tmp_path / "study", log=lines.append)
    assert again.config == whole.config
    assert (again.searchers[1].final == whole.searchers[1].final).all()
    assert "done before" not in "".join(lines)
    with pytest.raises(ValueError, match="num_seeds is 3 there and 4 here"):
        study(two, TABLE, **{**CHOICE, "num_seeds": 4}, out=tmp_path / "study")


def test_seed_is_an_older_word_for_reward():
    one = {"random": searchers.random_search(SPACE)}
    found = study(one, TABLE, **CHOICE, seed="random")
    assert found.config["reward"] == "random"
    with pytest.raises(TypeError, match="seed is an older name of reward; pass reward alone"):
        study(one, TABLE, **CHOICE, seed=0, reward="random")
    with pytest.raises(ValueError, match=r"^reward is 7; for data with 5 epochs this table has"):
        study(one, TABLE, **CHOICE, seed=7)


# Searchers' own settings.


def test_a_text_is_a_name_a_level_and_settings():
    assert read_spec("bohb") == ("bohb", None, {})
    for text in ("bohb@12:eta=4:rounding=ceil", "bohb:eta=4@12:rounding=ceil", "bohb:eta=4:rounding=ceil@12"):
        assert read_spec(text) == ("bohb", "12", {"eta": "4", "rounding": "ceil"})
    for text in ("bohb:", "bohb:eta", "bohb:eta=", "bohb:=4", "bohb:eta=4:eta=5"):
        with pytest.raises(ValueError, match="expected each setting once, as in bohb:SETTING=VALUE"):
            read_spec(text)


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("regularized_evolution", {"population_size": "7", "aging": "False"}, {"population_size": 7, "aging": False}),
        ("regularized_evolution", {"num_init": "none"}, {"num_init": None}),
        ("bohb", {"eta": "4", "random_fraction": "0.5", "rounding": "ceil"}, None),
        ("bananas", {"acquisition": "ucb"}, {"acquisition": "ucb"}),
        ("reinforce", {"learning_rate": "1e-3"}, {"learning_rate": 0.001}),
    ],
)
def test_settings_have_the_kinds_of_the_factorys_arguments(name, given, read):
    found = read_settings("it", searchers.entry(name).factory, given)
    assert found == (read or {"eta": 4, "random_fraction": 0.5, "rounding": "ceil"})
    searchers.make(name, jnas.spaces.nasbench201(), **found)


def test_a_field_of_an_argument_is_changed_alone():
    factory = weight_sharing_entry("rsps").factory
    usual = inspect.signature(factory).parameters["selection"].default
    given = {"selection.num_candidates": "7", "selection.batch_norm": "running", "sgd.momentum": "0.5"}
    found = read_settings("it", factory, given, {"selection": usual._replace(batch_size=3)})
    assert found["selection"] == usual._replace(num_candidates=7, batch_norm="running", batch_size=3)
    assert found["sgd"].momentum == 0.5


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"popsize": "7"}, r"it has no setting 'popsize' \(did you mean 'population_size'\?\), expected one of pop"),
        ({"population_size": "ten"}, "population_size of it is 'ten', expected an integer"),
        ({"population_size": "1.5"}, "population_size of it is '1.5', expected an integer"),
        ({"aging": "1"}, "aging of it is '1', expected true or false"),
        ({"mutate": "f"}, "it has no setting 'mutate'"),
    ],
)
def test_wrong_settings_are_told_in_a_sentence(given, told):
    with pytest.raises(ValueError, match=told):
        read_settings("it", searchers.entry("regularized_evolution").factory, given)
    with pytest.raises(ValueError, match="it has no setting 'a', for it has none that a text can give"):
        read_settings("it", None, {"a": "1"})


def test_every_row_says_whose_settings_it_has():
    for name in searchers.names():
        assert setting_names(searchers.entry(name).factory) or name in ("random_search", "median_stopping")
    for name in predictors.names():
        assert setting_names(predictors.entry(name).factory)
    for name in weight_sharing_names():
        assert "sgd.learning_rate" in setting_names(weight_sharing_entry(name).factory)


def test_two_settings_of_a_searcher_stand_side_by_side(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    two = [f"regularized_evolution:population_size={n}:sample_size=4" for n in (5, 20)]
    words = ["study", "--searchers", ",".join(two), "--num-seeds", "3", "--max-evaluations", "30", "--out", "here"]
    assert main(words) == 0
    found = load_study("here")
    assert found.config["searchers"] == [s.name for s in found.searchers] == two
    one, other = (s.traces.arch for s in found.searchers)
    assert one.shape != other.shape or (one != other).any()
    assert main(words) == 0
    assert "all of it was done before" in capsys.readouterr().out
    for text, told in (
        ("evolution:a=1", "there is no searcher 'evolution'"),
        (
            "bohb:population=1",
            "the searcher bohb has no setting 'population' (did you mean 'top_fraction'?), expected one of eta, ",
        ),
        ("regularized_evolution:population_size=x", "population_size of the searcher regularized_evolution is 'x'"),
        ("regularized_evolution:population_size=0", "regularized_evolution:population_size=0: population_size is 0"),
    ):
        assert main(["study", "--searchers", text, "--out", "there"]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
    assert main(["study", "--searchers", "help"]) == 0
    assert "\n  hyperband: eta, rounding\n" in capsys.readouterr().out


def test_settings_of_weight_sharing_searches_are_told():
    digits = load_dataset("digits")
    net = make_supernet(digits, channels=2, cells=1)
    texts = ("rsps:selection.num_candidates=7:epochs=3", "rsps", "darts-v1:adam.learning_rate=0.01")
    made = supernet_methods(texts, net, digits, selection={"batch_norm": "running"}, batch_size=64)
    assert [m.epochs for m in made.values()] == [3, 250, 50]
    assert [dict(m.settings) for m in made.values()] == [
        {"batch_norm": "running", "num_candidates": 7, "epochs": 3},
        {"batch_norm": "running"},
        {"adam.learning_rate": 0.01},
    ]
    with pytest.raises(
        ValueError, match=r"the searcher rsps has no setting 'selection.candidates' \(did you mean 'sel"
    ):
        supernet_methods(["rsps:selection.candidates=7"], net, digits)
    with pytest.raises(ValueError, match=r"rsps:selection\.num_candidates=0: .*num_candidates is 0"):
        supernet_methods(["rsps:selection.num_candidates=0"], net, digits)


def test_a_rate_that_does_not_fall_is_changed_as_a_whole():
    """Texts are published with one rate for all of a search; a smaller one must not climb to it."""
    text = text_dataset({"train": [["a", "b"] * 200], "validation": [["a", "b"] * 200]})
    net = make_supernet(text, channels=2, space="recurrent", nodes=2)
    names = "spos", "spos:sgd.learning_rate=2.5", "darts-v1:sgd.learning_rate=3:sgd.final_learning_rate=1"
    made = supernet_methods(names, net, text, epochs=1, batch_size=4)
    sgd = [arguments_of(each.searcher)["sgd"] for each in made.values()]
    assert [(each["learning_rate"], each["final_learning_rate"]) for each in sgd] == [(20, 20), (2.5, 2.5), (3, 1)]
    digits = load_dataset("digits")
    falls = supernet_methods(["rsps:sgd.learning_rate=0.5"], make_supernet(digits, channels=2, cells=1), digits)
    found = arguments_of(falls["rsps:sgd.learning_rate=0.5"].searcher)["sgd"]
    assert (found["learning_rate"], found["final_learning_rate"]) == (0.5, 0.001)


def test_settings_of_predictors_stand_side_by_side():
    texts = ("random_forest:num_trees=3", "random_forest")
    made, encodings = _make_predictors(texts, None, jnas.spaces.nasbench201())
    assert list(made) == list(encodings) == list(texts)
    with pytest.raises(ValueError, match="the predictor random_forest has no setting 'trees'"):
        _make_predictors(["random_forest:trees=3"], None, jnas.spaces.nasbench201())
    with pytest.raises(ValueError, match="predictors have no meaning for"):
        _make_predictors(["random_forest@3"], None, jnas.spaces.nasbench201())
