"""The commands as a user types them: what they print, how they fail, and that they leave no traceback."""

import argparse
import csv
import importlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jnas import __version__
from jnas.commands import _study, _table
from jnas.commands._cli import _as_typed, _make_parser, main
from jnas.io import _progress
from jnas.io._compilation_cache import _own_folder
from jnas.searchers import _registry
from jnas.studies.search import _report
from jnas.studies.search._plan import SearchPlan
from jnas.studies.search._study import load_study
from jnas.tables._file import save_arrays
from jnas.tables._load import load_table
from jnas.tables._synthetic import synthetic_table
from tests._processes import start_jnas

pytestmark = pytest.mark.usefixtures("studies_compiled_once")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of made-up numbers with two seeds of each training."""
    path = tmp_path_factory.mktemp("tables") / "synthetic.npz"
    save_arrays(path, *synthetic_table("nasbench201", seed=0, num_seeds=2, curves=False))
    return path


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_study, "use_compilation_cache", lambda: None)


@pytest.fixture
def plain_page(monkeypatch):
    """A page without pictures, which take longer than the studies here, for tests that do not look at it."""
    monkeypatch.setattr(_report, "search_report", lambda results, space: "<html>")


def fails(capsys, *words) -> str:
    """Runs a command that must fail as users' mistakes do, and returns its sentence."""
    try:
        status = main([str(w) for w in words])
    except SystemExit as end:  # argparse
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in err
    assert not out
    return err


def works(capsys, *words) -> str:
    assert main([str(w) for w in words]) == 0
    out, err = capsys.readouterr()
    assert not err  # nothing is drawn where there is no terminal
    return out


