"""Paths as people have them: with commas, with what TensorFlow takes for patterns, with ~."""

import shutil

import numpy as np
import pytest
from scripts_at_work import DIGITS, assert_refused, call, exit_messages
from small_models import tiny_model

import mixmo_tf
from mixmo_tf import paths

pytestmark = pytest.mark.usefixtures("shallow", "untraced")


def test_an_existing_path_is_one_model(finished, tmp_path):
    """Whatever is in its name; several of them still make an ensemble."""
    run, other = shutil.copytree(finished[0], tmp_path / "a,b"), tmp_path / "a,,c"
    from_run = [*DIGITS, "--epochs=1", "--batch_size=512", "--mixing=linear"]
    from_run += [f"--initialize_from={run}", f"--output_dir={other}"]
    assert exit_messages("train", from_run) == [None]
    plain = shutil.copytree(run, tmp_path / "a")
    together = f"--model={run},{plain},{other}"
    models = f"--model={run}", f"--model={other}", together
    metrics = [f"--output_dir={tmp_path / 'evaluated,1'}"], [], []
    calls = [[model, *more] for model, more in zip(models, metrics, strict=True)]
    calls.append([f"--model={tmp_path / 'evaluated,1'}"])
    calls.append([f"--model={run},{run}"])
    calls.append([f"--model={run},"])
    endings, printed = call("evaluate", *calls)
    assert endings[:4] == [None] * 4
    assert f"  model 0: {run}\n  model 1: {plain}\n  model 2: {other}\n" in printed
    assert "--model names a model twice" in endings[4]
    assert "--model must name models, with commas between them" in endings[5]
    exported = tmp_path / "exported,1"
    calls = [f"--model={run}"], [together, f"--output_dir={exported}"], ["--model=,"]
    endings = exit_messages("export", *calls)
    assert endings[:2] == [None, None] and "must name models" in endings[2]
    assert (run / "exported" / "saved_model.pb").exists()
    assert exit_messages("evaluate", [f"--model={exported}", "--dataset=digits"]) == [None]
    assert exit_messages("show_encoders", [f"--model={run}"]) == [None]


@pytest.mark.parametrize("name", ["a[1]", "b*c?/d\\e/[a-z]*"])
def test_an_export_may_have_any_name(tmp_path, pixels_and_labels, name):
    images, _ = pixels_and_labels
    model = tiny_model()
    folder = tmp_path / name / name
    model.export(folder)
    answers = mixmo_tf.load(folder).predict(images, verbose=0)
    np.testing.assert_allclose(answers, model.predict(images, verbose=0), atol=1e-5)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_run_and_its_export_may_have_any_name(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "lr[0.1]*?")
    assert exit_messages("train", [*DIGITS, f"--output_dir={run}"]) == [None]
    flags = [f"--model={run}", "--format=saved_model,onnx,litert", "--litert=float32"]
    flags += ["--check_images=20"]
    endings, printed = call("export", flags)
    assert endings == [None] and "SavedModel" in printed
    calls = [f"--model={run}"], [f"--model={run / 'exported'}"]
    assert exit_messages("evaluate", *calls) == [None, None]


def test_a_home_folder_that_is_not_there_is_one_line(finished):
    model, nowhere = f"--model={finished[0]}", "~nouser/x"
    cases = {
        "train": [[*DIGITS, f"--output_dir={nowhere}"], [*DIGITS, f"--initialize_from={nowhere}"]],
        "evaluate": [
            [f"--model={nowhere}"],
            [model, f"--output_dir={nowhere}"],
            [model, f"--json={nowhere}"],
        ],
        "export": [[f"--model={nowhere}"], [model, f"--output_dir={nowhere}"]],
        "convert_checkpoint": [
            [f"--input={nowhere}", "--output=x.pt"],
            [f"--input={nowhere}", "--output=x.keras"],
            [f"--input={finished[0]}", f"--output={nowhere}"],
        ],
        "show_masks": [[f"--output_dir={nowhere}"]],
        "show_encoders": [[f"--model={nowhere}"], [model, f"--output={nowhere}.png"]],
        "reproduce": [[f"--output_dir={nowhere}"]],
    }
    for script, calls in cases.items():
        message = "there is no home folder ~nouser, for ~nouser/x"
        assert_refused(script, [(flags, message) for flags in calls])
    for path in (nowhere, f"{nowhere}.onnx", f"{nowhere}.tflite"):
        with pytest.raises(FileNotFoundError, match="there is no home folder ~nouser"):
            mixmo_tf.load(path)
    assert paths.expanded("~/x").is_absolute() and str(paths.expanded("a/~nouser")) == "a/~nouser"
