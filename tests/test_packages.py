"""What is installed: the package, its commands and its configs."""

import configparser
import subprocess
import sys

from scripts_at_work import ROOT

HEAVY = "absl", "keras", "matplotlib", "mixmo_tf", "numpy", "tensorflow", "torch"
IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    command = importlib.import_module(f"mixmo_scripts.{{name}}")
    assert callable(command.main) and callable(command.load), name
    assert not set(sys.modules) & {heavy}, name
"""
CALLS = """
import sys
sys.modules["matplotlib"] = None  # only what draws needs it
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

    templates = "mixmo_tf/experiments/page/templates"
    for file in (ROOT / templates).iterdir():
        assert (tmp_path / "lib" / templates / file.name).read_bytes() == file.read_bytes()

    config = tmp_path / "lib/mixmo_configs/digits_plain.flags"
    assert config.read_bytes() == (ROOT / "configs/digits_plain.flags").read_bytes()
    (tmp_path / "digits_cow_mixmo_seed0.log").write_text("Cow masks: ask Ann")
    program = CALLS.format(config=config, output=tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path / "lib", capture_output=True, text=True
    )
    assert result.stdout == "train.py: epochs must be >= 1, got 0\n", result.stderr
    assert result.returncode == 1
    assert result.stderr.endswith("seed0.log exists and is no log of this script; move it\n")
