"""Folders as people have them: which is for training, validation and the test, which a class."""

import json
import unicodedata

import numpy as np
import pytest
from test_image_folder import grey, save

from mixmo_tf import data
from mixmo_tf.experiments import directory


def make(root, *folders):
    """Two images, of greys of their own, in each folder."""
    for folder in folders:
        for i in range(2):
            (root / folder).mkdir(parents=True, exist_ok=True)
            save(root / folder / f"{i}.png", grey(10 * len(list(root.rglob("*.png")))))
    return f"image_folder:{root}"


def names(name, split, **options):
    """The paths that a split reads, below the root."""
    examples = data.load_examples(name, split, **options)
    root = name.removeprefix("image_folder:")
    return {f"{examples.location}{each}".removeprefix(f"{root}/") for each in examples.names}


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize(
    "other", ["val", "Val", "valid", "validation", "dev", "test", "Testing", "TEST"]
)
def test_two_splits_by_any_name(tmp_path, train, other):
    folders = [f"{split}/{name}" for split in (train, other) for name in ("cat", "dog")]
    name = make(tmp_path, *folders)
    assert names(name, "train") == {f"{folder}/{i}.png" for folder in folders[:2] for i in (0, 1)}
    assert names(name, "test") == {f"{folder}/{i}.png" for folder in folders[2:] for i in (0, 1)}
    assert data.load_examples(name, "train").info.class_names == ("cat", "dog")
    assert data.has_test_split(name) and not data.has_validation_split(name)
    with pytest.raises(ValueError, match="the split validation needs validation_examples > 0"):
        data.load_examples(name, "validation")
    held_out = names(name, "validation", validation_examples=2)
    assert len(held_out) == 2 and held_out < names(name, "train")


def test_three_splits(tmp_path, caplog):
    splits = {"train": "Train", "validation": "val", "test": "Testing"}
    folders = [f"{split}/{name}" for split in splits.values() for name in ("cat", "dog")]
    name = make(tmp_path, *folders)
    for split, folder in splits.items():
        paths = {f"{folder}/{of_class}/{i}.png" for of_class in ("cat", "dog") for i in (0, 1)}
        assert names(name, split) == paths
    assert data.has_test_split(name) and data.has_validation_split(name)
    assert not caplog.messages
    train = names(name, "train", validation_examples=2)
    held_out = names(name, "validation", validation_examples=2)
    assert train | held_out == names(name, "train") and len(held_out) == 2
    assert names(name, "test", validation_examples=2) == names(name, "test")
    assert "its own validation images are not used, as training" in caplog.text


def test_a_split_is_never_a_class(tmp_path):
    def message(*folders):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        name = make(root, *folders)
        assert not data.has_test_split(name)
        with pytest.raises(ValueError) as error:
            data.load_examples(name, "train")
        return str(error.value).replace(str(root), "ROOT")

    assert message("Testing", "Training") == (
        "ROOT/Training must have a folder per class, 2 or more, and has 0"
    )
    none = "no classes in a folder train to train on; a folder called {} is a split, never a class"
    assert message("cat", "dog", "test") == f"ROOT has test beside cat, and {none.format('test')}"
    assert message("bus", "train") == f"ROOT has train beside bus, and {none.format('train')}"
    assert message("val/cat", "val/dog", "test/cat") == (
        f"ROOT has test and val, and {none.format('test and val')}"
    )
    assert message("train/cat", "train/dog", "Training/cat") == (
        "ROOT has Training and train, which mean the same; keep one of them"
    )
    assert message("train/cat", "train/dog", "val/cat", "validation/cat", "test/cat") == (
        "ROOT has val and validation, which mean the same; keep one of them"
    )


def test_a_split_inside_a_split_is_a_class(tmp_path):
    name = make(tmp_path, "train/bus", "train/train", "test/bus", "test/train")
    assert data.load_examples(name, "test").info.class_names == ("bus", "train")


def test_folders_without_classes_are_left_out_and_named(tmp_path, caplog):
    name = make(tmp_path, "train/cat", "train/dog", "val/cat", "test", "annotations")
    assert names(name, "test") == {"val/cat/0.png", "val/cat/1.png"}
    assert not data.has_validation_split(name)
    said = f"{tmp_path}: left out test, annotations, which are no splits with a folder"
    assert said in caplog.text


def test_a_class_without_images_is_named_and_counts_as_none(tmp_path, caplog):
    name = make(tmp_path, "train/cat", "train/dog", "train/eel", "val/cat")
    (tmp_path / "val/eel").mkdir()
    examples = data.load_examples(name, "test")
    assert examples.labels.tolist() == [0, 0] and examples.info.num_classes == 3
    said = f"{tmp_path}/val: no images of dog, eel, which are counted as zero images"
    assert caplog.messages == [said]


def test_what_macos_leaves_is_no_class(tmp_path):
    name = make(tmp_path, "cat", "dog", "__MACOSX/cat", ".cache/cat", "cat/__MACOSX")
    examples = data.load_examples(name, "train")
    assert examples.info.class_names == ("cat", "dog") and len(examples) == 4
    name = make(tmp_path / "splits", "train/cat", "train/dog", "train/__MACOSX", "__MACOSX/train")
    assert data.load_examples(name, "train").info.class_names == ("cat", "dog")


