"""Checks of the images and labels that a model is given: one clear line on what is wrong."""

import numpy as np
import tensorflow as tf


def check_images(images, image_shape):
    """Returns `images` as a tensor (n, H, W, channels).

    Raises:
        ValueError: unless each image has the shape `image_shape`.
    """
    images = tf.convert_to_tensor(images)
    if tuple(images.shape[1:]) != image_shape:
        raise ValueError(
            f"images must have the shape (n, {', '.join(map(str, image_shape))}) "
            f"of the network, got {tuple(images.shape)}"
        )
    return images


def check_labels(labels, num_classes):
    """Returns `labels`, integers (n,) or (n, 1), as an int32 tensor (n,).

    Raises:
        ValueError: if they are no integers, or of another shape.
        tf.errors.InvalidArgumentError: when the graph runs, unless they are 0 … C - 1.
    """
    labels = tf.convert_to_tensor(labels)
    _check_kind(labels.dtype.as_numpy_dtype, labels.shape.as_list())
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    in_range = tf.reduce_all((labels >= 0) & (labels < num_classes))
    tf.debugging.Assert(in_range, [f"labels must be in 0 to {num_classes - 1}, got", labels])
    return labels


def check_not_empty(images):
    """Checks that a step has an image (n, …): training on none has no mean.

    Raises:
        ValueError: if n is known to be 0.
        tf.errors.InvalidArgumentError: when the graph runs, if n turns out to be 0.
    """
    message = "a batch to train on must have images, got none"
    if images.shape[0] == 0:
        raise ValueError(message)
    if images.shape[0] is None:
        tf.debugging.Assert(tf.shape(images)[0] > 0, [message])


def check_has_partners(images):
    """Checks that a step's images (n, …) can be mixed with each other.

    Raises:
        ValueError: if n is known to be 1.
        tf.errors.InvalidArgumentError: when the graph runs, if n turns out to be 1.
    """
    message = "msda needs two images or more in a step of a replica, got 1"
    if images.shape[0] == 1:
        raise ValueError(message)
    tf.debugging.Assert(tf.shape(images)[0] != 1, [message])


def check_label_array(labels, num_classes):
    """Checks a whole array of labels before anything runs; returns it as (n,).

    Raises:
        ValueError: unless they are integers 0 … C - 1 of shape (n,) or (n, 1).
    """
    labels = np.asarray(labels)
    _check_kind(labels.dtype, labels.shape)
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if wrong.size:
        raise ValueError(f"labels must be in 0 to {num_classes - 1}, got {wrong.flat[0]}")
    return labels.reshape(-1)


def _check_kind(dtype, shape):
    is_flat = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if not np.issubdtype(dtype, np.integer) or not is_flat:
        raise ValueError(
            f"labels must be integers of shape (n,), got {np.dtype(dtype).name} {tuple(shape)}"
        )
