"""Files as cameras and programs write them are decoded to what a viewer shows."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from picture_files import (
    AXES,
    DOTS,
    UPRIGHT,
    encoded,
    palette,
    png_chunk,
    stored,
    with_exif_at_end,
)
from PIL import Image

from mixmo_tf import data
from mixmo_tf.data import decoding, headers


def decoded(path, content=None, image_size=None):
    """The pixels of a file, as a dataset reads it."""
    if content is not None:
        path.write_bytes(content)
    element = decoding.element(str(path), headers.read(path))
    return decoding.decoder([element], image_size)(tf.constant(element)).numpy()


@pytest.mark.parametrize(
    "kind, options",
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_one_picture_in_eight_orientations_gives_equal_pixels(tmp_path, kind, options):
    images = [decoded(tmp_path / f"{i}.jpg", encoded(stored(i), kind, i, **options)) for i in AXES]
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])
    assert images[0].shape == UPRIGHT.shape
    assert np.abs(images[0].astype(int) - UPRIGHT).max() <= 3  # JPEG and AVIF round colours


def test_orientations_and_kinds_are_mixed_in_one_folder(tmp_path):
    for i in AXES:
        for kind, options in (("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {})):
            path = tmp_path / f"class_{i % 2}" / f"{i}.{kind.lower()}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(stored(i), kind, i, **options))
    examples = data.load_examples(f"image_folder:{tmp_path}", "train")
    for images in (examples.in_memory().images, next(iter(examples.batches(16)))[0].numpy()):
        assert np.abs(images.astype(int) - UPRIGHT).max() <= 3
    for image, _ in examples.training_batches(8, seed=0).take(2):
        assert np.abs(image.numpy().astype(int) - UPRIGHT).max() <= 3


def test_the_central_square_is_that_of_the_turned_image(tmp_path):
    turned = decoded(tmp_path / "a.png", encoded(stored(6), "PNG", 6), image_size=16)
    np.testing.assert_array_equal(turned, UPRIGHT[:, 4:20])


def test_exif_after_the_pixels_of_a_png(tmp_path):
    content = with_exif_at_end(encoded(stored(6), "PNG"), 6)
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", content), UPRIGHT)


def in_many_chunks(num_chunks, after=b""):
    """A PNG with its pixels in many chunks, as tf.io.encode_png writes large ones."""
    content = encoded(stored(6), "PNG")
    start = content.index(b"IDAT") - 4
    size = int.from_bytes(content[start : start + 4], "big")
    pixels = content[start + 8 : start + 8 + size]
    empty = png_chunk(b"IDAT", b"") * num_chunks
    end = png_chunk(b"IEND", b"")
    return content[:start] + png_chunk(b"IDAT", pixels) + empty + after + end


def test_a_png_is_not_read_chunk_by_chunk(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "a.png"
    path.write_bytes(in_many_chunks(20_000, after=png_chunk(b"eXIf", exif.tobytes()[6:])))
    reads = []

    class File(io.FileIO):
        def read(self, size=-1):
            reads.append(size)
            return super().read(size)

    monkeypatch.setattr(headers, "open", lambda path, mode: File(path), raising=False)
    assert headers.read(path) == headers.Header("opaque", 6)
    assert len(reads) < 10
    np.testing.assert_array_equal(decoded(path), UPRIGHT)


def test_pixels_that_spell_exif_are_not_taken_for_it(tmp_path):
    """They are stored as they are, with a size before them, but without the checksum."""
    exif = Image.Exif()
    exif[274] = 6
    content = exif.tobytes()[6:]
    spelt = struct.pack(">I", len(content)) + b"eXIf" + content + b"1234"
    first_row = np.frombuffer(spelt.ljust(3 * 24, b"\0"), np.uint8)
    pixels = np.concatenate([first_row.reshape(1, 24, 3), UPRIGHT[1:]])
    stored_plainly = encoded(pixels, "PNG", compress_level=0)
    assert stored_plainly.count(spelt) == 1
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", stored_plainly), pixels)
    end = stored_plainly.index(b"IEND") - 4
    chunk = png_chunk(b"eXIf", content) + png_chunk(b"tEXt", b"Comment\0eXIf")
    both = stored_plainly[:end] + chunk + stored_plainly[end:]
    turned = np.rot90(pixels, -1)  # a sixth orientation: the first row is at the right
    np.testing.assert_array_equal(decoded(tmp_path / "b.png", both), turned)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\xff", b"Exif\0\0garbage"])
def test_damaged_exif_is_no_damaged_image(tmp_path, exif):
    for kind in ("JPEG", "PNG", "WEBP"):
        content = encoded(UPRIGHT, kind, exif=exif)
        assert decoded(tmp_path / "a.jpg", content).shape == UPRIGHT.shape


@pytest.mark.parametrize("kind, options", [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {})])
@pytest.mark.parametrize(
    "type_and_value", [(11, struct.pack("<f", 6)), (5, struct.pack("<II", 6, 1))], ids=str
)
def test_an_orientation_that_is_no_integer(tmp_path, kind, options, type_and_value):
    """The standard has an unsigned short; a float or a fraction may say the same."""
    number, value = type_and_value
    entry = struct.pack("<HHI", 274, number, 1)
    entry += value if len(value) == 4 else struct.pack("<I", 26)
    exif = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + value
    exif = exif if kind == "PNG" else b"Exif\0\0" + exif
    image = decoded(tmp_path / "a", encoded(stored(6), kind, exif=exif, **options))
    assert image.shape == UPRIGHT.shape
    assert np.abs(image.astype(int) - UPRIGHT)[::8, ::8].max() < 80  # colours are coarse in JPEG


def test_an_orientation_that_is_none_leaves_the_image(tmp_path):
    for orientation in (9, 255):
        content = encoded(UPRIGHT, "PNG", orientation)
        np.testing.assert_array_equal(decoded(tmp_path / "a.png", content), UPRIGHT)


# DOTS on white.
ON_WHITE = np.full((2, 3, 3), 255, np.uint8)
ON_WHITE[0, 1] = 0
ON_WHITE[1, 2] = 227, 127, 177  # (200·128 + 255·127) / 255 = 227.4, 127, 177.2


def test_transparent_images_lie_on_white(tmp_path):
    file = tmp_path / "a.png"
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        np.testing.assert_array_equal(decoded(file, encoded(DOTS, kind, **options)), ON_WHITE)
    grey = decoded(file, encoded(DOTS[..., [0, 3]].copy(), "PNG"))  # grey and opacity
    np.testing.assert_array_equal(grey, ON_WHITE[..., :1].repeat(3, axis=-1))
    image, options = palette()
    for kind in ("PNG", "GIF"):
        pixels = decoded(file, encoded(image, kind, **options))
        assert pixels.tolist() == [[[255, 255, 255], [0, 255, 0], [0, 0, 255]]]
    colours = np.array([[[9, 9, 9], [8, 9, 9]]], np.uint8)
    content = encoded(colours, "PNG", transparency=(9, 9, 9))  # a colour that means nothing
    assert decoded(file, content).tolist() == [[[255, 255, 255], [8, 9, 9]]]
    lossy = decoded(file, encoded(np.full((16, 16, 4), (0, 0, 0, 0), np.uint8), "WEBP"))
    np.testing.assert_array_equal(lossy, 255)
    avif = decoded(file, encoded(np.full((16, 16, 4), (0, 0, 0, 0), np.uint8), "AVIF"))
    np.testing.assert_array_equal(avif, 255)


def test_a_transparent_image_is_turned_too(tmp_path):
    for orientation in (6, 7):
        pixels = np.dstack([stored(orientation), np.full(stored(orientation).shape[:2], 255)])
        pixels[stored(orientation)[..., 0] == 10] = 0  # the block at the bottom right
        content = encoded(pixels.astype(np.uint8), "PNG", orientation)
        expected = UPRIGHT.copy()
        expected[8:, 16:] = 255
        np.testing.assert_array_equal(decoded(tmp_path / "a.png", content), expected)


def test_opaque_images_keep_tensorflows_pixels(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    opaque = np.dstack([noise, np.full((20, 30), 255, np.uint8)])
    image = Image.fromarray(noise).quantize(200)
    contents = [
        encoded(noise, "JPEG"),
        encoded(Image.fromarray(noise).convert("CMYK"), "JPEG"),
        encoded(Image.fromarray(noise).convert("L"), "JPEG"),
        encoded(noise, "PNG"),
        encoded(opaque, "PNG"),  # has an opacity, of 255 everywhere
        encoded((noise[..., 0].astype(np.uint16) * 257), "PNG"),
        encoded(Image.fromarray(noise).convert("1"), "PNG"),
        encoded(image, "GIF"),
        encoded(image, "GIF", transparency=255),  # an entry that no pixel has
        encoded(noise, "WEBP"),
    ]
    for content in contents:
        expected = tf.io.decode_image(content, 3, expand_animations=False)
        np.testing.assert_array_equal(decoded(tmp_path / "a", content), expected)


def test_what_tensorflow_cannot_read_pillow_reads(tmp_path):
    image, _ = palette(None)
    colours = [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    for kind in ("BMP", "TIFF"):
        assert decoded(tmp_path / "a.bmp", encoded(image, kind)).tolist() == colours
    sixteen_bits = np.array([[0, 256, 32768, 65535]], np.uint16)
    grey = decoded(tmp_path / "a.tiff", encoded(sixteen_bits, "TIFF"))
    assert grey.tolist() == [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]
    avif = decoded(tmp_path / "a.avif", encoded(UPRIGHT, "AVIF", quality=95, subsampling="4:4:4"))
    assert np.abs(avif.astype(int) - UPRIGHT).max() <= 6


def test_several_images_in_a_file_the_first_counts(tmp_path):
    first, other = (np.full((4, 6, 3), value, np.uint8) for value in (40, 200))
    for kind in ("GIF", "WEBP", "TIFF", "PNG", "AVIF"):
        options = {"save_all": True, "append_images": [Image.fromarray(other)]}
        content = encoded(first, kind, **options, **({"lossless": True} if kind == "WEBP" else {}))
        assert np.abs(decoded(tmp_path / "a", content).astype(int) - first).max() <= 3


def test_an_animated_webp_does_not_crash_tensorflow(tmp_path):
    """TensorFlow 2.21 ends the process where it decodes one, opaque, of any channels."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 2, 10, 12, 3), dtype=np.uint8)
    for i, (first, second) in enumerate(noise):
        options = {"save_all": True, "append_images": [Image.fromarray(second)]}
        path = tmp_path / f"class_{i // 2}" / f"{i}.webp"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(first, "WEBP", lossless=True, **options))
    images, _, _ = data.load_arrays(f"image_folder:{tmp_path}", "train")
    np.testing.assert_array_equal(images, noise[:, 0])


