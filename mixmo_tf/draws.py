"""All that is random in a training step, drawn from its seed."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from mixmo_tf import augmentation, masks, msda, pairing, ratios, seeds
from mixmo_tf.seeds import Seed


class Draws(NamedTuple):
    """What a step of B rows and M members draws."""

    views: augmentation.Views  # the members' images, (B, M)
    partners: msda.Partners | None  # what MSDA mixes into them
    binary: tf.Tensor  # bool (), whether the batch is on the binary block
    masks: tf.Tensor  # float32 (B, h, w, M)
    ratios: tf.Tensor  # float32 (B, M), κ; the masks' means are what came of them


def draw(
    num_images: int | tf.Tensor,
    seed: Seed,
    *,
    num_members: int,
    image_size: Sequence[int],
    mask_size: Sequence[int],
    mixing: str | None,
    mixing_probability: float | tf.Tensor,
    alpha: float,
    batch_repetitions: int,
    input_repetition: float,
    msda_name: str | None,
    augmentation_name: str,
    trivial_augment: bool = False,
    random_erasing: float = 0.0,
) -> Draws:
    """Draws a step on `num_images` images.

    Args:
        num_images: int or int32 scalar, n.
        seed: int32 (2,).
        num_members: int M.
        image_size: (H, W).
        mask_size: (h, w) of the maps that are mixed; (1, 1) for M = 1.
        mixing: the binary block, one of `masks.NAMES`; None for M = 1.
        mixing_probability: float scalar, the chance of the binary block.
        alpha: float, concentration of the Dirichlet that κ is drawn from.
        batch_repetitions: int b.
        input_repetition: float ρ.
        msda_name: one of `msda.NAMES`, or None.
        augmentation_name: one of `augmentation.NAMES`.
        trivial_augment, random_erasing: see `augmentation.draw_views`.

    Returns:
        Draws, with B = n·b rows.
    """
    pairing_seed, augmentation_seed, masks_seed, msda_seed = seeds.split(seed, 4)
    num_rows = num_images * batch_repetitions
    rows = pairing.draw(num_images, num_members, batch_repetitions, input_repetition, pairing_seed)
    more = trivial_augment, random_erasing
    shape = [num_rows, num_members]
    views = augmentation.draw_views(
        augmentation_name, rows, shape, image_size, augmentation_seed, *more
    )
    partners = None
    if msda_name:
        partners = msda.draw(
            msda_name, rows, num_images, image_size, augmentation_name, msda_seed, *more
        )
    if num_members == 1:
        whole = tf.ones([num_rows, 1])
        return Draws(views, partners, tf.constant(False), even_masks(num_rows, 1, mask_size), whole)
    ratios_seed, choice_seed, block_seed = seeds.split(masks_seed, 3)
    kappa = ratios.draw(num_rows, num_members, alpha, ratios_seed)  # (B, M)
    linear = masks.draw("linear", kappa, mask_size, block_seed)
    if mixing == "linear":
        return Draws(views, partners, tf.constant(False), linear, kappa)
    binary = seeds.uniform([], choice_seed) < mixing_probability
    block = masks.draw(mixing, kappa, mask_size, block_seed)
    return Draws(views, partners, binary, tf.where(binary, block, linear), kappa)


def even_masks(num_rows: int | tf.Tensor, num_members: int, mask_size: Sequence[int]) -> tf.Tensor:
    """1/M everywhere, (B, h, w, M): the masks of inference, and of a plain network."""
    return tf.fill([num_rows, *mask_size, num_members], 1.0 / num_members)
