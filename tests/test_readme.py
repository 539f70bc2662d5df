"""Every block of Python in the README and in docs/ runs as it stands there, in order, each page by itself."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from jnas.commands._cli import _make_parser
from jnas.searchers.weight_sharing._registry import weight_sharing_names
from jnas.tables._file import save_arrays
from jnas.tables._synthetic import synthetic_table
from tests._fewer_stages import stages

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_BLOCK = re.compile(r"^ *```(?:python|\{code-cell\}[^\n]*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r"^ *```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
PRINTED = {  # among what a page prints, where a figure is bound to come out
    "README.md": "500 searches",
    "docs/tours/network.md": "True\n",  # the module from the file is the one from the training
    "docs/tours/trainings.md": "depth=3",  # what the search is bound to find
}


def _blocks(page):
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "page", [page for page in (README, *PAGES) if _blocks(page)], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = page.relative_to(ROOT).as_posix()
    if "nb201-table.npz" in "".join(_blocks(page)):
        header, arrays = synthetic_table("nasbench201", seed=0, curves=False)
        save_arrays("nb201-table.npz", header, arrays)
    namespace, printed = {"__name__": name}, io.StringIO()
    with contextlib.redirect_stdout(printed), stages(1):  # of the networks, which take a third to compile
        for block in _blocks(page):
            exec(compile(block, str(page), "exec"), namespace)
    assert PRINTED.get(name, "") in printed.getvalue()


def _commands(page):
    """The words behind `jnas` of each command in a page's blocks of shell, `$I` and its like as a number."""
    for block in _SHELL.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(re.sub(r"\$\w+", "0", line), posix=True, punctuation_chars=";&|")
            lexer.whitespace_split = True
            words = []
            for word in [*lexer, ";"]:
                if word not in (";", "&&", "&", "|", "||"):
                    words.append(word)
                    continue
                if "jnas" in words:
                    yield words[words.index("jnas") + 1 :]
                words = []


def test_commands_of_the_pages_are_understood():
    parser, found = _make_parser(), []
    for page in (README, *PAGES):
        for words in _commands(page):
            found.append(words)
            try:
                parser.parse_args(words)
            except SystemExit:
                pytest.fail(f"{page.name}: jnas {shlex.join(words)}")
    assert len(found) > 50


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"https?:|mailto:|#", link):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name} links to {link}"


def test_the_readme_is_short():
    assert README.stat().st_size <= 12_000


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
    lines = (ROOT / "docs" / "what_is_there.md").read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in lines if line.startswith("| searchers |"))
    told = row.partition("with shared weights")[2]
    for name in weight_sharing_names():
        assert f"`{name.removesuffix('-v1').removesuffix('-v2')}`" in told
