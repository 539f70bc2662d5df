"""Imports point one way: each file imports from its own layer and from those below it, and in no circle."""

import ast
import functools
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = (  # bottom up; those of one row do not import one another
    ("jnas.io",),
    ("jnas.core",),
    ("jnas.statistics", "jnas.pages", "jnas.spaces"),
    ("jnas.tables",),
    ("jnas.training",),
    ("jnas.searchers",),
    ("jnas.studies",),
    ("jnas.commands",),
)
FACES = ("jnas", "jnas.__main__", "jnas.nasbench101", "jnas.queries")  # they re-export what stands below


@functools.cache
def modules():
    """The file of each module, by its dotted name."""
    found = {}
    for top in ("jnas", "spaces", "searchers", "training"):
        for path in (ROOT / top).rglob("*.py"):
            if any(parent.is_symlink() for parent in path.parents):
                continue
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            parts = parts if top == "jnas" else ["jnas", *parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports(name, typing_too=True):
    """The modules of jnas that a module imports, those inside functions and for types alone too."""
    tree = ast.parse(modules()[name].read_text())
    skipped = set()
    if not typing_too:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped |= {id(inner) for inner in ast.walk(node)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "jnas"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            if (node.module or "").split(".")[0] == "jnas":
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {each if each in modules() else node.module for each in inner}
    return frozenset(found - {name})


def layer(name):
    """The number of a module's layer; faces stand above all."""
    if name in FACES:
        return len(LAYERS)
    number = [i for i, row in enumerate(LAYERS) if any(f"{name}.".startswith(f"{top}.") for top in row)]
    assert number, f"{name} stands in no layer"
    return number[0]


def top(name):
    return ".".join(name.split(".")[:2])


def test_every_module_is_seen():
    assert len(modules()) > 200
    assert "jnas.core._loop" in modules()
    assert "jnas.core._vocabulary" in imports("jnas.core._loop")


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_go_down(name):
    if name in FACES:
        return
    wrong = {
        other
        for other in imports(name)
        if layer(other) > layer(name) or (layer(other) == layer(name) and top(other) != top(name))
    }
    assert not wrong, f"{name} imports {sorted(wrong)}, which stand above it or beside it"


def test_no_circles():
    # Packages' faces are left out: importing a module runs the `__init__` of its package, whatever that imports.
    packages = {name for name, path in modules().items() if path.name == "__init__.py"}
    graph = {name: imports(name) - packages for name in modules() if name not in packages}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


def test_inner_packages_export_nothing():
    """A folder inside a layer has no face: its `__init__` is a line that says what stands there."""
    faces = {"jnas.statistics", "jnas.spaces", "jnas.searchers", "jnas.searchers.predictors", "jnas.training", "jnas"}
    for name, path in modules().items():
        if path.name == "__init__.py" and name not in faces:
            body = ast.parse(path.read_text()).body
            assert len(body) == 1, f"{path} does more than say what it holds"


def test_folders_stay_small():
    count = {}
    for path in modules().values():
        count[path.parent] = count.get(path.parent, 0) + 1
    assert max(count.values()) <= 25, count
