"""What an image file says before its pixels: its kind, which way up it is, if it is transparent.

The kind is that of the content, whatever the file is called.
"""

import functools
import multiprocessing.pool
import os
import stat
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from mixmo_tf import arguments
from mixmo_tf.data.notices import progress_bar

_MAGIC = {  # what the files of a kind begin with
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_START = 64  # bytes that tell the kind
_BMP_HEADERS = range(12, 125)  # bytes of a BMP's second header; letters are larger numbers
_NOT_READ = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # brands of HEIF
_MODES_NOT_READ = ("I", "F", "LAB")  # whose range is not known, or whose colours
_MOST_PIXELS = 2**28  # of what is decoded: TensorFlow would take a PNG of any number
_END = 2**16  # bytes in which a PNG's EXIF is looked for, behind its pixels
_ANIMATED = 2  # the bit among the flags of a WebP
_THREADS = 16  # files that are waited for at once: disks across a network answer slowly
_CHUNK = 100  # files that a thread takes at once
# Pillow's classes, without Image.open, which would refuse the largest images.
_PILLOW = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}


class Header(NamedTuple):
    """How an image is to be decoded and shown."""

    reader: str  # "opaque" or "transparent", both TensorFlow's decoders, or "pillow"
    orientation: int = 1  # EXIF's, 1 … 8: how the decoded pixels are to be turned


class UnreadableError(ValueError):
    """The message says what a file is, other than an image that can be read: "it is …"."""


def read_all(paths: Sequence[str]) -> list[Header | None]:
    """The headers of files; the many threads are for slow disks.

    Returns:
        list of Header, or of None where a file is no image, or of a kind that is not read.
    """
    with multiprocessing.pool.ThreadPool(_THREADS) as pool:
        headers = pool.imap(_read_or_problem, paths, _CHUNK)
        headers = list(progress_bar("Looking at the files", len(paths), headers, " files"))
    return [None if isinstance(header, str) else header for header in headers]


def read(path: str | os.PathLike) -> Header:
    """The Header of a file.

    Raises:
        UnreadableError: if it is no image, or one of a kind that is not read; or no file, but a
            folder, a pipe, which would be waited for, or a device.
        OSError: if the file cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UnreadableError("no file")
    with open(path, "rb") as file:
        start = file.read(_START)
        kind = _kind(start)
        file.seek(0)
        return _READERS[kind](file)


def problem(path: str | os.PathLike) -> str | None:
    """What a file is, in place of an image that can be read; None if it may be one."""
    header = _read_or_problem(path)
    return header if isinstance(header, str) else None


def pillow_image(file: BinaryIO) -> Image.Image:
    """An open file as one of Pillow's images; its own limit on their size is far lower."""
    kind = _kind(file.read(_START))
    file.seek(0)
    image = _PILLOW[kind](file)
    width, height = image.size
    if width * height > _MOST_PIXELS:  # as damaged headers have
        raise ValueError(f"{height}×{width} pixels are more than are read")
    return image


def _read_or_problem(path):
    """The Header of a file; a str that says what else it is."""
    try:
        return read(path)
    except UnreadableError as error:
        return str(error)
    except OSError as error:
        return f"not to be opened ({error.strerror})"


def _kind(start):
    """The kind of a file, by its first bytes."""
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp":
        brands = start[8 : int.from_bytes(start[:4], "big")]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if brands[:4] in _NOT_READ:
            raise UnreadableError("of the kind HEIC, which is not read")
    raise UnreadableError("no image" if start else "empty")


def _read_jpeg(file):
    image = _opened("JPEG", file)
    return Header("opaque", 1 if image is None else _orientation(image.getexif))


def _read_png(file):
    """PNG's chunks up to the pixels: Pillow would decode these to reach what comes after them."""
    reader, exif, width, height = "opaque", None, 0, 0
    file.seek(8)
    while len(chunk := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", chunk)
        if name == b"IDAT":
            break
        content = file.read(size) if name in (b"IHDR", b"eXIf") else b""
        file.seek(size - len(content) + 4, os.SEEK_CUR)
        if name == b"IHDR" and len(content) >= 8:
            width, height = struct.unpack(">II", content[:8])
        if name == b"tRNS" or (name == b"IHDR" and content[9:10] in (b"\4", b"\6")):
            reader = "transparent"
        if name == b"eXIf":
            exif = content
    _check_size(width, height)
    exif = _exif_at_end(file) if exif is None else exif
    return Header(reader, 1 if exif is None else _orientation(functools.partial(_exif, exif)))


def _exif_at_end(file):
    """What the last eXIf chunk of a PNG holds, bytes; None if there is none near its end.

    The pixels are in thousands of chunks, which nobody wants to walk along. So the chunk is looked
    for by its name, which pixels may spell too; they have not its checksum.
    """
    file.seek(max(file.seek(0, os.SEEK_END) - _END, 0))
    end = file.read()
    at = end.rfind(b"eXIf")
    while at >= 4:
        size = int.from_bytes(end[at - 4 : at], "big")
        content, checksum = end[at + 4 : at + 4 + size], end[at + 4 + size : at + 8 + size]
        if checksum == zlib.crc32(b"eXIf" + content).to_bytes(4, "big"):
            return content
        at = end.rfind(b"eXIf", 0, at)
    return None


def _read_gif(file):
    """TensorFlow paints what is transparent black, and cuts frames that do not fill the image."""
    image = _opened("GIF", file)
    if image is None:
        return Header("opaque")
    fills = bool(image.tile) and image.tile[0].extents == (0, 0, *image.size)
    return Header("pillow" if image.has_transparency_data or not fills else "opaque")


def _read_webp(file):
    """TensorFlow writes past the end of its memory where a file is animated, of one image too."""
    start = file.read(_START)
    if start[12:16] == b"VP8X" and start[20:21] and start[20] & _ANIMATED:
        return Header("pillow")
    file.seek(0)
    image = _opened("WebP", file)
    if image is None:
        return Header("opaque")
    reader = "transparent" if image.mode == "RGBA" else "opaque"
    return Header(reader, _orientation(image.getexif))


def _read_with_pillow(kind, file):
    """Kinds that TensorFlow cannot read, or not right: it takes the palette of a BMP for grey."""
    try:
        image = pillow_image(file)
    except Exception as error:  # whatever Pillow raises
        reason = arguments.first_line(error)
        raise UnreadableError(f"of the kind {kind}, and Pillow cannot read it ({reason})") from None
    if image.mode in _MODES_NOT_READ:
        raise UnreadableError(f"of the kind {kind}, with pixels of the mode {image.mode}")
    return Header("pillow")


def _opened(kind, file):
    """Pillow's image; None if it is damaged, which is said when it is decoded."""
    try:
        image = _PILLOW[kind](file)
    except Exception:  # whatever Pillow raises
        return None
    _check_size(*image.size)
    return image


def _check_size(width, height):
    if width * height > _MOST_PIXELS:
        raise UnreadableError(f"of {height}×{width} pixels, which are more than are read")


def _orientation(load_exif):
    """The orientation, 1 … 8, in what a function gives as Pillow's Exif; 1 is upright."""
    try:
        orientation = load_exif().get(ExifTags.Base.Orientation)
    except Exception:  # whatever Pillow raises; viewers show an image whose EXIF is damaged
        return 1
    return int(orientation) if orientation in range(2, 9) else 1  # a fraction may be 6 too


def _exif(content):
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + content)
    return exif


_READERS = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "GIF": _read_gif,
    "WebP": _read_webp,
    **{kind: functools.partial(_read_with_pillow, kind) for kind in ("BMP", "TIFF", "AVIF")},
}
