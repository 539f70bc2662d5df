"""Measures how a checkout is built: folders, imports, names, functions, lines.

    python tests/benchmarks/structure.py [CHECKOUT] [--list]

Prints a line for each figure. `--list` adds what was counted: imports inside functions, names with several homes, and
places that name a benchmark.
"""

import argparse
import ast
import collections
import re
import statistics
from pathlib import Path

TOPS = ("jnas", "spaces", "searchers", "training")
STUDIES = re.compile(
    r"jnas/(studies/|_(study|predictor_study|predictor_measures|supernet|report|results|result_folder|load_results)(?!_loop|_analysis))"
)
COMMANDS = re.compile(r"jnas/_\w*command")
NAMED = re.compile(r"nasbench[12]01$")
ROWS = (
    "spaces/",
    "_families",
    "_benchmarks",
    "tables/_synthetic",
    "tables/report/_papers",
    "networks/nasbench",
    "tables/readers/",
    "_nasbench101",
    "jnas/nasbench101",
    "jnas/compat/",  # the interfaces of published packages, a file each
)


def modules(root):
    """Returns the files of the library, links left out."""
    found = [path for top in TOPS for path in (root / top).rglob("*.py")]
    return [path for path in found if not any(parent.is_symlink() for parent in path.parents)]


def functions(tree):
    """Yields each function of a module, those inside others and methods too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def inner_imports(tree):
    """Returns the modules of jnas that functions import."""
    found = set()
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jnas"):
                found.add((node.lineno, node.module))
    return found


def named_benchmarks(tree):
    """Returns the lines on which a string is the name of a benchmark's space, docstrings aside."""
    return {n.lineno for n in ast.walk(tree) if isinstance(n, ast.Constant) and NAMED.match(str(n.value))}


def homes(trees):
    """Returns, of each public function or class that several modules define, the modules."""
    found = collections.defaultdict(list)
    for name, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(name)
    return {name: where for name, where in found.items() if len(where) > 1}


def main():
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    root = options.checkout.resolve()
    texts = {str(path.relative_to(root)): path.read_text() for path in modules(root)}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    lines = {name: text.count("\n") for name, text in texts.items()}
    sizes = [f.end_lineno - f.lineno + 1 for tree in trees.values() for f in functions(tree)]
    folders = collections.Counter(str(Path(name).parent) for name in texts)
    inner = {name: inner_imports(tree) for name, tree in trees.items()}
    several = homes(trees)
    places = {n: named_benchmarks(t) for n, t in trees.items() if not any(row in n for row in ROWS)}
    tests = sum(path.read_text().count("\n") for path in (root / "tests").rglob("*.py"))
    comments = sum(len(re.findall(r"^ *#", text, re.MULTILINE)) for text in texts.values())
    figures = {
        "files": len(texts),
        "largest folder": "{} ({})".format(*folders.most_common(1)[0][::-1]),
        "imports of jnas inside functions": sum(map(len, inner.values())),
        "public names defined in several modules": len(several),
        "lines outside the rows that name a benchmark": sum(map(len, places.values())),
        "lines of studies": sum(n for name, n in lines.items() if STUDIES.match(name) and not COMMANDS.match(name)),
        "lines of the library": sum(lines.values()),
        "lines of the tests": tests,
        "functions": len(sizes),
        "median function": f"{statistics.median(sizes):.0f} lines",
        "longest function": f"{max(sizes)} lines",
        "lines that are a comment": f"{comments / sum(lines.values()):.1%}",
    }
    for title, figure in figures.items():
        print(f"{title:48} {figure}")
    if options.list:
        for title, rows in (("inside functions", inner), ("benchmarks", places), ("several homes", several)):
            print(f"\n{title}")
            for name, found in sorted(rows.items()):
                if found:
                    print(f"  {name}: {', '.join(map(str, sorted(found)))}")


if __name__ == "__main__":
    main()
