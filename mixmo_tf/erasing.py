"""Random erasing: a box of an image is set to zero (Zhong et al., AAAI 2020).

The box has a share of the image's area, uniform in 0.02 … 0.33, and an aspect ratio, height over
width, log-uniform in 0.3 … 3.3; it lies anywhere within the image. Where the paper draws anew, up
to ten times or a hundred, until a box fits, one is drawn here, and what is longer than the image
is made as long as the image, the other side longer in turn: so every box keeps its area.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.seeds import Seed

AREA = (0.02, 0.33)  # share of the image
ASPECT = (0.3, 3.3)  # height over width


def draw(
    probability: float, shape: Sequence[int | tf.Tensor], image_size: Sequence[int], seed: Seed
) -> tf.Tensor:
    """Draws a box for each of (B, M) images.

    Args:
        probability: the chance that an image has one; another one's box is empty.
        shape: (B, M).
        image_size: (H, W).
        seed: int32 (2,).

    Returns:
        Boxes, int32 (B, M, 4): the first line and column, the height and the width.

    Raises:
        ValueError: if `probability` is out of range.
    """
    arguments.within("random_erasing", probability, 0, 1)
    choice_seed, area_seed, aspect_seed, place_seed = seeds.split(seed, 4)
    height, width = image_size
    is_erased = tf.cast(seeds.uniform(shape, choice_seed) < probability, tf.int32)
    low, high = AREA
    area = (low + (high - low) * seeds.uniform(shape, area_seed)) * height * width  # in pixels
    low, high = map(math.log, ASPECT)
    aspect = tf.exp(low + (high - low) * seeds.uniform(shape, aspect_seed))
    sides = fitting(area, aspect, image_size)  # (B, M, 2)
    room = tf.constant([height, width]) - sides + 1
    places = seeds.uniform([*shape, 2], place_seed) * tf.cast(room, tf.float32)
    places = tf.minimum(tf.cast(places, tf.int32), room - 1)
    return tf.concat([places, sides * is_erased[..., None]], axis=-1)


def fitting(area: tf.Tensor, aspect: tf.Tensor, image_size: Sequence[int]) -> tf.Tensor:
    """Height and width of boxes within the image, of an area in pixels: (...,) -> int32 (..., 2).

    Rounding aside, the area is kept, and so is the aspect ratio where such a box fits.
    """
    height, width = image_size
    tall = tf.clip_by_value(tf.sqrt(area * aspect), area / width, height)
    sides = tf.stack([tall, area / tall], axis=-1)
    sides = tf.cast(tf.round(sides), tf.int32)
    return tf.clip_by_value(sides, 1, tf.constant([height, width]))


def apply(images: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Sets the boxes to 0, which is the mean colour of images that are normalised.

    Args:
        images: float (B, M, H, W, channels).
        boxes: int32 (B, M, 4), as `draw` gives them.

    Returns:
        The same as `images`.
    """
    height, width = images.shape[2:4]
    top, left, tall, wide = tf.unstack(boxes[..., None], axis=2)  # (B, M, 1) each
    lines, columns = tf.range(height), tf.range(width)
    is_line = (lines >= top) & (lines < top + tall)  # (B, M, H)
    is_column = (columns >= left) & (columns < left + wide)  # (B, M, W)
    is_inside = is_line[..., :, None] & is_column[..., None, :]  # (B, M, H, W)
    return tf.where(is_inside[..., None], tf.zeros([], images.dtype), images)