def command(*words) -> dict:
    """Arguments of a subprocess that runs a command."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return {"args": [sys.executable, "-m", "jnas", *map(str, words)], "env": env, "cwd": os.getcwd()}


# Studies.


def test_study_leaves_a_folder_and_prints_its_table(table, capsys, monkeypatch):
    words = ("study", "--table", table, "--searchers", "random_search,regularized_evolution", "--seeds", 6)
    out = works(capsys, *words)
    lines = out.splitlines()
    assert lines[0] == (
        "2 searchers x 6 seeds on synthetic nasbench201: cifar10 validation accuracy after 12 epochs "
        "(mean over training seeds), 12,000 simulated seconds a search (about 116 evaluations)"
    )
    assert lines[1].startswith("estimate: about ")
    assert re.search(r"^regularized_evolution( +\d+\.\d\d \(\d+\.\d\d\)){7}$", out, re.M)
    assert re.search(r"^optimum( +\d+\.\d\d){7}$", out, re.M)
    summary, report = (Path(line.split(": ")[1]) for line in lines[-2:])
    assert report.name == "report.html"
    assert report.exists()
    assert report.parent.parent == Path("jnas-study")
    rows = list(csv.DictReader(io.StringIO(summary.read_text())))
    assert list(rows[0]) == ["searcher", "dataset", "split", "epochs", "seeds", "mean", "std", "ci_low", "ci_high"]
    columns = list(itertools.product(("cifar10", "cifar100", "ImageNet16-120"), ("validation", "test")))
    assert [(r["searcher"], r["dataset"], r["split"]) for r in rows] == [
        (name, *column) for name in ("random_search", "regularized_evolution") for column in columns
    ]
    assert {(r["epochs"], r["seeds"]) for r in rows} == {("200", "6")}
    found = load_study(report.parent)
    assert found.config["command"] == "jnas " + " ".join(map(str, words))
    assert found.config["table_path"] == str(table)
    again = works(capsys, *words).splitlines()  # the same command finds the folder again
    assert again[1] == "all of it was done before"
    assert again[2:] == lines[2:]
    folders = []

    def carry_out(plan, table, *, out, log):
        folders.append(out)
        raise ValueError("enough")

    monkeypatch.setattr(_study, "carry_out_search", carry_out)
    fails(capsys, *words)
    fails(capsys, *words[:-1], 5)
    assert folders[0] == report.parent
    assert folders[1] != report.parent == Path("jnas-study") / report.parent.name


def test_options_of_a_study_reach_it(table, capsys, plain_page):
    options = {
        "--searchers": "random_search,successive_halving,successive_halving@12",
        "--num-seeds": 3,
        "--root-seed": 5,
        "--budget-seconds": 30_000,
        "--dataset": "cifar100",
        "--epochs": "12,200",
        "--split": "validation",
        "--reward": "random",
        "--overshoot": "keep",
        "--out": "here",
    }
    works(capsys, "study", "--table", table, *itertools.chain(*options.items()))
    config = load_study("here").config
    told = [
        config[n]
        for n in ("searchers", "num_seeds", "root_seed", "budget_seconds", "max_evaluations", "dataset", "epochs")
    ]
    assert told == [
        ["random_search", "successive_halving", "successive_halving@12"],
        3,
        5,
        30_000.0,
        None,
        "cifar100",
        [12, 200],
    ]
    assert (config["split"], config["reward"], config["overshoot"]) == ("validation", "random", "keep")
    found = {s.name: s for s in load_study("here").searchers}
    assert set(np.unique(found["successive_halving"].traces.fidelity)) == {0, 1}
    assert set(np.unique(found["successive_halving@12"].traces.fidelity)) == {0}
    assert (found["random_search"].elapsed[:, -1] >= 30_000).all()


def test_defaults_are_the_quick_searchers_and_the_papers_setting(table, capsys, monkeypatch):
    plans = []

    def carry_out(plan, table, *, out, log):
        plans.append(plan)
        raise ValueError("enough")

    monkeypatch.setattr(_study, "carry_out_search", carry_out)
    fails(capsys, "study", "--table", table)
    fails(capsys, "study", "--table", table, "--searchers", "all", "--epochs", "12,200", "--evaluations", 7)
    fails(capsys, "study", "--table", table, "--epochs", "12,200", "--seeds", 501)
    fails(capsys, "study", "--table", table, "--searchers", "random_search,all")
    default, everything, several, both = plans
    one = ["random_search", "regularized_evolution", "reinforce", "local_search", "bohb"]
    assert list(default.searchers) == one  # without those that are random search on one training
    assert list(several.searchers) == [*one, "bohb@12", "successive_halving", "hyperband"]
    assert set(several.widths.values()) == {251}  # as even as possible, at most 500
    assert set(both.searchers) == set(_registry.names())
    config = default.config
    assert (config["num_seeds"], config["budget_seconds"], config["max_evaluations"]) == (500, 12_000.0, None)
    assert (config["dataset"], config["epochs"], config["reward"], config["overshoot"], config["root_seed"]) == (
        "cifar10",
        [12],
        "mean",
        "discard",
        0,
    )
    assert set(everything.searchers) >= set(_registry.names()) | {"bohb@12"}
    assert (everything.config["budget_seconds"], everything.config["max_evaluations"]) == (None, 7)
    assert SearchPlan is type(default)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--searchers", "randm"],
            "there is no searcher 'randm'; did you mean 'random_search'? expected",
        ),
        (
            ["--searchers", "all,randm"],
            "there is no searcher 'randm'; did you mean 'random_search'? expected",
        ),
        (["--searchers", "all,bohb@13"], "expected one of those of the study: 12"),
        (["--searchers", ","], "expected names with commas between them"),
        (["--searchers", "bohb@100", "--epochs", "12,200"], "expected one of those of the study: 12, 200"),
        (["--seeds", "0"], "argument --seeds: expected an integer of at least 1, not '0'"),
        (["--seeds", "many"], "expected an integer of at least 1, not 'many'"),
        (["--seed", "-1"], "argument --seed: expected"),
        (["--seed", str(2**32)], "argument --seed: expected an integer from 0 to 4294967295"),
        (["--budget-seconds", "nan"], "expected a positive number of seconds, not 'nan'"),
        (["--budget-seconds", "5"], "less than the cheapest evaluation"),
        (["--evaluations", "1.5"], "expected an integer"),
        (["--epochs", "200,12"], "expected numbers of epochs that ascend"),
        (["--epochs", "13"], "no training on dataset='cifar10-valid' for epochs=13; it has"),
        (["--dataset", "cifar11"], "no training on dataset='cifar11'"),
        (["--split", "tset"], "no tset accuracy of cifar10 with 12 epochs; give --split "),
        (["--reward", "5"], "reward is 5; for cifar10-valid with 12 epochs this table has seeds 777, 888"),
        (["--reward", "best"], "expected mean, random or the name of a training seed, not 'best'"),
        (["--overshoot", "forget"], "invalid choice: 'forget'"),
        (["--out", "file/study"], "cannot make the folder file/study: Not a directory"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--tabel", "x"], "unrecognized arguments: --tabel x; did you mean '--table'? (see `jnas study"),
        (["--overshoot", "keeps"], "invalid choice: 'keeps'; did you mean 'keep'? expected one of discard, keep"),
    ],
)
def test_mistakes_are_told_in_a_sentence(table, capsys, words, told):
    Path("file").write_text("")
    assert told in fails(capsys, "study", "--table", table, *words)
    assert [p.name for p in Path().iterdir()] == ["file"]


def test_tables_that_are_none_are_refused(table, capsys):
    assert "there is no table at nowhere.npz" in fails(capsys, "study", "--table", "nowhere.npz")
    Path("text.npz").write_text("hello")
    assert "not a table file" in fails(capsys, "study", "--table", "text.npz")
    Path("cut.npz").write_bytes(table.read_bytes()[:100_000])
    assert "cut off" in fails(capsys, "table", "show", "cut.npz")
    np.savez("arrays.npz", a=np.zeros(3))
    assert "`jnas table import arrays`" in fails(capsys, "table", "query", "arrays.npz", "0")


def test_budget_in_seconds_needs_a_table_with_times(capsys):
    header, arrays = synthetic_table("nats_size", seed=0, num_seeds=1, curves=False)
    save_arrays("t.npz", header, {n: a for n, a in arrays.items() if not n.startswith("train_seconds/")})
    told = fails(capsys, "study", "--table", "t.npz", "--budget-seconds", 100)
    assert "this table has no times for cifar10 with 12 epochs, so that --budget-seconds has no meaning; give" in told


def test_times_of_another_data_set_do_not_count(capsys, plain_page):
    header, arrays = synthetic_table("nasbench201", seed=0, num_seeds=1, curves=False)
    kept = {n: a for n, a in arrays.items() if not n.startswith(("train_seconds/cifar100/", "train_seconds/Image"))}
    unknown = {n: np.full_like(arrays[n], np.nan) for n in arrays if n.startswith("train_seconds/Image")}
    save_arrays("t.npz", header, kept | unknown)
    study = ("study", "--table", "t.npz", "--searchers", "random_search", "--seeds", 2)
    for dataset in ("cifar100", "ImageNet16-120"):
        told = fails(capsys, *study, "--dataset", dataset, "--budget-seconds", 100)
        assert (
            f"no times for {dataset} with 12 epochs, so that --budget-seconds has no meaning; give --max-eval" in told
        )
    assert "100 evaluations a search" in works(capsys, *study, "--dataset", "cifar100")
    assert "12,000 simulated seconds a search" in works(capsys, *study, "--dataset", "cifar10")  # that is cifar10-valid
    told = fails(capsys, *study, "--epochs", 13, "--budget-seconds", 100)
    assert "no training on dataset='cifar10-valid' for epochs=13" in told


def test_another_study_in_the_folder_is_refused(table, capsys, plain_page):
    words = ("study", "--table", table, "--searchers", "random_search", "--evaluations", 4, "--out", "here")
    works(capsys, *words, "--seeds", 2)
    told = fails(capsys, *words, "--seeds", 1)  # more of them go on with it
    assert told == (
        "jnas: error: here holds a study with another configuration: --num-seeds is 2 there and 1 here. "
        "Give another --out\n"
    )


def test_report_remakes_and_compares(table, capsys):
    for folder, seed in (("a", 0), ("b", 1)):
        words = ("--searchers", "random_search", "--evaluations", 4, "--targets", "cifar10:test:200")  # few pictures
        words += ("--seeds", 3, "--seed", seed, "--out", folder)
        works(capsys, "study", "--table", table, *words)
    page = Path("a/report.html").read_text()
    Path("a/report.html").unlink()
    assert works(capsys, "report", "a") == "report: a/report.html\n"
    assert Path("a/report.html").read_text() == page
    assert works(capsys, "report", "a", "b") == "report: jnas-report.html\n"
    assert works(capsys, "report", "a", "b", "-o", "both.html") == "report: both.html\n"
    assert Path("both.html").read_text() == Path("jnas-report.html").read_text() != page
    works(capsys, "study", "--table", table, *words[:-1], "a-name-of-its-own")
    works(capsys, "report", "a", "a-name-of-its-own", "-o", "named.html")
    assert "a-name-of-its-own" in re.sub("--out [^<]*", "", Path("named.html").read_text())
    assert "there is no folder c" in fails(capsys, "report", "a", "c")
    assert "cannot write nowhere/both.html: No such file" in fails(
        capsys, "report", "a", "b", "-o", "nowhere/both.html"
    )
    assert "b is a folder" in fails(capsys, "report", "a", "-o", "b")
    next(Path("a/traces").iterdir()).unlink()
    assert main(["report", "a"]) == 0
    assert "jnas: a is not finished: without random_search" in capsys.readouterr().err


def test_bar_is_drawn_on_terminals_alone(table, capsys, monkeypatch, plain_page):
    monkeypatch.setattr(_progress, "_is_terminal", lambda: True)
    words = ("study", "--table", table, "--searchers", "random_search", "--evaluations", 4, "--seeds", 2)
    assert main([*map(str, words), "--out", "here"]) == 0
    _, err = capsys.readouterr()
    assert re.search(r" %\|.*\| 00:\d\d, \d+ s left, random_search: preparing", err)
    assert re.search(r"100 %\|█+\| .* left, random_search: searching|left, writing the report", err)
    assert err.rstrip(" ").endswith("\r")  # it is gone when the results come
    assert main(["table", "synthesize", "-o", "t.npz"]) == 0


def test_interrupted_study_says_that_it_goes_on(table, capsys, monkeypatch):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_study, "run_study", interrupt)
    assert main(["study", "--table", str(table)]) == 130
    assert capsys.readouterr().err == "jnas: stopped; the same command goes on from here, to the same results\n"


# Tables.


def test_tables_are_made_shown_and_asked(capsys):
    out = works(capsys, "table", "synthesize", "-o", "t.npz", "--space", "nats_size")
    assert out.startswith("t.npz: synthetic nats_size, 32,768 architectures, ")
    assert out.endswith("see what it holds: jnas table show t.npz\n")
    shown = works(capsys, "table", "show", "t.npz")
    assert "note: not measurements: made-up numbers" in shown
    table = load_table("t.npz")
    one = works(capsys, "table", "query", "t.npz", "5", "--dataset", "cifar100", "--epochs", "12")
    assert one.startswith(f"architecture 5: {table.text(5)}\n")
    assert one == works(capsys, "table", "query", "t.npz", table.text(5), "--dataset", "cifar100", "--epochs", "12")
    accuracy = float(table.accuracy(5, dataset="cifar100", split="x-valid", epochs=12, seed="mean"))
    assert re.search(rf"mean  x-valid +{accuracy:.2f}", one)
    assert "index 99999 is not of this table" in fails(capsys, "table", "query", "t.npz", "99999")
    fails(capsys, "table", "query", "t.npz", "8:8:8")
    assert "at is 3, but none of the trainings" in fails(capsys, "table", "query", "t.npz", "5", "--at", "3")
    assert "no training on dataset='mnist'" in fails(capsys, "table", "query", "t.npz", "5", "--dataset", "mnist")


def test_arrays_are_imported(capsys, shared_data):
    source = shared_data / "nasbench201" / "nasbench201.npz"
    out = works(capsys, "table", "import", "arrays", source, "--space", "nasbench201", "-o", "t.npz")
    assert out.startswith("t.npz: NAS-Bench-201, 15,625 architectures, ")
    shown = works(capsys, "table", "show", "t.npz")
    assert "no validation time" in shown


def test_published_folders_are_imported(capsys, shared_data):
    source = shared_data / "nasbench201" / "NATS-tss-v1_0-3ffb9-simple"
    works(capsys, "table", "import", "nats-bench", source, "-o", "t.npz")
    assert Path("t.npz").stat().st_size < 2e6  # of the 15,625 architectures it has three: the others take no room
    assert re.search(r"^cifar10-valid, 12 epochs +x-valid +3 ", works(capsys, "table", "show", "t.npz"), re.M)


OWN = {"num_choices": [2, 3], "names": [["relu", "gelu"], ["16", "32", "64"]], "name": "own"}
OWN_MAPPING = {
    "architectures": {"array": "archs"},
    "trainings": [{"dataset": "d", "epochs": 2, "seeds": []}],
    "members": {"accuracy_mean/d/2/validation": {"array": "percent"}, "parameters/d": {"array": "millions"}},
}


@pytest.fixture
def own_arrays():
    """Arrays of a user's own space, whose architectures are strings, with a mapping."""
    archs = [f"{a}|{b}" for a in OWN["names"][0] for b in OWN["names"][1]]
    np.savez("own.npz", archs=archs, percent=np.arange(6) + 70.0, millions=np.arange(6) + 0.5)
    Path("mapping.json").write_text(json.dumps(OWN_MAPPING))
    Path("space.json").write_text(json.dumps(OWN))
    return ("table", "import", "arrays", "own.npz", "--mapping", "mapping.json", "--space")


