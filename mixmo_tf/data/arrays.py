"""Arrays as `fit` takes them: weighted, and split for validation."""

import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data.checks import check_label_array, check_pixels, check_weights


def are_arrays(values: Iterable) -> bool:
    """Whether all are arrays or tensors."""
    return all(isinstance(value, (np.ndarray, tf.Tensor)) for value in values)


def weighted(
    images: arguments.Array,
    labels: arguments.Array,
    image_shape: Sequence[int],
    num_classes: int,
    sample_weight: arguments.Array | None = None,
    class_weight: dict[int, float] | None = None,
) -> list[Any]:
    """Checks images, labels and weights, and joins them.

    Args:
        images: (N, H, W, channels).
        labels: integers (N,) or (N, 1).
        image_shape: (H, W, channels).
        num_classes: int.
        sample_weight: None or (N,).
        class_weight: None or a dict of weights by label, as `checks.check_class_weight` has it.

    Returns:
        list of the images, the labels (N,) and the weights (N,), if there are any.

    Raises:
        ValueError: if there are no images, or they, labels or weights are not what they must be
            (`data.checks`), are not as many, or both kinds of weights are given.
    """
    images = check_pixels(images, image_shape)
    labels = check_label_array(labels, num_classes)
    if len(images) != len(labels) or not len(labels):
        raise ValueError(
            f"images and labels must be of the same examples, one or more, "
            f"got {len(images)} and {len(labels)}"
        )
    if sample_weight is not None:
        sample_weight = check_weights(sample_weight, len(labels))
    if class_weight is not None:
        if sample_weight is not None:
            raise ValueError("class_weight and sample_weight cannot be given at the same time")
        sample_weight = np.array([class_weight.get(int(i), 1.0) for i in labels], np.float32)
    return [images, labels] if sample_weight is None else [images, labels, sample_weight]


def split(arrays: Sequence, validation_split: float) -> tuple[list, tuple]:
    """Arrays without their last examples, and those; `validation_split` is their share.

    Raises:
        ValueError: if the share is not in (0, 1).
    """
    if not isinstance(validation_split, numbers.Real) or not 0 < validation_split < 1:
        raise ValueError(f"validation_split must be in (0, 1), got {validation_split}")
    num_train = int(len(arrays[0]) * (1 - validation_split))
    return [a[:num_train] for a in arrays], tuple(a[num_train:] for a in arrays)
