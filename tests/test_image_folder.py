import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mixmo_tf import data
from mixmo_tf.data import headers


def save(path, pixels):
    """Writes uint8 pixels in the format that the name ends with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_png = path.suffix.lower() == ".png"
    encode = tf.io.encode_png if is_png else tf.io.encode_jpeg
    path.write_bytes(encode(pixels).numpy())


def grey(value, height=16, width=16, channels=3):
    return np.full((height, width, channels), value, np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two classes below train/ and val/; every image has a grey of its own."""
    save(tmp_path / "train/cat/a.png", grey(10))
    save(tmp_path / "train/cat/deeper/b.PNG", grey(20))
    save(tmp_path / "train/dog/c.jpeg", grey(30, channels=1))  # one channel
    save(tmp_path / "train/dog/d.JPG", grey(40))
    save(tmp_path / "val/cat/e.png", grey(50))
    save(tmp_path / "val/dog/f.png", grey(60))
    (tmp_path / "train/dog/notes.txt").write_text("no image")
    (tmp_path / "train/dog/.hidden.png").write_text("no image")
    return tmp_path


def test_classes_are_folders(folder):
    images, labels, info = data.load_arrays(f"image_folder:{folder}", "train")
    assert info.class_names == ("cat", "dog") and info.image_shape == (16, 16, 3)
    assert images.dtype == np.uint8 and images[:, 0, 0].tolist() == [
        [10] * 3, [20] * 3, [30] * 3, [40] * 3
    ]  # fmt: skip
    assert labels.tolist() == [0, 0, 1, 1]
    images, labels, _ = data.load_arrays(f"image_folder:{folder}", "test")
    assert images[:, 0, 0, 0].tolist() == [50, 60] and labels.tolist() == [0, 1]
    assert data.has_test_split(f"image_folder:{folder}")


def test_links_are_followed_once_and_hidden_folders_never(folder):
    (folder / "train/cat/back").symlink_to(folder / "train/cat")
    save(folder / "elsewhere/g.png", grey(70))
    (folder / "train/dog/linked").symlink_to(folder / "elsewhere")
    save(folder / "train/dog/.cache/h.png", grey(80))
    images, labels, _ = data.load_arrays(f"image_folder:{folder}", "train")
    greys = images[:, 0, 0, 0].tolist()
    assert (greys, labels.tolist()) == ([10, 20, 30, 40, 70], [0, 0, 1, 1, 1])


def test_names_of_any_encoding(folder):
    path = os.fsencode(folder / "train/cat") + b"/\xff\xe9.png"
    with open(path, "wb") as file:
        file.write((folder / "train/cat/a.png").read_bytes())
    examples = data.load_examples(f"image_folder:{folder}", "train")
    assert len(examples.in_memory()) == 5 and examples.fingerprint()
    with open(path, "wb") as file:
        file.write((folder / "train/cat/a.png").read_bytes()[:50])
    with pytest.raises(data.DamagedImageError, match="is damaged"):
        examples.in_memory()


