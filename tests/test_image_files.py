"""Files that a user names have the pixels that training reads from a folder of them."""

import os

import numpy as np
import pytest
from picture_files import AXES, DOTS, UPRIGHT, encoded, palette, stored
from PIL import Image

from mixmo_tf import data

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
GREY = Image.fromarray(NOISE).convert("L")


def of_every_kind():
    """Names and contents of files of all kinds that are read, in all orientations."""
    files = {f"{i}.jpg": encoded(stored(i), "JPEG", i, quality=95) for i in AXES}
    files |= {f"{i}.png": encoded(stored(i), "PNG", i) for i in AXES}
    files |= {f"{i}.tif": encoded(stored(i), "TIFF", i) for i in (1, 6)}
    files |= {f"{i}.webp": encoded(stored(i), "WEBP", i, lossless=True) for i in (1, 6)}
    image, transparent = palette()
    files |= {"palette.png": encoded(image, "PNG", **transparent), "dots.png": encoded(DOTS, "PNG")}
    files |= {"palette.bmp": encoded(image, "BMP"), "palette.gif": encoded(image, "GIF")}
    files |= {"noise.jpg": encoded(NOISE, "JPEG"), "noise.avif": encoded(NOISE, "AVIF")}
    files |= {"grey.jpg": encoded(GREY, "JPEG"), "grey.png": encoded(GREY, "PNG")}
    return files | {"cmyk.jpg": encoded(Image.fromarray(NOISE).convert("CMYK"), "JPEG")}


@pytest.fixture
def folder(tmp_path):
    """An image folder of one class per kind of file, and one more."""
    for name, content in of_every_kind().items():
        path = tmp_path / name.rpartition(".")[2] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("size", [16, 11, 96])
def test_the_pixels_are_those_of_training(folder, size):
    examples = data.load_examples(f"image_folder:{folder}", "train", image_size=size)
    expected, _ = next(examples.batches(100).as_numpy_iterator())
    files = [f"{examples.location}{name}" for name in examples.names]
    assert len(files) == len(of_every_kind())
    images = data.read_images(files, (size, size, 3))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, expected)
    backwards = data.read_images(files[::-1], (size, size, 3))
    np.testing.assert_array_equal(backwards[::-1], expected)


def test_hand_computed_pixels(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(stored(6), "PNG", 6))  # 24×16 on disk, shown 16×24
    files = [tmp_path / "a.png"]
    (square,) = data.read_images(files, (16, 16, 3))
    np.testing.assert_array_equal(square, UPRIGHT[:, 4:20])
    (inner,) = data.read_images(files, (8, 8, 3), central_fraction=0.5)
    np.testing.assert_array_equal(inner, UPRIGHT[4:12, 8:16])


def test_a_model_that_is_not_square_takes_its_own_size(tmp_path):
    for name, pixels in (("a.png", UPRIGHT), ("b.png", NOISE), ("c.png", UPRIGHT[::-1])):
        (tmp_path / name).write_bytes(encoded(pixels, "PNG"))
    a, b, c = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    np.testing.assert_array_equal(data.read_images([a, c], (16, 24, 3)), [UPRIGHT, UPRIGHT[::-1]])
    message = f"^cannot read {b}: it is of 40×60 pixels, where 16×24 are taken$"
    with pytest.raises(data.DamagedImageError, match=message):
        data.read_images([a, b, c], (16, 24, 3))


def test_all_that_is_damaged_is_told_and_the_rest_can_be_read(tmp_path):
    contents = {
        "good.png": encoded(UPRIGHT, "PNG"),
        "empty.jpg": b"",
        "page.jpg": b"<html>404</html>",
        "cut.png": encoded(NOISE, "PNG")[:2000],
        "cut.jpg": encoded(NOISE, "JPEG")[:1000],
        "other.gif": encoded(UPRIGHT[::-1], "GIF"),
        "noise.jpg": np.random.default_rng(0).bytes(10_000),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in (*contents, "nowhere.jpg")]
    with pytest.raises(data.DamagedImageError) as raised:
        data.read_images(files, (16, 16, 3))
    assert "cannot read 6 of 8 images: " in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.problems == {
        str(tmp_path / "empty.jpg"): "empty",
        str(tmp_path / "page.jpg"): "no image",
        str(tmp_path / "cut.png"): "damaged",
        str(tmp_path / "cut.jpg"): "damaged",
        str(tmp_path / "noise.jpg"): "no image",
        str(tmp_path / "nowhere.jpg"): "not to be opened (No such file or directory)",
    }
    good = [file for file in files if str(file) not in raised.value.problems]
    images = data.read_images(good, (16, 16, 3))
    np.testing.assert_array_equal(images[0], UPRIGHT[:, 4:20])
    np.testing.assert_array_equal(images[1], UPRIGHT[::-1, 4:20])