def test_a_space_of_ones_own_is_imported(capsys, own_arrays):
    works(capsys, *own_arrays, "space.json", "-o", "t.npz")
    found = works(capsys, "table", "query", "t.npz", " gelu | 32\n")
    assert "architecture 4: gelu|32" in found
    assert "d: 4.5 M parameters" in found
    works(capsys, *own_arrays, "t.npz", "--compress", "-o", "small.npz")  # the space of a table
    assert load_table("small.npz").space is load_table("t.npz").space
    kinds = [{i.compress_type for i in zipfile.ZipFile(name).infolist()} for name in ("t.npz", "small.npz")]
    assert kinds == [{zipfile.ZIP_STORED}, {zipfile.ZIP_DEFLATED}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "the space space.json is not JSON"),
        ("[" * 100_000, "the space space.json is not JSON"),
        ("[2, 3]", "is a JSON list, expected an object"),
        ("{}", "does not describe a space: .*num_choices.*; expected an object such as .*num_choices"),
        ('{"num_choices": [1, 1]}', "no decision has two choices"),
        ('{"kind": "catgorical", "num_choices": [2, 3]}', "'catgorical', which jnas does not have"),
        ('{"num_choices": [2, 2]}', "no string of the space"),
        (None, "there is no space at space.json"),
    ],
)
def test_files_that_are_no_space_are_refused(capsys, own_arrays, text, told):
    if text is None:
        Path("space.json").unlink()
    else:
        Path("space.json").write_text(text)
    assert re.search(told, fails(capsys, *own_arrays, "space.json", "-o", "t.npz"))
    assert not Path("t.npz").exists()


