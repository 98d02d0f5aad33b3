"""Corrupted images that are made: once, the same for every model, never mixed with others."""

import dataclasses
import json
import os
import threading

import numpy as np
import pytest
from PIL import Image

from mixmo_tf import data, outputs
from mixmo_tf.data import corrupting, corruptions

pytest.importorskip("imagecorruptions", reason='needs pip install -e ".[corruptions]"')


@pytest.fixture(scope="module")
def digits():
    """Three test images of different labels, coloured, so that saturation can change them."""
    examples = data.load_examples("digits", "test").take(np.array([0, 1, 4]))
    coloured = (examples.images * np.array([0.9, 0.6, 0.4])).astype(np.uint8)
    return dataclasses.replace(examples, images=coloured)


def make(examples, folder, *names, **options):
    return corrupting.make(examples, folder, "test", names, processes=1, **options)


def test_all_nineteen_are_made_in_the_published_layout(digits, tmp_path):
    folder = tmp_path / "new" / "made"
    found = make(digits, folder, *corruptions.NAMES)
    assert len(found.sets) == 95
    names = [f"{name}.npy" for name in corruptions.NAMES]
    assert {file.name for file in folder.iterdir()} == {*names, "labels.npy", "made.json"}
    labels = np.load(folder / "labels.npy")
    np.testing.assert_array_equal(labels, np.tile(digits.labels, 5))
    for name in corruptions.NAMES:
        images = np.load(folder / f"{name}.npy")
        assert (images.shape, images.dtype) == ((15, 32, 32, 3), np.uint8)
        changes = np.abs(images.reshape(5, 3, -1) - digits.images.reshape(3, -1).astype(float))
        changes = changes.mean(axis=(1, 2))
        assert changes.min() > 0.3 and changes[4] > changes[0], name  # 5 changes more than 1
    opened = found.open("fog", 2)
    assert opened.info.class_names == digits.info.class_names
    ((images, _),) = opened.batches(10)
    np.testing.assert_array_equal(images, np.load(folder / "fog.npy")[3:6])


DRAWN = "gaussian_noise", "impulse_noise", "frost"  # with NumPy's seed, and without


