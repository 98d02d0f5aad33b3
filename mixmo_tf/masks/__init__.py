"""Mixing blocks: the mask of each member over the feature map.

A block is a function (ratio (B,), (h, w), seed) -> (B, h, w) that draws where one member,
the holder of the patch, is seen. The others share the rest in proportion to their ratios.
A new block is such a function, and a line in `BLOCKS`.
"""

import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.masks import boxes, cow, fmix, patchup


def linear(ratio, size, seed):
    """The constant ratio everywhere; draws nothing."""
    del seed
    return tf.broadcast_to(ratio[:, None, None], [tf.shape(ratio)[0], *size])


BLOCKS = {
    "linear": linear,
    "cutmix": boxes.cutmix,
    "patchup": patchup.draw,
    "cow": cow.draw,
    "fmix": fmix.draw,
    "horizontal_concat": boxes.horizontal_concat,
    "vertical_concat": boxes.vertical_concat,
}
NAMES = tuple(BLOCKS)


def draw(name, ratios, size, seed):
    """Draws the members' masks with the block called `name`.

    One member per row, each with the same chance, holds the patch that the block draws for
    its ratio. The others share the complement in proportion to their ratios.

    Args:
        name: one of `NAMES`.
        ratios: float32 (B, M), on the simplex, M >= 2.
        size: (h, w) of the feature map.
        seed: int32 (2,).

    Returns:
        float32 (B, h, w, M), summing to 1 over the members at every pixel.

    Raises:
        ValueError: if `name` is unknown, M = 1, or an argument is of another kind or shape.
    """
    arguments.one_of("mixing", name, NAMES)
    arguments.size("size", size)
    ratios = arguments.tensor("ratios", ratios, "float (B, M)", (None, None))
    batch_size, num_members = tf.shape(ratios)[0], ratios.shape[1]
    arguments.at_least("num_members of a mixing block", num_members, 2)
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
