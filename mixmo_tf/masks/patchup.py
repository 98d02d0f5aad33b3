"""Square holes in random places (PatchUp, Faramarzi et al. 2020; its 2-D hard variant)."""

from collections.abc import Sequence

import tensorflow as tf

from mixmo_tf import seeds
from mixmo_tf.seeds import Seed

BLOCK_SIZE = 7  # pixels, k: the side of a hole


def draw(ratio: tf.Tensor, size: Sequence[int], seed: Seed) -> tf.Tensor:
    """Holes around seeds, each pixel a seed with the chance γ(κ).

    The rule is made for maps that are much larger than a hole. On smaller ones the holes
    cover more than κ: on average 0.63 of 16×16 and 0.99 of 8×8 pixels for κ = 0.5.
    """
    shape = [tf.shape(ratio)[0], *size]
    is_seed = seeds.uniform(shape, seed) < seed_chance(ratio, size)[:, None, None]
    return dilate(tf.cast(is_seed, tf.float32), block_size(size))


def seed_chance(ratio: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """γ = κ·h·w / (k²·(h−k+1)·(w−k+1)): float (B,), of ratios (B,)."""
    height, width = size
    k = block_size(size)
    return ratio * (height * width / (k**2 * (height - k + 1) * (width - k + 1)))


def block_size(size: Sequence[int]) -> int:
    """k; on a map that is smaller than that, the largest odd side that fits."""
    smallest = min(BLOCK_SIZE, *size)
    return smallest - (smallest + 1) % 2


def dilate(holes: tf.Tensor, side: int) -> tf.Tensor:
    """Grows every pixel that is 1 into a square of an odd `side` around it: (B, h, w).

    The same as a max-pool with stride 1; a product with a banded matrix on either side counts
    the holes around a pixel, faster on a CPU.
    """
    height, width = holes.shape[1:]
    count = _band(height, side) @ holes @ _band(width, side)
    return tf.cast(count > 0.5, tf.float32)


def _band(length, side):
    """1 where two pixels are less than half a `side` apart: (length, length)."""
    pixels = tf.range(length)
    return tf.cast(tf.abs(pixels[:, None] - pixels) <= side // 2, tf.float32)
