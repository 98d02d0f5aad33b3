"""All that is random in a training step, drawn from its seed."""

from typing import NamedTuple

import tensorflow as tf

from mixmo_tf import augmentation, masks, msda, pairing, ratios, seeds


class Draws(NamedTuple):
    """What a step of B rows and M members draws."""

    views: augmentation.Views  # the members' images, (B, M)
    partners: msda.Partners | None  # what MSDA mixes into them
    binary: tf.Tensor  # bool (), whether the batch is on the binary block
    masks: tf.Tensor  # float32 (B, h, w, M)


def draw(model, num_images, seed, mixing_probability):
    """Draws a step on `num_images` images.

    Args:
        model: MixMo, whose arguments say how to draw.
        num_images: int or int32 scalar, n.
        seed: int32 (2,).
        mixing_probability: float scalar, the chance of the binary block.

    Returns:
        Draws, with B = n·b rows.
    """
    pairing_seed, augmentation_seed, masks_seed, msda_seed = seeds.split(seed, 4)
    num_rows = num_images * model.batch_repetitions
    rows = pairing.draw(
        num_images,
        model.num_members,
        model.batch_repetitions,
        model.input_repetition,
        pairing_seed,
    )
    offsets, flips = augmentation.draw(
        model.augmentation, [num_rows, model.num_members], augmentation_seed
    )
    partners = None
    if model.msda:
        image_size = model.image_shape[:2]
        partners = msda.draw(
            model.msda, rows, num_images, image_size, model.augmentation, msda_seed
        )
    binary, drawn_masks = _draw_masks(model, num_rows, masks_seed, mixing_probability)
    return Draws(augmentation.Views(rows, offsets, flips), partners, binary, drawn_masks)


def even_masks(model, num_rows):
    """1/M everywhere, (B, h, w, M): the masks of inference, and of a plain network."""
    size = model.network.input["masks"].shape[1:3] if model.num_members > 1 else (1, 1)
    return tf.fill([num_rows, *size, model.num_members], 1.0 / model.num_members)


def _draw_masks(model, num_rows, seed, mixing_probability):
    """Whether the batch is on the binary block, bool (), and its masks (B, h, w, M)."""
    if model.num_members == 1:
        return tf.constant(False), even_masks(model, num_rows)
    ratios_seed, choice_seed, block_seed = seeds.split(seed, 3)
    size = model.network.input["masks"].shape[1:3]
    kappa = ratios.draw(num_rows, model.num_members, model.alpha, ratios_seed)  # (B, M)
    linear = masks.draw("linear", kappa, size, block_seed)
    if model.mixing == "linear":
        return tf.constant(False), linear
    binary = seeds.uniform([], choice_seed) < mixing_probability
    return binary, tf.where(binary, masks.draw(model.mixing, kappa, size, block_seed), linear)
