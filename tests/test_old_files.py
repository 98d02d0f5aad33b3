"""Files that version 0.2.0 wrote, below tests/golden, and what it said of them then."""

import pathlib
import shutil

import keras
import numpy as np
import pytest
from scripts_at_work import DIGITS, ROOT, call
from small_models import assert_same

import mixmo_tf
from mixmo_tf.experiments import Settings
from mixmo_tf.training import checkpoints

GOLDEN = pathlib.Path(__file__).parent / "golden"
EXPORTED = ("exported", "exported/model.onnx", "exported/model_float32.tflite")
CLOSE = {"rtol": 0, "atol": 1e-5}  # another processor rounds otherwise


@pytest.fixture(scope="module")
def then():
    with np.load(GOLDEN / "arrays.npz") as arrays:
        return dict(arrays)


def state(then, name):
    """What `state` gave, a list of arrays."""
    count = sum(key.startswith(f"{name}/state/") for key in then)
    return [then[f"{name}/state/{i}"] for i in range(count)]


def lines_then():
    """The flags in run.flags, by the config that they were made from."""
    configs = (GOLDEN / "run_flags.txt").read_text().removeprefix("# ").split("\n# ")
    return {name: lines for name, *lines in map(str.splitlines, configs)}


def test_run_flags_of_every_config_are_kept():
    ours = [
        config.name
        for config in (ROOT / "configs").glob("*.flags")
        if "# Command: python scripts/train.py" in config.read_text(encoding="utf-8")
    ]
    assert lines_then().keys() == set(ours)


@pytest.mark.parametrize("config", lines_then())
def test_run_flags_are_as_they_were(config):
    """New flags may be there; those of old stand in the same order, to the letter."""
    now = Settings.from_flagfile(ROOT / "configs" / config).lines()
    lines = lines_then()[config]
    names = {line.partition("=")[0] for line in lines}
    assert [line for line in now if line.partition("=")[0] in names] == lines


@pytest.mark.parametrize("name", ["mixmo", "deep_ensemble", "folded"])
@pytest.mark.parametrize("load", [mixmo_tf.load, keras.saving.load_model])
def test_keras_files_answer_as_they_did(name, load, then):
    model = load(GOLDEN / f"{name}.keras")
    assert model.class_names == ("a", "b", "c", "d")
    images = then["images"]
    np.testing.assert_allclose(model.member_logits(images), then[f"{name}/member_logits"], **CLOSE)
    probabilities = model.predict(images, verbose=0)
    np.testing.assert_allclose(probabilities, then[f"{name}/predict"], **CLOSE)
    if name == "mixmo":
        assert int(model.step.numpy()) == 6
        assert_same(model.state(), state(then, name))


@pytest.mark.parametrize("name", EXPORTED)
def test_exported_models_answer_as_they_did(name, then):
    if name.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    model = mixmo_tf.load(GOLDEN / name)
    probabilities = model.predict(then["images"], verbose=0)
    np.testing.assert_allclose(probabilities, then["mixmo/predict"], **CLOSE)


def test_a_run_that_was_stopped_in_mid_epoch_goes_on(tmp_path, then, untraced):
    """It has 7 of its 10 steps, 2 of them in its second epoch."""
    path = shutil.copytree(GOLDEN / "run", tmp_path / "run")
    stopped = checkpoints.load_newest(path / "checkpoints")
    assert_same(stopped.state(), state(then, "run"))
    history = (path / "history.csv").read_text()
    flags = ["--filters=1", "--batch_size=256", "--warmup_steps=2", f"--output_dir={path}"]
    endings, printed = call("train", [*DIGITS, *flags])
    assert endings == [None]
    assert "holds 1 of 2 epochs, and 2 steps of the next; going on from there" in printed
    assert (path / "history.csv").read_text().startswith(history)
    assert len((path / "history.csv").read_text().splitlines()) == 3
    done = checkpoints.load_newest(path / "checkpoints")
    assert int(done.step.numpy()) == 10
    assert (path / "metrics.json").is_file()
