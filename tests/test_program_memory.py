"""What a compiled program takes is known before it runs, and one that does not fit is refused in a sentence."""

import jax
import jax.numpy as jnp
import pytest

import jnas
from jnas.commands import _study
from jnas.commands._cli import main
from jnas.core import _program_memory
from jnas.core._program_memory import check_program_fits, program_bytes, program_memory_words
from jnas.io import _progress
from jnas.io._progress import ProgressBar

SEARCHERS = {"random": jnas.searchers.random_search(jnas.spaces.categorical((3, 4)))}
TABLE = jnas.make_table(jnas.spaces.categorical((3, 4)), accuracy={"test": [60.0] * 12})
HOW = {"dataset": "data", "epochs": 1, "split": "test", "max_evaluations": 3, "num_seeds": 2}


@pytest.fixture(scope="module")
def compiled():
    return jax.jit(lambda x: x @ x).lower(jnp.zeros((200, 100)).T @ jnp.zeros((200, 100))).compile()


def test_arguments_and_results_count(compiled):
    assert 2 * 4 * 100 * 100 <= program_bytes(compiled) < 10 * 4 * 100 * 100
    assert check_program_fits(compiled) == program_bytes(compiled)


def test_programs_that_do_not_fit(compiled, monkeypatch, capsys):
    monkeypatch.setattr(_program_memory, "device_bytes", lambda: 1e3)
    with pytest.raises(MemoryError, match=r"the program takes 0\.\d+ MB on each device, which has 0\.001 MB"):
        check_program_fits(compiled)
    with pytest.raises(MemoryError, match="on each device"):
        jnas.study(SEARCHERS, TABLE, **HOW)
    monkeypatch.setattr(_study, "run_study", lambda options: check_program_fits(compiled))
    assert main(["study"]) == 2
    told = capsys.readouterr().err
    assert "the memory is full (the program takes 0.0" in told
    assert "lower --num-seeds or --max-evaluations" in told


def test_it_is_told_where_it_is_much(monkeypatch):
    assert program_memory_words(1e7) == ""
    assert program_memory_words(2.345e9) == "memory: the program takes 2.3 GB on each device"
    monkeypatch.setattr(_program_memory, "program_bytes", lambda compiled: 5e8)
    lines = []
    jnas.study(SEARCHERS, TABLE, **HOW, log=lines.append)
    assert "random: memory: the program takes 0.5 GB on each device" in lines


def test_a_line_goes_past_the_bar():
    lines = []
    ProgressBar(None, 1.0).aside(lines.append, "a line")
    assert lines == ["a line"]


def test_work_apart_is_in_the_time_left_and_not_in_the_pace(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: clock[0])
    bar = ProgressBar(None, 100.0)
    with bar.apart("compiling", 30.0):
        clock[0] = 20.0
        assert bar.seconds_left() == 110.0
        clock[0] = 90.0
        assert bar.seconds_left() == 100.0
    assert bar.seconds_left() == 100.0
    clock[0] = 100.0
    bar.advance(10.0)
    assert bar.seconds_left() == 90.0
