"""Which image each member sees in each row of a step, after MIMO (Havasi et al. 2021).

A step takes n distinct images and repeats each b times: B = n·b rows. Each member meets
the rows in an order of its own, so every member sees every image exactly b times.
"""

import tensorflow as tf

from mixmo_tf import arguments, seeds
from mixmo_tf.seeds import Seed


def draw(
    num_images: int | tf.Tensor,
    num_members: int,
    batch_repetitions: int,
    input_repetition: float,
    seed: Seed,
) -> tf.Tensor:
    """Draws the image that every member sees in every row.

    Args:
        num_images: int or int32 scalar, the number n of distinct images.
        num_members: int, M.
        batch_repetitions: int b >= 1.
        input_repetition: float ρ in [0, 1]; in the first round(ρ·B) rows all members see
            the same image.
        seed: int32 (2,).

    Returns:
        int32 (B, M), indices of images, 0 … n - 1.

    Raises:
        ValueError: if an argument is out of range.
    """
    arguments.number_of_rows("num_images", num_images)
    arguments.count("num_members", num_members, 1)
    arguments.count("batch_repetitions", batch_repetitions, 1)
    arguments.within("input_repetition", input_repetition, 0, 1)
    num_rows = num_images * batch_repetitions
    base_seed, member_seed = seeds.split(seed, 2)
    base = tf.argsort(seeds.uniform([num_rows], base_seed), stable=True)  # (B,)
    orders = _permutations(num_rows, num_members, input_repetition, member_seed)  # (B, M)
    return tf.gather(base, orders) // batch_repetitions


def _permutations(num_rows, num_members, input_repetition, seed):
    """A random order of the rows per member, (B, M), the first ρ·B rows left in place."""
    position = tf.range(num_rows)
    num_shared = tf.cast(tf.round(input_repetition * tf.cast(num_rows, tf.float32)), tf.int32)
    shared = (position < num_shared)[:, None]
    in_place = tf.cast(position - num_rows, tf.float32)[:, None]  # below every uniform draw
    keys = tf.where(shared, in_place, seeds.uniform([num_rows, num_members], seed))
    return tf.argsort(keys, axis=0, stable=True)
