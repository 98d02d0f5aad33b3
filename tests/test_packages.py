"""What is installed: the package, its commands and its configs."""

import configparser
import re
import subprocess
import sys

from scripts_at_work import ROOT
from small_models import tiny_model

from mixmo_tf.version import VERSION

HEAVY = "absl", "keras", "matplotlib", "mixmo_tf", "numpy", "tensorflow", "torch"
UNNEEDED = "jinja2 joblib markupsafe matplotlib sklearn tensorboard tensorflow_datasets".split()
FOLDERS = {"mixmo_tf": "mixmo_tf", "scripts": "mixmo_scripts", "configs": "mixmo_configs"}
ALONE = "BUILD.md CHANGELOG.md CITATION.cff CONTRIBUTING.md LICENSE README.md setup.py".split()
IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    command = importlib.import_module(f"mixmo_scripts.{{name}}")
    assert callable(command.main) and callable(command.load), name
    assert not set(sys.modules) & {heavy}, name
"""
CALLS = """
import sys
for name in {unneeded}:  # by who loads a model and predicts
    sys.modules[name] = None
import numpy as np
import mixmo_tf
model = mixmo_tf.load("{model}")
assert model.predict(np.zeros((1, 16, 16, 3), np.uint8), verbose=0).shape == (1, 4)
from mixmo_scripts import reproduce, train
try:
    train.load()(argv=["train.py", "--flagfile={config}", "--epochs=0"])
except SystemExit as end:
    print(end)
from mixmo_tf.plots import comparison, encoders, files, idea, masks
sys.argv = ["reproduce.py", "--seeds=0", "--output_dir={output}"]
reproduce.main()
"""


def test_commands_and_configs_are_installed(tmp_path):
    """Together in one process, commands import nothing heavy until they are called."""
    build = [
        "egg_info", f"--egg-base={tmp_path}",
        "build", f"--build-base={tmp_path}", f"--build-lib={tmp_path / 'lib'}",
    ]  # fmt: skip
    subprocess.run([sys.executable, "setup.py", "-q", *build], cwd=ROOT, check=True)
    entries = configparser.ConfigParser()
    entries.read(tmp_path / "mixmo_tf.egg-info" / "entry_points.txt")
    commands = dict(entries["console_scripts"])
    names = [entry.partition(":")[0].rpartition(".")[2] for entry in commands.values()]
    assert "mixmo-train" in commands and len(names) >= 5
    program = IMPORTS.format(heavy=set(HEAVY))
    subprocess.run([sys.executable, "-c", program, *names], cwd=tmp_path / "lib", check=True)

    for folder, installed in FOLDERS.items():
        for file in filter(is_source, (ROOT / folder).rglob("*")):
            there = tmp_path / "lib" / installed / file.relative_to(ROOT / folder)
            assert there.read_bytes() == file.read_bytes()
    sources = (tmp_path / "mixmo_tf.egg-info" / "SOURCES.txt").read_text().splitlines()
    for folder in ("configs", "docs", "examples", "mixmo_tf", "scripts", "tests"):
        files = {
            file.relative_to(ROOT).as_posix()
            for file in (ROOT / folder).rglob("*")
            if is_source(file)
        }
        assert files <= set(sources), files - set(sources)
    assert set(ALONE) <= set(sources) and not [name for name in sources if "__pycache__" in name]

    config = "digits_plain.flags"
    tiny_model().save(tmp_path / "tiny.keras")
    (tmp_path / "digits_cow_mixmo_seed0.log").write_text("Cow masks: ask Ann")
    program = CALLS.format(
        config=config, output=tmp_path, unneeded=UNNEEDED, model=tmp_path / "tiny.keras"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "lib", capture_output=True, text=True
    )
    assert result.stdout == "train.py: epochs must be >= 1, got 0\n", result.stderr
    assert result.returncode == 1
    assert result.stderr.endswith("seed0.log exists and is no log of this script; move it\n")


def is_source(file):
    """Whether it is a file of the repository, not one that Python or a tool has left."""
    is_left = {"__pycache__", "_build"} & set(file.parts) or file.name.startswith(".")
    is_left = is_left or file.suffix == ".ipynb"  # what docs/notebooks.py makes of examples
    return file.is_file() and not is_left


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()
    versions = re.findall(r"^## (\S+),", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == VERSION