def test_names_are_compared_in_one_form_of_unicode(tmp_path):
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != apart
    name = make(tmp_path / "a", f"train/{composed}", "train/thé", f"val/{apart}", "val/thé")
    examples = data.load_examples(name, "test")
    assert examples.info.class_names == (composed, "thé")
    np.testing.assert_array_equal(np.bincount(examples.labels), [2, 2])
    assert len(examples.in_memory()) == 4  # opened by the names on the disk
    make(tmp_path / "b", f"train/{apart}", "train/thé")
    other = data.load_examples(f"image_folder:{tmp_path / 'b'}", "train")
    assert other.info.class_names == examples.info.class_names and len(other.in_memory()) == 4
    name = make(tmp_path / "c", f"{composed}", f"{apart}")
    with pytest.raises(ValueError, match="has the folder café twice, in two forms of Unicode"):
        data.load_examples(name, "train")


@pytest.mark.parametrize(
    "then, now, held_out, said",
    [
        (["val"], ["val", "test"], 0, "val is for the test, test is not read"),
        (["val"], ["val", "Testing"], 2, "val is for the test, Testing is not read"),
        ([], ["test"], 2, "no folder is for the test, test is not read"),
        ([], ["Val"], 2, "no folder is for the test, Val is not read"),
        ([], ["dev", "test"], 2, "no folder is for the test, dev and test are not read"),
        ([], [], 2, None),
        (["val"], ["val"], 0, None),
        (["test"], ["test"], 0, None),
        (["val", "test"], ["val", "test"], 0, None),
        (["val", "test"], ["val", "test"], 2, None),
    ],
)
def test_runs_begun_before_test_folders_were_read(tmp_path, caplog, then, now, held_out, said):
    """Versions before 0.2 noted of the folders `now` what today's notes of `then`."""
    root, run = tmp_path / "images", tmp_path / "run"
    run.mkdir()
    name = make(root, *(f"{s}/{c}" for s in ("train", *then) for c in ("cat", "dog")))
    (run / "run.flags").write_text(f"--dataset={name}\n")
    examples = data.load_splits(name, validation_examples=held_out)
    directory.check_dataset(run, examples)
    for folder in set(now) - set(then):
        make(root, f"{folder}/cat", f"{folder}/dog")
        save(root / folder / "cat" / "later.png", grey(0))  # a name that val/ has not
    caplog.clear()
    as_before = directory.reads_as_before(run, name)
    assert as_before == bool(said)
    line = f"{run}: in {name}, {said}, as when this run was begun"
    assert caplog.messages == ([line] if said else [])
    again = data.load_splits(name, validation_examples=held_out, as_before=as_before)
    directory.check_dataset(run, again)
    assert {split: part.fingerprint() for split, part in again.items()} == (
        {split: part.fingerprint() for split, part in examples.items()}
    )
    if said:
        with pytest.raises(ValueError, match="other images"):
            directory.check_dataset(run, data.load_splits(name, validation_examples=held_out))


def test_a_run_of_today_is_not_taken_for_one_of_before(tmp_path):
    """Though val/ and test/ have the same names; nor one on another dataset, or damaged."""
    folders = [f"{split}/{name}" for split in ("train", "val", "test") for name in ("cat", "dog")]
    name = make(tmp_path / "images", *folders)
    (tmp_path / "run.flags").write_text(f"--dataset={name}\n")
    examples = data.load_splits(name)
    assert examples["validation"].fingerprint() == examples["test"].fingerprint()
    assert not directory.reads_as_before(tmp_path, name)
    directory.check_dataset(tmp_path, examples)
    assert not directory.reads_as_before(tmp_path, name)
    file = tmp_path / "dataset.json"
    noted = json.loads(file.read_text())
    del noted["validation names"], noted["validation images"]
    file.write_text(json.dumps(noted))
    assert directory.reads_as_before(tmp_path, name)
    (tmp_path / "run.flags").write_text("--dataset=digits\n")
    assert not directory.reads_as_before(tmp_path, name)
    assert not directory.reads_as_before(tmp_path, "digits")
    (tmp_path / "run.flags").write_text(f"--dataset={name}\n")
    file.write_text("{")
    assert not directory.reads_as_before(tmp_path, name)


def test_runs_that_know_their_classes_in_the_other_form(tmp_path):
    """Until now dataset.json had the names as they are on the disk, on a Mac in NFD."""
    name = make(tmp_path / "images", unicodedata.normalize("NFD", "café"), "thé")
    examples = {"train": data.load_examples(name, "train")}
    directory.check_dataset(tmp_path, examples)
    file = tmp_path / "dataset.json"
    noted = json.loads(file.read_text())
    noted["class_names"][0] = unicodedata.normalize("NFD", noted["class_names"][0])
    file.write_text(json.dumps(noted))
    directory.check_dataset(tmp_path, examples)
    noted["class_names"][0] = "cafe"
    file.write_text(json.dumps(noted))
    with pytest.raises(ValueError, match="class_names: cafe there, café here"):
        directory.check_dataset(tmp_path, examples)
