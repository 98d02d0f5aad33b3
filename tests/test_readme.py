"""What README tells people to do works, and BUILD.md's layout is the package's."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from conftest import FAST
from small_models import tiny_model

from mixmo_tf import data, evaluation, masks, networks, unmixing
from mixmo_tf.experiments import Settings, suites

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLES = {  # by page: the names that are each a line of it
    "blocks": masks.NAMES,
    "networks": tuple(networks.NETWORKS),
    "own_images": data.NAMES,
    "metrics": (*evaluation.METRICS, *evaluation.CALIBRATED),
    "flags": tuple(f"--{name}" for name in Settings.__dataclass_fields__),
}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_ci_calls_the_readmes_test_command():
    commands = [block.strip() for block in blocks("bash") if ".venv/bin/pytest" in block]
    assert len(commands) == 1
    for file in (".ci/run", ".github/workflows/tests.yml"):
        assert commands[0] in (ROOT / file).read_text()


def test_the_files_that_are_fast_are_there():
    assert {f"test_{name}.py" for name in FAST} <= {
        file.name for file in (ROOT / "tests").iterdir()
    }


def test_the_python_example_runs(tmp_path, monkeypatch):
    """For an epoch of two steps."""
    (example,) = blocks("python")
    assert "epochs=5" in example
    load_arrays = data.load_arrays

    def some(name, split):
        images, labels, info = load_arrays(name, split)
        return images[:32], labels[:32], info

    monkeypatch.setattr(data, "load_arrays", some)
    monkeypatch.chdir(tmp_path)
    exec(example.replace("epochs=5", "epochs=1"), {})
    assert (tmp_path / "digits.keras").is_file()


def test_the_block_of_the_page_is_registered(monkeypatch):
    monkeypatch.setattr(masks, "BLOCKS", dict(masks.BLOCKS))
    monkeypatch.setattr(masks, "NAMES", masks.NAMES)
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {})
    drawn = masks.draw("checker", [[0.5, 0.5]], (4, 6), [0, 1]).numpy()
    assert (drawn[:, 1:] == 1 - drawn[:, :-1]).all()


def test_every_method_of_the_table_trains():
    table = README.split("## Every method of the paper")[1].split("There are seven")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 10
    for _, members, arguments in rows:
        arguments = eval(f"dict({arguments.split('`')[1]})")
        model = tiny_model(num_members=1 if members.strip() == "1" else 2, **arguments)
        images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3))
        step = tf.constant(images), tf.constant([0, 1, 2, 3]), None, tf.constant([0, 1]), 1.0
        step += (unmixing.fade_at(model.unmixing, 0),)
        loss, *_, gradients = model.loss_and_gradients(*step)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            variable.assign_sub(0.003 * gradient)
        fallen = float(loss - model.loss_and_gradients(*step)[0])
        slope = sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients)
        assert fallen == pytest.approx(0.003 * slope, rel=0.1), arguments


@pytest.mark.parametrize("page", TABLES)
def test_each_name_has_its_line_in_a_table(page):
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    for name in TABLES[page]:
        assert f"| `{name}` |" in text, name


def test_every_suite_is_named():
    page = (ROOT / "docs/comparing.md").read_text(encoding="utf-8")
    for name in suites.NAMES:
        assert f"`{name}`" in page


def test_the_layout_in_build_is_that_of_the_package():
    layout = (ROOT / "BUILD.md").read_text().split("## Layout")[1].split("```")[1]
    package = ROOT / "mixmo_tf"
    named = {name.rpartition("/")[2] for name in re.findall(r"[\w/]+\.py\b", layout)}
    assert named <= {file.name for file in package.rglob("*.py")}
    for file in (*package.glob("[!_]*.py"), *package.glob("[!_]*/")):
        assert re.search(rf"\b{file.name}{'/' if file.is_dir() else ''}", layout), file
