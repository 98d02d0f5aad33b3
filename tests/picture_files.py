"""Image files as cameras and programs write them, for the tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

# Six blocks of 8×8, of other colours each: turned or mirrored, it is never the same.
BLOCKS = np.array([[[200, 30, 30], [30, 200, 30], [30, 30, 200]],
                   [[90, 90, 90], [220, 220, 40], [10, 120, 130]]], np.uint8)  # fmt: skip
UPRIGHT = BLOCKS.repeat(8, axis=0).repeat(8, axis=1)  # (16, 24, 3)
AXES = {  # what the stored rows and columns show, by EXIF's tag 274: the side that comes first
    1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left",
    5: "left top", 6: "right top", 7: "right bottom", 8: "left bottom",
}  # fmt: skip


def stored(orientation):
    """The pixels that a camera stores for UPRIGHT, by the table of the EXIF standard."""
    rows, columns = AXES[orientation].split()
    image = UPRIGHT
    if "bottom" in (rows, columns):
        image = image[::-1]
    if "right" in (rows, columns):
        image = image[:, ::-1]
    return image if rows in ("top", "bottom") else image.swapaxes(0, 1)


def encoded(pixels, kind, orientation=None, **options):
    """The bytes of a file, through Pillow."""
    if orientation:
        options["exif"] = Image.Exif()
        options["exif"][274] = orientation
    content = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(content, kind, **options)
    return content.getvalue()


# A black dot on nothing, and a half-transparent red one.
DOTS = np.zeros((2, 3, 4), np.uint8)
DOTS[0, 1] = 0, 0, 0, 255
DOTS[1, 2] = 200, 0, 100, 128


def png_chunk(name, content):
    whole = name + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


def with_exif_at_end(png, orientation):
    """A PNG whose EXIF comes after its pixels."""
    exif = Image.Exif()
    exif[274] = orientation
    end = png.index(b"IEND") - 4
    return png[:end] + png_chunk(b"eXIf", exif.tobytes()[6:]) + png[end:]


def palette(transparent=0):
    """Red, which may be transparent, green and blue, as 3 × 1 pixels."""
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    return image, {} if transparent is None else {"transparency": transparent}
