"""TrivialAugment: one operation of fourteen, of a random strength, changes an image.

Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", ICCV 2021;
the operations and strengths are those of its wide space. Each (row, member) image gets its own.

A batch has all operations side by side, so none has a branch of its own. An operation that moves
pixels says where each pixel comes from (`sources`), as part of the gather that crops and flips.
One that changes values is a table of 256 entries or a blend with a grey or a smooth image
(`recolour`); a table and a blend of every image change nothing where its operation is another.
All is computed in whole numbers, so that XLA gives what TensorFlow gives.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mixmo_tf import colour_tables, seeds
from mixmo_tf.seeds import Seed

OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
    "colour", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
STRENGTHS = 31  # an operation is drawn with one of 0 … 30, of which the last changes most
SHEAR = 0.99  # pixels per pixel, at the largest strength
TRANSLATION = 32  # pixels
ROTATION = 135  # degrees


class Changes(NamedTuple):
    """What changes each (row, member) image."""

    operations: tf.Tensor  # int32 (B, M), indices into OPERATIONS
    strengths: tf.Tensor  # int32 (B, M), 0 … 30
    signs: tf.Tensor  # int32 (B, M), 1 or -1: which way, where an operation goes both ways


def draw(shape: Sequence[int | tf.Tensor], seed: Seed) -> Changes:
    """Draws an operation, a strength and a sign for each of (B, M) images; seed int32 (2,)."""
    operation_seed, strength_seed, sign_seed = seeds.split(seed, 3)
    return Changes(
        seeds.integers(shape, operation_seed, len(OPERATIONS)),
        seeds.integers(shape, strength_seed, STRENGTHS),
        1 - 2 * seeds.integers(shape, sign_seed, 2),
    )


def sources(changes: Changes, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Which pixel of the image before each pixel of the image after shows.

    An affine map of the pixels' centres to the nearest pixel. Shears and translations are along
    one axis, from the upper left corner; rotations are around the centre. With the sign 1 a
    translation moves the image right or down, a rotation turns it counterclockwise.

    Args:
        changes: of (B, M) images.
        height, width: H and W.

    Returns:
        Lines and columns, int32 (B, M, H, W) each; they may lie outside the image.
    """
    strengths = np.arange(STRENGTHS) / (STRENGTHS - 1)
    signs = tf.cast(changes.signs, tf.float32)

    def of_strength(table):
        return tf.gather(tf.constant(table, tf.float32), changes.strengths)

    def only(operation, value, otherwise=0.0):
        is_it = tf.equal(changes.operations, OPERATIONS.index(operation))
        return tf.where(is_it, value, otherwise)[..., None, None]  # (B, M, 1, 1)

    shear = signs * of_strength(SHEAR * strengths)
    translation = -signs * of_strength(np.trunc(TRANSLATION * strengths))
    angles = np.radians(ROTATION * strengths)
    cosine = only("rotate", of_strength(np.cos(angles)), 1.0)
    sine = only("rotate", signs * of_strength(np.sin(angles)))
    y = tf.range(height, dtype=tf.float32)[:, None] + 0.5  # (H, 1)
    x = tf.range(width, dtype=tf.float32) + 0.5  # (W,)
    from_centre_y, from_centre_x = y - height / 2, x - width / 2
    lines = sine * from_centre_x + cosine * from_centre_y + height / 2
    lines += only("shear_y", shear) * x + only("translate_y", translation)
    columns = cosine * from_centre_x - sine * from_centre_y + width / 2
    columns += only("shear_x", shear) * y + only("translate_x", translation)
    return tf.cast(tf.floor(lines), tf.int32), tf.cast(tf.floor(columns), tf.int32)


def recolour(images: tf.Tensor, changes: Changes) -> tf.Tensor:
    """Changes the values of pixels, where the operation of an image does.

    Args:
        images: (B, M, H, W, channels), pixels 0–255 of any dtype; fractions are rounded, and NaN
            stays NaN.
        changes: of (B, M) images.

    Returns:
        float32, of the shape of `images`: whole numbers 0 … 255.
    """

    def is_(operation):
        is_it = tf.equal(changes.operations, OPERATIONS.index(operation))
        return is_it[..., None, None]  # (B, M, 1, 1)

    pixels = _whole(images)
    strengths = changes.strengths[..., None, None]
    weights = colour_tables.blend_weights(strengths, changes.signs[..., None, None])
    grey = colour_tables.grey(pixels)  # (B, M, H, W, 1)
    tables = colour_tables.linear(
        tf.where(is_("contrast"), colour_tables.mean(grey), 0),
        tf.where(is_("contrast") | is_("brightness"), weights, colour_tables.WHOLE),
    )  # (B, M, 1, 256)
    tables = tf.where(is_("posterize"), colour_tables.posterize(strengths), tables)
    tables = tf.where(is_("solarize"), colour_tables.solarize(strengths), tables)
    histograms = colour_tables.histograms(pixels)  # (B, M, channels, 256)
    tables = tf.where(is_("autocontrast"), colour_tables.autocontrast(histograms), tables)
    tables = tf.where(is_("equalize"), colour_tables.equalize(histograms), tables)
    other = tf.where(is_("colour")[..., None], grey, colour_tables.smooth(pixels))
    is_blend = (is_("colour") | is_("sharpness"))[..., None]
    weights = tf.where(is_blend, weights[..., None], colour_tables.WHOLE)
    pixels = colour_tables.look_up(tables, pixels)  # without a change where it is a blend
    recoloured = tf.cast(colour_tables.blend(other, pixels, weights), tf.float32)
    if not images.dtype.is_floating:
        return recoloured
    return tf.where(tf.math.is_nan(images), np.float32(np.nan), recoloured)


def _whole(images):
    """Pixels as int32 in 0 … 255; NaN, which a step is to end at, is 0 for now."""
    if images.dtype.is_floating:
        images = tf.round(tf.where(tf.math.is_nan(images), tf.zeros([], images.dtype), images))
        images = tf.clip_by_value(images, 0, 255)
    return tf.clip_by_value(tf.cast(images, tf.int32), 0, 255)