def test_an_animated_webp_of_one_image(tmp_path):
    options = {"save_all": True, "append_images": [Image.fromarray(UPRIGHT[::-1])]}
    content = encoded(UPRIGHT, "WEBP", lossless=True, **options)
    second = content.index(b"ANMF", content.index(b"ANMF") + 4)
    content = b"RIFF" + struct.pack("<I", second - 8) + content[8:second]
    np.testing.assert_array_equal(decoded(tmp_path / "a.webp", content), UPRIGHT)


def test_a_gif_that_its_first_image_does_not_fill(tmp_path):
    content = encoded(np.full((2, 2, 3), 50, np.uint8), "GIF")
    wide = content[:6] + struct.pack("<HH", 3, 2) + content[10:]
    assert decoded(tmp_path / "a.gif", wide).shape == (2, 3, 3)  # TensorFlow: (2, 2, 3)


@pytest.mark.parametrize(
    "content, what",
    [
        (b"", "empty"),
        (b"BMW and others", "no image"),
        (b"BMW, Mercedes and others are cars.", "no image"),
        (b"<html><body>404</body></html>", "no image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0", "of the kind HEIC, which is not read"),
        (b"II*\0" + bytes(30), "of the kind TIFF, and Pillow cannot read it"),
    ],
)
def test_what_is_no_image_is_said(tmp_path, content, what):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(headers.UnreadableError, match=what):
        headers.read(tmp_path / "a.jpg")
    assert what in headers.problem(tmp_path / "a.jpg")


