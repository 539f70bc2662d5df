"""The site of docs/ is built without a warning, and its reference has every public name.

Its notebooks are not executed here: `test_readme.py` runs their code.
"""

import importlib
import pkgutil
import re
import warnings
from pathlib import Path

import pytest

import jnas

DOCS = Path(__file__).resolve().parents[1] / "docs"
NAMED = re.compile(r"public-names:: (\S+)")


def _public_modules():
    """Those that export names, and are to be imported by users: no part of their names begins with an underscore."""
    inner = {"commands", "core", "io", "pages", "studies", "tables", "__main__"}  # what they export `jnas` exports
    found = []
    for module in pkgutil.walk_packages(jnas.__path__, "jnas."):
        parts = module.name.split(".")[1:]
        if not inner & set(parts) and not any(part.startswith("_") for part in parts):
            found.append(module.name)
    return {"jnas", *(name for name in found if getattr(importlib.import_module(name), "__all__", None))}


def _pages():
    return {
        name: page for page in sorted((DOCS / "reference").glob("*.md")) for name in NAMED.findall(page.read_text())
    }


def test_every_public_module_has_a_page():
    assert _public_modules() == set(_pages()), "give each a page in docs/reference, and a line in its index.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("myst_nb", reason="needs what makes pages: pip install 'jnas[docs]'")
    application = pytest.importorskip("sphinx.application")
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Sphinx and its extensions, in Python; those about pages are its own
        patch.setenv("JNAS_DOCS_EXECUTION", "off")
        patch.syspath_prepend(str(DOCS))
        told = (folder / "told").open("w+")
        app = application.Sphinx(DOCS, DOCS, folder, folder / "doctrees", "html", status=None, warning=told)
        app.build()
        told.seek(0)
        assert told.read() == ""
    return folder


@pytest.mark.slow
def test_the_reference_has_every_public_name(site):
    for name, page in _pages().items():
        module = importlib.import_module(name)
        html = (site / page.relative_to(DOCS)).with_suffix(".html").read_text(encoding="utf-8")
        for exported in module.__all__:
            if type(getattr(module, exported)) is not type(module):
                assert f'id="{name}.{exported}"' in html, f"{name}.{exported} is not on {page.name}"
