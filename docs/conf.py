"""How Sphinx makes the site of these pages: `pip install '.[docs]' && sphinx-build -W docs site`, without a network."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from jnas import __version__

project = "jnas"
author = "The jnas authors"
copyright = author
version = release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "_public_names"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "jnas"
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
nb_execution_timeout = 300
nb_execution_mode = os.environ.get("JNAS_DOCS_EXECUTION", "force")  # "off": pages without what their code prints
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True
suppress_warnings = ["myst-nb.lexer"]  # a notebook that is not executed need not say that it is of Python
autodoc_typehints = "none"  # the text gives kinds, shapes and units
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
