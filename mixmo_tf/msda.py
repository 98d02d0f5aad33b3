"""Mixed-sample data augmentation inside a member's image: Mixup, CutMix.

An image is mixed with a partner, another image of the step, by an MSDA mask m: m of the image,
1 − m of the partner. The member then sees only what its mixing mask 𝓜_i lets through, and so
its label is corrected: λ' = mean(m·𝓜_i) / mean(𝓜_i).
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments, augmentation, seeds
from mixmo_tf.masks import BLOCKS
from mixmo_tf.seeds import Seed

PROBABILITY = 0.5  # chance that an image is mixed at all
# The mixing block that draws the masks m: Mixup (Zhang et al. 2018), CutMix (Yun et al. 2019).
METHODS = {"mixup": "linear", "cutmix": "cutmix"}
NAMES = tuple(METHODS)
Weighted: TypeAlias = Sequence[tf.Tensor | None]  # labels, and their sample weights or None


class Partners(NamedTuple):
    """What is mixed into each (row, member) image."""

    views: augmentation.Views  # the partners, (B, M)
    masks: tf.Tensor  # float32 (B, M, H, W), m; 1 where an image stays as it is


def draw(
    name: str,
    rows: arguments.Array,
    num_images: int | tf.Tensor,
    image_size: Sequence[int],
    augmentation_name: str,
    seed: Seed,
    trivial_augment: bool = False,
    random_erasing: float = 0.0,
) -> Partners:
    """Draws a partner and an MSDA mask for every image, λ ~ Beta(1, 1).

    Args:
        name: one of `NAMES`.
        rows: int32 (B, M), the images of the members.
        num_images: int or int32 scalar n >= 2; with a single image, it is its own partner.
        image_size: (H, W).
        augmentation_name: how the partners are augmented, on their own.
        seed: int32 (2,).
        trivial_augment, random_erasing: see `augmentation.draw_views`; of the partners too.

    Returns:
        Partners; none is the image itself.

    Raises:
        ValueError: if `name` is unknown, or an argument is of another kind or shape.
    """
    arguments.one_of("msda", name, NAMES)
    rows = arguments.tensor("rows", rows, "int (B, M)", (None, None))
    arguments.number_of_rows("num_images", num_images)
    arguments.size("image_size", image_size)
    shape = [tf.shape(rows)[0], rows.shape[1]]  # (B, M)
    row_seed, augmentation_seed, ratio_seed, mask_seed, choice_seed = seeds.split(seed, 5)
    distance = 1 + seeds.integers(shape, row_seed, tf.maximum(num_images - 1, 1))
    views = augmentation.draw_views(
        augmentation_name,
        (rows + distance) % num_images,
        shape,
        image_size,
        augmentation_seed,
        trivial_augment,
        random_erasing,
    )

    msda_ratio = seeds.uniform([shape[0] * shape[1]], ratio_seed)  # Beta(1, 1) is uniform
    masks = BLOCKS[METHODS[name]].draw(msda_ratio, image_size, mask_seed)
    masks = tf.reshape(masks, [*shape, *image_size])
    is_mixed = seeds.uniform(shape, choice_seed) < PROBABILITY
    return Partners(views, tf.where(is_mixed[..., None, None], masks, 1.0))


def under_mixing(msda_masks: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The MSDA masks and label ratios, corrected for what the mixing lets through.

    Where the partner would have the larger part, the two swap places, so that a member's
    label is foremost that of its own image. A plain network, M = 1, sees all of its image:
    there λ' is mean(m), and nothing is swapped.

    Args:
        msda_masks: float (B, M, H, W), m.
        masks: float (B, h, w, M), the mixing masks; where h < H, m is averaged over squares
            of H / h pixels to compare them.

    Returns:
        The masks m, float (B, M, H, W), and λ', float (B, M), in [0, 1].
    """
    num_members = masks.shape[3]
    label_ratio = tf.reduce_mean(msda_masks, axis=[2, 3])  # (B, M)
    if num_members == 1:
        return msda_masks, label_ratio
    seen = tf.transpose(masks, [0, 3, 1, 2])  # (B, M, h, w)
    share = tf.reduce_mean(seen, axis=[2, 3])  # (B, M), mean(𝓜_i)
    own = tf.reduce_mean(_shrink(msda_masks, seen.shape[2:]) * seen, axis=[2, 3])
    label_ratio = tf.where(share > 0, tf.math.divide_no_nan(own, share), label_ratio)
    label_ratio = tf.clip_by_value(label_ratio, 0.0, 1.0)
    swap = label_ratio < 0.5
    return (
        tf.where(swap[..., None, None], 1 - msda_masks, msda_masks),
        tf.where(swap, 1 - label_ratio, label_ratio),
    )


def mix(images: tf.Tensor, partners: tf.Tensor, msda_masks: tf.Tensor) -> tf.Tensor:
    """m·image + (1 − m)·partner: (B, M, H, W, channels) twice, (B, M, H, W) -> the first."""
    own = msda_masks[..., None]
    return own * images + (1 - own) * partners


def mix_labels(
    of_images: Weighted, of_partners: Weighted, label_ratio: tf.Tensor, num_classes: int
) -> tf.Tensor:
    """λ' of the image's class and 1 − λ' of the partner's, each times its sample weight.

    Args:
        of_images: labels, int (B, M), and sample weights, float (B, M), or None for 1.
        of_partners: the same of the partners.
        label_ratio: float (B, M), λ'.
        num_classes: int C.

    Returns:
        float (B, M, C); each sums to 1 where there are no sample weights.
    """
    vectors = 0.0
    for (labels, weights), share in ((of_images, label_ratio), (of_partners, 1 - label_ratio)):
        share = share if weights is None else share * tf.cast(weights, share.dtype)
        vectors += share[..., None] * tf.one_hot(labels, num_classes)
    return vectors


def _shrink(msda_masks, size):
    """Averages (B, M, H, W) over squares to (B, M, h, w), where an encoder has a stride."""
    height, width = msda_masks.shape[2:]
    if (height, width) == tuple(size):
        return msda_masks
    strides = [-(-height // size[0]), -(-width // size[1])]
    if [-(-height // strides[0]), -(-width // strides[1])] != list(size):  # without padding
        rows, columns = _averages(height, size[0]), _averages(width, size[1])
        return tf.einsum("bmrc,hr,wc->bmhw", msda_masks, rows, columns)
    channels_last = tf.transpose(msda_masks, [0, 2, 3, 1])  # (B, H, W, M)
    pooled = tf.nn.avg_pool2d(channels_last, strides, strides, padding="SAME")
    return tf.transpose(pooled, [0, 3, 1, 2])


def _averages(length, number):
    """The matrix (number, length) that averages a line over `number` parts of equal length."""
    ends, pixels = np.arange(number + 1)[:, None] * length / number, np.arange(length)
    shared = np.minimum(ends[1:], pixels + 1) - np.maximum(ends[:-1], pixels)
    return (np.maximum(shared, 0) * number / length).astype(np.float32)
