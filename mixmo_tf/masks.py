"""Mixing blocks: the mask of each member over the feature map.

A block is a function (ratio (B,), (h, w), seed) -> (B, h, w) that draws where one member,
the holder of the patch, is seen. The others share the rest in proportion to their ratios.
"""

import tensorflow as tf

from mixmo_tf import arguments, seeds


def linear(ratio, size, seed):
    """The constant ratio everywhere; draws nothing."""
    del seed
    return tf.broadcast_to(ratio[:, None, None], [tf.shape(ratio)[0], *size])


def cutmix(ratio, size, seed):
    """A box whose centre is uniform over the pixels (CutMix, Yun et al. 2019)."""
    batch_size = tf.shape(ratio)[0]
    row_seed, column_seed = seeds.split(seed, 2)
    rows = seeds.integers([batch_size], row_seed, size[0])
    columns = seeds.integers([batch_size], column_seed, size[1])
    boxes = cutmix_boxes(ratio, tf.stack([rows, columns], axis=1), size)
    return box_masks(boxes, size)


BLOCKS = {"linear": linear, "cutmix": cutmix}
NAMES = tuple(BLOCKS)


def draw(name, ratios, size, seed):
    """Draws the members' masks with the block called `name`.

    One member per row, each with the same chance, holds the patch that the block draws for
    its ratio. The others share the complement in proportion to their ratios.

    Args:
        name: one of `NAMES`.
        ratios: float32 (B, M), on the simplex.
        size: (h, w) of the feature map.
        seed: int32 (2,).

    Returns:
        float32 (B, h, w, M), summing to 1 over the members at every pixel.

    Raises:
        ValueError: if `name` is unknown.
    """
    arguments.one_of("mixing", name, NAMES)
    ratios = tf.convert_to_tensor(ratios)
    batch_size, num_members = tf.shape(ratios)[0], ratios.shape[1]
    holder_seed, block_seed = seeds.split(seed, 2)
    holder = tf.one_hot(seeds.integers([batch_size], holder_seed, num_members), num_members)
    patch = BLOCKS[name](tf.reduce_sum(holder * ratios, axis=1), size, block_seed)
    return share(patch, holder, ratios)


def share(patch, holder, ratios):
    """Gives the patch to its holder and the complement to the other members.

    Args:
        patch: float (B, h, w), in [0, 1].
        holder: float (B, M), one-hot.
        ratios: float (B, M); the others share in proportion to theirs.

    Returns:
        float (B, h, w, M).
    """
    others = (1 - holder) * (ratios + 1e-30)  # if all others are 0, they share alike
    others /= tf.reduce_sum(others, axis=1, keepdims=True)
    patch = patch[..., None]
    return patch * holder[:, None, None] + (1 - patch) * others[:, None, None]


def cutmix_boxes(ratio, centres, size):
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


def box_masks(boxes, size):
    """1 inside the boxes (B, 4) of `cutmix_boxes`, 0 outside: float32 (B, h, w)."""
    top, left, bottom, right = (edge[:, None] for edge in tf.unstack(boxes, axis=1))
    rows, columns = tf.range(size[0])[None], tf.range(size[1])[None]
    in_rows = (rows >= top) & (rows < bottom)  # (B, h)
    in_columns = (columns >= left) & (columns < right)  # (B, w)
    return tf.cast(in_rows[:, :, None] & in_columns[:, None, :], tf.float32)
