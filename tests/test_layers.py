"""Imports point one way: each file imports from its own layer and from those below it, and in no circle."""

import ast
import functools
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import jnas

ROOT = Path(__file__).resolve().parents[1]
LAYERS = (  # bottom up; those of one row do not import one another
    ("jnas.io",),
    ("jnas.core",),
    ("jnas.statistics", "jnas.pages", "jnas.spaces"),
    ("jnas.tables",),
    ("jnas.training", "jnas.compat"),
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


def named_in(nodes, name):
    """The modules of jnas that import statements among some nodes of a module name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "jnas"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            if (node.module or "").split(".")[0] == "jnas":
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {each if each in modules() else node.module for each in inner}
    return frozenset(found - {name})


@functools.cache
def imports(name):
    """The modules of jnas that a module imports, those inside functions and for types alone too."""
    return named_in(ast.walk(ast.parse(modules()[name].read_text())), name)


def late_imports(name):
    """The modules of jnas that a module's functions import."""
    tree = ast.parse(modules()[name].read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return frozenset().union(*(named_in(ast.walk(function), name) for function in functions))


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


LATE = {  # imports that stand in functions, and why
    # Reports bring matplotlib, which takes long and which a study needs at its end alone.
    ("jnas.studies.predictors._study", "jnas.studies.predictors._report"),
    ("jnas.studies.proxies._study", "jnas.studies.proxies._report"),
    ("jnas.studies.search._study", "jnas.studies.search._report"),
    ("jnas.studies.supernets._study", "jnas.studies.supernets._report"),
    ("jnas.studies.trainings._study", "jnas.studies.search._report"),
    # The options of `jnas train` know this file, and are free of JAX.
    ("jnas.tables._named_cells", "jnas.spaces._registry"),
    # Flax need not be installed.
    ("jnas.training.networks.nasbench201._family", "jnas.training.networks.nasbench201._flax"),
    ("jnas.training.networks.darts._family", "jnas.training.networks.darts._flax"),
    ("jnas.training.networks.recurrent._family", "jnas.training.networks.recurrent._flax"),
}


def test_imports_stand_at_the_top():
    """What a command's options would wait for is imported with the command's work, in a file of its own."""
    found = {(name, other) for name in modules() for other in late_imports(name)}
    assert not found - LATE, f"not allowed inside functions: {sorted(found - LATE)}"
    assert not LATE - found, f"no longer inside functions: {sorted(LATE - found)}"


def test_names_of_jnas_are_the_same_for_types():
    """Type checkers read imports that never run: those of the names which `jnas` imports on first use."""
    told = {}
    for node in ast.walk(ast.parse(modules()["jnas"].read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                told |= {alias.name: statement.module for alias in statement.names if alias.asname == alias.name}
    assert told == jnas._DEFINED_IN | dict.fromkeys(jnas._MODULES, "jnas")


def test_inner_packages_export_nothing():
    """A folder inside a layer has no face: its `__init__` is a line that says what stands there."""
    faces = {"jnas.statistics", "jnas.spaces", "jnas.searchers", "jnas.searchers.predictors", "jnas.training", "jnas"}
    for name, path in modules().items():
        if path.name == "__init__.py" and name not in faces:
            body = ast.parse(path.read_text()).body
            assert len(body) == 1, f"{path} does more than say what it holds"


SEVERAL_HOMES = {  # public names of two faces, or the words of registries
    *("Entry", "entry", "make", "names", "main", "subset"),
    *("bohamiann", "darts", "dngo"),
}


def test_a_public_name_has_one_home():
    """A reader who meets a name in a list of imports knows what it is."""
    homes = {}
    for name, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, set()).add(name)
    assert {name for name, where in homes.items() if len(where) > 1} == SEVERAL_HOMES


def test_folders_stay_small():
    count = {}
    for path in modules().values():
        count[path.parent] = count.get(path.parent, 0) + 1
    assert max(count.values()) <= 25, count


ROWS = {  # one for each layer that has something to say of a space
    "jnas.spaces._registry",
    "jnas.tables._synthetic",
    "jnas.tables.report._papers",
    "jnas.training.networks._families",
    "jnas.searchers._benchmarks",
}
OWN = (  # what is of one space, and readers of published formats; the faces that export it
    *("jnas.spaces.nasbench101", "jnas.spaces.nasbench201", "jnas.spaces._nats_size", "jnas.spaces.darts"),
    "jnas.spaces.recurrent",
    *("jnas.tables.readers", "jnas.training.networks.darts"),
    *("jnas.training.networks.nasbench101", "jnas.training.networks.nasbench201", "jnas.training.networks.recurrent"),
    "jnas.compat",  # the published interfaces of benchmarks
    *("jnas.nasbench101", "jnas.tables._nasbench101", "jnas.tables.report._nasbench101"),
)
SPACE_EXPORTS = {"jnas", "jnas.spaces", "jnas.training"}


def places_that_name_a_space(name):
    """Yields where a module names a space: its name as a string, an import of what is its own, a question for it."""
    own = re.compile(r"jnas\.(spaces|training\.networks)\.(nasbench|_nats|darts|recurrent)")
    names = re.compile(r"nasbench[12]01|nats_size|NAS-Bench-[12]01")
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if (
            (isinstance(node, ast.Constant) and names.fullmatch(str(node.value)))
            or (isinstance(node, ast.ImportFrom) and own.match(node.module or ""))
            or (isinstance(node, ast.Attribute) and names.match(node.attr))
            or (
                isinstance(node, ast.Compare)
                and re.match(r".*space(\.name)? (==|!=|in|not in) ['(]", ast.unparse(node))
            )
        ):
            yield f"{name}:{node.lineno}"


def test_spaces_are_named_in_their_rows_alone():
    """All else asks a row, so that a space comes by rows: the default, and the word of an import, are left."""
    others = [
        n for n in modules() if n not in ROWS | SPACE_EXPORTS and not f"{n}.".startswith(tuple(f"{o}." for o in OWN))
    ]
    found = [place for name in others for place in places_that_name_a_space(name)]
    assert {place.split(":")[0] for place in found} <= {"jnas.core._registry", "jnas.commands._table_options"}, found
    assert len(found) == 2, found
    assert all(list(places_that_name_a_space(name)) for name in ROWS), "a row is left over"