def test_imports_that_cannot_be_are_refused(capsys):
    Path("hostile.pth").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    np.savez("empty.npz", a=np.zeros(3))
    arrays = ("table", "import", "arrays", "empty.npz", "-o", "t.npz", "--space")
    fails(capsys, "table", "import", "nas-bench-201", "hostile.pth", "-o", "t.npz")
    assert "there is no" in fails(capsys, "table", "import", "nats-bench", "nowhere", "-o", "t.npz")
    assert "there is no" in fails(capsys, "table", "import", "nas-bench-201", "nowhere.pth", "-o", "t.npz")
    assert "there is no space 'x', expected one of nasbench101" in fails(capsys, *arrays, "x")
    assert "has no default mapping" in fails(capsys, *arrays, "nats_size")
    assert "there is no mapping at m.json" in fails(capsys, *arrays, "nats_size", "--mapping", "m.json")
    fails(capsys, *arrays, "nasbench201")
    assert "arguments are required: -o/--output" in fails(capsys, "table", "synthesize")
    assert sorted(p.name for p in Path().iterdir()) == ["empty.npz", "hostile.pth"]


def test_places_that_cannot_be_written_are_said_before_the_work(capsys, monkeypatch):
    monkeypatch.setattr(_table, "synthetic_table", None)
    told = fails(capsys, "table", "synthesize", "-o", "nowhere/t.npz")
    assert told == "jnas: error: cannot write nowhere/t.npz: No such file or directory\n"
    Path("folder").mkdir()
    assert "folder is a folder, expected a file" in fails(capsys, "table", "synthesize", "-o", "folder")


