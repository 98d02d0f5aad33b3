"""docs/notebooks.py, and what it makes notebooks of: the examples, in keras.io's form."""

import json
import sys

import pytest
from scripts_at_work import ROOT

sys.path.insert(0, str(ROOT / "docs"))

import notebooks

EXAMPLE = '''"""
Title: Sums
Author: Ann
Description: One and one.
Accelerator: None
"""

"""
## First: add
"""

import os


def two():
    """A docstring.

    Of more than a line.
    """
    return 1 + 1


"""
Then see [more](../docs/python.md), [sums](sums.py) and [a server](serve.py).
"""

"""
Twice.
"""
print(two())
'''


def test_texts_are_markdown_and_what_stands_between_is_code():
    made = notebooks.notebook(EXAMPLE)
    kinds = [cell["cell_type"] for cell in made["cells"]]
    first, second, code, third, fourth, last = [cell["source"] for cell in made["cells"]]
    assert kinds == ["markdown", "markdown", "code", "markdown", "markdown", "code"]
    assert (first, second) == ("# Sums\n\nOne and one.", "## First: add")
    assert code.startswith("import os\n") and code.endswith("    return 1 + 1")
    assert third.startswith("Then see") and (fourth, last) == ("Twice.", "print(two())")
    assert len({cell["id"] for cell in made["cells"]}) == 6
    noted = notebooks.notebook(EXAMPLE, note="*Here.*")["cells"]
    assert (
        noted[0]["source"] == "# Sums\n\nOne and one.\n\n*Here.*" and noted[1:] == made["cells"][1:]
    )


def test_a_notebook_is_valid():
    nbformat = pytest.importorskip("nbformat", reason='needs nbformat: pip install -e ".[docs]"')
    nbformat.validate(nbformat.from_dict(notebooks.notebook(EXAMPLE)))


def test_the_command_writes_a_notebook_beside_each_example(tmp_path, monkeypatch, capsys):
    example, other = tmp_path / "sums.py", tmp_path / "other.py"
    example.write_text(EXAMPLE)
    other.write_text('"""No example."""\n')
    monkeypatch.setattr(sys, "argv", ["notebooks.py", str(example), str(other)])
    notebooks.main()
    assert json.loads((tmp_path / "sums.ipynb").read_text()) == notebooks.notebook(EXAMPLE)
    assert not (tmp_path / "other.ipynb").exists()
    assert f"{other} is left out" in capsys.readouterr().out


def test_what_is_there_is_not_written_again(tmp_path):
    """Sphinx would execute it again."""
    file = tmp_path / "examples/sums.ipynb"
    notebooks.write(file, notebooks.notebook(EXAMPLE))
    file.chmod(0o444)
    before = file.stat().st_mtime_ns
    notebooks.write(file, notebooks.notebook(EXAMPLE))
    assert file.stat().st_mtime_ns == before


def test_links_to_examples_are_links_to_their_pages():
    page = ["[a](../examples/when_to_abstain.py) and [b](../examples/serve.py), [c](python.md)"]
    notebooks._link_pages(None, "python", page)
    assert page == [
        "[a](examples/when_to_abstain.ipynb) and [b](../examples/serve.py), [c](python.md)"
    ]


@pytest.mark.parametrize("name", notebooks.examples())
def test_examples_are_short_and_say_what_they_are(name):
    source = notebooks.examples()[name].read_text("utf-8")
    said = notebooks.header(source)
    keys = "Title Author Description Accelerator".split()
    assert set(keys) <= set(said) and len(source.splitlines()) <= 150
    assert 'SHORT = os.environ.get("EXAMPLES") == "short"' in source
    assert f"(../examples/{name}.py)" in (ROOT / "docs/examples.md").read_text("utf-8")
    compile(source, name, "exec")