def test_pixels_of_an_unknown_range_are_refused(tmp_path):
    (tmp_path / "a.tiff").write_bytes(encoded(np.zeros((2, 2), np.float32), "TIFF"))
    with pytest.raises(headers.UnreadableError, match="of the kind TIFF, with pixels of the"):
        headers.read(tmp_path / "a.tiff")


def test_large_images_are_looked_at(tmp_path, recwarn):
    """Pillow's Image.open refuses more than 178 million pixels, which TensorFlow decodes."""
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    jpeg = bytearray(encoded(UPRIGHT, "JPEG", 6))
    size = jpeg.index(b"\xff\xc0") + 5
    jpeg[size : size + 4] = struct.pack(">HH", 20_000, 10_000)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    assert headers.read(tmp_path / "a.png") == ("opaque", 1)
    assert headers.read(tmp_path / "a.jpg") == ("opaque", 6)
    assert not recwarn.list
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(content[:8] + header + png_chunk(b"IEND", b""))
    jpeg[size : size + 4] = struct.pack(">HH", 20_000, 20_000)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    for name in ("a.png", "a.jpg"):
        problem = headers.problem(tmp_path / name)
        assert problem == "of 20000×20000 pixels, which are more than are read"


def test_damage_that_pillow_finds_is_named(tmp_path):
    for i, kind in enumerate(("TIFF", "BMP", "PNG", "PNG")):
        path = tmp_path / f"class_{i % 2}" / f"{i}.tiff"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(UPRIGHT, kind))
    examples = data.load_examples(f"image_folder:{tmp_path}", "train")
    for name in ("class_0/0.tiff", "class_1/1.tiff"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:700] if "0" in path.name else path.read_bytes()[:100])
    message = "cannot read 2 of 4 images: .*class_0/0.tiff is .*, .*class_1/1.tiff is damaged"
    with pytest.raises(data.DamagedImageError, match=message):
        examples.in_memory()
    with pytest.raises(data.DamagedImageError, match=message):
        data.load_arrays(f"image_folder:{tmp_path}", "train")


def test_a_size_that_no_memory_holds_is_refused_at_once(tmp_path):
    content = bytearray(encoded(UPRIGHT, "BMP"))
    content[22:26] = struct.pack("<i", 2_000_000_000)  # rows, of a damaged header
    (tmp_path / "a.bmp").write_bytes(content)
    message = "BMP, and Pillow cannot read it .2000000000×24 pixels are more than are read"
    with pytest.raises(headers.UnreadableError, match=message):
        headers.read(tmp_path / "a.bmp")
