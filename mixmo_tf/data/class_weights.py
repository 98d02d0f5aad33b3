"""Weights that let every class count alike in the loss, however many images it has.

    w_c = N / (C·n_c)

for N images, n_c of them of class c, and C classes that have any: over the images the weights
average 1, so the learning rate goes on meaning the same (King and Zeng 2001; scikit-learn's
"balanced").
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from mixmo_tf import arguments
from mixmo_tf.data import checks, stream

CHOICES = "none", "balanced"


def balanced(labels: arguments.Array, num_classes: int) -> dict[int, float]:
    """The weights of the classes, as `MixMo.fit` takes them for `class_weight`.

    Args:
        labels: integers (N,) or (N, 1), N >= 1.
        num_classes: int.

    Returns:
        dict of float by label; a class without images has the weight 0, which no image gets.

    Raises:
        ValueError: if there are no labels, or they are not 0 … `num_classes` - 1.
    """
    num_classes = arguments.count("num_classes", num_classes, 1)
    labels = checks.check_label_array(labels, num_classes)
    if not len(labels):
        raise ValueError("labels must be of one image or more, got none")
    counts = np.bincount(labels, minlength=num_classes)
    share = len(labels) / np.count_nonzero(counts)
    return {label: share / count if count else 0.0 for label, count in enumerate(counts.tolist())}


def join(batches: tf.data.Dataset, class_weight: Mapping[int, float]) -> tf.data.Dataset:
    """Batches (images, labels (n,)) as (images, labels, weights), float32 (n,), each its class's.

    `class_weight` has a weight for each of the labels 0 … C - 1.
    """
    weights = tf.constant([class_weight[label] for label in sorted(class_weight)], tf.float32)

    @stream.as_it_is
    def weigh(images, labels):
        return images, labels, tf.gather(weights, labels)

    return batches.map(weigh)