def test_a_path_is_the_same_however_it_is_written(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    name = f"image_folder:{folder}"
    for path in (f"{folder}/", folder.name, f"./{folder.name}/../{folder.name}"):
        assert data.full_name(f"image_folder:{path}") == name
    assert data.full_name("digits") == "digits"
    monkeypatch.setenv("HOME", str(folder.parent))
    assert data.full_name(f"image_folder:~/{folder.name}") == name


def test_a_home_folder_that_is_not_there_is_named():
    name = "image_folder:~nouser/x"
    calls = (
        data.full_name,
        data.has_test_split,
        data.has_validation_split,
        lambda name: data.load_examples(name, "train"),
    )
    for call in calls:
        with pytest.raises(FileNotFoundError) as error:
            call(name)
        assert str(error.value) == "there is no home folder ~nouser, for ~nouser/x"


def test_one_folder_with_images_held_out(folder):
    for i in range(4):
        save(folder / f"train/cat/more_{i}.png", grey(100 + i))
    shutil.rmtree(folder / "val")
    for name in (f"image_folder:{folder}", f"image_folder:{folder}/train/"):
        assert not data.has_test_split(name)
        options = {"validation_examples": 4}
        train = data.load_examples(name, "train", **options)
        held_out = data.load_examples(name, "validation", **options)
        assert (len(train), len(held_out)) == (4, 4)
        assert not set(train.images) & set(held_out.images)


def test_all_splits_at_once_look_at_every_file_once(folder, monkeypatch):
    looked_at = []
    read = headers.read
    monkeypatch.setattr(headers, "read", lambda path: looked_at.append(path) or read(path))
    for i in range(4):
        save(folder / f"train/cat/more_{i}.png", grey(100 + i))
    name = f"image_folder:{folder}"
    parts = data.load_splits(name, validation_examples=4)
    assert {split: len(part) for split, part in parts.items()} == (
        {"train": 4, "validation": 4, "test": 2}
    )
    assert len(looked_at) == len(set(looked_at)) == 10
    for split, part in parts.items():
        alone = data.load_examples(name, split, validation_examples=4)
        assert alone.fingerprint() == part.fingerprint()
    save(folder / "train/dog/later.png", grey(200))  # as in a notebook, between two cells
    assert len(data.load_splits(name, validation_examples=4)["train"]) == 5
    shutil.copytree(folder / "val", folder / "test")
    assert list(data.load_splits(name)) == ["train", "validation", "test"]
    shutil.rmtree(folder / "val")
    shutil.rmtree(folder / "test")
    assert list(data.load_splits(name)) == ["train"]


def test_images_are_cut_to_their_central_square_and_scaled(folder):
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, 8:24] = 200  # the central square is of one grey
    save(folder / "train/cat/a.png", wide)
    examples = data.load_examples(f"image_folder:{folder}", "train", image_size=8)
    images = examples.in_memory().images
    assert images.shape == (4, 8, 8, 3)
    np.testing.assert_array_equal(images[0], 200)
    np.testing.assert_array_equal(images[1], 20)
    bigger = data.load_arrays(f"image_folder:{folder}", "train", image_size=24)[0]
    np.testing.assert_array_equal(bigger[0], 200)


def test_a_size_that_is_there_changes_nothing(folder):
    random = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    save(folder / "train/cat/a.png", random)
    images = data.load_arrays(f"image_folder:{folder}", "train", image_size=16)[0]
    np.testing.assert_array_equal(images[0], random)


