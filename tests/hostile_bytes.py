"""Bytes that are no JPEG and no PNG, or a damaged one, and what TensorFlow says of each."""

import struct
import zlib

import numpy as np
from picture_files import UPRIGHT, encoded, png_chunk

_NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def bomb(kind, side):
    """A small file that says it has side×side pixels."""
    if kind == "PNG":
        content = bytearray(encoded(UPRIGHT, "PNG"))
        chunk = png_chunk(b"IHDR", struct.pack(">II", side, side) + bytes(content[24:29]))
        return bytes(content[:8]) + chunk + bytes(content[33:])
    content = bytearray(encoded(UPRIGHT, "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(content)


def growing_png(side):
    """A PNG of side×side black pixels, side a multiple of 100, that compresses a thousandfold."""
    deflate, num_bytes = zlib.compressobj(wbits=-zlib.MAX_WBITS), side * (1 + 3 * side)
    rows = deflate.compress(bytes(num_bytes // side * 100)) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", num_bytes % 65521, 1)  # Adler's, of zeros
    pixels = b"\x78\x9c" + rows * (side // 100) + b"\3\0" + checksum
    header = png_chunk(b"IHDR", struct.pack(">II5B", side, side, 8, 2, 0, 0, 0))
    ends = png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + ends


HOSTILE = {
    "empty": (b"", "image_bytes must be of JPEG or PNG files"),
    "HTML": (b"<html><body>404</body></html>", "image_bytes must be of JPEG or PNG files"),
    "GIF": (encoded(UPRIGHT, "GIF"), "image_bytes must be of JPEG or PNG files"),
    "WebP": (encoded(UPRIGHT, "WEBP"), "image_bytes must be of JPEG or PNG files"),
    "noise": (np.random.default_rng(0).bytes(10**6), "image_bytes must be of JPEG or PNG files"),
    "a cut JPEG": (encoded(_NOISE, "JPEG")[:1500], "Invalid JPEG"),
    "a cut PNG": (encoded(_NOISE, "PNG")[:1500], "Invalid PNG"),
    "the start of a JPEG": (b"\xff\xd8\xff", "Invalid JPEG"),
    "the start of a PNG": (b"\x89PNG\r\n\x1a\n", "Invalid PNG"),
    "noise like a JPEG": (b"\xff\xd8\xff" + np.random.default_rng(0).bytes(10**6), "Invalid JPEG"),
    "noise like a PNG": (
        b"\x89PNG\r\n\x1a\n" + np.random.default_rng(0).bytes(10**6), "Invalid PNG"
    ),
    "a large JPEG": (bomb("JPEG", 20_000), "below 536,870,912 bytes decoded"),
    "a large PNG": (bomb("PNG", 20_000), "below 536,870,912 bytes decoded"),
    "a PNG that grows": (growing_png(20_000), "below 536,870,912 bytes decoded"),
    "empty segments": (b"\xff\xd8" + b"\xff\xe2\0\2" * 250_000, "Invalid JPEG"),
    "segments of size 0": (b"\xff\xd8" + b"\xff\xe1\0\0" * 250_000, "Invalid JPEG"),
    "empty chunks": (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"tEXt", b"") * 80_000, "Invalid PNG"
    ),
}  # fmt: skip
