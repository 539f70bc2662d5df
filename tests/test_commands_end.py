"""How commands end that are stopped, whose streams are closed or poor, or whose machine is not up to their work."""

import contextlib
import gc
import importlib
import io
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import jax
import pytest

from jnas import __main__
from jnas.commands import _build, _predictors, _report, _study, _supernet, _table, _train
from jnas.commands._cli import main
from jnas.commands._interrupt import leave_at_interrupt, say_when_stopped
from jnas.commands._streams import prepare_streams
from jnas.io._atomic import replacing
from jnas.io._lock import alone_in
from jnas.io._workers import leave_with_parent
from tests._processes import start

# Ctrl-C.


def deaf():
    """Work that never hears of an exception."""
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(60)


class Deaf:
    def __del__(self):
        deaf()


def collect():
    """Garbage collection with a callback, as jax has one: what is raised in it is lost."""
    gc.callbacks.append(lambda phase, info: deaf())
    gc.collect()


def waiting(where):
    leave_at_interrupt()
    say_when_stopped("the same command goes on")
    with alone_in(Path.cwd()), replacing("a.npz") as file:
        file.write(b"half")
        Path("begun").touch()
        {"a loop": deaf, "a destructor": Deaf, "garbage collection": collect}[where]()


@pytest.mark.parametrize("where", ["a loop", "a destructor", "garbage collection"])
def test_ctrl_c_ends_work_that_hears_no_exception(tmp_path, where):
    running = start(waiting, where, output=tmp_path / "told", folder=tmp_path)
    running.wait_until((tmp_path / "begun").exists)
    running.stop(signal.SIGINT)
    ended = running.wait(20)
    assert (ended.returncode, ended.stderr) == (130, "jnas: stopped; the same command goes on\n")
    assert sorted(os.listdir(tmp_path)) == ["begun", "told.stderr", "told.stdout"]


def saving(first, then):
    """Work in a folder that keeps a file once it was told to end; before that, one that is there already."""
    leave_at_interrupt()
    say_when_stopped("the same command goes on")
    with alone_in(Path.cwd()):
        keep("one.npz")
        Path("begun").touch()
        time.sleep(first)
        keep("two.npz")
        time.sleep(then)


def keep(name):
    with replacing(name) as file:
        file.write(b"whole")


TOLD_TO_END = "jnas: told to end (SIGTERM): leaving at the next checkpoint, in 20 s at the latest\n"


def test_termination_waits_for_the_next_checkpoint(tmp_path):
    running = start(saving, 1.0, 60, output=tmp_path / "told", folder=tmp_path)
    running.wait_until((tmp_path / "begun").exists)
    running.stop(signal.SIGTERM)
    ended = running.wait(20)
    told = f"{TOLD_TO_END}jnas: stopped; the same command goes on\n"
    assert (ended.returncode, ended.stderr) == (143, told)
    assert sorted(os.listdir(tmp_path)) == ["begun", "one.npz", "told.stderr", "told.stdout", "two.npz"]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_wait(tmp_path, second):
    running = start(saving, 60, 60, output=tmp_path / "told", folder=tmp_path)
    running.wait_until((tmp_path / "begun").exists)
    running.stop(signal.SIGTERM)
    running.wait_until(lambda: "SIGTERM" in (tmp_path / "told.stderr").read_text())
    running.stop(second)
    ended = running.wait(10)
    assert (ended.returncode, ended.stderr) == (143, f"{TOLD_TO_END}jnas: stopped; the same command goes on\n")
    assert sorted(os.listdir(tmp_path)) == ["begun", "one.npz", "told.stderr", "told.stdout"]


def elsewhere():
    """Work that keeps nothing."""
    leave_at_interrupt()
    Path("begun").touch()
    deaf()


def test_termination_of_what_keeps_nothing_is_at_once(tmp_path):
    running = start(elsewhere, output=tmp_path / "told", folder=tmp_path)
    running.wait_until((tmp_path / "begun").exists)
    running.stop(signal.SIGTERM)
    ended = running.wait(10)
    assert (ended.returncode, ended.stderr) == (143, "jnas: stopped; nothing was done\n")


def importing():
    def load(name):
        os.kill(os.getpid(), signal.SIGINT)
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            raise ImportError("half a module") from None

    importlib.import_module = load
    return __main__.main()


