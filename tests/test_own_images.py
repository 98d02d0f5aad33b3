"""From a folder of images to a SavedModel, through the scripts."""

import shutil

import numpy as np
import pytest
from scripts_at_work import call, exit_messages, run
from test_image_folder import grey, save

SMALL = ["--filters=4", "--epochs=1", "--batch_size=8", "--batch_repetitions=2", "--image_size=16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of 12 images, told apart by their brightness, 4 more each in val/."""
    path = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for label, name in enumerate(("dark", "grey", "light")):
            for i in range(count):
                noise = random.integers(0, 60, (20, 24, 3))
                pixels = (grey(80 * label, 20, 24) + noise).astype(np.uint8)
                save(path / split / name / f"{i}.jpg", pixels)
    return path


def test_train_evaluate_fine_tune_export(folder, tmp_path):
    dataset = f"--dataset=image_folder:{folder}"
    first = tmp_path / "first"
    result = run("train.py", dataset, *SMALL, f"--output_dir={first}", "--memory_gib=0")
    assert result.returncode == 0, result.stderr
    assert "training images 36 of 16×16×3, on disk" in result.stdout
    assert "classes         3: dark, grey, light" in result.stdout

    result = run("export.py", f"--model={first}")
    assert result.returncode == 0, result.stderr
    assert "uint8 images (n, 16, 16, 3) in; 3 class names with it" in result.stdout
    names = (first / "exported" / "class_names.txt").read_text()
    assert names == "dark\ngrey\nlight\n"

    two_classes = tmp_path / "two"
    shutil.copytree(folder / "train", two_classes)
    shutil.rmtree(two_classes / "grey")
    options = [f"--dataset=image_folder:{two_classes}", *SMALL, f"--initialize_from={first}"]
    options += [f"--output_dir={tmp_path / 'tuned'}"]
    held_out = "--validation_examples=4"
    without, of_others = exit_messages("train", options, [*options, held_out, "--filters=8"])
    assert f"{two_classes} has no val folder: set validation_examples" in without
    assert f"cannot initialize from {first}: it has another layer encoder_0: " in of_others
    assert not (tmp_path / "tuned").exists()
    options += [held_out]
    result = run("train.py", *options)
    assert result.returncode == 0, result.stderr
    assert "its heads are new" in result.stdout and "On the validation images" in result.stdout
    first.rename(tmp_path / "elsewhere")  # a run that has begun does not need it any more
    result = run("train.py", *options)
    assert result.returncode == 0, result.stderr
    assert "nothing is left to train" in result.stdout
    (tmp_path / "elsewhere").rename(first)

    renamed = tmp_path / "renamed"
    shutil.copytree(folder, renamed)
    for split in ("train", "val"):
        (renamed / split / "grey").rename(renamed / split / "gray")
    best = tmp_path / "tuned" / "best.keras"
    calls = [
        [f"--model={first}", f"--dataset=image_folder:{two_classes}", "--split=train"],
        [f"--model={first}", f"--dataset=image_folder:{renamed}"],
        [f"--model={first}"],
        [f"--model={best}"],
    ]
    (fewer, other, *good), printed = call("evaluate", *calls)
    assert "has (16, 16, 3) and 2" in fewer
    assert f"{renamed} has the class gray where the model has grey" in other
    assert good == [None, None]
    assert f"image_folder:{folder}, test: 12 images" in printed
    assert "validation: 4 images" in printed


def test_a_damaged_image_is_named_whenever_it_is_met(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    broken = copy / "train" / "grey" / "7.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    flags = [f"--dataset=image_folder:{copy}", *SMALL]
    calls = [[*flags, f"--memory_gib={m}", f"--output_dir={tmp_path / str(m)}"] for m in (0, 4)]
    for ending in exit_messages("train", *calls):
        assert ending.startswith(f"train.py: cannot read {broken}: it is damaged; put a good file")
