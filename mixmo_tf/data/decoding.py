"""From an image file to the pixels that a viewer shows, RGB on white, on all cores.

What a file needs is read off its header once (`headers`) and travels with its path. Files of
the kinds that TensorFlow decodes right stay with it; Pillow reads the rest.
"""

import functools
import io
import os
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from mixmo_tf.data import crops, headers, stream

_CODES = {"opaque": "o", "transparent": "t", "pillow": "p"}  # of a Header's reader
_CODE_LENGTH = 2  # a reader and an orientation
_NO_LIMIT = 2**30  # bytes of a path
_WHITE = 255


def element(path: str | os.PathLike, header: headers.Header) -> bytes:
    """What a decoder takes: bytes, a code of two characters and the path."""
    return f"{_CODES[header.reader]}{header.orientation}".encode() + os.fsencode(path)


def decoder(
    elements: Iterable[bytes], image_size: int | None = None, central_fraction: float = 1.0
) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from one of `elements`, str tensor (), to pixels uint8 (height, width, 3).

    Args:
        elements: all that it will be given.
        image_size: pixels: the central square of each image is scaled to this height and width;
            None leaves images as they are.
        central_fraction: float in (0, 1], how much of the shorter side the square takes.
    """
    codes = sorted({each[:_CODE_LENGTH] for each in elements})

    @stream.as_it_is
    def decode(element):
        content = tf.io.read_file(tf.strings.substr(element, _CODE_LENGTH, _NO_LIMIT))
        ways = [functools.partial(_pixels, code.decode(), content) for code in codes]
        if len(ways) == 1:
            image = ways[0]()
        else:
            is_way = tf.strings.substr(element, 0, _CODE_LENGTH) == tf.constant(codes)
            image = tf.switch_case(tf.argmax(is_way, output_type=tf.int32), ways)
        if image_size is None:
            return image
        return crops.central_square(image, image_size, central_fraction)

    return decode


def turned(image: tf.Tensor, orientation: int) -> tf.Tensor:
    """An image (h, w, channels) as EXIF's orientation, 1 … 8, says that it is shown."""
    if orientation in (5, 6, 7, 8):
        image = tf.transpose(image, (1, 0, 2))
    if orientation in (2, 3, 6, 7):
        image = tf.reverse(image, [1])
    if orientation in (3, 4, 7, 8):
        image = tf.reverse(image, [0])
    return image


def on_white(image: tf.Tensor) -> tf.Tensor:
    """uint8 (h, w, 4) with an opacity as uint8 (h, w, 3); opaque pixels stay as they are."""
    colours, opacity = tf.cast(image[..., :3], tf.int32), tf.cast(image[..., 3:], tf.int32)
    mixed = (colours * opacity + _WHITE * (_WHITE - opacity) + _WHITE // 2) // _WHITE
    return tf.cast(mixed, tf.uint8)


def _pixels(code, content):
    if code[0] == _CODES["pillow"]:
        image = tf.numpy_function(_with_pillow, [content], tf.uint8, stateful=False)
        image = tf.ensure_shape(image, (None, None, None))
    else:
        channels = 4 if code[0] == _CODES["transparent"] else 3
        image = tf.io.decode_image(content, channels, expand_animations=False)
        image = turned(image, int(code[1]))
    return on_white(image) if code[0] != _CODES["opaque"] else image


def _with_pillow(content):
    """The first image of a file, turned as it is shown, uint8 (h, w, 4).

    Raises:
        ValueError: whatever is wrong; TensorFlow would take some errors for others.
    """
    try:
        content = np.asarray(content, object).item()  # an array where TensorFlow runs eagerly
        with headers.pillow_image(io.BytesIO(content)) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16"):  # Pillow would cut all that is above 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            return np.array(image.convert("RGBA"))
    except Exception as error:
        raise ValueError(str(error)) from None
