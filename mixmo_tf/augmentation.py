"""Crop, flip and normalisation of every member's images, batched, on the device.

Each (row, member) image is augmented on its own, so the repeats of an image differ. Random
changes are drawn by `draw_views` and applied by `see`, which is deterministic: crop, flip,
TrivialAugment, normalisation, random erasing, in this order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from mixmo_tf import arguments, erasing, seeds, trivial_augment
from mixmo_tf.seeds import Seed

PADDING = 4  # pixels added on every side before the crop, zeros
NAMES = ("none", "flip", "crop", "crop_flip")
_TRIVIAL, _ERASING = 1, 2  # folded into the seed of the views


class Views(NamedTuple):
    """Which image each (row, member) sees, and how it is changed: what `see` shows of it."""

    rows: tf.Tensor  # int32 (B, M)
    offsets: tf.Tensor  # int32 (B, M, 2)
    flips: tf.Tensor  # bool (B, M)
    trivial: trivial_augment.Changes | None = None  # (B, M), without TrivialAugment none
    boxes: tf.Tensor | None = None  # int32 (B, M, 4), without random erasing none


def draw_views(
    name: str,
    rows: tf.Tensor,
    shape: Sequence[int | tf.Tensor],
    image_size: Sequence[int],
    seed: Seed,
    with_trivial: bool = False,
    random_erasing: float = 0.0,
) -> Views:
    """Draws how the image of each row is changed.

    Args:
        name: one of `NAMES`.
        rows: int32 (B, M), the images.
        shape: (B, M).
        image_size: (H, W).
        seed: int32 (2,).
        with_trivial: bool, whether TrivialAugment changes them too.
        random_erasing: the chance in [0, 1] that a box of an image is erased.

    Returns:
        Views. Offsets and flips are the same with and without what else there is.

    Raises:
        ValueError: if `name` is unknown, or `shape` is not (B, M).
    """
    offsets, flips = draw(name, shape, seed)
    trivial = boxes = None
    if with_trivial:
        trivial = trivial_augment.draw(shape, seeds.fold_in(seed, _TRIVIAL))
    if random_erasing:
        boxes = erasing.draw(random_erasing, shape, image_size, seeds.fold_in(seed, _ERASING))
    return Views(rows, offsets, flips, trivial, boxes)


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


def see(
    images: arguments.Array, views: Views, mean: Sequence[float], std: Sequence[float]
) -> tf.Tensor:
    """What the members see of pixels (n, H, W, channels): float32 (B, M, H, W, channels).

    Args:
        images: (n, H, W, channels), pixels 0–255 of any dtype.
        views: (B, M), of these images.
        mean, std: per channel, of pixels scaled to [0, 1].

    Returns:
        Normalised images; what is erased is 0, the mean colour.
    """
    seen = apply(images, *views[:4])
    if views.trivial is not None:
        seen = trivial_augment.recolour(seen, views.trivial)
    seen = normalise(seen, mean, std)
    return seen if views.boxes is None else erasing.apply(seen, views.boxes)


def apply(
    images: arguments.Array,
    rows: tf.Tensor,
    offsets: tf.Tensor,
    flips: tf.Tensor,
    trivial: trivial_augment.Changes | None = None,
) -> tf.Tensor:
    """Picks each member's image, pads it by 4 zeros, crops it back, flips it and moves its pixels.

    Args:
        images: (n, H, W, channels), any dtype.
        rows: int32 (B, M), indices into `images`.
        offsets: int32 (B, M, 2).
        flips: bool (B, M).
        trivial: of (B, M) images, of which the shears, translations and rotations are done; what
            they move in from outside is 0.

    Returns:
        (B, M, H, W, channels), of the dtype of `images`.
    """
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    padded_height, padded_width = padded.shape[1:3]
    lines, columns = tf.range(height)[:, None], tf.range(width)[None]
    if trivial is not None:
        lines, columns = trivial_augment.sources(trivial, height, width)  # (B, M, H, W)
        is_inside = (lines >= 0) & (lines < height) & (columns >= 0) & (columns < width)
    columns = tf.where(flips[..., None, None], width - 1 - columns, columns)
    columns += offsets[..., 1, None, None]
    lines += offsets[..., 0, None, None] + rows[..., None, None] * padded_height
    pixels = lines * padded_width + columns  # (B, M, H, W)
    padded = tf.reshape(padded, [-1, images.shape[3]])
    if trivial is None:
        return tf.gather(padded, pixels)
    moved = tf.gather(padded, tf.where(is_inside, pixels, 0))
    return tf.where(is_inside[..., None], moved, tf.zeros([], moved.dtype))


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