def test_what_is_made_depends_on_the_seed_alone(digits, tmp_path):
    """Not on the processes, on what was made before, or on the state of NumPy's generator."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make(digits, tmp_path / "a", *DRAWN)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    make(digits, tmp_path / "b", *DRAWN[::-1])
    make(digits, tmp_path / "other", *DRAWN, seed=1)
    corrupting.make(digits, tmp_path / "apart", "test", DRAWN[:1], processes=2)
    for name in DRAWN:
        of_a, of_b, of_other = (np.load(tmp_path / x / f"{name}.npy") for x in ("a", "b", "other"))
        np.testing.assert_array_equal(of_a, of_b)
        assert (of_a != of_other).any()
    apart = (tmp_path / "apart" / f"{DRAWN[0]}.npy").read_bytes()
    assert apart == (tmp_path / "a" / f"{DRAWN[0]}.npy").read_bytes()
    rows = np.load(tmp_path / "a" / "gaussian_noise.npy")
    assert (rows[:3] - digits.images != rows[3:6] - digits.images).any()


def test_a_second_call_makes_what_is_missing(digits, tmp_path, monkeypatch):
    make(digits, tmp_path, "fog")
    written = (tmp_path / "fog.npy").stat().st_mtime_ns
    killed = tmp_path / "partial-snow.npy-abcdefgh"
    killed.mkdir()
    (killed / "snow.npy").write_text("half")
    real = corrupting._corrupter()

    def interrupted(images, name, severity, seeds):
        if name == "contrast":
            raise KeyboardInterrupt
        return real(images, name, severity, seeds)

    monkeypatch.setattr(corrupting, "_corrupter", lambda: interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(digits, tmp_path, "fog", "brightness", "contrast")
    names = {"fog.npy", "brightness.npy", "labels.npy", "made.json"}
    assert {file.name for file in tmp_path.iterdir()} == names  # nothing half written
    monkeypatch.undo()
    found = make(digits, tmp_path, "fog", "brightness", "contrast")
    assert {name for name, _ in found.sets} == {"fog", "brightness", "contrast"}
    assert (tmp_path / "fog.npy").stat().st_mtime_ns == written
    monkeypatch.setattr(corrupting.extras, "check", None)  # what is there needs no library
    assert make(digits, tmp_path, "fog").sets == found.sets


def test_two_processes_make_one_after_the_other(digits, tmp_path, caplog):
    """The second one took what the first one was writing for what a killed one had left."""
    caplog.set_level("INFO")
    folder = tmp_path / "made"
    make(digits, folder, "contrast")
    writing = folder / "partial-fog.npy-12345678"
    writing.mkdir()
    with corrupting._alone(folder):
        second = threading.Thread(target=make, args=(digits, folder, "pixelate"))
        second.start()
        second.join(1)
        assert second.is_alive() and writing.exists()
        assert f"Another process makes images in {folder}: waiting for it." in caplog.text
    second.join()
    assert not writing.exists() and (folder / "pixelate.npy").exists()


def test_grey_images_stay_grey(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 40, 1)).astype(np.uint8)
    info = data.Info("grey", 2, (32, 40, 1), ("a", "b"))
    make(data.Examples(images, np.array([0, 1]), info), tmp_path, "contrast")
    assert np.load(tmp_path / "contrast.npy").shape == (10, 32, 40, 1)


def test_folders_of_other_images_are_refused(digits, tmp_path, monkeypatch):
    make(digits, tmp_path / "made", "contrast")
    others = data.load_examples("digits", "test").take(np.array([1, 0, 4]))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    small = data.Info("small", 1, (16, 16, 3), ("a",))
    small = data.Examples(np.zeros((1, 16, 16, 3), np.uint8), np.zeros(1, int), small)
    cases = [
        ((others, tmp_path / "made", "contrast"), "made was made of other images of digits"),
        ((others, tmp_path / "made", "fog"), "made was made of other images of digits"),
        ((digits.take(np.arange(2)), tmp_path / "made", "fog"), "with examples 3, not 2"),
        ((digits, tmp_path / "mine", "fog"), "mine holds other files, no made.json"),
        ((small, tmp_path / "new", "fog"), "need images of 32×32 pixels or more, .*got 16×16"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            make(*arguments)
    with pytest.raises(ValueError, match="was made with seed 0, not 1; choose another folder"):
        make(digits, tmp_path / "made", "contrast", seed=1)
    with pytest.raises(ValueError, match="was made with split test, not train"):
        corrupting.make(digits, tmp_path / "made", "train", ("contrast",))
    note = json.loads((tmp_path / "made" / "made.json").read_text())
    outputs.write(tmp_path / "made" / "made.json", json.dumps(note | {"library": "old 0"}), True)
    make(digits, tmp_path / "made", "contrast")  # is there
    with pytest.raises(ValueError, match="with library old 0, not imagecorruptions-imaug"):
        make(digits, tmp_path / "made", "fog")
    (tmp_path / "made" / "made.json").write_text("[]")
    with pytest.raises(ValueError, match="made.json is damaged"):
        make(digits, tmp_path / "made", "fog")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(corrupting.shutil, "disk_usage", lambda path: type("", (), {"free": 0}))
    with pytest.raises(OSError, match=r"new: 1 corruptions take 0.0 GB, and there are 0.0 free"):
        make(digits, tmp_path / "new", "fog")


def test_an_image_that_was_replaced_under_its_name_is_noticed(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    files = [tmp_path / "photos" / of_class / "1.png" for of_class in ("cat", "dog")]
    for file, image in zip(files, pixels[:2], strict=True):
        file.parent.mkdir(parents=True)
        Image.fromarray(image).save(file)

    def make_again(name):
        examples = data.load_examples(f"image_folder:{tmp_path / 'photos'}", "train")
        make(examples, tmp_path / "made", name)

    make_again("contrast")
    make_again("fog")
    os.utime(files[0])  # a copy of the images has new times, and is the same
    make_again("fog")
    Image.fromarray(pixels[2]).save(files[1])
    with pytest.raises(ValueError, match="made was made of other images of image_folder:"):
        make_again("fog")
    note = json.loads((tmp_path / "made" / "made.json").read_text())
    del note["content"]  # as notes were once
    outputs.write(tmp_path / "made" / "made.json", json.dumps(note), True)
    make_again("fog")
