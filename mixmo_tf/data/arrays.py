"""Arrays as `fit` takes them: weighted, and split for validation."""

import numpy as np
import tensorflow as tf

from mixmo_tf.data.checks import check_label_array


def are_arrays(values):
    """Whether all are arrays or tensors."""
    return all(isinstance(value, (np.ndarray, tf.Tensor)) for value in values)


def weighted(images, labels, num_classes, sample_weight=None, class_weight=None):
    """Checks the labels, and joins the weights to them.

    Args:
        images: (N, H, W, channels).
        labels: integers (N,) or (N, 1).
        num_classes: int.
        sample_weight: None or (N,).
        class_weight: None or a dict of weights by label.

    Returns:
        list of the images, the labels (N,) and the weights (N,), if there are any.

    Raises:
        ValueError: if the labels are out of range, or both kinds of weights are given.
    """
    labels = check_label_array(labels, num_classes)
    if class_weight is not None:
        if sample_weight is not None:
            raise ValueError("class_weight and sample_weight cannot be given at the same time")
        sample_weight = np.array([class_weight.get(int(i), 1.0) for i in labels], np.float32)
    return [images, labels] if sample_weight is None else [images, labels, sample_weight]


def split(arrays, validation_split):
    """Arrays without their last examples, and those; `validation_split` is their share.

    Raises:
        ValueError: if the share is not in (0, 1).
    """
    if not 0 < validation_split < 1:
        raise ValueError(f"validation_split must be in (0, 1), got {validation_split}")
    num_train = int(len(arrays[0]) * (1 - validation_split))
    return [a[:num_train] for a in arrays], tuple(a[num_train:] for a in arrays)