@pytest.mark.slow
def test_table_report(table, capsys):
    assert works(capsys, "table", "report", table, "-o", "page.html") == "report: page.html\n"
    assert "<html" in Path("page.html").read_text()


# The program as a whole.


def test_help_names_every_command_and_searcher(capsys):
    for words in ([], ["study"], ["report"], ["table"], ["table", "import"], ["table", "import", "arrays"]):
        with pytest.raises(SystemExit) as end:
            main([*words, "--help"])
        assert end.value.code == 0
        out = capsys.readouterr().out
        assert out.startswith("usage: jnas ")
        if words == ["study"]:
            flat = " ".join(out.split())
            assert all(name in flat for name in _registry.names())
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"jnas {__version__}\n"
    assert _make_parser().prog == "jnas"


def test_searchers_are_described(capsys):
    out = works(capsys, "study", "--searchers", "help")
    for name in _registry.names():
        assert re.search(rf"^{name} +{re.escape(_registry.entry(name).description)}$", out, re.M)
    assert "on one training: random_search, regularized_evolution, reinforce, local_search, bohb\n" in out


def test_help_does_not_wait_for_jax():
    code = (
        "import sys, jnas.commands._cli; jnas.commands._cli._make_parser().format_help(); "
        "print({'jax', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=command()["env"], capture_output=True, text=True, check=True
    )
    assert found.stdout == "set()\n"


