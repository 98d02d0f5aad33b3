"""Rectangles: the box of CutMix, and two images side by side."""

from collections.abc import Sequence

import tensorflow as tf

from mixmo_tf import seeds
from mixmo_tf.seeds import Seed


def cutmix(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """A box whose centre is uniform over the pixels (CutMix, Yun et al. 2019)."""
    batch_size = tf.shape(ratio)[0]
    row_seed, column_seed = seeds.split(seed, 2)
    rows = seeds.integers([batch_size], row_seed, size[0])
    columns = seeds.integers([batch_size], column_seed, size[1])
    boxes = cutmix_boxes(ratio, tf.stack([rows, columns], axis=1), size)
    return box_masks(boxes, size)


def horizontal_concat(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """The left part, or with the same chance the right one; the share κ of the width."""
    line = _line(ratio, size[1], seed)  # (B, w)
    return tf.repeat(line[:, None], size[0], axis=1)


def vertical_concat(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """The upper part, or with the same chance the lower one; the share κ of the height."""
    line = _line(ratio, size[0], seed)  # (B, h)
    return tf.repeat(line[:, :, None], size[1], axis=2)


def cutmix_boxes(ratio: tf.Tensor, centres: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Boxes with half side ⌊⌊√κ·side⌋/2⌋, clipped at the border.

    Args:
        ratio: float (B,).
        centres: int32 (B, 2), row and column.
        size: (h, w).

    Returns:
        int32 (B, 4): first row, first column, and the row and column after the last.
    """
    size = tf.constant(size, tf.int32)
    side = tf.sqrt(ratio)[:, None] * tf.cast(size, ratio.dtype)  # (B, 2)
    half = tf.cast(tf.floor(side), tf.int32) // 2
    first = tf.clip_by_value(centres - half, 0, size)
    last = tf.clip_by_value(centres + half, 0, size)
    return tf.concat([first, last], axis=1)


def box_masks(boxes: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """1 inside the boxes (B, 4) of `cutmix_boxes`, 0 outside: float32 (B, h, w)."""
    top, left, bottom, right = (edge[:, None] for edge in tf.unstack(boxes, axis=1))
    rows, columns = tf.range(size[0])[None], tf.range(size[1])[None]
    in_rows = (rows >= top) & (rows < bottom)  # (B, h)
    in_columns = (columns >= left) & (columns < right)  # (B, w)
    return tf.cast(in_rows[:, :, None] & in_columns[:, None, :], tf.float32)


def concat_border(ratio: tf.Tensor, length: int) -> tf.Tensor:
    """Where the first side ends, ⌊κ·length⌋: int32, of the shape of `ratio`."""
    return tf.cast(tf.floor(ratio * length), tf.int32)


def _line(ratio, length, seed):
    """1 on the patch's side of the border, 0 on the other: float32 (B, length)."""
    pixels = tf.range(length)
    is_first = seeds.uniform(tf.shape(ratio), seed)[:, None] < 0.5
    first = pixels < concat_border(ratio, length)[:, None]
    last = pixels >= concat_border(1 - ratio, length)[:, None]
    return tf.cast(tf.where(is_first, first, last), tf.float32)
