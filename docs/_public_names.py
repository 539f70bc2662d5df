"""The reference: a directive that documents every name which a module exports, so that none can be forgotten."""

import functools
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

NAMED = re.compile(r"public-names:: (\S+)")


def public_names(module: ModuleType) -> list[str]:
    """Returns what a module exports, without the modules among it."""
    return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]


@functools.cache
def documented_modules() -> list[str]:
    """Returns the modules whose names the pages of the reference list, those of short names first."""
    pages = (Path(__file__).parent / "reference").glob("*.md")
    found = [name for page in pages for name in NAMED.findall(page.read_text(encoding="utf-8"))]
    return sorted(found, key=lambda name: (name.count("."), name))


def home_of(name: str, value: Any, module_name: str) -> str:
    """Returns the module under which something is described that several export by one name."""
    for other in documented_modules():
        module = importlib.import_module(other)
        if name in module.__all__ and getattr(module, name) is value:
            return other
    return module_name


def reference(module_name: str) -> list[str]:
    """Returns the reStructuredText that documents every exported name of a module: functions, classes, then values."""
    module = importlib.import_module(module_name)
    lines: dict[str, list[str]] = {"Functions": [], "Classes": [], "Values": []}
    for name in sorted(public_names(module), key=str.lower):
        value = getattr(module, name)
        home = home_of(name, value, module_name)
        if home != module_name:
            lines["Values"] += [f".. data:: {name}", "", f"   The same as :py:obj:`{home}.{name}`.", ""]
        elif inspect.isclass(value):
            lines["Classes"] += [
                f".. autoclass:: {module_name}.{name}",
                "   :members:",
                "   :class-doc-from: class",
                "",
            ]
        elif inspect.isroutine(value) or hasattr(value, "__wrapped__"):
            lines["Functions"] += [f".. autofunction:: {module_name}.{name}", ""]
        else:
            told = [*_told_of(name, value), *([] if not isinstance(value, dict) else ["", _keys(value)])]
            lines["Values"] += [f".. data:: {name}", "", *(f"   {line}" for line in told), ""]
    return [line for kind, found in lines.items() if found for line in (f".. rubric:: {kind}", "", *found)]


def _told_of(name: str, value: Any) -> list[str]:
    """Returns the text that stands under a value where it is defined."""
    for module_name, module in list(sys.modules.items()):
        names = (
            [key for key, other in vars(module).items() if other is value] if module_name.startswith("jnas.") else []
        )
        docs = ModuleAnalyzer.for_module(module_name).find_attr_docs() if names else {}
        for told in (docs.get(("", key)) for key in names):
            if told:
                told = list(told)
                as_restructured_text(None, "data", name, value, None, told)
                return told
    raise ValueError(f"nothing is said of {name} where it is defined: write a string under it")


def _keys(value: dict[str, Any]) -> str:
    return "Names: " + ", ".join(f"``{key}``" for key in value) + "."


class PublicNames(SphinxDirective):
    """`{public-names} jnas.statistics`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Returns the nodes of the reference."""
        module = self.arguments[0]
        text = [".. currentmodule:: " + module, "", *reference(module)]
        found = nodes.section()
        found.document = self.state.document
        self.state.nested_parse(StringList(text, source=module), self.content_offset, found)
        return found.children


def as_restructured_text(app: Sphinx | None, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Makes reStructuredText of a docstring: a single backtick is code, each reference a line of a list."""
    inside, found = -1, []  # inside: how far the references are indented; -1 outside of them
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() in ("References:", "Reference:"):
            inside = indent + 2
            found.append(line)
            continue
        if line.strip() and indent < inside:
            inside = -1
        if inside >= 0 and line.strip():
            line = line[:inside] + ("- " if indent == inside else "") + line[inside:]
        found.append(_SINGLE_BACKTICK.sub(_code, line))
    lines[:] = found


_SINGLE_BACKTICK = re.compile(r"(?<!`)`([^`]+)`(?!`)(\w?)")


def _code(match: re.Match[str]) -> str:
    return f"``{match[1]}``" + (rf"\ {match[2]}" if match[2] else "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Tells Sphinx of both."""
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before Napoleon
    return {"parallel_read_safe": True}