def test_ctrl_c_during_imports(tmp_path):
    ended = start(importing, output=tmp_path / "told").wait(20)
    assert (ended.returncode, ended.stderr) == (130, "jnas: stopped; nothing was done\n")


def others():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_at_interrupt()
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_handlers_of_others_stay(tmp_path):
    assert start(others, output=tmp_path / "told").wait(20).returncode == 1


def helped():
    """Starts a helper that would wait for ever, and is killed."""
    helper = multiprocessing.get_context("fork").Process(target=_help)
    helper.start()
    while not Path("helps").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def _help():
    leave_with_parent()
    Path("helper").write_text(str(os.getpid()))
    Path("helper").rename("helps")
    deaf()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
def test_helpers_end_with_the_process_that_they_help(tmp_path):
    running = start(helped, output=tmp_path / "told", folder=tmp_path)
    assert running.wait(20).returncode == -signal.SIGKILL
    helper = int((tmp_path / "helps").read_text())
    deadline = time.monotonic() + 20
    while _lives(helper) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _lives(helper)


def _lives(process):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


# Streams.


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"92.1 +- 0.3 x -1 tau e ? \xff"),
        ("utf-8", "92.1 ± 0.3 × −1 τ é 字 ".encode() + b"\xff"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_every_letter_can_be_shown(monkeypatch, encoding, shown, errors):
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding, errors, write_through=True))
    prepare_streams()
    print("92.1 ± 0.3 × −1 τ é 字 \udcff", end="")
    assert file.getvalue() == shown


def without_streams(numbers):
    for number in numbers:
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    status = main(["train", "0", "--recipe", "help"])
    with open("a.npz", "wb") as file:
        return 10 * status + (file.fileno() > 2)


@pytest.mark.parametrize("numbers", [(1,), (2,), (0, 1, 2)])
def test_closed_streams(tmp_path, numbers):
    """The command does its work, and no file of its own takes the place of a stream."""
    running = start(without_streams, numbers, output=tmp_path / "told", folder=tmp_path)
    assert running.wait(60) == (1, running.said(), "")
    assert bool(running.said()) == (1 not in numbers)


# Machines.

_WORKS = {
    "study": (_study, "run_study", "lower --num-seeds or --max-evaluations"),
    "predictors": (_predictors, "run_predictors", "lower --train-sizes or --test-cells"),
    "train 0": (_train, "run_train", "lower --chunk-size or --batch-size, or give --rematerialize, with another --out"),
    "supernet gdas": (
        _supernet,
        "run_supernet",
        "lower --num-seeds, --batch-size or --channels, or give --rematerialize",
    ),
    "table build -o t.npz": (
        _build,
        "run_build",
        "lower --chunk-size or --batch-size, or give --rematerialize, with another --out",
    ),
    "report .": (_report, "report_folders", "end what else uses it, or take a machine that has more"),
    "table show t.npz": (_table, "show", "end what else uses it, or take a machine that has more"),
}


@pytest.mark.parametrize("words", _WORKS)
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory (9 bytes).\nmore"), "Out of memory (9 bytes)."),
        (MemoryError("Unable to allocate 3 GiB"), "Unable to allocate 3 GiB"),
    ],
)
def test_full_memory_has_a_sentence(monkeypatch, capsys, words, error, why):
    def fail(options):
        raise error

    module, name, remedy = _WORKS[words]
    monkeypatch.setattr(module, name, fail)
    assert main(words.split()) == 2
    told = capsys.readouterr().err
    assert told == f"jnas: error: the memory is full ({why}); {remedy}\n"


def test_errors_of_programs_are_no_sentences(monkeypatch):
    """What is wrong with jnas itself keeps its traceback."""

    def fail(options):
        raise AssertionError("a mistake")

    monkeypatch.setattr(_table, "show", fail)
    with pytest.raises(AssertionError, match="a mistake"):
        main(["table", "show", "t.npz"])


def on_platform(name):
    jax.config.update("jax_platforms", name)
    return main(["table", "synthesize", "-o", "t.npz"])


@pytest.mark.parametrize("name", ["cuda", "nonsense"])
def test_missing_devices_have_a_sentence(tmp_path, name):
    if name == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("there is such a device")
    ended = start(on_platform, name, output=tmp_path / "told", folder=tmp_path).wait(60)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"jnas: error: JAX_PLATFORMS is {name}, and JAX can use no such device here")
    assert ended.stderr.endswith("; unset it, or give cpu\n")
    assert ended.stderr.count("\n") == 1