def test_bad_folders_are_named(folder, tmp_path):
    def message(**options):
        with pytest.raises((ValueError, OSError)) as error:
            data.load_arrays(f"image_folder:{folder}", options.pop("split", "train"), **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert message(image_size=0) == "image_size must be >= 1, got 0"
    (folder / "val/bird").mkdir()
    assert message(split="test") == f"{folder}/val has the class bird, {folder}/train has not"
    (folder / "val/bird").rename(folder / "train/bird")
    assert message().startswith(f"{folder}/train/bird has no images (.jpg")
    (folder / "train/bird").rmdir()
    (folder / "val/dog/f.png").unlink()
    (folder / "val/cat/e.png").unlink()
    assert message(split="test").startswith(f"{folder}/val has no images (.jpg")
    save(folder / "train/dog/d.JPG", grey(0, 8, 4))
    assert f"{folder}/train/dog/d.JPG has 8×4 pixels, the first image 16×16" in message()
    broken = folder / "train/dog/d.JPG"
    broken.write_bytes(tf.io.encode_jpeg(grey(0)).numpy()[:200])
    assert message() == f"cannot read {broken}: it is damaged; put a good file in its place"
    save(broken, grey(0))
    (folder / "train/cat/a.png").write_text("text")
    assert message() == f"cannot read {folder}/train/cat/a.png: it is no image"
    shutil.rmtree(folder / "train/dog")
    assert message() == f"{folder}/train must have a folder per class, 2 or more, and has 1"
    shutil.rmtree(folder)
    assert message() == f"there is no folder {folder}"


def test_files_that_are_left_out_are_named_once(folder, caplog):
    for name in ("1.heic", "2.HEIC", "list", "list.csv", "Thumbs.db", ".DS_Store", "._a.png"):
        (folder / "train/cat" / name).write_text("no image")
    save(folder / "train/g.png", grey(70))
    (folder / "train/README.txt").write_text("about the images")
    for _ in range(2):
        examples = data.load_examples(f"image_folder:{folder}", "train")
        assert len(examples) == 4
    assert caplog.messages == [
        f"{folder}/train: left out 5 files: 2 .heic, 1 without an ending, 1 .csv, 1 .txt",
        f"{folder}/train: left out 1 image in no folder of a class",
    ]
    for name in ("a.png", "deeper/b.PNG"):
        (folder / "train/cat" / name).unlink()
    with pytest.raises(ValueError, match=r"train/cat has no images \(.jpg.*\), but 2 .heic, 1 w"):
        data.load_examples(f"image_folder:{folder}", "train")


def test_every_ending_is_read_and_only_the_content_counts(folder):
    """A PNG called .jpg, a JPEG called .png, and so on through all endings."""
    names = "a.jpg b.jpeg c.jpe d.jfif e.png f.gif g.webp h.bmp i.tif j.tiff k.avif L.JPG".split()
    kinds = "PNG JPEG WEBP GIF BMP TIFF AVIF".split()
    shutil.rmtree(folder / "train/cat")
    (folder / "train/cat").mkdir()
    for i, name in enumerate(names):
        image = Image.fromarray(grey(10 * i))
        image.save(folder / "train/cat" / name, kinds[i % len(kinds)])
    images, labels, _ = data.load_arrays(f"image_folder:{folder}", "train")
    assert labels.tolist() == [0] * 12 + [1] * 2
    expected = [*(10 * i for i in [11, *range(11)]), 30, 40]  # L before a, in ASCII
    assert np.abs(images.mean(axis=(1, 2, 3)) - expected).max() <= 1


def test_all_damaged_images_are_named_at_once(folder):
    name = f"image_folder:{folder}"
    for i in range(7):
        save(folder / f"train/cat/more_{i}.png", grey(100 + i))
    examples = data.load_examples(name, "train")
    for i in (1, 4):
        path = folder / f"train/cat/more_{i}.png"
        path.write_bytes(path.read_bytes()[:50])
    (folder / "train/dog/c.jpeg").unlink()
    (folder / "train/dog/d.JPG").write_text("text")
    cat, dog = folder / "train/cat", folder / "train/dog"
    expected = (
        f"cannot read 4 of 11 images: {cat}/more_1.png is damaged, {cat}/more_4.png is damaged, "
        f"{dog}/c.jpeg is gone, {dog}/d.JPG is no image"
    )
    for read in (examples.in_memory, examples.find_damaged):
        with pytest.raises(data.DamagedImageError) as error:
            read()
        assert str(error.value) == expected
    save(dog / "d.JPG", grey(40))
    (dog / "c.jpeg").write_bytes(b"")
    with pytest.raises(data.DamagedImageError) as error:  # what a header shows, and what decoding
        data.load_examples(name, "train")
    assert str(error.value) == (
        f"cannot read 3 of 11 images: {cat}/more_1.png is damaged, {cat}/more_4.png is damaged, "
        f"{dog}/c.jpeg is empty"
    )
    (dog / "c.jpeg").unlink()
    for i in range(7):
        (cat / f"more_{i}.png").write_text("text")
    with pytest.raises(data.DamagedImageError, match="7 of 10 images: .*more_4.png is .*, and 2"):
        data.load_examples(name, "train")


def test_if_the_first_image_is_damaged_the_others_are_named_too(folder):
    for file in ("cat/a.png", "dog/d.JPG"):
        path = folder / "train" / file
        path.write_bytes(path.read_bytes()[:60])
    for options in ({}, {"image_size": 8}):
        with pytest.raises(data.DamagedImageError, match="2 of 4 images: .*a.png is .*d.JPG is da"):
            data.load_examples(f"image_folder:{folder}", "train", **options)


def test_a_file_that_may_not_be_opened_is_named(folder):
    (folder / "train/dog/nowhere.png").symlink_to(folder / "nothing.png")
    with pytest.raises(ValueError, match="nowhere.png: it is not to be opened .No such file"):
        data.load_examples(f"image_folder:{folder}", "train")


def test_a_pipe_is_named_and_not_waited_for(folder):
    os.mkfifo(folder / "train/cat/pipe.png")
    with pytest.raises(data.DamagedImageError, match="cannot read .*/cat/pipe.png: it is no file"):
        data.load_examples(f"image_folder:{folder}", "train")


def test_runs_of_earlier_versions_find_the_same_images(folder):
    """What dataset.json of a run says that was trained before orientation was looked at."""
    examples = data.load_examples(f"image_folder:{folder}", "train")
    before = "5be9322e26ecf62b31e2a27e890bff77878dbeca35a11fea56bbcb526880d7e0"
    assert examples.fingerprint() == examples.in_memory().fingerprint() == before
