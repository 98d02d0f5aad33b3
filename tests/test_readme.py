"""What README and BUILD.md tell people to do works, and points at what is there."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import train_flags  # noqa: E402

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_calls_the_readmes_test_command():
    commands = [block.strip() for block in blocks("bash") if ".venv/bin/pytest" in block]
    assert len(commands) == 1
    assert commands[0] in (ROOT / ".ci/run").read_text()


def test_the_python_example_runs(tmp_path):
    (example,) = blocks("python")
    assert "epochs=5" in example
    subprocess.run(
        [sys.executable, "-c", example.replace("epochs=5", "epochs=1")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert (tmp_path / "digits.keras").is_file()


@pytest.mark.parametrize("document", ["README.md", "BUILD.md"])
def test_links_and_paths_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    paths = re.findall(r"`((?:mixmo_tf|configs|scripts|tests|docs)/[\w/.]+)`", text)
    for path in links + paths:
        assert path in anchors or (ROOT / path).exists(), path


def test_every_config_is_listed():
    for config in (ROOT / "configs").glob("*.flags"):
        assert f"`{config.name}`" in README


def flags_table():
    """README's table of the flags of train.py, as train_flags.py defines them."""
    lines = ["| flag | default | what |", "|---|---|---|"]
    for flag in train_flags.FLAGS.get_flags_for_module(train_flags):
        default = f"`{flag.default_as_str}`".replace("'", "") if flag.default_as_str else "not set"
        what = re.sub(r"^<.*?>: ", "", flag.help)  # absl puts the values of an enum there
        if values := getattr(flag.parser, "enum_values", None):
            what += f" One of {', '.join(values)}."
        lines.append(f"| `--{flag.name}` | {default} | {what} |")
    return "\n".join(lines) + "\n"


def test_every_flag_is_in_the_table():
    assert flags_table() in README, f"README.md wants this table:\n{flags_table()}"
