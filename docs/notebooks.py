"""The examples as notebooks: python docs/notebooks.py examples/*.py

An example is Python in the form of keras.io's: texts in triple quotes, on lines of their own, are
Markdown; what stands between two of them is a cell; the first says Title and Description. It runs
as it is, this makes of it a notebook, and the site a page, which Sphinx executes shortened.
"""

import json
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
_TEXT = re.compile(r'^"""\n(.*?)^"""$', re.DOTALL | re.MULTILINE)
_SAID = re.compile(r"^(\w[\w ]*): (.*)$", re.MULTILINE)  # a line of the first text
_LINK = re.compile(r"\]\((\.\./examples/)?(\w+)\.py\)")  # to an example


def examples() -> dict[str, pathlib.Path]:
    """By name: the files of examples/ that have this form."""
    files = sorted((ROOT / "examples").glob("*.py"))
    return {file.stem: file for file in files if _TEXT.match(file.read_text("utf-8"))}


def header(source: str) -> dict[str, str]:
    """What the first text of an example says, such as its Title."""
    return dict(_SAID.findall(_TEXT.match(source)[1]))


def notebook(source: str, note: str = "") -> dict:
    """The notebook of an example, not executed, in the form 4.5.

    Args:
        source: str, the example.
        note: str, Markdown that stands beneath its title and its description.
    """
    said = header(source)
    beneath = "\n\n".join(filter(None, (said["Description"], note)))
    _, _, *parts = _TEXT.split(source)  # code, text, code, …
    texts = [f"# {said['Title']}\n\n{beneath}", *parts[1::2]]
    both = [each for pair in zip(texts, parts[::2], strict=True) for each in pair]
    cells = [_cell(i, part.strip()) for i, part in enumerate(both) if part.strip()]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    form = {"nbformat": 4, "nbformat_minor": 5}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, **form}


def _cell(place, source):
    """Of a list of text, code, text, …"""
    cell = {"id": f"cell-{place}", "metadata": {}, "source": source}
    if place % 2 == 0:
        return {"cell_type": "markdown", **cell}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **cell}


def write(file: pathlib.Path, made: dict) -> None:
    """Writes it, unless it is there: Sphinx reads, and executes, what is newer than its page."""
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    if not file.exists() or file.read_text("utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


# The site ------------------------------------------------------------------------------------


def setup(app):
    """Makes pages of the examples, and links to their files links to these pages."""
    app.connect("config-inited", _write_pages)
    app.connect("source-read", _link_pages)


def _write_pages(app, config):
    for name, file in examples().items():
        source, folder = file.read_text("utf-8"), pathlib.Path(app.srcdir, "examples")
        write(folder / "notebooks" / f"{name}.ipynb", notebook(source))
        ran = "ran shortened" if os.environ.get("EXAMPLES") == "short" else "ran"
        note = (
            f"*[The notebook](path:notebooks/{name}.ipynb), [the Python](path:../../examples/"
            f"{name}.py). What this page shows {ran} when the site was built.*"
        )
        on_site = _linked(source.replace("](../docs/", "](../"), "")
        write(folder / f"{name}.ipynb", notebook(on_site, note))


def _link_pages(app, docname, source):
    source[0] = _linked(source[0], "examples/")


def _linked(text, folder):
    """With links to the examples' pages, which are in the folder, in place of their files."""

    def page(link):
        return f"]({folder}{link[2]}.ipynb)" if link[2] in examples() else link[0]

    return _LINK.sub(page, text)


def main() -> None:
    """Writes NAME.ipynb beside each NAME.py that is named."""
    for name in sys.argv[1:] or sys.exit(__doc__):
        file = pathlib.Path(name)
        source, made = file.read_text("utf-8"), file.with_suffix(".ipynb")
        if _TEXT.match(source):
            write(made, notebook(source))
            print(made)
        else:
            print(f"{file} is left out: it does not begin with a triple quote on its own line")


if __name__ == "__main__":
    main()