def test_batches_hold_each_file_once(tmp_path):
    for i in range(7):
        (tmp_path / f"{i}.png").write_bytes(encoded(np.full((4, 4, 3), i, np.uint8), "PNG"))
    (tmp_path / "3.png").write_bytes(encoded(NOISE, "PNG")[:1000])
    files = [str(tmp_path / f"{i}.png") for i in (5, 3, 0, 6, 1, 4, 2)]
    values, problems = {}, {}
    for indices, images, of_others in data.image_batches(files, (4, 4, 3), batch_size=2):
        assert len(indices) == len(images) <= 2
        values |= {int(i): int(image.max()) for i, image in zip(indices, images, strict=True)}
        problems |= of_others
    assert values == {0: 5, 2: 0, 3: 6, 4: 1, 5: 4, 6: 2}
    assert problems == {1: "damaged"}


def test_no_files_and_none_that_can_be_read(tmp_path):
    assert data.read_images([], (8, 4, 3)).shape == (0, 8, 4, 3)
    (tmp_path / "a.jpg").write_bytes(b"")
    ((indices, images, problems),) = data.image_batches([tmp_path / "a.jpg"], (8, 8, 3), 10)
    assert indices.shape == (0,) and images.shape == (0, 8, 8, 3) and problems == {0: "empty"}


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", tmp_path):
        with pytest.raises(data.DamagedImageError, match=f"^cannot read {path}: it is no file$"):
            data.read_images([path], (8, 8, 3))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("a.jpg", (8, 8, 3)), "files must be a list of paths, got 'a.jpg'"),
        ((None, (8, 8, 3)), "files must be a list of paths, got None"),
        (([7], (8, 8, 3)), "files must be a path, got 7"),
        (([], (8, 8)), r"image_shape must be \(height, width, 3\), .* got \(8, 8\)"),
        (([], (28, 28, 1)), r"image_shape must be \(height, width, 3\), .* got \(28, 28, 1\)"),
        (([], (0, 8, 3)), "height of image_shape must be >= 1, got 0"),
        (([], (8, 10**6, 3)), "width of image_shape must be <= 10000, got 1000000"),
        (([], (8, 8, 3), 0), "central_fraction must be > 0, got 0"),
        (([], (8, 8, 3), 1.5), r"central_fraction must be in \[0, 1\], got 1.5"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        data.read_images(*arguments)


def test_files_folders_and_patterns_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.png", "b/10.JPG", "b/in/1.jpg", "b/.hidden.png", "b/notes.txt", "a[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert data.find_images(["nowhere.jpg", "b/notes.txt"]) == ["nowhere.jpg", "b/notes.txt"]
    assert data.find_images(["b"]) == ["b/10.JPG", "b/2.png", "b/in/1.jpg"]
    assert data.find_images(["b/**/*.[jJ]*"]) == ["b/10.JPG", "b/in/1.jpg"]
    assert data.find_images(["a[1].png"]) == ["a[1].png"]  # which is there
    assert data.find_images(["*"]) == ["a[1].png", *data.find_images(["b"])]
    with pytest.raises(ValueError, match=r"^no file fits c/\*.png$"):
        data.find_images(["c/*.png"])
    (tmp_path / "b/in/1.jpg").rename(tmp_path / "b/in/1.heic")
    with pytest.raises(ValueError, match=r"^b/in has no images \(.*\), but 1 .heic$"):
        data.find_images(["b/in"])
