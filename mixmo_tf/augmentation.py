"""Crop, flip and normalisation of every member's images, batched, on the device.

Each (row, member) image is augmented on its own, so the repeats of an image differ. Random
changes are drawn by `draw` and applied by `apply`, which is deterministic.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.seeds import Seed

PADDING = 4  # pixels added on every side before the crop, zeros
NAMES = ("none", "flip", "crop", "crop_flip")


class Views(NamedTuple):
    """Which image each (row, member) sees, and how it is changed: arguments of `apply`."""

    rows: tf.Tensor  # int32 (B, M)
    offsets: tf.Tensor  # int32 (B, M, 2)
    flips: tf.Tensor  # bool (B, M)


def draw(name: str, shape: Sequence[int | tf.Tensor], seed: Seed) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws how each image is changed.

    Args:
        name: one of `NAMES`.
        shape: the shape (B, M) of the images that are drawn for.
        seed: int32 (2,).

    Returns:
        Two tensors: offsets, int32 (B, M, 2), the row and column in the padded image where the
        crop starts, 0 … 8, of which 4 changes nothing; and flips, bool (B, M), whether the crop is
        mirrored left to right.

    Raises:
        ValueError: if `name` is unknown, or `shape` is not (B, M).
    """
    arguments.one_of("augmentation", name, NAMES)
    _check_shape(shape)
    offset_seed, flip_seed = seeds.split(seed, 2)
    offsets = tf.fill([*shape, 2], PADDING)
    flips = tf.fill(shape, False)
    if name in ("crop", "crop_flip"):
        offsets = seeds.integers([*shape, 2], offset_seed, 2 * PADDING + 1)
    if name in ("flip", "crop_flip"):
        flips = seeds.uniform(shape, flip_seed) < 0.5
    return offsets, flips


def apply(
    images: arguments.Array, rows: tf.Tensor, offsets: tf.Tensor, flips: tf.Tensor
) -> tf.Tensor:
    """Picks each member's image, pads it by 4 zeros, crops it back and flips it.

    Args:
        images: (n, H, W, channels), any dtype.
        rows: int32 (B, M), indices into `images`.
        offsets: int32 (B, M, 2).
        flips: bool (B, M).

    Returns:
        (B, M, H, W, channels), of the dtype of `images`.
    """
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    padded_height, padded_width = padded.shape[1:3]
    columns = tf.where(flips[..., None], tf.range(width)[::-1], tf.range(width))  # (B, M, W)
    columns += offsets[..., 1, None]
    lines = offsets[..., 0, None] + tf.range(height)  # (B, M, H)
    lines += rows[..., None] * padded_height
    pixels = lines[..., :, None] * padded_width + columns[..., None, :]  # (B, M, H, W)
    return tf.gather(tf.reshape(padded, [-1, images.shape[3]]), pixels)


def normalise(images: arguments.Array, mean: Sequence[float], std: Sequence[float]) -> tf.Tensor:
    """Pixels 0–255 of any dtype (..., channels) to float32 (pixel/255 - mean) / std."""
    scale = tf.constant([1 / (255 * s) for s in std], tf.float32)
    shift = tf.constant([-m / s for m, s in zip(mean, std, strict=True)], tf.float32)
    return tf.cast(images, tf.float32) * scale + shift


def _check_shape(shape):
    """Raises ValueError unless it is (B, M), each a whole number or a tensor."""
    if not isinstance(shape, (list, tuple, tf.TensorShape)) or len(shape) != 2:
        raise ValueError(f"shape must be (B, M), got {shape!r}")
    for each in shape:
        arguments.number_of_rows("shape", each)
