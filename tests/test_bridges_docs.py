"""The blocks of docs/bridges.md that need a library which is no extra of jnas, each where that library is installed."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

import jnas

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bridges.md"
LIBRARIES = ("ConfigSpace", "syne_tune")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.filterwarnings("ignore")
def test_tables_answer_other_libraries(library):
    (block,) = (b for b in re.findall(r"```py\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL) if f"from {library}" in b)
    assert len(block.splitlines()) <= 10
    pytest.importorskip(library, reason=f"{library} is not installed")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block, str(PAGE), "exec"), {"np": np, "table": jnas.load_table()})
    scores = [float(line) for line in printed.getvalue().split()]
    assert len(scores) == 5
    assert 5 < min(scores) < max(scores) <= 99.2
