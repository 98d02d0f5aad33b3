"""The site of these pages: sphinx-build -W docs build/site."""

import itertools
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the reference imports the package

import nbclient  # noqa: E402

from mixmo_tf.version import VERSION  # noqa: E402

nbclient.NotebookClient.coalesce_streams = True  # of a progress bar, the last that it showed

project = "mixmo_tf"
author = "the authors of mixmo_tf"
version = release = VERSION
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "notebooks"]
exclude_patterns = ["examples/notebooks"]  # what the pages of examples offer
html_theme = "furo"
html_title = f"mixmo_tf {VERSION}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4  # links to headings mean what they mean in the repository
suppress_warnings = ["myst.header"]

os.environ.setdefault("EXAMPLES", "short")  # EXAMPLES=full: as they are, which takes minutes
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # seconds that a cell may take
nb_merge_streams = True
nb_output_stderr = "remove"  # TensorFlow's own lines, and servers' logs

autodoc_typehints = "none"  # the docstrings say shapes and dtypes
autodoc_inherit_docstrings = False  # Keras writes its own in another markup
napoleon_use_rtype = False
napoleon_use_ivar = True

_RETURNED = re.compile(r"    [a-z_]+: ")  # one of several things that a function returns


def setup(app):
    """Docstrings as they are meant here, before napoleon reads them."""
    app.connect("autodoc-process-docstring", _as_meant, priority=100)


def _as_meant(app, what, name, of, options, lines):
    """| is the absolute value, and several things that are returned are a list."""
    text, in_returns = [], False
    num_returned = sum(_RETURNED.match(line) is not None for line in _returns(lines))
    for line in lines:
        line = line.replace("|", r"\|")
        if line and not line.startswith(" "):
            in_returns = line == "Returns:"
        elif in_returns and num_returned > 1 and line.strip():
            named = _RETURNED.match(line)
            line = "    - " + line[4:].replace(": ", " – ", 1) if named else f"  {line}"
        if line.lstrip().startswith("- ") and text and text[-1].strip():
            if not text[-1].lstrip().startswith("- ") and line.index("-") >= _indent(text[-1]):
                text += [""]
        text += [line]
    lines[:] = text


def _returns(lines):
    """The lines of the section Returns."""
    after = lines[lines.index("Returns:") + 1 :] if "Returns:" in lines else []
    return list(itertools.takewhile(lambda line: not line or line.startswith(" "), after))


def _indent(line):
    return len(line) - len(line.lstrip())
