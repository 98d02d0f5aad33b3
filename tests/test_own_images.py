"""From a folder of images to a SavedModel, through the scripts."""

import csv
import json
import shutil

import numpy as np
import pytest
import shallow_network
from PIL import Image
from scripts_at_work import assert_refused, call, exit_messages, said_of
from test_image_folder import grey, save

from mixmo_tf import data
from mixmo_tf.data import image_folder, notices

pytestmark = pytest.mark.usefixtures("shallow", "untraced")

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


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A run on these images, which stay on disk, and what train.py said."""
    path = tmp_path_factory.mktemp("runs") / "first"
    flags = [f"--dataset=image_folder:{folder}", *SMALL, f"--output_dir={path}", "--memory_gib=0"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        shallow_network.stand_in(monkeypatch)
        return path, said_of("train", *flags)


def test_train_evaluate_fine_tune_export(folder, trained, tmp_path):
    first, said = shutil.copytree(trained[0], tmp_path / "first"), trained[1]
    assert "training images 36 of 16×16×3, on disk" in said
    assert "validated on    12 test images in val, after each epoch\n" in said
    assert "tested on       12 test images in val, at the end\n" in said
    assert "classes         3: dark, grey, light" in said

    said = said_of("export", f"--model={first}")
    assert "uint8 images (n, 16, 16, 3) in; 3 class names with it" in said
    names = (first / "exported" / "class_names.txt").read_text()
    assert names == "dark\ngrey\nlight\n"

    two_classes = tmp_path / "two"
    shutil.copytree(folder / "train", two_classes)
    shutil.rmtree(two_classes / "grey")
    options = [f"--dataset=image_folder:{two_classes}", *SMALL, f"--initialize_from={first}"]
    options += [f"--output_dir={tmp_path / 'tuned'}"]
    held_out = "--validation_examples=4"
    without, of_others = exit_messages("train", options, [*options, held_out, "--filters=8"])
    assert f"{two_classes} has no val or test folder: set --validation_examples" in without
    assert f"cannot initialize from {first}: it has another layer encoder_0: " in of_others
    assert not (tmp_path / "tuned").exists()
    options += [held_out]
    said = said_of("train", *options)
    assert "its heads are new" in said and "On the validation images" in said
    of_training = "4 validation images in two, a"
    assert f"{of_training}fter each epoch, to choose best.keras\n" in said
    assert f"tested on       {of_training}t the end\n" in said
    first.rename(tmp_path / "elsewhere")  # a run that has begun does not need it any more
    said = said_of("train", *options)
    assert "nothing is left to train" in said
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
    flags = [f"--dataset=image_folder:{copy}", *SMALL, "--batch_size=6"]  # leaves no image out
    calls = [[*flags, f"--memory_gib={m}", f"--output_dir={tmp_path / str(m)}"] for m in (0, 4)]
    damaged = f"train.py: cannot read {broken}: it is damaged; put a good file"
    assert_refused("train", [(flags, damaged) for flags in calls])


def test_validation_and_test_images_of_their_own(folder, tmp_path):
    """Validation on valid/, which lacks a class, and the final metrics on Testing/."""
    three = tmp_path / "three"
    shutil.copytree(folder / "train", three / "Training")
    shutil.copytree(folder / "val", three / "Testing")
    shutil.copytree(folder / "val", three / "valid")
    shutil.rmtree(three / "valid" / "grey")
    (three / "Testing" / "dark" / "0.jpg").unlink()
    (three / "Training" / "dark" / "0.heic").write_text("another format")
    path = tmp_path / "run"
    flags = [f"--dataset=image_folder:{three}", *SMALL, f"--output_dir={path}"]
    said = said_of("train", *flags)
    lines = said.splitlines()
    expected = [
        f"train.py: {three}/Training: left out 1 file: 1 .heic",
        f"train.py: {three}/valid: no images of grey, which are counted as zero images",
        "  validated on    8 validation images in valid, after each epoch, to choose best.keras",
        "  tested on       11 test images in Testing, at the end",
    ]
    assert [lines.count(line) for line in expected] == [1, 1, 1, 1]
    metrics = json.loads((path / "metrics.json").read_text())
    assert (metrics["split"], metrics["examples"]) == ("test", 11)
    assert metrics["best"]["epoch"] == 1 and (path / "best.keras").exists()
    val_accuracy = csv.DictReader((path / "history.csv").open()).__next__()["val_accuracy"]
    assert float(val_accuracy) in [pytest.approx(right / 8) for right in range(9)]

    results = [tmp_path / f"{split}.json" for split in ("test", "validation")]
    calls = [[f"--model={path}", f"--json={file}", f"--split={file.stem}"] for file in results]
    assert call("evaluate", *calls)[0] == [None, None]
    on_test, on_validation = (json.loads(file.read_text()) for file in results)
    assert (on_test["examples"], on_validation["examples"]) == (11, 8)
    assert on_test["temperature_fitted_on"] == "validation images"
    broken = three / "Testing" / "light" / "2.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    for script in ("evaluate", "export"):
        (message,) = exit_messages(script, [f"--model={path}"])
        assert f"cannot read {broken}: it is damaged" in message
    pictures = [f"--dataset=image_folder:{three}", "--rows=1", f"--output_dir={tmp_path}"]
    shutil.rmtree(three / "Testing")  # now valid/ is for the test, without one of three classes
    (message,) = exit_messages("show_masks", [*pictures, "--image_size=16", "--num_members=3"])
    assert message == "show_masks.py: num_members must be <= 2 classes, got 3"


def test_a_run_from_before_test_folders_were_read_goes_on(folder, trained, tmp_path):
    """Then val/ was for the test, and test/ for nothing: as it is for a run without test/."""
    images = shutil.copytree(folder, tmp_path / "images")
    path = shutil.copytree(trained[0], tmp_path / "run")
    begun = (path / "run.flags").read_text()
    (path / "run.flags").write_text(begun.replace(str(folder), str(images)))
    flags = [f"--dataset=image_folder:{images}", *SMALL, f"--output_dir={path}", "--memory_gib=0"]
    shutil.copytree(folder / "train", images / "test")
    said = (
        f"{path}: in image_folder:{images}, val is for the test, test is not read, as when this "
        "run was begun"
    )
    longer = [*flags, "--epochs=2", "--milestones=16,19", "--extend"]
    notices.say_once.cache_clear()  # as in a process of its own
    endings, printed = call("train", flags, longer)
    assert endings == [None, None], endings
    lines = printed.splitlines()
    assert lines.count(f"train.py: {said}") == 1
    assert lines.count("  tested on       12 test images in val, at the end") == 2
    assert lines.count("  validated on    12 test images in val, after each epoch") == 2
    assert len((path / "history.csv").read_text().splitlines()) == 3
    said_of("train", *flags[:-1], f"--output_dir={tmp_path / 'new'}")
    noted = json.loads((tmp_path / "new" / "dataset.json").read_text())
    assert (noted["validation images"], noted["test images"]) == (12, 36)

    kept, again = tmp_path / "kept", tmp_path / "again"
    calls = [
        [f"--model={path}", f"--output_dir={kept}"],
        [f"--model={kept}", f"--output_dir={again}"],
        [f"--model={path}", f"--dataset=image_folder:{images}/test"],
        [f"--model={path}", f"--model={tmp_path / 'new'}"],
        [f"--model={path},{tmp_path / 'new'}"],
    ]
    notices.say_once.cache_clear()
    (*good, table, ensemble), printed = call("evaluate", *calls)
    assert good == [None] * 3 and printed.splitlines().count(f"evaluate.py: {said}") == 1
    for output in (kept, again):
        metrics = json.loads((output / "metrics.json").read_text())
        assert (metrics["split"], metrics["examples"]) == ("test", 12)
        assert metrics["temperature_fitted_on"].startswith("the other nine of ten folds")
    assert f"image_folder:{images}/test, train: 36 images" in printed
    assert "the models have other images" in table and "the runs have other images" in ensemble
    notices.say_once.cache_clear()
    printed = said_of("export", f"--model={path}")
    assert printed.splitlines().count(f"export.py: {said}") == 1
    assert f"On 12 images of image_folder:{images}, test" in printed


def test_turned_and_transparent_images_are_read_as_they_look(tmp_path):
    """Two classes that differ by orientation or opacity alone."""
    folder = tmp_path / "images"
    half = np.zeros((16, 16, 3), np.uint8)
    half[:8] = 255
    opaque = np.zeros((16, 16, 4), np.uint8)
    opaque[4:12, 4:12, 3] = 255
    for i in range(8):
        for split in ("train", "val"):
            exif = Image.Exif()
            exif[274] = 6 if i % 2 else 1  # half to the right is white, stored as at the top
            name = folder / split / "white_right" / f"{i}.png"
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(half if i % 2 else half.swapaxes(0, 1)[:, ::-1]).save(name, exif=exif)
            name = folder / split / "square" / f"{i}.png"
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(opaque).save(name)
    images, labels, _ = data.load_arrays(f"image_folder:{folder}", "test")
    right = images[labels == 1]
    assert len(right) == 8 and (right[:, :, 8:] == 255).all() and (right[:, :, :8] == 0).all()
    square = images[labels == 0]
    assert (square[:, 4:12, 4:12] == 0).all() and square[:, 0].min() == 255


def test_a_run_makes_no_class_of_itself(tmp_path):
    """Its folder below the classes' folder would be one, and the run could not go on."""
    for name in ("rose", "tulip"):
        (tmp_path / "flat" / name).mkdir(parents=True)
        (tmp_path / "split" / "train" / name).mkdir(parents=True)
        (tmp_path / "split" / "val" / name).mkdir(parents=True)
    flat, split = (f"image_folder:{tmp_path / name}" for name in ("flat", "split"))
    classes = {flat: ("flat/runs/a", "flat/a"), split: ("split/train/a", "split/val/a")}
    none = {flat: ("a", "flat/.runs/a", "flat/rose/a"), split: ("split/runs/a", "split/a")}
    for is_class, paths in ((True, classes), (False, none)):
        for dataset in paths:
            for path in paths[dataset]:
                assert image_folder.would_be_class(dataset, tmp_path / path) == is_class, path
    calls = [[f"--dataset={flat}", f"--output_dir={tmp_path}/flat/{name}"] for name in ("a", "b/c")]
    assert_refused("train", [(flags, f"would lie among the folders of {flat}") for flags in calls])
    assert sorted(path.name for path in (tmp_path / "flat").iterdir()) == ["rose", "tulip"]
