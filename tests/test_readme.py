"""The README's Python runs as it stands there, in order, on a table of the name that it uses."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from jnas.searchers.weight_sharing._registry import weight_sharing_names
from jnas.tables._file import save_arrays
from jnas.tables._synthetic import synthetic_table
from tests._fewer_stages import stages

README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.mark.slow
def test_python_blocks_run(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 5
    monkeypatch.chdir(tmp_path)
    header, arrays = synthetic_table("nasbench201", seed=0, curves=False)
    save_arrays("nb201-table.npz", header, arrays)
    namespace, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed), stages(1):  # of the networks, which take a third to compile
        for block in blocks:
            exec(compile(block, str(README), "exec"), namespace)
    assert "500 searches" in printed.getvalue()
    assert (tmp_path / "climber-study" / "report.html").is_file()
    assert "depth=3" in printed.getvalue()  # what the last search is bound to find


EXAMPLE = """\
import jax
import jnas
from jnas import searchers

table = jnas.load_table("nb201-table.npz")  # made once by `jnas table import`
rea = searchers.regularized_evolution(table.space, population_size=10, sample_size=10)
objective = table.objective(dataset="cifar10", split="validation", epochs=12, seed="mean")


@jax.jit
@jax.vmap
def study(key):
    return jnas.run(rea, objective, key, budget_seconds=12_000.0)


traces = study(jax.random.split(jax.random.key(0), 500))  # 500 searches, one program
print(jnas.summarize(traces, table, dataset="cifar10", split="test", epochs=200))
"""


def test_design_example_is_the_one_in_the_readme():
    """The example that the design promises stands there unchanged."""
    assert f"```python\n{EXAMPLE}```\n" in README.read_text(encoding="utf-8")


def test_every_searcher_with_shared_weights_is_named():
    (row,) = (line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| searchers |"))
    told = row.partition("with shared weights")[2]
    for name in weight_sharing_names():
        assert f"`{name.removesuffix('-v1').removesuffix('-v2')}`" in told
