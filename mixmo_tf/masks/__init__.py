"""Mixing blocks: the mask of each member over the feature map.

A block draws where one member, the holder of the patch, is seen. The others share the rest in
proportion to their ratios. A new one is a file with its function, and a line in `BLOCKS`.
"""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.masks import boxes, cow, fmix, patchup
from mixmo_tf.seeds import Seed


@dataclasses.dataclass(frozen=True)
class Block:
    """A mixing block.

    Attributes:
        draw: function (ratio (B,), (h, w), seed int32 (2,)) -> the patch, float32 (B, h, w).
        what: what the patch is, in a few words, for --help and README.
    """

    draw: Callable
    what: str


def linear(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """The constant ratio everywhere; draws nothing."""
    del seed
    return tf.broadcast_to(ratio[:, None, None], [tf.shape(ratio)[0], *size])


BLOCKS = {
    "linear": Block(linear, "the ratio everywhere"),
    "cutmix": Block(boxes.cutmix, "a box"),
    "patchup": Block(patchup.draw, "square holes in random places"),
    "cow": Block(cow.draw, "blobs of blurred noise"),
    "fmix": Block(fmix.draw, "shapes of low frequency"),
    "horizontal_concat": Block(boxes.horizontal_concat, "the left or the right part"),
    "vertical_concat": Block(boxes.vertical_concat, "the upper or the lower part"),
}
NAMES = tuple(BLOCKS)


def draw(name: str, ratios: arguments.Array, size: Sequence[int], seed: Seed) -> tf.Tensor:
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
    patch = BLOCKS[name].draw(tf.reduce_sum(holder * ratios, axis=1), size, block_seed)
    return share(patch, holder, ratios)


def share(patch: tf.Tensor, holder: tf.Tensor, ratios: tf.Tensor) -> tf.Tensor:
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