def test_every_command_finds_its_work():
    parsers, works = [_make_parser()], set()
    while parsers:
        parser = parsers.pop()
        parsers += [each for a in parser._actions if isinstance(a.choices, dict) for each in a.choices.values()]
        works |= {parser.get_default("run")} - {None}
    assert len(works) == 23
    for module, function in (work.split(":") for work in works):
        assert callable(getattr(importlib.import_module(f"jnas.commands.{module}"), function))


def test_output_that_nobody_reads_or_takes(table):
    """A closed pipe ends a command quietly, a full disk with a sentence."""
    reader, writer = os.pipe()
    os.close(reader)
    closed = subprocess.run(**command("table", "show", table), stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (closed.returncode, closed.stderr) == (141, "")
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            found = subprocess.run(**command("table", "show", table), stdout=full, stderr=subprocess.PIPE, text=True)
        assert found.returncode == 2
        assert found.stderr == "jnas: error: cannot write the output: No space left on device\n"


@pytest.mark.slow
def test_killed_study_goes_on_to_the_same_numbers(table, tmp_path):
    """kill -9 after the first searcher, then Ctrl-C, then the rest: the same bytes as an unbroken study."""
    words = ("study", "--table", table, "--searchers", "random_search,regularized_evolution", "--seeds", 20)
    words = (*words, "--budget-seconds", 3000, "--out")
    own = {"output": tmp_path / "told", "cache": tmp_path / "cache"}
    first = tmp_path / "broken" / "traces" / "random_search.npz"
    running = start_jnas(*words, "broken", **own)
    running.wait_until(first.exists)
    running.stop()
    assert running.wait().returncode == -signal.SIGKILL
    assert not (tmp_path / "broken" / "summary.csv").exists()
    saved = first.read_bytes()
    running = start_jnas(*words, "broken", **own)
    running.wait_until(running.said)
    running.stop(signal.SIGINT)
    done = running.wait(120)
    told = "jnas: stopped; the same command goes on from here, to the same results\n"
    assert (done.returncode, done.stderr) == (130, told)
    for folder in ("broken", "whole"):
        done = start_jnas(*words, folder, **own).wait()
        assert (done.returncode, done.stderr) == (0, "")
    assert first.read_bytes() == saved
    broken, whole = load_study(tmp_path / "broken"), load_study(tmp_path / "whole")
    for a, b in zip(broken.searchers, whole.searchers, strict=True):
        for name, x, y in zip(a.traces._fields, a.traces, b.traces, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)
        np.testing.assert_array_equal(a.values, b.values)
    assert (tmp_path / "broken/summary.csv").read_bytes() == (tmp_path / "whole/summary.csv").read_bytes()
    folder = tmp_path / "cache" / "jnas" / "xla"
    assert any(folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_only_a_cache_folder_of_ones_own_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = _own_folder()
    assert folder == tmp_path / "cache" / "jnas" / "xla"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o770)
    assert _own_folder() is None
    folder.chmod(0o700)
    assert _own_folder() == folder
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("")
    assert _own_folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    assert _own_folder() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _own_folder() == tmp_path / "home" / ".cache" / "jnas" / "xla"


def test_errors_name_what_was_typed(tmp_path, capsys):
    missing = tmp_path / "data_dir is"
    assert main(["train", "0", "--dataset", "cifar10", "--data-dir", str(missing), "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == f"jnas: error: --data-dir is {missing}, which does not exist\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pass the folder that has it as data_dir; or", "pass the folder that has it as --data-dir; or"),
        ("--data-dir and data_dir: num_seeds", "--data-dir and --data-dir: --num-seeds"),
        ("the file my_data_dir or data_dir.npz or /a/data_dir", "the file my_data_dir or data_dir.npz or /a/data_dir"),
        ("bananas:num_seeds=0: num_seeds is 0", "bananas:num_seeds=0: num_seeds is 0"),
        ("epochs and sample_size are not", "epochs and sample_size are not"),
    ],
)
def test_names_of_arguments_become_options(text, told):
    parser = argparse.ArgumentParser()
    for name in ("data-dir", "num-seeds", "epochs"):
        parser.add_argument(f"--{name}")
    assert _as_typed(text, parser) == told
